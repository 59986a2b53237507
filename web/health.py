"""``GET /healthz``: whether the estate is well, for machines.

It needs no sign-in, so it names no home's device: what follows the colon in a problem's
words is for those who have signed in.
"""

from __future__ import annotations

import structlog
from flask import Blueprint, Response, jsonify

from ems.service.health import health
from web.site import site

blueprint = Blueprint("health", __name__)
log = structlog.get_logger()


@blueprint.get("/healthz")
def healthz() -> tuple[Response, int]:
    """Return 200 when the estate is well and 503 with what is wrong when it is not."""
    here = site()
    try:
        report = health(here.estate, here.store, here.now())
    except Exception as error:  # whatever fails, a probe must get its answer
        log.error("health_failed", error=repr(error))
        return jsonify({"status": "degraded", "problems": ["the store cannot be read"]}), 503
    answer = dict(report.as_dict())
    answer["estate_time"] = here.now().isoformat()
    answer["problems"] = [problem.partition(":")[0] for problem in report.problems]
    return jsonify(answer), 200 if report.well else 503
