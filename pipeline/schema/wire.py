"""A schema in the form that the API takes for structured outputs, and what that lost.

Source: platform.claude.com/docs/en/build-with-claude/structured-outputs, as of 2026-10-08.

The form is a relaxation: every answer that is valid under the user's schema, and has only declared properties, can
be written under it. What it cannot say goes into the description for the model and stays in our validation. Where a
relaxation would be too much (maps, values of any type, recursion) the form is refused by name.
`anthropic.transform_schema` was not taken: it raises on nullable type lists and untyped nodes, turns maps into `{}`
and drops what stands beside a `$ref` (SDK 2.12, read 2026-11-23).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.records import JSON
from pipeline.schema.bundle import excerpt
from pipeline.schema.conjunction import (
    Aside,
    Never,
    Parts,
    Refused,
    common_types,
    enumeration,
    is_closed,
    labels,
    textual,
    told_apart,
)
from pipeline.schema.load import Schema
from pipeline.schema.tree import Node, Tree, children, fragment, spoken, step

MAX_OPTIONAL = 24
"""Properties not in `required`, over the whole schema."""
MAX_UNIONS = 16
"""Nodes with `anyOf` or a list of types, over the whole schema."""
_MAX_NODES = 5_000
"""Inlining shared definitions can double at every level; a form beyond this would be too complex to compile anyway."""
_MAX_DEPTH = 64
"""Of an answer (check/parse.py)."""

_UNSUPPORTED = frozenset(
    {
        *("additionalItems", "contains", "contentEncoding", "contentMediaType", "contentSchema", "dependencies"),
        *("dependentRequired", "dependentSchemas", "else", "exclusiveMaximum", "exclusiveMinimum", "if"),
        *("maxContains", "maxItems", "maxLength", "maxProperties", "maximum", "minContains", "minLength"),
        *("minProperties", "minimum", "multipleOf", "not", "propertyNames", "then", "unevaluatedItems", "uniqueItems"),
    }
)
_SHOWN = ("title", "description", "default")
_STRUCTURE = frozenset({"enum", "const", "properties", "items", "required", "format", "pattern"})
_ONLY_A_NOTE = frozenset({"$ref", "$comment"})
_DEFINITION = re.compile(r"/(\$defs|definitions)/([^/]+)")
_RECURSIVE = "the schema is recursive, which the API does not take"

_Bundle = tuple[tuple[str, Node], ...]
"""Schemas, with their pointers, that all hold for one value."""


@dataclass(frozen=True, slots=True)
class Native:
    schema: dict[str, JSON]
    """For `output_config.format.schema`."""
    moved: tuple[str, ...]
    """`<pointer>: <keyword>` for each thing that the form cannot say; our validation still holds it."""


@dataclass(frozen=True, slots=True)
class Unfit:
    """The API form cannot carry the schema without changing what answers it admits."""

    reason: str
    """Where and why, in a sentence."""
    pointer: str


def native(schema: Schema) -> Native | Unfit:
    """The form for structured outputs. Total: any loaded schema gives one of the two."""
    form = _Form(schema.tree)
    try:
        root = form.written((("", schema.document),), ("object",))
    except Refused as refused:
        return Unfit(f"{spoken(refused.pointer)}: {refused.reason}", refused.pointer)
    except Never as never:
        return Unfit(f"{spoken(never.pointer)}: no value can be valid here", never.pointer)
    if form.optional > MAX_OPTIONAL:
        return Unfit(
            f"{form.optional} properties are optional, the API takes {MAX_OPTIONAL}; list more of them in required", ""
        )
    if form.unions > MAX_UNIONS:
        return Unfit(f"{form.unions} places take more than one type, the API takes {MAX_UNIONS}", "")
    for container, definitions in form.definitions.items():
        root[container] = dict(definitions)
    return Native(root, tuple(form.moved))


class _Form:
    """One transformation under way."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.moved: list[str] = []
        self.definitions: dict[str, dict[str, JSON]] = {}
        self.optional = 0
        self.unions = 0
        self._nodes = 0
        self._depth = 0
        self._inside: list[str] = []
        """Pointers of the schemas around the one at hand."""

    def node(self, bundle: _Bundle) -> dict[str, JSON]:
        """What the schemas of the bundle say together."""
        return self._kept_reference(bundle) or self.written(bundle)

    def written(self, bundle: _Bundle, types: tuple[str, ...] | None = None) -> dict[str, JSON]:
        """The same, without a `$ref` at its top. `types`: what is already known of the value's type."""
        pointer = bundle[0][0]
        parts: dict[str, dict[str, JSON]] = {}
        for at, part in (found for item in bundle for found in self.tree.together(*item).items()):
            if part is False:
                raise Never(at)
            if isinstance(part, dict):
                parts[at] = part
        if any(at in self._inside for at in parts):
            raise Refused(pointer, _RECURSIVE)
        self._nodes += 1
        self._depth += 1
        if self._nodes > _MAX_NODES or self._depth > _MAX_DEPTH:
            raise Refused(pointer, "the schema is too large for the API once its $refs are followed")
        self._inside.extend(parts)
        try:
            return self._merged(pointer, parts, types)
        finally:
            self._depth -= 1
            del self._inside[len(self._inside) - len(parts) :]

    def _kept_reference(self, bundle: _Bundle) -> dict[str, JSON] | None:
        """A `$ref` to a definition, with nothing beside it, stays one; any other is written out in its place."""
        node = bundle[0][1]
        if len(bundle) > 1 or not isinstance(node, dict) or not self.tree.own(node).keys() <= _ONLY_A_NOTE:
            return None
        ref = self.tree.ref(node)
        target = self.tree.resolve(ref) if ref is not None else None
        place = _DEFINITION.fullmatch(target[0]) if target is not None else None
        if target is None or place is None:
            return None
        if target[0] in self._inside:
            raise Refused(target[0], _RECURSIVE)
        written = self.definitions.setdefault(place[1], {})
        name = place[2].replace("~1", "/").replace("~0", "~")
        if name not in written:
            written[name] = self.written((target,))
        return {"$ref": fragment(target[0])}

    def _merged(self, pointer: str, parts: Parts, known: tuple[str, ...] | None) -> dict[str, JSON]:
        types = common_types(pointer, parts, known)
        form: dict[str, JSON] = {}
        for keyword in _SHOWN:
            form |= next(({keyword: part[keyword]} for part in parts.values() if keyword in part), {})
        aside: list[Aside] = [
            (at, keyword, held) for at, part in parts.items() for keyword, held in part.items() if keyword in _UNSUPPORTED
        ]
        notes: list[str] = []
        alternatives = [(at, keyword) for at, part in parts.items() for keyword in ("anyOf", "oneOf") if keyword in part]
        values = enumeration(pointer, parts, types)
        if len(alternatives) == 1 and not any(part.keys() & _STRUCTURE for part in parts.values()):
            form |= self._alternatives(*alternatives[0], parts[alternatives[0][0]], types, notes)
        else:
            aside.extend((at, keyword, parts[at][keyword]) for at, keyword in alternatives)
            form |= values if values is not None else self._typed(pointer, parts, types, aside)
        self._describe(form, parts, aside, notes)
        order = {keyword: index for index, keyword in enumerate(k for part in parts.values() for k in part)}
        return dict(sorted(form.items(), key=lambda item: order.get(item[0], len(order))))

    def _alternatives(
        self, at: str, keyword: str, part: dict[str, JSON], types: tuple[str, ...] | None, notes: list[str]
    ) -> dict[str, JSON]:
        branches: list[JSON] = []
        for key, below, child in children(part, at):
            if key != keyword:
                continue
            try:
                branches.append(self.node(((below, child),)) if types is None else self.written(((below, child),), types))
            except Never:
                continue
        if not branches:
            raise Never(step(at, keyword))
        told_apart(at, self._labels(branches))
        self.unions += 1
        if keyword == "oneOf" and self._overlapping(at, part):
            self.moved.append(f"{spoken(at)}: oneOf")
            notes.append("Exactly one of these forms may fit.")
        return {"anyOf": branches}

    def _labels(self, branches: list[JSON]) -> Iterator[str]:
        """The strings that alternatives enumerate, through kept refs and alternatives of theirs."""
        tree = Tree({**self.definitions})
        waiting, seen = list(branches), set[str]()
        while waiting:
            form = waiting.pop()
            if not isinstance(form, dict):
                continue
            yield from labels(form)
            inner, ref = form.get("anyOf"), form.get("$ref")
            waiting.extend(inner if isinstance(inner, list) else ())
            if isinstance(ref, str) and ref not in seen:
                seen.add(ref)
                target = tree.resolve(ref)
                waiting.extend([target[1]] if target is not None else ())

    def _overlapping(self, at: str, part: dict[str, JSON]) -> bool:
        """Whether a value may fit two alternatives of a `oneOf`, as far as their types tell."""
        seen: set[str] = set()
        for key, below, child in children(part, at):
            if key == "oneOf":
                kinds = self.tree.kinds(below, child)
                if seen & kinds:
                    return True
                seen |= kinds
        return False

    def _typed(
        self,
        pointer: str,
        parts: Parts,
        types: tuple[str, ...] | None,
        aside: list[Aside],
    ) -> dict[str, JSON]:
        if types is None:
            raise Refused(pointer, "a value of any type is allowed here; the API needs a type")
        self.unions += len(types) > 1
        form: dict[str, JSON] = {"type": types[0] if len(types) == 1 else list(types)}
        if "string" in types:
            form |= textual(parts, aside)
        if "array" in types:
            form |= self._array(pointer, parts, aside)
        if "object" in types:
            form |= self._object(pointer, parts)
        return form

    def _array(self, pointer: str, parts: Parts, aside: list[Aside]) -> dict[str, JSON]:
        items: list[tuple[str, Node]] = []
        least = 0
        for at, part in parts.items():
            if part.get("prefixItems") or isinstance(part.get("items"), list):
                raise Refused(at, "items with a schema for each place are not taken by the API; use an object")
            held = part.get("items")
            if isinstance(held, (dict, bool)) and held is not True:
                items.append((step(at, "items"), held))
            wanted = part.get("minItems", 0)
            if isinstance(wanted, (int, float)) and wanted > 1:
                aside.append((at, "minItems", wanted))
            least = max(least, 1 if isinstance(wanted, (int, float)) and wanted >= 1 else 0)
        if not items:
            raise Refused(pointer, "items of any type are allowed here; the API needs their schema")
        try:
            return {"items": self.node(tuple(items)), **({"minItems": 1} if least else {})}
        except Never as never:
            raise Refused(never.pointer, "no item can be valid here, which the API cannot say") from never

    def _object(self, pointer: str, parts: Parts) -> dict[str, JSON]:
        inside: dict[str, list[tuple[str, Node]]] = {}
        required: dict[str, None] = {}
        for at, part in parts.items():
            held, names = part.get("properties"), part.get("required")
            for name, child in held.items() if isinstance(held, dict) else ():
                if isinstance(child, (dict, bool)):
                    inside.setdefault(name, []).append((step(step(at, "properties"), name), child))
            required |= dict.fromkeys(str(name) for name in (names if isinstance(names, list) else ()))
        closed = is_closed(pointer, parts)
        for at, part in parts.items():
            for below, conditional in self.tree.conditional(at, part).items():
                if not inside.keys() >= set(conditional):
                    raise Refused(below, "properties declared only under a condition are lost to the API; declare them above")
        if not inside and not closed:
            raise Refused(pointer, "an object with properties of any name is allowed here; the API takes declared ones")
        for name in required:
            if name not in inside:
                raise Never(pointer) if closed else Refused(pointer, f"{name!r} is required but not declared")
        properties: dict[str, JSON] = {}
        for name, bundle in inside.items():
            try:
                properties[name] = self.node(tuple(bundle))
            except Never:
                if name in required:
                    raise
        self.optional += len(properties.keys() - required.keys())
        if not closed:
            self.moved.append(f"{spoken(pointer)}: additionalProperties (the API form admits declared properties only)")
        return {
            "properties": properties,
            **({"required": list(required)} if required else {}),
            "additionalProperties": False,
        }

    def _describe(self, form: dict[str, JSON], parts: Parts, aside: list[Aside], notes: list[str]) -> None:
        """Put into the description what the form cannot say, as the JSON Schema that it is."""
        self.moved.extend(f"{spoken(at)}: {keyword}" for at, keyword, _ in aside)
        # Whole by themselves: a definition that only they refer to is no part of the form.
        fragments = [excerpt(self.tree.document, at, {keyword: held}, draft07=self.tree.draft07) for at, keyword, held in aside]
        # A format of numbers judges nothing, but says something.
        told = "format" in form or any(keyword == "format" for _, keyword, _ in aside)
        fragments.extend({"format": part["format"]} for part in parts.values() if "format" in part and not told)
        if fragments:
            notes = [*notes, f"Must also hold: {', '.join(json.dumps(part, ensure_ascii=False) for part in fragments)}"]
        shown = [
            f"Examples: {json.dumps(part['examples'], ensure_ascii=False)}" for part in parts.values() if "examples" in part
        ]
        notes = [*notes, *shown]
        if notes:
            form["description"] = "\n\n".join([*filter(None, [str(form.get("description", ""))]), *notes])
