"""PostgreSQL for tests: one throw-away cluster a run (a worker with xdist), one fresh database a test.

`database` gives the DSN of an empty, migrated database of its own; `pool` a pool on it that works as the server does;
`cluster` the cluster, for tests that stop and kill it (those should make their own, see `throwaway_cluster`).
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import pytest

from dispatch.database import connect, create_pool
from dispatch.migrate import apply_grants, migrate
from siaga.postgres import EmbeddedPostgres, throwaway_cluster

TEMPLATE = "siaga_template"
_numbers = itertools.count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run tests marked slow")
    parser.addoption("--browser", action="store_true", help="also run tests marked browser")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for mark in ("slow", "browser"):
        if config.getoption(f"--{mark}"):
            continue
        skip = pytest.mark.skip(reason=f"runs with --{mark}")
        for item in items:
            if mark in item.keywords:
                item.add_marker(skip)


async def _make_template(cluster: EmbeddedPostgres) -> None:
    admin = await asyncpg.connect(cluster.dsn())
    await admin.execute(f"CREATE DATABASE {TEMPLATE}")
    await admin.close()
    owner = await connect(cluster.dsn(TEMPLATE), role=None)
    await migrate(owner)
    await apply_grants(owner)
    await owner.close()


@pytest.fixture(scope="session")
def cluster() -> Iterator[EmbeddedPostgres]:
    """A running throw-away cluster with a migrated template database."""
    with throwaway_cluster() as running:
        with ThreadPoolExecutor(1) as thread:  # a loop may be running here already: fixtures can be asked for in one
            thread.submit(asyncio.run, _make_template(running)).result()
        yield running


@pytest.fixture
async def database(cluster: EmbeddedPostgres) -> AsyncIterator[str]:
    """DSN of a migrated database that only this test sees."""
    name = f"test_{next(_numbers)}"
    admin = await asyncpg.connect(cluster.dsn())
    try:
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY file_copy")
        yield cluster.dsn(name)
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await admin.close()


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    """A pool with the server's own, limited rights."""
    made = await create_pool(database)
    yield made
    made.terminate()


@pytest.fixture
def room() -> Iterator[Path]:
    """A folder of this test's own that PostgreSQL's user can enter, for tests that run a durable cluster.

    `tmp_path` will not do: every pytest that starts shuts the folder above it to other users again.
    """
    folder = Path(tempfile.mkdtemp(prefix="siaga-room-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
