"""The requests of one parcel, in columns: about 40 bytes each, of which there may be 100,000."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from math import isnan, nan
from typing import overload

from pipeline.records import Slip

KEY_BYTES = 16


class Slips(Sequence[Slip]):
    """All their keys are of KEY_BYTES."""

    def __init__(self) -> None:
        self._positions = array("q")
        self._asks = array("i")
        self._keys = bytearray()
        self._worst_usd = array("d")
        """Not a number where it is not known."""

    def add(self, slip: Slip) -> None:
        assert len(slip.key) == KEY_BYTES
        self._positions.append(slip.position)
        self._asks.append(slip.ask)
        self._keys += slip.key
        self._worst_usd.append(nan if slip.worst_usd is None else slip.worst_usd)

    def __len__(self) -> int:
        return len(self._positions)

    @overload
    def __getitem__(self, at: int) -> Slip: ...
    @overload
    def __getitem__(self, at: slice) -> list[Slip]: ...
    def __getitem__(self, at: int | slice) -> Slip | list[Slip]:
        if isinstance(at, slice):
            return [self[one] for one in range(*at.indices(len(self)))]
        at = range(len(self))[at]
        worst_usd = self._worst_usd[at]
        key = bytes(self._keys[at * KEY_BYTES : (at + 1) * KEY_BYTES])
        return Slip(self._positions[at], self._asks[at], key, None if isnan(worst_usd) else worst_usd)

    def __iter__(self) -> Iterator[Slip]:
        return (self[at] for at in range(len(self)))
