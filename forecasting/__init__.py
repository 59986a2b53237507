"""Forecasts of every home and block, made only from what was known at one instant.

Series come in as data frames on a regular UTC grid with ``nan`` gaps; forecasts go
out as :class:`ems.domain.forecasts.Forecast`, quantiles and mean. Models know a home
only by its configuration and its readings. Everything here is pure but for
:mod:`forecasting.weather`, whose file adapter reads one file when it is made.

May import :mod:`ext` and :mod:`ems.domain`; :mod:`ems.service` imports it. The maths
is in ``docs/forecasting.md``.
"""
