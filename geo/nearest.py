"""Who is really closest: the fleet on the road graph, answering nearest-by-road exactly in microseconds.

A unit is kept on the node(s) through which it can start driving, so a search only has to look at nodes. It hangs on one
node when its position was snapped, or on both ends of an arc when the caller knows that it stands on that arc.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from geo import nearest_kernels as kernels
from geo.grids import IntArray
from geo.labels import AnchorLabels
from geo.roads import OUTSIDE_M, Attachment, RoadGraph
from geo.router import LIGHTS, Estimate, FloatArray, Mode, Rejected, SlotTable

BoolArray = npt.NDArray[np.bool_]


# A moving unit and the arc it drives on: within 40 m (5 times a phone's noise in a street, see geo.traces) and 60 degrees.
HEADING_RADIUS_M, FIX_NOISE_M = 40.0, 8.0
HEADING_MAX_DEG, HEADING_NOISE_DEG = 60.0, 20.0


class RoadFleet:
    """Fleet (geo.router) on a RoadGraph. One thread at a time; all units share the graph's live travel times."""

    def __init__(self, graph: RoadGraph) -> None:
        self.graph = graph
        self.nodes_settled = 0  # crossings settled by the last search: what it cost, for benchmarks and explanations
        self._slots = SlotTable()
        self._at: dict[str, tuple[float, float]] = {}  # lon, lat of every unit placed, for straight lines
        self._head: IntArray = np.full(graph.n_nodes, -1, np.int32)
        self._chain_units: IntArray = np.zeros(len(graph.chains.first) - 1, np.int32)
        self._turn = 0
        self._labels: dict[Mode, AnchorLabels] = {}
        self._grow(8)

    def _grow(self, capacity: int) -> None:
        """Room for `capacity` units; two anchors each."""
        anchors = 2 * capacity

        def grown(name: str, size: int, fill: float, dtype: npt.DTypeLike) -> None:
            old = getattr(self, name, None)
            new = np.full(size, fill, dtype)
            if old is not None:
                new[: len(old)] = old
            setattr(self, name, new)

        self._after: IntArray
        self._before: IntArray
        self._anchor_node: IntArray
        self._lead_m: FloatArray
        self._lead_arc: IntArray
        self._lead_share: FloatArray
        self._unit_eta: FloatArray
        self._unit_stamp: npt.NDArray[np.int64]
        for name, fill, dtype in (
            ("_after", -1, np.int32), ("_before", -1, np.int32), ("_anchor_node", -1, np.int32),
            ("_lead_m", 0.0, np.float64), ("_lead_arc", -1, np.int32), ("_lead_share", 0.0, np.float64),
        ):  # fmt: skip
            grown(name, anchors, fill, dtype)
        grown("_unit_eta", capacity, 0.0, np.float64)
        grown("_unit_stamp", capacity, 0, np.int64)
        self._found: IntArray = np.zeros(capacity, np.int32)
        self._best_eta: FloatArray = np.zeros(capacity)
        self._best_slot: IntArray = np.zeros(capacity, np.int32)

    # ---- positions ------------------------------------------------------------------------------------------------

    def place(self, unit_id: str, lon: float, lat: float, heading_deg: float | None = None) -> Attachment:
        """Put or move a unit to a GPS position: snapped to the nearest joinable node, the rest is an off-road leg.

        With the heading of a *moving* unit (degrees clockwise from north) it goes onto the arc it drives along instead, so
        that the far carriageway of a divided road is not mistaken for its own. Returns how it was attached, so that a caller can flag a unit far from any road. Raises Rejected("bad_coordinates"
        | "outside_region"); the unit then keeps its old position.
        """
        g = self.graph
        px, py = g.to_xy(lon, lat)
        if heading_deg is not None:
            arc, share = self._arc_under(px, py, heading_deg)
            if arc >= 0:
                self.place_on_arc(unit_id, arc, share, turn_back=True)
                self._at[unit_id] = (lon, lat)
                return Attachment(int(g.arc_to[arc]), 0.0)
        known = unit_id in self
        slot = self._slot(unit_id)
        grid = g.grid
        node, offroad_m = kernels.place_by_snapping(
            slot, px, py, g.x, g.y, grid.cell_m, grid.columns, grid.rows, grid.cell_first, grid.cell_nodes,
            *self._lists(), self._lead_m, self._lead_arc, OUTSIDE_M,
        )  # fmt: skip
        if offroad_m > OUTSIDE_M:
            if not known:
                self._slots.vacate(unit_id)
            raise g.outside(lon, lat, offroad_m)
        self._at[unit_id] = (lon, lat)
        return Attachment(node, offroad_m)

    def place_at_node(self, unit_id: str, node: int) -> None:
        """Put a unit exactly on a node: a station's door, or a simulated unit at a crossing."""
        self._hang(unit_id, ((node, -1, 0.0),))

    def place_on_arc(self, unit_id: str, arc: int, driven_share: float, turn_back: bool = False) -> None:
        """Put a unit on an arc of which it has driven `driven_share` (0..1).

        It goes on to the arc's end; with `turn_back` it may also return to the start, when a way back along the same two
        nodes exists. Times follow the live weights, so a closure on the arc holds it there.
        """
        if not 0.0 <= driven_share <= 1.0:
            raise Rejected("bad_position", f"driven share {driven_share} of an arc is not within 0..1")
        g = self.graph
        start, end = int(g.arc_from[arc]), int(g.arc_to[arc])
        ways = [(end, arc, 1.0 - driven_share)]
        if turn_back:
            outgoing = range(g.first_out[end], g.first_out[end + 1])
            back = next((a for a in outgoing if g.arc_to[a] == start), None)
            if back is not None:
                ways.append((start, back, driven_share))
        self._hang(unit_id, tuple(ways))

    def _arc_under(self, px: float, py: float, heading_deg: float) -> tuple[int, float]:
        """The arc a moving unit drives on and the share driven; (-1, 0) when none fits."""
        grid = self.graph.arc_grid
        return kernels.arc_ahead(  # type: ignore[no-any-return]
            px, py, heading_deg, grid.x1, grid.y1, grid.x2, grid.y2, grid.cell_m, grid.columns, grid.rows, grid.first,
            grid.arcs, HEADING_RADIUS_M, FIX_NOISE_M, HEADING_MAX_DEG, HEADING_NOISE_DEG,
        )  # fmt: skip

    def remove(self, unit_id: str) -> None:
        slot = self._slots.vacate(unit_id)
        if slot is not None:
            del self._at[unit_id]
            for anchor in (2 * slot, 2 * slot + 1):
                kernels.unlink(anchor, *self._lists())

    def __len__(self) -> int:
        return int(self._slots.occupied.sum())

    def __contains__(self, unit_id: str) -> bool:
        return self._slots.find(unit_id) is not None

    def sources(
        self, mode: Mode = LIGHTS, among: Collection[str] | None = None
    ) -> tuple[list[str], IntArray, FloatArray, IntArray]:
        """Where units start driving: (unit ids, anchor nodes, head start in seconds, index of the unit per anchor)."""
        slots = np.flatnonzero(self._slots.mask(among))
        anchors = np.concatenate([2 * slots, 2 * slots + 1])
        owner = np.concatenate([np.arange(len(slots)), np.arange(len(slots))]).astype(np.int32)
        used = self._anchor_node[anchors] >= 0
        anchors, owner = anchors[used], owner[used]
        return [self._slots.ids[s] for s in slots], self._anchor_node[anchors], self._lead_s(mode)[anchors], owner

    def _lists(self) -> tuple[IntArray, IntArray, IntArray, IntArray, IntArray, IntArray]:
        """What linking and unlinking an anchor changes, in the order the kernels take it."""
        return self._head, self._after, self._before, self._anchor_node, self.graph.chains.chain_of, self._chain_units

    def _slot(self, unit_id: str) -> int:
        slot = self._slots.occupy(unit_id)
        if slot >= len(self._unit_eta):
            self._grow(2 * len(self._unit_eta))
        return slot

    def _hang(self, unit_id: str, ways: tuple[tuple[int, int, float], ...]) -> None:
        """Hang a unit on (node, arc still to drive or -1, share of it) pairs."""
        if any(not 0 <= node < self.graph.n_nodes for node, _, _ in ways):
            raise Rejected("unknown_node", f"no such node in a graph of {self.graph.n_nodes}")
        self._at[unit_id] = (float(self.graph.node_lon[ways[0][0]]), float(self.graph.node_lat[ways[0][0]]))
        slot = self._slot(unit_id)
        lists = self._lists()
        for anchor in (2 * slot, 2 * slot + 1):
            kernels.unlink(anchor, *lists)
        for i, (node, arc, share) in enumerate(ways):
            anchor = 2 * slot + i
            kernels.link(anchor, node, *lists)
            self._lead_m[anchor] = 0.0
            self._lead_arc[anchor] = arc
            self._lead_share[anchor] = share

    def seconds_to(self, lon: float, lat: float, mode: Mode, unit_ids: Sequence[str]) -> FloatArray:
        """Seconds from each of these units to a point, same order, exact; inf for one not placed or without a way.

        By labels (geo.labels): about a fifth of a microsecond a unit and ten for the point, however far they are. Raises
        Rejected on bad coordinates, an unknown mode, or a point outside the region.
        """
        graph = self.graph
        graph.require_mode(mode)
        target = graph.attach(lon, lat)
        labels = self._labels.get(mode)
        if labels is None:
            labels = self._labels[mode] = AnchorLabels(graph.hierarchy, mode)
        slots = self._slots.slots(unit_ids)
        seconds = labels.times_to(target.node, slots, self._anchor_node, self._lead_s(mode))
        seconds += target.offroad_m * graph.offroad_s_per_m(mode)
        return seconds

    def _lead_s(self, mode: Mode) -> FloatArray:
        """Seconds from where a unit is to each of its anchors (2 x slots,)."""
        lead_s: FloatArray = self._lead_m * self.graph.offroad_s_per_m(mode)
        on_arc = np.flatnonzero((self._lead_arc >= 0) & (self._lead_share > 0.0))
        lead_s[on_arc] += self._lead_share[on_arc] * self.graph.live.forward[mode][self._lead_arc[on_arc]]
        return lead_s

    # ---- the question ---------------------------------------------------------------------------------------------

    def nearest(
        self, lon: float, lat: float, k: int | None = 8, mode: Mode = LIGHTS, among: Collection[str] | None = None
    ) -> list[tuple[str, float]]:
        """The k units that reach (lon, lat) first: (unit_id, eta_s) ascending by (eta_s, unit_id), exact; k=None for all.

        `among` limits to these ids; a frozenset used again costs nothing to prepare. Units without a way are left out.
        Raises Rejected on bad coordinates, an unknown mode, or a point outside the region.
        """
        graph = self.graph
        graph.require_mode(mode)
        target = graph.attach(lon, lat)
        s_per_m = graph.offroad_s_per_m(mode)
        return self.nearest_to_node(target.node, k, mode, among, target.offroad_m * s_per_m)

    def nearest_to_node(
        self,
        node: int,
        k: int | None = 8,
        mode: Mode = LIGHTS,
        among: Collection[str] | None = None,
        leg_s: float = 0.0,
    ) -> list[tuple[str, float]]:
        """As `nearest`, to a node of the graph plus `leg_s` seconds beyond it."""
        if k is not None and k <= 0:
            return []
        slots = self._slots
        wanted = slots.mask(among)
        graph, live = self.graph, self.graph.live
        ws = graph.workspace
        self._turn += 1
        chains = graph.chains
        ahead, back = live.chains[mode]
        n_found, self.nodes_settled = kernels.nearest_units(
            node, leg_s, k or 0, wanted, graph.offroad_s_per_m(mode), live.forward[mode],
            chains.first, chains.nodes, chains.chain_of, chains.place_of, chains.entry_first, chains.entry, ahead, back,
            self._head, self._after, self._lead_m, self._lead_arc, self._lead_share, self._chain_units,
            ws.dist, ws.touched, ws.keys, ws.nodes,
            self._unit_eta, self._unit_stamp, self._turn, self._found, self._best_eta, self._best_slot,
        )  # fmt: skip
        chosen = self._found[:n_found]
        ids = slots.ids
        found = [(ids[s], t) for s, t in zip(chosen.tolist(), self._unit_eta[chosen].tolist(), strict=True)]
        found.sort(key=_by_time_then_id)
        return found[:k]

    def nearest_anyhow(
        self, lon: float, lat: float, k: int | None = 8, mode: Mode = LIGHTS, among: Collection[str] | None = None
    ) -> list[tuple[str, Estimate]]:
        """As `nearest`, and where fewer than k units get there by road, the others follow by straight line, marked as such:
        for an island, a flooded district, a boat. Ascending by time within each kind, road first; k=None for all units.
        """
        leg_m = self.graph.attach(lon, lat).offroad_m
        found = [(unit_id, Estimate(eta_s, "road", leg_m)) for unit_id, eta_s in self.nearest(lon, lat, k, mode, among)]
        if k is not None and len(found) >= k:
            return found
        by_road = {unit_id for unit_id, _ in found}
        wanted = self._at.keys() if among is None else among
        straight = self.graph.straight_line
        rest = [
            (unit_id, straight.estimate(*self._at[unit_id], lon, lat, mode))
            for unit_id in wanted
            if unit_id in self._at and unit_id not in by_road
        ]
        rest.sort(key=lambda unit: (unit[1].eta_s, unit[0]))
        return (found + rest)[:k]


def _by_time_then_id(unit: tuple[str, float]) -> tuple[float, str]:
    return unit[1], unit[0]


def exhaustive_nearest(
    fleet: RoadFleet, lon: float, lat: float, k: int | None, mode: Mode = LIGHTS, among: Collection[str] | None = None
) -> list[tuple[str, float]]:
    """The same answer by brute force: one search over the whole graph, then a sort. The yardstick of tests and benchmarks."""
    graph = fleet.graph
    target = graph.attach(lon, lat)
    to_target = graph.times_to(target.node, mode, start_s=target.offroad_m * graph.offroad_s_per_m(mode))
    ids, nodes, lead_s, owner = fleet.sources(mode, among)
    best = np.full(len(ids), math.inf)
    np.minimum.at(best, owner, to_target[nodes] + lead_s)
    found = [(unit_id, float(t)) for unit_id, t in zip(ids, best, strict=True) if t < math.inf]
    found.sort(key=_by_time_then_id)
    return found[:k]
