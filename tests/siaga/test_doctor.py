"""`siaga doctor` finds what would cost lives, and says what to do."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import asyncpg
import msgspec
import pytest
from argon2 import PasswordHasher

from dispatch import events as ev
from dispatch.account_rows import PostgresAccounts
from dispatch.accounts import Accounts
from dispatch.clock import SystemClock
from dispatch.database import connect
from dispatch.journal import Batch
from dispatch.journal_pg import PostgresJournal
from dispatch.model import Actor, Position
from dispatch.passwords import Passwords
from siaga import doctor
from siaga.backup import Record
from siaga.doctor import Finding, State, examine, worst
from siaga.postgres import EmbeddedPostgres

T0 = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)


@pytest.fixture
async def owner(database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(database, role=None)
    yield connection
    await connection.close()


def assert_bad(finding: Finding, word: str) -> None:
    assert finding.state is State.BAD
    assert word in finding.found
    assert finding.advice


async def test_a_test_cluster_is_not_fit_to_answer_112(database: str, tmp_path: Path) -> None:
    """It runs without fsync: everything else is in order, and that one thing is said."""
    findings = {f.check: f for f in await examine(database, tmp_path)}
    assert_bad(findings["tahan listrik padam / durable"], "fsync=off")
    bad = [f.check for f in findings.values() if f.state is State.BAD]
    assert bad == ["tahan listrik padam / durable"]
    assert worst(list(findings.values())) is State.BAD
    assert findings["skema / schema"].state is State.OK
    assert findings["hak / rights"].state is State.OK
    assert findings["akun demo / demo accounts"].state is State.OK
    assert findings["replika / replica"].state is State.WARN


async def test_no_database_is_one_clear_finding(tmp_path: Path) -> None:
    """Nothing is thrown at whoever looks for the cause at night."""
    findings = await examine(f"postgresql://postgres@/x?host={tmp_path}", tmp_path)
    assert_bad(findings[-1], "")
    assert findings[-1].check == "basis data / database"


async def test_an_empty_database_asks_for_migrations(cluster: EmbeddedPostgres, tmp_path: Path) -> None:
    """Every check survives tables that are not there."""
    admin = await asyncpg.connect(cluster.dsn())
    await admin.execute("CREATE DATABASE unmade TEMPLATE template0")
    try:
        findings = await examine(cluster.dsn("unmade"), tmp_path)
        assert any(
            f.check == "skema / schema" and f.state is State.BAD and f.advice == "siaga migrate" for f in findings
        )
    finally:
        await admin.execute("DROP DATABASE unmade WITH (FORCE)")
        await admin.close()


async def test_demo_accounts_are_named(pool: asyncpg.Pool, database: str, tmp_path: Path) -> None:
    """In production they are an open door; a trial installation may have them."""
    cheap = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    accounts = Accounts(PostgresAccounts(pool), SystemClock(), passwords=cheap, allow_demo=True)
    await accounts.prepare_demo([], "siaga112")
    found = {f.check: f for f in await examine(database, tmp_path)}
    assert_bad(found["akun demo / demo accounts"], "dispatcher")
    assert "akun demo / demo accounts" not in {f.check for f in await examine(database, tmp_path, demo=True)}


async def test_a_hole_in_the_journal_is_found(pool: asyncpg.Pool, owner: asyncpg.Connection) -> None:
    """The one thing that must never be."""
    journal = PostgresJournal(pool)
    await journal.open("sby")
    note = ev.IncidentNoted("I-1", "x")
    await journal.append(
        Batch(entries=[ev.Entry("sby", n, T0 + timedelta(seconds=n), Actor("a", "b"), note) for n in (1, 2, 3)])
    )
    await journal.close()
    assert (await doctor.check_journals(owner)).found == "sby: 3 lines, no gap"
    await owner.execute("SET session_replication_role = replica")
    await owner.execute("UPDATE journal SET at = at - interval '1 hour' WHERE seq = 3")
    assert_bad(await doctor.check_journals(owner), "time runs back at line 3")
    await owner.execute("DELETE FROM journal WHERE seq = 2")
    assert_bad(await doctor.check_journals(owner), "2 lines, but the last is 3")


async def test_too_many_rights_are_found(owner: asyncpg.Connection) -> None:
    """An application that could rewrite the journal."""
    assert (await doctor.check_rights(owner)).state is State.OK
    await owner.execute("GRANT UPDATE ON journal TO siaga_app")
    assert_bad(await doctor.check_rights(owner), "may change the journal")


async def test_a_changed_migration_is_found(owner: asyncpg.Connection) -> None:
    """Release and database do not belong together."""
    await owner.execute("UPDATE migration SET checksum = 'x' WHERE number = 1")
    assert_bad(await doctor.check_schema(owner), "was changed")


async def test_fixes_outside_any_day_mean_no_housekeeping(pool: asyncpg.Pool, owner: asyncpg.Connection) -> None:
    """Told before the table grows without end."""
    assert (await doctor.check_fixes(owner)).state is State.OK
    journal = PostgresJournal(pool)
    await journal.open("sby")
    await journal.append_positions([("A-01", Position(lon=112.7, lat=-7.2, fixed_at=T0, received_at=T0))])
    assert (await doctor.check_fixes(owner)).state is State.WARN


async def test_an_archive_that_stopped_is_found(owner: asyncpg.Connection) -> None:
    """No slot: a restore loses up to a day; a slot nobody reads: it fills the disk and then loses too."""
    assert (await doctor.check_archive(owner)).state is State.WARN


def test_an_unsynchronised_clock_is_found() -> None:
    """The kernel's word decides."""
    assert doctor.check_clock(lambda: doctor.TIME_ERROR).state is State.WARN
    assert doctor.check_clock(lambda: 0).state is State.OK


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.mark.parametrize(
    ("total_gib", "free_gib", "state"),
    [(100, 50, State.OK), (100, 6, State.WARN), (100, 4, State.BAD), (20, 4, State.WARN), (20, 1, State.BAD)],
)
def test_a_filling_disk_is_found_in_time(tmp_path: Path, total_gib: int, free_gib: int, state: State) -> None:
    """Small disks by share, large ones by room; a folder that is not there yet counts as its parent."""
    usage = Usage(total_gib << 30, 0, free_gib << 30)
    assert doctor.check_disk("disk", tmp_path / "not" / "yet", lambda _: usage).state is state


def test_old_and_missing_backups_are_found(tmp_path: Path) -> None:
    """A backup counts when it is whole and from last night."""
    assert_bad(doctor.check_backups(tmp_path, T0), "none")
    base = tmp_path / f"base-{T0:%Y%m%dT%H%M%S}Z"
    base.mkdir()
    assert_bad(doctor.check_backups(tmp_path, T0), "none")  # no record: not whole
    base.with_suffix(".json").write_bytes(msgspec.json.encode(Record(T0, T0, {})))
    assert doctor.check_backups(tmp_path, T0 + timedelta(hours=25)).state is State.OK
    assert_bad(doctor.check_backups(tmp_path, T0 + timedelta(hours=27)), "27.0 h old")
    assert doctor.check_backups(None, T0).state is State.WARN


def test_a_spool_that_cannot_be_written_is_found(tmp_path: Path) -> None:
    """Found now, not when the database is away."""
    assert doctor.check_spool(tmp_path / "var").state is State.OK
    blocked = tmp_path / "file"
    shutil.copyfile(__file__, blocked)
    assert_bad(doctor.check_spool(blocked / "var"), "")


def test_an_open_address_is_found() -> None:
    """Callers' data must not travel in the open; on this machine alone it may."""
    assert_bad(doctor.check_certificate("http://112.example.id", T0), "not encrypted")
    assert doctor.check_certificate("http://127.0.0.1:8112", T0).state is State.WARN
    assert_bad(doctor.check_certificate("https://127.0.0.1:1", T0), "ConnectionRefusedError")
