"""One run: hosts with server processes, people who use them, and faults, all by seed."""

from __future__ import annotations

import asyncio
import functools
import logging
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import msgspec
from aiohttp import web
from multidict import CIMultiDict

from dispatch import live as live_module
from dispatch.api import edge, problems
from dispatch.api.forward import FORWARDED
from dispatch.api.problems import Problem
from dispatch.api.routes import Route
from dispatch.api.services import SERVICES, Services
from dispatch.app import own_routes
from dispatch.clock import Clock
from dispatch.journal import JournalUnavailable, Told
from dispatch.live import Live
from dispatch.model import Actor
from dispatch.nodes import Node
from dispatch.policies.closest import Closest
from dispatch.region import Region
from dispatch.spool import SpoolingJournal
from geo.router import StraightLineRouter
from tests.dispatch.town import T0, town
from tests.simulation.loop import PROCESS, Process, VirtualLoop, seeded
from tests.simulation.watch import Watch
from tests.simulation.wire import Database, FakeDisk, SimElection, SimJournal

RPC_TIMEOUT_S = 3.0
SNAPSHOT_EVERY = 40
"""Lines between snapshots in a run, so that every run restores some."""
DRAIN_S = 5.0
LIMITS: dict[str, Any] = {
    "ack_timeout_s": 8.0,
    "retry_s": 6.0,
    "pre_alert_s": 10.0,
    "duplicate_hold_s": 8.0,
    "target_s": 60.0,
    "risk_check_s": 5.0,
}
"""Everything an hour of dispatching does, in a minute."""
REGION: Region = town(**LIMITS)


class Lost(Exception):
    """No answer came."""


class HostClock:
    """A host's own idea of the time."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.loop = loop
        self.offset_s = 0.0
        self.ahead_s = 0.0
        """The furthest it was ever set forward."""

    def now(self) -> datetime:
        return T0 + timedelta(seconds=round(self.loop.time() + self.offset_s, 6))


class _Device(msgspec.Struct):
    role: Any
    holder: str
    token_hash: bytes = b"phone"


class _Role(msgspec.Struct):
    value: str


class _Session(msgspec.Struct):
    actor: Actor
    csrf_token: str = "c"


class SimAccounts:
    """Everybody's token is `role:name`."""

    async def session(self, token: str) -> _Session:
        role, _, name = token.partition(":")
        return _Session(Actor(role=role, name=name))

    async def device(self, token: str) -> _Device:
        role, _, name = token.partition(":")
        return _Device(_Role(role), name)


class _Content:
    def __init__(self, body: bytes) -> None:
        self._body = body

    async def iter_chunked(self, size: int) -> Any:
        yield self._body


class SimRequest:
    """As much of `web.Request` as the guard and the handlers of commands look at."""

    method = "POST"
    content_type = "application/json"

    def __init__(self, path: str, body: bytes, headers: dict[str, str], who: str, remote: str) -> None:
        self.path = self.path_qs = path
        self.body = body
        self.headers = CIMultiDict(headers)
        self.cookies = {edge.SESSION_COOKIE: who}
        self.remote = remote
        self.content_length = len(body)
        self.content = _Content(body)
        self.app: dict[Any, Any] = {}

    def on(self, services: Services) -> SimRequest:
        """The same request as one server receives it."""
        copy = SimRequest(self.path, self.body, dict(self.headers), self.cookies[edge.SESSION_COOKIE], self.remote)
        copy.app = {SERVICES: services}
        return copy


@functools.cache
def handlers() -> dict[str, Callable[[Any], Awaitable[web.StreamResponse]]]:
    """The real handlers behind the real guard, by path."""
    table: list[Route] = [r for r in own_routes() if r.method == "POST" and "{" not in r.path]
    return {route.path: edge.guarded(route) for route in table}


class Host:
    """A machine: its disk and clock outlive its server process."""

    def __init__(self, name: str, loop: VirtualLoop, disk: FakeDisk) -> None:
        self.name = name
        self.url = f"http://{name}"
        self.disk = disk
        self.clock = HostClock(loop)
        self.process: Process | None = None
        self.election: SimElection | None = None
        self.live: Live | None = None
        self.node: Node | None = None
        self.services: Services | None = None
        self.boots = 0

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.alive

    @property
    def reachable(self) -> bool:
        return self.running and self.services is not None


class World:
    """Everything of one seed."""

    def __init__(self, seed: int, loop: VirtualLoop, hosts: int) -> None:
        self.seed = seed
        self.loop = loop
        self.stop = asyncio.Event()
        self.over = False
        self.faults: Counter[str] = Counter()
        self.region = REGION
        self.watch = Watch(self.region)
        self.watch.world = self
        self.database = Database(loop, seeded(seed, "database"), self.faults)
        self.database.committed = self.watch.committed
        self.wire = seeded(seed, "wire")
        self.names = seeded(seed, "names")
        self.lose = 0.0
        self.late_s = 0.0
        self.cut: set[frozenset[str]] = set()
        self.host_of: dict[uuid.UUID, Host] = {}
        self.hosts: list[Host] = []
        for number in range(hosts):
            disk = FakeDisk(loop, seeded(seed, "disk", str(number)), self.faults)
            host = Host(f"node{number}", loop, disk)
            disk.synced = functools.partial(self.watch.synced, host)
            self.hosts.append(host)
        self.router = StraightLineRouter()
        self.policy = Closest(redispatch=True)
        self.answers: Counter[int] = Counter()

    # --- processes

    def boot(self, host: Host) -> None:
        """Start a server process on the host; nothing of an earlier one is left but the disk."""
        host.boots += 1
        process = Process(f"{host.name}#{host.boots}")
        process.on_death = functools.partial(self._died, host)
        writer = uuid.UUID(int=self.names.getrandbits(128))
        election = SimElection(self.database, host.name, process)

        async def leave(orphans: list[Told]) -> None:
            self.watch.orphaned(host, journal._held)
            await election.leave_orphans(orphans)
            self.faults["acknowledged commands decided anew"] += len(orphans)
            self.watch.redecided.update(told.key for told in orphans if told.key is not None)

        journal = SpoolingJournal(SimJournal(self.database, host.name, writer), host.disk, leave, run=host.disk.run)
        clock: Clock = host.clock
        live = Live(self.region, self.router, journal, clock, self.policy, run_id=process.name)
        live.hub.listen(functools.partial(self.watch.published, host))
        node = Node(live, election, process.name, host.url, ask=functools.partial(self._ask, host))
        host.disk.ambush = None
        host.process, host.election, host.live, host.node, host.services = process, election, live, node, None
        self.host_of[writer] = host
        self.loop.spawn(process, self._main(host, live, node), process.name)

    async def _main(self, host: Host, live: Live, node: Node) -> None:
        process = host.process
        try:
            await live.start()
        except JournalUnavailable:
            assert process is not None
            process.kill()  # a supervisor starts it again
            await asyncio.sleep(0)
            return
        host.services = Services(
            region=self.region,
            live=live,
            node=node,
            accounts=SimAccounts(),  # type: ignore[arg-type]
            clock=host.clock,
            secret=b"s" * 32,
            classifier=None,  # type: ignore[arg-type]
        )
        try:
            await node.run()
        except Exception as error:
            self.watch.fail(f"{host.name} ended: {error!r}")

    def _died(self, host: Host, process: Process) -> None:
        host.disk.died()
        if host.process is process:
            assert host.election is not None
            host.election.died()
            outside = self.loop.call_later
            delay_s = 0.3 + 3.0 * self.wire.random()
            token = PROCESS.set(None)
            outside(delay_s, self._boot_again, host, process)
            PROCESS.reset(token)

    def _boot_again(self, host: Host, process: Process) -> None:
        if host.process is process and not self.over:
            self.boot(host)

    async def stop_gracefully(self, host: Host) -> None:
        """What SIGTERM does (`dispatch.app`), then the process is gone."""
        process, live, node = host.process, host.live, host.node
        if process is None or not process.alive or live is None or node is None or host.services is None:
            return
        host.services = None  # the listening socket closes first

        async def ending() -> None:
            try:
                async with asyncio.timeout(DRAIN_S):
                    await live.drain()
            except TimeoutError:
                pass
            await node.stop()
            process.kill()

        await asyncio.wait([self.loop.spawn(process, ending())], timeout=20.0)
        process.kill()

    def leader(self) -> Host | None:
        return next((h for h in self.hosts if h.running and h.live is not None and h.live.leading), None)

    # --- links

    def _link(self, one: str, other: str) -> bool:
        return frozenset((one, other)) not in self.cut

    async def _ask(self, asker: Host, url: str) -> bool:
        host = next((h for h in self.hosts if h.url == url), None)
        await asyncio.sleep(self.wire.uniform(0.0005, 0.005))
        if host is None or not self._link(asker.name, host.name) or not host.running:
            return False
        assert host.process is not None
        if host.process.frozen:
            await asyncio.sleep(0.25)
            return False
        return host.live is not None and host.live.leading

    async def call(self, source: str, host: Host, request: SimRequest) -> tuple[int, bytes]:
        """One HTTP request over a line that may lose it or its answer. Raises Lost."""
        if self.loop.open_gates:
            raise asyncio.CancelledError
        await asyncio.sleep(self.wire.uniform(0.001, 0.02) + self.late_s * self.wire.random())
        process = host.process
        if not self._link(source, host.name) or (self.lose and self.wire.random() < self.lose):
            self.faults["request lost"] += 1
            await asyncio.sleep(RPC_TIMEOUT_S)
            raise Lost
        if process is None or not host.reachable or host.services is None:
            await asyncio.sleep(0.01)
            raise Lost
        reply: asyncio.Future[tuple[int, bytes]] = self.loop.create_future()
        self.loop.spawn(process, self._serve(source, host, host.services, request, reply))
        try:
            async with asyncio.timeout(RPC_TIMEOUT_S):
                return await reply
        except TimeoutError:
            raise Lost from None

    async def _serve(
        self, source: str, host: Host, services: Services, request: SimRequest, reply: asyncio.Future[Any]
    ) -> None:
        try:
            response = await handlers()[request.path](request.on(services))
            body = getattr(response, "body", b"")
            result = (response.status, bytes(body) if isinstance(body, bytes | bytearray) else b"")
        except Exception as error:
            problem = edge.problem_of(error)
            if problem is None:
                self.watch.fail(f"{request.path} raised {error!r}")
                return
            result = (problems.texts()[problem.code][0], problem.code.encode())
        if not self._link(source, host.name) or (self.lose and self.wire.random() < self.lose):
            self.faults["answer lost"] += 1
            return
        token = PROCESS.set(None)
        self.loop.call_later(self.wire.uniform(0.001, 0.02), _deliver, reply, result)
        PROCESS.reset(token)

    async def forward(self, request: SimRequest, body: bytes, services: Services) -> web.Response:
        """`dispatch.api.forward.forward` over these links."""
        leader, own = services.node.leader_url, services.node.url
        host = next((h for h in self.hosts if h.url == leader), None)
        if host is None or leader == own or FORWARDED in request.headers:
            raise Problem("not_leading", retry_after_s=1)
        onward = request.on(services)
        onward.headers[FORWARDED] = services.node.name
        source = next(h.name for h in self.hosts if h.url == own)
        try:
            status, answer = await self.call(source, host, onward)
        except Lost:
            raise Problem("not_leading", retry_after_s=1) from None
        return web.Response(status=status, body=answer)


def _deliver(reply: asyncio.Future[Any], result: Any) -> None:
    if not reply.done():
        reply.set_result(result)


class Result(msgspec.Struct):
    """What one seed came to."""

    seed: int
    violation: str | None
    digest: str
    lines: int
    acked_reports: int
    acked: int
    virtual_s: float
    faults: dict[str, int]


@contextmanager
def patched(world: World) -> Iterator[None]:
    """The two things that are not parameters: how a command is handed on, and how often a snapshot is kept."""
    kept, every = edge.forward, live_module.SNAPSHOT_EVERY
    edge.forward = world.forward  # type: ignore[assignment]
    live_module.SNAPSHOT_EVERY = SNAPSHOT_EVERY
    root = logging.getLogger("siaga")
    level, propagate = root.level, root.propagate
    root.addHandler(world.watch)
    root.setLevel(logging.ERROR)
    root.propagate = False
    try:
        yield
    finally:
        edge.forward, live_module.SNAPSHOT_EVERY = kept, every
        root.removeHandler(world.watch)
        root.setLevel(level)
        root.propagate = propagate


__all__ = ["Host", "Lost", "Result", "SimRequest", "World", "patched"]
