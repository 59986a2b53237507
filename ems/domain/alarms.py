"""Alarms: what is wrong, whom it touches, what to do, and who has seen to it.

A *cause* is a condition as it is seen now. An *alarm* is one stretch of a cause, from the
first sight of it until it has been gone for a stated time. Homes are named by their ids;
nothing here knows a tenant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class AlarmKind(StrEnum):
    """What can be wrong."""

    HOME_COLD = "home_cold"
    """A home is under the alarm temperature, or cools although it calls for heat."""
    DEVICE_LOST = "device_lost"
    """One device does not answer."""
    GATEWAY_LOST = "gateway_lost"
    """Nothing behind a gateway answers."""
    NO_PLAN = "no_plan"
    """A block has no plan that is fresh enough to follow."""
    LIMIT_EXCEEDED = "limit_exceeded"
    """A block draws more than its feeder is rated for."""
    GUARD_ACTED = "guard_acted"
    """The guard handed devices back although control was alive."""
    STORE_TROUBLE = "store_trouble"
    """The store cannot be written, or its disk is nearly full."""
    PROCESS_SILENT = "process_silent"
    """A process has given no sign of life."""
    FORECAST_DRIFT = "forecast_drift"
    """Forecasts were worse than last week's values for two weeks."""
    FORECAST_COVERAGE = "forecast_coverage"
    """What came lay outside the forecasts' range too often for two weeks."""
    ROOM_SENSOR = "room_sensor"
    """A room sensor stands still, or reads other than it used to."""
    HEAT_PUMP_WEAK = "heat_pump_weak"
    """A heat pump gives less than it did while its room is short of heat."""
    HEAT_LOST = "heat_lost"
    """A home loses more heat than it did: open windows, or something broken."""


class AlarmState(StrEnum):
    """Where an alarm stands."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    """Open, and a person has said that they know."""
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that is wrong now.

    Attributes
    ----------
    kind, subject
        What is wrong with which home, device, gateway, block or process.
    what, remedy
        One plain sentence each: what is seen, and what to do about it.
    homes, devices
        Ids of the homes it touches and of the devices it is about.
    """

    kind: AlarmKind
    subject: str
    what: str
    remedy: str
    homes: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """What makes two sightings the same cause."""
        return cause_key(self.kind, self.subject)


def cause_key(kind: AlarmKind, subject: str) -> str:
    """Return the key of a cause, e.g. ``home_cold:A-10``."""
    return f"{kind.value}:{subject}"


@dataclass(frozen=True, slots=True)
class Alarm:
    """One stretch of a cause.

    Attributes
    ----------
    id
        The cause's key and the number of this stretch, e.g. ``home_cold:A-10.1``.
    number
        Which stretch of its cause this is, from 1.
    cause
        As it was seen last.
    state
        Where it stands.
    opened_at, seen_at
        When it opened, and when the cause was last noted; estate time, UTC.
    gone_since
        Since when the cause is not seen any more; ``None`` while it is.
    acknowledged_at, acknowledged_by, note
        When and by whom it was acknowledged, and what they said.
    closed_at, closed_by, closing_note
        When it closed; by whom, empty where it closed by itself; what they said.
    over
        Whether the cause has been gone long enough that its return is a new alarm.
    """

    id: str
    number: int
    cause: Cause
    state: AlarmState
    opened_at: datetime
    seen_at: datetime
    gone_since: datetime | None = None
    acknowledged_at: datetime | None = None
    acknowledged_by: str = ""
    note: str = ""
    closed_at: datetime | None = None
    closed_by: str = ""
    closing_note: str = ""
    over: bool = False

    @property
    def is_open(self) -> bool:
        """Whether it still stands, acknowledged or not."""
        return self.state is not AlarmState.CLOSED


class Occasion(StrEnum):
    """Why a message is sent."""

    OPENED = "opened"
    REPEATED = "repeated"
    CLOSED = "closed"
    TEST = "test"


class NoticeState(StrEnum):
    """What became of a message."""

    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Notice:
    """One message about one alarm over one channel; what it said is not kept.

    Attributes
    ----------
    alarm_id, occasion, number
        About what, why, and the how-manieth of its occasion.
    channel
        ``email`` or ``webhook:NAME``.
    to
        Roles of its readers, never addresses.
    state, attempts
        What became of it, after how many attempts.
    at
        Estate time of the last attempt, UTC.
    next_try_at
        When a failed one is tried again; ``None`` where it is not.
    problem
        Why it failed, in words; empty otherwise.
    """

    alarm_id: str
    occasion: Occasion
    number: int
    channel: str
    to: tuple[str, ...]
    state: NoticeState
    attempts: int
    at: datetime
    next_try_at: datetime | None = None
    problem: str = ""

    @property
    def key(self) -> str:
        """Unique among notices."""
        return notice_key(self.alarm_id, self.occasion, self.number, self.channel)


def notice_key(alarm_id: str, occasion: Occasion, number: int, channel: str) -> str:
    """Return the key of a notice: one message is claimed by one process."""
    return f"{alarm_id}/{occasion.value}.{number}/{channel}"


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where mail is handed in; name and password come from the environment."""

    host: str
    port: int = 587
    sender: str = ""
    starttls: bool = True


@dataclass(frozen=True, slots=True)
class AlarmRules:
    """When alarms open and close, and whom they reach.

    Durations are estate time, but for ``timeout_s``, which is the computer's.

    Attributes
    ----------
    recipients
        E-mail address by role.
    smtp
        Mail server; ``None`` where no mail is sent.
    webhooks
        Address by name.
    timeout_s
        How long to wait for a mail server or a webhook [s].
    repeat_s
        Between two messages about an alarm that nobody acknowledged [s].
    close_after_s
        How long a cause must be gone before its alarm closes by itself [s].
    reopen_after_s
        A cause that lasts although a person closed its alarm opens a new one after this [s].
    cold_c, cold_for_s
        A living room below ``cold_c`` [°C] for as long as ``cold_for_s`` [s] is an alarm.
    fall_k, fall_over_s
        So is one that fell by ``fall_k`` [K] in ``fall_over_s`` [s] while it called for heat.
    lost_after_s
        A device that gave nothing good for this long is lost [s].
    disk_free_mb
        Less free space than this at the store is an alarm [MB].
    """

    recipients: Mapping[str, str] = field(default_factory=dict)
    smtp: SmtpServer | None = None
    webhooks: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = 10.0
    repeat_s: float = 3600.0
    close_after_s: float = 900.0
    reopen_after_s: float = 86400.0
    cold_c: float = 16.0
    cold_for_s: float = 1800.0
    fall_k: float = 1.5
    fall_over_s: float = 10800.0
    lost_after_s: float = 600.0
    disk_free_mb: float = 200.0
