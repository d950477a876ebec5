"""The running figure: feed each published entry, ask for the summary.

    fold = SlaFold.of(region)          # or SlaFold(); give it the journal from its first line
    fold.apply(entry)                  # a few microseconds
    fold.summary(now, since, until)    # a struct for GET /api/v1/sla/summary

Rows of ended cases are kept and only rebuilt when an event touches them, so a summary over a year stays cheap.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from dispatch.events import Entry
from dispatch.prediction import chance_within, spread_s
from dispatch.region import Region
from sla.clocks import Case, Leg
from sla.definition import TARGET_S, VERSION, Why
from sla.outcome import PHASE_BUDGET_S, PHASES, Outcome, row
from sla.statistics import Quantiles, Share, quantiles, share
from sla.timeline import SEQ_FIRST, Timeline, in_window

RISK_CHANCE = 0.5  # lateness likelier than not: the same line the engine warns at
IDS_LISTED_MAX = 50  # a summary lists at most this many ids a reason; the report lists all


class OpenIncident(msgspec.Struct, frozen=True):
    """An open priority-1 emergency against its clock. `chance` = P(first capable unit at scene in time), 0..1."""

    incident_id: str
    kind: str
    zone: str | None
    elapsed_s: float
    left_s: float
    chance: float | None
    """None once a capable unit is there."""
    predicted_s: float | None
    """Expected response time, seconds from first ring; None when nobody is coming."""
    phase: str
    """The phase it is in now; `at_scene` when a capable unit is there."""
    at_risk: bool


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

    @classmethod
    def of(cls, region: Region, first_seq: int | None = SEQ_FIRST) -> SlaFold:
        carriers = frozenset(u.unit_id for u in region.units.values() if region.unit_types[u.unit_type].transport)
        return cls(first_seq, carriers)

    def apply(self, entry: Entry) -> None:
        self.timeline.apply(entry)

    def outcomes(
        self, now: datetime | None, since: datetime | None = None, until: datetime | None = None
    ) -> list[Outcome]:
        """Rows of every case first rung in [since, until), in the order they were opened."""
        found = []
        for case in self.timeline.cases.values():
            if in_window(case, since, until):
                found.append(self._row(case, now))
        return found

    def headline(self, now: datetime | None, since: datetime | None = None, until: datetime | None = None) -> Share:
        """The one figure, with n and its interval."""
        rows = self.outcomes(now, since, until)
        missing_lines = self.timeline.missing_lines(since, until)
        within = max(0, sum(r.verdict == "on_time" for r in rows) - missing_lines)
        return share(within, sum(r.verdict != "left_out" for r in rows) + missing_lines)

    def _row(self, case: Case, now: datetime | None) -> Outcome:
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
            if not case.was_priority_1():
                continue
            start = case.first_ring_at()
            if start is None:
                continue
            elapsed_s = max(0.0, (now - start) / timedelta(seconds=1))
            left_s = TARGET_S - elapsed_s
            first = case.first_leg()
            if first is not None:
                found.append(
                    OpenIncident(
                        case.incident_id, case.kind, case.zone, elapsed_s, left_s, None,
                        _seconds(start, first.at_scene_at), "at_scene", False,
                    )
                )  # fmt: skip
                continue
            chance, predicted_s = self._chance(case, start, now, left_s)
            found.append(
                OpenIncident(
                    case.incident_id, case.kind, case.zone, elapsed_s, left_s, chance, predicted_s,
                    _phase_now(case), chance < RISK_CHANCE,
                )
            )  # fmt: skip
        found.sort(key=lambda o: (o.chance is None, o.chance or 0.0, o.left_s))
        return found

    @staticmethod
    def _chance(case: Case, start: datetime, now: datetime, left_s: float) -> tuple[float, float | None]:
        """From the estimates at assignment alone (the fold sees no GPS); independent vehicles must all be late."""
        all_late, soonest_s = 1.0, None
        for member in case.cluster():
            for leg in member.legs:
                if not leg.first or leg.ended_at is not None or leg.eta_s is None or leg.assigned_at is None:
                    continue
                remaining_s = max(1.0, leg.eta_s - (now - leg.assigned_at) / timedelta(seconds=1))
                all_late *= 1.0 - chance_within(left_s, remaining_s, leg.sd_s or spread_s(leg.eta_s))
                predicted_s = (now - start) / timedelta(seconds=1) + remaining_s
                soonest_s = predicted_s if soonest_s is None else min(soonest_s, predicted_s)
        return round(1.0 - all_late, 4), soonest_s


def _seconds(start: datetime, at: datetime | None) -> float | None:
    return None if at is None else (at - start) / timedelta(seconds=1)


def _phase_now(case: Case) -> str:
    """Which phase the furthest coming unit is in; `decision` while nobody is."""
    order = ("decision", "alert", "acknowledgement", "turnout", "travel")
    best = 0
    for leg in case.legs:
        if leg.ended_at is None and leg.at_scene_at is None:
            best = max(best, _leg_phase(leg))
    return order[best]


def _leg_phase(leg: Leg) -> int:
    if leg.en_route_at is not None:
        return 4
    if leg.acknowledged_at is not None:
        return 3
    return 2 if leg.delivered_at is not None else 1


def _phase_summaries(rows: list[Outcome]) -> list[PhaseSummary]:
    found = []
    for name in PHASES:
        measured = quantiles(v for r in rows if (v := r.phases.get(name)) is not None)
        found.append(PhaseSummary(name, PHASE_BUDGET_S[name], measured.p50, measured.p90, measured.measured))
    return found
