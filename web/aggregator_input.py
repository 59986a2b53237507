"""What aggregators send, checked field by field before anything is decided."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from flask import Request

from ems.domain.errors import PermanentError
from ems.domain.events import Direction, FlexRequest

REQUIRED = ("block", "direction", "power_kw", "start", "end")
OPTIONAL = ("product",)
LONGEST_TEXT = 64
LONGEST_KEY = 128
_SHOWN = 80


class BadRequestError(PermanentError):
    """A request that does not say what it should; ``status`` is its HTTP status."""

    def __init__(
        self,
        problem: str,
        *,
        field: str,
        value: Any = None,
        remedy: str,
        status: HTTPStatus = HTTPStatus.UNPROCESSABLE_ENTITY,
    ) -> None:
        super().__init__(problem, field=field, value=_short(value), remedy=remedy)
        self.status = status


def _short(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, bool | int | float) or value is None:
        return value
    return str(value)[:_SHOWN]


def require_object(request: Request) -> Mapping[str, Any]:
    """Return the request's body, a JSON object with the known keys and no others."""
    if not request.is_json:
        raise BadRequestError(
            "the body is not declared as JSON",
            field="Content-Type",
            value=request.content_type or "none",
            remedy="Send the header Content-Type: application/json.",
            status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        )
    try:
        body = json.loads(request.get_data())
    except (ValueError, RecursionError) as error:
        raise BadRequestError(
            f"the body cannot be read as JSON: {str(error)[:_SHOWN]}",
            field="body",
            remedy="Send one JSON object.",
            status=HTTPStatus.BAD_REQUEST,
        ) from None
    if not isinstance(body, dict):
        raise BadRequestError(
            "the body is not a JSON object",
            field="body",
            value=type(body).__name__,
            remedy="Send one JSON object.",
            status=HTTPStatus.BAD_REQUEST,
        )
    strange = sorted(set(body) - {*REQUIRED, *OPTIONAL})
    if strange:
        raise BadRequestError(
            "there is no such field",
            field=strange[0][:_SHOWN],
            value=body[strange[0]],
            remedy=f"Fields: {', '.join((*REQUIRED, *OPTIONAL))}.",
        )
    for name in REQUIRED:
        if body.get(name) is None:
            raise BadRequestError(
                "this field is missing", field=name, remedy=f"Needed: {', '.join(REQUIRED)}."
            )
    return body


def flex_request(body: Mapping[str, Any], source: str, key: str) -> FlexRequest:
    """Return what a body asks for.

    Raises
    ------
    BadRequestError
        Where a field is not of its kind.
    """
    direction = _text(body, "direction")
    if direction not in set(Direction):
        raise BadRequestError(
            "the direction is not one of those allowed",
            field="direction",
            value=direction,
            remedy="Use down (draw less) or up (draw more).",
        )
    return FlexRequest(
        block_id=_text(body, "block"),
        direction=Direction(direction),
        power_w=_number(body, "power_kw") * 1000.0,
        start=_instant(_text(body, "start"), "start"),
        end=_instant(_text(body, "end"), "end"),
        source=source,
        product_id=_text(body, "product") if body.get("product") is not None else "",
        idempotency_key=key,
    )


def idempotency_key(request: Request) -> str:
    """Return the request's key, empty where it has none."""
    key = request.headers.get("Idempotency-Key", "").strip()
    if len(key) > LONGEST_KEY or not (key.isascii() and (key.isprintable() or not key)):
        raise BadRequestError(
            f"a key has at most {LONGEST_KEY} plain characters",
            field="Idempotency-Key",
            value=key,
            remedy="Use a fresh UUID for each new request.",
        )
    return key


def instant_argument(request: Request, name: str) -> datetime | None:
    """Return an instant of the query, ``None`` where it is absent."""
    text = request.args.get(name)
    # A plus sign that was not escaped arrives as a space.
    return None if not text else _instant(text.replace(" ", "+"), name)


def whole_argument(request: Request, name: str, default: int, most: int) -> int:
    """Return a whole number of the query, from 0 to ``most``."""
    text = request.args.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > len(str(most)) or int(text) > most:
        raise BadRequestError(
            f"this must be a whole number from 0 to {most}",
            field=name,
            value=text,
            remedy="Give the number that the last answer named.",
        )
    return int(text)


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body[name]
    if not isinstance(value, str) or not 1 <= len(value) <= LONGEST_TEXT or not value.isprintable():
        raise BadRequestError(
            f"this must be a text of 1 to {LONGEST_TEXT} characters",
            field=name,
            value=value,
            remedy="Write it in double quotes.",
        )
    return value


def _number(body: Mapping[str, Any], name: str) -> float:
    value = body[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e12:
        raise BadRequestError(
            "this must be a number", field=name, value=value, remedy="Give kilowatts, e.g. 20."
        )
    return float(value)


def _instant(text: str, name: str) -> datetime:
    remedy = "Write it in ISO 8601 with its offset, e.g. 2023-12-05T17:00:00Z."
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise BadRequestError(
            "this must be an instant", field=name, value=text, remedy=remedy
        ) from None
    if instant.tzinfo is None:
        raise BadRequestError("the instant has no offset", field=name, value=text, remedy=remedy)
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise BadRequestError(
            "the instant is outside the calendar", field=name, value=text, remedy=remedy
        ) from None
