"""`siaga chaos`: hurt the real thing in every way we know, then prove that nothing was lost, and write down how long it took.

A pair of server processes, the embedded PostgreSQL with durable settings, people over loopback. Every fault is repeated;
after each the pair must calm down. Recovery is what a caller feels: from the fault to the first acknowledgement of a report
that was first sent after it. The figures and the audit go to `docs/reliability.md`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import asyncpg
import typer

from dispatch.account_rows import PostgresAccounts
from dispatch.accounts import Accounts
from dispatch.clock import SystemClock
from dispatch.database import create_pool
from dispatch.pack import load as load_pack
from dispatch.region import Region
from dispatch.roles import Role
from siaga.chaos_audit import Findings, audit
from siaga.chaos_load import Load
from siaga.chaos_pair import Pair, ServerProcess
from siaga.postgres import EmbeddedPostgres
from siaga.serve import REGIONS, prepare_database

DATABASE = "chaos"
UNITS = 30
"""Crews on duty: enough that most reports are served while the drill lasts."""
PER_S = 2.0
"""Citizens' reports a second: 3,400 times the city's average; more would measure the drill's own two cores."""
OUTAGE_S = 6.0
SPOOL_DISK_BYTES = 8 * 1024 * 1024
MINUTES_MAX = 14.0
MARK = "<!-- measured by `siaga chaos` -->"
REPORT = Path(__file__).resolve().parents[1] / "docs" / "reliability.md"

Fault = Callable[["Drill"], Awaitable[float]]


class Drill:
    """One drill's parts and what was measured."""

    def __init__(self, folder: Path, cluster: EmbeddedPostgres, pair: Pair, load: Load) -> None:
        self.folder = folder
        self.cluster = cluster
        self.pair = pair
        self.load = load
        self.recovered_s: dict[str, list[float]] = {}

    async def once(self, name: str, fault: Fault) -> None:
        await self.pair.calm()
        took_s = await fault(self)
        self.recovered_s.setdefault(name, []).append(took_s)
        typer.echo(f"  {name:<52} {took_s:7.2f} s")
        await self.pair.calm(120.0)


# --- faults; each returns the seconds until a new report was acknowledged again


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


async def database_frozen(d: Drill) -> float:
    d.cluster.signal(signal.SIGSTOP)
    for child in _children(d.cluster):
        os.kill(child, signal.SIGSTOP)
    try:
        took_s = await d.load.recovery_s()
        await asyncio.sleep(OUTAGE_S)
    finally:
        for child in _children(d.cluster):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGCONT)
        d.cluster.signal(signal.SIGCONT)
    return took_s


async def database_crashed(d: Drill) -> float:
    """Power cut of the database: no checkpoint, recovery at the next start."""
    await asyncio.to_thread(d.cluster.stop, immediate=True)
    try:
        took_s = await d.load.recovery_s()
        await asyncio.sleep(OUTAGE_S)
    finally:
        await asyncio.to_thread(d.cluster.start)
    return took_s


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


async def database_gone_and_leader_killed(d: Drill) -> float:
    """The spool of a dead process: it is drained when the same node starts again."""
    leader = await d.pair.leader()
    await asyncio.to_thread(d.cluster.stop, immediate=True)
    for _ in range(5):
        await d.load.report(leader.url)
    leader.signal(signal.SIGKILL)
    began_s = time.perf_counter()
    await leader.kill()
    await asyncio.to_thread(d.cluster.start)
    await d.load.recovery_s(leader.url)
    took_s = time.perf_counter() - began_s
    await leader.start()
    return took_s


async def disk_full_and_database_gone(d: Drill) -> float:
    """Nothing takes a line: reports must be refused, not lost. Measured from the moment the disk has room again."""
    leader = await d.pair.leader()
    filler = leader.var / "spool" / "filler"
    filler.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(OSError), filler.open("wb") as file:
        while True:
            file.write(b"0" * 4096)
            file.flush()
    await asyncio.to_thread(d.cluster.stop, immediate=True)
    try:
        await asyncio.sleep(OUTAGE_S)
        filler.unlink()
        return await d.load.recovery_s(leader.url)
    finally:
        filler.unlink(missing_ok=True)
        await asyncio.to_thread(d.cluster.start)


FAULTS: tuple[tuple[str, Fault], ...] = (
    ("leader killed (SIGKILL)", leader_killed),
    ("leader frozen (SIGSTOP), then woken", leader_frozen),
    ("leader stopped in order (SIGTERM)", leader_stopped),
    ("follower killed", follower_killed),
    ("database frozen", database_frozen),
    ("database crashed, started again", database_crashed),
    ("leader's line to the database cut", leader_cut_from_database),
    ("same, until the other took over", leader_cut_until_replaced),
    ("database gone, then leader killed", database_gone_and_leader_killed),
    ("database gone and disk full; room again", disk_full_and_database_gone),
)


def _children(cluster: EmbeddedPostgres) -> list[int]:
    """Processes of the database server: only its own children, by id."""
    pid = cluster.pid()
    if pid is None:
        return []
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)  # noqa: S603, S607
    return [int(child) for child in found.stdout.split()]


# --- the stage


@contextlib.contextmanager
def small_disk(folder: Path):  # type: ignore[no-untyped-def]
    """A file system of SPOOL_DISK_BYTES at `folder` where the system lets us; yields whether it did."""
    folder.mkdir(parents=True, exist_ok=True)
    options = f"size={SPOOL_DISK_BYTES},mode=700"
    made = os.geteuid() == 0 and shutil.which("mount") is not None
    if made:
        command = ["mount", "-t", "tmpfs", "-o", options, "siaga-chaos", str(folder)]
        made = subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603
    try:
        yield made
    finally:
        if made:
            subprocess.run(["umount", str(folder)], capture_output=True, check=False)  # noqa: S603, S607


async def prepare(dsn: str, region: Region, units: int) -> dict[str, str]:
    """Schema, and device tokens that any server on this database honours."""
    role = await prepare_database(dsn)
    pool = await create_pool(dsn, role=role, size=2)
    try:
        accounts = Accounts(PostgresAccounts(pool), SystemClock())
        await accounts.refresh()
        chosen = sorted(region.units)[:: max(1, len(region.units) // units)][:units]
        return {u: await accounts.issue_token(Role.CREW, u, "chaos", "system:chaos") for u in chosen}
    finally:
        await pool.close()


@contextlib.asynccontextmanager
async def stage(folder: Path, region: Region, seed: int) -> AsyncIterator[Drill]:
    """Database, pair and people, all running."""
    cluster = EmbeddedPostgres(folder / "postgres")
    cluster.start()
    try:
        admin = await asyncpg.connect(cluster.dsn())
        await admin.execute(f"CREATE DATABASE {DATABASE}")
        await admin.close()
        tokens = await prepare(cluster.dsn(DATABASE), region, UNITS)
        kinds = sorted(k.code for k in region.kinds.values() if k.priority == 1)[:4]
        async with (
            Pair(cluster, DATABASE, folder / "nodes") as pair,
            Load(pair.urls, tokens, kinds, seed, PER_S) as load,
        ):
            yield Drill(folder, cluster, pair, load)
    finally:
        cluster.stop(immediate=True)


async def drill(folder: Path, rounds: int, seed: int) -> tuple[Drill, Findings, float, bool]:
    region = load_pack(REGIONS / "surabaya")
    began_s = time.perf_counter()
    with contextlib.ExitStack() as disks:
        made = [disks.enter_context(small_disk(folder / "nodes" / n / "spool")) for n in ("a", "b")]
        small = all(made)
        async with stage(folder, region, seed) as d:
            await asyncio.sleep(3.0)
            for number in range(rounds):
                typer.echo(f"round {number + 1} of {rounds}")
                for name, fault in FAULTS:
                    if fault is disk_full_and_database_gone and not small:
                        continue
                    if time.perf_counter() - began_s > MINUTES_MAX * 60.0:
                        typer.echo("  time is up; the rest is left out")
                        break
                    await d.once(name, fault)
            await d.load.quiet()
            await d.pair.calm(120.0)
            pool = await create_pool(d.cluster.dsn(DATABASE), role=None, size=2)
            try:
                findings = await audit(d.cluster.dsn(DATABASE), pool, region, d.load.acked)
            finally:
                await pool.close()
            return d, findings, time.perf_counter() - began_s, small


# --- the report


def table(d: Drill, findings: Findings, took_s: float, small: bool) -> str:
    rows = ["| fault | times | median s | worst s |", "| --- | --- | --- | --- |"]
    for name, _ in FAULTS:
        seen = d.recovered_s.get(name)
        if seen:
            rows.append(f"| {name} | {len(seen)} | {statistics.median(seen):.2f} | {max(seen):.2f} |")
    if not small:
        rows.append("| disk full | not run: this machine let us make no small file system | | |")
    today = datetime.now(UTC).date().isoformat()
    return "\n".join(
        [
            f"Measured {today} in {took_s / 60:.1f} minutes on {os.cpu_count()} cores ({platform.machine()}, CPython "
            f"{platform.python_version()}), other work running beside it.",
            "",
            *rows,
            "",
            f"Audit: {findings.acknowledged:,} acknowledged reports, {findings.lines:,} journal lines, "
            f"{findings.table_rows:,} table rows equal to a rebuild. Lost 0, double 0 unless listed here: "
            f"{'; '.join(findings.wrong[:10]) or 'nothing is listed'}. {findings.served:,} were sent a unit, "
            f"{findings.explained:,} were open with the reason and the next try on record; {findings.redecided_ids:,} got "
            "another number because a take-over decided them anew.",
        ]
    )


def write_report(text: str) -> None:
    """Replace what stands between the two marks."""
    before, _, rest = REPORT.read_text().partition(MARK)
    _, _, after = rest.partition(MARK)
    REPORT.write_text(f"{before}{MARK}\n\n{text}\n\n{MARK}{after}")


def chaos(
    rounds: Annotated[int, typer.Option(min=1, help="Berapa kali setiap gangguan / how often each fault")] = 3,
    seed: Annotated[int, typer.Option(help="Benih pengguna / seed of the people")] = 1,
    write: Annotated[bool, typer.Option(help="Tulis docs/reliability.md / write the report")] = True,
) -> None:
    """Rusak sungguhan, lalu periksa tidak ada yang hilang. / Break the real thing, then audit that nothing was lost."""
    folder = Path(tempfile.mkdtemp(prefix="siaga-chaos-"))
    folder.chmod(0o711)
    try:
        d, findings, took_s, small = asyncio.run(drill(folder, rounds, seed))
        text = table(d, findings, took_s, small)
        typer.echo(text)
        if write:
            write_report(text)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if findings.wrong:
        sys.exit(1)


__all__ = ["Drill", "ServerProcess", "chaos"]
