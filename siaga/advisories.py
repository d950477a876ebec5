"""`make audit`: known vulnerabilities in what we depend on, asked of the package indexes, and what could not be asked.

No answer is not a clean answer: an index that knows no advisories (a mirror, no network) is named and is a failure of its
own. Exit status 0: everything was asked and nothing is known; 1: something is known; 2: nothing is known of what was asked.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dashboards.build_web import WEB, NoNodeError, find_node, find_npm

LOCK = Path(__file__).resolve().parents[1] / "requirements.lock"
ASKING_S_MAX = 600
"""A few hundred questions to an index far away."""
NAMED_MAX = 5
"""Packages without an answer that are named; usually it is all or none."""


@dataclass
class Asked:
    """What one index said."""

    what: str
    packages: int = 0
    known: list[str] = field(default_factory=list)
    """One line a vulnerability."""
    unasked: list[str] = field(default_factory=list)
    """Packages, or the whole index, of which nothing was learnt, and why."""

    def sentence(self) -> str:
        lines = [f"{self.what}: {self.packages} packages answered for, {len(self.known)} known vulnerabilities"]
        lines += [f"  {line}" for line in self.known]
        if self.unasked:
            lines.append(
                f"  NOT ASKED: {len(self.unasked)}, so this says nothing about them; ask again where there is a network"
            )
            lines += [f"    {line}" for line in self.unasked[:NAMED_MAX]]
        return "\n".join(lines)


def of_pip_audit(output: str, complaint: str) -> Asked:
    """From `pip-audit --format json`."""
    asked = Asked("Python (requirements.lock)")
    try:
        told: list[dict[str, Any]] = json.loads(output)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return Asked(asked.what, unasked=[_last(complaint)])
    for package in told:
        if "skip_reason" in package:
            asked.unasked.append(package["skip_reason"])
            continue
        asked.packages += 1
        for found in package["vulns"]:
            better = ", ".join(found["fix_versions"]) or "none yet"
            asked.known.append(f"{package['name']} {package['version']}: {found['id']}, mended in {better}")
    return asked


def of_npm_audit(output: str, complaint: str) -> Asked:
    """From `npm audit --json`."""
    asked = Asked("front end (package-lock.json)")
    told: Any = None
    try:
        told = json.loads(output)
        asked.packages = told["metadata"]["dependencies"]["total"]
        found: dict[str, dict[str, Any]] = told["vulnerabilities"]
    except (ValueError, KeyError, TypeError):
        why = told.get("message") if isinstance(told, dict) else None
        return Asked(asked.what, unasked=[why or _last(complaint)])
    asked.known = [f"{name}: {one['severity']}, affects {one['range']}" for name, one in sorted(found.items())]
    return asked


def _last(complaint: str) -> str:
    """What a tool said before it gave up, in one line."""
    lines = [line.strip() for line in complaint.splitlines() if line.strip() and "complete log" not in line]
    return lines[-1] if lines else "the tool said nothing"


def verdict(asked: list[Asked]) -> int:
    if any(one.known for one in asked):
        return 1
    return 2 if any(one.unasked for one in asked) else 0


def _run(command: list[str], folder: Path, environment: dict[str, str] | None = None) -> tuple[str, str]:
    done = subprocess.run(  # noqa: S603 - our own tools
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=ASKING_S_MAX, check=False
    )
    return done.stdout, done.stderr


def main() -> int:
    """Argument: the pip-audit program."""
    pip_audit = [sys.argv[1], "--requirement", str(LOCK), "--no-deps", "--disable-pip", "--format", "json"]
    asked = [of_pip_audit(*_run(pip_audit, LOCK.parent))]
    try:
        node = find_node()
        environment = {**os.environ, "PATH": f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
        npm = [str(node), str(find_npm(node)), "audit", "--json", "--package-lock-only"]
        asked.append(of_npm_audit(*_run(npm, WEB, environment)))
    except NoNodeError as error:
        asked.append(Asked("front end (package-lock.json)", unasked=[str(error)]))
    for one in asked:
        print(one.sentence())
    return verdict(asked)


if __name__ == "__main__":
    sys.exit(main())
