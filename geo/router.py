"""How long the road takes: the contract every caller uses, and the straight-line router that stands in for a road graph.

Pure, synchronous and deterministic: the same calls in the same order give the same answers, so the dispatch engine, the
simulator and a replay can share one router. Times are seconds, lengths metres, coordinates WGS84 (lon, lat) in degrees.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

# A mode is a way of travelling that has its own seconds per arc. A graph may hold more, e.g. "motorbike".
Mode: TypeAlias = str
LIGHTS: Mode = "lights"  # blue lights and siren
REGULAR: Mode = "regular"  # with the traffic: low priority, transport of a stable patient, the way home

Basis = Literal["road", "straight_line"]
FloatArray: TypeAlias = npt.NDArray[np.float64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]

# Metres per degree of latitude used by every local projection here (the city models' map scale, 111.32 km a degree).
M_PER_DEG = 111_320.0
# Network distance over crow-fly distance, measured on the real part of Surabaya's roads (data pack README: 1.35).
DETOUR_FACTOR = 1.35
# 30 km/h is what the published reach of Surabaya's posts assumes (DOMAIN, section 2); without lights the same vehicle is
# slower in the proportion of the JEMSS city models' off-road speeds, 33/47.
STRAIGHT_LINE_SPEED_KMH: Mapping[Mode, float] = {LIGHTS: 30.0, REGULAR: 21.0, "motorbike": 30.0}


class Rejected(Exception):  # noqa: N818 - a refusal, not a failure; the word callers and screens use
    """A user's mistake (bad coordinates, unknown mode, a broken file), with a stable code and a readable detail."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction of a route: do `manoeuvre`, then follow `name` for `length_m`."""

    manoeuvre: str  # "depart", "continue", "slight_left", "left", "sharp_left", ... , "u_turn", "arrive"
    name: str  # street name, "" when unknown
    length_m: float
    eta_s: float
    text_id: str
    text_en: str


@dataclass(frozen=True, slots=True)
class Route:
    """A way to go. `basis` says whether it follows roads; `offroad_m` is the part beyond the network at both ends."""

    eta_s: float
    length_m: float
    coordinates: list[tuple[float, float]]  # (lon, lat) from origin to destination
    names: list[str]  # street names in order, without repeats
    steps: list[Step]
    basis: Basis = "road"
    offroad_m: float = 0.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """A travel time that always exists, and how much to trust it: by road, or a straight line because no road leads there."""

    eta_s: float
    basis: Basis
    offroad_m: float = 0.0


class Fleet(Protocol):
    """The positions of one region's units, kept where nearest-by-road can be answered at once."""

    def place(self, unit_id: str, lon: float, lat: float) -> object:
        """Put or move a unit; may return how it was joined. Raises Rejected on impossible coordinates; the unit then
        keeps its old position."""

    def remove(self, unit_id: str) -> None:
        """Forget a unit's position. Unknown units are ignored: a unit may go off duty before its first fix."""

    def nearest(
        self, lon: float, lat: float, k: int | None = 8, mode: Mode = LIGHTS, among: Collection[str] | None = None
    ) -> list[tuple[str, float]]:
        """The k units that reach (lon, lat) first as (unit_id, eta_s), ascending by (eta_s, unit_id), exact.

        `among` limits the search to these ids (capability, class, availability); pass the same frozenset again and it is
        cheap. k=None gives every unit that can get there. Units that cannot reach the point by road are left out.
        """

    def seconds_to(self, lon: float, lat: float, mode: Mode, unit_ids: Sequence[str]) -> FloatArray:
        """Seconds from each of these units to a point, same order; inf for one that is not placed or has no way there."""


class Router(Protocol):
    """Anything that knows travel times in one region."""

    @property
    def name(self) -> str:
        """Short stable name of the method, e.g. "straight-line", "road-graph"."""

    @property
    def approximate(self) -> bool:
        """True when screens must say that times and lines are not from a real road network."""

    def fleet(self) -> Fleet: ...

    def eta_s(self, lon1: float, lat1: float, lon2: float, lat2: float, mode: Mode = LIGHTS) -> float | None:
        """Seconds from 1 to 2, None when no road leads there."""

    def estimate(self, lon1: float, lat1: float, lon2: float, lat2: float, mode: Mode = LIGHTS) -> Estimate:
        """As eta_s, but falls back to an honest straight line instead of None."""

    def matrix_s(
        self, origins: Sequence[tuple[float, float]], destinations: Sequence[tuple[float, float]], mode: Mode = LIGHTS
    ) -> FloatArray:
        """Seconds from every origin to every destination, shape (origins, destinations), inf = unreachable."""

    def route(self, lon1: float, lat1: float, lon2: float, lat2: float, mode: Mode = LIGHTS) -> Route: ...


def require_lonlat(lon: float, lat: float) -> None:
    """Raise Rejected("bad_coordinates") unless (lon, lat) is a finite WGS84 position."""
    # One chained comparison: NaN fails it, and so do projected metres.
    if not (-180.0 <= lon <= 180.0 and -90.0 <= lat <= 90.0):
        raise Rejected("bad_coordinates", f"({lon}, {lat}) is not a WGS84 longitude, latitude in degrees")


def straight_line_m(lon1: float, lat1: float, lon2: float, lat2: float) -> float:
    """Crow-fly metres by the local flat projection; within 0.1 % of the sphere over a city."""
    x = (lon2 - lon1) * math.cos(math.radians((lat1 + lat2) / 2.0))
    return math.hypot(x, lat2 - lat1) * M_PER_DEG


class StraightLineRouter:
    """Crow-fly distance x a detour factor / a speed: the declared fallback when no road network is loaded.

    It cannot see rivers, railways or one-way streets, so it is marked approximate.
    """

    name = "straight-line"
    approximate = True

    def __init__(
        self, speed_kmh: Mapping[Mode, float] = STRAIGHT_LINE_SPEED_KMH, detour_factor: float = DETOUR_FACTOR
    ) -> None:
        if detour_factor < 1.0 or any(not v > 0.0 for v in speed_kmh.values()):
            raise Rejected(
                "bad_speed", f"detour factor {detour_factor} must be >= 1 and every speed above 0: {dict(speed_kmh)}"
            )
        self.detour_factor = detour_factor
        self._s_per_m = {mode: 3.6 * detour_factor / kmh for mode, kmh in speed_kmh.items()}

    def s_per_m(self, mode: Mode) -> float:
        """Seconds a crow-fly metre takes; raises Rejected("unknown_mode")."""
        try:
            return self._s_per_m[mode]
        except KeyError:
            raise Rejected("unknown_mode", f"mode {mode!r} is not one of {sorted(self._s_per_m)}") from None

    def fleet(self) -> StraightLineFleet:
        return StraightLineFleet(self)

    def eta_s(self, lon1: float, lat1: float, lon2: float, lat2: float, mode: Mode = LIGHTS) -> float:
        require_lonlat(lon1, lat1)
        require_lonlat(lon2, lat2)
        return straight_line_m(lon1, lat1, lon2, lat2) * self.s_per_m(mode)

    def estimate(self, lon1: float, lat1: float, lon2: float, lat2: float, mode: Mode = LIGHTS) -> Estimate:
        return Estimate(self.eta_s(lon1, lat1, lon2, lat2, mode), "straight_line")

    def matrix_s(
        self, origins: Sequence[tuple[float, float]], destinations: Sequence[tuple[float, float]], mode: Mode = LIGHTS
    ) -> FloatArray:
        a = np.asarray(origins, np.float64).reshape(-1, 2)
        b = np.asarray(destinations, np.float64).reshape(-1, 2)
        for lon, lat in (*a.tolist(), *b.tolist()):
            require_lonlat(lon, lat)
        d = a[:, None, :] - b[None, :, :]
        x = d[..., 0] * np.cos(np.radians((a[:, None, 1] + b[None, :, 1]) / 2.0))
        metres: FloatArray = np.hypot(x, d[..., 1]) * M_PER_DEG
        return metres * self.s_per_m(mode)

    def route(self, lon1: float, lat1: float, lon2: float, lat2: float, mode: Mode = LIGHTS) -> Route:
        eta_s = self.eta_s(lon1, lat1, lon2, lat2, mode)
        length_m = straight_line_m(lon1, lat1, lon2, lat2) * self.detour_factor
        steps = [
            Step(
                "depart",
                "",
                length_m,
                eta_s,
                "Menuju lokasi (garis lurus, bukan jalan)",
                "Head to the scene (straight line, not a road)",
            ),
            Step("arrive", "", 0.0, 0.0, "Tiba di lokasi", "Arrive at the scene"),
        ]
        return Route(eta_s, length_m, [(lon1, lat1), (lon2, lat2)], [], steps, "straight_line", length_m)


class StraightLineFleet:
    """Fleet over plain coordinates: one vectorised distance to every unit."""

    def __init__(self, router: StraightLineRouter) -> None:
        self._router = router
        self._slots = SlotTable()
        self._lon = np.zeros(8)
        self._lat = np.zeros(8)

    def place(self, unit_id: str, lon: float, lat: float) -> None:
        require_lonlat(lon, lat)
        slot = self._slots.occupy(unit_id)
        if slot >= len(self._lon):
            self._lon = np.concatenate([self._lon, np.zeros_like(self._lon)])
            self._lat = np.concatenate([self._lat, np.zeros_like(self._lat)])
        self._lon[slot] = lon
        self._lat[slot] = lat

    def remove(self, unit_id: str) -> None:
        self._slots.vacate(unit_id)

    def nearest(
        self, lon: float, lat: float, k: int | None = 8, mode: Mode = LIGHTS, among: Collection[str] | None = None
    ) -> list[tuple[str, float]]:
        require_lonlat(lon, lat)
        s_per_m = self._router.s_per_m(mode)
        slots = np.flatnonzero(self._slots.mask(among))
        if k == 0 or not len(slots):
            return []
        lats = self._lat[slots]
        x = (self._lon[slots] - lon) * np.cos(np.radians((lats + lat) / 2.0))
        eta_s = np.hypot(x, lats - lat) * (M_PER_DEG * s_per_m)
        if k is not None and k < len(slots):
            # Everything as near as the k-th, so that a tie is settled by the id and not by the slot.
            kept = np.flatnonzero(eta_s <= np.partition(eta_s, k - 1)[k - 1])
            slots, eta_s = slots[kept], eta_s[kept]
        ids = self._slots.ids
        found = [(ids[s], t) for s, t in zip(slots.tolist(), eta_s.tolist(), strict=True)]
        found.sort(key=lambda unit: (unit[1], unit[0]))
        return found[:k]

    def seconds_to(self, lon: float, lat: float, mode: Mode, unit_ids: Sequence[str]) -> FloatArray:
        require_lonlat(lon, lat)
        slots = self._slots.slots(unit_ids)
        lats = self._lat[slots]
        x = (self._lon[slots] - lon) * np.cos(np.radians((lats + lat) / 2.0))
        seconds: FloatArray = np.hypot(x, lats - lat) * (M_PER_DEG * self._router.s_per_m(mode))
        return np.where(slots >= 0, seconds, np.inf)


class SlotTable:
    """Unit ids as small stable integers, so that a set of units becomes a boolean mask that can be kept and reused."""

    CACHED_MASKS_MAX = 256  # one per combination of capability and state in use; more means callers build sets anew

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.occupied: BoolArray = np.zeros(8, np.bool_)
        self._slot_of: dict[str, int] = {}
        self._masks: dict[frozenset[str], BoolArray] = {}

    def occupy(self, unit_id: str) -> int:
        """The slot of a unit, given out at its first call and kept for good."""
        slot = self._slot_of.get(unit_id)
        if slot is None:
            slot = len(self.ids)
            self.ids.append(unit_id)
            self._slot_of[unit_id] = slot
            self._masks.clear()  # a set prepared earlier may name the newcomer
            if slot >= len(self.occupied):
                self.occupied = np.concatenate([self.occupied, np.zeros_like(self.occupied)])
        self.occupied[slot] = True
        return slot

    def vacate(self, unit_id: str) -> int | None:
        slot = self.find(unit_id)
        if slot is not None:
            self.occupied[slot] = False
        return slot

    def find(self, unit_id: str) -> int | None:
        """The slot of a unit that is placed now, else None."""
        slot = self._slot_of.get(unit_id)
        return slot if slot is not None and self.occupied[slot] else None

    def slots(self, unit_ids: Sequence[str]) -> npt.NDArray[np.int64]:
        """Slot of each unit, -1 for one that is not placed now."""
        find = self._slot_of.get
        found = np.array([find(unit_id, -1) for unit_id in unit_ids], np.int64)
        found[~self.occupied[found]] = -1
        return found

    def members(self, among: Collection[str]) -> BoolArray:
        """Mask over all slots of the ids in `among`, placed or not; cached when `among` is a frozenset."""
        if isinstance(among, frozenset):
            mask = self._masks.get(among)
            if mask is None:
                if len(self._masks) >= self.CACHED_MASKS_MAX:
                    self._masks.clear()
                mask = self._masks[among] = self._build(among)
            return mask
        return self._build(among)

    def mask(self, among: Collection[str] | None) -> BoolArray:
        """Mask over all slots of the units placed now and, if given, in `among`."""
        return self.occupied if among is None else self.occupied & self.members(among)

    def _build(self, among: Collection[str]) -> BoolArray:
        mask: BoolArray = np.zeros(len(self.occupied), np.bool_)
        find = self._slot_of.get
        mask[[slot for unit_id in among if (slot := find(unit_id)) is not None]] = True
        return mask
