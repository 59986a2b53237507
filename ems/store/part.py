"""What all parts of the store share."""

from __future__ import annotations

from ems.store.connections import Connections
from ems.store.series import SeriesNumbers


class Part:
    """A group of the store's operations, over shared connections."""

    _connections: Connections
    _series: SeriesNumbers
    _max_hold_us: int
