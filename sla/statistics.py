"""Shares, quantiles and control charts over outcomes. Pure; numbers in, numbers out.

A share never stands alone: it carries n and its Wilson interval. Quantiles are of what was measured; the emergencies
nobody ever reached are counted beside them, and `quantile_with_missing` treats those as longer than any measured time.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import msgspec

from sla.definition import VERSION

Z_95 = 1.959963984540054  # two-sided 95 % of the normal distribution


class Share(msgspec.Struct, frozen=True):
    """`within` of `n`, with the Wilson 95 % interval; all None when n is 0."""

    n: int
    within: int
    share: float | None
    low: float | None
    high: float | None
    version: str = VERSION


def wilson(within: int, n: int, z: float = Z_95) -> tuple[float, float]:
    """Wilson score interval (Wilson 1927; Brown, Cai & DasGupta 2001 recommend it for small n). 0 <= within <= n, n > 0."""
    if n <= 0 or not 0 <= within <= n:
        raise AssertionError(f"not a share: {within} of {n}")
    p = within / n
    scale = 1.0 + z * z / n
    centre = (p + z * z / (2 * n)) / scale
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / scale
    return (0.0 if within == 0 else max(0.0, centre - half)), (1.0 if within == n else min(1.0, centre + half))


def share(within: int, n: int) -> Share:
    if n == 0:
        return Share(0, 0, None, None, None)
    low, high = wilson(within, n)
    return Share(n, within, within / n, low, high)


class Quantiles(msgspec.Struct, frozen=True):
    """Seconds; None with no data. `measured` values, `missing` without one."""

    p50: float | None
    p90: float | None
    p99: float | None
    measured: int
    missing: int


def quantile(ordered: Sequence[float], q: float) -> float | None:
    """The smallest value that at least the share q does not exceed (inverse of the empirical distribution, Hyndman & Fan
    type 1): always a time that happened, never one between two."""
    if not ordered:
        return None
    return ordered[max(0, math.ceil(q * len(ordered)) - 1)]


def quantiles(values: Iterable[float | None]) -> Quantiles:
    """p50/p90/p99 with the missing counted as longer than every measured one: a quantile that falls among them is None,
    so leaving out the ones nobody reached cannot shorten p90."""
    measured, missing = [], 0
    for value in values:
        if value is None:
            missing += 1
        else:
            measured.append(value)
    measured.sort()
    total = len(measured) + missing

    def at(q: float) -> float | None:
        index = max(0, math.ceil(q * total) - 1)
        return measured[index] if index < len(measured) else None

    return Quantiles(at(0.50), at(0.90), at(0.99), len(measured), missing)
