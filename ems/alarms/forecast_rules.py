"""What is wrong with forecasts: further off than last week's values, or too sure of themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ems.alarms.rules import Judged
from ems.domain.alarms import AlarmKind, Cause, cause_key
from ems.domain.forecasts import Standing

WORDS = {
    "load_w": "household use",
    "hot_water_w": "hot water",
    "communal_w": "the communal load",
    "pv_w": "the sun on the roof",
}
"""What each target is about."""
_DRIFT_REMEDY = (
    "Compare the pictures of forecast and meter on the pages of these homes and blocks: a new "
    "resident, a new appliance or a meter that counts wrongly shows there. Plans go on with the "
    "forecast that did best lately; nothing else needs doing where the change is real."
)
_COVERAGE_REMEDY = (
    "Give events in these blocks more margin until it is found again. Where the pictures show "
    "a new habit, it is learnt within two weeks; where they show impossible readings, have the "
    "meter looked at."
)


def judge_forecasts(standings: Iterable[Standing], homes: Mapping[str, str]) -> Judged:
    """Tell which kinds of forecasts have drifted or lost their coverage.

    Parameters
    ----------
    standings
        As they were judged last.
    homes
        Home → its block.

    Returns
    -------
    One cause a target and fault, whichever homes and blocks it touches. A target of which
    nothing was judged yet cannot be told.
    """
    causes, known = [], set()
    by_target: dict[str, list[Standing]] = {}
    for one in standings:
        if one.points and one.target in WORDS:
            by_target.setdefault(one.target, []).append(one)
    for target, of in sorted(by_target.items()):
        known |= {
            cause_key(AlarmKind.FORECAST_DRIFT, target),
            cause_key(AlarmKind.FORECAST_COVERAGE, target),
        }
        drifted = [one for one in of if one.drifted]
        if drifted:
            worst = max(drifted, key=lambda one: one.ratio)
            what = (
                f"Over the last two weeks forecasts of {WORDS[target]} were further off than "
                f"last week's values would have been, for {_subjects(drifted)}; worst "
                f"{worst.subject}, {worst.ratio:.2f} times as far."
            )
            causes.append(
                Cause(AlarmKind.FORECAST_DRIFT, target, what, _DRIFT_REMEDY, _homes(drifted, homes))
            )
        lost = [one for one in of if one.coverage_lost]
        if lost:
            worst = min(lost, key=lambda one: one.coverage)
            what = (
                f"Over the last two weeks what came lay outside the forecast range of "
                f"{WORDS[target]} too often, for {_subjects(lost)}; worst {worst.subject}, "
                f"inside {worst.coverage:.0%} of the time in place of 80 %."
            )
            causes.append(
                Cause(
                    AlarmKind.FORECAST_COVERAGE, target, what, _COVERAGE_REMEDY, _homes(lost, homes)
                )
            )
    return Judged(tuple(causes), frozenset(known))


def _homes(standings: Iterable[Standing], homes: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(sorted(one.subject for one in standings if one.subject in homes))


def _subjects(standings: list[Standing]) -> str:
    names = sorted(one.subject for one in standings)
    rest = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + rest
