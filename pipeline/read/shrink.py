"""One picture in, the same upright and smaller out: `python -m pipeline.read.shrink`, in a process that may fail.

Decoders of pictures are written in C and meet what anybody may have put into a file.
"""

from __future__ import annotations

import io
import sys
import warnings
from dataclasses import asdict, dataclass
from math import ceil
from typing import TYPE_CHECKING, Any, Literal

from pipeline.read.confined import answered, asked_of

if TYPE_CHECKING:
    from PIL import Image

MEMORY_BYTES = 600_000_000
"""The largest picture takes 350 MB, the largest WEBP that is taken 550 MB, this program itself 60 MB among them."""
QUALITY = 90
STRIP_PIXELS = 1 << 22
"""Of a picture that is made smaller, so many at a time."""
UPRIGHT = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
"""Orientation of the metadata → what turns it upright. Not by Pillow's own reading of it, which knows further places than Exif
and so may turn another way than the size was reckoned for."""
FORMATS = {"jpeg": "JPEG", "png": "PNG", "gif": "GIF", "webp": "WEBP"}


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a picture is made anew: with the bytes it comes from, all that the result shows."""

    source: Literal["jpeg", "png", "gif", "webp"]
    target: Literal["jpeg", "png"]
    width: int
    """Of the result, upright."""
    height: int
    orientation: int = 1
    """Of the original, by its metadata."""


def shrunk(data: bytes, recipe: Recipe) -> bytes:
    """The picture made anew, without metadata. Raises confined.Unmade."""
    return asked_of("pipeline.read.shrink", asdict(recipe), data)


def _made(what: dict[str, Any], data: bytes) -> bytes:
    # Only in this process, within its limits.
    from PIL import Image

    recipe = Recipe(**what)
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    # No other decoder is even tried: the list keeps out those that start programs, such as EPS.
    with Image.open(io.BytesIO(data), formats=[FORMATS[recipe.source]]) as opened:
        # A JPEG is decoded at a half or a quarter of its size where that is enough.
        opened.draft(None, (2 * max(recipe.width, recipe.height),) * 2)
        opened.load()
        size = (recipe.height, recipe.width) if recipe.orientation >= 5 else (recipe.width, recipe.height)
        image = scaled(opened, size)
    if recipe.orientation in UPRIGHT:
        image = image.transpose(Image.Transpose[UPRIGHT[recipe.orientation]])
    image = _eight_bits(image)
    if recipe.target == "jpeg":
        image = _flat(image)
    elif image.mode not in ("L", "RGB"):
        image = image.convert("RGBA")
    image.info = {}
    out = io.BytesIO()
    if recipe.target == "jpeg":
        image.save(out, "JPEG", quality=QUALITY)
    else:
        image.save(out, "PNG")
    return out.getvalue()


def scaled(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The picture in that size and with colours that can be mixed, made strip by strip: at its full size, each copy of the
    largest picture is a quarter of a gigabyte."""
    from PIL import Image

    (width, height), step = size, image.height / size[1]
    if image.size == size:
        return _mixable(image)
    rows = max(1, round(STRIP_PIXELS / image.width / step))
    made: Image.Image | None = None
    for top in range(0, height, rows):
        bottom = min(height, top + rows)
        # The kernel looks three rows of the result beyond each edge.
        first, last = max(0, int((top - 3) * step) - 1), min(image.height, ceil((bottom + 3) * step) + 1)
        strip = _mixable(image.crop((0, first, image.width, last)))
        box = (0, top * step - first, image.width, min(bottom * step, image.height) - first)
        part = strip.resize((width, bottom - top), Image.Resampling.LANCZOS, box=box)
        made = made or Image.new(part.mode, size)
        made.paste(part, (0, top))
    assert made is not None, "a picture has rows"
    return made


def _mixable(image: Image.Image) -> Image.Image:
    """In colours instead of places in a palette, or in numbers that can be reckoned with."""
    if image.mode in ("1", "P", "PA"):
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    return image.convert("I") if image.mode.startswith("I;") else image


def _eight_bits(image: Image.Image) -> Image.Image:
    """16 bits of grey as 8: Pillow's own conversion would cut the bright ones off instead of scaling all."""
    if image.mode == "I":
        return image.point(lambda value: value * (1 / 256)).convert("L")
    return image


def _flat(image: Image.Image) -> Image.Image:
    """Without transparency, on white, in colours that a JPEG holds."""
    from PIL import Image

    if image.mode in ("L", "RGB"):
        return image
    if image.mode in ("CMYK", "YCbCr", "LAB", "HSV"):
        return image.convert("RGB")
    clear = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")


if __name__ == "__main__":
    sys.exit(answered(_made, memory_bytes=MEMORY_BYTES))
