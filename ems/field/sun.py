"""Where the sun stands and what falls on a plane.

References: Spencer (1971) for declination and the equation of time, Erbs, Klein and
Duffie (1982) for the diffuse share, isotropic sky for the tilted plane.
"""

from __future__ import annotations

import numpy as np

from ems.domain.forecasts import FloatArray

SOLAR_CONSTANT_W_M2 = 1361.0
ALBEDO = 0.2
LOW_SUN_COS = 0.05
"""Below about 3° of elevation all light counts as diffuse."""


def position(
    epoch_s: FloatArray, latitude_deg: float, longitude_deg: float
) -> tuple[FloatArray, FloatArray]:
    """Return the cosine of the zenith angle [-] and the azimuth [rad east of north].

    ``epoch_s`` is seconds since 1970-01-01 UTC, any shape.
    """
    days = epoch_s / 86400.0
    year_angle = 2.0 * np.pi * np.mod(days, 365.2425) / 365.2425
    declination = (
        0.006918
        - 0.399912 * np.cos(year_angle)
        + 0.070257 * np.sin(year_angle)
        - 0.006758 * np.cos(2 * year_angle)
        + 0.000907 * np.sin(2 * year_angle)
    )
    equation_min = 229.18 * (
        0.000075
        + 0.001868 * np.cos(year_angle)
        - 0.032077 * np.sin(year_angle)
        - 0.014615 * np.cos(2 * year_angle)
        - 0.040849 * np.sin(2 * year_angle)
    )
    solar_h = np.mod(days, 1.0) * 24.0 + longitude_deg / 15.0 + equation_min / 60.0
    hour_angle = np.radians(15.0 * (solar_h - 12.0))
    latitude = np.radians(latitude_deg)
    cos_zenith = np.sin(latitude) * np.sin(declination) + np.cos(latitude) * np.cos(
        declination
    ) * np.cos(hour_angle)
    azimuth = np.pi + np.arctan2(
        np.sin(hour_angle),
        np.cos(hour_angle) * np.sin(latitude) - np.tan(declination) * np.cos(latitude),
    )
    return np.asarray(cos_zenith), np.asarray(azimuth)


def extraterrestrial_w_m2(epoch_s: FloatArray, cos_zenith: FloatArray) -> FloatArray:
    """Return irradiance on the horizontal above the air [W/m²], zero at night."""
    year_angle = 2.0 * np.pi * np.mod(epoch_s / 86400.0, 365.2425) / 365.2425
    distance = 1.0 + 0.033 * np.cos(year_angle)
    return np.asarray(SOLAR_CONSTANT_W_M2 * distance * np.maximum(cos_zenith, 0.0))


def diffuse_share(clearness: FloatArray) -> FloatArray:
    """Return the diffuse share of horizontal irradiance by clearness index (Erbs)."""
    k = np.clip(clearness, 0.0, 1.0)
    middle = 0.9511 - 0.1604 * k + 4.388 * k**2 - 16.638 * k**3 + 12.336 * k**4
    return np.asarray(np.where(k <= 0.22, 1.0 - 0.09 * k, np.where(k <= 0.8, middle, 0.165)))


def on_plane(
    horizontal_w_m2: FloatArray,
    extraterrestrial: FloatArray,
    cos_zenith: FloatArray,
    azimuth: FloatArray,
    *,
    tilt_deg: float,
    facing_deg: float,
) -> FloatArray:
    """Return irradiance on a tilted plane [W/m²], shape of the inputs."""
    clearness = horizontal_w_m2 / np.maximum(extraterrestrial, 1.0)
    low = cos_zenith < LOW_SUN_COS
    share = np.where(low, 1.0, diffuse_share(clearness))
    diffuse = horizontal_w_m2 * share
    beam = (horizontal_w_m2 - diffuse) / np.maximum(cos_zenith, LOW_SUN_COS)
    tilt, facing = np.radians(tilt_deg), np.radians(facing_deg)
    sin_zenith = np.sqrt(np.maximum(1.0 - cos_zenith**2, 0.0))
    cos_incidence = np.cos(tilt) * cos_zenith + np.sin(tilt) * sin_zenith * np.cos(azimuth - facing)
    return np.asarray(
        beam * np.maximum(cos_incidence, 0.0)
        + diffuse * (1.0 + np.cos(tilt)) / 2.0
        + horizontal_w_m2 * ALBEDO * (1.0 - np.cos(tilt)) / 2.0
    )
