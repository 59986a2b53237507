"""Where the sun stands, and what a tilted panel makes of horizontal irradiance.

Free functions over arrays. Angles in degrees at the edges, azimuth clockwise from
north. Accurate to about half a degree, which is enough for half-hours.

References
----------
J. W. Spencer (1971), Fourier series representation of the position of the sun.
D. G. Erbs, S. A. Klein, J. A. Duffie (1982), Estimation of the diffuse radiation
fraction for hourly, daily and monthly-average global radiation.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from ems.domain.forecasts import FloatArray
from forecasting.interface import epoch_s

SOLAR_CONSTANT_W_M2 = 1361.0
ALBEDO = 0.2


@dataclass(frozen=True, slots=True, eq=False)
class SunPosition:
    """The sun at some instants, each array of shape (n,).

    Attributes
    ----------
    sin_elevation
        Sine of the elevation [-]; negative below the horizon.
    azimuth_deg
        Clockwise from north [°].
    solar_hour
        True solar time [h], 12 at the sun's highest.
    extraterrestrial_w_m2
        Irradiance outside the atmosphere on a plane facing the sun [W/m²].
    """

    sin_elevation: FloatArray = field(repr=False)
    azimuth_deg: FloatArray = field(repr=False)
    solar_hour: FloatArray = field(repr=False)
    extraterrestrial_w_m2: FloatArray = field(repr=False)


def sun_position(instants: pd.DatetimeIndex, latitude: float, longitude: float) -> SunPosition:
    """Return where the sun stands at ``instants`` (UTC), place in degrees north and east."""
    seconds = epoch_s(instants).astype(np.float64)
    day_of_year = np.asarray(instants.day_of_year, dtype=np.float64)
    hour = seconds % 86400.0 / 3600.0
    b = 2.0 * np.pi * (day_of_year - 1.0 + hour / 24.0) / 365.25
    declination = (
        0.006918
        - 0.399912 * np.cos(b)
        + 0.070257 * np.sin(b)
        - 0.006758 * np.cos(2 * b)
        + 0.000907 * np.sin(2 * b)
    )
    equation_h = (
        229.18
        / 60.0
        * (
            0.000075
            + 0.001868 * np.cos(b)
            - 0.032077 * np.sin(b)
            - 0.014615 * np.cos(2 * b)
            - 0.040849 * np.sin(2 * b)
        )
    )
    solar_hour = (hour + longitude / 15.0 + equation_h) % 24.0
    angle = np.radians(15.0 * (solar_hour - 12.0))
    north = np.radians(latitude)
    sin_elevation = np.sin(north) * np.sin(declination) + np.cos(north) * np.cos(
        declination
    ) * np.cos(angle)
    east = -np.cos(declination) * np.sin(angle)
    to_north = np.cos(north) * np.sin(declination) - np.sin(north) * np.cos(declination) * np.cos(
        angle
    )
    return SunPosition(
        sin_elevation=sin_elevation,
        azimuth_deg=np.degrees(np.arctan2(east, to_north)) % 360.0,
        solar_hour=solar_hour,
        extraterrestrial_w_m2=SOLAR_CONSTANT_W_M2 * (1.0 + 0.033 * np.cos(b)),
    )


def clear_sky_w_m2(sun: SunPosition) -> FloatArray:
    """Return horizontal irradiance under a clear sky [W/m²], zero at night.

    The Haurwitz model: ``1098 sin(h) exp(-0.057 / sin(h))``.
    """
    up = np.maximum(sun.sin_elevation, 1e-3)
    clear = 1098.0 * up * np.exp(-0.057 / up)
    return np.where(sun.sin_elevation > 0, clear, 0.0)


def on_tilted_plane_w_m2(
    irradiance_w_m2: FloatArray, sun: SunPosition, tilt_deg: float, azimuth_deg: float
) -> FloatArray:
    """Return irradiance on a tilted plane [W/m²], shape of ``irradiance_w_m2``.

    Parameters
    ----------
    irradiance_w_m2
        Global horizontal irradiance [W/m²]; ``nan`` stays ``nan``.
    sun
        Positions at the middle of the same steps.
    tilt_deg, azimuth_deg
        Of the plane; 0 is flat, azimuth clockwise from north.
    """
    up = sun.sin_elevation
    clearness = np.clip(
        irradiance_w_m2 / (sun.extraterrestrial_w_m2 * np.maximum(up, 0.05)), 0.0, 1.0
    )
    diffuse_share = np.where(
        clearness <= 0.22,
        1.0 - 0.09 * clearness,
        0.9511
        - 0.1604 * clearness
        + 4.388 * clearness**2
        - 16.638 * clearness**3
        + 12.336 * clearness**4,
    )
    diffuse_share = np.where(clearness > 0.8, 0.165, diffuse_share)
    diffuse = diffuse_share * irradiance_w_m2
    beam_normal = np.minimum(
        (irradiance_w_m2 - diffuse) / np.maximum(up, 0.05), sun.extraterrestrial_w_m2
    )
    tilt = np.radians(tilt_deg)
    cos_elevation = np.sqrt(np.clip(1.0 - up**2, 0.0, 1.0))
    facing = up * np.cos(tilt) + cos_elevation * np.sin(tilt) * np.cos(
        np.radians(sun.azimuth_deg - azimuth_deg)
    )
    plane = (
        np.where(up > 0, beam_normal * np.maximum(facing, 0.0), 0.0)
        + diffuse * (1.0 + np.cos(tilt)) / 2.0
        + irradiance_w_m2 * ALBEDO * (1.0 - np.cos(tilt)) / 2.0
    )
    return np.asarray(np.where(up > -0.02, plane, 0.0), dtype=np.float64)
