"""How figures and times read: units, rounding, local time. Missing reads "no data"."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

NO_DATA = "no data"
MINUS = "−"


def number(value: float | None, decimals: int = 1, unit: str = "") -> str:
    """Return a number with its unit, or "no data" for ``None`` and ``nan``."""
    if value is None or not math.isfinite(value):
        return NO_DATA
    rounded = round(value, decimals)
    words = f"{abs(rounded):,.{decimals}f}"
    sign = MINUS if rounded < 0 else ""
    joint = "" if unit in ("", "%") else "\N{NO-BREAK SPACE}"
    return f"{sign}{words}{joint}{unit}"


def power(value_w: float | None) -> str:
    """Return a power given in W, in W below 1 kW and in kW above."""
    if value_w is None or not math.isfinite(value_w):
        return NO_DATA
    if abs(value_w) < 999.5:
        return number(value_w, 0, "W")
    return number(value_w / 1000.0, 1 if abs(value_w) < 99_950 else 0, "kW")


def temperature(value_c: float | None) -> str:
    """Return a temperature [°C]."""
    return number(value_c, 1, "°C")


def energy(value_kwh: float | None) -> str:
    """Return an energy [kWh]."""
    return number(value_kwh, 1 if value_kwh is None or abs(value_kwh) < 100 else 0, "kWh")


def money(value_gbp: float | None) -> str:
    """Return an amount of money [£]."""
    if value_gbp is None or not math.isfinite(value_gbp):
        return NO_DATA
    sign = MINUS if round(value_gbp, 2) < 0 else ""
    return f"{sign}£{abs(value_gbp):,.2f}"


def pence(rate_gbp: float | None) -> str:
    """Return a rate given in £/kWh as pence."""
    if rate_gbp is None or not math.isfinite(rate_gbp):
        return NO_DATA
    return f"{number(rate_gbp * 100.0, 1)}p"


def duration(seconds: float | None) -> str:
    """Return how long something took or is ago, in the largest fitting unit."""
    if seconds is None:
        return "never"
    seconds = max(seconds, 0.0)
    for limit, divisor, unit in (
        (90.0, 1.0, "second"),
        (90 * 60.0, 60.0, "minute"),
        (48 * 3600.0, 3600.0, "hour"),
        (math.inf, 86400.0, "day"),
    ):
        if seconds < limit:
            count = round(seconds / divisor)
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return ""


def ago(seconds: float | None) -> str:
    """Return an age in words."""
    return "never" if seconds is None else f"{duration(seconds)} ago"


def clock_time(instant: datetime, zone: ZoneInfo) -> str:
    """Return the local time of day, e.g. "14:30"."""
    return instant.astimezone(zone).strftime("%H:%M")


def day_time(instant: datetime, zone: ZoneInfo) -> str:
    """Return weekday, day and time, e.g. "Tue 27 Dec, 14:30"."""
    return instant.astimezone(zone).strftime("%a %-d %b, %H:%M")


def full_time(instant: datetime, zone: ZoneInfo) -> str:
    """Return the full local date and time, e.g. "Tuesday 27 December 2022, 14:30"."""
    return instant.astimezone(zone).strftime("%A %-d %B %Y, %H:%M")


def near_time(instant: datetime, now: datetime, zone: ZoneInfo) -> str:
    """Return a time as people say it: "14:30", "tomorrow 06:00", else with its day."""
    local, today = instant.astimezone(zone), now.astimezone(zone).date()
    if local.date() == today:
        return f"{local:%H:%M}"
    if local.date() == today + timedelta(days=1):
        return f"tomorrow {local:%H:%M}"
    if local.date() == today - timedelta(days=1):
        return f"yesterday {local:%H:%M}"
    return local.strftime("%a %-d %b, %H:%M")
