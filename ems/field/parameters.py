"""The field's own file: what only the simulated estate knows.

``config/demo/field.yaml`` holds the seed, the sources of weather and consumption,
quirks of single homes and the planted faults. Nothing of it reaches control except
through registers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ems.domain.errors import ConfigurationError, Fault


@dataclass(frozen=True, slots=True)
class Quirk:
    """Where one home differs from what the seed would draw; ``None`` leaves it drawn.

    Attributes
    ----------
    consumption
        Column of the consumption file; the home's id where ``None``.
    loss_factor
        Multiplies the drawn heat-loss coefficient [-].
    occupants
        Number of people.
    airing
        Chance of a morning airing each day, 0 to 1.
    """

    consumption: str | None = None
    loss_factor: float = 1.0
    occupants: int | None = None
    airing: float | None = None


@dataclass(frozen=True, slots=True)
class Planted:
    """What the demonstration hides for its help flags to find.

    Attributes
    ----------
    capacity_share
        Heat pumps with a lasting fault: dwelling → share of their capacity left.
    chosen_c
        Homes whose resident set their own thermostat lower: dwelling → temperature [°C].
    silent_days
        Homes whose room sensor fell silent: dwelling → days before the start.
    """

    capacity_share: Mapping[str, float] = field(default_factory=dict)
    chosen_c: Mapping[str, float] = field(default_factory=dict)
    silent_days: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FieldParameters:
    """Hidden parameters of the simulated estate.

    Attributes
    ----------
    seed
        Everything drawn follows from it.
    step_s
        Step of the physics behind sockets [s]; divides 60.
    weather, consumption
        Absolute paths of the data files.
    homes_per_floor
        Layout of a block: who lives beside, above and below whom.
    communal_w
        Communal load of each block by id: mean of the base load [W].
    quirks
        By dwelling.
    planted
        Planted faults.
    houses
        Name of the house model, of :data:`ems.field.houses.MODELS`.
    """

    seed: int
    weather: Path
    consumption: Path
    step_s: int = 10
    homes_per_floor: int = 4
    communal_w: Mapping[str, float] = field(default_factory=dict)
    quirks: Mapping[str, Quirk] = field(default_factory=dict)
    planted: Planted = field(default_factory=Planted)
    houses: str = "two-node"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Sources(_Model):
    weather: str
    consumption: str


class _Quirk(_Model):
    consumption: str | None = None
    loss_factor: Annotated[float, Field(gt=0.2, lt=5)] = 1.0
    occupants: Annotated[int, Field(ge=0, le=10)] | None = None
    airing: Annotated[float, Field(ge=0, le=1)] | None = None


class _Planted(_Model):
    capacity_share: dict[str, Annotated[float, Field(gt=0, le=1)]] = {}
    chosen_c: dict[str, Annotated[float, Field(ge=5, le=30)]] = {}
    silent_days: dict[str, Annotated[float, Field(ge=0)]] = {}


class _File(_Model):
    seed: int
    step_s: Annotated[int, Field(ge=1, le=60)] = 10
    sources: _Sources
    homes_per_floor: Annotated[int, Field(ge=1)] = 4
    communal_w: dict[str, Annotated[float, Field(ge=0)]] = {}
    homes: dict[str, _Quirk] = {}
    planted: _Planted = _Planted()


def load_parameters(path: Path) -> FieldParameters:
    """Read and check the field's file; paths in it are relative to it.

    Raises
    ------
    ConfigurationError
        With every fault found, each with its path in the file, the value and the remedy.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        parsed = _File.model_validate(raw)
    except OSError as error:
        fault = Fault("", f"the file cannot be read: {error.strerror}", str(path), "Name a file.")
        raise ConfigurationError(str(path), (fault,)) from error
    except yaml.YAMLError as error:
        fault = Fault("", f"not valid YAML: {error}", None, "Correct the indentation or quotes.")
        raise ConfigurationError(str(path), (fault,)) from error
    except ValidationError as error:
        raise ConfigurationError(
            str(path), tuple(_fault(item) for item in error.errors())
        ) from error
    faults = []
    if 60 % parsed.step_s:
        faults.append(Fault("step_s", "must divide 60", parsed.step_s, "Use 10, 20, 30 or 60."))
    paths = {}
    for name in ("weather", "consumption"):
        given = getattr(parsed.sources, name)
        paths[name] = (path.parent / given).resolve()
        if not paths[name].is_file():
            faults.append(Fault(f"sources.{name}", "no such file", given, "Name a data file."))
    if faults:
        raise ConfigurationError(str(path), tuple(faults))
    return FieldParameters(
        seed=parsed.seed,
        step_s=parsed.step_s,
        weather=paths["weather"],
        consumption=paths["consumption"],
        homes_per_floor=parsed.homes_per_floor,
        communal_w=parsed.communal_w,
        quirks={home: Quirk(**quirk.model_dump()) for home, quirk in parsed.homes.items()},
        planted=Planted(**parsed.planted.model_dump()),
    )


def _fault(item: Any) -> Fault:
    where = ".".join(str(part) for part in item["loc"])
    remedies = {
        "extra_forbidden": "Remove the key or correct its spelling.",
        "missing": "Add the key.",
    }
    value = None if item["type"] == "missing" else item.get("input")
    return Fault(where, item["msg"], value, remedies.get(item["type"], "Give a permitted value."))
