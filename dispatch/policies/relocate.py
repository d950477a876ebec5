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
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from dispatch.model import Position, Unit, UnitState
from dispatch.policies.coverage import ROWS_KEPT, Coverage, Row
from dispatch.policies.view import Move, View
from dispatch.region import Region
from geo.kernels import compiled
from geo.router import FloatArray

IntArray = npt.NDArray[np.int64]

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


def warm_up() -> None:
    """Load or compile the kernel now: a second on a fresh machine, which must not fall on the first crew's first order."""
    row, flat, one = np.zeros((1, 1), np.float32), np.zeros((1, 1)), np.zeros(1, np.int64)
    best_moves(
        row, row.copy(), row[None], one, flat, one.copy(), np.ones(1, np.bool_), flat[0], one.copy(), row[0].copy(),
        np.float32(0.5), 1.0, np.empty((1, 3)),
    )  # fmt: skip


Busy = tuple[float, float, float, str]
"""Of a unit that is taken: how much it counts (kappa), from where (lon, lat), and its mode."""


class _Group:
    """Units that stand in for each other, by agency: an ambulance's place is no help to a fire engine's area."""

    __slots__ = ("at_work", "busy", "free")

    def __init__(self) -> None:
        self.free: list[str] = []
        self.busy: list[Busy] = []
        self.at_work = 0
        """Units that are free or taken and could stop the clock."""


class _Stand(NamedTuple):
    """Where a free unit is and is going: seconds to every post, coverage (B,) from here and as counted at present."""

    post: int
    ways_s: FloatArray
    here: Row
    now: Row


class MoveUp:
    """Greedy relocations of free units by expected soft coverage."""

    def __init__(self, coverage: Coverage, settings: MoveUpSettings | None = None) -> None:
        self.coverage = coverage
        self.settings = settings if settings is not None else MoveUpSettings()
        self._wanted: frozenset[str] | None = None
        self._place = {code: i for i, code in enumerate(coverage.post_codes)}
        self._capacity = np.array([coverage.region.posts[code].capacity for code in coverage.post_codes], np.int64)
        self._stands: dict[tuple[float, float, str, str, int], _Stand] = {}
        warm_up()

    def relocate(self, view: View) -> Sequence[Move]:
        wanted = self._first_capabilities(view.region)
        groups: dict[str, _Group] = {}
        taken = np.zeros(len(self.coverage.post_codes), np.int64)
        stirred = view.stirred_agencies
        for unit_id, unit in view.units.items():
            if unit.duty_since is None:
                continue
            if unit.post is not None and unit.assignment_id is None:
                taken[self._place[unit.post]] += 1
            if unit.agency not in stirred:
                continue
            group = groups.get(unit.agency)
            if group is None:
                group = groups[unit.agency] = _Group()
            useful = not wanted.isdisjoint(unit.capabilities)
            group.at_work += useful and unit.state in AT_WORK
            if unit.position is None:
                continue
            if unit.state is UnitState.AVAILABLE:
                if useful and unit.post is not None:
                    group.free.append(unit_id)
            elif unit.assignment_id is not None:
                busy = self._busy(view, unit, unit.position)
                if busy is not None:
                    group.busy.append(busy)
        room = self._capacity - taken
        moves: list[Move] = []
        for agency in sorted(groups):
            if groups[agency].free:
                groups[agency].free.sort()
                moves += self._relocate_group(view, groups[agency], room)
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

    def _relocate_group(self, view: View, group: _Group, room: IntArray) -> list[Move]:
        s, coverage, units, free = self.settings, self.coverage, view.units, group.free
        stands = [self._stand(units[u]) for u in free]
        n = len(free)
        ways = np.array([stand.ways_s for stand in stands])
        at_post = np.array([stand.post for stand in stands], np.int64)
        missed = coverage.weight.copy()
        for kappa, lon, lat, mode in group.busy:
            missed *= np.float32(1.0) - np.float32(kappa) * coverage.row(lon, lat, mode)
        q = min(max(s.q_per_busy * (1.0 - n / max(group.at_work, n)), s.q_range[0]), s.q_range[1])
        modes = sorted({units[u].mode for u in free})
        out = np.empty((s.moves_max, 3))
        found = best_moves(
            np.array([stand.here for stand in stands]),
            np.array([stand.now for stand in stands]),
            np.stack([coverage.posts(mode) for mode in modes]),
            np.array([modes.index(units[u].mode) for u in free], np.int64),
            np.exp(-ways / s.patience_s),
            at_post,
            np.array([view.moves_left(u) <= 0 for u in free]),
            np.where(ways[np.arange(n), at_post] <= TOUCHING_S, s.idle_extra, 0.0),
            room.copy(),
            missed,
            np.float32(1.0 - q),
            s.gain_min,
            out,
        )
        codes = coverage.post_codes
        return [Move(unit_id=free[int(a)], post=codes[int(p)], gain=float(gain)) for a, p, gain in out[:found].tolist()]

    def _stand(self, unit: Unit) -> _Stand:
        """What a free unit covers from where it is and on its way to its post."""
        position = unit.position
        if position is None or unit.post is None:
            raise AssertionError(f"{unit.unit_id} has no place")
        coverage = self.coverage
        key = (position.lon, position.lat, unit.mode, unit.post, coverage.forget_old_roads())
        stand = self._stands.get(key)
        if stand is None:
            if len(self._stands) >= ROWS_KEPT:
                self._stands.clear()
            post = self._place[unit.post]
            ways_s = coverage.way_to_posts_s(position.lon, position.lat)
            here = coverage.row(position.lon, position.lat, unit.mode)
            share = np.float32(math.exp(-float(ways_s[post]) / self.settings.patience_s))
            now = share * coverage.posts(unit.mode)[post] + (np.float32(1.0) - share) * here
            stand = self._stands[key] = _Stand(post, ways_s, here, now)
        return stand

    def _busy(self, view: View, unit: Unit, position: Position) -> Busy | None:
        """How far a unit that is taken counts already, and from where it will be free."""
        s = self.settings
        stage = view.busy_stage(unit.unit_id)
        lon, lat = position.lon, position.lat
        if stage in ("hospital", "transport"):
            kappa = s.kappa_hospital
            hospital = view.hospital_of(unit.unit_id)
            if hospital is not None:
                lon, lat = view.region.hospitals[hospital].lon, view.region.hospitals[hospital].lat
        elif stage == "scene":
            kappa = s.kappa_scene
        else:
            incident = view.incident_of(unit.unit_id)
            kappa = s.kappa_coming if incident is not None and incident.priority > 1 else 0.0
        return (kappa, lon, lat, unit.mode) if kappa > 0.0 else None
