"""Weather from a service on the network: fetched beside the forecasts, never waited for long.

One request an hour at most, on a thread of its own: tries with growing pauses, time limits, a
limit to the answer's size, no redirects. The last answer is kept in the store, so that a
restart or a dead service leaves the last forecast standing, and everyone can see how old it
is. What it says is :mod:`forecasting.online`'s.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pandas as pd
import requests
import structlog
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from ems.domain.errors import HearthError, RetryableError
from ems.domain.forecasts import Forecast
from ems.domain.ports import Store
from ems.domain.weather import WeatherIssue
from forecasting.online import FIELDS, IssuedWeather, decode_answer

log = structlog.get_logger()

WEATHER_KEY = "HEARTH_WEATHER_KEY"
"""Environment variable with the key that some services ask for."""
PAST_DAYS, COMING_DAYS = 57, 4
"""Asked for: days seen, for what is learnt from them, and days ahead with today."""


@dataclass(frozen=True, slots=True)
class Fetching:
    """Limits of fetching; wall time but for ``every``.

    Attributes
    ----------
    every
        An issue younger than this is not asked for anew, estate time.
    wait_s
        How long a forecast waits for a fetch that is under way [s].
    connect_s, read_s, whole_s
        To connect, between two pieces of an answer, and for all of it [s].
    tries, pause_s
        Tries in all, and the first pause between them, doubled each time [s].
    most_bytes
        A longer answer is refused.
    """

    every: timedelta = timedelta(hours=1)
    wait_s: float = 10.0
    connect_s: float = 5.0
    read_s: float = 15.0
    whole_s: float = 60.0
    tries: int = 3
    pause_s: float = 1.0
    most_bytes: int = 2_000_000


class FetchError(RetryableError):
    """The weather service gave no usable answer; the words hold no key."""


def fetch(url: str, latitude: float, longitude: float, rules: Fetching) -> Any:
    """Return the JSON that the service answers.

    Raises
    ------
    FetchError
        Where it cannot be reached, refuses, answers too slowly or too long, or without JSON.
    """
    asked: dict[str, str] = {
        "latitude": f"{latitude:.4f}",
        "longitude": f"{longitude:.4f}",
        "hourly": ",".join(FIELDS.values()),
        "past_days": str(PAST_DAYS),
        "forecast_days": str(COMING_DAYS),
        "timeformat": "unixtime",
        "timezone": "GMT",
    }
    if os.environ.get(WEATHER_KEY):
        asked["apikey"] = os.environ[WEATHER_KEY]
    again = Retry(
        total=rules.tries - 1,
        backoff_factor=rules.pause_s,
        status_forcelist=(429, 500, 502, 503, 504),
        allowed_methods=("GET",),
        redirect=0,
        respect_retry_after_header=False,
        raise_on_status=False,
    )
    began = time.monotonic()
    with requests.Session() as session:
        session.mount("https://", HTTPAdapter(max_retries=again))
        session.mount("http://", HTTPAdapter(max_retries=again))
        try:
            with session.get(
                url,
                params=asked,
                timeout=(rules.connect_s, rules.read_s),
                allow_redirects=False,
                stream=True,
                headers={"Accept": "application/json"},
            ) as answer:
                if answer.status_code != requests.codes.ok:
                    raise _failed(f"it answered {answer.status_code} {answer.reason}", url)
                body = b""
                for piece in answer.iter_content(16_384):
                    body += piece
                    if len(body) > rules.most_bytes:
                        raise _failed(f"its answer is longer than {rules.most_bytes} bytes", url)
                    if time.monotonic() - began > rules.whole_s:
                        raise _failed(f"its answer took longer than {rules.whole_s:g} s", url)
        except requests.RequestException as error:
            raise _failed(_cause(error), url) from None  # its words hold the key
    try:
        return json.loads(body)
    except ValueError:
        raise _failed("its answer is no JSON", url) from None


def _cause(error: requests.RequestException) -> str:
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate cannot be trusted"
    if isinstance(error, requests.exceptions.Timeout):
        return "it did not answer in time"
    if isinstance(error, requests.exceptions.ConnectionError):
        return "it cannot be reached or hung up"
    return f"the request failed ({type(error).__name__})"


def _failed(problem: str, url: str) -> FetchError:
    return FetchError(
        f"no weather forecast came: {problem}",
        field="data.weather_url",
        value=urlsplit(url).hostname,
        remedy="It is tried again; look whether the address is right and the network is up.",
    )


class OnlineWeather:
    """The provider over a service on the network.

    Parameters
    ----------
    url
        The service's address, without our parameters.
    latitude, longitude
        Degrees north and east.
    subject
        Id that goes into the forecasts: the estate's.
    store
        Where the last answer is kept.
    rules
        Limits.
    """

    def __init__(
        self,
        url: str,
        latitude: float,
        longitude: float,
        *,
        subject: str,
        store: Store,
        rules: Fetching | None = None,
    ) -> None:
        self._url = url
        self._place = (latitude, longitude)
        self._subject = subject
        self._store = store
        self._rules = rules or Fetching()
        self._lock = threading.Lock()
        self._under_way: threading.Thread | None = None
        self._lost = False

    def issue(self, now: datetime, steps: int, step_s: int = 1800) -> Mapping[str, Forecast]:
        """Return forecasts from the last answer; asks anew first where it is due.

        Waits for an answer at most ``rules.wait_s``; one that comes later serves the next call.
        """
        last = self.last()
        if last is None or now - last.fetched_at >= self._rules.every or last.fetched_at > now:
            self._ask(now).join(self._rules.wait_s)
            last = self.last()
        return IssuedWeather(last, *self._place, self._subject).issue(now, steps, step_s)

    def observed(self, start: datetime, now: datetime) -> pd.DataFrame:
        """Return half-hours of [start, now) as the last answer gave those that had passed."""
        if self.last() is None:
            self._ask(now).join(self._rules.wait_s)
        return IssuedWeather(self.last(), *self._place, self._subject).observed(start, now)

    def last(self) -> WeatherIssue | None:
        """Return the last usable answer of this or an earlier process."""
        kept = self._store.kept(WeatherIssue, self._subject)
        return None if kept is None else kept.record

    def _ask(self, now: datetime) -> threading.Thread:
        """Return the request under way, or begin one; it holds up no end of the process."""
        with self._lock:
            if self._under_way is None or not self._under_way.is_alive():
                self._under_way = threading.Thread(
                    target=self._fetch, args=(now,), name="weather", daemon=True
                )
                self._under_way.start()
            return self._under_way

    def _fetch(self, now: datetime) -> None:
        """Ask, check and keep; a failure is logged once, and so is the recovery."""
        source = urlsplit(self._url).hostname or "?"
        try:
            answer = fetch(self._url, *self._place, self._rules)
            issue = decode_answer(answer, source, now)
            self._store.keep(issue, key=self._subject, subject=self._subject, at=now)
        except HearthError as error:
            if not self._lost:
                log.warning("weather_lost", source=source, problem=error.problem)
            self._lost = True
            return
        except Exception:  # a fault of ours: the last issue stands, forecasts go on
            log.exception("weather_failed", source=source)
            return
        if self._lost:
            log.info("weather_back", source=source)
        self._lost = False
