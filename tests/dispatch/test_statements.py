"""Every SQL statement against the real schema and our structs: it prepares, with the server's rights, and types agree."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import asyncpg
import msgspec
import pytest
from msgspec import inspect

from dispatch import account_rows
from dispatch.database import connect
from dispatch.doubt import EarlierCall
from dispatch.events import Entry, IncidentNoted
from dispatch.history import PastCaller, PastIncident
from dispatch.journal import Answer, Batch, Rows
from dispatch.journal_pg import PostgresJournal, encode_rows
from dispatch.model import Actor, Assignment, Caller, Incident, Report, Unit
from dispatch.statements import SQL
from tests.dispatch.examples import example

T0 = datetime(2026, 3, 1, 3, 0, 0, 123456, tzinfo=UTC)

NOT_PREPARABLE = {"create_migration_table", "shadow_projections"}
"""DDL for the owner, and several statements in one text; run by the tests of migrate and projections."""
NEEDS_SHADOWS = {"compare_projections", "shadows_hide_projections"}


class Line(msgspec.Struct):
    """What `entry_of` reads."""

    seq: int
    at: datetime
    actor_role: str
    actor_name: str
    kind: str
    body: msgspec.Raw
    command_id: str | None


ROWS: dict[str, type[Any]] = {
    "answers_since": Answer,
    "read_lines": Line,
    "log_book": Line,
    "find_incidents": PastIncident,
    "find_callers": PastCaller,
    "earlier_calls": EarlierCall,
    "read_lines_about": Line,
    "load_accounts": account_rows.Account,
    "load_sessions": account_rows.Session,
    "find_session": account_rows.Session,
    "load_known_browsers": account_rows.KnownBrowser,
    "load_device_tokens": account_rows.DeviceToken,
    "find_device_token": account_rows.DeviceToken,
    "caller_readings": account_rows.CallerReading,
    "account_audit": account_rows.Audit,
}
"""Statements whose rows become a struct, column by column."""
PARAMETERS: dict[str, type[Any]] = {
    "put_account": account_rows.Account,
    "put_session": account_rows.Session,
    "put_known_browser": account_rows.KnownBrowser,
    "put_device_token": account_rows.DeviceToken,
    "add_account_audit": account_rows.Audit,
    "record_caller_reading": account_rows.CallerReading,
}
"""Statements that take a struct's fields in order."""

PROJECTIONS: dict[str, tuple[type[Any], set[str]]] = {
    "report": (Report, {"caller"}),
    "caller": (Caller, set()),
    "incident": (Incident, set()),
    "unit": (Unit, {"position"}),
    "assignment": (Assignment, set()),
}
"""Projection table -> struct, fields that live elsewhere (caller: own table; position: not journaled)."""


def postgres_type(kind: inspect.Type) -> tuple[set[str], bool]:
    """(names of fitting PostgreSQL types, whether NULL must be possible)."""
    match kind:
        case inspect.UnionType():
            inner = [t for t in kind.types if not isinstance(t, inspect.NoneType)]
            return postgres_type(inner[0])[0], len(inner) < len(kind.types)
        case inspect.StrType() | inspect.EnumType():
            return {"text"}, False
        case inspect.DateTimeType():
            return {"timestamptz"}, False
        case inspect.IntType():
            return {"int2", "int4", "int8"}, False
        case inspect.FloatType():
            return {"float8"}, False
        case inspect.BoolType():
            return {"bool"}, False
        case inspect.BytesType():
            return {"bytea"}, False
        case inspect.ListType() | inspect.FrozenSetType():
            return {"text[]", "_text"}, False
        case inspect.DictType() | inspect.StructType() | inspect.RawType():
            return {"json"}, False
        case _:
            raise AssertionError(f"no PostgreSQL type for {kind}")


def fields_of(struct: type[Any]) -> dict[str, inspect.Type]:
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    return {field.name: field.type for field in info.fields}


@pytest.mark.parametrize("name", sorted(SQL.keys() - NOT_PREPARABLE))
async def test_statement_prepares_with_the_servers_rights(database: str, name: str) -> None:
    """Tables, columns and types exist, and least privilege is enough for what the server does."""
    connection = await connect(database)
    try:
        if name in NEEDS_SHADOWS:
            async with connection.transaction():
                await connection.execute(SQL["shadow_projections"])
                await connection.prepare(SQL[name])
        else:
            prepared = await connection.prepare(SQL[name])
            if name in ROWS:
                columns = {a.name: a.type.name for a in prepared.get_attributes()}
                wanted = fields_of(ROWS[name])
                assert columns.keys() == wanted.keys()
                for column, kind in wanted.items():
                    assert columns[column] in postgres_type(kind)[0], column
            if name in PARAMETERS:
                types = [t.name for t in prepared.get_parameters()]
                kinds = list(fields_of(PARAMETERS[name]).values())
                assert len(types) == len(kinds)
                for position, (found, kind) in enumerate(zip(types, kinds, strict=True), 1):
                    assert found in postgres_type(kind)[0], f"${position}"
    finally:
        await connection.close()


@pytest.mark.parametrize("table", sorted(PROJECTIONS))
async def test_projection_columns_are_the_fields_of_the_struct(pool: asyncpg.Pool, table: str) -> None:
    """Names, types and nullability; a new field in model.py needs its column (migration) and its place in append_batch."""
    struct, elsewhere = PROJECTIONS[table]
    rows = await pool.fetch(
        "SELECT column_name, udt_name, is_nullable = 'YES' AS nullable FROM information_schema.columns "
        "WHERE table_schema = 'public' AND table_name = $1 AND is_generated = 'NEVER'",
        table,
    )
    columns = {row["column_name"]: (row["udt_name"], row["nullable"]) for row in rows}
    columns.pop("region")
    if table == "caller":
        columns.pop("report_id")
    wanted = {name: kind for name, kind in fields_of(struct).items() if name not in elsewhere}
    assert columns.keys() == wanted.keys()
    for name, kind in wanted.items():
        names, nullable = postgres_type(kind)
        assert columns[name][0] in names, name
        assert columns[name][1] == nullable, name


@pytest.mark.parametrize("struct", [Report, Incident, Unit, Assignment])
async def test_every_field_reaches_its_column(pool: asyncpg.Pool, struct: type[Any]) -> None:
    """Insert, then replace by a second value, and read back: both times every field is in its column."""
    journal = PostgresJournal(pool)
    await journal.open("sby")
    table = struct.__name__.lower()
    elsewhere = PROJECTIONS[table][1]
    full = example(struct)
    required = msgspec.convert(
        {f.encode_name: getattr(full, f.name) for f in msgspec.structs.fields(struct) if f.required}, struct
    )
    for row in (full, required, full):
        await journal.append(Batch(entries=[], rows=Rows(**{f"{table}s": [row]})))
        stored = dict(await pool.fetchrow(f"SELECT * FROM {table}"))
        expected = msgspec.to_builtins(row, builtin_types=(datetime,))
        for name in expected.keys() - elsewhere:
            found = msgspec.json.decode(stored[name]) if isinstance(stored[name], bytes) else stored[name]
            want = expected[name]
            if isinstance(want, dict):
                want = msgspec.json.decode(msgspec.json.encode(want))
            assert found == want, name
    await journal.close()


def test_equal_rows_are_equal_text_in_every_process() -> None:
    """A set has no order of its own: capabilities are written sorted, or each restart would look like a difference."""
    words = [f"capability_{n}" for n in range(40)]
    unit = msgspec.structs.replace(example(Unit), capabilities=frozenset(words))
    [row] = msgspec.json.decode(encode_rows([unit], "unit_id"))
    assert row["capabilities"] == sorted(words)


async def test_callers_stand_apart(pool: asyncpg.Pool) -> None:
    """Phone and name go to `caller`, nowhere else, and only when there are any."""
    journal = PostgresJournal(pool)
    await journal.open("sby")
    full = example(Report)
    nameless = msgspec.structs.replace(full, report_id="R-2", caller=Caller())
    await journal.append(Batch(entries=[], rows=Rows(reports=[full, nameless])))
    callers = await pool.fetch("SELECT report_id, phone, name FROM caller")
    assert [tuple(c) for c in callers] == [(full.report_id, full.caller.phone, full.caller.name)]
    assert full.caller.phone is not None
    assert full.caller.phone not in str(await pool.fetch("SELECT to_json(report)::text FROM report"))
    await journal.close()


async def test_of_two_rows_with_one_id_the_last_counts(pool: asyncpg.Pool) -> None:
    """A batch may have touched a row twice."""
    journal = PostgresJournal(pool)
    await journal.open("sby")
    first = example(Unit)
    await journal.append(Batch(entries=[], rows=Rows(units=[first, msgspec.structs.replace(first, moves_today=9)])))
    assert await pool.fetchval("SELECT moves_today FROM unit") == 9
    await journal.close()


async def test_refused_rows_do_not_stop_the_journal(pool: asyncpg.Pool, caplog: pytest.LogCaptureFixture) -> None:
    """The line is the truth: it is written although its row does not fit the table, loudly and without personal data."""
    journal = PostgresJournal(pool)
    await journal.open("sby")
    broken = msgspec.structs.replace(example(Report), rang_at=None, description="rahasia")
    note = Entry("sby", 1, T0, Actor("system", "engine"), IncidentNoted("I-1", "x"))
    await journal.append(Batch(entries=[note], rows=Rows(reports=[broken])))
    assert await journal.last_seq() == 1
    assert journal.projection_failures == 1
    assert await pool.fetchval("SELECT count(*) FROM report") == 0
    assert "refused by the tables" in caplog.text
    assert "rahasia" not in caplog.text
    await journal.close()


@pytest.mark.parametrize("statement", ["UPDATE journal SET kind = 'x'", "DELETE FROM journal", "TRUNCATE journal"])
async def test_the_journal_cannot_be_rewritten(database: str, pool: asyncpg.Pool, statement: str) -> None:
    """The application lacks the right, and even the owner is stopped by the trigger."""
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await pool.execute(statement)
    owner = await connect(database, role=None)
    with pytest.raises(asyncpg.PostgresError, match="append-only"):
        await owner.execute(statement)
    await owner.close()


async def test_readers_see_no_personal_data(database: str) -> None:
    """Grafana's role reads the projections without callers, free text and addresses, and nothing else."""
    reader = await connect(database, role="siaga_reader")
    await reader.fetch("SELECT state, lon, lat, rang_at FROM report")
    await reader.fetch("SELECT state, zone, first_ring_at FROM incident")
    await reader.fetch("SELECT * FROM position")
    for statement in (
        "SELECT * FROM caller",
        "SELECT description FROM report",
        "SELECT place FROM incident",
        "SELECT crew FROM unit",
        "SELECT body FROM journal",
        "SELECT * FROM account",
        "SELECT * FROM session",
        "SELECT * FROM caller_reading",
        "INSERT INTO unit (region, unit_id) VALUES ('x', 'y')",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await reader.execute(statement)
    await reader.close()
