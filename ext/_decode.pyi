"""Types of the compiled decoding kernel."""

from typing import Any

from numpy import float64, int8, uint8, uint16, uint64
from numpy.typing import NDArray

def decode_images(
    slots: NDArray[Any],
    sentinels: NDArray[uint64],
    codes: NDArray[float64],
    meanings: NDArray[float64],
    images: NDArray[uint16],
    answered: NDArray[uint8],
    values: NDArray[float64],
    quality: NDArray[int8],
) -> None: ...
