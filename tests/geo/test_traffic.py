"""Closures, slow streets and hours reach every search alike."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo.coverage import Coverage
from geo.roads import RoadGraph
from geo.router import LIGHTS, REGULAR, Rejected
from geo.traffic import PRIOR_HOURS, HourTable, Restriction, Traffic
from tests.geo.worlds import LAT0, LON0, STEP_DEG, grid, line_of_nodes


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), hour=st.integers(0, 23))
def test_conditions_change_nearest_route_and_coverage_alike(seed: int, hour: int) -> None:
    """Under random closures, slow streets and an hour, the three searches still agree on every time."""
    rng = np.random.default_rng(seed)
    graph = grid(seed=seed, one_way_share=0.2)
    fleet = graph.fleet()
    origin = int(rng.integers(graph.n_nodes))
    fleet.place_at_node("U", origin)
    coverage = Coverage.of_fleet(fleet)
    traffic = Traffic(graph)
    traffic.set_hour(hour)
    traffic.restrict(Restriction("flood", tuple(rng.integers(0, graph.n_arcs, 8).tolist()), reason="banjir"))
    traffic.restrict(Restriction("market", tuple(rng.integers(0, graph.n_arcs, 8).tolist()), 4.0))
    coverage.refresh()
    for node in range(graph.n_nodes):
        found = fleet.nearest_to_node(node, 1)
        path = graph.path_nodes(origin, node)
        assert bool(found) == (path is not None) == bool(np.isfinite(coverage.time_s[node]))
        if path is not None:
            assert found[0][1] == pytest.approx(path.at_s[-1], abs=0.01)
            assert coverage.time_s[node] == pytest.approx(found[0][1])


def test_a_closure_sends_everything_the_long_way_and_lifting_restores() -> None:
    """Closing a bridge makes the far side unreachable for nearest and route together; opening undoes both."""
    graph = line_of_nodes()
    fleet = graph.fleet()
    fleet.place_at_node("U", 0)
    traffic = Traffic(graph)
    end = (LON0 + 3 * STEP_DEG, LAT0)
    assert fleet.nearest(*end) == [("U", 60.0)]
    bridge = traffic.arcs_within(LON0 + 1.5 * STEP_DEG, LAT0, 5.0)
    assert len(bridge) == 2, "both directions"
    traffic.restrict(Restriction("bridge", tuple(bridge.tolist())))
    assert fleet.nearest(*end) == []
    assert graph.path_nodes(0, 3) is None
    assert graph.eta_s(LON0, LAT0, *end) is None
    traffic.lift("bridge")
    traffic.lift("bridge")
    assert fleet.nearest(*end) == [("U", 60.0)]
    assert graph.path_nodes(0, 3) is not None


def test_a_restriction_may_bind_only_some_modes_and_hours() -> None:
    """A market street closed to regular traffic from 4 to 8 leaves lights and the afternoon alone."""
    graph = line_of_nodes((10.0,))
    traffic = Traffic(graph, HourTable(1, {}))
    traffic.restrict(Restriction("market", (0, 1), modes=frozenset({REGULAR}), hours=(4, 8)))
    traffic.set_hour(5)
    assert graph.node_eta_s(0, 1, REGULAR) is None
    assert graph.node_eta_s(0, 1, LIGHTS) == 10.0
    traffic.set_hour(8)
    assert graph.node_eta_s(0, 1, REGULAR) == 20.0


def test_hours_may_wrap_midnight_and_an_unknown_hour_is_the_safe_side() -> None:
    """22 to 4 holds at 23 and 3, not at 12; without a clock the restriction holds."""
    night = Restriction("works", (0,), hours=(22, 4))
    assert [night.holds_at(h) for h in (21, 22, 23, 3, 4, 12)] == [False, True, True, True, False, False]
    assert night.holds_at(None)


def test_rush_hour_slows_regular_traffic_more_than_lights() -> None:
    """The evening peak multiplies regular times by the profile and lights by half of the excess."""
    graph = line_of_nodes((10.0,))
    traffic = Traffic(graph)
    traffic.set_hour(17)
    peak = PRIOR_HOURS[17]
    assert graph.node_eta_s(0, 1, REGULAR) == pytest.approx(20.0 * peak)
    assert graph.node_eta_s(0, 1, LIGHTS) == pytest.approx(10.0 * (1.0 + (peak - 1.0) / 2.0))
    traffic.set_hour(None)
    assert graph.node_eta_s(0, 1, LIGHTS) == 10.0


def test_the_prior_profile_averages_to_the_day() -> None:
    """The 24 factors average to 1 within 3 %, so that "no hour known" and "some hour" speak of the same city; the night is
    free flow under the published congestion of 43.7 %."""
    assert np.mean(PRIOR_HOURS) == pytest.approx(1.0, abs=0.03)
    assert min(PRIOR_HOURS) == pytest.approx(1.0 / 1.437, abs=0.01)


@pytest.mark.parametrize(
    ("restriction", "code"),
    [
        (Restriction("x", ()), "no_road_there"),
        (Restriction("x", (999_999,)), "no_road_there"),
        (Restriction("x", (0,), factor=0.0), "bad_factor"),
        (Restriction("x", (0,), factor=1e6), "bad_factor"),
        (Restriction("x", (0,), modes=frozenset({"boat"})), "unknown_mode"),
    ],
)
def test_unusable_restrictions_are_refused_and_change_nothing(restriction: Restriction, code: str) -> None:
    """A closure that touches no road, or a typing error in a factor, is named and not applied."""
    graph = line_of_nodes()
    traffic = Traffic(graph)
    before = graph.live.version
    with pytest.raises(Rejected) as refusal:
        traffic.restrict(restriction)
    assert refusal.value.code == code
    assert graph.live.version == before
    assert traffic.restrictions == ()


def test_arcs_are_found_by_radius_polygon_and_street_name() -> None:
    """Three ways to say where it floods; a name picks out its own street among those within reach."""
    graph = grid(seed=11)
    traffic = Traffic(graph)
    near = traffic.arcs_within(LON0, LAT0, 10.0)
    assert set(near.tolist()) == {a for a in range(graph.n_arcs) if 0 in (graph.arc_from[a], graph.arc_to[a])}
    box = [
        (LON0 - 0.001, LAT0 - 0.001),
        (LON0 + 0.001, LAT0 - 0.001),
        (LON0 + 0.001, LAT0 + 0.001),
        (LON0 - 0.001, LAT0 + 0.001),
    ]
    assert traffic.arcs_in_polygon(box).tolist() == near.tolist()
    named = traffic.arcs_of_street("jl. mawar", LON0, LAT0, 5000.0)
    assert {graph.names[graph.arc_name[a]] for a in named.tolist()} == {"Jl. Mawar"}
    with pytest.raises(Rejected, match="bad_polygon"):
        traffic.arcs_in_polygon(box[:2])


def test_replacing_the_whole_state_equals_building_it_up() -> None:
    """A restart that restores all restrictions at once gives the same times as having lived through them."""
    a, b = grid(seed=12), grid(seed=12)
    one, two = Traffic(a), Traffic(b)
    closures = [Restriction("r1", (0, 3)), Restriction("r2", (3, 5), 2.0)]
    one.set_hour(7)
    for r in closures:
        one.restrict(r)
    two.replace(closures, 7)
    for mode in a.modes:
        assert np.array_equal(a.live.forward[mode], b.live.forward[mode])


def times(graph: RoadGraph) -> list[float | None]:
    """One question of each kind: nearest unit, look-up, route, sweep."""
    fleet = graph.fleet()
    fleet.place("A1", *where(graph, 3))
    nearest = fleet.nearest(*where(graph, 27), 1, LIGHTS)
    path = graph.path_nodes(3, 27, LIGHTS)
    return [
        nearest[0][1] if nearest else None,
        graph.node_eta_s(3, 27, LIGHTS),
        None if path is None else float(path.at_s[-1]),
        float(graph.times_to(27, LIGHTS)[3]),
    ]


def where(graph: RoadGraph, node: int) -> tuple[float, float]:
    return float(graph.node_lon[node]), float(graph.node_lat[node])


def test_an_hour_prepared_ahead_answers_as_one_that_was_not() -> None:
    """Every search, to the last bit; and a restriction that comes in between is not overlooked."""
    ahead, late = grid(6, 5, seed=4), grid(6, 5, seed=4)
    one, two = Traffic(ahead), Traffic(late)
    one.prepare(17)
    assert times(ahead) == times(late), "preparing must change nothing yet"
    one.set_hour(17)
    two.set_hour(17)
    assert times(ahead) == times(late)
    one.prepare(3)
    for traffic in (one, two):
        traffic.restrict(Restriction("banjir", tuple(range(8)), 9.0))
        traffic.set_hour(3)
    assert times(ahead) == times(late)


def test_a_twin_is_asked_about_other_conditions_without_touching_the_roads_in_force() -> None:
    """A closure here is none there, and the other way round."""
    graph = grid(6, 5, seed=4)
    free = times(graph)
    traffic = Traffic(graph)
    traffic.restrict(Restriction("banjir", tuple(range(0, graph.n_arcs, 2)), 7.0))
    slow = times(graph)
    twin = graph.twin()
    assert times(twin) == free
    Traffic(twin).restrict(Restriction("pasar", tuple(range(graph.n_arcs))))
    assert times(twin) == [None, None, None, math.inf]
    assert times(graph) == slow
    assert slow != free
