"""The past on the wire: log book, search over incidents and, for a purpose that is written down, over callers; replay."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from aiohttp import web

from dispatch.api.problems import Problem
from dispatch.api.routes import DESK, READERS, Call, Route, json
from dispatch.history import TOLD, PastCaller, PastIncident, TrackFix
from dispatch.publish import entry_row

SPAN_MAX = timedelta(days=3660)
"""Ten years: longer than any record is kept."""
LOG_SPAN_MAX = timedelta(days=31)
CALLERS_MAX = 50
"""Personal data shown at once; whoever needs more narrows the search."""
REPLAY_LEAD = timedelta(minutes=2)
"""A replay begins this long before the first ring and ends this long after the last event: where everybody came from."""
REPLAY_MAX = timedelta(hours=12)

Stamp = Annotated[datetime, msgspec.Meta(tz=True)]


class LogQuery(msgspec.Struct, frozen=True):
    """`kind` one kind of event, left out = everything a log book tells; `before` the `seq` of the page before."""

    since: Stamp
    until: Stamp
    kind: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    before: Annotated[int, msgspec.Meta(ge=1)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 200


class FindQuery(msgspec.Struct, frozen=True):
    """`q` is looked for in number, address, outcome and reporters' words; `lon`, `lat` and `within_m` go together."""

    since: Stamp
    until: Stamp
    q: Annotated[str, msgspec.Meta(min_length=2, max_length=100)] | None = None
    kind: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    lon: Annotated[float, msgspec.Meta(ge=-180, le=180)] | None = None
    lat: Annotated[float, msgspec.Meta(ge=-90, le=90)] | None = None
    within_m: Annotated[float, msgspec.Meta(ge=10, le=20_000)] = 300.0
    before: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 100


class CallersQuery(msgspec.Struct, frozen=True):
    """`who`: the last digits of the number (five at least), else a part of the name. `purpose` is kept with the search."""

    since: Stamp
    until: Stamp
    who: Annotated[str, msgspec.Meta(min_length=3, max_length=80)]
    purpose: Annotated[str, msgspec.Meta(min_length=5, max_length=200)]


class Tracks(msgspec.Struct):
    """Where an incident's units drove between `since` and `until`; `thinned`: there were more fixes than are shown."""

    since: datetime
    until: datetime
    fixes: list[TrackFix]
    thinned: bool


def _span(since: datetime, until: datetime, longest: timedelta) -> None:
    if not since < until <= since + longest:
        raise Problem("invalid_query", "until", {"days_max": longest.days})


async def log_book(call: Call) -> web.StreamResponse:
    """What happened, newest first, without callers' data."""
    query = call.query
    _span(query.since, query.until, LOG_SPAN_MAX)
    if query.kind is not None and query.kind not in TOLD:
        raise Problem("invalid_query", "kind", {"kinds": TOLD})
    kinds = TOLD if query.kind is None else (query.kind,)
    entries = await call.services.history.log_book(query.since, query.until, kinds, query.before, query.limit)
    return json({"entries": [entry_row(e) for e in entries]})


async def find_incidents(call: Call) -> web.StreamResponse:
    query = call.query
    _span(query.since, query.until, SPAN_MAX)
    near = None
    if query.lon is not None and query.lat is not None:
        near = (query.lon, query.lat, query.within_m)
    found = await call.services.history.incidents(
        query.since,
        query.until,
        words=query.q,
        kind=query.kind,
        near=near,
        before=query.before,
        limit=query.limit,
    )
    return json({"incidents": found})


async def find_callers(call: Call) -> web.StreamResponse:
    """Who called, by number or name. The search and every caller it shows are recorded before anything is answered."""
    services, query = call.services, call.query
    _span(query.since, query.until, SPAN_MAX)
    found = await services.history.callers(query.since, query.until, query.who, CALLERS_MAX)
    await services.accounts.record_search(services.region.code, call.who, query.purpose, [f.report_id for f in found])
    return json({"callers": found, "most": CALLERS_MAX})


async def tracks(call: Call) -> web.StreamResponse:
    """For a replay on the map."""
    services = call.services
    incident_id = call.path("incident_id")
    state = services.live.hub.state
    incident = state.incidents.get(incident_id)
    now = services.clock.now()
    if incident is not None:
        jobs = [state.assignments[a] for a in incident.assignment_ids if a in state.assignments]
        units = {a.unit_id for a in jobs}
        first, ended = incident.first_ring_at, incident.ended_at
        busy_until = [a.ended_at or now for a in jobs]
    else:
        past = await services.history.past(incident_id)
        if past is None:
            raise Problem("unknown_incident", "incident_id")
        units = {a["unit_id"] for a in past.assignments}
        first = _time(past.incident["first_ring_at"])
        ended = _time(past.incident["ended_at"]) if past.incident["ended_at"] else None
        busy_until = [_time(a["ended_at"]) for a in past.assignments if a["ended_at"]]
    since = first - REPLAY_LEAD
    until = min(max([ended or now, *busy_until]) + REPLAY_LEAD, since + REPLAY_MAX, now)
    fixes, thinned = await services.history.tracks(sorted(units), since, until)
    return json(Tracks(since, until, fixes, thinned))


def _time(text: str) -> datetime:
    return msgspec.convert(text, datetime)


ROUTES = [
    Route(
        "GET",
        "/api/v1/history/log",
        log_book,
        "The log book: what happened, newest first.",
        roles=READERS,
        query=LogQuery,
        answer=dict[str, Any],
        statuses=(503,),
        tag="history",
    ),
    Route(
        "GET",
        "/api/v1/history/incidents",
        find_incidents,
        "Search over incidents of any age.",
        roles=READERS,
        query=FindQuery,
        answer=dict[str, list[PastIncident]],
        statuses=(503,),
        tag="history",
    ),
    Route(
        "GET",
        "/api/v1/history/callers",
        find_callers,
        "Search over callers, for a purpose; recorded.",
        roles=DESK,
        query=CallersQuery,
        answer=dict[str, list[PastCaller] | int],
        statuses=(503,),
        tag="history",
    ),
    Route(
        "GET",
        "/api/v1/incidents/{incident_id}/tracks",
        tracks,
        "Where an incident's units drove.",
        roles=READERS,
        answer=Tracks,
        statuses=(404, 503),
        tag="history",
    ),
]
