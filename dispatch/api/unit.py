"""What a crew's device gets and sends beside its commands: the job feed, its long-poll fallback, and positions."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated, Any

import msgspec
from aiohttp import WSMsgType, web

from dispatch import avl, metrics
from dispatch.api.edge import TOKEN_SUBPROTOCOL
from dispatch.api.problems import Problem
from dispatch.api.routes import CREW, Call, Route, json
from dispatch.model import Assignment, Place, Unit
from dispatch.publish import Subscriber

POLL_S = 25.0
"""Under the 30 s after which mobile networks' proxies give up."""
PING_S = 20.0
HEARTBEAT_S = 10.0


class Fixes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    fixes: Annotated[list[avl.Fix], msgspec.Meta(min_length=1, max_length=avl.FIXES_MAX)]


class Flag(msgspec.Struct):
    index: int
    why: str


class FixesAnswer(msgspec.Struct):
    accepted: int
    flagged: list[Flag]


class JobIncident(msgspec.Struct):
    """The incident as its crew needs it; nothing of the caller but their words."""

    incident_id: str
    kind: str
    kind_name: str
    priority: int
    place: Place
    first_ring_at: datetime
    deadline: datetime
    state: str
    zone: str | None
    descriptions: list[str]
    triage: dict[str, str]
    units: list[str]


class Job(msgspec.Struct):
    assignment: Assignment
    incident: JobIncident


class Feed(msgspec.Struct):
    """`hello` on connecting, `job` on every change of this unit, its job or its incident."""

    type: str
    seq: int
    at: datetime
    unit: Unit
    job: Job | None


class PollQuery(msgspec.Struct, frozen=True):
    after: Annotated[int, msgspec.Meta(ge=0)] = 0


def feed_of(services: Any, unit_id: str, kind: str) -> Feed:
    """The whole present of one unit: a device that has this needs nothing it may have missed."""
    hub = services.live.hub
    state = hub.state
    unit = state.units.get(unit_id)
    if unit is None:
        raise Problem("unknown_unit", "unit_id")
    job = None
    if unit.assignment_id is not None:
        a = state.assignments[unit.assignment_id]
        incident = state.incidents[a.incident_id]
        region = services.region
        named = region.kinds.get(incident.kind)
        job = Job(
            assignment=a,
            incident=JobIncident(
                incident_id=incident.incident_id,
                kind=incident.kind,
                kind_name=named.name_id if named is not None else incident.kind,
                priority=incident.priority,
                place=incident.place,
                first_ring_at=incident.first_ring_at,
                deadline=services.live.deadline(incident),
                state=str(incident.state),
                zone=incident.zone,
                descriptions=[
                    state.reports[r].description
                    for r in incident.report_ids
                    if r in state.reports and state.reports[r].description
                ],
                triage=incident.triage,
                units=[x.unit_id for x in state.active_of(incident)],
            ),
        )
    return Feed(
        type=kind,
        seq=state.seq,
        at=services.clock.now(),
        unit=msgspec.structs.replace(unit, position=None),
        job=job,
    )


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
    try:
        await socket.send_str(msgspec.json.encode(feed_of(services, unit_id, "hello")).decode())
        async with asyncio.TaskGroup() as tasks:
            sender = tasks.create_task(_send(socket, subscriber, services, unit_id))
            async for message in socket:
                if message.type in (WSMsgType.CLOSE, WSMsgType.ERROR):
                    break
            sender.cancel()
    except* (ConnectionError, RuntimeError):
        pass  # one bar of signal; the device connects again and gets the whole present
    finally:
        hub.unsubscribe_unit(unit_id, subscriber)
        metrics.stream_readers.dec()
    return socket


async def _send(socket: web.WebSocketResponse, subscriber: Subscriber, services: Any, unit_id: str) -> None:
    while True:
        try:
            async with asyncio.timeout(HEARTBEAT_S):
                await subscriber.queue.get()
        except TimeoutError:
            await socket.send_str(msgspec.json.encode({"type": "status", "at": services.clock.now()}).decode())
            continue
        while not subscriber.queue.empty():
            subscriber.queue.get_nowait()  # several changes at once need one message: it carries the whole present
        await socket.send_str(msgspec.json.encode(feed_of(services, unit_id, "job")).decode())


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
    return json(feed_of(services, unit_id, "job"))


async def fixes(call: Call) -> web.StreamResponse:
    """Positions, single or batched after a tunnel. Flagged ones are not believed; the answer says why."""
    services, unit_id = call.services, call.who.name
    hub = services.live.hub
    if unit_id not in hub.state.units:
        raise Problem("unknown_unit", "unit_id")
    now = services.clock.now()
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
