"""The fleet's phones as real clients: one web socket a unit for the job feed, commands and positions over HTTP.

Built so that 250 units cost a few percent of a core: one agenda for all crews instead of a timer each, positions sent in
small batches, and a bounded number of senders that take whichever crew has something to say. A crew's words go out
strictly in order; what cannot be delivered waits with its own time and is sent when the line is back.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
from collections.abc import Iterable
from datetime import UTC, datetime
from http import HTTPStatus
from random import Random
from typing import Any

import aiohttp
import msgspec

from dispatch.clock import Clock, machine_s
from simulators.crew import Crew, Feed, FixPoint
from simulators.http import Backoff, Refused, Unreachable, Wire

SENDERS = 12
"""Requests the fleet has open at once."""
FIX_EVERY_S = 1.0
FIXES_PER_POST = 2
"""A moving unit's points travel in pairs: half the requests, and a console refreshes once a second anyway."""
PARKED_EVERY_S = 20.0
FEED_SILENT_S = 35.0
"""The server speaks at least every 10 s; three times that means the line is dead."""
TICK_S = 0.25
"""Longest sleep of the agenda when a new item may come before the one waited for (machine time)."""
FEED_BYTES_MAX = 256 * 1024

_feed = msgspec.json.Decoder(Feed)


def stamp(at_s: float) -> str:
    """Seconds since 1970 as RFC 3339."""
    return datetime.fromtimestamp(at_s, UTC).isoformat()


class Crews:
    """Runs crews against a server until cancelled. `fix_every_s` and `parked_every_s` are machine seconds."""

    def __init__(
        self,
        wire: Wire,
        crews: Iterable[Crew],
        clock: Clock,
        *,
        fix_every_s: float = FIX_EVERY_S,
        parked_every_s: float = PARKED_EVERY_S,
        connect_spread_s: float = 3.0,
    ) -> None:
        self.wire = wire
        self.crews = list(crews)
        self.clock = clock
        self.fix_every_s = fix_every_s
        self.parked_every_s = parked_every_s
        self.connect_spread_s = connect_spread_s
        self.connected = 0
        self._agenda: list[tuple[float, int, Crew]] = []
        self._order = itertools.count()
        self._ready: asyncio.Queue[Crew] = asyncio.Queue()
        self._queued: set[str] = set()
        self._backoff = {c.unit_id: Backoff() for c in self.crews}
        self._parked_at = {c.unit_id: i / max(1, len(self.crews)) for i, c in enumerate(self.crews)}
        self._wake = asyncio.Event()

    def now_s(self) -> float:
        return self.clock.now().timestamp()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for number, crew in enumerate(self.crews):
                delay_s = self.connect_spread_s * number / max(1, len(self.crews))
                tasks.create_task(self._listen(crew, delay_s), name=f"feed {crew.unit_id}")
            for number in range(SENDERS):
                tasks.create_task(self._send(), name=f"sender {number}")
            tasks.create_task(self._keep_agenda(), name="agenda")
            tasks.create_task(self._keep_positions(), name="positions")

    # --- hearing

    async def _listen(self, crew: Crew, delay_s: float) -> None:
        """The feed of one unit, for ever: connects again whenever the line is gone."""
        await asyncio.sleep(delay_s)
        backoff = Backoff()
        while True:
            offline_s = crew.offline_until_s - self.now_s()
            if offline_s > 0.0:
                await asyncio.sleep(machine_s(self.clock, offline_s))
            try:
                await self._hear(crew, backoff)
            except aiohttp.WSServerHandshakeError as error:
                if error.status == HTTPStatus.UNAUTHORIZED:
                    self.wire.keyring.reload()
            except (aiohttp.ClientError, OSError, TimeoutError):
                self.wire.counts["feed lost"] += 1
            if not crew.offline(self.now_s()):
                await asyncio.sleep(backoff.next_s())

    async def _hear(self, crew: Crew, backoff: Backoff) -> None:
        keys = self.wire.keyring.keys
        headers = {"Authorization": f"Bearer {keys.unit_tokens.get(crew.unit_id, '')}"}
        async with self.wire.session.ws_connect(
            keys.url + "/api/v1/unit/feed", headers=headers, max_msg_size=FEED_BYTES_MAX, autoping=True
        ) as socket:
            self.connected += 1
            backoff.reset()
            self._backoff[crew.unit_id].reset()
            self._offer(crew)
            try:
                while not crew.offline(self.now_s()):
                    message = await socket.receive(FEED_SILENT_S)
                    if message.type is not aiohttp.WSMsgType.TEXT:
                        return
                    feed = _feed.decode(message.data)
                    if feed.unit is None:
                        continue
                    now_s = self.now_s()
                    crew.act(now_s)
                    if crew.offline(now_s):
                        return  # it came through a line that the crew no longer has
                    crew.hear(feed, now_s)
                    crew.act(now_s)
                    self._changed(crew)
            finally:
                self.connected -= 1

    # --- the agenda of all crews

    def _changed(self, crew: Crew) -> None:
        """Something about this crew is new: when it acts next, or what it has to say."""
        due_s = crew.next_s
        if due_s is not None:
            if not self._agenda or due_s < self._agenda[0][0]:
                self._wake.set()
            heapq.heappush(self._agenda, (due_s, next(self._order), crew))
        self._offer(crew)

    async def _keep_agenda(self) -> None:
        while True:
            now_s = self.now_s()
            while self._agenda and self._agenda[0][0] <= now_s:
                _, _, crew = heapq.heappop(self._agenda)
                due_s = crew.next_s
                if due_s is None or due_s > now_s:
                    continue  # an item that was overtaken; the crew's present one is on the agenda too
                was_offline = crew.offline(now_s)
                crew.act(now_s)
                if crew.offline(now_s) and not was_offline:
                    self.wire.counts["lost signal"] += 1
                self._changed(crew)
            self._wake.clear()
            wait_s = TICK_S
            if self._agenda:
                wait_s = min(wait_s, max(0.0, machine_s(self.clock, self._agenda[0][0] - now_s)))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()

    async def _keep_positions(self) -> None:
        """Fixes: every second while moving, rarely while parked; a dead phone sends none."""
        elapsed_s = 0.0
        while True:
            await asyncio.sleep(self.fix_every_s)
            elapsed_s += self.fix_every_s
            now_s = self.now_s()
            for crew in self.crews:
                if crew.silent:
                    continue
                moving = crew.drive is not None
                parked_due = elapsed_s >= self._parked_at[crew.unit_id] * self.parked_every_s
                if not (moving or parked_due):
                    continue
                if parked_due:
                    self._parked_at[crew.unit_id] += 1.0
                crew.sample(now_s)
                if len(crew.fixes) >= FIXES_PER_POST or not moving:
                    self._offer(crew)

    # --- saying

    def _offer(self, crew: Crew) -> None:
        if crew.unit_id not in self._queued and (crew.outbox or crew.fixes):
            self._queued.add(crew.unit_id)
            self._ready.put_nowait(crew)

    async def _send(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            crew = await self._ready.get()
            again_s: float | None = None
            try:
                offline_s = crew.offline_until_s - self.now_s()
                if offline_s > 0.0:
                    again_s = machine_s(self.clock, offline_s)
                else:
                    await self._deliver(crew)
            except Unreachable as gone:
                again_s = self._backoff[crew.unit_id].next_s(gone.retry_after_s)
            if again_s is not None:
                loop.call_later(again_s, self._ready.put_nowait, crew)  # stays marked as queued meanwhile
                continue
            self._queued.discard(crew.unit_id)
            self._offer_late(crew)

    def _offer_late(self, crew: Crew) -> None:
        """What came up while the crew's last words were travelling."""
        if crew.outbox or len(crew.fixes) >= FIXES_PER_POST:
            self._offer(crew)

    async def _deliver(self, crew: Crew) -> None:
        """Everything the crew has to say, in order. Raises Unreachable with the rest still waiting."""
        headers = {"Authorization": f"Bearer {self.wire.keyring.keys.unit_tokens.get(crew.unit_id, '')}"}
        while crew.outbox:
            press = crew.outbox[0]
            fields: dict[str, Any] = press.fields | {"device_at": stamp(press.at_s)}
            await self._say(f"/api/v1/unit/{press.do}", fields, headers | {"Idempotency-Key": press.key})
            crew.outbox.popleft()
            self.wire.counts["presses"] += 1
        if crew.fixes:
            batch = list(crew.fixes)
            crew.fixes.clear()
            try:
                await self._say("/api/v1/unit/fixes", {"fixes": [_fix(point) for point in batch]}, headers)
            except Unreachable:
                crew.fixes.extendleft(reversed(batch))
                raise
            self.wire.counts["fixes"] += len(batch)

    async def _say(self, path: str, body: Any, headers: dict[str, str]) -> None:
        """One request. A refusal is the server's last word: counted by the wire, not repeated."""
        try:
            await self.wire.once("POST", path, body, headers)
        except Refused as refusal:
            if refusal.status == HTTPStatus.UNAUTHORIZED:
                self.wire.keyring.reload()
                raise Unreachable("keys changed") from None


def _fix(point: FixPoint) -> dict[str, Any]:
    return {
        "lon": point.lon,
        "lat": point.lat,
        "fixed_at": stamp(point.at_s),
        "accuracy_m": point.accuracy_m,
        "speed_mps": point.speed_mps,
        "heading_deg": point.heading_deg,
    }


def own_rng(seed: int, name: str) -> Random:
    """A generator of its own for everybody, so that one more unit changes nobody else's chance."""
    return Random(f"{seed}/{name}")
