"""Citizens, call takers, dispatchers and crews, who do by chance what people do, and repeat themselves when unanswered."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import Any

import msgspec

from dispatch import commands as co
from dispatch.api.edge import CSRF_HEADER
from dispatch.api.unit import feed_of
from dispatch.live import Outcome
from dispatch.model import ACTIVE_ASSIGNMENT_STATES, COMING_STATES, AssignmentState, Channel, Place, UnitState
from tests.dispatch.town import LAT, LON
from tests.simulation.loop import seeded
from tests.simulation.world import Host, Lost, SimRequest, World

AGAIN = frozenset({429, 502, 503, 504})
CITY = "city"
"""Where people are; its links to the hosts may be cut like any other."""


class People:
    """Everybody outside."""

    def __init__(self, world: World, pace: float = 1.0) -> None:
        """`pace`: how many times slower than in a seed's minute of horror everything comes."""
        self.world = world
        self.pace = pace
        self.chance = seeded(world.seed, "people")
        self.calm = False
        """Healing: no new emergencies, no edits, and crews who do their jobs."""
        self.busy = 0
        self.sent = 0
        self._tasks: set[asyncio.Task[Any]] = set()

    # --- sending

    def _host(self, chance: random.Random) -> Host:
        return chance.choice(self.world.hosts)

    async def send(self, path: str, body: Any, who: str, chance: random.Random) -> tuple[int, bytes]:
        """Until somebody answers definitely, under one key. Now and then the line doubles a request."""
        self.sent += 1
        self.busy += 1
        key = f"{who}-{self.sent}"
        role = who.partition(":")[0]
        headers = {"Idempotency-Key": key, CSRF_HEADER: "c", "Authorization": f"Bearer {who}"}
        request = SimRequest(path, body, headers, who, key)
        scope = "citizen:public" if role == "citizen" else who
        try:
            while True:
                host = self._host(chance)
                if chance.random() < 0.06:
                    self.world.faults["request doubled"] += 1
                    self._start(self._twin(request, self._host(chance), chance))
                try:
                    status, answer = await self.world.call(CITY, host, request)
                except Lost:
                    status, answer = 503, b""
                if status not in AGAIN:
                    self.world.answers[status] += 1
                    if status < 300:
                        self.world.watch.acknowledged(scope, key, path, _report_id(path, answer))
                    return status, answer
                await asyncio.sleep(chance.uniform(0.2, 1.5))
        finally:
            self.busy -= 1

    async def _twin(self, request: SimRequest, host: Host, chance: random.Random) -> None:
        await asyncio.sleep(chance.uniform(0.0, 4.0))
        try:
            await self.world.call(CITY, host, request)
        except Lost:
            return

    def _start(self, coro: Any) -> None:
        task = self.world.loop.spawn(None, coro)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def give(self, prefix: str, command: co.Command, who: str, chance: random.Random) -> tuple[int, bytes]:
        path = f"/api/v1/{prefix}/{command.__struct_config__.tag}"
        return await self.send(path, msgspec.json.encode(command), who, chance)

    # --- who there is

    def begin(self) -> None:
        self._start(self._citizens())
        self._start(self._exchange())
        for name in ("dispatcher:bima", "supervisor:tuti"):
            self._start(self._desk(name))
        for unit_id in self.world.region.units:
            self._start(self._crew(unit_id))

    async def _citizens(self) -> None:
        chance = seeded(self.world.seed, "citizens")
        while not self.calm:
            await asyncio.sleep(chance.expovariate(1 / 1.6) * self.pace)
            if not self.calm:
                self._start(self.send("/api/v1/reports", self._report(chance), "citizen:", chance))

    def _report(self, chance: random.Random) -> bytes:
        # Few places, so that duplicates are suspected and merged.
        where = chance.choice([(0.0, 0.0), (0.0004, 0.0), (0.02, 0.001), (0.036, 0.0)])
        return msgspec.json.encode(
            {
                "kind": chance.choice(["medis", "medis", "laka", "kebakaran", "pohon", "kdrt"]),
                "place": {"lon": LON + where[0], "lat": LAT + where[1], "accuracy_m": 20},
            }
        )

    async def _exchange(self) -> None:
        """A call rings, is answered at the desk, and becomes a report, or is abandoned."""
        chance = seeded(self.world.seed, "exchange")
        number = 0
        while not self.calm:
            await asyncio.sleep(chance.expovariate(1 / 5.0) * self.pace)
            number += 1
            self._start(self._one_call(f"call-{number}", chance))

    async def _one_call(self, call_id: str, chance: random.Random) -> None:
        phone = f"+6231000{chance.randrange(3)}"
        who = "partner:exchange"
        status, body = await self.give("partner", co.PresentCall(call_id=call_id, phone=phone), who, chance)
        if status != 200:
            return
        report_id = msgspec.json.decode(body, type=Outcome).report_id
        await asyncio.sleep(chance.uniform(0.2, 3.0))
        if report_id is None:
            return
        if chance.random() < 0.2:
            await self.give("partner", co.AbandonCall(report_id=report_id), who, chance)
            return
        taker = "call_taker:sari"
        await self.give("commands", co.AnswerReport(report_id=report_id), taker, chance)
        await asyncio.sleep(chance.uniform(0.2, 3.0))
        place = Place(lon=LON + chance.uniform(0, 0.03), lat=LAT)
        report = co.SubmitReport(channel=Channel.CALL, kind="medis", place=place, report_id=report_id)
        await self.give("commands", report, taker, chance)

    # --- the desk

    async def _desk(self, who: str) -> None:
        chance = seeded(self.world.seed, who)
        while not self.calm:
            await asyncio.sleep(chance.expovariate(1 / 1.5) * self.pace)
            if chance.random() < 0.15:
                await self._note(who, chance)
                continue
            command = self._edit(chance)
            if command is not None and not self.calm:
                await self.give("commands", command, who, chance)

    async def _note(self, who: str, chance: random.Random) -> None:
        """Typed once, without a key, never repeated: what was acknowledged must stand, once."""
        host = self._host(chance)
        incidents = list(host.live.hub.state.incidents) if host.live is not None else []
        if not incidents:
            return
        self.sent += 1
        text = f"catatan {self.sent}"
        note = co.NoteIncident(incident_id=chance.choice(incidents), text=text)
        request = SimRequest("/api/v1/commands/note_incident", msgspec.json.encode(note), {CSRF_HEADER: "c"}, who, text)
        with contextlib.suppress(Lost):
            status, _ = await self.world.call(CITY, host, request)
            if status == 200:
                self.world.watch.acked_notes.add(text)

    def _edit(self, chance: random.Random) -> co.Command | None:
        host = self._host(chance)
        if host.live is None:
            return None
        state = host.live.hub.state
        incidents = list(state.incidents)
        if not incidents:
            return None
        some, other = chance.choice(incidents), chance.choice(incidents)
        place = Place(lon=LON + chance.uniform(-0.01, 0.04), lat=LAT)
        units = list(state.units)
        assignments = list(state.assignments)
        reports = list(state.reports)
        makers: list[Any] = [
            lambda: co.RegradeIncident(incident_id=some, reason="nilai ulang", priority=chance.randint(1, 3)),
            lambda: co.RelocateIncident(incident_id=some, reason="alamat lain", place=place),
            lambda: co.MergeIncident(incident_id=some, into=other),
            lambda: co.MergeIncident(incident_id=some, into=other),
            lambda: co.UnmergeIncident(incident_id=some),
            lambda: co.CancelIncident(incident_id=some, reason="laporan palsu"),
            lambda: co.CloseIncident(incident_id=some, outcome="selesai"),
            lambda: co.ReopenIncident(incident_id=some, reason="belum selesai"),
            lambda: co.RaiseAlarm(incident_id=some, reason="perlu lagi"),
            lambda: co.ConfirmPlan(incident_id=some),
            lambda: co.ConfirmPlan(incident_id=other),
            lambda: co.AssignUnit(incident_id=some, unit_id=chance.choice(units), reason="lebih tahu"),
            lambda: co.PlaceUnit(unit_id=chance.choice(units), place=place),
            lambda: co.DetachReport(report_id=chance.choice(reports)) if reports else None,
            lambda: co.DismissReport(report_id=chance.choice(reports), reason="iseng") if reports else None,
            lambda: co.WithdrawUnit(assignment_id=chance.choice(assignments), reason="dekat") if assignments else None,
        ]
        made: co.Command | None = chance.choice(makers)()
        return made

    # --- crews

    async def _crew(self, unit_id: str) -> None:
        """Looks at its phone, does the next thing of its job; sometimes nothing, sometimes something else."""
        chance = seeded(self.world.seed, "crew", unit_id)
        who = f"crew:{unit_id}"
        await self.give("unit", co.StartDuty(unit_id=unit_id, crew=["Awak Contoh"]), who, chance)
        while True:
            await asyncio.sleep(chance.uniform(1.0, 4.0))
            host = self._host(chance)
            if host.services is None:
                continue
            seen = feed_of(host.services, unit_id, "job")
            command = self._next_step(unit_id, seen, chance)
            if command is not None:
                await self.give("unit", command, who, chance)

    def _next_step(self, unit_id: str, seen: Any, chance: random.Random) -> co.Command | None:
        if seen.unit.state is UnitState.OUT_OF_SERVICE:
            return co.ReturnToService(unit_id=unit_id)
        if seen.unit.state is UnitState.OFF_DUTY:
            return co.StartDuty(unit_id=unit_id, crew=["Awak Contoh"])
        luck = 1.0 if self.calm else chance.random()
        if luck < 0.02:
            return co.TakeOutOfService(unit_id=unit_id, reason="ban bocor")
        if seen.job is None:
            return co.EndDuty(unit_id=unit_id) if luck < 0.03 else None
        a = seen.job.assignment
        if luck < 0.15:
            return None  # hands full
        if a.state not in ACTIVE_ASSIGNMENT_STATES:
            return None
        if a.state in COMING_STATES and luck < 0.18:
            return co.DeclineJob(assignment_id=a.assignment_id, reason="tidak bisa")
        job = a.assignment_id
        if a.state is AssignmentState.ALERTED:
            return co.AcknowledgeJob(assignment_id=job) if luck < 0.6 else co.ReportEnRoute(assignment_id=job)
        if a.state is AssignmentState.ACKNOWLEDGED:
            return co.ReportEnRoute(assignment_id=job)
        if a.state is AssignmentState.EN_ROUTE:
            return co.ReportAtScene(assignment_id=job)
        if a.state is AssignmentState.AT_SCENE and luck < 0.6:
            return co.ReportTransporting(assignment_id=job)
        if a.state is AssignmentState.TRANSPORTING and luck < 0.7:
            return co.ReportAtHospital(assignment_id=job)
        return co.ReportClear(assignment_id=job)


def _report_id(path: str, answer: bytes) -> str | None:
    if path.endswith(("/reports", "submit_report")):
        found: str | None = msgspec.json.decode(answer)["report_id"]
        return found
    return None
