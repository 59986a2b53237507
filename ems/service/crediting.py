"""Credits to tenants for heating ahead that saves somebody else money, half-hour by half-hour."""

from __future__ import annotations

import math
from datetime import date, datetime, timedelta

from controllers.following import course_at
from ems.domain.credits import (
    CreditSum,
    TenantCredit,
    credit_rate_gbp_per_kwh,
    credits_between,
)
from ems.domain.estate import Block, Dwelling, Estate, Supply
from ems.domain.plans import Schedule
from ems.domain.points import PointId
from ems.domain.ports import Store
from ems.domain.tariffs import NoRateError
from ems.domain.time import HALF_HOUR, floor_to

LOOKS_AHEAD = timedelta(hours=12)
"""So far ahead a home's own rates say whether it gains by itself."""
IN_FORCE_AFTER = timedelta(minutes=5)
"""A plan issued so long after a half-hour began still counts for it."""


def may_be_credited(estate: Estate, block: Block) -> bool:
    """Return whether a block's homes are credited: where the landlord buys for all."""
    return block.supply is Supply.BOUNDARY and estate.control.ahead_credit_pct > 0


def credited(store: Store, dwelling_id: str, first: date, last: date) -> CreditSum:
    """Return what a home was credited on the local days ``first`` to ``last``."""
    kept = store.all_kept(TenantCredit, subject=dwelling_id)
    return credits_between((each.record for each in kept), first, last)


class Crediting:
    """Credits the half-hour that has just closed, from meters and the plan in force.

    Parameters
    ----------
    estate, store
        Who pays what; where roll-ups, plans and credits lie.
    """

    def __init__(self, estate: Estate, store: Store) -> None:
        self._estate = estate
        self._store = store

    def run(self, now: datetime) -> None:
        """Credit the last closed half-hour; once, however often this is called."""
        start = floor_to(now) - HALF_HOUR
        share = self._estate.control.ahead_credit_pct / 100.0
        for block in self._estate.blocks:
            if not may_be_credited(self._estate, block):
                continue  # each home pays its own supplier, and is planned at its own rate
            plan = self._plan_of(block, start)
            if plan is not None:
                self._credit(block, plan, start, share)

    def total_gbp(self, dwelling_id: str) -> float:
        """Return all that a home was credited [£]."""
        kept = self._store.all_kept(TenantCredit, subject=dwelling_id)
        return math.fsum(each.record.credit_gbp for each in kept)

    def _plan_of(self, block: Block, start: datetime) -> Schedule | None:
        earliest = start - timedelta(seconds=self._estate.control.plan_max_age_s)
        plans = self._store.schedules(block.id, earliest, start + IN_FORCE_AFTER)
        return plans[-1] if plans else None

    def _credit(self, block: Block, plan: Schedule, start: datetime, share: float) -> None:
        step = plan.index_at(start)
        if step is None:
            return
        rates: dict[str, tuple[float, float]] = {}
        for home in block.dwellings:
            planned = plan.home(home.id)
            if planned is None:
                continue
            own = self._rates(home, start)
            why = course_at(planned, step), planned.causes(step)
            rate = credit_rate_gbp_per_kwh(*why, own, share)
            if rate > 0:
                rates[home.id] = (own[0], rate)
        points = {
            home.id: PointId(home.heat_pump.device_id, "heating_power_w")
            for home in block.dwellings
            if home.id in rates
        }
        if not points:
            return
        frame = self._store.rollups(list(points.values()), start, start + HALF_HOUR)
        for dwelling_id, point in points.items():
            watts = float(frame[str(point)].iloc[0]) if len(frame) else math.nan
            if math.isfinite(watts) and watts > 0:
                self._add(dwelling_id, start, watts / 2000.0, rates[dwelling_id])

    def _rates(self, home: Dwelling, start: datetime) -> list[float]:
        """Return a home's own rates from ``start`` on, as far as they are known."""
        found: list[float] = []
        tariff = home.meter.tariff
        if tariff is None:
            return found
        for number in range(int(LOOKS_AHEAD / HALF_HOUR)):
            try:
                found.append(tariff.rate_gbp_per_kwh(start + number * HALF_HOUR))
            except NoRateError:
                break
        return found

    def _add(
        self, dwelling_id: str, start: datetime, kwh: float, rates: tuple[float, float]
    ) -> None:
        """Add a half-hour's electricity [kWh] at the home's rate and the credited one [£/kWh]."""
        paid, rate = rates
        day = start.astimezone(self._estate.zone).date().isoformat()
        key = f"{dwelling_id}/{day}"
        kept = self._store.kept(TenantCredit, key)
        before = kept.record if kept is not None else None
        end = start + HALF_HOUR
        if before is not None and before.until >= end:
            return
        record = TenantCredit(
            dwelling_id,
            day,
            kwh + (0.0 if before is None else before.ahead_kwh),
            kwh * rate + (0.0 if before is None else before.credit_gbp),
            end,
            kwh * paid + (0.0 if before is None else before.cost_gbp),
        )
        self._store.keep(record, key=key, subject=dwelling_id, at=end)
