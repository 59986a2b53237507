"""What may be written at all: certain addresses, on a device that is what its profile says.

Both are asked before every command, a release too: an address that means something else on
this device does harm whatever the intention.
"""

from __future__ import annotations

from collections.abc import Iterable

import structlog

from drivers.line import GATEWAY_CODES, Priority
from drivers.session import DeviceSession
from drivers.transport import Answer, Refusal, Reply
from ems.domain.profiles import IdentityCheck
from ems.domain.setpoints import NotWritten

log = structlog.get_logger(__name__)


def uncertain(session: DeviceSession, names: Iterable[str]) -> NotWritten | None:
    """Refuse points whose address is uncertain and that no operator has confirmed."""
    for name in names:
        for point in session.profile.to_confirm(name):
            if point not in session.device.confirmed_writes:
                rated = session.profile.points[point].confidence
                return NotWritten(
                    f"the address of {point} in {session.profile.id} is uncertain (confidence "
                    f"{rated}) and nobody has confirmed it: see confirmed_writes in the "
                    "configuration"
                )
    return None


class Identities:
    """Makes sure once that a device's model and firmware are those of its profile.

    A device that was lost is asked again: it may come back as another.
    """

    def __init__(self) -> None:
        self._known: dict[str, int] = {}
        self._refused: dict[str, str] = {}

    async def check(self, session: DeviceSession) -> NotWritten | Reply | None:
        """Return why a device may not be written; ``None`` where it may.

        A reply comes back where it stopped the check: nothing is known then.
        """
        checks, device_id = session.profile.identity, session.device.id
        if not checks or self._known.get(device_id) == session.losses:
            return None
        for check in checks:
            reply = await session.register(check.space, check.address, Priority.WRITE)
            if isinstance(reply, Answer):
                found = reply.values[0]
                if check.fits(found):
                    continue
                why = _wrong(session, check, found)
            elif isinstance(reply, Refusal) and reply.code not in (6, *GATEWAY_CODES):
                why = f"its {check.what} cannot be read (exception {reply.code})"
            else:
                return reply
            if self._refused.get(device_id) != why:
                self._refused[device_id] = why
                log.warning("device_not_written", device=device_id, why=why)
            return NotWritten(why)
        if self._refused.pop(device_id, None):
            log.info("device_written_again", device=device_id)
        self._known[device_id] = session.losses
        return None


def _wrong(session: DeviceSession, check: IdentityCheck, found: int) -> str:
    fits = ", ".join(str(value) for value in check.accepted)
    return (
        f"its {check.what} is {found & check.mask}, and {session.profile.id} is known to fit "
        f"{fits} only"
    )
