"""A real server on a real database with the small town, and clients that speak to it over real sockets."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from dispatch.clock import Clock
from dispatch.region import Region
from geo.router import StraightLineRouter
from siaga.serve import DEMO_PASSWORD, Config, Server
from tests.dispatch.town import town

ROLES = ("call_taker", "dispatcher", "supervisor", "manager", "auditor", "admin")


@asynccontextmanager
async def town_server(
    dsn: str, var: Path, region: Region | None = None, clock: Clock | None = None
) -> AsyncIterator[Server]:
    """The town served on a free port."""
    config = Config(dsn=dsn, var=var, port=0, demo=True)
    async with Server(config, region=region or town(), router=StraightLineRouter(), clock=clock) as server:
        yield server


class Client:
    """One caller: staff by role, a unit by its token, the exchange, or nobody."""

    def __init__(self, server: Server, session: aiohttp.ClientSession, headers: dict[str, str]) -> None:
        self.server = server
        self.http = session
        self.headers = headers

    async def get(self, path: str, **query: Any) -> tuple[int, Any]:
        async with self.http.get(self.server.url + path, params=query, headers=self.headers) as r:
            return r.status, await r.json(content_type=None) if r.content_length else None

    async def post(self, path: str, body: Any, key: str | None = None) -> tuple[int, Any]:
        headers = dict(self.headers)
        if key is not None:
            headers["Idempotency-Key"] = key
        async with self.http.post(self.server.url + path, json=body, headers=headers) as r:
            return r.status, await r.json(content_type=None)

    async def do(self, command: str, **fields: Any) -> Any:
        """A command that must succeed."""
        prefix = "unit" if self.headers.get("X-Test-Unit") else "commands"
        status, answer = await self.post(f"/api/v1/{prefix}/{command}", fields)
        assert status == 200, answer
        return answer

    def socket(self, path: str, **query: Any) -> Any:
        return self.http.ws_connect(self.server.url + path, params=query, headers=self.headers)


@asynccontextmanager
async def client(server: Server, who: str | None = None) -> AsyncIterator[Client]:
    """`who`: a role, a unit id, "exchange", or None for the anonymous visitor."""
    jar = aiohttp.CookieJar(unsafe=True)  # cookies for an IP address
    async with aiohttp.ClientSession(cookie_jar=jar) as session:
        headers: dict[str, str] = {}
        if who == "exchange":
            headers["Authorization"] = f"Bearer {server.partner_token}"
        elif who in server.unit_tokens:
            headers["Authorization"] = f"Bearer {server.unit_tokens[str(who)]}"
            headers["X-Test-Unit"] = str(who)
        elif who is not None:
            body = {"username": who, "password": DEMO_PASSWORD}
            async with session.post(server.url + "/api/v1/session", json=body) as r:
                assert r.status == 200, await r.text()
                headers["X-CSRF-Token"] = (await r.json())["csrf_token"]
        yield Client(server, session, headers)


def public_report(kind: str = "medis", dlon: float = 0.0, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "place": {"lon": 112.74 + dlon, "lat": -7.26, "accuracy_m": 20}, **more}


def new_key() -> str:
    return uuid.uuid4().hex
