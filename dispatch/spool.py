"""When the database is gone: accepted batches go to a local fsynced file and drain into the journal, in order, when it is back.

`SpoolingJournal` is a Journal around another one. Its `append` returns when the batch is durable *somewhere*: in the
database, or in the spool. `degraded` says which. If another node has taken over meanwhile, the spooled lines are no
longer the journal's next lines: their commands are left as `orphans` for the new leader, which decides them anew under
their idempotency keys.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import struct
import uuid
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Protocol

import msgspec

from dispatch.events import Entry
from dispatch.journal import SUBJECT_FIELDS, Answer, Batch, JournalFenced, JournalUnavailable, Rows, Told

log = logging.getLogger("siaga.spool")

MAGIC = b"SIAGASP1"
HEADER_BYTES = len(MAGIC) + 16
RECORD = struct.Struct("<II")  # length, CRC-32 of the payload
RECORD_MAX = 64 * 1024 * 1024
"""A length beyond this is damage, not a batch: 256 commands are far below a megabyte."""
SPOOL_MAX = 2 * 1024 * 1024 * 1024
"""2 GiB is more than a day at 200 reports a second; a full disk must not come as a surprise."""
RETRY_S = 0.5
"""How often the database is tried again while it is away."""

DRAINED_AT_ONCE_MAX = 64
"""Batches a commit may hold while draining; reached by doubling, so that a database that can only take little gets little."""

Run = Callable[..., Awaitable[Any]]
Leave = Callable[[list[Told]], Awaitable[None]]


class SpoolFull(OSError):  # noqa: N818 - a state of the disk, named as people say it
    """Neither the database nor the local disk takes the batch: it must not be acknowledged."""


class SpoolUnreadable(Exception):  # noqa: N818
    """The spool holds a whole record that this release cannot read: start the release that wrote it, let it drain."""


class SpoolBusy(Exception):  # noqa: N818
    """Another process uses this spool; two servers must not share one folder."""


class Disk(Protocol):
    """The spool's file, so that a simulation can tear and fill it."""

    def read(self) -> bytes: ...

    def append(self, data: bytes) -> None:
        """Durable when it returns; raises OSError and leaves nothing readable behind."""

    def clear(self) -> None: ...

    def close(self) -> None: ...


class FileDisk:
    """A real file, fsynced at every append; the folder too when it is made. One process at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._whole_bytes: int | None = None
        """Length of what is known to be whole; whatever lies behind it is damage and is written over."""
        self._lock: IO[bytes] | None = None

    def read(self) -> bytes:
        """All of it. Raises SpoolBusy."""
        self._take()
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return b""

    def _take(self) -> None:
        if self._lock is not None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = self.path.with_suffix(".lock").open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise SpoolBusy(f"another process uses the spool {self.path.name}") from error
        self._lock = lock

    def close(self) -> None:
        if self._lock is not None:
            self._lock.close()  # closing releases the flock
            self._lock = None

    def append(self, data: bytes) -> None:
        made = not self.path.exists()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            size = os.fstat(descriptor).st_size if self._whole_bytes is None else self._whole_bytes
            if size + len(data) > SPOOL_MAX:
                raise SpoolFull(f"spool would exceed {SPOOL_MAX} bytes")
            try:
                written = 0
                while written < len(data):
                    written += os.pwrite(descriptor, data[written:], size + written)
                os.fsync(descriptor)
            except OSError:
                self._whole_bytes = size  # a torn record must not hide the next one
                with contextlib.suppress(OSError):
                    os.ftruncate(descriptor, size)
                raise
            self._whole_bytes = size + len(data)
        finally:
            os.close(descriptor)
        if made:
            self._sync_folder()

    def clear(self) -> None:
        self.path.unlink(missing_ok=True)
        self._whole_bytes = 0
        self._sync_folder()

    def _sync_folder(self) -> None:
        descriptor = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def encode_record(batch: Batch) -> bytes:
    payload = msgspec.msgpack.encode(batch)
    return RECORD.pack(len(payload), zlib.crc32(payload)) + payload


_decode: Callable[[bytes], Batch] = msgspec.msgpack.Decoder(Batch).decode


def decode_spool(data: bytes) -> tuple[uuid.UUID | None, list[Batch], int]:
    """(writer, whole batches, bytes of a damaged tail). What is torn was never acknowledged. Raises SpoolUnreadable."""
    if len(data) < HEADER_BYTES or not data.startswith(MAGIC):
        return None, [], len(data)
    writer = uuid.UUID(bytes=data[len(MAGIC) : HEADER_BYTES])
    batches: list[Batch] = []
    at = HEADER_BYTES
    while at + RECORD.size <= len(data):
        length, crc = RECORD.unpack_from(data, at)
        payload = data[at + RECORD.size : at + RECORD.size + length]
        if length > RECORD_MAX or len(payload) < length or zlib.crc32(payload) != crc:
            break
        try:
            batches.append(_decode(payload))
        except msgspec.MsgspecError as error:
            raise SpoolUnreadable(f"record at byte {at} is whole but of another release: {error}") from error
        at += RECORD.size + length
    return writer, batches, len(data) - at


class SpoolingJournal:
    """The journal a serving node uses. `inner` must let its `writer` be set, so that repeats are recognised after a crash.

    `leave` makes the commands of lost batches durable where the new leader finds them.
    """

    def __init__(self, inner: Any, disk: Disk, leave: Leave, run: Run = asyncio.to_thread) -> None:
        self.inner = inner
        self.disk = disk
        self._leave = leave
        self._run = run
        self._held: list[Batch] = []
        """Spooled and not yet in the database, in order."""
        self._begun = False
        """Whether the file has its header, and perhaps records that are no longer held."""
        self._file = asyncio.Lock()
        """The file and the list change together."""
        self._drain_wanted = asyncio.Event()

    @property
    def degraded(self) -> bool:
        return bool(self._held)

    # --- start

    async def open(self, region: str) -> None:
        """Take over what an earlier process of this node left in the spool. The database must answer once.

        Raises JournalUnavailable, SpoolUnreadable, SpoolBusy.
        """
        writer, batches, torn = decode_spool(await self._run(self.disk.read))
        if torn:
            log.warning("spool has a torn tail bytes=%d; it was never acknowledged", torn)
        await self.inner.open(region)
        self._begun = bool(batches) or torn > 0
        if writer is not None and batches:
            log.warning("draining a spool left behind batches=%d", len(batches))
            own, self.inner.writer = self.inner.writer, writer  # so that what was already written is recognised
            self._held = batches
            await self.settle()
            self.inner.writer = own
        elif torn:
            await self._drain()

    async def settle(self) -> None:
        """Be rid of what is spooled: into the journal where it still fits, else to whoever leads. Raises JournalUnavailable."""
        if self._held:
            try:
                await self._drain()
            except JournalFenced:
                await self._surrender()

    async def _surrender(self) -> None:
        """Another leader wrote our numbers: leave the commands for it, then drop the lines. Raises JournalUnavailable."""
        orphans = [told for batch in self._held for told in batch.told]
        if orphans:
            log.error("spooled lines lost their place; commands to be decided anew=%d", len(orphans))
            await self._leave(orphans)
        async with self._file:
            self._held = []
            self._drain_wanted.clear()
            await self._clear()

    # --- writing

    async def append(self, batch: Batch) -> None:
        """Durable in the database or, while it is away, in the spool. Raises JournalFenced, SpoolFull."""
        if not self._held:
            try:
                await self.inner.append(batch)
                return
            except JournalUnavailable as gone:
                log.error("database away (%s); spooling", gone)
        async with self._file:
            await self._spool(batch)

    async def claim(self, batch: Batch) -> None:
        """Durable in the database or not at all. Raises JournalFenced, JournalUnavailable.

        For the line that takes the lead: it fences whoever led before only where the others read it. In a spool, two nodes
        could each believe to be next and give out the same numbers.
        """
        if self._held:
            raise JournalUnavailable("the spool is not drained yet")
        await self.inner.append(batch)

    async def _spool(self, batch: Batch) -> None:
        cut: asyncio.CancelledError | None = None
        try:
            if self._begun and not self._held:
                await self._run(self.disk.clear)  # it could not be deleted after the last drain
                self._begun = False
            header = b"" if self._begun else MAGIC + self.inner.writer.bytes
            record = encode_record(batch)
            writing = asyncio.ensure_future(self._run(self.disk.append, header + record))
            try:
                await asyncio.shield(writing)
            except asyncio.CancelledError as cancelled:
                # A thread cannot be stopped in the middle of a write: wait, so that list and file agree.
                cut = cancelled
                await asyncio.wait([writing])
            writing.result()
        except OSError as error:
            if cut is not None:
                raise cut from error  # or whoever ends us would wait for ever for a writer that tries again
            raise SpoolFull(f"spool refused a batch: {error}") from error
        self._begun = True
        # A copy: the batch refers to rows that the engine goes on changing, and what is drained must be what was spooled.
        self._held.append(_decode(record[RECORD.size :]))
        self._drain_wanted.set()
        if cut is not None:
            raise cut

    async def drain_forever(self) -> None:
        """Background task of a serving node. Ends with JournalFenced when another leader has taken our numbers."""
        while True:
            await self._drain_wanted.wait()
            try:
                await self._drain()
                log.warning("database back; spool drained")
                if not self._begun:
                    continue
                self._drain_wanted.set()  # it could not be deleted
            except JournalUnavailable:
                pass
            await asyncio.sleep(RETRY_S)

    async def _drain(self) -> None:
        while True:
            at_once = 1
            while self._held:
                taken = min(at_once, len(self._held))
                if await self._append_together(self._held[:taken]):
                    del self._held[:taken]
                else:
                    for _ in range(taken):
                        await self.inner.append(self._held[0])
                        self._held.pop(0)  # at once: what is written must not be given up with what is not
                at_once = min(2 * at_once, DRAINED_AT_ONCE_MAX)
            async with self._file:
                if self._held:
                    continue  # a batch came while we waited for the file
                self._drain_wanted.clear()
                await self._clear()
                return

    async def _append_together(self, batches: list[Batch]) -> bool:
        """Several batches in one commit: what came in while the database was away was written one by one, and what comes in
        now waits behind it, so draining has to be faster than life. False: not all of their places are free or ours; one by
        one it is seen which. Raises JournalUnavailable.
        """
        if len(batches) == 1:
            return False
        try:
            await self.inner.append(_together(batches))
        except JournalFenced:
            return False
        return True

    async def _clear(self) -> None:
        """Drop the file. When that fails it stays `_begun`: nothing is written behind old records (see `_spool`)."""
        try:
            await self._run(self.disk.clear)
            self._begun = False
        except OSError as error:
            log.error("the drained spool cannot be deleted: %s", error.strerror)

    # --- everything else is the inner journal's business

    async def last_seq(self) -> int:
        return int(await self.inner.last_seq())

    def read(self, after: int, upto: int | None = None) -> AsyncIterator[Entry]:
        found: AsyncIterator[Entry] = self.inner.read(after, upto)
        return found

    async def about(self, ids: list[str], since: datetime, until: datetime) -> list[Entry]:
        wanted = set(ids)
        try:
            found: list[Entry] = await self.inner.about(ids, since, until)
        except JournalUnavailable:
            found = []  # the timeline shows what we hold; the screen already says "degraded"
        for batch in self._held:
            found += [e for e in batch.entries if _names(e, wanted)]
        return found

    async def append_positions(self, rows: list[Any]) -> None:
        if not self.degraded:
            await self.inner.append_positions(rows)

    async def save_snapshot(self, seq: int, at: datetime, body: bytes) -> None:
        if not self.degraded:
            await self.inner.save_snapshot(seq, at, body)

    async def latest_snapshot(self) -> tuple[int, datetime, bytes] | None:
        found: tuple[int, datetime, bytes] | None = await self.inner.latest_snapshot()
        return found

    async def answers_since(self, at: datetime) -> list[Answer]:
        found: list[Answer] = await self.inner.answers_since(at)
        return found

    async def close(self) -> None:
        await self.inner.close()
        self.disk.close()


def _together(batches: list[Batch]) -> Batch:
    """One batch that does what these do one after the other: of several rows with one id the last counts."""
    rows = Rows(
        reports=[row for batch in batches for row in batch.rows.reports],
        incidents=[row for batch in batches for row in batch.rows.incidents],
        units=[row for batch in batches for row in batch.rows.units],
        assignments=[row for batch in batches for row in batch.rows.assignments],
    )
    entries = [entry for batch in batches for entry in batch.entries]
    answers = [answer for batch in batches for answer in batch.answers]
    return Batch(entries=entries, rows=rows, answers=answers, told=[told for batch in batches for told in batch.told])


def _names(entry: Entry, wanted: set[str]) -> bool:
    event = entry.event
    return any(getattr(event, field, None) in wanted for field in SUBJECT_FIELDS)
