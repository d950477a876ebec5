"""Places and maps: type-ahead, reverse geocoding, routes, reach, vector tiles and their style. All local, no internet."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web

from dispatch.api.job import AboutPlace, about_place, premises_of
from dispatch.api.problems import Problem
from dispatch.api.routes import CREW, STAFF, Call, Route, json, json_bytes
from dispatch.api.services import Services
from dispatch.model import Place, UnitState
from dispatch.region import Region
from geo.coverage import Coverage
from geo.isochrones import isochrones
from geo.roads import RoadGraph

TILE_CACHE = "public, max-age=3600"
MVT = "application/vnd.mapbox-vector-tile"
ZOOM_MAX = 18


class SearchQuery(msgspec.Struct, frozen=True):
    q: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    lon: Annotated[float, msgspec.Meta(ge=-180, le=180)] | None = None
    lat: Annotated[float, msgspec.Meta(ge=-90, le=90)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=20)] = 8


class PointQuery(msgspec.Struct, frozen=True):
    lon: Annotated[float, msgspec.Meta(ge=-180, le=180)]
    lat: Annotated[float, msgspec.Meta(ge=-90, le=90)]


class RouteQuery(msgspec.Struct, frozen=True):
    from_lon: Annotated[float, msgspec.Meta(ge=-180, le=180)]
    from_lat: Annotated[float, msgspec.Meta(ge=-90, le=90)]
    to_lon: Annotated[float, msgspec.Meta(ge=-180, le=180)]
    to_lat: Annotated[float, msgspec.Meta(ge=-90, le=90)]
    mode: Literal["lights", "regular", "motorbike"] = "lights"


class StyleQuery(msgspec.Struct, frozen=True):
    theme: Literal["night", "day"] = "night"
    lang: Literal["id", "en"] = "id"


class ReachQuery(msgspec.Struct, frozen=True):
    """`seconds` from the first ring; `capability` limits to units that have it, left out = any first responder."""

    seconds: Annotated[float, msgspec.Meta(ge=60, le=3600)] = 420.0
    capability: Annotated[str, msgspec.Meta(max_length=64)] | None = None


class Found(msgspec.Struct):
    name: str
    kind: str
    lon: float
    lat: float
    confidence: float
    kelurahan: str = ""
    kecamatan: str = ""
    radius_m: float | None = None
    why: str = ""
    why_en: str = ""


class Way(msgspec.Struct):
    """A route for drawing and reading out."""

    eta_s: float
    length_m: float
    basis: str
    approximate: bool
    coordinates: list[tuple[float, float]]
    names: list[str]
    steps: list[dict[str, Any]]


class ResponseArea(msgspec.Struct):
    agency: str
    name: str


class About(msgspec.Struct):
    """What is known about a point before anybody rings: notes within whose radius it lies, hazards first, and whose response
    areas it lies in, the smallest first."""

    notes: list[AboutPlace]
    areas: list[ResponseArea]


async def search(call: Call) -> web.StreamResponse:
    query = call.query
    near = (query.lon, query.lat) if query.lon is not None and query.lat is not None else None
    return json(
        [
            Found(
                name=m.name,
                kind=m.kind,
                lon=m.lon,
                lat=m.lat,
                confidence=round(m.confidence, 3),
                kelurahan=m.kelurahan,
                kecamatan=m.kecamatan,
                radius_m=m.radius_m,
                why=m.why,
                why_en=m.why_en,
            )
            for m in call.services.places.search(query.q, near=near, limit=query.limit)
        ]
    )


async def reverse(call: Call) -> web.StreamResponse:
    query = call.query
    _inside(call, query.lon, query.lat)
    return json({"address": call.services.places.reverse(query.lon, query.lat)})


async def about(call: Call) -> web.StreamResponse:
    query = call.query
    _inside(call, query.lon, query.lat)
    site = call.services.site
    areas = [] if site is None else site.areas.at(query.lon, query.lat)
    return json(
        About(
            notes=about_place(call.services, query.lon, query.lat) + _premises(call, query.lon, query.lat),
            areas=[ResponseArea(area.agency, area.name) for area in areas],
        )
    )


def _premises(call: Call, lon: float, lat: float) -> list[AboutPlace]:
    """What the pack itself says of the premises around a point."""
    found = premises_of(call.services.region, Place(lon=lon, lat=lat))
    return [AboutPlace(p.name, "premise", f"{p.name}: {p.note_id}", f"{p.name}: {p.note_en}") for p in found]


async def notes(call: Call) -> web.StreamResponse:
    """Everything noted beforehand, for the map's layer of hazards: what is imported and the pack's own premises."""
    services = call.services
    if services.map_notes is None:
        services.map_notes = await asyncio.to_thread(_draw_notes, services)
    return json_bytes(services.map_notes)


def _draw_notes(services: Services) -> bytes:
    """GeoJSON points, hazards last, so that they are drawn above the others; a tenth of a second with a city's hydrants."""
    drawn = [
        _point(p.code, p.lon, p.lat, "premise", p.radius_m, f"{p.name}: {p.note_id}", f"{p.name}: {p.note_en}")
        for p in services.region.premises.values()
    ]
    if services.site is not None:
        drawn += [
            _point(note_id, lon, lat, note.kind, radius_m, note.text_id, note.text_en)
            for note_id, lon, lat, radius_m, note in services.site.notes.items()
        ]
    drawn.sort(key=lambda feature: feature["properties"]["kind"] == "hazard")
    return msgspec.json.encode({"type": "FeatureCollection", "features": drawn})


def _point(
    note_id: str, lon: float, lat: float, kind: str, radius_m: float, text_id: str, text_en: str
) -> dict[str, Any]:
    about = {"note_id": note_id, "kind": kind, "radius_m": radius_m, "text_id": text_id, "text_en": text_en}
    return {"type": "Feature", "geometry": {"type": "Point", "coordinates": [lon, lat]}, "properties": about}


async def way(call: Call) -> web.StreamResponse:
    query = call.query
    _inside(call, query.from_lon, query.from_lat)
    _inside(call, query.to_lon, query.to_lat)
    router = call.services.live.router
    found = router.route(query.from_lon, query.from_lat, query.to_lon, query.to_lat, query.mode)
    return json(
        Way(
            eta_s=round(found.eta_s, 1),
            length_m=round(found.length_m),
            basis=found.basis,
            approximate=router.approximate,
            coordinates=found.coordinates,
            names=found.names,
            steps=[asdict(s) for s in found.steps],
        )
    )


def _inside(call: Call, lon: float, lat: float) -> None:
    if not call.services.region.contains(lon, lat):
        raise Problem("outside_region", "lon", {"lon": lon, "lat": lat})


REACH_OVERHEAD_S = 130.0
"""First ring to wheels rolling at the budgets of `sla`: answer 10, entry 45, decision 10, alert 5, and 60 s of turnout
(NFPA 1710). What is left of `seconds` is driving."""
REACH_KEPT_S = 10.0


async def reach(call: Call) -> web.StreamResponse:
    """Where a free unit could stand in time if somebody rang now, as GeoJSON. Drawn in a thread, kept for ten seconds."""
    services, query = call.services, call.query
    router = services.live.router
    if not isinstance(router, RoadGraph):
        raise Problem("no_road_network")
    travel_s = query.seconds - REACH_OVERHEAD_S
    if travel_s <= 0.0:
        raise Problem("invalid_query", "seconds", {"least": REACH_OVERHEAD_S})
    hub = services.live.hub
    now = services.clock.now()
    key = (query.seconds, query.capability)
    kept = services.reach.get(key)
    if kept is not None and (now - kept[0]).total_seconds() < REACH_KEPT_S:
        return json(kept[1])
    wanted = {query.capability} if query.capability is not None else first_responders(services.region)
    places = [
        (u.unit_id, p.lon, p.lat)
        for u in hub.state.units.values()
        if u.state is UnitState.AVAILABLE
        and not wanted.isdisjoint(u.capabilities)
        and (p := hub.positions.get(u.unit_id) or u.position) is not None
    ]
    drawn = await asyncio.to_thread(_draw_reach, router, places, travel_s)
    drawn["seconds"], drawn["travel_s"], drawn["units"], drawn["at"] = query.seconds, travel_s, len(places), now
    services.reach[key] = (now, drawn)
    return json(drawn)


def first_responders(region: Region) -> set[str]:
    """Capabilities that stop the clock of a medical priority-1 emergency in some plan."""
    medical = {k.code for k in region.kinds.values() if k.medical}
    return {
        c
        for plan in region.plans
        if 1 in plan.priorities and plan.kinds & medical
        for slot in plan.slots
        if slot.first
        for c in slot.capabilities
    }


def _draw_reach(graph: RoadGraph, places: list[tuple[str, float, float]], travel_s: float) -> dict[str, Any]:
    fleet = graph.fleet()
    for unit_id, lon, lat in places:
        fleet.place(unit_id, lon, lat)
    return isochrones(graph, Coverage.of_fleet(fleet).time_s, [travel_s])


async def tile(call: Call) -> web.StreamResponse:
    """One vector tile, gzip, with an ETag; empty tiles are 204."""
    try:
        z, x, y = (int(call.path(p)) for p in ("z", "x", "y"))
    except ValueError:
        raise Problem("not_found") from None
    if not 0 <= z <= ZOOM_MAX or not 0 <= x < 2**z or not 0 <= y < 2**z:
        raise Problem("not_found")
    tiles = call.services.tiles
    body, etag = tiles.held(z, x, y) or await asyncio.to_thread(tiles.tile, z, x, y)
    headers = {"Cache-Control": TILE_CACHE, "ETag": f'"{etag}"'}
    # Weak ones count, several may be named, and `*` is any (RFC 9110, 13.1.2): a proxy that packs anew weakens ours.
    if any(known.value in (etag, "*") for known in call.request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    if not body:
        return web.Response(status=204, headers=headers)
    headers["Content-Encoding"] = "gzip"
    return web.Response(body=body, content_type=MVT, headers=headers)


async def style(call: Call) -> web.StreamResponse:
    return json(call.services.tiles.style(call.query.theme, call.query.lang))


ROUTES = [
    Route(
        "GET",
        "/api/v1/places/search",
        search,
        "Find a place as callers say it.",
        query=SearchQuery,
        answer=list[Found],
        tag="map",
        limit="public_read",
    ),
    Route(
        "GET",
        "/api/v1/places/reverse",
        reverse,
        "What is at this point.",
        query=PointQuery,
        answer=dict[str, str],
        tag="map",
        limit="public_read",
    ),
    Route(
        "GET",
        "/api/v1/places/about",
        about,
        "Hazards, premise notes and response areas of a point.",
        roles=STAFF,
        query=PointQuery,
        answer=About,
        tag="map",
    ),
    Route(
        "GET",
        "/api/v1/map/notes",
        notes,
        "All hazards, premise notes and water points, as GeoJSON.",
        roles=STAFF,
        answer=dict[str, Any],
        tag="map",
    ),
    Route(
        "GET",
        "/api/v1/map/route",
        way,
        "The way between two points.",
        roles=STAFF,
        query=RouteQuery,
        answer=Way,
        tag="map",
    ),
    Route(
        "GET",
        "/api/v1/unit/route",
        way,
        "The way between two points, for a crew.",
        roles=frozenset({CREW}),
        query=RouteQuery,
        answer=Way,
        tag="unit",
    ),
    Route(
        "GET",
        "/api/v1/map/reach",
        reach,
        "Where a free unit could be in time, now.",
        roles=STAFF,
        query=ReachQuery,
        answer=dict[str, Any],
        statuses=(503,),
        tag="map",
    ),
    Route(
        "GET",
        "/tiles/{z}/{x}/{y}",
        tile,
        "A vector tile of the city.",
        content=MVT,
        statuses=(204, 304, 404),
        tag="map",
    ),
    Route(
        "GET",
        "/api/v1/map/style.json",
        style,
        "MapLibre style of the city map.",
        query=StyleQuery,
        answer=dict[str, Any],
        tag="map",
        limit="public_read",
    ),
]
