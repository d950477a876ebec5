"""Changes noted by hand on the control charts: "pos baru Pakal mulai 1 Okt". A day, a few words, and who wrote them.

The charts find by themselves that something has changed; only people know what. Everybody who reads the board sees them.
"""

from __future__ import annotations

import secrets
from datetime import date, datetime, timedelta
from typing import Annotated

import msgspec
from aiohttp import web

from dashboards.keeping import Keeping
from dispatch.api.problems import Problem
from dispatch.api.routes import MANAGER, READERS, SUPERVISOR, Call, Route, json
from dispatch.model import Rejected

MARKERS = frozenset({SUPERVISOR, MANAGER})
MARKS_MAX = 300
"""Of one region: more than two a month for ten years; a chart with more says nothing."""
FIRST_DAY = date(2000, 1, 1)
AHEAD_MAX = timedelta(days=366)
"""A change may be noted before it comes, but not for another year."""
WORDS = r"^[^\x00-\x1f\x7f]{1,80}$"


class NewMark(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From this local day on something is different."""

    day: date
    words: Annotated[str, msgspec.Meta(pattern=WORDS)]


class Mark(msgspec.Struct, frozen=True):
    """One row of `board_mark`."""

    id: str
    day: date
    words: str
    made_by: str
    made_at: datetime


def routes(keeping: Keeping) -> list[Route]:
    """Everybody who reads the board reads the notes; supervisors and managers write and remove them."""

    async def all_of_them() -> list[Mark]:
        rows = await keeping.fetch("marks", keeping.region)
        return [Mark(**dict(row)) for row in rows]

    async def listed(call: Call) -> web.StreamResponse:
        return json(await all_of_them())

    async def note(call: Call) -> web.StreamResponse:
        new: NewMark = call.body
        now = call.services.clock.now()
        if not FIRST_DAY <= new.day <= now.date() + AHEAD_MAX:
            raise Rejected("invalid_body", "day", first=FIRST_DAY.isoformat(), days_ahead_max=AHEAD_MAX.days)
        if not new.words.strip():
            raise Rejected("invalid_body", "words", why="empty")
        if len(await all_of_them()) >= MARKS_MAX:
            raise Rejected("too_many_marks", "words", max=MARKS_MAX)
        mark = Mark(secrets.token_hex(6), new.day, new.words.strip(), call.who.name, now)
        await keeping.execute("put_mark", mark.id, keeping.region, mark.day, mark.words, mark.made_by, mark.made_at)
        return json(mark)

    async def drop(call: Call) -> web.StreamResponse:
        if await keeping.value("drop_mark", keeping.region, call.path("id")) is None:
            raise Problem("not_found")
        return json({})

    return [
        Route(
            "GET", "/api/v1/board/marks", listed, "Changes noted on the charts, by day.",
            roles=READERS, answer=list[Mark], statuses=(503,), tag="boards",
        ),
        Route(
            "POST", "/api/v1/board/marks", note, "Note a change on the charts.",
            roles=MARKERS, body=NewMark, answer=Mark, statuses=(503,), tag="boards",
        ),
        Route(
            "DELETE", "/api/v1/board/marks/{id}", drop, "Remove a note.",
            roles=MARKERS, answer=dict[str, str], statuses=(404, 503), tag="boards",
        ),
    ]  # fmt: skip
