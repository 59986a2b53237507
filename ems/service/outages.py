"""Devices out of service: put there and back by an operator, with a reason."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from ems.domain.errors import InvalidInputError
from ems.domain.estate import Estate
from ems.domain.outages import Outage
from ems.domain.ports import LogEntry, Store

MIN_REASON = 5


def outages(store: Store, now: datetime) -> dict[str, Outage]:
    """Return the outages in force at ``now`` (UTC) by device."""
    return {
        one.record.device_id: one.record
        for one in store.all_kept(Outage)
        if one.record.holds_at(now)
    }


def put_out_of_service(
    estate: Estate, store: Store, device_id: str, reason: str, by: str, now: datetime
) -> Outage:
    """Take a device out of the count of those that should answer.

    Raises
    ------
    InvalidInputError
        Where there is no such device or no reason.
    """
    words = " ".join(reason.split())
    if device_id not in estate.devices:
        raise InvalidInputError(
            "there is no such device",
            field="device",
            value=device_id,
            remedy="Use an id of the estate's list of devices.",
        )
    if not MIN_REASON <= len(words) <= 300:
        raise InvalidInputError(
            "a reason is needed",
            field="reason",
            value=words[:40],
            remedy=f"Write {MIN_REASON} to 300 characters.",
        )
    outage = Outage(device_id, words, by, now)
    store.keep(outage, key=device_id, subject=device_id, at=now)
    detail = {"by": by, "reason": words}
    store.log([LogEntry(now, "out_of_service", device_id, detail)])
    return outage


def put_back_in_service(store: Store, device_id: str, by: str, now: datetime) -> bool:
    """End a device's outage; ``False`` where there is none."""
    found = store.kept(Outage, device_id)
    if found is None or not found.record.holds_at(now):
        return False
    ended = replace(found.record, ended_at=now, ended_by=by)
    store.keep(ended, key=device_id, subject=device_id, at=now, expected=found.revision)
    store.log([LogEntry(now, "back_in_service", device_id, {"by": by})])
    return True
