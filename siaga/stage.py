"""`python -m siaga.stage FOLDER`: a rehearsal server with its own embedded database, told what to be by `stage.json`.

For replays, benchmarks and crash tests (`simulators/stage.py` is the other end). Demo accounts, loopback only, and the
intake's limit per address lifted, because every simulated citizen comes from the same address.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from pathlib import Path

import msgspec
import uvloop
from aiohttp import web

from dispatch.api.limits import LIMITS, Limit, Limiter
from dispatch.api.routes import CREW, Call, Route, json
from dispatch.pack import load
from geo.router import Router, StraightLineRouter
from siaga.cli import set_up_logging
from siaga.demo import _create_database, write_keys
from siaga.postgres import EmbeddedPostgres
from siaga.router import load_router
from siaga.serve import Config, Server
from simulators.stage import Ready, StageSpec

log = logging.getLogger("siaga.stage")

DATABASE = "siaga_stage"
OPEN = Limit(burst=1e9, every_s=1e-6)
"""As good as none."""


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An empty body."""


async def nothing(call: Call) -> web.StreamResponse:
    """Authenticates, reads the body, answers: what the server can do at most."""
    return json({})


EMPTY_ROUTE = Route(
    "POST",
    "/api/v1/rehearsal/nothing",
    nothing,
    "An authenticated POST that does nothing: the yardstick of benchmarks.",
    roles=frozenset({CREW}),
    body=Nothing,
    answer=dict[str, str],
    tag="rehearsal",
)


def begin(folder: Path) -> float:
    """Machine time at which this stage's clock began: now at the first start, the same ever after."""
    kept = folder / "zero"
    if not kept.exists():
        kept.write_text(repr(time.time()))
    return float(kept.read_text())


async def serve(folder: Path, spec: StageSpec, postgres: EmbeddedPostgres) -> None:
    """Serve until SIGTERM or SIGINT."""
    await _create_database(postgres.dsn(), DATABASE)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    pack = Path(spec.pack) if spec.pack else folder
    config = Config(dsn=postgres.dsn(DATABASE), var=folder, port=spec.port, pack=pack, demo=True)
    region = spec.region or load(pack)
    if spec.policy:
        region = msgspec.structs.replace(region, policy=spec.policy)
    router: Router = StraightLineRouter(region.speed_kmh, region.detour_factor)
    if not spec.straight:
        router = load_router(region, pack, Path(spec.roads) if spec.roads else folder)
    zero_s = begin(folder)
    clock = spec.clock(zero_s)
    further = [EMPTY_ROUTE] if spec.capacity else []
    async with Server(config, region=region, router=router, clock=clock, further=further) as server:
        services = server.services
        assert services is not None
        services.limiter = Limiter(dict.fromkeys(LIMITS, OPEN))
        write_keys(server, folder).rename(folder / "keys.json")
        ready = folder / "ready.json"
        part = ready.with_suffix(".part")
        part.write_bytes(msgspec.json.encode(Ready(server.url, config.dsn, os.getpid(), zero_s)))
        part.rename(ready)  # whole or not at all
        await stop.wait()


def main() -> None:
    set_up_logging()
    folder = Path(sys.argv[1])
    spec = msgspec.json.decode((folder / "stage.json").read_bytes(), type=StageSpec)
    with EmbeddedPostgres(folder / "postgres") as postgres:
        uvloop.run(serve(folder, spec, postgres))


if __name__ == "__main__":
    main()
