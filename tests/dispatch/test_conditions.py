"""Closures and slow streets: obeyed by the next decision, kept through a restart, lifted by the clock."""

from __future__ import annotations

import numpy as np
import pytest

from dispatch import commands as co
from dispatch import events as ev
from dispatch.engine import Engine
from dispatch.fold import State
from dispatch.model import Place, Rejected
from geo.roads import RoadGraph
from geo.router import StraightLineRouter
from tests.dispatch.town import DISPATCHER, LAT, LON, T0, TAKER, after, assigned_units, crew, report, town

STEP = 0.002


def main_street() -> RoadGraph:
    """One street from the centre's post to the east, 20 crossings 220 m apart, both ways."""
    lon = LON + STEP * np.arange(20)
    here, there = np.arange(19), np.arange(1, 20)
    arc_from, arc_to = np.concatenate([here, there]), np.concatenate([there, here])
    length_m = np.full(38, 220.0)
    return RoadGraph.from_arrays(
        lon, np.full(20, LAT), arc_from, arc_to, length_m, {"lights": length_m / 12.0, "regular": length_m / 8.0,
        "motorbike": length_m / 12.0},
    )  # fmt: skip


def road_engine(state: State | None = None) -> Engine:
    engine = Engine(town(), main_street(), state=state)
    if state is None:
        for unit_id in engine.region.units:
            engine.step(co.StartDuty(unit_id=unit_id), T0, crew(unit_id))
    return engine


def close(engine: Engine, steps_east: float, at_s: float, **more: object) -> list[ev.Entry]:
    place = Place(lon=LON + STEP * steps_east, lat=LAT)
    return engine.step(
        co.RestrictRoad(place=place, radius_m=60.0, reason="banjir setinggi lutut", **more),  # type: ignore[arg-type]
        after(at_s),
        DISPATCHER,
    )


def test_a_flooded_street_changes_who_is_sent() -> None:
    """The nearer ambulance stands behind the water; the one beyond it goes."""
    engine = road_engine()
    assert assigned_units(engine.step(report("medis", STEP * 3), after(1), TAKER)) == ["A1"]
    other = road_engine()
    close(other, 1.5, 1)
    assert assigned_units(other.step(report("medis", STEP * 3), after(2), TAKER)) == ["A2"]


def test_a_restriction_survives_a_restart_and_ends_by_the_clock() -> None:
    """State from a snapshot closes the road again; at its time the closure is lifted as an event."""
    engine = road_engine()
    close(engine, 1.5, 1, until=after(600))
    restored = State.restore(town(), engine.state.snapshot())
    assert restored is not None
    again = road_engine(restored)
    assert assigned_units(again.step(report("medis", STEP * 3), after(2), TAKER)) == ["A2"]
    lifted: list[ev.Entry] = []
    while (due := again.next_deadline()) is not None and due <= after(600):
        lifted += again.step(co.Wake(), due)
    assert any(isinstance(e.event, ev.RestrictionLifted) for e in lifted)
    assert again.state.restrictions == {}


def test_lifting_by_hand_opens_the_road_at_once() -> None:
    """The next decision drives through again."""
    engine = road_engine()
    close(engine, 1.5, 1)
    engine.step(co.LiftRestriction(restriction_id="J0001"), after(2), DISPATCHER)
    assert assigned_units(engine.step(report("medis", STEP * 3), after(3), TAKER)) == ["A1"]


def test_a_place_without_a_road_and_an_unknown_restriction_are_refused() -> None:
    """Codes name the field; nothing changes."""
    engine = road_engine()
    far = co.RestrictRoad(place=Place(lon=LON, lat=LAT + 0.05), reason="pohon tumbang")
    with pytest.raises(Rejected, match="no_road_there"):
        engine.step(far, after(1), DISPATCHER)
    with pytest.raises(Rejected, match="unknown_restriction"):
        engine.step(co.LiftRestriction(restriction_id="J9999"), after(1), DISPATCHER)


def test_without_a_road_network_a_restriction_is_kept_and_says_that_it_touches_nothing() -> None:
    """The dispatcher still sees the flood on the map; arcs = 0 tells that travel times did not change."""
    engine = Engine(town(), StraightLineRouter())
    entries = close(engine, 1.5, 1)
    event = entries[0].event
    assert isinstance(event, ev.RoadRestricted)
    assert event.arcs == 0
    assert len(engine.state.restrictions) == 1


def test_an_incident_cut_off_from_every_road_still_gets_somebody_and_says_how_it_was_timed() -> None:
    """Both ways into the quarter are flooded: the nearest by straight line goes, and no time is called exact."""
    engine = road_engine()
    close(engine, 9.0, 1)
    close(engine, 11.0, 2)
    for unit_id in ("A2", "A3", "A4"):
        engine.step(co.EndDuty(unit_id=unit_id), after(3), crew(unit_id))
    entries = engine.step(report("medis", STEP * 10), after(4), TAKER)
    assert assigned_units(entries) == ["A1"]
    recommended = next(e.event for e in entries if isinstance(e.event, ev.UnitRecommended))
    assert recommended.candidates.exact == 0
