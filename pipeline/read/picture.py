"""Bytes → what kind of picture they are and how large, from the headers alone. Pure.

Nothing is decoded: a picture of a thousand bytes may claim a billion pixels, and Pillow's own lazy opening lays out the canvas
of a WEBP before anybody can look at its size. The type is what the first bytes say, never what a name ends in. The structure
is walked to its end, so that a file that was cut is told from a whole one.

PNG: ISO/IEC 15948 and the registered eXIf chunk; GIF89a; JPEG: ITU-T T.81, Exif 2.32; WEBP: RFC 9649.
"""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["jpeg", "png", "gif", "webp"]

_OTHERS = (
    (re.compile(rb"%PDF-"), "a PDF; name its column in prompt.documents"),
    (re.compile(rb"II\*\0|MM\0\*"), "a TIFF"),
    (re.compile(rb"BM"), "a BMP"),
    (re.compile(rb".{4}ftyp(heic|heix|mif1|msf1)", re.DOTALL), "a HEIC"),
    (re.compile(rb".{4}ftypavif", re.DOTALL), "an AVIF"),
    (re.compile(rb"\s*(<\?xml|<svg)", re.IGNORECASE), "an SVG or other XML"),
    (re.compile(rb"\s*<(!doctype|html)", re.IGNORECASE), "an HTML page"),
    (re.compile(rb"PK\x03\x04"), "a ZIP archive"),
    (re.compile(rb"\x1f\x8b"), "gzip data"),
)
_PNG = b"\x89PNG\r\n\x1a\n"
_ORIENTATION = 0x0112
_SHORT = 3
_NO_LENGTH = {0x01, *range(0xD0, 0xD9)}
"""JPEG markers that stand alone: TEM, RST0 to RST7, SOI."""
_FRAME = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""SOF0 to SOF15: the frame's size follows."""
_SCAN, _APP1 = 0xDA, 0xE1
_END = b"\xff\xd9"


@dataclass(frozen=True, slots=True)
class Picture:
    """A whole picture of a kind that the API takes."""

    kind: Kind
    width: int
    """Pixels, as they are stored: `orientation` may turn them."""
    height: int
    orientation: int = 1
    """Exif: 1 is upright, 2 to 8 are turned or mirrored."""
    is_animated: bool = False


@dataclass(frozen=True, slots=True)
class NoPicture:
    """Why the bytes are none: `is a PDF`, `is cut short`, …"""

    why: str


def picture(data: bytes) -> Picture | NoPicture:
    """What the bytes are. Takes time by their structure, not by their pixels."""
    try:
        if data.startswith(b"\xff\xd8\xff"):
            return _jpeg(data)
        if data.startswith(_PNG):
            return _png(data)
        if data.startswith((b"GIF87a", b"GIF89a")):
            return _gif(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp(data)
    except (struct.error, IndexError):
        return NoPicture("is cut short: its structure goes on behind its last byte")
    if not data:
        return NoPicture("is empty: 0 bytes")
    other = next((name for pattern, name in _OTHERS if pattern.match(data)), None)
    return NoPicture(f"is {other}" if other is not None else f"is no picture: it begins with {data[:8]!r}")


def _sized(kind: Kind, width: int, height: int, *, orientation: int = 1, is_animated: bool = False) -> Picture | NoPicture:
    if not width or not height:
        return NoPicture(f"is a {kind.upper()} of {width} × {height} pixels")
    return Picture(kind, width, height, orientation, is_animated)


def _jpeg(data: bytes) -> Picture | NoPicture:
    at, orientation = 2, 1
    size: tuple[int, int] | None = None
    while True:
        if data[at] != 0xFF:
            return NoPicture(f"is a broken JPEG: byte {at} is no marker")
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        if marker in _NO_LENGTH:
            at += 2
            continue
        if marker == 0xD9:
            return NoPicture("is a JPEG without a picture in it")
        (length,) = struct.unpack_from(">H", data, at + 2)
        if marker in _FRAME:
            height, width = struct.unpack_from(">HH", data, at + 5)
            size = (width, height)
        elif marker == _APP1 and data[at + 4 : at + 10] == b"Exif\0\0":
            orientation = _orientation(data[at + 10 : at + 2 + length])
        elif marker == _SCAN:
            break
        at += 2 + length
    if size is None:
        return NoPicture("is a broken JPEG: it has no frame header")
    # A thumbnail in the metadata has an end of its own, but that stands before the scan.
    if data.find(_END, at) < 0:
        return NoPicture("is a JPEG that is cut short: it has no end")
    return _sized("jpeg", *size, orientation=orientation)


def _png(data: bytes) -> Picture | NoPicture:
    at, orientation, is_animated = len(_PNG), 1, False
    size: tuple[int, int] | None = None
    while True:
        length, name = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            return NoPicture("is a PNG that is cut short")
        (checksum,) = struct.unpack_from(">I", data, end - 4)
        if zlib.crc32(memoryview(data)[at + 4 : end - 4]) != checksum:
            return NoPicture(f"is a damaged PNG: the checksum of its part {name.decode('latin-1')!r} is wrong")
        if name == b"IHDR":
            size = struct.unpack_from(">II", data, at + 8)
        elif name == b"acTL":
            is_animated = struct.unpack_from(">I", data, at + 8)[0] > 1
        elif name == b"eXIf":
            orientation = _orientation(data[at + 8 : end - 4])
        elif name == b"IEND":
            break
        at = end
    if size is None:
        return NoPicture("is a broken PNG: it has no header")
    return _sized("png", *size, orientation=orientation, is_animated=is_animated)


def _gif(data: bytes) -> Picture | NoPicture:
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    at, frames = 13 + _palette(flags), 0
    while data[at] != 0x3B:
        if data[at] == 0x21:
            at = _behind_blocks(data, at + 2)
        elif data[at] == 0x2C:
            frames += 1
            at = _behind_blocks(data, at + 11 + _palette(data[at + 9]))
        else:
            return NoPicture(f"is a broken GIF: byte {at} begins no block")
    if not frames:
        return NoPicture("is a GIF without a picture in it")
    return _sized("gif", width, height, is_animated=frames > 1)


def _palette(flags: int) -> int:
    """Bytes of the colour table that these flags announce."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _behind_blocks(data: bytes, at: int) -> int:
    while (length := data[at]) != 0:
        at += 1 + length
    return at + 1


def _webp(data: bytes) -> Picture | NoPicture:
    end = 8 + struct.unpack_from("<I", data, 4)[0]
    if end > len(data):
        return NoPicture("is a WEBP that is cut short")
    at, orientation, is_animated = 12, 1, False
    size: tuple[int, int] | None = None
    while at + 8 <= end:
        name, length = struct.unpack_from("<4sI", data, at)
        body = at + 8
        if body + length > end:
            return NoPicture("is a WEBP that is cut short")
        if name == b"VP8X":
            is_animated = bool(data[body] & 2)
            size = (
                1 + int.from_bytes(data[body + 4 : body + 7], "little"),
                1 + int.from_bytes(data[body + 7 : body + 10], "little"),
            )
        elif name == b"VP8 " and size is None:
            width, height = struct.unpack_from("<HH", data, body + 6)
            size = (width & 0x3FFF, height & 0x3FFF)
        elif name == b"VP8L" and size is None:
            (bits,) = struct.unpack_from("<I", data, body + 1)
            size = ((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
        elif name == b"EXIF":
            orientation = _orientation(data[body : body + length].removeprefix(b"Exif\0\0"))
        at = body + length + (length & 1)
    if size is None:
        return NoPicture("is a broken WEBP: it has no picture in it")
    return _sized("webp", *size, orientation=orientation, is_animated=is_animated)


def _orientation(exif: bytes) -> int:
    """Of the first directory of Exif data; 1 where that does not say, or is damaged."""
    order: Literal["<", ">"] = "<" if exif[:2] == b"II" else ">"
    try:
        (directory,) = struct.unpack_from(order + "I", exif, 4)
        (entries,) = struct.unpack_from(order + "H", exif, directory)
        for entry in range(entries):
            tag, kind, _, value = struct.unpack_from(order + "HHIH", exif, directory + 2 + 12 * entry)
            if tag == _ORIENTATION and kind == _SHORT:
                found: int = value
                return found if 1 <= found <= 8 else 1
    except struct.error:
        pass
    return 1
