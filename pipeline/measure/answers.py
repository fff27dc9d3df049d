"""How often each value was answered, for columns with few values. Memory is bounded by the enums, never by rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence


class Answers:
    """Counts the values of the given properties, row by row: `values` maps a property to the values its schema allows."""

    def __init__(self, values: Mapping[str, Sequence[str]]) -> None:
        self._counts = {name: Counter(dict.fromkeys(allowed, 0)) for name, allowed in values.items()}

    def add(self, answer: Mapping[str, object]) -> None:
        """One row's answer; a property that is missing or null counts nowhere."""
        for name, counts in self._counts.items():
            value = answer.get(name)
            if isinstance(value, str):
                counts[value] += 1

    def results(self) -> dict[str, dict[str, int]]:
        """Property → value → rows, in the order of the schema; values that were never answered stand there with 0."""
        return {name: dict(counts) for name, counts in self._counts.items()}
