"""Turns the charts of :mod:`web.charts` into markup.

Each chart is drawn twice, for wide and for narrow screens; the style sheet shows one of
the two, so that labels keep their size. Colours are presentation attributes, which a
strict Content-Security-Policy allows; inline styles are not used.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from markupsafe import Markup, escape

from web.charts import (
    GREY,
    Band,
    BarChart,
    Line,
    TimeChart,
    nice_ticks,
    runs,
    table_rows,
    time_ticks,
)

INK = "#0b0c0c"
GRID = "#d9dee2"
FUTURE = "#f1f5f8"
DAY_LABEL_PX = 74.0
DASH = ' stroke-dasharray="7 4"'
DOTS = ' stroke-dasharray="2 4"'


@dataclass(frozen=True, slots=True)
class Frame:
    """A drawing's size and margins [px] and the ranges of its axes."""

    width: float
    height: float
    x0: float
    x1: float
    y0: float
    y1: float
    left: float = 46.0
    right: float = 14.0
    top: float = 24.0
    bottom: float = 40.0

    def x(self, value: float) -> float:
        """Return the horizontal position [px], held within the plot."""
        share = (value - self.x0) / (self.x1 - self.x0)
        return self.left + min(max(share, 0.0), 1.0) * (self.width - self.left - self.right)

    def y(self, value: float) -> float:
        """Return the vertical position [px], held within the plot."""
        share = (value - self.y0) / (self.y1 - self.y0)
        return self.base - min(max(share, 0.0), 1.0) * (self.base - self.top)

    @property
    def base(self) -> float:
        """Lower edge of the plot [px]."""
        return self.height - self.bottom


WIDE, HALF, NARROW = 1150.0, 560.0, 400.0


def figure(chart: TimeChart | BarChart, width: float = HALF) -> Markup:
    """Return a chart as a figure: title, legend, two drawings and its table.

    ``width`` is that of the wide drawing [px]: `WIDE` for a full row, `HALF` for half.
    """
    body = (
        Markup('<p class="app-empty">{}</p>').format(f"{chart.summary} There is no data yet.")
        if chart.is_empty
        else Markup("").join(
            [_legend(chart), _draw(chart, width, "wide"), _draw(chart, NARROW, "narrow")]
        )
        + _table(chart)
    )
    return Markup(
        '<figure class="app-chart" id="chart-{key}"><figcaption class="app-chart__caption">'
        '<span class="app-chart__title">{title}</span> <span class="app-chart__unit">{unit}</span>'
        "</figcaption>{body}</figure>"
    ).format(key=chart.key, title=chart.title, unit=_unit_words(chart.unit), body=body)


def _unit_words(unit: str) -> str:
    return f"in {unit}" if unit else ""


def _draw(chart: TimeChart | BarChart, width: float, kind: str) -> Markup:
    height = 300.0 if width > HALF else 270.0
    inner = (
        _time_drawing(chart, width, height)
        if isinstance(chart, TimeChart)
        else _bar_drawing(chart, width, height)
    )
    ident = f"{chart.key}-{kind}"
    return Markup(
        '<svg class="app-chart__{kind}" viewBox="0 0 {w:.0f} {h:.0f}" width="{w:.0f}" '
        'height="{h:.0f}" role="img" aria-labelledby="{ident}-t {ident}-d">'
        '<title id="{ident}-t">{title}</title><desc id="{ident}-d">{summary}</desc>{inner}</svg>'
    ).format(
        kind=kind,
        w=width,
        h=height,
        ident=ident,
        title=chart.title,
        summary=chart.summary,
        inner=Markup(inner),  # noqa: S704 - numbers, palette and escaped text only
    )


def _text(x: float, y: float, words: str, anchor: str = "middle", fill: str = INK) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}">{escape(words)}</text>'
    )


def _y_range(chart: TimeChart) -> tuple[float, float]:
    inside = [
        value
        for line in chart.lines
        for instant, value in zip(line.times, line.values, strict=True)
        if math.isfinite(value) and instant < chart.end
    ]
    for band in chart.bands:
        inside += [
            value for pair in (band.low, band.high) for value in pair if math.isfinite(value)
        ]
    inside += [level.value for level in chart.levels]
    low, high = min(inside), max(inside)
    if chart.from_zero:
        return min(low, 0.0), max(high, 0.0)
    pad = max((high - low) * 0.08, 0.2)
    return low - pad, high + pad


def _tick_words(value: float, step: float) -> str:
    decimals = next(
        (count for count in range(4) if abs(step * 10**count - round(step * 10**count)) < 1e-6), 4
    )
    return f"{value:,.{decimals}f}".replace("-", "−")


def _y_axis(frame: Frame, ticks: list[float], unit: str) -> Iterator[str]:
    step = ticks[1] - ticks[0]
    for tick in ticks:
        y = frame.y(tick)
        heavy = abs(tick) < 1e-9
        yield (
            f'<line x1="{frame.left:.1f}" x2="{frame.width - frame.right:.1f}" y1="{y:.1f}" '
            f'y2="{y:.1f}" stroke="{GREY if heavy else GRID}" stroke-width="1"/>'
        )
        yield _text(frame.left - 6, y + 4.5, _tick_words(tick, step), "end")
    yield _text(frame.left - 6, frame.top - 11, unit, "end", "#484949")


def _time_drawing(chart: TimeChart, width: float, height: float) -> str:
    ticks = nice_ticks(*_y_range(chart))
    frame = Frame(
        width,
        height,
        chart.start.timestamp(),
        chart.end.timestamp(),
        ticks[0],
        ticks[-1],
    )
    parts: list[str] = []
    now_x = None
    if chart.now is not None and chart.start <= chart.now < chart.end:
        now_x = frame.x(chart.now.timestamp())
        parts.append(
            f'<rect x="{now_x:.1f}" y="{frame.top:.1f}" fill="{FUTURE}" '
            f'width="{frame.width - frame.right - now_x:.1f}" '
            f'height="{frame.base - frame.top:.1f}"/>'
        )
    parts += _y_axis(frame, ticks, chart.unit)
    parts += _x_axis(frame, chart)
    parts += [_band(frame, band) for band in chart.bands]
    for line in chart.lines:
        parts += _line(frame, line)
    for level in chart.levels:
        y = frame.y(level.value)
        parts.append(
            f'<line x1="{frame.left:.1f}" x2="{frame.width - frame.right:.1f}" y1="{y:.1f}" '
            f'y2="{y:.1f}" stroke="{level.colour}" stroke-width="2"{DOTS}/>'
        )
    if now_x is not None:
        parts.append(
            f'<line x1="{now_x:.1f}" x2="{now_x:.1f}" y1="{frame.top:.1f}" y2="{frame.base:.1f}" '
            f'stroke="{INK}" stroke-width="1"/>'
        )
        parts.append(_text(now_x, frame.top - 8, "now"))
    return "".join(parts)


def _x_axis(frame: Frame, chart: TimeChart) -> Iterator[str]:
    hours = (chart.end - chart.start).total_seconds() / 3600.0
    room = (frame.width - frame.left) / 46.0
    every = next(step for step in (1, 2, 3, 4, 6, 12, 24, 48) if hours / step <= room or step == 48)
    instants = time_ticks(chart.start, chart.end, chart.zone, min(every, 24))
    days: list[tuple[float, str]] = []
    for instant in instants:
        local = instant.astimezone(chart.zone)
        x = frame.x(instant.timestamp())
        yield (
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{frame.base:.1f}" y2="{frame.base + 5:.1f}" '
            f'stroke="{GREY}" stroke-width="1"/>'
        )
        words = local.strftime("%H:%M") if every < 24 else local.strftime("%-d %b")
        if x < frame.width - 17:
            yield _text(x, frame.base + 18, words)
        if every >= 24:
            continue
        if local.hour == 0 or not days:
            days.append((max(x, frame.left + 14), local.strftime("%a %-d %b")))
    if len(days) > 1 and days[1][0] - days[0][0] < DAY_LABEL_PX:
        days.pop(0)
    for x, day in days:
        if x < frame.width - frame.right - 28:
            yield _text(x, frame.base + 34, day, "middle", "#484949")


def _line(frame: Frame, line: Line) -> Iterator[str]:
    gap_s = line.step_s * 1.01 if line.step_s else line.gap_s
    dash = DASH if line.dashed else ""
    for run in runs(line.times, line.values, gap_s):
        points: list[tuple[float, float]] = []
        for index in run:
            at = line.times[index].timestamp()
            if at + (line.step_s or 0.0) < frame.x0 or at > frame.x1:
                continue
            y = frame.y(line.values[index])
            points.append((frame.x(at), y))
            if line.step_s:
                points.append((frame.x(at + line.step_s), y))
        if not points:
            continue
        if len(points) == 1:
            x, y = points[0]
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{line.colour}"/>'
            continue
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        if line.filled:
            zero = frame.y(min(max(0.0, frame.y0), frame.y1))
            yield (
                f'<polygon points="{points[0][0]:.1f},{zero:.1f} {path} '
                f'{points[-1][0]:.1f},{zero:.1f}" fill="{line.colour}" fill-opacity="0.14"/>'
            )
        yield (
            f'<polyline points="{path}" fill="none" stroke="{line.colour}" stroke-width="2" '
            f'stroke-linejoin="round"{dash}/>'
        )


def _band(frame: Frame, band: Band) -> str:
    parts = []
    both = [low + high for low, high in zip(band.low, band.high, strict=True)]
    for run in runs(band.times, both, band.step_s * 1.01):
        upper, lower = [], []
        for index in run:
            at = band.times[index].timestamp()
            for instant in (at, at + band.step_s):
                upper.append(f"{frame.x(instant):.1f},{frame.y(band.high[index]):.1f}")
                lower.append(f"{frame.x(instant):.1f},{frame.y(band.low[index]):.1f}")
        parts.append(
            f'<polygon points="{" ".join(upper + lower[::-1])}" fill="{band.colour}" '
            'fill-opacity="0.22"/>'
        )
    return "".join(parts)


def _bar_drawing(chart: BarChart, width: float, height: float) -> str:
    totals = [total for total in chart.totals if math.isfinite(total)]
    ticks = nice_ticks(0.0, max([*totals, 0.1]))
    count = len(chart.labels)
    frame = Frame(width, height, 0.0, float(count), ticks[0], ticks[-1])
    parts = list(_y_axis(frame, ticks, chart.unit))
    slot = (frame.width - frame.left - frame.right) / count
    every = max(1, math.ceil(44.0 / slot))
    for index, label in enumerate(chart.labels):
        middle = frame.left + slot * (index + 0.5)
        if (count - 1 - index) % every == 0:
            parts.append(_text(middle, frame.base + 18, label))
        if not math.isfinite(chart.totals[index]):
            parts.append(_text(middle, frame.base - 6, "?", fill="#484949"))
            continue
        low = 0.0
        for layer in chart.layers:
            top = low + max(layer.values[index], 0.0)
            bar = min(slot * 0.72, 64.0)
            parts.append(
                f'<rect x="{middle - bar / 2:.1f}" y="{frame.y(top):.1f}" width="{bar:.1f}" '
                f'height="{max(frame.y(low) - frame.y(top), 0.0):.1f}" fill="{layer.colour}" '
                f'stroke="#ffffff" stroke-width="1"><title>{escape(chart.long_labels[index])}: '
                f"{escape(layer.name)} {layer.values[index]:.{chart.decimals}f} "
                f"{escape(chart.unit)}</title></rect>"
            )
            low = top
    return "".join(parts)


def _legend(chart: TimeChart | BarChart) -> Markup:
    if isinstance(chart, BarChart):
        entries = [(_swatch_box(layer.colour, 1.0), layer.name) for layer in chart.layers]
    else:
        entries = [
            (_swatch_line(line.colour, DASH if line.dashed else ""), line.name)
            for line in chart.lines
        ]
        entries += [(_swatch_box(band.colour, 0.3), band.name) for band in chart.bands]
        entries += [(_swatch_line(level.colour, DOTS), level.name) for level in chart.levels]
    items = Markup("").join(
        Markup("<li>{} {}</li>").format(Markup(swatch), name)  # noqa: S704 - palette colours only
        for swatch, name in entries
    )
    return Markup('<ul class="app-legend">{}</ul>').format(items)


def _swatch_line(colour: str, dash: str) -> str:
    return (
        '<svg width="26" height="10" aria-hidden="true" focusable="false">'
        f'<line x1="0" x2="26" y1="5" y2="5" stroke="{colour}" stroke-width="3"{dash}/></svg>'
    )


def _swatch_box(colour: str, opacity: float) -> str:
    return (
        '<svg width="18" height="12" aria-hidden="true" focusable="false">'
        f'<rect width="18" height="12" fill="{colour}" fill-opacity="{opacity}"/></svg>'
    )


def _table(chart: TimeChart | BarChart) -> Markup:
    if isinstance(chart, TimeChart):
        heads = ["Time"] + [line.name for line in chart.lines] + [b.name for b in chart.bands]
        rows = [(_row_time(instant, chart), cells) for instant, cells in table_rows(chart)]
        notes = [
            f"{level.name}: {level.value:,.{chart.decimals}f} {chart.unit}."
            for level in chart.levels
        ]
    else:
        heads = ["Day"] + [layer.name for layer in chart.layers] + ["Together"]
        rows = [
            (
                chart.long_labels[index],
                [
                    f"{value:,.{chart.decimals}f}" if math.isfinite(value) else "no data"
                    for value in (
                        *(layer.values[index] for layer in chart.layers),
                        chart.totals[index],
                    )
                ],
            )
            for index in range(len(chart.labels))
        ]
        notes = []
    head = Markup("").join(
        Markup('<th scope="col" class="govuk-table__header{}">{}</th>').format(
            Markup(" govuk-table__header--numeric") if index else "", name
        )
        for index, name in enumerate(heads)
    )
    body = Markup("").join(
        Markup(
            '<tr class="govuk-table__row">'
            '<th scope="row" class="govuk-table__header">{}</th>{}</tr>'
        ).format(
            label,
            Markup("").join(
                Markup('<td class="govuk-table__cell govuk-table__cell--numeric">{}</td>').format(
                    cell
                )
                for cell in cells
            ),
        )
        for label, cells in rows
    )
    return Markup(
        '<details class="govuk-details app-chart__data"><summary class="govuk-details__summary">'
        '<span class="govuk-details__summary-text">{title}: figures as a table</span></summary>'
        '<div class="govuk-details__text"><p class="govuk-body-s">{summary} {notes}</p>'
        '<div class="app-scroll" tabindex="0" role="region" aria-label="{title}, {unit}">'
        '<table class="govuk-table app-table--small"><caption class="govuk-visually-hidden">'
        "{title}, {unit}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        "</div></div></details>"
    ).format(
        title=chart.title,
        unit=_unit_words(chart.unit),
        summary=chart.summary,
        notes=" ".join(notes),
        head=head,
        body=body,
    )


def _row_time(instant: datetime, chart: TimeChart) -> str:
    local = instant.astimezone(chart.zone)
    span = chart.end - chart.start
    return local.strftime("%a %-d %b, %H:%M") if span > timedelta(hours=2) else f"{local:%H:%M}"
