"""What a crew's phone fetches when duty begins and keeps for the day without a line: names to choose from, tiles of its district."""

from __future__ import annotations

import math
from collections.abc import Iterator

import msgspec
from aiohttp import web

from dispatch.api.problems import Problem
from dispatch.api.routes import CREW, Call, Route, json
from dispatch.model import Unit
from dispatch.region import Region

TILES_MAX = 400
"""About 3 MB at 8 kB a tile: nobody's data plan, and far below what a phone's browser lets a site keep."""
ZOOMS = (11, 15)
"""From the whole city to single lanes; the deepest is stretched beyond (`geo.tiles.ZOOM_MAX`)."""
AROUND_POST_M = 2000.0
M_PER_DEG = 111_320.0
"""Length of a degree of latitude."""


class Capable(msgspec.Struct):
    """Something that can be asked for as backup."""

    capability: str
    name_id: str
    name_en: str


class Setup(msgspec.Struct):
    """`district`: west, south, east, north around the unit's kecamatan and post. `tiles`: of it, far zooms first, each an address
    below `/tiles/`. `crew_check_s`: how often a crew at the scene owes a sign of life; null = this region does not ask.
    """

    unit_id: str
    unit_type: str
    district: tuple[float, float, float, float]
    tiles: list[str]
    backup: list[Capable]
    posts: dict[str, str]
    crew_check_s: float | None
    target_s: float


async def setup(call: Call) -> web.StreamResponse:
    services, region = call.services, call.services.region
    unit = services.live.hub.state.units.get(call.who.name)
    if unit is None:
        raise Problem("unknown_unit", "unit_id")
    district = district_of(region, unit)
    there_are = {c for spec in region.units.values() for c in region.unit_types[spec.unit_type].capabilities}
    return json(
        Setup(
            unit_id=unit.unit_id,
            unit_type=unit.unit_type,
            district=district,
            tiles=[f"{z}/{x}/{y}" for z, x, y in tiles_of(district)],
            backup=[Capable(c.code, c.name_id, c.name_en) for c in region.capabilities.values() if c.code in there_are],
            posts={p.code: p.name for p in region.posts.values()},
            crew_check_s=region.limits.crew_check_s,
            target_s=region.limits.target_s,
        )
    )


def district_of(region: Region, unit: Unit) -> tuple[float, float, float, float]:
    """A box around the unit's post and the kecamatan whose centre is nearest to it. The kecamatan is taken as a square of its
    area: its true outline is not in every region pack.
    """
    post = region.posts.get(unit.post or "") or region.posts.get(unit.home_post or "")
    west, south, east, north = region.bbox
    lon, lat = (post.lon, post.lat) if post is not None else ((west + east) / 2.0, (south + north) / 2.0)
    boxes = [(lon, lat, AROUND_POST_M)]
    if region.zones:
        zone = min(region.zones.values(), key=lambda z: ((z.lon - lon) ** 2 + (z.lat - lat) ** 2, z.code))
        boxes.append((zone.lon, zone.lat, math.sqrt(zone.area_km2) * 500.0))
    across = M_PER_DEG * math.cos(math.radians(lat))
    return (
        max(west, min(x - half_m / across for x, _, half_m in boxes)),
        max(south, min(y - half_m / M_PER_DEG for _, y, half_m in boxes)),
        min(east, max(x + half_m / across for x, _, half_m in boxes)),
        min(north, max(y + half_m / M_PER_DEG for _, y, half_m in boxes)),
    )


def tiles_of(box: tuple[float, float, float, float]) -> list[tuple[int, int, int]]:
    """(z, x, y) of every tile that touches the box, far zooms first, at most TILES_MAX."""
    found = [tile for z in range(ZOOMS[0], ZOOMS[1] + 1) for tile in _of_zoom(box, z)]
    return found[:TILES_MAX]


def _of_zoom(box: tuple[float, float, float, float], z: int) -> Iterator[tuple[int, int, int]]:
    west, south, east, north = box
    (x0, y0), (x1, y1) = _tile_at(west, north, z), _tile_at(east, south, z)
    for x in range(x0, x1 + 1):
        for y in range(y0, y1 + 1):
            yield z, x, y


def _tile_at(lon: float, lat: float, z: int) -> tuple[int, int]:
    """Web Mercator (EPSG:3857) tile numbers."""
    n = 2**z
    y = (1.0 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2.0
    return min(n - 1, int((lon + 180.0) / 360.0 * n)), min(n - 1, int(y * n))


ROUTES = [
    Route(
        "GET",
        "/api/v1/unit/setup",
        setup,
        "What this unit's phone keeps for the day: tiles of its district, what can be asked for, the region's limits.",
        roles=frozenset({CREW}),
        answer=Setup,
        statuses=(404,),
        tag="unit",
    ),
]
