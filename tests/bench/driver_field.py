"""Thirty gateways of a hundred meters each, in a process of their own.

They note when each meter is asked, by the clock that all processes share, and fall silent
or away on command. Talks JSON lines on standard input and output.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence

from ems.domain.estate import Gateway
from ems.domain.profiles import Space
from ems.field.faces import ModbusRefusal
from ems.field.modbus import GatewayServer

GATEWAYS, UNITS, REGISTERS = 30, 100, 20

SICK = 10
"""So many gateways have mute meters behind them: a twentieth of all meters falls silent."""


class Meter:
    """Twenty registers that differ with every read, and the moments they were read at."""

    def __init__(self, unit: int) -> None:
        self.mute = False
        self.asked: list[float] = []
        self._base = unit

    def read(self, space: Space, address: int, count: int) -> Sequence[int]:
        """Return registers; power and frequency move with each read."""
        if space is not Space.INPUT or address + count > REGISTERS:
            raise ModbusRefusal(2)
        moving = len(self.asked) % 50
        image = [0, 1000 + self._base + moving, 0, 300, 0, 300, 0, 400, 0, 2300]
        image += [0, 2310, 0, 2290, 0, 5000 + moving, 0, 100, 0, 0]
        return image[address : address + count]


async def main() -> None:
    """Serve until standard input ends."""
    meters = [{unit: Meter(unit) for unit in range(1, UNITS + 1)} for _ in range(GATEWAYS)]
    servers = []
    for number, faces in enumerate(meters):
        gateway = Gateway(f"g{number}", "127.0.0.1", 0)
        server = GatewayServer(gateway, faces, _delay)  # type: ignore[arg-type]  # a Meter reads as a Face does
        await server.open()
        servers.append(server)
    print(json.dumps([server.port for server in servers]), flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        order = json.loads(line)
        if order == "break":
            for faces in meters[:SICK]:
                for unit in range(5, UNITS, UNITS * SICK * 20 // (UNITS * GATEWAYS)):
                    faces[unit].mute = True
            await servers[-1].close()
            print("{}", flush=True)
        else:
            asked = [[faces[unit].asked for unit in sorted(faces)] for faces in meters]
            mute = [[faces[unit].mute for unit in sorted(faces)] for faces in meters]
            print(json.dumps({"asked": asked, "mute": mute}), flush=True)


def _delay(meter: Meter) -> float | None:
    meter.asked.append(time.monotonic())
    return None if meter.mute else 0.0


if __name__ == "__main__":
    asyncio.run(main())
