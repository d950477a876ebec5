"""What each kind of event does to the state: one function a kind, and the table that `State.apply` looks them up in.

Each function is called with the state, the event and its journal line, in the order of the journal, and is the only place
that gives its kind a meaning. None of them decides anything.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from dispatch import events as ev
from dispatch.model import (
    NUMBERS_UNSEEN_MAX,
    Assignment,
    AssignmentState,
    Channel,
    Incident,
    IncidentState,
    MoveUp,
    Position,
    Report,
    ReportState,
    Restriction,
    UnitState,
)
from dispatch.region import AUTO

if TYPE_CHECKING:
    from dispatch.fold import State


def _call_presented(s: State, e: ev.CallPresented, entry: ev.Entry) -> None:
    s.reports[e.report_id] = Report(
        report_id=e.report_id,
        channel=Channel.CALL,
        state=ReportState.RINGING,
        rang_at=e.rang_at,
        received_at=entry.at,
        caller=e.caller,
        place=e.place,
        call_id=e.call_id,
        repeat_of=e.repeat_of,
    )
    s.last_report = e.report_id
    s.report_of_call[e.call_id] = e.report_id
    s.touched.reports[e.report_id] = None


def _report_answered(s: State, e: ev.ReportAnswered, entry: ev.Entry) -> None:
    r = s._report(e.report_id)
    r.state = ReportState.ANSWERED
    r.answered_at = r.answered_at or entry.at
    r.answered_by = entry.actor.name
    s.claimed_at[e.report_id] = entry.at
    if r.caller.phone:
        s.abandoned_by_phone.pop(r.caller.phone, None)


def _call_abandoned(s: State, e: ev.CallAbandoned, entry: ev.Entry) -> None:
    r = s._report(e.report_id)
    r.state = ReportState.ABANDONED
    r.ended_at = entry.at
    if r.caller.phone:
        s.abandoned_by_phone[r.caller.phone] = r.report_id


def _report_submitted(s: State, e: ev.ReportSubmitted, entry: ev.Entry) -> None:
    r = s.reports.get(e.report_id)
    if r is None:
        r = s.reports[e.report_id] = Report(
            report_id=e.report_id,
            channel=e.channel,
            state=ReportState.SUBMITTED,
            rang_at=e.rang_at or entry.at,
            received_at=entry.at,
        )
        s.last_report = e.report_id
    r.state = ReportState.SUBMITTED
    r.submitted_at = entry.at
    r.kind = e.incident_kind
    r.place = e.place
    r.description = e.description
    if e.caller.phone or e.caller.name:
        r.caller = e.caller
    s.touched.reports[e.report_id] = None


def _report_located(s: State, e: ev.ReportLocated, entry: ev.Entry) -> None:
    s._report(e.report_id).place = e.place


def _report_attached(s: State, e: ev.ReportAttached, entry: ev.Entry) -> None:
    r = s._report(e.report_id)
    r.state = ReportState.ATTACHED
    r.incident_id = e.incident_id
    r.dismissed_for = None
    incident = s._incident(e.incident_id)
    if e.report_id not in incident.report_ids:
        incident.report_ids = [*incident.report_ids, e.report_id]
    incident.first_ring_at = min(incident.first_ring_at, r.rang_at)


def _report_detached(s: State, e: ev.ReportDetached, entry: ev.Entry) -> None:
    r = s._report(e.report_id)
    r.state = ReportState.SUBMITTED
    r.incident_id = None
    incident = s._incident(e.incident_id)
    incident.report_ids = [i for i in incident.report_ids if i != e.report_id]
    if incident.report_ids:
        incident.first_ring_at = min(s.reports[i].rang_at for i in incident.report_ids)


def _report_dismissed(s: State, e: ev.ReportDismissed, entry: ev.Entry) -> None:
    r = s._report(e.report_id)
    r.state = ReportState.DISMISSED
    r.dismissed_for = e.reason
    r.ended_at = entry.at


def _duplicate_suspected(s: State, e: ev.DuplicateSuspected, entry: ev.Entry) -> None:
    incident = s._incident(e.incident_id)
    incident.like = {**incident.like, e.like: e.score}


def _incident_opened(s: State, e: ev.IncidentOpened, entry: ev.Entry) -> None:
    s.incidents[e.incident_id] = Incident(
        incident_id=e.incident_id,
        kind=e.incident_kind,
        priority=e.priority,
        highest_priority=e.priority,
        place=e.place,
        state=IncidentState.WAITING,
        first_ring_at=e.first_ring_at,
        opened_at=entry.at,
        plan=e.plan,
        mode=e.mode,
        zone=e.zone,
        required=list(e.required),
        unfilled=list(e.required),
        confirmed=e.mode == AUTO,
        confirm_due_at=e.confirm_due_at,
    )
    s.last_incident = e.incident_id
    s.open_ids[e.incident_id] = None
    if e.required:
        s.short_ids[e.incident_id] = None
    s.touched.incidents[e.incident_id] = s.stirred[e.incident_id] = None
    s.assign_seq = s.seq


def _incident_regraded(s: State, e: ev.IncidentRegraded, entry: ev.Entry) -> None:
    incident = s._incident(e.incident_id)
    incident.kind = e.incident_kind
    incident.priority = e.priority
    incident.highest_priority = min(incident.highest_priority, e.priority)
    incident.plan = e.plan
    incident.required = list(e.required)
    _unwarn(incident)
    if e.first is not None:
        _reflag(s, e.first, incident.assignment_ids)
        _arrived(s, incident)
    s._refill(incident)
    s.assign_seq = s.seq


def _incident_relocated(s: State, e: ev.IncidentRelocated, entry: ev.Entry) -> None:
    incident = s._incident(e.incident_id)
    incident.place = e.place
    incident.zone = e.zone
    _unwarn(incident)
    s.assign_seq = s.seq


def _incident_merged(s: State, e: ev.IncidentMerged, entry: ev.Entry) -> None:
    gone, into = s._incident(e.incident_id), s._incident(e.into)
    gone.state_before_merge = gone.state
    gone.reports_before_merge = list(e.reports)
    gone.merged_into = e.into
    s._end(gone, IncidentState.MERGED, entry, None)
    _reflag(s, e.first, [*into.assignment_ids, *e.assignments])
    _move(s, e.reports, e.assignments, gone, into)
    into.first_ring_at = min(into.first_ring_at, gone.first_ring_at)
    into.priority = min(into.priority, gone.priority)
    into.highest_priority = min(into.highest_priority, gone.highest_priority)
    into.like = {k: v for k, v in into.like.items() if k != e.incident_id}
    s.assign_seq = s.seq


def _incident_unmerged(s: State, e: ev.IncidentUnmerged, entry: ev.Entry) -> None:
    back, out_of = s._incident(e.incident_id), s._incident(e.out_of)
    back.state = back.state_before_merge or IncidentState.WAITING
    back.state_before_merge = None
    back.reports_before_merge = []
    back.merged_into = None
    back.ended_at = None
    s.open_ids[e.incident_id] = None
    _reflag(s, e.first, [*out_of.assignment_ids, *back.assignment_ids])
    _move(s, e.reports, e.assignments, out_of, back)
    out_of.first_ring_at = e.first_ring_at
    s.assign_seq = s.seq


def _reflag(s: State, first: list[str] | None, assignment_ids: list[str]) -> None:
    """Whose arrival stops the clock follows the plan that stands, not the one a unit was sent by."""
    if first is None:
        return
    for assignment_id in assignment_ids:
        stops = assignment_id in first
        if s.assignments[assignment_id].first != stops:
            s._assignment(assignment_id).first = stops


def _move(s: State, reports: list[str], assignments: list[str], origin: Incident, target: Incident) -> None:
    for report_id in reports:
        s._report(report_id).incident_id = target.incident_id
    for assignment_id in assignments:
        s._assignment(assignment_id).incident_id = target.incident_id
    target.report_ids = [*target.report_ids, *(r for r in reports if r not in target.report_ids)]
    target.assignment_ids = [*target.assignment_ids, *(a for a in assignments if a not in target.assignment_ids)]
    origin.report_ids = [r for r in origin.report_ids if r not in reports]
    origin.assignment_ids = [a for a in origin.assignment_ids if a not in assignments]
    for incident in (origin, target):
        _arrived(s, incident)
        s._restate(incident)
        s._refill(incident)


def _arrived(s: State, incident: Incident) -> None:
    """First arrivals by its assignments as they are now."""
    arrived = [a for a in map(s.assignments.__getitem__, incident.assignment_ids) if a.at_scene_at is not None]
    incident.first_at_scene_at = min((a.at_scene_at for a in arrived if a.at_scene_at), default=None)
    incident.first_capable_at_scene_at = min(
        (a.at_scene_at for a in arrived if a.at_scene_at and a.first), default=None
    )


def _incident_cancelled(s: State, e: ev.IncidentCancelled, entry: ev.Entry) -> None:
    s._end(s._incident(e.incident_id), IncidentState.CANCELLED, entry, e.reason)


def _incident_closed(s: State, e: ev.IncidentClosed, entry: ev.Entry) -> None:
    s._end(s._incident(e.incident_id), IncidentState.CLOSED, entry, e.outcome)


def _incident_reopened(s: State, e: ev.IncidentReopened, entry: ev.Entry) -> None:
    incident = s._incident(e.incident_id)
    incident.state = IncidentState.WAITING
    incident.ended_at = None
    incident.outcome = None
    incident.ended_by = None
    s.open_ids[e.incident_id] = None
    s._restate(incident)
    s._refill(incident)
    s.assign_seq = s.seq


NOTES_KEPT = 12
"""What a phone can still show; older notes stand in the journal."""


def _incident_noted(s: State, e: ev.IncidentNoted, entry: ev.Entry) -> None:
    incident = s._incident(e.incident_id)
    incident.notes = [*incident.notes, e.text][-NOTES_KEPT:]


def _photo_kept(s: State, e: ev.PhotoKept, entry: ev.Entry) -> None:
    s._incident(e.incident_id)


def _patients_counted(s: State, e: ev.PatientsCounted, entry: ev.Entry) -> None:
    s._incident(e.incident_id).patients = e.patients
    _alive(s, e.assignment_id, e.check_due_at)


def _alive(s: State, assignment_id: str, check_due_at: datetime | None) -> None:
    """A sign of life; one that comes after the crew has left the scene starts no new watch."""
    a = s._assignment(assignment_id)
    a.silent_at = None
    if a.state is AssignmentState.AT_SCENE:
        a.check_due_at = check_due_at


def _crew_safe(s: State, e: ev.CrewSafe, entry: ev.Entry) -> None:
    _alive(s, e.assignment_id, e.check_due_at)


def _crew_silent(s: State, e: ev.CrewSilent, entry: ev.Entry) -> None:
    s._assignment(e.assignment_id).silent_at = entry.at


def _clock_corrected(s: State, e: ev.ClockCorrected, entry: ev.Entry) -> None:
    s._incident(e.incident_id)  # the recorded time stands


def _alarm_raised(s: State, e: ev.AlarmRaised, entry: ev.Entry) -> None:
    incident = s._incident(e.incident_id)
    incident.alarm_level = e.level
    incident.required = list(e.required)
    s._refill(incident)
    s.assign_seq = s.seq


def _triage_answered(s: State, e: ev.TriageAnswered, entry: ev.Entry) -> None:
    incident = s._incident(e.incident_id)
    incident.triage = {**incident.triage, e.question: e.answer}


def _plan_confirmed(s: State, e: ev.PlanConfirmed, entry: ev.Entry) -> None:
    incident = s._incident(e.incident_id)
    incident.confirmed = True
    incident.confirm_due_at = None
    incident.retry_at = None
    s.assign_seq = s.seq


def _plan_short(s: State, e: ev.PlanShort, entry: ev.Entry) -> None:
    s._incident(e.incident_id).retry_at = e.retry_at
    s.short_of[e.incident_id] = list(e.missing)


def _response_at_risk(s: State, e: ev.ResponseAtRisk, entry: ev.Entry) -> None:
    incident = s._incident(e.incident_id)
    incident.warned_at = entry.at
    incident.warning_level, incident.warning_due_at, incident.warning_acked_at = 1, e.ack_due_at, None
    incident.chance = e.chance
    incident.predicted_at = e.predicted_at


def _unwarn(incident: Incident) -> None:
    """What was warned of is not what it was: it may be warned of again."""
    incident.warned_at = incident.warning_due_at = incident.warning_acked_at = None
    incident.warning_level = 0


def _warning_acknowledged(s: State, e: ev.WarningAcknowledged, entry: ev.Entry) -> None:
    _taken_on(s._incident(e.incident_id), entry.at)


def _taken_on(incident: Incident, at: datetime) -> None:
    incident.warning_due_at = None
    if incident.warning_acked_at is None:
        incident.warning_acked_at = at


def _warning_escalated(s: State, e: ev.WarningEscalated, entry: ev.Entry) -> None:
    incident = s._incident(e.incident_id)
    incident.warning_level, incident.warning_due_at = e.level, e.ack_due_at


def _response_late(s: State, e: ev.ResponseLate, entry: ev.Entry) -> None:
    s._incident(e.incident_id).breached_at = entry.at


def _unit_recommended(s: State, e: ev.UnitRecommended, entry: ev.Entry) -> None:
    if e.incident_id in s.open_ids:
        s.recommended.setdefault(e.incident_id, {})[e.capability] = e
        s.touched.incidents[e.incident_id] = None


def _unit_assigned(s: State, e: ev.UnitAssigned, entry: ev.Entry) -> None:
    s.assignments[e.assignment_id] = Assignment(
        assignment_id=e.assignment_id,
        incident_id=e.incident_id,
        unit_id=e.unit_id,
        capability=e.capability,
        first=e.first,
        state=AssignmentState.ALERTED,
        assigned_at=entry.at,
        assigned_by=str(entry.actor),
        eta_s=e.eta_s,
        arrival_sd_s=e.sd_s,
        ack_due_at=e.ack_due_at,
        reason=e.reason,
    )
    s.active_ids[e.assignment_id] = None
    s.touched.assignments[e.assignment_id] = None
    unit = s._unit(e.unit_id)
    if unit.assignment_id is not None:
        raise AssertionError(f"unit {e.unit_id} already serves {unit.assignment_id}")
    unit.assignment_id = e.assignment_id
    unit.moving_up_since = None
    s._set_unit(unit, UnitState.COMMITTED, entry.at)
    incident = s._incident(e.incident_id)
    incident.assignment_ids = [*incident.assignment_ids, e.assignment_id]
    incident.assigned_count += 1
    incident.first_assigned_at = incident.first_assigned_at or entry.at
    if incident.warned_at is not None and e.first:
        _taken_on(incident, entry.at)
    if incident.state is IncidentState.WAITING:
        incident.state = IncidentState.DISPATCHED
    s._refill(incident)


def _unit_realerted(s: State, e: ev.UnitRealerted, entry: ev.Entry) -> None:
    a = s._assignment(e.assignment_id)
    a.alerts = e.alerts
    a.ack_due_at = e.ack_due_at


def _voice_task_raised(s: State, e: ev.VoiceTaskRaised, entry: ev.Entry) -> None:
    s._assignment(e.assignment_id).voice_task_at = entry.at


def _job_receipted(s: State, e: ev.JobReceipted, entry: ev.Entry) -> None:
    a = s._assignment(e.assignment_id, e.step, entry)
    if e.step == "delivered":
        a.delivered_at = a.delivered_at or entry.at
    else:
        a.seen_at = a.seen_at or entry.at
    if e.device:
        a.receipts = {**a.receipts, f"{e.device}/{e.step}": entry.at}


def _job_acknowledged(s: State, e: ev.JobAcknowledged, entry: ev.Entry) -> None:
    a = s._assignment(e.assignment_id, "acknowledged", entry)
    a.state = AssignmentState.ACKNOWLEDGED
    a.acknowledged_at = entry.at
    a.ack_due_at = None


def _lost(s: State, assignment_id: str) -> None:
    """Who was sent on a warning does not come after all: it is looked at afresh."""
    a = s.assignments[assignment_id]
    incident = s.incidents[a.incident_id]
    if a.first and incident.warning_acked_at is not None:
        _unwarn(incident)


def _job_declined(s: State, e: ev.JobDeclined, entry: ev.Entry) -> None:
    s._end_assignment(e.assignment_id, AssignmentState.DECLINED, e.reason, entry)
    _lost(s, e.assignment_id)


def _job_unanswered(s: State, e: ev.JobUnanswered, entry: ev.Entry) -> None:
    s._end_assignment(e.assignment_id, AssignmentState.UNANSWERED, "", entry)
    _lost(s, e.assignment_id)


def _unit_withdrawn(s: State, e: ev.UnitWithdrawn, entry: ev.Entry) -> None:
    s._end_assignment(e.assignment_id, AssignmentState.WITHDRAWN, e.reason, entry)


def _unit_en_route(s: State, e: ev.UnitEnRoute, entry: ev.Entry) -> None:
    a = s._assignment(e.assignment_id, "en_route", entry)
    a.state = AssignmentState.EN_ROUTE
    a.acknowledged_at = a.acknowledged_at or entry.at
    a.en_route_at = entry.at
    a.ack_due_at = None


def _arrival_proposed(s: State, e: ev.ArrivalProposed, entry: ev.Entry) -> None:
    a = s._assignment(e.assignment_id, "geofence", entry)
    a.geofence_at = a.geofence_at or entry.at


def _unit_at_scene(s: State, e: ev.UnitAtScene, entry: ev.Entry) -> None:
    a = s._assignment(e.assignment_id, "at_scene", entry)
    a.state = AssignmentState.AT_SCENE
    a.acknowledged_at = a.acknowledged_at or entry.at
    a.at_scene_at = entry.at
    if a.eta_s is not None:
        # The phone's own time where it came late, so that a tunnel is not taken for a jam.
        there_at = entry.at if e.device_at is None else min(entry.at, e.device_at)
        s.trips.learn_one(a.eta_s, (there_at - a.assigned_at).total_seconds(), s.local_hour(a.assigned_at))
    a.ack_due_at = None
    a.check_due_at = e.check_due_at
    incident = s._incident(e.incident_id)
    incident.first_at_scene_at = incident.first_at_scene_at or entry.at
    if a.first:
        incident.first_capable_at_scene_at = incident.first_capable_at_scene_at or entry.at
    s._restate(incident)


def _unit_at_patient(s: State, e: ev.UnitAtPatient, entry: ev.Entry) -> None:
    s._assignment(e.assignment_id, "at_patient", entry).at_patient_at = entry.at
    _alive(s, e.assignment_id, e.check_due_at)


def _unit_transporting(s: State, e: ev.UnitTransporting, entry: ev.Entry) -> None:
    a = s._assignment(e.assignment_id, "transporting", entry)
    a.state = AssignmentState.TRANSPORTING
    a.transporting_at = entry.at
    a.hospital_id = e.hospital_id
    a.notice = e.notice
    a.check_due_at = a.silent_at = None
    s.stirred_agencies[s.units[a.unit_id].agency] = None


def _unit_at_hospital(s: State, e: ev.UnitAtHospital, entry: ev.Entry) -> None:
    a = s._assignment(e.assignment_id, "at_hospital", entry)
    a.state = AssignmentState.AT_HOSPITAL
    a.at_hospital_at = entry.at


def _unit_cleared(s: State, e: ev.UnitCleared, entry: ev.Entry) -> None:
    s._end_assignment(e.assignment_id, AssignmentState.CLEARED, "", entry)


def _duty_started(s: State, e: ev.DutyStarted, entry: ev.Entry) -> None:
    unit = s._unit(e.unit_id)
    unit.crew = list(e.crew)
    unit.faults = list(e.faults or [])
    unit.duty_since = entry.at
    unit.moves_today = 0
    unit.move_up = None
    unit.post = unit.home_post
    if e.place is not None:
        unit.position = Position(lon=e.place.lon, lat=e.place.lat, fixed_at=entry.at, received_at=entry.at)
    s._set_unit(unit, UnitState.AVAILABLE, entry.at)


def _duty_ended(s: State, e: ev.DutyEnded, entry: ev.Entry) -> None:
    unit = s._unit(e.unit_id)
    unit.crew = []
    unit.duty_since = None
    unit.out_of_service_for = None
    unit.moving_up_since = None
    s._set_unit(unit, UnitState.OFF_DUTY, entry.at)


def _unit_out_of_service(s: State, e: ev.UnitOutOfService, entry: ev.Entry) -> None:
    unit = s._unit(e.unit_id)
    unit.out_of_service_for = e.reason
    s._set_unit(unit, UnitState.OUT_OF_SERVICE, entry.at)


def _unit_returned(s: State, e: ev.UnitReturned, entry: ev.Entry) -> None:
    unit = s._unit(e.unit_id)
    unit.out_of_service_for = None
    s._set_unit(unit, UnitState.AVAILABLE, entry.at)


def _unit_placed(s: State, e: ev.UnitPlaced, entry: ev.Entry) -> None:
    unit = s._unit(e.unit_id)
    unit.position = Position(
        lon=e.place.lon, lat=e.place.lat, fixed_at=entry.at, received_at=entry.at, source="dispatcher"
    )
    s.assign_seq = s.seq


def _move_ordered(s: State, e: ev.MoveOrdered, entry: ev.Entry) -> None:
    unit = s._unit(e.unit_id)
    unit.post = e.post
    unit.moving_up_since = entry.at
    unit.move_up = None
    if e.standing:
        unit.moves_today += 1


def _move_suggested(s: State, e: ev.MoveSuggested, entry: ev.Entry) -> None:
    s._unit(e.unit_id).move_up = MoveUp(post=e.post, due_at=e.due_at, gain=e.gain, standing=e.standing)


def _move_declined(s: State, e: ev.MoveDeclined, entry: ev.Entry) -> None:
    s._unit(e.unit_id).move_up = MoveUp(post=e.post, due_at=e.until, declined=True)


def _road_restricted(s: State, e: ev.RoadRestricted, entry: ev.Entry) -> None:
    s.restriction_count += 1
    s.restrictions[e.restriction_id] = Restriction(
        restriction_id=e.restriction_id,
        place=e.place,
        radius_m=e.radius_m,
        reason=e.reason,
        street=e.street,
        factor=e.factor,
        since=entry.at,
        until=e.until,
        by=entry.actor.name,
    )
    s.touched.restrictions[e.restriction_id] = None
    s.assign_seq = s.seq


def _restriction_lifted(s: State, e: ev.RestrictionLifted, entry: ev.Entry) -> None:
    s.restrictions.pop(e.restriction_id, None)
    s.touched.restrictions[e.restriction_id] = None
    s.assign_seq = s.seq


def _speeds_learned(s: State, e: ev.SpeedsLearned, entry: ev.Entry) -> None:
    for mode, classes in e.drives.items():
        for road_class, driven in classes.items():
            s.learned.add(mode, road_class, e.hour, driven.observed_s, driven.expected_s)


def _handed_over(s: State, e: ev.HandedOver, entry: ev.Entry) -> None:
    """Words for people: nothing in the state follows from them."""


def _lead_taken(s: State, e: ev.LeadTaken, entry: ev.Entry) -> None:
    """The leader before may have given numbers that never reached the journal (it was cut off and served from its spool):
    callers hold links and crews hold jobs with them. Ours begin in the next thousand, so that none is given twice.
    """
    if s.leader_url:  # the very first leader has nobody before it
        s.last_report = _next_thousand(s.last_report or NO_NUMBER)
        s.last_incident = _next_thousand(s.last_incident or NO_NUMBER)
    s.leader_url = e.url


NO_NUMBER = "0-0000"
"""On no day: stands for nothing given yet, as far as the journal knows."""


def _next_thousand(last: str) -> str:
    """`261124-0147` -> `261124-1000`; the next one given is 1001."""
    day, _, number = last.rpartition("-")
    return f"{day}-{(int(number) // NUMBERS_UNSEEN_MAX + 1) * NUMBERS_UNSEEN_MAX:04d}"


APPLY: dict[type[ev.Event], Callable[[State, Any, ev.Entry], None]] = {
    ev.CallPresented: _call_presented,
    ev.ReportAnswered: _report_answered,
    ev.CallAbandoned: _call_abandoned,
    ev.ReportSubmitted: _report_submitted,
    ev.ReportLocated: _report_located,
    ev.ReportAttached: _report_attached,
    ev.ReportDetached: _report_detached,
    ev.ReportDismissed: _report_dismissed,
    ev.DuplicateSuspected: _duplicate_suspected,
    ev.IncidentOpened: _incident_opened,
    ev.IncidentRegraded: _incident_regraded,
    ev.IncidentRelocated: _incident_relocated,
    ev.IncidentMerged: _incident_merged,
    ev.IncidentUnmerged: _incident_unmerged,
    ev.IncidentCancelled: _incident_cancelled,
    ev.IncidentClosed: _incident_closed,
    ev.IncidentReopened: _incident_reopened,
    ev.IncidentNoted: _incident_noted,
    ev.ClockCorrected: _clock_corrected,
    ev.PhotoKept: _photo_kept,
    ev.PatientsCounted: _patients_counted,
    ev.CrewSafe: _crew_safe,
    ev.CrewSilent: _crew_silent,
    ev.AlarmRaised: _alarm_raised,
    ev.TriageAnswered: _triage_answered,
    ev.PlanConfirmed: _plan_confirmed,
    ev.PlanShort: _plan_short,
    ev.ResponseAtRisk: _response_at_risk,
    ev.WarningAcknowledged: _warning_acknowledged,
    ev.WarningEscalated: _warning_escalated,
    ev.ResponseLate: _response_late,
    ev.UnitRecommended: _unit_recommended,
    ev.UnitAssigned: _unit_assigned,
    ev.UnitRealerted: _unit_realerted,
    ev.VoiceTaskRaised: _voice_task_raised,
    ev.JobReceipted: _job_receipted,
    ev.JobAcknowledged: _job_acknowledged,
    ev.JobDeclined: _job_declined,
    ev.JobUnanswered: _job_unanswered,
    ev.UnitWithdrawn: _unit_withdrawn,
    ev.UnitEnRoute: _unit_en_route,
    ev.ArrivalProposed: _arrival_proposed,
    ev.UnitAtScene: _unit_at_scene,
    ev.UnitAtPatient: _unit_at_patient,
    ev.UnitTransporting: _unit_transporting,
    ev.UnitAtHospital: _unit_at_hospital,
    ev.UnitCleared: _unit_cleared,
    ev.DutyStarted: _duty_started,
    ev.DutyEnded: _duty_ended,
    ev.UnitOutOfService: _unit_out_of_service,
    ev.UnitReturned: _unit_returned,
    ev.UnitPlaced: _unit_placed,
    ev.MoveOrdered: _move_ordered,
    ev.MoveSuggested: _move_suggested,
    ev.MoveDeclined: _move_declined,
    ev.RoadRestricted: _road_restricted,
    ev.RestrictionLifted: _restriction_lifted,
    ev.SpeedsLearned: _speeds_learned,
    ev.HandedOver: _handed_over,
    ev.LeadTaken: _lead_taken,
}
