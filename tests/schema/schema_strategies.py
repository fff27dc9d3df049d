"""Hypothesis strategies: schemas as people write them, values that are valid under them or nearly so, and damaged replies."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from hypothesis import assume
from hypothesis import strategies as st

from pipeline.schema.load import Schema, load
from pipeline.schema.validator import Draft, compiled

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


_FORMATTED = [
    *(("date", "2026-02-28"), ("date-time", "2026-02-28T10:00:00Z"), ("time", "10:00:00Z"), ("duration", "P1DT2H")),
    *(("email", "a@b.org"), ("hostname", "b.org"), ("uri", "https://b.org/x"), ("ipv4", "127.0.0.1"), ("ipv6", "::1")),
    *(("uuid", "123e4567-e89b-12d3-a456-426614174000"), ("iri", "https://ö.org/"), ("regex", "a+"), ("made-up", "x")),
]


@st.composite
def _formatted(draw: st.DrawFn) -> Pair:
    name, value = draw(st.sampled_from(_FORMATTED))
    return Pair({"type": "string", "format": name}, value)


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
    if draw(st.booleans()):
        bounds: Json = draw(st.sampled_from([{"minimum": 0}, {"exclusiveMaximum": 9}, {"multipleOf": 0.5}, {"enum": [2, 2.5]}]))
        return Pair(
            {"type": draw(st.sampled_from(["number", ["integer", "number"]])), **bounds}, draw(st.sampled_from([2, 2.5]))
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


_CLOSINGS = ("closed", "closed", "closed", "open", "map", "true")


@st.composite
def _object(draw: st.DrawFn, inner: st.SearchStrategy[Pair], closings: tuple[str, ...] = _CLOSINGS) -> Pair:
    pairs = draw(st.dictionaries(_words, inner, min_size=1, max_size=3))
    required = [name for name in pairs if draw(st.booleans())]
    value = {name: pair.value for name, pair in pairs.items() if name in required or draw(st.booleans())}
    schema: Json = {"type": "object", "properties": {name: pair.schema for name, pair in pairs.items()}, "required": required}
    closing = draw(st.sampled_from(closings))
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


@st.composite
def _map(draw: st.DrawFn, inner: st.SearchStrategy[Pair]) -> Pair:
    pair = draw(inner)
    value = dict.fromkeys(draw(st.lists(_words, max_size=3)), pair.value)
    if draw(st.booleans()):
        return Pair({"type": "object", "patternProperties": {"^": pair.schema}, "additionalProperties": False}, value)
    return Pair({"type": "object", "additionalProperties": pair.schema}, value)


@st.composite
def _places(draw: st.DrawFn, inner: st.SearchStrategy[Pair]) -> Pair:
    pairs = draw(st.lists(inner, min_size=1, max_size=3))
    rest: Json = draw(st.sampled_from([{}, {"items": False}, {"items": {"type": "integer"}}]))
    schema = {"type": "array", "prefixItems": [pair.schema for pair in pairs], **rest}
    return Pair(schema, [pair.value for pair in pairs][: draw(st.integers(0, 3))])


@st.composite
def _alternatives(draw: st.DrawFn, inner: st.SearchStrategy[Pair]) -> Pair:
    pairs = draw(st.lists(inner, min_size=2, max_size=3))
    return Pair({draw(st.sampled_from(["anyOf", "oneOf"])): [pair.schema for pair in pairs]}, pairs[0].value)


@st.composite
def _conditioned(draw: st.DrawFn, inner: st.SearchStrategy[Pair]) -> Pair:
    """With a keyword beside it that the value obeys, and that the API does not take."""
    pair = draw(inner)
    beside: Json = draw(
        st.sampled_from(
            [
                {"not": {"const": "§never§"}},
                {"if": {"const": "§never§"}, "then": False},
                {"dependentRequired": {"§never§": ["a"]}},
                {"dependentSchemas": {"§never§": {"minProperties": 2}}},
                {"propertyNames": {"minLength": 1}},
                {"uniqueItems": False},
                {"contains": True, "minContains": 0},
            ]
        )
    )
    assume(isinstance(pair.schema, dict) and not pair.schema.keys() & beside.keys())
    return Pair({**pair.schema, **beside}, pair.value)


_leaves = st.one_of(
    *(_text(), _pattern(), _formatted(), _enumeration(), _number()),
    st.booleans().map(lambda b: Pair({"type": "boolean"}, b)),
)
_anything = values.map(lambda value: Pair(True, value))
_plain: st.SearchStrategy[Pair] = st.recursive(
    _leaves, lambda inner: st.one_of(_nullable(inner), _array(inner), _object(inner), _conditioned(inner)), max_leaves=4
)
_exact: st.SearchStrategy[Pair] = st.recursive(
    st.one_of(_enumeration(), _texts.map(lambda text: Pair({"type": "string"}, text)), st.just(Pair({"type": "number"}, 2.5))),
    lambda inner: st.one_of(_nullable(inner), _object(inner, ("closed",))),
    max_leaves=4,
)
"""All of it can be said in the API form."""
_nodes: st.SearchStrategy[Pair] = st.recursive(
    _leaves | _anything,
    lambda inner: st.one_of(
        *(_nullable(inner), _array(inner), _object(inner), _wrapped(inner)),
        *(_map(inner), _places(inner), _alternatives(inner), _conditioned(inner)),
    ),
    max_leaves=4,
)

_TREE = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "below": {"type": "array", "items": {"$ref": "#/$defs/tree"}}},
    "required": ["name"],
    "additionalProperties": False,
}
_BRANCH = Pair({"$ref": "#/$defs/tree"}, {"name": "a", "below": [{"name": "b"}, {"name": "c", "below": []}]})


def _old(node: Json) -> Json:
    """What a 2020-12 schema of these strategies is in draft-07."""
    if isinstance(node, list):
        return [_old(child) for child in node]
    if not isinstance(node, dict):
        return node
    old = {name: held if name in ("enum", "const") else _old(held) for name, held in node.items()}
    if "$ref" in old and isinstance(old["$ref"], str):
        return {"$ref": old["$ref"].replace("#/$defs/", "#/definitions/")}
    for keyword in ("dependentRequired", "dependentSchemas"):
        if isinstance(old.get(keyword), dict):
            old["dependencies"] = old.pop(keyword)
    if isinstance(old.get("prefixItems"), list):
        rest = old.pop("items", None)
        old["items"] = old.pop("prefixItems")
        if rest is not None:
            old["additionalItems"] = rest
    return old


@st.composite
def loaded(
    draw: st.DrawFn, *, drafts: tuple[Draft, ...] = ("2020-12",), of_kind: Literal["exact", "plain", "any"] = "any"
) -> tuple[Schema, dict[str, Json]]:
    """A schema that load admits, with a valid answer. Some nodes are referred to, in $defs here or in a file beside."""
    nodes = {"exact": _exact, "plain": _plain, "any": draw(st.sampled_from([_plain, _nodes]))}[of_kind]
    pairs = draw(st.dictionaries(_words, nodes, min_size=1, max_size=3))
    definitions: dict[str, Json] = {}
    if of_kind == "any" and draw(st.integers(0, 9)) == 0:
        pairs["tree"], definitions["tree"] = _BRANCH, _TREE
    file = draw(st.sampled_from(["", "", "sub/defs.json"]))
    properties: dict[str, Json] = {}
    for index, (name, pair) in enumerate(pairs.items()):
        properties[name] = pair.schema
        if draw(st.booleans()) and pair is not _BRANCH:
            definitions[f"d{index}"] = pair.schema
            note = draw(st.sampled_from([{}, {"description": "Referred to."}]))
            properties[name] = {"$ref": f"#/$defs/d{index}", **note}
    required = [name for name in pairs if draw(st.booleans())]
    document: dict[str, Json] = {"type": "object", "properties": properties, "required": required}
    if of_kind == "exact" or draw(st.integers(0, 2)):
        document["additionalProperties"] = False
    answer = {name: pair.value for name, pair in pairs.items()}
    of = draw(st.sampled_from(drafts))
    shared = {"$defs": definitions} if definitions else {}
    if of == "draft-07":
        document, file = {"$schema": "http://json-schema.org/draft-07/schema#", **_renamed(_old({**document, **shared}))}, ""
    elif not file:
        document |= shared
    whole = document if of == "draft-07" or not file else {**document, **shared}
    assume(compiled(whole, of).is_valid(answer))  # oneOf takes no value that two of its alternatives take
    text = json.dumps(document)
    beside = json.dumps(shared)
    if file:
        text = text.replace('"#/$defs/', f'"{file}#/$defs/')
    return load(text, "generated.json", lambda _: beside), answer


def _renamed(document: dict[str, Json]) -> dict[str, Json]:
    return {"definitions" if name == "$defs" else name: held for name, held in document.items()}


@st.composite
def near(draw: st.DrawFn, value: Json, *, more: bool = True) -> Json:
    """A value that differs from it in one place or two: another scalar, a key less, or one more where `more` allows it."""
    for _ in range(draw(st.integers(1, 2))):
        value = _with_a_change(draw, value, more)
    return value


def _with_a_change(draw: st.DrawFn, value: Json, more: bool) -> Json:
    deeper = draw(st.integers(0, 3)) > 0
    match value:
        case dict() if value and deeper:
            name = draw(st.sampled_from(sorted(value)))
            return {**value, name: _with_a_change(draw, value[name], more)}
        case dict():
            kept = {name: child for name, child in value.items() if draw(st.integers(0, 2))}
            return {**kept, **draw(st.sampled_from([{}, {}, {"extra": 1}, {"a": None}] if more else [{}]))}
        case list() if value and deeper:
            at = draw(st.integers(0, len(value) - 1))
            return [*value[:at], _with_a_change(draw, value[at], more), *value[at + 1 :]]
        case list():
            return draw(st.sampled_from([[], value[:1], [*value, *value], [*value, None]]))
        case str():
            return draw(st.sampled_from([value + "x", value.upper(), "", "Äh", None, 1]))
        case _:
            return draw(st.sampled_from([0, 1, 1.0, -1, 2.5, 2**63, 10**30, True, None, "1", [], {}]))


@st.composite
def damaged(draw: st.DrawFn, answer: Json) -> str:
    """The answer as models write it when they do not write plain JSON; also cut, and also as it should be."""
    text = json.dumps(answer, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 2])))
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(text)))
        text = draw(
            st.sampled_from(
                [
                    *(f"```json\n{text}\n```", f"Here it is:\n\n{text}\n\nAnything else?", f"<think>{{}}</think>{text}"),
                    *(
                        "\ufeff" + text,
                        text[:at],
                        text[:at] + text[at + 1 :],
                        f"{text[:at]}\\{text[at:]}",
                        text + text,
                        f"[{text}]",
                    ),
                    *(text.replace('"', "'"), text.replace("}", ",}"), text.replace("true", "True").replace("null", "None")),
                    *(
                        text.replace(",", ""),
                        text.replace(":", " ="),
                        text.replace("1", "NaN"),
                        f"{text[:at]}\ud800{text[at:]}",
                    ),
                ]
            )
        )
    return text
