"""One route table: it registers handlers, guards them, decodes their bodies and writes the OpenAPI document.

A route says who may call it (`roles`), what it takes (`body`, `query`) and what it gives (`answer`); there is no other
place where any of this is decided, and tests walk the same table.
"""

from __future__ import annotations

import asyncio
import enum
import re
from collections.abc import Awaitable, Callable
from typing import Any, get_type_hints

import msgspec
from aiohttp import web

from dispatch.api import examples
from dispatch.api.problems import Problem, from_validation
from dispatch.model import Actor

ANYONE: frozenset[str] = frozenset()
"""No sign-in asked."""
CALL_TAKER, DISPATCHER, SUPERVISOR = "call_taker", "dispatcher", "supervisor"
MANAGER, AUDITOR, ADMIN, CREW, PARTNER = "manager", "auditor", "admin", "crew", "partner"

DESK = frozenset({CALL_TAKER, DISPATCHER, SUPERVISOR})
"""Takes calls."""
SENDERS = frozenset({DISPATCHER, SUPERVISOR})
"""May send units."""
READERS = DESK | {MANAGER, AUDITOR}
STAFF = READERS | {ADMIN}

BODY_MAX = 64 * 1024
"""Largest JSON body: a long report with answers is under 8 KiB."""
BODY_S = 15.0
"""Longest arrival of a body: 64 KiB at 35 kbit/s, the slowest mobile line that still carries a report."""


NUL = rb"\u0000"


class Guard(enum.StrEnum):
    """How a caller proves who they are."""

    NONE = "none"
    SESSION = "session"  # staff: cookie, and CSRF token for unsafe methods
    DEVICE = "device"  # a unit's phone or a partner's system: bearer token


class Call:
    """One request, already authenticated and decoded, as handlers see it."""

    __slots__ = ("actor", "body", "demo", "device", "query", "raw", "request", "services")

    def __init__(self, request: web.Request, services: Any) -> None:
        self.request = request
        self.services = services
        self.actor: Actor | None = None
        self.device = ""
        """Which of a unit's keys was shown, in eight hex digits; nothing can be done with it."""
        self.body: Any = None
        self.raw: bytes = b""
        self.query: Any = None
        self.demo = False

    @property
    def who(self) -> Actor:
        assert self.actor is not None, "an open route has no actor"
        return self.actor

    def path(self, name: str) -> str:
        return self.request.match_info[name]


Handler = Callable[[Call], Awaitable[web.StreamResponse]]


class Route(msgspec.Struct, frozen=True):
    """One line of the table."""

    method: str
    path: str
    handler: Handler
    summary: str
    roles: frozenset[str] = ANYONE
    body: Any = None
    """msgspec type of the JSON body, None when there is none."""
    takes: tuple[str, ...] = ()
    """Media types of a body that is not JSON; its handler reads it by `read_bytes`."""
    query: type[msgspec.Struct] | None = None
    answer: Any = None
    """msgspec type of the 200 answer, None for anything that is not JSON."""
    content: str = "application/json"
    statuses: tuple[int, ...] = ()
    """Further statuses beside 200 and those every guarded route may give."""
    tag: str = "misc"
    limit: str | None = None
    """Name of the rate limit that applies; see `limits.py`."""
    hidden: bool = False
    """Left out of OpenAPI (web sockets and pages)."""

    @property
    def guard(self) -> Guard:
        if not self.roles:
            return Guard.NONE
        return Guard.DEVICE if self.roles <= {CREW, PARTNER} else Guard.SESSION


def json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        status=status, body=msgspec.json.encode(value), content_type="application/json", headers=headers
    )


def json_bytes(body: bytes, status: int = 200) -> web.Response:
    return web.Response(status=status, body=body, content_type="application/json")


async def read_body(request: web.Request, decoder: msgspec.json.Decoder[Any]) -> tuple[Any, bytes]:
    """The decoded body and its bytes. Raises Problem for everything that is wrong with it."""
    if request.content_type != "application/json":
        raise Problem("unsupported_media_type")
    raw = await read_bytes(request, BODY_MAX, BODY_S)
    if NUL in raw:
        raise Problem("invalid_body", detail={"why": "NUL character"})  # PostgreSQL cannot keep it; memory would differ
    try:
        return decoder.decode(raw), raw
    except msgspec.ValidationError as error:
        raise from_validation(error, "invalid_body") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Problem("invalid_json") from None


async def read_bytes(request: web.Request, bytes_max: int, seconds_max: float) -> bytes:
    """The body as it came. Raises Problem when it is too large or too slow."""
    if request.content_length is not None and request.content_length > bytes_max:
        raise Problem("body_too_large", detail={"bytes_max": bytes_max})
    raw = bytearray()
    try:
        async with asyncio.timeout(seconds_max):
            async for chunk in request.content.iter_chunked(BODY_MAX):
                raw += chunk
                if len(raw) > bytes_max:
                    raise Problem("body_too_large", detail={"bytes_max": bytes_max})
    except TimeoutError:
        raise Problem("body_too_slow", detail={"seconds_max": seconds_max}) from None
    return bytes(raw)


def read_query(request: web.Request, shape: type[msgspec.Struct]) -> Any:
    """Query parameters as a struct; unknown and repeated ones are refused."""
    values: dict[str, str] = {}
    for name, value in request.query.items():
        if name in values:
            raise Problem("invalid_query", name, {"why": "repeated"})
        values[name] = value
    unknown = [name for name in values if name not in shape.__struct_fields__]
    if unknown:
        raise Problem("invalid_query", unknown[0], {"why": "unknown"})
    try:
        return msgspec.convert(values, shape, strict=False)
    except msgspec.ValidationError as error:
        raise from_validation(error, "invalid_query") from None


# --- OpenAPI


def openapi(routes: list[Route], problems: dict[str, tuple[int, str, str]], version: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document of the table."""
    shapes: list[Any] = [t for r in routes for t in (r.body, r.answer) if t is not None]
    hints = {r.query: get_type_hints(r.query, include_extras=True) for r in routes if r.query is not None}
    shapes += [hint for of_query in hints.values() for hint in of_query.values()]
    # All at once: two structs of one name in different rooms then get different names.
    found, components = msgspec.json.schema_components(shapes, ref_template="#/components/schemas/{name}")
    schemas = {repr(shape): schema for shape, schema in zip(shapes, found, strict=True)}
    paths: dict[str, Any] = {}
    for route in routes:
        if not route.hidden:  # web sockets are described in docs/api.md; OpenAPI cannot
            paths.setdefault(_plain(route.path), {})[route.method.lower()] = _operation(route, schemas)
    for shape in components.values():
        if "do" in shape.get("properties", {}):  # a command's tag: the address already says it
            shape["required"] = [name for name in shape["required"] if name != "do"]
    components["Problem"] = {
        "type": "object",
        "required": ["type", "code", "title", "status"],
        "properties": {
            "type": {"type": "string"},
            "code": {"type": "string", "enum": sorted(problems)},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "field": {"type": "string"},
            "detail": {"type": "object"},
        },
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Siaga 112",
            "version": version,
            "description": "Emergency dispatch of a city. See docs/api.md for how the wire hangs together.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "session": {"type": "apiKey", "in": "cookie", "name": "siaga_session"},
                "csrf": {"type": "apiKey", "in": "header", "name": "X-CSRF-Token"},
                "device": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def _plain(path: str) -> str:
    """aiohttp's `{id:regex}` as OpenAPI's `{id}`."""
    out, depth, skipping = [], 0, False
    for char in path:
        if char == "{":
            depth += 1
        elif char == "}":
            depth -= 1
            skipping = skipping and depth > 0
        elif char == ":" and depth == 1:
            skipping = True
        if not skipping or (char == "}" and depth == 0):
            out.append(char)
    return "".join(out)


def _operation(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    statuses = set(route.statuses)
    if route.guard is not Guard.NONE:
        statuses |= {401, 403}
    if route.body is not None or route.takes:
        statuses |= {400, 408, 413, 415, 422}
    if route.query is not None:
        statuses.add(422)
    if route.limit is not None:
        statuses.add(429)
    ok: dict[str, Any] = {"description": "Done"}
    if route.answer is not None:
        ok["content"] = {route.content: {"schema": schemas[repr(route.answer)]}}
    elif route.content != "application/json":
        ok["content"] = {route.content: {}}
    responses: dict[str, Any] = {"200": ok}
    for status in sorted(statuses):
        responses[str(status)] = (
            {
                "description": "Refused",
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
            }
            if status >= 400
            else {"description": "Done"}
        )
    shown = (route.method, route.path)
    if "content" in ok and shown in examples.ANSWERS:
        ok["content"][route.content]["example"] = examples.ANSWERS[shown]
    operation: dict[str, Any] = {
        "summary": route.summary,
        "tags": [route.tag],
        "operationId": f"{route.method.lower()}{_plain(route.path).replace('/', '_').replace('{', '').replace('}', '')}",
        "responses": responses,
    }
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in re.findall(r"{(\w+)}", _plain(route.path))  # a name may have a suffix: `{id}.xml`
    ]
    if route.query is not None:
        hints = get_type_hints(route.query, include_extras=True)
        fields = {f.name: f for f in msgspec.structs.fields(route.query)}
        for name, hint in hints.items():
            parameters.append(
                {"name": name, "in": "query", "required": fields[name].required, "schema": schemas[repr(hint)]}
            )
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schemas[repr(route.body)]}},
        }
        if shown in examples.BODIES:
            operation["requestBody"]["content"]["application/json"]["example"] = examples.BODIES[shown]
    if route.takes:
        binary = {"schema": {"type": "string", "format": "binary"}}
        operation["requestBody"] = {"required": True, "content": dict.fromkeys(route.takes, binary)}
    if route.guard is Guard.SESSION:
        unsafe = route.method in ("POST", "PUT", "PATCH", "DELETE")
        operation["security"] = [{"session": [], "csrf": []} if unsafe else {"session": []}]
    elif route.guard is Guard.DEVICE:
        operation["security"] = [{"device": []}]
    if route.roles:
        operation["x-roles"] = sorted(route.roles)
    return operation
