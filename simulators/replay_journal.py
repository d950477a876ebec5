"""`siaga replay-journal`: a recorded day again. What would another policy have decided, and how would the day have gone?

Two questions, kept apart because they are answered with different certainty:

*Decisions.* The journal is folded line by line. Wherever the engine sent somebody, the fleet is put where the recommendation
says it stood (fixes are not journaled, but every candidate's place is), and each policy is asked on the very state the
decision was made in. The region's own policy should answer as it did then; where it does not, something the recommendation
did not keep had its part, so that row is the error of the method.

*The day.* The emergencies of the journal, with the call taking, scene and hospital times that were recorded, are run
through the simulated world under each policy. Crews there drive as the road graph says, so the recorded day stands beside
it and not among it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

import msgspec
import numpy as np

from dispatch import events as ev
from dispatch.engine import Engine
from dispatch.model import ENGINE, Position
from dispatch.planning import EngineView, look
from dispatch.policies import registry
from dispatch.policies.view import Policy
from dispatch.region import Limits, Region
from geo.router import Router
from simulators.cityfile import Calls
from simulators.packs import HANDOVER_MEAN_S, SCENE_MEAN_S
from simulators.roads import Roads
from simulators.world import World

ROUND = (ev.UnitWithdrawn, ev.UnitRecommended, ev.UnitAssigned)
"""What one planning round writes, in a row, at one instant."""
DIFFERENCES_SHOWN = 20

Place = tuple[str, str]
"""Incident and requirement."""


class Sent(msgspec.Struct, frozen=True):
    """One unit sent: by the journal, or by a policy asked again."""

    unit_id: str
    eta_s: float | None


class Difference(msgspec.Struct, frozen=True):
    """A decision that a policy would have taken otherwise; `theirs` None = it would have kept the unit back."""

    at: datetime
    incident_id: str
    requirement: str
    recorded: Sent
    theirs: Sent | None


class Decisions(msgspec.Struct):
    """How one policy's answers compare with what was recorded."""

    policy: str
    decisions: int = 0
    same: int = 0
    other: int = 0
    held: int = 0
    """Places that were filled then and that this policy would have left open at that moment."""
    gain_s: float = 0.0
    """Predicted arrival earlier than the recorded choice's, seconds in all; negative is later."""
    differences: list[Difference] = []
    """The first of them."""


class Emergency(msgspec.Struct):
    """What the journal knows of one incident, enough to live through it again."""

    kind: str
    priority: int
    lon: float
    lat: float
    zone: str | None
    rang_at: datetime
    opened_at: datetime
    first_at_scene_at: datetime | None = None
    scene_s: float | None = None
    transport: bool = False
    handover_s: float | None = None


class Day(msgspec.Struct):
    """The outcome of one policy, or of the journal itself (`policy` None), for priority 1."""

    policy: str | None
    n: int
    within: int
    never: int
    mean_s: float | None
    p90_s: float | None


def compare(
    entries: Iterable[ev.Entry], region: Region, router: Router, policies: Sequence[str], since: datetime | None = None,
    until: datetime | None = None,
) -> list[Decisions]:  # fmt: skip
    """Ask every policy again wherever the engine sent somebody in [since, until)."""
    engine = Engine(msgspec.structs.replace(region, limits=_quiet(region)), router)
    asked = [(registry.make(name, region, router), Decisions(name)) for name in policies]
    for batch in _rounds(entries):
        first = batch[0]
        engine.turn_hour(first.at)
        decided = isinstance(first.event, ROUND) and first.actor == ENGINE
        if decided and (since is None or first.at >= since) and (until is None or first.at < until):
            _ask(engine, batch, asked)
        for entry in batch:
            engine.turn_hour(entry.at)
            engine.apply(entry)
    return [found for _, found in asked]


def _quiet(region: Region) -> Limits:
    return msgspec.structs.replace(region.limits, risk_check_s=None)


def _rounds(entries: Iterable[ev.Entry]) -> Iterator[list[ev.Entry]]:
    """Lines in a row that one planning round wrote come together, every other line alone."""
    row: list[ev.Entry] = []
    for entry in entries:
        belongs = isinstance(entry.event, ROUND) and entry.actor == ENGINE
        if row and not (belongs and entry.at == row[0].at):
            yield row
            row = []
        if belongs:
            row.append(entry)
        else:
            yield [entry]
    if row:
        yield row


def _ask(engine: Engine, batch: list[ev.Entry], asked: Sequence[tuple[Policy, Decisions]]) -> None:
    at = batch[0].at
    recorded: dict[Place, list[Sent]] = {}
    for entry in batch:
        event = entry.event
        if isinstance(event, ev.UnitRecommended):
            _put(engine, event, at)
        elif isinstance(event, ev.UnitAssigned):
            recorded.setdefault((event.incident_id, event.capability), []).append(Sent(event.unit_id, event.eta_s))
    if not recorded:
        return
    look(engine, at)
    for policy, found in asked:
        theirs: dict[Place, list[Sent]] = {}
        for choice in policy.assign(EngineView(engine, at)):
            theirs.setdefault((choice.incident_id, choice.slot), []).append(Sent(choice.unit_id, choice.eta_s))
        for place, sent in recorded.items():
            _tally(found, at, place, sent, theirs.get(place, []))


def _put(engine: Engine, event: ev.UnitRecommended, at: datetime) -> None:
    """Every candidate where it was."""
    c = event.candidates
    for unit_id, lon, lat, age_s in zip(c.unit_ids, c.lon, c.lat, c.fix_age_s, strict=True):
        if unit_id in engine.state.units and age_s is not None:
            fixed_at = at - timedelta(seconds=age_s)
            engine.fix(unit_id, Position(lon=lon, lat=lat, fixed_at=fixed_at, received_at=at, source="journal"))


def _tally(found: Decisions, at: datetime, place: Place, recorded: list[Sent], theirs: list[Sent]) -> None:
    """Places of one requirement are alike: who goes is compared as a set, the rest pair up in order of arrival."""
    found.decisions += len(recorded)
    both = {s.unit_id for s in recorded} & {s.unit_id for s in theirs}
    found.same += len(both)
    left = sorted((s for s in recorded if s.unit_id not in both), key=_soonness)
    right = sorted((s for s in theirs if s.unit_id not in both), key=_soonness)
    for i, was in enumerate(left):
        other = right[i] if i < len(right) else None
        if other is None:
            found.held += 1
        else:
            found.other += 1
            if was.eta_s is not None and other.eta_s is not None:
                found.gain_s += was.eta_s - other.eta_s
        if len(found.differences) < DIFFERENCES_SHOWN:
            found.differences.append(Difference(at, place[0], place[1], was, other))


def _soonness(sent: Sent) -> tuple[float, str]:
    return (math.inf if sent.eta_s is None else sent.eta_s, sent.unit_id)


def emergencies(
    entries: Iterable[ev.Entry], since: datetime | None = None, until: datetime | None = None
) -> tuple[dict[str, Emergency], frozenset[str]]:
    """Incidents that rang in [since, until), merged ones left out, and every unit that was on duty."""
    found: dict[str, Emergency] = {}
    serving: dict[str, tuple[str, bool]] = {}
    arrived: dict[str, datetime] = {}
    at_hospital: dict[str, datetime] = {}
    on_duty: set[str] = set()
    for entry in entries:
        e, at = entry.event, entry.at
        match e:
            case ev.DutyStarted():
                on_duty.add(e.unit_id)
            case ev.IncidentOpened() if (since is None or e.first_ring_at >= since) and (
                until is None or e.first_ring_at < until
            ):
                found[e.incident_id] = Emergency(
                    e.incident_kind, e.priority, e.place.lon, e.place.lat, e.zone, e.first_ring_at, at
                )
            case ev.IncidentRegraded() if e.incident_id in found:
                found[e.incident_id].priority = min(found[e.incident_id].priority, e.priority)
            case ev.IncidentRelocated() if e.incident_id in found:
                found[e.incident_id].lon, found[e.incident_id].lat = e.place.lon, e.place.lat
            case ev.IncidentMerged():
                found.pop(e.incident_id, None)
            case ev.UnitAssigned():
                serving[e.assignment_id] = (e.incident_id, e.first)
            case ev.UnitAtScene():
                arrived[e.assignment_id] = at
                x = found.get(e.incident_id)
                if x is not None and serving.get(e.assignment_id, ("", False))[1] and x.first_at_scene_at is None:
                    x.first_at_scene_at = at
            case ev.UnitTransporting() | ev.UnitCleared():
                x = found.get(serving.get(e.assignment_id, ("", False))[0])
                if x is not None:
                    x.transport |= isinstance(e, ev.UnitTransporting)
                    came = arrived.pop(e.assignment_id, None)
                    if came is not None:
                        x.scene_s = max(x.scene_s or 0.0, (at - came).total_seconds())
                    came = at_hospital.pop(e.assignment_id, None)
                    if came is not None:
                        x.handover_s = (at - came).total_seconds()
            case ev.UnitAtHospital():
                at_hospital[e.assignment_id] = at
            case _:
                pass
    return found, frozenset(on_duty)


def again(
    day: dict[str, Emergency], units: frozenset[str], region: Region, roads: Roads, policies: Sequence[str]
) -> tuple[list[Day], dict[str, int]]:
    """The recorded day and the same day under each policy; and how many scene and hospital times had to be assumed."""
    within_s = region.limits.target_s
    urgent = [x for x in day.values() if x.priority == 1]
    recorded = np.array(
        [math.nan if x.first_at_scene_at is None else (x.first_at_scene_at - x.rang_at).total_seconds() for x in urgent]
    )
    found = [_outcome(None, recorded, within_s)]
    assumed = Counter(scene=sum(x.scene_s is None for x in day.values()))
    assumed["hospital"] = sum(x.transport and x.handover_s is None for x in day.values())
    if not day:
        return found, dict(assumed)
    calls, epoch = _calls(list(day.values()), region, roads)
    limits = msgspec.structs.replace(region.limits, candidates_max=4, crew_check_s=None, risk_check_s=None)
    fleet = {u: spec for u, spec in region.units.items() if u in units}
    region = msgspec.structs.replace(region, limits=limits, units=fleet)
    for name in policies:
        engine = Engine(region, roads.router, registry.make(name, region, roads.router))
        log = World(engine, roads, calls, 1, epoch=epoch).run()
        found.append(_outcome(name, log.first_at_scene_s[calls.priority == 1], within_s))
    return found, dict(assumed)


def _outcome(policy: str | None, response_s: np.ndarray, within_s: float) -> Day:
    served = response_s[~np.isnan(response_s)]
    return Day(
        policy,
        n=len(response_s),
        within=int((served <= within_s).sum()),
        never=len(response_s) - len(served),
        mean_s=round(float(served.mean()), 1) if len(served) else None,
        p90_s=round(float(np.quantile(served, 0.9)), 1) if len(served) else None,
    )


def _calls(day: list[Emergency], region: Region, roads: Roads) -> tuple[Calls, datetime]:
    """Columns for the world, seconds from the midnight in UTC before the first ring. What was not recorded is the recorded
    median, else the pack simulator's assumption."""
    day.sort(key=lambda x: x.rang_at)
    epoch = day[0].rang_at.replace(hour=0, minute=0, second=0, microsecond=0)
    scene = [x.scene_s for x in day if x.scene_s is not None]
    hand = [x.handover_s for x in day if x.handover_s is not None]
    scene_s = float(np.median(scene)) if scene else SCENE_MEAN_S
    hand_s = float(np.median(hand)) if hand else HANDOVER_MEAN_S
    zones = sorted(region.zones)
    snapped = [roads.snap(x.lon, x.lat) for x in day]
    return Calls(
        t_sec=np.array([(x.rang_at - epoch).total_seconds() for x in day]),
        priority=np.array([x.priority for x in day], np.int64),
        lon=np.array([x.lon for x in day]),
        lat=np.array([x.lat for x in day]),
        node=np.array([node for node, _ in snapped], np.int64),
        offroad_m=np.array([metres for _, metres in snapped]),
        dispatch_delay_s=np.array([max(0.0, (x.opened_at - x.rang_at).total_seconds()) for x in day]),
        on_scene_s=np.array([scene_s if x.scene_s is None else x.scene_s for x in day]),
        transport=np.array([x.transport for x in day]),
        handover_s=np.array([hand_s if x.handover_s is None else x.handover_s for x in day]),
        kind=[x.kind for x in day],
        zone=np.array([zones.index(x.zone) if x.zone in zones else 0 for x in day], np.int64),
    ), epoch
