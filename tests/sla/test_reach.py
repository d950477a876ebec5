"""Reachable in seven minutes right now, apart from dispatched well."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest

from dispatch.model import Position, Unit, UnitState
from dispatch.region import Region, Zone
from geo.router import StraightLineRouter
from sla.reach import ReachNow, first_capabilities, overhead, reach_now
from tests.sla.journals import at
from tests.sla.test_attribution import NEAR, small_region

MEDIANS = {"answer": 6.0, "entry": 35.0, "decision": 2.0, "alert": 2.0}


def two_zones() -> Region:
    region = small_region()
    kinds = {"medis": msgspec.structs.replace(region.kinds["medis"], medical=True)}
    zones = {
        "35.78.05": Zone("35.78.05", "Dekat", *NEAR, 30_000, 4.0),
        "35.78.30": Zone("35.78.30", "Jauh", 112.60, -7.25, 10_000, 20.0),
    }
    return msgspec.structs.replace(region, zones=zones, kinds=kinds)


def unit(state: UnitState = UnitState.AVAILABLE, capabilities: frozenset[str] = frozenset({"ambulance"})) -> Unit:
    return Unit("A-01", "amb", "dinkes", state, capabilities, "lights", "dekat", "dekat")


def ask(units: Mapping[str, Unit], medians: Mapping[str, float | None] = MEDIANS) -> ReachNow:
    position = Position(lon=NEAR[0], lat=NEAR[1], fixed_at=at(0), received_at=at(0))
    return reach_now(two_zones(), StraightLineRouter(), units, {"A-01": position}, at(0), medians)


def test_the_near_kecamatan_is_reachable_and_the_far_one_is_not() -> None:
    """45 s before the order, 50 s of turnout by day; 16 km to the far one."""
    found = ask({"A-01": unit()})
    far, near = found.zones
    assert (near.code, near.reachable, near.response_s) == ("35.78.05", True, 95.0)
    assert (far.code, far.reachable) == ("35.78.30", False)
    assert near.chance > 0.99
    assert far.chance < 0.01
    assert found.population_share == pytest.approx(0.75)
    assert (found.overhead_s, found.overhead_measured) == (45.0, True)


@pytest.mark.parametrize(
    "somebody", [unit(UnitState.COMMITTED), unit(UnitState.OFF_DUTY), unit(capabilities=frozenset({"pump"}))]
)
def test_a_unit_that_is_busy_off_duty_or_unfit_reaches_nobody(somebody: Unit) -> None:
    found = ask({"A-01": somebody})
    assert (found.units_free, found.population_share) == (0, 0.0)
    assert all(z.response_s is None and z.unit_id is None for z in found.zones)


def test_unmeasured_phases_fall_back_to_their_budgets_and_say_so() -> None:
    assert overhead({"answer": 6.0}) == (70.0, False)
    assert not ask({"A-01": unit()}, {}).overhead_measured


def test_what_may_arrive_first_comes_from_the_packs_plans() -> None:
    assert first_capabilities(two_zones()) == {"ambulance"}
