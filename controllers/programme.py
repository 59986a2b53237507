"""A linear programme under construction, as arrays for HiGHS."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from highspy import HighsLp, HighsVarType, MatrixFormat
from numpy.typing import NDArray

from ems.domain.forecasts import FloatArray

IndexArray = NDArray[np.int32]
NO_INDEX: IndexArray = np.empty(0, dtype=np.int32)


def no_index() -> IndexArray:
    """Return an empty index."""
    return NO_INDEX


@dataclass(frozen=True, slots=True, eq=False)
class Draw:
    """Columns of heat, and the electricity that each kW of them takes at its home.

    ``kind`` is ``room``, ``pump`` or ``backup`` (both of tanks); ``rows`` are homes, shape (n,);
    ``columns`` and ``rate`` [kW/kW] have shape (n, steps).
    """

    kind: str
    rows: IndexArray
    columns: IndexArray
    rate: FloatArray


@dataclass(slots=True, eq=False)
class Programme:
    """A programme under construction; indices of its parts once built.

    ``offset_gbp`` is the part of the objective that no column carries. ``binaries`` are columns
    that are 0 or 1: ``on`` of discrete heat pumps (rows ``discrete``), ``hot`` and ``windows``
    of tanks (tank, columns), ``own_way`` (home, step, column), ``charging`` and ``importing`` of
    the steps ``exclusive`` and ``one_way``.
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
    draws: list[Draw] = field(default_factory=list)
    segments: list[tuple[IndexArray, float]] = field(default_factory=list)
    mass: IndexArray = field(default_factory=no_index)
    tank: list[tuple[IndexArray, float]] = field(default_factory=list)
    on: IndexArray = field(default_factory=no_index)
    discrete: IndexArray = field(default_factory=no_index)
    hot: list[tuple[int, IndexArray]] = field(default_factory=list)
    windows: list[tuple[int, IndexArray]] = field(default_factory=list)
    own_rows: IndexArray = field(default_factory=no_index)
    own_meter: IndexArray = field(default_factory=no_index)
    own_way: list[tuple[int, int, int]] = field(default_factory=list)
    charging: IndexArray = field(default_factory=no_index)
    exclusive: IndexArray = field(default_factory=no_index)
    importing: IndexArray = field(default_factory=no_index)
    one_way: IndexArray = field(default_factory=no_index)
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

    def decide(self, columns: IndexArray) -> None:
        """Let columns be 0 or 1."""
        self.binaries = np.concatenate([self.binaries, np.ravel(columns)]).astype(np.int32)

    def to_highs(self, *, integral: bool = True) -> HighsLp:
        """Return the model in HiGHS's own form, columns first; relaxed unless ``integral``."""
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
        if integral and self.binaries.size:
            kinds = [HighsVarType.kContinuous] * self.columns
            for column in self.binaries:
                kinds[int(column)] = HighsVarType.kInteger
            model.integrality_ = kinds
        return model
