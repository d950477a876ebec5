"""What every simulated client needs to speak with a server over HTTP: keys, patience, and the difference between a
refusal (mend it) and a line that is gone (try again with the same idempotency key).
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections import Counter
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import aiohttp
import msgspec

CONNECTIONS_MAX = 64
"""Open requests of one simulated city; web sockets come on top."""
REQUEST_S = 15.0
"""A healthy server answers in milliseconds; this long means the line is dead."""
BACKOFF_FIRST_S = 0.2
BACKOFF_MAX_S = 4.0
AGAIN = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
"""Answers that mean "not now"."""
SESSION_COOKIE = "siaga_session"
CSRF_HEADER = "X-CSRF-Token"


class Keys(msgspec.Struct):
    """What a demo server hands to its simulated city."""

    url: str
    password: str
    partner_token: str
    unit_tokens: dict[str, str]


class Keyring:
    """The keys of a running server; read anew when it has been started again and made others."""

    def __init__(self, keys: Keys | None = None, path: Path | None = None) -> None:
        self.path = path
        self._keys = keys

    @property
    def keys(self) -> Keys:
        if self._keys is None:
            self.reload()
        assert self._keys is not None
        return self._keys

    def reload(self) -> None:
        """Read the file again; a half-written or missing one leaves the old keys in force."""
        if self.path is None:
            return
        try:
            self._keys = msgspec.json.decode(self.path.read_bytes(), type=Keys)
        except (OSError, msgspec.DecodeError):
            if self._keys is None:
                raise


class Refused(Exception):  # noqa: N818 - the server's word for it
    """The server understood and said no."""

    def __init__(self, status: int, code: str, field: str | None = None) -> None:
        super().__init__(f"{status} {code}{f' ({field})' if field else ''}")
        self.status = status
        self.code = code
        self.field = field


class Unreachable(Exception):  # noqa: N818
    """No answer, or "not now": the same request may be sent again."""

    def __init__(self, why: str, retry_after_s: float | None = None) -> None:
        super().__init__(why)
        self.retry_after_s = retry_after_s


class Answer(NamedTuple):
    """An answer that was read to its end."""

    status: int
    body: bytes
    cookies: dict[str, str]


class _ProblemBody(msgspec.Struct):
    code: str = "unknown"
    field: str | None = None


def new_key() -> str:
    """An idempotency key no other run has used."""
    return uuid.uuid4().hex


class Backoff:
    """How long to wait before the next try: doubling, bounded, with chance so that clients do not come back together."""

    def __init__(self) -> None:
        self._step_s = BACKOFF_FIRST_S

    def next_s(self, asked_s: float | None = None) -> float:
        wait_s = self._step_s * random.uniform(0.5, 1.0)
        self._step_s = min(BACKOFF_MAX_S, self._step_s * 2.0)
        return wait_s if asked_s is None else max(wait_s, min(asked_s, BACKOFF_MAX_S))

    def reset(self) -> None:
        self._step_s = BACKOFF_FIRST_S


class Wire:
    """One client session to one server. `counts` tells afterwards what happened on it."""

    def __init__(self, keyring: Keyring, connections_max: int = CONNECTIONS_MAX) -> None:
        self.keyring = keyring
        self.counts: Counter[str] = Counter()
        self._connections_max = connections_max
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        # Each simulated person carries their own cookie, so the session keeps none. Sockets are not requests: no limit.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=REQUEST_S),
        )
        self._slots = asyncio.Semaphore(self._connections_max)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        assert self._session is not None, "used outside `async with`"
        return self._session

    async def once(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        """One request. Raises Unreachable or Refused."""
        data = None if body is None else msgspec.json.encode(body)
        sent = {"Content-Type": "application/json"} if data is not None else {}
        sent.update(headers or {})
        try:
            async with (
                self._slots,
                self.session.request(method, self.keyring.keys.url + path, data=data, headers=sent) as answer,
            ):
                raw = await answer.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self.counts["unreachable"] += 1
            raise Unreachable(type(error).__name__) from None
        if answer.status < HTTPStatus.BAD_REQUEST:
            return Answer(answer.status, raw, {name: m.value for name, m in answer.cookies.items()})
        if answer.status in AGAIN:
            self.counts[f"again:{answer.status}"] += 1
            asked = answer.headers.get("Retry-After", "")
            raise Unreachable(str(answer.status), float(asked) if asked.isdigit() else None)
        problem = _ProblemBody()
        if answer.content_type == "application/problem+json":
            problem = msgspec.json.decode(raw, type=_ProblemBody)
        self.counts[f"refused:{problem.code}"] += 1
        raise Refused(answer.status, problem.code, problem.field)

    async def post(self, path: str, body: Any, token: str | None = None, key: str | None = None) -> dict[str, Any]:
        """Post until answered, under one idempotency key. Raises Refused."""
        headers = {"Idempotency-Key": key or new_key()}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        return await self._patiently("POST", path, body, headers)

    async def get(self, path: str) -> dict[str, Any]:
        return await self._patiently("GET", path, None, {})

    async def partner(self, do: str, body: Any, key: str | None = None) -> dict[str, Any]:
        """A command of the telephone exchange. New keys are fetched when the server no longer knows ours."""
        key = key or new_key()
        backoff = Backoff()
        while True:
            try:
                return await self.post(f"/api/v1/partner/{do}", body, self.keyring.keys.partner_token, key)
            except Refused as refusal:
                if refusal.status != HTTPStatus.UNAUTHORIZED:
                    raise
                self.keyring.reload()
                await asyncio.sleep(backoff.next_s())

    async def _patiently(self, method: str, path: str, body: Any, headers: dict[str, str]) -> dict[str, Any]:
        backoff = Backoff()
        while True:
            try:
                answer = await self.once(method, path, body, headers)
            except Unreachable as gone:
                await asyncio.sleep(backoff.next_s(gone.retry_after_s))
                continue
            found: dict[str, Any] = msgspec.json.decode(answer.body)
            return found


class Staff:
    """A person at a desk: signs in, carries cookie and CSRF token, signs in again when the session has ended."""

    def __init__(self, wire: Wire, username: str) -> None:
        self.wire = wire
        self.username = username
        self._cookie = ""
        self._csrf = ""
        self._signing_in = asyncio.Lock()

    @property
    def headers(self) -> dict[str, str]:
        return {"Cookie": f"{SESSION_COOKIE}={self._cookie}", CSRF_HEADER: self._csrf}

    async def sign_in(self, stale: str | None = None) -> None:
        """Sign in, unless somebody else of this desk has already replaced the `stale` cookie."""
        async with self._signing_in:
            if stale is not None and stale != self._cookie:
                return
            backoff = Backoff()
            while True:
                body = {"username": self.username, "password": self.wire.keyring.keys.password}
                try:
                    answer = await self.wire.once("POST", "/api/v1/session", body)
                except Unreachable as gone:
                    await asyncio.sleep(backoff.next_s(gone.retry_after_s))
                    self.wire.keyring.reload()
                    continue
                self._cookie = answer.cookies[SESSION_COOKIE]
                self._csrf = msgspec.json.decode(answer.body)["csrf_token"]
                return

    async def give(self, do: str, body: Any, key: str | None = None) -> dict[str, Any]:
        """A command; safe to repeat, so it is repeated until answered. Raises Refused."""
        return await self._signed("POST", f"/api/v1/commands/{do}", body, {"Idempotency-Key": key or new_key()})

    async def get(self, path: str) -> dict[str, Any]:
        return await self._signed("GET", path, None, {})

    async def _signed(self, method: str, path: str, body: Any, headers: dict[str, str]) -> dict[str, Any]:
        if not self._cookie:
            await self.sign_in("")
        while True:
            cookie = self._cookie
            try:
                return await self.wire._patiently(method, path, body, headers | self.headers)
            except Refused as refusal:
                ended = refusal.status == HTTPStatus.UNAUTHORIZED or refusal.code == "csrf"
                if not ended:
                    raise
                await self.sign_in(cookie)
