"""Migrations: once, in order, whole or not at all, by one process at a time, and never changed afterwards."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator

import asyncpg
import pytest

from dispatch.database import connect
from dispatch.migrate import (
    ROOMS,
    Migration,
    MigrationError,
    apply_grants,
    check_schema,
    load_migrations,
    migrate,
    pending,
)
from siaga.postgres import EmbeddedPostgres


def migration(number: int, text: str, phase: str = "pre") -> Migration:
    return Migration("dispatch", number, f"step_{number}", phase, hashlib.sha256(text.encode()).hexdigest(), text)


@pytest.fixture
async def empty(cluster: EmbeddedPostgres) -> AsyncIterator[asyncpg.Connection]:
    """An owner's connection to a database without any table."""
    admin = await asyncpg.connect(cluster.dsn())
    await admin.execute("DROP DATABASE IF EXISTS bare WITH (FORCE)")
    await admin.execute("CREATE DATABASE bare TEMPLATE template0")
    connection = await connect(cluster.dsn("bare"), role=None)
    yield connection
    await connection.close()
    await admin.execute("DROP DATABASE bare WITH (FORCE)")
    await admin.close()


async def tables(connection: asyncpg.Connection) -> set[str]:
    rows = await connection.fetch("SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relname LIKE 't_'")
    return {row["relname"] for row in rows}


async def test_ours_apply_once_to_an_empty_database(empty: asyncpg.Connection) -> None:
    """The second run has nothing to do, and the schema is then good to serve on."""
    with pytest.raises(MigrationError, match="lacks: dispatch 0001"):
        await check_schema(empty)
    applied = await migrate(empty)
    assert [m.number for m in applied] == [m.number for m in load_migrations()]
    assert await migrate(empty) == []
    assert await pending(empty, load_migrations()) == []
    assert await apply_grants(empty)
    assert await apply_grants(empty)
    await check_schema(empty)


async def test_a_failing_migration_leaves_nothing_behind(empty: asyncpg.Connection) -> None:
    """Those before it stay, of itself nothing does, and mended it goes on from there."""
    broken = [migration(1, "CREATE TABLE t1 ()"), migration(2, "CREATE TABLE t2 (); SELECT 1/0"), migration(3, "")]
    with pytest.raises(MigrationError, match="0002 step_2: division by zero"):
        await migrate(empty, broken)
    assert await tables(empty) == {"t1"}
    mended = [broken[0], migration(2, "CREATE TABLE t2 ()"), migration(3, "CREATE TABLE t3 ()")]
    assert [m.number for m in await migrate(empty, mended)] == [2, 3]
    assert await tables(empty) == {"t1", "t2", "t3"}


async def test_an_applied_migration_must_not_change(empty: asyncpg.Connection) -> None:
    """Editing history would give two installations two schemas of one name."""
    await migrate(empty, [migration(1, "CREATE TABLE t1 ()")])
    with pytest.raises(MigrationError, match="0001 step_1 was changed"):
        await migrate(empty, [migration(1, "CREATE TABLE t1 (x int)")])


async def test_pre_goes_before_the_upgrade_and_post_after_it(empty: asyncpg.Connection) -> None:
    """With phase pre nothing is taken away; a pending post does not keep the new release from serving."""
    steps = [
        migration(1, "CREATE TABLE t1 ()"),
        migration(2, "DROP TABLE t1", "post"),
        migration(3, "CREATE TABLE t3 ()"),
    ]
    assert [m.number for m in await migrate(empty, steps, phase="pre")] == [1, 3]
    assert await tables(empty) == {"t1", "t3"}
    await check_schema(empty, steps)
    assert [m.number for m in await migrate(empty, steps)] == [2]
    assert await tables(empty) == {"t3"}


async def test_the_previous_release_serves_on_the_newer_schema(empty: asyncpg.Connection) -> None:
    """During a rolling upgrade the database knows migrations that the old process does not."""
    old = [migration(1, "CREATE TABLE t1 ()")]
    await migrate(empty, [*old, migration(2, "CREATE TABLE t2 ()")])
    await check_schema(empty, old)
    assert await migrate(empty, old) == []


async def test_processes_that_start_together_migrate_once(cluster: EmbeddedPostgres, empty: asyncpg.Connection) -> None:
    """One does it, the others wait and find it done."""
    others = [await connect(cluster.dsn("bare"), role=None) for _ in range(4)]
    steps = [migration(n, f"CREATE TABLE t{n} (); SELECT pg_sleep(0.02)") for n in range(1, 4)]
    applied = await asyncio.gather(*(migrate(c, steps) for c in others))
    assert sorted(len(a) for a in applied) == [0, 0, 0, 3]
    for connection in others:
        await connection.close()


async def test_nodes_that_start_together_grant_without_tripping(
    cluster: EmbeddedPostgres, empty: asyncpg.Connection
) -> None:
    """Every node applies the grants at its start, several at the same moment."""
    await migrate(empty)
    nodes = [await connect(cluster.dsn("bare"), role=None) for _ in range(6)]
    for _ in range(3):
        assert await asyncio.gather(*(apply_grants(n) for n in nodes)) == [True] * 6
    for node in nodes:
        await node.close()


async def test_a_database_user_who_may_not_make_roles_can_still_own_the_schema(
    cluster: EmbeddedPostgres, empty: asyncpg.Connection
) -> None:
    """A hosted database often gives only an owner: migrating works, and the caller learns that roles are missing."""
    await empty.execute("CREATE ROLE modest LOGIN; ALTER DATABASE bare OWNER TO modest")
    await empty.execute("GRANT ALL ON SCHEMA public TO modest")
    modest = await connect(cluster.dsn("bare", user="modest"), role=None)
    try:
        await migrate(modest)
        # The roles exist in this cluster already, made by others: they cannot be passed on to this user.
        assert await apply_grants(modest) is False
        await check_schema(modest)
    finally:
        await modest.close()
        await empty.execute("REASSIGN OWNED BY modest TO postgres; DROP OWNED BY modest")
        await empty.execute("ALTER DATABASE bare OWNER TO postgres")
        await empty.execute("DROP ROLE modest")


def test_files_are_numbered_and_say_their_phase() -> None:
    """Gaps, repeats and missing phase lines are found when the files are loaded."""
    for room in ROOMS:
        numbers = [m.number for m in load_migrations((room,))]
        assert numbers == list(range(1, len(numbers) + 1))
    assert {m.phase for m in load_migrations()} <= {"pre", "post"}
