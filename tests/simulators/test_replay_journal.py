"""A recorded journal answers for itself: the same policy repeats it, another one differs where it should."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dispatch import events as ev
from dispatch.policies import registry
from siaga import cli
from simulators.net import TravelNet
from simulators.replay_journal import again, compare, emergencies
from simulators.world import EPOCH, World
from sla.source import write_file
from tests.simulators.town import Recorder, town_calls, town_net, town_region


@pytest.fixture(scope="module")
def net() -> TravelNet:
    return town_net()


@pytest.fixture(scope="module")
def recorded(net: TravelNet) -> Recorder:
    """A busy half day of the town under `closest`, every candidate kept."""
    region = town_region()
    engine = Recorder(region, net, registry.make("closest", region, net))
    World(engine, net, town_calls(3, n=60, per_hour=14.0), 1).run()
    return engine


def sent(entries: list[ev.Entry]) -> int:
    return sum(isinstance(e.event, ev.UnitAssigned) for e in entries)


def test_the_same_policy_repeats_its_decisions(net: TravelNet, recorded: Recorder) -> None:
    """Every sending is asked again on the state it was made in. Positions are kept to a metre, which may turn a tie."""
    (found,) = compare(recorded.journal, recorded.region, net, ["closest"])
    assert found.decisions == sent(recorded.journal) > 50
    assert found.same >= 0.97 * found.decisions
    assert found.same + found.other + found.held == found.decisions


def test_another_policy_differs_and_says_where(net: TravelNet, recorded: Recorder) -> None:
    same, other = compare(recorded.journal, recorded.region, net, ["closest", "siaga"])
    assert other.decisions == same.decisions
    assert other.other + other.held > 2 * (same.other + same.held)
    assert other.differences
    assert all(d.theirs is None or d.theirs != d.recorded for d in other.differences)


def test_only_the_asked_days_are_compared(net: TravelNet, recorded: Recorder) -> None:
    (found,) = compare(recorded.journal, recorded.region, net, ["closest"], since=EPOCH + timedelta(hours=2))
    later = [e for e in recorded.journal if e.at >= EPOCH + timedelta(hours=2)]
    assert found.decisions == sent(later)
    assert 0 < len(later) < len(recorded.journal)


def test_the_day_again_under_the_same_policy_is_the_day(net: TravelNet, recorded: Recorder) -> None:
    """The recorded times are enough to live through it once more: a few seconds of turnout and rounding aside."""
    day, units = emergencies(recorded.journal)
    assert len(day) == 60
    assert units == set(recorded.region.units)
    (as_recorded, repeated), assumed = again(day, units, recorded.region, net, ["closest"])
    assert as_recorded.n == repeated.n == sum(x.priority == 1 for x in day.values())
    assert as_recorded.mean_s is not None
    assert repeated.mean_s == pytest.approx(as_recorded.mean_s, rel=0.05)
    assert abs(as_recorded.within - repeated.within) <= 2
    assert assumed == {"scene": 0, "hospital": 0}


def test_an_empty_journal_is_an_empty_answer(net: TravelNet) -> None:
    region = town_region()
    (found,) = compare([], region, net, ["closest"])
    assert found.decisions == 0
    days, _ = again({}, frozenset(), region, net, ["closest"])
    assert [(d.policy, d.n, d.mean_s) for d in days] == [(None, 0, None)]


def test_the_command_names_what_is_wrong(tmp_path: Path, recorded: Recorder) -> None:
    cli._add_rooms("replay-journal")
    runner = CliRunner()
    assert "no_journal" in runner.invoke(cli.app, ["replay-journal"], env={"DATABASE_URL": ""}).output
    gone = runner.invoke(cli.app, ["replay-journal", str(tmp_path / "no.jsonl")])
    assert gone.exit_code == 2
    assert "journal_file_missing" in gone.output
    file = tmp_path / "day.jsonl"
    write_file(recorded.journal, file)
    unknown = runner.invoke(cli.app, ["replay-journal", str(file), "--policies", "guess"])
    assert "unknown_policy" in unknown.output
