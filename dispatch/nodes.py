"""Which node writes a region. Any number of servers on one database: one leads, the others follow, stay warm and forward.

The advisory lock keeps nodes from fighting and passes on by itself when the leader's process dies. A leader that is
merely frozen (SIGSTOP, a stuck disk) keeps its connection, so the leader also leaves signs of life (`pulse.py`); when the last
grows old, a follower cuts the frozen one's database connection and takes over. Whatever the old leader still tries to write
is refused by the journal's primary key: the new leader's first line is its fence.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

import aiohttp
import asyncpg
import msgspec

from dispatch import metrics
from dispatch.database import PASSING_ERRORS, Leadership
from dispatch.journal import JournalFenced, JournalUnavailable, Told
from dispatch.live import Live, NotLeading
from dispatch.pulse import Pulse
from dispatch.spool import SpoolFull, SpoolingJournal
from dispatch.statements import SQL

log = logging.getLogger("siaga.nodes")

FOLLOW_EVERY_S = 0.1
"""How far a follower's screens may lag behind the leader's."""
ELECT_EVERY_S = 0.25
BEAT_EVERY_S = 0.3
FROZEN_AFTER_S = 0.9
"""Three missed signs of life; detection and take-over together stay within the 2 s budget. That is short for a busy machine,
which is why a silent leader is asked before it is replaced."""
ASK_TIMEOUT_S = 0.25
"""A healthy leader says within milliseconds that it leads; a frozen one never does."""
PATIENCE_S = 10.0
"""How long a leader that answers, but leaves no sign of life in the database, is left to find its way back there: what it
has spooled then drains in order. Meanwhile it serves. Past this its line to the database is cut for good."""
REST_S = 0.2
ORPHANS_EVERY_S = 1.0

MayReplace = Callable[[str], Awaitable[bool]]
"""Asked with the old leader's address before it is replaced: False = it still leads, wait."""
Ask = Callable[[str], Awaitable[bool]]


async def still_leads(url: str) -> bool:
    """Whether the node at `url` answers, and says that it leads."""
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ASK_TIMEOUT_S)) as session,
            session.get(url + "/health/ready") as answer,
        ):
            return msgspec.json.decode(await answer.read(), type=_Ready).leading
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError, msgspec.MsgspecError):
        return False


class _Ready(msgspec.Struct):
    leading: bool


class Election(Protocol):
    """How nodes agree; PostgreSQL live, memory in simulations."""

    async def try_lead(self, node: str, url: str, may_replace: MayReplace) -> bool:
        """Whether this node may lead now. Takes over from a dead or frozen leader."""

    async def beat(self, node: str, url: str) -> bool:
        """Leave a sign of life; False when the lead is lost."""

    async def leader_url(self) -> str | None:
        """Where the leader answers; "" when there never was one, None when the database does not say."""

    async def leave_orphans(self, orphans: list[Told]) -> None:
        """Keep commands for whoever leads. Raises JournalUnavailable."""

    async def find_orphans(self) -> list[tuple[int, Told]]: ...

    async def drop_orphan(self, number: int, renumbered: dict[str, str]) -> None:
        """It has been decided anew. `renumbered`: ids of its first answer -> what the same is called now; kept for links."""

    async def renumbered(self, report_id: str) -> str | None:
        """What a report is called that was acknowledged under this id by a lost leader. Raises JournalUnavailable."""

    async def close(self) -> None: ...


class PostgresElection:
    """Advisory lock + one row of `leader` per region."""

    def __init__(self, dsn: str, region: str, pool: asyncpg.Pool) -> None:
        self.region = region
        self.pool = pool
        self._pulse = Pulse(dsn, region, role=None)
        # As the DSN's own user: cutting a frozen leader's connection needs the same user.
        self._lock = Leadership(dsn, region, role=None)

    async def try_lead(self, node: str, url: str, may_replace: MayReplace) -> bool:
        try:
            if await self._lock.holds():
                return await self.beat(node, url)
            if await self._lock.try_lead():
                if await may_replace(await self.leader_url() or ""):
                    return await self.beat(node, url)
                await self._lock.close()  # lets go of the lock
                return False
            connection = self._lock.connection
            if await connection.fetchval(SQL["leader_is_frozen"], self.region, FROZEN_AFTER_S) and await may_replace(
                await self.leader_url() or ""
            ):
                log.error("leader of region=%s shows no sign of life; cutting its connection", self.region)
                await connection.execute(SQL["cut_leader"], self.region)
                if await self._lock.try_lead():
                    return await self.beat(node, url)
        except PASSING_ERRORS as error:
            log.debug("no election: %s", type(error).__name__)
        return False

    async def beat(self, node: str, url: str) -> bool:
        try:
            if await self._lock.holds():
                await self._lock.connection.execute(SQL["leader_beat"], self.region, node, url)
                self._pulse.felt(node)
                return True
        except PASSING_ERRORS:
            pass
        self._pulse.lost()
        return False

    async def leader_url(self) -> str | None:
        try:
            if self._lock.alive:
                return str(await self._lock.connection.fetchval(SQL["leader_url"], self.region) or "")
        except PASSING_ERRORS:
            pass
        return None

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

    async def drop_orphan(self, number: int, renumbered: dict[str, str]) -> None:
        with contextlib.suppress(*PASSING_ERRORS):
            await self.pool.execute(SQL["drop_orphan"], number, list(renumbered), list(renumbered.values()))

    async def renumbered(self, report_id: str) -> str | None:
        try:
            found: str | None = await self.pool.fetchval(SQL["renumbered"], self.region, report_id)
        except PASSING_ERRORS as error:
            raise JournalUnavailable(f"renumbered: {type(error).__name__}") from error
        return found

    async def close(self) -> None:
        self._pulse.lost()
        await self._lock.close()
        await self._pulse.stop()


class Node:
    """One server's life: follow until elected, lead until fenced, follow again."""

    def __init__(self, live: Live, election: Election, name: str, url: str = "", ask: Ask = still_leads) -> None:
        self.live = live
        self.election = election
        self.name = name
        self.url = url
        self.leader_url = ""
        self.settled = asyncio.Event()
        """Set once this node leads or knows who does."""
        self.leads = asyncio.Event()
        """Set while this node writes; whoever waits for another leader may stop waiting."""
        self._ask = ask
        self._asked = False
        self._patient_since_s: float | None = None
        self._running: asyncio.Task[object] | None = None

    async def stop(self) -> None:
        """End `run`, keep a snapshot and let the lock go, so that another node leads at once."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        await self.live.save_snapshot()
        await self.election.close()

    async def run(self) -> None:
        """Forever, until cancelled. Whatever goes wrong, the journal is read again and the node begins anew."""
        self._running = asyncio.current_task()
        as_journaled = True
        while True:
            try:
                if not as_journaled:
                    await self._begin_again()
                    as_journaled = True
                await self._follow_until_elected()
                as_journaled = False
                await self._lead()
            except JournalFenced as fence:
                as_journaled = False
                log.error("not leading: %s", fence)
            except JournalUnavailable as gone:
                as_journaled = False  # it may come back as a promoted replica that lacks our last lines
                log.warning("database away while not leading: %s", gone)
            except SpoolFull as full:
                as_journaled = False
                log.critical("cannot lead: neither database nor disk takes a line (%s)", full)
            except Exception:
                as_journaled = False
                metrics.node_failures.inc()
                log.exception("node failed; beginning again from the journal")
            self.live.dethrone()
            self.live.hub.degraded = True
            await asyncio.sleep(REST_S)

    async def _begin_again(self) -> None:
        """Forget what may not be in the journal. Raises JournalUnavailable."""
        if isinstance(self.live.journal, SpoolingJournal):
            await self.live.journal.settle()
        await self.live.reload()

    async def _follow_until_elected(self) -> None:
        since_election_s = ELECT_EVERY_S
        while True:
            if since_election_s >= ELECT_EVERY_S:
                since_election_s = 0.0
                self._asked = False
                if await self.election.try_lead(self.name, self.url, self._may_replace):
                    return
                if not self._asked:
                    self._patient_since_s = None
                known = await self.election.leader_url()
                if known is not None:
                    self.leader_url = known
                if self.leader_url:
                    self.settled.set()
            await self.live.follow()
            self.live.hub.degraded = False
            await asyncio.sleep(FOLLOW_EVERY_S)
            since_election_s += FOLLOW_EVERY_S

    async def _may_replace(self, url: str) -> bool:
        self._asked = True
        now_s = asyncio.get_running_loop().time()
        if not url or url == self.url or not await self._ask(url):
            self._patient_since_s = None
            return True
        if self._patient_since_s is None:
            self._patient_since_s = now_s
            log.warning("leader at %s has lost its database; waiting for it", url)
        return now_s - self._patient_since_s >= PATIENCE_S

    async def _lead(self) -> None:
        await self.live.lead(self.name, self.url)
        self.leader_url = self.url
        self.settled.set()
        self.leads.set()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.live.run(), name="writer")
                tasks.create_task(self._beat(), name="beat")
                tasks.create_task(self._give_again(), name="give-again")
                tasks.create_task(self.live.keep_snapshots(), name="snapshots")
                if isinstance(self.live.journal, SpoolingJournal):
                    tasks.create_task(self.live.journal.drain_forever(), name="drain")
        except ExceptionGroup as group:
            self.live.dethrone()
            fenced, others = group.split(JournalFenced)
            raise (fenced or others or group).exceptions[0] from group
        finally:
            self.leads.clear()

    async def _beat(self) -> None:
        """A missed beat is not a lost lead: while the database is away nobody can take over, and we go on."""
        while True:
            if not await self.election.beat(self.name, self.url):
                await self._return()
            self.live.hub.degraded = bool(getattr(self.live.journal, "degraded", False))
            await asyncio.sleep(BEAT_EVERY_S)

    async def _return(self) -> None:
        """Our lock went with its connection: take it again if it is free. Only the journal says that another leads: raises
        JournalFenced when it has lines beyond ours (fewer are found by our next line, or by the drain).
        """
        await self.election.try_lead(self.name, self.url, self._may_replace)
        try:
            last_seq = await self.live.journal.last_seq()
        except JournalUnavailable:
            return
        engine = self.live.engine
        if engine is not None and last_seq > engine.state.seq:
            raise JournalFenced(f"line {last_seq} was written by another leader")

    async def _give_again(self) -> None:
        """Acknowledged commands that lost their place when a lead changed hands: decided anew, under their own keys."""
        failed: set[int] = set()
        while True:
            found = await self.election.find_orphans()
            metrics.orphans.set(len(found))
            for number, told in found:
                if number in failed:
                    continue
                try:
                    renumbered = await self.live.give_again(told)
                except NotLeading:
                    break  # it stays where it is until somebody can write it
                except Exception:
                    failed.add(number)
                    log.exception(
                        "an acknowledged command cannot be decided anew; it stays in table orphan id=%d", number
                    )
                    continue
                await self.election.drop_orphan(number, renumbered)
            await asyncio.sleep(ORPHANS_EVERY_S)
