"""SunSpec devices of other hands: images written by hand from the models, on modbus_tk's server.

Nothing of ours encodes them: `lay` puts words one behind another, and the offsets are those of
the published models, counted from a model's id.
"""

from __future__ import annotations

import asyncio
import logging
import struct
import time
from contextlib import contextmanager

import modbus_tk.defines
import modbus_tk.modbus_tcp
import pytest
import structlog

from drivers.modbus_bus import ModbusFieldBus
from ems.domain.estate import Gateway
from ems.domain.profiles import Cadence
from ems.domain.readings import Quality
from ems.domain.setpoints import Applied, OutOfBounds, Rejected

SUNS = [0x5375, 0x6E53]
END = [0xFFFF, 0]
ALL = set(Cadence)
UNIT = 126


def words(text, size):
    raw = text.encode().ljust(2 * size, b"\0")
    return list(struct.unpack(f">{size}H", raw))


def floats(number):
    return list(struct.unpack(">HH", struct.pack(">f", number)))


def signed(number):
    return number & 0xFFFF


def model(model_id, length, **at):
    """One model; ``o14=[…]`` lays words at offset 14. What is not given is not implemented."""
    body = [model_id, length] + [0xFFFF] * length
    for offset, laid in at.items():
        start = int(offset[1:])
        body[start : start + len(laid)] = laid
    return body


def common(maker="Acme", name="One"):
    return model(1, 66, o2=words(maker, 16), o18=words(name, 16), o50=words("S-1", 16))


INT_103 = model(
    103,
    50,
    o14=[876, 1],  # 8,760 W
    o16=[4998, signed(-2)],
    o24=[0x00BC, 0x614E, 0],  # 12,345,678 Wh
    o38=[4],
)
FLOAT_113 = model(113, 60, o22=floats(3210.5), o24=floats(50.01), o32=floats(7654321.0), o48=[5])
METER_203 = model(
    203,
    105,
    o7=[2312], o15=[signed(-1)],
    o16=[5001, signed(-2)],
    o18=[signed(-123), 40, signed(-100), signed(-63), 1],
    o38=[0, 500], o46=[0x0001, 0x2345], o54=[2],
)  # fmt: skip
BATTERY_802 = model(
    802, 62, o3=[1250, 5200, 4800], o11=[634], o13=[97], o47=[signed(-230)],
    o53=[1, 0], o56=[signed(-1)], o58=[0], o63=[1],
)  # fmt: skip
STORAGE_124 = model(
    124, 24, o2=[5000], o5=[0], o12=[10000, 10000, 0, 0, 0, 1], o18=[0], o25=[signed(-2)]
)
LIMITS_123 = model(123, 24, o5=[1000, 0, 0, 0, 0], o23=[signed(-1), 0, 0])


def modules_160():
    """Two strings of panels, then a battery's two directions, as hybrid inverters label them."""
    laid = model(160, 8 + 4 * 20, o2=[0, 0, signed(-1), 0], o6=[0, 0, 4, 0])
    for index, (label, power, energy) in enumerate(
        [("MPPT 1", 9000, 1), ("MPPT 2", 8000, 2), ("StCha 3", 12345, 65536), ("StDisCha 4", 0, 9)]
    ):
        start = 10 + 20 * index
        laid[start + 1 : start + 9] = words(label, 8)
        laid[start + 11] = power
        laid[start + 12 : start + 14] = [energy >> 16, energy & 0xFFFF]
    return laid


def ports_714():
    """Two batteries and a string of panels; powers in tens of watts, discharge positive."""
    laid = model(714, 18 + 3 * 25, o4=[3], o15=[0, 0, 1, 3])
    for index, (kind, power, given, taken) in enumerate(
        [(1, -50, 12, 20), (0, 300, 99, 0), (1, -25, 8, 10)]
    ):
        start = 20 + 25 * index
        laid[start] = kind
        laid[start + 12] = signed(power)
        laid[start + 13 : start + 21] = [0, 0, 0, given, 0, 0, 0, taken]
    return laid


DER_7XX = [
    *model(701, 153, o4=[3], o10=[signed(-750)], o17=[0, 49990], o19=[0, 0, 0, 500],
           o115=[signed(-3), 0], o120=[3]),
    *model(702, 50, o34=[6000, 7000], o45=[0]),
    *model(704, 65, o14=[0, 800, 0, 0, 0, 0], o22=[0, 0, 0, 0], o31=[0, 0], o53=[0, signed(-1), 1]),
    *model(713, 7, o2=[130, 100, 555, 990], o7=[2, signed(-1)]),
    *ports_714(),
]  # fmt: skip


def lay(base, *models):
    """Return address → register of a device whose marker stands at ``base``."""
    laid = [*SUNS, *(word for each in models for word in each), *END]
    return dict(enumerate(laid, base))


@contextmanager
def served(image):
    """Serve one unit's holding registers; yields its gateway and a way to look and change."""
    logging.getLogger("modbus_tk").setLevel(logging.CRITICAL)
    server = modbus_tk.modbus_tcp.TcpServer(port=0, address="127.0.0.1", timeout_in_sec=0.02)
    slave = server.add_slave(UNIT)

    def load(registers):
        slave.remove_all_blocks()
        start = min(registers)
        slave.add_block("all", modbus_tk.defines.HOLDING_REGISTERS, start, len(registers))
        slave.set_values("all", start, [registers[a] for a in sorted(registers)])

    load(image)
    server.start()
    try:
        while not server._sockets:  # it binds in a thread of its own
            time.sleep(0.01)
        port = server._sock.getsockname()[1]
        gateway = {"gw": Gateway("gw", "127.0.0.1", port, timeout_s=60.0)}
        yield gateway, load, lambda address, count=1: slave.get_values("all", address, count)
    finally:
        server.stop()


@pytest.fixture
def polled(kit, profiles):
    """Poll a device with one of the SunSpec profiles; return its readings by point."""

    def poll(profile, image):
        async def story(gateway):
            bus = ModbusFieldBus([kit.device(profiles[profile], UNIT, name="d")], gateway)
            readings = await bus.poll(ALL, kit.NOON)
            await bus.close()
            return kit.by_name(readings, "d")

        with served(image) as (gateway, _, _):
            return asyncio.run(story(gateway))

    return poll


@pytest.mark.filterwarnings("ignore:isSet:DeprecationWarning")
class TestReading:
    @pytest.mark.parametrize("base", [40000, 50000, 0])
    def test_an_inverter_is_found_at_each_base(self, polled, base):
        found = polled("sunspec_inverter", lay(base, common(), INT_103))
        assert found["power_w"].value == -8760.0
        assert found["frequency_hz"].value == 49.98
        assert found["energy_generated_kwh"].value == 12345.678
        assert found["inverter_state"].value == 4
        assert "power_limit_pct" not in found  # it has no model 123

    def test_floats_behind_other_models(self, polled):
        strange = model(64999, 7)  # a maker's own model is walked over
        found = polled("sunspec_inverter", lay(40000, common(), strange, FLOAT_113, LIMITS_123))
        assert found["power_w"].value == -3210.5
        assert found["energy_generated_kwh"].value == 7654.321
        assert found["inverter_state"].value == 5
        assert found["power_limit_pct"].value == 100.0

    def test_a_meter_and_one_that_counts_the_other_way_round(self, polled):
        found = polled("sunspec_meter", lay(40000, common(), METER_203))
        assert found["power_w"].value == -1230.0
        assert [found[f"power_l{n}_w"].value for n in (1, 2, 3)] == [400.0, -1000.0, -630.0]
        assert found["voltage_v"].value == 231.2
        assert found["energy_import_kwh"].value == 7456.5
        assert found["energy_export_kwh"].value == 50.0
        behind_inverter = lay(40000, common("SolarEdge"), INT_103, common("Meter"), METER_203)
        found = polled("sunspec_meter", behind_inverter)
        assert found["power_w"].value == 1230.0
        assert found["energy_import_kwh"].value == 7456.5

    def test_what_is_not_implemented_has_no_value(self, polled):
        silent = model(103, 50, o14=[0x8000, 0], o17=[0], o24=[0, 0, 0])
        found = polled("sunspec_inverter", lay(0, common(), silent))
        for point in ("power_w", "frequency_hz", "energy_generated_kwh", "inverter_state"):
            assert found[point].quality is Quality.SENTINEL, point
        no_factor = model(103, 50, o14=[100, 0x8000])
        found = polled("sunspec_inverter", lay(0, common(), no_factor))
        assert found["power_w"].quality is Quality.SENTINEL

    def test_a_battery_by_its_modules(self, polled):
        image = lay(40000, common(), FLOAT_113, BATTERY_802, STORAGE_124, modules_160())
        found = polled("sunspec_battery", image)
        assert found["power_w"].value == 1234.5  # charging, by module 3
        assert found["energy_charged_kwh"].value == 65.536
        assert found["soc_pct"].value == 63.4
        assert found["soh_pct"].value == 97.0
        assert found["capacity_kwh"].value == 12.5
        assert found["charge_power_max_w"].value == 5200.0
        assert found["battery_power_setpoint_w"].quality is Quality.SENTINEL  # nothing is asked

    def test_a_battery_by_its_ports(self, polled):
        found = polled("sunspec_battery", lay(50000, common(), DER_7XX))
        assert found["power_w"].value == 750.0  # both batteries, not the panels
        assert found["energy_charged_kwh"].value == 30.0
        assert found["energy_discharged_kwh"].value == 20.0
        assert found["soc_pct"].value == 55.5
        assert found["capacity_kwh"].value == 13.0

    def test_the_new_models_of_inverters(self, polled):
        found = polled("sunspec_inverter", lay(40000, common(), DER_7XX))
        assert found["power_w"].value == 750.0  # taking power
        assert found["frequency_hz"].value == 49.99
        assert found["inverter_state"].value == 4  # running: 3 in model 701
        assert found["energy_generated_kwh"].value == 500.0
        assert found["power_limit_pct"].value == 80.0

    def test_what_is_no_sunspec_device_gives_nothing(self, polled):
        with structlog.testing.capture_logs() as logs:
            found = polled("sunspec_meter", dict.fromkeys(range(40000, 40100), 7))
        assert {reading.quality for reading in found.values()} == {Quality.NO_ANSWER}
        assert "marker SunS" in logs[0]["detail"]


@pytest.mark.filterwarnings("ignore:isSet:DeprecationWarning")
class TestCommanding:
    @pytest.fixture
    def commanded(self, kit, profiles):
        """Apply values in turn; return the outcomes and what stands in some registers."""

        def command(profile, image, values, look):
            async def story(gateway):
                bus = ModbusFieldBus([kit.device(profiles[profile], UNIT, name="d")], gateway)
                outcomes = [
                    await bus.apply(kit.setpoint("d", point, value), kit.NOON)
                    for point, value in values
                ]
                await bus.close()
                return outcomes

            with served(image) as (gateway, _, at):
                return asyncio.run(story(gateway)), [list(at(*place)) for place in look]

        return command

    def test_model_124_is_held_to_one_power(self, commanded):
        image = lay(40000, common(), STORAGE_124)
        base = 40000 + 2 + 68
        outcomes, (mode, rates, lapse) = commanded(
            "sunspec_battery",
            image,
            [("battery_power_setpoint_w", -1250.0)],
            [(base + 5,), (base + 12, 2), (base + 15,)],
        )
        assert isinstance(outcomes[0], Applied) and outcomes[0].read_back == -1250.0
        assert mode == [3] and lapse == [300]
        assert rates == [2500, signed(-2500)]  # discharge 25 %, charge -25 %

    def test_a_battery_is_not_asked_for_more_than_it_states(self, commanded):
        weak = STORAGE_124.copy()
        weak[2] = 3000
        outcomes, _ = commanded(
            "sunspec_battery", lay(0, common(), weak), [("battery_power_setpoint_w", 4000.0)], []
        )
        assert outcomes == [OutOfBounds(-3000.0, 3000.0)]

    def test_model_704_is_told_watts_in_one_message(self, commanded):
        base = 50000 + 2 + 68 + 155 + 52
        outcomes, (words_, lapse) = commanded(
            "sunspec_battery",
            lay(50000, common(), DER_7XX),
            [("battery_power_setpoint_w", 1500.0)],
            [(base + 22, 4), (base + 31, 2)],
        )
        assert isinstance(outcomes[0], Applied)
        assert words_ == [1, 1, 0xFFFF, signed(-150)]  # enabled, watts, absorbing 150 x 10 W
        assert lapse == [0, 300]

    def test_an_inverter_is_limited_by_its_own_model(self, commanded):
        image = lay(40000, common(), INT_103, LIMITS_123)
        base = 40000 + 2 + 68 + 52
        outcomes, (limit, lapse, is_on) = commanded(
            "sunspec_inverter",
            image,
            [("power_limit_pct", 60.0), ("power_limit_on", 1.0)],
            [(base + 5,), (base + 7,), (base + 9,)],
        )
        assert all(isinstance(outcome, Applied) for outcome in outcomes)
        assert (limit, lapse, is_on) == ([600], [300], [1])

    def test_a_device_without_controls_refuses(self, commanded):
        outcomes, _ = commanded(
            "sunspec_inverter", lay(0, common(), INT_103), [("power_limit_pct", 60.0)], []
        )
        assert isinstance(outcomes[0], Rejected)


@pytest.mark.filterwarnings("ignore:isSet:DeprecationWarning")
def test_another_layout_is_noticed_before_a_value_is_believed(kit, profiles):
    """After new firmware the models stand elsewhere: the next poll walks anew, none is wrong."""
    first = lay(40000, common(), INT_103)
    second = lay(40000, common(), model(64001, 3), FLOAT_113)

    async def story(gateway, load):
        bus = ModbusFieldBus([kit.device(profiles["sunspec_inverter"], UNIT, name="d")], gateway)
        seen = [kit.by_name(await bus.poll(ALL, kit.NOON), "d")["power_w"]]
        load(second)
        seen.append(kit.by_name(await bus.poll(ALL, kit.NOON), "d")["power_w"])
        await bus.close()
        return seen

    with served(first) as (gateway, load, _), structlog.testing.capture_logs() as logs:
        before, after = asyncio.run(story(gateway, load))
    assert before.value == -8760.0
    assert after.value == -3210.5 and after.quality is Quality.GOOD
    assert [log["event"] for log in logs if log["event"] != "register_absent"] == [
        "device_discovered",
        "device_changed",
        "device_discovered",
    ]
