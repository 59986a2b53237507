"""Asking a device during a command: ahead of polls, patient where it is busy."""

from __future__ import annotations

import asyncio
from datetime import datetime

from drivers.codec import WriteMessage
from drivers.line import GATEWAY_CODES, Priority
from drivers.session import DeviceSession, Result, describe
from drivers.transport import EXCEPTIONS, Broken, Refusal, Reply
from ems.domain.setpoints import Rejected, Unreachable

NOT_NOW = (4, 6, *GATEWAY_CODES)
"""Exceptions that speak of the device's state, not of the request."""

BUSY_TRIES = 3
BUSY_WAIT_S = 0.2
"""How often a busy device is asked, and how long it is left in between [s, wall time]."""


async def look(session: DeviceSession, names: tuple[str, ...], now: datetime) -> Result:
    """Read points ahead of waiting polls, and whether a caching gateway hears the device."""
    link = session.profile.link_lost
    if link is not None:
        names = tuple(dict.fromkeys((*names, link[0])))
    result = await session.read(names, now, priority=Priority.WRITE)
    for _ in range(BUSY_TRIES - 1):
        if not _is_busy(result.fault):
            break
        await asyncio.sleep(BUSY_WAIT_S)
        result = await session.read(names, now, priority=Priority.WRITE)
    if result.fault is None:
        session.note_success()
    elif not isinstance(result.fault, Broken | Refusal):
        session.note_failure(result.fault)
    return result


def _is_busy(reply: Reply | None) -> bool:
    return isinstance(reply, Refusal) and reply.code == 6


async def patiently(session: DeviceSession, message: WriteMessage) -> Reply:
    """Send a write; again where the device is busy."""
    reply: Reply = await session.write(message)
    for _ in range(BUSY_TRIES - 1):
        if not _is_busy(reply):
            break
        await asyncio.sleep(BUSY_WAIT_S)
        reply = await session.write(message)
    return reply


def failure(reply: Reply) -> Rejected | Unreachable:
    """Return the outcome that a reply which is no answer stands for."""
    if isinstance(reply, Refusal) and reply.code not in NOT_NOW:
        return Rejected(reply.code, EXCEPTIONS.get(reply.code, "not defined"))
    return Unreachable(describe(reply))
