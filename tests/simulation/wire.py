"""The world between the processes: a database that stalls, dies and loses confirmations, disks that tear and fill, links
that are cut. The journal and the election here take the same steps as the PostgreSQL ones, one request at a time, because
what can go wrong between two requests is what is to be found.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import random
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from dispatch.events import Entry
from dispatch.journal import (
    SNAPSHOTS_KEPT,
    Answer,
    Batch,
    JournalFenced,
    JournalGap,
    JournalUnavailable,
    Rows,
    Told,
    check_contiguous,
    decode_event,
    encode_event,
    kind_of,
)
from dispatch.nodes import FROZEN_AFTER_S, MayReplace
from dispatch.spool import HEADER_BYTES, decode_spool
from tests.simulation.loop import PROCESS, Process, VirtualLoop

T = TypeVar("T")

REQUEST_TIMEOUT_S = 2.0
"""As `journal_pg.APPEND_TIMEOUT_S`."""
REFUSED_S = 0.01
"""A port on which nobody listens says so at once."""


class Line(msgspec.Struct):
    writer: uuid.UUID
    body: bytes
    entry: Entry
    """Decoded from `body`, as a reader gets it."""


class Tables:
    """What the database keeps."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.rows: dict[tuple[str, str], bytes] = {}
        self.answers: dict[tuple[str, str], Answer] = {}
        self.snapshots: list[tuple[int, datetime, bytes]] = []
        self.orphans: dict[int, bytes] = {}
        self.orphans_ever = 0
        self.renumbered: dict[str, str] = {}
        self.leader: tuple[str, str, float] | None = None
        self.lock: object | None = None


ROWS = (("reports", "report_id"), ("incidents", "incident_id"), ("units", "unit_id"), ("assignments", "assignment_id"))


class Database:
    """One database, reached by requests that take time and may not come back."""

    def __init__(self, loop: VirtualLoop, chance: random.Random, faults: Counter[str]) -> None:
        self.loop = loop
        self.chance = chance
        self.faults = faults
        self.tables = Tables()
        self.up = True
        self.stalled = False
        self.full = False
        self.cut_off: set[str] = set()
        """Hosts whose link to the database is cut."""
        self.lose = 0.0
        """Chance that a confirmation is lost after the work was done."""
        self.slow_s = 0.0
        self._stalled: list[Callable[[], None]] = []
        self.committed: Callable[[Batch, list[Line]], None] = lambda batch, lines: None

    # --- faults

    def stop(self) -> None:
        self.up = False
        self._stalled.clear()
        self.tables.lock = None

    def start(self) -> None:
        self.up = True

    def stall(self) -> None:
        self.stalled = True

    def resume(self) -> None:
        self.stalled = False
        waiting, self._stalled = self._stalled, []
        for work in waiting:
            work()

    # --- requests

    async def request(self, host: str, work: Callable[[], T], timeout_s: float = REQUEST_TIMEOUT_S) -> T:
        """Do `work` in the database. Raises JournalUnavailable; then it may or may not have been done, now or later."""
        if self.loop.open_gates:
            raise asyncio.CancelledError
        if not self.up:
            await asyncio.sleep(REFUSED_S)
            raise JournalUnavailable("refused")
        reply: asyncio.Future[T] = self.loop.create_future()
        if host not in self.cut_off:
            outside = contextvars.copy_context()
            outside.run(PROCESS.set, None)
            self.loop.call_later(self._delay_s(), self._arrive, host, work, reply, context=outside)
        try:
            async with asyncio.timeout(timeout_s):
                return await reply
        except TimeoutError:
            raise JournalUnavailable("no answer") from None

    def _delay_s(self) -> float:
        return self.chance.uniform(0.0002, 0.004) + self.slow_s * self.chance.random()

    def _arrive(self, host: str, work: Callable[[], Any], reply: asyncio.Future[Any]) -> None:
        if not self.up:
            self._answer(host, reply, None, JournalUnavailable("connection reset"))
        elif self.stalled:
            self._stalled.append(lambda: self._arrive(host, work, reply))
        else:
            result, error = None, None
            try:
                result = work()
            except (JournalFenced, JournalUnavailable) as refused:
                error = refused
            if self.lose and self.chance.random() < self.lose:
                self.faults["confirmation lost after commit"] += 1
                return
            self._answer(host, reply, result, error)

    def _answer(self, host: str, reply: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
        if host in self.cut_off:
            return
        outside = contextvars.copy_context()
        outside.run(PROCESS.set, None)
        self.loop.call_later(self._delay_s(), _settle, reply, result, error, context=outside)

    # --- statements

    def insert(self, writer: uuid.UUID, batch: Batch, rows: dict[tuple[str, str], bytes]) -> bool:
        """`append_batch.sql`: all or nothing; False when one of the numbers is taken."""
        tables = self.tables
        if self.full:
            raise JournalUnavailable("disk full")
        made: list[Line] = []
        if batch.entries:
            first = batch.entries[0].seq
            if first <= len(tables.lines):
                return False
            if first > len(tables.lines) + 1:
                raise JournalGap(f"line {first - 1} is missing")
            for entry in batch.entries:
                body = encode_event(entry.event)
                decoded = msgspec.structs.replace(entry, event=decode_event(kind_of(entry.event), body))
                made.append(Line(writer, body, decoded))
            tables.lines.extend(made)
        tables.rows.update(rows)
        for answer in batch.answers:
            tables.answers.setdefault((answer.scope, answer.key), answer)
        self.committed(batch, made)
        return True


def encode_row(row: Any) -> bytes:
    """A projection row as the tables have it: positions are not theirs."""
    if hasattr(row, "position"):
        row = msgspec.structs.replace(row, position=None)
    return msgspec.json.encode(row, order="deterministic")


def _settle(future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if not future.done():
        if error is not None:
            future.set_exception(error)
            future.exception()  # whoever asked may be dead
        else:
            future.set_result(result)


class SimJournal:
    """`PostgresJournal`, step by step, on the simulated database."""

    def __init__(self, database: Database, host: str, writer: uuid.UUID) -> None:
        self.database = database
        self.host = host
        self.writer = writer
        self.region = ""

    async def open(self, region: str) -> None:
        self.region = region
        await self.last_seq()

    async def append(self, batch: Batch) -> None:
        check_contiguous(batch.entries, self.region)
        writer = self.writer
        # Encoded before it is sent, as a statement's parameters are: the rows may change while the request is on its way.
        rows = {(t, getattr(row, key)): encode_row(row) for t, key in ROWS for row in getattr(batch.rows, t)}
        if not await self._ask(lambda: self.database.insert(writer, batch, rows)):
            rest = await self._not_yet_written(batch.entries)
            if not rest:
                await self._ask(
                    lambda: self.database.insert(writer, Batch(entries=[], rows=Rows(), answers=batch.answers), {})
                )
                return
            again = msgspec.structs.replace(batch, entries=rest)
            if not await self._ask(lambda: self.database.insert(writer, again, rows)):
                raise JournalFenced(f"line {rest[0].seq} is another writer's")

    async def _not_yet_written(self, entries: list[Entry]) -> list[Entry]:
        """Our own lines, written by an attempt whose confirmation was lost? Raises JournalFenced."""
        stored = await self._ask(lambda: self.database.tables.lines[entries[0].seq - 1 : entries[-1].seq])
        for line, entry in zip(stored, entries, strict=False):
            if line.writer != self.writer or line.body != encode_event(entry.event):
                raise JournalFenced(f"line {entry.seq} is another writer's")
        return entries[len(stored) :]

    async def _ask(self, work: Callable[[], T]) -> T:
        return await self.database.request(self.host, work)

    async def last_seq(self) -> int:
        return await self._ask(lambda: len(self.database.tables.lines))

    async def read(self, after: int, upto: int | None = None) -> AsyncIterator[Entry]:
        lines = await self._ask(lambda: self.database.tables.lines[after:upto])
        for line in lines:
            yield line.entry

    async def about(self, ids: list[str], since: datetime, until: datetime) -> list[Entry]:
        return []

    async def save_snapshot(self, seq: int, at: datetime, body: bytes) -> None:
        def work() -> None:
            kept = self.database.tables.snapshots
            kept[:] = sorted([s for s in kept if s[0] != seq] + [(seq, at, body)])[-SNAPSHOTS_KEPT:]

        await self._ask(work)

    async def latest_snapshot(self) -> tuple[int, datetime, bytes] | None:
        return await self._ask(lambda: self.database.tables.snapshots[-1] if self.database.tables.snapshots else None)

    async def answers_since(self, at: datetime) -> list[Answer]:
        found = await self._ask(lambda: [a for a in self.database.tables.answers.values() if a.at >= at])
        return sorted(found, key=lambda a: (a.at, a.scope, a.key))

    async def append_positions(self, rows: list[Any]) -> None:
        return None

    async def close(self) -> None:
        return None


class SimElection:
    """`PostgresElection`, step by step: a lock that belongs to a connection, and one row with a sign of life."""

    def __init__(self, database: Database, host: str, process: Process) -> None:
        self.database = database
        self.host = host
        self.process = process
        self._connection: object | None = None

    async def try_lead(self, node: str, url: str, may_replace: MayReplace) -> bool:
        tables = self.database.tables
        try:
            if self._connection is not None and await self._ask(lambda: tables.lock is self._connection):
                return await self.beat(node, url)
            mine = self._connection = self._connection or object()
            if await self._ask(lambda: self._take(mine)):
                if await may_replace(await self.leader_url() or ""):
                    return await self.beat(node, url)
                await self._ask(lambda: self._let_go(mine))
                return False
            if await self._ask(self._frozen) and await may_replace(await self.leader_url() or ""):
                await self._ask(lambda: setattr(tables, "lock", None))
                if await self._ask(lambda: self._take(mine)):
                    return await self.beat(node, url)
        except JournalUnavailable:
            self._connection = None  # whether the database knows that it is gone is the database's affair
        return False

    def _take(self, mine: object) -> bool:
        tables = self.database.tables
        if tables.lock is None:
            tables.lock = mine
        return tables.lock is mine

    def _let_go(self, mine: object) -> None:
        if self.database.tables.lock is mine:
            self.database.tables.lock = None

    def _frozen(self) -> bool:
        leader = self.database.tables.leader
        return leader is not None and leader[2] < self.database.loop.time() - FROZEN_AFTER_S

    async def beat(self, node: str, url: str) -> bool:
        tables, mine = self.database.tables, self._connection
        try:
            if mine is None or not await self._ask(lambda: tables.lock is mine):
                return False
            await self._ask(lambda: setattr(tables, "leader", (node, url, self.database.loop.time())))
        except JournalUnavailable:
            self._connection = None
            return False
        return True

    async def leader_url(self) -> str | None:
        if self._connection is None:
            return None
        try:
            leader = await self._ask(lambda: self.database.tables.leader)
        except JournalUnavailable:
            return None
        return leader[1] if leader is not None else ""

    async def leave_orphans(self, orphans: list[Told]) -> None:
        encoded = [msgspec.msgpack.encode(told) for told in orphans]

        def work() -> None:
            for told in encoded:
                self.database.tables.orphans_ever += 1
                self.database.tables.orphans[self.database.tables.orphans_ever] = told

        await self._ask(work)

    async def find_orphans(self) -> list[tuple[int, Told]]:
        try:
            found = await self._ask(lambda: sorted(self.database.tables.orphans.items()))
        except JournalUnavailable:
            return []
        return [(number, msgspec.msgpack.decode(told, type=Told)) for number, told in found]

    async def drop_orphan(self, number: int, renumbered: dict[str, str]) -> None:
        tables = self.database.tables

        def work() -> None:
            if tables.orphans.pop(number, None) is not None:
                tables.renumbered |= {was: now for was, now in renumbered.items() if was not in tables.renumbered}

        with contextlib.suppress(JournalUnavailable):
            await self._ask(work)

    async def renumbered(self, report_id: str) -> str | None:
        return await self._ask(lambda: self.database.tables.renumbered.get(report_id))

    async def close(self) -> None:
        mine, self._connection = self._connection, None
        if mine is not None:
            with contextlib.suppress(JournalUnavailable):
                await self._ask(lambda: self._let_go(mine))

    def died(self) -> None:
        """The machine closes the sockets of a killed process; the database sees it unless the link is cut."""
        mine = self._connection
        if mine is not None and self.host not in self.database.cut_off:
            self._let_go(mine)

    async def _ask(self, work: Callable[[], T]) -> T:
        return await self.database.request(self.host, work)


class FakeDisk:
    """A host's disk: what was synced survives the process, what was being written may survive in part."""

    def __init__(self, loop: VirtualLoop, chance: random.Random, faults: Counter[str]) -> None:
        self.loop = loop
        self.chance = chance
        self.faults = faults
        self.durable = bytearray()
        self.full = False
        self.sticky = False
        """Deleting fails."""
        self._writing: bytes | None = None
        self.ambush: Callable[[], None] | None = None
        """Called in the middle of the next append."""
        self.synced: Callable[[list[Batch]], None] = lambda batches: None
        self.keys: set[tuple[str, str]] = set()
        """(scope, key) of every answer that `batches` found."""
        self._found: list[Batch] = []
        self._seen_bytes = 0

    async def run(self, work: Callable[..., T], *args: Any) -> T:
        """As `asyncio.to_thread`: takes time, and the process may die meanwhile."""
        if self.loop.open_gates:
            raise asyncio.CancelledError
        appending = args[0] if args else None
        if isinstance(appending, bytes):
            self._writing = appending
        await asyncio.sleep(self.chance.uniform(0.0005, 0.02))
        if self._writing is not None and self.ambush is not None:
            ambush, self.ambush = self.ambush, None
            ambush()
            await asyncio.sleep(0)  # never returns to a killed process
        self._writing = None
        result = work(*args)
        await asyncio.sleep(self.chance.uniform(0.0001, 0.002))
        return result

    def read(self) -> bytes:
        return bytes(self.durable)

    def append(self, data: bytes) -> None:
        if self.full:
            self.faults["spool append refused, disk full"] += 1
            raise OSError(28, "No space left on device")
        before = len(self.batches())
        self.durable += data
        self.synced(self.batches()[before:])

    def clear(self) -> None:
        if self.sticky:
            self.faults["spool cannot be deleted"] += 1
            raise OSError(5, "Input/output error")
        self.durable = bytearray()

    def close(self) -> None:
        return None

    def died(self) -> None:
        """Of an append in progress any part may have reached the disk, perhaps damaged."""
        data, self._writing = self._writing, None
        if data:
            kept = bytearray(data[: self.chance.choice([self.chance.randint(0, len(data)), len(data)])])
            if kept and self.chance.random() < 0.5:
                kept[self.chance.randrange(len(kept))] ^= 0x40
                self.faults["spool tail damaged"] += 1
            before = len(self.batches())
            self.durable += bytes(kept)
            self.faults["spool tail torn"] += len(kept) < len(data)
            self.synced(self.batches()[before:])

    def batches(self) -> list[Batch]:
        """What a reader would find now. Only what was added since the last look is decoded."""
        size = len(self.durable)
        if size < self._seen_bytes or (size > 0 and self._seen_bytes == 0):
            self._found, self._seen_bytes = [], 0
            self.keys = set()
            new = bytes(self.durable)
        elif size > self._seen_bytes:
            new = bytes(self.durable[:HEADER_BYTES] + self.durable[self._seen_bytes :])
        else:
            new = b""
        if new:
            _, found, torn = decode_spool(new)
            self._found += found
            self.keys.update((a.scope, a.key) for b in found for a in b.answers)
            self._seen_bytes = size - torn
        elif size == 0:
            self._found, self._seen_bytes, self.keys = [], 0, set()
        return self._found
