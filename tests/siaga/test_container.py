"""The container file, without a container runtime: its steps are read from it and taken, and what they make must serve."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from siaga.postgres import throwaway_cluster

PROJECT = Path(__file__).resolve().parents[2]
TEXT = (PROJECT / "deploy" / "Containerfile").read_text()
STEPS = [
    line
    for line in re.sub(r"\\\n\s*", "", re.sub(r"(?m)^#.*\n", "", TEXT)).splitlines()
    if line.strip() and not line.startswith("#")
]
BUILD, RUN = (stage.strip().splitlines() for stage in "\n".join(STEPS).split("FROM ")[1:])


def arguments(stage: list[str], word: str) -> list[str]:
    return [line.split(" ", 1)[1] for line in stage if line.startswith(word + " ")]


def environment(stage: list[str]) -> dict[str, str]:
    return dict(pair.split("=", 1) for line in arguments(stage, "ENV") for pair in shlex.split(line))


def sources(stage: list[str]) -> list[str]:
    """What is copied from the project, without the destinations."""
    return [name for line in arguments(stage, "COPY") if "--from" not in line for name in line.split()[:-1]]


def test_what_is_copied_exists_and_is_all_that_the_package_names() -> None:
    packages = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]
    rooms = {name.rstrip("*") for name in packages["include"]}
    assert rooms <= set(sources(BUILD))
    for name in sources(BUILD) + sources(RUN):
        assert (PROJECT / name).exists(), name


def test_it_runs_as_nobody_in_particular_with_one_writable_place() -> None:
    """A number and not a name (Kubernetes cannot check names), no root, all that is written under the volume."""
    [user], [volume] = arguments(RUN, "USER"), arguments(RUN, "VOLUME")
    assert int(user.split(":")[0]) >= 10_000
    assert f"--uid {user.split(':')[0]}" in "\n".join(RUN)
    told = environment(RUN)
    assert all(told[name].startswith(volume) for name in ("SIAGA_VAR", "NUMBA_CACHE_DIR"))
    assert arguments(RUN, "STOPSIGNAL") == ["SIGTERM"]
    assert not any("latest" in image for image in (BUILD[0], RUN[0]))
    assert json.loads(arguments(RUN, "ENTRYPOINT")[0]) == ["siaga"]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_what_it_builds_serves_and_answers_its_own_health_check(tmp_path: Path) -> None:
    """Installed from nothing but what is copied, started away from the project, with the image's environment and health check; the
    pages are there, and nothing is written beside the volume.
    """
    build, site, volume, elsewhere = (tmp_path / name for name in ("build", "site", "volume", "elsewhere"))
    elsewhere.mkdir()
    for name in sources(BUILD):
        ignored = shutil.ignore_patterns("node_modules", "__pycache__")
        if (PROJECT / name).is_dir():
            shutil.copytree(PROJECT / name, build / name, ignore=ignored)
        else:
            build.mkdir(exist_ok=True)
            shutil.copyfile(PROJECT / name, build / name)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-build-isolation", "--no-deps"]
    subprocess.run([*pip, "--target", str(site), str(build)], check=True, timeout=120)
    secret = tmp_path / "secret"
    secret.write_bytes(b"s" * 32)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with throwaway_cluster() as cluster:
        told = environment(RUN) | {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(site),
            "SIAGA_VAR": str(volume),
            "NUMBA_CACHE_DIR": str(volume / "numba"),
            "SIAGA_SECRET_FILE": str(secret),
            "SIAGA_REGION": str(PROJECT / "regions" / "surabaya"),
            "DATABASE_URL": cluster.dsn(),
        }
        command = [sys.executable, str(site / "bin" / "siaga"), *json.loads(arguments(RUN, "CMD")[0])]
        before = sorted(site.rglob("*"))
        server = subprocess.Popen([part.replace("8112", str(port)) for part in command], env=told, cwd=elsewhere)
        try:
            [check] = [line.strip() for line in RUN if line.startswith("HEALTHCHECK")]
            asking = json.loads(check.partition("CMD ")[2].replace("8112", str(port)))
            asking[0] = sys.executable
            until_s = time.monotonic() + 120.0
            while subprocess.run(asking, env=told, cwd=elsewhere, stderr=subprocess.DEVNULL, check=False).returncode:
                assert server.poll() is None, "the server ended"
                assert time.monotonic() < until_s, "the server never became healthy"
            for page in ("konsol", "awak", "health/ready", "api/openapi.json"):
                seen = f"import urllib.request as u; u.urlopen('http://127.0.0.1:{port}/{page}', timeout=10)"
                subprocess.run([sys.executable, "-c", seen], env=told, cwd=elsewhere, check=True)
        finally:
            server.terminate()
            assert server.wait(30) == 0
        assert sorted(site.rglob("*")) == before
        assert list(elsewhere.iterdir()) == []
