"""The running figure: feed each published entry, ask for the summary.

    fold = SlaFold.of(region)          # or SlaFold(); give it the journal from its first line
    fold.apply(entry)                  # a few microseconds
    fold.summary(now, since, until)    # a struct for GET /api/v1/sla/summary

Rows of ended cases are kept and only rebuilt when an event touches them, so a summary over a year stays cheap.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from dispatch.events import Entry
from dispatch.region import Region
from sla.clocks import AT_SCENE, Case
from sla.definition import TARGET_S, VERSION, Why
from sla.outcome import PHASE_BUDGET_S, PHASES, Outcome, row
from sla.prediction import Budget, budgets, forecast
from sla.statistics import Quantiles, Share, quantiles, share
from sla.timeline import SEQ_FIRST, Timeline, in_window

IDS_LISTED_MAX = 50  # a summary lists at most this many ids a reason; the report lists all


class OpenIncident(msgspec.Struct, frozen=True):
    """An open priority-1 emergency against its clock. Seconds from first ring unless named `left`."""

    incident_id: str
    kind: str
    zone: str | None
    elapsed_s: float
    left_s: float
    chance: float | None
    """P(first capable unit at scene in time), 0..1; None once one is there."""
    predicted_s: float | None
    """Median of the arrival's distribution, or the arrival itself."""
    p10_s: float | None
    p90_s: float | None
    assumed: bool
    """Nobody is coming yet: phase budgets stand in for a unit's estimate."""
    phase: str
    """The phase it is in now; `at_scene` when a capable unit is there."""
    budgets: list[Budget]
    at_risk: bool
    """Lateness is likelier than not."""
    remedy_gain_s: float | None
    """Seconds the engine's last proposed remedy would gain."""


class PhaseSummary(msgspec.Struct, frozen=True):
    name: str
    budget_s: float
    p50_s: float | None
    p90_s: float | None
    recorded: int


class Summary(msgspec.Struct, frozen=True):
    """What `GET /api/v1/sla/summary` answers. Counts and seconds; shares 0..1."""

    definition: str
    target_s: float
    at: datetime
    since: datetime | None
    until: datetime | None
    headline: Share
    response: Quantiles
    transport: Quantiles
    full: Quantiles
    phases: list[PhaseSummary]
    late: dict[str, int]
    excluded: dict[str, int]
    excluded_ids: dict[str, list[str]]
    missing_lines: int
    suspected_duplicates: int
    """Counted emergencies that looked like another one and were never decided upon."""
    late_by_server_only: int
    """Late by our clock, in time by the device's own: late syncs, counted as late."""
    odd: dict[str, int]
    worst_zone: str | None
    worst_zone_share: Share | None
    open: list[OpenIncident]


ZONE_N_MIN = 5  # a worst kecamatan from fewer than five emergencies is chance, and might point at a person


class SlaFold:
    """One region's live SLA. Not thread-safe; the server's one publisher feeds it."""

    def __init__(
        self,
        first_seq: int | None = SEQ_FIRST,
        transport_units: frozenset[str] = frozenset(),
    ) -> None:
        self.timeline = Timeline(first_seq, transport_units)
        self._rows: dict[str, tuple[int, Outcome]] = {}
        self.watch: Callable[[Entry], None] | None = None
        """Told of each line after it has been folded."""

    @classmethod
    def of(cls, region: Region, first_seq: int | None = SEQ_FIRST) -> SlaFold:
        carriers = frozenset(u.unit_id for u in region.units.values() if region.unit_types[u.unit_type].transport)
        return cls(first_seq, carriers)

    def begin_again(self) -> None:
        """Forget everything folded so far; the next line is the journal's first."""
        self.timeline = Timeline(SEQ_FIRST, self.timeline.transport_units)
        self._rows = {}

    def apply(self, entry: Entry) -> None:
        self.timeline.apply(entry)
        if self.watch is not None:
            self.watch(entry)

    def outcomes(
        self, now: datetime | None, since: datetime | None = None, until: datetime | None = None
    ) -> list[Outcome]:
        """Rows of every case first rung in [since, until), in the order they were opened."""
        found = []
        for case in self.timeline.cases.values():
            if in_window(case, since, until):
                found.append(self.outcome(case, now))
        return found

    def headline(self, now: datetime | None, since: datetime | None = None, until: datetime | None = None) -> Share:
        """The one figure, with n and its interval."""
        rows = self.outcomes(now, since, until)
        missing_lines = self.timeline.missing_lines(since, until)
        within = max(0, sum(r.verdict == "on_time" for r in rows) - missing_lines)
        return share(within, sum(r.verdict != "left_out" for r in rows) + missing_lines)

    def outcome(self, case: Case, now: datetime | None) -> Outcome:
        """The row of one case, kept until something touches it."""
        kept = self._rows.get(case.incident_id)
        if kept is not None and kept[0] == case.version:
            return kept[1]
        verdict, why = self.timeline.verdict(case, now)
        made = row(case, self.timeline, verdict, why)
        # a row may be kept when only a further event can change it: settled, or late enough to be
        if case.settled is not None and why is not Why.PENDING:
            self._rows[case.incident_id] = (case.version, made)
        return made

    def summary(self, now: datetime, since: datetime | None = None, until: datetime | None = None) -> Summary:
        """Figures at `now` over emergencies first rung in [since, until); None = unbounded."""
        rows = self.outcomes(now, since, until)
        missing_lines = self.timeline.missing_lines(since, until)
        late: dict[str, int] = {}
        excluded: dict[str, int] = {}
        excluded_ids: dict[str, list[str]] = {}
        counted: list[Outcome] = []
        zones: dict[str, list[int]] = {}
        for outcome in rows:
            if outcome.verdict == "left_out":
                excluded[outcome.why] = excluded.get(outcome.why, 0) + 1
                if outcome.why != Why.NOT_P1:
                    ids = excluded_ids.setdefault(outcome.why, [])
                    if len(ids) < IDS_LISTED_MAX:
                        ids.append(outcome.incident_id)
                continue
            counted.append(outcome)
            if outcome.verdict == "late":
                late[outcome.why] = late.get(outcome.why, 0) + 1
            zone = zones.setdefault(outcome.zone or "", [0, 0])
            zone[0] += outcome.verdict == "on_time"
            zone[1] += 1
        within = max(0, sum(r.verdict == "on_time" for r in counted) - missing_lines)
        worst = min(((w / n, z) for z, (w, n) in zones.items() if z and n >= ZONE_N_MIN), default=None)
        return Summary(
            definition=VERSION,
            target_s=TARGET_S,
            at=now,
            since=since,
            until=until,
            headline=share(within, len(counted) + missing_lines),
            response=quantiles(r.response_s for r in counted),
            transport=quantiles(r.transport_s for r in counted),
            full=quantiles(r.full_s for r in counted),
            phases=_phase_summaries(counted),
            late=late,
            excluded=excluded,
            excluded_ids=excluded_ids,
            missing_lines=missing_lines,
            suspected_duplicates=sum(r.suspected_of is not None for r in counted),
            late_by_server_only=sum(
                r.verdict == "late" and r.device_s is not None and 0.0 <= r.device_s <= TARGET_S for r in counted
            ),
            odd=dict(self.timeline.odd),
            worst_zone=None if worst is None else worst[1],
            worst_zone_share=None if worst is None else share(*zones[worst[1]]),
            open=self.open_incidents(now),
        )

    def open_incidents(self, now: datetime) -> list[OpenIncident]:
        """Open priority-1 emergencies, the one most in danger of breach first."""
        found = []
        for case in self.timeline.open.values():
            start = case.first_ring_at()
            if start is None or not case.was_priority_1():
                continue
            elapsed_s = max(0.0, (now - start) / timedelta(seconds=1))
            first = case.first_leg()
            standing = budgets(case, self.answered_at(case), now)
            expected = forecast(case, now, self.answered_at(case))
            predicted_s = None if expected is None else expected.p50_s
            if first is not None and first.at_scene_at is not None:
                predicted_s = (first.at_scene_at - start) / timedelta(seconds=1)
            found.append(
                OpenIncident(
                    incident_id=case.incident_id,
                    kind=case.kind,
                    zone=case.zone,
                    elapsed_s=elapsed_s,
                    left_s=TARGET_S - elapsed_s,
                    chance=None if expected is None else expected.chance,
                    predicted_s=predicted_s,
                    p10_s=None if expected is None else expected.p10_s,
                    p90_s=None if expected is None else expected.p90_s,
                    assumed=expected is not None and expected.assumed,
                    phase=next((b.phase for b in standing if b.running), AT_SCENE),
                    budgets=standing,
                    at_risk=expected is not None and expected.late,
                    remedy_gain_s=case.risks[-1][2] if case.risks else None,
                )
            )
        found.sort(key=lambda o: (o.chance is None, o.chance or 0.0, o.left_s))
        return found

    def answered_at(self, case: Case) -> datetime | None:
        """When the first of its reports was answered."""
        reports = self.timeline.reports
        times = (reports[r].answered_at for c in case.cluster() for r in c.report_ids if r in reports)
        return min((t for t in times if t is not None), default=None)


def _phase_summaries(rows: list[Outcome]) -> list[PhaseSummary]:
    found = []
    for name in PHASES:
        measured = quantiles(v for r in rows if (v := r.phases.get(name)) is not None)
        found.append(PhaseSummary(name, PHASE_BUDGET_S[name], measured.p50, measured.p90, measured.measured))
    return found
