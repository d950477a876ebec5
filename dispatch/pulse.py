"""The leader's pulse: signs of life from a thread of its own, so that a leader with too much to do is not taken for a dead one.

Under a storm of requests the event loop may need a second to come round; a frozen process (SIGSTOP, a stuck machine) stops this
thread as well. Whether the loop still turns is seen by `felt`, which it calls: a loop that hangs for good ends the pulse.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time

import asyncpg

from dispatch.database import PASSING_ERRORS, UNHURRIED, connect
from dispatch.statements import SQL

log = logging.getLogger("siaga.pulse")

EVERY_S = 0.15
"""Six of them fit into the time after which a follower asks (`nodes.FROZEN_AFTER_S`), so that one or two may be late."""
LOOP_STUCK_S = 10.0
"""An event loop that has not come round for so long will not. In a storm on busy cores it stood still for four seconds and went on;
a follower's patience with a leader that lost its database is as long."""
TIMEOUT_S = 1.0
JOIN_S = 2.0


class Pulse:
    """Keeps one node's row in `leader` young, from `felt` until LOOP_STUCK_S after the last one, or until `stop`."""

    def __init__(self, dsn: str, region: str, role: str | None) -> None:
        self.dsn = dsn
        self.region = region
        self.role = role
        self._node = ""
        self._felt_s = 0.0
        self._thread: threading.Thread | None = None
        self._over = threading.Event()

    def felt(self, node: str) -> None:
        """The event loop came round, and `node` leads."""
        self._node = node
        self._felt_s = time.monotonic()
        if self._thread is None:
            self._over = threading.Event()  # its own: one before it may still be on its way out
            self._thread = threading.Thread(target=self._beat_on, args=(self._over,), name="pulse", daemon=True)
            self._thread.start()

    def lost(self) -> None:
        """The node does not lead (any more): no sign of life until it is `felt` again."""
        self._felt_s = 0.0

    async def stop(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            self._over.set()
            await asyncio.to_thread(thread.join, JOIN_S)

    def _beat_on(self, over: threading.Event) -> None:
        with contextlib.closing(asyncio.new_event_loop()) as loop:
            loop.run_until_complete(self._beats(over))

    async def _beats(self, over: threading.Event) -> None:
        connection: asyncpg.Connection | None = None
        while not over.is_set():
            if time.monotonic() - self._felt_s < LOOP_STUCK_S:
                try:
                    if connection is None or connection.is_closed():
                        connection = await connect(self.dsn, self.role)
                        await connection.execute(UNHURRIED)
                    await connection.execute(SQL["leader_pulse"], self.region, self._node, timeout=TIMEOUT_S)
                except (*PASSING_ERRORS, asyncpg.PostgresError) as error:
                    log.debug("no pulse: %s", type(error).__name__)
                    if connection is not None:
                        connection.terminate()
            await asyncio.sleep(EVERY_S)
        if connection is not None:
            connection.terminate()
