"""Where nightly fits are done: here, or in a process of their own that yields to everything.

A fit in the background is a child process with the lowest priority and one thread; it is handed
a lesson and hands back models over a pipe. Nothing lies on the disk: at a start models are learnt
anew, and until they are there habits stand in. What comes over the pipe was made by our own
child from our own lesson, so unpickling it is as safe as calling it.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Protocol

from threadpoolctl import threadpool_limits

from ems.domain.errors import HearthError
from forecasting.nightly import LearntLoads, Lesson, learn

LOWEST_PRIORITY = 19


@dataclass(frozen=True, slots=True)
class FitFailed:
    """A fit that came to nothing, why, and where; a model that fails must not stop forecasts."""

    why: str
    trace: str = ""


FitOutcome = LearntLoads | FitFailed
Learning = Callable[[Lesson], LearntLoads]


class Fits(Protocol):
    """Does one fit at a time."""

    def begin(self, lesson: Lesson) -> None:
        """Start a fit; one that is still under way is ended."""
        ...

    def taken(self) -> FitOutcome | None:
        """Return what a fit came to, once; ``None`` while there is nothing new."""
        ...

    def close(self) -> None:
        """End a fit that is under way."""
        ...


def _done(lesson: Lesson, learning: Learning = learn) -> FitOutcome:
    try:
        with threadpool_limits(1):
            return learning(lesson)
    except HearthError as error:
        return FitFailed(error.problem)
    except Exception as error:
        return FitFailed(f"{type(error).__name__}: {error}", traceback.format_exc())


class InlineFits:
    """Fits in the caller's own time: for lock-step, where the same seed gives the same models.

    The same lesson again is not learnt twice, so that runs beside each other share a fit.

    Parameters
    ----------
    learning
        What makes models of a lesson.
    """

    def __init__(self, learning: Learning = learn) -> None:
        self._learning = learning
        self._held: tuple[bytes, bytes] | None = None
        self._outcome: FitOutcome | None = None

    def begin(self, lesson: Lesson) -> None:
        """Fit now."""
        told = pickle.dumps((lesson.until, lesson.steps, lesson.homes, lesson.observed))
        if self._held is None or self._held[0] != told:
            self._held = (told, pickle.dumps(_done(lesson, self._learning)))
        self._outcome = pickle.loads(self._held[1])  # noqa: S301 - made two lines above

    def taken(self) -> FitOutcome | None:
        """Return what the fit came to, once."""
        outcome, self._outcome = self._outcome, None
        return outcome

    def close(self) -> None:
        """Nothing is under way."""


class BackgroundFits:
    """Fits in a child process that yields to everything else."""

    def __init__(self) -> None:
        self._child: multiprocessing.process.BaseProcess | None = None
        self._answer: Connection | None = None

    @property
    def pid(self) -> int | None:
        """The child's process id; ``None`` where none is at work."""
        return None if self._child is None else self._child.pid

    def begin(self, lesson: Lesson) -> None:
        """Start a child; one that is still at work after a night has hung and is ended."""
        self.close()
        context = multiprocessing.get_context("spawn")
        answer, far = context.Pipe(duplex=False)
        child = context.Process(target=_work, args=(lesson, far), name="fit", daemon=True)
        child.start()
        far.close()
        self._child, self._answer = child, answer

    def taken(self) -> FitOutcome | None:
        """Return what the child sent, once it has."""
        child, answer = self._child, self._answer
        if child is None or answer is None or not (answer.poll() or not child.is_alive()):
            return None
        try:
            outcome: FitOutcome = answer.recv()
        except (EOFError, OSError):
            child.join()
            outcome = FitFailed(f"the fit's process ended with status {child.exitcode}")
        self.close()
        return outcome

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.terminate()
            self._child.join()
        if self._answer is not None:
            self._answer.close()
        self._child, self._answer = None, None


def _leave_with_parent() -> None:
    """End this process when control is gone, however it went: nobody waits for the models."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(lesson: Lesson, answer: Connection) -> None:
    """Be the child: learn at the lowest priority and send what came of it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends it
    os.nice(LOWEST_PRIORITY)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    outcome = _done(lesson)
    try:
        answer.send(outcome)
    except BrokenPipeError:
        return  # nobody waits for it any more
    finally:
        answer.close()
