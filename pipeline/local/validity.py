"""Schemas as validators. Nothing is fetched, whatever a schema refers to."""

from __future__ import annotations

from functools import lru_cache

import jsonschema_rs
import orjson


@lru_cache(maxsize=256)
def validator(schema: str) -> jsonschema_rs.Draft202012Validator | str:
    """The validator of a schema given as JSON text; or, as text, why it is no JSON Schema of draft 2020-12."""
    try:
        # Whatever dialect a schema names, the API reads it as 2020-12; offline, because the library fetches by default.
        return jsonschema_rs.Draft202012Validator(orjson.loads(schema), validate_formats=True, offline=True)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
        return error.message


def is_valid(schema: str, value: object) -> bool:
    """Whether `value` fits `schema`; False where the schema is none."""
    judge = validator(schema)
    return not isinstance(judge, str) and judge.is_valid(value)
