"""Every address, for every reader: a tenant sees the own home and nothing else."""

from __future__ import annotations

import re

import pytest

from web.security import LIVE_HEADER

PUBLIC = {"/healthz": 200, "/sign-in": 200, "/": 302}
OPERATOR = [
    "/estate/events",
    "/estate/holds",
    "/estate/tests",
    "/estate/events/fairness",
    "/estate",
    "/estate/blocks/A",
    "/estate/blocks/A/forecasts",
    "/estate/homes/A-07/forecasts",
    "/estate/blocks/B",
    "/estate/homes/A-07",
    "/estate/homes/B-20",
    "/estate/alarms",
    "/estate/devices",
    "/estate/devices/A-07-hp",
    "/estate/devices/A-meter",
    "/estate/worklist",
    "/estate/audit",
]
TENANT = ["/homes/{}", "/homes/{}/past", "/homes/{}/warmth", "/homes/{}/heating"]
TENANT += ["/homes/{}/comfort", "/homes/{}/comfort/schedule"]
WISHES = [
    f"/homes/A-07/comfort/{name}" for name in ("warmer", "away", "opt-out", "undo", "schedule/save")
]
"""Posted to in test_comfort.py, as holds are in test_holds.py."""
ALARM = "/estate/alarms/home_cold:A-10.1"
ALARM_PAGES = [ALARM, f"{ALARM}/acknowledge", f"{ALARM}/close"]
"""Tried in test_alarms.py, with that alarm open."""
TENANT_ONLY = ["/homes/{}/flags", "/homes/{}/costs", "/homes/{}/looked"]
FORMS = ["/homes/A-07/flags/x/objection", "/homes/A-07/costs/withdraw"]
TESTS = ["/homes/A-07/test/refuse", "/homes/A-07/test/agree"]
"""Posted to in test_gentle.py."""
STAFF_FORMS = ["/estate/homes/A-07/cases/x/steps", "/estate/devices/A-07-hp/service"]
CASE = "/estate/homes/A-07/cases/x"
EVENT_PAGES = ["/estate/events/x", "/estate/events/x/withdraw"]
"""Tried in tests/flex/test_event_pages.py, with events."""
AGGREGATOR = [f"/flex/v1/{name}" for name in ("dispatches", "availability", "transitions")]
AGGREGATOR += ["/flex/v1/dispatches/x"]
"""With a token; tried in tests/flex/test_rest.py."""
OWN, OTHERS, NOWHERE = "A-07", "B-07", "Z-99"


def _matches(rule: str, path: str) -> bool:
    return bool(re.fullmatch(re.sub(r"<[^>]+>", "[^/]+", rule), path))


def test_the_matrix_covers_every_route(world) -> None:
    tried = [*PUBLIC, *OPERATOR, *(path.format(OWN) for path in TENANT), "/sign-out"]
    tried += [*(path.format(OWN) for path in TENANT_ONLY), *FORMS, *STAFF_FORMS, CASE]
    tried += [*ALARM_PAGES, *AGGREGATOR, *EVENT_PAGES]
    tried += [*WISHES, *TESTS, "/estate/holds/make", "/estate/holds/lift"]
    for rule in world.app.url_map.iter_rules():
        if rule.endpoint != "static":
            assert any(_matches(rule.rule, path) for path in tried), f"{rule.rule} is not tried"


@pytest.mark.parametrize(("path", "status"), PUBLIC.items())
def test_public_addresses_open_to_everyone(world, path, status) -> None:
    assert world.client().get(path).status_code == status


@pytest.mark.parametrize("path", [*OPERATOR, *(path.format(OWN) for path in TENANT)])
def test_nothing_else_opens_without_a_sign_in(world, path) -> None:
    answer = world.client().get(path)
    assert answer.status_code == 302
    assert answer.location.startswith("/sign-in?next=")
    assert world.client().get(path, headers={LIVE_HEADER: "1"}).status_code == 401


@pytest.mark.parametrize("path", AGGREGATOR)
def test_a_sign_in_is_no_token(world, path) -> None:
    for name in (None, "olive", "tess"):
        assert world.client(name).get(path).status_code == 401


@pytest.mark.parametrize("path", OPERATOR)
def test_the_estate_is_for_operators(world, path) -> None:
    assert world.client("olive").get(path).status_code == 200
    refused = world.client("tess").get(path)
    assert refused.status_code == 403
    assert "You may not see this page" in refused.text


@pytest.mark.parametrize("path", TENANT)
def test_a_home_is_for_its_tenant_and_for_operators(world, path) -> None:
    assert world.client("tess").get(path.format(OWN)).status_code == 200
    assert world.client("bob").get(path.format(OTHERS)).status_code == 200
    assert world.client("olive").get(path.format(OWN)).status_code == 200
    refused = world.client("tess").get(path.format(OTHERS))
    assert refused.status_code == 403
    assert "°C" not in refused.text
    assert world.client("bob").get(path.format(OWN)).status_code == 403


@pytest.mark.parametrize("path", TENANT)
def test_a_tenant_cannot_tell_which_homes_exist(world, path) -> None:
    assert world.client("tess").get(path.format(NOWHERE)).status_code == 403


@pytest.mark.parametrize(
    "path",
    [
        *(path.format(NOWHERE) for path in TENANT),
        "/estate/blocks/Z",
        "/estate/homes/Z-99",
        "/estate/devices/none",
        "/nowhere",
    ],
)
def test_what_does_not_exist_says_so_to_operators(world, path) -> None:
    answer = world.client("olive").get(path)
    assert answer.status_code == 404
    assert "There is no such page" in answer.text


@pytest.mark.parametrize("path", [*OPERATOR, *(path.format(OWN) for path in TENANT), "/healthz"])
def test_pages_take_no_changes(world, path) -> None:
    client = world.client("olive")
    token = client.get("/estate").text.split('name="csrf_token" value="')[1].split('"')[0]
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        answer = client.open(path, method=method, data={"csrf_token": token})
        assert answer.status_code == 405
