"""One device of any profile, simulated without a home behind it: to rehearse an installation.

Measured values move slowly and stay plausible, counters rise, and writable points keep what is
written within the profile's bounds; anything else is refused as a device would refuse it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Container

from drivers.codec import PointCodec, codecs
from ems.domain.errors import InvalidInputError
from ems.domain.estate import Device, Gateway
from ems.domain.points import POINTS, CanonicalPoint, DeviceClass, PointId, PointKind
from ems.domain.profiles import DeviceProfile
from ems.domain.readings import Quality
from ems.field.faces import Face
from ems.field.modbus import GatewayServer

DEVICE_ID = "rehearsal"
PERIOD_S = 600.0
"""Values swing once in so long [s, wall time]."""

_TYPICAL: dict[str, tuple[float, float]] = {
    "power_w": (1500.0, 600.0),
    "power_l1_w": (500.0, 200.0),
    "power_l2_w": (600.0, 200.0),
    "power_l3_w": (400.0, 200.0),
    "voltage_v": (236.0, 3.0),
    "voltage_l2_v": (237.0, 3.0),
    "voltage_l3_v": (235.0, 3.0),
    "frequency_hz": (50.0, 0.03),
    "temperature_c": (20.5, 0.6),
    "room_temperature_c": (20.5, 0.6),
    "room_setpoint_c": (20.0, 0.0),
    "outdoor_temperature_c": (7.0, 2.0),
    "flow_temperature_c": (38.0, 3.0),
    "flow_setpoint_c": (38.0, 0.0),
    "return_temperature_c": (33.0, 2.0),
    "tank_temperature_c": (47.0, 2.0),
    "tank_setpoint_c": (48.0, 0.0),
    "humidity_pct": (48.0, 5.0),
    "flow_rate_lpm": (15.0, 1.0),
    "heat_w": (4500.0, 800.0),
    "compressor_hz": (45.0, 8.0),
    "soc_pct": (62.0, 8.0),
    "soh_pct": (97.0, 0.0),
    "capacity_kwh": (12.0, 0.0),
    "power_limit_pct": (100.0, 0.0),
    "sg_mode": (2.0, 0.0),
    "sg_state": (2.0, 0.0),
    "operating_state": (2.0, 0.0),
    "inverter_state": (4.0, 0.0),
}
"""Middle and swing of points, in their units."""


class Rehearsal:
    """What one simulated device shows and takes.

    Parameters
    ----------
    profile
        Its register map.
    now
        Seconds that only rise; the wall clock unless given.

    Attributes
    ----------
    version
        Changes with the values.
    known
        Its points.
    """

    def __init__(self, profile: DeviceProfile, now: Callable[[], float] = time.monotonic) -> None:
        self.profile = profile
        self._now = now
        self._start = now()
        self._writes = 0
        self.known: Container[PointId] = {PointId(DEVICE_ID, name) for name in profile.points}
        made = codecs(profile)
        self._still = {
            name: next((v for v in self._candidates(name) if _fits(made[name], v)), math.nan)
            for name, point in profile.points.items()
            if point.write is not None or self._canonical(name).kind is PointKind.STATE
        }

    @property
    def version(self) -> int:
        """A number that changes when values do: each second, and with each write."""
        return int(self._now() - self._start) * 1000 + self._writes

    def read(self, device_id: str, point: str) -> float:  # noqa: ARG002 - what faces ask
        """Return a point's value in its unit."""
        if point in self._still:
            return self._still[point]
        elapsed_s = self._now() - self._start
        canonical = self._canonical(point)
        if canonical.kind is PointKind.COUNTER:
            return 1234.5 + 1.5 * elapsed_s / 3600.0
        middle, swing = self._typical(point)
        return middle + swing * math.sin(2.0 * math.pi * elapsed_s / PERIOD_S)

    def write(self, device_id: str, point: str, value: float) -> None:
        """Keep a written value; raise `InvalidInputError` where the device would refuse it."""
        rule = self.profile.points[point].write
        if rule is None or not rule.low - 1e-9 <= value <= rule.high + 1e-9:
            raise InvalidInputError(
                "the device does not take this value",
                field=f"{device_id}.{point}",
                value=value,
                remedy="Stay within the bounds of its profile.",
            )
        self._still[point] = value
        self._writes += 1

    def _canonical(self, name: str) -> CanonicalPoint:
        return POINTS[self.profile.device_class][name]

    def _typical(self, name: str) -> tuple[float, float]:
        canonical = self._canonical(name)
        middle, swing = _TYPICAL.get(name, (0.25 * min(canonical.high, 8000.0), 0.0))
        if self.profile.device_class is DeviceClass.INVERTER and name == "power_w":
            return -2400.0, 900.0
        return middle, swing

    def _candidates(self, name: str) -> list[float]:
        """Return values that a resting point may have, the likeliest first."""
        point, canonical = self.profile.points[name], self._canonical(name)
        rule = point.write
        likely = [] if rule is None or rule.fallback is None else [rule.fallback]
        if canonical.kind is PointKind.STATE:
            if name in _TYPICAL:
                likely.insert(0, _TYPICAL[name][0])
            return [*likely, *(canonical.low + step for step in range(8))]
        if rule is None:
            return likely
        middle = self._typical(name)[0]
        return [*likely, min(max(middle, rule.low), rule.high), rule.low]


def _fits(codec: PointCodec, value: float) -> bool:
    """Tell whether the registers can hold a value and mean it."""
    try:
        words = codec.encode(value)
    except InvalidInputError:
        return False
    factor = codec.point.served_scale_factor & 0xFFFF
    return codec.decode(words, factor)[1] is Quality.GOOD


def rehearse(profile: DeviceProfile, gateway: Gateway, unit_id: int) -> GatewayServer:
    """Return a server that shows one device of a profile under ``unit_id``; open it to serve."""
    device = Device(
        DEVICE_ID, profile.device_class, profile, gateway.id, unit_id, "", None, "rehearsal"
    )
    physics = Rehearsal(profile)
    faces: dict[int, Face] = {}
    by_unit: dict[int, list[PointCodec]] = {unit_id: []}
    for codec in codecs(profile).values():
        by_unit.setdefault(codec.point.unit_id or unit_id, []).append(codec)
    for unit, points in by_unit.items():
        face = faces.setdefault(unit, Face(physics, lambda *_: None))
        face.add(device, points, main=unit == unit_id)
    return GatewayServer(gateway, faces, lambda _: 0.0)
