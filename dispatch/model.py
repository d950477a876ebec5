"""The things an emergency is made of, as they stand in memory: reports, incidents, units, assignments.

Plain structs without behaviour. They change only in `fold.py`, by applying events. Times are aware UTC datetimes,
positions are WGS84 degrees, durations are seconds. A unit's place in a job is *one* fact, its active assignment's
state, so crew and unit can never drift apart.
"""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Annotated

import msgspec

Priority = int
"""1 = life at risk now (the 7-minute promise), 2 = urgent, 3 = can wait. Set by the kind, raised or lowered by triage."""

PRIORITIES: tuple[Priority, ...] = (1, 2, 3)


class Rejected(Exception):  # noqa: N818 - a refusal, not a failure; the word callers and screens use
    """A user's mistake: the command is refused and nothing has changed.

    `code` is stable and machine-readable, `field` names what to mend, `detail` gives figures for the translated text.
    """

    def __init__(self, code: str, field: str | None = None, **detail: object) -> None:
        super().__init__(code if field is None else f"{code}: {field}")
        self.code = code
        self.field = field
        self.detail = detail


class Channel(enum.StrEnum):
    """How a report reached us."""

    CALL = "call"
    WEB = "web"
    APP = "app"
    PARTNER = "partner"
    RADIO = "radio"


class ReportState(enum.StrEnum):
    RINGING = "ringing"  # -> answered, abandoned, submitted
    ANSWERED = "answered"  # -> submitted, abandoned (caller hung up before saying where), dismissed
    ABANDONED = "abandoned"  # -> answered (called back), dismissed
    SUBMITTED = "submitted"  # what and where are known, no incident yet -> attached, dismissed
    ATTACHED = "attached"  # -> submitted (detached), attached (merge moves it)
    DISMISSED = "dismissed"  # prank, information, not an emergency; -> submitted (it was one after all)


class IncidentState(enum.StrEnum):
    WAITING = "waiting"  # no unit committed -> dispatched, cancelled, closed, merged
    DISPATCHED = "dispatched"  # -> waiting (last unit withdrawn), on_scene, cancelled, closed, merged
    ON_SCENE = "on_scene"  # somebody has arrived -> closed, merged
    CLOSED = "closed"  # -> reopened as waiting or on_scene
    CANCELLED = "cancelled"  # -> reopened as waiting
    MERGED = "merged"  # a duplicate of another incident -> un-merged to what it was


OPEN_STATES = frozenset({IncidentState.WAITING, IncidentState.DISPATCHED, IncidentState.ON_SCENE})


class UnitState(enum.StrEnum):
    OFF_DUTY = "off_duty"  # -> available
    AVAILABLE = "available"  # -> committed, off_duty, out_of_service
    COMMITTED = "committed"  # serves exactly one assignment -> available, out_of_service (breakdown)
    OUT_OF_SERVICE = "out_of_service"  # -> available, off_duty


class AssignmentState(enum.StrEnum):
    ALERTED = "alerted"  # -> acknowledged, declined, unanswered, withdrawn, en_route
    ACKNOWLEDGED = "acknowledged"  # -> en_route, at_scene, withdrawn, declined
    EN_ROUTE = "en_route"  # -> at_scene, withdrawn
    AT_SCENE = "at_scene"  # -> transporting, cleared
    TRANSPORTING = "transporting"  # -> at_hospital, cleared
    AT_HOSPITAL = "at_hospital"  # -> cleared
    CLEARED = "cleared"
    DECLINED = "declined"
    UNANSWERED = "unanswered"
    WITHDRAWN = "withdrawn"


ACTIVE_ASSIGNMENT_STATES = frozenset(
    {
        AssignmentState.ALERTED,
        AssignmentState.ACKNOWLEDGED,
        AssignmentState.EN_ROUTE,
        AssignmentState.AT_SCENE,
        AssignmentState.TRANSPORTING,
        AssignmentState.AT_HOSPITAL,
    }
)
COMING_STATES = frozenset({AssignmentState.ALERTED, AssignmentState.ACKNOWLEDGED, AssignmentState.EN_ROUTE})
"""States of a unit that is meant to arrive and has not yet; only these may be withdrawn or diverted."""


class LocationSource(enum.StrEnum):
    """Who says so; the screen shows it beside the accuracy."""

    DEVICE = "device"  # the reporting phone's own position
    AML = "aml"  # Advanced Mobile Location, ETSI TS 103 625
    LINK = "link"  # position shared by a link we sent
    OPERATOR = "operator"  # map click or gazetteer
    PARTNER = "partner"


class Place(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A point and how much it can be trusted."""

    lon: Annotated[float, msgspec.Meta(ge=-180, le=180)]
    lat: Annotated[float, msgspec.Meta(ge=-90, le=90)]
    accuracy_m: Annotated[float, msgspec.Meta(ge=0, le=1_000_000)] | None = None
    source: LocationSource = LocationSource.OPERATOR
    address: Annotated[str, msgspec.Meta(max_length=300)] = ""


class Caller(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Personal data of who reported. Never logged; masked by role; every reading is audited."""

    phone: Annotated[str, msgspec.Meta(max_length=20)] | None = None
    name: Annotated[str, msgspec.Meta(max_length=80)] | None = None

    def __repr__(self) -> str:
        return "Caller(***)"


class Position(msgspec.Struct, frozen=True, omit_defaults=True):
    """A unit's latest fix. `fixed_at` is the device's time, `received_at` ours."""

    lon: float
    lat: float
    fixed_at: datetime
    received_at: datetime
    accuracy_m: float | None = None
    speed_mps: float | None = None
    heading_deg: float | None = None
    source: str = "device"


class Report(msgspec.Struct):
    """One call or message about something happening. Its clock starts at `rang_at`, the first ring."""

    report_id: str
    channel: Channel
    state: ReportState
    rang_at: datetime
    received_at: datetime
    answered_at: datetime | None = None
    submitted_at: datetime | None = None
    ended_at: datetime | None = None
    kind: str | None = None
    place: Place | None = None
    description: str = ""
    caller: Caller = Caller()
    call_id: str | None = None
    incident_id: str | None = None
    answered_by: str | None = None
    dismissed_for: str | None = None
    repeat_of: str | None = None
    """The earlier abandoned call of the same number, if any: repeat callers jump the queue."""


class Incident(msgspec.Struct):
    """One emergency, however many report it. `first_ring_at` is the earliest ring of all its reports, for ever."""

    incident_id: str
    kind: str
    priority: Priority
    highest_priority: Priority
    place: Place
    state: IncidentState
    first_ring_at: datetime
    opened_at: datetime
    plan: str
    """Which response plan it was opened under."""
    mode: str
    """How the plan sends: `auto`, `pre_alert` or `confirm`."""
    alarm_level: int = 1
    zone: str | None = None
    """Kecamatan code, for statistics and area plans."""
    report_ids: list[str] = []
    assignment_ids: list[str] = []
    """Every assignment ever made, in order; the active ones are found by their state."""
    first_assigned_at: datetime | None = None
    first_at_scene_at: datetime | None = None
    first_capable_at_scene_at: datetime | None = None
    warned_at: datetime | None = None
    warning_level: int = 0
    """Rung of the ladder that has heard of the warning (`alarms.LADDER`, from 1); 0 while there is none."""
    warning_due_at: datetime | None = None
    """When the next rung hears of it."""
    warning_acked_at: datetime | None = None
    """Taken on: by a person who said so, or by sending a further first response."""
    breached_at: datetime | None = None
    retry_at: datetime | None = None
    """When an unfilled plan is tried again."""
    required: list[str] = []
    """What the plan wants, one entry a unit, in plan order; alternatives joined by `|`."""
    unfilled: list[str] = []
    """The part of `required` that no coming or arrived unit fills."""
    like: dict[str, float] = {}
    """Open incidents this one may be a duplicate of, with likeness 0..1."""
    chance: float | None = None
    """P(first capable unit at scene in time) as last predicted."""
    predicted_at: datetime | None = None
    confirmed: bool = True
    """False while the plan (or the rest of it) waits for the dispatcher's yes."""
    confirm_due_at: datetime | None = None
    """When the clock says yes in the dispatcher's place; None = only a person may."""
    assigned_count: int = 0
    """Assignments ever made for this incident; numbers the next one."""
    merged_into: str | None = None
    state_before_merge: IncidentState | None = None
    reports_before_merge: list[str] = []
    ended_at: datetime | None = None
    outcome: str | None = None
    ended_by: str | None = None
    """`role:name` of who closed or cancelled it; they may take it back for a moment."""
    triage: dict[str, str] = {}
    notes: list[str] = []
    """The latest notes of desk and crews, oldest first; all of them stand in the journal."""
    patients: int | None = None
    """People hurt, as last counted by a crew at the scene; None while nobody has counted."""
    version: int = 0
    """Counts changes; commands may carry the version they saw (compare-and-set)."""


class MoveUp(msgspec.Struct, frozen=True):
    """Where a free unit should stand instead, as the policy sees it: goes out by itself unless somebody says no."""

    post: str
    due_at: datetime
    """When it is ordered; once declined, when it may be suggested again."""
    gain: float | None = None
    """Expected share of demand newly reachable in time, 0..1."""
    standing: bool = True
    declined: bool = False


class Unit(msgspec.Struct):
    """A vehicle or team that can be sent."""

    unit_id: str
    unit_type: str
    agency: str
    state: UnitState = UnitState.OFF_DUTY
    capabilities: frozenset[str] = frozenset()
    mode: str = "lights"
    """Which travel-time set its vehicle class drives by."""
    home_post: str | None = None
    post: str | None = None
    """Where it stands or is heading while available."""
    moving_up_since: datetime | None = None
    move_up: MoveUp | None = None
    """A move that waits for a dispatcher, or was declined a while ago."""
    assignment_id: str | None = None
    crew: list[str] = []
    since: datetime | None = None
    position: Position | None = None
    """Latest fix; not journaled, so not part of the digest."""
    out_of_service_for: str | None = None
    faults: list[str] = []
    """What the crew's check at duty on found wrong, in the crew's words; empty = all well or not checked."""
    moves_today: int = 0
    duty_since: datetime | None = None


class Assignment(msgspec.Struct):
    """One unit sent to one incident, with the time of every step. `device_at` keeps what the phone said, by step."""

    assignment_id: str
    incident_id: str
    unit_id: str
    capability: str
    """The entry of the incident's `required` it fills; `extra` when it was sent beyond the plan."""
    state: AssignmentState
    assigned_at: datetime
    assigned_by: str
    first: bool = True
    """Whether its arrival is a capable first response, which stops the 7-minute clock."""
    eta_s: float | None = None
    """Predicted turnout + travel at the moment of assignment; None when unreachable by road."""
    arrival_sd_s: float = 0.0
    ack_due_at: datetime | None = None
    alerts: int = 1
    voice_task_at: datetime | None = None
    delivered_at: datetime | None = None
    seen_at: datetime | None = None
    acknowledged_at: datetime | None = None
    en_route_at: datetime | None = None
    at_scene_at: datetime | None = None
    geofence_at: datetime | None = None
    at_patient_at: datetime | None = None
    transporting_at: datetime | None = None
    at_hospital_at: datetime | None = None
    ended_at: datetime | None = None
    hospital_id: str | None = None
    notice: str = ""
    """What the crew told the hospital on the way there."""
    check_due_at: datetime | None = None
    """At the scene: a sign of life is due by then; None when the region does not watch, or no longer at the scene."""
    silent_at: datetime | None = None
    """When the sign of life failed to come; None again once there is one."""
    reason: str = ""
    device_at: dict[str, datetime] = {}
    receipts: dict[str, datetime] = {}
    """`<device>/<step>` -> when each of the unit's devices said the job was `delivered` or `seen`, by our clock."""

    @property
    def by_hand(self) -> bool:
        """A person sent this unit against the recommendation, with a reason: no policy takes that back."""
        return self.reason != "" and self.assigned_by != str(ENGINE)


class Restriction(msgspec.Struct, frozen=True):
    """A closed or slow stretch of road."""

    restriction_id: str
    place: Place
    radius_m: float
    reason: str
    street: str
    factor: float | None
    since: datetime
    until: datetime | None
    by: str


class Driven(msgspec.Struct, frozen=True):
    """Seconds that drives took, and seconds the road graph's prior gives for the same stretches."""

    observed_s: float
    expected_s: float


class Actor(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who gave a command: kept with every event."""

    role: str
    """`call_taker`, `dispatcher`, `supervisor`, `crew`, `manager`, `auditor`, `admin`, `citizen`, `partner`, `system`."""
    name: str
    """Account name, unit id or `engine`; never a citizen's name."""

    def __str__(self) -> str:
        return f"{self.role}:{self.name}"


NUMBERS_UNSEEN_MAX = 1000
"""Numbers a cut-off leader may give before another replaces it: ten seconds of patience at 100 reports a second."""

ENGINE = Actor(role="system", name="engine")
