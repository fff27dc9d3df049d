"""The schemas of several files → the one they share, or what keeps them apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

import pyarrow as pa

from pipeline.errors import ConfigInvalid, InputUnreadable
from pipeline.remote import Place

_MOST_SHOWN = 5


def union(found: Sequence[tuple[Place, pa.Schema]]) -> pa.Schema:
    """The columns of the first file, without metadata; names must be the same in all files, types must agree.

    Types agree when they are equal, when one is the type of nothing but nulls, or when both are text.
    Raises InputUnreadable with what differs, file by file.
    """
    (first, model), *others = found
    if not model.names:
        raise InputUnreadable(f"{first}: has no columns")
    types: dict[str, pa.DataType] = {column.name: column.type for column in model}
    faults: list[str] = []
    for path, schema in others:
        faults += _names_apart(first, model.names, path, schema.names)
        for column in schema:
            if (known := types.get(column.name)) is None:
                continue
            joined = _joined(known, column.type)
            if joined is None:
                faults.append(f"{path}: column {column.name!r} is {column.type}, but {known} before")
            else:
                types[column.name] = joined
    if faults:
        more = [f"and {len(faults) - _MOST_SHOWN} more"] if len(faults) > _MOST_SHOWN else []
        raise InputUnreadable(
            "\n  ".join(["the input files do not have the same columns", *faults[:_MOST_SHOWN], *more]),
            todo="mend the files, or give each kind a job of its own",
        )
    return pa.schema(list(types.items()))


def require(schema: pa.Schema, names: Sequence[str], wanted_by: str | Mapping[str, str]) -> None:
    """Raises ConfigInvalid unless every name is a column; `wanted_by` is the config key that asks for them, or says for each
    what does."""
    known: list[str] = schema.names
    faults = []
    for name in dict.fromkeys(names):
        if name not in known:
            nearest = get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
            where = wanted_by if isinstance(wanted_by, str) else wanted_by[name]
            faults.append(f"{where}: the input has no column {name!r}{hint}")
    if faults:
        shown = ", ".join(map(repr, known[:20])) + (f" and {len(known) - 20} more" if len(known) > 20 else "")
        raise ConfigInvalid(faults[0], faults=[*faults[1:], f"the columns are {shown}"])


def _names_apart(first: Place, expected: Sequence[str], path: Place, names: Sequence[str]) -> list[str]:
    faults = []
    if missing := [name for name in expected if name not in names]:
        faults.append(f"{path}: lacks {', '.join(map(repr, missing))}, which {first} has")
    if surplus := [name for name in names if name not in expected]:
        faults.append(f"{path}: has {', '.join(map(repr, surplus))}, which {first} lacks")
    return faults


def _joined(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    if one == other or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    # pandas writes text as large_string or dictionary, Spark and others as string: one corpus often has both.
    if is_text(one) and is_text(other):
        return pa.large_string() if pa.large_string() in (one, other) else pa.string()
    return None


def is_text(kind: pa.DataType) -> bool:
    """Strings of any width, also as pandas and Spark write categories."""
    if pa.types.is_dictionary(kind):
        return is_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))
