"""A rolling upgrade: the release before the newest migration and this one, on one database, at the same time."""

from __future__ import annotations

import asyncio
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from dispatch.database import connect, create_pool
from dispatch.fold import State
from dispatch.migrate import apply_grants, migrate, pending
from dispatch.pack import load as load_pack
from dispatch.projections import rebuild, rebuild_and_compare
from siaga.chaos import DATABASE
from siaga.chaos_audit import audit
from siaga.chaos_load import Load
from siaga.chaos_pair import Pair, ServerProcess
from siaga.postgres import EmbeddedPostgres, throwaway_cluster
from siaga.serve import REGIONS

pytestmark = [pytest.mark.timeout(600), pytest.mark.asyncio(loop_scope="module")]

PROJECT = Path(__file__).resolve().parents[2]
KEPT = ("dispatch", "siaga", "geo", "sla", "simulators", "dashboards", "egov", "regions", "tests", "pyproject.toml")
OLD_TESTS = (
    "tests/contract/test_journal.py",
    "tests/dispatch/test_journal_pg.py",
    "tests/dispatch/test_accounts.py",
    "tests/dispatch/test_housekeeping.py",
    "tests/dispatch/test_api.py",
)
"""What of the previous release's tests speaks to the database as its server does. (Those that compare the schema with the
model to the last column are about one release, not about two.)"""


def git(*arguments: str) -> bytes:
    try:
        done = subprocess.run(["git", *arguments], cwd=PROJECT, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no git history here, so there is no previous release to run")
    return done.stdout


@pytest.fixture(scope="module")
def previous() -> Iterator[Path]:
    """The tree before the newest migration came, unpacked."""
    added = git("log", "--diff-filter=A", "--format=%H", "--", "dispatch/migrations/[0-9]*.sql").decode().split()
    if not added or git("rev-parse", "--is-shallow-repository").strip() == b"true":
        pytest.skip("the history is cut off (shallow clone), so there is no previous release to run")
    with tempfile.TemporaryDirectory(prefix="siaga-before-") as folder:
        with tarfile.open(fileobj=io.BytesIO(git("archive", f"{added[0]}^", *KEPT))) as archive:
            archive.extractall(folder, filter="data")
        yield Path(folder)


NODE = """
import asyncio, signal, sys
from pathlib import Path
from dispatch.pack import load
from dispatch.policies.closest import Closest
from geo.router import StraightLineRouter
from siaga.cli import set_up_logging
from siaga.serve import REGIONS, Config, Server

async def main(dsn, var, host, port):
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    config = Config(dsn=dsn, var=Path(var), host=host, port=int(port))
    region = load(REGIONS / "surabaya")
    async with Server(config, region=region, router=StraightLineRouter(), policy=Closest(redispatch=True)):
        await stop.wait()

set_up_logging()
asyncio.run(main(*sys.argv[1:]))
"""
"""The production server of whichever tree is first on the path, with straight lines for roads so that it starts in seconds."""


class Release(ServerProcess):
    """One node of one tree or another."""

    def command(self) -> list[str]:
        return [sys.executable, "-c", NODE, self.dsn, str(self.var), self.host, str(self.port)]

    def be(self, tree: Path) -> None:
        self.tree = tree
        self.environment = {"PYTHONPATH": str(tree)}


async def schema_of(tree: Path, dsn: str) -> None:
    """Bring the schema to what that tree knows, by that tree's own command."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "siaga.cli", "migrate", "--database-url", dsn,
        cwd=tree, env={**os.environ, "PYTHONPATH": str(tree)}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    await process.communicate()
    assert process.returncode == 0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster() -> AsyncIterator[EmbeddedPostgres]:
    with throwaway_cluster() as running:
        yield running


async def test_both_releases_serve_side_by_side_and_reports_are_taken_throughout(
    previous: Path, cluster: EmbeddedPostgres
) -> None:
    """Pre-migrations under the running old release, then node by node: nothing acknowledged is lost, nobody is refused for long."""
    admin = await asyncpg.connect(cluster.dsn())
    await admin.execute(f"CREATE DATABASE {DATABASE}")
    await admin.close()
    dsn = cluster.dsn(DATABASE)
    await schema_of(previous, dsn)
    region = load_pack(REGIONS / "surabaya")
    with tempfile.TemporaryDirectory(prefix="siaga-upgrade-") as folder:
        pair = Pair([cluster], DATABASE, Path(folder))
        pair.servers = [Release(s.name, s.dsn, s.var, (s.host, s.port), s.secret_file) for s in pair.servers]
        for server in pair.servers:
            server.be(previous)
        async with pair, Load(pair.urls, {}, ["medis"], seed=1, per_s=3.0) as load:
            await load.report()
            owner = await connect(dsn, role=None)
            before = await columns(owner)
            new = await migrate(owner, phase="pre")
            added = await columns(owner) - before
            await apply_grants(owner)
            assert new, "the previous release already had every migration"
            leader = await pair.leader()
            follower = pair.other(leader)
            heard = [len(load.acked)]
            for server in (follower, leader):  # the leader last
                await load.report(server.url)
                await server.stop()
                server.be(PROJECT)
                await server.start()
                await load.report(server.url)
                await pair.calm(90.0)
                heard.append(len(load.acked))
            assert await pair.leader() is follower
            await migrate(owner)
            assert await pending(owner, []) == []
            await owner.close()
            await load.report()
            await load.quiet()
            await pair.calm(90.0)
            assert heard == sorted(set(heard)), "reports stood still"
            pool = await create_pool(dsn, role=None, size=2)
            found = await audit(dsn, pool, region, load.acked)
            await pool.close()
            # What the older release wrote lacks the newer one's columns until the tables are rebuilt; nothing else may differ.
            assert [w for w in found.wrong if not _is_about(w, added)] == []
            assert found.acknowledged > 6
        await rebuild(dsn, region.code, State(region), role=None)
        compared = await rebuild_and_compare(dsn, region.code, State(region), role=None)
        assert compared.differences == []


async def columns(owner: asyncpg.Connection) -> set[str]:
    rows = await owner.fetch("SELECT column_name FROM information_schema.columns WHERE table_schema = 'public'")
    return {row["column_name"] for row in rows}


def _is_about(wrong: str, added: set[str]) -> bool:
    """Whether the audit names a row that differs in nothing but `added` columns."""
    named = re.search(r"differs in \((.*)\)$", wrong)
    return named is not None and set(re.findall(r"'(\w+)'", named[1])) <= added


@pytest.mark.slow
async def test_the_previous_releases_tests_pass_on_this_schema(previous: Path) -> None:
    """It is what runs between `siaga migrate --phase pre` and the end of the upgrade."""
    tests = [test for test in OLD_TESTS if (previous / test).exists()]
    for migration in (PROJECT / "dispatch" / "migrations").glob("*.sql"):
        if "-- phase: post" not in migration.read_text():
            shutil.copy(migration, previous / "dispatch" / "migrations")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests,
        cwd=previous, env={**os.environ, "PYTHONPATH": str(previous)}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()[-3000:]
