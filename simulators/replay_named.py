"""Replay against a server somebody else started, e.g. another machine's: its clock, its database, audited over its API."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from dispatch.clock import ScaledClock
from dispatch.model import Rejected
from simulators.audit import Audit
from simulators.http import Keyring, Staff, Wire
from simulators.replay import Replay
from simulators.replay_run import last_line, tell
from simulators.trace_region import Trace, derive

console = Console(stderr=True)

MEASURE_S = 2.0
PAGE = 500


async def server_clock(staff: Staff) -> ScaledClock:
    """The server's clock, told from two answers: where it stands and how fast it runs."""
    first_s, first = time.time(), await _told(staff)
    await asyncio.sleep(MEASURE_S)
    before_s = time.time()
    second = await _told(staff)
    second_s = (before_s + time.time()) / 2.0
    speed = (second - first).total_seconds() / (second_s - first_s)
    return ScaledClock(second, 1.0 if speed < 1.5 else float(round(speed)), second_s)


async def _told(staff: Staff) -> datetime:
    answer = await staff.get("/api/v1/sla/summary")
    return datetime.fromisoformat(answer["at"])


async def audit_over_api(staff: Staff, report_ids: list[str]) -> Audit:
    """As `audit.audit`, from incident rows: the API shows what is open and what ended in the last 48 hours."""
    rows: dict[str, dict[str, Any]] = {}
    for state in ("open", "ended"):
        before = ""
        while True:
            page = (await staff.get(f"/api/v1/incidents?state={state}&limit={PAGE}{before}"))["incidents"]
            rows.update({row["incident_id"]: row for row in page})
            if len(page) < PAGE:
                break
            before = f"&before={page[-1]['incident_id']}"
    of_report = {report_id: row for row in rows.values() for report_id in row["report_ids"]}
    found = Audit()
    for report_id in report_ids:
        row = of_report.get(report_id)
        if row is None:
            found.missing.append(report_id)
        elif row["assigned_count"] > 0:
            found.assigned += 1
        elif row["unfilled"] or not row["confirmed"]:
            found.explained["waiting"] = found.explained.get("waiting", 0) + 1
        else:
            found.forgotten.append(report_id)
    return found


async def replay_on_named_server(
    trace: Trace, url: str, keys: Path, speed: float, limit: int | None
) -> tuple[str, Audit]:
    """Replay on the server at `url`; the last line to print and the audit. Raises Rejected when its region is another."""
    keyring = Keyring(path=keys)
    keyring.keys.url = url.rstrip("/")
    region = derive(trace, speed)
    async with Wire(keyring) as wire:
        staff = Staff(wire, "dispatcher")
        facts = await staff.get("/api/v1/region")
        unknown = set(region.kinds) - {kind["code"] for kind in facts["kinds"]}
        if unknown:
            raise Rejected("other_region", "--server", region=facts["code"], unknown_kinds=sorted(unknown)[:3])
        clock = await server_clock(staff)
        squeeze = max(1.0, speed / clock.speed)
        console.print(
            f"Jam server berjalan / the server's clock runs {clock.speed:g}x; panggilan dirapatkan / calls come "
            f"{squeeze:g}x closer together than recorded."
        )
        progress = await tell(Replay(wire, trace, region, clock, limit=limit, squeeze=squeeze))
        found = await audit_over_api(staff, list(progress.report_ids.values()))
    return last_line(progress, found), found
