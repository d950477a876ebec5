"""How much of the city's demand could be answered in time from where the units stand: the common ground of all move-up.

A place covers a demand point by `c` in 0..1: 1 when a unit there arrives well before the deadline, 0 when well after, with
a linear ramp of +-`ramp_s` between, because travel times are not exact to the second (soft coverage; the step function
of Church & ReVelle's MCLP, Papers of the Regional Science Association 32, 1974, is the limit ramp_s -> 0).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from dispatch.region import Region
from geo.roads import RoadGraph
from geo.router import M_PER_DEG, REGULAR, FloatArray, Router

Row = npt.NDArray[np.float32]
Reach = Callable[[float, float], FloatArray | Row]
"""Seconds from a place (lon, lat) to every demand point (P,), inf = no road."""

POINTS_MAX = 2_500
"""Demand points kept; the rest of a fine raster carries about 1 % of the calls and would double the work."""
ROWS_KEPT = 4_096
"""Coverage rows remembered by place, about 10 MB; a city's posts, hospitals and recent scenes fit."""
RING = 6
BLOCK_M = 1_000.0
"""Demand points are judged one by one but kept as the mean of their square of this side: a quarter of the work."""


class DemandPoints(msgspec.Struct, frozen=True):
    """Where priority-1 calls come from: columns of equal length, `weight` sums to 1."""

    lon: list[float]
    lat: list[float]
    weight: list[float]

    @classmethod
    def of(cls, lon: FloatArray, lat: FloatArray, weight: FloatArray, points_max: int = POINTS_MAX) -> DemandPoints:
        """The `points_max` heaviest points, weights made to sum to 1."""
        order = np.sort(np.argsort(-weight, kind="stable")[:points_max])
        kept = weight[order]
        return cls(lon[order].tolist(), lat[order].tolist(), (kept / kept.sum()).tolist())

    @classmethod
    def of_region(cls, region: Region) -> DemandPoints:
        """A pack's own forecast: its zones by the priority-1 incidents counted there, else by people.

        A zone is drawn as its centre and a ring of six points at two thirds of the radius of a disc of its area, each
        with a seventh of its weight: a stand-in for a demand map, good to about a kilometre.
        """
        zones = [region.zones[z] for z in sorted(region.zones)]
        people = np.array([float(max(z.population, 1)) for z in zones])
        weight = people / people.sum()
        if region.demand is not None:
            counted = np.zeros(len(zones))
            for code in sorted(region.demand.kinds):
                kind = region.demand.kinds[code]
                if code in region.kinds and region.kinds[code].priority == 1:
                    share = np.array([kind.zones.get(z.code, 0.0) for z in zones])
                    counted += kind.yearly * (share / share.sum() if share.sum() > 0.0 else weight)
            if counted.sum() > 0.0:
                weight = counted / counted.sum()
        lon, lat, share_of = [], [], []
        for zone, w in zip(zones, weight.tolist(), strict=True):
            radius_m = math.sqrt(zone.area_km2 / math.pi) * 1000.0 * 2.0 / 3.0
            for k in range(RING + 1):
                reach_m = radius_m if k else 0.0
                angle = 2.0 * math.pi * k / RING
                lat.append(zone.lat + reach_m * math.sin(angle) / M_PER_DEG)
                lon.append(zone.lon + reach_m * math.cos(angle) / (M_PER_DEG * math.cos(math.radians(zone.lat))))
                share_of.append(w / (RING + 1))
        return cls.of(np.array(lon), np.array(lat), np.array(share_of))


class Coverage:
    """Coverage rows (B,) of places, by vehicle mode; remembered, because units mostly stand where units stood before."""

    def __init__(
        self, region: Region, router: Router, demand: DemandPoints, within_s: float, ramp_s: float = 30.0
    ) -> None:  # fmt: skip
        """`within_s` is what is left of the promise for driving: target minus call handling and turnout."""
        self.region = region
        self.within_s = within_s
        self.ramp_s = ramp_s
        self.post_codes = sorted(region.posts)
        self._router = router
        self._version = 0
        order, self._first = _blocks(demand)
        self._places = [(demand.lon[i], demand.lat[i]) for i in order.tolist()]
        fine = np.array(demand.weight, np.float32)[order]
        self.weight = np.add.reduceat(fine, self._first).astype(np.float32)
        counts = np.diff(np.append(self._first, len(order)))
        self._share = (fine / np.repeat(self.weight, counts)).astype(np.float32)
        self._reach: dict[str, Reach] = {}
        self._rows: dict[tuple[str, float, float], Row] = {}
        self._post_at = [(region.posts[p].lon, region.posts[p].lat) for p in self.post_codes]
        self._way: dict[tuple[float, float], FloatArray] = {}
        self._post_reach: Reach | None = None
        self._post_rows: dict[str, Row] = {}

    def row(self, lon: float, lat: float, mode: str) -> Row:
        """Soft coverage (B,) from a place, by square."""
        self.forget_old_roads()
        key = (mode, lon, lat)
        row = self._rows.get(key)
        if row is None:
            if len(self._rows) >= ROWS_KEPT:
                self._rows.clear()
            row = self._rows[key] = self.fresh_row(lon, lat, mode)
        return row

    def forget_old_roads(self) -> int:
        """A closure or another hour makes every remembered time old. Returns the version of the road weights in force."""
        version = self._router.live.version if isinstance(self._router, RoadGraph) else 0
        if version != self._version:
            self._version = version
            self._rows.clear()
            self._way.clear()
            self._post_rows.clear()
        return version

    def fresh_row(self, lon: float, lat: float, mode: str) -> Row:
        """As `row`, not remembered."""
        return self._soft(self._reach_of(mode)(lon, lat))

    def posts(self, mode: str) -> Row:
        """Soft coverage from every post, shape (posts, B), in the order of `post_codes`."""
        self.forget_old_roads()
        rows = self._post_rows.get(mode)
        if rows is None:
            rows = self._post_rows[mode] = np.stack([self.row(lon, lat, mode) for lon, lat in self._post_at])
        return rows

    def way_to_posts_s(self, lon: float, lat: float) -> FloatArray:
        """Seconds to drive to every post with the traffic, shape (posts,)."""
        self.forget_old_roads()
        way = self._way.get((lon, lat))
        if way is None:
            if len(self._way) >= ROWS_KEPT:
                self._way.clear()
            way = self._way[lon, lat] = np.asarray(self._to_posts()(lon, lat), np.float64)
        return way

    def _soft(self, seconds: FloatArray | Row) -> Row:
        width = max(2.0 * self.ramp_s, 1e-6)
        share = np.float32((self.within_s + self.ramp_s) / width) - seconds.astype(np.float32) * np.float32(1.0 / width)
        np.clip(share, 0.0, 1.0, out=share)
        share *= self._share
        blocks: Row = np.add.reduceat(share, self._first)
        return blocks

    def _to_posts(self) -> Reach:
        if self._post_reach is None:
            self._post_reach = bind(self._router, self._post_at, REGULAR)
        return self._post_reach

    def _reach_of(self, mode: str) -> Reach:
        reach = self._reach.get(mode)
        if reach is None:
            reach = self._reach[mode] = bind(self._router, self._places, mode)
        return reach


def _blocks(demand: DemandPoints) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Order of the points by square (P,), and where each square begins in it (B,)."""
    lon, lat = np.array(demand.lon), np.array(demand.lat)
    x = np.floor(lon * (M_PER_DEG * math.cos(math.radians(float(lat.mean())))) / BLOCK_M).astype(np.int64)
    y = np.floor(lat * M_PER_DEG / BLOCK_M).astype(np.int64)
    order = np.lexsort((x, y))
    new = np.ones(len(order), np.bool_)
    new[1:] = (np.diff(x[order]) != 0) | (np.diff(y[order]) != 0)
    return order, np.flatnonzero(new)


def bind(router: Router, places: Sequence[tuple[float, float]], mode: str) -> Reach:
    """A function for times from anywhere to these places: prepared by the router where it can, else a matrix a question."""
    prepare = getattr(router, "bind_places", None)
    if prepare is None:
        return lambda lon, lat: router.matrix_s([(lon, lat)], places, mode)[0]
    bound: Reach = prepare(places, mode)
    return bound
