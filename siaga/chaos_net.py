"""A drill's own piece of the world: network namespaces whose cables can be cut, and disks small enough to fill.

The drill runs itself again inside namespaces of its own (`unshare`), so that neither its networks nor its mounts are seen
outside, and everything in it ends when it does. That needs root, iproute2 and util-linux; without them the drill says so
and cuts lines with a proxy instead.

A cut cable is silent: packets vanish at both ends, nobody is told. That is what a pulled plug three switches away looks like, and
it is harder than a closed socket.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

INSIDE = "SIAGA_CHAOS_INSIDE"
"""Set in the environment of the drill that runs in its own namespaces."""
UNSHARE = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
PROGRAMS = ("unshare", "nsenter", "ip", "tc", "mount", "umount")
ROOM_TIMEOUT_S = 5.0


def why_not() -> str | None:
    """What keeps this machine from having namespaces of ours; None: nothing."""
    if sys.platform != "linux":
        return "not Linux"
    if os.geteuid() != 0:
        return "not root"
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    done = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True, check=False)  # noqa: S603
    return None if done.returncode == 0 else f"unshare refused: {done.stderr.strip()[:100]}"


def inside() -> bool:
    return INSIDE in os.environ


def go_inside() -> None:
    """Become the same command inside namespaces of its own. Does not return."""
    os.environ[INSIDE] = "1"
    os.execvp(UNSHARE[0], [*UNSHARE, sys.executable, *sys.orig_argv[1:]])  # noqa: S606


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  fixed programs, no shell
    if done.returncode != 0:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")


class Room:
    """A network namespace; `None` as a room is where the drill itself is. Lives as long as its `sleep`."""

    def __init__(self) -> None:
        self._holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])  # noqa: S607
        ours, theirs = Path("/proc/self/ns/net"), Path(f"/proc/{self._holder.pid}/ns/net")
        give_up_s = time.monotonic() + ROOM_TIMEOUT_S
        while os.readlink(theirs) == os.readlink(ours):
            if time.monotonic() > give_up_s:
                raise OSError("unshare made no network namespace")
            time.sleep(0.01)
        self.enter = ["nsenter", f"--net={theirs}", "--"]
        """What a command is put behind to run in here."""
        self.pid = self._holder.pid
        _run(*self.enter, "ip", "link", "set", "lo", "up")

    def close(self) -> None:
        self._holder.kill()
        self._holder.wait()


class End:
    """One end of a cable: in which room, called what, with which addresses (`10.112.1.1/24`)."""

    def __init__(self, room: Room | None, name: str, addresses: Sequence[str]) -> None:
        self.room = room
        self.name = name
        self.addresses = addresses

    def run(self, *command: str) -> None:
        _run(*(self.room.enter if self.room is not None else []), *command)


class Cable:
    """Two ends, and what lies between: passes everything, or nothing."""

    def __init__(self, one: End, other: End) -> None:
        self.ends = (one, other)
        self.whole = True
        _run("ip", "link", "add", one.name, "type", "veth", "peer", "name", other.name)
        for end in self.ends:
            if end.room is not None:
                _run("ip", "link", "set", end.name, "netns", str(end.room.pid))
            for address in end.addresses:
                end.run("ip", "address", "add", address, "dev", end.name)
            end.run("ip", "link", "set", end.name, "up")

    def cut(self) -> None:
        """A queue with no room at either end drops whatever is sent, and tells nobody."""
        if self.whole:
            self.whole = False
            for end in self.ends:
                end.run("tc", "qdisc", "replace", "dev", end.name, "root", "bfifo", "limit", "0")

    def mend(self) -> None:
        if not self.whole:
            for end in self.ends:
                end.run("tc", "qdisc", "del", "dev", end.name, "root")
            self.whole = True


class Town:
    """The networks of a pair: each node has a cable to the databases, one to its callers, and both share one.

    ======================  =====================  =========================
    cable                   drill's end            node's end
    ======================  =====================  =========================
    node n to databases     10.112.<n>.1, .2       10.112.<n>.10
    node n to its callers   10.112.<10+n>.1        10.112.<10+n>.10
    between nodes 1 and 2                          10.112.21.1, 10.112.21.2
    ======================  =====================  =========================

    Callers come from 10.112.99.x, each with the limits of its own address.
    """

    CALLERS = tuple(f"10.112.99.{n}" for n in range(2, 50))
    TRUSTED = "10.112.0.0/16"

    def __init__(self) -> None:
        _run("ip", "link", "set", "lo", "up")
        for address in self.CALLERS:
            _run("ip", "address", "add", f"{address}/32", "dev", "lo")
        self.rooms = (Room(), Room())
        self.to_database: list[Cable] = []
        self.to_callers: list[Cable] = []
        for n, room in enumerate(self.rooms, 1):
            here = End(None, f"db{n}", [f"10.112.{n}.1/24", f"10.112.{n}.2/24"])
            self.to_database.append(Cable(here, End(room, "db", [f"10.112.{n}.10/24"])))
            here = End(None, f"city{n}", [f"10.112.{10 + n}.1/24"])
            there = End(room, "city", [f"10.112.{10 + n}.10/24"])
            self.to_callers.append(Cable(here, there))
            there.run("ip", "route", "add", "default", "via", f"10.112.{10 + n}.1")
        one, two = (End(room, f"peer{n}", [f"10.112.21.{n}/24"]) for n, room in enumerate(self.rooms, 1))
        self.between = Cable(one, two)

    @staticmethod
    def database_addresses(which: int) -> list[str]:
        """Where database server `which` (1 or 2) listens: one address on each node's cable."""
        return [f"10.112.{n}.{which}" for n in (1, 2)]

    def mend(self) -> None:
        for cable in (*self.to_database, *self.to_callers, self.between):
            cable.mend()

    def close(self) -> None:
        for room in self.rooms:
            room.close()


def small_disk(folder: Path, size_bytes: int) -> None:
    """A file system of `size_bytes` in memory, mounted at `folder`: for what is only to be filled."""
    folder.mkdir(parents=True, exist_ok=True)
    _run("mount", "-t", "tmpfs", "-o", f"size={size_bytes},mode=700", "siaga-chaos", str(folder))


def durable_disk(folder: Path, size_bytes: int) -> bool:
    """A small file system in a file, mounted at `folder`, whose fsync reaches the real disk; False where there is no such thing."""
    folder.mkdir(parents=True, exist_ok=True)
    image = folder.with_suffix(".img")
    with image.open("wb") as file:
        file.truncate(size_bytes)
    try:
        _run("mkfs.ext4", "-q", "-m", "0", str(image))
        _run("mount", "-o", "loop", str(image), str(folder))
    except OSError:  # no mkfs, or no loop devices here
        image.unlink()
        return False
    return True


def unmount(folder: Path) -> None:
    subprocess.run(["umount", "--lazy", str(folder)], capture_output=True, check=False)  # noqa: S603, S607


def fill(filler: Path) -> None:
    """Take every byte that is left on the disk of `filler`."""
    filler.parent.mkdir(parents=True, exist_ok=True)
    block_bytes = 1 << 20
    with filler.open("wb", buffering=0) as file:
        while block_bytes >= 512:
            try:
                file.write(b"\0" * block_bytes)
            except OSError:
                block_bytes //= 2
