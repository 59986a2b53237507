"""A resident reads of a gentle test beforehand and says no with one press."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from ems.domain.gentle import GentleTest, TestState

from .conftest import NOW, token_in

MIDNIGHT = NOW.replace(hour=0, minute=0) + timedelta(days=1)
TEST = GentleTest(
    "A-07.2023-12-06",
    "A-07",
    TestState.ANNOUNCED,
    MIDNIGHT,
    MIDNIGHT + timedelta(hours=5),
    19.0,
    NOW,
)
PAGE = "/homes/A-07/comfort"


@pytest.fixture
def fresh(make_world):
    return make_world(filled=False)


def keep(world, test: GentleTest) -> None:
    world.store.keep(test, key=test.id, subject=test.dwelling_id, at=test.start)


def post(client, answer: str, home: str = "A-07"):
    token = token_in(client.get(PAGE).text)
    return client.post(f"/homes/{home}/test/{answer}", data={"csrf_token": token})


def kept(world) -> GentleTest:
    (one,) = [found.record for found in world.store.all_kept(GentleTest)]
    return one


def test_it_is_told_beforehand_and_refused_with_one_press(fresh) -> None:
    tess = fresh.client("tess")
    assert "gentle test" not in tess.get(PAGE).text.lower()
    keep(fresh, TEST)
    assert "your heating rests a little, once" in tess.get("/homes/A-07").text
    page = tess.get(PAGE).text
    assert "to about 19.0" in page and "No, thank you" in page
    assert post(tess, "refuse").status_code == 303
    assert kept(fresh).state is TestState.REFUSED
    assert kept(fresh).answered_by == "tess"
    assert "You said no." in tess.get(PAGE).text
    assert "gentle test" not in tess.get("/homes/A-07").text.lower()
    assert post(tess, "refuse").status_code == 409


def test_a_home_with_a_marker_says_yes_or_nothing(fresh) -> None:
    keep(fresh, replace(TEST, state=TestState.ASKED))
    tess = fresh.client("tess")
    page = tess.get(PAGE).text
    assert "Without your yes nothing happens" in page and "Yes, you may" in page
    assert post(tess, "agree").status_code == 303
    assert kept(fresh).state is TestState.ANNOUNCED


def test_what_was_learnt_is_on_the_page_and_on_the_operators_list(fresh) -> None:
    learnt = "We learnt that your home cools by 0.7 degrees in 5 hours while the heating rests."
    keep(fresh, replace(TEST, state=TestState.DONE, result=learnt))
    assert learnt in fresh.client("tess").get(PAGE).text
    listed = fresh.client("olive").get("/estate/tests").text
    assert learnt in listed and "A-07" in listed and "switched off" in listed


def test_nobody_answers_for_another_home(fresh) -> None:
    keep(fresh, TEST)
    assert post(fresh.client("tess"), "refuse", home="B-07").status_code in (403, 404)
    assert fresh.client("tess").get("/estate/tests").status_code in (403, 404)
    assert kept(fresh).state is TestState.ANNOUNCED
