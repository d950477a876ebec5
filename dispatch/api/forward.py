"""A follower hands commands to the leader and the leader's answer back, so that clients may talk to any node."""

from __future__ import annotations

import aiohttp
from aiohttp import web

from dispatch.api.problems import Problem
from dispatch.api.services import Services

FORWARDED = "X-Siaga-Forwarded"
TIMEOUT = aiohttp.ClientTimeout(total=10.0, connect=1.0)
KEPT_HEADERS = ("Authorization", "Cookie", "Content-Type", "Accept-Language", "Idempotency-Key", "X-CSRF-Token")


async def forward(request: web.Request, body: bytes, services: Services) -> web.Response:
    """Raises Problem("not_leading") when no leader is known or the leader does not answer; the client tries again."""
    leader = services.node.leader_url
    if not leader or leader == services.node.url or FORWARDED in request.headers:
        raise Problem("not_leading", retry_after_s=1)
    headers = {name: request.headers[name] for name in KEPT_HEADERS if name in request.headers}
    headers[FORWARDED] = services.node.name
    try:
        async with (
            aiohttp.ClientSession(timeout=TIMEOUT) as session,
            session.request(request.method, leader + request.path_qs, data=body, headers=headers) as answer,
        ):
            return web.Response(
                status=answer.status,
                body=await answer.read(),
                content_type=answer.content_type,
                headers={"Retry-After": answer.headers["Retry-After"]} if "Retry-After" in answer.headers else None,
            )
    except (aiohttp.ClientError, TimeoutError):
        raise Problem("not_leading", retry_after_s=1) from None
