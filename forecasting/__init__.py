"""Forecasts of every home and block, made only from what was known at one instant.

Series come in as data frames on a regular UTC grid with ``nan`` gaps; forecasts go
out as :class:`ems.domain.forecasts.Forecast`, quantiles and mean. Models know a home
only by its configuration and its readings. Everything here is pure but for
:mod:`forecasting.weather`, whose file adapter reads one file when it is made.

May import :mod:`ext` and :mod:`ems.domain`; :mod:`ems.service` imports it. The maths
is in ``docs/forecasting.md``. Names in ``__all__`` are for other programs and stay;
``docs/library.md`` shows their use. They are imported when first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ems.domain.forecasts import Forecast
    from forecasting.calendar import Calendar
    from forecasting.faults import usable
    from forecasting.interface import LEVELS, Horizon, SeriesModel
    from forecasting.meter_forecasts import forecast_meters, meter_forecasts
    from forecasting.meters import Columns, Meters, read_table, regular

_WHERE = {
    "Calendar": "forecasting.calendar",
    "Columns": "forecasting.meters",
    "Forecast": "ems.domain.forecasts",
    "Horizon": "forecasting.interface",
    "LEVELS": "forecasting.interface",
    "Meters": "forecasting.meters",
    "SeriesModel": "forecasting.interface",
    "forecast_meters": "forecasting.meter_forecasts",
    "meter_forecasts": "forecasting.meter_forecasts",
    "read_table": "forecasting.meters",
    "regular": "forecasting.meters",
    "usable": "forecasting.faults",
}

__all__ = [
    "LEVELS",
    "Calendar",
    "Columns",
    "Forecast",
    "Horizon",
    "Meters",
    "SeriesModel",
    "forecast_meters",
    "meter_forecasts",
    "read_table",
    "regular",
    "usable",
]


def __getattr__(name: str) -> Any:
    """Import a name of ``__all__`` when it is first asked for."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)
