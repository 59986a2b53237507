"""Watches forecasts: keeps what each candidate said, scores it a day later, decides who is issued.

Every six hours of estate time all candidates are kept beside what was issued. When the day they
speak of has passed they are held against the meters; the sums over a fortnight decide. All of it
lies in the store, so a restart forgets nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

import pandas as pd

from ems.domain.estate import Estate
from ems.domain.forecasts import ISSUED, Forecast, Missed, Scored, ScoredIssue, Standing
from ems.domain.ports import LogEntry, Store
from ems.domain.time import HALF_HOUR, floor_to
from ems.service.tightening import LEVELS_HELD, keep_tightening
from forecasting.candidates import ORDER, Candidates
from forecasting.issue import actuals
from forecasting.quality import (
    SCORED_STEPS,
    WINDOW,
    Key,
    Quality,
    choose,
    judged,
    missed,
    score,
    summed,
)
from forecasting.run import points_of

MARK_EVERY_S = 6 * 3600
"""Issues are kept for scoring at the first run of each such stretch of time [s]."""
PASSED = timedelta(hours=25)
"""After so long the half-hours of an issue are over and rolled up."""
BEFORE = timedelta(days=14)
"""Actuals this far back say what a naive forecast would have been."""
KEPT = WINDOW + PASSED + timedelta(days=1)
FELL_BACK, RETURNED = "forecast_fell_back", "forecast_returned"
"""Kinds of log entries."""


def standing_key(target: str, subject: str) -> str:
    """Return the key under which a standing is kept."""
    return f"{target}/{subject}"


class QualityDesk:
    """Keeps scores and standings.

    Parameters
    ----------
    estate, store
        Whose forecasts, and where all of it lies.
    """

    def __init__(self, estate: Estate, store: Store) -> None:
        self._estate = estate
        self._store = store
        self._issues: dict[str, ScoredIssue] | None = None

    def standings(self) -> dict[Key, Standing]:
        """Return whose forecast is issued of each quantity that was ever judged."""
        return {
            (kept.record.target, kept.record.subject): kept.record
            for kept in self._store.all_kept(Standing)
        }

    def mark(self, candidates: Candidates, now: datetime) -> bool:
        """Keep all candidates of this issue for scoring, where it is time; tell whether it was."""
        key = floor_to(now, MARK_EVERY_S).isoformat()
        if key in self._known():
            return False
        self._store.add_forecasts(
            [
                replace(one, target=f"{one.target}~{name}")
                for of in candidates.values()
                if len(of) > 1
                for name, one in of.items()
            ]
        )
        self._keep(key, ScoredIssue(now))
        return True

    def settle(self, now: datetime, sky: pd.DataFrame) -> list[Standing]:
        """Score every issue whose day has passed and judge anew; return standings that changed.

        ``sky`` is the weather that was observed, column ``outdoor_c`` by half-hours.
        """
        issues = self._known()
        for key in [key for key, one in issues.items() if now - one.issued_at > KEPT]:
            self._store.forget(ScoredIssue, key)
            del issues[key]
        due = [key for key, one in issues.items() if not one.done and now - one.issued_at >= PASSED]
        if not due:
            return []
        for key in due:
            at = issues[key].issued_at
            scores, beyond = self._scores(at)
            beyond += self._missed("outdoor_c", self._estate.id, at, sky["outdoor_c"])
            self._keep(key, ScoredIssue(at, True, tuple(scores), tuple(beyond)))
        # An issue is scored a day after it was made: the window is of those that can be.
        found = summed((one for issue in issues.values() for one in issue.scores), now - PASSED)
        since = now - PASSED - WINDOW
        recent = [
            one for issue in issues.values() if issue.issued_at >= since for one in issue.missed
        ]
        keep_tightening(self._store, self._estate, recent, now)
        return self._judge(found, now)

    def _known(self) -> dict[str, ScoredIssue]:
        """Return the issues that are kept; read once, for one process alone writes them."""
        if self._issues is None:
            self._issues = {kept.key: kept.record for kept in self._store.all_kept(ScoredIssue)}
        return self._issues

    def _keep(self, key: str, issue: ScoredIssue) -> None:
        self._store.keep(issue, key=key, subject="estate", at=issue.issued_at)
        self._known()[key] = issue

    def _judge(self, found: dict[Key, dict[str, Quality]], now: datetime) -> list[Standing]:
        standings = self.standings()
        changed, entries = [], []
        for key, of in found.items():
            order = ORDER[key[0]]
            before = standings.get(key) or Standing(*key, candidate=order[0], since=now)
            after = judged(choose(before, order, of, now), of.get(ISSUED))
            if after == standings.get(key):
                continue
            self._store.keep(after, key=standing_key(*key), subject=key[1], at=now)
            changed.append(after)
            if after.candidate != before.candidate:
                kind = FELL_BACK if after.fell_back else RETURNED
                detail = {"from": before.candidate, "to": after.candidate, "target": key[0]}
                entries.append(LogEntry(now, kind, key[1], detail))
        self._store.log(entries)
        return changed

    def _scores(self, at: datetime) -> tuple[list[Scored], list[Missed]]:
        scores: list[Scored] = []
        beyond: list[Missed] = []
        start, end = floor_to(at) - BEFORE, floor_to(at) + SCORED_STEPS * HALF_HOUR
        for block in self._estate.blocks:
            rollups = self._store.rollups(points_of(block), start, end)
            for (target, subject), came in actuals(block, rollups).items():
                made = self._issued(target, subject, at)
                scored = None if made is None else score(made, ISSUED, came)
                if scored is not None:
                    scores.append(scored)
                    scores += self._shadows(target, subject, at, came)
                if subject == block.id:
                    beyond += self._missed(target, subject, at, came)
        return scores, beyond

    def _missed(
        self, target: str, subject: str, at: datetime, came: pd.Series[float]
    ) -> list[Missed]:
        made = self._issued(target, subject, at) if target in LEVELS_HELD else None
        return [] if made is None else [missed(made, LEVELS_HELD[target], came)]

    def _shadows(
        self, target: str, subject: str, at: datetime, came: pd.Series[float]
    ) -> Iterable[Scored]:
        for name in ORDER[target]:
            made = self._issued(f"{target}~{name}", subject, at)
            scored = None if made is None else score(made, name, came)
            if scored is not None:
                yield replace(scored, target=target)

    def _issued(self, target: str, subject: str, at: datetime) -> Forecast | None:
        made = self._store.latest_forecast(target, subject, at)
        return made if made is not None and made.issued_at == at else None
