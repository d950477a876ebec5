"""Open incidents by place: who is near a new report, without looking at the whole city. Pure.

Square cells in degrees; a question looks at every cell its radius touches. In a disaster thousands are open at once, and
each new report must still be compared in microseconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from geo.router import M_PER_DEG

CELL_DEG = 0.005
"""About 550 m: a question of 250 m touches four cells at most."""


class Nearby:
    """Ids by place. Moving is putting again; removing what is not there is no mistake."""

    def __init__(self) -> None:
        self._cells: dict[tuple[int, int], dict[str, None]] = {}
        self._cell_of: dict[str, tuple[int, int]] = {}

    def put(self, item_id: str, lon: float, lat: float) -> None:
        cell = (math.floor(lon / CELL_DEG), math.floor(lat / CELL_DEG))
        if self._cell_of.get(item_id) == cell:
            return
        self.remove(item_id)
        self._cell_of[item_id] = cell
        self._cells.setdefault(cell, {})[item_id] = None

    def remove(self, item_id: str) -> None:
        cell = self._cell_of.pop(item_id, None)
        if cell is not None:
            members = self._cells[cell]
            del members[item_id]
            if not members:
                del self._cells[cell]

    def around(self, lon: float, lat: float, radius_m: float) -> Iterator[str]:
        """Every id within the radius, and some a little beyond; in order of cell, then of putting."""
        d_lat = radius_m / M_PER_DEG
        d_lon = d_lat / max(0.01, math.cos(math.radians(lat)))
        for x in range(math.floor((lon - d_lon) / CELL_DEG), math.floor((lon + d_lon) / CELL_DEG) + 1):
            for y in range(math.floor((lat - d_lat) / CELL_DEG), math.floor((lat + d_lat) / CELL_DEG) + 1):
                yield from self._cells.get((x, y), ())
