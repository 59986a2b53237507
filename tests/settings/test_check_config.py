"""``ems check-config`` tells a person, and a program, the same."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from ems.cli import main
from ems.domain.errors import ConfigurationError
from ems.settings import load_estate

from .conftest import DEMO, Site


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["check-config", *arguments], prog_name="ems")
    return result.exit_code, result.output


def test_a_well_estate_is_summed_up() -> None:
    status, output = run(str(DEMO))
    assert status == 0
    assert "no faults" in output
    assert "40 homes and 155 devices on 2 gateways" in output
    assert "Ash House" in output
    assert "tenant_resale" in output


def test_a_program_reads_the_same_summary() -> None:
    status, output = run(str(DEMO), "--json")
    answer = json.loads(output)
    assert status == 0
    assert answer["well"] is True
    assert answer["faults"] == []
    assert (answer["estate"]["homes"], answer["estate"]["devices"]) == (40, 155)
    assert [block["supply"] for block in answer["estate"]["blocks"]] == ["boundary", "individual"]
    assert answer["estate"]["starts_at"].startswith("2023-12-01T12:00")


def test_faults_are_all_printed_with_place_value_and_remedy(site: Site) -> None:
    site.replace("physical_import_kw: 55", "physical_import_w: 80000")
    site.replace("profile: sunspec_inverter", "profile: sunspecs")
    site.replace("units: {meter: 12,", "units: {meter: 11,")
    status, output = run(str(site.file))
    assert status == 2
    assert f"{site.file}: 3 faults" in output
    assert "blocks[0].limits.physical_import_w, line" in output
    assert "(given: 80000)" in output
    assert "→ Write physical_import_kw" in output
    assert "blocks[0].pv.profile" in output
    assert "A-01-meter already has this unit id on gw-A" in output


def test_sunspec_alone_means_the_profile_that_fits_the_place(site: Site) -> None:
    from ems.settings import load_estate

    site.replace("profile: sunspec_inverter", "profile: sunspec")
    estate = load_estate(site.file)
    assert estate.devices["A-pv"].profile.id == "sunspec_inverter"
    site.replace("profile: sofar_hyd_g3", "profile: sunspec")
    estate = load_estate(site.file)
    assert estate.devices["A-battery"].profile.id == "sunspec_battery"


def test_a_program_reads_the_same_faults(site: Site) -> None:
    site.replace("latitude: 51.53", "latitude: .inf")
    site.replace("epc_band: C", "epc_band: Z")
    status, output = run(str(site.file), "--json")
    assert status == 2
    answer = json.loads(output)
    assert answer["well"] is False
    latitude, band = answer["faults"]
    assert latitude["path"] == "estate.latitude"
    assert latitude["value"] == "inf"  # JSON has no number for it
    assert band["path"] == "blocks[0].dwellings[0].epc_band"
    assert set(band) == {"path", "line", "problem", "value", "remedy"}


@pytest.mark.parametrize("as_json", [False, True])
def test_a_file_that_is_not_there_is_a_fault_too(site: Site, as_json: bool) -> None:
    status, output = run(str(site.file.with_name("nowhere.yaml")), *["--json"] * as_json)
    assert status == 2
    assert "does not exist" in output


def test_an_uncertain_address_steers_a_pump_only_once_it_is_confirmed(site: Site) -> None:
    """LG's energy state, were it known from a single doubtful word."""
    profile = site.devices / "lg_therma_v.yaml"
    text = profile.read_text(encoding="utf-8")
    at = text.index("  sg_mode:")
    doubtful = text[at:].replace("confidence: A", "confidence: C", 1)
    profile.write_text(text[:at] + doubtful, encoding="utf-8")
    with pytest.raises(ConfigurationError) as refused:
        load_estate(site.file)
    faults = {fault.path: fault for fault in refused.value.faults}
    assert all("uncertain" in fault.problem for fault in faults.values())
    assert "lg_therma_v.sg_mode in confirmed_writes" in next(iter(faults.values())).remedy
    site.replace("\ngateways:\n", "\nconfirmed_writes: [lg_therma_v.sg_mode]\n\ngateways:\n")
    estate = load_estate(site.file)
    confirmed = {d.profile.id for d in estate.devices.values() if "sg_mode" in d.confirmed_writes}
    assert confirmed == {"lg_therma_v"}
    site.replace("[lg_therma_v.sg_mode]", "[lg_therma_v.sg_mode, lg_therma_v.fault]")
    with pytest.raises(ConfigurationError) as refused:
        load_estate(site.file)
    assert [fault.problem for fault in refused.value.faults] == [
        "this is no writable point of a profile"
    ]
