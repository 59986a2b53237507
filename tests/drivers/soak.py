"""A bus under random faults, beside a field that knows the truth; prints one JSON report.

``python soak.py --seconds 20 --seed 1``. Estate time and back-off run ahead of the clock;
sockets, time-outs and delays are real. Run as a process of its own, so that its memory is
the bus's and the field's alone.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib.util
import json
import math
import os
import random
import resource
import sys
import time
from collections import Counter, deque
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog

from drivers.codec import codecs, register_image
from drivers.modbus_bus import ModbusFieldBus
from ems.domain.errors import InvalidInputError
from ems.domain.estate import Device, Gateway
from ems.domain.points import POINTS, PointId, PointKind
from ems.domain.profiles import Cadence, DeviceProfile
from ems.domain.readings import Quality, Reading
from ems.domain.setpoints import Applied, OutOfBounds
from ems.settings.profiles import load_profiles

HERE = Path(__file__).parent
_spec = importlib.util.spec_from_file_location("kit", HERE / "conftest.py")
assert _spec is not None and _spec.loader is not None
kit: Any = importlib.util.module_from_spec(_spec)
sys.modules["kit"] = kit
_spec.loader.exec_module(kit)

GATEWAYS, EACH = 4, 9
STEP_S = 10.0
"""Estate time between rounds [s]."""
AHEAD = 30.0
"""Back-off runs so many times as fast as the clock."""
MOVES_WITHIN_S = 120.0
REMEMBERED = 40
"""Truths of so many rounds are kept, to judge readings that come late."""
RECOVERY_S, RECOVERY_ROUNDS = 180.0, 40
"""A device that is well again must be found within both: seconds of back-off, rounds."""
LEAST_PAUSE_S = 0.1

GARBAGE = ("short", "lying byte count", "wrong unit", "wrong transaction", "wrong function",
           "not modbus", "cut off", "hang up")  # fmt: skip
REFUSALS = ("refuse:4", "refuse:6", "refuse:10", "refuse:11")
FAULTS = ("dead", "slow", "too slow", "nan", "frozen", "garbage", "refusal", "glitch", "reset")


@dataclass
class Home:
    """One device of the field: what is true of it, and what is wrong with it."""

    device: Device
    unit: Any
    truth: dict[str, float]
    past: deque[tuple[int, dict[str, float]]] = field(
        default_factory=lambda: deque(maxlen=REMEMBERED)
    )
    fault: str = ""
    since: int = 0
    seen: int | None = None
    until: int = 0
    well_round: int | None = 0
    well_s: float = 0.0

    @property
    def profile(self) -> DeviceProfile:
        return self.device.profile


class Soak:
    """The story: rounds, faults that come and go, setpoints good and bad."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.round = 0
        self.report: dict[str, Any] = {"wrong": [], "missed": [], "outside": [], "stale_late": []}
        self.faults: Counter[str] = Counter()
        self.qualities: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.worst_recovery_s = 0.0
        self.homes: dict[str, Home] = {}
        self.servers: dict[str, Any] = {}
        self.gone: dict[str, int] = {}
        self.deck: list[str] = []

    async def build(self) -> None:
        """Start the gateways and make the bus."""
        profiles = load_profiles(HERE.parents[1] / "config" / "devices")
        meter = _watched(profiles["eastron_sdm120"])
        makes = [meter, profiles["daikin_homehub_altherma3"], profiles["sofar_hyd_g3"]]
        gateways = {}
        for number in range(GATEWAYS):
            name = f"g{number}"
            units = {}
            for place in range(EACH):
                profile = makes[place % len(makes)]
                unit = kit.Unit({}, gaps_answer=True)
                units[place + 1] = unit
                device = kit.device(profile, place + 1, name, f"{name}-{place + 1}")
                self.homes[device.id] = Home(device, unit, self._first(profile))
            self.servers[name] = kit.ScriptedGateway(units)
            await self.servers[name].start()
            gateways[name] = Gateway(name, "127.0.0.1", self.servers[name].port, 0.4)
        devices = [home.device for home in self.homes.values()]
        self.bus = ModbusFieldBus(devices, gateways, wall=self.wall, seed=3)

    def wall(self) -> float:
        """Return the clock of back-off [s]."""
        return time.monotonic() * AHEAD

    def _first(self, profile: DeviceProfile) -> dict[str, float]:
        return {
            name: self._value(profile, name)
            for name, point in profile.points.items()
            if not point.write_only
        }

    def _value(self, profile: DeviceProfile, name: str) -> float:
        """Return a random value that the registers of the point hold exactly."""
        codec, canonical = codecs(profile)[name], POINTS[profile.device_class][name]
        point = profile.points[name]
        if point.write is not None:
            value = float(round(self.rng.uniform(point.write.low, point.write.high)))
        elif point.codes is not None:
            value = float(self.rng.choice(sorted(point.codes.values())))
        elif canonical.kind is PointKind.STATE:
            value = float(self.rng.randint(0, 1))
        elif canonical.kind is PointKind.COUNTER:
            value = 1000.0
        else:
            low, high = max(canonical.low, -3000.0), min(canonical.high, 3000.0)
            value = self.rng.uniform(low, high)
        return self._held(codec, value)

    @staticmethod
    def _held(codec: Any, value: float) -> float:
        found, quality = codec.decode(codec.encode(value), codec.point.served_scale_factor)
        assert quality is Quality.GOOD, (codec.point.point, value, found)
        return float(found)

    def move_on(self) -> None:
        """Let the truth change and the registers follow, as far as faults let them."""
        for home in self.homes.values():
            made = codecs(home.profile)
            for name, point in home.profile.points.items():
                if name not in home.truth or point.write is not None:
                    continue
                kind = POINTS[home.profile.device_class][name].kind
                if kind is PointKind.COUNTER:
                    raised = home.truth[name] + self.rng.choice((0.0, 0.01))
                    home.truth[name] = self._held(made[name], raised)
                elif kind is PointKind.GAUGE:
                    home.truth[name] = self._value(home.profile, name)
            if home.fault == "reset" and home.since == self.round:
                for name, point in home.profile.points.items():
                    if point.max_rise_per_h is not None:
                        home.truth[name] = 0.0
            home.past.append((self.round, dict(home.truth)))
            self._serve(home)

    def _serve(self, home: Home) -> None:
        if home.fault == "frozen" and home.unit.image:
            return
        shown = dict(home.truth)
        if home.fault == "nan":
            for name, codec in codecs(home.profile).items():
                try:
                    codec.encode(math.nan)
                except InvalidInputError:  # this point has no code for it
                    continue
                shown[name] = math.nan
        if home.fault == "glitch" and home.since == self.round:
            jump = self.rng.choice((-900.0, 5000.0))
            for name, point in home.profile.points.items():
                if point.max_rise_per_h is not None:
                    shown[name] = max(shown[name] + jump, 0.0)
        home.unit.image = register_image(home.profile, shown)

    async def trouble(self) -> None:
        """Begin and end faults."""
        for name, until in list(self.gone.items()):
            if self.round >= until:
                if not await self._open(self.servers[name]):
                    continue
                del self.gone[name]
                self._well(home for home in self.homes.values() if home.device.gateway_id == name)
        for home in self.homes.values():
            if home.fault and self.round >= home.until:
                home.fault, home.unit.behaviour, home.unit.delay_s = "", "ok", 0.0
                self._well([home])
        if self.rng.random() < 0.3:
            self.deck = self.deck or self.rng.sample(FAULTS, len(FAULTS))
            fault = self.deck.pop()
            well = [home for home in self.homes.values() if not home.fault]
            if fault in ("frozen", "glitch", "reset"):
                well = [home for home in well if "moves" in home.profile.id]
            if well:
                self._break(self.rng.choice(well), fault)
        if self.rng.random() < 0.02 and not self.gone:
            await self._lose_gateway()

    async def _lose_gateway(self) -> None:
        name = self.rng.choice(list(self.servers))
        self.gone[name] = self.round + self.rng.randint(5, 25)
        if self.rng.random() < 0.5:
            await self.servers[name].stop()
            self.faults["gateway gone"] += 1
        else:
            self.servers[name].half_open = True
            self.faults["gateway half open"] += 1
        for home in self.homes.values():
            if home.device.gateway_id == name:
                home.well_round = None

    @staticmethod
    async def _open(server: Any) -> bool:
        """Let a gateway answer again; ``False`` while its port is somebody else's."""
        server.half_open = False
        try:
            if not server.is_open:
                await server.start()
        except OSError:
            return False
        return True

    def _break(self, home: Home, fault: str) -> None:
        self.faults[fault] += 1
        home.fault, home.since, home.seen = fault, self.round, None
        home.until = self.round + self.rng.randint(3, 30)
        home.well_round = None
        if fault == "frozen":
            home.until = self.round + 20
        elif fault == "dead":
            home.unit.behaviour = "mute"
        elif fault == "slow":
            home.unit.delay_s = self.rng.uniform(0.01, 0.15)
        elif fault == "too slow":
            home.unit.delay_s, home.until = 0.6, self.round + 3
        elif fault == "garbage":
            home.unit.behaviour = self.rng.choice(GARBAGE)
        elif fault == "refusal":
            home.unit.behaviour = self.rng.choice(REFUSALS)

    def _well(self, homes: Any) -> None:
        for home in homes:
            if not home.fault and home.device.gateway_id not in self.gone:
                home.well_round, home.well_s = self.round, self.wall()

    def judge(self, readings: list[Reading]) -> None:
        """Hold readings against the truth."""
        whole: dict[str, bool] = {}
        for reading in readings:
            device, name = reading.point_id
            home = self.homes[device]
            self.qualities[reading.quality.name] += 1
            begun = round((reading.observed_at - kit.NOON).total_seconds() / STEP_S)
            if name in home.truth:
                whole[device] = whole.get(device, True) and reading.is_good
                if reading.is_good:
                    self._compare(home, name, reading.value, begun)
        for device, good in whole.items():
            home = self.homes[device]
            if home.well_round is None:
                continue
            if good:
                if home.well_s:
                    took_s = self.wall() - home.well_s
                    self.worst_recovery_s = max(self.worst_recovery_s, took_s)
                home.well_round, home.well_s = None, 0.0
            elif (
                self.round - home.well_round > RECOVERY_ROUNDS
                and self.wall() - home.well_s > RECOVERY_S
            ):
                self.report["missed"].append(device)
                home.well_round = None

    def _compare(self, home: Home, name: str, value: float, begun: int) -> None:
        if any(truth[name] == value for number, truth in home.past if number >= begun - 1):
            return
        if home.fault == "frozen":
            # Behind a gateway that was away, standing still counts from the first sight of it.
            home.seen = begun if home.seen is None else home.seen
            frozen_s = (begun - home.seen) * STEP_S
            if frozen_s > MOVES_WITHIN_S + 2 * STEP_S:
                self.report["stale_late"].append([home.device.id, name, frozen_s])
            return
        self.report["wrong"].append([home.device.id, name, value, home.truth[name], home.fault])

    async def command(self) -> None:
        """Tell some heat pump a room temperature, now and then an impossible one."""
        pumps = [h for h in self.homes.values() if "room_setpoint_c" in h.profile.points]
        home = self.rng.choice(pumps)
        value = float(self.rng.choice((16, 18, 20, 21, 23, 3, 60, -5)))
        now = kit.NOON + timedelta(seconds=self.round * STEP_S)
        wanted = kit.setpoint(home.device.id, "room_setpoint_c", value)
        wanted = replace(wanted, point_id=PointId(home.device.id, "room_setpoint_c"))
        outcome = await self.bus.apply(wanted, now, urgent=True)
        self.outcomes[type(outcome).__name__] += 1
        rule = home.profile.points["room_setpoint_c"].write
        assert rule is not None
        if not rule.low <= value <= rule.high and not isinstance(outcome, OutOfBounds):
            self.report["outside"].append([home.device.id, value, type(outcome).__name__])
        if isinstance(outcome, Applied) and home.fault in ("dead", "garbage", "refusal"):
            # One register read alone looks the same cut short: what it says is then true.
            held = home.truth["room_setpoint_c"]
            if home.fault != "garbage" or outcome.written or outcome.read_back != held:
                self.report["wrong"].append([home.device.id, "applied", value, held, home.fault])

    def audit(self) -> None:
        """Look at every write that reached a device, and follow it in the truth."""
        for name, server in self.servers.items():
            for unit_id, function, address, values in server.requests:
                if function <= 4:
                    continue
                home = self.homes[f"{name}-{unit_id}"]
                point = home.profile.points["room_setpoint_c"]
                codec = codecs(home.profile)["room_setpoint_c"]
                value, _ = codec.decode(values[:1])
                rule = point.write
                assert rule is not None
                if address != point.address or not rule.low <= value <= rule.high:
                    self.report["outside"].append([home.device.id, address, list(values)])
                elif home.unit.behaviour not in ("mute", "hang up", *REFUSALS):
                    home.truth["room_setpoint_c"] = value
                    if home.past:
                        home.past[-1][1]["room_setpoint_c"] = value
            server.requests.clear()

    async def turn(self) -> None:
        """One round."""
        begin = time.monotonic()
        self.move_on()
        now = kit.NOON + timedelta(seconds=self.round * STEP_S)
        self.judge(await self.bus.poll(set(Cadence), now))
        if self.rng.random() < 0.2:
            await self.command()
        self.audit()
        self.round += 1
        await asyncio.sleep(max(LEAST_PAUSE_S - (time.monotonic() - begin), 0.01))

    async def run(self, seconds: float) -> dict[str, Any]:
        """Live through it, then let all be well and see that everybody is found."""
        await self.build()
        begin, memory = time.monotonic(), []
        while time.monotonic() - begin < seconds:
            await self.trouble()
            await self.turn()
            if self.round % 20 == 0:
                gc.collect()
                memory.append((time.monotonic() - begin, _rss_mb()))
        for home in self.homes.values():
            home.until = 0
        self.gone = dict.fromkeys(self.gone, 0)
        chance, self.rng.random = self.rng.random, lambda: 1.0  # type: ignore[method-assign]  # no new trouble
        while self.gone:
            await self.trouble()
            await asyncio.sleep(0.1)
        await self.trouble()
        self.rng.random = chance  # type: ignore[method-assign]  # as it was
        missing = await self._all_found()
        await self.bus.close()
        for server in self.servers.values():
            await server.stop()
        steady = [mb for at, mb in memory if at >= seconds / 4] or [0.0]
        return self.report | {
            "seconds": round(time.monotonic() - begin, 1),
            "rounds": self.round,
            "faults": dict(self.faults),
            "readings": dict(self.qualities),
            "outcomes": dict(self.outcomes),
            "missing_at_end": missing,
            "worst_recovery_s": round(self.worst_recovery_s, 1),
            "memory_mb": [round(steady[0], 1), round(max(steady), 1), round(steady[-1], 1)],
            "growth_pct": round(100.0 * (steady[-1] / steady[0] - 1.0), 2) if steady[0] else 0.0,
        }

    async def _all_found(self) -> list[str]:
        """Go on until every device gave good values once more."""
        waiting, patience = set(self.homes), time.monotonic() + 90.0
        while waiting and time.monotonic() < patience:
            self.move_on()
            now = kit.NOON + timedelta(seconds=self.round * STEP_S)
            readings = await self.bus.poll(set(Cadence), now)
            self.judge(readings)
            good: dict[str, bool] = {}
            for reading in readings:
                device = reading.point_id.device_id
                good[device] = good.get(device, True) and reading.is_good
            waiting -= {device for device, fine in good.items() if fine}
            self.round += 1
            await asyncio.sleep(LEAST_PAUSE_S)
        return sorted(waiting)


def _watched(meter: DeviceProfile) -> DeviceProfile:
    """Return a meter whose voltage and frequency are known to move."""
    points = {
        name: replace(point, moves_within_s=MOVES_WITHIN_S)
        if name in ("voltage_v", "frequency_hz")
        else point
        for name, point in meter.points.items()
    }
    return replace(meter, id=f"{meter.id}_moves", points=points)


def _rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    structlog.configure(
        logger_factory=structlog.PrintLoggerFactory(open(os.devnull, "w"))  # noqa: PTH123, SIM115 - open to the end
    )
    print(json.dumps(asyncio.run(Soak(given.seed).run(given.seconds))))
