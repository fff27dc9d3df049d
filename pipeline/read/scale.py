"""How large a picture may be, and how many tokens it is. Pure.

build-with-claude/vision, read 2026-08-22: a picture counts `ceil(w/28) × ceil(h/28)` tokens after it was scaled down to what
the model sees; the API does so silently. Here it is done before, in the open: what is sent is what is seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

PATCH = 28
"""Pixels a side that make one token."""
MOST_PIXELS = 8_000 * 8_000
"""The API takes 8,000 pixels a side at most; what holds more than that square is not unpacked here either."""
MOST_WEBP_PIXELS = 32_000_000
"""Of a WEBP that must be unpacked: its decoder takes 16 bytes for each, those of other kinds 4 (Pillow 13, 2026-11-26)."""
MANY, MANY_SIDE = 20, 2_000
"""With more pictures than this in a request, each side ends there."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What a model sees of a picture at most."""

    side: int
    """Pixels of the longer side."""
    tokens: int

    def among(self, pictures: int) -> Sight:
        """The same for so many pictures in one request."""
        return Sight(min(self.side, MANY_SIDE), self.tokens) if pictures > MANY else self


SHARP, STANDARD = Sight(2_576, 4_784), Sight(1_568, 1_568)
"""Of models since 4.7, and of those before."""


def tokens(width: int, height: int) -> int:
    return ceil(width / PATCH) * ceil(height / PATCH)


def fitted(width: int, height: int, sight: Sight) -> tuple[int, int]:
    """The largest size of these proportions that is seen whole; the same size where it is already."""
    if _fits(width, height, sight):
        return width, height
    least, most = 0, max(width, height)  # of the longer side
    while most - least > 1:
        middle = (least + most) // 2
        if _fits(*_scaled(width, height, middle), sight):
            least = middle
        else:
            most = middle
    return _scaled(width, height, max(least, 1))


def _fits(width: int, height: int, sight: Sight) -> bool:
    return max(width, height) <= sight.side and tokens(width, height) <= sight.tokens


def _scaled(width: int, height: int, longer: int) -> tuple[int, int]:
    share = longer / max(width, height)
    return max(1, round(width * share)), max(1, round(height * share))
