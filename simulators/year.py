"""A year of a region as its journal would read: for looking at boards, for browser tests and benchmarks. Invented throughout.

The pack's own demand, plans, fleet and policy through the live engine (`packs.py`), with what a control room has besides:
calls that ring and are answered, callers who hang up, and reports dismissed as pranks. The shares of the latter two are
assumptions; Surabaya publishes neither.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np

from dispatch import commands as cmd
from dispatch import events as ev
from dispatch import pack
from dispatch.engine import Engine
from dispatch.model import Actor, Channel, Place, Rejected
from dispatch.policies import registry
from dispatch.region import Region
from geo.places_tables import read_villages
from geo.roads import RoadGraph
from simulators.cityfile import Calls
from simulators.packs import ANSWER_MEDIAN_S, CALL_SPREAD, EXPLAINED_MAX, draw_year
from simulators.roads import GraphRoads
from simulators.world import CALL_TAKER, Faults, World

ABANDONED = 0.03
"""Of all calls: hung up before anybody answered. An assumption."""
DISMISSED = 0.12
"""Of all calls: answered and no emergency. An assumption; other centres report anything from 5 to 90 %."""
REASONS = ("iseng", "telepon diam", "salah sambung", "minta informasi", "layanan lain")
CALLED_BACK = 0.8
TRAVEL_CV = 0.25
"""Real over predicted driving time: without it no response would be late by the road."""
Sink = Callable[[Sequence[ev.Entry]], None]


class _Recording:
    """The engine with everything it decides told to a sink."""

    def __init__(self, engine: Engine, sink: Sink) -> None:
        self._engine = engine
        self._sink = sink
        self.last: Sequence[ev.Entry] = ()
        self.state = engine.state
        self.fleet = engine.fleet
        self.fix = engine.fix
        self.next_deadline = engine.next_deadline

    def step(self, command: cmd.Command, at: datetime, actor: Actor) -> Sequence[ev.Entry]:
        self.last = self._engine.step(command, at, actor)
        self._sink(self.last)
        return self.last


class _Room(World):
    """A world whose calls ring, are answered by somebody, and sometimes are nothing."""

    def __init__(self, engine: _Recording, roads: GraphRoads, calls: Calls, seed: int, epoch: datetime) -> None:
        super().__init__(engine, roads, calls, seed, Faults(travel_cv=TRAVEL_CV), epoch=epoch)
        self._recording = engine
        self._room = np.random.default_rng([seed, 112])
        self._report_of: dict[int, str] = {}
        self._idle: dict[str, str] = {}

    def run(self, until_s: float | None = None) -> object:  # type: ignore[override]
        answer_s = self._room.lognormal(math.log(ANSWER_MEDIAN_S), CALL_SPREAD, len(self.calls))
        for i, (t, delay) in enumerate(
            zip(self.calls.t_sec.tolist(), self.calls.dispatch_delay_s.tolist(), strict=True)
        ):
            self._later(t, "ring", i)
            self._later(t + min(float(answer_s[i]), 0.8 * delay), "answer", i)
        span_s = float(self.calls.t_sec[-1]) if len(self.calls) else 0.0
        for n in range(int(self._room.poisson(len(self.calls) * (ABANDONED + DISMISSED)))):
            self._later(float(self._room.random() * span_s), "idle_ring", f"kosong-{n}")
        return super().run(until_s)

    def _present(self, t: float, name: str) -> str | None:
        self._send(
            cmd.PresentCall(call_id=name, line="1", rang_at=self.at(t)), t, Actor(role="partner", name="exchange")
        )
        found = (e.event.report_id for e in self._recording.last if isinstance(e.event, ev.CallPresented))
        return next(found, None)

    def _on_ring(self, t: float, call: int) -> None:
        report = self._present(t, f"panggilan-{call}")
        if report is not None:
            self._report_of[call] = report

    def _on_answer(self, t: float, call: int) -> None:
        if call in self._report_of:
            self._send(cmd.AnswerReport(report_id=self._report_of[call]), t, CALL_TAKER)

    def _on_submit(self, t: float, call: int) -> None:
        self._fix_all(t)
        calls = self.calls
        report = self._report_of.pop(call, None)
        command = cmd.SubmitReport(
            channel=Channel.CALL,
            kind=calls.kind[call],
            place=Place(float(calls.lon[call]), float(calls.lat[call])),
            report_id=report,
            rang_at=None if report is not None else self.at(float(calls.t_sec[call])),
        )
        self._submitting = call
        self._unsent -= 1
        self._send(command, t, CALL_TAKER)
        self._submitting = None

    def _on_idle_ring(self, t: float, name: str) -> None:
        report = self._present(t, name)
        if report is None:
            return
        self._idle[name] = report
        if self._room.random() < ABANDONED / (ABANDONED + DISMISSED):
            self._later(t + float(self._room.exponential(14.0)), "hang_up", name)
        else:
            self._later(t + float(self._room.lognormal(math.log(ANSWER_MEDIAN_S), CALL_SPREAD)), "pick_up", name)

    def _on_hang_up(self, t: float, name: str) -> None:
        self._send(cmd.AbandonCall(report_id=self._idle[name]), t, CALL_TAKER)
        if self._room.random() < CALLED_BACK:
            self._later(t + float(self._room.lognormal(math.log(60.0), 0.8)), "pick_up", name)

    def _on_pick_up(self, t: float, name: str) -> None:
        self._send(cmd.AnswerReport(report_id=self._idle[name]), t, CALL_TAKER)
        self._later(t + 20.0 + float(self._room.exponential(25.0)), "dismiss", name)

    def _on_dismiss(self, t: float, name: str) -> None:
        reason = REASONS[int(self._room.integers(len(REASONS)))]
        self._send(cmd.DismissReport(report_id=self._idle.pop(name), reason=reason), t, CALL_TAKER)


def simulate_year(
    folder: Path, graph: RoadGraph, first: datetime, days: int, seed: int, sink: Sink, policy: str = "closest"
) -> tuple[Region, Engine]:  # fmt: skip
    """`days` days from `first` (a midnight in UTC), every journal line to `sink` in order. The engine is left as it ends.

    The policy without move-up is the default: the pack's own takes some fifty times as long, and boards look alike.
    """
    region = pack.load(folder)
    demand = region.demand
    if demand is None:
        raise Rejected("no_demand", "demand.toml", folder=folder.name)
    limits = msgspec.structs.replace(region.limits, candidates_max=EXPLAINED_MAX, hourly_traffic=False)
    region = msgspec.structs.replace(region, limits=limits)
    years = days / 365.0
    calls = draw_year(region, demand, read_villages(folder / "kelurahan.csv"), years, seed, first)
    roads = GraphRoads(graph)
    snapped = [roads.snap(lon, lat) for lon, lat in zip(calls.lon.tolist(), calls.lat.tolist(), strict=True)]
    calls.node[:] = [node for node, _ in snapped]
    calls.offroad_m[:] = [metres for _, metres in snapped]
    engine = Engine(region, graph, registry.make(policy, region, graph))
    _Room(_Recording(engine, sink), roads, calls, seed, first).run()
    return region, engine


def midnight_before(now: datetime, days: int) -> datetime:
    """The midnight in UTC that lies `days` whole days before today's."""
    return now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days)
