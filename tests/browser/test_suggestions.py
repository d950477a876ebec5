"""What the machine or a reporter proposes, and the dispatcher takes up, takes back or leaves alone, with one key each."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Windows
from tests.browser.test_access import THEMES, themed, violations
from tests.browser.test_console import DARMO, NEAR, crews  # noqa: F401 - `crews` is a fixture
from tests.browser.town import Town

pytestmark = [pytest.mark.browser, pytest.mark.timeout(420)]

TRIES_MAX = 5
"""A suggestion lasts 15 s; on a machine that needs longer for one key the next one is taken."""


UNITS = [f"A0{n}" for n in range(1, 7)]
"""Ambulances that all stand in one place: the policy wants to spread them."""


def suggestion(page: Page, town: Town) -> tuple[str, str]:
    """The next suggested move: which unit, and to which post."""
    rows = page.locator(".moves li")
    for unit_id in UNITS:  # somebody comes on duty: the policy looks again
        if rows.count():
            break
        town.on_duty(unit_id, *DARMO)
    expect(rows.first).to_be_visible()
    words = rows.first.locator(".what").inner_text()
    found = re.match(r"(\S+)\s+geser ke\s+(.+?)\s*±", words, re.DOTALL)
    assert found is not None, words
    return found[1], found[2]


def post_of(page: Page, unit_id: str) -> str:
    return page.locator(".board .unit", has_text=unit_id).locator(".c-post").inner_text().removeprefix("→").strip()


def test_a_suggested_move_is_taken_up_and_taken_back(windows: Windows, town: Town) -> None:
    """Y orders it, the board shows where the unit goes, U sends it back to where it stood."""
    page = windows.console()
    for _ in range(TRIES_MAX):
        unit_id, post = suggestion(page, town)
        stood = post_of(page, unit_id)
        page.keyboard.press("y")
        done = page.locator(".toast", has_text=f"{unit_id} digeser ke {post}")
        gone = page.locator(".moves li", has_text=unit_id)
        expect(gone).to_have_count(0)
        if done.count() and stood != post:
            break
    expect(done).to_be_visible()
    expect(page.locator(".board .unit", has_text=unit_id).locator(".c-post")).to_contain_text(post)
    page.keyboard.press("u")
    expect(page.locator(".toast", has_text=f"{unit_id} kembali ke")).to_be_visible()
    expect(page.locator(".board .unit", has_text=unit_id).locator(".c-post")).to_contain_text(stood)


def test_a_suggested_move_is_declined_and_the_refusal_taken_back(windows: Windows, town: Town) -> None:
    """X keeps the unit where it is, also when its time comes; U orders the move after all."""
    page = windows.console()
    for _ in range(TRIES_MAX):
        unit_id, post = suggestion(page, town)
        page.keyboard.press("x")
        expect(page.locator(".moves li", has_text=f"{unit_id} geser ke {post}")).to_have_count(0)
        done = page.locator(".toast", has_text=f"{unit_id} tetap di")
        if done.count():
            break
    expect(done).to_be_visible()
    assert post_of(page, unit_id) != post
    page.keyboard.press("u")
    expect(page.locator(".board .unit", has_text=unit_id).locator(".c-post")).to_contain_text(post)


@pytest.mark.parametrize("theme", THEMES)
def test_the_incident_goes_where_its_reporter_points_and_back(
    windows: Windows,
    town: Town,
    theme: str,
    crews: None,  # noqa: F811
) -> None:
    """Through the reporter's link another place is told: distance, one key to move there, U to undo, and it can be left alone."""
    place = {"lon": DARMO[0], "lat": DARMO[1], "accuracy_m": 900}
    link = str(town.post("/api/v1/reports", {"kind": "medis", "place": place}, "")["status_url"])
    page = windows.console()
    themed(page, theme)
    page.locator(".queue .item").first.click()
    expect(page.locator(".pointed")).to_have_count(0)
    there = {"lon": NEAR["A02"][0], "lat": NEAR["A02"][1], "accuracy_m": 8, "address": "Gang Buntu 7"}
    token = link.removeprefix("/lapor/")
    town.post(f"/api/v1/reports/status/{token}/place", there, "")
    pointed = page.locator(".pointed")
    expect(pointed).to_contain_text("Pelapor menunjuk tempat lain")
    expect(pointed).to_contain_text(re.compile(r"\d{3} m"))
    expect(pointed).to_contain_text("Gang Buntu 7")
    expect(page.locator(".alarms")).to_contain_text("pelapor memperbaiki lokasi")
    assert "\n".join(violations(page)) == ""
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("l")
    expect(page.locator(".detail .place")).to_contain_text("Gang Buntu 7")
    expect(pointed).to_have_count(0)
    expect(page.locator(".lines")).to_contain_text("Ditunjuk pelapor")
    page.keyboard.press("u")
    expect(page.locator(".detail .place")).not_to_contain_text("Gang Buntu 7")
    expect(pointed).to_be_visible()
    pointed.get_by_role("button", name="Biarkan").click()
    expect(pointed).to_have_count(0)
    expect(page.locator(".detail .place")).not_to_contain_text("Gang Buntu 7")
