"""Alarms on the operator's pages: counted, read, acknowledged, closed; never by a tenant."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ems.alarms.rules import Judged
from ems.domain.alarms import AlarmKind, AlarmState, Cause, Notice, NoticeState, Occasion
from ems.service.alarm_desk import AlarmDesk

from .conftest import NOW, World, WorldMaker, token_in

COLD = Cause(
    AlarmKind.HOME_COLD,
    "A-10",
    "The living room of A-10 is at 13.4 °C, under 16 °C.",
    "Call the home today.",
    ("A-10",),
    ("A-10-hp",),
)
PAGE = "/estate/alarms/home_cold:A-10.1"


@pytest.fixture
def site(make_world: WorldMaker) -> World:
    """A site with one open alarm whose mail failed."""
    world = make_world(filled=False)
    desk(world).settle(Judged((COLD,), frozenset({COLD.key})), NOW)
    notice = Notice(
        "home_cold:A-10.1",
        Occasion.OPENED,
        1,
        "email",
        ("duty_engineer",),
        NoticeState.FAILED,
        2,
        NOW,
        NOW + timedelta(minutes=2),
        "the mail server answered 554",
    )
    world.store.keep(notice, key=notice.key, subject=notice.alarm_id, at=NOW)
    return world


def desk(world: World) -> AlarmDesk:
    return AlarmDesk(world.store, world.estate.alarms)


def test_the_overview_counts_what_nobody_has_acknowledged(site):
    client = site.client("olive")
    assert "1 alarm that nobody has acknowledged" in client.get("/estate").text
    desk(site).acknowledge("home_cold:A-10.1", "olive", "", NOW)
    assert "nobody has acknowledged" not in client.get("/estate").text


def test_an_alarm_says_what_is_wrong_what_to_do_and_whom_it_reached(site):
    client = site.client("olive")
    listed = client.get("/estate/alarms").text
    assert "Home too cold: A-10" in listed
    page = client.get(PAGE).text
    for words in (COLD.what, COLD.remedy, "duty_engineer", "the mail server answered 554"):
        assert words in page
    assert "/estate/homes/A-10" in page


def test_a_person_acknowledges_by_form_and_is_named(site):
    client = site.client("olive")
    form = {"csrf_token": token_in(client.get(PAGE).text), "note": "Engineer at two"}
    answer = client.post(f"{PAGE}/acknowledge", data=form)
    assert answer.status_code == 303
    assert "by olive: Engineer at two" in client.get(answer.location).text
    alarm = desk(site).find("home_cold:A-10.1")
    assert (alarm.state, alarm.acknowledged_by) == (AlarmState.ACKNOWLEDGED, "olive")


def test_closing_needs_a_reason_and_then_stands_in_the_history(site):
    client = site.client("olive")
    token = token_in(client.get(PAGE).text)
    refused = client.post(f"{PAGE}/close", data={"csrf_token": token, "note": " "})
    assert refused.status_code == 400
    assert "closing an alarm needs a reason" in refused.text
    assert desk(site).open()
    form = {"csrf_token": token, "note": "Heaters <b>are</b> in place"}
    assert client.post(f"{PAGE}/close", data=form).status_code == 303
    page = client.get(PAGE).text
    assert "by olive: Heaters &lt;b&gt;are&lt;/b&gt; in place" in page
    assert "No alarm is open" in client.get("/estate/alarms").text
    again = client.post(f"{PAGE}/acknowledge", data={"csrf_token": token})
    assert again.status_code == 400
    assert "closed already" in again.text


@pytest.mark.parametrize("action", ["acknowledge", "close"])
def test_nobody_else_changes_an_alarm(site, action):
    address = f"{PAGE}/{action}"
    tenant = site.client("tess")
    token = token_in(tenant.get("/homes/A-07").text)
    assert tenant.post(address, data={"csrf_token": token, "note": "x"}).status_code == 403
    assert site.client("olive").post(address, data={"note": "x"}).status_code == 400
    stranger = site.client()
    token = token_in(stranger.get("/sign-in").text)
    assert stranger.post(address, data={"csrf_token": token, "note": "x"}).status_code == 302
    assert desk(site).find("home_cold:A-10.1").state is AlarmState.OPEN


def test_tenants_see_no_alarms_and_may_know_who_looked(site):
    assert site.client("tess").get(PAGE).status_code == 403
    assert site.client().get(PAGE).status_code == 302
    assert site.client("olive").get("/estate/alarms/home_cold:Z-99.1").status_code == 404
    site.client("olive").get(PAGE)
    viewed = site.store.log_entries(NOW, NOW + timedelta(seconds=1), "viewed")
    assert ("A-10", "olive") in {(entry.subject, entry.detail["by"]) for entry in viewed}
