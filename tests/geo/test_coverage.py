"""Coverage: equal to searching from each unit alone, also after any sequence of moves; shares, gains, outlines."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import shape

from geo.coverage import Coverage, Demand, Reach
from geo.isochrones import isochrones
from geo.roads import RoadGraph
from geo.router import LIGHTS, REGULAR, Rejected
from geo.traffic import Restriction, Traffic
from tests.geo.worlds import LAT0, LON0, STEP_DEG, city, grid, line_of_nodes


def per_unit_search(
    graph: RoadGraph, places: dict[str, tuple[float, float]], mode: str
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The definition: for each node the smallest of the units' own one-to-all searches."""
    best = np.full(graph.n_nodes, np.inf)
    for lon, lat in places.values():
        joined = graph.attach(lon, lat)
        best = np.minimum(best, graph.times_from(joined.node, mode) + joined.offroad_m * graph.offroad_s_per_m(mode))
    return best


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), mode=st.sampled_from([LIGHTS, REGULAR]))
def test_coverage_equals_per_unit_search_after_every_move(seed: int, mode: str) -> None:
    """Units come, move, leave, roads close; after each the repaired field is the field of separate searches."""
    rng = np.random.default_rng(seed)
    graph = grid(8, 7, seed=seed, drop_share=0.15, one_way_share=0.3, access_share=0.7, whole_seconds=bool(seed % 2))
    traffic = Traffic(graph)
    coverage = Coverage(graph, mode)
    places: dict[str, tuple[float, float]] = {}
    for step in range(18):
        unit_id = f"U{rng.integers(6)}"
        if step == 9:
            traffic.restrict(Restriction("flood", tuple(rng.integers(0, graph.n_arcs, 10).tolist())))
            coverage.refresh()
        elif rng.random() < 0.25:
            coverage.remove(unit_id)
            places.pop(unit_id, None)
        else:
            places[unit_id] = (LON0 + rng.uniform(-0.001, 0.016), LAT0 + rng.uniform(-0.001, 0.014))
            coverage.place(unit_id, *places[unit_id])
        assert np.allclose(coverage.time_s, per_unit_search(graph, places, mode))


def test_the_owner_is_a_unit_that_is_that_fast() -> None:
    """Whoever owns a node reaches it in the stated time."""
    graph = grid(8, 7, seed=3)
    coverage = Coverage(graph)
    at = {"A": 0, "B": 30, "C": 55}
    for unit_id, node in at.items():
        coverage.place_at(unit_id, [(node, 0.0)])
    coverage.remove("B")
    for node in range(graph.n_nodes):
        owner = coverage.owner_of(node)
        assert owner in ("A", "C")
        assert graph.node_eta_s(at[owner], node) == pytest.approx(coverage.time_s[node])


def test_coverage_of_a_fleet_knows_units_on_arcs() -> None:
    """A unit halfway along an arc covers both ends at its own times."""
    graph = line_of_nodes((40.0, 40.0))
    fleet = graph.fleet()
    arc = next(a for a in range(graph.n_arcs) if graph.arc_from[a] == 0)
    fleet.place_on_arc("U", arc, 0.25, turn_back=True)
    assert Coverage.of_fleet(fleet).time_s.tolist() == [10.0, 30.0, 70.0]


def test_no_units_cover_nothing() -> None:
    """An empty shift: every node unreachable, share zero."""
    graph = grid(seed=1)
    coverage = Coverage.of_fleet(graph.fleet())
    demand = Demand.from_points(graph, [LON0], [LAT0], [5.0])
    assert np.isinf(coverage.time_s).all()
    assert coverage.share_within(demand, 1e9) == 0.0
    assert coverage.owner_of(0) is None


def test_stale_coverage_repairs_itself_after_conditions_change() -> None:
    """A move after a closure recomputes with the new times; nothing of the old ones stays."""
    graph = line_of_nodes()
    coverage = Coverage(graph)
    coverage.place_at("U", [(0, 0.0)])
    traffic = Traffic(graph)
    traffic.restrict(Restriction("bridge", tuple(traffic.arcs_within(LON0 + 1.5 * STEP_DEG, LAT0, 5.0).tolist())))
    coverage.place_at("V", [(1, 0.0)])
    assert np.isinf(coverage.time_s[2:]).all()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_marginal_gain_is_what_adding_the_unit_really_adds(seed: int) -> None:
    """For every candidate: share with the unit minus share without it, times the total."""
    rng = np.random.default_rng(seed)
    graph = grid(8, 7, seed=seed, one_way_share=0.2)
    lon, lat = LON0 + rng.uniform(0, 0.014, 40), LAT0 + rng.uniform(0, 0.012, 40)
    demand = Demand.from_points(graph, lon, lat, rng.uniform(0.0, 3.0, 40))
    candidates = [(LON0 + x, LAT0 + y) for x, y in rng.uniform(0, 0.012, (6, 2))]
    reach = Reach(graph, demand, candidates, 90.0)
    coverage = Coverage(graph)
    coverage.place("U", LON0, LAT0)
    before = coverage.share_within(demand, 90.0)
    gains = reach.marginal_gain(coverage.demand_times_s(demand) <= 90.0)
    for gain, (x, y) in zip(gains.tolist(), candidates, strict=True):
        coverage.place("new", x, y)
        assert gain == pytest.approx((coverage.share_within(demand, 90.0) - before) * demand.total, abs=1e-9)
        coverage.remove("new")


def test_counts_tell_double_coverage() -> None:
    """Two units at one post and one at another: a point both reach is covered three times."""
    graph = line_of_nodes()
    demand = Demand.from_points(graph, graph.node_lon, graph.node_lat, np.ones(4))
    reach = Reach(graph, demand, [(LON0, LAT0), (LON0 + STEP_DEG, LAT0)], 25.0)
    assert reach.points_of(0).tolist() == [0, 1]
    assert reach.counts([2, 1]).tolist() == [3, 3, 1, 0]


@pytest.mark.parametrize("weight", [[], [-1.0], [0.0], [np.nan]])
def test_demand_without_weight_is_refused(weight: list[float]) -> None:
    """An empty or negative population is a mistake, not a division by zero."""
    graph = grid(seed=1)
    with pytest.raises(Rejected, match="empty_demand"):
        Demand.from_points(graph, [LON0] * len(weight), [LAT0] * len(weight), weight)


def test_isochrones_nest_and_hold_exactly_what_is_reached() -> None:
    """Each level holds the smaller ones, nodes reached lie inside, nodes far beyond lie outside."""
    graph = grid(25, 25, seed=2)
    time_s = graph.times_from(0)
    collection = isochrones(graph, time_s, [300.0, 120.0])
    inner, outer = (shape(f["geometry"]) for f in collection["features"])
    assert [f["properties"]["within_s"] for f in collection["features"]] == [120.0, 300.0]
    assert inner.is_valid
    assert outer.is_valid
    assert outer.buffer(0.001).contains(inner)
    points = shapely.points(graph.node_lon, graph.node_lat)
    reached = time_s <= 300.0
    assert shapely.covers(outer.buffer(0.0007), points[reached]).all(), "within the outline's simplification of 60 m"
    too_far = np.array(
        [np.hypot(graph.x[reached] - x, graph.y[reached] - y).min() for x, y in zip(graph.x, graph.y, strict=True)]
    )
    assert not shapely.covers(outer, points[too_far > 500.0]).any()


def test_isochrones_of_nothing_are_empty_and_levels_are_checked() -> None:
    """No unit: empty areas; nonsense levels: refusals."""
    graph = grid(seed=2)
    nothing = isochrones(graph, np.full(graph.n_nodes, np.inf), [60.0])
    assert nothing["features"][0]["geometry"]["coordinates"] == []
    for levels in ([], [0.0], [-1.0], [np.inf], list(range(1, 30))):
        with pytest.raises(Rejected, match="bad_levels"):
            isochrones(graph, np.zeros(graph.n_nodes), levels)


def test_the_citys_stated_reach_comes_out() -> None:
    """Auckland's README: 86.1 % of demand is reachable from some station within 480 s less the 50 s dispatch delay."""
    from tests.geo.worlds import data_path

    graph = city("auckland")
    stations = np.genfromtxt(data_path("cities", "auckland", "stations.csv"), delimiter=",", names=True)
    cells = np.genfromtxt(data_path("cities", "auckland", "demand_500m.csv"), delimiter=",", names=True)
    coverage = Coverage(graph)
    for row in stations:
        coverage.place(f"S{int(row['station'])}", float(row["lon"]), float(row["lat"]))
    demand = Demand.from_points(graph, cells["lon"], cells["lat"], cells["share"])
    assert coverage.share_within(demand, 480.0 - 50.0) == pytest.approx(0.861, abs=0.02)
