"""What a prompt says of the answer in words: schemas in its text, and keywords in descriptions that the API's form cannot
carry (`Must also hold: {"minimum": 1}`). A model reads these; so does a rehearsal. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

MARK = "Must also hold: "
SIGNS = frozenset({"properties", "$ref", "allOf", "anyOf", "oneOf"})
"""An object with one of these and a type, or with `$schema`, is a schema and not an example of an answer."""
_DECODER = json.JSONDecoder()


def schema_for(text: str, turn: int) -> str | None:
    """The schema that a text states for a turn, from 1, as JSON text; None where it states none. Schemas stand in the order of
    their turns; the last one is for all that follow."""
    found = list(schemas(text))
    return json.dumps(found[min(turn, len(found)) - 1]) if found else None


def schemas(text: str) -> Iterator[dict[str, Any]]:
    """The JSON Schemas of objects that stand in a text, in their order."""
    at = text.find("{")
    while at >= 0:
        try:
            value, end = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = at + 1
        else:
            if "$schema" in value or (value.get("type") == "object" and SIGNS & value.keys()):
                yield value
        at = text.find("{", end)


def heeded(schema: str) -> str | None:
    """The schema (JSON text) with what its descriptions demand; None where they demand nothing."""
    root = json.loads(schema)
    heeding = _heeding(root)
    return json.dumps(heeding) if heeding != root else None


def _heeding(node: Any) -> Any:
    match node:
        case list():
            return [_heeding(each) for each in node]
        case dict():
            held = {name: _heeding(child) for name, child in node.items()}
            description = node.get("description")
            demands = [*_demands(description)] if isinstance(description, str) else []
            return {**held, "allOf": [*held.get("allOf", ()), *demands]} if demands else held
    return node


def _demands(description: str) -> Iterator[Mapping[str, Any]]:
    """Those of one description. One that refers to definitions is left out: they are not in this document."""
    at = description.find(MARK) + len(MARK)
    while at >= len(MARK) and description.startswith("{", at):
        try:
            demand, at = _DECODER.raw_decode(description, at)
        except (ValueError, RecursionError):
            return
        if '"$ref"' not in json.dumps(demand):
            yield demand
        at += len(", ")
