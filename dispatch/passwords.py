"""Passwords: what is a good one, and Argon2id away from the event loop, a few at a time."""

from __future__ import annotations

import asyncio
import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type

from dispatch.model import Rejected

PASSWORD_LENGTH_MIN = 12
PASSWORD_LENGTH_MAX = 128
"""Bounds what a stranger can make us hash; longer than any passphrase."""

AT_ONCE_MAX = 1
"""Hashes computed at once. One takes about 20 ms of a core; a flood of sign-ins must leave the other core to dispatching."""
WAITING_MAX = 50
"""Sign-ins waiting for their hash: one second. A shift change fits; a flood is told to come back."""


def owasp_hasher() -> PasswordHasher:
    """Argon2id, 19 MiB, 2 passes, 1 lane: first choice of the OWASP Password Storage Cheat Sheet."""
    return PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1, type=Type.ID)


def check_password_rules(password: str, username: str) -> None:
    """Raises Rejected("weak_password"). Length and no user name in it; no composition rules (NIST SP 800-63B 3.1.1.2)."""
    if len(password) < PASSWORD_LENGTH_MIN:
        raise Rejected("weak_password", "password", length_min=PASSWORD_LENGTH_MIN)
    if len(password) > PASSWORD_LENGTH_MAX:
        raise Rejected("weak_password", "password", length_max=PASSWORD_LENGTH_MAX)
    if username.lower() in password.lower() or len(set(password)) < 5:
        raise Rejected("weak_password", "password", why="guessable")


class Passwords:
    """Hashes and verifies. `hasher` may be a cheap one in tests."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or owasp_hasher()
        self._turn = asyncio.Semaphore(AT_ONCE_MAX)
        self._waiting = 0
        self._nobody = self._hasher.hash("nobody has this password")
        """Verified against when the user name is unknown, so that the time taken does not tell."""

    async def hash(self, password: str) -> str:
        """Raises Rejected("rate_limited") when too many wait."""
        async with _Waiting(self):
            return await asyncio.to_thread(self._hasher.hash, _normal(password))

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether it is the password of this hash. None: unknown user; takes as long and is never right."""
        if len(password) > PASSWORD_LENGTH_MAX:
            return False
        async with _Waiting(self):
            right = await asyncio.to_thread(self._verify, password_hash or self._nobody, _normal(password))
        return right and password_hash is not None

    def _verify(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False

    def outdated(self, password_hash: str) -> bool:
        """Whether it was made with other parameters than today's and should be made again at the next sign-in."""
        return self._hasher.check_needs_rehash(password_hash)


class _Waiting:
    """A bounded queue in front of the hasher."""

    def __init__(self, passwords: Passwords) -> None:
        self._passwords = passwords

    async def __aenter__(self) -> None:
        if self._passwords._waiting >= WAITING_MAX:
            raise Rejected("rate_limited", retry_after_s=2)
        self._passwords._waiting += 1
        try:
            await self._passwords._turn.acquire()
        except BaseException:
            self._passwords._waiting -= 1
            raise

    async def __aexit__(self, *_: object) -> None:
        self._passwords._waiting -= 1
        self._passwords._turn.release()


def _normal(password: str) -> str:
    """The same word typed on two keyboards is the same password (NFKC, NIST SP 800-63B 3.1.1.2)."""
    return unicodedata.normalize("NFKC", password)
