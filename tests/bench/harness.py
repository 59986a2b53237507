"""What every bench shares: a row of the report, and a clock that is fair.

A bench is a module ``bench_<area>.py`` beside this one with a function
``rows() -> Iterable[Row]``. It makes its own data, seeded, and asserts nothing: what
misses its target is printed as missing it.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One figure.

    Attributes
    ----------
    area, name
        Where it belongs, and what was measured, in words.
    value, unit
        The figure; ``None`` where it could not be measured, the name says why.
    below, above
        The target, if any: the value must be at most the one and at least the other.
    peer, peer_value
        What it is compared with, and its figure in the same unit.
    """

    area: str
    name: str
    value: float | None
    unit: str
    below: float | None = None
    above: float | None = None
    peer: str | None = None
    peer_value: float | None = None

    @property
    def target(self) -> str | None:
        """The target as text; ``None`` where there is none."""
        if self.below is not None and self.above is not None:
            return f"{self.above:g}–{self.below:g}"
        if self.below is not None:
            return f"≤ {self.below:g}"
        if self.above is not None:
            return f"≥ {self.above:g}"
        return None

    @property
    def holds(self) -> bool | None:
        """Whether the target is met; ``None`` where there is none."""
        if self.value is None or (self.below is None and self.above is None):
            return None
        most = float("inf") if self.below is None else self.below
        least = float("-inf") if self.above is None else self.above
        return least <= self.value <= most

    def as_json(self) -> dict[str, Any]:
        """Return the row as ``build/bench.json`` holds it."""
        plain = asdict(self)
        del plain["below"], plain["above"]
        return plain | {"target": self.target, "holds": self.holds}


def median_ms(work: Callable[[], Any], *, repeats: int = 15, warm_up: int = 2) -> float:
    """Return the median wall time of ``work`` [ms], garbage collection held off."""
    for _ in range(warm_up):
        work()
    taken = []
    gc.collect()
    gc.disable()
    try:
        for _ in range(repeats):
            begin = time.perf_counter()
            work()
            taken.append((time.perf_counter() - begin) * 1000)
    finally:
        gc.enable()
    return statistics.median(taken)
