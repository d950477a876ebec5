"""`siaga bench intake` and `siaga bench avl`: sets the stage, loads it, prints figures beside their yardsticks."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from rich.console import Console
from rich.table import Table

from dispatch.pack import load
from simulators.http import Keys
from simulators.load import InstantCrews, Measured, Requests, Spent, as_fast_as_possible, commits, sustained
from simulators.stage import Ready, StageProcess, StageSpec, free_port

console = Console()

YARDSTICK_S = 4.0
FLOOD_S = 4.0
"""Long enough for 2,000 reports and more; a flood leaves the fleet empty and thousands of emergencies open."""


@asynccontextmanager
async def stage(
    pack: Path, var: Path, policy: str = "", straight: bool = False
) -> AsyncIterator[tuple[Requests, Ready]]:
    """A fresh server with the yardstick route, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="siaga-bench-"))
    spec = StageSpec(port=free_port(), pack=str(pack), roads=str(var), policy=policy, straight=straight, capacity=True)
    try:
        async with StageProcess(folder, spec) as process:
            assert process.ready is not None
            keys: Keys = process.keyring.keys
            yield Requests(keys, load(pack)), process.ready
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def intake(
    pack: Path,
    var: Path,
    reports_per_s: float,
    fixes_per_s: float,
    seconds: float,
    policy: str = "",
    straight: bool = False,
) -> list[Measured]:
    """Yardsticks, a sustained load with the fleet on its sockets, and at last a flood."""
    async with stage(pack, var, policy, straight) as (requests, ready):
        rows = await yardstick(requests, ready.pid)
        commit = await commits(ready.dsn, YARDSTICK_S / 2.0)
        commit.name = f"(b) {commit.name}"
        rows.append(commit)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as tasks:
            crews = InstantCrews(requests)
            running = await crews.run(tasks, session)
            with Spent(ready.pid) as spent:
                rows += await sustained(requests, crews, seconds, reports_per_s, 0.0)
            rows[-2].server_cpu_s = spent.cpu_s
            if fixes_per_s > 0.0:
                with Spent(ready.pid) as spent:
                    beside = await sustained(requests, crews, seconds, reports_per_s, fixes_per_s)
                beside[0].name += f" beside {fixes_per_s:g} positions/s"
                rows += beside
            for task in running:
                task.cancel()
        # The fleet is silent now: nobody answers, so the flood meets a city whose units are soon all sent.
        with Spent(ready.pid) as spent:
            rows.append(await as_fast_as_possible("reports as fast as they are taken", requests, "report", FLOOD_S))
        rows[-1].server_cpu_s = spent.cpu_s
    return rows


async def avl(pack: Path, var: Path, fixes_per_s: float, seconds: float) -> list[Measured]:
    """Positions alone: single, and in batches at a fixed rate."""
    async with stage(pack, var) as (requests, ready):
        rows = await yardstick(requests, ready.pid)
        with Spent(ready.pid) as spent:
            rows.append(
                await as_fast_as_possible(
                    "one position a POST, as fast as they are taken", requests, "fix", YARDSTICK_S
                )
            )
        rows[-1].server_cpu_s = spent.cpu_s
        with Spent(ready.pid) as spent:
            rows += await sustained(requests, None, seconds, 0.0, fixes_per_s)
        rows[-1].server_cpu_s = spent.cpu_s
        return rows


async def yardstick(requests: Requests, pid: int) -> list[Measured]:
    """What the same server does for a request that is only authenticated."""
    with Spent(pid) as spent:
        row = await as_fast_as_possible("(a) empty authenticated POST", requests, "nothing", YARDSTICK_S)
    row.server_cpu_s = spent.cpu_s
    return [row]


def show(title: str, rows: list[Measured]) -> None:
    """The table, each rate beside the first row's."""
    table = Table(title=title)
    table.add_column("")
    for name in ("per s", "of (a)", "p50 ms", "p99 ms", "n", "server CPU ms each"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            row.name + (" (could not keep the rate)" if row.behind else ""),
            f"{row.per_s:,.0f}",
            f"{row.per_s / rows[0].per_s:.2f}" if rows[0].per_s else "-",
            _ms(row.p50_s),
            _ms(row.p99_s),
            f"{row.done:,}",
            _ms(row.server_cpu_s / row.done if row.server_cpu_s is not None and row.done else None, 3),
        )
    console.print(table)
    for row in rows:
        if row.refused:
            console.print(f"{row.name.strip()}: refused {row.refused}")
    load1, _, _ = os.getloadavg()
    console.print(f"{os.cpu_count()} cores shared by client, server and database; load average {load1:.1f}.")


def _ms(value_s: float | None, digits: int = 1) -> str:
    return "-" if value_s is None else f"{1000.0 * value_s:.{digits}f}"
