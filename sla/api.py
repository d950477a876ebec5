"""The SLA's routes: the live summary, the explanation of one emergency, the late ones, and reports to keep.

Figures come from the one fold in `live.py`. The summary of the same period is computed at most once in `KEPT_S` seconds, more
rarely when that is costly: a room full of screens costs one computation.
"""

from __future__ import annotations

import asyncio
import re
from datetime import date, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Annotated, Literal

import msgspec
from aiohttp import web

from dispatch.api.problems import Problem
from dispatch.api.routes import AUDITOR, MANAGER, READERS, SUPERVISOR, Call, Route, json
from dispatch.region import Region
from sla.attribution import Attribution, Explanation, LateSummary, summarise
from sla.calls import CallFigures, call_figures
from sla.clocks import Noted
from sla.definition import VERSION
from sla.dossier import dossier
from sla.figures import figures
from sla.groups import days
from sla.live import OpenIncident, SlaFold, Summary
from sla.outcome import Outcome
from sla.pdf import incident_pdf, period_pdf
from sla.prediction import Budget, budgets
from sla.reach import ReachNow, reach_now
from sla.report import incident_html, period_html, table, to_csv
from sla.utilisation import Utilisation
from sla.warnings import WarningFigures, warning_figures

KEPT_S = 2.0
KEPT_TIMES = 20.0
"""A summary is kept at least this many times as long as adding it up took: with thousands of emergencies open that is most of
a second in which no call is answered, and then the figures may be a quarter of a minute old.
"""
REACH_KEPT_S = 5.0
MEDIANS_SPAN = timedelta(days=30)
KEPT_NAME = re.compile(r"(harian-\d{4}-\d\d-\d\d|bulanan-\d{4}-\d\d)\.(html|pdf|csv)")
REPORTS_LISTED_MAX = 3000  # two and a half years of three files a day
LATE_MAX = 500  # one answer; longer periods are for the report
REPORT_DAYS_MAX = 31  # longer ones take seconds and would hold up the calls: `siaga sla report`
LINES_SPAN = timedelta(days=2)  # how long after its ring an incident's own lines are looked for
KEEPERS = frozenset({MANAGER, AUDITOR, SUPERVISOR})
REPORT_CSP = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
"""A report carries its own stylesheet and nothing else: no script, no address."""
TYPES = {"html": "text/html", "pdf": "application/pdf", "csv": "text/csv"}


class PeriodQuery(msgspec.Struct, frozen=True):
    """Emergencies first rung in [since, until); left out = unbounded."""

    since: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    until: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class ReportQuery(msgspec.Struct, frozen=True):
    """Local days, both included; `last` left out = one day."""

    first: date
    last: date | None = None
    format: Literal["html", "pdf", "csv"] = "html"


class DossierQuery(msgspec.Struct, frozen=True):
    format: Literal["html", "pdf"] = "html"


class IncidentSla(msgspec.Struct, frozen=True):
    """One emergency: its row, its phases against their budgets, why it was late, and what was corrected."""

    definition: str
    outcome: Outcome
    budgets: list[Budget]
    open: OpenIncident | None
    explanation: Explanation | None
    corrections: list[Noted]


class KeptReport(msgspec.Struct, frozen=True):
    """A report the server wrote by itself: `harian-<day>` or `bulanan-<month>`, as html, pdf or csv."""

    name: str
    size_bytes: int


class LateResponses(msgspec.Struct, frozen=True):
    """Late responses of a period, newest first, with their sums."""

    definition: str
    sums: LateSummary
    late: list[Explanation]
    left_off: int
    warnings: WarningFigures
    calls: CallFigures


def routes(
    fold: SlaFold,
    region: Region | None = None,
    attribution: Attribution | None = None,
    utilisation: Utilisation | None = None,
    kept_reports: Path | None = None,
) -> list[Route]:
    """Routes reading this fold; `kept_reports` is the folder of the scheduled ones."""
    offset_h = region.utc_offset_h if region is not None else 7.0
    explain = attribution or Attribution(region, None, offset_h)
    reached: list[ReachNow] = []
    kept: dict[tuple[datetime | None, datetime | None], tuple[datetime, timedelta, Summary]] = {}

    async def summary(call: Call) -> web.StreamResponse:
        since, until = _period(call.query)
        now = call.services.clock.now()
        found = kept.get((since, until))
        if found is None or not timedelta(0) <= now - found[0] < found[1]:
            for key in [k for k, (at, keep, _) in kept.items() if now - at >= keep]:
                del kept[key]
            began_s = perf_counter()
            added_up = fold.summary(now, since, until)
            keep = timedelta(seconds=max(KEPT_S, KEPT_TIMES * (perf_counter() - began_s)))
            found = kept[since, until] = (now, keep, added_up)
        return json(found[2])

    async def incident(call: Call) -> web.StreamResponse:
        case = fold.timeline.cases.get(call.path("incident_id"))
        if case is None:
            raise Problem("unknown_incident", "incident_id")
        now = call.services.clock.now()
        return json(
            IncidentSla(
                VERSION,
                fold.outcome(case, now),
                budgets(case, fold.answered_at(case), now),
                next((o for o in fold.open_incidents(now) if o.incident_id == case.incident_id), None),
                explain.explain(case, fold.timeline, now),
                case.corrections,
            )
        )

    async def late(call: Call) -> web.StreamResponse:
        since, until = _period(call.query)
        now = call.services.clock.now()
        timeline = fold.timeline
        rows = [r for r in fold.outcomes(now, since, until) if r.verdict == "late"]
        found = [
            e
            for r in rows
            if (e := explain.explain(timeline.cases[r.incident_id], timeline, now, deep=False)) is not None
        ]
        return json(
            LateResponses(
                VERSION,
                summarise(found),
                found[: -LATE_MAX - 1 : -1],
                max(0, len(found) - LATE_MAX),
                warning_figures(timeline, now, since, until),
                call_figures(timeline.reports.values(), now, since, until),
            )
        )

    async def report(call: Call) -> web.StreamResponse:
        query: ReportQuery = call.query
        last = query.last or query.first
        if last < query.first:
            raise Problem("invalid_query", "last", {"why": "last must not be before first"})
        if (last - query.first).days >= REPORT_DAYS_MAX:
            raise Problem("invalid_query", "last", {"why": f"at most {REPORT_DAYS_MAX} days; longer: siaga sla report"})
        since, until = days(query.first, last, offset_h)
        now = call.services.clock.now()
        name = f"sla-{query.first}-{last}"
        if query.format == "csv":
            return _file(name, "csv", to_csv(table(fold.outcomes(now, since, until), VERSION)))
        found = figures(fold, since, until, now, region, utilisation, explain)
        if query.format == "pdf":  # figures are a frozen copy, so drawing them may take its time elsewhere
            return _file(name, "pdf", await asyncio.to_thread(period_pdf, found, region))
        page = await asyncio.to_thread(period_html, found, region)
        return _file(name, "html", page.encode())

    async def incident_report(call: Call) -> web.StreamResponse:
        case = fold.timeline.cases.get(call.path("incident_id"))
        if case is None:
            raise Problem("unknown_incident", "incident_id")
        now = call.services.clock.now()
        cluster = case.cluster()
        ids = [i for c in cluster for i in (c.incident_id, *c.report_ids, *(leg.assignment_id for leg in c.legs))]
        start = case.first_ring_at() or case.opened_at or now
        lines = await call.services.live.journal.about(ids, start - timedelta(seconds=1), start + LINES_SPAN)
        found = dossier(fold, case.incident_id, lines, now, region, explain)
        name = f"kejadian-{case.incident_id}"
        if call.query.format == "pdf":
            return _file(name, "pdf", await asyncio.to_thread(incident_pdf, found))
        return _file(name, "html", (await asyncio.to_thread(incident_html, found)).encode())

    def kept_files() -> list[KeptReport]:
        assert kept_reports is not None
        if not kept_reports.is_dir():
            return []
        names = sorted((p for p in kept_reports.iterdir() if KEPT_NAME.fullmatch(p.name)), reverse=True)
        return [KeptReport(p.name, p.stat().st_size) for p in names[:REPORTS_LISTED_MAX]]

    async def reports(call: Call) -> web.StreamResponse:
        return json(await asyncio.to_thread(kept_files))

    async def kept_report(call: Call) -> web.StreamResponse:
        assert kept_reports is not None
        name = call.path("name")
        path = kept_reports / name
        if not KEPT_NAME.fullmatch(name) or not await asyncio.to_thread(path.is_file):
            raise Problem("not_found")
        stem, _, kind = name.partition(".")
        return _file(stem, kind, await asyncio.to_thread(path.read_bytes))

    async def reach(call: Call) -> web.StreamResponse:
        assert region is not None, "the route is only there with a region and its roads"
        assert explain.router is not None
        now = call.services.clock.now()
        if not reached or not timedelta(0) <= now - reached[0].at < timedelta(seconds=REACH_KEPT_S):
            hub = call.services.live.hub
            medians = {p.name: p.p50_s for p in fold.summary(now, now - MEDIANS_SPAN).phases}
            reached[:] = [reach_now(region, explain.router, hub.state.units, hub.positions, now, medians)]
        return json(reached[0])

    def route(path: str, handler: object, text: str, **more: object) -> Route:
        return Route("GET", path, handler, text, tag="sla", **more)  # type: ignore[arg-type]

    one = "/api/v1/sla/incidents/{incident_id}"
    with_roads = [
        route(
            "/api/v1/sla/reach", reach, "Which kecamatan a free unit could reach in 7 minutes right now.",
            roles=READERS, answer=ReachNow,
        ),
    ]  # fmt: skip
    with_reports = [
        route(
            "/api/v1/sla/reports", reports, "Reports the server has written, newest first.",
            roles=KEEPERS, answer=list[KeptReport],
        ),
        route(
            "/api/v1/sla/reports/{name}", kept_report, "One of them.",
            roles=KEEPERS, content="text/html", statuses=(404,),
        ),
    ]  # fmt: skip
    return [
        *(with_reports if kept_reports is not None else []),
        *(with_roads if region is not None and explain.router is not None else []),
        route(
            "/api/v1/sla/summary", summary, "SLA-7 and the figures beside it.",
            roles=READERS, query=PeriodQuery, answer=Summary,
        ),
        route(
            "/api/v1/sla/late", late, "Why each late response was late, with the sums.",
            roles=READERS, query=PeriodQuery, answer=LateResponses,
        ),
        route(one, incident, "One emergency against its clock.", roles=READERS, answer=IncidentSla, statuses=(404,)),
        route(
            one + "/report", incident_report, "One emergency as a file.",
            roles=KEEPERS, query=DossierQuery, content="text/html", statuses=(404,),
        ),
        route(
            "/api/v1/sla/report", report, "The report of a period of days.",
            roles=KEEPERS, query=ReportQuery, content="text/html",
        ),
    ]  # fmt: skip


def _period(query: PeriodQuery) -> tuple[datetime | None, datetime | None]:
    if query.since is not None and query.until is not None and query.since >= query.until:
        raise Problem("invalid_query", "until", {"why": "until must be after since"})
    return query.since, query.until


def _file(name: str, kind: str, body: bytes) -> web.Response:
    headers = {
        "Content-Security-Policy": REPORT_CSP,
        "Content-Disposition": f'{"inline" if kind == "html" else "attachment"}; filename="{name}.{kind}"',
        "Cache-Control": "no-store",
    }
    charset = None if kind == "pdf" else "utf-8"
    return web.Response(body=body, content_type=TYPES[kind], charset=charset, headers=headers)
