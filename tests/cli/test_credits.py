"""What tenants are owed for heating ahead, from the command line and on the pages' own sums."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from ems.cli import main
from ems.demo.start import anchor_clock
from ems.domain.credits import TenantCredit
from ems.settings import load_estate
from ems.store import open_store

CONFIG = Path(__file__).parents[2] / "config" / "demo" / "estate.yaml"
ESTATE = load_estate(CONFIG)
assert ESTATE.starts_at is not None
TODAY = ESTATE.starts_at.astimezone(ESTATE.zone).date()
YESTERDAY = TODAY - timedelta(days=1)


@pytest.fixture
def ems(tmp_path: Path):
    """Run ``ems credits`` on a store with two days of two homes."""
    anchor_clock(tmp_path, ESTATE.starts_at, 1.0)
    store = open_store(tmp_path / "store.sqlite")
    for home, day, kwh in (
        ("A-07", TODAY, 2.0),
        ("A-07", YESTERDAY, 1.0),
        ("A-01", TODAY, 4.0),
    ):
        record = TenantCredit(home, day.isoformat(), kwh, kwh * 0.04, ESTATE.starts_at, kwh * 0.16)
        store.keep(record, key=f"{home}/{day}", subject=home, at=ESTATE.starts_at)
    store.close()

    def run(*words: str, status: int = 0) -> str:
        where = ["--config", str(CONFIG), "--state", str(tmp_path)]
        result = CliRunner().invoke(main, ["credits", *words, *where])
        assert result.exit_code == status, result.output
        return result.output

    return run


def of_home(shown: str, name: str) -> list[str]:
    return next(line for line in shown.splitlines() if line.startswith(name)).split()[-3:]


def test_homes_whose_landlord_buys_are_listed_with_their_sum(ems) -> None:
    both_days = ("--from", YESTERDAY.isoformat(), "--to", TODAY.isoformat())
    shown = ems(*both_days)
    assert of_home(shown, "A-07") == ["3.0", "0.48", "0.12"]
    assert of_home(shown, "A-02") == ["0.0", "0.00", "0.00"]
    assert of_home(shown, "in sum") == ["7.0", "1.12", "0.28"]
    assert "B-01" not in shown  # pays its own supplier
    assert of_home(ems("--home", "A-07", "--from", str(TODAY)), "in sum") == ["2.0", "0.32", "0.08"]
    assert ems("--block", "B").startswith("No home here is credited")


def test_json_says_the_same_and_begins_with_the_month(ems) -> None:
    found = json.loads(ems("--home", "A-07", "--json"))
    assert found["from"] == TODAY.replace(day=1).isoformat()
    assert found["to"] == TODAY.isoformat()
    ahead = 3.0 if YESTERDAY.month == TODAY.month else 2.0
    only = {
        "home": "A-07",
        "ahead_kwh": ahead,
        "cost_gbp": ahead * 0.16,
        "credit_gbp": ahead * 0.04,
    }
    assert found["homes"] == [pytest.approx(only)]
    assert found["credit_gbp"] == pytest.approx(ahead * 0.04)


def test_wrong_days_and_homes_are_refused_with_a_remedy(ems) -> None:
    assert "Write it as 2023-12-31" in ems("--from", "yesterday", status=2)
    assert "Give a day up to" in ems("--from", "2023-12-02", "--to", "2023-12-01", status=2)
    assert "no such home or block" in ems("--home", "Z-99", status=2)
