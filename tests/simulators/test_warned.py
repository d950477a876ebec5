"""The warnings a run prints: the same count as from its journal, and no change of what happens."""

from __future__ import annotations

import numpy as np
import pytest

from simulators.warned import warning_figures
from simulators.world import Faults
from sla.live import SlaFold
from sla.warnings import warning_figures as from_journal
from tests.simulators.town import run_town, town_calls, town_net

SLOW = Faults(travel_cv=0.68)


@pytest.mark.parametrize("faults", [Faults(), SLOW])
def test_the_printed_recall_and_precision_are_those_of_the_journal(faults: Faults) -> None:
    """Counted from the world's knowledge and, line by line, by the definition."""
    calls = town_calls(5, n=150, per_hour=14.0)
    engine, _, log = run_town(town_net(), "closest", calls, faults=faults, risk_check_s=15.0)
    fold = SlaFold.of(engine.region)
    for entry in engine.journal:
        fold.apply(entry)
    said = warning_figures(log, calls, 420.0)
    counted = from_journal(fold.timeline, None)
    assert counted.late > 5
    assert (said["late"], said["late_warned"], said["warned"]) == (counted.late, counted.late_warned, counted.warned)
    assert said["recall"] == pytest.approx(counted.recall, abs=1e-4)
    assert said["precision"] == pytest.approx(counted.precision, abs=1e-4)


def test_looking_ahead_changes_nothing_that_happens() -> None:
    """A warning is told to people; in a world without people nothing may differ."""
    calls = town_calls(6, n=80)
    _, _, looked = run_town(town_net(), "closest", calls, faults=SLOW, risk_check_s=15.0)
    _, _, blind = run_town(town_net(), "closest", calls, faults=SLOW, risk_check_s=None)
    assert np.array_equal(looked.first_at_scene_s, blind.first_at_scene_s, equal_nan=True)
    assert np.isfinite(looked.warned_s).any()
    assert not np.isfinite(blind.warned_s).any()
