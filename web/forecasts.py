"""Operators' pages of forecasts: what was expected of a block or a home, and what came."""

from __future__ import annotations

from flask import Blueprint, render_template

from web.forecast_views import (
    block_forecasts,
    fine_forecasts,
    heating_chart,
    home_forecasts,
    home_standings,
    model_words,
)
from web.security import note_view, operators_only
from web.site import find_block, find_home, site

blueprint = Blueprint("forecasts", __name__, url_prefix="/estate")
blueprint.before_request(operators_only)
blueprint.add_app_template_filter(model_words)


@blueprint.get("/blocks/<block_id>/forecasts")
def block(block_id: str) -> str:
    """Show a block's forecasts against what came, and how those of its homes stand."""
    here, now = site(), site().now()
    found = find_block(block_id)
    note_view(found.id)
    return render_template(
        "operator/forecasts_block.html",
        block=found,
        views=block_forecasts(here.estate, here.store, found, now),
        fine=fine_forecasts(here.estate, here.store, found, now),
        heating=heating_chart(here.estate, here.store, here.planned, found, found.dwellings, now),
        homes=home_standings(here.store, found, now),
    )


@blueprint.get("/homes/<dwelling_id>/forecasts")
def home(dwelling_id: str) -> str:
    """Show a home's forecasts against what came; the view is recorded for its tenant."""
    here, now = site(), site().now()
    found = find_home(dwelling_id)
    note_view(found.id)
    within = here.estate.block(found.block_id)
    return render_template(
        "operator/forecasts_home.html",
        home=found,
        block=within,
        views=home_forecasts(here.estate, here.store, within, found, now),
        heating=heating_chart(here.estate, here.store, here.planned, within, (found,), now),
    )
