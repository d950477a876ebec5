"""A real server with demo accounts and no simulated people, and a real Chromium, for every browser test of a run."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from dashboards import build_web
from tests.browser.screenshots import CHROMIUM, CHROMIUM_ARGS, ROOT, free_port

READY_LIMIT_S = 180
"""First start imports the road network; on a shared machine that has taken a minute."""
WAIT_MS = 60_000
expect.set_options(timeout=30_000)  # a shared machine may need seconds for what takes milliseconds; nothing is measured
AXE = ROOT / "dashboards" / "web" / "node_modules" / "axe-core" / "axe.min.js"


class Town:
    """The server under test and the people who speak to it: crews by device token, the exchange, staff by session."""

    def __init__(self, base: str, keys: dict[str, Any], process: subprocess.Popen[bytes]) -> None:
        self.base = base
        self.password: str = keys["password"]
        self.unit_tokens: dict[str, str] = keys["unit_tokens"]
        self.partner_token: str = keys["partner_token"]
        self.process = process

    def post(self, path: str, body: dict[str, Any], token: str) -> dict[str, Any]:
        request = urllib.request.Request(
            self.base + path,
            json.dumps(body).encode(),
            {
                "Content-Type": "application/json",
                "Authorization": f"Bearer {token}",
                "Idempotency-Key": uuid.uuid4().hex,
            },
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return dict(json.load(answer))

    def crew(self, unit: str, verb: str, **body: Any) -> dict[str, Any]:
        return self.post(f"/api/v1/unit/{verb}", body, self.unit_tokens[unit])

    def on_duty(self, unit_id: str, lon: float, lat: float) -> None:
        """The unit is available and stands there; repeated calls are harmless."""
        with contextlib.suppress(urllib.error.HTTPError):  # on duty already
            self.crew(unit_id, "start_duty", unit_id=unit_id, crew=["Bayu P.", "Sari W."])
        fix = {"lon": lon, "lat": lat, "fixed_at": datetime.now(UTC).isoformat(), "accuracy_m": 8.0}
        self.crew(unit_id, "fixes", fixes=[fix])

    def ring(self, phone: str = "+6280000000112") -> str:
        """Somebody calls 112; the report's id."""
        body = {"call_id": uuid.uuid4().hex, "line": "1", "phone": phone}
        return str(self.post("/api/v1/partner/present_call", body, self.partner_token)["report_id"])


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    if not Path(CHROMIUM).exists():
        pytest.skip(f"no browser at {CHROMIUM}")
    build_web.build()
    var = tmp_path_factory.mktemp("var")
    port = free_port()
    command = [sys.executable, "-m", "siaga.cli", "run", "--no-city", "--port", str(port), "--var", str(var)]
    environment = {**os.environ, "DATABASE_URL": ""}
    with (var / "server.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    base = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + READY_LIMIT_S
        while not _ready(base):
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"the server did not start:\n{(var / 'server.log').read_text()[-2000:]}")
            time.sleep(0.25)
        yield Town(base, json.loads((var / "demo-keys.json").read_text()), process)
    finally:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(30)
        process.kill()
        process.wait()
        shutil.rmtree(var, ignore_errors=True)


def _ready(base: str) -> bool:
    try:
        urllib.request.urlopen(f"{base}/health/ready", timeout=2).close()
    except OSError:
        return False
    return True


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
            **{"viewport": {"width": 1366, "height": 768}, "locale": "id-ID", "service_workers": "block", **options}
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


@pytest.fixture
def windows(chromium: Browser, town: Town) -> Iterator[Windows]:
    opened = Windows(chromium, town)
    yield opened
    opened.close()
    assert opened.complaints == []
