"""Pictures of every sort, made where they are used."""

from __future__ import annotations

import io
import struct
import zlib
from random import Random
from typing import Any

from PIL import Image


def noise(width: int, height: int, seed: int = 0, mode: str = "RGB") -> Image.Image:
    """A picture that no encoder can pack."""
    bands = len(Image.new(mode, (1, 1)).getbands())
    return Image.frombytes(mode, (width, height), Random(seed).randbytes(width * height * bands))  # noqa: S311 no secret


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def plain(form: str, width: int = 40, height: int = 30, colour: str = "red", **options: Any) -> bytes:
    return encoded(Image.new("RGB", (width, height), colour), form, **options)


def animated(form: str) -> bytes:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "green", "blue")]
    return encoded(frames[0], form, save_all=True, append_images=frames[1:], duration=100)


def turned(form: str = "JPEG", orientation: int = 6, width: int = 60, height: int = 40) -> bytes:
    """A picture that its metadata says how to turn: its left half is red then, its right one blue over white."""
    upright = Image.new("RGB", (width, height), "red")
    upright.paste("blue", (width // 2, 0, width, height))
    upright.paste("white", (width * 3 // 4, height // 2, width, height))
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "CANARY camera"
    stored = upright
    for step in _STORED[orientation]:
        stored = stored.transpose(step)
    return encoded(stored, form, quality=95, exif=exif)


_TURN = Image.Transpose
_STORED: dict[int, tuple[Image.Transpose, ...]] = {
    1: (),
    2: (_TURN.FLIP_LEFT_RIGHT,),
    3: (_TURN.ROTATE_180,),
    4: (_TURN.FLIP_TOP_BOTTOM,),
    5: (_TURN.ROTATE_90, _TURN.FLIP_TOP_BOTTOM),
    6: (_TURN.ROTATE_90,),
    7: (_TURN.ROTATE_90, _TURN.FLIP_LEFT_RIGHT),
    8: (_TURN.ROTATE_270,),
}
"""Exif 2.32, orientation: where row 0 and column 0 of what is stored belong."""


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width: int, height: int, packed: bytes) -> bytes:
    """A PNG by its structure, whatever its pixels are."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def png_bomb() -> bytes:
    """A small PNG that unpacks to gigabytes."""
    return png(50_000, 50_000, zlib.compress(b"\0" * 1_000_000))
