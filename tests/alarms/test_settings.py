"""The section ``alarms``: what it says is what holds, and what is wrong in it is named."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ems.domain.alarms import AlarmRules, SmtpServer
from ems.domain.errors import ConfigurationError
from ems.settings import load_estate

from .conftest import DEMO


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """The demonstration's configuration, free to be changed."""
    for name in ("data", "../devices", "../rules"):
        (tmp_path / Path(name).name).symlink_to((DEMO.parent / name).resolve())
    text = DEMO.read_text(encoding="utf-8").replace("../", "")
    (tmp_path / "estate.yaml").write_text(text, encoding="utf-8")
    return tmp_path / "estate.yaml"


def with_alarms(site: Path, section: object) -> Path:
    data = yaml.safe_load(site.read_text(encoding="utf-8"))
    data["alarms"] = section
    data["estate"]["starts_at"] = "2023-12-01T12:00:00Z"
    changed = site.with_name("changed.yaml")
    changed.write_text(yaml.safe_dump(data), encoding="utf-8")
    return changed


FULL = {
    "recipients": {"duty_engineer": "duty@example.org"},
    "smtp": {"host": "mail.example.org", "from": "hearth@example.org"},
    "webhooks": {"control_room": "https://alarms.example.org/hearth"},
    "repeat_min": 30,
}


def test_a_full_section_becomes_rules_in_seconds(site):
    rules = load_estate(with_alarms(site, FULL)).alarms
    assert rules.recipients == {"duty_engineer": "duty@example.org"}
    assert rules.smtp == SmtpServer("mail.example.org", 587, "hearth@example.org", True)
    assert rules.webhooks == {"control_room": "https://alarms.example.org/hearth"}
    assert (rules.repeat_s, rules.close_after_s) == (1800.0, 900.0)


def test_an_empty_section_has_the_defaults(site):
    assert load_estate(with_alarms(site, {})).alarms == AlarmRules()


@pytest.mark.parametrize(
    ("change", "path", "words"),
    [
        ({"recipients": {"duty": "nobody"}}, "alarms.recipients.duty", "not an e-mail address"),
        ({"recipients": {}}, "alarms.smtp", "nobody to write to"),
        ({"smtp": None}, "alarms.recipients", "no mail server"),
        ({"webhooks": {"a": "http://example.org/x"}}, "alarms.webhooks.a", "must use https"),
        ({"webhooks": {"a": "ftp://example.org/x"}}, "alarms.webhooks.a", "not a web address"),
        ({"webhooks": {"a": "https://u:p@example.org/"}}, "alarms.webhooks.a", "no password"),
        ({"webhooks": {"a": "https://example.org:x/"}}, "alarms.webhooks.a", "not a web address"),
        ({"cold_c": 60}, "alarms.cold_c", "10 to 18"),
        ({"repeat_min": 1}, "alarms.repeat_min", "5 to 1440"),
        ({"smtp": {"host": "x", "from": "a@b.org", "password": "y"}}, "password", "secret"),
        ({"repeats": 5}, "alarms.repeats", ""),
    ],
)
def test_what_is_wrong_is_named_with_its_place(site, change, path, words):
    with pytest.raises(ConfigurationError) as caught:
        load_estate(with_alarms(site, FULL | change))
    named = [fault for fault in caught.value.faults if path in fault.path]
    assert named, caught.value.faults
    assert words in f"{named[0].problem} {named[0].remedy}"
    assert all(fault.remedy for fault in named)
