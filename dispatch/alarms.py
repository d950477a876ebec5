"""What the clock alone can cause: unanswered alerts, predicted and real lateness, plans confirmed by time.

Pure functions from the engine's state at `at` to events; the engine calls them when a deadline has come.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from dispatch import events as ev
from dispatch import prediction, remedies
from dispatch.model import AssignmentState, Incident
from dispatch.planning import EngineView
from dispatch.region import Limits

if TYPE_CHECKING:
    from dispatch.engine import Engine

LAST_CALL_CHANCE = 0.95
"""In the last `warn_left_s`, when a remedy can only just still help, doubt is enough to warn; before, `limits.risk_chance` waits
until the drive itself has told. Chosen on two simulated months each with travel times spread by 0, 0.3 and 0.68, and on drives
that change their pace half-way (docs/sla.md; `siaga simulate` prints recall and precision)."""
LADDER = ("dispatcher", "supervisor", "manager")
"""Who hears of a warning, rung by rung, as long as nobody takes it on."""
NO_ANSWER = "tidak menjawab panggilan"


def ack_overdue(engine: Engine, assignment_id: str, at: datetime) -> list[ev.AnyEvent]:
    """The acknowledgement ladder: alert again, then a voice task and the next unit."""
    a = engine.state.assignments[assignment_id]
    limits = engine.region.limits
    if a.alerts < limits.ack_alerts_max:
        return [
            ev.UnitRealerted(
                assignment_id=assignment_id,
                alerts=a.alerts + 1,
                ack_due_at=at + timedelta(seconds=limits.ack_timeout_s),
            )
        ]
    return [
        ev.VoiceTaskRaised(assignment_id=assignment_id, unit_id=a.unit_id, incident_id=a.incident_id),
        ev.JobUnanswered(assignment_id=assignment_id, unit_id=a.unit_id, incident_id=a.incident_id),
        ev.UnitOutOfService(unit_id=a.unit_id, reason=NO_ANSWER),
    ]


def check_overdue(engine: Engine, assignment_id: str) -> list[ev.AnyEvent]:
    """No sign of life from a crew at the scene (`limits.crew_check_s`): the desk must call it."""
    a = engine.state.assignments[assignment_id]
    return [ev.CrewSilent(assignment_id=assignment_id, unit_id=a.unit_id, incident_id=a.incident_id)]


def confirm_overdue(engine: Engine, incident_id: str) -> list[ev.AnyEvent]:
    return [ev.PlanConfirmed(incident_id=incident_id)]


def late(engine: Engine, incident_id: str) -> list[ev.AnyEvent]:
    incident = engine.state.incidents[incident_id]
    return [ev.ResponseLate(incident_id=incident_id, deadline=engine.deadline(incident))]


def predict(engine: Engine, incident: Incident, at: datetime) -> tuple[float, datetime | None]:
    """(P(first capable unit at scene by the deadline), expected arrival); (0, None) when nobody is coming."""
    best_chance, best_eta_s = 0.0, None
    missing_s = 1.0
    left_s = (engine.deadline(incident) - at).total_seconds()
    for a in engine.state.active_of(incident):
        if not a.first or a.at_scene_at is not None:
            continue
        eta_s, sd_s = remaining(engine, incident, a.assignment_id, at)
        chance = prediction.chance_within(left_s, eta_s, sd_s)
        missing_s *= 1.0 - chance  # independent vehicles: all of them must be late
        if best_eta_s is None or eta_s < best_eta_s:
            best_eta_s = eta_s
    best_chance = round(1.0 - missing_s, 4)
    return best_chance, None if best_eta_s is None else at + timedelta(seconds=round(best_eta_s, 1))


def remaining(engine: Engine, incident: Incident, assignment_id: str, at: datetime) -> tuple[float, float]:
    """Expected seconds until this coming unit arrives and their deviation: by road from a fresh fix, else by the first estimate."""
    a = engine.state.assignments[assignment_id]
    unit = engine.state.units[a.unit_id]
    elapsed_s = (at - a.assigned_at).total_seconds()
    promised_s = a.eta_s if a.eta_s is not None else engine.region.limits.target_s
    position = unit.position
    if position is not None and (at - position.fixed_at).total_seconds() <= engine.region.limits.fix_stale_s:
        mode = engine.travel_mode(unit.mode, incident.priority)
        travel_s = engine.router.estimate(
            position.lon, position.lat, incident.place.lon, incident.place.lat, mode
        ).eta_s
        turnout_s = 0.0
        if a.state is not AssignmentState.EN_ROUTE:
            turnout_s = max(0.0, EngineView(engine, at).turnout_s(unit) - elapsed_s)
        elif a.en_route_at is not None and a.eta_s is not None:
            rolled_s = (at - a.en_route_at).total_seconds()
            posted_s = EngineView(engine, at)._posted_turnout_s(unit)
            drive_s = a.eta_s - min((a.en_route_at - a.assigned_at).total_seconds(), posted_s)
            covered_s = max(0.0, drive_s - travel_s)
            travel_s *= prediction.pace(rolled_s, covered_s)
            return travel_s, prediction.rest_spread_s(travel_s, covered_s, engine.cv_of(travel_s, at))
        return turnout_s + travel_s, engine.spread_s(travel_s, at)
    return max(promised_s - elapsed_s, 1.0), engine.spread_s(promised_s, at)


def at_risk(engine: Engine, incident_id: str, at: datetime) -> tuple[list[ev.AnyEvent], float]:
    """(Warning or nothing, seconds until the next look). Warns when lateness is all but certain, near the end already when
    it is in doubt, with the remedies that would help and the seconds they gain. Said once: a warning stands until the
    grade or the place changes, so that it cannot flicker.
    """
    incident = engine.state.incidents[incident_id]
    chance, predicted_at = predict(engine, incident, at)
    limits = engine.region.limits
    left_s = (engine.deadline(incident) - at).total_seconds()
    last_call = left_s <= limits.warn_left_s
    held_until = None if incident.confirmed else incident.confirm_due_at
    if predicted_at is None and held_until is not None and not last_call:
        # held a moment on purpose (a likely duplicate, questions still going on): worth a word only if it outlasts that
        wait_s = (held_until - at).total_seconds() + 1.0
        return [], max(1.0, min(wait_s, left_s - limits.warn_left_s))
    if chance >= (max(LAST_CALL_CHANCE, limits.risk_chance) if last_call else limits.risk_chance):
        return [], _next_look_s(limits, left_s, None if predicted_at is None else (predicted_at - at).total_seconds())
    return [_warning(engine, incident, at, chance, predicted_at)], 0.0


def _next_look_s(limits: Limits, left_s: float, eta_s: float | None) -> float:
    """A vehicle that stands still loses a second of its reserve a second, so half the reserve is soon enough to look again;
    never past the moment from which doubt is enough. What changes otherwise (a unit withdrawn) is looked at when it does."""
    step_s = limits.risk_check_s or 0.0
    reserve_s = left_s - (left_s if eta_s is None else eta_s)
    wait_s = max(step_s, reserve_s / 2.0)
    return min(wait_s, left_s - limits.warn_left_s) if left_s > limits.warn_left_s else wait_s


def _warning(
    engine: Engine, incident: Incident, at: datetime, chance: float, predicted_at: datetime | None
) -> ev.ResponseAtRisk:  # fmt: skip
    found = remedies.remedies(engine, incident, at, chance, predicted_at)
    best = found[0] if found and found[0].unit_id is not None else None
    return ev.ResponseAtRisk(
        incident_id=incident.incident_id,
        deadline=engine.deadline(incident),
        chance=chance,
        predicted_at=predicted_at,
        remedy="none" if best is None else best.kind,
        remedy_unit=None if best is None else best.unit_id,
        gain_s=None if best is None else best.gain_s,
        remedies=found,
        ack_due_at=at + timedelta(seconds=engine.region.limits.warning_ack_s),
    )


def unheeded(engine: Engine, incident_id: str, at: datetime) -> list[ev.AnyEvent]:
    """Nobody has taken the warning on in time: up the ladder."""
    incident = engine.state.incidents[incident_id]
    level = incident.warning_level + 1
    top = level >= len(LADDER)
    return [
        ev.WarningEscalated(
            incident_id=incident_id,
            level=level,
            to=LADDER[level - 1],
            ack_due_at=None if top else at + timedelta(seconds=engine.region.limits.warning_ack_s),
        )
    ]
