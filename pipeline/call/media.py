"""Pictures and documents in a request: their blocks, what stands for them in its key, how much they are. Pure.

Shapes: platform.claude.com/docs/en/build-with-claude/vision and pdf-support, read 2026-08-22.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping

from pipeline.records import JSON, Document, Image, Link, Medium, Prompt, Text

MOST_TOKENS = 1_000_000
"""The largest context window of any model."""
CHARACTERS_A_TOKEN = 4
"""Of ordinary English: by this, tokens are put into characters where rows are compared by their length."""


class Encoded(str):
    """Bytes in base64, that know what they count for: a request says so nowhere."""

    __slots__ = ("likely", "most")
    likely: int
    """Tokens."""
    most: int
    """Tokens, whatever the document holds."""

    @classmethod
    def of(cls, medium: Image | Document) -> Encoded:
        made = cls(b64encode(medium.data).decode())
        made.likely = medium.tokens
        # A page of a PDF is text and picture, and nothing says how much text it can be made to hold.
        made.most = medium.tokens if isinstance(medium, Image) else MOST_TOKENS
        return made


def block(medium: Medium) -> JSON:
    """The content block."""
    match medium:
        case Image():
            source: JSON = {"type": "base64", "media_type": medium.media_type, "data": Encoded.of(medium)}
            return _image(source)
        case Link():
            return _image({"type": "url", "url": medium.url})
        case Document(media_type="text/plain"):
            source = {"type": "text", "media_type": medium.media_type, "data": medium.data.decode()}
            return {"type": "document", "source": source, **_titled(medium)}
        case Document():
            source = {"type": "base64", "media_type": medium.media_type, "data": Encoded.of(medium)}
            return {"type": "document", "source": source, **_titled(medium)}


def named(medium: Medium) -> JSON:
    """What stands for the block in the request key: equal for equal bytes, and no megabytes to hash again."""
    match medium:
        case Image():
            return {"type": "image", "media_type": medium.media_type, "sha256": medium.digest}
        case Document():
            return {"type": "document", "media_type": medium.media_type, "sha256": medium.digest, **_titled(medium)}
        case Link():
            return block(medium)


def _titled(document: Document) -> dict[str, JSON]:
    return {} if document.title is None else {"title": document.title}


def characters(medium: Medium) -> int:
    """As long a text would count for about as many tokens."""
    return CHARACTERS_A_TOKEN * (medium.tokens if not isinstance(medium, Link) else 0)


def held_bytes(prompt: Prompt) -> int:
    """About what a prompt takes of memory for its texts, pictures and documents."""
    held = 0
    for turn in prompt.turns:
        for part in turn.blocks:
            match part:
                case Text():
                    held += len(part.text)
                case Image() | Document():
                    held += len(part.data)
    return held


def apart(body: Mapping[str, JSON]) -> tuple[dict[str, JSON], int]:
    """A request without what is in base64, and the tokens that this likely counts for."""
    messages, tokens = [], 0
    turns = body["messages"]
    for turn in turns if isinstance(turns, list) else []:
        content = turn.get("content") if isinstance(turn, dict) else None
        if not isinstance(turn, dict) or not isinstance(content, list):
            messages.append(turn)
            continue
        found = [_encoded(part) for part in content]
        tokens += sum(one.likely for one in found if one is not None)
        messages.append({**turn, "content": [part for part, one in zip(content, found, strict=True) if one is None]})
    return {**body, "messages": messages}, tokens


def _encoded(part: JSON) -> Encoded | None:
    source = part.get("source") if isinstance(part, dict) else None
    held = source.get("data") if isinstance(source, dict) else None
    return held if isinstance(held, Encoded) else None


def _image(source: JSON) -> JSON:
    # Without this, a picture that is larger than what the model sees would be scaled down and nobody told.
    return {"type": "image", "source": source, "transformations": {"oversized_image": "error"}}
