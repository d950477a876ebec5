"""Connections to PostgreSQL: one pool, least privilege, JSON as bytes, errors sorted into passing and lasting ones."""

from __future__ import annotations

import asyncio
import logging
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import asyncpg

from dispatch.statements import SQL

log = logging.getLogger(__name__)

APP_ROLE = "siaga_app"
READER_ROLE = "siaga_reader"

POOL_SIZE = 8
"""One writer, reads of the API, position COPY, accounts. Eight connections already saturate two cores (4,400 commits/s)."""
CONNECT_TIMEOUT_S = 5.0
COMMAND_TIMEOUT_S = 30.0
"""For reads and maintenance; an append has its own, shorter limit."""

PASSING_ERRORS: tuple[type[BaseException], ...] = (
    OSError,  # refused, reset, socket file gone; includes TimeoutError
    asyncpg.InterfaceError,  # connection closed under us, pool closing
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # shutdown, crash recovery, cancelled, cannot_connect_now
    asyncpg.InsufficientResourcesError,  # disk full, out of memory, too many connections
    asyncpg.TransactionRollbackError,  # deadlock, serialisation
    asyncpg.ReadOnlySQLTransactionError,  # a replica that is not promoted yet
    asyncpg.PostgresSystemError,  # I/O error of the server
    asyncpg.LockNotAvailableError,
    asyncpg.InternalClientError,
)
"""What may go away by itself. Anything else is a mistake in the data or in the program."""


UNHURRIED = "SET synchronous_commit = off"
"""For signs of life: nobody misses one after a power cut, and they must wait neither for a busy disk nor for a replica."""


async def prepare_connection(connection: asyncpg.Connection) -> None:
    """JSON columns travel as the bytes msgspec makes and reads, never as Python objects."""
    await connection.set_type_codec(
        "json", schema="pg_catalog", format="binary", encoder=lambda value: value, decoder=bytes
    )


def each_host(dsn: str) -> list[str]:
    """A DSN that names several servers as one DSN a server; hosts stand behind the @, or as `host=` (sockets)."""
    parts = urlsplit(dsn)
    query = parse_qsl(parts.query, keep_blank_values=True)
    asked = dict(query)
    if "host" in asked:
        hosts = asked["host"].split(",")
        ports = asked.get("port", "").split(",")
        return [
            parts._replace(
                query=urlencode(
                    [
                        (name, host if name == "host" else ports[min(n, len(ports) - 1)] if name == "port" else value)
                        for name, value in query
                    ]
                )
            ).geturl()
            for n, host in enumerate(hosts)
        ]
    user, at, places = parts.netloc.rpartition("@")
    return [parts._replace(netloc=user + at + place).geturl() for place in places.split(",")]


async def _connect(dsn: str, **options: Any) -> asyncpg.Connection:
    """The first of the DSN's servers that answers and is what `target_session_attrs` asks for. All are asked at once: asyncpg
    asks one after the other under one time limit, so that a first server which is silent (its machine lost power) would
    keep us from ever reaching the second.
    """
    servers = each_host(dsn)
    if len(servers) > 1 and "target_session_attrs" not in dsn:
        options["target_session_attrs"] = "read-write"  # whoever names two means the one that can be written to
    asking = [asyncio.ensure_future(asyncpg.connect(one, **options)) for one in servers]
    try:
        waiting: set[asyncio.Future[asyncpg.Connection]] = set(asking)
        while waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for answered in done:
                if answered.exception() is None:
                    asking.remove(answered)
                    return answered.result()
        return asking[0].result()  # raises what the first server said
    finally:
        for late in asking:
            late.add_done_callback(_hang_up)
            late.cancel()


def _hang_up(late: asyncio.Future[asyncpg.Connection]) -> None:
    """A second server answered as well."""
    if not late.cancelled() and late.exception() is None:
        late.result().terminate()


async def connect(dsn: str, role: str | None = APP_ROLE, **options: object) -> asyncpg.Connection:
    """One connection, working as `role` (None: as whoever the DSN names)."""
    connection = await _connect(dsn, timeout=CONNECT_TIMEOUT_S, server_settings=_settings(role), **options)
    await prepare_connection(connection)
    return connection


async def create_pool(
    dsn: str, *, role: str | None = APP_ROLE, size: int = POOL_SIZE, command_timeout_s: float = COMMAND_TIMEOUT_S
) -> asyncpg.Pool:
    """The pool everybody shares. A DSN with several hosts follows a failover: `target_session_attrs` is read-write then.

    `role` None is for databases on which the roles could not be made (see `migrate.apply_grants`).
    """
    return await asyncpg.create_pool(
        dsn,
        connect=_connect,
        min_size=1,
        max_size=size,
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=command_timeout_s,
        server_settings=_settings(role),
        init=prepare_connection,
    )


def _settings(role: str | None) -> dict[str, str]:
    settings = {"application_name": "siaga112", "timezone": "UTC", "jit": "off"}
    return settings if role is None else settings | {"role": role}


class Leadership:
    """The advisory lock that keeps two writers of one region from fighting. The journal's key is the real fence.

    Held by a connection of its own: the lock goes when the connection goes, also when the process is killed.
    """

    def __init__(self, dsn: str, region: str, role: str | None = APP_ROLE) -> None:
        self.dsn = dsn
        self.region = region
        self.role = role
        self._connection: asyncpg.Connection | None = None

    @property
    def alive(self) -> bool:
        return self._connection is not None and not self._connection.is_closed()

    @property
    def connection(self) -> asyncpg.Connection:
        """The lock's own connection; only after a first `try_lead`."""
        assert self._connection is not None
        return self._connection

    async def try_lead(self) -> bool:
        """True when this process holds the region now, False when another does. Raises one of PASSING_ERRORS."""
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(self.dsn, self.role)
            await self._connection.execute(UNHURRIED, timeout=CONNECT_TIMEOUT_S)
        elif await self.holds():
            return True
        return bool(await self._connection.fetchval(SQL["try_lead"], self.region, timeout=CONNECT_TIMEOUT_S))

    async def holds(self) -> bool:
        """Whether the lock is still ours; False as soon as its connection is dead."""
        if self._connection is None or self._connection.is_closed():
            return False
        try:
            return bool(await self._connection.fetchval(SQL["leads"], self.region, timeout=CONNECT_TIMEOUT_S))
        except PASSING_ERRORS:
            self._connection.terminate()
            return False

    async def close(self) -> None:
        """Let go, so that another may lead at once."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            try:
                await connection.close(timeout=CONNECT_TIMEOUT_S)
            except PASSING_ERRORS:
                connection.terminate()
