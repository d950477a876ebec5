"""What a drill does to a pair of servers and their databases. Each fault returns the seconds until a report that was first sent
after it was acknowledged, and leaves everything running again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import msgspec

from dispatch.spool import RECORD
from siaga.chaos_load import Load
from siaga.chaos_net import Cable, fill
from siaga.chaos_pair import POLL_S, Pair, ServerProcess
from siaga.postgres import EmbeddedPostgres, PostgresError

OUTAGE_S = 6.0
LONG_OUTAGE_S = 60.0
STANDBY_TIMEOUT_S = 60.0
SYNCHRONOUS = "synchronous_standby_names"


class Databases:
    """Two PostgreSQL servers: one writes, the other follows it synchronously. They change places when one is promoted."""

    def __init__(self, primary: EmbeddedPostgres, standby: EmbeddedPostgres) -> None:
        self.primary = primary
        self.standby = standby
        self.following = False

    def follow(self) -> None:
        """Make the standby anew from the primary, and let the primary confirm nothing that the standby does not have."""
        old = self.standby
        old.stop(immediate=True)
        shutil.rmtree(old.folder, ignore_errors=True)
        # What it must not wait for, should it be promoted: a standby of its own.
        self.standby = self.primary.make_replica(old.folder, settings=old.settings | {SYNCHRONOUS: ""})
        self.standby.start()
        self.primary.change({SYNCHRONOUS: "*"})
        self.following = True

    def promote(self) -> None:
        """The standby becomes the primary. The old one must be dead or silent, or it would answer as well."""
        self.standby.promote()
        self.primary, self.standby = self.standby, self.primary
        self.following = False

    def revive(self) -> None:
        """A server may have given up while its disk was full."""
        if self.primary.pid() is None:
            self.primary.stop()
            self.primary.start()

    def stop(self) -> None:
        for cluster in (self.standby, self.primary):
            with contextlib.suppress(PostgresError):
                cluster.stop(immediate=True)


class Drill:
    """One drill's parts and what was measured."""

    def __init__(self, databases: Databases, pair: Pair, load: Load) -> None:
        self.databases = databases
        self.pair = pair
        self.load = load
        self.recovered_s: dict[str, list[float]] = {}

    async def settled(self, within_s: float = 120.0) -> None:
        """Both databases and both nodes up, of one mind, and the standby has everything."""
        await asyncio.to_thread(self.databases.revive)
        if not self.databases.following:
            await asyncio.to_thread(self.databases.follow)
        await self.pair.calm(within_s)
        async with asyncio.timeout(STANDBY_TIMEOUT_S):
            while not await self.pair.is_replicated():  # noqa: ASYNC110 - the event is in another process
                await asyncio.sleep(POLL_S)

    def measured(self, name: str, took_s: float) -> None:
        self.recovered_s.setdefault(name, []).append(took_s)

    async def until_journaled(self) -> None:
        """Until nothing is in a spool any more."""
        async with asyncio.timeout(120.0):
            while True:
                states = [await server.state() for server in self.pair.servers]
                found = [s for s in states if s is not None]
                if any(s["leading"] for s in found) and not any(s["degraded"] for s in found):
                    return
                await asyncio.sleep(POLL_S)


# --- processes


async def leader_killed(d: Drill) -> float:
    leader = await d.pair.leader()
    leader.signal(signal.SIGKILL)
    took_s = await d.load.recovery_s(leader.url)
    await leader.kill()
    await leader.start()
    return took_s


async def leader_frozen(d: Drill) -> float:
    """SIGSTOP until another leads, then SIGCONT: what wakes up must not write."""
    leader = await d.pair.leader()
    leader.signal(signal.SIGSTOP)
    try:
        took_s = await d.load.recovery_s(leader.url)
        await d.pair.leader_but(leader)
        await asyncio.sleep(1.0)
    finally:
        leader.signal(signal.SIGCONT)
    return took_s


async def leader_stopped(d: Drill) -> float:
    leader = await d.pair.leader()
    leader.signal(signal.SIGTERM)
    took_s = await d.load.recovery_s(leader.url)
    await leader.stop()
    await leader.start()
    return took_s


async def follower_killed(d: Drill) -> float:
    follower = d.pair.other(await d.pair.leader())
    follower.signal(signal.SIGKILL)
    took_s = await d.load.recovery_s(follower.url)
    await follower.kill()
    await follower.start()
    return took_s


# --- databases


async def database_frozen(d: Drill) -> float:
    with frozen(d.databases.primary):
        took_s = await d.load.recovery_s()
        await asyncio.sleep(OUTAGE_S)
    return took_s


async def database_crashed(d: Drill) -> float:
    """Power cut of the database: no checkpoint, recovery at the next start."""
    await asyncio.to_thread(d.databases.primary.stop, immediate=True)
    try:
        took_s = await d.load.recovery_s()
        await asyncio.sleep(OUTAGE_S)
    finally:
        await asyncio.to_thread(d.databases.primary.start)
    return took_s


async def database_gone_for_a_minute(d: Drill) -> float:
    """Sixty real seconds under load; what was acknowledged meanwhile has to be in the journal afterwards."""
    began_s = time.perf_counter()
    await asyncio.to_thread(d.databases.primary.stop, immediate=True)
    try:
        took_s = await d.load.recovery_s()
        await asyncio.sleep(LONG_OUTAGE_S - (time.perf_counter() - began_s))
    finally:
        await asyncio.to_thread(d.databases.primary.start)
    back_s = time.perf_counter()
    await d.until_journaled()
    d.measured(DRAINED, time.perf_counter() - back_s)
    return took_s


async def primary_died_replica_promoted(d: Drill) -> float:
    """The usual failover: the primary is gone, somebody (Patroni, an operator) promotes the replica."""
    await asyncio.to_thread(d.databases.primary.stop, immediate=True)
    return await _promoted(d)


async def primary_silent_replica_promoted(d: Drill) -> float:
    """The primary's machine says nothing more, not even that a connection is closed. Then it is put out of its misery."""
    with frozen(d.databases.primary) as pids:
        took_s = await _promoted(d)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):  # in our own namespace nobody else buries them
                os.waitpid(pid, 0)  # noqa: ASYNC222 - it is dead already
    return took_s


async def _promoted(d: Drill) -> float:
    took_s = await d.load.recovery_s()
    await asyncio.to_thread(d.databases.promote)
    promoted_s = time.perf_counter()
    await d.until_journaled()
    d.measured(FOLLOWED, time.perf_counter() - promoted_s)
    return took_s


async def database_disk_full(d: Drill) -> float:
    """No room for another page or another segment of WAL: measured from the moment the disk is full."""
    primary = d.databases.primary
    filler = primary.folder.parent / "filler"
    await asyncio.to_thread(fill, filler)
    try:
        took_s = await d.load.recovery_s()
        await asyncio.sleep(OUTAGE_S)
    finally:
        filler.unlink(missing_ok=True)
    return took_s


# --- lines


async def leader_cut_from_database(d: Drill) -> float:
    leader = await d.pair.leader()
    link = d.pair.link_of(leader)
    link.cut()
    try:
        took_s = await d.load.recovery_s(leader.url)
        await asyncio.sleep(OUTAGE_S)
    finally:
        link.mend()
    return took_s


async def leader_cut_until_replaced(d: Drill) -> float:
    """Longer than a follower's patience: the other takes over, what the cut-off one has spooled is decided anew."""
    leader = await d.pair.leader()
    link, other = d.pair.link_of(leader), d.pair.other(leader)
    link.cut()
    try:
        took_s = await d.load.recovery_s(leader.url)
        for _ in range(8):
            await d.load.report(leader.url)
        if await d.pair.leader_but(leader) is not other:
            raise AssertionError("nobody took over")
    finally:
        link.mend()
    return took_s


async def nodes_cut_from_each_other(d: Drill) -> float:
    """The follower cannot hand on; callers find the leader themselves."""
    return await _cut(d, d.pair.other(await d.pair.leader()), [d.pair.networks().between])


async def callers_cut_from_leader(d: Drill) -> float:
    """It leads on, reached through the follower."""
    leader = await d.pair.leader()
    return await _cut(d, leader, [d.pair.networks().to_callers[d.pair.servers.index(leader)]])


async def leader_cut_from_everybody(d: Drill) -> float:
    """All its cables at once: it believes to lead until it hears again."""
    leader = await d.pair.leader()
    n, town = d.pair.servers.index(leader), d.pair.networks()
    return await _cut(d, leader, [town.to_callers[n], town.to_database[n], town.between])


async def _cut(d: Drill, asked_first: ServerProcess, cables: list[Cable]) -> float:
    for cable in cables:
        cable.cut()
    try:
        took_s = await d.load.recovery_s(asked_first.url)
        await asyncio.sleep(OUTAGE_S)
    finally:
        for cable in cables:
            cable.mend()
    return took_s


# --- spools


async def database_gone_and_leader_killed(d: Drill) -> float:
    """The spool of a dead process: it is drained when the same node starts again."""
    return await _gone_and_killed(d, damage=False)


async def spool_tail_damaged(d: Drill) -> float:
    """The same, and the disk kept half of a last record and noise behind it: what was never acknowledged."""
    return await _gone_and_killed(d, damage=True)


async def _gone_and_killed(d: Drill, damage: bool) -> float:
    leader = await d.pair.leader()
    await asyncio.to_thread(d.databases.primary.stop, immediate=True)
    for _ in range(5):
        await d.load.report(leader.url)
    leader.signal(signal.SIGKILL)
    began_s = time.perf_counter()
    await leader.kill()
    if damage:
        _damage(next((leader.var / "spool").glob("*.spool")))
    await asyncio.to_thread(d.databases.primary.start)
    await d.load.recovery_s(leader.url)
    took_s = time.perf_counter() - began_s
    await leader.start()
    return took_s


def _damage(spool: Path) -> None:
    """A record that was being written when the power went: a good head, half a body, then what lay on the disk before."""
    with spool.open("ab") as file:
        file.write(RECORD.pack(4096, 0x5EED) + msgspec.msgpack.encode({"entries": []}) + os.urandom(700))


async def disk_full_and_database_gone(d: Drill) -> float:
    """Nothing takes a line: reports must be refused, not lost. Measured from the moment the disk has room again."""
    leader = await d.pair.leader()
    filler = leader.var / "spool" / "filler"
    await asyncio.to_thread(fill, filler)
    await asyncio.to_thread(d.databases.primary.stop, immediate=True)
    try:
        await asyncio.sleep(OUTAGE_S)
        filler.unlink()
        return await d.load.recovery_s(leader.url)
    finally:
        filler.unlink(missing_ok=True)
        await asyncio.to_thread(d.databases.primary.start)


# --- all of them

DRAINED = "... from the database's return until all is drained"
FOLLOWED = "... from the promotion until the journal goes on there"


class Fault(msgspec.Struct, frozen=True):
    """One way to hurt. `needs`: "net" (namespaces), "disk" (a small disk for spools), "database disk"."""

    name: str
    run: Callable[[Drill], Awaitable[float]]
    needs: str = ""
    then: str = ""
    """Second figure that it measures."""


FAULTS: tuple[Fault, ...] = (
    Fault("leader killed (SIGKILL)", leader_killed),
    Fault("leader frozen (SIGSTOP), then woken", leader_frozen),
    Fault("leader stopped in order (SIGTERM)", leader_stopped),
    Fault("follower killed", follower_killed),
    Fault("database frozen", database_frozen),
    Fault("database crashed, started again", database_crashed),
    Fault("database gone for 60 s", database_gone_for_a_minute, then=DRAINED),
    Fault("primary died, replica promoted", primary_died_replica_promoted, then=FOLLOWED),
    Fault("primary silent, replica promoted", primary_silent_replica_promoted, then=FOLLOWED),
    Fault("database's disk full", database_disk_full, needs="database disk"),
    Fault("leader's line to the database cut", leader_cut_from_database),
    Fault("same, until the other took over", leader_cut_until_replaced),
    Fault("nodes cut from each other", nodes_cut_from_each_other, needs="net"),
    Fault("callers cut from the leader", callers_cut_from_leader, needs="net"),
    Fault("leader cut from everybody", leader_cut_from_everybody, needs="net"),
    Fault("database gone, then leader killed", database_gone_and_leader_killed),
    Fault("same, and its spool's tail damaged", spool_tail_damaged),
    Fault("database gone and disk full; room again", disk_full_and_database_gone, needs="disk"),
)


@contextlib.contextmanager
def frozen(cluster: EmbeddedPostgres) -> Iterator[list[int]]:
    """Every process of the server stopped in its tracks: it accepts connections (the kernel does) and says nothing."""
    pids = [pid for pid in (cluster.pid(), *_children(cluster)) if pid is not None]
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    try:
        yield pids
    finally:
        for pid in reversed(pids):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def _children(cluster: EmbeddedPostgres) -> list[int]:
    """Processes of the database server: only its own children, by id."""
    pid = cluster.pid()
    if pid is None:
        return []
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)  # noqa: S603, S607
    return [int(child) for child in found.stdout.split()]
