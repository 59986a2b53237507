"""Alarms for operators: what is open, what was, one of them, and what a person says to it."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, render_template, request, url_for
from werkzeug.exceptions import NotFound
from werkzeug.utils import redirect
from werkzeug.wrappers import Response

from ems.alarms.words import TITLES
from ems.domain.alarms import Alarm, AlarmKind, AlarmState
from ems.domain.errors import InvalidInputError
from ems.service.alarm_desk import AlarmDesk, unacknowledged
from web.security import note_view, operators_only, person
from web.site import site

blueprint = Blueprint("alarms", __name__, url_prefix="/estate/alarms")
blueprint.before_request(operators_only)

HISTORY = 200
"""Closed alarms shown at most."""
STATE_WORDS = {
    AlarmState.OPEN: ("Open", "red"),
    AlarmState.ACKNOWLEDGED: ("Acknowledged", "yellow"),
    AlarmState.CLOSED: ("Closed", "grey"),
}
OF_ONE_HOME = frozenset(
    {AlarmKind.HOME_COLD, AlarmKind.ROOM_SENSOR, AlarmKind.HEAT_PUMP_WEAK, AlarmKind.HEAT_LOST}
)
"""Kinds whose subject is a home."""
OCCASION_WORDS = {"opened": "Opening", "repeated": "Reminder", "closed": "Closing"}
NOTICE_WORDS = {"sent": "Sent", "failed": "Failed", "sending": "Being sent"}


def desk() -> AlarmDesk:
    """Return the alarms of this site."""
    here = site()
    return AlarmDesk(here.store, here.estate.alarms)


def teach_templates() -> dict[str, Any]:
    """Give operators' pages the alarms that nobody has acknowledged, read once when asked."""
    return {"alarms_waiting": lambda: unacknowledged(desk().open())}


@blueprint.record_once
def _teach(state: Any) -> None:
    state.app.context_processor(teach_templates)


def _find(alarm_id: str) -> Alarm:
    try:
        return desk().find(alarm_id)
    except InvalidInputError:
        raise NotFound from None


@blueprint.get("")
def all_() -> str:
    """List open alarms, then those that were."""
    found = desk().all()
    shown = [alarm for alarm in found if alarm.is_open]
    past = [alarm for alarm in found if not alarm.is_open][:HISTORY]
    for alarm in [*shown, *past]:
        _note_homes(alarm)
    return render_template(
        "operator/alarms.html",
        open_alarms=shown,
        past=past,
        titles=TITLES,
        states=STATE_WORDS,
        rules=site().estate.alarms,
    )


@blueprint.get("/<alarm_id>")
def one(alarm_id: str) -> str:
    """Show one alarm: cause, remedy, homes, who knows of it, and whom it reached."""
    found = _find(alarm_id)
    _note_homes(found)
    return _page(found)


def _note_homes(alarm: Alarm) -> None:
    """Record the view of an alarm about one home: its tenant may know who looked."""
    if alarm.cause.kind in OF_ONE_HOME:
        note_view(alarm.cause.subject)


def _page(alarm: Alarm, error: str = "") -> str:
    return render_template(
        "operator/alarm.html",
        alarm=alarm,
        title=TITLES[alarm.cause.kind],
        states=STATE_WORDS,
        notices=desk().notices(alarm.id),
        occasions=OCCASION_WORDS,
        outcomes=NOTICE_WORDS,
        error=error,
        rules=site().estate.alarms,
    )


@blueprint.post("/<alarm_id>/acknowledge")
def acknowledge(alarm_id: str) -> Response | tuple[str, int]:
    """Record that the person who is signed in knows of an alarm."""
    found = _find(alarm_id)
    note = request.form.get("note", "")
    try:
        desk().acknowledge(found.id, person().name, note, site().now())
    except InvalidInputError as error:
        return _page(found, f"{error.problem}. {error.remedy}"), 400
    return redirect(url_for("alarms.one", alarm_id=found.id), code=303)


@blueprint.post("/<alarm_id>/close")
def close(alarm_id: str) -> Response | tuple[str, int]:
    """Close an alarm for the person who is signed in; a reason is needed."""
    found = _find(alarm_id)
    note = request.form.get("note", "")
    try:
        desk().close(found.id, person().name, note, site().now())
    except InvalidInputError as error:
        return _page(found, f"{error.problem}. {error.remedy}"), 400
    return redirect(url_for("alarms.one", alarm_id=found.id), code=303)
