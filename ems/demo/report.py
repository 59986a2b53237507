"""Writes a report: ``report.json`` with every figure, ``report.html`` to look at.

The page stands alone in one file: no scripts, no addresses, plots as SVG.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ems.demo.book import Figures
from ems.demo.drawing import Chart, Line, bars, draw, nice_ticks
from ems.demo.figures import WORSE_KH_PER_WEEK
from ems.domain.estate import Estate

Pick = Callable[[Figures], list[float]]
"""Takes one series out of a run's."""
JSON_FILE, HTML_FILE = "report.json", "report.html"
NAMES = {
    "thermostat": "Own thermostats",
    "battery_only": "Battery planned",
    "planned": "All planned",
}
COLOURS = {"thermostat": "#6f777b", "battery_only": "#28a197", "planned": "#12436d"}
DASHES = {"thermostat": "6 3", "battery_only": "2 3", "planned": ""}
PLUM = "#801650"
WIDE_PX, FULL_PX, NARROW_PX = 520.0, 1080.0, 340.0
TOTALS: tuple[tuple[str, str, int], ...] = (
    ("Electricity bought, kWh", "energy_kwh", 0),
    ("of it heat pumps, kWh", "heat_pump_kwh", 0),
    ("Heat pumps in dear half-hours, kWh", "heat_pump_kwh_in_dear", 0),
    ("Cost, £", "cost_gbp", 2),
    ("Battery wear, £", "wear_gbp", 2),
    ("Stored more at the end, £", "stored_gbp", 2),
    ("Whole cost, £", "whole_cost_gbp", 2),
    ("Carbon, kg", "carbon_kg", 0),
    ("Highest half-hour of a block, kW", "peak_import_kw", 1),
    ("Below schedule less 0.5 K, K·h", "degree_hours_below_schedule", 1),
    ("Below the floor, K·h", "degree_hours_below_floor", 1),
    ("Below the floor by choice, K·h", "chosen_degree_hours_below_floor", 1),
    ("Mean room, °C", "mean_indoor_c", 2),
    ("Compressor starts", "compressor_starts", 0),
)


def write_report(folder: Path, estate: Estate, figures: Figures) -> list[Path]:
    """Write both files into ``folder``, made if need be; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    as_json, as_html = folder / JSON_FILE, folder / HTML_FILE
    text = json.dumps(figures, indent=1, ensure_ascii=False, allow_nan=False)
    as_json.write_text(text + "\n", encoding="utf-8")
    as_html.write_text(page(estate, figures), encoding="utf-8")
    return [as_json, as_html]


def page(estate: Estate, figures: Figures) -> str:
    """Return the page of a report."""
    environment = Environment(
        loader=PackageLoader("ems.demo", ""), autoescape=True, undefined=StrictUndefined
    )
    runs = figures["runs"]
    return environment.get_template("report.html").render(
        title=f"{estate.name}: what planning is worth",
        subtitle=f"{_local(estate, figures['from'])} to {_local(estate, figures['to'])}, "
        f"{figures['homes']} homes, seed {figures['seed']}",
        verdicts=verdicts(figures),
        conditions=_conditions(figures),
        names=list(NAMES.values()),
        totals=[
            [name, *(shown(runs[run][key], digits) for run in NAMES)]
            for name, key, digits in TOTALS
        ],
        payers=_payers(runs),
        payers_note=_payers_note(runs),
        legend=[{"name": name, "colour": COLOURS[run]} for run, name in NAMES.items()],
        plots=_plots(estate, figures),
        frontier=_frontier(figures),
        frontier_note=_frontier_note(figures),
        warmth=_warmth(figures),
        homes_note=_homes_note(figures),
        homes=_homes(runs),
    )


def _local(estate: Estate, stamp: str) -> str:
    return f"{datetime.fromisoformat(stamp).astimezone(estate.zone):%-d %B %Y %H:%M}"


def shown(value: float, digits: int) -> str:
    """Return a number of so many decimals, thousands apart, with a true minus sign."""
    # Rounded first: what rounds to nothing has no sign.
    return f"{round(value, digits) + 0.0:,.{digits}f}".replace("-", "−")


def verdicts(figures: Figures) -> list[dict[str, Any]]:
    """Return what the figures say of cost and of warmth, each with whether it is good."""
    result = []
    for run, what in (("planned", "Planning everything"), ("battery_only", "Planning the battery")):
        one = figures["comparison"][run]
        saved, share = one["saved_at_equal_warmth_gbp"], one["saved_at_equal_warmth_share"]
        much = f"£{abs(saved):.2f}"
        if share is not None:
            much += f" ({abs(share):.1%})"
        beyond = "" if one["equal_warmth_reached"] else " (the frontier does not reach this warmth)"
        how = "cheaper" if one["cheaper"] else "dearer"
        text = f"At equal warmth it is {much} {how} than own thermostats{beyond}"
        bills = one["saved_bills_gbp"]
        text += f"; its bills are £{abs(bills):.2f} {'lower' if bills >= 0 else 'higher'}. "
        worse = one["homes_worse"]
        if worse:
            first = worse[0]
            are = "is" if len(worse) == 1 else "are"
            text += f"{len(worse)} of {figures['homes']} homes {are} worse by more than "
            text += f"{WORSE_KH_PER_WEEK} K·h a week, {first['id']} the most "
            text += f"({first['worse_kh_per_week']:.1f})."
        else:
            text += f"No home is worse by more than {WORSE_KH_PER_WEEK} K·h a week."
        text += _besides(figures["runs"]["thermostat"], figures["runs"][run])
        if one["cold_in_both"]:
            text += f" Cold under any controller: {', '.join(one['cold_in_both'])}."
        good = one["cheaper"] and one["as_warm"]
        heading = f"{what} {'holds' if good else 'does not hold'} what it promises."
        result.append({"good": good, "heading": heading, "text": text})
    return result


def _besides(own: Figures, other: Figures) -> str:
    """Return what else changed, good or bad, in one sentence."""
    kwh = other["energy_kwh"] / own["energy_kwh"] - 1.0
    carbon = other["carbon_kg"] / own["carbon_kg"] - 1.0
    warmer = other["mean_indoor_c"] - own["mean_indoor_c"]
    return (
        f" Against own thermostats: electricity {_change(kwh)}, carbon {_change(carbon)}, mean "
        f"room {abs(warmer):.2f} K {'warmer' if warmer >= 0 else 'cooler'}, highest half-hour "
        f"of a block {other['peak_import_kw']:.0f} kW instead of {own['peak_import_kw']:.0f} kW."
    )


def _change(share: float) -> str:
    return f"{abs(share):.1%} {'more' if share >= 0 else 'less'}"


def _conditions(figures: Figures) -> str:
    dear = {b["id"]: b["dear_half_hours"] for b in figures["runs"]["planned"]["blocks"]}
    count = round(figures["hours"] * 2)
    spread = "; ".join(f"block {block}: {number}" for block, number in dear.items())
    return (
        f"Forecasts were made from {figures['history_days']} days of history; weather: "
        f"{figures['weather_forecast']}. Of {count} half-hours, dearer than the mean price: "
        f"{spread}.{without_carbon(figures['half_hours_without_carbon'])}"
    )


def without_carbon(half_hours: int) -> str:
    """Return a sentence on what carbon leaves out; nothing where it is whole."""
    if not half_hours:
        return ""
    return f" Carbon leaves out {half_hours} half-hours whose intensity is not known."


def _payers(runs: Figures) -> list[list[str]]:
    rows = []
    for number, block in enumerate(runs["planned"]["blocks"]):
        for key, what in (
            ("tenants_gbp", "tenants' bills"),
            ("landlord_gbp", "landlord"),
            ("cost_gbp", "in sum"),
        ):
            cells = [shown(runs[run]["blocks"][number][key], 2) for run in NAMES]
            rows.append([f"{block['name']}, {what}", *cells])
    cells = [shown(runs[run]["cost_gbp"], 2) for run in NAMES]
    rows.append(["Estate", *cells])
    return rows


def _payers_note(runs: Figures) -> str:
    pooled = [b["name"] for b in runs["planned"]["blocks"] if b["supply"] == "boundary"]
    note = f"Standing charges come to £{runs['planned']['standing_gbp']:.2f} in every run. "
    if pooled:
        note += (
            f"In {' and '.join(pooled)} the landlord buys at the block meter and resells to the "
            "homes: the landlord's figure is what was bought less the tenants' bills."
        )
    return note


def _plots(estate: Estate, figures: Figures) -> list[dict[str, Any]]:
    series = figures["series"]
    instants = [datetime.fromisoformat(stamp) for stamp in series["start"]]
    hours = [0.5 * number for number in range(len(instants))]
    every = 12 if len(hours) > 72 else 6
    local = [instant.astimezone(estate.zone) for instant in instants]
    ticks = [
        (hour, f"{at:%a} {at:%H}:00" if every == 12 else f"{at:%H}:00")
        for hour, at in zip(hours, local, strict=True)
        if at.hour % every == 0 and at.minute == 0
    ]

    def lines(pick: Pick) -> list[Line]:
        return [
            Line(name, COLOURS[run], hours, pick(series["runs"][run]), DASHES[run])
            for run, name in NAMES.items()
        ]

    def plot(title: str, unit: str, block: str | None, pick: Pick, zero: bool) -> dict[str, Any]:
        rates = series["rate_gbp_per_kwh"][block or estate.blocks[0].id]
        chart = Chart(title, unit, lines(pick), ticks, _shaded(hours, rates), zero=zero)
        few = ticks[:: 1 + len(ticks) // 5]
        thin = Chart(title, unit, lines(pick), few, chart.shaded, zero=zero)
        return both(chart, thin, WIDE_PX)

    plots: list[dict[str, Any]] = []
    for block in estate.blocks:
        wanted = [("import", "kW", "import_kw")]
        if block.battery is not None:
            wanted.append(("battery", "%", "battery_pct"))
        for what, unit, name in wanted:

            def pick(run: Figures, name: str = name, key: str = block.id) -> list[float]:
                found: list[float] = run[name][key]
                return found

            plots.append(plot(f"{block.name}: {what}", unit, block.id, pick, True))
    plots.append(plot("Mean room of all homes", "°C", None, lambda run: run["room_c"], False))
    rates = series["rate_gbp_per_kwh"]
    price = [
        Line(f"price {key}", PLUM, hours, [100 * rate for rate in values])
        for key, values in rates.items()
    ]
    price_chart = Chart("Price of the landlord's electricity", "p/kWh", price, ticks, zero=True)
    thin = Chart(price_chart.title, "p/kWh", price, ticks[:: 1 + len(ticks) // 5], zero=True)
    plots.append(both(price_chart, thin, WIDE_PX))
    return plots


def both(chart: Chart, thin: Chart, width: float) -> dict[str, Any]:
    """Return a chart drawn ``width`` wide, and ``thin`` drawn for a narrow screen."""
    return {
        "title": chart.title,
        "unit": chart.unit,
        "wide": Markup(draw(chart, width)),  # noqa: S704 - our own drawing, texts escaped there
        "narrow": Markup(draw(thin, NARROW_PX)),  # noqa: S704 - our own drawing, texts escaped there
    }


def _shaded(hours: Sequence[float], rates: Sequence[float]) -> list[tuple[float, float]]:
    mean = sum(rates) / len(rates)
    spans: list[tuple[float, float]] = []
    for hour, rate in zip(hours, rates, strict=True):
        if rate > mean + 1e-9:
            if spans and spans[-1][1] == hour:
                spans[-1] = (spans[-1][0], hour + 0.5)
            else:
                spans.append((hour, hour + 0.5))
    last = hours[-1]
    return [(start, min(end, last)) for start, end in spans]


def _frontier(figures: Figures) -> dict[str, Any]:
    points = sorted(figures["frontier"], key=lambda point: point["shift_k"])
    below, cost = "degree_hours_below_schedule", "whole_cost_gbp"
    lines = [
        Line(
            "thermostats, schedules shifted",
            COLOURS["thermostat"],
            [point[below] for point in points],
            [point[cost] for point in points],
            dots=True,
            labels=[
                f"{point['shift_k']:+g} K".replace("-", "−") if point["shift_k"] else "as asked"
                for point in points
            ],
        )
    ]
    for run in ("battery_only", "planned"):
        found = figures["runs"][run]
        lines.append(
            Line(
                NAMES[run],
                COLOURS[run],
                [found[below]],
                [found[cost]],
                dots=True,
                labels=[NAMES[run]],
                labels_below=run == "planned",
            )
        )
    across = [x for line in lines for x in line.x]
    ticks = [(x, f"{x:g}") for x in nice_ticks(min(across), max(across)) if x <= max(across)]
    ticks = [(x, name) for x, name in ticks if x >= min(across)]
    chart = Chart(
        "Whole cost against missing warmth", "£", lines, ticks, x_unit="K·h below schedule"
    )
    return both(chart, chart, FULL_PX)


def _frontier_note(figures: Figures) -> str:
    one = figures["comparison"]["planned"]
    level, own = one["equal_warmth_cost_gbp"], figures["runs"]["planned"]["whole_cost_gbp"]
    return (
        "Each grey point is the estate on its own thermostats with all schedules shifted by so "
        f"much. Where the frontier is as warm as the planned run it costs £{level:.2f}; the "
        f"planned run costs £{own:.2f}, battery wear and what is left in batteries, tanks and "
        "rooms counted in both."
    )


def _warmth(figures: Figures) -> dict[str, Any]:
    changes = figures["comparison"]["planned"]["change_kh_per_week"]
    values = sorted(changes.items(), key=lambda item: (-item[1], item[0]))
    title = "Missing warmth under planning, less that under own thermostats"
    colours = (COLOURS["planned"], PLUM)
    drawn = [
        Markup(  # noqa: S704 - our own drawing, texts escaped there
            bars(title, "K·h a week", values, width, limit=WORSE_KH_PER_WEEK, colours=colours)
        )
        for width in (FULL_PX, NARROW_PX)
    ]
    return {"title": title, "unit": "K·h a week", "wide": drawn[0], "narrow": drawn[1]}


def _homes_note(figures: Figures) -> str:
    one = figures["comparison"]["planned"]
    higher = len(one["bills_higher"])
    one_rate = {home["id"] for home in figures["runs"]["planned"]["home"] if home["one_rate"]}
    flat = sum(home in one_rate for home in one["bills_higher"])
    return (
        "A bar to the left is a warmer home under planning; beyond "
        f"{WORSE_KH_PER_WEEK} K·h a week to the right it is worse off. {higher} of "
        f"{figures['homes']} homes pay more than on their own thermostats, credits for heating "
        "ahead taken off and before what is stored in their rooms at the end is counted; "
        f"{flat} of these pay one rate at all hours: what planning shifts saves them nothing, and "
        "a room that is warm on time costs more. No home pays more than "
        f"{max(one['highest_bill_rise_pct']['pct'], 0.0):.1f} % more than on its own thermostat."
    )


def _homes(runs: Figures) -> list[list[str]]:
    rows = []
    for own, planned in zip(runs["thermostat"]["home"], runs["planned"]["home"], strict=True):
        steered = "room setpoint" if own["actuator"] == "room_setpoint" else "SG Ready"
        row = [own["id"], steered]
        for key, digits in (
            ("bill_gbp", 2),
            ("degree_hours_below_schedule", 2),
            ("mean_indoor_c", 1),
            ("compressor_starts", 0),
        ):
            row += [shown(own[key], digits), shown(planned[key], digits)]
        rows.append(row)
    return rows
