"""Which plan an incident gets, what it asks for, and how a shortfall is told."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch import pack, plans
from dispatch.model import Unit, UnitState
from dispatch.region import Plan, Region, Slot

REGIONS = Path(__file__).resolve().parents[2] / "regions"
SURABAYA = pack.load(REGIONS / "surabaya")
GIANYAR = pack.load(REGIONS / "gianyar")

kinds = st.sampled_from(sorted(SURABAYA.kinds))
priorities = st.sampled_from([1, 2, 3])
hours = st.integers(0, 23)
zones = st.none() | st.sampled_from(sorted(SURABAYA.zones))


def unit(unit_id: str, state: UnitState, *capabilities: str) -> Unit:
    return Unit(unit_id, "x", "dinkes", state, frozenset(capabilities))


@given(region=st.sampled_from([SURABAYA, GIANYAR]), kind=kinds, priority=priorities, hour=hours)
def test_every_incident_finds_a_plan_anywhere_at_any_hour(region: Region, kind: str, priority: int, hour: int) -> None:
    """Nobody who needs help falls through the plans; an unknown area is no excuse."""
    for zone in [None, *region.zones]:
        plan = plans.match(region, kind, priority, zone, hour)
        assert plans.applies(plan, kind, priority, zone, hour)
        assert plans.required(plan, 1)
        assert plans.first_flags(plan, 1)[0], "the unit sought first must be one that stops the clock"


@given(kind=kinds, priority=priorities, zone=zones, hour=hours)
def test_the_first_plan_in_pack_order_wins(kind: str, priority: int, zone: str | None, hour: int) -> None:
    """Packs list the special before the general."""
    chosen = plans.match(SURABAYA, kind, priority, zone, hour)
    fitting = [plan for plan in SURABAYA.plans if plans.applies(plan, kind, priority, zone, hour)]
    assert chosen is fitting[0]


@given(start=hours, end=st.integers(0, 24), hour=hours)
def test_an_hour_lies_in_a_span_or_in_its_complement(start: int, end: int, hour: int) -> None:
    """[a, b) and [b, a) share no hour and leave none out, over midnight too."""
    if start == end % 24:
        return
    assert plans.in_hours((start, end), hour) != plans.in_hours((end % 24, start), hour)


@given(plan=st.sampled_from(SURABAYA.plans), level=st.integers(1, 6))
def test_raising_the_alarm_only_adds(plan: Plan, level: int) -> None:
    """A higher level keeps everything of the lower ones, in order, and adds exactly what `alarm_adds` says."""
    below, here = plans.required(plan, level), plans.required(plan, level + 1)
    assert here[: len(below)] == below
    assert here[len(below) :] == (plans.alarm_adds(plan, level + 1) or [])
    assert len(plans.first_flags(plan, level)) == len(below)
    assert plans.first_flags(plan, level + 1)[: len(below)] == plans.first_flags(plan, level)


def test_a_night_plan_and_an_area_plan_apply_only_there() -> None:
    """The rush-hour plan for accidents and the old town's fire plan, on both sides of their limits."""
    assert plans.match(SURABAYA, "laka", 1, "35.78.05", 8).code == "laka_p1_jam_sibuk"
    assert plans.match(SURABAYA, "laka", 1, "35.78.05", 9).code == "laka_p1"
    assert plans.match(SURABAYA, "kebakaran", 1, "35.78.13", 3).code == "kebakaran_kota_lama"
    assert plans.match(SURABAYA, "kebakaran", 1, "35.78.05", 3).code == "kebakaran_p1"
    assert plans.match(SURABAYA, "kebakaran", 1, None, 3).code == "kebakaran_p1"
    assert plans.match(SURABAYA, "gangguan_ketertiban", 2, None, 23).code == "ketertiban_malam"
    assert plans.match(SURABAYA, "gangguan_ketertiban", 2, None, 5).code == "ketertiban"


def test_people_in_danger_from_people_are_never_sent_to_without_a_person_deciding() -> None:
    """Violence and suicide: alerted or asked, never sent by the machine alone; medical, accident and fire go at once."""
    for kind in ("bunuh_diri", "kdrt", "kriminalitas"):
        for priority in (1, 2, 3):
            assert plans.match(SURABAYA, kind, priority, None, 12).mode != "auto"
    for kind in ("medis", "laka", "kebakaran", "tenggelam"):
        assert plans.match(SURABAYA, kind, 1, None, 12).mode == "auto"


def test_requirements_are_one_entry_a_unit_with_alternatives_preferred_first() -> None:
    """`2 x (motorbike or ambulance)` are two entries of `motorbike|ambulance`, in plan order."""
    plan = Plan(
        "p",
        frozenset({"laka"}),
        (Slot(("motorbike", "ambulance"), 2), Slot(("engine",), first=False)),
        alarms=((Slot(("ambulance",), 2),),),
    )
    assert plans.required(plan, 1) == ["motorbike|ambulance", "motorbike|ambulance", "engine"]
    assert plans.first_flags(plan, 1) == [True, True, False]
    assert plans.required(plan, 2) == [*plans.required(plan, 1), "ambulance", "ambulance"]
    assert plans.alarm_adds(plan, 1) == plans.required(plan, 1)
    assert plans.alarm_adds(plan, 2) == ["ambulance", "ambulance"]
    assert plans.alarm_adds(plan, 3) is None
    assert plans.alarm_adds(plan, 0) is None
    assert plans.required(plan, 9) == plans.required(plan, 2)
    assert plans.alternatives("motorbike|ambulance") == ("motorbike", "ambulance")
    with pytest.raises(ValueError, match="start at 1"):
        plans.required(plan, 0)


def test_an_unvalidated_region_without_a_plan_is_loud() -> None:
    """Only `pack.load` guarantees a plan; a hand-made region that has none must not pass silently."""
    with pytest.raises(LookupError, match="no plan for 'laka' P1"):
        plans.match(msgspec.structs.replace(SURABAYA, plans=()), "laka", 1, None, 0)


def test_a_shortfall_says_what_is_missing_and_where_such_units_are() -> None:
    """The dispatcher reads why the plan cannot be filled: how many there are and what they are doing."""
    fleet = [
        unit("A1", UnitState.COMMITTED, "ambulance"),
        unit("A2", UnitState.COMMITTED, "ambulance", "als"),
        unit("A3", UnitState.OFF_DUTY, "ambulance"),
        unit("A4", UnitState.OUT_OF_SERVICE, "ambulance"),
        unit("P1", UnitState.AVAILABLE, "engine"),
    ]
    able_to = partial(plans.able, units=fleet)
    told = plans.shortfall(SURABAYA, ["ambulance", "ambulance", "boat"], able_to)
    assert told == (
        "Kurang 2 x ambulans: dari 4 unit 2 bertugas di kejadian lain, 1 tidak siap, 1 tidak dinas. "
        "Kurang 1 x perahu karet: tidak ada unit seperti itu di armada."
    )
    english = plans.shortfall(SURABAYA, ["engine|boat"], able_to, "en")
    assert english == "Short of 1 x fire engine or rescue boat: of 1 units 1 available but could not be sent."
    assert plans.shortfall(SURABAYA, [], able_to) == ""
