"""`siaga bench engine`: what a decision costs, on a region pack's own roads, fleet and calls.

The world of `simulators.world` drives the engine as `siaga simulate` does, every command timed by CPU. Two yardsticks run
beside it: the policy that only looks for the closest unit, and the k nearest units by the bounded road search alone.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table

from dispatch import commands as cmd
from dispatch import events as ev
from dispatch import pack
from dispatch.engine import Engine
from dispatch.fold import State
from dispatch.model import Actor, Position, Rejected
from dispatch.policies import registry
from dispatch.region import Region
from geo.places_tables import read_villages
from geo.roads import RoadGraph
from geo.router import Fleet
from simulators.cityfile import Calls
from simulators.packs import draw_year, load_roads
from simulators.roads import GraphRoads
from simulators.world import World

NEAREST_ASKED = 500
"""Questions of the yardstick search; its cost varies with the place."""


@dataclass
class Timed:
    """An engine whose every step is timed, ms of CPU by what came of it."""

    engine: Engine
    sent_ms: list[float] = field(default_factory=list)
    """Steps that sent a unit and moved nobody."""
    moved_ms: list[float] = field(default_factory=list)
    """Steps that ordered a move-up, with or without a sending."""
    other_ms: list[float] = field(default_factory=list)

    @property
    def state(self) -> State:
        return self.engine.state

    @property
    def fleet(self) -> Fleet:
        return self.engine.fleet

    def step(self, command: cmd.Command, at: datetime, actor: Actor) -> Sequence[ev.Entry]:
        began = time.process_time()
        entries = self.engine.step(command, at, actor)
        took_ms = 1e3 * (time.process_time() - began)
        kinds = {type(entry.event) for entry in entries}
        into = self.moved_ms if ev.MoveOrdered in kinds else self.sent_ms if ev.UnitAssigned in kinds else self.other_ms
        into.append(took_ms)
        return entries

    def next_deadline(self) -> datetime | None:
        return self.engine.next_deadline()

    def fix(self, unit_id: str, position: Position) -> None:
        self.engine.fix(unit_id, position)


@dataclass(frozen=True)
class Measured:
    """One policy's run; CPU seconds of the whole loop, world included."""

    policy: str
    incidents: int
    commands: int
    events: int
    cpu_s: float
    timed: Timed


def measure(folder: Path, var: Path, days: float, policies: Sequence[str]) -> tuple[list[Measured], list[float], int]:
    """Runs of the same drawn days, the yardstick search in ms each, and how many units there are.

    Raises Rejected when the pack has no demand to draw from.
    """
    region = pack.load(folder)
    demand = region.demand
    if demand is None:
        raise Rejected("no_demand", "demand.toml", folder=folder.name)
    graph = load_roads(folder, region, var)
    graph.warm_up()
    # The hour's travel times are prepared beside the writer live (siaga/road_clock.py); here they would be counted as deciding.
    limits = msgspec.structs.replace(region.limits, crew_check_s=None, hourly_traffic=False)
    region = msgspec.structs.replace(region, limits=limits)
    calls = draw_year(region, demand, read_villages(folder / "kelurahan.csv"), days / 365.0, 1)
    roads = GraphRoads(graph)
    for i, (lon, lat) in enumerate(zip(calls.lon.tolist(), calls.lat.tolist(), strict=True)):
        calls.node[i], calls.offroad_m[i] = roads.snap(lon, lat)
    found: list[Measured] = []
    for policy in policies:
        if not found:
            _run(region, graph, policy, calls, roads)  # kernels compiled and caches of the roads warm
        found.append(_run(region, graph, policy, calls, roads))
    return found, _nearest_ms(region, graph, calls), len(region.units)


def _run(region: Region, graph: RoadGraph, policy: str, calls: Calls, roads: GraphRoads) -> Measured:
    timed = Timed(Engine(region, graph, registry.make(policy, region, graph)))
    world = World(timed, roads, calls, 1)
    began = time.process_time()
    log = world.run()
    return Measured(policy, len(calls), log.commands, log.events, time.process_time() - began, timed)


def _nearest_ms(region: Region, graph: RoadGraph, calls: Calls) -> list[float]:
    fleet = graph.fleet()
    for unit_id, unit in region.units.items():
        post = region.posts[unit.home_post]
        fleet.place(unit_id, post.lon, post.lat)
    took = []
    for lon, lat in zip(calls.lon[:NEAREST_ASKED].tolist(), calls.lat[:NEAREST_ASKED].tolist(), strict=True):
        began = time.perf_counter()
        fleet.nearest(lon, lat, 8)
        took.append(1e3 * (time.perf_counter() - began))
    return took


def show(found: Sequence[Measured], nearest_ms: Sequence[float], units: int) -> None:
    """The table: milliseconds of CPU a step."""
    table = Table(title=f"Keputusan / decisions: {units} units, {found[0].incidents:,} incidents")
    for heading in ("", "n", "p50 ms", "p99 ms", "max ms"):
        table.add_column(heading, justify="left" if not heading else "right")

    def line(name: str, ms: Sequence[float]) -> None:
        if len(ms):
            p50, p99, most = np.quantile(np.array(ms), [0.5, 0.99, 1.0]).tolist()
            table.add_row(name, f"{len(ms):,}", f"{p50:.2f}", f"{p99:.2f}", f"{most:.2f}")

    line("yardstick: 8 nearest by the bounded road search", nearest_ms)
    for run in found:
        line(f"{run.policy}: a unit is sent", run.timed.sent_ms)
        line(f"{run.policy}: with move-up", run.timed.moved_ms)
        line(f"{run.policy}: every other step", run.timed.other_ms)
    console = Console(width=110)
    console.print(table)
    for run in found:
        steps = sum(map(len, (run.timed.sent_ms, run.timed.moved_ms, run.timed.other_ms)))
        busy_s = sum(map(sum, (run.timed.sent_ms, run.timed.moved_ms, run.timed.other_ms))) / 1e3
        console.print(
            f"{run.policy}: {steps / busy_s:,.0f} decisions/s, {run.events / run.cpu_s:,.0f} simulated events/s, "
            f"{1e3 * run.cpu_s / run.incidents:.1f} ms of CPU an incident with the world's part"
        )
