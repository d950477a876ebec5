"""Where trackers of other makers hand in positions. One partner token for the whole tracking server."""

from __future__ import annotations

from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from dispatch import avl, metrics, trackers
from dispatch.api.problems import Problem, from_validation
from dispatch.api.routes import BODY_MAX, BODY_S, PARTNER, Call, Route, json, read_bytes
from dispatch.api.unit import FixesAnswer, Flag

PARTNERS = frozenset({PARTNER})
FORM, JSON = "application/x-www-form-urlencoded", "application/json"
FIELDS_MAX = 50
"""A client sends a dozen."""
CLIENT = msgspec.json.Decoder(trackers.ClientMessage)


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


async def osmand_posted(call: Call) -> web.StreamResponse:
    """The same as a form, as the newer clients' JSON, or in the address of an empty POST."""
    raw = await read_bytes(call.request, BODY_MAX, BODY_S)
    fix: avl.Fix | None
    try:
        if not raw:
            unit_id, fix = trackers.from_osmand(call.request.query)
        elif call.request.content_type == FORM:
            fields = parse_qsl(raw.decode(), max_num_fields=FIELDS_MAX)
            unit_id, fix = trackers.from_osmand({**call.request.query, **dict(fields)})
        elif call.request.content_type == JSON:
            unit_id, fix = trackers.from_client(CLIENT.decode(raw))
        else:
            raise Problem("unsupported_media_type")
    except msgspec.ValidationError as error:
        raise from_validation(error, "invalid_body") from None
    except (msgspec.DecodeError, ValueError) as error:  # also bytes that are no text
        raise Problem("invalid_body", detail={"why": str(error)}) from None
    return json(judge(call, unit_id, fix))


def _route(
    method: str, name: str, handler: object, summary: str, body: object = None, answer: object = FixesAnswer,
    takes: tuple[str, ...] = (),
) -> Route:  # fmt: skip
    return Route(
        method,
        f"/api/v1/trackers/{name}",
        handler,  # type: ignore[arg-type]
        summary,
        roles=PARTNERS,
        body=body,
        takes=takes,
        answer=answer,
        statuses=(404, 422, 503),
        tag="trackers",
    )


ROUTES = [
    _route("POST", "traccar", traccar, "Traccar position forwarding (JSON).", trackers.TraccarMessage),
    _route("POST", "owntracks", owntracks, "OwnTracks over HTTP.", trackers.OwnTracksMessage, list[str]),
    _route("GET", "osmand", osmand, "OsmAnd query form."),
    _route("POST", "osmand", osmand_posted, "OsmAnd as form or JSON.", takes=(FORM, JSON)),
]
