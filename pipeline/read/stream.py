"""Text files as lines of bytes: unpacked on the way, bounded in memory, with the place of every line known."""

from __future__ import annotations

import codecs
from collections.abc import Generator, Iterator
from itertools import chain

import pyarrow as pa

from pipeline.errors import InputUnreadable
from pipeline.read.format import UNPACKED_BYTES, UNPACKED_RATIO, exceeds
from pipeline.remote import Place, Remote

CODECS = {".gz": "gzip", ".zst": "zstd"}

BLOCK_BYTES = 1 << 20

RECORD_BYTES = 32 << 20
"""No record can be longer than the API's largest request body (32 MB; api/errors, read 2026-10-08)."""

_MARK = b"\xef\xbb\xbf"

_SHOWN_BYTES = 20
"""Of a line, before and behind the byte that is not UTF-8."""


def suffix(path: Place) -> str:
    """`.csv` of `a.csv`, `a.CSV` and `a.csv.gz`: the ending that tells the format."""
    endings = [ending.lower() for ending in path.suffixes]
    if endings and endings[-1] in CODECS:
        endings.pop()
    return endings[-1] if endings else ""


def said_encoding(told: str | None) -> str:
    return "UTF-8" if told is None else f"{told} (input.encoding)"


class Lines:
    """The lines of a file as bytes of UTF-8, line ends kept, without a byte order mark.

    A line ends at LF, CR LF or a lone CR. Iterate once; close it, or exhaust it, to close the file.
    """

    def __init__(self, path: Place, encoding: str | None = None) -> None:
        """`encoding` is the file's, a codec of Python; None: UTF-8."""
        self.path = path
        self.number = 0
        """Of the line given last, from 1."""
        self.end = 0
        """How many bytes of UTF-8 lie before the next line."""
        self._lines = _lines(path, encoding)

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
                f"which is not UTF-8\n  {_offer(line, error.start)}"
            ) from error

    def close(self) -> None:
        self._lines.close()


def _offer(line: bytes, at: int) -> str:
    """What the bytes around that place would be in the other common encoding; a person says whether that is right."""
    around = line[max(0, at - _SHOWN_BYTES) : at + _SHOWN_BYTES].strip(b"\r\n")
    try:
        read = around.decode("cp1252")
    except UnicodeDecodeError:
        return "Nor is it cp1252, the encoding of Windows; set input.encoding to what wrote the file, or mend that line."
    return f"In cp1252, the encoding of Windows, it stands in: {read!r}. If that reads right, set input.encoding: cp1252"


def _unmarked(path: Place, line: bytes) -> bytes:
    if line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InputUnreadable(f"{path}: is UTF-16, not UTF-8\n  Set input.encoding: utf-16")
    return line.removeprefix(_MARK)


def _lines(path: Place, encoding: str | None) -> Generator[bytes, None, None]:
    rest = b""
    for block in _blocks(path) if encoding is None else _recoded(path, encoding):
        # bytes.splitlines knows LF, CR LF and CR only (str.splitlines also splits at U+2028 and others). The last
        # piece waits for more even when it ends in CR: an LF may follow.
        *lines, rest = (rest + block).splitlines(keepends=True)
        yield from lines
        if len(rest) > RECORD_BYTES:
            raise InputUnreadable(f"{path}: has a line of more than {RECORD_BYTES >> 20} MiB, more than a request can hold")
    if rest:
        yield rest


def _recoded(path: Place, encoding: str) -> Iterator[bytes]:
    """The file as UTF-8, in blocks."""
    name = codecs.lookup(encoding).name
    decoder = codecs.getincrementaldecoder(name)()
    done, lines = 0, 1
    for block in chain(_blocks(path), [b""]):
        if done == 0:
            _refuse_contradiction(path, block, name, encoding)
        state = decoder.getstate()
        try:
            text = decoder.decode(block, final=not block)
            yield text.encode()
        except UnicodeError as error:
            start = len(block) - len(error.object) + error.start if isinstance(error, UnicodeDecodeError) else 0
            decoder.setstate(state)
            lines += decoder.decode(block[: max(0, start)]).count("\n")
            raise InputUnreadable(
                f"{path}: line {lines}: byte {done + start} is not {encoding}: {getattr(error, 'reason', error)}\n"
                "  Set input.encoding to what wrote the file; left out, it is UTF-8."
            ) from error
        done += len(block)
        lines += text.count("\n")


def _refuse_contradiction(path: Place, begin: bytes, name: str, encoding: str) -> None:
    """A mark says more surely what a file is than a config that was written for another."""
    marks = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
    for mark, its in marks.items():
        if begin.startswith(mark) and not name.startswith((its, "utf-32")):
            raise InputUnreadable(
                f"{path}: begins with the byte order mark of {its}, but input.encoding is {encoding}\n"
                f"  Set input.encoding: {its}, or leave it out for UTF-8."
            )


def _blocks(path: Place) -> Generator[bytes, None, None]:
    codec = CODECS.get(path.suffix.lower())
    packed = path.stat().st_size
    if codec and not packed:
        raise InputUnreadable(f"{path}: is empty, which no {codec} file is; it was probably cut short")
    unpacked = 0
    with path.stream(codec) if isinstance(path, Remote) else pa.input_stream(str(path), compression=codec) as stream:
        while block := stream.read(BLOCK_BYTES):
            unpacked += len(block)
            if codec and exceeds(packed, unpacked):
                raise InputUnreadable(
                    f"{path}: unpacks to more than {UNPACKED_BYTES >> 30} GiB and {UNPACKED_RATIO} times its size: "
                    "this looks like a decompression bomb\n"
                    "  If it is meant, unpack it first and name the unpacked file."
                )
            yield block
