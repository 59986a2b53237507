"""Take the pictures of this folder from a running demonstration.

    python docs/images/take.py http://127.0.0.1:8080 operator:PASSWORD a-07:PASSWORD

The sign-ins are those that ``ems demo`` prints at its start. Needs Chromium and its
driver, and selenium (``pip install -e .[dev]``). A sign-in of a home with a flag, e.g.
``a-10:PASSWORD`` (``ems accounts add a-10 --role tenant --home A-10``), takes the
pictures of *My flags* and *Who looked*; take the operator's first.

Pictures of events need one: send it, wait until it runs, and add ``--event`` at the end;
then those alone are taken, of an event that runs and of the home of a tenant's sign-in.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

HERE = Path(__file__).parent
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PICTURES = {
    "operator": [
        ("overview-1280", "/estate", 1280),
        ("overview-390", "/estate", 390),
        ("block-1280", "/estate/blocks/B", 1280),
        ("home-1280", "/estate/homes/A-07", 1280),
        ("forecasts-1280", "/estate/blocks/A/forecasts", 1280),
        ("alarm-1280", "/estate/alarms/home_cold:A-10.1", 1280),
        ("worklist-1280", "/estate/worklist", 1280),
        ("case-1280", "/estate/worklist", 1280),
    ],
    "during an event": [
        ("events-1280", "/estate/events", 1280),
        ("events-390", "/estate/events", 390),
        ("event-1280", "/estate/events", 1280),
        ("event-390", "/estate/events", 390),
        ("comfort-event-1280", "/homes/{home}/comfort", 1280),
        ("comfort-event-390", "/homes/{home}/comfort", 390),
    ],
    "flagged": [
        ("my-flags-390", "/homes/{home}/flags", 390),
        ("who-looked-1280", "/homes/{home}/looked", 1280),
    ],
    "tenant": [
        ("tenant-390", "/homes/{home}", 390),
        ("tenant-1280", "/homes/{home}", 1280),
        ("tenant-heating-1280", "/homes/{home}/heating", 1280),
    ],
}
HEIGHT = 1500
FLAGGED = ("a-10", "a-11", "b-12")
"""Sign-ins of the homes that have a flag from the demonstration's start."""


def browser() -> webdriver.Chrome:
    """Return a fresh headless Chromium."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "/usr/bin/chromium"
    for flag in (*FLAGS, "--hide-scrollbars", f"--user-data-dir={tempfile.mkdtemp()}"):
        options.add_argument(flag)
    driver = shutil.which("chromedriver") or "/usr/bin/chromedriver"
    return webdriver.Chrome(options=options, service=Service(driver))


def open_first_case(found: webdriver.Chrome) -> None:
    """Open the first case of the worklist, with a reason."""
    found.find_element(By.CSS_SELECTOR, "main tbody a").click()
    found.find_element(By.ID, "reason").send_keys("Calling about the cold living room")
    found.find_element(By.CSS_SELECTOR, "main button").click()


def open_running_event(found: webdriver.Chrome) -> None:
    """Open the first event that runs."""
    found.find_element(By.XPATH, "//main//tr[contains(., 'Running')]//th/a").click()


def pictures_of(name: str, role: str, *, event: bool) -> list[tuple[str, str, int]]:
    """Return what to take for a sign-in: name, address and width."""
    if not event:
        return PICTURES[role]
    start = "/estate" if name == "operator" else "/homes"
    return [one for one in PICTURES["during an event"] if one[1].startswith(start)]


def take(address: str, name: str, secret: str, *, event: bool = False) -> None:
    """Sign in as ``name`` and take the pictures that its role can see."""
    found = browser()
    role = "operator" if name == "operator" else "flagged" if name in FLAGGED else "tenant"
    try:
        found.get(f"{address}/sign-in")
        found.find_element(By.ID, "name").send_keys(name)
        found.find_element(By.ID, "password").send_keys(secret)
        found.find_element(By.CSS_SELECTOR, "main button").click()
        WebDriverWait(found, 20).until(lambda b: "/sign-in" not in b.current_url)
        for picture, path, width in pictures_of(name, role, event=event):
            found.execute_cdp_cmd(
                "Emulation.setDeviceMetricsOverride",
                {"width": width, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": width < 500},
            )
            found.get(address + path.format(home=name.upper()))
            if picture.startswith("case"):
                open_first_case(found)
            if picture.startswith("event-"):
                open_running_event(found)
            found.save_screenshot(str(HERE / f"{picture}.png"))
            print(f"{picture}.png")
    finally:
        found.quit()


def main() -> None:
    """Take all pictures."""
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    event = sys.argv[-1] == "--event"
    for sign_in in sys.argv[2 : -1 if event else None]:
        take(sys.argv[1].rstrip("/"), *sign_in.split(":", 1), event=event)


if __name__ == "__main__":
    main()
