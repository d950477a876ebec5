"""Invented journals with the shape of a real city's, for benchmarks, for looking at reports, and for tests.

Nothing here is Surabaya's truth: volumes by kind and hour follow the published sums (DOMAIN section 1), delays follow the
medians of San Francisco's public week (DOMAIN section 2), everything else is drawn. Same seed, same journal, to the byte.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np

from dispatch import events as ev
from dispatch.model import ENGINE, Actor, Channel, Place

KINDS: tuple[tuple[str, float, int], ...] = (
    # code, share of 2025's volume, priority
    ("medis", 0.527, 1),
    ("laka", 0.391, 1),
    ("kebakaran", 0.027, 1),
    ("pohon_tumbang", 0.022, 2),
    ("temuan_jenazah", 0.015, 3),
    ("genangan", 0.009, 3),
    ("rumah_roboh", 0.007, 1),
    ("tenggelam", 0.002, 1),
)
HOURLY = np.array([4, 3, 2, 2, 3, 5, 7, 8, 7, 6, 6, 6, 6, 6, 6, 7, 8, 9, 9, 8, 8, 7, 6, 5], dtype=float)
"""Relative load by local hour; drawn, not measured."""
ZONES = tuple(f"35.78.{k:02d}" for k in range(1, 32))
INCIDENTS_A_DAY = 51.0  # 18,703 in 2025
START = datetime(2025, 12, 31, 17, 0, tzinfo=UTC)  # midnight of 1 January 2026 in Surabaya
CALL_TAKER = Actor(role="call_taker", name="petugas-1")


class _Writer:
    def __init__(self, region: str, seed: int, candidates: int, units: int) -> None:
        self.region = region
        self.rng = np.random.default_rng(seed)
        self.candidates = candidates
        self.units = [f"A-{i:02d}" for i in range(1, units + 1)]
        self.lines: list[tuple[float, int, ev.AnyEvent, Actor]] = []

    def add(self, seconds: float, event: ev.AnyEvent, actor: Actor = ENGINE) -> None:
        self.lines.append((round(seconds, 3), len(self.lines), event, actor))

    def _around(self, median: float, spread: float = 0.6) -> float:
        return float(median * np.exp(self.rng.normal(0.0, spread)))

    def incident(self, number: int, ring: float) -> None:
        rng = self.rng
        ring = round(ring, 3)
        kind, _, priority = KINDS[int(rng.choice(len(KINDS), p=[k[1] for k in KINDS]))]
        name, report = f"i{number:06d}", f"r{number:06d}"
        zone = ZONES[int(rng.integers(len(ZONES)))]
        place = Place(lon=112.6 + 0.2 * float(rng.random()), lat=-7.35 + 0.15 * float(rng.random()))
        answered = ring + self._around(6.0, 0.8)
        opened = answered + self._around(58.0, 0.5)
        moment = START + timedelta(seconds=ring)
        self.add(ring, ev.CallPresented(report_id=report, call_id=f"c{number:06d}", rang_at=moment))
        self.add(answered, ev.ReportAnswered(report_id=report), CALL_TAKER)
        self.add(
            opened,
            ev.ReportSubmitted(report_id=report, channel=Channel.CALL, incident_kind=kind, place=place),
            CALL_TAKER,
        )
        self.add(
            opened,
            ev.IncidentOpened(
                incident_id=name,
                report_id=report,
                incident_kind=kind,
                priority=priority,
                place=place,
                first_ring_at=moment,
                plan=kind,
                mode="auto",
                required=["ambulance"],
                zone=zone,
            ),
            CALL_TAKER,
        )
        if rng.random() < 0.03:
            reason = "pelapor membatalkan"
            self.add(opened + self._around(60.0), ev.IncidentCancelled(incident_id=name, reason=reason), CALL_TAKER)
            return
        self._respond(number, name, ring, opened, zone)

    def _respond(self, number: int, name: str, ring: float, opened: float, zone: str) -> None:
        rng = self.rng
        chosen = [self.units[int(i)] for i in rng.choice(len(self.units), self.candidates, replace=False)]
        nearest = 60.0 + self._around(165.0, 0.45)
        etas = [round(nearest * (1.0 + 0.12 * k), 1) for k in range(len(chosen))]
        unit, assignment = chosen[0], f"a{number:06d}"
        assigned = opened + self._around(12.0, 0.9)
        accepted = assigned + self._around(11.0, 0.7)
        rolling = accepted + self._around(45.0, 0.5)
        travel = self._around(max(40.0, etas[0] - 60.0) * (1.0 + 0.35 * (ZONES.index(zone) % 7 == 0)), 0.35)
        there = rolling + travel
        columns = ev.Candidates(
            unit_ids=chosen,
            eta_s=list(etas),
            chance=[0.5] * len(chosen),
            verdict=["chosen", *["slower"] * (len(chosen) - 1)],
        )
        self.add(
            assigned,
            ev.UnitRecommended(
                incident_id=name,
                capability="ambulance",
                chosen=unit,
                candidates=columns,
                policy="closest",
                router="road",
            ),
        )
        self.add(
            assigned,
            ev.UnitAssigned(
                assignment_id=assignment,
                incident_id=name,
                unit_id=unit,
                capability="ambulance",
                eta_s=etas[0],
                sd_s=round(0.35 * etas[0], 1),
                ack_due_at=START + timedelta(seconds=assigned + 30),
            ),
        )
        crew = Actor(role="crew", name=unit)
        deadline = ring + 420.0
        if there > deadline and rng.random() < 0.9:
            self.add(
                max(opened, deadline - 180.0),
                ev.ResponseAtRisk(incident_id=name, deadline=START + timedelta(seconds=deadline), chance=0.3),
            )
        if there > deadline:
            self.add(deadline, ev.ResponseLate(incident_id=name, deadline=START + timedelta(seconds=deadline)))
        clear = there + self._around(900.0, 0.4)
        self.add(assigned + 1.5, ev.JobReceipted(assignment_id=assignment, step="delivered"), crew)
        self.add(accepted, ev.JobAcknowledged(assignment_id=assignment), crew)
        self.add(rolling, ev.UnitEnRoute(assignment_id=assignment), crew)
        self.add(there - 5.0, ev.ArrivalProposed(assignment_id=assignment), crew)
        at_scene = ev.UnitAtScene(assignment_id=assignment, unit_id=unit, incident_id=name, by="button")
        if rng.random() < 0.98:
            self.add(there, at_scene, crew)
            self.add(there + self._around(40.0), ev.UnitAtPatient(assignment_id=assignment), crew)
        if rng.random() < 0.5:
            self.add(
                there + 0.4 * (clear - there), ev.UnitTransporting(assignment_id=assignment, hospital_id="rs-1"), crew
            )
            self.add(there + 0.7 * (clear - there), ev.UnitAtHospital(assignment_id=assignment), crew)
        self.add(clear, ev.UnitCleared(assignment_id=assignment, unit_id=unit, incident_id=name), crew)
        self.add(clear + 30.0, ev.IncidentClosed(incident_id=name, outcome="selesai ditangani"), CALL_TAKER)


def journal(
    days: float,
    seed: int = 1,
    region: str = "surabaya",
    a_day: float = INCIDENTS_A_DAY,
    candidates: int = 25,
    units: int = 60,
) -> Iterator[ev.Entry]:
    """`days` of journal, in order. Units are not kept from serving two at once: this exercises arithmetic, not dispatch."""
    writer = _Writer(region, seed, candidates, units)
    rng = writer.rng
    for unit in writer.units:
        writer.add(0.0, ev.DutyStarted(unit_id=unit, crew=[]))
    hours = round(days * 24)
    number = 0
    for hour in range(hours):
        for _ in range(int(rng.poisson(a_day * HOURLY[hour % 24] / HOURLY.sum()))):
            number += 1
            writer.incident(number, 3600.0 * hour + 3600.0 * float(rng.random()))
        for _ in range(int(rng.poisson(0.15))):
            number += 1
            ring = round(3600.0 * (hour + float(rng.random())), 3)
            report = f"r{number:06d}"
            moment = START + timedelta(seconds=ring)
            writer.add(ring, ev.CallPresented(report_id=report, call_id=f"c{number:06d}", rang_at=moment))
            writer.add(ring + writer._around(20.0), ev.CallAbandoned(report_id=report))
    writer.lines.sort(key=lambda line: line[:2])
    for seq, (seconds, _, event, actor) in enumerate(writer.lines, start=1):
        yield ev.Entry(region=region, seq=seq, at=START + timedelta(seconds=seconds), actor=actor, event=event)
