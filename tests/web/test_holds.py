"""Operators hand back and hold events with a reason and a tick, and lift what is in force."""

from __future__ import annotations

import pytest

from ems.domain.holds import Hold, HoldKind

from .conftest import NOW, token_in

PAGE = "/estate/holds"
FORM = {"kind": "hand_back", "scope": "A-07", "reason": "engineer on site", "sure": "yes"}


@pytest.fixture
def fresh(make_world):
    return make_world(filled=False)


def post(client, path=f"{PAGE}/make", **fields):
    return client.post(path, data={"csrf_token": token_in(client.get(PAGE).text), **fields})


def test_a_hold_is_recorded_shown_everywhere_and_lifted(fresh) -> None:
    client = fresh.client("olive")
    assert post(client, **FORM).status_code == 303
    (hold,) = [kept.record for kept in fresh.store.all_kept(Hold)]
    assert (hold.kind, hold.scope, hold.by) == (HoldKind.HAND_BACK, "A-07", "olive")
    assert hold.since == NOW
    for path in (PAGE, "/estate/homes/A-07"):
        assert "engineer on site" in client.get(path).text
    assert "1 hold in force" in client.get("/estate").text
    tenant = fresh.client("tess").get("/homes/A-07/comfort").text
    assert "handed back to its own control" in tenant
    assert "engineer on site" not in tenant
    assert post(client, f"{PAGE}/lift", id=hold.id).status_code == 303
    (hold,) = [kept.record for kept in fresh.store.all_kept(Hold)]
    assert (hold.lifted_at, hold.lifted_by) == (NOW, "olive")
    assert "handed back" not in fresh.client("tess").get("/homes/A-07/comfort").text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sure": ""}, "not confirmed"),
        ({"reason": "  "}, "needs a reason"),
        ({"scope": "Z"}, "no such home or block"),
        ({"kind": "blow up"}, "no such hold"),
        ({"until": "2001-01-01T00:00"}, "later than now"),
        ({"until": "never"}, "no day and time"),
    ],
)
def test_a_hold_that_makes_no_sense_is_refused(fresh, changes, words) -> None:
    answer = post(fresh.client("olive"), **(FORM | changes))
    assert answer.status_code == 400
    assert words in answer.text.lower()
    assert fresh.store.all_kept(Hold) == []


def test_tenants_hold_nothing(fresh) -> None:
    client = fresh.client("tess")
    token = token_in(client.get("/homes/A-07/comfort").text)
    assert client.post(f"{PAGE}/make", data={"csrf_token": token, **FORM}).status_code == 403
    assert client.post(f"{PAGE}/lift", data={"csrf_token": token}).status_code == 403
