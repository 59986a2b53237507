"""What was promised of planning, and whether the cases keep it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ems.backtest.comparison import OWN, PLANNED
from ems.demo.book import Figures
from ems.demo.figures import WORSE_KH_PER_WEEK

COLD = "degree_hours_below_18"
SAME_KH = 1e-3
"""Two runs are as cold as each other within this [K·h]: far below what a page shows."""


def verdicts(cases: Sequence[Figures], captured: Figures | None) -> list[Figures]:
    """Return each promise with ``kept`` or ``missed``, and the cases that miss it.

    Parameters
    ----------
    cases
        Figures of cases of one kind; those without a planned run say nothing.
    captured
        The share of perfect foresight's saving, as `Comparison.captured` gives it.
    """
    planned = [case for case in cases if PLANNED in case["runs"]]
    if not planned:
        return []
    found = [_never_colder(planned), _no_home_worse(planned)]
    if captured is not None:
        share = captured["equal_warmth"]["value"]
        kept = bool(np.isfinite(share)) and share >= captured["aim"]
        found.append(_verdict("foresight", kept, captured["cases"], []))
    return found


def _verdict(name: str, kept: bool, of: int, misses: Sequence[Figures]) -> Figures:
    return {
        "promise": name,
        "verdict": "kept" if kept else "missed",
        "cases": of,
        "misses": list(misses),
    }


def _where(case: Figures) -> Figures:
    return {"window": case["window"], "seed": case["seed"]}


def _never_colder(cases: Sequence[Figures]) -> Figures:
    """Never more degree-hours under 18 °C than thermostats, case by case."""
    misses = [
        {**_where(case), "thermostat_kh": own, "planned_kh": kh}
        for case in cases
        for own, kh in [(case["runs"][OWN][COLD], case["runs"][PLANNED][COLD])]
        if kh > own + SAME_KH
    ]
    return _verdict("never_colder", not misses, len(cases), misses)


def _no_home_worse(cases: Sequence[Figures]) -> Figures:
    """No home worse than under own thermostats by more than half a kelvin-hour a week."""
    misses = [
        {**_where(case), "home": home, "kh_per_week": change}
        for case in cases
        for home, change in case["comparison"][PLANNED]["change_kh_per_week"].items()
        if change > WORSE_KH_PER_WEEK
    ]
    return _verdict("no_home_worse", not misses, len(cases), misses)
