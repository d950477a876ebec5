"""The PostgreSQL journal under faults: lost connections, lost confirmations, paused, killed and full databases."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from dispatch import events as ev
from dispatch.database import Leadership, connect, create_pool
from dispatch.journal import Answer, Batch, JournalFenced, JournalUnavailable
from dispatch.journal_pg import ANSWERS_KEPT, PostgresJournal
from dispatch.migrate import apply_grants, migrate
from dispatch.model import Actor, Position
from siaga.postgres import EmbeddedPostgres, throwaway_cluster

T0 = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
ENGINE = Actor("system", "engine")


def line(seq: int, text: str = "x") -> ev.Entry:
    return ev.Entry("sby", seq, T0 + timedelta(seconds=seq), ENGINE, ev.IncidentNoted("I-1", text))


@pytest.fixture
def victim() -> Iterator[EmbeddedPostgres]:
    """A cluster of its own for a test that hurts it."""
    with throwaway_cluster() as cluster:
        yield cluster


async def prepared(cluster: EmbeddedPostgres) -> asyncpg.Pool:
    owner = await connect(cluster.dsn(), role=None)
    await migrate(owner)
    await apply_grants(owner)
    await owner.close()
    return await create_pool(cluster.dsn(), size=4)


async def texts(journal: PostgresJournal) -> list[str]:
    return [entry.event.text async for entry in journal.read(0)]  # type: ignore[union-attr]


async def test_a_killed_connection_is_passing_and_the_repeat_succeeds(database: str, pool: asyncpg.Pool) -> None:
    """The writer's connection is cut between two batches: the batch is refused, kept and then written once."""
    journal = PostgresJournal(pool)
    await journal.open("sby")
    await journal.append(Batch(entries=[line(1)]))
    owner = await connect(database, role=None)
    await owner.fetch(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> $1",
        owner.get_server_pid(),
    )
    await owner.close()
    batch = Batch(entries=[line(2)])
    attempts = 0
    while True:
        attempts += 1
        try:
            await journal.append(batch)
            break
        except JournalUnavailable:
            assert attempts < 10
    assert attempts > 1
    assert await texts(journal) == ["x", "x"]
    await journal.close()


class LossyLine:
    """A wire between the server and its database that can go dead right after a request was delivered."""

    def __init__(self, folder: Path, real: EmbeddedPostgres) -> None:
        self.socket = folder / ".s.PGSQL.5432"
        self.real = real.socket_folder / ".s.PGSQL.5432"
        self.lose_next_answer = False
        self.lost = 0

    async def __aenter__(self) -> LossyLine:
        self._server = await asyncio.start_unix_server(self._serve, self.socket)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, client_in: asyncio.StreamReader, client_out: asyncio.StreamWriter) -> None:
        server_in, server_out = await asyncio.open_unix_connection(self.real)

        async def requests() -> None:
            while data := await client_in.read(65536):
                server_out.write(data)
                await server_out.drain()
            server_out.close()

        async def answers() -> None:
            while data := await server_in.read(65536):
                if self.lose_next_answer:
                    self.lose_next_answer = False
                    self.lost += 1
                    break
                client_out.write(data)
                await client_out.drain()
            client_out.close()

        with contextlib.suppress(OSError):
            await asyncio.gather(requests(), answers())


async def test_a_commit_whose_confirmation_is_lost_is_not_written_twice(
    cluster: EmbeddedPostgres, database: str, tmp_path: Path
) -> None:
    """The database committed, the answer never came: the repeat recognises its own lines."""
    async with LossyLine(tmp_path, cluster) as wire:
        name = database.partition("@/")[2].partition("?")[0]
        pool = await create_pool(f"postgresql://postgres@/{name}?host={tmp_path}")
        journal = PostgresJournal(pool)
        await journal.open("sby")
        await journal.append(Batch(entries=[line(1)]))
        answer = Answer("crew:A-01", "k", "h", 200, b"{}", T0)
        batch = Batch(entries=[line(2, "two"), line(3, "three")], answers=[answer])
        wire.lose_next_answer = True
        with pytest.raises(JournalUnavailable):
            await journal.append(batch)
        assert wire.lost == 1
        for _ in range(100):  # the database goes on with what it was given, whether we hear of it or not
            if await journal.last_seq() == 3:
                break
            await asyncio.sleep(0.02)
        await journal.append(batch)
        await journal.append(Batch(entries=[line(4, "four")]))
        assert await texts(journal) == ["x", "two", "three", "four"]
        assert await journal.answers_since(T0) == [answer]
        await journal.close()
        pool.terminate()


async def test_a_crash_of_the_database_loses_nothing_confirmed(victim: EmbeddedPostgres) -> None:
    """Power cut while appending: after the restart every confirmed line is there and the writer goes on."""
    pool = await prepared(victim)
    journal = PostgresJournal(pool)
    await journal.open("sby")
    confirmed = 0
    seq = 1
    restarted: asyncio.Task[None] | None = None

    def crash_and_restart() -> None:
        victim.stop(immediate=True)
        victim.start()

    while confirmed < 400:
        if confirmed == 150 and restarted is None:
            restarted = asyncio.ensure_future(asyncio.to_thread(crash_and_restart))
        try:
            await journal.append(Batch(entries=[line(seq, str(seq))]))
            confirmed = seq
            seq += 1
        except JournalUnavailable:
            await asyncio.sleep(0.01)
    assert restarted is not None
    await restarted
    assert await texts(journal) == [str(n) for n in range(1, 401)]
    await journal.close()
    pool.terminate()


async def test_a_paused_database_gives_up_in_time_and_fences_the_sleeper(victim: EmbeddedPostgres) -> None:
    """A server that does not answer is reported within the limit, not waited for; nothing is lost or doubled afterwards."""
    pool = await prepared(victim)
    journal = PostgresJournal(pool, append_timeout_s=0.3)
    await journal.open("sby")
    await journal.append(Batch(entries=[line(1)]))
    backend = await _backend(journal)
    _kill(backend, signal.SIGSTOP)
    try:
        async with asyncio.timeout(10):
            with pytest.raises(JournalUnavailable):
                await journal.append(Batch(entries=[line(2, "slept over")]))
    finally:
        _kill(backend, signal.SIGCONT)
    # The stopped backend may still finish what it had been given; either way the repeat settles it.
    for _ in range(50):
        try:
            await journal.append(Batch(entries=[line(2, "slept over")]))
            break
        except JournalUnavailable:
            await asyncio.sleep(0.05)
    assert await texts(journal) == ["x", "slept over"]
    await journal.close()
    pool.terminate()


async def test_a_cancelled_append_leaves_a_working_journal(pool: asyncpg.Pool) -> None:
    """Shutting down in the middle of a commit must not poison the connection for the next."""
    journal = PostgresJournal(pool)
    await journal.open("sby")
    task = asyncio.ensure_future(journal.append(Batch(entries=[line(1)])))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await journal.append(Batch(entries=[line(1)]))
    assert await texts(journal) == ["x"]
    await journal.close()


async def test_a_read_only_replica_is_a_passing_refusal(victim: EmbeddedPostgres) -> None:
    """During a failover the address may lead to a server that is not promoted yet."""
    pool = await prepared(victim)
    owner = await connect(victim.dsn(), role=None)
    await owner.execute("ALTER DATABASE postgres SET default_transaction_read_only = on")
    await owner.close()
    fresh = await create_pool(victim.dsn())
    journal = PostgresJournal(fresh)
    await journal.open("sby")
    with pytest.raises(JournalUnavailable):
        await journal.append(Batch(entries=[line(1)]))
    await journal.close()
    fresh.terminate()
    pool.terminate()


async def test_a_database_that_never_was_is_unavailable(tmp_path: Path, pool: asyncpg.Pool) -> None:
    """Not an error of the program: the caller keeps its batch."""
    journal = PostgresJournal(pool)
    await journal.open("sby")
    await journal.append(Batch(entries=[line(1)]))
    await journal.close()
    await pool.close()
    with pytest.raises(JournalUnavailable):
        await journal.append(Batch(entries=[line(2)]))
    with pytest.raises(JournalUnavailable):
        await journal.last_seq()


async def test_one_process_leads_and_the_next_takes_over(database: str) -> None:
    """The lock goes with the connection, so also with a killed process."""
    first, second, elsewhere = (Leadership(database, r) for r in ("sby", "sby", "gianyar"))
    assert await first.try_lead()
    assert await first.try_lead()
    assert await first.holds()
    assert not await second.try_lead()
    assert not await second.holds()
    assert await elsewhere.try_lead()
    owner = await connect(database, role=None)
    await owner.fetch(
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid::bigint = (hashtext('sby')::bigint & 4294967295)"
    )
    await owner.close()
    for _ in range(100):
        if await second.try_lead():
            break
        await asyncio.sleep(0.02)
    assert await second.holds()
    assert not await first.holds()
    for leadership in (first, second, elsewhere):
        await leadership.close()


async def test_positions_are_kept_by_day_and_dropped_by_age(database: str, pool: asyncpg.Pool) -> None:
    """Fixes land in their day's partition; old days go as a whole; a day nobody prepared loses nothing."""
    journal = PostgresJournal(pool)
    await journal.open("sby")

    def fix(at: datetime) -> tuple[str, Position]:
        return "A-01", Position(lon=112.7, lat=-7.2, fixed_at=at, received_at=at, speed_mps=11.5)

    await journal.prune(T0)
    await journal.append_positions([fix(T0), fix(T0 + timedelta(days=1)), fix(T0 + timedelta(days=9))])
    owner = await connect(database, role=None)
    parts = "SELECT tableoid::regclass::text AS part, count(*) AS n FROM position GROUP BY 1 ORDER BY 1"
    assert [tuple(r) for r in await owner.fetch(parts)] == [
        ("position_20260301", 1),
        ("position_20260302", 1),
        ("position_other", 1),
    ]
    await journal.prune(T0 + timedelta(days=31))
    assert [r["part"] for r in await owner.fetch(parts)] == ["position_20260302", "position_other"]
    stored = await owner.fetchrow("SELECT * FROM position WHERE received_at < $1", T0 + timedelta(days=2))
    assert (stored["unit_id"], stored["lon"], stored["speed_mps"], stored["accuracy_m"]) == ("A-01", 112.7, 11.5, None)
    await owner.close()


async def test_fixes_of_a_day_nobody_prepared_move_into_it_later(database: str, pool: asyncpg.Pool) -> None:
    """Housekeeping that starts late neither fails nor loses: the day's partition takes over what lay in the net."""
    journal = PostgresJournal(pool)
    await journal.open("sby")
    days = [T0 - timedelta(days=40), T0, T0 + timedelta(hours=1), T0 + timedelta(days=1)]
    await journal.append_positions(
        [("A-01", Position(lon=112.7, lat=-7.2, fixed_at=at, received_at=at)) for at in days]
    )
    for _ in range(2):
        await journal.prune(T0 + timedelta(hours=2))
    owner = await connect(database, role=None)
    parts = await owner.fetch("SELECT tableoid::regclass::text AS part, count(*) FROM position GROUP BY 1 ORDER BY 1")
    assert [tuple(r) for r in parts] == [("position_20260301", 2), ("position_20260302", 1)]
    await owner.close()


async def test_old_answers_are_pruned(pool: asyncpg.Pool) -> None:
    """Idempotency answers live as long as a phone may stay offline, not for ever."""
    journal = PostgresJournal(pool)
    await journal.open("sby")
    old, young = (Answer("c", key, "h", 200, b"", T0 + timedelta(hours=h)) for key, h in (("old", 0), ("young", 1)))
    await journal.append(Batch(entries=[], answers=[old, young]))
    await journal.prune(T0 + timedelta(minutes=30) + ANSWERS_KEPT)
    assert await journal.answers_since(T0) == [young]
    await journal.close()


async def test_a_stopped_writer_that_wakes_up_is_fenced(pool: asyncpg.Pool) -> None:
    """The old leader was paused while another took over; its first append after waking fails and writes nothing."""
    old, new = PostgresJournal(pool), PostgresJournal(pool)
    await old.open("sby")
    await new.open("sby")
    await old.append(Batch(entries=[line(1)]))
    await new.append(Batch(entries=[line(2, "new leader")]))
    with pytest.raises(JournalFenced):
        await old.append(Batch(entries=[line(2, "old leader"), line(3, "old leader")]))
    assert await texts(new) == ["x", "new leader"]
    await new.close()


async def _backend(journal: PostgresJournal) -> int:
    assert journal._connection is not None
    return int(journal._connection.get_server_pid())


def _kill(pid: int, number: signal.Signals) -> None:
    os.kill(pid, number)
