"""`siaga city`, `siaga replay`, `siaga bench`: simulated people and crews against a real server."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from simulators.city import REPORT_EVERY_S, SPEED

Var = Annotated[Path, typer.Option("--var", envvar="SIAGA_VAR", help="Folder data instalasi / where state is kept")]


def until_signal(work: Coroutine[Any, Any, None]) -> None:
    """Run until done, Ctrl-C or SIGTERM; then cancel and let everything end in order."""
    import uvloop

    async def main() -> None:
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    uvloop.run(main())


def city(
    keys: Annotated[Path, typer.Option(help="Kunci demo dari server / the demo server's keys")],
    region: Annotated[Path, typer.Option("--region", envvar="SIAGA_REGION", help="Folder paket wilayah / region pack")],
    var: Var = Path("var"),
    seed: Annotated[int, typer.Option(help="Benih acak / seed")] = 1,
    every: Annotated[float, typer.Option(min=0.5, help="Detik antarkejadian / seconds between events")] = (
        REPORT_EVERY_S
    ),
    speed: Annotated[float, typer.Option(min=0.1, help="Waktu di lokasi dibagi ini / scene times divided by")] = SPEED,
    patience: Annotated[float, typer.Option(min=1.0, help="Detik sebelum bot menyetujui / before the bot acts")] = 20.0,
) -> None:
    """Kota simulasi: pelapor, penelepon dan awak sebagai klien sungguhan. / The simulated city, as real clients."""
    from dispatch.pack import load
    from simulators.city import load_roads, run_city
    from simulators.http import Keyring

    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(name)s %(message)s")
    pack = load(region)
    router, snap = load_roads(var, pack)
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
        )
    )
