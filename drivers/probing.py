"""Finding devices on a line and telling what they are: for commissioning.

One connection, one request at a time. A unit id is there when it answers a read, or refuses it
for a reason of its own. What it is follows from its SunSpec models, from identity registers, or
from how many of a profile's points hold plausible values.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from drivers.codec import codecs
from drivers.images import Fetched
from drivers.line import GATEWAY_CODES, Backoff, GatewayLine
from drivers.session import DeviceSession
from drivers.sunspec_sources import INVERTERS, METERS
from drivers.sunspec_walk import Layout, walk
from drivers.transport import Answer, Broken, Refusal, Reply
from ems.domain.estate import Device
from ems.domain.points import DeviceClass
from ems.domain.profiles import Confidence, DeviceProfile, Space
from ems.domain.readings import Quality

UNKNOWN_UNIT = (*GATEWAY_CODES, 4)
"""Exceptions that gateways and servers give for a unit id behind which nothing is."""

LIKELY = 0.7
"""From this share of plausible points on, a profile is said to fit."""

CLEARLY_BETTER = 0.3
"""Swapped values are only spoken of where they are plausible by so much more."""

STORAGE_MODELS = (124, 713, 802)


@dataclass(frozen=True, slots=True)
class Match:
    """A profile and how well it fits a unit.

    Attributes
    ----------
    profile_id
        Which.
    score
        Share of its points with plausible values, 0 to 1; 1 where models or identity
        registers settle it.
    by
        ``models``, ``identity`` or ``plausible values``.
    warning
        What looks swapped, and the remedy; empty where nothing does.
    """

    profile_id: str
    score: float
    by: str
    warning: str = ""


@dataclass(frozen=True, slots=True)
class FoundUnit:
    """A unit id that answers.

    Attributes
    ----------
    unit_id
        Which.
    matches
        Profiles that fit, best first; empty where none does.
    identity
        What it says of itself: vendor, model, version, serial.
    models
        SunSpec models in their order; empty where it has none.
    """

    unit_id: int
    matches: tuple[Match, ...] = ()
    identity: Mapping[str, str] = field(default_factory=dict)
    models: tuple[int, ...] = ()


async def find_units(line: GatewayLine, unit_ids: Iterable[int]) -> AsyncIterator[tuple[int, bool]]:
    """Ask unit after unit; yield each with whether something is there.

    Stops where the gateway itself cannot be reached.
    """
    for unit_id in unit_ids:
        present = False
        for space in (Space.HOLDING, Space.INPUT):
            reply: Reply = await line.read(unit_id, space, 0, 1)
            if isinstance(reply, Broken):
                return
            present = isinstance(reply, Answer) or (
                isinstance(reply, Refusal) and reply.code not in UNKNOWN_UNIT
            )
            if present or (isinstance(reply, Refusal) and reply.code in GATEWAY_CODES):
                break
        yield unit_id, present


async def recognise(
    line: GatewayLine, unit_id: int, profiles: Iterable[DeviceProfile], now: datetime
) -> FoundUnit:
    """Tell what a unit is."""

    async def read(address: int, count: int) -> Reply:
        return await line.read(unit_id, Space.HOLDING, address, count)

    layout = await walk(read, {1})
    known = tuple(profiles)
    if isinstance(layout, Layout):
        models = tuple(model.id for model in layout.models)
        classes = _classes(models)
        matches = tuple(
            Match(profile.id, 1.0, "models")
            for profile in known
            if profile.discovery is not None and profile.device_class in classes
        )
        return FoundUnit(unit_id, matches, layout.identity, models)
    found: list[Match] = []
    for profile in known:
        if profile.discovery is None and (len(known) == 1 or _telling(profile)):
            match = await _fit(line, unit_id, profile, now)
            if match is not None:
                found.append(match)
    found.sort(key=lambda match: (match.by != "identity", -match.score, bool(match.warning)))
    return FoundUnit(unit_id, tuple(found))


def _telling(profile: DeviceProfile) -> bool:
    """Tell whether values can speak for a make: two relays look like any two coils."""
    return any(point.confidence is not Confidence.C for point in profile.points.values())


def _classes(models: tuple[int, ...]) -> set[DeviceClass]:
    found = set()
    if any(model in STORAGE_MODELS for model in models):
        found.add(DeviceClass.BATTERY)
    if any(model in (*INVERTERS, 701) for model in models):
        found.add(DeviceClass.INVERTER)
    if any(model in METERS for model in models):
        found.add(DeviceClass.METER)
    return found


async def _fit(
    line: GatewayLine, unit_id: int, profile: DeviceProfile, now: datetime
) -> Match | None:
    device = Device("probe", profile.device_class, profile, "", unit_id, "", None, "probe")
    session = DeviceSession(
        device,
        codecs(profile),
        line,
        Backoff(1.0, 1.0, random.Random(0)),  # noqa: S311 - jitter
    )
    identified = bool(profile.identified_by)
    if identified and await session.identify() is not None:
        return None
    for check in profile.identity:
        reply = await line.read(unit_id, check.space, check.address, 1)
        if isinstance(reply, Answer):
            if not check.fits(reply.values[0]):
                return None
            identified = True
    names = tuple(name for name, point in profile.points.items() if not point.write_only)
    fetched = await session.fetch(names, now)
    if fetched.plan is None:
        return None
    score = plausibility(fetched, len(names))
    warning = ""
    if score < LIKELY:
        score, warning = _swapped(fetched, len(names), score)
    if score < LIKELY:
        return None
    return Match(
        profile.id, round(score, 2), "identity" if identified else "plausible values", warning
    )


def _swapped(fetched: Fetched, total: int, score: float) -> tuple[float, str]:
    """Return the score and the warning of the order of words or bytes that fits better."""
    words = plausibility(fetched, total, swap_words=True)
    octets = plausibility(fetched, total, swap_bytes=True)
    both = plausibility(fetched, total, swap_words=True, swap_bytes=True)
    best = max(words, octets, both)
    if best < score + CLEARLY_BETTER:
        return score, ""
    if best == words:
        return words, (
            "the words of its values look swapped: turn word_order round in a copy of the "
            "profile, or set the device's register order"
        )
    what = "bytes" if best == octets else "words and bytes"
    return best, (
        f"the {what} of its values look swapped: set the byte order at the device or its "
        "gateway to big-endian, as Modbus has it"
    )


def plausibility(
    fetched: Fetched, total: int, *, swap_words: bool = False, swap_bytes: bool = False
) -> float:
    """Return the share of points that hold a plausible value, 0 to 1.

    A zero counts half: gateways that answer for registers that are not there answer 0. So
    does a "not available" by the device's own code.
    """
    credit = 0.0
    slots = fetched.plan.slots if fetched.plan is not None else ()
    for slot in slots:
        registers = _words(fetched, slot.value.block, slot.value.offset, slot.value.width)
        if registers is None:
            continue
        factor = None
        if slot.scale_factor is not None:
            place = slot.scale_factor
            factors = _words(fetched, place.block, place.offset, 1)
            if factors is None:
                continue
            factor = factors[0]
        codec = slot.codec
        if swap_bytes and slot.codec.point.space in (Space.HOLDING, Space.INPUT):
            registers = tuple((word & 0xFF) << 8 | word >> 8 for word in registers)
        if swap_words:
            codec = replace(codec, high_word_first=not codec.high_word_first)
        value, quality = codec.decode(registers, factor)
        tiny = 0.0 < abs(value) < 1e-6  # what floats become whose words or bytes are swapped
        if quality is Quality.GOOD and not tiny:
            credit += 1.0 if value != 0.0 else 0.5
        elif quality is Quality.SENTINEL:
            credit += 0.5
    return credit / total if total else 0.0


def _words(fetched: Fetched, block: int, offset: int, width: int) -> tuple[int, ...] | None:
    replies = fetched.replies
    registers = replies[block] if block < len(replies) else None
    return None if registers is None else tuple(registers[offset : offset + width])
