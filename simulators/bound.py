"""What nobody could beat: the largest number of priority-1 calls that any dispatcher, knowing the future, answers in time.

Each unit's day is a path through the calls it answers in time; m units are m disjoint paths in a graph ordered by time, so
the best of all days is a maximum flow with m units of flow (the vehicle-scheduling argument of Dantzig & Fulkerson, Naval
Research Logistics Quarterly 1, 1954), here as a linear programme whose constraint matrix is a network's: its optimum is whole.

The clairvoyant may refuse every other call and have a unit at any station (or waiting point) before a call rings. Relaxed, so
that it stays a bound: the scene of a call starts as early as any station or hospital could reach it, and capacities of
stations are not asked. Two figures, because a unit between two places can be anywhere on its way when a call rings:

- `on_time_max` lets it also set out straight for the next call before that call rings, as long as it need not wait on the way;
- `near_strict_max` lets it wait where it became free, but roll only to calls that have rung. A unit on its way home may pass
  nearer than that, so this one can in principle be beaten, by little.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import coo_matrix

from dispatch.region import Region
from geo.router import LIGHTS, REGULAR, FloatArray
from simulators.cityfile import Calls
from simulators.demand import DAY_S
from simulators.net import IntArray, TravelNet


@dataclass(frozen=True)
class Bound:
    calls: int
    """Priority-1 calls after the warm-up day."""
    reachable: int
    """Of these, how many some station reaches in time with a unit waiting there."""
    near_strict_max: int
    on_time_max: int
    edges: int

    def shares(self) -> dict[str, float]:
        """The three figures as shares of the counted calls."""
        n = max(self.calls, 1)
        return {
            "reachable_from_a_station": self.reachable / n,
            "clairvoyant_near_strict": self.near_strict_max / n,
            "clairvoyant_strict": self.on_time_max / n,
        }


def bound(net: TravelNet, region: Region, calls: Calls, deadline_s: float) -> Bound:
    """Solve the flow for one list of calls. Seconds and shares as in `Bound`; warm-up calls may be refused for free."""
    urgent = np.flatnonzero(calls.priority == 1)
    n = len(urgent)
    rung = calls.t_sec[urgent]
    leave = rung + calls.dispatch_delay_s[urgent]
    due = rung + deadline_s
    node, leg_m = calls.node[urgent], calls.offroad_m[urgent]
    counted = rung >= DAY_S
    posts = [net.snap(p.lon, p.lat) for p in region.posts.values()]
    hospitals = [net.snap(h.lon, h.lat) for h in region.hospitals.values() if h.emergency]
    post_way = _ways(net, posts, node, leg_m, LIGHTS)  # (posts, n)
    post_best = post_way.min(axis=0)
    soonest = post_best
    if hospitals:
        soonest = np.minimum(post_best, _ways(net, hospitals, node, leg_m, LIGHTS).min(axis=0))
    free_at, end_node, end_m = _ends(net, hospitals, calls, urgent, leave + soonest)
    from_post = leave + post_best <= due

    # Straight from one call to the next, for the time until every station could have been reached.
    to_post = net.nodes_s(end_node, np.array([p for p, _ in posts], np.int64), REGULAR)
    to_post += (end_m[:, None] + np.array([m for _, m in posts])[None, :]) * net.s_per_m[REGULAR]
    anywhere_at = free_at + to_post.max(axis=1)
    tails, heads, nears = [], [], []
    last = np.searchsorted(leave, anywhere_at, side="right")
    for i in range(n):
        j = np.arange(i + 1, max(last[i], i + 1))
        if not len(j):
            continue
        direct = net.nodes_s(end_node[i : i + 1], node[j], LIGHTS)[0] + (end_m[i] + leg_m[j]) * net.s_per_m[LIGHTS]
        waiting = np.maximum(free_at[i], leave[j]) + direct <= due[j]
        parked_at = np.maximum(free_at[i] + to_post[i][:, None], leave[j][None, :])
        parked = (parked_at + post_way[:, j] <= due[j][None, :]).any(axis=0)
        near = waiting | parked
        straight = (free_at[i] + direct >= leave[j]) & (free_at[i] + direct <= due[j])
        kept = j[near | straight]
        tails.append(np.full(len(kept), i, np.int64))
        heads.append(kept)
        nears.append(near[kept - (i + 1)])
    tail = np.concatenate(tails) if tails else np.empty(0, np.int64)
    head = np.concatenate(heads) if heads else np.empty(0, np.int64)
    near = np.concatenate(nears) if nears else np.empty(0, np.bool_)
    rest = (from_post, leave, anywhere_at, counted, len(region.units))
    strict = _max_flow(n, tail, head, *rest)
    near_strict = _max_flow(n, tail[near], head[near], *rest)
    return Bound(int(counted.sum()), int((from_post & counted).sum()), near_strict, strict, len(tail))


def _ways(net: TravelNet, places: list[tuple[int, float]], node: IntArray, leg_m: FloatArray, mode: str) -> FloatArray:
    """Seconds from each place to each call, off-road legs included, shape (places, n)."""
    table = net.nodes_s(np.array([p for p, _ in places], np.int64), node, mode)
    legs: FloatArray = np.array([m for _, m in places])[:, None] + leg_m[None, :]
    return table + legs * net.s_per_m[mode]


def _ends(
    net: TravelNet, hospitals: list[tuple[int, float]], calls: Calls, urgent: IntArray, at_scene: FloatArray
) -> tuple[FloatArray, IntArray, FloatArray]:  # fmt: skip
    """When, where (node) and how far off the road (m) a unit is free again that stood at the scene at `at_scene`."""
    node, leg_m = calls.node[urgent].copy(), calls.offroad_m[urgent].copy()
    free_at = at_scene + calls.on_scene_s[urgent]
    carried = np.flatnonzero(calls.transport[urgent]) if hospitals else np.empty(0, np.int64)
    if len(carried):
        way = net.nodes_s(node[carried], np.array([h for h, _ in hospitals], np.int64), REGULAR)
        way += (leg_m[carried][:, None] + np.array([m for _, m in hospitals])[None, :]) * net.s_per_m[REGULAR]
        nearest = way.argmin(axis=1)
        free_at[carried] += way[np.arange(len(carried)), nearest] + calls.handover_s[urgent][carried]
        node[carried] = np.array([h for h, _ in hospitals])[nearest]
        leg_m[carried] = np.array([m for _, m in hospitals])[nearest]
    return free_at, node, leg_m


def _max_flow(
    n: int, tail: IntArray, head: IntArray, from_post: np.ndarray, leave: FloatArray, anywhere_at: FloatArray,
    counted: np.ndarray, units: int,
) -> int:  # fmt: skip
    """Most counted calls on `units` paths. Variables: direct edges, call -> pool, pool -> call, and the pool through time."""
    e = len(tail)
    served = np.flatnonzero(from_post)
    # The pool of units standing at stations is a chain of moments: arrivals before departures at equal times.
    moments = np.concatenate([anywhere_at, leave[served]])
    order = np.lexsort((np.concatenate([np.zeros(n), np.ones(len(served))]), moments))
    position = np.empty(len(moments), np.int64)
    position[order] = np.arange(len(moments))
    k = len(moments)
    into, out_of, pool = e, e + n, e + n + len(served)
    total = pool + k  # pool[p]: units in the pool just before moment p
    rows: list[np.ndarray] = []
    cols: list[np.ndarray] = []
    vals: list[np.ndarray] = []

    def put(r: np.ndarray, c: np.ndarray, v: float) -> None:
        rows.append(r)
        cols.append(c)
        vals.append(np.full(len(r), v))

    # Conservation at call i: direct in + pool -> call - direct out - call -> pool = 0
    put(head, np.arange(e), 1.0)
    put(served, out_of + np.arange(len(served)), 1.0)
    put(tail, np.arange(e), -1.0)
    put(np.arange(n), into + np.arange(n), -1.0)
    # The pool: pool[p + 1] = pool[p] + arrival - departure at p
    here = np.arange(k)
    put(n + here[:-1], pool + here[1:], 1.0)
    put(n + here, pool + here, -1.0)
    put(n + position[:n], into + np.arange(n), -1.0)
    put(n + position[n:], out_of + np.arange(len(served)), 1.0)
    # The last moment's stock is free: it needs a variable to flow into, so its row becomes an inequality by slack.
    rhs = np.zeros(n + k)
    matrix = coo_matrix(
        (np.concatenate([*vals, [1.0]]), (np.concatenate([*rows, [n + k - 1]]), np.concatenate([*cols, [total]]))),
        shape=(n + k, total + 1),
    ).tocsr()
    # Each call at most once: flow in <= 1.
    once = coo_matrix(
        (
            np.ones(e + len(served)),
            (np.concatenate([head, served]), np.concatenate([np.arange(e), out_of + np.arange(len(served))])),
        ),
        shape=(n, total + 1),
    ).tocsr()
    gain = np.zeros(total + 1)
    gain[np.arange(e)] = counted[head]
    gain[out_of + np.arange(len(served))] = counted[served]
    bounds = np.zeros((total + 1, 2))
    bounds[:, 1] = 1.0
    bounds[pool:, 1] = units
    bounds[pool, 0] = units  # everybody starts in the pool
    found = linprog(-gain, A_ub=once, b_ub=np.ones(n), A_eq=matrix, b_eq=rhs, bounds=bounds, method="highs")
    if not found.success:
        raise AssertionError(f"the flow has no solution: {found.message}")
    return round(-float(found.fun))
