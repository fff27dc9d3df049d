"""A good reply → one with a fault in it. Pure; chance comes in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from types import MappingProxyType

import orjson

from pipeline.local.faults import Declined, Effect, Lacking, Misworded, Silent, Truncated
from pipeline.local.reply import Began, Ended, Part, Piece

DECLINED = "This request was declined in a rehearsal."


def spoiled(parts: Sequence[Part], effect: Effect, category: str | None, random: Random) -> list[Part]:
    """The parts as the effect makes the model say them; unchanged where it strikes elsewhere."""
    began = [part for part in parts if isinstance(part, Began)]
    ended = next(part for part in parts if isinstance(part, Ended))
    text = "".join(part.text for part in parts if isinstance(part, Piece))
    thoughts = [part for part in parts if not isinstance(part, Began | Piece | Ended)]
    match effect:
        case Declined():
            return [*began, Ended("refusal", 0, category=category, explanation=DECLINED)]
        case Silent():
            return [*began, ended]
        case Truncated():
            half = text[: len(text) // 2]
            written = ended.output_tokens - ended.thinking_tokens
            short = Ended("max_tokens", ended.output_tokens - written // 2, None, ended.thinking_tokens)
            return [*began, *thoughts, *_pieces(half, like=parts), short]
        case Misworded(how):
            return [*began, *thoughts, *_pieces(WORDINGS[how](text, random), like=parts), ended]
        case Lacking("stop_reason"):
            return [
                *began,
                *thoughts,
                *_pieces(text, like=parts),
                Ended(None, ended.output_tokens, None, ended.thinking_tokens),
            ]
    return list(parts)


def _pieces(text: str, *, like: Sequence[Part]) -> list[Part]:
    """In pieces of the size that the reply had them in."""
    size = next((len(part.text) for part in like if isinstance(part, Piece)), len(text))
    return [Piece(text[start : start + size]) for start in range(0, len(text), size)] if size else []


def _fenced(text: str, random: Random) -> str:
    return f"```{random.choice(('json', 'JSON', ''))}\n{text}\n```"


def _prose(text: str, random: Random) -> str:
    before = random.choice(("Here is the JSON you asked for:\n\n", "Sure! ", "After reading the text, my answer is:\n"))
    after = random.choice(("", "\n\nLet me know if you need anything else.", "\n\nI chose this because it fits best."))
    return f"{before}{text}{after}"


def _damaged(text: str, random: Random) -> str:
    """One of the slips of models that write JSON without a grammar. What is cut off at the end is for `truncated`."""
    slips: list[Callable[[str], str]] = [
        lambda good: good[:-1] + "," + good[-1:],
        lambda good: good.replace('"', "'"),
        lambda good: good.replace('{"', "{", 1).replace('":', ":", 1),
        lambda good: good[:-1],
        lambda good: f"{good} // as asked",
        lambda good: good.replace("true", "True").replace("false", "False").replace("null", "None") + ";",
    ]
    return random.choice(slips)(text)


def _invalid(text: str, random: Random) -> str:
    """JSON still, but a value of it is gone, unknown or of another type."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    if not isinstance(value, dict) or not value:
        return orjson.dumps([value]).decode()
    name = random.choice(list(value))
    match random.randrange(3):
        case 0:
            del value[name]
        case 1:
            value[name] = {"unexpected": value[name]}
        case _:
            value[name] = "not one of the values that were asked for"
    return orjson.dumps(value).decode()


WORDINGS: Mapping[str, Callable[[str, Random], str]] = MappingProxyType(
    {"fenced": _fenced, "prose": _prose, "damaged": _damaged, "invalid": _invalid}
)
