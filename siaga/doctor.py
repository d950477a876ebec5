"""`siaga doctor`: is this installation fit to answer 112? Each check says what was found and what to do about it.

Checks look and never change anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import enum
import os
import shutil
import socket
import ssl
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import asyncpg
import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dispatch.account_rows import PostgresAccounts
from dispatch.accounts import Accounts, DemoCredentials
from dispatch.clock import SystemClock
from dispatch.database import APP_ROLE, PASSING_ERRORS, connect, create_pool
from dispatch.journal import JournalCorrupt
from dispatch.migrate import MigrationError, load_migrations, pending
from dispatch.projections import check_journal, regions
from dispatch.statements import SQL
from siaga.backup import SLOT, list_backups, read_record
from siaga.database_commands import DEFAULT_VAR, DSN, VAR, database_of
from siaga.serve import secret_digest, secret_path

VERSION_MIN = 15
CLOCK_OFF_MAX_S = 0.5
"""Between this machine and its database: clocks of one incident are written by both."""
DISK_FREE_MIN_SHARE = 0.10
DISK_FREE_MIN_BYTES = 5 << 30
"""A busy day writes well under 1 GB; five leave time to act."""
COMMIT_MAX_MS = 20.0
"""Of the 60 ms a report may take to be durable and on a unit's screen (p99), what the disk may eat."""
COMMITS = 40
BACKUP_AGE_MAX = timedelta(hours=26)
"""A nightly backup and two hours of grace."""
ARCHIVE_LAG_MAX_BYTES = 32 << 20
"""Two WAL segments."""
CERTIFICATE_MIN = timedelta(days=14)
CONNECT_TIMEOUT_S = 5.0
TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
DURABLE = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on remote_apply remote_write"}
"""Setting -> values under which a confirmed commit survives a power cut."""


class State(enum.StrEnum):
    OK = "ok"
    WARN = "warn"  # works, but somebody should see to it
    BAD = "bad"  # do not answer 112 with this


class Finding(msgspec.Struct, frozen=True):
    """One check's answer. `advice` is empty when there is nothing to do."""

    check: str
    state: State
    found: str
    advice: str = ""


def worst(findings: list[Finding]) -> State:
    order = [State.OK, State.WARN, State.BAD]
    return max((f.state for f in findings), key=order.index, default=State.OK)


# --- this machine


def check_clock(adjtimex: Callable[[], int] | None = None) -> Finding:
    """The kernel's own word on whether the clock is synchronised."""
    if (adjtimex or _adjtimex)() == TIME_ERROR:
        return Finding("jam / clock", State.WARN, "not synchronised", "run chrony or systemd-timesyncd")
    return Finding("jam / clock", State.OK, "synchronised")


def _adjtimex() -> int:
    # struct timex is 208 bytes on Linux 64 bit; modes = 0 only reads (adjtimex(2)).
    buffer = ctypes.create_string_buffer(512)
    return int(ctypes.CDLL(None, use_errno=True).adjtimex(buffer))


def check_disk(name: str, folder: Path, usage: Callable[[Path], Any] = shutil.disk_usage) -> Finding:
    """Room on the disk of a folder that must be able to grow."""
    while not folder.exists():
        folder = folder.parent
    free = usage(folder)
    text = f"{free.free / 2**30:.0f} of {free.total / 2**30:.0f} GiB free"
    if free.free < min(DISK_FREE_MIN_BYTES, free.total * DISK_FREE_MIN_SHARE):
        return Finding(name, State.BAD, text, f"make room on the disk of {folder}")
    if free.free < DISK_FREE_MIN_BYTES or free.free < free.total * DISK_FREE_MIN_SHARE:
        return Finding(name, State.WARN, text, f"see to the disk of {folder} soon")
    return Finding(name, State.OK, text)


def check_spool(var: Path) -> Finding:
    """While the database is away, reports are kept here: it must be writable and reach the disk."""
    try:
        var.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=var) as file:
            began = time.perf_counter()
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
            took_ms = (time.perf_counter() - began) * 1000
    except OSError as error:
        return Finding("spool", State.BAD, f"{error.strerror}", f"make {var} writable for the server's user")
    return Finding("spool", State.OK, f"fsync {took_ms:.1f} ms")


def check_backups(folder: Path | None, now_at: datetime) -> Finding:
    """How old the newest whole base backup is."""
    name = "cadangan / backup"
    if folder is None:
        return Finding(name, State.WARN, "no folder named", "name it with --backup; make one with siaga backup")
    kept = list_backups(folder)
    if not kept:
        return Finding(name, State.BAD, f"none in {folder}", "siaga backup, every night")
    age = now_at - read_record(kept[-1]).ended_at
    text = f"{len(kept)} kept, newest {age.total_seconds() / 3600:.1f} h old"
    if age > BACKUP_AGE_MAX:
        return Finding(name, State.BAD, text, "the nightly siaga backup did not run; find out why")
    return Finding(name, State.OK, text)


def check_certificate(url: str, now_at: datetime) -> Finding:
    """Whether browsers and phones will trust the address, and for how long."""
    name = "TLS"
    parts = urlsplit(url)
    if parts.scheme != "https":
        local = parts.hostname in ("127.0.0.1", "::1", "localhost")
        state = State.WARN if local else State.BAD
        return Finding(
            name, state, f"{url} is not encrypted", "put a TLS proxy in front, or give the server a certificate"
        )
    host, port = parts.hostname or "", parts.port or 443
    try:
        with (
            socket.create_connection((host, port), CONNECT_TIMEOUT_S) as plain,
            ssl.create_default_context().wrap_socket(plain, server_hostname=host) as secured,
        ):
            certificate = secured.getpeercert() or {}
    except OSError as error:
        return Finding(name, State.BAD, f"{type(error).__name__}: {error}", "mend the certificate or the name")
    left = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC) - now_at
    if left < CERTIFICATE_MIN:
        return Finding(name, State.WARN, f"expires in {left.days} days", "renew the certificate")
    return Finding(name, State.OK, f"valid for {left.days} days")


# --- the database

Check = Callable[[asyncpg.Connection], Awaitable[Finding]]


async def check_version(owner: asyncpg.Connection) -> Finding:
    text = f"PostgreSQL {await owner.fetchval('SHOW server_version')}"
    if owner.get_server_version().major < VERSION_MIN:
        return Finding("versi / version", State.BAD, text, f"PostgreSQL {VERSION_MIN} or newer is needed")
    return Finding("versi / version", State.OK, text)


async def check_durable(owner: asyncpg.Connection) -> Finding:
    """A confirmed commit must survive a power cut."""
    name = "tahan listrik padam / durable"
    wrong = []
    for setting, good in DURABLE.items():
        value = await owner.fetchval("SELECT current_setting($1)", setting)
        if value not in good.split():
            wrong.append(f"{setting}={value}")
    if wrong:
        return Finding(
            name, State.BAD, ", ".join(wrong), "turn them on: acknowledged reports would be lost in a power cut"
        )
    if await owner.fetchval("SELECT current_setting('data_checksums')") != "on":
        return Finding(name, State.WARN, "data checksums are off", "pg_checksums --enable, with the server stopped")
    return Finding(name, State.OK, ", ".join(DURABLE) + ", data_checksums")


async def check_schema(owner: asyncpg.Connection) -> Finding:
    name = "skema / schema"
    try:
        missing = await pending(owner, load_migrations())
    except MigrationError as error:
        return Finding(name, State.BAD, str(error), "this release and this database do not belong together")
    if any(m.phase == "pre" for m in missing):
        return Finding(name, State.BAD, f"{len(missing)} migrations pending", "siaga migrate")
    if missing:
        return Finding(name, State.WARN, f"{len(missing)} clean-ups pending", "siaga migrate, once no old server runs")
    return Finding(name, State.OK, "up to date")


async def check_rights(owner: asyncpg.Connection) -> Finding:
    name = "hak / rights"
    if not await owner.fetchval(SQL["role_exists"], APP_ROLE):
        advice = f"let a superuser create {APP_ROLE} and siaga_reader, then siaga migrate"
        return Finding(name, State.WARN, "no least-privilege roles", advice)
    writable = await owner.fetchval("SELECT has_table_privilege($1, 'journal', 'UPDATE, DELETE, TRUNCATE')", APP_ROLE)
    if writable:
        return Finding(
            name,
            State.BAD,
            f"{APP_ROLE} may change the journal",
            f"REVOKE UPDATE, DELETE, TRUNCATE ON journal FROM {APP_ROLE}",
        )
    return Finding(name, State.OK, f"{APP_ROLE} can only add to the journal")


async def check_database_clock(owner: asyncpg.Connection) -> Finding:
    name = "jam basis data / database clock"
    before = time.time()
    theirs = await owner.fetchval("SELECT clock_timestamp()")
    after = time.time()
    off_s = theirs.timestamp() - (before + after) / 2
    if abs(off_s) > CLOCK_OFF_MAX_S + (after - before) / 2:
        return Finding(name, State.BAD, f"{off_s:+.2f} s from ours", "synchronise both machines")
    return Finding(name, State.OK, f"{off_s * 1000:+.0f} ms from ours")


async def check_commits(owner: asyncpg.Connection) -> Finding:
    """What one durable commit costs, the floor under every acknowledgement."""
    name = "commit"
    times_ms = []
    for n in range(COMMITS):
        began = time.perf_counter()
        # A message in the WAL touches no table and its commit is flushed like any other.
        await owner.execute("SELECT pg_logical_emit_message(true, 'siaga', $1)", str(n))
        times_ms.append((time.perf_counter() - began) * 1000)
    text = f"p50 {statistics.median(times_ms):.1f} ms, worst of {COMMITS} {max(times_ms):.1f} ms"
    if statistics.median(times_ms) > COMMIT_MAX_MS:
        return Finding(name, State.WARN, text, "a faster disk, or a write cache with a battery")
    return Finding(name, State.OK, text)


async def check_replica(owner: asyncpg.Connection) -> Finding:
    name = "replika / replica"
    rows = await owner.fetch("SELECT sync_state FROM pg_stat_replication WHERE application_name <> 'pg_receivewal'")
    if not rows:
        return Finding(name, State.WARN, "none streams", "a disk or machine failure would stop 112 until a restore")
    if not any(row["sync_state"] in ("sync", "quorum") for row in rows):
        advice = "set synchronous_standby_names, or the last confirmed reports may be lost in a failover"
        return Finding(name, State.WARN, f"{len(rows)} asynchronous", advice)
    return Finding(name, State.OK, f"{len(rows)}, synchronous")


async def check_archive(owner: asyncpg.Connection) -> Finding:
    name = "arsip WAL / WAL archive"
    row = await owner.fetchrow(
        "SELECT active, wal_status, pg_wal_lsn_diff(pg_current_wal_flush_lsn(), restart_lsn)::bigint AS lag "
        "FROM pg_replication_slots WHERE slot_name = $1",
        SLOT,
    )
    if row is None:
        return Finding(name, State.WARN, "none", "siaga archive FOLDER, as a service: else a restore loses up to a day")
    if not row["active"] or row["wal_status"] == "lost":
        return Finding(
            name, State.BAD, f"not running ({row['wal_status']})", "start siaga archive; then make a new backup"
        )
    if row["lag"] > ARCHIVE_LAG_MAX_BYTES:
        return Finding(name, State.WARN, f"{row['lag'] >> 20} MiB behind", "look at the archive's disk and network")
    return Finding(name, State.OK, "streaming")


async def check_journals(owner: asyncpg.Connection) -> Finding:
    name = "jurnal / journal"
    try:
        found = {region: await check_journal(owner, region) for region in await regions(owner)}
    except JournalCorrupt as error:
        return Finding(name, State.BAD, str(error), "stop, keep this disk, restore from the backup")
    return Finding(name, State.OK, ", ".join(f"{r}: {n} lines, no gap" for r, n in found.items()) or "empty")


async def check_fixes(owner: asyncpg.Connection) -> Finding:
    """Fixes in the net under the day tables mean that housekeeping does not run."""
    name = "posisi / positions"
    stray = await owner.fetchval("SELECT count(*) FROM (SELECT FROM position_other LIMIT 1000) AS stray")
    if stray:
        return Finding(name, State.WARN, f"{stray} or more outside any day", "does a server run? it keeps house hourly")
    return Finding(name, State.OK, "every fix lies in its day")


async def check_nodes(owner: asyncpg.Connection, ours: bytes | None) -> Finding:
    """Which servers said within two hours that they serve, whether they have one secret and run one release. `ours`: the digest of
    the secret this machine has, None when it has none.
    """
    name = "server / nodes"
    rows = await owner.fetch(
        "SELECT name, release, secret_digest FROM node WHERE seen_at > clock_timestamp() - interval '2 hours' ORDER BY name"
    )
    names = ", ".join(row["name"] for row in rows) or "none"
    digests = {bytes(row["secret_digest"]) for row in rows}
    if len(digests | ({ours} if ours is not None and rows else set())) > 1:
        advice = "give every node the same SIAGA_SECRET_FILE and restart them: callers' links and forwarding need it"
        return Finding(name, State.BAD, f"{names}: not the same secret", advice)
    if len(rows) < 2:
        return Finding(name, State.WARN, names, "start a second server: the next failure would be an outage")
    if len({row["release"] for row in rows}) > 1:
        return Finding(name, State.WARN, f"{names}: more than one release", "finish the upgrade (docs/runbook.md)")
    return Finding(name, State.OK, f"{names}: one secret, one release")


def our_digest(var: Path) -> bytes | None:
    """Of the secret a server here would use; None when there is none yet. Never makes one."""
    path = secret_path(var)
    return secret_digest(path.read_bytes()) if path.exists() else None


DATABASE_CHECKS: tuple[Check, ...] = (
    check_version,
    check_durable,
    check_schema,
    check_rights,
    check_database_clock,
    check_commits,
    check_replica,
    check_archive,
    check_journals,
    check_fixes,
)


async def check_demo(dsn: str) -> Finding:
    """Demo passwords and tokens are public knowledge."""
    name = "akun demo / demo accounts"
    pool = await create_pool(dsn, role=None, size=1)
    try:
        accounts = Accounts(PostgresAccounts(pool), SystemClock())
        await accounts.refresh()
        accounts.refuse_demo()
    except DemoCredentials as found:
        return Finding(
            name, State.BAD, str(found)[:200], "production needs a database of its own, without demo accounts"
        )
    finally:
        pool.terminate()
    return Finding(name, State.OK, "none")


async def examine(
    dsn: str, var: Path, *, backup: Path | None = None, url: str = "", demo: bool = False
) -> list[Finding]:
    """Every check. `demo` leaves out what only production must have (no demo accounts, TLS)."""
    now_at = datetime.now(UTC)
    findings = [check_clock(), check_disk("disk var", var), check_spool(var)]
    if backup is not None:
        findings.append(check_disk("disk cadangan / backup", backup))
    findings.append(check_backups(backup, now_at))
    if url and not demo:
        findings.append(await asyncio.to_thread(check_certificate, url, now_at))
    try:
        owner = await connect(dsn, role=None)
    except (*PASSING_ERRORS, asyncpg.PostgresError, ValueError) as error:
        advice = "is it running, is DATABASE_URL right, may this user in?"
        findings.append(Finding("basis data / database", State.BAD, f"{type(error).__name__}: {error}", advice))
        return findings
    try:
        for check in DATABASE_CHECKS:
            try:
                findings.append(await check(owner))
            except asyncpg.UndefinedTableError:
                findings.append(Finding(check.__name__, State.BAD, "a table is missing", "siaga migrate"))
            except asyncpg.InsufficientPrivilegeError as error:
                findings.append(Finding(check.__name__, State.WARN, str(error), "ask with the schema's owner"))
        if not demo:
            with contextlib.suppress(asyncpg.UndefinedTableError):
                findings.append(await check_nodes(owner, our_digest(var)))
            with contextlib.suppress(asyncpg.UndefinedTableError):  # then the schema check has said so
                findings.append(await check_demo(dsn))
    finally:
        await owner.close()
    return findings


def doctor(
    database_url: DSN = "",
    var: VAR = DEFAULT_VAR,
    backup_folder: Annotated[Path | None, typer.Option("--backup", help="Folder cadangan / backup folder")] = None,
    url: Annotated[str, typer.Option(help="Alamat layanan / address the public uses")] = "",
    demo: Annotated[bool, typer.Option(help="Instalasi coba / a trial installation")] = False,
) -> None:
    """Layakkah instalasi ini menjawab 112? / Is this installation fit to answer 112? Exit status 1 when not."""
    colours = {State.OK: "green", State.WARN: "yellow", State.BAD: "red"}
    with database_of(database_url, var) as dsn:
        findings = asyncio.run(examine(dsn, var, backup=backup_folder, url=url, demo=demo))
    table = Table("periksa / check", "", "ditemukan / found", "lakukan / do")
    for f in findings:
        table.add_row(f.check, f"[{colours[f.state]}]{f.state}[/]", escape(f.found), escape(f.advice))
    Console(highlight=False).print(table)
    if worst(findings) is State.BAD:
        raise typer.Exit(1)
