"""Writes a campaign's report: ``report.json`` with every figure, ``report.html`` to look at.

The page stands alone in one file: no scripts, no addresses, plots as SVG.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ems.backtest.comparison import FORESIGHT, OWN, PLANNED, QUANTITIES
from ems.backtest.plots import controllers, cost_and_warmth, seeds, warmth, week, windows
from ems.backtest.words import (
    NAMES,
    case_name,
    conditions,
    kind_name,
    method,
    missing,
    percent,
    promises,
    summary,
    window_name,
    within,
)
from ems.demo.book import Figures
from ems.demo.report import HTML_FILE, JSON_FILE, TOTALS, shown

_TOGETHER = re.compile(r"(?<=\d) (?=%|°C|K\b)|(?<=\bseed) (?=\d)")
MEANS = (
    *TOTALS,
    ("Below 18 °C, K·h", "degree_hours_below_18", 1),
    ("Below 18 °C by choice, K·h", "chosen_degree_hours_below_18", 1),
)


def write_campaign(folder: Path, figures: Figures) -> list[Path]:
    """Write both files into ``folder``, made if need be; return their paths.

    Parameters
    ----------
    folder
        Where to.
    figures
        As :func:`~ems.backtest.figures.campaign_figures` returns them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    as_html, as_json = folder / HTML_FILE, folder / JSON_FILE
    text = json.dumps(figures, indent=1, ensure_ascii=False, allow_nan=False)
    as_json.write_text(text + "\n", encoding="utf-8")
    as_html.write_text(page(figures), encoding="utf-8")
    return [as_html, as_json]


def page(figures: Figures) -> str:
    """Return the page of a campaign's figures."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("ems.backtest", ""), PackageLoader("ems.demo", "")]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_kept_together,
    )
    done, expected = figures["cases_done"], figures["cases_expected"]
    groups = figures["groups"]
    return environment.get_template("report.html").render(
        title=f"{figures['estate'] or 'Backtest'}: what planning is worth over weeks",
        subtitle=f"{done} of {expected} cases" + (f", {kind_name(groups[0])}" if groups else ""),
        missing=missing(figures),
        main=_main(figures, groups[0]) if groups else None,
        kinds=_kinds(groups),
        cases=[_case(case) for case in figures["cases"]],
    )


def _kept_together(value: Any) -> Any:
    """Return a text in which numbers stay on one line with their units and names."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return _TOGETHER.sub("\N{NO-BREAK SPACE}", value)


def _main(figures: Figures, group: Figures) -> dict[str, Any]:
    """Return everything that is said of the kind that most cases are of."""
    names = group["controllers"]
    cases = [case for case in figures["cases"] if _of(case, group)]
    return {
        "summary": summary(figures),
        "promises": promises(group),
        "conditions": conditions(figures, group),
        "method": method(figures, group),
        "headings": [NAMES[name] for name in names],
        "plane": cost_and_warmth(group),
        "reductions": _reductions(group),
        "controllers": controllers(group),
        "windows": windows(group),
        "captured": _captured(group),
        "means": _means(group),
        "means_of": group["means"],
        "payers": _payers(group),
        "peaks": _peaks(group),
        "warmth": warmth(cases),
        "cold": _cold(cases),
        "fair": _fair(cases),
        "seeds": seeds(group),
        "week": week(figures) if figures["example"] else None,
    }


def _of(case: Figures, group: Figures) -> bool:
    return all(case[name] == group[name] for name in ("tariff", "houses", "weather"))


def _reductions(group: Figures) -> list[list[str]]:
    rows = []
    for name, found in group["reductions"].items():
        cells = [within(found[quantity]["share"]) for quantity in QUANTITIES]
        raw = within(found["cost"]["raw_share"])
        reached = f"{found['frontier_reached']} of {found['cases']}"
        rows.append([NAMES[name], *cells, raw, reached])
    return rows


def _captured(group: Figures) -> list[list[str]]:
    found = [("All windows", group["captured"])]
    found += [(window_name(at), one) for at, one in group["captured_by_window"].items()]
    return [
        [name, within(one["equal_warmth"]), within(one["raw"]), str(one["cases"])]
        for name, one in found
        if one is not None
    ]


def _means(group: Figures) -> list[list[str]]:
    runs = group["means"]["runs"]
    if not runs:
        return []
    rows = [
        [name, *(shown(run[key], digits) for run in runs.values())] for name, key, digits in MEANS
    ]
    cycles = [
        sum(block["battery_cycles"] for block in run["blocks"]) / len(run["blocks"])
        for run in runs.values()
    ]
    return [*rows, ["Full cycles of a battery", *(shown(each, 1) for each in cycles)]]


def _payers(group: Figures) -> list[list[str]]:
    runs = list(group["means"]["runs"].values())
    if not runs:
        return []
    kinds = (
        ("tenants_gbp", "tenants' bills"),
        ("landlord_gbp", "landlord"),
        ("cost_gbp", "in sum"),
    )
    rows = [
        [f"{block['name']}, {what}", *(shown(run["blocks"][at][key], 2) for run in runs)]
        for at, block in enumerate(runs[0]["blocks"])
        for key, what in kinds
    ]
    return [*rows, ["Estate", *(shown(run["cost_gbp"], 2) for run in runs)]]


def _peaks(group: Figures) -> list[list[str]]:
    runs = list(group["means"]["runs"].values())
    if not runs:
        return []
    return [
        [block["name"], *(shown(run["blocks"][at]["peak_import_kw"], 1) for run in runs)]
        for at, block in enumerate(runs[0]["blocks"])
    ]


def _cold(cases: Sequence[Figures]) -> list[list[str]]:
    rows = []
    for case in cases:
        runs = case["runs"]
        if PLANNED not in runs:
            continue
        worse = case["fairness"][PLANNED]["largest_loss_of_warmth"]
        rows.append(
            [
                case_name(case),
                shown(runs[OWN]["degree_hours_below_18"], 2),
                shown(runs[PLANNED]["degree_hours_below_18"], 2),
                shown(runs[OWN]["chosen_degree_hours_below_18"], 1),
                shown(runs[PLANNED]["chosen_degree_hours_below_18"], 1),
                str(len(case["fairness"][PLANNED]["homes_worse"])),
                f"{worse['id']}, {shown(worse['kh_per_week'], 2)}",
            ]
        )
    return rows


def _fair(cases: Sequence[Figures]) -> list[list[str]]:
    rows = []
    for case in cases:
        found = case["fairness"].get(PLANNED)
        if found is None:
            continue
        loser = found["largest_loser"]
        pct = "–" if loser["gain_pct"] is None else f"{shown(loser['gain_pct'], 1)} %"
        rows.append(
            [
                case_name(case),
                shown(found["mean_gain_gbp"], 2),
                shown(found["gini"], 2),
                str(found["homes_paying_more"]),
                f"{loser['id']}, {_pounds(loser['gain_gbp'])} ({pct})",
            ]
        )
    return rows


def _pounds(gbp: float) -> str:
    return f"{'−' if round(gbp, 2) < 0 else ''}£{shown(abs(gbp), 2)}"


def _kinds(groups: Sequence[Figures]) -> list[list[str]]:
    """Return what each kind of case says, where there is more than one."""
    rows = []
    for group in groups if len(groups) > 1 else []:
        planned = group["reductions"].get(PLANNED)
        captured = group["captured"]
        kept = [one for one in group["verdicts"] if one["verdict"] == "kept"]
        rows.append(
            [
                kind_name(group),
                str(group["cases"]),
                "–" if planned is None else within(planned["cost"]["share"]),
                "–" if planned is None else within(planned["carbon"]["share"]),
                "–" if planned is None else within(planned["peak"]["share"]),
                "–" if captured is None else within(captured["equal_warmth"]),
                f"{len(kept)} of {len(group['verdicts'])}",
            ]
        )
    return rows


def _case(case: Figures) -> list[str]:
    planned = case["comparison"].get(PLANNED)
    saved = None if planned is None else planned["saved_at_equal_warmth_share"]
    taken = case["seconds"].get(PLANNED)
    return [
        case_name(case),
        case["tariff"],
        case["houses"],
        case["weather"],
        str(case["homes"]),
        percent(saved),
        "yes" if FORESIGHT in case["runs"] else "no",
        str(case["half_hours_without_carbon"]),
        "–" if taken is None else shown(taken, 0),
    ]
