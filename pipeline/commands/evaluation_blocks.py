"""What `pipeline evaluate` found, as blocks: of a report, and of a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.commands.judging import Compared, Judged
from pipeline.commands.shares import Prevalences
from pipeline.measure.calibration import Calibration
from pipeline.measure.classes import Classes
from pipeline.measure.extraction import Extraction
from pipeline.measure.interval import Estimate, Share
from pipeline.measure.numeric import Numbers
from pipeline.measure.prevalence import Powered
from pipeline.show.report import Block, Fold, Matrix, Range, Ranges, Reliability, Table
from pipeline.show.text import count

if TYPE_CHECKING:
    from pipeline.commands.evaluation import Evaluation

MISTAKES = 20
NAMED = 5
FIELDS = 100
"""Of objects: gold may hold any."""
CELL = 300
"""Characters of a value."""
NONE = "(none)"
WHOLE = "(whole)"


@dataclass(frozen=True, slots=True)
class Room:
    """How much there is room for."""

    rows: int
    """That disagree, of each column."""
    classes: int = 20
    matrix: int = 6
    """Classes of the widest confusion matrix; of more, the most frequent mistakes are told."""


def evaluation_blocks(found: Evaluation, room: Room) -> list[Block]:
    """In the order in which they are told."""
    blocks: list[Block] = [_joined(found)]
    for judged in found.labels:
        blocks += _judged(judged, room)
    for compared in found.comparisons:
        blocks += _compared(compared, room.rows)
    for prevalences in found.prevalences:
        blocks += _prevalence(prevalences)
    return blocks


def intervals(found: Evaluation) -> str:
    """What stands in the brackets."""
    return f"95% intervals in [ ]. {found.intervals}"


def _joined(found: Evaluation) -> Table:
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
    return Table("evaluation", (), facts, frozenset({2}), _noted(notes))


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
    return ", ".join(map(_brief, keys[:NAMED])) + (f" and {count(len(keys) - NAMED)} more" if len(keys) > NAMED else "")


def _noted(notes: Sequence[str]) -> str:
    """Each a line; names in them may hold line ends of their own."""
    return "\n".join(" ".join(note.split("\n")) for note in notes)


def _judged(judged: Judged, room: Room) -> Iterator[Block]:
    title = judged.answer if judged.answer == judged.gold else f"{judged.answer} = {judged.gold}"
    notes = [f"rows of the gold file without a label: {count(judged.unlabelled)}"] if judged.unlabelled else []
    if judged.unknown:
        strange = ", ".join(f"{_brief(label)} ({count(rows)})" for label, rows in list(judged.unknown.items())[:NAMED])
        notes.append(f"gold labels that the schema does not have, so that no answer can be right: {strange}")
    match judged.figures:
        case None:
            yield Table(title, (), (), note=_noted(["no row has a gold label", *notes]))
            return
        case Classes() as figures:
            yield from _classes(title, figures, notes, room)
        case Numbers() as figures:
            yield _numbers(title, figures, notes)
        case Extraction() as figures:
            fields = list(_extraction(WHOLE, figures))
            if len(fields) > FIELDS:
                notes.append(f"{count(len(fields) - FIELDS)} more fields: see --json")
            head = ("field", "coverage", "exact", "normalised")
            yield Table(title, head, fields[:FIELDS], frozenset({1, 2, 3}), _noted(notes))
            yield from _elements(title, figures)
    if judged.calibration is not None:
        yield _calibration(title, judged.calibration, judged.unsure)
    elif judged.unsure:
        yield Table(f"{title}: no answer has a confidence from 0 to 1 ({count(judged.unsure)} rows)", (), ())
    if shown := judged.disagreements[: room.rows]:
        measured = "error" if shown[0].error is not None else "confidence"
        last = [one.confidence if one.error is None else one.error for one in shown]
        known = any(one is not None for one in last)
        table = Table(
            "",
            ("key", "gold", "answer", *([measured] if known else [])),
            [
                (_brief(one.key), _value(one.gold), _value(one.answer), *([_number(figure)] if known else []))
                for one, figure in zip(shown, last, strict=True)
            ],
            frozenset({3}) if known else frozenset(),
        )
        wrong = count(len(judged.disagreements))
        yield Fold(f"{title}: {len(shown)} of {wrong} disagreements, the hardest first", wrong, table=table)


def _classes(title: str, figures: Classes, notes: Sequence[str], room: Room) -> Iterator[Block]:
    named = [
        _share_range("coverage", figures.coverage),
        _share_range("accuracy, answered rows", figures.accuracy),
        _share_range("accuracy, all rows", figures.accuracy_all),
        _estimate_range("macro precision", figures.macro_precision),
        _estimate_range("macro recall", figures.macro_recall),
        _estimate_range("macro F1", figures.macro_f1),
        _estimate_range("Cohen's kappa, answered rows", figures.kappa),
    ]
    yield Ranges(f"{title}: {count(figures.rows)} rows with a gold label", named, note=_noted(notes))
    some = figures.classes[: room.classes]
    yield Table(
        f"{title}: by class",
        ("class", "gold", "precision", "recall", "F1"),
        [(_brief(one.label), count(one.gold), _share(one.precision), _share(one.recall), _estimate(one.f1)) for one in some],
        frozenset({1, 2, 3, 4}),
        f"{count(len(figures.classes) - len(some))} more classes: see --json" if len(figures.classes) > len(some) else "",
    )
    labels = [_brief(one.label) for one in figures.classes]
    none = NONE if NONE not in labels else "(no answer)"
    across = [*labels, none]
    pairs = {
        (gold, answer): rows
        for gold, line in zip(labels, figures.confusion, strict=True)
        for answer, rows in zip(across, line, strict=True)
    }
    if len(labels) <= room.matrix:
        yield Matrix(f"{title}: gold down, answers across", labels, across, pairs)
        return
    wrong = [(rows, pair) for pair, rows in pairs.items() if rows and pair[0] != pair[1] and pair[1] != none]
    if ranked := sorted(wrong, key=lambda each: (-each[0], each[1]))[:MISTAKES]:
        cells = [(*pair, count(rows)) for rows, pair in ranked]
        yield Table(f"{title}: taken for what, the most frequent", ("gold", "answer", "rows"), cells, frozenset({2}))


def _numbers(title: str, figures: Numbers, notes: Sequence[str]) -> Table:
    rows = [
        ("coverage", _hits(figures.coverage), _share(figures.coverage)),
        ("exact, answered rows", _hits(figures.exact), _share(figures.exact)),
        ("mean absolute error", "", _estimate(figures.mae)),
        ("root mean squared error", "", _estimate(figures.rmse)),
        ("median absolute error", "", _estimate(figures.median_error)),
        ("bias (answer - gold)", "", _estimate(figures.bias)),
        ("Spearman's rank correlation", "", _estimate(figures.spearman)),
    ]
    return Table(f"{title}: {count(figures.rows)} rows with a gold number", (), rows, frozenset({1, 2}), _noted(notes))


def _extraction(name: str, figures: Extraction) -> Iterator[tuple[str, ...]]:
    yield (_brief(name), _share(figures.coverage), _share(figures.exact), _share(figures.normalised))
    for field, inner in figures.fields.items():
        yield from _extraction(field if name == WHOLE else f"{name}.{field}", inner)


def _elements(title: str, figures: Extraction, name: str = WHOLE) -> Iterator[Ranges]:
    if figures.elements is not None:
        ranges = [
            _share_range("precision", figures.elements.precision),
            _share_range("recall", figures.elements.recall),
        ]
        yield Ranges(f"{title}: elements of {name}, as sets", ranges)
    for field, inner in figures.fields.items():
        yield from _elements(title, inner, field if name == WHOLE else f"{name}.{field}")


def _calibration(title: str, figures: Calibration, unsure: int) -> Reliability:
    bins = [one for one in figures.bins if one.rows and one.confidence is not None]
    notes = [
        f"expected calibration error {_estimate(figures.ece)}",
        f"Brier score {_estimate(figures.brier)}",
    ]
    if unsure:
        notes.append(f"{count(unsure)} answers without a confidence from 0 to 1 are left out")
    return Reliability(
        f"{title}: is the confidence right?",
        [_share_range(f"{one.low:.1f} to {one.high:.1f}, mean {_number(one.confidence)}", one.right) for one in bins],
        [one.confidence or 0.0 for one in bins],
        note=_noted(notes),
    )


def _compared(compared: Compared, show: int) -> Iterator[Block]:
    both = compared.agreement
    rows = [
        ("answered by both", f"{count(both.answered)} of {count(both.rows)}", ""),
        ("agreeing", _hits(both.agreeing), _share(both.agreeing)),
    ]
    if both.kappa is not None:
        rows.append(("Cohen's kappa", "", _estimate(both.kappa)))
    note = ""
    if (test := compared.paired) is not None:
        rows += [
            ("right: this table", _hits(test.right), _share(test.right)),
            ("right: the other", _hits(test.other_right), _share(test.other_right)),
            ("right: only this one", count(test.only_this), ""),
            ("right: only the other", count(test.only_other), ""),
        ]
        said = "no sign that one is better" if test.p >= 0.05 else "more than chance would do"
        note = f"McNemar's exact test, two-sided: p = {test.p:.3g} ({said})"
    yield Table(f"{compared.answer}: this table and the other", (), rows, frozenset({1, 2}), note)
    if shown := compared.differing[:show]:
        table = Table(
            "", ("key", "this table", "the other"), [(_brief(one.key), _value(one.this), _value(one.other)) for one in shown]
        )
        differing = count(len(compared.differing))
        yield Fold(f"{compared.answer}: {len(shown)} of {differing} rows that differ", differing, table=table)


def _prevalence(found: Prevalences) -> Iterator[Block]:
    header: tuple[str, ...] = ("class", "rows", "answers", "gold alone", "corrected")
    rows: list[tuple[str, ...]] = [
        (
            _brief(one.label) if one.label is not None else "(mean)",
            count(one.rows),
            f"{one.counted:.1%}" if one.label is not None else _number(one.counted),
            _powered(one.gold_only, one.label is not None),
            _powered(one.estimate, one.label is not None),
        )
        for one in found.found
    ]
    title, left = f"{found.answer}: in the whole table", 1
    if found.by is not None:
        title, header, left = f"{title}, by {found.by}", (found.by, *header), 2
        rows = [("(all)" if one.group is None else _brief(one.group), *row) for one, row in zip(found.found, rows, strict=True)]
    numbers = frozenset(range(left, len(header)))
    yield Table(title, header if rows else (), rows, numbers, _noted(_told(found)))


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


def _share_range(label: str, share: Share) -> Range:
    return Range(label, share.value, share.low, share.high, _share(share), _hits(share))


def _estimate_range(label: str, one: Estimate) -> Range:
    return Range(label, one.value, one.low, one.high, _estimate(one))


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
            return _brief(value)
        case float():
            return f"{value:g}"
        case _:
            return _brief(json.dumps(value, ensure_ascii=False))


def _brief(text: str) -> str:
    return text if len(text) <= CELL else f"{text[: CELL - 1]}…"
