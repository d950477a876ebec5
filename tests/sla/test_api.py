"""The room's routes and scheduled reports, without a server around them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from aiohttp import web
from prometheus_client import REGISTRY, generate_latest

from dispatch.api.problems import Problem
from dispatch.api.routes import openapi
from dispatch.events import IncidentClosed
from dispatch.pack import load
from geo.router import StraightLineRouter
from sla.api import DossierQuery, IncidentSla, LateResponses, PeriodQuery, ReportQuery
from sla.live import Summary
from sla.reach import ReachNow
from sla.room import SlaRoom
from sla.sample import START, journal
from sla.schedule import due
from tests.sla.journals import at

PACK = Path(__file__).resolve().parents[2] / "regions" / "surabaya"
NOW = START + timedelta(days=3, hours=2)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> SlaRoom:
    made = SlaRoom(load(PACK), StraightLineRouter(), lambda: NOW, tmp_path_factory.mktemp("laporan"))
    for entry in journal(3, seed=11):
        made.apply(entry)
    return made


async def ask(room: SlaRoom, path: str, query: Any = None, now: datetime = NOW, **parts: str) -> web.Response:
    route = next(r for r in room.routes() if r.path == path)

    async def about(ids: list[str], since: datetime, until: datetime) -> list[Any]:
        return [e for e in journal(3, seed=11) if since <= e.at <= until]

    services = SimpleNamespace(
        clock=SimpleNamespace(now=lambda: now), live=SimpleNamespace(journal=SimpleNamespace(about=about))
    )
    call = SimpleNamespace(services=services, query=query, path=parts.__getitem__)
    answer = await route.handler(call)  # type: ignore[arg-type]
    assert isinstance(answer, web.Response)
    return answer


def body(answer: web.Response) -> bytes:
    assert isinstance(answer.body, bytes)
    return answer.body


async def test_the_summary_decodes_as_documented_and_honours_its_period(room: SlaRoom) -> None:
    whole = msgspec.json.decode(body(await ask(room, "/api/v1/sla/summary", PeriodQuery())), type=Summary)
    first = PeriodQuery(since=START, until=START + timedelta(days=1))
    day = msgspec.json.decode(body(await ask(room, "/api/v1/sla/summary", first)), type=Summary)
    assert 0 < day.headline.n < whole.headline.n
    assert day.definition == "SLA-7/3"


async def test_a_period_the_wrong_way_round_is_refused(room: SlaRoom) -> None:
    with pytest.raises(Problem, match="invalid_query"):
        await ask(room, "/api/v1/sla/summary", PeriodQuery(since=NOW, until=START))


async def test_late_responses_come_newest_first_each_with_its_sentences(room: SlaRoom) -> None:
    found = msgspec.json.decode(body(await ask(room, "/api/v1/sla/late", PeriodQuery())), type=LateResponses)
    assert found.sums.late == len(found.late) > 10
    opened = [r.incident_id for r in room.fold.outcomes(NOW) if r.verdict == "late"]
    assert [e.incident_id for e in found.late] == opened[::-1]
    assert all(e.sentence_id and e.sentence_en for e in found.late)


async def test_one_emergency_is_told_with_its_budgets_and_its_explanation(room: SlaRoom) -> None:
    late = next(r.incident_id for r in room.fold.outcomes(NOW) if r.verdict == "late" and r.response_s)
    path = "/api/v1/sla/incidents/{incident_id}"
    found = msgspec.json.decode(body(await ask(room, path, incident_id=late)), type=IncidentSla)
    assert found.explanation is not None
    assert found.outcome.response_s is not None
    assert sum(b.spent_s or 0.0 for b in found.budgets) == pytest.approx(found.outcome.response_s)
    with pytest.raises(Problem, match="unknown_incident"):
        await ask(room, path, incident_id="nobody")


@pytest.mark.parametrize(("form", "start"), [("html", b"<!doctype html>"), ("pdf", b"%PDF"), ("csv", b"\xef\xbb\xbf")])
async def test_reports_are_files_that_may_do_nothing(room: SlaRoom, form: Any, start: bytes) -> None:
    """Own content policy without script, never cached."""
    answer = await ask(room, "/api/v1/sla/report", ReportQuery(first=date(2026, 1, 1), format=form))
    assert body(answer).startswith(start)
    assert "script" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-store"


async def test_a_report_longer_than_a_month_is_sent_to_the_command_line(room: SlaRoom) -> None:
    with pytest.raises(Problem):
        await ask(room, "/api/v1/sla/report", ReportQuery(first=date(2026, 1, 1), last=date(2026, 2, 1)))
    with pytest.raises(Problem):
        await ask(room, "/api/v1/sla/report", ReportQuery(first=date(2026, 1, 2), last=date(2026, 1, 1)))


async def test_the_dossier_of_an_incident_holds_its_own_lines(room: SlaRoom) -> None:
    late = next(r.incident_id for r in room.fold.outcomes(NOW) if r.verdict == "late" and r.response_s)
    path = "/api/v1/sla/incidents/{incident_id}/report"
    page = body(await ask(room, path, DossierQuery(), incident_id=late)).decode()
    assert "Telepon berdering" in page
    assert body(await ask(room, path, DossierQuery(format="pdf"), incident_id=late)).startswith(b"%PDF")


async def test_the_reach_route_answers_for_every_kecamatan(room: SlaRoom) -> None:
    """No unit on duty in this hub: nobody is reachable, every kecamatan is told."""
    route = next(r for r in room.routes() if r.path == "/api/v1/sla/reach")
    hub = SimpleNamespace(state=SimpleNamespace(units={}), positions={})
    services = SimpleNamespace(clock=SimpleNamespace(now=lambda: NOW), live=SimpleNamespace(hub=hub))
    answer = await route.handler(SimpleNamespace(services=services))  # type: ignore[arg-type]
    found = msgspec.json.decode(body(answer), type=ReachNow)  # type: ignore[arg-type]
    assert (len(found.zones), found.population_share) == (31, 0.0)


def test_without_roads_there_is_no_reach_route(room: SlaRoom, tmp_path: Path) -> None:
    without = SlaRoom(load(PACK), None, lambda: NOW, tmp_path)
    assert "/api/v1/sla/reach" not in {r.path for r in without.routes()}


def test_the_routes_can_be_written_down(room: SlaRoom) -> None:
    """Every answer and query has a schema."""
    document = openapi(room.routes(), {}, "0")
    assert set(document["paths"]) == {r.path for r in room.routes()}


def test_closed_late_responses_are_deepened_one_by_one(room: SlaRoom) -> None:
    """As many as were late and closed; then nothing waits."""
    late = {r.incident_id for r in room.fold.outcomes(NOW) if r.verdict == "late"}
    closed = {e.event.incident_id for e in journal(3, seed=11) if isinstance(e.event, IncidentClosed)}
    asked = 0
    while room.explain_next(NOW):
        asked += 1
    assert asked == len(late & closed) > 10


def test_the_room_shows_its_metrics_and_a_second_one_replaces_the_first(room: SlaRoom, tmp_path: Path) -> None:
    """Two servers in one process must not print a metric twice."""
    line = "# TYPE siaga_sla_settled_total counter"
    before = generate_latest(REGISTRY).decode()  # a server of another test may have left its own region's metrics here
    assert 'siaga_sla_settled_total{region="surabaya"' in before
    SlaRoom(load(PACK), None, lambda: NOW, tmp_path)
    text = generate_latest(REGISTRY).decode()
    assert text.count(line) == before.count(line)


# --- scheduled reports


async def test_kept_reports_are_listed_and_given_out_and_nothing_else_is(room: SlaRoom) -> None:
    """Only names the server itself makes; a path out of the folder is not found."""
    room.reporter.folder.mkdir(parents=True, exist_ok=True)
    (room.reporter.folder / "harian-2025-12-01.html").write_bytes(b"<p>")
    (room.reporter.folder / "rahasia.html").write_bytes(b"x")
    listed = msgspec.json.decode(body(await ask(room, "/api/v1/sla/reports")))
    assert {"name": "harian-2025-12-01.html", "size_bytes": 3} in listed
    assert all(item["name"] != "rahasia.html" for item in listed)
    path = "/api/v1/sla/reports/{name}"
    answer = await ask(room, path, name="harian-2025-12-01.html")
    assert body(answer) == b"<p>"
    (room.reporter.folder / "harian-2025-12-01.html").unlink()
    for name in ("rahasia.html", "../rahasia.html", "harian-2025-12-01.html", "harian-2025-12-01.html.part"):
        with pytest.raises(Problem, match="not_found"):
            await ask(room, path, name=name)


def test_yesterday_is_due_after_one_in_the_morning_and_last_month_on_the_first() -> None:
    """Local time: 00:59 WIB is still too early for yesterday."""
    began = datetime(2026, 1, 1, tzinfo=UTC)
    early = due(datetime(2026, 2, 28, 17, 59, tzinfo=UTC), 7.0, began)
    later = due(datetime(2026, 2, 28, 18, 0, tzinfo=UTC), 7.0, began)
    assert early[-2].stem == "harian-2026-02-27"
    assert [d.stem for d in later[-2:]] == ["harian-2026-02-28", "bulanan-2026-02"]
    assert later[-1].since == datetime(2026, 1, 31, 17, tzinfo=UTC)
    assert later[-1].until == datetime(2026, 2, 28, 17, tzinfo=UTC)


def test_nothing_is_due_before_the_journal_began() -> None:
    assert due(at(0), 7.0, None) == []
    began = datetime(2026, 3, 1, 20, tzinfo=UTC)
    assert [d.stem for d in due(datetime(2026, 3, 3, 3, tzinfo=UTC), 7.0, began)] == ["harian-2026-03-02"]


def test_each_due_report_is_written_once_and_whole(room: SlaRoom) -> None:
    """Three days of journal: three daily reports, one a tick; December's month has one evening in it or none."""
    made = []
    while written := room.reporter.tick(NOW):
        made.append({p.suffix for p in written})
    assert made
    assert all(kinds == {".csv", ".pdf", ".html"} for kinds in made)
    stems = sorted(p.stem for p in room.reporter.folder.glob("harian-*.html"))
    assert stems == ["harian-2026-01-01", "harian-2026-01-02", "harian-2026-01-03"]
    assert room.reporter.tick(NOW) == []
    assert not list(room.reporter.folder.glob("*.part"))
