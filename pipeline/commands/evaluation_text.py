"""What `pipeline evaluate` found, as blocks for a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pipeline.commands.judging import Compared, Judged
from pipeline.commands.shares import Prevalences
from pipeline.measure.calibration import Calibration
from pipeline.measure.classes import Classes
from pipeline.measure.extraction import Extraction
from pipeline.measure.interval import Estimate, Share
from pipeline.measure.numeric import Numbers
from pipeline.measure.prevalence import Powered
from pipeline.show.blocks import Block
from pipeline.show.text import count

if TYPE_CHECKING:
    from pipeline.commands.evaluate import Evaluation

MOST_CLASSES = 20
WIDEST_MATRIX = 6
NAMED = 5


def evaluation_blocks(found: Evaluation, show: int) -> list[Block]:
    blocks = [_joined(found)]
    for judged in found.labels:
        blocks += _judged(judged, show)
    for compared in found.comparisons:
        blocks += _compared(compared, show)
    blocks += [_prevalence(one) for one in found.prevalences]
    return [*blocks, Block(f"95% intervals in [ ]. {found.intervals}")]


def _joined(found: Evaluation) -> Block:
    facts = [("table", found.table, f"{count(found.table_rows)} rows")]
    notes = _odd("the table", found.keyless, found.repeated, found.conflicting)
    if found.gold is not None:
        facts += [
            ("gold", found.gold, f"{count(found.gold_rows)} rows"),
            ("", f"with the same {found.on} in both", f"{count(found.matched)} rows"),
            ("", "in the table only", f"{count(found.unlabelled)} rows"),
            ("", "in the gold file only", f"{count(len(found.missing))} rows"),
        ]
        notes += _odd("the gold file", found.gold_keyless, found.gold_repeated, found.gold_conflicting)
        if any(one.by_stratum for one in found.prevalences):
            notes.append(
                "gold rows were drawn by stratum: accuracy and the like are those of these rows, in which rare and unsure "
                "answers are more frequent than in the table; the shares below are those of the table"
            )
        if found.missing:
            notes.append(f"not in the table: {_some(found.missing)}")
        if not found.matched:
            notes.append(f"no row of the gold file is in the table: is {found.on} the same kind of key in both?")
    if found.against is not None:
        facts += [
            ("against", found.against, f"{count(found.against_rows)} rows"),
            ("", "in this table only", f"{count(found.table_only)} rows"),
            ("", "in the other table only", f"{count(found.against_only)} rows"),
        ]
        notes += _odd("the other table", 0, 0, found.against_conflicting)
    return Block("evaluation", (), facts, notes, left=2)


def _odd(what: str, keyless: int, repeated: int, conflicting: Sequence[str]) -> list[str]:
    told = []
    if keyless:
        told.append(f"{what} has {count(keyless)} rows without a key: left out")
    if repeated:
        told.append(f"{what} has {count(repeated)} rows that repeat another: each counts once")
    if conflicting:
        told.append(f"{what} says different things of {count(len(conflicting))} keys, all left out: {_some(conflicting)}")
    return told


def _some(keys: Sequence[str]) -> str:
    return ", ".join(keys[:NAMED]) + (f" and {count(len(keys) - NAMED)} more" if len(keys) > NAMED else "")


def _judged(judged: Judged, show: int) -> Iterator[Block]:
    title = judged.answer if judged.answer == judged.gold else f"{judged.answer} = {judged.gold}"
    notes = [f"rows of the gold file without a label: {count(judged.unlabelled)}"] if judged.unlabelled else []
    if judged.unknown:
        strange = ", ".join(f"{label} ({count(rows)})" for label, rows in list(judged.unknown.items())[:NAMED])
        notes.append(f"gold labels that the schema does not have, so that no answer can be right: {strange}")
    match judged.figures:
        case None:
            yield Block(title, notes=["no row has a gold label", *notes])
            return
        case Classes() as figures:
            yield from _classes(title, figures, notes)
        case Numbers() as figures:
            yield _numbers(title, figures, notes)
        case Extraction() as figures:
            yield Block(title, ("field", "coverage", "exact", "normalised"), list(_extraction("(whole)", figures)), notes)
            yield from _elements(title, figures)
    if judged.calibration is not None:
        yield _calibration(title, judged.calibration, judged.unsure)
    elif judged.unsure:
        yield Block(f"{title}: no answer has a confidence from 0 to 1 ({count(judged.unsure)} rows)")
    if shown := judged.disagreements[:show]:
        measured = "error" if shown[0].error is not None else "confidence"
        last = [one.confidence if one.error is None else one.error for one in shown]
        known = any(one is not None for one in last)
        yield Block(
            f"{title}: {len(shown)} of {count(len(judged.disagreements))} disagreements, the hardest first",
            ("key", "gold", "answer", *([measured] if known else [])),
            [
                (one.key, _value(one.gold), _value(one.answer), *([_number(figure)] if known else []))
                for one, figure in zip(shown, last, strict=True)
            ],
            left=3,
        )


def _classes(title: str, figures: Classes, notes: Sequence[str]) -> Iterator[Block]:
    yield Block(
        f"{title}: {count(figures.rows)} rows with a gold label",
        (),
        [
            ("coverage", _hits(figures.coverage), _share(figures.coverage)),
            ("accuracy, answered rows", _hits(figures.accuracy), _share(figures.accuracy)),
            ("accuracy, all rows", _hits(figures.accuracy_all), _share(figures.accuracy_all)),
            ("macro precision", "", _estimate(figures.macro_precision)),
            ("macro recall", "", _estimate(figures.macro_recall)),
            ("macro F1", "", _estimate(figures.macro_f1)),
            ("Cohen's kappa, answered rows", "", _estimate(figures.kappa)),
        ],
        notes,
    )
    some = figures.classes[:MOST_CLASSES]
    yield Block(
        f"{title}: by class",
        ("class", "gold", "precision", "recall", "F1"),
        [(one.label, count(one.gold), _share(one.precision), _share(one.recall), _estimate(one.f1)) for one in some],
        [f"{count(len(figures.classes) - len(some))} more classes: see --json"] if len(figures.classes) > len(some) else [],
    )
    labels = [one.label for one in figures.classes]
    if len(labels) <= WIDEST_MATRIX:
        yield Block(
            f"{title}: gold down, answers across",
            ("", *labels, "(none)"),
            [(label, *(count(rows) for rows in line)) for label, line in zip(labels, figures.confusion, strict=True)],
        )
        return
    wrong = [
        (rows, gold, answer)
        for gold, line in zip(labels, figures.confusion, strict=True)
        for answer, rows in zip(labels, line, strict=False)
        if rows and gold != answer
    ]
    ranked = sorted(wrong, key=lambda each: (-each[0], each[1:]))[:MOST_CLASSES]
    if ranked:
        cells = [(gold, answer, count(rows)) for rows, gold, answer in ranked]
        yield Block(f"{title}: taken for what, the most frequent", ("gold", "answer", "rows"), cells, left=2)


def _numbers(title: str, figures: Numbers, notes: Sequence[str]) -> Block:
    rows = [
        ("coverage", _hits(figures.coverage), _share(figures.coverage)),
        ("exact, answered rows", _hits(figures.exact), _share(figures.exact)),
        ("mean absolute error", "", _estimate(figures.mae)),
        ("root mean squared error", "", _estimate(figures.rmse)),
        ("median absolute error", "", _estimate(figures.median_error)),
        ("bias (answer - gold)", "", _estimate(figures.bias)),
        ("Spearman's rank correlation", "", _estimate(figures.spearman)),
    ]
    return Block(f"{title}: {count(figures.rows)} rows with a gold number", (), rows, notes)


def _extraction(name: str, figures: Extraction) -> Iterator[tuple[str, ...]]:
    yield (name, _share(figures.coverage), _share(figures.exact), _share(figures.normalised))
    for field, inner in figures.fields.items():
        yield from _extraction(field if name == "(whole)" else f"{name}.{field}", inner)


def _elements(title: str, figures: Extraction, name: str = "(whole)") -> Iterator[Block]:
    if figures.elements is not None:
        rows = [
            ("precision", _hits(figures.elements.precision), _share(figures.elements.precision)),
            ("recall", _hits(figures.elements.recall), _share(figures.elements.recall)),
        ]
        yield Block(f"{title}: elements of {name}, as sets", (), rows)
    for field, inner in figures.fields.items():
        yield from _elements(title, inner, field if name == "(whole)" else f"{name}.{field}")


def _calibration(title: str, figures: Calibration, unsure: int) -> Block:
    bins = [one for one in figures.bins if one.rows]
    notes = [
        f"expected calibration error {_estimate(figures.ece)}",
        f"Brier score {_estimate(figures.brier)}",
    ]
    if unsure:
        notes.append(f"{count(unsure)} answers without a confidence from 0 to 1 are left out")
    return Block(
        f"{title}: is the confidence right?",
        ("confidence", "rows", "mean", "right"),
        [(f"{one.low:.1f} to {one.high:.1f}", count(one.rows), _number(one.confidence), _share(one.right)) for one in bins],
        notes,
    )


def _compared(compared: Compared, show: int) -> Iterator[Block]:
    both = compared.agreement
    rows = [
        ("answered by both", f"{count(both.answered)} of {count(both.rows)}", ""),
        ("agreeing", _hits(both.agreeing), _share(both.agreeing)),
    ]
    if both.kappa is not None:
        rows.append(("Cohen's kappa", "", _estimate(both.kappa)))
    notes = []
    if (test := compared.paired) is not None:
        rows += [
            ("right: this table", _hits(test.right), _share(test.right)),
            ("right: the other", _hits(test.other_right), _share(test.other_right)),
            ("right: only this one", count(test.only_this), ""),
            ("right: only the other", count(test.only_other), ""),
        ]
        said = "no sign that one is better" if test.p >= 0.05 else "more than chance would do"
        notes = [f"McNemar's exact test, two-sided: p = {test.p:.3g} ({said})"]
    yield Block(f"{compared.answer}: this table and the other", (), rows, notes)
    if shown := compared.differing[:show]:
        yield Block(
            f"{compared.answer}: {len(shown)} of {count(len(compared.differing))} rows that differ",
            ("key", "this table", "the other"),
            [(one.key, _value(one.this), _value(one.other)) for one in shown],
            left=3,
        )


def _prevalence(found: Prevalences) -> Block:
    header: tuple[str, ...] = ("class", "rows", "answers", "gold alone", "corrected")
    rows = [
        (
            one.label if one.label is not None else "(mean)",
            count(one.rows),
            f"{one.counted:.1%}" if one.label is not None else _number(one.counted),
            _powered(one.gold_only, one.label is not None),
            _powered(one.estimate, one.label is not None),
        )
        for one in found.found
    ]
    if found.by is not None:
        header = (found.by, *header)
        named = [("(all)" if one.group is None else one.group, *row) for one, row in zip(found.found, rows, strict=True)]
        return Block(f"{found.answer}: in the whole table, by {found.by}", header, named, _told(found), left=2)
    return Block(f"{found.answer}: in the whole table", header if rows else (), rows, _told(found))


def _told(found: Prevalences) -> list[str]:
    return ["corrected: prediction-powered, the answers of all rows corrected by the gold labels", *found.notes]


def _powered(one: Powered | None, share: bool) -> str:
    if one is None:
        return "too few labels"
    return _between(one.value, one.low, one.high, share=share)


def _share(share: Share) -> str:
    if share.value is None or share.low is None or share.high is None:
        return "-"
    return _between(share.value, share.low, share.high, share=True)


def _between(value: float, low: float, high: float, *, share: bool) -> str:
    if share:
        return f"{100 * value:.1f}% [{100 * low:.0f}, {100 * high:.0f}]"
    return f"{_number(value)} [{_number(low)}, {_number(high)}]"


def _estimate(one: Estimate) -> str:
    if one.value is None or one.low is None or one.high is None:
        return "not defined"
    return _between(one.value, one.low, one.high, share=False)


def _hits(share: Share) -> str:
    return f"{count(share.hits)} of {count(share.of)}"


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if abs(value) < 100 else f"{value:,.4g}" if abs(value) < 10_000 else f"{value:,.0f}"


def _value(value: object) -> str:
    match value:
        case None:
            return "(none)"
        case str():
            return value
        case float():
            return f"{value:g}"
        case _:
            return json.dumps(value, ensure_ascii=False)
