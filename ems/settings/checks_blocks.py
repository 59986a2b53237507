"""What blocks, homes and devices must agree on."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ems.domain.comfort import FLOOR_C
from ems.domain.points import DeviceClass
from ems.domain.profiles import Confidence, DeviceProfile
from ems.settings.document import path_text
from ems.settings.nodes import Node, section_names
from ems.settings.profiles import profile_named

_CLASS_WORDS = {
    DeviceClass.METER: "a meter",
    DeviceClass.HEAT_PUMP: "a heat pump",
    DeviceClass.ROOM_SENSOR: "a room sensor",
    DeviceClass.INVERTER: "an inverter",
    DeviceClass.BATTERY: "a battery",
    DeviceClass.HEAT_METER: "a heat meter",
}

_BATTERY_POINT = "battery_power_setpoint_w"

_NEEDED = {
    DeviceClass.METER: ("power_w", "energy_import_kwh"),
    DeviceClass.HEAT_PUMP: (),
    DeviceClass.ROOM_SENSOR: ("temperature_c",),
    DeviceClass.INVERTER: ("power_w",),
    DeviceClass.BATTERY: ("power_w", "soc_pct", _BATTERY_POINT),
    DeviceClass.HEAT_METER: (),
}
"""Points without which a device of a class is of no use."""

_HEAT = (
    {"heat_w"},
    {"heat_kwh"},
    {"flow_rate_lpm", "flow_temperature_c", "return_temperature_c"},
)
"""Points of a heat meter that give heat: any of these."""

_ACTUATOR_POINTS = {"room_setpoint": "room_setpoint_c", "sg_ready": "sg_mode"}


@dataclass(slots=True)
class _Register:
    """What has been seen so far, and where."""

    names: Mapping[str, set[str] | None]
    profiles: Mapping[str, DeviceProfile] | None
    units: dict[tuple[str, int], tuple[str, str]] = field(default_factory=dict)
    """(gateway, unit id) → (device id, block)."""
    confirmed: frozenset[str] = frozenset()
    """Uncertain points, as ``profile.point``, that may be written."""
    devices: dict[str, Node] = field(default_factory=dict)
    homes: dict[str, tuple[Node, str]] = field(default_factory=dict)


def check_blocks(root: Node, profiles: Mapping[str, DeviceProfile] | None) -> None:
    """Check blocks and homes; ``profiles`` is ``None`` where they could not be read."""
    sections = ("gateways", "tariffs", "comfort_schedules", "heat_pumps")
    register = _Register({name: section_names(root[name]) for name in sections}, profiles)
    register.confirmed = _confirmed(root["confirmed_writes"], profiles)
    for _, pump in root["heat_pumps"].entries():
        _heat_pump(pump, register)
    blocks = root["blocks"]
    if blocks.value == []:
        blocks.refuse("the estate has no block", "Add at least one block.", show=False)
    seen: dict[str, Node] = {}
    for block in blocks.items():
        name = block["id"].text()
        if name is not None and name in seen:
            problem = f"{path_text(seen[name].path)} has the same id"
            block["id"].refuse(problem, "Give each block its own id.")
        elif name is not None:
            seen[name] = block
        _limits(block["limits"])
        _battery(block["battery"])
        _supply(block, register)
        _block_devices(block, register)
        if block["battery"].exists:
            _steered_battery(block["battery"], register)
        _homes(root, block, register)


def _refer(node: Node, section: str, register: _Register) -> None:
    """Refuse a name that its section does not have."""
    name, known = node.text(), register.names[section]
    if name is None or known is None or name in known:
        return
    near = difflib.get_close_matches(name, sorted(known), n=1)
    listed = f"Use one of: {', '.join(sorted(known))}." if known else f"Define it in {section}."
    remedy = f"Did you mean {near[0]}? {listed}" if near else listed
    node.refuse(f"{section} has no entry of this name", remedy)


def _profile(node: Node, expected: DeviceClass, register: _Register) -> DeviceProfile | None:
    """Refuse a profile that is missing, of another class, or lacks needed points."""
    name, profiles = node.text(), register.profiles
    if name is None or profiles is None:
        return None
    profile = profile_named(profiles, name, expected)
    if profile is None:
        fitting = sorted(id_ for id_, one in profiles.items() if one.device_class is expected)
        remedy = f"Profiles of {_CLASS_WORDS[expected]}: {', '.join(fitting) or 'none'}."
        node.refuse("there is no device profile of this name", remedy)
        return None
    if profile.device_class is not expected:
        problem = f"this profile is of {_CLASS_WORDS[profile.device_class]}"
        node.refuse(problem, f"Name the profile of {_CLASS_WORDS[expected]}.")
        return None
    known = {*profile.points, *(profile.encoded or {})}
    lacking = [point for point in _NEEDED[expected] if point not in known]
    if expected is DeviceClass.HEAT_METER and not any(enough <= known for enough in _HEAT):
        node.refuse(
            f"{profile.id} reports neither heat nor both flow and temperatures",
            "Use a heat meter that reports heat_w, heat_kwh, or flow and both temperatures.",
        )
    if lacking:
        problem = f"this profile has no {', '.join(lacking)}"
        node.refuse(problem, "Use a device that reports it, or add it to the profile.")
    return profile


def _heat_pump(pump: Node, register: _Register) -> None:
    profile = _profile(pump["profile"], DeviceClass.HEAT_PUMP, register)
    point = _ACTUATOR_POINTS.get(pump["actuator"].text() or "")
    if profile is None or point is None:
        return
    mapped = profile.points.get(point)
    if mapped is None or mapped.write is None:
        offered = [
            actuator
            for actuator, name in _ACTUATOR_POINTS.items()
            if (other := profile.points.get(name)) is not None and other.write is not None
        ]
        remedy = f"It can be steered by: {', '.join(offered) or 'nothing'}."
        pump["actuator"].refuse(f"{profile.id} cannot be steered in this way", remedy)
    elif mapped.confidence is Confidence.C and f"{profile.id}.{point}" not in register.confirmed:
        problem = f"the address of {point} in {profile.id} is uncertain (confidence C)"
        remedy = f"Confirm it on the device, then list {profile.id}.{point} in confirmed_writes."
        pump["actuator"].refuse(problem, remedy)


def _confirmed(listed: Node, profiles: Mapping[str, DeviceProfile] | None) -> frozenset[str]:
    """Refuse what is no writable point of a profile; return what is confirmed."""
    found: set[str] = set()
    for entry in listed.items():
        text = entry.text()
        if text is None:
            continue
        found.add(text)
        profile, _, point = text.partition(".")
        known = None if profiles is None else profiles.get(profile)
        mapped = None if known is None else known.points.get(point)
        if profiles is not None and (mapped is None or mapped.write is None):
            remedy = "Write it as profile.point, e.g. lg_therma_v.sg_mode."
            entry.refuse("this is no writable point of a profile", remedy)
    return frozenset(found)


def _limits(limits: Node) -> None:
    physical = limits["physical_import_kw"].number()
    contracted = limits["contracted_import_kw"].number()
    if physical is not None and contracted is not None and contracted > physical:
        problem = f"the contracted limit is above the physical one ({physical:g} kW)"
        remedy = "Let contracted_import_kw be at most physical_import_kw."
        limits["contracted_import_kw"].refuse(problem, remedy)


def _battery(battery: Node) -> None:
    low, high = battery["min_soc_pct"].number(), battery["max_soc_pct"].number()
    if low is not None and high is not None and low >= high:
        problem = f"the reserve is not below the fullest charge ({high:g} %)"
        battery["min_soc_pct"].refuse(problem, "Let min_soc_pct be below max_soc_pct.")


def _supply(block: Node, register: _Register) -> None:
    supply, meter, landlord = block["supply"].text(), block["meter"], block["landlord_meter"]
    for account in (meter, landlord):
        _account(account, register)
    payer = meter["payer"].text()
    if supply == "boundary":
        if payer == "nobody":
            problem = "nobody pays at the meter of a block with boundary supply"
            meter["payer"].refuse(problem, "Say payer: landlord, and name the tariff.")
        if landlord.exists:
            problem = "with boundary supply the block meter already counts the landlord's share"
            remedy = "Take landlord_meter out, or say supply: individual."
            landlord.refuse(problem, remedy, show=False)
    if supply == "individual":
        if payer == "landlord":
            problem = "with individual supply the homes pay their own suppliers"
            remedy = "Say payer: nobody here; the landlord pays at landlord_meter."
            meter["payer"].refuse(problem, remedy)
        if not landlord.exists:
            problem = "with individual supply the landlord's own meter is missing"
            remedy = "Add landlord_meter: PV, battery and communal load are counted there."
            landlord.refuse(problem, remedy)
        if landlord["payer"].text() == "nobody":
            landlord["payer"].refuse("nobody pays the landlord's supply", "Say payer: landlord.")


def _account(meter: Node, register: _Register) -> None:
    _refer(meter["tariff"], "tariffs", register)
    payer = meter["payer"].text()
    if payer == "landlord" and not meter["tariff"].exists:
        meter["tariff"].refuse("somebody pays here but there is no tariff", "Name the tariff.")
    if payer == "nobody" and meter["tariff"].exists:
        remedy = "Take the tariff out, or say who pays."
        meter["tariff"].refuse("nobody pays here but there is a tariff", remedy)


def _block_devices(block: Node, register: _Register) -> None:
    _refer(block["gateway"], "gateways", register)
    kinds = (
        ("meter", "meter", DeviceClass.METER),
        ("landlord_meter", "landlord", DeviceClass.METER),
        ("pv", "pv", DeviceClass.INVERTER),
        ("battery", "battery", DeviceClass.BATTERY),
        ("heat_meter", "heat", DeviceClass.HEAT_METER),
    )
    for key, suffix, device_class in kinds:
        section = block[key]
        if not section.exists:
            continue
        _profile(section["profile"], device_class, register)
        _refer(section["gateway"], "gateways", register)
        gateway = section["gateway"] if section["gateway"].exists else block["gateway"]
        _device(block, block["id"], suffix, section["unit"], gateway, register)


def _steered_battery(battery: Node, register: _Register) -> None:
    """Refuse a battery that plans cannot steer, or whose addresses nobody has confirmed."""
    name = battery["profile"].text() or ""
    profile = profile_named(register.profiles or {}, name, DeviceClass.BATTERY)
    if profile is None or _BATTERY_POINT not in {*profile.points, *(profile.encoded or {})}:
        return
    if profile.write_rule(_BATTERY_POINT) is None:
        remedy = f"Use a profile whose {_BATTERY_POINT} may be written."
        battery["profile"].refuse("this battery cannot be steered", remedy)
        return
    asked = [f"{profile.id}.{point}" for point in profile.to_confirm(_BATTERY_POINT)]
    open_ones = [point for point in asked if point not in register.confirmed]
    if open_ones:
        problem = f"nobody has confirmed the address of {', '.join(open_ones)}"
        remedy = f"Try it on the device, then list {', '.join(open_ones)} in confirmed_writes."
        battery["profile"].refuse(problem, remedy)


def _device(
    block: Node, owner: Node, suffix: str, unit: Node, gateway: Node, register: _Register
) -> None:
    """Refuse a device id or an address that another device has."""
    name, block_name = owner.text(), block["id"].text() or path_text(block.path)
    if name is None:
        name, device = path_text(owner.path[:-1]), ""
    else:
        device = f"{name}-{suffix}"
        taken = register.devices.get(device)
        if taken is not None and taken.path != owner.path:
            problem = f"the device id {device} is already taken by {path_text(taken.path[:-1])}"
            owner.refuse(problem, "Give blocks and homes ids of their own.")
        register.devices.setdefault(device, owner)
    number, address = unit.number(), gateway.text()
    if number is None or address is None:
        return
    here = (device or f"{name} {suffix}", block_name)
    other = register.units.setdefault((address, int(number)), here)
    if other != here:
        across = f" in block {other[1]}" if other[1] != block_name else ""
        problem = f"{other[0]}{across} already has this unit id on {address}"
        remedy = "Give each device its own unit id, as in the wiring list."
        unit.refuse(problem, remedy)


def _homes(root: Node, block: Node, register: _Register) -> None:
    every, homes = block["every_dwelling"], block["dwellings"]
    _refer(every["tariff"], "tariffs", register)
    _profile(every["meter_profile"], DeviceClass.METER, register)
    _profile(every["room_sensor_profile"], DeviceClass.ROOM_SENSOR, register)
    _profile(every["heat_pump_meter_profile"], DeviceClass.METER, register)
    _profile(every["heat_meter_profile"], DeviceClass.HEAT_METER, register)
    if homes.value == []:
        homes.refuse("the block has no dwellings", "Add at least one home.", show=False)
    for home in homes.items():
        _home_identity(block, home, register)
        for key, section in (
            ("comfort", "comfort_schedules"),
            ("heat_pump", "heat_pumps"),
            ("tariff", "tariffs"),
            ("gateway", "gateways"),
        ):
            _refer(home[key], section, register)
        _home_devices(root, block, home, register)
        _warmth(home, root["comfort_schedules"])


def _home_identity(block: Node, home: Node, register: _Register) -> None:
    name, block_name = home["id"].text(), block["id"].text() or path_text(block.path)
    if name is None:
        return
    first, first_block = register.homes.setdefault(name, (home, block_name))
    if first.path == home.path:
        return
    where = path_text(first.path)
    if first.path[:2] != home.path[:2]:
        problem = f"this home is also in block {first_block} ({where}): the blocks overlap"
        home["id"].refuse(problem, "Leave the home in the block whose feeder serves it.")
    else:
        home["id"].refuse(f"{where} has the same id", "Give each home its own id.")


def _home_devices(root: Node, block: Node, home: Node, register: _Register) -> None:
    units, every = home["units"], block["every_dwelling"]
    gateway = home["gateway"] if home["gateway"].exists else block["gateway"]
    first = register.homes.get(home["id"].text() or "")
    if first is None or first[0].path == home.path:
        for key, suffix in (
            ("meter", "meter"),
            ("heat_pump", "hp"),
            ("heat_pump_meter", "hpm"),
            ("heat_meter", "heat"),
            ("room_sensor", "room"),
        ):
            _device(block, home["id"], suffix, units[key], gateway, register)
    meter = units["heat_pump_meter"]
    pump = root["heat_pumps"][home["heat_pump"].text() or ""]
    profile = (register.profiles or {}).get(pump["profile"].text() or "")
    if profile is not None and "power_w" not in profile.points and not meter.exists:
        problem = f"{profile.id} reports no electric power and the heat pump has no meter"
        remedy = "Fit a meter and give its unit id in units.heat_pump_meter."
        meter.refuse(problem, remedy)
    for key, what in (("heat_pump_meter", "heat pump"), ("heat_meter", "home")):
        fitted, named = units[key], f"{key}_profile"
        if fitted.exists and every.exists and not every[named].exists:
            words = "meter" if key == "heat_pump_meter" else "heat meter"
            problem = f"the {what} has a {words} of which no profile is named"
            fitted.refuse(problem, f"Name it in {path_text((*every.path, named))}.")


def _warmth(home: Node, schedules: Node) -> None:
    """Refuse floors below the common one, and schedules that cannot be kept above a floor."""
    floor_at, vulnerable = home["floor_c"], home["vulnerable"].truth() is True
    if vulnerable and not floor_at.exists:
        problem = "a home marked vulnerable states no floor"
        floor_at.refuse(problem, f"Give its floor, above {FLOOR_C:g} °C.")
        return
    floor = floor_at.number(default=FLOOR_C)
    if floor is None:
        return
    if floor < FLOOR_C:
        remedy = f"Give {FLOOR_C:g} °C or more; a resident may choose less on the page."
        floor_at.refuse("the comfort floor is lower than allowed", remedy)
        return
    if vulnerable and floor == FLOOR_C:
        floor_at.refuse("the marker raises no floor", f"Give a floor above {FLOOR_C:g} °C.")
    name = home["comfort"].text()
    if name is None:
        return
    temperatures = list(_temperatures(schedules[name]))
    ceiling_k = schedules[name]["ceiling_k"].number()
    place = floor_at if floor_at.exists else home["comfort"]
    if not temperatures or ceiling_k is None:
        return
    lowest = min(temperatures)
    if floor > lowest + ceiling_k:
        problem = f"the floor of {floor:g} °C is above the ceiling of {lowest + ceiling_k:g} °C"
        place.refuse(f"{problem} that {name} has at its lowest", "Choose a warmer schedule.")
    elif lowest < floor:
        problem = f"{name} asks for {lowest:g} °C, below the home's floor of {floor:g} °C"
        home["comfort"].refuse(problem, "Choose a schedule that stays at or above the floor.")


def _temperatures(schedule: Node) -> Iterator[float]:
    for day in ("weekday", "weekend"):
        for period in schedule[day].items():
            value = period["temperature_c"].number()
            if value is not None:
                yield value
