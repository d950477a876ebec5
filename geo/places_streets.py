"""Streets as lines one can measure on: where two cross, where kilometre 5 is, which one a point lies on.

Built from the named arcs of whatever road graph is loaded, so an imported city answers like the built-in one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import shapely
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.spatial import cKDTree

from geo.places_text import tokens, weight
from geo.roads import RoadGraph

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]

# Two streets whose nearest points are this near do meet, whatever the drawing says (a dual carriageway is 30 m wide).
MEET_M = 45.0
# Further apart than this they do not cross: the caller means something else.
CROSS_MAX_M = 400.0
# A kilometre post may stand a little beyond where the street's name ends on the map.
END_MARGIN_M = 100.0
BEYOND_SHARE = 0.35
MOTORWAYS = frozenset({"motorway", "motorway_link"})


@dataclass(frozen=True, slots=True)
class Street:
    """One name: its arcs in the graph, whether it is a toll road, and its length (one direction)."""

    name: str
    tokens: tuple[str, ...]
    road_class: str
    lon: float
    lat: float
    length_m: float
    main_tokens: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Crossing:
    """Where two streets meet, or come nearest: `gap_m` apart."""

    lon: float
    lat: float
    gap_m: float


@dataclass(frozen=True, slots=True)
class OnStreet:
    """The named street nearest to a point."""

    street: int
    distance_m: float


@dataclass(frozen=True, slots=True)
class AtKm:
    """A kilometre of a street. `beyond_m` > 0: the map's street ends before it, and this is its end."""

    lon: float
    lat: float
    length_m: float
    beyond_m: float


class Streets:
    """All named streets of a graph."""

    def __init__(self, graph: RoadGraph, origin: tuple[float, float] | None = None) -> None:
        """origin: lon, lat kilometres are counted from (the end of a street nearest to it is its start)."""
        self.graph = graph
        self._x, self._y = graph.x, graph.y
        self._origin = graph.to_xy(*origin) if origin else (float(graph.x.mean()), float(graph.y.mean()))
        named = np.flatnonzero(graph.arc_name > 0)
        order = named[np.argsort(graph.arc_name[named], kind="stable")]
        names = graph.arc_name[order]
        self._arcs = order
        self._first: dict[int, tuple[int, int]] = {}
        starts = np.flatnonzero(np.r_[True, names[1:] != names[:-1]]) if len(names) else np.zeros(0, np.int64)
        ends = np.r_[starts[1:], len(names)]
        self.streets: list[Street] = []
        self._span: list[tuple[int, int]] = []
        self._of_name: IntArray = np.full(len(graph.names), -1, np.int64)
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            self._add(int(names[start]), start, end)
        arcs = self._arcs
        one_way = arcs[graph.arc_from[arcs] < graph.arc_to[arcs]] if len(arcs) else arcs
        # A one-way arc may run downwards in node order; keep those that have no twin.
        pair = graph.arc_from[arcs].astype(np.int64) * graph.n_nodes + graph.arc_to[arcs]
        back = graph.arc_to[arcs].astype(np.int64) * graph.n_nodes + graph.arc_from[arcs]
        lonely = arcs[(graph.arc_from[arcs] > graph.arc_to[arcs]) & ~np.isin(back, pair)]
        self._drawn = np.concatenate([one_way, lonely])
        a, b = graph.arc_from[self._drawn], graph.arc_to[self._drawn]
        ends_xy = np.stack(
            [np.column_stack([self._x[a], self._y[a]]), np.column_stack([self._x[b], self._y[b]])], axis=1
        )
        self._tree = shapely.STRtree(shapely.linestrings(ends_xy) if len(self._drawn) else [])
        self.crossing = lru_cache(maxsize=4096)(self._crossing)
        self._measured = lru_cache(maxsize=512)(self._measure)

    def _add(self, name: int, start: int, end: int) -> None:
        g = self.graph
        arcs = self._arcs[start:end]
        nodes = np.unique(np.concatenate([g.arc_from[arcs], g.arc_to[arcs]]))
        middle = int(
            nodes[np.argmin(np.hypot(self._x[nodes] - self._x[nodes].mean(), self._y[nodes] - self._y[nodes].mean()))]
        )
        said = tokens(g.names[name])
        length_m = float(g.arc_length_m[arcs].sum()) / 2.0
        road_class = g.classes[int(np.bincount(g.arc_class[arcs]).argmax())]
        self._of_name[name] = len(self.streets)
        self._span.append((start, end))
        self.streets.append(
            Street(
                g.names[name], said, road_class, float(g.node_lon[middle]), float(g.node_lat[middle]), length_m,
                tuple(t for t in said if weight(t) >= 0.5),
            )
        )  # fmt: skip

    def nodes(self, street: int) -> IntArray:
        """Graph nodes a street passes."""
        start, end = self._span[street]
        arcs = self._arcs[start:end]
        found: IntArray = np.unique(np.concatenate([self.graph.arc_from[arcs], self.graph.arc_to[arcs]])).astype(
            np.int64
        )
        return found

    def _crossing(self, a: int, b: int) -> Crossing | None:
        """Where two streets meet; None when they come no nearer than CROSS_MAX_M."""
        na, nb = self.nodes(a), self.nodes(b)
        shared = np.intersect1d(na, nb)
        g = self.graph
        if len(shared):
            # Of several meetings the middle one: a caller who means another says more.
            x, y = self._x[shared], self._y[shared]
            node = int(shared[np.argmin(np.hypot(x - x.mean(), y - y.mean()))])
            return Crossing(float(g.node_lon[node]), float(g.node_lat[node]), 0.0)
        xy_a, xy_b = (np.column_stack([self._x[n], self._y[n]]) for n in (na, nb))
        gap, at = cKDTree(xy_b).query(xy_a)
        i = int(np.argmin(gap))
        if gap[i] > CROSS_MAX_M:
            return None
        lon = (g.node_lon[na[i]] + g.node_lon[nb[at[i]]]) / 2.0
        lat = (g.node_lat[na[i]] + g.node_lat[nb[at[i]]]) / 2.0
        return Crossing(float(lon), float(lat), float(gap[i]))

    def _measure(self, street: int) -> tuple[IntArray, FloatArray]:
        """Nodes of a street's main piece and their distance along it from its start."""
        start, end = self._span[street]
        arcs = self._arcs[start:end]
        g = self.graph
        nodes, inverse = np.unique(np.concatenate([g.arc_from[arcs], g.arc_to[arcs]]), return_inverse=True)
        n, m = len(nodes), len(arcs)
        matrix = coo_matrix((g.arc_length_m[arcs], (inverse[:m], inverse[m:])), shape=(n, n)).tocsr()
        _, part = connected_components(matrix, directed=False)
        main = np.flatnonzero(part == np.bincount(part).argmax())
        near = int(
            main[np.argmin(np.hypot(self._x[nodes[main]] - self._origin[0], self._y[nodes[main]] - self._origin[1]))]
        )
        # The start is the end of the line nearest to the origin: the farthest node from the far end.
        far = int(main[np.argmax(dijkstra(matrix, directed=False, indices=near)[main])])
        back = dijkstra(matrix, directed=False, indices=far)
        head = int(main[np.argmax(back[main])])
        if np.hypot(self._x[nodes[far]] - self._origin[0], self._y[nodes[far]] - self._origin[1]) < np.hypot(
            self._x[nodes[head]] - self._origin[0], self._y[nodes[head]] - self._origin[1]
        ):
            head = far
        along = dijkstra(matrix, directed=False, indices=head)
        order = main[np.argsort(along[main], kind="stable")]
        return nodes[order].astype(np.int64), along[order]

    def at_km(self, street: int, km: float) -> AtKm | None:
        """The point at a distance from the street's start; its far end a little beyond that, None further out."""
        nodes, along = self._measured(street)
        length_m = float(along[-1])
        beyond_m = km * 1000.0 - length_m
        if km < 0.0 or beyond_m > max(END_MARGIN_M, BEYOND_SHARE * length_m):
            return None
        node = int(nodes[np.argmin(np.abs(along - km * 1000.0))])
        return AtKm(
            float(self.graph.node_lon[node]),
            float(self.graph.node_lat[node]),
            length_m,
            max(0.0, beyond_m - END_MARGIN_M),
        )

    def nearest(self, lon: float, lat: float, max_m: float) -> OnStreet | None:
        """The named street nearest to a point, None if none lies within max_m. Toll roads only when nothing else does."""
        x, y = self.graph.to_xy(lon, lat)
        point = shapely.Point(x, y)
        hits = self._tree.query(point, predicate="dwithin", distance=max_m)
        if not len(hits):
            return None
        away = shapely.distance(self._tree.geometries[hits], point)
        best: tuple[float, int] | None = None
        for i, d in zip(hits.tolist(), away.tolist(), strict=True):
            street = int(self._of_name[self.graph.arc_name[self._drawn[i]]])
            rank = d + (max_m if self.streets[street].road_class in MOTORWAYS else 0.0)
            if best is None or rank < best[0]:
                best = (rank, street)
        assert best is not None
        distance = min(d for i, d in zip(hits.tolist(), away.tolist(), strict=True)
                       if int(self._of_name[self.graph.arc_name[self._drawn[i]]]) == best[1])  # fmt: skip
        return OnStreet(best[1], float(distance))

    def distance_m(self, street: int, lon: float, lat: float) -> float:
        """Metres from a point to the nearest node of a street."""
        x, y = self.graph.to_xy(lon, lat)
        nodes = self.nodes(street)
        return float(np.hypot(self._x[nodes] - x, self._y[nodes] - y).min())
