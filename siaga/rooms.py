"""What the rooms around dispatch bring to a server: places and tiles from geo, figures from sla, pages from dashboards."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import asyncpg

from dashboards import alerts, areas, boards, calls, drill, jobs, mailing, marks, public, views, whatif
from dashboards.keeping import Keeping
from dispatch.api.routes import Route
from dispatch.region import Region
from geo.places_pack import open_map
from geo.roads import RoadGraph
from geo.router import Router
from siaga.sla_feed import SlaFeed
from sla.room import SlaRoom

log = logging.getLogger("siaga.rooms")

SIMULATOR = (sys.executable, "-m", "simulators.whatif")
"""A process of its own for every block of a what-if: the live loop shares nothing with it but the machine."""


PLACES_KEPT = 20_000
"""Villages of places remembered: a year of emergencies; each look-up compares a place with every village."""
ROWS_BEHIND_MAX = 1_000
"""More rows than this take longer to write than anybody waits for a board; a year is written once after a start."""
UNEXPLAINED_MAX = 5
"""Closed incidents waiting to be explained by the engine: this many and more only after a start."""


class Rooms:
    """Made once at start. `feed` listens to the hub and catches up with the past in the background."""

    def __init__(
        self, region: Region, router: Router, pack: Path, var: Path, now: Callable[[], datetime], pool: asyncpg.Pool
    ) -> None:
        self.region = region
        self.sla = SlaRoom(region, router, now, var / "laporan")
        self.feed = SlaFeed(self.sla, now)
        keeping = Keeping(pool, region.code)
        self.workshop = whatif.Workshop(SIMULATOR, region, pack, var, whatif.Store(keeping), now)
        self.map = open_map(pack, region.code, router if isinstance(router, RoadGraph) else None, var)
        self.places: Any = self.map.gazetteer
        self.tiles: Any = self.map.tiles
        self.site = self.map.site
        self.zones = self.map.zones
        self.keeping = keeping
        villages = {} if self.zones is None else {z.code: z.name for z in self.zones.zones}
        self.boards = boards.Boards(
            self.sla.ledger, region, self.sla.utilisation, villages, self._catching_up, self._deepening
        )
        smtp = mailing.read_smtp()
        self.mailer = mailing.Mailer(self.boards, keeping, smtp, now) if smtp is not None else None
        self.alerts = alerts.Alerts(keeping, region, self.zones, now)
        self.zone_of: Callable[[float, float], str | None] | None = self._zone_of if self.zones is not None else None
        # A row is written again each second until its case is settled; its place stays.
        self.sla.ledger.village_of = lru_cache(PLACES_KEPT)(self._village_of) if self.zones is not None else None

    def _zone_of(self, lon: float, lat: float) -> str | None:
        assert self.zones is not None
        hit = self.zones.at(lon, lat)
        return hit.zone.kecamatan_code if hit is not None else None

    def _catching_up(self) -> bool:
        return not self.feed.caught_up or self.sla.ledger.behind > ROWS_BEHIND_MAX

    def _deepening(self) -> bool:
        return not self.feed.caught_up or self.sla.unexplained > UNEXPLAINED_MAX

    def _village_of(self, lon: float, lat: float) -> str | None:
        assert self.zones is not None
        hit = self.zones.at(lon, lat)
        return hit.zone.code if hit is not None else None

    def routes(self) -> list[Route]:
        board = self.boards
        return [
            *self.sla.routes(),
            *boards.routes(board),
            *drill.routes(board),
            *calls.routes(board),
            *jobs.routes(board),
            *marks.routes(self.keeping),
            *views.routes(board, self.keeping, self.mailer is not None),
            *public.routes(board),
            *areas.routes(self.zones),
            *alerts.routes(self.alerts),
            *whatif.routes(self.workshop),
        ]
