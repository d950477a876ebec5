"""Prometheus metrics of the promise. Names, units and meaning are in the help texts and in docs/sla.md.

    metrics = SlaMetrics(fold, region.code, clock.now, Utilisation.of(region))
    fold.apply(entry); metrics.observe(entry)       # for every published entry, in order

Counters are counted when an emergency is *settled*, not when somebody asks, so a rate over them is a rate of promises kept
or broken. After a restart the fold re-reads the journal and the counters come back to at least where they were.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import Metric

from dispatch import events as ev
from dispatch.alarms import LADDER
from sla.calls import answered_in_time
from sla.charts import spike_under
from sla.clocks import Case
from sla.definition import VERSION
from sla.live import SlaFold
from sla.outcome import phases
from sla.utilisation import Utilisation

RESPONSE_BUCKETS_S = (60, 120, 180, 240, 300, 360, 390, 410, 420, 430, 450, 480, 540, 600, 720, 900, 1200, 1800, 3600)
"""420 s is a bucket boundary, so the share within target is exact, and 390/410/430 show a spike under it."""
PHASE_BUCKETS_S = (1, 2, 5, 10, 15, 20, 30, 45, 60, 80, 120, 180, 240, 300, 420, 600, 900)
ANSWER_BUCKETS_S = (2, 5, 10, 15, 20, 30, 60, 120, 300)
SPIKE_DAYS = 30
SHARE_DAYS = 30
SLOW_EVERY = timedelta(minutes=1)  # figures over 30 days are recomputed this often, not at every scrape


_registered: weakref.WeakValueDictionary[tuple[CollectorRegistry, str], SlaMetrics] = weakref.WeakValueDictionary()


class SlaMetrics:
    """Feeds `registry` from one region's fold; collects the momentary gauges when scraped."""

    def __init__(
        self,
        fold: SlaFold,
        region: str,
        now: Callable[[], datetime],
        utilisation: Utilisation | None = None,
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        self.fold = fold
        self.utilisation = utilisation or Utilisation()
        self._now = now
        self._slow_at: datetime | None = None
        labels = ["region"]
        own = CollectorRegistry()
        self._own = own

        def gauge(name: str, text: str, *more: str) -> Gauge:
            return Gauge(name, text, [*labels, *more], registry=own)

        def counter(name: str, text: str, *more: str) -> Counter:
            return Counter(name, text, [*labels, *more], registry=own)

        def histogram(name: str, text: str, buckets: tuple[float, ...], *more: str) -> Histogram:
            return Histogram(name, text, [*labels, *more], buckets=buckets, registry=own)

        self._region = region
        self.settled = counter(
            "siaga_sla_settled", "Priority-1 emergencies settled, by verdict (on_time, late; left_out is none of both).",
            "verdict",
        )  # fmt: skip
        self.response = histogram(
            "siaga_sla_response_seconds", "First ring to first capable unit at scene, priority 1.", RESPONSE_BUCKETS_S
        )
        self.phase = histogram(
            "siaga_sla_phase_seconds", "Where the seconds went, priority 1; the phases of one response sum to it.",
            PHASE_BUCKETS_S, "phase",
        )  # fmt: skip
        self.answer = histogram("siaga_sla_call_answer_seconds", "First ring to answer.", ANSWER_BUCKETS_S)
        self.calls = counter("siaga_sla_calls", "Calls by what became of them.", "outcome")
        self.warnings = counter("siaga_sla_warnings", "Predicted breaches announced.")
        self.escalated = counter("siaga_sla_warnings_escalated", "Warnings nobody took on, by the rung told.", "to")
        self.breaches = counter("siaga_sla_breaches", "Responses that passed 420 s with nobody capable there.")
        self.open = gauge(
            "siaga_sla_open", "Open priority-1 emergencies by state (there, in_time, at_risk, late).", "state"
        )
        self.ringing = gauge("siaga_sla_calls_ringing", "Calls nobody has answered yet.")
        self.oldest_ring = gauge("siaga_sla_oldest_ring_seconds", "Age of the longest unanswered call; 0 without one.")
        self.unreturned = gauge("siaga_sla_calls_unreturned", "Abandoned calls not yet called back.")
        self.share = gauge(
            "siaga_sla_share", "Share within 420 s over 30 days, 0..1: share, low and high (Wilson 95 %).", "bound"
        )
        self.counted = gauge("siaga_sla_counted", "Emergencies counted in siaga_sla_share.")
        self.spike = gauge("siaga_sla_spike_alarm", "1 when arrivals pile up just under 420 s beyond chance (30 days).")
        self.free = gauge("siaga_sla_units_free", "Units available, by group (unit type, capability, all).", "group")
        self.on_duty = gauge("siaga_sla_units_on_duty", "Units on duty, by group.", "group")
        self.zero = gauge(
            "siaga_sla_zero_unit_seconds", "Seconds with units on duty and none free, since the journal began.", "group"
        )
        self.missing = gauge(
            "siaga_sla_journal_missing_lines", "Lines missing from the journal; each counts against the SLA."
        )
        self.worsened = gauge(
            "siaga_sla_verdicts_worsened", "Verdicts a later record lowered, since the journal began."
        )
        self.odd = gauge("siaga_sla_odd_lines", "Odd journal lines by kind, since the journal began.", "oddity")
        self.definition = gauge("siaga_sla_definition_info", "1; the label names the definition in force.", "version")
        self.definition.labels(region, VERSION).set(1)
        for verdict in ("on_time", "late"):
            self.settled.labels(region, verdict)  # a series that exists from the start: rate() sees the first late one
        for outcome in ("presented", "answered", "abandoned", "called_back"):
            self.calls.labels(region, outcome)
        self.warnings.labels(region)
        for rung in LADDER[1:]:
            self.escalated.labels(region, rung)
        self.breaches.labels(region)
        self.odd.labels(region, "clock_ran_back").set(0)
        self.follow()
        previous = _registered.get((registry, region))
        if previous is not None:  # a server started again in this process: its figures replace the old one's
            registry.unregister(previous)
        _registered[registry, region] = self
        registry.register(self)

    # --- feeding

    def follow(self) -> None:
        """Count what settles from now on; again after the fold has begun again."""
        self.fold.timeline.settled_hook = self._case_settled

    def observe(self, entry: ev.Entry) -> None:
        """After `fold.apply(entry)`."""
        event, region = entry.event, self._region
        self.utilisation.apply(entry)
        kind = type(event)
        if kind is ev.CallPresented:
            self.calls.labels(region, "presented").inc()
        elif kind is ev.CallAbandoned:
            self.calls.labels(region, "abandoned").inc()
        elif isinstance(event, ev.ReportAnswered):
            report = self.fold.timeline.reports.get(event.report_id)
            if report is not None and report.is_call and report.answered_at == entry.at:
                answer_s = answered_in_time(report)
                if answer_s is None:
                    self.calls.labels(region, "called_back").inc()
                else:
                    self.calls.labels(region, "answered").inc()
                    self.answer.labels(region).observe(answer_s)
        elif isinstance(event, ev.UnitAtScene):
            self._arrived(event)
        elif kind is ev.ResponseAtRisk:
            self.warnings.labels(region).inc()
        elif isinstance(event, ev.WarningEscalated):
            self.escalated.labels(region, event.to).inc()
        elif kind is ev.ResponseLate:
            self.breaches.labels(region).inc()

    def _arrived(self, event: ev.UnitAtScene) -> None:
        timeline = self.fold.timeline
        case = timeline.cases.get(event.incident_id)
        if case is None:
            return
        case = case.root()
        first, start = case.first_leg(), case.first_ring_at()
        if (
            first is None
            or first.assignment_id != event.assignment_id
            or start is None
            or first.at_scene_at is None
            or not case.was_priority_1()
        ):
            return
        self.response.labels(self._region).observe((first.at_scene_at - start) / timedelta(seconds=1))
        for name, seconds in phases(case, timeline).items():
            if seconds is not None:
                self.phase.labels(self._region, name).observe(seconds)

    def _case_settled(self, case: Case) -> None:
        if case.settled is not None and (case.settled.name != "LEFT_OUT" or case.was_priority_1()):
            self.settled.labels(self._region, case.settled.name.lower()).inc()

    # --- being scraped

    def describe(self) -> list[Metric]:
        """Nothing to check at registration; without this the registry would collect once, before the fold has a past."""
        return []

    def collect(self) -> Iterator[Metric]:
        self.tick(self._now())
        yield from self._own.collect()

    def tick(self, now: datetime) -> None:
        """Bring the momentary gauges to `now`."""
        region, timeline = self._region, self.fold.timeline
        timeline.settle_due(now)
        states = dict.fromkeys(("there", "in_time", "at_risk", "late"), 0)
        for incident in self.fold.open_incidents(now):
            if incident.chance is None:
                states["there"] += 1
            elif incident.left_s < 0:
                states["late"] += 1
            else:
                states["at_risk" if incident.at_risk else "in_time"] += 1
        for state, count in states.items():
            self.open.labels(region, state).set(count)
        ringing = list(timeline.ringing.values())
        self.ringing.labels(region).set(len(ringing))
        ages = [(now - r.rang_at) / timedelta(seconds=1) for r in ringing if r.rang_at is not None]
        self.oldest_ring.labels(region).set(max(0.0, max(ages, default=0.0)))
        self.unreturned.labels(region).set(len(timeline.unreturned))
        for group, (free, duty, zero_s) in self.utilisation.levels(now).items():
            self.free.labels(region, group).set(free)
            self.on_duty.labels(region, group).set(duty)
            self.zero.labels(region, group).set(zero_s)
        self.missing.labels(region).set(sum(k for _, k in timeline.missing))
        self.worsened.labels(region).set(timeline.worsened)
        for oddity, count in timeline.odd.items():
            self.odd.labels(region, oddity).set(count)
        if self._slow_at is None or now - self._slow_at >= SLOW_EVERY:
            self._slow_at = now
            self._slow(now)

    def _slow(self, now: datetime) -> None:
        region = self._region
        headline = self.fold.headline(now, now - timedelta(days=SHARE_DAYS))
        self.counted.labels(region).set(headline.n)
        nothing = float("nan")  # Prometheus' own way of saying "no value"; 0 would read as a share
        for bound, value in (("share", headline.share), ("low", headline.low), ("high", headline.high)):
            self.share.labels(region, bound).set(nothing if value is None else value)
        rows = self.fold.outcomes(now, now - timedelta(days=SPIKE_DAYS))
        times = [r.response_s for r in rows if r.verdict != "left_out" and r.response_s is not None]
        self.spike.labels(region).set(spike_under(times).alarm)
