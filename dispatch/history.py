"""The past, read from the tables: log book, search over years of incidents and callers, and where units drove.

What is in memory is only the last two days; everything here asks PostgreSQL and says so when it is away
(JournalUnavailable). Nothing is changed.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from dispatch.doubt import CALLS_MAX, EarlierCall
from dispatch.events import KINDS, Entry
from dispatch.journal_pg import PostgresJournal, entry_of
from dispatch.model import Place
from dispatch.statements import SQL

TRACK_FIXES_MAX = 20_000
"""Twenty units for an hour and a half at one kept fix in five seconds."""
UNTOLD = frozenset({"unit_recommended", "job_receipted", "report_located", "lead_taken", "move_suggested"})
"""Kinds a log book leaves out: the machine's workings, not what anybody did."""
TOLD = tuple(sorted(set(KINDS) - UNTOLD))


class PastIncident(msgspec.Struct):
    """One line of a search; nothing of the caller."""

    incident_id: str
    kind: str
    priority: int
    state: str
    place: Place
    zone: str | None
    first_ring_at: datetime
    first_capable_at_scene_at: datetime | None
    ended_at: datetime | None
    outcome: str | None


class PastCaller(msgspec.Struct):
    """A report and who made it. Personal data."""

    report_id: str
    incident_id: str | None
    rang_at: datetime
    channel: str
    kind: str | None
    description: str
    phone: str | None
    name: str | None


class TrackFix(msgspec.Struct):
    unit_id: str
    lon: float
    lat: float
    fixed_at: datetime
    heading_deg: float | None


class Past(msgspec.Struct):
    """An incident that has left memory, as JSON rows."""

    incident: dict[str, Any]
    reports: list[dict[str, Any]]
    assignments: list[dict[str, Any]]


class History:
    """Readings of one region. Every method raises JournalUnavailable."""

    def __init__(self, lines: PostgresJournal) -> None:
        self.lines = lines

    async def log_book(
        self, since: datetime, until: datetime, kinds: tuple[str, ...], before: int | None, limit: int
    ) -> list[Entry]:
        """Journal lines from `since` until before `until`, newest first."""
        rows = await self.lines.fetch(SQL["log_book"], self.lines.region, since, until, list(kinds), before, limit)
        return [entry_of(self.lines.region, row) for row in rows]

    async def incidents(
        self,
        since: datetime,
        until: datetime,
        *,
        words: str | None = None,
        kind: str | None = None,
        near: tuple[float, float, float] | None = None,
        before: str | None = None,
        limit: int = 100,
    ) -> list[PastIncident]:
        """Newest first. `words` are looked for in number, address, outcome and what reporters said; `near` is lon, lat and
        metres.
        """
        lon, lat, within_m = near if near is not None else (None, None, None)
        like = None if words is None else f"%{escaped(words)}%"
        rows = await self.lines.fetch(
            SQL["find_incidents"], self.lines.region, since, until, kind, like, lon, lat, within_m, before, limit
        )
        return [
            PastIncident(**{**row, "place": msgspec.json.decode(row["place"], type=Place)}) for row in map(dict, rows)
        ]

    async def callers(self, since: datetime, until: datetime, who: str, limit: int) -> list[PastCaller]:
        """By the last digits of the number (at least `DIGITS_MIN`), else by a part of the name."""
        digits = "".join(c for c in who if c.isdigit()).removeprefix("0")  # 031... and +62 31... are one number
        by_number = len(digits) >= DIGITS_MIN
        rows = await self.lines.fetch(
            SQL["find_callers"],
            self.lines.region,
            since,
            until,
            digits if by_number else "-",  # no number ends in it
            None if by_number else f"%{escaped(who)}%",
            limit,
        )
        return [PastCaller(**row) for row in map(dict, rows)]

    async def earlier_calls(self, report_id: str, since: datetime) -> list[EarlierCall]:
        """What became of other calls from the same number, newest first."""
        rows = await self.lines.fetch(SQL["earlier_calls"], self.lines.region, report_id, since, CALLS_MAX)
        return [EarlierCall(**row) for row in map(dict, rows)]

    async def past(self, incident_id: str) -> Past | None:
        """An incident of any age with its reports and assignments; None when there never was one."""
        rows = await self.lines.fetch(SQL["past_incident"], self.lines.region, incident_id)
        if not rows:
            return None
        return Past(*(msgspec.json.decode(rows[0][name]) for name in ("incident", "reports", "assignments")))

    async def tracks(self, units: list[str], since: datetime, until: datetime) -> tuple[list[TrackFix], bool]:
        """Where the units were, oldest fix first; and whether fixes were left out to stay under TRACK_FIXES_MAX."""
        rows = await self.lines.fetch(SQL["tracks"], self.lines.region, units, since, until, TRACK_FIXES_MAX)
        fixes = [TrackFix(*tuple(row)[:-1]) for row in rows]
        return fixes, bool(rows) and rows[0]["step"] > 1


DIGITS_MIN = 5
"""Fewer digits would show half the city's callers."""


def escaped(words: str) -> str:
    """Words as they stand, for ILIKE."""
    return words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
