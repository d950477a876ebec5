"""The public page: no barrier on a phone, prints, stays light, shows warnings at once, and knows no live incident."""

from __future__ import annotations

import gzip
import json
import re
import urllib.request
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Windows
from tests.browser.test_access import THEMES, themed, violations
from tests.browser.town import Town

pytestmark = [pytest.mark.browser, pytest.mark.timeout(420)]

WEIGHT_MAX = 100 * 1024
"""Gzipped bytes of everything the page loads, fonts apart: what the issue promises."""
SHARES = (0.91, 0.42, None)


def figures() -> bytes:
    """A month of a city of three kecamatan, one of them too small to be shown."""
    head = {"n": 1200, "within": 1000, "share": 0.8333, "low": 0.811, "high": 0.853, "version": "SLA-7/2"}
    day = datetime(2026, 10, 1, tzinfo=UTC)
    zones = [
        {
            "code": f"35.78.{n:02}", "name": name, "n": None if share is None else 100,
            "within": None if share is None else round(100 * share), "share": share,
            "low": None if share is None else share - 0.05, "high": None if share is None else share + 0.05, "p90_s": 500,
        }
        for n, name, share in zip((3, 5, 7), ("Rungkut", "Tegalsari", "Bulak"), SHARES, strict=True)
    ]  # fmt: skip
    found = {
        "region": "surabaya", "region_name": "Kota Surabaya", "definition": "SLA-7/2", "target_s": 420.0,
        "made_at": day.isoformat(), "utc_offset_h": 7.0, "month": "2026-09", "small_n": 5, "zones": zones,
        "periods": [
            {
                "period": p, "since": day.isoformat(), "until": (day + timedelta(days=30)).isoformat(), "headline": head,
                "response": {"p50": 250.0, "p90": 480.0, "p99": 900.0, "measured": 1190, "missing": 10},
            }
            for p in ("day", "month", "year")
        ],
        "days": [
            {"day": f"2026-10-{d:02}", "last": f"2026-10-{d:02}", "n": 40, "within": 30 + d % 9, "share": (30 + d % 9) / 40}
            for d in range(1, 31)
        ],
    }  # fmt: skip
    return json.dumps(found).encode()


def opened(windows: Windows, town: Town, **options: object):  # type: ignore[no-untyped-def]
    page = windows.phone() if options.pop("phone", False) else windows.page(**options)
    page.route("**/api/v1/public/figures", lambda r: r.fulfill(body=figures(), content_type="application/json"))
    page.goto(town.base + "/")
    page.wait_for_selector(".figure")
    return page


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("phone", [True, False])
def test_the_public_page_with_figures_has_no_barrier(windows: Windows, town: Town, theme: str, phone: bool) -> None:
    """With its map, chart and table, on a phone and on a desk."""
    page = opened(windows, town, phone=phone)
    page.wait_for_selector("figure svg .area")
    themed(page, theme)
    assert "\n".join(violations(page)) == ""
    width = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert width <= 0


def test_the_map_says_what_the_table_says(windows: Windows, town: Town) -> None:
    """And shows nothing for a kecamatan whose number is hidden."""
    page = opened(windows, town)
    page.wait_for_selector("figure:has(.area) svg text")
    assert sorted(page.locator("figure:has(.area) svg text").all_text_contents()) == ["42 %", "91 %"]
    rows = page.locator("table tbody tr")
    expect(rows.filter(has_text="Bulak")).to_contain_text("< 5")
    expect(rows.filter(has_text="Tegalsari")).to_contain_text("42 %")


def test_the_page_is_light(windows: Windows, town: Town) -> None:
    """Everything it loads but fonts, gzipped, stays under 100 kB."""
    weights: dict[str, int] = {}
    page = windows.page()
    page.on(
        "response",
        lambda r: weights.update({r.url: len(gzip.compress(r.body()))}) if r.ok and ".woff" not in r.url else None,
    )
    page.goto(town.base + "/", wait_until="networkidle")
    assert any(u.endswith(".js") for u in weights)
    assert sum(weights.values()) <= WEIGHT_MAX, weights


def test_it_prints_without_buttons_on_two_sheets_at_most(windows: Windows, town: Town) -> None:
    page = opened(windows, town)
    page.emulate_media(media="print")
    expect(page.get_by_role("button")).to_have_count(0)
    expect(page.locator(".figure")).to_be_visible()
    sheets = len(re.findall(rb"/Type\s*/Page\b", page.pdf(format="A4")))
    assert 1 <= sheets <= 2


def test_a_warning_is_seen_by_everybody_at_once(windows: Windows, town: Town) -> None:
    """Published by a manager on the board, read on the public page without signing in, gone once cancelled."""
    desk = windows.staff("manager", "/dasbor")
    desk.get_by_role("button", name="Peringatan").click()
    desk.get_by_label("Judul").fill("Banjir setinggi lutut di Rungkut")
    desk.get_by_label("Kecamatan (kosong").select_option("35.78.03")
    desk.get_by_role("button", name="Siarkan").click()
    expect(desk.get_by_role("heading", name="Berlaku sekarang")).to_be_visible()
    page = windows.page()
    page.goto(town.base + "/")
    expect(page.locator(".warning")).to_contain_text("Banjir setinggi lutut di Rungkut")
    expect(page.locator(".warning")).to_contain_text("Rungkut")
    assert "\n".join(violations(page)) == ""
    desk.get_by_role("button", name="Batalkan").click()
    expect(desk.get_by_role("heading", name="Berlaku sekarang")).to_have_count(0)
    page.reload()
    page.wait_for_selector("h1")
    expect(page.locator(".warning")).to_have_count(0)


def test_nothing_public_tells_of_a_live_incident(windows: Windows, town: Town) -> None:
    """An emergency is running: no open address says where, what or who."""
    place = {"lon": 112.74, "lat": -7.26, "accuracy_m": 20, "address": "Jalan Rahasia 7"}
    body = {"kind": "medis", "place": place, "phone": "+6280000000113"}
    report = town.post("/api/v1/reports", body, "")["report_id"]
    for path in ("figures", "figures.csv", "figures.atom", "alerts", "alerts.atom", "areas", "card.svg", "dictionary"):
        with urllib.request.urlopen(f"{town.base}/api/v1/public/{path}", timeout=30) as answer:
            text = answer.read().decode()
        for secret in ("Rahasia", "0000000113", report):
            assert secret not in text, path
