"""The aggregators' interface under test: every answer is held against its own description."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from ems.domain.ports import Store
from ems.service.events import EventDesk
from ems.settings.clock import ManualClock
from web.aggregator import PREFIX

DOCS = Path(__file__).parents[2] / "docs"
DESCRIPTION = yaml.safe_load((DOCS / "flex-openapi.yaml").read_text(encoding="utf-8"))
TOKEN, OTHER = "hearth_test_token", "hearth_other_token"
BODY = {
    "block": "A",
    "direction": "down",
    "power_kw": 10,
    "start": "2023-12-05T17:00:00Z",
    "end": "2023-12-05T19:00:00+00:00",
}


@dataclass
class Interface:
    app: Flask
    store: Store
    clock: ManualClock
    desk: EventDesk

    def call(
        self, method: str, path: str, *, token: str | None = TOKEN, **more: Any
    ) -> TestResponse:
        headers = dict(more.pop("headers", {}))
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        client: FlaskClient = self.app.test_client()
        answer = client.open(PREFIX + path, method=method, headers=headers, **more)
        check_described(method, path, answer)
        return answer

    def send(self, key: str | None = None, token: str = TOKEN, **changes: Any) -> TestResponse:
        headers = {"Idempotency-Key": key} if key else {}
        return self.call("POST", "/dispatches", token=token, json=BODY | changes, headers=headers)


def resolved(schema: Any) -> Any:
    while "$ref" in schema:
        node: Any = DESCRIPTION
        for part in schema["$ref"].removeprefix("#/").split("/"):
            node = node[part]
        schema = node
    return schema


KINDS: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
}


def conform(value: Any, schema: Any, at: str) -> None:
    """Fail where a value is not what the description's schema says."""
    if schema is True:
        return
    schema = resolved(schema)
    if "oneOf" in schema:
        schema = resolved(schema["oneOf"][0 if value is None else 1])
    kinds = schema.get("type", [])
    kinds = kinds if isinstance(kinds, list) else [kinds]
    assert any(KINDS[kind](value) for kind in kinds), f"{at}: {value!r} is no {kinds}"
    if "enum" in schema:
        assert value in schema["enum"], at
    if isinstance(value, str) and schema.get("format") == "date-time":
        assert datetime.fromisoformat(value).tzinfo is not None, at
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        assert set(schema.get("required", [])) <= set(value), at
        if schema.get("additionalProperties") is False:
            assert set(value) <= set(properties), at
        for name, inner in value.items():
            if name in properties:
                conform(inner, properties[name], f"{at}.{name}")
    if isinstance(value, list):
        for index, inner in enumerate(value):
            conform(inner, schema["items"], f"{at}[{index}]")


def check_described(method: str, path: str, answer: TestResponse) -> None:
    """Every answer is one that the description promises."""
    bare = path.split("?", maxsplit=1)[0]
    template = "/dispatches/{event_id}" if bare.startswith("/dispatches/") else bare
    operation = DESCRIPTION["paths"].get(template, {}).get(method.lower())
    if operation is None:
        assert answer.status_code in (404, 405)
        responses: Any = {}
    else:
        responses = operation["responses"]
    if str(answer.status_code) in responses:
        schema = resolved(responses[str(answer.status_code)])["content"]["application/json"]
        assert answer.content_type == "application/json"
        conform(answer.json, schema["schema"], f"{method} {path}")
        return
    assert answer.status_code >= 400, f"{answer.status_code} is not described"
    assert answer.content_type == "application/problem+json"
    conform(answer.json, DESCRIPTION["components"]["schemas"]["Problem"], f"{method} {path}")
    assert answer.json["status"] == answer.status_code
