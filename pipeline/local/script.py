"""How a rehearsal is to go: speed, sizes, limits and faults, out of a YAML text. Pure.

pydantic checks; what it finds is told all at once, each fault with its line and path and the nearest right name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from random import Random
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from pipeline.config import tree
from pipeline.config.wording import named, printable
from pipeline.errors import ConfigInvalid
from pipeline.local.faults import KINDS, PLACES, Declined, Hung, Refused, Rule, Slow, places
from pipeline.local.limits import Limit, Limits

P99 = 2.326347874
"""Standard deviations from the median of a normal distribution to its 99th percentile."""
ROUNDING = 1e-9
NO_LIMITS = Limits()
UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class Latency:
    """Log-normal; without a spread, always the median."""

    median_s: float = 0.0
    p99_s: float | None = None

    def drawn(self, random: Random) -> float:
        if self.p99_s is None or self.median_s == 0:
            return self.median_s
        return self.median_s * math.exp(random.gauss(0, math.log(self.p99_s / self.median_s) / P99))


@dataclass(frozen=True, slots=True)
class Size:
    """How many tokens: log-normal around a mean, with a standard deviation given as a share of it."""

    mean: float
    spread: float = 0.0

    def drawn(self, random: Random) -> int:
        if not self.mean or not self.spread:
            return round(self.mean)
        variance = math.log1p(self.spread**2)
        return max(1, round(self.mean * math.exp(random.gauss(0, math.sqrt(variance)) - variance / 2)))


@dataclass(frozen=True, slots=True)
class Script:
    """The default: at once, no limits, no faults, output as long as the text is."""

    latency: Latency = Latency()
    output: Size | None = None
    """Tokens of the visible answer in `usage`; None: a quarter of its bytes."""
    thinking: Size | None = None
    """Tokens of thinking where the model thinks; None: 32."""
    limits: Limits = NO_LIMITS
    rules: tuple[Rule, ...] = ()
    seed: int | None = None
    batch_time: Latency = Latency(2.0)
    """From the creation of a batch to its end, where nothing is slower than that."""
    batch_queue: int | None = None
    """Requests of all batches that may wait for the end of theirs at a time."""


def parsed(text: str, where: str) -> Script:
    """The script in a file; `where` is what messages call it. Raises ConfigInvalid with every fault."""
    read = tree.read(text)
    if isinstance(read, tree.Malformed):
        raise _invalid(where, [f"{where}:{read.line}:{read.column}: cannot be read as YAML: {read.problem}"])
    faults = [(fault.line or _line(read, fault.key), fault.key, fault.problem) for fault in read.faults]
    try:
        sheet = _Sheet.model_validate({} if read.root is None else read.root)
    except ValidationError as error:
        faults += [(_line(read, _key(found["loc"])), _key(found["loc"]), _said(found)) for found in error.errors()]
    if faults:
        raise _invalid(where, [f"{where}:{line}: {named(key) or 'the file'}: {said}" for line, key, said in sorted(faults)])
    return sheet.script()


def seconds(text: str) -> float:
    """`800ms`, `2s`, `1.5m`, `1h`. ValueError where it is no time."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)", text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no time; write 800ms, 2s or 1m")
    return float(found[1]) * UNITS_S[found[2]]


def _invalid(where: str, faults: Sequence[str]) -> ConfigInvalid:
    count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
    return ConfigInvalid(f"{where} has {count}", faults=faults, todo=f"mend {where}; docs/rehearsal.md lists what it can say")


def _key(path: Sequence[str | int]) -> tree.Key:
    """Without the tags that pydantic gives the branches of a union."""
    return tuple(step for step in path if isinstance(step, int) or not step.startswith(("function-", "float", "lax-")))


def _line(read: tree.Tree, key: tree.Key) -> int:
    while key and key not in read.lines:
        key = key[:-1]
    return read.lines.get(key, 1)


def _said(found: Any) -> str:
    match found["type"]:
        case "extra_forbidden":
            name, known = str(found["loc"][-1]), _known(found["loc"])
            near = get_close_matches(name, known, 1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
            return f"there is no such key; {hint}"
        case "missing":
            return "is missing"
    said = str(found["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return printable(said[:1].lower() + said[1:])


def _known(path: Sequence[str | int]) -> list[str]:
    """The keys that may stand where an unknown one stands."""
    shape: type[BaseModel] = _Sheet
    for step in path[:-1]:
        if isinstance(step, str) and step in _SHAPES:
            shape = _SHAPES[step]
    return [each.alias or name for name, each in shape.model_fields.items()]


def _time(value: object) -> object:
    if isinstance(value, str):
        return seconds(value)
    if value == 0:
        return 0.0
    raise ValueError("write a time with its unit, as 800ms, 2s or 1m")


def _share(value: object) -> object:
    if isinstance(value, str) and (found := re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", value.strip())):
        return float(found[1]) / 100
    if isinstance(value, str):
        raise ValueError(f"{value!r} is no share; write 5% or 0.05")
    return value


def _kind(value: object) -> object:
    if isinstance(value, str) and value in KINDS:
        return value
    near = get_close_matches(str(value), KINDS, 1)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(KINDS)}"
    raise ValueError(f"there is no fault {value!r}; {hint}")


def _place(value: object) -> object:
    if isinstance(value, str) and value in PLACES:
        return value
    near = get_close_matches(str(value), PLACES, 1)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(PLACES)}"
    raise ValueError(f"there is no place {value!r}; {hint}")


Time = Annotated[float, BeforeValidator(_time), Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, BeforeValidator(_share), Field(ge=0, le=1, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, strict=True)]
Category = Literal["cyber", "bio", "frontier_llm", "reasoning_extraction", "general_harms"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=False)


class _Latency(_Strict):
    median: Time
    p99: Time | None = None

    @model_validator(mode="after")
    def _rises(self) -> _Latency:
        if self.p99 is not None and self.p99 < self.median:
            raise ValueError("p99 lies below the median")
        return self


class _Size(_Strict):
    tokens: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    spread: Annotated[float, BeforeValidator(_share), Field(ge=0, le=10, allow_inf_nan=False)] = 0.0

    def size(self) -> Size:
        return Size(self.tokens, self.spread)


class _Limits(_Strict):
    rpm: Count | None = None
    burst: Count | None = None
    itpm: Count | None = None
    itpm_burst: Count | None = None
    otpm: Count | None = None
    otpm_burst: Count | None = None
    batch_queue: Count | None = None

    @model_validator(mode="after")
    def _bursts_have_rates(self) -> _Limits:
        for rate, burst in (("rpm", "burst"), ("itpm", "itpm_burst"), ("otpm", "otpm_burst")):
            if getattr(self, burst) is not None and getattr(self, rate) is None:
                raise ValueError(f"{burst} says nothing without {rate}")
        return self

    def limits(self) -> Limits:
        return limits(self.rpm, self.burst, self.itpm, self.itpm_burst, self.otpm, self.otpm_burst)


def limits(
    rpm: int | None, burst: int | None, itpm: int | None, itpm_burst: int | None, otpm: int | None, otpm_burst: int | None
) -> Limits:
    return Limits(
        Limit(rpm, burst) if rpm is not None else None,
        Limit(itpm, itpm_burst) if itpm is not None else None,
        Limit(otpm, otpm_burst) if otpm is not None else None,
    )


class _Rule(_Strict):
    fault: Annotated[str, BeforeValidator(_kind)]
    at: Annotated[str, BeforeValidator(_place)] | None = None
    rate: Share = 1.0
    from_request: Count = 1
    until_request: Count | None = None
    from_: Annotated[Time, Field(alias="from")] = 0.0
    for_: Annotated[Time | None, Field(alias="for")] = None
    attempts: Count | None = None
    wait: Time | None = None
    retry_after: Time | None = None
    category: Category | None = None
    billed: bool | None = None

    @model_validator(mode="after")
    def _fits_its_kind(self) -> _Rule:
        effect = KINDS[self.fault].effect
        if self.until_request is not None and self.until_request < self.from_request:
            raise ValueError(f"until_request {self.until_request} lies before from_request {self.from_request}")
        if self.at is not None and self.at not in places(effect):
            raise ValueError(f"{self.fault} cannot be met at {self.at}, only at {', '.join(places(effect))}")
        if self.category is not None and not isinstance(effect, Declined):
            raise ValueError("only a refusal has a category")
        if self.retry_after is not None and not (isinstance(effect, Refused) and effect.retry_after):
            raise ValueError(f"{self.fault} carries no retry-after")
        if isinstance(effect, Slow) and self.wait is None:
            raise ValueError("slow needs wait: how much longer a reply takes")
        if isinstance(effect, Hung) and self.wait is not None:
            raise ValueError("a hang has no end; to answer late, use slow")
        return self

    def is_always(self) -> bool:
        window = (self.from_request, self.until_request, self.from_, self.for_, self.attempts)
        return window == (1, None, 0.0, None, None)

    def rule(self) -> Rule:
        return Rule(
            fault=self.fault,
            rate=self.rate,
            from_request=self.from_request,
            until_request=self.until_request,
            from_s=self.from_,
            for_s=self.for_,
            attempts=self.attempts,
            wait_s=self.wait,
            category=self.category,
            says_billed=self.billed,
            at=self.at,
            **({} if self.retry_after is None else {"retry_after_s": self.retry_after}),
        )


def _latency(value: object) -> object:
    """A time alone is a median without a spread."""
    return value if isinstance(value, dict) else {"median": value}


class _Sheet(_Strict):
    seed: Annotated[int, Field(strict=True)] | None = None
    latency: Annotated[_Latency, BeforeValidator(_latency)] = _Latency(median=0.0)
    output: _Size | None = None
    thinking: _Size | None = None
    limits: _Limits = _Limits()
    batch_time: Annotated[_Latency, BeforeValidator(_latency)] = _Latency(median="2s")  # type: ignore[arg-type]
    faults: tuple[_Rule, ...] = ()

    @model_validator(mode="after")
    def _rates_add_up(self) -> _Sheet:
        totals: dict[str, float] = {}
        for each in self.faults:
            place = each.rule().place
            totals[place] = totals.get(place, 0.0) + (each.rate if each.is_always() else 0.0)
        for place, total in totals.items():
            if total > 1 + ROUNDING:
                raise ValueError(
                    f"the rates of faults without a window at {place} add up to {total:.0%}, more than all requests"
                )
        return self

    def script(self) -> Script:
        return Script(
            Latency(self.latency.median, self.latency.p99),
            self.output.size() if self.output else None,
            self.thinking.size() if self.thinking else None,
            self.limits.limits(),
            tuple(each.rule() for each in self.faults),
            self.seed,
            Latency(self.batch_time.median, self.batch_time.p99),
            self.limits.batch_queue,
        )


_SHAPES: dict[str, type[BaseModel]] = {
    "latency": _Latency,
    "output": _Size,
    "thinking": _Size,
    "limits": _Limits,
    "batch_time": _Latency,
    "faults": _Rule,
}
