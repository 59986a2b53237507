"""What a tenant can ask for: warmer now, away, another schedule, out of events; and undo.

Every form works without JavaScript. The pages only write records; control reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from ems.domain.comfort import ComfortPeriod
from ems.domain.errors import HearthError, InvalidInputError
from ems.domain.estate import Dwelling
from ems.domain.wishes import ChosenPeriod
from ems.service.asking import BelowFloorError
from web.asked import choices, comfort_desk
from web.home_queries import homes_now
from web.security import note_view, own_home_only, person
from web.site import find_home, site

blueprint = Blueprint("comfort", __name__, url_prefix="/homes/<dwelling_id>/comfort")
blueprint.before_request(own_home_only)

ROWS = 6
"""Rows of a day in the form of the schedule."""
DONE = {
    "warmer": "We keep your home warmer.",
    "away": "We know that you are away.",
    "opt-out": "You are out.",
    "undo": "Taken back.",
    "schedule": "Your schedule is saved.",
}
Page = str | Response | tuple[str, int]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the schedule's form, as typed."""

    start: str
    temperature: str


@blueprint.record_once
def _teach(state: Any) -> None:
    """Let every page ask what a home has asked for."""
    state.app.jinja_env.globals["choices_of"] = lambda home: choices(
        home, site().now(), person().name
    )


def _home(dwelling_id: str) -> Dwelling:
    home = find_home(dwelling_id)
    note_view(home.id)
    return home


def _page(home: Dwelling, error: HearthError | None = None) -> Page:
    here, now = site(), site().now()
    page = render_template(
        "tenant/comfort.html",
        home=home,
        tab="comfort",
        state=homes_now(here.estate, here.store, (home,), now)[0],
        choices=choices(home, now, person().name),
        rules=here.estate.control,
        warmths=_warmths(home),
        earliest=now.astimezone(here.estate.zone).strftime("%Y-%m-%dT%H:%M"),
        done=DONE.get(request.args.get("done", "")),
        typed=request.form,
        error=error,
    )
    return page if error is None else (page, 400)


def _warmths(home: Dwelling) -> list[float]:
    low, high = home.floor_c, site().estate.control.warmest_c
    return [low + half / 2 for half in range(int((high - low) * 2) + 1)]


def _done(home: Dwelling, what: str) -> Response:
    return redirect(url_for("comfort.page", dwelling_id=home.id, done=what), 303)


@blueprint.get("")
def page(dwelling_id: str) -> Page:
    """Show what is in force and what can be asked for."""
    return _page(_home(dwelling_id))


@blueprint.post("/warmer")
def warmer(dwelling_id: str) -> Page:
    """Ask for more warmth for some hours."""
    home = _home(dwelling_id)
    try:
        wanted = request.form.get("temperature", "")
        comfort_desk().warmer(
            home,
            site().now(),
            by=person().name,
            hours=_number(request.form.get("hours", ""), "hours"),
            temperature_c=_number(wanted, "temperature") if wanted else None,
        )
    except HearthError as error:
        return _page(home, error)
    return _done(home, "warmer")


@blueprint.post("/away")
def away(dwelling_id: str) -> Page:
    """Say that nobody is at home until a return."""
    home = _home(dwelling_id)
    try:
        until = _instant(request.form.get("until", ""))
        comfort_desk().away(home, site().now(), by=person().name, until=until)
    except HearthError as error:
        return _page(home, error)
    return _done(home, "away")


@blueprint.post("/opt-out")
def opt_out(dwelling_id: str) -> Page:
    """Leave one event, all events or all planning."""
    home = _home(dwelling_id)
    try:
        event = request.form.get("event", "")
        comfort_desk().opt_out(home, site().now(), by=person().name, event=event)
    except HearthError as error:
        return _page(home, error)
    return _done(home, "opt-out")


@blueprint.post("/undo")
def undo(dwelling_id: str) -> Page:
    """Take back one thing that was asked for."""
    home = _home(dwelling_id)
    try:
        asked_id = request.form.get("id", "")
        comfort_desk().undo(home, site().now(), by=person().name, asked_id=asked_id)
    except HearthError as error:
        return _page(home, error)
    return _done(home, "undo")


@blueprint.get("/schedule")
def schedule(dwelling_id: str) -> Page:
    """Show the schedule as a form."""
    home = _home(dwelling_id)
    days = {"weekday": _rows(home.comfort.weekday), "weekend": _rows(home.comfort.weekend)}
    return _schedule_page(home, days)


@blueprint.post("/schedule/save")
def save_schedule(dwelling_id: str) -> Page:
    """Take down a changed schedule."""
    home = _home(dwelling_id)
    typed = {day: _typed(request.form, day) for day in ("weekday", "weekend")}
    try:
        comfort_desk().schedule(
            home,
            site().now(),
            by=person().name,
            weekday=_periods(typed["weekday"], "weekday"),
            weekend=_periods(typed["weekend"], "weekend"),
            below_floor=request.form.get("below_floor") == "yes",
        )
    except HearthError as error:
        return _schedule_page(home, typed, error), 400
    return _done(home, "schedule")


def _schedule_page(
    home: Dwelling, days: Mapping[str, list[Row]], error: HearthError | None = None
) -> str:
    empty = Row("", "")
    padded = {name: (rows + [empty] * ROWS)[: max(ROWS, len(rows))] for name, rows in days.items()}
    return render_template(
        "tenant/schedule.html",
        home=home,
        tab="comfort",
        days=padded,
        rules=site().estate.control,
        error=error,
        warning=isinstance(error, BelowFloorError),
    )


def _rows(periods: tuple[ComfortPeriod, ...]) -> list[Row]:
    return [Row(f"{one.start:%H:%M}", f"{one.temperature_c:g}") for one in periods]


def _typed(form: Any, day: str) -> list[Row]:
    starts, temperatures = form.getlist(f"{day}_start"), form.getlist(f"{day}_temperature")
    pairs = zip(starts, temperatures, strict=False)
    return [Row(a.strip(), b.strip()) for a, b in pairs if a.strip() or b.strip()][:24]


def _periods(rows: list[Row], day: str) -> list[ChosenPeriod]:
    found = []
    for row in rows:
        try:
            hours, minutes = (int(part) for part in row.start.split(":")[:2])
        except ValueError:
            raise InvalidInputError(
                "this is no time of day",
                field=day,
                value=row.start,
                remedy="Write it like 06:30.",
            ) from None
        if not (0 <= hours < 24 and 0 <= minutes < 60):
            raise InvalidInputError(
                "this is no time of day", field=day, value=row.start, remedy="Write it like 06:30."
            )
        found.append(ChosenPeriod(hours * 60 + minutes, _number(row.temperature, day)))
    return found


def _number(text: str, field: str) -> float:
    try:
        return float(text.replace(",", "."))
    except ValueError:
        raise InvalidInputError(
            "this is no number", field=field, value=text, remedy="Write it like 20.5."
        ) from None


def _instant(text: str) -> datetime:
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInputError(
            "this is no day and time",
            field="until",
            value=text,
            remedy="Choose the day and time at which you are back.",
        ) from None
    return given.replace(tzinfo=site().estate.zone).astimezone(UTC)
