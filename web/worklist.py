"""Flags for operators: the worklist, cases that open only with a reason, and who looked."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import cast

from flask import Blueprint, Response, abort, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response as BaseResponse

from ems.domain.errors import InvalidInputError, RetryableError
from ems.domain.estate import Dwelling
from ems.domain.people import FLAG_TRANSITIONS, Flag, FlagState, FlagStepError, Verdict
from ems.people.lifecycle import checked_reason
from ems.people.words import SOURCES, STATES, VERDICTS, for_operator
from ems.service.outages import put_back_in_service, put_out_of_service
from ems.service.people import PeopleDesk
from web.charts import TimeChart
from web.help_words import estimate_view, looks
from web.security import note_refusal, note_view, operators_only, person
from web.site import find_device, find_home, site
from web.tenant_queries import warmth_view

blueprint = Blueprint("people", __name__, url_prefix="/estate")
blueprint.before_request(operators_only)

CASE_OPEN_S = 1800.0
"""A case stays open for its reader for this long [wall s]; then it asks again."""
AUDIT_DAYS = 92
AUDIT_ROWS = 300
CHECKS = {
    Verdict.NOT_ENOUGH_DATA: (
        "Does the sensor have power, and is it where it should be?",
        "Is somebody well and warm there? Ask, do not guess.",
    ),
}
COLD_CHECKS = (
    "Is the home occupied, or is everybody away?",
    "Did the resident choose this, and is cost the reason?",
    "Is there a fault of the heating?",
)
Answer = str | BaseResponse | tuple[str, int]


@dataclass(frozen=True, slots=True)
class WorklistFilter:
    """What the worklist is narrowed to; ``open`` leaves out what is settled."""

    block: str = ""
    verdict: str = ""
    state: str = "open"

    def keeps(self, flag: Flag, home: Dwelling) -> bool:
        """Tell whether a flag stays in the list."""
        if self.state == "open" and not flag.is_open:
            return False
        return (
            self.block in ("", home.block_id)
            and self.verdict in ("", flag.verdict.value)
            and self.state in ("", "open", flag.state.value)
        )


def desk() -> PeopleDesk:
    """Return the desk that keeps flags and consents."""
    return PeopleDesk(site().estate, site().store)


def wall_s() -> float:
    """Return wall time [s since the epoch]."""
    return time.time()


@blueprint.get("/worklist")
def worklist() -> str:
    """List flags, the most pressing first; each home on the list is a view of its data."""
    here = site()
    wanted = WorklistFilter(
        request.args.get("block", ""),
        request.args.get("found", ""),
        request.args.get("state", "open"),
    )
    homes = {home.id: home for home in here.estate.dwellings()}
    blocks = {block.id: block.name for block in here.estate.blocks}
    flags = desk().flags()
    rows = [
        flag
        for flag in flags
        if flag.dwelling_id in homes and wanted.keeps(flag, homes[flag.dwelling_id])
    ]
    for dwelling_id in dict.fromkeys(flag.dwelling_id for flag in rows):
        note_view(dwelling_id)
    threshold_c = here.estate.people.cold_home.threshold_c
    return render_template(
        "operator/worklist.html",
        rows=[(flag, homes[flag.dwelling_id], for_operator(flag, threshold_c)) for flag in rows],
        total=len(flags),
        wanted=wanted,
        blocks=blocks,
        verdicts=VERDICTS,
        found=[verdict for verdict in Verdict if verdict.is_found],
        states=STATES,
    )


@blueprint.get("/homes/<dwelling_id>/cases/<flag_id>")
def case(dwelling_id: str, flag_id: str) -> Answer:
    """Show a case to whoever gave a reason, and ask everybody else for one."""
    home, flag = _find(dwelling_id, flag_id)
    reason = _open_reason(flag_id)
    if reason is None:
        return _ask(home, flag)
    return _show(home, flag, reason)


@blueprint.post("/homes/<dwelling_id>/cases/<flag_id>")
def open_case(dwelling_id: str, flag_id: str) -> Answer:
    """Open a case for a reason; without one it stays closed, and that is recorded too."""
    home, flag = _find(dwelling_id, flag_id)
    try:
        reason = checked_reason(request.form.get("reason", ""))
    except FlagStepError as error:
        note_refusal(home.id, "people.case")
        return _ask(home, flag, f"{error.problem.capitalize()}. {error.remedy}"), 400
    opened = dict(session.get("cases", {}))
    opened[flag_id] = [reason[:300], wall_s()]
    session["cases"] = dict(list(opened.items())[-5:])
    return redirect(url_for("people.case", dwelling_id=home.id, flag_id=flag_id), 303)


@blueprint.post("/homes/<dwelling_id>/cases/<flag_id>/steps")
def take_step(dwelling_id: str, flag_id: str) -> Answer:
    """Take a flag one step further, with a reason."""
    home, flag = _find(dwelling_id, flag_id)
    opened = _open_reason(flag_id)
    if opened is None:
        note_refusal(home.id, "people.case")
        abort(403)
    try:
        state = FlagState(request.form.get("state", ""))
    except ValueError:
        return _show(home, flag, opened, "Choose what you decided."), 400
    try:
        desk().step(flag_id, state, person().name, request.form.get("reason", ""), site().now())
    except (InvalidInputError, RetryableError) as error:
        return _show(home, flag, opened, f"{error.problem.capitalize()}. {error.remedy}"), 400
    return redirect(url_for("people.case", dwelling_id=home.id, flag_id=flag_id), 303)


@blueprint.get("/audit")
def audit() -> str:
    """List who looked at whose data, and why."""
    here = site()
    now = here.now()
    home = request.args.get("home", "").strip()
    by = request.args.get("by", "").strip()
    refused = request.args.get("refused", "")
    found = [
        row
        for row in looks(here.store, now - timedelta(days=AUDIT_DAYS), now + timedelta(seconds=1))
        if (not home or row.subject.casefold() == home.casefold())
        and (not by or row.by.casefold() == by.casefold())
        and (not refused or row.refused)
    ]
    return render_template(
        "operator/audit.html",
        rows=found[:AUDIT_ROWS],
        more=max(len(found) - AUDIT_ROWS, 0),
        home=home,
        by=by,
        refused=refused,
        days=AUDIT_DAYS,
    )


@blueprint.post("/devices/<device_id>/service")
def service(device_id: str) -> BaseResponse:
    """Put a device out of service, with a reason, or back in."""
    here = site()
    device = find_device(device_id)
    now, who = here.now(), person().name
    if request.form.get("to") == "back":
        put_back_in_service(here.store, device.id, who, now)
    else:
        try:
            put_out_of_service(
                here.estate, here.store, device.id, request.form.get("reason", ""), who, now
            )
        except InvalidInputError:
            abort(400)
    return cast(Response, redirect(url_for("operator.device", device_id=device.id), 303))


def _find(dwelling_id: str, flag_id: str) -> tuple[Dwelling, Flag]:
    home = find_home(dwelling_id)
    flag = desk().flag(flag_id)
    if flag is None or flag.dwelling_id != home.id:
        abort(404)
    return home, flag


def _open_reason(flag_id: str) -> str | None:
    """Return the reason this reader gave for the case, while it stands."""
    opened = session.get("cases", {}).get(flag_id)
    if opened is None or wall_s() - float(opened[1]) > CASE_OPEN_S:
        return None
    return str(opened[0])


def _block_name(home: Dwelling) -> str:
    return site().estate.block(home.block_id).name


def _ask(home: Dwelling, flag: Flag, error: str = "") -> str:
    return render_template(
        "operator/case_reason.html", home=home, flag=flag, block=_block_name(home), error=error
    )


def _show(home: Dwelling, flag: Flag, reason: str, error: str = "") -> str:
    here = site()
    note_view(home.id, reason, "people.case")
    people = desk()
    consent = people.consent(home.id)
    household = consent.household if consent is not None and consent.holds else None
    now = here.now()
    stale = now - timedelta(days=2)
    return render_template(
        "operator/case.html",
        home=home,
        flag=flag,
        block=_block_name(home),
        sentence=for_operator(flag, here.estate.people.cold_home.threshold_c),
        verdicts=VERDICTS,
        states=STATES,
        sources=SOURCES,
        checks=CHECKS.get(flag.verdict, COLD_CHECKS),
        permitted=[state for state in FlagState if state in FLAG_TRANSITIONS[flag.state]],
        chart=_room_chart(home, now),
        consent=consent,
        estimate=estimate_view(here.estate, home, household, people.estimate(home, now)),
        reason=reason,
        error=error,
        typed=request.form.get("reason", "") if error else "",
        not_found_since=flag.last_found_at if flag.last_found_at < stale else None,
    )


def _room_chart(home: Dwelling, now: datetime) -> TimeChart:
    """Return a week of the living room, in words for staff."""
    week = warmth_view(site().estate, site().store, home, now).week
    measured, *others = week.lines
    return replace(
        week,
        title="The living room, last 7 days",
        summary="Half-hour means, beside what the resident's schedule asks for.",
        lines=(replace(measured, name="Living room"), *others),
    )
