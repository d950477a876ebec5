"""A server in this very process whose clock the test holds: three minutes in a tunnel take no three minutes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from dashboards import build_web
from siaga.postgres import throwaway_cluster
from siaga.serve import Config, Server
from tests.browser.town import Town

START_S = 180
DATABASE = "street"


class HeldClock:
    """The machine's clock, and what the test has let pass beside it."""

    def __init__(self) -> None:
        self.passed = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.passed


class Street(Town):
    """The city of `siaga run` without simulated people, and its journal."""

    def __init__(self, server: Server, clock: HeldClock, loop: asyncio.AbstractEventLoop, dsn: str) -> None:
        keys = {
            "password": server.demo_password,
            "unit_tokens": server.unit_tokens,
            "partner_token": server.partner_token,
        }
        super().__init__(server.url, keys)
        self.server = server
        self.clock = clock
        self._loop = loop
        self._dsn = dsn

    def pass_s(self, seconds: float) -> None:
        """Time goes by for the centre."""
        self.clock.passed += timedelta(seconds=seconds)

    def state_of(self, unit_id: str) -> Any:
        return self.server.services.live.hub.state.units[unit_id]  # type: ignore[union-attr]

    def assignment(self, assignment_id: str) -> Any:
        return self.server.services.live.hub.state.assignments[assignment_id]  # type: ignore[union-attr]

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run it where the server runs."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def journal(self, *kinds: str) -> list[tuple[str, datetime, dict[str, Any]]]:
        """Lines of these kinds as the database holds them: kind, the server's time, body."""

        async def read() -> list[Any]:
            connection = await asyncpg.connect(self._dsn)
            try:
                return list(
                    await connection.fetch(
                        "SELECT kind, at, body::text FROM journal WHERE kind = ANY($1) ORDER BY seq", list(kinds)
                    )
                )
            finally:
                await connection.close()

        return [(r["kind"], r["at"], msgspec.json.decode(r["body"])) for r in self.do(read())]


@contextmanager
def street(var: Path) -> Iterator[Street]:
    """Build the front end, serve until the block ends."""
    build_web.build()
    clock = HeldClock()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="street")
    with throwaway_cluster() as cluster:
        thread.start()

        def run(work: Coroutine[Any, Any, Any]) -> Any:
            return asyncio.run_coroutine_threadsafe(work, loop).result(START_S)

        async def create() -> None:
            admin = await asyncpg.connect(cluster.dsn())
            await admin.execute(f"CREATE DATABASE {DATABASE}")
            await admin.close()

        try:
            run(create())
            dsn = cluster.dsn(DATABASE)
            server = Server(Config(dsn=dsn, var=var, port=0, demo=True), clock=clock)
            run(server.__aenter__())
            try:
                yield Street(server, clock, loop, dsn)
            finally:
                run(server.__aexit__(None, None, None))
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
