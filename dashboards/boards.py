"""The managers' board and the public page's figures: one computation, `sla.figures`, shown to two kinds of reader.

The public sees whole days only and kecamatan only by whole calendar months, each blanked on its own: a window that slid
with the clock would let a reader subtract yesterday's table from today's and find the one emergency between them.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, TypeVar, cast

import msgspec
from aiohttp import web

from dispatch.api.problems import Problem
from dispatch.api.routes import READERS, Call, Route, json
from dispatch.region import Region
from sla.attribution import Attribution
from sla.disclosure import SMALL_N
from sla.figures import Figures, ZoneRow, figures, zone_rows
from sla.groups import group, local
from sla.live import SlaFold
from sla.outcome import PHASE_NAMES, Outcome
from sla.sentences import NAMES as CAUSE_NAMES
from sla.statistics import Quantiles, Share, quantiles, share

T = TypeVar("T")

SPAN_MAX = timedelta(days=3700)
"""Ten years and a little: the longest question the board answers."""
BOARD_KEPT_S = 10.0
"""A board asked for again within this is the same board: a room full of managers costs one computation."""
PUBLIC_KEPT_S = 60.0
PUBLIC_CACHE = "public, max-age=60"


class BoardQuery(msgspec.Struct, frozen=True):
    """Emergencies first rung in [since, until); both needed, so that a board never grows without being asked to."""

    since: Annotated[datetime, msgspec.Meta(tz=True)]
    until: Annotated[datetime, msgspec.Meta(tz=True)]


class Board(msgspec.Struct, frozen=True):
    """Figures and the names that go with their codes, `{code: [Indonesian, English]}`."""

    figures: Figures
    cause_names: dict[str, tuple[str, str]]
    phase_names: dict[str, tuple[str, str]]
    kind_names: dict[str, tuple[str, str]]


class PublicDay(msgspec.Struct, frozen=True):
    """One local day. `n` and `share` are None when fewer than five emergencies would be shown."""

    day: str
    n: int | None
    share: float | None


class PublicPeriod(msgspec.Struct, frozen=True):
    """The promise over [since, until), whole local days; `until` is never later than last midnight."""

    period: str
    since: datetime
    until: datetime
    headline: Share
    response: Quantiles


class PublicFigures(msgspec.Struct, frozen=True):
    """What anybody may know. Nothing in it points at a person, also not by subtraction (`sla/disclosure.py`)."""

    region: str
    region_name: str
    definition: str
    target_s: float
    made_at: datetime
    periods: list[PublicPeriod]
    days: list[PublicDay]
    month: str | None
    """The whole calendar month `zones` is about, "2026-10"; None while there has been none."""
    zones: list[ZoneRow]
    small_n: int
    """Counts below this are blanked."""


class Boards:
    """Computes boards from the live fold and keeps the last answers for a few seconds."""

    def __init__(self, fold: SlaFold, region: Region, attribution: Attribution | None = None) -> None:
        self.fold = fold
        self.region = region
        self.attribution = attribution or Attribution(region, None, region.utc_offset_h)
        self._kept: dict[object, tuple[datetime, object]] = {}

    def board(self, since: datetime, until: datetime, now: datetime) -> Board:
        """All figures of [since, until). Raises Problem("invalid_query") for an impossible period."""
        if since >= until:
            raise Problem("invalid_query", "until", {"why": "until must be after since"})
        if until - since > SPAN_MAX:
            raise Problem("invalid_query", "since", {"why": "at most ten years"})
        return self._once(("board", since, until), now, BOARD_KEPT_S, lambda: self._board(since, until, now))

    def public(self, now: datetime) -> PublicFigures:
        """What anybody may know at `now`."""
        return self._once("public", now, PUBLIC_KEPT_S, lambda: self._public(now))

    def _once(self, key: object, now: datetime, kept_s: float, make: Callable[[], T]) -> T:
        kept = self._kept.get(key)
        if kept is not None and now - kept[0] < timedelta(seconds=kept_s):
            return cast(T, kept[1])
        self._kept = {k: v for k, v in self._kept.items() if now - v[0] < timedelta(seconds=PUBLIC_KEPT_S)}
        made = make()
        self._kept[key] = (now, made)
        return made

    def _board(self, since: datetime, until: datetime, now: datetime) -> Board:
        return Board(
            figures=figures(self.fold, since, until, now, self.region, attribution=self.attribution),
            cause_names=dict(CAUSE_NAMES),
            phase_names=dict(PHASE_NAMES),
            kind_names={k.code: (k.name_id, k.name_en) for k in self.region.kinds.values()},
        )

    def _public(self, now: datetime) -> PublicFigures:
        offset = timedelta(hours=self.region.utc_offset_h)
        midnight = _midnight(local(now, self.region.utc_offset_h)) - offset
        spans = {"day": 1, "month": 30, "year": 365}
        periods = []
        for name, days in spans.items():
            since = midnight - timedelta(days=days)
            rows = self._counted(now, since, midnight)
            periods.append(PublicPeriod(name, since, midnight, _share(rows), quantiles(r.response_s for r in rows)))
        month = self._counted(now, midnight - timedelta(days=spans["month"]), midnight)
        days_shown = [
            PublicDay(g.key, g.share.n, g.share.share) if g.share.n >= SMALL_N else PublicDay(g.key, None, None)
            for g in group(month, "day", self.region.utc_offset_h)
        ]
        month_until = _midnight(local(now, self.region.utc_offset_h)).replace(day=1)
        month_since = (month_until - timedelta(days=1)).replace(day=1)
        month_rows = self._counted(now, month_since - offset, month_until - offset)
        zones = group(month_rows, "zone", self.region.utc_offset_h)
        return PublicFigures(
            region=self.region.code,
            region_name=self.region.name,
            definition=periods[0].headline.version,
            target_s=self.region.limits.target_s,
            made_at=now,
            periods=periods,
            days=days_shown,
            month=f"{month_since:%Y-%m}" if zones else None,
            zones=zone_rows(zones, self.region, public=True) if zones else [],
            small_n=SMALL_N,
        )

    def _counted(self, now: datetime, since: datetime, until: datetime) -> list[Outcome]:
        return [r for r in self.fold.outcomes(now, since, until) if r.verdict != "left_out"]


def _midnight(at: datetime) -> datetime:
    return at.replace(hour=0, minute=0, second=0, microsecond=0)


def _share(rows: list[Outcome]) -> Share:
    return share(sum(r.verdict == "on_time" for r in rows), len(rows))


def as_csv(public: PublicFigures) -> str:
    """The same figures as a table: one row a period, day and kecamatan; blank cells are blanked numbers."""
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(["table", "key", "name", "n", "within_target", "share", "p50_s", "p90_s"])
    for p in public.periods:
        h = p.headline
        table.writerow(
            ["period", p.period, "", h.n, h.within, _cell(h.share), _cell(p.response.p50), _cell(p.response.p90)]
        )
    for d in public.days:
        table.writerow(["day", d.day, "", _cell(d.n), "", _cell(d.share), "", ""])
    for z in public.zones:
        table.writerow(["zone", z.code, z.name, _cell(z.n), _cell(z.within), _cell(z.share), "", _cell(z.p90_s)])
    return out.getvalue()


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def routes(boards: Boards) -> list[Route]:
    """Routes of the managers' board and of the public page."""

    async def board(call: Call) -> web.StreamResponse:
        return json(boards.board(call.query.since, call.query.until, call.services.clock.now()))

    async def public(call: Call) -> web.StreamResponse:
        return json(boards.public(call.services.clock.now()), headers={"Cache-Control": PUBLIC_CACHE})

    async def table(call: Call) -> web.StreamResponse:
        text = as_csv(boards.public(call.services.clock.now()))
        return web.Response(text=text, content_type="text/csv", headers={"Cache-Control": PUBLIC_CACHE})

    return [
        Route(
            "GET",
            "/api/v1/board",
            board,
            "Every figure of a period, for managers.",
            roles=READERS,
            query=BoardQuery,
            answer=Board,
            tag="boards",
        ),
        Route(
            "GET",
            "/api/v1/public/figures",
            public,
            "The 7-minute promise as the public may see it.",
            answer=PublicFigures,
            tag="boards",
            limit="public_read",
        ),
        Route(
            "GET",
            "/api/v1/public/figures.csv",
            table,
            "The same as a table.",
            content="text/csv",
            tag="boards",
            limit="public_read",
        ),
    ]
