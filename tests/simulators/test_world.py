"""Worlds around the live engine: invariants under faults, determinism, and no peeking."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from dispatch import commands as cmd
from dispatch.model import ACTIVE_ASSIGNMENT_STATES, OPEN_STATES, Channel, Place, UnitState
from dispatch.policies.registry import NAMES
from simulators.net import TravelNet
from simulators.world import Faults
from tests.simulators.town import Recorder, run_town, town_calls, town_net

FAULTS = Faults(travel_cv=0.5, breakdown=0.06, decline=0.08, silent=0.05)


@pytest.fixture(scope="module")
def net() -> TravelNet:
    return town_net()


def check_invariants(engine: Recorder) -> None:
    """What must hold between any two steps."""
    state = engine.state
    served: dict[str, str] = {}
    for assignment_id in state.active_ids:
        a = state.assignments[assignment_id]
        assert a.state in ACTIVE_ASSIGNMENT_STATES
        assert a.unit_id not in served, f"{a.unit_id} serves {served[a.unit_id]} and {assignment_id}"
        served[a.unit_id] = assignment_id
        wanted = set(a.capability.split("|"))
        assert a.capability == "extra" or wanted & state.units[a.unit_id].capabilities, (
            f"{a.unit_id} cannot {a.capability}"
        )
    for unit in state.units.values():
        assert (unit.state is UnitState.COMMITTED) == (unit.assignment_id is not None)
        assert unit.assignment_id is None or served.get(unit.unit_id) == unit.assignment_id
    for incident_id in state.open_ids:
        incident = state.incidents[incident_id]
        assert incident.state in OPEN_STATES
        owned = bool(state.active_of(incident))
        assert owned or incident.retry_at is not None or engine.next_deadline() is not None, (
            f"{incident_id} has neither a unit nor a deadline"
        )
        assert incident.first_ring_at <= incident.opened_at


def check_journal(engine: Recorder) -> None:
    """What must hold of the whole run."""
    last = None
    for number, entry in enumerate(engine.journal, 1):
        assert entry.seq == number, "the journal has a gap"
        assert last is None or entry.at >= last, "time ran back"
        last = entry.at
    assert engine.replayed().digest() == engine.state.digest(), "the journal does not tell what happened"


def one_world(net: TravelNet, seed: int) -> None:
    name = NAMES[seed % len(NAMES)]
    calls = town_calls(seed)
    engine, _, log = run_town(net, name, calls, seed, FAULTS, check_invariants)
    check_journal(engine)
    opened = [e.event for e in engine.journal if type(e.event).__name__ == "IncidentOpened"]
    assert len(opened) == len(calls), "a report was lost"
    assert not set(log.refused) - {"unit_busy", "illegal_transition", "not_available"}, (
        f"python -m pytest tests/simulators/test_world.py -k world --seed: world {seed} ({name}) refused {set(log.refused)}"
    )


@pytest.mark.parametrize("seed", range(40))
def test_no_invariant_breaks_in_a_faulty_world(net: TravelNet, seed: int) -> None:
    """Breakdowns, refusals, silent crews and traffic: units serve one incident, nothing is lost, the journal replays."""
    one_world(net, seed)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_invariant_breaks_in_a_thousand_faulty_worlds(net: TravelNet) -> None:
    """The same for a thousand seeds; a failing one names itself in the message of the assertion."""
    for seed in range(1000, 2000):
        try:
            one_world(net, seed)
        except AssertionError as broken:
            raise AssertionError(f"world {seed}: {broken}") from broken


@pytest.mark.parametrize("name", NAMES)
def test_equal_seeds_give_equal_journals(net: TravelNet, name: str) -> None:
    """Two runs of one seed agree to the digest; another seed does not."""
    runs = [run_town(net, name, town_calls(11), seed, FAULTS)[0].state.digest() for seed in (3, 3, 4)]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


@pytest.mark.parametrize("name", NAMES)
def test_a_policy_cannot_see_the_future(net: TravelNet, name: str) -> None:
    """Other calls, other scene and hospital times after a moment leave every decision before that moment as it was."""
    calls = town_calls(21, n=40)
    cut_s = float(calls.t_sec[24])
    rng = np.random.default_rng(99)
    later = calls.t_sec > cut_s
    changed: dict[str, Any] = {
        "on_scene_s": np.where(later, rng.exponential(2000.0, len(calls)), calls.on_scene_s),
        "handover_s": np.where(later, 1.0, calls.handover_s),
        "lon": np.where(later, calls.lon[::-1], calls.lon),
        "lat": np.where(later, calls.lat[::-1], calls.lat),
        "node": np.where(later, calls.node[::-1], calls.node),
    }
    # Scenes that are still going on at the cut end later in the other world: their length is the future, too.
    long_after = calls.t_sec + calls.dispatch_delay_s + calls.on_scene_s > cut_s
    changed["on_scene_s"] = np.where(long_after, changed["on_scene_s"] + 4 * 3600.0, changed["on_scene_s"])
    other = dataclasses.replace(calls, **changed)
    one, world, _ = run_town(net, name, calls)
    two, _, _ = run_town(net, name, other)
    until = world.at(cut_s)
    before = [[e for e in engine.journal if e.at < until] for engine in (one, two)]
    assert len(before[0]) > 50
    assert before[0] == before[1]


@pytest.mark.parametrize("name", ["closest+redispatch", "siaga"])
def test_every_call_is_reached_when_nothing_goes_wrong(net: TravelNet, name: str) -> None:
    """No call starves: the price of waiting grows, so even a far priority 3 gets its unit."""
    calls = town_calls(5, n=40, per_hour=4.0)
    _, _, log = run_town(net, name, calls)
    assert not np.isnan(log.first_at_scene_s).any()


def test_crews_are_not_moved_more_often_than_allowed(net: TravelNet) -> None:
    """The limit of move-ups per duty is kept, whatever the coverage would gain."""
    engine, _, log = run_town(net, "siaga", town_calls(8, n=60), move_ups_per_duty=2)
    assert log.moves > 0
    assert max(u.moves_today for u in engine.state.units.values()) <= 2


def test_an_empty_fleet_leaves_every_report_open_with_a_reason(net: TravelNet) -> None:
    """All units off duty: reports are kept, each shortfall is explained and re-tried, nothing crashes."""
    engine, world, _ = run_town(net, "siaga", town_calls(3, n=3))
    for unit_id in list(engine.state.units):
        unit = engine.state.units[unit_id]
        if unit.state is UnitState.AVAILABLE:
            engine.step(cmd.EndDuty(unit_id=unit_id), world.at(world.log.ended_s + 1.0))
    before = len(engine.journal)
    engine.step(
        cmd.SubmitReport(channel=Channel.CALL, kind="medis", place=Place(0.01, 0.01)),
        world.at(world.log.ended_s + 60.0),
    )
    kinds = [type(e.event).__name__ for e in engine.journal[before:]]
    assert "IncidentOpened" in kinds
    assert "PlanShort" in kinds
    assert engine.next_deadline() is not None
