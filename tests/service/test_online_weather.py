"""Weather from a service: a real server on this machine, well, slow, broken and gone."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from ems.domain.errors import HearthError
from ems.service.control import open_weather
from ems.service.health import health
from ems.service.online_weather import WEATHER_KEY, FetchError, Fetching, OnlineWeather, fetch
from ems.settings import load_estate
from ems.store import open_store

NOW = datetime(2026, 3, 10, 9, 20, tzinfo=UTC)
DEMO = Path(__file__).parents[2] / "config/demo/estate.yaml"
QUICK = Fetching(wait_s=60.0, connect_s=20.0, read_s=20.0, tries=3, pause_s=0.01)


def answer(now: datetime, past: int = 4, coming: int = 4) -> dict:
    """What such a service says at ``now``: warmer by day, sunny from eight to four."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    first = int((midnight - timedelta(days=past)).timestamp())
    times = [first + 3600 * n for n in range(24 * (past + coming))]
    hour = np.array(times) // 3600 % 24
    sun = np.maximum(np.sin((hour - 6.5) / 12 * np.pi), 0.0) * 400.0
    return {
        "latitude": 51.5,
        "hourly": {
            "time": times,
            "temperature_2m": np.round(6.0 + 4.0 * np.sin((hour - 9) / 12 * np.pi), 1).tolist(),
            "shortwave_radiation": np.round(sun).tolist(),
        },
    }


class Service:
    """A weather service on a port of its own; ``says`` are the answers to come, the last stays."""

    def __init__(self) -> None:
        self.says: list = [answer(NOW)]
        self.asked: list[dict[str, list[str]]] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                service.asked.append(parse_qs(urlsplit(self.path).query))
                said = service.says[0]
                if len(service.says) > 1:
                    service.says.pop(0)
                said(self) if callable(said) else self.give(200, json.dumps(said).encode())

            def give(self, status: int, body: bytes, **headers: str) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1/forecast?models=best"

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    yield made
    made.stop()


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "store.sqlite") as opened:
        yield opened


def provider(service: Service, store, rules: Fetching = QUICK) -> OnlineWeather:
    return OnlineWeather(service.url, 51.5, -0.1, subject="estate", store=store, rules=rules)


def status(code: int):
    """An answer with this status."""
    return lambda handler: handler.give(code, b"{}")


def test_a_forecast_comes_with_a_band_that_widens_and_names_its_source(service, store):
    made = provider(service, store).issue(NOW, 48)
    outdoor, sun = made["outdoor_c"], made["irradiance_w_m2"]
    assert outdoor.start == datetime(2026, 3, 10, 9, 0, tzinfo=UTC)
    assert outdoor.issued_at == NOW and outdoor.lacked == ()
    assert outdoor.model == "127.0.0.1, fetched 2026-03-10 09:20 UTC"
    assert outdoor.mean[12] == pytest.approx(10.0, abs=0.3), "warmest at three"
    width = outdoor.quantile(0.9) - outdoor.quantile(0.1)
    assert 0.5 < width[0] < width[20] < width[-1] < 6.0
    assert sun.mean[6] > 300 and sun.mean[30:38].max() == 0.0
    asked = service.asked[0]
    assert asked["latitude"] == ["51.5000"] and asked["models"] == ["best"]
    assert asked["hourly"] == ["temperature_2m,shortwave_radiation"]
    assert asked["timeformat"] == ["unixtime"] and "apikey" not in asked


def test_it_is_asked_once_an_hour_and_a_restart_uses_what_was_kept(service, store):
    weather = provider(service, store)
    for minutes in (0, 30, 59):
        weather.issue(NOW + timedelta(minutes=minutes), 48)
    assert len(service.asked) == 1
    again = provider(service, store)
    again.issue(NOW + timedelta(minutes=59), 48)
    assert len(service.asked) == 1
    again.issue(NOW + timedelta(minutes=60), 48)
    assert len(service.asked) == 2


def test_what_has_passed_is_observed_and_nothing_later(service, store):
    weather = provider(service, store)
    early = weather.observed(NOW - timedelta(days=20), NOW).loc[: NOW - timedelta(days=5)]
    assert early.isna().all().all(), "before what was answered nothing is known"
    seen = weather.observed(NOW - timedelta(days=2), NOW + timedelta(hours=6))
    assert len(seen) == 2 * 48 + 12
    known = seen.index < datetime(2026, 3, 10, 9, 0, tzinfo=UTC)
    assert seen[known].notna().all().all()
    assert seen[~known].isna().all().all(), "what was forecast for later is not observed"


def test_a_busy_service_is_tried_again_and_its_key_goes_along(service, store, monkeypatch):
    monkeypatch.setenv(WEATHER_KEY, "swordfish")
    service.says = [status(503), status(429), answer(NOW)]
    assert provider(service, store).issue(NOW, 48)["outdoor_c"].lacked == ()
    assert len(service.asked) == 3
    assert service.asked[2]["apikey"] == ["swordfish"]


def test_when_the_service_is_gone_the_last_issue_ages_in_sight_and_then_the_last_day_stands(
    service, store
):
    weather = provider(service, store)
    fresh = weather.issue(NOW, 48)["outdoor_c"]
    service.says = [status(500)]
    soon = weather.issue(NOW + timedelta(hours=2), 48)["outdoor_c"]
    assert soon.lacked == ()
    old = weather.issue(NOW + timedelta(hours=7), 48)["outdoor_c"]
    assert old.lacked == ("weather forecast: the last one is 7 hours old",)
    np.testing.assert_allclose(old.mean[:10], fresh.mean[14:24])
    width = old.quantile(0.9) - old.quantile(0.1)
    assert (width[:10] >= (fresh.quantile(0.9) - fresh.quantile(0.1))[14:24] - 1e-9).all()
    spent = weather.issue(NOW + timedelta(days=5), 48)
    assert spent["outdoor_c"].lacked == (
        "weather forecast: the last one is 5 days old",
        "weather forecast: none, the last day seen is repeated",
    )
    assert spent["outdoor_c"].model == "persistence"
    assert spent["outdoor_c"].mean.mean() == pytest.approx(6.0, abs=0.5)
    service.says = [answer(NOW + timedelta(days=5))]
    assert weather.issue(NOW + timedelta(days=5), 48)["outdoor_c"].lacked == ()


def test_without_any_answer_there_is_no_forecast_and_nothing_is_made_up(service, store):
    service.stop()
    weather = provider(service, store, replace(QUICK, tries=2))
    assert weather.issue(NOW, 48) == {}
    assert weather.last() is None


def test_a_forecast_never_waits_long_for_a_slow_service(service, store):
    """It goes on with what there is; the answer serves the next one."""
    let_go = threading.Event()

    def slow(handler) -> None:
        let_go.wait(120)
        handler.give(200, json.dumps(answer(NOW)).encode())

    service.says = [slow]
    weather = provider(service, store, replace(QUICK, wait_s=0.05, read_s=120.0))
    assert weather.issue(NOW, 48) == {}
    let_go.set()
    deadline = time.monotonic() + 90
    while weather.last() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert weather.issue(NOW + timedelta(minutes=30), 48)["outdoor_c"].lacked == ()


def endless(handler) -> None:
    """Send more than anyone should read."""
    handler.send_response(200)
    handler.end_headers()
    try:
        for _ in range(2000):
            handler.wfile.write(b" " * 65_536)
    except OSError:
        pass


def dripping(handler) -> None:
    """Send a byte at a time and never come to an end."""
    handler.send_response(200)
    handler.end_headers()
    try:
        for _ in range(3000):
            handler.wfile.write(b" " * 20_000)
            time.sleep(0.05)
    except OSError:
        pass


@pytest.mark.parametrize(
    ("says", "rules", "problem"),
    [
        (status(404), {}, "it answered 404"),
        (status(503), {}, "it answered 503"),
        (lambda h: h.give(302, b"", Location="http://127.0.0.1:9/"), {}, "it answered 302"),
        (lambda h: h.give(200, b"<html>"), {}, "its answer is no JSON"),
        (lambda h: h.connection.close(), {}, "cannot be reached or hung up"),
        (endless, {}, "its answer is longer than 2000000 bytes"),
        (dripping, {"whole_s": 0.3, "most_bytes": 10**9}, "its answer took longer than 0.3 s"),
    ],
)
def test_every_way_to_fail_is_one_error_with_its_cause_and_without_the_key(
    service, monkeypatch, says, rules, problem
):
    monkeypatch.setenv(WEATHER_KEY, "swordfish")
    service.says = [says]
    with pytest.raises(FetchError) as caught:
        fetch(service.url, 51.5, -0.1, replace(QUICK, **rules))
    assert problem in str(caught.value)
    assert "swordfish" not in str(caught.value) and "127.0.0.1" in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_service_of_nonsense_never_replaces_a_good_issue(service, store):
    weather = provider(service, store)
    weather.issue(NOW, 48)
    before = weather.last()
    hot = answer(NOW)
    hot["hourly"]["temperature_2m"] = [333.0] * len(hot["hourly"]["time"])
    short = answer(NOW, coming=1)
    uneven = answer(NOW)
    uneven["hourly"]["time"][5] += 60
    texts = answer(NOW)
    texts["hourly"]["time"] = [str(time) for time in texts["hourly"]["time"]]
    missing = answer(NOW)
    del missing["hourly"]["shortwave_radiation"]
    for number, said in enumerate(([], {"hourly": 3}, hot, short, uneven, texts, missing)):
        service.says = [said]
        weather.issue(NOW + timedelta(hours=2, minutes=number), 48)
    assert weather.last() == before
    assert len(service.asked) == 8


def test_an_estate_that_names_a_service_is_given_one(service, store):
    demo = load_estate(DEMO)
    none = replace(demo, sources=replace(demo.sources, weather=None, weather_url=service.url))
    assert set(open_weather(none, store).issue(NOW, 48)) == {"outdoor_c", "irradiance_w_m2"}
    neither = replace(demo, sources=replace(demo.sources, weather=None))
    with pytest.raises(HearthError, match="Name a weather file or a weather service"):
        open_weather(neither)


def test_health_shows_the_age_and_complains_of_an_old_one(service, store):
    demo = load_estate(DEMO)
    estate = replace(demo, sources=replace(demo.sources, weather_url=service.url))
    weather = OnlineWeather(service.url, 51.5, -0.1, subject=estate.id, store=store, rules=QUICK)
    assert "no weather forecast has come yet" in health(estate, store, NOW).problems
    weather.issue(NOW, 48)
    young = health(estate, store, NOW + timedelta(hours=2))
    assert young.as_dict()["weather_age_s"] == 7200.0
    assert not any("weather" in problem for problem in young.problems)
    old = health(estate, store, NOW + timedelta(hours=9))
    assert "the weather forecast is 9 hours old" in old.problems
    assert health(demo, store, NOW).weather_age_s is None, "a file has no age"


def test_the_error_is_one_of_ours(service):
    service.stop()
    with pytest.raises(HearthError, match=r"data\.weather_url: no weather forecast came"):
        fetch(service.url, 51.5, -0.1, replace(QUICK, tries=1))
