"""A recorded week of a fire department's calls, told again to a running server over HTTP, with crews that do the work.

The calls come in at their recorded second and are typed in as long as they really were; who goes is our own engine's choice.
Crews turn out as fast as their type did, drive by the speed measured from the same records, stay as long as the recorded
ones stayed. Time is compressed: at 600 a real millisecond is 0.6 s, so the network and the machine add to every phase,
and the printed times are upper bounds.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from dispatch.clock import Clock, machine_s
from dispatch.region import Region
from geo.router import StraightLineRouter
from simulators.crew import Crew, FeedJob
from simulators.crews import Crews, own_rng
from simulators.driving import Roads
from simulators.http import Staff, Wire, new_key
from simulators.trace_region import GROUP, RecordedCall, Response, Trace

CALLS_OPEN_MAX = 400
"""Calls being told at once; in one real week never more than a few dozen overlap."""
MUSTER_REAL_S = 6.0
"""Machine seconds for the fleet to connect and come on duty before the first call."""
DRAIN_S = 3 * 3600.0
"""Seconds of the replay's clock after the last call in which everybody must have been reached."""
POLL_REAL_S = 0.25
FIX_REAL_S = 0.5
PARKED_REAL_S = 30.0
SCENE_FALLBACK_S = 900.0
HANDOVER_FALLBACK_S = 1900.0
MARK = "call "
"""How a report names its recorded call, so that crews find their times."""


class RecordedHabits:
    """Looks up how long it took; what was not recorded takes the median of its type."""

    def __init__(self, trace: Trace) -> None:
        self._calls = {c.call_id: c for c in trace.calls}
        rows = [r for c in trace.calls for r in c.responses]
        scenes: dict[str, list[float]] = defaultdict(list)
        for r in rows:
            if (scene_s := _scene_s(r)) is not None:
                scenes[r.unit_type].append(scene_s)
        self._scene_s = {t: statistics.median(values) for t, values in scenes.items()}
        handovers = [h for r in rows if (h := _handover_s(r)) is not None]
        self._handover_s = statistics.median(handovers) if handovers else HANDOVER_FALLBACK_S

    def _rows(self, crew: Crew, job: FeedJob) -> list[Response]:
        """Rows of this call for units of the same group, the same type first."""
        call = self._call(job)
        if call is None:
            return []
        code = crew.unit_type.code
        rows = [r for r in call.responses if GROUP.get(r.unit_type, r.unit_type) == GROUP.get(code, code)]
        return sorted(rows, key=lambda r: (r.unit_type != code, r.unit))

    def _call(self, job: FeedJob) -> RecordedCall | None:
        for text in job.incident.descriptions:
            if text.startswith(MARK):
                return self._calls.get(text.removeprefix(MARK).split(" ", 1)[0])
        return None

    def turnout_s(self, crew: Crew, job: FeedJob, now_s: float) -> float:
        for r in self._rows(crew, job):
            if r.response_s is not None and r.dispatch_s is not None and r.response_s >= r.dispatch_s:
                return r.response_s - r.dispatch_s
        return crew.unit_type.turnout_day_s

    def travel_factor(self, crew: Crew) -> float:
        return 1.0

    def scene_s(self, crew: Crew, job: FeedJob) -> float:
        for r in self._rows(crew, job):
            if (scene_s := _scene_s(r)) is not None:
                return scene_s
        return self._scene_s.get(crew.unit_type.code, SCENE_FALLBACK_S)

    def transports(self, crew: Crew, job: FeedJob) -> bool:
        call = self._call(job)
        return call is not None and any(r.transport_s is not None for r in call.responses)

    def handover_s(self, crew: Crew, job: FeedJob) -> float:
        for r in self._rows(crew, job):
            if (handover_s := _handover_s(r)) is not None:
                return handover_s
        return self._handover_s


def _scene_s(r: Response) -> float | None:
    leaves_s = r.transport_s if r.transport_s is not None else r.available_s
    if r.on_scene_s is None or leaves_s is None or leaves_s < r.on_scene_s:
        return None
    return leaves_s - r.on_scene_s


def _handover_s(r: Response) -> float | None:
    if r.hospital_s is None or r.available_s is None or r.available_s < r.hospital_s:
        return None
    return r.available_s - r.hospital_s


class Progress(msgspec.Struct):
    """How far it is; `report_ids` by recorded call, one for every acknowledged report."""

    total: int
    sent: int = 0
    acknowledged: int = 0
    refused: Counter[str] = msgspec.field(default_factory=Counter)
    report_ids: dict[str, str] = {}
    waiting: int | None = None
    """Incidents nobody has reached yet, when last asked."""
    took_s: list[float] = []
    """Machine seconds from sending each report to its answer."""


class Replay:
    """Tells the first `limit` calls of a trace to a server. `clock` is the server's clock; with `squeeze` above 1 the calls
    come so much closer together than they did, while crews go on in the clock's time.
    """

    def __init__(
        self,
        wire: Wire,
        trace: Trace,
        region: Region,
        clock: Clock,
        on_progress: Callable[[Progress], None] = lambda _: None,
        limit: int | None = None,
        squeeze: float = 1.0,
        muster_real_s: float = MUSTER_REAL_S,
    ) -> None:
        self.wire = wire
        self.trace = trace
        self.calls = trace.calls[:limit]
        self.squeeze = squeeze
        self.region = region
        self.clock = clock
        self.on_progress = on_progress
        self.progress = Progress(total=len(self.calls), report_ids={}, took_s=[])
        self.taker = Staff(wire, "call_taker")
        self.dispatcher = Staff(wire, "dispatcher")
        self._run = new_key()[:12]
        habits = RecordedHabits(trace)
        roads = Roads(StraightLineRouter(region.speed_kmh, region.detour_factor))
        self.crews = Crews(
            wire,
            [
                Crew(spec, region, roads, habits, own_rng(1, spec.unit_id), muster_s=1.0)
                for spec in region.units.values()
            ],
            clock,
            fix_every_s=FIX_REAL_S,
            parked_every_s=PARKED_REAL_S,
            connect_spread_s=muster_real_s / 2.0,
        )
        self._first_s = self.calls[0].received_s
        self._origin = trace.start_at + timedelta(seconds=self._first_s)
        self._slots = asyncio.Semaphore(CALLS_OPEN_MAX)

    def at(self, second: float) -> datetime:
        """A second of the record on the replay's clock."""
        return self._origin + timedelta(seconds=(second - self._first_s) / self.squeeze)

    async def run(self) -> Progress:
        """Everything: fleet on duty, every call, until everybody has been reached or the time for it is over."""
        fleet = asyncio.create_task(self.crews.run(), name="fleet")
        try:
            await self._muster(fleet)
            async with asyncio.TaskGroup() as tasks:
                for call in self.calls:
                    await self._until(self.at(call.received_s))
                    await self._slots.acquire()
                    task = tasks.create_task(self._tell(call), name=f"call {call.call_id}")
                    task.add_done_callback(lambda _: self._slots.release())
            await self._drain()
        finally:
            fleet.cancel()
            await asyncio.gather(fleet, return_exceptions=True)
        return self.progress

    async def _until(self, at: datetime) -> None:
        wait_s = machine_s(self.clock, (at - self.clock.now()).total_seconds())
        if wait_s > 0.0:
            await asyncio.sleep(wait_s)

    async def _muster(self, fleet: asyncio.Task[None]) -> None:
        """Until every unit is on duty; should the clock have passed the first call, all calls move by the difference."""
        while True:
            answer = await self.dispatcher.get("/api/v1/units")
            if all(unit["state"] != "off_duty" for unit in answer["units"]):
                break
            if fleet.done():
                fleet.result()
            await asyncio.sleep(POLL_REAL_S)
        self._origin = max(self._origin, self.clock.now() + timedelta(seconds=1))

    async def _tell(self, call: RecordedCall) -> None:
        """One call: it rings, is answered, and is typed in as long as it really took."""
        key = f"{self._run}-{call.call_id}"
        rang = {"call_id": key, "rang_at": min(self.at(call.received_s), self.clock.now()).isoformat()}
        report_id = str((await self.wire.partner("present_call", rang, f"ring-{key}"))["report_id"])
        await self.taker.give("answer_report", {"report_id": report_id}, f"answer-{key}")
        await self._until(self.at(call.entry_s))
        body = {
            "report_id": report_id,
            "channel": "call",
            "kind": call.kind,
            "place": {"lon": call.lon, "lat": call.lat, "accuracy_m": 100.0, "source": "operator"},
            "priority": call.priority,
            "description": f"{MARK}{call.call_id} {call.kind_name}",
        }
        self.progress.sent += 1
        began_s = time.perf_counter()
        answer = await self.taker.give("submit_report", body, f"submit-{key}")
        self.progress.took_s.append(time.perf_counter() - began_s)
        self.progress.acknowledged += 1
        self.progress.report_ids[call.call_id] = str(answer["report_id"])
        self.on_progress(self.progress)

    async def _drain(self) -> None:
        """Wait until nobody waits for help any more."""
        end = self.clock.now() + timedelta(seconds=DRAIN_S)
        while self.clock.now() < end:
            answer = await self.dispatcher.get("/api/v1/incidents?state=open&limit=500")
            states = Counter(str(i["state"]) for i in answer["incidents"])
            self.progress.waiting = states["waiting"] + states["dispatched"]
            self.on_progress(self.progress)
            if self.progress.waiting == 0:
                return
            await asyncio.sleep(POLL_REAL_S)


def recorded_share(calls: list[RecordedCall], target_s: float) -> tuple[int, int]:
    """(emergencies first reached within `target_s` of receipt, emergencies) as they really went; no arrival = late."""
    within = emergencies = 0
    for call in calls:
        if call.priority != 1:
            continue
        emergencies += 1
        arrivals = [r.on_scene_s for r in call.responses if r.on_scene_s is not None]
        within += bool(arrivals) and min(arrivals) - call.received_s <= target_s
    return within, emergencies
