"""A real server writes the day's report by itself when its clock says so, and hands it out."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from siaga import sla_feed
from tests.dispatch.server import client, new_key, public_report, town_server

EVENING = datetime(2026, 3, 2, 13, 0, tzinfo=UTC)
"""20:00 in Surabaya."""


class Watch:
    """A clock that runs with the machine's and can be moved on."""

    def __init__(self) -> None:
        self.ahead = EVENING - datetime.now(UTC)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def move_to(self, at: datetime) -> None:
        self.ahead = at - datetime.now(UTC)


async def written(file: Path) -> None:
    for _ in range(1_200):
        if await asyncio.to_thread(file.exists):
            return
        await asyncio.sleep(0.05)
    raise TimeoutError(f"{file.name} was not written within a minute")


async def test_yesterdays_report_is_written_after_one_in_the_morning_and_served(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An emergency in the evening that nobody reached; at 00:59 nothing is due, at 01:00 the report is, once, with it in it."""
    monkeypatch.setattr(sla_feed, "REPORTS_EVERY_S", 0.02)
    watch = Watch()
    folder = tmp_path / "laporan"
    async with town_server(database, tmp_path, clock=watch) as server:
        async with client(server) as anybody:
            status, _ = await anybody.post("/api/v1/reports", public_report(), new_key())
            assert status in (200, 201, 202)
        watch.move_to(datetime(2026, 3, 2, 17, 58, tzinfo=UTC))
        async with client(server, "manager") as manager:
            assert (await manager.get("/api/v1/sla/reports"))[1] == []
        assert not list(folder.glob("*"))
        watch.move_to(datetime(2026, 3, 2, 18, 0, tzinfo=UTC) + timedelta(seconds=1))
        await written(folder / "harian-2026-03-02.html")
        assert sorted(p.name for p in folder.iterdir()) == [
            f"harian-2026-03-02.{kind}" for kind in ("csv", "html", "pdf")
        ]
        async with client(server, "manager") as manager:
            _, known = await manager.get("/api/v1/sla/reports")
            assert {r["name"] for r in known} == {p.name for p in folder.iterdir()}
            url = f"{server.url}/api/v1/sla/reports/harian-2026-03-02.pdf"
            async with manager.http.get(url, headers=manager.headers) as pdf:
                assert (await pdf.read()).startswith(b"%PDF")
        assert "0 dari 1" in (folder / "harian-2026-03-02.html").read_text(encoding="utf-8")
