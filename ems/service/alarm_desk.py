"""The alarms of an estate in the store: opened once, acknowledged, closed.

Any process may hold a desk on the same store. Every change names the revision it was made
on, so two processes that see one cause open one alarm.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from ems.alarms.life import FLAP_WINDOW, acknowledged, closed, stepped
from ems.alarms.rules import Judged
from ems.domain.alarms import Alarm, AlarmRules, AlarmState, Notice
from ems.domain.errors import InvalidInputError, RetryableError
from ems.domain.ports import Kept, LogEntry, Store

log = structlog.get_logger()

KEEP = timedelta(days=90)
"""How long closed alarms and what was sent about them are kept."""
MOST_NOTE = 500
"""Longest note [characters]."""
_TRIES = 5


class AlarmDesk:
    """Keeps alarms.

    Parameters
    ----------
    store
        Where they lie.
    rules
        When they open and close.
    """

    def __init__(self, store: Store, rules: AlarmRules) -> None:
        self._store = store
        self._rules = rules

    def all(self) -> list[Alarm]:
        """Return all alarms: open ones first, then the newest."""
        alarms = [kept.record for kept in self._store.all_kept(Alarm)]
        return sorted(alarms, key=lambda a: (a.is_open, a.opened_at, a.id), reverse=True)

    def open(self) -> list[Alarm]:
        """Return the alarms that stand, acknowledged or not, the newest first."""
        return [alarm for alarm in self.all() if alarm.is_open]

    def find(self, alarm_id: str) -> Alarm:
        """Return one alarm; `InvalidInputError` where there is none."""
        return self._kept(alarm_id).record

    def notices(self, alarm_id: str) -> list[Notice]:
        """Return what was sent about an alarm, the newest first."""
        found = [kept.record for kept in self._store.all_kept(Notice, subject=alarm_id)]
        return sorted(found, key=lambda notice: notice.at, reverse=True)

    def settle(self, judged: Judged, now: datetime) -> list[Alarm]:
        """Bring alarms in line with what was judged; return those that changed.

        Causes that could not be told leave their alarms as they are.
        """
        newest: dict[str, Kept[Alarm]] = {}
        lately: Counter[str] = Counter()
        for kept in self._store.all_kept(Alarm):
            key = kept.record.cause.key
            if key not in newest or kept.record.number > newest[key].record.number:
                newest[key] = kept
            if now - kept.record.opened_at <= FLAP_WINDOW:
                lately[key] += 1
        causes = {cause.key: cause for cause in judged.causes}
        changed: list[Alarm] = []
        for key in sorted(judged.judged & (causes.keys() | newest.keys())):
            before = newest.get(key)
            alarm = None if before is None else before.record
            after = stepped(alarm, causes.get(key), now, self._rules, max(lately[key] - 1, 0))
            if after is not None and self._keep(after, before, now):
                changed.append(after)
        return changed

    def prune(self, now: datetime) -> int:
        """Forget alarms that closed more than `KEEP` ago, and their messages; return how many.

        The newest alarm of each cause stays, so that numbers go on.
        """
        alarms = self.all()
        latest = {alarm.cause.key: alarm.number for alarm in sorted(alarms, key=lambda a: a.number)}
        gone = [
            alarm
            for alarm in alarms
            if alarm.closed_at is not None
            and now - alarm.closed_at > KEEP
            and alarm.number < latest[alarm.cause.key]
        ]
        for alarm in gone:
            for notice in self.notices(alarm.id):
                self._store.forget(Notice, notice.key)
            self._store.forget(Alarm, alarm.id)
        return len(gone)

    def _keep(self, after: Alarm, before: Kept[Alarm] | None, now: datetime) -> bool:
        is_new = before is None or before.record.id != after.id
        expected = 0 if is_new or before is None else before.revision
        try:
            self._store.keep(
                after, key=after.id, subject=after.cause.key, at=after.opened_at, expected=expected
            )
        except RetryableError:
            return False  # another process was first; what is left to do is done next time
        if is_new:
            self._note("alarm_opened", after, now)
            log.warning("alarm_opened", alarm=after.id, homes=len(after.cause.homes))
        elif before is not None and before.record.is_open and not after.is_open:
            self._note("alarm_closed", after, now, by="")
            log.info("alarm_closed", alarm=after.id)
        return True

    def acknowledge(self, alarm_id: str, by: str, note: str, now: datetime) -> Alarm:
        """Record that a person knows of an alarm.

        Raises
        ------
        InvalidInputError
            Where there is no such alarm, or it is closed.
        """
        alarm = self._change(alarm_id, lambda alarm: acknowledged(alarm, by, _short(note), now))
        self._note("alarm_acknowledged", alarm, now, by=by)
        return alarm

    def close(self, alarm_id: str, by: str, note: str, now: datetime) -> Alarm:
        """Close an alarm for a person, who gives a reason.

        Raises
        ------
        InvalidInputError
            Where there is no such alarm, it is closed already, or no reason is given.
        """
        alarm = self._change(alarm_id, lambda alarm: closed(alarm, by, _short(note), now))
        self._note("alarm_closed", alarm, now, by=by)
        return alarm

    def _change(self, alarm_id: str, change: Callable[[Alarm], Alarm]) -> Alarm:
        for attempt in range(1, _TRIES + 1):
            kept = self._kept(alarm_id)
            after = change(kept.record)
            try:
                self._store.keep(
                    after,
                    key=after.id,
                    subject=after.cause.key,
                    at=after.opened_at,
                    expected=kept.revision,
                )
            except RetryableError:
                if attempt == _TRIES:
                    raise
                continue
            return after
        raise AssertionError("unreachable")

    def _kept(self, alarm_id: str) -> Kept[Alarm]:
        kept = self._store.kept(Alarm, alarm_id)
        if kept is None:
            raise InvalidInputError(
                "there is no such alarm",
                field="alarm",
                value=alarm_id,
                remedy="List the open ones with `ems alarms list`.",
            )
        return kept

    def _note(self, kind: str, alarm: Alarm, now: datetime, **detail: str) -> None:
        self._store.log([LogEntry(now, kind, alarm.id, detail)])


def unacknowledged(alarms: list[Alarm]) -> list[Alarm]:
    """Return those that are open and that nobody has acknowledged."""
    return [alarm for alarm in alarms if alarm.state is AlarmState.OPEN]


def _short(note: str) -> str:
    words = " ".join(note.split())
    if len(words) > MOST_NOTE:
        raise InvalidInputError(
            "the note is too long",
            field="note",
            value=f"{len(words)} characters",
            remedy=f"Write at most {MOST_NOTE} characters.",
        )
    return words
