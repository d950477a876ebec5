"""The roads by the hour, and what the fleet's own drives teach: of the hour, of the speeds, of how sure a promise is."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pytest

from dispatch import commands as co
from dispatch import events as ev
from dispatch.drives import EVERY_S, Drives, Learner
from dispatch.engine import Engine
from dispatch.fold import State
from dispatch.model import Driven, Position
from geo.learned import LEARNED_MAX_S, LEARNED_PRIOR_S, LEARNED_RANGE, LearnedSpeeds
from geo.router import LIGHTS
from geo.traffic import FELT, PRIOR_HOURS
from tests.dispatch.test_conditions import STEP, main_street
from tests.dispatch.town import LAT, LON, T0, TAKER, after, crew, report, town

HOUR = 3600.0
EIGHT, NINE = 8, 9  # T0 is 08:00 local


def hourly_engine(state: State | None = None) -> Engine:
    engine = Engine(town(hourly_traffic=True), main_street(), state=state)
    if state is None:
        for unit_id in engine.region.units:
            engine.step(co.StartDuty(unit_id=unit_id), T0, crew(unit_id))
    return engine


def sent(engine: Engine, at_s: float, east: float = STEP * 3) -> ev.UnitAssigned:
    entries = engine.step(report("medis", east), after(at_s), TAKER)
    return next(e.event for e in entries if isinstance(e.event, ev.UnitAssigned))


def factor(hour: int) -> float:
    return 1.0 + (PRIOR_HOURS[hour] - 1.0) * FELT[LIGHTS]


def drive_s(engine: Engine) -> float:
    """From the centre's post to three crossings east, as the engine would price it now."""
    return float(engine.fleet.seconds_to(LON + STEP * 3, LAT, LIGHTS, ["A1"])[0])


def test_travel_times_follow_the_hour_of_the_decision() -> None:
    """The same way is priced by the hour at which the call is decided, wherever the clock stood before."""
    engine = hourly_engine()
    engine.step(co.Wake(), after(1.0))
    morning_s = drive_s(engine)
    engine.step(co.Wake(), after(19 * HOUR))  # 03:00 the next day
    assert drive_s(engine) / morning_s == pytest.approx(factor(3) / factor(EIGHT))
    flat = Engine(town(), main_street())
    flat.step(co.StartDuty(unit_id="A1"), T0, crew("A1"))
    assert drive_s(flat) * factor(EIGHT) == pytest.approx(morning_s)


def test_a_change_prepared_ahead_decides_the_same_as_one_that_was_not() -> None:
    """Preparing in time is a matter of speed only; a closure put meanwhile is not lost."""
    ahead, late = hourly_engine(), hourly_engine()
    ahead.conditions.prepare(NINE)
    assert sent(ahead, HOUR + 1).eta_s == sent(late, HOUR + 1).eta_s
    for engine in (ahead, late):
        engine.conditions.prepare(10)
        engine.step(
            co.RestrictRoad(place=report("medis", STEP * 1.5).place, radius_m=60.0, reason="banjir"),  # type: ignore[arg-type]
            after(HOUR + 2),
        )
        engine.step(co.Wake(), after(2 * HOUR + 1))
        assert drive_s(engine) == np.inf


def test_a_restart_within_the_hour_prices_as_before_it() -> None:
    """State and time alone say which travel times are in force."""
    engine = hourly_engine()
    learn(engine, EIGHT, pace=1.4, driven_s=20 * HOUR, at_s=HOUR + 1)
    engine.step(co.Wake(), after(24 * HOUR + 5))
    restored = State.restore(town(hourly_traffic=True), engine.state.snapshot())
    assert restored is not None
    again = hourly_engine(restored)
    again.step(co.Wake(), after(24 * HOUR + 6))
    assert drive_s(again) == drive_s(engine)
    assert restored.digest() == engine.state.digest()


def learn(engine: Engine, hour: int, pace: float, driven_s: float, at_s: float) -> list[ev.Entry]:
    drives = {LIGHTS: {"road": Driven(driven_s * pace, driven_s)}}
    return engine.step(co.LearnSpeeds(hour=hour, steps=10, drives=drives), after(at_s))


def test_learned_speeds_hold_from_the_next_time_their_hour_comes() -> None:
    """Told at nine what eight was like: nine stays as it was, tomorrow's eight is slower, and a replay of the lines agrees."""
    engine = hourly_engine()
    engine.step(co.Wake(), after(HOUR + 1))
    before_s = drive_s(engine)
    [entry] = learn(engine, EIGHT, pace=1.4, driven_s=LEARNED_PRIOR_S, at_s=HOUR + 2)
    assert isinstance(entry.event, ev.SpeedsLearned)
    assert drive_s(engine) == before_s
    engine.step(co.Wake(), after(24 * HOUR))
    wanted = (1.4 + factor(EIGHT)) / 2.0  # an hour of driving against the prior's hour
    assert drive_s(engine) / before_s == pytest.approx(wanted / factor(NINE))


def test_learned_factors_stay_within_bounds_and_old_drives_fade() -> None:
    """Nonsense from a broken fleet cannot stop the city; a year of one pace is forgotten within days of another."""
    graph = main_street()
    learned = LearnedSpeeds()
    learned.add(LIGHTS, "road", EIGHT, 19.0 * LEARNED_MAX_S, LEARNED_MAX_S)
    low, high = LEARNED_RANGE
    assert learned.table(graph).factors[LIGHTS][EIGHT][0] == pytest.approx(high * factor(EIGHT))
    for _ in range(20):
        learned.add(LIGHTS, "road", EIGHT, LEARNED_MAX_S, LEARNED_MAX_S)
    assert learned.expected_s[LIGHTS]["road"][EIGHT] == pytest.approx(LEARNED_MAX_S)
    assert learned.table(graph).factors[LIGHTS][EIGHT][0] == pytest.approx(1.0, abs=0.02)
    learned.add("boat", "river", EIGHT, 10.0, 10.0)  # a mode and a class this graph does not know
    assert set(learned.table(graph).factors) == set(graph.modes)
    assert low * factor(3) <= learned.table(graph).factors[LIGHTS][3][0] <= high * factor(3)


def fix(east_m: float, at: datetime, received_at: datetime | None = None) -> Position:
    return Position(lon=LON + east_m / 110_400.0, lat=LAT, fixed_at=at, received_at=received_at or at, accuracy_m=5.0)


def under_way(at_s: float = 10.0) -> Engine:
    engine = hourly_engine()
    assignment = sent(engine, 1.0)
    assert assignment.unit_id == "A1"
    engine.step(co.AcknowledgeJob(assignment_id=assignment.assignment_id), after(5.0), crew("A1"))
    engine.step(co.ReportEnRoute(assignment_id=assignment.assignment_id), after(at_s), crew("A1"))
    return engine


def test_only_fresh_fixes_of_a_unit_under_way_are_kept() -> None:
    """Not one that waits at its post, not a fix from before it set out, not one delivered late, not two in one breath."""
    drives = Drives()
    engine = under_way(10.0)
    assert not drives.take(engine, "A2", fix(0.0, after(20.0)))
    assert not drives.take(engine, "A1", fix(0.0, after(9.0), after(11.0)))
    assert not drives.take(engine, "A1", fix(0.0, after(20.0), after(20.0 + 3 * engine.region.limits.fix_stale_s)))
    assert not drives.take(engine, "nobody", fix(0.0, after(20.0)))
    assert drives.take(engine, "A1", fix(0.0, after(20.0)))
    assert not drives.take(engine, "A1", fix(10.0, after(20.0 + EVERY_S / 2)))
    assert drives.take(engine, "A1", fix(50.0, after(20.0 + EVERY_S)))
    assert len(drives) == 2
    engine.step(co.ReportAtScene(assignment_id=next(iter(engine.state.active_ids))), after(60.0), crew("A1"))
    assert not drives.take(engine, "A1", fix(60.0, after(65.0)))


def test_drives_of_the_hour_that_runs_are_left_alone() -> None:
    """A drive over the full hour is two drives; the first is given out when its hour is over."""
    drives = Drives()
    engine = under_way(HOUR - 30.0)
    for s in range(0, 60, 6):
        assert drives.take(engine, "A1", fix(10.0 * s, after(HOUR - 30.0 + s)))
    assert drives.ended(EIGHT) != []
    drives = Drives()
    for s in range(0, 60, 6):
        drives.take(engine, "A1", fix(10.0 * s, after(HOUR - 30.0 + s)))
    [over] = drives.ended(NINE)
    assert (over.mode, over.hour, len(over.fixes)) == (LIGHTS, EIGHT, 5)
    assert len(drives) == 5


def test_a_drive_at_half_speed_teaches_that_the_road_takes_twice_as_long() -> None:
    """Fixes at 6 m/s on a street priced at 12 m/s."""
    engine = under_way(10.0)
    drives = Drives()
    for s in range(0, 240, 5):
        drives.take(engine, "A1", fix(6.0 * s, after(20.0 + s)))
    assert engine.conditions.traffic is not None
    learner = Learner(engine.conditions.traffic)
    for drive in drives.ended(NINE):
        assert learner.learn(drive) > 20
    [(hour, steps, by_mode)] = learner.results()
    assert hour == EIGHT
    assert steps > 20
    driven = by_mode[LIGHTS]["road"]
    assert driven.observed_s / driven.expected_s == pytest.approx(2.0, rel=0.1)
    assert learner.results() == []


def test_arrivals_teach_how_sure_a_promise_is_at_that_distance_and_hour() -> None:
    """Two dozen arrivals on the second make the next promise surer than the prior; another period of the day keeps it."""
    engine = hourly_engine()
    prior_sd_s = engine.spread_s(150.0, after(0.0))
    eta_s = None
    for n in range(27):
        at_s = 20.0 + 130.0 * n
        assigned = sent(engine, at_s)
        eta_s = assigned.eta_s
        assert eta_s is not None
        step = {"assignment_id": assigned.assignment_id}
        there = after(at_s + eta_s)
        actor = crew(assigned.unit_id)
        engine.step(co.ReportAtScene(**step), there, actor)
        engine.step(co.ReportClear(**step), there, actor)
        if engine.local_hour(there) != EIGHT:
            break
    assert eta_s is not None
    trips = engine.state.trips.trips
    assert trips.sum() > 20
    assert engine.spread_s(eta_s, T0 + timedelta(minutes=5)) < 0.8 * prior_sd_s * eta_s / 150.0
    assert engine.spread_s(eta_s, after(6 * HOUR)) == pytest.approx(prior_sd_s * eta_s / 150.0, rel=0.01)


def test_a_button_pressed_an_hour_late_teaches_nothing() -> None:
    """It tells of the button."""
    engine = under_way(10.0)
    engine.step(co.ReportAtScene(assignment_id=next(iter(engine.state.active_ids))), after(HOUR + 500.0), crew("A1"))
    assert engine.state.trips.trips.sum() == 0.0
