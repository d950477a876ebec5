"""The managers' dashboard: filters live in the address, numbers open the emergencies behind them, nothing is barred."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Windows
from tests.browser.test_access import THEMES, themed, violations

pytestmark = [pytest.mark.browser, pytest.mark.timeout(420)]


def test_filters_live_in_the_address(windows: Windows) -> None:
    """What is chosen stands in the address, and the address alone brings it back."""
    page = windows.staff("manager", "/dasbor")
    page.wait_for_selector(".card .figure")
    page.get_by_label("Jenis").select_option("laka")
    page.get_by_role("button", name="30 hari").click()
    page.wait_for_url("**jenis=laka**")
    asked = parse_qs(urlsplit(page.url).query)
    assert (asked["masa"], asked["jenis"]) == (["30d"], ["laka"])
    page.reload()
    expect(page.get_by_label("Jenis")).to_have_value("laka")


def test_every_part_of_the_board_is_there_and_has_a_table(windows: Windows) -> None:
    """Also on a day without any emergency."""
    page = windows.staff("manager", "/dasbor")
    page.wait_for_selector(".card .figure")
    for title in ("Kapan terjadi", "Unit tersibuk", "Kru tertahan di rumah sakit", "Instansi dan pos"):
        expect(page.get_by_role("heading", name=title)).to_be_visible()
    expect(page.locator(".heat tbody tr")).to_have_count(7)


@pytest.mark.parametrize("theme", THEMES)
def test_the_dashboard_has_no_barrier_on_a_phone(windows: Windows, theme: str) -> None:
    page = windows.staff("manager", "/dasbor", viewport={"width": 360, "height": 740})
    page.wait_for_selector(".card .figure")
    themed(page, theme)
    assert "\n".join(violations(page)) == ""


def test_the_wall_stays_or_takes_turns(windows: Windows) -> None:
    """A fixed view stands in the address; in turn, the next comes by itself; axe finds nothing on any."""
    page = windows.staff("supervisor", "/dinding?tampil=kecamatan")
    page.wait_for_selector("figure svg .area")
    assert "\n".join(violations(page)) == ""
    page.get_by_role("button", name="30 hari").click()
    page.wait_for_url("**tampil=tren")
    expect(page.get_by_role("heading", name="30 hari terakhir: bagian")).to_be_visible()
    page.goto(page.url.split("?")[0] + "?putar=5")
    expect(page.get_by_role("button", name="Bergantian")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("heading", name="30 hari terakhir: tiba")).to_be_visible()
    expect(page.get_by_role("heading", name="30 hari terakhir: bagian")).to_be_visible()
