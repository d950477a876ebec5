"""A made-up town of 12 x 12 crossings, 400 m apart, for worlds that run in milliseconds."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from dispatch import commands as cmd
from dispatch import events as ev
from dispatch.engine import Engine
from dispatch.fold import State
from dispatch.model import ENGINE, Actor
from dispatch.policies import registry
from dispatch.policies.coverage import DemandPoints
from dispatch.policies.view import Policy
from dispatch.region import Hospital, Kind, Limits, Plan, Post, Region, Slot, UnitSpec, UnitType, Zone
from simulators.cityfile import Calls
from simulators.net import TravelNet
from simulators.world import NO_FAULTS, Faults, Log, World

SIDE = 12
STEP_DEG = 400.0 / 111_320.0
TERMS = registry.Terms((420.0, 420.0, 1200.0), overhead_s=60.0)


def town_net() -> TravelNet:
    """Streets both ways, 35 km/h with lights and 24 without; one in seven is one-way, so that there and back differ."""
    rng = np.random.default_rng(5)
    lon = np.array([i * STEP_DEG for i in range(SIDE) for _ in range(SIDE)])
    lat = np.array([j * STEP_DEG for _ in range(SIDE) for j in range(SIDE)])
    tail, head = [], []
    for i in range(SIDE):
        for j in range(SIDE):
            for di, dj in ((1, 0), (0, 1)):
                if i + di < SIDE and j + dj < SIDE:
                    a, b = i * SIDE + j, (i + di) * SIDE + j + dj
                    tail.append(a)
                    head.append(b)
                    if rng.random() > 1 / 7 or i in (0, SIDE - 1) or j in (0, SIDE - 1):
                        tail.append(b)
                        head.append(a)
    length_m = np.full(len(tail), 400.0)
    arc_s = {"lights": length_m * 3.6 / 35.0, "regular": length_m * 3.6 / 24.0}
    return TravelNet(
        lon, lat, np.ones(len(lon), np.bool_), np.array(tail), np.array(head), arc_s, {"lights": 15.0, "regular": 12.0}
    )


def town_region(**limits: Any) -> Region:
    """Four posts, two hospitals, four ambulances, two motorbikes, one engine; a crash wants an ambulance and an engine."""

    def post(code: str, i: int, j: int) -> Post:
        return Post(code, code, "posko", i * STEP_DEG, j * STEP_DEG, capacity=3)

    types = {
        "ambulance": UnitType("ambulance", "A", "", "", frozenset({"ambulance"}), "lights", 60.0, 90.0, transport=True),
        "motorbike": UnitType("motorbike", "M", "", "", frozenset({"motorbike"}), "lights", 40.0, 60.0),
        "engine": UnitType("engine", "P", "", "", frozenset({"engine"}), "lights", 80.0, 90.0),
    }
    fleet = [
        ("A01", "ambulance", "ems", "P1"), ("A02", "ambulance", "ems", "P2"), ("A03", "ambulance", "ems", "P3"),
        ("A04", "ambulance", "ems", "P4"), ("M01", "motorbike", "ems", "P1"), ("M02", "motorbike", "ems", "P3"),
        ("P01", "engine", "fire", "P2"), ("P02", "engine", "fire", "P4"),
    ]  # fmt: skip
    kinds = {
        "medis": Kind("medis", "", "", 1, "ems", medical=True, transport_share=0.6),
        "laka": Kind("laka", "", "", 2, "ems", transport_share=0.5),
        "jemput": Kind("jemput", "", "", 3, "ems"),
    }
    plans = (
        Plan("medis", frozenset({"medis"}), (Slot(("motorbike", "ambulance")), Slot(("ambulance",)))),
        Plan("laka", frozenset({"laka"}), (Slot(("ambulance",)), Slot(("engine",), first=False))),
        Plan("jemput", frozenset({"jemput"}), (Slot(("ambulance",)),)),
    )
    return Region(
        code="kota-uji",
        name="Kota Uji",
        utc_offset_h=7.0,
        bbox=(-0.2, -0.2, 0.3, 0.3),
        kinds=kinds,
        unit_types=types,
        units={u: UnitSpec(u, t, a, p) for u, t, a, p in fleet},
        posts={p.code: p for p in (post("P1", 2, 2), post("P2", 9, 2), post("P3", 2, 9), post("P4", 9, 9))},
        hospitals={
            "H1": Hospital("H1", "H1", 6 * STEP_DEG, 6 * STEP_DEG),
            "H2": Hospital("H2", "H2", 11 * STEP_DEG, 0.0),
        },
        plans=plans,
        zones={"z": Zone("z", "z", 0.0, 0.0, 1000, 1.0)},
        limits=msgspec.structs.replace(Limits(duplicate_radius_m=0.0, retry_s=120.0, risk_check_s=60.0), **limits),
    )


def town_demand() -> DemandPoints:
    places = [(i * STEP_DEG, j * STEP_DEG) for i in range(0, SIDE, 2) for j in range(0, SIDE, 2)]
    weight = np.array([1.0 + (i % 5) for i in range(len(places))])
    return DemandPoints.of(np.array([p[0] for p in places]), np.array([p[1] for p in places]), weight)


def town_calls(seed: int, n: int = 25, per_hour: float = 9.0) -> Calls:
    rng = np.random.default_rng(seed)
    kinds = rng.choice(["medis", "laka", "jemput"], n, p=[0.5, 0.3, 0.2]).tolist()
    node = rng.integers(0, SIDE * SIDE, n)
    return Calls(
        t_sec=np.sort(rng.random(n)) * n / per_hour * 3600.0,
        priority=np.array([{"medis": 1, "laka": 2, "jemput": 3}[k] for k in kinds]),
        lon=(node // SIDE) * STEP_DEG,
        lat=(node % SIDE) * STEP_DEG,
        node=node,
        offroad_m=np.zeros(n),
        dispatch_delay_s=rng.exponential(50.0, n) + 10.0,
        on_scene_s=rng.exponential(700.0, n),
        transport=rng.random(n) < 0.6,
        handover_s=rng.exponential(700.0, n),
        kind=kinds,
        zone=np.zeros(n, np.int64),
    )


class Recorder(Engine):
    """An engine that keeps its journal and lets a test look after every step."""

    def __init__(self, region: Region, net: TravelNet, policy: Policy) -> None:
        super().__init__(region, net, policy)
        self.journal: list[ev.Entry] = []
        self.after_step: Any = None

    def step(
        self, command: cmd.Command, at: Any, actor: Actor = ENGINE, command_id: str | None = None
    ) -> list[ev.Entry]:  # fmt: skip
        entries = super().step(command, at, actor, command_id)
        self.journal += entries
        if self.after_step is not None:
            self.after_step(self)
        return entries

    def replayed(self) -> State:
        state = State(self.region)
        for entry in self.journal:
            state.apply(entry)
        return state


def run_town(
    net: TravelNet, name: str, calls: Calls, seed: int = 0, faults: Faults = NO_FAULTS, after_step: Any = None,
    **limits: Any,
) -> tuple[Recorder, World, Log]:  # fmt: skip
    region = town_region(**limits)
    engine = Recorder(region, net, registry.make(name, region, net, town_demand(), TERMS))
    engine.after_step = after_step
    world = World(engine, net, calls, seed, faults, give_up_s=3600.0)
    return engine, world, world.run()
