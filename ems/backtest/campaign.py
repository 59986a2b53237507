"""Many cases, one after the other or in processes of their own; what is done is kept.

A case that has its file is not run again, so a campaign that was cut short goes on with the same
command. Cases go by seed first: all windows of the first seed, then those of the second.
"""

from __future__ import annotations

import _thread
import multiprocessing
import os
import queue
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from datetime import date
from typing import Any

from ems.backtest.case import Case, Progress, Setting, run_case
from ems.backtest.cases import load_evidence, save_evidence
from ems.demo.evidence import Controller
from ems.domain.errors import HearthError, InvalidInputError
from ems.service.logs import configure

TELLS_S = 0.5
"""Wall seconds between looks at what workers tell."""
GRACE_S = 5.0
"""Wall seconds that a worker has to clear away when its campaign was killed."""
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Set to 1 in workers: cases run beside each other, not threads of one case."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a campaign is.

    Attributes
    ----------
    case, part
        What has just begun, or ended where the part is ``done``.
    finished, cases
        How many cases are done, of how many.
    share
        Of all work in this call [-].
    left_s
        Wall seconds that are left if it goes on like this; ``None`` at the very beginning.
    """

    case: Case
    part: str
    finished: int
    cases: int
    share: float
    left_s: float | None


@dataclass(frozen=True, slots=True)
class Failed:
    """A case that ended in an error, and where."""

    case: Case
    why: str
    trace: str


def cases_of(windows: Sequence[date], hours: int, seeds: Sequence[int]) -> list[Case]:
    """Return the cases of a campaign in the order in which they are run."""
    return [Case(start, hours, seed) for seed in seeds for start in windows]


def run_campaign(
    cases: Sequence[Case],
    setting: Setting,
    *,
    jobs: int = 1,
    tell: Callable[[Standing], None] = lambda _: None,
) -> list[Failed]:
    """Run the cases that have no file yet; return those that failed.

    Parameters
    ----------
    cases, setting
        What to run.
    jobs
        Processes beside each other; with one, everything is done here.
    tell
        Told whenever a case begins a part or ends.

    Raises
    ------
    InvalidInputError
        Where a case's file was made with other choices, or cannot be read.
    """
    todo = [case for case in cases if not _is_done(case, setting)]
    watch = _Watch(todo, len(cases), tell)
    if jobs == 1:
        failed = []
        for case in todo:
            outcome = _run_one(case, setting, watch.heard(case))
            if outcome is None:
                watch.ended(case)
            else:
                failed.append(outcome)
        return failed
    return _in_processes(todo, setting, jobs, watch)


def _is_done(case: Case, setting: Setting) -> bool:
    """Tell whether a case has its file; one made otherwise is refused, not mixed in."""
    path = case.path(setting)
    if not path.is_file():
        return False
    held = load_evidence(path)
    wanted = {*setting.controllers, Controller.THERMOSTAT}
    for option, same in (
        ("--days", held.window == case.window),
        ("--history-days", held.history_days == setting.history_days),
        ("--controllers", wanted <= set(held.runs)),
    ):
        if not same:
            raise InvalidInputError(
                "the folder holds this case made with another choice",
                field=option,
                value=str(path),
                remedy="Choose as before, another --out, or delete the file.",
            )
    return True


class _Watch:
    """Adds up what cases tell."""

    def __init__(self, todo: Sequence[Case], cases: int, tell: Callable[[Standing], None]) -> None:
        self._todo = len(todo)
        self._cases = cases
        self._tell = tell
        self._shares: dict[Case, float] = {}
        self._parts: dict[Case, str] = {}
        self._ended = 0
        self._begin = time.monotonic()

    def heard(self, case: Case) -> Progress:
        """Return what a case tells its progress to."""

        def progress(part: str, share: float) -> None:
            self._shares[case] = share
            if self._parts.get(case) != part:
                self._parts[case] = part
                self._say(case, part)

        return progress

    def ended(self, case: Case) -> None:
        """Count a case as done."""
        self._shares[case] = 1.0
        self._ended += 1
        self._say(case, "done")

    def _say(self, case: Case, part: str) -> None:
        share = sum(self._shares.values()) / max(self._todo, 1)
        spent = time.monotonic() - self._begin
        left = None if share < 0.001 else spent * (1.0 - share) / share
        finished = self._cases - self._todo + self._ended
        self._tell(Standing(case, part, finished, self._cases, share, left))


def _run_one(case: Case, setting: Setting, progress: Progress) -> Failed | None:
    try:
        save_evidence(case.path(setting), run_case(case, setting, progress))
    except HearthError as error:
        return Failed(case, str(error), "")
    except Exception as error:
        # One case that fails must not cost the others, which take hours.
        return Failed(case, f"{type(error).__name__}: {error}", traceback.format_exc())
    return None


_told: Any = None
"""Where a worker's progress goes; set once in each worker process."""


def _begin_worker(told: Any) -> None:
    global _told  # noqa: PLW0603 - a worker process serves one campaign
    _told = told
    configure("backtest", level="ERROR")
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End a worker whose campaign was killed: nobody would wait for its case."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    parent.join()
    _thread.interrupt_main()  # so that it clears away what lies in temporary folders
    time.sleep(GRACE_S)
    os._exit(1)


def _work(case: Case, setting: Setting) -> Failed | None:
    told = _told

    def progress(part: str, share: float) -> None:
        told.put((case, part, share))

    return _run_one(case, setting, progress)


def _in_processes(todo: Sequence[Case], setting: Setting, jobs: int, watch: _Watch) -> list[Failed]:
    context = multiprocessing.get_context("spawn")
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
    told = context.Queue()
    heard = {case: watch.heard(case) for case in todo}
    failed: list[Failed] = []
    try:
        with ProcessPoolExecutor(
            jobs, mp_context=context, initializer=_begin_worker, initargs=(told,)
        ) as pool:
            running: dict[Future[Failed | None], Case] = {
                pool.submit(_work, case, setting): case for case in todo
            }
            while running:
                done, _ = wait(running, timeout=TELLS_S, return_when=FIRST_COMPLETED)
                _listen(told, heard)
                for future in done:
                    case, outcome = running.pop(future), future.result()
                    if outcome is None:
                        watch.ended(case)
                    else:
                        failed.append(outcome)
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        told.close()
    return failed


def _listen(told: Any, heard: dict[Case, Progress]) -> None:
    """Pass on everything that workers have told."""
    while True:
        try:
            case, part, share = told.get_nowait()
        except queue.Empty:
            return
        heard[case](part, share)
