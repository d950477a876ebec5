"""Choices about incidents: grading, place, merging, ending, and sending units by hand. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from dispatch import commands as co
from dispatch import events as ev
from dispatch import plans, transitions, triage
from dispatch.decide_reports import check_place, check_time
from dispatch.fold import EXTRA
from dispatch.model import (
    COMING_STATES,
    Actor,
    Assignment,
    Incident,
    IncidentState,
    Rejected,
    Unit,
    UnitState,
)

if TYPE_CHECKING:
    from dispatch.engine import Engine


def find_incident(engine: Engine, incident_id: str, field: str = "incident_id") -> Incident:
    incident = engine.state.incidents.get(incident_id)
    if incident is None:
        raise Rejected("unknown_incident", field)
    return incident


def check_version(incident: Incident, version: int | None) -> None:
    """Compare-and-set: refuse a change made while looking at an older state of the incident."""
    if version is not None and version != incident.version:
        raise Rejected("changed_meanwhile", "version", now=incident.version)


def end_coming(engine: Engine, incident: Incident, reason: str) -> list[ev.AnyEvent]:
    """Stand down every unit that is still on its way."""
    return [
        ev.UnitWithdrawn(
            assignment_id=a.assignment_id, unit_id=a.unit_id, incident_id=incident.incident_id, reason=reason
        )
        for a in engine.state.active_of(incident)
        if a.state in COMING_STATES
    ]


def regrade_incident(engine: Engine, c: co.RegradeIncident, at: datetime, actor: Actor) -> list[ev.AnyEvent]:
    """An upgrade sends more at once; a downgrade recalls nobody by itself: a person stands units down."""
    incident = engine.find_open_incident(c.incident_id)
    check_version(incident, c.version)
    kind = c.kind or incident.kind
    if kind not in engine.region.kinds:
        raise Rejected("unknown_kind", "kind")
    priority = c.priority or (incident.priority if kind == incident.kind else engine.region.kinds[kind].priority)
    if (kind, priority) == (incident.kind, incident.priority):
        raise Rejected("nothing_changed", "priority")
    return [regraded(engine, incident, kind, priority, at, c.reason)]


def regraded(
    engine: Engine, incident: Incident, kind: str, priority: int, at: datetime, reason: str
) -> ev.IncidentRegraded:  # fmt: skip
    """The event of another kind or priority, with the plan that goes with it."""
    plan = plans.match(engine.region, kind, priority, incident.zone, engine.local_hour(at))
    first = None
    if priority == 1:  # the clock runs until somebody is there who can help with what it now is
        level = min(incident.alarm_level, plans.levels(plan))
        flags = dict(zip(plans.required(plan, level), plans.first_flags(plan, level), strict=True))
        able = stopping(engine, incident.assignment_ids, flags)
        stopped = [  # its clock ran already and these stopped it: they did what was asked of them then
            a.assignment_id
            for a in map(engine.state.assignments.__getitem__, incident.assignment_ids)
            if incident.highest_priority == 1 and a.first and a.at_scene_at is not None
        ]
        first = sorted({*able, *stopped}, key=incident.assignment_ids.index)
    return ev.IncidentRegraded(
        incident_id=incident.incident_id,
        incident_kind=kind,
        priority=priority,
        kind_before=incident.kind,
        priority_before=incident.priority,
        plan=plan.code,
        required=plans.required(plan, incident.alarm_level),
        reason=reason,
        first=first,
    )


def relocate_incident(engine: Engine, c: co.RelocateIncident, at: datetime, actor: Actor) -> list[ev.AnyEvent]:
    incident = engine.find_open_incident(c.incident_id)
    check_version(incident, c.version)
    check_place(engine, c.place)
    return [
        ev.IncidentRelocated(
            incident_id=incident.incident_id,
            place=c.place,
            place_before=incident.place,
            zone=engine.zone_of(c.place.lon, c.place.lat),
            reason=c.reason,
        )
    ]


def merge_incident(engine: Engine, c: co.MergeIncident, at: datetime, actor: Actor) -> list[ev.AnyEvent]:
    gone = engine.find_open_incident(c.incident_id)
    check_version(gone, c.version)
    into = engine.find_open_incident(c.into, "into")
    if gone is into:
        raise Rejected("merge_with_itself", "into")
    transitions.require(transitions.INCIDENT, gone.state, IncidentState.MERGED, "incident_id")
    moved = [a.assignment_id for a in engine.state.active_of(gone)]
    takes_over = gone.priority < into.priority  # what is left is as urgent as the more urgent of the two, with its plan
    flags = engine.first_flags(gone if takes_over else into)
    events: list[ev.AnyEvent] = []
    if takes_over:
        events.append(
            ev.IncidentRegraded(
                incident_id=into.incident_id,
                incident_kind=gone.kind,
                priority=gone.priority,
                kind_before=into.kind,
                priority_before=into.priority,
                plan=gone.plan,
                required=list(gone.required),
                reason=f"digabung dengan {gone.incident_id}",
            )
        )
    events.append(
        ev.IncidentMerged(
            incident_id=gone.incident_id,
            into=into.incident_id,
            reports=list(gone.report_ids),
            assignments=moved,
            first=stopping(engine, [*into.assignment_ids, *moved], flags),
        )
    )
    return events


def stopping(engine: Engine, assignment_ids: list[str], flags: Mapping[str, bool]) -> list[str]:
    """Those of the assignments whose arrival stops the clock of a plan with these `flags`: by the place they fill in it, or,
    where it has no such place, by what the unit can do.

    A patrol car that stood at a brawl is no help for a cardiac arrest because somebody merged the two.
    """
    wanted = {c for requirement, first in flags.items() if first for c in plans.alternatives(requirement)}
    found = []
    for assignment_id in assignment_ids:
        a = engine.state.assignments[assignment_id]
        if flags.get(a.capability, bool(engine.state.units[a.unit_id].capabilities & wanted)):
            found.append(assignment_id)
    return found


def unmerge_incident(engine: Engine, c: co.UnmergeIncident, at: datetime, actor: Actor) -> list[ev.AnyEvent]:
    """Both are again what they were: each report and each of the incident's own units goes back."""
    incident = find_incident(engine, c.incident_id)
    if incident.state is not IncidentState.MERGED or incident.merged_into is None:
        raise Rejected("not_merged", "incident_id", state=str(incident.state))
    out_of = engine.find_open_incident(incident.merged_into)
    own = incident.incident_id + "/"
    reports = [r for r in out_of.report_ids if r in incident.reports_before_merge]
    kept = [r for r in out_of.report_ids if r not in reports]
    if not reports or not kept:  # reports were taken out meanwhile: one of the two would be an incident nobody reported
        raise Rejected("nothing_to_part", "incident_id", into=out_of.incident_id)
    back = [a.assignment_id for a in engine.state.active_of(out_of) if a.assignment_id.startswith(own)]
    stay = [a for a in out_of.assignment_ids if a not in back]
    return [
        ev.IncidentUnmerged(
            incident_id=incident.incident_id,
            out_of=out_of.incident_id,
            reports=reports,
            assignments=back,
            first_ring_at=min(engine.state.reports[r].rang_at for r in kept),
            first=[
                *stopping(engine, [*incident.assignment_ids, *back], engine.first_flags(incident)),
                *stopping(engine, stay, engine.first_flags(out_of)),
            ],
        )
    ]


def cancel_incident(engine: Engine, c: co.CancelIncident, at: datetime, actor: Actor) -> list[ev.AnyEvent]:
    incident = engine.find_open_incident(c.incident_id)
    check_version(incident, c.version)
    transitions.require(transitions.INCIDENT, incident.state, IncidentState.CANCELLED, "incident_id")
    return [
        *end_coming(engine, incident, "kejadian dibatalkan"),
        ev.IncidentCancelled(incident_id=incident.incident_id, reason=c.reason),
    ]


def close_incident(engine: Engine, c: co.CloseIncident, at: datetime, actor: Actor) -> list[ev.AnyEvent]:
    incident = engine.find_open_incident(c.incident_id)
    check_version(incident, c.version)
    transitions.require(transitions.INCIDENT, incident.state, IncidentState.CLOSED, "incident_id")
    working = [a.unit_id for a in engine.state.active_of(incident) if a.state not in COMING_STATES]
    if working:
        raise Rejected("units_still_working", "incident_id", units=working)
    return [
        *end_coming(engine, incident, "kejadian ditutup"),
        ev.IncidentClosed(incident_id=incident.incident_id, outcome=c.outcome),
    ]


UNDO_WINDOW = timedelta(seconds=120)
"""A slip is noticed at once or by the crew's first question; what is older is a decision for the supervisor."""


def reopen_incident(engine: Engine, c: co.ReopenIncident, at: datetime, actor: Actor) -> list[ev.AnyEvent]:
    """A dispatcher takes back their own closing for UNDO_WINDOW; everything else is the supervisor's."""
    incident = find_incident(engine, c.incident_id)
    transitions.require(transitions.INCIDENT, incident.state, IncidentState.WAITING, "incident_id")
    if incident.state is IncidentState.MERGED or incident.ended_at is None:
        raise Rejected("illegal_transition", "incident_id", before=str(incident.state), after="waiting")
    if actor.role == "dispatcher" and (incident.ended_by != str(actor) or at - incident.ended_at > UNDO_WINDOW):
        raise Rejected("undo_window_over", "incident_id", seconds_max=UNDO_WINDOW.total_seconds())
    return [ev.IncidentReopened(incident_id=incident.incident_id, reason=c.reason)]


def note_incident(engine: Engine, c: co.NoteIncident, at: datetime, actor: Actor) -> list[ev.AnyEvent]:
    incident = find_incident(engine, c.incident_id)
    if actor.role == "crew" and all(engine.state.assignments[a].unit_id != actor.name for a in incident.assignment_ids):
        raise Rejected("not_your_job", "incident_id")
    check_time(c.device_at, at, "device_at")
    return [ev.IncidentNoted(incident_id=c.incident_id, text=c.text, device_at=c.device_at)]


def hand_over(engine: Engine, c: co.HandOver, at: datetime, actor: Actor) -> list[ev.AnyEvent]:
    return [ev.HandedOver(text=c.text)]


def correct_clock(engine: Engine, c: co.CorrectClock, at: datetime, actor: Actor) -> list[ev.AnyEvent]:
    incident = find_incident(engine, c.incident_id)
    check_time(c.corrected_at, at, "corrected_at")
    if c.step == "first_ring":
        if c.corrected_at is None:
            raise Rejected("invalid_body", "corrected_at")
    else:
        a = engine.state.assignments.get(c.assignment_id or "")
        if a is None or a.incident_id != incident.incident_id or a.at_scene_at is None:
            raise Rejected("unknown_assignment", "assignment_id")
    return [
        ev.ClockCorrected(
            incident_id=c.incident_id,
            step=c.step,
            reason=c.reason,
            corrected_at=c.corrected_at,
            assignment_id=c.assignment_id,
        )
    ]


def raise_alarm(engine: Engine, c: co.RaiseAlarm, at: datetime, actor: Actor) -> list[ev.AnyEvent]:
    incident = engine.find_open_incident(c.incident_id)
    check_version(incident, c.version)
    level = incident.alarm_level + 1
    adds = plans.alarm_adds(engine.plan(incident.plan), level)
    if adds is None:
        raise Rejected("no_such_alarm_level", "incident_id", level=level)
    return [
        ev.AlarmRaised(
            incident_id=incident.incident_id, level=level, required=[*incident.required, *adds], reason=c.reason
        )
    ]


def answer_triage(engine: Engine, c: co.AnswerTriage, at: datetime, actor: Actor) -> list[ev.AnyEvent]:
    """A new answer may raise the priority at once; a lower score only shows, until a person regrades."""
    incident = engine.find_open_incident(c.incident_id)
    triage.check(engine.region, incident.kind, c.question, c.answer)
    answered: list[ev.AnyEvent] = [
        ev.TriageAnswered(incident_id=incident.incident_id, question=c.question, answer=c.answer)
    ]
    scored = triage.priority(engine.region, incident.kind, {**incident.triage, c.question: c.answer})
    if scored is not None and scored[0] < incident.priority:
        answered.append(regraded(engine, incident, incident.kind, scored[0], at, scored[1]))
    return answered


def acknowledge_warning(engine: Engine, c: co.AcknowledgeWarning, at: datetime, actor: Actor) -> list[ev.AnyEvent]:
    incident = engine.find_open_incident(c.incident_id)
    if incident.warned_at is None:
        raise Rejected("no_warning", "incident_id")
    return [] if incident.warning_acked_at is not None else [ev.WarningAcknowledged(incident_id=incident.incident_id)]


def confirm_plan(engine: Engine, c: co.ConfirmPlan, at: datetime, actor: Actor) -> list[ev.AnyEvent]:
    incident = engine.find_open_incident(c.incident_id)
    if incident.confirmed:
        return []
    check_version(incident, c.version)
    return [ev.PlanConfirmed(incident_id=incident.incident_id)]


# --- sending by hand


def assign_unit(engine: Engine, c: co.AssignUnit, at: datetime, actor: Actor) -> list[ev.AnyEvent]:
    """A person's choice always goes, unless the unit cannot; leaving the recommendation needs a reason."""
    incident = engine.find_open_incident(c.incident_id)
    check_version(incident, c.version)
    unit = engine.state.units.get(c.unit_id)
    if unit is None:
        raise Rejected("unknown_unit", "unit_id")
    leaves: Assignment | None = None
    if unit.state is UnitState.COMMITTED and unit.assignment_id is not None:
        leaves = engine.state.assignments[unit.assignment_id]
        if leaves.incident_id == incident.incident_id:
            raise Rejected("already_assigned", "unit_id", assignment_id=leaves.assignment_id)
        if leaves.state not in COMING_STATES:
            raise Rejected("unit_not_free", "unit_id", state=str(leaves.state))
    elif unit.state is not UnitState.AVAILABLE:
        raise Rejected("unit_not_free", "unit_id", state=str(unit.state))
    capability, first = _place_in_plan(engine, incident, unit)
    recommended = engine.state.recommended.get(incident.incident_id, {}).get(capability)
    as_recommended = leaves is None and recommended is not None and recommended.chosen == unit.unit_id
    reason = c.reason.strip()
    if not as_recommended and len(reason) < REASON_MIN:
        raise Rejected("reason_required", "reason", recommended=recommended.chosen if recommended else None)
    events: list[ev.AnyEvent] = []
    if leaves is not None:
        events.append(
            ev.UnitWithdrawn(
                assignment_id=leaves.assignment_id,
                unit_id=unit.unit_id,
                incident_id=leaves.incident_id,
                reason=f"dialihkan ke {incident.incident_id}",
            )
        )
    events.append(
        engine.assigned(
            incident,
            unit,
            capability,
            first,
            at,
            number=1,
            override=not as_recommended,
            reason=reason,
            diverted_from=leaves.assignment_id if leaves is not None else None,
        )
    )
    return events


REASON_MIN = 3
"""Shortest override reason: a word, not a dot."""


def _place_in_plan(engine: Engine, incident: Incident, unit: Unit) -> tuple[str, bool]:
    """The first missing place the unit can fill, else `extra`; and whether its arrival stops the clock."""
    flags = engine.first_flags(incident)
    for requirement in incident.unfilled:
        if unit.capabilities.intersection(plans.alternatives(requirement)):
            return requirement, flags.get(requirement, False)
    able = any(
        flag and unit.capabilities.intersection(plans.alternatives(requirement)) for requirement, flag in flags.items()
    )
    return EXTRA, able


def withdraw_unit(engine: Engine, c: co.WithdrawUnit, at: datetime, actor: Actor) -> list[ev.AnyEvent]:
    a = engine.state.assignments.get(c.assignment_id)
    if a is None:
        raise Rejected("unknown_assignment", "assignment_id")
    if a.state not in COMING_STATES:
        raise Rejected("illegal_transition", "assignment_id", before=str(a.state), after="withdrawn")
    return [
        ev.UnitWithdrawn(assignment_id=a.assignment_id, unit_id=a.unit_id, incident_id=a.incident_id, reason=c.reason)
    ]


HANDLERS = {
    co.RegradeIncident: regrade_incident,
    co.RelocateIncident: relocate_incident,
    co.MergeIncident: merge_incident,
    co.UnmergeIncident: unmerge_incident,
    co.CancelIncident: cancel_incident,
    co.CloseIncident: close_incident,
    co.ReopenIncident: reopen_incident,
    co.NoteIncident: note_incident,
    co.HandOver: hand_over,
    co.CorrectClock: correct_clock,
    co.RaiseAlarm: raise_alarm,
    co.AnswerTriage: answer_triage,
    co.AcknowledgeWarning: acknowledge_warning,
    co.ConfirmPlan: confirm_plan,
    co.AssignUnit: assign_unit,
    co.WithdrawUnit: withdraw_unit,
}
