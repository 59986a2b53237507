"""An alarm's life, and which messages are due. Pure.

Opens on the first sight of a cause; closes by itself when the cause has been gone for
``close_after_s``, longer where it has come back often; never opens twice for one stretch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ems.domain.alarms import (
    Alarm,
    AlarmRules,
    AlarmState,
    Cause,
    Notice,
    NoticeState,
    Occasion,
    notice_key,
)
from ems.domain.errors import InvalidInputError

REFRESH_S = 900.0
"""How often a lasting cause is noted anew, unless it touches other homes [s]."""
FLAP_WINDOW = timedelta(hours=24)
MOST_PATIENCE = 8
"""A cause that keeps coming back must be gone for up to this many times as long."""
CLAIM_S = 300.0
"""A message whose sender died is tried again after this [s]."""
MOST_ATTEMPTS = 12
_FIRST_RETRY_S = 60.0
_LAST_RETRY_S = 900.0


def opened(cause: Cause, now: datetime, before: Alarm | None) -> Alarm:
    """Return the alarm that a cause opens; ``before`` is the last one it had."""
    number = 1 if before is None else before.number + 1
    return Alarm(f"{cause.key}.{number}", number, cause, AlarmState.OPEN, now, now)


def patience_s(rules: AlarmRules, opened_before: int) -> float:
    """Return how long a cause must be gone [s], longer the oftener it opened lately."""
    return rules.close_after_s * min(1 << min(opened_before, 10), MOST_PATIENCE)


def stepped(
    alarm: Alarm | None, cause: Cause | None, now: datetime, rules: AlarmRules, lately: int = 0
) -> Alarm | None:
    """Return what becomes of a cause's last alarm, or ``None`` where nothing changes.

    Parameters
    ----------
    alarm
        The newest alarm of the cause; ``None`` where it never had one.
    cause
        As it is seen now; ``None`` where it was looked for and is not there.
    now
        Estate time, UTC.
    rules
        Times.
    lately
        Alarms that this cause had in the last `FLAP_WINDOW` before this one.
    """
    if alarm is None or alarm.over:
        return None if cause is None else opened(cause, now, alarm)
    if cause is not None:
        return _seen(alarm, cause, now, rules)
    if alarm.gone_since is None:
        return replace(alarm, gone_since=now)
    if (now - alarm.gone_since).total_seconds() < patience_s(rules, lately):
        return None
    if alarm.is_open:
        return replace(alarm, state=AlarmState.CLOSED, closed_at=now, over=True)
    return replace(alarm, over=True)


def _seen(alarm: Alarm, cause: Cause, now: datetime, rules: AlarmRules) -> Alarm | None:
    if not alarm.is_open:
        closed = alarm.closed_at or now
        if (now - closed).total_seconds() >= rules.reopen_after_s:
            return opened(cause, now, alarm)
        return None if alarm.gone_since is None else replace(alarm, gone_since=None)
    other = (cause.homes, cause.devices) != (alarm.cause.homes, alarm.cause.devices)
    if other or alarm.gone_since is not None or (now - alarm.seen_at).total_seconds() >= REFRESH_S:
        return replace(alarm, cause=cause, seen_at=now, gone_since=None)
    return None


def acknowledged(alarm: Alarm, by: str, note: str, now: datetime) -> Alarm:
    """Return the alarm as acknowledged; one that is closed raises `InvalidInputError`."""
    if not alarm.is_open:
        raise _closed_already(alarm)
    return replace(
        alarm,
        state=AlarmState.ACKNOWLEDGED,
        acknowledged_at=now,
        acknowledged_by=by,
        note=note.strip(),
    )


def closed(alarm: Alarm, by: str, note: str, now: datetime) -> Alarm:
    """Return the alarm as closed by a person; its cause may last.

    It opens again when the cause was gone and returns, or when it lasts for
    ``reopen_after_s``.

    Raises
    ------
    InvalidInputError
        Where it is closed already, or no reason is given.
    """
    if not alarm.is_open:
        raise _closed_already(alarm)
    if not note.strip():
        raise InvalidInputError(
            "closing an alarm needs a reason",
            field="note",
            remedy="Say why it can be closed, in a few words.",
        )
    return replace(
        alarm, state=AlarmState.CLOSED, closed_at=now, closed_by=by, closing_note=note.strip()
    )


def _closed_already(alarm: Alarm) -> InvalidInputError:
    return InvalidInputError(
        "this alarm is closed already",
        field="alarm",
        value=alarm.id,
        remedy="List the open ones with `ems alarms list`.",
    )


@dataclass(frozen=True, slots=True)
class Due:
    """A message to be sent now; ``attempts`` have been made before."""

    occasion: Occasion
    number: int
    channel: str
    attempts: int = 0


def due_notices(
    alarm: Alarm,
    channels: Iterable[str],
    notices: Mapping[str, Notice],
    now: datetime,
    rules: AlarmRules,
) -> list[Due]:
    """Return the messages about ``alarm`` that are due at ``now``, at most one a channel.

    Parameters
    ----------
    alarm
        The alarm.
    channels
        Channels in use.
    notices
        What was sent about it, by key.
    now
        Estate time, UTC.
    rules
        ``repeat_s`` counts.
    """
    found = (_due(alarm, channel, notices, now, rules) for channel in channels)
    return [due for due in found if due is not None]


def _due(
    alarm: Alarm, channel: str, notices: Mapping[str, Notice], now: datetime, rules: AlarmRules
) -> Due | None:
    own = [n for n in notices.values() if n.channel == channel]
    if not alarm.is_open:
        told = any(n.state is NoticeState.SENT and n.occasion is not Occasion.CLOSED for n in own)
        return _attempt(alarm, Occasion.CLOSED, 1, channel, notices, now) if told else None
    first = next((n for n in own if n.occasion is Occasion.OPENED), None)
    if first is None:
        # The first message is the opening one, however late it comes.
        return _attempt(alarm, Occasion.OPENED, 1, channel, notices, now)
    latest = max((n.number for n in own if n.occasion is Occasion.REPEATED), default=0)
    repeats = int((now - first.at).total_seconds() // rules.repeat_s)
    if alarm.state is AlarmState.OPEN and first.state is NoticeState.SENT:
        latest = max(latest, repeats)
    if latest:
        return _attempt(alarm, Occasion.REPEATED, latest, channel, notices, now)
    return _attempt(alarm, Occasion.OPENED, 1, channel, notices, now)


def _attempt(
    alarm: Alarm,
    occasion: Occasion,
    number: int,
    channel: str,
    notices: Mapping[str, Notice],
    now: datetime,
) -> Due | None:
    before = notices.get(notice_key(alarm.id, occasion, number, channel))
    if before is None:
        return Due(occasion, number, channel)
    if before.state is NoticeState.SENT or before.attempts >= MOST_ATTEMPTS:
        return None
    if before.state is NoticeState.SENDING:
        stuck = (now - before.at).total_seconds() >= CLAIM_S
        return Due(occasion, number, channel, before.attempts) if stuck else None
    if before.next_try_at is None or now < before.next_try_at:
        return None
    return Due(occasion, number, channel, before.attempts)


def retry_at(now: datetime, attempts: int) -> datetime | None:
    """Return when a message that failed ``attempts`` times is tried again, if at all."""
    if attempts >= MOST_ATTEMPTS:
        return None
    wait_s = min(_FIRST_RETRY_S * 2 ** (attempts - 1), _LAST_RETRY_S)
    return now + timedelta(seconds=wait_s)
