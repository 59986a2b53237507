"""How far plans keep from floor and import limit: learnt from what forecasts lately missed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from controllers.margins import COLD, HIGH, learnt_factor
from ems.domain.estate import Estate
from ems.domain.forecasts import Missed, Tightening
from ems.domain.ports import Store

LEVELS_HELD = {"load_w": HIGH, "outdoor_c": COLD}
"""Quantiles that plans hold against."""


def keep_tightening(
    store: Store, estate: Estate, missed: Iterable[Missed], now: datetime
) -> list[Tightening]:
    """Learn both factors of every block from the last fortnight, keep and return them."""
    beyond: dict[tuple[str, str], list[float]] = {}
    spread: dict[tuple[str, str], list[float]] = {}
    for one in missed:
        key = one.target, one.subject
        beyond.setdefault(key, []).extend(one.beyond)
        spread.setdefault(key, []).extend(one.spread)

    def factor(key: tuple[str, str]) -> float:
        return learnt_factor(beyond.get(key, ()), spread.get(key, ()))

    sky = "outdoor_c", estate.id
    made = [
        Tightening(
            block.id,
            load=factor(("load_w", block.id)),
            cold=factor(sky),
            load_points=len(beyond.get(("load_w", block.id), ())),
            cold_points=len(beyond.get(sky, ())),
        )
        for block in estate.blocks
    ]
    for each in made:
        store.keep(each, key=each.block_id, subject=each.block_id, at=now)
    return made


def tightening_of(store: Store, block_id: str) -> Tightening:
    """Return a block's factors; both 1 where nothing was learnt yet."""
    kept = store.kept(Tightening, block_id)
    return Tightening(block_id) if kept is None else kept.record
