"""What callers say -> places, best first with a confidence and a reason; and back: a position -> words to say.

    found = gazetteer.search("depan Royal Plaza")[0]     # Match(name="Royal Plaza", kind="mall", ..., confidence=0.97)
    gazetteer.reverse(112.7393, -7.2914)                  # "Jl. Raya Darmo, dekat Taman Bungkul, Kel. Darmo"

Confidence is how well the words fit and how alone the answer stands, 0..1: a person still confirms the place. Pure: the same
text gives the same answer; no clock, no chance, no I/O after loading.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from geo.places import (
    STREET_KINDS,
    ZONE_KINDS,
    Place,
    load_places,
    merge,
    pack_places,
    street_places,
    with_zones,
)
from geo.places_codes import Position, read_position
from geo.places_index import NameIndex
from geo.places_query import QUERY_MAX, Query, parse
from geo.places_streets import CROSS_MAX_M, MEET_M, Streets
from geo.places_tables import FloatArray, Kecamatan
from geo.places_text import tokens, weight
from geo.roads import RoadGraph
from geo.router import M_PER_DEG, require_lonlat, straight_line_m
from geo.zones import Zones

LIMIT_MAX = 50
CONFIDENCE_MAX = 0.99  # words alone make nothing certain
NEAR_SCALE_M = 2_500.0  # a screen of map: what the operator looks at counts more
NEAR_LEAN = 0.08  # at most as much as one wrong letter
SAME_SPOT_M = 500.0  # answers nearer than this are one answer said twice
BESIDE_M = 400.0  # "Jl X depan Y" fits when Y lies this near X
REGION_MARGIN_M = 10_000.0  # a position further than this outside the region is said to be outside
VILLAGE_RADIUS_M, RW_RADIUS_M = (
    900.0,
    500.0,
)  # Surabaya's 153 villages average 2.2 km2; its RW 0.24 km2 (typed point only)
# What nobody would say to tell where something is: the services' own small posts, and level crossings.
UNKNOWN_TO_PASSERS_BY = STREET_KINDS | ZONE_KINDS | {"pos_pantau", "pos_kota", "agency", "utility", "crossing"}
# What is said of equal fits: a caller who means a street or a village says so more often than one who means a landmark, and a
# name of its own is meant before another's by-name ("Tugu Pahlawan" is the monument, not the street beside it).
BEHIND_LANDMARK, BY_NAME = 0.012, 0.006
HERE_KINDS = frozenset({"crossing", "junction"})
REVERSE_STREET_M, REVERSE_PLACE_M = 250.0, 450.0


@dataclass(frozen=True, slots=True)
class Match:
    """One answer. `why` says in Indonesian how it was found, `why_en` in English; radius_m how wide the answer is."""

    name: str
    kind: str
    lon: float
    lat: float
    confidence: float
    why: str
    why_en: str = ""
    kelurahan: str = ""
    kecamatan: str = ""
    radius_m: float = 100.0


@dataclass(frozen=True, slots=True)
class _Found:
    """A place, how well it fits (0..1), the order it comes in, and by which of its names."""

    place: int
    fit: float
    rank: float
    said: str


class Gazetteer:
    """An index of places. Immutable; build a new one when places change (100,000 names take about two seconds)."""

    def __init__(self, places: Sequence[Place], streets: Streets | None = None, zones: Zones | None = None) -> None:
        self.places = tuple(places)
        self.streets = streets
        self.zones = zones
        lonlat = np.array([[p.lon, p.lat] for p in places], np.float64).reshape(-1, 2)
        self.middle: tuple[float, float] = (
            (float(np.median(lonlat[:, 0])), float(np.median(lonlat[:, 1]))) if len(lonlat) else (0.0, 0.0)
        )
        self._scale = np.array([M_PER_DEG * math.cos(math.radians(self.middle[1])), M_PER_DEG])
        self._xy = lonlat * self._scale
        self._low: FloatArray = self._xy.min(axis=0) if len(places) else np.zeros(2)
        self._high: FloatArray = self._xy.max(axis=0) if len(places) else np.zeros(2)
        names: list[tuple[str, ...]] = []
        self._key_place: list[int] = []
        self._key_text: list[str] = []
        for i, place in enumerate(places):
            for text in (place.name, *place.aliases):
                said = tokens(text)
                if said:
                    names.append(said)
                    self._key_place.append(i)
                    self._key_text.append(text)
        owner = np.array(self._key_place, np.int64)
        importance = np.array([p.importance for p in places], np.float64)
        self._index = NameIndex(names, importance[owner] if len(owner) else np.zeros(0))
        kinds = np.array([p.kind for p in places])
        self._only_streets = np.isin(kinds[owner], list(STREET_KINDS)).astype(float) if len(owner) else np.zeros(0)
        self._only_villages = np.isin(kinds[owner], list(ZONE_KINDS)).astype(float) if len(owner) else np.zeros(0)
        self._street_of = self._link_streets()
        marks = [i for i, p in enumerate(places) if p.kind not in UNKNOWN_TO_PASSERS_BY and p.importance >= 0.4]
        self._marks = np.array(marks, np.int64)
        self._mark_tree = cKDTree(self._xy[marks]) if marks else None

    def _link_streets(self) -> dict[int, int]:
        """Place -> street of the road graph, by name."""
        if self.streets is None:
            return {}
        by_name = {s.name: i for i, s in enumerate(self.streets.streets)}
        return {i: by_name[p.name] for i, p in enumerate(self.places) if p.kind in STREET_KINDS and p.name in by_name}

    # ---- text -> places -------------------------------------------------------------------------------------------

    def search(self, text: str, near: tuple[float, float] | None = None, limit: int = 8) -> list[Match]:
        """Places for a text, best first; empty when nothing fits. near: lon, lat of what the operator looks at.

        Raises Rejected("bad_coordinates") for an impossible `near`.
        """
        if near is not None:
            require_lonlat(*near)
        limit = max(1, min(limit, LIMIT_MAX))
        text = text[:QUERY_MAX]
        position = read_position(text, near or self.middle)
        if position is not None:
            return [self._at_position(position)]
        q = parse(text)
        matches: list[Match] = []
        matches += self._crossings(q)
        if q.km is not None:
            matches += self._kilometres(q, near)
        matches += self._names(q, near)
        if len(q.phrase) >= 2 and max((m.confidence for m in matches), default=0.0) < 0.8:
            matches += self._in_area(q, near)
        if q.rt is not None or q.rw is not None:
            matches = self._neighbourhoods(q, near, matches)
        elif not q.phrase and (q.village or q.district):
            matches += self._villages(q.village or q.district, q, near)
        best = max((m.confidence for m in matches), default=0.0)
        # While the last word is still being typed, a middling answer is better than a guess at two streets.
        if best < (0.6 if q.begun else 0.8) and not q.wants_crossing and len(q.phrase) >= 2:
            matches += self._implied_crossings(q)
        matches.sort(key=lambda m: (-m.confidence - self._nearness(m, near), m.name, m.lon))
        return _distinct(matches)[:limit]

    def _nearness(self, match: Match, near: tuple[float, float] | None) -> float:
        if near is None:
            return 0.0
        return NEAR_LEAN * math.exp(-straight_line_m(match.lon, match.lat, *near) / NEAR_SCALE_M)

    def _lookup(
        self, phrase: tuple[str, ...], begun: bool, near: tuple[float, float] | None = None, limit: int = 16,
        only: FloatArray | None = None,
    ) -> list[_Found]:  # fmt: skip
        """Places by name, each once, best first."""
        best: dict[int, _Found] = {}
        for hit in self._index.search(phrase, begun, 3 * limit, only):
            i = self._key_place[hit.key]
            place = self.places[i]
            rank = hit.score + 0.05 * place.importance
            if near is not None:
                rank += NEAR_LEAN * math.exp(-straight_line_m(place.lon, place.lat, *near) / NEAR_SCALE_M)
            if i not in best or rank > best[i].rank:
                best[i] = _Found(i, hit.score, rank, self._key_text[hit.key])
        return sorted(best.values(), key=lambda f: (-f.rank, f.place))[:limit]

    def _names(self, q: Query, near: tuple[float, float] | None) -> list[Match]:
        """The phrase as a name, with the village, the street beside it, and a house number taken into account."""
        if not q.phrase:
            return []
        found = self._lookup(q.phrase, q.begun, near)
        house = q.house
        if len(q.phrase) > 1 and q.phrase[-1].isdigit() and (not found or found[0].fit < 0.9):
            # "Darmo 54": no such lane, so it is a house number.
            bare = [replace(f, fit=f.fit * 0.95, rank=f.rank * 0.95) for f in self._lookup(q.phrase[:-1], False, near)]
            if bare and (not found or bare[0].rank > found[0].rank):
                found, house = bare, q.phrase[-1]
        beside = self._lookup(q.beside, False, near, 4, self._only_streets) if q.beside else []
        context = self._context(q)
        matches: list[Match] = []
        top = found[0].fit if found else 0.0
        rivals = sum(
            1 for f in found[1:]
            if f.fit > 0.97 * top and self._apart_m(f.place, found[0].place) > SAME_SPOT_M
        )  # fmt: skip
        for f in found:
            place = self.places[f.place]
            confidence = f.fit * (1.0 if not rivals or context else 1.0 / (1.0 + 0.12 * rivals))
            why, why_en = self._said(f, q)
            if (q.street_hint or house is not None) and place.kind not in STREET_KINDS:
                confidence *= 0.93
            if q.wants_crossing and place.kind not in HERE_KINDS:
                confidence *= 0.85
            if q.toll != (place.kind == "toll") and place.kind in STREET_KINDS:
                confidence *= 0.9
            if context:
                fits = place.kelurahan in context or place.kecamatan in context
                confidence *= 1.0 if fits else 0.7
                why += ", wilayah cocok" if fits else ", wilayah lain"
                why_en += ", area fits" if fits else ", other area"
            if beside:
                street, distance_m = min(
                    ((b, self._street_distance_m(b.place, place)) for b in beside), key=lambda s: s[1] - 50.0 * s[0].fit
                )
                name = _short(self.places[street.place].name)
                if distance_m <= BESIDE_M:
                    confidence = min(1.0, confidence * (0.9 + 0.12 * street.fit))
                    why += f", {distance_m:.0f} m dari {name}"
                    why_en += f", {distance_m:.0f} m from {name}"
                else:
                    confidence *= 0.75
            if q.km is not None:
                confidence *= 0.8
            if house is not None:
                why += f", nomor {house} belum dipetakan"
                why_en += f", number {house} is not mapped"
            confidence = min(confidence + 0.02 * place.importance, CONFIDENCE_MAX)
            if place.kind in STREET_KINDS | ZONE_KINDS and not q.street_hint:
                confidence -= BEHIND_LANDMARK
            if f.said != place.name:
                confidence -= BY_NAME
            matches.append(self._match(place, confidence, why, why_en))
        if beside and (not matches or max(m.confidence for m in matches) < 0.8):
            for b in beside:  # the landmark is unknown, the street is not
                place = self.places[b.place]
                matches.append(
                    self._match(
                        place, 0.75 * b.fit, "jalannya saja; patokan tidak dikenal", "the street only; landmark unknown"
                    )
                )
        return matches

    def _said(self, f: _Found, q: Query) -> tuple[str, str]:
        place = self.places[f.place]
        if f.fit > 0.97:
            why, why_en = "nama cocok", "name fits"
        elif q.begun and f.fit > 0.6:
            why, why_en = "awal nama cocok", "beginning of the name"
        else:
            why, why_en = "nama mirip", "similar name"
        if f.said != place.name:
            why, why_en = f"{why} ({f.said})", f"{why_en} ({f.said})"
        if q.relation is not None:
            why, why_en = f"{q.relation[0]} {place.name}, {why}", f"{q.relation[1]} {place.name}, {why_en}"
        return why, why_en

    def _context(self, q: Query) -> set[str]:
        """Names of villages and districts the text mentions beside the place itself."""
        found: set[str] = set()
        for said in (q.village, q.district, *q.parts):
            if said:
                for f in self._lookup(said, False, None, 3, self._only_villages):
                    if f.fit > 0.85:
                        found.add(self.places[f.place].name)
        return found

    def _in_area(self, q: Query, near: tuple[float, float] | None) -> list[Match]:
        """ "ITS Sukolilo": the last words are the village or district the place lies in, said without the word for it."""
        matches: list[Match] = []
        for length in (1, 2):
            head, area = q.phrase[:-length], q.phrase[-length:]
            if head and any(f.fit > 0.97 for f in self._lookup(area, False, None, 2, self._only_villages)):
                said = replace(q, phrase=head, parts=(*q.parts, area), begun=False)
                matches += [m for m in self._names(said, near) if m.why.endswith("wilayah cocok")]
        return matches

    def _villages(self, said: tuple[str, ...], q: Query, near: tuple[float, float] | None) -> list[Match]:
        context = self._context(replace(q, village=(), parts=())) if q.village and q.district else set()
        matches = []
        wanted = "kelurahan" if q.village else "kecamatan" if q.district else None
        for f in self._lookup(said, q.begun, near, 6, self._only_villages):
            place = self.places[f.place]
            if wanted is not None and place.kind != wanted:
                continue
            fits = not context or place.kecamatan in context
            matches.append(
                self._match(place, f.fit * (1.0 if fits else 0.7), *self._said(f, q), radius_m=VILLAGE_RADIUS_M)
            )
        return matches

    def _neighbourhoods(self, q: Query, near: tuple[float, float] | None, others: list[Match]) -> list[Match]:
        """RT/RW of a village: the village's point until the pack has the RW's own."""
        label = "/".join(f"{n} {v}" for n, v in (("RT", q.rt), ("RW", q.rw)) if v is not None)
        found = self._villages(q.village, q, near) if q.village else self._villages(q.phrase, q, near)
        out = [
            replace(
                m, name=f"{label} Kel. {m.name}", kind="rt_rw", confidence=0.85 * m.confidence, radius_m=VILLAGE_RADIUS_M,
                why=f"titik kelurahan {m.name}; {label} belum dipetakan", why_en=f"village point of {m.name}; {label} not mapped",
            )
            for m in found if m.kind == "kelurahan" and m.confidence > 0.6
        ]  # fmt: skip
        if q.village and others:
            # "Jl. Kedurus gang 3 RT 2 RW 5 kel. Kedurus": the street is nearer the truth than the village's point.
            return [*others, *out]
        return [*out, *(replace(m, confidence=0.9 * m.confidence) for m in others)]

    # ---- crossings and kilometres ---------------------------------------------------------------------------------

    def _crossings(self, q: Query) -> list[Match]:
        if q.crossing is not None:
            return self._meet(*q.crossing, likely=1.0)
        if q.wants_crossing:
            return self._implied_crossings(q, likely=1.0)
        return []

    def _implied_crossings(self, q: Query, likely: float = 0.9) -> list[Match]:
        """Two street names in a row: every place to part them is tried."""
        found: list[Match] = []
        for i in range(1, min(len(q.phrase), 6)):
            left, right = q.phrase[:i], q.phrase[i:]
            if all(any(weight(t) >= 0.5 and not t.isdigit() for t in side) for side in (left, right)):
                found += self._meet(left, right, likely)
        found.sort(key=lambda m: -m.confidence)
        return found[:4]

    def _meet(self, left: tuple[str, ...], right: tuple[str, ...], likely: float) -> list[Match]:
        if self.streets is None:
            return []
        tried = (
            10 if likely == 1.0 else 6
        )  # each pair is measured on the map: while two names are only guessed at, fewer
        a_found = [f for f in self._lookup(left, False, None, tried, self._only_streets) if f.fit > 0.6]
        b_found = [f for f in self._lookup(right, False, None, tried, self._only_streets) if f.fit > 0.6]
        out = []
        for a in a_found:
            for b in b_found:
                sa, sb = self._street_of.get(a.place), self._street_of.get(b.place)
                if sa is None or sb is None or sa == sb:
                    continue
                cross = self.streets.crossing(sa, sb)
                if cross is None:
                    continue
                meets = cross.gap_m <= MEET_M
                # Two names said in full outweigh a gap of the map; a crossing of names said in part is doubtful twice.
                confidence = (
                    likely * (a.fit * b.fit) ** 1.5 * (1.0 if meets else 0.95 - 0.15 * cross.gap_m / CROSS_MAX_M)
                )
                name_a, name_b = self.places[a.place].name, self.places[b.place].name
                why = "kedua jalan bertemu" if meets else f"kedua jalan berjarak {cross.gap_m:.0f} m"
                why_en = "the streets meet" if meets else f"the streets come within {cross.gap_m:.0f} m"
                place = Place(f"Simpang {_short(name_a)} – {_short(name_b)}", "crossing", cross.lon, cross.lat, 0.5)
                out.append(self._match(place, confidence, why, why_en, radius_m=max(40.0, cross.gap_m)))
        out.sort(key=lambda m: -m.confidence)
        return out[:4]

    def _kilometres(self, q: Query, near: tuple[float, float] | None) -> list[Match]:
        if self.streets is None or not q.phrase or q.km is None:
            return []
        out = []
        for f in self._lookup(q.phrase, False, near, 6, self._only_streets):
            street, place = self._street_of.get(f.place), self.places[f.place]
            if street is None or f.fit < 0.6 or (q.toll and place.kind != "toll"):
                continue
            at = self.streets.at_km(street, q.km)
            if at is None:
                continue
            label = f"{_short(place.name)} km {q.km:g}"
            where = Place(label, "km", at.lon, at.lat, place.importance)
            why = "diukur dari ujung kota di peta; belum dicocokkan dengan patok km"
            why_en = "measured on the map from the city end, not from km posts"
            confidence, radius_m = 0.85 * f.fit, 500.0
            if at.beyond_m > 0.0:
                why = f"di peta jalan ini hanya {at.length_m / 1000.0:.1f} km; ini ujungnya"
                why_en = f"on the map this street is {at.length_m / 1000.0:.1f} km long; this is its end"
                confidence, radius_m = 0.6 * f.fit, radius_m + at.beyond_m
            out.append(self._match(where, confidence, why, why_en, radius_m=radius_m))
        return out

    # ---- positions ------------------------------------------------------------------------------------------------

    def _at_position(self, p: Position) -> Match:
        words = {
            "decimal": ("koordinat", "coordinates"), "dms": ("koordinat derajat-menit", "degrees and minutes"),
            "link": ("tautan peta", "map link"), "utm": ("koordinat UTM", "UTM"), "plus_code": ("kode plus", "plus code"),
        }  # fmt: skip
        why, why_en = words[p.notation]
        x, y = np.array([p.lon, p.lat]) * self._scale
        outside = bool(
            len(self.places)
            and (x < self._low[0] - REGION_MARGIN_M or x > self._high[0] + REGION_MARGIN_M
                 or y < self._low[1] - REGION_MARGIN_M or y > self._high[1] + REGION_MARGIN_M)
        )  # fmt: skip
        if outside:
            return Match(f"{p.lat:.5f}, {p.lon:.5f}", p.notation, p.lon, p.lat, 0.3, f"{why}; di luar wilayah", f"{why_en}; outside the region", radius_m=p.radius_m)  # fmt: skip
        place = Place(self.reverse(p.lon, p.lat), p.notation, p.lon, p.lat, 0.5)
        return self._match(place, 0.99, why, why_en, radius_m=p.radius_m)

    def reverse(self, lon: float, lat: float) -> str:
        """Words for a position, e.g. "Jl. Raya Darmo, dekat Taman Bungkul, Kel. Darmo"; the figures when nothing is near.

        Raises Rejected("bad_coordinates").
        """
        require_lonlat(lon, lat)
        parts: list[str] = []
        if self.streets is not None:
            on = self.streets.nearest(lon, lat, REVERSE_STREET_M)
            if on is not None:
                parts.append(_short(self.streets.streets[on.street].name))
        mark = self._mark_near(lon, lat)
        if mark is not None:
            parts.append(f"dekat {mark}" if parts else f"Dekat {mark}")
        zone = self.zones.at(lon, lat) if self.zones is not None else None
        if zone is not None:
            parts.append(f"Kel. {zone.zone.name}")
        return ", ".join(parts) if parts else f"{lat:.5f}, {lon:.5f}"

    def _mark_near(self, lon: float, lat: float) -> str | None:
        """The landmark a person would name: near, and known."""
        if self._mark_tree is None:
            return None
        at = np.array([lon, lat]) * self._scale
        close = self._mark_tree.query_ball_point(at, REVERSE_PLACE_M)
        if not close:
            return None
        ids = self._marks[close]
        away = np.hypot(*(self._xy[ids] - at).T)
        pull = np.array([self.places[i].importance for i in ids.tolist()]) * REVERSE_PLACE_M * 0.6
        return self.places[int(ids[np.argmin(away - pull)])].name

    # ---- helpers --------------------------------------------------------------------------------------------------

    def _match(self, place: Place, confidence: float, why: str, why_en: str, radius_m: float | None = None) -> Match:
        village, district = place.kelurahan, place.kecamatan
        if not village and place.kind != "kecamatan" and self.zones is not None:
            hit = self.zones.at(place.lon, place.lat)
            if hit is not None:
                village, district = hit.zone.name, hit.zone.kecamatan
        if radius_m is None:
            radius_m = {"kelurahan": VILLAGE_RADIUS_M, "kecamatan": 1_800.0, "street": 400.0, "toll": 2_000.0}.get(
                place.kind, 80.0
            )
        confidence = round(min(max(confidence, 0.0), CONFIDENCE_MAX), 3)
        return Match(place.name, place.kind, place.lon, place.lat, confidence, why, why_en, village, district, radius_m)

    def _apart_m(self, a: int, b: int) -> float:
        return float(np.hypot(*(self._xy[a] - self._xy[b])))

    def _street_distance_m(self, street_place: int, place: Place) -> float:
        street = self._street_of.get(street_place)
        if street is None or self.streets is None:
            at = self.places[street_place]
            return straight_line_m(at.lon, at.lat, place.lon, place.lat)
        return self.streets.distance_m(street, place.lon, place.lat)


def open_gazetteer(
    pack: Path,
    kecamatan: Sequence[Kecamatan],
    graph: RoadGraph | None = None,
    zones: Zones | None = None,
    imported: Path | None = None,
) -> Gazetteer:
    """A region's gazetteer: the pack's typed tables, the graph's streets, and an imported file where there is one.

    Raises Rejected for a damaged table or file.
    """
    places = pack_places(pack, kecamatan)
    streets = None
    if graph is not None:
        # Kilometres are counted from the most important monument, the pack's first; else from the middle of the network.
        zero = next(((p.lon, p.lat) for p in places if p.kind == "monument"), None)
        streets = Streets(graph, zero)
        places += street_places(streets, {p.name for p in places if p.kind in STREET_KINDS})
    if imported is not None and imported.exists():
        places = merge(places, load_places(imported))
    return Gazetteer(with_zones(places, zones), streets, zones)


def _short(name: str) -> str:
    """`Jalan X` as it is written on signs and forms."""
    return f"Jl. {name[6:]}" if name.startswith("Jalan ") else name


def _distinct(matches: list[Match]) -> list[Match]:
    """Leaves out an answer that repeats a better one: same name and kind within SAME_SPOT_M."""
    out: list[Match] = []
    for m in matches:
        if not any(
            o.name == m.name and o.kind == m.kind and straight_line_m(o.lon, o.lat, m.lon, m.lat) < SAME_SPOT_M
            for o in out
        ):
            out.append(m)
    return out
