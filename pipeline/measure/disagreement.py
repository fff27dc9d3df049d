"""The rows where answer and gold differ, the hardest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.records import JSON


@dataclass(frozen=True, slots=True)
class Disagreement:
    key: str
    gold: JSON
    answer: JSON
    confidence: float | None
    error: float | None
    """Answer minus gold, of numbers."""


def disagreements(
    keys: Sequence[str],
    gold: Sequence[JSON],
    answers: Sequence[JSON | None],
    right: Sequence[bool],
    confidences: Sequence[float | None],
) -> list[Disagreement]:
    """Answered rows that are not right: the largest error first, of what is no number the most confident first."""
    found = [
        Disagreement(key, one, other, sure, _error(one, other))
        for key, one, other, is_right, sure in zip(keys, gold, answers, right, confidences, strict=True)
        if other is not None and not is_right
    ]
    return sorted(found, key=lambda each: (-abs(each.error or 0.0), -(-1.0 if each.confidence is None else each.confidence)))


def _error(gold: JSON, answer: JSON) -> float | None:
    return answer - gold if isinstance(gold, float) and isinstance(answer, float) else None
