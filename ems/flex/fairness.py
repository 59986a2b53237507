"""The sums of fairness: burden, shares, payments, and how evenly a month's burden lies.

An event's burden on a home is held against what its room would have missed anyway:

    ``burden = max(sum over s of (m(s) - max(p(s), u(s))) h, 0)``,   h = 1/2

with ``m`` how far the room was below its schedule in half-hour ``s``, ``p`` how far the plan
without the event expected it to be, and ``u`` how far it usually is at that time of day [K]:
a thermostat lets a room swing below its schedule on any day, and no event is to blame for that.

A home's fair share of an event is its weight times the part of the event's time in which it
took part, over the sum of these. A month's fair burden is the sum over events of share times
the event's burden, so fair burdens and burdens sum to the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import ArrayLike

from ems.domain.fairness import EventBurden, MonthLedger, PaymentRule, Standing
from ems.domain.forecasts import FloatArray

MONTH = timedelta(days=30)
"""A ledger looks back so far."""
FELT_K = 0.5
"""A room so far below its schedule is colder than a thermostat's own swing explains [K]."""
LEAST_FAIR_KH = 1.0
"""An excess is judged against at least such a fair share [K·h]: trifles spare nobody."""
SLOT_H = 0.5


@dataclass(frozen=True, slots=True)
class Felt:
    """What an event did to one room: burden [K·h], and hours more than `FELT_K` below [h]."""

    burden_kh: float
    cold_hours: float


def felt(
    asked_c: FloatArray,
    room_c: FloatArray,
    expected_c: FloatArray,
    usual_k: FloatArray,
    counts: FloatArray,
) -> Felt | None:
    """Return what an event did to a room; ``None`` where too little of it is known.

    Parameters
    ----------
    asked_c, room_c, expected_c
        What the schedule asked for, what was measured (``nan`` where missing) and what was
        expected without the event, per half-hour [°C].
    usual_k
        How far the room usually is below its schedule at that time [K]; ``nan`` where no day
        can tell.
    counts
        1 in half-hours that count, 0 where the resident had opted out or chose otherwise.

    Examples
    --------
    >>> asked, ones = np.full(4, 20.0), np.ones(4)
    >>> felt(asked, np.array([20, 19, 19, 20.0]), asked, 0 * ones, ones)
    Felt(burden_kh=1.0, cold_hours=1.0)
    """
    counted = counts > 0
    if not counted.any():
        return Felt(0.0, 0.0)
    known = counted & np.isfinite(room_c) & np.isfinite(expected_c)
    if known.sum() < 0.5 * counted.sum():
        return None
    missed = np.maximum(asked_c - room_c, 0.0)[known]
    planned = np.maximum(asked_c - expected_c, 0.0)[known]
    anyway = np.maximum(planned, np.nan_to_num(usual_k[known]))
    cold = (missed > FELT_K) & (anyway <= FELT_K)
    return Felt(max(float(np.sum(missed - anyway)) * SLOT_H, 0.0), float(np.sum(cold)) * SLOT_H)


def shares(weights: Mapping[str, float]) -> dict[str, float]:
    """Return each home's share: its weight over the sum of all; nothing where that is nought.

    Examples
    --------
    >>> shares({"A-01": 1.0, "A-02": 1.0, "A-03": 0.5})
    {'A-01': 0.4, 'A-02': 0.4, 'A-03': 0.2}
    """
    total = sum(weights.values())
    return {home: weight / total if total > 0 else 0.0 for home, weight in weights.items()}


def payments(
    paid_gbp: float,
    rule: PaymentRule,
    took_part: Mapping[str, float],
    burden_kh: Mapping[str, float],
) -> dict[str, float]:
    """Return how ``paid_gbp`` is divided among homes [£].

    Parameters
    ----------
    took_part
        Part of the event's time in which each home took part [-].
    burden_kh
        What each bore [K·h]; homes whose burden is not known may be absent.
    """
    by_burden = rule is PaymentRule.BURDEN and sum(burden_kh.values()) > 0
    parts = {home: burden_kh.get(home, 0.0) for home in took_part} if by_burden else took_part
    return {home: paid_gbp * share for home, share in shares(parts).items()}


def gini(values: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Return the Gini coefficient of values ≥ 0, from 0 (even) to less than 1 (one has all).

    ``G = sum over i, j of w_i w_j |x_i - x_j| / (2 W^2 mean)`` with ``W`` the weights' sum;
    0 where all values or all weights are nought.

    Parameters
    ----------
    values
        Shape (n,).
    weights
        How much each counts, shape (n,); equally where not given.

    Examples
    --------
    >>> gini([1, 1, 1, 1]), gini([0, 0, 0, 1])
    (0.0, 0.75)
    """
    x = np.asarray(values, dtype=np.float64)
    w = np.ones_like(x) if weights is None else np.asarray(weights, dtype=np.float64)
    whole = float(w.sum())
    total = float(np.sum(w * x))
    if whole <= 0 or total <= 0:
        return 0.0
    # Scaled first: tiny values must not vanish in the products.
    x, w = x * (whole / total), w / whole
    apart = np.abs(x[:, None] - x[None, :])
    return float(w @ apart @ w) / 2.0


def ledger(
    entries: Iterable[EventBurden], since: datetime, until: datetime, order: Sequence[str] = ()
) -> MonthLedger:
    """Return the standings of all homes from entries of events that ended in [since, until).

    ``order`` names homes in the order in which they are to stand; others follow by name.
    """
    inside = [entry for entry in entries if since <= entry.ended_at < until]
    burden: dict[str, float] = {}
    weight: dict[str, float] = {}
    for entry in inside:
        if entry.burden_kh is not None:
            burden[entry.event_id] = burden.get(entry.event_id, 0.0) + entry.burden_kh
            weight[entry.event_id] = weight.get(entry.event_id, 0.0) + entry.share
    by_home: dict[str, list[EventBurden]] = {}
    for entry in inside:
        by_home.setdefault(entry.dwelling_id, []).append(entry)
    places = {home: place for place, home in enumerate(order)}
    names = sorted(by_home, key=lambda home: (places.get(home, len(places)), home))

    def fair(entry: EventBurden) -> float:
        # Homes whose burden nobody knows leave their share to the others.
        known = weight.get(entry.event_id, 0.0)
        if entry.burden_kh is None or known <= 0:
            return 0.0
        return burden[entry.event_id] * entry.share / known

    return MonthLedger(
        since=since,
        until=until,
        events=len({entry.event_id for entry in inside}),
        homes=tuple(_standing(home, by_home[home], map(fair, by_home[home])) for home in names),
    )


def _standing(home: str, entries: Sequence[EventBurden], fair_kh: Iterable[float]) -> Standing:
    return Standing(
        dwelling_id=home,
        events=sum(entry.share > 0 for entry in entries),
        burden_kh=sum(entry.burden_kh or 0.0 for entry in entries),
        fair_kh=sum(fair_kh),
        cold_hours=sum(entry.cold_hours or 0.0 for entry in entries),
        bill_gbp=sum(entry.bill_gbp or 0.0 for entry in entries),
        payment_gbp=sum(entry.payment_gbp for entry in entries),
        unknown=sum(entry.burden_kh is None for entry in entries),
    )


def evenness(month: MonthLedger) -> float:
    """Return the Gini coefficient of burden per fair share, homes counted by their share [-]."""
    known = [home for home in month.homes if home.fair_kh > 0]
    ratios = [home.burden_kh / home.fair_kh for home in known]
    return gini(ratios, [home.fair_kh for home in known])


def largest_share(month: MonthLedger) -> float:
    """Return the largest part of the burden that one home bore [-]; 0 without any."""
    return max((home.burden_kh for home in month.homes), default=0.0) / (month.burden_kh or 1.0)


def spared(standing: Standing | None, strength: float) -> float:
    """Return how far a home is spared in the next turn-down, from 0 to 1.

    ``min(strength (burden - fair) / max(fair, 1 K·h), 1)`` where it stands above its share:
    at strength 1 a home at twice its share is left alone, and one at its share or below is not
    spared at all.
    """
    if standing is None:
        return 0.0
    excess = (standing.burden_kh - standing.fair_kh) / max(standing.fair_kh, LEAST_FAIR_KH)
    return float(min(max(strength * excess, 0.0), 1.0))
