"""What differs by home: drawn once from the seed around what the certificate says.

A home's draws depend on the seed and its own id alone, so that adding a home does
not change its neighbours. Real homes differ from their certificates, and so do
these.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from ems.domain.errors import InvalidInputError
from ems.domain.estate import Dwelling, Estate
from ems.domain.forecasts import FloatArray
from ems.field.parameters import FieldParameters, Quirk

LOSS_W_PER_K_M2 = {"A": 0.8, "B": 1.1, "C": 1.5, "D": 2.0, "E": 2.6, "F": 3.2, "G": 3.8}
"""Middle of the heat-loss coefficient per floor area by band [W/(K·m²)]."""

DESIGN_OUTDOOR_C = -2.0
DESIGN_ROOM_C = 20.5
STOREY_M = 2.4


@dataclass(frozen=True)
class Traits:
    """Hidden parameters of all homes; every array has shape (homes,).

    Attributes
    ----------
    ids, block
        Dwelling ids, and the index of each home's block.
    vent_w_per_k, window_w_per_k, fabric_w_per_k
        Losses: ventilation at 4 m/s of wind, panes (both from the air), walls (from the
        fabric) [W/K].
    coupling_w_per_k
        Between air and fabric [W/K].
    air_j_per_k, fabric_j_per_k
        Heat capacities [J/K].
    aperture_m2, facing_deg
        Effective window area and the direction it looks to [m²], [° from north].
    airing_chance, airing_w_per_k
        Chance of a morning airing, and what the open window adds [W/K].
    volume_m3, occupants, works
        Air volume, people, and whether the home is empty on working days.
    litres_a_day
        Hot water drawn, as litres at 40 °C.
    party_w_per_k
        Party walls, symmetric, shape (homes, homes) [W/K].
    emitter_w_per_k, circuit_j_per_k, flow_lpm
        Radiators: heat per kelvin above the room; water and steel; circulation.
    curve_offset_k, room_sense_k, sensor_offset_k
        Installer's shift of the heating curve; errors of the pump's own room thermostat
        and of the room sensor [K].
    capacity_w, capacity_share, quality
        Heat output at 7 °C, share of it left by a fault, share of the Carnot limit.
    min_modulation, design_flow_c
        Nameplate.
    min_on_s, min_off_s
        Compressor protection [s].
    standby_w, pump_w
        Electric power at rest, and of the circulation pump [W].
    tank_j_per_k, tank_loss_w_per_k, tank_band_k
        Hot-water tank: capacity, loss, hysteresis.
    tank_timer_h
        Local hours of the tank's own timer, shape (homes, 2, 2): two windows, start and end.
    chosen_c
        Temperature set at the device by the resident instead of the schedule; nan if none.
    """

    ids: tuple[str, ...]
    block: np.ndarray[tuple[int], np.dtype[np.int64]]
    vent_w_per_k: FloatArray
    window_w_per_k: FloatArray
    fabric_w_per_k: FloatArray
    coupling_w_per_k: FloatArray
    air_j_per_k: FloatArray
    fabric_j_per_k: FloatArray
    aperture_m2: FloatArray
    facing_deg: FloatArray
    airing_chance: FloatArray
    airing_w_per_k: FloatArray
    volume_m3: FloatArray
    occupants: FloatArray
    works: FloatArray
    litres_a_day: FloatArray
    party_w_per_k: FloatArray
    emitter_w_per_k: FloatArray
    circuit_j_per_k: FloatArray
    flow_lpm: FloatArray
    curve_offset_k: FloatArray
    room_sense_k: FloatArray
    sensor_offset_k: FloatArray
    capacity_w: FloatArray
    capacity_share: FloatArray
    quality: FloatArray
    min_modulation: FloatArray
    design_flow_c: FloatArray
    min_on_s: FloatArray
    min_off_s: FloatArray
    standby_w: FloatArray
    pump_w: FloatArray
    tank_j_per_k: FloatArray
    tank_loss_w_per_k: FloatArray
    tank_band_k: FloatArray
    tank_timer_h: FloatArray
    chosen_c: FloatArray

    @property
    def loss_w_per_k(self) -> FloatArray:
        """Whole heat-loss coefficient to outdoors at 4 m/s of wind [W/K]."""
        walls = 1.0 / (1.0 / self.coupling_w_per_k + 1.0 / self.fabric_w_per_k)
        return self.vent_w_per_k + self.window_w_per_k + walls


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """Return a generator that depends on the seed and these names alone."""
    keys = [name if isinstance(name, int) else zlib.crc32(name.encode()) for name in names]
    return np.random.default_rng([seed, *keys])


def draw_traits(estate: Estate, parameters: FieldParameters) -> Traits:
    """Draw the hidden parameters of every home.

    Raises
    ------
    InvalidInputError
        Where the parameters name a home that the estate does not have.
    """
    dwellings = list(estate.dwellings())
    _check_names(dwellings, parameters)
    rows = [_draw_home(home, parameters) for home in dwellings]
    block_index = {block.id: index for index, block in enumerate(estate.blocks)}
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return Traits(
        ids=tuple(home.id for home in dwellings),
        block=np.array([block_index[home.block_id] for home in dwellings]),
        party_w_per_k=_party_walls(dwellings, parameters),
        **columns,
    )


def _check_names(dwellings: list[Dwelling], parameters: FieldParameters) -> None:
    known = {home.id for home in dwellings}
    planted = parameters.planted
    for where, names in (
        ("homes", parameters.quirks),
        ("planted.capacity_share", planted.capacity_share),
        ("planted.chosen_c", planted.chosen_c),
        ("planted.silent_days", planted.silent_days),
    ):
        for name in names:
            if name not in known:
                raise InvalidInputError(
                    "no such home in the estate",
                    field=f"field: {where}",
                    value=name,
                    remedy="Name a dwelling of the estate's configuration.",
                )


def _draw_home(home: Dwelling, parameters: FieldParameters) -> dict[str, object]:
    rng = generator(parameters.seed, "home", home.id)
    quirk = parameters.quirks.get(home.id, Quirk())
    area = home.floor_area_m2
    pump = home.heat_pump
    loss = LOSS_W_PER_K_M2[home.epc_band] * area * rng.lognormal(0.0, 0.16) * quirk.loss_factor
    vent_share = rng.uniform(0.24, 0.36)
    people = 1 + int(rng.binomial(3, min(0.75, area / 120.0)))
    if quirk.occupants is not None:
        people = quirk.occupants
    coupling = area * rng.uniform(6.0, 8.0)
    walls = loss * (0.74 - vent_share)
    design_heat = loss * (DESIGN_ROOM_C - DESIGN_OUTDOOR_C)
    evening = rng.uniform(13.0, 15.5)
    morning = rng.uniform(3.5, 5.0)
    airing = rng.choice([0.15, 0.4, 0.8], p=[0.4, 0.4, 0.2])
    carnot = (35.0 + 4.0 + 273.15) / (35.0 - 7.0 + 8.0)
    planted = parameters.planted
    return {
        "vent_w_per_k": loss * vent_share,
        "window_w_per_k": loss * 0.26,
        "fabric_w_per_k": 1.0 / (1.0 / walls - 1.0 / coupling),
        "coupling_w_per_k": coupling,
        "air_j_per_k": area * rng.uniform(11.0, 17.0) * 3600.0,
        "fabric_j_per_k": area * rng.uniform(45.0, 95.0) * 3600.0,
        "aperture_m2": area * rng.uniform(0.035, 0.07),
        "facing_deg": float(rng.choice([90.0, 135.0, 180.0, 225.0, 270.0])),
        "airing_chance": float(airing if quirk.airing is None else quirk.airing),
        "airing_w_per_k": rng.uniform(40.0, 110.0),
        "volume_m3": area * STOREY_M,
        "occupants": float(people),
        "works": float(rng.random() < 0.45),
        "litres_a_day": (20.0 + 24.0 * people) * rng.lognormal(0.0, 0.25),
        "emitter_w_per_k": design_heat * rng.uniform(1.25, 1.6) / (pump.design_flow_c - 23.0),
        "circuit_j_per_k": area * rng.uniform(0.9, 1.4) * 4186.0,
        "flow_lpm": rng.uniform(11.0, 16.0),
        "curve_offset_k": rng.normal(0.0, 1.5),
        "room_sense_k": rng.uniform(-0.3, 0.05),
        "sensor_offset_k": rng.uniform(-0.1, 0.2),
        "capacity_w": pump.rated_heat_w * rng.uniform(0.95, 1.05),
        "capacity_share": planted.capacity_share.get(home.id, 1.0),
        "quality": pump.rated_cop / carnot * rng.uniform(0.85, 1.0),
        "min_modulation": pump.min_modulation,
        "design_flow_c": pump.design_flow_c,
        "min_on_s": float(rng.choice([360.0, 480.0, 600.0])),
        "min_off_s": float(rng.choice([180.0, 300.0, 420.0])),
        "standby_w": rng.uniform(9.0, 22.0),
        "pump_w": rng.uniform(28.0, 55.0),
        "tank_j_per_k": rng.choice([150.0, 170.0, 200.0]) * 4186.0,
        "tank_loss_w_per_k": rng.uniform(1.1, 1.9),
        "tank_band_k": rng.uniform(5.0, 8.0),
        "tank_timer_h": [[morning, morning + 3.0], [evening, evening + 3.0]],
        "chosen_c": planted.chosen_c.get(home.id, np.nan),
    }


def _party_walls(dwellings: list[Dwelling], parameters: FieldParameters) -> FloatArray:
    """Couple each home with the next on its floor and the one above, within its block."""
    count = len(dwellings)
    coupling = np.zeros((count, count))
    places: dict[tuple[str, int, int], int] = {}
    seen: dict[str, int] = {}
    for index, home in enumerate(dwellings):
        number = seen.get(home.block_id, 0)
        seen[home.block_id] = number + 1
        floor, place = divmod(number, parameters.homes_per_floor)
        places[home.block_id, floor, place] = index
    for (block, floor, place), index in places.items():
        rng = generator(parameters.seed, "walls", dwellings[index].id)
        beside, above = rng.uniform(6.0, 14.0), rng.uniform(8.0, 20.0)
        for other, conductance in (
            (places.get((block, floor, place + 1)), beside),
            (places.get((block, floor + 1, place)), above),
        ):
            if other is not None:
                coupling[index, other] = coupling[other, index] = conductance
    return coupling
