"""Which kelurahan and kecamatan a point lies in, whose response area it is, and which hazards or premise notes concern it.

With polygons (a pack that has them) the answer is exact; without, it is the village whose typed point is nearest, a larger
village reaching further (multiplicatively weighted Voronoi cells), and the answer says `nearest`. Lookups are pure; notes may be added and removed
while the system runs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, TypeAlias, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
import shapely
import shapely.geometry

from geo.places_tables import FloatArray, Kecamatan, Plane, TypedShape, Village, read_shapes, read_villages
from geo.router import M_PER_DEG, Rejected, require_lonlat, straight_line_m

IntArray: TypeAlias = npt.NDArray[np.int64]
How: TypeAlias = Literal["polygon", "nearest"]
T = TypeVar("T")

# A point this far outside every village belongs to a neighbour: no zone rather than a wrong one. Surabaya's widest village
# (Keputih, 21 km2) reaches 4 km from its typed point.
NEAREST_MAX_M = 5_000.0
# Added to the radius of a village's own area when two villages share out the ground between them; chosen on the data
# pack's borders (kecamatan right for 86 % of its road junctions, kelurahan for 73 %; plain nearest point 85 % and 68 %).
REACH_BASE_M = 200.0
# Polygons drawn by hand leave slivers; a point within this of a border still belongs to the nearest polygon.
SLIVER_M = 60.0
KECAMATAN_REACH_M = 10_000.0  # a rural district is 20 km wide; with NEAREST_MAX_M this is where its answer ends
POLYGON_FILE_MAX = 200 * 1024 * 1024  # bytes; the 153 villages of Surabaya take 0.2 MB
NOTE_RADIUS_MAX_M = 5_000.0  # a chemical plant's plume; wider is a weather warning, not a note
CELL_DEG = 0.01


@dataclass(frozen=True, slots=True)
class Zone:
    """One kelurahan with the kecamatan above it (Kemendagri codes)."""

    code: str
    name: str
    kecamatan_code: str
    kecamatan: str
    lon: float
    lat: float


@dataclass(frozen=True, slots=True)
class ZoneHit:
    """A zone and how it was found: inside its polygon, or only the nearest typed point."""

    zone: Zone
    how: How


class Zones:
    """The villages of a region. Build with `from_villages` or `from_geojson`."""

    def __init__(
        self, zones: Sequence[Zone], shapes: npt.NDArray[np.object_], how: How, plane: Plane, reach_m: FloatArray
    ) -> None:
        self.zones = tuple(zones)
        self.how: How = how
        self.shapes = shapes  # (n,) polygons in degrees; for `nearest` the cells that approximate them
        self._plane = plane
        self._xy = plane.xy(np.array([[z.lon, z.lat] for z in zones]))
        self._reach_m = reach_m
        self._tree = shapely.STRtree(shapes)

    @classmethod
    def from_villages(
        cls, villages: Sequence[Village], kecamatan: Mapping[str, str], city: Sequence[TypedShape] = ()
    ) -> Zones:
        """From typed points. kecamatan: code -> name; city: rings of kind `city` that bound the drawn cells.

        Raises Rejected("bad_zones") when there is no village or a village's kecamatan is not named.
        """
        if not villages:
            raise Rejected("bad_zones", "a region needs at least one kelurahan")
        zones = []
        for v in villages:
            parent = v.code.rpartition(".")[0]
            if parent not in kecamatan:
                raise Rejected("bad_zones", f"kelurahan {v.code} {v.name}: kecamatan {parent} has no name")
            zones.append(Zone(v.code, v.name, parent, kecamatan[parent], v.lon, v.lat))
        lonlat = np.array([[z.lon, z.lat] for z in zones])
        plane = Plane(*lonlat.mean(axis=0).tolist())
        # The radius of a circle of the village's own area.
        reach_m = np.sqrt(np.array([v.area_km2 for v in villages]) * 1e6 / math.pi)
        return cls(zones, _cells(plane, plane.xy(lonlat), city), "nearest", plane, reach_m)

    @classmethod
    def from_kecamatan(cls, kecamatan: Sequence[Kecamatan], city: Sequence[TypedShape] = ()) -> Zones:
        """From the districts' points alone: the village of an answer is then the district itself."""
        if not kecamatan:
            raise Rejected("bad_zones", "a region needs at least one kecamatan")
        zones = [Zone(k.code, k.name, k.code, k.name, k.lon, k.lat) for k in kecamatan]
        lonlat = np.array([[z.lon, z.lat] for z in zones])
        plane = Plane(*lonlat.mean(axis=0).tolist())
        return cls(
            zones, _cells(plane, plane.xy(lonlat), city), "nearest", plane, np.full(len(zones), KECAMATAN_REACH_M)
        )

    @classmethod
    def from_geojson(cls, file: Path, fields: Mapping[str, str] | None = None) -> Zones:
        """From polygons. fields names the properties: code, name, kecamatan_code, kecamatan (default: as in the data pack).

        Raises Rejected("missing_file" | "bad_zones") naming the feature.
        """
        names = {"code": "kel_code", "name": "kelurahan", "kecamatan_code": "kec_code", "kecamatan": "kecamatan"}
        names.update(fields or {})
        zones, shapes = [], []
        for i, (properties, shape) in enumerate(read_polygons(file)):
            missing = [p for p in names.values() if not properties.get(p)]
            if missing:
                raise Rejected("bad_zones", f"{file} feature {i + 1} lacks the properties {missing}")
            inner = shapely.point_on_surface(shape)
            values = {k: str(properties[p]) for k, p in names.items()}
            zones.append(Zone(**values, lon=float(inner.x), lat=float(inner.y)))
            shapes.append(shape)
        plane = Plane(*np.array([[z.lon, z.lat] for z in zones]).mean(axis=0).tolist())
        return cls(zones, np.array(shapes, dtype=object), "polygon", plane, np.zeros(len(zones)))

    def at(self, lon: float, lat: float) -> ZoneHit | None:
        """The village of a point, None outside the region. Raises Rejected("bad_coordinates")."""
        require_lonlat(lon, lat)
        i = int(self.at_many(np.array([lon]), np.array([lat]))[0])
        return None if i < 0 else ZoneHit(self.zones[i], self.how)

    def at_many(self, lon: FloatArray, lat: FloatArray) -> IntArray:
        """Index into `zones` for many points (k,); -1 outside the region (an array index, not a value shown to anyone)."""
        if self.how == "polygon":
            return self._in_polygons(lon, lat)
        xy = self._plane.xy(np.column_stack([lon, lat]))
        found: IntArray = np.empty(len(xy), np.int64)
        for start in range(0, len(xy), 20_000):  # bounded memory: 20,000 x villages distances at a time
            part = xy[start : start + 20_000]
            d = np.sqrt(((part[:, None, :] - self._xy[None, :, :]) ** 2).sum(axis=2))
            best = np.argmin(d / (self._reach_m + REACH_BASE_M), axis=1)
            near = d[np.arange(len(part)), best] <= NEAREST_MAX_M + self._reach_m[best]
            found[start : start + len(part)] = np.where(near, best, -1)
        return found

    def _in_polygons(self, lon: FloatArray, lat: FloatArray) -> IntArray:
        points = shapely.points(lon, lat)
        found: IntArray = np.full(len(points), -1, np.int64)
        which, zone = self._tree.query(points, predicate="intersects")
        found[which[::-1]] = zone[::-1]  # of two that touch, the first in the file
        lost = np.flatnonzero(found < 0)
        if len(lost):
            pairs = self._tree.query_nearest(points[lost], max_distance=SLIVER_M / M_PER_DEG, all_matches=False)
            found[lost[pairs[0]]] = pairs[1]
        return found

    def kecamatan_shapes(self) -> list[tuple[str, str, shapely.Geometry]]:
        """(code, name, polygon) of every kecamatan, dissolved from its villages, by code."""
        groups: dict[tuple[str, str], list[int]] = {}
        for i, z in enumerate(self.zones):
            groups.setdefault((z.kecamatan_code, z.kecamatan), []).append(i)
        return [(code, name, shapely.union_all(self.shapes[of])) for (code, name), of in sorted(groups.items())]


POLYGONS = "kelurahan.geojson"


def open_zones(pack: Path, kecamatan: Sequence[Kecamatan]) -> Zones | None:
    """A region's zones: the pack's polygons, else its villages' typed points, else its districts' points alone, else None."""
    if (pack / POLYGONS).exists():
        return Zones.from_geojson(pack / POLYGONS)
    shapes = read_shapes(pack / "water.csv") if (pack / "water.csv").exists() else []
    if (pack / "kelurahan.csv").exists():
        return Zones.from_villages(read_villages(pack / "kelurahan.csv"), {k.code: k.name for k in kecamatan}, shapes)
    return Zones.from_kecamatan(kecamatan, shapes) if kecamatan else None


def _cells(plane: Plane, xy: FloatArray, city: Sequence[TypedShape]) -> npt.NDArray[np.object_]:
    """A polygon per typed point: what lies nearest to it, cut at the city's ring. For drawing; `at` computes."""
    rings = [shapely.make_valid(shapely.Polygon(plane.xy(s.line))) for s in city if s.kind == "city"]
    land = shapely.union_all(rings) if rings else shapely.MultiPoint(xy).convex_hull.buffer(2_000.0)
    cells = shapely.get_parts(shapely.voronoi_polygons(shapely.MultiPoint(xy), extend_to=land.envelope))
    at = shapely.STRtree(cells).query(shapely.points(xy), predicate="intersects")
    mine = np.empty(len(xy), dtype=object)
    mine[at[0]] = cells[at[1]]
    cut = shapely.intersection(mine, land)
    return np.array([shapely.transform(c, plane.lonlat) for c in cut], dtype=object)


def read_polygons(file: Path) -> list[tuple[dict[str, Any], shapely.Geometry]]:
    """(properties, valid polygon) of every feature of a GeoJSON FeatureCollection in degrees."""
    try:
        if file.stat().st_size > POLYGON_FILE_MAX:
            raise Rejected("too_large", f"{file} is larger than {POLYGON_FILE_MAX // 1024 // 1024} MB")
        features = msgspec.json.decode(file.read_bytes())["features"]
    except FileNotFoundError:
        raise Rejected("missing_file", f"{file} does not exist") from None
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise Rejected("bad_zones", f"{file} is not a GeoJSON FeatureCollection: {error}") from None
    out = []
    for i, feature in enumerate(features):
        try:
            shape = shapely.make_valid(shapely.geometry.shape(feature["geometry"]))
            properties = dict(feature["properties"] or {})
        except (KeyError, TypeError, AttributeError, ValueError, shapely.errors.GEOSException) as error:
            raise Rejected("bad_zones", f"{file} feature {i + 1}: {error}") from None
        if shape.is_empty or shape.geom_type not in {"Polygon", "MultiPolygon", "GeometryCollection"}:
            raise Rejected("bad_zones", f"{file} feature {i + 1} is a {shape.geom_type}, not a polygon")
        low_lon, low_lat, high_lon, high_lat = shape.bounds
        if max(abs(low_lon), abs(high_lon)) > 180.0 or max(abs(low_lat), abs(high_lat)) > 90.0:
            raise Rejected("bad_zones", f"{file} feature {i + 1} is not in degrees: convert it to EPSG:4326")
        out.append((properties, shape))
    if not out:
        raise Rejected("bad_zones", f"{file} holds no feature")
    return out


@dataclass(frozen=True, slots=True)
class Area:
    """A response area: whose it is and what it is called."""

    agency: str
    name: str
    shape: shapely.Geometry  # degrees


class ResponseAreas:
    """Who answers where: areas may overlap and need not cover the city."""

    def __init__(self, areas: Iterable[Area]) -> None:
        # Smallest first: a market inside a district is the more particular answer.
        self.areas = tuple(sorted(areas, key=lambda a: (a.shape.area, a.agency, a.name)))
        self._tree = shapely.STRtree([a.shape for a in self.areas])

    def at(self, lon: float, lat: float, agency: str | None = None) -> list[Area]:
        """Areas that cover a point, the smallest first; those of one agency if named."""
        require_lonlat(lon, lat)
        hits = sorted(int(i) for i in self._tree.query(shapely.Point(lon, lat), predicate="intersects"))
        return [self.areas[i] for i in hits if agency is None or self.areas[i].agency == agency]


class Nearby(Generic[T]):
    """Things that concern everyone within their own radius: hazards, premise notes, closed hydrants. Held by id."""

    def __init__(self) -> None:
        self._items: dict[str, tuple[float, float, float, T]] = {}
        self._cells: dict[tuple[int, int], set[str]] = {}

    def __len__(self) -> int:
        return len(self._items)

    def items(self) -> Iterator[tuple[str, float, float, float, T]]:
        """(id, lon, lat, radius_m, item) of everything held, in the order it came."""
        for item_id, (lon, lat, radius_m, item) in self._items.items():
            yield item_id, lon, lat, radius_m, item

    def put(self, item_id: str, lon: float, lat: float, radius_m: float, item: T) -> None:
        """Add or replace. Raises Rejected("bad_coordinates" | "bad_radius")."""
        require_lonlat(lon, lat)
        if not 0.0 < radius_m <= NOTE_RADIUS_MAX_M:
            raise Rejected("bad_radius", f"radius {radius_m} m: choose more than 0 and at most {NOTE_RADIUS_MAX_M:.0f}")
        self.remove(item_id)
        self._items[item_id] = (lon, lat, radius_m, item)
        for cell in _cells_around(lon, lat, radius_m):
            self._cells.setdefault(cell, set()).add(item_id)

    def remove(self, item_id: str) -> None:
        """Forget an item; unknown ids are ignored, because a note may be withdrawn twice."""
        gone = self._items.pop(item_id, None)
        if gone is not None:
            for cell in _cells_around(*gone[:3]):
                self._cells[cell].discard(item_id)

    def at(self, lon: float, lat: float) -> list[tuple[str, float, T]]:
        """(id, distance_m, item) of everything whose radius covers the point, the nearest first."""
        require_lonlat(lon, lat)
        hits = []
        for item_id in self._cells.get((math.floor(lon / CELL_DEG), math.floor(lat / CELL_DEG)), ()):
            at_lon, at_lat, radius_m, item = self._items[item_id]
            distance_m = straight_line_m(lon, lat, at_lon, at_lat)
            if distance_m <= radius_m:
                hits.append((item_id, distance_m, item))
        return sorted(hits, key=lambda h: (h[1], h[0]))


def _cells_around(lon: float, lat: float, radius_m: float) -> list[tuple[int, int]]:
    """Grid cells a circle touches (a superset: its bounding box, a hair wide so that rounding loses nothing)."""
    dy = radius_m / M_PER_DEG * 1.001
    dx = dy / max(math.cos(math.radians(lat)), 0.01)
    columns = range(math.floor((lon - dx) / CELL_DEG), math.floor((lon + dx) / CELL_DEG) + 1)
    rows = range(math.floor((lat - dy) / CELL_DEG), math.floor((lat + dy) / CELL_DEG) + 1)
    return [(i, j) for i in columns for j in rows]
