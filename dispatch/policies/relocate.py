"""Move-up: where free units should stand so that the next call, wherever it comes from, is answered in time.

Expected soft coverage, the product form of Daskin's MEXCLP (Transportation Science 17, 1983) as used for relocation in
real time by Jagtenberg, Bhulai & van der Mei (DMEXCLP, Operations Research for Health Care 4, 2015), with three changes
that a study on city models showed to pay: all free units are candidates and not only the one just freed; busy units
count a little where they will become free; a move is discounted by the time it takes.

    value = sum_j w_j (1 - prod_free(1 - (1-q) c_aj) prod_busy(1 - kappa_b c_bj))
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np

from dispatch.policies.coverage import Coverage, Row, by_group
from dispatch.policies.view import Move, View
from geo.router import FloatArray

TOUCHING_S = 20.0
"""A post this near is where the unit stands already; no order is worth a radio call."""


class MoveUpSettings(msgspec.Struct, frozen=True):
    """What was tuned, and on what, stands in docs/dispatch-quality.md."""

    q: float = 0.3
    """Busy fraction: the chance that a unit counted on is taken when the call comes."""
    gain_min: float = 0.003
    """Do nothing for less than this share of demand."""
    moves_max: int = 3
    """Relocations in one round."""
    patience_s: float = 1500.0
    """A move of this length counts 1/e of its destination, the rest from where the unit is."""
    kappa_hospital: float = 0.3
    kappa_scene: float = 0.1
    kappa_coming: float = 0.1
    idle_extra: float = 0.0
    """Gain asked for on top when a crew would have to leave the post it stands at."""


class MoveUp:
    """Greedy relocations of free units by expected soft coverage."""

    def __init__(self, coverage: Coverage, settings: MoveUpSettings | None = None) -> None:
        self.coverage = coverage
        self.settings = settings if settings is not None else MoveUpSettings()

    def relocate(self, view: View) -> Sequence[Move]:
        units = view.units
        free = [u for u in view.free_units() if units[u].position is not None and units[u].post is not None]
        moves: list[Move] = []
        groups = by_group(view.region, free, {u: units[u].unit_type for u in free})
        for key in sorted(groups):
            moves += self._relocate_group(view, groups[key], key)
        return moves

    def _relocate_group(self, view: View, free: list[str], group: str) -> list[Move]:
        s, coverage, units = self.settings, self.coverage, view.units
        codes = coverage.post_codes
        here: list[Row] = []
        ways: list[FloatArray] = []
        at_post: list[int] = []
        now: list[Row] = []
        place = {code: i for i, code in enumerate(codes)}
        for unit_id in free:
            unit = units[unit_id]
            position = unit.position
            if position is None or unit.post is None:
                raise AssertionError(f"{unit_id} has no place")
            i = place[unit.post]
            way = coverage.way_to_posts_s(position.lon, position.lat)
            row = coverage.row(position.lon, position.lat, unit.mode)
            here.append(row)
            ways.append(way)
            at_post.append(i)
            now.append(self._blend(float(way[i]), coverage.posts(unit.mode)[i], row))
        missed = coverage.weight.copy()
        for row in self._busy_rows(view, group):
            missed *= 1.0 - row
        keep = 1.0 - s.q
        for row in now:
            missed *= 1.0 - keep * row
        movable = [view.moves_left(u) > 0 for u in free]
        standing = [float(ways[a][at_post[a]]) <= TOUCHING_S for a in range(len(free))]
        taken = np.zeros(len(codes), np.int64)
        for unit in units.values():
            if unit.post is not None and unit.duty_since is not None and unit.assignment_id is None:
                taken[place[unit.post]] += 1
        room = np.array([view.region.posts[c].capacity for c in codes]) > taken
        moves: list[Move] = []
        for _ in range(s.moves_max):
            best, best_gain = None, s.gain_min
            for a, unit_id in enumerate(free):
                if not movable[a]:
                    continue
                without = (missed / (1.0 - keep * now[a])) * keep
                share = np.exp(-ways[a] / s.patience_s)
                there = coverage.posts(units[unit_id].mode) @ without
                gains = share * there + (1.0 - share) * float(here[a] @ without) - float(now[a] @ without)
                gains[~room] = -math.inf
                gains[at_post[a]] = -math.inf
                if standing[a]:
                    gains = gains - s.idle_extra
                p = int(np.argmax(gains))
                if gains[p] > best_gain:
                    best, best_gain = (a, p), float(gains[p])
            if best is None:
                break
            a, p = best
            unit_id = free[a]
            moved = self._blend(float(ways[a][p]), coverage.posts(units[unit_id].mode)[p], here[a])
            missed *= (1.0 - keep * moved) / (1.0 - keep * now[a])
            now[a] = moved
            taken[p] += 1
            taken[at_post[a]] -= 1
            at_post[a] = p
            room = np.array([view.region.posts[c].capacity for c in codes]) > taken
            movable[a] = False
            moves.append(Move(unit_id=unit_id, post=codes[p], gain=best_gain))
        return moves

    def _blend(self, way_s: float, there: Row, here: Row) -> Row:
        share = math.exp(-way_s / self.settings.patience_s)
        return share * there + (1.0 - share) * here

    def _busy_rows(self, view: View, group: str) -> list[Row]:
        """kappa x coverage of units that are taken now, from where they will be free."""
        s = self.settings
        rows = []
        for unit_id in sorted(view.units):
            unit = view.units[unit_id]
            spec = view.region.units.get(unit_id)
            if unit.position is None or unit.assignment_id is None or (spec is not None and spec.agency != group):
                continue
            stage = view.busy_stage(unit_id)
            if stage in ("hospital", "transport"):
                kappa, lon, lat = s.kappa_hospital, unit.position.lon, unit.position.lat
                hospital = view.hospital_of(unit_id)
                if hospital is not None:
                    lon, lat = view.region.hospitals[hospital].lon, view.region.hospitals[hospital].lat
            elif stage == "scene":
                kappa, lon, lat = s.kappa_scene, unit.position.lon, unit.position.lat
            else:
                incident = view.incident_of(unit_id)
                if incident is None or incident.priority == 1:
                    continue
                kappa, lon, lat = s.kappa_coming, unit.position.lon, unit.position.lat
            if kappa > 0.0:
                rows.append(kappa * self.coverage.row(lon, lat, unit.mode))
        return rows
