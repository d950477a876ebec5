"""The managers' board and the emergencies behind its numbers, over drawn days."""

from __future__ import annotations

import asyncio
import csv
import gzip
import io
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from aiohttp import web
from typer.testing import CliRunner

from dashboards import boards as boards_module
from dashboards import drill as drill_module
from dashboards.boards import Board, BoardQuery, Boards
from dashboards.boards import routes as board_routes
from dashboards.calls import Calls, CallsQuery
from dashboards.calls import routes as call_routes
from dashboards.drill import Drill, DrillQuery
from dashboards.drill import routes as drill_routes
from dashboards.jobs import Jobs, JobsQuery
from dashboards.jobs import routes as job_routes
from dispatch.api.problems import Problem
from dispatch.api.routes import Route, openapi
from dispatch.pack import load
from sla import source
from sla.attribution import Attribution
from sla.cli import app as sla_cli
from sla.columns import Ledger
from sla.live import SlaFold
from sla.quick import Slice
from sla.sample import START, journal
from sla.utilisation import Utilisation

PACK = Path(__file__).resolve().parents[2] / "regions" / "surabaya"
REGION = load(PACK)
DAYS = 75
NOW = START + timedelta(days=DAYS, hours=3)
PERIOD = {"since": START, "until": NOW}


def boards_of(days: float, seed: int = 5, a_day: float = 51.0) -> Boards:
    fold = SlaFold.of(REGION)
    utilisation = Utilisation.of(REGION)
    ledger = Ledger(fold, REGION, Attribution(REGION, None))
    fold.watch = ledger.mark
    for entry in journal(days, seed=seed, a_day=a_day):
        fold.apply(entry)
        utilisation.apply(entry)
    return Boards(ledger, REGION, utilisation)


@pytest.fixture(scope="module")
def boards() -> Boards:
    return boards_of(DAYS)


async def ask(table: list[Route], path: str, query: Any = None, now: datetime = NOW, **headers: str) -> web.Response:
    route = next(r for r in table if r.path == path)
    services = SimpleNamespace(clock=SimpleNamespace(now=lambda: now))
    request = SimpleNamespace(headers=headers)
    answer = await route.handler(SimpleNamespace(services=services, query=query, request=request))  # type: ignore[arg-type]
    assert isinstance(answer, web.Response)
    return answer


async def board_of(boards: Boards, **query: Any) -> Board:
    answer = await ask(board_routes(boards), "/api/v1/board", BoardQuery(**{**PERIOD, **query}))
    assert isinstance(answer.body, bytes)
    return msgspec.json.decode(answer.body, type=Board)


async def drill_of(boards: Boards, **query: Any) -> Drill:
    answer = await ask(drill_routes(boards), "/api/v1/board/incidents", DrillQuery(**{**PERIOD, **query}))
    assert isinstance(answer.body, bytes)
    return msgspec.json.decode(answer.body, type=Drill)


async def jobs_of(boards: Boards, **query: Any) -> Jobs:
    answer = await ask(job_routes(boards), "/api/v1/board/jobs", JobsQuery(**{**PERIOD, **query}))
    assert isinstance(answer.body, bytes)
    return msgspec.json.decode(answer.body, type=Jobs)


async def test_the_board_says_what_the_command_line_says(boards: Boards, tmp_path: Path) -> None:
    """`siaga sla figure --json` over the same journal and days: every figure, to the digit."""
    file = tmp_path / "journal.jsonl.gz"
    source.write_file(list(journal(DAYS, seed=5)), file)
    command = ["figure", "--from", "2026-01-05", "--to", "2026-02-03", "--json", "--journal", str(file)]
    told = CliRunner().invoke(sla_cli, [*command, "--region", str(PACK), "--var", str(tmp_path)])
    assert told.exit_code == 0, told.output
    said = msgspec.json.decode(told.stdout[told.stdout.index("{") :])
    offset = timedelta(hours=REGION.utc_offset_h)
    since = datetime(2026, 1, 5, tzinfo=UTC) - offset
    board = await board_of(boards, since=since, until=since + timedelta(days=30))
    shown = msgspec.to_builtins(board.figures.summary)
    assert said["headline"]["n"] > 500
    for name in set(said) - {"at", "open"}:  # when it was asked, and what is open now, differ by nature
        assert shown[name] == said[name], name


async def test_every_code_of_the_board_has_its_names(boards: Boards) -> None:
    board = await board_of(boards)
    assert board.figures.summary.headline == boards.ledger.fold.headline(NOW, START, NOW)
    assert {c.code for c in board.figures.late.causes if c.decisive} <= set(board.cause_names)
    assert {p.name for p in board.figures.summary.phases} <= set(board.phase_names)


async def test_parts_of_the_board_sum_to_its_headline(boards: Boards) -> None:
    """Heat map, posts, agencies and zones hold every counted emergency once."""
    board = await board_of(boards)
    n = board.figures.summary.headline.n
    assert sum(cell.n for day in board.heat for cell in day) == n
    assert sum(g.share.n for g in board.posts) == n
    assert sum(g.share.n for g in board.agencies) == n
    assert sum(z.n or 0 for z in board.figures.zones) == n
    assert sum(z.late for z in board.zones) == board.figures.late.late
    assert all(u.duty_s > 0 for u in board.units)


async def test_filters_narrow_the_board(boards: Boards) -> None:
    """By kind, kecamatan and shift; three shifts make the whole."""
    whole = await board_of(boards)
    medical = await board_of(boards, kind="medis")
    assert 0 < medical.figures.summary.headline.n < whole.figures.summary.headline.n
    assert {g.key for g in medical.figures.groups["kind"]} == {"medis"}
    shifts = [await board_of(boards, shift=s) for s in ("pagi", "sore", "malam")]
    assert sum(b.figures.summary.headline.n for b in shifts) == whole.figures.summary.headline.n
    with pytest.raises(Problem, match="invalid_query"):
        await board_of(boards, shift="tengah malam")


async def test_long_periods_are_charted_by_month(boards: Boards) -> None:
    """Four years of days would be a grey smear; the months hold the same emergencies."""
    board = await board_of(boards, since=START - timedelta(days=1000))
    assert board.step == "month"
    assert sum(p.n for p in board.figures.days) == board.figures.summary.headline.n


async def test_empty_and_future_periods_show_no_figure(boards: Boards) -> None:
    """No share rather than 0 or 100 %."""
    for since in (START - timedelta(days=400), NOW + timedelta(days=10)):
        board = await board_of(boards, since=since, until=since + timedelta(days=5))
        assert board.figures.summary.headline.share is None
        assert board.figures.summary.headline.n == 0


async def test_an_impossible_period_is_refused(boards: Boards) -> None:
    """The wrong way round, and more than ten years; for the board and for what is behind it."""
    for since, until in ((NOW, START), (START - timedelta(days=4000), NOW)):
        with pytest.raises(Problem, match="invalid_query"):
            await board_of(boards, since=since, until=until)
        with pytest.raises(Problem, match="invalid_query"):
            await drill_of(boards, since=since, until=until)


async def test_the_forecast_covers_what_it_says_it_covers(boards: Boards) -> None:
    """Drawn days are Poisson by hour, so most of the checked days must lie inside."""
    board = await board_of(boards)
    assert len(board.demand.ahead) == 14
    assert board.demand.ahead[0].day > board.demand.past[-1][0]
    assert board.demand.checked > 0
    assert board.demand.inside / board.demand.checked >= 0.85
    for day in board.demand.ahead:
        assert day.low < day.expected < day.high


async def test_a_room_full_of_managers_costs_one_computation(boards: Boards, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirty questions at once, and again within ten seconds, are answered from one board; later it is made again."""
    made = []
    monkeypatch.setattr(boards_module, "make_board", lambda *_: made.append(1) or {"made": len(made)})
    later = NOW + timedelta(days=1)
    answers = await asyncio.gather(*(boards.board(START, NOW, Slice(kind="laka"), later) for _ in range(30)))
    assert len({id(a) for a in answers}) == 1
    assert await boards.board(START, NOW, Slice(kind="laka"), later + timedelta(seconds=9)) is answers[0]
    assert len(made) == 1
    await boards.board(START, NOW, Slice(kind="laka"), later + timedelta(seconds=11))
    assert len(made) == 2


async def test_behind_every_call_figure_stand_exactly_its_calls(boards: Boards) -> None:
    """Numbers and lists are of one length; reasons add up to all dismissed; nothing of a caller is in a row."""
    board = await board_of(boards)
    figures = board.figures.calls

    async def listed(**query: Any) -> Calls:
        asked = CallsQuery(**{**PERIOD, **query})
        answer = await ask(call_routes(boards), "/api/v1/board/calls", asked)
        assert isinstance(answer.body, bytes)
        return msgspec.json.decode(answer.body, type=Calls)

    wanted = {
        "presented": figures.presented, "answered": figures.answered, "abandoned": figures.abandoned,
        "called_back": figures.called_back, "unheard": figures.unheard, "in_time": figures.within["10"].within,
        "dismissed": sum(n for _, n in board.dismissed),
    }  # fmt: skip
    assert figures.abandoned > 0
    assert {which: (await listed(which=which)).n for which in wanted} == wanted
    for reason, n in board.dismissed:
        found = await listed(which="dismissed", reason=reason)
        assert (found.n, {r.dismissed for r in found.rows}) == (n, {reason})
    first = await listed(limit=5)
    assert [r.rang_at for r in first.rows] == sorted((r.rang_at for r in first.rows), reverse=True)
    assert (await listed(which="dismissed", reason="no such")).n == 0


async def test_who_asks_for_news_is_answered_when_there_is_some(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once when the figures are older than what is known, else with the next line, else after a bounded wait."""
    found = boards_of(2)
    last = found.ledger.fold.timeline.last_seq
    assert last is not None
    assert await found.news(last - 1) == last
    monkeypatch.setattr(boards_module, "NEWS_LOOK_S", 0.0)
    held = asyncio.create_task(found.news(last))
    await asyncio.sleep(0)
    assert not held.done()
    found.ledger.fold.timeline.last_seq = last + 1
    assert await held == last + 1
    monkeypatch.setattr(boards_module, "NEWS_S", 0.0)
    assert await found.news(last + 1) == last + 1


async def test_packed_and_plain_answers_are_the_same(boards: Boards) -> None:
    query = BoardQuery(**PERIOD)
    plain = await ask(board_routes(boards), "/api/v1/board", query)
    packed = await ask(board_routes(boards), "/api/v1/board", query, **{"Accept-Encoding": "gzip, br"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert isinstance(packed.body, bytes)
    assert gzip.decompress(packed.body) == plain.body


async def test_every_number_leads_to_exactly_its_emergencies(boards: Boards) -> None:
    """Headline, late by cause, a heat cell, a kecamatan, a unit, what was left out."""
    board = await board_of(boards)
    summary = board.figures.summary
    assert (await drill_of(boards, verdict="counted")).n == summary.headline.n
    assert (await drill_of(boards, verdict="late")).n == board.figures.late.late
    for cause in board.figures.late.causes:
        assert (await drill_of(boards, cause=cause.code)).n == cause.decisive
    for why, n in summary.excluded.items():
        assert (await drill_of(boards, why=why)).n == n
    zone = max(board.figures.zones, key=lambda z: z.n or 0)
    assert (await drill_of(boards, verdict="counted", zone=zone.code)).n == zone.n
    assert (await drill_of(boards, verdict="counted", weekday=3, hour=17)).n == board.heat[2][17].n
    day = board.figures.days[10]
    assert (await drill_of(boards, verdict="counted", day=day.label)).n == day.n
    unit = board.figures.groups["unit"][0]
    assert (await drill_of(boards, verdict="counted", unit=unit.key)).n == unit.share.n


async def test_agencies_posts_and_quantiles_lead_to_their_emergencies(boards: Boards) -> None:
    """Also who was never reached; a quantile leads to what was slower; a month leads to its days."""
    await boards.settle(NOW)
    names = [u for u in boards.ledger.units.list if u != "-"][1:]  # one unit is in no pack any more
    units = {n: msgspec.structs.replace(u, unit_id=n) for n, u in zip(names, REGION.units.values(), strict=False)}
    boards = Boards(boards.ledger, msgspec.structs.replace(REGION, units=units), boards.utilisation)
    board = await board_of(boards)
    assert len(board.agencies) > 1
    assert len(board.posts) > 5
    counted = board.figures.summary.headline.n
    for agency in board.agencies:
        assert (await drill_of(boards, verdict="counted", agency=agency.key)).n == agency.share.n
    for post in board.posts:
        assert (await drill_of(boards, verdict="counted", home=post.key)).n == post.share.n
    assert (await drill_of(boards, verdict="counted", agency="nobody")).n == 0
    summary = board.figures.summary
    for measure, quantiles in (
        ("response", summary.response),
        ("full", summary.full),
        ("transport", summary.transport),
    ):
        limit_s = quantiles.p90 or 0.0  # None: in this journal nobody ever got that far, all are slower than any time
        slower = await drill_of(boards, measure=measure, slower_than_s=limit_s, order="slowest")
        assert slower.n == counted - (math.ceil(0.9 * counted) if quantiles.p90 is not None else 0)
        assert all(r.measured_s is None or r.measured_s > limit_s for r in slower.rows)
    travel = next(p for p in summary.phases if p.name == "travel")
    assert travel.p90_s is not None
    slower = await drill_of(boards, measure="travel", slower_than_s=travel.p90_s, order="slowest")
    assert slower.n == travel.recorded - math.ceil(0.9 * travel.recorded)
    assert [r.measured_s for r in slower.rows] == sorted((r.measured_s for r in slower.rows), reverse=True)  # type: ignore[type-var]
    assert (await drill_of(boards, suspected=True, verdict="counted")).n == summary.suspected_duplicates
    corrected = {n.correction.incident_id for n in board.figures.corrections}
    assert (await drill_of(boards, corrected=True)).n == len(corrected)
    by_month = await board_of(boards, since=START - timedelta(days=400))
    for month in by_month.figures.days[-2:]:
        assert (await drill_of(boards, verdict="counted", day=month.label)).n == month.n


async def test_a_day_of_demand_leads_to_its_emergencies_of_every_priority(boards: Boards) -> None:
    board = await board_of(boards)
    for day, n in board.demand.past[-5:]:
        assert (await drill_of(boards, verdict="distinct", day=day)).n == n


async def test_units_and_hospitals_lead_to_their_jobs(boards: Boards) -> None:
    """As many as the figure says; a handover is shown with how long the crew was kept, the longest first."""
    since = START.replace(hour=17, minute=0, second=0, microsecond=0) + timedelta(days=2)  # a local midnight
    days_ = {"since": since, "until": since + timedelta(days=20)}
    board = await board_of(boards, **days_)
    assert len(board.units) > 20
    for unit in board.units:
        assert (await jobs_of(boards, unit=unit.unit_id, **days_)).n == unit.jobs
    for hospital in board.hospitals:
        found = await jobs_of(boards, which="handed_over", hospital=hospital.code, **days_)
        assert found.n == hospital.handed_over
        kept_s = [r.at_hospital_s for r in found.rows]
        assert kept_s == sorted(kept_s, reverse=True)  # type: ignore[type-var]
    assert (await jobs_of(boards, which="handed_over", **days_)).n == sum(h.handed_over for h in board.hospitals)


async def test_a_window_without_a_free_unit_leads_to_what_kept_them(boards: Boards) -> None:
    """Every job that had not ended when the window began, or was given in it."""
    since, until = START + timedelta(days=3), START + timedelta(days=3, hours=1)
    found = await jobs_of(boards, which="busy", since=since, until=until, limit=200)
    assert 0 < found.n <= 200
    for row in found.rows:
        assert row.assigned_at is not None
        assert row.assigned_at < until
        assert row.ended_at is None or row.ended_at > since
    every = [leg for leg in boards.ledger.fold.timeline.legs.values() if leg.assigned_at is not None]
    assert found.n == sum(
        leg.assigned_at < until and (leg.ended_at is None or leg.ended_at > since)  # type: ignore[operator]
        for leg in every
    )


async def test_a_hospital_is_only_asked_for_with_handovers(boards: Boards) -> None:
    with pytest.raises(Problem) as refused:
        await jobs_of(boards, hospital="RS-1")
    assert refused.value.field == "hospital"


async def test_an_unknown_measure_is_refused(boards: Boards) -> None:
    with pytest.raises(Problem) as refused:
        await drill_of(boards, measure="luck", slower_than_s=1.0)
    assert refused.value.field == "measure"


async def test_the_list_pages_through_all_slowest_first(boards: Boards) -> None:
    """Pages do not overlap; who was never reached stands before the slowest."""
    first = await drill_of(boards, verdict="late", order="slowest", limit=40)
    second = await drill_of(boards, verdict="late", order="slowest", limit=40, offset=40)
    times = [float("inf") if r.response_s is None else r.response_s for r in (*first.rows, *second.rows)]
    assert times == sorted(times, reverse=True)
    assert not {r.incident_id for r in first.rows} & {r.incident_id for r in second.rows}
    assert all(r.sentence_id for r in first.rows)
    assert (await drill_of(boards, verdict="late", offset=10_000_000)).rows == []


async def test_the_list_names_no_caller(boards: Boards) -> None:
    """No phone, name, address or position leaves with it, whatever the role."""
    answer = await ask(drill_routes(boards), "/api/v1/board/incidents", DrillQuery(**PERIOD))
    assert isinstance(answer.body, bytes)
    row = msgspec.json.decode(answer.body)["rows"][0]
    assert set(row) == {
        "incident_id", "rang_at", "verdict", "why", "priority", "kind", "zone", "response_s", "measured_s", "first_unit",
        "cause", "sentence_id", "sentence_en",
    }  # fmt: skip


async def test_the_table_holds_every_row_of_the_list(boards: Boards) -> None:
    answer = await ask(drill_routes(boards), "/api/v1/board/incidents.csv", DrillQuery(**PERIOD, verdict="late"))
    assert isinstance(answer.body, bytes)
    rows = list(csv.DictReader(io.StringIO(answer.body.decode("utf-8-sig"))))
    assert len(rows) == (await drill_of(boards, verdict="late")).n
    assert {r["verdict"] for r in rows} == {"late"}


async def test_a_table_too_large_is_refused_and_not_cut_off(boards: Boards, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drill_module, "TABLE_MAX", 20)
    with pytest.raises(Problem) as refused:
        await ask(drill_routes(boards), "/api/v1/board/incidents.csv", DrillQuery(**PERIOD))
    assert refused.value.code == "too_many_rows"
    assert refused.value.detail["rows"] > 20


async def test_one_emergency_is_a_figure_with_an_interval_that_says_how_little_that_is(boards: Boards) -> None:
    """No chart claims a change, no forecast is made up, and the number leads to the one."""
    ring_at = (await drill_of(boards, verdict="counted")).rows[0].rang_at
    assert ring_at is not None
    alone = {"since": ring_at, "until": ring_at + timedelta(microseconds=1)}
    board = await board_of(boards, **alone)
    headline = board.figures.summary.headline
    assert headline.n == (await drill_of(boards, verdict="counted", **alone)).n == 1
    assert headline.low is not None
    assert headline.high is not None
    assert headline.high - headline.low > 0.7
    assert not any(p.signal for p in (*board.figures.days, *board.figures.p90_days))


@pytest.mark.parametrize("text", ["' OR 1=1 --", "../../etc/passwd", "\u202e", "<script>alert(1)</script>", "-", "~"])
async def test_hostile_names_find_nothing_or_what_they_name(boards: Boards, text: str) -> None:
    """A name is only ever compared."""
    for field in ("kind", "zone", "unit", "why", "cause", "post", "agency", "home", "day"):
        found = await drill_of(boards, **{field: text})
        assert found.n == 0 or text == "-"
    assert (await jobs_of(boards, unit=text)).n == 0


def test_the_routes_are_documented_and_guarded(boards: Boards) -> None:
    table = [*board_routes(boards), *drill_routes(boards), *job_routes(boards)]
    assert set(openapi(table, {}, "0")["paths"]) == {
        "/api/v1/board",
        "/api/v1/board/news",
        "/api/v1/board/incidents",
        "/api/v1/board/incidents.csv",
        "/api/v1/board/jobs",
    }
    assert all(r.roles for r in table)
