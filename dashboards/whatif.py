"""What-if questions of managers: one at a time in processes of their own, a short queue, progress, cancelling, and what is kept.

The live loop only starts processes and reads their lines; simulated cities run elsewhere at the lowest priority
(`simulators/whatif.py`; the command is given by `siaga/rooms.py`, because this room knows no simulator). Answered questions
are kept in the table `scenario`; one that still ran when its server stopped is lost and has to be asked again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
from aiohttp import web

from dashboards.keeping import Keeping
from dashboards.scenario import (
    Answer,
    Block,
    Changes,
    Drawn,
    Question,
    Ranked,
    RankQuestion,
    blocks,
    check,
    compare,
)
from dispatch.api.problems import Problem
from dispatch.api.routes import ADMIN, MANAGER, Call, Route, json
from dispatch.model import Rejected
from dispatch.region import Region
from sla.reach import first_capabilities

log = logging.getLogger("siaga.whatif")

ASKERS = frozenset({MANAGER, ADMIN})
WAITING_MAX = 5
"""Questions in the queue; each takes minutes, and a longer queue would only be forgotten."""
KEPT_MAX = 100
LISTED_MAX = 50
PROCESSES_MAX = 3
TIMEOUT_S = 3600.0
"""Twelve weeks with the slowest policy take some minutes on a free core; beyond an hour something is wrong."""
LINE_MAX = 32 * 1024 * 1024
"""The longest line is a block's result: two weeks of a city of millions with five arms is under a megabyte."""
ERROR_SHOWN = 400


class Job(msgspec.Struct):
    """A question on its way, or answered. `state`: queued -> running -> done | failed | cancelled.

    While it runs, `answer` and `ranked` are those of the blocks simulated so far: fewer days, a wider interval.
    """

    id: str
    name: str
    asked: Question | None
    ranking: RankQuestion | None
    made_by: str
    made_at: datetime
    state: str = "queued"
    progress: float = 0.0
    done_at: datetime | None = None
    answer: Answer | None = None
    ranked: list[Ranked] | None = None
    why: str = ""
    """Code of a refusal, or what went wrong."""


class Option(msgspec.Struct, frozen=True):
    """Something a scenario may name."""

    code: str
    name: str
    lon: float | None = None
    lat: float | None = None
    first: bool = False
    """A unit type that may arrive first at a medical emergency."""
    cost_hour: float | None = None
    """Rupiah an hour on duty, where the pack's `costs.toml` says so."""


class WhatIfs(msgspec.Struct, frozen=True):
    """Everything the screen needs: questions, newest first, and what a new one may name."""

    jobs: list[Job]
    posts: list[Option]
    unit_types: list[Option]
    policy: str
    moves_up: bool
    """Whether the region's own policy moves free units."""
    can_simulate: bool
    """The pack counts its demand; without that nothing can be drawn."""
    approximate: bool


class Store:
    """Answered questions of one region. Raises JournalUnavailable when the database is away."""

    def __init__(self, keeping: Keeping) -> None:
        self.keeping = keeping

    async def keep(self, job: Job) -> None:
        region = self.keeping.region
        await self.keeping.execute("put_scenario", job.id, region, job.made_at, msgspec.json.encode(job))
        await self.keeping.execute("prune_scenarios", region, KEPT_MAX)

    async def kept(self) -> list[Job]:
        rows = await self.keeping.fetch("scenarios", self.keeping.region, LISTED_MAX)
        return [msgspec.json.decode(row["kept"], type=Job) for row in rows]

    async def forget(self, job_id: str) -> bool:
        return await self.keeping.value("drop_scenario", self.keeping.region, job_id) is not None


class Workshop:
    """The queue of one server. `run` works beside serving until it is cancelled; everything else is called by handlers."""

    def __init__(
        self, command: Sequence[str], region: Region, pack: Path, var: Path, store: Store, now: Callable[[], datetime]
    ) -> None:
        self.command = tuple(command)
        self.region = region
        self.pack, self.var = pack, var
        self.store = store
        self.now = now
        self.costs = read_costs(pack, region)
        self.processes = max(1, min(PROCESSES_MAX, (os.cpu_count() or 1) - 1))
        self.jobs: OrderedDict[str, Job] = OrderedDict()
        """Queued and running ones, and failed ones until the server stops."""
        self._came = asyncio.Event()
        self._running: tuple[str, asyncio.Task[None]] | None = None

    def submit(self, asked: Question | RankQuestion, by: str) -> Job:
        """Raises Rejected for a question that does not fit the region, Problem("whatif_queue_full")."""
        if self.region.demand is None:
            raise Rejected("no_demand", None, folder=self.pack.name)
        check(asked, self.region)
        if sum(j.state in ("queued", "running") for j in self.jobs.values()) > WAITING_MAX:
            raise Problem("whatif_queue_full", retry_after_s=60)
        ranking = asked if isinstance(asked, RankQuestion) else None
        question = asked if isinstance(asked, Question) else None
        name = question.name if question is not None else ""
        job = Job(secrets.token_hex(8), name, question, ranking, by, self.now())
        self.jobs[job.id] = job
        while len(self.jobs) > KEPT_MAX:
            self.jobs.popitem(last=False)
        self._came.set()
        return job

    def cancel(self, job_id: str) -> bool:
        """Stop or forget a question that is not kept yet; False when there is none of that id."""
        job = self.jobs.get(job_id)
        if job is None:
            return False
        if self._running is not None and self._running[0] == job_id:
            self._running[1].cancel()
        if job.state in ("queued", "running"):
            job.state, job.done_at = "cancelled", self.now()
        else:
            del self.jobs[job_id]
        return True

    async def run(self) -> None:
        """One question after the other, in the order they came."""
        while True:
            job = next((j for j in self.jobs.values() if j.state == "queued"), None)
            if job is None:
                self._came.clear()
                await self._came.wait()
                continue
            job.state = "running"
            task = asyncio.create_task(self._answer(job), name=f"what-if {job.id}")
            self._running = (job.id, task)
            try:
                await asyncio.wait({task})
            finally:
                self._running = None
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def _answer(self, job: Job) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await self._simulate(job)
            job.state, job.progress, job.done_at = "done", 1.0, self.now()
            await self.store.keep(job)
            self.jobs.pop(job.id, None)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # whatever a simulation dies of, the queue goes on
            refused = next((e for e in _leaves(error) if isinstance(e, Rejected)), None)
            if job.state == "done":
                log.warning("answer of %s could not be kept: %s", job.id, error)
                return  # it stays in memory and on the screen
            job.state, job.done_at = "failed", self.now()
            if refused is not None:
                job.why = refused.code
            elif isinstance(error, TimeoutError):
                job.why = "too_long"
            else:
                job.why = "internal"
                log.exception("what-if %s failed", job.id)

    async def _simulate(self, job: Job) -> None:
        asked = job.asked or job.ranking
        assert asked is not None, "a job has one of the two"
        arms = [Changes(), *([job.asked.changes] if job.asked is not None else [])]
        of = blocks(asked.days)
        if job.ranking is not None and job.ranking.check == 0:
            of = [(1, 0)]
        shares = [0.0] * len(of)
        total = sum(days for days, _ in of)
        free = asyncio.Semaphore(self.processes)
        drawn: dict[int, Drawn] = {}

        async def one(number: int, days: int, first_day: int) -> None:
            def tell(share: float) -> None:
                shares[number] = share
                job.progress = sum(s * d for s, (d, _) in zip(shares, of, strict=True)) / total

            async with free:
                block = Block(
                    str(self.pack), str(self.var), arms, days, asked.seed * 1000 + number, first_day, job.ranking
                )
                drawn[number] = await self.process(block, tell)
            tell(1.0)
            await self._say(job, [drawn[n] for n in sorted(drawn)])

        async with asyncio.TaskGroup() as group:
            for number, (days, first_day) in enumerate(of):
                group.create_task(one(number, days, first_day))

    async def _say(self, job: Job, drawn: list[Drawn]) -> None:
        """The answer of the blocks simulated so far."""
        names = {z.code: z.name for z in self.region.zones.values()}
        if job.asked is not None:
            job.answer = await asyncio.to_thread(compare, drawn, 1, names, job.asked.changes)
        else:
            job.ranked = await asyncio.to_thread(_ranked, drawn, names)

    async def process(self, block: Block, tell: Callable[[float], None]) -> Drawn:
        """One process, from start to its last line; killed when this is cancelled. Raises Rejected, RuntimeError."""
        process = await asyncio.create_subprocess_exec(
            *self.command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=LINE_MAX,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        errors = asyncio.create_task(process.stderr.read(), name="what-if errors")
        try:
            process.stdin.write(msgspec.json.encode(block))
            with contextlib.suppress(ConnectionError):  # it died at once; its last words are in stderr
                await process.stdin.drain()
            process.stdin.close()
            drawn = None
            async for line in process.stdout:
                told = msgspec.json.decode(line, type=Told)
                if told.refused is not None:
                    raise Rejected(told.refused.code, told.refused.field)
                if told.progress is not None:
                    tell(told.progress)
                drawn = told.drawn if told.drawn is not None else drawn
            if await process.wait() or drawn is None:
                raise RuntimeError((await errors).decode(errors="replace")[-ERROR_SHOWN:])
            return drawn
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            errors.cancel()
            await asyncio.gather(errors, return_exceptions=True)


class Cost(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one unit on duty costs, and who says so."""

    hour: Annotated[float, msgspec.Meta(ge=0.0, le=1e9)]
    source: Annotated[str, msgspec.Meta(min_length=1)]


def read_costs(pack: Path, region: Region) -> dict[str, float]:
    """Rupiah an hour by unit type from the pack's optional `costs.toml`. Raises ValueError naming what is wrong in it."""
    path = pack / "costs.toml"
    if not path.exists():
        return {}
    try:
        found = msgspec.toml.decode(path.read_bytes(), type=dict[str, Cost])
    except msgspec.DecodeError as error:
        raise ValueError(f"{path.name}: {error}") from None
    unknown = sorted(found.keys() - region.unit_types.keys())
    if unknown:
        raise ValueError(f"{path.name}: unknown unit types {unknown}")
    return {code: cost.hour for code, cost in found.items()}


class Refusal(msgspec.Struct, frozen=True):
    code: str
    field: str | None = None
    detail: dict[str, Any] = {}


class Told(msgspec.Struct, frozen=True):
    """One line of a simulating process."""

    progress: float | None = None
    drawn: Drawn | None = None
    refused: Refusal | None = None


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for e in error.exceptions for leaf in _leaves(e)]
    return [error]


def _ranked(drawn: list[Drawn], names: dict[str, str]) -> list[Ranked]:
    """The list by coverage; the first few with what the simulation says. Every block ranks alike: same fleet, same demand."""
    checked = len(drawn[0].response_s) - 1
    return [
        Ranked(place, compare(drawn, i + 1, names, Changes()) if i < checked else None)
        for i, place in enumerate(drawn[0].places)
    ]


def routes(workshop: Workshop) -> list[Route]:
    """What the screen "what if" asks."""
    region = workshop.region

    async def listed(call: Call) -> web.StreamResponse:
        kept = await workshop.store.kept()
        live = [j for j in reversed(workshop.jobs.values()) if all(j.id != k.id for k in kept)]
        first = first_capabilities(region)
        used = {u.unit_type for u in region.units.values()}
        return json(
            WhatIfs(
                jobs=[*live, *kept],
                posts=sorted(
                    (Option(p.code, p.name, p.lon, p.lat) for p in region.posts.values()), key=lambda o: o.name
                ),
                unit_types=[
                    Option(t.code, t.name_id, first=bool(t.capabilities & first), cost_hour=workshop.costs.get(t.code))
                    for t in region.unit_types.values()
                    if t.code in used
                ],
                policy=region.policy,
                moves_up=region.policy in ("siaga", "dmexclp+moveup"),
                can_simulate=region.demand is not None,
                approximate=call.services.live.router.approximate,
            )
        )

    async def ask(call: Call) -> web.StreamResponse:
        return json(workshop.submit(call.body, call.who.name))

    async def end(call: Call) -> web.StreamResponse:
        name = call.path("id")
        if not workshop.cancel(name) and not await workshop.store.forget(name):
            raise Problem("not_found")
        return json({})

    def route(method: str, path: str, handler: Any, text: str, **more: Any) -> Route:
        return Route(method, path, handler, text, roles=ASKERS, tag="what-if", **more)

    return [
        route("GET", "/api/v1/what-if", listed, "Scenarios, asked and answered.", answer=WhatIfs, statuses=(503,)),
        route(
            "POST", "/api/v1/what-if", ask, "Simulate a scenario beside the city as it is.",
            body=Question, answer=Job, statuses=(429,),
        ),
        route(
            "POST", "/api/v1/what-if/ranking", ask, "Where one more unit would help most.",
            body=RankQuestion, answer=Job, statuses=(429,),
        ),
        route(
            "DELETE", "/api/v1/what-if/{id}", end, "Stop a scenario that runs, or forget one that is kept.",
            answer=dict[str, str], statuses=(404, 503),
        ),
    ]  # fmt: skip
