"""The built-in road network: main roads as typed, local streets as a plausible lattice, water and rails as barriers.

So a fresh machine routes without a download. It is an approximation and says so (`approximate=True`); `geo.compare` states
how far its travel times lie from a real network. Deterministic: the same tables give the same bytes.

How it is made, in local metres:
1. typed roads are joined where they meet; a river is passed only where a bridge is typed, a motorway only at its ends
   and links;
2. roads, water, railways, the city limit and the borders between villages cut the land into blocks; borders between
   villages carry a residential street;
3. each block gets a lattice as dense as its village is settled, opening on the roads around it, never on water or rails;
4. the typed bridges and level crossings join the lattices on both sides;
5. what cannot be reached both ways from the main part is dropped.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import Voronoi, cKDTree

from geo.lattice import FloatArray, IntArray, fill, hash01
from geo.places_tables import (
    Facts,
    Plane,
    TypedPoint,
    TypedRoad,
    TypedShape,
    Village,
)
from geo.polylines import ARC_MAX_M
from geo.roads import RoadGraph
from geo.router import Rejected
from geo.speeds import CLASS_INDEX, CLASSES, NO_ACCESS, seconds_by_class

LOCAL = CLASS_INDEX["residential"]

# How often a lane opens on a road of that class: main roads have fewer mouths (assumption, tuned with geo.compare).
MOUTH_SHARE = {"residential": 0.9, "tertiary": 0.7, "secondary": 0.6, "primary": 0.45, "trunk": 0.4}
# A street is longer than the straight line between two junctions. On the data pack's real roads the ratio is 1.00-1.01 for
# main roads and 1.03-1.05 for lanes, junction to junction; typed main roads leave out small bends on top of that, and a
# lattice link stands for two or three real ones.
BEND_MAIN, BEND_LOCAL = 1.03, 1.08

END_SNAP_M = 45.0  # a typed end this near another road meets it: positions are typed to 11 m
NODE_MERGE_M = 18.0  # nodes closer than this along a road are one junction
RIVER_WIDTH_M = 20.0  # wider water stops main roads too unless a bridge is typed
BRIDGE_REACH_M = 130.0  # a typed bridge serves roads and lanes this near
SPACING_MIN_M, SPACING_MAX_M = 92.0, 260.0
# Junctions per km2 against people per km2, fitted on the data pack's real junctions by kelurahan: 0.424 p^0.645 (r 0.74),
# thinned to four tenths: a lattice needs no node at every bend.
JUNCTION_FACTOR, JUNCTION_POWER, JUNCTION_SHARE = 0.424, 0.645, 0.42


class Builder:
    """Collects nodes and edges; edges are (from, to, class index, name index, oneway)."""

    def __init__(self) -> None:
        self.xy: list[tuple[float, float]] = []
        self.edges: list[tuple[int, int, int, int, bool]] = []
        self.names: list[str] = [""]
        self._name_index: dict[str, int] = {"": 0}

    def node(self, x: float, y: float) -> int:
        self.xy.append((x, y))
        return len(self.xy) - 1

    def name(self, text: str) -> int:
        if text not in self._name_index:
            self._name_index[text] = len(self.names)
            self.names.append(text)
        return self._name_index[text]


@dataclass(slots=True)
class Road:
    """A typed road in metres and the junctions on it: (measure along the line, node)."""

    typed: TypedRoad
    line: shapely.LineString
    stops: list[tuple[float, int]]

    @property
    def motorway(self) -> bool:
        return self.typed.road_class in NO_ACCESS


def build_network(facts: Facts, region: str = "") -> RoadGraph:
    """The network of one region, with the speeds of geo.speeds. Raises Rejected("bad_csv") for tables without a city."""
    city = next((s for s in facts.shapes if s.kind == "city"), None)
    if city is None or not facts.roads or not facts.villages:
        raise Rejected("bad_csv", "the built-in network needs roads, villages and a ring of kind `city` in water.csv")
    plane = Plane(*city.line.mean(axis=0).tolist())
    land = _land(facts.shapes, plane)
    barriers = [(s, shapely.LineString(plane.xy(s.line))) for s in facts.shapes if s.kind in {"river", "canal", "rail"}]
    bridges = plane.xy(np.array([[b.lon, b.lat] for b in facts.bridges]).reshape(-1, 2))
    villages = plane.xy(np.array([[v.lon, v.lat] for v in facts.villages]))

    builder = Builder()
    roads = _cut_at_rivers(facts.roads, plane, barriers, bridges)
    roads += _collectors(villages, land, roads, [line for _, line in barriers])
    _join(roads, barriers, builder)
    blocks = _blocks(roads, barriers, land)
    spacing = _spacing(blocks, villages, facts.villages)
    lattice = fill(blocks, spacing)
    first = len(builder.xy)
    builder.xy.extend(map(tuple, lattice.xy.tolist()))
    builder.edges.extend(
        (a + first, b + first, LOCAL, 0, False)
        for a, b in zip(lattice.link_from.tolist(), lattice.link_to.tolist(), strict=True)
    )
    _open_on_roads(roads, lattice.exit_node + first, lattice.exit_xy, builder)
    _drop_crossing(builder, [line for _, line in barriers])
    _chain(roads, builder)
    _cross_barriers(facts.bridges, bridges, [line for _, line in barriers], builder)
    return _graph(builder, plane, region)


def _land(shapes: Sequence[TypedShape], plane: Plane) -> shapely.Geometry:
    """The city's ground without sea, ponds and fishponds."""

    def areas(*kinds: str) -> list[shapely.Polygon]:
        return [shapely.make_valid(shapely.Polygon(plane.xy(s.line))) for s in shapes if s.kind in kinds]

    return shapely.difference(shapely.union_all(areas("city")), shapely.union_all(areas("sea", "pond", "fishpond")))


def _cut_at_rivers(
    typed: Sequence[TypedRoad],
    plane: Plane,
    barriers: Sequence[tuple[TypedShape, shapely.LineString]],
    bridges: FloatArray,
) -> list[Road]:
    """Roads in metres; where one meets a river with no typed bridge near, it is cut there."""
    rivers = shapely.union_all(
        [line for s, line in barriers if s.kind == "river" and (s.width_m or 0.0) >= RIVER_WIDTH_M]
    )
    tree = cKDTree(bridges) if len(bridges) else None
    roads: list[Road] = []
    for road in typed:
        line = shapely.LineString(plane.xy(road.line))
        pieces = [line]
        if road.road_class not in NO_ACCESS and shapely.intersects(line, rivers):
            hits = shapely.get_coordinates(shapely.intersection(line, rivers))
            gaps = [h for h in hits if tree is None or tree.query(h)[0] > BRIDGE_REACH_M]
            if gaps:
                cut = shapely.difference(line, shapely.MultiPoint(gaps).buffer(RIVER_WIDTH_M))
                pieces = [p for p in shapely.get_parts(cut) if p.length > END_SNAP_M]
        roads.extend(Road(road, piece, []) for piece in pieces)
    return roads


def _collectors(
    villages: FloatArray, land: shapely.Geometry, roads: Sequence[Road], barriers: Sequence[shapely.LineString]
) -> list[Road]:
    """Borders between villages as unnamed collector streets: the part on land, between barriers, away from main roads."""
    low, high = villages.min(axis=0), villages.max(axis=0)
    span = float((high - low).max())
    far = np.array(
        [
            low - 2 * span,
            high + 2 * span,
            [low[0] - 2 * span, high[1] + 2 * span],
            [high[0] + 2 * span, low[1] - 2 * span],
        ]
    )
    v = Voronoi(np.vstack([villages, far]))
    ends = np.array([r for r in v.ridge_vertices if -1 not in r], np.int64)
    edges = shapely.linestrings(v.vertices[ends])
    keep_off = shapely.buffer(shapely.MultiLineString([r.line for r in roads]), 60.0, quad_segs=1)
    walls = shapely.buffer(shapely.MultiLineString(list(barriers)), 15.0, quad_segs=1)
    pieces = shapely.get_parts(
        shapely.difference(shapely.difference(shapely.intersection(edges, land), keep_off), walls)
    )
    street = TypedRoad("", "residential", False, (), np.zeros((0, 2)))
    corners = cKDTree(v.vertices)
    collectors = []
    ground = shapely.get_type_id(pieces) == shapely.GeometryType.LINESTRING
    for piece in sorted(pieces[ground], key=lambda p: p.bounds):
        if piece.length < 120.0:
            continue
        ends = shapely.get_coordinates(piece)[[0, -1]]
        # An end at a corner of three villages meets the other two there; one cut off at a road is drawn to that road.
        free = corners.query(ends)[0] > 1.0
        reach = shapely.get_parts(shapely.difference(_stretched(piece, 75.0 * free), walls))  # but never over the water
        collectors.append(Road(street, max(reach, key=lambda p: p.length), []))
    return collectors


def _stretched(line: shapely.LineString, by_m: FloatArray) -> shapely.LineString:
    """The line made longer by by_m (2,) at its two ends, so that it reaches the road it was cut back from."""
    p = shapely.get_coordinates(line)
    head, tail = p[0] - p[1], p[-1] - p[-2]
    p[0] += head / np.hypot(*head) * by_m[0]
    p[-1] += tail / np.hypot(*tail) * by_m[1]
    return shapely.LineString(p)


def _join(roads: list[Road], barriers: Sequence[tuple[TypedShape, shapely.LineString]], builder: Builder) -> None:
    """Nodes at every meeting of two roads, and at every end (snapped to a road within END_SNAP_M on its own bank)."""
    walls = shapely.MultiLineString([line for s, line in barriers if s.kind != "rail"])
    shapely.prepare(walls)
    lines = [r.line for r in roads]
    tree = shapely.STRtree(lines)
    spots: list[tuple[float, float, int, float]] = []  # x, y, road, measure
    left, right = tree.query(lines, predicate="intersects")
    for a, b in zip(left.tolist(), right.tolist(), strict=True):
        if a >= b or roads[a].motorway or roads[b].motorway:
            continue
        for x, y in shapely.get_coordinates(shapely.intersection(lines[a], lines[b])):
            point = shapely.Point(x, y)
            spots.append((x, y, a, float(lines[a].project(point))))
            spots.append((x, y, b, float(lines[b].project(point))))
    for a, line in enumerate(lines):
        for measure, end in ((0.0, line.coords[0]), (line.length, line.coords[-1])):
            point = shapely.Point(end)
            meets: list[tuple[float, int, float]] = []  # away, road, measure on it
            for b in tree.query(point, predicate="dwithin", distance=END_SNAP_M).tolist():
                # Only a link or an end of the motorway itself may touch a motorway.
                if a == b or (roads[b].typed.road_class == "motorway" and not roads[a].motorway):
                    continue
                measure_b = float(lines[b].project(point))
                if not walls.intersects(shapely.LineString([end, lines[b].interpolate(measure_b)])):
                    meets.append((float(lines[b].distance(point)), b, measure_b))
            # The end moves to the road it meets, not the road to the end: a through road stays as it was typed.
            meets.sort()
            spot = lines[meets[0][1]].interpolate(meets[0][2]) if meets else point
            spots.append((spot.x, spot.y, a, measure))
            for away, b, measure_b in meets:
                if away <= meets[0][0] + NODE_MERGE_M:
                    spots.append((spot.x, spot.y, b, measure_b))
    spots.sort(key=lambda s: (s[2], s[3], s[0], s[1]))
    xy = np.array([s[:2] for s in spots])
    typed = np.array([bool(roads[s[2]].typed.name) for s in spots])
    group = _clusters(xy, NODE_MERGE_M)
    node_of: dict[int, int] = {}
    for spot, g in zip(spots, group.tolist(), strict=True):
        if g not in node_of:
            # Where typed roads meet, they alone say where; collectors follow.
            members = np.flatnonzero(group == g)
            firm = members[typed[members]]
            x, y = xy[firm if len(firm) else members].mean(axis=0).tolist()
            node_of[g] = builder.node(x, y)
        roads[spot[2]].stops.append((spot[3], node_of[g]))


def _clusters(xy: FloatArray, within_m: float) -> IntArray:
    """Group number per point: points chained by steps of at most within_m are one group."""
    pairs = cKDTree(xy).query_pairs(within_m, output_type="ndarray")
    n = len(xy)
    _, label = connected_components(
        coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n)), directed=False
    )
    groups: IntArray = label.astype(np.int64)
    return groups


def _blocks(
    roads: Sequence[Road], barriers: Sequence[tuple[TypedShape, shapely.LineString]], land: shapely.Geometry
) -> list[shapely.Polygon]:
    """Pieces of land between roads and barriers, in a fixed order."""
    walls = [r.line for r in roads if r.typed.road_class != "motorway_link"] + [line for _, line in barriers]
    noded = shapely.node(shapely.GeometryCollection([*walls, shapely.boundary(land)]))
    faces = shapely.get_parts(shapely.polygonize(shapely.get_parts(noded)))
    dry = shapely.contains_properly(land, shapely.point_on_surface(faces)) & (shapely.area(faces) > 3_000.0)
    # Draw back from the rim by half a street so that no lane lies on a road.
    shrunk = shapely.buffer(faces[dry], -8.0, join_style="mitre")
    # A river that ends inside a block (its mouth is drawn short) does not cut it in two, but stops lanes all the same.
    water = shapely.buffer(shapely.MultiLineString([line for _, line in barriers]), 6.0, quad_segs=1)
    shrunk = shapely.get_parts(shapely.difference(shrunk, water))
    return sorted((f for f in shrunk if f.area > 2_500.0), key=lambda f: f.bounds)


def _spacing(blocks: Sequence[shapely.Polygon], villages: FloatArray, table: Sequence[Village]) -> FloatArray:
    """Mean metres between junctions in each block, from the density of the three villages around it."""
    middle = shapely.get_coordinates(shapely.point_on_surface(np.array(blocks, dtype=object)))
    away, near = cKDTree(villages).query(middle, k=min(3, len(villages)))
    away, near = away.reshape(len(blocks), -1), near.reshape(len(blocks), -1)
    people = np.array([v.population / max(v.area_km2, 0.05) for v in table])[near]
    weight = 1.0 / np.maximum(away, 200.0) ** 2
    density = (people * weight).sum(axis=1) / weight.sum(axis=1)
    junctions = JUNCTION_SHARE * JUNCTION_FACTOR * density**JUNCTION_POWER
    spacing: FloatArray = np.clip(1_000.0 / np.sqrt(np.maximum(junctions, 1.0)), SPACING_MIN_M, SPACING_MAX_M)
    return spacing


def _open_on_roads(roads: Sequence[Road], nodes: IntArray, rims: FloatArray, builder: Builder) -> None:
    """Connect edge nodes of the lattice to the road in front of them, if it is one that lanes open on."""
    if not len(nodes):
        return
    lines = np.array([r.line for r in roads], dtype=object)
    points = shapely.points(rims)
    where, which = shapely.STRtree(lines).query_nearest(points, max_distance=14.0, all_matches=False)
    key = np.round(rims).astype(np.int64)
    chance = hash01(key[:, 0], key[:, 1], 5)
    measures = shapely.line_locate_point(lines[which], points[where])
    for i, r, measure in zip(where.tolist(), which.tolist(), measures.tolist(), strict=True):
        road = roads[r]
        if chance[i] >= MOUTH_SHARE.get(road.typed.road_class, 0.0):
            continue
        stop = _stop_near(road, measure, builder)
        builder.edges.append((int(nodes[i]), stop, LOCAL, 0, False))


def _drop_crossing(builder: Builder, barriers: Sequence[shapely.LineString]) -> None:
    """Lanes never pass water or rails on their own: an opening that would reach a road on the other bank is taken out."""
    xy = np.array(builder.xy)
    ends = np.array([e[:2] for e in builder.edges])
    walls = shapely.MultiLineString(list(barriers))
    shapely.prepare(walls)
    crossing = shapely.intersects(walls, shapely.linestrings(xy[ends]))
    builder.edges = [e for e, cut in zip(builder.edges, crossing.tolist(), strict=True) if not cut]


def _stop_near(road: Road, measure: float, builder: Builder) -> int:
    """A junction on the road at this measure, shared with one already there within 1.5 x NODE_MERGE_M."""
    best = min(road.stops, key=lambda s: abs(s[0] - measure))
    if abs(best[0] - measure) <= 1.5 * NODE_MERGE_M:
        return best[1]
    at = road.line.interpolate(measure)
    node = builder.node(at.x, at.y)
    road.stops.append((measure, node))
    return node


def _chain(roads: Sequence[Road], builder: Builder) -> None:
    """Edges along each road from junction to junction; bends of the typed line become nodes too, so lengths
    hold, and no gap is longer than ARC_MAX_M, because positions join the network at nodes."""
    for road in roads:
        line = road.line
        for bend in line.coords[1:-1]:
            _stop_near(road, float(line.project(shapely.Point(bend))), builder)
        for (low, _), (high, _) in itertools.pairwise(sorted(road.stops)):
            parts = math.ceil((high - low) / ARC_MAX_M)
            for k in range(1, parts):
                _stop_near(road, low + (high - low) * k / parts, builder)
        stops = sorted(road.stops)
        road_class, name = CLASS_INDEX[road.typed.road_class], builder.name(road.typed.name)
        for (_, a), (_, b) in itertools.pairwise(stops):
            if a != b:
                builder.edges.append((a, b, road_class, name, road.typed.oneway))


def _cross_barriers(
    typed: Sequence[TypedPoint], bridges: FloatArray, barriers: Sequence[shapely.LineString], builder: Builder
) -> None:
    """A short street over every typed bridge and level crossing, between the nearest nodes of the two sides."""
    if not len(bridges) or not barriers:
        return
    xy = np.array(builder.xy)
    usable = np.zeros(len(xy), np.bool_)
    for a, b, road_class, _, _ in builder.edges:
        if CLASSES[road_class] not in NO_ACCESS:
            usable[a] = usable[b] = True
    nodes = np.flatnonzero(usable)
    tree = cKDTree(xy[nodes])
    lines = np.array(barriers, dtype=object)
    wall = shapely.STRtree(lines)
    for bridge, at in zip(typed, bridges, strict=True):
        line = lines[int(wall.nearest(shapely.Point(at)))]
        near = nodes[tree.query_ball_point(at, 2.0 * BRIDGE_REACH_M)]
        if not len(near):
            continue
        measure = line.project(shapely.Point(at))
        p, q = (shapely.get_coordinates(line.interpolate(m))[0] for m in (max(measure - 20.0, 0.0), measure + 20.0))
        side = (q[0] - p[0]) * (xy[near, 1] - p[1]) - (q[1] - p[1]) * (xy[near, 0] - p[0])
        away = np.hypot(*(xy[near] - at).T)
        left, right = near[side > 0], near[side < 0]
        if len(left) and len(right):
            a = int(left[np.argmin(away[side > 0])])
            b = int(right[np.argmin(away[side < 0])])
            # A level crossing names no street; a bridge does, and crews are told to pass it.
            builder.edges.append((a, b, LOCAL, builder.name(bridge.name if bridge.kind == "bridge" else ""), False))


def _graph(builder: Builder, plane: Plane, region: str) -> RoadGraph:
    """Both directions of every edge, the strongly connected main part, travel times by class."""
    xy = np.array(builder.xy)
    edge = np.array(builder.edges, np.int64)
    back = edge[edge[:, 4] == 0][:, [1, 0, 2, 3, 4]]
    arc = np.concatenate([edge, back])
    pair = arc[:, 0] * len(xy) + arc[:, 1]
    # Two ways between the same junctions: keep the one on the larger road (classes stand in falling order of speed).
    _, unique = np.unique(pair * len(CLASSES) + arc[:, 2], return_index=True)
    pair = pair[unique]
    arc = arc[unique][np.concatenate([[True], pair[1:] != pair[:-1]])]
    n = len(xy)
    _, part = connected_components(
        coo_matrix((np.ones(len(arc)), (arc[:, 0], arc[:, 1])), shape=(n, n)), connection="strong"
    )
    main = part == np.bincount(part).argmax()
    new = np.cumsum(main) - 1
    arc = arc[main[arc[:, 0]] & main[arc[:, 1]]]
    dropped = int(n - main.sum())
    xy = xy[main]
    tail, head = new[arc[:, 0]], new[arc[:, 1]]
    bend = np.where(arc[:, 2] == LOCAL, BEND_LOCAL, BEND_MAIN)
    length = np.maximum(np.hypot(*(xy[tail] - xy[head]).T) * bend, 1.0)
    lonlat = np.round(plane.lonlat(xy), 6)  # 0.1 m, so that rounding noise between machines cannot show
    access = np.zeros(len(xy), np.bool_)
    open_arc = ~np.isin(arc[:, 2], [CLASS_INDEX[c] for c in NO_ACCESS])
    access[tail[open_arc]] = access[head[open_arc]] = True
    return RoadGraph.from_arrays(
        lonlat[:, 0], lonlat[:, 1], tail, head, length,
        seconds_by_class(arc[:, 2].astype(np.uint8), length), offroad_access=access, arc_name=arc[:, 3],
        names=builder.names, arc_class=arc[:, 2], classes=CLASSES, m_per_deg=(plane.kx, plane.ky), region=region,
        source="built-in approximate network", licence="sebagian posisi © kontributor OpenStreetMap (ODbL)", approximate=True,
        notes={"dropped_nodes": float(dropped)},
    )  # fmt: skip
