"""The table of conditions: what an error of the API means, whose trouble it is and what is to be done. First match wins.

Conditions are told apart by HTTP status, `error.type` and `error.details.error_code`, never by message text, save the three
for which the API gives nothing else. What the table does not name has the safe default of its status class.
Source: platform.claude.com/docs/en/api/errors and api/rate-limits, read 2026-10-08, and the table of error classes in the SDK
2.12 (`_error_classes.py`). Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

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
    SENDER = "sender"
    """The process that sent it has ended: nobody learns anything of the service."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Full jitter: a wait is drawn from 0 to min(longest_s, first_s · 2^(attempt − 1))."""

    first_s: float
    longest_s: float


QUICK = Backoff(1.0, 60.0)
OVERLOAD = Backoff(2.0, 120.0)

LONG_S = 30.0
"""A failure that comes at once came instead of an answer; one that comes late may have come after it."""


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
        "too_long",
        Concerns.ROW,
        statuses=_is(400),
        begins="prompt is too long",
        status=Status.REQUEST_ERROR,
        ends=ConfigInvalid,
        mend="prompt.long: split asks about the text in pieces, truncate about its beginning; a lower prompt.long.tokens makes "
        "smaller ones",
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


def rule_for(said: Told) -> Rule:
    return next((rule for rule in RULES if rule.applies(said)), ANYTHING_ELSE)
