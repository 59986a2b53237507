"""From what was measured to the figures of a report: money, carbon, warmth, comparisons.

Pure arithmetic over `ems.demo.evidence.Evidence`; ``docs/metrics.md`` states each formula.
Every figure is a plain number, string, list or mapping, rounded, so that the same seed
gives the same file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ems.demo.evidence import Controller, Evidence
from ems.demo.metering import Measured, Stored
from ems.domain.errors import InvalidInputError
from ems.domain.estate import Block, Dwelling, Estate, MeterAccount, Supply
from ems.domain.forecasts import FloatArray

WEEK_H = 168.0
WORSE_KH_PER_WEEK = 0.5
"""No home may be worse by more than this under a plan [K·h a week]."""
Figures = dict[str, Any]


def figures(estate: Estate, evidence: Evidence) -> Figures:
    """Return all figures of a report; see ``docs/metrics.md`` for each.

    Raises
    ------
    InvalidInputError
        Where carbon intensity does not reach over the window.
    NoRateError
        Where a tariff does not.
    """
    book = Book(estate, evidence)
    runs = {name.value: book.run(measured) for name, measured in evidence.runs.items()}
    frontier = [
        {"shift_k": shift_k, **_on_frontier(book.run(measured))}
        for shift_k, measured in evidence.frontier.items()
    ]
    window = evidence.window
    whole: Figures = {
        "seed": evidence.seed,
        "from": _stamp(window.start),
        "to": _stamp(window.end),
        "hours": window.hours,
        "homes": len(book.homes),
        "history_days": evidence.history_days,
        "weather_forecast": "perfect weather" if book.perfect_weather else "issued with error",
        "runs": runs,
        "frontier": frontier,
        "comparison": {
            name.value: _compared(
                runs[Controller.THERMOSTAT.value], runs[name.value], frontier, window.hours
            )
            for name in evidence.runs
            if name is not Controller.THERMOSTAT
        },
        "series": book.series(evidence),
    }
    rounded: Figures = _rounded(whole)
    return rounded


def _stamp(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_rounded(item) for item in value]
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
    """

    def __init__(self, estate: Estate, evidence: Evidence) -> None:
        self._estate = estate
        self._instants = evidence.window.half_hours
        self._days = evidence.window.hours / 24.0
        self.homes: list[Dwelling] = list(estate.dwellings())
        self._place = {home.id: number for number, home in enumerate(self.homes)}
        self.rates = [self._rates(self._account(block)) for block in estate.blocks]
        self._dear = [rates > rates.mean() + 1e-9 for rates in self.rates]
        self._home_rates = np.column_stack([self._rates(home.meter) for home in self.homes])
        self._carbon = _carbon(estate.sources.carbon, self._instants)
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
        if account.tariff is None:
            return np.zeros(len(self._instants))
        return np.array([account.tariff.rate_gbp_per_kwh(instant) for instant in self._instants])

    def _columns(self, block: Block) -> list[int]:
        return [self._place[home.id] for home in block.dwellings]

    def run(self, run: Measured) -> Figures:
        """Return the figures of one run."""
        blocks = [self._block(number, run) for number in range(len(self._estate.blocks))]
        homes = [self._home(number, run) for number in range(len(self.homes))]

        def total(name: str) -> float:
            return float(sum(block[name] for block in blocks))

        cost, wear, stored = total("cost_gbp"), total("wear_gbp"), total("stored_gbp")
        return {
            "energy_kwh": total("import_kwh"),
            "cost_gbp": cost,
            "carbon_kg": total("carbon_kg"),
            "peak_import_kw": max(block["peak_import_kw"] for block in blocks),
            "degree_hours_below_floor": float(run.missing("below_floor").sum()),
            "mean_indoor_c": float(run.room_c.mean()),
            "compressor_starts": int(run.starts.sum()),
            "degree_hours_below_schedule": float(run.missing("below_schedule").sum()),
            "chosen_degree_hours_below_floor": float(run.missing("chosen_below_floor").sum()),
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
        bills = float((run.kwh["home_import"] * self._home_rates)[:, columns].sum())
        credit = sum(self._credit_gbp(home, run) for home in block.dwellings)
        meter = "block" if pooled else "landlord"
        bought, sold = run.kwh[f"{meter}_import"][:, number], run.kwh[f"{meter}_export"][:, number]
        landlord = float((bought * rates).sum() - account.export_gbp_per_kwh * sold.sum())
        if pooled:  # the tenants' bills are the landlord's income
            cost, landlord = landlord, landlord - bills
        else:
            cost = landlord + bills
        battery = block.battery
        wear = 0.0 if battery is None else battery.wear_gbp_per_kwh
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
            "carbon_kg": float((into * self._carbon).sum() / 1000.0),
            "cost_gbp": cost,
            "tenants_gbp": bills - credit,
            "landlord_gbp": landlord + credit,
            "credit_gbp": credit,
            "peak_charge_gbp": self._peak_charge_gbp(into),
            "standing_gbp": standing * self._days,
            "wear_gbp": wear * float(run.discharged_kwh[:, number].sum()),
            "stored_gbp": self._stored_gbp(number, run),
            "stored_battery_kwh": float((run.end.battery_kwh - run.begin.battery_kwh)[number]),
            "stored_room_kwh": float((run.end.room_kwh - run.begin.room_kwh)[columns].sum()),
            "stored_tank_kwh": float((run.end.tank_kwh - run.begin.tank_kwh)[columns].sum()),
            "battery_charged_kwh": float(run.charged_kwh[:, number].sum()),
            "battery_discharged_kwh": float(run.discharged_kwh[:, number].sum()),
            "dear_half_hours": int(dear.sum()),
            "cheap_half_hours": int((~dear).sum()),
            "import_kwh_in_dear": float(into[dear].sum()),
            "import_kwh_in_cheap": float(into[~dear].sum()),
            "mean_rate_paid_gbp_per_kwh": float((bought * rates).sum() / max(bought.sum(), 1e-9)),
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

    def _stored_gbp(self, number: int, run: Measured) -> float:
        """Return what is stored more at the end than at the beginning, valued [£]."""
        block = self._estate.blocks[number]
        pooled = self._account(block) is block.block_meter
        typical = float(np.median(self.rates[number]))
        homes = np.median(self._home_rates, axis=0)
        price = np.full(homes.size, typical) if pooled else homes

        def heat_kwh(stored: Stored) -> FloatArray:
            return self._kept * stored.room_kwh + stored.tank_kwh

        heat = (heat_kwh(run.end) - heat_kwh(run.begin)) / self._cop * price
        battery_kwh = float((run.end.battery_kwh - run.begin.battery_kwh)[number])
        efficiency = 0.0 if block.battery is None else block.battery.one_way_efficiency
        return float(heat[self._columns(block)].sum()) + efficiency * battery_kwh * typical

    def _credit_gbp(self, home: Dwelling, run: Measured) -> float:
        """Return what a home was credited for heating ahead: something in the planned run only."""
        return self._credits_gbp.get(home.id, 0.0) if run is self._planned else 0.0

    def _home(self, number: int, run: Measured) -> Figures:
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
            "degree_hours_below_floor": float(run.missing("below_floor")[number]),
            "chosen_degree_hours_below_floor": float(run.missing("chosen_below_floor")[number]),
            "degree_hours_below_schedule": float(run.missing("below_schedule")[number]),
            "compressor_starts": int(run.starts[number]),
        }

    def series(self, evidence: Evidence) -> Figures:
        """Return half-hourly series for plots."""
        batteries = [block.battery for block in self._estate.blocks]
        capacities = [battery.capacity_wh / 1e3 if battery else 1.0 for battery in batteries]
        return {
            "start": [_stamp(instant) for instant in self._instants],
            "carbon_g_per_kwh": self._carbon,
            "rate_gbp_per_kwh": {
                block.id: rates
                for block, rates in zip(self._estate.blocks, self.rates, strict=True)
            },
            "runs": {
                name.value: {
                    "room_c": run.room_c.mean(axis=1),
                    "import_kw": {
                        block.id: 2.0
                        * (run.kwh["block_import"] - run.kwh["block_export"])[:, number]
                        for number, block in enumerate(self._estate.blocks)
                    },
                    "battery_pct": {
                        block.id: 100.0 * run.battery_kwh[:, number] / capacities[number]
                        for number, block in enumerate(self._estate.blocks)
                    },
                }
                for name, run in evidence.runs.items()
            },
        }


def _carbon(path: Path | None, instants: Sequence[datetime]) -> FloatArray:
    """Return the grid's carbon intensity as it was [g/kWh]."""
    if path is None:
        raise InvalidInputError(
            "the estate has no source of carbon intensity",
            field="data.carbon",
            remedy="Name a carbon file in the configuration.",
        )
    frame = pd.read_csv(path, parse_dates=["start_utc"]).set_index("start_utc")
    values = frame["actual_g_per_kwh"].reindex(pd.DatetimeIndex(list(instants)))
    if values.isna().any():
        raise InvalidInputError(
            "carbon intensity has a hole",
            field=str(path),
            value=str(values.index[values.isna()][0]),
            remedy="Choose another window, or fill the half-hour in the file.",
        )
    return values.to_numpy(dtype=np.float64)


def _on_frontier(run: Figures) -> Figures:
    names = (
        *("whole_cost_gbp", "cost_gbp", "energy_kwh", "mean_indoor_c"),
        *("degree_hours_below_schedule", "degree_hours_below_floor"),
    )
    return {name: run[name] for name in names}


def at_warmth(frontier: Sequence[Figures], below_kh: float) -> tuple[float, bool]:
    """Return what thermostats cost at a warmth, and whether the frontier reaches it.

    Parameters
    ----------
    frontier
        Points with ``whole_cost_gbp`` and ``degree_hours_below_schedule``.
    below_kh
        Kelvin-hours below schedule, all homes [K·h]; beyond the frontier's ends the cost of
        the nearer end is returned.
    """
    points = sorted(
        (point["degree_hours_below_schedule"], -point["whole_cost_gbp"]) for point in frontier
    )
    kh = [point[0] for point in points]
    cost = float(np.interp(below_kh, kh, [-point[1] for point in points]))
    return cost, kh[0] <= below_kh <= kh[-1]


def _cold_in_both(own: Figures, other: Figures, hours: float) -> list[str]:
    """Return homes that lack a kelvin all the time in both runs: no controller warms them."""
    return [
        home["id"]
        for before, home in zip(own["home"], other["home"], strict=True)
        if min(run["degree_hours_below_schedule"] for run in (before, home)) > hours
    ]


def _compared(own: Figures, other: Figures, frontier: Sequence[Figures], hours: float) -> Figures:
    """Hold a run against the thermostats'."""
    below_kh = other["degree_hours_below_schedule"]
    level, reached = at_warmth(frontier, below_kh)
    changes = [
        (
            home["id"],
            (home["degree_hours_below_schedule"] - before["degree_hours_below_schedule"])
            * (WEEK_H / hours),
            home["bill_gbp"] - home["credit_gbp"] - before["bill_gbp"],
            before["bill_gbp"],
        )
        for home, before in zip(other["home"], own["home"], strict=True)
    ]
    worse = sorted(
        ((name, change) for name, change, *_ in changes if change > WORSE_KH_PER_WEEK),
        key=lambda item: (-item[1], item[0]),
    )
    difference: Callable[[str], float] = lambda name: own[name] - other[name]  # noqa: E731 - one line, used three times
    saved = level - other["whole_cost_gbp"]
    rises = {name: 100.0 * bill / before for name, _, bill, before in changes if before > 0}
    dearest = max(rises, key=lambda name: (rises[name], name), default="")
    return {
        "saved_gbp": difference("whole_cost_gbp"),
        "saved_bills_gbp": difference("cost_gbp"),
        "saved_carbon_kg": difference("carbon_kg"),
        "equal_warmth_cost_gbp": level,
        "equal_warmth_reached": reached,
        "saved_at_equal_warmth_gbp": saved,
        "saved_at_equal_warmth_share": saved / level if level > 0 else math.nan,
        "cold_in_both": _cold_in_both(own, other, hours),
        "homes_worse": [{"id": name, "worse_kh_per_week": change} for name, change in worse],
        "bills_higher": sorted(name for name, _, bill, _ in changes if bill > 0.005),
        "bill_change_pct": rises,
        "highest_bill_rise_pct": {"id": dearest, "pct": rises.get(dearest, 0.0)},
        "change_kh_per_week": {name: change for name, change, *_ in changes},
        "cheaper": saved > 0,
        "as_warm": not worse,
    }
