"""One sweep of the network backwards from a point, kept: afterwards any unit's travel time to it is a look-up.

The bounded search of `nearest.py` answers "who are the k nearest now" in microseconds. An incident is asked about again
and again, though: by every planning round, for units on their way, for the risk of being late. One full sweep (a few
milliseconds) pays for all of that. Exact, like the bounded search, and tied to the weights it was made with.
"""

from __future__ import annotations

import math
from collections.abc import Collection

import numpy as np

from geo.nearest import RoadFleet
from geo.router import LIGHTS, Fleet, Mode


class Approach:
    """Seconds from every crossing to one point, by one mode. `current` turns False when the road weights change."""

    def __init__(self, fleet: RoadFleet, lon: float, lat: float, mode: Mode = LIGHTS) -> None:
        graph = fleet.graph
        target = graph.attach(lon, lat)
        self._fleet = fleet
        self._mode = mode
        self._version = graph.live.version
        self._moves = -1
        self._times_s: dict[str, float] = {}
        self._to_target_s = graph.times_to(target.node, mode, start_s=target.offroad_m * graph.offroad_s_per_m(mode))

    @property
    def current(self) -> bool:
        return self._fleet.graph.live.version == self._version

    def times_s(self) -> dict[str, float]:
        """Seconds of every placed unit that can get there, by id; worked out once until a unit moves."""
        if self._moves != self._fleet.moves:
            self._moves = self._fleet.moves
            ids, nodes, lead_s, owner = self._fleet.sources(self._mode)
            best = np.full(len(ids), math.inf)
            np.minimum.at(best, owner, self._to_target_s[nodes] + lead_s)
            self._times_s = {unit_id: t for unit_id, t in zip(ids, best.tolist(), strict=True) if t < math.inf}
        return self._times_s

    def etas(self, among: Collection[str]) -> list[tuple[str, float]]:
        """(unit_id, eta_s) of every placed unit in `among` that can get there, ascending by (eta_s, unit_id)."""
        times_s = self.times_s()
        found = [(unit_id, times_s[unit_id]) for unit_id in among if unit_id in times_s]
        found.sort(key=lambda unit: (unit[1], unit[0]))
        return found


def approach_to(fleet: Fleet, lon: float, lat: float, mode: Mode = LIGHTS) -> Approach | None:
    """A kept sweep towards a point; None where a fleet answers everything at once anyway (straight lines)."""
    return Approach(fleet, lon, lat, mode) if isinstance(fleet, RoadFleet) else None
