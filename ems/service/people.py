"""The nightly rules about people, and the desk that keeps flags and consents.

The rules themselves are pure (:mod:`ems.people`); here readings are fetched for them and
what they found is kept. Control and dispatch never read any of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pandas as pd
import structlog

from ems.domain.errors import InvalidInputError
from ems.domain.estate import Dwelling, Estate
from ems.domain.people import (
    Consent,
    Flag,
    FlagKind,
    FlagState,
    Household,
    Purpose,
    Source,
    Verdict,
)
from ems.domain.points import PointId
from ems.domain.ports import Kept, LogEntry, Store
from ems.domain.time import HALF_HOUR
from ems.domain.wishes import Asked, Asking
from ems.people import cold_home, lifecycle
from ems.people.fuel_poverty import Estimate, estimate
from ems.people.lifecycle import Finding
from ems.service.wishes import TEMPERATURES, latest, schedule_of

log = structlog.get_logger()

ASSESSED_META = "cold_home_assessed_until"
"""Store fact: the end of the last window that `COLD_HOME` was computed for."""
FLAG_STEP = "flag_step"
"""Kind of log entry: a flag took a step."""
CONSENT_CHANGED = "consent_changed"
"""Kind of log entry: a tenant gave or withdrew details."""
CONSENT_WORDING = (
    "I give these details so that my landlord's energy team can see whether I may be due help "
    "with energy costs. They are used for nothing else, seen only by me and by staff who open "
    "my case with a reason, and deleted when I withdraw them."
)


class PeopleDesk:
    """Keeps flags and consents, and runs the nightly rules.

    Parameters
    ----------
    estate, store
        The configuration with the rules' figures, and where everything is kept.
    """

    def __init__(self, estate: Estate, store: Store) -> None:
        self._estate = estate
        self._store = store
        self._rules = estate.people.cold_home

    def is_due(self, now: datetime) -> bool:
        """Tell whether a day has ended that the nightly rules have not seen yet."""
        _, end = cold_home.window(now, self._estate.zone, self._rules)
        return self._store.meta(ASSESSED_META) != end.isoformat()

    def run(self, now: datetime) -> list[Flag]:
        """Run the nightly rules for the last whole days; return the flags that were kept.

        Running twice in a day changes nothing.
        """
        kept = []
        verdicts: dict[str, int] = {}
        new = self._is_new(now)
        for home in self._estate.dwellings():
            finding = self.find(home, now)
            verdicts[finding.verdict] = verdicts.get(finding.verdict, 0) + 1
            if new and finding.verdict is Verdict.NOT_ENOUGH_DATA:
                continue
            earlier = self._store.all_kept(Flag, subject=home.id)
            mine = [one.record for one in earlier if one.record.kind is finding.kind]
            flag = lifecycle.after_night(mine, finding, now, self._rules)
            if flag is not None:
                known = next((one for one in earlier if one.key == flag.id), None)
                self._keep(flag, 0 if known is None else known.revision)
                kept.append(flag)
        gone = self._forget_spent(now)
        _, end = cold_home.window(now, self._estate.zone, self._rules)
        self._store.set_meta(ASSESSED_META, end.isoformat())
        detail = {"rule": cold_home.VERSION, "homes": verdicts, "deleted": gone}
        self._store.log([LogEntry(now, "flags_assessed", "estate", detail)])
        log.info("flags_assessed", flags=len(kept), deleted=gone)
        return kept

    def _is_new(self, now: datetime) -> bool:
        """Tell whether no meter of the estate was read on the first day of the window.

        Then Hearth has not watched for long enough to miss anything: no home lacks data
        more than the others, and nobody is sent to look.
        """
        start, _ = cold_home.window(now, self._estate.zone, self._rules)
        meters = [PointId(home.meter.device_id, "power_w") for home in self._estate.dwellings()]
        frame = self._store.rollups(meters, start, start + timedelta(days=1))
        return not bool(frame.notna().any(axis=None))

    def find(self, home: Dwelling, now: datetime) -> Finding:
        """Return what `COLD_HOME` says of one home for the last whole days."""
        span = cold_home.window(now, self._estate.zone, self._rules)
        room = PointId(home.room_sensor_id, "temperature_c")
        dial = PointId(home.heat_pump.device_id, "room_setpoint_c")
        points = [room]
        if dial.point in self._estate.devices[dial.device_id].profile.points:
            points.append(dial)
        frame = self._store.rollups(points, *span)
        told = [one.record for one in self._store.all_kept(Asked, subject=home.id)]
        asked = asked_for(home, told, span, self._estate.zone)
        if len(points) > 1:
            asked[Source.DIAL] = frame[str(dial)]
        verdict, evidence = cold_home.assess(
            frame[str(room)], asked, span, self._estate.zone, self._rules
        )
        rules = self._rules
        return Finding(
            home.id,
            FlagKind.COLD_HOME,
            cold_home.VERSION,
            verdict,
            evidence,
            {
                "living room": str(room),
                "heat pump's dial": str(dial) if len(points) > 1 else "cannot be read",
                "schedule": home.comfort.name,
                "threshold": f"{rules.threshold_c:g} °C",
                "day-time": f"{rules.day_from_h:02d}:00 to {rules.day_to_h:02d}:00",
                "days": str(rules.window_days),
                "least share below": f"{rules.cold_share * 100:g} %",
                "least share measured": f"{rules.min_coverage * 100:g} %",
            },
        )

    def flags(self, dwelling_id: str | None = None) -> list[Flag]:
        """Return all flags (of one home), the most pressing first."""
        found = self._store.all_kept(Flag, subject=dwelling_id)
        return sorted((one.record for one in found), key=lifecycle.worklist_order)

    def flag(self, flag_id: str) -> Flag | None:
        """Return one flag, ``None`` where there is none."""
        found = self._store.kept(Flag, flag_id)
        return None if found is None else found.record

    def step(self, flag_id: str, state: FlagState, by: str, reason: str, now: datetime) -> Flag:
        """Take a flag one step further for a person.

        Raises
        ------
        InvalidInputError
            Where there is no such flag, its life does not permit the step (`FlagStepError`), or
            the reason is missing.
        RetryableError
            Where somebody else changed the flag at the same moment.
        """
        found = self._found(flag_id)
        flag = lifecycle.step(found.record, state, by, reason, now)
        self._keep(flag, found.revision)
        detail = {"flag": flag.id, "state": str(state), "by": by, "reason": flag.steps[-1].reason}
        self._store.log([LogEntry(now, FLAG_STEP, flag.dwelling_id, detail)])
        return flag

    def object_to(self, flag_id: str, by: str, words: str, now: datetime) -> Flag:
        """Keep what the tenant says against a flag; raises as `step` does."""
        found = self._found(flag_id)
        flag = lifecycle.object_to(found.record, by, words, now)
        self._keep(flag, found.revision)
        return flag

    def consent(self, dwelling_id: str) -> Consent | None:
        """Return the home's consent, given or withdrawn; ``None`` where there never was one."""
        found = self._store.kept(Consent, _consent_key(dwelling_id))
        return None if found is None else found.record

    def give(self, dwelling_id: str, household: Household, by: str, now: datetime) -> Consent:
        """Keep what a tenant chose to give; it replaces what was given before."""
        purpose = Purpose.ENERGY_COST_HELP
        consent = Consent(dwelling_id, purpose, now, by, CONSENT_WORDING, household)
        self._keep_consent(consent, "given", now)
        return consent

    def withdraw(self, dwelling_id: str, now: datetime) -> Consent | None:
        """Delete what a tenant gave; that there was a consent, and its end, stays."""
        consent = self.consent(dwelling_id)
        if consent is None or not consent.holds:
            return consent
        ended = replace(consent, household=None, withdrawn_at=now)
        self._keep_consent(ended, "withdrawn", now)
        return ended

    def estimate(self, home: Dwelling, now: datetime) -> Estimate | None:
        """Return the estimate "may need help"; ``None`` where no figures are configured."""
        rules = self._estate.people.fuel_poverty
        if rules is None:
            return None
        consent = self.consent(home.id)
        household = consent.household if consent is not None and consent.holds else None
        day = now.astimezone(self._estate.zone).date()
        return estimate(home.epc_band, home.floor_area_m2, household, day, rules)

    def _found(self, flag_id: str) -> Kept[Flag]:
        found = self._store.kept(Flag, flag_id)
        if found is None:
            raise InvalidInputError(
                "there is no such flag",
                field="flag",
                value=flag_id,
                remedy="List them with `ems flags list`.",
            )
        return found

    def _keep(self, flag: Flag, revision: int) -> None:
        self._store.keep(
            flag, key=flag.id, subject=flag.dwelling_id, at=flag.raised_at, expected=revision
        )

    def _keep_consent(self, consent: Consent, change: str, now: datetime) -> None:
        key = _consent_key(consent.dwelling_id)
        self._store.keep(consent, key=key, subject=consent.dwelling_id, at=consent.given_at)
        detail = {"purpose": str(consent.purpose), "change": change}
        self._store.log([LogEntry(now, CONSENT_CHANGED, consent.dwelling_id, detail)])

    def _forget_spent(self, now: datetime) -> int:
        """Delete flags that nobody confirmed and that were not found for long."""
        spent: Sequence[Kept[Flag]] = [
            one
            for one in self._store.all_kept(Flag)
            if lifecycle.is_spent(one.record, now, self._rules)
        ]
        return sum(self._store.forget(Flag, one.key) for one in spent)


def asked_for(
    home: Dwelling, told: Sequence[Asked], span: tuple[datetime, datetime], zone: ZoneInfo
) -> dict[Source, pd.Series]:
    """Return what a resident asked for in each half-hour of a span [°C], by source.

    The schedule is the one in force at the time; a wish is ``nan`` where there was none, and
    left out where there was none at all.
    """
    grid = pd.date_range(*span, freq=HALF_HOUR, inclusive="left")
    schedule, wish = [], []
    for stamp in grid:
        at = stamp.to_pydatetime()
        held = [one for one in told if one.holds_at(at)]
        chosen = latest(held, {Asking.SCHEDULE})
        comfort = home.comfort if chosen is None else schedule_of(chosen, home.comfort)
        schedule.append(comfort.temperature_at(at, zone))
        warmth = latest(held, TEMPERATURES)
        asked_c = None if warmth is None else warmth.temperature_c
        wish.append(float("nan") if asked_c is None else asked_c)
    found = {Source.SCHEDULE: pd.Series(schedule, index=grid, dtype=float)}
    if not all(math.isnan(value) for value in wish):
        found[Source.WISH] = pd.Series(wish, index=grid, dtype=float)
    return found


def _consent_key(dwelling_id: str) -> str:
    return f"{dwelling_id}-{Purpose.ENERGY_COST_HELP}"
