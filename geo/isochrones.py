"""Areas reachable within T seconds, as GeoJSON: time-to-node turned into polygons on a square raster.

Approximate by construction: a cell counts as reached when its centre can be reached from some node in the time left, in a
straight line at off-road speed and at most REACH_MAX_M from it. The outline follows cells and is then simplified.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from scipy.ndimage import binary_closing

from geo.roads import RoadGraph
from geo.router import LIGHTS, FloatArray, Mode, Rejected

CELL_M = 100.0  # a city block; finer only makes larger answers
CELLS_MAX = 4_000_000  # 2,000 x 2,000: a region of 200 km at this cell
REACH_MAX_M = 300.0  # how far from a node a cell still belongs to it: beyond, nobody lives along a road we know
SIMPLIFY_M = 60.0  # below the cell, so the outline stays true to it
LEVELS_MAX = 12


def isochrones(
    graph: RoadGraph, time_s: FloatArray, levels_s: Sequence[float], mode: Mode = LIGHTS, cell_m: float = CELL_M
) -> dict[str, Any]:
    """A GeoJSON FeatureCollection, one MultiPolygon per level (ascending), each holding the smaller ones.

    `time_s` (n,) is the seconds to every node, from `RoadGraph.times_from_many` or `Coverage.time_s`. Feature properties:
    within_s, area_km2, approximate. Raises Rejected on bad levels or a region too large for the cell.
    """
    levels = sorted(levels_s)
    if not 0 < len(levels) <= LEVELS_MAX or not levels[0] > 0.0 or not math.isfinite(levels[-1]):
        raise Rejected("bad_levels", f"1 to {LEVELS_MAX} positive levels in seconds, got {list(levels_s)}")
    raster = _raster_s(graph, time_s, levels[-1], graph.offroad_s_per_m(mode), cell_m)
    features = []
    for level in levels:
        # Closing fills single cells between parallel streets, which no reader of a map would call unreachable.
        reached = raster <= level
        shape = _outline(binary_closing(np.pad(reached, 1))[1:-1, 1:-1] | reached, cell_m)
        features.append(
            {
                "type": "Feature",
                "properties": {
                    "within_s": level,
                    "area_km2": round(shape.area / 1e6, 3),
                    "approximate": graph.approximate,
                },
                "geometry": _to_degrees(graph, shape),
            }
        )
    return {"type": "FeatureCollection", "features": features}


def _raster_s(graph: RoadGraph, time_s: FloatArray, limit_s: float, s_per_m: float, cell_m: float) -> FloatArray:
    """Seconds to each cell's centre, shape (rows, columns), padded by REACH_MAX_M; inf where not reached in time."""
    pad = math.ceil(REACH_MAX_M / cell_m)
    columns = int(graph.x.max() / cell_m) + 1 + 2 * pad
    rows = int(graph.y.max() / cell_m) + 1 + 2 * pad
    if rows * columns > CELLS_MAX:
        raise Rejected("too_large", f"{rows} x {columns} cells of {cell_m:.0f} m; use a coarser cell")
    raster: FloatArray = np.full((rows, columns), np.inf)
    near = np.flatnonzero(time_s <= limit_s)
    column = (graph.x[near] / cell_m).astype(np.int64)
    row = (graph.y[near] / cell_m).astype(np.int64)
    # Every reached node offers its time to the cells around it; the smallest offer stands.
    for dr in range(-pad, pad + 1):
        for dc in range(-pad, pad + 1):
            dx = (column + dc + 0.5) * cell_m - graph.x[near]
            dy = (row + dr + 0.5) * cell_m - graph.y[near]
            metres = np.hypot(dx, dy)
            # The node's own cell is always offered: the node itself lies in it.
            seconds = np.where(metres <= REACH_MAX_M, time_s[near] + metres * s_per_m, np.inf)
            if dr == 0 and dc == 0:
                seconds = time_s[near]
            np.minimum.at(raster, (row + dr + pad, column + dc + pad), seconds)
    return raster


def _outline(reached: npt.NDArray[np.bool_], cell_m: float) -> shapely.Geometry:
    """The outline of true cells in local metres: one box per run of cells in a row, joined."""
    edges = np.diff(np.pad(reached, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    start_row, start = np.nonzero(edges == 1)
    _, stop = np.nonzero(edges == -1)
    pad = math.ceil(REACH_MAX_M / cell_m)
    boxes = shapely.box(
        (start - pad) * cell_m, (start_row - pad) * cell_m, (stop - pad) * cell_m, (start_row + 1 - pad) * cell_m
    )
    return shapely.simplify(shapely.union_all(boxes), SIMPLIFY_M)


def _to_degrees(graph: RoadGraph, shape: shapely.Geometry) -> dict[str, Any]:
    """A MultiPolygon geometry in WGS84, five decimals (1 m)."""
    polygons = [p for p in shapely.get_parts(shape) if p.geom_type == "Polygon" and not p.is_empty]

    def ring(coordinates: Any) -> list[list[float]]:
        xy = np.asarray(coordinates)
        lon = np.round(xy[:, 0] / graph.x_m_per_deg + graph.lon0, 5)
        lat = np.round(xy[:, 1] / graph.y_m_per_deg + graph.lat0, 5)
        return np.column_stack([lon, lat]).tolist()  # type: ignore[no-any-return]

    oriented = [shapely.orient_polygons(p) for p in polygons]
    return {
        "type": "MultiPolygon",
        "coordinates": [[ring(p.exterior.coords), *(ring(hole.coords) for hole in p.interiors)] for p in oriented],
    }
