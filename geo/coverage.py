"""What the city's units can reach: time to every node, share of demand within T seconds, what one more unit would add.

`Coverage` holds the time from the nearest unit to every node and repairs only what a moved unit changes. `Reach` holds
which demand each candidate place could serve in time, for choosing posts and move-ups. All times follow the graph's live
travel times; `refresh` after they change.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from geo.grids import NO_INTS, IntArray
from geo.kernels import compiled, heap_drop_first, heap_push, sweep
from geo.nearest import RoadFleet
from geo.roads import RoadGraph
from geo.router import LIGHTS, FloatArray, Mode, Rejected


@dataclass(frozen=True, slots=True)
class Demand:
    """Where calls come from: points joined to the network. Columns (d,): node, off-road metres, weight >= 0."""

    node: IntArray
    offroad_m: FloatArray
    weight: FloatArray

    @classmethod
    def from_points(cls, graph: RoadGraph, lon: npt.ArrayLike, lat: npt.ArrayLike, weight: npt.ArrayLike) -> Demand:
        """Join points (population cells, past calls) to the graph. Raises Rejected("empty_demand" | "bad_coordinates")."""
        weights = np.asarray(weight, np.float64)
        lons, lats = np.asarray(lon, np.float64), np.asarray(lat, np.float64)
        if not len(weights) or not np.all(np.isfinite(weights)) or weights.min() < 0.0 or weights.sum() <= 0.0:
            raise Rejected(
                "empty_demand", "demand needs at least one point of positive, finite weight and none negative"
            )
        joined = [graph.attach(x, y) for x, y in zip(lons.tolist(), lats.tolist(), strict=True)]
        return cls(
            np.array([j.node for j in joined], np.int32), np.array([j.offroad_m for j in joined]), weights.copy()
        )  # fmt: skip

    @property
    def total(self) -> float:
        return float(self.weight.sum())

    def leg_s(self, graph: RoadGraph, mode: Mode) -> FloatArray:
        """Seconds of the off-road leg to each point."""
        legs: FloatArray = self.offroad_m * graph.offroad_s_per_m(mode)
        return legs


class Coverage:
    """Seconds from the nearest of a set of units to every node, kept up to date as units come, go and move."""

    def __init__(self, graph: RoadGraph, mode: Mode = LIGHTS) -> None:
        graph.require_mode(mode)
        self.graph = graph
        self.mode = mode
        self.time_s: FloatArray = np.full(graph.n_nodes, np.inf)
        self.nodes_settled = 0  # by the last change
        self._owner: IntArray = np.full(graph.n_nodes, -1, np.int32)
        self._index: dict[str, int] = {}
        self._free: list[int] = []
        # Two anchors per unit, like the fleet: (unit index, node, head start).
        self._anchors: dict[int, list[tuple[int, float]]] = {}
        self._version = graph.live.version

    @classmethod
    def of_fleet(cls, fleet: RoadFleet, mode: Mode = LIGHTS, among: Collection[str] | None = None) -> Coverage:
        """Coverage by the units of a fleet as they stand, in one sweep."""
        coverage = cls(fleet.graph, mode)
        ids, nodes, lead_s, owner = fleet.sources(mode, among)
        for unit_id in ids:
            coverage._anchors[coverage._new_index(unit_id)] = []
        for node, lead, unit in zip(nodes.tolist(), lead_s.tolist(), owner.tolist(), strict=True):
            coverage._anchors[unit].append((node, lead))
        coverage.refresh()
        return coverage

    def refresh(self) -> None:
        """Recompute everything: one sweep from all units under the live travel times."""
        units, nodes, starts = self._sources()
        self.time_s.fill(np.inf)
        self._owner.fill(-1)
        by_source = np.full(self.graph.n_nodes, -1, np.int32)
        keys, heap = self.graph.heap(len(nodes))
        self.nodes_settled = sweep(
            self.graph.first_out, self.graph.arc_to, self.graph.live.forward[self.mode], nodes, starts, math.inf,
            self.time_s, by_source, NO_INTS, keys, heap,
        )  # fmt: skip
        reached = by_source >= 0
        self._owner[reached] = units[by_source[reached]]
        self._version = self.graph.live.version

    def place(self, unit_id: str, lon: float, lat: float) -> None:
        """Add or move a unit."""
        joined = self.graph.attach(lon, lat)
        self.place_at(unit_id, [(joined.node, joined.offroad_m * self.graph.offroad_s_per_m(self.mode))])

    def place_at(self, unit_id: str, anchors: Iterable[tuple[int, float]]) -> None:
        """Add or move a unit that starts from nodes, each with a head start in seconds (>= 0)."""
        index = self._index.get(unit_id)
        known = index is not None
        index = self._new_index(unit_id) if index is None else index
        self._anchors[index] = [(int(node), float(start)) for node, start in anchors]
        self._repair(index if known else -1, index)

    def remove(self, unit_id: str) -> None:
        """Take a unit out; unknown ids are ignored."""
        index = self._index.pop(unit_id, None)
        if index is not None:
            del self._anchors[index]
            self._free.append(index)
            self._repair(index, -1)

    def owner_of(self, node: int) -> str | None:
        """The unit that reaches a node first, None when nobody does."""
        index = int(self._owner[node])
        return next((u for u, i in self._index.items() if i == index), None)

    # ---- answers --------------------------------------------------------------------------------------------------

    def demand_times_s(self, demand: Demand) -> FloatArray:
        """Seconds from the nearest unit to each demand point, off-road leg included (d,)."""
        times: FloatArray = self.time_s[demand.node] + demand.leg_s(self.graph, self.mode)
        return times

    def share_within(self, demand: Demand, within_s: float) -> float:
        """Share of the demand, by weight, that some unit reaches within `within_s` (0..1)."""
        return float(demand.weight[self.demand_times_s(demand) <= within_s].sum()) / demand.total

    # ---- inside ---------------------------------------------------------------------------------------------------

    def _new_index(self, unit_id: str) -> int:
        index = self._free.pop() if self._free else len(self._index)
        self._index[unit_id] = index
        return index

    def _sources(self) -> tuple[IntArray, IntArray, FloatArray]:
        flat = [(unit, node, start) for unit, anchors in self._anchors.items() for node, start in anchors]
        return (
            np.array([unit for unit, _, _ in flat], np.int32),
            np.array([node for _, node, _ in flat], np.int32),
            np.array([start for _, _, start in flat]),
        )

    def _repair(self, gone: int, come: int) -> None:
        """Redo what unit `gone` owned and let unit `come` spread from its anchors; the rest stays as it is."""
        if self._version != self.graph.live.version:
            self.refresh()
            return
        units, nodes, starts = self._sources()
        graph, forward = self.graph, self.graph.live.forward[self.mode]
        keys, heap = graph.heap(graph.n_nodes + len(nodes))
        self.nodes_settled = repair(
            gone, come, units, nodes, starts, graph.first_out, graph.arc_to, forward, graph.rev_first, graph.rev_from,
            graph.live.reverse[self.mode], self.time_s, self._owner, keys, heap,
        )  # fmt: skip


@compiled
def repair(
    gone: int, come: int, units: Any, nodes: Any, starts: Any, first: Any, ends: Any, w: Any,
    rev_first: Any, rev_from: Any, rev_w: Any, time_s: Any, owner: Any, keys: Any, heap: Any,
) -> int:  # fmt: skip
    """Dynamic many-source shortest paths for one unit that leaves (`gone`) and/or arrives (`come`), -1 = none.

    Nodes owned by `gone` are reset and re-entered from their neighbours outside and from the other units that stand inside;
    then one Dijkstra spreads those and the newcomer. Nothing outside the two regions is touched. Returns nodes settled.
    """
    size = 0
    if gone >= 0:
        for v in range(len(owner)):
            if owner[v] == gone:
                owner[v] = -2
                time_s[v] = np.inf
        for v in range(len(owner)):
            if owner[v] != -2:
                continue
            for p in range(rev_first[v], rev_first[v + 1]):
                u = rev_from[p]
                d = time_s[u] + rev_w[p]
                if owner[u] >= 0 and d < time_s[v]:
                    time_s[v] = d
                    # Remember the giver without making v look settled to its own neighbours.
                    owner[v] = -3 - owner[u]
            if owner[v] == -2:
                owner[v] = -3 - len(owner)
        for v in range(len(owner)):
            if owner[v] <= -3:
                giver = -3 - owner[v]
                if giver < len(owner):
                    owner[v] = giver
                    size = heap_push(keys, heap, size, time_s[v], v)
                else:
                    owner[v] = -1
    for i in range(len(units)):
        v = nodes[i]
        if (units[i] == come or gone >= 0) and starts[i] < time_s[v]:
            time_s[v] = starts[i]
            owner[v] = units[i]
            size = heap_push(keys, heap, size, starts[i], v)
    settled = 0
    while size > 0:
        d = keys[0]
        u = heap[0]
        size = heap_drop_first(keys, heap, size)
        if d > time_s[u]:
            continue
        settled += 1
        for p in range(first[u], first[u + 1]):
            v = ends[p]
            nd = d + w[p]
            if nd < time_s[v]:
                time_s[v] = nd
                owner[v] = owner[u]
                size = heap_push(keys, heap, size, nd, v)
    return settled


class Reach:
    """Which demand points each candidate place serves within T seconds: CSR lists, built once per T, mode and conditions."""

    def __init__(
        self,
        graph: RoadGraph,
        demand: Demand,
        places: Sequence[tuple[float, float]],
        within_s: float,
        mode: Mode = LIGHTS,
    ) -> None:
        """`places` are (lon, lat). Costs one bounded sweep a place. Raises Rejected on bad places or T."""
        if not 0.0 < within_s < math.inf:
            raise Rejected("bad_deadline", f"{within_s} s is no time to reach anything in")
        self.demand = demand
        self.within_s = within_s
        legs = demand.leg_s(graph, mode)
        s_per_m = graph.offroad_s_per_m(mode)
        lists: list[IntArray] = []
        for lon, lat in places:
            joined = graph.attach(lon, lat)
            time_s = graph.times_from_many([joined.node], [joined.offroad_m * s_per_m], mode, within_s)
            lists.append(np.flatnonzero(time_s[demand.node] + legs <= within_s).astype(np.int32))
        self.first: IntArray = np.zeros(len(lists) + 1, np.int32)
        np.cumsum([len(x) for x in lists], out=self.first[1:])
        self.points: IntArray = np.concatenate(lists) if lists else NO_INTS

    def points_of(self, place: int) -> IntArray:
        """Demand points that a place serves in time."""
        return self.points[self.first[place] : self.first[place + 1]]

    def marginal_gain(self, covered: npt.NDArray[np.bool_]) -> FloatArray:
        """Weight that one more unit at each place would newly cover, given which points are covered already (d,)."""
        gain = np.where(covered, 0.0, self.demand.weight)[self.points]
        owner = np.repeat(np.arange(len(self.first) - 1), np.diff(self.first))
        added: FloatArray = np.bincount(owner, weights=gain, minlength=len(self.first) - 1).astype(np.float64)
        return added

    def counts(self, units_at: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """How many units cover each point, given the number of units at each place (p,): for double coverage and MEXCLP."""
        per_place = np.asarray(units_at, np.int64)
        owner = np.repeat(np.arange(len(self.first) - 1), np.diff(self.first))
        many: npt.NDArray[np.int64] = np.bincount(
            self.points, weights=per_place[owner], minlength=len(self.demand.weight)
        ).astype(np.int64)
        return many
