"""Reading the small typed tables of a region pack: streets, water, bridges, villages, landmarks.

A table is a CSV with a header; a line is written `lon lat;lon lat;...` in degrees. Only facts are typed here (names and
rounded positions); everything drawn or searched is computed from them.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from geo.router import M_PER_DEG, Rejected

FloatArray: TypeAlias = npt.NDArray[np.float64]

POINTS_MAX = 2_000  # of one line or ring: a typed table is sketched, a survey belongs in an import


@dataclass(frozen=True, slots=True)
class TypedRoad:
    """One street as typed: its line runs in driving direction when `oneway`."""

    name: str
    road_class: str
    oneway: bool
    aliases: tuple[str, ...]
    line: FloatArray  # (k, 2) lon, lat


@dataclass(frozen=True, slots=True)
class TypedShape:
    """A river, canal or railway (line), or a pond, fishpond, the sea, the city itself (ring)."""

    name: str
    kind: str
    width_m: float | None
    line: FloatArray


@dataclass(frozen=True, slots=True)
class TypedPoint:
    """A bridge, a level crossing or a landmark."""

    name: str
    kind: str
    lon: float
    lat: float
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Village:
    """A kelurahan: Kemendagri code 35.78.KK.1NNN, a point inside it, its area and its people."""

    code: str
    name: str
    lon: float
    lat: float
    area_km2: float
    population: float


@dataclass(frozen=True, slots=True)
class Kecamatan:
    """A district as the region pack states it."""

    code: str
    name: str
    lon: float
    lat: float


AREA_KINDS = frozenset({"pond", "fishpond", "sea", "city"})


def read_roads(file: Path) -> list[TypedRoad]:
    """Columns name, class, oneway (yes or empty), aliases (a|b), points. Raises Rejected naming file and row."""
    rows = _rows(file, ("name", "class", "oneway", "aliases", "points"))
    return [
        TypedRoad(r["name"], r["class"], r["oneway"] == "yes", _split(r["aliases"]), _line(r["points"], file, i, 2))
        for i, r in rows
    ]


def read_shapes(file: Path) -> list[TypedShape]:
    """Columns name, kind, width_m (may be empty), points. Areas are closed here; the table need not repeat the corner."""
    shapes = []
    for i, r in _rows(file, ("name", "kind", "width_m", "points")):
        line = _line(r["points"], file, i, 3 if r["kind"] in AREA_KINDS else 2)
        if r["kind"] in AREA_KINDS and not np.array_equal(line[0], line[-1]):
            line = np.vstack([line, line[:1]])
        shapes.append(TypedShape(r["name"], r["kind"], _number(r["width_m"], file, i) if r["width_m"] else None, line))
    return shapes


def read_points(file: Path) -> list[TypedPoint]:
    """Columns name, kind, lon, lat and, where there are any, aliases (a|b)."""
    return [
        TypedPoint(
            r["name"], r["kind"], _number(r["lon"], file, i), _number(r["lat"], file, i), _split(r.get("aliases", ""))
        )
        for i, r in _rows(file, ("name", "kind", "lon", "lat"))
    ]


def read_villages(file: Path) -> list[Village]:
    """Columns code, name, lon, lat, area_km2, population."""
    return [
        Village(r["code"], r["name"], *(_number(r[c], file, i) for c in ("lon", "lat", "area_km2", "population")))
        for i, r in _rows(file, ("code", "name", "lon", "lat", "area_km2", "population"))
    ]


@dataclass(frozen=True, slots=True)
class Facts:
    """The typed tables of one region."""

    roads: Sequence[TypedRoad]
    shapes: Sequence[TypedShape]
    bridges: Sequence[TypedPoint]
    villages: Sequence[Village]

    @classmethod
    def read(cls, folder: Path) -> Facts:
        """roads.csv, water.csv, bridges.csv and kelurahan.csv of a region pack."""
        return cls(
            read_roads(folder / "roads.csv"),
            read_shapes(folder / "water.csv"),
            read_points(folder / "bridges.csv"),
            read_villages(folder / "kelurahan.csv"),
        )


class Plane:
    """Degrees <-> local metres on a flat map; within 0.1 % over a city."""

    def __init__(self, lon0: float, lat0: float) -> None:
        self.lon0, self.lat0 = lon0, lat0
        self.kx, self.ky = M_PER_DEG * math.cos(math.radians(lat0)), M_PER_DEG

    def xy(self, lonlat: FloatArray) -> FloatArray:
        return (np.asarray(lonlat, np.float64) - [self.lon0, self.lat0]) * [self.kx, self.ky]

    def lonlat(self, xy: FloatArray) -> FloatArray:
        return xy / [self.kx, self.ky] + [self.lon0, self.lat0]


def read_kecamatan(file: Path) -> list[Kecamatan]:
    """Columns code, name, lon, lat (a pack's kecamatan.csv has more)."""
    return [
        Kecamatan(r["code"], r["name"], _number(r["lon"], file, i), _number(r["lat"], file, i))
        for i, r in _rows(file, ("code", "name", "lon", "lat"))
    ]


def _rows(file: Path, columns: tuple[str, ...]) -> list[tuple[int, dict[str, str]]]:
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise Rejected("missing_file", f"{file} does not exist") from None
    except UnicodeDecodeError:
        raise Rejected("bad_csv", f"{file} is not UTF-8 text") from None
    reader = csv.DictReader(text.splitlines())
    missing = [c for c in columns if c not in (reader.fieldnames or ())]
    if missing:
        raise Rejected("bad_csv", f"{file} lacks the columns {missing}")
    return [(i, {k: (v or "").strip() for k, v in row.items() if k}) for i, row in enumerate(reader, start=2)]


def _split(text: str) -> tuple[str, ...]:
    return tuple(part for part in (p.strip() for p in text.split("|")) if part)


def _number(text: str, file: Path, row: int) -> float:
    try:
        return float(text)
    except ValueError:
        raise Rejected("bad_csv", f"{file} row {row}: {text!r} is not a number") from None


def _line(text: str, file: Path, row: int, at_least: int) -> FloatArray:
    try:
        line = np.array([[float(v) for v in point.split()] for point in text.split(";")], np.float64)
    except ValueError:
        raise Rejected("bad_csv", f"{file} row {row}: points are not `lon lat;lon lat`") from None
    if line.ndim != 2 or line.shape[1] != 2 or not at_least <= len(line) <= POINTS_MAX:
        raise Rejected("bad_csv", f"{file} row {row}: needs {at_least} to {POINTS_MAX} points of lon and lat")
    if np.any(np.abs(line[:, 0]) > 180.0) or np.any(np.abs(line[:, 1]) > 90.0):
        raise Rejected("bad_coordinates", f"{file} row {row}: a point lies outside -180..180, -90..90 (lon lat)")
    return line
