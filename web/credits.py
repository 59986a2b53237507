"""What a home, or a block's homes together, were credited for heating ahead."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from ems.domain.credits import CreditSum
from ems.domain.estate import Block, Dwelling, Estate
from ems.domain.ports import Store
from ems.service.crediting import credited, may_be_credited


@dataclass(frozen=True, slots=True)
class CreditView:
    """Credits of today and of this calendar month so far, and the share that is credited [%]."""

    today: CreditSum
    month: CreditSum
    share_pct: float


def home_credit(estate: Estate, store: Store, home: Dwelling, now: datetime) -> CreditView | None:
    """Return a home's credits; ``None`` where it can have none."""
    return _view(estate, store, estate.block(home.block_id), (home,), now)


def block_credit(estate: Estate, store: Store, block: Block, now: datetime) -> CreditView | None:
    """Return the credits of a block's homes in sum; ``None`` where they can have none."""
    return _view(estate, store, block, block.dwellings, now)


def _view(
    estate: Estate, store: Store, block: Block, homes: Iterable[Dwelling], now: datetime
) -> CreditView | None:
    if not may_be_credited(estate, block):
        return None
    today = now.astimezone(estate.zone).date()
    names = [home.id for home in homes]
    return CreditView(
        CreditSum.of(credited(store, name, today, today) for name in names),
        CreditSum.of(credited(store, name, today.replace(day=1), today) for name in names),
        estate.control.ahead_credit_pct,
    )
