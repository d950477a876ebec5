"""The operator's console in real Chromium against the real server."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from tests.browser.conftest import Windows
from tests.browser.town import Town

pytestmark = [pytest.mark.browser, pytest.mark.timeout(420)]

DARMO = (112.7393, -7.2890)
NEAR = {"A01": (112.7410, -7.2860), "A02": (112.7330, -7.2950), "A04": (112.7500, -7.3000), "M01": (112.7380, -7.2920)}


@pytest.fixture
def crews(town: Town) -> None:
    """Ambulances and a motorbike stand around Jalan Raya Darmo."""
    for unit_id, (lon, lat) in NEAR.items():
        town.on_duty(unit_id, lon, lat)


def take(page: Page, place: str = "raya darmo", words: str = "bapak sesak napas, bibirnya biru") -> str:
    """Fill the open form with the keyboard alone and send; the number of the incident."""
    expect(page.locator("#f-place")).to_be_focused()
    page.keyboard.type(place)
    page.wait_for_selector("#f-hits li")
    page.keyboard.press("Enter")
    expect(page.locator("#f-text")).to_be_focused()
    page.keyboard.type(words)
    expect(page.locator("#f-kind")).not_to_have_value("")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".detail .head")
    return page.locator(".detail .head .code").first.inner_text()


def new_incident(page: Page, place: str = "raya darmo") -> str:
    page.keyboard.press("Escape")
    page.keyboard.press("F4")
    page.wait_for_selector("#f-place")
    page.keyboard.press("Control+a")
    return take(page, place)


def order(page: Page, line: str) -> None:
    page.keyboard.press("Control+k")
    page.wait_for_selector("dialog .line")
    page.keyboard.type(line)
    expect(page.locator(".say.ok")).to_be_visible()
    page.keyboard.press("Enter")


def cancel(page: Page, number: str) -> None:
    order(page, f"batal {number}")
    page.wait_for_selector("dialog[open] .preset")
    page.keyboard.press("1")
    expect(page.locator(".queue .item", has_text=number)).to_have_count(0)


def test_a_ringing_call_is_answered_and_help_sent_with_the_keyboard_alone(
    windows: Windows, town: Town, crews: None
) -> None:
    """F2, where, what, Ctrl+Enter: the incident stands in the queue and a unit has been called."""
    page = windows.console()
    town.ring()
    page.wait_for_selector(".call.ringing")
    page.keyboard.press("F2")
    page.wait_for_selector("#f-place")
    number = take(page)
    expect(page.locator(".queue .item", has_text=number)).to_be_visible()
    expect(page.locator(".units li").first).to_contain_text("Dipanggil")
    expect(page.locator(".call.ringing")).to_have_count(0)
    cancel(page, number)


def test_another_unit_needs_a_reason_and_undo_takes_it_back(windows: Windows, crews: None) -> None:
    """Sending somebody else than recommended asks why; U within a few seconds withdraws the unit."""
    page = windows.console()
    number = new_incident(page)
    page.keyboard.press("Escape") if page.locator("dialog[open]").count() else None
    free = page.locator(".candidates tbody tr:not(.busy):not(.chosen)").first
    free.wait_for()
    unit = free.locator("th .code").inner_text()
    free.locator(".go").click()
    page.wait_for_selector("dialog[open] .preset")
    page.keyboard.press("1")
    expect(page.locator(".units")).to_contain_text(unit)
    page.wait_for_selector(".toast .btn:has-text('Urungkan')")
    page.keyboard.press("u")
    expect(page.locator(".lines")).to_contain_text(f"{unit} ditarik")
    expect(page.locator(".units")).not_to_contain_text(unit)
    cancel(page, number)


@pytest.mark.parametrize(("word", "undone"), [("batal", "dibatalkan"), ("tutup", "ditutup")])
def test_a_dispatcher_takes_back_what_they_just_ended(windows: Windows, crews: None, word: str, undone: str) -> None:
    """`batal` and `tutup` hit the wrong incident: U brings it back into the queue."""
    page = windows.console()
    number = new_incident(page)
    order(page, f"{word} {number}")
    page.wait_for_selector("dialog[open] .preset")
    page.keyboard.press("1")
    expect(page.locator(".queue .item", has_text=number)).to_have_count(0)
    expect(page.locator(".toast", has_text=f"{number} {undone}")).to_be_visible()
    page.keyboard.press("u")
    expect(page.locator(".queue .item", has_text=number)).to_be_visible()
    cancel(page, number)


def test_two_operators_see_each_other_and_every_change(windows: Windows, crews: None) -> None:
    """What one does appears on the other's screen without a reload, with who is looking and writing."""
    first, second = windows.console("dispatcher"), windows.console("supervisor")
    number = new_incident(first)
    row = second.locator(".queue .item", has_text=number)
    row.click()
    first.wait_for_selector(".viewers")
    expect(first.locator(".viewers")).to_contain_text("supervisor")
    second.locator("#note").fill("Pelapor menunggu di gapura")
    expect(first.locator(".viewers")).to_contain_text("menulis")
    second.locator("#note").press("Enter")
    expect(first.locator(".lines")).to_contain_text("Pelapor menunggu di gapura")
    cancel(first, number)
    expect(second.locator(".queue .item", has_text=number)).to_have_count(0)


def test_incidents_merge_and_part_again(windows: Windows, crews: None) -> None:
    """`gabung` moves one into the other; undo brings both back."""
    page = windows.console("supervisor")
    one = new_incident(page)
    two = new_incident(page, "rumah sakit haji")
    order(page, f"gabung {two} ke {one}")
    expect(page.locator(".queue .item", has_text=two)).to_have_count(0)
    page.wait_for_selector(".toast .btn:has-text('Urungkan')")
    page.keyboard.press("u")
    expect(page.locator(".queue .item", has_text=two)).to_be_visible()
    for number in (one, two):
        cancel(page, number)


def test_a_half_written_report_survives_a_reload(windows: Windows) -> None:
    """Nothing typed is lost when the browser is closed in the middle of a call."""
    page = windows.console()
    page.keyboard.press("F4")
    page.wait_for_selector("#f-text")
    page.fill("#f-text", "tawon di teras, anak 5 tahun 🐝 שלום")
    page.reload()
    page.wait_for_selector(".queue .list :is(.item, .empty)")
    page.keyboard.press("F4")
    expect(page.locator("#f-text")).to_have_value("tawon di teras, anak 5 tahun 🐝 שלום")
    page.locator(".foot .quiet").click()  # Buang
    page.keyboard.press("F4")
    expect(page.locator("#f-text")).to_have_value("")


def test_a_dead_line_is_unmissable_and_heals_without_a_reload(windows: Windows, town: Town, crews: None) -> None:
    """The banner says data is not live; when the line is back, what happened meanwhile is there."""
    open_lines: list[WebSocketRoute] = []
    cut = {"now": False}

    def route(line: WebSocketRoute) -> None:
        if cut["now"]:
            line.close()
            return
        line.connect_to_server()
        open_lines.append(line)

    page = windows.page()
    page.route_web_socket(re.compile("/console/stream"), route)
    page.goto(town.base + "/konsol")
    page.fill("input[name=username]", "dispatcher")
    page.fill("input[name=password]", town.password)
    page.press("input[name=password]", "Enter")
    page.wait_for_selector(".queue .list :is(.item, .empty)")
    expect(page.locator(".banner")).to_have_count(0)
    cut["now"] = True
    for line in open_lines:
        line.close()
    expect(page.locator(".banner")).to_contain_text("DATA TIDAK LANGSUNG")
    town.ring("+6280000000113")
    cut["now"] = False
    expect(page.locator(".banner")).to_have_count(0)
    page.wait_for_selector(".call.ringing")
    page.keyboard.press("F2")
    page.wait_for_selector("#f-place")
    page.locator(".foot .quiet").click()
    page.wait_for_selector("dialog[open] .preset")
    page.keyboard.press("1")
    expect(page.locator(".call.ringing")).to_have_count(0)


def test_a_callers_number_is_shown_only_for_a_purpose(windows: Windows, town: Town, crews: None) -> None:
    """The number is nowhere on the page until somebody says why they need it."""
    page = windows.console()
    town.ring("+6280000000777")
    page.wait_for_selector(".call.ringing")
    page.keyboard.press("F2")
    page.wait_for_selector("#f-place")
    number = take(page)
    assert "80000000777" not in page.content()
    page.get_by_role("button", name="lihat nomor").click()
    page.wait_for_selector("dialog[open] .preset")
    page.keyboard.press("1")
    expect(page.locator(".reports")).to_contain_text("80000000777")
    cancel(page, number)


def test_a_call_taker_who_may_not_send_is_told_so(windows: Windows, crews: None) -> None:
    """A refused command is a sentence on the screen."""
    page = windows.console("call_taker")
    number = new_incident(page)
    order(page, f"alarm {number}")
    page.wait_for_selector("dialog[open] .preset")
    page.keyboard.press("1")
    expect(page.locator(".toast.bad")).to_be_visible()
    cancel(windows.console("dispatcher"), number)
