"""How often the true cost of a job lies in the interval that `pipeline plan` states for it: a campaign over seeds.

Each seed is another corpus, of lengths as they are found (log-normal), asked of the embedded server's rehearsal model in this
process, through the very request bodies and prices of a run. The first rows are bought, the rest is estimated from them, then
bought too. `python -m tests.plan_coverage --seeds 1000` for a long campaign.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.call.budget import Bound
from pipeline.call.form import form
from pipeline.call.wire import Shape, read, shape
from pipeline.commands.prices import shipped_prices
from pipeline.local import messages
from pipeline.local.rehearsal import Rehearsal
from pipeline.local.reply import Heading, message
from pipeline.measure.estimate import Interval, Sizes, answer_size, output_tokens
from pipeline.measure.forecast import Asking, Bought, assumed, learned
from pipeline.records import Constant, Prompt, Reply, Text, Turn
from pipeline.schema.load import Schema, load
from pipeline.settings import Model

MODEL = "claude-haiku-5-5"
PRICES = shipped_prices()
WORDS = Path(__file__).read_text("utf-8").split()

SCHEMAS: tuple[dict[str, Any], ...] = (
    {"label": {"enum": ["positive", "negative", "mixed"]}},
    {"label": {"enum": ["yes", "no"]}, "reason": {"type": "string"}, "score": {"type": "number"}},
    {"topics": {"type": "array", "items": {"type": "string"}}, "quote": {"type": "string"}, "urgent": {"type": "boolean"}},
)


@dataclass(frozen=True, slots=True)
class Trial:
    stated: Interval
    true_usd: float
    assumed: Interval
    """What was stated before a row was bought, from counted tokens."""

    @property
    def holds(self) -> bool:
        return self.stated.low <= self.true_usd <= self.stated.high

    @property
    def assumption_holds(self) -> bool:
        return self.assumed.low <= self.true_usd <= self.assumed.high

    @property
    def width(self) -> float:
        """Of the interval, as a share of the truth."""
        return (self.stated.high - self.stated.low) / self.true_usd


def trial(seed: int, *, rows: int, bought: int) -> Trial:
    chance = random.Random(seed)  # noqa: S311 no secret
    properties = SCHEMAS[seed % len(SCHEMAS)]
    schema = load(
        json.dumps({"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}),
        "schema.json",
    )
    asked = shape(Constant("Label the review. " * (1 + seed % 5)), form(Model(name=MODEL), schema))
    size = Bound.of(asked.fixed, asked.messages, "5m")
    prompts = [_prompt(chance, position) for position in range(rows)]
    replies = asyncio.run(_answers(Rehearsal(seed), asked, prompts))
    took = [
        Bought(size.usage(asked.body(prompt)).input_tokens, reply.usage, 1)
        for prompt, reply in zip(prompts, replies, strict=True)
    ]
    costs = [PRICES.cost_usd(MODEL, reply.usage) or 0.0 for reply in replies]
    asking = Asking(MODEL, "5m", PRICES, 512)
    sizes = Sizes.of([one.size for one in took[bought:]])
    stated = learned(took[:bought], sizes, asking).online_usd
    before = _before(took[:bought], sizes, schema, asking)
    assert stated is not None
    return Trial(stated, sum(costs[bought:]), before)


def _before(sample: list[Bought], sizes: Sizes, schema: Schema, asking: Asking) -> Interval:
    pairs = [(one.size, float(one.usage.input_tokens)) for one in sample]
    output = output_tokens(answer_size(schema.document), thinks=False, max_tokens=1024)
    stated = assumed(pairs, sizes, 0, output, asking).online_usd
    assert stated is not None
    return stated


def _prompt(chance: random.Random, position: int) -> Prompt:
    words = chance.choices(WORDS, k=max(1, int(chance.lognormvariate(3.5, 0.9))))
    return Prompt(position, str(position), Constant(""), (Turn("user", (Text(" ".join(words)),)),))


async def _answers(model: Rehearsal, asked: Shape, prompts: list[Prompt]) -> list[Reply]:
    found: list[Reply] = []
    for prompt in prompts:
        question = messages.question(json.dumps(asked.body(prompt)).encode(), messages.PRESENT_VERSION)
        parts = [part async for part in model.reply(question)]
        heading = Heading("msg", "toolu", MODEL, question.form)
        body = json.dumps(message(heading, parts)).encode()
        reply = read(body, asked.form, request_id=None, latency_s=0.0, at=0.0, attempts=1)
        assert isinstance(reply, Reply)
        found.append(reply)
    return found


def campaign(seeds: int, *, rows: int, bought: int) -> list[Trial]:
    return [trial(seed, rows=rows, bought=bought) for seed in range(seeds)]


def told(trials: list[Trial]) -> str:
    held, assumption = sum(one.holds for one in trials), sum(one.assumption_holds for one in trials)
    widths = sorted(one.width for one in trials)
    return (
        f"{len(trials)} seeds: the true cost lay in the stated 95 % interval in {held}, whose width was {widths[0]:.1%} to "
        f"{widths[-1]:.1%} of it, {widths[len(widths) // 2]:.1%} in the middle; in the range assumed beforehand in {assumption}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--bought", type=int, default=20)
    options = parser.parse_args()
    sys.stdout.write(told(campaign(options.seeds, rows=options.rows, bought=options.bought)) + "\n")


if __name__ == "__main__":
    main()
