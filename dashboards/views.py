"""Views of the board a person keeps: a name, the address' filters, and to whom it is mailed as a PDF and how often."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, urlencode

import msgspec
from aiohttp import web

from dashboards.boards import SHIFT_NAMES, SPAN_MAX, BoardQuery, Boards
from dashboards.keeping import Keeping
from dispatch.api.problems import Problem
from dispatch.api.routes import READERS, Call, Route, json
from dispatch.model import Rejected
from dispatch.region import Region
from sla.groups import days, local
from sla.pdf import period_pdf
from sla.quick import Slice

FIELDS_MAX = 20
VIEWS_MAX = 50
"""Of one person."""
MAIL_AT_H = 7
"""Local hour from which a day's mails go out: before the morning meeting."""
SPAN_DAYS = {"today": 1, "7d": 7, "30d": 30, "365d": 365}
ADDRESS = r"^[^@\s,;<>\"]{1,64}@[A-Za-z0-9.-]{1,180}$"
NAME = r"^[^\x00-\x1f\x7f]{1,80}$"
NEVER = ""

Every = Literal["", "daily", "weekly", "monthly"]


class NewView(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`query` is what stands after the question mark of the board's address."""

    name: Annotated[str, msgspec.Meta(pattern=NAME)]
    query: Annotated[str, msgspec.Meta(max_length=500)]
    mail_to: Annotated[list[Annotated[str, msgspec.Meta(pattern=ADDRESS)]], msgspec.Meta(max_length=10)] = []
    mail_every: Every = ""


class SavedView(msgspec.Struct, frozen=True):
    """One row of `board_view`. `mailed_for`: the local day of the last mail, empty = none yet."""

    id: str
    username: str
    name: str
    query: str
    mail_to: list[str]
    mail_every: str
    made_at: datetime
    mailed_for: str


class MyViews(msgspec.Struct, frozen=True):
    views: list[SavedView]
    can_mail: bool
    """A mail server is set up."""


class Filter(msgspec.Struct, frozen=True):
    """What a view's address says."""

    span: str = "7d"
    first: date | None = None
    last: date | None = None
    slice: Slice = Slice()

    def period(self, upto: date, offset_h: float) -> tuple[datetime, datetime]:
        """[since, until) of whole local days ending with `upto`; a fixed range stays what it is."""
        if self.first is not None and self.last is not None:
            return days(self.first, self.last, offset_h)
        return days(upto - timedelta(days=SPAN_DAYS[self.span] - 1), upto, offset_h)


def read_address(query: str, region: Region) -> Filter:
    """The filters of a board's address. Raises Rejected("invalid_body", "query") for what no board understands."""
    try:
        given = dict(parse_qsl(query, max_num_fields=FIELDS_MAX))
    except ValueError:
        raise Rejected("invalid_body", "query", why="too many fields") from None
    span = given.get("masa", "7d")
    first = last = None
    try:
        if span == "own":
            first, last = date.fromisoformat(given.get("dari", "")), date.fromisoformat(given.get("sampai", ""))
    except ValueError:
        raise Rejected("invalid_body", "query", why="dari, sampai") from None
    if span not in SPAN_DAYS and span != "own":
        raise Rejected("invalid_body", "query", why="masa")
    if first is not None and last is not None and not timedelta(0) <= last - first <= SPAN_MAX:
        raise Rejected("invalid_body", "query", why="dari, sampai")
    of = Slice(kind=given.get("jenis", ""), zone=given.get("kecamatan", ""), shift=given.get("regu", ""))
    if (of.kind and of.kind not in region.kinds) or (of.zone and of.zone not in region.zones):
        raise Rejected("invalid_body", "query", why="jenis, kecamatan")
    if of.shift and of.shift not in SHIFT_NAMES:
        raise Rejected("invalid_body", "query", why="regu")
    return Filter(span, first, last, of)


def said(of: Slice, region: Region) -> str:
    """The filter in words, empty when there is none."""
    parts = []
    if of.kind:
        parts.append(f"jenis {region.kinds[of.kind].name_id}" if of.kind in region.kinds else f"jenis {of.kind}")
    if of.zone:
        parts.append(f"kecamatan {region.zones[of.zone].name}" if of.zone in region.zones else f"kecamatan {of.zone}")
    if of.village:
        parts.append(f"kelurahan {of.village}")
    if of.shift:
        parts.append(f"regu {of.shift}")
    return ", ".join(parts)


def due(view: SavedView, now: datetime, offset_h: float) -> str | None:
    """The local day for which this view is to be mailed now; None while nothing is due.

    Daily, on Mondays, or on the first of a month, from 7 in the morning; never for a day before the view was made.
    """
    here = local(now, offset_h)
    day = here.date() if here.hour >= MAIL_AT_H else here.date() - timedelta(days=1)
    if view.mail_every == "weekly":
        day -= timedelta(days=day.weekday())
    elif view.mail_every == "monthly":
        day = day.replace(day=1)
    elif view.mail_every != "daily":
        return None
    name = day.isoformat()
    made = local(view.made_at.astimezone(UTC), offset_h).date()
    return name if name > view.mailed_for and day > made else None


async def view_pdf(boards: Boards, asked: Filter, upto: date, now: datetime) -> tuple[bytes, Any]:
    """(the PDF of a view, its figures)."""
    since, until = asked.period(upto, boards.region.utc_offset_h)
    found = await boards.figures(since, until, asked.slice, now)
    note = said(asked.slice, boards.region)
    return await boards.in_thread(lambda: period_pdf(found, boards.region, note)), found


def routes(boards: Boards, keeping: Keeping, can_mail: bool) -> list[Route]:
    """Everybody who reads the board keeps views of their own."""
    region = boards.region

    async def mine(call: Call) -> list[SavedView]:
        rows = await keeping.fetch("views_of", keeping.region, call.who.name)
        return [msgspec.convert(dict(r), SavedView, builtin_types=(datetime,)) for r in rows]

    async def listed(call: Call) -> web.StreamResponse:
        return json(MyViews(await mine(call), can_mail))

    async def keep(call: Call) -> web.StreamResponse:
        new: NewView = call.body
        read_address(new.query, region)
        if bool(new.mail_to) != bool(new.mail_every):
            raise Rejected("invalid_body", "mail_to", why="mail_to and mail_every go together")
        if len(await mine(call)) >= VIEWS_MAX:
            raise Rejected("too_many_views", "name")
        clean = urlencode(parse_qsl(new.query))
        view = SavedView(
            secrets.token_hex(6), call.who.name, new.name.strip() or new.name, clean, list(new.mail_to),
            new.mail_every, call.services.clock.now(), NEVER,
        )  # fmt: skip
        await keeping.execute(
            "put_view", view.id, keeping.region, view.username, view.name, view.query, view.mail_to, view.mail_every,
            view.made_at, view.mailed_for,
        )  # fmt: skip
        return json(view)

    async def drop(call: Call) -> web.StreamResponse:
        if await keeping.value("drop_view", keeping.region, call.who.name, call.path("id")) is None:
            raise Problem("not_found")
        return json({})

    async def pdf(call: Call) -> web.StreamResponse:
        query: BoardQuery = call.query
        query.check()
        now = call.services.clock.now()
        found = await boards.figures(query.since, query.until, query.slice(), now)
        note = said(query.slice(), region)
        body = await boards.in_thread(lambda: period_pdf(found, region, note))
        headers = {"Content-Disposition": 'attachment; filename="siaga112-dasbor.pdf"', "Cache-Control": "no-store"}
        return web.Response(body=body, content_type="application/pdf", headers=headers)

    def route(method: str, path: str, handler: Any, text: str, **more: Any) -> Route:
        return Route(method, path, handler, text, roles=READERS, tag="boards", **more)

    return [
        route("GET", "/api/v1/board/views", listed, "Views I keep.", answer=MyViews, statuses=(503,)),
        route("POST", "/api/v1/board/views", keep, "Keep a view.", body=NewView, answer=SavedView, statuses=(503,)),
        route(
            "DELETE", "/api/v1/board/views/{id}", drop, "Forget a view of mine.",
            answer=dict[str, str], statuses=(404, 503),
        ),
        route("GET", "/api/v1/board.pdf", pdf, "The board as a PDF.", query=BoardQuery, content="application/pdf"),
    ]  # fmt: skip


def is_address(text: str) -> bool:
    return re.match(ADDRESS, text) is not None
