"""What the estate's pages show, read from the store into plain views.

Functions take the site's parts and an instant; they return frozen views that the
templates lay out. Powers are in W, temperatures in °C, rates in £/kWh.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from controllers.comfort import with_dials
from ems.domain.estate import Block, Dwelling, Estate, Supply
from ems.domain.plans import Schedule
from ems.domain.points import PointId
from ems.domain.ports import Store
from ems.domain.readings import Snapshot
from ems.domain.tariffs import Tariff
from ems.domain.time import local_day_bounds
from ems.domain.wishes import Wish, WishKind
from ems.service.wishes import Residents
from web.block_charts import battery_chart, feeder_chart, price_chart, solar_chart
from web.charts import TimeChart
from web.condition import Condition, look
from web.planned import PlannedImports
from web.series import half_hours, imported, next_change, rate_now
from web.words import supply_words


@dataclass(frozen=True, slots=True)
class BatteryNow:
    """A battery at this moment; ``None`` where a reading is missing."""

    block_name: str
    device_id: str
    soc_pct: float | None
    power_w: float | None

    @property
    def doing(self) -> str:
        """What it is doing, in a word."""
        if self.power_w is None:
            return "no data"
        if abs(self.power_w) < 50.0:
            return "resting"
        return "charging" if self.power_w > 0 else "discharging"


@dataclass(frozen=True, slots=True)
class PriceNow:
    """A tariff in use: who pays it, its rate now and its next change within a day."""

    name: str
    who: str
    tariff: Tariff
    rate_gbp: float | None
    change: tuple[datetime, float] | None


@dataclass(frozen=True, slots=True)
class BlockNow:
    """A block at this moment and today so far."""

    block: Block
    supply: str
    power_w: float | None
    planned_w: float | None
    pv_w: float | None
    battery: BatteryNow | None
    coldest: tuple[str, float] | None
    below_floor: tuple[str, ...]
    rooms_known: int
    devices_online: int
    devices_total: int
    imported_kwh: float | None
    generated_kwh: float | None
    missing_half_hours: int

    @property
    def headroom_w(self) -> float | None:
        """What the feeder could still carry [W]."""
        return None if self.power_w is None else self.block.limits.physical_import_w - self.power_w


@dataclass(frozen=True, slots=True)
class EstateView:
    """The estate overview."""

    condition: Condition
    blocks: tuple[BlockNow, ...]
    prices: tuple[PriceNow, ...]
    charts: tuple[TimeChart, ...]

    @property
    def power_w(self) -> float | None:
        """Sum over all blocks [W]; ``None`` while one is unknown."""
        return _sum([block.power_w for block in self.blocks])

    @property
    def pv_w(self) -> float | None:
        """Generation of all arrays, positive [W]; ``None`` while one is unknown."""
        return _sum([block.pv_w for block in self.blocks if block.block.pv])

    @property
    def generated_kwh(self) -> float | None:
        """Generation of all arrays since midnight [kWh]; ``None`` while one is unknown."""
        return _sum([block.generated_kwh for block in self.blocks if block.block.pv])

    @property
    def has_battery(self) -> bool:
        """Whether any block has a battery."""
        return any(block.battery for block in self.blocks)

    @property
    def battery(self) -> BatteryNow:
        """All batteries as one: charge weighted by capacity; unknown while one is unknown."""
        pairs = [(row.battery, row.block.battery) for row in self.blocks]
        known = [(now, plate) for now, plate in pairs if now is not None and plate is not None]
        charge = _sum(
            [
                None if now.soc_pct is None else now.soc_pct * plate.capacity_wh
                for now, plate in known
            ]
        )
        capacity_wh = sum(plate.capacity_wh for _, plate in known)
        return BatteryNow(
            "",
            "",
            None if charge is None else charge / capacity_wh,
            _sum([now.power_w for now, _ in known]),
        )

    @property
    def below_floor(self) -> int:
        """How many homes are below their floor."""
        return sum(len(block.below_floor) for block in self.blocks)

    @property
    def coldest(self) -> tuple[str, float] | None:
        """The coldest living room of the estate: whose, and its temperature [°C]."""
        known = [block.coldest for block in self.blocks if block.coldest]
        return min(known, key=lambda pair: pair[1]) if known else None


def _sum(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def snapshot(store: Store, now: datetime, device_ids: list[str] | None = None) -> Snapshot:
    """Return the latest readings (of these devices), frozen."""
    return Snapshot(now, store.latest(device_ids))


def wishes_now(estate: Estate, store: Store, latest: Snapshot) -> dict[str, Wish]:
    """Return residents' wishes in force, those at heat pumps' own dials included, by home."""
    residents = Residents(estate, store)
    found = residents.wishes(latest.taken_at)
    for block in residents.estate(latest.taken_at).blocks:
        found = with_dials(block, latest, estate.zone, found)
    return found


def kept_above_c(home: Dwelling, wish: Wish | None) -> float:
    """Return what a room is too cold below [°C]: the floor, or less where its resident chose so."""
    if wish is None or wish.kind is WishKind.OPT_OUT:
        return home.floor_c
    return min(home.floor_c, wish.temperature_c)


def fresh_s(estate: Estate) -> float:
    """Return how old a reading may be and still count as now [s]."""
    return 3.0 * estate.control.poll_normal_s


def block_now(
    estate: Estate, store: Store, block: Block, condition: Condition, latest: Snapshot
) -> BlockNow:
    """Return a block at the snapshot's moment and today so far."""
    now, age_s = latest.taken_at, fresh_s(estate)
    pv_w = latest.good(block.pv.device_id, "power_w", age_s) if block.pv else None
    rooms = [
        (home, latest.good(home.room_sensor_id, "temperature_c", age_s)) for home in block.dwellings
    ]
    known = [(home, room) for home, room in rooms if room is not None]
    wishes = wishes_now(estate, store, latest)
    coldest = min(known, key=lambda pair: pair[1], default=None)
    states = condition.of_block(block.id)
    midnight, _ = local_day_bounds(now.astimezone(estate.zone).date(), estate.zone)
    used = imported(store, block.block_meter.device_id, midnight, now)
    return BlockNow(
        block=block,
        supply=supply_words(block),
        power_w=latest.good(block.block_meter.device_id, "power_w", age_s),
        planned_w=planned_now(condition.plan(block.id).schedule, now),
        pv_w=None if pv_w is None else -pv_w,
        battery=_battery_now(block, latest, age_s),
        coldest=(f"{coldest[0].name}, {block.name}", coldest[1]) if coldest else None,
        below_floor=tuple(
            home.id for home, room in known if room < kept_above_c(home, wishes.get(home.id))
        ),
        rooms_known=len(known),
        devices_online=sum(state.online for state in states if state.outage is None),
        devices_total=sum(state.outage is None for state in states),
        imported_kwh=used.total_kwh,
        generated_kwh=_generated_kwh(store, block, midnight, now),
        missing_half_hours=used.missing,
    )


def planned_now(plan: Schedule | None, now: datetime) -> float | None:
    """Return the import planned for this moment [W]."""
    index = plan.index_at(now) if plan else None
    return None if plan is None or index is None else float(plan.import_w[index])


def _battery_now(block: Block, latest: Snapshot, age_s: float) -> BatteryNow | None:
    if block.battery is None:
        return None
    device_id = block.battery.device_id
    return BatteryNow(
        block.name,
        device_id,
        latest.good(device_id, "soc_pct", age_s),
        latest.good(device_id, "power_w", age_s),
    )


def _generated_kwh(store: Store, block: Block, start: datetime, now: datetime) -> float | None:
    if block.pv is None:
        return None
    frame = half_hours(store, [PointId(block.pv.device_id, "power_w")], start, now)
    values = frame.iloc[:, 0].clip(upper=0.0).dropna()
    return None if values.empty else float(-values.sum() / 2000.0)


def prices_of(blocks: Sequence[Block], now: datetime) -> list[PriceNow]:
    """Return the tariffs that are paid in blocks, each once, with all who pay it."""
    payers: dict[str, list[str]] = {}
    found: dict[str, Tariff] = {}

    def add(tariff: Tariff | None, who: str) -> None:
        if tariff is not None:
            found[tariff.name] = tariff
            payers.setdefault(tariff.name, []).append(who)

    for block in blocks:
        account = block.block_meter if block.supply is Supply.BOUNDARY else block.landlord_meter
        add(account.tariff if account else None, f"landlord of {block.name}")
        homes = [home.meter.tariff for home in block.dwellings if home.meter.tariff]
        for name in sorted({tariff.name for tariff in homes}):
            of_name = [tariff for tariff in homes if tariff.name == name]
            add(of_name[0], f"{len(of_name)} homes of {block.name}")
    return [
        PriceNow(
            tariff_words(name),
            _sentence_case(", ".join(payers[name])),
            tariff,
            rate_now(tariff, now),
            next_change(tariff, now),
        )
        for name, tariff in found.items()
    ]


def _sentence_case(words: str) -> str:
    return words[:1].upper() + words[1:]


def tariff_words(name: str) -> str:
    """Return a tariff's key as people read it: "evening_peak" becomes "Evening peak"."""
    return name.replace("_", " ").capitalize()


def estate_view(estate: Estate, store: Store, planned: PlannedImports, now: datetime) -> EstateView:
    """Return the estate overview at ``now``."""
    condition = look(store, estate, now)
    latest = snapshot(store, now)
    span = (now - timedelta(hours=24), now + timedelta(hours=12))
    prices = prices_of(estate.blocks, now)
    charts = [
        feeder_chart(estate, store, planned, block, span, now, limits=False)
        for block in estate.blocks
    ]
    charts.append(solar_chart(estate, store, span, now))
    charts.append(battery_chart(estate, store, condition, span, now))
    charts.append(price_chart(estate, named_tariffs(prices), span, now))
    return EstateView(
        condition=condition,
        blocks=tuple(block_now(estate, store, block, condition, latest) for block in estate.blocks),
        prices=tuple(prices),
        charts=tuple(charts),
    )


def named_tariffs(prices: Sequence[PriceNow]) -> list[tuple[str, Tariff]]:
    """Return tariffs with their names, for a chart."""
    return [(price.name, price.tariff) for price in prices]
