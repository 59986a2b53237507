"""Ports: what the service needs of a store and of a field bus.

Adapters fill them: :mod:`ems.store` for the first, :mod:`drivers` for the second.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

import pandas as pd

from ems.domain.forecasts import Forecast
from ems.domain.holes import Holes
from ems.domain.plans import Schedule
from ems.domain.points import PointId
from ems.domain.profiles import Cadence
from ems.domain.readings import Reading, Rollup
from ems.domain.setpoints import Outcome, Setpoint, SetpointRecord
from ems.domain.thermal import ThermalEstimate


class FieldBus(Protocol):
    """Reads points from devices and writes setpoints to them."""

    async def poll(self, cadences: Collection[Cadence], now: datetime) -> list[Reading]:
        """Read all points of these cadences from all devices.

        One reading comes back for every point asked for, ``NO_ANSWER`` where the device
        was silent; and for what a device that answers again had missed. A gateway that is
        much slower than usual holds up no other: its readings come with a later poll, each
        with the instant of its own round. Never raises for a device's failure.
        """
        ...

    async def apply(
        self,
        setpoint: Setpoint,
        now: datetime,
        *,
        urgent: bool = False,
        seen: float | None = None,
    ) -> Outcome:
        """Write one setpoint where the device does not hold it yet, and read it back.

        ``urgent`` (the resident's, safety and release writes) bypasses flash protection.
        ``seen`` is what the point showed when the setpoint was decided: where it holds
        neither that nor what it was told last at the moment of the write, nothing is
        written and the outcome is `Overtaken`.
        """
        ...

    async def release(self, setpoint: Setpoint, now: datetime) -> Outcome:
        """Hand a device back: write the release value and what its profile's release asks for.

        Bypasses flash protection.
        """
        ...

    async def look(self, point_ids: Collection[PointId], now: datetime) -> list[Reading]:
        """Read these points now, ahead of polls; one reading each, in their order.

        ``NO_ANSWER`` where the device was silent. Never raises for a device's failure.
        """
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


class WriteBook(Protocol):
    """Counts writes to devices for good; it is told of each and must not block."""

    def wrote(self, point_ids: Collection[PointId], at: datetime, *, urgent: bool) -> None:
        """Note one write message at ``at`` (estate time, UTC) to these points."""
        ...

    def last_write(self, point_id: PointId) -> datetime | None:
        """Return when a point was written last, by any process; ``None`` where never."""
        ...


class HoleBook(Protocol):
    """Keeps over restarts what devices taught by refusing reads; it must not block."""

    def known(self, device_id: str) -> Holes | None:
        """Return what a device taught; ``None`` where it taught nothing that still counts."""
        ...

    def learnt(self, holes: Holes) -> None:
        """Note what a device taught, all of it."""
        ...

    def forgotten(self, device_id: str) -> None:
        """Note that what a device taught no longer counts."""
        ...


@dataclass(frozen=True, slots=True)
class ActiveCommand:
    """The command a point is under, written ahead of the device write.

    The guard needs no more than this to hand the device back.
    """

    point_id: PointId
    value: float
    release_value: float
    expires_at: datetime
    setpoint_id: str
    confirmed: bool


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A process's last sign of life, in estate and in wall time."""

    process: str
    at: datetime
    wall_s: float
    pid: int


@dataclass(frozen=True, slots=True)
class LogEntry:
    """Something that happened: a device lost or found, the guard acted, a plan gave way.

    ``detail`` holds plain JSON values.
    """

    at: datetime
    kind: str
    subject: str
    detail: Mapping[str, Any] = field(default_factory=dict)


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Kept(Generic[T]):
    """A record as the store holds it.

    Attributes
    ----------
    record
        The frozen dataclass itself.
    key, subject
        Its name among its kind; whom or what it is about.
    at
        Estate time it belongs to, UTC.
    revision
        How often it was written, from 1; hand it back to write on top of what was read.
    sequence
        Its place in the order of last writes over all records: a cursor.
    """

    record: T
    key: str
    subject: str
    at: datetime
    revision: int
    sequence: int


class Store(Protocol):
    """Keeps readings, roll-ups, forecasts, plans, setpoints and the log.

    Safe for several processes. Instants are UTC; frames are indexed by UTC instants
    of a regular grid, missing values are ``nan`` and never filled.
    """

    def add_readings(self, readings: Sequence[Reading]) -> None:
        """Keep readings; they are committed when this returns."""
        ...

    def latest(self, device_ids: Collection[str] | None = None) -> dict[PointId, Reading]:
        """Return the latest reading of each point (of these devices), whatever its quality."""
        ...

    def last_good(self, device_ids: Collection[str] | None = None) -> dict[str, datetime]:
        """Return when each device last gave a good value; devices that never did are absent."""
        ...

    def readings(self, point_id: PointId, start: datetime, end: datetime) -> pd.DataFrame:
        """Return raw readings of [start, end): columns ``value``, ``quality``."""
        ...

    def resampled(
        self, point_ids: Sequence[PointId], start: datetime, end: datetime, step_s: int
    ) -> pd.DataFrame:
        """Return the steps that begin in [start, end), one column per point (``str(point_id)``).

        A gauge's time-weighted mean of good readings, a state's last value, a counter's
        rise; steps are multiples of ``step_s`` [s] since the epoch.
        """
        ...

    def roll_up(self, now: datetime) -> int:
        """Roll up every closed half-hour not yet rolled up; return how many rows it wrote."""
        ...

    def add_rollups(self, rollups: Sequence[Rollup]) -> None:
        """Keep ready-made half-hours (history, imports)."""
        ...

    def rollups(
        self,
        point_ids: Sequence[PointId],
        start: datetime,
        end: datetime,
        min_coverage: float = 0.5,
    ) -> pd.DataFrame:
        """Return half-hours of [start, end), one column per point (``str(point_id)``).

        Half-hours covered less than ``min_coverage`` are ``nan``.
        """
        ...

    def add_forecasts(self, forecasts: Sequence[Forecast]) -> None:
        """Keep forecasts."""
        ...

    def latest_forecast(
        self, target: str, subject: str, issued_before: datetime | None = None
    ) -> Forecast | None:
        """Return the last forecast issued (at or before ``issued_before``)."""
        ...

    def add_schedule(self, schedule: Schedule) -> None:
        """Keep a plan with all its steps."""
        ...

    def latest_schedule(self, block_id: str) -> Schedule | None:
        """Return a block's last plan."""
        ...

    def schedule(self, plan_id: str) -> Schedule | None:
        """Return a plan by id."""
        ...

    def schedules(self, block_id: str, start: datetime, end: datetime) -> list[Schedule]:
        """Return the plans issued in [start, end), oldest first."""
        ...

    def open_commands(self, setpoints: Sequence[Setpoint]) -> None:
        """Record, before devices are written, what each is told and how it is released.

        All in one transaction, committed when this returns. A command for the same point
        replaces the earlier one.
        """
        ...

    def add_setpoint_records(self, records: Sequence[SetpointRecord]) -> None:
        """Keep outcomes and mark the commands confirmed that were applied, in one transaction.

        A record that repeats the last value, cause and kind of outcome of its point only
        renews the command; it adds no row.
        """
        ...

    def active_commands(self) -> list[ActiveCommand]:
        """Return the commands that devices are under."""
        ...

    def close_commands(
        self, released: Sequence[ActiveCommand], records: Sequence[SetpointRecord] = ()
    ) -> None:
        """Forget commands whose devices were released and keep the records, in one transaction.

        A command that has replaced one of them meanwhile is left alone. Records are kept as
        by `add_setpoint_records`; a released command's always adds a row.
        """
        ...

    def setpoints(
        self,
        device_ids: Collection[str] | None,
        start: datetime,
        end: datetime,
        limit: int = 1000,
    ) -> list[SetpointRecord]:
        """Return setpoints with outcome, last recorded first."""
        ...

    def save_estimates(self, estimates: Sequence[ThermalEstimate]) -> None:
        """Replace the thermal estimates of these homes."""
        ...

    def estimates(self) -> dict[str, ThermalEstimate]:
        """Return the thermal estimates by home."""
        ...

    def beat(self, heartbeat: Heartbeat) -> None:
        """Record a sign of life."""
        ...

    def heartbeats(self) -> dict[str, Heartbeat]:
        """Return each process's last sign of life."""
        ...

    def log(self, entries: Sequence[LogEntry]) -> None:
        """Keep log entries."""
        ...

    def log_entries(
        self, start: datetime, end: datetime, kind: str | None = None, limit: int = 1000
    ) -> list[LogEntry]:
        """Return log entries of [start, end), newest first."""
        ...

    def keep(
        self, record: Any, *, key: str, subject: str, at: datetime, expected: int | None = None
    ) -> int:
        """Keep a frozen dataclass under its type's name and a key; return its new revision.

        ``expected`` is the revision that must be there now (0 for none); a conflict raises
        a `RetryableError`.
        """
        ...

    def kept(self, kind: type[T], key: str) -> Kept[T] | None:
        """Return one record, or ``None``."""
        ...

    def all_kept(
        self,
        kind: type[T],
        *,
        subject: str | None = None,
        since: datetime | None = None,
        after: int = 0,
        limit: int = 10_000,
    ) -> list[Kept[T]]:
        """Return records of a kind, in order of their last write, after a cursor."""
        ...

    def forget(self, kind: type[Any], key: str) -> bool:
        """Delete a record; ``False`` where there was none."""
        ...

    def set_meta(self, key: str, value: str) -> None:
        """Keep one small fact, e.g. that history is a demonstration's."""
        ...

    def meta(self, key: str) -> str | None:
        """Return a fact kept with `set_meta`."""
        ...

    def prune(self, raw_before: datetime) -> int:
        """Delete raw readings before an instant that are rolled up; return how many."""
        ...

    def prune_issued(self, before: datetime) -> int:
        """Delete forecasts and plans issued before an instant; return how many.

        The newest plan of each block stays, however old.
        """
        ...

    def close(self) -> None:
        """Close the connection."""
        ...
