"""The report of a backtest: ``metrics.json`` with every figure, ``report.html`` to look at."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ems.demo.drawing import Chart, Line, draw
from forecasting.backtest import SCALES, Scored, by_subject, metrics
from forecasting.calendar import Calendar
from forecasting.interface import LEVELS

JSON_FILE, HTML_FILE = "metrics.json", "report.html"
COLOURS = ("#12436d", "#28a197", "#801650", "#f46a25", "#3d3d3d", "#a285d1")
NAMES = {"home": "Every home", "group": "Groups of homes", "total": "All homes together"}
WIDE_PX, NARROW_PX = 520.0, 340.0
_DAYS_SHOWN = 4
FIGURES = (
    ("mae_ratio", "Error to naive's", 3),
    ("pinball_ratio", "Pinball to naive's", 3),
    ("coverage_80", "Within P10–P90", 3),
    ("mae_w", "Mean error, W", 0),
    ("rmse_w", "RMSE, W", 0),
    ("bias", "Energy of the mean", 3),
    ("peak_error", "Error of the peak", 3),
)


def write_report(
    folder: Path,
    found: Mapping[str, Mapping[str, Scored]],
    facts: Mapping[str, Any],
    calendar: Calendar,
) -> dict[str, Any]:
    """Write both files into ``folder``, made if need be; return the figures.

    The figures of the first model stand at the top of ``metrics.json``, all under
    ``models``.
    """
    models = {
        name: {scale: metrics(one, spread=scale == "home") for scale, one in scales.items()}
        for name, scales in found.items()
    }
    first = next(iter(models))
    report: dict[str, Any] = {**models[first], "model": first, **facts, "models": models}
    report["subjects"] = {
        scale: by_subject(one) for scale, one in found[first].items() if scale != "total"
    }
    report["lacked"] = {
        subject: list(why)
        for scale, one in found[first].items()
        for subject, why in one.lacked.items()
        if scale == "home"
    }
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / JSON_FILE).write_text(text + "\n", encoding="utf-8")
    (folder / HTML_FILE).write_text(page(report, found, calendar), encoding="utf-8")
    return report


def page(
    report: Mapping[str, Any], found: Mapping[str, Mapping[str, Scored]], calendar: Calendar
) -> str:
    """Return the page of a backtest."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("ems.cli", ""), PackageLoader("ems.demo", "")]),
        autoescape=True,
        undefined=StrictUndefined,
    )
    models, first = report["models"], report["model"]
    scales = [scale for scale in SCALES if scale in models[first]]
    begin, end, count = report["origins"]
    colours = {name: COLOURS[at % len(COLOURS)] for at, name in enumerate(models)}
    return environment.get_template("forecast_report.html").render(
        title="How good the forecasts are",
        subtitle=f"{report['data']}: {report['homes']} homes, {count} origins every "
        f"{report['every']} from {begin[:10]} to {end[:10]}, {report['horizon']} half-hours ahead",
        verdict=_verdict(report),
        conditions=_conditions(report),
        headings=[heading for _, heading, _ in FIGURES],
        tables=[
            {
                "name": NAMES[scale],
                "rows": [
                    [name, *(_number(one[scale][key], digits) for key, _, digits in FIGURES)]
                    for name, one in models.items()
                    if scale in one
                ],
            }
            for scale in scales
        ],
        legend=[{"name": name, "colour": colour} for name, colour in colours.items()],
        band=COLOURS[0],
        leads=[_over_lead(scale, found, colours) for scale in scales],
        days=[_days(scale, found[first][scale], report, calendar) for scale in scales],
        homes=_homes(report),
    )


def _number(value: float | None, digits: int) -> str:
    if value is None:
        return "–"
    return f"{round(value, digits) + 0.0:,.{digits}f}".replace("-", "−")


def _verdict(report: Mapping[str, Any]) -> str:
    said = []
    for scale, what in (("home", "homes"), ("group", "groups"), ("total", "all homes together")):
        ratio = report.get(scale, {}).get("mae_ratio")
        if ratio is not None:
            how = "below" if ratio < 1 else "above"
            said.append(f"{abs(1 - ratio):.0%} {how} it for {what}")
    if not said:
        return "No half-hour could be scored: there is no actual, or nothing a week before it."
    return f"Against the value of a week before, the error of the median is {', '.join(said)}."


def _conditions(report: Mapping[str, Any]) -> str:
    said = (
        f"Weather: {report['weather']}. {report['homes_left_out']} homes with more than "
        f"{report['max_missing']:.0%} missing were left out. {report['seconds']} seconds, "
        f"{report['peak_mb']} MB of memory at most."
    )
    return " ".join([said, *(f"{note[0].upper()}{note[1:]}." for note in report["notes"])])


def _over_lead(
    scale: str, found: Mapping[str, Mapping[str, Scored]], colours: Mapping[str, str]
) -> dict[str, Any]:
    lines = []
    for name, scales in found.items():
        one = scales.get(scale)
        if one is None:
            continue
        middle = one.quantiles[LEVELS.index(0.5)]
        good = np.isfinite(one.actual) & np.isfinite(one.naive) & np.isfinite(middle)
        own = np.where(good, np.abs(middle - one.actual), 0.0).sum(axis=(0, 1))
        theirs = np.where(good, np.abs(one.naive - one.actual), 0.0).sum(axis=(0, 1))
        at = np.flatnonzero(theirs > 0)
        hours = ((at + 1) / 2).tolist()
        lines.append(Line(name, colours[name], hours, (own[at] / theirs[at]).tolist()))
    lines = [line for line in lines if line.x]
    if not lines:
        return _nothing(f"{NAMES[scale]}: nothing scored")
    last = max(line.x[-1] for line in lines)
    step = next(step for step in (0.5, 1, 2, 6, 12, 24, 1000) if last / step <= 8)
    ticks = [(float(x), f"{x:g} h") for x in np.arange(step, last + 0.01, step)]
    return _drawn(Chart(f"{NAMES[scale]}: error over lead", "to naive's", lines, ticks, zero=True))


def _days(scale: str, one: Scored, report: Mapping[str, Any], calendar: Calendar) -> dict[str, Any]:
    """Draw what came against the median and the band, for some days in the middle."""
    every, steps = pd.Timedelta(report["every"]), one.actual.shape[2]
    apart = max(int(every / pd.Timedelta(minutes=30)), 1)
    fresh = min(apart, steps)
    each = np.abs(one.naive - one.actual)
    row = int(np.argsort(np.nan_to_num(each).sum(axis=(0, 2)))[len(one.subjects) // 2])
    origins = len(one.actual)
    few = max(min(_DAYS_SHOWN * 48 // apart, origins), 1)
    first = (origins - few) // 2
    begin = pd.Timestamp(report["origins"][0]) + every * first
    lines = []
    hours = np.concatenate([apart * n + np.arange(fresh) for n in range(few)]) / 2.0
    for values, colour, dash, name in (
        (one.quantiles[0], COLOURS[1], "4 3", "P10"),
        (one.quantiles[-1], COLOURS[1], "4 3", "P90"),
        (one.actual, "#6f777b", "", "actual"),
        (one.quantiles[LEVELS.index(0.5)], COLOURS[0], "", "median"),
    ):
        flat = values[first : first + few, row, :fresh].ravel() / 1000.0
        good = np.isfinite(flat)
        if good.any():
            lines.append(Line(name, colour, hours[good].tolist(), flat[good].tolist(), dash))
    title = f"{NAMES[scale]}: {one.subjects[row]}"
    if not lines:
        return _nothing(f"{title}, nothing to show")
    ticks = []
    for hour in range(0, int(hours[-1]) + 1):
        local = (begin + pd.Timedelta(hours=hour)).tz_convert(calendar.zone)
        if local.hour % (24 if hours[-1] > 48 else 6) == 0 and local.minute == 0:
            ticks.append(
                (float(hour), f"{local:%a %-d %b}" if local.hour == 0 else f"{local:%H}:00")
            )
    return _drawn(Chart(title, "kW", lines, ticks[:: 1 + len(ticks) // 6], zero=True))


def _drawn(chart: Chart) -> dict[str, Any]:
    thin = Chart(chart.title, chart.unit, chart.lines, chart.ticks[::2], zero=chart.zero)
    return {
        "title": chart.title,
        "unit": chart.unit,
        "wide": Markup(draw(chart, WIDE_PX)),  # noqa: S704 - our own drawing, texts escaped there
        "narrow": Markup(draw(thin, NARROW_PX)),  # noqa: S704 - our own drawing, texts escaped there
    }


def _nothing(title: str) -> dict[str, Any]:
    return {"title": title, "unit": "–", "wide": "", "narrow": ""}


def _homes(report: Mapping[str, Any]) -> list[list[str]]:
    rows = []
    for home, one in report["subjects"].get("home", {}).items():
        why = [*report["weak"].get(home, []), *report["lacked"].get(home, [])]
        rows.append(
            [
                home,
                _number(one["mae_ratio"], 3),
                _number(one["pinball_ratio"], 3),
                _number(one["coverage_80"], 2),
                _number(one["mae_w"], 0),
                _number(one["bias"], 3),
                "; ".join(why[:3]) or "–",
            ]
        )
    return rows
