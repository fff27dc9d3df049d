"""What each condition means: retry? how long? the row's fault or the account's? may it have been billed?

One table, first match wins; everything it does not name has the safe default of its status class. Conditions are told apart by
HTTP status, `error.type` and `error.details.error_code`, never by message text, save the two conditions for which the API gives
nothing else. Source: platform.claude.com/docs/en/api/errors and api/rate-limits, read 2026-10-08. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import orjson

from pipeline.call.caller import Broken, Response
from pipeline.errors import AccountRefused, ComeBackLater, ConfigInvalid, PipelineError
from pipeline.records import Status


@dataclass(frozen=True, slots=True)
class Told:
    """What an error response says, in plain values."""

    status: int
    type: str
    code: str
    message: str
    retry_after_s: float | None
    request_id: str | None


@dataclass(frozen=True, slots=True)
class Backoff:
    """Full jitter: a wait is drawn from 0 to min(longest_s, first_s · 2^(attempt − 1))."""

    first_s: float
    longest_s: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do about a request that brought no reply."""

    condition: str
    error: str
    """For a person: what the API said and, where we know it, the mend."""
    retry: Backoff | None
    """None: the same request would meet the same end."""
    status: Status
    """What the row ends as when it is not retried, or was too often."""
    stop: type[PipelineError] | None = None
    """The run ends with this and the row stays pending: not a row's fault."""
    wait_s: float | None = None
    """What the server asked every worker to wait."""
    counts: bool = True
    """Whether the attempt is one of `call.attempts`; waiting for a limit is not the row's failure."""
    billed: bool = False
    """Whether the attempt may have been billed."""
    at_most: int | None = None
    """Retry no more often than so, whatever `call.attempts` says: what is ambiguous may be paid each time."""


QUICK = Backoff(1.0, 60.0)
OVERLOAD = Backoff(2.0, 120.0)

LONG_S = 30.0
"""An error that comes at once came instead of an answer; one that comes late may have come after it."""

REGAIN = "You have reached your specified"
CREDIT = "Your credit balance is too low"


@dataclass(frozen=True, slots=True)
class Rule:
    condition: str
    applies: Callable[[Told], bool]
    retry: Backoff | None = None
    status: Status = Status.FAILED
    stop: type[PipelineError] | None = None
    mend: str = ""
    counts: bool = True
    billed_after_s: float | None = None
    """A response that took at least so long may have had a paid reply behind it; None: it is never billed."""


def _status(*codes: int) -> Callable[[Told], bool]:
    return lambda told: told.status in codes


SPEND_CODES = ("enforced_spend_limit_reached", "contract_spend_limit_reached")

RULES: tuple[Rule, ...] = (
    Rule("spend_limit", lambda told: told.code in SPEND_CODES, stop=AccountRefused, mend="raise the spend limit or wait"),
    # These two come as 400 invalid_request_error without an error_code: only the text tells them from a bad row.
    Rule(
        "own_spend_limit",
        lambda told: told.status == 400 and told.message.startswith(REGAIN),
        stop=AccountRefused,
        mend="raise the spend limit in the Console or wait",
    ),
    Rule(
        "credit_too_low",
        lambda told: told.status == 400 and told.message.startswith(CREDIT),
        stop=AccountRefused,
        mend="buy credits in the Console",
    ),
    Rule("on_hold", lambda told: told.code == "organization_on_hold", stop=AccountRefused, mend="ask your administrator"),
    Rule("authentication", _status(401), stop=AccountRefused, mend="check ANTHROPIC_API_KEY"),
    Rule("billing", _status(402), stop=AccountRefused, mend="mend the payment details in the Console"),
    Rule("permission", _status(403), stop=AccountRefused, mend="the key may not do this: use another key or workspace"),
    Rule("not_found", _status(404), stop=ConfigInvalid, mend="check model.name and call.base_url"),
    Rule("too_large", _status(413), status=Status.INPUT_ERROR, mend="the request is over 32 MB: shorten the document"),
    Rule("rate_limited", lambda told: told.status == 429 and told.retry_after_s is not None, retry=QUICK, counts=False),
    Rule("rate_limited_without_end", _status(429), retry=OVERLOAD),
    Rule("request_timeout", _status(408, 409, 499), retry=QUICK),
    Rule("overloaded", lambda told: told.status == 529 or told.type == "overloaded_error", retry=OVERLOAD),
    Rule("gateway_timeout", lambda told: told.status == 504 or told.type == "timeout_error", retry=QUICK, billed_after_s=0.0),
    Rule("server_error", lambda told: told.status >= 500 or told.type == "api_error", retry=QUICK, billed_after_s=LONG_S),
    Rule("bad_request", lambda told: 400 <= told.status < 500, status=Status.REQUEST_ERROR),
)

ANYTHING_ELSE = Rule("unexpected_status", lambda told: True, status=Status.REQUEST_ERROR)
"""A status the API does not use: 3xx (redirects are not followed), 1xx."""


def told(response: Response) -> Told:
    """Reads an error response; one without the API's error body (a proxy's HTML, say) leaves type and code empty."""
    try:
        parsed = orjson.loads(response.body)
    except orjson.JSONDecodeError:
        parsed = None
    error = parsed.get("error") if isinstance(parsed, dict) else None
    error = error if isinstance(error, dict) else {}
    details = error.get("details")
    text = response.body[:200].decode("utf-8", "replace")
    return Told(
        status=response.status,
        type=str(error.get("type") or ""),
        code=str(details.get("error_code") or "") if isinstance(details, dict) else "",
        message=str(error.get("message") or text),
        retry_after_s=retry_after_s(response),
        request_id=response.headers.get("request-id"),
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


def failed(response: Response, longest_wait_s: float) -> Verdict:
    """The verdict on a response that is no 200 (or a stream's error event, which comes inside one)."""
    said = told(response)
    rule = next((rule for rule in RULES if rule.applies(said)), ANYTHING_ELSE)
    kind = said.code or said.type or rule.condition
    error = f"HTTP {said.status} {kind}: {said.message}" + (f" — {rule.mend}" if rule.mend else "")
    stop = rule.stop
    if rule.retry is not None and said.retry_after_s is not None and said.retry_after_s > longest_wait_s:
        stop = ComeBackLater
        error += f" — the server asks for {said.retry_after_s:.0f} s, more than run.longest_wait_s ({longest_wait_s:.0f} s)"
    return Verdict(
        condition=rule.condition,
        error=error,
        retry=None if stop else rule.retry,
        status=Status.PENDING if stop else rule.status,
        stop=stop,
        wait_s=said.retry_after_s if rule.retry is not None else None,
        counts=rule.counts,
        billed=rule.billed_after_s is not None and response.latency_s >= rule.billed_after_s,
    )


def broken(what: Broken) -> Verdict:
    """The verdict on a connection that brought no whole response."""
    if what.sent:
        # It may be billed each time: sent again once, then a person decides.
        return Verdict("ambiguous", what.error, QUICK, Status.IN_DOUBT, billed=True, at_most=1)
    return Verdict("unreachable", what.error, QUICK, Status.PENDING)


def unreadable(reason: str) -> Verdict:
    """The verdict on a 200 that is no message. It was very likely billed: sent again once, then a person decides."""
    return Verdict("unreadable_reply", reason, QUICK, Status.IN_DOUBT, billed=True, at_most=1)
