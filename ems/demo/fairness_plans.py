"""A month's ledger as plans have it: events on real weather and prices, solved and entered.

Nothing runs: each event is planned half an hour before it starts, once without it and once with
it, from rooms as residents ask for them and homes as their certificates tell. What the second
plan leaves a room short of the first is entered as burden. Blocks are taken without their
batteries, and half an hour is the least notice that products allow: where a battery gives what
was promised, or homes can be warmed before, nobody bears anything. So a month takes seconds,
and what the weighing does can be told apart from what forecasts miss.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from controllers.events import participants, undisturbed, with_promises, with_recovery
from controllers.fairness import expected_homes, plan_sparing
from controllers.joint import JointPlanner
from controllers.problem import build_problem
from ems.demo.programme import Kind, spread
from ems.domain.estate import Actuator, Block, Dwelling, Estate
from ems.domain.events import Direction, EventState, FlexEvent, FlexRequest
from ems.domain.fairness import EventBurden, ExpectedHomes, MonthLedger, PaymentRule
from ems.domain.forecasts import Forecast
from ems.domain.plans import Schedule, SchedulingProblem
from ems.domain.points import PointId
from ems.domain.readings import Reading, Snapshot
from ems.domain.tariffs import NoRateError
from ems.domain.thermal import ThermalEstimate
from ems.domain.time import HALF_HOUR, HALF_HOUR_S
from ems.flex.fairness import MONTH, felt, ledger, payments, shares, spared
from ems.service.control import open_weather
from ems.service.fairness import AFTER
from forecasting.weather import WeatherProvider

NOTICE = timedelta(minutes=30)
STEPS = 48
DEADLINE_S = 10.0
ASKED_SHARE = 0.4
"""Turn-downs ask for so much of what homes would draw in the event's leanest half-hour; turn-ups
for as much on top."""
LEAST_W = 1000.0
"""Nothing is asked of a block below this."""
BASE_W, WATER_W = 350.0, 120.0

PROGRAMME = (
    Kind(Direction.DOWN, 7, 2),
    Kind(Direction.DOWN, 19, 2),
    Kind(Direction.DOWN, 8, 2),
    Kind(Direction.UP, 13, 1),
)
"""Kinds of events, in turn."""


@dataclass(frozen=True, slots=True)
class PlannedMonth:
    """A month as planned.

    Attributes
    ----------
    ledger
        Of all homes.
    paid_gbp
        What electricity, peaks and wear of the planned days cost, less what is left [£].
    missed_kwh
        What was missed of the promises [kWh], by each plan's worst half-hour over the event.
    promised_kwh
        What was promised [kWh].
    """

    ledger: MonthLedger
    paid_gbp: float
    missed_kwh: float
    promised_kwh: float


def planned_month(
    estate: Estate, start: datetime, *, days: int, events: int, strength: float
) -> PlannedMonth:
    """Plan a month of events on an estate's homes and return who bears them.

    Parameters
    ----------
    start, days
        Which days; the configuration's weather and prices must reach over them.
    events
        How many are asked of each block.
    strength
        How far homes above their share are spared; 0 weighs nothing.
    """
    weather = open_weather(estate)
    planner = JointPlanner(None)
    entries: list[EventBurden] = []
    paid = missed = promised = 0.0
    for at, kind in spread(start + timedelta(days=1), days, events, PROGRAMME):
        for block in estate.blocks:
            month = ledger(entries, at - MONTH, at)
            how_far = {home.dwelling_id: spared(home, strength) for home in month.homes}
            event = _Event(estate, replace(block, battery=None), at, kind, weather, planner)
            entries += event.entries(how_far)
            paid += event.paid_gbp
            missed += event.missed_kwh
            promised += event.promised_kwh
    until = start + timedelta(days=days + 2)
    order = [home.id for home in estate.dwellings()]
    return PlannedMonth(ledger(entries, start, until, order), paid, missed, promised)


class _Event:
    """One event on one block, as planned."""

    def __init__(
        self,
        estate: Estate,
        block: Block,
        at: datetime,
        kind: Kind,
        weather: WeatherProvider,
        planner: JointPlanner,
    ) -> None:
        self._estate, self._block, self._planner = estate, block, planner
        self._at, self._end = at, at + timedelta(hours=kind.length_h)
        self._kind = kind
        self._now = at - NOTICE
        self._weather = weather.issue(self._now, STEPS + 1)
        self.paid_gbp = self.missed_kwh = self.promised_kwh = 0.0

    def entries(self, how_far: dict[str, float]) -> list[EventBurden]:
        """Plan it and return its homes' entries; none where there is too little to ask for."""
        calm = self._problem(())
        plain = self._planner.plan(calm, DEADLINE_S)
        event = self._asked(plain, calm)
        if event.accepted_w < LEAST_W:
            return []
        rules = self._estate.control
        taking = participants(event, self._block, wishes={}, apart=(), now=self._now)
        before = {event.id: undisturbed(event, calm, plain, taking)}
        problem = with_promises(self._problem((event,)), [event], before)
        problem = with_recovery(problem, [event], before, rules)
        sparing = {event.id: {home: share for home, share in how_far.items() if share > 0}}
        plan = plan_sparing(self._planner, problem, [event], sparing, DEADLINE_S)
        if plan.costs is not None:
            self.paid_gbp = plan.costs.paid_gbp - plan.costs.left_gbp
        hours = (self._end - self._at) / timedelta(hours=1)
        short = [gave.worst for gave in plan.gave_way if gave.limit == "event"]
        self.missed_kwh = max(short, default=0.0) * hours / 1000.0
        self.promised_kwh = event.accepted_w * hours / 1000.0
        return self._entries(event, self._told(event, calm, plain), self._told(event, calm, plan))

    def _asked(self, plain: Schedule, calm: SchedulingProblem) -> FlexEvent:
        steps = [
            plain.index_at(self._at + k * HALF_HOUR) for k in range(round(self._kind.length_h * 2))
        ]
        rows = [step for step in steps if step is not None]
        heating = sum((home.power_w for home in plain.homes), np.zeros(STEPS))
        base = sum((home.base_w for home in calm.homes), np.zeros(STEPS))
        asked_w = ASKED_SHARE * float(heating[rows].min())
        request = FlexRequest(
            self._block.id, self._kind.direction, asked_w, self._at, self._end, "operator"
        )
        return FlexEvent(
            id=f"{self._at:%Y%m%dT%H%M}-{self._block.id}",
            request=request,
            state=EventState.ACCEPTED,
            accepted_w=asked_w,
            reason="",
            received_at=self._now,
            reference_w=tuple((heating + base)[rows].tolist()),
            margin_w=1.0,
        )

    def _told(self, event: FlexEvent, calm: SchedulingProblem, schedule: Schedule) -> ExpectedHomes:
        return expected_homes(
            event.id,
            self._block,
            calm,
            schedule,
            zone=self._estate.zone,
            rules=self._estate.control,
            first=self._now,
            last=self._end + AFTER,
        )

    def _entries(
        self, event: FlexEvent, without: ExpectedHomes, with_it: ExpectedHomes
    ) -> list[EventBurden]:
        rules = self._estate.control
        homes = [home for home in self._block.dwellings if home.id in with_it.homes]
        share = shares(
            {
                home.id: (home.heat_pump.actuator is Actuator.ROOM_SETPOINT)
                * (rules.fairness_vulnerable_share if home.vulnerable else 1.0)
                for home in homes
            }
        )
        product = next(iter(self._estate.products.values()), None)
        rate = product.utilisation_gbp_per_kwh if product else 0.0
        paid = max(self.promised_kwh - self.missed_kwh, 0.0) * rate
        took_part = dict.fromkeys(share, 1.0)
        part = payments(paid * rules.event_tenants_pct / 100.0, PaymentRule.EQUAL, took_part, {})
        entries = []
        for home in homes:
            calm, held = without.homes[home.id], with_it.homes[home.id]
            ones = np.ones(len(held.room_c))
            done = felt(
                np.array(held.asked_c),
                np.array(held.room_c),
                np.array(calm.room_c),
                0.0 * ones,
                ones,
            )
            entries.append(
                EventBurden(
                    event.id,
                    self._block.id,
                    home.id,
                    self._at,
                    self._end,
                    None if done is None else done.burden_kh,
                    None if done is None else done.cold_hours,
                    share[home.id],
                    self._bill_gbp(home, np.array(held.power_w) - np.array(calm.power_w)),
                    part[home.id],
                )
            )
        return entries

    def _bill_gbp(self, home: Dwelling, more_w: np.typing.NDArray[np.float64]) -> float | None:
        if home.meter.tariff is None:
            return None
        try:
            rates = [
                home.meter.tariff.rate_gbp_per_kwh(self._now + number * HALF_HOUR)
                for number in range(more_w.size)
            ]
        except NoRateError:
            return None
        return float(np.dot(more_w, rates)) / 2000.0

    def _problem(self, events: tuple[FlexEvent, ...]) -> SchedulingProblem:
        return build_problem(
            self._block,
            zone=self._estate.zone,
            now=self._now,
            start=self._now,
            steps=STEPS,
            step_s=HALF_HOUR_S,
            forecasts=[*self._weather.values(), *self._loads()],
            estimates=_priors(self._estate),
            snapshot=self._snapshot(),
            rules=self._estate.control,
            events=events,
        )

    def _loads(self) -> list[Forecast]:
        def flat(target: str, subject: str, watts: float) -> Forecast:
            mean = np.full(STEPS, watts)
            return Forecast(target, subject, self._now, self._now, HALF_HOUR_S, mean, {0.5: mean})

        made = [flat("communal_w", self._block.id, 1200.0), flat("pv_w", self._block.id, 0.0)]
        for home in self._block.dwellings:
            made += [flat("load_w", home.id, BASE_W), flat("hot_water_w", home.id, WATER_W)]
        return made

    def _snapshot(self) -> Snapshot:
        readings = {}
        for home in self._block.dwellings:
            asked = max(home.comfort.temperature_at(self._now, self._estate.zone), home.floor_c)
            point = PointId(home.room_sensor_id, "temperature_c")
            readings[point] = Reading(point, self._now, asked)
        return Snapshot(self._now, readings)


def _priors(estate: Estate) -> dict[str, ThermalEstimate]:
    """Return each home as its certificate tells."""
    found = {}
    for home in estate.dwellings():
        prior = estate.thermal_priors[home.epc_band]
        loss = prior.loss_w_per_k_m2 * home.floor_area_m2
        capacity = prior.capacity_wh_per_k_m2 * home.floor_area_m2 * 3600.0
        found[home.id] = ThermalEstimate(
            home.id, loss, loss * prior.spread, capacity, capacity * prior.spread, 2.0, 200.0
        )
    return found
