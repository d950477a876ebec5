"""Four real networks, three loaders, one question: are lengths, speeds and crossings distributed as in a town?"""

from __future__ import annotations

import numpy as np
import pytest

from geo.osm import load_osm
from geo.roads import RoadGraph
from geo.router import REGULAR
from tests.geo.test_cities import edge_list, largest_strong_share
from tests.geo.test_osm import EXTRACTS
from tests.geo.worlds import city

LENGTHS_M = (0.0, 10.0, 50.0, 151.0, np.inf)
SPEEDS_KMH = (0.0, 10.0, 20.0, 40.0, 70.0, 110.0, np.inf)
Range = tuple[float, float]


def network(name: str) -> RoadGraph:
    if name == "helsinki":
        return load_osm(EXTRACTS / "Helsinki.osm.pbf")
    return edge_list("road_graph") if name == "surabaya" else city(name)


@pytest.mark.parametrize(
    ("name", "lengths", "speeds"),
    [
        # The centre of Helsinki is drawn to the metre, with tram islands and ramps; nothing in it is faster than 40 km/h.
        ("helsinki", ((0.15, 0.35), (0.45, 0.7), (0.1, 0.3), (0, 0)), ((0, 0.1), (0.5, 0.85), (0.15, 0.45), (0, 0), (0, 0), (0, 0))),
        # The city models: one speed for streets and one for main roads; a few arcs are longer than ours ever are.
        ("auckland", ((0.1, 0.3), (0.35, 0.55), (0.25, 0.45), (0, 0.01)), ((0, 0), (0, 0), (0.8, 0.95), (0.05, 0.2), (0, 0), (0, 0))),
        ("edmonton", ((0.05, 0.2), (0.4, 0.6), (0.3, 0.5), (0, 0.02)), ((0, 0.001), (0, 0.001), (0.7, 0.85), (0, 0.05), (0.1, 0.25), (0, 0.001))),
        # Surabaya by day: lanes below 20 km/h, main roads above, toll roads above 30.
        ("surabaya", ((0.03, 0.15), (0.3, 0.55), (0.35, 0.6), (0, 0)), ((0, 0.01), (0.85, 0.97), (0.03, 0.12), (0, 0.02), (0, 0), (0, 0))),
    ],
)  # fmt: skip
def test_lengths_speeds_and_crossings_are_distributed_as_in_a_town(
    name: str, lengths: tuple[Range, ...], speeds: tuple[Range, ...]
) -> None:
    """Share of arcs by length, of kilometres by speed; one connected part; most nodes lead on to one or two others, few to
    more than four."""
    graph = network(name)
    assert largest_strong_share(graph) == 1.0
    by_length = np.histogram(graph.arc_length_m, LENGTHS_M)[0] / graph.n_arcs
    kmh = graph.arc_length_m / graph.base_s[REGULAR] * 3.6
    by_speed = np.histogram(kmh, SPEEDS_KMH, weights=graph.arc_length_m)[0] / graph.arc_length_m.sum()
    for found, wanted in ((by_length, lengths), (by_speed, speeds)):
        assert all(low <= share <= high for share, (low, high) in zip(found, wanted, strict=True)), found.round(3)
    ways_on = np.bincount(np.diff(graph.first_out), minlength=6) / graph.n_nodes
    assert ways_on[0] == 0.0, "a dead end without a way back"
    assert ways_on[1] + ways_on[2] > 0.5
    assert ways_on[5:].sum() < 0.01
