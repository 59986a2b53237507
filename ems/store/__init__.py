"""What Hearth keeps, one adapter a file behind the ports.

`open_store` gives the estate's store (:mod:`ems.store.sqlite`): readings, roll-ups,
forecasts, plans, setpoints, log. :mod:`ems.store.accounts` keeps who may sign in, in a
file of its own. May import ``ems.domain`` and ``ext``; knows nothing of control,
forecasting or drivers.
"""

from ems.store.errors import (
    StoreBusyError,
    StoreClosedError,
    StoreCorruptError,
    StoreFullError,
    StoreUnreadableError,
    StoreVersionError,
)
from ems.store.sqlite import SqliteStore, open_store

__all__ = [
    "SqliteStore",
    "StoreBusyError",
    "StoreClosedError",
    "StoreCorruptError",
    "StoreFullError",
    "StoreUnreadableError",
    "StoreVersionError",
    "open_store",
]
