"""How the telephone was answered: every presented call counts, the abandoned ones too. Pure.

Sources: NFPA 1225 (2022) 90 % answered within 10 s; NENA-STA-020.1 (2020) 90 % within 15 s and 95 % within 20 s.
The founding failure this watches for: 18 unanswered calls, Jl. Diponegoro, 5 January 2025 (DOMAIN section 1).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from sla.clocks import ReportClock
from sla.statistics import Quantiles, Share, quantiles, share

WITHIN_S = (10, 15, 20)
AIMS = {10: 0.90, 15: 0.90, 20: 0.95}
SHORT_ABANDON_S = 10.0  # gone before the standard allows us to answer: perhaps a misdial; counted, and told apart


class CallFigures(msgspec.Struct, frozen=True):
    """Calls first rung in a window. Answer time runs from first ring; a call back is not an answer."""

    presented: int
    answered: int
    waiting: int
    """Still ringing, younger than the longest limit: not yet in any share."""
    abandoned: int
    abandoned_short: int
    called_back: int
    within: dict[str, Share]
    """By limit in seconds. Denominator: every presented call but those still waiting; abandoned = not answered."""
    answer: Quantiles
    call_back: Quantiles
    unheard: int
    """Rings without any answer or call back."""


def answered_in_time(report: ReportClock) -> float | None:
    """Seconds from ring to answer; None when the caller gave up first or nobody answered."""
    if report.answered_at is None or report.rang_at is None:
        return None
    if report.abandoned_at is not None and report.abandoned_at <= report.answered_at:
        return None
    return max(0.0, (report.answered_at - report.rang_at) / timedelta(seconds=1))


def call_figures(
    reports: Iterable[ReportClock], now: datetime, since: datetime | None = None, until: datetime | None = None
) -> CallFigures:
    presented = answered = waiting = abandoned = short = called_back = unheard = 0
    times: list[float | None] = []
    backs: list[float] = []
    for report in reports:
        rang_at = report.rang_at
        if not report.is_call or rang_at is None:
            continue
        if (since is not None and rang_at < since) or (until is not None and rang_at >= until):
            continue
        presented += 1
        time_s = answered_in_time(report)
        if time_s is not None:
            answered += 1
        elif report.abandoned_at is not None:
            abandoned += 1
            waited_s = (report.abandoned_at - rang_at) / timedelta(seconds=1)
            short += waited_s < SHORT_ABANDON_S
            if report.called_back_at is not None:
                called_back += 1
                backs.append((report.called_back_at - report.abandoned_at) / timedelta(seconds=1))
            else:
                unheard += 1
        elif now - rang_at <= timedelta(seconds=WITHIN_S[-1]):
            waiting += 1
            continue
        else:
            unheard += 1
        times.append(time_s)
    counted = len(times)
    return CallFigures(
        presented=presented,
        answered=answered,
        waiting=waiting,
        abandoned=abandoned,
        abandoned_short=short,
        called_back=called_back,
        within={str(s): share(sum(t is not None and t <= s for t in times), counted) for s in WITHIN_S},
        answer=quantiles(times),
        call_back=quantiles(backs),
        unheard=unheard,
    )
