"""An old journal must always replay: stored lines of an earlier release, read by today's code.

`golden/kinds.jsonl` has one line of every kind with every field filled; `golden/shift.jsonl` a small town's shift.
When a kind changes, these lines stay and an up-caster is written; a *new* kind's line is added by
`python -m tests.contract.test_golden_journal`, which never touches the lines that are there.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import msgspec

from dispatch.events import KINDS, Entry
from dispatch.fold import State
from dispatch.journal import decode_event, encode_event, kind_of
from dispatch.model import Actor, AssignmentState, IncidentState
from tests.dispatch.examples import examples
from tests.dispatch.town import town

GOLDEN = Path(__file__).parent / "golden"


class Stored(msgspec.Struct):
    """A journal line as the database gives it back."""

    seq: int
    at: datetime
    actor_role: str
    actor_name: str
    kind: str
    body: msgspec.Raw
    command_id: str | None = None

    def entry(self) -> Entry:
        event = decode_event(self.kind, bytes(self.body))
        return Entry("town", self.seq, self.at, Actor(self.actor_role, self.actor_name), event, self.command_id)


def stored(name: str) -> list[Stored]:
    lines = (GOLDEN / name).read_bytes().splitlines()
    return [msgspec.json.decode(line, type=Stored) for line in lines]


def test_every_stored_kind_still_reads() -> None:
    """Each line of each kind that was ever journaled becomes an event of today and keeps every value it had."""
    for line in stored("kinds.jsonl"):
        event = line.entry().event
        if kind_of(event) == line.kind:  # not up-cast: nothing may have been dropped on the way
            before = msgspec.json.decode(line.body)
            after = msgspec.json.decode(encode_event(event))
            assert after == before, line.kind


def test_every_kind_of_today_is_kept() -> None:
    """A new kind is not released before its golden line exists."""
    missing = set(KINDS) - {line.kind for line in stored("kinds.jsonl")}
    assert missing == set(), "run python -m tests.contract.test_golden_journal and commit what it adds"


def test_an_old_shift_folds_to_the_same_facts() -> None:
    """What was promised, assigned and reached then is what the code of today says of it, second by second."""
    state = State(town())
    for line in stored("shift.jsonl"):
        state.apply(line.entry())
    facts = msgspec.json.decode((GOLDEN / "shift-facts.json").read_bytes())
    assert msgspec.to_builtins(facts_of(state)) == facts


def facts_of(state: State) -> dict[str, object]:
    """The clocks and fates that must never change by new code: of incidents, assignments and units."""
    return {
        "incidents": {
            i.incident_id: {
                "state": i.state,
                "kind": i.kind,
                "priority": [i.priority, i.highest_priority],
                "first_ring_at": i.first_ring_at,
                "first_assigned_at": i.first_assigned_at,
                "first_at_scene_at": i.first_at_scene_at,
                "first_capable_at_scene_at": i.first_capable_at_scene_at,
                "breached_at": i.breached_at,
                "ended_at": i.ended_at,
                "reports": i.report_ids,
                "assignments": i.assignment_ids,
            }
            for i in state.incidents.values()
        },
        "assignments": {
            a.assignment_id: [
                a.unit_id,
                a.incident_id,
                a.state,
                a.assigned_at,
                a.acknowledged_at,
                a.at_scene_at,
                a.ended_at,
            ]
            for a in state.assignments.values()
        },
        "units": {u.unit_id: [u.state, u.assignment_id] for u in state.units.values()},
    }


def test_the_golden_shift_is_worth_keeping() -> None:
    """It holds enough of life: several ends of incidents and of assignments."""
    state = State(town())
    lines = stored("shift.jsonl")
    for line in lines:
        state.apply(line.entry())
    assert len(lines) > 200
    assert {i.state for i in state.incidents.values()} >= {
        IncidentState.CLOSED,
        IncidentState.CANCELLED,
        IncidentState.MERGED,
    }
    assert {a.state for a in state.assignments.values()} >= {AssignmentState.CLEARED, AssignmentState.DECLINED}


def add_missing() -> None:
    """Append golden lines for kinds that have none."""
    there = {line.kind for line in stored("kinds.jsonl")} if (GOLDEN / "kinds.jsonl").exists() else set()
    with (GOLDEN / "kinds.jsonl").open("ab") as file:
        for event in examples():
            if kind_of(event) not in there:
                line = {"seq": 1, "at": "2026-03-01T03:00:00.123456Z", "actor_role": "dispatcher", "actor_name": "siti"}
                body = msgspec.Raw(encode_event(event))
                file.write(msgspec.json.encode({**line, "kind": kind_of(event), "body": body}) + b"\n")


if __name__ == "__main__":
    add_missing()
