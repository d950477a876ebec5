"""Backups that restore: to the last commit, to a chosen moment, and never silently to less than was recorded."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from dispatch import events as ev
from dispatch.database import connect, create_pool
from dispatch.journal import Batch, JournalGap, JournalUnavailable
from dispatch.journal_pg import PostgresJournal
from dispatch.migrate import apply_grants, migrate
from dispatch.model import Actor
from dispatch.photos import Photos, Picture
from dispatch.projections import digests
from siaga.backup import (
    BackupError,
    drill,
    list_backups,
    prune,
    read_record,
    restore,
    take_backup,
    wal_archive,
)
from siaga.postgres import EmbeddedPostgres, throwaway_cluster

T0 = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
REPLICABLE = {"wal_level": "replica", "max_wal_senders": "6"}


class City:
    """A cluster with a journal that grows."""

    def __init__(self, cluster: EmbeddedPostgres, pool: asyncpg.Pool) -> None:
        self.cluster = cluster
        self.dsn = cluster.dsn()
        self.pool = pool
        self.journal = PostgresJournal(pool)
        self.seq = 0

    async def grow(self, lines: int) -> None:
        for _ in range(lines):
            event = ev.IncidentNoted("I-1", f"line {self.seq + 1}")
            at = T0 + timedelta(seconds=self.seq)
            await self.journal.append(Batch(entries=[ev.Entry("sby", self.seq + 1, at, Actor("a", "b"), event)]))
            self.seq += 1


@pytest.fixture
async def city() -> AsyncIterator[City]:
    with throwaway_cluster(REPLICABLE) as cluster:
        owner = await connect(cluster.dsn(), role=None)
        await migrate(owner)
        await apply_grants(owner)
        await owner.close()
        pool = await create_pool(cluster.dsn(), size=2)
        made = City(cluster, pool)
        await made.journal.open("sby")
        yield made
        pool.terminate()


@pytest.fixture
def shelf(city: City) -> Path:
    """Where backups go."""
    return city.cluster.folder.parent / "backup"


async def archived(city: City) -> None:
    """Wait until everything committed so far is in the WAL archive."""
    connection = await asyncpg.connect(city.dsn)
    try:
        await connection.execute("SELECT pg_logical_emit_message(true, 'test', '')")  # a commit the archive will report
        target = await connection.fetchval("SELECT pg_current_wal_flush_lsn()")
        async with asyncio.timeout(30):
            while not await connection.fetchval(  # noqa: ASYNC110  the event is in another process
                "SELECT coalesce(bool_or(flush_lsn >= $1::pg_lsn), false) FROM pg_stat_replication "
                "WHERE application_name = 'pg_receivewal'",
                target,
            ):
                await asyncio.sleep(0.02)
    finally:
        await connection.close()


async def restored_extent(cluster: EmbeddedPostgres) -> tuple[int, str, str]:
    connection = await asyncpg.connect(cluster.dsn())
    try:
        found = await digests(connection, "sby")
        return found.last_seq, found.journal, found.projections
    finally:
        await connection.close()


async def test_a_restore_goes_to_the_last_archived_commit(city: City, shelf: Path) -> None:
    """Base backup, more lines, the database is lost: every line that was archived comes back, byte for byte."""
    await city.grow(5)
    picture = Picture("a" * 20, b"a picture from the scene", 4, 3)
    with wal_archive(city.dsn, shelf):
        await asyncio.to_thread(take_backup, city.dsn, shelf)
        await city.grow(20)
        assert await Photos(city.pool, "sby").keep("260301-0001", picture, 1)
        await archived(city)
        before = await restored_extent(city.cluster)
    city.cluster.stop(immediate=True)
    cluster, restored = await asyncio.to_thread(restore, shelf, shelf.parent / "back")
    try:
        assert restored.journals == {"sby": 25}
        assert restored.checked["sby"].last_seq == 5
        assert restored.last_line_at == {"sby": T0 + timedelta(seconds=24)}
        assert await restored_extent(cluster) == before
        # It is a working database again: the next line fits.
        pool = await create_pool(cluster.dsn(), size=2)
        journal = PostgresJournal(pool)
        await journal.open("sby")
        assert await Photos(pool, "sby").read("260301-0001", picture.photo_id) == picture.body
        event = ev.IncidentNoted("I-1", "after")
        await journal.append(Batch(entries=[ev.Entry("sby", 26, T0 + timedelta(days=1), Actor("a", "b"), event)]))
        pool.terminate()
    finally:
        cluster.stop(immediate=True)


async def test_a_restore_to_a_moment_leaves_out_what_came_after(city: City, shelf: Path) -> None:
    """Somebody did something terrible at ten past: back to nine past."""
    with wal_archive(city.dsn, shelf):
        await city.grow(3)
        await asyncio.to_thread(take_backup, city.dsn, shelf)
        await city.grow(4)
        connection = await asyncpg.connect(city.dsn)
        moment = await connection.fetchval("SELECT clock_timestamp() + interval '1 millisecond'")
        await connection.fetchval("SELECT pg_sleep(0.01)")  # recovery stops at the first commit after the moment
        await connection.close()
        await city.grow(9)
        await archived(city)
    cluster, restored = await asyncio.to_thread(restore, shelf, shelf.parent / "back", until=moment)
    cluster.stop(immediate=True)
    assert restored.journals == {"sby": 7}
    with pytest.raises(BackupError, match="no base backup"):
        await asyncio.to_thread(restore, shelf, shelf.parent / "early", until=T0)


async def test_the_drill_says_what_the_newest_backup_is_worth(city: City, shelf: Path) -> None:
    """Without touching the running server, and leaving nothing behind."""
    await city.grow(6)
    with wal_archive(city.dsn, shelf):
        await asyncio.to_thread(take_backup, city.dsn, shelf)
        await archived(city)
    found = await asyncio.to_thread(drill, shelf, where=shelf.parent)
    assert found.journals == {"sby": 6}
    await city.grow(1)


async def test_a_damaged_backup_is_refused(city: City, shelf: Path) -> None:
    """One flipped byte in a data file is found before anything is started from it."""
    await city.grow(2)
    with wal_archive(city.dsn, shelf):
        base = await asyncio.to_thread(take_backup, city.dsn, shelf)
    victim = max((base / "base").rglob("*"), key=lambda p: p.stat().st_size if p.is_file() else 0)
    body = bytearray(victim.read_bytes())
    body[len(body) // 2] ^= 1
    victim.write_bytes(body)
    with pytest.raises(BackupError, match="is damaged"):
        await asyncio.to_thread(restore, shelf, shelf.parent / "back")


async def test_a_journal_that_is_not_what_was_recorded_is_refused(city: City, shelf: Path) -> None:
    """A restore that brings back less, or something else, is never called good."""
    await city.grow(4)
    with wal_archive(city.dsn, shelf):
        base = await asyncio.to_thread(take_backup, city.dsn, shelf)
        await archived(city)
    record = base.with_suffix(".json")
    record.write_text(record.read_text().replace('"journal":"', '"journal":"0'))
    with pytest.raises(BackupError, match="not what it was"):
        await asyncio.to_thread(restore, shelf, shelf.parent / "back")
    with pytest.raises(BackupError, match="not empty"):
        await asyncio.to_thread(restore, shelf, shelf.parent / "back")


async def test_a_backup_that_fails_leaves_no_backup(city: City, shelf: Path) -> None:
    """A half-written base never carries the name of a whole one."""
    connection = await asyncpg.connect(city.dsn)
    await connection.execute("CREATE ROLE modest LOGIN IN ROLE siaga_app")
    await connection.close()
    with pytest.raises(BackupError, match="pg_basebackup failed"):
        await asyncio.to_thread(take_backup, city.cluster.dsn(user="modest"), shelf)
    assert list_backups(shelf) == []
    assert not any(name.startswith("base-") for name in os.listdir(shelf))


async def test_old_backups_and_their_wal_go(city: City, shelf: Path) -> None:
    """Pruned to the newest two; what remains still restores."""
    with wal_archive(city.dsn, shelf):
        for n in range(4):
            await city.grow(2)
            await asyncio.to_thread(take_backup, city.dsn, shelf, now_at=T0 + timedelta(days=n))
            connection = await asyncpg.connect(city.dsn)
            await connection.execute("SELECT pg_switch_wal()")
            await connection.close()
        await archived(city)
    wal_before = len(list((shelf / "wal").iterdir()))
    assert await asyncio.to_thread(prune, shelf, 2) == ["base-20260301T030000Z", "base-20260302T030000Z"]
    assert len(list((shelf / "wal").iterdir())) < wal_before
    assert [read_record(b).journals["sby"].last_seq for b in list_backups(shelf)] == [6, 8]
    assert (await asyncio.to_thread(drill, shelf, where=shelf.parent)).journals == {"sby": 8}


# --- the replica takes over


async def test_with_a_synchronous_replica_nothing_confirmed_is_lost(city: City, shelf: Path) -> None:
    """The leader dies mid-stream, the replica is promoted, the server follows by its multi-host address."""
    replica = await asyncio.to_thread(city.cluster.make_replica, shelf.parent / "replica")
    await asyncio.to_thread(replica.start)
    try:
        connection = await asyncpg.connect(city.dsn)
        await connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        await connection.execute("SELECT pg_reload_conf()")
        await connection.close()
        hosts = f"{city.cluster.socket_folder},{replica.socket_folder}"
        both = f"postgresql://postgres@/postgres?host={hosts}&port=5432,5432&target_session_attrs=read-write"
        pool = await create_pool(both, size=3)
        journal = PostgresJournal(pool)
        await journal.open("sby")
        confirmed = 0
        failed_over: asyncio.Future[None] | None = None

        def fail_over() -> None:
            city.cluster.stop(immediate=True)
            replica.promote()

        while confirmed < 300:
            if confirmed == 100 and failed_over is None:
                failed_over = asyncio.ensure_future(asyncio.to_thread(fail_over))
            event = ev.IncidentNoted("I-1", str(confirmed + 1))
            entry = ev.Entry("sby", confirmed + 1, T0 + timedelta(seconds=confirmed), Actor("a", "b"), event)
            try:
                await journal.append(Batch(entries=[entry]))
                confirmed += 1
            except JournalUnavailable:
                await asyncio.sleep(0.01)
        assert failed_over is not None
        await failed_over
        told = [entry.event.text async for entry in journal.read(0)]  # type: ignore[union-attr]
        assert told == [str(n) for n in range(1, 301)]
        await journal.close()
        pool.terminate()
    finally:
        replica.delete()


async def test_a_replica_that_lagged_is_not_continued_as_if_nothing_were_missing(city: City, shelf: Path) -> None:
    """Promoted without the last commits, it refuses the next line with JournalGap: the server must not paper over it."""
    replica = await asyncio.to_thread(city.cluster.make_replica, shelf.parent / "replica")
    try:
        await city.grow(5)  # the replica was never started: it knows none of these
        city.cluster.stop(immediate=True)
        for leftover in ("standby.signal",):
            (replica.folder / leftover).unlink()
        await asyncio.to_thread(replica.start)
        pool = await create_pool(replica.dsn(), size=2)
        journal = PostgresJournal(pool, writer=city.journal.writer)
        await journal.open("sby")
        with pytest.raises(JournalGap):
            await journal.append(
                Batch(entries=[ev.Entry("sby", 6, T0, Actor("a", "b"), ev.IncidentNoted("I-1", "line 6"))])
            )
        await journal.close()
        pool.terminate()
    finally:
        replica.delete()
        shutil.rmtree(shelf, ignore_errors=True)
