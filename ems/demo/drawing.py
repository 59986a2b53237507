"""Small line and bar charts as SVG text, for pages that stand alone in one file.

Each chart is drawn for a width in pixels, so that letters keep their size on narrow
screens. Nothing here knows what the numbers mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

INK, GRID, QUIET, SHADE = "#0b0c0c", "#d9dee2", "#484949", "#fdeee4"
LEFT, RIGHT, TOP, BOTTOM = 46.0, 12.0, 12.0, 34.0


@dataclass(frozen=True, slots=True)
class Line:
    """One curve: a point for each x; ``dash`` is an SVG dash pattern, ``dots`` marks points."""

    name: str
    colour: str
    x: Sequence[float]
    y: Sequence[float]
    dash: str = ""
    dots: bool = False
    labels: Sequence[str] = ()
    labels_below: bool = False
    thick: float = 2.0


@dataclass(frozen=True, slots=True)
class Chart:
    """Curves over one pair of axes.

    Attributes
    ----------
    title
        Read out in place of the drawing.
    unit
        Of the vertical axis.
    lines
        Curves.
    ticks
        Places and texts along the horizontal axis.
    shaded
        Spans of x that are shaded.
    x_unit
        Under the horizontal axis.
    zero
        Whether the vertical axis includes zero.
    """

    title: str
    unit: str
    lines: Sequence[Line]
    ticks: Sequence[tuple[float, str]] = ()
    shaded: Sequence[tuple[float, float]] = ()
    x_unit: str = ""
    zero: bool = False


@dataclass(slots=True)
class Canvas:
    """A drawing under way: ``x`` and ``y`` are the values at its margins, sizes in pixels."""

    width: float
    height: float
    x: tuple[float, float]
    y: tuple[float, float]
    left: float = LEFT
    parts: list[str] = field(default_factory=list)

    def at_x(self, value: float) -> float:
        """Return where a value lies across."""
        span = self.x[1] - self.x[0] or 1.0
        return self.left + (value - self.x[0]) / span * (self.width - self.left - RIGHT)

    def at_y(self, value: float) -> float:
        """Return where a value lies down."""
        span = self.y[1] - self.y[0] or 1.0
        return self.height - BOTTOM - (value - self.y[0]) / span * (self.height - TOP - BOTTOM)

    def rule(self, x1: float, y1: float, x2: float, y2: float, colour: str = GRID) -> None:
        """Draw a straight line."""
        self.parts.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'
        )

    def text(self, x: float, y: float, text: str, anchor: str = "middle") -> None:
        """Write a text, its baseline at ``y``."""
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="13" '
            f'fill="{QUIET}">{escape(text)}</text>'
        )

    def rect(self, x1: float, x2: float, y1: float, y2: float, colour: str) -> None:
        """Fill a rectangle."""
        self.parts.append(
            f'<rect x="{x1:.1f}" y="{y1:.1f}" width="{max(x2 - x1, 0.5):.1f}" '
            f'height="{max(y2 - y1, 0.5):.1f}" fill="{colour}"/>'
        )

    def dot(self, x: float, y: float, radius: float, colour: str) -> None:
        """Fill a circle."""
        self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" fill="{colour}"/>')

    def svg(self, title: str) -> str:
        """Return the drawing as SVG text, with a title to be read out."""
        return (
            f'<svg role="img" aria-label="{escape(title, quote=True)}" '
            f'viewBox="0 0 {self.width:.0f} {self.height:.0f}" '
            f'font-family="arial, sans-serif">{"".join(self.parts)}</svg>'
        )


def signed(value: float) -> str:
    """Return a short number with a true minus sign."""
    return f"{value:g}".replace("-", "−")


def nice_ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Return round values from at most ``low`` to at least ``high``."""
    span = max(high - low, 1e-9)
    raw = span / most
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude >= raw - 1e-12)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 10) for number in range(first, last + 1)]


def draw(chart: Chart, width: float, height: float = 260.0) -> str:
    """Return a chart of lines as SVG text, ``width`` by ``height`` [px]."""
    values = [value for line in chart.lines for value in line.y] + ([0.0] if chart.zero else [])
    across = [value for line in chart.lines for value in line.x]
    ticks = nice_ticks(min(values), max(values))
    canvas = Canvas(width, height, (min(across), max(across)), (ticks[0], ticks[-1]))
    for start, end in chart.shaded:
        canvas.rect(canvas.at_x(start), canvas.at_x(end), TOP, height - BOTTOM, SHADE)
    for tick in ticks:
        place = canvas.at_y(tick)
        canvas.rule(LEFT, place, width - RIGHT, place)
        canvas.text(LEFT - 6, place + 4, signed(tick), "end")
    for where, name in chart.ticks:
        canvas.text(canvas.at_x(where), height - BOTTOM + 17, name)
    for line in chart.lines:
        _curve(canvas, line)
    if chart.x_unit:
        canvas.text(width - RIGHT, height - 3, chart.x_unit, "end")
    return canvas.svg(f"{chart.title} [{chart.unit}]")


def _curve(canvas: Canvas, line: Line) -> None:
    points = [(canvas.at_x(x), canvas.at_y(y)) for x, y in zip(line.x, line.y, strict=True)]
    if len(points) > 1:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        dash = f' stroke-dasharray="{line.dash}"' if line.dash else ""
        canvas.parts.append(
            f'<polyline points="{path}" fill="none" stroke="{line.colour}" '
            f'stroke-width="{line.thick:g}"{dash}/>'
        )
    if line.dots:
        for x, y in points:
            canvas.dot(x, y, 4, line.colour)
    for (x, y), label in zip(points, line.labels, strict=False):
        right = x > canvas.width - 120
        lower = 18 if line.labels_below else -7
        canvas.text(x + (-8 if right else 8), y + lower, label, "end" if right else "start")


def bars(
    title: str,
    unit: str,
    values: Sequence[tuple[str, float]],
    width: float,
    *,
    limit: float,
    colours: tuple[str, str],
) -> str:
    """Return one horizontal bar a value, those above ``limit`` in the second colour."""
    row = 17.0
    height = TOP + BOTTOM + row * len(values)
    numbers = [value for _, value in values] + [0.0, limit]
    ticks = nice_ticks(min(numbers), max(numbers), 4 if width < 500 else 8)
    canvas = Canvas(width, height, (ticks[0], ticks[-1]), (0.0, 1.0))
    for tick in ticks:
        place = canvas.at_x(tick)
        canvas.rule(place, TOP, place, height - BOTTOM)
        canvas.text(place, height - BOTTOM + 17, signed(tick))
    for number, (name, value) in enumerate(values):
        top = TOP + row * number
        first, last = sorted((canvas.at_x(0.0), canvas.at_x(value)))
        canvas.rect(first, last, top + 3, top + row - 3, colours[value > limit])
        canvas.text(LEFT - 6, top + row - 4, name, "end")
    canvas.rule(canvas.at_x(limit), TOP, canvas.at_x(limit), height - BOTTOM, colours[1])
    canvas.rule(canvas.at_x(0.0), TOP, canvas.at_x(0.0), height - BOTTOM, INK)
    canvas.text(width - RIGHT, height - 3, unit, "end")
    return canvas.svg(f"{title} [{unit}]")
