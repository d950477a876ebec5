"""A discrete-event world around the engine: callers, crews, roads and hospitals, with no wall clock in it.

The world knows the future (when calls come, how long scenes last, how fast a trip really is) and tells the engine only
what a control room would see: commands, in their order, and GPS fixes. Everything the engine decides comes back as
events, which the world carries out. One seed, one run, to the digit.

Times inside are seconds since `EPOCH`; the engine sees aware datetimes.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

import numpy as np

from dispatch import commands as cmd
from dispatch import events as ev
from dispatch.fold import State
from dispatch.model import ENGINE, Actor, Channel, Place, Position, Rejected, UnitState
from dispatch.region import AUTO, Region
from geo.router import REGULAR, Fleet
from simulators.cityfile import Calls
from simulators.roads import Roads

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
CALL_TAKER = Actor(role="call_taker", name="world")
DISPATCHER = Actor(role="dispatcher", name="world")
CREW = "crew"
GIVEN_UP_S = 43_200.0
"""A call still open half a day after the last one will never be served: a plan asks for what the fleet does not have."""
CONFIRM_S = 25.0
"""How long the simulated dispatcher looks at a plan that waits for a yes; an assumption."""
ACKNOWLEDGE_S = 8.0
"""A crew presses "accept" this long after the alert and then gets ready; an assumption, well inside the 30 s of the ladder."""
HOSPITALS_ROUTED_MAX = 8
"""A hospital nearest by road is hardly ever the ninth nearest by straight line; city models have fewer and check all."""
REPAIR_S = 3_600.0
WAKES_IN_A_ROW_MAX = 10_000
"""More wakes without the clock moving on than this is a live-lock in the engine, not a busy city."""


class Engine(Protocol):
    """The part of `dispatch.engine.Engine` a world drives."""

    @property
    def state(self) -> State: ...

    @property
    def fleet(self) -> Fleet: ...

    def step(self, command: cmd.Command, at: datetime, actor: Actor) -> Sequence[ev.Entry]: ...

    def next_deadline(self) -> datetime | None: ...

    def fix(self, unit_id: str, position: Position) -> None: ...


@dataclass(frozen=True)
class Faults:
    """What goes wrong, as chances; all 0 in the reference runs."""

    travel_cv: float = 0.0
    """Coefficient of variation of real over predicted travel time (lognormal, mean 1); Nairobi's trips have 0.68."""
    breakdown: float = 0.0
    """P(a unit breaks down on its way to a scene)."""
    decline: float = 0.0
    """P(a crew declines an alert)."""
    silent: float = 0.0
    """P(a crew never answers an alert)."""
    lost_command: float = 0.0
    """P(a crew's status arrives twice): the second must be refused or change nothing."""
    hang_up: float = 0.0
    """P(an incident is cancelled while units are coming)."""


NO_FAULTS = Faults()


@dataclass
class Trip:
    """From a node to a node, with straight legs at both ends; `stretch` is real over predicted seconds."""

    start_node: int
    lead_s: float
    road_s: float
    end_node: int
    tail_s: float
    offroad_m: float
    mode: str
    left_at: float
    stretch: float = 1.0

    @property
    def ends_at(self) -> float:
        return self.left_at + (self.lead_s + self.road_s + self.tail_s) * self.stretch


@dataclass
class Body:
    """A vehicle as the world has it."""

    unit_id: str
    node: int
    offroad_m: float
    lon: float
    lat: float
    trip: Trip | None = None
    at_post: str | None = None
    task: int = 0
    """Counts up whenever plans change; an event scheduled under an older task is void."""
    assignment_id: str | None = None
    call: int | None = None
    broken: bool = False
    busy_since: float | None = None
    busy_s: float = 0.0
    moves: int = 0
    moves_from_post: int = 0
    diverted: int = 0


@dataclass
class Log:
    """What happened, for statistics. NaN = never."""

    first_at_scene_s: np.ndarray
    """(calls,) seconds from the call's arrival until its first capable unit stood at the scene."""
    units_sent: np.ndarray
    warned_s: np.ndarray
    """(calls,) seconds from the call's arrival until the engine first warned that nobody would be there in time."""
    units: int = 0
    events: int = 0
    commands: int = 0
    redispatched: int = 0
    moves: int = 0
    moves_from_post: int = 0
    """Orders to crews that stood at a post, the ones that cost rest; the others only change where a rolling unit goes."""
    busy_s: float = 0.0
    ended_s: float = 0.0
    refused: list[str] = field(default_factory=list)


class World:
    """Runs one engine through one list of calls."""

    def __init__(
        self, engine: Engine, net: Roads, calls: Calls, seed: int = 0, faults: Faults = NO_FAULTS,
        give_up_s: float = GIVEN_UP_S, epoch: datetime = EPOCH, on_duty_h: Mapping[str, tuple[float, float]] | None = None,
    ) -> None:  # fmt: skip
        """`epoch`: a midnight in UTC, when second 0 is. `on_duty_h`: units that are on duty only between these local hours."""
        self.epoch = epoch
        self.on_duty_h = dict(on_duty_h or {})
        self.engine = engine
        self.net = net
        self.fleet = engine.fleet
        self.region: Region = engine.state.region
        self.calls = calls
        self.faults = faults
        self._rng = np.random.default_rng([seed, 0x51A6A])
        self._queue: list[tuple[float, int, str, object]] = []
        self._count = 0
        self._now = 0.0
        self.bodies: dict[str, Body] = {}
        self._call_of_incident: dict[str, int] = {}
        self._submitting: int | None = None
        self._give_up_s = give_up_s
        self._carried: set[int] = set()
        self._unsent = 0
        self._stretch_sigma = math.sqrt(math.log(1.0 + faults.travel_cv**2))
        self._hospitals = [
            (h.code, *net.snap(h.lon, h.lat), h.lon, h.lat) for h in self.region.hospitals.values() if h.emergency
        ]
        self._posts = {p.code: (*net.snap(p.lon, p.lat), p.lon, p.lat) for p in self.region.posts.values()}
        self._nearest_hospital: dict[int, int] = {}
        self.log = Log(
            np.full(len(calls), np.nan), np.zeros(len(calls), np.int64), np.full(len(calls), np.nan),
            len(self.region.units),
        )  # fmt: skip

    # --- time

    def at(self, t: float) -> datetime:
        return self.epoch + timedelta(seconds=t)

    def _later(self, t: float, what: str, subject: object) -> None:
        self._count += 1
        heapq.heappush(self._queue, (t, self._count, what, subject))

    def run(self, until_s: float | None = None) -> Log:
        """Run until every call is done with, or `until_s` (default: half a day after the last call, when the rest is given up)."""
        if until_s is None:
            until_s = float(self.calls.t_sec[-1]) + self._give_up_s if len(self.calls) else 0.0
        for unit_id, spec in self.region.units.items():
            node, offroad_m, lon, lat = self._posts[spec.home_post]
            body = self.bodies[unit_id] = Body(unit_id, node, offroad_m, lon, lat, at_post=spec.home_post)
            self._tell_position(body, 0.0)
            if unit_id in self.on_duty_h:
                self._plan_shifts(unit_id, until_s)
            else:
                self._send(cmd.StartDuty(unit_id=unit_id, place=Place(lon, lat)), 0.0, Actor(role=CREW, name=unit_id))
        for i, (t, delay) in enumerate(
            zip(self.calls.t_sec.tolist(), self.calls.dispatch_delay_s.tolist(), strict=True)
        ):
            self._later(t + delay, "submit", i)
        self._unsent = len(self.calls)
        wakes = 0
        while self._queue or self._unsent or self.engine.state.open_ids:
            due = self.engine.next_deadline()
            due_t = (due - self.epoch).total_seconds() if due is not None else math.inf
            next_t = self._queue[0][0] if self._queue else math.inf
            if due_t < next_t:
                if due_t > until_s:
                    break
                wakes = wakes + 1 if due_t <= self._now else 0
                if wakes > WAKES_IN_A_ROW_MAX:
                    raise AssertionError(f"the engine keeps waking at {due_t} s")
                self._fix_all(due_t)
                self._send(cmd.Wake(), max(due_t, self._now), ENGINE)
                continue
            if next_t == math.inf or next_t > until_s:
                break
            t, _, what, subject = heapq.heappop(self._queue)
            getattr(self, f"_on_{what}")(t, subject)
        for body in self.bodies.values():
            if body.busy_since is not None:
                body.busy_s += self._now - body.busy_since
        self.log.busy_s = sum(b.busy_s for b in self.bodies.values())
        self.log.moves = sum(b.moves for b in self.bodies.values())
        self.log.ended_s = self._now
        return self.log

    def _plan_shifts(self, unit_id: str, until_s: float) -> None:
        """Every local day from the first hour to the second; over midnight when they are the other way round."""
        start_h, end_h = self.on_duty_h[unit_id]
        length_s = ((end_h - start_h) % 24.0 or 24.0) * 3600.0
        start = ((start_h - self.region.utc_offset_h) % 24.0) * 3600.0 - 86_400.0
        while start < until_s:
            if start + length_s > 0.0:
                self._later(max(0.0, start), "duty_on", unit_id)
                self._later(start + length_s, "duty_off", unit_id)
            start += 86_400.0

    # --- talking to the engine

    def _send(self, command: cmd.Command, t: float, actor: Actor) -> bool:
        """Give a command; carry out what the engine decides. False when it was refused."""
        self._now = max(self._now, t)
        self.log.commands += 1
        try:
            entries = self.engine.step(command, self.at(self._now), actor)
        except Rejected as refused:
            self.log.refused.append(refused.code)
            return False
        self.log.events += len(entries)
        idle: dict[str, None] = {}
        for entry in entries:
            event = entry.event
            kind = type(event)
            if kind is ev.UnitAssigned:
                self._assigned(event, idle)  # type: ignore[arg-type]
            elif kind in _ENDS:
                self._stood_down(event, idle)  # type: ignore[arg-type]
            elif kind is ev.MoveOrdered:
                self._ordered(event, idle)  # type: ignore[arg-type]
            elif kind is ev.IncidentOpened:
                self._opened(event)  # type: ignore[arg-type]
            elif kind is ev.ResponseAtRisk:
                self._warned(event)  # type: ignore[arg-type]
            elif isinstance(event, ev.UnitOutOfService):
                idle.pop(event.unit_id, None)
                if entry.actor == ENGINE:  # nobody answered: the crew is heard of again later
                    self._later(self._now + REPAIR_S, "repaired", event.unit_id)
        for unit_id in idle:
            self._go_to_post(self.bodies[unit_id])
        return True

    def _crew(self, unit_id: str) -> Actor:
        return Actor(role=CREW, name=unit_id)

    def _tell_position(self, body: Body, t: float) -> None:
        """GPS: the engine gets the true position; on the road that is the next node and the seconds to it."""
        trip = body.trip
        if trip is None:
            self._fix(body.unit_id, body.lon, body.lat, t)
            self.net.put(self.fleet, body.unit_id, body.node, body.offroad_m, 0.0)
            return
        node, lead_s = self._where(trip, t)
        lon, lat = float(self.net.lon[node]), float(self.net.lat[node])
        self.net.know(lon, lat, node, 0.0)
        self._fix(body.unit_id, lon, lat, t)
        self.net.put(self.fleet, body.unit_id, node, 0.0, lead_s)

    def _fix(self, unit_id: str, lon: float, lat: float, t: float) -> None:
        at = self.at(t)
        self.engine.fix(unit_id, Position(lon=lon, lat=lat, fixed_at=at, received_at=at))

    def _where(self, trip: Trip, t: float) -> tuple[int, float]:
        """Next node of a trip and the predicted seconds to it at time t."""
        gone = (t - trip.left_at) / trip.stretch
        if gone < trip.lead_s:
            return trip.start_node, trip.lead_s - gone
        gone -= trip.lead_s
        if gone < trip.road_s:
            return self.net.after_s(trip.start_node, trip.end_node, gone, trip.mode)
        return trip.end_node, gone - trip.road_s

    def _fix_all(self, t: float) -> None:
        for body in self.bodies.values():
            if body.trip is not None:
                self._tell_position(body, t)

    # --- carrying out decisions

    def _assigned(self, event: ev.UnitAssigned, idle: dict[str, None]) -> None:
        body = self.bodies[event.unit_id]
        idle.pop(event.unit_id, None)
        call = self._call_of_incident.get(event.incident_id)
        if call is None:
            raise AssertionError(f"assigned to an incident the world never reported: {event.incident_id}")
        self.log.units_sent[call] += 1
        if event.diverted_from is not None:
            self.log.redispatched += 1
            body.diverted += 1
        body.assignment_id = event.assignment_id
        body.call = call
        body.task += 1
        if body.busy_since is None:
            body.busy_since = self._now
        turnout_s = self._turnout_s(body)
        draw = self._rng.random(2) if self._any_crew_fault() else (1.0, 1.0)
        if draw[0] < self.faults.silent:
            return  # the engine's acknowledgement ladder has to notice
        if draw[0] < self.faults.silent + self.faults.decline:
            self._later(self._now + 5.0, "decline", (body.unit_id, body.task))
            return
        if turnout_s > ACKNOWLEDGE_S:
            self._later(self._now + ACKNOWLEDGE_S, "acknowledge", (body.unit_id, body.task))
        self._later(self._now + turnout_s, "leave", (body.unit_id, body.task))

    def _opened(self, event: ev.IncidentOpened) -> None:
        if self._submitting is not None:
            self._call_of_incident[event.incident_id] = self._submitting
        if event.mode != AUTO:
            self._later(self._now + CONFIRM_S, "confirm", event.incident_id)

    def _warned(self, event: ev.ResponseAtRisk) -> None:
        call = self._call_of_incident.get(event.incident_id)
        if call is not None and math.isnan(self.log.warned_s[call]):
            self.log.warned_s[call] = self._now - self.calls.t_sec[call]

    def _on_confirm(self, t: float, incident_id: str) -> None:
        """The dispatcher says yes, unless the clock or the end came first."""
        incident = self.engine.state.incidents.get(incident_id)
        if incident is not None and not incident.confirmed and incident_id in self.engine.state.open_ids:
            self._fix_all(t)
            self._send(cmd.ConfirmPlan(incident_id=incident_id), t, DISPATCHER)

    def _any_crew_fault(self) -> bool:
        return self.faults.silent + self.faults.decline > 0.0

    def _turnout_s(self, body: Body) -> float:
        """Crews at a post need their turnout; a crew that is rolling needs none."""
        if body.at_post is None:
            return 0.0
        kind = self.region.unit_types[self.engine.state.units[body.unit_id].unit_type]
        hour = (self._now / 3600.0 + self.region.utc_offset_h) % 24.0
        return kind.turnout_day_s if 6.0 <= hour < 22.0 else kind.turnout_night_s

    def _stood_down(self, event: ev.UnitWithdrawn | ev.JobDeclined | ev.JobUnanswered, idle: dict[str, None]) -> None:
        body = self.bodies[event.unit_id]
        if body.assignment_id == event.assignment_id:
            self._release(body)
            idle[event.unit_id] = None

    def _release(self, body: Body) -> None:
        body.assignment_id = None
        body.call = None
        body.task += 1
        if body.busy_since is not None:
            body.busy_s += self._now - body.busy_since
            body.busy_since = None

    def _ordered(self, event: ev.MoveOrdered, idle: dict[str, None]) -> None:
        body = self.bodies[event.unit_id]
        body.moves += 1
        if body.at_post is not None:
            body.moves_from_post += 1
            self.log.moves_from_post += 1
        idle[event.unit_id] = None

    def _stop(self, body: Body) -> tuple[int, float, float]:
        """End the present trip where the vehicle is: (node, seconds to reach it, off-road metres)."""
        if body.trip is None:
            return body.node, 0.0, body.offroad_m
        node, lead_s = self._where(body.trip, self._now)
        body.trip = None
        return node, lead_s, 0.0

    def _drive(self, body: Body, node: int, offroad_m: float, mode: str, arrive: str) -> None:
        """Set out from where the vehicle is; `_on_<arrive>` follows unless the task changes before."""
        start, lead_s, start_m = self._stop(body)
        pace = self.net.s_per_m[mode]
        stretch = 1.0
        if self._stretch_sigma > 0.0:
            stretch = float(self._rng.lognormal(-(self._stretch_sigma**2) / 2.0, self._stretch_sigma))
        road_s = self.net.node_eta_s(start, node, mode)
        if road_s == math.inf:
            raise AssertionError(f"{body.unit_id} was sent where no road leads: {start} -> {node}")
        body.trip = Trip(
            start, lead_s + start_m * pace, road_s, node, offroad_m * pace, offroad_m, mode, self._now, stretch
        )
        body.at_post = None
        body.task += 1
        self._later(body.trip.ends_at, arrive, (body.unit_id, body.task))

    def _go_to_post(self, body: Body) -> None:
        unit = self.engine.state.units[body.unit_id]
        if unit.state is not UnitState.AVAILABLE or unit.post is None or body.broken:
            return
        if body.at_post == unit.post and body.trip is None:
            return
        node, offroad_m, _, _ = self._posts[unit.post]
        self._drive(body, node, offroad_m, REGULAR, "at_post")

    def _settle(self, body: Body) -> None:
        """A unit that got neither a job nor an order just now goes to its post."""
        if body.assignment_id is None and body.trip is None:
            self._go_to_post(body)

    def _halt(self, body: Body, node: int, offroad_m: float, lon: float, lat: float, t: float) -> None:
        body.trip = None
        body.node, body.offroad_m, body.lon, body.lat = node, offroad_m, lon, lat
        self._now = max(self._now, t)
        self._tell_position(body, t)

    # --- what happens

    def _on_submit(self, t: float, call: int) -> None:
        self._fix_all(t)
        calls = self.calls
        command = cmd.SubmitReport(
            channel=Channel.CALL,
            kind=calls.kind[call],
            place=Place(float(calls.lon[call]), float(calls.lat[call])),
            rang_at=self.at(float(calls.t_sec[call])),
        )
        self._submitting = call
        self._unsent -= 1
        self._send(command, t, CALL_TAKER)
        self._submitting = None

    def _mine(self, subject: tuple[str, int]) -> Body | None:
        body = self.bodies[subject[0]]
        return body if body.task == subject[1] else None

    def _on_acknowledge(self, t: float, subject: tuple[str, int]) -> None:
        body = self._mine(subject)
        if body is not None and body.assignment_id is not None:
            self._send(cmd.AcknowledgeJob(assignment_id=body.assignment_id), t, self._crew(body.unit_id))

    def _on_leave(self, t: float, subject: tuple[str, int]) -> None:
        body = self._mine(subject)
        if body is None or body.call is None or body.assignment_id is None:
            return
        call = body.call
        unit = self.engine.state.units[body.unit_id]
        mode = unit.mode if self._urgent(call) else REGULAR
        self._now = max(self._now, t)
        self._drive(body, int(self.calls.node[call]), float(self.calls.offroad_m[call]), mode, "at_scene")
        self._send(cmd.ReportEnRoute(assignment_id=body.assignment_id), t, self._crew(body.unit_id))
        if self.faults.breakdown > 0.0 and self._rng.random() < self.faults.breakdown and body.trip is not None:
            self._later(t + (body.trip.ends_at - t) * 0.5, "breakdown", (body.unit_id, body.task))

    def _urgent(self, call: int) -> bool:
        return int(self.calls.priority[call]) <= 2

    def _on_at_scene(self, t: float, subject: tuple[str, int]) -> None:
        body = self._mine(subject)
        if body is None or body.call is None or body.assignment_id is None:
            return
        call = body.call
        self._halt(
            body, int(self.calls.node[call]), float(self.calls.offroad_m[call]), float(self.calls.lon[call]),
            float(self.calls.lat[call]), t,
        )  # fmt: skip
        counts = self.engine.state.assignments[body.assignment_id].first
        if counts and math.isnan(self.log.first_at_scene_s[call]):
            self.log.first_at_scene_s[call] = t - self.calls.t_sec[call]
        self._send(cmd.ReportAtScene(assignment_id=body.assignment_id), t, self._crew(body.unit_id))
        after = "transporting" if self._carries(body, call) else "clear"
        self._later(t + float(self.calls.on_scene_s[call]), after, (body.unit_id, body.task))

    def _carries(self, body: Body, call: int) -> bool:
        """The first vehicle at the scene that can carry a patient does; the others go home."""
        kind = self.region.unit_types[self.engine.state.units[body.unit_id].unit_type]
        if not self.calls.transport[call] or not self._hospitals or not kind.transport or call in self._carried:
            return False
        self._carried.add(call)
        return True

    def _on_transporting(self, t: float, subject: tuple[str, int]) -> None:
        body = self._mine(subject)
        if body is None or body.assignment_id is None:
            return
        self._now = max(self._now, t)
        h = self._hospital_near(body.node)
        code, node, offroad_m, _, _ = self._hospitals[h]
        self._drive(body, node, offroad_m, REGULAR, "at_hospital")
        self._send(
            cmd.ReportTransporting(assignment_id=body.assignment_id, hospital_id=code), t, self._crew(body.unit_id)
        )

    def _hospital_near(self, node: int) -> int:
        """Nearest by road from here, travelling with the traffic (JEMSS's rule)."""
        h = self._nearest_hospital.get(node)
        if h is None:
            near = self._hospitals_by_crow(node)
            pace = self.net.s_per_m[REGULAR]
            times = [
                self.net.node_eta_s(node, self._hospitals[i][1], REGULAR) + self._hospitals[i][2] * pace for i in near
            ]
            h = self._nearest_hospital[node] = near[int(np.argmin(times))]
        return h

    def _hospitals_by_crow(self, node: int) -> list[int]:
        """Hospitals worth a route: the nearest few by straight line, in their listed order."""
        order = list(range(len(self._hospitals)))
        if len(order) > HOSPITALS_ROUTED_MAX:
            lon, lat = float(self.net.lon[node]), float(self.net.lat[node])
            order.sort(key=lambda i: (self._hospitals[i][3] - lon) ** 2 + (self._hospitals[i][4] - lat) ** 2)
            order = sorted(order[:HOSPITALS_ROUTED_MAX])
        return order

    def _on_at_hospital(self, t: float, subject: tuple[str, int]) -> None:
        body = self._mine(subject)
        if body is None or body.assignment_id is None or body.call is None or body.trip is None:
            return
        end = body.trip.end_node
        _, node, offroad_m, lon, lat = next(h for h in self._hospitals if h[1] == end)
        self._halt(body, node, offroad_m, lon, lat, t)
        self._send(cmd.ReportAtHospital(assignment_id=body.assignment_id), t, self._crew(body.unit_id))
        self._later(t + float(self.calls.handover_s[body.call]), "clear", (body.unit_id, body.task))

    def _on_clear(self, t: float, subject: tuple[str, int]) -> None:
        body = self._mine(subject)
        if body is None or body.assignment_id is None:
            return
        assignment_id = body.assignment_id
        self._fix_all(t)
        self._now = max(self._now, t)
        self._release(body)
        self._send(cmd.ReportClear(assignment_id=assignment_id), t, self._crew(body.unit_id))
        self._settle(body)

    def _on_at_post(self, t: float, subject: tuple[str, int]) -> None:
        body = self._mine(subject)
        if body is None or body.trip is None:
            return
        unit = self.engine.state.units[body.unit_id]
        post = unit.post
        if post is None:
            raise AssertionError(f"{body.unit_id} arrived at no post")
        node, offroad_m, lon, lat = self._posts[post]
        body.at_post = post
        self._halt(body, node, offroad_m, lon, lat, t)

    def _on_duty_on(self, t: float, unit_id: str) -> None:
        """A shift begins at the home post."""
        body = self.bodies[unit_id]
        post = self.region.units[unit_id].home_post
        node, offroad_m, lon, lat = self._posts[post]
        body.task += 1
        body.at_post = post
        self._halt(body, node, offroad_m, lon, lat, t)
        self._fix_all(t)
        self._send(cmd.StartDuty(unit_id=unit_id, place=Place(lon, lat)), t, self._crew(unit_id))

    def _on_duty_off(self, t: float, unit_id: str) -> None:
        """A shift ends once its last job is done."""
        if self.bodies[unit_id].assignment_id is not None:
            self._later(t + 60.0, "duty_off", unit_id)
            return
        self._fix_all(t)
        self._send(cmd.EndDuty(unit_id=unit_id), t, self._crew(unit_id))
        body = self.bodies[unit_id]
        body.task += 1
        body.trip = None

    def _on_decline(self, t: float, subject: tuple[str, int]) -> None:
        body = self._mine(subject)
        if body is None or body.assignment_id is None:
            return
        self._fix_all(t)
        self._send(
            cmd.DeclineJob(assignment_id=body.assignment_id, reason="awak belum siap"), t, self._crew(body.unit_id)
        )

    def _on_breakdown(self, t: float, subject: tuple[str, int]) -> None:
        body = self._mine(subject)
        if body is None:
            return
        self._fix_all(t)
        self._now = max(self._now, t)
        node, _, _ = self._stop(body)
        body.broken = True
        self._release(body)
        self._halt(body, node, 0.0, float(self.net.lon[node]), float(self.net.lat[node]), t)
        self._send(cmd.TakeOutOfService(unit_id=body.unit_id, reason="mogok"), t, self._crew(body.unit_id))
        self._later(t + REPAIR_S, "repaired", body.unit_id)

    def _on_repaired(self, t: float, unit_id: str) -> None:
        body = self.bodies[unit_id]
        body.broken = False
        self._fix_all(t)
        self._send(cmd.ReturnToService(unit_id=unit_id), t, self._crew(unit_id))
        self._settle(body)


_ENDS: frozenset[type[ev.Event]] = frozenset({ev.UnitWithdrawn, ev.JobDeclined, ev.JobUnanswered})
