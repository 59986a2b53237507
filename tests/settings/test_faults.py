"""Each kind of fault is found, named where it stands, and told how to mend."""

from __future__ import annotations

import pytest

from ems.domain.errors import ConfigurationError
from ems.settings import load_estate

from . import faults_of_data, faults_of_homes, faults_of_rules, faults_of_shape
from .conftest import DEMO, Site

CASES = faults_of_shape.CASES | faults_of_homes.CASES | faults_of_data.CASES | faults_of_rules.CASES


def test_the_copied_site_is_well(site: Site) -> None:
    assert site.faults() == ()
    assert load_estate(site.file).id == load_estate(DEMO).id


@pytest.mark.parametrize("kind", CASES)
def test_each_kind_of_fault_is_named_with_its_remedy(site: Site, kind: str) -> None:
    spoil, path, problem, remedy = CASES[kind]
    spoil(site)
    faults = site.faults()
    matching = [fault for fault in faults if fault.path == path and problem in fault.problem]
    assert matching, f"{kind}: found only\n" + "\n".join(map(str, faults))
    assert remedy in matching[0].remedy
    for fault in faults:
        assert fault.problem
        assert fault.remedy.endswith((".", "?"))
        assert str(fault).startswith(fault.path)


def test_there_are_more_kinds_than_anyone_wants_to_meet() -> None:
    assert len(CASES) >= 90


LONE = [
    "unknown key, misspelt",
    "wrong unit in the key",
    "watts instead of kilowatts",
    "duplicate unit id",
    "missing profile",
    "unknown heat pump",
    "naive start",
    "a secret in the file",
    "half-hours missing from the prices",
    "one home in two blocks",
    "floor above the ceiling",
    "unknown certificate band",
    "tariff of no known kind",
    "the same key twice",
    "missing key",
    "individual supply without the landlord's meter",
]


@pytest.mark.parametrize("kind", LONE)
def test_one_mistake_makes_one_fault_or_its_plain_consequences(site: Site, kind: str) -> None:
    CASES[kind][0](site)
    assert len(site.faults()) <= 2, "\n".join(map(str, site.faults()))


def test_many_mistakes_in_many_sections_are_all_listed(site: Site) -> None:
    together = [
        "unknown key, like no other",
        "latitude out of range",
        "unknown time zone",
        "pounds instead of pence",
        "half-hours missing from the prices",
        "tariff bands that leave the night open",
        "periods out of order",
        "product with contradictory lengths",
        "two gateways at one address",
        "missing profile",
        "heat pump steered in a way it does not know",
        "wrong unit in the key",
        "battery reserve above its top",
        "duplicate unit id",
        "unknown certificate band",
        "unknown schedule",
        "floor above the ceiling",
        "one home in two blocks",
        "priors without a band",
        "holidays that are no dates",
        "setpoints that last too long",
    ]
    for kind in together:
        CASES[kind][0](site)
    faults = site.faults()
    for kind in together:
        _, path, problem, _ = CASES[kind]
        assert any(f.path == path and problem in f.problem for f in faults), kind
    lines = [fault.line for fault in faults if fault.line is not None]
    assert lines == sorted(lines), "faults come in order of the file"


def test_the_line_of_a_fault_is_where_the_reader_finds_it(site: Site) -> None:
    site.replace("units: {meter: 12,", "units: {meter: 11,")
    (fault,) = site.faults()
    assert fault.line is not None
    line = site.file.read_text(encoding="utf-8").splitlines()[fault.line - 1]
    assert "units: {meter: 11," in line


def test_bad_yaml_is_shown_by_line_and_column(site: Site) -> None:
    site.replace("  gw-A: {host: 127.0.0.1", "  gw-A: host: 127.0.0.1")
    lines = site.file.read_text(encoding="utf-8").splitlines()
    number = next(i for i, line in enumerate(lines, start=1) if "gw-A: host:" in line)
    (fault,) = site.faults()
    assert fault.line == number
    assert f"at line {number}, column {lines[number - 1].index('host:') + 5}" in fault.problem


@pytest.mark.parametrize("kind", ["a secret in the file", "a host with a password in it"])
def test_a_secret_is_never_repeated(site: Site, kind: str) -> None:
    CASES[kind][0](site)
    with pytest.raises(ConfigurationError) as caught:
        load_estate(site.file)
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(caught.value.faults)


def test_an_environment_variable_may_be_named(site: Site) -> None:
    site.replace("timeout_s: 3}", "timeout_s: 3, password_env: GATEWAY_PASSWORD}")
    (fault,) = site.faults()
    assert fault.problem == "this key is not known"  # no such key, but nothing is given away
