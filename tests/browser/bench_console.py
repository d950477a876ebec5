"""How fast the console feels: `python -m tests.browser.bench_console`. Prints figures beside a yardstick, asserts none.

The page comes from a real server; its stream is replaced by a made-up city of 1,000 units that move every second and 200
open incidents, 20 of which change every second. Yardsticks: the same key presses on an empty city in the same browser, and
the full city without a map, which leaves out what the map costs where no graphics card draws it.

Two browsers are measured: as Chrome runs on a machine without a graphics card (pages drawn by the CPU, WebGL by SwiftShader),
and with `--forced-gl` also with everything forced through SwiftShader, which is the rasteriser's figure and not the console's.
Then how long a change made in one browser takes to be drawn in another, both on the real server.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import os
import random
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from playwright.sync_api import Browser, CDPSession, Page, WebSocketRoute, sync_playwright

from dashboards import build_web
from tests.browser.town import CHROMIUM, CHROMIUM_ARGS, Town, running

FORCED_GL = [a for a in CHROMIUM_ARGS if a != "--disable-gpu"] + ["--use-angle=swiftshader"]

UNITS, INCIDENTS, CHANGED_A_SECOND = 1000, 200, 20
PRESSES = 60
PRESS_EVERY_MS = 250

OBSERVE = """() => {
  window.__slow = [];
  new PerformanceObserver((list) => {
    for (const e of list.getEntries()) if (e.interactionId) window.__slow.push([e.duration, e.processingEnd - e.startTime]);
  }).observe({ type: 'event', durationThreshold: 16, buffered: true });
}"""


def iso(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


class Crowd:
    """Rows of a city that exists only for the measurement."""

    def __init__(self, units: int, incidents: int) -> None:
        self.rng = random.Random(1)
        now = datetime.now(UTC)
        self.seq = 1
        self.positions = [
            {
                "unit_id": f"U{n:04d}", "lon": self.rng.uniform(112.6, 112.84), "lat": self.rng.uniform(-7.35, -7.2),
                "heading_deg": self.rng.uniform(0, 360), "speed_mps": 9.0, "fixed_at": iso(now), "accuracy_m": 8.0,
            }
            for n in range(units)
        ]  # fmt: skip
        self.units: list[dict[str, Any]] = [
            {
                "unit_id": p["unit_id"], "unit_type": "ambulance", "agency": "dinkes", "state": "available",
                "capabilities": ["ambulance"], "home_post": None, "post": None, "assignment_id": None,
                "crew": ["Bayu P.", "Sari W."], "since": iso(now), "moving_up_since": None, "out_of_service_for": None,
            }
            for p in self.positions
        ]  # fmt: skip
        self.incidents: list[dict[str, Any]] = []
        self.assignments: list[dict[str, Any]] = []
        for n in range(incidents):
            ring = now - timedelta(seconds=self.rng.uniform(0, 400))
            number = f"261124-{n + 1:04d}"
            a = {
                "assignment_id": f"{number}/1", "incident_id": number, "unit_id": f"U{n:04d}", "capability": "ambulance",
                "state": "en_route", "assigned_at": iso(ring), "assigned_by": "engine", "eta_s": self.rng.uniform(150, 520),
                "arrival_sd_s": 40.0, "alerts": 1, "ended_at": None,
            }  # fmt: skip
            self.assignments.append(a)
            self.units[n].update(state="committed", assignment_id=a["assignment_id"])
            self.incidents.append(
                {
                    "incident_id": number, "kind": "medis", "priority": 1 + n % 3, "highest_priority": 1, "plan": "x", "mode": "auto",
                    "place": {"lon": self.rng.uniform(112.6, 112.84), "lat": self.rng.uniform(-7.35, -7.2), "address": f"Jalan Percobaan {n}"},
                    "state": "dispatched", "first_ring_at": iso(ring), "opened_at": iso(ring), "report_ids": [],
                    "assignment_ids": [a["assignment_id"]], "confirmed": True, "unfilled": [], "version": 1,
                }
            )  # fmt: skip

    def snapshot(self) -> str:
        return json.dumps(
            {
                "type": "snapshot", "seq": self.seq, "at": iso(datetime.now(UTC)), "reports": [], "incidents": self.incidents,
                "units": self.units, "assignments": self.assignments, "positions": self.positions,
            }
        )  # fmt: skip

    def second(self) -> list[str]:
        """One second of life: everybody moves, some incidents change, the line says it is alive."""
        now = datetime.now(UTC)
        for p in self.positions:
            p["lon"] += math.sin(math.radians(p["heading_deg"])) * 8e-5
            p["lat"] += math.cos(math.radians(p["heading_deg"])) * 8e-5
            p["fixed_at"] = iso(now)
        changed = self.rng.sample(self.incidents, min(CHANGED_A_SECOND, len(self.incidents)))
        for i in changed:
            i["version"] += 1
        self.seq += 1
        return [
            json.dumps({"type": "positions", "at": iso(now), "positions": self.positions}),
            json.dumps({"type": "changes", "seq": self.seq, "at": iso(now), "incidents": changed, "entries": []}),
            json.dumps({"type": "status", "degraded": False, "at": iso(now)}),
        ]


def measure(browser: Browser, town: Town, crowd: Crowd, follow: bool, with_map: bool = True) -> dict[str, float]:
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    page = context.new_page()
    page.set_default_timeout(90_000)
    lines: list[WebSocketRoute] = []

    def stand_in(line: WebSocketRoute) -> None:
        lines.append(line)
        line.send(crowd.snapshot())

    page.route_web_socket(re.compile("/console/stream"), stand_in)
    if not with_map:
        page.route(re.compile(r"/maplibre-gl-[^/]*\.js"), lambda route: route.abort())
    page.goto(town.base + "/konsol")
    page.fill("input[name=username]", "dispatcher")
    page.fill("input[name=password]", town.password)
    page.press("input[name=password]", "Enter")
    page.wait_for_selector(".queue .list :is(.item, .empty)")
    page.reload()
    page.wait_for_selector(".queue .list :is(.item, .empty)")
    page.wait_for_selector(".map canvas.overlay" if with_map else ".map .failed")
    page.wait_for_timeout(4000)
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0")
    if not follow:
        page.get_by_role("button", name="Ikuti").click()
    page.evaluate(OBSERVE)
    heap_before = heap(page)
    probe = context.new_cdp_session(page)
    probe.send("Performance.enable", {"timeDomain": "threadTicks"})
    busy_before = busy(probe)
    for n in range(PRESSES):
        if n % max(1, 1000 // PRESS_EVERY_MS) == 0:
            for text in crowd.second():
                lines[-1].send(text)
        page.keyboard.press(["j", "j", "k", "/", "Escape"][n % 5])
        page.wait_for_timeout(PRESS_EVERY_MS)
    events: list[list[float]] = page.evaluate("window.__slow")
    heap_after = heap(page)
    seconds = PRESSES * PRESS_EVERY_MS / 1000
    cpu_ms = {name: round((after - busy_before[name]) * 1000 / seconds) for name, after in busy(probe).items()}
    context.close()
    # Events faster than 16 ms are not reported; they count as 16.
    painted = sorted([16.0] * max(0, PRESSES - len(events)) + [e[0] for e in events])
    handled = sorted([0.0] * max(0, PRESSES - len(events)) + [e[1] for e in events])
    return {
        "first paint ms": round(paint),
        "key to handled p50 ms": round(handled[len(handled) // 2]),
        "key to handled p95 ms": round(handled[int(len(handled) * 0.95)]),
        "key to paint p50 ms": painted[len(painted) // 2],
        "key to paint p95 ms": painted[int(len(painted) * 0.95)],
        "main thread CPU ms/s": cpu_ms["TaskDuration"],
        "of it script ms/s": cpu_ms["ScriptDuration"],
        "of it layout ms/s": cpu_ms["LayoutDuration"] + cpu_ms["RecalcStyleDuration"],
        "heap before MB": heap_before,
        "heap after MB": heap_after,
    }


def busy(probe: CDPSession) -> dict[str, float]:
    """Seconds of CPU the page's main thread has used: other programs on the machine do not change them."""
    wanted = ("TaskDuration", "ScriptDuration", "LayoutDuration", "RecalcStyleDuration")
    metrics = probe.send("Performance.getMetrics")["metrics"]
    return {m["name"]: float(m["value"]) for m in metrics if m["name"] in wanted}


def bundle_bytes() -> tuple[int, int]:
    """What the console makes a browser fetch, gzip: our own scripts and styles, and the map library's."""
    folder = build_web.OUT
    ours, library = 0, 0
    seen: set[str] = set()
    waiting = re.findall(r"/app/(assets/[^\"]+\.(?:js|css))", (folder / "konsol.html").read_text("utf-8"))
    while waiting:
        name = waiting.pop()
        if name in seen or not (folder / name).is_file():
            continue
        seen.add(name)
        body = (folder / name).read_bytes()
        if "maplibre" in name:
            library += len(gzip.compress(body))
            continue
        ours += len(gzip.compress(body))
        found = re.findall(r"[\"'`](?:\./|assets/)([\w.-]+\.(?:js|css))[\"'`]", body.decode())
        waiting += [f"assets/{other}" for other in found]
    return ours, library


def heap(page: Page) -> float:
    return round(float(page.evaluate("performance.memory?.usedJSHeapSize ?? 0")) / 1e6, 1)


WATCH = """() => {
  window.__seen = {};
  new MutationObserver(() => {
    const text = document.querySelector('.lines')?.textContent ?? '';
    for (const [mark] of text.matchAll(/ukur-\\d+/g))
      window.__seen[mark] ??= performance.timeOrigin + performance.now();
  }).observe(document.querySelector('.detail'), { subtree: true, childList: true, characterData: true });
}"""
TYPED = """() => {
  window.__typed = {};
  addEventListener('keydown', (e) => {
    if (e.key === 'Enter') window.__typed[document.querySelector('#note').value] = performance.timeOrigin + performance.now();
  }, true);
}"""
CHANGES = 20


def elsewhere(browser: Browser, town: Town) -> list[float]:
    """Milliseconds from Enter in one browser to the note's line in the other's page, sorted. Both clocks are the machine's."""
    pages: list[Page] = []
    for user in ("dispatcher", "supervisor"):
        page = browser.new_context(viewport={"width": 1366, "height": 768}).new_page()
        page.set_default_timeout(90_000)
        page.goto(town.base + "/konsol")
        page.fill("input[name=username]", user)
        page.fill("input[name=password]", town.password)
        page.press("input[name=password]", "Enter")
        page.wait_for_selector(".queue .list :is(.item, .empty)")
        pages.append(page)
    one, other = pages
    one.keyboard.press("F4")
    one.wait_for_selector("#f-place")
    one.keyboard.type("raya darmo")
    one.wait_for_selector("#f-hits li")
    one.keyboard.press("Enter")
    one.keyboard.type("bapak sesak napas")
    one.wait_for_selector("#f-kind option:checked:not([value=''])", state="attached")
    one.keyboard.press("Control+Enter")
    one.wait_for_selector("#note")
    other.locator(".queue .item").first.click()
    other.wait_for_selector(".detail .lines li")
    one.evaluate(TYPED)
    other.evaluate(WATCH)
    for n in range(CHANGES):
        one.fill("#note", f"ukur-{n}")
        one.press("#note", "Enter")
        other.wait_for_selector(f".lines >> text=ukur-{n}")
        one.wait_for_function("document.querySelector('#note').value === ''")
    typed: dict[str, float] = one.evaluate("window.__typed")
    seen: dict[str, float] = other.evaluate("window.__seen")
    for page in pages:
        page.context.close()
    return sorted(seen[mark] - at for mark, at in typed.items())


def table(browser: Browser, town: Town) -> None:
    columns = {
        "full": measure(browser, town, Crowd(UNITS, INCIDENTS), follow=False),
        "full, map follows": measure(browser, town, Crowd(UNITS, INCIDENTS), follow=True),
        "full, no map": measure(browser, town, Crowd(UNITS, INCIDENTS), follow=False, with_map=False),
        "empty": measure(browser, town, Crowd(0, 0), follow=False),
    }
    print(f"{'':24}" + "".join(f"{name:>20}" for name in columns))
    for row in columns["full"]:
        print(f"{row:24}" + "".join(f"{figures[row]:>20}" for figures in columns.values()))


def load() -> str:
    return "load " + " ".join(f"{x:.1f}" for x in os.getloadavg()) + f" on {os.cpu_count()} cores"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--forced-gl", action="store_true", help="measure the software rasteriser as well")
    args = options.parse_args()
    browsers = {"pages drawn by the CPU": CHROMIUM_ARGS}
    if args.forced_gl:
        browsers["everything through SwiftShader"] = FORCED_GL
    with running(city=False) as town, sync_playwright() as play:
        ours, library = bundle_bytes()
        print(f"bundle {ours / 1000:.0f} kB gzip (at most 700), beside it the map library's {library / 1000:.0f} kB")
        print(
            f"{UNITS} units moving every second, {INCIDENTS} open incidents; aims: key to paint p95 100 ms, first paint 1500 ms"
        )
        for name, arguments in browsers.items():
            browser = play.chromium.launch(executable_path=CHROMIUM, args=arguments)
            print(f"\n{name}; {load()}")
            table(browser, town)
            print(f"afterwards {load()}")
            browser.close()
        browser = play.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
        took = elsewhere(browser, town)
        browser.close()
    print(
        f"\na change in another browser (aim 300 ms): p50 {took[len(took) // 2]:.0f} ms, "
        f"p95 {took[int(len(took) * 0.95)]:.0f} ms, most {took[-1]:.0f} ms of {len(took)}; {load()}"
    )


if __name__ == "__main__":
    main()
