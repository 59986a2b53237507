"""The same bus against servers of other hands: pymodbus's own and modbus_tk."""

from __future__ import annotations

import asyncio
import logging
import time

import modbus_tk.defines
import modbus_tk.modbus_tcp
import pytest
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from drivers.codec import register_image
from drivers.modbus_bus import ModbusFieldBus
from ems.domain.estate import Gateway
from ems.domain.profiles import Cadence, Space
from ems.domain.readings import Quality
from ems.domain.setpoints import Applied

METER = {
    "power_w": -2500.5,
    "voltage_v": 241.25,
    "frequency_hz": 50.0,
    "energy_import_kwh": 4321.5,
    "energy_export_kwh": 12.25,
}
LG = {
    "room_temperature_c": 20.4,
    "compressor_on": 1.0,
    "defrost_on": 0.0,
    "hot_water_on": 1.0,
    "heating_on": 1.0,
    "tank_setpoint_c": 48.0,
    "sg_mode": 2.0,
}
SOFAR = {
    "battery_mode": 0.0,
    "remote_timeout_s": 0.0,
    "remote_timeout_action": 0.0,
    "battery_power_setpoint_w": 0.0,
    "power_w": -4000.0,
    "soc_pct": 63.0,
}


@pytest.mark.filterwarnings("ignore:isSet:DeprecationWarning")
def test_modbus_tk_serves_a_meter_a_heat_pump_and_a_battery(kit, profiles):
    """Bits, both register tables, and all three kinds of write."""
    logging.getLogger("modbus_tk").setLevel(logging.CRITICAL)
    server = modbus_tk.modbus_tcp.TcpServer(port=0, address="127.0.0.1", timeout_in_sec=0.2)
    tables = {
        Space.COIL: modbus_tk.defines.COILS,
        Space.DISCRETE: modbus_tk.defines.DISCRETE_INPUTS,
        Space.HOLDING: modbus_tk.defines.HOLDING_REGISTERS,
        Space.INPUT: modbus_tk.defines.ANALOG_INPUTS,
    }
    devices = []
    for unit_id, make, values in (
        (11, "eastron_sdm120", METER),
        (42, "lg_therma_v", LG),
        (3, "sofar_hyd_g3", SOFAR),
    ):
        slave = server.add_slave(unit_id)
        for space, registers in register_image(profiles[make], values).items():
            for address, value in registers.items():
                slave.add_block(f"{space}{address}", tables[space], address, 1)
                slave.set_values(f"{space}{address}", address, value)
        devices.append(kit.device(profiles[make], unit_id, name=make))
    # modbus_tk answers only within one of its blocks, so groups must be single blocks.
    battery = server.get_slave(3)
    for start, count in ((4484, 2), (4487, 6)):
        for address in range(start, start + count):
            battery.remove_block(f"{Space.HOLDING}{address}")
        battery.add_block(f"group{start}", tables[Space.HOLDING], start, count)
    meter = server.get_slave(11)
    for start, length in ((0, 2), (12, 2), (70, 6)):
        held = []
        for address in range(start, start + length):
            held += meter.get_values(f"{Space.INPUT}{address}", address, 1)
            meter.remove_block(f"{Space.INPUT}{address}")
        meter.add_block(f"value{start}", tables[Space.INPUT], start, length)
        meter.set_values(f"value{start}", start, held)
    server.start()
    while not server._sockets:  # it binds in a thread of its own
        time.sleep(0.01)
    port = server._sockets[0].getsockname()[1]

    async def story():
        bus = ModbusFieldBus(devices, {"gw": Gateway("gw", "127.0.0.1", port, 1.0)})
        readings = await bus.poll(set(Cadence), kit.NOON)
        outcomes = [
            await bus.apply(kit.setpoint("lg_therma_v", "sg_mode", 3.0), kit.NOON),
            await bus.apply(
                kit.setpoint("sofar_hyd_g3", "battery_power_setpoint_w", -1234.0), kit.NOON
            ),
        ]
        await bus.close()
        return readings, outcomes

    try:
        readings, outcomes = asyncio.run(story())
        order = battery.get_values("group4487", 4487, 6)
    finally:
        server.stop()
    for make, values in (("eastron_sdm120", METER), ("lg_therma_v", LG), ("sofar_hyd_g3", SOFAR)):
        found = kit.by_name(readings, make)
        assert {name: found[name].value for name in values} == values
    assert kit.by_name(readings, "lg_therma_v")["operating_state"].value == 1.0
    assert outcomes == [Applied(3.0, written=True), Applied(-1234.0, written=True)]
    assert list(order) == [0, 0, 0xFFFF, 0xFB2E, 0xFFFF, 0xFB2E]


def test_pymodbus_serves_a_battery_and_refuses_an_unknown_unit(kit, profiles):
    sofar = profiles["sofar_hyd_g3"]
    table = register_image(sofar, SOFAR)[Space.HOLDING]
    data = [
        SimData(address, values=[value], datatype=DataType.REGISTERS)
        for address, value in sorted(table.items())
    ]

    async def story():
        server = ModbusTcpServer(SimDevice(3, simdata=data), address=("127.0.0.1", 0))
        await server.serve_forever(background=True)
        port = server.transport.sockets[0].getsockname()[1]
        bus = ModbusFieldBus(
            [kit.device(sofar, 3, name="battery"), kit.device(sofar, 4, name="nobody")],
            {"gw": Gateway("gw", "127.0.0.1", port, 1.0)},
        )
        readings = await bus.poll(set(Cadence), kit.NOON)
        order = kit.setpoint("battery", "battery_power_setpoint_w", 1500.0)
        outcome = await bus.apply(order, kit.NOON)
        release = await bus.release(order, kit.NOON)
        await bus.close()
        await server.shutdown()
        return readings, outcome, release

    readings, outcome, release = asyncio.run(story())
    found = kit.by_name(readings, "battery")
    assert {name: found[name].value for name in SOFAR} == SOFAR
    missing = {reading.quality for reading in kit.by_name(readings, "nobody").values()}
    assert missing == {Quality.NO_ANSWER}
    assert outcome == Applied(1500.0, written=True)
    assert release == Applied(0.0, written=True)


@pytest.fixture(autouse=True)
def _quiet_pymodbus_server():
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL)
