"""The error of an issued forecast: seeded, coloured in lead, and revised hour by hour.

Where only observed weather exists, the forecast is truth plus this error (equation 7
of ``docs/forecasting.md``)::

    e(i, v) = base(i) + sum over hours h in (i, v] of innovation(h, v)

Each innovation is noise that depends on nothing but the seed and the hour at which it
comes in, so that a later issue corrects an earlier one, successive issues resemble
each other, and each issue is the same whoever asks for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ems.domain.forecasts import FloatArray

MAX_LEAD_H = 96
"""Leads beyond this have the error of this one [h]."""
SdOfLead = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True, slots=True)
class IssueError:
    """Standard deviation of a forecast's error over lead, and how it is coloured.

    Attributes
    ----------
    lead_h, outdoor_k
        Standard deviation of temperature [K] at these leads [h], straight lines between,
        held beyond.
    irradiance_share
        The same for irradiance, as a share of it [-].
    persistence
        Correlation of neighbouring hours of one innovation [-].
    """

    lead_h: tuple[float, ...] = (0.0, 3.0, 36.0)
    outdoor_k: tuple[float, ...] = (0.3, 0.5, 2.0)
    irradiance_share: tuple[float, ...] = (0.05, 0.1, 0.4)
    persistence: float = 0.9

    def outdoor_sd(self, lead_h: FloatArray) -> FloatArray:
        """Return the standard deviation of temperature [K] at these leads [h]."""
        return np.asarray(np.interp(lead_h, self.lead_h, self.outdoor_k), dtype=np.float64)

    def irradiance_sd(self, lead_h: FloatArray) -> FloatArray:
        """Return the relative standard deviation of irradiance [-] at these leads [h]."""
        return np.asarray(np.interp(lead_h, self.lead_h, self.irradiance_share), dtype=np.float64)


PERFECT = IssueError((0.0, 1.0), (0.0, 0.0), (0.0, 0.0))
"""No error: results made with it must say "perfect weather"."""


def issue_error(
    error: IssueError,
    sd: SdOfLead,
    *,
    seed: int,
    issue_hour: int,
    lead_h: FloatArray,
    channel: int,
) -> FloatArray:
    """Return one issue's error, shape of ``lead_h``.

    Parameters
    ----------
    error
        How the error is coloured.
    sd
        Its standard deviation over lead: a method of ``error``.
    seed, channel
        What tells estates, and quantities, apart.
    issue_hour
        Hour of issue since the epoch.
    lead_h
        Leads [h], from 0 to `MAX_LEAD_H`.
    """
    hours = int(np.ceil(lead_h.max())) + 1
    variance = sd(np.arange(hours + 1, dtype=np.float64)) ** 2
    if not variance.any():
        return np.zeros(lead_h.shape)
    grown = np.sqrt(np.maximum(np.diff(variance), 0.0))
    path = np.sqrt(variance[0]) * _coloured(error, (seed, issue_hour, 2 * channel), hours + 1)
    for ahead in range(1, hours + 1):
        scale = grown[: hours + 1 - ahead]
        if scale.any():
            key = (seed, issue_hour + ahead, 2 * channel + 1)
            path[ahead:] += scale * _coloured(error, key, len(scale))
    return np.asarray(np.interp(lead_h, np.arange(hours + 1), path), dtype=np.float64)


def _coloured(error: IssueError, key: tuple[int, int, int], length: int) -> FloatArray:
    """Return noise of unit variance over ``length`` hours, the same for the same key."""
    white = np.random.default_rng(key).standard_normal(MAX_LEAD_H + 2)[:length]
    fresh = float(np.sqrt(1.0 - error.persistence**2))
    out = np.empty(length)
    out[0] = white[0]
    for k in range(1, length):
        out[k] = error.persistence * out[k - 1] + fresh * white[k]
    return out
