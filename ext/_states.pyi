"""Types of the compiled states kernel."""

from numpy import float64, int32, intp
from numpy.typing import NDArray

def solve(
    begin: int,
    end: int,
    start: NDArray[float64],
    carry: NDArray[float64],
    gain: NDArray[float64],
    drift: NDArray[float64],
    most: NDArray[float64],
    rate: NDArray[float64],
    busy: NDArray[float64],
    kink: NDArray[float64],
    weight: NDArray[float64],
    of: NDArray[intp],
    side: NDArray[float64],
    worth: NDArray[float64],
    price: NDArray[float64],
    row: NDArray[intp],
    own: NDArray[float64],
    first: NDArray[float64],
    target: float,
    margin: float,
    near: float,
    limit: int,
    heat: NDArray[float64],
    state: NDArray[float64],
    power: NDArray[float64],
    cost: NDArray[float64],
    value: NDArray[float64],
    bound: NDArray[float64],
    spares: NDArray[float64],
    squeeze: NDArray[float64],
    count: NDArray[int32],
) -> None: ...
