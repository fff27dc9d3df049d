"""Two schemas → one that says what both say, as far as one schema can; the rest is for the validator to catch. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.local.errors import Unmakeable


def merged(first: Mapping[str, Any], second: Any) -> dict[str, Any]:
    """One schema that says what both say, as far as one can: the rest is for the validator to catch."""
    if second is False:
        raise Unmakeable("the schema is false: nothing is valid")
    both = dict(first)
    for key, value in ({} if second is True else second).items():
        both[key] = _both(key, both[key], value) if key in both else value
    return both


def _both(key: str, first: Any, second: Any) -> Any:
    match key:
        case "type":
            return _types_in_both(first, second)
        case "enum":
            return [value for value in first if value in second]
        case "required":
            return [*first, *(name for name in second if name not in first)]
        case "minimum" | "exclusiveMinimum" | "minLength" | "minItems" | "minProperties" | "minContains":
            return max(first, second)
        case "maximum" | "exclusiveMaximum" | "maxLength" | "maxItems" | "maxProperties":
            return min(first, second)
        case "properties" | "patternProperties" | "dependentSchemas":
            return {
                name: first.get(name, second.get(name))
                if (name in first) != (name in second)
                else {"allOf": [first[name], second[name]]}
                for name in [*first, *(name for name in second if name not in first)]
            }
        case "items" | "additionalProperties" | "propertyNames" | "contains":
            return {"allOf": [first, second]} if first is not False and second is not False else False
        case "allOf":
            return [*first, *second]
        case "anyOf" | "oneOf":
            return [{"allOf": [one, other]} for one in first for other in second]
        case "uniqueItems":
            return first or second
    return second


def _types_in_both(first: Any, second: Any) -> list[str]:
    kinds = [first] if isinstance(first, str) else list(first)
    others = [second] if isinstance(second, str) else list(second)
    shared = [kind for kind in kinds if kind in others]
    if "integer" not in shared and {"integer", "number"} <= {*kinds, *others}:
        shared.append("integer")
    return shared
