"""Estate file → estate, or all its faults."""

from __future__ import annotations

from pathlib import Path

from ems.domain.errors import ConfigurationError
from ems.domain.estate import Estate
from ems.settings.build import build_estate
from ems.settings.checks import run_checks
from ems.settings.document import Findings, parse, read_text
from ems.settings.models import EstateFile
from ems.settings.nodes import Node
from ems.settings.shape import check_shape


def load_estate(path: Path) -> Estate:
    """Return the estate that the YAML file at ``path`` describes.

    Raises
    ------
    ConfigurationError
        Listing every fault found, each with its path in the file, its line, the value and
        the remedy. Files that it names (profiles, prices, weather, carbon, priors,
        holidays) are read or looked into as well.
    """
    path = Path(path)
    findings = Findings()
    raw = parse(read_text(path), findings)
    if raw is None:
        raise ConfigurationError(str(path), findings.listed())
    folder = path.absolute().parent
    file = check_shape(EstateFile, raw, findings)
    sources = run_checks(Node((), raw, findings), folder)
    if file is None or findings.faults:
        raise ConfigurationError(str(path), findings.listed())
    return build_estate(file, sources, folder)
