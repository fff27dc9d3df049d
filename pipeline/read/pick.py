"""Which column names the rows, and which holds the text: a guess at a table that nobody has described yet."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from pipeline.errors import InputUnreadable
from pipeline.read.keys import count
from pipeline.read.rows import key_text, values
from pipeline.read.source import Source

SEEN_ROWS = 5_000
"""Rows by which columns are judged; a key is then proven on all of them."""
LONGEST_KEY = 64
"""Characters: what is longer is no name."""
_NAMED = re.compile(r"(?:.*[^a-z])?(?:id|key|uuid|guid|no|nr|number|code|sku|isbn|doi)", re.IGNORECASE)
_CAMEL = re.compile(r".*[a-z0-9]I[dD]")


@dataclass(frozen=True, slots=True)
class Picked:
    key: str | None
    """Unique and never null in all rows; None: no column is."""
    text: str
    rows: int
    blank: int
    """Rows without a text."""


@dataclass(slots=True)
class _Seen:
    """One column, as far as it was looked at."""

    filled: int = 0
    characters: int = 0
    spaced: bool = False
    longest: int = 0
    keys: set[str] = field(default_factory=set)

    def add(self, value: object) -> None:
        text = key_text(value)
        if text is None:
            return
        self.filled += 1
        self.characters += len(text)
        self.longest = max(self.longest, len(text))
        self.spaced = self.spaced or any(map(str.isspace, text))
        if len(text) <= LONGEST_KEY:
            self.keys.add(text)


def pick(source: Source) -> Picked:
    """The column whose texts are the longest, and the first one that can name every row: by its name, else by its values.

    Raises InputUnreadable where there is no row, or no column of text.
    """
    seen, rows = _look(source)
    if not rows:
        raise InputUnreadable(f"{source.files[0]}: there is no row in it", todo="name a file with rows in it")
    texts = {name: one.characters / rows for name, one in seen.items() if _is_text(source.schema.field(name).type)}
    if not any(texts.values()):
        raise InputUnreadable(f"{source.files[0]}: no column of it holds text", todo="name a file with a column of text")
    text = max(texts, key=lambda name: texts[name])
    key = next((name for name in _candidates(source.schema, seen, rows, text) if _names_all(source, name)), None)
    total = sum(count(source, None))
    return Picked(key, text, total, _blank(source, text))


def _look(source: Source) -> tuple[Mapping[str, _Seen], int]:
    columns = [one.name for one in source.schema if _is_text(one.type) or pa.types.is_integer(one.type)]
    seen = {name: _Seen() for name in columns}
    rows = 0
    for batch in source.batches(columns):
        for name, one in seen.items():
            for value in values(batch, name, {}):
                one.add(value)
        rows += batch.table.num_rows
        if rows >= SEEN_ROWS:
            break
    return seen, rows


def _candidates(schema: pa.Schema, seen: Mapping[str, _Seen], rows: int, text: str) -> Sequence[str]:
    """Those that may be a key by what was seen: the ones that are called so first."""
    able = [name for name, one in seen.items() if name != text and len(one.keys) == rows]
    called = [name for name in able if _NAMED.fullmatch(name) or _CAMEL.fullmatch(name)]
    # Whole numbers that happen to differ, prices say, are no names; words without a space may be.
    alike = [name for name in able if name not in called and not seen[name].spaced and _is_text(schema.field(name).type)]
    return [*called, *alike]


def _names_all(source: Source, name: str) -> bool:
    try:
        count(source, name)
    except InputUnreadable:
        return False
    return True


def _blank(source: Source, text: str) -> int:
    batches = source.batches([text])
    return sum(not str(value or "").strip() for batch in batches for value in values(batch, text, {}))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))
