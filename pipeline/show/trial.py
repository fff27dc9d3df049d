"""One row that was tried, as a person or a program reads it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.records import JSON, Outcome
from pipeline.show.text import count, dollars, plain

LONGEST_ESCAPE = 10
"""Characters that one character of a text can become: `\\U000e0041`."""
SHOWN_CHARACTERS = 20_000


@dataclass(frozen=True, slots=True)
class Trial:
    """What is told of a row that was tried."""

    row: str
    """What a person calls it."""
    outcome: Outcome
    requests: int
    """Sent just now; none where it was paid for before."""
    seconds: float
    kept: str
    """What becomes of it, in a sentence."""

    def json(self) -> str:
        """One object on one line, with the names of the output columns."""
        ended, usage = self.outcome, self.outcome.usage
        told: dict[str, JSON] = {
            "row": self.row,
            "status": ended.status.value,
            "error": ended.error,
            "answer": None if ended.answer is None else json.loads(ended.answer),
            "repairs": [*ended.repairs],
            "requests": self.requests,
            "asks": ended.asks,
            "attempts": ended.attempts,
            "reused": ended.reused,
            "model": ended.model,
            "stop_reason": ended.stop_reason,
            "message_id": ended.message_id,
            "request_id": ended.request_id,
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "cache_read_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
            "thinking_tokens": usage.thinking_tokens,
            "cost_usd": ended.cost_usd,
            "latency_s": ended.latency_s,
            "seconds": round(self.seconds, 3),
            "raw": ended.raw,
        }
        return json.dumps(told)

    def text(self) -> str:
        """The answer, or what was wrong, and what it took."""
        ended = self.outcome
        lines = [f"row       {plain(self.row)}", f"status    {ended.status.value}"]
        lines += [f"mended    {plain(repair, 500)}" for repair in ended.repairs]
        if ended.error is not None:
            first, *more = ended.error.splitlines() or [""]
            lines += [f"why       {plain(first, 2000)}", *(f"          {plain(line, 2000)}" for line in more)]
        lines += [*self._took(), f"kept      {self.kept}"]
        shown = _pretty(ended.answer) if ended.answer is not None else _cut(ended.raw or "")
        return "\n".join([*(plain(line, LONGEST_ESCAPE * len(line)) for line in shown.split("\n")), "", *lines])

    def _took(self) -> list[str]:
        ended, usage = self.outcome, self.outcome.usage
        if not ended.asks:
            return []
        came = f"{ended.latency_s:.2f} s to the last reply" if ended.latency_s is not None else "no reply"
        paid = "" if self.requests else "; nothing was sent: an earlier request had paid for it"
        cached = f" ({count(usage.cache_read_tokens)} from the cache, {count(usage.cache_write_tokens)} written to it)"
        thought = f" ({count(usage.thinking_tokens)} of them thinking)" if usage.thinking_tokens else ""
        lines = [
            f"took      {_number(ended.asks, 'ask')}, {_number(self.requests, 'request')}, {self.seconds:.1f} s, {came}{paid}",
            f"tokens    {count(usage.prompt_tokens)} in{cached}, {count(usage.output_tokens)} out{thought}",
            f"cost      {dollars(ended.cost_usd)}",
        ]
        names = {"": ended.model, "stop ": ended.stop_reason, "message ": ended.message_id, "request ": ended.request_id}
        known = [f"{label}{plain(name)}" for label, name in names.items() if name is not None]
        return [*lines, f"from      {', '.join(known)}"] if known else lines


def watched(write: Callable[[str], object]) -> Callable[[str], None]:
    """Writes pieces of text as they come, line ends as they are and all else that could act on a terminal escaped."""

    def hear(piece: str) -> None:
        write("\n".join(plain(line, LONGEST_ESCAPE * len(line)) for line in piece.split("\n")))

    return hear


def _pretty(answer: str) -> str:
    return json.dumps(json.loads(answer), indent=2, ensure_ascii=False)


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}… ({count(len(text))} characters)"


def _number(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
