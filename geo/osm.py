"""Import of OpenStreetMap extracts (.osm.pbf, .osm, .osm.gz, .osm.bz2) into a road graph.

Two passes over the file: roads first, then only the points those roads use, so memory follows the roads and not the
buildings. Kept: ways with a driveable `highway` class that a vehicle on an emergency may use. Left out: footways, steps,
cycleways, roads under construction, ferries (they are no highway), and ways closed to motor vehicles unless
`emergency=yes`. Gates and private roads stay: a crew gets them opened. Turn restrictions are not read.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import osmium

from geo.cities import NameTable, parse_kmh
from geo.polylines import Lines, graph_from_lines
from geo.roads import RoadGraph
from geo.router import Rejected
from geo.speeds import CLASS_INDEX

# Called with (phase, done, total or None) while a file is read; phases: "roads", "points", "graph".
Progress = Callable[[str, int, int | None], None]

SUFFIXES = (".osm", ".pbf", ".osm.gz", ".osm.bz2")
PROGRESS_EVERY = 20_000  # objects between two calls: often enough to see life, too seldom to cost time
POINTS_MAX = (
    60_000_000  # road points held at once (24 bytes each): an island of Indonesia fits, a continent must be cut
)

# highway values that mean another class, or nothing known.
ALIASES: Mapping[str, str] = {
    "minor": "residential",
    "residential_link": "residential",
    "busway": "service",
    "emergency_bay": "service",
}
CLOSED = frozenset({"no", "agricultural", "forestry"})


def _silent(_phase: str, _done: int, _total: int | None) -> None:
    return None


def load_osm(file: str | Path, region: str = "", progress: Progress = _silent) -> RoadGraph:
    """Read an extract. Raises Rejected("missing_file" | "unknown_format" | "bad_osm" | "empty_network" | "too_large")."""
    file = Path(file)
    if not file.exists():
        raise Rejected("missing_file", f"{file} does not exist")
    if not file.name.endswith(SUFFIXES):
        raise Rejected("unknown_format", f"{file.name} is none of {', '.join(SUFFIXES)}")
    if file.stat().st_size == 0:
        raise Rejected("bad_osm", f"{file} is empty; the download was perhaps cut off")
    try:
        ways = _read_ways(file, progress)
        lon, lat, ref = _read_points(file, ways.refs, progress)
    except (RuntimeError, ValueError, OSError) as error:  # osmium reports damage as RuntimeError
        raise Rejected("bad_osm", f"{file} cannot be read as OpenStreetMap data: {error}") from None
    progress("graph", 0, None)
    lines = Lines(
        line=np.repeat(np.arange(len(ways.counts)), np.frombuffer(ways.counts, np.int32)),
        ref=ref,
        lon=lon,
        lat=lat,
        road_class=np.frombuffer(ways.road_class, np.uint8),
        name=np.frombuffer(ways.name, np.int32).astype(np.int64),
        forward=np.frombuffer(ways.forward, np.uint8).astype(np.bool_),
        backward=np.frombuffer(ways.backward, np.uint8).astype(np.bool_),
        limit_kmh=np.frombuffer(ways.limit_kmh, np.float64),
        true_length_m=np.full(len(ways.counts), np.nan),
    )
    return graph_from_lines(
        lines, ways.names.names, region=region or file.name.partition(".")[0], source=file.name,
        licence="ODbL 1.0, (c) OpenStreetMap contributors",
    )  # fmt: skip


class _Ways:
    """Roads in compact columns; one entry a way, `refs` one a point."""

    def __init__(self) -> None:
        self.refs = array("q")
        self.counts = array("i")
        self.road_class = array("B")
        self.name = array("i")
        self.forward = array("B")
        self.backward = array("B")
        self.limit_kmh = array("d")
        self.names = NameTable()


def _read_ways(file: Path, progress: Progress) -> _Ways:
    ways = _Ways()
    roads = osmium.FileProcessor(str(file), osmium.osm.WAY).with_filter(osmium.filter.KeyFilter("highway"))
    for seen, way in enumerate(roads):
        if seen % PROGRESS_EVERY == 0:
            progress("roads", seen, None)
        assert isinstance(way, osmium.osm.Way), "only ways were asked for"
        tags = way.tags
        kind = tags["highway"]
        road_class = CLASS_INDEX.get(ALIASES.get(kind, kind))
        if road_class is None or len(way.nodes) < 2:
            continue
        forward, backward = directions(tags, kind)
        if not (forward or backward):
            continue
        if len(ways.refs) + len(way.nodes) > POINTS_MAX:
            raise Rejected("too_large", f"{file} holds more than {POINTS_MAX} road points; cut it to the region")
        ways.refs.extend(n.ref for n in way.nodes)
        ways.counts.append(len(way.nodes))
        ways.road_class.append(road_class)
        ways.name.append(ways.names.index(tags.get("name") or tags.get("ref") or ""))
        ways.forward.append(forward)
        ways.backward.append(backward)
        ways.limit_kmh.append(parse_kmh(tags.get("maxspeed") or ""))
    if not ways.refs:
        raise Rejected("empty_network", f"{file} holds no road that can be driven")
    return ways


def directions(tags: Mapping[str, str] | osmium.osm.TagList, kind: str) -> tuple[bool, bool]:
    """Whether an emergency vehicle may drive a way as drawn and against it. `tags` needs `.get`."""
    get = tags.get
    if get("emergency") not in ("yes", "designated"):
        # The most specific tag wins (OSM wiki, Key:access): motor_vehicle over vehicle over access.
        access = get("motorcar") or get("motor_vehicle") or get("vehicle") or get("access") or ""
        if access in CLOSED:
            return False, False
    if get("area") == "yes":
        return False, False
    oneway = get("oneway") or ""
    if oneway in ("-1", "reverse"):
        return False, True
    if oneway in ("yes", "true", "1"):
        return True, False
    if oneway in ("no", "false", "0"):
        return True, True
    # Implied one-way (OSM wiki, Key:oneway).
    implied = kind == "motorway" or get("junction") in ("roundabout", "circular")
    return True, not implied


def _read_points(
    file: Path, refs: array[int], progress: Progress
) -> tuple[
    np.ndarray[tuple[int], np.dtype[np.float64]],
    np.ndarray[tuple[int], np.dtype[np.float64]],
    np.ndarray[tuple[int], np.dtype[np.int64]],
]:
    """Coordinates of the points in `refs` order (nan where the extract lacks one), and `refs` as an array."""
    wanted = np.frombuffer(refs, np.int64)
    unique, where = np.unique(wanted, return_inverse=True)
    lon, lat = np.full(len(unique), np.nan), np.full(len(unique), np.nan)
    row = {ref: i for i, ref in enumerate(unique.tolist())}
    points = osmium.FileProcessor(str(file), osmium.osm.NODE).with_filter(osmium.filter.IdFilter(unique.tolist()))
    for seen, node in enumerate(points):
        if seen % PROGRESS_EVERY == 0:
            progress("points", seen, len(unique))
        assert isinstance(node, osmium.osm.Node), "only nodes were asked for"
        at = row[node.id]
        # `valid` is false for positions outside the world: projected metres, or damage.
        if not node.location.valid():
            raise Rejected(
                "wrong_projection", f"{file}: node {node.id} lies outside WGS84 degrees; reproject to EPSG:4326"
            )
        lon[at], lat[at] = node.location.lon, node.location.lat
    progress("points", len(unique), len(unique))
    return lon[where], lat[where], wanted
