"""What each line about an incident writes down: opened, regraded, merged, split, ended, warned of. A third of the fold; see
`timeline.py`."""

from __future__ import annotations

from datetime import datetime

from dispatch import events as ev
from sla.clocks import Case
from sla.definition import TARGET, Verdict
from sla.record import Record


class Incidents(Record):
    """A record that also follows incidents from opening to end."""

    def __init__(self) -> None:
        super().__init__()
        self._handlers |= {
            ev.IncidentOpened: self._incident_opened,
            ev.IncidentRegraded: self._incident_regraded,
            ev.IncidentRelocated: self._incident_relocated,
            ev.IncidentMerged: self._incident_merged,
            ev.IncidentUnmerged: self._incident_unmerged,
            ev.IncidentCancelled: self._incident_cancelled,
            ev.IncidentClosed: self._incident_closed,
            ev.IncidentReopened: self._incident_reopened,
            ev.AlarmRaised: self._alarm_raised,
            ev.PlanShort: self._plan_short,
            ev.ResponseAtRisk: self._response_at_risk,
            ev.WarningAcknowledged: self._warning_acknowledged,
            ev.WarningEscalated: self._warning_escalated,
            ev.ResponseLate: self._response_late,
        }

    def _incident_opened(self, event: ev.IncidentOpened, at: datetime) -> None:
        if event.incident_id in self.cases:
            self.odd["incident_opened_again"] += 1
            return
        case = Case(event.incident_id, self._heard(event.first_ring_at, at), at)
        case.kind, case.zone, case.plan, case.mode = event.incident_kind, event.zone, event.plan, event.mode
        case.priority = case.highest_priority = case.opened_priority = event.priority
        case.opened_kind = event.incident_kind
        case.lon_lat = (event.place.lon, event.place.lat)
        case.required = event.required
        case.wanted = alternatives(event.required)
        case.split_off = self._report(event.report_id).first_incident not in (None, event.incident_id)
        self.cases[event.incident_id] = self.open[event.incident_id] = self.unsettled[event.incident_id] = case
        self._join(event.report_id, case, at)

    def _incident_regraded(self, event: ev.IncidentRegraded, at: datetime) -> None:
        case = self._case(event.incident_id, at)
        if case is None:
            return
        raised = event.priority == 1 and not case.was_priority_1()
        case.kind, case.priority, case.plan = event.incident_kind, event.priority, event.plan
        case.highest_priority = min(case.highest_priority, event.priority)
        case.required, case.wanted = event.required, alternatives(event.required)
        self._reflag(event.first, case)
        if raised:
            self._stood_for_less(case.root(), event.first, at)
        self._ratchet(case)

    def _stood_for_less(self, root: Case, first: list[str] | None, at: datetime) -> None:
        """Whoever stands at a lesser case that turns out to be of priority 1, and cannot help with that or stood there before it
        was joined to another, has stopped no clock. The case was left out for having been reached: on time it stays out, late
        it counts like any other."""
        for member in root.cluster():
            member.version += 1
            for leg in member.legs:
                if leg.capable and leg.at_scene_at is not None:
                    if root.joined_at is not None and leg.at_scene_at <= root.joined_at:
                        leg.capable = False
                    elif first is not None:
                        leg.capable = leg.assignment_id in first
                    else:
                        leg.capable = not root.wanted or not root.wanted.isdisjoint(leg.capability.split("|"))
        if root.settled is Verdict.LEFT_OUT and root.first_leg() is None:
            root.settled, root.at_best = None, Verdict.LEFT_OUT
            self.unsettled[root.incident_id] = root
            self._touch(root, at)

    def _incident_relocated(self, event: ev.IncidentRelocated, at: datetime) -> None:
        case = self._case(event.incident_id, at)
        if case is not None:
            case.zone, case.lon_lat = event.zone, (event.place.lon, event.place.lat)

    def _incident_merged(self, event: ev.IncidentMerged, at: datetime) -> None:
        case, into = self._case(event.incident_id, at), self._case(event.into, at)
        if case is None or into is None or case.merged_into is not None or into.root() is case:
            self.odd["merge_impossible"] += case is not None and into is not None
            return
        root = into.root()
        brings = case.was_priority_1() and case.settled in (None, Verdict.ON_TIME)
        self._stood_elsewhere(case, root)
        self._stood_elsewhere(root, case)
        if brings:  # whatever it was left out for: from now on it is the other one, whose clock counts
            root.cancelled_at = None
            root.at_best = max(root.at_best, case.at_best)
            if root.settled is Verdict.LEFT_OUT:
                root.settled = None
                self.unsettled[root.incident_id] = root
        case.merged_into = into
        into.members.append(case)
        root.joined_at = at
        self.open.pop(case.incident_id, None)
        self._move_legs(event.assignments, into)
        self._reflag(event.first, into)
        while True:  # the earliest ring of the whole cluster starts the survivor's clock
            first = into.first_ring_at()
            into.deadline_at = None if first is None else first + TARGET
            if into.settled is None and into.first_leg() is not None and into.merged_into is None:
                self._settle(into, Verdict.LEFT_OUT if case.settled is Verdict.LEFT_OUT else Verdict.ON_TIME)
            self._touch(into, at)
            into.version += 1
            if into.merged_into is None:
                break
            into = into.merged_into
        self._ratchet(into)

    def _incident_unmerged(self, event: ev.IncidentUnmerged, at: datetime) -> None:
        case = self._case(event.incident_id, at)
        if case is None or case.merged_into is None:
            self.odd["unmerge_impossible"] += 1
            return
        out_of = case.merged_into
        out_of.members.remove(case)
        case.merged_into = None
        self.open[case.incident_id] = case
        self._move_legs(event.assignments, case)
        self._reflag(event.first, out_of)
        self._reflag(event.first, case)
        for moved in (out_of, case):
            first = moved.first_ring_at()
            moved.deadline_at = None if first is None else first + TARGET
            self._touch(moved, at)
            self._ratchet(moved)
            moved.version += 1

    def _stood_elsewhere(self, side: Case, other: Case) -> None:
        """Whoever stands at `side` when it is joined to `other`, which is or was of priority 1, stops no clock of the two:
        bringing two records together is not an arrival. Unless it already has, or is late, in the count of priority 1."""
        if side.settled is Verdict.LEFT_OUT and other.was_priority_1():
            for member in side.cluster():
                member.version += 1
                for leg in member.legs:
                    leg.capable = False

    def _reflag(self, first: list[str] | None, case: Case) -> None:
        """Coming units of `case` stop its clock as its plan says now, not as they were sent."""
        if first is None:
            return
        root = case.root()
        for leg in case.legs:
            if leg.at_scene_at is None:
                leg.first = leg.assignment_id in first
                if leg.first and root.wanted.isdisjoint(leg.capability.split("|")):
                    leg.by_plan = root.plan

    def _move_legs(self, assignment_ids: list[str], to: Case) -> None:
        for assignment_id in assignment_ids:
            leg = self.legs.get(assignment_id)
            if leg is None or leg.at_scene_at is not None:
                continue
            before = self.cases.get(leg.incident_id)
            if before is not None and leg in before.legs:
                before.legs.remove(leg)
            leg.incident_id = to.incident_id
            to.legs.append(leg)

    def _incident_cancelled(self, event: ev.IncidentCancelled, at: datetime) -> None:
        case = self._case(event.incident_id, at)
        if case is not None:
            case.cancelled_at = case.ended_at = at
            case.cancel_reason = event.reason
            self.open.pop(event.incident_id, None)
            self._ratchet(case)

    def _incident_closed(self, event: ev.IncidentClosed, at: datetime) -> None:
        case = self._case(event.incident_id, at)
        if case is not None:
            case.ended_at = at
            self.open.pop(event.incident_id, None)

    def _incident_reopened(self, event: ev.IncidentReopened, at: datetime) -> None:
        case = self._case(event.incident_id, at)
        if case is not None:
            case.ended_at = case.cancelled_at = None
            self.open[event.incident_id] = case
            self._ratchet(case)

    def _alarm_raised(self, event: ev.AlarmRaised, at: datetime) -> None:
        case = self._case(event.incident_id, at)
        if case is not None:
            case.wanted |= alternatives(event.required)

    def _plan_short(self, event: ev.PlanShort, at: datetime) -> None:
        case = self._case(event.incident_id, at)
        if case is not None:
            case.short.append((at, event.why))

    def _response_at_risk(self, event: ev.ResponseAtRisk, at: datetime) -> None:
        case = self._case(event.incident_id, at)
        if case is not None:
            case.risks.append((at, event.chance, event.gain_s))

    def _warning_acknowledged(self, event: ev.WarningAcknowledged, at: datetime) -> None:
        case = self._case(event.incident_id, at)
        if case is not None:
            case.taken_on.append(at)

    def _warning_escalated(self, event: ev.WarningEscalated, at: datetime) -> None:
        case = self._case(event.incident_id, at)
        if case is not None:
            case.escalated_to = max(case.escalated_to, event.level)

    def _response_late(self, event: ev.ResponseLate, at: datetime) -> None:
        case = self._case(event.incident_id, at)
        if case is not None and case.breached_at is None:
            case.breached_at = at


def alternatives(required: list[str]) -> frozenset[str]:
    """Every capability a plan's places accept; `a|b` is one place that either can fill."""
    return frozenset(part for place in required for part in place.split("|"))
