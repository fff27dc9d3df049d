"""A bounded sample of what passes by."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class Pick(Generic[T]):
    """At most `size` of all that is offered, each with the same chance (reservoir sampling); the same ones each time."""

    size: int
    items: list[T] = field(default_factory=list)
    offered: int = 0
    chance: random.Random = field(default_factory=lambda: random.Random(0))  # noqa: S311 no secret

    def offer(self, item: T) -> None:
        self.offer_made(lambda: item)

    def offer_made(self, make: Callable[[], T]) -> None:
        """Offers what `make` gives; it is called only where that is kept for now."""
        self.offered += 1
        if len(self.items) < self.size:
            self.items.append(make())
        elif (place := int(self.chance.random() * self.offered)) < self.size:
            self.items[place] = make()
