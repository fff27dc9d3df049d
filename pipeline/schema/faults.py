"""What a well-formed schema asks for that this program cannot give, or that no answer could ever satisfy."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterator
from graphlib import CycleError, TopologicalSorter

from pipeline.records import JSON
from pipeline.schema.bundle import excerpt
from pipeline.schema.tree import IN_PLACE, TYPES, Node, Tree, children, declared, fragment, kind_of, spoken, step
from pipeline.schema.validator import Draft, compiled, pattern_fault

_BOUNDS = (
    ("minimum", "maximum"),
    ("exclusiveMinimum", "maximum"),
    ("minimum", "exclusiveMaximum"),
    ("exclusiveMinimum", "exclusiveMaximum"),
    ("minLength", "maxLength"),
    ("minItems", "maxItems"),
    ("minProperties", "maxProperties"),
    ("minContains", "maxContains"),
)
_DYNAMIC = ("$dynamicRef", "$recursiveRef")


def faults(tree: Tree, of: Draft, place: Callable[[str], str] = spoken) -> list[str]:
    """Every fault, each as `place: what; mend`. The document has passed its meta-schema and refers to nothing outside it."""
    nodes = tree.nodes()
    found: list[str] = []
    for pointer, node in nodes.items():
        if isinstance(node, dict):
            at = place(pointer)
            found.extend(f"{at}: {fault}" for fault in _reference(tree, pointer, node))
            found.extend(f"{at}: {fault}" for fault in _patterns(node, of))
            found.extend(f"{at}: {fault}" for fault in _unsatisfiable(node))
    if not found:
        found = _loops(tree, nodes, place) or list(_root(tree))
    if not found:
        try:
            compiled(tree.document, of)
        except ValueError as error:
            return [f"the root: {str(error).splitlines()[0]}"]
        for pointer, node in nodes.items():
            if isinstance(node, dict):
                found.extend(f"{place(pointer)}: {fault}" for fault in _never(tree, of, pointer, node))
    return found


def _reference(tree: Tree, pointer: str, node: dict[str, JSON]) -> Iterator[str]:
    if pointer and isinstance(node.get("$id"), str):
        yield "$id inside a schema gives its refs another base; remove it and refer by #/$defs/…"
    for keyword in _DYNAMIC:
        if keyword in node:
            yield f"{keyword} is not available yet; use $ref"
    ref = node.get("$ref")
    if not isinstance(ref, str):
        return
    if tree.resolve(ref) is None:
        near = difflib.get_close_matches(ref, [fragment(at) for at in tree.nodes() if at], 1)
        yield f"$ref {ref!r} points nowhere in this file{f'; did you mean {near[0]!r}?' if near else ''}"


def _patterns(node: dict[str, JSON], of: Draft) -> Iterator[str]:
    pattern = node.get("pattern")
    if isinstance(pattern, str) and (fault := pattern_fault(pattern, of)):
        yield f"pattern {fault}"
    by_pattern = node.get("patternProperties")
    for key in by_pattern if isinstance(by_pattern, dict) else ():
        if fault := pattern_fault(key, of):
            yield f"patternProperties {fault}"


def _unsatisfiable(node: dict[str, JSON]) -> Iterator[str]:
    values = node.get("enum")
    if values == []:
        yield "enum is empty, so no value is valid; list the values, or remove it"
    open_types = declared({"type": node["type"]}) if "type" in node else TYPES
    for keyword, held in (("enum", values), ("const", [node["const"]] if "const" in node else None)):
        for value in held if isinstance(held, list) else ():
            kind = kind_of(value)
            if kind not in open_types and not (kind == "integer" and "number" in open_types):
                shown, only = _short(value), _short(node["type"])
                yield f"{keyword} has {shown}, which type {only} forbids; add {kind!r} to type, or remove the value"
    for low, high in _BOUNDS:
        least, most = node.get(low), node.get(high)
        if isinstance(least, (int, float)) and isinstance(most, (int, float)):
            strict = low.startswith("exclusive") or high.startswith("exclusive")
            if least > most or (strict and least == most):
                yield f"{low} {least} and {high} {most} leave no value"
    held = node.get("properties")
    properties = held if isinstance(held, dict) else {}
    required = node.get("required")
    for name in required if isinstance(required, list) else ():
        if properties.get(str(name)) is False:
            yield f"required names {name!r}, whose schema is false; remove one of the two"
        elif node.get("additionalProperties") is False and name not in properties and "patternProperties" not in node:
            yield f"required names {name!r}, which additionalProperties: false forbids; declare it in properties"


def _never(tree: Tree, of: Draft, pointer: str, node: dict[str, JSON]) -> Iterator[str]:
    """What only the keywords of several schemas together leave without a value."""
    values = [node["const"]] if "const" in node else node.get("enum")
    if isinstance(values, list):
        judge = compiled(excerpt(tree.document, pointer, node, draft07=tree.draft07), of)
        if not any(judge.is_valid(value) for value in values):
            yield f"none of {_short(values)} is valid under the keywords beside it; mend the values or the keywords"
    held, names = node.get("properties"), node.get("required")
    wanted: list[JSON] = names if isinstance(names, list) else []
    for name, child in held.items() if isinstance(held, dict) else ():
        at = step(step(pointer, "properties"), name)
        if name in wanted and isinstance(child, dict) and not tree.kinds(at, child):
            yield f"required names {name!r}, whose types leave no value; mend its type, allOf or $ref"


def _loops(tree: Tree, nodes: dict[str, Node], place: Callable[[str], str]) -> list[str]:
    """A schema that applies itself to the same value: a validator would never end."""
    edges: dict[str, set[str]] = {}
    for pointer, node in nodes.items():
        if isinstance(node, dict):
            own = tree.own(node)
            ref = tree.ref(own)
            target = tree.resolve(ref) if ref is not None else None
            edges[pointer] = {at for keyword, at, _ in children(own, pointer) if keyword in IN_PLACE}
            if target is not None:
                edges[pointer].add(target[0])
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        round_trip = " → ".join(place(at) for at in reversed(error.args[1]))
        return [f"{round_trip}: refers to itself without a property or an item between; break the loop"]
    return []


def _root(tree: Tree) -> Iterator[str]:
    """An answer is an object whose properties are columns."""
    columns = tree.columns()
    kinds = tree.kinds("", tree.document)
    if "object" not in kinds:
        yield (
            'the root: an answer is an object, so the root has "type": "object"; '
            'put this schema below a property: {"type": "object", "properties": {"items": …}, "required": ["items"]}'
        )
        return
    if not columns:
        yield "the root: properties is empty or missing, so there is no column to fill; declare at least one property"
        return
    for pointer, part in tree.together("", tree.document).items():
        if not isinstance(part, dict):
            continue
        more = part.get("additionalProperties")
        if part.get("patternProperties") or (isinstance(more, dict) and more):
            keyword = "patternProperties" if part.get("patternProperties") else "additionalProperties"
            yield (
                f"{step(pointer, keyword)}: properties without a fixed name cannot be columns; "
                "put the map below a property of its own"
            )
    for pointer, names in tree.conditional("", tree.document).items():
        for name in names:
            if name not in columns:
                yield (
                    f"{step(pointer, 'properties')}: {name!r} is declared only under a condition, so it has no column; "
                    f'declare it in the root\'s properties too ("{name}": true is enough)'
                )


def _short(value: JSON) -> str:
    shown = json.dumps(value, ensure_ascii=False)
    return shown if len(shown) <= 60 else f"{shown[:60]}…"
