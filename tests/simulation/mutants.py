"""Known bugs, planted one at a time. The simulation is worth its time only if it finds each of them.

Most of them were really in the code once, or are what a tired engineer would write. Each is a context manager that swaps
one method; nothing in production knows about them.
"""

from __future__ import annotations

import functools
import random
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import msgspec

from dispatch import commands as co
from dispatch import events as ev
from dispatch import fold_events, spool
from dispatch.decide_incidents import HANDLERS as INCIDENT_HANDLERS
from dispatch.engine import HANDLERS, Engine
from dispatch.journal import Batch
from dispatch.live import Live
from dispatch.model import Actor, Rejected
from dispatch.nodes import Node
from dispatch.spool import HEADER_BYTES, MAGIC, RECORD, SpoolFull, SpoolingJournal
from tests.simulation.wire import FakeDisk, SimJournal


@contextmanager
def swapped(owner: Any, name: str, replacement: Any) -> Iterator[None]:
    kept = owner[name] if isinstance(owner, dict) else owner.__dict__[name]
    put: Callable[[Any], None] = (
        functools.partial(owner.__setitem__, name)
        if isinstance(owner, dict)
        else functools.partial(setattr, owner, name)
    )
    put(replacement)
    try:
        yield
    finally:
        put(kept)


def acknowledges_before_durable() -> Any:
    """The caller hears "yes" while the batch is still on its way to the database."""
    write = Live._write

    async def early(self: Live, entries: Any, answers: Any, told: Any) -> None:
        for answer in answers:
            job = self._in_flight.get((answer.scope, answer.key))
            if job is not None:
                self._settle(job, answer.body)
        await write(self, entries, answers, told)

    return swapped(Live, "_write", early)


def publishes_before_durable() -> Any:
    """Crews and screens see a line that the database may never have."""

    async def early(self: Live) -> None:
        while self._unwritten:
            batch = self._unwritten[0]
            if batch.entries and batch.entries[0].seq > self.hub.state.seq:
                self.hub.publish(batch.entries)
            await self.journal.append(batch)
            self._unwritten.pop(0)
            for answer in batch.answers:
                self._answers[answer.scope, answer.key] = answer

    return swapped(Live, "_flush", early)


def skips_the_fence() -> Any:
    """A taken number is believed to be our own line, whoever wrote it."""

    async def trusting(self: SimJournal, entries: Any) -> list[Any]:
        return []

    return swapped(SimJournal, "_not_yet_written", trusting)


def forgets_answers_on_restart() -> Any:
    """A new leader knows no idempotency keys."""

    async def none(self: SimJournal, at: Any) -> list[Any]:
        return []

    return swapped(SimJournal, "answers_since", none)


def does_not_sync_the_spool() -> Any:
    """The record is in the page cache when it is acknowledged."""
    died = FakeDisk.died

    def lazy(self: FakeDisk, data: bytes) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        pages = getattr(self, "pages", b"")
        self.durable += pages  # the kernel wrote the older ones meanwhile
        self.pages = data  # type: ignore[attr-defined]

    def power_cut(self: FakeDisk) -> None:
        self.pages = b""  # type: ignore[attr-defined]
        died(self)

    @contextmanager
    def both() -> Iterator[None]:
        with swapped(FakeDisk, "append", lazy), swapped(FakeDisk, "died", power_cut):
            yield

    return both()


def trusts_a_damaged_tail() -> Any:
    """Records are read without comparing their check sum."""

    def careless(data: bytes) -> Any:
        if len(data) < HEADER_BYTES or not data.startswith(MAGIC):
            return None, [], len(data)
        batches, at = [], HEADER_BYTES
        while at + RECORD.size <= len(data):
            length, _ = RECORD.unpack_from(data, at)
            batches.append(msgspec.msgpack.decode(data[at + RECORD.size : at + RECORD.size + length], type=Batch))
            at += RECORD.size + length
        return uuid.UUID(bytes=data[len(MAGIC) : HEADER_BYTES]), batches, len(data) - at

    return swapped(spool.__dict__, "decode_spool", careless)


def drains_newest_first() -> Any:
    """The spool is a stack."""

    async def drain(self: SpoolingJournal) -> None:
        while self._held:
            await self.inner.append(self._held[-1])
            self._held.pop()
        self._drain_wanted.clear()
        await self._clear()

    return swapped(SpoolingJournal, "_drain", drain)


def clears_the_spool_under_a_new_batch() -> Any:
    """Draining does not look whether something came in while it waited for the file."""

    async def drain(self: SpoolingJournal) -> None:
        while self._held:
            await self.inner.append(self._held[0])
            self._held.pop(0)
        async with self._file:
            self._held = []
            self._drain_wanted.clear()
            await self._clear()

    return swapped(SpoolingJournal, "_drain", drain)


def spools_rows_that_go_on_changing() -> Any:
    """What is held refers to the engine's own rows, so old lines are drained with rows of the future."""
    spooling = SpoolingJournal._spool

    async def by_reference(self: SpoolingJournal, batch: Batch) -> None:
        await spooling(self, batch)
        self._held[-1] = batch

    return swapped(SpoolingJournal, "_spool", by_reference)


def frees_a_unit_twice() -> Any:
    """Standing down a job that has ended frees its unit from the next one."""

    def careless(engine: Engine, c: co.WithdrawUnit, at: Any, actor: Actor) -> list[ev.AnyEvent]:
        a = engine.state.assignments.get(c.assignment_id)
        if a is None:
            return INCIDENT_HANDLERS[co.WithdrawUnit](engine, c, at, actor)  # type: ignore[operator]
        return [
            ev.UnitWithdrawn(
                assignment_id=a.assignment_id, unit_id=a.unit_id, incident_id=a.incident_id, reason=c.reason
            )
        ]

    return swapped(HANDLERS, co.WithdrawUnit, careless)  # type: ignore[arg-type]


def restarts_the_clock_on_merge() -> Any:
    """The merged incident counts from the later ring."""
    merged = fold_events.APPLY[ev.IncidentMerged]

    def later(s: Any, e: ev.IncidentMerged, entry: ev.Entry) -> None:
        merged(s, e, entry)
        into = s.incidents[e.into]
        into.first_ring_at = max(into.first_ring_at, s.incidents[e.incident_id].first_ring_at)
        if len(into.report_ids) > 1:
            into.first_ring_at = max(s.reports[r].rang_at for r in into.report_ids if r in s.reports)

    return swapped(fold_events.APPLY, ev.IncidentMerged, later)  # type: ignore[arg-type]


def loses_the_retry() -> Any:
    """A plan that could not be filled is not looked at again."""
    apply = Engine.apply

    def forgetful(self: Engine, entry: ev.Entry) -> None:
        apply(self, entry)
        if isinstance(entry.event, ev.PlanShort):
            self._due = [d for d in self._due if d[1] != "retry"]

    return swapped(Engine, "apply", forgetful)


def follower_skips_a_line() -> Any:
    """Now and then a follower counts a line without folding it."""
    chance = random.Random(7)

    async def skipping(self: Live) -> int:
        entries = [entry async for entry in self.journal.read(self.hub.state.seq)]
        kept = []
        for entry in entries:
            self._deciding.apply(entry)
            if isinstance(entry.event, ev.UnitCleared | ev.JobAcknowledged) and chance.random() < 0.3:
                entry = msgspec.structs.replace(entry, event=ev.LeadTaken(node="x"))
            kept.append(entry)
        self.hub.publish(kept)
        return len(kept)

    return swapped(Live, "follow", skipping)


def keeps_its_memory_when_it_loses_the_lead() -> Any:
    """Stepping down does not read the journal again."""

    async def proud(self: Node) -> None:
        if isinstance(self.live.journal, SpoolingJournal):
            await self.live.journal.settle()
        self.live.dethrone()

    return swapped(Node, "_begin_again", proud)


def gives_two_commands_one_name() -> Any:
    """Spooled commands without a key are named by their number in the queue, so another node's have the same names."""
    told = Live._told

    def repeating(self: Live, job: Any, body: bytes) -> Any:
        made = told(self, job, body)
        if job.key is not None:
            return made
        return msgspec.structs.replace(made, key=f"told-{self._told_count % 3}")

    return swapped(Live, "_told", repeating)


def repeats_what_it_refused() -> Any:
    """When neither database nor disk takes a batch the caller is refused, asks again, and both are carried out."""

    async def forgetful(self: Live, entries: Any, answers: Any, told: Any) -> None:
        try:
            await write(self, entries, answers, told)
        except SpoolFull:
            for batch in self._unwritten:
                batch.answers = []
            raise

    write = Live._write
    return swapped(Live, "_write", forgetful)


def forgets_the_new_names() -> Any:
    """Commands decided anew still speak of the numbers a lost leader gave."""

    async def unknowing(self: Live, told: Any) -> dict[str, str]:
        with suppress(Rejected):
            await self._once_more(told, told.command)
        return {}

    return swapped(Live, "give_again", unknowing)


def forgets_who_holds_a_link() -> Any:
    """A report decided anew under another number is not found by the link its reporter was given."""
    give_again = Live.give_again

    async def unkept(self: Live, told: Any) -> dict[str, str]:
        await give_again(self, told)
        return {}

    return swapped(Live, "give_again", unkept)


MUTANTS: tuple[Callable[[], Any], ...] = (
    acknowledges_before_durable,
    publishes_before_durable,
    skips_the_fence,
    forgets_answers_on_restart,
    does_not_sync_the_spool,
    trusts_a_damaged_tail,
    drains_newest_first,
    clears_the_spool_under_a_new_batch,
    spools_rows_that_go_on_changing,
    frees_a_unit_twice,
    restarts_the_clock_on_merge,
    loses_the_retry,
    follower_skips_a_line,
    keeps_its_memory_when_it_loses_the_lead,
    gives_two_commands_one_name,
    repeats_what_it_refused,
    forgets_the_new_names,
    forgets_who_holds_a_link,
)
