"""Checks of named places against a network: posts in the river, hospitals on a cut-off piece, positions of another city."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from geo.roads import RoadGraph
from geo.router import LIGHTS, Mode, Rejected

# A post stands at a street; further off, either its position or the network is wrong.
POST_OFFROAD_MAX_M = 200.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One place that the network does not serve as it should."""

    name: str
    code: str  # "outside_region", "bad_coordinates", "far_from_road", "cut_off"
    detail: str


def main_part(graph: RoadGraph, mode: Mode = LIGHTS) -> npt.NDArray[np.bool_]:
    """Nodes (n,) from which and to which most of the network can be driven under the live travel times."""
    graph.require_mode(mode)
    drivable = np.isfinite(graph.live.forward[mode])
    arcs = (graph.arc_from[drivable], graph.arc_to[drivable])
    matrix = coo_matrix((np.ones(len(arcs[0]), np.int8), arcs), shape=(graph.n_nodes, graph.n_nodes))
    _, label = connected_components(matrix, directed=True, connection="strong")
    biggest: npt.NDArray[np.bool_] = label == np.bincount(label).argmax()
    return biggest


def audit(graph: RoadGraph, places: Iterable[tuple[str, float, float]], mode: Mode = LIGHTS) -> list[Finding]:
    """What is wrong with (name, lon, lat) places on this network, in their order; nothing when all is well."""
    main = main_part(graph, mode)
    findings = []
    for name, lon, lat in places:
        try:
            joined = graph.attach(lon, lat)
        except Rejected as refusal:
            findings.append(Finding(name, refusal.code, refusal.detail))
            continue
        if joined.offroad_m > POST_OFFROAD_MAX_M:
            findings.append(Finding(name, "far_from_road", f"{joined.offroad_m:.0f} m from the nearest road"))
        if not main[joined.node]:
            findings.append(Finding(name, "cut_off", "no road joins it with the main part of the network"))
    return findings
