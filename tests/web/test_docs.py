"""Every page and every figure of the health probe is in the guides, and nothing that is gone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ems.store import accounts
from web import security

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def guides() -> str:
    return "\n".join(
        (DOCS / name).read_text()
        for name in ("guide-operators.md", "guide-tenants.md", "guide-aggregators.md")
    )


def documented(text: str) -> set[str]:
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `/")]
    return {path for cell in cells for path in re.findall(r"`(/[^`]*)`", cell)}


def test_every_route_is_documented_and_every_documented_route_exists(world, guides) -> None:
    routes = {rule.rule for rule in world.app.url_map.iter_rules() if rule.endpoint != "static"}
    assert routes == documented(guides)


def test_every_field_of_the_health_probe_is_documented(world, guides) -> None:
    named = set(re.findall(r"`([a-z_]+)`", guides))
    assert set(world.client().get("/healthz").json) <= named


def test_the_figures_in_the_guide_are_those_in_force(guides) -> None:
    assert f"After {accounts.FAILURES_ALLOWED} wrong passwords" in guides
    assert f"within {accounts.FAILURE_WINDOW_S / 60:.0f} minutes" in guides
    assert f"after {accounts.IDLE_S / 60:.0f} minutes without" in guides
    assert f"after {accounts.LONGEST_S / 3600:.0f} hours in any case" in guides
    assert f"({accounts.MIN_PASSWORD_LENGTH} characters or more)" in guides
    assert security.SIGN_IN_LIMIT == "30 per minute"
    assert "try 30 times a minute" in guides
