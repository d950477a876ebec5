"""What is operated by hand at three in the morning: every alert has a page, every metric in an alert exists."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client import generate_latest

import dispatch.metrics  # noqa: F401 - registers what is scraped

PROJECT = Path(__file__).resolve().parents[2]
PROMETHEUS = PROJECT / "dashboards" / "prometheus"
SERVER_RULES = PROMETHEUS / "siaga-server.rules.yml"


def alerts() -> list[str]:
    return [
        name
        for path in sorted(PROMETHEUS.glob("*.rules.yml"))
        for name in re.findall(r"alert: (\w+)", path.read_text())
    ]


def test_every_alert_has_its_page_in_the_runbook_and_no_page_is_left_over() -> None:
    """Whoever is woken finds the alert's own name."""
    headings = re.findall(r"^## (\w+)$", (PROJECT / "docs" / "runbook.md").read_text(), re.MULTILINE)
    assert sorted(alerts()) == sorted(headings)


def test_every_metric_of_the_server_alerts_is_really_scraped() -> None:
    """A misspelt metric is an alert that never rings."""
    scraped = generate_latest().decode()
    code = "\n".join(line for line in SERVER_RULES.read_text().splitlines() if not line.strip().startswith("#"))
    names = set(re.findall(r"\b(siaga_[a-z_]+)", code))
    assert len(names) >= 8
    for name in names:
        assert re.search(rf"^{name}(\{{| )", scraped, re.MULTILINE), name


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is absent (Debian package prometheus)")
def test_the_server_alerts_ring_when_they_must_and_not_otherwise() -> None:
    """A take-over wakes nobody; a minute without a leader does."""
    done = subprocess.run(
        ["promtool", "test", "rules", "siaga-server.test.yml"],
        cwd=PROMETHEUS,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is absent")
@pytest.mark.parametrize(
    "unit", ["siaga@.service", "siaga-backup.service", "siaga-archive.service", "siaga-backup.timer"]
)
def test_the_units_are_understood_by_systemd(unit: str) -> None:
    """No unknown directive, no misspelt section; that the program is not installed here is no fault."""
    done = subprocess.run(
        ["systemd-analyze", "verify", str(PROJECT / "deploy" / "systemd" / unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    complaints = [
        line
        for line in (done.stdout + done.stderr).splitlines()
        if line.startswith(("siaga", str(PROJECT))) and "is not executable" not in line
    ]
    assert complaints == []
