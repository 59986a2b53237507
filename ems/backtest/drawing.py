"""Charts of a campaign: intervals in rows, dots in rows, and the plane of cost and warmth.

Drawn as SVG text for a width in pixels, like `ems.demo.drawing`. Every row and marker is
named in the drawing itself, so that nothing hangs on colours.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from ems.demo.drawing import BOTTOM, INK, QUIET, TOP, Canvas, nice_ticks, signed

EDGE, ROW = 12.0, 46.0
LABEL_PX, LINE_PX = 7.0, 15.0
"""About how wide a letter and how high a line of labels is."""
DOT_PX, HEAP_PX = 5.0, 120.0
"""How wide a dot is, and how high a heap of them may be."""


@dataclass(frozen=True, slots=True)
class Row:
    """A named value, between what it lies, and single values that it is made of."""

    name: str
    colour: str
    value: float | None
    low: float | None = None
    high: float | None = None
    said: str = ""
    dots: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Spot:
    """A named point of the plane."""

    name: str
    colour: str
    x: float
    y: float


def _axis(
    canvas: Canvas, ticks: Sequence[float], unit: str, spans: Sequence[tuple[float, float]] = ()
) -> None:
    """Draw an axis below, and its grid over spans of the height: all of it if none are given."""
    floor = canvas.height - BOTTOM
    for tick in ticks:
        place = canvas.at_x(tick)
        for top, bottom in spans or [(TOP, floor)]:
            canvas.rule(place, top, place, bottom)
        canvas.text(place, floor + 17, signed(tick))
    canvas.text(canvas.width - EDGE, canvas.height - 3, unit, "end")


def intervals(title: str, unit: str, rows: Sequence[Row], width: float) -> str:
    """Return rows of values with whiskers from low to high, zero always in sight."""
    numbers = [0.0]
    for row in rows:
        ends = [row.value, row.low, row.high, *row.dots]
        numbers += [value for value in ends if value is not None]
    ticks = nice_ticks(min(numbers), max(numbers), 4 if width < 500 else 8)
    size = (width, TOP + BOTTOM + ROW * len(rows))
    canvas = Canvas(*size, (ticks[0], ticks[-1]), (0.0, 1.0), left=EDGE + 12)
    tops = [TOP + ROW * number for number in range(len(rows))]
    spans = [(top + 19.0, top + ROW - 3.0) for top in tops]
    _axis(canvas, ticks, unit, spans)
    zero = canvas.at_x(0.0)
    for first, last in spans:
        canvas.rule(zero, first, zero, last, INK)
    for row, top in zip(rows, tops, strict=True):
        middle = top + 29.0
        canvas.text(EDGE, top + 14, row.name, "start")
        canvas.text(width - EDGE, top + 14, row.said, "end")
        if row.low is not None and row.high is not None:
            first, last = canvas.at_x(row.low), canvas.at_x(row.high)
            canvas.rect(first, last, middle - 1.5, middle + 1.5, row.colour)
            for end in (first, last):
                canvas.rect(end - 1, end + 1, middle - 6, middle + 6, row.colour)
        for value in row.dots:
            canvas.dot(canvas.at_x(value), middle + 9, 2.5, QUIET)
        if row.value is not None:
            canvas.dot(canvas.at_x(row.value), middle, 5.5, row.colour)
    told = "; ".join(f"{row.name} {row.said}" for row in rows)
    return canvas.svg(f"{title} [{unit}]: {told}")


def strips(
    title: str,
    unit: str,
    rows: Sequence[tuple[str, Sequence[float]]],
    width: float,
    *,
    limit: float,
    colours: tuple[str, str],
) -> str:
    """Return rows of dots, one a value, heaped where many are alike.

    Those above ``limit`` have the second colour, and a line stands there.
    """
    numbers = [value for _, values in rows for value in values] + [0.0, limit]
    ticks = nice_ticks(min(numbers), max(numbers), 4 if width < 500 else 10)
    across = (ticks[0], ticks[-1])
    probe = Canvas(width, 1.0, across, (0.0, 1.0), left=EDGE + 12)
    heaps = [_heaped([probe.at_x(value) for value in values]) for _, values in rows]
    tallest = max((at + 1 for heap in heaps for _, at in heap), default=1)
    step = min(DOT_PX, HEAP_PX / tallest)
    each = 24.0 + max(step * tallest, DOT_PX) + 8.0
    canvas = Canvas(width, TOP + BOTTOM + each * len(rows), across, (0.0, 1.0), left=EDGE + 12)
    spans = [(TOP + each * at + 20.0, TOP + each * (at + 1) - 2.0) for at in range(len(rows))]
    _axis(canvas, ticks, unit, spans)
    for (name, values), heap, (first, last) in zip(rows, heaps, spans, strict=True):
        canvas.text(EDGE, first - 6.0, name, "start")
        for value, colour in ((0.0, INK), (limit, colours[1])):
            canvas.rule(canvas.at_x(value), first, canvas.at_x(value), last, colour)
        for value, (place, at) in zip(values, heap, strict=True):
            canvas.dot(place, last - 4.0 - step * at, 2.2, colours[value > limit])
    told = "; ".join(
        f"{name}: {sum(value > limit for value in values)} of {len(values)} above {limit:g}"
        for name, values in rows
    )
    return canvas.svg(f"{title} [{unit}]: {told}")


def _heaped(places: Sequence[float]) -> list[tuple[float, int]]:
    """Return each place rounded to a dot's width, and how many lie there already."""
    count: dict[int, int] = {}
    found = []
    for place in places:
        column = round(place / DOT_PX)
        found.append((column * DOT_PX, count.get(column, 0)))
        count[column] = count.get(column, 0) + 1
    return found


def plane(
    title: str,
    units: tuple[str, str],
    frontier: Sequence[Spot],
    spots: Sequence[Spot],
    width: float,
    height: float,
) -> str:
    """Return a line through the frontier's points, and other points beside it, all named."""
    across = [spot.x for spot in (*frontier, *spots)]
    values = [spot.y for spot in (*frontier, *spots)]
    x_ticks = nice_ticks(min(across), max(across), 4 if width < 500 else 8)
    y_ticks = nice_ticks(min(values), max(values))
    canvas = Canvas(width, height, (x_ticks[0], x_ticks[-1]), (y_ticks[0], y_ticks[-1]))
    _axis(canvas, x_ticks, units[0])
    for tick in y_ticks:
        place = canvas.at_y(tick)
        canvas.rule(canvas.left, place, width - EDGE, place)
        canvas.text(canvas.left - 6, place + 4, signed(tick), "end")
    points = [(canvas.at_x(spot.x), canvas.at_y(spot.y)) for spot in frontier]
    for (x1, y1), (x2, y2) in itertools.pairwise(points):
        canvas.rule(x1, y1, x2, y2, frontier[0].colour)
    taken = _along(points)
    for spot, radius in [*((one, 4.0) for one in frontier), *((one, 6.0) for one in spots)]:
        canvas.dot(canvas.at_x(spot.x), canvas.at_y(spot.y), radius, spot.colour)
        taken.append((canvas.at_x(spot.x) - 6, canvas.at_x(spot.x) + 6, canvas.at_y(spot.y) + 4))
    for spot in sorted((*spots, *frontier), key=lambda one: -one.y):
        _name(canvas, spot, taken)
    told = "; ".join(f"{spot.name} {spot.y:.2f} at {spot.x:.2f}" for spot in (*frontier, *spots))
    return canvas.svg(f"{title} [{units[1]} at {units[0]}]: {told}")


def _along(points: Sequence[tuple[float, float]]) -> list[tuple[float, float, float]]:
    """Return places along a line through points, which no name may cover."""
    found = []
    for (x1, y1), (x2, y2) in itertools.pairwise(points):
        parts = math.ceil(math.hypot(x2 - x1, y2 - y1) / 6.0)
        for at in range(parts):
            x, y = x1 + (x2 - x1) * at / parts, y1 + (y2 - y1) * at / parts
            found.append((x - 3.0, x + 3.0, y + 4.0))
    return found


def _name(canvas: Canvas, spot: Spot, taken: list[tuple[float, float, float]]) -> None:
    """Write a point's name where nothing is yet, with a line to it where that is not beside it."""
    x, y = canvas.at_x(spot.x), canvas.at_y(spot.y)
    long = LABEL_PX * len(spot.name)
    best: tuple[float, float, float, int] | None = None
    for down in range(-4, 12):
        for side in (1, -1):
            left = x + 9 if side > 0 else x - 9 - long
            base = y + 4 + down * LINE_PX * 0.7
            inside = left >= canvas.left and left + long <= canvas.width - 2
            if not inside or not TOP + 8 <= base <= canvas.height - BOTTOM - 4:
                continue
            clash = any(
                left < right and left + long > other and abs(base - line) < LINE_PX - 1
                for other, right, line in taken
            )
            cost = math.hypot(down, 0.5 * (side < 0)) + 100.0 * clash
            if best is None or cost < best[0]:
                best = (cost, left, base, side)
    if best is None:
        return
    _, left, base, side = best
    if abs(base - 4 - y) > LINE_PX * 0.8:
        canvas.rule(x, y, left - 2 if side > 0 else left + long + 2, base - 4, QUIET)
    canvas.text(left, base, spot.name, "start")
    taken.append((left, left + long, base))
