"""What residents asked for and operators hold, as pages show it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ems.domain.comfort import ComfortSchedule
from ems.domain.estate import Dwelling
from ems.domain.events import Direction, FlexEvent
from ems.domain.holds import Hold, HoldKind
from ems.domain.wishes import (
    ALL_EVENTS,
    ALL_PLANNING,
    FROST_LIMIT_C,
    Asked,
    Asking,
    DeviceChange,
)
from ems.service.asking import ComfortDesk
from ems.service.device_changes import BY_DEVICE, changes_now
from ems.service.wishes import LIVE, TEMPERATURES, latest, warming_from
from web.format import near_time, number
from web.site import in_charge, site

PAST_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Line:
    """One thing asked for, in words; ``counts`` where it rules the warmth now."""

    id: str
    title: str
    when: str
    who: str
    counts: bool = False
    over: str = ""


@dataclass(frozen=True, slots=True)
class Offer:
    """A coming or running event that a home can leave."""

    id: str
    when: str
    what: str
    running: bool
    left: bool


@dataclass(frozen=True, slots=True)
class Choices:
    """Everything about a home's wishes: in force, past, and what could be asked for."""

    lines: tuple[Line, ...]
    past: tuple[Line, ...]
    offers: tuple[Offer, ...]
    holds: tuple[Hold, ...]
    unknown: DeviceChange | None
    comfort: ComfortSchedule
    own_schedule: bool
    out_of_all: bool
    out_of_planning: bool

    @property
    def handed_back(self) -> bool:
        """Whether an operator has taken the home out of Hearth's hands."""
        return any(hold.kind is HoldKind.HAND_BACK for hold in self.holds)


def comfort_desk() -> ComfortDesk:
    """Return what takes down wishes."""
    return ComfortDesk(site().estate, site().store, in_charge().residents)


def choices(home: Dwelling, now: datetime, reader: str) -> Choices:
    """Return what a home asked for, as ``reader`` (an account) is told it."""
    here, charge = site(), in_charge()
    held = charge.residents.in_force(now).get(home.id, [])
    ruling = latest(held, TEMPERATURES)
    lines = [_line(one, home, now, reader, counts=one == ruling) for one in reversed(held)]
    past = [
        _line(kept.record, home, now, reader)
        for kept in reversed(here.store.all_kept(Asked, subject=home.id))
        if not kept.record.holds_at(now)
    ]
    out_of = {one.event for one in held if one.asking is Asking.OPT_OUT}
    return Choices(
        lines=tuple(lines),
        past=tuple(past[:PAST_SHOWN]),
        offers=_offers(home, now, out_of),
        holds=tuple(charge.holds.of_home(home.id, now)),
        unknown=changes_now(here.store, now).get(home.id),
        comfort=charge.residents.home(home, now).comfort,
        own_schedule=latest(held, {Asking.SCHEDULE}) is not None,
        out_of_all=ALL_EVENTS in out_of,
        out_of_planning=ALL_PLANNING in out_of,
    )


def _line(one: Asked, home: Dwelling, now: datetime, reader: str, *, counts: bool = False) -> Line:
    zone = site().estate.zone
    since = near_time(one.since, now, zone)
    when = f"From {since}"
    if one.until is not None:
        when += f" until {near_time(one.until, now, zone)}"
    elif one.ended_at is None:
        when += " until you take it back"
    over = ""
    if one.ended_at is not None:
        by = _who(one.ended_by, reader)
        over = f"Taken back {near_time(one.ended_at, now, zone)} by {by}."
    if one.by == BY_DEVICE:
        who = "Set at the heat pump itself"
    else:
        who = f"Asked for by {_who(one.by, reader)}"
    title = _title(one)
    if one.asking is Asking.AWAY and one.until is not None and one.ended_at is None:
        estimate = site().store.estimates().get(home.id)
        starts = warming_from(in_charge().residents.home(home, now), one, zone, estimate)
        title += f", warming up from {near_time(max(starts, one.since), now, zone)}"
    return Line(one.id, title, when, who, counts, over)


def _who(name: str, reader: str) -> str:
    return "you" if name == reader else name


def _title(one: Asked) -> str:
    warmth = number(one.temperature_c, 1, "°C")
    out_of = {
        ALL_EVENTS: "Out of all demand events",
        ALL_PLANNING: "Out of all planning: your schedule and nothing else",
    }
    match one.asking:
        case Asking.SCHEDULE:
            words = "Your own schedule"
        case Asking.OPT_OUT:
            words = out_of.get(one.event, "Out of one demand event")
        case Asking.AWAY:
            words = f"Away: kept at {warmth}"
        case Asking.DEVICE if (one.temperature_c or 0.0) <= FROST_LIMIT_C:
            words = "Heating switched off"
        case Asking.WARMER | Asking.DEVICE:
            words = f"Living room at {warmth}"
    return words


def _offers(home: Dwelling, now: datetime, out_of: set[str]) -> tuple[Offer, ...]:
    here = site()
    found = []
    for kept in here.store.all_kept(FlexEvent):
        event = kept.record
        end = event.ended_at or event.request.end
        if event.request.block_id != home.block_id or event.state not in LIVE or end <= now:
            continue
        start = event.request.start
        zone = here.estate.zone
        more = event.request.direction is Direction.UP
        found.append(
            (
                start,
                Offer(
                    event.id,
                    f"{near_time(start, now, zone)} to {near_time(end, now, zone)}",
                    "use more electricity" if more else "use less electricity",
                    start <= now,
                    bool({event.id, ALL_EVENTS, ALL_PLANNING} & out_of),
                ),
            )
        )
    return tuple(offer for _, offer in sorted(found, key=lambda pair: pair[0]))
