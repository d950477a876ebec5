"""People who see something happen: what, where and when by the region's statistics, and those who report it by web.

The draw is pure (seeded generator, time as an argument); `Citizens` is the thin shell that posts.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from random import Random

import msgspec

from dispatch.region import Demand, KindDemand, Region, Zone
from simulators.driving import near
from simulators.http import Refused, Wire
from simulators.words import AGAIN, LANDMARKS, OTHER, SENTENCES

PHONE_PREFIX = "+62000"
"""No Indonesian number goes on with 0 after the country code, so these can never ring anywhere."""
SPREAD = 0.35
"""Standard deviation of places around a zone's centre, in widths of a square of the zone's area. Assumption: denser
towards the middle, a few just across the border."""
AGAIN_SHARE = 0.15
"""Share of events that a second person reports. Assumption: no city publishes it."""


class Sighting(msgspec.Struct, frozen=True):
    """One event as one person reports it."""

    kind: str
    lon: float
    lat: float
    accuracy_m: float
    text: str
    phone: str
    happened: str
    """Names the event; two sightings of one event share it."""


class Witness:
    """Draws events from the region's demand: kind by yearly count and month, place by zone, more by day than by night."""

    def __init__(
        self, region: Region, rng: Random, snap: Callable[[float, float], tuple[float, float]] | None = None
    ) -> None:
        self.region = region
        self.rng = rng
        self._snap = snap
        self._demand = region.demand or Demand(0, "", dict.fromkeys(region.kinds, KindDemand(yearly=1.0)))
        self._zones = list(region.zones.values()) or [_whole(region)]
        self._zone_weights = {kind: self._weights(kind) for kind in self._demand.kinds}
        self._count = 0

    def rate(self, at: datetime) -> float:
        """How busy this hour of this month is beside the average hour of the year."""
        local = self._local(at)
        kinds = self._demand.kinds
        return sum(self._kind_weight(kind, local) for kind in kinds) / sum(k.yearly for k in kinds.values())

    def next_gap_s(self, at: datetime, every_s: float) -> float:
        """Seconds until the next event when events come every `every_s` on average."""
        return self.rng.expovariate(self.rate(at) / every_s)

    def see(self, at: datetime) -> Sighting:
        """A new event."""
        local = self._local(at)
        kinds = list(self._demand.kinds)
        weights = [self._kind_weight(k, local) for k in kinds]
        kind = self.rng.choices(kinds, weights)[0]
        zone = self.rng.choices(self._zones, self._zone_weights[kind])[0]
        lon, lat = self._place(zone)
        self._count += 1
        text = self.rng.choice(SENTENCES.get(kind, OTHER)).format(at=self.rng.choice(LANDMARKS))
        return self._sighting(kind, lon, lat, text, f"e{self._count}")

    def see_again(self, first: Sighting) -> Sighting:
        """The same event through other eyes: some metres away, in other words."""
        lon, lat = near(first.lon, first.lat, self.rng.gauss(0.0, 35.0), self.rng.gauss(0.0, 35.0))
        if not self.region.contains(lon, lat):
            lon, lat = first.lon, first.lat
        text = self.rng.choice(AGAIN).format(text=first.text[0].lower() + first.text[1:])
        return self._sighting(first.kind, lon, lat, text, first.happened)

    def _sighting(self, kind: str, lon: float, lat: float, text: str, happened: str) -> Sighting:
        return Sighting(
            kind=kind,
            lon=round(lon, 6),
            lat=round(lat, 6),
            accuracy_m=round(min(400.0, 5.0 + self.rng.expovariate(1 / 25.0)), 1),
            text=text,
            phone=f"{PHONE_PREFIX}{self.rng.randrange(10**8):08d}",
            happened=happened,
        )

    def _local(self, at: datetime) -> datetime:
        return at + timedelta(hours=self.region.utc_offset_h)

    def _kind_weight(self, kind: str, local: datetime) -> float:
        figures = self._demand.kinds[kind]
        weight = figures.yearly
        if figures.months:
            weight *= figures.months[local.month - 1] * len(figures.months) / sum(figures.months)
        hours = figures.hours or self._demand.hours
        if hours:
            weight *= hours[local.hour] * len(hours) / sum(hours)
        return weight

    def _weights(self, kind: str) -> list[float]:
        """By the kind's own zones where known, else by population within each wing's share."""
        own: Mapping[str, float] = self._demand.kinds[kind].zones
        if own:
            return [own.get(z.code, 0.0) for z in self._zones]
        people: dict[str, int] = {}
        for zone in self._zones:
            people[zone.wing] = people.get(zone.wing, 0) + zone.population
        share = self._demand.wing_share
        return [
            (share.get(z.wing, 0.0) if share else 1.0) * (z.population or 1) / (people[z.wing] or 1)
            for z in self._zones
        ]

    def _place(self, zone: Zone) -> tuple[float, float]:
        sigma_m = SPREAD * math.sqrt(zone.area_km2) * 1000.0
        for _ in range(20):
            lon, lat = near(zone.lon, zone.lat, self.rng.gauss(0.0, sigma_m), self.rng.gauss(0.0, sigma_m))
            if self._snap is not None:
                lon, lat = near(*self._snap(lon, lat), self.rng.gauss(0.0, 15.0), self.rng.gauss(0.0, 15.0))
            if self.region.contains(lon, lat):
                return lon, lat
        return zone.lon, zone.lat


def _whole(region: Region) -> Zone:
    west, south, east, north = region.bbox
    return Zone("", region.name, (west + east) / 2, (south + north) / 2, 1, 1.0)


class Citizens:
    """Reports over the public form. Asks for patience when told to, never gives up: the key makes repeating safe."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire

    async def report(self, seen: Sighting) -> None:
        body = {
            "kind": seen.kind,
            "place": {"lon": seen.lon, "lat": seen.lat, "accuracy_m": seen.accuracy_m},
            "description": seen.text,
            "phone": seen.phone,
        }
        with contextlib.suppress(Refused):  # counted by the wire; a citizen cannot do more
            await self.wire.post("/api/v1/reports", body)
            self.wire.counts["web reports"] += 1
