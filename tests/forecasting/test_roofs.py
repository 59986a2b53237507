"""Roofs of known tilt and azimuth, found from their meters: with clouds, shade, gaps and dirt.

The light on these roofs is made by another model of the sky (Perez) than the one that is
fitted, from irradiance that is off by fifteen per cent wherever clouds pass, and the panels
are warmed by real weather.
"""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from pvlib import irradiance, solarposition

from ems.domain.estate import PvArray
from forecasting.interface import Horizon
from forecasting.pv import Place, PvModel
from forecasting.roof import LEAST_SD, PRIOR_SD, nameplate
from forecasting.weather import PERFECT, FileWeather, read_weather

LONDON = Place(51.5, 0.0)
NAMEPLATE = PvArray("A-pv", 20e3, 30.0, 180.0)
SPRING, WINTER = datetime(2023, 5, 10, tzinfo=UTC), datetime(2023, 12, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def sky(weather_file):
    """Real weather of London."""
    return FileWeather(read_weather(weather_file), 51.5, 0.0, error=PERFECT)


def metered(sky, until, days, tilt, azimuth, *, loss=0.14, shade=0.0, gaps=0.0, cloud=0.15):
    """What such a roof's meter and the station's irradiance read, half-hours."""
    seen = sky.observed(until - timedelta(days=days), until)
    middle = pd.DatetimeIndex(seen.index) + pd.Timedelta(minutes=15)
    sun = solarposition.get_solarposition(middle, 51.5, 0.0)
    zenith, around = sun["zenith"].to_numpy(), sun["azimuth"].to_numpy()
    rng = np.random.default_rng(3)
    off = np.zeros(len(seen))
    for step in range(1, len(off)):
        off[step] = 0.7 * off[step - 1] + rng.normal(0.0, cloud * 0.714)
    here = seen["irradiance_w_m2"].to_numpy() * np.exp(off - cloud**2 / 2)
    parts = irradiance.erbs(here, zenith, middle.day_of_year.to_numpy())
    plane = irradiance.get_total_irradiance(
        tilt, azimuth, zenith, around, parts["dni"], here, parts["dhi"], albedo=0.2,
        dni_extra=irradiance.get_extra_radiation(middle.day_of_year.to_numpy()),
        model="perez-driesse",
    )["poa_global"]  # fmt: skip
    plane = np.nan_to_num(np.where(zenith < 90.0, plane, 0.0))
    warm = seen["outdoor_c"].to_numpy() + 0.028 * plane
    made = 20.0 * plane * (1.0 - 0.004 * (warm - 25.0)) * (1.0 - loss)
    made = np.minimum(np.where(around < 110.0, made * (1.0 - shade), made), 20e3)
    made[rng.random(len(made)) < gaps] = np.nan
    return seen.assign(power_w=-made)


def learnt(frame, until) -> PvModel:
    return PvModel("A", NAMEPLATE, LONDON).fit(frame, until)


def away_deg(first: float, second: float) -> float:
    return abs((first - second + 180.0) % 360.0 - 180.0)


@pytest.mark.parametrize("until", [SPRING, WINTER], ids=["spring", "winter"])
@pytest.mark.parametrize(
    ("tilt", "azimuth", "faults"),
    [
        (30, 180, {}),
        (45, 120, {}),
        (15, 240, {}),
        (35, 90, {"gaps": 0.5}),
        (25, 190, {"loss": 0.3}),
    ],
)
def test_a_roof_is_found_within_its_stated_error(sky, until, tilt, azimuth, faults):
    roof = learnt(metered(sky, until, 42, tilt, azimuth, **faults), until).roof
    print(
        f"{tilt}° {azimuth}°: {roof.tilt_deg:.0f} ± {roof.tilt_sd_deg:.0f}, "
        f"{roof.azimuth_deg:.0f} ± {roof.azimuth_sd_deg:.0f}, {roof.loss:.0%}"
    )
    assert roof.days >= 40
    assert roof.untold == () or away_deg(azimuth, 180) < 30, "else the nameplate may be right"
    assert abs(roof.tilt_deg - tilt) < 2 * roof.tilt_sd_deg
    assert away_deg(roof.azimuth_deg, azimuth) < 2 * roof.azimuth_sd_deg
    assert abs(roof.loss - faults.get("loss", 0.14)) < 2 * roof.loss_sd
    for error, least, prior in zip(
        (roof.tilt_sd_deg, roof.azimuth_sd_deg, roof.loss_sd), LEAST_SD, PRIOR_SD, strict=True
    ):
        assert least <= error <= prior


def test_an_eastern_roof_under_a_southern_nameplate_is_forecast_as_it_lies(sky):
    until = SPRING
    frame = metered(sky, until, 42, 35, 95)
    horizon = Horizon.following(until, 48)
    weather = sky.issue(until, 48)
    truth = -metered(sky, until + timedelta(days=1), 1, 35, 95, cloud=0.0)["power_w"].to_numpy()
    own = learnt(frame, until).predict(horizon, weather)[0]
    plate = PvModel("A", NAMEPLATE, LONDON).fit(frame.iloc[:0], until).predict(horizon, weather)[0]
    error, before = (np.abs(one.mean - truth).sum() / truth.sum() for one in (own, plate))
    print(f"a day ahead off by {error:.0%}, by the nameplate {before:.0%}")
    assert error < 0.5 * before
    assert own.model.startswith("roof learnt from its meter: tilt ")
    assert own.lacked == ()


def test_shade_bends_the_gains_and_does_not_turn_the_roof(sky):
    """Seven tenths of the morning sun are lost behind a tree, which is no roof to the west."""
    model = learnt(metered(sky, SPRING, 42, 30, 180, shade=0.7), SPRING)
    assert away_deg(model.roof.azimuth_deg, 180) < 20.0
    assert model.gain[6] < 0.6 * model.gain[12]
    truth = -metered(sky, SPRING + timedelta(days=1), 1, 30, 180, shade=0.7, cloud=0.0)["power_w"]
    made = model.predict(Horizon.following(SPRING, 48), sky.issue(SPRING, 48))[0]
    assert np.abs(made.mean - truth.to_numpy()).sum() < 0.15 * truth.sum()


@pytest.mark.parametrize("days", [0.3, 1])
def test_too_few_days_leave_the_nameplate_and_say_what_they_do_not_tell(sky, days):
    model = learnt(metered(sky, SPRING, days, 60, 270), SPRING)
    assert model.roof == nameplate(NAMEPLATE)
    said = model.predict(Horizon.following(SPRING, 48), sky.issue(SPRING, 48))[0].lacked
    assert any("do not tell tilt and azimuth and loss yet" in one or "none" in one for one in said)


def test_a_meter_that_cannot_tell_leaves_the_nameplate_and_says_so(sky):
    """Under a sky without a sun all roofs look alike, and only the loss can be told."""
    frame = metered(sky, WINTER, 40, 55, 250)
    frame["irradiance_w_m2"] *= 0.12
    frame["power_w"] = -20.0 * 0.7 * frame["irradiance_w_m2"]
    model = learnt(frame, WINTER)
    assert (model.roof.tilt_deg, model.roof.azimuth_deg) == (30.0, 180.0)
    assert model.roof.azimuth_sd_deg == PRIOR_SD[1]
    assert set(model.roof.untold) >= {"tilt", "azimuth"}
    horizon, weather = Horizon.following(WINTER, 48), sky.issue(WINTER, 48)
    said = model.predict(horizon, weather)[0]
    assert said.model.startswith("roof by its nameplate, ") and said.lacked == ()
    few = learnt(frame.iloc[-9 * 48 :], WINTER).predict(horizon, weather)[0]
    assert any("days do not tell tilt and azimuth" in one for one in few.lacked)


def test_refreshes_within_a_day_keep_the_roof_and_take_in_the_sun(sky):
    morning, later = SPRING.replace(hour=8), SPRING.replace(hour=15, minute=30)
    frame = metered(sky, SPRING + timedelta(days=1), 30, 40, 150)
    one, other = learnt(frame, morning), learnt(frame, later)
    assert one.roof == other.roof
    assert not np.array_equal(one.gain, other.gain)
    assert learnt(frame, morning + timedelta(days=1)).roof != one.roof
