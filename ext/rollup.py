"""Roll-ups: irregular readings of many series to regular steps.

The arithmetic is compiled (``ext/_rollup.pyx``); :mod:`ext.rollup_reference` says
the same readably, and tests hold the two equal.

Rules
-----
A value is *good* where its quality is 0 and it is finite.

gauge
    A good value holds until the next reading of its series, good or not, but at
    most ``max_hold_us``. A step's mean weighs values by the time they held within it;
    low and high are the extremes of those values.
state
    Held alike; a step's value is the last one that held within it.
counter
    A step's value is the sum of rises between neighbouring good values that end
    within ``(begin, end]`` of the step. So the rises of all steps add up to the
    counter's own, and a step needs no reading from after its end. A rise is left out,
    and its time not covered, where it began in an earlier step more than
    ``max_hold_us`` ago (it cannot be told when it happened) and where the counter fell
    (it was reset). After a step's last value its time is covered for as long as the
    value stands, ``max_hold_us``. A value is passed over as a glitch where it fell but
    the counter is back within ``max_hold_us``, or where it jumped and the very next
    value takes it back. Low and high are the extremes of the counter itself.

Coverage is the share of a step for which a value is known, 0 to 1, from integer
times and so exact. A step without any good value is ``nan`` with coverage 0; it is
never zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ems.domain.errors import InvalidInputError
from ems.domain.points import PointKind

try:
    from ext._rollup import roll_up_series
except ImportError as error:
    raise ImportError(
        "the compiled kernel ext._rollup is missing: build it with `pip install -e .` in the "
        "project's folder (this needs a C compiler, e.g. the package build-essential)"
    ) from error

HALF_HOUR_US = 1_800_000_000
"""A half-hour [µs]."""

KIND_CODES = {PointKind.GAUGE: 0, PointKind.COUNTER: 1, PointKind.STATE: 2}
"""The kernel's number for each kind of point."""

_FURTHEST_US = 2**61


@dataclass(frozen=True, slots=True, eq=False)
class RollupArrays:
    """Values per series and step, each of shape (series, slots).

    Attributes
    ----------
    mean
        Mean of a gauge, last value of a state, rise of a counter; ``nan`` where unknown.
    low, high
        Extremes; ``nan`` where unknown.
    coverage
        Share of the step for which a value is known, 0 to 1.
    """

    mean: NDArray[np.float64] = field(repr=False)
    low: NDArray[np.float64] = field(repr=False)
    high: NDArray[np.float64] = field(repr=False)
    coverage: NDArray[np.float64] = field(repr=False)


def roll_up(
    times_us: ArrayLike,
    values: ArrayLike,
    quality: ArrayLike,
    kinds: Sequence[PointKind],
    *,
    start_us: int,
    slots: int,
    max_hold_us: int,
    step_us: int = HALF_HOUR_US,
    offsets: ArrayLike | None = None,
) -> RollupArrays:
    """Roll many series up at once.

    Parameters
    ----------
    times_us
        When each value was read [µs since the epoch], integers, shape (readings,),
        never falling within a series. Readings outside the steps may be given; those
        up to ``max_hold_us`` before the first are needed to know what held there.
    values
        Shape (readings,); ``nan`` where there is none.
    quality
        0 where good, shape (readings,).
    kinds
        One for each series.
    start_us
        Begin of the first step [µs since the epoch].
    slots
        Number of steps.
    max_hold_us
        How long a value stands without a newer one [µs].
    step_us
        Length of a step [µs].
    offsets
        Series ``s`` is ``[offsets[s], offsets[s + 1])`` of the readings, shape
        (series + 1,). May be left out for a single series.

    Returns
    -------
    RollupArrays
        Arrays of shape (series, slots).

    Raises
    ------
    InvalidInputError
        Where lengths, order or ranges break the rules above.
    """
    times = _integers(times_us, "times_us")
    numbers = _vector(values, np.float64, "values")
    marks = _vector(quality, np.int8, "quality")
    if not len(times) == len(numbers) == len(marks):
        raise InvalidInputError(
            "times, values and quality must be equally long",
            field="values",
            value=(len(times), len(numbers), len(marks)),
            remedy="Give one value and one quality for each time.",
        )
    for name, number, least in (
        ("slots", slots, 0),
        ("step_us", step_us, 1),
        ("max_hold_us", max_hold_us, 1),
    ):
        if not least <= number <= _FURTHEST_US:
            raise InvalidInputError(
                f"must be between {least} and 2^61",
                field=name,
                value=number,
                remedy="Durations are microseconds.",
            )
    if abs(start_us) > _FURTHEST_US or abs(start_us) + slots * step_us > _FURTHEST_US:
        raise InvalidInputError(
            "the steps reach too far from the epoch",
            field="start_us",
            value=start_us,
            remedy="Times are microseconds since 1970.",
        )
    bounds = _bounds(offsets, len(kinds), len(times))
    _check_order(times, bounds)
    codes = np.array([KIND_CODES[kind] for kind in kinds], dtype=np.int8)
    shape = (len(kinds), slots)
    result = RollupArrays(np.empty(shape), np.empty(shape), np.empty(shape), np.empty(shape))
    roll_up_series(
        times,
        numbers,
        marks,
        bounds,
        codes,
        start_us,
        step_us,
        max_hold_us,
        result.mean,
        result.low,
        result.high,
        result.coverage,
    )
    return result


def _vector(given: ArrayLike, dtype: Any, name: str) -> NDArray[Any]:
    array = np.ascontiguousarray(given, dtype=dtype)
    if np.ndim(given) != 1:
        raise InvalidInputError(
            "must have one dimension",
            field=name,
            value=np.shape(given),
            remedy="Concatenate the series and give their offsets.",
        )
    return array


def _integers(given: ArrayLike, name: str) -> NDArray[np.int64]:
    array = np.asarray(given)
    if array.size and array.dtype.kind not in "iu":
        raise InvalidInputError(
            "must be integers",
            field=name,
            value=str(array.dtype),
            remedy="Convert to whole microseconds or positions first.",
        )
    return _vector(array, np.int64, name)


def _bounds(offsets: ArrayLike | None, series: int, readings: int) -> NDArray[np.int64]:
    bounds = _integers([0, readings] if offsets is None else offsets, "offsets")
    if (
        len(bounds) != series + 1
        or bounds[0] != 0
        or bounds[-1] != readings
        or bool(np.any(np.diff(bounds) < 0))
    ):
        raise InvalidInputError(
            f"must rise from 0 to {readings} in {series + 1} entries",
            field="offsets",
            value=bounds.tolist()[:10],
            remedy="Give where each series begins, and the number of readings at the end.",
        )
    return bounds


def _check_order(times: NDArray[np.int64], bounds: NDArray[np.int64]) -> None:
    if not len(times):
        return
    falls = np.flatnonzero(times[1:] < times[:-1]) + 1
    falls = falls[~np.isin(falls, bounds)]
    if len(falls):
        raise InvalidInputError(
            "times must not fall within a series",
            field=f"times_us[{falls[0]}]",
            value=int(times[falls[0]]),
            remedy="Sort each series by time.",
        )
    if int(times.max()) > _FURTHEST_US or int(times.min()) < -_FURTHEST_US:
        raise InvalidInputError(
            "a time is too far from the epoch",
            field="times_us",
            value=(int(times.min()), int(times.max())),
            remedy="Times are microseconds since 1970.",
        )
