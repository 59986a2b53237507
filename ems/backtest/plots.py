"""The plots of a campaign's page, each drawn for a wide screen and for a narrow one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from markupsafe import Markup

from ems.backtest.comparison import FORESIGHT, OWN, PLANNED
from ems.backtest.drawing import Row, Spot, intervals, plane, strips
from ems.backtest.words import COLOURS, NAMES, case_name, window_name, within
from ems.demo.book import Figures
from ems.demo.drawing import Chart, Line, draw
from ems.demo.figures import WORSE_KH_PER_WEEK
from ems.demo.report import FULL_PX, NARROW_PX, WIDE_PX

PLUM = "#801650"
DASHES = {OWN: ("5 3", ", dashes"), FORESIGHT: ("2 2", ", dots")}
"""How a controller's line is broken, so that it is known without its colour, and its name."""
PRICE_COLOURS = (PLUM, "#28a197", "#12436d")
Plot = dict[str, Any]
Drawn = Callable[[float], str]


def figure(title: str, unit: str, drawn: Drawn, wide: float = FULL_PX) -> Plot:
    """Return a figure with both its drawings."""
    return {
        "title": title,
        "unit": unit,
        "wide": Markup(drawn(wide)),  # noqa: S704 - our own drawing, texts escaped there
        "narrow": Markup(drawn(NARROW_PX)),  # noqa: S704 - our own drawing, texts escaped there
    }


def cost_and_warmth(group: Figures) -> Plot:
    """Return the frontier with all controllers beside it."""
    grey = COLOURS[OWN]
    frontier = [
        Spot(_shift(point["shift_k"]), grey, point["kh"], point["gbp"])
        for point in group["plane"]["frontier"]
    ]
    spots = [
        Spot(NAMES[name], COLOURS[name], point["kh"], point["gbp"])
        for name, point in group["plane"]["runs"].items()
        if name != OWN
    ]
    title, units = "Cost against missing warmth", ("K·h below schedule", "£")
    return figure(
        title,
        "£ a home and week",
        lambda width: plane(title, units, frontier, spots, width, 420.0),
    )


def _shift(shift_k: float) -> str:
    return f"{shift_k:+g} K".replace("-", "−") if shift_k else "as asked"


def _row(name: str, colour: str, found: Figures, dots: Sequence[float] = ()) -> Row:
    value, low, high = (
        None if found[key] is None else 100.0 * found[key] for key in ("value", "low", "high")
    )
    return Row(name, colour, value, low, high, within(found), [100.0 * dot for dot in dots])


def controllers(group: Figures) -> Plot:
    """Return what each controller saves at equal warmth."""
    title = "Cost saved at equal warmth, by controller"
    rows = [
        _row(NAMES[name], COLOURS[name], found["cost"]["share"])
        for name, found in group["reductions"].items()
    ]
    return figure(title, "%", lambda width: intervals(title, "%", rows, width), WIDE_PX)


def windows(group: Figures) -> Plot | None:
    """Return planning's saving window by window, each case a dot."""
    title = "Cost saved at equal warmth by planning, by window"
    rows = []
    for window, found in group["by_window"].items():
        if PLANNED in found:
            dots = [
                one["share"]
                for one in group["spread"][PLANNED]
                if one["window"] == window and one["share"] is not None
            ]
            share = found[PLANNED]["cost"]["share"]
            rows.append(_row(window_name(window), COLOURS[PLANNED], share, dots))
    if not rows:
        return None
    return figure(title, "%", lambda width: intervals(title, "%", rows, width), WIDE_PX)


def seeds(group: Figures) -> Plot | None:
    """Return planning's saving case by case, one row a seed."""
    title = "Cost saved at equal warmth by planning, each seed in each window"
    spread = [one for one in group["spread"].get(PLANNED, []) if one["share"] is not None]
    if not spread:
        return None
    rows = []
    for seed in group["seeds"]:
        shares = [one["share"] for one in spread if one["seed"] == seed]
        if shares:
            mean = sum(shares) / len(shares)
            ends = (min(shares), max(shares)) if len(shares) > 1 else (None, None)
            found = {"value": mean, "low": ends[0], "high": ends[1]}
            rows.append(_row(f"Seed {seed}", COLOURS[PLANNED], found, shares))
    return figure(title, "%", lambda width: intervals(title, "%", rows, width))


def warmth(cases: Sequence[Figures]) -> Plot | None:
    """Return every home of every case as a dot: how much warmth it lost."""
    title, unit = "Missing warmth under planning, less that under own thermostats", "K·h a week"
    rows: dict[str, list[float]] = {}
    for case in cases:
        if PLANNED in case["comparison"]:
            changes = case["comparison"][PLANNED]["change_kh_per_week"].values()
            rows.setdefault(window_name(case["window"]), []).extend(sorted(changes))
    if not rows:
        return None
    colours = (COLOURS[PLANNED], PLUM)

    def drawn(width: float) -> str:
        return strips(
            title, unit, list(rows.items()), width, limit=WORSE_KH_PER_WEEK, colours=colours
        )

    return figure(title, unit, drawn)


def week(figures: Figures) -> Figures:
    """Return the plots of one week: prices, power and rooms of each block."""
    example = figures["example"]
    series, runs = example["series"], example["series"]["runs"]
    axis = _Days(series["start"], figures["zone"])

    def lines(pick: Callable[[Figures], Sequence[float]]) -> list[Line]:
        return [
            Line(NAMES[name], COLOURS[name], axis.hours, pick(run), DASHES.get(name, ("",))[0])
            for name, run in runs.items()
        ]

    def of_block(what: str, block: str) -> Callable[[Figures], Sequence[float]]:
        def pick(run: Figures) -> Sequence[float]:
            found: Sequence[float] = run[what][block]
            return found

        return pick

    plots = [_prices(figures, axis)]
    for key, block in figures["blocks"].items():
        power, rooms = lines(of_block("import_kw", key)), lines(of_block("block_room_c", key))
        plots.append(axis.plot(f"{block}: import", "kW", power, zero=True))
        plots.append(axis.plot(f"{block}: mean room", "°C", rooms))
    case = next(case for case in figures["cases"] if case["id"] == example["case"])
    return {
        "case": case_name(case),
        "number": example["week"] + 1,
        "legend": [
            {"name": NAMES[name] + DASHES.get(name, ("", ""))[1], "colour": COLOURS[name]}
            for name in runs
        ],
        "plots": plots,
    }


class _Days:
    """Half-hours along an axis, with days named in local time."""

    def __init__(self, stamps: Sequence[str], zone: str) -> None:
        local = [datetime.fromisoformat(stamp).astimezone(ZoneInfo(zone)) for stamp in stamps]
        self.hours = [0.5 * number for number in range(len(local))]
        days = [
            (hour, f"{at:%a} {at.day}")
            for hour, at in zip(self.hours, local, strict=True)
            if (at.hour, at.minute) == (0, 0)
        ]
        self.ticks = days or [(0.0, f"{local[0]:%a} {local[0].day}")]

    def plot(self, title: str, unit: str, lines: Sequence[Line], *, zero: bool = False) -> Plot:
        """Return a plot of lines over these half-hours."""

        def drawn(width: float) -> str:
            wide = width > WIDE_PX
            ticks = self.ticks if wide else self.ticks[::2]
            thin = [replace(line, thick=1.6 if wide else 1.0) for line in lines]
            return draw(Chart(title, unit, thin, ticks, zero=zero), width, 230.0)

        return figure(title, unit, drawn)


def _prices(figures: Figures, axis: _Days) -> Plot:
    """Return the plot of prices, one line where the landlord pays the same in all blocks."""
    rates = figures["example"]["series"]["rate_gbp_per_kwh"]
    names: dict[tuple[float, ...], list[str]] = {}
    for key, block in figures["blocks"].items():
        names.setdefault(tuple(rates[key]), []).append(block)
    lines = [
        Line(" and ".join(blocks), colour, axis.hours, [100.0 * rate for rate in paid])
        for (paid, blocks), colour in zip(names.items(), PRICE_COLOURS * len(names), strict=False)
    ]
    title = "Price of the landlord's electricity"
    if len(lines) > 1:
        title += f": {', '.join(line.name for line in lines)}"
    return axis.plot(title, "p/kWh", lines, zero=True)
