"""The aiohttp application: the route table of dispatch plus what other rooms add, on one set of running parts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

from aiohttp import WSCloseCode, web

from dispatch.api import (
    additions,
    admin,
    commands,
    console,
    edge,
    history,
    intake,
    maps,
    ops,
    photos,
    push,
    reads,
    session,
    setup,
    trackers,
    unit,
)
from dispatch.api.routes import Route
from dispatch.api.services import SERVICES, Services

POSITIONS_EVERY_S = 1.0
TRACK_EVERY_S = 5.0
BODY_CEILING = 256 * 1024
"""aiohttp's own limit, above every route's; a body beyond it is cut off while being read."""


def own_routes() -> list[Route]:
    """Every route of the dispatch room."""
    return [
        *session.ROUTES,
        *intake.ROUTES,
        *additions.ROUTES,
        *commands.routes(),
        *reads.ROUTES,
        *history.ROUTES,
        *console.ROUTES,
        *unit.ROUTES,
        *photos.ROUTES,
        *push.ROUTES,
        *setup.ROUTES,
        *admin.ROUTES,
        *trackers.ROUTES,
        *maps.ROUTES,
        *ops.ROUTES,
    ]


def make_app(services: Services, further: Sequence[Route] = ()) -> web.Application:
    """An application ready to run; `further` are the routes of rooms above dispatch."""
    app = web.Application(middlewares=[edge.outermost], client_max_size=BODY_CEILING)
    app[SERVICES] = services
    table = (*own_routes(), *further)
    app[ops.ROUTE_TABLE] = table
    for route in table:
        app.router.add_route(route.method, route.path, edge.guarded(route))
    app.cleanup_ctx.append(_background)
    app.on_shutdown.append(_say_goodbye)
    return app


async def _say_goodbye(app: web.Application) -> None:
    """Write what was accepted, hand over the lead, close every web socket and end every long poll; in this order, so that
    another server leads while the last answers here are still on their way.
    """
    services = app[SERVICES]
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_S):
            await services.live.drain()
    await services.node.stop()
    services.live.hub.wake_units()
    sockets = list(services.sockets)
    await asyncio.gather(
        *(s.close(code=WSCloseCode.GOING_AWAY, message=b"server stops") for s in sockets), return_exceptions=True
    )


async def _background(app: web.Application) -> AsyncIterator[None]:
    """The writer and the two flushers live exactly as long as the application."""
    services = app[SERVICES]
    tasks = [
        asyncio.create_task(services.node.run(), name="node"),
        asyncio.create_task(_flush(services), name="flush"),
    ]
    yield
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await services.live.flush_fixes()


DRAIN_S = 5.0
"""How long a stopping server goes on writing what it has accepted."""


async def _flush(services: Services) -> None:
    since_track_s = 0.0
    while True:
        await asyncio.sleep(POSITIONS_EVERY_S)
        services.live.hub.flush_positions(services.clock.now())
        since_track_s += POSITIONS_EVERY_S
        if since_track_s >= TRACK_EVERY_S:
            since_track_s = 0.0
            await services.live.flush_fixes()
