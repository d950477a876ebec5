"""Runs a seed: a safety phase under faults, then healing, after which everything must come to its good end."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine
from typing import Any

from tests.simulation.faults import Faults
from tests.simulation.loop import VirtualLoop, seeded
from tests.simulation.people import People
from tests.simulation.world import Result, World, patched

HEAL_S_MAX = 90.0
"""By then every node must have caught up. The slowest thing is a clock that was set forward 20 s."""


async def _live(world: World) -> None:
    chance = seeded(world.seed, "run")
    faults_s = chance.uniform(25.0, 50.0)
    people, faults = People(world), Faults(world)
    for host in world.hosts:
        world.boot(host)
    people.begin()
    hurting = world.loop.spawn(None, faults.run(faults_s))
    stopped = world.loop.spawn(None, world.stop.wait())
    await asyncio.wait([hurting, stopped], return_when=asyncio.FIRST_COMPLETED)
    await asyncio.wait([stopped], timeout=12.0)  # what was begun ends by itself
    if world.watch.violation is not None:
        return
    if hurting.done():
        hurting.result()
    people.calm = True
    faults.heal()
    began_s = world.loop.time()
    while world.watch.violation is None and not _healed(world, people):
        if world.loop.time() - began_s > HEAL_S_MAX:
            world.watch.fail(f"not healed after {HEAL_S_MAX:.0f} s: {_what_is_wrong(world, people)}")
            return
        await asyncio.sleep(0.5)
    world.watch.final()


async def _outage(world: World, outage_s: float) -> None:
    """Nothing goes wrong but the database, which is away for `outage_s`."""
    people = People(world, pace=8.0)
    for host in world.hosts:
        world.boot(host)
    people.begin()
    stopped = world.loop.spawn(None, world.stop.wait())
    await asyncio.wait([stopped], timeout=20.0)
    before, heard = world.leader(), len(world.watch.acked)
    world.database.stop()
    await asyncio.wait([stopped], timeout=outage_s)
    world.faults["acknowledged in the outage"] = len(world.watch.acked) - heard
    world.database.start()
    people.calm = True
    began_s = world.loop.time()
    while world.watch.violation is None and not _healed(world, people):
        if world.loop.time() - began_s > HEAL_S_MAX + outage_s:
            world.watch.fail(f"not healed: {_what_is_wrong(world, people)}")
        await asyncio.sleep(0.5)
    if world.leader() is not before:
        world.watch.fail("the leader lost its place though it served all the time")
    if world.watch.redecided:
        world.watch.fail(f"{len(world.watch.redecided)} commands were decided anew though nobody took their place")
    world.watch.final()


def _healed(world: World, people: People) -> bool:
    return not _what_is_wrong(world, people)


def _what_is_wrong(world: World, people: People) -> str:
    leading = [h.name for h in world.hosts if h.running and h.live is not None and h.live.leading]
    if len(leading) != 1:
        return f"leaders: {leading}"
    seq = world.watch.truth.seq
    for host in world.hosts:
        if not host.reachable or host.live is None:
            return f"{host.name} is not up"
        if host.live.hub.state.seq != seq:
            return f"{host.name} is at {host.live.hub.state.seq} of {seq}"
        if host.live.journal.degraded:  # type: ignore[attr-defined]
            return f"{host.name} still has a spool"
        if host.live.hub.degraded:
            return f"{host.name} still says degraded"
    if world.database.tables.orphans:
        return f"{len(world.database.tables.orphans)} commands wait to be decided anew"
    if people.busy > len(world.region.units):
        return f"{people.busy} requests are unanswered"
    unserved = world.watch.unserved()
    return f"unserved: {unserved}" if unserved else ""


def run_seed(seed: int) -> Result:
    """One whole life. The same seed gives the same result, to the byte."""
    return _run(seed, 3 if seed % 4 == 0 else 2, _live)


def run_outage(seed: int, outage_s: float) -> Result:
    """A database that is away for so long, and a quiet end."""
    return _run(seed, 2, lambda world: _outage(world, outage_s))


def _run(seed: int, hosts: int, life: Callable[[World], Coroutine[Any, Any, None]]) -> Result:
    loop = VirtualLoop()
    world = World(seed, loop, hosts)
    gc_was_on = gc.isenabled()
    gc.disable()  # a collection at a moment of its own choosing would close what is only dead in here
    try:
        with patched(world):
            try:
                loop.run_until_complete(loop.spawn(None, life(world)))
            except RuntimeError as stuck:
                world.watch.violation = world.watch.violation or str(stuck)
            world.over = True
            watch = world.watch
            digest = watch.digest.copy()
            digest.update(str((sorted(world.answers.items()), sorted(world.faults.items()), loop.now_s)).encode())
            result = Result(
                seed=seed,
                violation=watch.violation,
                digest=digest.hexdigest(),
                lines=watch.truth.seq,
                acked_reports=sum(p.endswith(("/reports", "submit_report")) for p, _ in watch.acked.values()),
                acked=len(watch.acked),
                virtual_s=loop.now_s,
                faults=dict(world.faults),
            )
            loop.take_apart()
    finally:
        if gc_was_on:
            gc.enable()
    return result
