"""The plain form: a question with one label for an answer, as a small model answers it best. Pure.

    Review: <an example>
    Sentiment: negative

    Review: <the document>
    Sentiment:

The label that follows is held to the schema's by a grammar and wrapped as the JSON that was asked for. Measured on 1,000
Yelp and 1,000 Amazon sentences (docs/embedded-server.md): about 0.92, where the same model asked in a chat with a JSON
schema is at chance. The system prompt is left out: with it in front, accuracy fell from 0.925 to 0.900 (n = 120).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, TypeAlias

import orjson

from pipeline.local.question import Turn
from pipeline.local.structured import resolved

DEFAULT_NOUN = "Text"
"""Measured against `Review`: 0.91 and 0.92 on the 200-row samples where `Review` had 0.925 and 0.93."""

Label: TypeAlias = str | int | float | bool


@dataclass(frozen=True, slots=True)
class LabelForm:
    """How documents and labels are called, and which labels there are."""

    noun: str
    prop: str
    """The property, by its name in the schema."""
    heading: str
    """The property, as the line before the label calls it."""
    labels: tuple[tuple[str, Label], ...]
    """Word → value."""

    def prompt(self, turns: Sequence[Turn]) -> str:
        """The conversation in plain form. Turns that are no example, and no document at the end, are left out."""
        examples = "".join(
            f"{self.noun}: {one_line(asked.text)}\n{self.heading}: {word}\n\n" for asked, word in self._examples(turns)
        )
        return f"{examples}{self.noun}: {one_line(turns[-1].text)}\n{self.heading}:"

    def grammar(self) -> str:
        """GBNF for a blank and one of the words."""
        return "root ::= " + " | ".join(f'" {_escaped(word)}"' for word, _ in self.labels)

    def answer(self, text: str) -> str | None:
        """The JSON that was asked for, given the word that the model wrote; None where it is no label."""
        values = dict(self.labels)
        word = text.strip()
        return json.dumps({self.prop: values[word]}, ensure_ascii=False) if word in values else None

    def _examples(self, turns: Sequence[Turn]) -> Iterator[tuple[Turn, str]]:
        for asked, answered in pairwise(turns):
            if asked.role == "user" and answered.role == "assistant":
                word = self._word(answered)
                if word is not None:
                    yield asked, word

    def _word(self, turn: Turn) -> str | None:
        """The label that an assistant gave, in its text or as the input of a tool."""
        for text in (*turn.called, turn.text):
            try:
                given = orjson.loads(text)
            except orjson.JSONDecodeError:
                continue
            if isinstance(given, dict) and self.prop in given:
                return next((word for word, value in self.labels if _same(value, given[self.prop])), None)
        return None


@lru_cache(maxsize=256)
def label_form(schema: str) -> LabelForm | None:
    """The plain form for a schema (JSON text): an object with exactly one property, which is an enum, a constant or a
    boolean. None for any other."""
    root = orjson.loads(schema)
    properties = root.get("properties") if isinstance(root, dict) else None
    if not isinstance(properties, dict) or len(properties) != 1:
        return None
    [(prop, shape)] = properties.items()
    if isinstance(shape, dict) and isinstance(shape.get("$ref"), str):
        target = resolved(root, shape["$ref"])
        shape = {**target, **shape} if isinstance(target, dict) else None
    labels = _labels(shape)
    if not labels or not isinstance(shape, dict):
        return None
    heading = _titled(str(shape.get("title") or prop))
    return LabelForm(_noun(root.get("title"), heading), prop, heading, labels)


def _labels(shape: Any) -> tuple[tuple[str, Label], ...]:
    """Word → value; empty where the property is no label."""
    if not isinstance(shape, dict) or {"anyOf", "oneOf", "allOf", "not", "pattern"} & set(shape):
        return ()
    if shape.get("type") == "boolean" and "enum" not in shape and "const" not in shape:
        return (("yes", True), ("no", False))
    values = [shape["const"]] if "const" in shape else shape.get("enum") or []
    if not all(isinstance(value, str | int | float) for value in values):
        return ()
    labels = tuple((value if isinstance(value, str) else json.dumps(value), value) for value in values)
    words = [word for word, _ in labels]
    sound = all(word and word == one_line(word) for word in words) and len(set(words)) == len(words)
    return labels if sound else ()


def _noun(title: object, heading: str) -> str:
    """What is labelled: `Review`, where the schema is titled `Review sentiment` and the property is `sentiment`."""
    if isinstance(title, str):
        noun = one_line(title).lower().removesuffix(heading.lower()).strip()
        if noun and noun != one_line(title).lower():
            return noun.capitalize()
    return DEFAULT_NOUN


def _titled(name: str) -> str:
    """`review_sentiment`, `reviewSentiment` → `Review sentiment`."""
    spaced = "".join(f" {each}" if each.isupper() else " " if each in "_-" else each for each in name)
    return one_line(spaced).capitalize()


def one_line(text: str) -> str:
    """The text on one line and free of marks that the model would obey.

    A line feed in a document could forge a label line, a control character could be taken for one, and `<|im_end|>`
    would be read as the end of the turn.
    """
    printable = "".join(" " if ord(each) < 32 or ord(each) == 127 else each for each in text)
    return without_marks(" ".join(printable.split()))


def without_marks(text: str) -> str:
    """The text with `<|` broken up: llama.cpp reads control tokens wherever they stand, in documents too."""
    return text.replace("<|", "< |")


def _same(one: object, other: object) -> bool:
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _escaped(word: str) -> str:
    return word.replace("\\", "\\\\").replace('"', '\\"')
