"""Charts as SVG, drawn on the server: they need no script and no inline style.

A chart is a value (:class:`TimeChart`, :class:`BarChart`); :mod:`web.svg` turns it
into markup. Missing values are ``nan``: they leave a gap and read "no data" in the
table, they are never drawn as zero. Values are in the unit that the chart names.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

BLUE = "#12436D"
TEAL = "#28A197"
PLUM = "#801650"
ORANGE = "#F46A25"
GREY = "#6F777B"


@dataclass(frozen=True, slots=True)
class Line:
    """Values over time.

    Attributes
    ----------
    name
        As in the legend.
    times, values
        Of equal length; times rise; ``nan`` where there is no value.
    colour
        From the palette.
    step_s
        Each value holds for this long from its time (drawn as steps); ``None`` for
        values at instants (drawn as a line).
    dashed, filled
        Dashes for plans, filling for amounts.
    gap_s
        Instants further apart than this are not joined [s].
    """

    name: str
    times: Sequence[datetime]
    values: Sequence[float]
    colour: str = BLUE
    step_s: float | None = None
    dashed: bool = False
    filled: bool = False
    gap_s: float = 2700.0


@dataclass(frozen=True, slots=True)
class Band:
    """A range over time, e.g. a forecast's 10 % to 90 %; each pair holds for ``step_s``."""

    name: str
    times: Sequence[datetime]
    low: Sequence[float]
    high: Sequence[float]
    step_s: float
    colour: str = ORANGE


@dataclass(frozen=True, slots=True)
class Level:
    """A constant, e.g. a limit."""

    name: str
    value: float
    colour: str = PLUM


@dataclass(frozen=True, slots=True)
class TimeChart:
    """Lines and bands over [start, end).

    Attributes
    ----------
    key
        Unique on its page; becomes part of ids.
    title, summary
        What it shows; the summary says in a sentence what there is to see.
    unit
        Of the values.
    start, end, zone
        Instants (UTC) and the zone of the labels.
    lines, bands, levels
        What is drawn.
    now
        Drawn as an upright line where it is within the range.
    from_zero
        The axis includes zero.
    decimals
        Of the values in the table.
    table_step_s
        Rows of the table are means over this long [s].
    """

    key: str
    title: str
    summary: str
    unit: str
    start: datetime
    end: datetime
    zone: ZoneInfo
    lines: tuple[Line, ...]
    bands: tuple[Band, ...] = ()
    levels: tuple[Level, ...] = ()
    now: datetime | None = None
    from_zero: bool = True
    decimals: int = 1
    table_step_s: int = 1800

    @property
    def is_empty(self) -> bool:
        """Whether there is no value at all to draw."""
        series = [line.values for line in self.lines] + [band.high for band in self.bands]
        return not any(math.isfinite(value) for values in series for value in values)


@dataclass(frozen=True, slots=True)
class Bars:
    """One stack layer of a bar chart; ``nan`` where there is no value."""

    name: str
    values: Sequence[float]
    colour: str


@dataclass(frozen=True, slots=True)
class BarChart:
    """Amounts by category, stacked where there are several layers.

    A category with any ``nan`` has no bar and reads "no data". Values are ≥ 0.
    ``labels`` are short, ``long_labels`` stand in the table.
    """

    key: str
    title: str
    summary: str
    unit: str
    labels: tuple[str, ...]
    long_labels: tuple[str, ...]
    layers: tuple[Bars, ...]
    decimals: int = 1

    @property
    def is_empty(self) -> bool:
        """Whether there is no bar at all to draw."""
        return not any(math.isfinite(total) for total in self.totals)

    @property
    def totals(self) -> list[float]:
        """Height of each bar; ``nan`` where a layer has no value."""
        return [
            sum(layer.values[index] for layer in self.layers) for index in range(len(self.labels))
        ]


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return about ``count`` round values that enclose [low, high].

    The step is 1, 2, 2.5 or 5 times a power of ten. An empty range becomes one wide.
    """
    if not (math.isfinite(low) and math.isfinite(high)):
        low, high = 0.0, 1.0
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    raw = (high - low) / max(count - 1, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(
        power * factor for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if power * factor >= raw * 0.999
    )
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [index * step for index in range(first, last + 1)]


def time_ticks(start: datetime, end: datetime, zone: ZoneInfo, every_h: int) -> list[datetime]:
    """Return the instants of [start, end] at local hours divisible by ``every_h``."""
    tick = start.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    ticks = []
    while tick <= end:
        local = tick.astimezone(zone)
        if tick >= start and local.minute == 0 and local.hour % every_h == 0:
            ticks.append(tick)
        tick += timedelta(hours=1)
    return ticks


def runs(times: Sequence[datetime], values: Sequence[float], gap_s: float) -> list[list[int]]:
    """Return runs of indices without a missing value and without a jump above ``gap_s`` [s]."""
    out: list[list[int]] = []
    for index, value in enumerate(values):
        if not math.isfinite(value):
            continue
        last = out[-1][-1] if out else None
        if (
            last is not None
            and last == index - 1
            and (times[index] - times[last]).total_seconds() <= gap_s
        ):
            out[-1].append(index)
        else:
            out.append([index])
    return out


def table_rows(chart: TimeChart) -> list[tuple[datetime, list[str]]]:
    """Return the rows of a chart's table: start of the slot and a text for each column.

    A slot within a series' reach but without a value reads "no data"; outside its reach
    it reads "–".
    """
    step = chart.table_step_s
    columns = [
        _slots(line.times, [(value,) for value in line.values], step) for line in chart.lines
    ]
    columns += [
        _slots(band.times, list(zip(band.low, band.high, strict=True)), step)
        for band in chart.bands
    ]
    slots = sorted({slot for column in columns for slot in column})
    first, last = chart.start.timestamp(), chart.end.timestamp()
    return [
        (
            datetime.fromtimestamp(slot, UTC),
            [_cell(column.get(slot), chart.decimals) for column in columns],
        )
        for slot in slots
        if first <= slot + step - 1 and slot < last
    ]


def _slots(
    times: Sequence[datetime], values: Sequence[tuple[float, ...]], step_s: int
) -> dict[int, list[tuple[float, ...]]]:
    out: dict[int, list[tuple[float, ...]]] = {}
    for instant, value in zip(times, values, strict=True):
        out.setdefault(int(instant.timestamp() // step_s) * step_s, []).append(value)
    return out


def _cell(samples: list[tuple[float, ...]] | None, decimals: int) -> str:
    if samples is None:
        return "–"
    good = [sample for sample in samples if all(math.isfinite(value) for value in sample)]
    if not good:
        return "no data"
    means = [sum(values) / len(good) for values in zip(*good, strict=True)]
    return " to ".join(f"{mean:,.{decimals}f}" for mean in means)
