"""The public door: a citizen's report by web or app, and the page on which the reporter sees that help is coming."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from aiohttp import web

from dispatch import commands as co
from dispatch.api import links
from dispatch.api.commands import idempotency_key
from dispatch.api.problems import Problem
from dispatch.api.routes import Call, Route, json
from dispatch.live import NotLeading, Outcome
from dispatch.model import (
    ACTIVE_ASSIGNMENT_STATES,
    Actor,
    AssignmentState,
    Caller,
    Channel,
    LocationSource,
    Place,
)

RENUMBERED_MAX = 8
"""Leads that may be lost one after the other with the same report in their spools; more in a day is no outage but a defect."""
CITIZEN = Actor(role="citizen", name="public")


class PublicPlace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where, as the phone or the map on the page says."""

    lon: Annotated[float, msgspec.Meta(ge=-180, le=180)]
    lat: Annotated[float, msgspec.Meta(ge=-90, le=90)]
    accuracy_m: Annotated[float, msgspec.Meta(ge=0, le=1_000_000)] | None = None
    address: Annotated[str, msgspec.Meta(max_length=300)] = ""


class PublicReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a citizen sends. The clock starts when we receive it."""

    kind: co.Id
    place: PublicPlace
    description: co.Text = ""
    phone: Annotated[str, msgspec.Meta(pattern=r"^\+?[0-9]{3,15}$")] | None = None
    name: Annotated[str, msgspec.Meta(max_length=80)] | None = None


class PublicReceipt(msgspec.Struct):
    report_id: str
    status_url: str


class Coming(msgspec.Struct):
    """One unit as the reporter sees it."""

    kind: str
    state: str
    minutes: int | None = None


class ReportStatus(msgspec.Struct):
    """What the reporter may see: that help comes, when, and nothing about anybody else."""

    report_id: str
    state: str
    """`received`, `searching`, `coming`, `arrived`, `ended`."""
    received_at: datetime
    units: list[Coming] = []


class KindRow(msgspec.Struct):
    code: str
    name_id: str
    name_en: str
    priority: int


class Guess(msgspec.Struct):
    kind: str
    name_id: str
    name_en: str
    priority: int
    score: float
    heard: list[str]
    urgent: list[str]


class TextQuery(msgspec.Struct, frozen=True):
    text: Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]


async def report(call: Call) -> web.StreamResponse:
    """A citizen's report. Repeats are safe under the same Idempotency-Key."""
    body: PublicReport = call.body
    key = idempotency_key(call)
    if key is None:
        raise Problem("idempotency_key_missing", "Idempotency-Key")
    command = co.SubmitReport(
        channel=Channel.WEB,
        kind=body.kind,
        place=Place(
            lon=body.place.lon,
            lat=body.place.lat,
            accuracy_m=body.place.accuracy_m,
            source=LocationSource.DEVICE,
            address=body.place.address,
        ),
        description=body.description,
        caller=Caller(phone=body.phone, name=body.name),
    )
    done = msgspec.json.decode(
        await call.services.live.submit(command, CITIZEN, key=key, body=call.raw, public=True), type=Outcome
    )
    assert done.report_id is not None
    token = links.make(call.services.secret, done.report_id, call.services.clock.now())
    return json(PublicReceipt(report_id=done.report_id, status_url=f"/lapor/{token}"), status=201)


async def status(call: Call) -> web.StreamResponse:
    """Where help is, for the person holding the link."""
    services = call.services
    report_id = links.read(services.secret, call.path("token"), services.clock.now())
    if report_id is None:
        raise Problem("unknown_report", "token")
    state = services.live.hub.state
    for _ in range(RENUMBERED_MAX):
        if report_id is None or report_id in state.reports:
            break
        if not services.live.leading:
            raise NotLeading  # the leader may hold it in its spool
        report_id = await services.node.election.renumbered(report_id)
    found = state.reports.get(report_id) if report_id is not None else None
    if found is None:
        raise Problem("unknown_report", "token")
    incident = state.incidents.get(found.incident_id) if found.incident_id is not None else None
    answer = ReportStatus(report_id=found.report_id, state="received", received_at=found.received_at)
    if incident is None:
        answer.state = "ended" if found.dismissed_for is not None else "received"
        return json(answer)
    now = services.clock.now()
    for a in (state.assignments[i] for i in incident.assignment_ids):
        if a.state in ACTIVE_ASSIGNMENT_STATES:
            unit_type = services.region.unit_types[state.units[a.unit_id].unit_type]
            minutes = None
            if a.at_scene_at is None and a.eta_s is not None:
                left_s = a.eta_s - (now - a.assigned_at).total_seconds()
                minutes = max(1, round(left_s / 60.0))
            answer.units.append(Coming(kind=unit_type.name_id, state=str(a.state), minutes=minutes))
    if incident.ended_at is not None:
        answer.state = "ended"
    elif incident.first_at_scene_at is not None:
        answer.state = "arrived"
    elif any(u.state in (AssignmentState.ACKNOWLEDGED, AssignmentState.EN_ROUTE) for u in answer.units):
        answer.state = "coming"
    else:
        answer.state = "searching"
    return json(answer)


async def kinds(call: Call) -> web.StreamResponse:
    """Kinds of report a citizen may choose."""
    rows = [KindRow(k.code, k.name_id, k.name_en, k.priority) for k in call.services.region.kinds.values()]
    return json(rows, headers={"Cache-Control": "public, max-age=300"})


async def guess(call: Call) -> web.StreamResponse:
    """Which kind the words suggest, and which words made it."""
    region = call.services.region
    rows = [
        Guess(
            kind=s.kind,
            name_id=region.kinds[s.kind].name_id,
            name_en=region.kinds[s.kind].name_en,
            priority=s.priority,
            score=round(s.score, 3),
            heard=[h.phrase for h in s.heard],
            urgent=list(s.urgent),
        )
        for s in call.services.classifier.suggest(call.query.text)
    ]
    return json(rows)


ROUTES = [
    Route(
        "POST",
        "/api/v1/reports",
        report,
        "Report an emergency.",
        body=PublicReport,
        answer=PublicReceipt,
        statuses=(201, 503),
        tag="public",
        limit="intake",
    ),
    Route(
        "GET",
        "/api/v1/reports/status/{token}",
        status,
        "What happens with my report.",
        answer=ReportStatus,
        statuses=(404, 503),
        tag="public",
        limit="public_read",
    ),
    Route("GET", "/api/v1/kinds", kinds, "Kinds of report.", answer=list[KindRow], tag="public", limit="public_read"),
    Route(
        "GET",
        "/api/v1/classify",
        guess,
        "Suggest a kind while typing.",
        query=TextQuery,
        answer=list[Guess],
        tag="public",
        limit="public_read",
    ),
]
