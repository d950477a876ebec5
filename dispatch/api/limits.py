"""How often an address may call an open route: token buckets in memory, bounded, forgetting quiet addresses.

Staff and crews are never limited here; a dispatcher must not be locked out by somebody else's flood (signing in has its
own throttle, `dispatch/throttle.py`).
"""

from __future__ import annotations

from collections import OrderedDict

import msgspec

ADDRESSES_MAX = 50_000
"""Buckets kept; the longest unused is forgotten first."""


class Limit(msgspec.Struct, frozen=True):
    """`burst` calls at once, then one every `every_s` seconds."""

    burst: float
    every_s: float


LIMITS: dict[str, Limit] = {
    # A family at an accident sends a handful of reports from one address; a school's network some dozens.
    "intake": Limit(burst=30, every_s=2.0),
    "public_read": Limit(burst=120, every_s=0.1),
}


class Limiter:
    """All buckets of one process. Time is an argument (seconds, monotonic)."""

    def __init__(self, limits: dict[str, Limit] | None = None) -> None:
        self._limits = limits if limits is not None else LIMITS
        self._buckets: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()

    def retry_after_s(self, name: str, address: str, now_s: float) -> int | None:
        """None when the call may pass (and is counted); else whole seconds until the next may."""
        limit = self._limits[name]
        key = (name, address)
        tokens, seen_s = self._buckets.pop(key, (limit.burst, now_s))
        tokens = min(limit.burst, tokens + (now_s - seen_s) / limit.every_s)
        allowed = tokens >= 1.0
        self._buckets[key] = (tokens - 1.0 if allowed else tokens, now_s)
        if len(self._buckets) > ADDRESSES_MAX:
            self._buckets.popitem(last=False)
        return None if allowed else max(1, round((1.0 - tokens) * limit.every_s + 0.5))
