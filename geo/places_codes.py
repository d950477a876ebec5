"""Positions given as figures: decimal degrees, degrees-minutes-seconds, map links, UTM, plus codes.

Every reader returns None for text that is not of its kind, so that a street number is never taken for a coordinate.
Indonesian hemisphere letters are understood: LU/LS (north/south latitude), BT/BB (east/west longitude).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from openlocationcode import openlocationcode as olc

# A pair must carry this many decimals to be a position: `Manyar 7, 112` is an address.
DECIMALS_MIN = 2
# WGS84 ellipsoid and UTM scale: NGA.STND.0037 (2014), UTM and UPS.
SEMI_MAJOR_M, FLATTENING, UTM_SCALE, UTM_EAST_M, UTM_SOUTH_M = (
    6_378_137.0,
    1 / 298.257223563,
    0.9996,
    500_000.0,
    10_000_000.0,
)


@dataclass(frozen=True, slots=True)
class Position:
    """A position read from text; `notation` says how it was written, radius_m what its last digit leaves open."""

    lon: float
    lat: float
    notation: str
    radius_m: float


_NUMBER = r"([+-]?\d{1,3}(?:[.,]\d+)?)"
_LINKS = (
    re.compile(r"!3d(-?\d+\.\d+)!4d(-?\d+\.\d+)"),  # the pin of a map link is better than its view
    re.compile(r"[?&](?:q|query|ll|destination|center|loc)=(?:loc:)?(-?\d+\.\d+)(?:,|%2C)(-?\d+\.\d+)", re.IGNORECASE),
    re.compile(r"@(-?\d+\.\d+),(-?\d+\.\d+)"),
    re.compile(r"^geo:(-?\d+(?:\.\d+)?),(-?\d+(?:\.\d+)?)", re.IGNORECASE),
    re.compile(r"#map=\d+/(-?\d+\.\d+)/(-?\d+\.\d+)"),
)
_PAIR = re.compile(rf"^\(?\s*([NSEW]|L[US]|B[TB])?\s*{_NUMBER}\s*°?\s*(N|S|E|W|L[US]|B[TB])?\s*[,;/\s]\s*"
                   rf"([NSEW]|L[US]|B[TB])?\s*{_NUMBER}\s*°?\s*(N|S|E|W|L[US]|B[TB])?\s*\)?$", re.IGNORECASE)  # fmt: skip
_SIDE = r"(N|S|E|W|L[US]|B[TB])"
_ANGLE = (
    r"([+-]?\d{1,3})\s*(?:°|d|:|º|derajat|\s)\s*(\d{1,2}(?:[.,]\d+)?)\s*(?:['′’:m]|menit|\s)?\s*"
    r"(?:(\d{1,2}(?:[.,]\d+)?)\s*(?:\"|″|''|”|s(?![a-z])|detik)?)?"
)
_DMS_BEFORE = re.compile(rf"^{_SIDE}\s*{_ANGLE}\s*[,;/]?\s*{_SIDE}\s*{_ANGLE}$", re.IGNORECASE)
_DMS_AFTER = re.compile(rf"^{_ANGLE}\s*{_SIDE}\s*[,;/]?\s*{_ANGLE}\s*{_SIDE}$", re.IGNORECASE)
_LABEL = re.compile(
    r"\b(?:lat(?:itude)?|lon(?:gitude)?|lng|lintang|bujur|koordinat|coordinates?|gps)\b\s*[:=]?\s*", re.IGNORECASE
)
_UTM = re.compile(r"^(?:utm\s*)?(\d{1,2})\s*([A-Z])\s+(\d{6}(?:\.\d+)?)\s*(?:m?\s*E|mT)?\s*[,\s]\s*(\d{6,8}(?:\.\d+)?)\s*(?:m?\s*N|mU)?$", re.IGNORECASE)  # fmt: skip
_PLUS = re.compile(r"\b([23456789CFGHJMPQRVWX]{4,8}\+[23456789CFGHJMPQRVWX]{2,4})(?=$|[\s,])", re.IGNORECASE)
_SOUTH_OR_WEST = frozenset({"S", "LS", "W", "BB"})
_LATITUDE = frozenset({"N", "S", "LU", "LS"})


def read_position(text: str, near: tuple[float, float] | None = None) -> Position | None:
    """The position a text states, or None. near (lon, lat) completes short plus codes and tells swapped pairs apart.

    Out-of-range figures give None: they are not a position on earth, so the text may still be a name.
    """
    text = _LABEL.sub("", text).strip(" \t.;")
    for read in (_link, _pair, _dms, _utm):
        found = read(text, near)
        if found is not None:
            return found if abs(found.lat) <= 90.0 and abs(found.lon) <= 180.0 else None
    return _plus_code(text, near)


def _link(text: str, near: tuple[float, float] | None) -> Position | None:
    for pattern in _LINKS:
        m = pattern.search(text)
        if m:
            return Position(float(m[2]), float(m[1]), "link", _radius_m(m[1], m[2]))
    return None


def _pair(text: str, near: tuple[float, float] | None) -> Position | None:
    """`-7.2575, 112.7521`, either order, decimal comma, hemisphere letters before or after."""
    m = _PAIR.match(text)
    if m is None:
        return None
    first_side, second_side = (m[1] or m[3] or "").upper(), (m[4] or m[6] or "").upper()
    a, b = _figure(m[2]), _figure(m[5])
    decimals = min(len(p.replace(",", ".").partition(".")[2]) for p in (m[2], m[5]))
    if decimals < DECIMALS_MIN and not (first_side and second_side):
        return None
    a, b = _signed(a, first_side), _signed(b, second_side)
    radius_m = _radius_m(m[2], m[5])
    if first_side or second_side:
        lat_first = first_side in _LATITUDE if first_side else second_side not in _LATITUDE
    elif abs(a) > 90.0 or abs(b) > 90.0:
        lat_first = abs(b) > 90.0
    elif near is not None:
        lat_first = math.hypot(a - near[1], b - near[0]) <= math.hypot(b - near[1], a - near[0])
    else:
        lat_first = True  # the order people and map links write
    return Position(b, a, "decimal", radius_m) if lat_first else Position(a, b, "decimal", radius_m)


def _dms(text: str, near: tuple[float, float] | None) -> Position | None:
    """`7°15'30" LS 112°45'10" BT`, `S 7 15.5 E 112 45.2`; hemisphere letters are required, or it could be anything."""
    m = _DMS_BEFORE.match(text)
    if m is not None:
        parts = ((m[1], m[2], m[3], m[4]), (m[5], m[6], m[7], m[8]))
    else:
        m = _DMS_AFTER.match(text)
        if m is None:
            return None
        parts = ((m[4], m[1], m[2], m[3]), (m[8], m[5], m[6], m[7]))
    values: dict[bool, float] = {}
    for side, degrees, minutes_text, seconds_text in parts:
        minutes, seconds = _figure(minutes_text), _figure(seconds_text) if seconds_text else 0.0
        if minutes >= 60.0 or seconds >= 60.0:
            return None
        angle = abs(float(degrees)) + minutes / 60.0 + seconds / 3600.0
        values[side.upper() in _LATITUDE] = _signed(angle, side.upper())
    if len(values) != 2:
        return None
    return Position(values[False], values[True], "dms", 30.0 if all(p[3] for p in parts) else 200.0)


def _utm(text: str, near: tuple[float, float] | None) -> Position | None:
    """`49S 692000 9196000` (band letter) or `49 M ...`; a lone S after the zone means band or south: both are south here
    when the northing says so."""
    m = _UTM.match(text)
    if m is None or not 1 <= int(m[1]) <= 60:
        return None
    zone, letter, east, north = int(m[1]), m[2].upper(), float(m[3]), float(m[4])
    south = letter < "N" or (letter == "S" and (near is None or near[1] < 0.0))
    lon, lat = utm_to_degrees(zone, south, east, north)
    return Position(lon, lat, "utm", 5.0)


def utm_to_degrees(zone: int, south: bool, east_m: float, north_m: float) -> tuple[float, float]:
    """lon, lat of a UTM position: Karney 2011, Transverse Mercator with an accuracy of a few nanometers, eqs 7-19 to n^3."""
    n = FLATTENING / (2.0 - FLATTENING)
    radius = SEMI_MAJOR_M / (1.0 + n) * (1.0 + n * n / 4.0 + n**4 / 64.0)
    beta = (
        n / 2.0 - 2.0 / 3.0 * n**2 + 37.0 / 96.0 * n**3,
        n**2 / 48.0 + n**3 / 15.0,
        17.0 / 480.0 * n**3,
    )
    delta = (2.0 * n - 2.0 / 3.0 * n**2 - 2.0 * n**3, 7.0 / 3.0 * n**2 - 8.0 / 5.0 * n**3, 56.0 / 15.0 * n**3)
    xi = (north_m - (UTM_SOUTH_M if south else 0.0)) / (UTM_SCALE * radius)
    eta = (east_m - UTM_EAST_M) / (UTM_SCALE * radius)
    xi1 = xi - sum(b * math.sin(2 * j * xi) * math.cosh(2 * j * eta) for j, b in enumerate(beta, 1))
    eta1 = eta - sum(b * math.cos(2 * j * xi) * math.sinh(2 * j * eta) for j, b in enumerate(beta, 1))
    chi = math.asin(max(-1.0, min(1.0, math.sin(xi1) / math.cosh(eta1))))
    lat = chi + sum(d * math.sin(2 * j * chi) for j, d in enumerate(delta, 1))
    lon = math.radians(zone * 6 - 183) + math.atan2(math.sinh(eta1), math.cos(xi1))
    return math.degrees(lon), math.degrees(lat)


def _plus_code(text: str, near: tuple[float, float] | None) -> Position | None:
    m = _PLUS.search(text)
    if m is None:
        return None
    code = m[1].upper()
    if olc.isShort(code):
        if near is None:
            return None
        code = olc.recoverNearest(code, near[1], near[0])
    if not olc.isFull(code):
        return None
    area = olc.decode(code)
    height_m = (area.latitudeHi - area.latitudeLo) * 111_320.0
    return Position(area.longitudeCenter, area.latitudeCenter, "plus_code", round(max(height_m / 2.0, 1.0), 1))


def _figure(text: str) -> float:
    return float(text.replace(",", "."))


def _signed(value: float, side: str) -> float:
    return -abs(value) if side in _SOUTH_OR_WEST else value


def _radius_m(*figures: str) -> float:
    """Half of what the last written digit stands for, in metres of latitude; at least the 5 m a phone's fix has."""
    decimals = min(len(f.replace(",", ".").partition(".")[2]) for f in figures)
    return max(111_320.0 / float(10**decimals) / 2.0, 5.0)
