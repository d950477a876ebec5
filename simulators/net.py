"""A city's roads as one exact table: every travel time a look-up, every position on a way a short walk.

City models split roads so finely (an arc <= ~10 s) that nine nodes of ten are no junctions. Contracting those chains
leaves 4,000-6,000 junctions, few enough for an all-pairs table; a trip is then exit + table + entry, exact. `TravelNet`
is a `geo.router.Router`, so the engine in a simulation asks it exactly what it asks the road graph live.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from geo.kernels import compiled, heap_drop_first, heap_push
from geo.router import M_PER_DEG, Estimate, Fleet, FloatArray, Mode, Rejected, Route, SlotTable, Step

IntArray = npt.NDArray[np.int64]

JUNCTIONS_MAX = 12_000
"""12,000 squared float32 are 576 MB a mode; a finer network needs the road graph's searches instead of a table."""


@compiled
def fill_table(first: Any, ends: Any, w: Any, table: Any) -> None:
    """Dijkstra from every junction; `table` (J, J) float32 receives seconds, inf = no way."""
    n = len(first) - 1
    keys = np.empty(len(ends) + 1, np.float64)
    nodes = np.empty(len(ends) + 1, np.int64)
    dist = np.empty(n, np.float64)
    for s in range(n):
        dist[:] = np.inf
        dist[s] = 0.0
        size = heap_push(keys, nodes, 0, 0.0, s)
        while size > 0:
            d = keys[0]
            u = nodes[0]
            size = heap_drop_first(keys, nodes, size)
            if d > dist[u]:
                continue
            for p in range(first[u], first[u + 1]):
                nd = d + w[p]
                v = ends[p]
                if nd < dist[v]:
                    dist[v] = nd
                    size = heap_push(keys, nodes, size, nd, v)
        for v in range(n):
            table[s, v] = dist[v]


@compiled
def trip_s(
    u: int, v: int, end_a: Any, end_b: Any, out_a: Any, out_b: Any, in_a: Any, in_b: Any, chain: Any, at: Any,
    fwd: Any, rev: Any, table: Any,
) -> float:  # fmt: skip
    """Seconds from node u to node v, inf = no way. Arrays are those of `TravelNet.mode_arrays`."""
    if u == v:
        return 0.0
    ua, ub, va, vb = end_a[u], end_b[u], end_a[v], end_b[v]
    best = out_a[u] + table[ua, va] + in_a[v]
    other = out_a[u] + table[ua, vb] + in_b[v]
    if other < best:
        best = other
    other = out_b[u] + table[ub, va] + in_a[v]
    if other < best:
        best = other
    other = out_b[u] + table[ub, vb] + in_b[v]
    if other < best:
        best = other
    if chain[u] >= 0 and chain[u] == chain[v]:
        if at[v] > at[u]:
            direct = fwd[at[v]] - fwd[at[u]]
        else:
            direct = rev[at[u]] - rev[at[v]]
        if direct < best:
            best = direct
    return best  # type: ignore[no-any-return]


@compiled
def trips_to(
    nodes: Any, offroad_m: Any, lead_s: Any, slots: Any, v: int, extra_s: float, s_per_m: float, out: Any, end_a: Any,
    end_b: Any, out_a: Any, out_b: Any, in_a: Any, in_b: Any, chain: Any, at: Any, fwd: Any, rev: Any, table: Any,
) -> None:  # fmt: skip
    """Seconds for the units in `slots` to reach node v plus `extra_s`, into `out`."""
    for i in range(len(slots)):
        s = slots[i]
        out[i] = (
            lead_s[s]
            + offroad_m[s] * s_per_m
            + trip_s(nodes[s], v, end_a, end_b, out_a, out_b, in_a, in_b, chain, at, fwd, rev, table)
            + extra_s
        )


@compiled
def trips_between(
    sources: Any, targets: Any, out: Any, end_a: Any, end_b: Any, out_a: Any, out_b: Any, in_a: Any, in_b: Any,
    chain: Any, at: Any, fwd: Any, rev: Any, table: Any,
) -> None:  # fmt: skip
    """Seconds between all pairs of nodes into `out` (sources, targets)."""
    for i in range(len(sources)):
        for j in range(len(targets)):
            out[i, j] = trip_s(
                sources[i], targets[j], end_a, end_b, out_a, out_b, in_a, in_b, chain, at, fwd, rev, table
            )


@compiled
def node_after(
    u: int, v: int, t: float, chain_nodes: Any, first: Any, ends: Any, w: Any, arc_lo: Any, arc_hi: Any, node_of: Any,
    end_a: Any, end_b: Any, out_a: Any, out_b: Any, in_a: Any, in_b: Any, chain: Any, at: Any, fwd: Any, rev: Any,
    table: Any,
) -> Any:  # fmt: skip
    """Where a unit is `t` seconds into the quickest way from u to v: (next node it reaches, seconds until then)."""
    if u == v or t <= 0.0:
        return u, 0.0
    whole = trip_s(u, v, end_a, end_b, out_a, out_b, in_a, in_b, chain, at, fwd, rev, table)
    if not t < whole:
        return v, 0.0
    if chain[u] >= 0 and chain[u] == chain[v]:
        up = at[v] > at[u]
        direct = fwd[at[v]] - fwd[at[u]] if up else rev[at[u]] - rev[at[v]]
        if direct <= whole + 1e-6:
            return _within(at[u], at[v], t, chain_nodes, fwd, rev)
    # By which end it leaves u's chain and by which it enters v's.
    best = np.inf
    leave, enter, leave_s, enter_s = 0, 0, 0.0, 0.0
    for a in range(2):
        ja = end_a[u] if a == 0 else end_b[u]
        o = out_a[u] if a == 0 else out_b[u]
        if not o < np.inf:
            continue
        for b in range(2):
            jb = end_a[v] if b == 0 else end_b[v]
            i = in_a[v] if b == 0 else in_b[v]
            total = o + table[ja, jb] + i
            if total < best:
                best = total
                leave, enter, leave_s, enter_s = ja, jb, o, i
    passed = leave_s
    if t < passed:
        low, high = _chain_ends(at[u], chain[u], chain, chain_nodes)
        goal = low if leave_s == rev[at[u]] - rev[low] and chain_nodes[low] == node_of[leave] else high
        return _within(at[u], goal, t, chain_nodes, fwd, rev)
    j = leave
    while j != enter:
        best = np.inf
        arc = -1
        for p in range(first[j], first[j + 1]):
            onward = w[p] + table[ends[p], enter]
            if onward < best:
                best = onward
                arc = p
        if arc < 0:
            break
        if t < passed + w[arc]:
            return _within(arc_lo[arc], arc_hi[arc], t - passed, chain_nodes, fwd, rev)
        passed += w[arc]
        j = ends[arc]
    if chain[v] < 0:
        return v, 0.0
    low, high = _chain_ends(at[v], chain[v], chain, chain_nodes)
    start = low if enter_s == fwd[at[v]] - fwd[low] and chain_nodes[low] == node_of[enter] else high
    return _within(start, at[v], t - passed, chain_nodes, fwd, rev)


@compiled
def _chain_ends(i: int, c: int, chain: Any, chain_nodes: Any) -> Any:
    """First and last position of the chain that interior position i belongs to."""
    low = i
    while chain[chain_nodes[low]] == c:
        low -= 1
    high = i
    while chain[chain_nodes[high]] == c:
        high += 1
    return low, high


@compiled
def _within(i: int, j: int, t: float, chain_nodes: Any, fwd: Any, rev: Any) -> Any:
    """Next node and seconds to it after t seconds from chain position i towards j."""
    if j >= i:
        for k in range(i + 1, j + 1):
            reached = fwd[k] - fwd[i]
            if reached >= t:
                return chain_nodes[k], reached - t
    else:
        for k in range(i - 1, j - 1, -1):
            reached = rev[i] - rev[k]
            if reached >= t:
                return chain_nodes[k], reached - t
    return chain_nodes[j], 0.0


class TravelNet:
    """Exact travel times between all nodes of one city, per mode.

    `lon`, `lat` (N,); `access` (N,) marks nodes a place may snap to; arcs as `tail`, `head` (A,) and `arc_s` per mode (A,);
    `offroad_kmh` per mode is the speed of the straight line between a place and its node.
    """

    name = "road-table"
    approximate = False

    def __init__(
        self, lon: FloatArray, lat: FloatArray, access: npt.NDArray[np.bool_], tail: IntArray, head: IntArray,
        arc_s: Mapping[Mode, FloatArray], offroad_kmh: Mapping[Mode, float],
        m_per_deg: tuple[float, float] | None = None,
    ) -> None:  # fmt: skip
        self.lon, self.lat = lon, lat
        self.m_per_deg = m_per_deg or (M_PER_DEG * math.cos(math.radians(float(lat.mean()))), M_PER_DEG)
        self.s_per_m = {mode: 3.6 / kmh for mode, kmh in offroad_kmh.items()}
        self._snapped: dict[tuple[float, float], tuple[int, float]] = {}
        self._accessible = np.flatnonzero(access)
        sx, sy = self.m_per_deg
        self._tree = cKDTree(np.column_stack([lon[self._accessible] * sx, lat[self._accessible] * sy]))
        self._contract(tail, head, arc_s)

    # --- building

    def _contract(self, tail: IntArray, head: IntArray, arc_s: Mapping[Mode, FloatArray]) -> None:
        modes = list(arc_s)
        best: dict[tuple[int, int], tuple[float, ...]] = {}
        columns = [arc_s[mode].tolist() for mode in modes]
        for u, v, *seconds in zip(tail.tolist(), head.tolist(), *columns, strict=True):
            if u != v:
                old = best.get((u, v))
                best[u, v] = tuple(seconds) if old is None else tuple(map(min, old, seconds))
        near: dict[int, list[int]] = defaultdict(list)
        for u, v in sorted(best):
            if v not in near[u]:
                near[u].append(v)
            if u not in near[v]:
                near[v].append(u)
        n = len(self.lon)
        junction = [not _passes_through(x, near.get(x, ()), best) for x in range(n)]
        chains = _chains(n, near, junction)
        order = [x for x in range(n) if junction[x]]
        if len(order) > JUNCTIONS_MAX:
            raise Rejected("too_many_junctions", f"{len(order)} junctions, a table holds {JUNCTIONS_MAX}")
        number = {x: j for j, x in enumerate(order)}
        self.junctions = len(order)
        self._node_of = np.array(order, np.int64)
        self._chain = np.full(n, -1, np.int64)
        self._at = np.full(n, -1, np.int64)
        self._end_a = np.zeros(n, np.int64)
        self._end_b = np.zeros(n, np.int64)
        for x, j in number.items():
            self._end_a[x] = self._end_b[x] = j
        starts: list[int] = []
        flat: list[int] = []
        for c, nodes in enumerate(chains):
            starts.append(len(flat))
            for p, x in enumerate(nodes):
                if not junction[x]:
                    self._chain[x], self._at[x] = c, len(flat) + p
                    self._end_a[x], self._end_b[x] = number[nodes[0]], number[nodes[-1]]
            flat.extend(nodes)
        self._chain_nodes = np.array(flat, np.int64)
        self._modes: dict[Mode, tuple[Any, ...]] = {}
        self._walks: dict[Mode, tuple[Any, ...]] = {}
        for m, mode in enumerate(modes):
            self._build_mode(mode, m, chains, starts, number, junction, best)

    def _build_mode(
        self, mode: Mode, m: int, chains: list[list[int]], starts: list[int], number: dict[int, int],
        junction: list[bool], best: dict[tuple[int, int], tuple[float, ...]],
    ) -> None:  # fmt: skip
        n = len(self.lon)
        fwd = np.zeros(len(self._chain_nodes))
        rev = np.zeros(len(self._chain_nodes))
        out_a, out_b = np.full(n, np.inf), np.full(n, np.inf)
        in_a, in_b = np.full(n, np.inf), np.full(n, np.inf)
        for x in number:
            out_a[x] = in_a[x] = 0.0
        arcs: list[tuple[int, int, float, int, int]] = []
        missing = (math.inf,) * (m + 1)
        for nodes, start in zip(chains, starts, strict=True):
            f = r = 0.0
            for p in range(1, len(nodes)):
                f += best.get((nodes[p - 1], nodes[p]), missing)[m]
                r += best.get((nodes[p], nodes[p - 1]), missing)[m]
                fwd[start + p], rev[start + p] = f, r
            for p, x in enumerate(nodes[1:-1], 1):
                in_a[x], out_a[x] = fwd[start + p], rev[start + p]
                in_b[x] = r - rev[start + p] if r < math.inf else math.inf
                out_b[x] = f - fwd[start + p] if f < math.inf else math.inf
            last = start + len(nodes) - 1
            if f < math.inf:
                arcs.append((number[nodes[0]], number[nodes[-1]], f, start, last))
            if r < math.inf:
                arcs.append((number[nodes[-1]], number[nodes[0]], r, last, start))
        arcs.sort()
        heads = np.array([a[1] for a in arcs], np.int64)
        seconds = np.array([a[2] for a in arcs])
        first = np.searchsorted(np.array([a[0] for a in arcs]), np.arange(len(number) + 1)).astype(np.int64)
        table = np.empty((len(number), len(number)), np.float32)
        fill_table(first, heads, seconds, table)
        # One-way chains: cumulated infinities would give inf - inf; a large finite time keeps the comparisons clean.
        fwd[~np.isfinite(fwd)] = np.nan
        rev[~np.isfinite(rev)] = np.nan
        self._modes[mode] = (
            self._end_a, self._end_b, out_a, out_b, in_a, in_b, self._chain, self._at, fwd, rev, table,
        )  # fmt: skip
        self._walks[mode] = (
            self._chain_nodes, first, heads, seconds, np.array([a[3] for a in arcs], np.int64),
            np.array([a[4] for a in arcs], np.int64), self._node_of,
        )  # fmt: skip

    # --- places

    def know(self, lon: float, lat: float, node: int, offroad_m: float) -> None:
        """Record where a place joins the network (a call file says so), so that it need not be searched."""
        self._snapped[lon, lat] = (node, offroad_m)

    def snap(self, lon: float, lat: float) -> tuple[int, float]:
        """The accessible node nearest to a place and the straight line to it in metres."""
        found = self._snapped.get((lon, lat))
        if found is None:
            metres, i = self._tree.query((lon * self.m_per_deg[0], lat * self.m_per_deg[1]))
            found = self._snapped[lon, lat] = (int(self._accessible[i]), float(metres))
        return found

    def snap_many(self, lon: FloatArray, lat: FloatArray) -> tuple[IntArray, FloatArray]:
        """Accessible node nearest to each place (n,) and the straight lines to them in metres (n,)."""
        metres, i = self._tree.query(np.column_stack([lon * self.m_per_deg[0], lat * self.m_per_deg[1]]))
        return self._accessible[i], metres

    def mode_arrays(self, mode: Mode) -> tuple[Any, ...]:
        try:
            return self._modes[mode]
        except KeyError:
            raise Rejected("unknown_mode", f"mode {mode!r} is not one of {sorted(self._modes)}") from None

    # --- Router

    def node_eta_s(self, u: int, v: int, mode: Mode) -> float:
        return float(trip_s(u, v, *self._modes[mode]))

    def nodes_s(self, sources: IntArray, targets: IntArray, mode: Mode) -> FloatArray:
        """Seconds between all pairs of nodes, shape (sources, targets)."""
        out: FloatArray = np.empty((len(sources), len(targets)))
        trips_between(sources, targets, out, *self.mode_arrays(mode))
        return out

    def after_s(self, u: int, v: int, t: float, mode: Mode) -> tuple[int, float]:
        """Next node and seconds to it, `t` seconds into the quickest way from u to v."""
        node, lead_s = node_after(u, v, t, *self._walks[mode], *self._modes[mode])
        return int(node), float(lead_s)

    def eta_s(self, lon1: float, lat1: float, lon2: float, lat2: float, mode: Mode = "lights") -> float | None:
        u, a = self.snap(lon1, lat1)
        v, b = self.snap(lon2, lat2)
        t = float(trip_s(u, v, *self.mode_arrays(mode)))
        return t + (a + b) * self.s_per_m[mode] if t < math.inf else None

    def estimate(self, lon1: float, lat1: float, lon2: float, lat2: float, mode: Mode = "lights") -> Estimate:
        t = self.eta_s(lon1, lat1, lon2, lat2, mode)
        if t is not None:
            return Estimate(t, "road", self.snap(lon1, lat1)[1] + self.snap(lon2, lat2)[1])
        metres = math.hypot((lon1 - lon2) * self.m_per_deg[0], (lat1 - lat2) * self.m_per_deg[1])
        return Estimate(metres * self.s_per_m[mode], "straight_line", metres)

    def matrix_s(
        self, origins: Sequence[tuple[float, float]], destinations: Sequence[tuple[float, float]], mode: Mode = "lights"
    ) -> FloatArray:
        a = [self.snap(lon, lat) for lon, lat in origins]
        b = [self.snap(lon, lat) for lon, lat in destinations]
        out = self.nodes_s(np.array([x for x, _ in a], np.int64), np.array([x for x, _ in b], np.int64), mode)
        legs: FloatArray = np.array([m for _, m in a])[:, None] + np.array([m for _, m in b])[None, :]
        return out + legs * self.s_per_m[mode]

    def bind_places(
        self, places: Sequence[tuple[float, float]], mode: Mode
    ) -> Callable[[float, float], npt.NDArray[np.float32]]:
        """A function giving seconds from any place to these, prepared per junction; exact."""
        snapped = [self.snap(lon, lat) for lon, lat in places]
        nodes: IntArray = np.array([node for node, _ in snapped], np.int64)
        pace = self.s_per_m[mode]
        legs_s: FloatArray = np.array([metres for _, metres in snapped]) * pace
        end_a, end_b, out_a, out_b, *_ = self.mode_arrays(mode)
        from_junction = (self.nodes_s(self._node_of, nodes, mode) + legs_s).astype(np.float32)
        on_chain: dict[int, list[int]] = defaultdict(list)
        for i, node in enumerate(nodes.tolist()):
            on_chain[int(self._chain[node])].append(i)

        def reach(lon: float, lat: float) -> npt.NDArray[np.float32]:
            node, offroad_m = self.snap(lon, lat)
            seconds: npt.NDArray[np.float32] = from_junction[end_a[node]] + np.float32(out_a[node] + offroad_m * pace)
            if out_b[node] < math.inf:
                other = from_junction[end_b[node]] + np.float32(out_b[node] + offroad_m * pace)
                seconds = np.minimum(seconds, other)
            if self._chain[node] >= 0:  # along one road the direct way need not pass a junction
                for i in on_chain.get(int(self._chain[node]), ()):
                    direct = self.node_eta_s(node, int(nodes[i]), mode) + offroad_m * pace + legs_s[i]
                    seconds[i] = min(seconds[i], direct)
            return seconds

        return reach

    def route(self, lon1: float, lat1: float, lon2: float, lat2: float, mode: Mode = "lights") -> Route:
        """Only end points and time: a simulation draws no map."""
        t = self.estimate(lon1, lat1, lon2, lat2, mode)
        steps = [Step("arrive", "", 0.0, 0.0, "Tiba di lokasi", "Arrive at the scene")]
        return Route(t.eta_s, 0.0, [(lon1, lat1), (lon2, lat2)], [], steps, t.basis, t.offroad_m)

    def fleet(self) -> TableFleet:
        return TableFleet(self)

    # --- Roads

    @property
    def router(self) -> TravelNet:
        return self

    def put(self, fleet: Fleet, unit_id: str, node: int, offroad_m: float, lead_s: float) -> None:
        if not isinstance(fleet, TableFleet):
            raise AssertionError("the engine must drive on the world's own roads: Engine(region, net, ...)")
        fleet.place_node(unit_id, node, offroad_m, lead_s)


class TableFleet:
    """Positions of a fleet on a `TravelNet`; `nearest` is one look-up a unit."""

    def __init__(self, net: TravelNet) -> None:
        self._net = net
        self._slots = SlotTable()
        self._node = np.zeros(8, np.int64)
        self._offroad_m = np.zeros(8)
        self._lead_s = np.zeros(8)
        self._among: dict[frozenset[str], IntArray] = {}

    def place(self, unit_id: str, lon: float, lat: float) -> None:
        self.place_node(unit_id, *self._net.snap(lon, lat), 0.0)

    def place_node(self, unit_id: str, node: int, offroad_m: float, lead_s: float) -> None:
        """On its way: reaches `node` in `lead_s`. Standing: `offroad_m` from its node."""
        known = len(self._slots.ids)
        slot = self._slots.occupy(unit_id)
        if slot >= known:
            self._among.clear()
        while slot >= len(self._node):
            self._node = np.concatenate([self._node, np.zeros_like(self._node)])
            self._offroad_m = np.concatenate([self._offroad_m, np.zeros_like(self._offroad_m)])
            self._lead_s = np.concatenate([self._lead_s, np.zeros_like(self._lead_s)])
        self._node[slot], self._offroad_m[slot], self._lead_s[slot] = node, offroad_m, lead_s

    def node_of(self, unit_id: str) -> tuple[int, float, float] | None:
        """(node, off-road metres, lead seconds) of a placed unit."""
        slot = self._slots.find(unit_id)
        if slot is None:
            return None
        return int(self._node[slot]), float(self._offroad_m[slot]), float(self._lead_s[slot])

    def remove(self, unit_id: str) -> None:
        self._slots.vacate(unit_id)
        self._among.clear()

    def nearest(
        self, lon: float, lat: float, k: int | None = 8, mode: Mode = "lights", among: Collection[str] | None = None
    ) -> list[tuple[str, float]]:
        ids = self._slots.ids
        if among is None:
            slots: IntArray = np.flatnonzero(self._slots.occupied[: len(ids)])
        else:
            find = self._slots.find
            slots = np.array([s for u in among if (s := find(u)) is not None], np.int64)
        if k == 0 or not len(slots):
            return []
        node, offroad_m = self._net.snap(lon, lat)
        s_per_m = self._net.s_per_m[mode]
        eta_s = np.empty(len(slots))
        trips_to(
            self._node, self._offroad_m, self._lead_s, slots, node, offroad_m * s_per_m, s_per_m, eta_s,
            *self._net.mode_arrays(mode),
        )  # fmt: skip
        if k is not None and k < len(slots):
            kept = np.flatnonzero(eta_s <= np.partition(eta_s, k - 1)[k - 1])
            slots, eta_s = slots[kept], eta_s[kept]
        found = [(ids[s], t) for s, t in zip(slots.tolist(), eta_s.tolist(), strict=True) if t < math.inf]
        found.sort(key=lambda unit: (unit[1], unit[0]))
        return found if k is None else found[:k]

    def seconds_to(self, lon: float, lat: float, mode: Mode, unit_ids: Sequence[str]) -> FloatArray:
        slots = self._slots.slots(unit_ids)
        node, offroad_m = self._net.snap(lon, lat)
        s_per_m = self._net.s_per_m[mode]
        eta_s: FloatArray = np.empty(len(slots))
        trips_to(
            self._node, self._offroad_m, self._lead_s, slots, node, offroad_m * s_per_m, s_per_m, eta_s,
            *self._net.mode_arrays(mode),
        )  # fmt: skip
        eta_s[slots < 0] = np.inf
        return eta_s


def _passes_through(x: int, near: Sequence[int], best: Mapping[tuple[int, int], object]) -> bool:
    """True when x only continues one road: two neighbours and the same ways open on both sides."""
    if len(near) != 2:
        return False
    a, b = near
    return ((a, x) in best) == ((x, b) in best) and ((b, x) in best) == ((x, a) in best)


def _chains(n: int, near: Mapping[int, list[int]], junction: list[bool]) -> list[list[int]]:
    """Node lists from junction to junction; a ring without one gets its smallest node as junction."""
    chains: list[list[int]] = []
    seen = [False] * n

    def follow(start: int, onward: int) -> None:
        nodes = [start]
        before, x = start, onward
        while not junction[x]:
            seen[x] = True
            nodes.append(x)
            a, b = near[x]
            before, x = x, b if a == before else a
        nodes.append(x)
        chains.append(nodes)

    for start in range(n):
        if junction[start]:
            for onward in near.get(start, ()):
                if junction[onward]:
                    if start < onward:
                        chains.append([start, onward])
                elif not seen[onward]:
                    follow(start, onward)
    for x in range(n):
        if not junction[x] and not seen[x]:
            junction[x] = True
            follow(x, near[x][0])
    return chains
