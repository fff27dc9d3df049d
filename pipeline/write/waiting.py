"""Which requests wait for the reply of a batch: where a row asks what is out already, it waits, too.

By the first eight bytes of their keys, in sorted arrays: 16 bytes a request. They only say where to look: the journal says
whether a request that was out still is, so nothing is ever taken out of an array. Whoever holds one for long makes it anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

PREFIX_BYTES = 8


@dataclass(slots=True)
class Waiting:
    _levels: list[NDArray[np.uint64]] = field(default_factory=list, init=False)
    """Each of two rows: prefixes, sorted; and the positions of the rows that ask so. Each is longer than the next."""

    def add(self, keys: Iterable[bytes], positions: Iterable[int], number: int) -> None:
        """Key and position of so many."""
        if number:
            prefixes = np.fromiter((int.from_bytes(key[:PREFIX_BYTES]) for key in keys), np.uint64, number)
            self._put(np.stack([prefixes, np.fromiter(positions, np.uint64, number)]))

    def positions(self, key: bytes) -> Iterator[int]:
        """Of rows whose request begins like this one."""
        prefix = np.uint64(int.from_bytes(key[:PREFIX_BYTES]))
        for prefixes, positions in self._levels:
            at = int(prefixes.searchsorted(prefix))
            while at < len(prefixes) and prefixes[at] == prefix:
                yield int(positions[at])
                at += 1

    def _put(self, level: NDArray[np.uint64]) -> None:
        """Merges arrays of like length, so that a look searches few."""
        while self._levels and self._levels[-1].shape[1] < 2 * level.shape[1]:
            level = np.concatenate([self._levels.pop(), level], axis=1)
        self._levels.append(np.ascontiguousarray(level[:, np.argsort(level[0], kind="stable")]))
