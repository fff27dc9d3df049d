"""Strings and numbers for a schema: the leaves of what rehearsal invents. Pure; chance comes in."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from random import Random
from types import MappingProxyType
from typing import Any

from pipeline.local.errors import Unmakeable
from pipeline.local.pattern import matching

WORDS = (
    *("rehearsal", "amber", "harbour", "quiet", "ledger", "orchard", "paper", "signal", "winter", "copper", "meadow"),
    *("lantern", "river", "button", "market", "violet", "engine", "pepper", "window", "garden", "saddle", "cotton"),
)
MAX_LENGTH = 100_000
USUAL_SPAN = 100
"""How far a number goes from a bound that has no other bound opposite."""


def _date(random: Random) -> str:
    return f"{random.randint(1990, 2026)}-{random.randint(1, 12):02}-{random.randint(1, 28):02}"


def _time(random: Random) -> str:
    return f"{random.randint(0, 23):02}:{random.randint(0, 59):02}:{random.randint(0, 59):02}Z"


def _hex(random: Random, digits: int) -> str:
    return f"{random.getrandbits(4 * digits):0{digits}x}"


def _uuid(random: Random) -> str:
    return f"{_hex(random, 8)}-{_hex(random, 4)}-4{_hex(random, 3)}-a{_hex(random, 3)}-{_hex(random, 12)}"


def _word(random: Random) -> str:
    return random.choice(WORDS)


FORMATS: Mapping[str, Callable[[Random], str]] = MappingProxyType(
    {
        "date": _date,
        "time": _time,
        "date-time": lambda random: f"{_date(random)}T{_time(random)}",
        "duration": lambda random: f"P{random.randint(1, 30)}DT{random.randint(1, 23)}H",
        "email": lambda random: f"{_word(random)}.{random.randint(1, 99)}@example.com",
        "idn-email": lambda random: f"{_word(random)}@example.com",
        "hostname": lambda random: f"{_word(random)}.example.com",
        "idn-hostname": lambda random: f"{_word(random)}.example.com",
        "uri": lambda random: f"https://example.com/{_word(random)}/{random.randint(1, 999)}",
        "uri-reference": lambda random: f"/{_word(random)}",
        "iri": lambda random: f"https://example.com/{_word(random)}",
        "iri-reference": lambda random: f"/{_word(random)}",
        "uri-template": lambda random: f"/{_word(random)}/{{id}}",
        "ipv4": lambda random: f"192.0.2.{random.randint(1, 254)}",
        "ipv6": lambda random: f"2001:db8::{random.randint(1, 65535):x}",
        "uuid": _uuid,
        "json-pointer": lambda random: f"/{_word(random)}",
        "relative-json-pointer": lambda random: f"{random.randint(0, 3)}/{_word(random)}",
        "regex": lambda random: f"^{_word(random)}$",
    }
)


def text(schema: Mapping[str, Any], random: Random) -> str:
    """A string within the schema's length, format and pattern, as far as the three agree."""
    low, high = math.ceil(schema.get("minLength", 0)), schema.get("maxLength")
    if low > MAX_LENGTH:
        raise Unmakeable(f"minLength {low} is more than {MAX_LENGTH}")
    if "pattern" in schema:
        pattern = schema["pattern"]
        made = matching(pattern, random, reach=max(3, low))
        return made if pattern.endswith("$") else made.ljust(low, "x")
    if schema.get("format") in FORMATS:
        return FORMATS[schema["format"]](random)
    made = " ".join(random.choices(WORDS, k=random.randint(1, 4)))
    while len(made) < low:
        made += f" {_word(random)}"
    return made if high is None else made[: math.floor(high)].rstrip().ljust(low, "x")


def integer(schema: Mapping[str, Any], random: Random) -> int:
    step = Decimal(str(schema.get("multipleOf", 1)))
    # A multiple of 0.5 that is an integer is a multiple of 1; of 1.5, of 3.
    while step != step.to_integral_value():
        step *= 2 if (step * 2) % 1 == 0 else 10
    return int(_multiple(schema, random, step))


def number(schema: Mapping[str, Any], random: Random) -> float:
    if "multipleOf" in schema:
        return float(_multiple(schema, random, Decimal(str(schema["multipleOf"]))))
    low, high = _bounds(schema)
    made = round(random.uniform(float(low), float(high)), 2)
    inside = low <= made <= high and made not in (
        schema.get("exclusiveMinimum"),
        schema.get("exclusiveMaximum"),
    )
    return made if inside else float((low + high) / 2)


def _multiple(schema: Mapping[str, Any], random: Random, step: Decimal) -> Decimal:
    """A multiple of `step` between the bounds."""
    low, high = _bounds(schema, least=step)
    first, last = math.ceil(low / step), math.floor(high / step)
    if "exclusiveMinimum" in schema and first * step <= Decimal(str(schema["exclusiveMinimum"])):
        first += 1
    if "exclusiveMaximum" in schema and last * step >= Decimal(str(schema["exclusiveMaximum"])):
        last -= 1
    if first > last:
        raise Unmakeable(f"no multiple of {step} lies between {low} and {high}")
    return random.randint(first, last) * step


def _bounds(schema: Mapping[str, Any], least: Decimal = Decimal(1)) -> tuple[Decimal, Decimal]:
    """The bounds; a side that is open lies a usual span, or some steps of `least`, away from the other."""
    span = max(Decimal(USUAL_SPAN), least * 3)
    lows = [Decimal(str(schema[key])) for key in ("minimum", "exclusiveMinimum") if key in schema]
    highs = [Decimal(str(schema[key])) for key in ("maximum", "exclusiveMaximum") if key in schema]
    usual_low = Decimal(0) if not highs or min(highs) > 0 else min(highs) - span
    low = max(lows, default=usual_low)
    high = min(highs, default=low + span)
    if low > high:
        raise Unmakeable(f"the minimum {low} lies above the maximum {high}")
    return low, high
