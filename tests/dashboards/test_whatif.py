"""What-if: the paired comparison, the queue and its processes, and what the server lets whom ask."""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import numpy as np
import pytest

from dashboards import whatif
from dashboards.keeping import Keeping
from dashboards.scenario import (
    AddUnits,
    Changes,
    Drawn,
    Place,
    Question,
    RankQuestion,
    blocks,
    check,
    compare,
    paired,
)
from dashboards.whatif import Job, Store, Workshop, read_costs
from dispatch.api.problems import Problem
from dispatch.model import Rejected
from dispatch.pack import load
from siaga.serve import Server
from tests.dispatch.server import ROLES, client, town_server

PACK = Path(__file__).resolve().parents[2] / "regions" / "surabaya"
REGION = load(PACK)
NOW = datetime(2026, 5, 1, tzinfo=UTC)
ONE_MORE = Changes(add=[AddUnits("motorbike", 1, "DK-PAKAL", from_h=6, to_h=10)])
QUESTION = Question("Satu motor lagi di Pakal", ONE_MORE, 14)

FAKE = """
import json, sys, time
block = json.load(sys.stdin)
mode = {mode!r}
print(json.dumps(dict(progress=0.5)), flush=True)
if mode == "wait":
    time.sleep(600)
if mode == "first only" and block["first_day"] > 0:
    time.sleep(600)
if mode == "die":
    sys.exit("no such road")
if mode == "refuse":
    print(json.dumps(dict(refused=dict(code="no_demand", field="demand.toml", detail={{}}))), flush=True)
    sys.exit(0)
late, soon = 500.0, 300.0
arms = len(block["arms"])
columns = [[late, soon, late, soon]] + [[soon, soon, late, None]] * (arms - 1)
print(json.dumps(dict(drawn=dict(day=[1, 1, 2, 2], zone=[0, 0, 1, 1], response_s=columns, zones=["a", "b"], moves=[3] * arms,
    target_s=420.0, approximate_roads=True, policy="siaga"))), flush=True)
"""


def drawn(*columns: list[float | None]) -> Drawn:
    n = len(columns[0])
    return Drawn(list(range(n)), [0] * n, list(columns), ["35.78.01"], [0] * len(columns), 420.0, True, "siaga")


def workshop(tmp_path: Path, mode: str = "answer") -> Workshop:
    store = Forgetful()
    return Workshop([sys.executable, "-c", FAKE.format(mode=mode)], REGION, PACK, tmp_path, store, lambda: NOW)


class Forgetful(Store):
    def __init__(self) -> None:
        self.jobs: list[Job] = []

    async def keep(self, job: Job) -> None:
        self.jobs.append(job)


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Workshop]:
    found = workshop(tmp_path)
    task = asyncio.create_task(found.run())
    yield found
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def until(condition: Any) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in another process
            await asyncio.sleep(0.01)


# --- the comparison


def test_the_interval_is_that_of_the_days_differences() -> None:
    """With as many emergencies every day it is Student's interval of the daily means."""
    rng = np.random.default_rng(3)
    day = np.repeat(np.arange(20), 5)
    difference = rng.choice([-1.0, 0.0, 1.0], 100)
    mean, low, high = paired(difference, day)
    daily = difference.reshape(20, 5).mean(axis=1)
    half = 2.0930240544 * daily.std(ddof=1) / math.sqrt(20)  # t(0.975, 19)
    assert mean == pytest.approx(daily.mean())
    assert (low, high) == pytest.approx((daily.mean() - half, daily.mean() + half))


def test_the_interval_holds_what_it_promises() -> None:
    """Of many drawn worlds with a known difference about 95 % of intervals hold it, also when days hang together."""
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(400):
        effect = rng.normal(0.02, 0.05, 28)  # good and bad days
        day = np.repeat(np.arange(28), 40)
        difference = (rng.random(len(day)) < 0.3 + effect[day]) * 1.0 - (rng.random(len(day)) < 0.3)
        _, low, high = paired(difference, day)
        held += low <= 0.02 <= high
    assert 0.91 <= held / 400 <= 0.98


def test_nobody_came_is_late_in_both_worlds() -> None:
    """A call that was never reached counts as late, before and after."""
    answer = compare([drawn([None, 400.0, 500.0], [410.0, None, 500.0])], 1, {}, Changes(move_up=False))
    assert (answer.before.within, answer.after.within, answer.change) == (1, 1, 0.0)
    assert [(z.gained, z.lost) for z in answer.zones] == [(1, 1)]
    assert answer.p90_before_s is None


@pytest.mark.parametrize(
    ("cost_hour", "after", "known"),
    [(100_000.0, 300.0, True), (None, 300.0, False), (100_000.0, 500.0, False)],
)
def test_cost_is_said_only_when_it_is_known_and_something_was_gained(
    cost_hour: float | None, after: float, known: bool
) -> None:
    """Four hours a day for a year over the emergencies a year that are in time because of it."""
    changes = Changes(add=[AddUnits("motorbike", 1, "DK-PAKAL", from_h=22, to_h=2, cost_hour=cost_hour)])
    answer = compare([drawn([500.0] * 10, [after] * 10)], 1, {}, changes)
    if known:
        assert answer.cost_yearly == pytest.approx(4 * 365 * 100_000.0)
        assert answer.cost_each == pytest.approx(400_000.0)  # ten in ten days: one a day
    else:
        assert answer.cost_each is None
        assert (answer.cost_yearly is None) == (cost_hour is None)


def test_hourly_costs_come_from_the_pack_when_it_has_any(tmp_path: Path) -> None:
    """No file: unknown. A wrong one is named when the server starts."""
    assert read_costs(tmp_path, REGION) == {}
    file = tmp_path / "costs.toml"
    file.write_text('[motorbike]\nhour = 85000\nsource = "contoh"\n')
    assert read_costs(tmp_path, REGION) == {"motorbike": 85_000.0}
    for wrong in (
        '[motorbike]\nhour = -1\nsource = "x"',
        "[motorbike]\nhour = 1",
        '[airship]\nhour = 1\nsource = "x"',
        "[",
    ):
        file.write_text(wrong)
        with pytest.raises(ValueError, match=r"costs\.toml"):
            read_costs(tmp_path, REGION)


def test_blocks_cover_the_days_and_the_year() -> None:
    for days in range(7, 85):
        of = blocks(days)
        assert sum(size for size, _ in of) == days
        assert all(size <= 14 for size, _ in of)
        assert of[0] == (5, 0)  # soon answered
    assert [first for _, first in blocks(56)] == [0, 73, 146, 219, 292]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        (Changes(), "nothing_to_compare"),
        (Changes(close=["NO-POST"]), "unknown_post"),
        (Changes(close=["DK-PAKAL"], add=[AddUnits("motorbike", post="DK-PAKAL")]), "unknown_post"),
        (Changes(add=[AddUnits("airship", post="DK-PAKAL")]), "unknown_unit_type"),
        (Changes(add=[AddUnits("motorbike", lon=0.0, lat=0.0)]), "outside_region"),
        (Changes(add=[AddUnits("motorbike")]), "unknown_post"),
    ],
)
def test_a_question_that_does_not_fit_the_region_is_refused(changes: Changes, code: str) -> None:
    with pytest.raises(Rejected) as refused:
        check(Question("x", changes), REGION)
    assert refused.value.code == code


# --- the queue


async def test_a_question_is_simulated_in_a_process_and_kept(running: Workshop) -> None:
    """Progress on the way; blocks of one question are added up."""
    job = running.submit(QUESTION, "ayu")
    await until(lambda: job.state == "done")
    assert job.answer is not None
    assert (job.answer.before.within, job.answer.after.within, job.answer.before.n) == (4, 4, 8)
    assert running.store.jobs == [job]  # type: ignore[attr-defined]
    assert job.id not in running.jobs


async def test_an_answer_stands_there_after_the_first_short_block_and_narrows(tmp_path: Path) -> None:
    """Of fewer days and said to be running; nothing is kept before the whole has been simulated."""
    found = workshop(tmp_path, mode="first only")
    task = asyncio.create_task(found.run())
    job = found.submit(QUESTION, "ayu")
    await until(lambda: job.answer is not None and job.progress > 5 / 14)
    assert job.answer is not None
    assert (job.state, job.answer.before.n) == ("running", 4)
    assert found.store.jobs == []  # type: ignore[attr-defined]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    twice = drawn([500.0, 300.0] * 8, [300.0, 300.0] * 4 + [500.0, 300.0] * 4)
    first, both = compare([twice], 1, {}, ONE_MORE), compare([twice, twice], 1, {}, ONE_MORE)
    assert both.change == first.change
    assert both.high - both.low < first.high - first.low


async def test_a_ranking_without_simulation_needs_no_scenario(tmp_path: Path) -> None:
    """Its one short block is the city as it is: the list comes with it."""
    found = workshop(tmp_path)
    task = asyncio.create_task(found.run())
    job = found.submit(RankQuestion("motorbike", check=0), "ayu")
    await until(lambda: job.state == "done")
    assert job.ranked is not None
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_running_question_can_be_stopped_and_its_process_is_gone(tmp_path: Path) -> None:
    """The next in the queue goes on."""
    found = workshop(tmp_path, mode="wait")
    started: list[asyncio.subprocess.Process] = []
    create = asyncio.create_subprocess_exec

    async def remember(*command: Any, **more: Any) -> asyncio.subprocess.Process:
        started.append(await create(*command, **more))
        return started[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio, "create_subprocess_exec", remember)
        task = asyncio.create_task(found.run())
        first, second = found.submit(QUESTION, "ayu"), found.submit(QUESTION, "ayu")
        await until(lambda: first.progress > 0)
        assert found.cancel(first.id)
        await until(lambda: second.progress > 0)
        assert (first.state, second.state) == ("cancelled", "running")
        assert started[0].returncode is not None
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert all(p.returncode is not None for p in started)


@pytest.mark.parametrize(("mode", "why"), [("die", "internal"), ("refuse", "no_demand")])
async def test_a_simulation_that_fails_says_so_and_the_queue_goes_on(tmp_path: Path, mode: str, why: str) -> None:
    found = workshop(tmp_path, mode=mode)
    task = asyncio.create_task(found.run())
    first, second = found.submit(QUESTION, "ayu"), found.submit(QUESTION, "ayu")
    await until(lambda: second.state == "failed")
    assert (first.state, first.why) == ("failed", why)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_simulation_that_takes_too_long_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whatif, "TIMEOUT_S", 0.5)
    found = workshop(tmp_path, mode="wait")
    task = asyncio.create_task(found.run())
    job = found.submit(QUESTION, "ayu")
    await until(lambda: job.state == "failed")
    assert job.why == "too_long"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_the_queue_is_short(tmp_path: Path) -> None:
    found = workshop(tmp_path)
    for _ in range(whatif.WAITING_MAX + 1):
        found.submit(QUESTION, "ayu")
    with pytest.raises(Problem) as refused:
        found.submit(QUESTION, "ayu")
    assert refused.value.code == "whatif_queue_full"


async def test_answers_are_kept_newest_first_and_no_more_than_a_hundred(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whatif, "KEPT_MAX", 3)
    store = Store(Keeping(pool, "surabaya"))
    for n in range(5):
        asked = Question(f"nomor {n}", ONE_MORE)
        await store.keep(Job(f"id{n}", asked.name, asked, None, "ayu", NOW.replace(minute=n), "done"))
    assert [j.name for j in await store.kept()] == ["nomor 4", "nomor 3", "nomor 2"]
    assert await store.forget("id4")
    assert not await store.forget("id4")
    assert [j.id for j in await store.kept()] == ["id3", "id2"]


# --- the list of places


def test_only_places_that_were_simulated_claim_a_simulated_change() -> None:
    places = [Place(str(n), f"Desa {n}", "a", 112.7, -7.2, 0.1 - n / 100) for n in range(4)]
    one = drawn([500.0, 500.0], [300.0, 500.0], [500.0, 300.0])
    ranked = whatif._ranked([Drawn(**{**{f: getattr(one, f) for f in one.__struct_fields__}, "places": places})], {})
    assert [r.answer is not None for r in ranked] == [True, True, False, False]


# --- the server


@pytest.fixture
async def server(database: str, tmp_path: Path) -> AsyncIterator[Server]:
    async with town_server(database, tmp_path) as running:
        yield running


async def test_only_managers_and_administrators_ask(server: Server) -> None:
    for who in (*ROLES, None):
        async with client(server, who) as caller:
            allowed = who in ("manager", "admin")
            assert (await caller.get("/api/v1/what-if"))[0] == (200 if allowed else 401 if who is None else 403)
            body = {"name": "x", "changes": {"move_up": False}}
            status, answer = await caller.post("/api/v1/what-if", body)
            assert (status, answer["code"]) == ((422, "no_demand") if allowed else (status, answer["code"]))
            assert allowed or status in (401, 403)


async def test_a_ranking_needs_a_known_type(server: Server) -> None:
    async with client(server, "manager") as manager:
        status, answer = await manager.post("/api/v1/what-if/ranking", {"unit_type": "airship"})
        assert status == 422
        async with manager.http.delete(server.url + "/api/v1/what-if/none", headers=manager.headers) as r:
            assert r.status == 404
        status, answer = await manager.get("/api/v1/what-if")
        assert answer["can_simulate"] is False


def test_a_ranking_is_checked_against_the_region() -> None:
    with pytest.raises(Rejected):
        check(RankQuestion("airship"), REGION)
