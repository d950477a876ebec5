"""The live driver: one ordered queue, one writer, group commit. Nothing is acknowledged or published before it is durable.

While one batch is being written the next collects in the queue, so the slower the disk the larger the batch: the commit
rate of the database never limits the number of reports.

A Live *follows* (folds the journal's tail, serves reads) until `lead` makes it the region's writer; `nodes.py` decides when.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import msgspec

from dispatch import commands as co
from dispatch import events as ev
from dispatch import metrics
from dispatch.clock import Clock, SteadyClock, machine_s
from dispatch.drives import Drives
from dispatch.engine import Engine
from dispatch.fold import State
from dispatch.journal import Answer, Batch, Journal, JournalUnavailable, Rows, Told
from dispatch.model import Actor, Incident, Position, Rejected
from dispatch.policies.view import Policy
from dispatch.publish import Hub, rows_of
from dispatch.region import Region
from dispatch.spool import SpoolFull, SpoolingJournal
from geo.router import Router

log = logging.getLogger("siaga.live")

QUEUE_MAX = 5000
"""Commands waiting: 25 s at 200 reports/s. Beyond it public intake is told to come back; staff wait."""
PUBLIC_QUEUE_MAX = 4000
"""Public intake is refused earlier, so that staff always find room."""
CROWDED_AT = 500
"""Commands waiting, 2.5 s at 200 reports/s, from which on positions and dashboards are put off; long before any report is."""
BATCH_MAX = 256
"""Commands a commit may hold."""
DECIDING_S_MAX = 0.05
"""Longest that one batch decides, beyond its first command: in a disaster a report costs a hundred times what it costs on
a quiet night, and while the writer decides nobody else is served."""
ANSWERS_MAX = 200_000
"""Idempotency answers in memory: a day at two a second."""
ANSWERS_KEPT = timedelta(hours=24)
UNWRITTEN_RETRY_S = 0.5
"""Pause between tries when even the disk refuses."""
SETTLE_WAIT_MAX_S = 0.25
"""Longest that matching units to emergencies is put off after a round that took long."""
WAKE_AGAIN_S = 0.5
"""Pause after a wake that raised (a defect): its deadline still stands and must not spin the writer."""
WAIT_S_MIN = 0.002
"""Deadlines are seconds; nobody needs to be woken for microseconds."""
TRACK_MAX = 50_000
"""Fixes held between two writes: ten seconds at 5,000 a second."""
SNAPSHOT_EVERY = 5000
"""Journal lines between snapshots: replaying that many takes well under a second."""


class Outcome(msgspec.Struct):
    """What a command led to; the body of every command's answer."""

    seq: int
    events: list[str]
    report_id: str | None = None
    incident_id: str | None = None
    assignment_ids: list[str] = []


class Overloaded(Exception):  # noqa: N818
    """The public queue is full: come back in `retry_after_s`."""

    def __init__(self, retry_after_s: int = 5) -> None:
        super().__init__("overloaded")
        self.retry_after_s = retry_after_s


class NotLeading(Exception):  # noqa: N818
    """This process does not write the region (any more)."""


class Job(msgspec.Struct):
    """A command on its way through the queue."""

    command: co.AnyCommand
    actor: Actor
    future: asyncio.Future[bytes]
    scope: str | None = None
    key: str | None = None
    body_hash: str = ""


Waiting = tuple[bool, int, Job]
"""A place in the queue: whether it is the public's, its number, the command. The room and the crews are few and go first; among
equals first come, first served."""


class Live:
    """One region being served by this process."""

    def __init__(
        self,
        region: Region,
        router: Router,
        journal: Journal,
        clock: Clock,
        policy: Policy | None = None,
        zone_of: Callable[[float, float], str | None] | None = None,
        run_id: str | None = None,
    ) -> None:
        """`run_id` marks the keys this process makes up for commands that came without one; no two runs may share it."""
        self.region = region
        self.router = router
        self.journal = journal
        self.clock = clock
        self.policy = policy
        self.zone_of = zone_of
        self.hub = Hub(region)
        self.engine: Engine | None = None
        self._queue: asyncio.Queue[Waiting] = asyncio.PriorityQueue(QUEUE_MAX)
        self._queued_count = 0
        self._answers: OrderedDict[tuple[str, str], Answer] = OrderedDict()
        self._in_flight: dict[tuple[str, str], Job] = {}
        self._snapshot_seq = 0
        self._snapshot_due = asyncio.Event()
        self._track: list[tuple[str, Position]] = []
        self.drives = Drives()
        self._unwritten: list[Batch] = []
        """Applied in memory and not durable yet: the batch being written, or one that database and disk refused."""
        self.stuck = False
        """Neither database nor disk takes a batch. Until one does nothing is decided, published or acknowledged."""
        self._run_id = run_id if run_id is not None else uuid.uuid4().hex
        self._told_count = 0
        self._renamed: dict[str, str] = {}
        """Ids a lost leader gave -> ours, for commands decided anew that speak of them."""
        self._wake_failed = False
        self._settle_after_s = 0.0
        """Loop time before which units are not matched again; the last matching was costly."""
        self._time: SteadyClock | None = None
        self._deciding = State(region)
        self.leading = False

    def _now(self, not_before: datetime | None = None) -> datetime:
        """The engine's time: the clock's, except that it never runs back and never stands still."""
        if self._time is None:
            self._time = SteadyClock(self.clock, asyncio.get_running_loop().time)
        if not_before is not None:
            self._time.not_before(not_before)
        return self._time.now()

    # --- following

    async def start(self) -> None:
        """Bind to the journal and read it. Raises JournalUnavailable."""
        await self.journal.open(self.region.code)
        await self._load()
        shown = self.hub.state
        log.info("recovered region=%s seq=%d open=%d", self.region.code, shown.seq, len(shown.open_ids))

    async def _load(self) -> None:
        """Latest snapshot + tail, twice folded: once to decide on, once to show."""
        kept = await self.journal.latest_snapshot()
        last_seq = await self.journal.last_seq()
        states = [State(self.region), State(self.region)]
        self._snapshot_seq = 0
        if kept is not None and kept[0] > last_seq:
            log.error("snapshot of line %d is ahead of the journal (%d); not used", kept[0], last_seq)
        elif kept is not None:
            restored = [State.restore(self.region, kept[2]) for _ in states]
            if restored[0] is not None and restored[1] is not None:
                states = [restored[0], restored[1]]
                self._snapshot_seq = kept[0]
        async for entry in self.journal.read(states[0].seq):
            for state in states:
                state.apply(entry)
        self._deciding, shown = states
        self.hub.load(shown)

    async def follow(self) -> int:
        """Fold and publish what the leader has written since; how many lines. Raises JournalUnavailable."""
        entries = [entry async for entry in self.journal.read(self.hub.state.seq)]
        for entry in entries:
            self._deciding.apply(entry)
        self.hub.publish(entries)
        return len(entries)

    async def lead(self, node: str, url: str) -> None:
        """Become the writer: catch up, then write a first line of our own, which fences whoever wrote before.

        Raises JournalFenced when somebody else was faster, JournalUnavailable; then `reload` before anything else.
        """
        await self.follow()
        self._deciding.drain_touched()
        now = self._now(not_before=self._deciding.at)
        self._answers.clear()
        for answer in await self.journal.answers_since(now - ANSWERS_KEPT):
            self._answers[answer.scope, answer.key] = answer
        engine = Engine(self.region, self.router, self.policy, self._deciding, self.zone_of)
        for unit_id, position in self.hub.positions.items():
            if position.source == "device":
                engine.fix(unit_id, position)
        self.engine = engine
        await self._write(engine.announce(ev.LeadTaken(node=node, url=url), now), [], [], claiming=True)
        self.leading = True
        log.info("leading region=%s node=%s seq=%d", self.region.code, node, engine.state.seq)

    def dethrone(self) -> None:
        """Stop deciding at once; whoever waits is told to ask again. Memory may be ahead of the journal: `reload` next."""
        self.leading = False
        self.engine = None
        self._unwritten = []
        self.stuck = False
        self._abandon()

    async def reload(self) -> None:
        """Start over as a follower of what the journal says; whoever reads is made to read again. Raises JournalUnavailable."""
        self.dethrone()
        await self._load()
        log.warning("following region=%s seq=%d", self.region.code, self.hub.state.seq)

    # --- commands

    async def submit(
        self,
        command: co.AnyCommand,
        actor: Actor,
        *,
        key: str | None = None,
        body: bytes = b"",
        body_hash: str | None = None,
        public: bool = False,
    ) -> bytes:
        """Queue a command and wait until its events are durable. Returns the encoded Outcome.

        Raises Rejected, Overloaded (public only), NotLeading. A repeated `key` of the same actor gets the first answer.
        """
        if not self.leading or self.stuck:
            raise NotLeading
        scope = str(actor)
        if body_hash is None:
            body_hash = hashlib.sha256(body).hexdigest() if key is not None else ""
        if key is not None:
            known = self._answers.get((scope, key))
            if known is not None:
                if known.body_hash != body_hash:
                    raise Rejected("idempotency_key_reused", "Idempotency-Key")
                return known.body
            flying = self._in_flight.get((scope, key))
            if flying is not None:
                if flying.body_hash != body_hash:
                    raise Rejected("idempotency_key_reused", "Idempotency-Key")
                return await asyncio.shield(flying.future)
        if public and self._queue.qsize() >= PUBLIC_QUEUE_MAX:
            metrics.shed.inc()
            raise Overloaded
        job = Job(
            command=command,
            actor=actor,
            future=asyncio.get_running_loop().create_future(),
            scope=scope if key is not None else None,
            key=key,
            body_hash=body_hash,
        )
        if key is not None:
            self._in_flight[scope, key] = job
        queue = self._queue
        self._queued_count += 1
        await queue.put((public, self._queued_count, job))
        if queue is not self._queue:
            self._settle(job, NotLeading())  # the lead was lost while we waited for room
        # The caller may hang up; what it asked for still happens and its answer is kept under its key.
        return await asyncio.shield(job.future)

    async def give_again(self, told: Told) -> dict[str, str]:
        """A command acknowledged by an earlier leader whose lines were lost to a take-over: what its ids are called now. A
        refusal now is final and logged. Raises NotLeading.
        """
        command = with_new_ids(told.command, self._renamed)
        try:
            answer = await self._once_more(told, command)
        except Rejected as refusal:
            if refusal.code != "unknown_report" or not isinstance(command, co.SubmitReport):
                log.error("command given again was refused code=%s key=%s", refusal.code, told.key)
                return {}
            # The call it completes is not known here (any more): then it is a report of its own, never none.
            answer = await self._once_more(told, msgspec.structs.replace(command, report_id=None))
        renamed = new_ids(told.outcome, answer) if told.outcome else {}
        self._renamed.update(renamed)
        return renamed

    async def _once_more(self, told: Told, command: co.AnyCommand) -> bytes:
        return await self.submit(command, told.actor, key=told.key, body_hash=told.body_hash)

    @property
    def crowded(self) -> bool:
        """So many commands wait that whatever can be asked again later should be."""
        return self._queue.qsize() >= CROWDED_AT

    def fix(self, unit_id: str, position: Position) -> None:
        """A GPS fix: into the engine's fleet and out to the consoles, never through the queue or the journal."""
        if self.engine is None:
            raise NotLeading
        self.engine.fix(unit_id, position)
        self.hub.moved(unit_id, position)

    def keep_fix(self, unit_id: str, position: Position) -> None:
        """Remember a fix for the history table; written in batches by `flush_fixes`, dropped first under overload. And what
        it tells about the roads, for when its hour is over."""
        if self.engine is not None:
            self.drives.take(self.engine, unit_id, position)
        if len(self._track) < TRACK_MAX:
            self._track.append((unit_id, position))
        else:
            metrics.fixes.labels("dropped").inc()

    async def flush_fixes(self) -> None:
        """Write the remembered track; a database that is away costs track, never a report."""
        track, self._track = self._track, []
        keep = getattr(self.journal, "append_positions", None)
        if track and keep is not None:
            try:
                await keep(track)
            except JournalUnavailable:
                metrics.fixes.labels("dropped").inc(len(track))

    def deadline(self, incident: Incident) -> datetime:
        """When the 7 minutes of this incident are over."""
        return incident.first_ring_at + timedelta(seconds=self.region.limits.target_s)

    # --- the writer

    async def run(self) -> None:
        """Write until cancelled (stopping) or fenced (JournalFenced: another node leads). The only writer of the state."""
        try:
            while True:
                if self.stuck:
                    await self._retry_stuck()
                else:
                    await self._once()
        finally:
            self.leading = False
            self._abandon()

    async def _once(self) -> None:
        queue = self._queue
        jobs = await self._first()
        try:
            await self._handle(jobs)
        finally:
            for job in jobs:
                self._settle(job, NotLeading())  # whoever has no answer yet gets none from us
                queue.task_done()

    async def _handle(self, jobs: list[Job]) -> None:
        """One batch: decide, make durable, publish, acknowledge; in this order. What else waits joins `jobs` until there are
        BATCH_MAX or DECIDING_S_MAX is over.
        """
        assert self.engine is not None
        at = self._now()
        entries: list[ev.Entry] = []
        answered: list[tuple[Job, bytes]] = []
        answers: list[Answer] = []
        alone = len(jobs) == 1 and self._queue.empty() and self._may_settle()
        began = self._loop_s()
        for job in self._until_enough(jobs):
            first = len(entries)
            try:
                # Alone, a command is answered with what it led to; a crowd is matched to the units together, below.
                self.engine.step(job.command, at, job.actor, job.key, into=entries, settle=alone)
            except Rejected as refusal:
                self._settle(job, refusal)
                continue
            except Exception:
                # A programmer's mistake in one decision must not take the city's writer down with it; what was already
                # applied stays in `entries` and is journaled, so that memory and journal agree.
                log.exception("decision failed command=%s", type(job.command).__name__)
                metrics.decision_failures.inc()
                self._settle(job, RuntimeError("decision failed"))
                continue
            body = msgspec.json.encode(outcome_of(entries[first:], self.engine.state.seq))
            answered.append((job, body))
            if job.key is not None and job.scope is not None:
                answers.append(Answer(job.scope, job.key, job.body_hash, 200, body, at))
        if alone or self._may_settle():
            if not alone:
                began = self._loop_s()
            self._wake(at, entries)
            took_s = self._loop_s() - began
            self._settle_after_s = self._loop_s() + min(took_s, SETTLE_WAIT_MAX_S)
        if not (entries or answers):
            for job, body in answered:
                self._settle(job, body)
            return
        try:
            await self._write(entries, answers, [self._told(job, body) for job, body in answered])
        except SpoolFull:
            log.critical("neither database nor disk takes a batch; refusing acknowledgement")
            self.stuck = True
            # Who asks again meanwhile is refused; once the batch is written its answers stand under their keys.
            self._abandon()
            return
        for job, body in answered:
            self._settle(job, body)

    def _until_enough(self, jobs: list[Job]) -> Iterator[Job]:
        """The jobs, and what waits behind them, which is added to them: nobody is taken who is not dealt with."""
        enough_s = self._loop_s() + DECIDING_S_MAX
        yield from list(jobs)
        while jobs and len(jobs) < BATCH_MAX and not self._queue.empty() and self._loop_s() < enough_s:
            jobs.append(self._queue.get_nowait()[2])
            yield jobs[-1]

    def _loop_s(self) -> float:
        return asyncio.get_running_loop().time()

    def _may_settle(self) -> bool:
        """Matching takes at most half of the writer's time, so that in a surge reports are still made durable at once."""
        return self._loop_s() >= self._settle_after_s

    def _wake(self, at: datetime, entries: list[ev.Entry]) -> None:
        assert self.engine is not None
        due = self.engine.next_deadline()
        self._wake_failed = False
        if due is not None and due <= at:
            try:
                self.engine.step(co.Wake(), at, into=entries)
            except Exception:
                log.exception("decision failed command=Wake")
                metrics.decision_failures.inc()
                self._wake_failed = True

    def _told(self, job: Job, body: bytes) -> Told:
        """The command as the spool keeps it; one without a key gets one that nobody else will ever use."""
        self._told_count += 1
        key = job.key or f"told-{self._run_id}-{self._told_count}"
        return Told(job.command, job.actor, key, job.body_hash, body)

    async def _retry_stuck(self) -> None:
        await asyncio.sleep(UNWRITTEN_RETRY_S)
        try:
            await self._flush()
        except SpoolFull:
            return
        log.warning("batches are durable again; deciding goes on")
        self.stuck = False

    async def _first(self) -> list[Job]:
        """Whoever is first in the queue; waits for one, or until the engine's next deadline (then nobody)."""
        assert self.engine is not None
        jobs: list[Job] = []
        if self._queue.empty():
            due = self.engine.next_deadline()
            wait_s = None
            if due is not None:
                left_s = machine_s(self.clock, (due - self._now()).total_seconds())
                wait_s = WAKE_AGAIN_S if self._wake_failed else 0.0
                if left_s > 0.0:
                    wait_s = max(left_s, wait_s, WAIT_S_MIN)
                if not self._may_settle():
                    wait_s = max(wait_s, self._settle_after_s - self._loop_s(), WAIT_S_MIN)
            try:
                async with asyncio.timeout(wait_s):
                    jobs.append((await self._queue.get())[2])
            except TimeoutError:
                return jobs
        else:
            jobs.append(self._queue.get_nowait()[2])
        metrics.queue_depth.set(self._queue.qsize())
        return jobs

    async def _write(
        self, entries: list[ev.Entry], answers: list[Answer], told: list[Told], claiming: bool = False
    ) -> None:
        """Make a batch durable, then publish it. Raises SpoolFull, JournalFenced; JournalUnavailable if `claiming` the lead."""
        assert self.engine is not None
        state = self.engine.state
        touched = state.drain_touched()
        rows = Rows(
            reports=rows_of(state, touched.reports, "reports"),
            incidents=rows_of(state, touched.incidents, "incidents"),
            units=rows_of(state, touched.units, "units"),
            assignments=rows_of(state, touched.assignments, "assignments"),
        )
        self._unwritten.append(Batch(entries=entries, rows=rows, answers=answers, told=told))
        with metrics.commit_seconds.time():
            await self._flush(claiming)
        metrics.batch_entries.observe(len(entries))
        if state.seq - self._snapshot_seq >= SNAPSHOT_EVERY:
            self._snapshot_due.set()

    async def _flush(self, claiming: bool = False) -> None:
        """Write what waits, in order: lines have no gaps. Each batch is published as soon as it is durable."""
        while self._unwritten:
            batch = self._unwritten[0]
            if claiming and isinstance(self.journal, SpoolingJournal):
                await self.journal.claim(batch)
            else:
                await self.journal.append(batch)
            self._unwritten.pop(0)
            for answer in batch.answers:
                self._answers[answer.scope, answer.key] = answer
            while len(self._answers) > ANSWERS_MAX:
                self._answers.popitem(last=False)
            self.hub.publish(batch.entries)
        self.hub.degraded = bool(getattr(self.journal, "degraded", False))

    async def keep_snapshots(self) -> None:
        """Beside the writer, until cancelled: a database that hangs over a snapshot must not hold up reports."""
        while True:
            await self._snapshot_due.wait()
            self._snapshot_due.clear()
            await self.save_snapshot()

    async def save_snapshot(self) -> None:
        """Keep the present state, so that the next start has no long tail to fold. Only what the database itself has: a
        snapshot ahead of the journal would make the next start follow a past that never was.
        """
        if self.engine is None or self._unwritten or getattr(self.journal, "degraded", False):
            return
        state = self.engine.state
        if state.seq > self._snapshot_seq and state.at is not None:
            seq, at, body = state.seq, state.at, state.snapshot()
            try:
                await self.journal.save_snapshot(seq, at, body)
                self._snapshot_seq = seq
            except JournalUnavailable:
                log.warning("snapshot not kept: database away")

    def _settle(self, job: Job, result: bytes | Exception) -> None:
        if job.key is not None and job.scope is not None:
            self._in_flight.pop((job.scope, job.key), None)
        if job.future.done():
            return
        if isinstance(result, Exception):
            job.future.set_exception(result)
            job.future.exception()  # the caller may be gone; the refusal is not a lost error
        else:
            job.future.set_result(result)

    def _abandon(self) -> None:
        """Whoever waits in the queue is told to ask again; who waits for room finds another queue."""
        queue, self._queue = self._queue, asyncio.PriorityQueue(QUEUE_MAX)
        while not queue.empty():
            self._settle(queue.get_nowait()[2], NotLeading())
            queue.task_done()

    async def drain(self) -> None:
        """Wait until everything queued has been written (graceful stop)."""
        await self._queue.join()


ID_FIELDS = ("report_id", "incident_id", "into", "assignment_id")


def new_ids(before: bytes, after: bytes) -> dict[str, str]:
    """What the ids of one answer are called in another answer to the same command."""
    old, new = (msgspec.json.decode(answer, type=Outcome) for answer in (before, after))
    pairs = [(old.report_id, new.report_id), (old.incident_id, new.incident_id)]
    pairs += zip(old.assignment_ids, new.assignment_ids, strict=False)
    return {a: b for a, b in pairs if a is not None and b is not None and a != b}


def with_new_ids(command: co.AnyCommand, renamed: dict[str, str]) -> co.AnyCommand:
    """The command, speaking of our ids."""
    changed = {
        field: renamed[getattr(command, field)]
        for field in ID_FIELDS
        if field in command.__struct_fields__ and getattr(command, field) in renamed
    }
    return msgspec.structs.replace(command, **changed) if changed else command


def outcome_of(entries: list[ev.Entry], seq: int) -> Outcome:
    """Ids created by a command's own events (the first of each), and the kinds of everything that followed."""
    outcome, opened = Outcome(seq=seq, events=[]), False
    for entry in entries:
        event = entry.event
        outcome.events.append(str(type(event).__struct_config__.tag))
        outcome.report_id = outcome.report_id or getattr(event, "report_id", None)
        if isinstance(event, ev.IncidentOpened) and not opened:
            outcome.incident_id, opened = (
                event.incident_id,
                True,
            )  # what was made counts more than what it was made from
        outcome.incident_id = outcome.incident_id or getattr(event, "incident_id", None)
        if isinstance(event, ev.UnitAssigned):
            outcome.assignment_ids.append(event.assignment_id)
    return outcome
