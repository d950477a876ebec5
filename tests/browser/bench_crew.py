"""How fast the crew's phone is: `python -m tests.browser.bench_crew`. Prints figures beside their aims, asserts none.

1 first load, gzip, without the map: every byte the page fetches until it can be used (aim 250 kB);
2 first load on a 3G line (400 ms, 1.6 Mbit/s down, 0.75 up) until a button can be pressed (aim 3 s), and as Lighthouse's slow
  4G (150 ms, 1.6 Mbit/s) for comparison; the yardstick is one empty page over the same line;
3 a job on the phone: from sending the report, which is before the decision, until the address stands on the screen (aim 200 ms
  from the decision). Both stamps come from this machine's clock. The phone is on a good line, and nothing else is sent.
"""

from __future__ import annotations

import json
import os
import statistics
import time
import urllib.error
import urllib.request
import uuid
from typing import Any

from playwright.sync_api import Browser, BrowserContext, sync_playwright

from tests.browser.town import CHROMIUM, CHROMIUM_ARGS, Town, running

UNIT = "A05"
HERE = {"longitude": 112.7401, "latitude": -7.2870}
JOBS = 20
LINES: dict[str, dict[str, Any]] = {
    "3G (400 ms, 1.6/0.75 Mbit/s)": {"latency": 400, "downloadThroughput": 200_000, "uploadThroughput": 93_750},
    "slow 4G (150 ms, 1.6/0.75 Mbit/s)": {"latency": 150, "downloadThroughput": 200_000, "uploadThroughput": 93_750},
}
SEEN = """() => new MutationObserver(() => {
  const at = document.querySelector('.job.new h1');
  if (at && !window.__seen) window.__seen = Date.now();
}).observe(document.body, { childList: true, subtree: true })"""


def phone(browser: Browser) -> BrowserContext:
    context = browser.new_context(
        viewport={"width": 360, "height": 740},
        device_scale_factor=2,
        has_touch=True,
        is_mobile=True,
        locale="id-ID",
        geolocation=HERE,
        permissions=["geolocation"],
        service_workers="block",  # its fetching ahead begins two seconds after the page is there; not part of a first load
    )
    context.set_default_timeout(90_000)
    return context


def first_load_kb(browser: Browser, town: Town) -> dict[str, float]:
    """Bytes on the wire by kind, headers included, in kB (1000)."""
    context = phone(browser)
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Network.enable")
    kinds: dict[str, str] = {}
    sizes: dict[str, float] = {}
    session.on("Network.responseReceived", lambda e: kinds.update({e["requestId"]: e["type"]}))

    def done(event: dict[str, Any]) -> None:
        kind = kinds.get(event["requestId"], "Other")
        sizes[kind] = sizes.get(kind, 0.0) + event["encodedDataLength"] / 1000.0

    session.on("Network.loadingFinished", done)
    page.goto(f"{town.base}/awak#kode={town.unit_tokens[UNIT]}")
    page.wait_for_selector("main .main, .ready")
    page.wait_for_load_state("networkidle")
    context.close()
    return sizes


def usable_s(browser: Browser, url: str, line: dict[str, Any], there: str) -> float:
    """From asking for the page until `there` is on it, nothing cached."""
    context = phone(browser)
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.emulateNetworkConditions", {"offline": False, **line})
    began = time.monotonic()
    page.goto(url, wait_until="commit")
    page.wait_for_selector(there)
    took = time.monotonic() - began
    context.close()
    return took


def job_ms(browser: Browser, town: Town) -> list[float]:
    """One job after the other: report, on the screen, declined by the desk, next."""
    context = phone(browser)
    page = context.new_page()
    page.goto(f"{town.base}/awak#kode={town.unit_tokens[UNIT]}")
    town.on_duty(UNIT, HERE["longitude"], HERE["latitude"])
    page.wait_for_selector(".ready")
    took: list[float] = []
    for n in range(JOBS):
        page.evaluate(SEEN)
        page.evaluate("window.__seen = 0")
        # Each elsewhere by a street, so that none is taken for the same emergency.
        place = {"lon": 112.7300 + 0.004 * (n % 5), "lat": -7.2950 + 0.004 * (n // 5), "accuracy_m": 10}
        body = {"channel": "partner", "kind": "medis", "place": place}
        sent_ms = time.time() * 1000.0
        town.post("/api/v1/partner/submit_report", body, town.partner_token)
        page.wait_for_function("() => window.__seen")
        took.append(page.evaluate("window.__seen") - sent_ms)
        town.calm()
        town.on_duty(UNIT, HERE["longitude"], HERE["latitude"])
        page.wait_for_selector(".ready")
    context.close()
    return took


def empty_post_ms(town: Town) -> float:
    """Yardstick: a small authenticated request and its answer on the same machine, median of 50."""
    took = []
    for _ in range(50):
        request = urllib.request.Request(
            f"{town.base}/api/v1/unit/receipt_job",
            json.dumps({"assignment_id": "0", "step": "seen"}).encode(),
            {
                "Content-Type": "application/json",
                "Authorization": f"Bearer {town.unit_tokens[UNIT]}",
                "Idempotency-Key": uuid.uuid4().hex,
            },
        )
        began = time.monotonic()
        try:
            urllib.request.urlopen(request, timeout=30).close()
        except urllib.error.HTTPError as refused:
            refused.close()
        took.append((time.monotonic() - began) * 1000.0)
    return statistics.median(took)


def main() -> None:
    with running(city=False) as town, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
        print(f"load of the machine (1 min): {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        sizes = first_load_kb(browser, town)
        parts = ", ".join(f"{kind.lower()} {kb:.0f}" for kind, kb in sorted(sizes.items(), key=lambda p: -p[1]))
        print(f"first load without map   {sum(sizes.values()):6.0f} kB    aim 250 kB   ({parts})")
        for name, line in LINES.items():
            app = f"{town.base}/awak#kode={town.unit_tokens[UNIT]}"
            took = statistics.median(usable_s(browser, app, line, "main .main, .ready") for _ in range(3))
            bare = statistics.median(usable_s(browser, f"{town.base}/health/live", line, "body") for _ in range(3))
            print(f"usable on {name:<34} {took:5.2f} s   aim 3 s      (bare page {bare:.2f} s)")
        jobs = sorted(job_ms(browser, town))
        print(
            f"job on the phone, {len(jobs)} jobs   p50 {statistics.median(jobs):4.0f} ms  p95 {jobs[int(len(jobs) * 0.95) - 1]:4.0f} ms"
            f"   aim 200 ms   (small POST {empty_post_ms(town):.1f} ms)"
        )
        browser.close()


if __name__ == "__main__":
    main()
