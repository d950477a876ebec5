"""A follower hands commands to the leader and the leader's answer back, so that clients may talk to any node."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
from collections.abc import Sequence
from hashlib import sha256

import aiohttp
from aiohttp import web

from dispatch.api.problems import Problem
from dispatch.api.services import Services
from dispatch.throttle import Network

FORWARDED = "X-Siaga-Forwarded"
TIMEOUT = aiohttp.ClientTimeout(total=3.0, connect=0.5)
"""A commit may take 2 s before the spool takes over; a leader that needs longer is frozen and about to be replaced."""
KEPT_HEADERS = ("Authorization", "Cookie", "Content-Type", "Accept-Language", "Idempotency-Key", "X-CSRF-Token")


class LeadsNow(Exception):  # noqa: N818
    """While we waited for the old leader's answer this node became the leader itself."""


async def forward(request: web.Request, body: bytes, services: Services) -> web.Response:
    """Raises LeadsNow, and Problem("not_leading") when no leader is known or it does not answer; the client tries again."""
    leader = services.node.leader_url
    if not leader or leader == services.node.url or FORWARDED in request.headers:
        raise Problem("not_leading", retry_after_s=1)
    handing_on = asyncio.ensure_future(_hand_on(leader + request.path_qs, request, body, services))
    leading = asyncio.ensure_future(services.node.leads.wait())
    try:
        await asyncio.wait([handing_on, leading], return_when=asyncio.FIRST_COMPLETED)
        if handing_on.done():
            return handing_on.result()
        raise LeadsNow
    except (aiohttp.ClientError, TimeoutError):
        raise Problem("not_leading", retry_after_s=1) from None
    finally:
        for waiting in (handing_on, leading):
            waiting.cancel()
        await asyncio.gather(handing_on, leading, return_exceptions=True)


async def _hand_on(url: str, request: web.Request, body: bytes, services: Services) -> web.Response:
    headers = {name: request.headers[name] for name in KEPT_HEADERS if name in request.headers}
    headers[FORWARDED] = stamped(services.secret, client_address(request, services))
    async with (
        aiohttp.ClientSession(timeout=TIMEOUT) as session,
        session.request(request.method, url, data=body, headers=headers) as answer,
    ):
        return web.Response(
            status=answer.status,
            body=await answer.read(),
            content_type=answer.content_type,
            headers={"Retry-After": answer.headers["Retry-After"]} if "Retry-After" in answer.headers else None,
        )


def stamped(secret: bytes, address: str) -> str:
    """The client's address, vouched for by a node that knows our secret."""
    text = b"forwarded " + address.encode("utf-8", "surrogateescape")  # headers may hold any byte
    return f"{address} {hmac.new(secret, text, sha256).hexdigest()}"


def client_address(request: web.Request, services: Services) -> str:
    """Whom a rate limit counts: the peer; behind a proxy of ours, whoever that one names; and when another node of ours hands
    a command on, the peer of that node.

    Otherwise everybody behind a follower or a proxy would share one bucket. A header that is not theirs changes nothing.
    """
    told = request.headers.get(FORWARDED)
    if told is not None:
        address = told.rpartition(" ")[0]
        ours = stamped(services.secret, address)
        if hmac.compare_digest(told.encode("utf-8", "surrogateescape"), ours.encode("utf-8", "surrogateescape")):
            return address
    peer = request.remote or ""
    hops = [hop.strip() for line in request.headers.getall("X-Forwarded-For", ()) for hop in line.split(",")]
    while hops and _is_proxy(peer, services.proxies):
        peer = hops.pop()  # each proxy adds whom it heard, at the end
    return peer


def is_secure(request: web.Request, services: Services) -> bool:
    """Whether the client's own connection is encrypted: it is ours, or the proxy before us says so."""
    told = request.headers.get("X-Forwarded-Proto", "")
    return request.secure or (told.lower() == "https" and _is_proxy(request.remote or "", services.proxies))


def _is_proxy(address: str, proxies: Sequence[Network]) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(found in network for network in proxies)
