"""Learning from traces: matching finds the road driven, bad fixes teach nothing, a little data moves little."""

from __future__ import annotations

import math

import numpy as np
import pytest

from geo.roads import RoadGraph
from geo.router import LIGHTS, REGULAR
from geo.traces import Fix, Matcher, SpeedLearner, clean
from geo.traffic import HourTable, Traffic
from tests.geo.worlds import LAT0, LON0, STEP_DEG, grid


def drive(
    graph: RoadGraph,
    origin: int,
    destination: int,
    slower: float = 1.0,
    noise_m: float = 5.0,
    every_s: float = 5.0,
    seed: int = 0,
) -> tuple[list[Fix], list[int]]:
    """Fixes of a unit on the fastest way, `slower` times its prior seconds, and the arcs it takes."""
    path = graph.path_nodes(origin, destination, LIGHTS)
    assert path is not None
    rng = np.random.default_rng(seed)
    at_s = path.at_s * slower
    times = np.arange(0.0, at_s[-1], every_s)
    x = np.interp(times, at_s, graph.x[path.nodes]) + rng.normal(0, noise_m, len(times))
    y = np.interp(times, at_s, graph.y[path.nodes]) + rng.normal(0, noise_m, len(times))
    fixes = [
        Fix(float(t), float(px / graph.x_m_per_deg + graph.lon0), float(py / graph.y_m_per_deg + graph.lat0))
        for t, px, py in zip(times, x, y, strict=True)
    ]
    return fixes, path.arcs.tolist()


def test_matching_finds_the_road_that_was_driven() -> None:
    """On noisy fixes every 5 s, nearly all driven arcs are found and next to none invented."""
    graph = grid(10, 10, seed=5)
    matcher = Matcher(Traffic(graph))
    hits = misses = invented = 0
    rng = np.random.default_rng(1)
    for seed in range(12):
        origin, destination = rng.integers(0, graph.n_nodes, 2).tolist()
        if origin == destination:
            continue
        fixes, driven = drive(graph, origin, destination, seed=seed)
        [trip] = clean(graph, fixes)
        found = {int(a) for step in matcher.match(trip) for a, s in zip(step.arcs, step.shares, strict=True) if s > 0.2}
        hits += len(found & set(driven))
        misses += len(set(driven) - found)
        invented += len(found - set(driven))
    assert hits / (hits + misses) > 0.9
    assert invented / (hits + invented) < 0.1


def test_stale_jumping_vague_and_silent_fixes_are_left_out() -> None:
    """Late, repeated, teleporting and inaccurate fixes vanish; a long silence cuts the trip in two."""
    graph = grid(10, 10, seed=5)
    step = STEP_DEG / 10.0
    good = [Fix(float(t), LON0 + step * t / 5.0, LAT0) for t in range(0, 60, 5)]
    bad = [
        *good[:6],
        Fix(10.0, LON0 + STEP_DEG, LAT0),  # delivered late
        Fix(26.0, LON0 + 9 * STEP_DEG, LAT0),  # 2 km in a second
        Fix(27.0, LON0 + 5.2 * step, LAT0, accuracy_m=300.0),
        Fix(28.0, math.nan, LAT0),
        *good[6:],
    ]
    assert clean(graph, bad) == clean(graph, good)
    later = [Fix(f.at_s + 500.0, f.lon, f.lat) for f in good]
    assert len(clean(graph, [*good, *later])) == 2
    assert clean(graph, []) == []


def test_many_trips_teach_the_factor_and_few_do_not() -> None:
    """Trips at 1.5 times the prior: an hour of driving goes halfway, many hours arrive at 1.5, other hours stay."""
    graph = grid(10, 10, seed=6)
    traffic = Traffic(graph, HourTable(len(graph.classes), {}))
    learner = SpeedLearner(traffic)
    prior = HourTable.prior(graph).factors[LIGHTS]
    rng = np.random.default_rng(3)
    few = None
    for seed in range(60):
        a, b = rng.integers(0, graph.n_nodes, 2).tolist()
        if a != b:
            fixes, _ = drive(graph, a, b, slower=1.5, noise_m=3.0, seed=seed)
            learner.learn(fixes, LIGHTS, 3)
        if seed == 2:
            few = learner.learned.table(graph).factors[LIGHTS][3].copy()
    assert few is not None
    learned = learner.learned.table(graph).factors[LIGHTS]
    sums = learner.learned
    ratio = [sums.observed_s[LIGHTS][c][3] / sums.expected_s[LIGHTS][c][3] for c in graph.classes]
    assert ratio == pytest.approx([1.5] * len(graph.classes), rel=0.1)
    assert np.all(np.abs(few - prior[3]) < 0.15)
    assert np.all(learned[3] > few)
    assert np.allclose(learned[4], prior[4])
    assert np.allclose(learner.learned.table(graph).factors[REGULAR], HourTable.prior(graph).factors[REGULAR])


def test_learned_speeds_reach_the_searches() -> None:
    """Putting the learned table in force changes eta_s at that hour."""
    graph = grid(10, 10, seed=6)
    traffic = Traffic(graph)
    learner = SpeedLearner(traffic)
    traffic.set_hour(3)
    before = graph.node_eta_s(0, 99, LIGHTS)
    for seed in range(10):
        learner.learn(drive(graph, 0, 99, slower=2.0, seed=seed)[0], LIGHTS, 3)
    traffic.set_table(learner.learned.table(graph))
    after = graph.node_eta_s(0, 99, LIGHTS)
    assert before is not None
    assert after is not None
    assert after > before * 1.05


def test_a_trace_far_from_any_road_teaches_nothing() -> None:
    """A boat's or a broken receiver's trace matches nothing and is no error."""
    graph = grid(10, 10, seed=6)
    learner = SpeedLearner(Traffic(graph))
    fixes = [Fix(float(t), LON0 + t * 2e-5, LAT0 - 0.01) for t in range(0, 300, 5)]
    assert learner.learn(fixes, LIGHTS, 3) == 0
