"""Reading: incidents, units, the region's names, and, audited, who called."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web

from dispatch.api.problems import Problem
from dispatch.api.routes import DESK, READERS, STAFF, Call, Route, json
from dispatch.doubt import LOOKED_BACK, Doubt, weigh
from dispatch.model import OPEN_STATES, Caller
from dispatch.publish import entry_row, position_row, report_row

PAGE_MAX = 500
TIMELINE_SPAN = timedelta(hours=48)


class IncidentsQuery(msgspec.Struct, frozen=True):
    """`before` is the id of the last incident of the previous page."""

    state: Literal["open", "ended"] = "open"
    before: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_MAX)] = 100


class PurposeQuery(msgspec.Struct, frozen=True):
    purpose: Annotated[str, msgspec.Meta(min_length=5, max_length=200)]
    """Why the caller's data is needed; kept with the reading."""


async def incidents(call: Call) -> web.StreamResponse:
    """Incidents in memory: all open ones, and those ended in the last 48 h, newest first."""
    hub = call.services.live.hub
    want_open = call.query.state == "open"
    rows = sorted(
        (
            i.incident_id
            for i in hub.state.incidents.values()
            if (i.state in OPEN_STATES) == want_open
            and (call.query.before is None or i.incident_id < call.query.before)
        ),
        reverse=True,
    )
    return json({"incidents": [hub.incident_row(i) for i in rows[: call.query.limit]], "total": len(rows)})


async def incident(call: Call) -> web.StreamResponse:
    """One incident with its reports, assignments and timeline."""
    live = call.services.live
    state = live.hub.state
    found = state.incidents.get(call.path("incident_id"))
    if found is None:
        return await _past_incident(call)
    ids = [found.incident_id, *found.report_ids, *found.assignment_ids]
    since = min(found.first_ring_at, found.opened_at) - timedelta(seconds=1)
    until = call.services.clock.now() + timedelta(seconds=1)
    timeline = await live.journal.about(ids, since, min(until, since + TIMELINE_SPAN))
    return json(
        {
            "incident": live.hub.incident_row(found.incident_id),
            "reports": [report_row(state.reports[r]) for r in found.report_ids if r in state.reports],
            "assignments": [state.assignments[a] for a in found.assignment_ids if a in state.assignments],
            "timeline": [entry_row(e) for e in timeline],
        }
    )


async def _past_incident(call: Call) -> web.StreamResponse:
    """The same for an incident that has left memory."""
    history, incident_id = call.services.history, call.path("incident_id")
    past = await history.past(incident_id) if history is not None else None
    if past is None:
        raise Problem("unknown_incident", "incident_id")
    ids = [incident_id, *past.incident["report_ids"], *past.incident["assignment_ids"]]
    since = msgspec.convert(past.incident["first_ring_at"], datetime) - timedelta(seconds=1)
    timeline = await call.services.live.journal.about(ids, since, since + TIMELINE_SPAN)
    return json(
        {
            "incident": past.incident,
            "reports": past.reports,
            "assignments": past.assignments,
            "timeline": [entry_row(e) for e in timeline],
        }
    )


async def units(call: Call) -> web.StreamResponse:
    hub = call.services.live.hub
    return json(
        {
            "units": [msgspec.structs.replace(u, position=None) for u in hub.state.units.values()],
            "positions": [position_row(u, p) for u, p in hub.positions.items()],
        }
    )


async def caller(call: Call) -> web.StreamResponse:
    """Who called. Recorded with name, role and purpose before it is shown."""
    services = call.services
    report = services.live.hub.state.reports.get(call.path("report_id"))
    if report is None:
        raise Problem("unknown_report", "report_id")
    await services.accounts.record_reading(report.report_id, services.region.code, call.who, call.query.purpose)
    return json(report.caller)


async def doubt(call: Call) -> web.StreamResponse:
    """What the number's record says about a call that is being answered: counts only, so nothing personal is read."""
    services, report_id = call.services, call.path("report_id")
    if report_id not in services.live.hub.state.reports:
        raise Problem("unknown_report", "report_id")
    now = services.clock.now()
    earlier = await services.history.earlier_calls(report_id, now - LOOKED_BACK) if services.history else []
    return json(weigh(earlier, now))


def region_facts(call: Call) -> dict[str, Any]:
    """What a screen needs to draw names: no personal data, no policy."""
    region = call.services.region
    return {
        "code": region.code,
        "name": region.name,
        "utc_offset_h": region.utc_offset_h,
        "bbox": region.bbox,
        "centre": region.command_centre,
        "kinds": list(region.kinds.values()),
        "unit_types": list(region.unit_types.values()),
        "capabilities": list(region.capabilities.values()),
        "agencies": list(region.agencies.values()),
        "posts": list(region.posts.values()),
        "hospitals": list(region.hospitals.values()),
        "zones": list(region.zones.values()),
        "limits": region.limits,
        "router": {"name": call.services.live.router.name, "approximate": call.services.live.router.approximate},
    }


async def region(call: Call) -> web.StreamResponse:
    return json(region_facts(call))


async def triage(call: Call) -> web.StreamResponse:
    """The question set of a kind, in order."""
    kind = call.path("kind")
    services = call.services
    if kind not in services.region.kinds:
        raise Problem("unknown_kind", "kind")
    questions = services.region.triage.get(kind)
    return json({"kind": kind, "version": services.region.triage_version, "set": questions})


ROUTES = [
    Route(
        "GET",
        "/api/v1/incidents",
        incidents,
        "Incidents, newest first.",
        roles=READERS,
        query=IncidentsQuery,
        answer=dict[str, Any],
        tag="reads",
    ),
    Route(
        "GET",
        "/api/v1/incidents/{incident_id}",
        incident,
        "One incident with its timeline.",
        roles=READERS,
        answer=dict[str, Any],
        statuses=(404,),
        tag="reads",
    ),
    Route(
        "GET",
        "/api/v1/units",
        units,
        "Units and their latest positions.",
        roles=READERS,
        answer=dict[str, Any],
        tag="reads",
    ),
    Route(
        "GET",
        "/api/v1/reports/{report_id}/caller",
        caller,
        "Who called; the reading is recorded.",
        roles=DESK,
        query=PurposeQuery,
        answer=Caller,
        statuses=(404,),
        tag="reads",
    ),
    Route(
        "GET",
        "/api/v1/reports/{report_id}/doubt",
        doubt,
        "Whether the number's record speaks for a prank or a silent call. Approximate; blocks nothing.",
        roles=DESK,
        answer=Doubt,
        statuses=(404, 503),
        tag="reads",
    ),
    Route(
        "GET",
        "/api/v1/region",
        region,
        "Names, places and limits of the region.",
        roles=STAFF,
        answer=dict[str, Any],
        tag="reads",
    ),
    Route(
        "GET",
        "/api/v1/triage/{kind}",
        triage,
        "Triage questions of a kind.",
        roles=DESK,
        answer=dict[str, Any],
        statuses=(422,),
        tag="reads",
    ),
]
