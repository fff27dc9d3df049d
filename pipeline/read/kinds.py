"""The types that a config can give a column of a text file: cell → value, or why it is none.

A cell is read whole or not at all: no decimal comma, no `1_000`, no number that its column would have to round to hold.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from pipeline.read.columns import booleans, dates, doubles, instants, integers, strings

_INTEGER = re.compile(r"[+-]?[0-9]{1,20}")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CLOCK = r"[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6}0*)?)?"  # a seventh digit would be cut off without a word
_DATETIME = re.compile(_DATE.pattern + "[T ]" + _CLOCK)
_TIMESTAMP = re.compile(_DATETIME.pattern + r"(Z|[+-][0-9]{2}:?[0-9]{2})")
_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True, slots=True)
class Kind:
    """One type."""

    type: pa.DataType
    form: str
    """What a cell must be, in words."""
    read: Callable[[str], Any]
    """A cell → the value; raises ValueError. White space around it does not count, except in text."""
    build: Callable[[Sequence[Any]], pa.Array]


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text) or not -(2**63) <= (value := int(text)) < 2**63:
        raise ValueError
    return value


def _double(text: str) -> float:
    if not _NUMBER.fullmatch(text) or math.isinf(value := float(text)):
        raise ValueError
    return value


def _boolean(text: str) -> bool:
    try:
        return _BOOLEANS[text.lower()]
    except KeyError:
        raise ValueError from None


def _date(text: str) -> date:
    if not _DATE.fullmatch(text):
        raise ValueError
    return date.fromisoformat(text)


def _datetime(text: str) -> datetime:
    if not _DATETIME.fullmatch(text):
        raise ValueError
    return datetime.fromisoformat(text)


def _timestamp(text: str) -> datetime:
    if not _TIMESTAMP.fullmatch(text):
        raise ValueError
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except OverflowError:  # a year before 1 or after 9999
        raise ValueError from None


def _bare(read: Callable[[str], object]) -> Callable[[str], object]:
    return lambda text: read(text.strip())


KINDS: Mapping[str, Kind] = MappingProxyType({
    "text": Kind(pa.string(), "text", str, strings),
    "int": Kind(pa.int64(), "a whole number of at most 64 bits", _bare(_integer), integers),
    "float": Kind(pa.float64(), "a number such as -1.5 or 2e3", _bare(_double), doubles),
    "bool": Kind(pa.bool_(), "true, false, yes, no, 1 or 0", _bare(_boolean), booleans),
    "date": Kind(pa.date32(), "a date such as 2026-11-25", _bare(_date), dates),
    "datetime": Kind(pa.timestamp("us"), "a time without offset such as 2026-11-25 14:30:00", _bare(_datetime), instants),
    "timestamp": Kind(
        pa.timestamp("us", "UTC"),
        "a time with its offset such as 2026-11-25T14:30:00+01:00",
        _bare(_timestamp),
        lambda values: instants(values, "UTC"),
    ),
})  # fmt: skip
"""By the name that `input.types` gives; the names stand in settings.py too."""


def misfit(name: str, told: str, text: str) -> str:
    """What is said of a cell that is not of the type that its column was told to have."""
    shown = repr(text if len(text) <= 60 else f"{text[:60]}…")
    return f"column {name!r} holds {shown}, which is not {KINDS[told].form} (input.types.{name}: {told})"
