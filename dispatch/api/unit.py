"""What a crew's device gets and sends beside its commands: the job feed, its long-poll fallback, and positions."""

from __future__ import annotations

import asyncio
import logging
import math
from datetime import datetime
from typing import Annotated

import msgspec
from aiohttp import WSMsgType, web

from dispatch import avl, metrics
from dispatch.api.edge import TOKEN_SUBPROTOCOL
from dispatch.api.job import Destination, Feed, feed_of, roads_of, waiting_for
from dispatch.api.problems import Problem
from dispatch.api.routes import CREW, Call, Route, json
from dispatch.api.services import Services
from dispatch.fold import State
from dispatch.live import NotLeading
from dispatch.model import AssignmentState, Place, Position
from dispatch.publish import Subscriber
from dispatch.region import Post
from geo.router import REGULAR

log = logging.getLogger("siaga.unit")

POLL_S = 25.0
"""Under the 30 s after which mobile networks' proxies give up."""
PING_S = 20.0
HEARTBEAT_S = 10.0
REVOKED = 4401
"""Close code: the key this feed was opened with opens nothing any more."""
OPENED_ELSEWHERE = 4409
"""Close code: the same key opened another feed. A phone that gets it while it is in use has a twin."""
HOSPITALS_MAX = 8
"""What fits a phone's screen; the nearest by road come first."""


class Fixes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    fixes: Annotated[list[avl.Fix], msgspec.Meta(min_length=1, max_length=avl.FIXES_MAX)]


class Flag(msgspec.Struct):
    index: int
    why: str


class FixesAnswer(msgspec.Struct):
    accepted: int
    flagged: list[Flag]


class PollQuery(msgspec.Struct, frozen=True):
    after: Annotated[int, msgspec.Meta(ge=0)] = 0


async def feed(call: Call) -> web.StreamResponse:
    """The device's own stream: the present on connecting, then every change."""
    services, unit_id = call.services, call.who.name
    offered = call.request.headers.get("Sec-WebSocket-Protocol", "")
    chosen = [p.strip() for p in offered.split(",") if p.strip().startswith(TOKEN_SUBPROTOCOL)]
    socket = web.WebSocketResponse(heartbeat=PING_S, protocols=chosen, max_msg_size=4096)
    await socket.prepare(call.request)
    services.sockets.add(socket)
    hub = services.live.hub
    subscriber = hub.subscribe_unit(unit_id)
    metrics.stream_readers.inc()
    before = _take_over(services, unit_id, call.device, socket)
    try:
        await socket.send_str(msgspec.json.encode(feed_of(services, unit_id, "hello", call.device)).decode())
        async with asyncio.TaskGroup() as tasks:
            if before is not None:
                tasks.create_task(_say_farewell(before))
            sender = tasks.create_task(_send(socket, subscriber, services, unit_id, call.device))
            async for message in socket:
                if message.type in (WSMsgType.CLOSE, WSMsgType.ERROR):
                    break
            sender.cancel()
    except* (ConnectionError, RuntimeError):
        pass  # one bar of signal; the device connects again and gets the whole present
    finally:
        hub.unsubscribe_unit(unit_id, subscriber)
        metrics.stream_readers.dec()
        _leave(services, unit_id, call.device, socket)
    return socket


def _take_over(
    services: Services, unit_id: str, device: str, socket: web.WebSocketResponse
) -> web.WebSocketResponse | None:
    """One key, one feed: the newest is served, because a phone that lost its line comes back before we know it was gone.
    Returns the one it replaces. Two phones with a copied key throw each other out, which is counted and written down.
    """
    feeds = services.feeds.setdefault(unit_id, {})
    before = feeds.pop(device, None)
    feeds[device] = socket
    if before is None or before.closed:
        return None
    metrics.device_feeds_replaced.inc()
    log.info("feed opened again under the same key unit=%s device=%s", unit_id, device)
    return before


async def _say_farewell(socket: web.WebSocketResponse) -> None:
    """In words as well: a close code does not survive every proxy."""
    try:
        await socket.send_str('{"type":"elsewhere"}')
        await socket.close(code=OPENED_ELSEWHERE, message=b"opened elsewhere")
    except (ConnectionError, RuntimeError):
        pass  # it was gone already


def _leave(services: Services, unit_id: str, device: str, socket: web.WebSocketResponse) -> None:
    feeds = services.feeds.get(unit_id, {})
    if feeds.get(device) is not socket:
        return  # another one under the same key has taken over
    del feeds[device]
    if feeds:
        services.live.hub.wake_unit(unit_id)  # an alert that rang here must ring on the unit's other device
    else:
        del services.feeds[unit_id]


async def _send(
    socket: web.WebSocketResponse, subscriber: Subscriber, services: Services, unit_id: str, device: str
) -> None:
    while True:
        try:
            async with asyncio.timeout(HEARTBEAT_S):
                await subscriber.queue.get()
        except TimeoutError:
            if await _cut_off(socket, services, unit_id, device):
                return
            await socket.send_str(msgspec.json.encode(_sign_of_life(services, unit_id)).decode())
            continue
        while not subscriber.queue.empty():
            subscriber.queue.get_nowait()  # several changes at once need one message: it carries the whole present
        if await _cut_off(socket, services, unit_id, device):
            return
        await socket.send_str(msgspec.json.encode(feed_of(services, unit_id, "job", device)).decode())


def _sign_of_life(services: Services, unit_id: str) -> dict[str, object]:
    """What changes without concerning the unit itself: the roads, and what waits for a unit like it."""
    state = services.live.hub.state
    unit = state.units.get(unit_id)
    waiting = waiting_for(services.region, state, unit) if unit is not None else None
    return {"type": "status", "at": services.clock.now(), "roads": roads_of(state), "waiting": waiting}


async def _cut_off(socket: web.WebSocketResponse, services: Services, unit_id: str, device: str) -> bool:
    """A lost phone must not go on hearing where its unit is sent because its feed was open when its key was revoked."""
    if services.accounts.in_force(unit_id, device):
        return False
    await socket.send_str('{"type":"revoked"}')
    await socket.close(code=REVOKED, message=b"revoked")
    return True


async def poll(call: Call) -> web.StreamResponse:
    """Long-poll fallback: answers at once when something changed after `after`, else within 25 s."""
    services, unit_id = call.services, call.who.name
    hub = services.live.hub
    subscriber = hub.subscribe_unit(unit_id)
    try:
        if hub.unit_seq.get(unit_id, 0) <= call.query.after:
            try:
                async with asyncio.timeout(POLL_S):
                    await subscriber.queue.get()
            except TimeoutError:
                pass
    finally:
        hub.unsubscribe_unit(unit_id, subscriber)
    return json(feed_of(services, unit_id, "job", call.device))


def _believes(services: Services, unit_id: str, device: str, now: datetime) -> bool:
    """A unit with two devices is where the one in its crew's hands is: the last to press a button, else the first to speak.
    The other one may lie in the office; it is heard again when this one has been silent for as long as a fix is good.
    """
    device_before, at = services.fix_from.get(unit_id, (device, now))
    return device_before == device or (now - at).total_seconds() > services.region.limits.fix_stale_s


async def hospitals(call: Call) -> web.StreamResponse:
    """Where this unit could take its patient, the nearest by road first."""
    services, unit_id = call.services, call.who.name
    hub = services.live.hub
    unit = hub.state.units.get(unit_id)
    if unit is None:
        raise Problem("unknown_unit", "unit_id")
    here: Position | Place | Post | None = hub.positions.get(unit_id)
    if here is None and unit.assignment_id is not None:
        here = hub.state.incidents[hub.state.assignments[unit.assignment_id].incident_id].place
    if here is None:
        here = services.region.posts.get(unit.post or "")
    there = sorted(services.region.hospitals.values(), key=lambda h: h.code)
    times: list[float] = [math.inf] * len(there)
    if here is not None and there:
        router = services.live.router
        times = router.matrix_s([(here.lon, here.lat)], [(h.lon, h.lat) for h in there], REGULAR)[0].tolist()
    found = [
        Destination(
            h.code, h.name, h.lon, h.lat, h.emergency, round(s, 1) if math.isfinite(s) else None,
            *_at_the_door(hub.state, h.code, unit_id, services.clock.now()),
        )
        for s, h in zip(times, there, strict=True)
    ]  # fmt: skip
    found.sort(key=lambda d: (not d.emergency, d.eta_s is None, d.eta_s or 0.0, d.hospital_id))
    return json(found[:HOSPITALS_MAX])


def _at_the_door(state: State, hospital_id: str, but: str, now: datetime) -> tuple[int, int, float | None]:
    """What our own units tell of an emergency department: (others there, others coming, how long the longest waits).

    Whether it diverts or is closed nobody tells this server; a queue at its door is what there is to see.
    """
    others = [
        state.assignments[u.assignment_id]
        for u in state.units.values()
        if u.assignment_id is not None and u.unit_id != but
    ]
    bound = [a for a in others if a.hospital_id == hospital_id]
    since = [a.at_hospital_at for a in bound if a.state == AssignmentState.AT_HOSPITAL and a.at_hospital_at is not None]
    coming = sum(a.state == AssignmentState.TRANSPORTING for a in bound)
    return len(since), coming, max(0.0, (now - min(since)).total_seconds()) if since else None


async def fixes(call: Call) -> web.StreamResponse:
    """Positions, single or batched after a tunnel. Flagged ones are not believed; the answer says why."""
    services, unit_id = call.services, call.who.name
    if not services.live.leading:
        raise NotLeading  # handed on whole: kept here as well, every fix would be in the history twice
    hub = services.live.hub
    if unit_id not in hub.state.units:
        raise Problem("unknown_unit", "unit_id")
    now = services.clock.now()
    if not _believes(services, unit_id, call.device, now):
        metrics.fixes.labels("other_device").inc(len(call.body.fixes))
        flags = [Flag(index, "other_device") for index in range(len(call.body.fixes))]
        return json(FixesAnswer(accepted=0, flagged=flags))
    flagged: list[Flag] = []
    accepted = 0
    last = hub.positions.get(unit_id)
    for index, fix in enumerate(call.body.fixes):
        why = avl.flaw(fix, last, now, services.region)
        if why is not None:
            flagged.append(Flag(index, why))
            metrics.fixes.labels(why).inc()
            continue
        last = avl.position_of(fix, now)
        services.live.keep_fix(unit_id, last)
        accepted += 1
    if accepted and last is not None:
        services.fix_from[unit_id] = (call.device, now)
        services.live.fix(unit_id, last)
        metrics.fixes.labels("accepted").inc(accepted)
    return json(FixesAnswer(accepted=accepted, flagged=flagged))


ROUTES = [
    Route(
        "GET",
        "/api/v1/unit/feed",
        feed,
        "The unit's job feed (WebSocket).",
        roles=frozenset({CREW}),
        tag="unit",
        hidden=True,
    ),
    Route(
        "GET",
        "/api/v1/unit/feed/poll",
        poll,
        "The unit's job feed by long poll.",
        roles=frozenset({CREW}),
        query=PollQuery,
        answer=Feed,
        statuses=(404,),
        tag="unit",
    ),
    Route(
        "GET",
        "/api/v1/unit/hospitals",
        hospitals,
        "Hospitals this unit could drive to, the nearest by road first.",
        roles=frozenset({CREW}),
        answer=list[Destination],
        statuses=(404,),
        tag="unit",
    ),
    Route(
        "POST",
        "/api/v1/unit/fixes",
        fixes,
        "Positions of the unit, oldest first.",
        roles=frozenset({CREW}),
        body=Fixes,
        answer=FixesAnswer,
        statuses=(404,),
        tag="unit",
    ),
]
