"""Ten years of a board out of one: `python -m tests.bench.years FROM TO [--years 10]`, then `python -m tests.bench.board TO --years 10`.

FROM was filled by `python -m tests.browser.year FROM --days 365`; simulating ten years would take an hour and a half. The
journal is written ten times, each copy whole weeks before the next (weekdays stay), incident numbers moved with their dates.
Only what the board reads is copied: the journal and the last state, not the tables beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import math
import re
import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import asyncpg

from dispatch import pack
from dispatch.database import connect
from dispatch.fold import State
from siaga.demo import DATABASE, _create_database
from siaga.postgres import EmbeddedPostgres
from siaga.serve import prepare_database
from tests.browser.year import PACK

LINES = 20_000
"""A COPY each."""
COLUMNS = ["region", "seq", "at", "actor_role", "actor_name", "kind", "body", "command_id", "writer"]
TIME = re.compile(r'"(\d{4}-\d\d-\d\d)(?=T\d\d:)')
NUMBER = re.compile(r"\b(\d{6})(?=-\d{4})")
log = logging.getLogger("years")


class Earlier:
    """Moves the dates in a journal line back by so many whole days."""

    def __init__(self, by: timedelta) -> None:
        self._by = by
        self._times: dict[str, str] = {}
        self._numbers: dict[str, str] = {}

    def __call__(self, body: str) -> str:
        return NUMBER.sub(self._number, TIME.sub(self._time, body)) if self._by else body

    def _time(self, found: re.Match[str]) -> str:
        day = found[1]
        if day not in self._times:
            self._times[day] = f'"{date.fromisoformat(day) - self._by}'
        return self._times[day]

    def _number(self, found: re.Match[str]) -> str:
        text = found[1]
        if text not in self._numbers:
            try:
                moved = date(2000 + int(text[:2]), int(text[2:4]), int(text[4:])) - self._by
                self._numbers[text] = f"{moved:%y%m%d}"
            except ValueError:  # six digits that are no date
                self._numbers[text] = text
        return self._numbers[text]


async def read(dsn: str) -> tuple[list[Any], Any]:
    """(every line, the last snapshot)."""
    connection = await asyncpg.connect(dsn)
    try:
        lines = await connection.fetch(f"SELECT {', '.join(COLUMNS)} FROM journal ORDER BY seq")
        snapshot = await connection.fetchrow("SELECT seq, at, body FROM snapshot ORDER BY seq DESC LIMIT 1")
        return lines, snapshot
    finally:
        await connection.close()


async def write(dsn: str, lines: list[Any], snapshot: Any, years: int) -> None:
    region = pack.load(PACK)
    state = State.restore(region, snapshot["body"])
    if state is None:
        raise SystemExit("the last state was written by another release; fill the source again")
    await prepare_database(dsn, region.code)
    owner = await connect(dsn, role=None)
    try:
        weeks = math.ceil((lines[-1]["at"] - lines[0]["at"]) / timedelta(weeks=1))  # time never runs back in a journal
        for copy in range(years):
            by, first = timedelta(weeks=weeks * (years - 1 - copy)), copy * len(lines)
            earlier = Earlier(by)
            for start in range(0, len(lines), LINES):
                rows = [
                    (r[0], first + r[1], r[2] - by, r[3], r[4], r[5], earlier(r[6]).encode(), None, r[8])
                    for r in lines[start : start + LINES]
                ]
                await owner.copy_records_to_table("journal", records=rows, columns=COLUMNS)
            log.info("%d of %d years written", copy + 1, years)
        state.seq += (years - 1) * len(lines)
        await owner.execute(
            "INSERT INTO snapshot (region, seq, at, body) VALUES ($1, $2, $3, $4)",
            region.code, state.seq, snapshot["at"], state.snapshot(),
        )  # fmt: skip
        await owner.execute("ANALYZE journal")
    finally:
        await owner.close()


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(relativeCreated)d %(message)s")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--years", type=int, default=10)
    options = parser.parse_args()
    options.target.mkdir(parents=True)
    with EmbeddedPostgres(options.source / "postgres") as postgres:
        lines, snapshot = asyncio.run(read(postgres.dsn(DATABASE)))
    if [r[1] for r in lines] != list(range(1, len(lines) + 1)):
        raise SystemExit("the journal to copy has gaps")
    shutil.copytree(options.source / "roads", options.target / "roads")
    with EmbeddedPostgres(options.target / "postgres") as postgres:
        asyncio.run(_create_database(postgres.dsn(), DATABASE))
        asyncio.run(write(postgres.dsn(DATABASE), lines, snapshot, options.years))
    (options.target / "filled").touch()


if __name__ == "__main__":
    main()
