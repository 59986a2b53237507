"""Which device shows which series: roles, points and their places in one long vector.

The simulation computes every quantity for all homes or blocks at once; the layout
says where one device's point stands among them.
"""

from __future__ import annotations

import numpy as np

from ems.domain.estate import Estate
from ems.domain.points import POINTS, PointId

METER = ("power_w", "voltage_v", "frequency_hz", "energy_import_kwh", "energy_export_kwh")
METER_3PH = (
    *("power_w", "power_l1_w", "power_l2_w", "power_l3_w", "voltage_v", "frequency_hz"),
    *("energy_import_kwh", "energy_export_kwh"),
)
PUMP = (
    *("power_w", "room_temperature_c", "outdoor_temperature_c", "flow_temperature_c"),
    *("return_temperature_c", "flow_rate_lpm", "tank_temperature_c", "operating_state"),
    *("compressor_on", "hot_water_on", "defrost_on", "fault", "heating_on", "heating_control"),
    *("sg_mode", "room_setpoint_c", "tank_setpoint_c"),
)
BATTERY = (
    *("power_w", "soc_pct", "energy_charged_kwh", "energy_discharged_kwh", "battery_mode"),
    *("battery_power_setpoint_w", "remote_timeout_s", "remote_timeout_action"),
)
HEAT_METER = ("heat_w", "flow_temperature_c", "return_temperature_c", "flow_rate_lpm")
INVERTER = (
    *("power_w", "energy_generated_kwh", "inverter_state", "frequency_hz"),
    *("power_limit_pct", "power_limit_on", "power_limit_timeout_s"),
)
ROLES = (
    ("home_meter", False, METER),
    ("heat_pump_meter", False, METER),
    ("heat_pump", False, PUMP),
    ("room_sensor", False, ("temperature_c", "humidity_pct")),
    ("block_meter", True, METER_3PH),
    ("landlord_meter", True, METER_3PH),
    ("pv", True, INVERTER),
    ("battery", True, BATTERY),
    ("heat_meter", False, HEAT_METER),
)
"""Role, whether it is the block's, and its points: in the order of the simulation's series."""


class PointLayout:
    """Places of all points of an estate.

    Parameters
    ----------
    estate
        The configuration.

    Attributes
    ----------
    where
        Point → place among all series (also of flags that a profile only composes).
    offered
        The canonical points that the devices' profiles offer, device by device.
    select
        Places of `offered` among all series.
    place
        Point → place in `offered`.
    rows
        Device → places of its points in `offered`.
    """

    def __init__(self, estate: Estate) -> None:
        self._by_role = {
            (device.role, device.dwelling_id or device.block_id): device.id
            for device in estate.devices.values()
        }
        homes = [home.id for home in estate.dwellings()]
        blocks = [block.id for block in estate.blocks]
        self.where: dict[PointId, int] = {}
        place = 0
        for role, of_block, points in ROLES:
            owners = blocks if of_block else homes
            for point in points:
                for owner in owners:
                    device_id = self.device_of(role, owner)
                    if device_id is not None:
                        self.where[PointId(device_id, point)] = place
                    place += 1
        self.offered = tuple(
            PointId(device.id, point)
            for device in estate.devices.values()
            for point in (*device.profile.points, *(device.profile.composed or ()))
            if point in POINTS[device.device_class] and PointId(device.id, point) in self.where
        )
        self.select = np.array([self.where[point] for point in self.offered], dtype=np.int64)
        self.place = {point: number for number, point in enumerate(self.offered)}
        self.rows: dict[str, list[int]] = {}
        for number, point_id in enumerate(self.offered):
            self.rows.setdefault(point_id.device_id, []).append(number)

    def device_of(self, role: str, owner: str) -> str | None:
        """Return the device with this role of a home or block, ``None`` where there is none."""
        return self._by_role.get((role, owner))
