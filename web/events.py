"""Demand-response events for operators: the calendar, one event, and withdrawing it."""

from __future__ import annotations

from typing import cast

from flask import Blueprint, current_app, render_template, url_for
from werkzeug.exceptions import NotFound
from werkzeug.utils import redirect
from werkzeug.wrappers import Response

from ems.service.events import OPERATOR, UnknownEventError
from web.desk import desk
from web.event_views import STATES, Baselines, calendar_view, event_view
from web.fairness import fairness_view
from web.security import note_view, operators_only
from web.site import site

blueprint = Blueprint("events", __name__, url_prefix="/estate/events")
blueprint.before_request(operators_only)

_BASELINES = "hearth-baselines"


def _baselines() -> Baselines:
    return cast(Baselines, current_app.extensions.setdefault(_BASELINES, Baselines()))


@blueprint.get("")
def calendar() -> str:
    """Show the calendar of events."""
    here = site()
    view = calendar_view(here.estate, desk(), here.now())
    return render_template("operator/events.html", view=view, states=STATES)


@blueprint.get("/fairness")
def fairness() -> str:
    """Show how the last month's events lay on homes."""
    here = site()
    view = fairness_view(here.estate, here.store, here.now())
    return render_template("operator/fairness.html", view=view)


@blueprint.get("/<event_id>")
def one(event_id: str) -> str:
    """Show one event: state, target, what is measured, and what was delivered."""
    here = site()
    view = event_view(here.estate, here.store, desk(), _baselines(), event_id, here.now())
    note_view(view.event.request.block_id)
    return render_template("operator/event.html", view=view, states=STATES)


@blueprint.post("/<event_id>/withdraw")
def withdraw(event_id: str) -> Response:
    """Withdraw an event."""
    try:
        desk().withdraw(event_id, site().now(), OPERATOR)
    except UnknownEventError:
        raise NotFound from None
    return redirect(url_for("events.one", event_id=event_id))
