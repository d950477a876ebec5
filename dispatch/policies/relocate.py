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
from typing import Any

import msgspec
import numpy as np

from dispatch.model import UnitState
from dispatch.policies.coverage import Coverage, Row, by_group
from dispatch.policies.view import Move, View
from dispatch.region import Region
from geo.kernels import compiled

AT_WORK = (UnitState.AVAILABLE, UnitState.COMMITTED)
RARE = 0.01
"""Kinds below this share of the priority-1 calls do not steer where crews stand."""
TOUCHING_S = 20.0
"""A post this near is where the unit stands already; no order is worth a radio call."""


class MoveUpSettings(msgspec.Struct, frozen=True):
    """What was tuned, and on what, stands in docs/dispatch-quality.md."""

    q_per_busy: float = 0.6
    """Chance that a unit counted on is taken when the call comes, per share of the group that is taken now: 0.3 at half."""
    q_range: tuple[float, float] = (0.05, 0.6)
    gain_min: float = 0.003
    """Do nothing for less than this share of demand."""
    moves_max: int = 3
    """Relocations in one round."""
    patience_s: float = 2500.0
    """A move of this length counts 1/e of its destination, the rest from where the unit is."""
    kappa_hospital: float = 0.3
    kappa_scene: float = 0.1
    kappa_coming: float = 0.1
    idle_extra: float = 0.0
    """Gain asked for on top when a crew would have to leave the post it stands at."""


@compiled
def best_moves(
    here: Any, now: Any, posts: Any, mode_of: Any, share: Any, at_post: Any, barred: Any, extra: Any, room: Any,
    missed: Any, keep: Any, gain_min: float, out: Any,
) -> int:  # fmt: skip
    """Greedy relocations, best first, into `out` rows (unit, post, gain); returns how many.

    Shapes: `here`, `now` (units, B) coverage from where a unit is and from where it is counted at present; `posts`
    (modes, posts, B); `share` (units, posts) weight of the destination; `room` (posts,) places left; `missed` (B,) demand
    times the chance that no busy unit covers it. `now`, `at_post`, `barred`, `room` and `missed` are changed.
    """
    n, squares = now.shape
    n_posts = posts.shape[1]
    for a in range(n):
        for j in range(squares):
            missed[j] *= np.float32(1.0) - keep * now[a, j]
    without = np.empty(squares, np.float32)
    found = 0
    while found < len(out):
        best_gain = gain_min
        best_a = -1
        best_p = -1
        for a in range(n):
            if barred[a]:
                continue
            stay = np.float32(0.0)
            leave = np.float32(0.0)
            for j in range(squares):
                without[j] = keep * missed[j] / (np.float32(1.0) - keep * now[a, j])
                stay += now[a, j] * without[j]
                leave += here[a, j] * without[j]
            rows = posts[mode_of[a]]
            for p in range(n_posts):
                if p == at_post[a] or room[p] <= 0:
                    continue
                there = np.dot(rows[p], without)
                gain = share[a, p] * there + (1.0 - share[a, p]) * leave - stay - extra[a]
                if gain > best_gain:
                    best_gain, best_a, best_p = gain, a, p
        if best_a < 0:
            break
        a, p = best_a, best_p
        w = np.float32(share[a, p])
        row = posts[mode_of[a], p]
        for j in range(squares):
            moved = w * row[j] + (np.float32(1.0) - w) * here[a, j]
            missed[j] *= (np.float32(1.0) - keep * moved) / (np.float32(1.0) - keep * now[a, j])
            now[a, j] = moved
        room[p] -= 1
        room[at_post[a]] += 1
        at_post[a] = p
        barred[a] = True
        out[found, 0], out[found, 1], out[found, 2] = a, p, best_gain
        found += 1
    return found


class MoveUp:
    """Greedy relocations of free units by expected soft coverage."""

    def __init__(self, coverage: Coverage, settings: MoveUpSettings | None = None) -> None:
        self.coverage = coverage
        self.settings = settings if settings is not None else MoveUpSettings()
        self._wanted: frozenset[str] | None = None

    def relocate(self, view: View) -> Sequence[Move]:
        units = view.units
        free = [u for u in view.free_units() if units[u].position is not None and units[u].post is not None]
        moves: list[Move] = []
        wanted = self._first_capabilities(view.region)
        free = [u for u in free if wanted & units[u].capabilities]
        groups = by_group(view.region, free, {u: units[u].unit_type for u in free})
        for key in sorted(groups):
            moves += self._relocate_group(view, groups[key], key)
        return moves

    def _first_capabilities(self, region: Region) -> frozenset[str]:
        """What can stop the clock of a priority-1 kind: only such units are worth moving for the next call."""
        if self._wanted is None:
            kinds = {k for k, kind in region.kinds.items() if kind.priority == 1}
            if region.demand is not None:
                yearly = {k: region.demand.kinds[k].yearly for k in kinds if k in region.demand.kinds}
                kinds = {k for k, n in yearly.items() if n >= RARE * sum(yearly.values())} or kinds
            slots = [s for plan in region.plans if plan.kinds & kinds and 1 in plan.priorities for s in plan.slots]
            self._wanted = frozenset(c for slot in slots if slot.first for c in slot.capabilities)
        return self._wanted

    def _relocate_group(self, view: View, free: list[str], group: str) -> list[Move]:
        s, coverage, units = self.settings, self.coverage, view.units
        codes = coverage.post_codes
        place = {code: i for i, code in enumerate(codes)}
        n = len(free)
        here = np.empty((n, len(coverage.weight)), np.float32)
        now = np.empty_like(here)
        ways = np.empty((n, len(codes)))
        at_post = np.empty(n, np.int64)
        for a, unit_id in enumerate(free):
            unit = units[unit_id]
            position = unit.position
            if position is None or unit.post is None:
                raise AssertionError(f"{unit_id} has no place")
            at_post[a] = i = place[unit.post]
            ways[a] = coverage.way_to_posts_s(position.lon, position.lat)
            here[a] = coverage.row(position.lon, position.lat, unit.mode)
            now[a] = self._blend(float(ways[a, i]), coverage.posts(unit.mode)[i], here[a])
        missed = coverage.weight.copy()
        for row in self._busy_rows(view, group):
            missed *= np.float32(1.0) - row
        taken_share = 1.0 - n / max(self._on_duty(view, group), n)
        q = min(max(s.q_per_busy * taken_share, s.q_range[0]), s.q_range[1])
        barred = np.array([view.moves_left(u) <= 0 for u in free])
        extra = np.where(ways[np.arange(n), at_post] <= TOUCHING_S, s.idle_extra, 0.0)
        taken = np.zeros(len(codes), np.int64)
        for unit in units.values():
            if unit.post is not None and unit.duty_since is not None and unit.assignment_id is None:
                taken[place[unit.post]] += 1
        room = np.array([view.region.posts[c].capacity for c in codes]) - taken
        modes = sorted({units[u].mode for u in free})
        posts = np.stack([coverage.posts(mode) for mode in modes])
        mode_of = np.array([modes.index(units[u].mode) for u in free], np.int64)
        share = np.exp(-ways / s.patience_s)
        out = np.empty((s.moves_max, 3))
        found = best_moves(
            here,
            now,
            posts,
            mode_of,
            share,
            at_post,
            barred,
            extra,
            room,
            missed,
            np.float32(1.0 - q),
            s.gain_min,
            out,
        )
        return [Move(unit_id=free[int(a)], post=codes[int(p)], gain=float(gain)) for a, p, gain in out[:found].tolist()]

    def _on_duty(self, view: View, group: str) -> int:
        """Units of the group that are free or at work and could stop the clock."""
        wanted = self._first_capabilities(view.region)
        return sum(
            spec.agency == group and bool(unit.capabilities & wanted) and unit.state in AT_WORK
            for unit_id, unit in view.units.items()
            if (spec := view.region.units.get(unit_id)) is not None
        )

    def _blend(self, way_s: float, there: Row, here: Row) -> Row:
        share = np.float32(math.exp(-way_s / self.settings.patience_s))
        return share * there + (np.float32(1.0) - share) * here

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
                rows.append(np.float32(kappa) * self.coverage.row(lon, lat, unit.mode))
        return rows
