"""The road graph: building from arrays, refusals, joining positions, tables of times, honest fallbacks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo.roads import OFFROAD_TRUSTED_M, RoadGraph
from geo.router import LIGHTS, REGULAR, Rejected
from tests.geo.worlds import LAT0, LON0, STEP_DEG, grid, line_of_nodes


def two_islands() -> RoadGraph:
    """Two roads 5 km apart without a bridge."""
    lon = [LON0, LON0 + STEP_DEG, LON0 + 0.05, LON0 + 0.05 + STEP_DEG]
    return RoadGraph.from_arrays(
        lon, [LAT0] * 4, [0, 1, 2, 3], [1, 0, 3, 2], [220.0] * 4, {LIGHTS: [20.0] * 4}, region="pulau"
    )  # fmt: skip


GOOD = {
    "node_lon": [112.7, 112.701], "node_lat": [-7.3, -7.3], "arc_from": [0, 1], "arc_to": [1, 0],
    "length_m": [110.0, 110.0], "seconds": {LIGHTS: [10.0, 10.0]},
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"node_lon": [], "node_lat": []}, "empty_network"),
        ({"arc_from": [], "arc_to": [], "length_m": []}, "empty_network"),
        ({"arc_to": [0, 1]}, "empty_network"),  # nothing but loops
        ({"node_lon": [690_000.0, 690_100.0], "node_lat": [9_200_000.0, 9_200_000.0]}, "wrong_projection"),
        ({"node_lon": [-7.3, -7.3], "node_lat": [112.7, 112.701]}, "wrong_projection"),  # swapped
        ({"node_lon": [112.7, 12.7]}, "wrong_projection"),  # not one region
        ({"node_lon": [112.7, math.nan]}, "bad_coordinates"),
        ({"arc_to": [1, 2]}, "bad_arcs"),
        ({"arc_to": [1, -1]}, "bad_arcs"),
        ({"length_m": [110.0]}, "bad_arcs"),
        ({"length_m": [110.0, -1.0]}, "bad_arcs"),
        ({"seconds": {}}, "bad_arcs"),
        ({"seconds": {LIGHTS: [10.0, -1.0]}}, "bad_speed"),
        ({"seconds": {LIGHTS: [10.0, math.nan]}}, "bad_speed"),
        ({"offroad_access": [False, False]}, "bad_arcs"),
        ({"arc_name": [0, 9]}, "bad_arcs"),
        ({"names": ["Jl. Mawar"]}, "bad_arcs"),
    ],
)
def test_unusable_arrays_are_refused_with_a_code(change: dict[str, object], code: str) -> None:
    """Every broken input names what is wrong with it; none becomes an empty or silent graph."""
    with pytest.raises(Rejected) as refusal:
        RoadGraph.from_arrays(**{**GOOD, **change})  # type: ignore[arg-type]
    assert refusal.value.code == code


def test_a_position_joins_the_nearest_access_node() -> None:
    """Exhaustive comparison of the snapping grid, inside and far outside the network."""
    graph = grid(12, 9, seed=3, access_share=0.4)
    rng = np.random.default_rng(5)
    usable = np.flatnonzero(graph.node_access)
    for _ in range(300):
        lon, lat = LON0 + rng.uniform(-0.05, 0.07), LAT0 + rng.uniform(-0.05, 0.07)
        px, py = graph.to_xy(lon, lat)
        metres = np.hypot(graph.x[usable] - px, graph.y[usable] - py)
        joined = graph.attach(lon, lat)
        assert joined.offroad_m == pytest.approx(metres.min())
        assert metres[usable == joined.node][0] == pytest.approx(metres.min())


def test_an_island_without_bridge_is_unreachable_and_estimated_by_straight_line() -> None:
    """eta_s says None, estimate and route say straight line; nothing says zero."""
    graph = two_islands()
    here, there = (LON0, LAT0), (LON0 + 0.05, LAT0)
    assert graph.eta_s(*here, *there) is None
    assert math.isinf(graph.matrix_s([here], [there])[0, 0])
    estimate = graph.estimate(*here, *there)
    assert estimate.basis == "straight_line"
    assert estimate.eta_s > 60.0
    assert graph.route(*here, *there).basis == "straight_line"
    assert graph.estimate(*here, LON0 + STEP_DEG, LAT0).basis == "road"


def test_a_point_beyond_trusted_distance_is_estimated_by_straight_line() -> None:
    """A boat 4 km off the coast is not credited with a drive across the water."""
    graph = grid(seed=1)
    far_lat = LAT0 - (OFFROAD_TRUSTED_M + 500.0) / 111_320.0
    assert graph.estimate(LON0, far_lat, LON0, LAT0).basis == "straight_line"
    assert graph.estimate(LON0, LAT0 - 0.001, LON0, LAT0).basis == "road"


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_tables_equal_single_searches_and_sweeps(seed: int) -> None:
    """matrix, one-to-one, one-to-all and all-to-one are four ways to the same seconds, whichever side is larger."""
    graph = grid(seed=seed, drop_share=0.2, one_way_share=0.2)
    rng = np.random.default_rng(seed)
    nodes = rng.integers(0, graph.n_nodes, 7)
    a, b = nodes[:3], nodes[2:]
    for x, y in ((a, b), (b, a)):
        table = graph.node_matrix_s(x, y, REGULAR)
        for i, origin in enumerate(x.tolist()):
            assert np.allclose(table[i], graph.times_from(origin, REGULAR)[y])
            for j, destination in enumerate(y.tolist()):
                single = graph.node_eta_s(origin, destination, REGULAR)
                assert table[i, j] == pytest.approx(math.inf if single is None else single)
                assert table[i, j] == pytest.approx(graph.times_to(destination, REGULAR)[origin])


def test_matrix_s_is_eta_s_for_every_pair() -> None:
    """Off-road legs at both ends are in the table too."""
    graph = grid(seed=8, access_share=0.7)
    rng = np.random.default_rng(8)
    points = [(LON0 + x, LAT0 + y) for x, y in rng.uniform(0.0, 0.008, (4, 2))]
    table = graph.matrix_s(points, points[:3], REGULAR)
    single = [[graph.eta_s(*p, *q, REGULAR) for q in points[:3]] for p in points]
    assert np.allclose(table, single)
    assert graph.matrix_s([], points).shape == (0, 4)


def test_limited_sweeps_hold_what_is_within_the_limit_and_nothing_else() -> None:
    """times_from with a limit equals the full sweep cut at the limit."""
    graph = grid(20, 20, seed=6)
    full = graph.times_from(0)
    assert np.array_equal(graph.times_from(0, limit_s=120.0), np.where(full <= 120.0, full, np.inf))


def test_unknown_mode_is_refused_everywhere() -> None:
    """A mode that the graph does not hold is named, not guessed."""
    graph = line_of_nodes()
    fleet = graph.fleet()
    for ask in (
        lambda: graph.eta_s(LON0, LAT0, LON0, LAT0, "boat"),
        lambda: graph.route(LON0, LAT0, LON0, LAT0, "boat"),
        lambda: graph.matrix_s([(LON0, LAT0)], [(LON0, LAT0)], "boat"),
        lambda: graph.times_from(0, "boat"),
        lambda: fleet.nearest(LON0, LAT0, mode="boat"),
    ):
        with pytest.raises(Rejected, match="unknown_mode"):
            ask()


def test_warm_up_leaves_no_trace() -> None:
    """Warming the searches up places no unit and changes no time."""
    graph = line_of_nodes()
    version = graph.live.version
    graph.warm_up()
    assert graph.live.version == version
    assert graph.fleet().nearest(LON0, LAT0, None) == []
