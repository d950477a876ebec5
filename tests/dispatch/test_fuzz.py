"""Every route of the OpenAPI document under generated requests, and raw bytes at the socket: no 5xx, nothing undocumented."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import strategies as st

from dispatch.api import links
from dispatch.api.limits import Limit
from dispatch.api.problems import from_validation, prefers_english
from siaga.serve import DEMO_PASSWORD, Server
from tests.dispatch.server import client, town_server

EXAMPLES = 6
"""A route in the plain run: about 600 requests in all. `--slow` runs fifty times as many."""
EXAMPLES_SLOW = 300
SKIPPED = {
    ("POST", "/api/v1/session"),  # wrong passwords by the hundred lock the very accounts the run needs; tested apart
    ("DELETE", "/api/v1/session"),
    ("GET", "/api/v1/unit/feed/poll"),  # waits up to 25 s by design
    ("GET", "/api/v1/board/news"),  # so does this
}
EVERYWHERE = {400, 404, 405, 408, 413, 414, 415, 422, 429, 503}
"""What the server itself may say of any request, before a route is asked: unreadable, too large, too many, changing over."""
quiet = hypothesis.settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture
async def server(database: str, tmp_path: Path) -> AsyncIterator[Server]:
    async with town_server(database, tmp_path) as running:
        for name in running.services.limiter._limits:  # type: ignore[union-attr]
            running.services.limiter._limits[name] = Limit(burst=1e9, every_s=1e-9)  # type: ignore[union-attr]
        yield running


class Caller:
    """Signs in as whom a route wants, and again when the run has disabled or signed out that account."""

    def __init__(self, server: Server) -> None:
        self.url = server.url
        self.unit_token = server.unit_tokens["A1"]
        self.partner_token = server.partner_token
        self._sessions: dict[str, dict[str, str]] = {}

    def headers(self, roles: list[str], again: bool = False) -> dict[str, str]:
        if not roles:
            return {}
        if roles[0] in ("crew", "partner"):
            return {"Authorization": f"Bearer {self.unit_token if roles[0] == 'crew' else self.partner_token}"}
        role = "admin" if "admin" in roles else roles[-1]
        if again or role not in self._sessions:
            body = {"username": role, "password": DEMO_PASSWORD}
            answer = requests.post(self.url + "/api/v1/session", json=body, timeout=10)
            if answer.status_code != 200:
                return self._sessions.get(role, {})
            cookie = answer.cookies["siaga_session"]
            self._sessions[role] = {"Cookie": f"siaga_session={cookie}", "X-CSRF-Token": answer.json()["csrf_token"]}
        return self._sessions[role]


def walk(server: Server, document: dict[str, Any], examples: int) -> tuple[int, list[str]]:
    """(requests sent, what was wrong). Runs in a thread: schemathesis is synchronous."""
    schema = schemathesis.openapi.from_dict(document)
    caller = Caller(server)
    wrong: list[str] = []
    sent = 0
    for found in schema.get_all_operations():
        operation = found.ok()
        if (operation.method.upper(), operation.path) in SKIPPED:
            continue
        described = document["paths"][operation.path][operation.method]
        documented = {int(status) for status in described["responses"]} | EVERYWHERE

        def one(case: Any, *, roles: list[str], documented: set[int]) -> None:
            nonlocal sent
            sent += 1
            with contextlib.suppress(requests.exceptions.InvalidHeader, UnicodeError):
                answer = case.call(base_url=server.url, headers=caller.headers(roles), timeout=20)
                if answer.status_code == 401 and roles:
                    caller.headers(roles, again=True)
                told = f"{case.method} {case.path} {case.query} {str(case.body)[:200]} -> {answer.status_code}"
                if answer.status_code >= 500 and answer.status_code != 503:
                    wrong.append(told)
                elif answer.status_code not in documented:
                    wrong.append(f"undocumented: {told}")

        asked = partial(one, roles=described.get("x-roles", []), documented=documented)

        def apply(run: Any, case: Any) -> None:
            run(case)

        given(st.just(asked), operation.as_strategy())(hypothesis.settings(quiet, max_examples=examples)(apply))()
    return sent, wrong


async def the_walk(server: Server, examples: int) -> None:
    async with client(server) as anybody:
        _, document = await anybody.get("/api/openapi.json")
    sent, wrong = await asyncio.to_thread(walk, server, document, examples)
    assert sent > 100
    assert wrong == []


@pytest.mark.timeout(600)
async def test_no_generated_request_breaks_the_server_or_gets_an_undocumented_answer(server: Server) -> None:
    """Schemathesis over the whole document, as the role each route wants."""
    await the_walk(server, EXAMPLES)


@pytest.mark.slow
@pytest.mark.timeout(7200)
async def test_no_generated_request_breaks_the_server_even_when_there_are_many(server: Server) -> None:
    """The same, for longer."""
    await the_walk(server, EXAMPLES_SLOW)


# --- bytes


def send(server: Server, data: bytes) -> bytes:
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as line:
        line.sendall(data)
        line.shutdown(socket.SHUT_WR)
        answer = b""
        with contextlib.suppress(ConnectionError, TimeoutError):
            while piece := line.recv(65536):
                answer += piece
    return answer


HEADS = st.sampled_from(
    [
        b"",
        b"POST /api/v1/reports HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nIdempotency-Key: a\r\n",
        b"GET /api/v1/reports/status/",
        b"GET /api/v1/classify?text=",
        b"POST /api/v1/session HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n",
        b"POST /api/v1/unit/fixes HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ",
        b"GET /api/v1/console/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: siaga.token.",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Siaga-Forwarded: ",
        b"GET /../../../../etc/passwd HTTP/1.1\r\nHost: x\r\n",
        b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: x\r\n",
    ]
)


async def test_no_bytes_at_the_socket_make_a_500(server: Server) -> None:
    """Half requests, wrong headers, bytes that are no text, paths that climb: refused or cut off, never a defect."""

    @hypothesis.settings(quiet, max_examples=300)
    @given(HEADS, st.binary(max_size=300), st.sampled_from([b"", b"\r\n\r\n", b" HTTP/1.1\r\nHost: x\r\n\r\n"]))
    def one(head: bytes, middle: bytes, tail: bytes) -> None:
        answer = send(server, head + middle + tail)
        status = answer.split(b" ", 2)[1:2]
        assert not status or not status[0].startswith(b"5"), (head, middle, tail, answer[:300])
        assert b"root:" not in answer

    await asyncio.to_thread(one)
    async with client(server) as anybody:
        assert (await anybody.get("/health/live"))[0] == 200


@hypothesis.settings(quiet, max_examples=500)
@given(st.text(st.characters(), max_size=200))
def test_no_text_reads_as_a_callers_link(token: str) -> None:
    """Only what we signed opens a report."""
    from tests.dispatch.town import T0

    assert links.read(b"k" * 32, token, T0) is None


@hypothesis.settings(quiet, max_examples=300)
@given(st.text(max_size=200))
def test_any_language_header_is_answered(header: str) -> None:
    """Nonsense is Indonesian."""
    assert prefers_english(header) in (True, False)


@hypothesis.settings(quiet, max_examples=300)
@given(st.text(max_size=120))
def test_any_complaint_of_the_decoder_becomes_a_refusal(text: str) -> None:
    """The field is read out of the decoder's words; no words break that."""
    import msgspec

    problem = from_validation(msgspec.ValidationError(text), "invalid_body")
    assert problem.code == "invalid_body"


# --- sessions


async def test_a_session_cookie_chosen_by_somebody_else_is_never_taken_over(server: Server) -> None:
    """Session fixation: a planted cookie is replaced at sign-in, and the planted one opens nothing."""
    async with client(server) as thief:
        planted = {"Cookie": "siaga_session=chosen-by-the-thief"}
        body = {"username": "dispatcher", "password": DEMO_PASSWORD}
        async with thief.http.post(server.url + "/api/v1/session", json=body, headers=planted) as answer:
            assert answer.status == 200
            given_out = answer.cookies["siaga_session"].value
        assert given_out != "chosen-by-the-thief"
        thief.http.cookie_jar.clear()
        async with thief.http.get(server.url + "/api/v1/session", headers=planted) as answer:
            assert answer.status == 401


async def test_signing_in_again_makes_a_new_session(server: Server) -> None:
    """The old cookie does not become the new one."""
    async with client(server, "dispatcher") as first, client(server, "dispatcher") as second:
        cookies = [{c.key: c.value for c in caller.http.cookie_jar}["siaga_session"] for caller in (first, second)]
        assert len(set(cookies)) == 2


async def test_a_session_cookie_is_out_of_reach_of_scripts_and_other_sites(server: Server) -> None:
    """HttpOnly, SameSite, and no wider than the site."""
    async with client(server) as anybody:
        body = {"username": "dispatcher", "password": DEMO_PASSWORD}
        async with anybody.http.post(server.url + "/api/v1/session", json=body) as answer:
            cookie = answer.cookies["siaga_session"]
    assert cookie["httponly"]
    assert cookie["samesite"] in ("Lax", "Strict")
    assert cookie["domain"] == ""


async def test_one_reporters_link_shows_nothing_of_another_report(server: Server) -> None:
    """The token names the report; swapping parts of two valid tokens opens nothing (IDOR)."""
    from tests.dispatch.server import new_key, public_report

    async with client(server) as citizen:
        tokens = []
        for step in (0.0, 0.02):
            _, receipt = await citizen.post("/api/v1/reports", public_report(dlon=step), new_key())
            tokens.append(receipt["status_url"].rsplit("/", 1)[1])
        one, other = (token.split(".") for token in tokens)
        for place in range(len(one)):
            if one[place] != other[place]:
                mixed = ".".join([*one[:place], other[place], *one[place + 1 :]])
                assert (await citizen.get(f"/api/v1/reports/status/{mixed}"))[0] == 404
