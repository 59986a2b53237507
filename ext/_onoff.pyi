"""Types of the compiled on/off kernel."""

from numpy import float64, int64, uint8
from numpy.typing import NDArray

def solve(
    begin: int,
    end: int,
    first: int,
    points: int,
    start: NDArray[float64],
    decay: NDArray[float64],
    gain: NDArray[float64],
    drift: NDArray[float64],
    heat: NDArray[float64],
    charge: NDArray[float64],
    kink: NDArray[float64],
    below: NDArray[float64],
    above: NDArray[float64],
    worth: NDArray[float64],
    start_cost: NDArray[float64],
    on: NDArray[uint8],
    must_on: NDArray[uint8],
    must_off: NDArray[uint8],
    lasts_on: NDArray[int64],
    lasts_off: NDArray[int64],
    low: NDArray[float64],
    width: NDArray[float64],
    states_on: int,
    states_off: int,
    given: NDArray[float64],
    running: NDArray[float64],
    temperature: NDArray[float64],
    cost: NDArray[float64],
    value: NDArray[float64],
) -> None: ...
