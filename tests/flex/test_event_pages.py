"""What operators see of events, in the pages and on the command line."""

from __future__ import annotations

import json
import re
import shutil
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from argon2 import PasswordHasher
from click.testing import CliRunner
from flask.testing import FlaskClient

from ems.cli import main
from ems.cli.events import length_of, power_w, start_at
from ems.demo.start import make_tokens
from ems.domain.errors import ConfigurationError, InvalidInputError
from ems.domain.time import AnchoredClock
from ems.flex.requests import RefusedError
from ems.service.events import EventDesk
from ems.service.tokens import bearer, hash_token
from ems.settings import load_estate
from ems.settings.clock import ManualClock, write_anchor
from ems.store.accounts import Accounts, Role
from web import create_app

from .conftest import BASE_W, DEMO, HEAT_W, NOW, START, half_hours, readings, request

PASSWORD = "correct horse battery"
LONDON = ZoneInfo("Europe/London")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
def clients(estate, store, tmp_path, clock) -> dict[str, FlaskClient]:
    """An operator and a tenant, signed in."""
    quick = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    accounts = Accounts(tmp_path / "accounts.sqlite", lambda: 1.7e9, quick)
    accounts.upsert_user("olive", PASSWORD, Role.OPERATOR)
    accounts.upsert_user("tess", PASSWORD, Role.TENANT, "A-07")
    app = create_app(estate, tmp_path, clock, store, accounts, secret_key="tests")
    found = {}
    for name in ("olive", "tess"):
        client = app.test_client()
        token = _token(client.get("/sign-in").text)
        data = {"csrf_token": token, "name": name, "password": PASSWORD}
        assert client.post("/sign-in", data=data).status_code == 302
        found[name] = client
    return found


def _token(page: str) -> str:
    match = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert match
    return match[1]


def test_an_event_is_followed_live_and_after(clients, estate, store, block, clock) -> None:
    def watts(at: datetime, device: str) -> float:
        if device.endswith("battery"):
            return 0.0
        return 500.0 if START <= at < START + timedelta(hours=2) else HEAT_W + BASE_W

    desk, olive = EventDesk(estate, store), clients["olive"]
    assert "No event is running or to come." in olive.get("/estate/events").text
    event = desk.submit(request(), NOW).event
    page = olive.get("/estate/events").text
    assert f"/estate/events/{event.id}" in page
    assert "Accepted" in page
    assert re.search(r"10\.0*\skW less", olive.get(f"/estate/events/{event.id}").text)

    store.add_rollups(half_hours(block, START - timedelta(days=30), START, watts))
    for minute in range(-1, 20):
        at = START + timedelta(minutes=minute)
        store.add_readings(readings(block, at))
        if minute == 0:
            desk.advance(at)
    clock.set(START + timedelta(minutes=19, seconds=30))
    page = olive.get(f"/estate/events/{event.id}").text
    for words in ("Running", "Reference", "Target", "Baseline", "Measured, by the minute"):
        assert words in page
    assert re.search(r'data-live="target">\s*10\.0*\skW', page)
    assert "20 homes" in page
    assert "measured from the meters two hours after its end" in page

    store.add_rollups(half_hours(block, START, START + timedelta(hours=5), watts))
    clock.set(START + timedelta(hours=5))
    desk.advance(clock.now())
    page = olive.get(f"/estate/events/{event.id}").text
    assert "10 of 10 days" in page
    assert re.search(r'data-live="delivered">\s*20\.0*\skWh', page)
    assert "Withdraw this event" not in page
    assert re.search(r"20\.0*\skWh", olive.get("/estate/events").text)


def test_an_operator_withdraws_with_a_form_of_this_page(clients, estate, store) -> None:
    desk, olive = EventDesk(estate, store), clients["olive"]
    event = desk.submit(request(), NOW).event
    address = f"/estate/events/{event.id}"
    assert olive.post(f"{address}/withdraw").status_code == 400
    assert desk.event(event.id).state == "accepted"
    token = _token(olive.get(address).text)
    answer = olive.post(f"{address}/withdraw", data={"csrf_token": token})
    assert answer.status_code == 302
    assert "withdrawn by operator before it ran" in olive.get(address).text
    nowhere = olive.post("/estate/events/x/withdraw", data={"csrf_token": token})
    assert nowhere.status_code == 404


def test_what_was_refused_is_listed_with_its_reason(clients, estate, store) -> None:
    desk, olive = EventDesk(estate, store), clients["olive"]
    assert "Refused" not in olive.get("/estate/events").text
    for asked in (request(10_000.0, source="<b>acme"), request(block="Z", source="other")):
        with pytest.raises(RefusedError):
            desk.submit(asked, NOW)
    page = olive.get("/estate/events").text
    _, table = page.split("Refused requests, latest first")
    rows = re.findall(r"<tr class=\"govuk-table__row\">.*?</tr>", table, re.DOTALL)
    assert len(rows) == 2
    assert 'data-label="Block">Z<' in rows[0] + rows[1]
    whole = next(row for row in rows if "acme" in row)
    assert re.search(r"10,?000\S*\skW less", whole)
    assert 'data-label="Block">Ash House<' in whole
    assert "This is more than the block&#39;s feeder" in whole
    assert "&lt;b&gt;acme" in whole
    for label in ("For", "Block", "Change", "Why", "Asked by"):
        assert f'data-label="{label}"' in whole
    assert "href" not in whole, "it is no event that could be opened"


def test_events_are_for_operators(clients, estate, store) -> None:
    event = EventDesk(estate, store).submit(request(), NOW).event
    for path in ("/estate/events", f"/estate/events/{event.id}"):
        assert clients["tess"].get(path).status_code == 403
    assert clients["olive"].get("/estate/events/nothing").status_code == 404


@pytest.fixture
def run(store, tmp_path):
    """The command line on this store, the clock standing (almost) still."""
    del store
    write_anchor(tmp_path, AnchoredClock(NOW, datetime.now(UTC).timestamp(), 1e-6))

    def invoke(*words: str):
        args = ["events", *words, "--config", str(DEMO), "--state", str(tmp_path)]
        return CliRunner().invoke(main, args)

    return invoke


SEND = ["send", "--block", "A", "--turn-down", "12kW", "--from", "17:00", "--for", "2h"]


def test_sent_listed_shown_and_withdrawn_by_command(run) -> None:
    answer = run(*SEND, "--key", "k1", "--json")
    assert answer.exit_code == 0, answer.output
    sent = json.loads(answer.output)
    assert (sent["accepted_kw"], sent["state"], sent["source"]) == (12.0, "accepted", "operator")
    assert sent["start"] == START.isoformat()
    assert "counted once" in run(*SEND, "--key", "k1").output
    assert sent["id"] in run("list").output
    assert len(json.loads(run("list", "--block", "B", "--json").output)) == 0
    assert "accepted as asked" in run("show", sent["id"]).output
    assert "cancelled" in run("withdraw", sent["id"]).output
    assert run("withdraw", sent["id"]).exit_code == 0, "twice is once"
    assert json.loads(run("show", sent["id"], "--json").output)["transitions"][-1]["cause"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({4: "-5kW"}, "--turn-down"),
        ({4: "10000kW"}, "feeder"),
        ({2: "Z"}, "no such block"),
        ({6: "later"}, "not a time"),
        ({6: "2023-12-01T17:00"}, "has passed"),
        ({8: "long"}, "not a length"),
    ],
)
def test_the_absurd_is_refused_on_the_command_line(run, changes, words) -> None:
    words_sent = [changes.get(index, word) for index, word in enumerate(SEND)]
    answer = run(*words_sent)
    assert answer.exit_code == 2
    assert words in answer.output
    listed = run("list").output
    # What could not even be read is no request; what was refused is listed with the reason.
    assert listed == "No events.\n" or ("refused" in listed and words in listed)
    assert "accepted" not in listed


def test_both_or_neither_direction_is_refused(run) -> None:
    assert run(*SEND, "--turn-up", "5kW").exit_code == 2
    assert run(*SEND[:3], *SEND[5:]).exit_code == 2


def test_tokens(run, estate, store) -> None:
    made = dict(line.split() for line in run("token").output.splitlines())
    assert hash_token(made["token"]) == made["token_hash"]
    assert bearer(estate, store, made["token"]) is None
    issued = dict(
        line.split() for line in run("token", "--aggregator", "example").output.splitlines()
    )
    found = bearer(estate, store, issued["token"])
    assert found is not None
    assert found.id == "example"
    assert run("token", "--aggregator", "nobody").exit_code == 2


def test_a_demonstration_prints_a_token_that_works_until_its_next_start(estate, store) -> None:
    ((who, name, first),) = make_tokens(estate, store, NOW)
    assert (who, name) == ("token of Example aggregator", "example")
    assert bearer(estate, store, first) is not None
    make_tokens(estate, store, NOW)
    assert bearer(estate, store, first) is None


def test_how_people_write_power_and_time() -> None:
    assert [power_w(text, "x") for text in ("20kW", "20", "500 W", "1.5KW")] == [
        20e3, 20e3, 500.0, 1500.0,
    ]  # fmt: skip
    assert length_of("1h30m") == length_of("90min") == length_of("1.5h") == timedelta(minutes=90)
    assert start_at("17:00", NOW, LONDON) == START
    assert start_at("15:00", NOW, LONDON) == START + timedelta(hours=22)
    assert start_at("2023-07-05T17:00", NOW, LONDON).hour == 16
    for text in ("", "h", "2 days"):
        with pytest.raises(InvalidInputError):
            length_of(text)


def test_the_configuration_of_aggregators_is_checked(tmp_path) -> None:
    shutil.copytree(DEMO.parents[1], tmp_path / "config")
    path = tmp_path / "config" / "demo" / "estate.yaml"
    text = path.read_text(encoding="utf-8")
    cases = {
        "blocks: [A, Z]": "there is no such block",
        "blocks: []": "has no block",
        "blocks: [A]\n    token_hash: hearth_secret": "not the hash of a token",
    }
    for replaced, words in cases.items():
        path.write_text(text.replace("blocks: [A, B]", replaced), encoding="utf-8")
        with pytest.raises(ConfigurationError, match=words):
            load_estate(path)
