"""Meter files as they come: every fault becomes a note, a weakness or a refusal."""

import numpy as np
import pandas as pd
import pytest

from ems.domain.errors import InvalidInputError
from forecasting.meters import Columns, read_table, regular

COLUMNS = Columns()


def table(rows) -> pd.DataFrame:
    """Rows of home, stamp and energy."""
    return pd.DataFrame(rows, columns=["LCLid", "tstp", "energy_kwh_hh"])


def test_rows_in_any_order_become_watts_on_a_grid_and_gaps_stay_gaps():
    found = regular(
        table(
            [
                ("b", "2013-01-01 01:00:00", 0.5),
                ("a", "2013-01-01 01:30:00", 0.25),
                ("a", "2013-01-01 00:00:00", 0.1),
            ]
        ),
        COLUMNS,
    )
    assert list(found.power_w.columns) == ["a", "b"]
    assert len(found.power_w) == 4
    assert found.power_w["a"].tolist()[0] == pytest.approx(200.0)
    assert np.isnan(found.power_w["a"].iloc[1])
    assert found.power_w["b"].iloc[2] == pytest.approx(1000.0)
    assert str(found.power_w.index.tz) == "UTC"
    assert found.notes == ()


def test_what_cannot_be_used_is_missing_and_counted_never_zero():
    found = regular(
        table(
            [
                ("a", "2013-01-01 00:00:00", "0.1"),
                ("a", "2013-01-01 00:30:00", "-0.1"),
                ("a", "2013-01-01 01:00:00", "inf"),
                ("a", "2013-01-01 01:30:00", "Null"),
                ("a", "2013-01-01 02:00:00", ""),
                ("a", "2013-01-01 02:13:07", "0.3"),
                ("a", "rubbish", "0.3"),
                (None, "2013-01-01 02:30:00", "0.3"),
                ("a", "2013-01-01 03:00:00", "0.4"),
                ("a", "2013-01-01 03:00:00", "0.5"),
            ]
        ),
        COLUMNS,
    )
    values = found.power_w["a"].to_numpy()
    assert values[0] == 200.0 and values[-1] == 1000.0
    assert np.isnan(values[1:-1]).all()
    assert set(found.notes) == {
        "1 rows whose time cannot be read, left out",
        "1 rows without a home, left out",
        "1 rows off the half-hour, left out",
        "2 rows without a value: gaps",
        "1 negative values, taken as missing",
        "1 infinite values, taken as missing",
        "1 rows for a half-hour that comes again, the last stands",
    }


def test_mixed_offsets_are_one_time_but_stamps_with_and_without_are_refused():
    found = regular(
        table(
            [
                ("a", "2013-07-01T01:00:00+01:00", 0.1),
                ("a", "2013-07-01T00:30:00Z", 0.2),
                ("a", "2013-07-01T03:00:00+0200", 0.3),
            ]
        ),
        COLUMNS,
    )
    assert found.power_w["a"].tolist() == pytest.approx([200, 400, 600])
    with pytest.raises(InvalidInputError, match="1 stamps have a time zone and 1 have none"):
        regular(
            table([("a", "2013-07-01T01:00:00+01:00", 1), ("a", "2013-07-01 01:30", 1)]), COLUMNS
        )


def test_local_stamps_are_understood_and_those_without_one_instant_left_out():
    stamps = pd.date_range("2013-10-27 00:00", "2013-10-27 03:00", freq="30min")
    found = regular(table([("a", str(stamp), 0.1) for stamp in stamps]), COLUMNS, "Europe/London")
    assert found.power_w.index[0] == pd.Timestamp("2013-10-26 23:00", tz="UTC")
    assert int(found.power_w["a"].isna().sum()) == 4
    assert "2 rows at clock changes" in found.notes[0]


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([], "no rows"),
        ([("a", "rubbish", 1.0)], "no time in the file can be read"),
        ([("a", "2013-01-01", -1.0)], "a value of zero or more"),
        ([("a", "1913-01-01", 1.0), ("a", "2013-01-01", 1.0)], "more than 20 years"),
    ],
)
def test_a_file_from_which_nothing_can_be_learnt_is_refused_with_a_reason(rows, problem):
    with pytest.raises(InvalidInputError, match=problem):
        regular(table(rows), COLUMNS)


def test_weak_homes_are_named():
    stamps = pd.date_range("2013-01-01", periods=48 * 30, freq="30min")
    rng = np.random.default_rng(0)
    rows = [("good", at, value) for at, value in zip(stamps, rng.random(len(stamps)), strict=True)]
    rows += [("stuck", at, 0.2) for at in stamps]
    rows += [("empty", at, 0.0 if rng.random() < 0.9 else rng.random()) for at in stamps]
    rows += [("new", at, rng.random()) for at in stamps[-144:]]
    rows += [("void", stamps[0], np.nan), ("single", stamps[5], 0.1)]
    weak = regular(table(rows), COLUMNS).weak
    assert "good" not in weak
    assert weak["stuck"] == ("one constant value: a stuck meter or an empty home",)
    assert "one value in 9" in weak["empty"][0] or "one value in 8" in weak["empty"][0]
    assert weak["new"] == ("3.0 days of values", "90% missing")
    assert weak["void"] == ("no value at all",)
    assert weak["single"][0] == "0.0 days of values"


def test_both_kinds_of_file_are_read_and_others_refused(tmp_path):
    rows = table([("a", "2013-01-01 00:00:00", 0.1)])
    rows.to_csv(tmp_path / "m.csv.gz", index=False)
    rows.to_parquet(tmp_path / "m.parquet")
    names = ["LCLid", "tstp", "energy_kwh_hh"]
    for name in ("m.csv.gz", "m.parquet"):
        assert len(read_table(tmp_path / name, names)) == 1
    with pytest.raises(InvalidInputError, match="lacks columns: kwh; it has: LCLid, tstp"):
        read_table(tmp_path / "m.csv.gz", ["LCLid", "kwh"])
    (tmp_path / "broken.parquet").write_bytes(b"no")
    for name in ("broken.parquet", "absent.csv"):
        with pytest.raises(InvalidInputError, match="cannot be read"):
            read_table(tmp_path / name, names)
