"""Answers with known truth, damaged in the ways that models and their surroundings damage them, and how the judge takes them.

`python -m tests.check.damage` prints a line for each class: how many of its texts come out exactly, how many are refused, and
how many come out as another value without a word (the figure that must stay at nothing). `--each 100 --seed 0` by default.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pipeline.check.answer import Repair
from pipeline.records import Answer
from tests.check.replies import judge, reply

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "sentiment": {"enum": ["positive", "negative", "neutral", "mixed feelings"]},
        "stars": {"type": "integer", "minimum": 1, "maximum": 5},
        "price": {"type": ["number", "null"]},
        "recommended": {"type": "boolean"},
        "note": {"type": "string"},
        "topics": {"type": "array", "items": {"enum": ["food", "service", "price", "noise"]}},
        "people": {"type": "array", "items": {"type": "string"}},
        "day": {"type": "string", "format": "date"},
        "place": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "zip": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
    "required": ["sentiment", "stars", "day"],
    "additionalProperties": False,
}
"""Most properties are optional, so that losing one is silently wrong and not refused."""

NOTES = (
    "Great food, slow service.",
    "Paid $3,000 for it; worth it",
    "It's what I'd expect, isn't it",
    "see https://example.org/a?b=1#top, page 2",
    "room #12 // back of the house",
    "a {curly} and a [square] one",
    "Größe, naïve, 你好, 😀",
    "50% off: 3 for 2, or so",
    "never again…",
    "ends with a comma,",
    "key: value, other: thing",
    "true or null? 007",
)
PEOPLE = ("Anna", "O'Brien", "Zoë", "Mr. Smith, Jr.", "李雷")
CITIES = ("Köln", "St. John's", "New York, NY", "Paris")

Truth = dict[str, Any]
Damage = Callable[[random.Random, Truth], str]
"""Gives a text for a truth, which it may change first so that the damage has something to damage."""


def truth(draw: random.Random) -> Truth:
    """A valid answer."""
    return {
        "sentiment": draw.choice(["positive", "negative", "neutral", "mixed feelings"]),
        "stars": draw.randint(1, 5),
        "price": draw.choice([None, 12.5, 3000, 0.99, 7]),
        "recommended": draw.random() < 0.5,
        "note": draw.choice(NOTES),
        "topics": draw.sample(["food", "service", "price", "noise"], draw.randint(0, 3)),
        "people": draw.sample(PEOPLE, draw.randint(0, 3)),
        "day": f"2026-{draw.randint(1, 12):02}-{draw.randint(1, 28):02}",
        "place": {"city": draw.choice(CITIES), "zip": f"{draw.randint(1000, 99999):05}"},
    }


def written(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def pretty(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


def _drafted(draw: random.Random, value: Truth) -> str:
    """An earlier thought about the same row: another valid answer."""
    return written({**value, "stars": value["stars"] % 5 + 1, "note": "first thought"})


def _held(value: Truth, **changed: Any) -> str:
    """The text with some values written otherwise."""
    return written({**value, **changed})


def _quoted(value: Any, opening: str, closing: str) -> str:
    """JSON with other quotes, as something that never learned escapes would write it."""
    match value:
        case dict():
            return (
                "{" + ", ".join(f"{opening}{name}{closing}: {_quoted(v, opening, closing)}" for name, v in value.items()) + "}"
            )
        case list():
            return "[" + ", ".join(_quoted(child, opening, closing) for child in value) + "]"
        case str():
            return f"{opening}{value}{closing}"
        case _:
            return json.dumps(value)


def _raw(value: Truth) -> str:
    """With the note as it is, no character of it escaped."""
    return _held(value, note="NOTE").replace("NOTE", value["note"])


def _unquoted_keys(value: Truth) -> str:
    text = written(value)
    for name in (*SCHEMA["properties"], "city", "zip"):
        text = text.replace(f'"{name}": ', f"{name}: ")
    return text


def _changed(value: Truth, **changed: Any) -> Truth:
    value.update(changed)
    return value


MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def _in_words(day: str, draw: random.Random) -> str:
    year, month, of = day.split("-")
    name = MONTHS[int(month) - 1]
    forms = (f"{int(of)} {name} {year}", f"{name} {int(of)}, {year}", f"{int(of)} {name[:3]} {year}", f"{year}/{month}/{of}")
    return draw.choice(forms)


def _cut(text: str, draw: random.Random) -> str:
    return text[: draw.randint(1, len(text) - 1)]


WRAPPED: dict[str, Damage] = {
    "clean": lambda d, v: written(v),
    "pretty, CRLF": lambda d, v: pretty(v).replace("\n", "\r\n"),
    "fence json": lambda d, v: f"```json\n{pretty(v)}\n```",
    "fence plain": lambda d, v: f"```\n{written(v)}\n```",
    "fence tilde": lambda d, v: f"~~~\n{written(v)}\n~~~",
    "fence not closed": lambda d, v: f"```json\n{pretty(v)}",
    "prose before": lambda d, v: f"Here is the analysis you asked for:\n\n{written(v)}",
    "prose after": lambda d, v: f"{pretty(v)}\n\nLet me know if you need anything else!",
    "prose around a fence": lambda d, v: f"Sure!\n```json\n{pretty(v)}\n```\nIt's {v['sentiment']}, I think.",
    "prose with braces": lambda d, v: f"I fill {{sentiment}} and {{stars}} as told: {written(v)} (see {{note}}).",
    "prose with brackets": lambda d, v: f"By rule [1] and [see notes] it is {written(v)} [end]",
    "think tags": lambda d, v: f"<think>Is it {{good}}? Rather {v['sentiment']}.</think>\n{written(v)}",
    "draft inside thinking": lambda d, v: f"<thinking>maybe {_drafted(d, v)}</thinking>{written(v)}",
    "thinking never opened": lambda d, v: f"perhaps {_drafted(d, v)}, no…\n</think>\n\n{written(v)}",
    "draft, then final": lambda d, v: f"First: {_drafted(d, v)}\nOn reflection:\n{written(v)}",
    "drafts in fences": lambda d, v: f"```json\n{_drafted(d, v)}\n```\nCorrected:\n```json\n{written(v)}\n```",
    "said twice": lambda d, v: f"{written(v)}\n{written(v)}",
    "answer, then a reason": lambda d, v: f'{written(v)}\n{{"reason": "the tone of the text"}}',
    "byte order mark": lambda d, v: f"\ufeff{written(v)}",
    "assignment": lambda d, v: f"answer = {written(v)};",
    "XML tag": lambda d, v: f"<answer>\n{written(v)}\n</answer>",
    "bold": lambda d, v: f"**{written(v)}**",
    "label before": lambda d, v: f"JSON: {written(v)}",
    "array around": lambda d, v: f"[{written(v)}]",
    "object around": lambda d, v: written({"answer": v}),
    "schema repeated first": lambda d, v: f"{written(SCHEMA)}\n\n{written(v)}",
}
SYNTAX: dict[str, Damage] = {
    "trailing comma": lambda d, v: written(v)[:-1] + ",}",
    "trailing comma inside": lambda d, v: written(_changed(v, topics=["food", "noise"])).replace('"noise"]', '"noise",]'),
    "single quotes": lambda d, v: _quoted(v, "'", "'"),
    "Python repr": lambda d, v: repr(v),
    "Python literals": lambda d, v: (
        written(_changed(v, price=None, note="fine"))
        .replace("null", "None")
        .replace(": true", ": True")
        .replace(": false", ": False")
    ),
    "unquoted keys": lambda d, v: _unquoted_keys(v),
    "smart quotes": lambda d, v: _quoted(v, "“", "”"),
    "smart quotes inside": lambda d, v: written(_changed(v, note="he said “no”, twice")) + ";",
    "line comment": lambda d, v: pretty(v).replace(",\n", ", // as stated\n", 1),
    "hash comment": lambda d, v: pretty(v).replace(",\n", ", # as stated\n", 1),
    "block comment": lambda d, v: written(v).replace('"stars"', '/* from 1 to 5 */ "stars"'),
    "missing last brace": lambda d, v: written(v)[:-1],
    "both last braces missing": lambda d, v: written(v)[:-2],
    "extra brace": lambda d, v: written(v) + "}",
    "missing comma": lambda d, v: written(v).replace(', "stars"', ' "stars"'),
    "missing comma, lines": lambda d, v: pretty(v).replace(',\n  "note"', '\n  "note"'),
    "two commas": lambda d, v: written(v).replace(', "stars"', ',, "stars"'),
    "missing colon": lambda d, v: written(v).replace('"stars": ', '"stars" '),
    "equals signs": lambda d, v: written(v).replace('": ', '" = '),
    "semicolons": lambda d, v: written(_changed(v, note="plain", people=[], topics=[])).replace(', "', '; "'),
    "quotes inside": lambda d, v: _raw(_changed(v, note='they call it "best" here')),
    "quotes inside, comma": lambda d, v: _raw(_changed(v, note='he said "wow", and left')),
    "quotes at the edges": lambda d, v: _raw(_changed(v, note='"wow" is all he said of "it"')),
    "quotes around a colon": lambda d, v: _raw(_changed(v, note='the "rule": pay first')),
    "line break in a string": lambda d, v: _raw(_changed(v, note="first line\nsecond line")),
    "tab in a string": lambda d, v: _raw(_changed(v, note="a\tb")),
    "bad escape, path": lambda d, v: _raw(_changed(v, note=r"C:\Users\data")),
    "bad escape, regex": lambda d, v: _raw(_changed(v, note=r"\d+ of \w+")),
    "bad escape, tabs?": lambda d, v: _raw(_changed(v, note=r"C:\new\table\Users")),
    "apostrophe escaped": lambda d, v: written(_changed(v, note="it's so")).replace("'", "\\'"),
    "underscore escaped": lambda d, v: written(_changed(v, note="snake_case_name")).replace("_", "\\_"),
    "all quotes escaped": lambda d, v: written(v).replace('"', '\\"'),
    "HTML entities": lambda d, v: written(v).replace('"', "&quot;"),
    "NaN": lambda d, v: written(_changed(v, price=None, note="fine")).replace("null", "NaN"),
    "Infinity": lambda d, v: written(_changed(v, price=None, note="fine")).replace("null", "-Infinity"),
    "undefined": lambda d, v: written(_changed(v, price=None, note="fine")).replace("null", "undefined"),
    "ellipsis in a list": lambda d, v: written(_changed(v, people=["Anna", "Zoë"])).replace('"Zoë"', "..."),
    "ellipsis for the rest": lambda d, v: written(v).split(', "note"')[0] + ", ...}",
    "quote not closed": lambda d, v: written(v).replace('", "stars"', ', "stars"'),
    "quote not opened": lambda d, v: written(v).replace('"sentiment": "', '"sentiment": '),
    "leading zero": lambda d, v: _held(v).replace('"stars": ', '"stars": 0'),
    "plus sign": lambda d, v: _held(v).replace('"stars": ', '"stars": +'),
    "thousands": lambda d, v: written(_changed(v, price=3000)).replace("3000,", "3,000,"),
    "percent": lambda d, v: written(_changed(v, price=0.99)).replace("0.99,", "99%,"),
    "NBSP between": lambda d, v: pretty(v).replace("\n  ", "\n\u00a0\u00a0"),
    "halves": lambda d, v: "{" + written(v)[1:].replace(', "note"', '}\n{"note"', 1),
    "list not closed": lambda d, v: written(_changed(v, people=["Anna"])).replace('"Anna"]', '"Anna"'),
    "inner object not closed": lambda d, v: written({"place": v.pop("place"), **v}).replace("}, ", ", ", 1),
    "key without value": lambda d, v: written(v).replace(', "stars"', ', "reason", "stars"'),
    "words amid": lambda d, v: written(v).replace(', "stars"', ', that is "stars"'),
}
VALUES: dict[str, Damage] = {
    "enum title case": lambda d, v: _held(v, sentiment=v["sentiment"].title()),
    "enum upper case": lambda d, v: _held(v, sentiment=v["sentiment"].upper()),
    "enum spaces": lambda d, v: _held(v, sentiment=f" {v['sentiment']}\n"),
    "enum doubled spaces": lambda d, v: _held(_changed(v, sentiment="mixed feelings"), sentiment="Mixed  feelings"),
    "enum case in a list": lambda d, v: _held(_changed(v, topics=["food", "noise"]), topics=["Food", "noise "]),
    "enum underscore": lambda d, v: _held(_changed(v, sentiment="mixed feelings"), sentiment="mixed_feelings"),
    "integer in a string": lambda d, v: _held(v, stars=str(v["stars"])),
    "number in a string": lambda d, v: _held(_changed(v, price=12.5), price="12.5"),
    "number in words": lambda d, v: _held(v, stars=("one", "two", "three", "four", "five")[v["stars"] - 1]),
    "rating out of five": lambda d, v: _held(v, stars=f"{v['stars']}/5"),
    "price with its sign": lambda d, v: _held(_changed(v, price=3000), price="$3,000"),
    "boolean in a string": lambda d, v: _held(v, recommended=str(v["recommended"]).lower()),
    "boolean in capitals": lambda d, v: _held(v, recommended=str(v["recommended"])),
    "boolean as a word": lambda d, v: _held(v, recommended="yes" if v["recommended"] else "no"),
    "boolean as a number": lambda d, v: _held(v, recommended=int(v["recommended"])),
    "null in a string": lambda d, v: _held(_changed(v, price=None), price="null"),
    "null as n/a": lambda d, v: _held(_changed(v, price=None), price="n/a"),
    "integer as a float": lambda d, v: _held(v, stars=float(v["stars"])),
    "date in words": lambda d, v: _held(v, day=_in_words(v["day"], d)),
    "date, both ways": lambda d, v: _held(_changed(v, day="2026-04-03"), day="03/04/2026"),
    "date with spaces": lambda d, v: _held(v, day=f" {v['day']} "),
    "one topic": lambda d, v: _held(_changed(v, topics=["food"]), topics="food"),
    "topics joined": lambda d, v: _held(_changed(v, topics=["food", "noise"]), topics="food, noise"),
    "people joined": lambda d, v: _held(_changed(v, people=["Anna", "Zoë"]), people="Anna, Zoë"),
    "list in a string": lambda d, v: _held(v, people=written(v["people"])),
    "object in a string": lambda d, v: _held(v, place=written(v["place"])),
    "all in a string": lambda d, v: written(written(v)),
    "key twice, same": lambda d, v: written(v)[:-1] + f', "stars": {v["stars"]}}}',
    "key twice, changed": lambda d, v: f'{{"stars": {v["stars"] % 5 + 1}, {written(v)[1:]}',
    "surrogate escaped": lambda d, v: json.dumps(_changed(v, note="ok 😀")),
    "extra property": lambda d, v: _held(v, confidence=0.9),
    "property left out": lambda d, v: written({name: held for name, held in v.items() if name != "day"}),
    "key in capitals": lambda d, v: written(v).replace('"stars"', '"Stars"'),
}
CUT: dict[str, Damage] = {
    "cut anywhere": lambda d, v: _cut(written(v), d),
    "cut in a fence": lambda d, v: "```json\n" + _cut(pretty(v), d),
    "cut after prose": lambda d, v: "Here it is: " + _cut(written(v), d),
}
"""Scored apart: the API says `max_tokens` where it cuts. Here it says `end_turn`, which only a proxy could get wrong."""
CLASSES: dict[str, Damage] = {**WRAPPED, **SYNTAX, **VALUES}


@dataclass(slots=True)
class Score:
    exact: int = 0
    refused: int = 0
    silent: int = 0

    def line(self, name: str) -> str:
        every = self.exact + self.refused + self.silent
        return f"{name:<26}" + "".join(f"{share / every:>10.1%}" for share in (self.exact, self.refused, self.silent))


def corpus(classes: dict[str, Damage], each: int, seed: int) -> Iterator[tuple[str, Truth, str]]:
    """Class, truth and damaged text; the same for the same seed, whatever other classes there are."""
    for name, damage in classes.items():
        draw = random.Random(f"{seed} {name}")  # noqa: S311  # a corpus, no secret
        for _ in range(each):
            value = truth(draw)
            yield name, value, damage(draw, value)


def scored(classes: dict[str, Damage], each: int, seed: int, repair: Repair, stop: str = "end_turn") -> dict[str, Score]:
    judging = judge(repair, SCHEMA)
    scores = {name: Score() for name in classes}
    for name, value, text in corpus(classes, each, seed):
        verdict = judging.judge(reply(text, stop))
        if not isinstance(verdict, Answer):
            scores[name].refused += 1
        elif written(alike(verdict.value)) == written(alike(value)):
            scores[name].exact += 1
        else:
            scores[name].silent += 1
    return scores


def alike(value: Any) -> Any:
    """One form for equal values: names sorted, whole floats as integers; 1 and true stay two things."""
    match value:
        case dict():
            return {name: alike(value[name]) for name in sorted(value)}
        case list():
            return [alike(child) for child in value]
        case float() if value.is_integer():
            return int(value)
        case _:
            return copy.copy(value)


def cut_short(answers: int, seed: int, repair: Repair) -> Counter[str]:
    """How so many valid answers end, each cut at every one of its bytes with `max_tokens`."""
    judging = judge(repair, SCHEMA)
    ends: Counter[str] = Counter()
    for _, _, text in corpus({"cut": CLASSES["clean"]}, answers, seed):
        encoded = text.encode()
        for end in range(len(encoded) + 1):
            verdict = judging.judge(reply(encoded[:end].decode(errors="replace"), "max_tokens"))
            if isinstance(verdict, Answer):
                ends["ok_repaired" if verdict.repairs else "ok"] += 1
            else:
                ends[verdict.status.value] += 1
    return ends


def total(scores: dict[str, Score]) -> Score:
    every = scores.values()
    return Score(sum(s.exact for s in every), sum(s.refused for s in every), sum(s.silent for s in every))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cuts", type=int, default=0, help="so many answers are cut at each byte as well")
    options = parser.parse_args()
    levels: tuple[Repair, ...] = ("wrappers", "full")
    for repair in levels:
        lines = [f"{f'check.repair: {repair}':<26}{'exact':>10}{'refused':>10}{'silent':>10}"]
        scores = scored(CLASSES, options.each, options.seed, repair)
        lines += [score.line(name) for name, score in scores.items()]
        lines.append(total(scores).line(f"all {len(scores)} classes"))
        for stop in ("max_tokens", "end_turn"):
            lines.append(total(scored(CUT, options.each, options.seed, repair, stop)).line(f"cut, {stop}"))
        if options.cuts:
            ends = cut_short(options.cuts, options.seed, repair)
            lines.append(f"{options.cuts} answers cut at every byte: {dict(ends)}")
        sys.stdout.write("\n".join([*lines, "", ""]))


if __name__ == "__main__":
    main()
