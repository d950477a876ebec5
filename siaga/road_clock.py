"""The hour on the roads: prepares the next hour's travel times ahead, and teaches the engine what the last one's drives took.

Beside the writer, in a worker thread, so that the event loop waits for neither. What the engine decides on stays a function
of its journal and the time: the hour follows from the time, the learned speeds from `speeds_learned` lines; a change that is
not prepared in time is worked out by the engine itself, with the same result.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from dispatch import commands as co
from dispatch import metrics
from dispatch.clock import machine_s
from dispatch.drives import Drive, Learner
from dispatch.engine import Engine
from dispatch.live import Live, NotLeading
from dispatch.model import ENGINE, Rejected
from geo.eta import BAND_EDGES_S
from geo.learned import KeptSpeeds, totals, write_learned

log = logging.getLogger("siaga.roads")

CHECK_S = 5.0
AHEAD_S = 30.0
"""Preparing takes some 0.1 s a mode on a quiet machine; half a minute leaves room for a busy one."""
LEARN_MAX_S = 240.0
"""Machine time for one hour's drives; what is left by then is dropped, so that learning never runs into the next hour."""
REST_SHARE = 2.0
"""After matching a drive rest this many times as long: a third of one core at most, and never at the writer's cost."""


class RoadClock:
    """Runs beside one Live, and works while it leads."""

    def __init__(self, live: Live, kept: Path | None = None) -> None:
        self.live = live
        self.kept = kept
        self._prepared: datetime | None = None
        self._learner: Learner | None = None

    async def run(self) -> None:
        """Until cancelled. A defect here costs what would have been learned, never a decision."""
        while True:
            try:
                await self.once()
            except NotLeading:
                pass  # lost meanwhile; the next leader learns from its own drives
            except Exception:
                log.exception("the hour's travel times or drives failed")
                metrics.decision_failures.inc()
            await asyncio.sleep(machine_s(self.live.clock, CHECK_S))

    async def once(self) -> None:
        """One look at the clock."""
        engine = self.live.engine
        if engine is None or not self.live.leading:
            return
        now = self.live.clock.now()
        if engine.region.limits.hourly_traffic:
            soon = now + timedelta(seconds=AHEAD_S)
            if engine.local_hour(soon) != engine.local_hour(now) and self._prepared != _hour(soon):
                self._prepared = _hour(soon)
                await asyncio.to_thread(engine.conditions.prepare, engine.local_hour(soon))
        self._turn(engine, now)
        await self._learn(engine, now)

    def _turn(self, engine: Engine, now: datetime) -> None:
        """With nothing to decide the engine would keep last hour's roads, and maps would show them."""
        if engine is self.live.engine and self.live.leading and (engine.state.at is None or now >= engine.state.at):
            engine.turn_hour(now)
        traffic = engine.conditions.traffic
        hour = traffic.hour if traffic is not None else None
        metrics.road_hour.set(-1 if hour is None else hour)
        local_hour = engine.local_hour(now)
        for edge_s in BAND_EDGES_S:
            metrics.eta_cv.labels(f"{edge_s:.0f}").set(engine.state.trips.cv_of(edge_s, local_hour))
        for mode, (observed_s, expected_s) in totals(engine.state.learned).items():
            metrics.learned_driving_hours.labels(mode).set(observed_s / 3600.0)
            metrics.learned_slowness.labels(mode).set(observed_s / expected_s)

    async def _learn(self, engine: Engine, now: datetime) -> None:
        traffic = engine.conditions.traffic
        if traffic is None:
            return
        drives = self.live.drives.ended(engine.local_hour(now))
        if not drives:
            return
        if self._learner is None or self._learner.traffic is not traffic:
            self._learner = Learner(traffic)
        steps = await self._match(self._learner, drives)
        for hour, used, by_mode in self._learner.results():
            await self._teach(co.LearnSpeeds(hour=hour, steps=used, drives=by_mode))
        log.info("drives learned drives=%d steps=%d", len(drives), steps)
        metrics.drive_steps.inc(steps)
        if self.kept is not None:
            sums = engine.state.learned
            body = msgspec.json.encode(
                KeptSpeeds(engine.region.code, now.isoformat(), sums.observed_s, sums.expected_s)
            )
            await asyncio.to_thread(write_learned, self.kept, body)

    async def _match(self, learner: Learner, drives: list[Drive]) -> int:
        loop = asyncio.get_running_loop()
        steps, spent_s = 0, 0.0
        for number, drive in enumerate(drives):
            began_s = loop.time()
            steps += await asyncio.to_thread(learner.learn, drive)
            took_s = loop.time() - began_s
            spent_s += took_s
            if spent_s > LEARN_MAX_S:
                log.warning("drives left out=%d: matching takes too long", len(drives) - number - 1)
                break
            await asyncio.sleep(REST_SHARE * took_s)
        return steps

    async def _teach(self, command: co.LearnSpeeds) -> None:
        try:
            await self.live.submit(command, ENGINE)
        except Rejected as refusal:
            log.error("learned speeds refused code=%s", refusal.code)


def _hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)
