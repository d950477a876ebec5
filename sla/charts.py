"""Control charts and the spike alarm: telling change from noise, and measurement from make-up. Pure.

Sources: p-chart and 3-sigma limits, Shewhart 1931; eight in a row on one side, Western Electric 1956 (rule 4); individuals
and moving range with 2.66 and 3.267, Wheeler & Chambers 1992. The spike at a target as the sign of invented times: England
2003 (DOMAIN section 2); the local test is the linear-density argument of McCrary 2008 in its simplest exact form.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import msgspec

from sla.definition import TARGET_S

RUN_LENGTH = 8  # Western Electric rule 4
BASELINE_MIN = 8  # fewer points make limits that move with every new one
EXPECTED_MIN = 5.0  # the normal limits of a p-chart want about five of each kind in a point
SPIKE_WIDTH_S = 10.0
SPIKE_P = 0.001  # one false alarm in a thousand looks; it is looked at daily


class Point(msgspec.Struct, frozen=True):
    """One point of a chart; `signal` is empty when the process only shows noise."""

    label: str
    value: float | None
    low: float | None
    centre: float | None
    high: float | None
    n: int = 1
    signal: str = ""
    """`above`, `below`, `run_above`, `run_below`."""
    rough: bool = False
    """Too few for the limits to be trusted: shown, never an alarm."""


def _with_runs(points: list[Point]) -> list[Point]:
    side, length = 0, 0
    found = []
    for point in points:
        here = 0
        if point.value is not None and point.centre is not None:
            here = (point.value > point.centre) - (point.value < point.centre)
            length = length + 1 if here == side and here != 0 else int(here != 0)
            side = here
        if not point.signal and not point.rough and here != 0 and length >= RUN_LENGTH:
            point = msgspec.structs.replace(point, signal="run_above" if here > 0 else "run_below")
        found.append(point)
    return found


def p_chart(counts: Sequence[tuple[str, int, int]], baseline: int | None = None) -> list[Point]:
    """Shares over time: (label, within, n) each. Limits from the first `baseline` points (all of them when None)."""
    reference = counts if baseline is None else counts[: max(baseline, BASELINE_MIN)]
    total = sum(n for _, _, n in reference)
    if total == 0:
        return [Point(label, None, None, None, None, n) for label, _, n in counts]
    centre = sum(within for _, within, _ in reference) / total
    points = []
    for label, within, n in counts:
        if n == 0:
            points.append(Point(label, None, None, centre, None, 0))
            continue
        half = 3.0 * math.sqrt(centre * (1 - centre) / n)
        low, high, value = max(0.0, centre - half), min(1.0, centre + half), within / n
        rough = min(n * centre, n * (1 - centre)) < EXPECTED_MIN
        signal = "" if rough else "below" if value < low else "above" if value > high else ""
        points.append(Point(label, value, low, centre, high, n, signal, rough))
    return _with_runs(points)


def imr_chart(values: Sequence[tuple[str, float | None]], baseline: int | None = None) -> list[Point]:
    """Single values over time (a daily p90): mean +- 2.66 x mean moving range of the baseline. None = no value that day."""
    reference = values if baseline is None else values[: max(baseline, BASELINE_MIN)]
    known = [v for _, v in reference if v is not None]
    if len(known) < 2:
        return [Point(label, value, None, None, None) for label, value in values]
    centre = math.fsum(known) / len(known)
    moving = math.fsum(abs(b - a) for a, b in itertools.pairwise(known)) / (len(known) - 1)
    low, high = centre - 2.66 * moving, centre + 2.66 * moving
    rough = len(known) < BASELINE_MIN
    points = []
    for label, value in values:
        signal = ""
        if value is not None and not rough:
            signal = "above" if value > high else "below" if value < low else ""
        points.append(Point(label, value, low, centre, high, 1, signal, rough))
    return _with_runs(points)


class Spike(msgspec.Struct, frozen=True):
    """How many arrivals fall just under the target against what their neighbours make likely."""

    just_under: int
    before: int
    after: int
    expected: float
    p_value: float
    alarm: bool


def spike_under(times_s: Sequence[float], target_s: float = TARGET_S, width_s: float = SPIKE_WIDTH_S) -> Spike:
    """Exact one-sided test of (target - width, target] against the windows beside it.

    Where the density of arrival times is a straight line over three equal windows, the middle one holds a third of them;
    honest times know nothing of 420 s. p = P(X >= seen), X ~ Bin(all three, 1/3).
    """
    low, high = target_s - width_s, target_s + width_s
    just_under = sum(low < t <= target_s for t in times_s)
    before = sum(low - width_s < t <= low for t in times_s)
    after = sum(target_s < t <= high for t in times_s)
    total = just_under + before + after
    p_value = binomial_tail(just_under, total, 1.0 / 3.0)
    return Spike(just_under, before, after, total / 3.0, p_value, p_value < SPIKE_P)


def binomial_tail(k: int, n: int, p: float) -> float:
    """P(X >= k) for X ~ Bin(n, p), summed in logarithms."""
    if k <= 0:
        return 1.0
    log_p, log_q = math.log(p), math.log1p(-p)
    terms = (
        math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) + i * log_p + (n - i) * log_q
        for i in range(k, n + 1)
    )
    return min(1.0, math.fsum(math.exp(t) for t in terms))
