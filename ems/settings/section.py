"""What every section of a configuration file is."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict

from ems.settings.quantities import Whole

Version = Annotated[int, Whole("the version of the file's format", 1, 1)]


class Section(BaseModel):
    """A section of a configuration file; keys that are not named are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=False)
