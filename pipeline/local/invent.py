"""A value for any schema: what rehearsal answers. Pure; chance comes in, so that one seed gives one value.

A schema is flattened first (references, allOf, one branch of anyOf and oneOf, one side of if), then a value is made
from the keywords that are left. What that misses (`not`, keywords that pull against each other) is caught by the
validator, and another throw of the dice tried. hypothesis-jsonschema does this more thoroughly, at milliseconds a
value and with a test library as its base.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random
from typing import Any
from urllib.parse import unquote

import orjson

from pipeline.local import scalars
from pipeline.local.errors import Unmakeable
from pipeline.local.merge import merged
from pipeline.local.pattern import matching
from pipeline.local.structured import resolved
from pipeline.local.validity import is_valid

TRIES = 40
SPARSE_FROM_TRY = 20
"""From here on optional parts are left out: they may be what stands in the way."""
SPARSE_FROM_DEPTH = 5
MAX_DEPTH = 60
MAX_ITEMS = 10_000
OPTIONAL_SHARE = 0.75
NULL_SHARE = 0.15
LAST_RESORT: tuple[Any, ...] = (None, True, False, 0, 1, "", "a", [], {})
GUESSES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("object", ("properties", "required", "additionalProperties", "minProperties", "patternProperties")),
    ("array", ("items", "prefixItems", "minItems", "maxItems", "contains", "uniqueItems")),
    ("string", ("pattern", "minLength", "maxLength", "format")),
    ("number", ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")),
)
"""Which type a schema means that names none, by the keywords it uses."""


def invented(schema: str, random: Random) -> Any:
    """A value that is valid under the schema (JSON text of draft 2020-12). Raises Unmakeable where none was found."""
    root = orjson.loads(schema)
    reason = "every value that was tried was invalid"
    for attempt in range(TRIES):
        try:
            value = _Inventor(root, random, sparse=attempt >= SPARSE_FROM_TRY).value(root, 0)
        except Unmakeable as error:
            reason = str(error)
            continue
        if is_valid(schema, value):
            return value
    for value in LAST_RESORT:
        if is_valid(schema, value):
            return value
    raise Unmakeable(reason)


class _Inventor:
    def __init__(self, root: Any, random: Random, *, sparse: bool) -> None:
        self._root = root
        self._random = random
        self._sparse = sparse

    def value(self, schema: Any, depth: int) -> Any:
        if schema is False:
            raise Unmakeable("the schema is false: nothing is valid")
        if depth > MAX_DEPTH:
            raise Unmakeable("the schema has no value of finite depth, or none that was found")
        flat = self._flat({} if schema is True else schema, depth)
        if "const" in flat:
            return flat["const"]
        if "enum" in flat:
            if not flat["enum"]:
                raise Unmakeable("an enum without values")
            return self._random.choice(flat["enum"])
        match self._type(flat):
            case "null":
                return None
            case "boolean":
                return self._random.random() < 0.5
            case "integer":
                return scalars.integer(flat, self._random)
            case "number":
                return scalars.number(flat, self._random)
            case "array":
                return self._array(flat, depth)
            case "object":
                return self._object(flat, depth)
        return scalars.text(flat, self._random)

    def _type(self, flat: Mapping[str, Any]) -> str:
        kinds = flat.get("type")
        if isinstance(kinds, str):
            return kinds
        if kinds is None:
            guesses = (kind for kind, keywords in GUESSES if any(keyword in flat for keyword in keywords))
            return next(guesses, "string")
        if "null" in kinds and len(kinds) > 1:
            if self._random.random() < NULL_SHARE:
                return "null"
            kinds = [kind for kind in kinds if kind != "null"]
        if not kinds:
            raise Unmakeable("no type satisfies all that the schema says")
        return str(self._random.choice(kinds))

    # -- flattening --------------------------------------------------------------------------------------------------

    def _flat(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        """The schema without references and combinators: branches chosen, their keywords merged."""
        flat = dict(schema)
        for _ in range(MAX_DEPTH):
            part = self._next_part(flat, depth)
            if part is None:
                return flat
            flat = merged(flat, part)
        raise Unmakeable("references or combinators without an end")

    def _next_part(self, flat: dict[str, Any], depth: int) -> Any:
        """Takes one combinator out of `flat` and gives what it adds; None when there is none left."""
        if "$ref" in flat:
            return self._target(flat.pop("$ref"))
        if "$dynamicRef" in flat:
            return self._target(flat.pop("$dynamicRef"))
        if flat.get("allOf"):
            first, *others = flat.pop("allOf")
            if others:
                flat["allOf"] = others
            return first
        for key in ("anyOf", "oneOf"):
            if flat.get(key):
                branches = [branch for branch in flat.pop(key) if branch is not False]
                if not branches:
                    raise Unmakeable(f"{key} has no branch that allows anything")
                return self._branch(branches, depth)
        if "if" in flat:
            condition, then, otherwise = flat.pop("if"), flat.pop("then", True), flat.pop("else", True)
            return otherwise if self._random.random() < 0.5 else {"allOf": [condition, then]}
        return None

    def _branch(self, branches: list[Any], depth: int) -> Any:
        """One at random; deep down, one that leads no deeper, if there is one."""
        if depth >= SPARSE_FROM_DEPTH:
            shallow = [
                each for each in branches if not isinstance(each, dict) or not ({"$ref", "items", "properties"} & set(each))
            ]
            return self._random.choice(shallow or branches)
        return self._random.choice(branches)

    def _target(self, reference: str) -> Any:
        if not reference.startswith("#"):
            raise Unmakeable(f"$ref {reference!r} leads out of the schema")
        fragment = unquote(reference)
        if fragment != "#" and not fragment.startswith("#/"):
            return self._anchored(fragment.removeprefix("#"))
        target = resolved(self._root, fragment)
        if target is None:
            raise Unmakeable(f"$ref {reference!r} leads nowhere")
        return target

    def _anchored(self, name: str) -> Any:
        for node in _every_object(self._root):
            if name in (node.get("$anchor"), node.get("$dynamicAnchor")):
                return node
        raise Unmakeable(f"no $anchor {name!r}")

    # -- containers --------------------------------------------------------------------------------------------------

    def _array(self, flat: Mapping[str, Any], depth: int) -> list[Any]:
        prefix = flat.get("prefixItems", [])
        items = flat.get("items", True)
        least = int(max(flat.get("minItems", 0), flat.get("minContains", 1) if "contains" in flat else 0))
        most = int(flat.get("maxItems", max(least, 3)))
        if items is False:
            most = min(most, len(prefix))
        if least > most or least > MAX_ITEMS:
            raise Unmakeable(f"at least {least} items, at most {min(most, MAX_ITEMS)}")
        thrifty = self._sparse or depth >= SPARSE_FROM_DEPTH
        size = least if thrifty else self._random.randint(max(least, min(1, most)), max(least, min(most, least + 3)))
        wanted = int(flat.get("minContains", 1)) if "contains" in flat else 0
        made: list[Any] = []
        for index in range(size):
            schema = prefix[index] if index < len(prefix) else items
            if index >= size - wanted:
                schema = {"allOf": [schema, flat["contains"]]}
            made.append(self._item(schema, made if flat.get("uniqueItems") else [], depth))
        return made

    def _item(self, schema: Any, taken: list[Any], depth: int) -> Any:
        """An item that is not among `taken`."""
        for _ in range(TRIES):
            value = self.value(schema, depth + 1)
            if value not in taken:
                return value
        raise Unmakeable("too few different items for uniqueItems")

    def _object(self, flat: Mapping[str, Any], depth: int) -> dict[str, Any]:
        names = self._names(flat, depth)
        for name in list(names):
            names += [each for each in flat.get("dependentRequired", {}).get(name, ()) if each not in names]
        extra = [schema for name, schema in flat.get("dependentSchemas", {}).items() if name in names]
        if extra:
            rest = {key: each for key, each in flat.items() if key != "dependentSchemas"}
            return self._object(self._flat({"allOf": [rest, *extra]}, depth), depth)
        return {name: self.value(_property(flat, name), depth + 1) for name in names}

    def _names(self, flat: Mapping[str, Any], depth: int) -> list[str]:
        """Which properties the object has: the required ones first, then optional ones, as the API orders them."""
        properties = flat.get("properties", {})
        required = list(dict.fromkeys(flat.get("required", ())))
        names = [name for name in properties if name in required] + [name for name in required if name not in properties]
        optional = [name for name, schema in properties.items() if name not in required and schema is not False]
        least = int(flat.get("minProperties", 0))
        most = int(flat.get("maxProperties", len(names) + len(optional) + least))
        thrifty = self._sparse or depth >= SPARSE_FROM_DEPTH
        for name in optional:
            wanted = len(names) < least or (not thrifty and self._random.random() < OPTIONAL_SHARE)
            if wanted and len(names) < most:
                names.append(name)
        for _ in range(TRIES):
            if len(names) >= least:
                return names
            name = self._new_name(flat)
            if name not in names:
                names.append(name)
        raise Unmakeable(f"no names for {least} properties")

    def _new_name(self, flat: Mapping[str, Any]) -> str:
        """A name that the schema does not list."""
        patterns = [pattern for pattern, schema in flat.get("patternProperties", {}).items() if schema is not False]
        if patterns:
            return matching(self._random.choice(patterns), self._random)
        if flat.get("additionalProperties") is False:
            raise Unmakeable("more properties are asked for than the schema allows")
        made = self.value({"allOf": [flat.get("propertyNames", True), {"type": "string"}]}, MAX_DEPTH - 1)
        return str(made)


def _property(flat: Mapping[str, Any], name: str) -> Any:
    """The schema of one property, from wherever it comes."""
    from_patterns = [
        schema
        for pattern, schema in flat.get("patternProperties", {}).items()
        if is_valid(orjson.dumps({"pattern": pattern}).decode(), name)
    ]
    own = flat.get("properties", {}).get(name)
    if own is None and not from_patterns:
        return flat.get("additionalProperties", True)
    parts = [part for part in (own, *from_patterns) if part is not None]
    return parts[0] if len(parts) == 1 else {"allOf": parts}


def _every_object(node: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(node, dict):
        yield node
        for child in node.values():
            yield from _every_object(child)
    elif isinstance(node, list):
        for child in node:
            yield from _every_object(child)
