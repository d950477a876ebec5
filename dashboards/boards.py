"""The managers' board: every figure of a period, computed beside the calls and never in their way.

The ledger (`sla/columns.py`) is kept line by line; a board is added up from its frozen columns in a thread (`sla/quick.py`),
encoded and packed there, and kept for a few seconds, so that a room full of managers costs one computation. Its numbers
are those of `siaga sla report`, to the digit. What the public may see is in `public.py`.
"""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
from aiohttp import web

from dispatch.api.problems import Problem
from dispatch.api.routes import READERS, Call, Route, json
from dispatch.region import Region
from sla.charts import Point, imr_chart, p_chart
from sla.columns import CALL, OFFLOAD, ROW, Ledger, View
from sla.demand import CHECKED, WEEKS, Demand, demand
from sla.figures import Figures
from sla.groups import SHIFTS, UNKNOWN, Group, days, local
from sla.outcome import PHASE_NAMES
from sla.quick import FIRST_DAY, Rows, Slice, Standing, by_day, figures_of, quantiles_of, standing
from sla.sentences import NAMES as CAUSE_NAMES
from sla.statistics import Quantiles, Share
from sla.utilisation import Utilisation

SPAN_MAX = timedelta(days=3700)
"""Ten years and a little: the longest question the board answers."""
KEPT_S = 10.0
KEPT_MAX = 64
"""Boards kept at once: a handful of views a manager, a few managers; each is some 30 kB."""
SLICE_ROWS = 40
"""Rows of the ledger written before others get a turn: about a millisecond."""
DAYS_CHARTED_MAX = 400
"""Above it the charts go by month: a pixel a day is the most a screen can show."""
WINDOWS_LISTED_MAX = 50
DISMISSALS_LISTED_MAX = 12
GZIP_LEVEL = 4
NEWS_S = 25.0
"""Longest a question for news is held: under the 30 s after which proxies give up."""
NEWS_LOOK_S = 1.0

Pair = tuple[str, str]
"""A name in Indonesian and English."""


class BoardQuery(msgspec.Struct, frozen=True):
    """Emergencies first rung in [since, until); both needed, so that a board never grows without being asked to."""

    since: Annotated[datetime, msgspec.Meta(tz=True)]
    until: Annotated[datetime, msgspec.Meta(tz=True)]
    kind: Annotated[str, msgspec.Meta(max_length=64)] = ""
    zone: Annotated[str, msgspec.Meta(max_length=64)] = ""
    village: Annotated[str, msgspec.Meta(max_length=64)] = ""
    shift: Annotated[str, msgspec.Meta(max_length=16)] = ""

    def slice(self) -> Slice:
        return Slice(kind=self.kind, zone=self.zone, village=self.village, shift=self.shift)

    def check(self) -> None:
        """Raises Problem("invalid_query")."""
        if self.shift and self.shift not in SHIFT_NAMES:
            raise Problem("invalid_query", "shift", {"known": list(SHIFT_NAMES)})


class NewsQuery(msgspec.Struct, frozen=True):
    """`after`: the `last_seq` of the figures one has."""

    after: Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class News(msgspec.Struct, frozen=True):
    """The last journal line the figures know."""

    seq: int


class HeatCell(msgspec.Struct, frozen=True):
    n: int
    within: int


class HospitalRow(msgspec.Struct, frozen=True):
    """How long crews were kept: arrival at the hospital to being free again."""

    code: str
    name: str
    handed_over: int
    offload: Quantiles


class UnitRow(msgspec.Struct, frozen=True):
    """One unit inside the period. Seconds; `uhu` is busy over on duty."""

    unit_id: str
    unit_type: str
    agency: str
    post: str
    duty_s: float
    busy_s: float
    out_s: float
    jobs: int
    moves: int
    uhu: float | None


class ZoneMore(msgspec.Struct, frozen=True):
    """A kecamatan beside its share: people, emergencies of every priority, late ones."""

    code: str
    lon: float
    lat: float
    population: int
    emergencies: int
    late: int


class VillageRow(msgspec.Struct, frozen=True):
    """One kelurahan. Few emergencies each: read the interval, not the share."""

    code: str
    name: str
    share: Share
    p90_s: float | None


class Board(msgspec.Struct, frozen=True):
    """Figures, what stands beside them, and the names of codes, `{code: [Indonesian, English]}`."""

    figures: Figures
    """`days` and `p90_days` go by `step`; single late responses are listed by `/api/v1/board/incidents`."""
    step: str
    """`day` or `month`."""
    sliced: bool
    catching_up: bool
    """The server has just started and still folds the journal: the figures are not whole yet."""
    deepening: bool
    """The engine is still being asked again about past late responses: causes may move between rows, nothing else does."""
    heat: list[list[HeatCell]]
    """[weekday, Monday first][local hour]."""
    zones: list[ZoneMore]
    villages: list[VillageRow]
    """Kelurahan with at least one emergency of the slice, by code."""
    posts: list[Group]
    """By the home post of the unit that came first."""
    agencies: list[Group]
    units: list[UnitRow]
    windows: int
    """Zero-unit windows in all; `figures.zero_windows` has the longest."""
    hospitals: list[HospitalRow]
    dismissed: list[tuple[str, int]]
    """Reports dismissed (pranks, misdials), by reason, most first."""
    demand: Demand
    cause_names: dict[str, Pair]
    phase_names: dict[str, Pair]
    kind_names: dict[str, Pair]
    post_names: dict[str, str]
    agency_names: dict[str, str]
    type_names: dict[str, Pair]


class Kept(NamedTuple):
    """An answer as bytes."""

    at: datetime
    body: bytes
    packed: bytes


class Boards:
    """Boards of one region. Everything but `_make` runs on the loop."""

    def __init__(
        self, ledger: Ledger, region: Region, utilisation: Utilisation | None = None,
        villages: Mapping[str, str] | None = None, catching_up: Callable[[], bool] = lambda: False,
        deepening: Callable[[], bool] = lambda: False,
    ) -> None:  # fmt: skip
        """`villages`: name of every kelurahan by code. `catching_up`: whether the past is still being folded. `deepening`:
        whether explanations are still being made exact."""
        self.catching_up = catching_up
        self.deepening = deepening
        self.ledger = ledger
        self.villages = villages or {}
        self.region = region
        self.utilisation = utilisation
        self._kept: dict[object, Kept] = {}
        self._making: dict[object, asyncio.Task[Kept]] = {}
        self._one_at_a_time = asyncio.Semaphore(1)

    async def settle(self, now: datetime) -> None:
        """Until every row is as the journal says, in small slices; not while the past is still being folded, which nobody
        would catch up with: what is written then is incomplete and the board says so."""
        while self.ledger.refresh(now, SLICE_ROWS) and not self.catching_up():  # noqa: ASYNC110 - gives way, does not wait
            await asyncio.sleep(0)

    async def board(self, since: datetime, until: datetime, of: Slice, now: datetime) -> Kept:
        """All figures of [since, until). Raises Problem("invalid_query") for an impossible period."""
        check_period(since, until)
        return await self.once(("board", since, until, of), now, KEPT_S, lambda: self._begin(since, until, of, now))

    def last(self, key: object) -> Kept | None:
        """What was kept last under this key, however old."""
        return self._kept.get(key)

    async def figures(self, since: datetime, until: datetime, of: Slice, now: datetime) -> Figures:
        """The figures alone, for a PDF. Raises Problem("invalid_query")."""
        check_period(since, until)
        async with self._one_at_a_time:
            await self.settle(now)
            view = self.ledger.view(since, until)
            stands = standing(self.ledger, self.region, self.utilisation, since, until, now)
            return await asyncio.to_thread(figures_of, view, of, stands)

    async def news(self, after: int) -> int:
        """The last line folded: at once when it is another than `after`, else when one comes, else after a while."""
        deadline_s = asyncio.get_running_loop().time() + NEWS_S
        while (seq := self.ledger.fold.timeline.last_seq or 0) == after:  # another: also fewer, after a refold
            if asyncio.get_running_loop().time() >= deadline_s:
                break
            await asyncio.sleep(NEWS_LOOK_S)
        return seq

    async def in_thread(self, make: Callable[[], Any]) -> Any:
        """Draws something, one at a time with everything else that is computed for managers."""
        async with self._one_at_a_time:
            return await asyncio.to_thread(make)

    async def once(self, key: object, now: datetime, kept_s: float, begin: Callable[[], Callable[[], Any]]) -> Kept:
        """The kept answer while it is young, else a new one; whoever asks meanwhile waits for the same.

        `begin` runs on the loop once the rows are right and gives what then runs in a thread.
        """
        kept = self._kept.get(key)
        if kept is not None and timedelta(0) <= now - kept.at < timedelta(seconds=kept_s):
            return kept
        making = self._making.get(key)
        if making is None:
            making = self._making[key] = asyncio.create_task(self._make(key, now, begin), name="board")
            making.add_done_callback(lambda _: self._making.pop(key, None))
        return await asyncio.shield(making)

    async def _make(self, key: object, now: datetime, begin: Callable[[], Callable[[], Any]]) -> Kept:
        async with self._one_at_a_time:
            await self.settle(now)
            made = begin()
            body, small = await asyncio.to_thread(packed, made)
        kept = self._kept[key] = Kept(now, body, small)
        while len(self._kept) > KEPT_MAX:
            del self._kept[next(iter(self._kept))]
        return kept

    def _begin(self, since: datetime, until: datetime, of: Slice, now: datetime) -> Callable[[], Board]:
        view = self.ledger.view(since, until)
        stands = standing(self.ledger, self.region, self.utilisation, since, until, now)
        past = self.ledger.view(*past_days(now, self.region.utc_offset_h))
        late, deepening = self.catching_up(), self.deepening()

        def make() -> Board:
            board = make_board(view, past, of, stands, self.region, self.villages)
            if late or deepening:
                board = msgspec.structs.replace(board, catching_up=late, deepening=deepening)
            return board

        return make


def check_period(since: datetime, until: datetime) -> None:
    """Raises Problem("invalid_query")."""
    if since >= until:
        raise Problem("invalid_query", "until", {"why": "until must be after since"})
    if until - since > SPAN_MAX:
        raise Problem("invalid_query", "since", {"why": "at most ten years"})


def past_days(now: datetime, utc_offset_h: float) -> tuple[datetime, datetime]:
    """The whole local days a forecast looks back on."""
    yesterday = local(now, utc_offset_h).date() - timedelta(days=1)
    return days(yesterday - timedelta(days=7 * WEEKS + CHECKED + 6), yesterday, utc_offset_h)


def packed(make: Callable[[], Any]) -> tuple[bytes, bytes]:
    """What `make` gives as JSON, plain and gzipped. Runs in a thread."""
    body = msgspec.json.encode(make())
    return body, gzip.compress(body, GZIP_LEVEL, mtime=0)


def make_board(
    view: View, past: View, of: Slice, stands: Standing, region: Region, villages: Mapping[str, str]
) -> Board:
    """Adds everything up. Runs in a thread."""
    figures, rows = figures_of(view, of, stands), Rows(view, of)
    step = "day" if len(figures.days) <= DAYS_CHARTED_MAX else "month"
    windows = len(figures.zero_windows)
    points, p90_points = figures.days, figures.p90_days
    if step == "month":
        points, p90_points = by_month(rows)
    return Board(
        figures=msgspec.structs.replace(
            figures, days=points, p90_days=p90_points, zero_windows=figures.zero_windows[:WINDOWS_LISTED_MAX]
        ),
        step=step,
        sliced=not of.whole,
        catching_up=False,
        deepening=False,
        heat=_heat(rows),
        zones=_zones(rows, region),
        villages=_villages(rows, villages),
        posts=_by_unit(rows, {u.unit_id: u.home_post for u in region.units.values()}),
        agencies=_by_unit(rows, {u.unit_id: u.agency for u in region.units.values()}),
        units=_units(stands, region),
        windows=windows,
        hospitals=_hospitals(view, region),
        dismissed=_dismissed(view),
        demand=_demand(past),
        cause_names=dict(CAUSE_NAMES),
        phase_names=dict(PHASE_NAMES),
        kind_names={k.code: (k.name_id, k.name_en) for k in region.kinds.values()},
        post_names={p.code: p.name for p in region.posts.values()},
        agency_names={a.code: a.name for a in region.agencies.values()},
        type_names={t.code: (t.name_id, t.name_en) for t in region.unit_types.values()},
    )


def by_month(rows: Rows) -> tuple[list[Point], list[Point]]:
    found = by_day(rows, lambda d: f"{d:%Y-%m}")
    return p_chart([(label, within, n) for label, within, n, _ in found]), imr_chart(
        [(label, p90) for label, _, _, p90 in found]
    )


def _heat(rows: Rows) -> list[list[HeatCell]]:
    dated = rows.counted["day"] >= 0
    codes = rows.counted["weekday"][dated].astype(np.int64) * 24 + rows.counted["hour"][dated]
    n = np.bincount(codes, minlength=168)
    within = np.bincount(codes, weights=rows.within[dated], minlength=168)
    return [[HeatCell(int(n[24 * d + h]), int(within[24 * d + h])) for h in range(24)] for d in range(7)]


def _zones(rows: Rows, region: Region) -> list[ZoneMore]:
    view = rows.view
    every = rows.all[rows.all["why"] != (view.whys.index("duplicate") if "duplicate" in view.whys else -1)]
    emergencies = np.bincount(every["zone"], minlength=len(view.zones))
    late = np.bincount(rows.counted["zone"][~rows.within], minlength=len(view.zones))
    code = {name: i for i, name in enumerate(view.zones)}
    return [
        ZoneMore(
            z.code, z.lon, z.lat, z.population,
            int(emergencies[code[z.code]]) if z.code in code else 0,
            int(late[code[z.code]]) if z.code in code else 0,
        )
        for z in region.zones.values()
    ]  # fmt: skip


def _villages(rows: Rows, names: Mapping[str, str]) -> list[VillageRow]:
    return [
        VillageRow(g.key, names.get(g.key, g.key), g.share, g.response.p90)
        for g in rows.groups(rows.counted["village"], rows.view.villages)
        if g.key != UNKNOWN
    ]


def _by_unit(rows: Rows, of_unit: Mapping[str, str]) -> list[Group]:
    """Groups by something the first unit belongs to; `-` where nobody came."""
    names: list[str] = []
    codes: dict[str, int] = {}
    table = []
    for unit in rows.view.units:
        name = of_unit.get(unit, UNKNOWN)
        if name not in codes:
            codes[name] = len(names)
            names.append(name)
        table.append(codes[name])
    if len(rows.counted) == 0:
        return []
    return rows.groups(np.array(table, np.int64)[rows.counted["unit"]], names)


def _units(stands: Standing, region: Region) -> list[UnitRow]:
    found = []
    for unit_id, use in stands.units.items():
        spec = region.units.get(unit_id)
        if use.duty_s > 0 or use.jobs:
            found.append(
                UnitRow(
                    unit_id,
                    spec.unit_type if spec else UNKNOWN,
                    spec.agency if spec else UNKNOWN,
                    spec.home_post if spec else UNKNOWN,
                    use.duty_s, use.busy_s, use.out_s, use.jobs, use.moves, use.uhu,
                )
            )  # fmt: skip
    return found


def _hospitals(view: View, region: Region) -> list[HospitalRow]:
    _, rows = view.window(view.offloads, OFFLOAD)
    found = []
    for code in np.unique(rows["hospital"]).tolist():
        times_s = np.sort(rows["offload_s"][rows["hospital"] == code])
        name = view.hospitals[code]
        known = region.hospitals.get(name)
        found.append(HospitalRow(name, known.name if known else name, len(times_s), quantiles_of(times_s)))
    found.sort(key=lambda h: (-h.handed_over, h.code))
    return found


def _dismissed(view: View) -> list[tuple[str, int]]:
    _, calls = view.window(view.calls, CALL)
    n = np.bincount(calls["dismissed"][calls["dismissed"] >= 0], minlength=len(view.dismissals))
    order = np.argsort(-n, kind="stable")[:DISMISSALS_LISTED_MAX]
    return [(view.dismissals[c], int(n[c])) for c in order.tolist() if n[c]]


def _demand(past: View) -> Demand:
    """Emergencies of every priority by day, from the first day on record; duplicates are one emergency."""
    _, rows = past.window(past.rows, ROW)
    rows = rows[rows["why"] != (past.whys.index("duplicate") if "duplicate" in past.whys else -1)]
    if len(rows) == 0:
        return demand(FIRST_DAY, [])
    first = int(rows["day"].min())
    shift = timedelta(hours=past.utc_offset_h)
    last = ((past.until + shift).date() - FIRST_DAY).days - 1
    counts = np.bincount(rows["day"] - first, minlength=last - first + 1)
    return demand(FIRST_DAY + timedelta(days=first), [int(n) for n in counts])


def answer(call: Call, kept: Kept, headers: dict[str, str] | None = None) -> web.Response:
    """The kept bytes, packed when the reader can unpack them."""
    return answer_bytes(call, kept.body, kept.packed, headers)


def answer_bytes(call: Call, body: bytes, small: bytes, headers: dict[str, str] | None = None) -> web.Response:
    more = {"Vary": "Accept-Encoding", **(headers or {})}
    if "gzip" in call.request.headers.get("Accept-Encoding", ""):
        return web.Response(body=small, content_type="application/json", headers={**more, "Content-Encoding": "gzip"})
    return web.Response(body=body, content_type="application/json", headers=more)


SHIFT_NAMES = tuple(name for name, _, _ in SHIFTS)


def routes(boards: Boards) -> list[Route]:
    """The managers' board, and the word that there is something new on it."""

    async def board(call: Call) -> web.StreamResponse:
        query: BoardQuery = call.query
        query.check()
        now = call.services.clock.now()
        return answer(call, await boards.board(query.since, query.until, query.slice(), now))

    async def news(call: Call) -> web.StreamResponse:
        return json(News(await boards.news(call.query.after)))

    return [
        Route(
            "GET", "/api/v1/board/news", news, "Held until the figures are about to change, at most 25 s.",
            roles=READERS, query=NewsQuery, answer=News, tag="boards",
        ),
        Route(
            "GET",
            "/api/v1/board",
            board,
            "Every figure of a period, for managers.",
            roles=READERS,
            query=BoardQuery,
            answer=Board,
            tag="boards",
        ),
    ]  # fmt: skip
