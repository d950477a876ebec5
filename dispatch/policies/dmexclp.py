"""Dynamic MEXCLP: send, or place, the unit whose absence the city misses least.

Jagtenberg, Bhulai & van der Mei, "An efficient heuristic for real-time ambulance redeployment", Operations Research for
Health Care 4 (2015): a freed unit goes to the base that adds most expected coverage. The same authors, "Dynamic ambulance
dispatching: is the closest-idle policy always optimal?", Health Care Management Science 20 (2017): of the units that
arrive in time send the one whose departure costs least coverage; if none does, the soonest.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dispatch.policies.closest import Closest
from dispatch.policies.coverage import Coverage
from dispatch.policies.relocate import MoveUp
from dispatch.policies.view import Arrival, Move, Need, View

Q = 0.4
"""Busy fraction of the reference run this is compared with."""


class Dmexclp(Closest):
    """DMEXCLP dispatch over idle units, redispatch as in `Closest`; with `move_up`, the freed unit goes where it adds most."""

    cites = (
        "Jagtenberg, Bhulai & van der Mei (2015), Operations Research for Health Care 4; "
        "(2017), Health Care Management Science 20"
    )

    def __init__(self, coverage: Coverage, move_up: bool) -> None:
        super().__init__(redispatch=True)
        self.name = "dmexclp+moveup" if move_up else "dmexclp"
        self.coverage = coverage
        self._move_up = FreedUnit(coverage) if move_up else None

    def _pick(self, view: View, need: Need, arrivals: Sequence[Arrival]) -> Arrival:
        soonest = arrivals[0]
        left_s = (need.deadline_at - view.at).total_seconds()
        free = set(view.free_units())
        in_time = [a for a in arrivals if a.eta_s <= left_s and a.unit_id in free]
        if need.priority > 1 or len(in_time) < 2 or soonest.unit_id not in free:
            return soonest
        rows = {u: self._row(view, u) for u in free}
        missed = self.coverage.weight * np.prod([1.0 - (1.0 - Q) * r for r in rows.values()], axis=0)
        losses = []
        for arrival in in_time:
            row = (1.0 - Q) * rows[arrival.unit_id]
            losses.append((float((missed / (1.0 - row) * row).sum()), arrival.eta_s, arrival.unit_id, arrival))
        return min(losses, key=lambda x: x[:3])[3]

    def _row(self, view: View, unit_id: str) -> np.ndarray:
        unit = view.units[unit_id]
        if unit.position is None:
            return np.zeros_like(self.coverage.weight)
        return self.coverage.row(unit.position.lon, unit.position.lat, unit.mode)

    def relocate(self, view: View) -> Sequence[Move]:
        return self._move_up.relocate(view) if self._move_up is not None else ()


class FreedUnit(MoveUp):
    """Classic DMEXCLP: only a unit that is on its way to a post may be sent to another, by coverage of the post alone."""

    def relocate(self, view: View) -> Sequence[Move]:
        codes, posts = self.coverage.post_codes, view.region.posts
        keep = 1.0 - Q
        moves = []
        for unit_id in view.free_units():
            unit = view.units[unit_id]
            if unit.since != view.at or unit.post is None or unit.position is None:
                continue  # became free earlier
            missed = self.coverage.weight.copy()
            for other_id in view.free_units():
                other = view.units[other_id]
                if other_id != unit_id and other.post is not None:
                    missed *= 1.0 - keep * self.coverage.posts(other.mode)[codes.index(other.post)]
            value = self.coverage.posts(unit.mode) @ missed
            way = self.coverage.way_to_posts_s(unit.position.lon, unit.position.lat)
            taken = [sum(view.units[u].post == c for u in view.free_units() if u != unit_id) for c in codes]
            best = min(
                (i for i, c in enumerate(codes) if taken[i] < posts[c].capacity),
                key=lambda i: (-float(value[i]), float(way[i])),
                default=None,
            )
            if best is not None and codes[best] != unit.post:
                gain = keep * (float(value[best]) - float(value[codes.index(unit.post)]))
                moves.append(Move(unit_id=unit_id, post=codes[best], gain=gain))
        return moves
