"""One case of a backtest: a window, a seed, a tariff and a house model under every controller.

All runs start from the same state: some weeks under the homes' own thermostats. What no
controller can move is forecast once for all of them.
"""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from controllers.joint import JointPlanner
from ems.backtest.controllers import kept_points, timers, watched_thermostats
from ems.backtest.forecasts import CaseForecasts
from ems.backtest.issues import (
    Issues,
    Key,
    LoadIssuer,
    OtherIssuer,
    collected,
    instants_of,
    true_issues,
)
from ems.backtest.store import RunStore
from ems.backtest.tariffs import estate_at, require_rates
from ems.backtest.weather import sky_of
from ems.demo.controlled import ControlledRun, Pace
from ems.demo.evidence import (
    SHIFTS_K,
    Controller,
    Evidence,
    State,
    kept_share,
    released,
    resumed,
    run_thermostats,
)
from ems.demo.history import SETTLE_DAYS, HistoryMaker, HistorySpan
from ems.demo.metering import Measured, Window
from ems.demo.recorder import DerivedColumns
from ems.domain.errors import InvalidInputError
from ems.domain.estate import Estate
from ems.domain.points import PointId
from ems.domain.time import HALF_HOUR, HALF_HOUR_S
from ems.field.parameters import FieldParameters, load_parameters
from ems.field.simulation import EstateSimulation
from ems.field.sources import Consumption
from ems.settings import load_estate
from forecasting.issue import actuals
from forecasting.run import points_of

FIELD_FILE = "field.yaml"
OTHERS_EVERY_S = 3600
"""Seconds between forecasts of hot water, sun and communal load: the sky is issued by the hour."""
BEYOND = timedelta(days=1, hours=1)
"""Forecasts reach so far over the end of a window."""
Progress = Callable[[str, float], None]
"""Told what is going on and the share of the case that is done."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What all cases of a campaign have in common.

    Attributes
    ----------
    config
        The estate's file; the field's lies beside it.
    folder
        Where cases go, and forecasts that they share.
    tariff, prices
        ``trial`` for the configuration's own, else a name and the file of its prices.
    weather
        ``error``, or two files: what was observed, and what was issued.
    houses
        Which house model the field plays.
    controllers
        Whose runs are made; the thermostats' always are.
    history_days
        Days under thermostats before the window.
    learn_days
        Days between fits of household load.
    dispatch_s, plan_s
        Seconds between dispatches, and between plans.
    blocks
        Blocks that take part; all of them where empty.
    """

    config: Path
    folder: Path
    tariff: str = "trial"
    prices: Path | None = None
    weather: tuple[Path, Path] | None = None
    houses: str = "two-node"
    controllers: tuple[Controller, ...] = tuple(Controller)
    history_days: int = 21
    learn_days: int = 7
    dispatch_s: int = 300
    plan_s: int = 3600
    blocks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """One case: when, and which seed."""

    start: date
    hours: int
    seed: int

    @property
    def window(self) -> Window:
        """Its time."""
        begin = datetime(self.start.year, self.start.month, self.start.day, tzinfo=UTC)
        return Window(begin, begin + timedelta(hours=self.hours))

    def path(self, setting: Setting) -> Path:
        """Return the file that it is kept in when it is done."""
        weather = "error" if setting.weather is None else "pair"
        name = f"{setting.tariff}_{setting.houses}_{weather}_{self.start}_{self.seed}.npz"
        return setting.folder / "cases" / name


class _Parts:
    """Shares a case's progress out by what its parts take [s, roughly]."""

    def __init__(self, progress: Progress, sizes: Sequence[tuple[str, float]]) -> None:
        self._progress = progress
        self._all = sum(size for _, size in sizes)
        self._sizes = dict(sizes)
        self._done = 0.0

    def part(self, name: str) -> Callable[[float], None]:
        before, size = self._done, self._sizes[name]
        self._done += size

        def tell(share: float) -> None:
            self._progress(name, min((before + share * size) / self._all, 1.0))

        tell(0.0)
        return tell


def run_case(
    case: Case, setting: Setting, progress: Progress = lambda _what, _share: None
) -> Evidence:
    """Run a case under every controller that is asked for.

    Raises
    ------
    InvalidInputError
        Where weather, consumption or prices do not reach.
    """
    with tempfile.TemporaryDirectory(prefix="hearth-backtest-") as work:
        return _CaseRun(case, setting, Path(work), progress).run()


class _CaseRun:
    def __init__(self, case: Case, setting: Setting, work: Path, progress: Progress) -> None:
        self._case = case
        self._setting = setting
        self._work = work
        estate, parameters = estate_of(setting)
        self._unpriced = estate
        self.estate = estate_at(estate, setting.tariff, setting.prices)
        self.parameters = replace(parameters, seed=case.seed, houses=setting.houses)
        self.window = case.window
        require_rates(self.estate, self.window)
        self._sky = sky_of(self.estate, self.parameters, setting.weather, case.seed, work)
        self.parameters = self._sky.parameters
        self._steps = int(self.estate.control.plan_horizon_s // HALF_HOUR_S) + 1
        self._begin = self.window.start - timedelta(days=setting.history_days)
        self._stores = 0
        hours = self.window.hours
        controlled = [one for one in setting.controllers if one in _PLANNED]
        self._parts = _Parts(
            progress,
            [
                ("history", 1.0 * setting.history_days),
                ("thermostats", 0.03 * hours),
                ("frontier", 0.02 * hours * len(SHIFTS_K)),
                (Controller.TIME_OF_USE.value, 0.02 * hours),
                ("load forecasts", 0.25 * hours if controlled else 0.0),
                ("other forecasts", 0.1 * hours if controlled else 0.0),
                *((one.value, 0.2 * hours) for one in controlled),
            ],
        )

    def run(self) -> Evidence:
        setting, window = self._setting, self.window
        seconds: dict[Controller, float] = {}
        state, past, simulation = self._history()
        runs: dict[Controller, Measured] = {}
        clock = time.process_time()
        with self._store() as watched:
            watched.take_over(past)
            given = self.estate, self.parameters, state, window
            runs[Controller.THERMOSTAT] = asyncio.run(
                watched_thermostats(
                    *given,
                    watched,
                    self._points,
                    beyond=BEYOND,
                    progress=self._parts.part("thermostats"),
                )
            )
            seconds[Controller.THERMOSTAT] = time.process_time() - clock
            frontier = {0.0: runs[Controller.THERMOSTAT]}
            tell = self._parts.part("frontier")
            for number, shift_k in enumerate(SHIFTS_K):
                tell(number / len(SHIFTS_K))
                frontier[shift_k] = asyncio.run(run_thermostats(*given, shift_k=shift_k))
            if Controller.TIME_OF_USE in setting.controllers:
                clock = time.process_time()
                tell = self._parts.part(Controller.TIME_OF_USE.value)
                runs[Controller.TIME_OF_USE] = asyncio.run(timers(*given, progress=tell))
                seconds[Controller.TIME_OF_USE] = time.process_time() - clock
            credits_gbp = self._controlled(state, past, watched, runs, seconds)
        past.close()
        return Evidence(
            seed=self._case.seed,
            window=window,
            history_days=setting.history_days,
            runs={one: runs[one] for one in Controller if one in runs},
            frontier=dict(sorted(frontier.items())),
            kept=kept_share(simulation),
            credits_gbp=credits_gbp,
            tariff=setting.tariff,
            houses=setting.houses,
            weather=self._sky.label,
            seconds=seconds,
        )

    def _store(self) -> RunStore:
        self._stores += 1
        path = self._work / f"{self._stores}.sqlite"
        end = self.window.end + BEYOND + HALF_HOUR
        return RunStore(path, self._points, self._begin, end)

    def _history(self) -> tuple[State, RunStore, EstateSimulation]:
        span = HistorySpan(thermostat_days=self._setting.history_days, planned_days=0)
        first = Consumption.read(self.parameters.consumption).first_day()
        if (self._begin - timedelta(days=SETTLE_DAYS)).date() < first:
            raise InvalidInputError(
                f"consumption begins on {first}: too late for the days before this window",
                field="--windows",
                value=self._case.start.isoformat(),
                remedy="Choose a later window, or fewer --history-days.",
            )
        probe = EstateSimulation(self.estate, self.parameters, self._begin, step_s=60)
        derived = DerivedColumns(self.estate, probe.point_ids)
        self._points: list[PointId] = kept_points(
            self.estate, [*probe.point_ids, *derived.point_ids]
        )
        past = self._store()
        maker = HistoryMaker(
            self.estate, self.parameters, past, self.window.start, span, set(self._points)
        )
        asyncio.run(maker.make(self._parts.part("history")))
        return released(maker.simulation.state_dict()), past, maker.simulation

    def _controlled(
        self,
        state: State,
        past: RunStore,
        watched: RunStore,
        runs: dict[Controller, Measured],
        seconds: dict[Controller, float],
    ) -> dict[str, float]:
        """Make the runs with plans; return what homes were credited."""
        wanted = [one for one in self._setting.controllers if one in _PLANNED]
        credits_gbp: dict[str, float] = {}
        if not wanted:
            return credits_gbp
        foreseen: list[Issues] = []
        if any(one is not Controller.PERFECT_FORESIGHT for one in wanted):
            clock = time.process_time()
            foreseen = [self._loads(), self._others(watched)]
            shared = (time.process_time() - clock) / max(len(wanted), 1)
        for controller in wanted:
            clock = time.process_time()
            perfect = controller is Controller.PERFECT_FORESIGHT
            heating = controller is not Controller.BATTERY_ONLY
            issued = [self._truth(watched)] if perfect else foreseen
            sky = self._sky.true if perfect else self._sky.issued
            with self._store() as store:
                store.take_over(past)
                forecasts = CaseForecasts(
                    self.estate, store, sky, issued, steps=self._steps, certain=perfect
                )
                run = ControlledRun(
                    self.estate,
                    resumed(self.estate, self.parameters, state, self.window),
                    store,
                    heating=heating,
                    forecasts=forecasts,
                    pace=Pace(
                        self._setting.dispatch_s, self._setting.plan_s, frozenset(self._points)
                    ),
                    planner=JointPlanner(self.estate.zone, threads=1),
                )
                tell = self._parts.part(controller.value)
                runs[controller] = asyncio.run(run.run(self.window, tell))
                if controller is Controller.PLANNED:
                    credits_gbp = run.credits_gbp()
            seconds[controller] = time.process_time() - clock + (0.0 if perfect else shared)
        return credits_gbp

    def _household(self) -> pd.DataFrame:
        """Return what homes use beside heat pumps from the first day known to beyond the end."""
        source = Consumption.read(self.parameters.consumption)
        quirks = self.parameters.quirks
        ids = [home.id for home in self.estate.dwellings()]
        names = [(quirks[home].consumption if home in quirks else None) or home for home in ids]
        columns = source.columns(names)
        last = min((self.window.end + BEYOND).date(), source.last_day())
        days = pd.date_range(source.first_day(), last, freq="D", tz=UTC)
        rows = [source.day(day.date(), columns) * 2.0 for day in days]
        index = pd.date_range(days[0], periods=48 * len(days), freq=HALF_HOUR)
        return pd.DataFrame(np.concatenate(rows), index=index, columns=ids)

    def _loads(self) -> Issues:
        """Return forecasts of household load; of one window all seeds share them."""
        setting, tell = self._setting, self._parts.part("load forecasts")
        path = setting.folder / "forecasts" / f"load_{self._mark()}.npz"
        if path.is_file():
            return Issues.load(path)
        given = self._unpriced, self.parameters, setting.weather
        sky = sky_of(*given, seed=0, folder=self._work).issued
        issuer = LoadIssuer(
            self.estate, sky, self._household(), timedelta(days=setting.learn_days), self._steps
        )
        every_s = max(setting.plan_s, HALF_HOUR_S)
        issues = collected(instants_of(self.window, every_s), every_s, issuer.issue, tell)
        issues.save(path)
        return issues

    def _mark(self) -> str:
        """Return what forecasts of household load depend on, as a short mark."""
        setting = self._setting
        told = hashlib.sha256()
        for path in (self.parameters.consumption, self._unpriced.sources.weather):
            told.update(b"" if path is None else path.read_bytes())
        for pair in setting.weather or ():
            told.update(pair.read_bytes())
        told.update(
            repr((self._case.hours, setting.learn_days, self._steps, setting.blocks)).encode()
        )
        return f"{self._case.start}_{told.hexdigest()[:12]}"

    def _others(self, watched: RunStore) -> Issues:
        issuer = OtherIssuer(self.estate, watched, self._sky.issued, self._steps)
        instants = instants_of(self.window, OTHERS_EVERY_S)
        tell = self._parts.part("other forecasts")
        return collected(instants, OTHERS_EVERY_S, issuer.issue, tell)

    def _truth(self, watched: RunStore) -> Issues:
        """Return what came: load as consumed, the rest as in the thermostat run."""
        household = self._household()
        ids = [[home.id for home in block.dwellings] for block in self.estate.blocks]
        series: dict[Key, pd.Series[float]] = {}
        for block, homes in zip(self.estate.blocks, ids, strict=True):
            table = watched.rollups(points_of(block), self._begin, self.window.end + BEYOND)
            came = actuals(block, table)
            series |= {key: came[key] for key in came if key[0] in {"pv_w", "communal_w"}}
            series |= {("hot_water_w", home): came["hot_water_w", home] for home in homes}
            series |= {("load_w", home): household[home] for home in homes}
            series["load_w", block.id] = household[homes].sum(axis=1)
        return true_issues(series, self.window, self._steps)


_PLANNED = (Controller.BATTERY_ONLY, Controller.PLANNED, Controller.PERFECT_FORESIGHT)


def estate_of(setting: Setting) -> tuple[Estate, FieldParameters]:
    """Return the estate and its field, with the blocks that take part and prices as configured.

    Raises
    ------
    InvalidInputError
        Where a block is not in the estate.
    """
    estate = load_estate(setting.config)
    parameters = load_parameters(setting.config.parent / FIELD_FILE)
    return (
        _of_blocks(estate, parameters, setting.blocks) if setting.blocks else (estate, parameters)
    )


def _of_blocks(
    estate: Estate, parameters: FieldParameters, names: Sequence[str]
) -> tuple[Estate, FieldParameters]:
    """Return the estate with some of its blocks alone, and what the field knows of those."""
    for name in names:
        if name not in [block.id for block in estate.blocks]:
            raise InvalidInputError(
                "no such block in the estate",
                field="--blocks",
                value=name,
                remedy=f"Name some of: {', '.join(block.id for block in estate.blocks)}.",
            )
    blocks = tuple(block for block in estate.blocks if block.id in names)
    homes = {home.id for block in blocks for home in block.dwellings}
    devices = {name: one for name, one in estate.devices.items() if one.block_id in names}
    planted = parameters.planted
    return replace(estate, blocks=blocks, devices=devices), replace(
        parameters,
        quirks={home: quirk for home, quirk in parameters.quirks.items() if home in homes},
        planted=replace(
            planted,
            capacity_share=_those(planted.capacity_share, homes),
            chosen_c=_those(planted.chosen_c, homes),
            silent_days=_those(planted.silent_days, homes),
        ),
    )


def _those(of: Mapping[str, float], homes: Collection[str]) -> dict[str, float]:
    return {home: value for home, value in of.items() if home in homes}
