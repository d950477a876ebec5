"""One simulated crew and its phone: hears its job, presses the buttons in order, drives, and sometimes gets it wrong.

Pure: time is an argument (seconds since 1970 on the simulated clock), chance comes from its own seeded generator, and
nothing is sent here. What the crew wants to say waits in `outbox` with its own time, exactly as on a real phone, and
`crews.py` carries it to the server when there is a line.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any, Protocol

import msgspec

from dispatch.alarms import NO_ANSWER
from dispatch.region import Region, UnitSpec, UnitType
from geo.router import LIGHTS, REGULAR, straight_line_m
from simulators.driving import Drive, Roads, near
from simulators.http import new_key

GEOFENCE_M = 100.0
"""The phone proposes the arrival this far from the scene."""
RELOCATED_M = 50.0
"""A scene moved by less is the same doorway."""
FIXES_KEPT = 500
"""What one batch may hold (`dispatch/avl.py`); a longer tunnel loses its oldest points."""
GPS_SIGMA_M = 4.0
"""Spread of a phone's position under open sky (about 4.9 m at 95 %, gps.gov)."""
ASKED_SHARE = 0.75
"""The app asks "all well?" after this share of the region's interval."""
HOSPITAL_WAIT_S = 20.0
"""How long a crew waits to be told the hospital before it drives to the nearest it knows."""
ROLLING_TURNOUT_S = (4.0, 15.0)

# --- what the phone reads


class FeedUnit(msgspec.Struct):
    unit_id: str
    state: str
    post: str | None = None
    out_of_service_for: str | None = None


class FeedAssignment(msgspec.Struct):
    assignment_id: str
    state: str
    alerts: int = 1
    hospital_id: str | None = None


class FeedPlace(msgspec.Struct):
    lon: float
    lat: float


class FeedIncident(msgspec.Struct):
    incident_id: str
    kind: str
    priority: int
    place: FeedPlace
    descriptions: list[str] = []


class FeedJob(msgspec.Struct):
    assignment: FeedAssignment
    incident: FeedIncident


class Feed(msgspec.Struct):
    """A message of the unit feed; unknown fields are ignored, heartbeats have no unit."""

    type: str
    unit: FeedUnit | None = None
    job: FeedJob | None = None


class Press(msgspec.Struct):
    """A button pressed: command, fields, when by the phone's clock, and the key that makes repeating it safe."""

    do: str
    fields: dict[str, Any]
    at_s: float
    key: str


class FixPoint(msgspec.Struct):
    """A position as the phone measured it."""

    lon: float
    lat: float
    at_s: float
    accuracy_m: float
    speed_mps: float
    heading_deg: float


class Temper(msgspec.Struct, frozen=True):
    """How this crew and its phone misbehave: chance per job."""

    poor_signal: float = 0.0
    fumbles: float = 0.0
    dead_phone: float = 0.0
    declines: float = 0.0


class Habits(Protocol):
    """How long crews take. The city draws from distributions, a replay looks into the record."""

    def turnout_s(self, crew: Crew, job: FeedJob, now_s: float) -> float: ...

    def travel_factor(self, crew: Crew) -> float:
        """This trip's time over the road time of the router."""

    def scene_s(self, crew: Crew, job: FeedJob) -> float: ...

    def transports(self, crew: Crew, job: FeedJob) -> bool: ...

    def handover_s(self, crew: Crew, job: FeedJob) -> float: ...


DECLINES = (
    "ban kendaraan bocor",
    "kendaraan sedang dibersihkan setelah mengantar pasien",
    "alat oksigen kosong, sedang diisi ulang",
    "pengemudi sakit, menunggu pengganti",
)
GIVEN_NAMES: tuple[str, ...] = (
    "Agus",
    "Bagus",
    "Candra",
    "Dewi",
    "Eko",
    "Fitri",
    "Gatot",
    "Hesti",
    "Indra",
    "Joko",
    "Kartika",
    "Lukman",
    "Mega",
    "Nanang",
    "Okta",
    "Putri",
    "Rudi",
    "Sari",
    "Teguh",
    "Utami",
    "Wahyu",
    "Yuni",
    "Zainal",
)
"""Invented crews of common given names."""


class Crew:
    """One unit. Call `hear` with every feed message and `act` when `next_s` has come; take what is in `outbox`."""

    def __init__(
        self,
        spec: UnitSpec,
        region: Region,
        roads: Roads,
        habits: Habits,
        rng: Random,
        temper: Temper = Temper(),  # noqa: B008 - frozen
        position: tuple[float, float] | None = None,
        muster_s: float = 10.0,
    ) -> None:
        self.unit_id = spec.unit_id
        self.unit_type: UnitType = region.unit_types[spec.unit_type]
        self.region = region
        self.roads = roads
        self.habits = habits
        self.rng = rng
        self.temper = temper
        self.muster_s = muster_s
        self.post = spec.home_post
        home = region.posts[spec.home_post]
        jitter = near(home.lon, home.lat, rng.gauss(0.0, 10.0), rng.gauss(0.0, 10.0))
        self.place: tuple[float, float] = position or jitter
        size = 3 if self.unit_type.mode == LIGHTS else 2
        self.names = rng.sample(GIVEN_NAMES, size)
        self.drive: Drive | None = None
        self.job: FeedJob | None = None
        self.outbox: deque[Press] = deque()
        self.fixes: deque[FixPoint] = deque(maxlen=FIXES_KEPT)
        self.offline_until_s = -math.inf
        self.silent = False
        """The phone lies dead for this job."""
        self._done: deque[str] = deque(maxlen=16)
        """Jobs this crew has finished or refused; the server may not have heard yet."""
        self._agenda: list[tuple[float, int, int | None, Callable[[float], None]]] = []
        self._order = itertools.count()
        self._era = 0
        """Counts jobs; what was planned for an earlier one no longer happens."""
        self._awaits: str | None = None
        """`muster` or `return` while one is planned, so that repeats of a message plan nothing."""
        self._hospital: str | None = None
        self._wants_hospital = False

    # --- the outside

    @property
    def next_s(self) -> float | None:
        """When `act` has something to do."""
        return self._agenda[0][0] if self._agenda else None

    def offline(self, now_s: float) -> bool:
        return now_s < self.offline_until_s

    def act(self, now_s: float) -> None:
        """Do everything that is due."""
        while self._agenda and self._agenda[0][0] <= now_s:
            due_s, _, era, what = heapq.heappop(self._agenda)
            if era is None or era == self._era:
                what(due_s)

    def hear(self, feed: Feed, now_s: float) -> None:
        """A feed message: the whole present of this unit, as the server sees it."""
        unit = feed.unit
        if unit is None:
            return
        if feed.job is not None:
            self._hear_job(feed.job, now_s)
            return
        if self.job is not None:
            self._drop(now_s)
        self.silent = False
        if unit.state == "off_duty":
            self._later("muster", now_s + self.rng.uniform(0.0, self.muster_s), self._start_duty)
        elif unit.state == "out_of_service" and unit.out_of_service_for == NO_ANSWER:
            # Somebody has called by radio and the phone is found. Any other reason is for people to end.
            self._later("return", now_s + self.rng.uniform(90.0, 240.0), self._return)
        elif unit.state == "available":
            self._awaits = None
            if unit.post is not None and unit.post != self.post and unit.post in self.region.posts:
                self.post = unit.post
                self._go_home(now_s)

    def sample(self, now_s: float) -> None:
        """Take a position fix, as true as the phone's receiver is."""
        spot = self.drive.at(now_s) if self.drive is not None else None
        lon, lat = (spot.lon, spot.lat) if spot is not None else self.place
        sigma_m = GPS_SIGMA_M if spot is not None else GPS_SIGMA_M / 4.0  # standing still, receivers average
        lon, lat = near(lon, lat, self.rng.gauss(0.0, sigma_m), self.rng.gauss(0.0, sigma_m))
        if not self.region.contains(lon, lat):
            return
        self.fixes.append(
            FixPoint(
                round(lon, 6),
                round(lat, 6),
                now_s,
                round(self.rng.uniform(3.0, 12.0), 1),
                round(spot.speed_mps, 1) if spot is not None else 0.0,
                round(spot.heading_deg, 1) if spot is not None else 0.0,
            )
        )

    # --- planning

    def _plan(self, at_s: float, what: Callable[[float], None]) -> None:
        """Something for the present job."""
        heapq.heappush(self._agenda, (at_s, next(self._order), self._era, what))

    def _later(self, name: str, at_s: float, what: Callable[[float], None]) -> None:
        """Something outside any job, planned once."""
        if self._awaits != name:
            self._awaits = name
            heapq.heappush(self._agenda, (at_s, next(self._order), None, what))

    def _press(self, do: str, at_s: float, **fields: Any) -> None:
        if not self.silent:
            self.outbox.append(Press(do, fields, at_s, new_key()))

    def _press_job(self, do: str, at_s: float, **fields: Any) -> None:
        if self.job is not None:
            self._press(do, at_s, assignment_id=self.job.assignment.assignment_id, **fields)
            if self.rng.random() < self.temper.fumbles:  # pressed twice: another press, another key
                self._press(do, at_s + 0.4, assignment_id=self.job.assignment.assignment_id, **fields)

    # --- duty

    def _start_duty(self, now_s: float) -> None:
        self._awaits = None
        lon, lat = self.place
        place = {"lon": round(lon, 6), "lat": round(lat, 6), "accuracy_m": 10.0, "source": "device"}
        self._press("start_duty", now_s, unit_id=self.unit_id, crew=self.names, place=place)

    def _return(self, now_s: float) -> None:
        self._awaits = None
        self._press("return_to_service", now_s, unit_id=self.unit_id)

    # --- driving

    def _stop(self, now_s: float) -> None:
        if self.drive is not None:
            spot = self.drive.at(now_s)
            self.place, self.drive = (spot.lon, spot.lat), None

    def _go(self, end: tuple[float, float], mode: str, now_s: float, arrived: Callable[[float], None]) -> Drive:
        self._stop(now_s)
        route = self.roads.route(self.place, end, mode)
        line = [self.place, *route.coordinates, end]
        drive = self.drive = Drive(line, now_s, route.eta_s * self.habits.travel_factor(self))

        def arrive(at_s: float) -> None:
            if self.drive is drive:
                self.place, self.drive = end, None
                arrived(at_s)

        self._plan(drive.end_s, arrive)
        return drive

    def _go_home(self, now_s: float) -> None:
        post = self.region.posts[self.post]
        end = near(post.lon, post.lat, self.rng.gauss(0.0, 10.0), self.rng.gauss(0.0, 10.0))
        if straight_line_m(*self.place, *end) > RELOCATED_M:
            self._go(end, REGULAR, now_s, lambda _: None)

    # --- a job

    def _hear_job(self, job: FeedJob, now_s: float) -> None:
        mine = self.job
        if job.assignment.assignment_id in self._done:
            return  # it will hear that we are through with it
        if mine is None or mine.assignment.assignment_id != job.assignment.assignment_id:
            self._take(job, now_s)
            return
        moved_m = straight_line_m(
            mine.incident.place.lon, mine.incident.place.lat, job.incident.place.lon, job.incident.place.lat
        )
        self.job = job
        if moved_m > RELOCATED_M and self.drive is not None and not self._wants_hospital and self._hospital is None:
            self._era += 1
            self._drive_to_scene(now_s)
        if self._wants_hospital and job.assignment.hospital_id is not None:
            self._drive_to_hospital(job.assignment.hospital_id, now_s)

    def _take(self, job: FeedJob, now_s: float) -> None:
        """A new job, or one found running when the phone was switched on."""
        rolling = self.drive is not None
        self._era += 1
        self.job, self._hospital, self._wants_hospital = job, None, False
        state = job.assignment.state
        draw = self.rng.random
        if state == "alerted" and draw() < self.temper.dead_phone:
            self.silent = True  # nobody hears it; the engine asks the next unit
            return
        if draw() < self.temper.poor_signal:
            start_s = now_s + self.rng.uniform(20.0, 240.0)
            self._plan(start_s, lambda at_s: self._lose_signal(at_s))
        if state in ("alerted", "acknowledged"):
            self._turn_out(job, now_s, rolling, state == "alerted")
        elif state == "en_route":
            self._drive_to_scene(now_s)
        elif state == "at_scene":
            self._stop(now_s)
            self._work(now_s)
        elif state == "transporting":
            self._ask_hospital(now_s)
            if job.assignment.hospital_id is not None:
                self._drive_to_hospital(job.assignment.hospital_id, now_s)
        else:
            self._hand_over(now_s)

    def _lose_signal(self, at_s: float) -> None:
        self.offline_until_s = at_s + self.rng.uniform(60.0, 180.0)

    def _turn_out(self, job: FeedJob, now_s: float, rolling: bool, alerted: bool) -> None:
        draw = self.rng.uniform
        turnout_s = draw(*ROLLING_TURNOUT_S) if rolling else self.habits.turnout_s(self, job, now_s)
        if alerted:
            self._plan(now_s + draw(0.1, 0.5), lambda at_s: self._press_job("receipt_job", at_s, step="delivered"))
            seen_s = min(draw(2.0, 6.0), turnout_s * 0.5)
            self._plan(now_s + seen_s, lambda at_s: self._press_job("receipt_job", at_s, step="seen"))
            if self.rng.random() < self.temper.declines:
                self._plan(now_s + draw(8.0, 20.0), self._decline)
                return
            one_button = turnout_s < 25.0 and self.rng.random() < 0.5
            if not one_button:
                acknowledged_s = max(seen_s, min(turnout_s * draw(0.2, 0.5), 25.0))
                self._plan(now_s + acknowledged_s, lambda at_s: self._press_job("acknowledge_job", at_s))
        self._plan(now_s + turnout_s, self._roll)

    def _decline(self, at_s: float) -> None:
        self._press_job("decline_job", at_s, reason=self.rng.choice(DECLINES))
        self._finish(at_s)

    def _roll(self, at_s: float) -> None:
        self._press_job("report_en_route", at_s)
        if self.rng.random() < self.temper.fumbles:  # the wrong button; the server refuses the step
            self._press_job("report_at_hospital", at_s + self.rng.uniform(1.0, 5.0))
        self._drive_to_scene(at_s)

    def _drive_to_scene(self, now_s: float) -> None:
        assert self.job is not None
        place = self.job.incident.place
        mode = self.unit_type.mode
        if mode == LIGHTS and self.job.incident.priority >= 3:
            mode = REGULAR
        drive = self._go((place.lon, place.lat), mode, now_s, self._arrive)
        self._plan(drive.when_left_m(GEOFENCE_M), lambda at_s: self._press_job("report_at_scene", at_s, by="geofence"))

    def _arrive(self, at_s: float) -> None:
        self._plan(at_s + self.rng.uniform(2.0, 12.0), self._work_begins)

    def _work_begins(self, at_s: float) -> None:
        self._press_job("report_at_scene", at_s, by="button")
        self._work(at_s)

    def _work(self, at_s: float) -> None:
        assert self.job is not None
        job = self.job
        scene_s = self.habits.scene_s(self, job)
        if self.region.kinds[job.incident.kind].medical:
            walk_s = min(self.rng.uniform(15.0, 90.0), scene_s * 0.5)
            self._plan(at_s + walk_s, lambda now_s: self._press_job("report_at_patient", now_s))
            hurt = 1 if self.rng.random() < 0.9 else self.rng.randint(2, 5)
            count_s = walk_s + min(60.0, scene_s * 0.2)
            self._plan(at_s + count_s, lambda now_s: self._press_job("count_patients", now_s, patients=hurt))
        every_s = self.region.limits.crew_check_s
        if every_s is not None:  # the phone asks before the desk would
            for n in range(1, int(scene_s / (every_s * ASKED_SHARE)) + 1):
                safe_s = at_s + n * every_s * ASKED_SHARE + self.rng.uniform(2.0, 30.0)
                self._plan(safe_s, lambda now_s: self._press_job("report_safe", now_s))
        leave = self._load if self.unit_type.transport and self.habits.transports(self, job) else self._clear
        self._plan(at_s + scene_s, leave)

    def _load(self, at_s: float) -> None:
        self._press_job("report_transporting", at_s)
        self._ask_hospital(at_s)

    def _ask_hospital(self, at_s: float) -> None:
        self._wants_hospital = True
        self._plan(at_s + HOSPITAL_WAIT_S, self._guess_hospital)

    def _guess_hospital(self, at_s: float) -> None:
        if not self._wants_hospital:
            return
        known = [h for h in self.region.hospitals.values() if h.emergency]
        if not known:
            self._clear(at_s)
            return
        self._drive_to_hospital(min(known, key=lambda h: straight_line_m(*self.place, h.lon, h.lat)).code, at_s)

    def _drive_to_hospital(self, code: str, now_s: float) -> None:
        self._wants_hospital, self._hospital = False, code
        hospital = self.region.hospitals[code]
        self._go((hospital.lon, hospital.lat), REGULAR, now_s, self._at_hospital)

    def _at_hospital(self, at_s: float) -> None:
        self._press_job("report_at_hospital", at_s)
        self._hand_over(at_s)

    def _hand_over(self, at_s: float) -> None:
        assert self.job is not None
        self._plan(at_s + self.habits.handover_s(self, self.job), self._clear)

    def _clear(self, at_s: float) -> None:
        self._press_job("report_clear", at_s)
        self._finish(at_s)

    def _finish(self, at_s: float) -> None:
        assert self.job is not None
        self._done.append(self.job.assignment.assignment_id)
        self._end_job(at_s)

    def _drop(self, now_s: float) -> None:
        """The server took the job away: withdrawn, cancelled, unanswered. What was still to be pressed is pointless."""
        self._end_job(now_s)

    def _end_job(self, now_s: float) -> None:
        self._era += 1
        self.job, self._hospital, self._wants_hospital = None, None, False
        self._stop(now_s)
        self._go_home(now_s)
