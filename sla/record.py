"""When a case is settled, and what each line about a call or report writes down. A third of the fold; see `timeline.py`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any

from dispatch import events as ev
from dispatch.model import Channel
from sla.clocks import Case, Leg, ReportClock
from sla.definition import TARGET, Facts, Verdict, judge

Handler = Callable[[Any, datetime], None]


class Record:
    """Everything remembered of one region, and the handlers of lines about calls and reports."""

    def __init__(self) -> None:
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
        self.odd: Counter[str] = Counter()
        self._handlers: dict[type[ev.Event], Handler] = {
            ev.CallPresented: self._call_presented,
            ev.ReportAnswered: self._report_answered,
            ev.CallAbandoned: self._call_abandoned,
            ev.ReportSubmitted: self._report_submitted,
            ev.ReportAttached: self._report_attached,
            ev.ReportDetached: self._report_detached,
            ev.ReportDismissed: self._report_dismissed,
            ev.DuplicateSuspected: self._duplicate_suspected,
        }

    # --- settling

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

    def _settle(self, case: Case, at_best: Verdict = Verdict.ON_TIME) -> None:
        case.settled = min(judge(self.facts(case))[0], at_best, case.at_best)
        case.settled_kind = case.kind
        case.settled_zone = case.zone
        self.unsettled.pop(case.incident_id, None)
        if case.settled is not Verdict.LATE:
            case.evidence = None  # only late responses are explained; a year of candidates would fill the memory
        if self.settled_hook is not None:
            self.settled_hook(case)

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
