"""Health, metrics and the OpenAPI document."""

from __future__ import annotations

import functools
from importlib import metadata
from typing import Any

import msgspec
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from dispatch import metrics
from dispatch.api import problems
from dispatch.api.routes import Call, Route, json, json_bytes, openapi


class Ready(msgspec.Struct):
    """`ready` means: this process accepts and keeps reports."""

    ready: bool
    leading: bool
    degraded: bool
    region: str
    seq: int
    open_incidents: int
    units_on_duty: int
    router: str
    approximate: bool


async def live(call: Call) -> web.StreamResponse:
    """The process answers at all; a supervisor restarts it when not."""
    return json({"alive": True})


async def ready(call: Call) -> web.StreamResponse:
    """Whether to send traffic here: 503 while recovering or after losing the lead."""
    services = call.services
    serving = services.live
    state = serving.hub.state
    answer = Ready(
        ready=not serving.stuck if serving.leading else bool(services.node.leader_url),
        leading=serving.leading,
        degraded=serving.hub.degraded,
        region=services.region.code,
        seq=state.seq,
        open_incidents=len(state.open_ids),
        units_on_duty=sum(u.duty_since is not None for u in state.units.values()),
        router=serving.router.name,
        approximate=serving.router.approximate,
    )
    return json(answer, status=200 if answer.ready else 503)


async def scrape(call: Call) -> web.StreamResponse:
    serving = call.services.live
    metrics.degraded.set(1 if serving.hub.degraded else 0)
    metrics.leading.set(1 if serving.leading else 0)
    metrics.stuck.set(1 if serving.stuck else 0)
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def document(call: Call) -> web.StreamResponse:
    return json_bytes(_document(call.request.app[ROUTE_TABLE]))


@functools.cache
def _document(table: tuple[Route, ...]) -> bytes:
    return msgspec.json.encode(openapi(list(table), problems.texts(), metadata.version("siaga112")))


ROUTE_TABLE: web.AppKey[tuple[Route, ...]] = web.AppKey("route_table", tuple)

ROUTES = [
    Route("GET", "/health/live", live, "The process is alive.", answer=dict[str, bool], tag="ops"),
    Route(
        "GET",
        "/health/ready",
        ready,
        "The process accepts and keeps reports.",
        answer=Ready,
        statuses=(503,),
        tag="ops",
    ),
    Route("GET", "/metrics", scrape, "Prometheus metrics.", content="text/plain", tag="ops"),
    Route("GET", "/api/openapi.json", document, "This document.", answer=dict[str, Any], tag="ops"),
]
