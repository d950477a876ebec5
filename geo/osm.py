"""Import of OpenStreetMap extracts (.osm.pbf, .osm, .osm.gz, .osm.bz2) into a road graph.

Two passes over the file: the roads and turn restrictions first, then the positions of the points that roads use, so that
memory follows the roads and not the buildings between them. Kept: ways with a driveable `highway` class that a vehicle on an emergency may use. Left out: footways, steps,
cycleways, roads under construction, ferries (they are no highway), and ways closed to motor vehicles unless
`emergency=yes`. Gates and private roads stay: a crew gets them opened. Turn restrictions hold for every mode (geo.turns).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import osmium

from geo.cities import NameTable, parse_kmh
from geo.polylines import Lines, graph_from_lines
from geo.roads import RoadGraph
from geo.router import Rejected
from geo.speeds import CLASS_INDEX
from geo.turns import Turn

# Called with (phase, done, total or None) while a file is read; phases: "roads", "points", "graph".
Progress = Callable[[str, int, int | None], None]

SUFFIXES = (".osm", ".pbf", ".osm.gz", ".osm.bz2")
PROGRESS_EVERY = 20_000  # objects between two calls: often enough to see life, too seldom to cost time
# Road points held at once, some 30 bytes each: an island of Indonesia fits, a continent must be cut.
POINTS_MAX = 60_000_000
ALIASES: Mapping[str, str] = {
    "minor": "residential",
    "residential_link": "residential",
    "busway": "service",
    "emergency_bay": "service",
}
CLOSED = frozenset({"no", "agricultural", "forestry"})
EXEMPT = frozenset({"emergency", "motorcar", "motor_vehicle"})
"""In a turn restriction's `except`: it does not bind us."""


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
        refs, at = np.unique(np.frombuffer(ways.refs, np.int64), return_inverse=True)
        place = at.astype(np.int32)
        del at
        ways.refs = array("q")
        lon, lat = _read_points(file, refs, progress)
    except osmium.InvalidLocationError as error:
        raise Rejected(
            "wrong_projection", f"{file} is not in WGS84 degrees ({error}); reproject to EPSG:4326"
        ) from None
    except (RuntimeError, ValueError, OSError) as error:  # osmium reports damage as RuntimeError
        raise Rejected("bad_osm", f"{file} cannot be read as OpenStreetMap data: {error}") from None
    progress("graph", 0, None)
    lines = Lines(
        ref=refs,
        lon=lon,
        lat=lat,
        place=place,
        count=np.frombuffer(ways.counts, np.int32),
        road_class=np.frombuffer(ways.road_class, np.uint8),
        name=np.frombuffer(ways.name, np.int32),
        forward=np.frombuffer(ways.forward, np.uint8).astype(np.bool_),
        backward=np.frombuffer(ways.backward, np.uint8).astype(np.bool_),
        limit_kmh=np.frombuffer(ways.limit_kmh, np.float64),
        true_length_m=np.full(len(ways.counts), np.nan),
    )
    graph = graph_from_lines(
        lines, ways.names.names, turns=ways.turns(), region=region or file.name.partition(".")[0], source=file.name,
        licence="ODbL 1.0, (c) OpenStreetMap contributors",
    )  # fmt: skip
    graph.notes["turns_by_time"] = float(ways.turns_by_time)
    graph.notes["turns_not_read"] = float(ways.turns_not_read)
    return graph


class _Ways:
    """Roads in compact columns; one entry a way; `refs`, `lon` and `lat` one a point."""

    def __init__(self) -> None:
        self.refs = array("q")
        self.counts = array("i")
        self.road_class = array("B")
        self.name = array("i")
        self.forward = array("B")
        self.backward = array("B")
        self.limit_kmh = array("d")
        self.names = NameTable()
        self.way_id = array("q")
        self.restrictions: list[tuple[list[int], list[tuple[str, int]], list[int], str]] = []
        """Ways in, a point or ways between, ways out, kind."""
        self.turns_by_time = 0
        self.turns_not_read = 0

    def restrict(self, relation: osmium.osm.Relation) -> None:
        """Take in a `type=restriction` relation; one that only concerns others is none of ours."""
        tags = relation.tags
        kind = tags.get("restriction:motorcar") or tags.get("restriction") or ""
        if EXEMPT & set((tags.get("except") or "").replace(" ", "").split(";")):
            return
        if not kind and not tags.get("restriction:conditional"):
            return  # for lorries, buses or bicycles
        members: dict[str, list[tuple[str, int]]] = {}
        for m in relation.members:
            members.setdefault(m.role, []).append((m.type, m.ref))
        into, via, out = (members.get(role, []) for role in ("from", "via", "to"))
        if any(tags.get(t) for t in ("restriction:conditional", "day_on", "hour_on")):
            self.turns_by_time += 1
            return
        between = {t for t, _ in via}
        plain = (between == {"w"} or (between == {"n"} and len(via) == 1)) and {t for t, _ in into + out} == {"w"}
        several = kind.startswith("only_") and (len(into) != 1 or len(out) != 1)
        if not plain or several or not kind.startswith(("no_", "only_")):
            self.turns_not_read += 1
            return
        self.restrictions.append(([r for _, r in into], via, [r for _, r in out], kind))

    def turns(self) -> list[Turn]:
        """The restrictions among the ways that were kept."""
        line_of = {way: line for line, way in enumerate(self.way_id)}
        turns = []
        for into, via, out, kind in self.restrictions:
            ways = [ref for member, ref in via if member == "w"]
            if all(way in line_of for way in ways):
                point = None if ways else via[0][1]
                over = tuple(line_of[way] for way in ways)
                turns += [
                    Turn(line_of[a], point, line_of[b], kind.startswith("only_"), kind == "no_u_turn", over)
                    for a in into
                    for b in out
                    if a in line_of and b in line_of
                ]
        return turns


def _read_ways(file: Path, progress: Progress) -> _Ways:
    ways = _Ways()
    drawn, restricting = osmium.filter.KeyFilter("highway"), osmium.filter.TagFilter(("type", "restriction"))
    drawn.enable_for(osmium.osm.WAY)
    restricting.enable_for(osmium.osm.RELATION)
    roads = (
        osmium.FileProcessor(str(file), osmium.osm.WAY | osmium.osm.RELATION)
        .with_filter(drawn)
        .with_filter(restricting)
    )
    for seen, way in enumerate(roads):
        if seen % PROGRESS_EVERY == 0:
            progress("roads", seen, None)
        if isinstance(way, osmium.osm.Relation):
            ways.restrict(way)
            continue
        assert isinstance(way, osmium.osm.Way), "the filter lets only ways and relations through"
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
        ways.refs.extend(point.ref for point in way.nodes)
        ways.counts.append(len(way.nodes))
        ways.way_id.append(way.id)
        ways.road_class.append(road_class)
        ways.name.append(ways.names.index(tags.get("name") or tags.get("ref") or ""))
        ways.forward.append(forward)
        ways.backward.append(backward)
        ways.limit_kmh.append(parse_kmh(tags.get("maxspeed") or ""))
    if not ways.refs:
        raise Rejected("empty_network", f"{file} holds no road that can be driven")
    return ways


def _read_points(
    file: Path, refs: npt.NDArray[np.int64], progress: Progress
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Positions of the points `refs` (ascending), lon and lat; nan for those the extract lacks."""
    lon, lat = np.full(len(refs), np.nan), np.full(len(refs), np.nan)
    # memoryview: the numbers are handed over one by one, no list of millions is made.
    wanted = osmium.filter.IdFilter(refs.data)
    found_ref, found_lon, found_lat = array("q"), array("d"), array("d")

    def put() -> None:
        at = np.searchsorted(refs, np.frombuffer(found_ref, np.int64))
        lon[at], lat[at] = np.frombuffer(found_lon), np.frombuffer(found_lat)

    for seen, node in enumerate(osmium.FileProcessor(str(file), osmium.osm.NODE).with_filter(wanted)):
        if seen % PROGRESS_EVERY == 0:
            progress("points", seen, len(refs))
            put()
            found_ref, found_lon, found_lat = array("q"), array("d"), array("d")
        assert isinstance(node, osmium.osm.Node), "the filter lets only nodes through"
        if node.location.valid():
            found_ref.append(node.id)
            found_lon.append(node.location.lon)
            found_lat.append(node.location.lat)
    put()
    return lon, lat


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
