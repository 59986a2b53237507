"""What a device's decoded values are worth, by what came before them.

Counters are held against physics, measurements that never move against their profile, the
device's clock against ours, and a gateway that answers from its cache against its own word.
States that no register holds are composed of flags here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime

import structlog

from drivers.codec import Decoded
from drivers.images import Values
from drivers.quality import CounterState, StillState, judge_counter, judge_still
from ems.domain.profiles import DeviceProfile, PointMap
from ems.domain.readings import Quality

log = structlog.get_logger(__name__)

CLOCK = "clock_s"
CLOCK_SLACK_S = 300.0
"""A device's clock may differ by so much [s]; beyond, what it does by the hour goes astray."""


class Judge:
    """Remembers one device's counters and live measurements.

    Parameters
    ----------
    device_id
        Named in the log.

    Attributes
    ----------
    link_lost
        Whether its gateway said last that it does not hear the device.
    frozen
        Whether all measurements that ought to move have stood still for too long: what
        the device says is then taken for an old image of it.
    """

    def __init__(self, device_id: str) -> None:
        self.link_lost = False
        self.frozen = False
        self.clock_off = False
        self._device_id = device_id
        self._counters: dict[str, CounterState] = {}
        self._still: dict[str, StillState] = {}
        self._points: Mapping[str, PointMap] = {}
        self._limits: tuple[tuple[str, float], ...] = ()
        self._live: tuple[tuple[str, float], ...] = ()

    def interpret(self, profile: DeviceProfile, values: Values, now: datetime) -> Values:
        """Return the values with the quality they deserve, and what is composed of them."""
        if profile.points is not self._points:
            self._learn(profile.points)
        for name, limit in self._limits:
            found = values.get(name)
            if found is not None and found[1] is Quality.GOOD:
                values[name] = found[0], self._count(name, found[0], now, limit)
        if self._live:
            self._watch(values, now)
        if CLOCK in values:
            values[CLOCK] = self._compare_clock(values[CLOCK], now)
        if profile.link_lost is not None:
            point, code = profile.link_lost
            if point in values:
                self.link_lost = values[point][0] == code
            if self.link_lost:
                values = _all_stale(values, but=point)
        if self.frozen:
            values = _all_stale(values)
        if profile.composed:
            _compose(profile.composed, values)
        return values

    def _learn(self, points: Mapping[str, PointMap]) -> None:
        self._points = points
        self._limits = tuple(
            (name, point.max_rise_per_h)
            for name, point in points.items()
            if point.max_rise_per_h is not None
        )
        self._live = tuple(
            (name, point.moves_within_s)
            for name, point in points.items()
            if point.moves_within_s is not None
        )

    def _count(self, point: str, value: float, now: datetime, limit: float) -> Quality:
        quality, state, anew = judge_counter(self._counters.get(point), value, now, limit)
        self._counters[point] = state
        if anew:
            log.warning("counter_began_anew", device=self._device_id, point=point, value=value)
        return quality

    def _watch(self, values: Values, now: datetime) -> None:
        """Mark measurements that stand still; all of them still means a frozen device."""
        for name, within_s in self._live:
            found = values.get(name)
            if found is None or found[1] is not Quality.GOOD:
                continue
            quality, self._still[name] = judge_still(self._still.get(name), found[0], now, within_s)
            values[name] = found[0], quality
        states = self._still.values()
        frozen = bool(states) and all(state.still for state in states)
        if frozen != self.frozen:
            self.frozen = frozen
            if frozen:
                log.warning("device_frozen", device=self._device_id)
            else:
                log.info("device_moves_again", device=self._device_id)

    def _compare_clock(self, clock: Decoded, now: datetime) -> Decoded:
        """Mark a clock that is wrong; say so once."""
        value, quality = clock
        if quality is not Quality.GOOD:
            return clock
        ahead_s = value - now.timestamp()
        off = abs(ahead_s) > CLOCK_SLACK_S
        if off != self.clock_off:
            self.clock_off = off
            if off:
                log.warning("clock_off", device=self._device_id, ahead_s=round(ahead_s))
            else:
                log.info("clock_right_again", device=self._device_id)
        return value, Quality.OUT_OF_RANGE if off else Quality.GOOD


def _all_stale(values: Values, but: str | None = None) -> Values:
    return {
        name: (value, Quality.STALE if name != but and quality is Quality.GOOD else quality)
        for name, (value, quality) in values.items()
    }


def _compose(composed: Mapping[str, tuple[tuple[str, int], ...]], values: Values) -> None:
    for state, flags in composed.items():
        if any(flag not in values for flag, _ in flags):
            continue
        worst = max(values[flag][1] for flag, _ in flags)
        code = next((code for flag, code in flags if values[flag][0] == 1.0), 0)
        usable = worst in (Quality.GOOD, Quality.STALE)
        values[state] = (float(code) if usable else math.nan), worst
