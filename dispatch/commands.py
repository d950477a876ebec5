"""Everything anybody may ask of the engine. One struct a command; the tag is its name on the wire.

Unknown fields are refused (`forbid_unknown_fields`). Field limits that do not depend on state stand here as msgspec
constraints; everything that does is decided by the engine.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

from dispatch.model import Caller, Channel, Driven, Place

Stamp = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time with its zone; one without is refused at the edge."""
Id = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Text = Annotated[str, msgspec.Meta(max_length=2000)]
"""2,000 characters: a long statement; longer ones belong in a letter."""
Reason = Annotated[str, msgspec.Meta(min_length=3, max_length=300)]
PATIENTS_MAX = 9999
"""Beyond any accident; a larger number is a slip of the keyboard."""
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=80)]


class Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="do"):
    """Base of all commands."""


# --- calls and reports


class PresentCall(Command, frozen=True, tag="present_call"):
    """The telephone exchange says: line `line` is ringing. Starts the 7-minute clock."""

    call_id: Id
    line: str = ""
    phone: str | None = None
    place: Place | None = None
    rang_at: Stamp | None = None


class AnswerReport(Command, frozen=True, tag="answer_report"):
    """A call taker picks up a ringing call, calls an abandoned one back, or takes a call over whose claim has run out. A
    supervisor takes over at any time."""

    report_id: Id


class AbandonCall(Command, frozen=True, tag="abandon_call"):
    """The caller hung up before we knew what and where."""

    report_id: Id


class SubmitReport(Command, frozen=True, tag="submit_report"):
    """What happened and where. Opens an incident at once, or attaches when `incident_id` says which.

    With `report_id` it completes a call that is already known; without, it is a new report.
    """

    channel: Channel
    kind: Id
    place: Place
    report_id: Id | None = None
    incident_id: Id | None = None
    rang_at: Stamp | None = None
    description: Text = ""
    caller: Caller = Caller()
    priority: Annotated[int, msgspec.Meta(ge=1, le=3)] | None = None
    answers: Annotated[dict[Id, Annotated[str, msgspec.Meta(max_length=64)]], msgspec.Meta(max_length=60)] = {}


class LocateReport(Command, frozen=True, tag="locate_report"):
    """A better position arrived (AML, link); an operator may then relocate the incident with one key."""

    report_id: Id
    place: Place


class AttachReport(Command, frozen=True, tag="attach_report"):
    report_id: Id
    incident_id: Id


class DetachReport(Command, frozen=True, tag="detach_report"):
    """Undo of attach: the report opens its own incident again."""

    report_id: Id


class DismissReport(Command, frozen=True, tag="dismiss_report"):
    """Not an emergency: prank, silent, information, other service. Counted, never deleted."""

    report_id: Id
    reason: Reason


# --- incidents


class RegradeIncident(Command, frozen=True, tag="regrade_incident"):
    incident_id: Id
    reason: Reason
    kind: Id | None = None
    priority: Annotated[int, msgspec.Meta(ge=1, le=3)] | None = None
    version: int | None = None


class RelocateIncident(Command, frozen=True, tag="relocate_incident"):
    incident_id: Id
    place: Place
    reason: Reason
    version: int | None = None


class MergeIncident(Command, frozen=True, tag="merge_incident"):
    """`incident_id` is a duplicate of `into`; its reports and coming units follow."""

    incident_id: Id
    into: Id
    version: int | None = None


class UnmergeIncident(Command, frozen=True, tag="unmerge_incident"):
    incident_id: Id


class CancelIncident(Command, frozen=True, tag="cancel_incident"):
    incident_id: Id
    reason: Reason
    version: int | None = None


class CloseIncident(Command, frozen=True, tag="close_incident"):
    incident_id: Id
    outcome: Reason
    version: int | None = None


class ReopenIncident(Command, frozen=True, tag="reopen_incident"):
    incident_id: Id
    reason: Reason


class NoteIncident(Command, frozen=True, tag="note_incident"):
    incident_id: Id
    text: Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]
    device_at: Stamp | None = None


class CorrectClock(Command, frozen=True, tag="correct_clock"):
    """A recorded time was wrong. Kept beside it with author and reason; the published figure never gets better by it.

    `step` `first_ring`: when the phone really rang. `at_scene` with `assignment_id`: when the unit really arrived, None = never.
    """

    incident_id: Id
    step: Annotated[str, msgspec.Meta(pattern="^(first_ring|at_scene)$")]
    reason: Reason
    corrected_at: datetime | None = None
    assignment_id: Id | None = None


class RaiseAlarm(Command, frozen=True, tag="raise_alarm"):
    """Send what the plan's next alarm level adds."""

    incident_id: Id
    reason: Reason
    version: int | None = None


class AcknowledgeWarning(Command, frozen=True, tag="acknowledge_warning"):
    """Takes on a warning that a response will be late: the ladder stops."""

    incident_id: str


class AnswerTriage(Command, frozen=True, tag="answer_triage"):
    incident_id: Id
    question: Id
    answer: Annotated[str, msgspec.Meta(max_length=64)]


class ConfirmPlan(Command, frozen=True, tag="confirm_plan"):
    """The dispatcher's yes to a plan in `confirm` mode."""

    incident_id: Id
    version: int | None = None


# --- sending


class AssignUnit(Command, frozen=True, tag="assign_unit"):
    """Send this unit. Choosing another than the recommended one is an override and needs a reason."""

    incident_id: Id
    unit_id: Id
    reason: Annotated[str, msgspec.Meta(max_length=300)] = ""
    version: int | None = None


class WithdrawUnit(Command, frozen=True, tag="withdraw_unit"):
    """Stand a coming unit down."""

    assignment_id: Id
    reason: Reason


# --- units


class StartDuty(Command, frozen=True, tag="start_duty"):
    """The crew by name, and what its check of the vehicle found wrong ([] = all well, left out = not checked)."""

    unit_id: Id
    crew: Annotated[list[Name], msgspec.Meta(max_length=12)] = []
    place: Place | None = None
    device_at: Stamp | None = None
    faults: Annotated[list[Name], msgspec.Meta(max_length=20)] | None = None


class EndDuty(Command, frozen=True, tag="end_duty"):
    unit_id: Id
    device_at: Stamp | None = None


class ReceiptJob(Command, frozen=True, tag="receipt_job"):
    """A device says: the job was `delivered` to it, or `seen` by the crew."""

    assignment_id: Id
    step: Annotated[str, msgspec.Meta(pattern="^(delivered|seen)$")]
    device_at: Stamp | None = None
    device: Annotated[str, msgspec.Meta(max_length=16)] = ""
    """Filled by the server from the key that was shown; what a device claims here is not believed."""


class AcknowledgeJob(Command, frozen=True, tag="acknowledge_job"):
    assignment_id: Id
    device_at: Stamp | None = None


class DeclineJob(Command, frozen=True, tag="decline_job"):
    assignment_id: Id
    reason: Reason
    device_at: Stamp | None = None


class ReportEnRoute(Command, frozen=True, tag="report_en_route"):
    """Wheels rolling."""

    assignment_id: Id
    device_at: Stamp | None = None


class ReportAtScene(Command, frozen=True, tag="report_at_scene"):
    """Arrived. `by` keeps button, geofence and dispatcher apart; a geofence alone only proposes, never sets."""

    assignment_id: Id
    by: Annotated[str, msgspec.Meta(pattern="^(button|geofence|dispatcher)$")] = "button"
    device_at: Stamp | None = None


class ReportAtPatient(Command, frozen=True, tag="report_at_patient"):
    assignment_id: Id
    device_at: Stamp | None = None


class CountPatients(Command, frozen=True, tag="count_patients"):
    """How many people are hurt, as the crew at the scene sees it; the latest count stands."""

    assignment_id: Id
    patients: Annotated[int, msgspec.Meta(ge=0, le=PATIENTS_MAX)]
    device_at: Stamp | None = None


class ReportSafe(Command, frozen=True, tag="report_safe"):
    """The crew at the scene is well: a sign of life (personnel accountability report)."""

    assignment_id: Id
    device_at: Stamp | None = None


class KeepPhoto(Command, frozen=True, tag="keep_photo"):
    """A picture of the scene has been cleaned and stored; given by the server itself, never over the wire."""

    assignment_id: Id
    photo_id: Id
    width_px: int
    height_px: int
    size_bytes: int
    device_at: Stamp | None = None


class KeepCallerPhoto(Command, frozen=True, tag="keep_caller_photo"):
    """As `KeepPhoto`, from who reported, through their link."""

    report_id: Id
    incident_id: Id
    photo_id: Id
    width_px: int
    height_px: int
    size_bytes: int


class ReportTransporting(Command, frozen=True, tag="report_transporting"):
    """Patient on board. Without `hospital_id` the engine chooses; `notice` is told to the hospital."""

    assignment_id: Id
    hospital_id: Id | None = None
    device_at: Stamp | None = None
    notice: Annotated[str, msgspec.Meta(max_length=500)] = ""


class ReportAtHospital(Command, frozen=True, tag="report_at_hospital"):
    assignment_id: Id
    device_at: Stamp | None = None


class ReportClear(Command, frozen=True, tag="report_clear"):
    """The unit is free again."""

    assignment_id: Id
    device_at: Stamp | None = None


class RequestBackup(Command, frozen=True, tag="request_backup"):
    """The crew on the spot asks for more: another ambulance, fire, police."""

    assignment_id: Id
    capability: Id
    reason: Reason
    device_at: Stamp | None = None


class TakeOutOfService(Command, frozen=True, tag="take_out_of_service"):
    unit_id: Id
    reason: Reason
    device_at: Stamp | None = None


class ReturnToService(Command, frozen=True, tag="return_to_service"):
    unit_id: Id
    device_at: Stamp | None = None


class PlaceUnit(Command, frozen=True, tag="place_unit"):
    """A dispatcher moves a radio-only unit on the map. GPS fixes do not come this way; see `Engine.fix`."""

    unit_id: Id
    place: Place


class OrderMove(Command, frozen=True, tag="order_move"):
    """Send a free unit to stand at a post (move-up)."""

    unit_id: Id
    post: Id
    reason: Annotated[str, msgspec.Meta(max_length=300)] = ""


class DeclineMove(Command, frozen=True, tag="decline_move"):
    """Keep a unit where it is instead of the suggested move-up to `post`."""

    unit_id: Id
    post: Id


class RestrictRoad(Command, frozen=True, tag="restrict_road"):
    """A road is closed or slow: flood, market street, railway gate, fallen tree. Every search obeys at once."""

    place: Place
    reason: Reason
    radius_m: Annotated[float, msgspec.Meta(ge=5, le=3000)] = 100.0
    street: Annotated[str, msgspec.Meta(max_length=120)] = ""
    """Only this street within the radius; empty = every road."""
    factor: Annotated[float, msgspec.Meta(ge=1.1, le=20)] | None = None
    """How many times slower; left out = closed."""
    until: Stamp | None = None


class LiftRestriction(Command, frozen=True, tag="lift_restriction"):
    restriction_id: Id


class LearnSpeeds(Command, frozen=True, tag="learn_speeds"):
    """What the fleet's drives of one local hour took. Given by the leading node itself once that hour is over, never over the wire."""

    hour: Annotated[int, msgspec.Meta(ge=0, le=23)]
    steps: int
    drives: dict[str, dict[str, Driven]]
    """By mode and road class."""


class HandOver(Command, frozen=True, tag="hand_over"):
    """What the leaving shift tells the coming one. Kept in the journal, shown in the log book."""

    text: Annotated[str, msgspec.Meta(min_length=3, max_length=4000)]


class Wake(Command, frozen=True, tag="wake"):
    """The clock: something in `next_deadline` has come. Given by drivers only, never over the wire."""


AnyCommand = (
    PresentCall
    | AnswerReport
    | AbandonCall
    | SubmitReport
    | LocateReport
    | AttachReport
    | DetachReport
    | DismissReport
    | RegradeIncident
    | RelocateIncident
    | MergeIncident
    | UnmergeIncident
    | CancelIncident
    | CloseIncident
    | ReopenIncident
    | NoteIncident
    | CorrectClock
    | RaiseAlarm
    | AcknowledgeWarning
    | AnswerTriage
    | ConfirmPlan
    | AssignUnit
    | WithdrawUnit
    | StartDuty
    | EndDuty
    | ReceiptJob
    | AcknowledgeJob
    | DeclineJob
    | ReportEnRoute
    | ReportAtScene
    | ReportAtPatient
    | CountPatients
    | ReportSafe
    | KeepPhoto
    | KeepCallerPhoto
    | ReportTransporting
    | ReportAtHospital
    | ReportClear
    | RequestBackup
    | TakeOutOfService
    | ReturnToService
    | PlaceUnit
    | OrderMove
    | DeclineMove
    | RestrictRoad
    | LiftRestriction
    | LearnSpeeds
    | HandOver
)
