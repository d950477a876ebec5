"""The engine: a deterministic, synchronous state machine of one region. No I/O, no clock, no chance in it.

    events = engine.decide(command, at, actor)   # validates, assigns, explains; raises Rejected(code, field)
    engine.apply(entry)                          # the only way state changes
    engine.next_deadline()                       # when it wants `Wake`, or None

`step` does all three for a driver. The live server, the simulator and a replay drive the same object.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, cast

from dispatch import alarms, conditions, decide_incidents, decide_reports, decide_units, planning, plans, prediction
from dispatch import commands as co
from dispatch import events as ev
from dispatch.fold import State
from dispatch.model import (
    COMING_STATES,
    ENGINE,
    NUMBERS_UNSEEN_MAX,
    OPEN_STATES,
    Actor,
    Assignment,
    AssignmentState,
    Incident,
    Place,
    Position,
    Rejected,
    Unit,
    UnitState,
)
from dispatch.nearby import Nearby
from dispatch.policies.closest import Closest
from dispatch.policies.view import Policy
from dispatch.region import Plan, Region
from dispatch.waiting import Waiting
from geo.nearest import RoadFleet
from geo.router import LIGHTS, REGULAR, Router

Handler = Callable[["Engine", Any, datetime, Actor], list[ev.AnyEvent]]
HANDLERS: dict[type[co.Command], Handler] = {
    **cast("dict[type[co.Command], Handler]", decide_reports.HANDLERS),
    **cast("dict[type[co.Command], Handler]", decide_incidents.HANDLERS),
    **cast("dict[type[co.Command], Handler]", decide_units.HANDLERS),
    **cast("dict[type[co.Command], Handler]", conditions.HANDLERS),
}

MOVING_MPS = 3.0
"""Below a slow run a receiver's heading is noise."""
ROUNDS_MAX = 64
"""Wakes that one instant may cause before we call it a loop: an assertion, because policies must come to rest."""


class Engine:
    """One region's mind. `zone_of` names the kecamatan of a point; default: the nearest zone's centre."""

    def __init__(
        self,
        region: Region,
        router: Router,
        policy: Policy | None = None,
        state: State | None = None,
        zone_of: Callable[[float, float], str | None] | None = None,
    ) -> None:
        self.region = region
        self.router = router
        self.policy: Policy = policy if policy is not None else Closest()
        self.state = state if state is not None else State(region)
        self.zone_of = zone_of if zone_of is not None else self._nearest_zone
        self.fleet = router.fleet()
        self.conditions = conditions.Conditions(router)
        self._plans = {plan.code: plan for plan in region.plans}
        self._offset = timedelta(hours=region.utc_offset_h)
        self._target = timedelta(seconds=region.limits.target_s)
        self._due: list[tuple[datetime, str, str]] = []
        """Heap of (when, what, id); entries whose reason has gone are dropped when they surface."""
        self._risk_at: dict[str, datetime] = {}
        self._retry_at: datetime | None = None
        self.waiting = Waiting()
        self._first_flags: dict[tuple[str, int], Mapping[str, bool]] = {}
        self._able: dict[str, Sequence[Unit]] = {}
        """The fleet is the pack's and the snapshot's; nobody joins it while an engine lives."""
        self.spots: dict[str, planning.Spot] = {}
        self._nearby = Nearby()
        self._assigned_seq = 0
        self._round_wanted = False
        """The clock asks for a round though nothing happened: a retry is due, or the policy's period is over."""
        self._round_at: datetime | None = None
        self._relocate_at: datetime | None = None
        """Not before this is the next look at where free units stand."""
        self._resume()

    # --- what handlers and rounds ask

    def local_hour(self, at: datetime) -> int:
        return (at + self._offset).hour

    def _day(self, at: datetime) -> str:
        return (at + self._offset).strftime("%y%m%d")

    def next_report_id(self, at: datetime) -> str:
        return _next_id("L" + self._day(at), self.state.last_report)

    def next_incident_id(self, at: datetime) -> str:
        return _next_id(self._day(at), self.state.last_incident)

    def deadline(self, incident: Incident) -> datetime:
        return incident.first_ring_at + self._target

    def plan(self, code: str) -> Plan:
        return self._plans[code]

    def first_flags(self, incident: Incident) -> Mapping[str, bool]:
        """Requirement -> does a unit filling it stop the clock?"""
        plan = self._plans.get(incident.plan)
        if plan is None:  # the pack changed while the incident was open
            return dict.fromkeys(incident.required, True)
        known = self._first_flags.get((plan.code, incident.alarm_level))
        if known is None:
            level = min(incident.alarm_level, plans.levels(plan))
            known = dict(zip(plans.required(plan, level), plans.first_flags(plan, level), strict=True))
            self._first_flags[plan.code, incident.alarm_level] = known
        return known

    def able(self, requirement: str) -> Sequence[Unit]:
        """Everybody in the fleet who could fill a requirement, free or not."""
        units = self._able.get(requirement)
        if units is None:
            units = self._able[requirement] = plans.able(requirement, self.state.units.values())
        return units

    def find_open_incident(self, incident_id: str, field: str = "incident_id") -> Incident:
        incident = decide_incidents.find_incident(self, incident_id, field)
        if incident.state not in OPEN_STATES:
            raise Rejected("incident_ended", field, state=str(incident.state), merged_into=incident.merged_into)
        return incident

    def travel_mode(self, mode: str, priority: int) -> str:
        """Blue lights for priority 1 and 2 only; a vehicle class with its own table keeps it."""
        return REGULAR if mode == LIGHTS and priority >= 3 else mode

    def near(self, place: Place, radius_m: float) -> list[str]:
        """Ids of the open incidents around a place."""
        return [i for i in self._nearby.around(place.lon, place.lat, radius_m) if i in self.state.open_ids]

    def retry_at(self, at: datetime) -> datetime:
        """When everything unfilled is tried again, whether or not anything has happened until then."""
        if self._retry_at is None or self._retry_at <= at:
            self._retry_at = at + timedelta(seconds=self.region.limits.retry_s)
            heapq.heappush(self._due, (self._retry_at, "retry", ""))
        return self._retry_at

    def excluded(self, incident_id: str) -> frozenset[str]:
        """Units not to be asked again for this incident: they declined, did not answer, or serve it already."""
        incident = self.state.incidents[incident_id]
        if not incident.assignment_ids:
            return frozenset()
        return frozenset(
            a.unit_id
            for a in map(self.state.assignments.__getitem__, incident.assignment_ids)
            if a.state not in (AssignmentState.WITHDRAWN, AssignmentState.CLEARED)
        )

    def assigned(
        self,
        incident: Incident,
        unit: Unit,
        capability: str,
        first: bool,
        at: datetime,
        *,
        number: int,
        eta_s: float | None = None,
        override: bool = False,
        reason: str = "",
        diverted_from: str | None = None,
    ) -> ev.UnitAssigned:
        """The event that sends a unit. `number` counts the assignments this decision makes for the incident, from 1."""
        if eta_s is None and unit.position is not None:
            mode = self.travel_mode(unit.mode, incident.priority)
            where = incident.place
            travel_s = float(self.fleet.seconds_to(where.lon, where.lat, mode, [unit.unit_id])[0])
            if travel_s < math.inf:
                eta_s = travel_s + planning.EngineView(self, at).turnout_s(unit)
        return ev.UnitAssigned(
            assignment_id=f"{incident.incident_id}/{incident.assigned_count + number}",
            incident_id=incident.incident_id,
            unit_id=unit.unit_id,
            capability=capability,
            eta_s=None if eta_s is None else round(eta_s, 1),
            sd_s=round(self.spread_s(eta_s if eta_s is not None else self.region.limits.target_s, at), 1),
            ack_due_at=at + timedelta(seconds=self.region.limits.ack_timeout_s),
            first=first,
            override=override,
            reason=reason,
            diverted_from=diverted_from,
        )

    def choose_hospital(self, a: Assignment) -> tuple[str | None, str]:
        """The emergency department soonest by road from where the unit is; (None, why) when the pack lists none."""
        unit = self.state.units[a.unit_id]
        incident = self.state.incidents[a.incident_id]
        origin = (
            (unit.position.lon, unit.position.lat)
            if unit.position is not None
            else (incident.place.lon, incident.place.lat)
        )
        hospitals = sorted(h.code for h in self.region.hospitals.values() if h.emergency)
        if not hospitals:
            return None, "no_hospital"
        there = [(self.region.hospitals[h].lon, self.region.hospitals[h].lat) for h in hospitals]
        times = self.router.matrix_s([origin], there, REGULAR)[0].tolist()
        _, code = min(zip(times, hospitals, strict=True))
        return code, "nearest_by_road"

    def _nearest_zone(self, lon: float, lat: float) -> str | None:
        zones = self.region.zones.values()
        if not zones:
            return None
        return min(zones, key=lambda z: ((z.lon - lon) ** 2 + (z.lat - lat) ** 2, z.code)).code

    # --- deciding

    def decide(self, command: co.Command, at: datetime, actor: Actor = ENGINE) -> list[ev.AnyEvent]:
        """Events this command causes now; [] when it changes nothing. Raises Rejected; never changes state."""
        if isinstance(command, co.Wake):
            return self._wake(at)
        return HANDLERS[type(command)](self, command, at, actor)

    def _wake(self, at: datetime) -> list[ev.AnyEvent]:
        """The first thing that is due. Remembers which rounds it has done, so that an idle engine comes to rest."""
        while (due := self._surface()) is not None and due[0] <= at:
            _, what, subject = due
            if what == "risk" and self._round_due():
                break  # first see who can be sent, then say whether it will do
            heapq.heappop(self._due)
            events: list[ev.AnyEvent] = []
            if what == "ack":
                events = alarms.ack_overdue(self, subject, at)
            elif what == "check":
                events = alarms.check_overdue(self, subject)
            elif what == "confirm":
                events = alarms.confirm_overdue(self, subject)
            elif what == "late":
                events = alarms.late(self, subject)
            elif what == "unheeded":
                events = alarms.unheeded(self, subject, at)
            elif what == "move":
                events = decide_units.move_due(self, subject)
            elif what == "lift":
                events = [ev.RestrictionLifted(restriction_id=subject)]
            elif what == "retry":
                self._round_wanted = True
            elif what == "risk":
                events = self._check_risk(subject, at)
            if events:
                return events
        if self._round_at is not None and self._round_at <= at and self.policy.period_s is not None:
            self._round_at = at + timedelta(seconds=self.policy.period_s)
            self._round_wanted = True
        if self._round_due():
            self._round_wanted = False
            self._assigned_seq = self.state.assign_seq
            events = planning.assign_round(self, at) + planning.recommend_unconfirmed(self, at)
            if self.waiting:
                self.retry_at(at)
            if events:
                return events
        if self.state.stirred_agencies and (self._relocate_at is None or self._relocate_at <= at):
            every_s = self.region.limits.relocate_every_s
            self._relocate_at = at + timedelta(seconds=every_s) if every_s > 0 else None
            return planning.relocate_round(self, at)
        return []

    def _round_due(self) -> bool:
        return self._round_wanted or self.state.assign_seq > self._assigned_seq

    def _check_risk(self, incident_id: str, at: datetime) -> list[ev.AnyEvent]:
        events, again_s = alarms.at_risk(self, incident_id, at)
        if not events and self.region.limits.risk_check_s is not None:
            self._risk_at[incident_id] = at + timedelta(seconds=again_s)
            heapq.heappush(self._due, (self._risk_at[incident_id], "risk", incident_id))
        return events

    # --- deadlines

    def next_deadline(self) -> datetime | None:
        """When to call with `Wake`; a time in the past means now."""
        state = self.state
        if self._round_due():
            return state.at
        due = self._surface()
        soonest = due[0] if due is not None else None
        if state.stirred_agencies:
            if self._relocate_at is None:
                return state.at
            if soonest is None or self._relocate_at < soonest:
                soonest = self._relocate_at
        if self._round_at is not None and state.open_ids and (soonest is None or self._round_at < soonest):
            return self._round_at
        return soonest

    def _surface(self) -> tuple[datetime, str, str] | None:
        """The earliest deadline that still has its reason."""
        while self._due:
            due = self._due[0]
            if self._holds(*due):
                return due
            heapq.heappop(self._due)
            if due[1] == "retry" and due[0] == self._retry_at:
                self._retry_at = None  # nobody waits now; whoever comes next sets it anew
        return None

    def _holds(self, when: datetime, what: str, subject: str) -> bool:
        state = self.state
        if what == "ack":
            a = state.assignments.get(subject)
            return a is not None and a.ack_due_at == when and a.state is AssignmentState.ALERTED
        if what == "check":
            a = state.assignments.get(subject)
            return a is not None and a.check_due_at == when and a.silent_at is None
        if what == "move":
            waits = state.units[subject].move_up
            return waits is not None and not waits.declined and waits.due_at == when
        if what == "lift":
            restriction = state.restrictions.get(subject)
            return restriction is not None and restriction.until == when
        if what == "retry":
            return self._retry_at == when and bool(self.waiting)
        incident = state.incidents.get(subject)
        if incident is None or incident.state not in OPEN_STATES:
            return False
        if what == "confirm":
            return not incident.confirmed and incident.confirm_due_at == when
        running = incident.first_capable_at_scene_at is None and incident.highest_priority == 1
        if what == "late":
            return running and incident.breached_at is None and self.deadline(incident) == when
        if what == "unheeded":
            return running and incident.warning_due_at == when
        return running and incident.warned_at is None and self._risk_at.get(subject) == when

    def _watch(self, incident: Incident, at: datetime) -> None:
        """Put an incident on the map of open ones and its deadlines on the heap; stale copies drop out by themselves."""
        incident_id = incident.incident_id
        self._nearby.put(incident_id, incident.place.lon, incident.place.lat)
        if incident.confirm_due_at is not None and not incident.confirmed:
            heapq.heappush(self._due, (incident.confirm_due_at, "confirm", incident_id))
        if incident.highest_priority == 1 and incident.first_capable_at_scene_at is None:
            if incident.breached_at is None:
                heapq.heappush(self._due, (self.deadline(incident), "late", incident_id))
            if incident.warning_due_at is not None:
                heapq.heappush(self._due, (incident.warning_due_at, "unheeded", incident_id))
            if self.region.limits.risk_check_s is not None and incident.warned_at is None:
                self._risk_at[incident_id] = at
                heapq.heappush(self._due, (at, "risk", incident_id))

    # --- changing

    def apply(self, entry: ev.Entry) -> None:
        """Fold one journal line and keep the fleet index and the deadlines in step with it."""
        state = self.state
        state.apply(entry)
        event = entry.event
        match event:
            case ev.UnitAssigned() | ev.UnitRealerted():
                heapq.heappush(self._due, (event.ack_due_at, "ack", event.assignment_id))
                if isinstance(event, ev.UnitAssigned):
                    self._risk_again(event.incident_id, entry.at)
            case ev.UnitAtScene() | ev.UnitAtPatient() | ev.PatientsCounted() | ev.CrewSafe():
                if event.check_due_at is not None:
                    heapq.heappush(self._due, (event.check_due_at, "check", event.assignment_id))
            case ev.ResponseAtRisk() | ev.WarningEscalated():
                if event.ack_due_at is not None:
                    heapq.heappush(self._due, (event.ack_due_at, "unheeded", event.incident_id))
            case ev.UnitWithdrawn() | ev.JobDeclined() | ev.JobUnanswered():
                self._risk_again(event.incident_id, entry.at)
            case ev.IncidentOpened() | ev.IncidentRegraded() | ev.IncidentRelocated() | ev.IncidentReopened():
                self._watch(state.incidents[event.incident_id], entry.at)
            case ev.IncidentClosed() | ev.IncidentCancelled():
                self._nearby.remove(event.incident_id)
                self._risk_at.pop(event.incident_id, None)
            case ev.IncidentMerged():
                self._nearby.remove(event.incident_id)
                self._watch(state.incidents[event.into], entry.at)
            case ev.IncidentUnmerged():
                self._watch(state.incidents[event.incident_id], entry.at)
                self._watch(state.incidents[event.out_of], entry.at)
            case ev.ReportAttached() | ev.ReportDetached():
                self._watch(state.incidents[event.incident_id], entry.at)
            case ev.DutyStarted() | ev.UnitPlaced():
                self._place(state.units[event.unit_id], entry.at)
            case ev.MoveSuggested():
                heapq.heappush(self._due, (event.due_at, "move", event.unit_id))
            case ev.RoadRestricted():
                self.conditions.put(state.restrictions[event.restriction_id])
                if event.until is not None:
                    heapq.heappush(self._due, (event.until, "lift", event.restriction_id))
            case ev.RestrictionLifted():
                self.conditions.lift(event.restriction_id)
            case ev.SpeedsLearned():
                self.conditions.learn(state.learned)
            case ev.DutyEnded():
                self.fleet.remove(event.unit_id)
            case _:
                pass
        if self.policy.period_s is not None and self._round_at is None:
            self._round_at = entry.at + timedelta(seconds=self.policy.period_s)

    def _risk_again(self, incident_id: str, at: datetime) -> None:
        incident = self.state.incidents[incident_id]
        if (
            self.region.limits.risk_check_s is not None
            and incident.warned_at is None
            and incident.highest_priority == 1
            and incident.first_capable_at_scene_at is None
        ):
            self._risk_at[incident_id] = at
            heapq.heappush(self._due, (at, "risk", incident_id))

    def _place(self, unit: Unit, at: datetime) -> None:
        """Put a unit on the fleet's map: its fix, else its post."""
        if unit.position is None and unit.post is not None:
            post = self.region.posts[unit.post]
            unit.position = Position(lon=post.lon, lat=post.lat, fixed_at=at, received_at=at, source="post")
        if unit.position is not None:
            self._put(unit.unit_id, unit.position)

    def _put(self, unit_id: str, position: Position) -> None:
        """On the road it drives on: a moving unit's heading tells the carriageway."""
        moving = position.speed_mps is not None and position.speed_mps >= MOVING_MPS
        if moving and isinstance(self.fleet, RoadFleet):
            self.fleet.place(unit_id, position.lon, position.lat, position.heading_deg)
        else:
            self.fleet.place(unit_id, position.lon, position.lat)

    def fix(self, unit_id: str, position: Position) -> None:
        """Latest GPS fix of a unit. Not journaled (limits and loss: `docs/life-of-an-incident.md`); older fixes are ignored."""
        unit = self.state.units.get(unit_id)
        if unit is None:
            raise Rejected("unknown_unit", "unit_id")
        if (
            unit.position is not None
            and unit.position.source == "device"
            and position.fixed_at <= unit.position.fixed_at
        ):
            return
        unit.position = position
        if unit.state is not UnitState.OFF_DUTY:
            self._put(unit_id, position)

    def turn_hour(self, at: datetime) -> None:
        """Travel times of the local hour, where the region asks for it. Follows from the time alone, so a replay does the same."""
        if self.region.limits.hourly_traffic:
            self.conditions.set_hour(self.local_hour(at))

    def spread_s(self, travel_s: float, at: datetime) -> float:
        """Standard deviation of a travel time, seconds, as the fleet's own trips at this distance and hour have taught it."""
        return prediction.spread_s(travel_s, self.cv_of(travel_s, at))

    def cv_of(self, travel_s: float, at: datetime) -> float:
        """Coefficient of variation of arrivals around what is promised."""
        return self.state.trips.cv_of(travel_s, self.local_hour(at))

    def announce(self, event: ev.AnyEvent, at: datetime) -> list[ev.Entry]:
        """Apply an event that no command decides (a node taking the lead)."""
        entries: list[ev.Entry] = []
        at = max(at, self.state.at) if self.state.at is not None else at
        self._commit([event], at, ENGINE, None, entries)
        return entries

    def step(
        self,
        command: co.Command,
        at: datetime,
        actor: Actor = ENGINE,
        command_id: str | None = None,
        into: list[ev.Entry] | None = None,
        settle: bool = True,
    ) -> list[ev.Entry]:
        """Decide, apply, and do all that becomes due at this instant: what one journal batch holds. Raises Rejected.

        Entries are appended to `into` as they are applied, so that whatever happens a driver journals exactly what memory holds.
        With `settle` False what becomes due is left for one `settle` after a batch of commands: units are then matched to all
        of the batch's emergencies together.
        """
        if self.state.at is not None and at < self.state.at:
            at = self.state.at  # time never runs back, whatever the machine's clock did
        entries = into if into is not None else []
        self.turn_hour(at)
        self._commit(self.decide(command, at, actor), at, actor, command_id, entries)
        return self.settle(at, command_id, entries) if settle else entries

    def settle(self, at: datetime, command_id: str | None, entries: list[ev.Entry]) -> list[ev.Entry]:
        """Wake until nothing is due at this instant."""
        if self.state.at is not None and at < self.state.at:
            at = self.state.at
        # After a stall hundreds of deadlines may be due at once, and each is a wake of its own; the bound is on the rest.
        for _ in range(ROUNDS_MAX + len(self._due)):
            due = self.next_deadline()
            if due is None or due > at:
                return entries
            self._commit(self._wake(at), at, ENGINE, command_id, entries)
        raise AssertionError(f"engine does not come to rest at {at}: policy {self.policy.name}")

    def _commit(
        self, events: list[ev.AnyEvent], at: datetime, actor: Actor, command_id: str | None, entries: list[ev.Entry]
    ) -> None:
        for event in events:
            entry = ev.Entry(
                region=self.region.code,
                seq=self.state.seq + 1,
                at=at,
                actor=actor,
                event=event,
                command_id=command_id,
            )
            self.apply(entry)
            entries.append(entry)

    def _resume(self) -> None:
        """Fleet positions and deadlines of a state that came from a snapshot."""
        state = self.state
        at = state.at
        if at is None:
            return
        for unit in state.units.values():
            if unit.state is not UnitState.OFF_DUTY:
                self._place(unit, at)
            if unit.move_up is not None and not unit.move_up.declined:
                heapq.heappush(self._due, (unit.move_up.due_at, "move", unit.unit_id))
        for a in state.assignments.values():
            if a.ack_due_at is not None and a.state in COMING_STATES:
                heapq.heappush(self._due, (a.ack_due_at, "ack", a.assignment_id))
            if a.check_due_at is not None:
                heapq.heappush(self._due, (a.check_due_at, "check", a.assignment_id))
        for incident_id in state.open_ids:
            self._watch(state.incidents[incident_id], at)
        state.stirred.update(state.open_ids)
        state.stirred_agencies.update(dict.fromkeys(unit.agency for unit in state.units.values()))
        self.conditions.learn(state.learned)
        self.turn_hour(at)
        for restriction in state.restrictions.values():
            self.conditions.put(restriction)
            if restriction.until is not None:
                heapq.heappush(self._due, (restriction.until, "lift", restriction.restriction_id))
        if self.policy.period_s is not None:
            self._round_at = at + timedelta(seconds=self.policy.period_s)


def _next_id(day: str, last: str) -> str:
    """Day and running number, four digits and more if a day needs them: `261124-0147`.

    A new day begins in the thousand of the last lead (modulo ten, to stay short): a leader that was cut off and replaced may
    count on past midnight as well, and must not meet ours.
    """
    running = int(last.rpartition("-")[2] or 0)
    if not last.startswith(day + "-"):
        running = running // NUMBERS_UNSEEN_MAX % 10 * NUMBERS_UNSEEN_MAX
    return f"{day}-{running + 1:04d}"
