"""The pages in a real Chromium: layout, console, no JavaScript, refreshing, accessibility.

``axe-core`` is fetched from npm into a cache outside the product (it is under the MPL);
set ``HEARTH_CACHE`` to say where.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from waitress.server import create_server

from ems.domain.people import ColdHomeEvidence, FlagKind, Verdict
from ems.domain.points import PointId
from ems.domain.readings import Reading
from ems.people.lifecycle import Finding, raise_flag

from .conftest import NOW

pytestmark = [pytest.mark.browser, pytest.mark.enable_socket]

FLAG = raise_flag(
    Finding(
        "A-07",
        FlagKind.COLD_HOME,
        "COLD_HOME/1",
        Verdict.COLD,
        ColdHomeEvidence(NOW - timedelta(days=7), NOW, 112.0, 112.0, 80.0, 14.0, 19.0, 16.5),
        {"threshold": "18 °C"},
    ),
    NOW,
)
CASE = f"/estate/homes/A-07/cases/{FLAG.id}"
AXE_VERSION = "4.10.3"
OPERATOR_PAGES = [
    "/estate",
    "/estate/blocks/A",
    "/estate/blocks/B",
    "/estate/homes/A-07",
    "/estate/devices",
    "/estate/devices/A-07-hp",
    "/estate/devices/A-battery",
    "/estate/holds",
    "/estate/worklist",
    "/estate/audit",
    CASE,
]
TENANT_PAGES = ["/homes/A-07", "/homes/A-07/past", "/homes/A-07/warmth", "/homes/A-07/heating"]
TENANT_PAGES += ["/homes/A-07/comfort", "/homes/A-07/comfort/schedule"]
TENANT_PAGES += ["/homes/A-07/flags", "/homes/A-07/costs", "/homes/A-07/looked"]
PAGES = [("olive", path) for path in OPERATOR_PAGES] + [("tess", path) for path in TENANT_PAGES]
WIDTHS = (1280, 390, 320)
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

Browse = Callable[..., webdriver.Chrome]


@pytest.fixture(scope="module")
def served(make_world) -> Iterator[tuple[object, str]]:
    """A full site behind a real server: the world and its address."""
    world = make_world()
    world.store.keep(FLAG, key=FLAG.id, subject=FLAG.dwelling_id, at=NOW)
    server = create_server(world.app, host="127.0.0.1", port=0, threads=4)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    yield world, f"http://127.0.0.1:{server.effective_port}"
    server.close()
    thread.join(timeout=10)


@pytest.fixture(scope="module")
def browsers(tmp_path_factory) -> Iterator[dict[bool, webdriver.Chrome]]:
    """One Chromium with JavaScript and one without."""
    made = {}
    for scripts in (True, False):
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium") or "/usr/bin/chromium"
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        for flag in [*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"]:
            options.add_argument(flag)
        if not scripts:
            options.add_experimental_option(
                "prefs", {"profile.managed_default_content_settings.javascript": 2}
            )
        driver = shutil.which("chromedriver") or "/usr/bin/chromedriver"
        made[scripts] = webdriver.Chrome(options=options, service=Service(driver))
    yield made
    for browser in made.values():
        browser.quit()


@pytest.fixture(scope="module")
def signed_in() -> dict[bool, str]:
    """Who is signed in to each browser."""
    return {}


@pytest.fixture
def browse(served, browsers, signed_in, passwords) -> Browse:
    """Sign in as someone and open a page at a width; fails unless its status is 200."""
    _, address = served

    def go(who: str, path: str, width: int = 1280, *, scripts: bool = True) -> webdriver.Chrome:
        browser = browsers[scripts]
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500},
        )
        browser.get_log("browser")
        if signed_in.get(scripts) == who:
            browser.get(f"{address}{path}")
        if signed_in.get(scripts) != who or "/sign-in" in browser.current_url:
            browser.delete_all_cookies()
            browser.get(f"{address}/sign-in")
            browser.find_element(By.ID, "name").send_keys(who)
            browser.find_element(By.ID, "password").send_keys(passwords[who])
            browser.find_element(By.CSS_SELECTOR, "main button").click()
            WebDriverWait(browser, 20).until(lambda b: "/sign-in" not in b.current_url)
            signed_in[scripts] = who
            browser.get_log("browser")
            browser.get(f"{address}{path}")
        status = browser.execute_script(
            "return performance.getEntriesByType('navigation')[0].responseStatus"
        )
        assert status == 200
        return browser

    return go


@pytest.mark.parametrize(("who", "path"), PAGES)
def test_pages_fit_every_width_and_the_console_stays_silent(browse, who, path) -> None:
    for width in WIDTHS:
        browser = browse(who, path, width)
        wide = browser.execute_script("return document.documentElement.scrollWidth")
        assert wide <= width, f"{path} scrolls sideways at {width} px"
        assert browser.get_log("browser") == []
        shown = browser.find_elements(By.CSS_SELECTOR, ".app-chart > svg")
        kind = "app-chart__narrow" if width <= 640 else "app-chart__wide"
        for drawing in shown:
            assert drawing.is_displayed() == (kind in drawing.get_attribute("class"))


@pytest.mark.parametrize(("who", "path"), PAGES)
def test_pages_work_without_javascript(browse, who, path) -> None:
    browser = browse(who, path, 390, scripts=False)
    assert browser.find_element(By.ID, "live-state").is_displayed() is False
    assert browser.find_element(By.TAG_NAME, "h1").is_displayed()
    for details in browser.find_elements(By.CSS_SELECTOR, "details.app-chart__data")[:1]:
        table = details.find_element(By.TAG_NAME, "table")
        assert not table.is_displayed()
        details.find_element(By.TAG_NAME, "summary").click()
        assert table.is_displayed()
    browser.find_element(By.CSS_SELECTOR, ".app-link-button").click()
    WebDriverWait(browser, 20).until(lambda b: b.current_url.endswith("/sign-in"))


def test_figures_refresh_by_themselves_and_an_open_table_stays_open(browse, served) -> None:
    world, _ = served
    browser = browse("tess", "/homes/A-07")
    before = browser.find_element(By.CSS_SELECTOR, '[data-live="room"]').text
    browser.find_element(By.CSS_SELECTOR, "#chart-room summary").click()
    browser.execute_script("window.sameDocument = true")
    world.clock.set(world.clock.now() + timedelta(seconds=30))
    room = PointId("A-07-room", "temperature_c")
    world.store.add_readings([Reading(room, world.clock.now(), 23.4)])
    WebDriverWait(browser, 30).until(
        lambda b: "23.4" in b.find_element(By.CSS_SELECTOR, '[data-live="room"]').text
    )
    assert "23.4" not in before
    assert browser.execute_script("return window.sameDocument") is True
    assert browser.find_element(By.CSS_SELECTOR, "#chart-room details").get_attribute("open")
    assert browser.get_log("browser") == []


def test_a_page_says_when_its_session_has_ended(browse, served) -> None:
    world, _ = served
    browser = browse("tess", "/homes/A-07/warmth")
    world.accounts.upsert_user("tess", "staple anvil lantern", "tenant", "A-07")
    WebDriverWait(browser, 30).until(
        lambda b: "signed out" in b.find_element(By.ID, "live-state").text
    )


def test_the_whole_way_in_can_be_gone_by_keyboard(browsers, signed_in, served, passwords) -> None:
    _, address = served
    browser = browsers[True]
    signed_in.clear()
    browser.get(f"{address}/healthz")
    browser.delete_all_cookies()
    browser.get(f"{address}/sign-in")

    def press(*keys: str) -> None:
        browser.switch_to.active_element.send_keys(*keys)

    browser.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    assert browser.switch_to.active_element.text == "Skip to main content"
    press(Keys.TAB)
    press(Keys.TAB)
    press("olive", Keys.TAB)
    press(passwords["olive"], Keys.ENTER)
    WebDriverWait(browser, 10).until(lambda b: b.current_url.endswith("/estate"))


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core, from the cache or from npm."""
    home = Path(os.environ.get("HEARTH_CACHE", Path(__file__).parents[2] / ".cache"))
    script = home / f"axe-core-{AXE_VERSION}" / "package" / "axe.min.js"
    if not script.exists():
        folder = script.parents[1]
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["npm", "pack", "--silent", f"axe-core@{AXE_VERSION}", "--pack-destination", folder],
            check=True,
            capture_output=True,
        )
        with tarfile.open(folder / f"axe-core-{AXE_VERSION}.tgz") as packed:
            packed.extractall(folder, filter="data")
    return script.read_text(encoding="utf-8")


@pytest.mark.parametrize(("who", "path"), [*PAGES, ("olive", "/estate/devices?kind=battery")])
def test_axe_finds_no_barrier(browse, axe, who, path) -> None:
    for width in (1280, 320):
        browser = browse(who, path, width)
        # the script is injected by the browser's debugger, which the page's policy does not bind
        browser.execute_cdp_cmd("Runtime.evaluate", {"expression": axe})
        found = browser.execute_async_script(
            "const done = arguments[0];"
            "axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa',"
            " 'best-practice']}).then(r => done(r.violations.map("
            "v => [v.id, v.nodes.slice(0, 3).map(n => n.html.slice(0, 160))])));"
        )
        assert found == [], f"{path} at {width} px"


def test_an_opened_case_has_no_barrier_and_fits(browse, axe) -> None:
    browser = browse("olive", CASE)
    browser.find_element(By.ID, "reason").send_keys("Calling about the cold room")
    browser.find_element(By.CSS_SELECTOR, "main button").click()
    WebDriverWait(browser, 20).until(lambda b: b.find_elements(By.ID, "decision"))
    for width in (1280, 320):
        browser = browse("olive", CASE, width)
        assert browser.find_element(By.ID, "decision").is_displayed()
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        browser.execute_cdp_cmd("Runtime.evaluate", {"expression": axe})
        found = browser.execute_async_script(
            "const done = arguments[0];"
            "axe.run().then(r => done(r.violations.map("
            "v => [v.id, v.nodes.slice(0, 3).map(n => n.html.slice(0, 160))])));"
        )
        assert found == [], f"{CASE} at {width} px"
