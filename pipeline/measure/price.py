"""What a reply costs, in USD: token counts times the price file (configs/prices.yaml).

The file is read elsewhere; here its content is checked once and folded into one flat rate table, so that pricing a
reply is two dictionary look-ups and five products.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pipeline.errors import ConfigInvalid
from pipeline.records import Usage

REHEARSAL = "rehearsal/"
"""`rehearsal/<model>` is the embedded server rehearsing <model>: its replies are priced as if they were the model's."""

_TOKENS_PER_UNIT = 1_000_000

_Amount = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)]


@dataclass(frozen=True, slots=True)
class Rates:
    """USD per million tokens, by kind of token, for prompts up to a length."""

    prompt_tokens_max: int | None
    """The longest prompt (input, cache reads and cache writes of one request) at these rates; None: any."""
    input: float
    output: float
    cache_write_5m: float
    cache_write_1h: float
    cache_read: float

    def admits(self, prompt_tokens: float) -> bool:
        return self.prompt_tokens_max is None or prompt_tokens <= self.prompt_tokens_max

    def cost(self, usage: Usage) -> float:
        """USD before multipliers. Thinking tokens are part of the output tokens and priced with them."""
        return (
            usage.input_tokens * self.input
            + usage.output_tokens * self.output
            + usage.cache_write_5m_tokens * self.cache_write_5m
            + usage.cache_write_1h_tokens * self.cache_write_1h
            + usage.cache_read_tokens * self.cache_read
        ) / _TOKENS_PER_UNIT


@dataclass(frozen=True, slots=True)
class Prices:
    """A price file, checked."""

    as_of: str
    """The day on which the prices were put together, ISO 8601."""
    models: Mapping[str, tuple[Rates, ...]]
    """Model name or alias → its bands, shortest prompts first; the last has no upper end."""
    batch: float
    """What a batch reply costs as a share of the same reply online."""
    geo: Mapping[str, float]
    """Inference geography → multiplier; one that is not here costs what the model costs."""

    @classmethod
    def parse(cls, data: Mapping[str, object], where: str) -> Self:
        """The prices in `data`, the content of a price file; `where` names the file in messages.

        Raises ConfigInvalid with every fault by its path in the file.
        """
        try:
            sheet = _Sheet.model_validate(data)
        except ValidationError as error:
            raise _invalid(where, [_fault(found["loc"], found["msg"]) for found in error.errors()]) from error
        writes = sheet.multipliers
        models: dict[str, tuple[Rates, ...]] = {}
        twice: list[str] = []
        for name, entry in sheet.models.items():
            bands = tuple(band.rates(writes.cache_write_5m, writes.cache_write_1h) for band in entry.all_bands)
            for called in (name, *entry.aliases):
                if called in models:
                    twice.append(_fault(("models", name), f"the name {called!r} is priced twice"))
                models[called] = bands
        if twice:
            raise _invalid(where, twice)
        return cls(str(sheet.as_of), models, writes.batch, writes.geo)

    def known(self, model: str) -> bool:
        """Whether replies of this model can be priced."""
        return model.removeprefix(REHEARSAL) in self.models

    def cost_usd(self, model: str, usage: Usage, *, tier: str = "standard", geo: str | None = None) -> float | None:
        """What one reply costs, in USD; None for a model without a price.

        `usage` is that of a single reply: the length of its prompt chooses the band, so the cost of a sum is not the
        sum of the costs. `tier` and `geo` are the reply's `service_tier` and `inference_geo`. A batch costs half,
        whatever else applies (platform.claude.com, about-claude/pricing, as of October 2026); a priority reply is
        priced as a standard one, since what was committed for it is not known here.
        """
        bands = self.models.get(model.removeprefix(REHEARSAL))
        if bands is None:
            return None
        cost = _band(bands, usage.prompt_tokens).cost(usage)
        if tier == "batch":
            cost *= self.batch
        return cost if geo is None else cost * self.geo.get(geo, 1.0)

    def worst_usd(self, model: str, most: Usage) -> float | None:
        """The most that one request can cost, in USD, if none of its counts is more than in `most`; None without a price.

        Where its prompt ends below what `most` allows, it may fall into any shorter band, and it may be answered in any
        geography: the dearest of all that is counted. A tier is never dearer than the standard one.
        """
        bands = self.models.get(model.removeprefix(REHEARSAL))
        if bands is None:
            return None
        last = bands.index(_band(bands, most.prompt_tokens))
        return max(band.cost(most) for band in bands[: last + 1]) * max([1.0, *self.geo.values()])

    def rates(self, model: str) -> tuple[Rates, ...]:
        """The model's bands, shortest prompts first; none without a price."""
        return self.models.get(model.removeprefix(REHEARSAL), ())


def _band(bands: tuple[Rates, ...], prompt_tokens: int) -> Rates:
    """The first that admits the prompt; the last admits any."""
    return next(band for band in bands if band.admits(prompt_tokens))


def _invalid(where: str, faults: list[str]) -> ConfigInvalid:
    return ConfigInvalid(
        f"{where}: not a price file that can be used", faults=faults, todo=f"mend {where}, then run the same command again"
    )


def _fault(path: tuple[int | str, ...], message: str) -> str:
    return f"{'.'.join(map(str, path)) or 'the whole file'}: {message.removeprefix('Value error, ')}"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Price(_Strict):
    input: _Amount
    output: _Amount
    cache_read: _Amount
    # The same multiple of input for every model, so they may be left out; the price of a read differs from model to model.
    cache_write_5m: _Amount | None = None
    cache_write_1h: _Amount | None = None
    prompt_tokens_max: Annotated[int, Field(gt=0, strict=True)] | None = None

    def rates(self, write_5m: float, write_1h: float) -> Rates:
        return Rates(
            prompt_tokens_max=self.prompt_tokens_max,
            input=self.input,
            output=self.output,
            cache_write_5m=self.input * write_5m if self.cache_write_5m is None else self.cache_write_5m,
            cache_write_1h=self.input * write_1h if self.cache_write_1h is None else self.cache_write_1h,
            cache_read=self.cache_read,
        )


class _Model(_Strict):
    price: _Price | None = None
    bands: tuple[_Price, ...] = ()
    aliases: tuple[str, ...] = ()
    # For people: where the figures come from.
    source: str
    date: str | datetime.date
    confidence: Literal["official", "derived", "third_party"]
    note: str | None = None

    @property
    def all_bands(self) -> tuple[_Price, ...]:
        return self.bands if self.price is None else (self.price,)

    @model_validator(mode="after")
    def _has_a_price_for_every_prompt(self) -> Self:
        if (self.price is None) == (not self.bands):
            raise ValueError("give either price or bands")
        *bounded, last = (band.prompt_tokens_max for band in self.all_bands)
        if last is not None:
            raise ValueError("the price of the longest prompts must have no prompt_tokens_max")
        ends = [end for end in bounded if end is not None]
        if len(ends) < len(bounded) or ends != sorted(set(ends)):
            raise ValueError("bands must have a rising prompt_tokens_max, all but the last")
        return self


class _Multipliers(_Strict):
    batch: _Amount
    cache_write_5m: _Amount
    cache_write_1h: _Amount
    geo: Mapping[str, _Amount]


class _Sheet(_Strict):
    as_of: str | datetime.date
    currency: Literal["USD"]
    unit: Literal["per_million_tokens"]
    multipliers: _Multipliers
    models: Mapping[str, _Model]
