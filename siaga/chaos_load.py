"""People for a drill: citizens who report and repeat until answered, crews who do their jobs, and a probe with a stopwatch."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import aiohttp
import msgspec

TIMEOUT = aiohttp.ClientTimeout(total=4.0, connect=1.0)
AGAIN_S = 0.1
LOOPBACK = tuple(f"127.12.0.{n}" for n in range(2, 50))
"""Addresses the citizens come from, many, so that the limit per address does not slow the drill."""
PHONE = "+62000112"
"""Country code and an area code that no number has; the audit looks for it where it must not be."""
NAME = "Warga Latihan"
STEPS = {
    "alerted": "acknowledge_job",
    "acknowledged": "report_en_route",
    "en_route": "report_at_scene",
    "at_scene": "report_clear",
    "transporting": "report_clear",
    "at_hospital": "report_clear",
}


class Acked(msgspec.Struct):
    """A report to which a server said yes."""

    key: str
    report_id: str
    link: str
    """Where the reporter looks what comes of it."""
    sent_at: datetime
    acked_at: datetime


def words_of(key: str) -> str:
    """What the reporter says: as unlike the key as that the one is not found where the other may stand (logs)."""
    return f"latihan {key[::-1]}"


class Load:
    """Everybody at once. `acked` is what the audit holds the servers to."""

    def __init__(
        self,
        urls: list[str],
        unit_tokens: dict[str, str],
        kinds: list[str],
        seed: int,
        per_s: float,
        addresses: Sequence[str] = LOOPBACK,
    ) -> None:
        self.urls = urls
        self.unit_tokens = unit_tokens
        self.kinds = kinds
        self.chance = random.Random(seed)  # noqa: S311 - people, not secrets
        self.per_s = per_s
        self.addresses = addresses
        self.acked: list[Acked] = []
        self.counts: Counter[str] = Counter()
        self.busy = 0
        self._sessions: list[aiohttp.ClientSession] = []
        self._turn = itertools.count()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._over = asyncio.Event()

    async def __aenter__(self) -> Load:
        for address in self.addresses:
            connector = aiohttp.TCPConnector(local_addr=(address, 0), limit=0)
            self._sessions.append(aiohttp.ClientSession(connector=connector, timeout=TIMEOUT))
        self._start(self._citizens())
        for unit_id, token in self.unit_tokens.items():
            self._start(self._crew(unit_id, token))
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for session in self._sessions:
            await session.close()

    def _start(self, coro: Any) -> None:
        task = asyncio.create_task(coro)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _session(self) -> aiohttp.ClientSession:
        return self._sessions[next(self._turn) % len(self._sessions)]

    async def quiet(self, within_s: float = 60.0) -> None:
        """No new reports; returns when every open one has been answered. Raises TimeoutError."""
        self._over.set()
        async with asyncio.timeout(within_s):
            while self.busy:  # noqa: ASYNC110 - counted by many; a drill may poll
                await asyncio.sleep(0.05)

    # --- citizens

    async def _citizens(self) -> None:
        while not self._over.is_set():
            await asyncio.sleep(self.chance.expovariate(self.per_s))
            if not self._over.is_set():
                self._start(self.report())

    async def report(self, url: str | None = None) -> Acked:
        """One report, repeated under its key until a server has it. `url`: try this one first."""
        key = uuid.UUID(int=self.chance.getrandbits(128)).hex
        body = {
            "kind": self.chance.choice(self.kinds),
            "place": {
                "lon": 112.74 + self.chance.uniform(-0.04, 0.04),
                "lat": -7.27 + self.chance.uniform(-0.04, 0.04),
            },
            "description": words_of(key),
            "phone": f"{PHONE}{self.chance.randrange(10_000):04}",
            "name": NAME,
        }
        sent_at = datetime.now(UTC)
        self.busy += 1
        try:
            target = url or self.chance.choice(self.urls)
            while True:
                answer = await self._post(target, "/api/v1/reports", body, {"Idempotency-Key": key})
                if answer is not None:
                    acked = Acked(key, answer["report_id"], answer["status_url"], sent_at, datetime.now(UTC))
                    self.acked.append(acked)
                    return acked
                target = next(u for u in self.urls if u != target)
                await asyncio.sleep(AGAIN_S * self.chance.uniform(0.5, 2.0))
        finally:
            self.busy -= 1

    async def _post(self, url: str, path: str, body: Any, headers: dict[str, str]) -> dict[str, Any] | None:
        """The answer; None when the same is to be sent again. A refusal counts and raises ValueError."""
        try:
            async with self._session().post(url + path, json=body, headers=headers) as answer:
                raw = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self.counts[type(error).__name__] += 1
            return None
        self.counts[str(answer.status)] += 1
        if answer.status in (429, 502, 503, 504):
            return None
        if answer.status >= 300:
            raise ValueError(f"{path}: {answer.status} {raw[:200]!r}")
        found: dict[str, Any] = msgspec.json.decode(raw)
        return found

    async def dead_links(self, reports: Iterable[Acked]) -> list[str]:
        """What is wrong with the reporters' own pages, asked of every server."""
        wrong = []
        for report in reports:
            for url in self.urls:
                path = "/api/v1/reports/status/" + report.link.rpartition("/")[2]
                async with self._session().get(url + path) as answer:
                    if answer.status != 200:
                        wrong.append(f"the link given for {report.report_id} answers {answer.status}")
        return wrong

    async def recovery_s(self, dead: str | None = None) -> float:
        """Seconds from now until a report that was first sent after now is acknowledged, trying both servers as people do."""
        began_s = time.perf_counter()
        target = dead or self.urls[0]
        key = uuid.uuid4().hex
        body = {"kind": self.kinds[0], "place": {"lon": 112.74, "lat": -7.27}, "description": words_of(key)}
        sent_at = datetime.now(UTC)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=0.5)) as session:
            while True:
                try:
                    headers = {"Idempotency-Key": key}
                    async with session.post(target + "/api/v1/reports", json=body, headers=headers) as answer:
                        if answer.status == 201:
                            found = msgspec.json.decode(await answer.read())
                            self.acked.append(
                                Acked(key, found["report_id"], found["status_url"], sent_at, datetime.now(UTC))
                            )
                            return time.perf_counter() - began_s
                except (aiohttp.ClientError, TimeoutError, OSError):
                    pass
                target = next(u for u in self.urls if u != target)
                await asyncio.sleep(0.02)

    # --- crews

    async def _crew(self, unit_id: str, token: str) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        await self._do("start_duty", {"unit_id": unit_id, "crew": ["Awak Latihan"]}, headers)
        while True:
            await asyncio.sleep(self.chance.uniform(0.3, 1.2))
            feed = await self._feed(headers)
            if feed is None:
                continue
            if feed["unit"]["state"] == "out_of_service":
                await self._do("return_to_service", {"unit_id": unit_id}, headers)
            elif feed["unit"]["state"] == "off_duty":
                await self._do("start_duty", {"unit_id": unit_id, "crew": ["Awak Latihan"]}, headers)
            elif feed["job"] is not None:
                job = feed["job"]["assignment"]
                step = STEPS.get(job["state"])
                if step is not None:
                    await self._do(step, {"assignment_id": job["assignment_id"]}, headers)

    async def _feed(self, headers: dict[str, str]) -> dict[str, Any] | None:
        url = self.chance.choice(self.urls)
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError, msgspec.DecodeError):
            async with self._session().get(url + "/api/v1/unit/feed/poll?after=0", headers=headers) as answer:
                if answer.status == 200:
                    found: dict[str, Any] = msgspec.json.decode(await answer.read())
                    return found
        return None

    async def _do(self, step: str, body: dict[str, Any], headers: dict[str, str]) -> None:
        sent = {**headers, "Idempotency-Key": uuid.UUID(int=self.chance.getrandbits(128)).hex}
        while True:
            try:
                if await self._post(self.chance.choice(self.urls), f"/api/v1/unit/{step}", body, sent) is not None:
                    return
            except ValueError:
                return  # the job has changed meanwhile
            await asyncio.sleep(AGAIN_S)
