"""A leader whose event loop is busy still shows signs of life; one that is frozen, stuck or has lost the lead does not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import asyncpg
import pytest

from dispatch import pulse as pulse_module
from dispatch.database import connect, create_pool
from dispatch.nodes import PostgresElection
from dispatch.pulse import Pulse
from dispatch.statements import SQL


@pytest.fixture
async def owner(database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(database, role=None)
    yield connection
    await connection.close()


async def seen_at(owner: asyncpg.Connection) -> float:
    return float(await owner.fetchval("SELECT extract(epoch FROM seen_at)::float FROM leader WHERE region = 'sby'"))


async def never(_: str) -> bool:
    return True


async def test_a_busy_event_loop_does_not_look_frozen(
    database: str, owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop stands still for longer than a follower waits; the thread goes on saying that we live."""
    monkeypatch.setattr(pulse_module, "EVERY_S", 0.02)
    pool = await create_pool(database, size=1)
    election = PostgresElection(database, "sby", pool)
    try:
        assert await election.try_lead("node", "http://n", never)
        before = await seen_at(owner)
        async with asyncio.timeout(20.0):
            while await seen_at(owner) == before:  # noqa: ASYNC110 - a row, written by a thread
                await asyncio.sleep(0.02)
        begun = await seen_at(owner)
        deadline_s = time.monotonic() + 20.0
        time.sleep(0.2)  # noqa: ASYNC251 - the loop is busy
        while await seen_at(owner) - begun < 0.1:
            assert time.monotonic() < deadline_s, "no sign of life while the loop was busy"
    finally:
        await election.close()
        await pool.close()


async def test_a_loop_that_hangs_for_good_ends_the_pulse(
    database: str, owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a deadlocked leader would lead for ever."""
    monkeypatch.setattr(pulse_module, "EVERY_S", 0.01)
    await owner.execute(SQL["leader_beat"], "sby", "node", "http://n")
    pulse = Pulse(database, "sby", None)
    try:
        pulse.felt("node")
        await moves(owner)
        monkeypatch.setattr(pulse_module, "LOOP_STUCK_S", 0.0)
        await stands_still(owner)
    finally:
        await pulse.stop()


async def test_whoever_lost_the_lead_has_no_pulse(
    database: str, owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither when it knows, nor when it does not know yet: the row is another's."""
    monkeypatch.setattr(pulse_module, "EVERY_S", 0.01)
    await owner.execute(SQL["leader_beat"], "sby", "node", "http://n")
    pulse = Pulse(database, "sby", None)
    try:
        pulse.felt("node")
        await moves(owner)
        await owner.execute(SQL["leader_beat"], "sby", "other", "http://o")
        await stands_still(owner)
        await owner.execute(SQL["leader_beat"], "sby", "node", "http://n")
        await moves(owner)
        pulse.lost()
        await stands_still(owner)
    finally:
        await pulse.stop()


async def moves(owner: asyncpg.Connection) -> None:
    before = await seen_at(owner)
    async with asyncio.timeout(20.0):
        while await seen_at(owner) == before:  # noqa: ASYNC110 - a row, written by a thread
            await asyncio.sleep(0.01)


async def stands_still(owner: asyncpg.Connection) -> None:
    """Within a bound the row is the same through thirty looks, each longer apart than a beat."""
    same, before = 0, -1.0
    async with asyncio.timeout(30.0):
        while same < 30:
            await asyncio.sleep(0.02)
            now = await seen_at(owner)
            same = same + 1 if now == before else 0
            before = now
