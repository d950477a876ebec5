"""What every journal promises, run on the in-memory and on the PostgreSQL journal alike."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from dispatch import events as ev
from dispatch.journal import (
    SNAPSHOTS_KEPT,
    Answer,
    Batch,
    Journal,
    JournalCorrupt,
    JournalFenced,
    JournalGap,
    MemoryJournal,
    MemoryStore,
    Rows,
    decode_event,
    encode_event,
)
from dispatch.journal_pg import PAGE_LINES, PostgresJournal
from dispatch.model import Actor, Caller, Channel, Place, Report, ReportState

T0 = datetime(2026, 3, 1, 3, 0, 0, 123456, tzinfo=UTC)
SITI = Actor(role="call_taker", name="siti")
MakeJournal = Callable[[], Journal]


@pytest.fixture(params=["memory", "postgres"])
def make_journal(request: pytest.FixtureRequest) -> MakeJournal:
    """Makes journals that share one store, each a writer of its own, as processes on one database are."""
    if request.param == "memory":
        store = MemoryStore()
        return lambda: MemoryJournal(store)
    pool = request.getfixturevalue("pool")
    return lambda: PostgresJournal(pool)


@pytest.fixture
async def journal(make_journal: MakeJournal) -> Journal:
    made = make_journal()
    await made.open("sby")
    return made


def line(seq: int, text: str = "", region: str = "sby") -> ev.Entry:
    event = ev.IncidentNoted(incident_id="I-1", text=text or f"line {seq}")
    return ev.Entry(region=region, seq=seq, at=T0 + timedelta(seconds=seq), actor=SITI, event=event)


def lines(first: int, last: int) -> list[ev.Entry]:
    return [line(seq) for seq in range(first, last + 1)]


async def read(journal: Journal, after: int = 0, upto: int | None = None) -> list[ev.Entry]:
    return [entry async for entry in journal.read(after, upto)]


async def test_lines_come_back_as_they_were_written(journal: Journal) -> None:
    """Every field survives, microseconds and characters beyond ASCII included."""
    event = ev.ReportSubmitted(
        report_id="R-1",
        channel=Channel.WEB,
        incident_kind="laka",
        place=Place(lon=112.7378123456789, lat=-7.2574999999999, accuracy_m=12.5, address="Jl. Pemuda – “Balai”"),
        description='kata "tolong" \\u0000 😢',
        caller=Caller(phone="+62 31 0000 112", name="Bu Ratna"),
        answers={"sadar": "tidak"},
    )
    entry = ev.Entry(region="sby", seq=1, at=T0, actor=SITI, event=event, command_id="k-1")
    await journal.append(Batch(entries=[entry]))
    assert await read(journal) == [entry]


async def test_a_nul_character_does_not_stop_the_journal(journal: Journal) -> None:
    """PostgreSQL cannot hold it; it reads back as the replacement character, and only it."""
    entry = line(1, "a\x00b \\u0000 \\\x00")
    await journal.append(Batch(entries=[entry], answers=[Answer("c\x00", "k", "h", 200, b"\x00", T0)]))
    [read_back] = await read(journal)
    assert read_back.event == ev.IncidentNoted("I-1", "a\ufffdb \\u0000 \\\ufffd")
    await journal.append(Batch(entries=[entry]))


async def test_an_empty_journal_has_last_seq_zero(journal: Journal) -> None:
    """seq counts from 1."""
    assert await journal.last_seq() == 0
    assert await read(journal) == []
    assert await journal.latest_snapshot() is None


async def test_read_is_bounded_on_both_sides(journal: Journal) -> None:
    """after < seq <= upto."""
    await journal.append(Batch(entries=lines(1, 10)))
    assert [e.seq for e in await read(journal, 3, 7)] == [4, 5, 6, 7]
    assert [e.seq for e in await read(journal, 8)] == [9, 10]
    assert await read(journal, 10) == []
    assert await journal.last_seq() == 10


async def test_a_read_longer_than_a_page_is_complete(journal: Journal) -> None:
    """No line is lost or repeated where two pages meet."""
    count = PAGE_LINES * 2 + 1
    await journal.append(Batch(entries=lines(1, count)))
    assert [e.seq for e in await read(journal)] == list(range(1, count + 1))


async def test_the_second_writer_of_a_line_is_fenced(make_journal: MakeJournal) -> None:
    """Two processes that both think they lead: the later one learns it at its first append, and nothing of it is kept."""
    old, new = make_journal(), make_journal()
    for journal in (old, new):
        await journal.open("sby")
    await old.append(Batch(entries=lines(1, 3)))
    await new.append(Batch(entries=lines(4, 5)))
    with pytest.raises(JournalFenced):
        await old.append(Batch(entries=[line(4, "mine"), line(5, "mine"), line(6, "mine")]))
    assert [e.event.text for e in await read(new)] == [f"line {n}" for n in range(1, 6)]  # type: ignore[union-attr]


async def test_the_same_line_of_another_writer_still_fences(make_journal: MakeJournal) -> None:
    """Two deterministic engines may decide the very same event; still only one of them leads."""
    old, new = make_journal(), make_journal()
    for journal in (old, new):
        await journal.open("sby")
    await new.append(Batch(entries=[line(1)]))
    with pytest.raises(JournalFenced):
        await old.append(Batch(entries=[line(1)]))


async def test_concurrent_writers_leave_exactly_one_line_per_seq(make_journal: MakeJournal) -> None:
    """Of eight writers racing for the same seq one wins and seven step down."""
    journals = [make_journal() for _ in range(8)]
    for journal in journals:
        await journal.open("sby")
    results = await asyncio.gather(
        *(j.append(Batch(entries=[line(1, f"writer {n}")])) for n, j in enumerate(journals)), return_exceptions=True
    )
    assert sorted(type(r).__name__ for r in results) == ["JournalFenced"] * 7 + ["NoneType"]
    assert len(await read(journals[0])) == 1


async def test_repeating_a_batch_writes_it_once(journal: Journal) -> None:
    """After a lost confirmation the writer appends the same batch again, also together with what came since."""
    await journal.append(Batch(entries=lines(1, 3)))
    await journal.append(Batch(entries=lines(1, 3)))
    await journal.append(Batch(entries=lines(2, 5)))
    assert await read(journal) == lines(1, 5)


async def test_an_answer_joined_to_lines_that_are_there_already_is_kept(journal: Journal) -> None:
    """A spool drains several batches in one commit: the first may have been written before, unconfirmed, and the second be an
    answer that led to no line. It was acknowledged and must be found under its key.
    """
    first, idle = (Answer(f"device:A-0{n}", "k1", "h1", 200, b"{}", T0) for n in (1, 2))
    await journal.append(Batch(entries=lines(1, 2), answers=[first]))
    await journal.append(Batch(entries=lines(1, 2), answers=[first, idle]))
    found = await journal.answers_since(T0 - timedelta(days=1))
    assert sorted(a.scope for a in found) == [first.scope, idle.scope]
    assert await read(journal) == lines(1, 2)


async def test_a_repeat_with_other_words_is_fenced(journal: Journal) -> None:
    """What is written stays written: a writer that changed its mind about a line must not go on."""
    await journal.append(Batch(entries=lines(1, 2)))
    with pytest.raises(JournalFenced):
        await journal.append(Batch(entries=[line(2, "no, this"), line(3)]))
    assert await journal.last_seq() == 2


async def test_a_gap_is_refused(journal: Journal) -> None:
    """A database that is behind our memory must not be continued as if nothing were missing."""
    await journal.append(Batch(entries=lines(1, 2)))
    with pytest.raises(JournalGap):
        await journal.append(Batch(entries=[line(4)]))
    assert await journal.last_seq() == 2


async def test_a_batch_out_of_order_is_a_mistake_of_the_program(journal: Journal) -> None:
    """Found before anything is written."""
    for wrong in ([line(2), line(1)], [line(1), line(3)], [line(1, region="gianyar")]):
        with pytest.raises(AssertionError):
            await journal.append(Batch(entries=wrong))
    assert await journal.last_seq() == 0


async def test_regions_do_not_see_each_other(make_journal: MakeJournal) -> None:
    """One database, many regions, each with its own seq."""
    here, there = make_journal(), make_journal()
    await here.open("sby")
    await there.open("gianyar")
    await here.append(Batch(entries=lines(1, 3)))
    await there.append(Batch(entries=[line(1, region="gianyar")]))
    assert (await here.last_seq(), await there.last_seq()) == (3, 1)
    assert [e.region for e in await read(there)] == ["gianyar"]


async def test_snapshots_are_pruned_to_the_newest(journal: Journal) -> None:
    """The newest is returned and a repeat for the same seq replaces."""
    for seq in (10, 20, 30, 40, 50):
        await journal.save_snapshot(seq, T0 + timedelta(seconds=seq), f"state {seq}".encode())
    await journal.save_snapshot(50, T0 + timedelta(seconds=50), b"\x00again\xff")
    assert await journal.latest_snapshot() == (50, T0 + timedelta(seconds=50), b"\x00again\xff")
    assert SNAPSHOTS_KEPT == 3


async def test_answers_are_kept_with_the_lines_and_the_first_stands(journal: Journal) -> None:
    """A restarted server knows what it answered; a later answer under the same key never replaces the first."""
    first = Answer("device:A-01", "k1", "h1", 201, b'{"seq":1}\x00\xff', T0)
    other = Answer("device:A-02", "k1", "h9", 409, b"", T0 + timedelta(seconds=5))
    await journal.append(Batch(entries=[line(1)], answers=[first]))
    await journal.append(Batch(entries=[], answers=[msgspec.structs.replace(first, status=500), other]))
    assert await journal.answers_since(T0) == [first, other]
    assert await journal.answers_since(T0 + timedelta(seconds=1)) == [other]


async def test_a_fenced_batch_leaves_no_answer_and_no_row(make_journal: MakeJournal) -> None:
    """All or nothing: the loser's answers vanish with its lines."""
    old, new = make_journal(), make_journal()
    for journal in (old, new):
        await journal.open("sby")
    await new.append(Batch(entries=[line(1)]))
    report = Report("R-1", Channel.WEB, ReportState.SUBMITTED, rang_at=T0, received_at=T0)
    with pytest.raises(JournalFenced):
        await old.append(
            Batch(
                entries=[line(1, "mine")],
                rows=Rows(reports=[report]),
                answers=[Answer("citizen", "k", "h", 201, b"{}", T0)],
            )
        )
    assert await new.answers_since(T0) == []


async def test_about_finds_the_lines_of_a_subject(journal: Journal) -> None:
    """The timeline of an incident: its own lines and those of its assignments, in order, nothing else."""
    events: list[ev.AnyEvent] = [
        ev.IncidentNoted(incident_id="I-1", text="a"),
        ev.JobAcknowledged(assignment_id="I-1-1"),
        ev.IncidentNoted(incident_id="I-2", text="b"),
        ev.ReportAnswered(report_id="R-1"),
        ev.JobAcknowledged(assignment_id="I-2-1"),
    ]
    entries = [ev.Entry("sby", n, T0 + timedelta(seconds=n), SITI, e) for n, e in enumerate(events, 1)]
    await journal.append(Batch(entries=entries))
    found = await journal.about(["I-1", "I-1-1", "R-1"], T0, T0 + timedelta(hours=1))
    assert [e.seq for e in found] == [1, 2, 4]
    assert await journal.about(["I-1"], T0 + timedelta(seconds=2), T0 + timedelta(hours=1)) == []


# --- the codec, which both share


def test_retired_kinds_are_up_cast_step_by_step() -> None:
    """A journal of years ago reads as today's events, through as many versions as there were."""
    upcasters = {
        "note_v0": lambda old: {"kind": "note_v1", "incident": old["inc"], "text": old["txt"]},
        "note_v1": lambda old: {"kind": "incident_noted", "incident_id": old["incident"], "text": old["text"]},
    }
    event = decode_event("note_v0", b'{"kind":"note_v0","inc":"I-7","txt":"halo"}', upcasters)
    assert event == ev.IncidentNoted(incident_id="I-7", text="halo")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("never_heard_of", b'{"kind":"never_heard_of"}'),
        ("incident_noted", b'{"kind":"incident_noted","text":5}'),
        ("incident_noted", b"{"),
        ("loop", b'{"kind":"loop"}'),
        ("nameless", b'{"kind":"nameless"}'),
    ],
)
def test_a_line_that_cannot_be_understood_is_named_corrupt(kind: str, body: bytes) -> None:
    """Never skipped, never guessed."""
    upcasters = {"loop": lambda old: {"kind": "loop"}, "nameless": lambda old: {}}
    with pytest.raises(JournalCorrupt):
        decode_event(kind, body, upcasters)


def test_every_kind_survives_the_codec() -> None:
    """Encode, decode, encode again: the same bytes, for every kind of event with every field filled."""
    from tests.dispatch.examples import examples

    for event in examples():
        body = encode_event(event)
        kind = msgspec.json.decode(body)["kind"]
        assert decode_event(kind, body) == event
        assert encode_event(decode_event(kind, body)) == body
