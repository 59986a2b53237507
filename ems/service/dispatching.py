"""The dispatch job: snapshot, decide, apply, record, beat."""

from __future__ import annotations

import structlog

log = structlog.get_logger()
