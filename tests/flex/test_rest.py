"""The aggregators' interface, as an aggregator meets it: over HTTP, against its own description."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from werkzeug.test import TestResponse

from ems.domain.events import EventState
from ems.service.events import EventDesk
from ems.service.tokens import issue
from ems.settings.clock import ManualClock
from ems.store.accounts import open_accounts
from web import create_app
from web.aggregator import LIMIT, PREFIX, RETRY_AFTER_S

from .conftest import BASE_W, HEAT_W, NOW, START, half_hours, plan, readings
from .interface import BODY, DESCRIPTION, DOCS, OTHER, Interface


def test_every_route_is_described_and_every_described_route_exists(interface) -> None:
    described = {
        (PREFIX + path.replace("{", "<").replace("}", ">"), method.upper())
        for path, methods in DESCRIPTION["paths"].items()
        for method in methods
        if method != "parameters"
    }
    routed = {
        (rule.rule, method)
        for rule in interface.app.url_map.iter_rules()
        if rule.rule.startswith("/flex/")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert described == routed
    text = (DOCS / "guide-aggregators.md").read_text(encoding="utf-8")
    for path, method in routed:
        assert f"| `{path}` | `{method}` |" in text
    assert f"{LIMIT.split()[0]} times" in text
    assert RETRY_AFTER_S == 60


def test_the_examples_of_the_guide_are_accepted(interface) -> None:
    """Each JSON body of a curl example, moved to the present."""
    text = (DOCS / "guide-aggregators.md").read_text(encoding="utf-8")
    (example,) = [part.split("'")[0] for part in text.split("-d '")[1:]]
    body = json.loads(example) | {"start": BODY["start"], "end": BODY["end"]}
    assert interface.call("POST", "/dispatches", json=body).status_code == 201


def test_an_event_is_sent_followed_and_read_back(interface, block) -> None:
    answer = interface.send(product="evening_turn_down")
    assert answer.status_code == 201
    sent = answer.json
    assert (sent["state"], sent["accepted_kw"], sent["reason"]) == ("accepted", 10.0, None)
    assert sent["participants"] == {"homes": 20, "battery": True}
    assert [row["kw"] for row in sent["reference"]] == [20.0] * 4
    assert answer.headers["Location"] == f"{PREFIX}/dispatches/{sent['id']}"
    assert interface.call("GET", f"/dispatches/{sent['id']}").json == sent
    assert interface.call("GET", "/dispatches").json == {"dispatches": [sent]}
    assert interface.call("GET", "/dispatches?state=settled").json == {"dispatches": []}

    def watts(at: datetime, device: str) -> float:
        if device.endswith("battery"):
            return 0.0
        return 500.0 if START <= at < START + timedelta(hours=2) else HEAT_W + BASE_W

    interface.store.add_rollups(
        half_hours(block, START - timedelta(days=30), START + timedelta(hours=5), watts)
    )
    interface.store.add_readings(readings(block, START))
    interface.desk.advance(START)
    interface.desk.advance(START + timedelta(hours=5))
    done = interface.call("GET", f"/dispatches/{sent['id']}").json
    assert done["state"] == "settled"
    assert done["settlement"]["delivered_kwh"] == pytest.approx(20.0)
    assert done["settlement"]["payment_gbp"] == pytest.approx(20 * 0.355)
    assert [row["delivered_kw"] for row in done["settlement"]["half_hours"]] == [10.0] * 4

    page = interface.call("GET", "/transitions?limit=2").json
    rest = interface.call("GET", f"/transitions?after={page['next']}").json
    states = [one["after"] for one in page["transitions"] + rest["transitions"]]
    assert states == ["accepted", "running", "recovering", "settled"]


def test_no_home_is_ever_named(interface, block) -> None:
    sent = interface.send().json
    interface.store.add_readings(readings(block, START))
    interface.desk.advance(START)
    interface.call("DELETE", f"/dispatches/{sent['id']}")
    texts = [
        interface.call("GET", path).text
        for path in ("/dispatches", f"/dispatches/{sent['id']}", "/transitions")
    ]
    texts.append(interface.call("GET", "/availability?block=A").text)
    for text in texts:
        for home in block.dwellings:
            assert home.id not in text
            assert f'"{home.name}"' not in text


def test_half_hours_are_withheld_where_few_homes_take_part(interface, block) -> None:
    few = plan(block, NOW - timedelta(minutes=2))
    interface.store.add_schedule(replace(few, homes=few.homes[:9]))
    sent = interface.send().json
    assert sent["participants"]["homes"] == 9
    assert sent["reference"] is None
    assert "9 homes" in sent["withheld"]
    offered = interface.call("GET", "/availability?block=A").json
    assert offered["half_hours"] is None
    assert offered["sustained_down_kw"] >= 0
    interface.store.add_readings(readings(block, START))
    interface.desk.advance(START)
    interface.desk.advance(START + timedelta(hours=12))
    assert (
        interface.call("GET", "/dispatches").json["dispatches"][0]["settlement"]["half_hours"]
        is None
    )


def test_availability_by_half_hours(interface) -> None:
    answer = interface.call(
        "GET", "/availability?block=A&from=2023-12-05T17:00:00Z&to=2023-12-05T19:00:00Z"
    ).json
    assert len(answer["half_hours"]) == 4
    for row in answer["half_hours"]:
        assert row["down_kw"] >= answer["sustained_down_kw"] > 0
        assert row["up_kw"] >= answer["sustained_up_kw"] > 0
        assert row["down_longest_min"] >= 30
    assert answer["recovery_min"] == 120
    plus = interface.call("GET", "/availability?block=A&from=2023-12-05T17:00:00+00:00")
    assert plus.json["half_hours"][0]["start"] == "2023-12-05T17:00:00+00:00"


def test_the_wrong_address_and_method_answer_in_kind(interface) -> None:
    assert interface.call("GET", "/nothing").status_code == 404
    answer = interface.call("PATCH", "/dispatches")
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]
    assert interface.call("GET", "/dispatches/20231205T000000-A-9").status_code == 404
    for query in ("block=A&from=soon", "block=A&to=2023-12-01T00:00Z", "from=2023-12-05"):
        assert interface.call("GET", f"/availability?{query}").status_code == 422
    for query in ("after=-1", "after=x", "limit=5000", f"after={'9' * 40}"):
        assert interface.call("GET", f"/transitions?{query}").status_code == 422


def test_the_same_key_counts_once(interface) -> None:
    first, again = interface.send("k1"), interface.send("k1")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json == again.json
    assert interface.send("k1", power_kw=5).status_code == 422
    assert interface.send("x" * 200).status_code == 422
    assert interface.send("k1", OTHER, power_kw=5).status_code == 201


def test_the_same_key_from_many_connections_counts_once(interface) -> None:
    answers: list[TestResponse] = []
    threads = [
        threading.Thread(target=lambda: answers.append(interface.send("k1"))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.json["id"] for answer in answers}) == 1
    assert len(interface.desk.all(NOW)) == 1


def test_replaced_and_withdrawn(interface) -> None:
    event_id = interface.send().json["id"]
    changed = interface.call("PUT", f"/dispatches/{event_id}", json=BODY | {"power_kw": 4})
    assert (changed.status_code, changed.json["accepted_kw"]) == (200, 4.0)
    gone = interface.call("DELETE", f"/dispatches/{event_id}")
    assert gone.json["state"] == "cancelled"
    assert interface.call("DELETE", f"/dispatches/{event_id}").json == gone.json
    assert interface.call("PUT", f"/dispatches/{event_id}", json=BODY).status_code == 409


def test_others_events_are_not_there(interface) -> None:
    event_id = interface.send().json["id"]
    for method in ("GET", "PUT", "DELETE"):
        answer = interface.call(method, f"/dispatches/{event_id}", token=OTHER, json=BODY)
        assert answer.status_code == 404
    assert interface.call("GET", "/dispatches", token=OTHER).json == {"dispatches": []}
    assert interface.call("GET", "/transitions", token=OTHER).json["transitions"] == []
    assert interface.desk.event(event_id).state is EventState.ACCEPTED


def test_what_is_sound_but_not_possible_now(interface) -> None:
    assert interface.send(power_kw=50).json["reason"].startswith("trimmed from 50")
    nothing_left = interface.send(power_kw=5)
    assert nothing_left.status_code == 409
    assert "is left for that time" in nothing_left.json["detail"]
    interface.clock.set(NOW + timedelta(hours=4))
    late = interface.send(start="2023-12-05T21:00:00Z", end="2023-12-05T22:00:00Z")
    assert late.status_code == 503
    assert late.headers["Retry-After"] == str(RETRY_AFTER_S)


def test_too_many_requests_are_put_off(interface) -> None:
    for limiter in interface.app.extensions["limiter"]:
        limiter.enabled = True
    codes = [interface.call("GET", "/transitions", token="no").status_code for _ in range(121)]
    assert codes == [401] * 120 + [429]


def test_a_demonstration_issues_its_own_tokens(estate, store, tmp_path) -> None:
    first = issue(estate, store, "example", NOW)
    second = issue(estate, store, "example", NOW)
    app = create_app(
        estate, tmp_path, ManualClock(NOW), store, open_accounts(tmp_path), secret_key="tests"
    )
    made = Interface(app, store, ManualClock(NOW), EventDesk(estate, store))
    assert made.call("GET", "/dispatches", token=first).status_code == 401
    assert made.call("GET", "/dispatches", token=second).status_code == 200
    real = replace(estate, demonstration=False)
    app = create_app(
        real, tmp_path, ManualClock(NOW), store, open_accounts(tmp_path), secret_key="tests"
    )
    made = Interface(app, store, ManualClock(NOW), EventDesk(real, store))
    assert made.call("GET", "/dispatches", token=second).status_code == 401
