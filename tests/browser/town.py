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
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dashboards import build_web

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = "/usr/bin/chromium"
# `--disable-gpu` with SwiftShader for WebGL is what Chrome itself falls back to without a graphics card. Forcing the whole
# page through SwiftShader (`--use-angle=swiftshader`) would have every frame of everything rasterised twice by the CPU.
CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-gpu",
    "--enable-unsafe-swiftshader",
    "--autoplay-policy=no-user-gesture-required",
]
NOTES = (
    "note_id,kind,lon,lat,radius_m,text_id,text_en\n"
    "B-1,hazard,112.6450,-7.2150,200,Gudang pupuk: jangan disemprot air,Fertiliser store: no water\n"
    "H-1,water,112.6480,-7.2150,100,Hidran 4 inci,Four-inch hydrant\n"
)
"""What the city knew beforehand, far from where the tests' emergencies are."""
READY_LIMIT_S = 180
"""First start imports the road network; on a shared machine that has taken a minute."""


class Town:
    """The server under test and the people who speak to it: crews by device token, the exchange, staff by session."""

    def __init__(self, base: str, keys: dict[str, Any]) -> None:
        self.base = base
        self.password: str = keys["password"]
        self.unit_tokens: dict[str, str] = keys["unit_tokens"]
        self.partner_token: str = keys["partner_token"]
        self.rung: list[str] = []
        """Reports of calls that rang here and may still wait."""

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
        report_id = str(self.post("/api/v1/partner/present_call", body, self.partner_token)["report_id"])
        self.rung.append(report_id)
        return report_id

    def job(self, unit_id: str) -> str:
        """The assignment the unit has now."""
        with self.staff("supervisor").open(f"{self.base}/api/v1/units", timeout=30) as answer:
            return next(str(u["assignment_id"]) for u in json.load(answer)["units"] if u["unit_id"] == unit_id)

    def incident(self, number: str) -> str:
        """The full id of the open incident whose running number this is."""
        with self.staff("supervisor").open(f"{self.base}/api/v1/incidents?state=open", timeout=30) as answer:
            ids = [str(i["incident_id"]) for i in json.load(answer)["incidents"]]
        return next(i for i in ids if i.endswith(f"-{number}"))

    def photo(self, unit_id: str, assignment_id: str, picture: bytes) -> None:
        """A PNG the crew has taken at the scene."""
        request = urllib.request.Request(
            f"{self.base}/api/v1/unit/photos?assignment_id={urllib.parse.quote(assignment_id, safe='')}",
            picture,
            {
                "Content-Type": "image/png",
                "Authorization": f"Bearer {self.unit_tokens[unit_id]}",
                "Idempotency-Key": uuid.uuid4().hex,
            },
        )
        urllib.request.urlopen(request, timeout=30).close()

    def command(self, verb: str, **body: Any) -> None:
        """A command of the supervisor, given elsewhere than in the browser under test."""
        request = urllib.request.Request(
            f"{self.base}/api/v1/commands/{verb}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        self.staff("supervisor").open(request, timeout=30).close()

    # --- the desk over HTTP, to clear up between tests

    def staff(self, username: str) -> urllib.request.OpenerDirector:
        """Signed in as that demo account, with the CSRF token on every request."""
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        body = json.dumps({"username": username, "password": self.password}).encode()
        request = urllib.request.Request(self.base + "/api/v1/session", body, {"Content-Type": "application/json"})
        with opener.open(request, timeout=30) as answer:
            opener.addheaders = [("X-CSRF-Token", json.load(answer)["csrf_token"])]
        return opener

    def calm(self) -> None:
        """Nobody rings, every incident is ended, every unit free, every road open: the next test starts from here."""
        desk = self.staff("supervisor")

        def get(path: str) -> Any:
            with desk.open(self.base + path, timeout=30) as answer:
                return json.load(answer)

        def do(verb: str, **body: Any) -> None:
            request = urllib.request.Request(
                f"{self.base}/api/v1/commands/{verb}", json.dumps(body).encode(), {"Content-Type": "application/json"}
            )
            with contextlib.suppress(urllib.error.HTTPError):  # it has changed meanwhile, or cannot: the next line can
                desk.open(request, timeout=30).close()

        for row in get("/api/v1/incidents?state=open&limit=500")["incidents"]:
            for assignment_id in row["assignment_ids"]:
                do("withdraw_unit", assignment_id=assignment_id, reason="beres-beres")
                do("report_clear", assignment_id=assignment_id)
            do("cancel_incident", incident_id=row["incident_id"], reason="beres-beres")
            do("close_incident", incident_id=row["incident_id"], outcome="beres-beres")
        for report_id in self.rung:
            do("answer_report", report_id=report_id)
            do("dismiss_report", report_id=report_id, reason="beres-beres")
        self.rung.clear()
        for unit in get("/api/v1/units")["units"]:
            if unit["state"] == "available":
                do("end_duty", unit_id=unit["unit_id"])


class Server:
    """`siaga run` in a folder and on a port of its own; can be killed and started again on what it left."""

    def __init__(self, city: bool, var: Path | None = None, region: Path | None = None) -> None:
        """`var`: a folder that is filled already; `region`: another pack than Surabaya's own."""
        self.var = var or Path(tempfile.mkdtemp(prefix="siaga-browser-"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.city = city
        self.region = region
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Town:
        command = [sys.executable, "-m", "siaga.cli", "run", "--port", str(self.port), "--var", str(self.var)]
        command.append("--city" if self.city else "--no-city")
        if self.region is not None:
            command += ["--region", str(self.region)]
        with (self.var / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env={**os.environ, "DATABASE_URL": ""}, stdout=log, stderr=log
            )
        base = f"http://127.0.0.1:{self.port}"
        deadline = time.monotonic() + READY_LIMIT_S
        while not _ready(base):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server did not start:\n{(self.var / 'server.log').read_text()[-2000:]}")
            time.sleep(0.25)
        return Town(base, json.loads((self.var / "demo-keys.json").read_text()))

    def kill(self) -> None:
        """As a power cut would: nothing is said, nothing is written."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(30)
            self.kill()
        shutil.rmtree(self.var, ignore_errors=True)


@contextlib.contextmanager
def running(city: bool) -> Iterator[Town]:
    """Build the front end, start `siaga run`, yield it, stop it in order."""
    build_web.build()
    server = Server(city)
    places = server.var / "places"
    places.mkdir()
    (places / "surabaya.notes.csv").write_text(NOTES, encoding="utf-8")
    try:
        yield server.start()
    finally:
        server.stop()


def _ready(base: str) -> bool:
    try:
        urllib.request.urlopen(f"{base}/health/ready", timeout=2).close()
    except OSError:
        return False
    return True
