"""Numbers with a unit, times of day and names, as configuration files hold them.

Each number states the range in which it is believable; what lies outside it is mostly a
number in another unit, and the fault says so.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import PurePath
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic_core import CoreSchema, PydanticCustomError, core_schema

_LOCAL = ("localhost", "127.0.0.1", "::1")
FAULT = "hearth"
"""Type of the errors raised here; their context carries the remedy."""


def refuse(problem: str, remedy: str) -> PydanticCustomError:
    """Return an error with its own words and remedy for pydantic to collect."""
    return PydanticCustomError(FAULT, "{problem}", {"problem": problem, "remedy": remedy})


class Check:
    """A rule for one value, used as ``Annotated[type, rule]``."""

    def __call__(self, value: Any) -> Any:
        """Return the value in its domain type, or raise what `refuse` returns."""
        raise NotImplementedError

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        """Let pydantic call this rule and nothing else."""
        return core_schema.no_info_plain_validator_function(self)


@dataclass(frozen=True, slots=True)
class Between(Check):
    """Accepts numbers from ``low`` to ``high`` [``unit``], and zero where ``zero`` says so."""

    unit: str
    low: float
    high: float
    zero: bool = False

    def __call__(self, value: Any) -> float:
        """Return ``value``, or raise with a hint at the unit it may be in."""
        number = _number(value)
        if self.low <= number <= self.high or (self.zero and number == 0):
            return number
        zero = "0 or " if self.zero and self.low > 0 else ""
        span = f"{zero}{self.low:g} to {self.high:g} {self.unit}".rstrip()
        remedy = f"Give {span}."
        hint = _other_unit(number, self)
        raise refuse(f"this is outside {span}", f"{remedy} {hint}".rstrip())


_OTHER_UNITS: dict[str, tuple[tuple[str, Callable[[float], float]], ...]] = {
    "kW": (("watts", lambda v: v / 1000),),
    "kWh": (("watt-hours", lambda v: v / 1000),),
    "°C": (("kelvin", lambda v: v - 273.15), ("degrees Fahrenheit", lambda v: (v - 32) / 1.8)),
    "p/kWh": (("pounds per kWh", lambda v: v * 100),),
    "p/day": (("pounds per day", lambda v: v * 100),),
    "%": (("a share of one", lambda v: v * 100),),
    "min": (("seconds", lambda v: v / 60),),
    "s": (("milliseconds", lambda v: v / 1000),),
    "m²": (("square feet", lambda v: v * 0.0929),),
    "W/(K·m²)": (("watts per kelvin of the whole home", lambda v: v / 60),),
}


def _other_unit(value: float, bounds: Between) -> str:
    for name, convert in _OTHER_UNITS.get(bounds.unit, ()):
        converted = convert(value)
        if value > 0 and bounds.low <= converted <= bounds.high:
            return f"It looks like {name}: that would be {converted:.4g} {bounds.unit}."
    return ""


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        remedy = "Write the number alone, without quotes or unit."
        raise refuse("this must be a number", remedy)
    if not math.isfinite(value):
        raise refuse("this must be a finite number", "Write an ordinary number.")
    return float(value)


@dataclass(frozen=True, slots=True)
class Whole(Check):
    """Accepts whole numbers from ``low`` to ``high``."""

    what: str
    low: int
    high: int

    def __call__(self, value: Any) -> int:
        """Return ``value``, or raise."""
        in_range = isinstance(value, int) and self.low <= value <= self.high
        if isinstance(value, bool) or not isinstance(value, int) or not in_range:
            span = f"a whole number from {self.low} to {self.high}"
            raise refuse(f"{self.what} must be {span}", f"Give {span}.")
        return value


@dataclass(frozen=True, slots=True)
class Choice(Check):
    """Accepts one of ``allowed``."""

    allowed: tuple[str, ...]

    def __call__(self, value: Any) -> str:
        """Return ``value``, or raise with the allowed ones listed."""
        if not isinstance(value, str) or value not in self.allowed:
            listed = ", ".join(self.allowed)
            raise refuse("this value is not one of those allowed", f"Use one of: {listed}.")
        return value


@dataclass(frozen=True, slots=True)
class By(Check):
    """Accepts what ``read`` returns for a value as written."""

    read: Callable[[Any], Any]

    def __call__(self, value: Any) -> Any:
        """Return what the reader makes of ``value``."""
        return self.read(value)


@dataclass(frozen=True, slots=True)
class WebAddressOf(Check):
    """Accepts https addresses, and http ones of this machine; none with a password.

    ``what`` has such an address; ``instead`` says how it is trusted without a password.
    """

    what: str
    instead: str

    def __call__(self, value: Any) -> str:
        """Return ``value``, or raise."""
        remedy = "Write an https address; plain http only reaches this machine itself."
        if not isinstance(value, str) or not value.isprintable() or " " in value:
            raise refuse("this is not a web address", remedy)
        try:
            parts = urlsplit(value)
            host = parts.hostname
            _ = parts.port
        except ValueError:
            raise refuse("this is not a web address", remedy) from None
        if host is None or parts.scheme not in ("http", "https"):
            raise refuse("this is not a web address", remedy)
        if parts.scheme == "http" and host not in _LOCAL:
            raise refuse(f"{self.what} on another machine must use https", remedy)
        if parts.username or parts.password:
            remedy = f"Take name and password out; {self.instead}."
            raise refuse(f"the address of {self.what} holds no password", remedy)
        return value


def parse_time_of_day(value: Any) -> time:
    """Return the time of day that ``HH:MM`` means, or raise with a remedy."""
    match = re.fullmatch(r"([01][0-9]|2[0-3]):([0-5][0-9])", value) if _is_text(value) else None
    if match is None:
        remedy = 'Write hours and minutes, e.g. "06:30"; the last minute is "23:59".'
        raise refuse("this must be a time of day", remedy)
    return time(int(match[1]), int(match[2]))


def parse_instant(value: Any) -> datetime:
    """Return an aware instant in UTC from ISO 8601 text, or raise with a remedy."""
    remedy = "Write it in ISO 8601 with its offset, e.g. 2023-12-01T12:00:00Z."
    try:
        instant = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise refuse("this must be an instant", remedy) from None
    if instant.tzinfo is None:
        raise refuse("the instant has no time zone", remedy)
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise refuse("the instant is outside the calendar", remedy) from None


def parse_date(value: Any) -> date:
    """Return the calendar day that ``YYYY-MM-DD`` means, or raise with a remedy."""
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise refuse("this must be a date", "Write it as YYYY-MM-DD.") from None


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable()


def _identifier(value: Any) -> str:
    if not _is_text(value) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}", value):
        remedy = "Use up to 40 letters, digits, hyphens and underscores; quote it if all digits."
        raise refuse("this is not a usable id", remedy)
    return str(value)


def _label(value: Any) -> str:
    if not _is_text(value) or not 1 <= len(value.strip()) <= 80:
        raise refuse("this must be a short text", "Write 1 to 80 characters.")
    return str(value)


def _file(value: Any) -> PurePath:
    if not _is_text(value) or not value.strip():
        raise refuse("this must be a path", "Write a path relative to this file.")
    return PurePath(value)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise refuse("this must be a text", "Write at least one word.")
    return value


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise refuse("this must be true or false", "Write true or false, without quotes.")
    return value


TimeOfDay = Annotated[time, By(parse_time_of_day)]
Instant = Annotated[datetime, By(parse_instant)]
Day = Annotated[date, By(parse_date)]
Identifier = Annotated[str, By(_identifier)]
Label = Annotated[str, By(_label)]
FilePath = Annotated[PurePath, By(_file)]
ServiceAddress = Annotated[
    str, WebAddressOf("a weather service", "a key comes from HEARTH_WEATHER_KEY")
]
Truth = Annotated[bool, By(_truth)]
Text = Annotated[str, By(_text)]
UnitId = Annotated[int, Whole("a Modbus unit id", 1, 247)]
Port = Annotated[int, Whole("a port", 1, 65535)]
EpcBand = Annotated[str, Choice(("A", "B", "C", "D", "E", "F", "G"))]
PriceP = Annotated[float, Between("p/kWh", 1, 300, zero=True)]
StandingP = Annotated[float, Between("p/day", 1, 500, zero=True)]
PowerKw = Annotated[float, Between("kW", 0.1, 5000)]
EnergyKwh = Annotated[float, Between("kWh", 0.5, 20000)]
RoomC = Annotated[float, Between("°C", 10, 28)]
PollS = Annotated[float, Between("s", 1, 3600)]
Minutes = Annotated[float, Between("min", 1, 2880, zero=True)]
Percent = Annotated[float, Between("%", 1, 100, zero=True)]
