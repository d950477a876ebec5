"""Judging GPS fixes: which are believed, which are flagged and why. Pure.

A stuck, future or jumping fix shown as live has sent crews the wrong way in other systems; here it is refused with a
reason, and the last believed position grows old in plain sight.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

import msgspec

from dispatch.model import Position
from dispatch.region import Region
from geo.router import straight_line_m

AHEAD_MAX = timedelta(seconds=5)
OLD_MAX = timedelta(hours=12)
"""A phone that was out of reach for a shift still sends its track; older points are noise."""
SPEED_MAX_MPS = 60.0
"""216 km/h: nothing on the city's roads is faster, so a larger step is a jump of the receiver."""
ACCURACY_MAX_M = 500.0
"""Worse than this is a cell tower, not a position to route from."""
FIXES_MAX = 500
"""One batch: eight hours of a parked unit at one fix a minute, or eight minutes at one a second."""


class Fix(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One position as a device sends it."""

    lon: Annotated[float, msgspec.Meta(ge=-180, le=180)]
    lat: Annotated[float, msgspec.Meta(ge=-90, le=90)]
    fixed_at: Annotated[datetime, msgspec.Meta(tz=True)]
    accuracy_m: Annotated[float, msgspec.Meta(ge=0, le=100_000)] | None = None
    speed_mps: Annotated[float, msgspec.Meta(ge=0, le=1000)] | None = None
    heading_deg: Annotated[float, msgspec.Meta(ge=0, le=360)] | None = None


def position_of(fix: Fix, received_at: datetime) -> Position:
    return Position(
        lon=fix.lon,
        lat=fix.lat,
        fixed_at=fix.fixed_at,
        received_at=received_at,
        accuracy_m=fix.accuracy_m,
        speed_mps=fix.speed_mps,
        heading_deg=fix.heading_deg,
    )


def flaw(fix: Fix, last: Position | None, now: datetime, region: Region) -> str | None:
    """Why this fix is not believed, or None. `last` is the unit's latest believed position."""
    if fix.fixed_at > now + AHEAD_MAX:
        return "future"
    if fix.fixed_at < now - OLD_MAX:
        return "too_old"
    if not region.contains(fix.lon, fix.lat):
        return "outside_region"
    if fix.accuracy_m is not None and fix.accuracy_m > ACCURACY_MAX_M:
        return "inaccurate"
    if last is None or last.source != "device":
        return None
    if fix.fixed_at == last.fixed_at:
        return "repeated"
    if fix.fixed_at < last.fixed_at:
        return "out_of_order"
    step_m = straight_line_m(last.lon, last.lat, fix.lon, fix.lat)
    step_s = (fix.fixed_at - last.fixed_at).total_seconds()
    blur_m = (fix.accuracy_m or 0.0) + (last.accuracy_m or 0.0)
    if step_m - blur_m > SPEED_MAX_MPS * step_s:
        return "jump"
    return None
