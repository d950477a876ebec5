"""A year of a region pack: emergencies drawn from its own statistics, served by its own plans, fleet and policy.

What the pack counts (kinds, areas, hours, months) is drawn as it counts; what nobody counts is an assumption and says so:
how long call taking takes, how scene time splits from the time the logs give, and how long a hospital keeps a crew.
"""

from __future__ import annotations

import hashlib
import math
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

import geo.lattice
import geo.network
import geo.speeds
from dispatch import pack
from dispatch.engine import Engine
from dispatch.model import Rejected
from dispatch.policies import registry
from dispatch.region import Demand, KindDemand, Region
from geo.cli import cache_file
from geo.network import build_network
from geo.places_tables import Facts, Village, read_villages
from geo.roads import RoadGraph
from geo.router import FloatArray
from geo.router import Rejected as RoadsRejected
from simulators.cityfile import Calls
from simulators.net import IntArray
from simulators.roads import GraphRoads
from simulators.warned import warning_figures
from simulators.world import EPOCH, Faults, World

YEAR_S = 365 * 86_400.0
ANSWER_MEDIAN_S, ENTRY_MEDIAN_S = 6.0, 35.0
CALL_SPREAD = 0.6
"""Ring to answer and answer to sent report, log-normal. Assumed: half of the 64 s that San Francisco takes from receipt to
entry, because this engine sends on place and kind alone while questions go on."""
RESPONSE_IN_LOG_S = 600.0
"""The public scene times run from report to done; this much of it is call taking and driving. An assumption."""
SCENE_MEAN_S, HANDOVER_MEAN_S = 720.0, 720.0
"""Exponential means of the JEMSS models, for kinds whose scene time nobody published and for hospitals."""
SCENE_MIN_S = 180.0
EXPLAINED_MAX = 4
"""Candidates kept per choice in a simulated journal; nobody will ask these why."""


def load_roads(folder: Path, region: Region, var: Path) -> RoadGraph:
    """The imported network of the region if there is one, else the pack's approximate one, built once and kept in `var`."""
    imported = cache_file(region.code, var)
    if imported.exists():
        return RoadGraph.load(imported)
    tables = b"".join((folder / t).read_bytes() for t in ("roads.csv", "water.csv", "bridges.csv", "kelurahan.csv"))
    code = b"".join(Path(str(m.__file__)).read_bytes() for m in (geo.network, geo.lattice, geo.speeds))
    built = cache_file(f"{region.code}-builtin-{hashlib.sha256(tables + code).hexdigest()[:16]}", var)
    try:
        return RoadGraph.load(built)
    except RoadsRejected:
        graph = build_network(Facts.read(folder), region.code)
        built.parent.mkdir(parents=True, exist_ok=True)
        graph.save(built)
        return graph


def draw_year(
    region: Region, demand: Demand, villages: list[Village], years: float, seed: int, epoch: datetime = EPOCH,
    answer_median_s: float = ANSWER_MEDIAN_S,
) -> Calls:  # fmt: skip
    """Emergencies of `years` years, ordered by time. Times are seconds since `epoch`, a midnight in UTC.

    The same seed draws the same emergencies whatever `answer_median_s` is: only the ring-to-answer times stretch.
    """
    rng = np.random.default_rng(seed)
    columns: list[tuple[FloatArray, list[str], IntArray, FloatArray, np.ndarray, IntArray]] = []
    zone_codes = sorted(region.zones)
    for kind in sorted(demand.kinds):
        counted = demand.kinds[kind]
        n = int(rng.poisson(counted.yearly * years))
        if n == 0:
            continue
        facts = region.kinds[kind]
        t = _times(rng, demand, counted, region.utc_offset_h, n, years, epoch)
        zone = rng.choice(len(zone_codes), n, p=_zone_weights(region, demand, counted, zone_codes)).astype(np.int64)
        transport = rng.random(n) < facts.transport_share
        scene_s = _scene_s(rng, counted, n)
        # A transport's logged time ends at the hospital: what is left for the scene is what a city model's scene takes.
        scene_s = np.where(transport, rng.exponential(SCENE_MEAN_S, n), scene_s)
        columns.append(
            (t, [kind] * n, np.full(n, facts.priority, np.int64), np.maximum(scene_s, SCENE_MIN_S), transport, zone)
        )
    t = np.concatenate([c[0] for c in columns])
    order = np.argsort(t, kind="stable")
    kinds = [k for c in columns for k in c[1]]
    zone = np.concatenate([c[5] for c in columns])[order]
    n = len(t)
    lon, lat = _places(rng, villages, [zone_codes[z] for z in zone.tolist()])
    delay = rng.lognormal(math.log(answer_median_s), CALL_SPREAD, n) + rng.lognormal(
        math.log(ENTRY_MEDIAN_S), CALL_SPREAD, n
    )
    return Calls(
        t_sec=t[order],
        priority=np.concatenate([c[2] for c in columns])[order],
        lon=lon,
        lat=lat,
        node=np.zeros(n, np.int64),
        offroad_m=np.zeros(n),
        dispatch_delay_s=delay,
        on_scene_s=np.concatenate([c[3] for c in columns])[order],
        transport=np.concatenate([c[4] for c in columns])[order],
        handover_s=rng.exponential(HANDOVER_MEAN_S, n),
        kind=[kinds[i] for i in order.tolist()],
        zone=zone,
    )


def _times(
    rng: np.random.Generator, demand: Demand, counted: KindDemand, utc_offset_h: float, n: int, years: float,
    epoch: datetime,
) -> FloatArray:  # fmt: skip
    """Moments by month, weekday and local hour. Kinds without an hourly profile: half the city's profile, half a flat day."""
    hours = np.array(counted.hours or demand.hours or [1.0] * 24, np.float64)
    hours /= hours.sum()
    if not counted.hours:
        hours = 0.5 * hours + 0.5 / 24.0
    months = np.array(counted.months or [1.0] * 12, np.float64)
    weekdays = np.array(demand.weekdays or [1.0] * 7, np.float64)
    days = max(1, round(365 * years))
    dates = [epoch + timedelta(days=d) for d in range(days)]
    weight = np.array([months[d.month - 1] * weekdays[d.weekday()] for d in dates])
    day = rng.choice(days, n, p=weight / weight.sum())
    hour = rng.choice(24, n, p=hours)
    t: FloatArray = day * 86_400.0 + (hour + rng.random(n)) * 3_600.0 - utc_offset_h * 3_600.0
    return np.where(t < 0.0, t + 86_400.0, t)  # the first morning hours of the first local day lie before it


def _zone_weights(region: Region, demand: Demand, counted: KindDemand, codes: list[str]) -> FloatArray:
    """By the kind's own table, else by wing share and, inside a wing, by people."""
    if counted.zones:
        weight = np.array([counted.zones.get(c, 0.0) for c in codes], np.float64)
    else:
        people = {w: sum(z.population for z in region.zones.values() if z.wing == w) for w in demand.wing_share}
        weight = np.array(
            [
                demand.wing_share.get(z.wing, 0.0) * z.population / max(people.get(z.wing, 0), 1)
                for z in (region.zones[c] for c in codes)
            ]
        )
        if not weight.sum() > 0.0:
            weight = np.array([float(max(region.zones[c].population, 1)) for c in codes])
    share: FloatArray = weight / weight.sum()
    return share


def _scene_s(rng: np.random.Generator, counted: KindDemand, n: int) -> FloatArray:
    """Log-normal through the published quartiles (report to done), less the response; exponential where none were."""
    if counted.scene_min is None:
        return rng.exponential(SCENE_MEAN_S, n)
    low, mid, high = (60.0 * m for m in counted.scene_min)
    sigma = math.log(max(high / low, 1.05)) / (2.0 * 0.6745)  # quartiles of the normal lie at +-0.6745
    return rng.lognormal(math.log(mid), sigma, n) - RESPONSE_IN_LOG_S


def _places(rng: np.random.Generator, villages: list[Village], zones: list[str]) -> tuple[FloatArray, FloatArray]:
    """A kelurahan of the zone by people, then anywhere in a disc of its area around its centre."""
    by_zone: dict[str, list[Village]] = {}
    for village in villages:
        by_zone.setdefault(village.code[:8], []).append(village)
    shares = {}
    for z, members in by_zone.items():
        people = np.array([max(v.population, 1.0) for v in members])
        shares[z] = np.cumsum(people / people.sum())
    draws = rng.random((len(zones), 3))
    lon, lat = np.empty(len(zones)), np.empty(len(zones))
    for i, z in enumerate(zones):
        members = by_zone[z]
        v = members[min(int(np.searchsorted(shares[z], draws[i, 0])), len(members) - 1)]
        radius_m = math.sqrt(v.area_km2 / math.pi) * 1000.0 * math.sqrt(draws[i, 1])
        angle = 2.0 * math.pi * draws[i, 2]
        lat[i] = v.lat + radius_m * math.sin(angle) / 111_320.0
        lon[i] = v.lon + radius_m * math.cos(angle) / (111_320.0 * math.cos(math.radians(v.lat)))
    return lon, lat


def simulate(
    folder: Path, policy: str | None, years: float, seed: int, var: Path, travel_cv: float = 0.0,
    hourly: bool = False
) -> dict[str, Any]:  # fmt: skip
    """What `siaga simulate regions/NAME --years N` does. `policy` None = the pack's own.

    `hourly`: travel times follow the hour of the day, for the engine and the vehicles alike, as they do live. Without it
    every hour has the day's mean, which is several times as quick (a change of the hour prices the whole network anew).
    """
    region = pack.load(folder)
    demand = region.demand
    if demand is None:
        raise Rejected("no_demand", "demand.toml", folder=folder.name)
    graph = load_roads(folder, region, var)
    graph.warm_up()
    limits = msgspec.structs.replace(
        region.limits, candidates_max=EXPLAINED_MAX, crew_check_s=None, hourly_traffic=hourly
    )
    region = msgspec.structs.replace(region, limits=limits)
    calls = draw_year(region, demand, read_villages(folder / "kelurahan.csv"), years, seed)
    roads = GraphRoads(graph)
    snapped = [roads.snap(lon, lat) for lon, lat in zip(calls.lon.tolist(), calls.lat.tolist(), strict=True)]
    calls.node[:] = [node for node, _ in snapped]
    calls.offroad_m[:] = [metres for _, metres in snapped]
    name = policy if policy is not None else region.policy
    engine = Engine(region, graph, registry.make(name, region, graph))
    world = World(engine, roads, calls, seed, Faults(travel_cv=travel_cv))
    started = time.perf_counter()
    log = world.run()
    wall_s = time.perf_counter() - started
    urgent = calls.priority == 1
    in_time = log.first_at_scene_s[urgent] <= region.limits.target_s
    return {
        "region": region.code,
        "policy": name,
        "years": years,
        "seed": seed,
        "incidents": len(calls),
        "wall_s": round(wall_s, 2),
        "commands": log.commands,
        "events": log.events,
        "commands_per_s": round(log.commands / wall_s),
        "units_sent": int(log.units_sent.sum()),
        "redispatched": log.redispatched,
        "moves": log.moves,
        "approximate_roads": graph.approximate,
        "hourly_traffic": hourly,
        "assumed": "call taking, scene and hospital times; see simulators/packs.py",
        "travel_cv": travel_cv,
        "p1": _share(in_time, log.first_at_scene_s[urgent]),
        "warnings": warning_figures(log, calls, region.limits.target_s),
        "p1_by_kind": {
            k: _share(log.first_at_scene_s[m] <= region.limits.target_s, log.first_at_scene_s[m])
            for k in sorted(set(calls.kind))
            if region.kinds[k].priority == 1 and (m := np.array([c == k for c in calls.kind])).any()
        },
        "p1_by_zone": {
            z: _share(log.first_at_scene_s[m] <= region.limits.target_s, log.first_at_scene_s[m])
            for i, z in enumerate(sorted(region.zones))
            if (m := urgent & (calls.zone == i)).any()
        },
        "refused_commands": len(log.refused),
    }


def _share(in_time: np.ndarray, response_s: FloatArray) -> dict[str, float | int | None]:
    """Share in time with the 95 % interval of Wilson (JASA 22, 1927); never reached counts as late."""
    n, hits = len(in_time), int(in_time.sum())
    p, z = hits / n, 1.959964
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    served = response_s[~np.isnan(response_s)]
    p50, p90, p99 = np.quantile(served, [0.5, 0.9, 0.99]).tolist() if len(served) else (None, None, None)
    return {
        "n": n,
        "share_within_420": round(p, 4),
        "low": round(centre - half, 4),
        "high": round(centre + half, 4),
        "p50_s": None if p50 is None else round(p50, 1),
        "p90_s": None if p90 is None else round(p90, 1),
        "p99_s": None if p99 is None else round(p99, 1),
        "never_reached": n - len(served),
    }
