"""Events on several days, seeds, hours and directions: what each accepted promise truly came to.

Long: ``make test-long``. Each case runs the same hours twice, with and without the event, on
both blocks; figures go into ``build/event-cases.json``.
"""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ems.demo.history import HistoryMaker, HistorySpan
from ems.demo.twin import Past, Side, TrueDelivery, compare
from ems.domain.estate import Estate
from ems.domain.events import Direction, EventState, FlexRequest
from ems.field.parameters import FieldParameters
from ems.store import open_store

pytestmark = pytest.mark.long

FIGURES = Path(__file__).parents[2] / "build/event-cases.json"
SPAN = HistorySpan(thermostat_days=6, planned_days=4, raw_h=6)
ASKED_W = 15e3
DELIVERED = 0.9
RECOVERY = timedelta(hours=2)
NOTICE = timedelta(hours=1, minutes=15)
SAME_K = 0.05
DAYS = (1, 5, 16)
SEEDS = (1, 2)
CASES = [
    (Direction.DOWN, 17, 2),
    (Direction.DOWN, 18, 1),
    (Direction.DOWN, 7, 2),
    (Direction.DOWN, 8, 1),
    (Direction.UP, 5, 2),
    (Direction.UP, 20, 1),
]
Begin = Callable[[int, datetime], Past]


@pytest.fixture(scope="module")
def begin(
    estate: Estate, parameters: FieldParameters, tmp_path_factory: pytest.TempPathFactory
) -> Begin:
    """Ten days of history up to an instant, by seed."""

    @functools.cache
    def make(seed: int, at: datetime) -> Past:
        path = tmp_path_factory.mktemp("past") / "store.sqlite"
        with open_store(path) as store:
            maker = HistoryMaker(estate, replace(parameters, seed=seed), store, at, SPAN)
            asyncio.run(maker.make())
        return Past(path, maker.simulation.state_dict())

    return make


@pytest.fixture(scope="module")
def figures() -> Iterator[dict[str, Any]]:
    """What was measured, by case; kept with the cases of earlier runs."""
    measured: dict[str, Any] = {}
    yield measured
    earlier = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    FIGURES.parent.mkdir(exist_ok=True)
    FIGURES.write_text(json.dumps(dict(sorted((earlier | measured).items())), indent=1) + "\n")


def both_blocks(
    direction: Direction, start: datetime, hours: float, power_w: float = ASKED_W
) -> Callable[[Side], Sequence[FlexRequest]]:
    """Ask both blocks for the same."""

    def requests(side: Side) -> Sequence[FlexRequest]:
        end = start + timedelta(hours=hours)
        return [
            FlexRequest(block.id, direction, power_w, start, end, "operator")
            for block in side.estate.blocks
        ]

    return requests


def noted(figures: dict[str, Any], name: str, held: Side, found: Sequence[TrueDelivery]) -> None:
    now = held.simulation.now()
    for event in held.control.events.refusals.all(now):
        figures[f"{name} {event.request.block_id}"] = {"refused": event.reason}
    for number, true in enumerate(found):
        settlement = held.control.events.settlement(true.event.id)
        alike = [each.event.request.block_id for each in found[:number]]
        again = alike.count(true.event.request.block_id)
        place = true.event.request.block_id + (f" {again + 1}" if again else "")
        figures[f"{name} {place}"] = {
            "accepted_kw": true.event.accepted_w / 1e3,
            "least_ratio": round(true.least_ratio, 3),
            "true_delivered_kwh": round(true.delivered_kwh, 2),
            "true_net_kwh": round(true.net_kwh, 2),
            "delivered_by_baseline_kwh": settlement and round(settlement.delivered_kwh, 2),
        }


def coldest_below_floor_k(held: Side, plain: Side, true: TrueDelivery) -> float:
    """Return how far the event brought any participant below its floor [K]."""
    request = true.event.request
    rows = held.trace.rows(request.start, request.end + RECOVERY)
    homes = [home.id for home in held.estate.dwellings()]
    columns = [homes.index(name) for name in true.event.participants]
    rooms = np.array(held.trace.rooms_c)[rows][:, columns].min(axis=0)
    without = np.array(plain.trace.rooms_c)[rows][:, columns].min(axis=0)
    floors = np.array([held.estate.dwelling(name).floor_c for name in true.event.participants])
    return float((np.minimum(floors, without) - rooms).max())


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("day", DAYS)
@pytest.mark.parametrize(("direction", "hour", "hours"), CASES)
def test_what_is_accepted_holds_in_every_half_hour(
    estate: Estate,
    parameters: FieldParameters,
    begin: Begin,
    tmp_path: Path,
    figures: dict[str, Any],
    seed: int,
    day: int,
    direction: Direction,
    hour: int,
    hours: int,
) -> None:
    start = datetime(2023, 12, day, hour, tzinfo=UTC)
    past = begin(seed, start.replace(hour=12 if hour > 12 else 2, minute=30))
    end = start + timedelta(hours=hours)
    held, plain, found = compare(
        estate,
        replace(parameters, seed=seed),
        past,
        tmp_path,
        asked_at=start - NOTICE,
        requests=both_blocks(direction, start, hours),
        until=end + RECOVERY + timedelta(minutes=5),
    )
    noted(figures, f"{direction} {start:%d %b %H:%M} {hours} h seed {seed}", held, found)
    for true in found:
        assert true.least_ratio >= DELIVERED, (true.event.request.block_id, true.slots)
        assert coldest_below_floor_k(held, plain, true) <= SAME_K
        block = estate.block(true.event.request.block_id)
        assert true.highest_minute_w <= block.limits.physical_import_w
    held.close()
    plain.close()


def test_events_that_overlap_deliver_their_sum(
    estate: Estate,
    parameters: FieldParameters,
    begin: Begin,
    tmp_path: Path,
    figures: dict[str, Any],
) -> None:
    start = datetime(2023, 12, 5, 17, tzinfo=UTC)

    def requests(side: Side) -> Sequence[FlexRequest]:
        hour = timedelta(hours=1)
        return [
            FlexRequest("B", Direction.DOWN, 5e3, start, start + 2 * hour, "operator"),
            FlexRequest("B", Direction.DOWN, 4e3, start + hour, start + 2 * hour, "another"),
        ]

    held, plain, found = compare(
        estate,
        parameters,
        begin(parameters.seed, start.replace(hour=12, minute=30)),
        tmp_path,
        asked_at=start - NOTICE,
        requests=requests,
        until=start + timedelta(hours=2) + RECOVERY,
    )
    noted(figures, "overlapping", held, found)
    first, second = found
    both_w = first.event.accepted_w + second.event.accepted_w
    less = {slot.start: slot.less_w for slot in first.slots}
    half = timedelta(minutes=30)
    assert both_w >= 8e3
    assert all(less[start + k * half] >= DELIVERED * first.event.accepted_w for k in (0, 1))
    assert all(less[start + k * half] >= DELIVERED * both_w for k in (2, 3))
    held.close()
    plain.close()


def test_replaced_and_withdrawn_in_mid_event_it_is_settled_pro_rata(
    estate: Estate,
    parameters: FieldParameters,
    begin: Begin,
    tmp_path: Path,
    figures: dict[str, Any],
) -> None:
    """10 kW from 17:00, 6 kW from 17:30 by a PUT, withdrawn at 18:15."""
    start = datetime(2023, 12, 5, 17, tzinfo=UTC)

    def requests(side: Side) -> Sequence[FlexRequest]:
        end = start + timedelta(hours=2)
        return [FlexRequest("B", Direction.DOWN, 10e3, start, end, "operator")]

    def meanwhile(side: Side, ids: Sequence[str]) -> None:
        desk = side.control.events
        side.run(start + timedelta(minutes=30))
        event = desk.event(ids[0])
        desk.replace(event.id, replace(event.request, power_w=6e3), side.simulation.now())
        side.run(start + timedelta(minutes=75))
        assert desk.withdraw(ids[0], side.simulation.now(), "operator").state is (
            EventState.RECOVERING
        )

    held, plain, found = compare(
        estate,
        parameters,
        begin(parameters.seed, start.replace(hour=12, minute=30)),
        tmp_path,
        asked_at=start - NOTICE,
        requests=requests,
        until=start + timedelta(hours=3, minutes=40),
        meanwhile=meanwhile,
    )
    noted(figures, "replaced and withdrawn", held, found)
    (true,) = found
    assert [one.power_w for one in true.event.instructions] == [10e3, 6e3]
    assert true.least_ratio >= DELIVERED, true.slots
    settlement = held.control.events.settlement(true.event.id)
    assert settlement is not None
    assert settlement.asked_kwh == pytest.approx(10 * 0.5 + 6 * 0.75)
    held.close()
    plain.close()
