"""Pictures from the scene: a crew's phone hands one in, the desk looks at it."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated

import msgspec
from aiohttp import web

from dispatch import commands as co
from dispatch.api.commands import idempotency_key
from dispatch.api.problems import Problem
from dispatch.api.routes import CREW, DESK, Call, Route, json, read_bytes
from dispatch.model import Rejected
from dispatch.photos import BYTES_MAX, PHOTOS_PER_INCIDENT_MAX, TYPES, Photos, clean

UPLOAD_S = 90.0
"""The app's 400 kB at 35 kbit/s, the slowest mobile line that still carries a report."""


class PhotoQuery(msgspec.Struct, frozen=True):
    assignment_id: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    device_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class PhotoAnswer(msgspec.Struct):
    photo_id: str
    width_px: int
    height_px: int
    size_bytes: int


def _store(call: Call) -> Photos:
    photos: Photos | None = call.services.photos
    if photos is None:
        raise Problem("not_found")
    return photos


async def hand_in(call: Call) -> web.StreamResponse:
    """Whose job it is comes before the bytes are read, and what they are before they are kept."""
    services, query, photos = call.services, call.query, _store(call)
    a = services.live.hub.state.assignments.get(query.assignment_id)
    if a is None:
        raise Problem("unknown_assignment", "assignment_id")
    if a.unit_id != call.who.name:
        raise Problem("not_your_job", "assignment_id")
    if call.request.content_type not in TYPES:
        raise Problem("photo_type")
    call.raw = await read_bytes(call.request, BYTES_MAX, UPLOAD_S)
    async with services.decoding:
        picture = await asyncio.to_thread(clean, call.raw)
    incident_id = a.incident_id
    new = await photos.keep(incident_id, picture, PHOTOS_PER_INCIDENT_MAX)
    command = co.KeepPhoto(
        assignment_id=a.assignment_id,
        photo_id=picture.photo_id,
        width_px=picture.width_px,
        height_px=picture.height_px,
        size_bytes=len(picture.body),
        device_at=query.device_at,
    )
    try:
        key = idempotency_key(call)
        await services.live.submit(command, call.who, key=key, body=call.request.path.encode() + call.raw)
    except Rejected:
        if new:
            await photos.drop(incident_id, picture.photo_id)
        raise
    return json(PhotoAnswer(picture.photo_id, picture.width_px, picture.height_px, len(picture.body)), status=201)


async def show(call: Call) -> web.StreamResponse:
    body = await _store(call).read(call.path("incident_id"), call.path("photo_id"))
    return web.Response(body=body, content_type="image/jpeg", headers={"Cache-Control": "private, no-store"})


ROUTES = [
    Route(
        "POST",
        "/api/v1/unit/photos",
        hand_in,
        "A picture from the scene. It is made anew without metadata; at most 6 MiB and 25 megapixels.",
        roles=frozenset({CREW}),
        takes=TYPES,
        query=PhotoQuery,
        answer=PhotoAnswer,
        statuses=(201, 404, 409, 503),
        tag="unit",
    ),
    Route(
        "GET",
        "/api/v1/incidents/{incident_id}/photos/{photo_id}",
        show,
        "A picture from the scene.",
        roles=DESK,
        content="image/jpeg",
        statuses=(404, 503),
        tag="reads",
    ),
]
