"""The journal in PostgreSQL. One statement a batch: one round trip, one transaction, one flush of the WAL."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import AsyncIterator, Iterable
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import msgspec

from dispatch import metrics
from dispatch.database import PASSING_ERRORS
from dispatch.events import Entry
from dispatch.journal import (
    ABOUT_LINES_MAX,
    SNAPSHOTS_KEPT,
    Answer,
    Batch,
    JournalCorrupt,
    JournalFenced,
    JournalGap,
    JournalUnavailable,
    Rows,
    check_contiguous,
    decode_event,
    encode_event,
    kind_of,
    without_nul,
)
from dispatch.model import Actor, Position
from dispatch.statements import SQL

log = logging.getLogger(__name__)

APPEND_TIMEOUT_S = 2.0
"""A commit takes under 1 ms; at 2 s the database counts as gone and the spool takes over."""
READ_TIMEOUT_S = 10.0
"""A page takes about 10 ms."""
PAGE_LINES = 2000
"""Lines a read fetches at a time: about 1.5 MB; bounds memory, costs one round trip each."""
ANSWERS_KEPT = timedelta(hours=72)
"""A phone that was offline for a weekend still gets its first answer again."""
POSITIONS_KEPT_DAYS = 30
"""Enough for every review and for travel-time learning; longer would be surveillance of crews without a purpose."""

GAP_CODE = "SG002"  # raised by the trigger journal_no_gaps
POSITION_COLUMNS = tuple(
    "region unit_id lon lat fixed_at received_at accuracy_m speed_mps heading_deg source".split()  # noqa: SIM905
)

_encoder = msgspec.json.Encoder(order="deterministic")
"""Sorts sets: Python orders them anew in every process, and equal rows must be equal text."""


def line_columns(entries: list[Entry]) -> tuple[list[object], ...]:
    """Entries as the seven column arrays that `append_batch.sql` takes."""
    return (
        [e.seq for e in entries],
        [e.at for e in entries],
        [e.actor.role for e in entries],
        [e.actor.name.replace("\x00", "\ufffd") for e in entries],
        [kind_of(e.event) for e in entries],
        [encode_event(e.event) for e in entries],
        [None if e.command_id is None else e.command_id.replace("\x00", "\ufffd") for e in entries],
    )


def encode_rows(rows: Iterable[Any], key: str) -> bytes:
    """Structs as the JSON array that `append_batch.sql` takes; of several with one id the last counts."""
    return without_nul(_encoder.encode(list({getattr(row, key): row for row in rows}.values())))


def batch_parameters(rows: Rows) -> tuple[bytes, bytes, bytes, bytes]:
    """The four row arrays of `append_batch.sql`."""
    return (
        encode_rows(rows.reports, "report_id"),
        encode_rows(rows.incidents, "incident_id"),
        encode_rows(rows.units, "unit_id"),
        encode_rows(rows.assignments, "assignment_id"),
    )


class PostgresJournal:
    """One region's journal on a pool from `database.create_pool`. The pool is the caller's to close."""

    def __init__(
        self, pool: asyncpg.Pool, writer: uuid.UUID | None = None, append_timeout_s: float = APPEND_TIMEOUT_S
    ) -> None:
        self.pool = pool
        self.writer = writer or uuid.uuid4()
        self.region = ""
        self.append_timeout_s = append_timeout_s
        self._connection: asyncpg.Connection | None = None
        """Kept for appends: taking one from the pool each time would cost a second round trip, its reset."""
        self.projection_failures = 0
        """Batches whose lines were written without their rows because the tables refused the rows; see `append`."""

    async def open(self, region: str) -> None:
        self.region = region
        await self.last_seq()

    async def append(self, batch: Batch) -> None:
        """See `Journal.append`. The journal line is the truth: when only the rows of a batch are refused (a bug), the lines
        are written without them, `projection_failures` counts it loudly and a rebuild mends the tables.
        """
        check_contiguous(batch.entries, self.region)
        try:
            if not await self._append(batch):
                # Same key, so some of these lines are there. Ours, from an attempt whose confirmation was lost?
                rest = await self._not_yet_written(batch.entries)
                if not rest:
                    # Their rows came with them, and by now another writer's may be newer. An answer that led to no line may
                    # stand in this batch and have stood in another then: written again, the first one counts.
                    await self._append(Batch(entries=[], rows=Rows(), answers=batch.answers))
                    return
                again = Batch(entries=rest, rows=batch.rows, answers=batch.answers)
                if not await self._append(again):
                    raise JournalFenced(f"line {rest[0].seq} of {self.region} is another writer's")
        except JournalFenced:
            await self.close()  # whoever steps down needs no writing connection
            raise

    async def _append(self, batch: Batch) -> bool:
        """False: a line with one of these numbers is already there, nothing was written."""
        lines = line_columns(batch.entries)
        answers = without_nul(_encoder.encode(batch.answers))
        try:
            await self._write(lines, batch_parameters(batch.rows), answers)
        except asyncpg.UniqueViolationError as error:
            if error.table_name != "journal":
                raise
            return False
        except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
            self.projection_failures += 1
            metrics.projection_failures.inc()
            log.error("rows up to line %s refused by the tables (%s); writing lines only", _last(batch), error.sqlstate)
            await self._write(lines, (b"[]", b"[]", b"[]", b"[]"), b"[]")
        return True

    async def _write(
        self, lines: tuple[list[object], ...], rows: tuple[bytes, bytes, bytes, bytes], answers: bytes
    ) -> None:
        try:
            await self._fetch_as_writer(SQL["append_batch"], self.region, self.writer, *lines, *rows, answers)
        except asyncpg.PostgresError as error:
            if error.sqlstate == GAP_CODE:
                raise JournalGap(f"the line before our batch is missing in {self.region}") from error
            raise

    async def _fetch_as_writer(self, statement: str, *arguments: object) -> list[Any]:
        try:
            async with asyncio.timeout(self.append_timeout_s):
                if self._connection is None:
                    self._connection = await self.pool.acquire()
                return await self._connection.fetch(statement, *arguments)  # type: ignore[no-any-return]
        except PASSING_ERRORS as error:
            await self._drop_connection()
            raise JournalUnavailable(f"append: {type(error).__name__}") from error
        except asyncio.CancelledError:
            await self._drop_connection()
            raise

    async def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await self._cut(connection)

    async def _cut(self, connection: asyncpg.Connection) -> None:
        """Cut the line rather than end it politely: a paused server would keep us waiting."""
        with contextlib.suppress(asyncpg.InterfaceError):  # the pool takes a dead connection back by itself
            connection.terminate()
        await self.pool.release(connection)

    async def _not_yet_written(self, entries: list[Entry]) -> list[Entry]:
        """Our lines that are not stored; raises JournalFenced when one of the stored ones is not exactly ours."""
        stored = await self._fetch_as_writer(SQL["lines_by_writer"], self.region, entries[0].seq, entries[-1].seq)
        for row, entry in zip(stored, entries, strict=False):
            if row["writer"] != self.writer or row["body"] != encode_event(entry.event):
                raise JournalFenced(f"line {entry.seq} of {self.region} is another writer's")
        return entries[len(stored) :]

    async def last_seq(self) -> int:
        rows = await self.fetch(SQL["last_seq"], self.region)
        return int(rows[0]["seq"])

    async def read(self, after: int, upto: int | None = None) -> AsyncIterator[Entry]:
        last = upto if upto is not None else 2**62
        seq = after
        while seq < last:
            rows = await self.fetch(SQL["read_lines"], self.region, seq, last, PAGE_LINES)
            for row in rows:
                if row["seq"] != seq + 1:
                    raise JournalCorrupt(f"line {seq + 1} of {self.region} is missing")
                seq = row["seq"]
                yield entry_of(self.region, row)
            if len(rows) < PAGE_LINES:
                return

    async def about(self, ids: list[str], since: datetime, until: datetime) -> list[Entry]:
        """Lines whose subject is one of `ids` (incident, assignment, report or unit), at most ABOUT_LINES_MAX."""
        patterns = [f'%"{subject}"%' for subject in ids]
        rows = await self.fetch(SQL["read_lines_about"], self.region, since, until, ids, ABOUT_LINES_MAX, patterns)
        return [entry_of(self.region, row) for row in rows]

    async def save_snapshot(self, seq: int, at: datetime, body: bytes) -> None:
        await self.fetch(SQL["save_snapshot"], self.region, seq, at, body)
        await self.fetch(SQL["prune_snapshots"], self.region, SNAPSHOTS_KEPT)

    async def latest_snapshot(self) -> tuple[int, datetime, bytes] | None:
        rows = await self.fetch(SQL["latest_snapshot"], self.region)
        return (rows[0]["seq"], rows[0]["at"], rows[0]["body"]) if rows else None

    async def answers_since(self, at: datetime) -> list[Answer]:
        return [Answer(**row) for row in await self.fetch(SQL["answers_since"], self.region, at)]

    async def append_positions(self, rows: list[tuple[str, Position]]) -> None:
        """History of fixes, (unit id, fix) each, by COPY. Not part of the journal: what fails here may be dropped."""
        records = [
            (
                self.region,
                unit_id,
                p.lon,
                p.lat,
                p.fixed_at,
                p.received_at,
                p.accuracy_m,
                p.speed_mps,
                p.heading_deg,
                p.source,
            )
            for unit_id, p in rows
        ]
        async with self._borrowed() as connection:
            await connection.copy_records_to_table("position", records=records, columns=POSITION_COLUMNS)

    async def prune(self, now_at: datetime) -> None:
        """Housekeeping, once an hour: old answers and position partitions go, the next days' partitions are made."""
        await self.fetch(SQL["prune_answers"], self.region, now_at - ANSWERS_KEPT)
        await self.fetch(SQL["keep_positions"], now_at, POSITIONS_KEPT_DAYS)

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await self.pool.release(connection)

    async def fetch(self, statement: str, *arguments: object) -> list[Any]:
        """Rows of a reading statement. Raises JournalUnavailable."""
        async with self._borrowed() as connection:
            return await connection.fetch(statement, *arguments)  # type: ignore[no-any-return]

    @contextlib.asynccontextmanager
    async def _borrowed(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection of the pool, for at most READ_TIMEOUT_S, waiting for one included."""
        connection: asyncpg.Connection | None = None
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                connection = await self.pool.acquire()
                yield connection
        except PASSING_ERRORS as error:
            if connection is not None:
                await self._cut(connection)
            raise JournalUnavailable(type(error).__name__) from error
        except asyncio.CancelledError:
            if connection is not None:
                await self._cut(connection)
            raise
        except BaseException:
            await self.pool.release(connection, timeout=READ_TIMEOUT_S)
            raise
        else:
            await self.pool.release(connection, timeout=READ_TIMEOUT_S)


def entry_of(region: str, row: Any) -> Entry:
    """A row of `read_lines` as an Entry of today. Raises JournalCorrupt."""
    return Entry(
        region=region,
        seq=row["seq"],
        at=row["at"],
        actor=Actor(role=row["actor_role"], name=row["actor_name"]),
        event=decode_event(row["kind"], row["body"]),
        command_id=row["command_id"],
    )


def _last(batch: Batch) -> int | None:
    return batch.entries[-1].seq if batch.entries else None
