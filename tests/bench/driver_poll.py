"""One process that polls all meters of ``driver_field`` every ten seconds.

Prints one JSON object: when each round was due and when its readings were there, and what
the rounds cost this process.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from datetime import UTC, datetime

import structlog

from drivers import ModbusFieldBus
from ems.domain.estate import Device, Gateway
from ems.domain.points import DeviceClass
from ems.domain.profiles import Cadence, DataType, DeviceProfile, PointMap, Space

PERIOD_S = 10.0
TIMEOUT_S = 1.0
POINTS: dict[str, dict[str, float]] = {
    "power_w": {"moves_within_s": 600},
    "power_l1_w": {},
    "power_l2_w": {},
    "power_l3_w": {},
    "voltage_v": {"scale": 0.1},
    "voltage_l2_v": {"scale": 0.1},
    "voltage_l3_v": {"scale": 0.1},
    "frequency_hz": {"scale": 0.01, "moves_within_s": 600},
    "energy_import_kwh": {"max_rise_per_h": 310},
    "energy_export_kwh": {"max_rise_per_h": 310},
}


def profile() -> DeviceProfile:
    """Return a three-phase meter of ten values one after another."""
    points = {
        name: PointMap(name, Space.INPUT, 2 * index, DataType.INT32, cadence=Cadence.FAST, **fields)
        for index, (name, fields) in enumerate(POINTS.items())
    }
    return DeviceProfile("bench_meter", "-", "-", DeviceClass.METER, points)


async def main(ports: list[int], rounds: int) -> None:
    """Poll for so many rounds and say what it took."""
    meter = profile()
    gateways = {f"g{n}": Gateway(f"g{n}", "127.0.0.1", p, TIMEOUT_S) for n, p in enumerate(ports)}
    devices = [
        Device(f"{name}-{unit}", meter.device_class, meter, name, unit, "A", None, "")
        for name in gateways
        for unit in range(1, 101)
    ]
    bus = ModbusFieldBus(devices, gateways)
    found: dict[str, list[float]] = {key: [] for key in ("due", "there", "good", "cpu_s", "rss_mb")}
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    print("{}", flush=True)
    due = time.monotonic()
    for _ in range(rounds):
        await asyncio.sleep(max(due - time.monotonic(), 0.0))
        found["cpu_s"].append(time.process_time())
        readings = await bus.poll({Cadence.FAST}, datetime.fromtimestamp(time.time(), UTC))
        found["due"].append(due)
        found["there"].append(time.monotonic())
        found["good"].append(sum(reading.is_good for reading in readings))
        found["rss_mb"].append(_rss_mb())
        del readings
        due += PERIOD_S
    await asyncio.sleep(max(due - time.monotonic(), 0.0))
    found["cpu_s"].append(time.process_time())
    await bus.close()
    print(json.dumps(found), flush=True)


def _rss_mb() -> float:
    with open("/proc/self/statm") as statm:  # noqa: PTH123 - a special file, read often
        return int(statm.read().split()[1]) * resource.getpagesize() / 2**20


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1]), int(sys.argv[2])))
