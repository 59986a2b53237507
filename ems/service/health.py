"""Is the estate well? One answer for `/healthz`, `ems status` and the pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ems.domain.estate import Estate
from ems.domain.points import PointId
from ems.domain.ports import ActiveCommand, Store
from ems.domain.setpoints import Applied, Deferred, Overtaken, SetpointRecord
from ems.domain.weather import WeatherIssue
from ems.service.guard import CONTROL, GUARD, control_is_silent
from ems.service.outages import outages

WEATHER_LATE_S = 6 * 3600.0
"""An older weather forecast is a problem."""
ONLINE_PERIODS = 3
"""A device is online while its last good reading is younger than this many polls."""

NO_FAILURE = (Applied, Deferred, Overtaken)
"""Outcomes after which a command that is not confirmed is none that failed."""


@dataclass(frozen=True, slots=True)
class Health:
    """What a watcher needs to know, ages in estate seconds.

    Attributes
    ----------
    devices_total, devices_online
        Devices in service, and those of them that gave a good value lately.
    weather_age_s
        Age of the last answer of the weather service; ``None`` where none came, or where
        weather comes from a file.
    devices_out_of_service
        Devices that an operator has put out of service; not counted above.
    oldest_reading_s
        Age of the last good reading of the device that has been silent longest; ``None``
        where a device never gave one.
    plan_age_s
        Age of the oldest block's newest plan; ``None`` where a block has none.
    setpoints_confirmed, setpoints_active
        Commands confirmed by read-back, and all commands devices are under.
    problems
        What is wrong, in words; empty when well.
    offline
        Ids of devices that are not online.
    """

    devices_total: int
    devices_online: int
    oldest_reading_s: float | None
    plan_age_s: float | None
    setpoints_confirmed: int
    setpoints_active: int
    problems: tuple[str, ...]
    offline: tuple[str, ...]
    devices_out_of_service: int = 0
    weather_age_s: float | None = None

    @property
    def well(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    @property
    def status(self) -> str:
        """``ok`` or ``degraded``."""
        return "ok" if self.well else "degraded"

    def as_dict(self) -> Mapping[str, Any]:
        """Return the report as plain JSON values."""
        return {
            "status": self.status,
            "devices_total": self.devices_total,
            "devices_online": self.devices_online,
            "devices_out_of_service": self.devices_out_of_service,
            "oldest_reading_s": _rounded(self.oldest_reading_s),
            "plan_age_s": _rounded(self.plan_age_s),
            "weather_age_s": _rounded(self.weather_age_s),
            "setpoints_confirmed": self.setpoints_confirmed,
            "setpoints_active": self.setpoints_active,
            "problems": list(self.problems),
        }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def _named(ids: list[str], most: int = 5) -> str:
    rest = f" and {len(ids) - most} more" if len(ids) > most else ""
    return ", ".join(ids[:most]) + rest


def _failing(store: Store, commands: Sequence[ActiveCommand], now: datetime) -> list[str]:
    """Return the points whose last setpoint failed.

    A command that is on its way, that waits because its register wears out, or that a hand
    at the device has overtaken, is none.
    """
    waiting = [command.point_id for command in commands if not command.confirmed]
    if not waiting:
        return []
    last: dict[PointId, SetpointRecord] = {}
    devices = [point_id.device_id for point_id in waiting]
    for record in store.setpoints(devices, now - timedelta(days=1), now + timedelta(seconds=1)):
        last.setdefault(record.setpoint.point_id, record)
    return [
        str(point_id)
        for point_id in waiting
        if point_id not in last
        or not isinstance(last[point_id].outcome, Applied | Deferred | Overtaken)
    ]


def _weather_age_s(estate: Estate, store: Store, now: datetime) -> float | None:
    if estate.sources.weather_url is None:
        return None
    last = store.kept(WeatherIssue, estate.id)
    return None if last is None else (now - last.record.fetched_at).total_seconds()


def health(estate: Estate, store: Store, now: datetime) -> Health:
    """Look at devices, plans, commands and processes at estate time ``now``."""
    rules = estate.control
    problems: list[str] = []

    seen = store.last_good()
    out = outages(store, now)
    serving = [device for device in estate.devices if device not in out]
    ages = {device: (now - seen[device]).total_seconds() for device in serving if device in seen}
    limit_s = ONLINE_PERIODS * rules.poll_normal_s
    offline = [device for device in serving if ages.get(device, float("inf")) > limit_s]
    never = [device for device in serving if device not in seen]
    if offline:
        problems.append(f"{len(offline)} of {len(serving)} devices silent: {_named(offline)}")

    plan_ages: list[float | None] = []
    for block in estate.blocks:
        schedule = store.latest_schedule(block.id)
        age_s = None if schedule is None else (now - schedule.issued_at).total_seconds()
        plan_ages.append(age_s)
        if age_s is None:
            problems.append(f"block {block.id} has no plan yet")
        elif age_s > rules.plan_max_age_s:
            problems.append(f"the plan of block {block.id} is {age_s / 60:.0f} minutes old")
    known = [age for age in plan_ages if age is not None]

    weather_age_s = _weather_age_s(estate, store, now)
    if estate.sources.weather_url is not None:
        if weather_age_s is None:
            problems.append("no weather forecast has come yet")
        elif weather_age_s > WEATHER_LATE_S:
            problems.append(f"the weather forecast is {weather_age_s / 3600:.0f} hours old")

    commands = store.active_commands()
    confirmed = sum(command.confirmed for command in commands)
    unconfirmed = _failing(store, commands, now)
    if unconfirmed:
        problems.append(
            f"{len(unconfirmed)} setpoints not confirmed by read-back: {_named(unconfirmed)}"
        )

    beats = store.heartbeats()
    problems.extend(
        f"the {process} process is silent"
        for process in (CONTROL, GUARD)
        if control_is_silent(beats.get(process), now, rules.guard_after_s)
    )

    return Health(
        devices_total=len(serving),
        devices_online=len(serving) - len(offline),
        oldest_reading_s=None if never or not ages else max(ages.values()),
        plan_age_s=max(known) if len(known) == len(plan_ages) and known else None,
        setpoints_confirmed=confirmed,
        setpoints_active=len(commands),
        problems=tuple(problems),
        offline=tuple(offline),
        devices_out_of_service=len(estate.devices) - len(serving),
        weather_age_s=weather_age_s,
    )
