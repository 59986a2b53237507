"""Limits that simulated inverters are given: in force, kept over a restart, and lapsing."""

from __future__ import annotations

import numpy as np

from ems.field.pv_limits import PvLimits


def test_a_limit_holds_until_nobody_renews_it() -> None:
    limits = PvLimits(np.array([24000.0, 28000.0]))
    sun = np.array([20000.0, 20000.0])
    assert limits.write(0, "power_limit_pct", 50.0, 0.0)
    assert limits.limited(sun, 10.0).tolist() == [20000.0, 20000.0]  # not switched on
    limits.write(0, "power_limit_on", 1.0, 20.0)
    assert limits.limited(sun, 30.0).tolist() == [12000.0, 20000.0]
    again = PvLimits(np.array([24000.0, 28000.0]))
    again.restore(limits.dump())
    assert again.limited(sun, 319.0).tolist() == [12000.0, 20000.0]
    assert again.limited(sun, 320.0).tolist() == [20000.0, 20000.0]
    assert again.shown[1].tolist() == [0.0, 0.0]


def test_what_an_inverter_does_not_know_is_refused() -> None:
    assert not PvLimits(np.array([1.0])).write(0, "sg_mode", 2.0, 0.0)
