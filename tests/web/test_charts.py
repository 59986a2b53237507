"""Charts: gaps stay gaps, axes enclose the data, tables say what is missing."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from web.charts import (
    Band,
    BarChart,
    Bars,
    Level,
    Line,
    TimeChart,
    nice_ticks,
    runs,
    table_rows,
    time_ticks,
)
from web.svg import figure

LONDON = ZoneInfo("Europe/London")
START = datetime(2023, 12, 5, tzinfo=UTC)
NAN = math.nan


def chart_of(values: list[float], **extra: object) -> TimeChart:
    times = [START + timedelta(minutes=30 * index) for index in range(len(values))]
    line = Line("Measured", times, values, step_s=1800)
    given_ = {"unit": "kW", "start": START, "end": START + timedelta(hours=24), **extra}
    return TimeChart("k", "Power <now>", "A & B.", zone=LONDON, lines=(line,), **given_)


def drawings(markup: str) -> list[ET.Element]:
    found = re.findall(r"<svg class=\"app-chart__.*?</svg>", markup, flags=re.S)
    return [ET.fromstring(one) for one in found]  # noqa: S314 - our own output


def polylines(markup: str) -> list[str]:
    return re.findall(
        r'<polyline points="([^"]*)"', markup.split("app-chart__narrow", maxsplit=1)[0]
    )


def test_a_missing_half_hour_splits_the_line() -> None:
    whole = polylines(figure(chart_of([1.0, 2.0, 3.0, 4.0])))
    split = polylines(figure(chart_of([1.0, NAN, 3.0, 4.0])))
    assert len(whole) == 1
    assert len(split) == 2
    assert len(split[0].split()) == 2
    assert len(split[1].split()) == 4


def test_a_missing_half_hour_reads_no_data_in_the_table() -> None:
    rows = table_rows(chart_of([1.0, NAN, 3.0]))
    assert [cells for _, cells in rows] == [["1.0"], ["no data"], ["3.0"]]


def test_outside_a_series_reach_the_table_shows_a_dash() -> None:
    later = [START + timedelta(hours=1)]
    chart = chart_of([1.0, 2.0])
    planned = Line("Planned", later, [5.0], step_s=1800)
    both = TimeChart(
        "k", "t", "s", "kW", chart.start, chart.end, LONDON, (*chart.lines, planned)
    )  # fmt: skip
    assert [cells for _, cells in table_rows(both)] == [["1.0", "–"], ["2.0", "–"], ["–", "5.0"]]


def test_five_minute_values_are_averaged_in_the_table() -> None:
    times = [START + timedelta(minutes=5 * index) for index in range(6)]
    line = Line("Fine", times, [1.0, 2.0, 3.0, 4.0, 5.0, NAN], step_s=300)
    chart = TimeChart("k", "t", "s", "kW", START, START + timedelta(hours=1), LONDON, (line,))
    assert table_rows(chart) == [(START, ["3.0"])]


def test_two_drawings_with_names_for_screen_readers_and_escaped_words() -> None:
    markup = figure(chart_of([1.0, 2.0], levels=(Level("Limit", 3.0),)))
    found = drawings(markup)
    assert len(found) == 2
    for drawing in found:
        ids = {child.attrib["id"]: child.text for child in drawing if "id" in child.attrib}
        assert [ids[name] for name in drawing.attrib["aria-labelledby"].split()] == [
            "Power <now>",
            "A & B.",
        ]
    assert "Power &lt;now&gt;" in markup
    assert "Limit: 3.0 kW." in markup
    assert "style=" not in markup


def test_a_chart_without_values_says_so_and_draws_nothing() -> None:
    markup = figure(chart_of([NAN, NAN]))
    assert "There is no data yet." in markup
    assert "<svg" not in markup


def test_a_bar_with_a_missing_part_is_left_out_and_named() -> None:
    chart = BarChart(
        "days",
        "Days",
        "By day.",
        "kWh",
        ("Mon", "Tue"),
        ("Monday", "Tuesday"),
        (Bars("Heating", [2.0, NAN], "#12436D"), Bars("Rest", [1.0, 4.0], "#28A197")),
    )
    markup = str(figure(chart))
    assert markup.count("<rect") - markup.count('<rect width="18"') == 4
    assert "Tuesday: Rest" not in markup
    assert re.search(r"Tuesday</th>.*?no data.*?4\.0.*?no data", markup, flags=re.S)


def test_bands_are_drawn_in_pieces_around_gaps() -> None:
    times = [START + timedelta(minutes=30 * index) for index in range(3)]
    band = Band("Forecast", times, [1.0, NAN, 1.0], [2.0, NAN, 3.0], 1800)
    chart = chart_of([1.0], bands=(band,))
    assert str(figure(chart)).split("app-chart__narrow")[0].count("<polygon") == 2
    assert [cells[1] for _, cells in table_rows(chart)] == ["1.0 to 2.0", "no data", "1.0 to 3.0"]


def test_hours_are_local_and_a_changing_clock_does_not_confuse_them() -> None:
    spring = datetime(2023, 3, 26, tzinfo=UTC)
    ticks = time_ticks(spring, spring + timedelta(hours=24), LONDON, 6)
    local = [tick.astimezone(LONDON).strftime("%H:%M") for tick in ticks]
    assert local == ["00:00", "06:00", "12:00", "18:00", "00:00"]


finite = st.floats(-1e6, 1e6)


@given(low=finite, high=finite, count=st.integers(3, 8))
def test_ticks_enclose_their_range_and_are_evenly_spaced(low, high, count) -> None:
    low, high = min(low, high), max(low, high)
    ticks = nice_ticks(low, high, count)
    slack = 1e-6 * max(abs(low), abs(high), 1.0)
    assert ticks[0] <= low + slack
    assert ticks[-1] >= high - slack
    assert 2 <= len(ticks) <= 2 * count + 2
    gaps = [after - before for before, after in pairwise(ticks)]
    assert max(gaps) - min(gaps) <= 1e-6 * max(gaps) + slack


@given(st.lists(st.one_of(st.floats(-1e3, 1e3), st.just(NAN)), max_size=60))
def test_runs_hold_every_value_once_and_no_gap(values) -> None:
    times = [START + timedelta(minutes=30 * index) for index in range(len(values))]
    found = runs(times, values, 1800)
    assert [index for run in found for index in run] == [
        index for index, value in enumerate(values) if math.isfinite(value)
    ]
    for run in found:
        assert run == list(range(run[0], run[-1] + 1))


@settings(deadline=None)
@given(
    st.lists(st.one_of(st.floats(-1e5, 1e5), st.just(NAN)), min_size=1, max_size=96),
    st.booleans(),
)
def test_any_values_give_a_well_formed_drawing_within_its_frame(values, from_zero) -> None:
    markup = str(figure(chart_of(values, from_zero=from_zero, now=START + timedelta(hours=3))))
    for drawing in drawings(markup):
        _, _, width, height = map(float, drawing.attrib["viewBox"].split())
        for shape in drawing:
            for pair in shape.attrib.get("points", "").split():
                x, y = map(float, pair.split(","))
                assert 0 <= x <= width
                assert 0 <= y <= height


@pytest.mark.parametrize(("width", "hours"), [(400.0, 24), (560.0, 48), (1150.0, 168)])
def test_labels_of_the_time_axis_keep_apart(width, hours) -> None:
    chart = chart_of([1.0, 2.0], end=START + timedelta(hours=hours))
    markup = str(figure(chart, width)).split("app-chart__narrow")[0]
    labels = re.findall(r'<text x="([\d.]+)" y="([\d.]+)" text-anchor="middle"[^>]*>', markup)
    for row in {y for _, y in labels}:
        places = sorted(float(x) for x, y in labels if y == row)
        assert all(after - before > 34 for before, after in pairwise(places))
