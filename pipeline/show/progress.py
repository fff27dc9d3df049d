"""A run while it goes on: a live bar on a terminal, a line every half minute where there is none, or nothing.

Events only count (figures.py); what is drawn is drawn by the clock. rich's own Progress would want an update per row or a
timer beside its own: 2,000 updates/s cost 1.5 % of a core at 4 Hz (measured 2026-11), counting costs next to nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import Self, TextIO

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pipeline.events import Event, Notice, Planned, Publishing, Retrying, RowEnded, Stopping
from pipeline.show.figures import Figures
from pipeline.show.log import QUOTING
from pipeline.show.pace import left_text
from pipeline.show.text import console, count, dollars, duration, percent, plain

EVERY_S = 30.0
REFRESH_HZ = 4
LABEL = 9
SPEND = "spend"


class Progress:
    """Listens to a run, from entering the `with` block to leaving it."""

    def __init__(
        self,
        stream: TextIO,
        *,
        clock: Callable[[], float],
        quiet: bool = False,
        live: bool | None = None,
        width: int | None = None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        """`clock` is monotonic, in seconds. `live`: the bar; None: where `stream` is a terminal that can move its cursor.

        `say` takes the plain lines instead of `stream` (for logs as JSON); then there is no bar.
        """
        self._clock = clock
        self._console = console(stream, width=width)
        able = self._console.is_terminal and not self._console.is_dumb_terminal
        self._live = not quiet and say is None and (able if live is None else live)
        self._lines = not quiet and not self._live
        self._say = say or (lambda text: self._console.print(text, soft_wrap=True))
        self._figures = Figures()
        self._due = 0.0
        self._told: RowEnded | Retrying | None = None
        """The last error that a line has told."""
        self._open = ExitStack()

    def __enter__(self) -> Self:
        if self._live:
            self._open.enter_context(
                Live(
                    get_renderable=self.drawn,
                    console=self._console,
                    refresh_per_second=REFRESH_HZ,
                    redirect_stdout=False,  # stdout is for the summary alone
                )
            )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._open.close()
        if self._lines and self._figures.rows is not None:
            self._say(self.line())

    def __call__(self, event: Event) -> None:
        """Hears of the run: an events.Listener."""
        self._figures.hear(event)
        if isinstance(event, (Planned, Stopping, Publishing, Notice)) and (self._live or self._lines):
            self._tell(event)

    def tick(self) -> None:
        """To be called every second or so, also while nothing ends."""
        if not self._lines or self._figures.rows is None:
            return
        self._figures.rates(self._clock())  # how evenly rows come is seen by the second
        if self._clock() >= self._due:
            self._due = self._clock() + EVERY_S
            self._say(self.line())

    def line(self) -> str:
        """The figures in one line of plain text."""
        now, figures = self._clock(), self._figures
        parts = [f"{_of(figures)} rows ({percent(figures.done, figures.rows or 0)})"]
        for label, told in _matters(figures, now):
            parts.append(f"{label} {told}" if label == SPEND else told)
        if figures.stopping:
            parts.append("stopping")
        elif (left := figures.left(now)) is not None:
            parts.append(left_text(left))
        told = ", ".join(parts)
        trouble = figures.trouble
        if trouble is not None and trouble is not self._told:
            self._told = trouble
            told += f"; last error: {_trouble(trouble, quoting=False)}"
        return told

    def drawn(self) -> RenderableType:
        """The bar as it stands, and below it what matters; called by the refreshing thread."""
        now, figures = self._clock(), self._figures
        if figures.rows is None:
            return Text("reading the input …")
        left = figures.left(now)
        bar = Table.grid(padding=(0, 2, 0, 0), expand=True)
        for ratio in (None, 1, None, None):
            bar.add_column(ratio=ratio, no_wrap=True)
        bar.add_row(
            f"{_of(figures)} rows",
            ProgressBar(total=max(figures.rows, 1), completed=figures.done),
            percent(figures.done, figures.rows),
            "stopping" if figures.stopping else "" if left is None else left_text(left),
        )
        lines = [*_matters(figures, now)]
        if figures.trouble is not None:
            lines.append(("error", _trouble(figures.trouble, quoting=True)))
        return Group(bar, *(_labelled(label, told) for label, told in lines))

    def _tell(self, event: Planned | Stopping | Publishing | Notice) -> None:
        """What is said once, above the bar or between the lines."""
        match event:
            case Planned(rows):
                self._due = self._clock() + EVERY_S
                self._figures.rates(self._clock())
                text = f"{count(rows)} rows"
            case Stopping(why):
                text = f"stopping: {plain(why, 1000)}"
            case Publishing(path):
                text = f"writing {plain(path, 4096)}"
            case Notice(sentence):
                text = plain(sentence, 1000)
        self._say(text)


def _of(figures: Figures) -> str:
    return f"{count(figures.done)}/{count(figures.rows or 0)}"


def _labelled(label: str, told: str) -> Text:
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"{label:<{LABEL}}", style="dim")
    return line.append(told)


def _matters(figures: Figures, now: float) -> Iterator[tuple[str, str]]:
    """Label, figures."""
    service = figures.at_service if figures.at_service is not None and figures.at_service.batches else None
    rates = figures.rates(now)
    if service is None or figures.in_flight:
        speed = [f"{rates[0]:.1f} rows/s (mean {rates[1]:.1f})"] if rates is not None else []
        yield "speed", ", ".join([*speed, f"{count(figures.in_flight)} of {count(figures.limit)} in flight"])
    if service is not None:
        batches = f"{count(service.batches)} {'batch' if service.batches == 1 else 'batches'}"
        yield (
            "batches",
            f"{count(service.requests)} requests in {batches} at the service, the oldest sent {duration(service.oldest_s)} ago",
        )
    spend = "?" if figures.cost_usd is None else dollars(figures.cost_usd)
    if (money := figures.spending) is not None:
        spend = f"{dollars(money.paid_usd + money.doubtful_usd)} of {dollars(money.budget_usd)}"
    cached = f", {percent(figures.cached_tokens, figures.prompt_tokens)} of input from the cache" if figures.cache_used else ""
    yield SPEND, f"{spend}{cached}"
    doubts = f", {count(figures.in_doubt)} perhaps paid twice" if figures.in_doubt else ""
    yield "rows", f"{count(figures.unanswered)} without an answer, {count(figures.asked_again)} asked again{doubts}"


def _trouble(event: RowEnded | Retrying, *, quoting: bool) -> str:
    """`quoting`: with messages that can quote the document, which a person may see and a log may not keep."""
    match event:
        case RowEnded(key, outcome):
            error = outcome.error if quoting or outcome.status not in QUOTING else None
            return plain(f"row {key}: {outcome.status}" + (f": {error}" if error else ""))
        case Retrying(key, attempt, wait_s, error):
            return plain(f"row {key}: attempt {attempt} failed, next in {duration(wait_s)}: {error}")
