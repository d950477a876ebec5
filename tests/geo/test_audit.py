"""Places that the network does not serve are named; incidents no road reaches still get an honest answer."""

from __future__ import annotations

import math

import numpy as np
import pytest

from geo.audit import audit, main_part
from geo.traffic import Restriction, Traffic
from tests.geo.test_roads import two_islands
from tests.geo.worlds import LAT0, LON0, STEP_DEG, grid, line_of_nodes


def test_each_kind_of_misplaced_post_is_named() -> None:
    """Fine, in the river, on another continent, in metres, cut off by a flood: each with its code."""
    graph = grid(seed=1)
    traffic = Traffic(graph)
    corner = traffic.arcs_within(LON0, LAT0, 5.0)
    traffic.restrict(Restriction("flood", tuple(corner.tolist())))
    places = [
        ("baik", LON0 + STEP_DEG, LAT0 + STEP_DEG),
        ("sungai", LON0 + 2 * STEP_DEG, LAT0 - 0.01),
        ("benua lain", 0.0, 51.5),
        ("meter", 690_000.0, 9_200_000.0),
        ("terputus", LON0, LAT0),
        ("tanpa posisi", math.nan, LAT0),
    ]
    assert [(f.name, f.code) for f in audit(graph, places)] == [
        ("sungai", "far_from_road"), ("benua lain", "outside_region"), ("meter", "bad_coordinates"),
        ("terputus", "cut_off"), ("tanpa posisi", "bad_coordinates"),
    ]  # fmt: skip


def test_the_main_part_is_the_largest_two_way_reachable_one() -> None:
    """A one-way street without return leaves a part of one node; two islands count apart."""
    assert main_part(line_of_nodes((10.0, 20.0), back=())).sum() == 1
    assert main_part(line_of_nodes((10.0, 20.0))).all()
    assert main_part(two_islands()).sum() == 2


def test_an_incident_on_an_island_is_answered_by_straight_line_and_says_so() -> None:
    """No unit gets there by road: nearest is empty, nearest_anyhow ranks the others and calls them straight line."""
    graph = two_islands()
    fleet = graph.fleet()
    fleet.place("far", LON0, LAT0)
    fleet.place("near", LON0 + STEP_DEG, LAT0)
    fleet.place("gone", LON0, LAT0)
    fleet.remove("gone")
    there = (LON0 + 0.05, LAT0)
    assert fleet.nearest(*there) == []
    answers = fleet.nearest_anyhow(*there)
    assert [(u, e.basis) for u, e in answers] == [("near", "straight_line"), ("far", "straight_line")]
    assert answers[0][1].eta_s > 0.0
    fleet.place("local", LON0 + 0.05 + STEP_DEG, LAT0)
    assert [(u, e.basis) for u, e in fleet.nearest_anyhow(*there, k=2)] == [
        ("local", "road"),
        ("near", "straight_line"),
    ]
    assert [u for u, _ in fleet.nearest_anyhow(*there, among={"far", "unknown"})] == ["far"]


def test_with_enough_units_by_road_nothing_is_made_up() -> None:
    """Where roads lead, nearest_anyhow is nearest."""
    graph = grid(seed=2)
    fleet = graph.fleet()
    rng = np.random.default_rng(1)
    for i in range(12):
        fleet.place(f"U{i}", LON0 + rng.uniform(0, 0.01), LAT0 + rng.uniform(0, 0.008))
    found = fleet.nearest_anyhow(LON0, LAT0, 5)
    assert [(u, e.eta_s) for u, e in found] == fleet.nearest(LON0, LAT0, 5)
    assert {e.basis for _, e in found} == {"road"}


@pytest.mark.parametrize("mode", ["lights", "regular"])
def test_straight_lines_use_the_networks_own_mean_speed(mode: str) -> None:
    """The fallback is as fast as this city's roads are on average, not as some other city's."""
    graph = grid(seed=3)
    kmh = graph.arc_length_m.sum() / graph.base_s[mode].sum() * 3.6
    assert graph.straight_line.s_per_m(mode) == pytest.approx(3.6 * 1.35 / kmh)
