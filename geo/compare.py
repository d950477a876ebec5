"""How far one road network's travel times lie from another's: `siaga roads compare`.

Made for the built-in approximate network against a real extract, but any two graphs of the same ground will do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geo.roads import RoadGraph
from geo.router import LIGHTS, Mode, Rejected, straight_line_m

FloatArray = npt.NDArray[np.float64]

TRIPS_MAX = 100_000  # each trip is two searches over a city; more says nothing new
# Trips shorter than this are all access legs and rounding; their ratio says nothing about a network.
TRIP_MIN_M = 300.0
BANDS_M = ((0.0, 2_000.0), (2_000.0, 5_000.0), (5_000.0, 10_000.0), (10_000.0, math.inf))


@dataclass(frozen=True, slots=True)
class Band:
    """Errors of the trips whose straight line lies within [from_m, to_m)."""

    from_m: float
    to_m: float
    trips: int
    median: float
    p90: float
    bias: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Relative travel-time error of graph A against graph B over the same trips.

    `median` and `p90` are of |A - B| / B; `bias` is the median of A / B - 1 (negative: A is too fast).
    """

    trips: int
    unreachable: int  # trips one of the two graphs could not route; left out of the figures, so look at them
    median: float
    p90: float
    bias: float
    bands: tuple[Band, ...]

    def text(self) -> str:
        """The figures for a terminal, one line a band."""
        lines = [
            f"{self.trips:,} trips ({self.unreachable} not routable): error median {self.median:.1%}, "
            f"p90 {self.p90:.1%}, bias {self.bias:+.1%}"
        ]
        for b in self.bands:
            to = "" if math.isinf(b.to_m) else f"{b.to_m / 1000:g}"
            span = f"{b.from_m / 1000:g}-{to} km" if to else f"over {b.from_m / 1000:g} km"
            lines.append(
                f"  {span:>10}: {b.trips:5,} trips, median {b.median:.1%}, p90 {b.p90:.1%}, bias {b.bias:+.1%}"
            )
        return "\n".join(lines)


def compare(
    graph_a: RoadGraph,
    graph_b: RoadGraph,
    trips: int = 2_000,
    seed: int = 1,
    mode: Mode = LIGHTS,
    among: npt.NDArray[np.bool_] | None = None,
) -> Comparison:
    """Errors of `graph_a` against `graph_b`, over trips between random joinable nodes of `graph_b` at least TRIP_MIN_M apart.

    `among` (nodes of graph_b,) narrows the ends of the trips, e.g. to where graph_b is known to be real.
    Raises Rejected("bad_trips"), and Rejected("no_common_ground") when no trip can be driven on both.
    """
    if not 1 <= trips <= TRIPS_MAX:
        raise Rejected("bad_trips", f"{trips} trips: choose 1 to {TRIPS_MAX}")
    graph_a.require_mode(mode)
    graph_b.require_mode(mode)
    ends = _random_trips(graph_b, trips, seed, among)
    times = np.full((trips, 2), np.inf)
    for i, (lon1, lat1, lon2, lat2) in enumerate(ends.tolist()):
        for j, graph in enumerate((graph_a, graph_b)):
            eta_s = graph.eta_s(lon1, lat1, lon2, lat2, mode)
            times[i, j] = math.inf if eta_s is None else eta_s
    routed = np.isfinite(times).all(axis=1) & (times[:, 1] > 0.0)
    if not routed.any():
        raise Rejected("no_common_ground", "no trip can be driven on both networks: do they cover the same ground?")
    ratio = times[routed, 0] / times[routed, 1] - 1.0
    away = np.array([straight_line_m(*e) for e in ends[routed].tolist()])
    bands = []
    for low, high in BANDS_M:
        part = ratio[(away >= low) & (away < high)]
        if len(part):
            bands.append(Band(low, high, len(part), *_figures(part)))
    return Comparison(int(routed.sum()), int((~routed).sum()), *_figures(ratio), tuple(bands))


def _figures(ratio: FloatArray) -> tuple[float, float, float]:
    error = np.abs(ratio)
    return float(np.median(error)), float(np.percentile(error, 90)), float(np.median(ratio))


def by_length(graph: RoadGraph) -> RoadGraph:
    """The same network with a second per metre everywhere: `compare` then measures way lengths, whatever the classes say."""
    return RoadGraph.from_arrays(
        graph.node_lon, graph.node_lat, graph.arc_from, graph.arc_to, graph.arc_length_m, {LIGHTS: graph.arc_length_m},
        offroad_access=graph.node_access, offroad_kmh={LIGHTS: 3.6}, m_per_deg=(graph.x_m_per_deg, graph.y_m_per_deg),
    )  # fmt: skip


def _random_trips(graph: RoadGraph, trips: int, seed: int, among: npt.NDArray[np.bool_] | None) -> FloatArray:
    """(trips, 4): lon, lat of start and end."""
    rng = np.random.default_rng(seed)
    nodes = np.flatnonzero(graph.node_access if among is None else graph.node_access & among)
    if not len(nodes):
        raise Rejected("no_common_ground", "no joinable node lies where trips were asked for")
    rows: list[FloatArray] = []
    found = 0
    for _ in range(100):  # a city smaller than TRIP_MIN_M across must end in an error, not in a loop
        pair = rng.choice(nodes, (trips, 2))
        row = np.column_stack(
            [
                graph.node_lon[pair[:, 0]],
                graph.node_lat[pair[:, 0]],
                graph.node_lon[pair[:, 1]],
                graph.node_lat[pair[:, 1]],
            ]
        )
        x = (row[:, 2] - row[:, 0]) * graph.x_m_per_deg
        y = (row[:, 3] - row[:, 1]) * graph.y_m_per_deg
        far = row[np.hypot(x, y) >= TRIP_MIN_M]
        rows.append(far)
        found += len(far)
        if found >= trips:
            return np.concatenate(rows)[:trips]
    raise Rejected("no_common_ground", f"the network has no two nodes {TRIP_MIN_M:.0f} m apart")
