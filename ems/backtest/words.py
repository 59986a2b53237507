"""A campaign in sentences: what it is worth, what was promised, under which conditions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from ems.backtest.comparison import OWN, PLANNED
from ems.demo.book import Figures
from ems.demo.figures import WORSE_KH_PER_WEEK
from ems.demo.report import shown

NAMES = {
    "thermostat": "Own thermostats",
    "battery_only": "Battery planned",
    "time_of_use": "Timer by prices",
    "planned": "All planned",
    "perfect_foresight": "Perfect foresight",
}
COLOURS = {
    "thermostat": "#6f777b",
    "battery_only": "#28a197",
    "time_of_use": "#f46a25",
    "planned": "#12436d",
    "perfect_foresight": "#801650",
}
WEATHER = {
    "issued with error": "forecasts of weather carry an error that grows with the hours ahead",
    "real pair": "forecasts of weather are those that were issued, beside what came of them",
    "perfect weather": "perfect weather: forecasts of weather are the weather that came",
}


def percent(share: float | None, digits: int = 1) -> str:
    """Return a share in per cent, a dash where there is none."""
    return "–" if share is None else f"{shown(100.0 * share, digits)} %"


def within(found: Figures, digits: int = 1) -> str:
    """Return a share in per cent with its interval."""
    if found["value"] is None or found["low"] is None:
        return percent(found["value"], digits)
    low, high = (shown(100.0 * found[end], digits) for end in ("low", "high"))
    return f"{percent(found['value'], digits)} ({low} to {high})"


def less(found: Figures, what: str = "less", instead: str = "more") -> str:
    """Return a reduction in words with its interval: "4.2 % less (3.1 to 5.2)"."""
    value, low, high = found["value"], found["low"], found["high"]
    if value is None:
        return "no figure"
    word = what if value >= 0 else instead
    if low is None:
        return f"{percent(abs(value))} {word}"
    ends = sorted([low, high] if value >= 0 else [-low, -high])
    first, last = (shown(100.0 * end, 1) for end in ends)
    chance = ", which could be chance" if low <= 0 <= high and low < high else ""
    return f"{percent(abs(value))} {word} (95 % interval {first} to {last}{chance})"


def window_name(window: str) -> str:
    """Return a window as people write it, its last day included."""
    start, end = (datetime.fromisoformat(part) for part in window.split("/"))
    if start.hour or end.hour or start.minute or end.minute:
        return f"{start:%-d %b %Y %H:%M} to {end:%-d %b %H:%M}"
    days = (end.date() - start.date()).days
    last = date.fromordinal(start.date().toordinal() + days - 1)
    return f"{start:%-d %b} to {last:%-d %b %Y}"


def case_name(case: Figures) -> str:
    """Return which case of its kind it is."""
    return f"{window_name(case['window'])}, seed {case['seed']}"


def kind_name(group: Figures) -> str:
    """Return what cases of a group have in common."""
    return f"{group['tariff']} prices, {group['houses']} houses, weather: {group['weather']}"


def counted(count: int, one: str, many: str = "") -> str:
    """Return a number with its noun."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def missing(figures: Figures) -> str:
    """Return how many cases are not in yet; nothing where all are."""
    done, expected = figures["cases_done"], figures["cases_expected"]
    if done == expected:
        return ""
    return (
        f"{done} of {counted(expected, 'case')} {'is' if done == 1 else 'are'} in. "
        "What follows is provisional."
    )


def summary(figures: Figures) -> list[str]:
    """Return what a housing manager wants to know, a paragraph each."""
    group = figures["groups"][0]
    found = group["reductions"].get(PLANNED)
    if found is None:
        return ["No case with planning is in yet: there is nothing to compare."]
    where = (
        f"{counted(found['cases'], 'simulated case')} over "
        f"{_time(group['days'])} of real weather and prices, "
        f"{counted(group['homes'], 'home')} in each"
    )
    return [
        f"In {where}, planning cost {less(found['cost']['share'])} than own thermostats that "
        f"leave the homes equally warm. That is {_a_home_and_week(found['cost']['amount'])}. "
        "Battery wear, and what is left in batteries, tanks and rooms at the end, are counted."
        + ("" if group["intervals"] else " With so few weeks nothing says how sure that is."),
        *_purses(group),
        f"Against the same thermostats: carbon {less(found['carbon']['share'])}; electricity "
        f"{less(found['energy']['share'])}; each week's highest half-hour at the block meters "
        f"{less(found['peak']['share'], 'lower', 'higher')}.",
        *_others(group),
        *_foresight(group),
        "The homes, their people's wishes and their heat pumps are simulated; weather, prices, "
        "carbon and what households use were measured. Homes of brick will differ.",
    ]


def _time(days: float) -> str:
    if days >= 14 and days % 7 == 0:
        return f"{days / 7:g} weeks"
    return "1 day" if days == 1 else f"{days:.3g} days"


def _a_home_and_week(found: Figures) -> str:
    value = found["value"]
    text = f"£{shown(abs(value), 2)} {'less' if value >= 0 else 'more'} a home and week"
    if found["low"] is None:
        return text
    ends = sorted(found[end] if value >= 0 else -found[end] for end in ("low", "high"))
    return f"{text} (£{shown(ends[0], 2)} to £{shown(ends[1], 2)})"


def _purses(group: Figures) -> list[str]:
    """Return whose purse it reaches."""
    means = group["means"]
    if PLANNED not in means["runs"]:
        return []
    own, planned = means["runs"][OWN], means["runs"][PLANNED]
    weeks = means["days"] / 7.0

    def change(name: str) -> str:
        gbp = (planned[name] - own[name]) / weeks
        return f"£{shown(abs(gbp), 2)} {'lower' if gbp <= 0 else 'higher'}"

    more = means["fairness"][PLANNED]["homes_paying_more"]
    some = f"On average {_some(more, group)} pay" if more else "No home pays"
    return [
        "Whose money it is, each week and whatever the warmth: tenants' bills together are "
        f"{change('tenants_gbp')}, credits for heating ahead taken off, and the landlord's "
        f"costs {change('landlord_gbp')}. {some} more than on own thermostats."
    ]


def _some(homes: float, group: Figures) -> str:
    return f"{shown(homes, 1).removesuffix('.0')} of {group['homes']} homes"


def _others(group: Figures) -> list[str]:
    """Return what simpler ways save, so that planning is not praised for what they do too."""
    told = [
        f"{what} costs {less(found['cost']['share'])}, its weeks' highest half-hour is "
        f"{less(found['peak']['share'], 'lower', 'higher')}{_colder(name, group)}"
        for name, what in _SIMPLER.items()
        if (found := group["reductions"].get(name))
    ]
    return [f"Simpler ways, at equal warmth too: {'; '.join(told)}."] if told else []


def _colder(name: str, group: Figures) -> str:
    worse = group["means"]["fairness"].get(name, {}).get("homes_worse", 0.0)
    if not worse:
        return ""
    much = f"by more than {WORSE_KH_PER_WEEK} K·h a week than on own thermostats"
    return f", and {_some(worse, group)} are colder {much}"


_SIMPLER = {
    "battery_only": "planning the battery alone",
    "time_of_use": "a timer set by the day's prices",
}


def _foresight(group: Figures) -> list[str]:
    captured = group["captured"]
    if captured is None or captured["equal_warmth"]["value"] is None:
        return []
    return [
        f"A planner that knew the future would save more: planning captured "
        f"{within(captured['equal_warmth'])} of that saving."
    ]


def promises(group: Figures) -> list[dict[str, Any]]:
    """Return what was promised of planning, each with whether it is kept."""
    return [
        {
            "good": one["verdict"] == "kept",
            "heading": f"{one['verdict'].capitalize()}: {_PROMISED[one['promise']]}",
            "text": _told(one, group),
        }
        for one in group["verdicts"]
    ]


_PROMISED = {
    "never_colder": "never more degree-hours under 18 °C than own thermostats.",
    "no_home_worse": f"no home is worse by more than {WORSE_KH_PER_WEEK} K·h a week.",
    "foresight": "at least 85 % of perfect foresight's saving is captured.",
}
_SHOWN = 3


def _told(one: Figures, group: Figures) -> str:
    if one["promise"] == "foresight":
        captured = group["captured"]
        return (
            f"{within(captured['equal_warmth'])} at equal warmth, {within(captured['raw'])} "
            f"whatever the warmth, in {counted(captured['cases'], 'case')}."
        )
    misses = one["misses"]
    if not misses:
        return (
            f"It holds in {'each of ' if one['cases'] > 1 else ''}{counted(one['cases'], 'case')}."
        )
    if one["promise"] == "never_colder":
        worst = sorted(misses, key=lambda miss: miss["thermostat_kh"] - miss["planned_kh"])
        told = [
            f"{case_name(miss)}: {shown(miss['planned_kh'], 2)} K·h instead of "
            f"{shown(miss['thermostat_kh'], 2)}"
            for miss in worst[:_SHOWN]
        ]
        count = f"{len(misses)} of {counted(one['cases'], 'case')} have more"
    else:
        worst = sorted(misses, key=lambda miss: -miss["kh_per_week"])
        told = [
            f"{miss['home']} in {case_name(miss)}: {shown(miss['kh_per_week'], 2)} K·h a week"
            for miss in worst[:_SHOWN]
        ]
        every = one["cases"] * group["homes"]
        count = f"{len(misses)} of {counted(every, 'home')} in {counted(one['cases'], 'case')}"
    return f"{count}. The most: {'; '.join(told)}."


def conditions(figures: Figures, group: Figures) -> list[tuple[str, str]]:
    """Return under which conditions a group was run, a name and a text each."""
    days = _listed([str(number) for number in group["history_days"]])
    return [
        ("Windows", _listed([window_name(window) for window in group["windows"]])),
        ("Seeds (other homes and people)", _listed([str(seed) for seed in group["seeds"]])),
        ("Homes", str(group["homes"])),
        ("Prices", group["tariff"]),
        ("House model", group["houses"]),
        ("Weather", WEATHER.get(group["weather"], group["weather"])),
        (
            "What forecasts learn from",
            f"{days} days before each window, and every day of it as it passes",
        ),
        *figures["settings"].items(),
        (
            "Cases",
            f"{figures['cases_done']} of {figures['cases_expected']} are in; "
            f"{group['cases']} of this kind",
        ),
    ]


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def method(figures: Figures, group: Figures) -> list[str]:
    """Return how intervals were made, and what they cannot say."""
    interval, weeks = figures["interval"], group["weeks"]
    windows, seeds = len(group["windows"]), len(group["seeds"])
    if not group["intervals"]:
        return ["There are no intervals: a window of a single week leaves none to draw from."]
    told = (
        f"Intervals are the middle {percent(interval['level'], 0)} of {interval['draws']:,} draws "
        f"of whole weeks: from {counted(weeks, 'week')} of {counted(windows, 'window')} and "
        f"{counted(seeds, 'seed')}. In each draw a window's weeks are drawn anew with all seeds "
        "together, because they share weather and prices, and so are seeds with all windows, "
        "because they share homes; one less is drawn than there are and each counts the more, "
        "which makes the variance right for few."
    )
    limits = (
        "With four weeks a window they are too narrow rather than too wide where weeks that "
        "follow each other are alike: in trials with known truth, 95 % intervals held it in 94 % "
        "of cases where weeks differ freely, in 78 % where one week shares half of its deviation "
        "with the next. They say nothing of other winters, other estates or other prices."
    )
    alone = [] if seeds > 1 else ["One seed: how homes differ is not in the intervals."]
    return [told, limits, *alone]
