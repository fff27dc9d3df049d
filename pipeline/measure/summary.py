"""Outcomes → the figures of one run: `summary.json`, the Parquet footer, `--json`.

Counts of rows and statuses describe the table as it stands; requests, tokens, dollars and time belong to this execution
alone. (Only finished runs are in history.jsonl: the dollars of the table as it stands are the sum of its own `_cost_usd`.)
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from pipeline.errors import ConfigInvalid
from pipeline.records import Outcome, Status, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """summary.json, a line of history.jsonl, the `--json` of a run: other programs read these names, in this order."""

    rows: int
    ok: int
    ok_repaired: int
    invalid_output: int
    truncated: int
    refused: int
    input_error: int
    request_error: int
    failed: int
    in_doubt: int
    pending: int
    reused: int
    """Rows of the table whose answer was paid elsewhere."""
    requests: int
    retries: int
    """Requests beyond the first of their ask."""
    asks_again: int
    possible_double_charges: int
    """Requests that an interrupted run had out and that were sent again."""
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cost_usd: float | None
    """None when a paid reply had no price: then the sum is not known."""
    seconds: float
    rows_per_second: float
    """Rows that ended in this execution, reused ones too, by `seconds`."""
    started_at: str
    ended_at: str
    """ISO 8601, UTC."""
    exit_code: int
    reason: str
    """Why the run ended, in words."""

    @property
    def unanswered(self) -> int:
        """Rows without an answer, whatever the reason."""
        return self.rows - self.ok - self.ok_repaired

    def json(self) -> str:
        """One line of ASCII."""
        return json.dumps(asdict(self), allow_nan=False)


class Tally:
    """Counts while the run goes on, then while the table is published. Its memory does not grow with rows."""

    def __init__(self) -> None:
        self._standing: Counter[Status] = Counter()
        self._reused = 0
        self._ended = 0
        self._retries = 0
        self._asks_again = 0
        self._doubts = 0
        self._usage = Usage()
        self._cost_usd: float | None = 0.0

    def ended(self, outcome: Outcome) -> None:
        """A row has ended in this execution."""
        self._ended += 1
        if not outcome.reused:
            self._retries += max(0, outcome.attempts - outcome.asks)

    def asked_again(self) -> None:
        """A reply was no answer and its question is asked once more."""
        self._asks_again += 1

    def bought(self, usage: Usage, cost_usd: float | None) -> None:
        """A reply that this execution paid for; None: its model has no price."""
        self._usage += usage
        if self._cost_usd is not None:
            self._cost_usd = None if cost_usd is None else self._cost_usd + cost_usd

    def doubt(self, requests: int) -> None:
        """So many requests of an interrupted run may have been paid and are sent again."""
        self._doubts += requests

    def stands(self, status: Status, reused: bool, rows: int = 1) -> None:
        """So many rows of the table are that."""
        self._standing[status] += rows
        self._reused += rows * reused

    def recount(self) -> None:
        """Forgets what stands, for a table that was begun and has to be counted anew."""
        self._standing.clear()
        self._reused = 0

    def summary(self, *, requests: int, started_at: float, ended_at: float, exit_code: int, reason: str) -> Summary:
        """`requests`: HTTP requests sent. `started_at` and `ended_at` are Unix times. May be asked more than once."""
        seconds = round(max(0.0, ended_at - started_at), 3)
        return Summary(
            rows=self._standing.total(),
            **{status.value: self._standing[status] for status in Status},
            reused=self._reused,
            requests=requests,
            retries=self._retries,
            asks_again=self._asks_again,
            possible_double_charges=self._doubts,
            input_tokens=self._usage.input_tokens,
            output_tokens=self._usage.output_tokens,
            cache_read_tokens=self._usage.cache_read_tokens,
            cache_write_tokens=self._usage.cache_write_tokens,
            # Nano-dollars: far below any price, far above the rounding errors of a long sum.
            cost_usd=None if self._cost_usd is None else round(self._cost_usd, 9),
            seconds=seconds,
            rows_per_second=round(self._ended / seconds, 3) if seconds else 0.0,
            started_at=_iso(started_at),
            ended_at=_iso(ended_at),
            exit_code=exit_code,
            reason=reason,
        )


def within(max_failed: int | str, failed_rows: int, rows: int) -> bool:
    """Whether `failed_rows` of `rows` are no more than `run.max_failed` allows: rows, or a share such as "1%" or "0.5%".

    A share is not rounded: 1% of 150 rows allows 1 failed row, not 2. Raises ConfigInvalid where it is no share.
    """
    if isinstance(max_failed, int):
        return failed_rows <= max_failed
    return Decimal(failed_rows) * 100 <= _percent(max_failed) * rows


def _percent(share: str) -> Decimal:
    try:
        number = Decimal(share.strip().removesuffix("%"))
    except InvalidOperation:
        number = Decimal("NaN")
    if not share.strip().endswith("%") or not number.is_finite() or not 0 <= number <= 100:
        raise ConfigInvalid(f'run.max_failed: {share!r} is no share; write rows (10) or a share of them ("1%")')
    return number


def _iso(unix_time: float) -> str:
    return datetime.fromtimestamp(unix_time, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
