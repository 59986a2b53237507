"""How events lay on homes: the operator's page of a month, and one line for a tenant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ems.domain.estate import Estate
from ems.domain.fairness import MonthLedger, Standing
from ems.domain.ports import Store
from ems.flex.fairness import evenness, largest_share, spared
from ems.service.fairness import FairnessBook
from web.format import money, number

GENTLE = 0.05
"""Kelvin-hours below this are nothing that anyone can tell [K·h]."""


@dataclass(frozen=True, slots=True)
class HomeRow:
    """One home of the page.

    Attributes
    ----------
    home, name
        Its standing, and what people call it.
    bar_pct, fair_pct
        Length of its bar, and where its fair share is marked, of the longest [%].
    above
        Whether it stands above its share.
    spared_pct
        How far it is spared in the next turn-down [%].
    """

    home: Standing
    name: str
    bar_pct: float
    fair_pct: float
    above: bool
    spared_pct: float


@dataclass(frozen=True, slots=True)
class BlockRows:
    """A block's homes, highest above their share first, and the names of those that cannot rest."""

    name: str
    rows: tuple[HomeRow, ...]
    cannot_rest: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FairnessView:
    """The page: the ledger, its figures, and its blocks."""

    month: MonthLedger
    gini: float
    largest_pct: float
    most: Standing | None
    most_name: str
    blocks: tuple[BlockRows, ...]
    weighing: bool
    vulnerable_share: float


def fairness_view(estate: Estate, store: Store, now: datetime) -> FairnessView:
    """Return how the burden of the last month's events lies on all homes."""
    month = FairnessBook(estate, store).month(now)
    longest = max((max(home.burden_kh, home.fair_kh) for home in month.homes), default=0.0)
    strength = estate.control.fairness_strength

    def row(home: Standing, name: str) -> HomeRow:
        return HomeRow(
            home,
            name,
            bar_pct=100.0 * home.burden_kh / longest if longest > 0 else 0.0,
            fair_pct=100.0 * home.fair_kh / longest if longest > 0 else 0.0,
            above=home.burden_kh > home.fair_kh + GENTLE,
            spared_pct=100.0 * spared(home, strength),
        )

    blocks = []
    for block in estate.blocks:
        names = {home.id: home.name for home in block.dwellings}
        mine = [home for home in month.homes if home.dwelling_id in names]
        rows = [row(home, names[home.dwelling_id]) for home in mine if home.events]
        rows.sort(key=lambda one: one.home.fair_kh - one.home.burden_kh)
        others = tuple(names[home.dwelling_id] for home in mine if not home.events)
        if mine:
            blocks.append(BlockRows(block.name, tuple(rows), others))
    most = month.most_burdened
    most_home = None if most is None else estate.dwelling(most.dwelling_id)
    return FairnessView(
        month=month,
        gini=evenness(month),
        largest_pct=100.0 * largest_share(month),
        most=most,
        most_name=""
        if most_home is None
        else f"{most_home.name} of {estate.block(most_home.block_id).name}",
        blocks=tuple(blocks),
        weighing=strength > 0,
        vulnerable_share=estate.control.fairness_vulnerable_share,
    )


def helped_words(estate: Estate, store: Store, dwelling_id: str, now: datetime) -> str:
    """Return a tenant's line about the last month's events; empty where its home had none.

    It tells of nobody else's home: the equal share is a mean.
    """
    block_id = estate.dwelling(dwelling_id).block_id
    own = FairnessBook(estate, store).month(now, block_id).of(dwelling_id)
    if own is None or not own.events:
        return ""
    events = f"{own.events} event{'' if own.events == 1 else 's'}"
    got = money(max(own.payment_gbp, 0.0))
    if own.unknown == own.events:
        felt = "how it felt could not be measured"
    elif own.burden_kh < GENTLE:
        felt = "your rooms stayed as warm as without them"
    else:
        fair = number(own.fair_kh, 1, "K·h")
        felt = (
            f"together your living room was {number(own.burden_kh, 1, 'K·h')} colder than without "
            f"them (an equal share would be {fair}; 1 K·h is one degree for an hour)"
        )
    return f"In the last 30 days your home helped in {events}: {felt}. You are due {got} for it."
