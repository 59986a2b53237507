"""What the guard releases, and when: pure rules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from ems.domain.points import PointId
from ems.domain.ports import ActiveCommand, Heartbeat
from ems.service.guard import control_is_silent, to_release

NOW = datetime(2023, 12, 1, 18, 0, tzinfo=UTC)
AFTER_S = 180.0


def command(expires_in_s: float, device: str = "A-01-hp") -> ActiveCommand:
    return ActiveCommand(
        point_id=PointId(device, "room_setpoint_c"),
        value=18.0,
        release_value=20.5,
        expires_at=NOW + timedelta(seconds=expires_in_s),
        setpoint_id="s",
        confirmed=True,
    )


def test_control_that_never_beat_is_silent() -> None:
    assert control_is_silent(None, NOW, AFTER_S)


@given(st.floats(0, 10_000))
def test_control_is_silent_only_after_the_stated_time(age_s: float) -> None:
    beat = Heartbeat("control", NOW - timedelta(seconds=age_s), 0.0, 1)
    age = (NOW - beat.at).total_seconds()
    assert control_is_silent(beat, NOW, AFTER_S) == (age > AFTER_S)


@given(st.lists(st.floats(-3600, 3600), max_size=40))
def test_only_expired_commands_are_released_when_control_is_silent(expiries: list[float]) -> None:
    commands = [command(e, f"A-{i:02d}-hp") for i, e in enumerate(expiries)]
    released = to_release(commands, NOW, silent=True, after_s=AFTER_S)
    assert released == [c for c in commands if c.expires_at <= NOW]


@given(st.floats(-AFTER_S + 1, 3600))
def test_a_living_control_process_is_given_time_to_renew(expires_in_s: float) -> None:
    assert to_release([command(expires_in_s)], NOW, silent=False, after_s=AFTER_S) == []


def test_a_command_that_control_forgot_is_released_all_the_same() -> None:
    forgotten = command(-AFTER_S - 1)
    assert to_release([forgotten], NOW, silent=False, after_s=AFTER_S) == [forgotten]
