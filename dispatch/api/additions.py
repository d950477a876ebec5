"""What who reported adds afterwards through their link: a better place, and pictures. Both become lines of the journal."""

from __future__ import annotations

import asyncio

import msgspec
from aiohttp import web

from dispatch import commands as co
from dispatch.api import links
from dispatch.api.commands import idempotency_key
from dispatch.api.intake import CITIZEN, PublicPlace
from dispatch.api.photos import UPLOAD_S, PhotoAnswer
from dispatch.api.problems import Problem
from dispatch.api.routes import Call, Route, json, read_bytes
from dispatch.model import LocationSource, Place, Rejected, Report
from dispatch.photos import BYTES_MAX, TYPES, clean

CALLER_PHOTOS_MAX = 6
"""Pictures an incident may have before citizens' are refused: the crews' room stays theirs."""


def _report(call: Call) -> Report:
    """The report of the link. Raises Problem("unknown_report") for a link that is forged, expired or of nothing."""
    services = call.services
    report_id = links.read(services.secret, call.path("token"), services.clock.now())
    found: Report | None = services.live.hub.state.reports.get(report_id) if report_id is not None else None
    if found is None:
        raise Problem("unknown_report", "token")
    return found


def _open_incident(call: Call, report: Report) -> str:
    """The incident the report stands in now. Raises Problem("incident_ended")."""
    incidents = call.services.live.hub.state.incidents
    incident = incidents.get(report.incident_id) if report.incident_id is not None else None
    while incident is not None and incident.merged_into is not None:
        incident = incidents.get(incident.merged_into)
    if incident is None or incident.ended_at is not None:
        raise Problem("incident_ended", "token")
    return str(incident.incident_id)


async def place(call: Call) -> web.StreamResponse:
    """The reporter points at the map again; the desk sees it and moves the incident when it agrees."""
    report, body = _report(call), call.body
    _open_incident(call, report)
    there = Place(
        lon=body.lon, lat=body.lat, accuracy_m=body.accuracy_m, source=LocationSource.DEVICE, address=body.address
    )
    command = co.LocateReport(report_id=report.report_id, place=there)
    path = call.request.path.encode()
    await call.services.live.submit(command, CITIZEN, key=idempotency_key(call), body=path + call.raw, public=True)
    return json({})


async def photo(call: Call) -> web.StreamResponse:
    """Whose link it is comes before the bytes are read, and what they are before they are kept."""
    services = call.services
    report = _report(call)
    incident_id = _open_incident(call, report)
    photos = services.photos
    if photos is None:
        raise Problem("not_found")
    if call.request.content_type not in TYPES:
        raise Problem("photo_type")
    call.raw = await read_bytes(call.request, BYTES_MAX, UPLOAD_S)
    async with services.decoding:
        picture = await asyncio.to_thread(clean, call.raw)
    new = await photos.keep(incident_id, picture, CALLER_PHOTOS_MAX)
    command = co.KeepCallerPhoto(
        report_id=report.report_id,
        incident_id=incident_id,
        photo_id=picture.photo_id,
        width_px=picture.width_px,
        height_px=picture.height_px,
        size_bytes=len(picture.body),
    )
    try:
        body = call.request.path.encode() + call.raw
        await services.live.submit(command, CITIZEN, key=idempotency_key(call), body=body, public=True)
    except Rejected:
        if new:
            await photos.drop(incident_id, picture.photo_id)
        raise
    return json(PhotoAnswer(picture.photo_id, picture.width_px, picture.height_px, len(picture.body)), status=201)


class Nothing(msgspec.Struct, frozen=True):
    """Done."""


ROUTES = [
    Route(
        "POST", "/api/v1/reports/status/{token}/place", place, "A better place for my report.",
        body=PublicPlace, answer=Nothing, statuses=(404, 409, 503), tag="public", limit="intake",
    ),
    Route(
        "POST", "/api/v1/reports/status/{token}/photos", photo,
        "A picture for my report. It is made anew without metadata; at most 6 MiB and 25 megapixels.",
        takes=TYPES, answer=PhotoAnswer, statuses=(201, 404, 409, 503), tag="public", limit="intake",
    ),
]  # fmt: skip
