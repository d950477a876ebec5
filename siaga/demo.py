"""`siaga run`: a whole living city on one machine, for looking and for learning. Never for service.

Starts the embedded PostgreSQL (or uses DATABASE_URL), the server with demo accounts, and the simulated city as a
process of its own that knows nothing but the HTTP API.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import typer
import uvloop

from siaga.postgres import EmbeddedPostgres, PostgresBusyError
from siaga.serve import Config, Server, push_settings

log = logging.getLogger("siaga.demo")

CITY_STOP_S = 10.0
DATABASE = "siaga"


def run_demo(var: Path, database_url: str, pack: Path, host: str, port: int, city: bool) -> int:
    """Exit status: 0 after Ctrl-C, 1 when something could not start."""
    try:
        if database_url:
            return uvloop.run(_demo(var, database_url, pack, host, port, city))
        with EmbeddedPostgres(var / "postgres") as postgres:
            dsn = postgres.dsn(DATABASE)
            return uvloop.run(_demo(var, dsn, pack, host, port, city, create_in=postgres.dsn()))
    except PostgresBusyError as error:
        typer.echo(f"Sudah berjalan / already running: {error}", err=True)
        return 1


async def _demo(var: Path, dsn: str, pack: Path, host: str, port: int, city: bool, create_in: str | None = None) -> int:
    if create_in is not None:
        await _create_database(create_in, DATABASE)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        try:
            server = await stack.enter_async_context(
                Server(Config(dsn=dsn, var=var, host=host, port=port, pack=pack, demo=True, push=push_settings()))
            )
        except OSError as error:
            typer.echo(f"Tidak bisa membuka {host}:{port} / cannot listen: {error.strerror}", err=True)
            return 1
        keys = write_keys(server, var)
        if city:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "siaga.cli", "city", "--keys", str(keys), "--region", str(pack), "--leashed",
                start_new_session=True,
                stdin=asyncio.subprocess.PIPE,  # ends with us, however we end, and the city with it
            )  # fmt: skip
            stack.push_async_callback(_stop_city, process)
        _greet(server)
        await stop.wait()
        typer.echo("\nBerhenti dengan tertib ... / stopping in order ...")
    return 0


async def _create_database(admin_dsn: str, name: str) -> None:
    import asyncpg

    connection = await asyncpg.connect(admin_dsn)
    try:
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
            await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close()


def write_keys(server: Server, var: Path) -> Path:
    """What the simulated city needs to speak for its people and units; owner-only, made anew each run."""
    path = var / "demo-keys.json"
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(
            {
                "url": server.url,
                "password": server.demo_password,
                "partner_token": server.partner_token,
                "unit_tokens": server.unit_tokens,
            },
            file,
        )
    return path


async def _stop_city(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            async with asyncio.timeout(CITY_STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def _greet(server: Server) -> None:
    region = server.services.region if server.services is not None else None
    router = server.services.live.router if server.services is not None else None
    roads = "perkiraan / approximate" if router is not None and router.approximate else "diimpor / imported"
    typer.echo(
        f"""
  Siaga 112  {region.name if region else ""}
  Buka / open        {server.url}
  Jaringan jalan     {roads}
  Akun demo          call_taker, dispatcher, supervisor, manager, auditor, admin
  Kata sandi         {server.demo_password}
  Berhenti           Ctrl-C
"""
    )
