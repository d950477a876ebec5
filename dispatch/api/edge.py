"""What every request passes before its handler: correlation id, limits, identity, role, body; and problems on the way out."""

from __future__ import annotations

import base64
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from hmac import compare_digest
from typing import Any

import msgspec
from aiohttp import web

from dispatch import metrics
from dispatch.account_rows import AccountsUnavailable
from dispatch.api import problems
from dispatch.api.forward import LeadsNow, client_address, forward, is_secure
from dispatch.api.problems import Problem
from dispatch.api.routes import Call, Guard, Route, read_body, read_query
from dispatch.api.services import SERVICES, Services
from dispatch.journal import JournalUnavailable
from dispatch.live import NotLeading, Overloaded
from dispatch.model import Actor, Rejected
from geo.router import Rejected as GeoRejected

log = logging.getLogger("siaga.http")

SESSION_COOKIE = "siaga_session"
BROWSER_COOKIE = "siaga_browser"
CSRF_HEADER = "X-CSRF-Token"
TOKEN_SUBPROTOCOL = "siaga.token."  # noqa: S105 - the name of a subprotocol, not a secret
TRACKERS = "/api/v1/trackers/"
UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})
CSP = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
    "connect-src 'self'; worker-src 'self' blob:; manifest-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'self'"
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "geolocation=(self), camera=(self), microphone=()",
}

SHED_FIRST_TAGS = frozenset({"boards", "sla", "what-if", "trackers"})
SHED_FIRST_PATHS = frozenset({"/api/v1/unit/fixes"})
"""What waits when commands wait: a phone keeps its positions and a dashboard asks again; a report and its dispatch go first."""
SHED_RETRY_S = 5
HSTS = "max-age=31536000"
"""A year of nothing but TLS (RFC 6797), for whoever has come by TLS once. Not for subdomains: those are not ours to bind."""

Next = Callable[[web.Request], Awaitable[web.StreamResponse]]


def guarded(route: Route) -> Next:
    """The aiohttp handler of a route: all checks in one readable place, in order."""
    can_wait = route.tag in SHED_FIRST_TAGS or route.path in SHED_FIRST_PATHS
    decoder: msgspec.json.Decoder[Any] | None = msgspec.json.Decoder(route.body) if route.body is not None else None

    async def handle(request: web.Request) -> web.StreamResponse:
        services = request.app[SERVICES]
        call = Call(request, services)
        if can_wait and services.live.crowded:
            metrics.put_off.labels(route.path).inc()
            raise Problem("overloaded", retry_after_s=SHED_RETRY_S)
        if route.limit is not None:
            wait_s = services.limiter.retry_after_s(route.limit, client_address(request, services), time.monotonic())
            if wait_s is not None:
                raise Problem("rate_limited", retry_after_s=wait_s)
        if route.guard is Guard.SESSION:
            call.actor = await _staff(request, services)
        elif route.guard is Guard.DEVICE:
            call.actor, call.device = await _device(request, services)
        if call.actor is not None and call.actor.role not in route.roles:
            raise Problem("forbidden", detail={"role": call.actor.role})
        if decoder is not None:
            call.body, call.raw = await read_body(request, decoder)
        if route.query is not None:
            call.query = read_query(request, route.query)
        try:
            return await route.handler(call)
        except NotLeading:
            try:
                return await forward(request, call.raw, services)
            except LeadsNow:
                # Under a key the old leader's answer, if there was one, is ours by now. Without one it might be done twice.
                if "Idempotency-Key" in request.headers:
                    return await route.handler(call)
                raise Problem("not_leading", retry_after_s=1) from None

    return handle


async def _staff(request: web.Request, services: Services) -> Actor:
    """The signed-in person behind the cookie; unsafe methods must also show the session's CSRF token."""
    token = request.cookies.get(SESSION_COOKIE)
    session = await services.accounts.session(token) if token else None
    if session is None:
        raise Problem("not_signed_in")
    if request.method in UNSAFE and not compare_digest(
        request.headers.get(CSRF_HEADER, "").encode("utf-8", "surrogateescape"), session.csrf_token.encode()
    ):
        raise Problem("csrf", CSRF_HEADER)
    if "Upgrade" in request.headers and not same_origin(request):
        raise Problem("csrf", "Origin")
    return session.actor


async def _device(request: web.Request, services: Services) -> tuple[Actor, str]:
    """The unit or partner behind a bearer token, and which of its devices; web sockets in browsers carry it as a subprotocol,
    trackers that cannot set a header as Basic password (OwnTracks) or as `key` in the address (OsmAnd, Traccar Client).
    """
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic" and request.path.startswith(TRACKERS):
        token = _basic_password(token)
    elif scheme.lower() != "bearer" and request.path.startswith(TRACKERS):
        token = request.query.get("key", "")
    elif scheme.lower() != "bearer":
        token = next(
            (
                p.strip()[len(TOKEN_SUBPROTOCOL) :]
                for p in request.headers.get("Sec-WebSocket-Protocol", "").split(",")
                if p.strip().startswith(TOKEN_SUBPROTOCOL)
            ),
            "",
        )
    device = await services.accounts.device(token) if token else None
    if device is None:
        raise Problem("not_signed_in")
    return Actor(role=device.role.value, name=device.holder), device.token_hash[:4].hex()


def _basic_password(word: str) -> str:
    try:
        return base64.b64decode(word, validate=True).decode().partition(":")[2]
    except ValueError:
        return ""


def same_origin(request: web.Request) -> bool:
    """Whether a browser's web socket comes from our own pages (browsers always send Origin, scripts cannot forge it)."""
    origin = request.headers.get("Origin")
    return origin is None or origin.split("://", 1)[-1] == request.host


def problem_of(error: Exception) -> Problem | None:
    """What a handler's exception means to the client; None for a defect of ours."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, Rejected):
        return problems.from_rejected(error)
    if isinstance(error, Overloaded):
        return Problem("overloaded", retry_after_s=error.retry_after_s)
    if isinstance(error, NotLeading):
        return Problem("not_leading", retry_after_s=1)
    if isinstance(error, AccountsUnavailable | JournalUnavailable):
        return Problem("database_away", retry_after_s=5)
    if isinstance(error, GeoRejected):
        return Problem(error.code if error.code in problems.texts() else "invalid_query", detail={"why": error.detail})
    return None


@web.middleware
async def outermost(request: web.Request, handler: Next) -> web.StreamResponse:
    """Correlation id, security headers, problem bodies, metrics and one log line without personal data."""
    began = time.perf_counter()
    correlation = secrets.token_hex(8)
    language = request.headers.get("Accept-Language", "")
    resource = request.match_info.route.resource
    name = resource.canonical if resource is not None else "unmatched"
    try:
        response = await handler(request)
    except web.HTTPException as error:
        code = {404: "not_found", 405: "method_not_allowed", 413: "body_too_large"}.get(error.status)
        if code is None:
            raise
        response = problems.response(Problem(code), language)
    except Exception as error:
        problem = problem_of(error)
        if problem is None:
            # The traceback names code, never values: request bodies are not logged.
            log.exception("defect route=%s correlation=%s", name, correlation)
            problem = Problem("internal", detail={"correlation": correlation})
        response = problems.response(problem, language)
    if not response.prepared:
        for header, value in HEADERS.items():
            response.headers.setdefault(header, value)
        response.headers["X-Correlation-Id"] = correlation
        if is_secure(request, request.app[SERVICES]):
            response.headers["Strict-Transport-Security"] = HSTS
        if "Cache-Control" not in response.headers:
            response.headers["Cache-Control"] = "no-store"
    took_s = time.perf_counter() - began
    metrics.requests.labels(name, request.method, str(response.status)).inc()
    metrics.request_seconds.labels(name).observe(took_s)
    log.debug(
        "request route=%s method=%s status=%d ms=%.1f correlation=%s",
        name,
        request.method,
        response.status,
        took_s * 1000,
        correlation,
    )
    return response
