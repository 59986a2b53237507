"""An aggregator's signal on the running demonstration, as the world around it sees it.

Field, control, guard and web run as processes; the signal comes over HTTP, the tenant and
the operator sit at a browser, registers are read over Modbus. One frosty morning, sixty
times as fast as life, told in order: each test goes on where the one before it stopped.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

from drivers import open_bus
from ems.domain.estate import Actuator, Estate
from ems.domain.events import FlexEvent, Settlement, Transition
from ems.domain.points import PointId
from ems.domain.ports import Store
from ems.domain.setpoints import Cause, SetpointRecord
from ems.domain.time import HALF_HOUR, floor_to
from ems.domain.wishes import Asked
from ems.flex.settlement import PREHEAT
from ems.service.device_changes import changes_now
from ems.settings import load_estate
from ems.settings.clock import FileClock
from ems.store import open_store

from .running import PATIENCE_S, Demo, demonstration, ems, headless, register, sign_in, until

SPEED = 60
BEGINS = "2023-12-01T05:40:00Z"
"""It freezes, and homes are about to heat up for the morning."""
ASKED_KW = 15.0
LASTS = timedelta(hours=3)
"""Three minutes on the wall: people at browsers of a busy machine must come in between."""
SOON = timedelta(minutes=4)
"""Estate time that sending takes at most, else the next half-hour is asked for."""
PASSWORD = "warm enough for tests"
DISPATCHES = "/flex/v1/dispatches"
MOST_HOMES = 18
"""Of the twenty in a block; those that must be online before an event is asked for."""
POLITE_S = 1.0
"""Pause between two requests: an address may ask 120 times a minute."""


@dataclass
class Morning:
    """The running demonstration with an event on each block."""

    demo: Demo
    estate: Estate
    store: Store
    token: str
    sent: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: dict[str, str] = field(default_factory=dict)
    """Event's id by block."""

    def now(self) -> datetime:
        return FileClock(self.demo.state).now()

    def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        key: str = "",
        token: str | None = None,
    ) -> tuple[int, str, dict[str, Any]]:
        """Send a request; return status, media type and JSON."""
        headers = {"Authorization": f"Bearer {self.token if token is None else token}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if key:
            headers["Idempotency-Key"] = key
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310 - our own address
            self.demo.address + path, data, headers, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:  # noqa: S310 - our own address
                return reply.status, reply.headers.get_content_type(), json.load(reply)
        except urllib.error.HTTPError as error:
            return error.code, error.headers.get_content_type(), json.load(error)

    def shown(self, block: str) -> dict[str, Any]:
        """What the aggregator is told of a block's event."""
        return self.ask("GET", f"{DISPATCHES}/{self.events[block]}")[2]

    def event(self, block: str) -> FlexEvent:
        kept = self.store.kept(FlexEvent, self.events[block])
        assert kept is not None
        return kept.record

    def until_state(self, *states: str) -> None:
        until(lambda: all(self.event(block).state in states for block in self.events))

    def told(self, home: str, since: datetime) -> list[SetpointRecord]:
        """What a home's heat pump was told since then, oldest first."""
        records = self.store.setpoints([f"{home}-hp"], since, self.now())
        return list(reversed(records))

    def participant(self, block: str, *, without: str = "") -> str:
        """A home that takes part, whose room setpoint can be read at its heat pump."""
        alone = changes_now(self.store, self.now())
        for home in self.estate.block(block).dwellings:
            reads = home.heat_pump.actuator is Actuator.ROOM_SETPOINT
            takes_part = home.id in self.event(block).participants and home.id not in alone
            if reads and takes_part and home.id != without:
                return home.id
        raise AssertionError("no such home takes part")


def asked_for(block: str, start: datetime, **other: Any) -> dict[str, Any]:
    """An ordinary request: 15 kW less for some hours."""
    end = start + LASTS
    body = {"block": block, "direction": "down", "power_kw": ASKED_KW}
    return {**body, "start": start.isoformat(), "end": end.isoformat(), **other}


@pytest.fixture(scope="module")
def morning(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Morning]:
    """The demonstration at -1 °C; a turn-down was accepted for both blocks."""
    with demonstration(tmp_path_factory.mktemp("demo"), SPEED, BEGINS) as demo:
        token = ems(demo, "events", "token", "--aggregator", "example").split()[1]
        estate = load_estate(demo.config)
        with open_store(demo.state / "store.sqlite") as store:
            found = Morning(demo, estate, store, token)
            for block in ("A", "B"):
                send(found, block)
            yield found


def send(morning: Morning, block: str) -> None:
    """Ask until there is a plan, and for the next half-hour until it is early enough."""

    def accepted() -> bool:
        status, _, said = morning.ask("GET", f"/flex/v1/availability?block={block}")
        if status != 200 or said["homes"] < MOST_HOMES:
            return False
        start = floor_to(morning.now() + SOON) + HALF_HOUR
        body = asked_for(block, start)
        status, _, said = morning.ask("POST", DISPATCHES, body, key=f"{block} {start}")
        if status != 201:
            assert status in (409, 422, 503), said
            return False
        morning.sent[block], morning.events[block] = body, said["id"]
        return True

    until(accepted, 2 * PATIENCE_S, pause_s=POLITE_S)


@pytest.fixture(scope="module")
def operator(
    morning: Morning, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[webdriver.Chrome]:
    ems(morning.demo, "accounts", "add", "olive", "--role", "operator", password=PASSWORD)
    with headless(tmp_path_factory.mktemp("operator")) as browser:
        sign_in(browser, morning.demo, "olive", PASSWORD)
        yield browser


def live(browser: webdriver.Chrome, name: str) -> str:
    """What the page shows now in a part that refreshes itself."""
    script = "const e = document.querySelector(arguments[0]); return e ? e.innerText : ''"
    return str(browser.execute_script(script, f"[data-live={name}]"))


def test_an_event_is_accepted_and_on_the_calendar(
    morning: Morning, operator: webdriver.Chrome
) -> None:
    operator.get(f"{morning.demo.address}/estate/events")
    for block, event_id in morning.events.items():
        said = morning.shown(block)
        assert 1.0 <= said["accepted_kw"] <= ASKED_KW
        assert said["accepted_kw"] == ASKED_KW or said["reason"].startswith("trimmed from 15 ")
        calendar = operator.find_element(By.CSS_SELECTOR, "[data-live=calendar]")
        assert calendar.find_elements(By.CSS_SELECTOR, f"a[href$='/estate/events/{event_id}']")


def test_sent_twice_with_one_key_it_counts_once(morning: Morning) -> None:
    before = morning.ask("GET", DISPATCHES)[2]["dispatches"]
    for block, body in morning.sent.items():
        start = datetime.fromisoformat(body["start"])
        status, _, said = morning.ask("POST", DISPATCHES, body, key=f"{block} {start}")
        assert (status, said["id"]) == (200, morning.events[block])
    after = morning.ask("GET", DISPATCHES)[2]["dispatches"]
    assert [one["id"] for one in after] == [one["id"] for one in before]


def test_absurd_requests_are_refused_and_change_nothing(morning: Morning) -> None:
    def everything() -> tuple[list[str], list[tuple[str, str, float]], int]:
        listed = morning.ask("GET", DISPATCHES)[2]["dispatches"]
        kept = [kept.record for kept in morning.store.all_kept(FlexEvent)]
        return (
            [one["id"] for one in listed if one["state"] != "refused"],
            [(event.id, str(event.request.start), event.accepted_w) for event in kept],
            len(morning.store.all_kept(Asked)),
        )

    before = everything()
    start = floor_to(morning.now()) + timedelta(hours=3)
    absurd: list[tuple[dict[str, Any], str, Any, str]] = [
        ({"power_kw": -5}, "power_kw", -5.0, "above zero"),
        ({"power_kw": 10_000}, "power_kw", 10_000.0, "more than the block's feeder"),
        ({"block": "Z"}, "block", "Z", "no such block"),
        (asked_for("A", start - timedelta(days=1)), "start", None, "has passed"),
    ]
    for change, name, value, words in absurd:
        body = {**asked_for("A", start), **change}
        status, media, said = morning.ask("POST", DISPATCHES, body)
        assert (status, media) == (422, "application/problem+json"), said
        assert said["field"] == name
        assert value is None or said["value"] == value
        assert words in said["detail"]
        assert said["remedy"]
    status, media, said = morning.ask("POST", DISPATCHES, asked_for("A", start), token="guessed")
    assert (status, media) == (401, "application/problem+json")
    assert said["remedy"]
    assert everything() == before


def test_a_running_event_is_live_on_the_operators_page(
    morning: Morning, operator: webdriver.Chrome
) -> None:
    morning.until_state("running")
    event = morning.event("A")
    assert len(event.participants) >= MOST_HOMES // 2
    operator.get(f"{morning.demo.address}/estate/events/{event.id}")
    until(lambda: live(operator, "state").startswith("Running"))
    until(lambda: "kW" in live(operator, "target") and "kW" in live(operator, "actual"))
    chart = live(operator, "chart")
    for line in ("Reference", "Target", "Baseline", "Measured, by the minute"):
        assert line in chart
    first = live(operator, "actual")
    # The page moves by itself: nothing is loaded anew here.
    until(lambda: live(operator, "actual") != first)


def test_warmer_now_in_the_middle_of_an_event_beats_it(morning: Morning, tmp_path: Path) -> None:
    home = morning.participant("A")
    ems(
        morning.demo,
        "accounts",
        "add",
        "tess",
        "--role",
        "tenant",
        "--home",
        home,
        password=PASSWORD,
    )
    with headless(tmp_path) as browser:
        sign_in(browser, morning.demo, "tess", PASSWORD)
        browser.get(f"{morning.demo.address}/homes/{home}")
        browser.find_element(By.CSS_SELECTOR, "form[action$='/comfort/warmer'] button").click()
        until(lambda: "done=warmer" in browser.current_url)
    until(lambda: bool(morning.store.all_kept(Asked, subject=home)))
    (asked,) = [kept.record for kept in morning.store.all_kept(Asked, subject=home)]
    assert asked.since < morning.event("A").request.end
    until(
        lambda: any(one.setpoint.cause is Cause.RESIDENT for one in morning.told(home, asked.since))
    )
    first = next(
        one.setpoint
        for one in morning.told(home, asked.since)
        if one.setpoint.cause is Cause.RESIDENT
    )
    until(lambda: register(morning.demo, f"{home}-hp") == first.value)

    def control() -> datetime:
        return morning.store.heartbeats()["control"].at

    until(lambda: control() - first.issued_at > timedelta(minutes=5))
    # What repeats itself adds no row: nothing else was said since.
    assert [one.setpoint for one in morning.told(home, first.issued_at)] == [first]
    assert register(morning.demo, f"{home}-hp") == first.value


def test_leaving_the_event_ends_its_say_in_the_home(morning: Morning, tmp_path: Path) -> None:
    asked_before = [kept.record for kept in morning.store.all_kept(Asked)]
    (warmed,) = [one.dwelling_id for one in asked_before if one.by == "tess"]
    home = morning.participant("A", without=warmed)
    add = ["accounts", "add", "omar", "--role", "tenant", "--home", home]
    ems(morning.demo, *add, password=PASSWORD)
    with headless(tmp_path) as browser:
        sign_in(browser, morning.demo, "omar", PASSWORD)
        browser.get(f"{morning.demo.address}/homes/{home}/comfort")
        browser.find_element(By.CSS_SELECTOR, "#events ~ ul form button").click()
        until(lambda: "done=opt-out" in browser.current_url)
    until(lambda: bool(morning.store.all_kept(Asked, subject=home)))
    (asked,) = [kept.record for kept in morning.store.all_kept(Asked, subject=home)]
    assert asked.event == morning.events["A"]

    def told() -> list[Cause]:
        return [one.setpoint.cause for one in morning.told(home, asked.since)]

    until(lambda: Cause.RESIDENT in told())
    value = morning.told(home, asked.since)[-1].setpoint.value
    until(lambda: register(morning.demo, f"{home}-hp") == value)
    until(lambda: morning.store.heartbeats()["control"].at > asked.since + timedelta(minutes=5))
    assert morning.now() > morning.event("A").request.end or told()[-1] is Cause.RESIDENT


def imports(morning: Morning) -> dict[str, float]:
    """Each block's import now [W], read at its meter by a reader of its own."""

    async def read() -> dict[str, float]:
        bus = open_bus(morning.estate)
        try:
            points = [
                PointId(block.block_meter.device_id, "power_w") for block in morning.estate.blocks
            ]
            readings = await bus.look(points, datetime.now(UTC))
            return {one.point_id.device_id: one.value for one in readings}
        finally:
            await bus.close()

    return asyncio.run(read())


def test_control_is_killed_in_mid_event_and_homes_come_back_spread(morning: Morning) -> None:
    demo, store = morning.demo, morning.store
    assert all(morning.event(block).state in ("running", "recovering") for block in "AB")
    limits = {
        block.block_meter.device_id: block.limits.physical_import_w
        for block in morning.estate.blocks
    }
    assert store.latest(["A-07-hp"])[PointId("A-07-hp", "outdoor_temperature_c")].value < 4.0
    # What starts it anew is held, so that the guard alone is left.
    os.kill(demo.process.pid, signal.SIGSTOP)
    killed, killed_at = demo.pid("control"), morning.now()
    os.kill(killed, signal.SIGKILL)
    under = {one.point_id: one.expires_at for one in store.active_commands()}
    assert len(under) >= 40
    try:

        def all_back() -> bool:
            assert all(power <= limits[meter] for meter, power in imports(morning).items())
            return store.active_commands() == []

        until(all_back, pause_s=1.0)
    finally:
        os.kill(demo.process.pid, signal.SIGCONT)
    released = {
        one.setpoint.point_id: one.setpoint.issued_at
        for one in store.setpoints(None, killed_at, morning.now(), 10_000)
        if one.setpoint.cause is Cause.RELEASE
    }
    assert set(under) <= set(released)
    assert all(released[point] >= expires_at for point, expires_at in under.items())
    assert len(set(released.values())) >= 3, "not all at once"

    until(lambda: demo.pid("control") not in {killed, 0})
    until(lambda: store.heartbeats()["control"].at > max(released.values()))
    back_at = morning.now()

    def steered_or_over() -> bool:
        told = [one.setpoint for one in store.setpoints(None, back_at, morning.now(), 10_000)]
        helps = any(one.cause is Cause.EVENT for one in told)
        return helps or morning.event("B").state in ("recovering", "settled")

    until(steered_or_over)
    for meter, limit in limits.items():
        power = store.resampled([PointId(meter, "power_w")], killed_at, morning.now(), 60)
        assert float(power.max().iloc[0]) <= limit


@pytest.mark.long
def test_each_event_is_settled_once(morning: Morning) -> None:
    until(lambda: all(morning.event(block).state == "settled" for block in "AB"), 900.0)
    for block, event_id in morning.events.items():
        said = morning.shown(block)
        settlement = said["settlement"]
        # Three days of history: the oldest counts where its half-hours were all measured.
        needed_from = morning.event(block).request.start - PREHEAT
        oldest = needed_from.time() >= floor_to(datetime.fromisoformat(BEGINS)).time()
        assert settlement["baseline"]["days"] == (3 if oldest else 2)
        assert settlement["asked_kwh"] == pytest.approx(
            said["accepted_kw"] * LASTS / timedelta(hours=1)
        )
        assert 0.0 < settlement["delivered_kwh"] <= settlement["asked_kwh"]
        assert settlement["net_kwh"] is not None
        changes = [
            kept.record.after
            for kept in morning.store.all_kept(Transition, subject="example")
            if kept.record.event_id == event_id
        ]
        assert changes == ["accepted", "running", "recovering", "settled"]
        kept = morning.store.kept(Settlement, event_id)
        assert kept is not None
        assert kept.revision == 1
