"""Keeps the SLA room fed: the past from the journal, the present from the hub, and all again when the hub starts over.

A server that lost the lead reloads its state from the journal (`Hub.load`): lines it had shown may never have been written there,
lines it never saw may stand in their place. Figures folded from such lines would be wrong for ever, so they are folded
again from the first line.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

from dispatch.events import Entry
from dispatch.journal import Journal, JournalUnavailable
from dispatch.publish import Hub
from sla.room import SlaRoom

log = logging.getLogger("siaga.sla")

SLICE = 500
"""Journal lines folded before others get a turn: about 5 ms."""
LOOK_EVERY_S = 1.0
"""How soon a reload of the hub is noticed, and how long to wait for a database that is away."""
EXPLAIN_EVERY_S = 0.5
"""Pause between two explanations through the engine, about 20 ms each: 4 % of one core after a restart, nothing later."""
ROWS_SLICE = 20
ROWS_EVERY_S = 1.0
"""Rows of the boards' ledger written before others get a turn, and the pause once all are."""
ROWS_REST = 4.0
"""The pause is at least this many times as long as the writing took: in a disaster thousands of cases are unsettled."""
REPORTS_EVERY_S = 60.0
"""How often a due report is looked for."""


class SlaFeed:
    """One region's feed. `published` is a hub listener; `run` works beside serving until cancelled."""

    def __init__(self, room: SlaRoom, now: Callable[[], datetime]) -> None:
        self.room = room
        self.caught_up = False
        self._now = now
        self._waiting: list[Entry] = []
        self._shown: object = None

    def published(self, entries: list[Entry]) -> None:
        """A durable batch, in order. Kept aside while the past is still being folded."""
        if self.caught_up:
            for entry in entries:
                self.room.apply(entry)
        else:
            self._waiting.extend(entries)

    async def run(self, journal: Journal, hub: Hub) -> None:
        await self.catch_up(journal, hub)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look_for_reloads(journal, hub))
            group.create_task(self._explain())
            group.create_task(self._write_rows())
            group.create_task(self._write_reports())

    async def catch_up(self, journal: Journal, hub: Hub) -> None:
        """Fold the journal so far. A year is some seconds of work, so it is done in slices."""
        self._shown = hub.state
        upto = hub.state.seq
        while (after := self.room.fold.timeline.last_seq or 0) < upto:
            try:
                count = 0
                async for entry in journal.read(after, upto):
                    self.room.apply(entry)
                    count += 1
                    if count % SLICE == 0:
                        await asyncio.sleep(0)
            except JournalUnavailable:
                await asyncio.sleep(LOOK_EVERY_S)
        for entry in self._waiting:
            if entry.seq > upto:
                self.room.apply(entry)
        self._waiting = []
        self.caught_up = True
        log.info("figures caught up with line %s", self.room.fold.timeline.last_seq)

    async def refold_if_reloaded(self, journal: Journal, hub: Hub) -> bool:
        """Fold everything again when the hub shows another state than the one we followed."""
        if hub.state is self._shown:
            return False
        log.warning("the hub started over; figures are folded again from the first line")
        self.caught_up = False
        self._waiting = []
        self.room.begin_again()
        await self.catch_up(journal, hub)
        self.room.resume()
        return True

    async def _look_for_reloads(self, journal: Journal, hub: Hub) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self.refold_if_reloaded(journal, hub)

    async def _explain(self) -> None:
        """One late response at a time, so that no call waits for the past."""
        while True:
            try:
                self.room.explain_next(self._now())
            except Exception:  # one odd incident must not stop reports and the explanations of all others
                log.exception("explanation failed")
            await asyncio.sleep(EXPLAIN_EVERY_S)

    async def _write_rows(self) -> None:
        """The boards' ledger, a millisecond at a time, so that no board finds a year of rows unwritten."""
        loop = asyncio.get_running_loop()
        while True:
            began_s = loop.time()
            while self.room.ledger.refresh(self._now(), ROWS_SLICE):  # noqa: ASYNC110 - gives way, does not wait
                await asyncio.sleep(0)
            await asyncio.sleep(max(ROWS_EVERY_S, ROWS_REST * (loop.time() - began_s)))

    async def _write_reports(self) -> None:
        """Yesterday's and last month's report, each once, drawn in a thread."""
        while True:
            try:
                job = self.room.reporter.next_job(self._now()) if self.caught_up else None
                if job is not None:
                    await asyncio.to_thread(job)
            except Exception:  # a full disk today must not cost tomorrow's report
                log.exception("report failed")
            await asyncio.sleep(REPORTS_EVERY_S)
