"""Two real server processes on one real database, with lines that can be cut: what drills and failover tests hurt."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self
from urllib.parse import quote

import aiohttp
import msgspec

from dispatch.database import connect
from siaga.chaos_net import Cable, Town
from siaga.postgres import PORT, EmbeddedPostgres

READY_S = 180.0
"""Start under load on two very busy cores; alone it is about 3 s."""
POLL_S = 0.02
CHUNK_BYTES = 65_536
EVERYWHERE = "0.0.0.0"  # noqa: S104 - in a network namespace that only the drill reaches
NODE_PORT = 8112
"""Where a node listens in a network of its own."""


class Lines(Protocol):
    """How one node reaches the databases; can be cut."""

    def dsn(self, database: str) -> str: ...

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def cut(self) -> None: ...

    def mend(self) -> None: ...


class Proxy:
    """Lines as unix sockets that pass bytes on, or keep them while they are cut; for machines that let us make no networks.

    What was kept is delivered when the line is mended, as TCP does: a commit may land long after its sender gave it up.
    """

    def __init__(self, folder: Path, real: Sequence[EmbeddedPostgres]) -> None:
        self.folders = [folder / str(n) for n in range(len(real))]
        self.real = real
        self._open = asyncio.Event()
        self._open.set()
        self._servers: list[asyncio.Server] = []
        self._pumps: set[asyncio.Task[None]] = set()

    def dsn(self, database: str) -> str:
        return socket_dsn(self.folders, database)

    async def start(self) -> None:
        for folder, cluster in zip(self.folders, self.real, strict=True):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            path = folder / f".s.PGSQL.{PORT}"
            path.unlink(missing_ok=True)
            accept = partial(self._accept, cluster)
            self._servers.append(await asyncio.start_unix_server(accept, path=str(path)))

    async def stop(self) -> None:
        for server in self._servers:
            server.close()
        for pump in list(self._pumps):
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    def cut(self) -> None:
        self._open.clear()

    def mend(self) -> None:
        self._open.set()

    async def _accept(
        self, cluster: EmbeddedPostgres, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await self._open.wait()
        try:
            to_reader, to_writer = await asyncio.open_unix_connection(str(cluster.socket_folder / f".s.PGSQL.{PORT}"))
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


class Wires:
    """Lines as a cable between two network namespaces: the databases over TCP, packets that vanish while it is cut."""

    def __init__(self, cable: Cable, addresses: Sequence[str]) -> None:
        self.cable = cable
        self.addresses = addresses

    def dsn(self, database: str) -> str:
        hosts = ",".join(f"{address}:{PORT}" for address in self.addresses)
        return f"postgresql://postgres@{hosts}/{quote(database)}?target_session_attrs=read-write"

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def cut(self) -> None:
        self.cable.cut()

    def mend(self) -> None:
        self.cable.mend()


def socket_dsn(folders: Sequence[Path], database: str) -> str:
    """Whichever of the servers with these socket folders can be written to."""
    hosts = ",".join(quote(str(folder), safe="") for folder in folders)
    ports = ",".join(str(PORT) for _ in folders)
    return f"postgresql://postgres@/{quote(database)}?host={hosts}&port={ports}&target_session_attrs=read-write"


class ServerProcess:
    """One `siaga` server as a process of its own."""

    def __init__(
        self, name: str, dsn: str, var: Path, address: tuple[str, int], secret_file: Path, peer_url: str = ""
    ) -> None:
        """`address`: where callers reach it; `peer_url`: where the other node does, if not there."""
        self.name = name
        self.dsn = dsn
        self.var = var
        self.host, self.port = address
        self.url = f"http://{self.host}:{self.port}"
        self.peer_url = peer_url
        self.enter: Sequence[str] = ()
        """What its command is put behind to run in another namespace."""
        self.tree: Path | None = None
        """The release it runs, when not ours."""
        self.environment: dict[str, str] = {}
        self.secret_file = secret_file
        self.process: asyncio.subprocess.Process | None = None
        self.log = var.with_name(f"{name}.log")

    def command(self) -> list[str]:
        """What is run, and where: see `chaos_node`."""
        host = EVERYWHERE if self.enter else self.host
        place = [self.dsn, str(self.var), host, str(self.port), self.peer_url]
        return [*self.enter, sys.executable, "-m", "siaga.chaos_node", *place]

    async def start(self, wait: bool = True) -> None:
        self.var.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.command(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self.tree,
                env={**os.environ, **self.environment, "SIAGA_SECRET_FILE": str(self.secret_file)},
            )
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

    def __init__(
        self, clusters: Sequence[EmbeddedPostgres], database: str, folder: Path, town: Town | None = None
    ) -> None:
        """`clusters`: the database servers, of which one can be written to at a time. `town`: networks to stand in."""
        self.clusters = clusters
        self.database = database
        self.town = town
        secret = folder / "secret"
        secret.parent.mkdir(parents=True, exist_ok=True)
        secret.write_bytes(secrets.token_bytes(32))
        self.links: list[Lines] = []
        self.servers: list[ServerProcess] = []
        for n, name in enumerate(("a", "b")):
            var = folder / name
            if town is None:
                self.links.append(Proxy(folder / f"line-{name}", clusters))
                address, peer_url = ("127.0.0.1", free_port()), ""
            else:
                addresses = [Town.database_addresses(which)[n] for which in range(1, len(clusters) + 1)]
                self.links.append(Wires(town.to_database[n], addresses))
                address, peer_url = (f"10.112.{11 + n}.10", NODE_PORT), f"http://10.112.21.{n + 1}:{NODE_PORT}"
            server = ServerProcess(name, self.links[n].dsn(database), var, address, secret, peer_url)
            if town is not None:
                server.enter = town.rooms[n].enter
            self.servers.append(server)

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
        if self.town is not None:
            self.town.mend()
        await asyncio.gather(*(server.stop() for server in self.servers))
        for link in self.links:
            await link.stop()

    @property
    def urls(self) -> list[str]:
        return [server.url for server in self.servers]

    def link_of(self, server: ServerProcess) -> Lines:
        return self.links[self.servers.index(server)]

    def networks(self) -> Town:
        assert self.town is not None
        return self.town

    def dsn(self) -> str:
        """For the drill itself: not over any line that is cut."""
        return socket_dsn([cluster.socket_folder for cluster in self.clusters], self.database)

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
        return int(await self._ask("SELECT count(*) FROM orphan"))

    async def is_replicated(self) -> bool:
        """Whether a standby confirms every commit."""
        return bool(await self._ask("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"))

    async def _ask(self, question: str) -> Any:
        connection = await connect(self.dsn(), role=None)
        try:
            return await connection.fetchval(question)
        finally:
            await connection.close()
