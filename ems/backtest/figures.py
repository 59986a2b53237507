"""From cases to the figures of a campaign: every number of ``report.json`` and its page.

Pure arithmetic; ``docs/metrics.md`` states each formula and the shape of the whole. Figures
of a case are made first and its series are let go, so that cases may come one by one from
their files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ems.backtest import bootstrap
from ems.backtest.comparison import FORESIGHT, OWN, PLANNED, WARMTH, Comparison
from ems.backtest.fairness import fairness
from ems.backtest.verdicts import verdicts
from ems.demo.book import WARMTH_KEYS, Book, Figures, rounded, stamp
from ems.demo.evidence import Controller, Evidence
from ems.demo.figures import WEEK_H, compared
from ems.demo.metering import Measured, Window
from ems.domain.estate import Estate

ORDER = tuple(controller.value for controller in Controller)
_ADDING = ("whole_cost_gbp", "carbon_kg", "energy_kwh", *WARMTH_KEYS.values())
_SERIES_OF = (OWN, PLANNED, FORESIGHT)


def campaign_figures(
    estate_of_case: Callable[[Evidence], Estate],
    cases: Iterable[Evidence],
    *,
    expected: int | None = None,
    settings: Mapping[str, str] | None = None,
) -> Figures:
    """Return all figures of a campaign, as plain numbers, texts, lists and mappings.

    Parameters
    ----------
    estate_of_case
        The estate as a case ran it: its tariffs and homes.
    cases
        What has been run, in any order; each is read once.
    expected
        How many cases the campaign will have; as many as there are where not given.
    settings
        What else is to be said of how cases were run, by name.

    Raises
    ------
    InvalidInputError
        Where carbon intensity does not reach over a window.
    NoRateError
        Where a tariff does not.
    """
    whole: list[Figures] = []
    about: Figures = {"estate": "", "zone": "UTC", "blocks": {}}
    for evidence in cases:
        estate = estate_of_case(evidence)
        whole.append(case_figures(estate, evidence))
        about = {
            "estate": estate.name,
            "zone": str(estate.zone),
            "blocks": {block.id: block.name for block in estate.blocks},
        }
    whole.sort(key=_key)
    examples = {case["id"]: case.pop("example") for case in whole}
    kinds = sorted({_kind(case) for case in whole}, key=lambda kind: _rank(kind, whole))
    groups = [_group([case for case in whole if _kind(case) == kind]) for kind in kinds]
    shown = next((case["id"] for case in whole if kinds and _kind(case) == kinds[0]), None)
    plain: Figures = rounded(
        {
            "report": "backtest",
            **about,
            "settings": dict(settings or {}),
            "cases_done": len(whole),
            "cases_expected": len(whole) if expected is None else max(expected, len(whole)),
            "interval": {
                "level": bootstrap.LEVEL,
                "draws": bootstrap.DRAWS,
                "seed": bootstrap.SEED,
            },
            "groups": groups,
            "example": None if shown is None else {"case": shown, **examples[shown]},
            "cases": whole,
        }
    )
    return plain


def _key(case: Figures) -> tuple[Any, ...]:
    return (case["window"], case["seed"], *_kind(case))


def _kind(case: Figures) -> tuple[str, str, str]:
    return (case["tariff"], case["houses"], case["weather"])


def _rank(kind: tuple[str, str, str], cases: Sequence[Figures]) -> tuple[Any, ...]:
    """Most cases first: what a campaign is mainly about."""
    return (-sum(_kind(case) == kind for case in cases), kind)


def case_figures(estate: Estate, evidence: Evidence) -> Figures:
    """Return the figures of one case, not rounded; see ``docs/metrics.md``."""
    book = Book(estate, evidence)
    spans = weeks_of(evidence.window)
    runs = {
        controller.value: book.run(evidence.runs[controller])
        for controller in Controller
        if controller in evidence.runs
    }
    weeks = _weekly(book, evidence, spans)
    frontier = [
        {"shift_k": point["shift_k"], **{key: sum(point[key]) for key in point if key in _ADDING}}
        for point in weeks["frontier"]
    ]
    window = evidence.window
    comparison = {
        name: compared(runs[OWN], run, frontier, window.hours)
        for name, run in runs.items()
        if name != OWN
    }
    coldest = int(np.argmax(weeks["runs"][OWN]["whole_cost_gbp"]))
    return {
        "id": case_id(evidence),
        "window": window_id(window),
        "seed": evidence.seed,
        "tariff": evidence.tariff,
        "houses": evidence.houses,
        "weather": evidence.weather,
        "history_days": evidence.history_days,
        "from": stamp(window.start),
        "to": stamp(window.end),
        "hours": window.hours,
        "homes": len(book.homes),
        "half_hours_without_carbon": book.without_carbon,
        "seconds": {controller.value: taken for controller, taken in evidence.seconds.items()},
        "runs": runs,
        "frontier": frontier,
        "weeks": weeks,
        "comparison": comparison,
        "fairness": {
            name: fairness(runs[OWN]["home"], runs[name]["home"], one["change_kh_per_week"])
            for name, one in comparison.items()
        },
        "example": _example(book, evidence, coldest, spans[coldest]),
    }


def window_id(window: Window) -> str:
    """Return a window as an ISO interval of UTC, days alone where it begins and ends with one."""
    ends = (window.start, window.end)
    midnight = all(end.hour == end.minute == 0 for end in ends)
    return "/".join(end.strftime("%Y-%m-%d" if midnight else "%Y-%m-%dT%H:%M") for end in ends)


def case_id(evidence: Evidence) -> str:
    """Return what names one case among others."""
    return (
        f"{window_id(evidence.window)} seed {evidence.seed} "
        f"{evidence.tariff} {evidence.houses} {evidence.weather}"
    )


def weeks_of(window: Window) -> list[slice]:
    """Return a window's whole weeks as spans of half-hours; what is left joins the last."""
    each, size = round(WEEK_H * 2), len(window.half_hours)
    count = max(size // each, 1)
    starts = [each * number for number in range(count)]
    return [slice(start, end) for start, end in zip(starts, [*starts[1:], size], strict=True)]


def _weekly(book: Book, evidence: Evidence, spans: Sequence[slice]) -> Figures:
    def table(run: Measured) -> Figures:
        rows = [book.over(run, span) for span in spans]
        return {key: [row[key] for row in rows] for key in rows[0]}

    return {
        "count": len(spans),
        "lengths": [(span.stop - span.start) / (WEEK_H * 2) for span in spans],
        "runs": {
            controller.value: table(evidence.runs[controller])
            for controller in Controller
            if controller in evidence.runs
        },
        "frontier": [
            {"shift_k": shift_k, **table(evidence.frontier[shift_k])}
            for shift_k in sorted(evidence.frontier)
        ],
    }


def _example(book: Book, evidence: Evidence, week: int, span: slice) -> Figures:
    """Return the series of the week that cost thermostats the most, seven days of it."""
    span = slice(span.start, min(span.stop, span.start + round(WEEK_H * 2)))
    series = book.series(evidence, span)
    shown = {name: run for name, run in series["runs"].items() if name in _SERIES_OF}
    return {"week": week, "series": {**series, "runs": shown}}


def _group(cases: Sequence[Figures]) -> Figures:
    """Return what cases of one kind say together."""
    comparison = Comparison(cases)
    tariff, houses, weather = _kind(cases[0])
    windows = sorted({case["window"] for case in cases})
    present = [name for name in ORDER if any(name in case["runs"] for case in cases)]
    others = [name for name in present if name != OWN]
    return {
        "tariff": tariff,
        "houses": houses,
        "weather": weather,
        "history_days": sorted({case["history_days"] for case in cases}),
        "windows": windows,
        "seeds": sorted({case["seed"] for case in cases}),
        "cases": len(cases),
        "homes": max(case["homes"] for case in cases),
        "weeks": len({(cell.window, cell.week) for cell in comparison.cells}),
        "days": sum({case["window"]: case["hours"] for case in cases}.values()) / 24.0,
        "intervals": bootstrap.enough_weeks(comparison.cells),
        "controllers": present,
        "reductions": {name: comparison.reductions(name) for name in others},
        "by_window": {
            window: {
                name: comparison.reductions(name, window=window)
                for name in others
                if comparison.having(name, window=window)
            }
            for window in windows
        },
        "captured": comparison.captured(),
        "captured_by_window": {window: comparison.captured(window=window) for window in windows},
        "spread": {name: comparison.spread(name) for name in others},
        "means": _means(cases, present),
        "plane": _plane(cases, present),
        "verdicts": verdicts(cases, comparison.captured()),
    }


def _means(cases: Sequence[Figures], present: Sequence[str]) -> Figures:
    """Return each controller's figures, mean of the cases that were run under all of them."""
    common = [case for case in cases if all(name in case["runs"] for name in present)]
    return {
        "cases": len(common),
        "days": float(np.mean([case["hours"] for case in common])) / 24.0 if common else None,
        "runs": {name: _mean([case["runs"][name] for case in common]) for name in present}
        if common
        else {},
        "fairness": {
            name: {
                **{
                    key: float(np.mean([case["fairness"][name][key] for case in common]))
                    for key in ("gini", "mean_gain_gbp", "homes_paying_more")
                },
                "homes_worse": float(
                    np.mean([len(case["fairness"][name]["homes_worse"]) for case in common])
                ),
            }
            for name in present
            if name != OWN and common
        },
    }


def _mean(found: Sequence[Any]) -> Any:
    """Return the mean of figures of one shape: numbers by number, texts as the first has them."""
    first = found[0]
    if isinstance(first, dict):
        return {key: _mean([one[key] for one in found]) for key in first if key != "home"}
    if isinstance(first, list):
        return [_mean(parts) for parts in zip(*found, strict=True)]
    if isinstance(first, int | float) and not isinstance(first, bool):
        return float(np.mean(found))
    return first


def _plane(cases: Sequence[Figures], present: Sequence[str]) -> Figures:
    """Return cost and missing warmth of frontier and controllers, a home and week each."""

    def point(weeks: Sequence[Figures], sizes: Sequence[float]) -> Figures:
        size = sum(sizes)
        return {
            "kh": sum(sum(one[WARMTH]) for one in weeks) / size,
            "gbp": sum(sum(one["whole_cost_gbp"]) for one in weeks) / size,
        }

    common = [case for case in cases if all(name in case["runs"] for name in present)] or cases
    sizes = [case["homes"] * sum(case["weeks"]["lengths"]) for case in common]
    shifts = set.intersection(
        *({at["shift_k"] for at in case["weeks"]["frontier"]} for case in common)
    )
    return {
        "frontier": [
            {
                "shift_k": shift_k,
                **point(
                    [
                        at
                        for case in common
                        for at in case["weeks"]["frontier"]
                        if at["shift_k"] == shift_k
                    ],
                    sizes,
                ),
            }
            for shift_k in sorted(shifts)
        ],
        "runs": {
            name: point([case["weeks"]["runs"][name] for case in common], sizes)
            for name in present
            if all(name in case["runs"] for case in common)
        },
    }
