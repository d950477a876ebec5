"""Views people keep, and the mail that carries them, handed to a real SMTP server on the loopback."""

from __future__ import annotations

import asyncio
import email
import email.policy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.keeping import Keeping
from dashboards.mailing import Mailer, Smtp, read_smtp
from dashboards.views import SavedView, due, read_address
from dispatch.model import Rejected
from siaga.serve import Server
from tests.dashboards.test_boards import REGION, boards_of
from tests.dispatch.server import client, town_server

MADE = datetime(2026, 3, 4, 3, 0, tzinfo=UTC)  # a Wednesday, ten in the morning in Surabaya


class PostOffice:
    """A small SMTP server (RFC 5321): takes mail, or refuses it when told to."""

    def __init__(self) -> None:
        self.mails: list[tuple[list[str], EmailMessage]] = []
        self.refusing = False
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def say(line: str) -> None:
            writer.write(f"{line}\r\n".encode())

        say("220 loopback")
        to: list[str] = []
        while line := (await reader.readline()).decode().strip():
            verb = line.split(":")[0].split(" ")[0].upper()
            if verb == "RCPT":
                to.append(line.split("<")[1].split(">")[0])
            if verb == "DATA":
                if self.refusing:
                    say("451 later")
                    continue
                say("354 go on")
                text = (await reader.readuntil(b"\r\n.\r\n")).removesuffix(b".\r\n")
                self.mails.append((to, email.message_from_bytes(text, policy=email.policy.default)))  # type: ignore[arg-type]
                to = []
            say("221 bye" if verb == "QUIT" else "250 ok")
            if verb == "QUIT":
                break
        writer.close()


@asynccontextmanager
async def post_office() -> AsyncIterator[PostOffice]:
    office = PostOffice()
    server = await asyncio.start_server(office.serve, "127.0.0.1", 0)
    office.port = server.sockets[0].getsockname()[1]
    async with server:
        yield office


def view(**more: Any) -> SavedView:
    given_ = {
        "id": "v1", "username": "manager", "name": "Rapat pagi", "query": "masa=7d&jenis=medis",
        "mail_to": ["kepala@example.org", "wakil@example.org"], "mail_every": "daily", "made_at": MADE, "mailed_for": "",
    }  # fmt: skip
    return SavedView(**{**given_, **more})


# --- when


@pytest.mark.parametrize(
    ("every", "now", "day"),
    [
        ("daily", MADE + timedelta(hours=1), None),  # the day it was made
        ("daily", datetime(2026, 3, 4, 23, 59, tzinfo=UTC), None),  # 06:59 the next morning
        ("daily", datetime(2026, 3, 5, 0, 0, tzinfo=UTC), "2026-03-05"),
        ("weekly", datetime(2026, 3, 8, 0, 0, tzinfo=UTC), None),  # Sunday
        ("weekly", datetime(2026, 3, 9, 0, 0, tzinfo=UTC), "2026-03-09"),
        ("weekly", datetime(2026, 3, 14, 0, 0, tzinfo=UTC), "2026-03-09"),  # the server was down on Monday
        ("monthly", datetime(2026, 3, 31, 0, 0, tzinfo=UTC), None),
        ("monthly", datetime(2026, 4, 1, 0, 0, tzinfo=UTC), "2026-04-01"),
        ("", datetime(2026, 4, 1, 0, 0, tzinfo=UTC), None),
    ],
)
def test_a_view_is_due_from_seven_in_the_morning(every: str, now: datetime, day: str | None) -> None:
    assert due(view(mail_every=every), now, 7.0) == day


@given(st.integers(0, 365 * 24), st.sampled_from(["daily", "weekly", "monthly"]))
def test_what_was_mailed_is_not_due_again(hours: int, every: str) -> None:
    now = MADE + timedelta(hours=hours)
    day = due(view(mail_every=every), now, 7.0)
    if day is not None:
        assert due(view(mail_every=every, mailed_for=day), now, 7.0) is None
        assert date.fromisoformat(day) <= (now + timedelta(hours=7)).date()


# --- what an address says


@pytest.mark.parametrize(
    "query",
    [
        "masa=never", "masa=own", "masa=own&dari=2026-01-02&sampai=2026-01-01", "masa=own&dari=x&sampai=y", "jenis=x",
        "kecamatan=x", "regu=x", "masa=own&dari=1900-01-01&sampai=2026-01-01", "&".join(f"a{n}=1" for n in range(30)),
    ],
)  # fmt: skip
def test_an_address_no_board_understands_is_refused(query: str) -> None:
    with pytest.raises(Rejected):
        read_address(query, REGION)


def test_a_mailed_period_ends_with_the_last_whole_day() -> None:
    asked = read_address("masa=7d&kecamatan=35.78.03&regu=pagi", REGION)
    since, until = asked.period(date(2026, 3, 8), 7.0)
    assert (since, until) == (datetime(2026, 3, 1, 17, tzinfo=UTC), datetime(2026, 3, 8, 17, tzinfo=UTC))
    assert (asked.slice.zone, asked.slice.shift) == ("35.78.03", "pagi")
    fixed = read_address("masa=own&dari=2026-01-01&sampai=2026-01-31", REGION)
    assert fixed.period(date(2026, 3, 8), 7.0)[0] == datetime(2025, 12, 31, 17, tzinfo=UTC)


# --- the mail server's address


def test_mail_settings_come_from_a_file(tmp_path: Path) -> None:
    """TLS is asked for unless the server is this machine; a bad line is refused without telling the password."""
    file = tmp_path / "smtp"
    environment = {"SIAGA_SMTP_FILE": str(file)}
    assert read_smtp({}) is None
    file.write_text("smtp://ayu:s%40ndi@mail.example.org?from=112@example.org\n")
    assert read_smtp(environment) == Smtp("mail.example.org", 587, "112@example.org", username="ayu", password="s@ndi")
    file.write_text("smtps://mail.example.org?from=112@example.org")
    found = read_smtp(environment)
    assert found is not None
    assert (found.port, found.implicit_tls, found.starttls) == (465, True, False)
    file.write_text("smtp://127.0.0.1:2525?from=112@example.org")
    found = read_smtp(environment)
    assert found is not None
    assert not found.starttls
    for bad in ("smtp://ayu:rahasia@mail.example.org", "http://x?from=a@b.c", "smtp://h?from=a@b.c%0d%0aBcc:x@y.z"):
        file.write_text(bad)
        with pytest.raises(ValueError, match="SIAGA_SMTP_FILE") as refused:
            read_smtp(environment)
        assert "rahasia" not in str(refused.value)


# --- mailing


@pytest.fixture
async def keeping(pool: asyncpg.Pool) -> Keeping:
    await pool.execute(
        "INSERT INTO account (username, name, role, password_hash, demo, created_at) "
        "VALUES ('manager', 'Manajer', 'manager', 'x', false, now())"
    )
    found = Keeping(pool, REGION.code)
    v = view(made_at=datetime(2020, 1, 1, tzinfo=UTC))
    await found.execute(
        "put_view", v.id, REGION.code, v.username, v.name, v.query, v.mail_to, v.mail_every, v.made_at, v.mailed_for
    )
    return found


async def test_a_due_view_is_mailed_once_as_a_pdf_to_each_by_itself(keeping: Keeping) -> None:
    """Two nodes look at the same minute: one mail each, and nobody sees the other's address."""
    boards = boards_of(12)
    now = datetime.now(UTC)
    async with post_office() as office:
        smtp = Smtp("127.0.0.1", office.port, "112@example.org", starttls=False)
        nodes = [Mailer(boards, keeping, smtp, lambda: now) for _ in range(2)]
        assert sum(await asyncio.gather(*(n.mail_due() for n in nodes))) == 1
        assert [to for to, _ in office.mails] == [["kepala@example.org"], ["wakil@example.org"]]
        assert await nodes[0].mail_due() == 0
    for _, mail in office.mails:
        assert "Rapat pagi" in mail["Subject"]
        assert mail["To"] in ("kepala@example.org", "wakil@example.org")
        [pdf] = list(mail.iter_attachments())
        assert pdf.get_content().startswith(b"%PDF-")
        body = mail.get_body()
        assert body is not None
        assert "ditolong dalam 7 menit" in body.get_content()


async def test_a_mail_server_that_refuses_is_tried_again_later(keeping: Keeping) -> None:
    boards = boards_of(3)
    clock = [datetime.now(UTC)]
    async with post_office() as office:
        office.refusing = True
        mailer = Mailer(
            boards, keeping, Smtp("127.0.0.1", office.port, "112@example.org", starttls=False), lambda: clock[0]
        )
        assert await mailer.mail_due() == 0
        office.refusing = False
        assert await mailer.mail_due() == 0  # not at once
        clock[0] += timedelta(minutes=11)
        assert await mailer.mail_due() == 1
        assert len(office.mails) == 2


async def test_a_disabled_persons_views_are_not_mailed(keeping: Keeping) -> None:
    await keeping.pool.execute("UPDATE account SET disabled_at = now()")
    mailer = Mailer(boards_of(1), keeping, Smtp("127.0.0.1", 1, "112@example.org"), lambda: datetime.now(UTC))
    assert await mailer.mail_due() == 0


# --- the server


@pytest.fixture
async def server(database: str, tmp_path: Path) -> AsyncIterator[Server]:
    async with town_server(database, tmp_path) as running:
        yield running


async def test_views_belong_to_one_person(server: Server) -> None:
    """Another cannot read or delete them."""
    async with client(server, "manager") as manager, client(server, "auditor") as auditor:
        status, kept = await manager.post("/api/v1/board/views", {"name": "Sebulan", "query": "masa=30d&regu=malam"})
        assert status == 200
        assert (await auditor.get("/api/v1/board/views"))[1]["views"] == []
        where = f"{server.url}/api/v1/board/views/{kept['id']}"
        async with auditor.http.delete(where, headers=auditor.headers) as r:
            assert r.status == 404
        _, mine = await manager.get("/api/v1/board/views")
        assert [v["query"] for v in mine["views"]] == ["masa=30d&regu=malam"]
        assert mine["can_mail"] is False
        async with manager.http.delete(where, headers=manager.headers) as r:
            assert r.status == 200
        assert (await manager.get("/api/v1/board/views"))[1]["views"] == []


@pytest.mark.parametrize(
    "more",
    [
        {"query": "masa=forever"}, {"name": "a\nBcc: x@y.z"}, {"name": ""}, {"mail_to": ["a@b.c"]}, {"mail_every": "daily"},
        {"mail_to": ["a@b.c\r\nBcc: x@y.z"], "mail_every": "daily"}, {"mail_to": ["<a@b.c>"], "mail_every": "daily"},
    ],
)  # fmt: skip
async def test_a_view_that_cannot_be_meant_is_refused(server: Server, more: dict[str, Any]) -> None:
    async with client(server, "manager") as manager:
        body = {"name": "x", "query": "masa=7d", **more}
        status, answer = await manager.post("/api/v1/board/views", body)
        assert (status, answer["code"]) == (422, "invalid_body")


async def test_the_board_as_pdf_says_what_it_leaves_out(server: Server) -> None:
    period = "since=2026-01-01T00:00:00Z&until=2026-01-31T00:00:00Z"
    async with client(server, "manager") as manager, client(server, "admin") as admin:
        async with manager.http.get(f"{server.url}/api/v1/board.pdf?{period}&shift=malam") as r:
            assert r.status == 200
            assert (await r.read()).startswith(b"%PDF-")
        async with manager.http.get(f"{server.url}/api/v1/board.pdf?{period}&shift=x") as r:
            assert r.status == 422
        async with admin.http.get(f"{server.url}/api/v1/board.pdf?{period}") as r:
            assert r.status == 403
