"""Pages show true values of the store, in plain words."""

from __future__ import annotations

import pytest

PAGES = [
    ("olive", "/estate"),
    ("olive", "/estate/blocks/A"),
    ("olive", "/estate/blocks/B"),
    ("olive", "/estate/homes/A-07"),
    ("olive", "/estate/alarms"),
    ("olive", "/estate/devices"),
    ("olive", "/estate/devices/A-07-meter"),
    ("olive", "/estate/devices/B-battery"),
    ("olive", "/estate/worklist"),
    ("olive", "/estate/audit"),
    ("tess", "/homes/A-07/flags"),
    ("tess", "/homes/A-07/costs"),
    ("tess", "/homes/A-07/looked"),
    ("tess", "/homes/A-07"),
    ("tess", "/homes/A-07/past"),
    ("tess", "/homes/A-07/warmth"),
    ("tess", "/homes/A-07/heating"),
    ("tess", "/homes/A-07/comfort"),
    ("tess", "/homes/A-07/comfort/schedule"),
    ("olive", "/estate/holds"),
]


@pytest.mark.parametrize(("who", "path"), PAGES)
def test_every_page_opens_with_a_full_store(world, who, path) -> None:
    answer = world.client(who).get(path)
    assert answer.status_code == 200


@pytest.mark.parametrize(("who", "path"), PAGES)
def test_every_page_opens_with_an_empty_store(empty_world, who, path) -> None:
    answer = empty_world.client(who).get(path)
    assert answer.status_code == 200
