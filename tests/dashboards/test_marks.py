"""Changes noted by hand on the charts: everybody reads them, supervisors and managers write them, their author is named."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dashboards import marks
from siaga.serve import Server
from tests.dispatch.server import ROLES, client, town_server

PATH = "/api/v1/board/marks"


@pytest.fixture
async def server(database: str, tmp_path: Path) -> AsyncIterator[Server]:
    async with town_server(database, tmp_path) as running:
        yield running


async def test_a_note_is_read_by_all_with_its_author_and_can_be_removed(server: Server) -> None:
    async with client(server, "manager") as manager, client(server, "auditor") as auditor:
        for day, words in (("2026-10-01", "pos baru Pakal"), ("2026-09-01", "regu malam ditambah")):
            status, made = await manager.post(PATH, {"day": day, "words": words})
            assert status == 200
        _, found = await auditor.get(PATH)
        assert [m["words"] for m in found] == ["regu malam ditambah", "pos baru Pakal"]
        assert {m["made_by"] for m in found} == {made["made_by"]} != {""}
        where = f"{server.url}{PATH}/{made['id']}"
        async with auditor.http.delete(where, headers=auditor.headers) as r:
            assert r.status == 403
        for expected in (200, 404):
            async with manager.http.delete(where, headers=manager.headers) as r:
                assert r.status == expected
        assert [m["words"] for m in (await auditor.get(PATH))[1]] == ["pos baru Pakal"]


async def test_only_supervisors_and_managers_note(server: Server) -> None:
    for role in ROLES:
        async with client(server, role) as caller:
            allowed = role in ("supervisor", "manager")
            status, _ = await caller.post(PATH, {"day": "2026-10-01", "words": "x"})
            assert status == (200 if allowed else 403), role


@pytest.mark.parametrize(
    "more",
    [
        {"words": ""}, {"words": "   "}, {"words": "x" * 81}, {"words": "a\nb"}, {"day": "yesterday"}, {"day": "1999-12-31"},
        {"day": "2999-01-01"}, {"made_by": "somebody else"},
    ],
)  # fmt: skip
async def test_a_note_that_cannot_be_meant_is_refused(server: Server, more: dict[str, Any]) -> None:
    async with client(server, "manager") as manager:
        status, answer = await manager.post(PATH, {"day": "2026-10-01", "words": "x", **more})
        assert (status, answer["code"]) == (422, "invalid_body")
        assert (await manager.get(PATH))[1] == []


async def test_there_are_not_more_notes_than_a_chart_can_show(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marks, "MARKS_MAX", 2)
    async with client(server, "manager") as manager:
        answers = [await manager.post(PATH, {"day": "2026-10-01", "words": str(n)}) for n in range(3)]
    assert [status for status, _ in answers] == [200, 200, 422]
    assert answers[2][1]["code"] == "too_many_marks"
