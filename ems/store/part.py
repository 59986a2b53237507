"""What all parts of the store share."""

from __future__ import annotations

from ems.domain.plans import Schedule
from ems.store.connections import Connections
from ems.store.series import SeriesNumbers


class Part:
    """A group of the store's operations, over shared connections."""

    _connections: Connections
    _series: SeriesNumbers
    _max_hold_us: int
    _newest: dict[str, tuple[int, Schedule]]
    """Each block's newest plan as last read, by row: plans are asked for far more often
    than they are made, and a row is never written twice."""
