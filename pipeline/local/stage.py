"""Between a request and its reply: limits, faults, prompt cache and ledger, for one server.

Everything is decided at once, without waiting: what is to be waited for is told. Clocks come in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from random import Random
from typing import Any

import orjson

from pipeline.local.cache import Cache, Cached
from pipeline.local.errors import ApiError
from pipeline.local.faults import ITEM, MESSAGES, PLACES, Effect, Moment, Page, Refused, Reset, Rule, Slow, drawn
from pipeline.local.ledger import Bill, Ledger, Price
from pipeline.local.limits import Meter
from pipeline.local.model import Card
from pipeline.local.question import Called, Question
from pipeline.local.reply import Began, Ended, Part
from pipeline.local.script import Script
from pipeline.records import Usage

QUEUE_RETRY_AFTER_S = 5
"""Told with a full queue of batches; the API's figure is not documented."""


@dataclass(frozen=True, slots=True)
class Scene:
    """How one request is to go, once it is let in."""

    ledger: Ledger
    meter: Meter
    """Those that heard it arrive: a reset in between begins others."""
    body: int
    """Digest of the request."""
    model: str
    geo: str | None
    rule: Rule | None
    wait_s: float
    """Before the first byte of an answer."""
    estimated: int
    """Input tokens taken from the limit so far."""
    cached: Cached
    luck: int
    """What is left to chance in a fault: the same for the same attempt at the same body."""
    tier: str = "standard"
    """`batch` where it is a request of a batch: half the price, and no part of the rate limits."""

    @property
    def effect(self) -> Effect | None:
        return self.rule.effect if self.rule else None

    @property
    def random(self) -> Random:
        return Random(self.luck)  # noqa: S311 nothing is kept secret with it


@dataclass(frozen=True, slots=True)
class Call:
    """How a call about batches is to go."""

    rule: Rule | None
    luck: int
    """As of a Scene."""

    @property
    def takes_effect(self) -> bool:
        return self.rule is None or self.rule.takes_effect

    @property
    def wait_s(self) -> float:
        """Before the first byte of an answer."""
        return (self.rule.wait_s if self.rule else None) or 0.0


class Stage:
    """State of one server. `clock` is monotonic, `wall` gives UTC."""

    def __init__(
        self, script: Script, *, seed: int, price: Price, clock: Callable[[], float], wall: Callable[[], datetime]
    ) -> None:
        self._script = script
        self._seed = blake2b(str(seed).encode()).digest()
        self._price = price
        self._clock = clock
        self._wall = wall
        self._rules = {place: tuple(each for each in script.rules if each.place == place) for place in PLACES}
        self.reset()

    def reset(self) -> None:
        """As if the server had just started: full buckets, an empty cache, an empty ledger, no attempt remembered."""
        now = self._clock()
        self._meter = Meter(self._script.limits, now)
        self._cache = Cache()
        self.ledger = Ledger(self._price, now)

    def now(self) -> float:
        """Seconds, monotonic."""
        return self._clock()

    def wall(self) -> datetime:
        return self._wall()

    def arrives(self) -> int:
        """A request for a message has come; its number."""
        return self.ledger.arrives(self._clock())

    def enters(self, raw: bytes, question: Question, card: Card, number: int) -> Scene:
        """How the request is to go. Raises ApiError where it runs into a limit."""
        now, ledger = self._clock(), self.ledger
        body = asked(raw)
        attempt = ledger.attempts(body) + 1
        chance, luck = self._chances(raw, attempt)
        rule = self._rule(question, number, attempt, chance, now)
        cached, estimated = Cached(), 0
        if not (rule and isinstance(rule.effect, Refused) and rule.effect.door):
            total = question.tokens
            cached = self._cache.look(question.prefixes, card.rules.cached_from, total, now)
            estimated = total - cached.read
            if (exceeded := self._meter.admit(estimated, now)) is not None:
                raise ApiError(429, exceeded.message, headers={"retry-after": str(exceeded.retry_after_s), **self.headers()})
        ledger.attempted(body)
        if rule is not None:
            ledger.by_fault[rule.fault] += 1
        return Scene(
            ledger, self._meter, body, card.name, question.geo, rule, self._wait_s(rule, luck), estimated, cached, luck
        )

    def enters_in_batch(self, raw: bytes, question: Question, card: Card) -> Scene:
        """How a request of a batch is to go, once its turn has come."""
        now, ledger = self._clock(), self.ledger
        body = asked(raw)
        attempt = ledger.attempts(body) + 1
        chance, luck = self._chances(raw, attempt)
        number, elapsed_s = ledger.batches.meets(ITEM, now)
        moment = Moment(number, elapsed_s, attempt, question.stream, isinstance(question.form, Called))
        rule = drawn(self._rules[ITEM], moment, chance)
        ledger.attempted(body)
        if rule is not None:
            ledger.by_fault[rule.fault] += 1
        cached = self._cache.look(question.prefixes, card.rules.cached_from, question.tokens, now)
        return Scene(ledger, self._meter, body, card.name, question.geo, rule, 0.0, 0, cached, luck, "batch")

    def calls(self, place: str, key: bytes) -> Call:
        """How a call about batches is to go; `key` tells it from others, and is the same when it comes again."""
        books = self.ledger.batches
        number, elapsed_s = books.meets(place, self._clock())
        attempt = books.attempts(place, digest(key))
        chance, luck = self._chances(key, attempt)
        rule = drawn(self._rules[place], Moment(number, elapsed_s, attempt, stream=False, calls_tool=False), chance)
        if rule is not None:
            self.ledger.by_fault[rule.fault] += 1
        return Call(rule, luck)

    def check_queue(self, waiting: int, submitted: int) -> None:
        """Raises ApiError 429 where so many more requests of batches may not wait. `waiting`: those that do already."""
        most = self._script.batch_queue
        if most is not None and waiting + submitted > most:
            said = f"This request would exceed your organization's limit of {most:,} batch requests in the processing queue."
            raise ApiError(429, said, headers={"retry-after": str(QUEUE_RETRY_AFTER_S)})

    def batch_time_s(self, luck: int) -> float:
        return self._script.batch_time.drawn(Random(luck))  # noqa: S311 nothing is kept secret with it

    def begins(self, scene: Scene) -> None:
        """The answer begins: from now on what it wrote to the prompt cache can be read."""
        self._cache.begin(scene.cached, self._clock())

    def ends(self, scene: Scene, parts: Sequence[Part], *, unread: bool) -> None:
        """The reply is made. `unread`: the client is not to see it, or not there to see it. Call once."""
        began = next(part for part in parts if isinstance(part, Began))
        ended = next(part for part in parts if isinstance(part, Ended))
        cached = began.cached
        usage = Usage(
            began.input_tokens - cached.tokens,
            ended.output_tokens,
            cached.read,
            cached.written_5m,
            cached.written_1h,
            ended.thinking_tokens,
        )
        if scene.tier != "batch":
            counted = usage.input_tokens + usage.cache_write_tokens
            scene.meter.settle(scene.estimated, counted, usage.output_tokens, self._clock())
        if scene.rule is None or scene.rule.billed:
            scene.ledger.book(Bill(scene.body, scene.model, usage, scene.geo, scene.tier), unread=unread)

    def fails(self, scene: Scene) -> None:
        """There will be no reply, and nothing to count. Call once, in place of `ends`."""
        scene.meter.settle(scene.estimated, 0, 0, self._clock())

    def headers(self) -> dict[str, str]:
        """The state of the rate limits."""
        return self._meter.headers(self._clock(), self._wall())

    def figures(self) -> dict[str, Any]:
        now = self._clock()
        return {**self.ledger.figures(now), "limits": self._meter.figures(now)}

    def _rule(self, question: Question, number: int, attempt: int, chance: float, now: float) -> Rule | None:
        if not self._rules[MESSAGES]:
            return None
        first = now if self.ledger.first_at is None else self.ledger.first_at
        moment = Moment(number, now - first, attempt, question.stream, isinstance(question.form, Called))
        return drawn(self._rules[MESSAGES], moment, chance)

    def _chances(self, raw: bytes, attempt: int) -> tuple[float, int]:
        """A chance from [0, 1) and luck, the same for the same attempt at the same bytes."""
        salt = attempt.to_bytes(blake2b.SALT_SIZE, "big")
        chances = blake2b(raw, digest_size=16, key=self._seed, salt=salt).digest()
        return int.from_bytes(chances[:8], "big") / 2**64, int.from_bytes(chances[8:], "big")

    def _wait_s(self, rule: Rule | None, luck: int) -> float:
        """Troubles come at once, replies after the latency, unless the rule says when."""
        set_s = rule.wait_s if rule else None
        if rule and isinstance(rule.effect, Refused | Page | Reset) and rule.effect != Reset(late=True):
            return set_s or 0.0
        latency = self._script.latency
        latency_s = latency.median_s if latency.p99_s is None else latency.drawn(Random(luck))  # noqa: S311 as above
        if set_s is None:
            return latency_s
        return latency_s + set_s if rule and isinstance(rule.effect, Slow) else set_s


def asked(raw: bytes) -> int:
    """A digest of what a request asks: the same online, as a stream and in a batch, and in whatever order its fields come."""
    try:
        body = orjson.loads(raw)
        body.pop("stream", None)
        return digest(orjson.dumps(body, option=orjson.OPT_SORT_KEYS))
    except (orjson.JSONDecodeError, TypeError):  # what orjson takes for no JSON, or cannot write: a number beyond 64 bits
        return digest(raw)


def digest(raw: bytes) -> int:
    """64 bits by which something is known."""
    return int.from_bytes(blake2b(raw, digest_size=8).digest(), "big")


def divided(part: Part, scene: Scene) -> Part:
    """With what the prompt cache gave and keeps."""
    return Began(part.input_tokens, scene.cached) if isinstance(part, Began) else part
