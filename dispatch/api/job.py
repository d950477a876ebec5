"""What a unit's device is told: the whole present of its unit, its job and, by need to know, the incident."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from dispatch import triage
from dispatch.api.problems import Problem
from dispatch.fold import State
from dispatch.model import Assignment, AssignmentState, Incident, Place, Unit
from dispatch.plans import alternatives
from dispatch.region import Region
from geo.router import straight_line_m

PREMISES_MAX = 3
"""More would push the caller's words off the screen."""
PLACE_BLUR_M_MAX = 100.0
"""A report that is vaguer than a block says nothing about a single house."""


class Fact(msgspec.Struct):
    """One triage question and what the caller answered, in both languages."""

    question_id: str
    question_en: str
    answer_id: str
    answer_en: str


class PremiseNote(msgspec.Struct):
    """What is known about the place itself, whoever calls from it."""

    name: str
    note_id: str
    note_en: str


class Destination(msgspec.Struct):
    """A hospital, and the drive there where it is known."""

    hospital_id: str
    name: str
    lon: float
    lat: float
    emergency: bool
    eta_s: float | None = None
    units_there: int = 0
    """Other units of this region that stand there now with a patient not handed over."""
    units_coming: int = 0
    """Others on their way there."""
    waited_s: float | None = None
    """How long the longest of those has been there."""


class AboutPlace(msgspec.Struct):
    """What is known about a place beforehand. `kind`: hazard, premise, water."""

    note_id: str
    kind: str
    text_id: str
    text_en: str
    distance_m: float | None = None


class JobIncident(msgspec.Struct):
    """The incident as its crew needs it; nothing of the caller but their words."""

    incident_id: str
    kind: str
    kind_name: str
    kind_name_en: str
    medical: bool
    priority: int
    place: Place
    first_ring_at: datetime
    deadline: datetime
    state: str
    zone: str | None
    descriptions: list[str]
    triage: dict[str, str]
    facts: list[Fact]
    notes: list[str]
    patients: int | None
    units: list[str]
    premises: list[PremiseNote] = []
    place_notes: list[AboutPlace] = []
    """Hazards first, then the nearest."""


class Job(msgspec.Struct):
    assignment: Assignment
    incident: JobIncident
    hospital: Destination | None


class Waiting(msgspec.Struct):
    """An open incident that lacks a unit like this one. Not its job: who is sent is decided when a unit is free."""

    incident_id: str
    kind_name: str
    kind_name_en: str
    priority: int
    address: str
    first_ring_at: datetime


class Feed(msgspec.Struct):
    """`hello` on connecting, `job` on every change of this unit, its job or its incident.

    `ring`: this device should make itself heard now. `waiting`: the most urgent incident that lacks a unit like this one, told
    to a unit that is in a job and so cannot be given it yet. `roads` changes whenever a road is closed, slowed or opened again.
    """

    type: str
    seq: int
    at: datetime
    unit: Unit
    job: Job | None
    ring: bool
    roads: str
    waiting: Waiting | None = None


def feed_of(services: Any, unit_id: str, kind: str, device: str = "") -> Feed:
    """The whole present of one unit: a device that has this needs nothing it may have missed. Raises Problem."""
    state: State = services.live.hub.state
    unit = state.units.get(unit_id)
    if unit is None:
        raise Problem("unknown_unit", "unit_id")
    job, ring = None, False
    if unit.assignment_id is not None:
        a = state.assignments[unit.assignment_id]
        incident = state.incidents[a.incident_id]
        job = Job(
            assignment=a,
            incident=_incident(services, state, incident),
            hospital=_hospital(services.region, a.hospital_id),
        )
        ring = a.state is AssignmentState.ALERTED and _rings(list(services.feeds.get(unit_id, ())), device, a.alerts)
    return Feed(
        type=kind,
        seq=state.seq,
        at=services.clock.now(),
        unit=msgspec.structs.replace(unit, position=None),
        job=job,
        ring=ring,
        roads=roads_of(state),
        waiting=waiting_for(services.region, state, unit),
    )


def waiting_for(region: Region, state: State, unit: Unit) -> Waiting | None:
    """What may come next for a unit in a job: shown beside it, never instead of it. None for a unit that can be sent now."""
    if unit.assignment_id is None:
        return None
    own = state.assignments[unit.assignment_id].incident_id
    first: Incident | None = None
    for incident_id in state.short_ids:  # in a surge thousands: the cheap question first
        i = state.incidents[incident_id]
        if first is not None and (i.priority, i.first_ring_at) >= (first.priority, first.first_ring_at):
            continue
        if (
            i.confirmed
            and incident_id != own
            and any(not unit.capabilities.isdisjoint(alternatives(slot)) for slot in i.unfilled)
        ):
            first = i
    if first is None:
        return None
    named = region.kinds.get(first.kind)
    return Waiting(
        incident_id=first.incident_id,
        kind_name=named.name_id if named is not None else first.kind,
        kind_name_en=named.name_en if named is not None else first.kind,
        priority=first.priority,
        address=first.place.address or "",
        first_ring_at=first.first_ring_at,
    )


def _rings(connected: list[str], device: str, alerts: int) -> bool:
    """The ladder inside one vehicle: the device that has been connected longest rings first, the other one from the second
    alert on, or at once when the first has lost its line. A device that only polls always rings.
    """
    return alerts > 1 or device not in connected or connected[0] == device


def roads_of(state: State) -> str:
    return f"{state.restriction_count}/{len(state.restrictions)}"


def _incident(services: Any, state: State, incident: Incident) -> JobIncident:
    region: Region = services.region
    named = region.kinds.get(incident.kind)
    return JobIncident(
        incident_id=incident.incident_id,
        kind=incident.kind,
        kind_name=named.name_id if named is not None else incident.kind,
        kind_name_en=named.name_en if named is not None else incident.kind,
        medical=named is not None and named.medical,
        priority=incident.priority,
        place=incident.place,
        first_ring_at=incident.first_ring_at,
        deadline=services.live.deadline(incident),
        state=str(incident.state),
        zone=incident.zone,
        descriptions=[
            state.reports[r].description
            for r in incident.report_ids
            if r in state.reports and state.reports[r].description
        ],
        triage=incident.triage,
        facts=facts_of(region, incident),
        notes=incident.notes,
        patients=incident.patients,
        units=[x.unit_id for x in state.active_of(incident)],
        premises=premises_of(region, incident.place),
        place_notes=about_place(services, incident.place.lon, incident.place.lat),
    )


def premises_of(region: Region, place: Place) -> list[PremiseNote]:
    """Notes of the premises around a place, the nearest first; the place's own blur counts, for a missed warning costs more."""
    near = []
    for premise in region.premises.values():
        off_m = straight_line_m(place.lon, place.lat, premise.lon, premise.lat)
        if off_m <= premise.radius_m + min(place.accuracy_m or 0.0, PLACE_BLUR_M_MAX):
            near.append((off_m, premise.code, PremiseNote(premise.name, premise.note_id, premise.note_en)))
    return [note for _, _, note in sorted(near, key=lambda n: n[:2])[:PREMISES_MAX]]


PLACE_NOTES_MAX = 8
"""A screenful; the hazards come first, the nearest before the others."""


def about_place(services: Any, lon: float, lat: float) -> list[AboutPlace]:
    """Hazards and premise notes whose radius covers a point."""
    if services.site is None:
        return []
    found = [
        AboutPlace(note_id, note.kind, note.text_id, note.text_en, round(metres))
        for note_id, metres, note in services.site.notes.at(lon, lat)
    ]
    found.sort(key=lambda n: n.kind != "hazard")
    return found[:PLACE_NOTES_MAX]


def facts_of(region: Region, incident: Incident) -> list[Fact]:
    """The triage answers in words, in the order of the questions."""
    questions = triage.question_set(region, incident.kind)
    facts = []
    for q in questions.questions if questions is not None else ():
        chosen = next((a for a in q.answers if a.code == incident.triage.get(q.code)), None)
        if chosen is not None:
            facts.append(Fact(q.text_id, q.text_en, chosen.name_id, chosen.name_en))
    return facts


def _hospital(region: Region, code: str | None) -> Destination | None:
    hospital = region.hospitals.get(code or "")
    if hospital is None:
        return None
    return Destination(hospital.code, hospital.name, hospital.lon, hospital.lat, hospital.emergency)
