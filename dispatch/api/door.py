"""The door of the HTTP server: connections that say nothing, or say it one byte at a time, do not stay.

aiohttp limits what a request may be, not how long it may take to arrive. Whoever opens thousands of connections and dribbles
headers (slow-loris) would hold memory and file descriptors for ever. Only connections without a complete request are
looked at: a web socket or a long answer is never touched, and neither is a keep-alive connection before its own limit.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

log = logging.getLogger("siaga.door")

HELLO_S = 10.0
"""From connecting to a complete first request head; a phone with one bar of signal needs about 3 s."""
SILENT_PER_ADDRESS_MAX = 64
"""Connections of one address that have not said anything yet. A browser opens six; a proxy's speak at once."""
SWEEP_EVERY_S = 1.0


class Door:
    """Sweeps the connections of one server."""

    def __init__(self, server: web.Server) -> None:
        self.server = server
        self._since: dict[int, float] = {}
        """id of a connection that has not said anything -> when it was first seen so."""

    async def watch(self) -> None:
        """Forever, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_EVERY_S)
            closed = self.sweep(loop.time())
            if closed:
                log.warning("closed connections that said nothing count=%d", closed)

    def sweep(self, now_s: float) -> int:
        """Close the silent ones that are due at `now_s` (monotonic seconds); how many."""
        silent = [handler for handler in self.server.connections if _is_silent(handler)]
        self._since = {id(handler): self._since.get(id(handler), now_s) for handler in silent}
        of_address: dict[str, list[RequestHandler]] = defaultdict(list)
        for handler in sorted(silent, key=lambda h: self._since[id(h)], reverse=True):
            of_address[_address(handler)].append(handler)  # newest first: the oldest are the first to go
        closed = 0
        for handlers in of_address.values():
            for index, handler in enumerate(handlers):
                if index >= SILENT_PER_ADDRESS_MAX or now_s - self._since[id(handler)] >= HELLO_S:
                    handler.force_close()
                    closed += 1
        return closed


def _is_silent(handler: RequestHandler) -> bool:
    """No request so far, and none being answered."""
    return handler._request_count == 0 and handler._current_request is None and handler.transport is not None


def _address(handler: RequestHandler) -> str:
    peer = handler.transport.get_extra_info("peername") if handler.transport is not None else None
    return str(peer[0]) if isinstance(peer, tuple) else ""
