"""Registers to values, readably; the twin of the kernel ``ext/_decode.pyx``.

Notation: ``raw`` is the unsigned whole of a value's registers, ``number`` what it stands
for, ``f`` the content of a scale-factor register as a signed number::

    value = sign * (number * scale * 10**f + offset)

after which a maker's codes are mapped onto canonical ones and the range is judged. All
arithmetic is that of 64-bit floats in this order, so that both twins agree to the bit.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from ems.domain.readings import Quality

NO_SCALE_FACTOR = 0x8000
"""What a scale-factor register holds where its points are not available."""

GREATEST_EXPONENT = 10
"""SunSpec allows scale factors of -10 to 10."""

_FLOATS = {2: struct.Struct(">f"), 4: struct.Struct(">d")}


class Kind(IntEnum):
    """What the raw whole of a value stands for."""

    UNSIGNED = 0
    SIGNED = 1
    """Two's complement."""
    FLOAT = 2
    """IEEE 754, 32 bits in two registers or 64 in four."""
    SIGN_MAGNITUDE_10000 = 3
    """Raw values from 10000 up mean minus (raw - 10000)."""
    OPPOSED_INT16 = 4
    """Two signed registers: minus the value, then the value; another pair is no number."""


@dataclass(frozen=True, slots=True)
class ValueSpec:
    """How the registers of one value become a number in its unit.

    Attributes
    ----------
    kind, registers
        What the raw whole stands for, and how many 16-bit registers (or bits) it takes.
    high_word_first, high_byte_first
        Order of registers in the value and of bytes in a register.
    scale, offset, sign
        Linear conversion; ``sign`` is +1 or -1.
    has_factor
        Whether a register with a power of ten goes with it.
    sentinels
        Raw wholes that mean "not available".
    codes
        Maker's code → canonical code; ``None`` where numbers stand for themselves.
    keep_other_codes
        Codes that ``codes`` does not list pass unchanged.
    low, high
        Plausible range.
    """

    kind: Kind
    registers: int = 1
    high_word_first: bool = True
    high_byte_first: bool = True
    scale: float = 1.0
    offset: float = 0.0
    sign: int = 1
    has_factor: bool = False
    sentinels: tuple[int, ...] = ()
    codes: Mapping[int, int] | None = None
    keep_other_codes: bool = False
    low: float = -math.inf
    high: float = math.inf


@dataclass(frozen=True, slots=True)
class Slot:
    """Where one value lies in the register image of a device.

    Attributes
    ----------
    spec
        How it is decoded.
    block, position
        Which of the device's blocks holds it, and the index of its first register in the
        image, which is all blocks one after another.
    factor_block, factor_position
        The same of its scale factor; -1 where it has none.
    """

    spec: ValueSpec
    block: int
    position: int
    factor_block: int = -1
    factor_position: int = -1


def ratio(scale: float) -> tuple[float, float]:
    """Return multiplier and divisor of a scale, dividing where that is exact.

    215 at a scale of 0.1 is 21.5, not 21.500000000000004.
    """
    if abs(scale) < 1:
        inverse = 1.0 / scale
        return (1.0, float(round(inverse))) if _is_whole(inverse) else (scale, 1.0)
    return (float(round(scale)), 1.0) if _is_whole(scale) else (scale, 1.0)


def scaled(number: float, scale: float, exponent: int) -> float:
    """Return ``number * scale * 10**exponent``."""
    multiplier, divisor = ratio(scale)
    number = number * multiplier / divisor
    power = 10.0 ** abs(exponent)
    return number / power if exponent < 0 else number * power


def raw_whole(spec: ValueSpec, registers: Sequence[int]) -> int:
    """Return the unsigned whole that registers, as they came, make."""
    raw = 0
    for register in registers if spec.high_word_first else reversed(registers):
        word = register if spec.high_byte_first else (register & 0xFF) << 8 | register >> 8
        raw = raw << 16 | word
    return raw


def to_number(kind: Kind, registers: int, raw: int) -> float:
    """Return the number that a raw whole stands for, ``nan`` where it stands for none."""
    if kind is Kind.FLOAT:
        return float(_FLOATS[registers].unpack(raw.to_bytes(2 * registers))[0])
    if kind is Kind.SIGNED and raw >> (16 * registers - 1):
        return float(raw - (1 << 16 * registers))
    if kind is Kind.SIGN_MAGNITUDE_10000 and raw >= 10000:
        return float(10000 - raw)
    if kind is Kind.OPPOSED_INT16:
        opposite, same = raw >> 16, raw & 0xFFFF
        if (opposite + same) & 0xFFFF:
            return math.nan
        return float(same - 0x10000 if same >> 15 else same)
    return float(raw)


def decode_value(
    spec: ValueSpec, registers: Sequence[int], factor: int | None = None
) -> tuple[float, Quality]:
    """Return value and quality of one point.

    Parameters
    ----------
    spec
        How it is decoded.
    registers
        Its 16-bit registers (or its single bit), as they came.
    factor
        The raw scale-factor register where it has one.

    Returns
    -------
    tuple[float, Quality]
        ``SENTINEL``, and ``OUT_OF_RANGE`` without a meaning, come with ``nan``; an
        implausible number comes as it is, marked ``OUT_OF_RANGE``.
    """
    raw = raw_whole(spec, registers)
    number = to_number(spec.kind, spec.registers, raw)
    if raw in spec.sentinels or math.isnan(number):
        return math.nan, Quality.SENTINEL
    exponent = 0
    if spec.has_factor:
        if factor is None or factor == NO_SCALE_FACTOR:
            return math.nan, Quality.SENTINEL
        exponent = factor - 0x10000 if factor > 0x7FFF else factor
    if math.isinf(number) or abs(exponent) > GREATEST_EXPONENT:
        return math.nan, Quality.OUT_OF_RANGE
    value = spec.sign * (scaled(number, spec.scale, exponent) + spec.offset)
    value += 0.0  # turns a flipped -0.0 into 0.0
    if not math.isfinite(value):
        return math.nan, Quality.OUT_OF_RANGE
    if spec.codes is not None:
        meaning = spec.codes.get(round(value))
        if meaning is not None:
            value = float(meaning)
        elif not spec.keep_other_codes:
            return math.nan, Quality.OUT_OF_RANGE
    return value, Quality.GOOD if spec.low <= value <= spec.high else Quality.OUT_OF_RANGE


def decode_images(
    slots: Sequence[Slot],
    images: Sequence[Sequence[int]],
    answered: Sequence[Sequence[bool]],
) -> list[list[tuple[float, Quality]]]:
    """Decode the images of many devices of one make.

    Parameters
    ----------
    slots
        Where the values lie.
    images
        One for each device: its registers, block after block.
    answered
        One for each device: which of its blocks were answered.

    Returns
    -------
    list[list[tuple[float, Quality]]]
        For each device a value and its quality for each slot; ``NO_ANSWER`` where a block
        that it needs was not answered.
    """
    return [
        [_decode_slot(slot, image, blocks) for slot in slots]
        for image, blocks in zip(images, answered, strict=True)
    ]


def _decode_slot(
    slot: Slot, image: Sequence[int], answered: Sequence[bool]
) -> tuple[float, Quality]:
    if not answered[slot.block]:
        return math.nan, Quality.NO_ANSWER
    factor = None
    if slot.spec.has_factor:
        if not answered[slot.factor_block]:
            return math.nan, Quality.NO_ANSWER
        factor = image[slot.factor_position]
    words = image[slot.position : slot.position + slot.spec.registers]
    return decode_value(slot.spec, words, factor)


def _is_whole(number: float) -> bool:
    return abs(number - round(number)) < 1e-9 * abs(number)
