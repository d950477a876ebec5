"""What a world needs of a road network, and the road graph of a region pack dressed for it.

City models come as a `TravelNet` (everything tabled). A pack's graph is too fine for a table, so `GraphRoads` searches: one
route a trip, remembered while vehicles are likely to ask for it again.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from typing import Protocol

import numpy as np

from geo.nearest import RoadFleet
from geo.roads import NodePath, RoadGraph
from geo.router import Fleet, FloatArray, Mode, Router

PATHS_KEPT = 4_096
"""Routes remembered; more than there are vehicles on the road in any city, about 60 MB."""


class Roads(Protocol):
    """Positions as nodes; seconds between them; and where on the way a vehicle is."""

    @property
    def lon(self) -> FloatArray: ...

    @property
    def lat(self) -> FloatArray: ...

    @property
    def s_per_m(self) -> Mapping[Mode, float]:
        """Seconds a metre off the road takes, by mode."""

    @property
    def router(self) -> Router:
        """What the engine is given."""

    def snap(self, lon: float, lat: float) -> tuple[int, float]: ...

    def know(self, lon: float, lat: float, node: int, offroad_m: float) -> None: ...

    def node_eta_s(self, u: int, v: int, mode: Mode) -> float: ...

    def after_s(self, u: int, v: int, t: float, mode: Mode) -> tuple[int, float]: ...

    def put(self, fleet: Fleet, unit_id: str, node: int, offroad_m: float, lead_s: float) -> None:
        """Tell the fleet index exactly where a unit is: at a node, or `lead_s` before it."""


class GraphRoads:
    """`Roads` over a `RoadGraph`."""

    def __init__(self, graph: RoadGraph) -> None:
        self.router: Router = graph
        self._graph = graph
        self.lon, self.lat = graph.node_lon, graph.node_lat
        self.s_per_m = {mode: graph.offroad_s_per_m(mode) for mode in graph.modes}
        self._paths: OrderedDict[tuple[int, int, Mode], tuple[int, NodePath | None]] = OrderedDict()

    def snap(self, lon: float, lat: float) -> tuple[int, float]:
        found = self._graph.attach(lon, lat)
        return found.node, found.offroad_m

    def know(self, lon: float, lat: float, node: int, offroad_m: float) -> None:
        """The graph snaps by itself."""

    def _path(self, u: int, v: int, mode: Mode, setting_out: bool) -> NodePath | None:
        """A trip keeps the way and the pace it set out with; one that sets out later asks the roads as they are then."""
        known = self._paths.get((u, v, mode))
        version = self._graph.live.version
        if known is None or (setting_out and known[0] != version):
            known = self._paths[u, v, mode] = (version, self._graph.path_nodes(u, v, mode))
            if len(self._paths) > PATHS_KEPT:
                self._paths.popitem(last=False)
        else:
            self._paths.move_to_end((u, v, mode))
        return known[1]

    def node_eta_s(self, u: int, v: int, mode: Mode) -> float:
        path = self._path(u, v, mode, setting_out=True)
        return math.inf if path is None else float(path.at_s[-1])

    def after_s(self, u: int, v: int, t: float, mode: Mode) -> tuple[int, float]:
        path = self._path(u, v, mode, setting_out=False)
        if path is None:
            raise AssertionError(f"no way from {u} to {v}")
        i = int(np.searchsorted(path.at_s, t))
        if i >= len(path.at_s):
            return v, 0.0
        return int(path.nodes[i]), float(path.at_s[i]) - t

    def put(self, fleet: Fleet, unit_id: str, node: int, offroad_m: float, lead_s: float) -> None:
        """The seconds to the next node, a block's length, are left out: the graph's fleet knows nodes and positions."""
        if offroad_m == 0.0 and isinstance(fleet, RoadFleet):
            fleet.place_at_node(unit_id, node)
