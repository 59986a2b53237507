"""Commands to devices: written ahead in the store, applied, recorded.

Before a device is written, the store holds what it is told and how it is handed
back. Whatever dies after that, the guard can release the device.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from ems.domain.points import PointId
from ems.domain.ports import ActiveCommand, FieldBus, Store
from ems.domain.setpoints import Applied, Cause, Setpoint, SetpointRecord

URGENT_CAUSES = frozenset(
    {
        Cause.DEVICE_PROTECTION,
        Cause.IMPORT_LIMIT,
        Cause.RESIDENT,
        Cause.COMFORT_FLOOR,
        Cause.RELEASE,
    }
)
"""Causes whose writes bypass flash protection."""

FIRST_CAUSES = frozenset({Cause.DEVICE_PROTECTION, Cause.IMPORT_LIMIT, Cause.RELEASE})
"""Causes that come before a hand at the device: their writes are made whatever it has set."""


async def apply_all(
    setpoints: Sequence[Setpoint],
    bus: FieldBus,
    store: Store,
    now: datetime,
    *,
    dry_run: bool = False,
    seen: Mapping[PointId, float] | None = None,
) -> list[SetpointRecord]:
    """Send setpoints to their devices and record what came of each.

    Parameters
    ----------
    setpoints
        At most one a point.
    bus, store
        Where they go and where they are kept.
    now
        Estate time.
    dry_run
        The bus writes nothing, so there is nothing that the guard would have to hand back.
    seen
        What points showed when the setpoints were decided: one that somebody has changed
        since is left as it is, unless the cause comes before a hand at the device.
    """
    shown = seen or {}
    if not dry_run:
        await asyncio.to_thread(store.open_commands, setpoints)
    outcomes = await asyncio.gather(
        *(
            bus.apply(
                setpoint,
                now,
                urgent=setpoint.cause in URGENT_CAUSES,
                seen=None if setpoint.cause in FIRST_CAUSES else shown.get(setpoint.point_id),
            )
            for setpoint in setpoints
        )
    )
    records = [
        SetpointRecord(setpoint, outcome, now)
        for setpoint, outcome in zip(setpoints, outcomes, strict=True)
    ]
    await asyncio.to_thread(store.add_setpoint_records, records)
    return records


def release_setpoint(command: ActiveCommand, now: datetime, sentence: str) -> Setpoint:
    """Return the setpoint that hands a device back from ``command``."""
    return Setpoint(
        id=f"{now:%Y%m%dT%H%M%S}-release-{command.point_id.device_id}",
        point_id=command.point_id,
        value=command.release_value,
        issued_at=now,
        expires_at=now + timedelta(days=3650),
        cause=Cause.RELEASE,
        sentence=sentence,
        release_value=command.release_value,
    )


async def release_all(
    commands: Sequence[ActiveCommand], bus: FieldBus, store: Store, now: datetime, sentence: str
) -> tuple[list[SetpointRecord], list[ActiveCommand]]:
    """Hand devices back; return what was done and the commands that still stand.

    A command is forgotten only when its release was confirmed by read-back.
    """
    outcomes = await asyncio.gather(
        *(bus.release(release_setpoint(command, now, sentence), now) for command in commands)
    )
    records: list[SetpointRecord] = []
    standing: list[ActiveCommand] = []
    for command, outcome in zip(commands, outcomes, strict=True):
        records.append(SetpointRecord(release_setpoint(command, now, sentence), outcome, now))
        if not isinstance(outcome, Applied):
            standing.append(command)
    released = [command for command in commands if command not in standing]

    await asyncio.to_thread(store.close_commands, released, records)
    return records, standing
