"""Signing in and out: forged forms fail, cookies are guarded, sessions end on the server."""

from __future__ import annotations

import pytest

from ems.store.accounts import IDLE_S
from web.security import LIVE_HEADER


def _token(page: str) -> str:
    return page.split('name="csrf_token" value="')[1].split('"', maxsplit=1)[0]


def _sign_in(client, name: str, password: str, **extra):
    page = client.get("/sign-in", **extra).text
    data = {"csrf_token": _token(page), "name": name, "password": password}
    return client.post("/sign-in", data=data, **extra)


def test_each_reader_is_led_to_the_own_pages(world, passwords) -> None:
    assert _sign_in(world.client(), "olive", passwords["olive"]).location == "/estate"
    assert _sign_in(world.client(), "tess", passwords["tess"]).location == "/homes/A-07"
    assert world.client("tess").get("/").location == "/homes/A-07"
    assert world.client().get("/").location == "/sign-in"


@pytest.mark.parametrize(("name", "password"), [("olive", "wrong"), ("nobody", "wrong")])
def test_a_failure_says_the_same_for_wrong_password_and_unknown_name(world, name, password) -> None:
    answer = _sign_in(world.client(), name, password)
    assert answer.status_code == 400
    assert "The name or the password is not right." in answer.text
    assert password not in answer.text


def test_an_empty_form_names_both_fields(world) -> None:
    answer = _sign_in(world.client(), "", "")
    assert answer.status_code == 400
    assert "Enter your name." in answer.text
    assert "Enter your password." in answer.text


def test_a_form_without_its_token_is_refused(world, passwords) -> None:
    client = world.client()
    client.get("/sign-in")
    answer = client.post("/sign-in", data={"name": "olive", "password": passwords["olive"]})
    assert answer.status_code == 400
    assert "expired" in answer.text
    assert client.get("/estate").status_code == 302


def test_signing_out_needs_the_token_and_a_post(world) -> None:
    client = world.client("olive")
    assert client.get("/sign-out").status_code == 405
    assert client.post("/sign-out").status_code == 400
    assert client.get("/estate").status_code == 200


def test_signing_out_ends_the_session_on_the_server_so_that_an_old_cookie_is_dead(world) -> None:
    client = world.client("olive")
    kept = client.get_cookie("hearth").value
    page = client.get("/estate").text
    assert client.post("/sign-out", data={"csrf_token": _token(page)}).location == "/sign-in"
    assert client.get("/estate").status_code == 302
    thief = world.client()
    thief.set_cookie("hearth", kept)
    assert thief.get("/estate").status_code == 302


def test_the_cookie_is_guarded_and_secure_over_https(world, passwords) -> None:
    plain = _sign_in(world.client(), "olive", passwords["olive"]).headers["Set-Cookie"]
    assert "HttpOnly" in plain
    assert "SameSite=Lax" in plain
    assert "Secure" not in plain
    extra = {"base_url": "https://localhost", "headers": {"Referer": "https://localhost/sign-in"}}
    answer = _sign_in(world.client(), "olive", passwords["olive"], **extra)
    assert answer.status_code == 302
    assert "Secure" in answer.headers["Set-Cookie"]
    assert "max-age" in answer.headers["Strict-Transport-Security"]


def test_a_new_session_begins_with_each_sign_in(world, passwords) -> None:
    client = world.client("olive")
    first = client.get_cookie("hearth").value
    page = client.get("/estate").text
    client.post("/sign-out", data={"csrf_token": _token(page)})
    _sign_in(client, "olive", passwords["olive"])
    assert client.get_cookie("hearth").value != first


@pytest.mark.parametrize(
    ("target", "lands"),
    [
        ("/estate/devices?state=offline", "/estate/devices?state=offline"),
        ("https://evil.example/", "/estate"),
        ("//evil.example/", "/estate"),
        ("/\\evil.example/", "/estate"),
        ("javascript:alert(1)", "/estate"),
    ],
)
def test_after_sign_in_one_lands_on_this_site_only(world, passwords, target, lands) -> None:
    answer = _sign_in(world.client(), "olive", passwords["olive"], query_string={"next": target})
    assert answer.status_code == 302
    assert answer.location == lands


def test_an_idle_session_asks_to_sign_in_again_and_comes_back(make_world) -> None:
    world = make_world(filled=False)
    client = world.client("olive")
    world.wall[0] += IDLE_S - 60
    assert client.get("/estate").status_code == 200
    world.wall[0] += IDLE_S + 60
    answer = client.get("/estate/devices")
    assert answer.status_code == 302
    assert answer.location == "/sign-in?next=/estate/devices"


def test_a_page_that_refreshes_itself_does_not_keep_a_session_alive(make_world) -> None:
    world = make_world(filled=False)
    client = world.client("olive")
    for _ in range(4):
        world.wall[0] += IDLE_S / 4 - 1
        assert client.get("/estate", headers={LIVE_HEADER: "1"}).status_code == 200
    world.wall[0] += 60
    assert client.get("/estate", headers={LIVE_HEADER: "1"}).status_code == 401


def test_signing_in_is_limited_by_address(make_world) -> None:
    world = make_world(filled=False, limited=True)
    client = world.client()
    answers = [_sign_in(client, f"guess{index}", "wrong").status_code for index in range(31)]
    assert answers[:30] == [400] * 30
    assert answers[30] == 429
