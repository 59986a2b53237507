"""The roll-up kernel against figures worked out by hand and against its readable twin."""

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ems.domain.errors import InvalidInputError
from ems.domain.points import PointKind
from ext.rollup import RollupArrays, roll_up
from ext.rollup_reference import roll_up_one

MINUTE = 60_000_000
NAN = math.nan


def one(times, values, kind, quality=None, **options) -> RollupArrays:
    """Roll one series up, minutes in, half-hours from 0 unless said."""
    given_options = {"start_us": 0, "slots": 2, "max_hold_us": 10 * MINUTE, "step_us": 30 * MINUTE}
    return roll_up(
        np.array(times, dtype=np.int64) * MINUTE,
        values,
        [0] * len(values) if quality is None else quality,
        [kind],
        **(given_options | options),
    )


def rows(result: RollupArrays) -> list[list[float]]:
    return np.stack([result.mean[0], result.low[0], result.high[0], result.coverage[0]]).T.tolist()


@pytest.mark.parametrize(
    ("times", "values", "kind", "quality", "expected"),
    [
        # A gauge is weighed by time: 1 for 10 minutes, 4 for 5.
        ([0, 10, 15], [1, 4, 4], "gauge", None, [[2.8, 1, 4, 25 / 30], [NAN, NAN, NAN, 0]]),
        # A value holds into the next half-hour, but no longer than ten minutes.
        ([25], [7], "gauge", None, [[7, 7, 7, 5 / 30], [7, 7, 7, 5 / 30]]),
        # What was read before the first half-hour holds into it.
        ([-4], [3], "gauge", None, [[3, 3, 3, 6 / 30], [NAN, NAN, NAN, 0]]),
        # A reading without a value ends the one before it: nothing is filled in.
        ([0, 5, 9], [1, NAN, 2], "gauge", [0, 4, 0], [[5 / 3, 1, 2, 0.5], [NAN, NAN, NAN, 0]]),
        # A value that is not good is not used, whatever it says; nor is one that is no number.
        ([0, 5], [1, 99], "gauge", [0, 1], [[1, 1, 1, 5 / 30], [NAN, NAN, NAN, 0]]),
        ([0, 5], [NAN, math.inf], "gauge", [0, 0], [[NAN, NAN, NAN, 0]] * 2),
        # A state's last value stands.
        ([0, 10, 20, 30], [2, 3, 1, 0], "state", None, [[1, 1, 3, 1], [0, 0, 0, 1 / 3]]),
        # A counter's rise ends with the value read at the half-hour's end.
        (
            [0, 10, 20, 30, 40],
            [5, 6, 7, 9, 10],
            "counter",
            None,
            [[4, 6, 9, 1], [1, 10, 10, 2 / 3]],
        ),
        # A reset: what it counted before and after is known, the fall itself is not.
        ([0, 10, 20, 30], [50, 51, 1, 2], "counter", None, [[2, 1, 51, 2 / 3], [NAN, NAN, NAN, 0]]),
        # A fall that the counter comes back from was a glitch, and so was a jump.
        ([0, 5, 8, 20], [50, 0, 51, 52], "counter", None, [[2, 51, 52, 1], [NAN, NAN, NAN, 0]]),
        ([0, 5, 8, 20], [50, 900, 51, 52], "counter", None, [[2, 51, 52, 1], [NAN, NAN, NAN, 0]]),
        # A long gap within one half-hour is that half-hour's; across its edge it is nobody's.
        ([0, 25], [1, 3], "counter", None, [[2, 3, 3, 1], [NAN, NAN, NAN, 0]]),
        ([20, 40], [1, 3], "counter", None, [[NAN, 1, 1, 0], [NAN, 3, 3, 0]]),
        # One value alone tells no rise; a counter that stands still tells a rise of zero.
        ([10], [8], "counter", None, [[NAN, 8, 8, 0], [NAN, NAN, NAN, 0]]),
        ([0, 10], [8, 8], "counter", None, [[0, 8, 8, 20 / 30], [NAN, NAN, NAN, 0]]),
    ],
)
def test_hand_computed(times, values, kind, quality, expected):
    result = one(times, values, PointKind(kind), quality)
    np.testing.assert_allclose(rows(result), expected, rtol=1e-12, equal_nan=True)


@st.composite
def batches(draw):
    """Several series with gaps, repeats, bad values and resets."""
    series = []
    for kind in draw(st.lists(st.sampled_from(list(PointKind)), max_size=4)):
        gaps = draw(st.lists(st.integers(0, 40), max_size=25))
        times = np.cumsum([draw(st.integers(-40, 40)), *gaps])[: len(gaps)] * (MINUTE // 3)
        number = st.one_of(
            st.floats(-1e6, 1e6), st.sampled_from([0.0, 1.0, NAN, math.inf]), st.integers(0, 9)
        )
        values = [float(draw(number)) for _ in gaps]
        quality = [draw(st.sampled_from([0, 0, 0, 1, 4])) for _ in gaps]
        series.append((kind, times, values, quality))
    return series


@given(
    series=batches(),
    start=st.integers(-100, 100),
    slots=st.integers(0, 6),
    step=st.integers(1, 40),
    hold=st.integers(1, 50),
)
def test_kernel_equals_its_readable_twin(series, start, slots, step, hold):
    options = {
        "start_us": start * MINUTE,
        "slots": slots,
        "step_us": step * MINUTE,
        "max_hold_us": hold * MINUTE,
    }
    result = roll_up(
        np.concatenate([np.empty(0, np.int64), *(times for _, times, _, _ in series)]),
        np.concatenate([np.empty(0), *(values for _, _, values, _ in series)]),
        np.concatenate([np.empty(0, np.int8), *(quality for _, _, _, quality in series)]),
        [kind for kind, *_ in series],
        offsets=np.cumsum([0, *(len(times) for _, times, _, _ in series)]),
        **options,
    )
    assert result.mean.shape == (len(series), slots)
    for index, (kind, times, values, quality) in enumerate(series):
        twin = roll_up_one(times.tolist(), values, quality, kind, **options)
        for name in ("mean", "low", "high", "coverage"):
            np.testing.assert_allclose(
                getattr(result, name)[index],
                [getattr(step, name) for step in twin],
                rtol=1e-9,
                atol=1e-6 if name == "mean" else 0,
                equal_nan=True,
                err_msg=f"{name} of a {kind}",
            )


@given(series=batches(), hold=st.integers(1, 50))
def test_what_always_holds_of_a_step(series, hold):
    for kind, times, values, quality in series:
        result = roll_up(
            times, values, quality, [kind], start_us=0, slots=5, max_hold_us=hold * MINUTE
        )
        assert np.all((result.coverage >= 0) & (result.coverage <= 1 + 1e-12))
        assert np.array_equal(np.isnan(result.mean), result.coverage == 0)
        if kind is not PointKind.COUNTER:
            known = ~np.isnan(result.mean)
            assert np.all(result.low[known] <= result.mean[known])
            assert np.all(result.mean[known] <= result.high[known])


@given(st.lists(st.floats(0, 5), min_size=2, max_size=60), st.integers(1, 5))
def test_no_energy_is_lost_or_made_between_half_hours(rises, cadence):
    readings = np.concatenate([[1000.0], 1000.0 + np.cumsum(rises)])
    times = np.arange(len(readings)) * cadence
    slots = len(readings) * cadence // 30 + 1
    result = one(times, readings, PointKind.COUNTER, slots=slots)
    assert np.nansum(result.mean) == pytest.approx(readings[-1] - readings[0])


@pytest.mark.parametrize("kind", list(PointKind))
def test_empty_and_read_only_input(kind):
    nothing = one([], [], kind)
    assert np.isnan(nothing.mean).all()
    assert not nothing.coverage.any()

    times = np.arange(10, dtype=np.int64) * 3 * MINUTE
    values = np.arange(10.0)
    quality = np.zeros(10, np.int8)
    writable = roll_up(times, values, quality, [kind], start_us=0, slots=1, max_hold_us=MINUTE)
    for array in (times, values, quality):
        array.setflags(write=False)
    frozen = roll_up(times, values, quality, [kind], start_us=0, slots=1, max_hold_us=MINUTE)
    assert rows(frozen) == rows(writable)
    strided = np.repeat(values, 2)[::2]
    assert rows(
        roll_up(times, strided, quality, [kind], start_us=0, slots=1, max_hold_us=MINUTE)
    ) == rows(writable)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"values": [1.0]}, "values"),
        ({"times_us": [5, 3]}, r"times_us\[1\]"),
        ({"times_us": [0.5, 1.5]}, "times_us"),
        ({"times_us": [[0, 1]]}, "times_us"),
        ({"times_us": [0, 2**62]}, "times_us"),
        ({"offsets": [0, 1]}, "offsets"),
        ({"offsets": [0, 3, 2]}, "offsets"),
        ({"slots": -1}, "slots"),
        ({"step_us": 0}, "step_us"),
        ({"max_hold_us": 0}, "max_hold_us"),
        ({"slots": 2**40}, "start_us"),
    ],
)
def test_wrong_input_is_refused_by_name(changes, named):
    call = {
        "times_us": [0, 1],
        "values": [1.0, 2.0],
        "quality": [0, 0],
        "kinds": [PointKind.GAUGE],
        "start_us": 0,
        "slots": 1,
        "max_hold_us": MINUTE,
    }
    with pytest.raises(InvalidInputError, match=f"^{named}"):
        roll_up(**(call | changes))


def test_times_may_fall_from_one_series_to_the_next():
    result = roll_up(
        [5, 6, 1, 2],
        [1.0, 1.0, 2.0, 2.0],
        [0] * 4,
        [PointKind.GAUGE] * 2,
        offsets=[0, 2, 4],
        start_us=0,
        slots=1,
        max_hold_us=MINUTE,
    )
    assert result.mean.tolist() == [[1.0], [2.0]]


def test_a_missing_kernel_says_how_to_build_it():
    story = (
        "import sys\n"
        "sys.modules['ext._rollup'] = None\n"
        "try:\n    import ext.rollup\n"
        "except ImportError as error:\n    print(error)\n"
    )
    said = subprocess.run([sys.executable, "-c", story], capture_output=True, text=True, check=True)
    assert "pip install -e ." in said.stdout
