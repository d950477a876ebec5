"""Backups that are known to restore: base backup, streamed WAL archive, point-in-time restore, drill.

A backup folder holds `base-<time>/` (pg_basebackup with manifest), beside each `base-<time>.json` (how far every
region's journal went before the backup began, with its digest), and `wal/` (what pg_receivewal streams, to the last
commit). A restore is only called good when every recorded journal is in it, byte for byte.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import msgspec

from dispatch.projections import Extent, extent, regions
from dispatch.statements import SQL
from siaga.postgres import (
    EmbeddedPostgres,
    PostgresError,
    binaries,
    give_to_postgres,
    include_settings,
    own_folder,
    postgres_user,
    run,
)

BACKUPS_KEPT = 7
"""Base backups kept by `prune`: a week of nightly ones. WAL older than the oldest goes with it."""
BASE_TIMEOUT_S = 4 * 3600.0
RESTORE_TIMEOUT_S = 4 * 3600.0
RECOVERY_POLL_S = 0.2
SLOT = "siaga_archive"
"""Replication slot of the WAL archive: the server keeps WAL until it is streamed (within max_slot_wal_keep_size)."""
CONTROL_SETTINGS = {
    "max_connections": "max_connections",
    "max_worker_processes": "max_worker_processes",
    "max_wal_senders": "max_wal_senders",
    "max_prepared_xacts": "max_prepared_transactions",
    "max_locks_per_xact": "max_locks_per_transaction",
}
"""What pg_controldata calls them -> what the configuration calls them."""
STAMP = "%Y%m%dT%H%M%SZ"


class BackupError(Exception):
    """The backup or restore is not good; the text says why."""


class Record(msgspec.Struct, frozen=True):
    """What stands beside a base backup."""

    began_at: datetime
    ended_at: datetime
    journals: dict[str, Extent]
    """Region -> how far its journal went before the backup began: a restore holds at least this."""


class Restored(msgspec.Struct, frozen=True):
    """What a restore brought back. `journals`: region -> last line now there."""

    base: str
    journals: dict[str, int]
    last_line_at: dict[str, datetime]
    checked: dict[str, Extent]


# --- taking


def take_backup(dsn: str, folder: Path, *, now_at: datetime | None = None) -> Path:
    """One base backup of the running server `dsn` (a user with REPLICATION), verified. Returns its folder.

    Raises BackupError.
    """
    began_at = now_at or datetime.now(UTC)
    journals = asyncio.run(_journals(dsn))
    base = folder / f"base-{began_at.strftime(STAMP)}"
    if base.exists():
        raise BackupError(f"{base} is there already")
    own_folder(folder)
    part = base.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        arguments = ("-X", "stream", "-c", "fast", "--manifest-checksums=SHA256", "-d", dsn)
        run("pg_basebackup", "-D", part, *arguments, timeout_s=BASE_TIMEOUT_S)
        run("pg_verifybackup", part, timeout_s=BASE_TIMEOUT_S)
    except PostgresError as error:
        shutil.rmtree(part, ignore_errors=True)
        raise BackupError(str(error)) from error
    record = Record(began_at, datetime.now(UTC), journals)
    _write_durably(base.with_suffix(".json"), msgspec.json.encode(record))
    part.rename(base)  # only a whole, verified backup ever has this name
    _sync(folder)
    return base


async def _journals(dsn: str) -> dict[str, Extent]:
    connection = await asyncpg.connect(dsn)
    try:
        return {region: await extent(connection, region) for region in await regions(connection)}
    finally:
        await connection.close()


@contextlib.contextmanager
def wal_archive(dsn: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Stream the WAL of `dsn` into `folder/wal` while in the `with` block; what was streamed survives this machine's
    database. Run it for good as a service of its own, on another disk.
    """
    wal = folder / "wal"
    own_folder(folder)
    own_folder(wal)
    run("pg_receivewal", "-D", wal, "--slot", SLOT, "--create-slot", "--if-not-exists", "-d", dsn)
    user = postgres_user()
    process = subprocess.Popen(  # noqa: S603  our own binary, no shell
        [binaries() / "pg_receivewal", "-D", wal, "--slot", SLOT, "--synchronous", "-d", dsn],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
        user=user.pw_uid if user else None,
        group=user.pw_gid if user else None,
        extra_groups=[] if user else None,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=30)


def prune(folder: Path, keep: int = BACKUPS_KEPT) -> list[str]:
    """Remove all but the newest `keep` base backups and the WAL that only they needed. Returns what went."""
    kept = list_backups(folder)
    gone = kept[: max(0, len(kept) - keep)]
    for base in gone:
        base.with_suffix(".json").unlink()
        shutil.rmtree(base)
    if gone and (folder / "wal").is_dir():
        run("pg_archivecleanup", folder / "wal", _first_wal(kept[len(gone)]))
    return [base.name for base in gone]


def list_backups(folder: Path) -> list[Path]:
    """Whole base backups, oldest first."""
    return sorted(p for p in folder.glob("base-*Z") if p.with_suffix(".json").exists())


def read_record(base: Path) -> Record:
    return msgspec.json.decode(base.with_suffix(".json").read_bytes(), type=Record)


def _first_wal(base: Path) -> str:
    """The first WAL file a base backup needs (its `backup_label`)."""
    label = (base / "backup_label").read_text()
    return label.split("(file ", 1)[1].split(")", 1)[0]


# --- restoring


def restore(
    folder: Path,
    into: Path,
    *,
    until: datetime | None = None,
    settings: dict[str, str] | None = None,
    database: str = "postgres",
) -> tuple[EmbeddedPostgres, Restored]:
    """Bring a backup back into the empty folder `into`, up to the last archived commit or to `until`; leaves it running.

    Raises BackupError when there is no backup old enough, it is damaged, or a journal is not what was recorded.
    """
    if into.exists() and any(into.iterdir()):
        raise BackupError(f"{into} is not empty")
    candidates = [base for base in list_backups(folder) if until is None or read_record(base).ended_at <= until]
    if not candidates:
        raise BackupError(f"no base backup in {folder}" + (f" that ended before {until.isoformat()}" if until else ""))
    base = candidates[-1]
    try:
        run("pg_verifybackup", base, timeout_s=RESTORE_TIMEOUT_S)
    except PostgresError as error:
        raise BackupError(f"{base.name} is damaged: {error}") from error
    wanted = _settings_of(base) | (settings or {}) | _recovery_settings(folder / "wal", until)
    cluster = EmbeddedPostgres(into, settings=wanted)
    own_folder(into)
    shutil.copytree(base, into, dirs_exist_ok=True)
    (into / "recovery.signal").touch()
    include_settings(into)
    give_to_postgres(into)
    try:
        cluster.start()
        restored = asyncio.run(_check(cluster, base, database))
    except PostgresError as error:
        raise BackupError(f"recovery failed: {error}") from error
    except BaseException:
        cluster.stop()
        raise
    return cluster, restored


def _settings_of(base: Path) -> dict[str, str]:
    """Settings that a recovery refuses to start with when they are smaller than the backed-up server's were."""
    found = {}
    for line in run("pg_controldata", base).splitlines():
        name, _, value = line.partition(" setting:")
        if value and name in CONTROL_SETTINGS:
            found[CONTROL_SETTINGS[name]] = value.strip()
    return found


def _recovery_settings(wal: Path, until: datetime | None) -> dict[str, str]:
    # A segment still being written has `.partial` to its name and is as good up to its last record.
    source = f'cp "{wal}/%f" "%p" 2>/dev/null || cp "{wal}/%f.partial" "%p"'
    settings = {"restore_command": source, "recovery_target_action": "promote"}
    if until is not None:
        settings["recovery_target_time"] = until.isoformat()
    return settings


async def _check(cluster: EmbeddedPostgres, base: Path, database: str) -> Restored:
    connection = await asyncpg.connect(cluster.dsn(database))
    try:
        await _until_promoted(connection)
        record = read_record(base)
        for region, recorded in record.journals.items():
            found = await extent(connection, region, recorded.last_seq)
            if found != recorded:
                raise BackupError(f"the journal of {region} is not what it was up to line {recorded.last_seq}")
        last = {}
        at = {}
        for region in await regions(connection):
            last[region] = (await extent(connection, region)).last_seq
            at[region] = await connection.fetchval(SQL["line_at"], region, last[region])
        return Restored(base.name, last, at, record.journals)
    finally:
        await connection.close()


async def _until_promoted(connection: asyncpg.Connection) -> None:

    async with asyncio.timeout(RESTORE_TIMEOUT_S):
        while await connection.fetchval("SELECT pg_is_in_recovery()"):  # noqa: ASYNC110  the event is in another process
            await asyncio.sleep(RECOVERY_POLL_S)


def drill(folder: Path, *, where: Path | None = None, database: str = "postgres") -> Restored:
    """Restore the newest backup into a temporary folder (under `where`), check it, throw it away: what it is worth.

    Raises BackupError.
    """
    room = Path(tempfile.mkdtemp(prefix="siaga-drill-", dir=where))
    room.chmod(0o711)
    try:
        cluster, restored = restore(folder, room / "postgres", database=database)
        cluster.stop()
        return restored
    finally:
        shutil.rmtree(room, ignore_errors=True)


# --- files


def _write_durably(path: Path, body: bytes) -> None:
    part = path.with_suffix(".json.part")
    with part.open("wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
