"""Sums over homes.

Means add. Quantiles do not: homes are neither independent nor alike, so the spread of
the sum is built from the spreads of its parts with one correlation ``rho`` between
any two::

    sd² = (1 - rho) sum(sd_i²) + rho (sum(sd_i))²,  sd_i = (q90_i - q10_i) / 2.563      (6)

and the quantiles are those of a normal distribution about the sum of the means.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ems.domain.errors import InvalidInputError
from ems.domain.forecasts import Forecast
from forecasting.interface import LEVELS, Z_90, Horizon, make_forecast

LOAD_CORRELATION = 0.02
"""Between the forecast errors of any two homes' household load [-]."""


def sum_forecasts(
    parts: Sequence[Forecast], subject: str, correlation: float = LOAD_CORRELATION
) -> Forecast:
    """Return the sum of forecasts of one target over the same steps.

    Parameters
    ----------
    parts
        At least one; same target, start, steps and instant of issue.
    subject
        Id of the sum, e.g. the block's.
    correlation
        Between the errors of any two parts, 0 to 1 [-].
    """
    if not parts:
        raise InvalidInputError(
            "there is nothing to sum", field="parts", value=0, remedy="Give at least one forecast."
        )
    first = parts[0]
    for part in parts[1:]:
        same = (part.target, part.start, part.step_s, len(part.mean), part.issued_at)
        if same != (first.target, first.start, first.step_s, len(first.mean), first.issued_at):
            raise InvalidInputError(
                "forecasts that are summed must be of one target, one issue and the same steps",
                field=f"{part.target} of {part.subject}",
                value=part.start.isoformat(),
                remedy="Make them in one run.",
            )
    mean = np.sum([part.mean for part in parts], axis=0)
    spreads = np.array([part.quantile(0.9) - part.quantile(0.1) for part in parts]) / (2 * Z_90)
    spread = np.sqrt(
        (1.0 - correlation) * np.sum(spreads**2, axis=0)
        + correlation * np.sum(spreads, axis=0) ** 2
    )
    z = {0.1: -Z_90, 0.5: 0.0, 0.9: Z_90}
    lacking = [part for part in parts if part.lacked]
    lacked = [f"{part.subject}: {reason}" for part in lacking[:3] for reason in part.lacked]
    if len(lacking) > 3:
        lacked.append(f"and {len(lacking) - 3} more homes lacked something")
    return make_forecast(
        first.target,
        subject,
        Horizon(first.issued_at, first.start, len(mean)),
        mean,
        {level: np.maximum(mean + z[level] * spread, 0.0) for level in LEVELS},
        lacked=lacked,
        model=f"sum of {len(parts)}: {first.model}",
    )
