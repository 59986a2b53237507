"""One planner on one made-up block in a process of its own: seconds, objective and memory.

``python tests/bench/plan_once.py '{"solver": "joint", "kind": "store1", "homes": 100, …}'`` prints
one line of JSON. Memory is the peak above that of the interpreter once the same planner has planned
two homes: what is imported at first use, and the solver's own code, is not counted for either.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from controllers.generate import generate
from controllers.joint import JointPlanner
from controllers.library import check
from controllers.linear import HighsPlanner, run
from controllers.model import build
from controllers.stacked import stack
from ems.domain.plans import SchedulingProblem


def memory_mb(what: str) -> float:
    """Return this process's memory now (``VmRSS``) or at its peak (``VmHWM``) [MB]."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(what):
            return float(line.split()[1]) / 1024.0
    raise SystemExit("memory is measured on Linux only")


def planned(solver: str, problem: SchedulingProblem, deadline_s: float, threads: int) -> Any:
    """Return what a planner makes of a block: a solution of the programme alone, or a plan."""
    if solver == "highs relaxed":
        # nothing is judged, explained or made into a plan
        programme = build(stack(problem))
        return run(programme, deadline_s, integral=False, threads=threads)
    if solver == "highs":
        return HighsPlanner(None, clock=time.monotonic, threads=threads).plan(problem, deadline_s)
    return JointPlanner(None, threads=threads).plan(problem, deadline_s)


def main() -> int:
    """Plan as the argument says."""
    asked: dict[str, Any] = json.loads(sys.argv[1])
    solver, threads = asked["solver"], asked.get("threads", 1)
    deadline_s = asked.get("deadline_s", 60.0)
    small = generate(2, 4, 1, asked["kind"])
    planned(solver, small, 5.0, threads)
    JointPlanner(None, threads=1, few=0).plan(small, 5.0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here on
    before = memory_mb("VmRSS")
    problem = generate(asked["homes"], asked["steps"], asked.get("seed", 1), asked["kind"])
    taken, cpu = [], []
    for _ in range(asked.get("repeats", 1)):
        begin, used = time.perf_counter(), time.process_time()
        found = planned(solver, problem, deadline_s, threads)
        taken.append(time.perf_counter() - begin)
        cpu.append(time.process_time() - used)
    memory = memory_mb("VmHWM") - before
    result = {"objective_gbp": found.objective_gbp, "bound_gbp": found.bound_gbp}
    if solver != "highs relaxed":
        result |= {"gap": found.gap, "status": found.status}
        result["faults"] = list(check(problem, found))
    result |= {"seconds": statistics.median(taken), "longest_s": max(taken), "memory_mb": memory}
    result["cpu_s"] = statistics.median(cpu)
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
