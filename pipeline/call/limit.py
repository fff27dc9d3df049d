"""How fast requests may leave, so that a rate limit is used whole and never hit. Pure; time is an argument, in seconds.

The server keeps token buckets, refilled continuously, and each reply tells their `limit` a minute and what is `remaining`
(platform.claude.com/docs/en/api/rate-limits, read 2026-10-08). We keep a model of each and of our own ceilings:

    pace    limit / 60 a second by our own clock, with a small burst. A bucket may hold far less than a minute's worth (short
            windows are enforced), and pacing alone never empties it.
    stock   while more than a tenth of a minute's worth remains, the surplus is spent at five times the pace, not at once:
            requests that leave together arrive in any order, and then what remains after one of them tells little.
    brake   we never think there is more than what remains, plus what was refilled, less what left after that request. Others
            who draw on the same limit show up here, and when little is left we slow down in proportion.

What a request costs is reserved before it leaves and corrected by its usage. The `reset` headers tell nothing that limit and
remaining do not, and on another clock than ours; replies may come in any order, for each is compared with its own request.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pipeline.call.media import characters
from pipeline.records import Complaint, Medium, Prompt, Text, Usage, Verbatim

BURST_S = 0.5
"""What may leave at once, as time at the pace: a wake-up that comes late by less loses nothing."""
OUR_BURST_S = 0.1
"""The same of a ceiling of ours. It is kept within 1 % in any ten seconds, which a bucket of the server does not ask for."""
STOCK = 0.1
"""The share of a minute's limit that is left alone when the surplus is spent."""
HASTE = 5.0
"""Times the pace, while there is stock."""
LITTLE, LITTLE_S = 0.3, 2.0
"""Below this share of what the bucket was seen to hold, or this time at the pace, we slow down in proportion."""
SLOWEST = 0.1
CARE, MOST_CARE, CARE_S = 0.02, 0.3, 60.0
"""A 429 makes us slower by this share, up to that one, until so much time has passed without another."""
ROUNDED = 1000
"""Tokens that remain are told in thousands (api/rate-limits)."""
NOW_S = 1e-6
TOKENS_A_CHARACTER = 0.4
"""Until a reply has told: on the high side for English."""
LEARN = 0.05
PREFIX = "anthropic-ratelimit-"
REQUESTS, INPUT, OUTPUT, TOKENS = "requests", "input-tokens", "output-tokens", "tokens"
NAMES = (REQUESTS, INPUT, OUTPUT, TOKENS)
"""As the headers have them; `tokens` is input and output together."""
HEADERS = tuple((name, f"{PREFIX}{name}-limit", f"{PREFIX}{name}-remaining") for name in NAMES)


@dataclass(frozen=True, slots=True)
class Hold:
    """What was reserved for a request that is out."""

    at: float
    costs: Mapping[str, float]
    taken: Mapping[str, float]
    """Of each bucket of the server: all that had been taken from it, this request included."""
    size: int


@dataclass(slots=True)
class Bucket:
    """One limit, refilled continuously."""

    rate: float
    """A second."""
    at: float
    level: float = 0.0
    holds: float = float("inf")
    """The most that it was seen to hold; a ceiling of ours holds what it likes."""
    burst_s: float = BURST_S
    taken: float = 0.0
    """All that ever left."""
    stock: float = 0.0
    """What may be spent faster than it comes in."""
    spends: bool = True
    """Whether stock is spent at all: until that was answered by a 429."""
    share: float = 1.0
    """Of the rate: less when others draw on the same limit."""
    heard_at: float = float("-inf")
    """When the latest request left of those whose reply told what remains."""
    care: float = 0.0
    """How much slower than the rate we are since a 429: a bucket that holds one request forgives no early arrival."""
    refused_at: float = float("-inf")

    def wait_s(self, now: float, cost: float) -> float:
        """Seconds until `cost` may leave; 0: now."""
        self._refill(now, cost)
        lack = cost - self.level
        if lack <= NOW_S * cost:
            return 0.0
        return lack / (self._pace() * (HASTE if self.stock > 0 else 1.0))

    def take(self, cost: float) -> None:
        self.level -= cost
        self.taken += cost

    def correct(self, reserved: float, used: float) -> None:
        """The request cost what it used, not what was reserved for it."""
        self.level = min(self.level + reserved - used, max(self.level, self.burst(max(reserved, used))))

    def hear(self, *, limit: float, remaining: float, left_at: float, since: float, now: float, rounded: float) -> None:
        """What a reply tells. Its request left at `left_at`, and `since` has been taken after it; `remaining` may be off by
        `rounded` either way."""
        self.rate = limit / 60
        # The server may have counted at any time between request and reply: after both what was refilled and what left
        # since, the truth is the same.
        there = remaining + rounded / 2 + self.rate * (now - left_at) - since
        self.level = min(self.level, max(there, -self.rate))
        if left_at >= self.heard_at:
            self.heard_at = left_at
            self.stock = max(0.0, min(remaining, there) - STOCK * limit) if self.spends else 0.0
            little = min(LITTLE * self.holds, LITTLE_S * self.rate)
            told = self.holds >= 5 * max(rounded, 1)
            self.share = min(1.0, max(SLOWEST, (remaining + rounded / 2) / little)) if told else 1.0

    def refused(self, now: float) -> None:
        """A 429: there is nothing left, whatever we thought."""
        if self.stock > 0:
            self.spends, self.stock = False, 0.0
        self.level = min(self.level, 0.0)
        if now - self.refused_at >= 1.0:  # those that come together are one
            self.care = min(MOST_CARE, self.care + CARE)
        self.refused_at = now

    def _refill(self, now: float, cost: float) -> None:
        most = max(self.burst(cost), cost)
        if self.level < most:
            came = self._pace() * max(0.0, now - self.at)
            spent = max(0.0, min(self.stock, (HASTE - 1) * came, most - self.level - came))
            self.stock -= spent
            self.level = min(most, self.level + came + spent)
        self.at = max(self.at, now)
        if self.care and now - self.refused_at >= CARE_S:
            self.care = max(0.0, self.care - CARE)
            self.refused_at = now

    def _pace(self) -> float:
        return self.rate * self.share * (1 - self.care)

    def burst(self, cost: float) -> float:
        """What may leave at once while requests cost so much."""
        return min(max(self.rate * self.burst_s, 1.5 * cost), self.holds / 2)


@dataclass(slots=True)
class Estimate:
    """Input tokens that count against the limit, from the characters of the row; learned from what replies say they were.

    A straight line through the replies so far, the latest weighing most: its height is the part that all rows share, which
    falls to almost nothing once the prompt cache is read, its slope the tokens a character.
    """

    replies: int = 0
    output_tokens: float = 0.0
    _x: float = 0.0
    _y: float = 0.0
    _xx: float = 0.0
    _xy: float = 0.0

    def input_tokens(self, size: int) -> float:
        if not self.replies:
            return max(1.0, TOKENS_A_CHARACTER * size)
        spread = self._xx - self._x * self._x
        if spread <= 1e-6 * self._xx:
            return max(1.0, self._y * (size / self._x if self._x and self.replies == 1 else 1.0))
        slope = min(2.0, max(0.0, (self._xy - self._x * self._y) / spread))
        return max(1.0, self._y + slope * (size - self._x))

    def learn(self, size: int, usage: Usage) -> None:
        self.replies += 1
        weight = max(LEARN, 1 / self.replies)
        counted = usage.input_tokens + usage.cache_write_tokens
        self._x += weight * (size - self._x)
        self._y += weight * (counted - self._y)
        self._xx += weight * (size * size - self._xx)
        self._xy += weight * (size * counted - self._xy)
        self.output_tokens += weight * (usage.output_tokens - self.output_tokens)


@dataclass(slots=True)
class Limiter:
    """All limits of a run, the server's and ours. One for all its workers."""

    requests_per_minute: int | None = None
    input_tokens_per_minute: int | None = None
    output_tokens_per_minute: int | None = None
    estimate: Estimate = field(default_factory=Estimate)
    _ours: dict[str, Bucket] = field(default_factory=dict)
    _theirs: dict[str, Bucket] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ceilings = {
            REQUESTS: self.requests_per_minute,
            INPUT: self.input_tokens_per_minute,
            OUTPUT: self.output_tokens_per_minute,
        }
        self._ours = {
            name: Bucket(rate / 60, float("-inf"), burst_s=OUR_BURST_S) for name, rate in ceilings.items() if rate is not None
        }

    def wait_s(self, now: float, size: int) -> float:
        """Seconds until a request of so many characters may leave; 0: now."""
        costs = self._costs(size)
        return max((bucket.wait_s(now, costs[name]) for name, bucket in self._buckets()), default=0.0)

    def take(self, now: float, size: int) -> Hold:
        """Reserves what a request of so many characters will cost."""
        costs = self._costs(size)
        for name, bucket in self._buckets():
            bucket.take(costs[name])
        return Hold(now, costs, {name: bucket.taken for name, bucket in self._theirs.items()}, size)

    def settle(self, hold: Hold, now: float, usage: Usage | None, headers: Mapping[str, str]) -> None:
        """A response came: what it cost, where it tells, and what its headers say."""
        if usage is not None:
            self.estimate.learn(hold.size, usage)
            used = _costs(usage.input_tokens + usage.cache_write_tokens, usage.output_tokens)
            for name, bucket in self._buckets():
                bucket.correct(hold.costs[name], used[name])
        for name, says_limit, says_remaining in HEADERS:
            limit, remaining = _number(headers.get(says_limit)), _number(headers.get(says_remaining))
            if not limit or remaining is None:
                continue
            rounded = float(ROUNDED) if name != REQUESTS and remaining % ROUNDED == 0 else 0.0
            holds = remaining + hold.costs[name]
            if name not in self._theirs:
                self._theirs[name] = Bucket(limit / 60, float("-inf"), holds=holds)
            bucket = self._theirs[name]
            bucket.holds = max(bucket.holds, holds)
            since = bucket.taken - hold.taken.get(name, 0.0)
            bucket.hear(limit=limit, remaining=remaining, left_at=hold.at, since=since, now=now, rounded=rounded)

    def give_back(self, hold: Hold) -> None:
        """The request never reached the server."""
        for name, bucket in self._buckets():
            bucket.correct(hold.costs[name], 0.0)

    def refused(self, now: float) -> None:
        """A 429 came: the buckets of the server are emptier than they looked."""
        for bucket in self._theirs.values():
            bucket.refused(now)

    def _costs(self, size: int) -> dict[str, float]:
        return _costs(self.estimate.input_tokens(size), self.estimate.output_tokens)

    def _buckets(self) -> Iterable[tuple[str, Bucket]]:
        yield from self._ours.items()
        yield from self._theirs.items()


def size(prompt: Prompt) -> int:
    """Characters of a prompt that are its row's own: the constant part is alike for all."""
    return sum(_size(block) for turn in prompt.turns for block in turn.blocks)


def _size(block: Text | Verbatim | Complaint | Medium) -> int:
    match block:
        case Verbatim():
            return len(block.content)
        case Text() | Complaint():
            return len(block.text)
        case _:
            return characters(block)


def _costs(input_tokens: float, output_tokens: float) -> dict[str, float]:
    return {REQUESTS: 1.0, INPUT: input_tokens, OUTPUT: output_tokens, TOKENS: input_tokens + output_tokens}


def _number(said: str | None) -> float | None:
    if said is None:
        return None
    try:
        value = float(said)
    except ValueError:
        return None
    return value if 0 <= value < float("inf") else None
