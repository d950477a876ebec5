"""`State`: what a region looks like after every event so far. `State.apply` is the only way it changes.

The engine keeps one State to decide on, the published side keeps another for everybody who reads, and a rebuild of the
projections makes a third: the same fold everywhere, so they cannot disagree.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from datetime import datetime, timedelta

import msgspec

from dispatch import events as ev
from dispatch import prediction
from dispatch.fold_events import APPLY
from dispatch.model import (
    ACTIVE_ASSIGNMENT_STATES,
    OPEN_STATES,
    Assignment,
    AssignmentState,
    Incident,
    IncidentState,
    Report,
    ReportState,
    Restriction,
    Unit,
    UnitState,
)
from dispatch.region import Region
from geo.learned import LearnedSpeeds

ENDED_KEPT = timedelta(hours=48)
"""Ended incidents stay in memory this long, for reopening and un-merging; after that only the tables have them."""
FORGET_EVERY_S = 3600

SERVED_STATES = ACTIVE_ASSIGNMENT_STATES | {AssignmentState.CLEARED}
EXTRA = "extra"


class Touched(msgspec.Struct):
    """Ids whose rows changed since the last drain, so that projections and streams send only those."""

    reports: dict[str, None] = {}
    incidents: dict[str, None] = {}
    units: dict[str, None] = {}
    assignments: dict[str, None] = {}
    restrictions: dict[str, None] = {}


class Snapshot(msgspec.Struct):
    """The whole State on disk; `version` changes when a struct of `model.py` changes shape."""

    version: int
    region: str
    seq: int
    at: datetime | None
    last_report: str
    last_incident: str
    reports: dict[str, Report]
    incidents: dict[str, Incident]
    units: dict[str, Unit]
    assignments: dict[str, Assignment]
    recommended: dict[str, dict[str, ev.UnitRecommended]]
    ended: list[str]
    leader_url: str = ""
    restrictions: dict[str, Restriction] = {}
    restriction_count: int = 0
    short_of: dict[str, list[str]] = {}
    learned_s: tuple[dict[str, dict[str, list[float]]], dict[str, dict[str, list[float]]]] = ({}, {})
    """Seconds observed and expected, by mode, road class and hour."""
    trips: list[list[list[float]]] = []


SNAPSHOT_VERSION = 3


class State:
    """Everything known of one region. Read it freely; change it only through `apply`."""

    def __init__(self, region: Region) -> None:
        self.region = region
        self.seq = 0
        self.at: datetime | None = None
        self.reports: dict[str, Report] = {}
        self.incidents: dict[str, Incident] = {}
        self.assignments: dict[str, Assignment] = {}
        self.units: dict[str, Unit] = {}
        self.recommended: dict[str, dict[str, ev.UnitRecommended]] = {}
        self.open_ids: dict[str, None] = {}
        self.short_ids: dict[str, None] = {}
        self.short_of: dict[str, list[str]] = {}
        """What each short incident's last `plan_short` named; said again only when it changes."""
        self.active_ids: dict[str, None] = {}
        self.abandoned_by_phone: dict[str, str] = {}
        self.claimed_at: dict[str, datetime] = {}
        """When an answered report was last taken over. Not in the snapshot: after a restart its first answer counts, so a
        claim can only run out sooner."""
        self.report_of_call: dict[str, str] = {}
        self.restrictions: dict[str, Restriction] = {}
        self.restriction_count = 0
        self.learned = LearnedSpeeds()
        """How fast the fleet's own drives went, by mode, road class and hour."""
        self.trips = prediction.model_of_trips()
        """How wrong promised arrival times were."""
        self._offset = timedelta(hours=region.utc_offset_h)
        self.leader_url = ""
        """Where the node that writes this region answers; not part of the digest."""
        self.last_report = ""
        self.last_incident = ""
        self.ended: list[str] = []
        self.assign_seq = 0
        """Last event after which somebody might be better sent otherwise."""
        self.stirred: dict[str, None] = {}
        """Incidents something has happened to since a planning round last looked at them."""
        self.stirred_agencies: dict[str, None] = {}
        """Agencies whose free units might better stand elsewhere since the last look at where they stand."""
        self.free_ids: set[str] = set()
        """Units that may be sent: on duty, available."""
        self.freed_at: datetime | None = None
        """When a unit last became free."""
        self._free_capabilities: frozenset[str] | None = None
        self.touched = Touched()
        for unit_id, spec in region.units.items():
            self._add_unit(unit_id, spec.unit_type, spec.agency, spec.home_post)

    def _add_unit(self, unit_id: str, unit_type: str, agency: str, home_post: str) -> None:
        kind = self.region.unit_types[unit_type]
        self.units[unit_id] = Unit(
            unit_id=unit_id,
            unit_type=unit_type,
            agency=agency,
            capabilities=kind.capabilities,
            mode=kind.mode,
            home_post=home_post,
            post=home_post,
        )

    # --- reading

    def active_of(self, incident: Incident) -> list[Assignment]:
        """Assignments of the incident that are coming, at the scene or carrying its patient, in order of assignment."""
        found = (self.assignments[a] for a in incident.assignment_ids)
        return [a for a in found if a.state in ACTIVE_ASSIGNMENT_STATES and a.incident_id == incident.incident_id]

    def free_capabilities(self) -> frozenset[str]:
        """Everything that some free unit can do."""
        if self._free_capabilities is None:
            self._free_capabilities = frozenset().union(*(self.units[u].capabilities for u in self.free_ids))
        return self._free_capabilities

    def local_hour(self, at: datetime) -> int:
        return (at + self._offset).hour

    def digest(self) -> str:
        """SHA-256 over all durable state; positions are left out because fixes are not journaled."""
        units = {u: msgspec.structs.replace(x, position=None) for u, x in self.units.items()}
        body = [
            self.seq,
            self.at,
            self.reports,
            self.incidents,
            units,
            self.assignments,
            self.ended,
            self.restrictions,
            self.learned.observed_s,
            self.learned.expected_s,
            self.trips.sums(),
        ]
        return hashlib.sha256(msgspec.json.encode(body, order="deterministic")).hexdigest()

    # --- snapshots

    def snapshot(self) -> bytes:
        return msgspec.json.encode(
            Snapshot(
                version=SNAPSHOT_VERSION,
                region=self.region.code,
                seq=self.seq,
                at=self.at,
                last_report=self.last_report,
                last_incident=self.last_incident,
                reports=self.reports,
                incidents=self.incidents,
                units=self.units,
                assignments=self.assignments,
                recommended=self.recommended,
                ended=self.ended,
                leader_url=self.leader_url,
                restrictions=self.restrictions,
                restriction_count=self.restriction_count,
                short_of=self.short_of,
                learned_s=(self.learned.observed_s, self.learned.expected_s),
                trips=self.trips.sums(),
            )
        )

    @classmethod
    def restore(cls, region: Region, body: bytes) -> State | None:
        """State from a snapshot; None when it is damaged or of another version and the journal must be replayed."""
        try:
            snap = msgspec.json.decode(body, type=Snapshot)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        if snap.version != SNAPSHOT_VERSION or snap.region != region.code:
            return None
        state = cls(region)
        state.seq, state.at = snap.seq, snap.at
        state.last_report, state.last_incident = snap.last_report, snap.last_incident
        state.reports, state.incidents, state.assignments = snap.reports, snap.incidents, snap.assignments
        # A unit the pack no longer lists stays until its job ends; a new one of the pack starts off duty.
        state.units.update(snap.units)
        state.recommended, state.ended = snap.recommended, snap.ended
        state.leader_url = snap.leader_url
        state.restrictions, state.restriction_count = snap.restrictions, snap.restriction_count
        state.short_of = snap.short_of
        state.learned.observed_s, state.learned.expected_s = snap.learned_s
        state.trips.restore(snap.trips)
        for incident in state.incidents.values():
            if incident.state in OPEN_STATES:
                state.open_ids[incident.incident_id] = None
                if incident.unfilled:
                    state.short_ids[incident.incident_id] = None
        for a in state.assignments.values():
            if a.state in ACTIVE_ASSIGNMENT_STATES:
                state.active_ids[a.assignment_id] = None
        for r in state.reports.values():
            if r.call_id is not None:
                state.report_of_call[r.call_id] = r.report_id
            if r.state is ReportState.ABANDONED and r.caller.phone:
                state.abandoned_by_phone[r.caller.phone] = r.report_id
        state.free_ids = {u.unit_id for u in state.units.values() if u.state is UnitState.AVAILABLE}
        state.freed_at = max((s for u in state.free_ids if (s := state.units[u].since) is not None), default=None)
        state.assign_seq = state.seq
        return state

    def drain_touched(self) -> Touched:
        touched, self.touched = self.touched, Touched()
        return touched

    # --- changing

    def apply(self, entry: ev.Entry) -> None:
        """Fold one journal line. Asserts what must hold; an assertion here means a broken journal, not a user's mistake."""
        if entry.seq != self.seq + 1:
            raise AssertionError(f"journal gap: have {self.seq}, got {entry.seq}")
        if self.at is not None and entry.at < self.at:
            raise AssertionError(f"time ran back at seq {entry.seq}")
        if self.at is not None and entry.at.timestamp() // FORGET_EVERY_S != self.at.timestamp() // FORGET_EVERY_S:
            self._forget(entry.at - ENDED_KEPT)
        self.seq = entry.seq
        self.at = entry.at
        APPLY[type(entry.event)](self, entry.event, entry)

    def _forget(self, before: datetime) -> None:
        kept_from = 0
        for incident_id in self.ended:
            incident = self.incidents[incident_id]
            if incident.ended_at is not None and incident.ended_at >= before:
                break
            kept_from += 1
            if incident.ended_at is None:
                continue  # reopened meanwhile; it will end again
            del self.incidents[incident_id]
            self.stirred.pop(incident_id, None)
            self.recommended.pop(incident_id, None)
            for assignment_id in incident.assignment_ids:
                self.assignments.pop(assignment_id, None)
            for report_id in incident.report_ids:
                report = self.reports.pop(report_id, None)
                self.claimed_at.pop(report_id, None)
                if report is not None and report.call_id is not None:
                    self.report_of_call.pop(report.call_id, None)
        if kept_from:
            self.ended = [i for i in self.ended[kept_from:] if i in self.incidents]
        old = [r for r in self.reports.values() if r.incident_id is None and r.received_at < before]
        for report in old:
            del self.reports[report.report_id]
            if report.call_id is not None:
                self.report_of_call.pop(report.call_id, None)
            self.claimed_at.pop(report.report_id, None)
            if report.caller.phone and self.abandoned_by_phone.get(report.caller.phone) == report.report_id:
                del self.abandoned_by_phone[report.caller.phone]

    def _report(self, report_id: str) -> Report:
        self.touched.reports[report_id] = None
        return self.reports[report_id]

    def _incident(self, incident_id: str) -> Incident:
        self.touched.incidents[incident_id] = self.stirred[incident_id] = None
        incident = self.incidents[incident_id]
        incident.version += 1
        return incident

    def _assignment(self, assignment_id: str, step: str | None = None, entry: ev.Entry | None = None) -> Assignment:
        self.touched.assignments[assignment_id] = None
        a = self.assignments[assignment_id]
        device_at = getattr(entry.event, "device_at", None) if entry is not None else None
        if step is not None and device_at is not None:
            a.device_at = {**a.device_at, step: device_at}
        return a

    def _unit(self, unit_id: str) -> Unit:
        self.touched.units[unit_id] = None
        return self.units[unit_id]

    def _set_unit(self, unit: Unit, state: UnitState, at: datetime) -> None:
        if state is not unit.state:
            if UnitState.AVAILABLE in (state, unit.state):
                self._free_capabilities = None
            if state is UnitState.AVAILABLE:
                self.free_ids.add(unit.unit_id)
                self.freed_at = at
            else:
                self.free_ids.discard(unit.unit_id)
                if unit.move_up is not None and not unit.move_up.declined:
                    unit.move_up = None  # it was for a free unit
            unit.state = state
            unit.since = at
        if state is UnitState.AVAILABLE:
            # Somebody is free: there is a round now. Who stays short has said so, and is not written down again for every
            # unit that comes free: in a surge that would be one line per open incident and freed unit.
            self.assign_seq = self.seq
        self.stirred_agencies[unit.agency] = None

    def _refill(self, incident: Incident) -> None:
        """Recompute what the plan still misses from what is coming or has come."""
        have = Counter(
            a.capability
            for a in map(self.assignments.__getitem__, incident.assignment_ids)
            if a.incident_id == incident.incident_id
            and a.state in SERVED_STATES
            and (a.state is not AssignmentState.CLEARED or a.at_scene_at is not None)
        )
        unfilled = []
        for capability in incident.required:
            if have[capability] > 0:
                have[capability] -= 1
            else:
                unfilled.append(capability)
        incident.unfilled = unfilled
        if unfilled and incident.state in OPEN_STATES:
            self.short_ids[incident.incident_id] = None
        else:
            self.short_ids.pop(incident.incident_id, None)
            self.short_of.pop(incident.incident_id, None)
            incident.retry_at = None

    def _restate(self, incident: Incident) -> None:
        """An open incident's state follows from its assignments."""
        if incident.state not in OPEN_STATES:
            return
        if incident.first_at_scene_at is not None:
            incident.state = IncidentState.ON_SCENE
        elif self.active_of(incident):
            incident.state = IncidentState.DISPATCHED
        else:
            incident.state = IncidentState.WAITING

    def _end(self, incident: Incident, state: IncidentState, entry: ev.Entry, outcome: str | None) -> None:
        incident.state = state
        incident.ended_at = entry.at
        incident.ended_by = str(entry.actor)
        incident.outcome = outcome
        incident.retry_at = None
        self.open_ids.pop(incident.incident_id, None)
        self.short_ids.pop(incident.incident_id, None)
        self.short_of.pop(incident.incident_id, None)
        self.recommended.pop(incident.incident_id, None)
        self.ended.append(incident.incident_id)

    def _end_assignment(self, assignment_id: str, state: AssignmentState, reason: str, entry: ev.Entry) -> Assignment:
        a = self._assignment(assignment_id, "ended", entry)
        a.state = state
        a.ended_at = entry.at
        a.ack_due_at = a.check_due_at = a.silent_at = None
        a.reason = reason
        self.active_ids.pop(assignment_id, None)
        unit = self._unit(a.unit_id)
        unit.assignment_id = None
        self._set_unit(unit, UnitState.AVAILABLE, entry.at)
        incident = self._incident(a.incident_id)
        self._restate(incident)
        self._refill(incident)
        if state is not AssignmentState.CLEARED and incident.unfilled:
            incident.retry_at = None
            self.assign_seq = self.seq
        return a
