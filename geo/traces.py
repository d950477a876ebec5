"""Learning speeds from the fleet's own GPS: clean the fixes, match them to the road, compare with the prior seconds.

Matching is the hidden Markov model of Newson and Krumm (Hidden Markov Map Matching Through Noise and Sparseness, ACM GIS
2009): a fix emits from arcs near it with normal noise, and moving from one arc to the next is likely when the way on the
road is about as long as the straight line. Learned factors are ratios of observed to prior seconds per mode, hour and
class (geo.learned), shrunk to the prior factor, so a handful of trips cannot swing a city.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import shapely

from geo import kernels
from geo.grids import NO_INTS, IntArray
from geo.learned import LearnedSpeeds
from geo.roads import RoadGraph
from geo.router import FloatArray, Mode
from geo.traffic import FACTOR_MAX, FACTOR_MIN, Traffic

NOISE_M = 8.0  # standard deviation of a phone's fix in a street; Newson and Krumm measured 4 m with a good receiver
DETOUR_SCALE_M = 30.0  # their beta: how far the way may exceed the straight line before it becomes unlikely
CANDIDATE_RADIUS_M = 40.0  # 5 standard deviations
CANDIDATES_MAX = 8
ACCURACY_MAX_M = 50.0  # a fix that says it may be further off tells nothing about which street
GAP_MAX_S = 60.0  # longer silence hides turns and stops: the trip is cut there
SPEED_MAX_MPS = 50.0  # 180 km/h: a jump of the receiver, not of the vehicle
STEP_MIN_M = 15.0  # nearer than the noise: standing or creeping; merged into the next step


@dataclass(frozen=True, slots=True)
class Fix:
    """One GPS fix: seconds on any steady clock, WGS84 degrees, the receiver's own accuracy in metres if it gave one."""

    at_s: float
    lon: float
    lat: float
    accuracy_m: float | None = None


@dataclass(frozen=True, slots=True)
class MatchedStep:
    """What was driven between two fixes: whole and part arcs, and how long it took."""

    arcs: IntArray
    shares: FloatArray  # of each arc driven, 0..1
    observed_s: float


def clean(graph: RoadGraph, fixes: Iterable[Fix]) -> list[list[Fix]]:
    """Trips of usable fixes: old, repeated, vague and jumping ones left out, cut at long silences.

    A fix is stale when it does not lie after the one before it (late delivery, a repeated position report).
    """
    trips: list[list[Fix]] = []
    last: Fix | None = None
    for fix in fixes:
        if not (math.isfinite(fix.lon) and math.isfinite(fix.lat)) or (fix.accuracy_m or 0.0) > ACCURACY_MAX_M:
            continue
        if last is None:
            trips.append([fix])
            last = fix
            continue
        elapsed_s = fix.at_s - last.at_s
        if elapsed_s <= 0.0:
            continue
        moved_m = math.hypot((fix.lon - last.lon) * graph.x_m_per_deg, (fix.lat - last.lat) * graph.y_m_per_deg)
        if moved_m > SPEED_MAX_MPS * elapsed_s:
            continue
        if elapsed_s > GAP_MAX_S:
            trips.append([fix])
            last = fix
        elif moved_m >= STEP_MIN_M:
            trips[-1].append(fix)
            last = fix
    return [trip for trip in trips if len(trip) > 1]


@dataclass(frozen=True, slots=True)
class _Candidates:
    arcs: IntArray
    shares: FloatArray
    log_p: FloatArray


class Matcher:
    """Map matching on one graph; keeps its arc index and scratch arrays."""

    def __init__(self, traffic: Traffic) -> None:
        self.graph = traffic.graph
        self._tree = traffic.arc_tree()
        n = self.graph.n_nodes
        self._dist: FloatArray = np.full(n, np.inf)
        self._pred: IntArray = np.full(n, -1, np.int32)

    def match(self, trip: Sequence[Fix]) -> Iterator[MatchedStep]:
        """The most likely arcs between consecutive fixes. A fix with no road near it, or no likely way, cuts the trip."""
        chain: list[_Candidates] = []
        backs: list[IntArray] = []
        ways: list[dict[tuple[int, int], tuple[IntArray, FloatArray]]] = []
        kept: list[Fix] = []
        score: FloatArray = np.zeros(0)
        for fix in trip:
            here = self._candidates(fix)
            if here is None:
                yield from self._walk_back(chain, backs, ways, kept, score)
                chain, backs, ways, kept = [], [], [], []
                continue
            if chain:
                crow_m = self._crow_m(kept[-1], fix)
                step_log_p, step_ways = self._transitions(chain[-1], here, crow_m)
                total = score[:, None] + step_log_p
                best = total.argmax(axis=0)
                new_score = total[best, np.arange(len(here.arcs))] + here.log_p
                if np.isfinite(new_score).any():
                    backs.append(best.astype(np.int32))
                    ways.append(step_ways)
                    chain.append(here)
                    kept.append(fix)
                    score = new_score
                    continue
                yield from self._walk_back(chain, backs, ways, kept, score)
                backs, ways = [], []
            chain, kept, score = [here], [fix], here.log_p
        yield from self._walk_back(chain, backs, ways, kept, score)

    def _crow_m(self, before: Fix, fix: Fix) -> float:
        g = self.graph
        return math.hypot((fix.lon - before.lon) * g.x_m_per_deg, (fix.lat - before.lat) * g.y_m_per_deg)

    def _candidates(self, fix: Fix) -> _Candidates | None:
        """Arcs within reach of a fix, where on them, and how likely; None when there is none."""
        g = self.graph
        px, py = g.to_xy(fix.lon, fix.lat)
        arcs = self._tree.query(shapely.Point(px, py), predicate="dwithin", distance=CANDIDATE_RADIUS_M)
        if not len(arcs):
            return None
        ax, ay = g.x[g.arc_from[arcs]], g.y[g.arc_from[arcs]]
        dx, dy = g.x[g.arc_to[arcs]] - ax, g.y[g.arc_to[arcs]] - ay
        squared = np.maximum(dx * dx + dy * dy, 1e-9)
        share = np.clip(((px - ax) * dx + (py - ay) * dy) / squared, 0.0, 1.0)
        off_m = np.hypot(px - ax - share * dx, py - ay - share * dy)
        nearest = np.lexsort((arcs, off_m))[: 2 * CANDIDATES_MAX]
        return _Candidates(
            arcs[nearest].astype(np.int32), share[nearest], -0.5 * np.square(off_m[nearest] / NOISE_M)
        )  # fmt: skip

    def _transitions(
        self, a: _Candidates, b: _Candidates, crow_m: float
    ) -> tuple[FloatArray, dict[tuple[int, int], tuple[IntArray, FloatArray]]]:
        """Log probability of every move from a to b (len a, len b), and the arcs and shares of the possible ones."""
        g = self.graph
        limit_m = 2.0 * crow_m + 8.0 * DETOUR_SCALE_M
        log_p: FloatArray = np.full((len(a.arcs), len(b.arcs)), -np.inf)
        ways: dict[tuple[int, int], tuple[IntArray, FloatArray]] = {}
        keys, heap = g.heap(1)
        for i, (arc, share) in enumerate(zip(a.arcs.tolist(), a.shares.tolist(), strict=True)):
            rest_m = (1.0 - share) * g.arc_length_m[arc]
            self._dist.fill(np.inf)
            start = g.arc_to[arc : arc + 1]
            kernels.sweep(
                g.first_out, g.arc_to, g.arc_length_m, start, np.array([rest_m]), limit_m, self._dist, NO_INTS,
                self._pred, keys, heap,
            )  # fmt: skip
            for j, (other, other_share) in enumerate(zip(b.arcs.tolist(), b.shares.tolist(), strict=True)):
                if other == arc and other_share >= share:
                    way_m = (other_share - share) * float(g.arc_length_m[arc])
                    ways[i, j] = (np.array([arc], np.int32), np.array([other_share - share]))
                else:
                    at_tail = float(self._dist[g.arc_from[other]])
                    if not at_tail < np.inf:
                        continue
                    way_m = at_tail + other_share * float(g.arc_length_m[other])
                    between = self._arcs_back(int(g.arc_from[other]))
                    arcs = np.array([arc, *between, other], np.int32)
                    ways[i, j] = (arcs, np.array([1.0 - share, *[1.0] * len(between), other_share]))
                log_p[i, j] = -abs(way_m - crow_m) / DETOUR_SCALE_M
        return log_p, ways

    def _arcs_back(self, node: int) -> list[int]:
        """Arcs of the last sweep's tree from its source to a node."""
        arcs = []
        while (arc := int(self._pred[node])) >= 0:
            arcs.append(arc)
            node = int(self.graph.arc_from[arc])
        return arcs[::-1]

    def _walk_back(
        self, chain: list[_Candidates], backs: list[IntArray],
        ways: list[dict[tuple[int, int], tuple[IntArray, FloatArray]]], kept: list[Fix], score: FloatArray,
    ) -> Iterator[MatchedStep]:  # fmt: skip
        if len(chain) < 2:
            return
        at = int(score.argmax())
        picked = [at]
        for back in reversed(backs):
            at = int(back[at])
            picked.append(at)
        picked.reverse()
        for step, way in enumerate(ways):
            arcs, shares = way[picked[step], picked[step + 1]]
            yield MatchedStep(arcs, shares, kept[step + 1].at_s - kept[step].at_s)


class SpeedLearner:
    """Turns drives into observed and prior seconds per mode, hour and class."""

    def __init__(self, traffic: Traffic, learned: LearnedSpeeds | None = None) -> None:
        self.graph = traffic.graph
        self.learned = learned if learned is not None else LearnedSpeeds()
        self._matcher = Matcher(traffic)

    def learn(self, fixes: Iterable[Fix], mode: Mode, hour: int) -> int:
        """Take in one unit's fixes while it was driving (not while it stood at a post or a scene). Returns steps used.

        The observed seconds of a step are shared among its arcs in proportion to their prior seconds.
        """
        graph = self.graph
        graph.require_mode(mode)
        used = 0
        for trip in clean(graph, fixes):
            for step in self._matcher.match(trip):
                expected = graph.base_s[mode][step.arcs] * step.shares
                total = float(expected.sum())
                if not 0.0 < total < math.inf or not FACTOR_MIN <= step.observed_s / total <= FACTOR_MAX:
                    continue
                pace = step.observed_s / total
                by_class = np.bincount(graph.arc_class[step.arcs], weights=expected, minlength=len(graph.classes))
                for index in np.flatnonzero(by_class).tolist():
                    due_s = float(by_class[index])
                    self.learned.add(mode, graph.classes[index], hour, due_s * pace, due_s)
                used += 1
        return used
