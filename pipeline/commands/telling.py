"""Findings → the report's sections: what is said of each figure, and in which order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.commands.evaluation import Evaluation
from pipeline.commands.evaluation_blocks import Room, evaluation_blocks, intervals
from pipeline.commands.findings import Findings, Seen
from pipeline.measure.bill import bill
from pipeline.measure.classes import Classes
from pipeline.measure.distribution import Distribution
from pipeline.measure.gold import Agreed
from pipeline.measure.price import Rates
from pipeline.measure.reasons import Trouble
from pipeline.measure.spread import Spread
from pipeline.records import JSON
from pipeline.show.chart import figure
from pipeline.show.page import embedded
from pipeline.show.report import Bar, Bars, Block, Course, Example, Facts, Fold, Histogram, Matrix, Report, Section, Table, Tile
from pipeline.show.text import count, dollars, duration, moment, percent

LABELS = 30
"""Of a column, the most frequent first where there are more."""
GROUPS = 12
PER_GROUP = 8
DISAGREEMENTS = 20
EXAMPLES_BYTES = 3_000_000
"""Of the rows to look at; the rest of a report is far smaller."""
_UNITS = {"text": "characters", "list": "items"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What is known of the run beside its rows."""

    name: str
    life: str
    """Whether it runs, when it ended, in words."""
    made: str
    warnings: Sequence[str]
    by: str | None
    prefix: str
    """Before the names of answers, as in the table."""
    rates: Sequence[Rates]
    """Of the model; none where it has no price."""
    last: Mapping[str, JSON]
    """summary.json; empty where no run has ended."""
    facts: Sequence[tuple[str, str]]
    """What was run."""
    config: str
    parts: Sequence[tuple[str, str]]
    """Config key, digest."""
    trouble: Trouble
    evaluation: Evaluation | None = None


def told(found: Findings, run: Told) -> Report:
    rows = sum(found.statuses.values())
    answered = sum(number for status, number in found.statuses.items() if status.answered)
    missing = rows - answered
    with_answer = "each with an answer" if not missing else f"{count(answered)} with an answer, {count(missing)} without"
    sections = [
        Section("Outcome", [*_outcome(found, rows)], brief=True),
        Section("Answers", [*_answers(found.distributions, run.by, run.prefix)], brief=True),
        *_evaluation(run.evaluation),
        Section("Agreement with labels in the input", [*_agreement(found.agreements, run.prefix)], AGREEMENT, brief=True),
        Section("Cost", [*_cost(found, run)], COST, brief=True),
        Section("Speed", [*_speed(found)], brief=True),
        Section("Retries and limits", [*_retries(found, run.trouble)]),
        Section("Rows without an answer", [*_reasons(found)], brief=True),
        Section("What was run", [*_what(run)]),
    ]
    examples, left_out = _examples(found)
    return Report(
        name=run.name,
        headline=f"{count(rows)} rows, {with_answer}. {run.life}",
        made=run.made,
        warnings=run.warnings,
        tiles=[*_tiles(found, run, rows, answered)],
        sections=[section for section in sections if section.blocks],
        examples=examples,
        examples_note=_examples_note(found, answered, left_out),
    )


AGREEMENT = (
    "Input columns whose values are labels of the schema count as gold. Rows without an answer are left out of the share, and "
    "counted beside it."
)
COST = (
    "What the rows of the table have cost since they were first asked, over all runs. The sum is exact; its parts are shared "
    "out at list prices."
)


def _evaluation(found: Evaluation | None) -> Iterator[Section]:
    if found is not None:
        title = "Against another run" if found.gold is None else "Against gold labels"
        yield Section(title, evaluation_blocks(found, Room(DISAGREEMENTS, LABELS, LABELS)), intervals(found), brief=True)


def _tiles(found: Findings, run: Told, rows: int, answered: int) -> Iterator[Tile]:
    yield Tile("rows", count(rows), f"{count(found.reused)} took an answer paid for elsewhere" if found.reused else "")
    yield Tile(
        "with an answer", percent(answered, rows), f"{count(rows - answered)} without" if answered < rows else "all of them"
    )
    thousand = None if found.cost_usd is None or not rows else found.cost_usd / rows * 1000
    yield Tile(
        "cost",
        "unknown" if found.cost_usd is None else dollars(found.cost_usd),
        "" if thousand is None else f"{dollars(thousand)} a thousand rows",
    )
    if found.latency is not None:
        yield Tile(
            "latency, median", _seconds(found.latency.quantiles[0.5]), f"95% within {_seconds(found.latency.quantiles[0.95])}"
        )
    seconds, rate = run.last.get("seconds"), run.last.get("rows_per_second")
    if isinstance(seconds, (int, float)) and isinstance(rate, (int, float)):
        yield Tile("last run", duration(seconds), f"{figure(rate)} rows/s")
    mended = sum(number for status, number in found.statuses.items() if status == "ok_repaired")
    yield Tile("mended", percent(mended, rows), f"{count(mended)} rows, nothing lost")
    yield from _accuracies(run.evaluation)


def _accuracies(found: Evaluation | None) -> Iterator[Tile]:
    """Of the first columns of classes."""
    judged = [] if found is None else [one for one in found.labels if isinstance(one.figures, Classes)]
    for one in judged[:2]:
        assert isinstance(one.figures, Classes), "no other is in the list"
        share = one.figures.accuracy
        if share.value is not None and share.low is not None and share.high is not None:
            yield Tile(
                f"{one.answer} right",
                percent(share.hits, share.of),
                f"{share.low:.0%} to {share.high:.0%}, of {count(share.of)} gold rows",
            )


def _outcome(found: Findings, rows: int) -> Iterator[Block]:
    ranked = sorted(found.statuses.items(), key=lambda item: -item[1])
    bars = [Bar(status.value, number, count(number), percent(number, rows)) for status, number in ranked if number]
    yield Bars("Rows by status", bars, tone="status")
    if found.repairs:
        ranked_repairs = sorted(found.repairs.items(), key=lambda item: (-item[1], item[0]))
        yield Bars(
            "Mends",
            [Bar(name, number, count(number), percent(number, rows)) for name, number in ranked_repairs],
            "Rows with such a mend, of all rows. docs/output.md says what each does.",
        )


def _answers(distributions: Sequence[Distribution], by: str | None, prefix: str) -> Iterator[Block]:
    for one in (replace(one, name=prefix + one.name) for one in distributions):
        empty = f"{count(one.empty)} answers give none. " if one.empty else ""
        if one.labels is not None:
            yield _labels(one, empty)
        elif one.spread is not None:
            yield _numbers(one, one.spread, empty)
        else:
            yield Bars(
                one.name,
                [
                    Bar(name, number, count(number), percent(number, one.answered + one.empty))
                    for name, number in (("given", one.answered), ("none", one.empty))
                ],
                "An object, or values of several types: counted, not drawn.",
            )
        if one.labels is not None and one.kind == "list" and one.spread is not None:
            yield _numbers(one, one.spread, "")
        if by is not None and one.groups and one.kind != "other":
            yield _by_group(one, by)


def _labels(one: Distribution, empty: str) -> Bars:
    labels = one.labels or {}
    ranked = sorted(labels.items(), key=lambda item: -item[1])
    if one.kind == "number":
        ranked = sorted(labels.items(), key=lambda item: float(item[0]))
    total = sum(labels.values())
    bars = [Bar(name, number, count(number), percent(number, total)) for name, number in ranked[:LABELS]]
    rest = ranked[LABELS:]
    if rest:
        number = sum(number for _, number in rest)
        bars.append(Bar(f"({count(len(rest))} more)", number, count(number), percent(number, total)))
    of = "Share of items, all lists together." if one.kind == "list" else ""
    mean = f"Mean {figure(one.spread.mean)}. " if one.kind == "number" and one.spread is not None else ""
    return Bars(one.name, bars, f"{mean}{empty}{of}".strip())


def _numbers(one: Distribution, spread: Spread, empty: str) -> Histogram:
    unit = _UNITS.get(one.kind, "")
    title = {"text": f"{one.name}, length", "list": f"{one.name}, number of items"}.get(one.kind, one.name)
    marks = [("5%", spread.quantiles[0.05]), ("median", spread.quantiles[0.5]), ("95%", spread.quantiles[0.95])]
    return _histogram(
        title, spread, marks, unit, f"Mean {figure(spread.mean)}, from {figure(spread.low)} to {figure(spread.high)}. {empty}"
    )


def _histogram(title: str, spread: Spread, marks: Sequence[tuple[str, float]], unit: str, note: str) -> Histogram:
    drawn = " Drawn from a random sample of 20,000." if spread.sampled else ""
    beyond = spread.high if spread.beyond else None
    return Histogram(title, spread.edges, spread.counts, marks, unit, f"{note.strip()}{drawn}", beyond)


def _by_group(one: Distribution, by: str) -> Table:
    """The largest groups, and of labels the most frequent."""
    groups = one.groups[:GROUPS]
    left = len(one.groups) - len(groups)
    note = f"{count(left)} smaller groups are not shown." if left > 0 else ""
    names = ["(other values)" if group.name is None else group.name or "(empty)" for group in groups]
    if one.labels is not None:
        frequent = sorted(one.labels, key=lambda name: -(one.labels or {})[name])[:PER_GROUP]
        labels = [name for name in one.labels if name in frequent]
        if one.kind == "number":
            labels.sort(key=float)
        rows = [
            [
                name,
                count(group.answered),
                *(percent(group.labels.get(label, 0), sum(group.labels.values())) for label in labels),
            ]
            for name, group in zip(names, groups, strict=True)
        ]
        return Table(f"{one.name} by {by}", [by, "answers", *labels], rows, frozenset(range(1, 2 + len(labels))), note)
    unit = f", {_UNITS[one.kind]}" if one.kind in _UNITS else ""
    rows = [
        [
            name,
            count(group.answered),
            *(
                [figure(group.spread.mean), *(figure(group.spread.quantiles[at]) for at in (0.25, 0.5, 0.75))]
                if group.spread
                else [""] * 4
            ),
        ]
        for name, group in zip(names, groups, strict=True)
    ]
    return Table(
        f"{one.name} by {by}{unit}", [by, "answers", "mean", "25%", "median", "75%"], rows, frozenset(range(1, 6)), note
    )


def _agreement(agreements: Sequence[Agreed], prefix: str) -> Iterator[Block]:
    for one in agreements:
        low, high = one.interval or (0.0, 0.0)
        share = (
            f"{percent(one.agreeing, one.answered)} (95% interval {low:.1%} to {high:.1%}, Wilson)"
            if one.answered
            else "no row"
        )
        labels = list(dict.fromkeys([*(gold for gold, _ in one.confusion), *(given for _, given in one.confusion)]))[:LABELS]
        labels.sort()
        missing = f"{count(one.labelled - one.answered)} of {count(one.labelled)} labelled rows have no answer."
        note = f"{count(one.agreeing)} of {count(one.answered)} agree: {share}. {missing}"
        yield Matrix(f"{prefix}{one.property_name} against the column {one.column}", labels, labels, one.confusion, note)


def _cost(found: Findings, run: Told) -> Iterator[Block]:
    items = bill(found.usage, found.cost_usd, run.rates)
    if all(item.usd is not None for item in items):
        known = [(item, item.usd or 0.0) for item in items]
        whole = sum(usd for _, usd in known)
        yield Bars(
            "Dollars by kind of token",
            [
                Bar(item.name, usd, dollars(usd), percent(round(usd * 1e9), round(whole * 1e9)))
                for item, usd in known
                if item.tokens
            ],
            f"{dollars(found.cost_usd)} in all.",
        )
    tokens = sum(item.tokens for item in items)
    prompt = found.usage.prompt_tokens
    hits = f"{percent(found.usage.cache_read_tokens, prompt)} of what was sent came out of the cache." if prompt else ""
    yield Bars(
        "Tokens by kind",
        [Bar(item.name, item.tokens, count(item.tokens), percent(item.tokens, tokens)) for item in items if item.tokens],
        hits,
    )


def _speed(found: Findings) -> Iterator[Block]:
    if found.latency is not None:
        marks = [
            ("median", found.latency.quantiles[0.5]),
            ("95%", found.latency.quantiles[0.95]),
            ("99%", found.latency.quantiles[0.99]),
        ]
        ends = f"mean {_seconds(found.latency.mean)}, longest {_seconds(found.latency.high)}"
        note = f"{count(found.latency.number)} replies, request to reply; {ends}."
        yield _histogram("Latency of replies", found.latency, marks, "s", note)
    line = found.timeline
    if line is not None and len(line.replies) > 1:
        sittings = (
            f"The last of {count(line.sittings)} sittings; half an hour without a reply divides them."
            if line.sittings > 1
            else ""
        )
        rates = [number / line.width_s for number in line.replies]
        yield Course("Replies per second", line.start, line.width_s, rates, "replies/s", sittings)
        yield Course("Mean latency over time", line.start, line.width_s, line.latency_s, "s", sittings)


def _retries(found: Findings, trouble: Trouble) -> Iterator[Block]:
    for title, numbers, note in (
        (
            "Requests a row took",
            found.attempts,
            "Rows bought on their own account; repeats after errors and limits are among them.",
        ),
        (
            "Questions a row took",
            found.asks,
            "More than the turns of the prompt: the answer was rejected, and asked for again.",
        ),
    ):
        total = sum(numbers.values())
        if total:
            bars = [
                Bar(str(number), rows, count(rows), percent(rows, total)) for number, rows in sorted(numbers.items())[:LABELS]
            ]
            yield Bars(title, bars, note)
    if trouble.retries:
        total = trouble.retries.total()
        ranked = trouble.retries.most_common(LABELS)
        cut = " A run had more of them than its log takes." if trouble.cut else ""
        rows = [(reason, count(number), percent(number, total)) for reason, number in ranked]
        waited = f"after waits of {duration(trouble.waited_s)} in all"
        note = f"{count(total)} attempts were made again, {waited}; log.jsonl tells each.{cut}"
        yield Table("Why requests were made again", ("reason", "attempts", "share"), rows, frozenset({1, 2}), note)
    for title, lines in (("Why runs stopped", trouble.stops), ("Notices of the runs", trouble.notices)):
        if lines:
            yield Fold(title, str(len(lines)), table=Table("", ("when", "what"), lines))


def _reasons(found: Findings) -> Iterator[Block]:
    for reason in found.reasons:
        rows = [(failed.key, failed.error) for failed in reason.first]
        more = reason.rows - len(rows)
        note = f"and {count(more)} more: the output table has all of them" if more else ""
        table = Table("", ("row", "error"), rows, note=note)
        yield Fold(f"{reason.status.value}: {reason.reason}", count(reason.rows), table=table)


def _what(run: Told) -> Iterator[Block]:
    yield Facts(run.facts)
    if run.config:
        yield Fold("The config, with every value", "{ }", text=run.config)
    if run.parts:
        yield Fold(
            "Digests of what every request was made of",
            str(len(run.parts)),
            table=Table("", ("config key", "blake2b"), run.parts),
        )


def _examples(found: Findings) -> tuple[list[Example], int]:
    """As many as may be, those without an answer first; given in input order. And how many did not fit."""
    ranked = sorted(found.rows, key=lambda row: row.outcome.status.answered)
    kept: list[tuple[int, Example]] = []
    room = EXAMPLES_BYTES
    for row in ranked:
        example = _example(row, found.raws.get(row.outcome.position))
        room -= len(embedded(example).encode())
        if room < 0:
            break
        kept.append((row.outcome.position, example))
    kept.sort(key=lambda item: item[0])
    return [example for _, example in kept], len(ranked) - len(kept)


def _example(row: Seen, raw: str | None) -> Example:
    outcome = row.outcome
    took = [
        f"{outcome.asks} {'question' if outcome.asks == 1 else 'questions'}",
        f"{outcome.attempts} {'request' if outcome.attempts == 1 else 'requests'}",
        f"{count(outcome.usage.prompt_tokens)} tokens in, {count(outcome.usage.output_tokens)} out",
        dollars(outcome.cost_usd),
        *([_seconds(outcome.latency_s)] if outcome.latency_s is not None else []),
        *([f"mends: {', '.join(outcome.repairs)}"] if outcome.repairs else []),
        *(["the answer of an identical request"] if outcome.reused else []),
        *([moment(outcome.answered_at)] if outcome.answered_at is not None else []),
    ]
    return Example(
        key=row.key,
        status=outcome.status.value,
        inputs=row.inputs,
        answer=row.answer,
        error=outcome.error,
        raw=outcome.raw if outcome.raw is not None else raw,
        facts=" · ".join(took),
    )


def _examples_note(found: Findings, answered: int, left_out: int) -> str:
    failed = sum(reason.rows for reason in found.reasons)
    shown = sum(row.outcome.status.answered for row in found.rows)
    without = len(found.rows) - shown
    told = [f"{count(shown)} of {count(answered)} rows with an answer, drawn at random, the same ones each time"]
    if failed:
        told.append(f"{count(without)} of {count(failed)} without one")
    if left_out:
        told.append(f"{count(left_out)} of these were too long for this file and were left out")
    return f"{'; '.join(told)}. Long texts are cut, and say so."


def _seconds(seconds: float) -> str:
    return f"{figure(seconds)} s" if seconds < 60 else duration(seconds)
