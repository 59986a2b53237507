"""Pages for operators: the estate, its blocks, homes and devices."""

from __future__ import annotations

from datetime import timedelta

from flask import Blueprint, render_template, request

from web.block_charts import (
    battery_chart,
    battery_power_chart,
    fine_feeder_chart,
    load_chart,
    price_chart,
    solar_chart,
)
from web.condition import look
from web.credits import block_credit
from web.device_queries import DeviceFilter, device_rows, device_view
from web.home_queries import home_view, homes_now
from web.plan_view import plan_view, with_limits
from web.queries import block_now, estate_view, named_tariffs, prices_of, snapshot
from web.security import note_view, operators_only
from web.site import find_block, find_device, find_home, site
from web.words import CLASSES, STATUSES

blueprint = Blueprint("operator", __name__, url_prefix="/estate")
blueprint.before_request(operators_only)


@blueprint.get("")
def estate() -> str:
    """Show the estate now and today."""
    here = site()
    view = estate_view(here.estate, here.store, here.planned, here.now())
    return render_template("operator/estate.html", view=view, statuses=STATUSES)


@blueprint.get("/blocks/<block_id>")
def block(block_id: str) -> str:
    """Show a block: feeder, plan, homes, battery, sun, prices."""
    here, now = site(), site().now()
    found = find_block(block_id)
    note_view(found.id)
    condition = look(here.store, here.estate, now)
    plan = condition.plan(found.id).schedule
    span = (now - timedelta(hours=24), now + timedelta(hours=24))
    prices = prices_of([found], now)
    charts = [
        solar_chart(here.estate, here.store, span, now, found) if found.pv else None,
        battery_chart(here.estate, here.store, condition, span, now, found)
        if found.battery
        else None,
        battery_power_chart(here.estate, here.store, found, plan, span, now),
        load_chart(here.estate, here.store, found, span, now),
        price_chart(here.estate, named_tariffs(prices), span, now, plan),
    ]
    return render_template(
        "operator/block.html",
        state=block_now(here.estate, here.store, found, condition, snapshot(here.store, now)),
        plan=condition.plan(found.id),
        plan_told=plan_view(plan, here.estate.zone),
        homes=homes_now(here.estate, here.store, found.dwellings, now),
        feeder=with_limits(
            fine_feeder_chart(here.estate, here.store, here.planned, found, span, now), plan, now
        ),
        charts=[chart for chart in charts if chart is not None],
        prices=prices,
        credit=block_credit(here.estate, here.store, found, now),
        lost=[state for state in condition.of_block(found.id) if state.is_lost],
        statuses=STATUSES,
    )


@blueprint.get("/homes/<dwelling_id>")
def home(dwelling_id: str) -> str:
    """Show a home as operators see it; the view is recorded for its tenant."""
    here = site()
    found = find_home(dwelling_id)
    note_view(found.id)
    view = home_view(here.estate, here.store, found, here.now())
    return render_template("operator/home.html", view=view, home=found)


@blueprint.get("/devices")
def devices() -> str:
    """List devices with their state; narrowed by block, kind and state."""
    here, now = site(), site().now()
    wanted = DeviceFilter(
        request.args.get("block", ""), request.args.get("kind", ""), request.args.get("state", "")
    )
    condition = look(here.store, here.estate, now)
    return render_template(
        "operator/devices.html",
        rows=device_rows(here.estate, condition, wanted),
        wanted=wanted,
        kinds={kind.value: words for kind, words in CLASSES.items()},
        health=condition.health,
    )


@blueprint.get("/devices/<device_id>")
def device(device_id: str) -> str:
    """Show a device: its points, what it is told and what came of it."""
    here = site()
    found = find_device(device_id)
    if found.dwelling_id:
        note_view(found.dwelling_id)
    view = device_view(here.estate, here.store, found, here.now())
    return render_template("operator/device.html", view=view, device=found)
