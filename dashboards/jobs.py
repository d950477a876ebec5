"""Behind the figures of units, hospitals and zero-unit windows stand jobs: a unit's way to one emergency, from order to free.

A list is exactly as long as its number. No caller, no address; the emergency's own file is opened by its number.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from aiohttp import web

from dashboards.boards import Boards, check_period
from dashboards.drill import PAGE_MAX, Name
from dispatch.api.problems import Problem
from dispatch.api.routes import READERS, Call, Route, json
from sla.clocks import Leg
from sla.columns import OFFLOAD, View

Which = Literal["given", "busy", "handed_over"]


class JobsQuery(msgspec.Struct, frozen=True):
    """Jobs given, under way, or handed over to a hospital in [since, until)."""

    since: Annotated[datetime, msgspec.Meta(tz=True)]
    until: Annotated[datetime, msgspec.Meta(tz=True)]
    which: Which = "given"
    """`given`: ordered in the period. `busy`: not free at some moment of it. `handed_over`: at the hospital in it, free since."""
    unit: Name = ""
    hospital: Name = ""
    """Only with `handed_over`."""
    offset: Annotated[int, msgspec.Meta(ge=0, le=10_000_000)] = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_MAX)] = 50


class JobRow(msgspec.Struct, frozen=True):
    """One unit's way to one emergency. `at_hospital_s`: from its arrival there until it was free again."""

    assignment_id: str
    incident_id: str
    unit_id: str
    kind: str
    zone: str | None
    assigned_at: datetime | None
    ended_at: datetime | None
    end: str
    """`cleared`, `declined`, `unanswered`, `withdrawn`; empty while it lasts."""
    at_scene_s: float | None
    """Order to arrival."""
    at_hospital_s: float | None


class Jobs(msgspec.Struct, frozen=True):
    n: int
    rows: list[JobRow]


def handed_over(view: View, keys: list[str], hospital: str) -> list[str]:
    """Assignments behind a hospital's figure, the longest kept first; all hospitals when empty."""
    places, rows = view.window(view.offloads, OFFLOAD)
    if hospital:
        code = view.hospitals.index(hospital) if hospital in view.hospitals else -2
        places, rows = places[rows["hospital"] == code], rows[rows["hospital"] == code]
    order = (-rows["offload_s"]).argsort(kind="stable")
    return [keys[places[i]] for i in order.tolist()]


def chosen(legs: Iterable[Leg], query: JobsQuery) -> list[Leg]:
    """Jobs given or under way in the period, newest first."""
    found = []
    for leg in legs:
        at = leg.assigned_at
        if at is None or at >= query.until or (query.unit and leg.unit_id != query.unit):
            continue
        if at >= query.since if query.which == "given" else leg.ended_at is None or leg.ended_at > query.since:
            found.append((at, leg))
    found.sort(key=lambda pair: pair[0], reverse=True)
    return [leg for _, leg in found]


def routes(boards: Boards) -> list[Route]:
    """The list behind a unit's, a hospital's or a window's figure."""
    ledger = boards.ledger

    async def jobs(call: Call) -> web.StreamResponse:
        query: JobsQuery = call.query
        check_period(query.since, query.until)
        if query.hospital and query.which != "handed_over":
            raise Problem("invalid_query", "hospital", {"why": "only with which=handed_over"})
        now, timeline = call.services.clock.now(), ledger.fold.timeline
        if query.which == "handed_over":
            view, keys = ledger.view(query.since, query.until), ledger.offloads.keys
            ids = await asyncio.to_thread(handed_over, view, keys, query.hospital)
            found = [leg for i in ids if (leg := timeline.legs.get(i)) is not None]
        else:
            # the thread reads a copy: the dictionary goes on growing
            every = timeline.unit_legs.get(query.unit, ()) if query.unit else timeline.legs.values()
            found = await asyncio.to_thread(chosen, list(every), query)
        rows = [_row(boards, leg, now) for leg in found[query.offset :][: query.limit]]
        return json(Jobs(len(found), rows))

    return [
        Route(
            "GET", "/api/v1/board/jobs", jobs, "The jobs behind a unit's, a hospital's or a window's number.",
            roles=READERS, query=JobsQuery, answer=Jobs, tag="boards",
        )
    ]  # fmt: skip


def _row(boards: Boards, leg: Leg, now: datetime) -> JobRow:
    fold = boards.ledger.fold
    case = fold.timeline.cases.get(leg.incident_id)
    outcome = fold.outcome(case, now) if case is not None else None
    return JobRow(
        leg.assignment_id, leg.incident_id, leg.unit_id,
        outcome.kind if outcome is not None else "", outcome.zone if outcome is not None else None,
        leg.assigned_at, leg.ended_at, leg.end,
        _s(leg.assigned_at, leg.at_scene_at), _s(leg.at_hospital_at, leg.ended_at),
    )  # fmt: skip


def _s(start: datetime | None, end: datetime | None) -> float | None:
    return None if start is None or end is None else round((end - start).total_seconds(), 1)
