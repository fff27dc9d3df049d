"""Pictures made smaller: what comes out, and what it takes."""

from __future__ import annotations

import zlib
from typing import Any

import pytest
from PIL import Image, ImageChops

from pipeline.read import shrink
from pipeline.read.confined import Unmade
from pipeline.read.shrink import Recipe, scaled, shrunk
from tests.pictures import noise, png


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "CMYK"])
@pytest.mark.parametrize("size", [(37, 41), (90, 7), (301, 200)])
def test_a_picture_made_strip_by_strip_is_the_one_made_at_once(
    monkeypatch: pytest.MonkeyPatch, mode: str, size: tuple[int, int]
) -> None:
    whole = noise(600, 400, mode=mode)
    if mode == "RGBA":
        whole.putalpha(Image.linear_gradient("L").resize(whole.size))
    monkeypatch.setattr(shrink, "STRIP_PIXELS", 600 * 60)
    made, expected = scaled(whole, size), whole.resize(size, Image.Resampling.LANCZOS)
    assert (made.mode, made.size) == (expected.mode, expected.size)
    assert max(most for _, most in _extrema(ImageChops.difference(made, expected))) <= 2, "but for rounding"


def _extrema(image: Image.Image) -> Any:
    found = image.getextrema()
    return found if isinstance(found[0], tuple) else (found,)


@pytest.mark.parametrize("mode", ["1", "P", "I;16"])
def test_colours_are_made_such_that_they_can_be_mixed(mode: str) -> None:
    made = scaled(Image.new(mode, (50, 40), 1), (25, 20))
    assert made.mode == {"1": "RGB", "P": "RGB", "I;16": "I"}[mode]


def test_the_largest_picture_with_a_transparent_palette_is_made_within_its_memory() -> None:
    """At once it takes 640 MB: the places in the palette, their colours, and those again to be mixed."""
    side = 8_000
    indexed = png(side, side, zlib.compress(bytes(side * (side + 1)), 1)).replace(b"\x08\x02\0\0\0", b"\x08\x03\0\0\0", 1)
    made = shrunk(_with_palette(indexed), Recipe("png", "png", 100, 100))
    assert made.startswith(b"\x89PNG")


def _with_palette(data: bytes) -> bytes:
    """The PNG with its header's checksum mended, and a palette of two colours, one of them clear."""
    from tests.pictures import chunk

    head, rest = data[:8], data[8:]
    return head + chunk(b"IHDR", rest[8:21]) + chunk(b"PLTE", bytes(6)) + chunk(b"tRNS", b"\0") + rest[25:]


def test_one_that_takes_more_is_refused_with_its_measure() -> None:
    side = 16_000
    wide = png(side, side, zlib.compress(bytes(1000)))
    with pytest.raises(Unmade, match=r"it takes more than 0\.6 GB of memory|exceeds limit"):
        shrunk(wide, Recipe("png", "png", 100, 100))
