"""All that is known of one emergency, ready to be printed: row, phases, units, explanation, and the journal's own lines.

Personal data stays out: lines say what happened and who of the staff did it, never who called or what they said.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from dispatch import events as ev
from dispatch.model import ENGINE, Rejected
from dispatch.region import Region
from sla.attribution import Attribution, Counterfactual, Explanation
from sla.clocks import Case, Leg, Recommended
from sla.definition import VERSION
from sla.groups import local
from sla.live import SlaFold
from sla.outcome import PHASE_BUDGET_S, PHASES, Outcome
from sla.sentences import detail

LINES_MAX = 2_000  # an incident of a day with a hundred units stays under it
STEPS = ("assigned_at", "delivered_at", "acknowledged_at", "en_route_at", "geofence_at", "at_scene_at", "at_patient_at")
DEVICE_STEP = {
    "delivered_at": "delivered",
    "acknowledged_at": "acknowledged",
    "en_route_at": "en_route",
    "geofence_at": "geofence",
    "at_scene_at": "at_scene",
    "at_patient_at": "at_patient",
}
ENDS = {"cleared": "selesai", "declined": "menolak", "unanswered": "tidak menjawab", "withdrawn": "ditarik", "": "-"}
RUNG_WORDS = {"supervisor": "penyelia", "manager": "manajer piket"}
HAPPENED: dict[type[ev.Event], str] = {
    ev.CallPresented: "Telepon berdering",
    ev.ReportAnswered: "Diangkat",
    ev.CallAbandoned: "Terputus sebelum tercatat",
    ev.ReportSubmitted: "Laporan tercatat: {incident_kind}",
    ev.ReportLocated: "Letak pelapor diperbarui",
    ev.ReportAttached: "Laporan {report_id} digabung",
    ev.ReportDetached: "Laporan {report_id} dipisah",
    ev.ReportDismissed: "Laporan {report_id} dikesampingkan: {reason}",
    ev.DuplicateSuspected: "Diduga ganda dengan {like}",
    ev.IncidentOpened: "Kejadian dibuka: {incident_kind}, prioritas {priority}",
    ev.IncidentRegraded: "Dinilai ulang: {incident_kind}, prioritas {priority_before} menjadi {priority} ({reason})",
    ev.IncidentRelocated: "Letak diubah ({reason})",
    ev.IncidentMerged: "Digabung: {incident_id} ke {into}",
    ev.IncidentUnmerged: "Dipisah: {incident_id} dari {out_of}",
    ev.IncidentCancelled: "Dibatalkan: {reason}",
    ev.IncidentClosed: "Ditutup: {outcome}",
    ev.IncidentReopened: "Dibuka lagi: {reason}",
    ev.IncidentNoted: "Catatan ditambahkan",
    ev.ClockCorrected: "Koreksi jam ({step}): {reason}",
    ev.AlarmRaised: "Alarm dinaikkan ke {level}: {reason}",
    ev.TriageAnswered: "Triase {question}: {answer}",
    ev.PlanConfirmed: "Rencana disetujui",
    ev.PlanShort: "Kekurangan unit: {why}",
    ev.ResponseAtRisk: "Peringatan: diperkirakan terlambat (peluang tepat waktu {chance:.0%}){help}",
    ev.WarningAcknowledged: "Peringatan ditangani",
    ev.WarningEscalated: "Peringatan belum ditangani, naik ke {to}",
    ev.ResponseLate: "Tujuh menit lewat, belum ada yang tiba",
    ev.UnitRecommended: "Mesin menyarankan {chosen} ({capability})",
    ev.UnitAssigned: "{unit_id} ditugaskan, perkiraan {eta_s} s",
    ev.UnitRealerted: "Diperintah ulang (ke-{alerts})",
    ev.VoiceTaskRaised: "Panggil {unit_id} lewat radio",
    ev.JobReceipted: "Gawai: {step}",
    ev.JobAcknowledged: "Kru menerima",
    ev.JobDeclined: "{unit_id} menolak: {reason}",
    ev.JobUnanswered: "{unit_id} tidak menjawab",
    ev.UnitWithdrawn: "{unit_id} ditarik: {reason}",
    ev.UnitEnRoute: "Berangkat",
    ev.ArrivalProposed: "Geofence: di lokasi",
    ev.UnitAtScene: "{unit_id} tiba ({by})",
    ev.UnitAtPatient: "Di sisi pasien",
    ev.UnitTransporting: "Mengangkut ke {hospital_id}",
    ev.UnitAtHospital: "Di rumah sakit",
    ev.UnitCleared: "{unit_id} selesai",
}
BY_WORDS = {"button": "tombol kru", "geofence": "geofence", "dispatcher": "dicatat petugas"}
STEP_WORDS = {"delivered": "perintah sampai", "seen": "perintah dilihat"}


class LegRow(msgspec.Struct, frozen=True):
    unit_id: str
    stamps: list[str]
    end: str
    override: bool


class Dossier(msgspec.Struct, frozen=True):
    definition: str
    made_at: datetime
    utc_offset_h: float
    row: Outcome
    zone_name: str | None
    explanation: Explanation | None
    phase_rows: list[tuple[str, float | None, float]]
    counterfactual_rows: list[tuple[Counterfactual, str]]
    legs: list[LegRow]
    overridden: bool
    recommended: list[Recommended]
    lines: list[tuple[str, str, str, str]]
    """(seconds from first ring, local time, what, who)."""


def dossier(
    fold: SlaFold,
    incident_id: str,
    entries: Iterable[ev.Entry],
    now: datetime,
    region: Region | None = None,
    attribution: Attribution | None = None,
) -> Dossier:
    """The dossier of one incident; `entries` may be any part of the journal, its own lines are picked out.

    Raises Rejected("unknown_incident").
    """
    case = fold.timeline.cases.get(incident_id)
    if case is None:
        raise Rejected("unknown_incident", "incident_id", incident_id=incident_id)
    offset_h = region.utc_offset_h if region is not None else 7.0
    row = fold.outcome(case, now)
    explain = attribution or Attribution(region, None, offset_h)
    explanation = explain.explain(case, fold.timeline, now)
    legs = [leg for c in case.cluster() for leg in c.legs]
    zone = None if region is None or row.zone is None else region.zones.get(row.zone)
    return Dossier(
        VERSION,
        now,
        offset_h,
        row,
        row.zone if zone is None else zone.name,
        explanation,
        [(name, row.phases.get(name), PHASE_BUDGET_S[name]) for name in PHASES] if row.phases else [],
        [] if explanation is None else [(c, detail(c)[0]) for c in explanation.counterfactuals],
        [_leg_row(leg, offset_h) for leg in legs],
        any(leg.override for leg in legs),
        case.recommended,
        _lines(case, legs, entries, offset_h),
    )


def _leg_row(leg: Leg, offset_h: float) -> LegRow:
    stamps = []
    for step in STEPS:
        at: datetime | None = getattr(leg, step)
        text = "-" if at is None else f"{local(at, offset_h):%H:%M:%S}"
        device_at = (leg.device_at or {}).get(DEVICE_STEP.get(step, ""))
        if at is not None and device_at is not None and abs(device_at - at) >= timedelta(seconds=1):
            text += f" ({local(device_at, offset_h):%H:%M:%S})"
        stamps.append(text)
    return LegRow(leg.unit_id, stamps, ENDS[leg.end], leg.override)


def _lines(
    case: Case, legs: list[Leg], entries: Iterable[ev.Entry], offset_h: float
) -> list[tuple[str, str, str, str]]:
    cluster = case.cluster()
    incidents = {c.incident_id for c in cluster}
    reports = {r for c in cluster for r in c.report_ids}
    assignments = {leg.assignment_id for leg in legs}
    start = case.first_ring_at()
    found = []
    for entry in entries:
        event = entry.event
        if not (
            getattr(event, "incident_id", None) in incidents
            or getattr(event, "report_id", None) in reports
            or getattr(event, "assignment_id", None) in assignments
            or getattr(event, "into", None) in incidents
        ):
            continue
        seconds = "-" if start is None else f"{(entry.at - start) / timedelta(seconds=1):.1f}".replace(".", ",")
        found.append(
            (
                seconds,
                f"{local(entry.at, offset_h):%H:%M:%S}",
                say(event),
                "mesin" if entry.actor == ENGINE else entry.actor.name,
            )
        )
        if len(found) == LINES_MAX:
            break
    return found


def say(event: ev.Event) -> str:
    """One line of a journal in words an operator would use; never a caller's words or number."""
    text = HAPPENED.get(type(event))
    if text is None:
        return str(event.__struct_config__.tag)
    fields = {name: getattr(event, name) for name in event.__struct_fields__}
    if isinstance(event, ev.JobReceipted):
        fields["step"] = STEP_WORDS.get(event.step, event.step)
    if isinstance(event, ev.UnitAtScene):
        fields["by"] = BY_WORDS.get(event.by, event.by)
    if isinstance(event, ev.WarningEscalated):
        fields["to"] = RUNG_WORDS.get(event.to, event.to)
    if isinstance(event, ev.ResponseAtRisk):
        gain = "" if event.gain_s is None else f" {event.gain_s:.0f} detik lebih cepat"
        fields["help"] = "" if event.remedy_unit is None else f"; usul: {event.remedy_unit}{gain}"
    if isinstance(event, ev.UnitAssigned):
        fields["eta_s"] = "?" if event.eta_s is None else f"{event.eta_s:.0f}"
    return text.format(**fields)
