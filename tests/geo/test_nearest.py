"""Nearest units by road: the bounded search must equal the exhaustive one, whatever the network looks like."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra

from geo.nearest import RoadFleet, exhaustive_nearest
from geo.roads import RoadGraph
from geo.router import LIGHTS, REGULAR, Rejected
from geo.traffic import CLOSED, Restriction, Traffic
from tests.geo.worlds import LAT0, LON0, STEP_DEG, city, grid, line_of_nodes


def scatter(fleet: RoadFleet, count: int, rng: np.random.Generator) -> None:
    """Place units everywhere a unit can be: off the road, on nodes, on arcs."""
    graph = fleet.graph
    for i in range(count):
        kind = rng.integers(0, 4)
        if kind == 0:
            fleet.place_at_node(f"U{i}", int(rng.integers(graph.n_nodes)))
        elif kind == 1:
            arc = int(rng.integers(graph.n_arcs))
            fleet.place_on_arc(f"U{i}", arc, float(rng.random()), turn_back=bool(rng.integers(2)))
        else:
            fleet.place(f"U{i}", LON0 + rng.uniform(-0.002, 0.014), LAT0 + rng.uniform(-0.002, 0.012))


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    units=st.integers(0, 40),
    k=st.one_of(st.none(), st.integers(1, 12)),
    drop_share=st.sampled_from([0.0, 0.15, 0.4]),
    one_way_share=st.sampled_from([0.0, 0.3]),
    access_share=st.sampled_from([1.0, 0.5]),
    whole_seconds=st.booleans(),
)
def test_bounded_search_equals_exhaustive_search(
    seed: int,
    units: int,
    k: int | None,
    drop_share: float,
    one_way_share: float,
    access_share: float,
    whole_seconds: bool,
) -> None:
    """Same units, same times, same order: one-way streets, gaps, off-road legs, filters, closures and ties included."""
    rng = np.random.default_rng(seed)
    graph = grid(
        seed=seed,
        drop_share=drop_share,
        one_way_share=one_way_share,
        access_share=access_share,
        whole_seconds=whole_seconds,
    )
    fleet = graph.fleet()
    scatter(fleet, units, rng)
    for i in range(0, units, 5):
        fleet.remove(f"U{i}")
    traffic = Traffic(graph)
    closed = tuple(rng.integers(0, graph.n_arcs, 4).tolist())
    traffic.restrict(Restriction("flood", closed, CLOSED if seed % 2 else 3.0))
    among = frozenset(f"U{i}" for i in range(units) if rng.random() < 0.6) if seed % 3 else None
    for mode in (LIGHTS, REGULAR):
        lon, lat = LON0 + rng.uniform(-0.002, 0.014), LAT0 + rng.uniform(-0.002, 0.012)
        assert fleet.nearest(lon, lat, k, mode, among) == exhaustive_nearest(fleet, lon, lat, k, mode, among)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_times_equal_an_independent_dijkstra_over_the_stated_model(seed: int) -> None:
    """scipy's Dijkstra between access nodes plus straight legs at off-road speed gives the same seconds."""
    graph = grid(seed=seed, drop_share=0.1, one_way_share=0.3, access_share=0.6)
    rng = np.random.default_rng(seed)
    lon, lat = LON0 + rng.uniform(0.0, 0.01, 2), LAT0 + rng.uniform(0.0, 0.008, 2)
    usable = np.flatnonzero(graph.node_access)

    def join(i: int) -> tuple[int, float]:
        metres = np.hypot(
            (graph.node_lon[usable] - lon[i]) * graph.x_m_per_deg, (graph.node_lat[usable] - lat[i]) * graph.y_m_per_deg
        )
        return int(usable[metres.argmin()]), float(metres.min())

    (a, leg_a), (b, leg_b) = join(0), join(1)
    matrix = coo_matrix((graph.base_s[LIGHTS], (graph.arc_from, graph.arc_to)), shape=(graph.n_nodes,) * 2).tocsr()
    between = float(dijkstra(matrix, indices=a)[b])
    fleet = graph.fleet()
    fleet.place("U", lon[0], lat[0])
    expected = between + (leg_a + leg_b) / (47.0 / 3.6)
    found = fleet.nearest(lon[1], lat[1])
    eta_s = graph.eta_s(lon[0], lat[0], lon[1], lat[1])
    if math.isinf(between):
        assert found == []
        assert eta_s is None
    else:
        assert found == [("U", pytest.approx(expected))]
        assert eta_s == pytest.approx(found[0][1], abs=0.002), (
            "one model; the route search counts tenths of milliseconds"
        )


def test_one_way_streets_are_searched_against_their_direction() -> None:
    """A unit downstream of a one-way road cannot reach an incident upstream; the one upstream can."""
    graph = line_of_nodes((10.0, 20.0, 30.0), back=())
    fleet = graph.fleet()
    fleet.place_at_node("upstream", 0)
    fleet.place_at_node("downstream", 3)
    assert fleet.nearest(LON0 + 2 * STEP_DEG, LAT0) == [("upstream", 30.0)]


def test_unit_on_an_arc_goes_on_or_turns_back_whichever_is_faster() -> None:
    """Three quarters along a 40 s arc: 10 s on to its end, 30 s back to its start; one-way units only go on."""
    graph = line_of_nodes((40.0, 40.0))
    arc = next(a for a in range(graph.n_arcs) if graph.arc_from[a] == 0)
    fleet = graph.fleet()
    fleet.place_on_arc("free", arc, 0.75, turn_back=True)
    fleet.place_on_arc("bound", arc, 0.75)
    assert fleet.nearest(LON0 + STEP_DEG, LAT0) == [("bound", 10.0), ("free", 10.0)]
    assert fleet.nearest(LON0, LAT0) == [("free", 30.0), ("bound", 50.0)]


def test_a_closed_arc_holds_the_unit_on_it_and_a_finished_one_does_not() -> None:
    """A unit in the middle of a closed arc is stuck; one that has driven all of it is not."""
    graph = line_of_nodes((40.0, 40.0), back=())
    arc = next(a for a in range(graph.n_arcs) if graph.arc_from[a] == 0)
    fleet = graph.fleet()
    fleet.place_on_arc("inside", arc, 0.5)
    fleet.place_on_arc("through", arc, 1.0)
    Traffic(graph).restrict(Restriction("gate", (arc,)))
    assert fleet.nearest(LON0 + STEP_DEG, LAT0) == [("through", 0.0)]


def test_moving_a_unit_leaves_no_ghost_behind() -> None:
    """After many moves of every kind each unit is found exactly once."""
    graph = grid(seed=4)
    fleet = graph.fleet()
    rng = np.random.default_rng(9)
    for _ in range(20):
        scatter(fleet, 25, rng)
    found = fleet.nearest(LON0, LAT0, None)
    assert len(found) == len({u for u, _ in found}) == len(fleet) == 25


def test_search_stops_early_when_only_far_units_are_left_out() -> None:
    """With a unit next door, the search settles a handful of nodes and not the network."""
    graph = grid(30, 30, seed=1)
    fleet = graph.fleet()
    for node in range(0, graph.n_nodes, 3):
        fleet.place_at_node(f"U{node}", node)
    fleet.nearest(LON0, LAT0, 1)
    assert fleet.nodes_settled < graph.n_nodes / 50


def test_k_larger_than_the_fleet_gives_every_reachable_unit() -> None:
    """Asking for more than there are is no error."""
    graph = grid(seed=2)
    fleet = graph.fleet()
    fleet.place_at_node("A", 3)
    assert [u for u, _ in fleet.nearest(LON0, LAT0, 50)] == ["A"]
    assert fleet.nearest(LON0, LAT0, 0) == []


@pytest.mark.parametrize(
    ("lon", "lat", "code"),
    [(math.nan, -7.0, "bad_coordinates"), (690_000.0, 9_200_000.0, "bad_coordinates"), (0.0, 0.0, "outside_region")],
)
def test_bad_fixes_are_refused_and_the_unit_stays(lon: float, lat: float, code: str) -> None:
    """A receiver that reports nonsense, metres or null island cannot move or lose a unit."""
    graph = grid(seed=3)
    fleet = graph.fleet()
    fleet.place("A", LON0, LAT0)
    before = fleet.nearest(LON0, LAT0)
    for unit_id in ("A", "new"):
        with pytest.raises(Rejected) as refusal:
            fleet.place(unit_id, lon, lat)
        assert refusal.value.code == code
    assert fleet.nearest(LON0, LAT0) == before
    assert "new" not in fleet
    with pytest.raises(Rejected) as refusal:
        fleet.nearest(lon, lat)
    assert refusal.value.code == code


def test_a_unit_far_off_the_road_is_flagged_by_its_attachment() -> None:
    """A fix 3 km out is placed, with the leg stated so that a screen can say so."""
    graph = grid(seed=5)
    attachment = graph.fleet().place("boat", LON0, LAT0 - 3.0 / 111.32)
    assert attachment.offroad_m == pytest.approx(3000.0, rel=0.01)


@pytest.mark.parametrize("name", ["auckland", "edmonton"])
def test_real_cities_answer_as_the_exhaustive_search(name: str) -> None:
    """500 units, 150 incidents anywhere, both modes: identical units and times on a real network."""
    graph = city(name)
    rng = np.random.default_rng(7)
    fleet = graph.fleet()
    for i, node in enumerate(rng.integers(0, graph.n_nodes, 500).tolist()):
        fleet.place(f"U{i}", graph.node_lon[node] + rng.normal(0, 5e-4), graph.node_lat[node] + rng.normal(0, 5e-4))
    ambulances = frozenset(f"U{i}" for i in range(0, 500, 4))
    for i, node in enumerate(rng.integers(0, graph.n_nodes, 150).tolist()):
        lon, lat = graph.node_lon[node] + rng.normal(0, 1e-3), graph.node_lat[node] + rng.normal(0, 1e-3)
        mode = (LIGHTS, REGULAR)[i % 2]
        among = ambulances if i % 3 else None
        assert fleet.nearest(lon, lat, 8, mode, among) == exhaustive_nearest(fleet, lon, lat, 8, mode, among)


def divided_road() -> RoadGraph:
    """Two carriageways 20 m apart, east on the south one, west on the north one, joined at both ends."""
    n, gap = 6, 20.0 / 111_320.0
    lon = [LON0 + i * 0.001 for i in range(n)] * 2
    lat = [LAT0] * n + [LAT0 + gap] * n
    east = [(i, i + 1) for i in range(n - 1)]
    west = [(n + i + 1, n + i) for i in range(n - 1)]
    joins = [(n - 1, 2 * n - 1), (n, 0)]
    arcs = east + west + joins
    seconds = np.array([10.0] * (2 * n - 2) + [2.0, 2.0])
    return RoadGraph.from_arrays(
        lon, lat, [a for a, _ in arcs], [b for _, b in arcs], np.full(len(arcs), 110.0), {LIGHTS: seconds}
    )  # fmt: skip


def test_a_moving_unit_is_put_on_its_own_carriageway() -> None:
    """A fix between the carriageways: the heading tells that it drives east, so what lies behind it is a long way round."""
    graph = divided_road()
    fleet = graph.fleet()
    fix = (LON0 + 0.0025, LAT0 + 12.0 / 111_320.0)  # nearer to the westbound side
    behind = (LON0 + 0.001, LAT0)
    fleet.place("east", *fix, heading_deg=88.0)
    fleet.place("west", *fix, heading_deg=272.0)
    times = dict(fleet.nearest(*behind))
    assert times["west"] == pytest.approx(25.0 + 2.0 + 10.0)
    assert times["east"] == pytest.approx(25.0 + 2.0 + 50.0 + 2.0 + 10.0)
    assert fleet.nearest(*behind) == exhaustive_nearest(fleet, *behind, None)


def test_a_heading_that_fits_no_street_falls_back_to_the_nearest_node() -> None:
    """Driving north where streets run east and west, or far from any street: as without heading."""
    graph = divided_road()
    fleet = graph.fleet()
    for lon, lat in ((LON0 + 0.0025, LAT0), (LON0 + 0.0025, LAT0 - 0.002)):
        with_heading = fleet.place("U", lon, lat, heading_deg=0.0)
        found = fleet.nearest(LON0, LAT0)
        assert with_heading == fleet.place("U", lon, lat)
        assert fleet.nearest(LON0, LAT0) == found


def test_the_arc_under_a_moving_unit_is_the_likeliest_of_all() -> None:
    """The arc grid finds what a search over every arc finds."""
    graph = grid(9, 8, seed=14, one_way_share=0.4)
    rng = np.random.default_rng(2)
    fleet = graph.fleet()
    x1, y1 = graph.x[graph.arc_from], graph.y[graph.arc_from]
    dx, dy = graph.x[graph.arc_to] - x1, graph.y[graph.arc_to] - y1
    for _ in range(300):
        px, py = rng.uniform(-30.0, graph.x.max() + 30.0), rng.uniform(-30.0, graph.y.max() + 30.0)
        heading = rng.uniform(0.0, 360.0)
        share = np.clip(((px - x1) * dx + (py - y1) * dy) / (dx**2 + dy**2), 0.0, 1.0)
        off_m = np.hypot(px - x1 - share * dx, py - y1 - share * dy)
        turn = np.abs((np.degrees(np.arctan2(dx, dy)) - heading + 180.0) % 360.0 - 180.0)
        cost = np.where((turn <= 60.0) & (off_m <= 40.0), (off_m / 8.0) ** 2 + (turn / 20.0) ** 2, np.inf)
        arc, driven = fleet._arc_under(px, py, heading)
        if np.isinf(cost.min()):
            assert arc == -1
        else:
            assert cost[arc] == pytest.approx(cost.min())
            assert driven == pytest.approx(share[arc])
