"""The linear programme of a block: columns, rows and costs as arrays for HiGHS.

A room's temperature is one convex cost along a line, so it is written as segments of that
line rather than as a variable with slack rows:

    T = floor - below + band + spare + above                                       (2)

with ``below`` dear, ``band`` (up to the schedule) rewarded with the discomfort avoided,
``spare`` (up to the ceiling) free and ``above`` dear. Net power at a meter is split the
same way. One row per home and step (the room), one per step and meter (the balance) and
one per step for the battery remain.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from highspy import HighsLp, HighsVarType, MatrixFormat
from numpy.typing import NDArray

from controllers.evaluation import (
    CEILING_GBP_PER_KH,
    CONTRACTED_GBP_PER_KWH,
    EVENT_WORST_GBP_PER_KW,
    EXPORT_GBP_PER_KWH,
    FLOOR_GBP_PER_KH,
    PHYSICAL_GBP_PER_KWH,
    RECOVERY_GBP_PER_KWH,
    RESERVE_GBP_PER_KWH,
    event_rate,
)
from controllers.stacked import Stacked
from ems.domain.forecasts import FloatArray

IndexArray = NDArray[np.int32]
NO_INDEX: IndexArray = np.empty(0, dtype=np.int32)


def no_index() -> IndexArray:
    """Return an empty index."""
    return NO_INDEX


@dataclass(slots=True, eq=False)
class Programme:
    """A linear programme under construction; indices of its parts once built.

    ``offset_gbp`` is the part of the objective that no column carries.
    """

    columns: int = 0
    rows: int = 0
    offset_gbp: float = 0.0
    cost: list[FloatArray] = field(default_factory=list)
    lower: list[FloatArray] = field(default_factory=list)
    upper: list[FloatArray] = field(default_factory=list)
    row_lower: list[FloatArray] = field(default_factory=list)
    row_upper: list[FloatArray] = field(default_factory=list)
    entry_row: list[IndexArray] = field(default_factory=list)
    entry_column: list[IndexArray] = field(default_factory=list)
    entry_value: list[FloatArray] = field(default_factory=list)
    heat: IndexArray = field(default_factory=no_index)
    charge: IndexArray = field(default_factory=no_index)
    discharge: IndexArray = field(default_factory=no_index)
    energy: IndexArray = field(default_factory=no_index)
    room_row: IndexArray = field(default_factory=no_index)
    shared_row: IndexArray = field(default_factory=no_index)
    feeder_row: IndexArray = field(default_factory=no_index)
    into: list[IndexArray] = field(default_factory=list)
    peak_rows: list[IndexArray] = field(default_factory=list)
    binaries: IndexArray = field(default_factory=no_index)
    bought: list[IndexArray] = field(default_factory=list)
    sold: list[IndexArray] = field(default_factory=list)
    event_rows: list[IndexArray] = field(default_factory=list)

    def add_columns(
        self, cost: FloatArray, upper: FloatArray | float, lower: FloatArray | float = 0.0
    ) -> IndexArray:
        """Add columns with these costs and bounds; return their indices, shape of ``cost``."""
        flat = np.ravel(cost)
        self.cost.append(flat)
        self.lower.append(np.ravel(np.broadcast_to(lower, np.shape(cost))))
        self.upper.append(np.ravel(np.broadcast_to(upper, np.shape(cost))))
        first = self.columns
        self.columns += flat.size
        return np.arange(first, self.columns, dtype=np.int32).reshape(np.shape(cost))

    def add_rows(self, lower: FloatArray, upper: FloatArray) -> IndexArray:
        """Add rows with these bounds; return their indices, shape of ``lower``."""
        flat = np.ravel(lower)
        self.row_lower.append(flat)
        self.row_upper.append(np.ravel(upper))
        first = self.rows
        self.rows += flat.size
        return np.arange(first, self.rows, dtype=np.int32).reshape(np.shape(lower))

    def put(self, row: IndexArray, column: IndexArray, value: FloatArray | float) -> None:
        """Set coefficients; rows are broadcast to the shape of the columns."""
        self.entry_row.append(np.ravel(np.broadcast_to(row, column.shape)))
        self.entry_column.append(np.ravel(column))
        self.entry_value.append(
            np.ravel(np.broadcast_to(np.asarray(value, dtype=np.float64), column.shape))
        )

    def to_highs(self) -> HighsLp:
        """Return the model in HiGHS's own form, columns first."""
        rows = np.concatenate(self.entry_row)
        columns = np.concatenate(self.entry_column)
        values = np.concatenate(self.entry_value)
        order = np.lexsort((rows, columns))
        model = HighsLp()
        model.num_col_ = self.columns
        model.num_row_ = self.rows
        model.col_cost_ = np.concatenate(self.cost)
        model.col_lower_ = np.concatenate(self.lower)
        model.col_upper_ = np.concatenate(self.upper)
        model.row_lower_ = np.concatenate(self.row_lower)
        model.row_upper_ = np.concatenate(self.row_upper)
        model.a_matrix_.format_ = MatrixFormat.kColwise
        model.a_matrix_.start_ = np.searchsorted(columns[order], np.arange(self.columns + 1))
        model.a_matrix_.index_ = rows[order]
        model.a_matrix_.value_ = values[order]
        if self.binaries.size:
            kinds = [HighsVarType.kContinuous] * self.columns
            for column in self.binaries:
                kinds[int(column)] = HighsVarType.kInteger
            model.integrality_ = kinds
        return model


def build(
    model: Stacked, *, one_way: IndexArray = NO_INDEX, exclusive: IndexArray = NO_INDEX
) -> Programme:
    """Return the programme of a block.

    Parameters
    ----------
    one_way
        Steps in which import and export at the shared meter exclude each other by a binary.
    exclusive
        Steps in which charging and discharging exclude each other by a binary.
    """
    programme = Programme()
    _rooms(programme, model)
    _battery(programme, model, exclusive)
    _shared_meter(programme, model, one_way)
    _events(programme, model)
    return programme


def _rooms(programme: Programme, model: Stacked) -> None:
    problem = model.problem
    dt = np.broadcast_to(model.dt_h, model.decay.shape)
    discomfort = problem.discomfort_gbp_per_kh * dt
    width = model.comfort_c - model.floor_c
    ends = np.zeros(model.decay.shape)
    ends[:, -1] = model.terminal_gbp_per_k
    price = 0.0 if problem.pooled else dt * model.home_price / model.cop
    programme.heat = programme.add_columns(np.zeros_like(ends) + price, model.heat_max_kw)
    segments = (
        (programme.add_columns(FLOOR_GBP_PER_KH * dt + discomfort + ends, np.inf), -1.0),
        (programme.add_columns(-discomfort - ends, width), 1.0),
        (programme.add_columns(-ends, model.ceiling_c - model.comfort_c), 1.0),
        (programme.add_columns(CEILING_GBP_PER_KH * dt - ends, np.inf), 1.0),
    )
    programme.offset_gbp += float(np.sum(discomfort * width))
    before = np.concatenate([model.room_c[:, None], model.floor_c[:, :-1]], axis=1)
    known = model.drift_k + model.decay * before - model.floor_c
    row = programme.room_row = programme.add_rows(known, known)
    programme.put(row, programme.heat, -model.gain_k_per_kw)
    for column, sign in segments:
        programme.put(row, column, sign)
        programme.put(row[:, 1:], column[:, :-1], -sign * model.decay[:, 1:])
    if not problem.pooled:
        base = np.array([home.base_w for home in problem.homes]).reshape(ends.shape) / 1000.0
        programme.offset_gbp += float(np.sum(dt * model.home_price * base))


def _battery(programme: Programme, model: Stacked, exclusive: IndexArray) -> None:
    battery = model.problem.battery
    if battery is None:
        return
    dt = model.dt_h
    start = battery.energy_wh / 1000.0
    charge_max = battery.max_charge_w / 1000.0
    discharge_max = battery.max_discharge_w / 1000.0
    programme.charge = programme.add_columns(np.zeros_like(dt), charge_max)
    programme.discharge = programme.add_columns(battery.wear_gbp_per_kwh * dt, discharge_max)
    value = np.zeros_like(dt)
    value[-1] = -battery.terminal_gbp_per_kwh
    # A start outside the permitted range is kept as the range's new end, never refused.
    energy = programme.energy = programme.add_columns(
        value,
        upper=max(battery.max_wh / 1000.0, start),
        lower=min(battery.min_wh / 1000.0, start),
    )
    known = np.zeros_like(dt)
    known[0] = start
    row = programme.add_rows(known, known)
    programme.put(row, energy, 1.0)
    programme.put(row[1:], energy[:-1], -1.0)
    programme.put(row, programme.charge, -battery.one_way_efficiency * dt)
    programme.put(row, programme.discharge, dt / battery.one_way_efficiency)
    if exclusive.size:
        charging = programme.add_columns(np.zeros(exclusive.size), 1.0)
        programme.binaries = np.concatenate([programme.binaries, charging])
        zero, one = np.zeros(exclusive.size), np.full(exclusive.size, discharge_max)
        row = programme.add_rows(zero - np.inf, zero)
        programme.put(row, programme.charge[exclusive], 1.0)
        programme.put(row, charging, -charge_max)
        row = programme.add_rows(zero - np.inf, one)
        programme.put(row, programme.discharge[exclusive], 1.0)
        programme.put(row, charging, discharge_max)


def _shared_meter(programme: Programme, model: Stacked, one_way: IndexArray) -> None:
    """Add the balance of the meter that PV and battery share, and of the feeder."""
    problem = model.problem
    dt = model.dt_h
    buy = problem.import_gbp_per_kwh * dt
    sell = -problem.export_gbp_per_kwh * dt
    greatest = most_import_kw(model), most_export_kw(model)
    if problem.pooled:
        bought, sold = _feeder_segments(programme, model, buy, sell, greatest)
        _peaks(programme, model, bought)
    else:
        bought = [programme.add_columns(buy, greatest[0])]
        sold = [programme.add_columns(sell, greatest[1])]
    programme.bought, programme.sold = bought, sold
    row = _balance(programme, model.landlord_fixed_kw, bought, sold)
    programme.shared_row = row
    _steer(programme, model, row, with_homes=problem.pooled)
    if problem.pooled:
        programme.feeder_row = row
    elif _feeder_limited(model) or model.peaks or np.any(model.carbon_gbp_per_kwh):
        free = np.zeros_like(dt)
        whole = most_import_kw(model, feeder=True), most_export_kw(model, feeder=True)
        into, out = _feeder_segments(programme, model, free, free, whole)
        _peaks(programme, model, into)
        programme.feeder_row = _balance(programme, model.fixed_kw, into, out)
        _steer(programme, model, programme.feeder_row, with_homes=True)
    _no_round_trip(programme, model)
    if one_way.size:
        _one_way(programme, one_way, greatest)


def _peaks(programme: Programme, model: Stacked, into: list[IndexArray]) -> None:
    """Charge the highest import at the feeder, ``into``, as far as it exceeds what was before.

    n - peak <= so far                                                            (5)
    """
    programme.into = into
    for charge in model.peaks:
        peak = programme.add_columns(np.full(1, charge.gbp_per_kw), np.inf)
        count = charge.steps.size
        row = programme.add_rows(np.full(count, -np.inf), np.full(count, charge.so_far_kw))
        programme.peak_rows.append(row)
        programme.put(row, np.repeat(peak, count), -1.0)
        for column in into:
            programme.put(row, column[charge.steps], 1.0)


def _events(programme: Programme, model: Stacked) -> None:
    """Keep participants to an event's limit, and the feeder to what is wanted after events.

    sign (sum heat / cop + c - d) - short <= sign (limit - fixed)              (4)
    """
    for event in model.events:
        steps = event.steps
        short = programme.add_columns(event_rate(event) * model.dt_h[steps], np.inf)
        row = programme.add_rows(np.full(steps.size, -np.inf), event.room_kw)
        programme.event_rows.append(row)
        programme.put(row, short, -1.0)
        worst = programme.add_columns(np.full(1, EVENT_WORST_GBP_PER_KW), np.inf)
        at_most = programme.add_rows(np.full(steps.size, -np.inf), np.zeros(steps.size))
        programme.put(at_most, short, 1.0)
        programme.put(at_most, np.repeat(worst, steps.size), -1.0)
        if event.homes.size:
            heat = programme.heat[np.ix_(event.homes, steps)]
            cop = model.cop[np.ix_(event.homes, steps)]
            programme.put(row[None, :], heat, event.sign / cop)
        if event.battery:
            programme.put(row, programme.charge[steps], event.sign)
            programme.put(row, programme.discharge[steps], -event.sign)
        if event.held_kwh:
            missing = programme.add_columns(np.full(1, RESERVE_GBP_PER_KWH), np.inf)
            last = programme.add_rows(np.full(1, event.held_kwh), np.full(1, np.inf))
            programme.put(last, programme.energy[steps[-1:]], 1.0)
            programme.put(last, missing, 1.0)
    steps = np.flatnonzero(np.isfinite(model.recovery_kw)).astype(np.int32)
    if not steps.size:
        return
    over = programme.add_columns(RECOVERY_GBP_PER_KWH * model.dt_h[steps], np.inf)
    row = programme.add_rows(
        np.full(steps.size, -np.inf), (model.recovery_kw - model.fixed_kw)[steps]
    )
    programme.put(row, over, -1.0)
    if programme.heat.size:
        programme.put(row[None, :], programme.heat[:, steps], 1.0 / model.cop[:, steps])
    if programme.charge.size:
        programme.put(row, programme.charge[steps], 1.0)
        programme.put(row, programme.discharge[steps], -1.0)


def _no_round_trip(programme: Programme, model: Stacked) -> None:
    """Where export is paid better than import costs, let only what is there be exported.

    A meter that runs one way at a time exports at most what the battery discharges and what
    generation leaves of the fixed load:

        sold <= discharge + max(-fixed, 0)                                         (3)

    True of every real flow, it takes the profit out of buying and selling in one step, so
    that binaries are hardly ever needed.
    """
    problem = model.problem
    inverted = np.flatnonzero(problem.export_gbp_per_kwh > problem.import_gbp_per_kwh)
    if not inverted.size or not programme.discharge.size:
        return
    left_over = np.maximum(-model.landlord_fixed_kw[inverted], 0.0)
    row = programme.add_rows(np.full(inverted.size, -np.inf), left_over)
    for column in programme.sold:
        programme.put(row, column[inverted], 1.0)
    programme.put(row, programme.discharge[inverted], -1.0)


def _one_way(
    programme: Programme, steps: IndexArray, greatest: tuple[FloatArray, FloatArray]
) -> None:
    """Let the shared meter run one way at a time in these steps."""
    importing = programme.add_columns(np.zeros(steps.size), 1.0)
    programme.binaries = np.concatenate([programme.binaries, importing])
    zero = np.zeros(steps.size)
    row = programme.add_rows(zero - np.inf, zero)
    for column in programme.bought:
        programme.put(row, column[steps], 1.0)
    programme.put(row, importing, -greatest[0][steps])
    row = programme.add_rows(zero - np.inf, greatest[1][steps])
    for column in programme.sold:
        programme.put(row, column[steps], 1.0)
    programme.put(row, importing, greatest[1][steps])


def _feeder_segments(
    programme: Programme,
    model: Stacked,
    buy: FloatArray,
    sell: FloatArray,
    greatest: tuple[FloatArray, FloatArray],
) -> tuple[list[IndexArray], list[IndexArray]]:
    """Add import and export at the feeder, split where a limit begins to cost."""
    dt = model.dt_h
    into, out = greatest
    buy = buy + dt * model.carbon_gbp_per_kwh
    bought = [programme.add_columns(buy, np.minimum(model.contracted_kw, into))]
    if np.any(model.contracted_kw < into):
        span = np.clip(np.minimum(model.physical_kw, into) - model.contracted_kw, 0.0, None)
        bought.append(programme.add_columns(buy + CONTRACTED_GBP_PER_KWH * dt, span))
    if np.any(model.physical_kw < into):
        span = np.clip(into - model.physical_kw, 0.0, None)
        # Over the rating, the whole contracted band below it has been used up as well.
        bought.append(programme.add_columns(buy + PHYSICAL_GBP_PER_KWH * dt, span))
    sold = [programme.add_columns(sell, np.minimum(model.export_kw, out))]
    if np.any(model.export_kw < out):
        span = np.clip(out - model.export_kw, 0.0, None)
        sold.append(programme.add_columns(sell + EXPORT_GBP_PER_KWH * dt, span))
    return bought, sold


def _balance(
    programme: Programme, fixed_kw: FloatArray, bought: list[IndexArray], sold: list[IndexArray]
) -> IndexArray:
    row = programme.add_rows(-fixed_kw, -fixed_kw)
    for column in bought:
        programme.put(row, column, -1.0)
    for column in sold:
        programme.put(row, column, 1.0)
    return row


def _steer(programme: Programme, model: Stacked, row: IndexArray, *, with_homes: bool) -> None:
    """Let heat pumps and battery flow into a balance."""
    if with_homes and programme.heat.size:
        programme.put(row[None, :], programme.heat, 1.0 / model.cop)
    if programme.charge.size:
        programme.put(row, programme.charge, 1.0)
        programme.put(row, programme.discharge, -1.0)


def _feeder_limited(model: Stacked) -> bool:
    return bool(
        np.any(model.contracted_kw < most_import_kw(model, feeder=True))
        or np.any(model.export_kw < most_export_kw(model, feeder=True))
    )


def most_import_kw(model: Stacked, *, feeder: bool = False) -> FloatArray:
    """Return the greatest import that any decision can cause [kW], shape (steps,)."""
    feeder = feeder or model.problem.pooled
    fixed = model.fixed_kw if feeder else model.landlord_fixed_kw
    heating = (model.heat_max_kw / model.cop).sum(axis=0) if feeder else 0.0
    battery = model.problem.battery
    charge = 0.0 if battery is None else battery.max_charge_w / 1000.0
    return np.maximum(fixed + heating + charge, 0.0)


def most_export_kw(model: Stacked, *, feeder: bool = False) -> FloatArray:
    """Return the greatest export that any decision can cause [kW], shape (steps,)."""
    fixed = model.fixed_kw if feeder or model.problem.pooled else model.landlord_fixed_kw
    battery = model.problem.battery
    discharge = 0.0 if battery is None else battery.max_discharge_w / 1000.0
    return np.maximum(discharge - fixed, 0.0)
