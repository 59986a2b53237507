"""What a run cost, and whom: from energy counters and rates to money, carbon and warmth.

Pure arithmetic; ``docs/metrics.md`` states each formula. Half-hours can be looked at in
spans: what the weeks of a window cost adds up to what the window did.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ems.demo.evidence import Controller, Evidence
from ems.demo.metering import WARMTH, Measured, Stored
from ems.domain.errors import InvalidInputError
from ems.domain.estate import Block, Dwelling, Estate, MeterAccount, Supply
from ems.domain.forecasts import FloatArray

WARMTH_KEYS = {
    "below_schedule": "degree_hours_below_schedule",
    "below_floor": "degree_hours_below_floor",
    "chosen_below_floor": "chosen_degree_hours_below_floor",
    "below_cold": "degree_hours_below_18",
    "chosen_below_cold": "chosen_degree_hours_below_18",
}
"""What missing warmth is called in a report, by its name in what was measured."""
Figures = dict[str, Any]
EVERYTHING = slice(None)
"""All half-hours of a window."""


def stamp(instant: datetime) -> str:
    """Return an instant as text, in UTC."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def rounded(value: Any) -> Any:
    """Return figures as plain numbers of four decimals; what is not a number is ``None``."""
    if isinstance(value, dict):
        return {str(key): rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [rounded(item) for item in value]
    if isinstance(value, float | np.floating):
        # Adding nothing turns -0.0 into 0.0.
        return None if math.isnan(value) else round(float(value), 4) + 0.0
    if isinstance(value, np.integer):
        return int(value)
    return value


class Book:
    """Prices and carbon of a window, and what runs cost by them.

    Parameters
    ----------
    estate, evidence
        Who pays what for what, and what was run.

    Attributes
    ----------
    homes
        In the order of all figures.
    rates
        Of the account that each block's PV and battery are behind [£/kWh].
    without_carbon
        Half-hours whose carbon intensity is not known: no run's carbon counts them.
    perfect_weather
        Whether forecasts of weather were the weather.
    """

    def __init__(self, estate: Estate, evidence: Evidence) -> None:
        self._estate = estate
        self._instants = evidence.window.half_hours
        self._looked_up: dict[int, FloatArray] = {}
        self._days = evidence.window.hours / 24.0
        self.homes: list[Dwelling] = list(estate.dwellings())
        self._place = {home.id: number for number, home in enumerate(self.homes)}
        self.rates = [self._rates(self._account(block)) for block in estate.blocks]
        self._dear = [rates > rates.mean() + 1e-9 for rates in self.rates]
        self._home_rates = np.column_stack([self._rates(home.meter) for home in self.homes])
        self._carbon = _carbon(estate.sources.carbon, self._instants)
        self.without_carbon = int(np.isnan(self._carbon).sum())
        self._typical = [float(np.median(rates)) for rates in self.rates]
        self._home_typical = np.median(self._home_rates, axis=0)
        self._cop = np.maximum(evidence.runs[Controller.THERMOSTAT].cop, 1.0)
        self._kept = evidence.kept
        self._credits_gbp = evidence.credits_gbp
        self._planned = evidence.runs.get(Controller.PLANNED)
        self.perfect_weather = not estate.sources.weather_is_observed

    @staticmethod
    def _account(block: Block) -> MeterAccount:
        """Return the account behind which PV and battery are."""
        pooled = block.supply is Supply.BOUNDARY or block.landlord_meter is None
        account = block.block_meter if pooled else block.landlord_meter
        assert account is not None  # noqa: S101 - `pooled` has just looked
        return account

    def _rates(self, account: MeterAccount) -> FloatArray:
        tariff = account.tariff
        if tariff is None:
            return np.zeros(len(self._instants))
        if id(tariff) not in self._looked_up:
            rates = [tariff.rate_gbp_per_kwh(instant) for instant in self._instants]
            self._looked_up[id(tariff)] = np.array(rates)
        return self._looked_up[id(tariff)]

    def _columns(self, block: Block) -> list[int]:
        return [self._place[home.id] for home in block.dwellings]

    def run(self, run: Measured) -> Figures:
        """Return the figures of one run."""
        blocks = [self._block(number, run) for number in range(len(self._estate.blocks))]
        missing = {name: run.missing(name) for name in WARMTH}
        homes = [self._home(number, run, missing) for number in range(len(self.homes))]

        def total(name: str) -> float:
            return float(sum(block[name] for block in blocks))

        cost, wear, stored = total("cost_gbp"), total("wear_gbp"), total("stored_gbp")
        return {
            "energy_kwh": total("import_kwh"),
            "cost_gbp": cost,
            "carbon_kg": total("carbon_kg"),
            "peak_import_kw": max(block["peak_import_kw"] for block in blocks),
            **{key: float(missing[name].sum()) for name, key in WARMTH_KEYS.items()},
            "mean_indoor_c": float(run.room_c.mean()),
            "compressor_starts": int(run.starts.sum()),
            "export_kwh": total("export_kwh"),
            "heat_pump_kwh": float(run.kwh["pump_import"].sum()),
            "heat_pump_kwh_in_dear": sum(home["heat_pump_kwh_in_dear"] for home in homes),
            "wear_gbp": wear,
            "stored_gbp": stored,
            "whole_cost_gbp": cost + wear - stored,
            "standing_gbp": total("standing_gbp"),
            "credit_gbp": total("credit_gbp"),
            "peak_charge_gbp": total("peak_charge_gbp"),
            "carbon_price_gbp": total("carbon_kg") * self._estate.control.carbon_gbp_per_t / 1e3,
            "tenants_gbp": total("tenants_gbp"),
            "landlord_gbp": total("landlord_gbp"),
            "blocks": blocks,
            "home": homes,
        }

    def _block(self, number: int, run: Measured) -> Figures:
        block, rates = self._estate.blocks[number], self.rates[number]
        account, columns = self._account(block), self._columns(block)
        pooled = account is block.block_meter
        into, out = run.kwh["block_import"][:, number], run.kwh["block_export"][:, number]
        bought = run.kwh["block_import" if pooled else "landlord_import"][:, number]
        bills, landlord = self._bills_gbp(number, run, EVERYTHING)
        credit = sum(self._credit_gbp(home, run) for home in block.dwellings)
        if pooled:  # the tenants' bills are the landlord's income
            cost, landlord = landlord, landlord - bills
        else:
            cost = landlord + bills
        dear = self._dear[number]
        meters = [account] if pooled else [account, *(home.meter for home in block.dwellings)]
        standing = sum(meter.tariff.standing_gbp_per_day for meter in meters if meter.tariff)
        return {
            "id": block.id,
            "name": block.name,
            "supply": block.supply.value,
            "import_kwh": float(into.sum()),
            "export_kwh": float(out.sum()),
            "peak_import_kw": float((2.0 * into).max()),
            "carbon_kg": float(np.nansum(into * self._carbon) / 1000.0),
            "cost_gbp": cost,
            "tenants_gbp": bills - credit,
            "landlord_gbp": landlord + credit,
            "credit_gbp": credit,
            "peak_charge_gbp": self._peak_charge_gbp(into),
            "standing_gbp": standing * self._days,
            "wear_gbp": self._wear_gbp(number, run, EVERYTHING),
            "stored_gbp": self._stored_gbp(number, run, EVERYTHING),
            "stored_battery_kwh": float((run.end.battery_kwh - run.begin.battery_kwh)[number]),
            "stored_room_kwh": float((run.end.room_kwh - run.begin.room_kwh)[columns].sum()),
            "stored_tank_kwh": float((run.end.tank_kwh - run.begin.tank_kwh)[columns].sum()),
            "battery_charged_kwh": float(run.charged_kwh[:, number].sum()),
            "battery_discharged_kwh": float(run.discharged_kwh[:, number].sum()),
            "battery_cycles": self._cycles(number, run),
            "dear_half_hours": int(dear.sum()),
            "cheap_half_hours": int((~dear).sum()),
            "import_kwh_in_dear": float(into[dear].sum()),
            "import_kwh_in_cheap": float(into[~dear].sum()),
            "mean_rate_paid_gbp_per_kwh": float((bought * rates).sum() / max(bought.sum(), 1e-9)),
        }

    def _bills_gbp(self, number: int, run: Measured, span: slice) -> tuple[float, float]:
        """Return what a block's homes pay, and what is paid at the landlord's account [£]."""
        block = self._estate.blocks[number]
        account = self._account(block)
        meter = "block" if account is block.block_meter else "landlord"
        bought = run.kwh[f"{meter}_import"][span, number]
        sold = run.kwh[f"{meter}_export"][span, number]
        paid = (run.kwh["home_import"][span] * self._home_rates[span])[:, self._columns(block)]
        landlord = (bought * self.rates[number][span]).sum()
        return float(paid.sum()), float(landlord - account.export_gbp_per_kwh * sold.sum())

    def _wear_gbp(self, number: int, run: Measured, span: slice) -> float:
        battery = self._estate.blocks[number].battery
        rate = 0.0 if battery is None else battery.wear_gbp_per_kwh
        return rate * float(run.discharged_kwh[span, number].sum())

    def _cycles(self, number: int, run: Measured) -> float:
        """Return the battery's full cycles: energy discharged over usable energy [-]."""
        battery = self._estate.blocks[number].battery
        if battery is None:
            return 0.0
        return float(run.discharged_kwh[:, number].sum()) / (battery.capacity_wh / 1e3)

    def over(self, run: Measured, span: slice) -> Figures:
        """Return what adds up over spans of half-hours, and the blocks' highest half-hours.

        ``whole_cost_gbp`` values what is stored by the rates of the whole window, so that
        spans that follow each other add up to the window; ``peak_kw`` is the sum over
        blocks of each one's highest half-hour mean.
        """
        whole = 0.0
        for number, block in enumerate(self._estate.blocks):
            bills, landlord = self._bills_gbp(number, run, span)
            pooled = self._account(block) is block.block_meter
            whole += landlord if pooled else landlord + bills
            whole += self._wear_gbp(number, run, span) - self._stored_gbp(number, run, span)
        into = run.kwh["block_import"][span]
        return {
            "whole_cost_gbp": whole,
            "carbon_kg": float(np.nansum(into.sum(axis=1) * self._carbon[span]) / 1000.0),
            "energy_kwh": float(into.sum()),
            "peak_kw": float((2.0 * into).max(axis=0).sum()),
            **{key: float(run.missing_kh[name][span].sum()) for name, key in WARMTH_KEYS.items()},
        }

    def _peak_charge_gbp(self, into: FloatArray) -> float:
        """Return what the highest half-hours of days and of the window are counted at [£]."""
        rules = self._estate.control
        highest: dict[date, float] = {}
        for instant, energy in zip(self._instants, into, strict=True):
            day = instant.astimezone(self._estate.zone).date()
            highest[day] = max(highest.get(day, 0.0), 2.0 * float(energy))
        daily = sum(highest.values()) * rules.peak_p_per_kw_day / 100.0
        return daily + max(highest.values()) * rules.peak_gbp_per_kw_month

    def _stored_gbp(self, number: int, run: Measured, span: slice) -> float:
        """Return what is stored more at the end than at the beginning, valued [£]."""
        block = self._estate.blocks[number]
        pooled = self._account(block) is block.block_meter
        typical, homes = self._typical[number], self._home_typical
        price = np.full(homes.size, typical) if pooled else homes
        first, last, _ = span.indices(len(run.battery_kwh))
        begin, end = run.stored(first), run.stored(last)

        def heat_kwh(stored: Stored) -> FloatArray:
            return self._kept * stored.room_kwh + stored.tank_kwh

        heat = (heat_kwh(end) - heat_kwh(begin)) / self._cop * price
        battery_kwh = float((end.battery_kwh - begin.battery_kwh)[number])
        efficiency = 0.0 if block.battery is None else block.battery.one_way_efficiency
        return float(heat[self._columns(block)].sum()) + efficiency * battery_kwh * typical

    def _credit_gbp(self, home: Dwelling, run: Measured) -> float:
        """Return what a home was credited for heating ahead: something in the planned run only."""
        return self._credits_gbp.get(home.id, 0.0) if run is self._planned else 0.0

    def _home(self, number: int, run: Measured, missing: Mapping[str, FloatArray]) -> Figures:
        home = self.homes[number]
        used = run.kwh["home_import"][:, number]
        pump = run.kwh["pump_import"][:, number]
        dear = self._dear[[block.id for block in self._estate.blocks].index(home.block_id)]
        return {
            "id": home.id,
            "name": home.name,
            "block": home.block_id,
            "actuator": home.heat_pump.actuator.value,
            "one_rate": bool(np.ptp(self._home_rates[:, number]) == 0.0),
            "bill_gbp": float((used * self._home_rates[:, number]).sum()),
            "credit_gbp": self._credit_gbp(home, run),
            "energy_kwh": float(used.sum()),
            "heat_pump_kwh": float(pump.sum()),
            "heat_pump_kwh_in_dear": float(pump[dear].sum()),
            "mean_indoor_c": float(run.room_c[:, number].mean()),
            **{key: float(missing[name][number]) for name, key in WARMTH_KEYS.items()},
            "compressor_starts": int(run.starts[number]),
        }

    def series(self, evidence: Evidence, span: slice = EVERYTHING) -> Figures:
        """Return half-hourly series for plots, of a span of half-hours."""
        blocks = list(enumerate(self._estate.blocks))
        capacities = [
            block.battery.capacity_wh / 1e3 if block.battery else 1.0 for _, block in blocks
        ]

        def of(run: Measured) -> Figures:
            net = 2.0 * (run.kwh["block_import"] - run.kwh["block_export"])[span]
            charge = 100.0 * run.battery_kwh[span] / capacities
            rooms = run.room_c[span]
            return {
                "room_c": rooms.mean(axis=1),
                "block_room_c": {
                    block.id: rooms[:, self._columns(block)].mean(axis=1) for _, block in blocks
                },
                "import_kw": {block.id: net[:, number] for number, block in blocks},
                "battery_pct": {block.id: charge[:, number] for number, block in blocks},
            }

        return {
            "start": [stamp(instant) for instant in self._instants[span]],
            "carbon_g_per_kwh": self._carbon[span],
            "rate_gbp_per_kwh": {block.id: self.rates[number][span] for number, block in blocks},
            "runs": {name.value: of(run) for name, run in evidence.runs.items()},
        }


def _carbon(path: Path | None, instants: Sequence[datetime]) -> FloatArray:
    """Return the grid's carbon intensity as it was, NaN where the file has none [g/kWh]."""
    if path is None:
        raise InvalidInputError(
            "the estate has no source of carbon intensity",
            field="data.carbon",
            remedy="Name a carbon file in the configuration.",
        )
    frame = pd.read_csv(path, parse_dates=["start_utc"]).set_index("start_utc")
    values = frame["actual_g_per_kwh"].reindex(pd.DatetimeIndex(list(instants)))
    if values.isna().all():
        raise InvalidInputError(
            "carbon intensity does not reach over the window",
            field=str(path),
            value=stamp(instants[0]),
            remedy="Choose another window, or add its half-hours to the file.",
        )
    return values.to_numpy(dtype=np.float64)
