"""What a home's pages show: warmth, use, money, and what its heating does and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from ems.domain.estate import Block, Dwelling, Estate
from ems.domain.plans import Schedule
from ems.domain.points import OPERATING_STATES, PointId
from ems.domain.ports import Store
from ems.domain.readings import Snapshot
from ems.domain.setpoints import SetpointRecord
from ems.domain.thermal import ThermalEstimate
from ems.domain.time import HALF_HOUR
from ems.domain.wishes import Wish, WishKind
from web.charts import BLUE, ORANGE, PLUM, TEAL, Level, Line, TimeChart
from web.format import near_time
from web.queries import fresh_s, kept_above_c, snapshot, wishes_now
from web.series import (
    asked_line,
    half_hours,
    kw_steps,
    planned_ends,
    planned_steps,
    step_starts,
    times_of,
)
from web.words import cause_words, command_words, outcome_is_good, outcome_words

KEPT_ONCE = timedelta(days=14)
"""A setpoint that repeats itself is kept once: the one in force may be this old."""


@dataclass(frozen=True, slots=True)
class SetpointRow:
    """One setpoint as people read it."""

    at: datetime
    device_id: str
    asks: str
    cause: str
    sentence: str
    outcome: str
    good: bool


@dataclass(frozen=True, slots=True)
class HomeNow:
    """A home at this moment; ``None`` where a reading is missing.

    ``wish`` is its resident's, set here or at the heat pump; ``asked_c`` is the wish's
    temperature, else the schedule's [°C].
    """

    home: Dwelling
    room_c: float | None
    humidity_pct: float | None
    asked_c: float
    pump_w: float | None
    household_w: float | None
    command: str
    confirmed: bool | None
    cause: str
    sentence: str
    doing: str = ""
    wish: Wish | None = None

    @property
    def chosen(self) -> bool:
        """Whether its resident asked for another temperature than the schedule's."""
        return self.wish is not None and self.wish.kind is not WishKind.OPT_OUT

    @property
    def asked_words(self) -> str:
        """What the temperature asked for comes from, as words before it."""
        if not self.chosen or self.wish is None:
            return "asked for"
        return "chosen at the heat pump:" if self.wish.at_device else "the resident asks for"

    @property
    def below_floor(self) -> bool:
        """Whether the room is known to be too cold: below the floor, and not by choice."""
        kept_c = kept_above_c(self.home, self.wish)
        return self.room_c is not None and self.room_c < kept_c

    @property
    def cold_by_choice(self) -> bool:
        """Whether the room is below the floor because its resident wants it so."""
        cold = self.room_c is not None and self.room_c < self.home.floor_c
        return cold and not self.below_floor


@dataclass(frozen=True, slots=True)
class Period:
    """A stretch of the coming day with one reason; ``room_c`` is planned at its end [°C]."""

    start: datetime
    end: datetime
    when: str
    sentence: str
    room_c: float


@dataclass(frozen=True, slots=True)
class HomeView:
    """The operator's page of a home."""

    block: Block
    now: HomeNow
    estimate: ThermalEstimate | None
    charts: tuple[TimeChart, ...]
    setpoints: tuple[SetpointRow, ...]
    devices: tuple[str, ...]


def home_device_ids(estate: Estate, home: Dwelling) -> list[str]:
    """Return the ids of a home's devices."""
    return [device.id for device in estate.devices.values() if device.dwelling_id == home.id]


def setpoint_rows(
    estate: Estate, store: Store, device_ids: list[str], since: datetime, now: datetime
) -> tuple[SetpointRow, ...]:
    """Return setpoints with outcome since an instant, newest first."""
    records = store.setpoints(device_ids, since, now + timedelta(seconds=1), limit=200)
    return tuple(_row(estate, record) for record in records)


def _row(estate: Estate, record: SetpointRecord) -> SetpointRow:
    setpoint = record.setpoint
    return SetpointRow(
        at=setpoint.issued_at,
        device_id=setpoint.point_id.device_id,
        asks=command_words(setpoint.point_id.point, setpoint.value),
        cause=cause_words(setpoint.causes),
        sentence=setpoint.sentence,
        outcome=outcome_words(record.outcome, estate.zone),
        good=outcome_is_good(record.outcome),
    )


def homes_now(
    estate: Estate, store: Store, homes: tuple[Dwelling, ...], now: datetime
) -> list[HomeNow]:
    """Return several homes at this moment, in their order."""
    pumps = {home.heat_pump.device_id: home for home in homes}
    latest = snapshot(store, now)
    commands = {
        command.point_id.device_id: command
        for command in store.active_commands()
        if command.point_id.device_id in pumps
    }
    newest: dict[str, SetpointRecord] = {}
    since = now - timedelta(hours=24)
    soon = now + timedelta(seconds=1)
    for record in store.setpoints(sorted(pumps), since, soon):
        newest.setdefault(record.setpoint.point_id.device_id, record)
    for pump_id in commands.keys() - newest.keys():
        # What is told again and again is kept once, when it began.
        for record in store.setpoints([pump_id], now - KEPT_ONCE, soon, limit=1):
            newest[pump_id] = record
    wishes = wishes_now(estate, store, latest)
    out = []
    for home in homes:
        pump_id = home.heat_pump.device_id
        command, record_of = commands.get(pump_id), newest.get(pump_id)
        wish = wishes.get(home.id)
        chosen = wish is not None and wish.kind is not WishKind.OPT_OUT
        out.append(
            HomeNow(
                home=home,
                room_c=_good(estate, latest, home.room_sensor_id, "temperature_c"),
                humidity_pct=_good(estate, latest, home.room_sensor_id, "humidity_pct"),
                asked_c=wish.temperature_c
                if wish is not None and chosen
                else home.comfort.temperature_at(now, estate.zone),
                pump_w=_good(estate, latest, home.heat_pump.power_device_id, "power_w"),
                household_w=_good(estate, latest, home.meter.device_id, "household_power_w"),
                command=command_words(command.point_id.point, command.value)
                if command
                else "own thermostat",
                confirmed=command.confirmed if command else None,
                cause=cause_words(record_of.setpoint.causes) if command and record_of else "",
                sentence=record_of.setpoint.sentence if command and record_of else "",
                doing=_doing(_good(estate, latest, pump_id, "operating_state")),
                wish=wish,
            )
        )
    return out


def _doing(state: float | None) -> str:
    return "" if state is None else OPERATING_STATES.get(int(state), "")


def _good(estate: Estate, latest: Snapshot, device_id: str, point: str) -> float | None:
    return latest.good(device_id, point, fresh_s(estate))


def periods(
    plan: Schedule | None, home: Dwelling, now: datetime, estate: Estate, limit: int = 8
) -> list[Period]:
    """Return the coming stretches of a home's plan, joined where the reason is the same."""
    own = plan.home(home.id) if plan else None
    if plan is None or own is None:
        return []
    stretches: list[tuple[datetime, datetime, str, float]] = []
    for index, (start, seconds) in enumerate(zip(step_starts(plan), plan.step_s, strict=True)):
        end = start + timedelta(seconds=float(seconds))
        if end <= now:
            continue
        sentence, room_c = own.sentence[index], float(own.room_c[index])
        if stretches and stretches[-1][2] == sentence:
            stretches[-1] = (stretches[-1][0], end, sentence, room_c)
        else:
            stretches.append((max(start, now), end, sentence, room_c))
    return [
        Period(start, end, _when(start, end, now, estate), sentence, room_c)
        for start, end, sentence, room_c in stretches[:limit]
    ]


def _when(start: datetime, end: datetime, now: datetime, estate: Estate) -> str:
    last = end.astimezone(estate.zone)
    if start <= now:
        return f"Now until {near_time(end, now, estate.zone)}"
    begin = near_time(start, now, estate.zone)
    return f"{begin[0].upper()}{begin[1:]} to {last:%H:%M}"


def room_chart(
    estate: Estate,
    store: Store,
    home: Dwelling,
    plan: Schedule | None,
    span: tuple[datetime, datetime],
    state: HomeNow,
    now: datetime,
) -> TimeChart:
    """Return the living room against its schedule, its resident's choice, floor and plan."""
    point = PointId(home.room_sensor_id, "temperature_c")
    frame = half_hours(store, [point], span[0], now)
    middle = [at + HALF_HOUR / 2 for at in times_of(frame)]
    middle[-1] = now
    asked = asked_line(home, estate.zone, *span)
    lines = [Line("Measured", middle, frame[str(point)].tolist(), BLUE), asked]
    own = plan.home(home.id) if plan else None
    if plan is not None and own is not None:
        lines.append(planned_ends(plan, own.room_c.tolist(), "Planned", ORANGE, now))
    levels = [Level("Floor: never planned below", home.floor_c, PLUM)]
    if state.wish is not None and state.chosen:
        levels.append(Level("Chosen now", state.wish.temperature_c, ORANGE))
    return TimeChart(
        key="room",
        title="Living room",
        summary="Temperature measured, asked for and planned.",
        unit="°C",
        start=span[0],
        end=span[1],
        zone=estate.zone,
        lines=tuple(lines),
        levels=tuple(levels),
        now=now,
        from_zero=False,
    )


def power_chart(
    estate: Estate,
    store: Store,
    home: Dwelling,
    plan: Schedule | None,
    span: tuple[datetime, datetime],
    now: datetime,
) -> TimeChart:
    """Return a home's heat-pump and household power with the planned heat-pump power."""
    pump = PointId(home.heat_pump.power_device_id, "power_w")
    household = PointId(home.meter.device_id, "household_power_w")
    frame = half_hours(store, [pump, household], span[0], now)
    lines = [
        kw_steps(frame, str(pump), "Heat pump", BLUE),
        kw_steps(frame, str(household), "Everything else", TEAL, filled=False),
    ]
    own = plan.home(home.id) if plan else None
    if plan is not None and own is not None:
        lines.append(planned_steps(plan, own.power_w.tolist(), "Heat pump, planned", scale=0.001))
    return TimeChart(
        key="power",
        title="Electricity",
        summary="Half-hour means of the heat pump and of everything else in the home.",
        unit="kW",
        start=span[0],
        end=span[1],
        zone=estate.zone,
        lines=tuple(lines),
        now=now,
        decimals=2,
    )


def home_view(estate: Estate, store: Store, home: Dwelling, now: datetime) -> HomeView:
    """Return the operator's page of a home at ``now``."""
    plan = store.latest_schedule(home.block_id)
    span = (now - timedelta(hours=24), now + timedelta(hours=24))
    device_ids = home_device_ids(estate, home)
    state = homes_now(estate, store, (home,), now)[0]
    return HomeView(
        block=estate.block(home.block_id),
        now=state,
        estimate=store.estimates().get(home.id),
        charts=(
            room_chart(estate, store, home, plan, span, state, now),
            power_chart(estate, store, home, plan, span, now),
        ),
        setpoints=setpoint_rows(estate, store, device_ids, span[0], now),
        devices=tuple(device_ids),
    )


def hours_below(measured: Line, asked: Line, floor_c: float) -> tuple[float, float] | None:
    """Return hours below the floor and more than 0.5 K below the schedule; ``None`` without data.

    Both lines hold half-hours; missing ones count for nothing.
    """
    room = np.asarray(measured.values, dtype=float)
    wanted = np.asarray(asked.values[: len(room)], dtype=float)
    known = np.isfinite(room)
    if not known.any():
        return None
    below_floor = float(np.sum(room[known] < floor_c)) / 2.0
    below_asked = float(np.sum(room[known] < wanted[known] - 0.5)) / 2.0
    return below_floor, below_asked
