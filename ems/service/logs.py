"""One logging pipeline for every process: structured lines on standard error."""

from __future__ import annotations

import logging
import sys

import structlog


def configure(process: str, *, level: str = "INFO") -> None:
    """Send structlog's and the libraries' log lines to standard error as key=value.

    Parameters
    ----------
    process
        Name bound to every line: ``control``, ``guard``, ``web``, ``field``.
    level
        Least severity shown.
    """
    threshold = logging.getLevelNamesMapping()[level.upper()]
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, force=True)
    for noisy in ("apscheduler", "pymodbus", "waitress.queue"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="wall"),
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(key_order=["wall", "level", "process", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
    )
    structlog.contextvars.bind_contextvars(process=process)
