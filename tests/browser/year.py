"""A server over a simulated year: `python -m tests.browser.year FOLDER [--days 365]` fills a database once and keeps it.

The journal is drawn by `simulators/year.py`, written by the real journal, and served by the real server. Filling a year
takes a minute or two, so browser tests take fewer days unless asked (`SIAGA_YEAR_DAYS`).
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from dispatch import pack
from dispatch.database import connect, create_pool
from dispatch.events import Entry
from dispatch.fold import State
from dispatch.journal import Batch
from dispatch.journal_pg import PostgresJournal
from dispatch.projections import rebuild
from geo.roads import RoadGraph
from siaga.demo import DATABASE, _create_database
from siaga.postgres import EmbeddedPostgres
from siaga.router import load_router
from siaga.serve import prepare_database
from simulators.year import midnight_before, simulate_year

PACK = Path(__file__).resolve().parents[2] / "regions" / "surabaya"
LINES = 4000
"""Journal lines a transaction."""
DAYS = int(os.environ.get("SIAGA_YEAR_DAYS", "365"))
log = logging.getLogger("year")


class _Lines:
    """Collects lines, encoded, so that a year fits into memory."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self._encoder = msgspec.json.Encoder()

    def __call__(self, entries: object) -> None:
        self.lines += [self._encoder.encode(e) for e in entries]  # type: ignore[attr-defined]


async def write(dsn: str, region: str, lines: list[bytes], snapshot: tuple[int, datetime, bytes]) -> None:
    role = await prepare_database(dsn, region)
    pool = await create_pool(dsn, role=role)
    try:
        journal = PostgresJournal(pool, append_timeout_s=120.0)
        await journal.open(region)
        decoder = msgspec.json.Decoder(Entry)
        for start in range(0, len(lines), LINES):
            await journal.append(Batch(entries=[decoder.decode(line) for line in lines[start : start + LINES]]))
        await journal.save_snapshot(*snapshot)
        await journal.close()
    finally:
        await pool.close()
    await rebuild(dsn, region, State(pack.load(PACK)), role=role)  # the console searches tables
    owner = await connect(dsn, role=None)
    await owner.execute("ANALYZE")
    await owner.close()


def fill(var: Path, days: int, seed: int = 1) -> None:
    """Fill `var/postgres` with `days` days up to today, unless it is filled already."""
    done = var / "filled"
    if done.exists():
        return
    region = pack.load(PACK)
    graph = load_router(region, PACK, var)
    assert isinstance(graph, RoadGraph)
    lines = _Lines()
    _, engine = simulate_year(PACK, graph, midnight_before(datetime.now(UTC), days), days, seed, lines)
    state = engine.state
    assert state.at is not None
    log.info("simulated %d days, %d lines", days, len(lines.lines))
    with EmbeddedPostgres(var / "postgres") as postgres:
        asyncio.run(_create_database(postgres.dsn(), DATABASE))
        asyncio.run(write(postgres.dsn(DATABASE), region.code, lines.lines, (state.seq, state.at, state.snapshot())))
    done.touch()


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(relativeCreated)d %(message)s")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--days", type=int, default=DAYS)
    parser.add_argument("--again", action="store_true", help="throw away what is there")
    options = parser.parse_args()
    if options.again:
        shutil.rmtree(options.folder, ignore_errors=True)
    options.folder.mkdir(parents=True, exist_ok=True)
    fill(options.folder, options.days)


if __name__ == "__main__":
    main()
