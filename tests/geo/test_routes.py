"""Routes: fastest, drawn from end to end, told in two languages."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo.roadarrays import Shapes
from geo.roads import RoadGraph
from geo.router import LIGHTS, REGULAR
from geo.routes import manoeuvre_of
from tests.geo.worlds import LAT0, LON0, STEP_DEG, city, grid, line_of_nodes


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_route_takes_as_long_as_the_exact_search_says(seed: int) -> None:
    """The way found by the hierarchy is the fastest one, connected, and its clock is the sum of its arcs."""
    graph = grid(seed=seed, drop_share=0.2, one_way_share=0.3)
    rng = np.random.default_rng(seed)
    for origin, destination in rng.integers(0, graph.n_nodes, (6, 2)).tolist():
        path = graph.path_nodes(origin, destination, REGULAR)
        exact_s = float(graph.times_from(origin, REGULAR)[destination])
        if exact_s == np.inf:
            assert path is None
            assert graph.node_eta_s(origin, destination, REGULAR) is None
            continue
        assert path is not None
        assert path.at_s[-1] == pytest.approx(exact_s, abs=0.01)
        assert path.nodes[0] == origin
        assert path.nodes[-1] == destination
        assert np.array_equal(graph.arc_from[path.arcs], path.nodes[:-1])
        assert np.array_equal(graph.arc_to[path.arcs], path.nodes[1:])
        assert np.allclose(np.diff(path.at_s), graph.live.forward[REGULAR][path.arcs])


def test_route_runs_from_door_to_door_with_off_road_legs() -> None:
    """Geometry starts and ends at the given positions, and the legs count in time and length."""
    graph = line_of_nodes((10.0, 20.0, 30.0))
    start, end = (LON0, LAT0 - 0.0005), (LON0 + 3 * STEP_DEG, LAT0 + 0.0005)
    route = graph.route(*start, *end)
    assert route.coordinates[0] == start
    assert route.coordinates[-1] == end
    assert route.offroad_m == pytest.approx(2 * 0.0005 * 111_320.0)
    assert route.length_m == pytest.approx(660.0 + route.offroad_m)
    assert route.eta_s == pytest.approx(graph.eta_s(*start, *end))
    assert route.basis == "road"
    assert sum(s.length_m for s in route.steps) == pytest.approx(660.0)


def corner() -> RoadGraph:
    """East along Jl. Darmo, then at a crossing north into Jl. Diponegoro; a third road goes on east."""
    lon = [LON0, LON0 + STEP_DEG, LON0 + STEP_DEG, LON0 + 2 * STEP_DEG]
    lat = [LAT0, LAT0, LAT0 + STEP_DEG, LAT0]
    return RoadGraph.from_arrays(
        lon, lat, [0, 1, 1, 2, 1, 3], [1, 0, 2, 1, 3, 1], [220.0] * 6, {LIGHTS: [15.0] * 6},
        arc_name=[1, 1, 2, 2, 1, 1], names=("", "Jl. Darmo", "Jl. Diponegoro"),
    )  # fmt: skip


def test_turns_are_told_in_indonesian_and_english_with_street_names() -> None:
    """East then north is a left turn; the way back is a right turn; straight on along the same street is no news."""
    graph = corner()
    north = graph.route(LON0, LAT0, LON0 + STEP_DEG, LAT0 + STEP_DEG)
    assert [s.text_id for s in north.steps] == ["Mulai di Jl. Darmo", "Belok kiri ke Jl. Diponegoro", "Tiba di lokasi"]
    assert [s.text_en for s in north.steps] == [
        "Start on Jl. Darmo", "Turn left onto Jl. Diponegoro", "Arrive at the scene",
    ]  # fmt: skip
    assert north.names == ["Jl. Darmo", "Jl. Diponegoro"]
    back = graph.route(LON0 + STEP_DEG, LAT0 + STEP_DEG, LON0, LAT0)
    assert [s.manoeuvre for s in back.steps] == ["depart", "right", "arrive"]
    straight = graph.route(LON0, LAT0, LON0 + 2 * STEP_DEG, LAT0)
    assert [s.manoeuvre for s in straight.steps] == ["depart", "arrive"]


@pytest.mark.parametrize(
    ("angle", "word"),
    [
        (0, "continue"),
        (40, "slight_right"),
        (-40, "slight_left"),
        (90, "right"),
        (-90, "left"),
        (150, "sharp_right"),
        (-178, "u_turn"),
    ],
)
def test_turn_words_follow_the_angle(angle: float, word: str) -> None:
    """Right is positive, as on a compass."""
    assert manoeuvre_of(angle) == word


def test_trip_to_where_one_stands_is_empty_and_not_refused() -> None:
    """Same place: no time, no length, still a depart and an arrive."""
    route = corner().route(LON0, LAT0, LON0, LAT0)
    assert route.eta_s == 0.0
    assert [s.manoeuvre for s in route.steps] == ["depart", "arrive"]


def test_shape_points_are_drawn_in_driving_direction() -> None:
    """An arc with a bend shows the bend both ways, and the turn angle is taken at the bend."""
    bend = np.array([[LON0 + STEP_DEG, LAT0 + 0.001]])
    graph = RoadGraph.from_arrays(
        [LON0, LON0 + 2 * STEP_DEG], [LAT0, LAT0], [0, 1], [1, 0], [500.0, 500.0], {LIGHTS: [30.0, 30.0]},
        shapes=Shapes.by_arc([1, 1], np.vstack([bend, bend])),
    )  # fmt: skip
    for a, b in ((0, 1), (1, 0)):
        route = graph.route(graph.node_lon[a], LAT0, graph.node_lon[b], LAT0)
        assert len(route.coordinates) == 3
        assert route.coordinates[1] == pytest.approx(tuple(bend[0]), abs=1e-5)


def test_real_city_routes_match_the_exact_search() -> None:
    """100 random trips across Auckland: the hierarchy's way is as fast as the exact search says, and drawn unbroken."""
    graph = city("auckland")
    rng = np.random.default_rng(3)
    for a, b in rng.integers(0, graph.n_nodes, (100, 2)).tolist():
        path = graph.path_nodes(a, b, REGULAR)
        assert path is not None
        assert path.at_s[-1] == pytest.approx(graph.times_from(a, REGULAR)[b], abs=0.01)
