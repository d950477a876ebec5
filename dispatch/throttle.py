"""Slowing down password guessing without locking anybody out of the control room.

A limit per account alone lets an attacker lock a dispatcher out by guessing wrong on purpose. So, after OWASP's "Slow
Down Online Guessing Attacks with Device Cookies": a browser that has signed in to this account before is counted by
itself, and so is one in the control room's own networks; only strangers share the account's count. Counts are kept in
memory, per process: with n processes an attacker gets n times the guesses, still a few hundred a day.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Iterable

WINDOW_S = 900.0
"""A count drains to nothing over 15 minutes."""
ACCOUNT_FAILURES_MAX = 10
"""NIST SP 800-63B section 3.2.2 allows up to 100 in a row; ten in 15 minutes is 960 guesses a day."""
SOURCE_FAILURES_MAX = 60
"""Per address: a building of thirty operators behind one address at shift change mistypes now and then."""
SOURCES_MAX = 20_000
"""Addresses remembered (about 4 MB); the one unseen longest is forgotten first."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class LeakyCount:
    """How often something happened lately, by key: each time adds 1, and the count leaks at `limit` per WINDOW_S."""

    def __init__(self, limit: int, keys_max: int) -> None:
        self.limit = limit
        self.keys_max = keys_max
        self.leak_per_s = limit / WINDOW_S
        self._counts: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def level(self, key: str, now_s: float) -> float:
        count, since_s = self._counts.get(key, (0.0, now_s))
        return max(0.0, count - (now_s - since_s) * self.leak_per_s)

    def add(self, key: str, now_s: float) -> None:
        level = self.level(key, now_s)
        self._counts[key] = (level + 1.0, now_s)
        self._counts.move_to_end(key)
        if len(self._counts) > self.keys_max:
            self._counts.popitem(last=False)

    def clear(self, key: str) -> None:
        self._counts.pop(key, None)

    def take_back(self, key: str, now_s: float) -> None:
        """Undo one `add`."""
        if key in self._counts:
            self._counts[key] = (max(0.0, self.level(key, now_s) - 1.0), now_s)

    def wait_s(self, key: str, now_s: float) -> float:
        """Seconds until one more fits; 0 when it fits now."""
        return max(0.0, (self.level(key, now_s) + 1.0 - self.limit) / self.leak_per_s)


class SignInThrottle:
    """Decides before a password is looked at. `trusted` are the control room's networks."""

    def __init__(self, trusted: Iterable[str] = ()) -> None:
        self.trusted: list[Network] = [ipaddress.ip_network(network) for network in trusted]
        self._accounts = LeakyCount(ACCOUNT_FAILURES_MAX, SOURCES_MAX)
        self._sources = LeakyCount(SOURCE_FAILURES_MAX, SOURCES_MAX)

    def _keys(self, username: str, source: str, browser: bytes | None) -> tuple[str, str | None]:
        """(key counted per account, key counted per source or None when this source has proved itself)."""
        if browser is not None:
            return f"browser:{username}:{browser.hex()}", None
        try:
            address = ipaddress.ip_address(source)
        except ValueError:
            return f"stranger:{username}", source
        if any(address in network for network in self.trusted):
            return f"inside:{username}:{address}", None
        # Whoever has one IPv6 address usually has a /64 of them.
        shown = ipaddress.ip_network((address, 64), strict=False) if address.version == 6 else address
        return f"stranger:{username}", str(shown)

    def wait_s(self, username: str, source: str, browser: bytes | None, now_s: float) -> float:
        """Seconds this attempt must wait; 0 when it may be made. `browser`: hash of a token known for this account."""
        account_key, source_key = self._keys(username, source, browser)
        wait_s = self._accounts.wait_s(account_key, now_s)
        return wait_s if source_key is None else max(wait_s, self._sources.wait_s(source_key, now_s))

    def tried(self, username: str, source: str, browser: bytes | None, now_s: float) -> None:
        """Counts an attempt; to be called before its password is checked, or a thousand sent at once all pass."""
        account_key, source_key = self._keys(username, source, browser)
        self._accounts.add(account_key, now_s)
        if source_key is not None:
            self._sources.add(source_key, now_s)

    def succeeded(self, username: str, source: str, browser: bytes | None, now_s: float) -> None:
        """The right password ends this party's own count. A stranger's only takes back its own attempt, or an
        attacker's count would be reset by every sign-in of the rightful owner.
        """
        account_key, source_key = self._keys(username, source, browser)
        if source_key is None:
            self._accounts.clear(account_key)
        else:
            self._accounts.take_back(account_key, now_s)
            self._sources.take_back(source_key, now_s)
