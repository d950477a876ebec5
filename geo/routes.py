"""Ways through the graph, and how to tell a driver: Customizable Contraction Hierarchies and turn instructions.

The hierarchy (Dibbelt, Strasser, Wagner: Customizable Contraction Hierarchies, ACM JEA 21, 2016; library pyroutingkit)
is built once from the topology and customised in milliseconds whenever the live travel times change, so routes and the
nearest-unit search always speak of the same roads. Its weights are whole tenths of a millisecond: of two ways that differ
by less it may pick either; the times reported are summed from the exact seconds of the way found.
"""

from __future__ import annotations

import tempfile
import threading
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from pyroutingkit import INF_WEIGHT, CCHMetric, CCHTopology

from geo.grids import IntArray
from geo.roads import NodePath
from geo.router import FloatArray, Mode, Route, Step

if TYPE_CHECKING:
    from geo.roads import RoadGraph

ARCS_MARK = "arcs.mark"  # file beside a kept order that says which arcs it belongs to
TICKS_PER_S = 10_000.0  # weights in 0.1 ms: rounds a 500-arc way by about 1 ms and still allows trips of 59 hours
# Angles in degrees between the direction of travel before and after a junction.
STRAIGHT_DEG, SLIGHT_DEG, TURN_DEG, SHARP_DEG = 25.0, 55.0, 120.0, 165.0

TEXTS: dict[str, tuple[str, str]] = {
    "depart": ("Mulai", "Start"),
    "continue": ("Terus", "Continue"),
    "slight_left": ("Serong kiri", "Bear left"),
    "slight_right": ("Serong kanan", "Bear right"),
    "left": ("Belok kiri", "Turn left"),
    "right": ("Belok kanan", "Turn right"),
    "sharp_left": ("Belok tajam ke kiri", "Turn sharply left"),
    "sharp_right": ("Belok tajam ke kanan", "Turn sharply right"),
    "u_turn": ("Putar balik", "Make a U-turn"),
    "arrive": ("Tiba di lokasi", "Arrive at the scene"),
}


class PathFinder:
    """Fastest ways on one graph under its live travel times. Safe to call from several threads (one at a time inside)."""

    def __init__(self, graph: RoadGraph, topology: CCHTopology | None = None) -> None:
        self._graph = graph
        self._lock = threading.Lock()
        self._metrics: dict[Mode, tuple[int, CCHMetric]] = {}
        if topology is not None:
            self._topology = topology
            return
        self._topology = CCHTopology()
        if not self._load_order():
            self._topology.build(
                graph.arc_from.astype(np.uint32), graph.arc_to.astype(np.uint32),
                graph.node_lat.astype(np.float32), graph.node_lon.astype(np.float32), graph.n_nodes,
            )  # fmt: skip

    def _load_order(self) -> bool:
        """Take the contraction order kept beside the cached graph, if it was made for exactly these arcs."""
        graph = self._graph
        folder = None if graph.cache_path is None else graph.cache_path.with_suffix(".cch")
        if folder is None or not (folder / ARCS_MARK).is_file():
            return False
        if (folder / ARCS_MARK).read_text() != arcs_mark(graph):
            return False
        self._topology.load(str(folder))
        return bool(self._topology.node_count == graph.n_nodes)

    def save_topology(self, folder: str) -> None:
        """Keep the contraction order, which is the expensive part, beside the cached graph."""
        self._topology.save(folder)
        (Path(folder) / ARCS_MARK).write_text(arcs_mark(self._graph))

    def elimination_number(self) -> IntArray:
        """Position of every node (n,) in the contraction order. The library tells it only through its files."""
        with tempfile.TemporaryDirectory() as folder:
            self._topology.save(folder)
            number = np.fromfile(Path(folder) / "rank", np.uint32).astype(np.int32)
        assert len(number) == self._graph.n_nodes, "one rank per node"
        return number

    def twin(self, graph: RoadGraph) -> PathFinder:
        """The same contraction order for another graph with the same arcs."""
        return PathFinder(graph, self._topology)

    def customised(self, seconds: FloatArray) -> CCHMetric:
        """The hierarchy with weights from seconds per arc (m,). Safe in any thread."""
        metric = CCHMetric(self._topology)
        metric.customize(ticks(seconds))
        return metric

    def adopt(self, version: int, metrics: Mapping[Mode, CCHMetric]) -> None:
        """Metrics customised ahead, for the version of the live travel times that is about to be in force."""
        with self._lock:
            self._metrics = {mode: (version, metric) for mode, metric in metrics.items()}

    def _metric(self, mode: Mode) -> CCHMetric:
        """The hierarchy customised to the weights in force; call under the lock."""
        live = self._graph.live
        version, metric = self._metrics.get(mode, (0, None))
        if metric is None or version != live.version:
            metric = metric or CCHMetric(self._topology)
            metric.customize(ticks(live.forward[mode]))
            self._metrics[mode] = (live.version, metric)
        return metric

    def node_path(self, origin: int, destination: int, mode: Mode) -> NodePath | None:
        """The fastest way between two nodes, None when there is none."""
        seconds = self._graph.live.forward[mode]
        if origin == destination:
            return NodePath(np.array([origin], np.int32), np.zeros(0, np.int32), np.zeros(1))
        with self._lock:
            distance, node_list, arc_list = self._metric(mode).query(origin, destination)
        if distance >= INF_WEIGHT or not len(arc_list):
            return None
        arcs = np.asarray(arc_list, np.int32)
        at_s = np.zeros(len(arcs) + 1)
        np.cumsum(seconds[arcs], out=at_s[1:])
        if not np.isfinite(at_s[-1]):
            return None  # a closed arc was the only way
        return NodePath(np.asarray(node_list, np.int32), arcs, at_s)

    def describe(
        self, path: NodePath, start: tuple[float, float], end: tuple[float, float],
        start_offroad_m: float, end_offroad_m: float, mode: Mode,
    ) -> Route:  # fmt: skip
        """A Route from a node path and the straight legs at both ends."""
        graph = self._graph
        s_per_m = graph.offroad_s_per_m(mode)
        offroad_m = start_offroad_m + end_offroad_m
        length_m = float(graph.arc_length_m[path.arcs].sum())
        points = [start, *map(tuple, line_of(graph, path).tolist()), end]
        coordinates = [p for i, p in enumerate(points) if i == 0 or p != points[i - 1]]
        steps = steps_of(graph, path)
        names: list[str] = []
        for step in steps:
            if step.name and step.name not in names[-1:]:
                names.append(step.name)
        eta_s = float(path.at_s[-1]) + offroad_m * s_per_m
        return Route(eta_s, length_m + offroad_m, coordinates, names, steps, "road", offroad_m)


def arcs_mark(graph: RoadGraph) -> str:
    """A mark of the arcs that a contraction order was made for."""
    return f"{graph.n_nodes} {graph.n_arcs} {zlib.crc32(graph.arc_to.tobytes(), zlib.crc32(graph.arc_from.tobytes()))}"


def ticks(seconds: FloatArray) -> npt.NDArray[np.uint32]:
    """Seconds as the hierarchy's whole-number weights; closed arcs become its infinity."""
    scaled = np.rint(np.where(np.isfinite(seconds), seconds, 0.0) * TICKS_PER_S)
    whole: npt.NDArray[np.uint32] = np.minimum(scaled, INF_WEIGHT - 1).astype(np.uint32)
    whole[~np.isfinite(seconds)] = INF_WEIGHT
    return whole


def line_of(graph: RoadGraph, path: NodePath) -> FloatArray:
    """Points (k, 2) lon, lat along a path, with the shapes of its arcs."""
    ends: FloatArray = np.column_stack([graph.node_lon[path.nodes], graph.node_lat[path.nodes]])
    if graph.shape_first is None or graph.shape_lon is None or graph.shape_lat is None or not len(path.arcs):
        return ends
    begin = graph.shape_first[path.arcs]
    counts = graph.shape_first[path.arcs + 1] - begin
    before = np.concatenate([[0], np.cumsum(counts)])  # interior points ahead of each node
    line = np.empty((len(ends) + int(before[-1]), 2))
    line[np.arange(len(ends)) + before] = ends
    within = np.arange(int(before[-1])) - np.repeat(before[:-1], counts)
    source = np.repeat(begin, counts) + within
    at = np.arange(int(before[-1])) + np.repeat(np.arange(len(counts)), counts) + 1
    line[at, 0] = graph.shape_lon[source]
    line[at, 1] = graph.shape_lat[source]
    return line


def turn_angles(graph: RoadGraph, arcs: IntArray) -> FloatArray:
    """Degrees turned between consecutive arcs of a path, right positive, in (-180, 180]."""
    tail, head = graph.arc_from[arcs], graph.arc_to[arcs]
    lon1, lat1 = graph.node_lon[tail], graph.node_lat[tail]
    lon2, lat2 = graph.node_lon[head], graph.node_lat[head]
    # The way leaves its first node towards the first shape point and enters its last from the last shape point.
    ahead_lon, ahead_lat, behind_lon, behind_lat = lon2, lat2, lon1, lat1
    if graph.shape_first is not None and graph.shape_lon is not None and graph.shape_lat is not None:
        begin, stop = graph.shape_first[arcs], graph.shape_first[arcs + 1]
        if len(graph.shape_lon):
            shaped, last = stop > begin, len(graph.shape_lon) - 1
            first_point, last_point = np.minimum(begin, last), np.maximum(stop - 1, 0)
            ahead_lon = np.where(shaped, graph.shape_lon[first_point], lon2)
            ahead_lat = np.where(shaped, graph.shape_lat[first_point], lat2)
            behind_lon = np.where(shaped, graph.shape_lon[last_point], lon1)
            behind_lat = np.where(shaped, graph.shape_lat[last_point], lat1)
    kx, ky = graph.x_m_per_deg, graph.y_m_per_deg
    entering = np.degrees(np.arctan2((ahead_lon - lon1) * kx, (ahead_lat - lat1) * ky))
    leaving = np.degrees(np.arctan2((lon2 - behind_lon) * kx, (lat2 - behind_lat) * ky))
    turned: FloatArray = (entering[1:] - leaving[:-1] + 180.0) % 360.0 - 180.0
    return turned


def manoeuvre_of(angle_deg: float) -> str:
    """The word for a turn."""
    side = "right" if angle_deg > 0.0 else "left"
    size = abs(angle_deg)
    if size <= STRAIGHT_DEG:
        return "continue"
    if size <= SLIGHT_DEG:
        return f"slight_{side}"
    if size <= TURN_DEG:
        return side
    return f"sharp_{side}" if size <= SHARP_DEG else "u_turn"


def steps_of(graph: RoadGraph, path: NodePath) -> list[Step]:
    """Instructions: one where the street name changes or the way bends at a real junction."""
    arcs = path.arcs
    if not len(arcs):
        return [_step("depart", "", 0.0, 0.0), _step("arrive", "", 0.0, 0.0)]
    name = graph.arc_name[arcs]
    angle = turn_angles(graph, arcs)
    # A junction is a node with a third way out or in; a mere bend of the road needs no words.
    middle = path.nodes[1:-1]
    choices = np.maximum(
        graph.first_out[middle + 1] - graph.first_out[middle], graph.rev_first[middle + 1] - graph.rev_first[middle]
    )
    bends = (np.abs(angle) > SLIGHT_DEG) & (choices > 2)
    # An unnamed piece between two of the same street is no news: compare with the last name heard.
    heard = name[np.maximum.accumulate(np.where(name != 0, np.arange(len(name)), 0))]
    renamed = (name[1:] != 0) & (heard[1:] != heard[:-1])
    breaks = np.flatnonzero(renamed | bends) + 1
    starts = np.concatenate([[0], breaks])
    length_m = np.add.reduceat(graph.arc_length_m[arcs], starts)
    at_s = path.at_s[starts]
    seconds = np.diff(np.concatenate([at_s, path.at_s[-1:]]))
    steps = []
    for i, start in enumerate(starts.tolist()):
        manoeuvre = "depart" if i == 0 else manoeuvre_of(float(angle[start - 1]))
        steps.append(_step(manoeuvre, graph.names[name[start]], float(length_m[i]), float(seconds[i])))
    steps.append(_step("arrive", "", 0.0, 0.0))
    return steps


def _step(manoeuvre: str, name: str, length_m: float, eta_s: float) -> Step:
    text_id, text_en = TEXTS[manoeuvre]
    if name:
        onto_id, onto_en = ("di", "on") if manoeuvre in ("depart", "continue") else ("ke", "onto")
        text_id, text_en = f"{text_id} {onto_id} {name}", f"{text_en} {onto_en} {name}"
    return Step(manoeuvre, name, length_m, eta_s, text_id, text_en)
