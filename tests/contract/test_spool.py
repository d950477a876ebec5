"""The spool: what was synced comes back whole and in order, what was torn is not believed, and nobody is overtaken."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch import commands as co
from dispatch import events as ev
from dispatch import spool as spool_module
from dispatch.journal import (
    Answer,
    Batch,
    JournalFenced,
    JournalUnavailable,
    MemoryJournal,
    MemoryStore,
    Rows,
    Told,
)
from dispatch.model import Actor, Unit
from dispatch.spool import (
    HEADER_BYTES,
    FileDisk,
    SpoolBusy,
    SpoolFull,
    SpoolingJournal,
    SpoolUnreadable,
    decode_spool,
    encode_record,
)

T0 = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
SITI = Actor(role="call_taker", name="siti")
WRITER = uuid.UUID(int=7)


def batch(seq: int, lines: int = 1) -> Batch:
    entries = [
        ev.Entry("sby", n, T0 + timedelta(seconds=n), SITI, ev.IncidentNoted(incident_id="I-1", text=f"line {n}"))
        for n in range(seq, seq + lines)
    ]
    note = co.NoteIncident(incident_id="I-1", text=f"line {seq}")
    answer = Answer("call_taker:siti", f"k-{seq}", "h", 200, b"{}", T0)
    return Batch(entries=entries, answers=[answer], told=[Told(note, SITI, f"k-{seq}", "h")])


class Away(MemoryJournal):
    """A database that can be away, and can lose the confirmation of a commit."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store, WRITER)
        self.away = False
        self.unconfirmed = False
        self.confirms: int | None = None
        """How many commits will still be confirmed; None: all."""
        self.appended: list[int] = []
        """Lines of each append."""

    async def append(self, batch: Batch) -> None:
        if self.away:
            raise JournalUnavailable("away")
        self.appended.append(len(batch.entries))
        await super().append(batch)
        if self.confirms is not None:
            self.confirms -= 1
        if self.unconfirmed or (self.confirms is not None and self.confirms < 0):
            raise JournalUnavailable("no confirmation")


async def inline(work: Any, *args: Any) -> Any:
    return work(*args)


OPENED: list[FileDisk] = []


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Locks are let go when a test ends, however it ends."""
    yield
    while OPENED:
        OPENED.pop().close()


class Bench:
    """A spool on a real file over an in-memory journal."""

    def __init__(self, folder: Path, store: MemoryStore | None = None) -> None:
        self.store = store or MemoryStore()
        self.left: list[Told] = []
        self.inner = Away(self.store)
        self.disk = FileDisk(folder / "sby.spool")
        OPENED.append(self.disk)
        self.journal = SpoolingJournal(self.inner, self.disk, self.leave, run=inline)

    async def leave(self, orphans: list[Told]) -> None:
        self.left += orphans

    def texts(self) -> list[str]:
        return [line[4].event.text for line in self.store.lines.get("sby", [])]  # type: ignore[union-attr]


@pytest.fixture
async def bench(tmp_path: Path) -> Bench:
    made = Bench(tmp_path)
    await made.journal.open("sby")
    return made


async def test_while_the_database_is_away_batches_are_kept_and_then_drained_in_order(bench: Bench) -> None:
    """Three batches in the outage, three in the journal, in order, and the file is gone."""
    bench.inner.away = True
    for seq in (1, 2, 3):
        await bench.journal.append(batch(seq))
    assert bench.journal.degraded
    assert bench.texts() == []
    bench.inner.away = False
    await bench.journal.settle()
    assert bench.texts() == ["line 1", "line 2", "line 3"]
    assert not bench.journal.degraded
    assert not bench.disk.path.exists()


async def test_draining_takes_more_and_more_at_once(bench: Bench) -> None:
    """A long outage was written batch by batch; one commit each would take as long again, and what comes in waits behind."""
    bench.inner.away = True
    for seq in range(1, 101):
        await bench.journal.append(batch(seq))
    bench.inner.away = False
    bench.inner.appended.clear()
    await bench.journal.settle()
    assert bench.texts() == [f"line {seq}" for seq in range(1, 101)]
    assert bench.inner.appended == [1, 2, 4, 8, 16, 32, 37]


async def test_a_commit_of_several_whose_confirmation_was_lost_is_not_repeated(bench: Bench) -> None:
    """Tried again with fewer at once, what is there already is recognised and the rest is written, once."""
    bench.inner.away = True
    for seq in range(1, 8):
        await bench.journal.append(batch(seq))
    bench.inner.away = False
    bench.inner.confirms = 1  # the first commit; the second, of two batches, is written and not confirmed
    with pytest.raises(JournalUnavailable):
        await bench.journal.settle()
    bench.inner.confirms = None
    await bench.journal.settle()
    assert bench.texts() == [f"line {seq}" for seq in range(1, 8)]


async def test_a_writer_that_is_ended_while_the_disk_refuses_ends(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk's refusal must not hide that somebody cancelled us: whoever leads next waits for it."""
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def refusing(work: Any, *args: Any) -> Any:
        entered.set()
        await go_on.wait()
        raise OSError("no space left")

    bench.inner.away = True
    bench.journal._run = refusing
    writing = asyncio.create_task(bench.journal.append(batch(1)))
    await entered.wait()
    writing.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await writing


async def test_nobody_overtakes_what_is_spooled(bench: Bench) -> None:
    """While something is held, later batches queue behind it even when the database answers again."""
    bench.inner.away = True
    await bench.journal.append(batch(1))
    bench.inner.away = False
    await bench.journal.append(batch(2))
    assert bench.texts() == []
    await bench.journal.settle()
    assert bench.texts() == ["line 1", "line 2"]


async def test_a_batch_whose_confirmation_was_lost_is_written_once(bench: Bench) -> None:
    """It is in the database already; draining recognises it."""
    bench.inner.unconfirmed = True
    await bench.journal.append(batch(1))
    bench.inner.unconfirmed = False
    await bench.journal.settle()
    assert bench.texts() == ["line 1"]


async def test_a_dead_process_leaves_its_spool_to_the_next(tmp_path: Path) -> None:
    """Killed in the outage: the next start drains it before anything else, as the same writer."""
    first = Bench(tmp_path)
    await first.journal.open("sby")
    first.inner.away = True
    await first.journal.append(batch(1))
    await first.journal.append(batch(2))
    first.disk.close()
    second = Bench(tmp_path, first.store)
    await second.journal.open("sby")
    assert second.texts() == ["line 1", "line 2"]
    assert not second.disk.path.exists()


async def test_lines_that_lost_their_place_leave_their_commands(bench: Bench) -> None:
    """Another leader wrote line 2 meanwhile: everything from there on is left to it as commands, in order."""
    await bench.journal.append(batch(1))
    bench.inner.away = True
    await bench.journal.append(batch(2))
    await bench.journal.append(batch(3))
    other = MemoryJournal(bench.store)
    await other.open("sby")
    await other.append(batch(2))
    bench.inner.away = False
    with pytest.raises(JournalFenced):
        await bench.journal._drain()
    await bench.journal.settle()
    assert [told.key for told in bench.left] == ["k-2", "k-3"]
    assert not bench.journal.degraded
    assert not bench.disk.path.exists()


async def test_what_is_held_does_not_change_with_the_engines_rows(bench: Bench) -> None:
    """A row of the batch is changed after spooling; the drained row is the old one."""
    unit = Unit(unit_id="A1", unit_type="amb", agency="dinkes")
    made = batch(1)
    made.rows = Rows(units=[unit])
    bench.inner.away = True
    await bench.journal.append(made)
    unit.crew = ["later"]
    bench.inner.away = False
    await bench.journal.settle()
    assert msgspec.json.decode(bench.store.rows["sby"]["unit", "A1"], type=Unit).crew == []


async def test_a_batch_that_comes_while_the_file_is_being_cleared_survives(tmp_path: Path) -> None:
    """The drain has written everything and waits for the file when the next outage begins: nothing is deleted under it."""
    bench = Bench(tmp_path)
    await bench.journal.open("sby")
    bench.inner.away = True
    await bench.journal.append(batch(1))
    bench.inner.away = False
    async with bench.journal._file:
        draining = asyncio.create_task(bench.journal._drain())
        while bench.journal.degraded:  # noqa: ASYNC110 - one turn of the loop at a time, no event to wait for
            await asyncio.sleep(0)
        bench.inner.away = True
        spooling = asyncio.create_task(bench.journal.append(batch(2)))
        await asyncio.sleep(0)
    await asyncio.gather(draining, spooling)
    assert bench.journal.degraded
    assert [b.entries[0].seq for b in decode_spool(bench.disk.path.read_bytes())[1]] == [2]


async def test_a_full_disk_refuses_and_leaves_what_was_kept_readable(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refused batch must not be acknowledged, and must not hide the next one."""
    bench.inner.away = True
    await bench.journal.append(batch(1))
    monkeypatch.setattr(spool_module, "SPOOL_MAX", bench.disk.path.stat().st_size + 10)
    with pytest.raises(SpoolFull):
        await bench.journal.append(batch(2))
    monkeypatch.undo()
    await bench.journal.append(batch(2))
    assert [b.entries[0].seq for b in decode_spool(bench.disk.path.read_bytes())[1]] == [1, 2]


async def test_a_write_that_breaks_off_is_written_over(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a record on disk, then an I/O error, and the file cannot even be shortened: the next record stands where it must."""
    bench.inner.away = True
    await bench.journal.append(batch(1))
    pwrite = spool_module.os.pwrite

    def breaking(descriptor: int, data: bytes, offset: int) -> int:
        pwrite(descriptor, data[: len(data) // 2], offset)
        raise OSError(5, "Input/output error")

    def refusing(descriptor: int, size: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(spool_module.os, "pwrite", breaking)
        broken.setattr(spool_module.os, "ftruncate", refusing)
        with pytest.raises(SpoolFull):
            await bench.journal.append(batch(2))
    await bench.journal.append(batch(2))
    assert [b.entries[0].seq for b in decode_spool(bench.disk.path.read_bytes())[1]] == [1, 2]


async def test_two_processes_do_not_share_a_spool(bench: Bench, tmp_path: Path) -> None:
    """The second is refused instead of mixing its lines into the first one's."""
    with pytest.raises(SpoolBusy):
        await Bench(tmp_path).journal.open("sby")
    await bench.journal.close()
    await Bench(tmp_path).journal.open("sby")


def test_a_whole_record_of_another_release_is_not_thrown_away() -> None:
    """Its check sum is right, so it was acknowledged: refuse to start rather than lose it."""
    record = encode_record(batch(1))
    strange = msgspec.msgpack.encode({"entries": 7})
    data = spool_module.MAGIC + WRITER.bytes + record
    data += spool_module.RECORD.pack(len(strange), spool_module.zlib.crc32(strange)) + strange
    with pytest.raises(SpoolUnreadable):
        decode_spool(data)


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 4), st.data())
def test_any_damage_loses_only_what_lies_behind_it(count: int, data: st.DataObject) -> None:
    """Cut anywhere or flip any bit: the records before the damage are read exactly, none is invented."""
    records = [encode_record(batch(seq)) for seq in range(1, count + 1)]
    whole = spool_module.MAGIC + WRITER.bytes + b"".join(records)
    at = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        damaged = whole[:at]
    else:
        damaged = bytearray(whole)  # type: ignore[assignment]
        damaged[at] ^= 1 << data.draw(st.integers(0, 7))  # type: ignore[index]
    _, found, torn = decode_spool(bytes(damaged))
    ends = [HEADER_BYTES + sum(map(len, records[: n + 1])) for n in range(count)]
    untouched = sum(end <= at for end in ends)
    if at >= HEADER_BYTES:
        assert [b.entries[0].seq for b in found] == list(range(1, untouched + 1))
        assert torn > 0 or at in (HEADER_BYTES, *ends)
    else:
        assert all(b.entries[0].seq == n for n, b in enumerate(found, 1))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
def test_no_file_content_breaks_the_reader(data: bytes) -> None:
    """Whatever lies there, the reader returns or says that it is of another release."""
    for content in (data, spool_module.MAGIC + WRITER.bytes + data):
        try:
            decode_spool(content)
        except SpoolUnreadable:
            continue


async def test_the_line_that_takes_the_lead_is_in_the_database_or_nowhere(bench: Bench) -> None:
    """In a spool it would fence nobody: two nodes cut off from each other could give out the same numbers."""
    bench.inner.away = True
    with pytest.raises(JournalUnavailable):
        await bench.journal.claim(batch(1))
    assert not bench.journal.degraded
    assert not bench.disk.path.exists()
    await bench.journal.append(batch(1))
    bench.inner.away = False
    with pytest.raises(JournalUnavailable):  # what is spooled comes first
        await bench.journal.claim(batch(2))
    await bench.journal.settle()
    await bench.journal.claim(batch(2))
    assert bench.texts() == ["line 1", "line 2"]
