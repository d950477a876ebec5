"""A warning of lateness: what would help, who has taken it on, and who hears of it when nobody does."""

from __future__ import annotations

import msgspec
import pytest

from dispatch import alarms, remedies
from dispatch import commands as co
from dispatch import events as ev
from dispatch.engine import Engine
from dispatch.model import Place, Rejected
from dispatch.region import Agency
from geo.router import StraightLineRouter
from tests.dispatch.town import DISPATCHER, LAT, LON, SUPERVISOR, T0, TAKER, after, crew, make_engine, report, town

FAR = -0.05
"""Degrees east of the town: no unit of it is there within seven minutes."""


def warned_engine() -> tuple[Engine, ev.ResponseAtRisk, str]:
    """An emergency at the edge of the map, warned of as it is opened."""
    engine = make_engine()
    for unit in ("A1", "A2"):
        engine.step(co.EndDuty(unit_id=unit), T0, DISPATCHER)
    entries = engine.step(report("medis", FAR), after(5), TAKER)
    warning = next(e.event for e in entries if isinstance(e.event, ev.ResponseAtRisk))
    return engine, warning, warning.incident_id


def said(engine: Engine, until_s: float) -> list[tuple[float, ev.WarningEscalated]]:
    """What the clock alone says until then."""
    found = []
    while (due := engine.next_deadline()) is not None and due <= after(until_s):
        for entry in engine.step(co.Wake(), due):
            if isinstance(entry.event, ev.WarningEscalated):
                found.append(((entry.at - T0).total_seconds(), entry.event))
    return found


def test_a_warning_nobody_takes_on_goes_up_the_ladder_rung_by_rung() -> None:
    engine, warning, incident_id = warned_engine()
    assert warning.ack_due_at == after(25)
    rungs = said(engine, 60)
    assert [(at, e.level, e.to) for at, e in rungs] == [(25.0, 2, "supervisor"), (45.0, 3, "manager")]
    assert rungs[-1][1].ack_due_at is None
    assert engine.state.incidents[incident_id].warning_level == 3


def test_taking_a_warning_on_stops_the_ladder() -> None:
    engine, _, incident_id = warned_engine()
    command = co.AcknowledgeWarning(incident_id=incident_id)
    entries = engine.step(command, after(12), DISPATCHER)
    assert [type(e.event) for e in entries] == [ev.WarningAcknowledged]
    incident = engine.state.incidents[incident_id]
    assert (incident.warning_acked_at, incident.warning_due_at, incident.warning_level) == (after(12), None, 1)
    assert said(engine, 60) == []
    assert engine.step(command, after(61), SUPERVISOR) == [], "twice changes nothing"


def test_there_is_nothing_to_take_on_without_a_warning() -> None:
    engine = make_engine()
    engine.step(report("medis"), after(5), TAKER)
    with pytest.raises(Rejected) as refused:
        engine.decide(co.AcknowledgeWarning(incident_id="260302-0001"), after(6), DISPATCHER)
    assert refused.value.code == "no_warning"


def test_sending_a_further_unit_takes_the_warning_on_and_losing_it_warns_again() -> None:
    engine, _, incident_id = warned_engine()
    engine.step(co.StartDuty(unit_id="A1", place=Place(lon=112.70, lat=-7.25)), after(10), crew("A1"))
    engine.step(co.AssignUnit(incident_id=incident_id, unit_id="A1", reason="lebih dekat"), after(12), DISPATCHER)
    incident = engine.state.incidents[incident_id]
    assert incident.warning_acked_at == after(12)
    assert said(engine, 40) == []
    sent = engine.state.assignments[incident.assignment_ids[-1]]
    entries = engine.step(co.DeclineJob(assignment_id=sent.assignment_id, reason="ban kempis"), after(41), crew("A1"))
    assert any(isinstance(e.event, ev.ResponseAtRisk) for e in entries)


def test_the_best_of_each_kind_of_help_is_named_with_its_gain() -> None:
    """A4 comes from the far end; nearer are a volunteer, a partner, the city's own A3, and M1's ambulance bound for less."""
    region = town()
    units = {
        "A1": msgspec.structs.replace(region.units["A1"], agency="relawan"),
        "A2": msgspec.structs.replace(region.units["A2"], agency="pmi"),
    }
    agencies = {
        "relawan": Agency("relawan", "Relawan", help="volunteer"),
        "pmi": Agency("pmi", "PMI", help="partner"),
        "basarnas": Agency("basarnas", "Basarnas", help="partner"),
    }
    plans = tuple(
        msgspec.structs.replace(p, optional_agencies=("basarnas", "pmi")) if p.code == "medis" else p
        for p in region.plans
    )
    region = msgspec.structs.replace(region, units={**region.units, **units}, agencies=agencies, plans=plans)
    engine = Engine(region, StraightLineRouter())

    def duty(unit_id: str, east: float, at_s: float) -> None:
        engine.step(co.StartDuty(unit_id=unit_id, place=Place(lon=LON + east, lat=LAT)), after(at_s), crew(unit_id))

    duty("A4", 0.036, 0)
    entries = engine.step(report("medis", FAR), after(5), TAKER)
    incident_id = next(e.event.incident_id for e in entries if isinstance(e.event, ev.ResponseAtRisk))
    duty("A3", 0.0, 6)
    engine.step(report("kdrt", 0.04), after(7), TAKER)
    engine.step(co.ConfirmPlan(incident_id="260302-0002"), after(8), DISPATCHER)
    assert engine.state.units["A3"].assignment_id is not None
    engine.step(report("pohon", 0.05), after(9), TAKER)
    duty("A1", -0.01, 10)
    duty("A2", 0.0, 10)
    incident = engine.state.incidents[incident_id]
    chance, predicted_at = alarms.predict(engine, incident, after(11))
    found = remedies.remedies(engine, incident, after(11), chance, predicted_at)
    assert {(r.kind, r.unit_id, r.leaves) for r in found} == {
        ("volunteer", "A1", None),
        ("mutual_aid", "A2", None),
        ("diversion", "A3", "260302-0002"),
        ("mutual_aid", None, None),
    }
    assert found[-1].agency == "basarnas", "whom nobody sees is rung up last"
    assert found[-1].gain_s is None
    by_unit = {r.unit_id: r for r in found}
    eta = (predicted_at - after(11)).total_seconds() if predicted_at else 0.0
    assert by_unit["A1"].gain_s is not None
    assert remedies.MIN_GAIN_S <= by_unit["A1"].gain_s < eta
    assert [r.chance for r in found[:3]] == sorted((r.chance for r in found[:3]), reverse=True)


def test_a_unit_that_would_gain_nothing_is_no_remedy() -> None:
    """The nearest is on its way already; everybody else is behind it."""
    engine = make_engine()
    entries = engine.step(report("medis", -0.09), after(5), TAKER)
    warning = next(e.event for e in entries if isinstance(e.event, ev.ResponseAtRisk))
    assert (warning.remedy, warning.remedy_unit, warning.remedies) == ("none", None, [])


def test_what_is_held_a_moment_on_purpose_is_not_warned_of_before_that_is_over() -> None:
    """A likely duplicate waits for a person; nobody coming is by design then, and worth a word only if it goes on."""
    engine = make_engine()
    engine.step(report("medis"), after(5), TAKER)
    entries = engine.step(report("medis", 0.0001), after(20), TAKER)
    held = next(e.event for e in entries if isinstance(e.event, ev.IncidentOpened))
    assert held.confirm_due_at is not None
    assert not any(isinstance(e.event, ev.ResponseAtRisk) for e in entries)
    for unit in engine.region.units.values():  # nobody is left to send when the hold is over
        if engine.state.units[unit.unit_id].assignment_id is None:
            engine.step(co.EndDuty(unit_id=unit.unit_id), after(21), DISPATCHER)
    warned = []
    while (due := engine.next_deadline()) is not None and due <= after(120):
        warned += [
            (e.at - held.confirm_due_at).total_seconds()
            for e in engine.step(co.Wake(), due)
            if isinstance(e.event, ev.ResponseAtRisk) and e.event.incident_id == held.incident_id
        ]
    assert len(warned) == 1
    assert 0.0 <= warned[0] <= 2.0
