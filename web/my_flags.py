"""Pages for tenants alone: my flags, who looked, and help with energy costs."""

from __future__ import annotations

from datetime import timedelta

from flask import Blueprint, abort, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from ems.domain.errors import InvalidInputError, RetryableError
from ems.domain.people import Household
from ems.people.words import SOURCES, STATES, VERDICTS, for_tenant, what_next
from ems.service.people import CONSENT_WORDING
from web.help_words import estimate_view, looks
from web.security import person, tenants_only
from web.site import find_home, site
from web.worklist import desk

blueprint = Blueprint("mine", __name__, url_prefix="/homes/<dwelling_id>")
blueprint.before_request(tenants_only)

LOOKED_DAYS = 92
FIELDS = {
    "income": ("Income a year, after tax, with benefits", 0.0, 500_000.0),
    "housing_costs": ("Rent and other housing costs a year", 0.0, 200_000.0),
    "adults": ("People aged 14 or over", 1.0, 20.0),
    "children": ("Children under 14", 0.0, 20.0),
}
"""What may be given: label, least and most that is believable."""
Answer = str | BaseResponse | tuple[str, int]


@blueprint.get("/flags")
def flags(dwelling_id: str) -> str:
    """Show the tenant's flags: why, from what, by which rule, what happens next."""
    return _flags(dwelling_id)


@blueprint.post("/flags/<flag_id>/objection")
def say_it_is_wrong(dwelling_id: str, flag_id: str) -> Answer:
    """Keep what the tenant says against a flag."""
    home, people = find_home(dwelling_id), desk()
    flag = people.flag(flag_id)
    if flag is None or flag.dwelling_id != home.id:
        abort(404)
    try:
        people.object_to(flag_id, person().name, request.form.get("words", ""), site().now())
    except (InvalidInputError, RetryableError) as error:
        return _flags(dwelling_id, flag_id, f"{error.problem.capitalize()}. {error.remedy}"), 400
    return redirect(url_for("mine.flags", dwelling_id=home.id), 303)


def _flags(dwelling_id: str, wrong_id: str = "", error: str = "") -> str:
    here, home = site(), find_home(dwelling_id)
    rules = here.estate.people.cold_home
    day = (rules.day_from_h, rules.day_to_h)
    return render_template(
        "tenant/flags.html",
        home=home,
        tab="flags",
        rows=[
            (flag, for_tenant(flag, rules.threshold_c, day), what_next(flag.state))
            for flag in desk().flags(home.id)
        ],
        rules=rules,
        verdicts=VERDICTS,
        states=STATES,
        sources=SOURCES,
        wrong_id=wrong_id,
        error=error,
    )


@blueprint.get("/looked")
def looked(dwelling_id: str) -> str:
    """Show who looked at this home's data, and why."""
    here, home = site(), find_home(dwelling_id)
    now = here.now()
    rows = looks(
        here.store,
        now - timedelta(days=LOOKED_DAYS),
        now + timedelta(seconds=1),
        frozenset({home.id, home.block_id}),
    )
    return render_template(
        "tenant/looked.html", home=home, tab="looked", rows=rows[:200], days=LOOKED_DAYS
    )


@blueprint.get("/costs")
def costs(dwelling_id: str) -> str:
    """Show the estimate of help with energy costs, and what was given for it."""
    return _costs(dwelling_id)


@blueprint.post("/costs")
def give(dwelling_id: str) -> Answer:
    """Keep what the tenant chose to give, for this purpose alone."""
    home = find_home(dwelling_id)
    household, errors = _household()
    if not request.form.get("agreed"):
        errors["agreed"] = "Tick the box if you agree; without it nothing is kept."
    if errors:
        return _costs(dwelling_id, errors), 400
    desk().give(home.id, household, person().name, site().now())
    return redirect(url_for("mine.costs", dwelling_id=home.id), 303)


@blueprint.post("/costs/withdraw")
def withdraw(dwelling_id: str) -> BaseResponse:
    """Delete what the tenant gave."""
    home = find_home(dwelling_id)
    desk().withdraw(home.id, site().now())
    return redirect(url_for("mine.costs", dwelling_id=home.id), 303)


def _household() -> tuple[Household, dict[str, str]]:
    """Return what the form says, and what is wrong with it by field; empty fields stay empty."""
    values: dict[str, float | None] = {}
    errors: dict[str, str] = {}
    for name, (label, low, high) in FIELDS.items():
        text = request.form.get(name, "").strip().replace(",", "").removeprefix("£").strip()
        values[name] = None
        if not text:
            continue
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        whole = name not in ("adults", "children") or value.is_integer()
        if not low <= value <= high or not whole:
            span = f"{low:,.0f} to {high:,.0f}"
            errors[name] = f"{label}: write a number from {span}, or leave it out."
        else:
            values[name] = value
    if not errors and all(value is None for value in values.values()):
        errors["income"] = "Fill in at least one field, or leave this page: nothing is needed."
    adults, children = values["adults"], values["children"]
    household = Household(
        values["income"],
        values["housing_costs"],
        None if adults is None else int(adults),
        None if children is None else int(children),
    )
    return household, errors


def _costs(dwelling_id: str, errors: dict[str, str] | None = None) -> str:
    here, home, people = site(), find_home(dwelling_id), desk()
    consent = people.consent(home.id)
    household = consent.household if consent is not None and consent.holds else None
    given = household or Household()
    typed = {
        "income": given.income_gbp,
        "housing_costs": given.housing_costs_gbp,
        "adults": given.adults,
        "children": given.children,
    }
    shown = {
        name: request.form.get(name, "") if errors else ("" if value is None else f"{value:g}")
        for name, value in typed.items()
    }
    return render_template(
        "tenant/costs.html",
        home=home,
        tab="costs",
        consent=consent,
        estimate=estimate_view(here.estate, home, household, people.estimate(home, here.now())),
        fields=FIELDS,
        shown=shown,
        wording=CONSENT_WORDING,
        errors=errors or {},
    )
