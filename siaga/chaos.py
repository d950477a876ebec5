"""`siaga chaos`: hurt the real thing in every way we know, then prove that nothing was lost, and write down how long it took.

A pair of server processes in network namespaces of their own, two PostgreSQL servers (one the synchronous replica of the other)
with durable settings on small disks, people who report and crews who work. Every fault of `chaos_faults.py` is repeated; after
each the pair must calm down. Recovery is what a caller feels: from the fault to the first acknowledgement of a report that
was first sent after it. The figures and the audit go to `docs/reliability.md`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import asyncpg
import msgspec
import typer

from dispatch.account_rows import PostgresAccounts
from dispatch.accounts import Accounts
from dispatch.clock import SystemClock
from dispatch.database import create_pool
from dispatch.pack import load as load_pack
from dispatch.region import Region
from dispatch.roles import Role
from siaga import chaos_net
from siaga.chaos_audit import Findings, audit, what_logs_tell
from siaga.chaos_faults import FAULTS, Databases, Drill
from siaga.chaos_load import LOOPBACK, Load
from siaga.chaos_net import Town
from siaga.chaos_pair import Pair
from siaga.postgres import EmbeddedPostgres
from siaga.serve import REGIONS, prepare_database

DATABASE = "chaos"
UNITS = 30
"""Crews on duty: enough that most reports are served while the drill lasts."""
PER_S = 2.0
"""Citizens' reports a second: 3,400 times the city's average; more would measure the drill's own two cores."""
SPOOL_DISK_BYTES = 8 * 1024 * 1024
DATABASE_DISK_BYTES = 1024 * 1024 * 1024
SETTINGS = {
    "max_wal_size": "192MB",  # so that a gigabyte is enough for a disk
    "wal_retrieve_retry_interval": "500ms",  # a standby looks for its primary that often
    "wal_receiver_timeout": "3s",
    "wal_sender_timeout": "3s",
}
MINUTES_MAX = 12.5
LINKS_TRIED_EVERY = 20
"""Of the reporters' links, those that are opened at the end; all of them would meet the limit of their addresses."""
KINDS_SHOWN = 12
MARK = "<!-- measured by `siaga chaos` -->"
REPORT = Path(__file__).resolve().parents[1] / "docs" / "reliability.md"


class Ground(msgspec.Struct):
    """What this machine let the drill have. Each text says why not; empty: it has it."""

    no_networks: str = ""
    no_spool_disks: str = ""
    no_database_disks: str = ""

    def lacks(self, need: str) -> str:
        return {
            "net": self.no_networks,
            "disk": self.no_spool_disks,
            "database disk": self.no_database_disks,
        }.get(need, "")


# --- the stage


@contextlib.contextmanager
def ground(folder: Path) -> Iterator[tuple[Ground, Town | None]]:
    """Networks and disks, as far as the machine lets us."""
    if not chaos_net.inside():
        why = chaos_net.why_not() or "not asked for"
        yield Ground(why, why, why), None
        return
    found = Ground()
    mounted = [folder / "nodes" / node / "spool" for node in ("a", "b")]
    try:
        for disk in mounted:
            chaos_net.small_disk(disk, SPOOL_DISK_BYTES)
        for disk in (folder / "db1", folder / "db2"):
            if chaos_net.durable_disk(disk, DATABASE_DISK_BYTES):
                mounted.append(disk)
            else:
                found.no_database_disks = "no loop device or mkfs.ext4"
        town = Town()
        try:
            yield found, town
        finally:
            town.close()
    finally:
        for disk in mounted:
            chaos_net.unmount(disk)


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


def make_databases(folder: Path, town: Town | None) -> Databases:
    """Two servers, the second a replica of the first; both run afterwards, with an empty database."""
    servers = []
    for which in (1, 2):
        listen = {} if town is None else {"listen_addresses": ",".join(Town.database_addresses(which))}
        servers.append(EmbeddedPostgres(folder / f"db{which}" / "data", settings=SETTINGS | listen))
    databases = Databases(*servers)
    databases.primary.start()
    if town is not None:
        databases.primary.let_in(Town.TRUSTED)
    return databases


@contextlib.asynccontextmanager
async def stage(folder: Path, region: Region, seed: int, town: Town | None) -> AsyncIterator[Drill]:
    """Databases, pair and people, all running."""
    databases = make_databases(folder, town)
    try:
        primary = databases.primary
        admin = await asyncpg.connect(primary.dsn())
        await admin.execute(f"CREATE DATABASE {DATABASE}")
        await admin.close()
        tokens = await prepare(primary.dsn(DATABASE), region, UNITS)
        await asyncio.to_thread(databases.follow)
        kinds = sorted(k.code for k in region.kinds.values() if k.priority == 1)[:4]
        both = [databases.primary, databases.standby]
        callers = LOOPBACK if town is None else Town.CALLERS
        async with (
            Pair(both, DATABASE, folder / "nodes", town) as pair,
            Load(pair.urls, tokens, kinds, seed, PER_S, callers) as load,
        ):
            yield Drill(databases, pair, load)
    finally:
        databases.stop()


class Done(msgspec.Struct):
    """A drill that is over."""

    recovered_s: dict[str, list[float]]
    findings: Findings
    took_s: float
    ground: Ground
    time_ended: str
    """At which fault of which round no time was left; empty: all were done."""


async def drill(folder: Path, rounds: int, seed: int, only: str = "") -> Done:
    region = load_pack(REGIONS / "surabaya")
    began_s = time.perf_counter()
    time_ended = ""
    with ground(folder) as (found, town):
        async with stage(folder, region, seed, town) as d:
            await d.settled()
            for number in range(rounds):
                typer.echo(f"round {number + 1} of {rounds}")
                for fault in FAULTS:
                    if found.lacks(fault.needs) or only not in fault.name:
                        continue
                    if time.perf_counter() - began_s > MINUTES_MAX * 60.0:
                        time_ended = time_ended or f"'{fault.name}' of round {number + 1}"
                        continue
                    took_s = await fault.run(d)
                    d.measured(fault.name, took_s)
                    typer.echo(f"  {fault.name:<52} {took_s:7.2f} s")
                    await d.settled()
            await d.load.quiet()
            await d.settled()
            pool = await create_pool(d.pair.dsn(), role=None, size=2)
            try:
                findings = await audit(d.pair.dsn(), pool, region, d.load.acked)
            finally:
                await pool.close()
            findings.wrong += await d.load.dead_links([*findings.redecided, *d.load.acked[::LINKS_TRIED_EVERY]])
            logs = [server.log for server in d.pair.servers]
            logs += [cluster.log_file for cluster in (d.databases.primary, d.databases.standby)]
            findings.wrong += what_logs_tell(logs, d.load.acked)
            return Done(d.recovered_s, findings, time.perf_counter() - began_s, found, time_ended)


# --- the report


def table(done: Done) -> str:
    findings = done.findings
    rows = ["| fault | times | median s | worst s |", "| --- | --- | --- | --- |"]
    for fault in FAULTS:
        for name in (fault.name, fault.then):
            seen = done.recovered_s.get(name)
            if seen and not (name == fault.then and any(f.then == name for f in FAULTS[: FAULTS.index(fault)])):
                rows.append(f"| {name} | {len(seen)} | {statistics.median(seen):.2f} | {max(seen):.2f} |")
        why = done.ground.lacks(fault.needs)
        if why:
            rows.append(f"| {fault.name} | not run: {why} | | |")
    today = datetime.now(UTC).date().isoformat()
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in findings.kinds.most_common(KINDS_SHOWN))
    others = sum(findings.kinds.values()) - sum(count for _, count in findings.kinds.most_common(KINDS_SHOWN))
    return "\n".join(
        [
            f"Measured {today} in {done.took_s / 60:.1f} minutes on {os.cpu_count()} cores ({platform.machine()}, CPython "
            f"{platform.python_version()}), load average {os.getloadavg()[2]:.1f}"
            f"{'; time ended before ' + done.time_ended if done.time_ended else ''}.",
            "",
            *rows,
            "",
            f"Audit: {findings.acknowledged:,} acknowledged reports. **Lost {findings.lost}, double {findings.double}.** "
            f"{findings.served:,} were sent a unit, {findings.explained:,} were open with the reason and the next try on "
            f"record; {len(findings.redecided):,} got another number because a take-over decided them anew, and their links still open. "
            f"{findings.lines:,} journal lines without a gap, {findings.table_rows:,} table rows equal to a rebuild, no unit "
            "with two jobs, no first ring moved, no caller's name, number or words in any log. "
            f"Wrong: {'; '.join(findings.wrong[:10]) or 'nothing'}.",
            "",
            f"Lines by kind: {kinds}, others {others:,}.",
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
    only: Annotated[str, typer.Option(help="Hanya gangguan bernama ini / only faults with this in their name")] = "",
    keep: Annotated[bool, typer.Option(help="Simpan log / keep the logs")] = False,
) -> None:
    """Rusak sungguhan, lalu periksa tidak ada yang hilang. / Break the real thing, then audit that nothing was lost."""
    if not chaos_net.inside():
        why = chaos_net.why_not()
        if why is None:
            chaos_net.go_inside()
        typer.echo(f"no namespaces ({why}): cables and small disks are left out, lines are cut by a proxy")
    folder = Path(tempfile.mkdtemp(prefix="siaga-chaos-"))
    folder.chmod(0o711)
    try:
        done = asyncio.run(drill(folder, rounds, seed, only))
        text = table(done)
        typer.echo(text)
        if write:
            write_report(text)
    finally:
        if keep:
            typer.echo(f"logs: {folder / 'nodes'}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    if done.findings.wrong:
        sys.exit(1)
