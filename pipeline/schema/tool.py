"""A schema as the `input_schema` of a tool. It is not compiled unless the tool is strict, but the API does look at it.

It must be valid under draft 2020-12 and must not have `oneOf`, `allOf` or `anyOf` at its top
(https://github.com/anthropics/claude-code/issues/40075, 2026-03-28), and its top-level properties have plain names
(https://github.com/anthropics/claude-code/issues/79418, 2026-07-20); else every row is answered with 400.
"""

from __future__ import annotations

import json
import re

from pipeline.records import JSON
from pipeline.schema.bundle import excerpt
from pipeline.schema.load import Schema
from pipeline.schema.tree import Node, Tree, with_children

_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,64}")
_COMBINED = ("$ref", "allOf", "anyOf", "oneOf")
_SAID = frozenset(
    {
        *("$ref", "allOf", "$defs", "definitions", "$comment", "title", "description"),
        *("type", "properties", "required", "additionalProperties"),
    }
)
"""What the flat form carries, or what is of no use in words."""


def tool(schema: Schema) -> dict[str, JSON]:
    """The schema, in 2020-12 and with an object of declared properties at its top; what does not fit there is described."""
    document: Node = schema.document
    if schema.draft == "draft-07":
        document = _upgraded("", excerpt(schema.document, "", schema.document, draft07=True))
    root = {} if isinstance(document, bool) else {k: held for k, held in document.items() if k not in ("$schema", "$id")}
    return {**root, "type": "object"} if root.keys().isdisjoint(_COMBINED) else _flat(root)


def tool_fault(schema: Schema) -> str | None:
    """Why the API would refuse any tool with the schema's properties; None where it takes them."""
    wrong = [name for name in schema.properties if not _NAME.fullmatch(name)]
    if not wrong:
        return None
    return (
        f"a tool takes property names of 1 to 64 letters, digits, dots, hyphens and underscores, "
        f"and {', '.join(map(repr, wrong[:5]))} is none"
    )


def _flat(root: dict[str, JSON]) -> dict[str, JSON]:
    """The root without what combines schemas: its properties in one object, the rest in words."""
    tree = Tree(root)
    parts = {pointer: part for pointer, part in tree.together("", root).items() if isinstance(part, dict)}
    properties: dict[str, JSON] = {name: node for name, (_, node) in tree.columns().items()}
    required: dict[str, JSON] = {}
    aside: list[JSON] = []
    for pointer, part in parts.items():
        names, held = part.get("required"), part.get("properties")
        required |= dict.fromkeys(str(name) for name in (names if isinstance(names, list) else ()))
        rest = {keyword: said for keyword, said in part.items() if keyword not in _SAID}
        # Of a property that two parts declare, the first stands in the object.
        if again := {
            name: child for name, child in (held.items() if isinstance(held, dict) else ()) if properties[name] is not child
        }:
            rest["properties"] = again
        if rest:
            aside.append(excerpt(root, pointer, rest, draft07=False))
    words = [str(root["description"])] if "description" in root else []
    words += [f"Must also hold: {', '.join(json.dumps(part, ensure_ascii=False) for part in aside)}"] if aside else []
    flat: dict[str, JSON] = {
        **({"title": root["title"]} if "title" in root else {}),
        **({"description": "\n\n".join(words)} if words else {}),
        "type": "object",
        "properties": properties,
        **({"required": list(required)} if required else {}),
        **(
            {"additionalProperties": False} if any(part.get("additionalProperties") is False for part in parts.values()) else {}
        ),
    }
    whole = excerpt(root, "", flat, draft07=False)
    return flat if isinstance(whole, bool) else whole


def _upgraded(pointer: str, node: Node) -> Node:
    """A draft-07 schema as draft 2020-12 says the same. Its refs name top-level definitions, whose places do not change."""
    if isinstance(node, bool):
        return node
    new = {k: v for k, v in node.items() if k in ("$ref", "definitions")} if "$ref" in node else dict(node)
    if "additionalItems" in new and not isinstance(new.get("items"), list):
        del new["additionalItems"]
    if isinstance(new.get("items"), list):
        new["prefixItems"] = new.pop("items")
        if "additionalItems" in new:
            new["items"] = new.pop("additionalItems")
    dependencies = new.pop("dependencies", None)
    if isinstance(dependencies, dict):
        names: dict[str, JSON] = {name: held for name, held in dependencies.items() if isinstance(held, list)}
        schemas: dict[str, JSON] = {name: held for name, held in dependencies.items() if name not in names}
        new |= {**({"dependentRequired": names} if names else {}), **({"dependentSchemas": schemas} if schemas else {})}
    return with_children(new, pointer, _upgraded)
