"""The simulated city ends with the server that started it, also when that one is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

CITY = "import asyncio; from simulators.http_cli import until_signal; until_signal(asyncio.sleep(3600), leashed=True)"
SERVER = f"""
import subprocess, sys, time
city = subprocess.Popen([sys.executable, "-c", {CITY!r}], stdin=subprocess.PIPE, start_new_session=True)
print(city.pid, flush=True)
time.sleep(3600)
"""
WITHIN_S = 60.0


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False


def test_a_city_whose_server_was_killed_does_not_stay_behind() -> None:
    """SIGKILL leaves nobody to say goodbye: the pipe between them says it."""
    server = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    city = int(server.stdout.readline())
    try:
        assert alive(city)
        server.send_signal(signal.SIGKILL)
        server.wait()
        give_up_s = time.monotonic() + WITHIN_S
        while alive(city):
            assert time.monotonic() < give_up_s, "it is still there"
            time.sleep(0.05)
    finally:
        server.stdout.close()
        if alive(city):
            os.kill(city, signal.SIGKILL)
