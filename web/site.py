"""What every page is made from: the estate, its clock, the store and the accounts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import cast

from flask import current_app
from werkzeug.exceptions import NotFound

from ems.domain.estate import Block, Device, Dwelling, Estate
from ems.domain.ports import Store
from ems.domain.time import Clock
from ems.service.in_charge import InCharge
from ems.service.wishes import Residents
from ems.store.accounts import Accounts, User
from web.audit import ViewLog
from web.planned import PlannedImports

EXTENSION = "hearth"
IN_CHARGE = "hearth_in_charge"


@dataclass(frozen=True, slots=True)
class Site:
    """The parts a page is made from; read-only but for the log of who looked."""

    estate: Estate
    clock: Clock
    store: Store
    accounts: Accounts
    views: ViewLog
    planned: PlannedImports

    def now(self) -> datetime:
        """Return estate time, UTC."""
        return self.clock.now()


class SignedIn:
    """The person of this session, as Flask-Login wants it.

    Its id is the session's secret token, so that a session that was ended on the
    server is ended everywhere.
    """

    is_authenticated = True
    is_active = True
    is_anonymous = False

    def __init__(self, user: User, token: str) -> None:
        self.user = user
        self._token = token

    def get_id(self) -> str:
        """Return the session's token."""
        return self._token


def site() -> Site:
    """Return the site of the application that serves this request."""
    return cast(Site, current_app.extensions[EXTENSION])


def in_charge() -> InCharge:
    """Return residents' wishes and operators' holds on this site."""
    made = current_app.extensions.get(IN_CHARGE)
    if made is None:
        made = current_app.extensions[IN_CHARGE] = InCharge(site().estate, site().store)
    return cast(InCharge, made)


def residents() -> Residents:
    """Return what residents of this site asked for."""
    return in_charge().residents


def find_home(dwelling_id: str) -> Dwelling:
    """Return a home, with the schedule its resident chose, or answer 404."""
    try:
        found = site().estate.dwelling(dwelling_id)
    except KeyError:
        raise NotFound from None
    return residents().home(found, site().now())


def find_block(block_id: str) -> Block:
    """Return a block, with the schedules residents chose, or answer 404."""
    try:
        found = site().estate.block(block_id)
    except KeyError:
        raise NotFound from None
    return residents().block(found, site().now())


def find_device(device_id: str) -> Device:
    """Return a device or answer 404."""
    try:
        return site().estate.devices[device_id]
    except KeyError:
        raise NotFound from None
