"""`pipeline try`: one row, streamed to the terminal, judged and priced."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from pipeline.commands.connecting import endpoint
from pipeline.commands.wiring import Loaded, loaded, work
from pipeline.errors import InputUnreadable, UsageError
from pipeline.events import AskedAgain, Event, InDoubt, Notice, Retrying, Stopping
from pipeline.job.trial import NOWHERE, row_named, trial
from pipeline.records import Pieces, Row
from pipeline.show.text import plain
from pipeline.show.trial import Trial, watched

THE_TEXT = "the text given"


def attempt(config: Path, overrides: list[str], *, named: str | None, text: str | None, as_json: bool) -> int:
    """Asks and shows; the exit code: 0 where there is an answer, 1 where there is none, as that of a run otherwise."""
    if named is not None and text is not None:
        raise UsageError("--row names a row of the input, --text brings another text: say one of them")
    made = loaded(config, overrides)
    row = _row(made, named) if text is None else _spoken(made, text)
    screen = _Screen(lambda words: print(words, end="", file=sys.stderr, flush=True))  # noqa: T201
    asked = made.first(row)
    if isinstance(asked, Pieces):  # their replies would come all at once
        screen.tell(Notice(f"its text goes in {len(asked.prompts):,} pieces; what is asked about each is not shown"))
    hear = None if isinstance(asked, Pieces) else screen.hear
    tried = trial(work(made, endpoint(made.job, os.environ), hear), row, tell=screen.tell)
    screen.end_line()
    if tried.outcome is not None:
        told = Trial(row.key, tried.outcome, tried.requests, tried.seconds, _kept(made, text))
        print(told.json() if as_json else f"\n{told.text()}", flush=True)  # noqa: T201
    if tried.interrupted is not None:
        print("pipeline: interrupted; what came is kept\nwhat to do: run the same command again", file=sys.stderr)  # noqa: T201
        return tried.interrupted.exit_code
    return 0 if tried.outcome is not None and tried.outcome.status.answered else 1


def _row(made: Loaded, named: str | None) -> Row:
    key = made.job.input.key
    found = row_named(made.source, made.needs, key, named)
    if found is not None:
        return found
    if named is None:
        raise InputUnreadable("the input has no row to try", todo="add one, or try a text of your own with --text")
    by = (
        "rows are named by their position, from 0 (input.key is not set)" if key is None else f"its column {key} names the rows"
    )
    raise UsageError(
        f"--row: the input has no row {plain(named)!r}; {by}", todo="see pipeline check, which shows the first rows"
    )


def _spoken(made: Loaded, text: str) -> Row:
    """A row that holds this text where the prompt takes its one text."""
    if len(made.needs) == 1:
        column = made.needs[0]
    else:
        texts = [name for name in made.needs if _is_text(made.source.schema.field(name).type)]
        takes = f"the prompt takes {', '.join(map(plain, made.needs))}" if made.needs else "the prompt takes no column"
        advice = "try a row of the input instead, with --row KEY"
        if texts:
            advice += f"; or write the others into the template for now and take only {plain(texts[0])}"
        raise UsageError(f"--text fills one column, and {takes}", todo=advice)
    return Row(NOWHERE, THE_TEXT, {column: text})


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _kept(made: Loaded, text: str | None) -> str:
    if text is not None:
        return f"in {made.folder.path}, under its request: the same text, in any row, is not paid again"
    return f"in {made.folder.path}: a run that asks the same takes it and does not pay again"


@dataclass(slots=True)
class _Screen:
    """Standard error while the row is asked about: the reply as it comes, and what happens to it, each on a line of its own."""

    write: Callable[[str], object]
    _in_line: bool = field(default=False, init=False)

    def hear(self, piece: str) -> None:
        watched(self.write)(piece)
        self._in_line = not piece.endswith("\n")

    def tell(self, event: Event) -> None:
        words = _words(event)
        if words is not None:
            self.end_line()
            self.write(f"pipeline: {plain(words, 2000)}\n")

    def end_line(self) -> None:
        if self._in_line:
            self.write("\n")
            self._in_line = False


def _words(event: Event) -> str | None:
    match event:
        case Notice(text) if not text.startswith("the first ask is through"):  # there is no second
            return text
        case Stopping(why):
            return why
        case Retrying(_, attempt, wait_s, error):
            return f"request {attempt} failed: {error}; the next in {wait_s:.1f} s"
        case AskedAgain(_, ask, error):
            return f"no answer: {error}; asked again (ask {ask})"
        case InDoubt():
            return "an earlier request about this row may have been paid and its reply is lost; it is sent again"
        case _:
            return None
