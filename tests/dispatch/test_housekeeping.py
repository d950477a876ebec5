"""What is only for a while goes by itself, and an absent database only puts it off."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from dispatch.account_rows import KnownBrowser, PostgresAccounts, Session
from dispatch.housekeeping import keep_house, keep_house_once
from dispatch.journal import Answer, Batch
from dispatch.journal_pg import ANSWERS_KEPT, PostgresJournal
from dispatch.model import Position
from tests.dispatch.test_accounts import HandClock

T0 = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)


@pytest.fixture
async def journal(pool: asyncpg.Pool) -> PostgresJournal:
    made = PostgresJournal(pool)
    await made.open("sby")
    return made


async def test_everything_past_its_time_goes_and_nothing_else(pool: asyncpg.Pool, journal: PostgresJournal) -> None:
    """Answers, sessions, known browsers and position days, each by its own age."""
    clock = HandClock()
    now = clock.now()
    store = PostgresAccounts(pool)
    await pool.execute(
        "INSERT INTO account (username, name, role, password_hash, demo, created_at) VALUES ($1, $1, $2, $1, false, $3)",
        "siti",
        "dispatcher",
        now,
    )
    for name, hours in ((b"gone", -1), (b"stays", 1)):
        await store.put(Session(name, "siti", "c", now, now + timedelta(hours=hours)))
        await store.put(KnownBrowser(name, "siti", now + timedelta(hours=hours)))
    answers = [
        Answer("s", "gone", "h", 200, b"", now - ANSWERS_KEPT - timedelta(seconds=1)),
        Answer("s", "stays", "h", 200, b"", now - ANSWERS_KEPT + timedelta(seconds=1)),
    ]
    await journal.append(Batch(entries=[], answers=answers))
    await keep_house_once(journal, store, clock)
    assert [a.key for a in await journal.answers_since(now - timedelta(days=9))] == ["stays"]
    assert await pool.fetch("SELECT token_hash FROM session") == [(b"stays",)]
    assert await pool.fetch("SELECT token_hash FROM known_browser") == [(b"stays",)]
    fix = Position(lon=112.7, lat=-7.2, fixed_at=now, received_at=now)
    await journal.append_positions([("A-01", fix)])
    assert await pool.fetchval("SELECT tableoid::regclass::text FROM position") == f"position_{now:%Y%m%d}"
    await journal.close()


async def test_an_absent_database_only_puts_it_off(
    pool: asyncpg.Pool, journal: PostgresJournal, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The task survives, says so and tries again."""
    monkeypatch.setattr("dispatch.housekeeping.EVERY_S", 0.0)
    monkeypatch.setattr("dispatch.housekeeping.RETRY_S", 0.0)
    task = asyncio.ensure_future(keep_house(journal, PostgresAccounts(pool), HandClock()))
    await pool.close()

    async def said(times: int) -> None:
        while caplog.text.count("put off") < times:  # noqa: ASYNC110  a log line has no event
            await asyncio.sleep(0.01)

    async with asyncio.timeout(10):
        await said(3)
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
