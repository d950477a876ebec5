"""A planning round: shows the present to the policy, turns its choices into events with every candidate and reason.

Called by the engine when something changed that could make another sending better. The policy decides who; this module
decides nothing but bookkeeping: who leaves which job, what is still missing and when it is tried again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dispatch import events as ev
from dispatch import plans, prediction
from dispatch.model import COMING_STATES, AssignmentState, Incident, Position, Unit, UnitState
from dispatch.policies.view import Arrival, Choice, Need
from dispatch.region import PRE_ALERT, Region
from geo.router import DETOUR_FACTOR, LIGHTS, STRAIGHT_LINE_SPEED_KMH, FloatArray, straight_line_m

if TYPE_CHECKING:
    from dispatch.engine import Engine

ROLLING_TURNOUT_S = 5.0
"""A crew already in a moving vehicle only turns the wheel."""
AT_POST_M = 150.0
"""A unit this near its post stands there: the size of a compound and the error of a fix between houses."""

VERDICTS: Mapping[str, tuple[str, str]] = {
    "chosen": ("Dipilih", "Chosen"),
    "slower": ("Lebih lambat dari yang dipilih", "Slower than the chosen unit"),
    "needed_elsewhere": ("Lebih dekat, tetapi dikirim ke kejadian lain", "Nearer, but sent to another incident"),
    "coverage": ("Lebih dekat, tetapi wilayahnya akan kosong", "Nearer, but its area would be left uncovered"),
    "declined": ("Sudah menolak atau tidak menjawab", "Declined or did not answer"),
    "unreachable": ("Tidak ada jalan ke lokasi", "No road leads there"),
}

_STAGES = {
    AssignmentState.ALERTED: "coming",
    AssignmentState.ACKNOWLEDGED: "coming",
    AssignmentState.EN_ROUTE: "coming",
    AssignmentState.AT_SCENE: "scene",
    AssignmentState.TRANSPORTING: "transport",
    AssignmentState.AT_HOSPITAL: "hospital",
}

Pools = dict[str, tuple[list[str], FloatArray]]
"""Unit ids and their turnout, seconds, by the mode they drive in."""
S_PER_M = DETOUR_FACTOR * 3.6 / STRAIGHT_LINE_SPEED_KMH[LIGHTS]
"""For a place no road leads to: the straight-line router's own pace."""


class Spot(NamedTuple):
    """Of a unit's fix and post: whether it is away from the post, and the fix to a metre."""

    position: Position | None
    post: str | None
    away: bool
    lon: float
    lat: float


class EngineView:
    """`policies.view.View` over an engine's present state. Made anew each round; computes lists once."""

    def __init__(self, engine: Engine, at: datetime) -> None:
        self._engine = engine
        self.at = at
        self.region: Region = engine.region
        self.units: Mapping[str, Unit] = engine.state.units
        self.incidents: Mapping[str, Incident] = engine.state.incidents
        self.somebody_freed = engine.state.freed_at == at
        self._open: list[Need] | None = None
        self._coming: list[Need] | None = None
        self._may_divert: frozenset[str] | None = None
        self._free: list[str] | None = None
        self._posted: dict[str, float] = {}
        self._sorted_out: dict[int, tuple[Sequence[str] | None, dict[str, Pools]]] = {}
        """By identity of the list, which is kept so that no other can take its place."""
        self.stirred_agencies: frozenset[str] = frozenset()
        self._hour = engine.local_hour(at)

    def open_needs(self) -> Sequence[Need]:
        if self._open is None:
            waiting = self._engine.waiting
            self._open = waiting.fillable(self._engine.state.free_capabilities(), self._divertible) if waiting else []
        return self._open

    def _divertible(self) -> frozenset[str]:
        if self._may_divert is None:
            less_urgent = (n.coming for n in self.coming_needs() if n.priority > 1)
            self._may_divert = frozenset().union(*(self.units[u].capabilities for u in less_urgent if u is not None))
        return self._may_divert

    def coming_needs(self) -> Sequence[Need]:
        if self._coming is None:
            self._coming = self._engine.waiting.coming()
        return self._coming

    def need(self, incident: Incident, slot: str, first: bool, coming: str | None, since: datetime | None) -> Need:
        return Need(
            incident_id=incident.incident_id,
            slot=slot,
            capabilities=plans.alternatives(slot),
            priority=incident.priority,
            lon=incident.place.lon,
            lat=incident.place.lat,
            rang_at=incident.first_ring_at,
            deadline_at=self._engine.deadline(incident),
            first=first,
            clock_runs=incident.first_capable_at_scene_at is None,
            coming=coming,
            coming_since=since,
        )

    def free_units(self) -> Sequence[str]:
        if self._free is None:
            self._free = sorted(self._engine.state.free_ids)
        return self._free

    def excluded(self, need: Need) -> frozenset[str]:
        return self._engine.excluded(need.incident_id)

    def turnout_s(self, unit: Unit) -> float:
        """Alert to wheels rolling: by what the unit is doing and, at its post, by the hour (night 22-06)."""
        posted_s = self._posted_turnout_s(unit)
        rolling_s = min(ROLLING_TURNOUT_S, posted_s)
        if unit.assignment_id is not None:
            a = self._engine.state.assignments[unit.assignment_id]
            if a.state in (AssignmentState.ALERTED, AssignmentState.ACKNOWLEDGED) and not self.away(unit):
                return max(rolling_s, posted_s - (self.at - a.assigned_at).total_seconds())
            return rolling_s
        return rolling_s if self.away(unit) else posted_s

    def away(self, unit: Unit) -> bool:
        """Whether a free crew is in its vehicle: on the way to its post, or just done somewhere else."""
        return self._spot(unit).away

    def _spot(self, unit: Unit) -> Spot:
        """What follows from a unit's fix and its post, worked out once for each."""
        spot = self._engine.spots.get(unit.unit_id)
        if spot is None or spot.position is not unit.position or spot.post != unit.post:
            p = unit.position
            if p is None:
                spot = Spot(None, unit.post, False, 0.0, 0.0)
            else:
                away = False
                if unit.post is not None:
                    post = self.region.posts[unit.post]
                    away = straight_line_m(p.lon, p.lat, post.lon, post.lat) > AT_POST_M
                spot = Spot(p, unit.post, away, round(p.lon, 5), round(p.lat, 5))
            self._engine.spots[unit.unit_id] = spot
        return spot

    def _posted_turnout_s(self, unit: Unit) -> float:
        posted_s = self._posted.get(unit.unit_type)
        if posted_s is None:
            kind = self.region.unit_types[unit.unit_type]
            posted_s = kind.turnout_night_s if self._hour >= 22 or self._hour < 6 else kind.turnout_day_s
            self._posted[unit.unit_type] = posted_s
        return posted_s

    def arrivals(self, need: Need, unit_ids: Sequence[str] | None = None, k: int | None = None) -> Sequence[Arrival]:
        without = self.excluded(need)
        if need.coming is not None:
            without -= {need.coming}  # it is asked about its own place, to be compared with the others
        pools = self._pools(unit_ids, need.slot)
        found: list[tuple[float, str, float]] = []
        members: list[str] = []
        for mode, (ids, turnout_s) in pools.items():
            if not without.isdisjoint(ids):
                kept = [i for i, unit_id in enumerate(ids) if unit_id not in without]
                ids, turnout_s = [ids[i] for i in kept], turnout_s[kept]
            if ids:
                members += ids
                travel_mode = self._engine.travel_mode(mode, need.priority)
                travel_s = self._engine.fleet.seconds_to(need.lon, need.lat, travel_mode, ids)
                found += _soonest(ids, travel_s, turnout_s, k)
        if not found:
            return self._straight(need, members)[:k]
        found.sort()
        return [Arrival(unit_id, eta_s, turnout_s) for eta_s, unit_id, turnout_s in found[:k]]

    def _pools(self, unit_ids: Sequence[str] | None, slot: str) -> Pools:
        """Those of the list (None: the free) that can fill such a place, sorted out once a round for each list."""
        asked, by_slot = self._sorted_out.setdefault(id(unit_ids), (unit_ids, {}))
        pools = by_slot.get(slot)
        if pools is None:
            able = self._engine.able(slot)
            if asked is None:
                members = [unit for unit in able if unit.state is UnitState.AVAILABLE]
            else:
                wanted = set(asked)
                members = [unit for unit in able if unit.unit_id in wanted]
            pools = by_slot[slot] = self._pool(members)
        return pools

    def _pool(self, members: Sequence[Unit]) -> Pools:
        by_mode: dict[str, tuple[list[str], list[float]]] = {}
        for unit in members:
            ids, turnout_s = by_mode.setdefault(unit.mode, ([], []))
            ids.append(unit.unit_id)
            turnout_s.append(self.turnout_s(unit))
        return {mode: (ids, np.array(turnout_s)) for mode, (ids, turnout_s) in by_mode.items()}

    def _straight(self, need: Need, members: list[str]) -> list[Arrival]:
        """Nobody gets there by road: who is nearest in a straight line, so that somebody goes and a person can judge."""
        found = []
        for unit_id in members:
            unit = self.units[unit_id]
            if unit.position is not None:
                metres = straight_line_m(unit.position.lon, unit.position.lat, need.lon, need.lat)
                eta_s = round(self.turnout_s(unit) + S_PER_M * metres, 1)
                found.append(Arrival(unit_id, eta_s, self.turnout_s(unit), by_road=False))
        found.sort(key=lambda arrival: (arrival.eta_s, arrival.unit_id))
        return found

    def place(self, unit_id: str) -> tuple[float, float, float | None]:
        """(lon, lat, age in seconds) of a unit's last fix to a metre and a tenth; zeros and None without one."""
        spot = self._spot(self.units[unit_id])
        if spot.position is None:
            return 0.0, 0.0, None
        return spot.lon, spot.lat, round((self.at - spot.position.fixed_at).total_seconds(), 1)

    def busy_stage(self, unit_id: str) -> str | None:
        assignment_id = self.units[unit_id].assignment_id
        return None if assignment_id is None else _STAGES[self._engine.state.assignments[assignment_id].state]

    def incident_of(self, unit_id: str) -> Incident | None:
        assignment_id = self.units[unit_id].assignment_id
        if assignment_id is None:
            return None
        return self._engine.state.incidents[self._engine.state.assignments[assignment_id].incident_id]

    def hospital_of(self, unit_id: str) -> str | None:
        assignment_id = self.units[unit_id].assignment_id
        return None if assignment_id is None else self._engine.state.assignments[assignment_id].hospital_id

    def moves_left(self, unit_id: str) -> int:
        """A rolling crew may be sent elsewhere at any time; one that stands has a limited number of moves."""
        if self.away(self.units[unit_id]):
            return self.region.limits.move_ups_per_duty
        return max(0, self.region.limits.move_ups_per_duty - self.units[unit_id].moves_today)


def _soonest(
    ids: list[str], travel_s: FloatArray, turnout_s: FloatArray, k: int | None
) -> list[tuple[float, str, float]]:
    """(eta, unit, turnout) of the units that get there, seconds to the millisecond; the k first, and those level with them."""
    eta_s = np.round(travel_s + turnout_s, 3)
    if k is not None and k < len(ids):
        kept = np.flatnonzero((eta_s <= np.partition(eta_s, k - 1)[k - 1]) & (eta_s < np.inf))
    else:
        kept = np.flatnonzero(eta_s < np.inf)
    return [(float(eta_s[i]), ids[i], float(turnout_s[i])) for i in kept.tolist()]


def look(engine: Engine, at: datetime) -> dict[str, None]:
    """File the places of every incident that something has happened to since the last round; returns those incidents.

    What changes a place, or whether somebody is coming for it, touches its incident too (`State._incident`).
    """
    state, waiting = engine.state, engine.waiting
    view = EngineView(engine, at)
    stirred, state.stirred = state.stirred, {}
    for incident_id in stirred:
        needs: list[Need] = []
        waiting.unconfirmed.pop(incident_id, None)
        coming: list[Need] = []
        if incident_id in state.open_ids:
            incident = state.incidents[incident_id]
            coming = [
                view.need(incident, a.capability, a.first, a.unit_id, a.assigned_at)
                for a in map(state.assignments.__getitem__, incident.assignment_ids)
                if a.state in COMING_STATES and not a.by_hand
            ]
        if incident_id in state.short_ids:
            missing = incident.unfilled
            if not incident.confirmed:
                waiting.unconfirmed[incident_id] = None
                nobody_yet = incident.mode == PRE_ALERT and len(missing) == len(incident.required)
                missing = missing[:1] if nobody_yet else []  # the likely first unit is alerted while questions go on
            if missing:
                flags = engine.first_flags(incident)
                needs = [view.need(incident, slot, flags.get(slot, False), None, None) for slot in missing]
        waiting.put(incident_id, needs, coming)
    return stirred


def assign_round(engine: Engine, at: datetime) -> list[ev.AnyEvent]:
    """One round of the policy's `assign`: recommendations, diversions, assignments, and what stays missing."""
    stirred = look(engine, at)
    view = EngineView(engine, at)
    choices = engine.policy.assign(view)
    events: list[ev.AnyEvent] = []
    state = engine.state
    leaving: dict[str, str] = {}
    for choice in choices:
        target = choice.incident_id
        for unit_id in (choice.unit_id, choice.replaces):
            assignment_id = state.units[unit_id].assignment_id if unit_id is not None else None
            if unit_id is not None and assignment_id is not None and unit_id not in leaving:
                a = state.assignments[assignment_id]
                leaving[unit_id] = assignment_id
                why = f"dialihkan ke {target}" if unit_id == choice.unit_id else f"digantikan {choice.unit_id}"
                events.append(
                    ev.UnitWithdrawn(
                        assignment_id=assignment_id, unit_id=unit_id, incident_id=a.incident_id, reason=why
                    )
                )
    taken = frozenset(choice.unit_id for choice in choices)
    numbers: dict[str, int] = {}
    for choice in choices:
        incident = state.incidents[choice.incident_id]
        unit = state.units[choice.unit_id]
        first = engine.first_flags(incident).get(choice.slot, False)
        need = view.need(incident, choice.slot, first, None, None)
        events.append(_recommendation(engine, view, need, choice, taken))
        numbers[incident.incident_id] = numbers.get(incident.incident_id, 0) + 1
        events.append(
            engine.assigned(
                incident,
                unit,
                choice.slot,
                first,
                at,
                number=numbers[incident.incident_id],
                eta_s=choice.eta_s,
                reason=choice.why,
                diverted_from=leaving.get(choice.unit_id),
            )
        )
    looked_at = {**stirred, **dict.fromkeys(need.incident_id for need in view.open_needs())}
    return events + _still_short(engine, at, looked_at, choices)


def _still_short(
    engine: Engine, at: datetime, looked_at: Iterable[str], choices: Sequence[Choice]
) -> list[ev.AnyEvent]:
    """Say what stays missing of these incidents' plans, unless it has been said already: then it is tried again quietly."""
    filled: dict[str, list[str]] = {}
    for choice in choices:
        filled.setdefault(choice.incident_id, []).append(choice.slot)
    state = engine.state
    events: list[ev.AnyEvent] = []
    sentences: dict[tuple[str, ...], str] = {}
    for incident_id in looked_at:
        missing = engine.waiting.slots_of(incident_id)
        for slot in filled.get(incident_id, ()):
            if slot in missing:
                missing.remove(slot)
        if not missing or state.short_of.get(incident_id) == missing:
            continue
        why = sentences.get(tuple(missing))
        if why is None:
            why = plans.shortfall(engine.region, missing, engine.able)
            sentences[tuple(missing)] = why
        events.append(ev.PlanShort(incident_id=incident_id, missing=missing, why=why, retry_at=engine.retry_at(at)))
    return events


def recommend_unconfirmed(engine: Engine, at: datetime) -> list[ev.AnyEvent]:
    """For plans that wait for a person: who would go, so that the yes is one key away."""
    view = EngineView(engine, at)
    events: list[ev.AnyEvent] = []
    state = engine.state
    for incident_id in engine.waiting.unconfirmed:
        if incident_id in state.recommended:
            continue
        incident = state.incidents[incident_id]
        flags = engine.first_flags(incident)
        taken: set[str] = set()
        for slot in incident.unfilled:
            if state.free_capabilities().isdisjoint(plans.alternatives(slot)):
                continue
            need = view.need(incident, slot, flags.get(slot, False), None, None)
            soonest = next((a for a in view.arrivals(need) if a.unit_id not in taken), None)
            if soonest is None:
                continue
            taken.add(soonest.unit_id)
            choice = Choice(incident_id=incident_id, slot=slot, unit_id=soonest.unit_id, eta_s=soonest.eta_s)
            events.append(_recommendation(engine, view, need, choice, frozenset(taken)))
    return events


def _recommendation(
    engine: Engine, view: EngineView, need: Need, choice: Choice, taken: frozenset[str]
) -> ev.UnitRecommended:
    """Every free capable unit with its figures, exactly by road. `limits.candidates_max` cuts the list short (simulations)."""
    bound = engine.region.limits.candidates_max
    arrivals = list(choice.candidates)
    if bound is None or not arrivals:
        known = {a.unit_id for a in arrivals}
        arrivals += [a for a in view.arrivals(need, k=bound) if a.unit_id not in known]
    if all(a.unit_id != choice.unit_id for a in arrivals):
        arrivals.append(Arrival(choice.unit_id, choice.eta_s))
    arrivals.sort(key=lambda a: (a.unit_id != choice.unit_id, a.eta_s, a.unit_id))
    left_s = (need.deadline_at - view.at).total_seconds()
    verdicts = []
    for arrival in arrivals:
        if arrival.unit_id == choice.unit_id:
            verdict = "chosen"
        elif arrival.eta_s >= choice.eta_s:
            verdict = "slower"
        else:
            verdict = "needed_elsewhere" if arrival.unit_id in taken else "coverage"
        verdicts.append(verdict)
    places = [view.place(a.unit_id) for a in arrivals]
    eta_s = np.array([a.eta_s for a in arrivals])
    travel_s = eta_s - np.array([a.turnout_s for a in arrivals])
    cv = engine.state.trips.cvs_of(travel_s, engine.local_hour(view.at))
    columns = ev.Candidates(
        unit_ids=[a.unit_id for a in arrivals],
        eta_s=np.round(eta_s, 1).tolist(),
        chance=prediction.chances_within(left_s, eta_s, travel_s, cv),
        verdict=verdicts,
        lon=[p[0] for p in places],
        lat=[p[1] for p in places],
        fix_age_s=[p[2] for p in places],
        exact=sum(a.by_road for a in arrivals),
    )
    return ev.UnitRecommended(
        incident_id=need.incident_id,
        capability=need.slot,
        chosen=choice.unit_id,
        candidates=columns,
        policy=engine.policy.name,
        router=engine.router.name,
        approximate=engine.router.approximate,
    )


def relocate_round(engine: Engine, at: datetime) -> list[ev.AnyEvent]:
    """One round of the policy's `relocate`; crews over their limit are left alone, and so is who was kept by a dispatcher. Where the
    region gives the room time to say no, a move is only suggested now.
    """
    view = EngineView(engine, at)
    view.stirred_agencies, engine.state.stirred_agencies = frozenset(engine.state.stirred_agencies), {}
    wait_s = engine.region.limits.move_up_wait_s
    events: list[ev.AnyEvent] = []
    for move in engine.policy.relocate(view):
        unit = engine.state.units[move.unit_id]
        asked = unit.move_up
        again = asked is not None and asked.post == move.post and at < asked.due_at
        if view.moves_left(unit.unit_id) <= 0 or unit.post == move.post or again:
            continue
        gain, standing = round(move.gain, 5), not view.away(unit)
        if wait_s > 0:
            due_at = at + timedelta(seconds=wait_s)
            suggested = ev.MoveSuggested(unit.unit_id, move.post, due_at, gain, engine.policy.name, standing)
            events.append(suggested)
        else:
            events.append(ev.MoveOrdered(unit.unit_id, move.post, gain, engine.policy.name, standing))
    return events
