"""Move-ups: suggested first where the region gives the room time to say no, and ordered when nobody does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from dispatch import commands as co
from dispatch import events as ev
from dispatch.decide_units import MOVE_DECLINED_FOR
from dispatch.engine import Engine
from dispatch.fold import State
from dispatch.model import Actor, Rejected
from dispatch.policies.closest import Closest
from dispatch.policies.view import Move, View
from geo.router import StraightLineRouter
from tests.dispatch.town import T0, after, make_engine, report, town

DESK = Actor(role="dispatcher", name="sari")
WAIT_S, EVERY_S = 15.0, 20.0


class WantsEast(Closest):
    """Would like A1 to stand in the east, whenever it is asked."""

    def relocate(self, view: View) -> Sequence[Move]:
        return (Move(unit_id="A1", post="timur", gain=0.0125),) if "A1" in view.free_units() else ()


def suggested(wait_s: float = WAIT_S) -> Engine:
    engine = make_engine(WantsEast(), on_duty=False, move_up_wait_s=wait_s, relocate_every_s=EVERY_S)
    engine.step(co.StartDuty(unit_id="A1", crew=["Bayu"]), T0, Actor(role="crew", name="A1"))
    engine.step(co.Wake(), T0)
    return engine


def events_of(entries: list[ev.Entry], kind: type[ev.Event]) -> list[ev.Event]:
    return [e.event for e in entries if isinstance(e.event, kind)]


def test_without_time_to_say_no_a_move_is_ordered_at_once() -> None:
    """As in simulations."""
    engine = suggested(wait_s=0.0)
    assert engine.state.units["A1"].post == "timur"
    assert engine.state.units["A1"].move_up is None


def test_a_suggestion_moves_nobody_until_its_time_and_then_goes_out_by_itself() -> None:
    engine = suggested()
    unit = engine.state.units["A1"]
    assert unit.post == "pusat"
    assert unit.move_up is not None
    assert (unit.move_up.post, unit.move_up.gain) == ("timur", 0.0125)
    assert engine.next_deadline() == after(WAIT_S)
    assert engine.step(co.Wake(), after(WAIT_S - 1)) == []
    [ordered] = events_of(engine.step(co.Wake(), after(WAIT_S)), ev.MoveOrdered)
    assert isinstance(ordered, ev.MoveOrdered)
    assert (ordered.post, ordered.gain, ordered.reason) == ("timur", 0.0125, engine.policy.name)
    assert (unit.post, unit.moves_today) == ("timur", 1)
    assert engine.state.units["A1"].move_up is None


def test_a_dispatcher_takes_a_suggestion_up_before_its_time() -> None:
    """The order keeps what the move was worth, and nothing is ordered a second time."""
    engine = suggested()
    [entry] = engine.step(co.OrderMove(unit_id="A1", post="timur"), after(3), DESK)
    assert isinstance(entry.event, ev.MoveOrdered)
    assert (entry.event.gain, entry.actor) == (0.0125, DESK)
    assert events_of(engine.step(co.Wake(), after(WAIT_S)), ev.MoveOrdered) == []


def test_a_declined_move_is_not_ordered_and_not_suggested_again_for_a_while() -> None:
    engine = suggested()
    engine.step(co.DeclineMove(unit_id="A1", post="timur"), after(3), DESK)
    until = timedelta(seconds=3) + MOVE_DECLINED_FOR
    stirred = {"unit_id": "A2", "crew": ["Sari"]}
    engine.step(co.StartDuty(**stirred), after(100), Actor(role="crew", name="A2"))  # type: ignore[arg-type]
    assert engine.state.units["A1"].post == "pusat"
    engine.step(co.EndDuty(unit_id="A2"), after(until.total_seconds() + 1), DESK)
    waits = engine.state.units["A1"].move_up
    assert waits is not None
    assert not waits.declined, "the city has changed since: it may be asked again"


def test_a_declined_move_can_still_be_ordered_by_hand() -> None:
    """The undo of a no."""
    engine = suggested()
    engine.step(co.DeclineMove(unit_id="A1", post="timur"), after(3), DESK)
    engine.step(co.OrderMove(unit_id="A1", post="timur"), after(4), DESK)
    assert engine.state.units["A1"].post == "timur"


@pytest.mark.parametrize("post", ["ujung", "pusat"])
def test_only_what_is_suggested_can_be_declined(post: str) -> None:
    """A click on a line that has changed under the pointer declines nothing."""
    engine = suggested()
    with pytest.raises(Rejected) as refused:
        engine.step(co.DeclineMove(unit_id="A1", post=post), after(3), DESK)
    assert refused.value.code == "no_such_suggestion"


def test_a_unit_that_is_sent_meanwhile_is_not_moved() -> None:
    engine = suggested()
    engine.step(report(), after(2))
    assert engine.state.units["A1"].assignment_id is not None
    assert engine.state.units["A1"].move_up is None
    assert events_of(engine.step(co.Wake(), after(WAIT_S)), ev.MoveOrdered) == []


def test_a_suggestion_survives_a_restart() -> None:
    """From a snapshot its deadline is there again."""
    before = suggested()
    state = State.restore(before.region, before.state.snapshot())
    engine = Engine(town(move_up_wait_s=WAIT_S, relocate_every_s=EVERY_S), StraightLineRouter(), WantsEast(), state)
    [ordered] = events_of(engine.step(co.Wake(), after(WAIT_S)), ev.MoveOrdered)
    assert isinstance(ordered, ev.MoveOrdered)
    assert ordered.post == "timur"
