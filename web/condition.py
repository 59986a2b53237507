"""The estate's condition for the pages: devices, processes and plans, one by one.

Whether all is well is judged in one place, :mod:`ems.service.health`; here stands what
an operator sees behind that answer. Ages are in estate time [s].
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ems.domain.estate import Block, Device, Estate
from ems.domain.outages import Outage
from ems.domain.plans import Schedule
from ems.domain.ports import Heartbeat, Store
from ems.service.guard import CONTROL, GUARD
from ems.service.health import ONLINE_PERIODS, Health, health
from ems.service.outages import outages

REQUIRED_PROCESSES = (CONTROL, GUARD)
PROCESS_WORDS = {
    CONTROL: "Control: reads, plans and writes setpoints",
    GUARD: "Guard: hands devices back when control is silent",
    "field": "Field: the simulated devices",
    "web": "Web: these pages",
}


@dataclass(frozen=True, slots=True)
class DeviceState:
    """One device and when it last gave a good value (``None``: never).

    ``outage`` is set where an operator has put it out of service.
    """

    device: Device
    last_good: datetime | None
    age_s: float | None
    online: bool
    outage: Outage | None = None

    @property
    def is_lost(self) -> bool:
        """Whether it should answer and does not."""
        return not self.online and self.outage is None


@dataclass(frozen=True, slots=True)
class ProcessState:
    """One process and its last sign of life; ``age_s`` is ``None`` where there was none."""

    name: str
    words: str
    at: datetime | None
    age_s: float | None
    fresh: bool


@dataclass(frozen=True, slots=True)
class PlanState:
    """One block's plan; ``schedule`` is ``None`` where there is none yet."""

    block: Block
    schedule: Schedule | None
    age_s: float | None
    fresh: bool


@dataclass(frozen=True, slots=True)
class Condition:
    """The estate's condition at one instant."""

    at: datetime
    health: Health
    devices: tuple[DeviceState, ...]
    processes: tuple[ProcessState, ...]
    plans: tuple[PlanState, ...]

    @property
    def lost(self) -> tuple[DeviceState, ...]:
        """Devices that should answer and do not."""
        return tuple(state for state in self.devices if state.is_lost)

    @property
    def out_of_service(self) -> tuple[DeviceState, ...]:
        """Devices that an operator has put out of service."""
        return tuple(state for state in self.devices if state.outage is not None)

    def plan(self, block_id: str) -> PlanState:
        """Return the state of a block's latest plan."""
        return next(plan for plan in self.plans if plan.block.id == block_id)

    def device(self, device_id: str) -> DeviceState:
        """Return one device's state."""
        return next(state for state in self.devices if state.device.id == device_id)

    def of_block(self, block_id: str) -> tuple[DeviceState, ...]:
        """Return the states of a block's devices."""
        return tuple(state for state in self.devices if state.device.block_id == block_id)


def look(store: Store, estate: Estate, now: datetime) -> Condition:
    """Read and judge the estate's condition at estate time ``now``."""
    rules = estate.control
    seen = store.last_good()
    out = outages(store, now)
    heartbeats = store.heartbeats()
    names = [*REQUIRED_PROCESSES, *sorted(set(heartbeats) - set(REQUIRED_PROCESSES))]
    return Condition(
        at=now,
        health=health(estate, store, now),
        devices=tuple(
            device_state(
                device,
                seen.get(device.id),
                now,
                ONLINE_PERIODS * rules.poll_normal_s,
                out.get(device.id),
            )
            for device in estate.devices.values()
        ),
        processes=tuple(
            _process_state(name, heartbeats.get(name), now, rules.guard_after_s) for name in names
        ),
        plans=tuple(
            _plan_state(block, store.latest_schedule(block.id), now, rules.plan_max_age_s)
            for block in estate.blocks
        ),
    )


def device_state(
    device: Device,
    last_good: datetime | None,
    now: datetime,
    within_s: float,
    outage: Outage | None = None,
) -> DeviceState:
    """Judge one device by its last good value; online when at most ``within_s`` [s] old."""
    if last_good is None:
        return DeviceState(device, None, None, online=False, outage=outage)
    age_s = max((now - last_good).total_seconds(), 0.0)
    return DeviceState(device, last_good, age_s, online=age_s <= within_s, outage=outage)


def _process_state(
    name: str, heartbeat: Heartbeat | None, now: datetime, within_s: float
) -> ProcessState:
    words = PROCESS_WORDS.get(name, name)
    if heartbeat is None:
        return ProcessState(name, words, None, None, fresh=False)
    age_s = max((now - heartbeat.at).total_seconds(), 0.0)
    return ProcessState(name, words, heartbeat.at, age_s, fresh=age_s <= within_s)


def _plan_state(block: Block, plan: Schedule | None, now: datetime, within_s: float) -> PlanState:
    if plan is None:
        return PlanState(block, None, None, fresh=False)
    age_s = max((now - plan.issued_at).total_seconds(), 0.0)
    return PlanState(block, plan, age_s, fresh=age_s <= within_s)
