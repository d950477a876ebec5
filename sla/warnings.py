"""Were the warnings right, and in time? Recall and precision of `response_at_risk`, measured afterwards. Pure.

A warning counts when it came at least `lead_s` before the breach (issue: 120 s). Recall = warned late responses / all late
ones; precision = warned late ones / all warned. A warning whose remedy worked looks like a false one from here: a low
precision may be a good dispatcher, so `acted_on` counts warned emergencies that had a further unit sent after the warning.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from sla.clocks import Case
from sla.definition import TARGET, Verdict
from sla.timeline import Timeline, in_window

LEAD_S = 120.0


class WarningFigures(msgspec.Struct, frozen=True):
    lead_s: float
    late: int
    late_warned: int
    """Warned in time and late."""
    hopeless: int
    """Late ones first known of when less than `lead_s` was left: nobody could have warned. Part of `late`."""
    warned: int
    """Warned in time, whatever came of it."""
    acted_on: int
    taken_on: int
    """Warned of, at any time, and somebody said "I take this on"."""
    escalated: int
    """Went up the ladder because nobody had."""
    recall: float | None
    recall_of_possible: float | None
    precision: float | None


def warning_figures(
    timeline: Timeline,
    now: datetime | None,
    since: datetime | None = None,
    until: datetime | None = None,
    lead_s: float = LEAD_S,
) -> WarningFigures:
    """Over the counted emergencies first rung in [since, until)."""
    late = late_warned = hopeless = warned = acted_on = taken_on = escalated = 0
    for case in timeline.cases.values():
        if not in_window(case, since, until):
            continue
        verdict, _ = timeline.verdict(case, now)
        start = case.first_ring_at()
        if verdict is Verdict.LEFT_OUT or start is None:
            continue
        was_warned, was_acted_on, was_hopeless = marks(case, start, lead_s)
        warned += was_warned
        acted_on += was_acted_on
        taken, rung = heeded(case)
        taken_on += taken
        escalated += rung
        if verdict is Verdict.LATE:
            late += 1
            late_warned += was_warned
            hopeless += was_hopeless
    return WarningFigures(
        lead_s,
        late,
        late_warned,
        hopeless,
        warned,
        acted_on,
        taken_on,
        escalated,
        late_warned / late if late else None,
        late_warned / (late - hopeless) if late > hopeless else None,
        late_warned / warned if warned else None,
    )


def marks(case: Case, start: datetime | None, lead_s: float = LEAD_S) -> tuple[bool, bool, bool]:
    """(warned in time, a further unit sent after that, too late to warn of) of one emergency; all False without a ring."""
    if start is None:
        return False, False, False
    latest = start + TARGET - timedelta(seconds=lead_s)
    warnings = [at for member in case.cluster() for at, _, _ in member.risks if at <= latest]
    acted = bool(warnings) and _sent_after(case, min(warnings))
    return bool(warnings), acted, case.opened_at is None or case.opened_at > latest


def heeded(case: Case) -> tuple[bool, bool]:
    """(somebody took a warning of it on, a warning of it went up the ladder)."""
    members = case.cluster()
    return any(m.taken_on for m in members), any(m.escalated_to > 1 for m in members)


def _sent_after(case: Case, at: datetime) -> bool:
    return any(leg.assigned_at is not None and leg.assigned_at > at for member in case.cluster() for leg in member.legs)
