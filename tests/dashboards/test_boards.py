"""The managers' board and the public figures, over drawn days."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from aiohttp import web

from dashboards.boards import Board, BoardQuery, Boards, PublicFigures, as_csv, routes
from dispatch.api.problems import Problem
from dispatch.api.routes import openapi
from dispatch.pack import load
from sla.disclosure import SMALL_N
from sla.live import SlaFold
from sla.sample import START, journal

PACK = Path(__file__).resolve().parents[2] / "regions" / "surabaya"
DAYS = 34
NOW = START + timedelta(days=DAYS, hours=3)


@pytest.fixture(scope="module")
def boards() -> Boards:
    region = load(PACK)
    fold = SlaFold.of(region)
    for entry in journal(DAYS, seed=5):
        fold.apply(entry)
    return Boards(fold, region)


async def ask(boards: Boards, path: str, query: Any = None) -> web.Response:
    route = next(r for r in routes(boards) if r.path == path)
    services = SimpleNamespace(clock=SimpleNamespace(now=lambda: NOW))
    answer = await route.handler(SimpleNamespace(services=services, query=query))  # type: ignore[arg-type]
    assert isinstance(answer, web.Response)
    return answer


async def test_the_board_says_the_same_as_the_one_definition(boards: Boards) -> None:
    """The headline is `SlaFold.headline` to the digit, and every cause and phase has its names."""
    answer = await ask(boards, "/api/v1/board", BoardQuery(START, NOW))
    assert isinstance(answer.body, bytes)
    board = msgspec.json.decode(answer.body, type=Board)
    assert board.figures.summary.headline == boards.fold.headline(NOW, START, NOW)
    assert board.figures.summary.headline.n > 100
    assert {c.code for c in board.figures.late.causes if c.decisive} <= set(board.cause_names)
    assert {p.name for p in board.figures.summary.phases} <= set(board.phase_names)


async def test_an_impossible_period_is_refused(boards: Boards) -> None:
    """The wrong way round, and more than ten years."""
    for since, until in ((NOW, START), (START - timedelta(days=4000), NOW)):
        with pytest.raises(Problem, match="invalid_query"):
            await ask(boards, "/api/v1/board", BoardQuery(since, until))


def test_the_public_sees_whole_days_only(boards: Boards) -> None:
    """Every period ends at last midnight, so that reloading the page shows no single emergency arrive."""
    public = boards.public(NOW)
    for period in public.periods:
        assert period.until <= NOW
        assert (period.until + timedelta(hours=7)).hour == 0
        assert period.until - period.since >= timedelta(days=1)


def test_two_pages_of_one_month_cannot_be_subtracted_by_kecamatan(boards: Boards) -> None:
    """The kecamatan table is about one whole calendar month: it is the same all through the next."""
    later = Boards(boards.fold, boards.region)
    first, second = boards.public(NOW), later.public(NOW + timedelta(days=1))
    assert first.month == second.month
    assert first.zones == second.zones


def test_no_small_number_is_shown_or_can_be_computed(boards: Boards) -> None:
    """Counts of one to four are blank; a single blank would be the difference to a printed total, so it is never alone."""
    public = boards.public(NOW)
    assert public.zones
    shown = [z for z in public.zones if z.n is not None]
    for zone in shown:
        assert zone.within is not None
        assert zone.n is not None
        for count in (zone.n, zone.within, zone.n - zone.within):
            assert count == 0 or count >= SMALL_N
    assert len(public.zones) - len(shown) != 1
    for day in public.days:
        assert day.n is None or day.n >= SMALL_N


def test_the_public_answer_names_no_incident_unit_or_open_emergency(boards: Boards) -> None:
    """Nothing that looks like an id of ours leaves with it."""
    text = msgspec.json.encode(boards.public(NOW)).decode()
    case = next(iter(boards.fold.timeline.cases))
    assert case not in text
    for word in ("incident", "unit", "open", "excluded_ids"):
        assert word not in PublicFigures.__struct_fields__
        assert f'"{word}"' not in text


def test_the_table_holds_the_same_figures(boards: Boards) -> None:
    """CSV and JSON agree, and blanked cells are empty."""
    public = boards.public(NOW)
    rows = list(csv.DictReader(io.StringIO(as_csv(public))))
    month = next(r for r in rows if r["table"] == "period" and r["key"] == "month")
    assert int(month["n"]) == next(p for p in public.periods if p.period == "month").headline.n
    assert sum(r["table"] == "zone" and r["n"] == "" for r in rows) == sum(z.n is None for z in public.zones)


def test_a_room_full_of_managers_costs_one_computation(boards: Boards) -> None:
    """The same question within ten seconds gets the same object; later it is computed again."""
    first = boards.board(START, NOW, NOW)
    assert boards.board(START, NOW, NOW + timedelta(seconds=9)) is first
    assert boards.board(START, NOW, NOW + timedelta(seconds=11)) is not first


def test_the_routes_are_documented(boards: Boards) -> None:
    """They stand in the OpenAPI document, the public ones without a guard."""
    table = routes(boards)
    assert set(openapi(table, {}, "0")["paths"]) == {
        "/api/v1/board",
        "/api/v1/public/figures",
        "/api/v1/public/figures.csv",
    }
    assert {r.path for r in table if not r.roles} == {"/api/v1/public/figures", "/api/v1/public/figures.csv"}
