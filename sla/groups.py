"""The same figure cut by hour, weekday, kind, kecamatan, unit, shift or month. Pure.

Local time is the region's fixed offset (WIB has no daylight saving). Emergencies without the key (no zone, no unit ever
came) stand in a group of their own, so that groups always sum to the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta

import msgspec

from dispatch.model import Rejected
from sla.disclosure import SMALL_N, lumped
from sla.outcome import Outcome
from sla.statistics import Quantiles, Share, quantiles, share

UNKNOWN = "-"
OTHERS = "~"
"""The lump of small groups; sorts after every key."""
SHIFTS: tuple[tuple[str, int, int], ...] = (("pagi", 7, 14), ("sore", 14, 21), ("malam", 21, 7))
"""Three-shift roster of Indonesian hospitals and posts: morning, evening, night. [unverified for 112: configuration]"""


def days(first: date, last: date, utc_offset_h: float) -> tuple[datetime, datetime]:
    """Local calendar days [first, last] as instants. Raises Rejected when they are the wrong way round."""
    if last < first:
        raise Rejected("period_reversed", "to", first=first.isoformat(), last=last.isoformat())
    shift = timedelta(hours=utc_offset_h)
    start = datetime(first.year, first.month, first.day, tzinfo=UTC) - shift
    end = datetime(last.year, last.month, last.day, tzinfo=UTC) - shift + timedelta(days=1)
    return start, end


class Group(msgspec.Struct, frozen=True):
    key: str
    share: Share
    response: Quantiles


def local(at: datetime, utc_offset_h: float) -> datetime:
    """Wall-clock time of the region, as a UTC-labelled datetime whose fields read local."""
    return at.astimezone(UTC) + timedelta(hours=utc_offset_h)


def shift_of(hour: int, shifts: tuple[tuple[str, int, int], ...] = SHIFTS) -> str:
    for name, start, end in shifts:
        if start <= hour < end or (start > end and (hour >= start or hour < end)):
            return name
    return UNKNOWN


def key_function(by: str, utc_offset_h: float) -> Callable[[Outcome], str]:
    """What to group by. Raises KeyError for an unknown name: callers offer `BY`."""

    def timed(make: Callable[[datetime], str]) -> Callable[[Outcome], str]:
        return lambda row: UNKNOWN if row.day_ring_at is None else make(local(row.day_ring_at, utc_offset_h))

    return {
        "hour": timed(lambda t: f"{t.hour:02d}"),
        "weekday": timed(lambda t: str(t.isoweekday())),
        "day": timed(lambda t: t.date().isoformat()),
        "month": timed(lambda t: f"{t.year:04d}-{t.month:02d}"),
        "shift": timed(lambda t: shift_of(t.hour)),
        "kind": lambda row: row.kind or UNKNOWN,
        "zone": lambda row: row.zone or UNKNOWN,
        "unit": lambda row: row.first_unit or UNKNOWN,
    }[by]


BY = ("hour", "weekday", "day", "month", "shift", "kind", "zone", "unit")


def counted(rows: Iterable[Outcome]) -> list[Outcome]:
    """The denominator: what is on time or late."""
    return [r for r in rows if r.verdict != "left_out"]


def _cells(rows: list[Outcome]) -> tuple[int, int]:
    on_time = sum(r.verdict == "on_time" for r in rows)
    return on_time, len(rows) - on_time


def group(rows: Iterable[Outcome], by: str, utc_offset_h: float, public: bool = False) -> list[Group]:
    """Figures of each group, sorted by key. For the public, groups with small numbers are lumped together as `OTHERS`;
    nothing at all is given when even they are too few."""
    key = key_function(by, utc_offset_h)
    members: dict[str, list[Outcome]] = {}
    for row in counted(rows):
        members.setdefault(key(row), []).append(row)
    if public:
        cells = {name: _cells(of) for name, of in members.items()}
        together = lumped(cells)
        others = [row for name in sorted(together) for row in members.pop(name)]
        if any(0 < n < SMALL_N for n in _cells(others)):
            return []
        if others:
            members[OTHERS] = others
    return [
        Group(name, share(sum(r.verdict == "on_time" for r in of), len(of)), quantiles(r.response_s for r in of))
        for name, of in sorted(members.items())
    ]
