"""A report → one HTML file, which loads nothing, sends nothing and runs nothing but its own script.

Three doors are shut, one behind the other: Jinja escapes every value; what the page's script needs is JSON in which no `<` is
left, and becomes text nodes; and the policy of the page admits one script and one style sheet, by their hashes, and no network.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from itertools import pairwise

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from pipeline.show import chart
from pipeline.show.report import Bar, Bars, Course, Example, Histogram, Range, Reliability, Report, Table
from pipeline.show.text import count, moment, percent

_TONES = {"ok": "good", "ok_repaired": "mended", "pending": "wait", "in_doubt": "wait"}


def page(report: Report) -> str:
    """The whole file. The same report gives the same text."""
    style, script = _own("report.css"), _own("report.js")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.globals.update(
        bar=chart.bar,
        shade=chart.shade,
        largest=_largest,
        count=count,
        tone=_tone,
        histogram_of=_histogram,
        course_of=_course,
        interval_of=_interval,
        diagonal_of=_diagonal,
    )
    return environment.from_string(_own("report.html")).render(
        report=report,
        policy=_policy(style, script),
        # Ours, from the package: markup that no data has touched.
        style=Markup(style),  # noqa: S704
        script=Markup(script),  # noqa: S704
        statuses=sorted({example.status for example in report.examples}),
        data=Markup(f"[{','.join(embedded(example) for example in report.examples)}]"),  # noqa: S704 no < is left in it
    )


def embedded(example: Example) -> str:
    """The row as JSON for inside a script element: nothing in it can end the element or begin a comment."""
    # A surrogate stays an escape: no encoding takes it. Everything else is itself, which is short.
    text = json.dumps(asdict(example), ensure_ascii=False)
    escaped = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029", "\x7f": "\\u007f"}
    for character, escape in escaped.items():
        text = text.replace(character, escape)
    return "".join(f"\\u{ord(character):04x}" if "\ud800" <= character <= "\udfff" else character for character in text)


def _policy(style: str, script: str) -> str:
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    return (
        f"default-src 'none'; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _own(name: str) -> str:
    return resources.files("pipeline.show").joinpath(name).read_text("utf-8")


def _largest(sizes: Iterable[float]) -> float:
    return max(sizes, default=0)


def _tone(block: Bars, one: Bar) -> str:
    return _TONES.get(one.label, "bad") if block.tone == "status" else "bar"


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A chart with the words around it."""

    svg: Markup
    most: str
    left: str
    middle: str
    right: str
    marks: Sequence[tuple[str, str]]
    table: Table


def _histogram(block: Histogram) -> _Drawn:
    unit = f" {block.unit}" if block.unit else ""
    edges, last = block.edges, len(block.counts) - 1
    names = [
        f"{chart.figure(low)} and more" if at == last and block.beyond is not None else _between(low, high, edges)
        for at, (low, high) in enumerate(pairwise(edges))
    ]
    told = [f"{name}{unit}: {count(number)}" for name, number in zip(names, block.counts, strict=True)]
    total = sum(block.counts)
    most = max(block.counts, default=0)
    marks = ", ".join(f"{name} {chart.figure(value)}{unit}" for name, value in block.marks)
    label = (
        f"Histogram of {block.title}: {count(total)} from {chart.figure(edges[0])} to {chart.figure(edges[-1])}{unit}. {marks}"
    )
    # A bin that one integer has for itself is that integer: the scale ends at the last one, and marks stand in the middle.
    single = edges[1] - edges[0] == 1 and float(edges[0]).is_integer()
    top = edges[-1] - 1 if single else edges[-1]
    right = f"{chart.figure(top)}{unit}"
    if block.beyond is not None:
        right = f"more, up to {chart.figure(block.beyond)}{unit}"
    rows = [(name, count(number), percent(number, total)) for name, number in zip(names, block.counts, strict=True)]
    return _Drawn(
        chart.columns(
            block.counts, told, label, marks=[chart.share(value + single / 2, edges[0], edges[-1]) for _, value in block.marks]
        ),
        f"{count(most)} in the highest bar",
        chart.figure(edges[0]),
        chart.figure((edges[0] + top) / 2) if top > edges[0] else "",
        right,
        [(name, f"{chart.figure(value)}{unit}") for name, value in block.marks],
        Table("", (block.unit or "value", "number", "share"), rows, frozenset({1, 2})),
    )


def _between(low: float, high: float, edges: Sequence[float]) -> str:
    """The name of a bin: of integers that it holds alone, the integer."""
    if high - low == 1 and float(low).is_integer() and edges[0] == round(edges[0]):
        return chart.figure(low)
    return f"{chart.figure(low)} to {chart.figure(high)}"


def _course(block: Course) -> _Drawn:
    starts = [block.start + at * block.width_s for at in range(len(block.values))]
    told = [
        f"{moment(at)}: {chart.figure(value)} {block.unit}" if value is not None else ""
        for at, value in zip(starts, block.values, strict=True)
    ]
    most = max((value for value in block.values if value is not None), default=0.0)
    end = block.start + len(block.values) * block.width_s
    label = f"{block.title}, from {moment(block.start)} to {moment(end)}, at most {chart.figure(most)} {block.unit}"
    return _Drawn(
        chart.columns(block.values, told, label),
        f"{chart.figure(most)} {block.unit} at most",
        moment(block.start),
        "",
        moment(end),
        (),
        Table("", (), ()),
    )


def _interval(one: Range) -> Markup:
    if one.value is None or one.low is None or one.high is None:
        return Markup("")
    return chart.interval(one.low, one.value, one.high, f"{one.label}: {one.shown}")


def _diagonal(block: Reliability) -> Markup:
    known = [
        ((at, one.low, one.value, one.high), f"{one.label}: {one.shown}, {one.note}")
        for at, one in zip(block.at, block.points, strict=True)
        if one.value is not None and one.low is not None and one.high is not None
    ]
    return chart.diagonal(
        [point for point, _ in known], [says for _, says in known], f"{block.title} Confidence across, right up"
    )
