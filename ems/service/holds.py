"""Operators' holds: homes, blocks or the estate taken out of Hearth's hands, or out of events.

Records in the store: they survive restarts, and control and guard read them at every round.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from ems.domain.errors import InvalidInputError
from ems.domain.estate import Estate
from ems.domain.holds import Hold, HoldKind
from ems.domain.ports import Store
from ems.service.followed import Followed

ESTATE = "estate"
SHORTEST_REASON = 3


class Holds:
    """The holds of an estate: who is held now, and how one is made and lifted.

    Parameters
    ----------
    estate, store
        What can be held, and where the records lie.
    """

    def __init__(self, estate: Estate, store: Store) -> None:
        self._estate = estate
        self._store = store
        self._holds = Followed(store, Hold)

    def in_force(self, now: datetime, kind: HoldKind | None = None) -> list[Hold]:
        """Return the holds in force at ``now``, oldest first."""
        found = (
            hold
            for hold in self._holds.all().values()
            if hold.holds_at(now) and kind in (None, hold.kind)
        )
        return sorted(found, key=lambda hold: (hold.since, hold.id))

    def all(self) -> list[Hold]:
        """Return every hold there ever was, newest first."""
        return sorted(self._holds.all().values(), key=lambda hold: hold.id, reverse=True)

    def handed_back(self, now: datetime) -> frozenset[str]:
        """Return the ids of the devices that are handed back at ``now``."""
        return self._devices(hold.scope for hold in self.in_force(now, HoldKind.HAND_BACK))

    def handed_back_since(self, before: datetime, now: datetime) -> frozenset[str]:
        """Return the devices handed back at ``now`` by holds that began by ``before``."""
        held = self.in_force(now, HoldKind.HAND_BACK)
        return self._devices(hold.scope for hold in held if hold.since <= before)

    def handed_back_homes(self, now: datetime) -> frozenset[str]:
        """Return the ids of the homes that are handed back at ``now``."""
        return self._homes(now, HoldKind.HAND_BACK)

    def out_of_events(self, now: datetime) -> frozenset[str]:
        """Return the ids of the homes that no event may touch at ``now``, handed back or held."""
        return self._homes(now, HoldKind.NO_EVENTS) | self.handed_back_homes(now)

    def of_home(self, dwelling_id: str, now: datetime) -> list[Hold]:
        """Return the holds at ``now`` that touch a home."""
        block_id = self._estate.dwelling(dwelling_id).block_id
        return [
            hold for hold in self.in_force(now) if hold.scope in (ESTATE, block_id, dwelling_id)
        ]

    def make(
        self,
        kind: HoldKind,
        scope: str,
        now: datetime,
        *,
        reason: str,
        by: str,
        until: datetime | None = None,
    ) -> Hold:
        """Make a hold on ``scope``: ``estate``, a block's id or a home's.

        Raises
        ------
        InvalidInputError
            Where there is no such scope, no reason, or the end is past.
        """
        self._require_scope(scope)
        reason = " ".join(reason.split())
        if len(reason) < SHORTEST_REASON:
            raise InvalidInputError(
                "a hold needs a reason",
                field="reason",
                value=reason,
                remedy="Say in a few words why; it is recorded.",
            )
        if until is not None and until <= now:
            raise InvalidInputError(
                "the end must be later than now",
                field="until",
                value=until.astimezone(self._estate.zone).isoformat(timespec="minutes"),
                remedy="Give a later time, or none to hold until it is lifted.",
            )
        hold_id = f"{now:%Y%m%dT%H%M%S.%f}-{scope}-{secrets.token_hex(2)}"
        hold = Hold(hold_id, kind, scope, reason, by, now, until)
        self._store.keep(hold, key=hold.id, subject=scope, at=now, expected=0)
        return hold

    def lift(self, hold_id: str, now: datetime, *, by: str) -> Hold:
        """Undo a hold.

        Raises
        ------
        InvalidInputError
            Where there is none of that id in force.
        StoreConflictError
            Where it was changed at the same moment.
        """
        kept = self._store.kept(Hold, hold_id)
        if kept is None or not kept.record.holds_at(now):
            raise InvalidInputError(
                "there is no such hold in force",
                field="id",
                value=hold_id,
                remedy="List the holds in force; it may have been lifted or have ended.",
            )
        lifted = replace(kept.record, lifted_at=now, lifted_by=by)
        self._store.keep(
            lifted, key=kept.key, subject=kept.subject, at=kept.at, expected=kept.revision
        )
        return lifted

    def scope_name(self, scope: str) -> str:
        """Return a scope as people call it."""
        if scope == ESTATE:
            return "the whole estate"
        for block in self._estate.blocks:
            if block.id == scope:
                return block.name
            for home in block.dwellings:
                if home.id == scope:
                    return f"{home.name}, {block.name}"
        return scope

    def _require_scope(self, scope: str) -> None:
        blocks = {block.id for block in self._estate.blocks}
        homes = {home.id for home in self._estate.dwellings()}
        if scope != ESTATE and scope not in blocks | homes:
            raise InvalidInputError(
                "there is no such home or block",
                field="scope",
                value=scope,
                remedy=f"Use {ESTATE}, a block ({', '.join(sorted(blocks))}) or a home's id.",
            )

    def _homes(self, now: datetime, kind: HoldKind) -> frozenset[str]:
        scopes = {hold.scope for hold in self.in_force(now, kind)}
        return frozenset(
            home.id
            for home in self._estate.dwellings()
            if scopes & {ESTATE, home.block_id, home.id}
        )

    def _devices(self, scopes: Iterable[str]) -> frozenset[str]:
        held = set(scopes)
        return frozenset(
            device.id
            for device in self._estate.devices.values()
            if held & {ESTATE, device.block_id, device.dwelling_id}
        )
