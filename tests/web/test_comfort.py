"""What a tenant asks for on the page becomes a record, is shown, and can be undone."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from ems.domain.events import Direction, EventState, FlexEvent, FlexRequest
from ems.domain.wishes import ALL_EVENTS, Asked, Asking, DeviceChange, Finding

from .conftest import NOW, token_in

PAGE = "/homes/A-07/comfort"


@pytest.fixture
def fresh(make_world):
    """A site of its own: what is asked for in one test is not seen in the next."""
    return make_world(filled=False)


def post(client, path, **fields):
    token = token_in(client.get(path.rsplit("/", 1)[0]).text)
    return client.post(path, data={"csrf_token": token, **fields})


def text_of(client, path: str = PAGE) -> str:
    """A page's text with plain spaces."""
    return client.get(path).text.replace("\u00a0", " ")


def asked(world) -> list[Asked]:
    return [kept.record for kept in world.store.all_kept(Asked)]


def test_warmer_now_is_recorded_with_who_and_when_shown_and_taken_back(fresh) -> None:
    client = fresh.client("tess")
    answer = post(client, f"{PAGE}/warmer", hours="2", temperature="22.5")
    assert answer.status_code == 303
    (one,) = asked(fresh)
    assert (one.asking, one.temperature_c, one.by) == (Asking.WARMER, 22.5, "tess")
    assert (one.since, one.until) == (NOW, NOW + timedelta(hours=2))
    for path in (PAGE, "/homes/A-07"):
        page = text_of(client, path)
        assert "Living room at 22.5 °C" in page
        assert "From 15:42 until 17:42" in page
        assert "Asked for by you" in page
    assert "Asked for by tess" in fresh.client("olive").get("/estate/homes/A-07").text
    assert post(client, f"{PAGE}/undo", id=one.id).status_code == 303
    (one,) = asked(fresh)
    assert (one.ended_at, one.ended_by) == (NOW, "tess")
    assert "Taken back 15:42 by you" in text_of(client)


def test_away_is_until_a_local_day_and_time(fresh) -> None:
    client = fresh.client("tess")
    assert post(client, f"{PAGE}/away", until="2023-12-08T18:00").status_code == 303
    (one,) = asked(fresh)
    assert (one.asking, one.temperature_c) == (Asking.AWAY, 14.0)
    assert one.until == NOW.replace(day=8, hour=18, minute=0)
    assert "warming up from" in text_of(client)


def test_a_schedule_under_the_floor_is_warned_of_before_it_is_taken(fresh) -> None:
    client = fresh.client("tess")
    path = f"{PAGE}/schedule/save"
    rows = {"weekday_start": ["00:00", "06:30", ""], "weekday_temperature": ["16", "20,5", ""]}
    rows |= {"weekend_start": ["00:00"], "weekend_temperature": ["19"]}
    warned = post(client, path, **rows)
    assert warned.status_code == 400
    assert "can harm your health" in warned.text
    assert 'value="16"' in warned.text
    assert asked(fresh) == []
    assert post(client, path, **rows, below_floor="yes").status_code == 303
    page = text_of(client)
    assert re.search(r"from 00:00 16\.0 °C,\s*from 06:30 20\.5 °C", page)
    (one,) = asked(fresh)
    post(client, f"{PAGE}/undo", id=one.id)
    assert "16.0 °C," not in text_of(client).split("asked for before")[0]


def test_an_event_can_be_left_and_then_all_of_them(fresh) -> None:
    start = NOW + timedelta(hours=2)
    request = FlexRequest("A", Direction.DOWN, 2e4, start, start + timedelta(hours=1), "operator")
    event = FlexEvent("e-7", request, EventState.ACCEPTED, 2e4, "", NOW)
    fresh.store.keep(event, key="e-7", subject="A", at=NOW)
    client = fresh.client("tess")
    assert "17:42 to 18:42" in text_of(client)
    assert post(client, f"{PAGE}/opt-out", event="e-7").status_code == 303
    assert "Your home does not take part" in text_of(client)
    post(client, f"{PAGE}/opt-out", event=ALL_EVENTS)
    assert "Out of all demand events" in text_of(client)
    assert [one.event for one in asked(fresh)] == ["e-7", ALL_EVENTS]


@pytest.mark.parametrize(
    ("form", "fields", "words"),
    [
        ("warmer", {"hours": "48"}, "1 to 4 hours"),
        ("warmer", {"hours": "two"}, "no number"),
        ("warmer", {"hours": "2", "temperature": "nan"}, "from 18 to 25"),
        ("away", {"until": "soon"}, "no day and time"),
        ("away", {"until": "2001-01-01T00:00"}, "1 hour to 90 days"),
        ("opt-out", {"event": "e-99"}, "no such event"),
        ("undo", {"id": "nothing"}, "not in force"),
        (
            "schedule/save",
            {"weekday_start": "25:00", "weekday_temperature": "20"},
            "no time of day",
        ),
        ("schedule/save", {"weekday_start": "00:00", "weekday_temperature": "x"}, "no number"),
        ("schedule/save", {}, "start at 00:00"),
    ],
)
def test_what_makes_no_sense_is_refused_on_the_page(fresh, form, fields, words) -> None:
    answer = post(fresh.client("tess"), f"{PAGE}/{form}", **fields)
    assert answer.status_code == 400
    assert words in answer.text
    assert "There is a problem" in answer.text
    assert asked(fresh) == []


@pytest.mark.parametrize("form", ["warmer", "away", "opt-out", "undo", "schedule/save"])
def test_only_the_own_home_and_only_with_the_forms_token(fresh, form) -> None:
    fields = {"hours": "2", "until": "2023-12-08T18:00", "event": ALL_EVENTS}
    assert fresh.client("tess").post(f"{PAGE}/{form}", data=fields).status_code == 400
    neighbour = fresh.client("bob")
    token = token_in(neighbour.get("/homes/B-07/comfort").text)
    refused = neighbour.post(f"{PAGE}/{form}", data={"csrf_token": token, **fields})
    assert refused.status_code == 403
    assert asked(fresh) == []


def test_a_change_at_the_heat_pump_that_may_not_be_the_residents_is_shown(fresh) -> None:
    change = DeviceChange(
        "A-07",
        Finding.UNKNOWN,
        24.0,
        20.0,
        NOW,
        NOW + timedelta(minutes=30),
        "the heat pump was out of reach",
    )
    fresh.store.keep(change, key="A-07", subject="A-07", at=NOW)
    page = text_of(fresh.client("tess"))
    assert "shows 24.0 °C where we expect 20.0 °C" in page
    assert "the heat pump was out of reach. We leave it alone until 16:12" in page
