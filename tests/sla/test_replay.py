"""Counterfactuals through the same engine: rebuilt decisions, and what one more unit would have changed."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from dispatch import commands as co
from dispatch import events as ev
from dispatch.engine import Engine
from dispatch.model import Channel, Place
from dispatch.region import Limits, UnitSpec
from geo.roads import RoadGraph
from geo.router import StraightLineRouter
from geo.traffic import Restriction, Traffic
from sla.attribution import Attribution
from sla.live import SlaFold
from sla.replay import Extra, Replay
from tests.sla.journals import PLACE, at
from tests.sla.test_attribution import FAR, NEAR, small_region

HERE = Place(lon=PLACE.lon, lat=PLACE.lat)


def late_response() -> tuple[list[ev.Entry], str]:
    """A real engine's journal: A-02 of the near post is busy elsewhere, A-01 comes from afar and is late."""
    region = msgspec.structs.replace(
        small_region(),
        units={
            "A-01": UnitSpec("A-01", "amb", "dinkes", "jauh"),
            "A-02": UnitSpec("A-02", "amb", "dinkes", "dekat"),
            "A-03": UnitSpec("A-03", "amb", "dinkes", "jauh"),
        },
        limits=Limits(ack_timeout_s=3_000.0, risk_check_s=None),
    )
    engine = Engine(region, StraightLineRouter())
    told: list[ev.Entry] = []

    def do(seconds: float, command: co.Command) -> list[ev.Entry]:
        entries = engine.step(command, at(seconds))
        told.extend(entries)
        return entries

    for unit, (lon, lat) in (("A-01", FAR), ("A-02", NEAR), ("A-03", (FAR[0], FAR[1] - 0.001))):
        do(0, co.StartDuty(unit_id=unit, place=Place(lon=lon, lat=lat)))
    do(10, co.SubmitReport(channel=Channel.CALL, kind="medis", place=HERE))
    opened = do(
        1_000, co.SubmitReport(channel=Channel.CALL, kind="medis", place=Place(lon=HERE.lon + 0.02, lat=HERE.lat))
    )
    incident = next(e.event.incident_id for e in opened if isinstance(e.event, ev.IncidentOpened))
    assignment = next(e.event.assignment_id for e in opened if isinstance(e.event, ev.UnitAssigned))
    do(1_060, co.ReportEnRoute(assignment_id=assignment))
    do(1_900, co.ReportAtScene(assignment_id=assignment))
    return told, incident


def folded() -> tuple[SlaFold, str]:
    told, incident = late_response()
    fold = SlaFold()
    for entry in told:
        fold.apply(entry)
    return fold, incident


def test_the_rebuilt_engine_repeats_the_choice_it_made() -> None:
    """Unit and predicted time, from nothing but the journal."""
    fold, incident = folded()
    case = fold.timeline.cases[incident]
    region = small_region()
    region = msgspec.structs.replace(region, units={**region.units, "A-03": UnitSpec("A-03", "amb", "dinkes", "jauh")})
    found = Replay(region, StraightLineRouter()).same(case)
    assert found is not None
    assert case.evidence is not None
    assert found.unit_id == case.evidence.chosen
    assert found.eta_s == pytest.approx(case.recommended[0].chosen_eta_s)


def test_with_one_more_unit_at_the_near_post_the_engine_sends_that_one() -> None:
    fold, incident = folded()
    replay = Replay(small_region(), StraightLineRouter())
    extra = Extra("tambahan", "amb", *NEAR, "dekat")
    decided = replay.decide(fold.timeline.cases[incident], extra)
    assert decided is not None
    assert decided.unit_id == "tambahan"
    further = replay.decide(fold.timeline.cases[incident], Extra("tambahan", "amb", 112.95, -7.2, "jauh"))
    assert further is not None
    assert further.unit_id != "tambahan"


def test_the_explanation_prices_posts_and_busy_units_by_the_engine() -> None:
    """Savings are differences of the engine's own predictions."""
    fold, incident = folded()
    region = small_region()
    region = msgspec.structs.replace(region, units={**region.units, "A-03": UnitSpec("A-03", "amb", "dinkes", "jauh")})
    case = fold.timeline.cases[incident]
    found = Attribution(region, StraightLineRouter()).explain(case, fold.timeline, at(9_000))
    assert found is not None
    rows = {c.code: c for c in found.counterfactuals}
    replay = Replay(region, StraightLineRouter())
    base = replay.same(case)
    assert base is not None
    near = replay.decide(case, Extra("A-02", "amb", *NEAR, "dekat"))
    assert near is not None
    assert rows["unit_free"].subject == "A-02"
    assert rows["unit_free"].saved_s == pytest.approx(base.eta_s - near.eta_s)
    assert rows["post"].subject == "dekat"
    assert rows["post"].saved_s == pytest.approx(base.eta_s - near.eta_s)


def test_asking_about_the_past_lifts_no_closure_in_force() -> None:
    """The live server explains late responses while units drive: its roads are not the ones the past is asked on."""
    lon, lat = np.linspace(FAR[0] - 0.01, HERE.lon + 0.02, 12), np.full(12, HERE.lat)
    hops = np.arange(11)
    length_m = np.full(22, 300.0)
    graph = RoadGraph.from_arrays(
        lon, lat, np.concatenate([hops, hops + 1]), np.concatenate([hops + 1, hops]), length_m,
        dict.fromkeys(("lights", "regular", "motorbike"), length_m / 10.0),
    )  # fmt: skip
    Traffic(graph).restrict(Restriction("J0001", (4, 5), reason="banjir"))
    closed = graph.live.forward["lights"].copy()
    fold, incident = folded()
    Replay(small_region(), graph).decide(fold.timeline.cases[incident])
    assert np.array_equal(graph.live.forward["lights"], closed)


def test_a_decision_without_kept_positions_is_not_rebuilt() -> None:
    """An old journal without candidates' positions: arithmetic takes over, nothing fails."""
    fold, incident = folded()
    case = fold.timeline.cases[incident]
    assert case.evidence is not None
    columns = msgspec.structs.replace(case.evidence.candidates, lon=[], lat=[])
    case.evidence = msgspec.structs.replace(case.evidence, candidates=columns)
    region = small_region()
    assert Replay(region, StraightLineRouter()).same(case) is None
    found = Attribution(region, StraightLineRouter()).explain(case, fold.timeline, at(9_000))
    assert found is not None
    assert any(c.code == "post" for c in found.counterfactuals)


def test_the_evidence_of_a_response_in_time_is_let_go() -> None:
    """Only late responses are explained; a year of candidates would fill the memory."""
    told, _ = late_response()
    fold = SlaFold()
    for entry in told:
        fold.apply(entry)
        event = entry.event
        if isinstance(event, ev.IncidentOpened) and entry.at == at(10):
            first = event.incident_id
    case = fold.timeline.cases[first]
    assert case.evidence is not None  # still running
    leg = case.legs[0]
    arrived = ev.UnitAtScene(assignment_id=leg.assignment_id, unit_id=leg.unit_id, incident_id=first, by="button")
    late = SlaFold()
    for entry in told[: next(i for i, e in enumerate(told) if e.at > at(10))]:
        late.apply(entry)
    late.apply(msgspec.structs.replace(told[0], seq=late.timeline.last_seq + 1, at=at(200), event=arrived))  # type: ignore[operator]
    assert late.timeline.cases[first].evidence is None
