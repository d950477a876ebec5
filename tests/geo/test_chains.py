"""Chains of streets: every arc in exactly one, interior nodes only where nothing crosses, rings and dead ends included."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from geo.nearest import exhaustive_nearest
from geo.roads import RoadGraph
from geo.router import LIGHTS
from tests.geo.worlds import LAT0, LON0, STEP_DEG


def network(arcs: list[tuple[int, int]], n: int) -> RoadGraph:
    """Nodes in a row, any arcs between them, seconds that differ."""
    tail, head = [a for a, _ in arcs], [b for _, b in arcs]
    seconds = 10.0 + np.arange(len(arcs)) * 1.37
    return RoadGraph.from_arrays(
        LON0 + np.arange(n) * STEP_DEG, np.full(n, LAT0), tail, head, np.full(len(arcs), 200.0), {LIGHTS: seconds}
    )  # fmt: skip


def assert_whole(graph: RoadGraph) -> None:
    """The invariants of the structure."""
    chains = graph.chains
    used = np.concatenate([chains.ahead[chains.ahead >= 0], chains.back[chains.back >= 0]])
    assert sorted(used.tolist()) == list(range(graph.n_arcs)), "each arc in exactly one chain and direction"
    for c in range(len(chains.first) - 1):
        nodes = chains.nodes[chains.first[c] + c : chains.first[c + 1] + c + 1]
        for i, slot in enumerate(range(chains.first[c], chains.first[c + 1])):
            for arc, ends in ((chains.ahead[slot], (i, i + 1)), (chains.back[slot], (i + 1, i))):
                if arc >= 0:
                    assert (graph.arc_from[arc], graph.arc_to[arc]) == (nodes[ends[0]], nodes[ends[1]])
        for i, v in enumerate(nodes.tolist()):
            inside = 0 < i < len(nodes) - 1
            assert (chains.chain_of[v] == c and chains.place_of[v] == i) if inside else chains.chain_of[v] == -1
    for v in range(graph.n_nodes):
        neighbours = set(graph.arc_to[graph.arc_from == v].tolist()) | set(graph.arc_from[graph.arc_to == v].tolist())
        if chains.chain_of[v] >= 0:
            assert len(neighbours) == 2


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=30), st.integers(0, 9))
def test_any_network_is_strung_whole_and_searched_exactly(arcs: list[tuple[int, int]], target: int) -> None:
    """Random multigraphs: parallel arcs, one-way streets, loops, pieces; a unit at every node and in the middle of arcs."""
    usable = [(a, b) for a, b in arcs if a != b]
    if not usable:
        return
    graph = network(usable, 10)
    assert_whole(graph)
    fleet = graph.fleet()
    for v in range(10):
        fleet.place_at_node(f"U{v}", v)
    for arc in range(graph.n_arcs):
        fleet.place_on_arc(f"A{arc}", arc, 0.25, turn_back=arc % 2 == 0)
    lon = float(graph.node_lon[target])
    for k in (1, 3, None):
        assert fleet.nearest(lon, LAT0, k) == exhaustive_nearest(fleet, lon, LAT0, k, LIGHTS)


def test_a_ring_without_crossings_gets_one_and_is_searched_both_ways() -> None:
    """A closed loop of streets, apart from everything: the nearer way round counts."""
    ring = [(i, (i + 1) % 6) for i in range(6)] + [((i + 1) % 6, i) for i in range(6)]
    graph = network(ring, 6)
    assert_whole(graph)
    assert int((graph.chains.chain_of == -1).sum()) == 1
    fleet = graph.fleet()
    for v in range(6):
        fleet.place_at_node(f"U{v}", v)
    for target in range(6):
        lon = float(graph.node_lon[target])
        assert fleet.nearest(lon, LAT0, None) == exhaustive_nearest(fleet, lon, LAT0, None)


def test_a_long_street_is_one_chain() -> None:
    """Twenty nodes in a row between two dead ends: two crossings, one chain, all arcs in it."""
    graph = network([(i, i + 1) for i in range(19)] + [(i + 1, i) for i in range(19)], 20)
    assert len(graph.chains.first) - 1 == 1
    assert graph.chains.first.tolist() == [0, 19]
