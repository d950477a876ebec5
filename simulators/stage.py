"""A rehearsal server as a process of its own: an embedded database in a folder and a server that may run on a faster clock.

The parent writes `stage.json` into the folder and starts `python -m siaga.stage FOLDER`; the child answers with
`keys.json` and `ready.json`. Killed with -9 and started again on the same folder it finds everything it had promised.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import msgspec

from dispatch.clock import Clock, ScaledClock, SystemClock
from dispatch.region import Region
from simulators.http import Keyring

READY_S = 90.0
"""A first start makes a database cluster (3 s here) and may build a road network (30 s)."""
STOP_S = 30.0
POLL_S = 0.05


class StageSpec(msgspec.Struct):
    """What the child is to be. `region` None: read the pack; `start_at` None: the machine's own clock."""

    port: int
    region: Region | None = None
    pack: str = ""
    roads: str = ""
    """Folder with the road networks of an installation; empty = this stage's own."""
    start_at: datetime | None = None
    """What its clock shows when the child starts for the first time."""
    speed: float = 1.0
    policy: str = ""
    """Name of a dispatch policy; empty = the region's own."""
    straight: bool = False
    """Straight lines instead of the road network: leaves the cost of road searches out of a figure."""
    capacity: bool = False
    """Adds the empty route that a benchmark needs as its yardstick."""

    def clock(self, zero_s: float) -> Clock:
        """The stage's clock; it began at machine time `zero_s` and goes on through restarts."""
        return SystemClock() if self.start_at is None else ScaledClock(self.start_at, self.speed, zero_s)


class Ready(msgspec.Struct):
    """What the child says when it serves."""

    url: str
    dsn: str
    pid: int
    zero_s: float
    """Machine time at which the stage's clock began."""


class StageFailed(Exception):  # noqa: N818
    """The child did not come up; the text ends with the last lines of its log."""


def free_port() -> int:
    """A port nobody listens on now; kept for restarts, so that clients find the server again."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class StageProcess:
    """The child. Use as `async with`; `kill` is a power cut for the process, `start` brings it back."""

    def __init__(self, folder: Path, spec: StageSpec) -> None:
        self.folder = folder
        self.spec = spec
        self.keyring = Keyring(path=folder / "keys.json")
        self.ready: Ready | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._log: IO[bytes] | None = None

    async def __aenter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "stage.json").write_bytes(msgspec.json.encode(self.spec))
        self._log = (self.folder / "stage.log").open("ab")
        try:
            await self.start()
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
        if self._log is not None:
            self._log.close()

    @property
    def clock(self) -> Clock:
        """The same clock the child reads."""
        assert self.ready is not None, "not started"
        return self.spec.clock(self.ready.zero_s)

    async def start(self) -> None:
        """Start the child and wait until it serves. Raises StageFailed."""
        ready_file = self.folder / "ready.json"
        ready_file.unlink(missing_ok=True)
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "siaga.stage",
            str(self.folder),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        tries = int(READY_S / POLL_S)
        for _ in range(tries):
            if ready_file.exists():
                self.ready = msgspec.json.decode(ready_file.read_bytes(), type=Ready)
                self.keyring.reload()
                return
            if self._process.returncode is not None:
                break
            await asyncio.sleep(POLL_S)
        raise StageFailed(f"the server did not come up:\n{self.log_tail()}")

    async def kill(self) -> None:
        """kill -9: no goodbye to anybody."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """An orderly end, database included."""
        await self._end(signal.SIGTERM)

    async def _end(self, number: signal.Signals) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.send_signal(number)
        try:
            async with asyncio.timeout(STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    def log_tail(self, lines: int = 25) -> str:
        return "\n".join((self.folder / "stage.log").read_text(errors="replace").splitlines()[-lines:])
