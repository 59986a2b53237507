"""Hearth: energy management and demand response for social housing.

``ems`` is both the ground floor (:mod:`ems.domain`, pure types that everything
may import) and the roof (:mod:`ems.service`, :mod:`ems.demo`, :mod:`ems.cli`,
which wire the parts together). What may import what is written in
``pyproject.toml`` and checked by ``make check``; ``docs/architecture.md`` shows
the picture.
"""
