"""A recorded time was wrong: said beside it by a supervisor, never instead of it."""

from __future__ import annotations

import msgspec
import pytest

from dispatch import commands as co
from dispatch import events as ev
from dispatch.engine import Engine
from dispatch.model import Actor, Rejected
from dispatch.region import UnitSpec
from geo.router import StraightLineRouter
from tests.sla.journals import at
from tests.sla.test_attribution import small_region
from tests.sla.test_replay import late_response

RINA = Actor(role="supervisor", name="rina")


def after_a_late_response() -> tuple[Engine, str, str]:
    """An engine at 2,000 s, the late incident and the assignment that arrived at 1,900 s."""
    told, incident = late_response()
    region = small_region()
    region = msgspec.structs.replace(region, units={**region.units, "A-03": UnitSpec("A-03", "amb", "dinkes", "jauh")})
    engine = Engine(region, StraightLineRouter())
    for entry in told:
        engine.apply(entry)
    arrived = next(e.event.assignment_id for e in reversed(told) if isinstance(e.event, ev.UnitAtScene))
    return engine, incident, arrived


def test_a_correction_stands_beside_the_recorded_time_with_its_author() -> None:
    engine, incident, assignment = after_a_late_response()
    before = engine.state.assignments[assignment].at_scene_at
    command = co.CorrectClock(
        incident_id=incident, step="at_scene", reason="rekaman CCTV", corrected_at=at(1_850), assignment_id=assignment
    )
    entry = engine.step(command, at(2_000), RINA)[0]
    assert isinstance(entry.event, ev.ClockCorrected)
    assert (entry.actor, entry.event.corrected_at) == (RINA, at(1_850))
    assert engine.state.assignments[assignment].at_scene_at == before


@pytest.mark.parametrize(
    ("step", "seconds", "of", "code"),
    [
        ("at_scene", 1_850, "nobody", "unknown_assignment"),
        ("at_scene", 1_850, None, "unknown_assignment"),
        ("at_scene", 90_000, "arrived", "time_in_future"),
        ("first_ring", None, None, "invalid_body"),
    ],
)
def test_a_correction_of_nothing_or_from_the_future_is_refused(
    step: str, seconds: float | None, of: str | None, code: str
) -> None:
    engine, incident, assignment = after_a_late_response()
    command = co.CorrectClock(
        incident_id=incident,
        step=step,
        reason="jam salah",
        corrected_at=None if seconds is None else at(seconds),
        assignment_id=assignment if of == "arrived" else of,
    )
    with pytest.raises(Rejected, match=code):
        engine.step(command, at(2_000), RINA)
