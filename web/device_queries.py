"""What the pages of devices show."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from ems.domain.estate import Device, Dwelling, Estate
from ems.domain.points import POINTS, CanonicalPoint, PointId
from ems.domain.ports import ActiveCommand, Store
from ems.service.outages import outages
from ems.service.writes import write_counts
from web.charts import BLUE, TimeChart
from web.condition import Condition, DeviceState, device_state
from web.home_queries import SetpointRow, setpoint_rows
from web.queries import fresh_s
from web.series import half_hours, kw_steps, times_of
from web.words import CLASSES, QUALITIES, ROLES, command_words, reading_words

CHARTED = {
    "power_w": ("Power", "kW"),
    "temperature_c": ("Living-room temperature", "°C"),
    "flow_temperature_c": ("Temperature of the water it sends out", "°C"),
    "room_temperature_c": ("Room temperature at the unit", "°C"),
}
"""Points worth a chart, the most telling first: title and unit."""


@dataclass(frozen=True, slots=True)
class PointRow:
    """One point of a device: what it is, its value and how far to trust it."""

    name: str
    description: str
    value: str
    quality: str
    good: bool
    age_s: float
    confidence: str
    """How sure its address is: A, B or C; empty where it has none of its own."""


@dataclass(frozen=True, slots=True)
class CommandRow:
    """A command the device is under."""

    asks: str
    release: str
    expires_at: datetime
    confirmed: bool


@dataclass(frozen=True, slots=True)
class WriteRow:
    """How often a point was written, and what protects its register."""

    name: str
    total: int
    urgent: int
    since: datetime
    last_at: datetime
    spared_s: float
    """Price-driven writes are at least so far apart [s]; 0 where nothing wears out."""


@dataclass(frozen=True, slots=True)
class DeviceView:
    """A device's page."""

    state: DeviceState
    role: str
    kind: str
    home: Dwelling | None
    points: tuple[PointRow, ...]
    never_read: tuple[str, ...]
    commands: tuple[CommandRow, ...]
    setpoints: tuple[SetpointRow, ...]
    chart: TimeChart | None
    writes: tuple[WriteRow, ...]


@dataclass(frozen=True, slots=True)
class DeviceFilter:
    """What the list is narrowed to; empty means all."""

    block: str = ""
    kind: str = ""
    state: str = ""

    def keeps(self, found: DeviceState) -> bool:
        """Tell whether a device stays in the list."""
        device = found.device
        return (
            self.block in ("", device.block_id)
            and self.kind in ("", device.device_class.value)
            and self.state in ("", state_key(found))
        )


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """One line of the list of devices."""

    state: DeviceState
    role: str
    place: str


def device_rows(estate: Estate, condition: Condition, wanted: DeviceFilter) -> list[DeviceRow]:
    """Return the devices that a filter keeps, the lost ones first."""
    names = {home.id: home.name for home in estate.dwellings()}
    blocks = {block.id: block.name for block in estate.blocks}
    rows = [
        DeviceRow(
            state,
            role_words(state.device),
            ", ".join(
                word
                for word in (
                    names.get(state.device.dwelling_id or ""),
                    blocks.get(state.device.block_id),
                )
                if word
            ),
        )
        for state in condition.devices
        if wanted.keeps(state)
    ]
    return sorted(rows, key=lambda row: ("offline", "out", "online").index(state_key(row.state)))


def state_key(found: DeviceState) -> str:
    """Return a device's state as the filter names it."""
    if found.outage is not None:
        return "out"
    return "online" if found.online else "offline"


def role_words(device: Device) -> str:
    """Return what a device is for."""
    return ROLES.get(device.role, CLASSES[device.device_class])


def device_view(estate: Estate, store: Store, device: Device, now: datetime) -> DeviceView:
    """Return a device's page at ``now``."""
    latest = store.latest([device.id])
    catalogue = POINTS[device.device_class]
    rows = [
        PointRow(
            name=point_id.point,
            description=_description(catalogue, point_id.point),
            value=reading_words(device.device_class, reading),
            quality=QUALITIES[reading.quality],
            good=reading.is_good,
            age_s=max((now - reading.observed_at).total_seconds(), 0.0),
            confidence=_confidence(device, point_id.point),
        )
        for point_id, reading in latest.items()
    ]
    order = list(catalogue)
    rows.sort(key=lambda row: order.index(row.name) if row.name in order else len(order))
    known = {row.name for row in rows}
    since = now - timedelta(hours=24)
    home = next((h for h in estate.dwellings() if h.id == device.dwelling_id), None)
    return DeviceView(
        state=device_state(
            device,
            store.last_good([device.id]).get(device.id),
            now,
            fresh_s(estate),
            outages(store, now).get(device.id),
        ),
        role=role_words(device),
        kind=CLASSES[device.device_class],
        home=home,
        points=tuple(rows),
        never_read=tuple(name for name in device.profile.points if name not in known),
        commands=tuple(
            _command_row(command)
            for command in store.active_commands()
            if command.point_id.device_id == device.id
        ),
        setpoints=setpoint_rows(estate, store, [device.id], since, now),
        chart=_chart(estate, store, device, since, now),
        writes=_writes(store, device),
    )


def _writes(store: Store, device: Device) -> tuple[WriteRow, ...]:
    rows = []
    for point_id, count in sorted(write_counts(store, device.id).items()):
        point = device.profile.points.get(point_id.point)
        rule = None if point is None else point.write
        rows.append(
            WriteRow(
                point_id.point,
                count.total,
                count.urgent,
                count.since,
                count.last_at,
                0.0 if rule is None else rule.min_interval_s,
            )
        )
    return tuple(rows)


def _confidence(device: Device, name: str) -> str:
    point = device.profile.points.get(name)
    return "" if point is None else str(point.confidence)


def _description(catalogue: Mapping[str, CanonicalPoint], name: str) -> str:
    words = catalogue[name].description if name in catalogue else name
    return re.sub(r": see [A-Z_]+$", "", words)


def _command_row(command: ActiveCommand) -> CommandRow:
    point = command.point_id.point
    return CommandRow(
        command_words(point, command.value),
        command_words(point, command.release_value),
        command.expires_at,
        command.confirmed,
    )


def _chart(
    estate: Estate, store: Store, device: Device, since: datetime, now: datetime
) -> TimeChart | None:
    name = next((one for one in CHARTED if one in device.profile.points), None)
    if name is None:
        return None
    title, unit = CHARTED[name]
    point = PointId(device.id, name)
    frame = half_hours(store, [point], since, now)
    line = kw_steps(frame, str(point), "Measured", BLUE)
    if unit != "kW":
        line = type(line)("Measured", times_of(frame), frame[str(point)].tolist(), BLUE)
    return TimeChart(
        key="device",
        title=title,
        summary="Half-hour means of the last 24 hours.",
        unit=unit,
        start=since,
        end=now + timedelta(minutes=30),
        zone=estate.zone,
        lines=(line,),
        now=now,
        from_zero=unit == "kW",
        decimals=2 if unit == "kW" else 1,
    )
