"""Everything that can have happened. The journal holds these for ever, so a kind's meaning never changes.

A kind that must change gets a new tag (`..._v2`) and an up-caster in `journal.py`; old journals always replay.
Every event names its subject by id, so a reader needs no other table to understand one line.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from dispatch.model import Actor, Caller, Channel, Driven, Place


class Event(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind"):
    """Base of all events."""


# --- calls and reports


class CallPresented(Event, frozen=True, tag="call_presented"):
    report_id: str
    call_id: str
    rang_at: datetime
    line: str = ""
    caller: Caller = Caller()
    place: Place | None = None
    repeat_of: str | None = None


class ReportAnswered(Event, frozen=True, tag="report_answered"):
    report_id: str


class CallAbandoned(Event, frozen=True, tag="call_abandoned"):
    report_id: str


class ReportSubmitted(Event, frozen=True, tag="report_submitted"):
    """`rang_at` stands only when this event creates the report (no ring was seen before)."""

    report_id: str
    channel: Channel
    incident_kind: str
    place: Place
    description: str = ""
    caller: Caller = Caller()
    rang_at: datetime | None = None
    answers: dict[str, str] = {}


class ReportLocated(Event, frozen=True, tag="report_located"):
    report_id: str
    place: Place


class ReportAttached(Event, frozen=True, tag="report_attached"):
    report_id: str
    incident_id: str
    score: float | None = None
    """Likeness of a duplicate, 0..1, when the engine proposed it."""


class ReportDetached(Event, frozen=True, tag="report_detached"):
    report_id: str
    incident_id: str


class ReportDismissed(Event, frozen=True, tag="report_dismissed"):
    report_id: str
    reason: str


class DuplicateSuspected(Event, frozen=True, tag="duplicate_suspected"):
    """A new incident looks like an open one; a person decides."""

    incident_id: str
    like: str
    score: float
    distance_m: float


# --- incidents


class IncidentOpened(Event, frozen=True, tag="incident_opened"):
    incident_id: str
    report_id: str
    incident_kind: str
    priority: int
    place: Place
    first_ring_at: datetime
    plan: str
    mode: str
    required: list[str]
    """Capabilities the plan wants, one entry a unit, in plan order (alternatives joined by `|`)."""
    confirm_due_at: datetime | None = None
    zone: str | None = None
    why: str = ""
    """Reason of the priority: kind's default, triage or operator."""


class IncidentRegraded(Event, frozen=True, tag="incident_regraded"):
    incident_id: str
    incident_kind: str
    priority: int
    kind_before: str
    priority_before: int
    plan: str
    required: list[str]
    reason: str
    first: list[str] | None = None
    """Its assignments whose arrival stops the clock under the plan that stands from now on, whether there already or coming.
    None when it is not of priority 1 from now on, when a merge that follows says it, and in older journals: as each was sent."""


class IncidentRelocated(Event, frozen=True, tag="incident_relocated"):
    incident_id: str
    place: Place
    place_before: Place
    zone: str | None
    reason: str


class IncidentMerged(Event, frozen=True, tag="incident_merged"):
    incident_id: str
    into: str
    reports: list[str]
    assignments: list[str]
    """Coming units that now go to `into`."""
    first: list[str] | None = None
    """Assignments of `into`, these included, whose arrival stops the clock under the plan that stands from now on. None in
    journals written before it was kept: as each was sent."""


class IncidentUnmerged(Event, frozen=True, tag="incident_unmerged"):
    incident_id: str
    out_of: str
    reports: list[str]
    assignments: list[str]
    first_ring_at: datetime
    """Earliest ring of the reports the other incident keeps."""
    first: list[str] | None = None
    """As in `IncidentMerged`, for the assignments of both."""


class IncidentCancelled(Event, frozen=True, tag="incident_cancelled"):
    incident_id: str
    reason: str


class IncidentClosed(Event, frozen=True, tag="incident_closed"):
    incident_id: str
    outcome: str


class IncidentReopened(Event, frozen=True, tag="incident_reopened"):
    incident_id: str
    reason: str


class IncidentNoted(Event, frozen=True, tag="incident_noted"):
    incident_id: str
    text: str
    device_at: datetime | None = None


class PhotoKept(Event, frozen=True, tag="photo_kept"):
    """A picture of the scene, made anew without what the camera wrote into it; the file lies outside the journal.

    From a crew (`assignment_id`, `unit_id`) or from who reported (`report_id`).
    """

    incident_id: str
    photo_id: str
    width_px: int
    height_px: int
    size_bytes: int
    assignment_id: str | None = None
    unit_id: str | None = None
    device_at: datetime | None = None
    report_id: str | None = None


class PatientsCounted(Event, frozen=True, tag="patients_counted"):
    incident_id: str
    assignment_id: str
    unit_id: str
    patients: int
    check_due_at: datetime | None = None
    device_at: datetime | None = None


class ClockCorrected(Event, frozen=True, tag="clock_corrected"):
    """Somebody says a recorded time was wrong. Nothing in dispatch follows it: the recorded time stays, this stands beside it,
    and the published figure follows only where it gets worse (`sla/definition.py`). `corrected_at` None: it never happened."""

    incident_id: str
    step: str
    reason: str
    corrected_at: datetime | None = None
    assignment_id: str | None = None


class AlarmRaised(Event, frozen=True, tag="alarm_raised"):
    incident_id: str
    level: int
    required: list[str]
    reason: str
    device_at: datetime | None = None


class TriageAnswered(Event, frozen=True, tag="triage_answered"):
    incident_id: str
    question: str
    answer: str


class PlanConfirmed(Event, frozen=True, tag="plan_confirmed"):
    incident_id: str


class PlanShort(Event, frozen=True, tag="plan_short"):
    """Part of the plan cannot be filled now; says why and when it is tried again."""

    incident_id: str
    missing: list[str]
    why: str
    retry_at: datetime


class Remedy(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that would still help; see `dispatch/remedies.py`."""

    kind: str
    unit_id: str | None = None
    """None: an agency to be rung up, whose units this system does not see."""
    agency: str | None = None
    leaves: str | None = None
    """A diversion's present incident."""
    gain_s: float | None = None
    """Seconds the first arrival is expected earlier with it; None when nobody was coming, or when nobody knows."""
    chance: float = 0.0
    """P(in time) with it, 0..1."""


class ResponseAtRisk(Event, frozen=True, tag="response_at_risk"):
    """Predicted to be late while something can still be done."""

    incident_id: str
    deadline: datetime
    chance: float
    """P(first capable unit at scene <= deadline), 0..1."""
    predicted_at: datetime | None = None
    remedy: str = ""
    """Kind of the best remedy, its unit and gain; `none` when there is none. All of them stand in `remedies`."""
    remedy_unit: str | None = None
    gain_s: float | None = None
    remedies: list[Remedy] = []
    ack_due_at: datetime | None = None
    """When the next rung of the ladder hears of it unless somebody has taken it on. None in older journals: nobody does."""


class WarningAcknowledged(Event, frozen=True, tag="warning_acknowledged"):
    """Somebody of the control room has taken a warning on; the entry's actor is who."""

    incident_id: str


class WarningEscalated(Event, frozen=True, tag="warning_escalated"):
    """Nobody took the warning on: the next rung hears of it."""

    incident_id: str
    level: int
    """1 dispatcher (told by the warning itself), 2 supervisor, 3 manager on duty."""
    to: str
    """The rung's role."""
    ack_due_at: datetime | None = None
    """When the one above hears of it; None at the top."""


class ResponseLate(Event, frozen=True, tag="response_late"):
    """The 420 s have passed with nobody capable at the scene."""

    incident_id: str
    deadline: datetime


# --- sending


class Candidates(msgspec.Struct, frozen=True, omit_defaults=True):
    """Every unit considered for one place in the plan, column by column, best first.

    Kept with positions so that the choice can be checked and repeated years later. `chance` is
    P(arrival <= deadline), `verdict` a code from `assign.VERDICTS` with a sentence in both languages.
    """

    unit_ids: list[str]
    eta_s: list[float | None]
    chance: list[float]
    verdict: list[str]
    cost: list[float] = []
    lon: list[float] = []
    lat: list[float] = []
    fix_age_s: list[float | None] = []
    exact: int | None = None
    """The nearest `exact` units are timed by road; those after them, which no road leads to the scene, by straight line. None = all by road."""


class UnitRecommended(Event, frozen=True, tag="unit_recommended"):
    incident_id: str
    capability: str
    chosen: str | None
    candidates: Candidates
    policy: str
    router: str
    approximate: bool = False


class UnitAssigned(Event, frozen=True, tag="unit_assigned"):
    assignment_id: str
    incident_id: str
    unit_id: str
    capability: str
    eta_s: float | None
    sd_s: float
    ack_due_at: datetime
    first: bool = True
    """Whether its arrival is a capable first response."""
    override: bool = False
    reason: str = ""
    diverted_from: str | None = None
    """The assignment this unit left for this one."""


class UnitRealerted(Event, frozen=True, tag="unit_realerted"):
    assignment_id: str
    alerts: int
    ack_due_at: datetime


class VoiceTaskRaised(Event, frozen=True, tag="voice_task_raised"):
    """No device answers: somebody must use the radio."""

    assignment_id: str
    unit_id: str
    incident_id: str


class JobReceipted(Event, frozen=True, tag="job_receipted"):
    assignment_id: str
    step: str
    device_at: datetime | None = None
    device: str = ""
    """Which of the unit's devices."""


class JobAcknowledged(Event, frozen=True, tag="job_acknowledged"):
    assignment_id: str
    device_at: datetime | None = None


class JobDeclined(Event, frozen=True, tag="job_declined"):
    assignment_id: str
    unit_id: str
    incident_id: str
    reason: str
    device_at: datetime | None = None


class JobUnanswered(Event, frozen=True, tag="job_unanswered"):
    """No acknowledgement after every alert: the next unit goes, this one is out of service until heard from."""

    assignment_id: str
    unit_id: str
    incident_id: str


class UnitWithdrawn(Event, frozen=True, tag="unit_withdrawn"):
    assignment_id: str
    unit_id: str
    incident_id: str
    reason: str


class UnitEnRoute(Event, frozen=True, tag="unit_en_route"):
    assignment_id: str
    device_at: datetime | None = None


class ArrivalProposed(Event, frozen=True, tag="arrival_proposed"):
    """The geofence says so; the crew has not confirmed."""

    assignment_id: str
    device_at: datetime | None = None


class UnitAtScene(Event, frozen=True, tag="unit_at_scene"):
    assignment_id: str
    unit_id: str
    incident_id: str
    by: str
    device_at: datetime | None = None
    check_due_at: datetime | None = None
    """The crew's next sign of life; None where the region does not watch."""


class UnitAtPatient(Event, frozen=True, tag="unit_at_patient"):
    assignment_id: str
    device_at: datetime | None = None
    check_due_at: datetime | None = None


class CrewSafe(Event, frozen=True, tag="crew_safe"):
    """A sign of life from the scene (personnel accountability report); the next one is due at `check_due_at`."""

    assignment_id: str
    unit_id: str
    check_due_at: datetime | None
    device_at: datetime | None = None


class CrewSilent(Event, frozen=True, tag="crew_silent"):
    """No sign of life from a crew at the scene in the time the region allows: somebody must call it now."""

    assignment_id: str
    unit_id: str
    incident_id: str


class UnitTransporting(Event, frozen=True, tag="unit_transporting"):
    assignment_id: str
    hospital_id: str | None = None
    device_at: datetime | None = None
    why: str = ""
    notice: str = ""
    """What the hospital should know before they arrive."""


class UnitAtHospital(Event, frozen=True, tag="unit_at_hospital"):
    assignment_id: str
    device_at: datetime | None = None


class UnitCleared(Event, frozen=True, tag="unit_cleared"):
    assignment_id: str
    unit_id: str
    incident_id: str
    device_at: datetime | None = None


# --- units


class DutyStarted(Event, frozen=True, tag="duty_started"):
    unit_id: str
    crew: list[str]
    place: Place | None = None
    device_at: datetime | None = None
    faults: list[str] | None = None
    """What the vehicle check found wrong; [] = checked and well, None = not checked."""


class DutyEnded(Event, frozen=True, tag="duty_ended"):
    unit_id: str
    device_at: datetime | None = None


class UnitOutOfService(Event, frozen=True, tag="unit_out_of_service"):
    unit_id: str
    reason: str
    device_at: datetime | None = None


class UnitReturned(Event, frozen=True, tag="unit_returned"):
    unit_id: str
    device_at: datetime | None = None


class UnitPlaced(Event, frozen=True, tag="unit_placed"):
    unit_id: str
    place: Place


class MoveOrdered(Event, frozen=True, tag="move_ordered"):
    unit_id: str
    post: str
    gain: float | None = None
    """Expected share of demand newly reachable in time, 0..1; None when a person ordered it."""
    reason: str = ""
    standing: bool = True
    """The crew stood at a post and must set out; False: it was rolling already and only goes somewhere else."""


class MoveSuggested(Event, frozen=True, tag="move_suggested"):
    """The policy would order this move; it goes out at `due_at` unless a dispatcher accepts it before or declines it."""

    unit_id: str
    post: str
    due_at: datetime
    gain: float | None = None
    reason: str = ""
    standing: bool = True


class MoveDeclined(Event, frozen=True, tag="move_declined"):
    """A dispatcher keeps the unit where it is; the same move is not suggested again before `until`."""

    unit_id: str
    post: str
    until: datetime


class RoadRestricted(Event, frozen=True, tag="road_restricted"):
    """`factor` None: closed. `arcs` tells how many stretches of the road network it touched then."""

    restriction_id: str
    place: Place
    radius_m: float
    reason: str
    street: str = ""
    factor: float | None = None
    until: datetime | None = None
    arcs: int = 0


class RestrictionLifted(Event, frozen=True, tag="restriction_lifted"):
    restriction_id: str


class SpeedsLearned(Event, frozen=True, tag="speeds_learned"):
    """Drives of one local hour, by mode and road class, from `steps` stretches between two fixes. Travel times of that hour
    follow from the next time it comes."""

    hour: int
    steps: int
    drives: dict[str, dict[str, Driven]]


class HandedOver(Event, frozen=True, tag="handed_over"):
    """The note of a shift's end; its author and time are the line's own."""

    text: str


class LeadTaken(Event, frozen=True, tag="lead_taken"):
    """A node began to write this region. Being a line of its own it fences whoever wrote before."""

    node: str
    url: str = ""


AnyEvent = (
    CallPresented
    | ReportAnswered
    | CallAbandoned
    | ReportSubmitted
    | ReportLocated
    | ReportAttached
    | ReportDetached
    | ReportDismissed
    | DuplicateSuspected
    | IncidentOpened
    | IncidentRegraded
    | IncidentRelocated
    | IncidentMerged
    | IncidentUnmerged
    | IncidentCancelled
    | IncidentClosed
    | IncidentReopened
    | IncidentNoted
    | PhotoKept
    | PatientsCounted
    | ClockCorrected
    | AlarmRaised
    | TriageAnswered
    | PlanConfirmed
    | PlanShort
    | ResponseAtRisk
    | WarningAcknowledged
    | WarningEscalated
    | ResponseLate
    | UnitRecommended
    | UnitAssigned
    | UnitRealerted
    | VoiceTaskRaised
    | JobReceipted
    | JobAcknowledged
    | JobDeclined
    | JobUnanswered
    | UnitWithdrawn
    | UnitEnRoute
    | ArrivalProposed
    | UnitAtScene
    | UnitAtPatient
    | CrewSafe
    | CrewSilent
    | UnitTransporting
    | UnitAtHospital
    | UnitCleared
    | DutyStarted
    | DutyEnded
    | UnitOutOfService
    | UnitReturned
    | UnitPlaced
    | MoveOrdered
    | MoveSuggested
    | MoveDeclined
    | RoadRestricted
    | RestrictionLifted
    | SpeedsLearned
    | HandedOver
    | LeadTaken
)


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of a region's journal. `seq` has no gaps; `at` never runs back."""

    region: str
    seq: int
    at: datetime
    actor: Actor
    event: AnyEvent
    command_id: str | None = None
    """Idempotency key of the command that caused it."""


KINDS: dict[str, type[Event]] = {str(t.__struct_config__.tag): t for t in AnyEvent.__args__}
