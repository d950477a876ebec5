"""The plain tables follow from the journal: written beside it, checked against it, made anew from it."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta

import asyncpg
import pytest

from dispatch import commands as co
from dispatch import events as ev
from dispatch.database import Leadership, connect
from dispatch.engine import Engine
from dispatch.fold import State
from dispatch.journal import Batch, JournalCorrupt
from dispatch.journal_pg import PostgresJournal
from dispatch.model import Rejected
from dispatch.projections import Comparison, Difference, StillServed, digests, rebuild, rebuild_and_compare, rows_of
from tests.dispatch.town import DISPATCHER, SUPERVISOR, TAKER, after, crew, make_engine, report, town


class Writer:
    """Journals what an engine decides, batch by batch, as the live driver does."""

    def __init__(self, pool: asyncpg.Pool, engine: Engine) -> None:
        self.journal = PostgresJournal(pool)
        self.engine = engine
        self.pending: list[ev.Entry] = []

    def step(self, command: co.Command, seconds: float, actor: object = DISPATCHER) -> None:
        try:
            self.engine.step(command, after(seconds), actor, into=self.pending)  # type: ignore[arg-type]
        except Rejected:
            return

    async def commit(self) -> None:
        state = self.engine.state
        rows = rows_of(state, state.drain_touched())
        await self.journal.append(Batch(entries=self.pending, rows=rows))
        self.pending = []


@pytest.fixture
async def writer(pool: asyncpg.Pool) -> Writer:
    made = Writer(pool, make_engine(on_duty=False))
    await made.journal.open("town")
    return made


async def a_shift(writer: Writer, seed: int, steps: int = 300) -> None:
    """Commands at random, sensible or not, committed in batches of random size."""
    dice = random.Random(seed)
    engine = writer.engine
    seconds = 0.0
    for unit_id in engine.region.units:
        writer.step(co.StartDuty(unit_id=unit_id), 0, crew(unit_id))
    for _ in range(steps):
        seconds += dice.choice([1, 3, 10, 20])
        while (due := engine.next_deadline()) is not None and due <= after(seconds):
            engine.step(co.Wake(), due, into=writer.pending)
        state = engine.state
        incident = dice.choice(sorted(state.open_ids or state.incidents)) if state.incidents else "none"
        other = dice.choice(sorted(state.incidents)) if state.incidents else "none"
        job = dice.choice(sorted(state.active_ids or state.assignments)) if state.assignments else "none"
        unit = dice.choice(sorted(engine.region.units))
        filed = dice.choice(sorted(state.reports)) if state.reports else "none"
        holder = crew(state.assignments[job].unit_id) if job != "none" else crew(unit)
        command, actor = dice.choice(
            [
                (co.AcknowledgeJob(assignment_id=job), holder),
                (co.AcknowledgeJob(assignment_id=job), holder),
                (co.ReportEnRoute(assignment_id=job), holder),
                (co.ReportAtScene(assignment_id=job), holder),
                (co.ReportClear(assignment_id=job), holder),
                (co.ReturnToService(unit_id=unit), crew(unit)),
                (co.ReturnToService(unit_id=unit), crew(unit)),
                (report(dice.choice(sorted(engine.region.kinds)), dice.uniform(0, 0.03), dice.uniform(0, 0.01)), TAKER),
                (report("medis", dice.uniform(0, 0.03)), TAKER),
                (co.PresentCall(call_id=f"c{seconds}", phone="+62 31 0000 112"), TAKER),
                (co.AnswerReport(report_id=filed), TAKER),
                (co.AcknowledgeJob(assignment_id=job), holder),
                (co.ReportEnRoute(assignment_id=job), holder),
                (co.ReportAtScene(assignment_id=job), holder),
                (co.ReportTransporting(assignment_id=job), holder),
                (co.ReportAtHospital(assignment_id=job), holder),
                (co.ReportClear(assignment_id=job), holder),
                (co.ReportClear(assignment_id=job), holder),
                (co.DeclineJob(assignment_id=job, reason="ban bocor"), holder),
                (co.TakeOutOfService(unit_id=unit, reason="mogok di jalan"), crew(unit)),
                (co.ReturnToService(unit_id=unit), crew(unit)),
                (
                    co.RegradeIncident(incident_id=incident, reason="lebih parah", priority=dice.randint(1, 3)),
                    DISPATCHER,
                ),
                (co.MergeIncident(incident_id=incident, into=other), DISPATCHER),
                (co.UnmergeIncident(incident_id=incident), DISPATCHER),
                (co.CloseIncident(incident_id=incident, outcome="selesai"), DISPATCHER),
                (co.CancelIncident(incident_id=incident, reason="salah lapor"), DISPATCHER),
                (co.ReopenIncident(incident_id=incident, reason="belum selesai"), SUPERVISOR),
                (co.ConfirmPlan(incident_id=incident), DISPATCHER),
                (co.RaiseAlarm(incident_id=incident, reason="api membesar"), DISPATCHER),
                (co.AssignUnit(incident_id=incident, unit_id=unit, reason="lebih dekat"), DISPATCHER),
                (co.NoteIncident(incident_id=incident, text="pagar terkunci"), DISPATCHER),
            ]
        )
        writer.step(command, seconds, actor)
        if dice.random() < 0.5:
            await writer.commit()
    await writer.commit()


async def compare(database: str) -> Comparison:
    return await rebuild_and_compare(database, "town", State(town()))


@pytest.mark.parametrize("seed", range(4))
async def test_a_rebuild_of_a_random_shift_finds_no_difference(database: str, writer: Writer, seed: int) -> None:
    """Whatever was commanded and however it was batched, the tables are what the journal says."""
    await a_shift(writer, seed)
    found = await compare(database)
    assert found.lines == writer.engine.state.seq > 300
    assert found.differences == []


async def test_every_tampering_is_named(database: str, pool: asyncpg.Pool, writer: Writer) -> None:
    """A changed value, a missing row and an invented row are found, by table, id and column, without their values."""
    writer.step(report("medis", description="rahasia"), 1, TAKER)
    writer.step(co.PresentCall(call_id="c1", phone="+62 31 0000 112"), 2, TAKER)
    for unit_id in ("A1", "A2"):
        writer.step(co.StartDuty(unit_id=unit_id), 3, crew(unit_id))
    await writer.commit()
    assert (await compare(database)).differences == []
    await pool.execute("UPDATE incident SET first_ring_at = first_ring_at + interval '1 minute', priority = 3")
    await pool.execute("DELETE FROM unit WHERE unit_id = 'A1'")
    await pool.execute("UPDATE unit SET unit_id = 'A9' WHERE unit_id = 'A2'")
    await pool.execute("UPDATE caller SET phone = 'x'")
    found = await compare(database)
    incident_id = next(iter(writer.engine.state.incidents))
    report_id = next(r.report_id for r in writer.engine.state.reports.values() if r.call_id == "c1")
    assert found.differences == [
        Difference("caller", report_id, ("phone",), None),
        Difference("incident", incident_id, ("first_ring_at", "priority"), None),
        Difference("unit", "A1", (), "projected"),
        Difference("unit", "A2", (), "projected"),
        Difference("unit", "A9", (), "rebuilt"),
    ]
    assert "rahasia" not in repr(found)


async def test_a_rebuild_mends_the_tables(database: str, pool: asyncpg.Pool, writer: Writer) -> None:
    """Projections can be dropped and made from the journal; other regions are not touched."""
    await a_shift(writer, 7, steps=60)
    await pool.execute("INSERT INTO caller (region, report_id, phone) VALUES ('elsewhere', 'R-1', '1')")
    owner = await connect(database, role=None)
    before = await digests(owner, "town")
    await owner.execute("DELETE FROM report; DELETE FROM incident; UPDATE unit SET moves_today = 99")
    assert await rebuild(database, "town", State(town())) == before.lines
    assert await digests(owner, "town") == before
    assert (await compare(database)).differences == []
    assert await owner.fetchval("SELECT count(*) FROM caller WHERE region = 'elsewhere'") == 1
    await owner.close()


async def test_tables_are_not_replaced_under_a_serving_process(database: str, writer: Writer) -> None:
    """The advisory lock of the leader protects its tables."""
    await writer.commit()
    leader = Leadership(database, "town")
    assert await leader.try_lead()
    with pytest.raises(StillServed):
        await rebuild(database, "town", State(town()))
    await leader.close()
    assert await rebuild(database, "town", State(town())) == 0


async def test_a_missing_line_is_found_before_anything_is_compared(database: str, writer: Writer) -> None:
    """A journal with a hole is not folded as if nothing were missing."""
    for seconds in range(1, 6):
        writer.step(report("pohon"), seconds, TAKER)
    await writer.commit()
    owner = await connect(database, role=None)
    await owner.execute(
        "SET session_replication_role = replica"
    )  # how somebody with every right could get past triggers
    await owner.execute("DELETE FROM journal WHERE seq = 3")
    await owner.close()
    with pytest.raises(JournalCorrupt, match="line 3"):
        await compare(database)
    with pytest.raises(JournalCorrupt, match="line 3"):
        [entry async for entry in writer.journal.read(0)]


async def test_a_compare_beside_a_serving_process_sees_one_moment(database: str, writer: Writer) -> None:
    """Lines that arrive while the check runs do not look like differences."""
    await a_shift(writer, 3, steps=80)
    before = writer.engine.state.seq
    checking = asyncio.ensure_future(compare(database))
    seconds = 100_000
    while not checking.done():
        seconds += 1
        writer.step(report("pohon"), seconds, TAKER)
        await writer.commit()
    found = checking.result()
    assert found.differences == []
    assert before <= found.lines < writer.engine.state.seq


async def test_digests_tell_two_journals_apart(database: str, writer: Writer) -> None:
    """Equal journals give equal digests, one more line another."""
    owner = await connect(database, role=None)
    empty = await digests(owner, "town")
    writer.step(report("pohon"), 1, TAKER)
    await writer.commit()
    one = await digests(owner, "town")
    assert (empty.lines, empty.rows) == (0, 0)
    assert one.lines == one.last_seq == writer.engine.state.seq
    assert one.journal != empty.journal
    assert one == await digests(owner, "town")
    await owner.execute("UPDATE incident SET opened_at = opened_at + $1", timedelta(microseconds=1))
    assert (await digests(owner, "town")).projections != one.projections
    await owner.close()
