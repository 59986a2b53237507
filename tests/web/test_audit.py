"""Who looked at a home's data: one row a view, refused views too, none for the own home."""

from __future__ import annotations

from datetime import timedelta

import pytest

from web.audit import CONTINUES_S, VIEWED, ViewLog
from web.security import LIVE_HEADER


def rows(world) -> list[tuple[str, str, str, bool]]:
    now = world.clock.now()
    found = world.store.log_entries(now - timedelta(days=1), now + timedelta(seconds=1), VIEWED)
    return [(e.subject, e.detail["by"], e.detail["page"], e.detail["refused"]) for e in found]


@pytest.fixture
def fresh(make_world):
    return make_world(filled=False)


@pytest.mark.parametrize(
    ("path", "row"),
    [
        ("/estate/homes/A-07", ("A-07", "olive", "operator.home", False)),
        ("/estate/devices/A-07-hp", ("A-07", "olive", "operator.device", False)),
        ("/estate/blocks/B", ("B", "olive", "operator.block", False)),
        ("/homes/B-07/warmth", ("B-07", "olive", "tenant.warmth", False)),
    ],
)
def test_each_view_by_staff_leaves_one_row(fresh, path, row) -> None:
    client = fresh.client("olive")
    client.get(path)
    assert rows(fresh) == [row]
    client.get(path)
    assert rows(fresh) == [row, row]


@pytest.mark.parametrize("path", ["/estate", "/estate/devices", "/estate/devices/A-meter"])
def test_pages_without_a_homes_data_leave_none(fresh, path) -> None:
    fresh.client("olive").get(path)
    assert rows(fresh) == []


def test_a_tenants_own_views_are_not_kept(fresh) -> None:
    fresh.client("tess").get("/homes/A-07")
    assert rows(fresh) == []


def test_a_refused_view_leaves_a_row_on_the_home_that_was_asked_for(fresh) -> None:
    client = fresh.client("tess")
    client.get("/homes/B-07")
    client.get("/estate/homes/B-07")
    client.get("/homes/Z-99")
    assert rows(fresh) == [
        ("B-07", "tess", "operator.home", True),
        ("B-07", "tess", "tenant.today", True),
    ]


def test_a_page_that_refreshes_itself_is_one_view(fresh) -> None:
    client = fresh.client("olive")
    client.get("/estate/homes/A-07")
    for _ in range(5):
        client.get("/estate/homes/A-07", headers={LIVE_HEADER: "1"})
    assert len(rows(fresh)) == 1


def test_a_refresh_without_a_view_before_it_leaves_a_row_of_its_own(fresh) -> None:
    fresh.client("olive").get("/estate/homes/A-07", headers={LIVE_HEADER: "1"})
    assert len(rows(fresh)) == 1


def test_a_page_left_open_leaves_a_row_from_time_to_time(fresh) -> None:
    wall = [0.0]
    views = ViewLog(lambda: wall[0])
    place = fresh.app.extensions["hearth"]
    user = next(user for user in fresh.accounts.users() if user.name == "olive")
    views.record(place, user, "A-07", "operator.home", refresh=False)
    for _ in range(int(3 * CONTINUES_S / 60)):
        wall[0] += 60
        views.record(place, user, "A-07", "operator.home", refresh=True)
    assert len(rows(fresh)) == 4
