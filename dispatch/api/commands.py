"""Every engine command as a route of its own: who may give it, and the answer when its events are durable."""

from __future__ import annotations

import msgspec
from aiohttp import web

from dispatch import commands as co
from dispatch.api.problems import Problem
from dispatch.api.routes import CREW, DESK, PARTNER, SENDERS, SUPERVISOR, Call, Route, json_bytes
from dispatch.live import Outcome

KEY_MAX = 128
"""Longest Idempotency-Key: a UUID has 36 characters."""

STAFF: dict[type[co.Command], frozenset[str]] = {
    co.PresentCall: DESK,
    co.AnswerReport: DESK,
    co.AbandonCall: DESK,
    co.SubmitReport: DESK,
    co.LocateReport: DESK,
    co.AttachReport: DESK,
    co.DetachReport: DESK,
    co.DismissReport: DESK,
    co.RegradeIncident: DESK,
    co.RelocateIncident: DESK,
    co.MergeIncident: DESK,
    co.UnmergeIncident: DESK,
    co.NoteIncident: DESK,
    co.CorrectClock: frozenset({SUPERVISOR}),
    co.AnswerTriage: DESK,
    co.CancelIncident: SENDERS,
    co.CloseIncident: SENDERS,
    co.ReopenIncident: SENDERS,  # a dispatcher only their own, for a moment: `decide_incidents.reopen_incident`
    co.RaiseAlarm: SENDERS,
    co.AcknowledgeWarning: SENDERS,
    co.ConfirmPlan: SENDERS,
    co.AssignUnit: SENDERS,
    co.WithdrawUnit: SENDERS,
    co.StartDuty: SENDERS,
    co.EndDuty: SENDERS,
    co.AcknowledgeJob: SENDERS,
    co.DeclineJob: SENDERS,
    co.ReportEnRoute: SENDERS,
    co.ReportAtScene: SENDERS,
    co.ReportAtPatient: SENDERS,
    co.CountPatients: SENDERS,
    co.ReportSafe: SENDERS,
    co.ReportTransporting: SENDERS,
    co.ReportAtHospital: SENDERS,
    co.ReportClear: SENDERS,
    co.RequestBackup: SENDERS,
    co.TakeOutOfService: SENDERS,
    co.ReturnToService: SENDERS,
    co.PlaceUnit: SENDERS,
    co.OrderMove: SENDERS,
    co.DeclineMove: SENDERS,
    co.RestrictRoad: SENDERS,
    co.LiftRestriction: SENDERS,
    co.HandOver: DESK,
}
"""By radio a dispatcher gives a crew's steps in its place."""

UNIT: tuple[type[co.Command], ...] = (
    co.StartDuty,
    co.EndDuty,
    co.ReceiptJob,
    co.AcknowledgeJob,
    co.DeclineJob,
    co.ReportEnRoute,
    co.ReportAtScene,
    co.ReportAtPatient,
    co.CountPatients,
    co.ReportSafe,
    co.ReportTransporting,
    co.ReportAtHospital,
    co.ReportClear,
    co.RequestBackup,
    co.NoteIncident,
    co.TakeOutOfService,
    co.ReturnToService,
)
"""What a crew's own device may say; the engine refuses it for any other unit."""

PARTNERS: tuple[type[co.Command], ...] = (co.PresentCall, co.AbandonCall, co.SubmitReport, co.LocateReport)
"""Telephone exchange, location provider, neighbouring centres."""


def idempotency_key(call: Call) -> str | None:
    key = call.request.headers.get("Idempotency-Key")
    if key is not None and not 1 <= len(key) <= KEY_MAX:
        raise Problem("invalid_query", "Idempotency-Key", {"length_max": KEY_MAX})
    return key


async def give(call: Call) -> web.StreamResponse:
    """Any command: the body is the command."""
    path = call.request.path.encode()
    command = call.body
    if call.who.role == CREW and not isinstance(command, co.ReceiptJob):
        call.services.fix_from[call.who.name] = (call.device, call.services.clock.now())
    if isinstance(command, co.ReceiptJob):
        command = msgspec.structs.replace(command, device=call.device)
    body = await call.services.live.submit(command, call.who, key=idempotency_key(call), body=path + call.raw)
    return json_bytes(body)


def _route(prefix: str, command: type[co.Command], roles: frozenset[str], tag: str) -> Route:
    name = str(command.__struct_config__.tag)
    doc = (command.__doc__ or "").strip().split("\n")[0]
    if doc.startswith(command.__name__ + "("):
        doc = ""  # the signature msgspec writes when there is no docstring
    return Route(
        "POST",
        f"{prefix}/{name}",
        give,
        doc or name.replace("_", " ").capitalize() + ".",
        roles=roles,
        body=command,
        answer=Outcome,
        statuses=(404, 409, 503),
        tag=tag,
    )


def routes() -> list[Route]:
    table: list[Route] = []
    table += [_route("/api/v1/commands", c, roles, "commands") for c, roles in STAFF.items()]
    table += [_route("/api/v1/unit", c, frozenset({CREW}), "unit") for c in UNIT]
    table += [_route("/api/v1/partner", c, frozenset({PARTNER}), "partner") for c in PARTNERS]
    return table
