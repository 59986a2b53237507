"""Where the field goes on after it was killed.

``field.json`` holds the state of the physics, replaced as a whole; the journal
``field-writes.jsonl`` holds the writes since then, each noted before it is done. A
resumed field loads the first, steps to each noted write and does it again, and so
arrives at exactly the state that was lost: counters never fall, no command is forgotten.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ems.domain.errors import InvalidInputError
from ems.field.simulation import EstateSimulation

STATE_FILE = "field.json"
JOURNAL_FILE = "field-writes.jsonl"


class Checkpoints:
    """State and journal of one state directory.

    Parameters
    ----------
    state_dir
        Where both files live.
    simulation
        The physics they belong to.
    """

    def __init__(self, state_dir: Path, simulation: EstateSimulation) -> None:
        self._state = state_dir / STATE_FILE
        self._journal = state_dir / JOURNAL_FILE
        self._simulation = simulation
        self._sequence = 0

    def note(self, device_id: str, point: str, value: float) -> None:
        """Note a write before it is done."""
        self._sequence += 1
        line = json.dumps([self._sequence, self._simulation.now_s, device_id, point, value])
        with self._journal.open("a", encoding="utf-8") as handle:
            handle.write(line + "\n")

    def save(self) -> None:
        """Replace the state file by the present state and empty the journal."""
        state = {"sequence": self._sequence, "state": self._simulation.state_dict()}
        fresh = self._state.with_suffix(f".{os.getpid()}.new")
        fresh.write_text(json.dumps(state), encoding="utf-8")
        fresh.replace(self._state)
        if self._journal.exists():
            self._journal.write_text("", encoding="utf-8")

    def resume(self) -> bool:
        """Load the state and do the noted writes again; return whether there was a state.

        Raises
        ------
        InvalidInputError
            Where the files cannot be read or belong to another estate.
        """
        try:
            saved = json.loads(self._state.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return False
        except ValueError as error:
            raise InvalidInputError(
                f"the field's state cannot be read: {error}",
                field=str(self._state),
                remedy="Delete the state directory and start the demonstration again.",
            ) from error
        self._simulation.load_state(saved["state"])
        self._sequence = int(saved["sequence"])
        for sequence, now_s, device_id, point, value in self._noted():
            if sequence > self._sequence:
                self._sequence = sequence
                self._simulation.step_to_s(now_s)
                try:
                    self._simulation.write(device_id, point, value)
                except InvalidInputError:
                    continue  # the device refused it the first time too
        return True

    def _noted(self) -> list[list[Any]]:
        if not self._journal.exists():
            return []
        noted = []
        for line in self._journal.read_text(encoding="utf-8").splitlines():
            try:
                noted.append(json.loads(line))
            except ValueError:
                break  # the process died while it wrote this line: the write was not done
        return noted
