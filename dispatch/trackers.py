"""Positions from other people's trackers: Traccar's forward (JSON), OwnTracks (HTTP), and the OsmAnd query form.

Each decoder turns one message into (device id, Fix). A device id is the unit's id; the tracker is set up with it. Sources:
Traccar documentation "Position Forwarding", OwnTracks "JSON" book (`_type: location`), Traccar "OsmAnd" protocol page.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec

from dispatch.avl import Fix
from dispatch.model import Rejected

KNOT_MPS = 0.514444
KMH_MPS = 1.0 / 3.6
MS_FROM = 100_000_000_000
"""OsmAnd sends seconds or milliseconds since 1970; larger than this (year 5138 in seconds) is milliseconds."""


class TraccarDevice(msgspec.Struct, frozen=True, rename="camel"):
    unique_id: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class TraccarPosition(msgspec.Struct, frozen=True, rename="camel"):
    """Speed in knots, course in degrees, accuracy in metres. `valid` False: the receiver had no fix."""

    latitude: float
    longitude: float
    fix_time: datetime
    valid: bool = True
    speed: float = 0.0
    course: float = 0.0
    accuracy: float = 0.0


class TraccarMessage(msgspec.Struct, frozen=True):
    position: TraccarPosition
    device: TraccarDevice


class OwnTracksMessage(msgspec.Struct, frozen=True):
    """Velocity in km/h, `tst` in seconds since 1970, `acc` in metres. `tid` has two characters; the topic's last part, or the
    device named in the header `X-Limit-D`, is better.
    """

    _type: str
    lat: float | None = None
    lon: float | None = None
    tst: int | None = None
    acc: float | None = None
    vel: float | None = None
    cog: float | None = None
    topic: str = ""
    tid: str = ""


def from_traccar(message: TraccarMessage) -> tuple[str, Fix | None]:
    """None instead of a fix when the tracker itself says it has none."""
    p = message.position
    if not p.valid:
        return message.device.unique_id, None
    return message.device.unique_id, _fix(
        p.longitude, p.latitude, p.fix_time, p.accuracy or None, p.speed * KNOT_MPS, p.course
    )


def from_owntracks(message: OwnTracksMessage, named: str = "") -> tuple[str, Fix | None]:
    """Only `location` messages carry a position; transitions and waypoints are acknowledged and ignored. `named`: by header."""
    device = message.topic.rsplit("/", 1)[-1] or named or message.tid
    if message._type != "location":
        return device, None
    if message.lat is None or message.lon is None or message.tst is None:
        raise Rejected("invalid_body", "tst" if message.tst is None else "lat")
    at = datetime.fromtimestamp(message.tst, UTC)
    speed_mps = None if message.vel is None else message.vel * KMH_MPS
    return device, _fix(message.lon, message.lat, at, message.acc, speed_mps, message.cog)


class ClientCoords(msgspec.Struct, frozen=True):
    """Speed in m/s; negative or null speed and heading: the phone does not know them."""

    latitude: float
    longitude: float
    accuracy: float | None = None
    speed: float | None = None
    heading: float | None = None


class ClientLocation(msgspec.Struct, frozen=True):
    timestamp: datetime
    coords: ClientCoords


class ClientMessage(msgspec.Struct, frozen=True):
    """What Traccar Client posts since its version 9 (Traccar "OsmAnd" protocol page, JSON format)."""

    location: ClientLocation
    device_id: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


def from_client(message: ClientMessage) -> tuple[str, Fix]:
    """Times without a zone are UTC, as in the query form."""
    at, c = message.location.timestamp, message.location.coords
    speed, heading = (None if v is None or v < 0 else v for v in (c.speed, c.heading))
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return message.device_id, _fix(c.longitude, c.latitude, at, c.accuracy, speed, heading)


def from_osmand(query: Mapping[str, str]) -> tuple[str, Fix | None]:
    """`id` or `deviceid`, `lat` and `lon` or `location` (lat,lon), `timestamp` (seconds, milliseconds, RFC 3339 or
    "yyyy-MM-dd HH:mm:ss"), `speed` in knots, `bearing` or `heading`, `accuracy`, `valid`; the rest is ignored. None instead
    of a fix when the tracker itself says it has none.
    """
    device = query.get("id") or query.get("deviceid") or ""
    if not device:
        raise Rejected("invalid_query", "id")
    if query.get("valid", "true").lower() in ("false", "0"):
        return device, None
    if "location" in query:
        lat_text, _, lon_text = query["location"].partition(",")
        query = {**query, "lat": lat_text, "lon": lon_text}
    lat, lon = _number(query, "lat"), _number(query, "lon")
    if lat is None or lon is None:
        raise Rejected("invalid_query", "lat" if lat is None else "lon")
    stamp = query.get("timestamp", "")
    try:
        if stamp.replace(".", "", 1).isdigit():
            number = float(stamp)
            at = datetime.fromtimestamp(number / 1000.0 if number > MS_FROM else number, UTC)
        else:
            at = datetime.fromisoformat(stamp)
    except (ValueError, OverflowError, OSError):
        raise Rejected("invalid_query", "timestamp") from None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)  # the protocol's times are UTC
    speed = _number(query, "speed")
    bearing = _number(query, "bearing" if "bearing" in query else "heading")
    return device, _fix(lon, lat, at, _number(query, "accuracy"), None if speed is None else speed * KNOT_MPS, bearing)


def _number(query: Mapping[str, str], name: str) -> float | None:
    text = query.get(name)
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        raise Rejected("invalid_query", name) from None


def _fix(
    lon: float, lat: float, at: datetime, accuracy_m: float | None, speed_mps: float | None, heading_deg: float | None
) -> Fix:
    """A Fix, checked like one of our own phones'."""
    fields: dict[str, Any] = {"lon": lon, "lat": lat, "fixed_at": at.astimezone(UTC).isoformat()}
    if accuracy_m is not None:
        fields["accuracy_m"] = accuracy_m
    if speed_mps is not None:
        fields["speed_mps"] = speed_mps
    if heading_deg is not None:
        fields["heading_deg"] = heading_deg % 360.0
    try:
        return msgspec.convert(fields, Fix)
    except msgspec.ValidationError as error:
        text = str(error)
        field = text.rsplit("`$.", 1)[1].rstrip("`") if "`$." in text else None
        raise Rejected("invalid_body", field) from None
