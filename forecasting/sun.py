"""Where the sun stands, and what a tilted panel makes of horizontal irradiance: pvlib's models.

Free functions over arrays. Angles in degrees, azimuth clockwise from north. pvlib is imported
where it is used, so that programs which only read forecasts do not load it.

References
----------
pvlib: its ephemeris for the sun, the Haurwitz clear sky, the diffuse share by Erbs and others
(1982), the sky by Hay and Davies (1980).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from ems.domain.forecasts import FloatArray

ALBEDO = 0.2
"""Share of light that the ground throws back [-]."""
_HIGHEST_ZENITH = 87.0
"""With the sun lower than this all light counts as diffuse [°]."""


@dataclass(frozen=True, slots=True, eq=False)
class SunPosition:
    """The sun at some instants, each array of shape (n,).

    Attributes
    ----------
    zenith_deg
        From overhead [°]; above 90 the sun is below the horizon.
    azimuth_deg
        Clockwise from north [°].
    solar_hour
        True solar time [h], 12 at the sun's highest.
    extraterrestrial_w_m2
        Irradiance outside the atmosphere on a plane facing the sun [W/m²].
    """

    zenith_deg: FloatArray = field(repr=False)
    azimuth_deg: FloatArray = field(repr=False)
    solar_hour: FloatArray = field(repr=False)
    extraterrestrial_w_m2: FloatArray = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Light:
    """What reaches the ground at some instants, each of shape (n,) [W/m²]; ``nan`` stays ``nan``.

    Attributes
    ----------
    horizontal, diffuse
        All light on a horizontal plane, and that of the sky alone.
    beam
        Straight from the sun, on a plane facing it.
    """

    horizontal: FloatArray = field(repr=False)
    diffuse: FloatArray = field(repr=False)
    beam: FloatArray = field(repr=False)


def sun_position(instants: pd.DatetimeIndex, latitude: float, longitude: float) -> SunPosition:
    """Return where the sun stands at ``instants`` (UTC), place in degrees north and east."""
    from pvlib import irradiance, solarposition

    if not len(instants):
        nothing = np.empty(0)
        return SunPosition(nothing, nothing, nothing, nothing)
    sun = solarposition.ephemeris(instants, latitude, longitude)
    return SunPosition(
        zenith_deg=sun["zenith"].to_numpy(dtype=np.float64),
        azimuth_deg=sun["azimuth"].to_numpy(dtype=np.float64),
        solar_hour=sun["solar_time"].to_numpy(dtype=np.float64) % 24.0,
        extraterrestrial_w_m2=np.asarray(
            irradiance.get_extra_radiation(instants.day_of_year.to_numpy()), dtype=np.float64
        ),
    )


def clear_sky_w_m2(sun: SunPosition) -> FloatArray:
    """Return horizontal irradiance under a clear sky [W/m²], zero at night."""
    from pvlib import clearsky

    found = clearsky.haurwitz(pd.Series(sun.zenith_deg))
    return np.asarray(found["ghi"].to_numpy(), dtype=np.float64)


def light_of(irradiance_w_m2: FloatArray, sun: SunPosition) -> Light:
    """Return horizontal irradiance [W/m²] parted into sky and sun."""
    from pvlib import irradiance

    parts = irradiance.erbs_driesse(
        irradiance_w_m2,
        sun.zenith_deg,
        dni_extra=sun.extraterrestrial_w_m2,
        max_zenith=_HIGHEST_ZENITH,
    )
    beam = np.minimum(np.asarray(parts["dni"]), sun.extraterrestrial_w_m2)
    return Light(irradiance_w_m2, np.asarray(parts["dhi"]), beam)


def on_plane_w_m2(
    light: Light, sun: SunPosition, tilt_deg: float, azimuth_deg: float
) -> FloatArray:
    """Return irradiance on a tilted plane [W/m²], shape of ``light``'s arrays.

    ``sun`` holds positions at the middle of the same steps; a tilt of 0 is flat.
    """
    from pvlib import irradiance

    found = irradiance.get_total_irradiance(
        tilt_deg,
        azimuth_deg,
        sun.zenith_deg,
        sun.azimuth_deg,
        dni=light.beam,
        ghi=light.horizontal,
        dhi=light.diffuse,
        dni_extra=sun.extraterrestrial_w_m2,
        albedo=ALBEDO,
        model="haydavies",
    )
    plane = np.asarray(found["poa_global"], dtype=np.float64)
    return np.where(sun.zenith_deg < 91.0, plane, 0.0)


def on_tilted_plane_w_m2(
    irradiance_w_m2: FloatArray, sun: SunPosition, tilt_deg: float, azimuth_deg: float
) -> FloatArray:
    """Return `on_plane_w_m2` of horizontal irradiance [W/m²]."""
    return on_plane_w_m2(light_of(irradiance_w_m2, sun), sun, tilt_deg, azimuth_deg)
