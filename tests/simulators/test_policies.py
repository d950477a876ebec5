"""Policies against a made-up present: optimal matching, honest diversion, move-up that never makes the city worse."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch.model import Incident, Position, Rejected, Unit, UnitState
from dispatch.policies import registry
from dispatch.policies.assign import TIE_S, AssignSettings, BestTogether
from dispatch.policies.closest import Closest
from dispatch.policies.coverage import Coverage
from dispatch.policies.relocate import MoveUp, MoveUpSettings
from dispatch.policies.view import Arrival, Choice, Need
from dispatch.region import Region
from simulators.net import TravelNet
from tests.simulators.town import TERMS, town_demand, town_net, town_region

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Present:
    """A `View` made of tables."""

    def __init__(
        self, region: Region, units: dict[str, Unit], needs: list[Need], eta_s: dict[tuple[str, str], float],
        moves_left: int = 8,
    ) -> None:  # fmt: skip
        self.at = AT
        self.region = region
        self.units: Mapping[str, Unit] = units
        self.incidents: Mapping[str, Incident] = {}
        self.somebody_freed = any(u.state is UnitState.AVAILABLE and u.since == AT for u in units.values())
        self.stirred_agencies = {u.agency for u in units.values()}
        self._needs, self._eta_s, self._moves_left = needs, eta_s, moves_left

    def open_needs(self) -> Sequence[Need]:
        return [n for n in self._needs if n.coming is None]

    def coming_needs(self) -> Sequence[Need]:
        return [n for n in self._needs if n.coming is not None]

    def free_units(self) -> Sequence[str]:
        return sorted(u for u, unit in self.units.items() if unit.state is UnitState.AVAILABLE)

    def excluded(self, need: Need) -> frozenset[str]:
        return frozenset()

    def arrivals(self, need: Need, unit_ids: Sequence[str] | None = None, k: int | None = None) -> Sequence[Arrival]:
        found = [
            Arrival(u, self._eta_s[need.incident_id, u])
            for u in (self.free_units() if unit_ids is None else unit_ids)
            if set(need.capabilities) & self.units[u].capabilities and (need.incident_id, u) in self._eta_s
        ]
        found.sort(key=lambda a: (a.eta_s, a.unit_id))
        return found[:k]

    def busy_stage(self, unit_id: str) -> str | None:
        return None if self.units[unit_id].state is UnitState.AVAILABLE else "coming"

    def incident_of(self, unit_id: str) -> Incident | None:
        return None

    def hospital_of(self, unit_id: str) -> str | None:
        return None

    def moves_left(self, unit_id: str) -> int:
        return self._moves_left


@pytest.fixture(scope="module")
def net() -> TravelNet:
    return town_net()


def ambulance(unit_id: str, **changes: object) -> Unit:
    unit = Unit(unit_id, "ambulance", "ems", UnitState.AVAILABLE, frozenset({"ambulance"}), since=AT)
    return msgspec.structs.replace(unit, **changes)


def need(number: int, priority: int, waited_s: float, coming: str | None = None) -> Need:
    rang_at = AT - timedelta(seconds=waited_s)
    return Need(
        incident_id=f"I{number}",
        slot="ambulance",
        capabilities=("ambulance",),
        priority=priority,
        lon=0.0,
        lat=0.0,
        rang_at=rang_at,
        deadline_at=rang_at + timedelta(seconds=420),
        coming=coming,
        coming_since=AT - timedelta(seconds=30) if coming else None,
    )


@st.composite
def presents(draw: st.DrawFn) -> tuple[Present, list[Need]]:
    n_units = draw(st.integers(1, 4))
    n_needs = draw(st.integers(1, 4))
    units = {f"A{i}": ambulance(f"A{i}") for i in range(n_units)}
    needs = []
    taken = 0
    for i in range(n_needs):
        coming = None
        if taken < n_units and draw(st.booleans()):
            coming = f"A{taken}"
            units[coming] = ambulance(coming, state=UnitState.COMMITTED, assignment_id=f"I{i}/1")
            taken += 1
        needs.append(need(i, draw(st.integers(1, 3)), draw(st.floats(0, 900)), coming))
    eta = {(n.incident_id, u): draw(st.floats(10, 1500)) for n in needs for u in units}
    return Present(town_region(), units, needs, eta), needs


def after(needs: list[Need], choices: Sequence[Choice]) -> dict[str, str | None]:
    """Who comes for whom once the choices are carried out."""
    diverted = {c.unit_id for c in choices}
    held = {n.incident_id: None if n.coming in diverted else n.coming for n in needs}
    for c in choices:
        held[c.incident_id] = c.unit_id
    return held


def total(policy: BestTogether, view: Present, needs: list[Need], held: Mapping[str, str | None]) -> float:
    """The price of a whole plan by the policy's own settings, every possible plan priced alike."""
    price = 0.0
    for n in needs:
        waited_s = (AT - n.rang_at).total_seconds()
        unit_id = held[n.incident_id]
        keeping = n.coming is not None
        wait = policy._wait_price(n, waited_s)
        if keeping:
            own = Arrival(str(n.coming), view._eta_s[n.incident_id, str(n.coming)])
            wait = max(wait, float(policy._prices(view, n, [own], waited_s)[0])) + TIE_S
        if unit_id is None:
            price += wait
        else:
            price += float(
                policy._prices(view, n, [Arrival(unit_id, view._eta_s[n.incident_id, unit_id])], waited_s)[0]
            )
    return price


@settings(max_examples=150, deadline=None)
@given(presents())
def test_the_matching_is_as_good_as_the_best_of_all_plans(case: tuple[Present, list[Need]]) -> None:
    """Against every way to give units to places, one by one."""
    view, needs = case
    policy = BestTogether(AssignSettings())
    if not view.open_needs() and not (view.coming_needs() and view.free_units()):
        assert policy.assign(view) == ()
        return
    chosen = total(policy, view, needs, after(needs, policy.assign(view)))
    best = min(
        total(policy, view, needs, dict(zip([n.incident_id for n in needs], plan, strict=True)))
        for plan in itertools.product([None, *view.units], repeat=len(needs))
        if len([u for u in plan if u is not None]) == len({u for u in plan if u is not None})
    )
    assert chosen == pytest.approx(best, abs=1e-6)


@settings(max_examples=150, deadline=None)
@given(presents(), st.sampled_from(["together", "closest", "closest+redispatch"]))
def test_a_plan_gives_each_unit_and_each_place_once(case: tuple[Present, list[Need]], name: str) -> None:
    """Whatever the policy: no unit twice, no place twice, only units that are there."""
    view, _ = case
    policy = BestTogether(AssignSettings()) if name == "together" else Closest(redispatch=name != "closest")
    choices = policy.assign(view)
    assert len({c.unit_id for c in choices}) == len(choices)
    assert len({(c.incident_id, c.slot) for c in choices}) == len(choices)
    assert all(c.unit_id in view.units for c in choices)


@settings(max_examples=100, deadline=None)
@given(presents())
def test_a_plan_comes_to_rest(case: tuple[Present, list[Need]]) -> None:
    """With nothing new, a few rounds later nobody is sent anywhere else: crews are not tossed about."""
    view, needs = case
    policy = BestTogether(AssignSettings())
    for _ in range(2 * len(needs) + 2):
        choices = policy.assign(view)
        if not choices:
            return
        held = after(needs, choices)
        units = {
            u: ambulance(u, state=UnitState.COMMITTED, assignment_id="x") if u in held.values() else ambulance(u)
            for u in view.units
        }
        needs = [msgspec.structs.replace(n, coming=held[n.incident_id]) for n in needs]
        view = Present(view.region, units, needs, view._eta_s)
    raise AssertionError("still changing")


def test_a_priority_one_call_takes_the_unit_from_a_lesser_one_and_says_so() -> None:
    """Diversion up: the near unit on its way to priority 3 turns round; its own call gets the far free one."""
    units = {"A1": ambulance("A1", state=UnitState.COMMITTED, assignment_id="I3/1"), "A2": ambulance("A2")}
    needs = [need(1, 1, 30.0), need(3, 3, 100.0, coming="A1")]
    eta = {("I1", "A1"): 100.0, ("I1", "A2"): 600.0, ("I3", "A1"): 200.0, ("I3", "A2"): 400.0}
    choices = {
        c.incident_id: c for c in BestTogether(AssignSettings()).assign(Present(town_region(), units, needs, eta))
    }
    assert (choices["I1"].unit_id, choices["I1"].why) == ("A1", "diverted_up")
    assert choices["I3"].unit_id == "A2"
    assert choices["I3"].replaces == "A1"


def test_a_freed_unit_that_is_clearly_nearer_takes_over() -> None:
    """It swaps in when it gains more than the price of switching, and not for less."""
    units = {"A1": ambulance("A1", state=UnitState.COMMITTED, assignment_id="I1/1"), "A2": ambulance("A2")}
    needs = [need(1, 1, 30.0, coming="A1")]
    policy = BestTogether(AssignSettings())
    far = policy.assign(Present(town_region(), units, needs, {("I1", "A1"): 300.0, ("I1", "A2"): 100.0}))
    near = policy.assign(Present(town_region(), units, needs, {("I1", "A1"): 110.0, ("I1", "A2"): 100.0}))
    assert [(c.unit_id, c.replaces, c.why) for c in far] == [("A2", "A1", "takes_over")]
    assert list(near) == []


def test_a_far_low_priority_call_is_served_in_the_end() -> None:
    """The price of leaving it open outgrows any way there."""
    units = {"A1": ambulance("A1")}
    policy = BestTogether(AssignSettings())
    eta = {("I1", "A1"): 1400.0}
    assert list(policy.assign(Present(town_region(), units, [need(1, 3, 0.0)], eta))) == []
    assert len(policy.assign(Present(town_region(), units, [need(1, 3, 7200.0)], eta))) == 1


def coverage_of(net: TravelNet, region: Region) -> Coverage:
    return Coverage(region, net, town_demand(), within_s=TERMS.target_s[0] - TERMS.overhead_s)


def standing(region: Region, posts: list[str]) -> dict[str, Unit]:
    units = {}
    for i, code in enumerate(posts):
        post = region.posts[code]
        position = Position(post.lon, post.lat, AT, AT)
        units[f"A{i}"] = ambulance(f"A{i}", post=code, home_post=code, position=position, duty_since=AT)
    return units


def expected_cover(coverage: Coverage, posts: list[str], q: float) -> float:
    missed = coverage.weight.copy()
    for code in posts:
        missed *= 1.0 - (1.0 - q) * coverage.posts("lights")[coverage.post_codes.index(code)]
    return 1.0 - float(missed.sum())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(["P1", "P2", "P3", "P4"]), min_size=1, max_size=5))
def test_a_move_up_raises_expected_coverage_by_what_it_says_and_keeps_post_capacity(posts: list[str]) -> None:
    """Once the units have arrived the city is covered better than before, never worse."""
    net, region = town_net_once(), town_region()
    if any(posts.count(p) > region.posts[p].capacity for p in posts):
        return
    coverage = coverage_of(net, region)
    move_up = MoveUp(coverage, MoveUpSettings())
    units = standing(region, posts)
    moves = move_up.relocate(Present(region, units, [], {}))
    placed = dict(zip(units, posts, strict=True)) | {m.unit_id: m.post for m in moves}
    before, then = expected_cover(coverage, posts, 0.05), expected_cover(coverage, list(placed.values()), 0.05)
    assert all(m.gain > 0.003 for m in moves)
    assert then >= before - 1e-6
    assert not moves or then > before
    assert max(list(placed.values()).count(p) for p in region.posts) <= 3


_NET: list[TravelNet] = []


def town_net_once() -> TravelNet:
    if not _NET:
        _NET.append(town_net())
    return _NET[0]


def test_doing_nothing_is_a_candidate(net: TravelNet) -> None:
    """Asked for a gain nobody can give, or with crews at their limit, move-up leaves everybody where they are."""
    region = town_region()
    units = standing(region, ["P1", "P1", "P1"])
    coverage = coverage_of(net, region)
    assert MoveUp(coverage, MoveUpSettings(gain_min=0.9)).relocate(Present(region, units, [], {})) == []
    assert MoveUp(coverage).relocate(Present(region, units, [], {}, moves_left=0)) == []
    assert len(MoveUp(coverage).relocate(Present(region, units, [], {}))) > 0


def test_an_unknown_policy_is_refused_by_name(net: TravelNet) -> None:
    """The pack's author gets a code and the list of names."""
    with pytest.raises(Rejected) as refused:
        registry.make("fastest", town_region(), net)
    assert refused.value.code == "unknown_policy"
    assert "siaga" in np.array(refused.value.detail["known"]).tolist()
