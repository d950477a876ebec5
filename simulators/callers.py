"""The telephone side of a simulated city: an exchange that rings, and call takers at desks who answer, type and ask.

Every call goes the real way: the exchange presents it, a call taker picks it up when one is free, types place and kind,
goes on asking while units already roll. Some hang up first, some joke, some say nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from random import Random
from typing import Any

import msgspec

from dispatch import triage
from dispatch.clock import Clock, machine_s
from dispatch.region import Region
from simulators.citizens import Sighting
from simulators.http import Refused, Staff, Wire
from simulators.words import PRANKS, SILENT

LINES_MAX = 17
"""The Surabaya room had 17 lines in 2019 (DOMAIN section 1)."""
EVENTS_REMEMBERED = 200


class CallShares(msgspec.Struct, frozen=True):
    """What calls turn out to be. Pranks were 56 % of three days in 2019; a demo shows some, not mostly."""

    prank: float = 0.12
    silent: float = 0.04
    abandoned: float = 0.06


class CallTimes(msgspec.Struct, frozen=True):
    """Seconds, (shortest, longest) unless said otherwise."""

    pick_up: tuple[float, float] = (2.0, 9.0)
    """A free call taker lifts within this; NFPA 1225 asks for 10 s in 90 %."""
    entry_median: float = 38.0
    entry_sigma: float = 0.35
    """Answer to place and kind typed, lognormal. San Francisco's median is 64 s from receipt (DOMAIN section 2)."""
    question: tuple[float, float] = (4.0, 9.0)
    patience: tuple[float, float] = (12.0, 45.0)
    """An impatient caller hangs up after this long unanswered."""


class Exchange:
    """Rings and hangs up for callers, with the exchange's own token."""

    def __init__(self, wire: Wire, clock: Clock, rng: Random, run: str) -> None:
        self.wire = wire
        self.clock = clock
        self.rng = rng
        self._run = run
        self._count = 0

    async def ring(self, seen: Sighting | None) -> str | None:
        """The report id of a call that now rings; None when the exchange was refused."""
        self._count += 1
        body: dict[str, Any] = {
            "call_id": f"{self._run}-{self._count}",
            "line": str(1 + self._count % LINES_MAX),
            "rang_at": self.clock.now().isoformat(),
        }
        if seen is not None:
            body["phone"] = seen.phone
        try:
            answer = await self.wire.partner("present_call", body)
        except Refused:
            return None
        self.wire.counts["calls"] += 1
        return str(answer["report_id"])

    async def hang_up(self, report_id: str) -> None:
        with contextlib.suppress(Refused):  # answered in the same second
            await self.wire.partner("abandon_call", {"report_id": report_id})


class Call(msgspec.Struct):
    """A ringing call on its way to a desk. `seen` None: a prank or a silent line."""

    report_id: str
    seen: Sighting | None
    dismiss_for: str | None = None
    hung_up: bool = False


class CallRoom:
    """Callers and the desks that serve them. `desks` simulated call takers share one account."""

    def __init__(
        self,
        wire: Wire,
        region: Region,
        clock: Clock,
        rng: Random,
        *,
        run: str,
        desks: int = 3,
        shares: CallShares = CallShares(),  # noqa: B008 - frozen
        times: CallTimes = CallTimes(),  # noqa: B008 - frozen
    ) -> None:
        self.wire = wire
        self.region = region
        self.clock = clock
        self.rng = rng
        self.desks = desks
        self.shares = shares
        self.times = times
        self.exchange = Exchange(wire, clock, rng, run)
        self.staff = Staff(wire, "call_taker")
        self._waiting: asyncio.Queue[Call] = asyncio.Queue(LINES_MAX)
        self._events: OrderedDict[str, str] = OrderedDict()
        """Event -> incident it became, so that a call taker recognises the second caller."""

    async def run(self) -> None:
        """Serve until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for number in range(self.desks):
                tasks.create_task(self._desk(), name=f"desk {number}")

    async def call(self, seen: Sighting) -> None:
        """One person calls about what they saw; now and then the line rings for nothing first."""
        draw = self.rng.random()
        shares = self.shares
        if draw < shares.prank:
            await self._ring(None, self.rng.choice(PRANKS))
        elif draw < shares.prank + shares.silent:
            await self._ring(None, SILENT)
        report = await self._ring(seen, None)
        if report is not None and self.rng.random() < shares.abandoned:
            await self._sleep(*self.times.patience)
            if report.hung_up is False:
                report.hung_up = True
                await self.exchange.hang_up(report.report_id)

    async def _ring(self, seen: Sighting | None, dismiss_for: str | None) -> Call | None:
        if self._waiting.full():
            self.wire.counts["busy tone"] += 1
            return None
        report_id = await self.exchange.ring(seen)
        if report_id is None:
            return None
        call = Call(report_id, seen, dismiss_for)
        with contextlib.suppress(asyncio.QueueFull):
            self._waiting.put_nowait(call)
        return call

    async def _sleep(self, shortest_s: float, longest_s: float) -> None:
        await asyncio.sleep(machine_s(self.clock, self.rng.uniform(shortest_s, longest_s)))

    # --- a desk

    async def _desk(self) -> None:
        while True:
            call = await self._waiting.get()
            await self._sleep(*self.times.pick_up)
            try:
                if call.hung_up:
                    await self._sleep(15.0, 40.0)  # calls back: repeat and abandoned callers come first
                call.hung_up = True  # too late to abandon now
                await self.staff.give("answer_report", {"report_id": call.report_id})
                if call.seen is None:
                    await self._sleep(8.0, 25.0)
                    reason = call.dismiss_for or SILENT
                    await self.staff.give("dismiss_report", {"report_id": call.report_id, "reason": reason})
                    self.wire.counts["calls dismissed"] += 1
                else:
                    await self._take_down(call.report_id, call.seen)
            except Refused:
                continue  # a person was faster, or the call has gone; counted by the wire

    async def _take_down(self, report_id: str, seen: Sighting) -> None:
        entry_s = self.times.entry_median * self.rng.lognormvariate(0.0, self.times.entry_sigma)
        await asyncio.sleep(machine_s(self.clock, entry_s))
        body: dict[str, Any] = {
            "report_id": report_id,
            "channel": "call",
            "kind": seen.kind,
            "place": {
                "lon": seen.lon,
                "lat": seen.lat,
                "accuracy_m": max(20.0, seen.accuracy_m),
                "source": "operator",
            },
            "description": seen.text,
            "caller": {"phone": seen.phone},
        }
        known = self._events.get(seen.happened)
        answer: dict[str, Any] | None = None
        if known is not None:
            with contextlib.suppress(Refused):  # it has ended meanwhile: then this is a new one
                answer = await self.staff.give("submit_report", body | {"incident_id": known})
                self.wire.counts["calls attached"] += 1
        if answer is None:
            answer = await self.staff.give("submit_report", body)
            self.wire.counts["calls taken"] += 1
        incident_id = answer.get("incident_id")
        if incident_id is not None and known is None:
            self._events[seen.happened] = str(incident_id)
            if len(self._events) > EVENTS_REMEMBERED:
                self._events.popitem(last=False)
            await self._ask(str(incident_id), seen.kind)

    async def _ask(self, incident_id: str, kind: str) -> None:
        """Some of the questions, while units already roll."""
        answers: dict[str, str] = {}
        for _ in range(self.rng.randint(1, 4)):
            question = triage.next_question(self.region, kind, answers)
            if question is None:
                return
            await self._sleep(*self.times.question)
            chosen = self.rng.choice(question.answers).code
            answers[question.code] = chosen
            await self.staff.give(
                "answer_triage", {"incident_id": incident_id, "question": question.code, "answer": chosen}
            )
