"""Events at one dispatch: measured power against the promise, more rest, the way back.

The plan has shaped the event; between two plans, what the meters say is held against what
was promised. The battery makes up the difference first. What it cannot give for as long as
the event lasts, warm homes give by resting, the warmest first, never under their floor.
Afterwards homes come back at fixed times of their own, under a cap.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from controllers.battery import POWER_MAX_AGE_S, SOC_MAX_AGE_S, EventNow
from controllers.comfort import spread_s
from controllers.events import (
    Target,
    ends_at,
    participants,
    recovering,
    recovery_cap_w,
    steered,
    target_at,
)
from controllers.intent import Intent
from controllers.reasons import degrees
from controllers.safety import RUNNING_W, Home
from ems.domain.estate import Block, ControlRules
from ems.domain.events import Direction, FlexEvent, Undisturbed
from ems.domain.points import PointId
from ems.domain.readings import Snapshot
from ems.domain.setpoints import Cause, Setpoint
from ems.domain.wishes import Wish

METERED_SHARE = 0.8
"""Less than this share of the homes measured, and nothing is corrected by measurements."""
SPARE_W = 500.0
"""Homes are made to rest where more than this is missing [W]."""
REST_MARGIN_K = 0.5
"""Only homes so far above their floor are made to rest more [K]."""
COMING_BACK = "because homes come back one after another after helping the grid"


@dataclass(frozen=True, slots=True)
class Helping:
    """What events mean for a block at one dispatch.

    Attributes
    ----------
    block, now
        Where and when.
    targets
        Of the events that run.
    returning
        Home → when it comes back after an event, where that is still ahead.
    recovery_cap_w
        What the import is to stay under after an event [W].
    measured
        What the battery goes by.
    lasting_w
        What the battery can discharge evenly until the last event ends [W].
    """

    block: Block
    now: datetime
    targets: tuple[Target, ...]
    returning: Mapping[str, datetime]
    recovery_cap_w: float | None
    measured: tuple[tuple[Target, float | None, float | None], ...]
    lasting_w: float

    @property
    def battery(self) -> EventNow | None:
        """What the battery is to know; ``None`` where no event matters now."""
        if not self.measured and self.recovery_cap_w is None:
            return None
        return EventNow(self.measured, self.recovery_cap_w, self.lasting_w)

    def rests(self, dwelling_id: str) -> bool:
        """Tell whether an event that asks for less steers this home now."""
        return any(target.down and dwelling_id in target.steered for target in self.targets)

    def held_until_its_turn(self, dwelling_id: str, intent: Intent, room_c: float | None) -> Intent:
        """Return the intent, or rest where the home's time after an event has not come."""
        back_at = self.returning.get(dwelling_id)
        rest = intent.waiting_value
        if back_at is None or room_c is None or rest is None or intent.value <= rest:
            return intent
        minutes = max(1, round((back_at - self.now).total_seconds() / 60))
        return intent.told(
            rest,
            Cause.EVENT,
            "Thank you for helping the grid. Homes come back one after another: yours in "
            f"{minutes} minute{'' if minutes == 1 else 's'}.",
        )

    def rest_more(
        self,
        homes: Sequence[Home],
        previous: Mapping[PointId, Setpoint],
    ) -> list[Home]:
        """Return the homes, more of them resting where the battery does not reach.

        Parameters
        ----------
        homes
            As wish, floor and plan have them.
        previous
            The last setpoints: who was made to rest goes on resting.
        """
        resting = {
            home.dwelling_id
            for home in homes
            if (last := previous.get(home.intent.point_id)) is not None
            and last.cause is Cause.EVENT
            and not last.plan_id
            and self.rests(home.dwelling_id)
        }
        for target, homes_w, pumps_w in self.measured:
            if not target.down:
                continue
            missing = self._missing_w(target, homes_w, pumps_w)
            missing -= sum(home.power_w or 0.0 for home in homes if home.dwelling_id in resting)
            for home in sorted(homes, key=lambda each: -(each.margin_k or 0.0)):
                if missing <= SPARE_W:
                    break
                running = (home.power_w or 0.0) > RUNNING_W
                if home.dwelling_id in target.steered and running and _may_rest(home):
                    resting.add(home.dwelling_id)
                    missing -= home.power_w or 0.0
        return [
            _resting(home) if home.dwelling_id in resting and _may_rest(home) else home
            for home in homes
        ]

    def _missing_w(self, target: Target, homes_w: float | None, pumps_w: float | None) -> float:
        """Return what homes must give beyond the plan for the promise to last [W].

        Where base load is higher than expected, that alone makes no home rest.
        """
        over = [
            flow - limit
            for limit, flow in ((target.limit_w, homes_w), (target.flexible_w, pumps_w))
            if limit is not None and flow is not None
        ]
        unit = self.block.battery
        if not over:
            return 0.0
        if unit is None or not target.event.battery_takes_part:
            return min(over)
        return min(over) - min(self.lasting_w, unit.max_discharge_w)


def _may_rest(home: Home) -> bool:
    rest = home.intent.waiting_value
    return (
        home.margin_k is not None
        and home.margin_k > REST_MARGIN_K
        and rest is not None
        and home.intent.value > rest
        and home.intent.cause not in (Cause.RESIDENT, Cause.COMFORT_FLOOR)
    )


def _resting(home: Home) -> Home:
    rest = home.intent.waiting_value
    if rest is None:
        return home
    sentence = (
        "Resting a little more: your building helps the grid; your room is kept at "
        f"{degrees(home.floor_c)} at least."
    )
    return replace(home, intent=home.intent.told(rest, Cause.EVENT, sentence))


def helping(
    block: Block,
    events: Sequence[FlexEvent],
    snapshot: Snapshot,
    now: datetime,
    *,
    rules: ControlRules,
    wishes: Mapping[str, Wish],
    before: Mapping[str, Undisturbed],
    apart: Mapping[str, Collection[str]],
) -> Helping:
    """Return what events mean for a block at ``now``; parameters as of `dispatch`."""
    targets = []
    returning: dict[str, datetime] = {}
    caps = []
    for event in events:
        away = apart.get(event.id, ())
        may_steer = steered(event, block, wishes=wishes, apart=away, now=now)
        target = target_at(
            event,
            now,
            homes=participants(event, block, wishes=wishes, apart=away, now=now),
            may_steer=may_steer,
            before=before.get(event.id),
        )
        if target is not None:
            targets.append(target)
        if not recovering(event, now) or event.request.direction is not Direction.DOWN:
            continue
        cap = recovery_cap_w(event, before.get(event.id), rules)
        if cap is not None:
            caps.append(cap)
        for name in may_steer:
            after_s = spread_s(f"{event.id} {name}", rules.event_return_s)
            back_at = ends_at(event) + timedelta(seconds=after_s)
            if back_at > now:
                returning[name] = max(back_at, returning.get(name, back_at))
    return Helping(
        block=block,
        now=now,
        targets=tuple(targets),
        returning=returning,
        recovery_cap_w=min(caps, default=None),
        measured=tuple((target, *_measured(block, target, snapshot)) for target in targets),
        lasting_w=_lasting_w(block, targets, snapshot, now),
    )


def _lasting_w(block: Block, targets: Sequence[Target], snapshot: Snapshot, now: datetime) -> float:
    """Return what the battery can discharge evenly until the last event ends [W]."""
    if not targets or block.battery is None:
        return 0.0
    soc_pct = snapshot.good(block.battery.device_id, "soc_pct", SOC_MAX_AGE_S)
    if soc_pct is None:
        return 0.0
    last = max(ends_at(target.event) for target in targets)
    left_h = max((last - now).total_seconds(), 60.0) / 3600.0
    left_wh = block.battery.capacity_wh * max(soc_pct / 100.0 - block.battery.min_soc, 0.0)
    return left_wh * block.battery.one_way_efficiency / left_h


def _measured(
    block: Block, target: Target, snapshot: Snapshot
) -> tuple[float | None, float | None]:
    """Return the import of an event's homes and of their heat pumps [W].

    A home that cannot be read counts like the mean of the others.
    """
    meters: list[float | None] = []
    pumps: list[float | None] = []
    for home in block.dwellings:
        if home.id in target.homes:
            meters.append(snapshot.good(home.meter.device_id, "power_w", POWER_MAX_AGE_S))
            pump = home.heat_pump.power_device_id
            pumps.append(snapshot.good(pump, "power_w", POWER_MAX_AGE_S))
    return _sum_w(meters, len(target.homes)), _sum_w(pumps, len(target.homes))


def _sum_w(values: Sequence[float | None], homes: int) -> float | None:
    seen = [value for value in values if value is not None]
    if not seen or len(seen) < METERED_SHARE * homes:
        return None
    return sum(seen) * homes / len(seen)
