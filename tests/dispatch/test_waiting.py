"""What waits is shown by urgency, only where somebody could fill it, and costs nothing while nobody can."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from dispatch import plans
from dispatch.policies.view import Need
from dispatch.waiting import LOOKED_AT_MAX, Waiting

AT = datetime(2026, 3, 2, tzinfo=UTC)
SLOTS = ("ambulance", "engine", "motorbike|ambulance", "rescue")
NONE: frozenset[str] = frozenset()


def need(incident: int, slot: str, priority: int, waited_s: int) -> Need:
    rang_at = AT - timedelta(seconds=waited_s)
    return Need(f"I{incident:03d}", slot, plans.alternatives(slot), priority, 0.0, 0.0, rang_at, rang_at)


plans_asked = st.lists(
    st.tuples(st.integers(0, 30), st.integers(1, 3), st.integers(0, 900), st.lists(st.sampled_from(SLOTS), max_size=4)),
    max_size=40,
)


@given(plans_asked, st.sets(st.sampled_from(["ambulance", "engine", "motorbike"])), st.sets(st.just("rescue")))
def test_shown_are_the_most_urgent_of_what_can_be_filled(
    puts: list[tuple[int, int, int, list[str]]], free: set[str], divertible: set[str]
) -> None:
    """Against sorting everything anew, whatever was put before; a later put replaces all of an incident's places."""
    waiting = Waiting()
    latest: dict[str, list[Need]] = {}
    for incident, priority, waited_s, slots in puts:
        needs = [need(incident, slot, priority, waited_s) for slot in slots]
        waiting.put(f"I{incident:03d}", needs)
        latest[f"I{incident:03d}"] = needs
    can = [
        n
        for needs in latest.values()
        for n in needs
        if free & set(n.capabilities) or (n.priority == 1 and divertible & set(n.capabilities))
    ]
    can.sort(key=lambda n: (n.priority, n.rang_at, n.incident_id))
    assert waiting.fillable(frozenset(free), lambda: frozenset(divertible)) == can[:LOOKED_AT_MAX]
    assert bool(waiting) == any(latest.values())
    for incident_id, needs in latest.items():
        assert waiting.slots_of(incident_id) == [n.slot for n in needs]


def test_nobody_is_diverted_for_what_is_not_urgent() -> None:
    waiting = Waiting()
    waiting.put("I001", [need(1, "ambulance", 2, 100)])
    waiting.put("I002", [need(2, "ambulance", 1, 10)])
    shown = waiting.fillable(NONE, lambda: frozenset({"ambulance"}))
    assert [n.incident_id for n in shown] == ["I002"]


def test_a_surge_shows_no_more_than_a_round_can_look_at() -> None:
    waiting = Waiting()
    for i in range(500):
        waiting.put(f"I{i:03d}", [need(i, "ambulance", 1 + i % 3, i)])
    shown = waiting.fillable(frozenset({"ambulance"}), lambda: NONE)
    assert len(shown) == LOOKED_AT_MAX
    assert {n.priority for n in shown} == {1}, "the most urgent first"
    assert shown[0].incident_id == "I498", "of these the one that rang first"
