"""Deadlines that come in crowds, as after a stall or in a disaster."""

from __future__ import annotations

from dispatch import commands as co
from dispatch import events as ev
from tests.dispatch.town import T0, TAKER, after, make_engine, report


def test_hundreds_of_deadlines_at_one_instant_are_all_kept() -> None:
    """150 emergencies of one second, four ambulances: when their 7 minutes are over, each is told late, and the engine
    comes to rest instead of calling it a loop.
    """
    engine = make_engine(duplicate_radius_m=0.0)
    for number in range(150):
        engine.step(report(dlon=0.0004 * number, dlat=0.0), T0, TAKER)
    entries = engine.step(co.Wake(), after(421))
    late = [e.event.incident_id for e in entries if isinstance(e.event, ev.ResponseLate)]
    assert len(late) == len(set(late)) == 150
    due = engine.next_deadline()
    assert due is None or due > after(421)
