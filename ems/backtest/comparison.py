"""Runs held against own thermostats at equal warmth, over weeks, windows and seeds.

Works on the figures of cases (`ems.backtest.figures.case_figures`); ``docs/metrics.md``
states the formulas. For one draw of the bootstrap the weeks of a case are summed with
their weights first, the frontier is read at the warmth of that sum, and cases are summed
last: the same steps that the figure itself takes with all weights 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ems.backtest.bootstrap import Cell, Interval, interval, weights
from ems.demo.book import Figures
from ems.demo.evidence import Controller
from ems.demo.figures import level_at
from ems.domain.forecasts import FloatArray

QUANTITIES = {
    "cost": "whole_cost_gbp",
    "carbon": "carbon_kg",
    "energy": "energy_kwh",
    "peak": "peak_kw",
}
"""What is compared, and its name among the figures of a week."""
WARMTH = "degree_hours_below_schedule"
OWN, PLANNED = Controller.THERMOSTAT.value, Controller.PLANNED.value
FORESIGHT = Controller.PERFECT_FORESIGHT.value
AIM = 0.85
"""Share of perfect foresight's saving that planning is to capture."""


class Comparison:
    """Cases of one kind, and the draws that say how far their figures could be off.

    Parameters
    ----------
    cases
        Figures of cases that share tariff, houses and weather.
    """

    def __init__(self, cases: Sequence[Figures]) -> None:
        self.cases = cases
        cells = [
            Cell(case["window"], week, case["seed"])
            for case in cases
            for week in range(case["weeks"]["count"])
        ]
        ends = np.cumsum([case["weeks"]["count"] for case in cases])
        self.cells = cells
        self._weights = weights(cells)
        self._columns = [
            slice(end - case["weeks"]["count"], end)
            for case, end in zip(cases, ends.tolist(), strict=True)
        ]

    def having(self, *controllers: str, window: str | None = None) -> list[int]:
        """Return which cases were run under all of these, in one window or any."""
        return [
            number
            for number, case in enumerate(self.cases)
            if all(name in case["weeks"]["runs"] for name in controllers)
            and window in {None, case["window"]}
        ]

    def _sum(self, case: int, weekly: Sequence[float]) -> FloatArray:
        """Return a case's sum over its weeks under each draw, shape (1 + draws,)."""
        return np.asarray(self._weights[:, self._columns[case]] @ np.asarray(weekly, dtype=float))

    def _run(self, case: int, controller: str, name: str) -> FloatArray:
        return self._sum(case, self.cases[case]["weeks"]["runs"][controller][name])

    def _level(self, case: int, controller: str, name: str, *, equal_warmth: bool) -> FloatArray:
        """Return what thermostats have, at the warmth of a controller or as they are."""
        if not equal_warmth:
            return self._run(case, OWN, name)
        points = self.cases[case]["weeks"]["frontier"]
        level, _ = level_at(
            np.stack([self._sum(case, point[WARMTH]) for point in points]),
            np.stack([self._sum(case, point[name]) for point in points]),
            self._run(case, controller, WARMTH),
        )
        return level

    def reached(self, case: int, controller: str) -> bool:
        """Return whether the thermostat frontier is as warm, and as cold, as this run."""
        points = self.cases[case]["weeks"]["frontier"]
        kh = [sum(point[WARMTH]) for point in points]
        own = sum(self.cases[case]["weeks"]["runs"][controller][WARMTH])
        return bool(min(kh) <= own <= max(kh))

    def saved(
        self, numbers: Sequence[int], controller: str, name: str, *, equal_warmth: bool = True
    ) -> tuple[FloatArray, FloatArray]:
        """Return what thermostats have, and by how much a controller has less.

        Parameters
        ----------
        numbers
            Cases to sum over.
        controller, name
            Which run, and which figure of a week.
        equal_warmth
            Whether against the frontier at the run's own warmth; else the plain difference.

        Returns
        -------
        levels, differences
            Shape (1 + draws,), in the figure's unit.
        """
        levels = np.zeros(len(self._weights))
        runs = np.zeros(len(self._weights))
        for case in numbers:
            levels += self._level(case, controller, name, equal_warmth=equal_warmth)
            runs += self._run(case, controller, name)
        return levels, levels - runs

    def _size(self, numbers: Sequence[int], *, homes: bool) -> FloatArray:
        """Return weeks, or homes times weeks, under each draw."""
        found = np.zeros(len(self._weights))
        for case in numbers:
            one = self.cases[case]
            found += self._sum(case, one["weeks"]["lengths"]) * (one["homes"] if homes else 1)
        return found

    def reductions(self, controller: str, *, window: str | None = None) -> Figures:
        """Return by how much a controller has less of each quantity, with intervals.

        ``share`` of what thermostats have at equal warmth; ``amount`` a home and week, for
        the peak a week; ``raw_share`` whatever the warmth.
        """
        numbers = self.having(controller, window=window)
        found: Figures = {
            "cases": len(numbers),
            "frontier_reached": sum(self.reached(case, controller) for case in numbers),
        }
        for quantity, name in QUANTITIES.items():
            levels, less = self.saved(numbers, controller, name)
            plain, raw = self.saved(numbers, controller, name, equal_warmth=False)
            size = self._size(numbers, homes=quantity != "peak")
            found[quantity] = {
                "share": plain_interval(interval(ratio(less, levels))),
                "amount": plain_interval(interval(ratio(less, size))),
                "raw_share": plain_interval(interval(ratio(raw, plain))),
            }
        return found

    def captured(self, *, window: str | None = None) -> Figures | None:
        """Return the share of perfect foresight's saving that planning captured.

        ``None`` where no case has both runs.
        """
        numbers = self.having(PLANNED, FORESIGHT, window=window)
        if not numbers:
            return None
        cost = QUANTITIES["cost"]
        found: Figures = {"cases": len(numbers), "aim": AIM}
        for key, equal_warmth in (("equal_warmth", True), ("raw", False)):
            _, planned = self.saved(numbers, PLANNED, cost, equal_warmth=equal_warmth)
            _, best = self.saved(numbers, FORESIGHT, cost, equal_warmth=equal_warmth)
            found[key] = plain_interval(interval(ratio(planned, best)))
        return found

    def spread(self, controller: str) -> list[Figures]:
        """Return each case's own share saved at equal warmth: what seeds and windows differ by."""
        rows = []
        for case in self.having(controller):
            levels, less = self.saved([case], controller, QUANTITIES["cost"])
            share = ratio(less[:1], levels[:1])[0]
            one = self.cases[case]
            rows.append({"window": one["window"], "seed": one["seed"], "share": float(share)})
        return rows


def ratio(part: FloatArray, whole: FloatArray) -> FloatArray:
    """Return part / whole, NaN where the whole is not above zero."""
    good = whole > 1e-9
    return np.where(good, part / np.where(good, whole, 1.0), np.nan)


def plain_interval(found: Interval) -> Figures:
    """Return an interval as a mapping."""
    return {"value": found.value, "low": found.low, "high": found.high}
