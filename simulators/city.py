"""The simulated city of `make run`: people who report, calls that ring, crews that drive, each a real client of the API.

Driving, turnout and call handling pass in real time, so the 7-minute clock on the screen is true. Only what happens
after the arrival is shortened: time at the scene and at the hospital is divided by `speed`, or a viewer would wait an
hour for the first unit to come back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from dispatch.clock import Clock, SystemClock, machine_s
from dispatch.region import Region
from geo.roads import RoadGraph
from geo.router import Router
from geo.traffic import Traffic
from simulators.callers import CallRoom
from simulators.citizens import AGAIN_SHARE, Citizens, Sighting, Witness
from simulators.crew import Crew, FeedJob, Temper
from simulators.crews import Crews, own_rng
from simulators.dispatcher import DispatcherBot
from simulators.driving import Roads
from simulators.http import Keyring, Refused, Staff, Wire, new_key

log = logging.getLogger("siaga.city")

REPORT_EVERY_S = 25.0
"""Some life within a minute. Surabaya really has one incident in 28 minutes (18,703 in 2025)."""
CALL_SHARE = 0.6
SPEED = 5.0
NIGHT_FROM, NIGHT_TO = 22, 6
SCENE_S = {True: 1080.0, False: 1800.0}
"""Median time at the scene, medical or not. Medical: San Francisco's ambulances (`sf_fire`, on scene to transport, 2,202
rows); not medical: an assumption between Sumenep's quartiles of 30 and 60 min for fires."""
HANDOVER_S = 1900.0
"""Median at the hospital: San Francisco's ambulances, hospital to available, 2,185 rows."""
SPREAD_SIGMA = 0.4
TURNOUT_SIGMA = 0.25
TRAVEL_SIGMA = 0.18
"""Trip against trip on the same road; see `geo/eta.py` for the engine's own view of it."""
AGAIN_AFTER_S = (15.0, 90.0)
STATUS_EVERY_S = 60.0
HOUR_CHECK_S = 15.0
MUSTER_S = 8.0
OPEN_TASKS_MAX = 200
"""People reporting at once; more means the server is gone, and further events go unseen."""

CALM = Temper(declines=0.01)
TEMPERS: tuple[tuple[float, Temper], ...] = (
    (0.10, Temper(poor_signal=0.35, declines=0.01)),
    (0.08, Temper(fumbles=0.25, declines=0.01)),
    (0.04, Temper(dead_phone=0.30)),
)
"""(share of crews, how they misbehave); the rest are calm. Assumptions, chosen so that each is seen within an hour."""


class CityHabits:
    """How long the city's crews take, drawn anew for each job."""

    def __init__(self, region: Region, rng: Random, speed: float) -> None:
        self.region = region
        self.rng = rng
        self.speed = speed

    def turnout_s(self, crew: Crew, job: FeedJob, now_s: float) -> float:
        hour = (datetime.fromtimestamp(now_s, tz=UTC) + timedelta(hours=self.region.utc_offset_h)).hour
        night = hour >= NIGHT_FROM or hour < NIGHT_TO
        usual_s = crew.unit_type.turnout_night_s if night else crew.unit_type.turnout_day_s
        return usual_s * self.rng.lognormvariate(0.0, TURNOUT_SIGMA)

    def travel_factor(self, crew: Crew) -> float:
        return self.rng.lognormvariate(0.0, TRAVEL_SIGMA)

    def scene_s(self, crew: Crew, job: FeedJob) -> float:
        kind = self.region.kinds.get(job.incident.kind)
        return SCENE_S[kind is not None and kind.medical] * self._spread() / self.speed

    def transports(self, crew: Crew, job: FeedJob) -> bool:
        kind = self.region.kinds.get(job.incident.kind)
        return kind is not None and self.rng.random() < kind.transport_share

    def handover_s(self, crew: Crew, job: FeedJob) -> float:
        return HANDOVER_S * self._spread() / self.speed

    def _spread(self) -> float:
        return self.rng.lognormvariate(0.0, SPREAD_SIGMA)


def temper_of(rng: Random) -> Temper:
    draw = rng.random()
    for share, temper in TEMPERS:
        if draw < share:
            return temper
        draw -= share
    return CALM


async def last_positions(staff: Staff) -> dict[str, tuple[float, float]]:
    """Where the server last saw each unit, so that a restarted city does not teleport its vehicles."""
    answer = await staff.get("/api/v1/units")
    return {row["unit_id"]: (row["lon"], row["lat"]) for row in answer["positions"]}


class City:
    """Everything that lives in one simulated city."""

    def __init__(
        self,
        wire: Wire,
        region: Region,
        router: Router,
        *,
        seed: int | None = None,
        speed: float = SPEED,
        report_every_s: float = REPORT_EVERY_S,
        patience_s: float = 20.0,
        clock: Clock | None = None,
        snap: Callable[[float, float], tuple[float, float]] | None = None,
        positions: dict[str, tuple[float, float]] | None = None,
    ) -> None:
        self.wire = wire
        self.region = region
        self.clock = clock or SystemClock()
        self.report_every_s = report_every_s
        # Without a seed every run is another day: the same events on top of yesterday's would all be duplicates. The crews
        # stay the same people.
        crew_seed = 1 if seed is None else seed
        seed = int(self.clock.now().timestamp()) if seed is None else seed
        log.info("city seed=%d", seed)
        self.rng = own_rng(seed, "city")
        self.witness = Witness(region, own_rng(seed, "witness"), snap)
        self.citizens = Citizens(wire)
        self.room = CallRoom(wire, region, self.clock, own_rng(seed, "calls"), run=f"sim-{new_key()[:12]}")
        self.bot = DispatcherBot(wire, self.clock, patience_s)
        self.traffic = Traffic(router) if isinstance(router, RoadGraph) and region.limits.hourly_traffic else None
        self._turn_hour()
        roads = Roads(router)
        crews = []
        for spec in region.units.values():
            rng = own_rng(crew_seed, spec.unit_id)
            crews.append(
                Crew(
                    spec,
                    region,
                    roads,
                    CityHabits(region, rng, speed),
                    rng,
                    temper_of(rng),
                    position=(positions or {}).get(spec.unit_id),
                    muster_s=MUSTER_S,
                )
            )
        self.crews = Crews(wire, crews, self.clock)

    async def run(self) -> None:
        """Live until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.crews.run(), name="crews")
            tasks.create_task(self.room.run(), name="call room")
            tasks.create_task(self.bot.run(), name="dispatcher bot")
            tasks.create_task(self._events(tasks), name="events")
            tasks.create_task(self._status(), name="status")
            tasks.create_task(self._hours(), name="hours")

    async def _events(self, tasks: asyncio.TaskGroup) -> None:
        """Things happen, and people report them."""
        await self._wait(MUSTER_S)
        open_tasks: set[asyncio.Task[None]] = set()
        while True:
            if len(open_tasks) < OPEN_TASKS_MAX:
                task = tasks.create_task(self._told(self.witness.see(self.clock.now())))
                open_tasks.add(task)
                task.add_done_callback(open_tasks.discard)
            else:
                self.wire.counts["unseen events"] += 1
            await self._wait(self.witness.next_gap_s(self.clock.now(), self.report_every_s))

    async def _told(self, seen: Sighting) -> None:
        await self._report(seen)
        if self.rng.random() < AGAIN_SHARE:
            await self._wait(self.rng.uniform(*AGAIN_AFTER_S))
            await self._report(self.witness.see_again(seen))

    async def _report(self, seen: Sighting) -> None:
        if self.rng.random() < CALL_SHARE:
            await self.room.call(seen)
        else:
            await self.citizens.report(seen)

    def _turn_hour(self) -> None:
        """Streets are as full as the hour makes them; vehicles under way keep the pace they set out with."""
        if self.traffic is not None:
            self.traffic.set_hour((self.clock.now() + timedelta(hours=self.region.utc_offset_h)).hour)

    async def _hours(self) -> None:
        while True:
            await self._wait(HOUR_CHECK_S)
            self._turn_hour()

    async def _wait(self, seconds: float) -> None:
        await asyncio.sleep(machine_s(self.clock, seconds))

    async def _status(self) -> None:
        try:
            while True:
                await asyncio.sleep(STATUS_EVERY_S)
                self._say()
        finally:
            self._say()

    def _say(self) -> None:
        shown = " ".join(f"{name.replace(' ', '_')}={count}" for name, count in sorted(self.wire.counts.items()))
        log.info("city phones=%d of %d %s", self.crews.connected, len(self.crews.crews), shown)


async def run_city(
    keyring: Keyring,
    region: Region,
    router: Router,
    *,
    seed: int | None = None,
    speed: float = SPEED,
    report_every_s: float = REPORT_EVERY_S,
    patience_s: float = 20.0,
    snap: Callable[[float, float], tuple[float, float]] | None = None,
) -> None:
    """Bring the city to life against the server of `keyring`, until cancelled."""
    async with Wire(keyring) as wire:
        try:
            positions = await last_positions(Staff(wire, "dispatcher"))
        except Refused:
            positions = {}
        city = City(
            wire,
            region,
            router,
            seed=seed,
            speed=speed,
            report_every_s=report_every_s,
            patience_s=patience_s,
            snap=snap,
            positions=positions,
        )
        log.info("city units=%d report_every_s=%.0f speed=%.1f", len(region.units), report_every_s, speed)
        await city.run()


def find_roads(var: Path, code: str) -> Path | None:
    """The road network the server of this installation drives on: imported, else the newest built one."""
    folder = var / "roads"
    imported = folder / f"{code}.roads"
    if imported.exists():
        return imported
    built = sorted(folder.glob(f"{code}-builtin-*.roads"), key=lambda p: p.stat().st_mtime)
    return built[-1] if built else None


def load_roads(var: Path, region: Region) -> tuple[Router, Callable[[float, float], tuple[float, float]] | None]:
    """That network and how to put a point on it; a straight line when there is none."""
    from geo.roads import RoadGraph
    from geo.router import StraightLineRouter

    file = find_roads(var, region.code)
    if file is None:
        speeds: dict[str, Any] = dict(region.speed_kmh)
        return (StraightLineRouter(speeds, region.detour_factor) if speeds else StraightLineRouter()), None
    graph = RoadGraph.load(file)

    def snap(lon: float, lat: float) -> tuple[float, float]:
        node = graph.nearest_node(lon, lat)
        return float(graph.node_lon[node]), float(graph.node_lat[node])

    return graph, snap
