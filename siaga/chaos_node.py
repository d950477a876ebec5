"""One server process for drills: the production server on the Surabaya pack, with straight lines for roads so that it starts
in seconds. `python -m siaga.chaos_node DSN VAR HOST PORT PEER_URL`.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from dispatch.pack import load as load_pack
from dispatch.policies.closest import Closest
from geo.router import StraightLineRouter
from siaga.cli import set_up_logging
from siaga.serve import REGIONS, Config, Server


async def main(dsn: str, var: Path, host: str, port: int, peer_url: str) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    config = Config(dsn=dsn, var=var, host=host, port=port, public_url=peer_url)
    region = load_pack(config.pack or REGIONS / "surabaya")
    async with Server(config, region=region, router=StraightLineRouter(), policy=Closest(redispatch=True)):
        await stop.wait()


if __name__ == "__main__":
    set_up_logging()
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]), sys.argv[5]))
