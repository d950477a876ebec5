"""`python -m simulators.whatif`: one block of a manager's "what if", in a process of its own beside the live server.

Reads a `Block` as JSON from standard input, writes `{"progress": 0..1}` lines and at last `{"drawn": ...}` or
`{"refused": ...}` to standard output. Every arm meets the same emergencies (same seed, same places, same scene times;
only ring-to-answer times stretch when that is the question), so differences are the scenario's and not the draw's.
The first day only fills the streets and is not counted. Priority of the process is the lowest there is.
"""

from __future__ import annotations

import functools
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from dashboards.scenario import CHECKED_MAX, RANKED_MAX, AddUnits, Block, Changes, Drawn, Place, RankQuestion
from dispatch import pack
from dispatch.engine import Engine
from dispatch.model import Rejected
from dispatch.policies import registry
from dispatch.policies.coverage import Coverage, DemandPoints
from dispatch.policies.registry import Terms
from dispatch.policies.view import Choice, Move, Policy, View
from dispatch.region import Demand, Post, Region, UnitSpec
from geo.places_tables import Village, read_villages
from geo.roads import RoadGraph
from geo.router import M_PER_DEG
from simulators.cityfile import Calls
from simulators.packs import ANSWER_MEDIAN_S, EXPLAINED_MAX, draw_year, load_roads
from simulators.roads import GraphRoads
from simulators.world import EPOCH, World
from sla.reach import first_capabilities

NICE = 19
DAY_S = 86_400.0
WARM_DAYS = 1
PROGRESS_EVERY_S = 0.4
BUSY_SHARE = 0.3
"""Chance that a unit counted on is taken when the call comes: q of POLICY.md's coverage."""
NEAR_M = 3_000.0
"""Two places of the list nearer than this would be the same post; the better one stays."""

Tell = Callable[[float], None]


class StandStill:
    """A policy without its move-up."""

    period_s: float | None = None

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.name = f"{policy.name}, move-up off"
        self.cites = policy.cites

    def assign(self, view: View) -> Sequence[Choice]:
        return self._policy.assign(view)

    def relocate(self, view: View) -> Sequence[Move]:
        return ()


class City(NamedTuple):
    """What all arms share."""

    region: Region
    demand: Demand
    villages: list[Village]
    graph: RoadGraph
    roads: GraphRoads


def open_city(folder: Path, var: Path) -> City:
    """Raises Rejected("no_demand") for a pack that counts nothing."""
    region = pack.load(folder)
    if region.demand is None or not (folder / "kelurahan.csv").exists():
        raise Rejected("no_demand", "demand.toml", folder=folder.name)
    limits = msgspec.structs.replace(
        region.limits, candidates_max=EXPLAINED_MAX, risk_check_s=None, crew_check_s=None, hourly_traffic=False
    )
    graph = load_roads(folder, region, var)
    graph.warm_up()
    return City(
        msgspec.structs.replace(region, limits=limits),
        region.demand,
        read_villages(folder / "kelurahan.csv"),
        graph,
        GraphRoads(graph),
    )


def changed(region: Region, changes: Changes) -> tuple[Region, dict[str, tuple[float, float]]]:
    """The region with the changes, and the local hours of units that are not on duty day and night."""
    posts, units = dict(region.posts), dict(region.units)
    on_duty_h: dict[str, tuple[float, float]] = {}
    for code in changes.close:
        closed = posts.pop(code)
        for unit in list(units.values()):
            if unit.home_post != code:
                continue
            del units[unit.unit_id]
            if changes.closed_units == "nearest":
                units[unit.unit_id] = msgspec.structs.replace(unit, home_post=_nearest(closed, unit, posts, region))
    for number, added in enumerate(changes.add):
        post = added.post
        if not post:
            assert added.lon is not None, "checked: a new place has a position"
            assert added.lat is not None, "checked: a new place has a position"
            post = f"BARU-{number}"
            posts[post] = Post(post, added.name or post, "posko", added.lon, added.lat, added.count)
        else:
            posts[post] = msgspec.structs.replace(posts[post], capacity=posts[post].capacity + added.count)
        agency = next((u.agency for u in region.units.values() if u.unit_type == added.unit_type), "")
        for k in range(added.count):
            name = f"TAMBAH-{number}-{k}"
            units[name] = UnitSpec(name, added.unit_type, agency, post)
            if added.hours < 24.0:
                on_duty_h[name] = (added.from_h, added.to_h)
    return msgspec.structs.replace(region, posts=posts, units=units), on_duty_h


def _nearest(closed: Post, unit: UnitSpec, posts: dict[str, Post], region: Region) -> str:
    """The post nearest by straight line among those where a unit of the same agency stands, else of all."""
    ours = {u.home_post for u in region.units.values() if u.agency == unit.agency} & posts.keys() or posts.keys()
    return min(ours, key=lambda p: ((posts[p].lon - closed.lon) ** 2 + (posts[p].lat - closed.lat) ** 2, p))


class _Counting(World):
    """A world that tells how far it is."""

    tell: Tell
    told_s = 0.0

    def _on_submit(self, t: float, call: int) -> None:
        super()._on_submit(t, call)
        now_s = time.monotonic()
        if now_s - self.told_s > PROGRESS_EVERY_S:
            self.told_s = now_s
            self.tell((call + 1) / len(self.calls))


def draw(city: City, days: int, seed: int, first_day: int, answer_s: float | None) -> Calls:
    """The emergencies of `days` days and the warm-up before, from `first_day` of the year on."""
    epoch = EPOCH + timedelta(days=first_day)
    span = days + WARM_DAYS
    calls = draw_year(
        city.region, city.demand, city.villages, span / 365.0, seed, epoch, answer_s if answer_s else ANSWER_MEDIAN_S
    )
    snapped = [city.roads.snap(lon, lat) for lon, lat in zip(calls.lon.tolist(), calls.lat.tolist(), strict=True)]
    calls.node[:] = [node for node, _ in snapped]
    calls.offroad_m[:] = [metres for _, metres in snapped]
    return calls


def run_arm(city: City, changes: Changes, calls: Calls, seed: int, first_day: int, tell: Tell) -> tuple[Any, int, str]:
    """(seconds from first ring to the first capable unit at the scene by call, orders to move, policy)."""
    region, on_duty_h = changed(city.region, changes)
    policy: Policy = registry.make(region.policy, region, city.graph)
    if changes.move_up is False:
        policy = StandStill(policy)
    elif changes.move_up is True and region.policy != "siaga":
        policy = registry.make("siaga", region, city.graph)
    epoch = EPOCH + timedelta(days=first_day)
    world = _Counting(
        Engine(region, city.graph, policy), city.roads, calls, seed, epoch=epoch, on_duty_h=on_duty_h
    )  # fmt: skip
    world.tell = tell
    log = world.run()
    return log.first_at_scene_s, log.moves, policy.name


def run_block(block: Block, tell: Tell) -> Drawn:
    """All arms of a block, one after the other. Raises Rejected."""
    city = open_city(Path(block.pack), Path(block.var))
    arms, places = list(block.arms), []
    if block.rank is not None:
        places = best_places(city, block.rank)
        arms += [as_changes(p, block.rank) for p in places[: min(block.rank.check, CHECKED_MAX)]]
    first: Calls | None = None
    columns: list[Any] = []
    moves: list[int] = []
    policy = ""
    for number, changes in enumerate(arms):
        calls = draw(city, block.days, block.seed, block.first_day, changes.answer_s)
        first = calls if first is None else first
        of_arm = functools.partial(_part, tell, number, len(arms))
        response_s, moved, name = run_arm(city, changes, calls, block.seed, block.first_day, of_arm)
        columns.append(response_s)
        moves.append(moved)
        policy = policy or name
    assert first is not None, "a block has at least the city as it is"
    counted = (first.priority == 1) & (first.t_sec >= WARM_DAYS * DAY_S)
    assert first.zone is not None, "a drawn year knows its zones"
    day = (first.t_sec[counted] + city.region.utc_offset_h * 3600.0) // DAY_S
    return Drawn(
        day=[int(d) for d in day.tolist()],
        zone=first.zone[counted].tolist(),
        response_s=[[None if math.isnan(s) else round(s, 1) for s in c[counted].tolist()] for c in columns],
        zones=sorted(city.region.zones),
        moves=moves,
        target_s=city.region.limits.target_s,
        approximate_roads=city.graph.approximate,
        policy=policy,
        places=places,
    )


def _part(tell: Tell, number: int, arms: int, share: float) -> None:
    """Tell of the whole what is known of one arm."""
    tell((number + share) / arms)


def best_places(city: City, question: RankQuestion) -> list[Place]:
    """Every kelurahan by how much more of the priority-1 demand one unit there would cover, best first.

    Gain = sum_j w_j (1-q) c_j prod_units (1 - (1-q) c_uj): the marginal term of the expected coverage model (Daskin, Transportation
    Science 17, 1983) with soft coverage c, over units that may arrive first at a medical emergency. Stands for the
    hours the unit is on duty; a kelurahan within 3 km of a better one is left out.
    """
    region = city.region
    kind = region.unit_types[question.unit_type]
    terms = Terms.of(region)
    coverage = Coverage(
        region, city.graph, DemandPoints.of_region(region), within_s=terms.target_s[0] - terms.overhead_s
    )
    first = first_capabilities(region)
    if not kind.capabilities & first:
        raise Rejected("not_a_first_unit", "unit_type", unit_type=question.unit_type)
    missed = coverage.weight.astype(np.float64).copy()
    for unit in region.units.values():
        of = region.unit_types[unit.unit_type]
        if of.capabilities & first:
            post = region.posts[unit.home_post]
            missed *= 1.0 - (1.0 - BUSY_SHARE) * coverage.row(post.lon, post.lat, of.mode)
    found = [
        Place(
            v.code, v.name, v.code[:8], v.lon, v.lat,
            float(((1.0 - BUSY_SHARE) * coverage.row(v.lon, v.lat, kind.mode) * missed).sum()),
        )
        for v in city.villages
    ]  # fmt: skip
    kept: list[Place] = []
    for place in sorted(found, key=lambda p: (-p.gain, p.code)):
        if len(kept) < RANKED_MAX and all(_apart_m(place, other) > NEAR_M for other in kept):
            kept.append(place)
    return kept


def _apart_m(one: Place, other: Place) -> float:
    return M_PER_DEG * math.hypot((one.lon - other.lon) * math.cos(math.radians(one.lat)), one.lat - other.lat)


def as_changes(place: Place, question: RankQuestion) -> Changes:
    """One more unit at a place of the list."""
    return Changes(
        add=[
            AddUnits(
                question.unit_type, 1, lon=place.lon, lat=place.lat, name=place.name, from_h=question.from_h,
                to_h=question.to_h,
            )
        ]
    )  # fmt: skip


def _say(value: dict[str, Any]) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(value) + b"\n")
    sys.stdout.buffer.flush()


def main() -> None:
    os.nice(NICE)
    block = msgspec.json.decode(sys.stdin.buffer.read(), type=Block)
    try:
        drawn = run_block(block, lambda f: _say({"progress": round(f, 3)}))
    except Rejected as refusal:
        _say({"refused": {"code": refusal.code, "field": refusal.field, "detail": refusal.detail}})
        return
    _say({"drawn": drawn})


if __name__ == "__main__":
    main()
