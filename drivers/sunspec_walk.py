"""The walk over a SunSpec device: marker, model after model, the bodies that matter.

Written over any function that reads holding registers, so that the polling session and the
commissioning tools use the same walk on their own connections.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from drivers.sunspec_models import HEADER, definition
from drivers.transport import Answer, Broken, Malformed, Refusal, Reply, Silence

MARKER = (0x5375, 0x6E53)
"""The letters SunS."""
BASES = (40000, 50000, 0)
"""Where the marker may stand, 0-based, in the order in which they are tried."""
END = 0xFFFF
MOST_MODELS = 120
"""No device has so many; whoever names more is not walked for ever."""
ILLEGAL = (1, 2, 3, 4)
"""Exceptions that say "not here"; some makers answer 4 for an address that is not there."""
CHUNK = 100
"""Registers read at once in a walk: every known device allows as many."""

ReadRegisters = Callable[[int, int], Awaitable[Reply]]
"""Reads ``count`` holding registers from an address of one unit."""


@dataclass(frozen=True, slots=True)
class PlacedModel:
    """A model on a device.

    Attributes
    ----------
    id
        Which model.
    address
        Of its id register, 0-based.
    length
        Registers of its body, as the device says.
    """

    id: int
    address: int
    length: int


@dataclass(frozen=True, slots=True)
class Layout:
    """What a walk found.

    Attributes
    ----------
    base
        Address of the marker.
    models
        In the order of the device.
    registers
        Address → register of the marker, all headers and the bodies that were read.
    """

    base: int
    models: tuple[PlacedModel, ...]
    registers: Mapping[int, int]

    def text(self, model: PlacedModel, point: str) -> str:
        """Return a string point, empty where it is not there."""
        known = definition(model.id)
        where = known.points.get(point) if known else None
        if where is None or where.kind != "string":
            return ""
        return text_at(self.registers, model.address + where.offset, where.size)

    @property
    def identity(self) -> dict[str, str]:
        """Maker, model, version and serial number, as the first common model says."""
        for model in self.models:
            if model.id == 1:
                names = {"vendor": "Mn", "model": "Md", "version": "Vr", "serial": "SN"}
                return {key: self.text(model, point) for key, point in names.items()}
        return {}


def text_at(registers: Mapping[int, int], address: int, size: int) -> str:
    """Return the text in ``size`` registers, without its padding."""
    raw = b"".join(registers.get(address + index, 0).to_bytes(2) for index in range(size))
    return raw.split(b"\0")[0].decode("utf-8", "replace").strip()


async def walk(
    read: ReadRegisters, bodies: Collection[int], bases: Sequence[int] = BASES
) -> Layout | Reply:
    """Find the marker and list the models; read the bodies of those named.

    Parameters
    ----------
    read
        Reads holding registers of the device.
    bodies
        Ids of models whose registers are wanted.
    bases
        Where to look for the marker.

    Returns
    -------
    Layout | Reply
        The layout, or the reply that stopped the walk: `Refusal` where the device answers
        but is no SunSpec device.
    """
    last: Reply = Malformed("not a SunSpec device: the marker SunS is at none of its addresses")
    for base in bases:
        reply = await read(base, 2)
        match reply:
            case Answer(values) if values == MARKER:
                return await _models(read, bodies, base)
            case Answer():
                continue
            case Refusal(code) if code in ILLEGAL:
                continue
            case _:
                return reply
    return last


async def _models(read: ReadRegisters, bodies: Collection[int], base: int) -> Layout | Reply:
    registers = {base: MARKER[0], base + 1: MARKER[1]}
    models: list[PlacedModel] = []
    address = base + 2
    while len(models) < MOST_MODELS:
        reply = await read(address, HEADER)
        if isinstance(reply, Refusal) and reply.code in ILLEGAL:
            reply = await read(address, 1)  # some end markers stand without their length
            if isinstance(reply, Refusal) and reply.code in ILLEGAL and models:
                break
        if not isinstance(reply, Answer):
            return reply
        if reply.values[0] in (END, 0):
            registers[address] = reply.values[0]
            break
        model = PlacedModel(reply.values[0], address, (*reply.values, END)[1])
        following = address + HEADER + model.length
        if following > 0xFFFF:
            return Malformed(f"model {model.id} at {address} has no possible length")
        registers[address], registers[address + 1] = model.id, model.length
        models.append(model)
        address = following
    else:
        return Malformed(f"more than {MOST_MODELS} models")
    if not models:
        return Malformed("a SunSpec device without models")
    fault: Reply | None = None
    for model in models:
        if model.id in bodies and fault is None:
            fault = await _body(read, model, registers)
    return fault or Layout(base, tuple(models), registers)


async def _body(
    read: ReadRegisters, model: PlacedModel, registers: dict[int, int]
) -> Silence | Malformed | Broken | Refusal | None:
    start, end = model.address + HEADER, model.address + HEADER + model.length
    while start < end:
        reply = await read(start, min(CHUNK, end - start))
        if isinstance(reply, Refusal) and reply.code in ILLEGAL:
            return None  # what is not there is mapped without it
        if not isinstance(reply, Answer):
            return reply
        registers.update(enumerate(reply.values, start))
        start += len(reply.values)
    return None
