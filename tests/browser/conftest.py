"""A real server with demo accounts and no simulated people, and a real Chromium, for every browser test of a run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.browser.town import CHROMIUM, CHROMIUM_ARGS, ROOT, Town, running

WAIT_MS = 60_000
expect.set_options(timeout=30_000)  # a shared machine may need seconds for what takes milliseconds; nothing is measured
AXE = ROOT / "dashboards" / "web" / "node_modules" / "axe-core" / "axe.min.js"


@pytest.fixture(scope="session")
def town() -> Iterator[Town]:
    if not Path(CHROMIUM).exists():
        pytest.skip(f"no browser at {CHROMIUM}")
    with running(city=False) as started:
        yield started


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
        yield browser
        browser.close()


class Windows:
    """Opens pages and remembers what their consoles complained about."""

    def __init__(self, browser: Browser, town: Town) -> None:
        self.browser = browser
        self.town = town
        self.complaints: list[str] = []
        self._contexts: list[BrowserContext] = []

    def context(self, **options: Any) -> BrowserContext:
        context = self.browser.new_context(
            **{
                "viewport": {"width": 1366, "height": 768},
                "locale": "id-ID",
                "service_workers": "block",
                "reduced_motion": "reduce",  # rows that glide past each other are no barrier, but axe would measure them
                **options,
            }
        )
        context.set_default_timeout(WAIT_MS)
        self._contexts.append(context)
        return context

    def page(self, context: BrowserContext | None = None, **options: Any) -> Page:
        page = (context or self.context(**options)).new_page()
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on(
            "console",
            lambda m: self.complaints.append(m.text) if "Content Security Policy" in m.text else None,
        )
        return page

    def phone(self, **options: Any) -> Page:
        return self.page(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True, **options)

    def staff(self, role: str, path: str = "/konsol", **options: Any) -> Page:
        """A page signed in as the demo account of that role."""
        page = self.page(**options)
        page.goto(self.town.base + path)
        page.fill("input[name=username]", role)
        page.fill("input[name=password]", self.town.password)
        page.press("input[name=password]", "Enter")
        return page

    def console(self, role: str = "dispatcher", **options: Any) -> Page:
        page = self.staff(role, **options)
        page.wait_for_selector(".queue .list :is(.item, .empty)")
        return page

    def close(self) -> None:
        for context in self._contexts:
            context.close()


@pytest.fixture(autouse=True)
def calm(town: Town) -> None:
    """What an earlier test left open, failed or not, is nobody else's trouble."""
    town.calm()


@pytest.fixture
def windows(chromium: Browser, town: Town) -> Iterator[Windows]:
    opened = Windows(chromium, town)
    yield opened
    opened.close()
    assert opened.complaints == []
