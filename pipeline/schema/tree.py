"""Where schemas stand inside a schema, where a local `$ref` points, and which values a node can take.

Everything that reads a schema (load, wire, arrow) reads it through here, so that a keyword is known in one place.
Sources: JSON Schema 2020-12 core sections 8.2, 10 and 11, validation section 6; draft-07 core section 8.3 (read 2026-11-23).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from pipeline.records import JSON

Node: TypeAlias = "dict[str, JSON] | bool"
"""A schema: an object of keywords, or true (any value) or false (none)."""

TYPES = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})

ONE = frozenset(
    {
        "additionalItems",
        "additionalProperties",
        "contains",
        "contentSchema",
        "else",
        "if",
        "items",
        "not",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)
"""Keywords that hold one schema."""
LISTED = frozenset({"allOf", "anyOf", "oneOf", "prefixItems", "items"})
"""Keywords that hold a list of schemas (`items` in draft-07 only)."""
NAMED = frozenset({"$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties", "properties"})
"""Keywords that hold schemas by name."""
IN_PLACE = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "dependencies")
"""Keywords whose schemas judge the same value as the schema that holds them; a `$ref` does so too."""
_URI = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@/?#%")
"""What a URI holds as it is (RFC 3986 section 2; brackets stand only in a host)."""


def step(pointer: str, name: str | int) -> str:
    """The pointer one level down (RFC 6901)."""
    return f"{pointer}/{str(name).replace('~', '~0').replace('/', '~1')}"


def spoken(pointer: str) -> str:
    """A pointer as messages write it: the root has an empty one."""
    return pointer or "the root"


def fragment(pointer: str) -> str:
    """The pointer as a `$ref` writes it (RFC 6901 section 6)."""
    return encoded("#" + pointer.replace("%", "%25"))


def encoded(ref: str) -> str:
    """The ref with what RFC 3986 lets no URI hold percent-encoded: people write `#/$defs/Größe`, jsonschema_rs refuses it."""
    return "".join(letter if letter in _URI else "".join(f"%{byte:02X}" for byte in letter.encode()) for letter in ref)


def children(node: dict[str, JSON], pointer: str) -> Iterator[tuple[str, str, Node]]:
    """The schemas directly inside a node: keyword, pointer, schema."""
    for keyword, held in node.items():
        at = step(pointer, keyword)
        if keyword in NAMED and isinstance(held, dict):
            for name, child in held.items():
                if isinstance(child, (dict, bool)):
                    yield keyword, step(at, name), child
        elif keyword in LISTED and isinstance(held, list):
            for index, child in enumerate(held):
                if isinstance(child, (dict, bool)):
                    yield keyword, step(at, index), child
        elif keyword in ONE and isinstance(held, (dict, bool)):
            yield keyword, at, held


def with_children(node: dict[str, JSON], pointer: str, change: Callable[[str, Node], Node]) -> dict[str, JSON]:
    """A copy of the node with each schema directly inside it, given with its pointer, as `change` has it."""
    copy = dict(node)
    for keyword in node.keys() & (NAMED | LISTED | ONE):
        held, at = node[keyword], step(pointer, keyword)
        if keyword in NAMED and isinstance(held, dict):
            copy[keyword] = {
                name: change(step(at, name), child) if isinstance(child, (dict, bool)) else child
                for name, child in held.items()
            }
        elif keyword in LISTED and isinstance(held, list):
            copy[keyword] = [
                change(step(at, index), child) if isinstance(child, (dict, bool)) else child for index, child in enumerate(held)
            ]
        elif keyword in ONE and isinstance(held, (dict, bool)):
            copy[keyword] = change(at, held)
    return copy


@dataclass(frozen=True, slots=True)
class Tree:
    """A schema document as its nodes. Refs are resolved inside the document and nowhere else."""

    document: dict[str, JSON]
    draft07: bool = False
    """In draft-07 a `$ref` silences the keywords beside it."""

    def resolve(self, ref: str) -> tuple[str, Node] | None:
        """Pointer and schema that a `#…` reference means; None if it points nowhere or at something else."""
        fragment = percent_decoded(ref.removeprefix("#"))
        if fragment and not fragment.startswith("/"):
            return next(
                (
                    (pointer, node)
                    for pointer, node in self._below("", self.document)
                    if isinstance(node, dict) and node.get("$anchor") == fragment
                ),
                None,
            )
        found: JSON = self.document
        pointer = ""
        for part in fragment.split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict) and name in found:
                found = found[name]
            elif isinstance(found, list) and name.isdecimal() and int(name) < len(found):
                found = found[int(name)]
            else:
                return None
            pointer = step(pointer, name)
        return (pointer, found) if isinstance(found, (dict, bool)) else None

    def nodes(self) -> dict[str, Node]:
        """Every schema of the document by pointer, also those that only a `$ref` makes one (`#/components/…`)."""
        found = dict(self._below("", self.document))
        waiting = list(found.values())
        while waiting:
            node = waiting.pop()
            target = self.resolve(ref) if (ref := self.ref(node)) is not None else None
            if target is not None and target[0] not in found:
                more = dict(self._below(*target))
                found |= more
                waiting.extend(more.values())
        return found

    def ref(self, node: Node) -> str | None:
        """The node's `$ref` if it stays in the document."""
        ref = node.get("$ref") if isinstance(node, dict) else None
        return ref if isinstance(ref, str) and ref.startswith("#") else None

    def own(self, node: dict[str, JSON]) -> dict[str, JSON]:
        """The keywords of the node that count."""
        return {"$ref": node["$ref"]} if self.draft07 and "$ref" in node else node

    def together(self, pointer: str, node: Node) -> dict[str, Node]:
        """By pointer: the node and all that judges every value with it, through `$ref` and `allOf`; itself first."""
        found: dict[str, Node] = {}
        waiting = [(pointer, node)]
        while waiting:
            at, current = waiting.pop(0)
            if at in found:
                continue
            if isinstance(current, bool):
                found[at] = current
                continue
            found[at] = current = self.own(current)
            ref = self.ref(current)
            target = self.resolve(ref) if ref is not None else None
            if target is not None:
                waiting.append(target)
            waiting.extend((at, child) for keyword, at, child in children(current, at) if keyword == "allOf")
        return found

    def columns(self) -> dict[str, tuple[str, Node]]:
        """Top-level property → its pointer and schema, in the order of writing; through a root `$ref` and `allOf`.

        One that is declared in several places has the first one's schema: every value obeys that at least.
        """
        found: dict[str, tuple[str, Node]] = {}
        for pointer, part in self.together("", self.document).items():
            held = part.get("properties") if isinstance(part, dict) else None
            for name, child in held.items() if isinstance(held, dict) else ():
                if isinstance(child, (dict, bool)):
                    found.setdefault(name, (step(step(pointer, "properties"), name), child))
        return found

    def conditional(self, pointer: str, node: Node) -> dict[str, list[str]]:
        """By pointer: the properties that the alternatives and conditions of a node declare for the same object."""
        always = self.together(pointer, node)
        waiting = [
            (below, child) for at, part in always.items() if isinstance(part, dict) for below, child in _conditions(part, at)
        ]
        found: dict[str, list[str]] = {}
        seen = set(always)
        while waiting:
            for at, part in self.together(*waiting.pop()).items():
                if at in seen or not isinstance(part, dict):
                    continue
                seen.add(at)
                held = part.get("properties")
                if isinstance(held, dict):
                    found[at] = [name for name, child in held.items() if child is not False]
                waiting.extend(_conditions(part, at))
        return found

    def kinds(self, pointer: str, node: Node) -> frozenset[str]:
        """The JSON types that a value of the node can have: never too few, maybe too many.

        Ends because load refuses a schema that applies itself to the same value.
        """
        return self._kinds(pointer, node, {})

    def _kinds(self, pointer: str, node: Node, known: dict[str, frozenset[str]]) -> frozenset[str]:
        if pointer in known:
            return known[pointer]
        kinds = TYPES
        for at, part in self.together(pointer, node).items():
            if isinstance(part, bool):
                kinds = kinds if part else frozenset()
                continue
            kinds = _both(kinds, declared(part))
            for keyword in ("anyOf", "oneOf"):
                branches = [(below, child) for key, below, child in children(part, at) if key == keyword]
                if branches:
                    kinds = _both(kinds, frozenset().union(*(self._kinds(*branch, known) for branch in branches)))
        known[pointer] = kinds
        return kinds

    def shapes(self, pointer: str, node: Node, kind: str) -> dict[str, dict[str, JSON]]:
        """By pointer: what holds for every value of that JSON type; an alternative counts if it is the only one to take it."""
        found: dict[str, dict[str, JSON]] = {}
        waiting = [(pointer, node)]
        while waiting:
            for at, part in self.together(*waiting.pop(0)).items():
                if isinstance(part, bool) or at in found:
                    continue
                found[at] = part
                for keyword in ("anyOf", "oneOf"):
                    taking = [
                        (below, child)
                        for key, below, child in children(part, at)
                        if key == keyword and kind in self.kinds(below, child)
                    ]
                    if len(taking) == 1:
                        waiting.extend(taking)
        return found

    def _below(self, pointer: str, node: Node) -> Iterator[tuple[str, Node]]:
        waiting: list[tuple[str, Node]] = [(pointer, node)]
        while waiting:
            at, current = waiting.pop()
            yield at, current
            if isinstance(current, dict):
                waiting.extend(reversed([(below, child) for _, below, child in children(current, at)]))


def _conditions(node: dict[str, JSON], pointer: str) -> Iterator[tuple[str, Node]]:
    for keyword, at, child in children(node, pointer):
        if keyword in IN_PLACE and keyword not in ("allOf", "not", "if"):
            yield at, child


def kind_of(value: JSON) -> str:
    """The JSON type of a value; a float without a fraction is an integer (validation section 6.1.1)."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "integer" if value.is_integer() else "number"
        case str():
            return "string"
        case list():
            return "array"
        case dict():
            return "object"


def declared(node: dict[str, JSON]) -> frozenset[str]:
    """The JSON types that `type`, `enum` and `const` leave open."""
    kinds = TYPES
    match node.get("type"):
        case str(name):
            kinds = frozenset({name})
        case list(names):
            kinds = frozenset(name for name in names if isinstance(name, str))
    for values in ([node["const"]] if "const" in node else None, node.get("enum")):
        if isinstance(values, list):
            held = frozenset(kind_of(value) for value in values)
            # `number` stays `number` though all its values are integers: the user said so.
            kinds = held if kinds == TYPES else frozenset(k for k in kinds if k in held or _whole(k, held))
    return kinds


def _whole(kind: str, held: frozenset[str]) -> bool:
    return kind == "number" and "integer" in held


def _both(one: frozenset[str], other: frozenset[str]) -> frozenset[str]:
    shared = one & other
    if ("integer" in one and "number" in other) or ("number" in one and "integer" in other):
        shared |= {"integer"}
    return shared


def percent_decoded(text: str) -> str:
    """RFC 3986 section 2.1; bytes that are no UTF-8 stay as they are written."""
    encoded = re.sub(rb"%([0-9A-Fa-f]{2})", lambda hit: bytes.fromhex(hit[1].decode()), text.encode())
    try:
        return encoded.decode()
    except UnicodeDecodeError:
        return text
