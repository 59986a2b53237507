"""Every page keeps to a strict Content-Security-Policy and loads nothing from elsewhere."""

from __future__ import annotations

import re

import pytest

ANSWERS = [
    (None, "/sign-in"),
    (None, "/healthz"),
    (None, "/estate"),
    (None, "/static/hearth.css"),
    ("olive", "/estate"),
    ("olive", "/estate/blocks/A"),
    ("olive", "/estate/homes/A-07"),
    ("olive", "/estate/devices"),
    ("olive", "/estate/devices/A-battery"),
    ("olive", "/nowhere"),
    ("tess", "/homes/A-07"),
    ("tess", "/homes/A-07/past"),
    ("tess", "/homes/A-07/warmth"),
    ("tess", "/homes/A-07/heating"),
    ("tess", "/estate"),
]


@pytest.mark.parametrize(("who", "path"), ANSWERS)
def test_every_answer_is_guarded(world, who, path) -> None:
    headers = world.client(who).get(path).headers
    policy = dict(
        part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize(("who", "path"), [pair for pair in ANSWERS if pair[0]])
def test_pages_are_not_kept_by_caches(world, who, path) -> None:
    assert world.client(who).get(path).headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(("who", "path"), [pair for pair in ANSWERS if "static" not in pair[1]])
def test_no_page_holds_anything_inline_or_from_elsewhere(world, who, path) -> None:
    page = world.client(who).get(path).text
    assert not re.search(r"<[^>]+\sstyle\s*=", page)
    assert not re.search(r"<[^>]+\son[a-z]+\s*=", page)
    assert not re.search(r"<style|<script(?![^>]*\ssrc=)", page)
    assert not re.search(r'(src|href|action)="(?!/|#|\?)', page)
    assert not re.search(r'(src|href|action)="//', page)


def test_styles_load_nothing_and_hold_no_crown_or_typeface_of_government(world) -> None:
    client = world.client()
    for name in ("hearth.css", "vendor/govuk-frontend/govuk-frontend.min.css"):
        styles = client.get(f"/static/{name}").text
        assert not re.search(r"url\((?!\"?data:)", styles)
        assert "@import" not in styles
        assert "font-face" not in styles
        assert not re.search(r"font-family:[^;}]*GDS", styles)
