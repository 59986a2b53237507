from __future__ import annotations

from pathlib import Path

from ems.field.checkpoint import JOURNAL_FILE, STATE_FILE
from ems.field.control import FAULTS_FILE
from ems.field.faults import FaultKind
from ems.field.parameters import _File, _Planted, _Quirk, _Sources

TEXT = (Path(__file__).parents[2] / "docs" / "field.md").read_text(encoding="utf-8")


def test_every_setting_fault_and_file_of_the_field_is_documented() -> None:
    nested = {"sources": _Sources, "planted": _Planted}
    wanted = [key for key in _File.model_fields if key not in nested]
    wanted += [f"{outer}.{key}" for outer, model in nested.items() for key in model.model_fields]
    wanted += [*_Quirk.model_fields, *FaultKind, STATE_FILE, JOURNAL_FILE, FAULTS_FILE]
    missing = [name for name in wanted if f"`{name}`" not in TEXT]
    assert not missing
