"""What a journal holds, beyond their outcome, of rows whose text was long: in how many pieces it went, how much was left out.

A table of its own: nearly every row has nothing to say here, and a journal that knows nothing of it yet is given an empty one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from pipeline.records import Outcome

Statement: TypeAlias = "tuple[str, Mapping[str, object] | tuple[object, ...]]"

TABLE = """
CREATE TABLE IF NOT EXISTS long (position INTEGER PRIMARY KEY, pieces INTEGER NOT NULL, left_out INTEGER NOT NULL);
"""
ANY = "SELECT 1 FROM long LIMIT 1"
OUTCOMES = """
SELECT outcome.*, pieces, left_out FROM outcome LEFT JOIN long ON long.position = outcome.position ORDER BY outcome.position
"""


def is_long(outcome: Outcome) -> bool:
    return outcome.pieces != 1 or outcome.left_out != 0


def noted(outcome: Outcome) -> Statement:
    """Beside the outcome, and in the place of what was noted of an earlier one."""
    if is_long(outcome):
        return "INSERT OR REPLACE INTO long VALUES (?, ?, ?)", (outcome.position, outcome.pieces, outcome.left_out)
    return "DELETE FROM long WHERE position = ?", (outcome.position,)


def with_note(outcome: Outcome, found: tuple[Any, ...]) -> Outcome:
    """`found`: the last two values of a row of OUTCOMES."""
    pieces, left_out = found
    return outcome if pieces is None else replace(outcome, pieces=pieces, left_out=left_out)
