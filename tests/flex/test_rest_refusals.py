"""What the aggregators' interface refuses, and that it then changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ems.service.tokens import hash_token

from .conftest import NOW
from .interface import BODY, TOKEN


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN + "x", hash_token(TOKEN)])
def test_without_the_right_token_nothing_is_told_or_done(interface, token) -> None:
    for method, path in [
        ("GET", "/dispatches"), ("POST", "/dispatches"), ("GET", "/dispatches/x"),
        ("PUT", "/dispatches/x"), ("DELETE", "/dispatches/x"), ("GET", "/availability?block=A"),
        ("GET", "/transitions"),
    ]:  # fmt: skip
        answer = interface.call(method, path, token=token, json=BODY if method != "GET" else None)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert answer.json["field"] == "Authorization"
    assert interface.desk.all(NOW) == ()


ABSURD: list[tuple[dict[str, Any], str]] = [
    ({"power_kw": -20}, "power_kw"),
    ({"power_kw": 0}, "power_kw"),
    ({"power_kw": 10_000}, "power_kw"),
    ({"power_kw": "20"}, "power_kw"),
    ({"power_kw": True}, "power_kw"),
    ({"power_kw": None}, "power_kw"),
    ({"power_kw": float("nan")}, "power_kw"),
    ({"power_kw": float("inf")}, "power_kw"),
    ({"block": "Z"}, "block"),
    ({"block": "B"}, "block"),
    ({"block": ""}, "block"),
    ({"block": ["A"]}, "block"),
    ({"direction": "sideways"}, "direction"),
    ({"direction": "up", "product": "evening_turn_down"}, "direction"),
    ({"product": "nothing"}, "product"),
    ({"start": "2022-12-05T17:00:00Z", "end": "2022-12-05T19:00:00Z"}, "start"),
    ({"start": "2023-12-05T17:00:00"}, "start"),
    ({"start": "soon"}, "start"),
    ({"start": "2023-12-05T17:11:00Z"}, "start"),
    ({"end": "2023-12-05T16:30:00Z"}, "end"),
    ({"end": "2023-12-06T17:00:00Z"}, "end"),
    ({"start": "2023-12-05T16:00:00Z", "product": "evening_turn_down"}, "start"),
    ({"colour": "red"}, "colour"),
]


@pytest.mark.parametrize(("changes", "field"), ABSURD, ids=[str(one) for one, _ in ABSURD])
def test_the_absurd_is_refused_and_changes_nothing(interface, changes, field) -> None:
    before = interface.send().json
    answer = interface.send(**changes)
    assert answer.status_code == 422
    assert answer.json["field"] == field
    assert answer.json["detail"]
    assert answer.json["remedy"]
    if changes.get(field) is not None:
        assert "value" in answer.json
    put = interface.call("PUT", f"/dispatches/{before['id']}", json=BODY | changes)
    assert put.status_code == 422
    listed = interface.call("GET", "/dispatches").json["dispatches"]
    refused = [one for one in listed if one["state"] == "refused"]
    assert [one for one in listed if one not in refused] == [before]
    # What could not even be read is no request and is not listed.
    for shown in refused:
        assert answer.json["detail"] in shown["reason"]
        assert shown["accepted_kw"] == 0
        assert interface.call("GET", f"/dispatches/{shown['id']}").json == shown
    narrowed = interface.call("GET", "/dispatches?state=refused").json["dispatches"]
    assert narrowed == refused
    assert len(interface.desk.transitions()) == 1


def test_what_was_refused_is_listed_to_who_asked_and_changes_nothing_else(interface) -> None:
    refused = interface.send(power_kw=-20, key="r1")
    again = interface.send(power_kw=-20, key="r1")
    assert refused.status_code == again.status_code == 422
    (shown,) = interface.call("GET", "/dispatches").json["dispatches"]
    assert (shown["state"], shown["settlement"], shown["reference"]) == ("refused", None, None)
    assert "above zero" in shown["reason"]
    desk = interface.desk
    assert desk.all(NOW) == ()
    assert desk.refusals.all(NOW, "another") == ()
    assert interface.call("GET", "/transitions").json["transitions"] == []
    assert interface.call("DELETE", f"/dispatches/{shown['id']}").status_code == 404


@pytest.mark.parametrize(
    ("data", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"[" * 30_000, "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"x" * 70_000, "application/json", 413),
    ],
)
def test_what_is_no_request_is_refused(interface, data, kind, status) -> None:
    answer = interface.call("POST", "/dispatches", data=data, content_type=kind)
    assert answer.status_code == status


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=5,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.dictionaries(st.sampled_from([*BODY, "product", "x"]), JSON_VALUES, min_size=1))
def test_no_body_breaks_it(interface, changes) -> None:
    answer = interface.send(**changes)
    if answer.status_code == 201:
        interface.call("DELETE", f"/dispatches/{answer.json['id']}")
    else:
        assert answer.status_code in (409, 422)
