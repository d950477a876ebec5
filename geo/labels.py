"""Exact travel times between any two crossings without a search: labels over a customizable contraction hierarchy.

Crossings are eliminated in the route search's nested-dissection order (Dibbelt, Strasser, Wagner: Customizable Contraction
Hierarchies, ACM JEA 21, 2016). What remains above a crossing is one path through the elimination tree, some hundred
crossings long. The *label* of a crossing holds the seconds to (or from) each of them; a fastest way between two crossings
has its highest point on both paths, so its length is the least sum over the part the paths share (hub labelling in the
sense of Abraham, Delling, Goldberg, Werneck, SEA 2011). A label costs microseconds and a look-up a fraction of one,
whatever the size of the city; new road weights are customised in a few tens of milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from geo.grids import IntArray
from geo.kernels import compiled
from geo.router import FloatArray, Mode

if TYPE_CHECKING:
    from geo.roads import RoadGraph


@compiled
def eliminate(first: Any, ends: Any, up_first: Any, up_to: Any, parent: Any) -> int:
    """Upper neighbours of every crossing after eliminating all lower ones; crossings are numbered in that order.

    `first`/`ends` is the undirected network. Fills `up_first` (n+1,), `parent` (n,) (-1 at a root) and as much of `up_to`
    as fits; returns how many entries there are, so that a first call with an empty `up_to` measures.
    """
    n = len(parent)
    child, sibling = np.full(n, -1, np.int32), np.full(n, -1, np.int32)
    seen = np.full(n, -1, np.int32)
    # A crossing's upper neighbours: its own and those its children in the elimination tree leave behind (symbolic
    # factorisation, George & Liu, Computer Solution of Large Sparse Positive Definite Systems, 1981).
    found = np.empty(n, np.int32)
    store = np.empty(16 * n + 64, np.int32)
    total = 0
    for v in range(n):
        count = 0
        seen[v] = v
        for p in range(first[v], first[v + 1]):
            w = ends[p]
            if w > v and seen[w] != v:
                seen[w] = v
                found[count] = w
                count += 1
        c = child[v]
        while c >= 0:
            for p in range(up_first[c], up_first[c + 1]):
                w = store[p]
                if w > v and seen[w] != v:
                    seen[w] = v
                    found[count] = w
                    count += 1
            c = sibling[c]
        found[:count].sort()
        up_first[v] = total
        if total + count > len(store):
            grown = np.empty(2 * (total + count), np.int32)
            grown[:total] = store[:total]
            store = grown
        store[total : total + count] = found[:count]
        total += count
        up_first[v + 1] = total
        parent[v] = found[0] if count else -1
        if count:
            sibling[v] = child[found[0]]
            child[found[0]] = v
    if len(up_to) >= total:
        up_to[:total] = store[:total]
    return total


@compiled
def customise(up_first: Any, up_to: Any, slot_of_arc: Any, upward: Any, seconds: Any, up_s: Any, down_s: Any) -> None:
    """Seconds of every edge of the hierarchy: the arc itself or the best way over lower crossings (lower triangles)."""
    up_s[:] = np.inf
    down_s[:] = np.inf
    for a in range(len(seconds)):
        slot = slot_of_arc[a]
        if slot >= 0:
            if upward[a]:
                up_s[slot] = min(up_s[slot], seconds[a])
            else:
                down_s[slot] = min(down_s[slot], seconds[a])
    n = len(up_first) - 1
    at = np.full(n, -1, np.int32)
    for u in range(n):
        begin, end = up_first[u], up_first[u + 1]
        for p in range(begin, end):
            v = up_to[p]
            into, out = down_s[p], up_s[p]  # v -> u and u -> v
            if into == np.inf and out == np.inf:
                continue
            for q in range(up_first[v], up_first[v + 1]):
                at[up_to[q]] = q
            for q in range(p + 1, end):
                over = at[up_to[q]]
                up_s[over] = min(up_s[over], into + up_s[q])
                down_s[over] = min(down_s[over], down_s[q] + out)


@compiled
def climb(v: int, up_first: Any, up_to: Any, parent: Any, depth: Any, w: Any, dist: Any, path: Any, times: Any) -> None:
    """Label of a crossing: what lies above it and the seconds there, by depth. `dist` is all inf and is left so."""
    dist[v] = 0.0
    k = depth[v]
    while v >= 0:
        t = dist[v]
        path[k] = v
        times[k] = t
        dist[v] = np.inf
        if t < np.inf:
            for p in range(up_first[v], up_first[v + 1]):
                over = up_to[p]
                via = t + w[p]
                if via < dist[over]:
                    dist[over] = via
        v = parent[v]
        k -= 1


@compiled
def meet(path_a: Any, times_a: Any, deep_a: int, path_b: Any, times_b: Any, deep_b: int) -> float:
    """Seconds of the fastest way between two labelled crossings: the least sum over what their paths share."""
    low, high = 0, min(deep_a, deep_b) + 1
    while low < high:  # the paths agree from the root down to some depth
        middle = (low + high) >> 1
        if path_a[middle] == path_b[middle]:
            low = middle + 1
        else:
            high = middle
    best = np.inf
    for k in range(low):
        t = times_a[k] + times_b[k]
        best = min(best, t)
    return best


@compiled
def label_many(
    nodes: Any, up_first: Any, up_to: Any, parent: Any, depth: Any, w: Any, dist: Any, paths: Any, times: Any
) -> None:
    """Labels of many crossings, one row each."""
    for i in range(len(nodes)):
        climb(nodes[i], up_first, up_to, parent, depth, w, dist, paths[i], times[i])


@compiled
def meet_many(
    paths_a: Any, times_a: Any, deep_a: Any, paths_b: Any, times_b: Any, deep_b: Any, out: Any
) -> None:  # fmt: skip
    """Seconds between all pairs of labelled crossings, shape (a, b)."""
    for i in range(len(deep_a)):
        for j in range(len(deep_b)):
            out[i, j] = meet(paths_a[i], times_a[i], deep_a[i], paths_b[j], times_b[j], deep_b[j])


@compiled
def meet_anchors(
    slots: Any, anchor_node: Any, lead_s: Any, number: Any, labelled: Any, paths: Any, times: Any, up_first: Any,
    up_to: Any, parent: Any, depth: Any, w: Any, dist: Any, path_b: Any, times_b: Any, deep_b: int, out: Any,
) -> None:  # fmt: skip
    """Seconds from units to one labelled crossing: the least over a unit's two anchors, lead included; inf = no way.

    `labelled[anchor]` names the node whose label lies in that row; another or -1 is worked out anew.
    """
    for i in range(len(slots)):
        best = np.inf
        if slots[i] < 0:
            out[i] = best
            continue
        for anchor in (2 * slots[i], 2 * slots[i] + 1):
            node = anchor_node[anchor]
            if node < 0:
                continue
            v = number[node]
            if labelled[anchor] != node:
                climb(v, up_first, up_to, parent, depth, w, dist, paths[anchor], times[anchor])
                labelled[anchor] = node
            t = meet(paths[anchor], times[anchor], depth[v], path_b, times_b, deep_b) + lead_s[anchor]
            best = min(best, t)
        out[i] = best


@dataclass(frozen=True, slots=True)
class Labels:
    """Labels of some crossings: rows by crossing, columns by depth; row i is filled up to `deep[i]`."""

    paths: IntArray
    times: FloatArray
    deep: IntArray


@dataclass(slots=True)
class Weights:
    """The hierarchy's seconds under one version of the live travel times."""

    version: int
    up_s: FloatArray
    down_s: FloatArray


KEPT = ("number", "up_first", "up_to", "parent", "depth", "slot_of_arc", "upward")
"""The hierarchy's topology: what a cache file holds of it. Weights follow the live travel times and are never kept."""


@dataclass(eq=False)
class Hierarchy:
    """Topology of the contracted network, by elimination number, and the weights last asked for."""

    graph: RoadGraph
    number: IntArray  # (n,) elimination number of each node of the graph
    up_first: npt.NDArray[np.int64]
    up_to: IntArray
    parent: IntArray
    depth: IntArray
    slot_of_arc: IntArray
    upward: npt.NDArray[np.bool_]
    _weights: dict[Mode, Weights] = field(default_factory=dict)
    """Replaced whole, so that a route in a worker thread sees one version or the next."""

    def __post_init__(self) -> None:
        self.height = int(self.depth.max()) + 1

    @classmethod
    def build(cls, graph: RoadGraph, number: IntArray) -> Hierarchy:
        """`number` (n,): the order of elimination, a permutation; a nested dissection keeps labels short."""
        n = graph.n_nodes
        a, b = number[graph.arc_from], number[graph.arc_to]
        low, high = np.minimum(a, b), np.maximum(a, b)
        tails, heads = np.concatenate([low, high]), np.concatenate([high, low])
        order = np.argsort(tails, kind="stable")
        first = np.zeros(n + 1, np.int64)
        np.cumsum(np.bincount(tails, minlength=n), out=first[1:])
        ends = heads[order].astype(np.int32)
        up_first, parent = np.zeros(n + 1, np.int64), np.zeros(n, np.int32)
        up_to = np.zeros(eliminate(first, ends, up_first, np.zeros(0, np.int32), parent), np.int32)
        eliminate(first, ends, up_first, up_to, parent)
        depth = np.zeros(n, np.int32)
        for v in range(n - 1, -1, -1):
            if parent[v] >= 0:
                depth[v] = depth[parent[v]] + 1
        slot_of_arc = np.full(graph.n_arcs, -1, np.int32)
        keys = np.repeat(np.arange(n, dtype=np.int64), np.diff(up_first)) * n + up_to
        proper = low != high
        slot_of_arc[proper] = np.searchsorted(keys, low[proper].astype(np.int64) * n + high[proper])
        return cls(graph, number, up_first, up_to, parent, depth, slot_of_arc, a < b)

    def weights(self, mode: Mode) -> Weights:
        """Customised to the travel times in force."""
        live = self.graph.live
        known = self._weights.get(mode)
        if known is None or known.version != live.version:
            self.graph.require_mode(mode)
            known = Weights(live.version, *self.customised(live.forward[mode]))
            self._weights[mode] = known
        return known

    def customised(self, seconds: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Seconds of every edge of the hierarchy upwards and downwards, from seconds per arc (m,). Safe in any thread."""
        up_s, down_s = np.empty(len(self.up_to)), np.empty(len(self.up_to))
        customise(self.up_first, self.up_to, self.slot_of_arc, self.upward, seconds, up_s, down_s)
        return up_s, down_s

    def adopt(self, version: int, customised: Mapping[Mode, tuple[FloatArray, FloatArray]]) -> None:
        """Weights worked out ahead, for the version of the live travel times that is about to be in force."""
        self._weights = {mode: Weights(version, *both) for mode, both in customised.items()}

    def twin(self, graph: RoadGraph) -> Hierarchy:
        """The same hierarchy for another graph with the same arcs, with weights of its own."""
        return replace(self, graph=graph, _weights={})

    def leaving(self, nodes: npt.ArrayLike, mode: Mode) -> Labels:
        """Labels for starting at these nodes of the graph."""
        return self._labels(nodes, self.weights(mode).up_s)

    def reaching(self, nodes: npt.ArrayLike, mode: Mode) -> Labels:
        """Labels for arriving at these nodes of the graph."""
        return self._labels(nodes, self.weights(mode).down_s)

    def _labels(self, nodes: npt.ArrayLike, w: FloatArray) -> Labels:
        numbers = self.number[np.asarray(nodes, np.int64)]
        paths = np.empty((len(numbers), self.height), np.int32)
        times = np.empty((len(numbers), self.height))
        dist = self.graph.workspace.dist
        label_many(numbers, self.up_first, self.up_to, self.parent, self.depth, w, dist, paths, times)
        return Labels(paths, times, self.depth[numbers])

    def between(self, leaving: Labels, reaching: Labels) -> FloatArray:
        """Seconds between all pairs, shape (leaving, reaching); inf = no way."""
        out: FloatArray = np.empty((len(leaving.deep), len(reaching.deep)))
        meet_many(leaving.paths, leaving.times, leaving.deep, reaching.paths, reaching.times, reaching.deep, out)
        return out


class AnchorLabels:
    """Labels of a fleet's anchors by one mode, each kept until its unit stands at another node or the weights change."""

    def __init__(self, hierarchy: Hierarchy, mode: Mode) -> None:
        self._hierarchy = hierarchy
        self._mode = mode
        self._version = -1
        self._labelled: IntArray = np.zeros(0, np.int32)
        self._paths: IntArray = np.zeros((0, 0), np.int32)
        self._times: FloatArray = np.zeros((0, 0))

    def times_to(
        self, node: int, slots: npt.NDArray[np.int64], anchor_node: IntArray, lead_s: FloatArray
    ) -> FloatArray:
        """Seconds from each unit of `slots` to a node of the graph (len(slots),); inf = no way.

        `anchor_node`, `lead_s` (2 x slots of the fleet,): where a unit starts driving and its seconds to there.
        """
        h = self._hierarchy
        weights = h.weights(self._mode)
        if len(self._labelled) != len(anchor_node) or self._version != weights.version:
            if len(self._labelled) != len(anchor_node):
                self._paths = np.empty((len(anchor_node), h.height), np.int32)
                self._times = np.empty((len(anchor_node), h.height))
            self._labelled = np.full(len(anchor_node), -1, np.int32)
            self._version = weights.version
        target = h.reaching([node], self._mode)
        out: FloatArray = np.empty(len(slots))
        meet_anchors(
            slots, anchor_node, lead_s, h.number, self._labelled, self._paths, self._times, h.up_first, h.up_to,
            h.parent, h.depth, weights.up_s, h.graph.workspace.dist, target.paths[0], target.times[0], int(target.deep[0]), out,
        )  # fmt: skip
        return out


class BoundPlaces:
    """Seconds from anywhere to a fixed list of places, by one mode; places join the network by their off-road leg."""

    def __init__(self, graph: RoadGraph, places: Sequence[tuple[float, float]], mode: Mode) -> None:
        joined = [graph.attach(lon, lat) for lon, lat in places]
        self._graph = graph
        self._mode = mode
        self._nodes = [a.node for a in joined]
        self._s_per_m = graph.offroad_s_per_m(mode)
        self._legs_s = np.array([a.offroad_m for a in joined]) * self._s_per_m
        self._version = -1
        self._labels: Labels | None = None

    def __call__(self, lon: float, lat: float) -> FloatArray:
        """Seconds from (lon, lat) to every place, inf = no way."""
        h = self._graph.hierarchy
        version = self._graph.live.version
        if self._labels is None or self._version != version:
            self._labels = h.reaching(self._nodes, self._mode)
            self._version = version
        start = self._graph.attach(lon, lat)
        times: FloatArray = h.between(h.leaving([start.node], self._mode), self._labels)[0]
        return times + (self._legs_s + start.offroad_m * self._s_per_m)
