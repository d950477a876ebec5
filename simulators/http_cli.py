"""`siaga city`, `siaga replay`, `siaga bench`: simulated people and crews against a real server."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from simulators.city import REPORT_EVERY_S, SPEED

bench = typer.Typer(help="Ukur kecepatan di mesin ini / measure speed on this machine.", no_args_is_help=True)

Var = Annotated[Path, typer.Option("--var", envvar="SIAGA_VAR", help="Folder data instalasi / where state is kept")]


def until_signal(work: Coroutine[Any, Any, None], *, leashed: bool = False) -> None:
    """Run until done, Ctrl-C or SIGTERM; then cancel and let everything end in order. `leashed`: also until standard input
    ends, as it does when whoever started us is killed and can say nothing any more.
    """
    import uvloop

    async def main() -> None:
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)
        if leashed:
            loop.add_reader(0, lambda: os.read(0, 4096) or task.cancel())
        with contextlib.suppress(asyncio.CancelledError):
            await task

    uvloop.run(main())


def city(
    keys: Annotated[Path, typer.Option(help="Kunci demo dari server / the demo server's keys")],
    region: Annotated[Path, typer.Option("--region", envvar="SIAGA_REGION", help="Folder paket wilayah / region pack")],
    var: Annotated[
        Path | None, typer.Option("--var", envvar="SIAGA_VAR", help="Folder data; kosong = folder kunci / state folder")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Benih acak; kosong = hari lain / seed")] = None,
    every: Annotated[float, typer.Option(min=0.5, help="Detik antarkejadian / seconds between events")] = (
        REPORT_EVERY_S
    ),
    speed: Annotated[float, typer.Option(min=0.1, help="Waktu di lokasi dibagi ini / scene times divided by")] = SPEED,
    patience: Annotated[float, typer.Option(min=1.0, help="Detik sebelum bot menyetujui / before the bot acts")] = 20.0,
    leashed: Annotated[bool, typer.Option(hidden=True, help="Berakhir bila stdin berakhir / end with stdin")] = False,
) -> None:
    """Kota simulasi: pelapor, penelepon dan awak sebagai klien sungguhan. / The simulated city, as real clients."""
    from dispatch.pack import load
    from simulators.city import load_roads, run_city
    from simulators.http import Keyring

    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(name)s %(message)s")
    pack = load(region)
    router, snap = load_roads(var if var is not None else keys.parent, pack)
    until_signal(
        run_city(
            Keyring(path=keys),
            pack,
            router,
            seed=seed,
            speed=speed,
            report_every_s=every,
            patience_s=patience,
            snap=snap,
        ),
        leashed=leashed,
    )


def replay(
    folder: Annotated[Path, typer.Argument(help="Folder calls_*.csv dan responses_*.csv / recorded calls")],
    speed: Annotated[float, typer.Option(min=1.0, max=3600.0, help="Percepatan waktu / time compression")] = 600.0,
    limit: Annotated[int | None, typer.Option(min=1, help="Hanya N panggilan pertama / first N calls")] = None,
    server: Annotated[str, typer.Option(help="Alamat server yang sudah berjalan / a running server")] = "",
    keys: Annotated[Path | None, typer.Option(help="Kunci demo server itu / that server's demo keys")] = None,
    keep: Annotated[Path | None, typer.Option(help="Simpan basis data di folder ini / keep the database here")] = None,
) -> None:
    """Putar ulang sepekan panggilan nyata lewat HTTP. / Replay a real week of calls over HTTP."""
    from dispatch.model import Rejected
    from simulators.replay_named import replay_on_named_server
    from simulators.replay_run import replay_on_own_server
    from simulators.trace_region import read

    if bool(server) != (keys is not None):
        raise typer.BadParameter("--server dan --keys dipakai bersama / go together")
    try:
        trace = read(folder)
    except Rejected as refusal:
        typer.echo(f"Ditolak / refused: {refusal} {refusal.detail}", err=True)
        raise typer.Exit(2) from None
    lost = 0

    async def work() -> None:
        nonlocal lost
        if keys is not None:
            line, found = await replay_on_named_server(trace, server, keys, speed, limit)
        else:
            line, found = await replay_on_own_server(trace, speed, limit, keep)
        typer.echo(line)
        lost = found.lost

    until_signal(work())
    if lost:
        raise typer.Exit(1)


Pack = Annotated[
    Path,
    typer.Option("--region", envvar="SIAGA_REGION", resolve_path=True, help="Folder paket wilayah / region pack"),
]
Roads = Annotated[
    Path, typer.Option("--var", envvar="SIAGA_VAR", resolve_path=True, help="Folder jaringan jalan / road networks")
]
DEFAULT_PACK = Path(__file__).resolve().parents[1] / "regions" / "surabaya"


@bench.command("intake")
def bench_intake(
    region: Pack = DEFAULT_PACK,
    var: Annotated[
        Path, typer.Option("--var", envvar="SIAGA_VAR", help="Folder jaringan jalan / road networks")
    ] = Path("var"),
    reports: Annotated[float, typer.Option(min=1.0, max=2000.0, help="Laporan per detik / reports per s")] = 200.0,
    fixes: Annotated[float, typer.Option(min=0.0, max=20_000.0, help="Posisi per detik / positions per s")] = 5000.0,
    seconds: Annotated[float, typer.Option(min=1.0, max=120.0, help="Lama tiap beban / length of each load")] = 15.0,
    policy: Annotated[str, typer.Option(help="Kebijakan; kosong = milik wilayah / policy; empty = the pack's")] = "",
    straight: Annotated[
        bool, typer.Option(help="Garis lurus, tanpa jaringan jalan / without the road network")
    ] = False,
) -> None:
    """Laporan yang tahan mati listrik per detik, dan sampai ke soket unit. / Durable reports/s, to the unit's socket."""
    from simulators.load_run import intake, show

    async def work() -> None:
        title = f"Penerimaan laporan / intake: policy {policy or 'of the pack'}, {'straight lines' if straight else 'roads'}"
        show(title, await intake(region, var, reports, fixes, seconds, policy, straight))

    until_signal(work())


@bench.command("avl")
def bench_avl(
    region: Pack = DEFAULT_PACK,
    var: Annotated[
        Path, typer.Option("--var", envvar="SIAGA_VAR", help="Folder jaringan jalan / road networks")
    ] = Path("var"),
    fixes: Annotated[float, typer.Option(min=20.0, max=20_000.0, help="Posisi per detik / positions per s")] = 5000.0,
    seconds: Annotated[float, typer.Option(min=1.0, max=120.0, help="Lama beban / length of the load")] = 10.0,
) -> None:
    """Posisi unit per detik. / Unit positions per second."""
    from simulators.load_run import avl, show

    async def work() -> None:
        show("Posisi unit / positions", await avl(region, var, fixes, seconds))

    until_signal(work())


@bench.command("engine")
def bench_engine(
    region: Pack = DEFAULT_PACK,
    var: Annotated[
        Path, typer.Option("--var", envvar="SIAGA_VAR", help="Folder jaringan jalan / road networks")
    ] = Path("var"),
    days: Annotated[float, typer.Option(min=1.0, max=60.0, help="Hari yang diundi / days drawn")] = 7.0,
) -> None:
    """Keputusan per detik dan lamanya. / Decisions per second and what one takes."""
    from simulators.bench_engine import measure, show

    found, nearest_ms, units = measure(region, var, days, ("closest", "siaga"))
    show(found, nearest_ms, units)


@bench.command("sla")
def bench_sla(
    events: Annotated[int, typer.Option(min=50_000, help="Baris jurnal / journal lines")] = 1_000_000,
    region: Pack = DEFAULT_PACK,
    var: Annotated[
        Path, typer.Option("--var", envvar="SIAGA_VAR", help="Folder jaringan jalan / road networks")
    ] = Path("var"),
) -> None:
    """Hitungan janji 7 menit: lipat, laporan, penjelasan. / The promise: fold, report, explanation."""
    from dispatch.pack import load
    from sla.bench import measure, show
    from sla.cli import router_of

    pack = load(region)
    show(measure(events, pack, router_of(pack, var)))


@bench.command("geo")
def bench_geo() -> None:
    """Jalan dan unit terdekat. / Roads and nearest units; more options: `python -m geo.bench --help`."""
    from geo.bench import run

    run()
