"""The JSON Schema of device profiles, as published in ``config/devices/schema.json``.

``python -m ems.settings.profile_schema`` prints it; editors that know it complete keys and
point out slips while a profile is written. It says what a single key may hold and which
points a device class has; the rest of the rules is in :mod:`ems.settings.profile_checks`.
"""

from __future__ import annotations

import json
from typing import Any

from ems.domain.points import POINTS
from ems.settings.profile_model import ProfileFile


def profile_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a profile's file.

    Examples
    --------
    >>> profile_schema()["title"]
    'Hearth device profile'
    """
    schema = _without_titles(ProfileFile.model_json_schema())
    schema["allOf"] = [
        {
            "if": {"properties": {"device_class": {"const": str(device_class)}}},
            "then": {
                "properties": {
                    "points": {
                        "propertyNames": {
                            "enum": [
                                name
                                for name, point in points.items()
                                if not point.description.startswith("derived")
                            ]
                        }
                    }
                }
            },
        }
        for device_class, points in POINTS.items()
    ]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Hearth device profile",
        **schema,
    }


def schema_text() -> str:
    """Return the published file's text."""
    return json.dumps(profile_schema(), indent=2, ensure_ascii=False) + "\n"


def _without_titles(part: Any) -> Any:
    """Leave out the titles that only repeat a key."""
    if isinstance(part, dict):
        return {
            key: _without_titles(value)
            for key, value in part.items()
            if key != "title" or not isinstance(value, str)
        }
    if isinstance(part, list):
        return [_without_titles(value) for value in part]
    return part


if __name__ == "__main__":
    print(schema_text(), end="")
