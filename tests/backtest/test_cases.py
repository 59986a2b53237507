"""A case comes back from its file as it was, and a broken file says what to do."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from ems.backtest.cases import load_evidence, save_evidence
from ems.demo.evidence import Evidence
from ems.demo.metering import Measured, Stored
from ems.domain.errors import InvalidInputError


def assert_same(left: object, right: object) -> None:
    """Assert that two runs, parts of runs or series agree to the last bit."""
    if isinstance(left, Measured | Stored):
        assert type(left) is type(right)
        for each in fields(left):
            assert_same(getattr(left, each.name), getattr(right, each.name))
    elif isinstance(left, dict):
        assert isinstance(right, dict)
        assert list(left) == list(right)
        for name, value in left.items():
            assert_same(value, right[name])
    else:
        np.testing.assert_array_equal(left, right)


def test_a_saved_case_is_read_back_as_it_was(evidence: Evidence, tmp_path: Path) -> None:
    path = tmp_path / "cases" / "one.npz"
    save_evidence(path, evidence)
    found = load_evidence(path)
    for each in fields(Evidence):
        mine, its = getattr(evidence, each.name), getattr(found, each.name)
        if each.name in {"runs", "frontier"}:
            assert_same(dict(mine), dict(its))
        else:
            assert_same(mine, its)
    assert [entry.name for entry in path.parent.iterdir()] == ["one.npz"]


def test_a_file_that_was_cut_off_is_refused_by_name(evidence: Evidence, tmp_path: Path) -> None:
    path = tmp_path / "one.npz"
    save_evidence(path, evidence)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InvalidInputError, match=r"one\.npz"):
        load_evidence(path)
    with pytest.raises(InvalidInputError, match="no case"):
        load_evidence(tmp_path / "none.npz")
