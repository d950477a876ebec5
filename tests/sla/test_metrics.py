"""Metrics, rules and dashboard: scraped from a real endpoint, checked by promtool, and consistent with each other."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import urllib.request
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.parser import text_string_to_metric_families

from dispatch import events as ev
from sla.live import SlaFold
from sla.metrics import SlaMetrics
from sla.sample import START, journal
from tests.sla.journals import Journal, at

DASHBOARDS = Path(__file__).resolve().parents[2] / "dashboards"
RULES = DASHBOARDS / "prometheus" / "siaga-sla.rules.yml"
GRAFANA = DASHBOARDS / "grafana" / "siaga-sla.json"
needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is absent (Debian package prometheus)"
)


class Scraped:
    """A fold with metrics on a registry of its own; `value` reads a sample after a scrape at `now`."""

    def __init__(self, told: list[ev.Entry], now: float) -> None:
        self.registry = CollectorRegistry()
        self.fold = SlaFold()
        self.metrics = SlaMetrics(self.fold, "surabaya", lambda: at(now), registry=self.registry)
        for entry in told:
            self.fold.apply(entry)
            self.metrics.observe(entry)
        self.text = generate_latest(self.registry).decode()

    def value(self, name: str, **labels: str) -> float | None:
        for family in text_string_to_metric_families(self.text):
            for sample in family.samples:
                if sample.name == name and labels.items() <= sample.labels.items():
                    return sample.value
        return None


def story() -> Journal:
    """One on time, one late, one open and doomed, one call ringing, one abandoned."""
    journal = Journal()
    journal.add(0, ev.DutyStarted(unit_id="A-01", crew=[]))
    journal.call(0, "i1")
    journal.respond(60, 300, "i1")
    journal.add(320, ev.UnitCleared(assignment_id="a-i1", unit_id="A-01", incident_id="i1"))
    journal.close(330, "i1")
    journal.call(400, "i2")
    journal.respond(460, 1_000, "i2")
    journal.call(1_050, "i3")
    journal.ring(1_150, "r9")
    journal.add(1_175, ev.CallAbandoned(report_id="r9"))
    journal.ring(1_190, "r10")
    return journal


def test_what_is_scraped_is_what_happened() -> None:
    scraped = Scraped(story().told, 1_200)
    assert scraped.value("siaga_sla_settled_total", verdict="on_time") == 1
    assert scraped.value("siaga_sla_settled_total", verdict="late") == 1
    assert scraped.value("siaga_sla_response_seconds_bucket", le="420.0") == 1
    assert scraped.value("siaga_sla_response_seconds_count") == 2
    assert scraped.value("siaga_sla_phase_seconds_sum", phase="travel") == 195 + 495
    assert scraped.value("siaga_sla_open", state="at_risk") == 1
    assert scraped.value("siaga_sla_open", state="there") == 1
    assert scraped.value("siaga_sla_oldest_ring_seconds") == 10
    assert scraped.value("siaga_sla_calls_unreturned") == 1
    assert scraped.value("siaga_sla_calls_total", outcome="presented") == 5
    assert scraped.value("siaga_sla_units_free", group="all") == 0
    assert scraped.value("siaga_sla_share", bound="share") == 0.5


def test_a_breach_is_counted_when_its_time_is_up_without_waiting_for_an_event() -> None:
    scraped = Scraped(story().told, 1_521)
    assert scraped.value("siaga_sla_settled_total", verdict="late") == 2
    assert scraped.value("siaga_sla_open", state="late") == 1


def test_the_phases_scraped_sum_to_the_responses_scraped() -> None:
    scraped = Scraped(list(journal(3, seed=5)), 0)
    phases = sum(
        sample.value
        for family in text_string_to_metric_families(scraped.text)
        for sample in family.samples
        if sample.name == "siaga_sla_phase_seconds_sum"
    )
    assert phases == pytest.approx(scraped.value("siaga_sla_response_seconds_sum"))


async def test_a_server_scrapes_itself() -> None:
    """Over a real socket, in the text format, each metric with help and type."""
    registry = CollectorRegistry()
    fold = SlaFold()
    metrics = SlaMetrics(fold, "surabaya", lambda: START + timedelta(days=2), registry=registry)
    for entry in journal(2):
        fold.apply(entry)
        metrics.observe(entry)

    async def scrape(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    application = web.Application()
    application.router.add_get("/metrics", scrape)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        text = await asyncio.to_thread(
            lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
        )
    finally:
        await runner.cleanup()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert all(family.documentation and family.type for family in families.values())
    total = sum(
        s.value for s in families["siaga_sla_settled"].samples if s.labels.get("verdict") in ("on_time", "late")
    )
    assert total == fold.headline(START + timedelta(days=2)).n > 50


# --- rules and dashboard


def promtool(*arguments: str) -> None:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_promtool_accepts_the_rules_and_the_configuration() -> None:
    promtool("check", "rules", str(RULES))
    promtool("check", "config", str(DASHBOARDS / "prometheus" / "prometheus.yml"))


@needs_promtool
def test_the_alerts_ring_when_they_must_and_not_otherwise() -> None:
    promtool("test", "rules", str(RULES.with_name("siaga-sla.test.yml")))


@needs_promtool
def test_what_is_scraped_is_clean_by_promtools_lint() -> None:
    """Names, units, help texts and types by Prometheus' own conventions."""
    done = subprocess.run(
        ["promtool", "check", "metrics"],
        input=Scraped(story().told, 1_200).text,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


CORE_PANELS = {"row", "stat", "timeseries", "table", "barchart", "gauge", "heatmap", "text"}
"""Panel types every Grafana since 10 has."""


def expressions() -> list[str]:
    dashboard = json.loads(GRAFANA.read_text(encoding="utf-8"))
    return [t["expr"] for panel in dashboard["panels"] for t in panel.get("targets", [])]


@needs_promtool
def test_every_expression_of_the_dashboard_is_valid(tmp_path: Path) -> None:
    """Each as a rule of its own, variables filled in."""
    rules = [{"record": f"test:panel:{i}", "expr": e.replace("$region", ".*")} for i, e in enumerate(expressions())]
    file = tmp_path / "panels.yml"
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))  # JSON is YAML
    promtool("check", "rules", str(file))


def test_every_metric_that_rules_and_dashboard_name_exists() -> None:
    """A renamed metric must not leave an alert that can never ring."""
    scraped = Scraped(story().told, 1_200).text
    rules = RULES.read_text(encoding="utf-8")
    recorded = set(re.findall(r"record: (siaga:\S+)", rules))
    code = "\n".join(line for line in rules.splitlines() if not line.strip().startswith("#"))
    for text in (code, *expressions()):
        for name in re.findall(r"\bsiaga_sla_\w+", text):
            assert re.search(rf"^{name}(\{{| )", scraped, re.MULTILINE), name
        for name in re.findall(r"\bsiaga:[\w:]+", text):
            assert name in recorded, name


OPTIONS = {
    "stat": {
        "reduceOptions", "colorMode", "graphMode", "textMode", "orientation", "justifyMode", "wideLayout", "showPercentChange",
        "percentChangeColorMode",
    },
    "timeseries": {"legend", "tooltip"},
}  # fmt: skip
"""What Grafana's own types for a panel require (grafana-foundation-sdk 0.0.21, against which the whole file was compiled)."""


def test_the_dashboard_imports_cleanly() -> None:
    """What Grafana asks of an import: a uid, a schema, unique panel ids, a data source variable, nothing overlapping, and every
    option that its types require."""
    dashboard: dict[str, Any] = json.loads(GRAFANA.read_text(encoding="utf-8"))
    assert dashboard["uid"]
    assert dashboard["title"]
    assert dashboard["schemaVersion"] >= 36
    assert "__inputs" not in dashboard
    panels = dashboard["panels"]
    assert len({p["id"] for p in panels}) == len(panels)
    assert {v["name"] for v in dashboard["templating"]["list"]} == {"datasource", "region"}
    assert all({"text", "value"} <= set(v["current"]) for v in dashboard["templating"]["list"] if "current" in v)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        assert OPTIONS.get(panel["type"], set()) <= set(panel.get("options", {})), panel["title"]
        assert "calcs" in panel.get("options", {}).get("legend", {"calcs": []}), panel["title"]
        spot = panel["gridPos"]
        cells = {
            (x, y) for x in range(spot["x"], spot["x"] + spot["w"]) for y in range(spot["y"], spot["y"] + spot["h"])
        }
        assert not cells & taken, panel["title"]
        assert spot["x"] + spot["w"] <= 24
        taken |= cells
        assert panel["type"] in CORE_PANELS, "needs no plugin"
        if panel["type"] != "row":
            assert panel["description"], panel["title"]
            assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            assert set(panel["fieldConfig"]) == {"defaults", "overrides"}
            targets = panel["targets"]
            assert len({t["refId"] for t in targets}) == len(targets)
            assert all(t["datasource"] == panel["datasource"] for t in targets)
            steps = panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", [{"value": None}])
            assert steps[0]["value"] is None, "the first threshold is the base"
