"""Random days, and everything somebody might do to their record to make the figure look better.

`honest_day` draws a history whose outcomes are all known at its end. `tampered` appends any mixture of later records to
it; `meddled` slips records in while the day runs. Both take a `random.Random`, so that hypothesis can shrink a history
and a plain seed can repeat one.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from dispatch import events as ev
from sla.timeline import Timeline
from tests.sla.journals import PLACE, WHO, at

DAY_END_S = 4_000.0  # rings come in the first 1,500 s and the slowest unit needs 1,500 s: by now all is settled
LONG_AFTER_S = 20_000.0


@dataclass
class Day:
    """Lines as (seconds, event), and the ids in play."""

    lines: list[tuple[float, ev.AnyEvent]] = field(default_factory=list)
    incidents: list[str] = field(default_factory=list)
    reports: list[str] = field(default_factory=list)
    assignments: list[tuple[str, str, str]] = field(default_factory=list)
    deleted: set[int] = field(default_factory=set)
    names: int = 0

    def name(self, letter: str) -> str:
        self.names += 1
        return f"{letter}{self.names}"


def honest_day(rng: random.Random) -> Day:
    day = Day()
    lines = day.lines
    for _ in range(rng.randint(1, 5)):
        ring = float(rng.randint(0, 1_500))
        incident, report = day.name("i"), day.name("r")
        day.incidents.append(incident)
        day.reports.append(report)
        priority = rng.choice((1, 1, 1, 2, 3))
        opened = ring + rng.randint(0, 200)
        lines.append((ring, ev.CallPresented(report_id=report, call_id=report, rang_at=at(ring))))
        lines.append((opened, _opened(incident, report, priority, ring)))
        if rng.random() < 0.4:  # a second caller, before or after the outcome
            second = day.name("r")
            day.reports.append(second)
            rang = ring + rng.randint(-300, 300)
            lines.append((rang, ev.CallPresented(report_id=second, call_id=second, rang_at=at(rang))))
            joined = max(rang, opened) + rng.randint(0, 900)
            lines.append((joined, ev.ReportAttached(report_id=second, incident_id=incident)))
        for _ in range(rng.randint(0, 2)):
            assignment, unit = day.name("a"), day.name("u")
            day.assignments.append((assignment, incident, unit))
            assigned = opened + rng.randint(0, 120)
            lines.append((assigned, _assigned(rng, assignment, incident, unit)))
            if rng.random() < 0.85:
                arrived = assigned + rng.choice((rng.randint(0, 400), rng.randint(100, 1_200)))
                lines.append((arrived, _there(rng, assignment, incident, unit, arrived)))
        if rng.random() < 0.15:
            cancelled = opened + rng.randint(0, 600)
            reason = rng.choice(("pelapor membatalkan", ""))
            lines.append((cancelled, ev.IncidentCancelled(incident_id=incident, reason=reason)))
            if rng.random() < 0.3:
                lines.append((cancelled + 50, ev.IncidentReopened(incident_id=incident, reason="ternyata benar")))
        if rng.random() < 0.2:
            lines.append((opened + rng.randint(0, 900), _regraded(rng, incident)))
    if len(day.incidents) > 1 and rng.random() < 0.4:  # an honest merge, sometimes undone
        gone, into = rng.sample(day.incidents, 2)
        born = [s for s, e in lines if isinstance(e, ev.IncidentOpened) and e.incident_id in (gone, into)]
        merged = max(float(rng.randint(100, 2_200)), *born)  # nobody joins what is not there yet
        lines.append((merged, _merged(rng, day, gone, into)))
        if rng.random() < 0.3:
            lines.append((merged + rng.randint(1, 800), _unmerged(gone, into)))
    lines.sort(key=lambda line: line[0])
    return day


def fold(day: Day) -> Timeline:
    """The day as journalled; deleted lines leave their number behind."""
    timeline = Timeline()
    for number, (seconds, event) in enumerate(day.lines, start=1):
        if number not in day.deleted:
            timeline.apply(ev.Entry(region="r", seq=number, at=at(seconds), actor=WHO, event=event))
    return timeline


def counted(day: Day) -> tuple[int, int]:
    """(within, n) long after, with the journal's head known."""
    tally = fold(day).tally(at(LONG_AFTER_S), last_seq_expected=len(day.lines))
    return tally.within, tally.n


def tampered(rng: random.Random, honest: Day, acts: int) -> Day:
    """A copy with `acts` later records of any kind appended, and perhaps lines deleted."""
    day = copy(honest)
    clock = DAY_END_S
    for _ in range(acts):
        clock += rng.randint(0, 900)
        rng.choice(LATER)(rng, day, clock)
    return day


def meddled(rng: random.Random, honest: Day, acts: int) -> Day:
    """A copy with `acts` records slipped in at any moment. Of the kinds that may never matter, even before the outcome:
    not a merge of two that count, an attachment, a raised grade or a cancellation, which in time are honest work and are
    listed instead."""
    day = copy(honest)
    for _ in range(acts):
        clock = float(rng.randint(0, int(DAY_END_S)))
        rng.choice(ANY_TIME)(rng, day, clock)
    if not day.deleted:
        day.lines.sort(key=lambda line: line[0])
    return day


def copy(day: Day) -> Day:
    return Day(
        list(day.lines),
        list(day.incidents),
        list(day.reports),
        list(day.assignments),
        set(day.deleted),
        day.names,
    )


# --- acts


def edit(rng: random.Random, day: Day, clock: float) -> None:
    incident = rng.choice(day.incidents)
    day.lines.append(
        (
            clock,
            rng.choice(
                (
                    ev.IncidentRelocated(
                        incident_id=incident, place=PLACE, place_before=PLACE, zone="x", reason="salah peta"
                    ),
                    ev.IncidentNoted(incident_id=incident, text="catatan"),
                    ev.IncidentClosed(incident_id=incident, outcome="selesai"),
                    ev.ReportDismissed(report_id=rng.choice(day.reports), reason="iseng"),
                )
            ),
        )
    )


def downgrade(rng: random.Random, day: Day, clock: float) -> None:
    day.lines.append((clock, _grade(rng.choice(day.incidents), rng.choice((2, 3)), 1 if rng.random() < 0.5 else 2)))


def upgrade(rng: random.Random, day: Day, clock: float) -> None:
    day.lines.append((clock, _grade(rng.choice(day.incidents), 1, rng.choice((2, 3)))))


def split(rng: random.Random, day: Day, clock: float) -> None:
    """Detach a report, open its own incident, and have a unit arrive there at once."""
    report, origin = rng.choice(day.reports), rng.choice(day.incidents)
    incident, assignment, unit = day.name("i"), day.name("a"), day.name("u")
    day.lines += [
        (clock, ev.ReportAttached(report_id=report, incident_id=origin)),
        (clock, ev.ReportDetached(report_id=report, incident_id=origin)),
        (clock, _opened(incident, report, 1, clock - rng.randint(0, 100))),
        (clock, _assigned(rng, assignment, incident, unit)),
    ]
    arrived = clock + rng.randint(0, 300)
    day.lines.append((arrived, _there(rng, assignment, incident, unit, arrived)))


def split_while_running(rng: random.Random, day: Day, clock: float) -> None:
    """A split of something that exists by then; splitting what is not there yet is simply a new emergency."""
    born = [s for s, e in day.lines if isinstance(e, ev.CallPresented | ev.IncidentOpened)]
    split(rng, day, max(clock, *born))


def merge(rng: random.Random, day: Day, clock: float) -> None:
    if len(day.incidents) > 1:
        gone, into = rng.sample(day.incidents, 2)
        day.lines.append((clock, _merged(rng, day, gone, into)))


def merge_with_one_that_does_not_count(rng: random.Random, day: Day, clock: float) -> None:
    """Join, in either direction, one that never held priority 1 to another, once everybody sent to it stands there: units
    still on their way to a duplicate may honestly arrive at the emergency."""
    grades = [
        (e.incident_id, e.priority) for _, e in day.lines if isinstance(e, ev.IncidentOpened | ev.IncidentRegraded)
    ]
    counts = {incident for incident, priority in grades if priority == 1}
    joined = {i for _, e in day.lines if isinstance(e, ev.IncidentMerged) for i in (e.incident_id, e.into)}
    idle = [i for i in day.incidents if i not in counts | joined]
    others = [i for i in day.incidents if i in counts - joined]
    if not idle or not others:
        return
    one, other = rng.choice(idle), rng.choice(others)
    done = [s for s, e in day.lines if isinstance(e, ev.UnitAtScene) and e.incident_id == one]
    born = [s for s, e in day.lines if isinstance(e, ev.IncidentOpened) and e.incident_id in (one, other)]
    gone, into = (one, other) if rng.random() < 0.7 else (other, one)
    merged = max([*done, *born]) + rng.randint(0, 300)
    day.lines.append((merged, _merged(rng, day, gone, into)))
    if rng.random() < 0.2:
        day.lines.append((merged + rng.randint(0, 300), _unmerged(gone, into)))


def upgrade_one_where_somebody_stands(rng: random.Random, day: Day, clock: float) -> None:
    """Raise one that never held priority 1 to a plan that asks for something else, once everybody sent to it stands there;
    afterwards an able unit may come."""
    grades = [
        (e.incident_id, e.priority) for _, e in day.lines if isinstance(e, ev.IncidentOpened | ev.IncidentRegraded)
    ]
    counts = {incident for incident, priority in grades if priority == 1}
    joined = {i for _, e in day.lines if isinstance(e, ev.IncidentMerged) for i in (e.incident_id, e.into)}
    sent = {e.assignment_id: e for _, e in day.lines if isinstance(e, ev.UnitAssigned)}
    there = [(s, e) for s, e in day.lines if isinstance(e, ev.UnitAtScene)]
    idle = [
        i
        for i in day.incidents
        if i not in counts | joined and any(e.incident_id == i and _stops(sent.get(e.assignment_id)) for _, e in there)
    ]
    if not idle:
        return
    one = rng.choice(idle)
    moment = max(s for s, e in there if e.incident_id == one) + rng.randint(0, 300)
    required = rng.choice((["ambulance"], ["patrol"], ["als"]))
    own = [e.assignment_id for e in sent.values() if e.incident_id == one and e.first and e.capability in required]
    day.lines.append((moment, _grade(one, 1, 3, required, own if rng.random() < 0.8 else None)))
    assignment, unit = day.name("a"), day.name("u")
    arrived = moment + rng.randint(1, 500)
    day.lines += [
        (moment, _assigned(rng, assignment, one, unit)),
        (arrived, _there(rng, assignment, one, unit, arrived)),
    ]


def _stops(sent: ev.UnitAssigned | None) -> bool:
    """Whether an arrival under `honest_day`'s plans leaves the case reached."""
    return sent is not None and sent.first and sent.capability == "ambulance"


def change_what_is_asked(rng: random.Random, day: Day, clock: float) -> None:
    """Another kind at the same priority: some of those coming stop no clock any more."""
    incident = rng.choice(day.incidents)
    before = {e.incident_id: e.priority for _, e in day.lines if isinstance(e, ev.IncidentOpened)}
    counts = [e for _, e in day.lines if isinstance(e, ev.IncidentRegraded) and e.incident_id == incident]
    if before.get(incident) != 1 or counts:
        return
    sent = [e for _, e in day.lines if isinstance(e, ev.UnitAssigned) and e.incident_id == incident]
    kept = [e.assignment_id for e in sent if e.first and e.capability == "ambulance" and rng.random() < 0.6]
    day.lines.append((clock, _grade(incident, 1, 1, ["ambulance"], kept)))


def unmerge(rng: random.Random, day: Day, clock: float) -> None:
    if len(day.incidents) > 1:
        day.lines.append((clock, _unmerged(*rng.sample(day.incidents, 2))))


def cancel(rng: random.Random, day: Day, clock: float) -> None:
    reason = "pelapor membatalkan"
    day.lines.append((clock, ev.IncidentCancelled(incident_id=rng.choice(day.incidents), reason=reason)))


def reopen(rng: random.Random, day: Day, clock: float) -> None:
    day.lines.append((clock, ev.IncidentReopened(incident_id=rng.choice(day.incidents), reason="dibuka lagi")))


def attach(rng: random.Random, day: Day, clock: float) -> None:
    report, incident = rng.choice(day.reports), rng.choice(day.incidents)
    day.lines.append((clock, ev.ReportAttached(report_id=report, incident_id=incident)))


def late_sync(rng: random.Random, day: Day, clock: float) -> None:
    """A phone hands in old stamps: for a unit that was sent, or for one nobody had recorded."""
    if not day.assignments or rng.random() < 0.3:
        assignment, incident, unit = day.name("a"), rng.choice(day.incidents), day.name("u")
        day.lines.append((clock, _assigned(rng, assignment, incident, unit)))
    else:
        assignment, incident, unit = rng.choice(day.assignments)
    early = at(rng.uniform(-100, 500))
    day.lines += [
        (clock, ev.UnitEnRoute(assignment_id=assignment, device_at=early)),
        (clock, ev.UnitAtScene(assignment, unit, incident, by="button", device_at=early)),
    ]


def sync_old_steps(rng: random.Random, day: Day, clock: float) -> None:
    """Old stamps for steps other than arrival; these may come at any moment."""
    if day.assignments:
        assignment, _, _ = rng.choice(day.assignments)
        early = at(rng.uniform(-100, 500))
        day.lines.append(
            (
                clock,
                rng.choice(
                    (
                        ev.UnitEnRoute(assignment_id=assignment, device_at=early),
                        ev.ArrivalProposed(assignment_id=assignment, device_at=early),
                        ev.JobAcknowledged(assignment_id=assignment, device_at=early),
                        ev.UnitAtPatient(assignment_id=assignment, device_at=early),
                    )
                ),
            )
        )


def clock_set_back(rng: random.Random, day: Day, clock: float) -> None:
    """The server's clock jumps back while an arrival is recorded."""
    incident = rng.choice(day.incidents)
    assignment, unit = day.name("a"), day.name("u")
    earlier = rng.uniform(-500, 600)
    day.lines += [
        (clock, _assigned(rng, assignment, incident, unit)),
        (earlier, _there(rng, assignment, incident, unit, earlier)),
    ]


def correct_a_clock(rng: random.Random, day: Day, clock: float) -> None:
    incident = rng.choice(day.incidents)
    new_at = rng.choice((None, at(rng.uniform(-900, 5_000))))
    assignment = None
    if day.assignments and rng.random() < 0.6:
        assignment, incident, _ = rng.choice(day.assignments)
    step = "first_ring" if assignment is None else "at_scene"
    line = ev.ClockCorrected(
        incident_id=incident, step=step, reason="jam salah", corrected_at=new_at, assignment_id=assignment
    )
    day.lines.append((clock, line))


def delete(rng: random.Random, day: Day, clock: float) -> None:
    """Tear a line out of the journal; its number stays missing. Any line, also of the honest part."""
    if len(day.deleted) < 3:
        day.deleted.add(rng.randint(1, len(day.lines)))


LATER = (
    edit,
    downgrade,
    upgrade,
    split,
    merge,
    unmerge,
    cancel,
    reopen,
    attach,
    late_sync,
    sync_old_steps,
    clock_set_back,
    correct_a_clock,
    delete,
    change_what_is_asked,
)
ANY_TIME = (
    edit,
    downgrade,
    split_while_running,
    sync_old_steps,
    correct_a_clock,
    merge_with_one_that_does_not_count,
    upgrade_one_where_somebody_stands,
    change_what_is_asked,
)


# --- lines


def _opened(incident: str, report: str, priority: int, ring: float) -> ev.IncidentOpened:
    return ev.IncidentOpened(
        incident_id=incident,
        report_id=report,
        incident_kind="medis",
        priority=priority,
        place=PLACE,
        first_ring_at=at(ring),
        plan="p",
        mode="auto",
        required=["ambulance"],
    )


def _assigned(rng: random.Random, assignment: str, incident: str, unit: str) -> ev.UnitAssigned:
    return ev.UnitAssigned(
        assignment_id=assignment,
        incident_id=incident,
        unit_id=unit,
        capability=rng.choice(("ambulance", "ambulance", "ambulance", "patrol")),
        eta_s=200.0,
        sd_s=50.0,
        ack_due_at=at(0),
        first=rng.random() < 0.85,
    )


def _there(rng: random.Random, assignment: str, incident: str, unit: str, seconds: float) -> ev.UnitAtScene:
    device_at = None if rng.random() < 0.5 else at(seconds - rng.randint(-200, 900))
    return ev.UnitAtScene(
        assignment_id=assignment, unit_id=unit, incident_id=incident, by="button", device_at=device_at
    )


def _regraded(rng: random.Random, incident: str) -> ev.IncidentRegraded:
    return _grade(incident, rng.choice((1, 2, 3)), rng.choice((1, 2, 3)))


def _grade(
    incident: str, priority: int, before: int, required: list[str] | None = None, first: list[str] | None = None
) -> ev.IncidentRegraded:
    return ev.IncidentRegraded(
        incident_id=incident,
        incident_kind="laka",
        priority=priority,
        kind_before="medis",
        priority_before=before,
        plan="q",
        required=required or ["ambulance"],
        reason="hasil triase",
        first=first,
    )


def _merged(rng: random.Random, day: Day, gone: str, into: str) -> ev.IncidentMerged:
    coming = [a for a, incident, _ in day.assignments if incident == gone and rng.random() < 0.8]
    sent = [e for _, e in day.lines if isinstance(e, ev.UnitAssigned)]
    own = [e.assignment_id for e in sent if e.incident_id == into and e.first and e.capability == "ambulance"]
    able = [e.assignment_id for e in sent if e.assignment_id in coming and e.capability == "ambulance"]
    first = own + able if rng.random() < 0.8 else None  # older journals did not keep it
    return ev.IncidentMerged(incident_id=gone, into=into, reports=[], assignments=coming, first=first)


def _unmerged(gone: str, out_of: str) -> ev.IncidentUnmerged:
    return ev.IncidentUnmerged(incident_id=gone, out_of=out_of, reports=[], assignments=[], first_ring_at=at(0))
