"""From the cases that lie in a campaign's folder to its report, whoever ran them.

Prices of cases are not in their files; where a tariff's prices came from is remembered beside
the cases, so that campaigns of several tariffs can share a folder and a report.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from ems.backtest.case import Case, Setting, estate_of
from ems.backtest.cases import load_evidence
from ems.backtest.figures import campaign_figures
from ems.backtest.report import write_campaign
from ems.backtest.tariffs import estate_at
from ems.demo.book import Figures
from ems.demo.evidence import Evidence
from ems.domain.errors import InvalidInputError
from ems.domain.estate import Estate

PRICES_FILE = "prices.json"


def report_campaign(cases: Sequence[Case], setting: Setting) -> tuple[Figures, list[Path]]:
    """Write the report of every case in the folder; return its figures and both files.

    Parameters
    ----------
    cases, setting
        What the campaign is to have; cases of other settings that lie there are reported too.

    Raises
    ------
    InvalidInputError
        Where a file is no case, or has other homes or prices than can be found.
    """
    found = sorted((setting.folder / "cases").glob("*.npz"))
    wanted = {case.path(setting) for case in cases}
    figures = campaign_figures(
        _Estates(setting).of,
        _read(found),
        expected=len(wanted.union(found)),
        settings={
            "Planned every": f"{setting.plan_s // 60} minutes",
            "Dispatched every": f"{setting.dispatch_s // 60} minutes",
            "Household load learnt": f"every {setting.learn_days} days",
        },
    )
    return figures, write_campaign(setting.folder, figures)


def _read(paths: Sequence[Path]) -> Iterator[Evidence]:
    # One by one: the series of a month of forty homes take some tens of megabytes.
    for path in paths:
        yield load_evidence(path)


class _Estates:
    """The estate at each tariff that cases were run at."""

    def __init__(self, setting: Setting) -> None:
        self._estate, _ = estate_of(setting)
        self._homes = len(list(self._estate.dwellings()))
        self._folder = setting.folder
        self._known: dict[str, Estate] = {}
        memory = setting.folder / PRICES_FILE
        self._prices: dict[str, str] = {}
        if memory.is_file():
            self._prices = json.loads(memory.read_text(encoding="utf-8"))
        if setting.prices is not None:
            self._prices[setting.tariff] = str(setting.prices)
            memory.parent.mkdir(parents=True, exist_ok=True)
            memory.write_text(json.dumps(self._prices, indent=1) + "\n", encoding="utf-8")

    def of(self, evidence: Evidence) -> Estate:
        """Return the estate as a case ran it."""
        if evidence.kept.size != self._homes:
            raise InvalidInputError(
                "a case was run with other homes than the estate has",
                field=str(self._folder),
                value=f"{evidence.kept.size} homes instead of {self._homes}",
                remedy="Report with the --blocks it was run with, or keep it in another folder.",
            )
        name = evidence.tariff
        if name not in self._known:
            if name != "trial" and name not in self._prices:
                raise InvalidInputError(
                    "nothing says where the prices of this tariff are",
                    field="--tariff",
                    value=name,
                    remedy=f"Give --tariff {name}:FILE once more.",
                )
            path = Path(self._prices[name]) if name in self._prices else None
            self._known[name] = estate_at(self._estate, name, path)
        return self._known[name]
