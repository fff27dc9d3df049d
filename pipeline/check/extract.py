"""Where in a reply the JSON objects are: behind a BOM, after thinking tags, in fences, amid prose.

The text is read once from left to right. What stands inside an array, inside thinking or inside an object that
cannot be read is no candidate: a fragment that happens to fit the schema would be a wrong answer that nobody
notices. So is every object before a broken one that comes later, because the later one was the answer.
"""

from __future__ import annotations

import json
import re
from collections import deque
from dataclasses import dataclass

_MARK = re.compile(
    r"(?P<think><think(?:ing)?>)|(?P<thought></think(?:ing)?>)|(?P<object>\{(?=\s*[\"}'“‘\w$/#-]))|(?P<array>\[(?=\s*\{))|(?P<stray>\})",
    re.I,
)
_THOUGHT = re.compile(r"</think(?:ing)?>", re.I)
_FENCE = re.compile(r"^[ \t]*(?:```|~~~)[\w-]*[ \t]*$|```(?:json\w*)?", re.M | re.I)
_COULD_BE_JSON = re.compile(r"\{\s*[\"}]|\[\s*\{")
"""Checked first because a JSONDecodeError counts the lines before it, at every brace of a text."""
_LIKE_AN_OBJECT = re.compile(r"\{\s*(?:['“‘]|[\w$-]+\s*[:=]|//|/\*|#)")
_GOES_ON = re.compile(r"^\s*[,\]]|[\"“”]|'\s*[,:]")
_BRACKET = re.compile(r"[{}\[\]]")
# Only the place where a value ends is wanted: numbers of any length are let through for the strict parser to judge.
_DECODER = json.JSONDecoder(parse_int=float)

BOM = "stripped_bom"
THINKING = "stripped_thinking"
FENCE = "stripped_fence"
PROSE = "stripped_prose"


_MOST_OBJECTS = 100
_MOST_BROKEN = 100
"""A reply with more is none that was meant; the bounds keep hostile text linear."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An object, as it stands in the text."""

    text: str
    start: int
    end: int
    thinking: tuple[tuple[int, int], ...]
    """Where in the text thinking tags and what they hold stand."""

    @property
    def span(self) -> str:
        return self.text[self.start : self.end]

    def repairs(self) -> tuple[str, ...]:
        """What has to be taken away from around it, named; empty if it is the whole text."""
        outside: list[str] = []
        for since, until in ((0, self.start), (self.end, len(self.text))):
            for begin, end in self.thinking:
                if since <= begin < until:
                    outside.append(self.text[since:begin])
                    since = end
            outside.append(self.text[since:until])
        rest = "\n".join(outside)
        plain = rest.replace("\ufeff", "")
        bare = _FENCE.sub("", plain)
        names = ((BOM, plain != rest), (THINKING, bool(self.thinking)), (FENCE, bare != plain), (PROSE, bool(bare.strip())))
        return tuple(name for name, found in names if found)


@dataclass(frozen=True, slots=True)
class Extraction:
    candidates: tuple[Candidate, ...]
    """Readable objects, in the order of the text; the last ones where there are very many."""
    broken: Candidate | None = None
    """What begins like an object after all of them and cannot be read, up to the last brace of the text."""


def candidates(text: str) -> Extraction:
    """The objects in a text that is not one JSON value by itself."""
    spans: deque[tuple[int, int]] = deque(maxlen=_MOST_OBJECTS)
    thinking: list[tuple[int, int]] = []
    broken: list[int] = []
    """Where objects begin that cannot be read, since thinking ended."""
    open_ended = False
    """Whether the last of them has no readable object after it."""
    at = 0
    while (mark := _MARK.search(text, at)) is not None:
        start, at = mark.span()
        match mark.lastgroup:
            case "think":
                closing = _THOUGHT.search(text, at)
                at = closing.end() if closing else len(text)
                thinking.append((start, at))
            case "thought":  # its opening tag was in the prompt: all before was thinking
                spans.clear()
                thinking, broken = [(0, at)], []
            case "stray" if broken:
                # That object ended elsewhere than its brackets say, so what came since may be a part of it.
                spans.clear()
                broken, open_ended = broken[:1], True
            case "object" | "array" as kind if _COULD_BE_JSON.match(text, start):
                try:
                    at = _DECODER.raw_decode(text, start)[1]
                except ValueError:
                    at = _balanced(text, start)
                    spans.clear()
                    broken.append(start)
                    open_ended = True
                except RecursionError:
                    return Extraction(())
                else:
                    if kind == "object":
                        spans.append((start, at))
                        open_ended = False
            case "object" if _LIKE_AN_OBJECT.match(text, start):
                at = _balanced(text, start)
                spans.clear()
                broken.append(start)
                open_ended = True
            case _:
                pass
        if len(broken) > _MOST_BROKEN:
            return Extraction(())
    zones = tuple(thinking)
    found = tuple(Candidate(text, start, end, zones) for start, end in spans)
    if not broken or not open_ended:
        return Extraction(found)
    return Extraction(found, Candidate(text, broken[-1], _end_of_broken(text, broken[-1]), zones))


def _balanced(text: str, start: int) -> int:
    """Where the bracket at `start` is closed, counting brackets in strings too; the end of the text if nowhere."""
    depth = 0
    for bracket in _BRACKET.finditer(text, start):
        depth += 1 if bracket[0] in "{[" else -1
        if depth == 0:
            return bracket.end()
    return len(text)


def _end_of_broken(text: str, start: int) -> int:
    """After the last brace, unless more of the object follows: then its own brace is missing and the text ends it."""
    fence = text.rfind("\n```", start)
    end = len(text) if fence < 0 else fence
    brace = text.rfind("}", start, end) + 1
    return brace if brace and not _GOES_ON.search(text[brace:end]) else end
