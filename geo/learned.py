"""How fast the fleet's own drives went: sums that shrink to the prior, the hour table that follows, and a file to look at.

Measured by geo.traces, put in force by geo.traffic. The sums are kept by class *name*, so that what was learned outlives
another import of the roads.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np

from geo.roads import RoadGraph
from geo.router import Mode, Rejected
from geo.traffic import HOURS, HourTable

LEARNED_PRIOR_S = 3_600.0  # the prior weighs one hour of driving per mode, hour and class
LEARNED_MAX_S = 180_000.0  # 50 hours of driving in a cell are remembered; older ones fade, because cities change
LEARNED_RANGE = (
    0.5,
    2.5,
)  # a learned factor stays within this of its prior: beyond it the traces are wrong, not the road


class LearnedSpeeds:
    """Seconds that the fleet's own drives took and that they should have taken by the prior, by mode, road class and hour.

    Kept by class *name*, so that what was learned outlives another import of the roads. See geo.traces for how it is measured.
    """

    def __init__(self) -> None:
        self.observed_s: dict[Mode, dict[str, list[float]]] = {}
        self.expected_s: dict[Mode, dict[str, list[float]]] = {}

    def add(self, mode: Mode, road_class: str, hour: int, observed_s: float, expected_s: float) -> None:
        """Take in drives of one local hour. Beyond LEARNED_MAX_S of driving in a cell the older drives fade."""
        seen = self.observed_s.setdefault(mode, {}).setdefault(road_class, [0.0] * HOURS)
        due = self.expected_s.setdefault(mode, {}).setdefault(road_class, [0.0] * HOURS)
        seen[hour] += observed_s
        due[hour] += expected_s
        if due[hour] > LEARNED_MAX_S:
            kept = LEARNED_MAX_S / due[hour]
            seen[hour] *= kept
            due[hour] *= kept

    def table(self, graph: RoadGraph) -> HourTable:
        """(observed + prior) / (expected + prior) seconds, the prior worth LEARNED_PRIOR_S of driving, within LEARNED_RANGE of it."""
        table = HourTable.prior(graph)
        for mode, prior in table.factors.items():
            learned = prior.copy()
            for index, road_class in enumerate(graph.classes):
                if road_class in self.expected_s.get(mode, {}):
                    seen = np.array(self.observed_s[mode][road_class])
                    due = np.array(self.expected_s[mode][road_class])
                    learned[:, index] = (seen + LEARNED_PRIOR_S * prior[:, index]) / (due + LEARNED_PRIOR_S)
            low, high = LEARNED_RANGE
            table.factors[mode] = np.clip(learned, low * prior, high * prior)
        return table


class KeptSpeeds(msgspec.Struct, frozen=True):
    """Learned sums as a file beside the roads, for people to look at; a server's journal is its truth."""

    region: str
    at: str
    observed_s: dict[Mode, dict[str, list[float]]]
    expected_s: dict[Mode, dict[str, list[float]]]

    def total_s(self, mode: Mode, road_class: str) -> tuple[float, float]:
        """Seconds observed and expected over all hours."""
        none = [0.0]
        seen, due = self.observed_s.get(mode, {}), self.expected_s.get(mode, {})
        return sum(seen.get(road_class, none)), sum(due.get(road_class, none))


def totals(learned: LearnedSpeeds) -> dict[Mode, tuple[float, float]]:
    """Seconds observed and expected by mode, where there are any."""
    found = {}
    for mode, classes in learned.expected_s.items():
        expected_s = sum(map(sum, classes.values()))
        if expected_s > 0.0:
            found[mode] = (sum(map(sum, learned.observed_s[mode].values())), expected_s)
    return found


def learned_file(roads: Path) -> Path:
    """Where the learned speeds of a road network lie, beside its file."""
    return roads.with_suffix(".learned.json")


def write_learned(file: Path, body: bytes) -> None:
    """Whole or not at all."""
    new = file.with_suffix(".new")
    file.parent.mkdir(parents=True, exist_ok=True)
    new.write_bytes(body)
    new.replace(file)


def read_learned(file: Path) -> KeptSpeeds | None:
    """None when nothing has been learned. Raises Rejected("bad_learned_speeds")."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=KeptSpeeds)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Rejected(
            "bad_learned_speeds", f"{file} cannot be read: {error}; it is written anew by the server"
        ) from None
