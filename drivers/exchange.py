"""Asking a device during a command: ahead of polls, patient where it is busy."""

from __future__ import annotations

import asyncio
from datetime import datetime

from drivers.codec import WriteMessage
from drivers.line import GATEWAY_CODES, Priority
from drivers.orders import Basis
from drivers.session import DeviceSession, Result, describe
from drivers.transport import EXCEPTIONS, Broken, Refusal, Reply
from ems.domain.setpoints import Overtaken, Rejected, Unreachable

NOT_NOW = (4, 6, *GATEWAY_CODES)
"""Exceptions that speak of the device's state, not of the request."""

BUSY = 6
BUSY_TRIES = 3
BUSY_WAIT_S = 0.2
"""How often a busy device is asked, and how long it is left in between [s, wall time]."""

NotSent = Overtaken | Rejected | Unreachable
"""What comes of a write that was held back."""


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


def _is_busy(reply: Reply | NotSent | None) -> bool:
    return isinstance(reply, Refusal) and reply.code == BUSY


async def patiently(
    session: DeviceSession, message: WriteMessage, now: datetime, basis: Basis | None = None
) -> Reply | NotSent:
    """Send a write; again where the device is busy.

    With a ``basis`` the point is read first, in the same turn of the line, and nothing is
    sent where it cannot be read or somebody has changed it.
    """
    answer: Reply | NotSent = Refusal(BUSY)
    for attempt in range(BUSY_TRIES):
        if attempt:
            await asyncio.sleep(BUSY_WAIT_S)
        held = Result({})
        async with session.line.turn():
            if basis is not None:
                held = await session.read((basis.point,), now, priority=Priority.WRITE)
            answer = stopped(held, basis) or await session.write(message)
        if not (_is_busy(held.fault) or _is_busy(answer)):
            break
    return answer


def failure(reply: Reply) -> Rejected | Unreachable:
    """Return the outcome that a reply which is no answer stands for."""
    if isinstance(reply, Refusal) and reply.code not in NOT_NOW:
        return Rejected(reply.code, EXCEPTIONS.get(reply.code, "not defined"))
    return Unreachable(describe(reply))


def stopped(held: Result, basis: Basis | None) -> NotSent | None:
    """Return why a write is not sent after a look; ``None`` where nothing keeps from it."""
    if held.fault is not None:
        return failure(held.fault)
    found = None if basis is None else basis.overtaken_by(held)
    return None if found is None else Overtaken(found)
