"""The table as CSV: RFC 4180, UTF-8, safe to open in a spreadsheet.

A spreadsheet runs a cell that begins with = + - @ TAB or CR as a formula (OWASP, CSV Injection). Such a text cell gets an
apostrophe in front. So that this can be undone, a text that already is apostrophes followed by one of these gets one
more; no other text is touched:

    =1+1 → '=1+1        '=1+1 → ''=1+1        'tis → 'tis        - → '-

To undo it, take one apostrophe from every cell that matches ^'+[=+\\-@\\t\\r] (`restored` does). Header cells are treated
alike. Cells of numeric columns stand as they are: -5 is -5. Lists and objects are JSON text, binary is base64, times are
ISO 8601, null is the empty cell. NUL, which many readers take for the end, is written as U+2400 (␀).
"""

from __future__ import annotations

import csv
import re
from decimal import Decimal
from typing import BinaryIO

import pyarrow as pa

from pipeline.write.table_values import plain, to_json

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_DEFUSED = re.compile(r"'+[=+\-@\t\r]")


def defused(cell: str) -> str:
    """The cell as a spreadsheet shows it and never runs it."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def restored(cell: str) -> str:
    """What `defused` was given."""
    return cell[1:] if _DEFUSED.match(cell) else cell


class CsvTable:
    def __init__(self, file: BinaryIO, schema: pa.Schema) -> None:
        self._writer = csv.writer(_Utf8(file))
        self._defused = 0
        self._writer.writerow([self._cell(name) for name in schema.names])

    def write(self, rows: pa.RecordBatch) -> None:
        columns = [[self._cell(value) for value in plain(array)] for array in rows.columns]
        self._writer.writerows(zip(*columns, strict=True))

    def finish(self, summary: str) -> str | None:
        """CSV has no place for the summary."""
        if not self._defused:
            return None
        return (
            f"{self._defused} cells that a spreadsheet would run as formulas begin with an apostrophe; "
            "take one from each cell that matches ^'+[=+\\-@\\t\\r] to have them back"
        )

    def abandon(self) -> None:
        """Nothing is held."""

    def _cell(self, value: object) -> object:
        """As csv.writer takes it: numbers as they are, everything else as text."""
        match value:
            case bool():
                return "true" if value else "false"
            case None | int() | float():
                return value
            case Decimal():
                return format(value, "f")
            case str():
                text = value.replace("\0", "\u2400")
            case list() | dict():
                text = to_json(value).decode()
            case _:
                text = str(value)
        safe = defused(text)
        self._defused += safe is not text
        return safe


class _Utf8:
    """What csv.writer writes to: text in, UTF-8 out. A TextIOWrapper would close the file when it is collected."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, text: str) -> None:
        self._file.write(text.encode("utf-8"))
