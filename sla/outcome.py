"""One emergency as a row: its verdict, its times, and where each second between ring and arrival went.

Phases are differences of consecutive stamps of the report that rang first and the unit that arrived first, held inside
[first ring, arrival], so they sum *exactly* (to the microsecond) to the response time. A step without a stamp has no
phase of its own (None); its seconds stand in the next recorded phase, because nobody knows how they divide.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from sla.clocks import Case, Leg
from sla.definition import Verdict, Why
from sla.timeline import Timeline

PHASES = ("answer", "entry", "decision", "alert", "acknowledgement", "turnout", "travel")
"""Ring -> answered -> incident open -> unit assigned -> alert on its device -> accepted -> wheels rolling -> at scene."""
PHASE_NAMES: dict[str, tuple[str, str]] = {
    "answer": ("Mengangkat telepon", "Answering"),
    "entry": ("Mencatat laporan", "Entry"),
    "decision": ("Memilih unit", "Decision"),
    "alert": ("Perintah sampai", "Alert"),
    "acknowledgement": ("Kru menerima", "Acknowledgement"),
    "turnout": ("Kru berangkat", "Turnout"),
    "travel": ("Perjalanan", "Travel"),
    "to_patient": ("Ke sisi pasien", "To the patient"),
}
PHASE_BUDGET_S: dict[str, float] = {
    "answer": 10.0,  # NFPA 1225 (2022): 90 % answered within 10 s
    "entry": 45.0,  # with decision and alert: NFPA 1225's 60 s of processing in 90 %
    "decision": 10.0,
    "alert": 5.0,
    "acknowledgement": 20.0,  # with turnout and alert: NFPA 1710's 60 s turnout (medical)
    "turnout": 40.0,
    "travel": 290.0,  # what is left of 420 s
}
"""How the 420 s are meant to be spent; sums to the target. Ours, from the standards named; a region may set its own."""


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """A finished or running emergency, flat, for statistics and exports. Seconds; None = not recorded."""

    incident_id: str
    day_ring_at: datetime | None
    """The ring it was opened with: which day it belongs to."""
    first_ring_at: datetime | None
    """Earliest ring of all its reports and duplicates: where the clock starts."""
    verdict: str
    why: str
    priority: int
    kind: str
    zone: str | None
    plan: str
    mode: str
    response_s: float | None
    """First ring to first capable unit at scene."""
    first_unit: str | None
    transport_s: float | None
    """First ring to first unit that can carry a patient."""
    full_s: float | None
    """First ring to the last unit the plan wanted."""
    geofence_s: float | None
    """First ring to the earliest geofence arrival of any unit: evidence beside the button."""
    device_s: float | None
    """First ring to the arrival as the first unit's own device timed it."""
    to_patient_s: float | None
    phases: dict[str, float | None]
    legs: int
    recalled: int
    """Units that were sent and called back before they arrived."""
    overrides: int
    duplicates: int
    suspected_of: str | None
    corrections: int
    warned_at: datetime | None
    at_scene_by: str


def phases(case: Case, timeline: Timeline) -> dict[str, float | None]:
    """Seconds of each phase; those that are not None sum to the response time. Empty without a valid arrival."""
    leg, start = case.first_leg(), case.first_ring_at()
    if leg is None or start is None or leg.at_scene_at is None or leg.at_scene_at < start:
        return {}
    arrival = leg.at_scene_at
    cluster = case.cluster()
    reports = [timeline.reports[r] for c in cluster for r in c.report_ids if r in timeline.reports]
    answered = min((r.answered_at for r in reports if r.answered_at is not None), default=None)
    opened = min((c.opened_at for c in cluster if c.opened_at is not None), default=None)
    stamps = (
        answered,
        opened,
        leg.assigned_at,
        leg.delivered_at,
        leg.acknowledged_at,
        leg.en_route_at,
        arrival,
    )
    found: dict[str, float | None] = {}
    before, total = start, timedelta()
    for name, stamp in zip(PHASES, stamps, strict=True):
        if stamp is None:
            found[name] = None
            continue
        held = min(max(stamp, before), arrival)
        found[name] = (held - before) / timedelta(seconds=1)
        total += held - before
        before = held
    if total != arrival - start:
        raise AssertionError(f"phases of {case.incident_id} do not sum to its response time")
    return found


def full_at(case: Case) -> datetime | None:
    """When the last unit the plan wanted stood there: each arrival fills the first open place it can; None if never."""
    if not case.required:
        return None
    places = list(case.required)
    arrived = sorted(
        ((leg.at_scene_at, leg.capability) for c in case.cluster() for leg in c.legs if leg.at_scene_at is not None),
        key=lambda pair: pair[0],
    )
    for at, capability in arrived:
        can = capability.split("|")
        place = next((p for p in places if not set(p.split("|")).isdisjoint(can)), None)
        if place is not None:
            places.remove(place)
            if not places:
                return at
    return None


def _since(start: datetime | None, at: datetime | None) -> float | None:
    return None if start is None or at is None else (at - start) / timedelta(seconds=1)


def outcome(case: Case, timeline: Timeline, now: datetime | None) -> Outcome:
    """The row of one case at `now` (None: long after). Grouped by the kind and zone it had when it was settled."""
    verdict, why = timeline.verdict(case, now)
    return row(case, timeline, verdict, why)


def row(case: Case, timeline: Timeline, verdict: Verdict, why: Why) -> Outcome:
    start, first = case.first_ring_at(), case.first_leg()
    legs: list[Leg] = [leg for c in case.cluster() for leg in c.legs]
    carriers = timeline.transport_units
    transport = min(
        (leg.at_scene_at for leg in legs if leg.at_scene_at is not None and leg.unit_id in carriers), default=None
    )
    geofence = min((leg.geofence_at for leg in legs if leg.geofence_at is not None), default=None)
    device = None if first is None or first.device_at is None else first.device_at.get("at_scene")
    return Outcome(
        incident_id=case.incident_id,
        day_ring_at=case.opened_ring_at,
        first_ring_at=start,
        verdict=verdict.name.lower(),
        why=str(why),
        priority=1 if case.was_priority_1() else case.highest_priority,
        kind=case.settled_kind or case.kind,
        zone=case.settled_zone or case.zone,
        plan=case.plan,
        mode=case.mode,
        response_s=None if first is None else _since(start, first.at_scene_at),
        first_unit=None if first is None else first.unit_id,
        transport_s=_since(start, transport),
        full_s=_since(start, full_at(case)),
        geofence_s=_since(start, geofence),
        device_s=_since(start, device),
        to_patient_s=None if first is None else _since(first.at_scene_at, first.at_patient_at),
        phases=phases(case, timeline),
        legs=len(legs),
        recalled=sum(leg.end == "withdrawn" for leg in legs),
        overrides=sum(leg.override for leg in legs),
        duplicates=len(case.members),
        suspected_of=case.suspected_of,
        corrections=len(case.corrections),
        warned_at=case.risks[0][0] if case.risks else None,
        at_scene_by="" if first is None else first.at_scene_by,
    )
