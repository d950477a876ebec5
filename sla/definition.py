"""SLA-7: the one definition of "help at the scene within 7 minutes of the first ring", and why nobody can flatter it.

Pure. Every published figure names `VERSION`; a change of any rule below is a new version, and old figures keep theirs.

**Denominator**: every distinct emergency that ever held priority 1. Duplicates count once, from the *earliest* ring of any
of their reports. A missing time counts as late. A cancelled one is left out only when it was cancelled inside 420 s, with a
reason, before anybody arrived. **Numerator**: first *capable* unit at the scene minus first ring <= 420 s, by server time.

**The settling rule.** An emergency is settled when a capable unit stands at the scene or when 420 s have passed, whichever
comes first. What was on record then is its verdict; from then on it may only become worse:

    ON_TIME > LEFT_OUT > LATE        settled = min(settled, verdict by the record as it now stands), after every change

Each step down that order can only lower the share w/n (ON_TIME -> LEFT_OUT takes 1 from both w and n; LEFT_OUT -> LATE adds 1
to n), so no later edit, downgrade, merge, cancellation, re-opening or correction can raise it; nor does undoing one, for a
rule that forgave honest mistakes would forgive the others. An emergency born by splitting another one starts at LEFT_OUT: it
counts only when late. A line missing from the journal takes one from w and adds one to n.

**Merging is not arriving.** A unit that already stood at an emergency that was left out (not priority 1, say) stops no clock
of one that is merged with it, however able it is. Units still on their way count when they come, if they can do what a first
response of the plan that stands needs.

**Nor is grading up.** A unit that stood at a case of lesser priority stops its clock, when it turns out to be of priority 1,
only if it can do what a first response of the new plan needs; else the clock runs on, and the case, which had been left out
as reached, can be settled as left out or late but not as on time.
`tests/sla/test_cannot_be_flattered.py` holds all this over random histories.

Sources: 420 s from receipt of the report: founding text of Command Center 112 Surabaya (2016); clock from receipt to arrival:
Permendagri 114/2018. The frauds it is built against: DOMAIN section 2 (England 2003: spikes at the target, clocks started
late, downgrading after the fact, splitting duplicates, dropping calls without stamps).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Literal

import msgspec

VERSION = "SLA-7/3"
"""/1 let a unit that stood at another emergency already stop the clock of one merged with it, whatever it could do; /2 let one
that stood at a lesser case stop the clock of the emergency it was graded up to, whatever it could do."""
TARGET_S = 420.0
TARGET = timedelta(seconds=TARGET_S)


class Verdict(enum.IntEnum):
    """Ordered by what it does to the share: a smaller one never raises it."""

    LATE = 0
    LEFT_OUT = 1
    ON_TIME = 2


class Why(enum.StrEnum):
    """Why a verdict is what it is; every value but `IN_TIME` is counted and listed with each figure."""

    IN_TIME = "in_time"
    # late
    OVER_TARGET = "over_target"  # a capable unit came, after the target
    NO_ARRIVAL = "no_arrival"  # no capable unit's arrival on record: missing counts late
    NO_START = "no_start"  # no ring on record: missing counts late
    REVERSED = "reversed"  # arrival stamped before the first ring: an impossible clock counts late
    SETTLED_LATE = "settled_late"  # late when settled; the record has been changed since
    # left out
    NOT_P1 = "not_priority_1"
    PENDING = "pending"  # younger than the target and nobody there yet
    CANCELLED_IN_TIME = "cancelled_in_time"
    DUPLICATE = "duplicate"  # counted with the emergency it was merged into
    SPLIT_OFF = "split_off_on_time"  # born by splitting another: counts only when late
    SETTLED_OUT = "settled_left_out"  # was left out when settled (e.g. graded P1 only after arrival) and is not late


class Facts(msgspec.Struct, frozen=True, gc=False):
    """All that the definition may know of one emergency, as its record stands. Aware times, server clock; None = missing."""

    incident_id: str
    started_at: datetime | None
    """Earliest ring of all its reports and duplicates (or another clock start, when measuring with another rule)."""
    at_scene_at: datetime | None
    """First capable unit at the scene."""
    priority: int = 1
    """The highest it ever held (1 is highest)."""
    cancelled_at: datetime | None = None
    cancel_reason: str = ""
    duplicate_of: str | None = None
    split_off: bool = False


class Rule(msgspec.Struct, frozen=True):
    """A way of counting. Only `HEADLINE` is the SLA; others exist to show what a definition does to a figure."""

    target: timedelta = TARGET
    missing: Literal["late", "dropped"] = "late"


HEADLINE = Rule()


def judge(facts: Facts, now: datetime | None = None, rule: Rule = HEADLINE) -> tuple[Verdict, Why]:
    """Verdict by the record as it stands. `now` None means long after: nothing is pending any more."""
    if facts.priority != 1:
        return Verdict.LEFT_OUT, Why.NOT_P1
    if facts.duplicate_of is not None:
        return Verdict.LEFT_OUT, Why.DUPLICATE
    start, there = facts.started_at, facts.at_scene_at
    if start is None:
        return Verdict.LATE, Why.NO_START
    if there is not None:
        if there < start:
            return Verdict.LATE, Why.REVERSED
        if there - start <= rule.target:
            return (Verdict.LEFT_OUT, Why.SPLIT_OFF) if facts.split_off else (Verdict.ON_TIME, Why.IN_TIME)
    cancelled = facts.cancelled_at
    if (
        cancelled is not None
        and (there is None or cancelled < there)
        and cancelled - start <= rule.target
        and facts.cancel_reason.strip()
    ):
        return Verdict.LEFT_OUT, Why.CANCELLED_IN_TIME
    if there is not None:
        return Verdict.LATE, Why.OVER_TARGET
    if now is not None and now - start <= rule.target:
        return Verdict.LEFT_OUT, Why.PENDING
    return Verdict.LATE, Why.NO_ARRIVAL


def worse(settled: Verdict | None, stands: tuple[Verdict, Why]) -> tuple[Verdict, Why]:
    """The settling rule: a later record may only lower a verdict."""
    verdict, why = stands
    if settled is None or verdict <= settled:
        return verdict, why
    return settled, Why.SETTLED_LATE if settled is Verdict.LATE else Why.SETTLED_OUT


class Tally(msgspec.Struct):
    """A share with everything needed to check it. `excluded` and `late` list incident ids by reason."""

    version: str = VERSION
    n: int = 0
    within: int = 0
    missing_lines: int = 0
    """Journal lines that should exist and do not; each has taken one from `within` and added one to `n`."""
    excluded: dict[str, list[str]] = {}
    late: dict[str, list[str]] = {}

    @property
    def share(self) -> float | None:
        """Within target over all counted, 0..1; None when nothing counts (no figure rather than 0 or 100 %)."""
        return self.within / self.n if self.n else None


def tally(verdicts: Iterable[tuple[str, Verdict, Why]], missing_lines: int = 0, rule: Rule = HEADLINE) -> Tally:
    """Count verdicts. With `rule.missing == "dropped"`, incidents without a stamp are left out (and listed) instead."""
    result = Tally(missing_lines=missing_lines)
    for incident_id, verdict, why in verdicts:
        if verdict is Verdict.ON_TIME:
            result.n += 1
            result.within += 1
        elif verdict is Verdict.LEFT_OUT or (rule.missing == "dropped" and why in (Why.NO_ARRIVAL, Why.NO_START)):
            result.excluded.setdefault(str(why), []).append(incident_id)
        else:
            result.n += 1
            result.late.setdefault(str(why), []).append(incident_id)
    result.n += missing_lines
    result.within = max(0, result.within - missing_lines)
    return result


def measure(facts: Iterable[Facts], now: datetime | None = None, rule: Rule = HEADLINE) -> Tally:
    """Tally facts that have no history (a foreign data set): the record as it stands is all there is."""
    return tally(((f.incident_id, *judge(f, now, rule)) for f in facts), rule=rule)
