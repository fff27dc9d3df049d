"""Content of a message → what can be read and seen in it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import BaseModel

from pipeline.local import body as shapes
from pipeline.local.question import Medium


def blocks(content: str | Sequence[BaseModel]) -> Sequence[BaseModel]:
    """A string is one text block."""
    return [shapes.TextBlock(type="text", text=content)] if isinstance(content, str) else content


def text(content: str | Sequence[BaseModel]) -> str:
    """All that can be read in it."""
    return "\n".join(each for block in blocks(content) for each in texts(block))


def texts(block: BaseModel) -> Iterator[str]:
    """What can be read in one block: text, plain-text documents, results of tools and searches."""
    match block:
        case shapes.TextBlock():
            yield block.text
        case shapes.ToolResultBlock():
            yield text(block.content)
        case shapes.SearchResultBlock():
            yield block.title
            yield from (part.text for part in block.content)
        case shapes.DocumentBlock():
            yield from (each for each in (block.title, block.context) if each)
            if isinstance(block.source, shapes.PlainText):
                yield block.source.data
            elif isinstance(block.source, shapes.Content):
                yield text(block.source.content)


def media(block: BaseModel, path: str) -> Iterator[Medium]:
    """Images and PDFs in one block, which stands at `path` in the request."""
    match block:
        case shapes.ImageBlock():
            source = block.source
            yield Medium(f"{path}.image", source.url if isinstance(source, shapes.Url) else source.data)
        case shapes.DocumentBlock(source=shapes.Base64Pdf(data=data) | shapes.Url(url=data)):
            yield Medium(f"{path}.document", data)
        case shapes.DocumentBlock(source=shapes.Content(content=inner)) | shapes.ToolResultBlock(content=inner):
            for index, each in enumerate(blocks(inner)):
                yield from media(each, f"{path}.{index}")
