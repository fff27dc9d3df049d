"""One picture in, the same upright and smaller out: `python -m pipeline.read.shrink`, in a process that may fail.

Decoders of pictures are written in C and meet what anybody may have put into a file.
"""

from __future__ import annotations

import io
import sys
import warnings
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from pipeline.read.confined import answered, asked_of

if TYPE_CHECKING:
    from PIL import Image

QUALITY = 90
FORMATS = {"jpeg": "JPEG", "png": "PNG", "gif": "GIF", "webp": "WEBP"}


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a picture is made anew: with the bytes it comes from, all that the result shows."""

    source: Literal["jpeg", "png", "gif", "webp"]
    target: Literal["jpeg", "png"]
    width: int
    """Of the result, upright."""
    height: int


def shrunk(data: bytes, recipe: Recipe) -> bytes:
    """The picture made anew, without metadata. Raises confined.Unmade."""
    return asked_of("pipeline.read.shrink", asdict(recipe), data)


def _made(what: dict[str, Any], data: bytes) -> bytes:
    # Only in this process, within its limits.
    from PIL import Image, ImageOps

    recipe = Recipe(**what)
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    # No other decoder is even tried: the list keeps out those that start programs, such as EPS.
    with Image.open(io.BytesIO(data), formats=[FORMATS[recipe.source]]) as opened:
        # A JPEG is decoded at a half or a quarter of its size where that is enough.
        opened.draft(None, (2 * max(recipe.width, recipe.height),) * 2)
        opened.load()
        image: Image.Image = ImageOps.exif_transpose(opened)
    image = _eight_bits(image)
    if recipe.target == "jpeg":
        image = _flat(image)
    elif image.mode not in ("L", "RGB"):
        image = image.convert("RGBA")
    if image.size != (recipe.width, recipe.height):
        image = image.resize((recipe.width, recipe.height), Image.Resampling.LANCZOS)
    image.info.clear()
    out = io.BytesIO()
    if recipe.target == "jpeg":
        image.save(out, "JPEG", quality=QUALITY)
    else:
        image.save(out, "PNG")
    return out.getvalue()


def _eight_bits(image: Image.Image) -> Image.Image:
    """16 bits of grey as 8: Pillow's own conversion would cut the bright ones off instead of scaling all."""
    if image.mode.startswith("I"):
        return image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
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
    sys.exit(answered(_made))
