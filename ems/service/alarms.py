"""Watching for alarms: one watch in the control process, one in the guard.

Control judges the field, plans and the guard; the guard judges control and itself, so that
a dead control process is told of as well. Both look at the store's disk. A watch only
looks and keeps; sending is the courier's, on a thread of its own.
"""

from __future__ import annotations

import shutil
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
import structlog

from ems.alarms.forecast_rules import judge_forecasts
from ems.alarms.rules import FieldFacts, Judged, PowerSample, RoomSample, judge_field
from ems.alarms.service_rules import (
    GuardAction,
    judge_disk,
    judge_guard,
    judge_process,
    store_cause,
)
from ems.domain.alarms import Cause
from ems.domain.errors import HearthError
from ems.domain.estate import Dwelling, Estate
from ems.domain.forecasts import Standing
from ems.domain.outages import Outage
from ems.domain.points import PointId
from ems.domain.ports import Store
from ems.domain.readings import Quality, Snapshot
from ems.domain.setpoints import Cause as SetpointCause
from ems.domain.wishes import WishKind
from ems.service.alarm_desk import AlarmDesk
from ems.service.guard import CONTROL, GUARD
from ems.service.guard import SENTENCE as GUARD_SENTENCE
from ems.service.heat_watch import HeatWatch
from ems.service.image import ProcessImage
from ems.service.planning import Wishes, no_wishes
from ems.service.starting import is_starting

log = structlog.get_logger()

GUARD_ACTION_S = 600.0
"""For as long an act of the guard counts as present [s]."""
ROOM_MAX_AGE_S = 900.0
SETPOINT_MAX_AGE_S = 1800.0
IMPORT_MAX_AGE_S = 45.0
_SEED_STEP = timedelta(minutes=5)
WEB = "web"
WEB_SILENT_WALL_S = 60.0
"""However fast estate time runs, the pages are not called silent before this [wall s]."""
_PRUNE_EVERY = timedelta(days=1)
_LOOK_AT_FORECASTS = timedelta(minutes=30)

OnStoreTrouble = Callable[[Cause, datetime], None]
"""Tells people of trouble that the store itself cannot keep."""


def _tell_nobody(cause: Cause, now: datetime) -> None:
    del cause, now


class _Watch:
    """What both watches do: settle what was judged, and survive a store in trouble."""

    def __init__(
        self,
        estate: Estate,
        store: Store,
        state_dir: Path | None,
        on_trouble: OnStoreTrouble,
        grace_wall_s: float,
    ) -> None:
        self._grace_wall_s = grace_wall_s
        self._began_s = time.monotonic()
        self._estate = estate
        self._store = store
        self._state_dir = state_dir
        self._on_trouble = on_trouble
        self._since: datetime | None = None
        self._pruned: datetime | None = None
        self.desk = AlarmDesk(store, estate.alarms)

    def run(self, now: datetime) -> None:
        """Look once; an expected failure of the store is told of and not raised."""
        self._since = self._since or now
        try:
            open_keys = frozenset(alarm.cause.key for alarm in self.desk.open())
            judged = self._judge(now, open_keys)
            judged |= judge_disk(self._free_mb(), self._estate.alarms, open_keys)
            self.desk.settle(judged, now)
            if self._pruned is None or now - self._pruned >= _PRUNE_EVERY:
                self.desk.prune(now)
                self._pruned = now
        except HearthError as error:
            log.error("alarms_not_kept", problem=error.problem)
            self._on_trouble(store_cause(error.problem), now)

    def _wall_s(self) -> float:
        return time.monotonic() - self._began_s

    def _judge(self, now: datetime, open_keys: frozenset[str]) -> Judged:
        raise NotImplementedError

    def _process(self, name: str, now: datetime, homes: tuple[str, ...] = ()) -> Judged:
        """Judge another process; one that starts beside this one is given time."""
        after_s = self._estate.control.guard_after_s
        if (now - (self._since or now)).total_seconds() < after_s:
            return Judged()
        beat = self._store.heartbeats().get(name)
        if self._wall_s() < self._grace_wall_s or is_starting(self._store, name, beat):
            return Judged()
        age_s = None if beat is None else (now - beat.at).total_seconds()
        return judge_process(name, age_s, after_s, homes)

    def _free_mb(self) -> float | None:
        if self._state_dir is None:
            return None
        try:
            return shutil.disk_usage(self._state_dir).free / 1e6
        except OSError:
            return None


class ControlWatch(_Watch):
    """Watches homes and their heat, devices, plans, limits and the guard.

    Parameters
    ----------
    estate, store, image
        What to watch, what is known, the latest readings.
    wishes
        Residents' wishes in force: a home that is away is cold because it was asked to be.
    state_dir
        Whose disk is watched; ``None`` for none.
    on_trouble
        Told when the store cannot keep alarms.
    grace_wall_s
        Processes that start together with this one get this long before they can count as
        silent [wall s].
    """

    def __init__(
        self,
        estate: Estate,
        store: Store,
        image: ProcessImage,
        *,
        wishes: Wishes = no_wishes,
        state_dir: Path | None = None,
        on_trouble: OnStoreTrouble = _tell_nobody,
        grace_wall_s: float = 0.0,
    ) -> None:
        super().__init__(estate, store, state_dir, on_trouble, grace_wall_s)
        self._image = image
        self._heat = HeatWatch(estate, store, image.stillness)
        self._wishes = wishes
        self._rooms: dict[str, deque[RoomSample]] = {}
        self._imports: dict[str, deque[PowerSample]] = {}
        self._block_of = {home.id: home.block_id for home in estate.dwellings()}
        self._forecasts = Judged()
        self._forecasts_at: datetime | None = None

    def _judge(self, now: datetime, open_keys: frozenset[str]) -> Judged:
        if not self._rooms:
            self._seed(now)
        self._sample(self._image.snapshot(now))
        seen = self._store.last_good()
        plans = {block.id: self._store.latest_schedule(block.id) for block in self._estate.blocks}
        facts = FieldFacts(
            now=now,
            ages_s={
                device: (now - seen[device]).total_seconds()
                for device in self._estate.devices
                if device in seen
            },
            out_of_service=frozenset(
                kept.record.device_id
                for kept in self._store.all_kept(Outage)
                if kept.record.holds_at(now)
            ),
            rooms=self._rooms,
            imports=self._imports,
            plan_ages_s={
                block: None if plan is None else (now - plan.issued_at).total_seconds()
                for block, plan in plans.items()
            },
            open_keys=open_keys,
        )
        field = judge_field(self._estate, facts)
        heat = self._heat.judge(now, open_keys | {cause.key for cause in field.causes})
        return field | heat | self._process(GUARD, now) | self._judge_forecasts(now)

    def _judge_forecasts(self, now: datetime) -> Judged:
        """Judge forecasts by how they stand; they are scored every few hours at most."""
        if self._forecasts_at is None or now - self._forecasts_at >= _LOOK_AT_FORECASTS:
            standings = [kept.record for kept in self._store.all_kept(Standing)]
            self._forecasts = judge_forecasts(standings, self._block_of)
            self._forecasts_at = now
        return self._forecasts

    def _sample(self, snapshot: Snapshot) -> None:
        now = snapshot.taken_at
        keep = timedelta(seconds=1.1 * self._estate.alarms.fall_over_s)
        for home in self._estate.dwellings():
            samples = self._rooms.setdefault(home.id, deque())
            room_c = snapshot.good(home.room_sensor_id, "temperature_c", ROOM_MAX_AGE_S)
            if room_c is None:
                pump = home.heat_pump.device_id
                room_c = snapshot.good(pump, "room_temperature_c", ROOM_MAX_AGE_S)
            if room_c is not None:
                samples.append(RoomSample(now, room_c, self._asked_c(home, snapshot)))
            while samples and now - samples[0].at > keep:
                samples.popleft()
        for block in self._estate.blocks:
            imports = self._imports.setdefault(block.id, deque(maxlen=8))
            meter = block.block_meter.device_id
            power_w = snapshot.good(meter, "power_w", IMPORT_MAX_AGE_S)
            if power_w is not None:
                imports.append(PowerSample(now, power_w))

    def _asked_c(self, home: Dwelling, snapshot: Snapshot) -> float:
        """Return what the home's heating is asked for: by wish, at the pump, by schedule."""
        wish = self._wishes(snapshot.taken_at).get(home.id)
        if wish is not None and wish.kind is not WishKind.OPT_OUT:
            return wish.temperature_c
        pump = home.heat_pump.device_id
        dial = snapshot.good(pump, "room_setpoint_c", SETPOINT_MAX_AGE_S)
        if dial is not None:
            return dial
        return home.comfort.temperature_at(snapshot.taken_at, self._estate.zone)

    def _seed(self, now: datetime) -> None:
        """Fill the samples from the store, so that a restart is not blind for hours."""
        start = now - timedelta(seconds=self._estate.alarms.fall_over_s)
        for home in self._estate.dwellings():
            room = self._store.readings(PointId(home.room_sensor_id, "temperature_c"), start, now)
            dial = self._store.readings(
                PointId(home.heat_pump.device_id, "room_setpoint_c"), start, now
            )
            rooms = room[room["quality"] == int(Quality.GOOD)]["value"]
            asked = dial[dial["quality"] == int(Quality.GOOD)]["value"]
            samples: deque[RoomSample] = deque()
            for at, value in zip(pd.DatetimeIndex(rooms.index).to_pydatetime(), rooms, strict=True):
                if samples and at - samples[-1].at < _SEED_STEP:
                    continue
                before = asked[:at]
                asked_c = float(before.iloc[-1]) if len(before) else None
                samples.append(RoomSample(at, float(value), asked_c))
            self._rooms[home.id] = samples


class GuardWatch(_Watch):
    """Watches control from the guard process, and what the guard had to do.

    Parameters
    ----------
    estate, store
        What to watch and what is known.
    state_dir, on_trouble, grace_wall_s
        As for `ControlWatch`.
    """

    def __init__(
        self,
        estate: Estate,
        store: Store,
        *,
        state_dir: Path | None = None,
        on_trouble: OnStoreTrouble = _tell_nobody,
        grace_wall_s: float = 0.0,
    ) -> None:
        super().__init__(estate, store, state_dir, on_trouble, grace_wall_s)
        self._homes = tuple(home.id for home in estate.dwellings())

    def _judge(self, now: datetime, open_keys: frozenset[str]) -> Judged:
        del open_keys
        control = self._process(CONTROL, now, self._homes)
        return control | self._web(now) | judge_guard(self._action(now))

    def _web(self, now: datetime) -> Judged:
        """Judge the web process, where one has ever run here: a site may do without."""
        beat = self._store.heartbeats().get(WEB)
        if beat is None:
            return Judged()
        if time.time() - beat.wall_s < WEB_SILENT_WALL_S:
            return judge_process(WEB, 0.0, self._estate.control.guard_after_s)
        return self._process(WEB, now)

    def _action(self, now: datetime) -> GuardAction | None:
        start, end = now - timedelta(seconds=GUARD_ACTION_S), now + timedelta(seconds=1)
        entries = [
            entry
            for entry in self._store.log_entries(start, end, "guard_released")
            if not entry.detail.get("control_silent", True)
        ]
        if not entries:
            return None
        first = min(entry.at for entry in entries)
        devices = sorted(
            {
                record.setpoint.point_id.device_id
                for record in self._store.setpoints(None, first, end, 10_000)
                if record.setpoint.cause is SetpointCause.RELEASE
                and record.setpoint.sentence == GUARD_SENTENCE
            }
        )
        homes = {self._estate.devices[d].dwelling_id for d in devices if d in self._estate.devices}
        return GuardAction(
            devices=tuple(devices),
            homes=tuple(sorted(home for home in homes if home is not None)),
            standing=len(entries[0].detail.get("standing", [])),
        )
