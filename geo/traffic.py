"""What the road is like now: closures, slow streets, the hour of the day. Turns them into the graph's live seconds.

`Traffic` is the only writer of a graph's live travel times, so nearest units, coverage and routes change together. A
factor multiplies seconds (2.0 = twice as slow, inf = closed). The hour profile is relative to the day's mean, which is
what the loaders' prior seconds stand for.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

from geo.grids import IntArray
from geo.roads import Prepared, RoadGraph
from geo.router import LIGHTS, REGULAR, FloatArray, Mode, Rejected

HOURS = 24
CLOSED = math.inf
RESTRICTIONS_MAX = 2_000  # a flooded night closes hundreds of streets; more is a runaway feed
FACTOR_MIN, FACTOR_MAX = 0.2, 20.0  # beyond this it is a closure or a typing error

# Seconds relative to the day's mean, by local hour. TomTom 2025 gives only the mean congestion of the day (43.7 %); the
# shape (free flow at night = 1/1.437 = 0.70, peaks at 7 and 17) is this project's assumption until traces are learned.
PRIOR_HOURS: tuple[float, ...] = (
    0.70, 0.70, 0.70, 0.70, 0.72, 0.85, 1.10, 1.25, 1.18, 1.05, 1.02, 1.04,
    1.06, 1.05, 1.06, 1.12, 1.28, 1.35, 1.22, 1.05, 0.95, 0.85, 0.76, 0.72,
)  # fmt: skip
# How much of the hour's slowness a mode feels: lights pass part of the queue, a motorbike most of it (assumption).
FELT: Mapping[Mode, float] = {REGULAR: 1.0, LIGHTS: 0.5, "motorbike": 0.25}


@dataclass(frozen=True, slots=True)
class Restriction:
    """A stretch that is closed or slow: flood, market street, railway gate, fallen tree, works."""

    key: str
    arcs: tuple[int, ...]
    factor: float = CLOSED
    modes: frozenset[Mode] | None = None  # None = every mode; a motorbike passes where a fire engine does not
    hours: tuple[int, int] | None = None  # local hours [from, to), may wrap midnight; None = always
    reason: str = ""

    def holds_at(self, hour: int | None) -> bool:
        """Whether it is in force; without a known hour it is, to be on the safe side."""
        if self.hours is None or hour is None:
            return True
        start, stop = self.hours
        return start <= hour < stop if start <= stop else hour >= start or hour < stop


class HourTable:
    """Factor per mode, hour and road class: (24, classes) each."""

    def __init__(self, classes: int, factors: Mapping[Mode, FloatArray]) -> None:
        for mode, table in factors.items():
            assert table.shape == (HOURS, classes), f"mode {mode}: one factor per hour and class"
            assert np.all(np.isfinite(table) & (table > 0.0)), f"mode {mode}: factors are positive"
        self.factors = dict(factors)

    @classmethod
    def prior(cls, graph: RoadGraph) -> HourTable:
        """The same daily curve for every class, felt by each mode to its degree."""
        curve = np.array(PRIOR_HOURS)
        return cls(
            len(graph.classes),
            {
                mode: np.repeat((1.0 + (curve - 1.0) * FELT.get(mode, 1.0))[:, None], len(graph.classes), axis=1)
                for mode in graph.modes
            },
        )


class Traffic:
    """The conditions of one graph. Change them, and the next search of any kind uses the new travel times."""

    def __init__(self, graph: RoadGraph, table: HourTable | None = None) -> None:
        self.graph = graph
        self.table = table or HourTable.prior(graph)
        self.hour: int | None = None
        self._restrictions: dict[str, Restriction] = {}
        self._ready: tuple[_Conditions, Prepared] | None = None
        self._arc_lines: shapely.STRtree | None = None

    @property
    def restrictions(self) -> tuple[Restriction, ...]:
        return tuple(self._restrictions.values())

    def set_hour(self, hour: int | None) -> None:
        """The local hour 0..23 whose factors hold, None for the day's mean."""
        if hour is not None and not 0 <= hour < HOURS:
            raise Rejected("bad_hour", f"hour {hour} is not within 0..23")
        if hour != self.hour:
            self.hour = hour
            self.apply()

    def set_table(self, table: HourTable) -> None:
        """Use other (learned) factors; searches change only if those of the hour in force do."""
        before, self.table = self.table, table
        if not _alike(before, table, self.hour):
            self.apply()

    def prepare(self, hour: int) -> None:
        """Work out ahead what `set_hour(hour)` will put in force, in another thread: the change itself then costs nothing.
        A closure put or lifted meanwhile makes it worthless, never wrong."""
        wanted = _Conditions(hour, self.table, tuple(self._restrictions.values()))
        self._ready = (wanted, self.graph.prepare(self._seconds(wanted)))

    def restrict(self, restriction: Restriction) -> None:
        """Put a restriction in force, replacing one of the same key. Raises Rejected on unknown arcs or a bad factor."""
        if restriction.key not in self._restrictions and len(self._restrictions) >= RESTRICTIONS_MAX:
            raise Rejected("too_many_restrictions", f"{RESTRICTIONS_MAX} restrictions are in force; lift some first")
        if not restriction.arcs or min(restriction.arcs) < 0 or max(restriction.arcs) >= self.graph.n_arcs:
            raise Rejected("no_road_there", f"restriction {restriction.key!r} touches no road of this graph")
        if restriction.factor != CLOSED and not FACTOR_MIN <= restriction.factor <= FACTOR_MAX:
            raise Rejected(
                "bad_factor", f"factor {restriction.factor} is not within {FACTOR_MIN}..{FACTOR_MAX}, nor closed"
            )
        unknown = (restriction.modes or frozenset()) - set(self.graph.modes)
        if unknown:
            raise Rejected("unknown_mode", f"modes {sorted(unknown)} are not among {sorted(self.graph.modes)}")
        self._restrictions[restriction.key] = restriction
        self.apply()

    def lift(self, key: str) -> None:
        """End a restriction; unknown keys are ignored, since lifting twice is harmless."""
        if self._restrictions.pop(key, None) is not None:
            self.apply()

    def replace(self, restrictions: Iterable[Restriction], hour: int | None) -> None:
        """Put a whole state in force at once, e.g. after a restart."""
        self._restrictions = {r.key: r for r in restrictions}
        self.hour = hour
        self.apply()

    def apply(self) -> None:
        """Put the live seconds in force: as prepared, else worked out now, a fraction of a millisecond per mode (the
        hierarchies follow at their next question, some 30 ms a mode)."""
        wanted = _Conditions(self.hour, self.table, tuple(self._restrictions.values()))
        ready, self._ready = self._ready, None
        if ready is not None and ready[0] == wanted:
            self.graph.adopt(ready[1])
        else:
            self.graph.set_seconds(self._seconds(wanted))

    def _seconds(self, conditions: _Conditions) -> dict[Mode, FloatArray]:
        graph, hour, factors = self.graph, conditions.hour, conditions.table.factors
        seconds: dict[Mode, FloatArray] = {}
        active = [r for r in conditions.restrictions if r.holds_at(hour)]
        for mode, base in graph.base_s.items():
            if hour is None or mode not in factors:
                s = base.copy()
            else:
                s = base * factors[mode][hour][graph.arc_class]
            for r in active:
                if r.modes is None or mode in r.modes:
                    arcs = np.array(r.arcs)
                    s[arcs] = CLOSED if r.factor == CLOSED else s[arcs] * r.factor
            seconds[mode] = s
        return seconds

    # ---- which arcs -----------------------------------------------------------------------------------------------

    def arcs_within(self, lon: float, lat: float, radius_m: float) -> IntArray:
        """Arcs that pass within `radius_m` of a point."""
        px, py = self.graph.to_xy(lon, lat)
        return self._touching(shapely.Point(px, py).buffer(max(radius_m, 0.1)))

    def arcs_in_polygon(self, points: Iterable[tuple[float, float]]) -> IntArray:
        """Arcs that touch a polygon of (lon, lat) corners. Raises Rejected("bad_polygon")."""
        corners = [self.graph.to_xy(lon, lat) for lon, lat in points]
        if len(corners) < 3:
            raise Rejected("bad_polygon", f"a polygon needs three corners, got {len(corners)}")
        return self._touching(shapely.make_valid(shapely.Polygon(corners)))

    def arcs_of_street(self, name: str, lon: float, lat: float, radius_m: float) -> IntArray:
        """Arcs of a named street within `radius_m` of a point: a long street floods in one place."""
        arcs = self.arcs_within(lon, lat, radius_m)
        wanted = name.casefold()
        names = self.graph.names
        return arcs[[names[i].casefold() == wanted for i in self.graph.arc_name[arcs]]]

    def _touching(self, area: shapely.Geometry) -> IntArray:
        tree = self.arc_tree()
        found: npt.NDArray[np.int64] = np.sort(tree.query(area, predicate="intersects"))
        return found.astype(np.int32)

    def arc_tree(self) -> shapely.STRtree:
        """Arcs as straight segments in local metres, indexed at first use."""
        if self._arc_lines is None:
            self._arc_lines = shapely.STRtree(arc_segments(self.graph))
        return self._arc_lines


@dataclass(frozen=True, slots=True)
class _Conditions:
    """What the live seconds follow from. A table counts as the same only if it is the same object."""

    hour: int | None
    table: HourTable
    restrictions: tuple[Restriction, ...]


def _alike(a: HourTable, b: HourTable, hour: int | None) -> bool:
    """Whether two tables say the same of one hour."""
    if hour is None:
        return True
    return a.factors.keys() == b.factors.keys() and all(
        np.array_equal(a.factors[m][hour], b.factors[m][hour]) for m in a.factors
    )


def arc_segments(graph: RoadGraph) -> npt.NDArray[np.object_]:
    """Every arc as a straight LineString in local metres (arcs are short; see geo.polylines)."""
    ends = np.stack(
        [
            np.column_stack([graph.x[graph.arc_from], graph.y[graph.arc_from]]),
            np.column_stack([graph.x[graph.arc_to], graph.y[graph.arc_to]]),
        ],
        axis=1,
    )
    segments: npt.NDArray[np.object_] = shapely.linestrings(ends)
    return segments
