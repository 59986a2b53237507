"""Heat pumps that are on or off, planned one after the other against what they cost the block.

At given prices a grid dynamic programme (:mod:`ext.onoff`) finds when each heat pump is best run.
All together they would crowd the cheap steps, so each in turn is planned again against the true
cost of its electricity to the block, the others as they stand; what does not lower the objective
is not kept. The battery is planned anew between the turns.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from controllers.evaluation import (
    EVENT_WORST_GBP_PER_KW,
    Decision,
    evaluate,
    event_rate,
    feeder_rate,
    meter_rate,
)
from controllers.master import Master, column_of
from controllers.model_homes import linear_price
from controllers.reading import battery_of
from controllers.stacked import Stacked
from controllers.stores import FORGOTTEN, kinks_of, slopes_of
from ems.domain.forecasts import FloatArray
from ext.onoff import Pumps, Switching

LEVELS = 3
"""So many outputs of a heat pump that has a least one."""
MAX_TURNS = 30
LEAST_GBP = 1e-7
"""Less than this is no improvement."""


def can_switch(model: Stacked) -> bool:
    """Whether any home's heat pump is on or off."""
    return bool(np.any(model.pumps.discrete))


class Switched:
    """A block whose heat pumps are switched; ``decision`` holds at any time.

    Parameters
    ----------
    model
        The block.
    relaxed
        A plan with heat pumps of any output: what the homes do that can, and the battery.
    price
        Of electricity at each home [£/kW and step], limits included, shape (homes, steps).
    left
        Seconds until the deadline.
    threads
        All cores where left out.
    """

    def __init__(
        self,
        model: Stacked,
        relaxed: Decision,
        price: FloatArray,
        left: Callable[[], float],
        threads: int | None,
    ) -> None:
        self._model = model
        self._left = left
        self._rows = np.flatnonzero(model.pumps.discrete)
        rows = self._rows
        least = model.pumps.least
        levels = LEVELS if np.any(least[rows] < 1.0) else 1
        share = [least + (1.0 - least) * (k + 1) / levels for k in range(levels)]
        if levels > 1:
            share[0] = least
        every = [each * model.heat_max_kw for each in share]
        self._power = np.stack(
            [model.pumps.power_kw(heat, model.heat_max_kw, model.cop)[rows] for heat in every],
            axis=2,
        )
        self._heat = np.stack([heat[rows] for heat in every], axis=2)
        self._own = (model.dt_h * linear_price(model))[rows, :, None] * self._power
        pumps = model.pumps
        self._switching = Switching(
            Pumps(
                start=model.room_c[rows],
                decay=np.where(model.decay < FORGOTTEN, 0.0, model.decay)[rows],
                gain=model.gain_k_per_kw[rows],
                drift=model.drift_k[rows],
                heat=self._heat,
                kink=kinks_of(model)[rows],
                slope=slopes_of(model),
                worth=model.terminal_gbp_per_k[rows],
                start_cost=pumps.start_gbp[rows],
                on=pumps.on[rows],
                must_on=pumps.must_on[rows],
                must_off=pumps.must_off[rows],
                lasts_on=pumps.lasts_on[rows],
                lasts_off=pumps.lasts_off[rows],
            ),
            threads=threads,
        )
        first = self._switching.best(price[rows, :, None] * self._power + self._own)
        heat, on = relaxed.heat_kw.copy(), (relaxed.heat_kw > 0).astype(np.float64)
        heat[rows], on[rows] = first.heat_kw, first.on
        self._used = pumps.power_kw(heat, model.heat_max_kw, model.cop)
        own = (model.dt_h * linear_price(model))[rows] * self._used[rows]
        self._cost = first.cost + own.sum(axis=1)
        self.decision = Decision(heat, relaxed.battery_kw, on)

    def improve(self) -> None:
        """Plan homes and battery in turns until none can do better or time is up."""
        for _ in range(MAX_TURNS):
            self._charge_battery()
            gained = 0.0
            for number in range(self._rows.size):
                if self._left() <= 0:
                    return
                gained += self._plan_again(number)
            if gained <= LEAST_GBP:
                return

    def _charge_battery(self) -> None:
        """Plan the battery for homes as they stand, where it lowers the objective."""
        model = self._model
        if model.problem.battery is None or self._left() <= 0:
            return
        master = Master(model)
        heat = self.decision.heat_kw
        master.add(column_of(model, heat))
        found = master.solve(max(self._left(), 0.0))
        if found is None:
            return
        battery, _ = battery_of(model, master.programme, found.columns)
        other = Decision(heat, battery, self.decision.on)
        if (
            evaluate(model, other).objective_gbp
            < evaluate(model, self.decision).objective_gbp - LEAST_GBP
        ):
            self.decision = other

    def _plan_again(self, number: int) -> float:
        """Plan one home against the others; return what it saves [£]."""
        row = int(self._rows[number])
        before = self._used[row]
        rest = self._flow() - before
        events = self._event_flows(row, before)
        stands = self._block_gbp(rest, events, np.zeros((1, before.size)))[0]
        power = self._power[number].T
        charge = self._block_gbp(rest, events, power) - stands
        found = self._switching.best(
            (charge.T + self._own[number])[None], first=number, last=number + 1
        )
        heat, on = found.heat_kw[0], found.on[0]
        model = self._model
        one = np.zeros(model.cop.shape)
        one[row] = heat
        used = model.pumps.power_kw(one, model.heat_max_kw, model.cop)[row]
        own = model.dt_h * linear_price(model)[row]
        cost = float(found.cost[0] + own @ used)
        saved = self._cost[number] + self._whole_gbp(rest, events, before)
        saved -= cost + self._whole_gbp(rest, events, used)
        if saved <= LEAST_GBP:
            return 0.0
        self._used[row], self._cost[number] = used, cost
        self.decision.heat_kw[row] = heat
        if self.decision.on is not None:
            self.decision.on[row] = on
        return float(saved)

    def _flow(self) -> FloatArray:
        flow = self._model.fixed_kw + self._used.sum(axis=0) + self.decision.battery_kw
        return np.asarray(flow, dtype=np.float64)

    def _event_flows(self, row: int, power: FloatArray) -> list[FloatArray | None]:
        """Return for each event that a home takes part in the others' flow in its steps."""
        flows: list[FloatArray | None] = []
        for event in self._model.events:
            if not np.any(event.homes == row):
                flows.append(None)
                continue
            flow = self._used[event.homes].sum(axis=0) - power
            flows.append(flow + self.decision.battery_kw if event.battery else flow)
        return flows

    def _block_gbp(
        self, rest: FloatArray, events: list[FloatArray | None], power: FloatArray
    ) -> FloatArray:
        """Return what each step costs the block with a home's ``power``, (levels, steps) [£]."""
        model = self._model
        flow = rest + power
        cost = feeder_rate(model, flow)
        if model.problem.pooled:
            cost = cost + meter_rate(model, flow)
        cost = model.dt_h * cost
        for peak in model.peaks:
            others = max(float(np.max(rest[peak.steps])), peak.so_far_kw)
            above = np.maximum(flow[:, peak.steps] - others, 0.0)
            cost[:, peak.steps] += peak.gbp_per_kw * above
        for event, others_kw in zip(model.events, events, strict=True):
            if others_kw is not None:
                steps = event.steps
                short = event.sign * (others_kw[steps] + power[:, steps]) - event.room_kw
                cost[:, steps] += event_rate(event) * model.dt_h[steps] * np.maximum(short, 0.0)
        return np.asarray(cost, dtype=np.float64)

    def _whole_gbp(
        self, rest: FloatArray, events: list[FloatArray | None], power: FloatArray
    ) -> float:
        """Return what the block pays in all with a home's ``power``, (steps,) [£]."""
        model = self._model
        flow = rest + power
        rate = feeder_rate(model, flow)
        if model.problem.pooled:
            rate = rate + meter_rate(model, flow)
        cost = float(np.sum(model.dt_h * rate))
        cost += sum(peak.gbp_per_kw * peak.above_kw(flow) for peak in model.peaks)
        for event, others_kw in zip(model.events, events, strict=True):
            if others_kw is not None:
                steps = event.steps
                short = event.sign * (others_kw + power)[steps] - event.room_kw
                short = np.maximum(short, 0.0)
                cost += event_rate(event) * float(np.sum(model.dt_h[steps] * short))
                cost += EVENT_WORST_GBP_PER_KW * float(np.max(short))
        return cost
