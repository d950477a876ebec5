"""Loaders of ready road graphs in CSV: the JEMSS city models and the Surabaya data pack."""

from __future__ import annotations

import csv
import gzip
import math
import re
from functools import lru_cache
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from geo.polylines import Lines, graph_from_lines
from geo.roads import RoadGraph
from geo.router import LIGHTS, REGULAR, Rejected
from geo.speeds import CLASS_INDEX

# The city models carry no road class; their two speeds per mode tell motorways from streets (JEMSS README).
MOTORWAY_KMH = 60.0


def load_city_csv(folder: str | Path) -> RoadGraph:
    """A JEMSS city model: nodes.csv, arcs.csv, and README.md for the off-road speeds and the map scale.

    Raises Rejected("missing_file" | "bad_csv" | ...) naming the file.
    """
    folder = Path(folder)
    nodes = read_columns(folder / "nodes.csv", ("node", "lon", "lat", "offroad_access"))
    arcs = read_columns(folder / "arcs.csv", ("from_node", "to_node", "distance_km", "sec_lights", "sec_regular"))
    offroad_kmh, scale = _read_city_readme(folder / "README.md")
    ref = nodes["node"].astype(np.int64)
    index = {int(r): i for i, r in enumerate(ref)}
    try:
        tail = np.array([index[int(r)] for r in arcs["from_node"]], np.int32)
        head = np.array([index[int(r)] for r in arcs["to_node"]], np.int32)
    except KeyError as missing:
        raise Rejected("bad_csv", f"{folder / 'arcs.csv'} names node {missing} that nodes.csv does not have") from None
    with np.errstate(divide="ignore"):
        kmh = arcs["distance_km"] / np.maximum(arcs["sec_lights"], 1e-9) * 3600.0
    return RoadGraph.from_arrays(
        nodes["lon"], nodes["lat"], tail, head, arcs["distance_km"] * 1000.0,
        {LIGHTS: arcs["sec_lights"], REGULAR: arcs["sec_regular"]},
        offroad_access=nodes["offroad_access"] > 0.5, offroad_kmh=offroad_kmh, m_per_deg=scale,
        arc_class=(kmh > MOTORWAY_KMH).astype(np.uint8), classes=("street", "motorway"), node_ref=ref,
        region=folder.name, source=f"JEMSS city model {folder.name}", licence="ODbL (OpenStreetMap contributors)",
    )  # fmt: skip


def _read_city_readme(readme: Path) -> tuple[dict[str, float], tuple[float, float]]:
    """Off-road speeds and map scale are written only in the city's README."""
    text = read_text(readme)
    speeds = re.search(r"lights ([\d.]+) km/h, regular ([\d.]+) km/h", text)
    scale = re.search(r"x ([\d.]+) km/deg, y ([\d.]+) km/deg", text)
    if speeds is None or scale is None:
        raise Rejected("bad_csv", f"{readme} does not state the off-road speeds and the map scale")
    return (
        {LIGHTS: float(speeds[1]), REGULAR: float(speeds[2])},
        (float(scale[1]) * 1000.0, float(scale[2]) * 1000.0),
    )


def read_text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise Rejected("missing_file", f"{file} does not exist") from None
    except UnicodeDecodeError:
        raise Rejected("bad_csv", f"{file} is not UTF-8 text") from None


def read_columns(file: Path, columns: tuple[str, ...]) -> dict[str, npt.NDArray[np.float64]]:
    """Numeric columns of a CSV by header name. Raises Rejected with file and row for anything unreadable."""
    first_line, _, rest = read_text(file).partition("\n")
    header = first_line.strip().split(",")
    missing = [c for c in columns if c not in header]
    if missing:
        raise Rejected("bad_csv", f"{file} lacks the columns {missing}; it has {header}")
    if not rest.strip():
        raise Rejected("empty_network", f"{file} has a header and no rows")
    try:
        table = np.loadtxt(file, delimiter=",", skiprows=1, usecols=[header.index(c) for c in columns], ndmin=2)
    except ValueError as error:
        raise Rejected("bad_csv", f"{file}: {error}") from None
    return {c: table[:, i] for i, c in enumerate(columns)}


def read_header(file: Path) -> list[str]:
    """Column names of a (gzip) CSV."""
    return _read_table(file)[0]


def read_rows(file: Path, columns: tuple[str, ...]) -> list[list[str]]:
    """Text columns of a (gzip) CSV by header name, one list per row."""
    header, rows = _read_table(file)
    missing = [c for c in columns if c not in header]
    if missing:
        raise Rejected("bad_csv", f"{file} lacks the columns {missing}; it has {header}")
    at = [header.index(c) for c in columns]
    short = next((i for i, row in enumerate(rows) if len(row) <= max(at)), None)
    if short is not None:
        raise Rejected("bad_csv", f"{file} row {short + 2} has too few columns")
    return [[row[i] for i in at] for row in rows]


@lru_cache(maxsize=2)
def _read_table(file: Path) -> tuple[list[str], list[list[str]]]:
    opener = gzip.open if file.suffix == ".gz" else open
    try:
        with opener(file, "rt", encoding="utf-8", newline="") as lines:
            rows = csv.reader(lines)
            return next(rows, []), list(rows)
    except FileNotFoundError:
        raise Rejected("missing_file", f"{file} does not exist") from None
    except (gzip.BadGzipFile, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise Rejected("bad_csv", f"{file} is damaged: {error}") from None


# Columns of the data pack's edge lists; Kediri and Sidoarjo carry posted limits, Surabaya carries `quality`.
EDGE_COLUMNS = ("edge_id", "u", "v", "length_m", "highway", "oneway", "name")
SHAPES_FILE = "roads_osm.geojson.gz"


def load_edge_csv(nodes: str | Path, edges: str | Path, region: str = "") -> RoadGraph:
    """The data pack's road graph: nodes with lon, lat and edges with class, one-way and name (gzip CSV).

    Real geometry is taken from roads_osm.geojson.gz in the same folder when its edges match; inferred links stay
    straight, and a graph that holds any is marked approximate. Raises Rejected naming the file.
    """
    nodes, edges = Path(nodes), Path(edges)
    key = "node_id" if "node_id" in read_header(nodes) else "osm_node_id"
    try:
        position = {int(r): (float(lon), float(lat)) for r, lon, lat in read_rows(nodes, (key, "lon", "lat"))}
    except ValueError as error:
        raise Rejected("bad_csv", f"{nodes}: {error}") from None
    if not all(math.isfinite(lon) and math.isfinite(lat) for lon, lat in position.values()):
        raise Rejected("bad_csv", f"{nodes} holds a position that is no number")
    has_quality = "quality" in read_header(edges)
    columns = EDGE_COLUMNS + (("quality",) if has_quality else ("maxspeed",))
    rows = read_rows(edges, columns)
    if not rows or not position:
        raise Rejected("empty_network", f"{edges} or {nodes} has no rows")
    shapes = _edge_shapes(nodes.parent / SHAPES_FILE) if has_quality else {}

    index = {node: i for i, node in enumerate(position)}
    ref = list(position)
    lonlat = list(position.values())
    place: list[int] = []
    counts: list[int] = []
    names = NameTable()
    road_class, name, forward, backward, limit, length = [], [], [], [], [], []
    inferred = 0
    for i, (edge_id, u, v, length_m, highway, oneway, street, extra) in enumerate(rows):
        try:
            a, b = int(u), int(v)
            ends, inner_id, stated_m = (index[a], index[b]), int(edge_id), float(length_m)
        except KeyError as missing:
            raise Rejected("bad_csv", f"{edges} row {i + 2} names node {missing} that {nodes} does not have") from None
        except ValueError as error:
            raise Rejected("bad_csv", f"{edges} row {i + 2}: {error}") from None
        # Interior points are met by no other edge: places of their own.
        inner = shapes.get((inner_id, a, b), ())
        place += [ends[0], *range(len(ref), len(ref) + len(inner)), ends[1]]
        ref += [-(len(ref) + j + 1) for j in range(len(inner))]
        lonlat += inner
        counts.append(2 + len(inner))
        road_class.append(CLASS_INDEX.get(highway, CLASS_INDEX["unknown"]))
        name.append(names.index(street))
        forward.append(True)
        backward.append(oneway != "yes")
        limit.append(parse_kmh(extra) if not has_quality else np.nan)
        length.append(stated_m)
        inferred += has_quality and extra != "osm"
    xy = np.array(lonlat)
    lines = Lines(
        np.array(ref), xy[:, 0], xy[:, 1], np.array(place, np.int32), np.array(counts, np.int32),
        np.array(road_class, np.uint8), np.array(name, np.int32),
        np.array(forward), np.array(backward), np.array(limit), np.array(length),
    )  # fmt: skip
    region = region or edges.name.split(".")[0]
    graph = graph_from_lines(
        lines, names.names, region=region, source=edges.name, licence="ODbL (OpenStreetMap contributors)",
        approximate=inferred > 0,
    )  # fmt: skip
    graph.notes["edges_inferred"] = float(inferred)
    return graph


def _edge_shapes(file: Path) -> dict[tuple[int, int, int], list[tuple[float, float]]]:
    """Interior points by (edge_id, u, v); empty when the file is not there."""
    if not file.exists():
        return {}
    try:
        with gzip.open(file) as stream:
            features = msgspec.json.decode(stream.read())["features"]
        return {
            (f["properties"]["edge_id"], f["properties"]["u"], f["properties"]["v"]): [
                (x, y) for x, y in f["geometry"]["coordinates"][1:-1]
            ]
            for f in features
        }
    except (gzip.BadGzipFile, EOFError, msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
        raise Rejected("bad_geojson", f"{file} is damaged: {error}") from None


SHOUTED_MIN = 3  # "JL AB", or a single word like "MERR", may be meant so; a longer word among others is shouting
ROMAN = re.compile(r"M{0,2}(CM|CD|D?C{0,3})(XC|XL|L?X{0,3})(IX|IV|V?I{0,3})[A-Z]?")


class NameTable:
    """Street names as small integers; 0 is the unnamed road."""

    def __init__(self) -> None:
        self.names: list[str] = [""]
        self._index: dict[str, int] = {"": 0}

    def index(self, name: str) -> int:
        at = self._index.get(name)
        if at is None:
            shown = readable(name)
            at = self._index.get(shown, len(self.names))
            self._index[name] = self._index[shown] = at
            if at == len(self.names):
                self.names.append(shown)
        return at


def readable(name: str) -> str:
    """A street name shouted in capitals, as surveyors file them, in the case of all others: JALAN RAYA DARMO, GANG VII A."""
    words = name.split()
    if name != name.upper() or not any(len(word) > SHOUTED_MIN for word in words) or len(words) == 1:
        return name
    return " ".join(word if ROMAN.fullmatch(word) or len(word) == 1 else word.capitalize() for word in words)


def parse_kmh(text: str) -> float:
    """A maxspeed tag as km/h; nan when it states no number ("none", "signals", "ID:urban")."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(km/?h|kmh|mph)?\s*", text.split(";")[0])
    if found is None or float(found[1]) <= 0.0:
        return float("nan")
    return float(found[1]) * (1.609344 if found[2] == "mph" else 1.0)
