"""Tables on disk as rows of values: the published table, a gold file, the table of another run."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import InputUnreadable, UsageError
from pipeline.measure.pairing import Values
from pipeline.read.rows import key_text, values
from pipeline.read.source import Source, open_source
from pipeline.read.stream import suffix
from pipeline.write.table_csv import restored

PROBABILITY = "_probability"
STRATUM = "_stratum"
STRATUM_ROWS = "_stratum_rows"
"""Columns of a file made by `--sample`."""
BATCH_ROWS = 8192


@dataclass(frozen=True, slots=True)
class Opened:
    """A file of rows, its columns known, nothing read yet."""

    path: Path
    what: str
    """What messages call it."""
    source: Source
    is_ours: bool
    """Written by this program: if it is CSV, cells that a spreadsheet would run have an apostrophe in front."""

    @property
    def columns(self) -> list[str]:
        names: list[str] = self.source.schema.names
        return names

    def require(self, name: str, option: str) -> None:
        """UsageError unless there is such a column."""
        if name not in self.columns:
            near = difflib.get_close_matches(name, self.columns, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise UsageError(
                f"{option}: {self.what} {self.path} has no column {name!r}{hint}",
                todo=f"name one of its columns: {', '.join(self.columns[:20])}",
            )

    def read(self, on: str, names: Sequence[str]) -> tuple[list[str | None], list[Values]]:
        """The key of each row, None where it has none, and the named columns. InputUnreadable for a damaged row."""
        wanted = list(dict.fromkeys(names))
        escaped = self.is_ours and suffix(self.path) in (".csv", ".tsv")
        keys: list[str | None] = []
        rows: list[Values] = []
        for batch in self.source.batches([on, *wanted], max_rows=BATCH_ROWS):
            faults = dict(batch.faults)
            lists = {name: values(batch, name, faults) for name in dict.fromkeys([on, *wanted])}
            if faults:
                raise InputUnreadable(
                    f"{faults[min(faults)]}\n  {self.what} {self.path} is read whole or not at all",
                    todo="mend that line, then run the same command again",
                )
            if escaped:
                lists = {name: [restored(c) if isinstance(c, str) else c for c in cells] for name, cells in lists.items()}
            keys += [key_text(value) for value in lists[on]]
            picked = [lists[name] for name in wanted]
            rows += (
                [dict(zip(wanted, cells, strict=True)) for cells in zip(*picked, strict=True)]
                if picked
                else [{} for _ in range(batch.table.num_rows)]
            )
        return keys, rows


def opened(path: Path, what: str, missing: str, *, is_ours: bool | None = None) -> Opened:
    """InputUnreadable where the file is not there or cannot be read; `missing` is what to do about the first.

    `is_ours` None: told by its columns, as for a file made by `--sample`.
    """
    if not path.is_file():
        raise InputUnreadable(f"{path}: {what} is not there", todo=missing)
    try:
        source = open_source([str(path)])
    except InputUnreadable as error:
        raise InputUnreadable(f"{what}: {error.message}", todo=f"mend {path}, then run the same command again") from error
    names: list[str] = source.schema.names
    return Opened(path, what, source, PROBABILITY in names if is_ours is None else is_ours)
