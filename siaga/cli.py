"""The `siaga` command. Each room brings its own sub-commands; they are imported only when called."""

from __future__ import annotations

import asyncio
import getpass
import importlib
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

ROOMS: dict[str, tuple[str, str]] = {
    "roads": ("siaga.roads_commands:app", "Jaringan jalan / road network"),
    "migrate": ("siaga.database_commands:migrate", "Skema basis data / database schema"),
    "projections": ("siaga.database_commands:app", "Tabel dari jurnal / tables that follow from the journal"),
    "backup": ("siaga.database_commands:backup", "Cadangan dasar / base backup"),
    "archive": ("siaga.database_commands:archive", "Arsip WAL / stream every commit to the backup folder"),
    "restore": ("siaga.database_commands:restore", "Pulihkan / restore"),
    "drill": ("siaga.database_commands:drill", "Latihan pulih / restore drill"),
    "bench-journal": ("siaga.database_commands:bench_journal", "Ukur jurnal / measure the journal"),
    "places": ("geo.places_cli:app", "Tempat dan nama / places and names"),
    "sla": ("sla.cli:app", "Janji 7 menit / the 7-minute promise"),
    "simulate": ("simulators.cli:simulate", "Satu kota, satu kebijakan / one city, one policy"),
    "evaluate": ("simulators.cli:evaluate", "Kebijakan dibandingkan / policies compared"),
    "bound": ("simulators.cli:bound", "Batas atas / what nobody could beat"),
    "chaos": ("siaga.chaos:chaos", "Rusak sungguhan / break the real thing and audit"),
    "overload": ("siaga.overload:overload", "Terlalu banyak dari segalanya / too much of everything"),
    "doctor": ("siaga.doctor:doctor", "Periksa pemasangan / check the installation"),
    "city": ("simulators.http_cli:city", "Kota simulasi / simulated city"),
    "replay": ("simulators.http_cli:replay", "Putar ulang panggilan nyata / replay recorded calls"),
    "replay-journal": (
        "simulators.replay_journal_run:replay_journal",
        "Hari tercatat, kebijakan lain / a recorded day under another policy",
    ),
    "bench": ("simulators.http_cli:bench", "Ukur kecepatan / measure speed"),
}
"""name -> (module:attribute, help). The attribute is a Typer application (a group) or a function (one command)."""


app = typer.Typer(no_args_is_help=True, add_completion=False, help="Siaga 112")

Var = Annotated[Path, typer.Option("--var", envvar="SIAGA_VAR", help="Folder data instalasi / where state is kept")]
Dsn = Annotated[str, typer.Option("--database-url", envvar="DATABASE_URL", help="PostgreSQL; kosong = bawaan")]
Pack = Annotated[Path, typer.Option("--region", envvar="SIAGA_REGION", help="Folder paket wilayah / region pack")]
Host = Annotated[str, typer.Option(help="Alamat untuk mendengarkan / address to listen on")]
Port = Annotated[int, typer.Option(min=0, max=65535)]

DATABASE_AWAY = 75
"""Exit status of a node that found no database at its start: EX_TEMPFAIL of sysexits(3), try again."""
DEFAULT_PACK = Path(__file__).resolve().parents[1] / "regions" / "surabaya"


def set_up_logging(level: str = "INFO") -> None:
    """One line an event, time in UTC, no personal data."""
    logging.basicConfig(
        level=level, format="%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s", datefmt="%Y-%m-%dT%H:%M:%S"
    )
    logging.Formatter.converter = time.gmtime
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)


@app.command()
def run(
    var: Var = Path("var"),
    database_url: Dsn = "",
    region: Pack = DEFAULT_PACK,
    host: Host = "127.0.0.1",
    port: Port = 8112,
    city: Annotated[bool, typer.Option(help="Sertakan kota simulasi / with the simulated city")] = True,
) -> None:
    """Coba di sini: basis data bawaan, server, kota simulasi, akun demo. / Try it: everything, with demo accounts."""
    from siaga.demo import run_demo

    set_up_logging()
    sys.exit(run_demo(var, database_url, region, host, port, city))


@app.command()
def serve(
    database_url: Dsn,
    var: Var = Path("var"),
    region: Pack = DEFAULT_PACK,
    host: Host = "127.0.0.1",
    port: Port = 8112,
    public_url: Annotated[
        str, typer.Option(envvar="SIAGA_PUBLIC_URL", help="Alamat bagi server lain / where other nodes reach this one")
    ] = "",
    tls_cert: Annotated[
        Path | None, typer.Option(envvar="SIAGA_TLS_CERT", help="Sertifikat, PEM / certificate chain")
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(envvar="SIAGA_TLS_KEY", help="Kunci privatnya, PEM / its private key")
    ] = None,
    proxies: Annotated[
        str, typer.Option(envvar="SIAGA_PROXIES", help="Jaringan proksi kita / our own proxies, 10.0.0.5/32,...")
    ] = "",
    control_room: Annotated[
        str, typer.Option(envvar="SIAGA_CONTROL_ROOM", help="Jaringan ruang kendali / the control room's networks")
    ] = "",
) -> None:
    """Layanan sungguhan: tanpa akun demo. / Production: no demo accounts."""
    from dispatch.accounts import DemoCredentials
    from siaga.serve import Config, DatabaseAway, Server, push_settings, serve_until

    set_up_logging()
    push = push_settings()

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)

        async def ready(server: Server) -> None:
            typer.echo(f"Siaga 112 melayani di {server.url}")

        config = Config(
            dsn=database_url,
            var=var,
            host=host,
            port=port,
            pack=region,
            public_url=public_url,
            tls_certificate=tls_cert,
            tls_key=tls_key,
            proxies=_networks(proxies),
            control_room=_networks(control_room),
            push=push,
        )
        await serve_until(config, stop, ready)

    try:
        _run(main())
    except DatabaseAway as error:
        typer.echo(f"Basis data tidak terjangkau / the database cannot be reached: {error}", err=True)
        sys.exit(DATABASE_AWAY)
    except DemoCredentials as found:
        typer.echo(f"Ditolak: akun atau kunci demo masih ada: {found}", err=True)
        sys.exit(2)


@app.command("create-admin")
def create_admin(
    username: Annotated[str, typer.Argument(help="Nama pengguna / user name")],
    database_url: Dsn,
    name: Annotated[str, typer.Option(help="Nama lengkap / full name")] = "Administrator",
) -> None:
    """Buat administrator pertama. / Make the first administrator."""
    from dispatch.account_rows import PostgresAccounts
    from dispatch.accounts import Accounts
    from dispatch.clock import SystemClock
    from dispatch.database import create_pool
    from dispatch.model import Rejected
    from siaga.serve import prepare_database

    password = os.environ.get("SIAGA_ADMIN_PASSWORD") or getpass.getpass("Kata sandi / password: ")

    async def main() -> None:
        role = await prepare_database(database_url)
        pool = await create_pool(database_url, role=role)
        try:
            await Accounts(PostgresAccounts(pool), SystemClock()).create_first_admin(username, name, password)
        finally:
            await pool.close()

    try:
        _run(main())
    except Rejected as refusal:
        typer.echo(f"Ditolak / refused: {refusal}", err=True)
        sys.exit(2)
    typer.echo(f"Administrator {username} dibuat / created")


def _networks(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _run(main: object) -> None:
    import uvloop

    uvloop.run(main)  # type: ignore[arg-type]


def _add_rooms(asked: str | None) -> None:
    """Import only the room that is asked for: `siaga serve` must not wait for the simulator's plots."""
    for name, (target, text) in ROOMS.items():
        if name != asked:
            app.command(name, help=text)(_not_asked)
            continue
        module, _, attribute = target.partition(":")
        found = getattr(importlib.import_module(module), attribute)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name, help=text)
        else:
            app.command(name, help=text)(found)


def _not_asked() -> None:
    """Stands in the list of commands for a room that was not imported."""


def main() -> None:
    """Entry point."""
    _add_rooms(next((word for word in sys.argv[1:] if not word.startswith("-")), None))
    app()


if __name__ == "__main__":
    main()
