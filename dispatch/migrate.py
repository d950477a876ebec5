"""Numbered SQL migrations: applied once, in order, one transaction each, under a lock, with their checksum on record.

A file `NNNN_name.sql` in a room's `migrations/` folder starts with `-- phase: pre` or `-- phase: post`. `pre` only adds
and is safe while the previous release still runs on the database; `post` takes away what no running release uses any
more. A rolling upgrade is: `migrate(phase="pre")`, replace every process, `migrate()`.
"""

from __future__ import annotations

import hashlib
import logging
import re
from importlib.resources import files

import asyncpg
import msgspec

from dispatch.database import APP_ROLE, READER_ROLE
from dispatch.statements import SQL

log = logging.getLogger(__name__)

ROOMS = ("dispatch", "dashboards")
"""Rooms that keep tables, in the order their migrations are applied; only their files are read, nothing is imported."""

LOCK_TIMEOUT = "5s"
"""A migration that waits for a table's lock makes every later query wait behind it; give up instead and be run again."""

FILE_NAME = re.compile(r"^(\d{4})_([a-z0-9_]+)\.sql$")
PHASE = re.compile(r"^-- phase: (pre|post)$")


class MigrationError(Exception):
    """The schema cannot be brought to what this release needs; the text says which migration and why."""


class Migration(msgspec.Struct, frozen=True):
    """One file. `checksum` is the SHA-256 of its text."""

    room: str
    number: int
    name: str
    phase: str
    checksum: str
    text: str


def load_migrations(rooms: tuple[str, ...] = ROOMS) -> list[Migration]:
    """Every migration of the rooms, in the order they are applied: rooms as given, numbers without gaps.

    Raises MigrationError naming the file when a name, a number or the phase line is wrong.
    """
    found: list[Migration] = []
    for room in rooms:
        of_room: list[Migration] = []
        for entry in sorted((files(room) / "migrations").iterdir(), key=lambda e: e.name):
            match = FILE_NAME.match(entry.name)
            if match is None:
                if entry.name.endswith(".sql") and entry.name != "grants.sql":
                    raise MigrationError(f"{room}/migrations/{entry.name}: not NNNN_name.sql")
                continue
            text = entry.read_text(encoding="utf-8")
            phase = PHASE.match(text.split("\n", 1)[0])
            if phase is None:
                raise MigrationError(f"{room}/migrations/{entry.name}: first line must be '-- phase: pre' or 'post'")
            checksum = hashlib.sha256(text.encode()).hexdigest()
            of_room.append(Migration(room, int(match[1]), match[2], phase[1], checksum, text))
        if [m.number for m in of_room] != list(range(1, len(of_room) + 1)):
            raise MigrationError(f"{room}/migrations: numbers must run from 0001 without gaps or repeats")
        found += of_room
    return found


async def pending(connection: asyncpg.Connection, migrations: list[Migration]) -> list[Migration]:
    """Those not applied yet. Raises MigrationError when an applied one was changed afterwards.

    Applied ones that this release does not know are fine: the previous release runs on the new `pre` schema.
    """
    if not await connection.fetchval(SQL["migration_table_exists"]):
        return list(migrations)
    rows = await connection.fetch(SQL["applied_migrations"])
    applied = {(row["room"], row["number"]): row["checksum"] for row in rows}
    for m in migrations:
        if applied.get((m.room, m.number), m.checksum) != m.checksum:
            raise MigrationError(f"{m.room} {m.number:04} {m.name} was changed after it had been applied")
    return [m for m in migrations if (m.room, m.number) not in applied]


async def migrate(
    connection: asyncpg.Connection, migrations: list[Migration] | None = None, *, phase: str | None = None
) -> list[Migration]:
    """Apply what is pending (only `pre` ones with `phase="pre"`); what was applied. Needs the schema's owner.

    Safe to run from several processes at once. Raises MigrationError.
    """
    wanted = load_migrations() if migrations is None else migrations
    await connection.execute(SQL["lock_migrations"])
    try:
        await connection.execute(SQL["create_migration_table"])
        todo = [m for m in await pending(connection, wanted) if phase in (None, m.phase)]
        for m in todo:
            log.info("migration %s %04d %s", m.room, m.number, m.name)
            try:
                async with connection.transaction():
                    await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
                    await connection.execute(m.text)
                    await connection.execute(SQL["record_migration"], m.room, m.number, m.name, m.phase, m.checksum)
            except asyncpg.PostgresError as error:
                raise MigrationError(f"{m.room} {m.number:04} {m.name}: {error}") from error
        return todo
    finally:
        await connection.execute(SQL["unlock_migrations"])


async def apply_grants(connection: asyncpg.Connection, rooms: tuple[str, ...] = ROOMS) -> bool:
    """Make the two roles when they are not there and grant them what they need; run after every `migrate`.

    False when this database user may not make roles and nobody has made them: the server then works as the owner,
    and only the triggers protect the journal. `siaga doctor` should say so.
    """
    # Two nodes that start at once must not grant at once: PostgreSQL answers "tuple concurrently updated".
    await connection.execute(SQL["lock_migrations"])
    try:
        return await _make_roles(connection) and await _grant(connection, rooms)
    finally:
        await connection.execute(SQL["unlock_migrations"])


async def _make_roles(connection: asyncpg.Connection) -> bool:
    for role in (APP_ROLE, READER_ROLE):
        if await connection.fetchval(SQL["role_exists"], role):
            continue
        try:
            async with connection.transaction():
                await connection.execute(f"CREATE ROLE {role} NOLOGIN")
        except (asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
            continue  # another process made it meanwhile
        except asyncpg.InsufficientPrivilegeError:
            log.warning("this database user may not create roles; working without least-privilege roles")
            return False
    return True


async def _grant(connection: asyncpg.Connection, rooms: tuple[str, ...]) -> bool:
    try:
        async with connection.transaction():
            for room in rooms:
                grants = files(room) / "migrations" / "grants.sql"
                if grants.is_file():
                    await connection.execute(grants.read_text(encoding="utf-8"))
            # Since PostgreSQL 16 making a role no longer allows becoming it; `database.connect` does become it.
            await connection.execute(f"GRANT {APP_ROLE} TO CURRENT_USER")
    except asyncpg.InsufficientPrivilegeError as error:
        log.warning("roles exist but cannot be granted: %s", error)
        return False
    return True


async def check_schema(connection: asyncpg.Connection, migrations: list[Migration] | None = None) -> None:
    """Refuse to serve on a schema that lacks what this release needs. Raises MigrationError naming what is missing.

    A pending `post` migration is no reason to refuse: it waits for the last process of the previous release to go.
    """
    wanted = load_migrations() if migrations is None else migrations
    missing = [f"{m.room} {m.number:04} {m.name}" for m in await pending(connection, wanted) if m.phase == "pre"]
    if missing:
        raise MigrationError(f"the database lacks: {', '.join(missing)}; run `siaga migrate`")
