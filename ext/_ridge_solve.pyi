"""Types of the ridge kernel's solver."""

from numpy import float64, int64
from numpy.typing import NDArray

def solve_all(
    gram: NDArray[float64],
    slot_sums: NDArray[float64],
    rows: NDArray[int64],
    penalties: NDArray[float64],
    standardise: bool,
    coefficients: NDArray[float64],
    begin: int,
    end: int,
) -> None: ...
def predict_all(
    history: NDArray[float64],
    own: NDArray[float64],
    basis: NDArray[float64],
    slot: NDArray[int64],
    lags: NDArray[int64],
    coefficients: NDArray[float64],
    predicted: NDArray[float64],
    slots: bool,
    begin: int,
    end: int,
) -> None: ...
