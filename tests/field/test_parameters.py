from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ems.domain.errors import ConfigurationError, InvalidInputError
from ems.field.parameters import Planted, load_parameters
from ems.field.traits import draw_traits

GOOD = """
seed: 3
sources: {weather: w.csv, consumption: c.csv}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "w.csv").touch()
    (tmp_path / "c.csv").touch()
    return tmp_path


def write(folder: Path, text: str) -> Path:
    path = folder / "field.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_paths_are_relative_to_the_file(folder: Path) -> None:
    parameters = load_parameters(write(folder, GOOD))
    assert parameters.seed == 3
    assert parameters.weather == folder / "w.csv"


def test_all_faults_are_listed_at_once(folder: Path) -> None:
    text = GOOD + "planted: {capacity_share: {A-01: 1.4}}\nhomes: {A-02: {occupant: 3}}\nsed: 1\n"
    with pytest.raises(ConfigurationError) as caught:
        load_parameters(write(folder, text))
    paths = {fault.path for fault in caught.value.faults}
    assert paths == {"planted.capacity_share.A-01", "homes.A-02.occupant", "sed"}
    assert all(fault.remedy for fault in caught.value.faults)


def test_missing_files_and_odd_steps_are_named(folder: Path) -> None:
    text = "seed: 1\nstep_s: 7\nsources: {weather: nowhere.csv, consumption: c.csv}\n"
    with pytest.raises(ConfigurationError) as caught:
        load_parameters(write(folder, text))
    assert [fault.path for fault in caught.value.faults] == ["step_s", "sources.weather"]


@pytest.mark.parametrize("text", ["seed: [", "seed: x", ""])
def test_what_is_no_configuration_is_refused(folder: Path, text: str) -> None:
    with pytest.raises(ConfigurationError):
        load_parameters(write(folder, text))


def test_an_unreadable_file_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_parameters(folder / "none.yaml")


def test_a_home_that_does_not_exist_is_refused(estate, parameters) -> None:
    wrong = replace(parameters, planted=Planted(chosen_c={"C-01": 16.0}))
    with pytest.raises(InvalidInputError, match="no such home") as caught:
        draw_traits(estate, wrong)
    assert caught.value.value == "C-01"
