"""From what was measured to the figures of a report: money, carbon, warmth, comparisons.

Pure arithmetic over `ems.demo.evidence.Evidence`; ``docs/metrics.md`` states each formula.
Every figure is a plain number, string, list or mapping, rounded, so that the same seed
gives the same file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ems.demo.book import Book, Figures, rounded, stamp
from ems.demo.evidence import Controller, Evidence
from ems.domain.estate import Estate
from ems.domain.forecasts import FloatArray

WEEK_H = 168.0
WORSE_KH_PER_WEEK = 0.5
"""No home may be worse by more than this under a plan [K·h a week]."""


def figures(estate: Estate, evidence: Evidence) -> Figures:
    """Return all figures of a report; see ``docs/metrics.md`` for each.

    Raises
    ------
    InvalidInputError
        Where carbon intensity does not reach over the window.
    NoRateError
        Where a tariff does not.
    """
    book = Book(estate, evidence)
    runs = {name.value: book.run(measured) for name, measured in evidence.runs.items()}
    frontier = [
        {"shift_k": shift_k, **_on_frontier(book.run(measured))}
        for shift_k, measured in evidence.frontier.items()
    ]
    window = evidence.window
    whole: Figures = {
        "seed": evidence.seed,
        "from": stamp(window.start),
        "to": stamp(window.end),
        "hours": window.hours,
        "homes": len(book.homes),
        "history_days": evidence.history_days,
        "weather_forecast": "perfect weather" if book.perfect_weather else "issued with error",
        "half_hours_without_carbon": book.without_carbon,
        "runs": runs,
        "frontier": frontier,
        "comparison": {
            name.value: compared(
                runs[Controller.THERMOSTAT.value], runs[name.value], frontier, window.hours
            )
            for name in evidence.runs
            if name is not Controller.THERMOSTAT
        },
        "series": book.series(evidence),
    }
    plain: Figures = rounded(whole)
    return plain


def _on_frontier(run: Figures) -> Figures:
    names = (
        *("whole_cost_gbp", "cost_gbp", "energy_kwh", "mean_indoor_c"),
        *("degree_hours_below_schedule", "degree_hours_below_floor"),
    )
    return {name: run[name] for name in names}


def at_warmth(frontier: Sequence[Figures], below_kh: float) -> tuple[float, bool]:
    """Return what thermostats cost at a warmth, and whether the frontier reaches it.

    Parameters
    ----------
    frontier
        Points with ``whole_cost_gbp`` and ``degree_hours_below_schedule``.
    below_kh
        Kelvin-hours below schedule, all homes [K·h].
    """
    level, reached = level_at(
        np.array([point["degree_hours_below_schedule"] for point in frontier]),
        np.array([point["whole_cost_gbp"] for point in frontier]),
        np.asarray(below_kh),
    )
    return float(level), bool(reached)


def level_at(
    kh: FloatArray, values: FloatArray, below_kh: FloatArray
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Return what a frontier has at a warmth, on straight lines between its points.

    Parameters
    ----------
    kh, values
        Kelvin-hours and what they go with at each of K points, in any order, shape (K, ...).
    below_kh
        Where to look, shape (...). Beyond the frontier's ends the nearer end counts.

    Returns
    -------
    levels, reached
        Shape (...); whether the frontier reaches so far.
    """
    order = np.lexsort((-values, kh), axis=0)
    kh, values = np.take_along_axis(kh, order, axis=0), np.take_along_axis(values, order, axis=0)
    at = np.clip(below_kh, kh[0], kh[-1])
    right = np.clip((kh <= at).sum(axis=0), min(1, len(kh) - 1), len(kh) - 1)[None]
    left = np.maximum(right - 1, 0)

    def pick(table: FloatArray, row: NDArray[np.int_]) -> FloatArray:
        return np.asarray(np.take_along_axis(table, row, axis=0)[0])

    width = pick(kh, right) - pick(kh, left)
    share = (at - pick(kh, left)) / np.where(width > 0, width, 1.0)
    low, high = pick(values, left), pick(values, right)
    # Where points are equally warm, the last of them, the cheapest, counts.
    level = np.where(width > 0, low + share * (high - low), high)
    return level, np.asarray((kh[0] <= below_kh) & (below_kh <= kh[-1]))


def _cold_in_both(own: Figures, other: Figures, hours: float) -> list[str]:
    """Return homes that lack a kelvin all the time in both runs: no controller warms them."""
    return [
        home["id"]
        for before, home in zip(own["home"], other["home"], strict=True)
        if min(run["degree_hours_below_schedule"] for run in (before, home)) > hours
    ]


def compared(own: Figures, other: Figures, frontier: Sequence[Figures], hours: float) -> Figures:
    """Hold a run against the thermostats': all figures of `Book.run`, ``hours`` the window's."""
    below_kh = other["degree_hours_below_schedule"]
    level, reached = at_warmth(frontier, below_kh)
    changes = [
        (
            home["id"],
            (home["degree_hours_below_schedule"] - before["degree_hours_below_schedule"])
            * (WEEK_H / hours),
            home["bill_gbp"] - home["credit_gbp"] - before["bill_gbp"],
            before["bill_gbp"],
        )
        for home, before in zip(other["home"], own["home"], strict=True)
    ]
    worse = sorted(
        ((name, change) for name, change, *_ in changes if change > WORSE_KH_PER_WEEK),
        key=lambda item: (-item[1], item[0]),
    )
    difference: Callable[[str], float] = lambda name: own[name] - other[name]  # noqa: E731 - one line, used three times
    saved = level - other["whole_cost_gbp"]
    rises = {name: 100.0 * bill / before for name, _, bill, before in changes if before > 0}
    dearest = max(rises, key=lambda name: (rises[name], name), default="")
    return {
        "saved_gbp": difference("whole_cost_gbp"),
        "saved_bills_gbp": difference("cost_gbp"),
        "saved_carbon_kg": difference("carbon_kg"),
        "equal_warmth_cost_gbp": level,
        "equal_warmth_reached": reached,
        "saved_at_equal_warmth_gbp": saved,
        "saved_at_equal_warmth_share": saved / level if level > 0 else math.nan,
        "cold_in_both": _cold_in_both(own, other, hours),
        "homes_worse": [{"id": name, "worse_kh_per_week": change} for name, change in worse],
        "bills_higher": sorted(name for name, _, bill, _ in changes if bill > 0.005),
        "bill_change_pct": rises,
        "highest_bill_rise_pct": {"id": dearest, "pct": rises.get(dearest, 0.0)},
        "change_kh_per_week": {name: change for name, change, *_ in changes},
        "cheaper": saved > 0,
        "as_warm": not worse,
    }
