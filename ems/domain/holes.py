"""Holes: registers that a device does not have although its profile names them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ems.domain.profiles import Space


@dataclass(frozen=True, slots=True)
class Span:
    """Registers that are read in one request.

    Attributes
    ----------
    unit_id
        Where it is not the device's own.
    space, address, width
        Data table, first 0-based address and number of registers.
    """

    unit_id: int | None
    space: Space
    address: int
    width: int


@dataclass(frozen=True, slots=True)
class Holes:
    """What a device taught by refusing reads.

    Attributes
    ----------
    device_id
        Which device.
    identity
        What it was then: its place, its profile's addresses and what it said of itself.
        What it taught holds for that device only.
    learnt_at
        When the first hole was met, UTC.
    splits
        Spans before which a block must end.
    absent
        Spans that it does not have.
    """

    device_id: str
    identity: str
    learnt_at: datetime
    splits: tuple[Span, ...]
    absent: tuple[Span, ...]
