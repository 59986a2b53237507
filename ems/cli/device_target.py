"""Which device a commissioning command means, and whether the service is using it."""

from __future__ import annotations

import fcntl
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import click

from drivers.codec import codecs
from drivers.line import Backoff, GatewayLine
from drivers.session import DeviceSession
from ems.cli.estate import STORE_FILE, estate_clock, open_estate, open_existing_store
from ems.cli.options import config_option, state_option
from ems.domain.errors import ConfigurationError, InvalidInputError
from ems.domain.estate import Device, Estate, Gateway
from ems.domain.gateways import Parity, SerialLine
from ems.domain.profiles import DeviceProfile, Transport, WriteRule
from ems.domain.time import Clock
from ems.service.guard import CONTROL
from ems.service.holds import Holds
from ems.service.writes import WriteLedger
from ems.settings.profiles import load_profiles, read_profile

F = TypeVar("F", bound=Callable[..., Any])
PROFILES = Path("config/devices")


@dataclass(frozen=True, slots=True)
class Target:
    """A device with the gateway that leads to it.

    Attributes
    ----------
    device, gateway
        What and where.
    owned_by_service
        Whether a running control process reads and commands it now.
    estate, state
        The estate that it belongs to and its state directory; ``None`` where it is nobody's.
    """

    device: Device
    gateway: Gateway
    owned_by_service: bool
    estate: Estate | None = None
    state: Path | None = None

    def session(self) -> DeviceSession:
        """Return a session on a connection of its own."""
        rng = random.Random(0)  # noqa: S311 - jitter, not a secret
        line = GatewayLine(self.gateway, time.monotonic, rng)
        return DeviceSession(self.device, codecs(self.device.profile), line, Backoff(1, 1, rng))

    def ledger(self) -> tuple[WriteLedger, Clock] | None:
        """Return where its writes are counted, and by which clock.

        ``None`` where it is no device of the estate, or the estate was never started.
        """
        if self.estate is None or self.state is None or not (self.state / STORE_FILE).exists():
            return None
        ledger = WriteLedger(open_existing_store(self.state))
        return ledger, estate_clock(self.estate, self.state)


def profiles_option(function: F) -> F:
    """Add ``--profiles``: the directory of device profiles."""
    return click.option(
        "--profiles",
        default=PROFILES,
        show_default=True,
        type=click.Path(path_type=Path, file_okay=False),
        help="Directory of the device profiles.",
    )(function)


def line_options(function: F) -> F:
    """Add what a serial line needs, and how long to wait."""
    for decorate in (
        click.option(
            "--timeout",
            default=1.0,
            show_default=True,
            type=click.FloatRange(0.05, 60.0),
            help="Seconds to wait for a reply.",
        ),
        click.option("--rtu-over-tcp", is_flag=True, help="The gateway takes RTU frames."),
        click.option(
            "--stop-bits", default=1, show_default=True, type=click.IntRange(1, 2), help="Serial."
        ),
        click.option(
            "--parity",
            default="none",
            show_default=True,
            type=click.Choice([str(parity) for parity in Parity]),
            help="Serial line.",
        ),
        click.option("--baud", default=9600, show_default=True, type=int, help="Serial line."),
    ):
        function = decorate(function)
    return function


def target_options(function: F) -> F:
    """Add what names a device: the estate's own, or an address with unit and profile."""
    for decorate in (
        line_options,
        profiles_option,
        click.option("--profile", help="With an address: the profile (an id or a file)."),
        click.option(
            "--unit", default=1, show_default=True, type=click.IntRange(1, 247), help="Unit id."
        ),
        state_option,
        config_option,
    ):
        function = decorate(function)
    return function


def profile_of(name: str, directory: Path) -> DeviceProfile:
    """Return a profile by id, or from a file.

    Raises
    ------
    InvalidInputError
        Where there is none of that name.
    ConfigurationError
        Where the file has faults.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else directory / f"{name}.yaml"
    if not path.exists():
        known = ", ".join(sorted(each.stem for each in directory.glob("*.yaml"))) or "none"
        raise InvalidInputError(
            "there is no such profile", field="profile", value=name, remedy=f"Use one of: {known}."
        )
    profile, faults = read_profile(path)
    if profile is None:
        raise ConfigurationError(str(path), tuple(faults))
    return profile


def bounds(rule: WriteRule | None) -> str:
    """Return how a point may be written, in words; empty where it may not."""
    return "" if rule is None else f"{rule.low:g} to {rule.high:g}, step {rule.step:g}"


def all_profiles(directory: Path) -> list[DeviceProfile]:
    """Return every profile of a directory."""
    return list(load_profiles(directory).values())


def gateway_at(address: str, line: dict[str, Any], default_port: int = 502) -> Gateway:
    """Return the gateway at ``HOST``, ``HOST:PORT`` or a serial line's device file.

    Raises
    ------
    InvalidInputError
        Where the address is none of these.
    """
    timeout_s = float(line["timeout"])
    if address.startswith("/"):
        serial = SerialLine(address, line["baud"], Parity(line["parity"]), line["stop_bits"])
        return Gateway("line", "", 0, timeout_s, Transport.RTU, serial)
    host, colon, port = address.rpartition(":")
    if not colon:
        host, port = address, str(default_port)
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise InvalidInputError(
            "this is no address",
            field="address",
            value=address,
            remedy="Write HOST, HOST:PORT or the serial line's device file, e.g. /dev/ttyUSB0.",
        )
    transport = Transport.RTU_OVER_TCP if line["rtu_over_tcp"] else Transport.TCP
    return Gateway("line", host, int(port), timeout_s, transport)


def control_runs(state: Path) -> bool:
    """Tell whether a control process runs on a state directory."""
    path = state / f"{CONTROL}.lock"
    if not path.exists():
        return False
    with path.open(encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def find_target(
    name: str,
    *,
    config: Path,
    state: Path,
    unit: int,
    profile: str | None,
    profiles: Path,
    **line: Any,
) -> Target:
    """Return the device that a command names: an id of the estate, or an address.

    Raises
    ------
    InvalidInputError
        Where there is none, or an address comes without its profile.
    """
    estate = open_estate(config) if config.exists() else None
    if estate is not None and name in estate.devices:
        device = estate.devices[name]
        gateway = replace(estate.gateways[device.gateway_id], timeout_s=float(line["timeout"]))
        return Target(device, gateway, _owned(estate, state, device), estate, state)
    if profile is None:
        raise InvalidInputError(
            "the estate has no such device, and an address needs its profile",
            field="device",
            value=name,
            remedy="`ems devices list` shows the estate's; with HOST:PORT add --profile.",
        )
    found = profile_of(profile, profiles)
    gateway = gateway_at(name, line)
    same = None
    if estate is not None:
        same = next(
            (
                each
                for each in estate.devices.values()
                if each.unit_id == unit
                and estate.gateways[each.gateway_id].address == gateway.address
            ),
            None,
        )
    own_id = f"{gateway.address} unit {unit}" if same is None else same.id
    device = Device(own_id, found.device_class, found, "line", unit, "", None, "")
    if estate is None or same is None:
        return Target(device, gateway, owned_by_service=False)
    return Target(device, gateway, _owned(estate, state, same), estate, state)


def _owned(estate: Estate, state: Path, device: Device) -> bool:
    """Tell whether control commands a device now: it runs, and nobody took the device out."""
    if not control_runs(state) or not (state / STORE_FILE).exists():
        return False
    holds = Holds(estate, open_existing_store(state))
    return device.id not in holds.handed_back(estate_clock(estate, state).now())
