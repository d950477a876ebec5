"""Will help be there in time? For one open emergency: an arrival distribution, phase budgets, and what would still help.

Pure. Arrival times of coming units are log-normal as in `dispatch.prediction`; units are taken as independent, so
P(first arrival <= t) = 1 - prod(1 - F_i(t)). The fold sees no GPS, so a coming unit's time is what was promised at
assignment, put back by every second it stood still longer than a turnout should take; the engine, which sees fixes, raises the
alarms. While nobody is coming the distribution is that of the phases still to pass, from their budgets, and says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import msgspec

from dispatch.prediction import chance_within, spread_s
from sla.clocks import Case, Leg
from sla.definition import TARGET_S
from sla.outcome import PHASE_BUDGET_S, PHASES

TURNOUT_S = 60.0  # NFPA 1710: turnout of a medical crew
NOBODY_CV = 0.5  # spread of "somebody will be found and drive the usual way": ours, wide on purpose
MIN_GAIN_S = 10.0  # a remedy that gains less is not worth a radio call
FORECAST_MAX_S = 7200.0  # nobody plans beyond two hours


class Coming(msgspec.Struct, frozen=True):
    """A unit expected in `eta_s` seconds from now, with deviation `sd_s`."""

    unit_id: str
    eta_s: float
    sd_s: float


class Budget(msgspec.Struct, frozen=True):
    """One phase of the 420 s: what it may take, what it took or takes."""

    phase: str
    budget_s: float
    spent_s: float | None
    """None: not begun, or no stamp."""
    over_s: float
    running: bool


class Option(msgspec.Struct, frozen=True):
    """Somebody who could be sent instead or in addition; `kind` is faster_unit, diversion, mutual_aid or volunteer."""

    kind: str
    unit_id: str
    eta_s: float
    sd_s: float = 0.0


class Remedy(msgspec.Struct, frozen=True):
    kind: str
    unit_id: str
    gain_s: float | None
    """Seconds the median arrival comes earlier; None when nobody was coming at all."""
    chance: float
    """P(in time) with it."""


class Forecast(msgspec.Struct, frozen=True):
    """Seconds from first ring. `assumed` when nobody is coming yet and budgets stand in."""

    chance: float
    p10_s: float
    p50_s: float
    p90_s: float
    assumed: bool
    late: bool
    """Lateness is likelier than not: the time to do something."""
    budgets: list[Budget]
    remedies: list[Remedy]
    coming: list[Coming]


def coming_units(case: Case, now: datetime) -> list[Coming]:
    """Units that would stop the clock and are still on their way, soonest first."""
    found = []
    for member in case.cluster():
        for leg in member.legs:
            if leg.first and leg.at_scene_at is None and leg.ended_at is None and leg.assigned_at is not None:
                eta_s = leg.eta_s if leg.eta_s is not None else TARGET_S
                found.append(Coming(leg.unit_id, _remaining_s(leg, eta_s, now), leg.sd_s or spread_s(eta_s)))
    found.sort(key=lambda c: c.eta_s)
    return found


def _remaining_s(leg: Leg, eta_s: float, now: datetime) -> float:
    assigned_at = leg.assigned_at
    assert assigned_at is not None
    rolled_at = leg.en_route_at or now
    standing_s = max(0.0, (rolled_at - assigned_at) / timedelta(seconds=1) - TURNOUT_S)
    return max(1.0, eta_s + standing_s - (now - assigned_at) / timedelta(seconds=1))


def chance_by(coming: Sequence[Coming], left_s: float) -> float:
    """P(at least one of them arrives within `left_s` seconds from now)."""
    all_late = 1.0
    for unit in coming:
        all_late *= 1.0 - chance_within(left_s, unit.eta_s, unit.sd_s)
    return 1.0 - all_late


def quantile_s(coming: Sequence[Coming], q: float) -> float:
    """Seconds from now by which somebody has arrived with probability q; by bisection to 0.5 s."""
    low, high = 0.0, FORECAST_MAX_S
    while high - low > 0.5:
        middle = (low + high) / 2.0
        if chance_by(coming, middle) < q:
            low = middle
        else:
            high = middle
    return high


def budgets(case: Case, answered_at: datetime | None, now: datetime) -> list[Budget]:
    """How each phase stands. Before the unit that will arrive first is known, the furthest coming one speaks."""
    start = case.first_ring_at()
    if start is None:
        return []
    legs = [leg for c in case.cluster() for leg in c.legs if leg.first and (leg.ended_at is None or leg.at_scene_at)]
    leg = case.first_leg() or max(legs, key=_progress, default=None)
    opened = min((c.opened_at for c in case.cluster() if c.opened_at is not None), default=None)
    stamps: list[datetime | None] = [answered_at, opened]
    if leg is None:
        stamps += [None] * 5
    else:
        stamps += [leg.assigned_at, leg.delivered_at, leg.acknowledged_at, leg.en_route_at, leg.at_scene_at]
    last = max((i for i, stamp in enumerate(stamps) if stamp is not None), default=-1)
    found, before = [], start
    for i, (name, stamp) in enumerate(zip(PHASES, stamps, strict=True)):
        spent_s, running = None, False
        if stamp is not None:
            spent_s = max(0.0, (stamp - before) / timedelta(seconds=1))
            before = max(before, stamp)
        elif i == last + 1:
            running = True
            spent_s = max(0.0, (now - before) / timedelta(seconds=1))
        budget_s = PHASE_BUDGET_S[name]
        found.append(Budget(name, budget_s, spent_s, max(0.0, (spent_s or 0.0) - budget_s), running))
    return found


def _progress(leg: Leg) -> tuple[bool, bool, bool, bool]:
    return (
        leg.en_route_at is not None,
        leg.acknowledged_at is not None,
        leg.delivered_at is not None,
        leg.assigned_at is not None,
    )


def forecast(
    case: Case, now: datetime, answered_at: datetime | None = None, options: Iterable[Option] = ()
) -> Forecast | None:
    """The forecast of an emergency nobody capable has reached; None once somebody has, or without a ring."""
    start = case.first_ring_at()
    if start is None or case.first_leg() is not None:
        return None
    elapsed_s = max(0.0, (now - start) / timedelta(seconds=1))
    left_s = TARGET_S - elapsed_s
    standing = budgets(case, answered_at, now)
    coming = coming_units(case, now)
    assumed = not coming
    ways = coming
    if assumed:
        remaining_s = 0.0
        for budget in standing:
            if budget.spent_s is None:
                remaining_s += budget.budget_s
            elif budget.running:
                remaining_s += max(0.0, budget.budget_s - budget.spent_s)
        remaining_s = max(1.0, remaining_s)
        ways = [Coming("", remaining_s, NOBODY_CV * remaining_s)]
    chance = chance_by(ways, left_s)
    median_s = quantile_s(ways, 0.5)
    remedies = []
    for option in options:
        arrival = Coming(option.unit_id, option.eta_s, option.sd_s or spread_s(option.eta_s))
        together = [*coming, arrival]
        gain_s = None if assumed else median_s - quantile_s(together, 0.5)
        if gain_s is None or gain_s >= MIN_GAIN_S:
            remedies.append(Remedy(option.kind, option.unit_id, gain_s, round(chance_by(together, left_s), 4)))
    remedies.sort(key=lambda r: (-r.chance, r.unit_id))
    return Forecast(
        chance=round(chance, 4),
        p10_s=elapsed_s + quantile_s(ways, 0.1),
        p50_s=elapsed_s + median_s,
        p90_s=elapsed_s + quantile_s(ways, 0.9),
        assumed=assumed,
        late=chance < 0.5,
        budgets=standing,
        remedies=remedies,
        coming=coming,
    )
