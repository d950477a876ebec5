"""How many public pages a second the server hands out from its kept answer, beside an empty GET: `python -m tests.bench.public_page FOLDER`.

FOLDER is a database filled by `python -m tests.browser.year FOLDER`. Server and client share the machine's cores; the limit on
addresses is lifted, because every simulated reader has the same one. Prints; asserts nothing.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

import uvloop
from aiohttp import web

from dispatch.api.limits import LIMITS, Limit, Limiter
from dispatch.api.routes import Call, Route, json
from siaga.demo import DATABASE
from siaga.postgres import EmbeddedPostgres
from siaga.serve import Config, Server
from simulators.rawhttp import RawConnection

SECONDS = 5.0
CONNECTIONS = 32
PATHS = ("/api/v1/rehearsal/nothing", "/api/v1/public/figures", "/api/v1/public/figures.csv", "/api/v1/public/card.svg")


async def nothing(call: Call) -> web.StreamResponse:
    """What the server can do at most."""
    return json({})


async def readers(url: str) -> None:
    for path in PATHS:
        request = f"GET {path} HTTP/1.1\r\nHost: siaga\r\nAccept-Encoding: gzip\r\n\r\n".encode()
        connections = [await RawConnection.open(url) for _ in range(CONNECTIONS)]
        first = await connections[0].ask(request)
        began, until = time.perf_counter(), time.perf_counter() + SECONDS
        served = await asyncio.gather(*(_read(c, request, until) for c in connections))
        print(f"{path:32} {first.status} {len(first.body):7} B  {sum(served) / (time.perf_counter() - began):7.0f} /s")


async def _read(connection: RawConnection, request: bytes, until: float) -> int:
    n = 0
    while time.perf_counter() < until:
        n += (await connection.ask(request)).status == 200
    return n


async def serve(folder: Path, postgres: EmbeddedPostgres) -> None:
    empty = Route("GET", PATHS[0], nothing, "Nothing.", answer=dict[str, Any], tag="rehearsal")
    async with Server(Config(dsn=postgres.dsn(DATABASE), var=folder, port=0), further=[empty]) as server:
        assert server.services is not None
        assert server.rooms is not None
        server.services.limiter = Limiter(dict.fromkeys(LIMITS, Limit(burst=1e9, every_s=1e-6)))
        while not server.rooms.feed.caught_up:  # noqa: ASYNC110 - a bench, once
            await asyncio.sleep(0.2)
        client = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.bench.public_page", "--read", server.url
        )
        await client.wait()


def main() -> None:
    if sys.argv[1] == "--read":
        uvloop.run(readers(sys.argv[2]))
        return
    folder = Path(sys.argv[1])
    with EmbeddedPostgres(folder / "postgres") as postgres:
        uvloop.run(serve(folder, postgres))


if __name__ == "__main__":
    main()
