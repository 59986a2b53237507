"""Hot-water tanks of a block as checked arrays, and what follows from heating them.

    E[t+1] = a E[t] + b (pump + backup - draw),   a = exp(-k dt),   b = (1 - a) / k       (1)

A heat pump heats only in steps that end at or below ``pump_max_kwh``. Without a legionella cycle
that is due nothing is heated beyond that; a tank that is hotter now cools down to it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controllers.checked import checked, scalar
from ems.domain.errors import InvalidInputError
from ems.domain.forecasts import FloatArray
from ems.domain.heating import HygieneProblem
from ems.domain.plans import SchedulingProblem

IndexArray = NDArray[np.int32]
NEAR_KWH = 1e-4


@dataclass(frozen=True, slots=True, eq=False)
class StackedTanks:
    """Tanks of a block; k counts homes that have one. Shapes (k,) or (k, steps).

    Attributes
    ----------
    rows
        Their rows among the homes.
    energy_kwh, min_kwh, comfort_kwh
        Held now, hard floor, wanted at each step's end.
    top_kwh
        What the tank may hold at each step's end.
    pump_max_kwh
        As far as the heat pump heats.
    decay, gain_kwh_per_kw, drift_kwh
        ``E' = decay E + gain (pump + backup) + drift``.
    heat_max_kw, cop, backup_max_kw
        Of the heat pump for the tank, and of the backup heater.
    terminal_gbp_per_kwh
        Value of what is left.
    hygiene_kwh
        What a due legionella cycle asks for; 0 where none is due.
    windows
        Of each tank with a due cycle, the windows that would do: (first, last) step, shape (w, 2).
    """

    rows: IndexArray
    energy_kwh: FloatArray
    min_kwh: FloatArray
    comfort_kwh: FloatArray
    top_kwh: FloatArray
    pump_max_kwh: FloatArray
    decay: FloatArray
    gain_kwh_per_kw: FloatArray
    drift_kwh: FloatArray
    heat_max_kw: FloatArray
    cop: FloatArray
    backup_max_kw: FloatArray
    terminal_gbp_per_kwh: FloatArray
    hygiene_kwh: FloatArray
    windows: tuple[IndexArray, ...]

    @property
    def count(self) -> int:
        """Number of tanks."""
        return self.rows.size

    def energies(self, pump_kw: FloatArray, backup_kw: FloatArray) -> FloatArray:
        """Return what each holds at each step's end [kWh]; all shapes (k, steps)."""
        result = np.empty(self.comfort_kwh.shape)
        held = self.energy_kwh
        steps = self.comfort_kwh.shape[-1]
        for step in range(steps):
            held = (
                self.decay[:, step] * held
                + self.gain_kwh_per_kw[:, step] * (pump_kw[:, step] + backup_kw[:, step])
                + self.drift_kwh[:, step]
            )
            result[:, step] = held
        return result

    def missed_kwh(self, energies_kwh: FloatArray) -> FloatArray:
        """Return by how much each due cycle is missed in its best window [kWh], shape (k,)."""
        missed = np.zeros(self.count)
        for tank, windows in enumerate(self.windows):
            if self.hygiene_kwh[tank] <= 0:
                continue
            least = [float(np.min(energies_kwh[tank, a : b + 1])) for a, b in windows]
            short = self.hygiene_kwh[tank] - max(least, default=0.0)
            missed[tank] = short if short > NEAR_KWH else 0.0
        return missed

    def wanted_kwh(self) -> FloatArray:
        """Return what a tank's own controls ask for at each step's end [kWh], shape (k, steps).

        Its comfort, and towards the last window that would do the path on which the backup
        heater alone reaches what a due legionella cycle asks for.
        """
        reach = self.pump_max_kwh[:, None]
        wanted = np.maximum(np.minimum(self.comfort_kwh, reach), self.min_kwh[:, None])
        for tank, windows in enumerate(self.windows):
            if self.hygiene_kwh[tank] <= 0 or not len(windows):
                continue
            first, last = int(windows[-1, 0]), int(windows[-1, 1])
            wanted[tank, first : last + 1] = self.hygiene_kwh[tank]
            needed = float(self.hygiene_kwh[tank])
            for step in range(first, 0, -1):
                given = self.gain_kwh_per_kw[tank, step] * self.backup_max_kw[tank]
                needed = float(
                    (needed - given - self.drift_kwh[tank, step]) / self.decay[tank, step]
                )
                wanted[tank, step - 1] = max(wanted[tank, step - 1], needed)
        return wanted


def stack_tanks(problem: SchedulingProblem, dt_h: FloatArray) -> StackedTanks:
    """Return the tanks of a problem.

    Raises
    ------
    InvalidInputError
        Where an array has the wrong shape or a number has no meaning.
    """
    steps = dt_h.size
    rows: list[int] = []
    numbers: dict[str, list[float]] = {name: [] for name in _NUMBERS}
    grids: dict[str, list[FloatArray]] = {name: [] for name in _GRIDS}
    hygiene: list[float] = []
    windows: list[IndexArray] = []
    for row, home in enumerate(problem.homes):
        tank = home.tank
        if tank is None:
            continue
        name = f"homes[{home.dwelling_id}].tank"
        rows.append(row)
        for field, low in _NUMBERS.items():
            numbers[field].append(scalar(getattr(tank, field), f"{name}.{field}", low))
        for field, low in _GRIDS.items():
            grids[field].append(checked(getattr(tank, field), f"{name}.{field}", steps, low=low))
        if not tank.min_wh <= tank.pump_max_wh <= tank.max_wh:
            raise InvalidInputError(
                "min_wh, pump_max_wh and max_wh do not rise",
                field=name,
                value=(tank.min_wh, tank.pump_max_wh, tank.max_wh),
                remedy="Give min_wh <= pump_max_wh <= max_wh.",
            )
        windows.append(_windows(tank.hygiene, dt_h, f"{name}.hygiene"))
        hygiene.append(0.0 if tank.hygiene is None else tank.hygiene.energy_wh / 1000.0)
    whole = {name: np.array(values, dtype=np.float64) for name, values in numbers.items()}
    full = {name: np.array(each).reshape(len(rows), steps) for name, each in grids.items()}
    exponent = whole["standing_loss_per_h"][:, None] * dt_h[None, :]
    far = exponent > 1e-12
    decay = np.exp(-exponent)
    gain = dt_h * np.where(far, -np.expm1(-exponent) / np.where(far, exponent, 1.0), 1.0)
    drift = -gain * full["draw_w"] / 1000.0
    hygiene_kwh = np.array(hygiene, dtype=np.float64)
    result = StackedTanks(
        rows=np.array(rows, dtype=np.int32),
        energy_kwh=whole["energy_wh"] / 1000.0,
        min_kwh=whole["min_wh"] / 1000.0,
        comfort_kwh=full["comfort_wh"] / 1000.0,
        top_kwh=np.empty(decay.shape),
        pump_max_kwh=whole["pump_max_wh"] / 1000.0,
        decay=decay,
        gain_kwh_per_kw=gain,
        drift_kwh=drift,
        heat_max_kw=full["heat_max_w"] / 1000.0,
        cop=full["cop"],
        backup_max_kw=whole["backup_max_w"] / 1000.0,
        terminal_gbp_per_kwh=whole["terminal_gbp_per_kwh"],
        hygiene_kwh=hygiene_kwh,
        windows=tuple(windows),
    )
    idle = np.zeros(decay.shape)
    # Only a due cycle lets the tank be heated beyond what the heat pump can.
    highest = np.where(hygiene_kwh > 0, whole["max_wh"] / 1000.0, result.pump_max_kwh)
    result.top_kwh[:] = np.maximum(highest[:, None], result.energies(idle, idle))
    return result


_NUMBERS = {
    "energy_wh": 0.0,
    "min_wh": 0.0,
    "pump_max_wh": 0.0,
    "max_wh": 0.0,
    "standing_loss_per_h": 0.0,
    "backup_max_w": 0.0,
    "terminal_gbp_per_kwh": 0.0,
}
_GRIDS = {"comfort_wh": 0.0, "draw_w": 0.0, "heat_max_w": 0.0, "cop": 0.1}


def _windows(hygiene: HygieneProblem | None, dt_h: FloatArray, name: str) -> IndexArray:
    """Return (first, last) of each run of steps whose ends span ``hold_s`` before ``by_s``."""
    if hygiene is None:
        return np.empty((0, 2), dtype=np.int32)
    scalar(hygiene.energy_wh, f"{name}.energy_wh", 0.0)
    by_h = scalar(hygiene.by_s, f"{name}.by_s", 0.0) / 3600.0
    hold_h = scalar(hygiene.hold_s, f"{name}.hold_s", 0.0) / 3600.0
    ends = np.cumsum(dt_h)
    last = np.searchsorted(ends, ends + hold_h - 1e-9, side="left")
    first = np.arange(dt_h.size)
    fits = last < dt_h.size
    fits[fits] = ends[last[fits]] <= by_h + 1e-9
    return np.stack([first[fits], last[fits]], axis=1).astype(np.int32)
