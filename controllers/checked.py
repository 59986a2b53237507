"""Arrays and numbers of a problem, checked: shape, finite, not below what has a meaning."""

from __future__ import annotations

import numpy as np

from ems.domain.errors import InvalidInputError
from ems.domain.forecasts import FloatArray

ANY = -np.inf
"""A least value that asks nothing."""


def checked(
    values: FloatArray, field: str, steps: int, *, low: float = ANY, inf: bool = False
) -> FloatArray:
    """Return ``values`` as float64 of shape (steps,).

    Raises
    ------
    InvalidInputError
        Where the shape is another, a value is ``nan`` or below ``low``, or infinite without
        ``inf``.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (steps,):
        raise InvalidInputError(
            "an array over time must have one value per step",
            field=field,
            value=array.shape,
            remedy=f"Give shape ({steps},).",
        )
    wrong = np.isnan(array) | (array < low) | (np.isinf(array) & (not inf))
    if wrong.any():
        step = int(np.argmax(wrong))
        least = "" if low == ANY else f" and at least {low:g}"
        raise InvalidInputError(
            f"step {step} has a value that cannot be planned with",
            field=field,
            value=float(array[step]),
            remedy=f"Give {'numbers' if inf else 'finite numbers'}{least}; name what is missing.",
        )
    return array


def scalar(value: float, field: str, low: float = ANY, *, inf: bool = False) -> float:
    """Return ``value`` as a float.

    Raises
    ------
    InvalidInputError
        Where it is ``nan``, infinite without ``inf``, or below ``low``.
    """
    if np.isnan(value) or value < low or (np.isinf(value) and not inf):
        least = "" if low == ANY else f" and at least {low:g}"
        raise InvalidInputError(
            "a number cannot be planned with",
            field=field,
            value=value,
            remedy=f"Give a {'' if inf else 'finite '}number{least}.",
        )
    return float(value)
