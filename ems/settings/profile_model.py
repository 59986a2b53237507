"""The form of a device profile's file.

Only what a single key may hold is said here; what several keys must agree on is in
:mod:`ems.settings.profile_checks`; :mod:`ems.settings.profile_schema` publishes it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ems.domain.points import DeviceClass
from ems.domain.profiles import Cadence, Confidence, DataType, Rounding, Space, Transport

Found = tuple[str, str, Any, str]
"""A fault: where in the file, problem, value, remedy."""

Register = Annotated[int, Field(ge=0, le=0xFFFF)]
UnitId = Annotated[int, Field(ge=1, le=247)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Sentence = Annotated[str, Field(min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class WriteSection(_Strict):
    """How a point may be written."""

    low: Finite
    """Least permitted value, in the point's unit."""
    high: Finite
    """Greatest permitted value, in the point's unit."""
    step: Positive
    """Resolution of permitted values, in the point's unit."""
    persists: bool
    """Whether the value stays until another is written; false where it lapses by itself."""
    reverts_after_s: Positive | None = None
    """After how long the value lapses by the maker's account [s]; only where it does."""
    refresh_s: Positive | None = None
    """Written again at least this often [s]."""
    min_interval_s: Seconds = 0.0
    """Least time between two writes that only follow prices [s]: registers wear out."""
    tolerance: Seconds = 0.0
    """How far the value read back may differ, in the point's unit."""
    settle_s: Seconds = 0.0
    """Wait before reading back [s]."""
    fallback: Finite | None = None
    """The device's own value after power-on or when a command lapses, where known."""
    rounding: Rounding = Rounding.NEAREST
    """Onto which step a value between two is brought; up: never below what was asked for."""


class PointSection(_Strict):
    """Where a canonical point is, and how its registers become a value.

    value = sign * (raw * scale * 10**scale factor + offset); codes come last.
    """

    space: Space
    """Data table: FC01 coil, FC02 discrete, FC03 holding, FC04 input."""
    address: Register
    """0-based address in the request, not a manual's 30001 or 40001."""
    type: DataType
    """Decoder."""
    unit: str = ""
    """Unit of the canonical point; left out where it is a code."""
    scale: Finite = 1.0
    """Factor from the register's number to the unit."""
    offset: Finite = 0.0
    """Added after scaling, in the unit."""
    sign: Literal[-1, 1] = 1
    """-1 where the maker counts the other way round: consumption is positive."""
    scale_factor_address: Register | None = None
    """Register in the same table that holds a power of ten as int16."""
    served_scale_factor: Annotated[int, Field(ge=-10, le=10)] = 0
    """What the simulated device puts into that register; drivers read it instead."""
    sentinels: tuple[Annotated[int, Field(ge=0)], ...] = ()
    """Raw values (unsigned, whole width) that mean "not available"."""
    codes: dict[int, int] | None = None
    """Maker's code to canonical code, for states; the first of each meaning is written."""
    keep_other_codes: bool = False
    """Codes that are not listed pass unchanged instead of being out of range."""
    cadence: Cadence
    """How often it is read."""
    confidence: Confidence
    """A: two sources agree; B: one source; C: uncertain."""
    sources: tuple[Annotated[int, Field(ge=1)], ...] = ()
    """Which of the profile's sources say so, counted from 1; all of them if left out."""
    write: WriteSection | None = None
    """How it may be written; left out where it may only be read."""
    write_only: bool = False
    """The register cannot be read."""
    unit_id: UnitId | None = None
    """Unit id of this point where it is not the device's own."""
    repeat: Annotated[int, Field(ge=1, le=16)] = 1
    """How many times the value stands one after another and is written together."""
    lead: tuple[Register, ...] = ()
    """Raw registers written before the value in the same message."""
    max_rise_per_h: Positive | None = None
    """For counters: greatest physical rise an hour, in the unit."""
    moves_within_s: Positive | None = None
    """For measurements: a value that has not moved for so long is stale [s]."""


class EncodedSection(_Strict):
    """A point that is written as several others."""

    encoder: Literal["signed_split"]
    """signed_split: a signed power becomes a power and, last, a direction."""
    direction: Sentence
    """The point that holds the direction; it must lapse by itself."""
    idle: int
    """Its code for 0 W."""
    charge: int
    """Its code for positive power."""
    discharge: int
    """Its code for negative power."""
    charge_power: Sentence
    """The point that holds charging power."""
    discharge_power: Sentence
    """The point that holds discharging power."""
    low: Finite
    """Least permitted signed power [W]."""
    high: Finite
    """Greatest permitted signed power [W]."""
    step: Positive
    """Resolution of permitted values [W]."""


class IdentitySection(_Strict):
    """A register that must hold one of these values before anything is written."""

    what: Sentence
    """What it tells, in words."""
    space: Literal[Space.HOLDING, Space.INPUT]
    """Data table."""
    address: Register
    """0-based address."""
    accepted: Annotated[tuple[Register, ...], Field(min_length=1)]
    """Values, under the mask, for which the profile is known to fit."""
    mask: Annotated[int, Field(ge=1, le=0xFFFF)] = 0xFFFF
    """Bits that count."""


class ProfileFile(_Strict):
    """One make's register map."""

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    """Key used in the estate's configuration; the file is named after it."""
    vendor: Sentence
    """As printed on the device."""
    model: Sentence
    """As printed on the device."""
    device_class: DeviceClass
    """Which canonical points it may have."""
    transports: tuple[Transport, ...] = ()
    """How it may be reached; vendor: only through a gateway that translates."""
    tcp_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """Port as delivered."""
    serial: Annotated[str, Field(pattern=r"^\d{3,6} [78][NEO][12]$")] | None = None
    """Serial line as delivered, e.g. 9600 8N1."""
    unit_id: UnitId | None = None
    """Unit id as delivered."""
    one_connection: bool = False
    """It serves one client only; a second one throws the first out."""
    after_connect_s: Annotated[float, Field(ge=0, le=60)] = 0.0
    """Pause after connecting [s]."""
    between_frames_s: Annotated[float, Field(ge=0, le=10)] = 0.0
    """Pause between two requests [s]."""
    timeout_s: Annotated[float, Field(gt=0, le=60)] | None = None
    """How long it may take to answer [s]."""
    word_order: Literal["high_first", "low_first"] = "high_first"
    """Order of the registers of a value that takes several."""
    max_block: Annotated[int, Field(ge=1, le=125)]
    """Greatest number of registers in one read."""
    bridge_gaps: bool = False
    """A read may cross addresses that no point uses: the device answers for them."""
    write_function: Literal["auto", "fc16"] = "auto"
    """auto: FC06 for one register, FC16 for more; fc16: always FC16."""
    setup: tuple[Sentence, ...] = ()
    """What must be set at the device by hand, a sentence each."""
    sources: Annotated[tuple[Sentence, ...], Field(min_length=1)]
    """Where the facts come from."""
    discovery: Literal["sunspec"] | None = None
    """sunspec: addresses are found on the device; those here are a nominal device's."""
    constants: dict[Space, dict[Register, Register]] = {}
    """Registers with fixed contents, by table and address."""
    identified_by: dict[Space, tuple[Register, ...]] = {}
    """Addresses of those constants that are checked before anything is read."""
    identity: tuple[IdentitySection, ...] = ()
    """Registers that are checked before anything is written."""
    points: Annotated[dict[str, PointSection], Field(min_length=1)]
    """Canonical points by name."""
    enter_control: tuple[tuple[str, Finite], ...] = ()
    """Points and values written, in order, before the first command."""
    release: tuple[tuple[str, Finite], ...] = ()
    """Points and values that hand the device back to its own control."""
    write_groups: tuple[Annotated[tuple[str, ...], Field(min_length=2)], ...] = ()
    """Points that the device only accepts in one message, in order of address."""
    composed: dict[str, Annotated[tuple[tuple[str, int], ...], Field(min_length=1)]] = {}
    """States made of flags: the first flag that is on gives the code, none gives 0."""
    encoded: dict[str, EncodedSection] = {}
    """Points that are written as several others, by name."""
    link_lost: tuple[str, Finite] | None = None
    """Point and value by which a caching gateway says that it does not hear the device."""
