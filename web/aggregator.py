"""The aggregators' interface, ``/flex/v1``: events in, states and measurements out, as JSON.

A bearer token says who asks; it may act in its own blocks and sees its own events. Nothing
here tells who lives where or what one home draws: homes are counted, and half-hourly figures
are withheld where fewer than `FEWEST_HOMES` take part. This process writes records; control
acts on them at its next dispatch.
"""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus
from typing import Any, cast

from flask import Blueprint, Flask, Response, jsonify, request
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from werkzeug.exceptions import HTTPException

from ems.domain.errors import HearthError, RetryableError
from ems.domain.estate import Aggregator
from ems.domain.events import EventState, FlexEvent
from ems.domain.time import HALF_HOUR
from ems.flex.life import RECOVERY, EventOverError
from ems.flex.requests import RefusedError
from ems.service.events import UnknownEventError
from ems.service.tokens import bearer
from web.aggregator_input import (
    BadRequestError,
    flex_request,
    idempotency_key,
    instant_argument,
    require_object,
    whole_argument,
)
from web.aggregator_output import FEWEST_HOMES, dispatch, kw, withheld_words
from web.desk import desk
from web.site import site

PREFIX = "/flex/v1"
LIMIT = "120 per minute"
"""Requests from one address."""
RETRY_AFTER_S = 60
MEDIA_TYPE = "application/problem+json"
LONGEST_LOOK = timedelta(days=2)

blueprint = Blueprint("aggregator", __name__, url_prefix=PREFIX)


class TokenError(HearthError):
    """No token, or one that is nobody's."""


def limit_requests(app: Flask) -> None:
    """Let an address ask only so often; each application counts by itself."""
    limiter = Limiter(get_remote_address, app=app, storage_uri="memory://")
    limit = limiter.shared_limit(LIMIT, scope="flex")
    for endpoint, view in list(app.view_functions.items()):
        if endpoint.startswith(f"{blueprint.name}."):
            app.view_functions[endpoint] = cast(Any, limit(view))


def is_ours(path: str) -> bool:
    """Tell whether a path belongs to this interface, known or not."""
    return path == "/flex" or path.startswith("/flex/")


def _caller() -> Aggregator:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    here = site()
    found = bearer(here.estate, here.store, token.strip()) if scheme.lower() == "bearer" else None
    if found is None:
        raise TokenError(
            "the request has no valid token",
            field="Authorization",
            remedy="Send the header `Authorization: Bearer TOKEN` with the token you were given.",
        )
    return found


def _own(block_id: str, caller: Aggregator) -> str:
    if block_id not in caller.blocks:
        raise RefusedError(
            "there is no such block",
            field="block",
            value=block_id,
            remedy=f"Blocks that you may dispatch: {', '.join(caller.blocks)}.",
        )
    return block_id


@blueprint.post("/dispatches")
def send() -> tuple[Response, int]:
    """Ask for an event."""
    caller, now = _caller(), site().now()
    wanted = flex_request(require_object(request), caller.id, idempotency_key(request))
    try:
        _own(wanted.block_id, caller)
    except RefusedError as refusal:
        desk().refusals.note(wanted, refusal, now)
        raise
    answer = desk().submit(wanted, now)
    status = HTTPStatus.CREATED if answer.fresh else HTTPStatus.OK
    response = jsonify(_shown(answer.event))
    response.headers["Location"] = f"{PREFIX}/dispatches/{answer.event.id}"
    return response, status


@blueprint.get("/dispatches")
def listed() -> Response:
    """List the caller's events, what was refused among them, latest start first."""
    caller = _caller()
    state = request.args.get("state")
    if state is not None and state not in set(EventState):
        raise BadRequestError(
            "there is no such state",
            field="state",
            value=state[:80],
            remedy=f"States: {', '.join(EventState)}.",
        )
    now = site().now()
    own = [
        event
        for event in (*desk().all(now), *desk().refusals.all(now, caller.id))
        if event.request.source == caller.id and state in (None, str(event.state))
    ]
    own.sort(key=lambda event: (event.request.start, event.id), reverse=True)
    return jsonify({"dispatches": [_shown(event) for event in own]})


@blueprint.get("/dispatches/<event_id>")
def one(event_id: str) -> Response:
    """Show one event, and what it delivered once it is measured."""
    caller = _caller()
    for event in desk().refusals.all(site().now(), caller.id):
        if event.id == event_id:
            return jsonify(_shown(event))
    return jsonify(_shown(desk().event(event_id, caller.id)))


@blueprint.put("/dispatches/<event_id>")
def replace(event_id: str) -> Response:
    """Put another request in an event's place."""
    caller, now = _caller(), site().now()
    desk().event(event_id, caller.id)
    wanted = flex_request(require_object(request), caller.id, "")
    _own(wanted.block_id, caller)
    return jsonify(_shown(desk().replace(event_id, wanted, now)))


@blueprint.delete("/dispatches/<event_id>")
def withdraw(event_id: str) -> Response:
    """Withdraw an event."""
    caller = _caller()
    return jsonify(_shown(desk().withdraw(event_id, site().now(), caller.id)))


@blueprint.get("/availability")
def availability() -> Response:
    """Show what a block could do, by half-hours."""
    caller, now = _caller(), site().now()
    block_id = _own(request.args.get("block", ""), caller)
    start = instant_argument(request, "from") or now
    finish = instant_argument(request, "to") or start + timedelta(days=1)
    if not start < finish <= start + LONGEST_LOOK:
        raise BadRequestError(
            f"the time is empty or longer than {LONGEST_LOOK.days} days",
            field="to",
            value=finish.isoformat(),
            remedy="Give an end after the start, at most two days later.",
        )
    found = desk().availability(block_id, start, finish, now)
    few = found.homes < FEWEST_HOMES
    body: dict[str, Any] = {
        "block": block_id,
        "plan_issued_at": found.plan_issued_at.isoformat(),
        "homes": found.homes,
        "quantile": 0.1,
        "sustained_down_kw": kw(found.sustained_down_w),
        "sustained_up_kw": kw(found.sustained_up_w),
        "recovery_min": _minutes(RECOVERY),
        "half_hours": None
        if few
        else [
            {
                "start": slot.start.isoformat(),
                "end": (slot.start + HALF_HOUR).isoformat(),
                "down_kw": kw(slot.down_w),
                "up_kw": kw(slot.up_w),
                "down_longest_min": _minutes(slot.down_longest),
                "up_longest_min": _minutes(slot.up_longest),
            }
            for slot in found.slots
        ],
    }
    if few:
        body["withheld"] = withheld_words(found.homes)
    return jsonify(body)


@blueprint.get("/transitions")
def transitions() -> Response:
    """Show changes of the caller's events after a cursor, oldest first."""
    caller = _caller()
    after = whole_argument(request, "after", 0, 2**62)
    limit = whole_argument(request, "limit", 100, 1000)
    found = desk().transitions(after, caller.id, max(limit, 1))
    rows = [
        {
            "cursor": kept.sequence,
            "dispatch": kept.record.event_id,
            "at": kept.record.at.isoformat(),
            "before": None if kept.record.before is None else str(kept.record.before),
            "after": str(kept.record.after),
            "cause": kept.record.cause,
        }
        for kept in found
    ]
    return jsonify({"transitions": rows, "next": found[-1].sequence if found else after})


def _minutes(length: timedelta) -> int:
    return round(length.total_seconds() / 60)


def _shown(event: FlexEvent) -> dict[str, Any]:
    here = desk()
    reference = here.reference(event.id)
    homes = len(event.participants) if event.state is not EventState.ACCEPTED else None
    if homes is None or event.state is EventState.CANCELLED:
        homes = len(reference.homes_w) if reference else 0
    return dispatch(event, homes, here.settlement(event.id))


def problem(
    status: int, detail: str, *, field: str = "", value: Any = None, remedy: str = ""
) -> Response:
    """Return an error as problem details (RFC 9457) with the field, its value, the remedy."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    extra = {"field": field or None, "value": value, "remedy": remedy or None}
    body |= {key: item for key, item in extra.items() if item is not None}
    response = jsonify(body)
    response.status_code = status
    response.content_type = MEDIA_TYPE
    return response


def http_problem(error: HTTPException) -> Response:
    """Return what went wrong before a view was reached."""
    remedies = {
        404: "See docs/guide-aggregators.md for the addresses.",
        405: "See docs/guide-aggregators.md for the methods of this address.",
        413: "Send less.",
        429: "Wait a minute and try again.",
        500: "Try again in a minute.",
    }
    code = error.code or 500
    words = error.description or HTTPStatus(code).phrase
    detail = words if code != 500 else "something went wrong on our side; it has been recorded"
    response = problem(code, detail, remedy=remedies.get(code, "Change the request."))
    for name, text in error.get_headers():
        if name in ("Allow", "Retry-After"):
            response.headers[name] = text
    return response


@blueprint.errorhandler(HearthError)
def _refused(error: HearthError) -> Response:
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    if isinstance(error, BadRequestError):
        status = error.status
    elif isinstance(error, TokenError):
        status = HTTPStatus.UNAUTHORIZED
    elif isinstance(error, UnknownEventError):
        status = HTTPStatus.NOT_FOUND
    elif isinstance(error, EventOverError) or getattr(error, "conflict", False):
        status = HTTPStatus.CONFLICT
    elif isinstance(error, RetryableError):
        status = HTTPStatus.SERVICE_UNAVAILABLE
    elif not isinstance(error, RefusedError):
        raise error
    response = problem(
        status, error.problem, field=error.field, value=error.value, remedy=error.remedy
    )
    if status is HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = 'Bearer realm="flex"'
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response
