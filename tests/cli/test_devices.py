"""Commissioning at a desk: every profile is served as a device and met by the commands.

One process serves them all in a thread; the commands run as a person would call them.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import tempfile
import threading
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from drivers.codec import codecs
from ems.cli import main
from ems.domain.estate import Gateway
from ems.domain.points import POINTS
from ems.domain.profiles import Confidence, Space, Transport
from ems.domain.readings import Quality
from ems.field.rehearsal import rehearse
from ems.service.runtime import only_one
from ems.settings.profiles import load_profiles

ROOT = Path(__file__).parents[2]
FOLDER = tempfile.TemporaryDirectory()
DEVICES = Path(FOLDER.name)
"""The delivered profiles without their pauses, which simulated devices do not need."""

for path in (ROOT / "config" / "devices").glob("*.yaml"):
    document = yaml.safe_load(path.read_text("utf-8"))
    for pause in ("after_connect_s", "between_frames_s"):
        document.pop(pause, None)
    (DEVICES / path.name).write_text(yaml.safe_dump(document), encoding="utf-8")
PROFILES = load_profiles(DEVICES)
UNIT = 7
PATIENCE_S = 60.0
PATIENCE = "60"


class Desk:
    """Simulated devices by profile, each on a port of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._servers = {}

    def _do(self, call):
        return asyncio.run_coroutine_threadsafe(call, self._loop).result(60)

    def address(self, profile):
        if profile.id not in self._servers:
            server = rehearse(profile, Gateway("desk", "127.0.0.1", 0), UNIT)
            self._do(server.open())
            self._servers[profile.id] = server
        return f"127.0.0.1:{self._servers[profile.id].port}"

    def close(self):
        for server in self._servers.values():
            self._do(server.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture(scope="module")
def desk():
    made = Desk()
    yield made
    made.close()


def ems(*words, status=0, **more):
    result = CliRunner().invoke(main, ["devices", *map(str, words)], prog_name="ems", **more)
    assert result.exit_code == status, result.output
    return result


def said(*words, **more):
    return json.loads(ems(*words, "--json", **more).stdout)


def at(desk, profile):
    directory = ("--profiles", DEVICES)
    return desk.address(profile), "--unit", UNIT, "--profile", profile.id, *directory, *WAIT


WAIT = ("--timeout", PATIENCE, "--config", "nowhere.yaml")


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_every_profile_can_be_rehearsed(desk, name):
    """Found by a probe, read with good values, and written where it may be."""
    profile = PROFILES[name]
    address = desk.address(profile)
    [unit] = said(
        "probe", address, "--units", UNIT, "--profile", name, "--timeout", PATIENCE,
        "--profiles", DEVICES,
    )  # fmt: skip
    assert unit["unit"] == UNIT
    assert [match["profile"] for match in unit["matches"]] == [name]
    assert unit["matches"][0]["warning"] == ""
    rows = {row["point"]: row for row in said("read", *at(desk, profile))}
    readable = {n for n, point in profile.points.items() if not point.write_only}
    assert set(rows) == readable
    for point, row in rows.items():
        assert row["quality"] == "good", (point, row)
        canonical = POINTS[profile.device_class][point]
        assert canonical.low <= row["value"] <= canonical.high
    single = {group for groups in profile.write_groups for group in groups}
    for point, mapped in profile.points.items():
        rule = mapped.write
        if rule is None or mapped.write_only or point in single or rule.high > 1e6:
            continue
        sure = ("--confirm-uncertain",) if mapped.confidence is Confidence.C else ()
        wanted = rule.low if rows[point]["value"] != rule.low else rule.high
        told = said("write", address, point, wanted, "--yes", *sure, *at(desk, profile)[1:])
        assert told["outcome"] == "Applied", (point, told)
        [row] = said("read", *at(desk, profile), "--point", point)
        assert row["value"] == pytest.approx(wanted, abs=rule.tolerance + 1e-6)
        break  # one is enough: the rest of writing is the drivers' test


def test_the_command_serves_a_profile_until_it_is_told_to_end():
    """As an installer starts it: a process of its own, that says where it answers."""
    command = [sys.executable, "-m", "ems.cli", "field", "--device", "sofar_hyd_g3"]
    with subprocess.Popen(
        [*command, "--port", "0", "--unit", "3"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as served:
        try:
            assert served.stdout is not None
            said_so = served.stdout.readline()
            address = re.search(r"answers on (\S+:\d+)", said_so)
            assert address, said_so
            where = (address[1], "--unit", 3, "--profile", "sofar_hyd_g3", "--profiles", DEVICES)
            rows = said("read", *where, *WAIT)
            assert {row["quality"] for row in rows} == {"good"}
        finally:
            served.terminate()
        assert served.wait(PATIENCE_S) == 0


def test_mbpoll_reads_what_the_command_reads(desk):
    """A client of another hand agrees on floats, whole numbers and signs."""
    for name, point in (
        ("eastron_sdm120", "voltage_v"),
        ("sunspec_battery", "soh_pct"),
        ("xy_md02", "temperature_c"),
    ):
        profile = PROFILES[name]
        mapped = profile.points[point]
        width = mapped.data_type.registers
        table = {Space.INPUT: "3:hex", Space.HOLDING: "4:hex"}[mapped.space]
        host, port = desk.address(profile).split(":")
        seen = subprocess.run(
            ["mbpoll", "-m", "tcp", "-0", "-1", "-q", "-o", "10", "-p", port, "-a", str(UNIT),
             "-t", table, "-r", str(mapped.address), "-c", str(width), host],
            capture_output=True, text=True, timeout=120, check=True,
        ).stdout  # fmt: skip
        words = [int(line.split()[1], 16) for line in seen.splitlines() if line.startswith("[")]
        factor = mapped.served_scale_factor & 0xFFFF
        value, quality = codecs(profile)[point].decode(words, factor)
        assert quality is Quality.GOOD
        [row] = said("read", *at(desk, profile), "--point", point)
        assert row["value"] == pytest.approx(value, abs=5.0)  # it moves slowly


def test_a_meter_with_swapped_words_is_told_with_its_remedy(desk, tmp_path):
    """The profile says high word first; the device answers the other way round."""
    right = yaml.safe_load((ROOT / "config/devices/eastron_sdm630.yaml").read_text("utf-8"))
    right["id"], right["word_order"] = "turned", "low_first"
    (tmp_path / "turned.yaml").write_text(yaml.safe_dump(right), encoding="utf-8")
    device = load_profiles(tmp_path)["turned"]
    [unit] = said(
        "probe", desk.address(device), "--units", UNIT, "--timeout", PATIENCE,
        "--profile", ROOT / "config/devices/eastron_sdm630.yaml",
    )  # fmt: skip
    [match] = unit["matches"]
    assert "words" in match["warning"] and "word_order" in match["warning"]


def test_probing_tells_makes_apart(desk):
    """Of all profiles the right one is named first, and unit ids without a device are left out."""
    for name in ("sunspec_meter", "eastron_sdm120"):
        found = said(
            "probe", desk.address(PROFILES[name]), "--units", f"{UNIT - 1}-{UNIT + 1}",
            "--profiles", DEVICES, "--timeout", PATIENCE,
        )  # fmt: skip
        assert [unit["unit"] for unit in found] == [UNIT]
        best = found[0]["matches"][0]["score"]
        assert name in [m["profile"] for m in found[0]["matches"] if m["score"] == best]


def test_writes_are_guarded(desk):
    sofar = PROFILES["sofar_hyd_g3"]
    where = at(desk, sofar)
    result = ems("write", where[0], "battery_mode", "9", "--yes", *where[1:], status=2)
    assert "outside the bounds" in result.output
    result = ems("write", where[0], "soc_pct", "50", "--yes", *where[1:], status=2)
    assert "no such point to write" in result.output
    result = ems("write", where[0], "battery_mode", "1", *where[1:], status=1, input="n\n")
    assert "Write it?" in result.output
    [row] = said("read", *where, "--point", "battery_mode")
    assert row["value"] != 1
    uncertain = [
        (profile, point)
        for profile in PROFILES.values()
        for point, mapped in profile.points.items()
        if mapped.write is not None and mapped.confidence is Confidence.C
    ]
    for profile, point in uncertain:
        where = at(desk, profile)
        value = profile.points[point].write.low
        words = ("write", where[0], point, value, "--yes", *where[1:])
        result = ems(*words, status=2)
        assert "uncertain" in result.output


def test_what_the_service_commands_is_left_to_it(tmp_path):
    """While control runs on the estate, a write by hand is refused until the device is released."""
    from ems.demo.start import anchor_clock, require_demonstration
    from ems.settings import load_estate
    from ems.store import open_store

    config = ROOT / "config" / "demo" / "estate.yaml"
    estate = load_estate(config)
    state = tmp_path / "state"
    state.mkdir()
    anchor_clock(state, require_demonstration(estate), 1.0)
    open_store(state / "store.sqlite").close()
    here = ("--config", config, "--state", state)
    words = ("write", "A-battery", "battery_mode", "0", "--yes", *here)
    with only_one(state, "control"):
        result = ems(*words, status=2)
        assert "ems release" in result.output
        released = CliRunner().invoke(
            main,
            ["release", "--block", "A", "--reason", "on site", "--config", str(config),
             "--state", str(state)],
        )  # fmt: skip
        assert released.exit_code == 0, released.output
        result = ems(*words, "--timeout", "0.5", status=1)  # let through; nobody answers there
        assert "Unreachable" in result.output


def test_writes_by_hand_are_counted_with_those_of_the_service(desk, tmp_path):
    """By the estate's name for the device, and by the address at which it stands."""
    from ems.demo.start import anchor_clock, require_demonstration
    from ems.domain.points import PointId
    from ems.service.writes import WriteLedger, write_counts
    from ems.settings import load_estate
    from ems.store import open_store

    demo = ROOT / "config" / "demo"
    for folder in ("data", "../devices", "../rules"):
        (tmp_path / Path(folder).name).symlink_to((demo / folder).resolve())
    point = PointId("A-07-hp", "room_setpoint_c")
    pump = load_estate(demo / "estate.yaml").devices[point.device_id]
    address = desk.address(PROFILES[pump.profile.id])
    text = (demo / "estate.yaml").read_text("utf-8").replace("../", "")
    text = text.replace(f"heat_pump: {pump.unit_id},", f"heat_pump: {UNIT},", 1)
    text = text.replace("port: 15021", f"port: {address.split(':')[1]}")
    config, state = tmp_path / "estate.yaml", tmp_path / "state"
    config.write_text(text, encoding="utf-8")
    state.mkdir()
    anchor_clock(state, require_demonstration(load_estate(config)), 1.0)
    store = open_store(state / "store.sqlite")
    service = WriteLedger(store)
    service.wrote([point], require_demonstration(load_estate(config)), urgent=False)
    service.keep()
    here = ("--config", config, "--state", state, "--timeout", PATIENCE, "--yes")
    ems("write", point.device_id, point.point, 21, *here)
    by_address = ("--unit", UNIT, "--profile", pump.profile.id, "--profiles", DEVICES)
    ems("write", address, point.point, 23, *by_address, *here)
    count = write_counts(store)[point]
    assert (count.total, count.urgent) == (3, 2)
    assert count.since <= count.last_at < count.since + timedelta(hours=1), "in the estate's time"
    store.close()


def test_a_watch_ends_after_so_many_reads(desk):
    meter = PROFILES["eastron_sdm120"]
    result = ems("watch", *at(desk, meter), "--times", "2", "--every", "0.2", "--point", "power_w")
    assert result.output.count("power_w") == 2


def test_all_faults_of_a_profile_at_once(tmp_path):
    text = (ROOT / "config/devices/eastron_sdm120.yaml").read_text("utf-8")
    text = text.replace("max_block: 80", "max_block: 900").replace("unit: Hz", "unit: kHz")
    file = tmp_path / "eastron_sdm120.yaml"
    file.write_text(text, encoding="utf-8")
    told = said("validate", file, status=2)
    assert not told["well"]
    fields = " ".join(fault["field"] for fault in told["faults"])
    assert "max_block" in fields and "frequency_hz" in fields
    assert all(fault["remedy"] for fault in told["faults"])
    assert "→" in ems("validate", file, status=2).output
    assert "no faults" in ems("validate", ROOT / "config/devices/eastron_sdm120.yaml").output


def test_the_estate_and_a_profile_are_shown(tmp_path):
    config = ROOT / "config" / "demo" / "estate.yaml"
    rows = said("list", "--config", config, "--state", tmp_path)
    assert {row["state"] for row in rows} == {"never read"}
    assert next(row for row in rows if row["id"] == "A-pv")["profile"] == "sunspec_inverter"
    facts = said("show", "A-battery", "--config", config)
    assert facts["id"] == "sofar_hyd_g3" and facts["sources"]
    assert {point["confidence"] for point in facts["points"]} <= {"A", "B", "C"}
    assert "source 1:" in ems("show", "sunspec_battery").output


def test_serial_lines_and_addresses():
    from ems.cli.device_target import gateway_at

    line = {"timeout": 1, "baud": 9600, "parity": "even", "stop_bits": 1, "rtu_over_tcp": False}
    assert gateway_at("/dev/ttyUSB0", line).transport is Transport.RTU
    assert gateway_at("192.0.2.1", line).port == 502
    assert gateway_at("192.0.2.1:1502", line | {"rtu_over_tcp": True}).port == 1502
