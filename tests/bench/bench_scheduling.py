"""Planning beside HiGHS in its best formulation and beside other projects' own schedulers.

Every planner runs in a process of its own on the same made-up blocks (``ems plan generate``),
with the same number of threads, HiGHS for at most a minute. Each ratio is printed against its
target. ``HEARTH_PEERS`` names the folder with the other projects' environments (``build/peers``;
``tests/bench/install_peers.sh`` makes them); where one is missing its row says so.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from harness import Row, median_ms

from controllers.generate import generate
from controllers.linear import run
from controllers.model import build
from controllers.portable import write_problem
from controllers.stacked import stack
from controllers.stores import stores_of
from ext.store import answer

AREA = "scheduling"
HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CAP_S = 60.0
THREADS = max(os.cpu_count() or 1, 1)
CASES = (("store1", 100, 48, 3.0), ("store1", 1000, 48, 5.0), ("store1", 100, 288, 5.0))
DEADLINES_S = (0.05, 0.2, 1.0)
PEER_CAP_S = 300


def once(solver: str, kind: str, homes: int, steps: int, **more: Any) -> dict[str, Any]:
    """Run one planner once in a process of its own and return what it printed."""
    asked = {"solver": solver, "kind": kind, "homes": homes, "steps": steps, "threads": THREADS}
    done = subprocess.run(
        [sys.executable, str(HERE / "plan_once.py"), json.dumps({**asked, **more})],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def rows() -> Iterator[Row]:
    """Measure all."""
    yield from _continuous()
    yield from _one_home()
    yield from _on_off()
    yield from _growth()
    yield from _other_classes()
    yield from _overshoot()
    yield from _peers()


def _continuous() -> Iterator[Row]:
    for kind, homes, steps, target in CASES:
        name = f"{homes:,} homes × {steps}, {kind}"
        repeats = 5 if homes * steps < 10_000 else 3
        ours = once("joint", kind, homes, steps, repeats=repeats)
        highs = once("highs relaxed", kind, homes, steps, repeats=min(repeats, 3))
        yield Row(
            AREA,
            f"{name}: plan",
            1000 * ours["seconds"],
            "ms",
            peer="HiGHS",
            peer_value=1000 * highs["seconds"],
        )
        yield Row(AREA, f"{name}: faster", highs["seconds"] / ours["seconds"], "×", above=target)
        best = max(highs["bound_gbp"], ours["bound_gbp"])
        gap = 100 * (ours["objective_gbp"] - best) / abs(best)
        yield Row(AREA, f"{name}: above the optimum", gap, "%", below=0.1)
        yield Row(AREA, f"{name}: gap it proves itself", 100 * ours["gap"], "%", below=0.1)
        yield Row(
            AREA,
            f"{name}: memory",
            ours["memory_mb"],
            "MB",
            peer="HiGHS",
            peer_value=highs["memory_mb"],
        )
        share = ours["memory_mb"] / highs["memory_mb"]
        yield Row(AREA, f"{name}: memory beside HiGHS", share, "share", below=0.25)


def _one_home() -> Iterator[Row]:
    """Homes at given prices: the kernel for each of fifty, HiGHS for one after the other."""
    model = stack(generate(50, 48, 1))
    stores = stores_of(model)
    price = model.dt_h * model.problem.import_gbp_per_kwh
    many_us = 1000 * median_ms(lambda: answer(stores, price, threads=1), repeats=51) / 50
    alone = generate(1, 48, 1)
    free = np.full(48, np.inf)
    one = stack(replace(alone, battery=None, physical_import_w=free, contracted_import_w=free))
    single = stores_of(one)
    programme = build(one)
    highs_us = 1000 * median_ms(lambda: run(programme, CAP_S), repeats=31)
    single_us = 1000 * median_ms(lambda: answer(single, price, threads=1), repeats=51)
    yield Row(AREA, "one home given prices", many_us, "µs", peer="HiGHS", peer_value=highs_us)
    yield Row(AREA, "one home given prices: faster", highs_us / many_us, "×", above=100.0)
    yield Row(AREA, "one home given prices, called alone", single_us, "µs")


def _on_off() -> Iterator[Row]:
    name = "100 homes × 48, onoff"
    ours = once("joint", "onoff", 100, 48, repeats=3)
    highs = once("highs", "onoff", 100, 48, deadline_s=CAP_S)
    yield Row(
        AREA, f"{name}: plan", ours["seconds"], "s", peer="HiGHS", peer_value=highs["seconds"]
    )
    yield Row(AREA, f"{name}: faster", highs["seconds"] / ours["seconds"], "×", above=100.0)
    ahead = 100 * (ours["objective_gbp"] / highs["objective_gbp"] - 1)
    yield Row(
        AREA,
        f"{name}: objective above HiGHS's after {CAP_S:.0f} s",
        ahead,
        "%",
        below=0.0,
        peer="HiGHS £",
        peer_value=highs["objective_gbp"],
    )
    yield Row(AREA, f"{name}: gap it proves itself", 100 * ours["gap"], "%",
              peer="HiGHS", peer_value=100 * highs["gap"])  # fmt: skip
    share = ours["memory_mb"] / highs["memory_mb"]
    yield Row(AREA, f"{name}: memory beside HiGHS", share, "share", below=0.25)
    for fault in ours["faults"]:
        yield Row(AREA, f"{name}: NOT VALID: {fault}", None, "")


def _growth() -> Iterator[Row]:
    seconds = {
        homes: once("joint", "store1", homes, 48, repeats=3 if homes < 10_000 else 1)["seconds"]
        for homes in (100, 1000, 10_000)
    }
    for few, many in ((100, 1000), (1000, 10_000)):
        ratio = seconds[many] / seconds[few]
        yield Row(AREA, f"{many:,} homes beside {few:,}: time", ratio, "×", below=10.0)


def _other_classes() -> Iterator[Row]:
    """Heavy parts and hot-water tanks: states kernel against the whole programme."""
    for kind, homes, repeats in (
        ("two-state", 20, 3),
        ("two-state", 100, 3),
        ("two-state", 1000, 1),
        ("store1+tank", 20, 3),
        ("store1+tank", 100, 3),
        ("store1+tank", 300, 1),
    ):
        name = f"{homes:,} homes × 48, {kind}"
        ours = once("joint", kind, homes, 48, repeats=repeats)
        highs = once("highs", kind, homes, 48, deadline_s=CAP_S)
        yield Row(AREA, f"{name}: plan", ours["seconds"], "s",
                  peer="HiGHS", peer_value=highs["seconds"])  # fmt: skip
        yield Row(AREA, f"{name}: faster", highs["seconds"] / ours["seconds"], "×")
        best = max(highs["bound_gbp"], ours["bound_gbp"])
        above = [100 * (each["objective_gbp"] - best) / abs(best) for each in (ours, highs)]
        yield Row(
            AREA, f"{name}: above the best bound", above[0], "%", peer="HiGHS", peer_value=above[1]
        )
        yield Row(AREA, f"{name}: gap it proves itself", 100 * ours["gap"], "%",
                  peer="HiGHS", peer_value=100 * highs["gap"])  # fmt: skip
        share = ours["memory_mb"] / highs["memory_mb"]
        yield Row(AREA, f"{name}: memory beside HiGHS", share, "share")
        for fault in ours["faults"]:
            yield Row(AREA, f"{name}: NOT VALID: {fault}", None, "")


def _overshoot() -> Iterator[Row]:
    blocks = ("store1", 1000), ("onoff", 100), ("store1+tank", 20), ("store1+tank", 1000)
    for kind, homes in blocks:
        worst = max(
            once("joint", kind, homes, 48, deadline_s=deadline)["longest_s"] - deadline
            for deadline in DEADLINES_S
        )
        yield Row(
            AREA,
            f"{homes:,} homes × 48, {kind}: worst beyond a deadline of "
            f"{' / '.join(f'{1000 * each:.0f}' for each in DEADLINES_S)} ms",
            1000 * max(worst, 0.0),
            "ms",
        )


def _peers() -> Iterator[Row]:
    """Other projects' own schedulers on the cases that they can express."""
    folder = Path(os.environ.get("HEARTH_PEERS", ROOT / "build" / "peers"))
    cases = (
        ("flexmeasures", "store1", 10),
        ("flexmeasures", "store1", 100),
        ("emhass", "onoff", 1),
    )
    for peer, kind, homes in cases:
        name = f"{homes} homes × 48, {kind}, beside {peer}"
        python = folder / peer / "bin" / "python"
        if not python.exists():
            yield Row(AREA, f"{name}: not installed (tests/bench/install_peers.sh)", None, "s")
            continue
        ours = once("joint", kind, homes, 48, deadline_s=5.0)
        problem = write_problem(generate(homes, 48, 1, kind))
        try:
            done = subprocess.run(
                [str(python), str(HERE / f"peer_{peer}.py")],
                input=problem,
                capture_output=True,
                text=True,
                timeout=PEER_CAP_S,
                check=False,
            )
            found = json.loads(done.stdout.splitlines()[-1])
        except subprocess.TimeoutExpired:
            yield Row(AREA, f"{name}: it did not end in {PEER_CAP_S} s", ours["seconds"], "s")
            continue
        except (IndexError, json.JSONDecodeError):
            last = (done.stderr.strip().splitlines() or ["no output"])[-1][:80]
            yield Row(AREA, f"{name}: it failed: {last}", ours["seconds"], "s")
            continue
        what = found.get("note", "")
        yield Row(AREA, f"{name}{': ' if what else ''}{what}", ours["seconds"], "s",
                  peer=peer, peer_value=found["seconds"])  # fmt: skip
        yield Row(AREA, f"{name}: faster", found["seconds"] / ours["seconds"], "×")
