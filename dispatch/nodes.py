"""Which node writes a region. Any number of servers on one database: one leads, the others follow, stay warm and forward.

The advisory lock keeps nodes from fighting and passes on by itself when the leader's process dies. A leader that is
merely frozen (SIGSTOP, a stuck disk) keeps its connection, so the leader also leaves a sign of life; when that grows
old, a follower cuts the frozen one's database connection and takes over. Whatever the old leader still tries to write
is refused by the journal's primary key: the new leader's first line is its fence.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Protocol

import asyncpg
import msgspec

from dispatch.database import PASSING_ERRORS, Leadership
from dispatch.journal import JournalFenced, JournalUnavailable, Told
from dispatch.live import Live
from dispatch.spool import SpoolingJournal
from dispatch.statements import SQL

log = logging.getLogger("siaga.nodes")

FOLLOW_EVERY_S = 0.1
"""How far a follower's screens may lag behind the leader's."""
ELECT_EVERY_S = 0.25
BEAT_EVERY_S = 0.4
FROZEN_AFTER_S = 1.2
"""Three missed signs of life; detection and take-over together stay within the 2 s budget."""
REST_S = 0.2
ORPHANS_EVERY_S = 1.0


class Election(Protocol):
    """How nodes agree; PostgreSQL live, memory in simulations."""

    async def try_lead(self, node: str, url: str) -> bool:
        """Whether this node may lead now. Takes over from a frozen leader."""

    async def beat(self, node: str, url: str) -> bool:
        """Leave a sign of life; False when the lead is lost."""

    async def leader_url(self) -> str: ...

    async def leave_orphans(self, orphans: list[Told]) -> None:
        """Keep commands for whoever leads. Raises JournalUnavailable."""

    async def find_orphans(self) -> list[tuple[int, Told]]: ...

    async def drop_orphan(self, number: int) -> None: ...

    async def close(self) -> None: ...


class PostgresElection:
    """Advisory lock + one row of `leader` per region."""

    def __init__(self, dsn: str, region: str, pool: asyncpg.Pool) -> None:
        self.region = region
        self.pool = pool
        # As the DSN's own user: cutting a frozen leader's connection needs the same user.
        self._lock = Leadership(dsn, region, role=None)

    async def try_lead(self, node: str, url: str) -> bool:
        try:
            if await self._lock.try_lead():
                return await self.beat(node, url)
            connection = self._lock.connection
            if await connection.fetchval(SQL["leader_is_frozen"], self.region, FROZEN_AFTER_S):
                log.error("leader of region=%s shows no sign of life; cutting its connection", self.region)
                await connection.execute(SQL["cut_leader"], self.region)
        except PASSING_ERRORS as error:
            log.debug("no election: %s", type(error).__name__)
        return False

    async def beat(self, node: str, url: str) -> bool:
        try:
            if not await self._lock.holds():
                return False
            await self._lock.connection.execute(SQL["leader_beat"], self.region, node, url)
        except PASSING_ERRORS:
            return False
        return True

    async def leader_url(self) -> str:
        try:
            if self._lock.alive:
                return str(await self._lock.connection.fetchval(SQL["leader_url"], self.region) or "")
        except PASSING_ERRORS:
            pass
        return ""

    async def leave_orphans(self, orphans: list[Told]) -> None:
        rows = [(self.region, msgspec.msgpack.encode(told)) for told in orphans]
        try:
            await self.pool.executemany(SQL["leave_orphan"], rows)
        except PASSING_ERRORS as error:
            raise JournalUnavailable(f"orphans: {type(error).__name__}") from error

    async def find_orphans(self) -> list[tuple[int, Told]]:
        try:
            rows = await self.pool.fetch(SQL["find_orphans"], self.region)
        except PASSING_ERRORS:
            return []
        return [(row["id"], msgspec.msgpack.decode(row["told"], type=Told)) for row in rows]

    async def drop_orphan(self, number: int) -> None:
        with contextlib.suppress(*PASSING_ERRORS):
            await self.pool.execute(SQL["drop_orphan"], number)

    async def close(self) -> None:
        await self._lock.close()


class Node:
    """One server's life: follow until elected, lead until fenced, follow again."""

    def __init__(self, live: Live, election: Election, name: str, url: str = "") -> None:
        self.live = live
        self.election = election
        self.name = name
        self.url = url
        self.leader_url = ""
        self.settled = asyncio.Event()
        """Set once this node leads or knows who does."""

    async def run(self) -> None:
        """Forever, until cancelled."""
        while True:
            try:
                await self._follow_until_elected()
                await self._lead()
            except JournalFenced as fence:
                log.error("stepping down: %s", fence)
            except JournalUnavailable as gone:
                log.warning("database away while not leading: %s", gone)
            self.live.leading = False
            await asyncio.sleep(REST_S)
            with contextlib.suppress(JournalUnavailable):
                await self.live.step_down()

    async def _follow_until_elected(self) -> None:
        since_election_s = ELECT_EVERY_S
        while True:
            if since_election_s >= ELECT_EVERY_S:
                since_election_s = 0.0
                if await self.election.try_lead(self.name, self.url):
                    return
                self.leader_url = await self.election.leader_url()
                if self.leader_url:
                    self.settled.set()
            await self.live.follow()
            await asyncio.sleep(FOLLOW_EVERY_S)
            since_election_s += FOLLOW_EVERY_S

    async def _lead(self) -> None:
        await self.live.lead(self.name, self.url)
        self.leader_url = self.url
        self.settled.set()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.live.run(), name="writer")
                tasks.create_task(self._beat(), name="beat")
                tasks.create_task(self._give_again(), name="give-again")
                if isinstance(self.live.journal, SpoolingJournal):
                    tasks.create_task(self.live.journal.drain_forever(), name="drain")
        except* JournalFenced as fences:
            if isinstance(self.live.journal, SpoolingJournal):
                await self.live.journal.surrender()
            raise JournalFenced(str(fences.exceptions[0])) from None

    async def _beat(self) -> None:
        """A missed beat is not a lost lead: while the database is away nobody can take over, and we go on."""
        while True:
            await self.election.beat(self.name, self.url)
            await asyncio.sleep(BEAT_EVERY_S)

    async def _give_again(self) -> None:
        """Acknowledged commands that lost their place when a lead changed hands: decided anew, under their own keys."""
        while True:
            for number, told in await self.election.find_orphans():
                await self.live.give_again(told)
                await self.election.drop_orphan(number)
            await asyncio.sleep(ORPHANS_EVERY_S)
