"""Types of the ridge kernel's sums."""

from numpy import float64, int64
from numpy.typing import NDArray

def accumulate(
    values: NDArray[float64],
    own: NDArray[float64],
    basis: NDArray[float64],
    by_row: NDArray[float64],
    row_weight: NDArray[float64],
    slot: NDArray[int64],
    lags: NDArray[int64],
    first: int,
    total: NDArray[float64],
    slot_total: NDArray[float64],
    around: NDArray[float64],
    scale: NDArray[float64],
    floor: float,
    quantile: float,
    keep: float,
    sign: int,
    gram: NDArray[float64],
    slot_sums: NDArray[float64],
    rows: NDArray[int64],
    begin: int,
    end: int,
) -> None: ...
def fitted_rows(
    values: NDArray[float64],
    own: NDArray[float64],
    basis: NDArray[float64],
    row_weight: NDArray[float64],
    slot: NDArray[int64],
    lags: NDArray[int64],
    first: int,
    coefficients: NDArray[float64],
    fitted: NDArray[float64],
    slots: bool,
    begin: int,
    end: int,
) -> None: ...
