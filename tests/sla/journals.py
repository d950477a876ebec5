"""Journals written by hand for tests: one line an event, times as seconds after `START`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from dispatch import events as ev
from dispatch.model import Actor, Channel, Place

START = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)  # a Monday, 08:00 in Surabaya
PLACE = Place(lon=112.74, lat=-7.26)
WHO = Actor(role="dispatcher", name="sari")


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


class Journal:
    """Appends events in time order. `told` is the list of entries so far."""

    def __init__(self, region: str = "surabaya") -> None:
        self.region = region
        self.told: list[ev.Entry] = []
        self._seq = 0

    def add(self, seconds: float, event: ev.AnyEvent, *, seq: int | None = None) -> None:
        self._seq = self._seq + 1 if seq is None else seq
        self.told.append(ev.Entry(region=self.region, seq=self._seq, at=at(seconds), actor=WHO, event=event))

    def ring(self, seconds: float, report: str, rang: float | None = None) -> None:
        rang_at = at(seconds if rang is None else rang)
        self.add(seconds, ev.CallPresented(report_id=report, call_id=f"c-{report}", rang_at=rang_at))

    def answer(self, seconds: float, report: str) -> None:
        self.add(seconds, ev.ReportAnswered(report_id=report))

    def submit(self, seconds: float, report: str, kind: str = "medis") -> None:
        self.add(seconds, ev.ReportSubmitted(report_id=report, channel=Channel.CALL, incident_kind=kind, place=PLACE))

    def open(
        self,
        seconds: float,
        incident: str,
        report: str,
        ring: float,
        priority: int = 1,
        kind: str = "medis",
        required: tuple[str, ...] = ("ambulance",),
        zone: str | None = "35.78.05",
    ) -> None:
        self.add(
            seconds,
            ev.IncidentOpened(
                incident_id=incident,
                report_id=report,
                incident_kind=kind,
                priority=priority,
                place=PLACE,
                first_ring_at=at(ring),
                plan="p",
                mode="auto",
                required=list(required),
                zone=zone,
            ),
        )

    def call(self, ring: float, incident: str, priority: int = 1, **more: Any) -> None:
        """Ring, answered after 8 s, incident open after 40 s; report id = `r-<incident>`."""
        report = f"r-{incident}"
        self.ring(ring, report)
        self.answer(ring + 8, report)
        self.submit(ring + 40, report)
        self.open(ring + 40, incident, report, ring, priority, **more)

    def assign(
        self,
        seconds: float,
        assignment: str,
        incident: str,
        unit: str = "A-01",
        capability: str = "ambulance",
        first: bool = True,
        eta_s: float | None = 240.0,
        sd_s: float = 60.0,
    ) -> None:
        self.add(
            seconds,
            ev.UnitAssigned(
                assignment_id=assignment,
                incident_id=incident,
                unit_id=unit,
                capability=capability,
                eta_s=eta_s,
                sd_s=sd_s,
                ack_due_at=at(seconds + 30),
                first=first,
            ),
        )

    def arrive(
        self,
        seconds: float,
        assignment: str,
        incident: str,
        unit: str = "A-01",
        by: str = "button",
        device: float | None = None,
    ) -> None:
        self.add(
            seconds,
            ev.UnitAtScene(
                assignment_id=assignment,
                unit_id=unit,
                incident_id=incident,
                by=by,
                device_at=None if device is None else at(device),
            ),
        )

    def respond(self, assigned: float, arrived: float, incident: str, assignment: str | None = None) -> None:
        """Assigned, delivered +2 s, accepted +10 s, rolling +45 s, at scene."""
        assignment = assignment or f"a-{incident}"
        self.assign(assigned, assignment, incident)
        self.add(assigned + 2, ev.JobReceipted(assignment_id=assignment, step="delivered"))
        self.add(assigned + 10, ev.JobAcknowledged(assignment_id=assignment))
        self.add(assigned + 45, ev.UnitEnRoute(assignment_id=assignment))
        self.arrive(arrived, assignment, incident)

    def merge(
        self, seconds: float, gone: str, into: str, moved: tuple[str, ...] = (), first: list[str] | None = None
    ) -> None:
        event = ev.IncidentMerged(
            incident_id=gone, into=into, reports=[f"r-{gone}"], assignments=list(moved), first=first
        )
        self.add(seconds, event)

    def cancel(self, seconds: float, incident: str, reason: str = "pelapor membatalkan") -> None:
        self.add(seconds, ev.IncidentCancelled(incident_id=incident, reason=reason))

    def close(self, seconds: float, incident: str) -> None:
        self.add(seconds, ev.IncidentClosed(incident_id=incident, outcome="selesai ditangani"))

    def regrade(
        self,
        seconds: float,
        incident: str,
        priority: int,
        before: int,
        required: tuple[str, ...] = ("ambulance",),
        first: list[str] | None = None,
    ) -> None:
        self.add(
            seconds,
            ev.IncidentRegraded(
                incident_id=incident,
                incident_kind="medis",
                priority=priority,
                kind_before="medis",
                priority_before=before,
                plan="p",
                required=list(required),
                reason="hasil triase",
                first=first,
            ),
        )
