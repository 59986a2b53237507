"""Types of the compiled store kernel."""

from numpy import float64, intp
from numpy.typing import NDArray

def solve(
    begin: int,
    end: int,
    start: NDArray[float64],
    decay: NDArray[float64],
    gain: NDArray[float64],
    drift: NDArray[float64],
    most: NDArray[float64],
    rate: NDArray[float64],
    price: NDArray[float64],
    row: NDArray[intp],
    own: NDArray[float64],
    kink: NDArray[float64],
    slope: NDArray[float64],
    worth: NDArray[float64],
    heat: NDArray[float64],
    power: NDArray[float64],
    temperature: NDArray[float64],
    cost: NDArray[float64],
    value: NDArray[float64],
) -> None: ...
