"""Map tiles from what we have: roads, water, zones and places as Mapbox Vector Tiles, so the map needs no internet.

Pure: `TileSource.tile(z, x, y)` is a function of what the source was built from; a bounded cache only saves work. Encoding
follows the Mapbox Vector Tile Specification 2.1 (library: mapbox-vector-tile); coordinates are Web Mercator (EPSG:3857).
"""

from __future__ import annotations

import gzip
import hashlib
import math
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import mapbox_vector_tile
import numpy as np
import numpy.typing as npt
import shapely

from geo.places import Place
from geo.places_tables import FloatArray, TypedShape
from geo.roads import RoadGraph
from geo.router import Rejected
from geo.tile_style import style
from geo.zones import Zones

Tile: TypeAlias = tuple[int, int, int]

ZOOM_MIN, ZOOM_MAX = 8, 15  # outside, the client stretches the nearest of these
EXTENT = 4096
BUFFER = 80  # tile units around the tile, so that wide lines do not end at its edge
CACHE_BYTES_MAX = 48 * 1024 * 1024  # a whole city at every zoom is about 20 MB; a province stays bounded
WORLD_M = 2.0 * math.pi * 6_378_137.0  # circumference EPSG:3857 assumes
LAT_MAX = 85.0511  # where Web Mercator's square ends

# From which zoom on a road is drawn. A tile then holds what a person can tell apart, a few thousand lines at most.
ROAD_ZOOM = {
    "motorway": 8, "trunk": 8, "primary": 9, "motorway_link": 11, "secondary": 10, "trunk_link": 12, "primary_link": 12,
    "tertiary": 11, "secondary_link": 13, "tertiary_link": 13, "unclassified": 13, "residential": 13, "road": 13,
    "unknown": 13, "living_street": 14, "street": 12, "service": 14, "track": 14,
}  # fmt: skip
ROAD_ZOOM_OTHER = 13
# Lanes carry their names from here on; before, all lanes of a class are one feature.
LANE_NAMES_ZOOM = 15
WATER_ZOOM = {"sea": 8, "river": 8, "pond": 12, "fishpond": 10, "canal": 12}
RAIL_ZOOM = 11
VILLAGE_ZOOM = 13
# Importance (0..1, see geo.places) a place needs to be in a tile of that zoom.
PLACE_NEEDS = {8: 2.0, 9: 2.0, 10: 2.0, 11: 2.0, 12: 0.78, 13: 0.64, 14: 0.48, 15: 0.2}
PLACES_PER_TILE = 400  # the most important; a collision check on the client hides most of them anyway
LABELLED_ZONES = {"kecamatan": (10, 14), "kelurahan": (13, 15)}
NOT_DRAWN = frozenset({"street", "toll", "street_point", "bridge", "crossing"})  # streets label themselves


@dataclass(slots=True)
class _Layer:
    """Shapes in Web Mercator metres with what is said about each; simplified once per zoom, on first use."""

    name: str
    shapes: npt.NDArray[np.object_]
    zoom_from: npt.NDArray[np.int64]
    zoom_to: npt.NDArray[np.int64]
    about: list[dict[str, Any]]
    keep_m: float = 0.0  # simplification never coarser than this at the deepest zoom


class TileSource:
    """Tiles of one region."""

    def __init__(
        self,
        graph: RoadGraph | None = None,
        shapes: Sequence[TypedShape] = (),
        zones: Zones | None = None,
        places: Sequence[Place] = (),
        attribution: str = "",
    ) -> None:
        self.attribution = attribution or (graph.licence if graph is not None else "")
        self.approximate = bool(graph is not None and graph.approximate)
        layers = [_road_layer(graph, shapes), _water_layer(shapes), _zone_layer(zones)]
        self._layers = [layer for layer in layers if len(layer.shapes)]
        self._places = _place_columns(places)
        self.bounds = self._bounds()
        self._by_zoom: dict[
            tuple[int, int], tuple[npt.NDArray[np.object_], npt.NDArray[np.int64], shapely.STRtree]
        ] = {}
        self._cache: OrderedDict[Tile, tuple[bytes, str]] = OrderedDict()
        self._cache_bytes = 0
        # Tiles may be drawn in worker threads; the lock guards the cache only, never the drawing.
        self._lock = threading.Lock()

    def tile(self, z: int, x: int, y: int) -> tuple[bytes, str]:
        """(gzip body, ETag) of a tile; an empty body means there is nothing there.

        Raises Rejected("bad_tile") for numbers that are no tile.
        """
        if not (0 <= z <= 24 and 0 <= x < 1 << z and 0 <= y < 1 << z):
            raise Rejected("bad_tile", f"{z}/{x}/{y} is not a tile")
        key = (z, x, y)
        with self._lock:
            held = self._cache.get(key)
            if held is not None:
                self._cache.move_to_end(key)
                return held
        body = self.draw(z, x, y) if ZOOM_MIN <= z <= ZOOM_MAX else b""
        packed = gzip.compress(body, 6, mtime=0) if body else b""  # mtime 0: the same tile has the same bytes
        made = (packed, hashlib.blake2b(packed, digest_size=10).hexdigest())
        with self._lock:
            if key not in self._cache:
                self._cache[key] = made
                self._cache_bytes += len(packed) + 200  # 200: what an entry costs beside its body
                while self._cache_bytes > CACHE_BYTES_MAX and len(self._cache) > 1:
                    _, (old, _) = self._cache.popitem(last=False)
                    self._cache_bytes -= len(old) + 200
        return made

    def held(self, z: int, x: int, y: int) -> tuple[bytes, str] | None:
        """The tile if it is in the cache: a handler can answer at once, and draw in a thread otherwise."""
        with self._lock:
            return self._cache.get((z, x, y))

    def region_tiles(self, zoom_max: int = ZOOM_MAX) -> Iterator[Tile]:
        """Every tile of the region, far zooms first, so that a server can draw them beside its other work after start."""
        west, south, east, north = self.bounds
        (low_x, high_x), (low_y, high_y) = mercator(np.array([west, east]), np.array([south, north]))
        for z in range(ZOOM_MIN, min(zoom_max, ZOOM_MAX) + 1):
            side, last = WORLD_M / 2**z, 2**z - 1
            columns = [min(max(int((v + WORLD_M / 2.0) / side), 0), last) for v in (low_x, high_x)]
            rows = [min(max(int((WORLD_M / 2.0 - v) / side), 0), last) for v in (high_y, low_y)]
            for x in range(columns[0], columns[1] + 1):
                for y in range(rows[0], rows[1] + 1):
                    yield z, x, y

    def draw(self, z: int, x: int, y: int) -> bytes:
        """The uncompressed tile, b"" when nothing is in it."""
        layers = []
        for index in range(len(self._layers)):
            features = self._features(index, z, x, y)
            if features:
                layers.append({"name": self._layers[index].name, "features": features})
        places = self._place_features(z, x, y)
        if places:
            layers.append({"name": "places", "features": places})
        if not layers:
            return b""
        options = {"y_coord_down": True, "extents": EXTENT, "check_winding_order": True}
        return bytes(mapbox_vector_tile.encode(layers, default_options=options))

    def style(self, theme: str = "night", lang: str = "id") -> dict[str, Any]:
        """A MapLibre style over these tiles, see geo.tile_style."""
        return style(theme, lang, self.bounds, self.attribution, self.approximate, (ZOOM_MIN, ZOOM_MAX))

    # ---- inside ---------------------------------------------------------------------------------------------------

    def _bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north of all layers in degrees."""
        boxes = [shapely.total_bounds(layer.shapes) for layer in self._layers if layer.name != "water"]
        if not boxes:
            return (-180.0, -LAT_MAX, 180.0, LAT_MAX)
        low_x, low_y = min(b[0] for b in boxes), min(b[1] for b in boxes)
        high_x, high_y = max(b[2] for b in boxes), max(b[3] for b in boxes)
        west, south = _degrees(low_x, low_y)
        east, north = _degrees(high_x, high_y)
        return (round(west, 5), round(south, 5), round(east, 5), round(north, 5))

    def _at_zoom(self, index: int, z: int) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.int64], shapely.STRtree]:
        """Shapes of a layer drawn at this zoom, simplified to half a tile unit at 512 px, their numbers and their index."""
        key = (index, z)
        made = self._by_zoom.get(key)
        if made is None:
            layer = self._layers[index]
            numbers = np.flatnonzero((layer.zoom_from <= z) & (z <= layer.zoom_to))
            pixel_m = WORLD_M / (512 * 2**z)
            shapes = layer.shapes[numbers]
            if z < ZOOM_MAX:
                shapes = shapely.simplify(shapes, 0.5 * pixel_m)
            made = (shapes, numbers, shapely.STRtree(shapes))
            self._by_zoom[key] = made
        return made

    def _features(self, index: int, z: int, x: int, y: int) -> list[dict[str, Any]]:
        shapes, numbers, tree = self._at_zoom(index, z)
        west, north, unit_m = _corner(z, x, y)
        side, margin = EXTENT * unit_m, BUFFER * unit_m
        box = (west - margin, north - side - margin, west + side + margin, north + margin)
        near = np.sort(tree.query(shapely.box(*box)))
        if not len(near):
            return []
        cut = shapely.clip_by_rect(shapes[near], *box)
        there = ~shapely.is_empty(cut)
        layer = self._layers[index]
        groups: dict[tuple[Any, ...], list[shapely.Geometry]] = {}
        for shape, number in zip(
            _to_units(cut[there], west, north, unit_m), numbers[near[there]].tolist(), strict=True
        ):
            about = layer.about[number]
            if z < LANE_NAMES_ZOOM and about.get("lane"):
                about = {"class": about["class"]}
            key = tuple((k, v) for k, v in about.items() if k != "lane" and v != "")
            groups.setdefault(key, []).append(shape)
        return [
            {"geometry": merged, "properties": dict(key)}
            for key, parts in groups.items()
            if not (merged := _merged(parts)).is_empty
        ]

    def _place_features(self, z: int, x: int, y: int) -> list[dict[str, Any]]:
        if not len(self._places.x):
            return []
        west, north, unit_m = _corner(z, x, y)
        u, v = (self._places.x - west) / unit_m, (north - self._places.y) / unit_m
        inside = (u >= 0) & (u < EXTENT) & (v >= 0) & (v < EXTENT)  # no margin: a label belongs to one tile
        shown = inside & self._places.shown(z)
        ids = np.flatnonzero(shown)
        ids = ids[np.argsort(-self._places.importance[ids], kind="stable")][:PLACES_PER_TILE]
        return [
            {
                "geometry": shapely.Point(round(float(u[i])), round(float(v[i]))),
                "properties": {
                    "name": self._places.names[i], "kind": self._places.kinds[i],
                    "rank": round((1.0 - float(self._places.importance[i])) * 100),
                },
            }
            for i in ids.tolist()
        ]  # fmt: skip


@dataclass(slots=True)
class _Places:
    """Places as columns, in Web Mercator metres."""

    x: FloatArray
    y: FloatArray
    importance: FloatArray
    names: list[str]
    kinds: list[str]
    zone: npt.NDArray[np.int64]  # 0 a place, 1 kecamatan, 2 kelurahan

    def shown(self, z: int) -> npt.NDArray[np.bool_]:
        needs = PLACE_NEEDS.get(z, 2.0)
        shown: npt.NDArray[np.bool_] = (self.zone == 0) & (self.importance >= needs)
        for number, kind in ((1, "kecamatan"), (2, "kelurahan")):
            low, high = LABELLED_ZONES[kind]
            if low <= z <= high:
                shown |= self.zone == number
        return shown


def _place_columns(places: Sequence[Place]) -> _Places:
    drawn = [p for p in places if p.kind not in NOT_DRAWN]
    x, y = mercator(np.array([p.lon for p in drawn], np.float64), np.array([p.lat for p in drawn], np.float64))
    zone = np.array([{"kecamatan": 1, "kelurahan": 2}.get(p.kind, 0) for p in drawn], np.int64)
    importance = np.array([p.importance for p in drawn], np.float64)
    return _Places(x, y, importance, [p.name for p in drawn], [p.kind for p in drawn], zone)


def mercator(lon: FloatArray, lat: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Degrees -> Web Mercator metres (EPSG:3857)."""
    phi = np.radians(np.clip(lat, -LAT_MAX, LAT_MAX))
    radius = WORLD_M / (2.0 * math.pi)
    return radius * np.radians(lon), radius * np.log(np.tan(np.pi / 4.0 + phi / 2.0))


def _degrees(x: float, y: float) -> tuple[float, float]:
    radius = WORLD_M / (2.0 * math.pi)
    return math.degrees(x / radius), math.degrees(2.0 * math.atan(math.exp(y / radius)) - math.pi / 2.0)


def _corner(z: int, x: int, y: int) -> tuple[float, float, float]:
    """West and north edge of a tile in metres, and metres per tile unit."""
    side = WORLD_M / 2**z
    return x * side - WORLD_M / 2.0, WORLD_M / 2.0 - y * side, side / EXTENT


def _to_units(shapes: npt.NDArray[np.object_], west: float, north: float, unit_m: float) -> npt.NDArray[np.object_]:
    """Shapes in whole tile units, y downwards."""

    def units(xy: FloatArray) -> FloatArray:
        return np.round((xy - [west, north]) / [unit_m, -unit_m])

    moved: npt.NDArray[np.object_] = shapely.transform(shapes, units)
    return moved


def _merged(parts: list[shapely.Geometry]) -> shapely.Geometry:
    """Parts of one feature as one shape without pieces too small to draw."""
    flat = shapely.get_parts(np.array(parts, dtype=object))
    if shapely.get_dimensions(flat[0]) == 2:
        flat = shapely.make_valid(flat)
        flat = shapely.get_parts(flat)
        flat = flat[shapely.get_dimensions(flat) == 2]
        flat = flat[shapely.area(flat) > 2.0]
        return shapely.MultiPolygon(list(flat)) if len(flat) > 1 else flat[0] if len(flat) else shapely.Polygon()
    flat = flat[(shapely.get_dimensions(flat) == 1) & (shapely.length(flat) > 0.0)]
    return shapely.MultiLineString(list(flat)) if len(flat) > 1 else flat[0] if len(flat) else shapely.LineString()


def _layer(name: str, rows: Iterable[tuple[shapely.Geometry, int, int, dict[str, Any]]]) -> _Layer:
    rows = list(rows)
    return _Layer(
        name,
        np.array([r[0] for r in rows], dtype=object),
        np.array([r[1] for r in rows], np.int64),
        np.array([r[2] for r in rows], np.int64),
        [r[3] for r in rows],
    )


def _road_layer(graph: RoadGraph | None, shapes: Sequence[TypedShape]) -> _Layer:
    rows: list[tuple[shapely.Geometry, int, int, dict[str, Any]]] = []
    if graph is not None:
        for road_class, name, one_way, line in road_lines(graph):
            zoom = ROAD_ZOOM.get(road_class, ROAD_ZOOM_OTHER)
            about: dict[str, Any] = {"class": road_class, "name": name}
            if zoom >= 13:
                about["lane"] = True
            if one_way:
                about["oneway"] = 1
            rows.append((line, zoom, 99, about))
    for s in shapes:
        if s.kind == "rail":
            line = shapely.linestrings(np.column_stack(mercator(s.line[:, 0], s.line[:, 1])))
            rows.append((line, RAIL_ZOOM, 99, {"class": "rail", "name": s.name}))
    return _layer("roads", rows)


def road_lines(graph: RoadGraph) -> list[tuple[str, str, bool, shapely.Geometry]]:
    """(class, name, one-way, line in Web Mercator metres): arcs of one street joined into long lines, each drawn once."""
    n = graph.n_nodes
    pair = graph.arc_from.astype(np.int64) * n + graph.arc_to
    back = graph.arc_to.astype(np.int64) * n + graph.arc_from
    twin = np.isin(back, pair)
    drawn = np.flatnonzero(~twin | (graph.arc_from < graph.arc_to))
    if graph.shape_first is not None and graph.shape_lon is not None and graph.shape_lat is not None:
        inner = np.diff(graph.shape_first)[drawn]
        size = inner + 2  # both ends
        owner = np.repeat(np.arange(len(drawn)), size)
        lon, lat = np.empty(len(owner)), np.empty(len(owner))
        head = np.r_[0, np.cumsum(size)[:-1]].astype(np.int64)
        tail = head + size - 1
        lon[head], lat[head] = graph.node_lon[graph.arc_from[drawn]], graph.node_lat[graph.arc_from[drawn]]
        lon[tail], lat[tail] = graph.node_lon[graph.arc_to[drawn]], graph.node_lat[graph.arc_to[drawn]]
        between = np.ones(len(owner), np.bool_)
        between[head] = between[tail] = False
        # Interior points of the drawn arcs, in order: each arc's own stretch of the shape arrays.
        start = graph.shape_first[drawn].astype(np.int64)
        take = np.repeat(start - np.r_[0, np.cumsum(inner)[:-1]], inner) + np.arange(int(inner.sum()))
        lon[between], lat[between] = graph.shape_lon[take], graph.shape_lat[take]
        geometry = shapely.linestrings(np.column_stack(mercator(lon, lat)), indices=owner)
    else:
        x, y = mercator(graph.node_lon, graph.node_lat)
        a, b = graph.arc_from[drawn], graph.arc_to[drawn]
        ends = np.stack([np.column_stack([x[a], y[a]]), np.column_stack([x[b], y[b]])], axis=1)
        geometry = shapely.linestrings(ends)
    one_way = ~twin[drawn]
    key = (graph.arc_class[drawn].astype(np.int64) * len(graph.names) + graph.arc_name[drawn]) * 2 + one_way
    order = np.argsort(key, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(key[order]) != 0]) if len(order) else np.zeros(0, np.int64)
    out: list[tuple[str, str, bool, shapely.Geometry]] = []
    for low, high in zip(starts.tolist(), [*starts[1:].tolist(), len(order)], strict=True):
        rows = order[low:high]
        first = int(drawn[rows[0]])
        joined = shapely.line_merge(shapely.multilinestrings(geometry[rows]), directed=bool(one_way[rows[0]]))
        for part in shapely.get_parts(joined):
            out.append(
                (
                    graph.classes[graph.arc_class[first]],
                    graph.names[graph.arc_name[first]],
                    bool(one_way[rows[0]]),
                    part,
                )
            )
    return out


def _water_layer(shapes: Sequence[TypedShape]) -> _Layer:
    rows: list[tuple[shapely.Geometry, int, int, dict[str, Any]]] = []
    for s in shapes:
        if s.kind not in WATER_ZOOM:
            continue
        xy = np.column_stack(mercator(s.line[:, 0], s.line[:, 1]))
        about: dict[str, Any] = {"kind": s.kind, "name": s.name}
        if s.kind in {"river", "canal"}:
            line = shapely.linestrings(xy)
            stretch = 1.0 / math.cos(math.radians(float(s.line[:, 1].mean())))  # mercator metres per metre here
            if s.width_m is not None and s.kind == "river":
                body = shapely.buffer(line, s.width_m / 2.0 * stretch)
                rows.append((body, 13, 99, {"kind": s.kind}))
            rows.append((line, WATER_ZOOM[s.kind], 99, {**about, "line": 1}))
        else:
            rows.append((shapely.make_valid(shapely.polygons(xy)), WATER_ZOOM[s.kind], 99, about))
    return _layer("water", rows)


def _zone_layer(zones: Zones | None) -> _Layer:
    """Borders as lines, each once: what a person sees of a zone; names come with the places."""
    if zones is None:
        return _layer("zones", [])
    rows = []
    kecamatan = [shape for _, _, shape in zones.kecamatan_shapes()]
    for kind, shapes, zoom in (("kecamatan", kecamatan, 9), ("kelurahan", list(zones.shapes), VILLAGE_ZOOM)):
        edges = shapely.union_all(shapely.boundary(np.array(shapes, dtype=object)))
        for part in shapely.get_parts(shapely.line_merge(edges)):
            xy = shapely.get_coordinates(part)
            rows.append((shapely.linestrings(np.column_stack(mercator(xy[:, 0], xy[:, 1]))), zoom, 99, {"kind": kind}))
    return _layer("zones", rows)
