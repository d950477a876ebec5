"""Choices about calls and reports: what a ring, a form or a dismissal leads to. Pure functions, command in, events out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from dispatch import commands as co
from dispatch import duplicates, plans, transitions, triage
from dispatch import events as ev
from dispatch.model import Actor, Caller, Place, Rejected, Report, ReportState
from dispatch.region import AUTO, CONFIRM, PRE_ALERT

if TYPE_CHECKING:
    from dispatch.engine import Engine

FUTURE_TOLERANCE = timedelta(seconds=5)
"""Clocks of the exchange and of phones may run ahead this much; more is refused rather than bent."""
RING_AGE_MAX = timedelta(hours=24)
"""Older than a day is a record to type into the log book, not an emergency to send to."""


def check_place(engine: Engine, place: Place, field: str = "place") -> None:
    if not engine.region.contains(place.lon, place.lat):
        raise Rejected("outside_region", field, lon=place.lon, lat=place.lat)


def check_time(stamp: datetime | None, at: datetime, field: str) -> None:
    """Refuse stamps without zone, from the future or older than a day."""
    if stamp is None:
        return
    if stamp.tzinfo is None:
        raise Rejected("time_without_zone", field)
    if stamp > at + FUTURE_TOLERANCE:
        raise Rejected("time_in_future", field, ahead_s=(stamp - at).total_seconds())
    if stamp < at - RING_AGE_MAX:
        raise Rejected("time_too_old", field, age_s=(at - stamp).total_seconds())


def ring(rang_at: datetime | None, at: datetime) -> datetime:
    """The first ring in UTC: as told, but never later than now."""
    return at if rang_at is None else min(rang_at.astimezone(UTC), at)


def find_report(engine: Engine, report_id: str, field: str = "report_id") -> Report:
    report = engine.state.reports.get(report_id)
    if report is None:
        raise Rejected("unknown_report", field)
    return report


def present_call(engine: Engine, c: co.PresentCall, at: datetime, actor: Actor) -> list[ev.AnyEvent]:
    check_time(c.rang_at, at, "rang_at")
    if c.call_id in engine.state.report_of_call:
        return []  # the exchange repeats itself; the first ring counts
    phone = c.phone or None
    return [
        ev.CallPresented(
            report_id=engine.next_report_id(at),
            call_id=c.call_id,
            rang_at=ring(c.rang_at, at),
            line=c.line,
            caller=Caller(phone=phone),
            place=c.place,
            repeat_of=engine.state.abandoned_by_phone.get(phone) if phone else None,
        )
    ]


def answer_report(engine: Engine, c: co.AnswerReport, at: datetime, actor: Actor) -> list[ev.AnyEvent]:
    report = find_report(engine, c.report_id)
    if report.state is ReportState.ANSWERED:
        if report.answered_by == actor.name:
            return []
        since = engine.state.claimed_at.get(report.report_id) or report.answered_at or at
        until = since + timedelta(seconds=engine.region.limits.answer_claim_s)
        if actor.role != "supervisor" and at < until:
            raise Rejected("claimed", "report_id", by=report.answered_by, until=until)
        return [ev.ReportAnswered(report_id=c.report_id)]
    transitions.require(transitions.REPORT, report.state, ReportState.ANSWERED, "report_id")
    return [ev.ReportAnswered(report_id=c.report_id)]


def abandon_call(engine: Engine, c: co.AbandonCall, at: datetime, actor: Actor) -> list[ev.AnyEvent]:
    report = find_report(engine, c.report_id)
    transitions.require(transitions.REPORT, report.state, ReportState.ABANDONED, "report_id")
    return [ev.CallAbandoned(report_id=c.report_id)]


def submit_report(engine: Engine, c: co.SubmitReport, at: datetime, actor: Actor) -> list[ev.AnyEvent]:
    """Opens an incident on location and kind alone: questions may go on while units already roll."""
    if c.kind not in engine.region.kinds:
        raise Rejected("unknown_kind", "kind")
    check_place(engine, c.place)
    check_time(c.rang_at, at, "rang_at")
    for question, answer in c.answers.items():
        triage.check(engine.region, c.kind, question, answer)
    if c.report_id is not None:
        report = find_report(engine, c.report_id)
        transitions.require(transitions.REPORT, report.state, ReportState.SUBMITTED, "report_id")
        report_id, rang_at, created = report.report_id, report.rang_at, None
    else:
        report_id = engine.next_report_id(at)
        rang_at = created = ring(c.rang_at, at)
    submitted = ev.ReportSubmitted(
        report_id=report_id,
        channel=c.channel,
        incident_kind=c.kind,
        place=c.place,
        description=c.description,
        caller=c.caller,
        rang_at=created,
        answers=dict(c.answers),
    )
    if c.incident_id is not None:
        engine.find_open_incident(c.incident_id)
        return [submitted, ev.ReportAttached(report_id=report_id, incident_id=c.incident_id)]
    return [submitted, *_open(engine, report_id, c.kind, c.place, rang_at, at, c.priority, c.answers)]


def _open(
    engine: Engine,
    report_id: str,
    kind: str,
    place: Place,
    rang_at: datetime,
    at: datetime,
    priority: int | None,
    answers: dict[str, str],
) -> list[ev.AnyEvent]:
    region = engine.region
    if priority is not None:
        grade, why = priority, "operator"
    else:
        scored = triage.priority(region, kind, answers) if answers else None
        grade, why = scored if scored is not None else (region.kinds[kind].priority, "kind")
    zone = engine.zone_of(place.lon, place.lat)
    plan = plans.match(region, kind, grade, zone, engine.local_hour(at))
    limits = region.limits
    state = engine.state
    likely = duplicates.similar(
        kind,
        place.lon,
        place.lat,
        rang_at,
        (
            (i.incident_id, i.kind, i.place.lon, i.place.lat, i.first_ring_at)
            for i in map(state.incidents.__getitem__, engine.near(place, limits.duplicate_radius_m))
        ),
        limits.duplicate_radius_m,
        limits.duplicate_window_s,
        region.are_related,
    )
    mode = plan.mode
    confirm_due_at = at + timedelta(seconds=limits.pre_alert_s) if mode == PRE_ALERT else None
    if likely and mode == AUTO and likely[0].score >= limits.duplicate_hold_score:
        twin = state.incidents[likely[0].incident_id]
        if not twin.unfilled:
            # Help is already going there. Let a person say "the same" for a moment before a second crew is sent.
            mode, confirm_due_at = CONFIRM, at + timedelta(seconds=limits.duplicate_hold_s)
    incident_id = engine.next_incident_id(at)
    return [
        ev.IncidentOpened(
            incident_id=incident_id,
            report_id=report_id,
            incident_kind=kind,
            priority=grade,
            place=place,
            first_ring_at=rang_at,
            plan=plan.code,
            mode=mode,
            required=plans.required(plan, 1),
            confirm_due_at=confirm_due_at,
            zone=zone,
            why=why,
        ),
        ev.ReportAttached(report_id=report_id, incident_id=incident_id),
        *(
            ev.DuplicateSuspected(
                incident_id=incident_id, like=twin.incident_id, score=twin.score, distance_m=twin.distance_m
            )
            for twin in likely[:DUPLICATES_SHOWN_MAX]
        ),
    ]


DUPLICATES_SHOWN_MAX = 3
"""More than three suspects are noise: a mass accident, which the operator sees on the map."""


def locate_report(engine: Engine, c: co.LocateReport, at: datetime, actor: Actor) -> list[ev.AnyEvent]:
    find_report(engine, c.report_id)
    check_place(engine, c.place)
    return [ev.ReportLocated(report_id=c.report_id, place=c.place)]


def attach_report(engine: Engine, c: co.AttachReport, at: datetime, actor: Actor) -> list[ev.AnyEvent]:
    report = find_report(engine, c.report_id)
    incident = engine.find_open_incident(c.incident_id)
    if report.incident_id == incident.incident_id:
        return []
    if report.state is ReportState.ATTACHED:
        raise Rejected("already_attached", "report_id", incident_id=report.incident_id)
    transitions.require(transitions.REPORT, report.state, ReportState.ATTACHED, "report_id")
    return [ev.ReportAttached(report_id=c.report_id, incident_id=c.incident_id)]


def detach_report(engine: Engine, c: co.DetachReport, at: datetime, actor: Actor) -> list[ev.AnyEvent]:
    """The report becomes an incident of its own. The opening report stays: its ring is the incident's clock for ever."""
    report = find_report(engine, c.report_id)
    if report.state is not ReportState.ATTACHED or report.incident_id is None:
        raise Rejected("not_attached", "report_id")
    incident = engine.find_open_incident(report.incident_id, "report_id")
    if incident.report_ids[0] == report.report_id:
        raise Rejected("opening_report", "report_id", incident_id=incident.incident_id)
    kind, place = report.kind or incident.kind, report.place or incident.place
    return [
        ev.ReportDetached(report_id=c.report_id, incident_id=incident.incident_id),
        *_open(engine, report.report_id, kind, place, report.rang_at, at, None, {}),
    ]


def dismiss_report(engine: Engine, c: co.DismissReport, at: datetime, actor: Actor) -> list[ev.AnyEvent]:
    report = find_report(engine, c.report_id)
    transitions.require(transitions.REPORT, report.state, ReportState.DISMISSED, "report_id")
    return [ev.ReportDismissed(report_id=c.report_id, reason=c.reason)]


HANDLERS = {
    co.PresentCall: present_call,
    co.AnswerReport: answer_report,
    co.AbandonCall: abandon_call,
    co.SubmitReport: submit_report,
    co.LocateReport: locate_report,
    co.AttachReport: attach_report,
    co.DetachReport: detach_report,
    co.DismissReport: dismiss_report,
}
