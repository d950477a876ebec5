"""Two real server processes on one real database, with lines that can be cut: what drills and failover tests hurt."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import aiohttp
import asyncpg
import msgspec

from siaga.postgres import PORT, EmbeddedPostgres

READY_S = 90.0
"""Start under load on two busy cores; alone it is about 3 s."""
POLL_S = 0.02
CHUNK_BYTES = 65_536


class Link:
    """The line between one server and the database: a unix socket that passes bytes on, or keeps them while it is cut.

    What was kept is delivered when the line is mended, as TCP does: a commit may land long after its sender gave it up.
    """

    def __init__(self, folder: Path, real: EmbeddedPostgres) -> None:
        self.folder = folder
        self.real = real
        self._open = asyncio.Event()
        self._open.set()
        self._server: asyncio.Server | None = None
        self._pumps: set[asyncio.Task[None]] = set()

    def dsn(self, database: str) -> str:
        return f"postgresql://postgres@/{quote(database)}?host={quote(str(self.folder), safe='')}&port={PORT}"

    async def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.folder / f".s.PGSQL.{PORT}"
        path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._accept, path=str(path))

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for pump in list(self._pumps):
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    def cut(self) -> None:
        self._open.clear()

    def mend(self) -> None:
        self._open.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._open.wait()
        try:
            to_reader, to_writer = await asyncio.open_unix_connection(str(self.real.socket_folder / f".s.PGSQL.{PORT}"))
        except OSError:
            writer.close()
            return
        for source, sink in ((reader, to_writer), (to_reader, writer)):
            pump = asyncio.create_task(self._pump(source, sink))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(CHUNK_BYTES):
                await self._open.wait()
                sink.write(data)
                await sink.drain()
        except OSError:
            pass
        finally:
            sink.close()


class ServerProcess:
    """One `siaga` server as a process of its own."""

    def __init__(self, name: str, dsn: str, var: Path, port: int, secret_file: Path) -> None:
        self.name = name
        self.dsn = dsn
        self.var = var
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.secret_file = secret_file
        self.process: asyncio.subprocess.Process | None = None
        self.log = var.with_name(f"{name}.log")

    async def start(self, wait: bool = True) -> None:
        self.var.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "siaga.chaos_node", self.dsn, str(self.var), str(self.port),
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, "SIAGA_SECRET_FILE": str(self.secret_file)},
            )  # fmt: skip
        if wait:
            await self.ready()

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.returncode is None

    async def state(self, timeout_s: float = 1.0) -> dict[str, Any] | None:
        """/health/ready, or None when it does not answer."""
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout_s)) as session,
                session.get(self.url + "/health/ready") as answer,
            ):
                found: dict[str, Any] = msgspec.json.decode(await answer.read())
                return found
        except (aiohttp.ClientError, TimeoutError, OSError, msgspec.DecodeError):
            return None

    async def ready(self) -> None:
        """Raises TimeoutError with the log's end when it does not come up."""
        try:
            async with asyncio.timeout(READY_S):
                while True:
                    if not self.running:
                        raise RuntimeError(f"{self.name} ended while starting:\n{self.tail()}")
                    state = await self.state()
                    if state is not None and state["ready"]:
                        return
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise TimeoutError(f"{self.name} is not ready:\n{self.tail()}") from None

    def tail(self, lines: int = 20) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def signal(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(number)

    async def kill(self) -> None:
        self.signal(signal.SIGKILL)
        if self.process is not None:
            await self.process.wait()

    async def stop(self) -> None:
        """In order, then for good."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        if self.process is not None:
            try:
                async with asyncio.timeout(20.0):
                    await self.process.wait()
            except TimeoutError:
                await self.kill()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Pair:
    """Two servers, each on its own line to the database. `async with Pair(...) as pair`."""

    def __init__(self, cluster: EmbeddedPostgres, database: str, folder: Path) -> None:
        self.cluster = cluster
        self.database = database
        secret = folder / "secret"
        secret.parent.mkdir(parents=True, exist_ok=True)
        secret.write_bytes(secrets.token_bytes(32))
        self.links: list[Link] = []
        self.servers: list[ServerProcess] = []
        for name in ("a", "b"):
            link = Link(folder / f"line-{name}", cluster)
            self.links.append(link)
            self.servers.append(ServerProcess(name, link.dsn(database), folder / name, free_port(), secret))

    async def __aenter__(self) -> Self:
        try:
            for link in self.links:
                await link.start()
            await self.servers[0].start()
            await self.servers[1].start()
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop both, in order."""
        for link in self.links:
            link.mend()
        await asyncio.gather(*(server.stop() for server in self.servers))
        for link in self.links:
            await link.stop()

    @property
    def urls(self) -> list[str]:
        return [server.url for server in self.servers]

    def link_of(self, server: ServerProcess) -> Link:
        return self.links[self.servers.index(server)]

    def other(self, server: ServerProcess) -> ServerProcess:
        return next(s for s in self.servers if s is not server)

    async def leader(self, within_s: float = 30.0) -> ServerProcess:
        """Who leads. Raises TimeoutError."""
        return await self.leader_but(None, within_s)

    async def leader_but(self, old: ServerProcess | None, within_s: float = 40.0) -> ServerProcess:
        """Who leads when `old` is not counted. Raises TimeoutError."""
        async with asyncio.timeout(within_s):
            while True:
                for server in self.servers:
                    if server is old:
                        continue
                    state = await server.state() if server.running else None
                    if state is not None and state["leading"]:
                        return server
                await asyncio.sleep(POLL_S)

    async def calm(self, within_s: float = 60.0) -> None:
        """Until one leads, nobody is degraded, both have read the same and no command waits to be decided anew.

        Raises TimeoutError.
        """
        async with asyncio.timeout(within_s):
            while True:
                states = [await server.state() for server in self.servers]
                if all(s is not None and s["ready"] and not s["degraded"] for s in states):
                    found = [s for s in states if s is not None]
                    together = sum(s["leading"] for s in found) == 1 and len({s["seq"] for s in found}) == 1
                    if together and await self.orphans() == 0:
                        return
                await asyncio.sleep(POLL_S)

    async def orphans(self) -> int:
        """Acknowledged commands that wait to be decided anew."""
        connection = await asyncpg.connect(self.cluster.dsn(self.database))
        try:
            return int(await connection.fetchval("SELECT count(*) FROM orphan"))
        finally:
            await connection.close()
