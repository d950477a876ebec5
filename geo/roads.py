"""The road graph of one region: arrays in CSR form, live travel times, and the Router that answers from them.

Shapes: n nodes, m directed arcs sorted by their first node; arc i runs `arc_from[i]` -> `arc_to[i]`. A position outside
the network is joined to it by a straight leg to the nearest node with `node_access`, at the mode's off-road speed (the
city models' rule). `live` holds the seconds in force now: prior x conditions, inf where closed; both the nearest-unit
search and the route search read nothing else, so a closure cannot reach one and miss the other.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from geo import kernels
from geo.chains import Chains
from geo.grids import NO_INTS, ArcGrid, IntArray, SnapGrid
from geo.router import (
    LIGHTS,
    Estimate,
    FloatArray,
    Mode,
    Rejected,
    Route,
    StraightLineRouter,
    require_lonlat,
)

if TYPE_CHECKING:
    from pyroutingkit import CCHMetric

    from geo.labels import Hierarchy
    from geo.nearest import RoadFleet
    from geo.roadarrays import Shapes
    from geo.routes import PathFinder

T = TypeVar("T")
# Further than this from any road is an island, a river's far bank or a wrong fix: `estimate` then says straight line.
# The furthest call of the two reference cities lies 3.03 km from a node.
OFFROAD_TRUSTED_M = 3_500.0
# A position this far from any road belongs to another region: refuse it instead of inventing a long leg.
OUTSIDE_M = 50_000.0


class Live:
    """Travel times in force: seconds per arc, in reverse order of arcs, and per chain slot ahead and back (geo.chains); and a
    version to compare. The latter two are worked out by mode when they are first asked for."""

    def __init__(self, graph: RoadGraph, version: int, forward: Mapping[Mode, FloatArray]) -> None:
        self.version = version
        self.forward = forward
        self.reverse = _ByMode(lambda mode: forward[mode][graph.rev_arc])
        self.chains = _ByMode(lambda mode: graph.chains.weights(forward[mode]))

    def of_version(self, version: int) -> Live:
        """The same times, and what has been worked out of them, under the number they are put in force by."""
        other = copy(self)
        other.version = version
        return other


class _ByMode(dict[Mode, T]):
    """Fills itself. Two threads may work out the same at once; both get the same."""

    def __init__(self, make: Callable[[Mode], T]) -> None:
        self._make = make

    def __missing__(self, mode: Mode) -> T:
        made = self[mode] = self._make(mode)
        return made


class Workspace(threading.local):
    """Scratch arrays of the searches, one set per thread so that a route in a worker thread cannot disturb the engine."""

    def __init__(self, n: int, m: int) -> None:
        self.dist = np.full(n, np.inf)
        self.touched = np.zeros(n, np.int32)
        self.keys = np.zeros(m + n + 1)
        self.nodes = np.zeros(m + n + 1, np.int32)


@dataclass(frozen=True, slots=True)
class Prepared:
    """Travel times worked out ahead, and both hierarchies customised to them by mode (or none: then at the first question)."""

    live: Live
    weights: Mapping[Mode, tuple[FloatArray, FloatArray]]
    metrics: Mapping[Mode, CCHMetric]


@dataclass(frozen=True, slots=True)
class Attachment:
    """How a position joins the network: its node and the straight leg to it."""

    node: int
    offroad_m: float


@dataclass(frozen=True, slots=True)
class NodePath:
    """A way through the graph: nodes, arcs between them, and seconds from the start at each node (cumulative)."""

    nodes: IntArray
    arcs: IntArray
    at_s: FloatArray


@dataclass(eq=False)
class RoadGraph:
    """See the module. Build with `from_arrays` or a loader; treat every array as read-only."""

    node_lon: FloatArray
    node_lat: FloatArray
    node_access: npt.NDArray[np.bool_]
    first_out: IntArray  # (n+1,)
    arc_from: IntArray
    arc_to: IntArray
    arc_length_m: FloatArray
    arc_class: npt.NDArray[np.uint8]  # index into classes
    arc_name: IntArray  # index into names; names[0] is ""
    base_s: dict[Mode, FloatArray]  # seconds per arc in normal conditions
    rev_first: IntArray  # (n+1,) arcs ending at v are rev_arc[rev_first[v]:rev_first[v+1]]
    rev_arc: IntArray
    rev_from: IntArray
    classes: tuple[str, ...]
    names: list[str]
    offroad_kmh: dict[Mode, float]
    x_m_per_deg: float
    y_m_per_deg: float
    node_ref: npt.NDArray[np.int64] | None = None  # the source's own node ids
    shape_first: IntArray | None = None  # (m+1,) interior points of arc i are shape_*[shape_first[i]:shape_first[i+1]]
    shape_lon: npt.NDArray[np.float32] | None = None
    shape_lat: npt.NDArray[np.float32] | None = None
    region: str = ""
    source: str = ""
    licence: str = ""
    approximate: bool = False
    name: str = "road-graph"
    notes: dict[str, float] = field(default_factory=dict)  # what the importer counted: dropped arcs, components ...
    cache_path: Path | None = None
    strung: Chains | None = None  # given by a cache file, else built
    labelled: Mapping[str, Any] | None = None  # the same of the labels' hierarchy, see geo.labels.KEPT

    def __post_init__(self) -> None:
        self.lon0, self.lat0 = float(self.node_lon.min()), float(self.node_lat.min())
        self.x: FloatArray = (self.node_lon - self.lon0) * self.x_m_per_deg
        self.y: FloatArray = (self.node_lat - self.lat0) * self.y_m_per_deg
        self.grid = SnapGrid.build(self.x, self.y, np.flatnonzero(self.node_access).astype(np.int32))
        self.workspace = Workspace(self.n_nodes, self.n_arcs)
        self._offroad_s_per_m = {mode: 3.6 / kmh for mode, kmh in self.offroad_kmh.items()}
        self.straight_line = StraightLineRouter(self._straight_line_speeds())
        self._paths: PathFinder | None = None
        self._hierarchy: Hierarchy | None = None
        self._arc_grid: ArcGrid | None = None
        self.chains = self.strung or Chains.build(
            self.n_nodes, self.first_out, self.arc_to, self.rev_first, self.rev_from
        )
        self.live = Live(self, 0, {})
        self.set_seconds(self.base_s)

    # ---- building -------------------------------------------------------------------------------------------------

    @classmethod
    def from_arrays(
        cls,
        node_lon: npt.ArrayLike,
        node_lat: npt.ArrayLike,
        arc_from: npt.ArrayLike,
        arc_to: npt.ArrayLike,
        length_m: npt.ArrayLike,
        seconds: Mapping[Mode, npt.ArrayLike],
        *,
        offroad_access: npt.ArrayLike | None = None,
        offroad_kmh: Mapping[Mode, float] | None = None,
        arc_name: npt.ArrayLike | None = None,
        names: Sequence[str] = ("",),
        arc_class: npt.ArrayLike | None = None,
        classes: Sequence[str] = ("road",),
        node_ref: npt.ArrayLike | None = None,
        shapes: Shapes | None = None,
        m_per_deg: tuple[float, float] | None = None,
        region: str = "",
        source: str = "",
        licence: str = "",
        approximate: bool = False,
        notes: Mapping[str, float] | None = None,
    ) -> RoadGraph:
        """A graph from plain arrays; node order is kept, arcs are re-sorted by their first node.

        node_lon, node_lat (n,) degrees; arc_from, arc_to (m,) node indices; length_m (m,); seconds per mode (m,).
        offroad_access (n,) bool: nodes where a position off the network may join it (default: all).
        arc_name (m,) indexes `names` (names[0] must be ""), arc_class (m,) indexes `classes`.
        shapes: drawn points between the ends. m_per_deg: local scale (x, y).
        Raises Rejected("empty_network" | "bad_coordinates" | "bad_arcs" | "bad_speed" | "too_large").
        """
        from geo.roadarrays import checked

        fields = checked(
            node_lon, node_lat, arc_from, arc_to, length_m, seconds, offroad_access, arc_name, names, arc_class, classes,
            shapes, m_per_deg, offroad_kmh, source,
        )  # fmt: skip
        return cls(
            **fields, node_ref=None if node_ref is None else np.asarray(node_ref, np.int64), region=region, source=source,
            licence=licence, approximate=approximate, notes=dict(notes or {}),
        )  # fmt: skip

    @classmethod
    def from_city_csv(cls, folder: str | Path) -> RoadGraph:
        """A city model folder (nodes.csv, arcs.csv, README.md), see geo.cities."""
        from geo.cities import load_city_csv

        return load_city_csv(folder)

    @classmethod
    def from_edge_csv(cls, nodes: str | Path, edges: str | Path, region: str = "") -> RoadGraph:
        """The Surabaya data pack's road graph format (gzip CSV of nodes and edges), see geo.cities."""
        from geo.cities import load_edge_csv

        return load_edge_csv(nodes, edges, region)

    @classmethod
    def from_osm(cls, file: str | Path, region: str = "") -> RoadGraph:
        """An OpenStreetMap extract, .osm, .osm.gz, .osm.bz2 or .osm.pbf, see geo.osm."""
        from geo.osm import load_osm

        return load_osm(file, region)

    @classmethod
    def load(cls, file: str | Path) -> RoadGraph:
        """A cache file written by `save`, memory-mapped; see geo.roadcache."""
        from geo.roadcache import load

        return load(Path(file))

    def save(self, file: str | Path) -> None:
        from geo.roadcache import save

        save(self, Path(file))

    # ---- live weights ---------------------------------------------------------------------------------------------

    @property
    def n_nodes(self) -> int:
        return len(self.node_lon)

    @property
    def n_arcs(self) -> int:
        return len(self.arc_from)

    @property
    def modes(self) -> tuple[Mode, ...]:
        return tuple(self.base_s)

    def set_seconds(self, seconds: Mapping[Mode, FloatArray]) -> None:
        """Put new travel times in force for every search at once: seconds per mode (m,), inf = closed.

        geo.traffic is the one caller beside construction: it turns closures, hour and learned speeds into these arrays.
        """
        self.adopt(Prepared(self._live_of(seconds), {}, {}))

    def prepare(self, seconds: Mapping[Mode, FloatArray]) -> Prepared:
        """Everything `set_seconds` and the first question of each kind after it would work out, for `adopt` to put in
        force in no time. May run in another thread while this graph answers: it reads nothing that changes.
        """
        live = self._live_of(seconds)
        for mode in live.forward:
            live.chains[mode]  # the nearest units are asked for beside the hierarchies
        hierarchy, paths = self.hierarchy, self.paths
        weights = {mode: hierarchy.customised(s) for mode, s in live.forward.items()}
        return Prepared(live, weights, {mode: paths.customised(s) for mode, s in live.forward.items()})

    def adopt(self, prepared: Prepared) -> None:
        """Put prepared travel times in force."""
        version = self.live.version + 1
        if prepared.weights:
            self.hierarchy.adopt(version, prepared.weights)
            self.paths.adopt(version, prepared.metrics)
        self.live = prepared.live.of_version(version)

    def twin(self) -> RoadGraph:
        """The same roads with travel times of their own, at first those without any condition: for questions about another
        hour or another day that must not touch what is in force here. Shares every array; a few milliseconds."""
        other = copy(self)
        other.workspace = Workspace(self.n_nodes, self.n_arcs)
        other._paths = self.paths.twin(other)
        other._hierarchy = self.hierarchy.twin(other)
        other.set_seconds(other.base_s)
        return other

    def _live_of(self, seconds: Mapping[Mode, FloatArray]) -> Live:
        forward: dict[Mode, FloatArray] = {}
        for mode in self.base_s:
            s = seconds[mode]
            assert s.shape == (self.n_arcs,), "one travel time per arc"
            if not s.min() >= 0.0:
                raise Rejected("bad_speed", f"mode {mode!r} got a negative or missing travel time")
            forward[mode] = np.ascontiguousarray(s, np.float64)
        return Live(self, 0, forward)

    def require_mode(self, mode: Mode) -> None:
        if mode not in self.base_s:
            raise Rejected("unknown_mode", f"mode {mode!r} is not one of {sorted(self.base_s)}")

    def offroad_s_per_m(self, mode: Mode) -> float:
        return self._offroad_s_per_m[mode]

    # ---- positions ------------------------------------------------------------------------------------------------

    def to_xy(self, lon: float, lat: float) -> tuple[float, float]:
        """Local metres from the region's lower left corner. Raises Rejected on anything but degrees nearby."""
        require_lonlat(lon, lat)
        return (lon - self.lon0) * self.x_m_per_deg, (lat - self.lat0) * self.y_m_per_deg

    @property
    def arc_grid(self) -> ArcGrid:
        """Arcs by place, built at first use."""
        if self._arc_grid is None:
            self._arc_grid = ArcGrid.build(self.x, self.y, self.arc_from, self.arc_to)
        return self._arc_grid

    def attach(self, lon: float, lat: float) -> Attachment:
        """The joinable node nearest to a position and the straight leg to it.

        Raises Rejected("bad_coordinates"), and Rejected("outside_region") beyond OUTSIDE_M.
        """
        px, py = self.to_xy(lon, lat)
        g = self.grid
        node, offroad_m = kernels.snap(px, py, self.x, self.y, g.cell_m, g.columns, g.rows, g.cell_first, g.cell_nodes)
        if offroad_m > OUTSIDE_M:
            raise self.outside(lon, lat, offroad_m)
        return Attachment(int(node), float(offroad_m))

    def outside(self, lon: float, lat: float, offroad_m: float) -> Rejected:
        """The refusal of a position that belongs to another region."""
        where = self.region or "this region"
        return Rejected("outside_region", f"({lon}, {lat}) is {offroad_m / 1000.0:.0f} km from any road of {where}")

    def nearest_node(self, lon: float, lat: float) -> int:
        """The joinable node nearest to a position."""
        return self.attach(lon, lat).node

    def arc_line(self, arc: int) -> FloatArray:
        """Points (k, 2) lon, lat of an arc from end to end, with its shape when the source had one."""
        ends = np.array([self.arc_from[arc], self.arc_to[arc]])
        line = np.column_stack([self.node_lon[ends], self.node_lat[ends]])
        if self.shape_first is None or self.shape_lon is None or self.shape_lat is None:
            return line
        a, b = self.shape_first[arc], self.shape_first[arc + 1]
        return np.vstack([line[:1], np.column_stack([self.shape_lon[a:b], self.shape_lat[a:b]]), line[1:]])

    # ---- node-level searches --------------------------------------------------------------------------------------

    def times_from(self, node: int, mode: Mode = LIGHTS, limit_s: float = math.inf) -> FloatArray:
        """Seconds from a node to every node (n,), inf beyond `limit_s` or without a way."""
        return self.times_from_many([node], [0.0], mode, limit_s)

    def times_to(self, node: int, mode: Mode = LIGHTS, limit_s: float = math.inf, start_s: float = 0.0) -> FloatArray:
        """Seconds from every node to this one plus `start_s` beyond it (n,)."""
        return self._sweep(self.rev_first, self.rev_from, self.live.reverse, [node], [start_s], mode, limit_s)

    def times_from_many(
        self, nodes: Iterable[int], start_s: Iterable[float], mode: Mode = LIGHTS, limit_s: float = math.inf
    ) -> FloatArray:
        """Seconds from the nearest of many nodes, each with its own head start (>= 0), to every node (n,)."""
        return self._sweep(self.first_out, self.arc_to, self.live.forward, nodes, start_s, mode, limit_s)

    def _sweep(
        self, first: IntArray, ends: IntArray, weights: Mapping[Mode, FloatArray], nodes: Iterable[int],
        start_s: Iterable[float], mode: Mode, limit_s: float,
    ) -> FloatArray:  # fmt: skip
        self.require_mode(mode)
        sources = np.fromiter(nodes, np.int32)
        starts = np.fromiter(start_s, np.float64)
        assert len(sources) == len(starts), "one head start per source"
        dist: FloatArray = np.full(self.n_nodes, np.inf)
        keys, heap = self.heap(len(sources))
        kernels.sweep(first, ends, weights[mode], sources, starts, limit_s, dist, NO_INTS, NO_INTS, keys, heap)
        return dist

    def heap(self, extra: int) -> tuple[FloatArray, IntArray]:
        """Heap arrays with room for every arc, node and `extra` sources."""
        ws = self.workspace
        if self.n_arcs + extra < len(ws.keys):
            return ws.keys, ws.nodes
        return np.zeros(self.n_arcs + extra + 1), np.zeros(self.n_arcs + extra + 1, np.int32)

    def node_eta_s(self, origin: int, destination: int, mode: Mode = LIGHTS) -> float | None:
        """Seconds between two nodes, None without a way."""
        seconds = float(self.node_matrix_s([origin], [destination], mode)[0, 0])
        return seconds if seconds < math.inf else None

    def path_nodes(self, origin: int, destination: int, mode: Mode = LIGHTS) -> NodePath | None:
        """The fastest way between two nodes with the time at each node on it, None without a way."""
        self.require_mode(mode)
        return self.paths.node_path(origin, destination, mode)

    def node_matrix_s(self, origins: npt.ArrayLike, destinations: npt.ArrayLike, mode: Mode = LIGHTS) -> FloatArray:
        """Seconds between many nodes, shape (origins, destinations), inf = no way. See geo.labels."""
        self.require_mode(mode)
        hierarchy = self.hierarchy
        a, b = np.asarray(origins, np.int64).ravel(), np.asarray(destinations, np.int64).ravel()
        return hierarchy.between(hierarchy.leaving(a, mode), hierarchy.reaching(b, mode))

    def bind_places(
        self, places: Sequence[tuple[float, float]], mode: Mode = LIGHTS
    ) -> Callable[[float, float], FloatArray]:
        """A function from (lon, lat) to the seconds from there to each of these places (k,), inf = no way."""
        from geo.labels import BoundPlaces

        self.require_mode(mode)
        return BoundPlaces(self, places, mode)

    # ---- Router ---------------------------------------------------------------------------------------------------

    @property
    def paths(self) -> PathFinder:
        """The route search (contraction hierarchy), built at first use; `warm_up` builds it ahead."""
        if self._paths is None:
            from geo.routes import PathFinder

            self._paths = PathFinder(self)
        return self._paths

    @property
    def hierarchy(self) -> Hierarchy:
        """Exact times between any two nodes by look-up (geo.labels), built at first use; `warm_up` builds it ahead."""
        if self._hierarchy is None:
            from geo.labels import Hierarchy

            if self.labelled is not None:
                self._hierarchy = Hierarchy(self, **self.labelled)
            else:
                self._hierarchy = Hierarchy.build(self, self.paths.elimination_number())
        return self._hierarchy

    def drop_paths(self) -> None:
        """Forget the route search and the labels; the next question builds them again. Frees memory where only the
        nearest units are asked for."""
        self._paths = None
        self._hierarchy = None

    def fleet(self) -> RoadFleet:
        from geo.nearest import RoadFleet

        return RoadFleet(self)

    def eta_s(self, lon1: float, lat1: float, lon2: float, lat2: float, mode: Mode = LIGHTS) -> float | None:
        self.require_mode(mode)
        a, b = self.attach(lon1, lat1), self.attach(lon2, lat2)
        eta_s = self.node_eta_s(a.node, b.node, mode)
        return None if eta_s is None else eta_s + (a.offroad_m + b.offroad_m) * self._offroad_s_per_m[mode]

    def estimate(self, lon1: float, lat1: float, lon2: float, lat2: float, mode: Mode = LIGHTS) -> Estimate:
        """By road when a road leads there and both ends lie within OFFROAD_TRUSTED_M of it, else a straight line."""
        self.require_mode(mode)
        a, b = self.attach(lon1, lat1), self.attach(lon2, lat2)
        offroad_m = a.offroad_m + b.offroad_m
        if max(a.offroad_m, b.offroad_m) <= OFFROAD_TRUSTED_M:
            eta_s = self.eta_s(lon1, lat1, lon2, lat2, mode)
            if eta_s is not None:
                return Estimate(eta_s, "road", offroad_m)
        return self.straight_line.estimate(lon1, lat1, lon2, lat2, mode)

    def matrix_s(
        self, origins: Sequence[tuple[float, float]], destinations: Sequence[tuple[float, float]], mode: Mode = LIGHTS
    ) -> FloatArray:
        self.require_mode(mode)
        a = [self.attach(lon, lat) for lon, lat in origins]
        b = [self.attach(lon, lat) for lon, lat in destinations]
        between = self.node_matrix_s([p.node for p in a], [p.node for p in b], mode)
        s_per_m = self._offroad_s_per_m[mode]
        legs_a = np.array([p.offroad_m for p in a]) * s_per_m
        legs_b = np.array([p.offroad_m for p in b]) * s_per_m
        total: FloatArray = between + legs_a[:, None] + legs_b[None, :]
        return total

    def route(self, lon1: float, lat1: float, lon2: float, lat2: float, mode: Mode = LIGHTS) -> Route:
        """The fastest way with geometry and instructions; an honest straight line when no road leads there."""
        self.require_mode(mode)
        a, b = self.attach(lon1, lat1), self.attach(lon2, lat2)
        if max(a.offroad_m, b.offroad_m) <= OFFROAD_TRUSTED_M:
            path = self.paths.node_path(a.node, b.node, mode)
            if path is not None:
                return self.paths.describe(path, (lon1, lat1), (lon2, lat2), a.offroad_m, b.offroad_m, mode)
        return self.straight_line.route(lon1, lat1, lon2, lat2, mode)

    def warm_up(self) -> None:
        """Load or compile every kernel and build the route search, so that the first call is as fast as any."""
        fleet = self.fleet()
        lon, lat = float(self.node_lon[0]), float(self.node_lat[0])
        fleet.place("warm-up", lon, lat)
        fleet.place("warm-up", lon, lat, heading_deg=0.0)
        last = self.n_nodes - 1
        for mode in self.modes:
            fleet.nearest(lon, lat, 1, mode)
            self.path_nodes(0, last, mode)
        self.times_from(0, mode, limit_s=1.0)
        for mode in self.modes:
            fleet.seconds_to(lon, lat, mode, ["warm-up"])
        self.node_matrix_s([0], [0], mode)

    def _straight_line_speeds(self) -> dict[Mode, float]:
        """Speed of the straight-line fallback per mode: this network's own length-weighted mean speed."""
        total_m = float(self.arc_length_m.sum())
        speeds = {}
        for mode, s in self.base_s.items():
            usable = np.isfinite(s)
            hours = float(s[usable].sum()) / 3600.0
            speeds[mode] = (
                float(self.arc_length_m[usable].sum()) / 1000.0 / hours if hours > 0.0 and total_m > 0.0 else 30.0
            )
        return speeds
