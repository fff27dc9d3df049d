"""A run while it goes on: a live bar on a terminal, a line every half minute where there is none, or nothing.

Events only count (figures.py); what is drawn is drawn by the clock. rich's own Progress would want an update per row or a
timer beside its own: 2,000 updates/s cost 1.5 % of a core at 4 Hz (measured 2026-11), counting costs next to nothing.
"""

from __future__ import annotations

from collections.abc import Callable
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
from pipeline.show.text import console, count, dollars, duration, percent, plain

EVERY_S = 30.0
REFRESH_HZ = 4


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
        if self._lines and self._figures.rows is not None and self._clock() >= self._due:
            self._due = self._clock() + EVERY_S
            self._say(self.line())

    def line(self) -> str:
        """The figures in one line of plain text."""
        now, figures = self._clock(), self._figures
        rate, left_s = figures.rows_per_second(now), figures.left_s(now)
        parts = [f"{_of(figures)} rows ({percent(figures.done, figures.rows or 0)})"]
        if rate is not None:
            parts.append(f"{rate:.1f} rows/s")
        parts.append(_matters(figures))
        if left_s is not None:
            parts.append(f"{duration(left_s)} left")
        told = ", ".join(parts)
        if not rate and isinstance(figures.trouble, Retrying):  # nothing moves: whoever reads a log must see why
            told += f"; {_trouble(figures.trouble)}"
        return told

    def drawn(self) -> RenderableType:
        """The bar as it stands; called by the refreshing thread."""
        now, figures = self._clock(), self._figures
        if figures.rows is None:
            return Text("reading the input …")
        rate, left_s = figures.rows_per_second(now), figures.left_s(now)
        bar = Table.grid(padding=(0, 2, 0, 0), expand=True)
        for ratio in (None, 1, None, None, None):
            bar.add_column(ratio=ratio, no_wrap=True)
        bar.add_row(
            f"{_of(figures)} rows",
            ProgressBar(total=max(figures.rows, 1), completed=figures.done),
            percent(figures.done, figures.rows),
            "" if rate is None else f"{rate:.1f}/s",
            "" if left_s is None else f"{duration(left_s)} left",
        )
        lines: list[RenderableType] = [bar, Text(_matters(figures), no_wrap=True, overflow="ellipsis")]
        if figures.trouble is not None:
            lines.append(Text(_trouble(figures.trouble), style="dim", no_wrap=True, overflow="ellipsis"))
        return Group(*lines)

    def _tell(self, event: Planned | Stopping | Publishing | Notice) -> None:
        """What is said once, above the bar or between the lines."""
        match event:
            case Planned(rows):
                self._due = self._clock() + EVERY_S
                self._figures.rows_per_second(self._clock())
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


def _matters(figures: Figures) -> str:
    spend = "?" if figures.cost_usd is None else dollars(figures.cost_usd)
    if (money := figures.spending) is not None:
        spend = f"{dollars(money.paid_usd + money.doubtful_usd)} of {dollars(money.budget_usd)}"
    told = [
        f"{count(figures.in_flight)} in flight",
        f"spend {spend}",
        f"{count(figures.unanswered)} unanswered",
        f"{count(figures.asked_again)} asked again",
    ]
    if figures.stopping:
        told.insert(0, "stopping")
    if figures.in_doubt:
        told.append(f"{count(figures.in_doubt)} perhaps paid twice")
    return ", ".join(told)


def _trouble(event: RowEnded | Retrying) -> str:
    match event:
        case RowEnded(key, outcome):
            return plain(f"row {key}: {outcome.status}: {outcome.error or ''}")
        case Retrying(key, attempt, wait_s, error):
            return plain(f"row {key}: attempt {attempt} failed, next in {duration(wait_s)}: {error}")
