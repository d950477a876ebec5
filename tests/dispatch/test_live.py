"""The writer's own promises: refusals that do not double, ids of a lost leader, defects that do not spin, a clock that goes on."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from dispatch import commands as co
from dispatch import events as ev
from dispatch import live as live_module
from dispatch.clock import SLEW, SteadyClock, SystemClock
from dispatch.engine import _next_id
from dispatch.fold import State
from dispatch.journal import Batch, MemoryJournal, Told
from dispatch.live import Live, NotLeading, Outcome, new_ids, with_new_ids
from dispatch.model import Actor
from dispatch.spool import SpoolFull
from geo.router import StraightLineRouter
from tests.dispatch.town import T0, report, town

CITIZEN = Actor(role="citizen", name="public")
TAKER = Actor(role="call_taker", name="sari")


class Refusing(MemoryJournal):
    """Neither database nor disk takes anything while `full`."""

    full = False

    async def append(self, batch: Batch) -> None:
        if self.full:
            raise SpoolFull("full")
        await super().append(batch)


class Serving:
    """A leading Live with its writer running."""

    def __init__(self, journal: MemoryJournal) -> None:
        self.journal = journal
        self.live = Live(town(), StraightLineRouter(), journal, SystemClock())

    async def __aenter__(self) -> Live:
        await self.live.start()
        await self.live.lead("n", "http://n")
        self._writer = asyncio.create_task(self.live.run())
        return self.live

    async def __aexit__(self, *_: object) -> None:
        self._writer.cancel()
        await asyncio.gather(self._writer, return_exceptions=True)


def submitted(journal: MemoryJournal, key: str) -> int:
    lines = journal.store.lines.get("town", [])
    return sum(isinstance(line[4].event, ev.ReportSubmitted) and line[4].command_id == key for line in lines)


async def test_what_was_refused_for_want_of_disk_is_done_once_however_often_it_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Refused, asked again, refused again; when there is room the first answer stands and nothing happened twice."""
    monkeypatch.setattr(live_module, "UNWRITTEN_RETRY_S", 0.001)
    journal = Refusing()
    async with Serving(journal) as live:
        journal.full = True
        for _ in range(3):
            with pytest.raises(NotLeading):
                await live.submit(report(), CITIZEN, key="k")
        assert live.stuck
        assert not live.hub.state.reports, "shown though it is durable nowhere"
        journal.full = False
        while live.stuck:  # noqa: ASYNC110 - one turn of the loop at a time
            await asyncio.sleep(0)
        answer = msgspec.json.decode(await live.submit(report(), CITIZEN, key="k"), type=Outcome)
        assert submitted(journal, "k") == 1
        assert answer.report_id in live.hub.state.reports


async def test_a_defect_in_the_clock_of_one_incident_does_not_spin_the_writer(caplog: pytest.LogCaptureFixture) -> None:
    """The wake-up raises each time; reports still go through, and it is tried at intervals."""
    async with Serving(MemoryJournal()) as live:
        assert live.engine is not None
        broken = Broken(live.engine)
        live.engine = broken  # type: ignore[assignment]
        with caplog.at_level(logging.CRITICAL, "siaga.live"):
            for n in range(5):
                await live.submit(report(), CITIZEN, key=f"k{n}")
            for _ in range(200):
                await asyncio.sleep(0)
        assert 1 <= broken.wakes <= 10


class Broken:
    """An engine one of whose deadlines is always due and always raises."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self.wakes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def step(self, command: Any, *args: Any, **more: Any) -> Any:
        if isinstance(command, co.Wake):
            self.wakes += 1
            raise ZeroDivisionError
        return self.engine.step(command, *args, **more)

    def next_deadline(self) -> datetime:
        return datetime.now(UTC) - timedelta(seconds=1)


async def test_a_call_takers_report_is_not_lost_when_its_call_got_another_number() -> None:
    """Both were acknowledged by a leader whose lines are lost: decided anew, the report still completes its own call."""
    journal = MemoryJournal()
    async with Serving(journal) as live:
        ring = Outcome(seq=9, events=["call_presented"], report_id="L260302-0700")
        call = Told(
            co.PresentCall(call_id="c1", phone="+6231"), Actor("partner", "x"), "k1", "", msgspec.json.encode(ring)
        )
        form = report(report_id="L260302-0700")
        await live.give_again(call)
        await live.give_again(Told(form, TAKER, "k2", ""))
        reports = live.hub.state.reports
        assert len(reports) == 1
        assert next(iter(reports.values())).incident_id is not None


async def test_a_report_whose_call_nobody_knows_becomes_a_report_of_its_own() -> None:
    """The names are forgotten (another take-over): never lost all the same."""
    journal = MemoryJournal()
    async with Serving(journal) as live:
        await live.give_again(Told(report(report_id="L260302-0700"), TAKER, "k2", ""))
        assert submitted(journal, "k2") == 1
        await live.give_again(Told(report(report_id="L260302-0700"), TAKER, "k2", ""))
        assert submitted(journal, "k2") == 1


def test_new_names_reach_every_field_that_speaks_of_an_id() -> None:
    """Reports, incidents, assignments."""
    before = Outcome(seq=1, events=[], report_id="L-1", incident_id="I-1", assignment_ids=["I-1/1", "I-1/2"])
    after = Outcome(seq=9, events=[], report_id="L-9", incident_id="I-9", assignment_ids=["I-9/1", "I-9/2"])
    names = new_ids(msgspec.json.encode(before), msgspec.json.encode(after))
    assert names == {"L-1": "L-9", "I-1": "I-9", "I-1/1": "I-9/1", "I-1/2": "I-9/2"}
    merge = with_new_ids(co.MergeIncident(incident_id="I-1", into="I-2"), names)
    assert merge == co.MergeIncident(incident_id="I-9", into="I-2")
    assert with_new_ids(co.AcknowledgeJob(assignment_id="I-1/2"), names) == co.AcknowledgeJob(assignment_id="I-9/2")


def test_a_new_leader_gives_no_number_that_the_old_one_may_have_given() -> None:
    """The first one begins at 1; the next cannot know what the one before gave while it was cut off."""
    state = State(town())

    def lead(seq: int, url: str) -> None:
        state.apply(ev.Entry("town", seq, T0, CITIZEN, ev.LeadTaken(node="n", url=url)))

    lead(1, "http://a")
    assert (state.last_report, state.last_incident) == ("", "")
    lead(2, "http://b")
    assert _next_id("L260302", state.last_report) == "L260302-1001"
    state.last_report, state.last_incident = "L260302-1147", "260302-2000"
    lead(3, "http://a")
    assert (state.last_report, state.last_incident) == ("L260302-2000", "260302-3000")
    assert _next_id("260302", state.last_incident) == "260302-3001"
    assert _next_id("260303", state.last_incident) == "260303-3001", "nor over midnight"


class Set:
    """A clock that can be set."""

    def __init__(self) -> None:
        self.at = T0

    def now(self) -> datetime:
        return self.at


def test_a_clock_set_back_goes_on_slowly_and_one_set_forward_is_followed() -> None:
    """Deadlines stay due whatever is done to the machine's clock."""
    machine, second = Set(), [0.0]
    steady = SteadyClock(machine, lambda: second[0])
    assert steady.now() == T0
    second[0] = 10.0
    machine.at = T0 + timedelta(seconds=10)
    assert steady.now() == T0 + timedelta(seconds=10)
    machine.at = T0 - timedelta(hours=1)
    second[0] = 30.0
    assert steady.now() == T0 + timedelta(seconds=10 + 20 * SLEW)
    machine.at = T0 + timedelta(hours=2)
    assert steady.now() == T0 + timedelta(hours=2)
    steady.not_before(T0 + timedelta(hours=3))
    second[0] = 32.0
    assert steady.now() == T0 + timedelta(hours=3, seconds=2 * SLEW)


def test_a_slow_clock_loses_nothing_to_rounding() -> None:
    """Asked a million times a second it still gets ahead."""
    machine, second = Set(), [0.0]
    steady = SteadyClock(machine, lambda: second[0])
    steady.now()
    machine.at = T0 - timedelta(seconds=5)
    for _ in range(1000):
        second[0] += 1e-7
        steady.now()
    assert steady.now() == T0 + timedelta(microseconds=50)


class Hanging(MemoryJournal):
    """Takes lines at once and never finishes a snapshot."""

    async def save_snapshot(self, seq: int, at: datetime, body: bytes) -> None:
        await asyncio.Event().wait()


async def test_a_snapshot_that_hangs_holds_up_no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Snapshots are kept beside the writer."""
    monkeypatch.setattr(live_module, "SNAPSHOT_EVERY", 1)
    async with Serving(Hanging()) as live:
        keeping = asyncio.create_task(live.keep_snapshots())
        for n in range(3):
            await live.submit(report(), CITIZEN, key=f"k{n}")
        assert not keeping.done()
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
