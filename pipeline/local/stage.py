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

from pipeline.local.cache import Cache, Cached
from pipeline.local.errors import ApiError
from pipeline.local.faults import Effect, Moment, Page, Refused, Reset, Rule, Slow, drawn
from pipeline.local.ledger import Bill, Ledger, Price
from pipeline.local.limits import Meter
from pipeline.local.model import Card
from pipeline.local.question import Called, Question
from pipeline.local.reply import Began, Ended, Part
from pipeline.local.script import Script
from pipeline.records import Usage


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

    @property
    def effect(self) -> Effect | None:
        return self.rule.effect if self.rule else None

    @property
    def random(self) -> Random:
        return Random(self.luck)  # noqa: S311 nothing is kept secret with it


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
        self.reset()

    def reset(self) -> None:
        """As if the server had just started: full buckets, an empty cache, an empty ledger, no attempt remembered."""
        now = self._clock()
        self._meter = Meter(self._script.limits, now)
        self._cache = Cache()
        self.ledger = Ledger(self._price, now)

    def arrives(self) -> int:
        """A request for a message has come; its number."""
        return self.ledger.arrives(self._clock())

    def enters(self, raw: bytes, question: Question, card: Card, number: int) -> Scene:
        """How the request is to go. Raises ApiError where it runs into a limit."""
        now, ledger = self._clock(), self.ledger
        body = int.from_bytes(blake2b(raw, digest_size=8).digest(), "big")
        attempt = ledger.attempts(body) + 1
        salt = attempt.to_bytes(blake2b.SALT_SIZE, "big")
        chances = blake2b(raw, digest_size=16, key=self._seed, salt=salt).digest()
        rule = self._rule(question, number, attempt, int.from_bytes(chances[:8], "big") / 2**64, now)
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
        luck = int.from_bytes(chances[8:], "big")
        return Scene(
            ledger, self._meter, body, card.name, question.geo, rule, self._wait_s(rule, luck), estimated, cached, luck
        )

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
        counted = usage.input_tokens + usage.cache_write_tokens
        scene.meter.settle(scene.estimated, counted, usage.output_tokens, self._clock())
        if scene.rule is None or scene.rule.billed:
            scene.ledger.book(Bill(scene.body, scene.model, usage, scene.geo), unread=unread)

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
        if not self._script.rules:
            return None
        first = now if self.ledger.first_at is None else self.ledger.first_at
        moment = Moment(number, now - first, attempt, question.stream, isinstance(question.form, Called))
        return drawn(self._script.rules, moment, chance)

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
