"""What the ridge kernel works on: the plan of columns, a window of data, both checked."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ems.domain.errors import InvalidInputError

Floats = NDArray[np.float64]

PAD = 8
"""Steps behind each column that the kernel may read (zeros)."""

SMALL = 200_000
"""Rows in all under which threads cost more than they save."""


@dataclass(frozen=True, slots=True)
class FeaturePlan:
    """Which columns a row has, beside the constant.

    Attributes
    ----------
    lags
        Steps back to the series itself, each at least 1. Built in place.
    shared
        Number of columns that all series share: calendar, weather.
    own
        Number of columns that each series brings.
    slots
        Number of slots, of which a step is in one: half-hours of the day or the week.
    """

    lags: tuple[int, ...] = ()
    shared: int = 0
    own: int = 0
    slots: int = 0

    def __post_init__(self) -> None:
        if any(lag < 1 for lag in self.lags) or len(set(self.lags)) != len(self.lags):
            raise InvalidInputError(
                "lags must be different and at least 1",
                field="lags",
                value=self.lags,
                remedy="A lag of 0 would be the target itself.",
            )
        if min(self.shared, self.own, self.slots) < 0:
            raise InvalidInputError(
                "numbers of columns must not be negative",
                field="shared, own, slots",
                value=(self.shared, self.own, self.slots),
                remedy="Give 0 for none.",
            )

    @property
    def reach(self) -> int:
        """Steps back that the longest lag reaches."""
        return max(self.lags, default=0)

    @property
    def columns(self) -> int:
        """Number of dense columns: constant, shared, own, lags."""
        return 1 + self.shared + self.own + len(self.lags)

    @property
    def coefficients(self) -> int:
        """Number of coefficients: dense columns, then slots."""
        return self.columns + self.slots


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """A stretch of steps for all series; ``nan`` where something is missing.

    Attributes
    ----------
    values
        Shape (series, steps).
    shared
        Shape (shared, steps); may be left out where the plan has none.
    own
        Shape (series, own, steps), likewise.
    slot
        Slot of each step, integers from 0, shape (steps,), likewise.
    first_step
        Number of the first step on the caller's own count of half-hours.
    """

    values: ArrayLike = field(repr=False)
    shared: ArrayLike | None = field(default=None, repr=False)
    own: ArrayLike | None = field(default=None, repr=False)
    slot: ArrayLike | None = field(default=None, repr=False)
    first_step: int = 0


@dataclass(slots=True, eq=False)
class RidgeState:
    """Accumulated sums; all arrays may be stored and given back.

    Attributes
    ----------
    plan, forgetting
        As fitted; ``forgetting`` is the weight of a row beside that of the next one.
    gram
        (1), lower triangle, shape (series, columns + 1, columns + 1); the target last.
    slot_sums
        (2), shape (series, slots, columns + 1).
    rows
        Number of rows that entered, shape (series,).
    begin_step, end_step
        Steps seen: [begin, end).
    """

    plan: FeaturePlan
    forgetting: float
    gram: Floats = field(repr=False)
    slot_sums: Floats = field(repr=False)
    rows: NDArray[np.int64] = field(repr=False)
    begin_step: int
    end_step: int

    @property
    def nbytes(self) -> int:
        """Memory of the arrays [bytes]."""
        return self.gram.nbytes + self.slot_sums.nbytes + self.rows.nbytes

    @property
    def spread(self) -> Floats:
        """Weighted standard deviation of each series' targets, shape (series,)."""
        with np.errstate(invalid="ignore"):
            mean = self.gram[:, -1, 0] / self.gram[:, 0, 0]
            square = self.gram[:, -1, -1] / self.gram[:, 0, 0]
        return np.asarray(np.sqrt(np.maximum(square - mean**2, 0.0)))


@dataclass(frozen=True, slots=True, eq=False)
class Around:
    """What re-weights rows by the residuals of an earlier fit; fields as in the kernel."""

    coefficients: Floats
    spread: Floats
    floor: float
    quantile: float


AS_IS = Around(np.empty((0, 0)), np.empty(0), 1.0, 0.5)
"""Rows keep their weight."""


class CheckedWindow:
    """A window whose shapes fit its plan, as arrays for the kernel.

    Attributes
    ----------
    values, shared, own, slot, first_step
        As in `Window`; arrays without columns where the plan has none.
    lags
        Those of the plan.
    """

    def __init__(self, plan: FeaturePlan, window: Window) -> None:
        self.plan = plan
        self.values = as_rows(window.values, "values")
        series, steps = self.values.shape
        self.shared = _columns(window.shared, (plan.shared, steps), "shared")
        self.own = _columns(window.own, (series, plan.own, steps), "own")
        self.slot = _slots(window.slot, plan.slots, steps)
        self.first_step = window.first_step
        self.lags = np.array(plan.lags, dtype=np.int64)

    @property
    def end_step(self) -> int:
        """The step after the last one."""
        return self.first_step + int(self.values.shape[1])

    def since(self, step: int) -> CheckedWindow:
        """Return the window without what lies before ``step``."""
        if self.first_step >= step:
            return self
        past = min(step - self.first_step, self.values.shape[1])
        return CheckedWindow(
            self.plan,
            Window(
                self.values[:, past:],
                self.shared[:, past:],
                self.own[:, :, past:],
                self.slot[past:],
                self.first_step + past,
            ),
        )

    def only(self, which: NDArray[np.int64]) -> CheckedWindow:
        """Return some of the series."""
        return CheckedWindow(
            self.plan,
            Window(self.values[which], self.shared, self.own[which], self.slot, self.first_step),
        )


class SharedRows:
    """Rows ``[begin, end)`` of a checked window (positions) as the kernel wants them.

    Attributes
    ----------
    basis
        Constant and shared columns, 0 where missing, padded; shape (1 + shared, rows + pad).
    by_row
        The same row by row, zeros behind them, shape (rows, a multiple of four).
    weight
        Weight of each row, 0 where a shared column is missing or a lag lies before the window.
    slot
        Slot of each row.
    """

    def __init__(self, data: CheckedWindow, begin: int, end: int, weight: Floats) -> None:
        count = end - begin
        shared = data.shared[:, begin:end]
        known = np.isfinite(shared)
        self.basis = np.zeros((1 + len(shared), count + PAD))
        self.basis[0, :count] = 1.0
        self.basis[1:, :count] = np.where(known, shared, 0.0)
        self.by_row = np.zeros((count, -(-len(self.basis) // 4) * 4))
        self.by_row[:, : len(self.basis)] = self.basis[:, :count].T
        self.weight = np.where(known.all(axis=0), weight, 0.0)
        self.weight[: max(0, data.plan.reach - begin)] = 0.0
        self.slot = np.ascontiguousarray(data.slot[begin:end])

    def totals(self, slots: int) -> tuple[Floats, Floats]:
        """Return the sums over all rows, and by slot, that every series begins with."""
        weighted = self.by_row * self.weight[:, None]
        by_slot = np.zeros((slots, self.by_row.shape[1]))
        if slots:
            np.add.at(by_slot, self.slot, weighted)
        return np.ascontiguousarray(self.by_row.T @ weighted), by_slot


def as_floats(given: ArrayLike, dimensions: int, name: str) -> Floats:
    """Return a contiguous array of numbers with so many dimensions, or say what is wrong."""
    array = np.asarray(given)
    if array.ndim != dimensions or array.dtype.kind not in "fiub":
        raise InvalidInputError(
            f"must be numbers in {dimensions} dimensions",
            field=name,
            value=(str(array.dtype), array.shape),
            remedy="Series come first, steps last.",
        )
    return np.ascontiguousarray(array, dtype=np.float64)


def as_rows(given: ArrayLike, name: str) -> Floats:
    """Return series whose steps lie side by side; a part of such an array is not copied."""
    if (
        isinstance(given, np.ndarray)
        and given.ndim == 2
        and given.dtype == np.float64
        and given.flags.aligned
        and given.strides[1] == given.itemsize
        and given.strides[0] > 0
    ):
        return given
    return as_floats(given, 2, name)


def as_shape(given: ArrayLike, shape: tuple[int, ...], name: str) -> Floats:
    """Return a contiguous array of numbers with this shape, or say what is wrong."""
    array = as_floats(given, len(shape), name)
    if array.shape != shape:
        raise InvalidInputError(
            f"must have the shape {shape}",
            field=name,
            value=array.shape,
            remedy="Series come first, steps last; columns are those of the plan.",
        )
    return array


def _columns(given: ArrayLike | None, shape: tuple[int, ...], name: str) -> Floats:
    if given is None:
        if 0 not in shape[:-1]:
            raise InvalidInputError(
                "is missing, but the plan has such columns",
                field=name,
                remedy=f"Give an array of shape {shape}.",
            )
        return np.zeros(shape)
    return as_shape(given, shape, name)


def _slots(given: ArrayLike | None, slots: int, steps: int) -> NDArray[np.int64]:
    if not slots:
        return np.zeros(steps, dtype=np.int64)
    array: NDArray[Any] = np.asarray([] if given is None else given)
    if (
        array.shape != (steps,)
        or (array.size and array.dtype.kind not in "iu")
        or bool(np.any((array < 0) | (array >= slots)))
    ):
        raise InvalidInputError(
            f"must be {steps} integers from 0 to {slots - 1}",
            field="slot",
            value=(str(array.dtype), array.shape),
            remedy="Give the slot of each step, such as its half-hour of the day.",
        )
    return np.ascontiguousarray(array, dtype=np.int64)


def end_of(data: CheckedWindow, until: int | None) -> int:
    """Return the step before which rows are used, or say that it is not in the window."""
    if until is None:
        return data.end_step
    if not data.first_step <= until <= data.end_step:
        raise InvalidInputError(
            f"must be between {data.first_step} and {data.end_step}",
            field="until",
            value=until,
            remedy="Steps are counted as the window's first_step is.",
        )
    return until


def check_series(state: RidgeState, data: CheckedWindow) -> None:
    """Refuse a window of another number of series than the fit's."""
    if data.values.shape[0] != len(state.rows):
        raise InvalidInputError(
            f"must have the {len(state.rows)} series of the fit",
            field="values",
            value=data.values.shape,
            remedy="Give all series in the order of the fit; nan where nothing is known.",
        )


def check_reach(state: RidgeState, data: CheckedWindow, step: int) -> None:
    """Refuse a window that lacks lags of the row at ``step``."""
    needed = max(step - state.plan.reach, state.begin_step)
    if data.first_step > needed:
        raise InvalidInputError(
            "begins after the first step that the longest lag reaches",
            field="first_step",
            value=data.first_step,
            remedy=f"Begin at step {needed} or before.",
        )


def share(work: Callable[[int, int], None], series: int, each: int, threads: int | None) -> None:
    """Share the series over threads; little work stays in this one."""
    count = threads or len(os.sched_getaffinity(0))
    if count == 1 or series < 2 or series * each < SMALL:
        work(0, series)
        return
    size = max(1, -(-series // (4 * count)))
    with ThreadPoolExecutor(count) as pool:
        jobs = [
            pool.submit(work, begin, min(begin + size, series)) for begin in range(0, series, size)
        ]
    for job in jobs:
        job.result()
