"""Devices that an operator has put out of service: known to be silent, and not counted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Outage:
    """One device out of service, kept under the device's id.

    It is left out of the count of devices that should answer. Its readings are still
    missing: nothing that needs them may take the home for well.

    Attributes
    ----------
    device_id
        Which device.
    reason, by
        Why and who; required.
    since
        Estate time, UTC.
    ended_at, ended_by
        When and by whom it was put back in service; ``None`` while it is out.
    """

    device_id: str
    reason: str
    by: str
    since: datetime
    ended_at: datetime | None = None
    ended_by: str = ""

    def holds_at(self, instant: datetime) -> bool:
        """Return whether the device is out of service at ``instant`` (UTC)."""
        return self.since <= instant and (self.ended_at is None or instant < self.ended_at)
