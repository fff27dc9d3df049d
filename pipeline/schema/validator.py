"""The two validators: `jsonschema` says what is wrong with a schema, `jsonschema_rs` judges answers (0.5 against 64 µs).

Both fetch a foreign `$ref` from the network if left to themselves (jsonschema 4.26, jsonschema_rs 0.60: tried 2026-11-22),
so neither is built anywhere else: here the one gets a registry that retrieves nothing, the other is offline.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Literal, NoReturn, TypeAlias

import jsonschema_rs
from jsonschema import Draft7Validator, Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema_specifications import REGISTRY  # type: ignore[import-untyped]  # it publishes no types

from pipeline.records import JSON
from pipeline.schema.tree import TYPES, Node, spoken, step, with_children

Draft: TypeAlias = Literal["2020-12", "draft-07"]

_META: Final = {
    "2020-12": Draft202012Validator(Draft202012Validator.META_SCHEMA, registry=REGISTRY),
    "draft-07": Draft7Validator(Draft7Validator.META_SCHEMA, registry=REGISTRY),
}
_COMPILERS: Final = {"2020-12": jsonschema_rs.Draft202012Validator, "draft-07": jsonschema_rs.Draft7Validator}
_NUMBERS: Final = {"2020-12": jsonschema_rs.Draft202012, "draft-07": jsonschema_rs.Draft7}
_LINEAR: Final = jsonschema_rs.RegexOptions()
"""The regex engine without look-around and back-references: no pattern takes more than linear time (in Python's `re`,
`^(a+)+$` took 25 s on 28 letters)."""


def draft(document: dict[str, JSON]) -> Draft | None:
    """The draft that `$schema` names, 2020-12 if it names none; None for one that is not taken."""
    named = document.get("$schema", "https://json-schema.org/draft/2020-12/schema")
    match str(named).removesuffix("#").removeprefix("https://").removeprefix("http://"):
        case "json-schema.org/draft/2020-12/schema":
            return "2020-12"
        case "json-schema.org/draft-07/schema":
            return "draft-07"
        case _:
            return None


def compiled(
    document: Node,
    of: Draft,
    *,
    formats: bool = True,
    mask: str | None = None,
    known: Mapping[str, Node] | None = None,
) -> jsonschema_rs.Validator:
    """A validator of answers. Raises ValueError where the schema is none or names what is neither in it nor `known`.

    `formats`: whether `format` is asserted; the drafts leave that open, and a checked answer means that a date is one.
    `mask`: what messages write in place of the value. `known`: URI → schema; nothing else is ever fetched.
    """
    if isinstance(document, dict) and draft(document) is not None:
        # `$schema` would win over the class, and a http/https variant of the right one is looked up as a foreign meta-schema.
        document = {keyword: held for keyword, held in document.items() if keyword != "$schema"}
    held = jsonschema_rs.Registry(list(known.items()), draft=_NUMBERS[of], retriever=_refuse) if known else None
    return _COMPILERS[of](document, validate_formats=formats, mask=mask, registry=held, offline=True, pattern_options=_LINEAR)


def _refuse(uri: str) -> NoReturn:
    # The default of jsonschema_rs 0.60 refuses as well; said here, it stays so.
    raise ValueError(f"{uri} is not known, and nothing is fetched")


def pattern_fault(pattern: str, of: Draft) -> str | None:
    """Why a regular expression cannot be used; None if it can."""
    try:
        _COMPILERS[of]({"pattern": pattern}, offline=True, pattern_options=_LINEAR)
    except ValueError:
        pass
    else:
        return None
    try:
        _COMPILERS[of]({"pattern": pattern}, offline=True)
    except ValueError:
        return f"{pattern!r} is not a regular expression"
    return (
        f"{pattern!r} uses look-around or a back-reference (or grows too large), which no engine matches in bounded "
        "time; write it without, or split it into several patterns under allOf"
    )


def meta_faults(node: Node, pointer: str, of: Draft, place: Callable[[str], str] = spoken) -> Iterator[str]:
    """What the draft's meta-schema has against one node; the schemas inside it are not looked into."""
    seen: set[tuple[str, str]] = set()
    for error in _META[of].iter_errors(_hollow(node, pointer)):
        at = pointer
        for part in error.absolute_path:
            at = step(at, part)
        fault = (at, _worded(error))
        if fault not in seen:  # the 2020-12 vocabularies repeat one another
            seen.add(fault)
            yield f"{place(at)}: {fault[1]}"


def _hollow(node: Node, pointer: str) -> Node:
    """The node with `true` for each schema inside it: checked one by one, no depth exhausts jsonschema's recursion."""
    return node if isinstance(node, bool) else with_children(node, pointer, lambda _, child: isinstance(child, dict) or child)


def _worded(error: ValidationError) -> str:
    keyword = error.absolute_path[-1] if error.absolute_path else None
    if keyword == "type":
        names = error.instance if isinstance(error.instance, list) else [error.instance]
        wrong = [name for name in names if name not in TYPES]
        near = [close for name in wrong for close in difflib.get_close_matches(str(name), sorted(TYPES), 1)]
        meant = f"; did you mean {near[0]}?" if near else f"; the types are {', '.join(sorted(TYPES))}"
        return f"{', '.join(repr(name) for name in wrong) or repr(error.instance)} is not a type{meant}"
    if keyword == "required" and isinstance(error.instance, bool):
        return "required is a list of names in the object around the property, not true or false in the property"
    if keyword == "items" and isinstance(error.instance, list) and error.instance:
        return "items as a list is draft-07; in 2020-12 it is prefixItems"
    return error.message if len(error.message) <= 200 else f"{error.message[:200]}…"
