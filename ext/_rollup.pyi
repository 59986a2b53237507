"""Types of the compiled roll-up kernel."""

from numpy import float64, int8, int64
from numpy.typing import NDArray

def roll_up_series(
    times: NDArray[int64],
    values: NDArray[float64],
    quality: NDArray[int8],
    offsets: NDArray[int64],
    kinds: NDArray[int8],
    start: int,
    step: int,
    hold: int,
    mean: NDArray[float64],
    low: NDArray[float64],
    high: NDArray[float64],
    coverage: NDArray[float64],
) -> None: ...
