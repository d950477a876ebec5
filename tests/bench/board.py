"""How soon a manager sees the board of a year and of ten: `python -m tests.bench.board FOLDER [--years 1]`.

FOLDER was filled by `python -m tests.browser.year FOLDER --days 365` (or 3650). Starts the real server on it and a real
Chromium, waits until the past is folded, then prints for each reload the milliseconds from navigation until figures, charts and
the map are painted, and from a change of filter until the figures have changed; beside them the same page without figures, as
yardstick for the browser and the machine. Kept answers are forgotten between reloads by asking for another day.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.browser.town import CHROMIUM, CHROMIUM_ARGS, Server

REPEATS = 5
PAINTED = """
() => document.querySelector('.card .figure') && document.querySelector('figure svg .area')
    && document.querySelectorAll('.heat tbody tr').length === 7
"""
"""Figures, map and tables stand in the page; the frame after that is the paint."""
NEXT_FRAME = (
    "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now()))))"
)


def full_paint_ms(page: Page, address: str) -> float:
    page.goto(address, wait_until="commit")
    page.wait_for_function(PAINTED, polling="raf")
    return float(page.evaluate(NEXT_FRAME))  # performance.now() counts from navigation


def filter_ms(page: Page, zone: str) -> float:
    before = page.locator(".card.head p .link").nth(1).inner_text()
    started = float(page.evaluate("performance.now()"))
    page.get_by_role("combobox", name="Kecamatan").select_option(zone)
    page.wait_for_function(
        "(before) => document.querySelectorAll('.card.head p .link')[1]?.textContent !== before",
        arg=before,
        polling="raf",
    )
    return float(page.evaluate(NEXT_FRAME)) - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--years", type=float, default=1.0)
    options = parser.parse_args()
    server = Server(city=False, var=options.folder)
    town = server.start()
    try:
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
            page = browser.new_page(viewport={"width": 1366, "height": 768})
            page.set_default_timeout(600_000)
            page.goto(f"{town.base}/dasbor")
            page.fill("input[name=username]", "manager")
            page.fill("input[name=password]", town.password)
            page.press("input[name=password]", "Enter")
            page.wait_for_selector(".card .figure")
            while page.get_by_text("masih membaca catatan lama").count():
                time.sleep(5)
                page.reload()
                page.wait_for_selector(".card .figure")
            measure(page, town.base, options.years)
    finally:
        assert server.process is not None
        server.process.terminate()
        server.process.wait(60)


def measure(page: Page, base: str, years: float) -> None:
    today = datetime.now(UTC).date()
    paints, filters, idle = [], [], []
    for n in range(REPEATS):
        first = today - timedelta(days=round(365 * years) - n)
        paints.append(full_paint_ms(page, f"{base}/dasbor?masa=own&dari={first}&sampai={today}"))
        n_text = page.locator(".card.head p .link").nth(1).inner_text()
        filters.append(filter_ms(page, f"35.78.{n + 3:02}"))
        ahead = today + timedelta(days=30 + n)
        idle.append(full_paint_ms(page, f"{base}/dasbor?masa=own&dari={ahead}&sampai={ahead}"))
    for name, values in (("full paint", paints), ("filter change", filters), ("full paint, nothing to show", idle)):
        print(f"{name:30} median {statistics.median(values):6.0f} ms  worst {max(values):6.0f} ms")
    print(f"P1 emergencies {n_text}, {years:g} years, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
