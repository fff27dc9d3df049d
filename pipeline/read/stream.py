"""Text files as lines of bytes: unpacked on the way, bounded in memory, with the place of every line known."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pyarrow as pa

from pipeline.errors import InputUnreadable
from pipeline.read.format import UNPACKED_BYTES, UNPACKED_RATIO, exceeds

CODECS = {".gz": "gzip", ".zst": "zstd"}

BLOCK_BYTES = 1 << 20

RECORD_BYTES = 32 << 20
"""No record can be longer than the API's largest request body (32 MB; api/errors, read 2026-10-08)."""

_MARK = b"\xef\xbb\xbf"


def suffix(path: Path) -> str:
    """`.csv` of `a.csv`, `a.CSV` and `a.csv.gz`: the ending that tells the format."""
    endings = [ending.lower() for ending in path.suffixes]
    if endings and endings[-1] in CODECS:
        endings.pop()
    return endings[-1] if endings else ""


class Lines:
    """The lines of a UTF-8 file as bytes, line ends kept, without a byte order mark.

    A line ends at LF, CR LF or a lone CR. Iterate once; close it, or exhaust it, to close the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.number = 0
        """Of the line given last, from 1."""
        self.end = 0
        """How many bytes of the unpacked file lie before the next line."""
        self._lines = _lines(path)

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> bytes:
        line = next(self._lines)
        self.number += 1
        self.end += len(line)
        if self.number == 1:
            return _unmarked(self.path, line)
        return line

    def text(self, line: bytes) -> str:
        """The line given last as text; raises InputUnreadable with the place of a byte that is not UTF-8."""
        try:
            return line.decode()
        except UnicodeDecodeError as error:
            place = self.end - len(line) + error.start
            raise InputUnreadable(
                f"{self.path}: line {self.number}: byte {place} of the text is 0x{line[error.start]:02x}, "
                "which is not UTF-8\n"
                f"  Convert the file, for example: iconv -f WINDOWS-1252 -t UTF-8 {self.path.name} > utf8-{self.path.name}"
            ) from error

    def close(self) -> None:
        self._lines.close()


def _unmarked(path: Path, line: bytes) -> bytes:
    if line.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputUnreadable(
            f"{path}: is UTF-16, not UTF-8\n"
            f"  Convert the file, for example: iconv -f UTF-16 -t UTF-8 {path.name} > utf8-{path.name}"
        )
    return line.removeprefix(_MARK)


def _lines(path: Path) -> Generator[bytes, None, None]:
    rest = b""
    for block in _blocks(path):
        # bytes.splitlines knows LF, CR LF and CR only (str.splitlines also splits at U+2028 and others). The last
        # piece waits for more even when it ends in CR: an LF may follow.
        *lines, rest = (rest + block).splitlines(keepends=True)
        yield from lines
        if len(rest) > RECORD_BYTES:
            raise InputUnreadable(f"{path}: has a line of more than {RECORD_BYTES >> 20} MiB, more than a request can hold")
    if rest:
        yield rest


def _blocks(path: Path) -> Generator[bytes, None, None]:
    codec = CODECS.get(path.suffix.lower())
    packed = path.stat().st_size
    if codec and not packed:
        raise InputUnreadable(f"{path}: is empty, which no {codec} file is; it was probably cut short")
    unpacked = 0
    with pa.input_stream(str(path), compression=codec) as stream:
        while block := stream.read(BLOCK_BYTES):
            unpacked += len(block)
            if codec and exceeds(packed, unpacked):
                raise InputUnreadable(
                    f"{path}: unpacks to more than {UNPACKED_BYTES >> 30} GiB and {UNPACKED_RATIO} times its size: "
                    "this looks like a decompression bomb\n"
                    "  If it is meant, unpack it first and name the unpacked file."
                )
            yield block
