"""Behind every number of the board stand emergencies: the list of exactly those, a screenful at a time, or all as a table.

Rows hold no caller and no address. A single emergency's file (`/api/v1/sla/incidents/{id}/report`) and the console show
more, each to the roles that may see it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Literal

import msgspec
import numpy as np
from aiohttp import web

from dashboards.boards import SHIFT_NAMES, Boards, check_period
from dispatch.api.problems import Problem
from dispatch.api.routes import AUDITOR, MANAGER, READERS, SUPERVISOR, Call, Route, json
from dispatch.region import Region
from sla.columns import View
from sla.definition import VERSION
from sla.groups import UNKNOWN
from sla.outcome import PHASES, Outcome
from sla.quick import Rows, Slice
from sla.report import table, to_csv

PAGE_MAX = 200
TABLE_MAX = 250_000
"""Rows of one CSV: a decade of one city."""
TABLE_SLICE = 500
"""Rows gathered before others get a turn: about 5 ms when none of them is kept yet."""

MEASURES = ("response", "full", "transport", *PHASES)

Name = Annotated[str, msgspec.Meta(max_length=64)]


class DrillQuery(msgspec.Struct, frozen=True):
    """The slice a number stands for; empty = everything counted or left out in [since, until)."""

    since: Annotated[datetime, msgspec.Meta(tz=True)]
    until: Annotated[datetime, msgspec.Meta(tz=True)]
    kind: Name = ""
    zone: Name = ""
    village: Name = ""
    shift: Name = ""
    weekday: Annotated[int, msgspec.Meta(ge=0, le=7)] = 0
    hour: Annotated[int, msgspec.Meta(ge=-1, le=23)] = -1
    unit: Name = ""
    agency: Name = ""
    """Of the unit that came first; `-` = nobody came."""
    home: Name = ""
    """Home post of the unit that came first."""
    verdict: Literal["", "on_time", "late", "left_out", "counted", "distinct"] = ""
    """`distinct`: every emergency, duplicates once."""
    why: Name = ""
    cause: Name = ""
    post: Name = ""
    phase: Name = ""
    slower_than_s: Annotated[float, msgspec.Meta(ge=-1.0, le=1e7)] = -1.0
    measure: Name = "response"
    """What is slower: `response`, `full`, `transport` or a phase."""
    warned: bool = False
    suspected: bool = False
    corrected: bool = False
    day: Annotated[str, msgspec.Meta(max_length=10)] = ""
    order: Literal["newest", "slowest"] = "newest"
    offset: Annotated[int, msgspec.Meta(ge=0, le=10_000_000)] = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_MAX)] = 50

    def slice(self, region: Region, known: Iterable[str]) -> Slice:
        """`known`: every unit that ever came first. Raises Problem("invalid_query") for a name that is no name."""
        if self.shift and self.shift not in SHIFT_NAMES:
            raise Problem("invalid_query", "shift", {"known": list(SHIFT_NAMES)})
        if self.phase and self.phase not in PHASES:
            raise Problem("invalid_query", "phase", {"known": list(PHASES)})
        if self.measure not in MEASURES:
            raise Problem("invalid_query", "measure", {"known": list(MEASURES)})
        return Slice(
            kind=self.kind, zone=self.zone, village=self.village, shift=self.shift, weekday=self.weekday, hour=self.hour, unit=self.unit,
            verdict="" if self.verdict in ("counted", "distinct") else self.verdict, why=self.why, cause=self.cause,
            post=self.post, phase=self.phase, slower_than_s=self.slower_than_s, measure=self.measure, warned=self.warned,
            suspected=self.suspected, corrected=self.corrected, day=self.day, distinct=self.verdict == "distinct",
            units=units_of(region, known, self.agency, self.home),
        )  # fmt: skip


def units_of(region: Region, known: Iterable[str], agency: str, home: str) -> tuple[str, ...] | None:
    """Those of `known` that belong to an agency and a home post; None when neither is asked for.

    `-` is nobody, and a unit that the region pack does not have (any more), as in the board's tables.
    """
    if not agency and not home:
        return None
    found = []
    for name in known:
        unit = region.units.get(name)
        of = (UNKNOWN, UNKNOWN) if unit is None else (unit.agency, unit.home_post)
        if agency in ("", of[0]) and home in ("", of[1]):
            found.append(name)
    return tuple(found)


class DrillRow(msgspec.Struct, frozen=True):
    """One emergency behind a number."""

    incident_id: str
    rang_at: datetime | None
    verdict: str
    why: str
    priority: int
    kind: str
    zone: str | None
    response_s: float | None
    measured_s: float | None
    """What was asked to be slower: the response, the full plan, the transport unit, or a phase."""
    first_unit: str | None
    cause: str | None
    sentence_id: str
    sentence_en: str


class Drill(msgspec.Struct, frozen=True):
    n: int
    rows: list[DrillRow]


def places(view: View, of: Slice, counted_only: bool, order: str) -> list[int]:
    """Where the slice's rows stand in the ledger, in the order asked for."""
    rows = Rows(view, of)
    where, found = rows.places, rows.all
    if counted_only:
        chosen = found["verdict"] != 0
        where, found = where[chosen], found[chosen]
    if order == "slowest":  # nobody came is slower than anything
        of_phase = of.measure in PHASES
        column = found["phases_s"][:, PHASES.index(of.measure)] if of_phase else found[f"{of.measure}_s"]
        slow = np.where(np.isnan(column), -np.inf if of_phase else np.inf, column)
        return [int(p) for p in where[np.argsort(-slow, kind="stable")]]
    return [int(p) for p in where[np.argsort(-found["ring_us"], kind="stable")]]


def routes(boards: Boards) -> list[Route]:
    """The list and the table behind any number."""
    ledger, fold = boards.ledger, boards.ledger.fold

    async def chosen(call: Call) -> list[str]:
        query: DrillQuery = call.query
        check_period(query.since, query.until)
        of = query.slice(boards.region, ledger.units.list)
        await boards.settle(call.services.clock.now())
        view = ledger.view(query.since, query.until)
        found = await asyncio.to_thread(places, view, of, query.verdict == "counted", query.order)
        return [view.ids[p] for p in found]

    async def drill(call: Call) -> web.StreamResponse:
        query: DrillQuery = call.query
        ids = await chosen(call)
        now = call.services.clock.now()
        return json(Drill(len(ids), [_row(boards, i, now, query.measure) for i in ids[query.offset :][: query.limit]]))

    async def as_table(call: Call) -> web.StreamResponse:
        ids = await chosen(call)
        if len(ids) > TABLE_MAX:  # a table cut off in silence would be added up as if it were whole
            raise Problem("too_many_rows", "until", {"rows": len(ids), "rows_max": TABLE_MAX})
        now = call.services.clock.now()
        rows: list[Outcome] = []
        for start in range(0, len(ids), TABLE_SLICE):
            rows += [fold.outcome(fold.timeline.cases[i], now) for i in ids[start : start + TABLE_SLICE]]
            await asyncio.sleep(0)
        body = await asyncio.to_thread(lambda: to_csv(table(rows, VERSION)))
        headers = {"Content-Disposition": 'attachment; filename="siaga112-kejadian.csv"', "Cache-Control": "no-store"}
        return web.Response(body=body, content_type="text/csv", charset="utf-8", headers=headers)

    return [
        Route(
            "GET", "/api/v1/board/incidents", drill, "The emergencies behind a number.",
            roles=READERS, query=DrillQuery, answer=Drill, tag="boards",
        ),
        Route(
            "GET", "/api/v1/board/incidents.csv", as_table, "The same as a table.",
            roles=frozenset({MANAGER, AUDITOR, SUPERVISOR}), query=DrillQuery, content="text/csv", tag="boards",
        ),
    ]  # fmt: skip


def _row(boards: Boards, incident_id: str, now: datetime, measure: str) -> DrillRow:
    fold = boards.ledger.fold
    case = fold.timeline.cases[incident_id]
    o = fold.outcome(case, now)
    why = boards.ledger.attribution.explain(case, fold.timeline, now, deep=False) if o.verdict == "late" else None
    return DrillRow(
        o.incident_id, o.day_ring_at, o.verdict, o.why, o.priority, o.kind, o.zone, o.response_s, _measured_s(o, measure),
        o.first_unit,
        None if why is None else why.decisive or ("together" if why.together else "out_of_reach"),
        "" if why is None else why.sentence_id,
        "" if why is None else why.sentence_en,
    )  # fmt: skip


def _measured_s(o: Outcome, measure: str) -> float | None:
    of_outcome = {"response": o.response_s, "full": o.full_s, "transport": o.transport_s}
    return of_outcome[measure] if measure in of_outcome else o.phases.get(measure)
