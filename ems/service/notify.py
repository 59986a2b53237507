"""Sending alarms to people: mail and webhooks, on a thread of their own.

A message is claimed in the store before it is sent, so that two processes send it once;
what became of it is kept beside it. Sockets have timeouts, failures are tried again with
growing pauses, and nothing here is ever waited for by control.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import smtplib
import socket
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from typing import Protocol

import structlog

from ems.alarms.life import Due, due_notices, opened, retry_at
from ems.alarms.words import mail_body, mail_subject, webhook_payload
from ems.domain.alarms import Alarm, Cause, Notice, NoticeState, Occasion, SmtpServer
from ems.domain.errors import HearthError, RetryableError
from ems.domain.estate import Estate
from ems.domain.ports import LogEntry, Store

log = structlog.get_logger()

SMTP_USER = "HEARTH_SMTP_USER"
SMTP_PASSWORD = "HEARTH_SMTP_PASSWORD"  # noqa: S105 - the name of a variable
WEBHOOK_KEY = "HEARTH_WEBHOOK_KEY"
LOOK_BACK = timedelta(days=30)
"""Closed alarms older than this are not looked at any more."""
CLOSED_FOR = timedelta(days=2)
"""That an alarm closed is told no later than this after it closed."""


class SendError(RetryableError):
    """A message could not be handed over; the words name no address and no secret."""


class Channel(Protocol):
    """One way to reach people."""

    @property
    def name(self) -> str:
        """``email`` or ``webhook:NAME``."""
        ...

    @property
    def to(self) -> tuple[str, ...]:
        """Roles of its readers."""
        ...

    def send(self, alarm: Alarm, occasion: Occasion, number: int, now: datetime) -> None:
        """Hand one message over, or raise `SendError`; may block up to its timeout."""
        ...


@dataclass(frozen=True, slots=True)
class MailChannel:
    """Mail to all recipients, by SMTP."""

    estate: Estate
    server: SmtpServer
    user: str = ""
    password: str = ""

    @property
    def name(self) -> str:
        """``email``."""
        return "email"

    @property
    def to(self) -> tuple[str, ...]:
        """Roles of the recipients."""
        return tuple(self.estate.alarms.recipients)

    def send(self, alarm: Alarm, occasion: Occasion, number: int, now: datetime) -> None:
        """Hand one mail to the server, or raise `SendError`."""
        del number
        rules, estate = self.estate.alarms, self.estate
        message = EmailMessage()
        message["Subject"] = mail_subject(estate.name, alarm, occasion)
        message["From"] = self.server.sender
        message["To"] = ", ".join(rules.recipients.values())
        message["Date"] = format_datetime(datetime.now(UTC))
        message["Message-ID"] = make_msgid(domain=self.server.sender.rpartition("@")[2])
        message["Auto-Submitted"] = "auto-generated"
        message["X-Hearth-Alarm"] = alarm.id
        message.set_content(mail_body(estate.name, alarm, occasion, now, estate.zone))
        try:
            with smtplib.SMTP(self.server.host, self.server.port, timeout=rules.timeout_s) as smtp:
                if self.server.starttls:
                    smtp.starttls(context=ssl.create_default_context())
                if self.user:
                    smtp.login(self.user, self.password)
                refused = smtp.send_message(message)
        except smtplib.SMTPRecipientsRefused as error:
            raise SendError(f"the mail server refused all {len(error.recipients)}") from None
        except smtplib.SMTPResponseException as error:
            raise SendError(f"the mail server answered {error.smtp_code}") from None
        except smtplib.SMTPNotSupportedError:
            raise SendError("the mail server offers no encryption or no sign-in") from None
        except (OSError, smtplib.SMTPException, ValueError) as error:
            raise SendError(f"the mail server cannot be reached ({_words(error)})") from None
        if refused:
            raise SendError(f"the mail server refused {len(refused)} of the readers")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A webhook that leads elsewhere is a failure: messages go where the file says."""

    def redirect_request(self, *args: object, **kwargs: object) -> None:
        """Follow nothing."""
        del args, kwargs


@dataclass(frozen=True, slots=True)
class WebhookChannel:
    """A JSON document by HTTP POST, signed where a key is given."""

    estate: Estate
    webhook: str
    url: str
    key: str = ""

    @property
    def name(self) -> str:
        """``webhook:NAME``."""
        return f"webhook:{self.webhook}"

    @property
    def to(self) -> tuple[str, ...]:
        """The webhook's own name."""
        return (self.webhook,)

    def send(self, alarm: Alarm, occasion: Occasion, number: int, now: datetime) -> None:
        """Post one document, or raise `SendError`."""
        document = webhook_payload(self.estate.id, alarm, occasion, number, now)
        body = json.dumps(document).encode()
        request = urllib.request.Request(self.url, data=body, method="POST")  # noqa: S310 - http(s) only, checked with the configuration
        request.add_header("Content-Type", "application/json")
        request.add_header("User-Agent", "hearth-ems")
        request.add_header("Idempotency-Key", f"{alarm.id}/{occasion.value}.{number}")
        if self.key:
            request.add_header("X-Hearth-Signature", signature(self.key, body))
        opener = urllib.request.build_opener(_NoRedirect)
        try:
            with opener.open(request, timeout=self.estate.alarms.timeout_s) as answer:
                status = int(answer.status)
        except urllib.error.HTTPError as error:
            status = error.code
            error.close()
        except (OSError, ValueError) as error:
            raise SendError(f"the webhook cannot be reached ({_words(error)})") from None
        if not 200 <= status < 300:
            raise SendError(f"the webhook answered {status}")


def signature(key: str, body: bytes) -> str:
    """Return the signature of a webhook's body: HMAC-SHA256 in hexadecimal."""
    return "sha256=" + hmac.new(key.encode(), body, hashlib.sha256).hexdigest()


_FAILURES: tuple[tuple[type[Exception], str], ...] = (
    (TimeoutError, "no answer in time"),
    (ConnectionRefusedError, "connection refused"),
    (socket.gaierror, "its name is not known"),
    (ssl.SSLCertVerificationError, "its certificate is not trusted"),
    (ssl.SSLError, "no encrypted connection"),
    (smtplib.SMTPServerDisconnected, "it hung up or did not answer in time"),
)


def _words(error: Exception) -> str:
    """Return what kind of failure it was, without addresses."""
    reason = getattr(error, "reason", error)
    cause = reason if isinstance(reason, Exception) else error
    return next((words for kind, words in _FAILURES if isinstance(cause, kind)), "connection lost")


def open_channels(estate: Estate, environment: Mapping[str, str]) -> tuple[Channel, ...]:
    """Return the channels that the configuration names, secrets from ``environment``."""
    rules = estate.alarms
    channels: list[Channel] = []
    if rules.smtp is not None and rules.recipients:
        user, password = environment.get(SMTP_USER, ""), environment.get(SMTP_PASSWORD, "")
        channels.append(MailChannel(estate, rules.smtp, user, password))
    key = environment.get(WEBHOOK_KEY, "")
    channels += [WebhookChannel(estate, name, url, key) for name, url in rules.webhooks.items()]
    return tuple(channels)


class Courier:
    """Sends what is due and keeps what became of it.

    Parameters
    ----------
    store
        Where alarms and messages lie.
    estate
        ``alarms`` holds the rules.
    channels
        Ways to reach people.
    """

    def __init__(self, store: Store, estate: Estate, channels: Sequence[Channel]) -> None:
        self._store = store
        self._rules = estate.alarms
        self._channels = {channel.name: channel for channel in channels}
        self._thread: threading.Thread | None = None
        self._told_at: dict[str, datetime] = {}

    def wake(self, now: datetime) -> None:
        """Start sending what is due and return at once; one round runs at a time."""
        if self._channels:
            self._start(lambda: self.deliver(now))

    def tell_directly(self, cause: Cause, now: datetime) -> None:
        """Tell of a cause that the store itself cannot keep, once a repeat period."""
        told = self._told_at.get(cause.key)
        if told is not None and (now - told).total_seconds() < self._rules.repeat_s:
            return
        alarm = opened(cause, now, None)

        def send() -> None:
            for channel in self._channels.values():
                try:
                    channel.send(alarm, Occasion.OPENED, 1, now)
                except SendError as error:
                    log.warning("notice_failed", channel=channel.name, problem=error.problem)

        if self._start(send):
            self._told_at[cause.key] = now

    def _start(self, work: Callable[[], object]) -> bool:
        if self._thread is not None and self._thread.is_alive():
            return False
        self._thread = threading.Thread(target=_guarded, args=(work,), name="courier", daemon=True)
        self._thread.start()
        return True

    def join(self, timeout_s: float | None = None) -> None:
        """Wait for the round that is under way [wall s]."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def deliver(self, now: datetime) -> list[Notice]:
        """Send what is due at ``now``; return what became of each message."""
        done: list[Notice] = []
        for kept in self._store.all_kept(Alarm, since=now - LOOK_BACK):
            alarm = kept.record
            if alarm.closed_at is not None and now - alarm.closed_at > CLOSED_FOR:
                continue
            found = self._store.all_kept(Notice, subject=alarm.id)
            notices = {one.record.key: one.record for one in found}
            revisions = {one.record.key: one.revision for one in found}
            for due in due_notices(alarm, self._channels, notices, now, self._rules):
                notice = self._send(alarm, due, revisions, now)
                if notice is not None:
                    done.append(notice)
        return done

    def _send(
        self, alarm: Alarm, due: Due, revisions: Mapping[str, int], now: datetime
    ) -> Notice | None:
        """Claim, send, record; ``None`` where another process has claimed it."""
        channel = self._channels[due.channel]
        claim = Notice(
            alarm_id=alarm.id,
            occasion=due.occasion,
            number=due.number,
            channel=channel.name,
            to=channel.to,
            state=NoticeState.SENDING,
            attempts=due.attempts + 1,
            at=now,
        )
        try:
            revision = self._store.keep(
                claim,
                key=claim.key,
                subject=alarm.id,
                at=now,
                expected=revisions.get(claim.key, 0),
            )
        except RetryableError:
            return None
        result = attempt(channel, alarm, claim, now)
        self._store.keep(result, key=result.key, subject=alarm.id, at=now, expected=revision)
        return result

    def test(self, alarm: Alarm, now: datetime) -> list[Notice]:
        """Send a test over every channel now; nothing but the log keeps it."""
        results = [
            attempt(
                channel,
                alarm,
                Notice(alarm.id, Occasion.TEST, 1, name, channel.to, NoticeState.SENDING, 1, now),
                now,
            )
            for name, channel in self._channels.items()
        ]
        entries = [
            LogEntry(now, "alarm_test", one.channel, {"state": one.state.value}) for one in results
        ]
        self._store.log(entries)
        return results


def attempt(channel: Channel, alarm: Alarm, claim: Notice, now: datetime) -> Notice:
    """Try once to send a claimed message; return it with what became of it."""
    try:
        channel.send(alarm, claim.occasion, claim.number, now)
    except SendError as error:
        log.warning("notice_failed", channel=channel.name, alarm=alarm.id, problem=error.problem)
        return replace(
            claim,
            state=NoticeState.FAILED,
            problem=error.problem,
            next_try_at=retry_at(now, claim.attempts),
        )
    log.info("notice_sent", channel=channel.name, alarm=alarm.id, occasion=claim.occasion.value)
    return replace(claim, state=NoticeState.SENT)


def _guarded(work: Callable[[], object]) -> None:
    """Run a round of sending; a store in trouble ends the round and not the process."""
    try:
        work()
    except HearthError as error:
        log.warning("notices_not_kept", problem=error.problem)
    except Exception:
        log.exception("courier_failed")
