"""The operators' live stream and who looks at what. See `docs/api.md` for the messages."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Annotated, Any

import msgspec
from aiohttp import WSMsgType, web

from dispatch import metrics
from dispatch.api.edge import SESSION_COOKIE
from dispatch.api.routes import DESK, READERS, Call, Route
from dispatch.publish import Message, Subscriber

HEARTBEAT_S = 5.0
"""Silence longer than this means the line is dead; the console then says so."""
PING_S = 20.0
INCOMING_MAX = 4096
"""A presence message is under 200 bytes."""
CLOSE_SIGNED_OUT = 4401
"""Sent when the session has ended, the account was disabled or its role changed: nobody watches the city on old rights."""
SESSION_CHECK_S = 5.0
CLOSE_TOO_SLOW = 4008
"""Sent when a reader fell behind; it reconnects with `after` and loses nothing."""


class ResumeQuery(msgspec.Struct, frozen=True):
    after: Annotated[int, msgspec.Meta(ge=0)] | None = None


class Presence(msgspec.Struct, frozen=True, tag_field="type", tag="presence", forbid_unknown_fields=True):
    """What an operator looks at and whether they type in it."""

    incident_id: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    typing: bool = False


_presence = msgspec.json.Decoder(Presence)


async def stream(call: Call) -> web.StreamResponse:
    """Snapshot or missed changes first, then everything as it is published."""
    services = call.services
    hub = services.live.hub
    socket = web.WebSocketResponse(heartbeat=PING_S, max_msg_size=INCOMING_MAX)
    await socket.prepare(call.request)
    services.sockets.add(socket)
    subscriber = hub.subscribe()
    metrics.stream_readers.inc()
    seat = f"{call.who.name}#{id(socket):x}"
    try:
        now = services.clock.now()
        after = call.query.after
        sent_seq = hub.state.seq
        for text in hub.resume(after, now) if after is not None else [hub.snapshot(now)]:
            await socket.send_str(text.decode())
        async with asyncio.TaskGroup() as tasks:
            sender = tasks.create_task(_send(socket, subscriber, sent_seq, services))
            watcher = tasks.create_task(_watch_session(socket, call))
            await _receive(socket, call, seat)
            sender.cancel()
            watcher.cancel()
    except* (ConnectionError, RuntimeError):
        pass  # the reader has gone; it will resume by `after`
    finally:
        hub.unsubscribe(subscriber)
        metrics.stream_readers.dec()
        if services.presence.pop(seat, None) is not None:
            _tell_presence(call)
    return socket


async def _send(socket: web.WebSocketResponse, subscriber: Subscriber, sent_seq: int, services: Any) -> None:
    while not subscriber.lost.is_set():
        try:
            async with asyncio.timeout(HEARTBEAT_S):
                item = await subscriber.queue.get()
        except TimeoutError:
            status = {"type": "status", "degraded": services.live.hub.degraded, "at": services.clock.now()}
            await socket.send_str(msgspec.json.encode(status).decode())
            continue
        if isinstance(item, Message):
            if item.seq <= sent_seq:
                continue  # already in the snapshot
            await socket.send_str(item.text.decode())
        else:
            await socket.send_str(item.decode())
    await socket.close(code=CLOSE_TOO_SLOW, message=b"too slow, resume")


async def _watch_session(socket: web.WebSocketResponse, call: Call) -> None:
    token = call.request.cookies.get(SESSION_COOKIE, "")
    while True:
        await asyncio.sleep(SESSION_CHECK_S)
        if await call.services.accounts.session(token) is None:
            await socket.close(code=CLOSE_SIGNED_OUT, message=b"signed out")
            return


async def _receive(socket: web.WebSocketResponse, call: Call, seat: str) -> None:
    async for message in socket:
        if message.type is not WSMsgType.TEXT:
            continue
        with contextlib.suppress(msgspec.DecodeError):
            seen = _presence.decode(message.data)
            call.services.presence[seat] = {
                "name": call.who.name,
                "incident_id": seen.incident_id,
                "typing": seen.typing,
            }
            _tell_presence(call)


def _tell_presence(call: Call) -> None:
    call.services.live.hub.broadcast({"type": "presence", "who": list(call.services.presence.values())})


ROUTES = [
    Route(
        "GET",
        "/api/v1/console/stream",
        stream,
        "Live stream of the control room (WebSocket).",
        roles=DESK | READERS,
        query=ResumeQuery,
        tag="console",
        hidden=True,
    )
]
