"""Who decides on each home now: its resident, an operator, or the plan.

Control asks at every dispatch and every plan; nothing is remembered between two.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from dataclasses import replace
from datetime import datetime

from ems.domain.estate import Block, Estate
from ems.domain.ports import Store
from ems.domain.wishes import Wish, WishKind
from ems.service.gentle import GentleTests
from ems.service.holds import Holds
from ems.service.wishes import ALL, Residents


class InCharge:
    """Residents' wishes, operators' holds and gentle tests, together.

    Parameters
    ----------
    estate, store
        The homes, and where the records lie.
    """

    def __init__(self, estate: Estate, store: Store) -> None:
        self._estate = estate
        self.residents = Residents(estate, store)
        self.holds = Holds(estate, store)
        self.gentle = GentleTests(estate, store)

    def wishes(self, now: datetime) -> Mapping[str, Wish]:
        """Return the wish of each home that has one; a home handed back is out of planning."""
        found = self.residents.wishes(now)
        for home in self.holds.handed_back_homes(now):
            found[home] = Wish(home, WishKind.OPT_OUT, 0.0, None)
        return found

    def opted_out(self, now: datetime) -> Mapping[str, frozenset[str]]:
        """Return by home which events it is out of: by its resident's word or a hold."""
        held = dict.fromkeys(self.holds.out_of_events(now), ALL)
        return {**self.residents.opted_out(now), **held}

    def block(self, block: Block, now: datetime) -> Block:
        """Return a block as it can be planned: schedules as they are now, and its battery.

        Schedules are as residents chose them, lower where a home rests for a gentle test; a
        battery that is handed back is left out.
        """
        chosen = self.gentle.applied(self.residents.block(block, now), now)
        battery = chosen.battery
        if battery is not None and battery.device_id in self.holds.handed_back(now):
            return replace(chosen, battery=None)
        return chosen

    def steered(self, block: Block, now: datetime, left_alone: Collection[str] = ()) -> Block:
        """Return a block with only the homes and the battery that are to be told something."""
        held = self.holds.handed_back_homes(now) | frozenset(left_alone)
        planned = self.block(block, now)
        homes = tuple(home for home in planned.dwellings if home.id not in held)
        return replace(planned, dwellings=homes)

    def signature(self, now: datetime) -> Hashable:
        """Return what changes exactly when plans should be made anew."""
        schedules = tuple(
            home.comfort
            for block in self._estate.blocks
            for home in self.block(block, now).dwellings
        )
        wishes = tuple(sorted(self.wishes(now).items(), key=lambda item: item[0]))
        out = tuple(sorted((home, tuple(sorted(ids))) for home, ids in self.opted_out(now).items()))
        return schedules, wishes, out, self.holds.handed_back(now)
