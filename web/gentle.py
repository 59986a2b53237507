"""Gentle tests: a resident is told and says no with one press; operators see the list."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, redirect, render_template, url_for
from werkzeug.exceptions import Conflict
from werkzeug.wrappers import Response

from ems.domain.errors import InvalidInputError
from ems.domain.gentle import GentleTest, TestState
from web.security import note_view, operators_only, own_home_only, person
from web.site import find_home, in_charge, site

blueprint = Blueprint("gentle", __name__, url_prefix="/homes/<dwelling_id>/test")
blueprint.before_request(own_home_only)
list_blueprint = Blueprint("gentle_list", __name__, url_prefix="/estate/tests")
list_blueprint.before_request(operators_only)

SHOWN = 100
WORDS = {
    TestState.ASKED: ("Asked", "blue"),
    TestState.ANNOUNCED: ("Announced", "blue"),
    TestState.REFUSED: ("Refused", "grey"),
    TestState.RUNNING: ("Running", "yellow"),
    TestState.DONE: ("Done", "green"),
    TestState.DROPPED: ("None", "grey"),
}


@blueprint.record_once
def _teach(state: Any) -> None:
    """Let the pages of a home ask for its newest test."""
    state.app.jinja_env.globals["gentle_test_of"] = newest


def newest(dwelling_id: str) -> GentleTest | None:
    """Return a home's newest gentle test."""
    return in_charge().gentle.of(dwelling_id)


def _answer(dwelling_id: str, *, agrees: bool) -> Response:
    home = find_home(dwelling_id)
    note_view(home.id)
    answer = in_charge().gentle.agree if agrees else in_charge().gentle.refuse
    try:
        answer(home, site().now(), by=person().name)
    except InvalidInputError as error:
        raise Conflict(f"{error.problem}. {error.remedy}") from error
    return redirect(url_for("comfort.page", dwelling_id=home.id) + "#test", 303)


@blueprint.post("/refuse")
def refuse(dwelling_id: str) -> Response:
    """Say no to a gentle test, before or during it."""
    return _answer(dwelling_id, agrees=False)


@blueprint.post("/agree")
def agree(dwelling_id: str) -> Response:
    """Say yes to a gentle test that one was asked about."""
    return _answer(dwelling_id, agrees=True)


@list_blueprint.get("")
def all_() -> str:
    """List the gentle tests of all homes, the newest first, and homes the data cannot tell."""
    here = site()
    untold = [one for one in here.store.estimates().values() if not one.capacity_is_told]
    return render_template(
        "operator/tests.html",
        tests=in_charge().gentle.all()[:SHOWN],
        words=WORDS,
        allowed=here.estate.control.gentle_tests,
        untold=sorted(one.dwelling_id for one in untold if one.source == "fit"),
    )
