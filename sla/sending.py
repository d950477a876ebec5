"""What each line about a unit on its way writes down. A third of the fold; see `timeline.py`."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from dispatch import events as ev
from dispatch.fold import EXTRA
from sla.clocks import AT_SCENE, Leg, Recommended
from sla.definition import Verdict
from sla.incidents import Incidents

DEVICE_AHEAD_MAX = timedelta(seconds=60)  # a phone's clock is rarely a minute off; beyond that it is flagged

BEFORE_ARRIVAL = frozenset({"delivered", "seen", "acknowledged", "en_route"})


class Sending(Incidents):
    """A record that also follows recommendations, assignments and every step of a leg."""

    def __init__(self) -> None:
        super().__init__()
        self._handlers |= {
            ev.UnitRecommended: self._unit_recommended,
            ev.UnitAssigned: self._unit_assigned,
            ev.JobReceipted: self._job_receipted,
            ev.JobAcknowledged: self._job_acknowledged,
            ev.JobDeclined: lambda e, at: self._leg_ended(e, at, "declined"),
            ev.JobUnanswered: lambda e, at: self._leg_ended(e, at, "unanswered"),
            ev.UnitWithdrawn: lambda e, at: self._leg_ended(e, at, "withdrawn"),
            ev.UnitEnRoute: self._unit_en_route,
            ev.ArrivalProposed: self._arrival_proposed,
            ev.UnitAtScene: self._unit_at_scene,
            ev.UnitAtPatient: self._unit_at_patient,
            ev.UnitTransporting: self._unit_transporting,
            ev.UnitAtHospital: self._unit_at_hospital,
            ev.UnitCleared: lambda e, at: self._leg_ended(e, at, "cleared"),
        }

    def _unit_recommended(self, event: ev.UnitRecommended, at: datetime) -> None:
        case = self._case(event.incident_id, at)
        if case is not None:
            case.recommended.append(Recommended.of(event, at))
            if case.evidence is None and case.settled is not Verdict.ON_TIME:
                case.evidence = event

    def _unit_assigned(self, event: ev.UnitAssigned, at: datetime) -> None:
        case = self._case(event.incident_id, at)
        leg = Leg(event.assignment_id, event.incident_id, event.unit_id, event.capability, event.first)
        leg.assigned_at, leg.eta_s, leg.sd_s = at, event.eta_s, event.sd_s
        leg.override, leg.diverted_from = event.override, event.diverted_from
        if event.capability == EXTRA and case is not None:
            leg.by_plan = case.root().plan
        self.legs[event.assignment_id] = leg
        self.unit_legs.setdefault(event.unit_id, []).append(leg)
        if case is not None:
            case.legs.append(leg)

    def _leg(self, event: Any, at: datetime, step: str) -> Leg | None:
        leg: Leg | None = self.legs.get(event.assignment_id)
        if leg is None:
            self.odd["unknown_assignment"] += 1
            return None
        device_at = event.device_at
        if device_at is not None:
            if device_at.tzinfo is None:
                self.odd["time_without_zone"] += 1
            else:
                if device_at - at > DEVICE_AHEAD_MAX:
                    self.odd["device_ahead"] += 1
                if leg.device_at is not None and device_at < max(leg.device_at.values()):
                    self.odd["device_reversed"] += 1
                if leg.device_at is None:
                    leg.device_at = {step: device_at}
                else:
                    leg.device_at.setdefault(step, device_at)
        if leg.at_scene_at is not None and step in BEFORE_ARRIVAL:
            self.odd["step_after_arrival"] += 1
        case = self.cases.get(leg.incident_id)
        if case is not None:
            case.version += 1
            if case.merged_into is not None:
                case.root().version += 1
        return leg

    def _job_receipted(self, event: ev.JobReceipted, at: datetime) -> None:
        leg = self._leg(event, at, event.step)
        if leg is not None:
            if leg.delivered_at is None:
                leg.delivered_at = at
            if event.step == "seen" and leg.seen_at is None:
                leg.seen_at = at

    def _job_acknowledged(self, event: ev.JobAcknowledged, at: datetime) -> None:
        leg = self._leg(event, at, "acknowledged")
        if leg is not None and leg.acknowledged_at is None:
            leg.acknowledged_at = at

    def _unit_en_route(self, event: ev.UnitEnRoute, at: datetime) -> None:
        leg = self._leg(event, at, "en_route")
        if leg is not None and leg.en_route_at is None:
            leg.en_route_at = at

    def _arrival_proposed(self, event: ev.ArrivalProposed, at: datetime) -> None:
        leg = self._leg(event, at, "geofence")
        if leg is not None and leg.geofence_at is None:
            leg.geofence_at = at

    def _unit_at_scene(self, event: ev.UnitAtScene, at: datetime) -> None:
        leg = self._leg(event, at, AT_SCENE)
        if leg is None or leg.at_scene_at is not None:
            return
        case = self._case(leg.incident_id, at)
        leg.at_scene_at, leg.at_scene_by = at, event.by
        if leg.en_route_at is None:
            self.odd["arrival_without_departure"] += 1
        if case is None:
            return
        root = case.root()
        wanted = root.wanted | case.wanted
        fits = not wanted or leg.by_plan == root.plan or not wanted.isdisjoint(leg.capability.split("|"))
        leg.capable = leg.first and fits
        if leg.capable:
            for settling in (case, root):
                if settling.settled is None:
                    self._settle(settling)

    def _unit_at_patient(self, event: ev.UnitAtPatient, at: datetime) -> None:
        leg = self._leg(event, at, "at_patient")
        if leg is not None and leg.at_patient_at is None:
            leg.at_patient_at = at

    def _unit_transporting(self, event: ev.UnitTransporting, at: datetime) -> None:
        leg = self._leg(event, at, "transporting")
        if leg is not None and leg.transporting_at is None:
            leg.transporting_at = at

    def _unit_at_hospital(self, event: ev.UnitAtHospital, at: datetime) -> None:
        leg = self._leg(event, at, "at_hospital")
        if leg is not None and leg.at_hospital_at is None:
            leg.at_hospital_at = at

    def _leg_ended(self, event: Any, at: datetime, end: str) -> None:
        leg = self.legs.get(event.assignment_id)
        if leg is None:
            self.odd["unknown_assignment"] += 1
        elif leg.ended_at is None:
            leg.ended_at, leg.end = at, end
