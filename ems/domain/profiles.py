"""Device profiles: a register map as data.

A profile tells how the canonical points of a device class are found in one
make's Modbus registers, and how they may safely be written. Profiles are YAML
in ``config/devices``; :mod:`ems.settings.profiles` reads them,
:mod:`drivers.codec` decodes and encodes with them, and the simulated field
serves the same maps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from ems.domain.points import DeviceClass


class Space(StrEnum):
    """Modbus data tables."""

    COIL = "coil"
    DISCRETE = "discrete"
    HOLDING = "holding"
    INPUT = "input"


class DataType(StrEnum):
    """The closed set of named decoders."""

    BOOL = "bool"
    INT16 = "int16"
    UINT16 = "uint16"
    INT32 = "int32"
    UINT32 = "uint32"
    INT64 = "int64"
    UINT64 = "uint64"
    FLOAT32 = "float32"
    SIGN_MAGNITUDE_10000 = "sign_magnitude_10000"
    """Raw values from 10000 up mean minus (raw - 10000)."""
    OPPOSED_INT16 = "opposed_int16"
    """Two registers, signed: minus the value, then the value; any other pair is no value."""
    SG_READY_CONTACTS = "sg_ready_contacts"
    """Two coils, first and second contact of SG Ready, written together."""

    @property
    def registers(self) -> int:
        """How many 16-bit registers (or bits) one value takes."""
        return _REGISTERS.get(self, 1)


_REGISTERS = {
    DataType.INT32: 2,
    DataType.UINT32: 2,
    DataType.FLOAT32: 2,
    DataType.OPPOSED_INT16: 2,
    DataType.SG_READY_CONTACTS: 2,
    DataType.INT64: 4,
    DataType.UINT64: 4,
}


SG_READY_CONTACTS = {0x0_0000: 2, 0x0_0001: 3, 0x1_0000: 1, 0x1_0001: 4}
"""Both contacts as one whole, the first in its upper half → SG Ready mode: 00 normal, 01
encouraged, 10 blocked, 11 ordered."""


class Confidence(StrEnum):
    """How sure an address is: A two sources, B one, C uncertain."""

    A = "A"
    B = "B"
    C = "C"


class Rounding(StrEnum):
    """How a value between two steps is brought onto a step."""

    NEAREST = "nearest"
    UP = "up"
    """Never below what was asked for: a room setpoint that rounds down may break a floor."""


class Transport(StrEnum):
    """How a device may be reached."""

    TCP = "tcp"
    RTU = "rtu"
    RTU_OVER_TCP = "rtu_over_tcp"
    TLS = "tls"
    VENDOR = "vendor"
    """A framing of the maker's own: only through a gateway that translates it."""


class Cadence(StrEnum):
    """How often a point is read; the service maps each to seconds."""

    FAST = "fast"
    NORMAL = "normal"
    SLOW = "slow"


@dataclass(frozen=True, slots=True)
class IdentityCheck:
    """A register that tells model or firmware; to be right before anything is written.

    Attributes
    ----------
    what
        What it tells, in words, e.g. ``type of unit``.
    space, address
        Where it is: one register.
    accepted
        Values, under ``mask``, for which the profile is known to fit.
    mask
        Bits that count.
    """

    what: str
    space: Space
    address: int
    accepted: tuple[int, ...]
    mask: int = 0xFFFF

    def fits(self, register: int) -> bool:
        """Return whether a register's content is that of a device of this profile."""
        return register & self.mask in self.accepted


@dataclass(frozen=True, slots=True)
class WriteRule:
    """How a point may be written.

    Attributes
    ----------
    low, high, step
        Permitted engineering values and their resolution, in the point's unit.
    persists
        The value stays for ever unless someone writes another; ``False`` where the
        device lapses by itself after ``reverts_after_s``.
    reverts_after_s
        Documented lapse [s] where ``persists`` is false.
    refresh_s
        Rewrite at least this often [s]; ``None`` where not needed.
    min_interval_s
        Flash protection: Hearth's price-driven writes are at least this far apart [s].
    tolerance
        Greatest difference between what was written and what is read back.
    settle_s
        Wait this long [s] before reading back.
    fallback
        The device's own power-on or fall-back value, where known.
    rounding
        How a value between two steps is brought onto a step.
    """

    low: float
    high: float
    step: float
    persists: bool = True
    reverts_after_s: float | None = None
    refresh_s: float | None = None
    min_interval_s: float = 0.0
    tolerance: float = 0.0
    settle_s: float = 0.0
    fallback: float | None = None
    rounding: Rounding = Rounding.NEAREST


@dataclass(frozen=True, slots=True)
class PointMap:
    """Where one canonical point lives and how its registers become a value.

    ``value = sign * (raw * scale * 10**scale_factor + offset)``, then ``codes``
    maps makers' enumerations onto canonical codes.

    Attributes
    ----------
    point
        Canonical name (:data:`ems.domain.points.POINTS`).
    space, address, data_type
        Data table, 0-based PDU address, decoder.
    scale, offset, sign
        Linear conversion to the canonical unit; ``sign`` is +1 or -1.
    scale_factor_address
        Address of a SunSpec ``sunssf`` register in the same space, or ``None``.
    served_scale_factor
        The exponent that the simulated field puts into that register; drivers never use
        it, they read the register.
    sentinels
        Raw values (unsigned, whole width) that mean "not available".
    codes
        Maker's code → canonical code, for states; ``None`` where they agree. Where two
        codes mean the same, the one listed first is written. A code that is not listed
        is ``OUT_OF_RANGE``, unless ``keep_other_codes``.
    keep_other_codes
        Codes that ``codes`` does not list pass unchanged.
    cadence
        How often to read it.
    confidence
        How sure the address is.
    write
        How it may be written; ``None`` where it may only be read.
    unit_id
        Unit id where this point is served under another one than the device's own.
    repeat
        How many times the value stands one after another and is written together
        (e.g. a minimum and a maximum that must be equal); the first is read back.
    lead
        Raw registers written before the value in the same FC16 message: ``address`` is
        the value's own, the message starts ``len(lead)`` registers before it.
    max_rise_per_h
        For counters: greatest physical rise an hour, in the point's unit; a faster rise
        is ``OUT_OF_RANGE``.
    moves_within_s
        For live measurements: the value changes at least this often [s]; one that stands
        for longer is ``STALE``, and so is all that a device says when each such point
        stands still. ``None`` where it may stand for ever.
    write_only
        The register cannot be read: it is not polled, and a write to it is not confirmed.
    sources
        Which of the profile's sources say so, counted from 0; empty for all of them.
    """

    point: str
    space: Space
    address: int
    data_type: DataType
    scale: float = 1.0
    offset: float = 0.0
    sign: int = 1
    scale_factor_address: int | None = None
    served_scale_factor: int = 0
    sentinels: tuple[int, ...] = ()
    codes: Mapping[int, int] | None = None
    keep_other_codes: bool = False
    cadence: Cadence = Cadence.NORMAL
    confidence: Confidence = Confidence.A
    write: WriteRule | None = None
    unit_id: int | None = None
    repeat: int = 1
    lead: tuple[int, ...] = ()
    max_rise_per_h: float | None = None
    moves_within_s: float | None = None
    write_only: bool = False
    sources: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class SignedSplit:
    """A signed power that a device takes as a direction and a power without a sign.

    The power is written first, the direction last: it is what the device acts on.

    Attributes
    ----------
    direction
        The point that holds the direction; it lapses by itself.
    idle, charge, discharge
        Its codes for 0 W, for positive and for negative power.
    charge_power, discharge_power
        The points that hold the power [W], never negative.
    write
        Bounds of the signed power; it lapses as the direction does.
    """

    direction: str
    idle: int
    charge: int
    discharge: int
    charge_power: str
    discharge_power: str
    write: WriteRule

    @property
    def parts(self) -> tuple[str, str, str]:
        """All points that it writes."""
        return self.charge_power, self.discharge_power, self.direction

    def split(self, value: float) -> tuple[tuple[str, float], ...]:
        """Return the points and values, in order, that ask for ``value`` [W]."""
        if value > 0:
            return (self.charge_power, value), (self.direction, self.charge)
        if value < 0:
            return (self.discharge_power, -value), (self.direction, self.discharge)
        return ((self.direction, self.idle),)

    def joined(self, values: Mapping[str, float]) -> float:
        """Return the signed power that points hold [W]; ``nan`` where they tell none."""
        direction = values.get(self.direction, math.nan)
        if direction == self.idle:
            return 0.0
        if direction == self.charge:
            return values.get(self.charge_power, math.nan)
        if direction == self.discharge:
            return -values.get(self.discharge_power, math.nan)
        return math.nan


@dataclass(frozen=True, slots=True)
class DeviceProfile:
    """One make's register map.

    Attributes
    ----------
    id
        Key used in the estate's configuration, e.g. ``eastron_sdm120``.
    vendor, model
        As printed on the device.
    device_class
        Which canonical points it may have.
    points
        By canonical name.
    high_word_first
        Word order of values wider than a register.
    max_block
        Greatest number of registers in one read.
    bridge_gaps
        Whether a block read may cross addresses that no point uses: the device answers
        for them (with whatever it likes).
    constants
        Registers with fixed contents by space and address: markers and model headers;
        served by the simulated field.
    identified_by
        Addresses of the constants by which drivers make sure, before anything else, that
        this is such a device.
    write_function
        ``"auto"`` (FC06 for one register, FC16 for more) or ``"fc16"``.
    enter_control
        Canonical writes (point, value) sent once before the first command, in order.
    release
        Canonical writes (point, value) that hand the device back to its own control,
        where that does not depend on the home.
    write_groups
        Points whose registers follow one another and are only accepted together, in one
        message; each group in order of address.
    composed
        Points that no single register holds: canonical state → flags in order of
        precedence, as (flag point, code). The first flag that is on decides; 0 where none
        is. The flags are points of this profile.
    encoded
        Points that are written as several others, by name.
    link_lost
        A (point, value) by which a caching gateway says that it no longer hears the
        device behind it: its other values are then ``STALE``.
    sources
        Where the addresses come from.
    transports
        How it may be reached; empty where nothing is known.
    tcp_port, serial, unit_id
        As delivered: port, serial line (e.g. ``9600 8N1``) and unit id; ``None`` where not
        known or set during installation.
    one_connection
        It serves one client only, and a second one throws the first out.
    after_connect_s, between_frames_s
        Pause after connecting and between two requests [s, wall time].
    timeout_s
        How long it may take to answer [s, wall time]; ``None`` where the gateway's own
        time is enough.
    identity
        What must be right before anything is written.
    setup
        What must be set at the device by hand, a sentence each.
    discovery
        ``"sunspec"`` where the addresses are found on the device by walking its models; those
        of the profile are then a nominal device's. ``None`` where they are fixed.
    """

    id: str
    vendor: str
    model: str
    device_class: DeviceClass
    points: Mapping[str, PointMap]
    high_word_first: bool = True
    max_block: int = 125
    bridge_gaps: bool = False
    constants: Mapping[Space, Mapping[int, int]] | None = None
    identified_by: Mapping[Space, tuple[int, ...]] | None = None
    write_function: str = "auto"
    enter_control: tuple[tuple[str, float], ...] = ()
    release: tuple[tuple[str, float], ...] = ()
    write_groups: tuple[tuple[str, ...], ...] = ()
    composed: Mapping[str, tuple[tuple[str, int], ...]] | None = None
    encoded: Mapping[str, SignedSplit] | None = None
    link_lost: tuple[str, float] | None = None
    sources: tuple[str, ...] = ()
    transports: tuple[Transport, ...] = ()
    tcp_port: int | None = None
    serial: str | None = None
    unit_id: int | None = None
    one_connection: bool = False
    after_connect_s: float = 0.0
    between_frames_s: float = 0.0
    timeout_s: float | None = None
    identity: tuple[IdentityCheck, ...] = ()
    setup: tuple[str, ...] = ()
    discovery: str | None = None

    def write_rule(self, name: str) -> WriteRule | None:
        """Return how a point may be written, be it one register or several points."""
        split = (self.encoded or {}).get(name)
        if split is not None:
            return split.write
        point = self.points.get(name)
        return None if point is None else point.write

    def written_as(self, name: str, value: float) -> tuple[tuple[str, float], ...]:
        """Return the points and values, in order, that mean ``value`` at ``name``."""
        split = (self.encoded or {}).get(name)
        return ((name, value),) if split is None else split.split(value)

    def read_as(self, name: str, values: Mapping[str, float]) -> float:
        """Return what points that hold ``values`` mean at ``name``; ``nan`` if nothing."""
        split = (self.encoded or {}).get(name)
        return values.get(name, math.nan) if split is None else split.joined(values)

    def to_confirm(self, name: str) -> tuple[str, ...]:
        """Return the points of which an operator must confirm the address before a write.

        Those rated C; and where one command takes several points, those of one source too.
        """
        split = (self.encoded or {}).get(name)
        sure = (Confidence.A, Confidence.B) if split is None else (Confidence.A,)
        parts = (name,) if split is None else split.parts
        return tuple(
            part
            for part in parts
            if (point := self.points.get(part)) is not None and point.confidence not in sure
        )
