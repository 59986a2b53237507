"""The event desk of an application."""

from __future__ import annotations

from typing import cast

from flask import current_app

from ems.service.events import EventDesk, open_desk
from web.site import site

_KEY = "hearth-events"


def desk() -> EventDesk:
    """Return the desk of the application that serves this request; opened at first use."""
    found = current_app.extensions.get(_KEY)
    if found is None:
        found = current_app.extensions.setdefault(_KEY, open_desk(site().estate, site().store))
    return cast(EventDesk, found)
