"""Where trackers of other makers hand in positions. One partner token for the whole tracking server."""

from __future__ import annotations

from aiohttp import web

from dispatch import avl, metrics, trackers
from dispatch.api.problems import Problem
from dispatch.api.routes import PARTNER, Call, Route, json
from dispatch.api.unit import FixesAnswer, Flag

PARTNERS = frozenset({PARTNER})


def judge(call: Call, unit_id: str, fix: avl.Fix | None) -> FixesAnswer:
    """One fix of one unit; judged like a phone's."""
    services = call.services
    hub = services.live.hub
    if unit_id not in hub.state.units:
        raise Problem("unknown_unit", "id")
    if fix is None:
        return FixesAnswer(accepted=0, flagged=[Flag(0, "no_fix")])
    now = services.clock.now()
    why = avl.flaw(fix, hub.positions.get(unit_id), now, services.region)
    metrics.fixes.labels(why or "accepted").inc()
    if why is not None:
        return FixesAnswer(accepted=0, flagged=[Flag(0, why)])
    position = avl.position_of(fix, now)
    services.live.fix(unit_id, position)
    services.live.keep_fix(unit_id, position)
    return FixesAnswer(accepted=1, flagged=[])


async def traccar(call: Call) -> web.StreamResponse:
    unit_id, fix = trackers.from_traccar(call.body)
    return json(judge(call, unit_id, fix))


async def owntracks(call: Call) -> web.StreamResponse:
    """The app reads the answer as a list of orders to itself and shows an error for anything else. We have none."""
    unit_id, fix = trackers.from_owntracks(call.body, call.request.headers.get("X-Limit-D", ""))
    if fix is not None:
        judge(call, unit_id, fix)
    return json([])


async def osmand(call: Call) -> web.StreamResponse:
    unit_id, fix = trackers.from_osmand(call.request.query)
    return json(judge(call, unit_id, fix))


def _route(
    method: str, name: str, handler: object, summary: str, body: object = None, answer: object = FixesAnswer
) -> Route:
    return Route(
        method,
        f"/api/v1/trackers/{name}",
        handler,  # type: ignore[arg-type]
        summary,
        roles=PARTNERS,
        body=body,
        answer=answer,
        statuses=(404, 422, 503),
        tag="trackers",
    )


ROUTES = [
    _route("POST", "traccar", traccar, "Traccar position forwarding (JSON).", trackers.TraccarMessage),
    _route("POST", "owntracks", owntracks, "OwnTracks over HTTP.", trackers.OwnTracksMessage, list[str]),
    _route("GET", "osmand", osmand, "OsmAnd query form."),
    _route("POST", "osmand", osmand, "OsmAnd query form."),
]
