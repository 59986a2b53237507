"""The event desk: demand-response events in the store, from request to settlement.

Any process may open one on the same store. The web process and the command line submit,
replace and withdraw; the control process calls `EventDesk.advance` and acts on
`EventDesk.in_force`.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from ems.domain.estate import Estate
from ems.domain.events import FlexEvent
from ems.domain.ports import Store
from ems.flex.life import IN_FORCE

LOOK_BACK = timedelta(days=62)
"""Events that ended longer ago than this are not looked at."""


class EventDesk:
    """Keeps the events of an estate.

    Parameters
    ----------
    estate, store
        Whose events; where they lie.
    """

    def __init__(self, estate: Estate, store: Store) -> None:
        self._estate = estate
        self._store = store

    def in_force(self, now: datetime) -> tuple[FlexEvent, ...]:
        """Return the events that are accepted, running or recovering, by start."""
        found = self._store.all_kept(FlexEvent, since=now - LOOK_BACK)
        events = (kept.record for kept in found if kept.record.state in IN_FORCE)
        return tuple(sorted(events, key=lambda event: (event.request.start, event.id)))
