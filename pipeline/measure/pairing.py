"""Rows of two tables, brought together by key; what has no partner is counted, never dropped unseen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Values = Mapping[str, object]
"""Column → value, of one row."""


@dataclass(frozen=True, slots=True)
class Keyed:
    """The rows of one table by key."""

    rows: Mapping[str, Values]
    total: int
    """Rows of the table."""
    keyless: int
    """Rows without a key."""
    repeated: int
    """Rows that say again what another row of their key says; they count once."""
    conflicting: tuple[str, ...]
    """Keys whose rows say different things; none of them is used."""


@dataclass(frozen=True, slots=True)
class Joined:
    """What the join by key found."""

    keys: tuple[str, ...]
    """In both tables, in the order of the gold file."""
    missing: tuple[str, ...]
    """In the gold file only."""
    unlabelled: int
    """Keys in the table only."""


def keyed(keys: Sequence[str | None], rows: Sequence[Values]) -> Keyed:
    """One key for each row; None or empty where it has none."""
    found: dict[str, Values] = {}
    keyless = repeated = 0
    conflicting: dict[str, None] = {}
    for key, values in zip(keys, rows, strict=True):
        if not key:
            keyless += 1
        elif found.setdefault(key, values) is not values:
            if repr(found[key]) == repr(values):  # also NaN and NaN
                repeated += 1
            else:
                conflicting[key] = None
    kept = {key: values for key, values in found.items() if key not in conflicting}
    return Keyed(kept, len(rows), keyless, repeated, tuple(conflicting))


def joined(gold: Keyed, table: Keyed) -> Joined:
    """Keys that conflict in either table are in neither list."""
    bad = {*gold.conflicting, *table.conflicting}
    return Joined(
        tuple(key for key in gold.rows if key in table.rows),
        tuple(key for key in gold.rows if key not in table.rows and key not in bad),
        sum(key not in gold.rows and key not in bad for key in table.rows),
    )
