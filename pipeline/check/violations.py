"""What a value has against its schema, in sentences that a person and the model can both act on."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import islice

from jsonschema_rs import ValidationError, ValidationErrorKind, Validator

from pipeline.records import JSON
from pipeline.schema.tree import Node, Tree, spoken, step

MASK = "the value"
"""Stands for the value in messages: they go to logs, and the value may quote the document."""
MOST = 5
MANY = 2_000
"""Values in an answer. The validator makes its errors all at once, 50 µs each (0.60, 2026-11-25); replies may be hostile."""
_LONGEST = 300


def violations(value: JSON, validator: Validator, tree: Tree) -> tuple[str, ...]:
    """At most MOST sentences, each `JSON pointer: what is wrong` with the expected form; then a word on the others.

    Empty where the value is valid. Of a very large value only the first fault is told.
    """
    first = list(islice(faults(value, validator), MOST + 1))
    told = [_clipped(_sentence(error, tree)) for error in first[:MOST]]
    return (*told, "and more") if len(first) > MOST else tuple(told)


def faults(value: JSON, validator: Validator) -> Iterable[ValidationError]:
    """What the schema has against the value; only the first fault where it is very large."""
    if not very_large(value):
        return validator.iter_errors(value)
    try:
        validator.validate(value)
    except ValidationError as error:
        return (error,)
    return ()


def very_large(value: JSON) -> bool:
    """Whether the value holds more than MANY others."""
    many = 0
    layer = [value]
    while layer and many <= MANY:
        layer = [
            child
            for node in layer
            if isinstance(node, (dict, list))
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        many += len(layer)
    return many > MANY


def _sentence(error: ValidationError, tree: Tree) -> str:
    pointer = ""
    for part in error.instance_path:
        pointer = step(pointer, part)
    match error.kind:
        case ValidationErrorKind.Required(property=name):
            return f"{step(pointer, name)}: is missing{_expected(error, name, tree)}"
        case ValidationErrorKind.AdditionalProperties(unexpected=names):
            return f"{spoken(pointer)}: has {_listed(names)}, which the schema does not allow"
        case ValidationErrorKind.AnyOf(context=branches) | ValidationErrorKind.OneOfNotValid(context=branches):
            reasons = dict.fromkeys(_reason(branch[0], len(error.instance_path)) for branch in branches if branch)
            return f"{spoken(pointer)}: fits none of the forms allowed: {'; or '.join(reasons)}"
        case _:
            return f"{spoken(pointer)}: {error.message}"


def _reason(error: ValidationError, depth: int) -> str:
    """Of one alternative; its place only where that is deeper than the value's."""
    below = "".join(step("", part) for part in error.instance_path[depth:])
    return f"{below}: {error.message}" if below else error.message


def _expected(error: ValidationError, name: str, tree: Tree) -> str:
    """The schema of a missing property, where it stands beside the `required` that wants it."""
    beside = holder(error, tree)
    properties = beside[1].get("properties") if beside is not None and isinstance(beside[1], dict) else None
    schema: JSON = properties.get(name) if isinstance(properties, dict) else None
    return f"; expected {json.dumps(schema, ensure_ascii=False)}" if isinstance(schema, dict) and schema else ""


def holder(error: ValidationError, tree: Tree) -> tuple[str, Node] | None:
    """Pointer and schema in which the keyword stands that is not obeyed."""
    # A % that is part of a name would be decoded as in the fragment of a URI.
    return tree.resolve("#" + "".join(step("", part) for part in error.schema_path[:-1]).replace("%", "%25"))


def _listed(names: list[str]) -> str:
    return ", ".join(repr(name) for name in names[:MOST]) + (" and others" if len(names) > MOST else "")


def _clipped(sentence: str) -> str:
    return sentence if len(sentence) <= _LONGEST else f"{sentence[:_LONGEST]}…"
