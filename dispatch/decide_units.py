"""Choices about units and their jobs: duty, acknowledgement, the steps of a job, breakdown, moves. Pure functions.

A crew may repeat itself (a button pressed twice, a queue sent twice after a tunnel): a step that already stands is
answered with no events, not with an error.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from dispatch import commands as co
from dispatch import events as ev
from dispatch import transitions
from dispatch.decide_reports import check_place, check_time
from dispatch.fold import EXTRA
from dispatch.model import (
    ACTIVE_ASSIGNMENT_STATES,
    COMING_STATES,
    Actor,
    Assignment,
    AssignmentState,
    IncidentState,
    MoveUp,
    Rejected,
    Unit,
    UnitState,
)
from dispatch.plans import OR

if TYPE_CHECKING:
    from dispatch.engine import Engine

RECEIPTS_MAX = 8
"""Two steps of the two devices a unit may have, twice over: keys may be exchanged while a job runs."""
MOVE_DECLINED_FOR = timedelta(minutes=15)
"""A dispatcher who has said no is not asked the same again at once; by then units stand elsewhere."""
ALL_CLEAR = "semua unit selesai"
BROKE_DOWN_LOADED = "kendaraan rusak saat membawa pasien"


def find_unit(engine: Engine, unit_id: str, actor: Actor) -> Unit:
    unit = engine.state.units.get(unit_id)
    if unit is None:
        raise Rejected("unknown_unit", "unit_id")
    if actor.role == "crew" and actor.name != unit_id:
        raise Rejected("not_your_unit", "unit_id")
    return unit


def find_job(engine: Engine, assignment_id: str, actor: Actor) -> Assignment:
    a = engine.state.assignments.get(assignment_id)
    if a is None:
        raise Rejected("unknown_assignment", "assignment_id")
    if actor.role == "crew" and actor.name != a.unit_id:
        raise Rejected("not_your_job", "assignment_id")
    return a


def start_duty(engine: Engine, c: co.StartDuty, at: datetime, actor: Actor) -> list[ev.AnyEvent]:
    unit = find_unit(engine, c.unit_id, actor)
    check_time(c.device_at, at, "device_at")
    if c.place is not None:
        check_place(engine, c.place)
    if unit.state in (UnitState.AVAILABLE, UnitState.COMMITTED) and list(c.crew) == unit.crew:
        return []
    if unit.state is not UnitState.OFF_DUTY:
        raise Rejected("illegal_transition", "unit_id", before=str(unit.state), after=str(UnitState.AVAILABLE))
    return [
        ev.DutyStarted(unit_id=unit.unit_id, crew=list(c.crew), place=c.place, device_at=c.device_at, faults=c.faults)
    ]


def end_duty(engine: Engine, c: co.EndDuty, at: datetime, actor: Actor) -> list[ev.AnyEvent]:
    unit = find_unit(engine, c.unit_id, actor)
    check_time(c.device_at, at, "device_at")
    if unit.state is UnitState.OFF_DUTY:
        return []
    transitions.require(transitions.UNIT, unit.state, UnitState.OFF_DUTY, "unit_id")
    return [ev.DutyEnded(unit_id=unit.unit_id, device_at=c.device_at)]


def receipt_job(engine: Engine, c: co.ReceiptJob, at: datetime, actor: Actor) -> list[ev.AnyEvent]:
    """Once a device and step: the desk sees which of the unit's phones has the job and which was looked at."""
    a = find_job(engine, c.assignment_id, actor)
    check_time(c.device_at, at, "device_at")
    stands = a.delivered_at if c.step == "delivered" else a.seen_at
    known = f"{c.device}/{c.step}" in a.receipts if c.device else stands is not None
    if known or a.ended_at is not None or len(a.receipts) >= RECEIPTS_MAX:
        return []
    return [ev.JobReceipted(assignment_id=a.assignment_id, step=c.step, device_at=c.device_at, device=c.device)]


def _step(engine: Engine, assignment_id: str, after: AssignmentState, at: datetime, actor: Actor) -> Assignment | None:
    """The job, if `after` is a legal next step; None when it already stands there or was there before."""
    a = find_job(engine, assignment_id, actor)
    stamp = {
        AssignmentState.ACKNOWLEDGED: a.acknowledged_at,
        AssignmentState.EN_ROUTE: a.en_route_at,
        AssignmentState.AT_SCENE: a.at_scene_at,
        AssignmentState.TRANSPORTING: a.transporting_at,
        AssignmentState.AT_HOSPITAL: a.at_hospital_at,
        AssignmentState.CLEARED: a.ended_at if a.state is AssignmentState.CLEARED else None,
    }[after]
    if stamp is not None:
        return None
    transitions.require(transitions.ASSIGNMENT, a.state, after, "assignment_id")
    return a


def acknowledge_job(engine: Engine, c: co.AcknowledgeJob, at: datetime, actor: Actor) -> list[ev.AnyEvent]:
    check_time(c.device_at, at, "device_at")
    a = _step(engine, c.assignment_id, AssignmentState.ACKNOWLEDGED, at, actor)
    return [] if a is None else [ev.JobAcknowledged(assignment_id=a.assignment_id, device_at=c.device_at)]


def decline_job(engine: Engine, c: co.DeclineJob, at: datetime, actor: Actor) -> list[ev.AnyEvent]:
    a = find_job(engine, c.assignment_id, actor)
    check_time(c.device_at, at, "device_at")
    if a.state is AssignmentState.DECLINED:
        return []
    transitions.require(transitions.ASSIGNMENT, a.state, AssignmentState.DECLINED, "assignment_id")
    return [_declined(a, c.reason, c.device_at)]


def _declined(a: Assignment, reason: str, device_at: datetime | None) -> ev.JobDeclined:
    return ev.JobDeclined(
        assignment_id=a.assignment_id,
        unit_id=a.unit_id,
        incident_id=a.incident_id,
        reason=reason,
        device_at=device_at,
    )


def report_en_route(engine: Engine, c: co.ReportEnRoute, at: datetime, actor: Actor) -> list[ev.AnyEvent]:
    check_time(c.device_at, at, "device_at")
    a = _step(engine, c.assignment_id, AssignmentState.EN_ROUTE, at, actor)
    return [] if a is None else [ev.UnitEnRoute(assignment_id=a.assignment_id, device_at=c.device_at)]


def report_at_scene(engine: Engine, c: co.ReportAtScene, at: datetime, actor: Actor) -> list[ev.AnyEvent]:
    """Button and dispatcher set the arrival; a geofence only proposes it and is kept as evidence beside."""
    check_time(c.device_at, at, "device_at")
    if c.by == "geofence":
        a = find_job(engine, c.assignment_id, actor)
        if a.geofence_at is not None or a.state not in COMING_STATES:
            return []
        return [ev.ArrivalProposed(assignment_id=a.assignment_id, device_at=c.device_at)]
    arrived = _step(engine, c.assignment_id, AssignmentState.AT_SCENE, at, actor)
    if arrived is None:
        return []
    return [
        ev.UnitAtScene(
            assignment_id=arrived.assignment_id,
            unit_id=arrived.unit_id,
            incident_id=arrived.incident_id,
            by=c.by,
            device_at=c.device_at,
            check_due_at=_next_check(engine, at),
        )
    ]


def _next_check(engine: Engine, at: datetime) -> datetime | None:
    """When the crew's next sign of life is due."""
    every_s = engine.region.limits.crew_check_s
    return None if every_s is None else at + timedelta(seconds=every_s)


def report_at_patient(engine: Engine, c: co.ReportAtPatient, at: datetime, actor: Actor) -> list[ev.AnyEvent]:
    a = find_job(engine, c.assignment_id, actor)
    check_time(c.device_at, at, "device_at")
    if a.at_patient_at is not None:
        return []
    if a.state is not AssignmentState.AT_SCENE:
        raise Rejected("illegal_transition", "assignment_id", before=str(a.state), after="at_patient")
    return [
        ev.UnitAtPatient(assignment_id=a.assignment_id, device_at=c.device_at, check_due_at=_next_check(engine, at))
    ]


def _at_work(engine: Engine, assignment_id: str, actor: Actor, what: str) -> Assignment:
    """The job, if its crew has arrived and is not through with it."""
    a = find_job(engine, assignment_id, actor)
    if a.at_scene_at is None or a.state not in ACTIVE_ASSIGNMENT_STATES:
        raise Rejected("illegal_transition", "assignment_id", before=str(a.state), after=what)
    return a


def count_patients(engine: Engine, c: co.CountPatients, at: datetime, actor: Actor) -> list[ev.AnyEvent]:
    a = _at_work(engine, c.assignment_id, actor, "counted")
    check_time(c.device_at, at, "device_at")
    if engine.state.incidents[a.incident_id].patients == c.patients:
        return []
    return [
        ev.PatientsCounted(
            incident_id=a.incident_id,
            assignment_id=a.assignment_id,
            unit_id=a.unit_id,
            patients=c.patients,
            check_due_at=_next_check(engine, at),
            device_at=c.device_at,
        )
    ]


def report_safe(engine: Engine, c: co.ReportSafe, at: datetime, actor: Actor) -> list[ev.AnyEvent]:
    a = find_job(engine, c.assignment_id, actor)
    check_time(c.device_at, at, "device_at")
    if a.state is not AssignmentState.AT_SCENE:
        raise Rejected("illegal_transition", "assignment_id", before=str(a.state), after="safe")
    return [
        ev.CrewSafe(
            assignment_id=a.assignment_id,
            unit_id=a.unit_id,
            check_due_at=_next_check(engine, at),
            device_at=c.device_at,
        )
    ]


def keep_photo(engine: Engine, c: co.KeepPhoto, at: datetime, actor: Actor) -> list[ev.AnyEvent]:
    a = find_job(engine, c.assignment_id, actor)
    check_time(c.device_at, at, "device_at")
    return [
        ev.PhotoKept(
            incident_id=a.incident_id,
            assignment_id=a.assignment_id,
            unit_id=a.unit_id,
            photo_id=c.photo_id,
            width_px=c.width_px,
            height_px=c.height_px,
            size_bytes=c.size_bytes,
            device_at=c.device_at,
        )
    ]


def keep_caller_photo(engine: Engine, c: co.KeepCallerPhoto, at: datetime, actor: Actor) -> list[ev.AnyEvent]:
    if c.report_id not in engine.state.reports:
        raise Rejected("unknown_report", "report_id")
    incident = engine.find_open_incident(c.incident_id)
    return [
        ev.PhotoKept(
            incident_id=incident.incident_id,
            photo_id=c.photo_id,
            width_px=c.width_px,
            height_px=c.height_px,
            size_bytes=c.size_bytes,
            report_id=c.report_id,
        )
    ]


def report_transporting(engine: Engine, c: co.ReportTransporting, at: datetime, actor: Actor) -> list[ev.AnyEvent]:
    check_time(c.device_at, at, "device_at")
    if c.hospital_id is not None and c.hospital_id not in engine.region.hospitals:
        raise Rejected("unknown_hospital", "hospital_id")
    a = _step(engine, c.assignment_id, AssignmentState.TRANSPORTING, at, actor)
    if a is None:
        return []
    hospital_id, why = c.hospital_id, "crew"
    if hospital_id is None:
        hospital_id, why = engine.choose_hospital(a)
    return [
        ev.UnitTransporting(
            assignment_id=a.assignment_id, hospital_id=hospital_id, device_at=c.device_at, why=why, notice=c.notice
        )
    ]


def report_at_hospital(engine: Engine, c: co.ReportAtHospital, at: datetime, actor: Actor) -> list[ev.AnyEvent]:
    check_time(c.device_at, at, "device_at")
    a = _step(engine, c.assignment_id, AssignmentState.AT_HOSPITAL, at, actor)
    return [] if a is None else [ev.UnitAtHospital(assignment_id=a.assignment_id, device_at=c.device_at)]


def report_clear(engine: Engine, c: co.ReportClear, at: datetime, actor: Actor) -> list[ev.AnyEvent]:
    """Free again. When the last unit leaves and the plan misses nothing, the incident ends by itself."""
    check_time(c.device_at, at, "device_at")
    a = _step(engine, c.assignment_id, AssignmentState.CLEARED, at, actor)
    if a is None:
        return []
    return [_cleared(a, c.device_at), *_close_if_last(engine, a)]


def _cleared(a: Assignment, device_at: datetime | None) -> ev.UnitCleared:
    return ev.UnitCleared(
        assignment_id=a.assignment_id, unit_id=a.unit_id, incident_id=a.incident_id, device_at=device_at
    )


def _close_if_last(engine: Engine, a: Assignment) -> list[ev.AnyEvent]:
    incident = engine.state.incidents[a.incident_id]
    others = [b for b in engine.state.active_of(incident) if b is not a]
    if others or incident.unfilled or incident.state is not IncidentState.ON_SCENE:
        return []
    return [ev.IncidentClosed(incident_id=incident.incident_id, outcome=ALL_CLEAR)]


def request_backup(engine: Engine, c: co.RequestBackup, at: datetime, actor: Actor) -> list[ev.AnyEvent]:
    """One more place in the incident's plan; the planning round of the same step fills it or says why not."""
    a = find_job(engine, c.assignment_id, actor)
    check_time(c.device_at, at, "device_at")
    if a.state not in ACTIVE_ASSIGNMENT_STATES:
        raise Rejected("illegal_transition", "assignment_id", before=str(a.state), after="backup")
    if not any(c.capability in kind.capabilities for kind in engine.region.unit_types.values()):
        raise Rejected("unknown_capability", "capability")
    incident = engine.find_open_incident(a.incident_id, "assignment_id")
    return [
        ev.AlarmRaised(
            incident_id=incident.incident_id,
            level=incident.alarm_level,
            required=[*incident.required, c.capability],
            reason=f"{a.unit_id}: {c.reason}",
            device_at=c.device_at,
        )
    ]


def take_out_of_service(engine: Engine, c: co.TakeOutOfService, at: datetime, actor: Actor) -> list[ev.AnyEvent]:
    """Breakdown or break. A job on the way goes back to the queue; a loaded patient gets another unit."""
    unit = find_unit(engine, c.unit_id, actor)
    check_time(c.device_at, at, "device_at")
    if unit.state is UnitState.OUT_OF_SERVICE:
        return []
    transitions.require(transitions.UNIT, unit.state, UnitState.OUT_OF_SERVICE, "unit_id")
    events: list[ev.AnyEvent] = []
    if unit.assignment_id is not None:
        a = engine.state.assignments[unit.assignment_id]
        if a.state in COMING_STATES:
            events.append(_declined(a, c.reason, c.device_at))
        else:
            events.append(_cleared(a, c.device_at))
            incident = engine.state.incidents[a.incident_id]
            if a.state is AssignmentState.TRANSPORTING:
                events.append(
                    ev.AlarmRaised(
                        incident_id=incident.incident_id,
                        level=incident.alarm_level,
                        required=[*incident.required, _same_again(a, unit)],
                        reason=BROKE_DOWN_LOADED,
                    )
                )
            else:
                events.extend(_close_if_last(engine, a))
    events.append(ev.UnitOutOfService(unit_id=unit.unit_id, reason=c.reason, device_at=c.device_at))
    return events


def _same_again(a: Assignment, unit: Unit) -> str:
    """The requirement that finds another unit like this one."""
    return OR.join(sorted(unit.capabilities)) if a.capability == EXTRA else a.capability


def return_to_service(engine: Engine, c: co.ReturnToService, at: datetime, actor: Actor) -> list[ev.AnyEvent]:
    unit = find_unit(engine, c.unit_id, actor)
    check_time(c.device_at, at, "device_at")
    if unit.state is UnitState.AVAILABLE:
        return []
    if unit.state is not UnitState.OUT_OF_SERVICE:
        raise Rejected("illegal_transition", "unit_id", before=str(unit.state), after=str(UnitState.AVAILABLE))
    return [ev.UnitReturned(unit_id=unit.unit_id, device_at=c.device_at)]


def place_unit(engine: Engine, c: co.PlaceUnit, at: datetime, actor: Actor) -> list[ev.AnyEvent]:
    find_unit(engine, c.unit_id, actor)
    check_place(engine, c.place)
    return [ev.UnitPlaced(unit_id=c.unit_id, place=c.place)]


def order_move(engine: Engine, c: co.OrderMove, at: datetime, actor: Actor) -> list[ev.AnyEvent]:
    unit = find_unit(engine, c.unit_id, actor)
    if c.post not in engine.region.posts:
        raise Rejected("unknown_post", "post")
    if unit.state is not UnitState.AVAILABLE:
        raise Rejected("unit_not_free", "unit_id", state=str(unit.state))
    if unit.post == c.post:
        return []
    waits = unit.move_up
    if waits is not None and not waits.declined and waits.post == c.post:
        return [_ordered(unit.unit_id, waits, c.reason)]
    return [ev.MoveOrdered(unit_id=unit.unit_id, post=c.post, reason=c.reason)]


def _ordered(unit_id: str, move: MoveUp, reason: str) -> ev.MoveOrdered:
    return ev.MoveOrdered(unit_id=unit_id, post=move.post, gain=move.gain, reason=reason, standing=move.standing)


def move_due(engine: Engine, unit_id: str) -> list[ev.AnyEvent]:
    """Nobody said no to a suggested move: it goes out."""
    waits = engine.state.units[unit_id].move_up
    assert waits is not None
    return [_ordered(unit_id, waits, engine.policy.name)]


def decline_move(engine: Engine, c: co.DeclineMove, at: datetime, actor: Actor) -> list[ev.AnyEvent]:
    unit = find_unit(engine, c.unit_id, actor)
    waits = unit.move_up
    if waits is None or waits.declined or waits.post != c.post:
        raise Rejected("no_such_suggestion", "unit_id")
    return [ev.MoveDeclined(unit_id=unit.unit_id, post=c.post, until=at + MOVE_DECLINED_FOR)]


HANDLERS = {
    co.StartDuty: start_duty,
    co.EndDuty: end_duty,
    co.ReceiptJob: receipt_job,
    co.AcknowledgeJob: acknowledge_job,
    co.DeclineJob: decline_job,
    co.ReportEnRoute: report_en_route,
    co.ReportAtScene: report_at_scene,
    co.ReportAtPatient: report_at_patient,
    co.CountPatients: count_patients,
    co.ReportSafe: report_safe,
    co.KeepPhoto: keep_photo,
    co.KeepCallerPhoto: keep_caller_photo,
    co.ReportTransporting: report_transporting,
    co.ReportAtHospital: report_at_hospital,
    co.ReportClear: report_clear,
    co.RequestBackup: request_backup,
    co.TakeOutOfService: take_out_of_service,
    co.ReturnToService: return_to_service,
    co.PlaceUnit: place_unit,
    co.OrderMove: order_move,
    co.DeclineMove: decline_move,
}
