"""`pipeline evaluate`: how good the answers are, held against gold labels or another run; which rows to label next."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pipeline.commands import drawing, remembered
from pipeline.commands.evaluation import Evaluation, Yardstick, columns_of, evaluated, key_of, labels_of, published
from pipeline.commands.evaluation_blocks import Room, evaluation_blocks, intervals
from pipeline.commands.wiring import read_job
from pipeline.errors import UsageError
from pipeline.show.blocks import Block, blocks_text
from pipeline.show.terminal import terminal_blocks


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    yardstick: Yardstick
    show: int = 10
    sample: int | None = None
    seed: int = 0
    out: Path | None = None
    json: bool = False


def evaluate(config: Path, overrides: Sequence[str], options: Options) -> str:
    """As text for a terminal, or one JSON object. UsageError, ConfigInvalid, InputUnreadable say what is wrong."""
    _refuse_senseless(options)
    job, yardstick = read_job(config, overrides), options.yardstick
    if options.sample is not None and options.out is not None:
        columns, on = columns_of(job), key_of(job, yardstick.on)
        table = published(job, config, on, yardstick)
        chosen = labels_of(yardstick.labels, columns, list(columns))
        names = [label.column for label in chosen] if yardstick.labels else []
        plan = drawing.Plan(on, columns, names, yardstick.confidence, options.sample, options.seed, options.out)
        return drawing.draw(table, plan, str(config), as_json=options.json)
    found = evaluated(job, config, yardstick)
    if yardstick.gold is not None:
        remembered.keep(job, yardstick)
    if options.json:
        return json.dumps(asdict(_cut(found, options.show)), ensure_ascii=False, allow_nan=False)
    blocks = terminal_blocks(evaluation_blocks(found, Room(options.show)))
    return blocks_text([*blocks, Block(intervals(found))])


def _refuse_senseless(options: Options) -> None:
    if (options.sample is None) != (options.out is None):
        raise UsageError("--sample N and --out FILE.csv belong together: how many rows to label, and where to write them")
    if options.sample is not None and (options.yardstick.gold or options.yardstick.against):
        raise UsageError("--sample only draws rows to label; evaluate with --gold or --against in a command of its own")
    if options.sample is None and options.yardstick.gold is None and options.yardstick.against is None:
        raise UsageError(
            "nothing to hold the answers against",
            todo="name gold labels (--gold FILE) or another table (--against TABLE), or draw rows to label (--sample)",
        )
    if options.yardstick.gold is None and (
        options.yardstick.prevalence or options.yardstick.by or (options.yardstick.confidence and options.sample is None)
    ):
        raise UsageError("--prevalence, --by and --confidence need gold labels: --gold FILE")


def _cut(found: Evaluation, show: int) -> Evaluation:
    """With no more rows than asked for."""
    return replace(
        found,
        labels=[replace(one, disagreements=one.disagreements[:show]) for one in found.labels],
        comparisons=[replace(one, differing=one.differing[:show]) for one in found.comparisons],
    )
