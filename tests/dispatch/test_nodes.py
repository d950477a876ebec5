"""Two real server processes on one real database: take-over, fences, outages, and commands handed on."""

from __future__ import annotations

import asyncio
import signal
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest
import pytest_asyncio

from dispatch.pack import load as load_pack
from siaga.chaos import DATABASE, prepare
from siaga.chaos_audit import audit
from siaga.chaos_load import Acked, Load
from siaga.chaos_pair import Pair, ServerProcess
from siaga.postgres import EmbeddedPostgres, throwaway_cluster
from siaga.serve import REGIONS

pytestmark = [pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="module")]


class Town:
    """A pair, somebody who reports, and the audit at the end."""

    def __init__(self, cluster: EmbeddedPostgres, pair: Pair, load: Load) -> None:
        self.cluster = cluster
        self.pair = pair
        self.load = load

    async def report(self, server: ServerProcess) -> Acked:
        return await self.load.report(server.url)

    async def lines_of(self, key: str) -> list[tuple[int, str]]:
        connection = await asyncpg.connect(self.cluster.dsn(DATABASE))
        try:
            rows = await connection.fetch(
                "SELECT seq, kind FROM journal WHERE command_id = $1 AND kind = 'report_submitted' ORDER BY seq", key
            )
            return [(row["seq"], row["kind"]) for row in rows]
        finally:
            await connection.close()

    async def nothing_is_wrong(self) -> None:
        await self.pair.calm(90.0)
        pool = await asyncpg.create_pool(self.cluster.dsn(DATABASE), min_size=1, max_size=2, init=_codec)
        try:
            found = await audit(self.cluster.dsn(DATABASE), pool, load_pack(REGIONS / "surabaya"), self.load.acked)
        finally:
            await pool.close()
        assert found.wrong == []
        assert found.acknowledged == len(self.load.acked) > 0


async def _codec(connection: asyncpg.Connection) -> None:
    from dispatch.database import prepare_connection

    await prepare_connection(connection)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def town() -> AsyncIterator[Town]:
    """One pair for all: every test leaves both running and of one mind (`nothing_is_wrong`)."""
    with tempfile.TemporaryDirectory(prefix="siaga-nodes-") as folder, throwaway_cluster() as cluster:
        admin = await asyncpg.connect(cluster.dsn())
        await admin.execute(f"CREATE DATABASE {DATABASE}")
        await admin.close()
        await prepare(cluster.dsn(DATABASE), load_pack(REGIONS / "surabaya"), 1)
        async with (
            Pair([cluster], DATABASE, Path(folder)) as pair,
            Load(pair.urls, {}, ["medis"], seed=1, per_s=1e-6) as load,
        ):
            yield Town(cluster, pair, load)


async def other_leads(town: Town, old: ServerProcess) -> float:
    began_s = time.perf_counter()
    await town.pair.leader_but(old)
    return time.perf_counter() - began_s


async def test_a_killed_leader_is_replaced_and_nothing_acknowledged_is_lost(
    town: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    """SIGKILL: the follower leads, knows every report and every answer, and the dead one comes back as a follower."""
    leader = await town.pair.leader()
    before = await town.report(leader)
    leader.signal(signal.SIGKILL)
    took_s = await other_leads(town, leader)
    with capsys.disabled():
        print(f"\nleader killed -> standby leads: {took_s:.2f} s (promised: 2 s)")
    after = await town.load.report(town.pair.other(leader).url)
    await leader.kill()
    await leader.start()
    state = await leader.state()
    assert state is not None
    assert not state["leading"]
    assert len(await town.lines_of(before.key)) == len(await town.lines_of(after.key)) == 1
    await town.nothing_is_wrong()


async def test_a_frozen_leader_is_replaced_and_cannot_write_when_it_wakes(
    town: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    """SIGSTOP is what a stalled disk or hypervisor does. Woken, the old leader follows; what it is told is handed on."""
    leader = await town.pair.leader()
    await town.report(leader)
    leader.signal(signal.SIGSTOP)
    try:
        took_s = await other_leads(town, leader)
        await town.report(town.pair.other(leader))
    finally:
        leader.signal(signal.SIGCONT)
    with capsys.disabled():
        print(f"\nleader frozen -> standby leads: {took_s:.2f} s (promised: 2 s)")
    woken = await town.report(leader)
    assert await town.pair.leader() is town.pair.other(leader)
    assert len(await town.lines_of(woken.key)) == 1
    await town.nothing_is_wrong()


async def test_a_leader_that_stops_in_order_hands_over_at_once(town: Town) -> None:
    """SIGTERM: everything accepted is written, the lock is let go, the process ends by itself."""
    leader = await town.pair.leader()
    await asyncio.gather(*(town.report(leader) for _ in range(5)))
    leader.signal(signal.SIGTERM)
    await town.pair.leader_but(leader)
    assert leader.process is not None
    assert await leader.process.wait() == 0
    await leader.start()
    await town.nothing_is_wrong()


async def test_an_outage_of_the_database_is_spooled_and_drained_in_order(town: Town) -> None:
    """Reports are accepted while the database is away, by both nodes; the same leader goes on; each stands once, in order."""
    leader = await town.pair.leader()
    await town.report(leader)
    await asyncio.to_thread(town.cluster.stop, immediate=True)
    try:
        accepted = [await town.report(leader) for _ in range(4)]
        accepted.append(await town.report(town.pair.other(leader)))  # handed on though the database is away
        state = await leader.state()
        assert state is not None
        assert state["degraded"]
        assert state["leading"]
    finally:
        await asyncio.to_thread(town.cluster.start)
    await town.pair.calm(90.0)
    assert await town.pair.leader() is leader, "a leader with a full spool must not lose its place to a restart"
    places = [await town.lines_of(a.key) for a in accepted]
    assert [len(found) for found in places] == [1] * 5
    assert [found[0][0] for found in places] == sorted(found[0][0] for found in places)
    await town.nothing_is_wrong()


async def test_a_spool_of_a_dead_process_is_drained_by_the_next(town: Town) -> None:
    """The leader accepts in the outage and is killed: its next start gives every report its place or to whoever leads."""
    leader = await town.pair.leader()
    await asyncio.to_thread(town.cluster.stop, immediate=True)
    accepted = [await town.report(leader) for _ in range(3)]
    await leader.kill()
    await asyncio.to_thread(town.cluster.start)
    await other_leads(town, leader)
    later = await town.report(town.pair.other(leader))
    await leader.start()
    await town.pair.calm(90.0)
    for acked in (*accepted, later):
        assert len(await town.lines_of(acked.key)) == 1
    await town.nothing_is_wrong()


async def test_a_leader_cut_off_for_good_is_replaced_and_its_reports_are_decided_anew(town: Town) -> None:
    """Only the leader's line is cut: it serves from its spool; past the follower's patience that one leads; then all is one."""
    leader = await town.pair.leader()
    link = town.pair.link_of(leader)
    link.cut()
    try:
        accepted = [await town.report(leader) for _ in range(3)]
        await other_leads(town, leader)
        meanwhile = await town.report(town.pair.other(leader))
    finally:
        link.mend()
    await town.pair.calm(90.0)
    assert await town.pair.leader() is town.pair.other(leader)
    for acked in (*accepted, meanwhile):
        assert len(await town.lines_of(acked.key)) == 1
    assert await town.load.dead_links(accepted) == [], "who was given a number that is gone still holds its link"
    await town.nothing_is_wrong()


async def test_a_key_answered_by_one_node_is_known_to_the_other(town: Town) -> None:
    """The caller who lost the answer asks the other node, before and after a take-over, and gets the same one."""
    leader = await town.pair.leader()
    key = {"Idempotency-Key": "k" * 20}
    body = {"kind": "medis", "place": {"lon": 112.74, "lat": -7.27}}

    async def ask(server: ServerProcess) -> Any:
        async with (
            aiohttp.ClientSession() as session,
            session.post(server.url + "/api/v1/reports", json=body, headers=key) as answer,
        ):
            return answer.status, (await answer.json(content_type=None)).get("report_id")

    first = await ask(leader)
    assert first[0] == 201
    assert await ask(town.pair.other(leader)) == first
    leader.signal(signal.SIGKILL)
    await other_leads(town, leader)
    assert await ask(town.pair.other(leader)) == first
    await leader.kill()
    await leader.start()
    assert await ask(leader) == first
    assert len(await town.lines_of("k" * 20)) == 1
    await town.nothing_is_wrong()
