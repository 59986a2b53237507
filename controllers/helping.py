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

from controllers.battery import EventNow
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
from controllers.keeping import Keeping, keeping
from controllers.reasons import degrees
from controllers.safety import RUNNING_W, Home
from ems.domain.estate import Block
from ems.domain.events import Direction, FlexEvent, Undisturbed
from ems.domain.points import PointId
from ems.domain.readings import Snapshot
from ems.domain.rules import ControlRules
from ems.domain.setpoints import Cause, Setpoint
from ems.domain.wishes import Wish

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
    kept
        How the promises are kept, for either direction that is asked for.
    """

    block: Block
    now: datetime
    targets: tuple[Target, ...]
    returning: Mapping[str, datetime]
    recovery_cap_w: float | None
    kept: tuple[Keeping, ...]

    @property
    def battery(self) -> EventNow | None:
        """What the battery is to know; ``None`` where no event matters now."""
        if not self.kept and self.recovery_cap_w is None:
            return None
        asks = tuple(each.ask for each in self.kept if each.ask is not None)
        return EventNow(asks, self.recovery_cap_w)

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
        for each in self.kept:
            if not each.down:
                continue
            steered = frozenset[str]().union(*(target.steered for target in each.targets))
            missing = each.missing_w
            missing -= sum(home.power_w or 0.0 for home in homes if home.dwelling_id in resting)
            for home in sorted(homes, key=lambda one: -(one.margin_k or 0.0)):
                if missing <= SPARE_W:
                    break
                running = (home.power_w or 0.0) > RUNNING_W
                if home.dwelling_id in steered and running and _may_rest(home):
                    resting.add(home.dwelling_id)
                    missing -= home.power_w or 0.0
        return [
            _resting(home) if home.dwelling_id in resting and _may_rest(home) else home
            for home in homes
        ]


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
        kept=keeping(block, targets, snapshot, now),
    )
