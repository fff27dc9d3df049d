"""What schemas that hold together say of a value, in the words of the API form (wire.py)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from pipeline.records import JSON
from pipeline.schema.pattern import is_simple
from pipeline.schema.tree import declared, kind_of

Parts: TypeAlias = "Mapping[str, dict[str, JSON]]"
"""By pointer: the schemas that hold together."""
Aside: TypeAlias = "tuple[str, str, JSON]"
"""Pointer, keyword and content of what the form cannot say."""

FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"})


class Refused(Exception):
    """The form cannot carry what stands at the pointer."""

    def __init__(self, pointer: str, reason: str) -> None:
        super().__init__(reason)
        self.pointer, self.reason = pointer, reason


class Never(Exception):
    """No value is valid at the pointer."""

    def __init__(self, pointer: str) -> None:
        super().__init__(pointer)
        self.pointer = pointer


def common_types(pointer: str, parts: Parts, known: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """The types that all parts leave open, in the order of writing; None where nobody names one."""
    types = known
    for part in parts.values():
        if "type" not in part:
            continue
        held = part["type"]
        named = tuple(str(name) for name in (held if isinstance(held, list) else [held]))
        if types is None:
            types = named
            continue
        both = [name for name in types if name in named or (name == "integer" and "number" in named)]
        both += ["integer"] if "number" in types and "integer" in named and "integer" not in both else []
        types = tuple(both)
    if types == ():
        raise Never(pointer)
    # Every integer is a number: the pair would only count as a union.
    return tuple(name for name in types if name != "integer" or "number" not in types) if types is not None else None


def enumeration(pointer: str, parts: Parts, types: tuple[str, ...] | None) -> dict[str, JSON] | None:
    """The form of an enumeration; None where there is none."""
    lists = [held for part in parts.values() if isinstance(held := part.get("enum"), list)]
    constants = [[part["const"]] for part in parts.values() if "const" in part]
    if not lists and not constants:
        return None
    first, *others = constants + lists
    admitted = declared({"type": list(types)}) if types is not None else None
    kept: dict[str, JSON] = {}
    for value in first:
        kind = kind_of(value)
        if admitted is not None and kind not in admitted and not (kind == "integer" and "number" in admitted):
            continue
        if any(not any(_same(value, other) for other in values) for values in others):
            continue
        if isinstance(value, (dict, list)):
            raise Refused(pointer, "a fixed value that is an object or an array is not taken by the API")
        kept[f"{kind}:{value!r}"] = value
    told_apart(pointer, (value for value in kept.values() if isinstance(value, str)))
    if not kept:
        raise Never(pointer)
    single: dict[str, JSON] = {"type": types[0]} if types is not None and len(types) == 1 else {}
    return single | ({"const": next(iter(kept.values()))} if constants else {"enum": list(kept.values())})


def labels(form: dict[str, JSON]) -> list[str]:
    """The strings that a form enumerates."""
    listed = form.get("enum", [form["const"]] if "const" in form else [])
    return [value for value in listed if isinstance(value, str)] if isinstance(listed, list) else []


def told_apart(pointer: str, strings: Iterable[str]) -> None:
    """Refused if two labels differ only in case: the API does not guarantee the case of what comes back."""
    seen: dict[str, str] = {}
    for label in strings:
        twin = seen.setdefault(label.casefold(), label)
        if twin != label:
            raise Refused(pointer, f"the values {twin!r} and {label!r} differ only in case, which the API does not keep")


def _same(one: JSON, other: JSON) -> bool:
    return kind_of(one) == kind_of(other) and one == other


def textual(parts: Parts, aside: list[Aside]) -> dict[str, JSON]:
    """`format` and `pattern` where the API takes them; the others are put aside."""
    form: dict[str, JSON] = {}
    for at, part in parts.items():
        for keyword in ("format", "pattern"):
            held = part.get(keyword)
            if not isinstance(held, str) or form.get(keyword) == held:
                continue
            taken = held in FORMATS if keyword == "format" else is_simple(held)
            if taken and keyword not in form:
                form[keyword] = held
            else:
                aside.append((at, keyword, held))
    return form


def is_closed(pointer: str, parts: Parts) -> bool:
    """Whether only declared properties are valid. Refused where the user expressly admits others."""
    closed = any(part.get("additionalProperties") is False for part in parts.values())
    for at, part in parts.items():
        if part.get("patternProperties"):
            raise Refused(at, "patternProperties are not taken by the API; use a list of key and value")
        # Extra properties of the answer itself have no column, so nothing is lost where the form leaves them out.
        more = part.get("additionalProperties", False)
        if more is not False and not closed and (pointer or more not in (True, {})):
            raise Refused(at, "properties of any name are allowed here; for the API use a list of key and value")
        more = part.get("unevaluatedProperties", False)
        if isinstance(more, dict) and more and not closed:
            raise Refused(at, "properties of any name are allowed here; for the API use a list of key and value")
    return closed or any(part.get("unevaluatedProperties") is False for part in parts.values())
