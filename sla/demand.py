"""How many emergencies a day are to be expected, with an interval, and how well such forecasts did lately. Pure.

Expected: the mean of the same weekday over the last eight weeks (a seasonal average: with weeks of data and no holidays
calendar, little beats it; Hyndman & Athanasopoulos 2021, section 5.2). Spread: quasi-Poisson, the variance is `dispersion`
times the mean (McCullagh & Nelder 1989, section 6.2), never less than Poisson, plus that of the mean itself. The interval
is the normal one. The check makes the same forecast for each of the last four weeks' days from what was known a week before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, timedelta

import msgspec

WEEKS = 8
AHEAD = 14
CHECKED = 28
Z_95 = 1.959963984540054


class DayExpected(msgspec.Struct, frozen=True):
    day: str
    expected: float
    low: float
    high: float


class Demand(msgspec.Struct, frozen=True):
    """`past`: emergencies of every priority by local day. Without four weeks of record there is no forecast."""

    past: list[tuple[str, int]]
    ahead: list[DayExpected]
    dispersion: float | None
    checked: int
    inside: int
    """Of the checked days, how many fell inside the 95 % interval made a week before."""


def demand(first: date, counts: Sequence[int]) -> Demand:
    """`counts`: one a local day from `first` on, the last being yesterday."""
    past = [((first + timedelta(days=i)).isoformat(), n) for i, n in enumerate(counts)]
    made = _forecast(first, counts, AHEAD)
    checked = inside = 0
    for back in range(CHECKED, 0, -1):
        known = len(counts) - back - 6  # what was known when the day was still seven days off
        earlier = _forecast(first, counts[:known], 7) if known > 0 else None
        if earlier is not None:
            checked += 1
            day = earlier[0][-1]
            inside += day.low <= counts[len(counts) - back] <= day.high
    shown = past[-7 * WEEKS :]
    return Demand(shown, [], None, 0, 0) if made is None else Demand(shown, made[0], made[1], checked, inside)


def _forecast(first: date, counts: Sequence[int], ahead: int) -> tuple[list[DayExpected], float] | None:
    used = counts[-7 * WEEKS :]
    if len(used) < 28:
        return None
    start = len(counts) - len(used)
    by_weekday: list[list[int]] = [[] for _ in range(7)]
    for i, n in enumerate(used):
        by_weekday[(first + timedelta(days=start + i)).weekday()].append(n)
    means = [max(sum(of) / len(of), 0.1) for of in by_weekday]  # a weekday that never had one may have one
    chi = sum((n - means[d]) ** 2 / means[d] for d, of in enumerate(by_weekday) for n in of)
    dispersion = max(1.0, chi / (len(used) - 7))
    found = []
    for i in range(ahead):
        day = first + timedelta(days=len(counts) + i)
        mean, weeks = means[day.weekday()], len(by_weekday[day.weekday()])
        half = Z_95 * math.sqrt(dispersion * mean * (1.0 + 1.0 / weeks))
        found.append(DayExpected(day.isoformat(), mean, max(0.0, mean - half), mean + half))
    return found, dispersion
