"""`siaga overload`: too much of everything at once, against a real server on a real database, with bounds that are looked at.

A disaster's worst minute: thousands of callers, phones that send positions as fast as they can, consoles that do not read,
connections that dribble, bodies without end; and at one desk somebody who takes calls all the while. Afterwards every
report that was answered with 2xx must be in the journal once. Figures go to `docs/reliability.md`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import re
import secrets
import shutil
import statistics
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import aiohttp
import asyncpg
import msgspec
import typer
from yarl import URL

from dispatch.account_rows import PostgresAccounts
from dispatch.accounts import Accounts
from dispatch.clock import SystemClock
from dispatch.database import create_pool
from dispatch.pack import load as load_pack
from dispatch.region import Region
from dispatch.roles import Role
from siaga.chaos import DATABASE, REPORT, prepare
from siaga.chaos_audit import Findings, audit
from siaga.chaos_load import Acked, words_of
from siaga.chaos_pair import Pair, ServerProcess
from siaga.postgres import EmbeddedPostgres
from siaga.serve import REGIONS

MARK = "<!-- measured by `siaga overload` -->"
WORST_HOUR = 10
"""Incidents in the worst hour of a year of 18,703: the largest of 8,760 Poisson draws with a mean of 2.1."""
ADDRESSES = 250
"""Loopback addresses the citizens come from: each may send 30 reports at once."""
CITIZENS = 120
"""Reports on their way at a time."""
SLOW_CONSOLES = 10
DRIBBLERS = 150
HUGE = 8
CREWS = 40
FIXES_A_POST = 20
CALM_S = 8.0
PROBE_EVERY_S = 0.5
MEMORY_MAX_MB = 400
"""More than this above the calm server is a leak or a queue without a bound: it is twice what full queues can hold."""
TIMEOUT = aiohttp.ClientTimeout(total=30.0, connect=10.0)


class Seen(msgspec.Struct):
    """What was measured, in one place."""

    seconds: float = 0.0
    answers: Counter[str] = msgspec.field(default_factory=Counter)
    """Status of the citizens' requests."""
    fixes: Counter[str] = msgspec.field(default_factory=Counter)
    calm_s: list[float] = []
    storm_s: list[float] = []
    """Seconds the desk waited for a call to be taken in."""
    calm_mb: float = 0.0
    peak_mb: float = 0.0
    after_mb: float = 0.0
    desk_again: Counter[str] = msgspec.field(default_factory=Counter)
    """Times the desk had to send the same again, by answer."""
    takeovers: int = 0
    consoles_dropped: int = 0
    dribblers_closed: int = 0
    huge_refused: int = 0
    waited_to_sign_in: Counter[str] = msgspec.field(default_factory=Counter)
    board: Counter[str] = msgspec.field(default_factory=Counter)
    acked: list[Acked] = []


def memory_mb(pid: int, what: str = "VmRSS") -> float:
    """Of a process, megabytes; `VmHWM` is its highest so far."""
    found = re.search(rf"{what}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found is not None else 0.0


class Storm:
    """Everybody at once, against one server."""

    def __init__(self, server: ServerProcess, tokens: dict[str, str], password: str, kinds: list[str]) -> None:
        self.server = server
        self.tokens = tokens
        self.password = password
        self.kinds = kinds
        self.seen = Seen()
        self.over = asyncio.Event()
        self._sessions: list[aiohttp.ClientSession] = []

    @contextlib.asynccontextmanager
    async def sessions(self) -> AsyncIterator[None]:
        for n in range(ADDRESSES):
            connector = aiohttp.TCPConnector(local_addr=(f"127.13.{n // 250}.{n % 250 + 2}", 0), limit=0)
            self._sessions.append(aiohttp.ClientSession(connector=connector, timeout=TIMEOUT))
        try:
            yield
        finally:
            for session in self._sessions:
                await session.close()

    async def citizen(self, number: int) -> None:
        """Sends one report after the other; what is told to come back comes back, under its key, from elsewhere."""
        turn = number
        while not self.over.is_set():
            key = uuid.uuid4().hex
            place = {"lon": 112.70 + (turn * 37 % 900) / 10_000, "lat": -7.30 + (turn * 53 % 700) / 10_000}
            body = {"kind": self.kinds[turn % len(self.kinds)], "place": place, "description": words_of(key)}
            sent_at = datetime.now(UTC)
            while not self.over.is_set():
                turn += CITIZENS
                status, answer = await self._post(self._sessions[turn % ADDRESSES], "/api/v1/reports", body, key)
                self.seen.answers[status] += 1
                if answer is not None:
                    acked = Acked(key, answer["report_id"], answer["status_url"], sent_at, datetime.now(UTC))
                    self.seen.acked.append(acked)
                    break
                await asyncio.sleep(0.2)

    async def _post(
        self, session: aiohttp.ClientSession, path: str, body: Any, key: str = "", **headers: str
    ) -> tuple[str, Any]:
        sent = {"Idempotency-Key": key, **headers} if key else headers
        try:
            async with session.post(self.server.url + path, json=body, headers=sent) as answer:
                raw = await answer.read()
                return str(answer.status), msgspec.json.decode(raw) if answer.status < 300 else None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return type(error).__name__, None

    async def crew(self, token: str) -> None:
        """A phone that sends positions without pause."""
        async with aiohttp.ClientSession(timeout=TIMEOUT) as session:
            while not self.over.is_set():
                now = datetime.now(UTC).isoformat()
                fixes = [{"lon": 112.74, "lat": -7.26, "fixed_at": now, "accuracy_m": 10}] * FIXES_A_POST
                authorization = f"Bearer {token}"
                status, _ = await self._post(
                    session, "/api/v1/unit/fixes", {"fixes": fixes}, Authorization=authorization
                )
                self.seen.fixes[status] += FIXES_A_POST
                await asyncio.sleep(0.2)

    async def sign_in(self, session: aiohttp.ClientSession, username: str) -> str:
        """The CSRF token. Checking passwords is costly by design, so people who come at once wait for each other."""
        while True:
            body = {"username": username, "password": self.password}
            status, answer = await self._post(session, "/api/v1/session", body)
            if answer is not None:
                return str(answer["csrf_token"])
            self.seen.waited_to_sign_in[status] += 1
            await asyncio.sleep(PROBE_EVERY_S)

    async def desk(self, into: list[float], until: asyncio.Event) -> None:
        """A call-taker who types in a call every half second, and how long the answer takes."""
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True), timeout=TIMEOUT) as session:
            token = await self.sign_in(session, "meja")
            while not until.is_set():
                place = {"lon": 112.75, "lat": -7.25}
                call = {"channel": "call", "kind": self.kinds[0], "place": place}
                began_s = time.perf_counter()
                key, path = uuid.uuid4().hex, "/api/v1/commands/submit_report"
                while True:  # as the console does: the same key until it is answered
                    status, _ = await self._post(session, path, call, key, **{"X-CSRF-Token": token})
                    if status == "200":
                        break
                    self.seen.desk_again[status] += 1
                    await asyncio.sleep(0.1)
                into.append(time.perf_counter() - began_s)
                await asyncio.sleep(PROBE_EVERY_S)

    async def board(self) -> None:
        """Somebody looks at figures."""
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True), timeout=TIMEOUT) as session:
            await self.sign_in(session, "kepala")
            while not self.over.is_set():
                async with session.get(self.server.url + "/api/v1/sla/summary") as answer:
                    self.seen.board[str(answer.status)] += 1
                await asyncio.sleep(PROBE_EVERY_S)

    async def slow_console(self, number: int) -> None:
        """Opens the stream and never reads: its socket fills, then its queue, then it is given up."""
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True), timeout=TIMEOUT) as session:
            await self.sign_in(session, f"konsol{number}")
            cookies = session.cookie_jar.filter_cookies(URL(self.server.url))
            head = (
                f"GET /api/v1/console/stream HTTP/1.1\r\nHost: {self.server.host}:{self.server.port}\r\nUpgrade: websocket\r\n"
                "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                f"Sec-WebSocket-Key: c2lhZ2ExMTJzaWFnYTExMg==\r\nCookie: {cookies.output(header='', sep=';').strip()}\r\n\r\n"
            )
            reader, writer = await asyncio.open_connection(self.server.host, self.server.port, limit=2**10)
            writer.write(head.encode())
            await self.over.wait()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(60.0):
                    while await reader.read(1 << 20):  # what had been sent before it was given up; then the end
                        pass
                self.seen.consoles_dropped += 1
            writer.close()

    async def dribble(self) -> None:
        """One byte of a header at a time."""
        while not self.over.is_set():
            try:
                reader, writer = await asyncio.open_connection(self.server.host, self.server.port)
                writer.write(b"POST /api/v1/reports HTTP/1.1\r\nX-Slow: ")
                ended = asyncio.ensure_future(reader.read())
                while not ended.done() and not self.over.is_set():
                    writer.write(b"x")
                    await asyncio.wait([ended], timeout=1.0)
                self.seen.dribblers_closed += ended.done()
                ended.cancel()
                writer.close()
            except OSError:
                await asyncio.sleep(0.5)

    async def huge(self) -> None:
        """Ten megabytes where four kilobytes are expected."""
        async with aiohttp.ClientSession(timeout=TIMEOUT) as session:
            while not self.over.is_set():
                with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
                    headers = {"Idempotency-Key": uuid.uuid4().hex, "Content-Type": "application/json"}
                    body = b"[" * (10 << 20)
                    async with session.post(self.server.url + "/api/v1/reports", data=body, headers=headers) as answer:
                        self.seen.huge_refused += answer.status == 413
                await asyncio.sleep(0.5)

    async def run(self, seconds: float) -> None:
        process = self.server.process
        assert process is not None
        calm = asyncio.Event()
        at_desk = asyncio.create_task(self.desk(self.seen.calm_s, calm))
        await asyncio.sleep(CALM_S)
        self.seen.calm_mb = memory_mb(process.pid)
        calm.set()
        await at_desk
        began_s = time.perf_counter()
        work: list[Coroutine[Any, Any, None]] = [
            self.desk(self.seen.storm_s, self.over),
            self.board(),
            *(self.citizen(n) for n in range(CITIZENS)),
            *(self.crew(token) for token in self.tokens.values()),
            *(self.slow_console(n) for n in range(SLOW_CONSOLES)),
            *(self.dribble() for _ in range(DRIBBLERS)),
            *(self.huge() for _ in range(HUGE)),
        ]
        async with asyncio.TaskGroup() as tasks:
            for one in work:
                tasks.create_task(one)
            await asyncio.sleep(seconds)
            self.seen.seconds = time.perf_counter() - began_s
            self.over.set()
        self.seen.peak_mb = memory_mb(process.pid, "VmHWM")
        await asyncio.sleep(CALM_S)
        self.seen.after_mb = memory_mb(process.pid)


async def make_staff(dsn: str, password: str) -> None:
    pool = await create_pool(dsn, size=1)
    try:
        accounts = Accounts(PostgresAccounts(pool), SystemClock())
        await accounts.refresh()
        await accounts.create("meja", "Meja Latihan", Role.CALL_TAKER, password, "system:overload")
        for name in ("kepala", *(f"konsol{n}" for n in range(SLOW_CONSOLES))):  # an account has few sessions at a time
            await accounts.create(name, "Latihan", Role.SUPERVISOR, password, "system:overload")
    finally:
        await pool.close()


async def drill(folder: Path, seconds: float) -> tuple[Seen, Findings]:
    region: Region = load_pack(REGIONS / "surabaya")
    cluster = EmbeddedPostgres(folder / "postgres")
    cluster.start()
    try:
        admin = await asyncpg.connect(cluster.dsn())
        await admin.execute(f"CREATE DATABASE {DATABASE}")
        await admin.close()
        dsn, password = cluster.dsn(DATABASE), secrets.token_urlsafe(12)
        tokens = await prepare(dsn, region, CREWS)
        await make_staff(dsn, password)
        kinds = sorted(k.code for k in region.kinds.values() if k.priority == 1)[:4]
        async with Pair([cluster], DATABASE, folder / "nodes") as pair:
            storm = Storm(await pair.leader(), tokens, password, kinds)
            async with storm.sessions():
                await storm.run(seconds)
            await pair.calm(120.0)
            storm.seen.takeovers = sum(s.log.read_text().count(" leading region=") for s in pair.servers) - 1
            pool = await create_pool(dsn, role=None, size=2)
            try:
                findings = await audit(dsn, pool, region, storm.seen.acked)
            finally:
                await pool.close()
        if storm.seen.peak_mb - storm.seen.calm_mb > MEMORY_MAX_MB:
            findings.wrong.append(f"memory grew by {storm.seen.peak_mb - storm.seen.calm_mb:.0f} MB")
        return storm.seen, findings
    finally:
        cluster.stop(immediate=True)


def quantiles(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return f"p50 {statistics.median(ordered) * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms"


def table(seen: Seen, findings: Findings) -> str:
    def told(answers: Counter[str]) -> str:
        return ", ".join(f"{name} {count:,}" for name, count in answers.most_common(5)) or "none"

    per_hour = len(seen.acked) / seen.seconds * 3600
    rows = [
        "| what | figure |",
        "| --- | --- |",
        f"| reports acknowledged | {len(seen.acked):,} in {seen.seconds:.0f} s = {per_hour:,.0f} an hour, "
        f"{per_hour / WORST_HOUR:,.0f} times the worst hour ({WORST_HOUR}) |",
        f"| answers to citizens | {told(seen.answers)} |",
        f"| lost, double | {findings.lost}, {findings.double} |",
        f"| the desk's calls, calm | {quantiles(seen.calm_s)} ({len(seen.calm_s)} calls) |",
        f"| the desk's calls, in the storm | {quantiles(seen.storm_s)} ({len(seen.storm_s)} calls; sent again: "
        f"{told(seen.desk_again)}) |",
        f"| the lead changed hands | {seen.takeovers} times |",
        f"| positions sent | {told(seen.fixes)} |",
        f"| the manager's figures | {told(seen.board)} |",
        f"| memory of the leader | {seen.calm_mb:.0f} MB calm, {seen.peak_mb:.0f} MB at most, {seen.after_mb:.0f} MB after |",
        f"| consoles that never read | {seen.consoles_dropped} of {SLOW_CONSOLES} ended |",
        f"| dribbling connections | {DRIBBLERS} at a time, {seen.dribblers_closed:,} cut off |",
        f"| bodies of 10 MB | {seen.huge_refused:,} refused (413) |",
    ]
    today = datetime.now(UTC).date().isoformat()
    return "\n".join(
        [
            f"Measured {today} on {os.cpu_count()} cores ({platform.machine()}, CPython {platform.python_version()}), server, "
            f"standby, database and all callers on the same cores; load average {os.getloadavg()[0]:.1f}.",
            "",
            *rows,
            "",
            f"Wrong: {'; '.join(findings.wrong[:10]) or 'nothing'}.",
        ]
    )


def overload(
    seconds: Annotated[float, typer.Option(min=5.0, max=600.0, help="Lama badai / length of the storm")] = 40.0,
    write: Annotated[bool, typer.Option(help="Tulis docs/reliability.md / write the report")] = True,
    keep: Annotated[bool, typer.Option(help="Simpan log / keep the logs")] = False,
) -> None:
    """Terlalu banyak dari segalanya, lalu periksa tidak ada yang hilang. / Too much of everything, then audit."""
    folder = Path(tempfile.mkdtemp(prefix="siaga-overload-"))
    folder.chmod(0o711)
    try:
        seen, findings = asyncio.run(drill(folder, seconds))
    finally:
        if keep:
            typer.echo(f"logs: {folder / 'nodes'}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    text = table(seen, findings)
    typer.echo(text)
    if write:
        before, _, rest = REPORT.read_text().partition(MARK)
        _, _, after = rest.partition(MARK)
        REPORT.write_text(f"{before}{MARK}\n\n{text}\n\n{MARK}{after}")
    if findings.wrong:
        sys.exit(1)
