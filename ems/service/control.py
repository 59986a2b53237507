"""The control process: poll, roll up, forecast, plan, dispatch, housekeeping."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from controllers.explaining import explaining
from drivers import open_bus
from ems.domain.errors import InvalidInputError
from ems.domain.estate import Estate
from ems.domain.plans import Planner
from ems.domain.ports import FieldBus, LogEntry, Store
from ems.domain.time import Clock
from ems.service.alarm_job import control_alarms
from ems.service.commanding import release_all
from ems.service.crediting import Crediting
from ems.service.dispatching import Dispatcher
from ems.service.events import open_desk
from ems.service.fairness import FairnessBook
from ems.service.fits import BackgroundFits, Fits
from ems.service.forecasting_job import ForecastJob
from ems.service.guard import CONTROL
from ems.service.holes import HoleLedger
from ems.service.image import ProcessImage
from ems.service.in_charge import InCharge
from ems.service.jobs import Job, schedule
from ems.service.online_weather import OnlineWeather
from ems.service.people import PeopleDesk
from ems.service.planning import PlanJob
from ems.service.polling import Poller
from ems.service.runtime import heartbeat, only_one, stop_on_signals
from ems.service.sky import SensorWeather
from ems.service.starting import note_start
from ems.service.writes import WriteLedger
from forecasting.weather import FileWeather, WeatherProvider

log = structlog.get_logger()

ROLL_UP_PERIOD_S = 300.0
ROLL_UP_OFFSET_S = 75.0
HOUSEKEEPING_PERIOD_S = 86400.0
HOUSEKEEPING_OFFSET_S = 2 * 3600.0 + 600.0
PEOPLE_PERIOD_S = 3600.0
GENTLE_PERIOD_S = 900.0
PEOPLE_OFFSET_S = 2400.0
"""Whether a day has ended for the nightly rules is asked after an hour's roll-up."""
CATCH_UP_WALL_S = 10.0
"""Wall seconds that a dispatch waits for a plan that an event has made necessary."""
PLAN_OFFSET_S = 90.0
"""Plans follow the half-hour's roll-up."""
RELEASE_SENTENCE = "Handed back to your heating's own control because our controller was stopped."


def open_weather(estate: Estate, store: Store | None = None) -> WeatherProvider:
    """Return the estate's weather provider.

    A weather service needs ``store``, where its last answer is kept. Where the configuration
    names no weather, the outdoor sensors of heat pumps in ``store`` have to do.

    Raises
    ------
    InvalidInputError
        Where the configuration names no weather and there is no store.
    """
    url = estate.sources.weather_url
    if url is not None and store is not None:
        place = estate.latitude, estate.longitude
        return OnlineWeather(url, *place, subject=estate.id, store=store)
    path = estate.sources.weather
    if path is None and store is not None:
        log.warning("no_weather", remedy="Name a weather file or service under data.")
        return SensorWeather(estate, store)
    if path is None:
        raise InvalidInputError(
            "the estate has no source of weather",
            field="data.weather",
            remedy="Name a weather file or a weather service in the configuration.",
        )
    return FileWeather.from_file(
        path,
        estate.latitude,
        estate.longitude,
        subject=estate.id,
        observed=estate.sources.weather_is_observed,
    )


class Control:
    """The jobs of the control process, wired.

    Parameters
    ----------
    estate, store, bus, weather
        What to control, what is known, how devices are reached, and the sky.
    ledger
        Counts the bus's writes for good; ``None`` where nothing wears out.
    holes
        Keeps what devices refuse; ``None`` where that is forgotten at the end.
    fits
        Where household load is learnt; ``None`` forecasts it by habits alone.
    planner
        Turns a problem into a plan; ``None``: the joint planner, reasons unchecked.
    """

    def __init__(
        self,
        estate: Estate,
        store: Store,
        bus: FieldBus,
        weather: WeatherProvider,
        *,
        ledger: WriteLedger | None = None,
        holes: HoleLedger | None = None,
        fits: Fits | None = None,
        planner: Planner | None = None,
    ) -> None:
        self._ledger = ledger
        self._holes = holes
        self._estate = estate
        self._store = store
        self._bus = bus
        self.image = ProcessImage(store.latest())
        self._poller = Poller(estate, bus, store, self.image)
        self._forecasts = ForecastJob(estate, store, weather, fits)
        self.charge = InCharge(estate, store)
        self.events = open_desk(estate, store)
        self.fairness = FairnessBook(estate, store)
        self._plans = PlanJob(
            estate,
            store,
            self.image,
            planner=planner,
            wishes=self.charge.wishes,
            blocks=self.charge.block,
            events=self.events.in_force,
            apart=self.events.away,
            sparing=self.fairness.spared,
        )
        self._credits = Crediting(estate, store)
        self._planning = asyncio.Lock()
        self._planned_for: Hashable = None
        self._people = PeopleDesk(estate, store)
        self._dispatcher = Dispatcher(
            estate,
            store,
            bus,
            self.image,
            charge=self.charge,
            events=self.events.in_force,
            apart=self.events.away,
        )

    async def poll(self, now: datetime) -> None:
        """Read what is due."""
        await self._poller.run(now)
        if self._holes is not None:
            await asyncio.to_thread(self._holes.keep)

    async def roll_up(self, now: datetime) -> None:
        """Roll up half-hours that have closed."""
        await asyncio.to_thread(self._store.roll_up, now)
        await asyncio.to_thread(self._credits.run, now)
        for event_id in await asyncio.to_thread(self.fairness.run, now):
            log.info("fairness_entered", event_id=event_id)

    async def plan(self, now: datetime) -> None:
        """Forecast, then plan every block."""
        async with self._planning:
            await asyncio.to_thread(self._forecasts.run, now)
            self._planned_for = await asyncio.to_thread(self.charge.signature, now)
            await asyncio.to_thread(self._plans.run, now)

    async def plan_anew(self, now: datetime) -> None:
        """Plan again where residents or operators have changed what is planned for."""
        async with self._planning:
            wanted = await asyncio.to_thread(self.charge.signature, now)
            if wanted == self._planned_for:
                return
            self._planned_for = wanted
            await asyncio.to_thread(self._plans.run, now)

    async def move_events(self, now: datetime) -> None:
        """Start, end and settle demand-response events whose time has come."""
        for change in await asyncio.to_thread(self.events.advance, now):
            log.info("event_changed", event_id=change.event_id, state=str(change.after))

    async def dispatch(self, now: datetime) -> None:
        """Turn plans and readings into setpoints, and beat when every block was served.

        An event that is new, changed, begins or ends is planned for first, unless a plan is
        under way. Planning that fails or hangs never stands in the way of a dispatch: homes
        are then steered by the plan at hand, and by their schedules when that is too old.
        """
        if not self._planning.locked():
            await self._catch_up(now)
        await self._dispatcher.run(now)
        await self._keep_writes()
        await asyncio.to_thread(self._store.beat, heartbeat(CONTROL, now))

    async def _keep_writes(self) -> None:
        if self._ledger is not None:
            await asyncio.to_thread(self._ledger.keep)

    async def _catch_up(self, now: datetime) -> None:
        async def plan() -> None:
            async with self._planning:
                await asyncio.to_thread(self._plans.catch_up, now)

        try:
            await asyncio.wait_for(asyncio.shield(asyncio.ensure_future(plan())), CATCH_UP_WALL_S)
        except TimeoutError:
            log.warning("planning_takes_long", waited_s=CATCH_UP_WALL_S)
        except Exception:
            log.exception("planning_failed")

    async def housekeep(self, now: datetime) -> None:
        """Fit homes, begin to learn loads; delete readings, forecasts and plans that are old."""
        await asyncio.to_thread(self._forecasts.fit, now)
        await asyncio.to_thread(self._forecasts.learn, now)
        before = now - timedelta(days=self._estate.control.raw_retention_days)
        raw = await asyncio.to_thread(self._store.prune, before)
        issued = await asyncio.to_thread(self._store.prune_issued, before)
        log.info("housekeeping_done", raw_deleted=raw, issued_deleted=issued)

    async def look_after_people(self, now: datetime) -> None:
        """Run the nightly rules about people once for every day that has ended."""
        if await asyncio.to_thread(self._people.is_due, now):
            await asyncio.to_thread(self._people.run, now)

    async def test_gently(self, now: datetime) -> None:
        """Announce, begin and end gentle tests of homes that the data cannot tell."""
        await asyncio.to_thread(self._test_gently, now)

    def _test_gently(self, now: datetime) -> None:
        charge = self.charge
        blocks = [charge.residents.block(block, now) for block in self._estate.blocks]
        charge.gentle.run(now, self.image.snapshot(now), charge.wishes(now), blocks)

    async def first_round(self, now: datetime) -> None:
        """Do once what the jobs repeat, in order, so that a start is no blind spot."""
        await self.poll(now)
        await self.roll_up(now)
        if await asyncio.to_thread(self._forecasts.fit_is_due, now):
            await asyncio.to_thread(self._forecasts.fit, now)
        await asyncio.to_thread(self._forecasts.learn, now)
        await self.move_events(now)
        await self.plan(now)
        await self.dispatch(now)
        await self.look_after_people(now)

    def jobs(self) -> list[Job]:
        """Return the table of jobs."""
        rules = self._estate.control
        return [
            Job("poll", rules.poll_fast_s, self.poll),
            Job("events", rules.dispatch_s, self.move_events, rules.poll_fast_s / 4),
            Job("dispatch", rules.dispatch_s, self.dispatch, rules.poll_fast_s / 2),
            Job("plan_anew", rules.dispatch_s, self.plan_anew, rules.poll_fast_s * 0.75),
            Job("roll_up", ROLL_UP_PERIOD_S, self.roll_up, ROLL_UP_OFFSET_S),
            Job("plan", rules.plan_s, self.plan, PLAN_OFFSET_S),
            Job("housekeep", HOUSEKEEPING_PERIOD_S, self.housekeep, HOUSEKEEPING_OFFSET_S),
            Job("test_gently", GENTLE_PERIOD_S, self.test_gently, rules.poll_fast_s / 4),
            Job("people", PEOPLE_PERIOD_S, self.look_after_people, PEOPLE_OFFSET_S),
        ]

    def close(self) -> None:
        """End what goes on in the background."""
        self._forecasts.close()

    async def hand_back(self, now: datetime) -> None:
        """Release every device that is under a command."""
        commands = await asyncio.to_thread(self._store.active_commands)
        records, standing = await release_all(
            commands, self._bus, self._store, now, RELEASE_SENTENCE
        )
        await self._keep_writes()
        detail = {"released": len(records) - len(standing), "standing": len(standing)}
        await asyncio.to_thread(self._store.log, [LogEntry(now, "handed_back", "estate", detail)])
        log.info("handed_back", **detail)


async def run_control(estate: Estate, store: Store, clock: Clock, state_dir: Path) -> None:
    """Run until SIGINT or SIGTERM, then hand every device back.

    Raises
    ------
    RetryableError
        Where another control process runs on the same state directory.
    """
    with only_one(state_dir, CONTROL):
        stop = stop_on_signals()
        note_start(store, CONTROL, clock.now(), dry_run=estate.control.dry_run)
        ledger = WriteLedger(store)
        holes = HoleLedger(store)
        bus = open_bus(estate, ledger, clock=clock, holes=holes)
        control = Control(
            estate,
            store,
            bus,
            open_weather(estate, store),
            ledger=ledger,
            holes=holes,
            fits=BackgroundFits(),
            planner=explaining(estate),
        )
        alarms = control_alarms(estate, store, control.image, state_dir, control.charge.wishes)
        scheduler = schedule([*control.jobs(), alarms], clock)
        started = {"dry_run": True} if estate.control.dry_run else {}
        log.info(
            "control_started", estate=estate.id, estate_time=clock.now().isoformat(), **started
        )
        starting = asyncio.ensure_future(control.first_round(clock.now()))
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            scheduler.start()
            await stopping
            scheduler.shutdown(wait=False)
        else:
            starting.cancel()
        control.close()
        await control.hand_back(clock.now())
        await bus.close()
        store.close()
        log.info("control_stopped")
