"""The shapes of kecamatan and kelurahan for small maps: neighbours share one line, simplified, a few kilobytes."""

from __future__ import annotations

import asyncio
from typing import Literal

import msgspec
import shapely
from aiohttp import web

from dashboards.boards import answer_bytes, packed
from dispatch.api.routes import Call, Route
from geo.zones import Zones

TOLERANCE_DEG = {"kecamatan": 0.0008, "kelurahan": 0.0004}
"""About 90 m and 45 m: a pixel or two of a map 600 px wide."""
DECIMALS = 4
"""11 m."""
CACHE = "public, max-age=86400"
PART_MIN_DEG2 = 1e-7
"""Slivers of about 35 m x 35 m that cutting cells at a border leaves."""


class Area(msgspec.Struct, frozen=True):
    """One area: rings of [lon, lat], outer and inner alike (fill rule even-odd)."""

    code: str
    name: str
    parent: str
    rings: list[list[tuple[float, float]]]


class Areas(msgspec.Struct, frozen=True):
    """`approximate`: cells of what lies nearest to a typed point, not surveyed borders."""

    level: str
    approximate: bool
    areas: list[Area]


class AreasQuery(msgspec.Struct, frozen=True):
    level: Literal["kecamatan", "kelurahan"] = "kecamatan"


def make_areas(zones: Zones | None, level: str) -> Areas:
    """Empty where the region knows no zones."""
    if zones is None:
        return Areas(level, True, [])
    if level == "kecamatan":
        named = [(code, name, "", shape) for code, name, shape in zones.kecamatan_shapes()]
    else:
        named = [(z.code, z.name, z.kecamatan_code, s) for z, s in zip(zones.zones, zones.shapes, strict=True)]
    simple = shapely.coverage_simplify([shape for _, _, _, shape in named], TOLERANCE_DEG[level])
    return Areas(
        level,
        zones.how != "polygon",
        [Area(code, name, parent, _rings(shape)) for (code, name, parent, _), shape in zip(named, simple, strict=True)],
    )


def _rings(shape: shapely.Geometry) -> list[list[tuple[float, float]]]:
    rings = []
    for part in shapely.get_parts(shape):
        if part.geom_type == "Polygon" and part.area >= PART_MIN_DEG2:
            for ring in (part.exterior, *part.interiors):
                rings.append([(round(x, DECIMALS), round(y, DECIMALS)) for x, y in ring.coords[:-1]])
    return rings


def routes(zones: Zones | None) -> list[Route]:
    """One open route; made once, on the first question, in a thread."""
    kept: dict[str, tuple[bytes, bytes]] = {}
    making = asyncio.Lock()

    async def areas(call: Call) -> web.StreamResponse:
        level = call.query.level
        async with making:
            if level not in kept:
                kept[level] = await asyncio.to_thread(packed, lambda: make_areas(zones, level))
        return answer_bytes(call, *kept[level], {"Cache-Control": CACHE, "Access-Control-Allow-Origin": "*"})

    return [
        Route(
            "GET", "/api/v1/public/areas", areas, "Shapes of kecamatan or kelurahan for small maps.",
            query=AreasQuery, answer=Areas, tag="public", limit="public_read",
        )
    ]  # fmt: skip
