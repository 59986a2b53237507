"""One planner on one made-up block in a process of its own: seconds, objective and memory.

``python tests/bench/plan_once.py '{"solver": "joint", "kind": "store1", "homes": 100, …}'`` prints
one line of JSON. Memory is the peak above that of the interpreter with all imports done.
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


def memory_mb(what: str) -> float:
    """Return this process's memory now (``VmRSS``) or at its peak (``VmHWM``) [MB]."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(what):
            return float(line.split()[1]) / 1024.0
    raise SystemExit("memory is measured on Linux only")


def main() -> int:
    """Plan as the argument says."""
    asked: dict[str, Any] = json.loads(sys.argv[1])
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here on
    before = memory_mb("VmRSS")
    problem = generate(asked["homes"], asked["steps"], asked.get("seed", 1), asked["kind"])
    deadline_s, threads = asked.get("deadline_s", 60.0), asked.get("threads", 1)
    taken, result = [], {}
    for _ in range(asked.get("repeats", 1)):
        begin = time.perf_counter()
        if asked["solver"] == "highs relaxed":
            # the programme alone: nothing is judged, explained or made into a plan
            found = run(build(stack(problem)), deadline_s, integral=False, threads=threads)
            taken.append(time.perf_counter() - begin)
            result = {"objective_gbp": found.objective_gbp, "bound_gbp": found.bound_gbp}
            continue
        planner = (
            JointPlanner(None, threads=threads)
            if asked["solver"] == "joint"
            else HighsPlanner(None, clock=time.monotonic, threads=threads)
        )
        schedule = planner.plan(problem, deadline_s)
        taken.append(time.perf_counter() - begin)
        result = {
            "objective_gbp": schedule.objective_gbp,
            "bound_gbp": schedule.bound_gbp,
            "gap": schedule.gap,
            "status": schedule.status,
        }
    memory = memory_mb("VmHWM") - before
    if asked["solver"] != "highs relaxed":
        result["faults"] = list(check(problem, schedule))
    result |= {"seconds": statistics.median(taken), "longest_s": max(taken), "memory_mb": memory}
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
