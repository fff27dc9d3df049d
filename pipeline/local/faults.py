"""What can go wrong in a rehearsal: the faults by name, and the rules by which requests draw them. Pure.

A request draws by its body and by which attempt at that body it is, so that one seed gives one request the same faults in
whatever order requests come.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

CHARGED_CATEGORIES = frozenset(("bio", "frontier_llm", "reasoning_extraction"))
"""Refusals before any output cost nothing but in these (release notes, 2026-09-24)."""
RETRY_AFTER_S = 5.0
MESSAGES, ITEM = "messages", "batches.item"
CREATE, RETRIEVE, LIST = "batches.create", "batches.retrieve", "batches.list"
RESULTS, CANCEL, DELETE = "batches.results", "batches.cancel", "batches.delete"
PLACES = (MESSAGES, CREATE, RETRIEVE, LIST, RESULTS, CANCEL, DELETE, ITEM)
"""Where a fault can be met: at a request for a message, at a call about batches, at a single request of a batch."""


@dataclass(frozen=True, slots=True)
class Refused:
    """An error in the API's envelope."""

    status: int
    message: str
    code: str | None = None
    """`error.details.error_code`."""
    retry_after: bool = False
    door: bool = False
    """The account's or the request's own trouble, told before any limit is looked at."""


@dataclass(frozen=True, slots=True)
class Page:
    """HTML, as something between client and API would send it."""

    status: int


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection is reset; no byte of an answer is sent."""

    late: bool
    """Once the reply is made, instead of at once."""


@dataclass(frozen=True, slots=True)
class Hung:
    """Nothing comes, until the client has had enough."""


@dataclass(frozen=True, slots=True)
class Halved:
    """Half of the reply comes."""

    clean: bool
    """It ends as if it were whole; else the connection is closed where more was promised."""


@dataclass(frozen=True, slots=True)
class BrokenOff:
    """Half of a stream comes, then an `error` event in it."""


@dataclass(frozen=True, slots=True)
class Lacking:
    """A whole reply without a part of its envelope."""

    what: Literal["usage", "stop_reason"]


@dataclass(frozen=True, slots=True)
class Declined:
    """A refusal: 200, no content."""


@dataclass(frozen=True, slots=True)
class Truncated:
    """Half of the text, `stop_reason` max_tokens."""


@dataclass(frozen=True, slots=True)
class Silent:
    """No content at all, though the reply ended well."""


@dataclass(frozen=True, slots=True)
class Misworded:
    """The text is not the bare JSON that was asked for."""

    how: Literal["fenced", "prose", "damaged", "invalid"]


@dataclass(frozen=True, slots=True)
class Slow:
    """A reply like any other, later."""


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A request of a batch that nobody worked on, and that is not billed."""

    result: Literal["expired", "canceled"]


@dataclass(frozen=True, slots=True)
class Lost:
    """A request of a batch that is answered, but has no line in the results."""


@dataclass(frozen=True, slots=True)
class Doubled:
    """A request of a batch with two lines in the results, the same twice."""


@dataclass(frozen=True, slots=True)
class Stuck:
    """A batch that gets nowhere: it ends when it expires."""


@dataclass(frozen=True, slots=True)
class Archived:
    """A batch whose results are past their 29 days as soon as it has ended."""


@dataclass(frozen=True, slots=True)
class ShortPage:
    """A page of the list with one entry, whatever was asked."""


Effect: TypeAlias = (
    Refused
    | Page
    | Reset
    | Hung
    | Halved
    | BrokenOff
    | Lacking
    | Declined
    | Truncated
    | Silent
    | Misworded
    | Slow
    | Unanswered
    | Lost
    | Doubled
    | Stuck
    | Archived
    | ShortPage
)


@dataclass(frozen=True, slots=True)
class Kind:
    effect: Effect
    billed: bool
    """Whether the ledger takes it as paid, where the rule does not say."""


_USAGE = "You will regain access on 2026-12-01 at 00:00 UTC."

KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        # Limits. Words: errors and rate-limits pages (2026-10-08) where they give any.
        "rate_limit": Kind(
            Refused(429, "This request would exceed your organization's rate limit.", retry_after=True), billed=False
        ),
        "rate_limit_bare": Kind(Refused(429, "This request would exceed your organization's rate limit."), billed=False),
        "ramp_limit": Kind(
            Refused(429, "Your usage is growing too fast.", code="ramp_limit_exceeded", retry_after=True), billed=False
        ),
        # The account.
        "enforced_spend_limit": Kind(
            Refused(
                429,
                "You have reached your API usage limits: your organization has crossed its monthly API usage threshold, set "
                f"based on your organization's API tier. {_USAGE}",
                code="enforced_spend_limit_reached",
                door=True,
            ),
            billed=False,
        ),
        "contract_spend_limit": Kind(
            Refused(429, "You have reached the spend limit of your contract.", code="contract_spend_limit_reached", door=True),
            billed=False,
        ),
        "own_spend_limit": Kind(
            Refused(400, f"You have reached your specified API usage limits. {_USAGE}", door=True), billed=False
        ),
        "workspace_spend_limit": Kind(
            Refused(400, f"You have reached your specified workspace API usage limits. {_USAGE}", door=True), billed=False
        ),
        "low_credit": Kind(
            Refused(
                400,
                "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or "
                "purchase credits.",
                door=True,
            ),
            billed=False,
        ),
        "on_hold": Kind(Refused(400, "Your organization is on hold.", code="organization_on_hold", door=True), billed=False),
        "unauthorized": Kind(Refused(401, "invalid x-api-key", door=True), billed=False),
        "billing": Kind(Refused(402, "Your payment details need attention.", door=True), billed=False),
        "forbidden": Kind(
            Refused(403, "Your API key does not have permission to use the specified resource.", door=True), billed=False
        ),
        "no_model": Kind(Refused(404, "model: {model}", door=True), billed=False),
        # The request.
        "bad_request": Kind(Refused(400, "messages.0.content.0: Could not process image", door=True), billed=False),
        "too_large": Kind(Refused(413, "Request exceeds the maximum size", door=True), billed=False),
        "timeout": Kind(Refused(408, "Request timed out"), billed=False),
        "conflict": Kind(Refused(409, "The resource is being changed by another request"), billed=False),
        # The service.
        "internal": Kind(Refused(500, "Internal server error"), billed=False),
        "bad_gateway": Kind(Page(502), billed=False),
        "unavailable": Kind(Refused(503, "Service unavailable"), billed=False),
        "gateway_timeout": Kind(Refused(504, "Request timed out"), billed=False),
        "overloaded": Kind(Refused(529, "Overloaded"), billed=False),
        # The connection.
        "reset": Kind(Reset(late=False), billed=False),
        "reset_late": Kind(Reset(late=True), billed=True),
        "hang": Kind(Hung(), billed=True),
        "html": Kind(Page(200), billed=False),
        "cut": Kind(Halved(clean=False), billed=True),
        "cut_clean": Kind(Halved(clean=True), billed=True),
        "stream_error": Kind(BrokenOff(), billed=True),
        "slow": Kind(Slow(), billed=True),
        # The answer.
        "no_usage": Kind(Lacking("usage"), billed=True),
        "no_stop_reason": Kind(Lacking("stop_reason"), billed=True),
        "refusal": Kind(Declined(), billed=False),
        "truncated": Kind(Truncated(), billed=True),
        "empty": Kind(Silent(), billed=True),
        "fenced": Kind(Misworded("fenced"), billed=True),
        "prose": Kind(Misworded("prose"), billed=True),
        "damaged": Kind(Misworded("damaged"), billed=True),
        "invalid": Kind(Misworded("invalid"), billed=True),
        # Batches.
        "expired": Kind(Unanswered("expired"), billed=False),
        "canceled": Kind(Unanswered("canceled"), billed=False),
        "lost_line": Kind(Lost(), billed=True),
        "double_line": Kind(Doubled(), billed=True),
        "stuck": Kind(Stuck(), billed=False),
        "archived": Kind(Archived(), billed=True),
        "short_page": Kind(ShortPage(), billed=False),
    }
)


def places(effect: Effect) -> tuple[str, ...]:
    """Where the effect can be met; the first is where it is met unless a rule says."""
    match effect:
        case Refused():
            return PLACES
        case Page() | Reset() | Hung() | Halved() | Slow():
            return PLACES[:-1]
        case BrokenOff():
            return (MESSAGES,)
        case Lacking() | Declined() | Truncated() | Silent() | Misworded():
            return (MESSAGES, ITEM)
        case Unanswered() | Lost() | Doubled():
            return (ITEM,)
        case Stuck() | Archived():
            return (CREATE,)
        case ShortPage():
            return (LIST,)


@dataclass(frozen=True, slots=True)
class Rule:
    """A fault, and which requests draw it."""

    fault: str
    """A key of KINDS."""
    rate: float = 1.0
    """Share of the requests that it may meet."""
    from_request: int = 1
    until_request: int | None = None
    """The last one, counted as requests arrive; None: without end."""
    from_s: float = 0.0
    """Seconds since the first request."""
    for_s: float | None = None
    """None: without end."""
    attempts: int | None = None
    """Only the first so many attempts at one body meet it; None: each."""
    wait_s: float | None = None
    """Before the fault shows. None: errors come at once, replies when they would have come."""
    retry_after_s: float = RETRY_AFTER_S
    category: str | None = None
    """Of a refusal."""
    says_billed: bool | None = None
    """None: as its kind says."""
    at: str | None = None
    """One of `places(effect)`; None: the first."""

    @property
    def effect(self) -> Effect:
        return KINDS[self.fault].effect

    @property
    def billed(self) -> bool:
        if self.says_billed is not None:
            return self.says_billed
        return KINDS[self.fault].billed or (isinstance(self.effect, Declined) and self.category in CHARGED_CATEGORIES)

    @property
    def place(self) -> str:
        return self.at or places(self.effect)[0]

    @property
    def takes_effect(self) -> bool:
        """Whether a call about batches does what it was asked, whatever its client hears of it."""
        return self.billed or not isinstance(self.effect, Refused | Page | Reset | Hung)


@dataclass(frozen=True, slots=True)
class Moment:
    """When a request came, and what it is, as far as a rule can tell."""

    number: int
    """From 1, in order of arrival."""
    elapsed_s: float
    """Since the first request."""
    attempt: int
    """From 1, at this body."""
    stream: bool
    calls_tool: bool
    """Whether the answer is the input of a tool, which has no wording around it."""


def drawn(rules: Sequence[Rule], moment: Moment, chance: float) -> Rule | None:
    """The rule that a request meets; None where it goes well.

    `chance` is from [0, 1). Each rule in force takes its rate of that range, the first rule first: so rates are those of
    all requests, and where they add up to more than 1 the last ones come short.
    """
    end = 0.0
    for rule in rules:
        if meets(rule, moment):
            end += rule.rate
            if chance < end:
                return rule
    return None


def meets(rule: Rule, moment: Moment) -> bool:
    """Whether the rule is in force for such a request."""
    last = rule.until_request
    is_time = rule.from_s <= moment.elapsed_s and (rule.for_s is None or moment.elapsed_s < rule.from_s + rule.for_s)
    is_number = rule.from_request <= moment.number and (last is None or moment.number <= last)
    is_attempt = rule.attempts is None or moment.attempt <= rule.attempts
    return is_time and is_number and is_attempt and _applies(rule.effect, moment)


def _applies(effect: Effect, moment: Moment) -> bool:
    match effect:
        case BrokenOff():
            return moment.stream
        case Lacking("usage"):  # a stream begins with it
            return not moment.stream
        case Misworded():
            return not moment.calls_tool
    return True
