"""Too much of everything, from loopback: slow readers, slow writers, floods, huge bodies; and who is shed first."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from multidict import CIMultiDict

from dispatch import live as live_module
from dispatch.api import door as door_module
from dispatch.api import routes as routes_module
from dispatch.api.console import CLOSE_TOO_SLOW
from dispatch.api.door import Door
from dispatch.api.forward import FORWARDED, client_address, is_secure, stamped
from dispatch.api.limits import LIMITS, Limit, Limiter
from dispatch.clock import SystemClock
from dispatch.journal import MemoryJournal
from dispatch.live import NotLeading, Overloaded
from dispatch.model import Actor
from dispatch.publish import SUBSCRIBER_QUEUE_MAX
from geo.router import StraightLineRouter
from siaga.serve import Server
from tests.dispatch.server import client, new_key, public_report, town_server
from tests.dispatch.town import report, town

CITIZEN = Actor(role="citizen", name="public")
TAKER = Actor(role="call_taker", name="sari")


@pytest.fixture
async def server(database: str, tmp_path: Path) -> AsyncIterator[Server]:
    async with town_server(database, tmp_path) as running:
        yield running


def address(server: Server) -> tuple[str, int]:
    host, port = server.url.removeprefix("http://").split(":")
    return host, int(port)


@contextlib.asynccontextmanager
async def raw(server: Server) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(*address(server))
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_a_console_that_does_not_read_is_dropped_and_resumes_without_loss(server: Server) -> None:
    """Its queue is bounded, others are not held up, and `after` brings it back to the same state."""
    hub = server.services.live.hub  # type: ignore[union-attr]
    async with client(server, "dispatcher") as slow, client(server, "supervisor") as quick, client(server) as citizen:
        async with slow.socket("/api/v1/console/stream") as sleeping, quick.socket("/api/v1/console/stream") as awake:
            first = msgspec.json.decode((await sleeping.receive()).data)
            await awake.receive()
            padding = "x" * 60_000
            sent = 0
            while not any(s.lost.is_set() for s in hub._subscribers):
                hub.broadcast({"type": "noise", "padding": padding})
                sent += 1
                assert sent < 100 * SUBSCRIBER_QUEUE_MAX, "a reader that never reads was never given up"
                while not awake_is_empty(hub):
                    message = await awake.receive()
                    assert message.type.name == "TEXT"
            status, receipt = await citizen.post("/api/v1/reports", public_report(), new_key())
            assert status == 201
            while True:
                message = await awake.receive()
                if receipt["report_id"] in str(message.data):
                    break
            while (message := await sleeping.receive()).type.name == "TEXT":
                pass
            assert sleeping.close_code == CLOSE_TOO_SLOW
        async with slow.socket("/api/v1/console/stream", after=first["seq"]) as again:
            caught_up = msgspec.json.decode((await again.receive()).data)
            assert receipt["report_id"] in [r["report_id"] for r in caught_up["reports"]]


def awake_is_empty(hub: Any) -> bool:
    """Whether the readers that keep up have been given everything (the sleeping one fills up behind them)."""
    return min(s.queue.qsize() for s in hub._subscribers) == 0


async def test_slow_loris_holds_nobody_up_and_does_not_stay(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred connections dribble headers: a report goes through, and a sweep ends those that are due."""
    async with contextlib.AsyncExitStack() as stack:
        lines = [await stack.enter_async_context(raw(server)) for _ in range(40)]
        for _, writer in lines:
            writer.write(b"POST /api/v1/reports HTTP/1.1\r\nHost: x\r\nX-Slow: ")
            await writer.drain()
        async with client(server) as citizen:
            status, _ = await citizen.post("/api/v1/reports", public_report(), new_key())
            assert status == 201
        monkeypatch.setattr(door_module, "HELLO_S", 0.0)  # whoever is silent at the next sweep has been so long enough
        for reader, _ in lines:
            assert await reader.read() == b""


async def test_of_one_address_only_so_many_may_be_silent(server: Server) -> None:
    """A flood of empty connections is cut back to a bound, oldest first; one that speaks is served."""
    many = door_module.SILENT_PER_ADDRESS_MAX + 30
    async with contextlib.AsyncExitStack() as stack:
        lines = [await stack.enter_async_context(raw(server)) for _ in range(many)]
        ended = [asyncio.create_task(reader.read()) for reader, _ in lines]
        async with asyncio.timeout(20.0):
            while sum(task.done() for task in ended) < 30:  # noqa: ASYNC110 - the door sweeps once a second
                await asyncio.sleep(0.05)
        async with client(server, "dispatcher") as staff:
            assert (await staff.get("/health/ready"))[0] == 200
        for task in ended:
            task.cancel()
        await asyncio.gather(*ended, return_exceptions=True)


async def test_a_body_that_never_ends_is_cut_off_early(server: Server) -> None:
    """Chunked, without a length: refused at 64 KiB, long before memory matters."""
    async with raw(server) as (reader, writer):
        writer.write(
            b"POST /api/v1/reports HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        chunk = b"4000\r\n" + b"[" * 0x4000 + b"\r\n"
        with contextlib.suppress(ConnectionError):
            for _ in range(64):
                writer.write(chunk)
                await writer.drain()
                if reader._buffer:  # type: ignore[attr-defined]
                    break
        assert (await reader.readline()).split()[1] == b"413"


async def test_a_body_that_dribbles_is_given_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The head says 1,000 bytes, the rest never comes."""
    monkeypatch.setattr(routes_module, "BODY_S", 0.05)
    async with raw(server) as (reader, writer):
        writer.write(
            b"POST /api/v1/reports HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
        )
        assert (await reader.readline()).split()[1] == b"408"


async def test_deeply_nested_json_is_refused_without_a_crash(server: Server) -> None:
    """Thirty thousand brackets are not a stack overflow."""
    async with raw(server) as (reader, writer):
        body = b"[" * 30_000 + b"]" * 30_000
        writer.write(
            b"POST /api/v1/reports HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body) + body
        )
        assert (await reader.readline()).split()[1] in (b"400", b"422")


# --- the queue


async def a_live(monkeypatch: pytest.MonkeyPatch) -> live_module.Live:
    """Leading, with nobody writing: the queue only fills."""
    monkeypatch.setattr(live_module, "QUEUE_MAX", 10)
    monkeypatch.setattr(live_module, "PUBLIC_QUEUE_MAX", 6)
    live = live_module.Live(town(), StraightLineRouter(), MemoryJournal(), SystemClock())
    await live.start()
    await live.lead("n", "http://n")
    return live


async def test_the_public_is_told_to_wait_before_staff_find_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Public reports stop at their own, lower bound; staff still get in, and beyond the queue they wait instead of failing."""
    live = await a_live(monkeypatch)
    waiting = [asyncio.create_task(live.submit(report(), CITIZEN, key=f"k{n}", public=True)) for n in range(6)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await live.submit(report(), CITIZEN, key="one too many", public=True)
    staff = [asyncio.create_task(live.submit(report(), TAKER)) for _ in range(8)]
    await asyncio.sleep(0)
    assert live._queue.qsize() == 10
    writer = asyncio.create_task(live.run())
    answers = await asyncio.gather(*waiting, *staff)
    assert len({msgspec.json.decode(a)["report_id"] for a in answers}) == 14
    writer.cancel()
    await asyncio.gather(writer, return_exceptions=True)


async def test_losing_the_lead_answers_everybody_also_who_waits_for_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody hangs on a node that no longer writes, with or without a key."""
    live = await a_live(monkeypatch)
    everybody = [asyncio.create_task(live.submit(report(), TAKER)) for _ in range(14)]
    await asyncio.sleep(0)
    live.dethrone()
    results = await asyncio.gather(*everybody, return_exceptions=True)
    assert [type(r) for r in results] == [NotLeading] * 14


async def test_a_flood_of_fixes_costs_track_and_no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """History of positions is bounded and dropped first."""
    live = await a_live(monkeypatch)
    monkeypatch.setattr(live_module, "TRACK_MAX", 100)
    for _ in range(1000):
        live.keep_fix("A1", None)  # type: ignore[arg-type]
    assert len(live._track) == 100


async def test_positions_and_dashboards_wait_before_any_report_does(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While commands queue up they are told to ask again; reports and the desk are not."""
    fix = {"fixes": [{"lon": 112.74, "lat": -7.26, "fixed_at": SystemClock().now().isoformat()}]}
    async with client(server, "A1") as crew, client(server, "dispatcher") as desk, client(server) as citizen:
        assert (await crew.post("/api/v1/unit/fixes", fix))[0] == 200
        monkeypatch.setattr(live_module, "CROWDED_AT", 0)
        status, told = await crew.post("/api/v1/unit/fixes", fix)
        assert (status, told["code"]) == (429, "overloaded")
        assert (await desk.get("/api/v1/sla/summary"))[0] == 429
        assert (await citizen.post("/api/v1/reports", public_report(), new_key()))[0] == 201
        assert (await desk.get("/api/v1/incidents"))[0] == 200


async def test_a_call_taken_at_the_desk_passes_the_whole_flood_that_waits(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over real sockets: the flood is shed at its bound, and what the desk sends while it waits is decided next."""
    assert server.services is not None
    live = server.services.live
    monkeypatch.setattr(live_module, "PUBLIC_QUEUE_MAX", 40)
    monkeypatch.setattr(
        live_module, "DECIDING_S_MAX", 0.0
    )  # a commit for each: also across batches the desk goes first
    server.services.limiter = Limiter({name: Limit(burst=1e9, every_s=1e-6) for name in LIMITS})
    disk, append = asyncio.Event(), live.journal.append

    async def held(batch: Any) -> None:
        await disk.wait()
        await append(batch)

    monkeypatch.setattr(live.journal, "append", held)
    already = len(live.hub.state.reports)
    async with client(server) as citizen, client(server, "call_taker") as desk:
        flood = [asyncio.create_task(citizen.post("/api/v1/reports", public_report(), new_key())) for _ in range(60)]
        # All but the one on its way to the disk wait or have been told to come back.
        await until(lambda: sum(task.done() for task in flood) + live._queue.qsize() == len(flood) - 1)
        waiting = live._queue.qsize()
        body = {"channel": "call", "kind": "medis", "place": {"lon": 112.7, "lat": -7.2}}
        call = asyncio.create_task(desk.post("/api/v1/commands/submit_report", body, new_key()))
        await until(lambda: live._queue.qsize() == waiting + 1)
        disk.set()
        status, answer = await call
        assert status == 200
        assert list(live.hub.state.reports).index(answer["report_id"]) == already + 1  # behind the one on the disk
        answers = Counter(status for status, _ in await asyncio.gather(*flood))
        assert answers == {201: waiting + 1, 429: len(flood) - 1 - waiting}
        assert 0 < answers[429] <= len(flood) - 40


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(30.0):
        while not happened():  # noqa: ASYNC110 - no event says so
            await asyncio.sleep(0.005)


# --- whose address counts


class Asking:
    secure = False

    def __init__(self, headers: dict[str, str], remote: str) -> None:
        self.headers, self.remote = CIMultiDict(headers), remote


class Secret:
    secret = b"s" * 32
    proxies = (ipaddress.ip_network("10.0.0.0/24"),)


@pytest.mark.parametrize(
    ("told", "counted"),
    [
        (stamped(b"s" * 32, "203.0.113.9"), "203.0.113.9"),
        (stamped(b"other secret", "203.0.113.9"), "198.51.100.1"),
        ("203.0.113.9", "198.51.100.1"),
        ("203.0.113.9 " + "0" * 64, "198.51.100.1"),
        ("\udce9 \udce9", "198.51.100.1"),
        ("", "198.51.100.1"),
    ],
)
def test_only_our_own_node_may_name_the_address_that_is_limited(told: str, counted: str) -> None:
    """A forged header neither escapes the limit nor breaks the server."""
    asking: Any = Asking({FORWARDED: told}, "198.51.100.1")
    services: Any = Secret()
    assert client_address(asking, services) == counted


@pytest.mark.parametrize(
    ("remote", "told", "counted"),
    [
        ("10.0.0.5", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.5", "198.51.100.7, 203.0.113.9", "203.0.113.9"),  # the first word is the client's own invention
        ("10.0.0.5", "203.0.113.9, 10.0.0.6", "203.0.113.9"),  # two proxies of ours
        ("10.0.0.5", "10.0.0.6", "10.0.0.6"),
        ("203.0.113.9", "198.51.100.7", "203.0.113.9"),  # no proxy of ours: not believed
        ("10.0.0.5", "\udce9", "\udce9"),
        ("10.0.0.5", "", ""),
    ],
)
def test_only_our_own_proxies_may_name_the_address_that_is_limited(remote: str, told: str, counted: str) -> None:
    """Else one address could speak as many, or all citizens behind the proxy would share one limit."""
    asking: Any = Asking({"X-Forwarded-For": told, "X-Forwarded-Proto": "https"}, remote)
    services: Any = Secret()
    assert client_address(asking, services) == counted
    assert is_secure(asking, services) == remote.startswith("10.")


def test_a_sweep_leaves_web_sockets_and_answered_requests_alone() -> None:
    """Only connections without a request are looked at."""

    class Line:
        def __init__(self, count: int, current: object) -> None:
            self._request_count, self._current_request = count, current
            self.transport = socket.socket()
            self.transport.close()
            self.closed = False

        def force_close(self) -> None:
            self.closed = True

    class Transport:
        def get_extra_info(self, name: str) -> tuple[str, int]:
            return ("192.0.2.1", 1)

    lines = [Line(0, None), Line(0, object()), Line(1, None)]
    for line in lines:
        line.transport = Transport()  # type: ignore[assignment]

    class Server:
        connections = lines

    door = Door(Server())  # type: ignore[arg-type]
    assert door.sweep(0.0) == 0
    assert door.sweep(door_module.HELLO_S) == 1
    assert [line.closed for line in lines] == [True, False, False]
