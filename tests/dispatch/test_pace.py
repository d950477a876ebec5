"""A drive that goes slower than the road graph says is expected to go on so."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch import alarms
from dispatch import commands as co
from dispatch import events as ev
from dispatch.engine import Engine
from dispatch.model import Channel, Place, Position
from dispatch.prediction import MIN_SD_S, PACE_RANGE, pace, rest_spread_s, spread_s
from dispatch.region import Limits
from geo.router import StraightLineRouter
from tests.sla.journals import PLACE, at
from tests.sla.test_attribution import FAR, small_region


def test_a_drive_as_predicted_has_pace_one() -> None:
    assert pace(0.0, 0.0) == pace(200.0, 200.0) == 1.0


def test_a_red_light_at_the_start_proves_little_and_a_slow_half_hour_much() -> None:
    """Ten seconds lost at once against a third lost over a long way."""
    assert pace(10.0, 0.0) < 1.2
    assert pace(1_200.0, 800.0) > 1.4


@given(st.floats(0, 1e5), st.floats(0, 1e5))
def test_pace_stays_within_what_a_vehicle_can_do(rolled_s: float, covered_s: float) -> None:
    assert PACE_RANGE[0] <= pace(rolled_s, covered_s) <= PACE_RANGE[1]


@pytest.mark.parametrize(("share_driven", "expected"), [(0.5, 1.0), (0.25, 1.75)])
def test_the_rest_of_the_way_is_predicted_at_the_pace_so_far(share_driven: float, expected: float) -> None:
    """Rolling for half the predicted drive: half way there is on time, a quarter of the way is slow and stays slow."""
    region = msgspec.structs.replace(small_region(), limits=Limits(ack_timeout_s=3_000.0, risk_check_s=None))
    router = StraightLineRouter()
    engine = Engine(region, router)
    engine.step(co.StartDuty(unit_id="A-01", place=Place(lon=FAR[0], lat=FAR[1])), at(0))
    opened = engine.step(
        co.SubmitReport(channel=Channel.CALL, kind="medis", place=Place(lon=PLACE.lon, lat=PLACE.lat)), at(10)
    )
    assignment = next(e.event.assignment_id for e in opened if isinstance(e.event, ev.UnitAssigned))
    incident = next(e.event.incident_id for e in opened if isinstance(e.event, ev.IncidentOpened))
    engine.step(co.ReportEnRoute(assignment_id=assignment), at(60))
    drive_s = router.eta_s(*FAR, PLACE.lon, PLACE.lat)
    now = 60.0 + drive_s / 2
    lon, lat = (a + share_driven * (b - a) for a, b in zip(FAR, (PLACE.lon, PLACE.lat), strict=True))
    engine.fix("A-01", Position(lon=lon, lat=lat, fixed_at=at(now), received_at=at(now)))
    left_s, _ = alarms.remaining(engine, engine.state.incidents[incident], assignment, at(now))
    by_road_s = router.eta_s(lon, lat, PLACE.lon, PLACE.lat)
    assert left_s == pytest.approx(by_road_s * expected, rel=0.12)


def test_a_doubtful_arrival_is_warned_of_only_near_the_end() -> None:
    """About 0.7 of a chance: early on there is nothing to say, in the last three minutes somebody should look."""
    region = msgspec.structs.replace(small_region(), limits=Limits(ack_timeout_s=3_000.0, risk_check_s=None))
    engine = Engine(region, StraightLineRouter())
    engine.step(co.StartDuty(unit_id="A-01", place=Place(lon=FAR[0], lat=FAR[1])), at(0))
    opened = engine.step(
        co.SubmitReport(channel=Channel.CALL, kind="medis", place=Place(lon=PLACE.lon, lat=PLACE.lat)), at(10)
    )
    incident = next(e.event.incident_id for e in opened if isinstance(e.event, ev.IncidentOpened))
    place = engine.state.incidents[incident].place
    deadline_s = (engine.deadline(engine.state.incidents[incident]) - at(0)).total_seconds()
    for left_s, warned in ((300.0, False), (150.0, True)):
        now = deadline_s - left_s
        # a fix from which the road takes 0.85 of what is left: likely, not certain
        lon = place.lon + 0.85 * left_s / StraightLineRouter().eta_s(place.lon, place.lat, place.lon + 1.0, place.lat)
        engine.fix("A-01", Position(lon=lon, lat=place.lat, fixed_at=at(now), received_at=at(now)))
        chance, _ = alarms.predict(engine, engine.state.incidents[incident], at(now))
        assert 0.5 < chance < alarms.LAST_CALL_CHANCE
        assert bool(alarms.at_risk(engine, incident, at(now))[0]) is warned


def test_what_is_left_is_the_surer_the_more_of_the_drive_has_been_seen() -> None:
    spreads = [rest_spread_s(300.0, covered_s) for covered_s in (0.0, 60.0, 240.0)]
    assert spreads[0] == spread_s(300.0)
    assert spreads == sorted(spreads, reverse=True)
    assert rest_spread_s(5.0, 1_000.0) == MIN_SD_S


def test_a_unit_with_minutes_in_hand_is_not_looked_at_every_quarter_minute() -> None:
    """Half the reserve is soon enough; the last three minutes are never slept through."""
    limits = Limits()
    assert alarms._next_look_s(limits, 400.0, 100.0) == 150.0
    assert alarms._next_look_s(limits, 200.0, 20.0) == 20.0, "the last call begins with 180 s left"
    assert alarms._next_look_s(limits, 170.0, 160.0) == 15.0
    assert alarms._next_look_s(limits, 400.0, None) == 15.0
