"""The fold: journal entries in, exact timelines out. One pass, one region, no I/O, never surprised by a bad line.

How bad input is met (each is counted in `Timeline.odd`, and the SLA shows the counts):

| input | treatment |
| --- | --- |
| line already seen (`seq` not above the last) | ignored |
| lines missing (`seq` jumps) | each takes one from `within` and adds one to `n`; see `definition.py` |
| `at` earlier than the line before | read as the line before: a clock set back shortens nothing |
| ring later than the server heard of it | the clock starts when the server heard |
| time without a zone | ring or device time: not believed; `at`: refused |
| device time | kept beside the server's, never used for the figure: a late sync rewrites nothing |
| geofence arrival | kept beside the crew's button, never stops the clock by itself |
| unknown incident, assignment or report | the line has no effect |

Legs follow merges: a unit on its way to a duplicate is a unit on its way to the emergency.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from dispatch import events as ev
from dispatch.model import Channel, Rejected
from sla.clocks import AT_SCENE, FIRST_RING, Case, Correction, Leg, Noted, Recommended, ReportClock
from sla.definition import TARGET, Facts, Tally, Verdict, Why, judge, tally, worse

DEVICE_AHEAD_MAX = timedelta(seconds=60)  # a phone's clock is rarely a minute off; beyond that it is flagged
SEQ_FIRST = 1  # dispatch numbers a region's journal from 1

Handler = Callable[[Any, datetime], None]


class Timeline:
    """Folds one region's journal. `apply` each entry in order; ask for verdicts at any time.

    `transport_units`: ids of units that can carry a patient, for the figure beside the headline.
    `first_seq`: what the first line must be numbered; None accepts any start (a tail after a snapshot).
    """

    def __init__(self, first_seq: int | None = SEQ_FIRST, transport_units: frozenset[str] = frozenset()) -> None:
        self.transport_units = transport_units
        self.cases: dict[str, Case] = {}
        self.legs: dict[str, Leg] = {}
        self.unit_legs: dict[str, list[Leg]] = {}
        """Every leg of a unit in the order of assignment: what it was doing at any moment."""
        self.reports: dict[str, ReportClock] = {}
        self.open: dict[str, Case] = {}
        """Incidents neither ended nor merged, by id."""
        self.unsettled: dict[str, Case] = {}
        self.ringing: dict[str, ReportClock] = {}
        """Calls that have neither been answered nor given up."""
        self.unreturned: dict[str, ReportClock] = {}
        """Abandoned calls that nobody has called back."""
        self.settled_hook: Callable[[Case], None] | None = None
        """Told of each case the moment it is settled."""
        self.worsened = 0
        """Verdicts that a later record lowered."""
        self.region: str | None = None
        self.last_seq: int | None = None if first_seq is None else first_seq - 1
        self.last_at: datetime | None = None
        self.odd: Counter[str] = Counter()
        self.missing: list[tuple[datetime, int]] = []
        """(time of the line after the hole, lines missing)."""
        self._handlers: dict[type[ev.Event], Handler] = {
            ev.CallPresented: self._call_presented,
            ev.ReportAnswered: self._report_answered,
            ev.CallAbandoned: self._call_abandoned,
            ev.ReportSubmitted: self._report_submitted,
            ev.ReportAttached: self._report_attached,
            ev.ReportDetached: self._report_detached,
            ev.ReportDismissed: self._report_dismissed,
            ev.DuplicateSuspected: self._duplicate_suspected,
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
            ev.ResponseLate: self._response_late,
            ev.UnitRecommended: self._unit_recommended,
            ev.UnitAssigned: self._unit_assigned,
            ev.JobReceipted: self._job_receipted,
            ev.JobAcknowledged: self._job_acknowledged,
            ev.JobDeclined: lambda e, at: self._leg_ended(e, at, "declined"),
            ev.JobUnanswered: lambda e, at: self._leg_ended(e, at, "unanswered"),
            ev.UnitWithdrawn: lambda e, at: self._leg_ended(e, at, "withdrawn"),
            ev.UnitEnRoute: self._unit_en_route,
            ev.ArrivalProposed: self._arrival_proposed,
            ev.UnitAtScene: self._unit_at_scene,
            ev.UnitAtPatient: self._unit_at_patient,
            ev.UnitTransporting: self._unit_transporting,
            ev.UnitAtHospital: self._unit_at_hospital,
            ev.UnitCleared: lambda e, at: self._leg_ended(e, at, "cleared"),
        }

    # --- driving

    def apply(self, entry: ev.Entry) -> None:
        """Take one journal line. Raises `Rejected` only for a line of another region or without a time zone."""
        at, seq = entry.at, entry.seq
        if at.tzinfo is None:
            raise Rejected("time_without_zone", "at", seq=seq)
        if self.region is None:
            self.region = entry.region
        elif entry.region != self.region:
            raise Rejected("other_region", "region", expected=self.region, got=entry.region, seq=seq)
        if self.last_at is not None and at < self.last_at:
            self.odd["clock_ran_back"] += 1
            at = self.last_at
        if self.last_seq is not None and seq != self.last_seq + 1:
            if seq <= self.last_seq:
                self.odd["line_again"] += 1
                return
            self.odd["line_missing"] += seq - self.last_seq - 1
            self.missing.append((at, seq - self.last_seq - 1))
        self.last_seq, self.last_at = seq, at
        handler = self._handlers.get(type(entry.event))
        if handler is not None:
            handler(entry.event, at)

    def apply_all(self, entries: Iterable[ev.Entry]) -> Timeline:
        for entry in entries:
            self.apply(entry)
        return self

    def correct(self, correction: Correction, at: datetime) -> Noted:
        """Record that a clock was wrong. Raises `Rejected` without author, reason or a known subject."""
        if len(correction.reason.strip()) < 3 or not correction.author.strip():
            raise Rejected("correction_needs_author_and_reason", "reason")
        case = self.cases.get(correction.incident_id)
        if case is None:
            raise Rejected("unknown_incident", "incident_id")
        new_at = correction.corrected_at
        if new_at is not None and new_at.tzinfo is None:
            raise Rejected("time_without_zone", "corrected_at")
        self._touch(case, at)
        if correction.step == FIRST_RING:
            before = case.ring_at
            counts = new_at is not None and (before is None or new_at < before)
            if counts:
                self._ring_claimed(case, new_at, at)
        elif correction.step == AT_SCENE:
            leg = self.legs.get(correction.assignment_id or "")
            if leg is None or leg.at_scene_at is None:
                raise Rejected("unknown_assignment", "assignment_id")
            before = leg.at_scene_at
            counts = new_at is None or new_at > before
            if counts:
                leg.at_scene_at = new_at
        else:
            raise Rejected("unknown_step", "step", allowed=[FIRST_RING, AT_SCENE])
        self._ratchet(case)
        noted = Noted(correction, at, before, counts)
        case.corrections.append(noted)
        case.root().version += 1
        case.version += 1
        return noted

    # --- verdicts

    def facts(self, case: Case) -> Facts:
        """What the definition may know of a case, as its record stands."""
        leg = case.first_leg()
        return Facts(
            case.incident_id,
            case.first_ring_at(),
            None if leg is None else leg.at_scene_at,
            1 if case.was_priority_1() else case.highest_priority,
            case.cancelled_at,
            case.cancel_reason,
            None if case.merged_into is None else case.merged_into.incident_id,
            case.split_off,
        )

    def verdict(self, case: Case, now: datetime | None) -> tuple[Verdict, Why]:
        """Settled and standing verdict together. `now` None: long after everything."""
        if now is not None:
            self._touch(case, now)
        return worse(case.settled, judge(self.facts(case), now))

    def tally(
        self,
        now: datetime | None,
        since: datetime | None = None,
        until: datetime | None = None,
        last_seq_expected: int | None = None,
    ) -> Tally:
        """SLA-7 over emergencies first rung in [since, until). `last_seq_expected`: the journal's known head, so that a
        torn-off end is counted as missing too."""
        missing = self.missing_lines(since, until)
        if last_seq_expected is not None:
            missing += max(0, last_seq_expected - (self.last_seq or 0))
        return tally(
            ((c.incident_id, *self.verdict(c, now)) for c in self.cases.values() if in_window(c, since, until)), missing
        )

    def missing_lines(self, since: datetime | None, until: datetime | None) -> int:
        """Lines missing from the journal before lines of [since, until)."""
        return sum(k for at, k in self.missing if (since is None or at >= since) and (until is None or at < until))

    def _touch(self, case: Case, now: datetime) -> None:
        """Settle a case whose time is up, by its record before whatever is about to change it."""
        if case.settled is None and case.deadline_at is not None and now > case.deadline_at:
            self._settle(case)
        root = case.merged_into
        if root is not None:
            self._touch(root, now)

    def _ratchet(self, case: Case) -> None:
        """Something that verdicts depend on has changed: whatever is settled in this cluster may only have become worse."""
        for member in case.root().cluster():
            if member.settled is not None:
                stands = judge(self.facts(member))[0]
                if stands < member.settled:
                    member.settled = stands
                    self.worsened += 1

    def _settle(self, case: Case) -> None:
        case.settled = judge(self.facts(case))[0]
        case.settled_kind = case.kind
        case.settled_zone = case.zone
        self.unsettled.pop(case.incident_id, None)
        if case.settled is not Verdict.LATE:
            case.evidence = None  # only late responses are explained; a year of candidates would fill the memory
        if self.settled_hook is not None:
            self.settled_hook(case)

    def settle_due(self, now: datetime) -> None:
        """Settle everything whose time is up, so that counters do not wait for the next event about it."""
        for case in list(self.unsettled.values()):
            self._touch(case, now)

    def _case(self, incident_id: str, at: datetime) -> Case | None:
        case = self.cases.get(incident_id)
        if case is None:
            self.odd["unknown_incident"] += 1
            return None
        if case.settled is None or case.merged_into is not None:
            self._touch(case, at)
        case.version += 1
        if case.merged_into is not None:
            case.root().version += 1
        return case

    def _ring_claimed(self, case: Case, ring_at: datetime | None, at: datetime) -> None:
        """A report of this case rang at `ring_at`: the earliest ring starts the clock, for ever."""
        if ring_at is None:
            return
        if case.ring_at is None or ring_at < case.ring_at:
            case.ring_at = ring_at
            while True:
                first = case.first_ring_at()
                case.deadline_at = None if first is None else first + TARGET
                self._touch(case, at)
                if case.merged_into is None:
                    break
                case = case.merged_into
            self._ratchet(case)

    def _heard(self, claimed_at: datetime | None, at: datetime) -> datetime | None:
        """A ring as claimed, made safe: zoned and not in the server's future."""
        if claimed_at is None:
            return None
        if claimed_at.tzinfo is None:
            self.odd["time_without_zone"] += 1
            return None
        if claimed_at > at:
            self.odd["ring_in_future"] += 1
            return at
        return claimed_at

    # --- calls and reports

    def _call_presented(self, event: ev.CallPresented, at: datetime) -> None:
        ring_at = self._heard(event.rang_at, at)
        report = self.reports.get(event.report_id)
        if report is None:
            report = ReportClock(event.report_id, ring_at, True)
            self.reports[event.report_id] = self.ringing[event.report_id] = report
            return
        self.odd["call_presented_again"] += 1  # or its lines came out of order: the earliest ring stands
        report.is_call = True
        if ring_at is not None and (report.rang_at is None or ring_at < report.rang_at):
            report.rang_at = ring_at
            case = None if report.incident_id is None else self._case(report.incident_id, at)
            if case is not None:
                self._ring_claimed(case, ring_at, at)

    def _report(self, report_id: str) -> ReportClock:
        """The report, or an empty clock for one whose first line is missing, so that its later life is still followed."""
        report = self.reports.get(report_id)
        if report is None:
            self.odd["unknown_report"] += 1
            report = self.reports[report_id] = ReportClock(report_id, None, False)
        return report

    def _report_answered(self, event: ev.ReportAnswered, at: datetime) -> None:
        report = self._report(event.report_id)
        if report.abandoned_at is not None and report.called_back_at is None:
            report.called_back_at = at
        if report.answered_at is None:
            report.answered_at = at
        self.ringing.pop(event.report_id, None)
        self.unreturned.pop(event.report_id, None)

    def _call_abandoned(self, event: ev.CallAbandoned, at: datetime) -> None:
        report = self._report(event.report_id)
        if report.abandoned_at is None:
            report.abandoned_at = at
        self.ringing.pop(event.report_id, None)
        if report.is_call:
            self.unreturned[event.report_id] = report

    def _report_submitted(self, event: ev.ReportSubmitted, at: datetime) -> None:
        report = self.reports.get(event.report_id)
        if report is None:
            ring_at = self._heard(event.rang_at, at)
            report = ReportClock(event.report_id, ring_at, event.channel == Channel.CALL)
            self.reports[event.report_id] = report
        if report.submitted_at is None:
            report.submitted_at = at
        self.ringing.pop(event.report_id, None)
        self.unreturned.pop(event.report_id, None)

    def _join(self, report_id: str, case: Case, at: datetime) -> None:
        report = self._report(report_id)
        if report.first_incident is None:
            report.first_incident = case.incident_id
        report.incident_id = case.incident_id
        if report_id not in case.report_ids:
            case.report_ids.append(report_id)
        self._ring_claimed(case, report.rang_at, at)

    def _report_attached(self, event: ev.ReportAttached, at: datetime) -> None:
        case = self._case(event.incident_id, at)
        if case is not None:
            self._join(event.report_id, case, at)
        elif (report := self._report(event.report_id)).first_incident is None:
            report.first_incident = event.incident_id

    def _report_detached(self, event: ev.ReportDetached, at: datetime) -> None:
        self._case(event.incident_id, at)
        report = self._report(event.report_id)
        report.incident_id = None
        if report.first_incident is None:
            report.first_incident = event.incident_id

    def _report_dismissed(self, event: ev.ReportDismissed, at: datetime) -> None:
        self._report(event.report_id).dismissed_for = event.reason
        self.ringing.pop(event.report_id, None)
        self.unreturned.pop(event.report_id, None)

    def _duplicate_suspected(self, event: ev.DuplicateSuspected, at: datetime) -> None:
        case = self._case(event.incident_id, at)
        if case is not None:
            case.suspected_of = event.like

    # --- incidents

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
        case.wanted = _alternatives(event.required)
        case.split_off = self._report(event.report_id).first_incident not in (None, event.incident_id)
        self.cases[event.incident_id] = self.open[event.incident_id] = self.unsettled[event.incident_id] = case
        self._join(event.report_id, case, at)

    def _incident_regraded(self, event: ev.IncidentRegraded, at: datetime) -> None:
        case = self._case(event.incident_id, at)
        if case is None:
            return
        case.kind, case.priority, case.plan = event.incident_kind, event.priority, event.plan
        case.highest_priority = min(case.highest_priority, event.priority)
        case.required, case.wanted = event.required, _alternatives(event.required)
        self._ratchet(case)

    def _incident_relocated(self, event: ev.IncidentRelocated, at: datetime) -> None:
        case = self._case(event.incident_id, at)
        if case is not None:
            case.zone, case.lon_lat = event.zone, (event.place.lon, event.place.lat)

    def _incident_merged(self, event: ev.IncidentMerged, at: datetime) -> None:
        case, into = self._case(event.incident_id, at), self._case(event.into, at)
        if case is None or into is None or case.merged_into is not None or into.root() is case:
            self.odd["merge_impossible"] += case is not None and into is not None
            return
        case.merged_into = into
        into.members.append(case)
        self.open.pop(case.incident_id, None)
        self._move_legs(event.assignments, into)
        while True:  # the earliest ring of the whole cluster starts the survivor's clock
            first = into.first_ring_at()
            into.deadline_at = None if first is None else first + TARGET
            if into.settled is None and into.first_leg() is not None and into.merged_into is None:
                self._settle(into)
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
        for moved in (out_of, case):
            first = moved.first_ring_at()
            moved.deadline_at = None if first is None else first + TARGET
            self._touch(moved, at)
            self._ratchet(moved)
            moved.version += 1

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
            case.wanted |= _alternatives(event.required)

    def _plan_short(self, event: ev.PlanShort, at: datetime) -> None:
        case = self._case(event.incident_id, at)
        if case is not None:
            case.short.append((at, event.why))

    def _response_at_risk(self, event: ev.ResponseAtRisk, at: datetime) -> None:
        case = self._case(event.incident_id, at)
        if case is not None:
            case.risks.append((at, event.chance, event.gain_s))

    def _response_late(self, event: ev.ResponseLate, at: datetime) -> None:
        case = self._case(event.incident_id, at)
        if case is not None and case.breached_at is None:
            case.breached_at = at

    # --- sending

    def _unit_recommended(self, event: ev.UnitRecommended, at: datetime) -> None:
        case = self._case(event.incident_id, at)
        if case is not None:
            case.recommended.append(Recommended.of(event, at))
            if case.evidence is None and case.settled is not Verdict.ON_TIME:
                case.evidence = event

    def _unit_assigned(self, event: ev.UnitAssigned, at: datetime) -> None:
        case = self._case(event.incident_id, at)
        leg = Leg(event.assignment_id, event.incident_id, event.unit_id, event.capability, event.first)
        leg.assigned_at, leg.eta_s, leg.sd_s = at, event.eta_s, event.sd_s
        leg.override, leg.diverted_from = event.override, event.diverted_from
        self.legs[event.assignment_id] = leg
        self.unit_legs.setdefault(event.unit_id, []).append(leg)
        if case is not None:
            case.legs.append(leg)

    def _leg(self, event: Any, at: datetime, step: str) -> Leg | None:
        leg: Leg | None = self.legs.get(event.assignment_id)
        if leg is None:
            self.odd["unknown_assignment"] += 1
            return None
        device_at = event.device_at
        if device_at is not None:
            if device_at.tzinfo is None:
                self.odd["time_without_zone"] += 1
            else:
                if device_at - at > DEVICE_AHEAD_MAX:
                    self.odd["device_ahead"] += 1
                if leg.device_at is None:
                    leg.device_at = {step: device_at}
                else:
                    leg.device_at.setdefault(step, device_at)
        case = self.cases.get(leg.incident_id)
        if case is not None:
            case.version += 1
            if case.merged_into is not None:
                case.root().version += 1
        return leg

    def _job_receipted(self, event: ev.JobReceipted, at: datetime) -> None:
        leg = self._leg(event, at, event.step)
        if leg is not None:
            if leg.delivered_at is None:
                leg.delivered_at = at
            if event.step == "seen" and leg.seen_at is None:
                leg.seen_at = at

    def _job_acknowledged(self, event: ev.JobAcknowledged, at: datetime) -> None:
        leg = self._leg(event, at, "acknowledged")
        if leg is not None and leg.acknowledged_at is None:
            leg.acknowledged_at = at

    def _unit_en_route(self, event: ev.UnitEnRoute, at: datetime) -> None:
        leg = self._leg(event, at, "en_route")
        if leg is not None and leg.en_route_at is None:
            leg.en_route_at = at

    def _arrival_proposed(self, event: ev.ArrivalProposed, at: datetime) -> None:
        leg = self._leg(event, at, "geofence")
        if leg is not None and leg.geofence_at is None:
            leg.geofence_at = at

    def _unit_at_scene(self, event: ev.UnitAtScene, at: datetime) -> None:
        leg = self._leg(event, at, AT_SCENE)
        if leg is None or leg.at_scene_at is not None:
            return
        case = self._case(leg.incident_id, at)
        leg.at_scene_at, leg.at_scene_by = at, event.by
        if case is None:
            return
        root = case.root()
        wanted = root.wanted | case.wanted
        leg.capable = leg.first and (not wanted or not wanted.isdisjoint(leg.capability.split("|")))
        if leg.capable:
            for settling in (case, root):
                if settling.settled is None:
                    self._settle(settling)

    def _unit_at_patient(self, event: ev.UnitAtPatient, at: datetime) -> None:
        leg = self._leg(event, at, "at_patient")
        if leg is not None and leg.at_patient_at is None:
            leg.at_patient_at = at

    def _unit_transporting(self, event: ev.UnitTransporting, at: datetime) -> None:
        leg = self._leg(event, at, "transporting")
        if leg is not None and leg.transporting_at is None:
            leg.transporting_at = at

    def _unit_at_hospital(self, event: ev.UnitAtHospital, at: datetime) -> None:
        leg = self._leg(event, at, "at_hospital")
        if leg is not None and leg.at_hospital_at is None:
            leg.at_hospital_at = at

    def _leg_ended(self, event: Any, at: datetime, end: str) -> None:
        leg = self.legs.get(event.assignment_id)
        if leg is None:
            self.odd["unknown_assignment"] += 1
        elif leg.ended_at is None:
            leg.ended_at, leg.end = at, end


def in_window(case: Case, since: datetime | None, until: datetime | None) -> bool:
    """Whether the emergency belongs to [since, until): by the ring it was opened with, which never moves."""
    at = case.opened_ring_at
    if at is None:
        return since is None and until is None
    return (since is None or at >= since) and (until is None or at < until)


def _alternatives(required: list[str]) -> frozenset[str]:
    """Every capability a plan's places accept; `a|b` is one place that either can fill."""
    return frozenset(part for place in required for part in place.split("|"))
