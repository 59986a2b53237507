"""The web process: pages for operators and tenants, and a health probe.

It reads the store and never writes a setpoint; the one thing it writes there is who
looked at a home's data. One blueprint a reader (`web.operator`, `web.tenant`), queries
that return views (`web.queries`, `web.home_queries`), charts drawn on the server
(`web.charts`, `web.svg`). May import the service, the store and the domain; nothing
imports it but the command line.
"""

from web.app import create_app

__all__ = ["create_app"]
