"""SunSpec models → a device profile: the canonical points at the addresses a walk found. Pure.

A profile with ``discovery: sunspec`` says which canonical points are wanted, how often they are
read and how they may be written; its own addresses are those of a nominal device, which the
simulated field serves. On a real device the addresses, types, scale factors and sentinels come
from its models. From then on block plans, decoders, quality and commands work as for any profile.

Each poll also reads the header of every model that it uses: a device that comes back with
another layout is noticed before one of its values is believed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from drivers.codec import Decoded, PointCodec, codecs
from drivers.judging import CLOCK
from drivers.sunspec_models import DATA_TYPES, HEADER, SENTINELS, PointDefinition, definition
from drivers.sunspec_sources import FOLLOWS, LIMITS, SOURCES, Source
from drivers.sunspec_terms import terms_of
from drivers.sunspec_walk import Layout, PlacedModel
from ems.domain.points import POINTS
from ems.domain.profiles import (
    Cadence,
    Confidence,
    DataType,
    DeviceProfile,
    PointMap,
    Space,
    WriteRule,
)
from ems.domain.readings import Quality

STATUS_MODEL = 122
SINCE_2000_S = 946684800.0
"""SunSpec counts seconds from the year 2000, Hearth from 1970."""

DISCOVERY = "sunspec"
"""What a profile says under ``discovery``."""

BODIES = frozenset(
    {
        model
        for points in SOURCES.values()
        for sources in points.values()
        for source in sources
        for model in source.models
    }
    | {1, 160, 714}
)
"""Models whose registers a walk reads once: to see which points are implemented."""


@dataclass(frozen=True, slots=True)
class Discovery:
    """A device's own profile, made from its models.

    Attributes
    ----------
    layout
        Where the models are.
    profile
        The template with the device's addresses; points that it lacks are gone.
    codecs
        Of the profile's points and of the helpers.
    helpers
        Points without a canonical name: headers, and the terms of sums.
    guards
        Point → header helpers that vouch for it.
    sums
        Point → (helper, factor): what is added up, e.g. the ports of a battery.
    missing
        Points of the template that the device does not have.
    """

    layout: Layout
    profile: DeviceProfile
    codecs: Mapping[str, PointCodec]
    helpers: Mapping[str, PointMap]
    guards: Mapping[str, tuple[str, ...]]
    sums: Mapping[str, tuple[tuple[str, float], ...]]
    missing: tuple[str, ...]

    @property
    def readable(self) -> DeviceProfile:
        """The profile with its helpers: what block plans are made from."""
        return replace(self.profile, points={**self.profile.points, **self.helpers})

    def expand(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return what must be read for these points: their registers, terms and headers."""
        wanted: dict[str, None] = {}
        for name in names:
            if name not in self.guards:
                continue
            wanted.update(dict.fromkeys(self.guards[name]))
            terms = self.sums.get(name)
            wanted.update(dict.fromkeys((name,) if terms is None else (t for t, _ in terms)))
        return tuple(wanted)

    def is_header(self, name: str) -> bool:
        """Tell whether a helper is the header of a model."""
        return name in self.helpers and name.startswith(_HEADER)

    def collapse(self, values: Mapping[str, Decoded]) -> dict[str, Decoded]:
        """Add up sums and drop the helpers.

        A term that the device does not implement makes the sum a sentinel; one that is
        missing leaves the sum out.
        """
        found = {name: value for name, value in values.items() if name not in self.helpers}
        for name, terms in self.sums.items():
            parts = [values.get(term) for term, _ in terms]
            if any(part is None for part in parts):
                continue
            worst = max(part[1] for part in parts if part is not None)
            total = math.nan
            if worst is Quality.GOOD:
                total = sum(
                    part[0] * factor
                    for part, (_, factor) in zip(parts, terms, strict=True)
                    if part is not None
                )
                canonical = POINTS[self.profile.device_class][name]
                if not canonical.low <= total <= canonical.high:
                    worst = Quality.OUT_OF_RANGE
            found[name] = (total + 0.0, worst)
        return found


_HEADER = "header of model "


def discover(template: DeviceProfile, layout: Layout) -> Discovery:
    """Map the template's points onto what a walk found.

    Where several models could give a point, the first in the order of
    :data:`drivers.sunspec_sources.SOURCES` that the device implements is taken; where none
    holds a value at the moment (an inverter asleep), the first that it has.
    """
    maker = layout.identity.get("vendor", "")
    points: dict[str, PointMap] = {}
    helpers: dict[str, PointMap] = {}
    guards: dict[str, tuple[str, ...]] = {}
    sums: dict[str, tuple[tuple[str, float], ...]] = {}
    for name, wanted in template.points.items():
        summed = terms_of(name, wanted, template.device_class, layout)
        if summed is not None:
            terms, model = summed
            helpers.update({term: point for term, point, _ in terms})
            sums[name] = tuple((term, factor) for term, _, factor in terms)
            guards[name] = (_guard(helpers, model),)
            points[name] = replace(wanted, confidence=Confidence.B, write=None)
            continue
        sources = SOURCES[template.device_class].get(name, ())
        leader = FOLLOWS.get(name)
        if leader is not None:
            led = _choose(SOURCES[template.device_class].get(leader, ()), layout)
            sources = tuple(s for s in sources if led is not None and led[1].id in s.models)
        chosen = _choose(sources, layout)
        if chosen is None:
            continue
        source, model, place = chosen
        mapped = _map(wanted, source, model, place, layout, maker)
        if mapped is not None:
            points[name] = mapped
            guards[name] = (_guard(helpers, model),)
    clock = _clock(layout)
    if clock is not None and CLOCK in POINTS[template.device_class]:
        points[CLOCK] = clock[0]
        guards[CLOCK] = (_guard(helpers, clock[1]),)
    profile = replace(
        template,
        points=points,
        constants=None,
        identified_by=None,
        bridge_gaps=True,
        enter_control=_control(template.enter_control, points),
        release=_control(template.release, points),
        write_groups=(),
    )
    made = {
        **codecs(replace(profile, points={n: p for n, p in points.items() if n not in sums})),
        **{name: _helper_codec(name, point) for name, point in helpers.items()},
    }
    missing = tuple(name for name in template.points if name not in points)
    return Discovery(layout, profile, made, helpers, guards, sums, missing)


def _clock(layout: Layout) -> tuple[PointMap, PlacedModel] | None:
    """Return the device's own clock where it keeps one: no profile need ask for it."""
    for model in layout.models:
        known = definition(model.id) if model.id == STATUS_MODEL else None
        if known is None or _raw(model, known.points["Tms"], layout) is None:
            continue
        place = known.points["Tms"]
        point = PointMap(
            point=CLOCK,
            space=Space.HOLDING,
            address=model.address + place.offset,
            data_type=DATA_TYPES[place.kind],
            offset=SINCE_2000_S,
            sentinels=SENTINELS[place.kind],
            cadence=Cadence.SLOW,
        )
        return point, model
    return None


def _control(
    writes: tuple[tuple[str, float], ...], points: Mapping[str, PointMap]
) -> tuple[tuple[str, float], ...]:
    """Keep the writes that the device takes, each within its own bounds."""
    kept = []
    for name, value in writes:
        rule = points[name].write if name in points else None
        if rule is not None:
            kept.append((name, min(max(value, rule.low), rule.high)))
    return tuple(kept)


def _choose(
    sources: Iterable[Source], layout: Layout
) -> tuple[Source, PlacedModel, PointDefinition] | None:
    found: list[tuple[Source, PlacedModel, PointDefinition]] = []
    for source in sources:
        for model in layout.models:
            known = definition(model.id)
            if model.id not in source.models or known is None:
                continue
            place = known.points.get(source.point)
            if place is not None and place.offset + place.size <= model.length + HEADER:
                found.append((source, model, place))
    for each in found:
        if _raw(each[1], each[2], layout) is not None:
            return each
    return found[0] if found else None


def _raw(model: PlacedModel, place: PointDefinition, layout: Layout) -> int | None:
    """Return a point's raw value as the walk read it; ``None`` where it is not implemented."""
    start = model.address + place.offset
    words = [layout.registers.get(start + index) for index in range(place.size)]
    if any(word is None for word in words):
        return None
    raw = 0
    for word in words:
        raw = raw << 16 | (word or 0)
    return None if raw in SENTINELS.get(place.kind, ()) else raw


def _exponent(model: PlacedModel, place: PointDefinition, layout: Layout) -> int | None:
    """Return the scale factor in force at the walk; ``None`` where there is none."""
    if place.factor is None:
        return 0
    if isinstance(place.factor, int):
        return place.factor
    known = definition(model.id)
    factor = known.points.get(place.factor) if known else None
    raw = _raw(model, factor, layout) if factor else None
    if raw is None:
        return None
    exponent = raw - 0x10000 if raw > 0x7FFF else raw
    return exponent if -10 <= exponent <= 10 else None


def value_of(layout: Layout, model_ids: Iterable[int], point: str) -> float | None:
    """Return a point's value at the walk, scaled, from the first of these models that has it."""
    for model in layout.models:
        known = definition(model.id)
        place = known.points.get(point) if known and model.id in set(model_ids) else None
        if place is None or DATA_TYPES.get(place.kind) is None:
            continue
        raw, exponent = _raw(model, place, layout), _exponent(model, place, layout)
        if raw is None or exponent is None:
            continue
        bits = 16 * place.size
        if DATA_TYPES[place.kind] in (DataType.INT16, DataType.INT32, DataType.INT64):
            raw = raw - (1 << bits) if raw >> (bits - 1) else raw
        return float(raw) * 10.0**exponent
    return None


def _map(
    wanted: PointMap,
    source: Source,
    model: PlacedModel,
    place: PointDefinition,
    layout: Layout,
    maker: str,
) -> PointMap | None:
    scale = source.scale
    if isinstance(place.factor, int):
        scale *= 10.0**place.factor
    if source.percent_of is not None:
        full = value_of(layout, *source.percent_of)
        if not full:
            return None
        scale *= full / 100.0
    known = definition(model.id)
    factor_address = None
    if isinstance(place.factor, str) and known is not None:
        factor_address = model.address + known.points[place.factor].offset
    sign = -source.sign if maker.lower() in source.flipped_by else source.sign
    data_type = source.data_type or DATA_TYPES[place.kind]
    sentinels = SENTINELS[place.kind]
    if data_type is DataType.OPPOSED_INT16:
        sentinels = (0x80008000,)
    return replace(
        wanted,
        space=Space.HOLDING,
        address=model.address + place.offset,
        data_type=data_type,
        scale=scale,
        offset=0.0,
        sign=sign,
        scale_factor_address=factor_address,
        served_scale_factor=_exponent(model, place, layout) or 0,  # writes count in it
        sentinels=sentinels,
        codes=source.codes,
        keep_other_codes=False,
        confidence=source.confidence,
        write=_rule(wanted, source, model, place, layout, scale),
        lead=source.lead,
        repeat=1,
        unit_id=None,
    )


def _rule(
    wanted: PointMap,
    source: Source,
    model: PlacedModel,
    place: PointDefinition,
    layout: Layout,
    scale: float,
) -> WriteRule | None:
    """Return the template's rule within what this device can do."""
    rule = wanted.write
    if rule is None or not place.writable:
        return None
    exponent = _exponent(model, place, layout)
    if exponent is None:
        return None
    low, high = rule.low, rule.high
    if wanted.point in LIMITS:
        charge, discharge = (
            next((v for ids, p in candidates if (v := value_of(layout, ids, p))), None)
            for candidates in LIMITS[wanted.point]
        )
        high = min(high, charge) if charge else high
        low = max(low, -discharge) if discharge else low
    if source.write_codes is not None:
        low, high = source.write_codes
    step = rule.step if source.write_codes else abs(scale) * 10.0**exponent
    return replace(rule, low=low, high=high, step=step, tolerance=max(rule.tolerance, step / 2.0))


def _guard(helpers: dict[str, PointMap], model: PlacedModel) -> str:
    name = f"{_HEADER}{model.id} at {model.address}, {model.length} long"
    helpers.setdefault(
        name,
        PointMap(
            point=name,
            space=Space.HOLDING,
            address=model.address,
            data_type=DataType.UINT32,
            offset=-float(model.id << 16 | model.length),
        ),
    )
    return name


def _helper_codec(name: str, point: PointMap) -> PointCodec:
    """Return a helper's decoder: a header must read as it did, a term may be anything."""
    low, high = (0.0, 0.0) if name.startswith(_HEADER) else (-math.inf, math.inf)
    return PointCodec(point, low, high, high_word_first=True)
