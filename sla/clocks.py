"""What the timeline remembers: the clocks of one report, one unit's way to one incident, and one emergency.

Plain slotted records, filled by `timeline.py` only. Times are aware, by the server's clock, and never move once written;
what a device claimed stands beside them in `device_at` and never replaces them. Plain classes rather than structs: the
fold writes a million of these fields a second.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from dispatch.events import UnitRecommended
from sla.definition import TARGET, Verdict

FIRST_RING = "first_ring"
AT_SCENE = "at_scene"


class Correction(msgspec.Struct, frozen=True):
    """Somebody says a clock was wrong. A new fact beside the old one, with author and reason; never an overwrite.

    Without effect on the figure when it would flatter: a ring can only move earlier, an arrival only later (or be voided
    with `corrected_at` None: nobody stood there).
    """

    incident_id: str
    step: str
    """`first_ring` or `at_scene`."""
    corrected_at: datetime | None
    author: str
    reason: str
    assignment_id: str | None = None


class Noted(msgspec.Struct, frozen=True):
    """A correction as recorded: what stood before and whether the figure follows it."""

    correction: Correction
    recorded_at: datetime
    before: datetime | None
    counts: bool


class Recommended(msgspec.Struct, frozen=True, gc=False):
    """What a recommendation knew, without its several hundred candidates: the chosen and the quickest of all."""

    at: datetime
    capability: str
    chosen: str | None
    chosen_eta_s: float | None
    quickest: str | None
    quickest_eta_s: float | None
    quickest_verdict: str
    approximate: bool

    @classmethod
    def of(cls, event: UnitRecommended, at: datetime) -> Recommended:
        columns = event.candidates
        etas = columns.eta_s
        best = min((i for i, eta in enumerate(etas) if eta is not None), key=lambda i: etas[i] or 0.0, default=None)
        chosen_eta_s = None
        if event.chosen is not None and event.chosen in columns.unit_ids:
            chosen_eta_s = etas[columns.unit_ids.index(event.chosen)]
        return cls(
            at,
            event.capability,
            event.chosen,
            chosen_eta_s,
            None if best is None else columns.unit_ids[best],
            None if best is None else etas[best],
            "" if best is None else columns.verdict[best],
            event.approximate,
        )


class ReportClock:
    """One call or message, from ring to form."""

    __slots__ = (
        "abandoned_at",
        "answered_at",
        "called_back_at",
        "dismissed_for",
        "first_incident",
        "incident_id",
        "is_call",
        "rang_at",
        "report_id",
        "submitted_at",
    )

    def __init__(self, report_id: str, rang_at: datetime | None, is_call: bool) -> None:
        self.report_id = report_id
        self.rang_at = rang_at
        self.is_call = is_call
        self.answered_at: datetime | None = None
        self.submitted_at: datetime | None = None
        self.abandoned_at: datetime | None = None
        self.called_back_at: datetime | None = None
        self.dismissed_for: str | None = None
        self.incident_id: str | None = None
        self.first_incident: str | None = None
        """The first it ever belonged to: an incident opened later from this report is a split."""


class Leg:
    """One unit's way to one incident: an assignment's stamps. Duck-typed on purpose: `device_at` by step, as sent."""

    __slots__ = (
        "acknowledged_at",
        "assigned_at",
        "assignment_id",
        "at_hospital_at",
        "at_patient_at",
        "at_scene_at",
        "at_scene_by",
        "by_plan",
        "capability",
        "capable",
        "delivered_at",
        "device_at",
        "diverted_from",
        "en_route_at",
        "end",
        "ended_at",
        "eta_s",
        "first",
        "geofence_at",
        "incident_id",
        "override",
        "sd_s",
        "seen_at",
        "transporting_at",
        "unit_id",
    )

    def __init__(self, assignment_id: str, incident_id: str, unit_id: str, capability: str, first: bool) -> None:
        self.assignment_id = assignment_id
        self.incident_id = incident_id
        self.unit_id = unit_id
        self.capability = capability
        self.first = first
        self.by_plan: str | None = None
        """The plan under which the engine found `first` by what the unit can do, for one that fills no place of the plan
        by name: an extra unit, or one that came along with a merge. None for all others."""
        self.capable = False
        """Its arrival stops the clock: planned as a first response and able to do what the plan wanted then, at this
        emergency or at one that was joined to it already."""
        self.eta_s: float | None = None
        self.sd_s = 0.0
        self.override = False
        self.diverted_from: str | None = None
        self.assigned_at: datetime | None = None
        self.delivered_at: datetime | None = None
        self.seen_at: datetime | None = None
        self.acknowledged_at: datetime | None = None
        self.en_route_at: datetime | None = None
        self.geofence_at: datetime | None = None
        self.at_scene_at: datetime | None = None
        self.at_scene_by = ""
        self.at_patient_at: datetime | None = None
        self.transporting_at: datetime | None = None
        self.at_hospital_at: datetime | None = None
        self.ended_at: datetime | None = None
        self.end = ""
        """`cleared`, `declined`, `unanswered` or `withdrawn`."""
        self.device_at: dict[str, datetime] | None = None


class Case:
    """One emergency as opened, with everything ever recorded about it. Duplicates are linked, never absorbed."""

    __slots__ = (
        "at_best",
        "breached_at",
        "cancel_reason",
        "cancelled_at",
        "corrections",
        "deadline_at",
        "ended_at",
        "escalated_to",
        "evidence",
        "highest_priority",
        "incident_id",
        "joined_at",
        "kind",
        "legs",
        "lon_lat",
        "members",
        "merged_into",
        "mode",
        "opened_at",
        "opened_kind",
        "opened_priority",
        "opened_ring_at",
        "plan",
        "priority",
        "recommended",
        "report_ids",
        "required",
        "ring_at",
        "risks",
        "settled",
        "settled_kind",
        "settled_zone",
        "short",
        "split_off",
        "suspected_of",
        "taken_on",
        "version",
        "wanted",
        "zone",
    )

    def __init__(self, incident_id: str, ring_at: datetime | None, opened_at: datetime | None) -> None:
        self.incident_id = incident_id
        self.opened_ring_at = ring_at or opened_at
        """Which day it belongs to. Never moves, so that a figure cannot be improved by moving a late one to yesterday."""
        self.ring_at = ring_at
        self.opened_at = opened_at
        self.deadline_at = None if ring_at is None else ring_at + TARGET
        self.priority = 3
        self.highest_priority = 3
        self.kind = self.opened_kind = ""
        self.opened_priority = 3
        self.zone: str | None = None
        self.plan = ""
        self.mode = ""
        self.lon_lat: tuple[float, float] | None = None
        self.required: list[str] = []
        self.wanted: frozenset[str] = frozenset()
        self.report_ids: list[str] = []
        self.legs: list[Leg] = []
        self.members: list[Case] = []
        self.merged_into: Case | None = None
        self.joined_at: datetime | None = None
        """When another was last merged into it."""
        self.split_off = False
        self.suspected_of: str | None = None
        self.settled: Verdict | None = None
        self.at_best = Verdict.ON_TIME
        """The best it can still be settled as."""
        self.settled_kind: str | None = None
        self.settled_zone: str | None = None
        self.cancelled_at: datetime | None = None
        self.cancel_reason = ""
        self.ended_at: datetime | None = None
        self.breached_at: datetime | None = None
        self.recommended: list[Recommended] = []
        self.evidence: UnitRecommended | None = None
        """The first recommendation with every candidate and position, kept for late responses so that they can be replayed."""
        self.risks: list[tuple[datetime, float, float | None]] = []
        """(when warned, chance, gain in s of the remedy) of every `response_at_risk`."""
        self.taken_on: list[datetime] = []
        """When somebody said they take a warning on."""
        self.escalated_to = 0
        """Highest rung of the ladder that heard of a warning because nobody below took it on; 0 = none."""
        self.short: list[tuple[datetime, str]] = []
        self.corrections: list[Noted] = []
        self.version = 0

    def root(self) -> Case:
        case = self
        while case.merged_into is not None:
            case = case.merged_into
        return case

    def cluster(self) -> list[Case]:
        """Itself and every duplicate merged into it, through any depth."""
        if not self.members:
            return [self]
        found = [self]
        for case in found:
            found.extend(case.members)
        return found

    def first_ring_at(self) -> datetime | None:
        """Earliest ring of all its reports and duplicates."""
        if not self.members:
            return self.ring_at
        return min((c.ring_at for c in self.cluster() if c.ring_at is not None), default=None)

    def first_leg(self) -> Leg | None:
        """The leg whose arrival stops the clock: the earliest capable one of the whole cluster."""
        best: Leg | None = None
        best_at: datetime | None = None
        for case in self.cluster():
            for leg in case.legs:
                at = leg.at_scene_at
                if leg.capable and at is not None and (best_at is None or at < best_at):
                    best, best_at = leg, at
        return best

    def was_priority_1(self) -> bool:
        return any(c.highest_priority == 1 for c in self.cluster())
