"""A shift at sixty times its speed: `python -m tests.browser.soak_console [--hours 8]`. Prints the page's memory at intervals.

The stream is made up (`bench_console.Crowd`): 1,000 units, 200 incidents an hour that open, get a unit, fill their timeline and
end, while an operator walks through the queue, reads, filters and opens the past. A second stands for a minute, so eight hours take
eight minutes. The heap is measured after a forced collection; what grows with the shift shows, what the hour keeps does not.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from playwright.sync_api import CDPSession, WebSocketRoute, sync_playwright

from tests.browser.bench_console import Crowd, iso, load
from tests.browser.town import CHROMIUM, CHROMIUM_ARGS, running

SPEED = 60
OPENED_AN_HOUR = 200
LASTS = timedelta(minutes=40)
LINES_OF_AN_INCIDENT = 15
EVERY_MIN = 30
KEYS = ("j", "j", "Enter", "Escape", "k", "/", "Escape", "n", "Escape", "Control+k", "Escape", "j")


class Shift(Crowd):
    """The crowd on a clock of its own, with incidents that come and go."""

    def __init__(self) -> None:
        super().__init__(1000, 0)
        self.at = datetime.now(UTC)
        self.opened = 0
        self.owed = 0.0
        self.running: list[tuple[datetime, dict[str, Any], dict[str, Any], dict[str, Any]]] = []

    def minute(self) -> list[str]:
        """One minute of life."""
        self.at += timedelta(minutes=1)
        now = iso(self.at)
        incidents: list[dict[str, Any]] = []
        assignments: list[dict[str, Any]] = []
        units: list[dict[str, Any]] = []
        reports: list[dict[str, Any]] = []
        entries: list[dict[str, Any]] = []
        self.owed += OPENED_AN_HOUR / 60
        while self.owed >= 1:
            self.owed -= 1
            self.opened += 1
            incident, a, unit = self._open(now)
            self.running.append((self.at + LASTS, incident, a, unit))
        for ends, incident, a, unit in self.running:
            incident["version"] += 1
            if ends <= self.at:
                incident.update(state="closed", ended_at=now, outcome="Selesai")
                a.update(state="cleared", ended_at=now)
                unit.update(state="available", assignment_id=None, since=now)
                units.append(unit)
                assignments.append(a)
            incidents.append(incident)
            reports.append(
                {
                    "report_id": incident["report_ids"][0], "channel": "call", "state": "attached",
                    "rang_at": incident["first_ring_at"], "received_at": now, "incident_id": a["incident_id"],
                }
            )  # fmt: skip
            if self.rng.random() < LINES_OF_AN_INCIDENT / (LASTS.total_seconds() / 60):
                self.seq += 1
                event = {
                    "kind": "incident_noted",
                    "incident_id": a["incident_id"],
                    "text": f"catatan {self.seq} " + "x" * 80,
                }
                entries.append(
                    {"seq": self.seq, "at": now, "actor": {"role": "crew", "name": a["unit_id"]}, "event": event}
                )
        self.running = [row for row in self.running if row[0] > self.at]
        for p in self.positions:
            p["lon"] += self.rng.uniform(-3e-4, 3e-4)
            p["lat"] += self.rng.uniform(-3e-4, 3e-4)
            p["fixed_at"] = now
        if not entries:
            self.seq += 1
        rows = {"incidents": incidents, "assignments": assignments, "units": units, "reports": reports}
        return [
            json.dumps({"type": "positions", "at": now, "positions": self.positions}),
            json.dumps({"type": "changes", "seq": self.seq, "at": now, "entries": entries, **rows}),
            json.dumps({"type": "status", "degraded": False, "at": now}),
        ]

    def _open(self, now: str) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        number = f"261124-{self.opened:04d}"
        unit = next(u for u in self.units if u["state"] == "available")
        place = {
            "lon": self.rng.uniform(112.6, 112.84),
            "lat": self.rng.uniform(-7.35, -7.2),
            "address": f"Jalan Percobaan {self.opened}",
        }
        a = {
            "assignment_id": f"{number}/1", "incident_id": number, "unit_id": unit["unit_id"], "capability": "ambulance",
            "state": "en_route", "assigned_at": now, "assigned_by": "engine", "eta_s": 300.0, "arrival_sd_s": 40.0, "alerts": 1,
            "ended_at": None,
        }  # fmt: skip
        unit.update(state="committed", assignment_id=a["assignment_id"], since=now)
        incident = {
            "incident_id": number, "kind": "medis", "priority": 1 + self.opened % 3, "highest_priority": 1, "plan": "x",
            "mode": "auto", "place": place, "state": "dispatched", "first_ring_at": now, "opened_at": now,
            "report_ids": [f"L{number}"], "assignment_ids": [a["assignment_id"]], "confirmed": True, "unfilled": [],
            "ended_at": None, "version": 1,
        }  # fmt: skip
        return incident, a, unit


def weigh(probe: CDPSession) -> tuple[float, int, int]:
    """MB of live heap, DOM nodes, listeners."""
    probe.send("HeapProfiler.collectGarbage")
    used = float(probe.send("Runtime.getHeapUsage")["usedSize"])
    counters = probe.send("Memory.getDOMCounters")
    return used / 1e6, int(counters["nodes"]), int(counters["jsEventListeners"])


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--hours", type=float, default=8.0, help="of the shift, not of yours")
    hours = options.parse_args().hours
    with running(city=False) as town, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
        page = browser.new_context(viewport={"width": 1366, "height": 768}).new_page()
        page.set_default_timeout(90_000)
        shift = Shift()
        lines: list[WebSocketRoute] = []

        def stand_in(line: WebSocketRoute) -> None:
            lines.append(line)
            line.send(shift.snapshot())

        page.route_web_socket(re.compile("/console/stream"), stand_in)
        page.goto(town.base + "/konsol")
        page.fill("input[name=username]", "dispatcher")
        page.fill("input[name=password]", town.password)
        page.press("input[name=password]", "Enter")
        page.wait_for_selector(".map canvas.overlay")
        probe = page.context.new_cdp_session(page)
        probe.send("HeapProfiler.enable")
        print(f"{SPEED} times as fast as life; {load()}")
        print(f"{'minutes':>8}{'incidents':>11}{'open':>6}{'heap MB':>9}{'nodes':>8}{'listeners':>11}", flush=True)
        for minute in range(int(hours * 60) + 1):
            if minute % EVERY_MIN == 0:
                heap, nodes, listeners = weigh(probe)
                row = f"{minute:>8}{shift.opened:>11}{len(shift.running):>6}{heap:>9.1f}{nodes:>8}{listeners:>11}"
                print(row, flush=True)
            started = time.monotonic()
            for text in shift.minute():
                lines[-1].send(text)
            page.keyboard.press(KEYS[minute % len(KEYS)])
            page.wait_for_timeout(max(0.0, 60 / SPEED - (time.monotonic() - started)) * 1000)
        print(load())
        browser.close()


if __name__ == "__main__":
    main()
