"""Puts one server together and runs it: database, region, roads, policy, engine, HTTP, and the rooms above dispatch."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import ipaddress
import logging
import os
import secrets
import socket
from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any, Self

import asyncpg
import msgspec
from aiohttp import web

from dashboards.pages import add_pages
from dispatch.account_rows import AccountsUnavailable, PostgresAccounts
from dispatch.accounts import REFRESH_S, Accounts
from dispatch.api.door import Door
from dispatch.api.routes import Route
from dispatch.api.services import Services
from dispatch.app import make_app
from dispatch.classify import Classifier
from dispatch.clock import Clock, SystemClock
from dispatch.database import APP_ROLE, PASSING_ERRORS, connect, create_pool
from dispatch.history import History
from dispatch.housekeeping import keep_house
from dispatch.journal_pg import PostgresJournal
from dispatch.live import Live
from dispatch.migrate import apply_grants, check_schema, migrate
from dispatch.nodes import Node, PostgresElection
from dispatch.pack import load as load_pack
from dispatch.photos import Photos
from dispatch.policies import registry
from dispatch.policies.view import Policy
from dispatch.projections import check_journal
from dispatch.pusher import Pusher
from dispatch.pusher import Settings as PushSettings
from dispatch.region import Region
from dispatch.roles import Role
from dispatch.spool import FileDisk, SpoolingJournal
from dispatch.statements import SQL
from dispatch.throttle import SignInThrottle
from geo.cli import cache_file
from geo.learned import learned_file
from geo.router import Router
from siaga.road_clock import RoadClock
from siaga.rooms import Rooms
from siaga.router import load_router
from siaga.tls import Certificate

log = logging.getLogger("siaga.serve")

REGIONS = Path(__file__).resolve().parents[1] / "regions"
SECRET_BYTES = 32
KEEP_ALIVE_S = 75.0
STOP_S = 5.0
"""Requests still running when the server stops get this long; a long poll would wait 25 s."""
TELL_EVERY_S = 3600.0
START_TIMEOUT_S = 60.0
"""A node that neither leads nor finds a leader within a minute is misconfigured."""


class Config(msgspec.Struct):
    """How a server is to run. `dsn` may name several hosts for failover."""

    dsn: str
    var: Path
    host: str = "127.0.0.1"
    port: int = 8112
    pack: Path = REGIONS / "surabaya"
    demo: bool = False
    public_url: str = ""
    """Where other nodes reach this one; empty = its own address."""
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    """Both or neither; without them a proxy must encrypt."""
    proxies: list[str] = []
    """Networks of our own proxies: what they say of the client's address is believed."""
    control_room: list[str] = []
    """Networks of the control room: a stranger's guesses at a password never keep anybody there from signing in."""
    push: PushSettings = PushSettings()
    """How sleeping phones are woken; without a contact they are not, and nothing leaves the building."""


class Server:
    """One running server. Use as `async with Server(config) as server`; `server.url` is where it answers.

    `region`, `router`, `policy` and `clock` may be given instead of being read from the pack (replay, tests), and
    `further` routes that only a rehearsal has.
    """

    def __init__(
        self,
        config: Config,
        *,
        region: Region | None = None,
        router: Router | None = None,
        policy: Policy | None = None,
        clock: Clock | None = None,
        further: Sequence[Route] = (),
    ) -> None:
        self.config = config
        self.further = further
        self.clock = clock or SystemClock()
        self.region = region
        self.router = router
        self.policy = policy
        self.services: Services | None = None
        self.rooms: Rooms | None = None
        self.unit_tokens: dict[str, str] = {}
        """Demo only: unit id -> device token."""
        self.partner_token = ""
        self.demo_password = ""
        self.url = ""
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _start(self) -> None:
        config = self.config
        region = self.region if self.region is not None else load_pack(config.pack)
        certificate = _certificate(config)
        loop = asyncio.get_running_loop()
        router = self.router
        if router is None:
            router = await loop.run_in_executor(None, load_router, region, config.pack, config.var)
        # What a newer release takes away is taken by `siaga migrate`, when no process of the older one runs any more.
        role = await prepare_database(config.dsn, region.code, phase=None if config.demo else "pre")
        pool = await create_pool(config.dsn, role=role)
        self._stack.push_async_callback(pool.close)
        election = PostgresElection(config.dsn, region.code, pool)
        self._stack.push_async_callback(election.close)
        spool = FileDisk(config.var / "spool" / f"{region.code}.spool")
        lines = PostgresJournal(pool)
        journal = SpoolingJournal(lines, spool, election.leave_orphans)
        self._stack.push_async_callback(journal.close)
        accounts = Accounts(PostgresAccounts(pool), self.clock, allow_demo=config.demo)
        accounts.throttle = SignInThrottle(config.control_room)
        await accounts.refresh()
        if config.demo:
            self.demo_password = secrets.token_urlsafe(6) if config.host != "127.0.0.1" else DEMO_PASSWORD
            self.unit_tokens = await accounts.prepare_demo(region.units, self.demo_password)
            self.partner_token = await accounts.issue_token(Role.PARTNER, "exchange", "demo", "system:siaga", demo=True)
        else:
            accounts.refuse_demo()
        rooms = Rooms(region, router, config.pack, config.var, self.clock.now, pool)
        self.rooms = rooms
        policy = self.policy if self.policy is not None else registry.make(region.policy, region, router)
        live = Live(region, router, journal, self.clock, policy, rooms.zone_of)
        await live.start()
        live.hub.listen(rooms.feed.published)
        catching_up = asyncio.create_task(rooms.feed.run(journal, live.hub), name="sla")
        self._stack.push_async_callback(_end, catching_up)
        workshop = asyncio.create_task(rooms.workshop.run(), name="workshop")
        self._stack.push_async_callback(_end, workshop)
        if rooms.mailer is not None:
            mailing = asyncio.create_task(rooms.mailer.run(), name="mailing")
            self._stack.push_async_callback(_end, mailing)
        node = Node(live, election, f"{socket.gethostname()}:{os.getpid()}")
        secret = load_secret(config.var)
        pusher = Pusher(config.push, secret, accounts, live, self.clock)
        live.hub.listen(pusher.published)
        if pusher.on:
            waking = asyncio.create_task(pusher.run(), name="push")
            self._stack.push_async_callback(_end, waking)
        services = Services(
            region=region,
            live=live,
            node=node,
            accounts=accounts,
            clock=self.clock,
            secret=secret,
            classifier=Classifier(region),
            places=rooms.places,
            tiles=rooms.tiles,
            site=rooms.site,
            history=History(lines),
            photos=Photos(pool, region.code),
            pusher=pusher,
            demo=config.demo,
            proxies=[ipaddress.ip_network(network) for network in config.proxies],
        )
        self.services = services
        app = make_app(services, [*rooms.routes(), *self.further])
        try:
            add_pages(app)
        except FileNotFoundError as missing:
            log.warning("%s", missing)
        runner = web.AppRunner(app, access_log=None, keepalive_timeout=KEEP_ALIVE_S, shutdown_timeout=STOP_S)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        refresh = asyncio.create_task(_refresh(accounts), name="accounts")
        self._stack.push_async_callback(_end, refresh)
        roads = asyncio.create_task(
            RoadClock(live, learned_file(cache_file(region.code, config.var))).run(), name="road clock"
        )
        self._stack.push_async_callback(_end, roads)
        house = asyncio.create_task(keep_house(lines, accounts.store, self.clock), name="housekeeping")
        self._stack.push_async_callback(_end, house)
        assert runner.server is not None
        door = asyncio.create_task(Door(runner.server).watch(), name="door")
        self._stack.push_async_callback(_end, door)
        context = None
        if certificate is not None:
            context = certificate.context
            renewing = asyncio.create_task(certificate.watch(), name="certificate")
            self._stack.push_async_callback(_end, renewing)
        site = web.TCPSite(runner, config.host, config.port, ssl_context=context)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        self.url = f"{'http' if context is None else 'https'}://{config.host}:{port}"
        node.url = config.public_url or self.url
        telling = asyncio.create_task(_tell_who_serves(pool, port, node.url, services.secret), name="who-serves")
        self._stack.push_async_callback(_end, telling)
        async with asyncio.timeout(START_TIMEOUT_S):
            await node.settled.wait()
        log.info("serving region=%s url=%s router=%s policy=%s", region.code, self.url, router.name, policy.name)


def _certificate(config: Config) -> Certificate | None:
    if config.tls_certificate is None and config.tls_key is None:
        return None
    if config.tls_certificate is None or config.tls_key is None:
        raise ValueError("a certificate needs its key, and a key its certificate")
    return Certificate(config.tls_certificate, config.tls_key)


DEMO_PASSWORD = "siaga112"  # noqa: S105 - demo accounts exist only under `make run`, on loopback


class DatabaseAway(Exception):  # noqa: N818
    """A node does not start without the database: only the journal says what was promised, and to whom. Taking reports on top
    of a guess could send two units, or none. The leader that still runs serves on from its spool.
    """


async def prepare_database(dsn: str, region: str | None = None, phase: str | None = None) -> str | None:
    """Migrate, grant, check a region's journal, and say as which role to work (None: the DSN's own user).

    Raises DatabaseAway; JournalCorrupt when a line is missing or time runs back: such a journal is not served from.
    """
    try:
        owner = await connect(dsn, role=None)
    except PASSING_ERRORS as error:
        raise DatabaseAway(f"{type(error).__name__}: {error}") from error
    try:
        await migrate(owner, phase=phase)
        granted = await apply_grants(owner)
        await check_schema(owner)
        if region is not None:
            await check_journal(owner, region)
    finally:
        await owner.close()
    return APP_ROLE if granted else None


def secret_path(var: Path) -> Path:
    named = os.environ.get("SIAGA_SECRET_FILE")
    return Path(named) if named else var / "secret"


def load_secret(var: Path) -> bytes:
    """The key that signs callers' links: from SIAGA_SECRET_FILE, else a file made on first start, owner-only."""
    path = secret_path(var)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(SECRET_BYTES))
    secret = path.read_bytes()
    if len(secret) < SECRET_BYTES:
        raise ValueError(f"secret file holds {len(secret)} bytes, needs {SECRET_BYTES}")
    return secret


def push_settings() -> PushSettings:
    """From SIAGA_PUSH_CONTACT (mailto: or https:) and SIAGA_PUSH_SERVICES (host names by comma; left out = the browsers' own)."""
    contact = os.environ.get("SIAGA_PUSH_CONTACT", "")
    if contact and not contact.startswith(("mailto:", "https:")):
        raise ValueError("SIAGA_PUSH_CONTACT begins with mailto: or https:")
    named = os.environ.get("SIAGA_PUSH_SERVICES")
    if named is None:
        return PushSettings(contact)
    return PushSettings(contact, tuple(host.strip() for host in named.split(",") if host.strip()))


async def _refresh(accounts: Accounts) -> None:
    while True:
        await asyncio.sleep(REFRESH_S)
        with contextlib.suppress(AccountsUnavailable):
            await accounts.refresh()


def secret_digest(secret: bytes) -> bytes:
    """By which nodes see that they were given the same secret; it cannot be found from this."""
    return hmac.new(secret, b"siaga node", sha256).digest()


async def _tell_who_serves(pool: asyncpg.Pool, port: int, url: str, secret: bytes) -> None:
    """Until cancelled: a row for `siaga doctor`."""
    name, release = f"{socket.gethostname()}:{port}", metadata.version("siaga112")
    while True:
        try:
            await pool.execute(SQL["put_node"], name, url, release, secret_digest(secret))
        except (*PASSING_ERRORS, asyncpg.PostgresError) as error:
            log.warning("cannot say that we serve: %s", type(error).__name__)
        await asyncio.sleep(TELL_EVERY_S)


async def _end(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def serve_until(config: Config, stop: asyncio.Event, on_ready: Callable[[Server], Awaitable[None]]) -> None:
    """Serve until `stop` is set."""
    async with Server(config) as server:
        await on_ready(server)
        await stop.wait()
