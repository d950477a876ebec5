"""The fold: journal entries in, exact timelines out. One pass, one region, no I/O, never surprised by a bad line.

How bad input is met (each is counted in `Timeline.odd`, and the SLA shows the counts):

| input | treatment |
| --- | --- |
| line already seen (`seq` not above the last) | ignored |
| lines missing (`seq` jumps) | each takes one from `within` and adds one to `n`; see `definition.py` |
| `at` earlier than the line before | read as the line before: a clock set back shortens nothing |
| ring later than the server heard of it | the clock starts when the server heard |
| time without a zone | ring or device time: not believed; `at`: refused |
| step without a stamp | it has no phase; its seconds stand in the next recorded one, and each figure says how many were recorded |
| two steps in the same instant | a phase of 0 s; exactly 420 s is within |
| step recorded after the arrival it precedes | its phase is held inside the response (0 s at the end); counted |
| arrival before its ring | late: an impossible clock is no proof (`Why.REVERSED`) |
| emergency with no unit | pending until 420 s have passed, late after |
| device stamps that run backwards or ahead | kept and counted |
| device time | kept beside the server's, never used for the figure: a late sync rewrites nothing |
| geofence arrival | kept beside the crew's button, never stops the clock by itself |
| unknown incident, assignment or report | the line has no effect |

Legs follow merges: a unit on its way to a duplicate is a unit on its way to the emergency.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from dispatch import events as ev
from dispatch.model import Rejected
from sla.clocks import AT_SCENE, FIRST_RING, Case, Correction, Noted
from sla.definition import Tally, Verdict, Why, judge, tally, worse
from sla.sending import Sending

SEQ_FIRST = 1  # dispatch numbers a region's journal from 1


class Timeline(Sending):
    """Folds one region's journal. `apply` each entry in order; ask for verdicts at any time.

    `transport_units`: ids of units that can carry a patient, for the figure beside the headline.
    `first_seq`: what the first line must be numbered; None accepts any start (a tail after a snapshot).
    """

    def __init__(self, first_seq: int | None = SEQ_FIRST, transport_units: frozenset[str] = frozenset()) -> None:
        super().__init__()
        self.transport_units = transport_units
        self.region: str | None = None
        self.last_seq: int | None = None if first_seq is None else first_seq - 1
        self.last_at: datetime | None = None
        self.missing: list[tuple[datetime, int]] = []
        """(time of the line after the hole, lines missing)."""

    # --- driving

    def apply(self, entry: ev.Entry) -> None:
        """Take one journal line. Raises `Rejected` only for a line of another region or without a time zone."""
        at, seq = entry.at, entry.seq
        if at.tzinfo is None:
            raise Rejected("time_without_zone", "at", seq=seq)
        if self.region is None:
            self.region = entry.region
        elif entry.region != self.region:
            raise Rejected("other_region", "region", expected=self.region, got=entry.region, seq=seq)
        if self.last_at is not None and at < self.last_at:
            self.odd["clock_ran_back"] += 1
            at = self.last_at
        if self.last_seq is not None and seq != self.last_seq + 1:
            if seq <= self.last_seq:
                self.odd["line_again"] += 1
                return
            self.odd["line_missing"] += seq - self.last_seq - 1
            self.missing.append((at, seq - self.last_seq - 1))
        self.last_seq, self.last_at = seq, at
        handler = self._handlers.get(type(entry.event))
        if handler is not None:
            handler(entry.event, at)
        elif isinstance(entry.event, ev.ClockCorrected):  # the one line whose author matters here
            self._corrected(entry.event, str(entry.actor), at)

    def apply_all(self, entries: Iterable[ev.Entry]) -> Timeline:
        for entry in entries:
            self.apply(entry)
        return self

    def _corrected(self, event: ev.ClockCorrected, author: str, at: datetime) -> None:
        try:
            self.correct(
                Correction(
                    event.incident_id, event.step, event.corrected_at, author, event.reason, event.assignment_id
                ),
                at,
            )
        except Rejected:
            self.odd["correction_impossible"] += 1

    def correct(self, correction: Correction, at: datetime) -> Noted:
        """Record that a clock was wrong. Raises `Rejected` without author, reason or a known subject."""
        if len(correction.reason.strip()) < 3 or not correction.author.strip():
            raise Rejected("correction_needs_author_and_reason", "reason")
        case = self.cases.get(correction.incident_id)
        if case is None:
            raise Rejected("unknown_incident", "incident_id")
        new_at = correction.corrected_at
        if new_at is not None and new_at.tzinfo is None:
            raise Rejected("time_without_zone", "corrected_at")
        self._touch(case, at)
        if correction.step == FIRST_RING:
            before = case.ring_at
            counts = new_at is not None and (before is None or new_at < before)
            if counts:
                self._ring_claimed(case, new_at, at)
        elif correction.step == AT_SCENE:
            leg = self.legs.get(correction.assignment_id or "")
            if leg is None or leg.at_scene_at is None:
                raise Rejected("unknown_assignment", "assignment_id")
            before = leg.at_scene_at
            counts = new_at is None or new_at > before
            if counts:
                leg.at_scene_at = new_at
        else:
            raise Rejected("unknown_step", "step", allowed=[FIRST_RING, AT_SCENE])
        self._ratchet(case)
        noted = Noted(correction, at, before, counts)
        case.corrections.append(noted)
        case.root().version += 1
        case.version += 1
        return noted

    # --- verdicts

    def verdict(self, case: Case, now: datetime | None) -> tuple[Verdict, Why]:
        """Settled and standing verdict together. `now` None: long after everything."""
        if now is not None:
            self._touch(case, now)
        return worse(case.settled, judge(self.facts(case), now if case.settled is None else None))

    def tally(
        self,
        now: datetime | None,
        since: datetime | None = None,
        until: datetime | None = None,
        last_seq_expected: int | None = None,
    ) -> Tally:
        """SLA-7 over emergencies first rung in [since, until). `last_seq_expected`: the journal's known head, so that a
        torn-off end is counted as missing too."""
        missing = self.missing_lines(since, until)
        if last_seq_expected is not None:
            missing += max(0, last_seq_expected - (self.last_seq or 0))
        return tally(
            ((c.incident_id, *self.verdict(c, now)) for c in self.cases.values() if in_window(c, since, until)), missing
        )

    def missing_lines(self, since: datetime | None, until: datetime | None) -> int:
        """Lines missing from the journal before lines of [since, until)."""
        return sum(k for at, k in self.missing if (since is None or at >= since) and (until is None or at < until))

    def settle_due(self, now: datetime) -> None:
        """Settle everything whose time is up, so that counters do not wait for the next event about it."""
        for case in list(self.unsettled.values()):
            self._touch(case, now)


def in_window(case: Case, since: datetime | None, until: datetime | None) -> bool:
    """Whether the emergency belongs to [since, until): by the ring it was opened with, which never moves."""
    at = case.opened_ring_at
    if at is None:
        return since is None and until is None
    return (since is None or at >= since) and (until is None or at < until)
