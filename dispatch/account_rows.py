"""What the database keeps of accounts, sessions and tokens, and the two stores that keep it: PostgreSQL and memory."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Protocol

import asyncpg
import msgspec

from dispatch.database import PASSING_ERRORS
from dispatch.roles import Role
from dispatch.statements import SQL
from dispatch.webpush import Subscription


class AccountsUnavailable(Exception):  # noqa: N818
    """The database cannot be reached; nothing was changed."""


class Account(msgspec.Struct, frozen=True):
    """A person who signs in. `username` is lower case."""

    username: str
    name: str
    role: Role
    password_hash: str
    demo: bool
    created_at: datetime
    disabled_at: datetime | None = None


class Session(msgspec.Struct, frozen=True):
    """A signed-in browser. Only the SHA-256 of its cookie is kept."""

    token_hash: bytes
    username: str
    csrf_token: str
    created_at: datetime
    expires_at: datetime


class KnownBrowser(msgspec.Struct, frozen=True):
    """A browser that has signed in to this account before; see `throttle.py`."""

    token_hash: bytes
    username: str
    expires_at: datetime


class DeviceToken(msgspec.Struct, frozen=True):
    """A machine's bearer token: `holder` is the unit id (role crew) or the partner's name (role partner)."""

    token_hash: bytes
    role: Role
    holder: str
    label: str
    demo: bool
    issued_by: str
    created_at: datetime
    revoked_at: datetime | None = None
    push_endpoint: str | None = None
    """Where this phone can be woken, with its browser's keys; all None = it did not ask, or its service has forgotten it."""
    push_p256dh: str | None = None
    push_auth: str | None = None

    @property
    def push(self) -> Subscription | None:
        if self.push_endpoint is None or self.push_p256dh is None or self.push_auth is None:
            return None
        return Subscription(self.push_endpoint, self.push_p256dh, self.push_auth)

    @property
    def device(self) -> str:
        """A short name to tell a holder's devices apart; nothing can be done with it."""
        return self.token_hash[:4].hex()


class Audit(msgspec.Struct, frozen=True):
    """One line of account_audit. `detail` never holds a secret."""

    at: datetime
    actor: str
    subject: str
    action: str
    detail: dict[str, Any] = {}


class CallerReading(msgspec.Struct, frozen=True):
    """Somebody looked at a caller's personal data."""

    at: datetime
    region: str
    report_id: str
    username: str
    role: str
    purpose: str


Row = Account | Session | KnownBrowser | DeviceToken

PUT: dict[type[Any], str] = {
    Account: "put_account",
    Session: "put_session",
    KnownBrowser: "put_known_browser",
    DeviceToken: "put_device_token",
}
LOAD: dict[type[Any], str] = {
    Account: "load_accounts",
    Session: "load_sessions",
    KnownBrowser: "load_known_browsers",
    DeviceToken: "load_device_tokens",
}


class AccountStore(Protocol):
    """Where accounts are kept. Every method raises AccountsUnavailable."""

    async def load(self, now_at: datetime) -> list[Row]:
        """Everything that is still in force."""

    async def put(self, *rows: Row, audit: Audit | None = None) -> None:
        """Write or replace, with the audit line in the same transaction."""

    async def delete_sessions(self, hashes: list[bytes], audit: Audit | None = None) -> None: ...

    async def find_session(self, token_hash: bytes) -> Session | None: ...

    async def find_device_token(self, token_hash: bytes) -> DeviceToken | None: ...

    async def record_reading(self, reading: CallerReading) -> None: ...

    async def prune(self, now_at: datetime) -> None:
        """Forget sessions and browsers whose time is over."""


class PostgresAccounts:
    """Accounts in PostgreSQL."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self.pool = pool

    @contextlib.asynccontextmanager
    async def _transaction(self) -> AsyncIterator[asyncpg.Connection]:
        try:
            async with self.pool.acquire(timeout=5.0) as connection, connection.transaction():
                yield connection
        except PASSING_ERRORS as error:
            raise AccountsUnavailable(type(error).__name__) from error

    async def load(self, now_at: datetime) -> list[Row]:
        rows: list[Row] = []
        async with self._transaction() as connection:
            for struct, name in LOAD.items():
                arguments = (now_at,) if struct in (Session, KnownBrowser) else ()
                rows += [_struct(row, struct) for row in await connection.fetch(SQL[name], *arguments)]
        return rows

    async def put(self, *rows: Row, audit: Audit | None = None) -> None:
        async with self._transaction() as connection:
            for row in rows:
                await connection.execute(SQL[PUT[type(row)]], *msgspec.structs.astuple(row))
            await self._audit(connection, audit)

    async def delete_sessions(self, hashes: list[bytes], audit: Audit | None = None) -> None:
        async with self._transaction() as connection:
            await connection.execute(SQL["delete_sessions"], hashes)
            await self._audit(connection, audit)

    @staticmethod
    async def _audit(connection: asyncpg.Connection, audit: Audit | None) -> None:
        if audit is not None:
            detail = msgspec.json.encode(audit.detail)
            await connection.execute(
                SQL["add_account_audit"], audit.at, audit.actor, audit.subject, audit.action, detail
            )

    async def find_session(self, token_hash: bytes) -> Session | None:
        async with self._transaction() as connection:
            row = await connection.fetchrow(SQL["find_session"], token_hash)
        return None if row is None else _struct(row, Session)

    async def find_device_token(self, token_hash: bytes) -> DeviceToken | None:
        async with self._transaction() as connection:
            row = await connection.fetchrow(SQL["find_device_token"], token_hash)
        return None if row is None else _struct(row, DeviceToken)

    async def record_reading(self, reading: CallerReading) -> None:
        async with self._transaction() as connection:
            await connection.execute(SQL["record_caller_reading"], *msgspec.structs.astuple(reading))

    async def prune(self, now_at: datetime) -> None:
        async with self._transaction() as connection:
            await connection.execute(SQL["prune_sessions"], now_at)
            await connection.execute(SQL["prune_known_browsers"], now_at)


def _struct(row: Any, struct: type[Any]) -> Any:
    return msgspec.convert(dict(row), struct, builtin_types=(bytes, datetime))


class MemoryAccounts:
    """Accounts for simulation and tests: the same rules, nothing durable."""

    def __init__(self) -> None:
        self.rows: dict[tuple[type[Any], object], Row] = {}
        self.audit: list[Audit] = []
        self.readings: list[CallerReading] = []
        self.down = False
        """Set to play a database that is gone."""

    def _check(self) -> None:
        if self.down:
            raise AccountsUnavailable("down")

    async def load(self, now_at: datetime) -> list[Row]:
        self._check()
        return list(self.rows.values())

    async def put(self, *rows: Row, audit: Audit | None = None) -> None:
        self._check()
        for row in rows:
            self.rows[type(row), msgspec.structs.astuple(row)[0]] = row
        if audit is not None:
            self.audit.append(audit)

    async def delete_sessions(self, hashes: list[bytes], audit: Audit | None = None) -> None:
        self._check()
        for token_hash in hashes:
            self.rows.pop((Session, token_hash), None)
        if audit is not None:
            self.audit.append(audit)

    async def find_session(self, token_hash: bytes) -> Session | None:
        self._check()
        row = self.rows.get((Session, token_hash))
        return row if isinstance(row, Session) else None

    async def find_device_token(self, token_hash: bytes) -> DeviceToken | None:
        self._check()
        row = self.rows.get((DeviceToken, token_hash))
        return row if isinstance(row, DeviceToken) else None

    async def record_reading(self, reading: CallerReading) -> None:
        self._check()
        self.readings.append(reading)

    async def prune(self, now_at: datetime) -> None:
        self._check()
        for key, row in list(self.rows.items()):
            if isinstance(row, Session | KnownBrowser) and row.expires_at <= now_at:
                del self.rows[key]
