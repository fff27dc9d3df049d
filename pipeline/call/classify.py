"""What came back instead of a reply → a verdict: retry? how long? whose fault? may it have been billed? Pure.

The table is conditions.py; here it is applied. An error event inside a 200 stream is judged as the status that its type has
outside of one. `x-should-retry` is not obeyed: what it says of a 400 (a spend limit) or of a 529 (come back) is known better
from the table, and a proxy may set it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import orjson

from pipeline.call.caller import Broken, Response
from pipeline.call.conditions import LONG_S, QUICK, Backoff, Concerns, Told, rule_for
from pipeline.call.models import known, nearest
from pipeline.errors import ComeBackLater, ConfigInvalid, PipelineError, ServiceDown
from pipeline.records import Status

REPEATS_EARLY = 5
"""An attempt that may have been billed, and broke off early: most likely no answer had been written by then."""
REPEATS_LATE = 1
"""The same after LONG_S: most likely it was answered, and so paid. Twice is an accident, more is a document that does it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do about a request that brought no reply."""

    condition: str
    error: str
    """For a person: what the API said and, where we know it, the mend."""
    concerns: Concerns
    retry: Backoff | None
    """None: the same request would meet the same end."""
    status: Status
    """What the row ends as when it is not retried, or was too often."""
    stop: type[PipelineError] | None = None
    """The run ends with this at once and the row stays pending."""
    ends: type[PipelineError] | None = None
    """The run ends with this when the retries are used up, or when the same meets row after row."""
    wait_s: float | None = None
    """What the server asked every worker to wait."""
    counts: bool = True
    """Whether the attempt is one of `call.attempts`; waiting for a limit or for the service is not the row's failure."""
    billed: bool = False
    """Whether the attempt may have been billed."""
    at_most: int | None = None
    """Retry no more often than so, whatever `call.attempts` says."""
    plain: bool = False
    """It may be about this row or about all: a canary cannot tell."""
    kind: str = ""
    """The narrowest name that the API gave it: rows that fail alike have the same."""


STATUS_OF_TYPE = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""For errors that come inside a 200."""


@dataclass(frozen=True, slots=True)
class Classifier:
    """The table, with what a run knows besides: its longest wait and the model that it asks."""

    longest_wait_s: float
    model: str = ""

    def failed(self, response: Response) -> Verdict:
        """The verdict on a response that is no 200, or on the error event of a stream, which comes inside one."""
        said = told(response)
        rule = rule_for(said)
        kind = said.code or said.type or rule.condition
        mend = self._close() if rule.condition == "not_found" else rule.mend
        error = f"HTTP {response.status} {kind}: {said.message}" + (f" — {mend}" if mend else "")
        stop = rule.stop
        if rule.retry is not None and said.retry_after_s is not None and said.retry_after_s > self.longest_wait_s:
            stop = ComeBackLater
            error += (
                f" — the server asks for {said.retry_after_s:.0f} s, more than run.longest_wait_s ({self.longest_wait_s:.0f} s)"
            )
        verdict = Verdict(
            condition=rule.condition,
            error=error,
            concerns=rule.concerns,
            retry=None if stop else rule.retry,
            status=Status.PENDING if stop else rule.status,
            stop=stop,
            ends=rule.ends,
            wait_s=said.retry_after_s if rule.retry is not None else None,
            counts=rule.counts,
            at_most=rule.at_most,
            plain=rule.plain,
            kind=kind,
        )
        after_s = 0.0 if said.streamed else rule.billed_after_s
        return (
            _perhaps_billed(verdict, response.latency_s) if after_s is not None and response.latency_s >= after_s else verdict
        )

    def _close(self) -> str:
        """What to look at after a 404: the endpoint, or models with a name like this one."""
        close = nearest(self.model)
        if known(self.model) or not close:
            return "check model.name, and whether call.base_url is the right server"
        return f"check model.name ({self.model}); there is {', '.join(close)}"


def told(response: Response) -> Told:
    """Reads an error response; one without the API's error body (a proxy's HTML, say) leaves type and code empty."""
    try:
        parsed = orjson.loads(response.body)
    except orjson.JSONDecodeError:
        parsed = None
    error = parsed.get("error") if isinstance(parsed, dict) else None
    error = error if isinstance(error, dict) else {}
    details = error.get("details")
    kind = str(error.get("type") or "")
    streamed = response.status == 200
    return Told(
        status=STATUS_OF_TYPE.get(kind, 200) if streamed else response.status,
        type=kind,
        code=str(details.get("error_code") or "") if isinstance(details, dict) else "",
        message=str(error.get("message") or response.body[:200].decode("utf-8", "replace")),
        retry_after_s=retry_after_s(response),
        streamed=streamed,
    )


def retry_after_s(response: Response) -> float | None:
    """Seconds, from `retry-after-ms` or `retry-after`. The API sends seconds, never a date (api/rate-limits)."""
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            wait_s = float(response.headers[name]) * unit_s
        except (KeyError, ValueError):
            continue
        if 0 <= wait_s < float("inf"):
            return wait_s
    return None


def broken(what: Broken) -> Verdict:
    """The verdict on a connection that brought no whole response."""
    if what.unsendable:
        return Verdict(
            "unsendable", what.error, Concerns.ROW, None, Status.INPUT_ERROR, ends=ConfigInvalid, counts=False, plain=True
        )
    if what.ours:
        # No `ends`: the many rows that one worker takes with it fail alike, and are no reason to stop.
        concerns, status = Concerns.SENDER, Status.IN_DOUBT if what.sent else Status.PENDING
        retry = QUICK if what.stop is None else None
        verdict = Verdict("worker_lost", what.error, concerns, retry, status, stop=what.stop, counts=False)
        return _perhaps_billed(verdict, what.latency_s) if what.sent else verdict
    if what.sent:
        verdict = Verdict("connection_lost", what.error, Concerns.SERVICE, QUICK, Status.IN_DOUBT, ends=ServiceDown)
        return _perhaps_billed(verdict, what.latency_s)
    return Verdict("unreachable", what.error, Concerns.SERVICE, QUICK, Status.PENDING, ends=ServiceDown, counts=False)


def unreadable(reason: str, latency_s: float) -> Verdict:
    """The verdict on a 200 that is no message: HTML, a cut body, no usage, a stream that ended early."""
    verdict = Verdict("unreadable_reply", reason, Concerns.SERVICE, QUICK, Status.IN_DOUBT, ends=ServiceDown)
    return _perhaps_billed(verdict, latency_s)


def _perhaps_billed(verdict: Verdict, latency_s: float) -> Verdict:
    """Sent again, a row may be paid twice, so it is not sent again for ever; what is left then is a doubt, no failure.

    These repeats are counted apart from other attempts: each kind of trouble may come up to `call.attempts` times.
    """
    repeats = REPEATS_LATE if latency_s >= LONG_S else REPEATS_EARLY
    status = Status.IN_DOUBT if verdict.stop is None and verdict.status is Status.FAILED else verdict.status
    return replace(verdict, billed=True, at_most=repeats, status=status, counts=False)
