"""Planning against thermostats at equal warmth: by hand, and what must always hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ems.backtest.comparison import QUANTITIES, Comparison
from ems.backtest.fairness import fairness, signed_gini
from ems.backtest.verdicts import verdicts
from ems.demo.figures import level_at

KH = "degree_hours_below_schedule"
Case = dict[str, Any]


def week_table(kh: list[float], gbp: list[float]) -> Case:
    """Return a run's weeks; carbon, energy and peak go with the cost."""
    return {KH: kh, **dict.fromkeys(QUANTITIES.values(), gbp)}


def a_case(**runs: tuple[list[float], list[float]]) -> Case:
    """Return two weeks of two homes, with the frontier of the worked example."""
    frontier = [
        {"shift_k": -1.0, **week_table([10.0, 30.0], [40.0, 50.0])},
        {"shift_k": 0.0, **week_table([4.0, 8.0], [50.0, 60.0])},
        {"shift_k": 1.0, **week_table([1.0, 1.0], [60.0, 72.0])},
    ]
    return {
        "id": "one",
        "window": "w",
        "seed": 1,
        "homes": 2,
        "weeks": {
            "count": 2,
            "lengths": [1.0, 1.0],
            "frontier": frontier,
            "runs": {
                "thermostat": week_table([4.0, 8.0], [50.0, 60.0]),
                **{name: week_table(*weeks) for name, weeks in runs.items()},
            },
        },
    }


def test_the_worked_example_of_the_documentation() -> None:
    """Every number of this test was worked out by hand."""
    found = Comparison(
        [a_case(planned=([6.0, 12.0], [45.0, 51.0]), perfect_foresight=([4.0, 8.0], [42.0, 48.0]))]
    )
    cost = found.reductions("planned")["cost"]
    # 18 K·h lie between 12 (£110) and 40 (£90): thermostats would have cost £105.71.
    level = 110.0 - 20.0 * 6.0 / 28.0
    assert cost["share"]["value"] == pytest.approx((level - 96.0) / level)
    assert cost["amount"]["value"] == pytest.approx((level - 96.0) / 4.0)  # two homes, two weeks
    assert cost["raw_share"]["value"] == pytest.approx(14.0 / 110.0)
    # One week of two is drawn and counts twice, so that each end is one week by itself.
    first = 100.0 - 20.0 * 4.0 / 12.0
    second = 120.0 - 20.0 * 8.0 / 44.0
    assert cost["share"]["low"] == pytest.approx((first - 90.0) / first)
    assert cost["share"]["high"] == pytest.approx((second - 102.0) / second)
    captured = found.captured()
    assert captured is not None
    assert captured["equal_warmth"]["value"] == pytest.approx((level - 96.0) / 20.0)
    assert captured["raw"]["value"] == pytest.approx(14.0 / 20.0)


def test_a_run_beyond_the_frontier_is_said_to_be() -> None:
    found = Comparison([a_case(planned=([0.5, 0.5], [45.0, 51.0]))]).reductions("planned")
    assert (found["cases"], found["frontier_reached"]) == (1, 0)
    assert found["cost"]["share"]["value"] == pytest.approx((132.0 - 96.0) / 132.0)


@given(
    st.lists(st.floats(1.0, 1e3), min_size=2, max_size=6),
    st.floats(-0.5, 0.9),
)
def test_the_same_share_less_in_every_week_is_known_for_certain(
    costs: list[float], share: float
) -> None:
    kh = [float(number) for number in range(len(costs))]
    case = a_case()
    case["weeks"] |= {
        "count": len(costs),
        "lengths": [1.0] * len(costs),
        "frontier": [{"shift_k": 0.0, **week_table(kh, costs)}],
        "runs": {
            "thermostat": week_table(kh, costs),
            "planned": week_table(kh, [cost * (1.0 - share) for cost in costs]),
        },
    }
    found = Comparison([case]).reductions("planned")["cost"]["share"]
    assert [found[end] for end in ("value", "low", "high")] == pytest.approx([share] * 3, abs=1e-9)


@given(st.data())
def test_levels_lie_on_straight_lines_between_points_in_any_order(data: st.DataObject) -> None:
    kh = data.draw(st.lists(st.integers(0, 50), min_size=1, max_size=7, unique=True))
    values = data.draw(st.lists(st.floats(0, 100), min_size=len(kh), max_size=len(kh)))
    wanted = data.draw(st.lists(st.floats(-5, 60), min_size=1, max_size=4))
    points = sorted(zip(kh, values, strict=True))
    level, reached = level_at(
        np.repeat(np.array(kh, dtype=float)[:, None], len(wanted), axis=1),
        np.repeat(np.array(values)[:, None], len(wanted), axis=1),
        np.array(wanted),
    )
    expected = np.interp(wanted, [point[0] for point in points], [point[1] for point in points])
    np.testing.assert_allclose(level, expected, atol=1e-9)
    assert reached.tolist() == [min(kh) <= one <= max(kh) for one in wanted]


def test_of_equally_warm_thermostats_the_cheapest_counts() -> None:
    kh, values = np.array([5.0, 5.0, 9.0]), np.array([70.0, 60.0, 40.0])
    assert float(level_at(kh, values, np.asarray(5.0))[0]) == 60.0
    assert float(level_at(kh, values, np.asarray(7.0))[0]) == 50.0


def test_without_perfect_foresight_no_share_of_it_is_claimed() -> None:
    case = a_case(planned=([6.0, 12.0], [45.0, 51.0]))
    assert Comparison([case]).captured() is None
    assert Comparison([case]).having("planned", window="another") == []


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=30), st.floats(0.1, 10.0))
def test_unevenness_is_bounded_and_knows_no_unit(gains: list[float], factor: float) -> None:
    found = signed_gini(gains)
    assert 0.0 <= found <= 1.0
    assert signed_gini([gain * factor for gain in gains]) == pytest.approx(found, abs=1e-6)
    apart = sum(abs(one - other) for one in gains for other in gains)
    whole = 2 * (len(gains) - 1) * sum(abs(gain) for gain in gains)
    assert found == pytest.approx(apart / whole if whole > 1e-9 else found, abs=1e-6)


def test_who_gains_and_who_loses_is_named() -> None:
    own = [{"id": home, "bill_gbp": 100.0, "credit_gbp": 0.0} for home in ("A", "B", "C")]
    after = [
        {"id": "A", "bill_gbp": 90.0, "credit_gbp": 2.0},
        {"id": "B", "bill_gbp": 103.0, "credit_gbp": 0.0},
        {"id": "C", "bill_gbp": 100.0, "credit_gbp": 0.0},
    ]
    found = fairness(own, after, {"A": 0.2, "B": -1.0, "C": 0.6})
    assert found["largest_loser"] == {"id": "B", "gain_gbp": -3.0, "gain_pct": -3.0}
    assert found["homes_paying_more"] == 1
    assert found["mean_gain_gbp"] == pytest.approx(3.0)
    assert found["gini"] == pytest.approx(1.0)  # all that is gained at A, all that is lost at B
    assert found["homes_worse"] == ["C"]
    assert found["largest_loss_of_warmth"] == {"id": "C", "kh_per_week": 0.6}


def judged(cold_kh: float, worse_kh: float, share: float) -> dict[str, str]:
    """Return the verdicts on one case."""
    case = {
        "window": "w",
        "seed": 1,
        "runs": {
            "thermostat": {"degree_hours_below_18": 4.0},
            "planned": {"degree_hours_below_18": cold_kh},
        },
        "comparison": {"planned": {"change_kh_per_week": {"A": -3.0, "B": worse_kh}}},
    }
    captured = {"cases": 1, "aim": 0.85, "equal_warmth": {"value": share}}
    return {one["promise"]: one["verdict"] for one in verdicts([case], captured)}


@pytest.mark.parametrize(
    ("cold_kh", "worse_kh", "share", "missed"),
    [
        (4.0, 0.5, 0.85, set()),
        (4.01, 0.0, 0.9, {"never_colder"}),
        (3.0, 0.51, 0.9, {"no_home_worse"}),
        (3.0, 0.0, 0.849, {"foresight"}),
        (3.0, 0.0, float("nan"), {"foresight"}),
    ],
)
def test_each_promise_is_missed_by_what_breaks_it(
    cold_kh: float, worse_kh: float, share: float, missed: set[str]
) -> None:
    found = judged(cold_kh, worse_kh, share)
    assert {name for name, verdict in found.items() if verdict == "missed"} == missed
    assert len(found) == 3
