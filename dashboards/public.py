"""What anybody may know of the promise: figures, downloads, a card for other sites; always from a kept answer.

Nothing here can be turned into a small number. The smallest span published is an *atom*: one local day, or as many days
in a row as it takes until they hold no emergency or at least five. Atoms are closed in order of time and never cut anew;
every other figure over time is a sum of whole atoms, so any difference between two pages of any two dates is a sum of
atoms too. Kecamatan are shown by whole calendar months only, with small cells and whatever would reveal them blanked
(`sla/disclosure.py`).
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
import numpy as np
from aiohttp import web

from dashboards.boards import Boards, Kept, answer
from dashboards.card import card_svg
from dashboards.feeds import atom, entry
from dispatch.api.problems import Problem
from dispatch.api.routes import Call, Route
from dispatch.region import Region
from sla.columns import View
from sla.definition import TARGET_S, VERSION
from sla.disclosure import SMALL_N
from sla.figures import ZoneRow, zone_rows
from sla.groups import days as span_of
from sla.groups import local
from sla.quick import FIRST_DAY, Rows, quantiles_of
from sla.statistics import Quantiles, Share, share

KEPT_S = 60.0
RETRY_AFTER_S = 15
CACHE = "public, max-age=60"
YEAR_DAYS, MONTH_DAYS = 365, 30
ATOMS_DAYS = 10 * 366
"""Atoms are cut from this far back: ten years, the longest a board looks."""
DAYS_SHOWN = 30


class PublicDay(msgspec.Struct, frozen=True):
    """One atom: the local days [day, last]."""

    day: str
    last: str
    n: int
    within: int
    share: float | None


class PublicPeriod(msgspec.Struct, frozen=True):
    """The promise over [since, until), whole atoms; `until` is never later than last midnight."""

    period: str
    since: datetime
    until: datetime
    headline: Share
    response: Quantiles


class PublicFigures(msgspec.Struct, frozen=True):
    """What anybody may know. Nothing in it points at a person, also not by subtraction."""

    region: str
    region_name: str
    definition: str
    target_s: float
    made_at: datetime
    utc_offset_h: float
    periods: list[PublicPeriod]
    days: list[PublicDay]
    month: str | None
    """The whole calendar month `zones` is about, "2026-10"; None while there has been none."""
    zones: list[ZoneRow]
    """`n` is None where blanked."""
    small_n: int
    """Counts below this are blanked."""


class Atom(msgspec.Struct, frozen=True):
    first: date
    last: date
    n: int
    within: int


def atoms(first: date, counts: list[tuple[int, int]]) -> list[Atom]:
    """Closed atoms of consecutive days from `first`; `counts`: (emergencies, on time) a day. What is left open is not shown."""
    found = []
    start, n, within = first, 0, 0
    for i, (more, on_time) in enumerate(counts):
        n, within = n + more, within + on_time
        if n == 0 or n >= SMALL_N:
            day = first + timedelta(days=i)
            found.append(Atom(start, day, n, within))
            start, n, within = day + timedelta(days=1), 0, 0
    return found


def make_public(view: View, month: View, region: Region, now: datetime) -> PublicFigures:
    """From a view of the last ten years up to last midnight, and one of the last whole calendar month. Runs in a thread."""
    rows = Rows(view)
    offset_h = region.utc_offset_h
    closed: list[Atom] = []
    if len(rows.counted):
        first = int(rows.counted["day"].min())
        end = ((view.until + timedelta(hours=offset_h)).date() - FIRST_DAY).days
        n = np.bincount(rows.counted["day"] - first, minlength=end - first)
        within = np.bincount(rows.counted["day"] - first, weights=rows.within, minlength=end - first)
        closed = atoms(FIRST_DAY + timedelta(days=first), [(int(a), int(b)) for a, b in zip(n, within, strict=True)])
    today = local(now, offset_h).date()
    spans = {
        "day": closed[-1:],
        "month": [a for a in closed if a.first >= today - timedelta(days=MONTH_DAYS)],
        "year": [a for a in closed if a.first >= today - timedelta(days=YEAR_DAYS)],
    }
    groups = Rows(month).groups(Rows(month).counted["zone"], month.zones)
    return PublicFigures(
        region=region.code,
        region_name=region.name,
        definition=VERSION,
        target_s=TARGET_S,
        made_at=now,
        utc_offset_h=offset_h,
        periods=[_period(name, of, rows, offset_h) for name, of in spans.items() if of],
        days=[
            PublicDay(a.first.isoformat(), a.last.isoformat(), a.n, a.within, a.within / a.n if a.n else None)
            for a in spans["month"][-DAYS_SHOWN:]
        ],
        month=f"{local(month.since, offset_h):%Y-%m}" if groups else None,
        zones=zone_rows(groups, region, public=True) if groups else [],
        small_n=SMALL_N,
    )


def _period(name: str, of: list[Atom], rows: Rows, offset_h: float) -> PublicPeriod:
    since, until = span_of(of[0].first, of[-1].last, offset_h)
    low, high = (of[0].first - FIRST_DAY).days, (of[-1].last - FIRST_DAY).days
    inside = (rows.counted["day"] >= low) & (rows.counted["day"] <= high)
    times_s = np.sort(rows.counted["response_s"][inside])
    return PublicPeriod(
        name, since, until, share(sum(a.within for a in of), sum(a.n for a in of)), quantiles_of(times_s)
    )


def spans(now: datetime, offset_h: float) -> tuple[tuple[datetime, datetime], tuple[datetime, datetime]]:
    """(ten years up to last midnight, the last whole calendar month)."""
    today = local(now, offset_h).date()
    last_of_month = today.replace(day=1) - timedelta(days=1)
    yesterday = today - timedelta(days=1)
    return (
        span_of(today - timedelta(days=ATOMS_DAYS), yesterday, offset_h),
        span_of(last_of_month.replace(day=1), last_of_month, offset_h),
    )


# --- downloads

COLUMNS: dict[str, tuple[str, str, str]] = {
    "table": ("text", "jenis baris: period (masa), day (hari) atau zone (kecamatan)", "kind of row: period, day or zone"),
    "key": ("text", "masa (day, month, year), hari pertama, atau kode kecamatan Kemendagri", "period (day, month, year), first day, or the ministry's district code"),
    "name": ("text", "nama kecamatan; untuk hari: hari terakhir dari rentang itu", "name of the district; for days: last day of the span"),
    "since": ("RFC 3339", "awal masa; untuk kecamatan: bulan kalender", "start of the period; for districts: the calendar month"),
    "until": ("RFC 3339", "akhir masa, tidak termasuk", "end of the period, excluded"),
    "n": ("count", "keadaan darurat prioritas 1; kosong = disembunyikan karena kecil", "priority-1 emergencies; empty = blanked because small"),
    "within_target": ("count", "ditolong dalam 420 detik sejak dering pertama", "reached within 420 s of the first ring"),
    "share": ("0..1", "within_target dibagi n", "within_target over n"),
    "low": ("0..1", "batas bawah selang Wilson 95 %", "lower end of the 95 % Wilson interval"),
    "high": ("0..1", "batas atas selang Wilson 95 %", "upper end of the 95 % Wilson interval"),
    "p50_s": ("s", "separuh ditolong dalam waktu ini", "half were reached within this"),
    "p90_s": ("s", "9 dari 10 ditolong dalam waktu ini", "9 of 10 were reached within this"),
}  # fmt: skip
"""Column -> unit, meaning in Indonesian, in English."""


class DictionaryEntry(msgspec.Struct, frozen=True):
    column: str
    unit: str
    meaning_id: str
    meaning_en: str


class Dictionary(msgspec.Struct, frozen=True):
    """What the columns of the table mean."""

    definition: str
    small_n: int
    columns: list[DictionaryEntry]


DICTIONARY = Dictionary(VERSION, SMALL_N, [DictionaryEntry(name, *of) for name, of in COLUMNS.items()])


def as_csv(public: PublicFigures) -> str:
    """The same figures as a table: one row a period, day and kecamatan; blank cells are blanked numbers."""
    out = io.StringIO()
    table = csv.DictWriter(out, list(COLUMNS), restval="", lineterminator="\n")
    table.writeheader()
    for p in public.periods:
        h = p.headline
        table.writerow(
            {
                "table": "period", "key": p.period, "since": p.since.isoformat(), "until": p.until.isoformat(),
                "n": h.n, "within_target": h.within, "share": _cell(h.share), "low": _cell(h.low),
                "high": _cell(h.high), "p50_s": _cell(p.response.p50), "p90_s": _cell(p.response.p90),
            }
        )  # fmt: skip
    for d in public.days:
        table.writerow(
            {"table": "day", "key": d.day, "name": d.last, "n": d.n, "within_target": d.within, "share": _cell(d.share)}
        )
    for z in public.zones:
        table.writerow(
            {
                "table": "zone", "key": z.code, "name": z.name, "since": public.month or "", "n": _cell(z.n),
                "within_target": _cell(z.within), "share": _cell(z.share), "low": _cell(z.low), "high": _cell(z.high),
                "p90_s": _cell(z.p90_s),
            }
        )  # fmt: skip
    return out.getvalue()


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def as_atom(public: PublicFigures) -> str:
    """One entry a period, new each day; the same entry keeps its name."""
    names = {"day": "hari terakhir", "month": "30 hari", "year": "12 bulan"}
    entries = []
    for p in public.periods:
        h, last = p.headline, local(p.until, public.utc_offset_h) - timedelta(days=1)
        number = "–" if h.share is None else f"{100 * h.share:.0f} %"
        title = f"{number} ditolong dalam 7 menit ({names[p.period]} sampai {last:%d-%m-%Y})"
        text = f"{h.within} dari {h.n} keadaan darurat prioritas 1. Definisi {public.definition}."
        entries.append(entry(f"{public.region}:{p.period}:{last:%Y-%m-%d}", title, p.until, text, "/", "text/html"))
    latest = max((p.until for p in public.periods), default=public.made_at)
    name = f"{public.region}:figures"
    return atom(name, f"112 {public.region_name}: 7 menit", "/api/v1/public/figures.atom", latest, entries)


# --- serving


class Public:
    """The kept public answers: computed at most once a minute, handed out as bytes."""

    def __init__(self, boards: Boards) -> None:
        self.boards = boards
        self._texts: dict[str, tuple[bytes, bytes]] = {}
        """What was last made from which figures: name -> (figures, text)."""

    async def kept(self, now: datetime) -> Kept:
        """Raises Problem("figures_not_ready") while a fresh server still folds the past: half a year is no figure."""
        if self.boards.catching_up():
            old = self.boards.last("public")
            if old is None:
                raise Problem("figures_not_ready", retry_after_s=RETRY_AFTER_S)
            return old
        return await self.boards.once("public", now, KEPT_S, lambda: self._begin(now))

    def _begin(self, now: datetime) -> Callable[[], PublicFigures]:
        region, ledger = self.boards.region, self.boards.ledger
        long, month = spans(now, region.utc_offset_h)
        view, of_month = ledger.view(*long), ledger.view(*month)
        return lambda: make_public(view, of_month, region, now)

    async def text(self, name: str, now: datetime, make: Callable[[PublicFigures], str]) -> bytes:
        """Something drawn from the figures, kept as long as they are."""
        kept = await self.kept(now)
        found = self._texts.get(name)
        if found is None or found[0] is not kept.body:
            made = make(msgspec.json.decode(kept.body, type=PublicFigures)).encode()
            found = self._texts[name] = (kept.body, made)
        return found[1]


class CardQuery(msgspec.Struct, frozen=True):
    """How the card is to look."""

    lang: str = "id"
    theme: str = "day"


def etag(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()[:20]}"'


def routes(boards: Boards, public: Public | None = None) -> list[Route]:
    """Open routes: no sign-in, no cookie, kept answers only."""
    figures = public or Public(boards)
    tags: dict[int, tuple[bytes, str]] = {}

    def conditional(call: Call, body: bytes) -> tuple[bool, dict[str, str]]:
        """(the reader has it already, headers)."""
        known = tags.get(id(body))
        if known is None or known[0] is not body:
            tags.clear()
            known = tags[id(body)] = (body, etag(body))
        headers = {"Cache-Control": CACHE, "ETag": known[1], "Access-Control-Allow-Origin": "*"}
        return call.request.headers.get("If-None-Match") == known[1], headers

    async def as_json(call: Call) -> web.StreamResponse:
        kept = await figures.kept(call.services.clock.now())
        same, headers = conditional(call, kept.body)
        return web.Response(status=304, headers=headers) if same else answer(call, kept, headers)

    async def as_table(call: Call) -> web.StreamResponse:
        body = await figures.text("csv", call.services.clock.now(), as_csv)
        headers = {"Cache-Control": CACHE, "Access-Control-Allow-Origin": "*"}
        return web.Response(body=body, content_type="text/csv", charset="utf-8", headers=headers)

    async def as_feed(call: Call) -> web.StreamResponse:
        body = await figures.text("atom", call.services.clock.now(), as_atom)
        headers = {"Cache-Control": CACHE, "Access-Control-Allow-Origin": "*"}
        return web.Response(body=body, content_type="application/atom+xml", charset="utf-8", headers=headers)

    async def dictionary(call: Call) -> web.StreamResponse:
        headers = {"Cache-Control": CACHE, "Access-Control-Allow-Origin": "*"}
        return web.Response(body=msgspec.json.encode(DICTIONARY), content_type="application/json", headers=headers)

    async def card(call: Call) -> web.StreamResponse:
        query: CardQuery = call.query
        english, night = query.lang == "en", query.theme == "night"
        now = call.services.clock.now()
        body = await figures.text(
            f"card-{english}-{night}", now, lambda p: card_svg(_on_card(p, english), english, night)
        )
        headers = {"Cache-Control": CACHE, "Cross-Origin-Resource-Policy": "cross-origin"}
        return web.Response(body=body, content_type="image/svg+xml", charset="utf-8", headers=headers)

    def route(path: str, handler: Any, text: str, **more: Any) -> Route:
        return Route("GET", path, handler, text, tag="public", limit="public_read", **more)

    return [
        route(
            "/api/v1/public/figures", as_json, "The 7-minute promise as the public may see it.",
            answer=PublicFigures, statuses=(304, 503),
        ),
        route("/api/v1/public/figures.csv", as_table, "The same as a table.", content="text/csv", statuses=(503,)),
        route("/api/v1/public/figures.atom", as_feed, "The same as a feed.", content="application/atom+xml", statuses=(503,)),
        route("/api/v1/public/dictionary", dictionary, "What the columns of the table mean.", answer=Dictionary),
        route(
            "/api/v1/public/card.svg", card, "The figure as a picture for other sites.",
            query=CardQuery, content="image/svg+xml", statuses=(503,),
        ),
    ]  # fmt: skip


def _on_card(public: PublicFigures, english: bool) -> tuple[str, float | None, int, str]:
    """(region, share, n, until which local day) of the last 30 days."""
    month = next((p for p in public.periods if p.period == "month"), None)
    if month is None:
        return public.region_name, None, 0, ""
    last = local(month.until, public.utc_offset_h) - timedelta(days=1)
    return public.region_name, month.headline.share, month.headline.n, f"{last:%d-%m-%Y}"
