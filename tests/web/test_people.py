"""Flags, cases, who looked, and what a tenant gives: from the worklist to the tenant's page."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ems.domain.people import Consent, Flag, FlagState
from ems.domain.points import PointId
from ems.domain.readings import Rollup
from ems.domain.time import HALF_HOUR
from ems.service.outages import outages
from ems.service.people import PeopleDesk
from web import worklist

from .conftest import NOW, OTHER_HOME, TENANT_HOME, token_in

COLD, SILENT = TENANT_HOME, OTHER_HOME


def week(device: str, value: float, point: str = "temperature_c") -> list[Rollup]:
    start = (NOW - timedelta(days=8)).replace(hour=0, minute=0)
    return [
        Rollup(PointId(device, point), start + HALF_HOUR * index, value, value, value, 1.0)
        for index in range(8 * 48)
    ]


@pytest.fixture(scope="module")
def people(make_world):
    """A site where one home was cold all week, one sensor was silent, and all others were warm."""
    world = make_world(filled=False)
    rows: list[Rollup] = []
    for home in world.estate.dwellings():
        rows += week(home.meter.device_id, 300.0, "power_w")
        if home.id != SILENT:
            rows += week(home.room_sensor_id, 16.4 if home.id == COLD else 20.0)
    world.store.add_rollups(rows)
    PeopleDesk(world.estate, world.store).run(NOW)
    return world


@pytest.fixture
def flag(people) -> Flag:
    (found,) = PeopleDesk(people.estate, people.store).flags(COLD)
    return found


def post(client, path: str, page: str, **data: str):
    return client.post(path, data={"csrf_token": token_in(client.get(page).text), **data})


def views(world, page: str) -> list[dict]:
    entries = world.store.log_entries(NOW - timedelta(days=1), NOW + timedelta(days=1), "viewed")
    return [dict(e.detail, subject=e.subject) for e in entries if e.detail["page"] == page]


def test_the_cold_home_and_the_silent_one_are_on_the_worklist_and_no_other(people) -> None:
    shown = people.client("olive").get("/estate/worklist").text
    assert "2 flags, the most pressing first" in shown
    assert "Below 18 °C for 112 of 112 hours measured by day in a week." in shown
    assert "It never reached 18 °C." in shown
    assert "Not enough data" in shown
    assert shown.index("Flat 7, Ash House") < shown.index("Flat 7, Birch House")
    assert {row["subject"] for row in views(people, "people.worklist")} == {COLD, SILENT}


def test_filters_narrow_the_worklist_and_say_when_nothing_fits(people) -> None:
    client = people.client("olive")
    assert "1 flag," in client.get("/estate/worklist?block=B").text
    assert "1 flag," in client.get("/estate/worklist?found=severe").text
    assert "No flag fits." in client.get("/estate/worklist?state=closed").text
    assert "No flag fits." in client.get("/estate/worklist?block=Z&found=nonsense").text


def test_an_estate_without_flags_says_so(empty_world) -> None:
    assert "There are no flags." in empty_world.client("olive").get("/estate/worklist").text


def test_a_case_asks_for_a_reason_and_shows_nothing_before(people, flag) -> None:
    client, path = people.client("olive"), f"/estate/homes/{COLD}/cases/{flag.id}"
    asked = client.get(path)
    assert asked.status_code == 200
    assert "Why do you open this case?" in asked.text
    assert "112" not in asked.text
    before = len(views(people, "people.case"))
    refused = post(client, path, path, reason="  x ")
    assert refused.status_code == 400
    assert "A reason is needed" in refused.text
    rows = views(people, "people.case")
    assert len(rows) == before + 1
    assert rows[0]["refused"]
    assert "Why do you open this case?" in client.get(path).text


def test_a_reason_opens_one_case_for_one_person_and_is_kept(people, flag) -> None:
    client, path = people.client("olive"), f"/estate/homes/{COLD}/cases/{flag.id}"
    opened = post(client, path, path, reason="Calling about the cold room")
    assert (opened.status_code, opened.location) == (303, path)
    shown = client.get(path).text
    assert "What the rule saw" in shown
    assert "The tenant gave no details." in shown
    newest = views(people, "people.case")[0]
    assert (newest["reason"], newest["refused"]) == ("Calling about the cold room", False)
    (other,) = PeopleDesk(people.estate, people.store).flags(SILENT)
    assert "Why do you open" in client.get(f"/estate/homes/{SILENT}/cases/{other.id}").text
    assert "Why do you open" in people.client("olive").get(path).text


def test_an_opened_case_closes_by_itself(people, flag, monkeypatch) -> None:
    client, path = people.client("olive"), f"/estate/homes/{COLD}/cases/{flag.id}"
    post(client, path, path, reason="Calling about the cold room")
    late = worklist.wall_s() + worklist.CASE_OPEN_S + 1
    monkeypatch.setattr(worklist, "wall_s", lambda: late)
    assert "Why do you open" in client.get(path).text


def test_a_case_under_another_home_does_not_exist(people, flag) -> None:
    client = people.client("olive")
    assert client.get(f"/estate/homes/A-08/cases/{flag.id}").status_code == 404
    assert client.get(f"/estate/homes/{COLD}/cases/none").status_code == 404


def test_no_step_in_a_case_that_was_not_opened(people, flag) -> None:
    client, path = people.client("olive"), f"/estate/homes/{COLD}/cases/{flag.id}"
    answer = post(client, f"{path}/steps", path, state="reviewed", reason="spoke to them")
    assert answer.status_code == 403
    assert PeopleDesk(people.estate, people.store).flag(flag.id) == flag


def test_each_step_needs_a_reason_and_the_tenant_reads_it(people, flag) -> None:
    client, path = people.client("olive"), f"/estate/homes/{COLD}/cases/{flag.id}"
    post(client, path, path, reason="Calling about the cold room")
    for data, words in (
        ({"state": "reviewed", "reason": ""}, "A reason is needed"),
        ({"state": "closed", "reason": "all is well"}, "cannot become closed"),
        ({"state": "nonsense", "reason": "all is well"}, "Choose what you decided"),
    ):
        refused = post(client, f"{path}/steps", path, **data)
        assert refused.status_code == 400
        assert words in refused.text
    done = post(client, f"{path}/steps", path, state="reviewed", reason="Spoke to them by phone")
    assert done.status_code == 303
    kept = PeopleDesk(people.estate, people.store).flag(flag.id)
    assert (kept.state, kept.steps[-1].by) == (FlagState.REVIEWED, "olive")
    told = people.client("tess").get(f"/homes/{COLD}/flags").text
    assert "Reviewed by olive: Spoke to them by phone" in told


def test_the_tenant_reads_why_and_can_say_that_it_is_wrong(people, flag) -> None:
    client, page = people.client("tess"), f"/homes/{COLD}/flags"
    shown = client.get(page).text
    assert "colder than 18 °C for 112 hours between 07:00 and 23:00" in shown
    assert "What happens next" in shown
    assert "COLD_HOME/1" in shown
    path = f"{page}/{flag.id}/objection"
    assert post(client, path, page, words=" ").status_code == 400
    assert post(client, path, page, words="I was away all week").status_code == 303
    assert "You said: I was away all week" in client.get(page).text
    worklist_page = people.client("olive").get("/estate/worklist").text
    assert "The tenant says that this is wrong." in worklist_page


def test_a_silent_sensor_is_told_as_not_knowing(people) -> None:
    shown = people.client("bob").get(f"/homes/{SILENT}/flags").text
    assert "its sensor gave no readings by day" in shown
    assert "we do not guess" in shown


def test_a_home_without_a_flag_says_so(empty_world) -> None:
    shown = empty_world.client("tess").get(f"/homes/{TENANT_HOME}/flags").text
    assert "There is no flag on your home." in shown


def test_the_tenant_sees_who_looked_and_why(people, flag) -> None:
    client, path = people.client("olive"), f"/estate/homes/{COLD}/cases/{flag.id}"
    post(client, path, path, reason="Calling about the radiators")
    client.get(path)
    client.get("/estate/blocks/A")
    people.client("bob").get(f"/homes/{COLD}")
    shown = people.client("tess").get(f"/homes/{COLD}/looked").text
    for words in ("olive (operator)", "Calling about the radiators", "Block&#39;s page", "Refused"):
        assert words in shown
    assert SILENT not in shown


def test_the_audit_can_be_narrowed(people, flag) -> None:
    client = people.client("olive")
    people.client("bob").get(f"/homes/{COLD}")
    refused = client.get("/estate/audit?refused=1&by=bob").text
    assert "bob (tenant)" in refused
    assert "olive (operator)" not in refused
    assert "No view fits." in client.get("/estate/audit?by=nobody").text
    client.get("/estate/homes/A-09")
    assert "A-09" in client.get("/estate/audit?home=a-09").text


GIVEN = {"income": "14,000", "housing_costs": "5200", "adults": "1", "children": "0"}


def test_what_a_tenant_gives_is_worked_out_shown_and_can_be_taken_back(people, flag) -> None:
    client, page = people.client("tess"), f"/homes/{COLD}/costs"
    assert "does not count homes in bands A to C" in client.get(page).text
    assert post(client, page, page, **GIVEN).status_code == 400
    desk = PeopleDesk(people.estate, people.store)
    assert desk.consent(COLD) is None
    assert post(client, page, page, agreed="yes", **GIVEN).status_code == 303
    consent = desk.consent(COLD)
    assert consent is not None and consent.holds
    assert (consent.given_by, consent.household.income_gbp) == ("tess", 14000.0)
    shown = client.get(page).text
    assert "£14,000" in shown
    assert "factor 0.58" in shown
    olive, path = people.client("olive"), f"/estate/homes/{COLD}/cases/{flag.id}"
    post(olive, path, path, reason="Checking help with costs")
    assert "£14,000" in olive.get(path).text
    assert post(client, f"{page}/withdraw", page).status_code == 303
    assert "£14,000" not in client.get(page).text
    assert "£14,000" not in olive.get(path).text
    kept = people.store.kept(Consent, f"{COLD}-energy_cost_help")
    assert kept is not None
    assert kept.record.household is None
    assert kept.record.withdrawn_at == people.clock.now()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("income", "plenty"),
        ("income", "-1"),
        ("income", "inf"),
        ("adults", "1.5"),
        ("adults", "nan"),
        ("children", "99"),
    ],
)
def test_figures_that_cannot_be_are_refused_and_nothing_is_kept(people, field, value) -> None:
    client, page = people.client("bob"), f"/homes/{SILENT}/costs"
    answer = post(client, page, page, agreed="yes", **(GIVEN | {field: value}))
    assert answer.status_code == 400
    assert "There is a problem" in answer.text
    assert PeopleDesk(people.estate, people.store).consent(SILENT) is None


def test_an_empty_form_gives_nothing(people) -> None:
    client, page = people.client("bob"), f"/homes/{SILENT}/costs"
    assert post(client, page, page, agreed="yes").status_code == 400
    assert PeopleDesk(people.estate, people.store).consent(SILENT) is None


def test_a_device_is_put_out_of_service_with_a_reason_and_back(make_world) -> None:
    world = make_world(without=frozenset({"A-07-room"}))
    client, page = world.client("olive"), "/estate/devices/A-07-room"
    assert world.client().get("/healthz").json["status"] == "degraded"
    assert post(client, f"{page}/service", page, to="out", reason="x").status_code == 400
    assert (
        post(client, f"{page}/service", page, to="out", reason="Battery ordered").location == page
    )
    health = world.client().get("/healthz").json
    assert (health["status"], health["devices_out_of_service"]) == ("ok", 1)
    assert health["devices_total"] == health["devices_online"] == len(world.estate.devices) - 1
    assert "Out of service" in client.get("/estate/devices?state=out").text
    assert "A-07-room</a> is out of service: Battery ordered" in client.get("/estate").text
    assert list(outages(world.store, NOW)) == ["A-07-room"]
    post(client, f"{page}/service", page, to="back")
    assert world.client().get("/healthz").json["status"] == "degraded"


TENANT_ALONE = ["/homes/{}/flags", "/homes/{}/costs", "/homes/{}/looked"]


@pytest.mark.parametrize("path", TENANT_ALONE)
def test_pages_for_the_tenant_alone_are_closed_to_everybody_else(people, path) -> None:
    assert people.client().get(path.format(COLD)).status_code == 302
    assert people.client("tess").get(path.format(COLD)).status_code == 200
    for who in ("bob", "olive"):
        before = len(views(people, f"mine.{path.rpartition('/')[2]}"))
        refused = people.client(who).get(path.format(COLD))
        assert refused.status_code == 403
        rows = views(people, f"mine.{path.rpartition('/')[2]}")
        assert len(rows) == before + 1
        assert (rows[0]["by"], rows[0]["refused"]) == (who, True)


def test_a_tenant_gets_into_no_case_and_the_attempt_is_on_record(people, flag) -> None:
    client, path = people.client("tess"), f"/estate/homes/{SILENT}/cases/{flag.id}"
    assert client.get(path).status_code == 403
    assert views(people, "people.case")[0]["by"] == "tess"


def test_staff_cannot_speak_for_a_tenant(people, flag) -> None:
    client = people.client("olive")
    for path in (
        f"/homes/{COLD}/costs",
        f"/homes/{COLD}/costs/withdraw",
        f"/homes/{COLD}/flags/{flag.id}/objection",
    ):
        assert post(client, path, "/estate", agreed="yes", **GIVEN).status_code == 403
    assert people.client("bob").get(f"/homes/{COLD}/flags").status_code == 403
