"""What each condition means: retry? how long? whose fault? what does the run do? may it have been billed?

One table, first match wins; what it does not name has the safe default of its status class. Conditions are told apart by
HTTP status, `error.type` and `error.details.error_code`, never by message text, save the three for which the API gives nothing
else. An error event inside a 200 stream is judged as the status that its type has outside of one.

`x-should-retry` is not obeyed: what it says of a 400 (a spend limit) or of a 529 (come back) is known better from the table,
and a proxy may set it. Source: platform.claude.com/docs/en/api/errors and api/rate-limits, read 2026-10-08, and the table of
error classes in the SDK 2.12 (`_error_classes.py`). Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from enum import Enum

import orjson

from pipeline.call.caller import Broken, Response
from pipeline.call.models import DATED, MODELS
from pipeline.errors import AccountRefused, ComeBackLater, ConfigInvalid, PipelineError, ServiceDown
from pipeline.records import Status


class Concerns(Enum):
    """Whose trouble it is, and so what the run does."""

    ROW = "row"
    """The run goes on, unless the same meets many rows in a row."""
    RUN = "run"
    """No request can succeed: the run stops at once."""
    RATE = "rate"
    """Too many requests: all wait as long as the server says, then fewer are out at once."""
    RAMP = "ramp"
    """Too many too soon: all wait, and it starts slowly again."""
    SERVICE = "service"
    """The service or the way to it: the breaker hears of it."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Full jitter: a wait is drawn from 0 to min(longest_s, first_s · 2^(attempt − 1))."""

    first_s: float
    longest_s: float


QUICK = Backoff(1.0, 60.0)
OVERLOAD = Backoff(2.0, 120.0)

LONG_S = 30.0
"""A failure that comes at once came instead of an answer; one that comes late may have come after it."""
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


@dataclass(frozen=True, slots=True)
class Told:
    """What an error response says, in plain values."""

    status: int
    type: str = ""
    code: str = ""
    message: str = ""
    retry_after_s: float | None = None
    streamed: bool = False
    """It came inside a 200: the answer had begun, and what was written of it may be billed."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the table. It applies where every criterion that it names holds."""

    condition: str
    concerns: Concerns
    statuses: frozenset[int] | None = None
    codes: frozenset[str] | None = None
    error_type: str | None = None
    begins: str = ""
    """How the message begins; only where nothing else tells."""
    says: str = ""
    """A part of the message; likewise."""
    retry_after: bool | None = None
    """Whether the response names a wait."""
    retry: Backoff | None = None
    status: Status = Status.FAILED
    stop: type[PipelineError] | None = None
    ends: type[PipelineError] | None = None
    counts: bool = True
    at_most: int | None = None
    billed_after_s: float | None = None
    """A response that took at least so long may have had a paid reply behind it; None: it is never billed."""
    plain: bool = False
    mend: str = ""

    def applies(self, told: Told) -> bool:
        return (
            (self.statuses is None or told.status in self.statuses)
            and (self.codes is None or told.code in self.codes)
            and (self.error_type is None or told.type == self.error_type)
            and told.message.startswith(self.begins)
            and self.says in told.message
            and (self.retry_after is None or self.retry_after == (told.retry_after_s is not None))
        )


def _is(*values: int) -> frozenset[int]:
    return frozenset(values)


def _account(condition: str, mend: str, **criteria: object) -> Rule:
    return Rule(condition, Concerns.RUN, stop=AccountRefused, status=Status.PENDING, mend=mend, **criteria)  # type: ignore[arg-type]


_FIRST_OF_MONTH = "it lasts until the first of next month, 00:00 UTC: raise the limit in the Console, or wait"

RULES: tuple[Rule, ...] = (
    # The account. The first two of the 400s carry no error_code: only the text tells them from a bad row.
    _account("spend_limit", _FIRST_OF_MONTH, codes=frozenset(("enforced_spend_limit_reached", "contract_spend_limit_reached"))),
    _account(
        "own_spend_limit",
        "raise the spend limit in the Console, or wait",
        statuses=_is(400),
        begins="You have reached your specified",
    ),
    _account("credit_too_low", "buy credits in the Console", statuses=_is(400), begins="Your credit balance is too low"),
    _account("on_hold", "ask your administrator", codes=frozenset(("organization_on_hold",))),
    _account(
        "customer_key",
        "the encryption key of your organization is off or out of reach: ask your administrator",
        statuses=_is(400),
        codes=frozenset(("cmek_key_disabled", "cmek_key_network_blocked", "cmek_feature_unsupported")),
    ),
    _account("authentication", "check ANTHROPIC_API_KEY", statuses=_is(401)),
    _account("billing", "mend the payment details in the Console", statuses=_is(402)),
    _account("permission", "the key may not do this: use another key or workspace", statuses=_is(403)),
    # The request that all rows share.
    Rule(
        "not_found",
        Concerns.RUN,
        statuses=_is(404),
        codes=frozenset(("",)),
        status=Status.PENDING,
        stop=ConfigInvalid,
        mend="check model.name and call.base_url",
    ),
    # One row.
    Rule(
        "too_large",
        Concerns.ROW,
        statuses=_is(413),
        status=Status.INPUT_ERROR,
        ends=ConfigInvalid,
        mend="the request is over the 32 MB that are taken: shorten the document",
    ),
    Rule(
        "image_too_large",
        Concerns.ROW,
        codes=frozenset(("image_dimensions_too_large",)),
        status=Status.REQUEST_ERROR,
        ends=ConfigInvalid,
        mend="make the image smaller",
    ),
    # The way there: the server did not get the body whole.
    *(
        Rule(
            "cut_upload",
            Concerns.ROW,
            statuses=_is(400),
            retry=QUICK,
            at_most=2,
            mend="the request did not arrive whole: look at the network, a proxy or a VPN",
            **criterion,
        )
        for criterion in ({"codes": frozenset(("request_body_timeout",))}, {"says": "unexpected end of data"})
    ),
    # Limits.
    Rule(
        "ramp_limit",
        Concerns.RAMP,
        codes=frozenset(("ramp_limit_exceeded",)),
        retry=QUICK,
        counts=False,
        ends=ComeBackLater,
    ),
    Rule("rate_limit", Concerns.RATE, statuses=_is(429), retry_after=True, retry=QUICK, counts=False, ends=ComeBackLater),
    # Spend limits come like this, too: twice in a row it is one (call/gate.py).
    Rule(
        "limit_without_end",
        Concerns.RATE,
        statuses=_is(429),
        retry_after=False,
        retry=OVERLOAD,
        counts=False,
        ends=AccountRefused,
        mend=f"a limit without a time to come back is a spend limit; {_FIRST_OF_MONTH}",
    ),
    # The service.
    Rule("request_timeout", Concerns.SERVICE, statuses=_is(408, 409, 499), retry=QUICK, ends=ServiceDown),
    *(
        Rule("overloaded", Concerns.SERVICE, retry=OVERLOAD, counts=False, ends=ServiceDown, **criterion)
        for criterion in ({"statuses": _is(529)}, {"error_type": "overloaded_error"})
    ),
    Rule(
        "customer_key_away",
        Concerns.SERVICE,
        statuses=_is(503),
        codes=frozenset(("cmek_context_unavailable", "cmek_key_unreachable")),
        retry=QUICK,
        status=Status.PENDING,
        ends=AccountRefused,
        mend="the encryption key of your organization is out of reach: ask your administrator",
    ),
    Rule("gateway_timeout", Concerns.SERVICE, statuses=_is(504), retry=QUICK, ends=ServiceDown, billed_after_s=0.0),
    Rule(
        "server_error",
        Concerns.SERVICE,
        statuses=frozenset(range(500, 600)),
        retry=QUICK,
        ends=ServiceDown,
        billed_after_s=LONG_S,
    ),
    Rule("error_in_stream", Concerns.SERVICE, statuses=_is(200), retry=QUICK, ends=ServiceDown, billed_after_s=0.0),
    # A bad row, or a bad schema or parameter that spoils all rows alike: only its neighbours tell which.
    Rule(
        "bad_request",
        Concerns.ROW,
        statuses=frozenset(range(400, 500)),
        status=Status.REQUEST_ERROR,
        ends=ConfigInvalid,
        plain=True,
    ),
)

ANYTHING_ELSE = Rule(
    "unexpected_status", Concerns.ROW, status=Status.REQUEST_ERROR, ends=ConfigInvalid, plain=True, mend="check call.base_url"
)
"""A status the API does not use: 3xx (redirects are not followed), 1xx."""

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
    others: Sequence[str] = field(default=(*MODELS, *DATED))
    """Ids of models that there are."""

    def failed(self, response: Response) -> Verdict:
        """The verdict on a response that is no 200, or on the error event of a stream, which comes inside one."""
        said = told(response)
        rule = rule_for(said)
        kind = said.code or said.type or rule.condition
        mend = self._close(said) if rule.condition == "not_found" else rule.mend
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

    def _close(self, said: Told) -> str:
        """What to look at after a 404: the endpoint, or models with a name like this one."""
        close = [name for name in get_close_matches(self.model, self.others, n=3, cutoff=0.5) if name != self.model]
        if self.model in self.others or not close:
            return "check model.name, and whether call.base_url is the right server"
        return f"check model.name ({self.model}); there is {', '.join(close)}"


def rule_for(said: Told) -> Rule:
    return next((rule for rule in RULES if rule.applies(said)), ANYTHING_ELSE)


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
