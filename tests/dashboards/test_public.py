"""What the public sees, and that nobody can subtract a person out of it."""

from __future__ import annotations

import csv
import io
import itertools
from datetime import date, timedelta
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from dashboards.boards import Boards
from dashboards.public import (
    COLUMNS,
    Atom,
    CardQuery,
    PublicFigures,
    as_atom,
    as_csv,
    atoms,
    make_public,
    routes,
    spans,
)
from dispatch.api.problems import Problem
from dispatch.api.routes import openapi
from sla.disclosure import SMALL_N
from sla.sample import START
from tests.dashboards.atoms import ATOM, check_atom
from tests.dashboards.test_boards import REGION, ask, board_of, boards_of

DAYS = 64
NOW = START + timedelta(days=DAYS, hours=3)


@pytest.fixture(scope="module")
def boards() -> Boards:
    return boards_of(DAYS)


@pytest.fixture(scope="module")
def village() -> Boards:
    """Somewhere with about one emergency a day: every cell is small."""
    return boards_of(DAYS, seed=3, a_day=1.2)


async def figures(boards: Boards, now: Any = NOW) -> PublicFigures:
    await boards.settle(now)
    long, month = spans(now, REGION.utc_offset_h)
    return make_public(boards.ledger.view(*long), boards.ledger.view(*month), REGION, now)


async def served(boards: Boards, path: str, query: Any = None, **headers: str) -> web.Response:
    return await ask(routes(boards), path, query, NOW, **headers)


async def test_a_server_that_still_reads_the_past_publishes_no_half_figures() -> None:
    """Nothing at first; after a change of leader the last whole answer, however old, instead of a half one."""
    found = boards_of(3)
    found.catching_up = lambda: True
    with pytest.raises(Problem) as refused:
        await served(found, "/api/v1/public/figures")
    assert refused.value.code == "figures_not_ready"
    found.catching_up = lambda: False
    whole = (await served(found, "/api/v1/public/figures")).body
    found.catching_up = lambda: True
    later = await ask(routes(found), "/api/v1/public/figures", None, NOW + timedelta(days=1))
    assert later.body == whole


async def test_a_board_does_not_wait_for_the_past() -> None:
    """It answers with what is there, and says that it is not whole."""
    found = boards_of(20)
    found.catching_up = lambda: True
    assert (await board_of(found)).catching_up
    found.catching_up = lambda: False
    later = await board_of(found, until=NOW + timedelta(days=1))
    assert not later.catching_up
    assert later.figures.summary.headline.n > 0


async def test_the_public_sees_whole_days_only(boards: Boards) -> None:
    """Every period ends at a local midnight that has passed, so that reloading shows no single emergency arrive."""
    public = await figures(boards)
    assert [p.period for p in public.periods] == ["day", "month", "year"]
    for period in public.periods:
        assert period.until <= NOW
        assert (period.until + timedelta(hours=7)).hour == 0
        assert period.until - period.since >= timedelta(days=1)


async def test_the_public_figure_is_the_headline(boards: Boards) -> None:
    """Not another way of counting: the same share over the same days."""
    public = await figures(boards)
    for period in public.periods:
        assert period.headline == boards.ledger.fold.headline(NOW, period.since, period.until)


async def test_two_pages_of_one_month_cannot_be_subtracted_by_kecamatan(boards: Boards) -> None:
    """The kecamatan table is about one whole calendar month: it is the same all through the next."""
    first, second = await figures(boards), await figures(boards, NOW + timedelta(days=1))
    assert first.month == second.month
    assert first.zones == second.zones


@pytest.mark.parametrize("place", ["boards", "village"])
async def test_no_small_number_is_shown_by_kecamatan(place: str, request: pytest.FixtureRequest) -> None:
    """Counts of one to four are blank; a single blank would be the difference to a printed total, so it is never alone."""
    public = await figures(request.getfixturevalue(place))
    shown = [z for z in public.zones if z.n is not None]
    for zone in shown:
        assert zone.within is not None
        assert zone.n is not None
        for count in (zone.n, zone.within, zone.n - zone.within):
            assert count == 0 or count >= SMALL_N
    assert len(public.zones) - len(shown) != 1


async def test_no_difference_between_any_two_pages_is_a_small_number(village: Boards) -> None:
    """The attack: keep every page of two months and subtract every pair of overlapping spans of each other."""
    seen: dict[tuple[str, str], int] = {}
    for day in range(1, DAYS + 1):
        public = await figures(village, START + timedelta(days=day, hours=3))
        for d in public.days:
            assert seen.setdefault((d.day, d.last), d.n) == d.n, "an atom was cut anew"
        for p in public.periods:
            last = (p.until + timedelta(hours=7) - timedelta(days=1)).date().isoformat()
            seen[((p.since + timedelta(hours=7)).date().isoformat(), last)] = p.headline.n
    assert len(seen) > 30
    for ((a0, a1), a), ((b0, b1), b) in itertools.permutations(seen.items(), 2):
        if a0 <= b0 and b1 <= a1:  # b lies inside a: what is left of a
            assert a - b == 0 or a - b >= SMALL_N, ((a0, a1), (b0, b1))
    starts: dict[str, list[int]] = {}
    for (first, _), n in seen.items():
        starts.setdefault(first, []).append(n)
    for counts in starts.values():
        for one, other in itertools.combinations(counts, 2):
            assert one == other or abs(one - other) >= SMALL_N


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=60))
def test_atoms_are_never_small_and_never_cut_anew(days: list[tuple[int, int]]) -> None:
    """More days only ever add atoms; each holds nobody or at least five."""
    counts = [(max(a, b), min(a, b)) for a, b in days]
    first = date(2026, 1, 1)
    found = atoms(first, counts)
    for atom in found:
        assert atom.n == 0 or atom.n >= SMALL_N
    for k in range(len(counts)):
        assert found[: len(atoms(first, counts[:k]))] == atoms(first, counts[:k])
    for before, after in itertools.pairwise(found):
        assert after.first == before.last + timedelta(days=1)
    assert atoms(first, []) == []
    assert atoms(first, [(5, 5)]) == [Atom(first, first, 5, 5)]


async def test_the_public_answer_names_no_incident_unit_or_open_emergency(boards: Boards) -> None:
    """Nothing that looks like an id of ours leaves with it."""
    text = msgspec.json.encode(await figures(boards)).decode()
    case = next(iter(boards.ledger.fold.timeline.cases))
    assert case not in text
    for word in ("incident", "unit", "open", "excluded_ids"):
        assert f'"{word}"' not in text


async def test_the_table_holds_the_same_figures_and_the_dictionary_its_columns(boards: Boards) -> None:
    """CSV and JSON agree, blanked cells are empty, no column is unexplained."""
    public = await figures(boards)
    table = list(csv.DictReader(io.StringIO(as_csv(public))))
    month = next(r for r in table if r["table"] == "period" and r["key"] == "month")
    assert int(month["n"]) == next(p for p in public.periods if p.period == "month").headline.n
    assert sum(r["table"] == "zone" and r["n"] == "" for r in table) == sum(z.n is None for z in public.zones)
    assert set(table[0]) == set(COLUMNS)
    answer = await served(boards, "/api/v1/public/dictionary")
    assert isinstance(answer.body, bytes)
    assert {c["column"] for c in msgspec.json.decode(answer.body)["columns"]} == set(COLUMNS)


async def test_who_has_the_answer_already_is_not_sent_it_again(boards: Boards) -> None:
    first = await served(boards, "/api/v1/public/figures")
    again = await served(boards, "/api/v1/public/figures", **{"If-None-Match": first.headers["ETag"]})
    assert (again.status, again.body) == (304, None)
    other = await served(boards, "/api/v1/public/figures", **{"If-None-Match": '"else"'})
    assert (other.status, other.body) == (200, first.body)


@pytest.mark.parametrize("theme", ["day", "night", "</text><script>"])
@pytest.mark.parametrize("lang", ["id", "en", "'\""])
async def test_the_card_is_a_picture_whatever_is_asked(boards: Boards, lang: str, theme: str) -> None:
    """Well-formed, without script, with a text for who cannot see it."""
    answer = await served(boards, "/api/v1/public/card.svg", CardQuery(lang, theme))
    assert isinstance(answer.body, bytes)
    root = ElementTree.fromstring(answer.body)
    assert root.attrib["role"] == "img"
    assert "7" in root.attrib["aria-label"]
    assert b"script" not in answer.body


async def test_the_feed_of_figures_is_atom_and_names_each_days_entry_anew(boards: Boards) -> None:
    """A reader shows a new figure once, and no figure twice."""
    first = check_atom(as_atom(await figures(boards)))
    again = check_atom(as_atom(await figures(boards, NOW + timedelta(hours=2))))
    later = check_atom(as_atom(await figures(boards, NOW + timedelta(days=1))))
    names = [[e.findtext(f"{ATOM}id") for e in feed.findall(f"{ATOM}entry")] for feed in (first, again, later)]
    assert len(names[0]) == 3
    assert names[0] == names[1]
    assert not set(names[0]) & set(names[2])


async def test_an_empty_journal_shows_no_figure() -> None:
    public = await figures(boards_of(0.0))
    assert (public.periods, public.days, public.zones, public.month) == ([], [], [], None)


def test_the_routes_are_open_and_limited(boards: Boards) -> None:
    """They stand in the OpenAPI document without a guard, each with the limit on addresses."""
    table = routes(boards)
    assert all(not r.roles and r.limit == "public_read" for r in table)
    assert set(openapi(table, {}, "0")["paths"]) == {
        "/api/v1/public/figures",
        "/api/v1/public/figures.csv",
        "/api/v1/public/figures.atom",
        "/api/v1/public/dictionary",
        "/api/v1/public/card.svg",
    }
