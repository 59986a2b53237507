"""The same hours with and without an event: what only a simulation can know.

Two runs of the service's own jobs start from one state of the physics and one past, with
the same seed; in one of them an event is asked for. What the participants then import less
is the *true* delivery, beside which every baseline is an estimate.
"""

from __future__ import annotations

import asyncio
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from ems.demo.inprocess import SimulationBus
from ems.demo.stepping import step_through
from ems.domain.estate import Estate
from ems.domain.events import Direction, FlexEvent, FlexRequest
from ems.domain.forecasts import FloatArray
from ems.domain.plans import Planner
from ems.domain.time import HALF_HOUR
from ems.field.parameters import FieldParameters
from ems.field.simulation import EstateSimulation
from ems.flex.life import instructed_wh
from ems.flex.requests import RefusedError
from ems.service.control import Control, open_weather
from ems.service.guard import GUARD, Guard
from ems.service.jobs import Job
from ems.service.runtime import heartbeat
from ems.store import open_store

RECOVERY = timedelta(hours=2)
MINUTES = 30


@dataclass(frozen=True, slots=True)
class Past:
    """Where both runs begin: a store's file, and the physics' state at its end."""

    store: Path
    state: Mapping[str, Any]


@dataclass(slots=True, eq=False)
class Trace:
    """Minute means of one run, a row a minute [W, °C].

    Attributes
    ----------
    estate
        Which estate.
    times
        End of each minute, UTC.
    homes_w, pumps_w, rooms_c
        Of every home, in the estate's order; its heat pump is part of a home.
    batteries_w, blocks_w
        Of every block, in the estate's order.
    """

    estate: Estate
    times: list[datetime] = field(default_factory=list)
    homes_w: list[FloatArray] = field(default_factory=list)
    pumps_w: list[FloatArray] = field(default_factory=list)
    rooms_c: list[list[float]] = field(default_factory=list)
    batteries_w: list[list[float]] = field(default_factory=list)
    blocks_w: list[FloatArray] = field(default_factory=list)

    def observe(self, simulation: EstateSimulation) -> None:
        """Note the minute that has just passed."""
        self.times.append(simulation.now())
        self.homes_w.append(simulation.home_w.copy())
        self.pumps_w.append(simulation.homes.power_w.copy())
        self.rooms_c.append(list(simulation.true_rooms().values()))
        self.batteries_w.append(
            [0.0 if unit is None else unit.state.power_w for unit in simulation.batteries]
        )
        self.blocks_w.append(simulation.block_w.copy())

    def rows(self, start: datetime, end: datetime) -> slice:
        """Return the minutes in [start, end)."""
        inside = [row for row, time in enumerate(self.times) if start < time <= end]
        return slice(inside[0], inside[-1] + 1) if inside else slice(0, 0)

    def participants_w(self, event: FlexEvent) -> FloatArray:
        """Return the import of an event's homes and battery, a value a minute [W]."""
        homes = [home.id for home in self.estate.dwellings()]
        columns = [homes.index(name) for name in event.participants]
        flow = np.array(self.homes_w)[:, columns].sum(axis=1)
        if event.battery_takes_part:
            flow = flow + np.array(self.batteries_w)[:, self._block(event.request.block_id)]
        return np.asarray(flow)

    def block_w(self, block_id: str) -> FloatArray:
        """Return the import of a block, a value a minute [W]."""
        return np.asarray(np.array(self.blocks_w)[:, self._block(block_id)])

    def _block(self, block_id: str) -> int:
        return [block.id for block in self.estate.blocks].index(block_id)


@dataclass(frozen=True, slots=True)
class TrueSlot:
    """Participants' mean import in one half-hour, with and without the event [W]."""

    start: datetime
    with_w: float
    without_w: float

    @property
    def less_w(self) -> float:
        """How much less was imported [W]; negative where it was more."""
        return self.without_w - self.with_w


@dataclass(frozen=True, slots=True)
class TrueDelivery:
    """What an event truly did.

    Attributes
    ----------
    event
        As it stood at the end.
    slots
        From the start of the comparison to two hours after the event.
    delivered_kwh
        In the direction that was asked for, summed over the event's half-hours and clipped
        at zero in each.
    least_ratio
        The least delivery of a whole half-hour of the event over what was promised in it [-];
        ``nan`` where it had none.
    net_kwh
        Import saved over all slots, preheating and rebound included; signed.
    peak_with_w, peak_without_w
        Highest half-hour of the block in the two hours after [W].
    highest_minute_w
        Highest minute of the block with the event, over all slots [W].
    """

    event: FlexEvent
    slots: tuple[TrueSlot, ...]
    delivered_kwh: float
    least_ratio: float
    net_kwh: float
    peak_with_w: float
    peak_without_w: float
    highest_minute_w: float


class Side:
    """One of the two runs, its own store and physics.

    Parameters
    ----------
    estate, parameters
        The configuration and the field's hidden parameters, the same for both.
    past
        Where it begins.
    folder
        For its copy of the store.
    planner
        Of its control process; ``None``: as that has it.

    Attributes
    ----------
    estate, store, simulation
        What it runs on.
    trace
        What was seen.
    control
        The control process's jobs; its desk takes events.
    """

    def __init__(
        self,
        estate: Estate,
        parameters: FieldParameters,
        past: Past,
        folder: Path,
        *,
        planner: Planner | None = None,
    ) -> None:
        own = folder / "store.sqlite"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(past.store, own)
        self.estate = estate
        self.store = open_store(own)
        at = datetime.fromtimestamp(past.state["now_s"], tz=UTC)
        self.simulation = EstateSimulation(estate, parameters, at, step_s=60)
        self.simulation.load_state(past.state)
        self.bus = SimulationBus(estate, self.simulation)
        self.trace = Trace(estate)
        self.guard = Guard(estate.control, self.bus, self.store)
        self._planner = planner
        self.control: Control = self._new_control()

    def _new_control(self) -> Control:
        weather = open_weather(self.estate)
        return Control(self.estate, self.store, self.bus, weather, planner=self._planner)

    def start_control_anew(self) -> None:
        """Let a new control process take the place of one that was killed."""
        self.control = self._new_control()
        asyncio.run(self.control.first_round(self.simulation.now()))

    def run(self, until: datetime, *, control: bool = True) -> None:
        """Go on until ``until``, the guard beside; without control where it is dead."""
        asyncio.run(
            step_through(
                self.simulation,
                lambda: [*(self.control.jobs() if control else []), self._guarding()],
                until,
                observe=lambda _: self.trace.observe(self.simulation),
            )
        )

    def _guarding(self) -> Job:
        async def round_(now: datetime) -> None:
            await self.guard.run(now)
            self.store.beat(heartbeat(GUARD, now))

        return Job(GUARD, self.estate.control.guard_period_s, round_)

    def close(self) -> None:
        """Close its store."""
        self.store.close()


def ask(side: Side, requests: Sequence[FlexRequest]) -> list[str]:
    """Ask a run for events now; return the ids of those that were accepted.

    What was refused, and why, stands in its desk's ``refusals``.

    Raises
    ------
    NoPlanError
        Without a fresh plan.
    """
    now, accepted = side.simulation.now(), []
    for request in requests:
        with suppress(RefusedError):
            accepted.append(side.control.events.submit(request, now).event.id)
    return accepted


def compare(
    estate: Estate,
    parameters: FieldParameters,
    past: Past,
    folder: Path,
    *,
    asked_at: datetime,
    requests: Callable[[Side], Sequence[FlexRequest]],
    until: datetime,
    meanwhile: Callable[[Side, list[str]], None] | None = None,
) -> tuple[Side, Side, list[TrueDelivery]]:
    """Run the same hours with and without events.

    Parameters
    ----------
    past, folder
        Where both begin, and where their stores go.
    asked_at, until
        When the events are asked for, and where to stop: two hours after the last, at least.
    requests
        What to ask for, from what is available then in the run that has events.
    meanwhile
        May run it further, withdraw or replace events and ask for more, given the ids of those
        accepted, to which it adds.

    Returns
    -------
    The run with events, the one without, and what each event truly did. Close both runs.
    """
    with_events = Side(estate, parameters, past, folder / "with")
    without = Side(estate, parameters, past, folder / "without")
    with_events.run(asked_at)
    ids = ask(with_events, requests(with_events))
    if meanwhile is not None:
        meanwhile(with_events, ids)
    with_events.run(until)
    without.run(until)
    found = [
        delivered(with_events.control.events.event(one), with_events.trace, without.trace, asked_at)
        for one in ids
    ]
    return with_events, without, found


def delivered(event: FlexEvent, held: Trace, plain: Trace, since: datetime) -> TrueDelivery:
    """Return what an event truly did, by the two runs' traces.

    Parameters
    ----------
    event
        With its participants frozen.
    held, plain
        With and without it.
    since
        When the event was asked for: the comparison begins with the next half-hour.
    """
    end = event.ended_at or event.request.end
    until = end + RECOVERY
    start = event.request.start - (event.request.start - since) // HALF_HOUR * HALF_HOUR
    slots = []
    with_w, without_w = held.participants_w(event), plain.participants_w(event)
    while start + HALF_HOUR <= until:
        rows, other = held.rows(start, start + HALF_HOUR), plain.rows(start, start + HALF_HOUR)
        slots.append(TrueSlot(start, float(with_w[rows].mean()), float(without_w[other].mean())))
        start += HALF_HOUR
    sign = 1.0 if event.request.direction is Direction.DOWN else -1.0
    promised = [
        (sign * slot.less_w, 2.0 * instructed_wh(event, slot.start, slot.start + HALF_HOUR))
        for slot in slots
        if slot.start + HALF_HOUR <= end
    ]
    inside = [(less, asked) for less, asked in promised if asked > 0]
    block = event.request.block_id
    return TrueDelivery(
        event=event,
        slots=tuple(slots),
        delivered_kwh=sum(max(less, 0.0) for less, _ in inside) / 2000.0,
        least_ratio=min((less / asked for less, asked in inside), default=math.nan),
        net_kwh=sum(slot.less_w for slot in slots) / 2000.0,
        peak_with_w=_peak_w(held, block, end),
        peak_without_w=_peak_w(plain, block, end),
        highest_minute_w=float(held.block_w(block)[held.rows(since, until)].max()),
    )


def _peak_w(trace: Trace, block_id: str, end: datetime) -> float:
    power = trace.block_w(block_id)[trace.rows(end, end + RECOVERY)]
    return float(power.reshape(-1, MINUTES).mean(axis=1).max())
