"""Texts and figures as a person reads them on a terminal, in a log or in a mail from cron."""

from __future__ import annotations

import io
import math
import re
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TextIO, cast

if TYPE_CHECKING:
    from rich.console import Console

_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # C0, DEL, C1: ESC and CSI are among them
    "\xad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # unseen, or they turn the direction
    "\u2028\u2029"  # line ends to some readers
    "\ud800-\udfff"  # lone surrogates, which no encoding takes
    "\U000e0000-\U000e0fff]"  # tags: a whole text can hide in them
)
"""What can move the cursor, colour or hide text, or end a line. Zero-width joiners stay: emoji and Indic scripts use them."""


def plain(text: str, limit: int = 200) -> str:
    """Text from data on one line, at most `limit` characters, with everything that could act on a terminal escaped."""
    escaped = _UNSAFE.sub(lambda found: ascii(found.group())[1:-1], text[: limit + 1])
    return escaped if len(escaped) <= limit else escaped[: limit - 1] + "…"


def count(number: int) -> str:
    return f"{number:,}"


def percent(part: int, whole: int) -> str:
    """To a tenth; 0.0% and 100.0% only where they are exact."""
    tenths = part * 1000 / whole if whole else 0.0
    bounded = min(max(round(tenths), 1), 999) if 0 < part < whole else round(tenths)
    return f"{bounded / 10:.1f}%"


def dollars(usd: float | None) -> str:
    """Cents, or two significant digits where it is less than a cent."""
    if usd is None:
        return "unknown (a model without a price)"
    digits = 1 - math.floor(math.log10(usd)) if 0 < usd < 0.01 else 2
    return f"${usd:,.{digits}f}"


def duration(seconds: float) -> str:
    """The two largest units: `42 s`, `3 min 12 s`, `1 h 03 min`, `2 d 4 h`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"


def moment(unix_time: float) -> str:
    return datetime.fromtimestamp(unix_time, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def console(stream: TextIO, *, width: int | None = None) -> Console:
    """A rich console that reads no markup and no emoji codes in what it prints, and fails on no character and no hang-up.

    `width` in columns; None: that of the terminal, or 80. NO_COLOR and TERM=dumb are rich's to honour.
    """
    from rich.console import Console  # 55 ms of CPU, which what never prints does without (measured 2026-11)

    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    patient = cast(TextIO, _Patient(stream))
    return Console(file=patient, width=width, markup=False, emoji=False, highlight=False)


class _Patient:
    """The stream, save that a reader who went away is no error.

    A pipe that was closed (`… 2>&1 | head`) or a terminal that was hung up (EIO) must not end a night's run; rich exits with
    status 1 on the first and raises on the second.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()
