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
from ems.store.accounts import Accounts, User
from web.audit import ViewLog
from web.planned import PlannedImports

EXTENSION = "hearth"


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


def find_home(dwelling_id: str) -> Dwelling:
    """Return a home or answer 404."""
    try:
        return site().estate.dwelling(dwelling_id)
    except KeyError:
        raise NotFound from None


def find_block(block_id: str) -> Block:
    """Return a block or answer 404."""
    try:
        return site().estate.block(block_id)
    except KeyError:
        raise NotFound from None


def find_device(device_id: str) -> Device:
    """Return a device or answer 404."""
    try:
        return site().estate.devices[device_id]
    except KeyError:
        raise NotFound from None
