"""What the fleet's own drives teach about the roads: believed fixes of units under way, kept until their hour is over.

Only fixes that `avl.flaw` let through come here, and of these only fresh ones of a unit that drives to a scene or a hospital:
a fix delivered late, or of a crew that stands or waits, says nothing about a street. They live in memory: an hour of them is
lost with the process, what was learned before is in the journal (`events.SpeedsLearned`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dispatch.model import AssignmentState, Driven, Position
from geo.learned import LearnedSpeeds
from geo.router import REGULAR
from geo.traces import Fix, SpeedLearner
from geo.traffic import Traffic

if TYPE_CHECKING:
    from dispatch.engine import Engine

EVERY_S = 5.0
"""Fixes of one drive nearer in time than this are thinned: matching costs by the fix, a street lasts longer."""
FIXES_MAX = 40_000
"""Held for one hour: 55 units under way all the time. Further ones are left out, not the first of the hour."""
ROUNDED = 1
"""Decimals of the seconds written down: a tenth of a second of an hour's driving."""


@dataclass(slots=True)
class Drive:
    """One unit on one job in one mode within one local hour."""

    mode: str
    hour: int
    fixes: list[Fix] = field(default_factory=list)


class Drives:
    """Collects fixes by drive."""

    def __init__(self) -> None:
        self._drives: dict[tuple[str, str, str, int], Drive] = {}
        self._held = 0

    def take(self, engine: Engine, unit_id: str, position: Position) -> bool:
        """Keep a believed fix if it tells about a road. Returns whether it was kept."""
        state = engine.state
        unit = state.units.get(unit_id)
        if unit is None or unit.assignment_id is None or self._held >= FIXES_MAX:
            return False
        a = state.assignments[unit.assignment_id]
        if a.state is AssignmentState.EN_ROUTE:
            mode, since = engine.travel_mode(unit.mode, state.incidents[a.incident_id].priority), a.en_route_at
        elif a.state is AssignmentState.TRANSPORTING:
            mode, since = REGULAR, a.transporting_at
        else:
            return False
        age_s = (position.received_at - position.fixed_at).total_seconds()
        if since is None or position.fixed_at < since or age_s > engine.region.limits.fix_stale_s:
            return False
        hour = engine.local_hour(position.fixed_at)
        key = (unit_id, a.assignment_id, mode, hour)
        drive = self._drives.get(key)
        if drive is None:
            drive = self._drives[key] = Drive(mode, hour)
        at_s = position.fixed_at.timestamp()
        if drive.fixes and at_s - drive.fixes[-1].at_s < EVERY_S:
            return False
        drive.fixes.append(Fix(at_s, position.lon, position.lat, position.accuracy_m))
        self._held += 1
        return True

    def __len__(self) -> int:
        return self._held

    def ended(self, hour: int) -> list[Drive]:
        """Take out the drives of every other hour than `hour`, which still runs; oldest first."""
        over = [key for key, drive in self._drives.items() if drive.hour != hour]
        taken = [self._drives.pop(key) for key in over]
        self._held -= sum(len(drive.fixes) for drive in taken)
        return taken


class Learner:
    """Matches drives to one road graph. For a worker thread: reads arrays that never change."""

    def __init__(self, traffic: Traffic) -> None:
        self.traffic = traffic
        self._learner = SpeedLearner(traffic)
        self._steps: dict[int, int] = {}
        self._by_hour: dict[int, LearnedSpeeds] = {}

    def learn(self, drive: Drive) -> int:
        """Steps used; a drive in a mode the graph does not know teaches nothing."""
        if drive.mode not in self._learner.graph.modes:
            return 0
        self._learner.learned = self._by_hour.setdefault(drive.hour, LearnedSpeeds())
        used = self._learner.learn(drive.fixes, drive.mode, drive.hour)
        self._steps[drive.hour] = self._steps.get(drive.hour, 0) + used
        return used

    def results(self) -> list[tuple[int, int, dict[str, dict[str, Driven]]]]:
        """(local hour, steps, seconds by mode and road class) of what was learned since the last call."""
        found = []
        for hour, learned in self._by_hour.items():
            drives = driven(learned, hour)
            if drives:
                found.append((hour, self._steps[hour], drives))
        self._by_hour, self._steps = {}, {}
        return found


def driven(learned: LearnedSpeeds, hour: int) -> dict[str, dict[str, Driven]]:
    """One hour's sums as an event carries them; cells that no drive touched are left out."""
    found: dict[str, dict[str, Driven]] = {}
    for mode, classes in learned.expected_s.items():
        for road_class, expected_s in classes.items():
            if expected_s[hour] > 0.0:
                seen_s = learned.observed_s[mode][road_class][hour]
                found.setdefault(mode, {})[road_class] = Driven(
                    round(seen_s, ROUNDED), round(expected_s[hour], ROUNDED)
                )
    return found
