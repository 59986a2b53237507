"""Sums over homes.

Means add. Quantiles do not: homes are neither independent nor alike. Where the block's
own past is at hand, the quantiles are those of a forecast of the summed series, scaled
so that its mean is the sum of the homes' means. Where it is not, the spread is built from the
spreads of the parts with one correlation ``rho`` between any two::

    sd² = (1 - rho) sum(sd_i²) + rho (sum(sd_i))²,  sd_i = (q90_i - q10_i) / 2.563      (6)

and the quantiles are those of a normal distribution about the sum of the means.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ems.domain.errors import InvalidInputError
from ems.domain.forecasts import FloatArray, Forecast
from forecasting.interface import LEVELS, Z_90, Horizon, make_forecast

LOAD_CORRELATION = 0.02
"""Between the forecast errors of any two homes' household load [-]."""
REASONS, NAMED = 4, 3
"""How many things that parts lacked are told of a sum, and how many parts by name for each."""


def sum_forecasts(
    parts: Sequence[Forecast],
    subject: str,
    correlation: float = LOAD_CORRELATION,
    whole: Forecast | None = None,
) -> Forecast:
    """Return the sum of forecasts of one target over the same steps.

    Parameters
    ----------
    parts
        At least one; same target, start, steps and instant of issue.
    subject
        Id of the sum, e.g. the block's.
    correlation
        Between the errors of any two parts, 0 to 1 [-]; used where ``whole`` is not given.
    whole
        A forecast of the summed series over the same steps, for its spread.
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
    if whole is not None:
        scale = np.divide(mean, whole.mean, out=np.ones_like(mean), where=whole.mean > 0)
        quantiles = {level: scale * whole.quantile(level) for level in LEVELS}
    else:
        quantiles = _from_parts(parts, mean, correlation)
    return make_forecast(
        first.target,
        subject,
        Horizon(first.issued_at, first.start, len(mean)),
        mean,
        quantiles,
        lacked=lacked_by(parts),
        model=f"sum of {len(parts)}: {first.model}",
    )


def lacked_by(parts: Sequence[Forecast]) -> list[str]:
    """Return what forecasts lacked and whose those are; what most of them lacked comes first."""
    who: dict[str, list[str]] = {}
    for part in parts:
        for reason in part.lacked:
            who.setdefault(reason, []).append(part.subject)
    ranked = sorted(who.items(), key=lambda item: len(item[1]), reverse=True)
    said = [f"{reason} ({_named(of, len(parts))})" for reason, of in ranked[:REASONS]]
    if len(ranked) > REASONS:
        said.append(f"and {len(ranked) - REASONS} things more")
    return said


def _named(subjects: Sequence[str], of: int) -> str:
    if len(subjects) == of > 1:
        return f"all {of}"
    more = len(subjects) - NAMED
    return ", ".join(subjects[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _from_parts(
    parts: Sequence[Forecast], mean: FloatArray, correlation: float
) -> dict[float, FloatArray]:
    """Return the quantiles of the sum by (6)."""
    spreads = np.array([part.quantile(0.9) - part.quantile(0.1) for part in parts]) / (2 * Z_90)
    spread = np.sqrt(
        (1.0 - correlation) * np.sum(spreads**2, axis=0)
        + correlation * np.sum(spreads, axis=0) ** 2
    )
    z = {0.1: -Z_90, 0.5: 0.0, 0.9: Z_90}
    return {level: np.maximum(mean + z[level] * spread, 0.0) for level in LEVELS}


def summed_history(homes: pd.DataFrame, subject: str, least_share: float = 0.8) -> pd.DataFrame:
    """Return the sum over homes [W] as one column named ``subject``.

    Where some homes are missing, the mean of those present stands for them; where fewer
    than ``least_share`` of them are present, the sum is ``nan``.
    """
    values = homes.to_numpy(dtype=np.float64)
    present = np.isfinite(values).sum(axis=1)
    enough = present >= max(least_share * values.shape[1], 1)
    total = np.full(len(values), np.nan)
    scale = values.shape[1] / np.maximum(present, 1)
    total[enough] = (np.nansum(values, axis=1) * scale)[enough]
    return pd.DataFrame({subject: total}, index=homes.index)
