"""The dispatcher who keeps a city without people from standing still: reads the console's stream, acts when nobody else does."""

from __future__ import annotations

import asyncio
import contextlib
from http import HTTPStatus

import aiohttp
import msgspec

from dispatch.clock import Clock, machine_s
from dispatch.model import OPEN_STATES
from simulators.http import Backoff, Refused, Staff, Wire


class ShownIncident(msgspec.Struct):
    """What the bot looks at in an incident's row."""

    incident_id: str
    state: str
    priority: int
    confirmed: bool = True
    like: dict[str, float] = {}
    unfilled: list[str] = []
    assignment_ids: list[str] = []
    warned_at: str | None = None
    warning_acked_at: str | None = None


class ShownAssignment(msgspec.Struct):
    assignment_id: str
    ended_at: str | None = None


class Viewer(msgspec.Struct):
    name: str
    incident_id: str | None = None


class StreamMessage(msgspec.Struct):
    type: str
    seq: int | None = None
    incidents: list[ShownIncident] = []
    assignments: list[ShownAssignment] = []
    who: list[Viewer] = []


_message = msgspec.json.Decoder(StreamMessage)
STREAM_BYTES_MAX = 64 * 1024 * 1024
"""A snapshot of a very bad day."""
MERGE_SCORE = 0.6
WAITS = {"close": 3.0, "warning": 0.6}
"""Times `patience_s`. A warning is taken on before the supervisor hears of it, unless a person is looking at it."""
WATCHED_S = 120.0
"""An incident a person looks at is left to them this much longer."""


class DispatcherBot:
    """Says yes to waiting plans, takes warnings on, joins duplicates and closes what nobody works on, each only after `patience_s`.

    A person who acts earlier finds nothing done in their place.
    """

    def __init__(self, wire: Wire, clock: Clock, patience_s: float = 20.0) -> None:
        self.wire = wire
        self.clock = clock
        self.patience_s = patience_s
        self.staff = Staff(wire, "dispatcher")
        self._incidents: dict[str, ShownIncident] = {}
        self._ended: dict[str, bool] = {}
        """Assignment -> whether it has ended."""
        self._since: dict[tuple[str, str], float] = {}
        """(incident, what is waited for) -> since when."""
        self._watched: dict[str, float] = {}
        self._seq: int | None = None

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch(), name="bot stream")
            tasks.create_task(self._work(), name="bot work")

    async def _watch(self) -> None:
        backoff = Backoff()
        await self.staff.sign_in("")
        while True:
            after = "" if self._seq is None else f"?after={self._seq}"
            url = self.wire.keyring.keys.url + "/api/v1/console/stream" + after
            cookie = self.staff.headers["Cookie"]
            try:
                async with self.wire.session.ws_connect(
                    url, headers={"Cookie": cookie}, max_msg_size=STREAM_BYTES_MAX
                ) as socket:
                    backoff.reset()
                    while (message := await socket.receive(30.0)).type is aiohttp.WSMsgType.TEXT:
                        self._see(_message.decode(message.data))
            except aiohttp.WSServerHandshakeError as error:
                if error.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
                    await self.staff.sign_in(cookie.partition("=")[2])
            except (aiohttp.ClientError, OSError, TimeoutError):
                self.wire.counts["stream lost"] += 1
            await asyncio.sleep(backoff.next_s())

    def _see(self, message: StreamMessage) -> None:
        if message.type == "snapshot":
            self._incidents, self._ended = {}, {}
        if message.seq is not None:
            self._seq = message.seq
        if message.type == "presence":
            now_s = self.clock.now().timestamp()
            for viewer in message.who:
                if viewer.incident_id is not None:
                    self._watched[viewer.incident_id] = now_s
        for incident in message.incidents:
            if incident.state in OPEN_STATES:
                self._incidents[incident.incident_id] = incident
            else:
                self._incidents.pop(incident.incident_id, None)
                self._watched.pop(incident.incident_id, None)
        for a in message.assignments:
            self._ended[a.assignment_id] = a.ended_at is not None

    async def _work(self) -> None:
        while True:
            await asyncio.sleep(max(0.05, machine_s(self.clock, 2.0)))
            now_s = self.clock.now().timestamp()
            for incident in list(self._incidents.values()):
                what = self._wanted(incident)
                key = (incident.incident_id, what)
                for other in [k for k in self._since if k[0] == incident.incident_id and k != key]:
                    del self._since[other]
                if what == "":
                    continue
                since_s = self._since.setdefault(key, now_s)
                if (watched_s := self._watched.get(incident.incident_id)) is not None:
                    since_s = max(since_s, watched_s + WATCHED_S)
                wait_s = self.patience_s * WAITS.get(what, 1.0)
                if now_s - since_s >= wait_s:
                    self._since[key] = now_s + 60.0  # not again at once, should it be refused
                    with contextlib.suppress(Refused):
                        await self._do(incident, what)
            gone = [k for k in self._since if k[0] not in self._incidents]
            for key in gone:
                del self._since[key]

    def _wanted(self, incident: ShownIncident) -> str:
        if any(score >= MERGE_SCORE and other in self._incidents for other, score in incident.like.items()):
            return "merge"
        if not incident.confirmed:
            return "confirm"
        if incident.warned_at is not None and incident.warning_acked_at is None and incident.state != "on_scene":
            return "warning"
        working = any(not self._ended.get(a, False) for a in incident.assignment_ids)
        if incident.state == "on_scene" and not working and incident.assignment_ids:
            return "close"
        return ""

    async def _do(self, incident: ShownIncident, what: str) -> None:
        incident_id = incident.incident_id
        if what == "merge":
            into = max((o for o in incident.like if o in self._incidents), key=lambda o: incident.like[o])
            await self.staff.give("merge_incident", {"incident_id": incident_id, "into": into})
        elif what == "warning":
            await self.staff.give("acknowledge_warning", {"incident_id": incident_id})
        elif what == "confirm":
            await self.staff.give("confirm_plan", {"incident_id": incident_id})
        else:
            await self.staff.give(
                "close_incident",
                {"incident_id": incident_id, "outcome": "tertangani, unit tambahan tidak diperlukan lagi"},
            )
        self.wire.counts[f"bot {what}"] += 1
