"""How fast is this server on this machine? Reports, positions, and the yardsticks measured in the same run.

The server is a process of its own on an embedded, durable database; client, server and database share the machine's
cores, so absolute figures say little and the ratios beside them say more. Everything is bounded and stops by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections import Counter, deque
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Self

import aiohttp
import asyncpg
import msgspec

from dispatch.region import Region
from simulators.citizens import Sighting, Witness
from simulators.crew import Feed
from simulators.driving import near
from simulators.http import Keys, new_key
from simulators.rawhttp import NO_ANSWER, RawAnswer, RawConnection, prepare

CONNECTIONS = 32
"""Enough to keep the server busy, few enough that waiting in its accept queue is no part of the figure."""
CREWS_SAYING = 24
LATE_MAX_S = 1.0
"""A load that falls this far behind its own schedule is not the load that was asked for; the report says so."""
GRACE_S = 5.0
"""For the last requests of a load to be answered."""
FIXES_A_POST = 20
"""Phones of one unit batch a few seconds; 20 keeps 5,000 fixes/s at 250 requests/s."""
MARK = "uji "

_feed = msgspec.json.Decoder(Feed)


class Measured(msgspec.Struct):
    """One load: what was answered with success, how fast. Seconds."""

    name: str
    per_s: float
    done: int
    p50_s: float | None = None
    p99_s: float | None = None
    refused: dict[str, int] = {}
    behind: bool = False
    """The machine could not keep the rate that was asked for."""
    server_cpu_s: float | None = None
    """Processor time of the server process during this load: the one figure a busy machine does not spoil."""


class Spent:
    """Processor time of a process while the `with` lasts; None where there is no /proc."""

    def __init__(self, pid: int) -> None:
        self._stat = Path(f"/proc/{pid}/stat")
        self._began_s: float | None = None

    def __enter__(self) -> Self:
        self._began_s = self._read_s()
        return self

    def __exit__(self, *_: object) -> None:
        end_s = self._read_s()
        self.cpu_s = None if end_s is None or self._began_s is None else end_s - self._began_s

    def _read_s(self) -> float | None:
        try:
            fields = self._stat.read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def quantile(values: list[float], q: float) -> float | None:
    """The nearest-rank quantile; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


def measured(name: str, took_s: list[float], seconds: float, refused: Counter[str], behind: bool = False) -> Measured:
    return Measured(
        name,
        len(took_s) / seconds,
        len(took_s),
        quantile(took_s, 0.50),
        quantile(took_s, 0.99),
        dict(refused),
        behind,
    )


class Requests:
    """Makes requests as bytes for one server."""

    def __init__(self, keys: Keys, region: Region, seed: int = 1) -> None:
        self.keys = keys
        self.region = region
        self.rng = Random(seed)
        self.witness = Witness(region, self.rng)
        self.units = sorted(keys.unit_tokens)
        self._marks = 0

    def as_unit(self, unit_id: str, do: str, body: object) -> bytes:
        headers = {"Authorization": f"Bearer {self.keys.unit_tokens[unit_id]}", "Idempotency-Key": new_key()}
        return prepare(self.keys.url, f"/api/v1/unit/{do}", msgspec.json.encode(body), headers)

    def nothing(self) -> bytes:
        headers = {"Authorization": f"Bearer {self.keys.unit_tokens[self.rng.choice(self.units)]}"}
        return prepare(self.keys.url, "/api/v1/rehearsal/nothing", b"{}", headers)

    def report(self) -> tuple[str, bytes]:
        """(mark in its description, request): an event drawn from the region's demand."""
        seen: Sighting = self.witness.see(datetime.now(UTC))
        self._marks += 1
        mark = f"{MARK}{self._marks}"
        body = {
            "kind": seen.kind,
            "place": {"lon": seen.lon, "lat": seen.lat, "accuracy_m": seen.accuracy_m},
            "description": mark,
            "phone": seen.phone,
        }
        headers = {"Idempotency-Key": new_key()}
        return mark, prepare(self.keys.url, "/api/v1/reports", msgspec.json.encode(body), headers)

    def fix(self, now_s: float) -> bytes:
        """One position of the unit whose turn it is, standing at its post."""
        unit_id = self.units.pop()
        self.units.insert(0, unit_id)
        home = self.region.posts[self.region.units[unit_id].home_post]
        lon, lat = near(home.lon, home.lat, self.rng.uniform(-3.0, 3.0), self.rng.uniform(-3.0, 3.0))
        row = {"lon": lon, "lat": lat, "fixed_at": datetime.fromtimestamp(now_s, UTC).isoformat(), "accuracy_m": 6.0}
        headers = {"Authorization": f"Bearer {self.keys.unit_tokens[unit_id]}"}
        return prepare(self.keys.url, "/api/v1/unit/fixes", msgspec.json.encode({"fixes": [row]}), headers)

    def fixes(self, unit_id: str, track: deque[tuple[float, float]], now_s: float) -> bytes:
        """A batch of the last second's points of a unit that drives about its post."""
        lon, lat = track[-1]
        rows = []
        for n in range(FIXES_A_POST):
            at = datetime.fromtimestamp(now_s - 1.0 + (n + 1) / FIXES_A_POST, UTC)
            lon, lat = near(lon, lat, self.rng.uniform(-0.5, 0.5), self.rng.uniform(-0.5, 0.5))
            rows.append(
                {
                    "lon": round(lon, 6),
                    "lat": round(lat, 6),
                    "fixed_at": at.isoformat(),
                    "accuracy_m": 6.0,
                    "speed_mps": 9.0,
                    "heading_deg": 90.0,
                }
            )
        track.append((lon, lat))
        headers = {"Authorization": f"Bearer {self.keys.unit_tokens[unit_id]}"}
        return prepare(self.keys.url, "/api/v1/unit/fixes", msgspec.json.encode({"fixes": rows}), headers)


def note(answer: RawAnswer, refused: Counter[str]) -> bool:
    """Whether it was a success; a refusal is counted by its code."""
    if answer.status < 400:
        return True
    with contextlib.suppress(msgspec.DecodeError):
        refused[str(msgspec.json.decode(answer.body).get("code", answer.status))] += 1
        return False
    refused[str(answer.status)] += 1
    return False


async def as_fast_as_possible(name: str, requests: Requests, kind: str, seconds: float) -> Measured:
    """`CONNECTIONS` clients, each sending its next request when the last is answered."""
    took: list[float] = []
    refused: Counter[str] = Counter()
    end_s = time.perf_counter() + seconds

    async def client() -> None:
        connection = await RawConnection.open(requests.keys.url)
        while (began_s := time.perf_counter()) < end_s:
            if kind == "nothing":
                request = requests.nothing()
            elif kind == "fix":
                request = requests.fix(time.time())
            else:
                request = requests.report()[1]
            began_s = time.perf_counter()
            if note(await connection.ask(request), refused):
                took.append(time.perf_counter() - began_s)
        connection.close()

    began_s = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(CONNECTIONS):
            tasks.create_task(client())
    return measured(name, took, time.perf_counter() - began_s, refused)


async def commits(dsn: str, seconds: float) -> Measured:
    """Single rows, each in a transaction of its own, one connection: what the disk and the database can do at most."""
    connection = await asyncpg.connect(dsn)
    took: list[float] = []
    try:
        await connection.execute("CREATE TABLE IF NOT EXISTS rehearsal_commit (n integer)")
        insert = await connection.prepare("INSERT INTO rehearsal_commit VALUES ($1)")
        began_s = time.perf_counter()
        while time.perf_counter() - began_s < seconds:
            one_s = time.perf_counter()
            await insert.fetch(1)
            took.append(time.perf_counter() - one_s)
        spent_s = time.perf_counter() - began_s
        await connection.execute("DROP TABLE rehearsal_commit")
    finally:
        await connection.close()
    return measured("single-row commits, one connection", took, spent_s, Counter())


class Pool:
    """Connections shared by everybody who has something to say now and then."""

    def __init__(self, url: str, size: int) -> None:
        self._url = url
        self._size = size
        self._idle: asyncio.Queue[RawConnection] = asyncio.Queue()
        self.broken = 0

    async def open(self) -> None:
        for _ in range(self._size):
            self._idle.put_nowait(await RawConnection.open(self._url))

    async def ask(self, request: bytes) -> RawAnswer:
        connection = await self._idle.get()
        answer = RawAnswer(NO_ANSWER, b"")
        try:
            answer = await connection.ask(request)
        except ConnectionError:
            self.broken += 1
        finally:
            if answer.status == NO_ANSWER:  # a late answer must not be taken for the next one's
                connection.close()
                connection = await RawConnection.open(self._url)
            self._idle.put_nowait(connection)
        return answer

    def close(self) -> None:
        while not self._idle.empty():
            self._idle.get_nowait().close()


class InstantCrews:
    """The fleet, each on its web socket: at the scene and clear the moment a job arrives, so that units never run out.

    `heard` keeps when a report's mark first came out of any unit's socket.
    """

    def __init__(self, requests: Requests, working: bool = True) -> None:
        self.requests = requests
        self.working = working
        self.heard: dict[str, float] = {}
        self.on_duty = 0
        self._pool = Pool(requests.keys.url, CREWS_SAYING)
        self._refused: Counter[str] = Counter()

    async def run(self, tasks: asyncio.TaskGroup, session: aiohttp.ClientSession) -> list[asyncio.Task[None]]:
        """Connect everybody and go on duty; the tasks to cancel at the end."""
        await self._pool.open()
        running = []
        for unit_id in self.requests.units:
            home = self.requests.region.posts[self.requests.region.units[unit_id].home_post]
            place = {"lon": home.lon, "lat": home.lat, "source": "device"}
            body = {"unit_id": unit_id, "crew": ["Awak Uji"], "place": place}
            answer = await self._pool.ask(self.requests.as_unit(unit_id, "start_duty", body))
            self.on_duty += note(answer, self._refused)
            running.append(tasks.create_task(self._unit(unit_id, session)))
        return running

    async def _unit(self, unit_id: str, session: aiohttp.ClientSession) -> None:
        """Connects again when the line breaks: under a load a late pong is answered with a hang-up."""
        while True:
            with contextlib.suppress(aiohttp.ClientError, OSError):
                await self._listen(unit_id, session)
            await asyncio.sleep(0.1)

    async def _listen(self, unit_id: str, session: aiohttp.ClientSession) -> None:
        keys = self.requests.keys
        headers = {"Authorization": f"Bearer {keys.unit_tokens[unit_id]}"}
        done: str | None = None
        async with session.ws_connect(keys.url + "/api/v1/unit/feed", headers=headers) as socket:
            async for message in socket:
                if message.type is not aiohttp.WSMsgType.TEXT:
                    return
                now_s = time.perf_counter()
                feed = _feed.decode(message.data)
                if feed.job is None:
                    continue
                for text in feed.job.incident.descriptions:
                    self.heard.setdefault(text, now_s)
                assignment_id = feed.job.assignment.assignment_id
                if self.working and assignment_id != done:
                    done = assignment_id
                    for do in ("report_at_scene", "report_clear"):
                        await self._pool.ask(self.requests.as_unit(unit_id, do, {"assignment_id": assignment_id}))


async def at_rate(per_s: float, seconds: float, one: asyncio.Queue[float]) -> bool:
    """Puts `per_s` starting times a second into the queue, on schedule; True when it fell behind."""
    began_s = time.perf_counter()
    behind = False
    for n in range(int(per_s * seconds)):
        due_s = began_s + n / per_s
        wait_s = due_s - time.perf_counter()
        if wait_s > 0.0:
            await asyncio.sleep(wait_s)
        behind = behind or wait_s < -LATE_MAX_S
        one.put_nowait(due_s)
    return behind


async def sustained(
    requests: Requests, crews: InstantCrews | None, seconds: float, reports_per_s: float, fixes_per_s: float
) -> list[Measured]:
    """Reports at a fixed rate beside positions at a fixed rate. Latency counts from when a report was due, so that a
    server that stalls is not spared the reports that queue up behind the stall.
    """
    answered: list[float] = []
    to_socket: list[float] = []
    fix_took: list[float] = []
    refused: Counter[str] = Counter()
    fix_refused: Counter[str] = Counter()
    sent_at: dict[str, float] = {}
    accepted = [0]
    pool = Pool(requests.keys.url, CONNECTIONS)
    await pool.open()
    posts = requests.region.posts
    tracks = {
        u: deque([(posts[s.home_post].lon, posts[s.home_post].lat)], maxlen=1) for u, s in requests.region.units.items()
    }

    async def reporter(due: asyncio.Queue[float]) -> None:
        while True:
            due_s = await due.get()
            mark, request = requests.report()
            sent_at[mark] = due_s
            if note(await pool.ask(request), refused):
                answered.append(time.perf_counter() - due_s)
            due.task_done()

    async def mover(due: asyncio.Queue[float], order: list[str]) -> None:
        while True:
            due_s = await due.get()
            unit_id = order.pop()
            order.insert(0, unit_id)
            # The stamps are the time now: the batch is made when it is sent.
            answer = await pool.ask(requests.fixes(unit_id, tracks[unit_id], time.time()))
            if note(answer, fix_refused):
                fix_took.append(time.perf_counter() - due_s)
                accepted[0] += int(msgspec.json.decode(answer.body)["accepted"])
            due.task_done()

    reports_due: asyncio.Queue[float] = asyncio.Queue()
    fixes_due: asyncio.Queue[float] = asyncio.Queue()
    order = list(requests.units)
    async with asyncio.TaskGroup() as tasks:
        workers = [tasks.create_task(reporter(reports_due)) for _ in range(CONNECTIONS)] if reports_per_s else []
        workers += [tasks.create_task(mover(fixes_due, order)) for _ in range(CONNECTIONS)] if fixes_per_s else []
        began_s = time.perf_counter()
        reports = tasks.create_task(at_rate(reports_per_s, seconds, reports_due)) if reports_per_s else None
        fixes = tasks.create_task(at_rate(fixes_per_s / FIXES_A_POST, seconds, fixes_due)) if fixes_per_s else None
        for task in (reports, fixes):
            if task is not None:
                await task
        unserved = False
        try:
            async with asyncio.timeout(GRACE_S):
                await reports_due.join()
                await fixes_due.join()
        except TimeoutError:
            unserved = True  # the server is over its limit; what still waits is not measured
        spent_s = time.perf_counter() - began_s
        await asyncio.sleep(0.5)  # the last jobs are on their way to their sockets
        for worker in workers:
            worker.cancel()
    await asyncio.sleep(0)
    pool.close()
    if crews is not None:
        to_socket = [crews.heard[mark] - due_s for mark, due_s in sent_at.items() if mark in crews.heard]
    found = []
    if reports is not None:
        name = f"reports at {reports_per_s:g}/s to durable answer"
        found.append(measured(name, answered, spent_s, refused, reports.result() or unserved))
        if crews is not None:
            found.append(measured("  of these, first unit's socket", to_socket, spent_s, Counter()))
    if fixes is not None:
        row = measured(
            f"positions at {fixes_per_s:g}/s in batches of {FIXES_A_POST}",
            fix_took,
            spent_s,
            fix_refused,
            fixes.result() or unserved,
        )
        row.per_s, row.done = accepted[0] / spent_s, accepted[0]
        found.append(row)
    return found
