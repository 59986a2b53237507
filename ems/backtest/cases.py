"""A finished case in a file: every array and figure of one :class:`~ems.demo.evidence.Evidence`.

One compressed ``.npz`` without pickles; what is not an array stands in it as JSON. A file is
written beside its place and then renamed, so that a campaign that is cut short leaves whole
cases only.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from ems.demo.evidence import Controller, Evidence
from ems.demo.metering import Measured, Stored, Window
from ems.domain.errors import InvalidInputError
from ems.domain.forecasts import FloatArray

FORMAT = 1
_STORED = ("begin",)


def save_evidence(path: Path, evidence: Evidence) -> None:
    """Write one case, whole or not at all.

    Parameters
    ----------
    path
        Where to; its folder is made.
    evidence
        The case.
    """
    arrays: dict[str, FloatArray] = {"kept": evidence.kept}
    for controller, run in evidence.runs.items():
        arrays |= _packed(f"run/{controller.value}", run)
    for shift_k, run in evidence.frontier.items():
        arrays |= _packed(f"frontier/{shift_k!r}", run)
    header = {
        "format": FORMAT,
        "seed": evidence.seed,
        "window": [evidence.window.start.isoformat(), evidence.window.end.isoformat()],
        "history_days": evidence.history_days,
        "runs": [controller.value for controller in evidence.runs],
        "frontier": list(evidence.frontier),
        "credits_gbp": dict(evidence.credits_gbp),
        "tariff": evidence.tariff,
        "houses": evidence.houses,
        "weather": evidence.weather,
        "seconds": {each.value: taken for each, taken in evidence.seconds.items()},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.part")
    with beside.open("wb") as file:
        keywords: dict[str, Any] = {"header": np.array(json.dumps(header)), **arrays}
        np.savez_compressed(file, **keywords)
    beside.replace(path)


def load_evidence(path: Path) -> Evidence:
    """Return the case that :func:`save_evidence` wrote.

    Raises
    ------
    InvalidInputError
        Where there is no such file, or it is no case.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            held: dict[str, Any] = {name: file[name] for name in file.files}
        header = json.loads(str(held.pop("header")))
        if header["format"] != FORMAT:
            raise ValueError(f"format {header['format']}")
        begin, end = (datetime.fromisoformat(text) for text in header["window"])
        return Evidence(
            seed=header["seed"],
            window=Window(begin, end),
            history_days=header["history_days"],
            runs={Controller(name): _unpacked(f"run/{name}", held) for name in header["runs"]},
            frontier={
                shift_k: _unpacked(f"frontier/{shift_k!r}", held) for shift_k in header["frontier"]
            },
            kept=held["kept"],
            credits_gbp=header["credits_gbp"],
            tariff=header["tariff"],
            houses=header["houses"],
            weather=header["weather"],
            seconds={Controller(name): taken for name, taken in header["seconds"].items()},
        )
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InvalidInputError(
            f"no case of a backtest can be read there: {error}",
            field="case",
            value=str(path),
            remedy="Give a file that ems backtest wrote, or delete it and run the case again.",
        ) from error


def _packed(prefix: str, run: Measured) -> dict[str, FloatArray]:
    arrays: dict[str, FloatArray] = {}
    for each in fields(Measured):
        value = getattr(run, each.name)
        if each.name in _STORED:
            for part in fields(Stored):
                arrays[f"{prefix}/{each.name}/{part.name}"] = getattr(value, part.name)
        elif isinstance(value, Mapping):
            for name, series in value.items():
                arrays[f"{prefix}/{each.name}/{name}"] = series
        else:
            arrays[f"{prefix}/{each.name}"] = value
    return arrays


def _unpacked(prefix: str, held: Mapping[str, FloatArray]) -> Measured:
    parts: dict[str, Any] = {}
    for each in fields(Measured):
        start = f"{prefix}/{each.name}/"
        inner = {name.removeprefix(start): held[name] for name in held if name.startswith(start)}
        if each.name in _STORED:
            parts[each.name] = Stored(**inner)
        else:
            parts[each.name] = inner or held[f"{prefix}/{each.name}"]
    return Measured(**parts)
