"""One run: a city, a list of calls, a policy by name, through the live engine; and its figures."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from dispatch.engine import Engine
from dispatch.policies import registry
from dispatch.policies.coverage import Coverage, DemandPoints
from dispatch.policies.view import Policy
from dispatch.region import Region
from geo.router import FloatArray
from simulators.cityfile import Calls, City, read_calls, read_city
from simulators.demand import DAY_S, draw_calls
from simulators.street import choose_street_posts, with_posts
from simulators.warned import warning_figures
from simulators.world import NO_FAULTS, Faults, Log, World

PROMISE_S = 420.0
"""The 7 minutes; reported beside the deadline whatever the city's own target is."""
ZONE_SIDE_M = 4_000.0
ZONE_CALLS_MIN = 10
"""Squares with fewer priority-1 calls say nothing about their own share."""
MOVES_PER_SHIFT_MAX = 8
"""Orders to leave a post that a crew may get in a shift, on average: a run has one crew a unit, which never goes home."""
SHIFT_S = 43_200.0
SHIFTS_A_RUN = 30
"""15 days of 12 h shifts, the length of the call files."""


@dataclass(frozen=True)
class Setting:
    """A city made ready for runs: region with its waiting points, and where its demand lies."""

    city: City
    region: Region
    demand: DemandPoints
    terms: registry.Terms

    def policy(self, name: str, lost: frozenset[str] = frozenset()) -> Policy:
        """By name, for the posts that are left."""
        region = without_posts(self.region, lost) if lost else self.region
        return registry.make(name, region, self.city.net, self.demand, self.terms)

    def coverage(self) -> Coverage:
        return Coverage(self.region, self.city.net, self.demand, self.terms.target_s[0] - self.terms.overhead_s)


def prepare(
    city: City, deadline_s: float | None = None, street_posts: int = 0, warnings: bool = False
) -> Setting:  # fmt: skip
    """`deadline_s` replaces the city's target for priority 1, which the policies then aim at."""
    targets = [city.target_s.get(p, city.target_s[1]) for p in (1, 2, 3)]
    if deadline_s is not None:
        targets[0] = deadline_s
    terms = registry.Terms((targets[0], targets[1], targets[2]), city.process.dispatch_delay_s, PROMISE_S)
    demand = DemandPoints.of(city.demand.lon, city.demand.lat, city.demand.share)
    limits = msgspec.structs.replace(
        city.region.limits,
        target_s=targets[0],
        candidates_max=4,  # the journal of a run is thrown away; four ranked units a choice are enough to look at
        risk_check_s=city.region.limits.risk_check_s if warnings else None,  # warnings change no decision
        crew_check_s=None,  # and neither do these
        move_up_wait_s=0.0,  # nobody is there to say no
        relocate_every_s=0.0,  # every change, as in the study; a city may ask for calmer crews
        retry_s=120.0,  # a freed unit starts a round at once; retrying more often only repeats the same answer
        move_ups_per_duty=MOVES_PER_SHIFT_MAX * SHIFTS_A_RUN,
    )
    region = msgspec.structs.replace(city.region, limits=limits)
    if street_posts:
        posts = choose_street_posts(city.net, region, demand, targets[0] - terms.overhead_s, street_posts)
        region = with_posts(region, posts)
    return Setting(city, region, demand, terms)


def run(
    setting: Setting, calls: Calls, policy: Policy, seed: int = 0, faults: Faults = NO_FAULTS, lost: frozenset[str] = frozenset()
) -> tuple[Log, float]:  # fmt: skip
    """Run to the end of all calls. Returns what happened and the wall seconds it took; `lost` posts are closed."""
    region = setting.region
    if lost:
        region = without_posts(region, lost)
    engine = Engine(region, setting.city.net, policy)
    world = World(engine, setting.city.net, calls, seed, faults)
    started = time.perf_counter()
    log = world.run()
    return log, time.perf_counter() - started


def without_posts(region: Region, lost: frozenset[str]) -> Region:
    """Close posts; their units move to the nearest one left."""
    left = {code: post for code, post in region.posts.items() if code not in lost}
    real = [p for p in left.values() if not p.street]

    def home(code: str) -> str:
        if code in left:
            return code
        gone = region.posts[code]
        return min(real, key=lambda p: ((p.lon - gone.lon) ** 2 + (p.lat - gone.lat) ** 2, p.code)).code

    units = {u: msgspec.structs.replace(spec, home_post=home(spec.home_post)) for u, spec in region.units.items()}
    return msgspec.structs.replace(region, posts=left, units=units)


def figures(
    setting: Setting, calls: Calls, log: Log, policy: str, wall_s: float, deadline_s: float
) -> dict[str, Any]:  # fmt: skip
    """The result of a run as the command prints it. Seconds and shares 0..1; the first day is warm-up and not counted.

    `warnings` is None where the engine was told not to look (comparisons of policies).
    """
    warnings = setting.region.limits.risk_check_s is not None
    counted = calls.t_sec >= DAY_S
    days = max(float(calls.t_sec[-1]) / DAY_S, 1e-9)
    units = len(setting.region.units)
    priorities: dict[str, dict[str, float | int]] = {}
    for priority, target_s in zip((1, 2, 3), setting.terms.target_s, strict=True):
        chosen = counted & (calls.priority == priority)
        if chosen.any():
            priorities[str(priority)] = summary(log.first_at_scene_s[chosen], target_s, deadline_s)
    shifts = units * days * DAY_S / SHIFT_S
    return {
        "city": setting.city.name,
        "policy": policy,
        "calls": len(calls),
        "wall_s": round(wall_s, 3),
        "events": log.events,
        "utilisation": round(log.busy_s / (units * max(log.ended_s, 1.0)), 4),
        "redispatched": log.redispatched,
        "priority": priorities,
        "warnings": warning_figures(log, calls, setting.terms.target_s[0], DAY_S) if warnings else None,
        "worst_decile_zone_share": worst_decile(setting, calls, log, deadline_s),
        "street_posts": sum(p.street for p in setting.region.posts.values()),
        "redirects_per_unit_shift": round(log.redispatched / shifts, 3),
        "moves_from_post_per_unit_shift": round(log.moves_from_post / shifts, 3),
        "moves_on_the_way_per_unit_shift": round((log.moves - log.moves_from_post) / shifts, 3),
    }


def summary(response_s: FloatArray, target_s: float, deadline_s: float) -> dict[str, float | int]:
    """Figures of one priority; a call nobody ever reached counts as late and is left out of the times."""
    served = response_s[~np.isnan(response_s)]
    n = len(response_s)

    def within(limit_s: float) -> float:
        return round(float((served <= limit_s).sum()) / n, 5)

    p50, p90, p99 = np.quantile(served, [0.5, 0.9, 0.99]).tolist() if len(served) else (math.nan,) * 3
    return {
        "n": n,
        "mean_s": round(float(served.mean()), 2) if len(served) else math.nan,
        "p50_s": round(p50, 2),
        "p90_s": round(p90, 2),
        "p99_s": round(p99, 2),
        "share_within_420": within(PROMISE_S),
        "share_within_target": within(target_s),
        "share_within_deadline": within(deadline_s),
        "never_reached": n - len(served),
    }


def zones(setting: Setting, calls: Calls) -> npt.NDArray[np.int64]:
    """A square of 4 km for every call, as a number."""
    sx, sy = setting.city.net.m_per_deg
    x = np.floor(calls.lon * sx / ZONE_SIDE_M).astype(np.int64)
    y = np.floor(calls.lat * sy / ZONE_SIDE_M).astype(np.int64)
    numbers: npt.NDArray[np.int64] = (x - x.min()) * 100_000 + (y - y.min())
    return numbers


def worst_decile(setting: Setting, calls: Calls, log: Log, deadline_s: float) -> float | None:
    """Share of priority-1 calls in time in the worst tenth of the squares; None when no square has enough calls."""
    chosen = (calls.t_sec >= DAY_S) & (calls.priority == 1)
    zone = zones(setting, calls)[chosen]
    ok = (log.first_at_scene_s[chosen] <= deadline_s).astype(np.float64)
    _, index, count = np.unique(zone, return_inverse=True, return_counts=True)
    enough = count >= ZONE_CALLS_MIN
    if not enough.any():
        return None
    hits = np.bincount(index, weights=ok)[enough]
    share = hits / count[enough]
    worst = np.argsort(share, kind="stable")[: max(1, round(len(share) / 10))]
    return round(float(hits[worst].sum() / count[enough][worst].sum()), 5)


def simulate(
    folder: Path, call_file: Path | None, policy: str, deadline_s: float | None = None, seed: int = 0,
    street_posts: int = 0, days: int = 15, city: City | None = None, travel_cv: float = 0.0,
) -> dict[str, Any]:  # fmt: skip
    """What `siaga simulate` does for a city folder. Without a call file, calls are drawn from `seed`."""
    city = city if city is not None else read_city(folder)
    setting = prepare(city, deadline_s, street_posts, warnings=True)
    calls = read_calls(call_file, city) if call_file is not None else draw_calls(city, seed, days)
    log, wall_s = run(setting, calls, setting.policy(policy), seed, Faults(travel_cv=travel_cv))
    deadline = deadline_s if deadline_s is not None else setting.terms.target_s[0]
    return figures(setting, calls, log, policy, wall_s, deadline) | {"travel_cv": travel_cv}
