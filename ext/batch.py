"""Many stores, rooms or pumps at once: arrays that are checked, and rows shared over threads."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import ArrayLike

from ems.domain.errors import InvalidInputError
from ems.domain.forecasts import FloatArray

SMALL = 8_000
"""So few rows times steps are not worth a second thread."""


class Batch:
    """What the inputs of a kernel have in common; ``drift`` has a row and a step for each."""

    __slots__ = ()
    drift: FloatArray

    @property
    def size(self) -> int:
        """Number of rows: stores, homes or pumps."""
        return int(self.drift.shape[0])

    @property
    def steps(self) -> int:
        """Number of steps."""
        return int(self.drift.shape[1])

    def _keep(
        self,
        name: str,
        shape: tuple[int, ...],
        *,
        low: float = -np.inf,
        high: float = np.inf,
        rising: bool = False,
    ) -> None:
        array = checked(getattr(self, name), name, shape, low=low, high=high, rising=rising)
        object.__setattr__(self, name, array)


def share(work: Callable[[int, int], None], size: int, each: int, threads: int | None) -> None:
    """Share rows over threads; little work stays in this one."""
    count = min(threads or len(os.sched_getaffinity(0)), size)
    if count < 2 or size * each < SMALL:
        if size:
            work(0, size)
        return
    edges = np.linspace(0, size, count + 1).astype(int)
    with ThreadPoolExecutor(count - 1) as pool:
        jobs = [pool.submit(work, int(edges[k]), int(edges[k + 1])) for k in range(1, count)]
        work(0, int(edges[1]))
    for job in jobs:
        job.result()


def checked(
    values: ArrayLike,
    name: str,
    shape: tuple[int, ...],
    *,
    low: float = -np.inf,
    high: float = np.inf,
    rising: bool = False,
) -> FloatArray:
    """Return a contiguous array of this shape, finite, within bounds and, if so, rising."""
    array = np.ascontiguousarray(values, dtype=np.float64)
    if array.shape != shape or 0 in shape[1:2]:
        raise InvalidInputError(
            "an array has the wrong shape",
            field=name,
            value=array.shape,
            remedy=f"Give shape {shape}, with at least one step.",
        )
    wrong = ~(np.isfinite(array) & (array >= low) & (array <= high))
    if wrong.any():
        raise InvalidInputError(
            "a value cannot be reckoned with",
            field=name,
            value=float(array[wrong][0]),
            remedy=f"Give finite numbers from {low:g} to {high:g}.",
        )
    if rising and np.any(np.diff(array, axis=-1) < 0):
        raise InvalidInputError(
            "values must not fall along the last axis",
            field=name,
            value=float(np.min(np.diff(array, axis=-1))),
            remedy="Sort them.",
        )
    return array
