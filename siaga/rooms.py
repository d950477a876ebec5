"""What the rooms around dispatch bring to a server: places and tiles from geo, figures from sla, pages from dashboards."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from dashboards import boards
from dispatch.api.routes import Route
from dispatch.events import Entry
from dispatch.journal import Journal
from dispatch.region import Region
from geo.places_pack import open_map
from geo.roads import RoadGraph
from geo.router import Router
from sla.room import SlaRoom

log = logging.getLogger("siaga.rooms")

SLICE = 500
"""Journal lines folded before others get a turn: about 5 ms."""


EXPLAIN_EVERY_S = 0.5
"""Pause between two explanations through the engine, about 20 ms each: 4 % of one core after a restart, nothing later."""
REPORTS_EVERY_S = 60.0
"""How often a due report is looked for."""


class Rooms:
    """Made once at start; told of every published batch, and catching up with the past in the background."""

    def __init__(self, region: Region, router: Router, pack: Path, var: Path, now: Callable[[], datetime]) -> None:
        self.region = region
        self._now = now
        self.sla = SlaRoom(region, router, now, var / "laporan")
        self.caught_up = False
        self._waiting: list[Entry] = []
        self.map = open_map(pack, region.code, router if isinstance(router, RoadGraph) else None, var)
        self.places: Any = self.map.gazetteer
        self.tiles: Any = self.map.tiles
        self.zones = self.map.zones
        self.zone_of: Callable[[float, float], str | None] | None = self._zone_of if self.zones is not None else None

    def _zone_of(self, lon: float, lat: float) -> str | None:
        assert self.zones is not None
        hit = self.zones.at(lon, lat)
        return hit.zone.kecamatan_code if hit is not None else None

    def published(self, entries: list[Entry]) -> None:
        """A durable batch, in order. Kept aside while the past is still being folded."""
        if self.caught_up:
            for entry in entries:
                self.sla.apply(entry)
        else:
            self._waiting.extend(entries)

    async def catch_up(self, journal: Journal, upto: int) -> None:
        """Fold the journal so far. A year is some seconds of work, so it is done beside serving, in slices."""
        count = 0
        async for entry in journal.read(0, upto):
            self.sla.apply(entry)
            count += 1
            if count % SLICE == 0:
                await asyncio.sleep(0)
        for entry in self._waiting:
            self.sla.apply(entry)
        self._waiting = []
        self.caught_up = True
        log.info("sla caught up lines=%d", count)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._explain())
            group.create_task(self._write_reports())

    async def _explain(self) -> None:
        """One late response at a time, so that no call waits for the past; runs until cancelled."""
        while True:
            try:
                self.sla.explain_next(self._now())
            except Exception:  # one odd incident must not stop reports and the explanations of all others
                log.exception("explanation failed")
            await asyncio.sleep(EXPLAIN_EVERY_S)

    async def _write_reports(self) -> None:
        """Yesterday's and last month's report, each once, drawn in a thread; runs until cancelled."""
        while True:
            try:
                job = self.sla.reporter.next_job(self._now())
                if job is not None:
                    await asyncio.to_thread(job)
            except Exception:  # a full disk today must not cost tomorrow's report
                log.exception("report failed")
            await asyncio.sleep(REPORTS_EVERY_S)

    def routes(self) -> list[Route]:
        return [
            *self.sla.routes(),
            *boards.routes(boards.Boards(self.sla.fold, self.region, self.sla.attribution)),
        ]
