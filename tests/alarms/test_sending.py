"""Messages reach a real mail server and a real webhook, once, and are recorded by role."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ems.alarms.rules import Judged
from ems.domain.alarms import Alarm, AlarmKind, AlarmState, Cause, NoticeState, Occasion, SmtpServer
from ems.domain.estate import Estate
from ems.service.alarm_desk import AlarmDesk
from ems.service.alarm_job import alarm_job
from ems.service.alarms import GuardWatch
from ems.service.notify import Courier, open_channels, signature

from .conftest import NOW
from .servers import Hook, Mailbox, black_hole, mail_server, webhook

COLD = Cause(
    AlarmKind.HOME_COLD, "A-10", "A-10 is at 13.4 °C.", "Call the home.", ("A-10",), ("A-10-hp",)
)
PRESENT = Judged((COLD,), frozenset({COLD.key}))
ABSENT = Judged((), frozenset({COLD.key}))
DOCUMENT = Path(__file__).parents[2] / "docs" / "alarms.md"


def minutes(count: float):
    return NOW + timedelta(minutes=count)


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mail_server() as box:
        yield box


@pytest.fixture
def hook() -> Iterator[Hook]:
    with webhook() as hook:
        yield hook


def reaching(
    estate: Estate, port: int = 0, url: str = "", *, host: str = "127.0.0.1", **rules: Any
) -> Estate:
    """The estate with channels to these servers."""
    starttls = rules.pop("starttls", False)
    changed = replace(
        estate.alarms,
        recipients={"duty_engineer": "duty@example.org", "housing": "housing@example.org"},
        smtp=SmtpServer(host, port, "hearth@example.org", starttls) if port else None,
        webhooks={"control_room": url} if url else {},
        **{"timeout_s": 5.0, "repeat_s": 3600.0, "close_after_s": 900.0} | rules,
    )
    return replace(estate, alarms=changed)


def courier(estate: Estate, store, **environment: str) -> Courier:
    return Courier(store, estate, open_channels(estate, environment))


def test_an_alarm_reaches_mail_and_webhook_when_it_opens_repeats_and_closes(
    estate, store, box, hook
):
    reached = reaching(estate, box.port, hook.url)
    desk, sender = AlarmDesk(store, reached.alarms), courier(reached, store)
    for minute in range(181):
        if minute == 100:
            desk.acknowledge("home_cold:A-10.1", "olive", "", minutes(minute))
        desk.settle(PRESENT if minute < 150 else ABSENT, minutes(minute))
        sender.deliver(minutes(minute))
    subjects = [str(mail["Subject"]) for mail in box.mails]
    assert subjects == [
        "[Demonstration estate] Alarm: home too cold, A-10",
        "[Demonstration estate] Still open: home too cold, A-10",
        "[Demonstration estate] Closed: home too cold, A-10",
    ]
    assert [one["occasion"] for one in hook.documents] == ["opened", "repeated", "closed"]
    assert set(box.readers[0]) == {"duty@example.org", "housing@example.org"}
    body = box.mails[0].get_content()
    for words in (COLD.what, COLD.remedy, "Homes: A-10", "ems alarms ack home_cold:A-10.1"):
        assert words in body


def test_what_was_sent_is_recorded_by_role_and_never_by_address(estate, store, box, hook):
    reached = reaching(estate, box.port, hook.url)
    desk = AlarmDesk(store, reached.alarms)
    desk.settle(PRESENT, NOW)
    courier(reached, store).deliver(NOW)
    notices = {one.channel: one for one in desk.notices("home_cold:A-10.1")}
    assert notices["email"].to == ("duty_engineer", "housing")
    assert notices["webhook:control_room"].to == ("control_room",)
    assert {one.state for one in notices.values()} == {NoticeState.SENT}
    assert "@" not in repr(notices)
    assert "http" not in repr(notices)


def test_two_processes_send_each_message_once(estate, store, box):
    reached = reaching(estate, box.port)
    desk = AlarmDesk(store, reached.alarms)
    desk.settle(PRESENT, NOW)
    senders = [courier(reached, store) for _ in range(4)]
    for sender in senders:
        sender.wake(NOW)
    for sender in senders:
        sender.join()
    assert len(box.mails) == 1


def test_a_mail_server_that_refuses_is_shown_and_tried_again(estate, store, box):
    reached = reaching(estate, box.port)
    desk, sender = AlarmDesk(store, reached.alarms), courier(reached, store)
    desk.settle(PRESENT, NOW)
    box.refuse = "451 try again later"
    sender.deliver(NOW)
    (notice,) = desk.notices("home_cold:A-10.1")
    assert (notice.state, notice.problem) == (
        NoticeState.FAILED,
        "the mail server answered 451",
    )
    box.refuse = ""
    sender.deliver(NOW)
    assert box.mails == [], "it waits before it tries again"
    sender.deliver(minutes(1))
    (notice,) = desk.notices("home_cold:A-10.1")
    assert (notice.state, notice.attempts, len(box.mails)) == (NoticeState.SENT, 2, 1)


@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_webhook_that_does_not_take_it_has_failed(estate, store, hook, status):
    reached = reaching(estate, url=hook.url)
    AlarmDesk(store, reached.alarms).settle(PRESENT, NOW)
    hook.status = status
    (notice,) = courier(reached, store).deliver(NOW)
    assert (notice.state, notice.problem) == (NoticeState.FAILED, f"the webhook answered {status}")


def test_one_channel_that_fails_does_not_keep_the_other_back(estate, store, hook):
    with black_hole() as port:
        reached = reaching(estate, port, hook.url, timeout_s=0.3)
        AlarmDesk(store, reached.alarms).settle(PRESENT, NOW)
        states = {n.channel: n.state for n in courier(reached, store).deliver(NOW)}
    assert states == {"email": NoticeState.FAILED, "webhook:control_room": NoticeState.SENT}


def test_a_mail_server_that_never_answers_holds_nobody_up(estate, store):
    """Rounds of control go on while a message hangs."""
    with black_hole() as port:
        reached = reaching(estate, port, timeout_s=2.0)
        sender = courier(reached, store)
        desk = AlarmDesk(store, reached.alarms)
        desk.settle(PRESENT, NOW)
        job = alarm_job(GuardWatch(reached, store), sender, 0.0)
        rounds = []

        async def control() -> None:
            await job.run(NOW)
            while not desk.notices("home_cold:A-10.1"):
                await asyncio.sleep(0.01)
            for minute in range(1, 5):
                await job.run(minutes(minute))
                rounds.append(desk.notices("home_cold:A-10.1")[0].state)

        asyncio.run(control())
        assert rounds == [NoticeState.SENDING] * 4
        sender.join()
        (notice,) = desk.notices("home_cold:A-10.1")
        assert notice.state is NoticeState.FAILED
        assert "the mail server cannot be reached" in notice.problem


def test_webhooks_are_what_the_document_says_and_signed(estate, store, hook):
    schema = re.search(r"```json\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.S)
    assert schema
    reached = reaching(estate, url=hook.url)
    AlarmDesk(store, reached.alarms).settle(PRESENT, NOW)
    courier(reached, store, HEARTH_WEBHOOK_KEY="k3y").deliver(NOW)
    check(json.loads(schema.group(1)), hook.documents[0])
    assert hook.headers[0]["X-Hearth-Signature"] == signature("k3y", hook.bodies[0])
    assert hook.headers[0]["Idempotency-Key"] == "home_cold:A-10.1/opened.1"
    assert "A-10" in str(hook.documents[0])


def check(schema: dict[str, Any], value: Any) -> None:
    """Hold a value against the part of JSON Schema that the document uses."""
    kinds = {"string": str, "integer": int, "array": list, "object": dict, "null": type(None)}
    if "const" in schema:
        assert value == schema["const"]
    if "enum" in schema:
        assert value in schema["enum"]
    if "type" in schema:
        named = schema["type"]
        allowed = tuple(kinds[n] for n in (named if isinstance(named, list) else [named]))
        assert isinstance(value, allowed), (schema, value)
    if isinstance(value, dict):
        assert set(value) == set(schema["required"]) == set(schema["properties"])
        for key, inner in schema["properties"].items():
            check(inner, value[key])
    if isinstance(value, list):
        for item in value:
            check(schema["items"], item)


def test_mail_goes_encrypted_and_signed_in_or_not_at_all(estate, store, box, tmp_path, monkeypatch):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    request += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(
        [*request, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True
    )
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert, key)
    secrets = {"HEARTH_SMTP_USER": "hearth", "HEARTH_SMTP_PASSWORD": "s3cret"}
    AlarmDesk(store, estate.alarms).settle(PRESENT, NOW)

    def problem(port: int, at: float, **environment: str) -> str:
        reached = reaching(estate, port, host="localhost", starttls=True)
        (notice,) = courier(reached, store, **environment).deliver(minutes(at))
        return notice.problem

    # A server without STARTTLS gets nothing, an unknown certificate neither.
    assert problem(box.port, 0) == "the mail server offers no encryption or no sign-in"
    assert box.mails == []
    with mail_server(tls, ("hearth", "s3cret")) as safe:
        assert "certificate is not trusted" in problem(safe.port, 2, **secrets)
        monkeypatch.setenv("SSL_CERT_FILE", str(cert))
        wrong = secrets | {"HEARTH_SMTP_PASSWORD": "wr0ng"}
        assert problem(safe.port, 5, **wrong) == "the mail server answered 535"
        assert safe.mails == []
        assert problem(safe.port, 12, **secrets) == ""
        assert len(safe.mails) == 1


def test_a_test_message_says_that_it_is_one(estate, store, box, hook):
    reached = reaching(estate, box.port, hook.url)
    alarm = Alarm("test.1", 1, COLD, AlarmState.OPEN, NOW, NOW)
    results = courier(reached, store).test(alarm, NOW)
    assert [one.occasion for one in results] == [Occasion.TEST, Occasion.TEST]
    assert "Nothing is wrong" in box.mails[0].get_content()
    assert hook.documents[0]["occasion"] == "test"


def test_trouble_of_the_store_is_told_without_the_store(estate, store, box):
    reached = reaching(estate, box.port)
    sender = courier(reached, store)
    watch = GuardWatch(reached, store, on_trouble=sender.tell_directly)
    store.close()
    watch.run(NOW)
    sender.join()
    watch.run(minutes(1))
    sender.join()
    (mail,) = box.mails
    assert "store or disk in trouble" in str(mail["Subject"])
