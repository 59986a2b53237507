"""What one step hands to the next, as plain JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from typing import Any

from ems.domain.errors import InvalidInputError
from ems.loop.watch import Answer
from forecasting.home_model import HomeModel

VERSION = 2
MAY_BE_NAN = ("sigma_k", "error_k", "persistence_k")


@dataclass(frozen=True, slots=True)
class Memory:
    """State between steps.

    Attributes
    ----------
    model, fitted_at
        The last fit.
    value, at
        The last setpoint and when it was given.
    on_since, off_since
        Since when an on/off device runs or rests.
    owed_wh
        Heat planned and not yet given, of devices that cannot give any amount [Wh].
    asked_w
        Heat that the last step wanted [W].
    full
        The last step wanted all the heat there is.
    scale, emitter_gain, offset_k
        Capacity beside the nameplate, heat of the emitters beside their curve, and how far a
        room setpoint must be from the room it holds.
    checked_at, answer
        When the home's answer to its heat was last checked, and how it was.
    near_floor, released
        What the last step did.
    mismatch_since
        Since when heat and temperature do not agree.
    """

    model: HomeModel | None = None
    fitted_at: datetime | None = None
    value: float | None = None
    at: datetime | None = None
    on_since: datetime | None = None
    off_since: datetime | None = None
    owed_wh: float = 0.0
    asked_w: float = 0.0
    full: bool = False
    scale: float = 1.0
    emitter_gain: float = 1.0
    offset_k: float = 0.0
    checked_at: datetime | None = None
    answer: Answer = field(default_factory=Answer)
    near_floor: bool = False
    released: bool = True
    mismatch_since: datetime | None = None

    def to_state(self) -> dict[str, Any]:
        """Return as JSON-serialisable mapping."""
        result: dict[str, Any] = {"version": VERSION}
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, datetime):
                value = value.isoformat()
            elif isinstance(value, HomeModel):
                value = asdict(value)
                value["daily_w"] = list(value["daily_w"])
                for name in MAY_BE_NAN:
                    value[name] = None if value[name] != value[name] else value[name]
            elif isinstance(value, Answer):
                value = asdict(value)
            result[each.name] = value
        return result

    @classmethod
    def of_state(cls, state: Mapping[str, Any] | None) -> Memory:
        """Return from a mapping; a fresh memory where there is none.

        Raises
        ------
        InvalidInputError
            Where it was not made by this version of a step.
        """
        if not state:
            return cls()
        try:
            if state["version"] != VERSION:
                raise KeyError("version")
            given = {each.name: state[each.name] for each in fields(cls)}
            for name in (
                "fitted_at",
                "at",
                "on_since",
                "off_since",
                "checked_at",
                "mismatch_since",
            ):
                if given[name] is not None:
                    given[name] = datetime.fromisoformat(given[name])
            given["answer"] = Answer(**given["answer"])
            if given["model"] is not None:
                model = dict(given["model"])
                model["daily_w"] = tuple(model["daily_w"])
                for name in MAY_BE_NAN:
                    model[name] = float("nan") if model[name] is None else model[name]
                given["model"] = HomeModel(**model)
            return cls(**given)
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidInputError(
                "the state is not one that a step returned",
                field="state",
                value=str(error),
                remedy="Hand back the state of the last result unchanged, or null to begin anew.",
            ) from error

    def forgetting(self) -> Memory:
        """Return without what was owed, for a home that is handed back."""
        return replace(self, owed_wh=0.0, full=False)
