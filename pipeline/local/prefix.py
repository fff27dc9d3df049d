"""The beginnings of a request that the prompt cache could know, block by block. Pure.

The order is that of the API: tools, system, messages (docs: build-with-claude/prompt-caching, 2026-10-08). Model,
answer format, thinking and effort are part of what is rendered, so they are part of every beginning; the tool choice is
part of those that reach into the messages.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b

from pydantic import BaseModel

from pipeline.local import body as shapes
from pipeline.local import content, tokens
from pipeline.local.question import Prefix

LIVES_S = {"5m": 300.0, "1h": 3600.0}


def prefixes(body: shapes.CountBody) -> tuple[Prefix, ...]:
    """The prompt up to the end of each block, to that of the last breakpoint; empty where there is no breakpoint."""
    blocks = list(_blocks(body))
    marked = [index for index, (_, block) in enumerate(blocks) if getattr(block, "cache_control", None)]
    end = len(blocks) - 1 if body.cache_control else max(marked, default=-1)
    if end < 0:
        return ()
    config = body.output_config
    schema = config.format.text if config and config.format else ""
    root = (body.model, schema, body.thinking and body.thinking.model_dump(), config and config.effort, body.speed)
    hashed = blake2b(repr(root).encode("utf-8", "surrogatepass"), digest_size=16)
    size, media = len(schema.encode("utf-8", "surrogatepass")), 0
    found: list[Prefix] = []
    in_messages = False
    for index, (where, block) in enumerate(blocks[: end + 1]):
        if where and not in_messages:
            in_messages = True
            hashed.update(repr(body.tool_choice).encode())
        read = list(_read(block))
        seen = list(content.media(block, ""))
        for each in (where, type(block).__name__, *read, *(medium.source for medium in seen)):
            hashed.update(b"%d\0" % len(each) + each.encode("utf-8", "surrogatepass"))
        size += sum(len(each.encode("utf-8", "surrogatepass")) for each in read)
        media += len(seen)
        mark = getattr(block, "cache_control", None) or (body.cache_control if index == len(blocks) - 1 else None)
        life_s = LIVES_S[mark.ttl] if mark else None
        count = size // tokens.BYTES_PER_TOKEN + media * tokens.MEDIUM_TOKENS
        found.append(Prefix(hashed.digest(), count, life_s))
    return tuple(found)


def _blocks(body: shapes.CountBody) -> Iterator[tuple[str, BaseModel]]:
    """Role (empty before the messages) and block."""
    yield from (("", tool) for tool in body.tools)
    yield from (("", block) for block in content.blocks(body.system) if body.system)
    yield from ((message.role, block) for message in body.messages for block in content.blocks(message.content))


def _read(block: BaseModel) -> Iterator[str]:
    """What counts as text of the block, as `Question` has it."""
    match block:
        case shapes.Tool():
            yield shapes.json_text(block.model_dump(exclude_none=True, exclude={"cache_control"}))
        case shapes.ToolUseBlock():
            yield shapes.json_text(block.input)
        case _:
            yield from content.texts(block)
