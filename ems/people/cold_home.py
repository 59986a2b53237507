"""`COLD_HOME`: a living room that was cold for most of a week's day-time.

The rule reads half-hour means of the living-room sensor over the last whole local days.
Below the least coverage the answer is "not enough data", whatever the rest shows. What the
resident chose (a wish, their schedule, the heat pump's own dial) never hides a cold home:
it is told beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from ems.domain.people import ChoiceEvidence, ColdHomeEvidence, ColdHomeRules, Source, Verdict
from ems.domain.time import HALF_HOUR, local_day_bounds

VERSION = "COLD_HOME/1"
"""Changes with every change of the rule itself; its figures are kept with each flag."""
HALF_HOUR_H = 0.5


def window(now: datetime, zone: ZoneInfo, rules: ColdHomeRules) -> tuple[datetime, datetime]:
    """Return the last whole local days that had ended at ``now`` (UTC), as [start, end) in UTC."""
    today = now.astimezone(zone).date()
    start, _ = local_day_bounds(today - timedelta(days=rules.window_days), zone)
    end, _ = local_day_bounds(today, zone)
    return start, end


def assess(
    rooms: pd.Series,
    asked: Mapping[Source, pd.Series],
    span: tuple[datetime, datetime],
    zone: ZoneInfo,
    rules: ColdHomeRules,
) -> tuple[Verdict, ColdHomeEvidence]:
    """Judge one home over one window.

    Parameters
    ----------
    rooms
        Half-hour means of the living room [°C], indexed by their starts (UTC); ``nan`` or
        absent where nothing good was read.
    asked
        What the resident asked for [°C] by source, on the same grid; ``nan`` where it is not
        known, a source that cannot be read is left out.
    span
        The window from `window`.
    zone, rules
        Local time for the day-time; the rule's figures.

    Returns
    -------
    The verdict, and all that it rests on.
    """
    grid = pd.date_range(span[0], span[1], freq=HALF_HOUR, inclusive="left")
    local = grid.tz_convert(zone)
    room = rooms.reindex(grid).to_numpy(dtype=float)
    day = np.asarray((local.hour >= rules.day_from_h) & (local.hour < rules.day_to_h))
    measured = day & np.isfinite(room)
    cold = measured & (np.nan_to_num(room, nan=np.inf) < rules.threshold_c)
    known = room[np.isfinite(room)]
    choices = tuple(
        _choice(source, series.reindex(grid).to_numpy(dtype=float), room, cold, rules)
        for source, series in asked.items()
    )
    below_h = float(cold.sum()) * HALF_HOUR_H
    evidence = ColdHomeEvidence(
        start=span[0],
        end=span[1],
        expected_h=float(day.sum()) * HALF_HOUR_H,
        measured_h=float(measured.sum()) * HALF_HOUR_H,
        below_h=below_h,
        lowest_c=float(known.min()) if known.size else None,
        highest_c=float(known.max()) if known.size else None,
        mean_c=float(room[measured].mean()) if measured.any() else None,
        choices=choices,
        chosen=tuple(
            choice.source
            for choice in choices
            if below_h > 0 and choice.explained_h >= rules.chosen_share * below_h
        ),
    )
    return _verdict(evidence, {int(month) for month in local.month}, rules), evidence


def _choice(
    source: Source,
    wanted: np.ndarray[tuple[int], np.dtype[np.float64]],
    room: np.ndarray[tuple[int], np.dtype[np.float64]],
    cold: np.ndarray[tuple[int], np.dtype[np.bool_]],
    rules: ColdHomeRules,
) -> ChoiceEvidence:
    """Count the cold hours in which less was asked for and the room was about there."""
    known = cold & np.isfinite(wanted)
    at = np.where(known, wanted, np.inf)
    explained = known & (at < rules.threshold_c) & (room >= at - rules.chosen_margin_k)
    return ChoiceEvidence(
        source,
        float(np.median(wanted[known])) if known.any() else None,
        float(explained.sum()) * HALF_HOUR_H,
    )


def _verdict(evidence: ColdHomeEvidence, months: set[int], rules: ColdHomeRules) -> Verdict:
    if not months <= set(rules.months):
        return Verdict.OUT_OF_SEASON
    if evidence.coverage < rules.min_coverage:
        return Verdict.NOT_ENOUGH_DATA
    if evidence.below_h < rules.cold_share * evidence.measured_h:
        return Verdict.WARM
    if evidence.highest_c is not None and evidence.highest_c < rules.threshold_c:
        return Verdict.SEVERE
    return Verdict.COLD
