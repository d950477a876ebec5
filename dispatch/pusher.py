"""Wakes sleeping phones: a job that is given, repeated or taken back goes to the push service of the unit's phones as well.

A help, never a promise: the feed is what carries the job, the alert ladder goes on whether or not a push arrives. So
nothing here may hold up anything: a bounded queue, bounded time for every message, and a count of what became of each.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from typing import NamedTuple

import aiohttp
import msgspec

from dispatch import events as ev
from dispatch import metrics
from dispatch.account_rows import AccountsUnavailable, DeviceToken
from dispatch.accounts import Accounts
from dispatch.clock import Clock
from dispatch.live import Live
from dispatch.model import AssignmentState, Rejected
from dispatch.webpush import DEFAULT_SERVICES, Voucher, b64, seal

log = logging.getLogger("siaga.push")

WAITING_MAX = 500
"""A surge that alerts a whole fleet twice. Beyond it the oldest would come too late to wake anybody."""
CARRIERS = 8
"""Messages under way at once: a service answers in a tenth of a second, one that does not answer holds a carrier for SEND_S."""
SEND_S = 5.0
LATE_S = 60.0
"""Older than this when its turn comes: the ladder has long asked the next unit."""
LIFE_S = 120
"""How long the push service may keep it for a phone without a line (its TTL)."""
TOPIC_CHARS = 32
"""RFC 8030, section 5.4."""
ADDRESS_CHARS_MAX = 200
"""A notification shows two lines."""


class Settings(msgspec.Struct, frozen=True):
    """`contact` (mailto: or https:) is whom a push service may write to; without one phones are not woken."""

    contact: str = ""
    services: tuple[str, ...] = DEFAULT_SERVICES


class Waiting(NamedTuple):
    """One message for one phone."""

    device: DeviceToken
    payload: bytes
    topic: str
    since_s: float


class Pusher:
    """One node's; only the one that leads sends, and every node takes subscriptions."""

    def __init__(self, settings: Settings, secret: bytes, accounts: Accounts, live: Live, clock: Clock) -> None:
        self.settings = settings
        self.voucher = Voucher(secret, settings.contact)
        self.accounts = accounts
        self.live = live
        self.clock = clock
        self._waiting: asyncio.Queue[Waiting] = asyncio.Queue(WAITING_MAX)

    @property
    def on(self) -> bool:
        return bool(self.settings.contact)

    # --- from the hub

    def published(self, entries: list[ev.Entry]) -> None:
        """A batch is durable: note whom to wake. Does nothing else, so that publishing never waits."""
        if not self.on or not self.live.leading:
            return
        for entry in entries:
            event = entry.event
            if isinstance(event, ev.UnitAssigned | ev.UnitRealerted | ev.UnitWithdrawn):
                self._note(event.assignment_id, taken_back=isinstance(event, ev.UnitWithdrawn))

    def _note(self, assignment_id: str, taken_back: bool) -> None:
        state = self.live.hub.state
        a = state.assignments.get(assignment_id)
        if a is None or (not taken_back and a.state is not AssignmentState.ALERTED):
            return
        devices = self.accounts.pushed(a.unit_id)
        if not devices:
            return
        incident = state.incidents[a.incident_id]
        kind = self.live.region.kinds.get(incident.kind)
        payload = msgspec.json.encode(
            {
                "type": "taken_back" if taken_back else "job",
                "assignment_id": assignment_id,
                "unit_id": a.unit_id,
                "kind": kind.name_id if kind is not None else incident.kind,
                "kind_en": kind.name_en if kind is not None else incident.kind,
                "priority": incident.priority,
                "address": (incident.place.address or "")[:ADDRESS_CHARS_MAX],
            }
        )
        # The same topic: a message that still waits for the phone is replaced by the newer one.
        topic = b64(hashlib.sha256(assignment_id.encode()).digest())[:TOPIC_CHARS]
        now_s = asyncio.get_running_loop().time()
        for device in devices:
            try:
                self._waiting.put_nowait(Waiting(device, payload, topic, now_s))
            except asyncio.QueueFull:
                metrics.pushes.labels("dropped").inc()

    # --- to the services

    async def run(self) -> None:
        """Until cancelled."""
        timeout = aiohttp.ClientTimeout(total=SEND_S)
        async with aiohttp.ClientSession(timeout=timeout) as session, asyncio.TaskGroup() as tasks:
            for _ in range(CARRIERS):
                tasks.create_task(self._carry(session))

    async def _carry(self, session: aiohttp.ClientSession) -> None:
        while True:
            message = await self._waiting.get()
            outcome = await self._send(session, message)
            metrics.pushes.labels(outcome).inc()
            if outcome == "gone":
                await self._forget(message.device)
            elif outcome != "sent":
                log.info("phone not woken unit=%s device=%s: %s", message.device.holder, message.device.device, outcome)

    async def _send(self, session: aiohttp.ClientSession, message: Waiting) -> str:
        push = message.device.push
        assert push is not None, "only phones that asked are noted"
        if asyncio.get_running_loop().time() - message.since_s > LATE_S:
            return "dropped"
        headers = {
            "Authorization": self.voucher.header(push.endpoint, self.clock.now()),
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "TTL": str(LIFE_S),
            "Urgency": "high",
            "Topic": message.topic,
        }
        try:
            body = seal(message.payload, push)
            async with session.post(push.endpoint, data=body, headers=headers, allow_redirects=False) as answer:
                if answer.status in (404, 410):
                    return "gone"
                return "sent" if answer.status < 300 else "refused"
        except (aiohttp.ClientError, OSError, TimeoutError):
            return "unreachable"

    async def _forget(self, device: DeviceToken) -> None:
        """The service says that this phone takes no messages any more; it subscribes anew when the app is opened."""
        with contextlib.suppress(
            AccountsUnavailable, Rejected
        ):  # asked again at the next message, or revoked meanwhile
            await self.accounts.set_push(device.holder, device.device, None)
