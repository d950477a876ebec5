"""City models: the reader, the road table, the bound, and the published baseline through the live engine."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

from dispatch.model import Rejected
from dispatch.policies.coverage import DemandPoints
from simulators.bound import bound
from simulators.cityfile import City, read_calls, read_city
from simulators.demand import draw_calls
from simulators.evaluate import Run, compare, half_width, plot
from simulators.net import TravelNet
from simulators.simulate import prepare, simulate, summary, without_posts
from simulators.street import choose_street_posts
from tests.simulators.town import town_calls, town_demand, town_net, town_region

CITIES = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "cities"
needs_cities = pytest.mark.skipif(not CITIES.is_dir(), reason="shared/data/cities is not here")


@pytest.fixture(scope="module")
def edmonton() -> City:
    return read_city(CITIES / "edmonton")


def call_file(name: str) -> Path:
    return next((CITIES / name).glob("calls_test_*.csv"))


def random_net(seed: int, n: int = 60) -> tuple[TravelNet, csr_matrix]:
    """A ring with spurs and one-way short cuts: chains, rings and dead ends, all that contraction must get right."""
    rng = np.random.default_rng(seed)
    arcs: dict[tuple[int, int], float] = {}
    for v in range(n):
        arcs[v, (v + 1) % n] = float(rng.uniform(3, 30))
        if rng.random() < 0.8:
            arcs[(v + 1) % n, v] = float(rng.uniform(3, 30))
    for _ in range(n // 6):
        u, v = rng.integers(0, n, 2).tolist()
        if u != v:
            arcs[u, v] = float(rng.uniform(5, 60))
    tail, head = np.array([a for a, _ in arcs]), np.array([b for _, b in arcs])
    seconds = np.array(list(arcs.values()))
    lon, lat = rng.uniform(0, 0.05, n), rng.uniform(0, 0.05, n)
    net = TravelNet(lon, lat, np.ones(n, np.bool_), tail, head, {"lights": seconds}, {"lights": 20.0})
    return net, csr_matrix((seconds, (tail, head)), shape=(n, n))


@pytest.mark.parametrize("seed", range(12))
def test_the_road_table_is_exact(seed: int) -> None:
    """Contracted chains and the all-pairs table give the times of a plain Dijkstra, one-way streets included."""
    net, matrix = random_net(seed)
    nodes = np.arange(matrix.shape[0])
    expected = dijkstra(matrix)
    np.testing.assert_allclose(net.nodes_s(nodes, nodes, "lights"), expected, rtol=1e-5)


@pytest.mark.parametrize("seed", range(12))
def test_a_vehicle_is_on_its_way_at_every_moment(seed: int) -> None:
    """Time driven + time to the next node + time from there = the whole trip, wherever it is stopped."""
    net, matrix = random_net(seed)
    rng = np.random.default_rng(seed)
    times = dijkstra(matrix)
    for _ in range(200):
        u, v = rng.integers(0, matrix.shape[0], 2).tolist()
        if not math.isfinite(times[u, v]) or u == v:
            continue
        t = float(rng.random() * times[u, v])
        node, lead_s = net.after_s(u, v, t, "lights")
        assert 0.0 <= lead_s <= 60.0
        assert t + lead_s + times[node, v] == pytest.approx(times[u, v], abs=1e-2)


def test_the_bound_is_reached_by_a_fleet_that_is_never_short() -> None:
    """With a unit for every call, exactly the calls that a post reaches in time can be answered."""
    net, region, calls = town_net(), town_region(), town_calls(1, n=60, per_hour=1.0)
    calls.priority[:] = 1
    found = bound(net, region, calls, 420.0)
    assert found.calls > 10
    assert found.reachable <= found.near_strict_max <= found.on_time_max <= found.calls
    assert found.near_strict_max == pytest.approx(found.reachable, abs=2)


def test_the_bound_falls_when_units_are_taken_away() -> None:
    """One unit cannot be in two places: an hour with many calls limits even a seer."""
    net, region, calls = town_net(), town_region(), town_calls(2, n=500, per_hour=12.0)
    calls.priority[:] = 1
    many = bound(net, region, calls, 420.0)
    alone = {"A01": region.units["A01"]}
    one = bound(net, msgspec.structs.replace(region, units=alone), calls, 420.0)
    assert one.on_time_max < many.on_time_max
    assert one.reachable == many.reachable


def test_street_posts_add_coverage_in_the_order_chosen() -> None:
    """Each further point helps, and less than the one before; asking for none gives none."""
    net, region = town_net(), town_region()
    chosen = choose_street_posts(net, region, town_demand(), within_s=150.0, count=4)
    assert [p.code for p in chosen] == ["J01", "J02", "J03", "J04"]
    assert all(p.street and p.capacity == 1 for p in chosen)
    assert len({(p.lon, p.lat) for p in chosen}) == 4
    assert choose_street_posts(net, region, town_demand(), 150.0, 0) == []
    with pytest.raises(ValueError, match="street posts"):
        choose_street_posts(net, region, town_demand(), 150.0, 1000)


def test_a_lost_post_sends_its_units_to_the_nearest_one_left() -> None:
    region = without_posts(town_region(), frozenset({"P1"}))
    assert "P1" not in region.posts
    assert region.units["A01"].home_post in {"P2", "P3"}


def test_a_call_nobody_reached_counts_as_late() -> None:
    """And is left out of the times, which say so."""
    found = summary(np.array([100.0, 500.0, math.nan, 419.0]), 480.0, 480.0)
    assert found["share_within_420"] == 0.5
    assert found["never_reached"] == 1
    assert found["p50_s"] == 419.0


def test_paired_differences_carry_their_interval() -> None:
    """A constant gain has no width; the base compared with itself gains nothing."""
    keys = {"p1_in_time", "p1_420", "p1_mean_s", "p1_p99_s", "p2_on_time", "p3_on_time", "worst_zones"}
    keys |= {"redirects", "moves_from_post", "moves_on_the_way"}
    runs = [Run("a", s, dict.fromkeys(keys, 10.0 * s)) for s in range(5)]
    runs += [Run("b", s, dict.fromkeys(keys, 10.0 * s + 3.0)) for s in range(5)]
    base, better = compare(runs)
    assert base.gain["p1_in_time"] == 0.0
    assert better.gain["p1_in_time"] == pytest.approx(3.0)
    assert better.half_width["p1_in_time"] == pytest.approx(0.0)
    assert half_width(np.array([1.0, 2.0, 3.0])) == pytest.approx(2.4841, abs=1e-3)  # t(0.975, 2) = 4.3027, sd 1


def test_the_plot_is_written_in_the_format_of_its_suffix(tmp_path: Path) -> None:
    keys = {"p1_in_time", "p1_420", "p1_mean_s", "p1_p99_s", "p2_on_time", "p3_on_time", "worst_zones"}
    keys |= {"redirects", "moves_from_post", "moves_on_the_way"}
    found = compare([Run("a", s, dict.fromkeys(keys, 50.0)) for s in range(3)])
    for name, magic in (("x.png", b"\x89PNG"), ("x.svg", b"<?xml")):
        plot(found, {"reachable_from_a_station": 0.8}, "kota", tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(magic)


def test_a_folder_that_is_no_city_is_refused_by_file(tmp_path: Path) -> None:
    with pytest.raises(Rejected) as refused:
        read_city(tmp_path)
    assert refused.value.code == "bad_city"
    assert refused.value.field == "nodes.csv"


@needs_cities
def test_drawn_calls_follow_the_citys_own_statistics(edmonton: City) -> None:
    """Rate, mix, transports and handover of the README, equal for equal seeds."""
    calls = draw_calls(edmonton, seed=4, days=60)
    again = draw_calls(edmonton, seed=4, days=60)
    assert np.array_equal(calls.t_sec, again.t_sec)
    assert np.array_equal(calls.lon, again.lon)
    assert len(calls) == pytest.approx(192 * 60, rel=0.03)
    assert (calls.priority == 1).mean() == pytest.approx(0.75, abs=0.015)
    assert calls.transport.mean() == pytest.approx(0.75, abs=0.015)
    assert calls.handover_s.mean() == pytest.approx(1826.0, rel=0.03)
    assert set(calls.dispatch_delay_s.tolist()) == {40.0}


@needs_cities
def test_station_reach_of_the_fixed_file_is_the_published_one(edmonton: City) -> None:
    """84.5 % of priority-1 calls are within reach of some station (data README); the bound lies above."""
    calls = read_calls(call_file("edmonton"), edmonton)
    shares = bound(edmonton.net, prepare(edmonton).region, calls, 480.0).shares()
    assert 100 * shares["reachable_from_a_station"] == pytest.approx(84.5, abs=0.1)
    assert shares["clairvoyant_near_strict"] >= shares["reachable_from_a_station"]


@needs_cities
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("name", "policy", "published"),
    [
        ("auckland", "closest", 51.6), ("auckland", "closest+redispatch", 58.3),
        ("edmonton", "closest", 67.3), ("edmonton", "closest+redispatch", 68.7),
    ],
)  # fmt: skip
def test_the_live_engine_reproduces_the_reference_run(name: str, policy: str, published: float) -> None:
    """Share of priority 1 within 480 s on the fixed call file, within the reference's own interval of 2 points."""
    found = simulate(CITIES / name, call_file(name), policy)
    assert 100 * found["priority"]["1"]["share_within_deadline"] == pytest.approx(published, abs=2.0)


@needs_cities
def test_demand_points_keep_the_weight_of_the_map(edmonton: City) -> None:
    points = DemandPoints.of(edmonton.demand.lon, edmonton.demand.lat, edmonton.demand.share)
    assert sum(points.weight) == pytest.approx(1.0)
    assert len(points.weight) <= 2500
