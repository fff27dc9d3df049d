"""Numbers → SVG, as text that a page holds inline.

The drawings hold no words: they stretch with the page, and words would stretch with them. Scales, labels and values stand
beside them as HTML, so that they are readable on a telephone and can be copied; `aria-label` says what is drawn, and each bar
has its own tooltip. Colours are classes of the page, which knows light from dark. Everything is escaped here.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

WIDTH, HEIGHT = 1000, 100
"""Units of the drawing, stretched to whatever room there is."""
GAP = 0.12
"""Of a bin's width, between bars."""
SMALLEST = 1.2
"""What is there at all can be seen."""

_RECT = Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>')
_LINE = Markup('<line class="mark" x1="{}" x2="{}" y1="0" y2="100"/>')
_SVG = Markup('<svg class="{}" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>')


def bar(part: float, most: float, tone: str, told: str) -> Markup:
    """One bar from the left, as long as `part` is of `most`."""
    length = 0.0 if most <= 0 else part / most * 100
    if part > 0:
        length = max(length, SMALLEST)
    track = Markup('<rect class="track" x="0" y="0" width="100" height="10"/>')
    drawn = Markup('<rect class="{}" x="0" y="0" width="{}" height="10"/>').format(_safe(tone) or "bar", _number(length))
    return _SVG.format("lane", 100, 10, told, track + drawn)


def columns(values: Sequence[float | None], told: Sequence[str], label: str, *, marks: Sequence[float] = ()) -> Markup:
    """Bars side by side, as high as their values; None and 0 are gaps. `told`: the tooltip of each. `marks`: vertical lines, at
    shares of the width (0 to 1)."""
    most = max((value for value in values if value is not None), default=0.0)
    step = WIDTH / max(len(values), 1)
    drawn = Markup("")
    for place, (value, says) in enumerate(zip(values, told, strict=True)):
        if not value or most <= 0:
            continue
        height = max(value / most * HEIGHT, SMALLEST)
        left = (place + GAP / 2) * step
        size = (_number(left), _number(HEIGHT - height), _number(step * (1 - GAP)), _number(height))
        drawn += _RECT.format("bar", *size, says)
    for mark in marks:
        at = _number(min(max(mark, 0.0), 1.0) * WIDTH)
        drawn += _LINE.format(at, at)
    return _SVG.format("plot", WIDTH, HEIGHT, label, drawn)


def interval(low: float, value: float, high: float, told: str) -> Markup:
    """A figure on a scale from 0 to 1, with what it may be as well: a band, and a mark in it."""
    left, right = share(low, 0, 1) * 100, share(high, 0, 1) * 100
    track = Markup('<rect class="track" x="0" y="4" width="100" height="2"/>')
    band = Markup('<rect class="band" x="{}" y="2" width="{}" height="6"/>').format(
        _number(left), _number(max(right - left, SMALLEST))
    )
    at = _number(share(value, 0, 1) * 100)
    point = Markup('<line class="point" x1="{}" x2="{}" y1="0" y2="10"/>').format(at, at)
    return _SVG.format("lane", 100, 10, told, track + band + point)


def diagonal(points: Sequence[tuple[float, float, float, float]], told: Sequence[str], label: str) -> Markup:
    """A plot from 0 to 1 both ways, the diagonal in it. Points: across; then low end, height and high end of an interval."""
    drawn = Markup('<line class="even" x1="0" x2="100" y1="100" y2="0"/>')
    for (across, *heights), says in zip(points, told, strict=True):
        x = share(across, 0, 1) * 100
        low, middle, high = (100 - share(height, 0, 1) * 100 for height in heights)
        drawn += Markup('<g><line class="whisker" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>').format(*map(_number, (x, low, high)))
        tick = Markup('<line class="point" x1="{}" x2="{}" y1="{}" y2="{}"/><title>{}</title></g>')
        drawn += tick.format(_number(x - 1.5), _number(x + 1.5), _number(middle), _number(middle), says)
    return _SVG.format("square", 100, 100, label, drawn)


def share(value: float, low: float, high: float) -> float:
    """Where `value` lies between the ends of a scale, 0 to 1."""
    return 0.0 if high <= low else min(max((value - low) / (high - low), 0.0), 1.0)


def shade(count: int, most: int) -> int:
    """0 to 6: how dark a cell of a matrix is."""
    return 0 if count <= 0 or most <= 0 else 1 + min(5, int(count / most * 5.999))


def figure(value: float) -> str:
    """A number of a scale, in three significant digits, without more zeros than it needs."""
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1e15 or size < 1e-4:
        return f"{value:.3g}"
    if size >= 100 or float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _safe(tone: str) -> str:
    """A class name, and nothing else."""
    return "".join(letter for letter in tone if letter.isascii() and (letter.isalnum() or letter in "-_ "))
