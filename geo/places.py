"""The places a gazetteer knows, and where they come from: the pack's typed tables, the road graph, an imported file."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np

from geo.places_streets import Streets
from geo.places_tables import Kecamatan, read_points, read_roads, read_villages
from geo.router import Rejected
from geo.zones import Zones

FORMAT = 1  # of the imported file; raise when a field changes, older files are then refused and imported again
ROWS_MAX = 1_000_000

# How likely a caller means it, 0..1, before anything else is known (assumption; a caller says hospital before kindergarten).
IMPORTANCE: Mapping[str, float] = {
    "toll": 0.85, "trunk": 0.9, "primary": 0.85, "secondary": 0.75, "tertiary": 0.6, "street": 0.35, "street_point": 0.15,
    "hospital": 0.8, "mall": 0.8, "station": 0.8, "terminal": 0.75, "harbour": 0.75, "airport": 0.8, "junction": 0.75,
    "monument": 0.7, "landmark": 0.65, "bridge": 0.6, "crossing": 0.5, "university": 0.65, "market": 0.65, "park": 0.6,
    "government": 0.6, "police": 0.6, "puskesmas": 0.6, "stadium": 0.65, "hotel": 0.5, "mosque": 0.55, "church": 0.5,
    "temple": 0.5, "housing": 0.5, "industry": 0.5, "school": 0.4, "cemetery": 0.5, "fire_post": 0.55, "kelurahan": 0.6,
    "kecamatan": 0.6, "posko": 0.65, "pos_pantau": 0.55, "pos_kota": 0.5, "agency": 0.5, "utility": 0.45, "worship": 0.3, "kindergarten": 0.2, "bus_stop": 0.25, "clinic": 0.35, "community": 0.25,
}  # fmt: skip
IMPORTANCE_OTHER = 0.3
POST_KINDS = {"fire": "fire_post"}  # a pack's words for posts -> the gazetteer's
POST_SAME_DEG = 0.001
STREET_KINDS = frozenset({"street", "toll", "street_point"})
ZONE_KINDS = frozenset({"kelurahan", "kecamatan"})


class Place(msgspec.Struct, frozen=True, array_like=True):
    """One name on the map."""

    name: str
    kind: str
    lon: float
    lat: float
    importance: float
    aliases: tuple[str, ...] = ()
    kelurahan: str = ""
    kecamatan: str = ""


class PlaceFile(msgspec.Struct, frozen=True):
    """What `siaga places import` keeps."""

    format: int
    source: str
    places: list[Place]


def pack_places(folder: Path, kecamatan: Sequence[Kecamatan]) -> list[Place]:
    """Streets, bridges, landmarks, villages of a pack's typed tables (those that exist), and the districts given."""
    found: list[Place] = []
    if (folder / "roads.csv").exists():
        for road in read_roads(folder / "roads.csv"):
            middle = road.line[len(road.line) // 2]
            kind = "toll" if road.road_class.startswith("motorway") else "street"
            weight = IMPORTANCE["toll" if kind == "toll" else road.road_class] if road.road_class in IMPORTANCE or kind == "toll" else IMPORTANCE["street"]  # fmt: skip
            found.append(Place(road.name, kind, float(middle[0]), float(middle[1]), weight, road.aliases))
    for table in ("bridges.csv", "places.csv"):
        if (folder / table).exists():
            for p in read_points(folder / table):
                found.append(Place(p.name, p.kind, p.lon, p.lat, IMPORTANCE.get(p.kind, IMPORTANCE_OTHER), p.aliases))
    if (folder / "posts.csv").exists():
        for p in read_points(folder / "posts.csv"):
            kind = POST_KINDS.get(p.kind, p.kind)
            near = (
                abs(p.lon - o.lon) < POST_SAME_DEG and abs(p.lat - o.lat) < POST_SAME_DEG
                for o in found
                if o.kind == kind
            )
            if not any(near):  # a puskesmas or police station typed among the landmarks already
                found.append(Place(p.name, kind, p.lon, p.lat, IMPORTANCE.get(kind, IMPORTANCE_OTHER)))
    names = {k.code: k.name for k in kecamatan}
    if (folder / "kelurahan.csv").exists():
        for v in read_villages(folder / "kelurahan.csv"):
            parent = names.get(v.code.rpartition(".")[0], "")
            found.append(Place(v.name, "kelurahan", v.lon, v.lat, IMPORTANCE["kelurahan"], (), v.name, parent))
    found.extend(Place(k.name, "kecamatan", k.lon, k.lat, IMPORTANCE["kecamatan"], (), "", k.name) for k in kecamatan)
    return found


def street_places(streets: Streets, known: set[str]) -> list[Place]:
    """A place for every street of the graph whose name is not in `known` yet."""
    return [
        Place(
            s.name, "toll" if s.road_class.startswith("motorway") else "street", s.lon, s.lat,
            max(IMPORTANCE.get(s.road_class, IMPORTANCE["street"]), min(0.5, math.log10(max(s.length_m, 10.0)) / 8.0)),
        )
        for s in streets.streets
        if s.name not in known
    ]  # fmt: skip


def with_zones(places: list[Place], zones: Zones | None) -> list[Place]:
    """Fills the village and district of places that do not state theirs."""
    if zones is None or not places:
        return places
    blank = [i for i, p in enumerate(places) if not p.kelurahan and p.kind != "kecamatan"]
    if blank:
        at = zones.at_many(np.array([places[i].lon for i in blank]), np.array([places[i].lat for i in blank]))
        places = list(places)
        for i, z in zip(blank, at.tolist(), strict=True):
            if z >= 0:
                zone = zones.zones[z]
                places[i] = msgspec.structs.replace(places[i], kelurahan=zone.name, kecamatan=zone.kecamatan)
    return places


def read_gazetteer(file: Path, tick: Callable[[int], None] = lambda _: None) -> list[Place]:
    """A gazetteer CSV: columns kind, name, lon, lat and, where known, kelurahan, kecamatan, weight (street: metres), extra.

    Rows without a name or a position are counted out, not guessed. Raises Rejected naming the file.
    """
    try:
        lines = file.open(encoding="utf-8", newline="")
    except FileNotFoundError:
        raise Rejected("missing_file", f"{file} does not exist") from None
    with lines:
        try:
            reader = csv.DictReader(lines)
            missing = [c for c in ("kind", "name", "lon", "lat") if c not in (reader.fieldnames or ())]
            if missing:
                raise Rejected("bad_csv", f"{file} lacks the columns {missing}")
            places: list[Place] = []
            for i, row in enumerate(reader):
                if i >= ROWS_MAX:
                    raise Rejected("too_large", f"{file} has more than {ROWS_MAX} rows")
                place = _gazetteer_row(row)
                if place is not None:
                    places.append(place)
                if i % 1000 == 0:
                    tick(i)
        except (UnicodeDecodeError, csv.Error) as error:
            raise Rejected("bad_csv", f"{file} cannot be read as CSV in UTF-8: {error}") from None
    if not places:
        raise Rejected("bad_csv", f"{file} holds no row with a name and a position in degrees")
    return places


def _gazetteer_row(row: dict[str, str]) -> Place | None:
    try:
        lon, lat = float(row["lon"]), float(row["lat"])
    except (TypeError, ValueError):
        return None
    name, kind = (row["name"] or "").strip(), (row["kind"] or "").strip()
    if not name or not (abs(lon) <= 180.0 and abs(lat) <= 90.0):
        return None
    importance = IMPORTANCE.get(kind, IMPORTANCE_OTHER)
    if kind == "street":
        try:
            importance = min(0.8, math.log10(max(float(row.get("weight") or 10.0), 10.0)) / 5.0)
        except ValueError:
            importance = IMPORTANCE["street"]
    return Place(
        name, kind, lon, lat, importance, (), (row.get("kelurahan") or "").strip(), (row.get("kecamatan") or "").strip()
    )


def merge(built_in: list[Place], imported: list[Place]) -> list[Place]:
    """Both, without repeats: of two places of one name and kind within 600 m the built-in one stays (it has aliases)."""
    spots: dict[tuple[str, str], list[Place]] = {}
    kept: list[Place] = []
    for place in [*built_in, *imported]:
        same = spots.setdefault((place.name.casefold(), place.kind), [])
        if any(abs(place.lon - o.lon) < 0.0054 and abs(place.lat - o.lat) < 0.0054 for o in same):
            continue
        same.append(place)
        kept.append(place)
    return kept


def save_places(file: Path, places: list[Place], source: str) -> None:
    """Written beside and renamed, so that a killed import leaves no half file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_bytes(msgspec.msgpack.encode(PlaceFile(FORMAT, source, places)))
    part.replace(file)


def load_places(file: Path) -> list[Place]:
    """Raises Rejected("missing_file" | "stale_places")."""
    try:
        held = msgspec.msgpack.decode(file.read_bytes(), type=PlaceFile)
    except FileNotFoundError:
        raise Rejected("missing_file", f"{file} does not exist") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Rejected("stale_places", f"{file} is damaged ({error}): import it again") from None
    if held.format != FORMAT:
        raise Rejected("stale_places", f"{file} has format {held.format}, this version reads {FORMAT}: import it again")
    return held.places
