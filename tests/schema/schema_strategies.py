"""Hypothesis strategies: schemas as people write them, each with values that are valid under it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from pipeline.schema.load import Schema, load
from pipeline.schema.validator import compiled

Json = Any

_words = st.sampled_from(["a", "b", "label", "Größe", "x y", "p/q", "t~u", "$ref", "type", "items"])
_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_labels = st.lists(st.sampled_from(["pos", "neg", "neutral", "Äh", "n/a", ""]), min_size=1, max_size=4, unique=True)
_scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False), _texts
)
values: st.SearchStrategy[Json] = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3), max_leaves=8
)


@dataclass(frozen=True)
class Pair:
    """A schema and one value that is valid under it."""

    schema: Json
    value: Json


@st.composite
def _text(draw: st.DrawFn) -> Pair:
    value = draw(_texts)
    schema = {"type": "string", **draw(st.sampled_from([{}, {"description": "A text."}, {"maxLength": 8}, {"minLength": 0}]))}
    return Pair(schema, value)


@st.composite
def _pattern(draw: st.DrawFn) -> Pair:
    pattern, value = draw(
        st.sampled_from([("^[A-Z]{2}-\\d+$", "DE-17"), ("^(?:yes|no)$", "no"), ("\\d", "a1b"), ("^a|b$", "zb")])
    )
    return Pair({"type": "string", "pattern": pattern}, value)


@st.composite
def _enumeration(draw: st.DrawFn) -> Pair:
    labels = draw(_labels)
    schema = {"enum": labels, **draw(st.sampled_from([{}, {"type": "string"}]))}
    return Pair(schema, draw(st.sampled_from(labels)))


@st.composite
def _number(draw: st.DrawFn) -> Pair:
    if draw(st.booleans()):
        whole = draw(st.integers(-(2**66), 2**66))
        return Pair(
            {"type": "integer", **draw(st.sampled_from([{}, {"minimum": -(2**66)}]))}, draw(st.sampled_from([whole, 3.0]))
        )
    return Pair({"type": "number"}, draw(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-9, 9)))


@st.composite
def _nullable(draw: st.DrawFn, inner: st.SearchStrategy[Pair]) -> Pair:
    pair = draw(inner)
    value = draw(st.sampled_from([None, pair.value]))
    kind = pair.schema.get("type") if isinstance(pair.schema, dict) else None
    if isinstance(kind, str) and draw(st.booleans()) and "enum" not in pair.schema:
        return Pair({**pair.schema, "type": [kind, "null"]}, value)
    keyword = draw(st.sampled_from(["anyOf", "oneOf"]))
    if keyword == "oneOf" and kind is None:
        keyword = "anyOf"
    return Pair({keyword: [pair.schema, {"type": "null"}]}, value)


@st.composite
def _array(draw: st.DrawFn, inner: st.SearchStrategy[Pair]) -> Pair:
    pair = draw(inner)
    bounds = draw(st.sampled_from([{}, {"maxItems": 5}, {"minItems": 1}, {"minItems": 2}]))
    return Pair({"type": "array", "items": pair.schema, **bounds}, [pair.value] * draw(st.integers(2, 3)))


@st.composite
def _object(draw: st.DrawFn, inner: st.SearchStrategy[Pair]) -> Pair:
    pairs = draw(st.dictionaries(_words, inner, min_size=1, max_size=3))
    required = [name for name in pairs if draw(st.booleans())]
    value = {name: pair.value for name, pair in pairs.items() if name in required or draw(st.booleans())}
    schema: Json = {"type": "object", "properties": {name: pair.schema for name, pair in pairs.items()}, "required": required}
    closing = draw(st.sampled_from(["closed", "open", "map", "true"]))
    if closing == "closed":
        schema["additionalProperties"] = False
    elif closing == "map":
        schema["additionalProperties"] = {"type": "integer"}
        value["extra"] = 5
    elif closing == "true":
        schema["additionalProperties"] = True
    return Pair(schema, value)


@st.composite
def _wrapped(draw: st.DrawFn, inner: st.SearchStrategy[Pair]) -> Pair:
    """In allOf, or beside another schema that the value obeys anyhow."""
    pair = draw(inner)
    beside: Json = draw(st.sampled_from([True, {}, {"description": "noted"}, {"not": {"const": "§never§"}}]))
    return Pair({"allOf": [pair.schema, beside]}, pair.value)


_leaves = st.one_of(_text(), _pattern(), _enumeration(), _number(), st.booleans().map(lambda b: Pair({"type": "boolean"}, b)))
_anything = values.map(lambda value: Pair(True, value))
_nodes: st.SearchStrategy[Pair] = st.recursive(
    _leaves | _anything,
    lambda inner: st.one_of(_nullable(inner), _array(inner), _object(inner), _wrapped(inner)),
    max_leaves=6,
)


@st.composite
def loaded(draw: st.DrawFn) -> tuple[Schema, dict[str, Json]]:
    """A schema that load admits, with a valid answer. Some nodes stand in $defs and are referred to."""
    pairs = draw(st.dictionaries(_words, _nodes, min_size=1, max_size=4))
    definitions: dict[str, Json] = {}
    properties: dict[str, Json] = {}
    for index, (name, pair) in enumerate(pairs.items()):
        properties[name] = pair.schema
        if draw(st.booleans()):
            definitions[f"d{index}"] = pair.schema
            note = draw(st.sampled_from([{}, {"description": "Referred to."}]))
            properties[name] = {"$ref": f"#/$defs/d{index}", **note}
    required = [name for name in pairs if draw(st.booleans())]
    document: dict[str, Json] = {"type": "object", "properties": properties, "required": required}
    if draw(st.booleans()):
        document["additionalProperties"] = False
    if definitions:
        document["$defs"] = definitions
    answer = {name: pair.value for name, pair in pairs.items()}
    assume(compiled(document, "2020-12").is_valid(answer))  # oneOf takes no value that two of its alternatives take
    return load(json.dumps(document), "generated.json"), answer
