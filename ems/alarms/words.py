"""What a message about an alarm says: mail and webhook. Pure; homes by id, nobody by name."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from ems.domain.alarms import Alarm, AlarmKind, Occasion

SCHEMA = "hearth.alarm/1"

TITLES: dict[AlarmKind, str] = {
    AlarmKind.HOME_COLD: "Home too cold",
    AlarmKind.DEVICE_LOST: "Device lost",
    AlarmKind.GATEWAY_LOST: "Gateway lost",
    AlarmKind.NO_PLAN: "No fresh plan",
    AlarmKind.LIMIT_EXCEEDED: "Feeder limit exceeded",
    AlarmKind.GUARD_ACTED: "The guard acted",
    AlarmKind.STORE_TROUBLE: "Store or disk in trouble",
    AlarmKind.PROCESS_SILENT: "Process silent",
    AlarmKind.FORECAST_DRIFT: "Forecasts have drifted",
    AlarmKind.FORECAST_COVERAGE: "Forecasts too sure",
    AlarmKind.ROOM_SENSOR: "Room sensor wrong",
    AlarmKind.HEAT_PUMP_WEAK: "Heat pump weak",
    AlarmKind.HEAT_LOST: "Home loses more heat",
}
"""Short name of each kind, for headings and subject lines."""

_SUBJECT_WORDS = {
    Occasion.OPENED: "Alarm",
    Occasion.REPEATED: "Still open",
    Occasion.CLOSED: "Closed",
    Occasion.TEST: "Test",
}
_MOST_NAMED = 40


def _one_line(text: str) -> str:
    return " ".join(text.split())


def listed(ids: tuple[str, ...], most: int = _MOST_NAMED) -> str:
    """Return ids in one line, cut where there are many."""
    rest = f" and {len(ids) - most} more" if len(ids) > most else ""
    return ", ".join(ids[:most]) + rest


def mail_subject(estate_name: str, alarm: Alarm, occasion: Occasion) -> str:
    """Return a mail's subject line."""
    title = TITLES[alarm.cause.kind].lower()
    return _one_line(f"[{estate_name}] {_SUBJECT_WORDS[occasion]}: {title}, {alarm.cause.subject}")


def mail_body(
    estate_name: str, alarm: Alarm, occasion: Occasion, now: datetime, zone: ZoneInfo
) -> str:
    """Return a mail's text."""

    def local(instant: datetime) -> str:
        return instant.astimezone(zone).strftime("%A %d %B %Y, %H:%M")

    lines = [alarm.cause.what, ""]
    if occasion is Occasion.TEST:
        lines = ["This is a test of the alarms' mail. Nothing is wrong.", ""]
    elif occasion is Occasion.CLOSED:
        by = "it was closed by a person" if alarm.closed_by else "its cause is gone"
        lines = [f"This alarm is closed: {by}.", "", f"It said: {alarm.cause.what}", ""]
    else:
        lines += [f"What to do: {alarm.cause.remedy}", ""]
    if alarm.cause.homes:
        lines.append(f"Homes: {listed(alarm.cause.homes)}")
    if alarm.cause.devices:
        lines.append(f"Devices: {listed(alarm.cause.devices)}")
    lines.append(f"Open since: {local(alarm.opened_at)}")
    if occasion is Occasion.REPEATED:
        lines += ["", "Nobody has acknowledged it yet. This message repeats until someone does."]
    if occasion in (Occasion.OPENED, Occasion.REPEATED):
        lines += ["", f"Acknowledge it on the page Alarms, or with: ems alarms ack {alarm.id}"]
    return "\n".join([*lines, "", f"{estate_name}, {local(now)} (local to the estate)", ""])


def webhook_payload(
    estate_id: str, alarm: Alarm, occasion: Occasion, number: int, now: datetime
) -> dict[str, Any]:
    """Return a webhook's JSON document; see docs/alarms.md for its schema."""
    closed = alarm.closed_at
    return {
        "schema": SCHEMA,
        "estate": estate_id,
        "occasion": occasion.value,
        "number": number,
        "sent_at": now.isoformat(),
        "alarm": {
            "id": alarm.id,
            "kind": alarm.cause.kind.value,
            "subject": alarm.cause.subject,
            "state": alarm.state.value,
            "what": alarm.cause.what,
            "remedy": alarm.cause.remedy,
            "homes": list(alarm.cause.homes),
            "devices": list(alarm.cause.devices),
            "opened_at": alarm.opened_at.isoformat(),
            "closed_at": None if closed is None else closed.isoformat(),
        },
    }
