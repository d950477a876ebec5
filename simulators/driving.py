"""A simulated vehicle on its way: where it is at any moment, and the line it follows. Pure."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

from geo.router import LIGHTS, M_PER_DEG, Mode, Rejected, Route, Router, StraightLineRouter, straight_line_m


class Spot(NamedTuple):
    """A place on the way. Heading clockwise from north; speed along the line."""

    lon: float
    lat: float
    heading_deg: float
    speed_mps: float


class Roads:
    """A router that always finds a way: a straight line stands in where no road leads, as a crew would find a path."""

    def __init__(self, router: Router, fallback: StraightLineRouter | None = None) -> None:
        self.router = router
        self._fallback = fallback or StraightLineRouter()

    def route(self, start: tuple[float, float], end: tuple[float, float], mode: Mode) -> Route:
        try:
            return self.router.route(*start, *end, mode)
        except Rejected:
            try:
                return self._fallback.route(*start, *end, mode)
            except Rejected:  # a vehicle class the straight line does not know
                return self._fallback.route(*start, *end, LIGHTS)


class Drive:
    """Following `line` from `start_s` for `duration_s` at an even pace.

    A route's line is shorter than the road by the detour factor when it is a straight line; the pace then is the
    line's, so that the vehicle arrives when the road time says so.
    """

    __slots__ = ("_along_m", "_line", "duration_s", "length_m", "start_s")

    def __init__(self, line: Sequence[tuple[float, float]], start_s: float, duration_s: float) -> None:
        self._line = list(line)
        lengths = (straight_line_m(*a, *b) for a, b in itertools.pairwise(self._line))
        self._along_m = list(itertools.accumulate(lengths, initial=0.0))
        self.length_m = self._along_m[-1]
        self.start_s = start_s
        self.duration_s = max(duration_s, 0.001)

    @property
    def end_s(self) -> float:
        return self.start_s + self.duration_s

    def when_left_m(self, left_m: float) -> float:
        """The time at which `left_m` of the line are left; the start when it is shorter than that."""
        if self.length_m <= left_m:
            return self.start_s
        return self.end_s - self.duration_s * left_m / self.length_m

    def at(self, now_s: float) -> Spot:
        done = min(1.0, max(0.0, (now_s - self.start_s) / self.duration_s))
        along_m = done * self.length_m
        i = min(max(1, bisect.bisect_left(self._along_m, along_m)), len(self._line) - 1)
        if i < 1:
            return Spot(*self._line[0], 0.0, 0.0)
        (lon1, lat1), (lon2, lat2) = self._line[i - 1], self._line[i]
        piece_m = self._along_m[i] - self._along_m[i - 1]
        part = (along_m - self._along_m[i - 1]) / piece_m if piece_m > 0.0 else 1.0
        east = (lon2 - lon1) * math.cos(math.radians(lat1))
        heading_deg = math.degrees(math.atan2(east, lat2 - lat1)) % 360.0
        speed_mps = self.length_m / self.duration_s if 0.0 < done < 1.0 else 0.0
        return Spot(lon1 + part * (lon2 - lon1), lat1 + part * (lat2 - lat1), heading_deg, speed_mps)


def near(lon: float, lat: float, east_m: float, north_m: float) -> tuple[float, float]:
    """The point so many metres away."""
    return lon + east_m / (M_PER_DEG * math.cos(math.radians(lat))), lat + north_m / M_PER_DEG
