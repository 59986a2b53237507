"""Puts the web application together."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from flask import Flask, Response, render_template, request
from flask_login import current_user
from flask_wtf.csrf import CSRFError
from jinja2 import ChoiceLoader, PackageLoader, PrefixLoader
from werkzeug.exceptions import HTTPException

from ems.domain.estate import Estate
from ems.domain.ports import Store
from ems.domain.time import Clock
from ems.service.guard import CONTROL
from ems.service.plan_words import gave_way
from ems.service.starting import runs_dry
from ems.store.accounts import Accounts
from web import format, svg
from web.account import blueprint as account_pages
from web.aggregator import blueprint as aggregator_interface
from web.aggregator import http_problem, is_ours, limit_requests
from web.alarms import blueprint as alarm_pages
from web.audit import ViewLog
from web.comfort import blueprint as comfort_pages
from web.events import blueprint as event_pages
from web.forecasts import blueprint as forecast_pages
from web.gentle import blueprint as gentle_pages
from web.gentle import list_blueprint as gentle_list
from web.health import blueprint as health_probe
from web.holds import blueprint as hold_pages
from web.my_flags import blueprint as my_pages
from web.operator import blueprint as operator_pages
from web.planned import PlannedImports
from web.queries import tariff_words
from web.security import csrf, is_refresh, limit_sign_in, protect
from web.site import EXTENSION, Site, site
from web.tenant import blueprint as tenant_pages
from web.worklist import blueprint as people_pages

ERROR_WORDS = {
    400: ("Something in the form was not right", "Go back, load the page again and try once more."),
    403: ("You may not see this page", "It belongs to another home or to the estate's staff."),
    404: ("There is no such page", "Check the address, or start again from your first page."),
    405: ("That cannot be done here", "Go back and use the page's own buttons."),
    413: ("That was too much at once", "Go back and send less."),
    429: ("Too many attempts", "Wait a minute and try again."),
    500: ("Something went wrong on our side", "It has been recorded. Try again in a minute."),
}


def create_app(
    estate: Estate,
    state_dir: Path,
    clock: Clock,
    store: Store,
    accounts: Accounts,
    *,
    secret_key: str,
) -> Flask:
    """Return the WSGI application of an estate.

    Parameters
    ----------
    estate
        The configuration.
    state_dir
        The processes' common directory; Flask's instance path.
    clock
        Estate time.
    store
        Where readings, plans and setpoints are read; must be safe for several threads.
    accounts
        Who may sign in.
    secret_key
        Signs the cookie; keep it from one start to the next.
    """
    app = Flask("web", instance_path=str(state_dir.resolve()))
    app.secret_key = secret_key
    app.extensions[EXTENSION] = Site(estate, clock, store, accounts, ViewLog(), PlannedImports())
    app.jinja_options = {
        "loader": ChoiceLoader(
            [
                PackageLoader("web"),
                PrefixLoader({"govuk_frontend_jinja": PackageLoader("govuk_frontend_jinja")}),
            ]
        ),
        "trim_blocks": True,
        "lstrip_blocks": True,
    }
    protect(app)
    app.register_blueprint(people_pages)
    app.register_blueprint(my_pages)
    for blueprint in (account_pages, health_probe, operator_pages, alarm_pages, tenant_pages):
        app.register_blueprint(blueprint)
    app.register_blueprint(event_pages)
    app.register_blueprint(aggregator_interface)
    csrf.exempt(aggregator_interface)
    limit_requests(app)
    app.register_blueprint(comfort_pages)
    app.register_blueprint(hold_pages)
    app.register_blueprint(gentle_pages)
    app.register_blueprint(gentle_list)
    app.register_blueprint(forecast_pages)
    limit_sign_in(app, "account.sign_in")
    _teach_templates(app, estate)
    app.register_error_handler(CSRFError, _expired_form)
    app.register_error_handler(HTTPException, _error_page)
    return app


def _teach_templates(app: Flask, estate: Estate) -> None:
    zone = estate.zone
    filters = {
        "power": format.power,
        "temperature": format.temperature,
        "energy": format.energy,
        "money": format.money,
        "pence": format.pence,
        "number": format.number,
        "duration": format.duration,
        "ago": format.ago,
        "clock_time": partial(format.clock_time, zone=zone),
        "day_time": partial(format.day_time, zone=zone),
        "full_time": partial(format.full_time, zone=zone),
        "gave_way": gave_way,
    }
    app.jinja_env.filters.update(filters)
    app.jinja_env.globals.update(
        figure=svg.figure,
        WIDE=svg.WIDE,
        format_near=format.near_time,
        tariff_words=tariff_words,
    )

    @app.context_processor
    def common() -> dict[str, Any]:
        signed_in = current_user.user if current_user.is_authenticated else None
        return {
            "estate": estate,
            "dry_run": signed_in is not None and runs_dry(site().store, estate, CONTROL),
            "now": site().now(),
            "signed_in": signed_in,
            "is_refresh": is_refresh(),
        }


def _error_page(error: HTTPException) -> tuple[str, int] | Response:
    if is_ours(request.path):
        return http_problem(error)
    code = error.code or 500
    title, remedy = ERROR_WORDS.get(code, ERROR_WORDS[500])
    return render_template("error.html", code=code, title=title, remedy=remedy), code


def _expired_form(error: CSRFError) -> tuple[str, int]:
    return render_template(
        "error.html",
        code=400,
        title="This form has expired",
        remedy=f"Go back, load the page again and send it once more. ({error.description})",
    ), 400
