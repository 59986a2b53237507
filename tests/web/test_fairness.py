"""The operator sees how events lay on all homes; a tenant sees a line about the own home."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ems.domain.fairness import EventBurden

from .conftest import NOW, OTHER_HOME, TENANT_HOME, World

ENDED = NOW - timedelta(days=3)
BURDENS = {TENANT_HOME: 3.21, "A-01": 1.1, "A-03": 0.0, OTHER_HOME: 7.77}


def read(world: World, who: str, path: str) -> str:
    """Return a page's text with ordinary spaces."""
    return world.client(who).get(path).text.replace("\xa0", " ")


def enter(world: World) -> None:
    """Two homes of block A bore an event, and one of block B another."""
    for home, burden in BURDENS.items():
        event = f"e-{home[0]}"
        share = 1.0 if home[0] == "B" else 1 / 3
        entry = EventBurden(
            event, home[0], home, ENDED - timedelta(hours=2), ENDED, burden, 1.5, share, -0.2, 1.25
        )
        key = f"{event}/{home}"
        world.store.keep(entry, key=key, subject=home, at=ENDED)


@pytest.fixture(scope="module")
def eventful(make_world) -> World:
    world: World = make_world()
    enter(world)
    return world


def test_the_operator_sees_each_home_against_its_share(eventful: World) -> None:
    page = read(eventful, "olive", "/estate/events/fairness")
    assert "Who bears the events" in page
    assert "3.2 K·h" in page
    assert "7.8 K·h" in page
    assert page.index("Flat 7") < page.index("Flat 3"), "highest above their share first"
    assert "100%" in page, "a home at more than twice its share is left alone next"
    assert page.count("<rect") >= 8


def test_without_events_the_page_says_so(empty_world: World) -> None:
    page = empty_world.client("olive").get("/estate/events/fairness").text
    assert "No event of the last 30 days has been entered yet" in page


def test_the_calendar_leads_there(eventful: World) -> None:
    assert "/estate/events/fairness" in eventful.client("olive").get("/estate/events").text


def test_a_tenant_sees_the_own_home_and_nobody_elses(eventful: World) -> None:
    page = read(eventful, "tess", f"/homes/{TENANT_HOME}/heating")
    assert "your home helped in 1 event" in page
    assert "3.2 K·h colder" in page
    assert "an equal share would be 1.4 K·h" in page
    assert "£1.25" in page
    assert "7.8 K·h" not in page
    assert "B-07" not in page
    assert eventful.client("tess").get("/estate/events/fairness").status_code in (302, 403, 404)
    assert eventful.client("tess").get(f"/homes/{OTHER_HOME}/heating").status_code in (403, 404)


def test_a_home_that_helped_in_nothing_reads_nothing_of_it(empty_world: World) -> None:
    page = empty_world.client("tess").get(f"/homes/{TENANT_HOME}/heating").text
    assert "Helping the grid" not in page
