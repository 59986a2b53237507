"""Pages for tenants: one home, in plain words. Operators may open them too, on the record."""

from __future__ import annotations

from flask import Blueprint, render_template

from ems.domain.estate import Dwelling
from web.credits import home_credit
from web.fairness import helped_words
from web.security import note_view, own_home_only
from web.site import find_home, site
from web.tenant_queries import heating_view, past_view, today_view, warmth_view

blueprint = Blueprint("tenant", __name__, url_prefix="/homes/<dwelling_id>")
blueprint.before_request(own_home_only)


def _home(dwelling_id: str) -> Dwelling:
    home = find_home(dwelling_id)
    note_view(home.id)
    return home


@blueprint.get("")
def today(dwelling_id: str) -> str:
    """Show today: use, cost, the own past, warmth and what comes next."""
    here = site()
    home = _home(dwelling_id)
    view = today_view(here.estate, here.store, home, here.now())
    credit = home_credit(here.estate, here.store, home, here.now())
    return render_template("tenant/today.html", view=view, credit=credit, home=home, tab="today")


@blueprint.get("/past")
def past(dwelling_id: str) -> str:
    """Show the use of the last two weeks, compared with the home's own past."""
    here = site()
    home = _home(dwelling_id)
    view = past_view(here.estate, here.store, home, here.now())
    return render_template("tenant/past.html", view=view, home=home, tab="past")


@blueprint.get("/warmth")
def warmth(dwelling_id: str) -> str:
    """Show the living room over the last week."""
    here = site()
    home = _home(dwelling_id)
    view = warmth_view(here.estate, here.store, home, here.now())
    return render_template("tenant/warmth.html", view=view, home=home, tab="warmth")


@blueprint.get("/heating")
def heating(dwelling_id: str) -> str:
    """Show what the heating does next and did lately, and why."""
    here = site()
    home = _home(dwelling_id)
    view = heating_view(here.estate, here.store, home, here.now())
    helped = helped_words(here.estate, here.store, home.id, here.now())
    return render_template(
        "tenant/heating.html", view=view, helped=helped, home=home, tab="heating"
    )
