"""The answers to the pieces of a row → the row's, property by property, by rules that a job declares.

A piece that says null, or nothing, about a property has not found it: it does not count where another says more. What comes
out is an answer like any other and is held to the schema.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from pipeline.check.answer import Judge
from pipeline.records import JSON, Answer, Rejection, Status
from pipeline.schema.load import Schema

BETWEEN = "\n\n"
"""Between two texts that become one."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One way to make one value of many: of at least one, none of them null."""

    reduced: Callable[[Sequence[Any]], JSON]
    kinds: frozenset[str] | None
    """JSON types that it takes; None: any."""
    says: str
    """Those in words."""


def _majority(values: Sequence[JSON]) -> JSON:
    """The most frequent; of several the one that came first."""
    first = {_canonical(value): value for value in reversed(values)}
    return first[Counter(map(_canonical, values)).most_common(1)[0][0]]


def _concat(values: Sequence[Any]) -> JSON:
    if all(isinstance(value, str) for value in values):
        return BETWEEN.join(values)
    return [item for value in values for item in value]


def _union(values: Sequence[list[JSON]]) -> JSON:
    """Each item once, in the order in which it came first."""
    found: dict[str, JSON] = {}
    for item in (item for value in values for item in value):
        found.setdefault(_canonical(item), item)
    return list(found.values())


def _canonical(value: JSON) -> str:
    return json.dumps(value, sort_keys=True)


_NUMBERS = frozenset({"integer", "number"})
_BOOLEAN = frozenset({"boolean"})
_ARRAY = frozenset({"array"})

RULES: Mapping[str, Rule] = {
    "majority": Rule(_majority, None, "anything"),
    "max": Rule(max, _NUMBERS, "numbers"),
    "min": Rule(min, _NUMBERS, "numbers"),
    "mean": Rule(fmean, _NUMBERS, "numbers that are no integers"),
    "any": Rule(any, _BOOLEAN, "true and false"),
    "all": Rule(all, _BOOLEAN, "true and false"),
    "concat": Rule(_concat, None, "texts without an enum, or lists"),
    "union": Rule(_union, _ARRAY, "lists"),
    "first": Rule(lambda values: values[0], None, "anything"),
}


def faults(combine: Mapping[str, str], schema: Schema) -> list[str]:
    """Why answers under this schema cannot be combined so, a sentence each."""
    found = [f"{name}: the answer has no such property" for name in combine if name not in schema.properties]
    enums, tree = schema.enums(), schema.tree
    for name, (pointer, node) in tree.columns().items():
        kinds = tree.kinds(pointer, node) - {"null"}
        fitting = [rule for rule in RULES if _fits(rule, kinds, is_enum=name in enums)]
        if name not in combine:
            found.append(f"{name}: no rule says how its values become one; it takes {', '.join(fitting)}")
        elif combine[name] not in fitting:
            what = f"of type {' or '.join(sorted(kinds))}" if kinds else "null"
            told = f"{combine[name]} is for {RULES[combine[name]].says}, and its values are {what}"
            found.append(f"{name}: {told}; it takes {', '.join(fitting)}")
    return found


def _fits(rule: str, kinds: frozenset[str], *, is_enum: bool) -> bool:
    match rule:
        case "concat":
            return kinds == _ARRAY or (kinds == {"string"} and not is_enum)
        case "mean":
            return "number" in kinds and kinds <= _NUMBERS
        case _:
            takes = RULES[rule].kinds
            return takes is None or (bool(kinds) and kinds <= takes)


@dataclass(frozen=True, slots=True)
class ByRules:
    rules: Mapping[str, str]
    """Property → name of its rule, for each property (see `faults`)."""
    judge: Judge

    def __call__(self, answers: Sequence[Mapping[str, JSON]]) -> Answer | Rejection:
        """`answers`: one for each piece, in the order of the text; each valid under the schema."""
        value: dict[str, JSON] = {}
        for name, rule in self.rules.items():
            told = [answer[name] for answer in answers if name in answer]
            counted = [one for one in told if one is not None]
            try:
                if counted:
                    value[name] = RULES[rule].reduced(counted)
                elif told:
                    value[name] = None
            except OverflowError:
                return _rejected(f"/{name}: the {rule} of such numbers is none")
        wrong = self.judge.faults(value)
        return _rejected("; ".join(wrong)) if wrong else Answer(value)


def _rejected(why: str) -> Rejection:
    error = f"its pieces have answers, and the one made of them by prompt.long.combine is not valid under the schema: {why}"
    return Rejection(Status.INVALID_OUTPUT, error, None)
