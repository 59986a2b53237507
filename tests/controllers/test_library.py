"""Problems and plans as files and as arrays, for other programs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import controllers
from controllers import (
    check,
    generate_problem,
    plan,
    plan_schema,
    problem_schema,
    read_problem,
    write_plan,
    write_problem,
)
from controllers.generate import Kind
from controllers.plan_file import PlanFile
from controllers.portable import InvalidProblemError
from ems.cli import main
from ems.domain.errors import InvalidInputError
from ems.domain.events import Direction
from ems.domain.plans import EventProblem, PeakProblem

ROOT = Path(__file__).parents[2]


def test_what_is_exported_exists_and_is_described():
    part = (ROOT / "docs/library.md").read_text().split("## Planning")[1].split("\n## ")[0]
    for name in controllers.__all__:
        assert getattr(controllers, name) is not None
        assert f"`{name}`" in part, f"docs/library.md does not describe controllers.{name}"
    with pytest.raises(AttributeError, match="nonsense"):
        _ = controllers.nonsense


@pytest.mark.parametrize(("name", "schema"), [("problem", problem_schema), ("plan", plan_schema)])
def test_the_published_schemas_are_those_of_the_code(name, schema):
    published = json.loads((ROOT / f"docs/schemas/{name}.schema.json").read_text())
    assert published == schema(), f"run: ems plan schema {name} --out docs/schemas/..."


@pytest.mark.parametrize("kind", list(Kind))
def test_a_problem_survives_the_way_through_a_file(kind):
    problem = generate_problem(3, 6, 4, kind)
    event = EventProblem(
        event_id="E1",
        direction=Direction.DOWN,
        limit_w=np.array([np.inf, 5e3, 5e3, np.inf, np.inf, np.inf]),
        participants=frozenset({"H-00001", "H-00002"}),
        battery=True,
        uncontrolled_w=np.zeros(6),
        start=problem.start,
        until=problem.start,
        reserve_wh=100.0,
    )
    peak = PeakProblem(np.array([True] * 3 + [False] * 3), 4e3, 0.5)
    free = np.full(6, np.inf)
    full = replace(problem, events=(event,), peaks=(peak,), contracted_import_w=free)
    text = write_problem(full)
    again = read_problem(text)
    assert write_problem(again) == text
    assert again.homes[1].base_w == pytest.approx(full.homes[1].base_w, abs=0)
    assert again.events[0].limit_w.tolist() == event.limit_w.tolist()
    assert again.events[0].participants == event.participants
    assert plan(again, 0.3).objective_gbp == pytest.approx(plan(full, 0.3).objective_gbp, rel=0.05)


def broken(change):
    file = json.loads(write_problem(generate_problem(2, 4, 0)))
    change(file)
    with pytest.raises(InvalidProblemError) as caught:
        read_problem(json.dumps(file), "block.json")
    return {fault.path: fault for fault in caught.value.faults}, str(caught.value)


def test_all_faults_of_a_file_are_named_at_once_with_value_and_remedy():
    def change(file):
        file["homes"][0]["room_c"] = "warm"
        file["homes"][1]["cop"] = [3.0, 0.0, 0.0, 3.0]
        file["battery"]["one_way_efficiency"] = 1.2
        file["colour"] = "blue"
        del file["pooled"]

    found, text = broken(change)
    assert set(found) == {
        "homes[0].room_c", "homes[1].cop[1]", "battery.one_way_efficiency", "colour", "pooled",
    }  # fmt: skip
    assert found["homes[1].cop[1]"].remedy == "Give at least 0.1."
    assert "1 more in this array" in found["homes[1].cop[1]"].problem
    assert found["battery.one_way_efficiency"].value == 1.2
    assert all(fault.remedy for fault in found.values())
    assert text.startswith("block.json: 5 faults")


def test_arrays_of_another_length_and_names_used_twice_are_named():
    def change(file):
        file["homes"][0]["base_w"].pop()
        file["pv_w"].append(1.0)
        file["homes"][1]["dwelling_id"] = file["homes"][0]["dwelling_id"]
        file["start"] = "2024-01-15T00:00:00"

    found, _ = broken(change)
    assert set(found) == {"homes[0].base_w", "pv_w", "homes[1].dwelling_id", "start"}


def test_nan_and_numbers_without_meaning_are_refused():
    text = write_problem(generate_problem(1, 2, 0)).replace('"room_c": ', '"room_c": NaN, "x": ')
    with pytest.raises(InvalidProblemError, match=r"homes\[0\]\.room_c: .*finite"):
        read_problem(text)
    found, _ = broken(lambda file: file["battery"].update(min_wh=1e9))
    assert "battery.min_wh" in found
    with pytest.raises(InvalidProblemError, match="the file: "):
        read_problem('{"format": ')


def test_a_plan_file_holds_what_the_schedule_does():
    problem = generate_problem(2, 8, 1, "store1+tank")
    schedule = plan(problem, 2.0, sensitivity=True)
    file = PlanFile.model_validate_json(write_plan(schedule))
    assert file.objective_gbp == schedule.objective_gbp
    assert file.bound_gbp <= file.objective_gbp
    assert file.gap == schedule.gap
    assert file.solver == schedule.solver == "linear programme"
    assert file.costs.electricity_gbp == schedule.costs.electricity_gbp > 0
    assert file.homes[1].tank_wh == schedule.homes[1].tank_wh.tolist()
    assert file.homes[1].cause is None
    assert [case.scale for case in file.terminal] == [0.75, 1.25]


def test_a_plan_of_wrong_terminal_values_is_never_better_under_the_right_ones():
    problem = generate_problem(4, 16, 2, hours=8.0)
    schedule = plan(problem, 20.0, sensitivity=True)
    low, high = schedule.terminal
    for case in schedule.terminal:
        assert case.kept_gbp >= schedule.objective_gbp - 1e-6
    # What is left is worth more, so the same block costs less.
    assert high.objective_gbp < schedule.objective_gbp < low.objective_gbp


def test_check_finds_a_plan_that_was_changed():
    problem = generate_problem(2, 8, 1)
    schedule = plan(problem, 5.0)
    assert check(problem, schedule) == ()
    home = replace(schedule.homes[0], heat_w=schedule.homes[0].heat_w + 1e5)
    told = " ".join(check(problem, replace(schedule, homes=(home, schedule.homes[1]))))
    assert "heat beyond what its heat pump gives" in told
    assert "objective" in told and "room" in told and "import" in told
    with pytest.raises(InvalidInputError, match="homes"):
        check(problem, replace(schedule, homes=(home,)))


def test_from_the_command_line_a_block_is_made_up_and_planned(tmp_path):
    problem, out = tmp_path / "problem.json", tmp_path / "plan.json"
    runner = CliRunner()
    made = runner.invoke(
        main, ["plan", "generate", "--homes", "3", "--steps", "12", "--out", str(problem)]
    )
    assert made.exit_code == 0, made.output
    solved = runner.invoke(
        main,
        ["plan", "solve", str(problem), "--deadline=20", "--why=Europe/London", f"--out={out}"],
    )
    assert solved.exit_code == 0, solved.output
    assert solved.output.startswith("optimal: £")
    assert "by one linear programme" in solved.output
    assert "costs: £" in solved.output
    assert "values at the end × 0.75" in solved.output
    file = PlanFile.model_validate_json(out.read_text())
    assert len(file.homes[0].sentence) == 12
    assert check(read_problem(problem.read_text()), plan(read_problem(problem.read_text()))) == ()


def test_from_the_command_line_a_faulty_file_is_refused_with_status_2(tmp_path):
    problem = tmp_path / "problem.json"
    problem.write_text('{"format": "hearth-problem/1", "homes": []}')
    refused = CliRunner().invoke(main, ["plan", "solve", str(problem)])
    assert refused.exit_code == 2
    assert "step_s: field required" in refused.output
    zone = CliRunner().invoke(main, ["plan", "solve", str(problem), "--why", "Nowhere/Land"])
    assert zone.exit_code == 2
    assert "Europe/London" in zone.output
