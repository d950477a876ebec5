"""A running server to look at: `siaga run` in a folder of its own, with or without simulated people, and who speaks to it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dashboards import build_web

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = "/usr/bin/chromium"
CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--autoplay-policy=no-user-gesture-required",
]
READY_LIMIT_S = 180
"""First start imports the road network; on a shared machine that has taken a minute."""


class Town:
    """The server under test and the people who speak to it: crews by device token, the exchange, staff by session."""

    def __init__(self, base: str, keys: dict[str, Any]) -> None:
        self.base = base
        self.password: str = keys["password"]
        self.unit_tokens: dict[str, str] = keys["unit_tokens"]
        self.partner_token: str = keys["partner_token"]

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
        for verb, more in (("start_duty", {"crew": ["Bayu P.", "Sari W."]}), ("return_to_service", {})):
            with contextlib.suppress(urllib.error.HTTPError):  # on duty, or in service, already
                self.crew(unit_id, verb, unit_id=unit_id, **more)
        fix = {"lon": lon, "lat": lat, "fixed_at": datetime.now(UTC).isoformat(), "accuracy_m": 8.0}
        self.crew(unit_id, "fixes", fixes=[fix])

    def ring(self, phone: str = "+6280000000112") -> str:
        """Somebody calls 112; the report's id."""
        body = {"call_id": uuid.uuid4().hex, "line": "1", "phone": phone}
        return str(self.post("/api/v1/partner/present_call", body, self.partner_token)["report_id"])


@contextlib.contextmanager
def running(city: bool) -> Iterator[Town]:
    """Build the front end, start `siaga run`, yield it, stop it in order."""
    build_web.build()
    var = Path(tempfile.mkdtemp(prefix="siaga-browser-"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "siaga.cli", "run", "--port", str(port), "--var", str(var)]
    command.append("--city" if city else "--no-city")
    with (var / "server.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "DATABASE_URL": ""}, stdout=log, stderr=log)
    base = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + READY_LIMIT_S
        while not _ready(base):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server did not start:\n{(var / 'server.log').read_text()[-2000:]}")
            time.sleep(0.25)
        yield Town(base, json.loads((var / "demo-keys.json").read_text()))
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
