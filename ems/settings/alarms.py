"""The section ``alarms`` of an estate file: its shape, its checks, its rules."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from ems.domain.alarms import AlarmRules, SmtpServer
from ems.settings.nodes import Node
from ems.settings.quantities import (
    Between,
    By,
    Identifier,
    Port,
    Text,
    Truth,
    WebAddressOf,
    refuse,
)

_RULES = AlarmRules()
_S_PER_MIN = 60.0
_S_PER_H = 3600.0
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9][A-Za-z0-9.-]{0,252}")


def _address(value: Any) -> str:
    if not isinstance(value, str) or not _ADDRESS.fullmatch(value):
        raise refuse("this is not an e-mail address", "Write it plainly, e.g. duty@example.org.")
    return value


MailAddress = Annotated[str, By(_address)]
WebAddress = Annotated[
    str, WebAddressOf("a webhook", "messages are signed with HEARTH_WEBHOOK_KEY")
]


class _Section(BaseModel):
    """Keys that are not named are refused, as in every section of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=False)


class SmtpSection(_Section):
    """The mail server that alarms are handed to."""

    host: Text = Field(description="Host name or IP address.")
    port: Port = Field(587, description="TCP port.")
    sender: MailAddress = Field(alias="from", description="Address that mails come from.")
    starttls: Truth = Field(True, description="Whether to encrypt with STARTTLS, and insist on it.")


class AlarmsSection(_Section):
    """When alarms open and close, and whom they reach."""

    recipients: dict[Identifier, MailAddress] = Field(
        default_factory=dict, description="E-mail addresses by role, e.g. duty_engineer."
    )
    smtp: SmtpSection | None = Field(None, description="Mail server; without it no mail is sent.")
    webhooks: dict[Identifier, WebAddress] = Field(
        default_factory=dict, description="Addresses that get alarms as JSON, by name."
    )
    timeout_s: Annotated[float, Between("s", 1, 60)] = Field(
        _RULES.timeout_s, description="How long to wait for a mail server or webhook (wall time)."
    )
    repeat_min: Annotated[float, Between("min", 5, 1440)] = Field(
        _RULES.repeat_s / _S_PER_MIN,
        description="Between two messages about an alarm that nobody acknowledged.",
    )
    close_after_min: Annotated[float, Between("min", 1, 1440)] = Field(
        _RULES.close_after_s / _S_PER_MIN,
        description="How long a cause must be gone before its alarm closes by itself.",
    )
    reopen_after_h: Annotated[float, Between("h", 1, 168)] = Field(
        _RULES.reopen_after_s / _S_PER_H,
        description="A cause that outlasts a person's closing opens a new alarm after this.",
    )
    cold_c: Annotated[float, Between("°C", 10, 18)] = Field(
        _RULES.cold_c, description="A living room below this is an alarm."
    )
    cold_for_min: Annotated[float, Between("min", 5, 720)] = Field(
        _RULES.cold_for_s / _S_PER_MIN, description="How long it must be below."
    )
    fall_k: Annotated[float, Between("K", 0.5, 5)] = Field(
        _RULES.fall_k, description="Falling by this much while it calls for heat is an alarm."
    )
    fall_over_min: Annotated[float, Between("min", 30, 720)] = Field(
        _RULES.fall_over_s / _S_PER_MIN, description="The time over which it falls."
    )
    lost_after_min: Annotated[float, Between("min", 2, 1440)] = Field(
        _RULES.lost_after_s / _S_PER_MIN,
        description="A device that gave no good reading for this long is lost.",
    )
    disk_free_mb: Annotated[float, Between("MB", 10, 100000)] = Field(
        _RULES.disk_free_mb, description="Less free space than this at the store is an alarm."
    )


def alarm_rules(section: AlarmsSection) -> AlarmRules:
    """Return the rules that a checked section describes."""
    smtp = section.smtp
    return AlarmRules(
        recipients=dict(section.recipients),
        smtp=None if smtp is None else SmtpServer(smtp.host, smtp.port, smtp.sender, smtp.starttls),
        webhooks=dict(section.webhooks),
        timeout_s=section.timeout_s,
        repeat_s=section.repeat_min * _S_PER_MIN,
        close_after_s=section.close_after_min * _S_PER_MIN,
        reopen_after_s=section.reopen_after_h * _S_PER_H,
        cold_c=section.cold_c,
        cold_for_s=section.cold_for_min * _S_PER_MIN,
        fall_k=section.fall_k,
        fall_over_s=section.fall_over_min * _S_PER_MIN,
        lost_after_s=section.lost_after_min * _S_PER_MIN,
        disk_free_mb=section.disk_free_mb,
    )


def check_alarms(alarms: Node) -> None:
    """Check what the keys of the section must agree on."""
    smtp, recipients = alarms["smtp"], alarms["recipients"]
    if smtp.exists and not recipients.value:
        smtp.refuse(
            "there is a mail server and nobody to write to",
            "Add recipients, a role and an address a line, or take smtp out.",
            show=False,
        )
    if recipients.value and not smtp.exists:
        recipients.refuse(
            "there are recipients and no mail server",
            "Add smtp with host and from, or take recipients out.",
            show=False,
        )
