"""Which schemas the API compiles into a grammar: the rules of structured outputs (read 2026-10-08).

They hold for `output_config.format` and for tools with `strict`. The server judges for itself and shares no code with
the client's `schema/wire.py`, so that each checks the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from pipeline.local.validity import validator

MAX_OPTIONAL = 24
MAX_UNIONS = 16
FORMATS = frozenset(
    ("date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"),
)
ANNOTATIONS = frozenset(
    ("$schema", "$id", "$comment", "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly")
)
STRUCTURE = frozenset(
    (
        *("type", "enum", "const", "anyOf", "allOf", "$ref", "$defs", "definitions", "required", "properties"),
        *("additionalProperties", "items", "format", "minItems", "pattern"),
    )
)
REGEX_NOT_COMPILED = ("(?=", "(?!", "(?<=", "(?<!", r"\b", r"\B", r"\1", r"\k<")


@dataclass(frozen=True, slots=True)
class Verdict:
    fault: str | None
    """The first reason why the API would refuse the schema; None where it would take it."""
    optional: int = 0
    """Properties that are not required."""
    unions: int = 0
    """Properties whose schema is an `anyOf` or a list of types."""


@lru_cache(maxsize=256)
def verdict(schema: str) -> Verdict:
    """What the API makes of a schema given as JSON text."""
    root = orjson.loads(schema)
    if isinstance(judge := validator(schema), str):
        return Verdict(f"JSON schema is invalid. It must match JSON Schema draft 2020-12: {judge}")
    fault = next(_faults(root), None) or _reference_fault(root)
    if fault:
        return Verdict(fault)
    objects = [node for node in _nodes(root) if isinstance(node.get("properties"), dict)]
    properties = [(name, each, node) for node in objects for name, each in node["properties"].items()]
    return Verdict(
        None,
        optional=sum(name not in node.get("required", ()) for name, _, node in properties),
        unions=sum(_is_union(each) for _, each, _ in properties),
    )


def sum_fault(verdicts: Sequence[Verdict]) -> str | None:
    """Why schemas that are sound one by one are too much for one request; None where they are not."""
    optional = sum(each.optional for each in verdicts)
    unions = sum(each.unions for each in verdicts)
    if optional > MAX_OPTIONAL:
        return (
            f"Schemas contain too many optional parameters ({optional}), which would make grammar compilation "
            f"inefficient. Reduce the number of optional parameters in your schemas (limit: {MAX_OPTIONAL})."
        )
    if unions > MAX_UNIONS:
        return (
            f"Schemas contain too many parameters with union types ({unions} parameters with type arrays or anyOf). "
            f"Reduce the number of parameters with union types (limit: {MAX_UNIONS})."
        )
    return None


def _children(node: Mapping[str, Any]) -> Iterator[Any]:
    for key in ("anyOf", "allOf"):
        yield from node.get(key) or ()
    for key in ("properties", "$defs", "definitions"):
        yield from (node.get(key) or {}).values()
    if "items" in node:
        yield node["items"]


def _nodes(node: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(node, dict):
        yield node
        for child in _children(node):
            yield from _nodes(child)


def _is_union(node: object) -> bool:
    return isinstance(node, dict) and ("anyOf" in node or isinstance(node.get("type"), list))


def _faults(root: Any) -> Iterator[str]:
    if not isinstance(root, dict):
        yield "the schema must be an object"
        return
    for node in _nodes(root):
        yield from _keyword_faults(node)
        yield from _object_faults(node)
        yield from _value_faults(node)


def _keyword_faults(node: Mapping[str, Any]) -> Iterator[str]:
    kinds = node.get("type")
    if unknown := sorted(set(node) - STRUCTURE - ANNOTATIONS):
        where = f"For '{kinds}' type, " if isinstance(kinds, str) else ""
        yield f"{where}properties {', '.join(unknown)} are not supported"


def _object_faults(node: Mapping[str, Any]) -> Iterator[str]:
    kinds = node.get("type")
    is_object = kinds == "object" or (isinstance(kinds, list) and "object" in kinds) or "properties" in node
    if is_object and node.get("additionalProperties") is not False:
        yield "For 'object' type, 'additionalProperties' must be explicitly set to false"
    if node.get("minItems", 0) not in (0, 1):
        yield "For 'array' type, 'minItems' values other than 0 or 1 are not supported"


def _value_faults(node: Mapping[str, Any]) -> Iterator[str]:
    if any(isinstance(value, (dict, list)) for value in node.get("enum") or ()):
        yield "Enum values must be strings, numbers, booleans or null"
    if "format" in node and node["format"] not in FORMATS:
        yield f"String format '{node['format']}' is not supported. Supported: {', '.join(sorted(FORMATS))}"
    for construct in REGEX_NOT_COMPILED:
        if construct in str(node.get("pattern", "")):
            yield f"Pattern uses '{construct}', which is not supported"
    if any(isinstance(each, dict) and "$ref" in each for each in node.get("allOf") or ()):
        yield "'allOf' with '$ref' is not supported"


def _reference_fault(root: Mapping[str, Any]) -> str | None:
    return _reference_fault_from("#", root, open_pointers=set(), sound=set())


def _reference_fault_from(pointer: str, root: Mapping[str, Any], *, open_pointers: set[str], sound: set[str]) -> str | None:
    """Depth first over references: a pointer that is met while it is open leads into itself."""
    target = resolved(root, pointer)
    open_pointers.add(pointer)
    for following in _references(target) if isinstance(target, dict) else ():
        if following in open_pointers:
            return f"Recursive schemas are not supported ('{following}')"
        if not following.startswith("#"):
            return f"External $ref '{following}' is not supported"
        if following not in sound:
            fault = _reference_fault_from(following, root, open_pointers=open_pointers, sound=sound)
            if fault:
                return fault
    open_pointers.remove(pointer)
    sound.add(pointer)
    return None


def _references(node: Mapping[str, Any]) -> Iterator[str]:
    """The `$ref`s that an instance of `node` meets: definitions count only where something points to them."""
    if "$ref" in node:
        yield node["$ref"]
    for child in _children({key: value for key, value in node.items() if key not in ("$defs", "definitions")}):
        if isinstance(child, dict):
            yield from _references(child)


def resolved(root: Any, pointer: str) -> Any:
    """What a JSON pointer in a fragment (`#`, `#/$defs/x`) leads to; None where it leads nowhere or is no pointer."""
    if pointer != "#" and not pointer.startswith("#/"):
        return None
    node = root
    for part in pointer.removeprefix("#").split("/")[1:]:
        part = part.replace("~1", "/").replace("~0", "~")
        if isinstance(node, dict) and part in node:
            node = node[part]
        elif isinstance(node, list) and part.isdigit() and int(part) < len(node):
            node = node[int(part)]
        else:
            return None
    return node
