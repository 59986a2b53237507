"""Values ↔ registers: pure, for the closed set of decoders.

``value = sign * (raw * scale * 10**scale_factor + offset)``; makers' codes are then
mapped onto canonical ones. The simulated field encodes with the same functions that
drivers decode with; that addresses and scales are right is shown by golden files.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ems.domain.errors import InvalidInputError
from ems.domain.points import POINTS
from ems.domain.profiles import (
    SG_READY_CONTACTS,
    DataType,
    DeviceProfile,
    PointMap,
    Space,
)
from ems.domain.readings import Quality
from ext.decode_reference import Kind, ValueSpec, decode_value, scaled

KINDS = {
    DataType.BOOL: Kind.UNSIGNED,
    DataType.INT16: Kind.SIGNED,
    DataType.UINT16: Kind.UNSIGNED,
    DataType.INT32: Kind.SIGNED,
    DataType.UINT32: Kind.UNSIGNED,
    DataType.INT64: Kind.SIGNED,
    DataType.UINT64: Kind.UNSIGNED,
    DataType.FLOAT32: Kind.FLOAT,
    DataType.SIGN_MAGNITUDE_10000: Kind.SIGN_MAGNITUDE_10000,
    DataType.OPPOSED_INT16: Kind.OPPOSED_INT16,
    DataType.SG_READY_CONTACTS: Kind.UNSIGNED,
}
"""What the raw whole of each named decoder stands for."""

_SIGNED = frozenset({DataType.INT16, DataType.INT32, DataType.INT64})
_FLOAT_NAN = 0x7FC00000
_FLOAT = struct.Struct(">f")

Decoded = tuple[float, Quality]
"""A value in the point's unit and how far it may be trusted."""


@dataclass(frozen=True, slots=True)
class PointCodec:
    """Decodes and encodes one point of one profile.

    Attributes
    ----------
    point
        Where it lives and how its registers become a value.
    low, high
        Plausible range of the canonical point.
    high_word_first
        Word order of values wider than a register.
    spec
        The same for :mod:`ext.decode` and its twin.
    """

    point: PointMap
    low: float
    high: float
    high_word_first: bool
    _code_of: Mapping[int, int] = field(repr=False, default_factory=dict)
    spec: ValueSpec = field(init=False, repr=False)

    def __post_init__(self) -> None:
        point = self.point
        spec = ValueSpec(
            KINDS[point.data_type],
            point.data_type.registers,
            high_word_first=self.high_word_first,
            scale=point.scale,
            offset=point.offset,
            sign=point.sign,
            has_factor=point.scale_factor_address is not None,
            sentinels=point.sentinels,
            codes=point.codes,
            keep_other_codes=point.keep_other_codes,
            low=self.low,
            high=self.high,
        )
        object.__setattr__(self, "spec", spec)

    def decode(self, registers: Sequence[int], scale_factor: int | None = None) -> Decoded:
        """Return value and quality.

        Parameters
        ----------
        registers
            As many 16-bit registers (or single bits) as the data type takes.
        scale_factor
            The raw ``sunssf`` register where the point has one.

        Returns
        -------
        tuple[float, Quality]
            ``SENTINEL`` and ``OUT_OF_RANGE`` without a meaning come with ``nan``; an
            implausible number comes as it is, marked ``OUT_OF_RANGE``.
        """
        return decode_value(self.spec, registers, scale_factor)

    def encode(self, value: float, exponent: int | None = None) -> list[int]:
        """Return the registers (or the bit) that mean ``value``.

        Parameters
        ----------
        value
            In the point's unit. ``nan`` gives the device's code for "not available".
        exponent
            The scale factor in force where the point has one; the profile's
            ``served_scale_factor`` if left out.

        Raises
        ------
        InvalidInputError
            Where the registers cannot hold the value, or ``nan`` has no code.
        """
        point = self.point
        if math.isnan(value):
            return self._words(self._sentinel())
        number = self._maker_code(value) if point.codes is not None else value
        number = number / point.sign - point.offset
        if point.scale_factor_address is None:
            exponent = 0
        elif exponent is None:
            exponent = point.served_scale_factor
        number = scaled(number, 1.0 / point.scale, -exponent)
        if point.data_type is DataType.FLOAT32:
            return self._words(self._float_raw(number, value))
        raw = _to_raw(point.data_type, round(number))
        if raw is None or raw in point.sentinels:
            raise InvalidInputError(
                "the registers cannot hold this value",
                field=point.point,
                value=value,
                remedy=f"Use a value that fits {point.data_type} scaled by {point.scale}.",
            )
        return self._words(raw)

    def _maker_code(self, value: float) -> float:
        codes = self.point.codes or {}
        if round(value) in self._code_of:
            return float(self._code_of[round(value)])
        if self.point.keep_other_codes and round(value) not in codes:
            return value
        raise InvalidInputError(
            "the device has no code for this state",
            field=self.point.point,
            value=value,
            remedy=f"Use one of {sorted(self._code_of)}.",
        )

    def _float_raw(self, number: float, value: float) -> int:
        try:
            return int.from_bytes(_FLOAT.pack(number))
        except (OverflowError, struct.error):
            raise InvalidInputError(
                "a 32-bit float cannot hold this value",
                field=self.point.point,
                value=value,
                remedy="Use a finite value below 3.4e38.",
            ) from None

    def _sentinel(self) -> int:
        if self.point.sentinels:
            return self.point.sentinels[0]
        if self.point.data_type is DataType.FLOAT32:
            return _FLOAT_NAN
        raise InvalidInputError(
            "this point has no code for a missing value",
            field=self.point.point,
            value="nan",
            remedy="Encode a number, or do not answer at all.",
        )

    def _words(self, raw: int) -> list[int]:
        count = self.point.data_type.registers
        words = [raw >> 16 * (count - 1 - index) & 0xFFFF for index in range(count)]
        return words if self.high_word_first else words[::-1]


def codecs(profile: DeviceProfile) -> dict[str, PointCodec]:
    """Return a codec for each point of a profile."""
    made = {}
    for name, mapped in profile.points.items():
        canonical = POINTS[profile.device_class][name]
        point, high_word_first = mapped, profile.high_word_first
        if point.data_type is DataType.SG_READY_CONTACTS:
            point, high_word_first = replace(point, codes=SG_READY_CONTACTS), True
        code_of: dict[int, int] = {}
        for code, meaning in (point.codes or {}).items():
            code_of.setdefault(meaning, code)
        made[name] = PointCodec(point, canonical.low, canonical.high, high_word_first, code_of)
    return made


@dataclass(frozen=True, slots=True)
class WriteMessage:
    """One write request: ``values`` are registers, or bits for coils."""

    space: Space
    address: int
    values: tuple[int, ...]
    unit_id: int | None = None


def write_message(profile: DeviceProfile, values: Mapping[str, float]) -> WriteMessage:
    """Return the one message that writes these points.

    Parameters
    ----------
    profile
        The device's register map.
    values
        A single point, or all points of one of the profile's write groups, in their
        units.

    Raises
    ------
    InvalidInputError
        Where the points do not form one message or a value cannot be encoded.
    """
    made = codecs(profile)
    names = tuple(values)
    if len(names) > 1:
        group = next((group for group in profile.write_groups if set(group) == set(names)), None)
        if group is None:
            raise InvalidInputError(
                "these points are not written together",
                field=profile.id,
                value=names,
                remedy="Write each alone, or all points of a write group.",
            )
        names = group
    registers: list[int] = []
    for name in names:
        point = profile.points[name]
        registers.extend(point.lead)
        registers.extend(made[name].encode(values[name]) * point.repeat)
    first = profile.points[names[0]]
    return WriteMessage(
        first.space, first.address - len(first.lead), tuple(registers), first.unit_id
    )


def register_image(
    profile: DeviceProfile, values: Mapping[str, float]
) -> dict[Space, dict[int, int]]:
    """Return what a device that has these values holds: space → address → register.

    Constants, scale factors, leads and repeats are included; points without a value are
    left out.
    """
    image: dict[Space, dict[int, int]] = {
        space: dict(registers) for space, registers in (profile.constants or {}).items()
    }
    for name, codec in codecs(profile).items():
        if name not in values:
            continue
        point = codec.point
        table = image.setdefault(point.space, {})
        words = [*point.lead, *codec.encode(values[name]) * point.repeat]
        start = point.address - len(point.lead)
        table.update(zip(range(start, start + len(words)), words, strict=True))
        if point.scale_factor_address is not None:
            table[point.scale_factor_address] = point.served_scale_factor & 0xFFFF
    return image


def _to_raw(data_type: DataType, number: int) -> int | None:
    """Return the unsigned whole that means ``number``, or ``None`` where none does."""
    if data_type is DataType.BOOL:
        return number if number in (0, 1) else None
    bits = 16 * data_type.registers
    if data_type is DataType.SIGN_MAGNITUDE_10000:
        if number < 0:
            return 10000 - number if 10000 - number <= 0xFFFF else None
        return number if number < 10000 else None
    if data_type is DataType.OPPOSED_INT16:
        return _opposed(number & 0xFFFF) if -0x7FFF <= number <= 0x7FFF else None
    low, high = 0, (1 << bits) - 1
    if data_type in _SIGNED:
        low, high = -(1 << bits - 1), (1 << bits - 1) - 1
    return number & (1 << bits) - 1 if low <= number <= high else None


def _opposed(low: int) -> int:
    """Return the whole of two registers of which the first is minus the second."""
    return (-low & 0xFFFF) << 16 | low
