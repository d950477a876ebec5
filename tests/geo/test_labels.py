"""Times by look-up are the times of a search, on any network and after any change of the road."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo.nearest import exhaustive_nearest
from geo.router import LIGHTS, REGULAR
from geo.traffic import Restriction, Traffic
from tests.geo.worlds import grid


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.2, 0.5]), st.sampled_from([0.0, 0.4]))
def test_every_pair_of_crossings_is_as_far_apart_as_a_search_says(seed: int, dropped: float, one_way: float) -> None:
    """One-way streets, missing ones and crossings without a way between them included."""
    graph = grid(7, 6, seed=seed, drop_share=dropped, one_way_share=one_way)
    nodes = np.arange(graph.n_nodes)
    for mode in (LIGHTS, REGULAR):
        table = graph.node_matrix_s(nodes, nodes, mode)
        for node in nodes.tolist():
            assert table[node] == pytest.approx(graph.times_from(node, mode), rel=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.data())
def test_the_whole_fleet_is_timed_as_an_exhaustive_search_times_it(seed: int, data: st.DataObject) -> None:
    """Also after units move, leave, stand on an arc, and after a street is closed."""
    graph = grid(7, 6, seed=seed, one_way_share=0.2)
    fleet = graph.fleet()
    traffic = Traffic(graph)
    rng = np.random.default_rng(seed)
    ids = [f"U{i}" for i in range(9)]
    for turn in range(4):
        for unit_id in ids[: 8 - turn]:
            if rng.random() < 0.3:
                fleet.place_on_arc(unit_id, int(rng.integers(graph.n_arcs)), float(rng.random()), turn_back=True)
            else:
                at = int(rng.integers(graph.n_nodes))
                fleet.place(unit_id, float(graph.node_lon[at]), float(graph.node_lat[at]))
        fleet.remove(ids[int(rng.integers(len(ids)))])
        if turn:
            closed = tuple(data.draw(st.lists(st.integers(0, graph.n_arcs - 1), min_size=1, max_size=6)))
            traffic.restrict(Restriction(f"banjir-{turn}", closed))
        to = int(rng.integers(graph.n_nodes))
        lon, lat = float(graph.node_lon[to]) + 0.0003, float(graph.node_lat[to])
        expected = dict(exhaustive_nearest(fleet, lon, lat, None))
        found = fleet.seconds_to(lon, lat, LIGHTS, ids)
        for unit_id, seconds in zip(ids, found.tolist(), strict=True):
            assert seconds == pytest.approx(expected.get(unit_id, math.inf), rel=1e-12)


def test_places_bound_once_follow_the_road_weights() -> None:
    """A closure lengthens the way to a prepared list of places at the next question."""
    graph = grid(6, 5, seed=3)
    places = [(float(graph.node_lon[i]), float(graph.node_lat[i])) for i in (0, 13, 29)]
    start = (float(graph.node_lon[7]), float(graph.node_lat[7]))
    reach = graph.bind_places(places)
    before = reach(*start)
    assert before == pytest.approx(graph.matrix_s([start], places)[0])
    first_arc = int(graph.first_out[7])
    Traffic(graph).restrict(Restriction("pasar", tuple(range(first_arc, int(graph.first_out[8])))))
    assert not np.isfinite(reach(*start)).any()
