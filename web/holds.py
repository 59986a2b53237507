"""Operators take homes out of Hearth's hands, or out of events; and give them back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from ems.domain.errors import HearthError, InvalidInputError
from ems.domain.holds import HoldKind
from ems.service.holds import ESTATE
from web.security import operators_only, person
from web.site import in_charge, site

blueprint = Blueprint("holds", __name__, url_prefix="/estate/holds")
blueprint.before_request(operators_only)

PAST_SHOWN = 20
WORDS = {HoldKind.HAND_BACK: "Handed back", HoldKind.NO_EVENTS: "Events held"}
Page = str | Response | tuple[str, int]


def _scope_name(scope: str) -> str:
    return in_charge().holds.scope_name(scope)


@blueprint.record_once
def _teach(state: Any) -> None:
    """Let every operator's page ask which holds touch a home, a block or the estate."""
    state.app.jinja_env.globals.update(
        holds_on=lambda *scopes: [
            hold for hold in in_charge().holds.in_force(site().now()) if hold.scope in scopes
        ],
        holds_count=lambda: len(in_charge().holds.in_force(site().now())),
        hold_words=WORDS,
        scope_name=_scope_name,
    )


def _page(error: HearthError | None = None) -> Page:
    here, holds = site(), in_charge().holds
    now = here.now()
    scopes = [(ESTATE, "The whole estate")]
    for block in here.estate.blocks:
        scopes.append((block.id, block.name))
        scopes += [(home.id, f"{home.name}, {block.name}") for home in block.dwellings]
    page = render_template(
        "operator/holds.html",
        in_force=holds.in_force(now),
        past=[hold for hold in holds.all() if not hold.holds_at(now)][:PAST_SHOWN],
        scopes=scopes,
        typed=request.form or request.args,
        error=error,
    )
    return page if error is None else (page, 400)


@blueprint.get("")
def page() -> Page:
    """List the holds in force, with a form for another."""
    return _page()


@blueprint.post("/make")
def make() -> Page:
    """Make a hold; it needs a reason and a tick."""
    form = request.form
    try:
        if form.get("sure") != "yes":
            raise InvalidInputError(
                "this was not confirmed",
                field="sure",
                remedy="Tick that you mean it, and send the form again.",
            )
        in_charge().holds.make(
            _kind(form.get("kind", "")),
            form.get("scope", ""),
            site().now(),
            reason=form.get("reason", ""),
            by=person().name,
            until=_until(form.get("until", "")),
        )
    except HearthError as error:
        return _page(error)
    return redirect(url_for("holds.page"), 303)


@blueprint.post("/lift")
def lift() -> Page:
    """Undo a hold."""
    try:
        in_charge().holds.lift(request.form.get("id", ""), site().now(), by=person().name)
    except HearthError as error:
        return _page(error)
    return redirect(url_for("holds.page"), 303)


def _kind(text: str) -> HoldKind:
    try:
        return HoldKind(text)
    except ValueError:
        raise InvalidInputError(
            "there is no such hold", field="kind", value=text, remedy="Choose one of the two."
        ) from None


def _until(text: str) -> datetime | None:
    if not text.strip():
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=site().estate.zone).astimezone(UTC)
    except ValueError:
        raise InvalidInputError(
            "this is no day and time",
            field="until",
            value=text,
            remedy="Choose a day and time, or leave it empty.",
        ) from None
