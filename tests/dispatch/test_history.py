"""What the tables still know: log book, search, callers for a purpose, replay, and incidents that have left memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from dispatch.api.history import CALLERS_MAX, LOG_SPAN_MAX
from siaga.serve import Server
from tests.dispatch.server import Client, client, town_server

PHONE = "+62 31 0000 4711"


@pytest.fixture
async def server(database: str, tmp_path: Path) -> AsyncIterator[Server]:
    async with town_server(database, tmp_path) as started:
        yield started


def around(hours: float = 1.0) -> dict[str, str]:
    now = datetime.now(UTC)
    return {"since": (now - timedelta(hours=hours)).isoformat(), "until": (now + timedelta(minutes=5)).isoformat()}


async def opened(
    desk: Client, words: str = "bapak sesak napas", address: str = "Jalan Percobaan 7", **more: Any
) -> str:
    place = {"lon": 112.74, "lat": -7.26, "address": address}
    body = {"channel": "radio", "kind": "pohon", "place": place, "description": words, **more}
    answer = await desk.do("submit_report", **body)
    return str(answer["incident_id"])


async def test_the_log_book_tells_the_shift_newest_first_page_by_page(server: Server) -> None:
    async with client(server, "dispatcher") as desk:
        number = await opened(desk)
        await desk.do("hand_over", text="Pohon di Percobaan belum selesai; A1 mogok.")
        await desk.do("note_incident", incident_id=number, text="pagar terkunci")
        status, all_lines = await desk.get("/api/v1/history/log", **around())
        assert status == 200
        kinds = [e["event"]["kind"] for e in all_lines["entries"]]
        assert kinds[:2] == ["incident_noted", "handed_over"]
        assert "unit_recommended" not in kinds
        paged: list[Any] = []
        while True:
            page = {"before": paged[-1]["seq"]} if paged else {}
            _, answer = await desk.get("/api/v1/history/log", limit=2, **page, **around())
            if not answer["entries"]:
                break
            paged += answer["entries"]
        assert paged == all_lines["entries"]
        _, notes = await desk.get("/api/v1/history/log", kind="handed_over", **around())
        assert [(e["actor"]["name"], e["event"]["text"]) for e in notes["entries"]] == [
            ("dispatcher", "Pohon di Percobaan belum selesai; A1 mogok.")
        ]


@pytest.mark.parametrize(
    "query",
    [
        {"kind": "unit_recommended", **around()},
        around((LOG_SPAN_MAX + timedelta(days=1)) / timedelta(hours=1)),
        {"since": around()["until"], "until": around()["since"]},
        {"since": "2026-01-01T00:00:00", "until": "2026-01-02T00:00:00"},  # of which time zone?
    ],
)
async def test_a_log_book_of_nothing_sensible_is_refused(server: Server, query: dict[str, str]) -> None:
    async with client(server, "supervisor") as desk:
        status, answer = await desk.get("/api/v1/history/log", **query)
        assert (status, answer["code"]) == (422, "invalid_query")


async def test_incidents_are_found_by_number_words_address_kind_and_place(server: Server) -> None:
    """And signs with a meaning of their own in SQL patterns are only signs."""
    async with client(server, "dispatcher") as desk:
        tree = await opened(desk, words="pohon 100% roboh")
        other = await opened(desk, words="dahan patah", address="Gang Lain 3", kind="kdrt")

        async def found(**query: Any) -> list[str]:
            status, answer = await desk.get("/api/v1/history/incidents", **query, **around())
            assert status == 200, answer
            return [i["incident_id"] for i in answer["incidents"]]

        assert await found() == [other, tree]
        assert await found(q=tree[-4:]) == [tree]
        assert await found(q="PERCOBAAN") == [tree]
        assert await found(q="100%") == [tree]
        assert await found(q="1_0%") == []
        assert await found(kind="kdrt") == [other]
        assert await found(lon=112.7402, lat=-7.26, within_m=50) == [other, tree]
        assert await found(lon=112.75, lat=-7.26, within_m=50) == []
        assert await found(limit=1) == [other]
        assert await found(limit=1, before=other) == [tree]


async def test_a_caller_is_found_for_a_purpose_that_is_written_down(server: Server, pool: asyncpg.Pool) -> None:
    """By the end of the number or a part of the name; the search and each caller shown leave a record, the number does not."""
    async with client(server, "call_taker") as desk:
        number = await opened(desk, caller={"phone": PHONE, "name": "Bu Contoh"})
        path = "/api/v1/history/callers"
        status, _ = await desk.get(path, who="4711", **around())
        assert status == 422, "no purpose, no answer"
        why = {"purpose": "menelepon balik", **around()}
        for who in ("0000 4711", "+62 31 00004711", "031 0000 4711", "contoh"):
            status, answer = await desk.get(path, who=who, **why)
            assert status == 200
            assert [(c["incident_id"], c["phone"]) for c in answer["callers"]] == [(number, PHONE)], who
        _, nobody = await desk.get(path, who="4711", **why)
        assert nobody == {"callers": [], "most": CALLERS_MAX}, "four digits are too few to be a number"
    searches = await pool.fetch("SELECT actor, detail::text FROM account_audit WHERE action = 'callers_searched'")
    assert [s["actor"] for s in searches] == ["call_taker:call_taker"] * 5
    assert "4711" not in "".join(s["detail"] for s in searches)
    assert await pool.fetchval("SELECT count(*) FROM caller_reading WHERE purpose = 'menelepon balik'") == 4


async def test_a_replay_has_the_drive_of_every_unit_that_was_sent(server: Server) -> None:
    async with client(server, "dispatcher") as desk, client(server, "A1") as phone:
        await phone.do("start_duty", unit_id="A1", crew=["Bayu"])
        number = await opened(desk, kind="medis")
        row = (await desk.get(f"/api/v1/incidents/{number}"))[1]
        assert [a["unit_id"] for a in row["assignments"]] == ["A1"]
        now = datetime.now(UTC)
        fixes = [
            {"lon": 112.741 + n * 1e-4, "lat": -7.26, "fixed_at": (now + timedelta(milliseconds=n)).isoformat()}
            for n in range(2)
        ]
        await phone.post("/api/v1/unit/fixes", {"fixes": fixes})
        await server.services.live.flush_fixes()
        status, answer = await desk.get(f"/api/v1/incidents/{number}/tracks")
        assert status == 200
        assert {f["unit_id"] for f in answer["fixes"]} == {"A1"}
        assert answer["since"] < row["incident"]["first_ring_at"]
        assert not answer["thinned"]
        assert (await desk.get("/api/v1/incidents/000000-0000/tracks"))[0] == 404


async def test_an_incident_that_has_left_memory_is_still_shown(server: Server) -> None:
    """Row, reports, assignments and timeline, from the tables."""
    async with client(server, "dispatcher") as desk:
        number = await opened(desk, caller={"phone": PHONE})
        await desk.do("close_incident", incident_id=number, outcome="dahan disingkirkan")
        path = f"/api/v1/incidents/{number}"
        _, remembered = await desk.get(path)
        state = server.services.live.hub.state
        del state.incidents[number]
        status, read = await desk.get(path)
        assert status == 200
        for field in ("incident_id", "state", "outcome", "ended_by", "kind", "priority"):
            assert read["incident"][field] == remembered["incident"][field]
        assert [e["seq"] for e in read["timeline"]] == [e["seq"] for e in remembered["timeline"]]
        assert [r["report_id"] for r in read["reports"]] == [r["report_id"] for r in remembered["reports"]]
        assert PHONE not in str(read)
        assert (await desk.get(f"{path}/tracks"))[0] == 200
        assert (await desk.get("/api/v1/incidents/000000-0000"))[0] == 404
