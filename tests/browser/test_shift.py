"""A shift played in real Chromium: divert, conflict, a killed server, and the papers of the shift."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Windows
from tests.browser.test_access import violations
from tests.browser.test_console import NEAR, cancel, crews, new_incident, order, take  # noqa: F401 - `crews` is a fixture
from tests.browser.town import Server, Town

pytestmark = [pytest.mark.browser, pytest.mark.timeout(420)]

ANYBODY = ".units li .code"


def sent_unit(page: Page) -> str:
    """A unit that is on its way to the selected incident."""
    page.wait_for_selector(ANYBODY)
    return page.locator(ANYBODY).first.inner_text()


def give_reason(page: Page) -> None:
    page.wait_for_selector("dialog[open] .preset")
    page.keyboard.press("1")


def test_a_coming_unit_is_diverted_to_a_second_incident(windows: Windows, crews: None) -> None:  # noqa: F811
    """`kirim` with a unit that is under way asks why, and both incidents tell what happened."""
    page = windows.console()
    first = new_incident(page)
    sent_unit(page)
    there = page.locator(ANYBODY).all_inner_texts()
    second = new_incident(page, "rumah sakit haji")
    sent_unit(page)
    # The engine may have turned one of them round by itself already.
    unit = next(u for u in there if u not in page.locator(ANYBODY).all_inner_texts())
    order(page, f"kirim {unit} ke {second}")
    give_reason(page)
    expect(page.locator(".detail .head")).to_contain_text(second)
    expect(page.locator(".units")).to_contain_text(unit)
    expect(page.locator(".lines")).to_contain_text("dialihkan")
    page.locator(".queue .item", has_text=first).click()
    expect(page.locator(".lines")).to_contain_text(f"{unit} ditarik: dialihkan ke")


def test_of_two_operators_the_slower_is_told_who_changed_what(windows: Windows, crews: None) -> None:  # noqa: F811
    """Both look at one incident; what the second decided on an older state is not done before they have seen the difference."""
    first, second = windows.console("dispatcher"), windows.console("supervisor")
    number = new_incident(first)
    second.locator(".queue .item", has_text=number).click()
    second.wait_for_selector(".candidates tbody tr:not(.busy):not(.chosen)")
    row = second.locator(".candidates tbody tr:not(.busy):not(.chosen)").first
    unit = row.locator("th .code").inner_text()
    row.locator(".go").click()
    second.wait_for_selector("dialog[open] .preset")
    order(first, f"kirim {unit} ke {number}")
    give_reason(first)
    expect(first.locator(".units")).to_contain_text(unit)
    second.keyboard.press("1")
    conflict = second.get_by_role("dialog", name="diubah oleh dispatcher")
    expect(conflict.get_by_role("row", name="Unit")).to_contain_text(unit)
    expect(conflict.get_by_role("button", name="Batal")).to_be_focused()
    assert violations(second) == []
    second.keyboard.press("Enter")
    expect(conflict).to_have_count(0)
    expect(second.locator(".units")).to_contain_text(unit)


def test_an_incident_is_worked_to_its_end_by_radio(windows: Windows, crews: None) -> None:  # noqa: F811
    """A crew without a phone: the dispatcher presses its steps, then closes."""
    page = windows.console()
    number = new_incident(page)
    sent_unit(page)
    for unit in page.locator(ANYBODY).all_inner_texts():
        crew = page.locator(".units > li", has_text=unit)
        for step in ("Berangkat", "Tiba", "Selesai"):
            crew.get_by_role("button", name=step, exact=True).click()
    expect(page.locator(".queue .item", has_text=number)).to_have_count(0)
    expect(page.locator(".lines")).to_contain_text("Ditutup")


@pytest.fixture(scope="module")
def mortal() -> Iterator[Server]:
    """A server of its own, to be killed."""
    server = Server(city=False)
    yield server
    server.stop()


def test_a_killed_server_loses_nothing_and_the_screen_heals(chromium: Browser, mortal: Server) -> None:
    """What is typed while the server is dead is sent when it is back, once; incidents and clocks are as they were."""
    alive = mortal.start()
    for unit_id, (lon, lat) in NEAR.items():
        alive.on_duty(unit_id, lon, lat)
    windows = Windows(chromium, alive)
    page = windows.console()
    before = new_incident(page)
    ring = page.locator(".queue .item", has_text=before)
    expect(ring).to_be_visible()
    mortal.kill()
    expect(page.locator(".banner")).to_contain_text("DATA TIDAK LANGSUNG")
    page.keyboard.press("F4")
    page.wait_for_selector("#f-place")
    page.fill("#f-text", "motor tabrakan, satu orang luka")
    mortal.start()
    expect(page.locator(".banner")).to_have_count(0)
    page.locator("#f-place").focus()
    page.keyboard.type("raya darmo")
    page.wait_for_selector("#f-hits li")
    page.keyboard.press("Enter")
    expect(page.locator("#f-text")).to_have_value("motor tabrakan, satu orang luka")
    expect(page.locator("#f-kind")).not_to_have_value("")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".detail .head")
    expect(ring).to_be_visible()
    expect(page.locator(".queue .item")).to_have_count(2)
    windows.close()
    assert windows.complaints == []


def test_a_handover_is_written_read_by_the_next_and_stands_in_the_log_book(windows: Windows, crews: None) -> None:  # noqa: F811
    """F9, Alt 3, words, Ctrl Enter; the other desk is told, and the log book has it."""
    first, second = windows.console("dispatcher"), windows.console("supervisor")
    number = new_incident(first)
    first.keyboard.press("F9")
    first.keyboard.press("Alt+3")
    expect(first.locator("#handover-text")).to_be_focused()
    expect(first.locator(".write dl")).to_contain_text(number)
    first.keyboard.type("Genset RS Haji mati, ambulans cadangan di pos.")
    assert violations(first) == []
    first.keyboard.press("Control+Enter")
    expect(first.locator(".read .words").first).to_contain_text("Genset RS Haji")
    expect(first.locator("#handover-text")).to_have_value("")
    second.get_by_role("button", name="Serah terima baru dari dispatcher").first.click()
    expect(second.locator(".read .words").first).to_contain_text("Genset RS Haji")
    second.keyboard.press("Escape")
    order(second, "buku")
    expect(second.locator(".log .lines")).to_contain_text("Genset RS Haji")
    expect(second.locator(".log .lines")).to_contain_text("Laporan dicatat")
    assert violations(second) == []
    second.keyboard.press("Escape")
    expect(second.locator("dialog[open]")).to_have_count(0)


def test_an_ended_incident_is_found_opened_and_played_again_with_the_keyboard(
    windows: Windows,
    town: Town,
    crews: None,  # noqa: F811
) -> None:
    """`riwayat`, Tab to the hit, Enter; R plays it, arrows move the time, Esc goes back to now."""
    page = windows.console()
    number = new_incident(page)
    cancel(page, number)
    page.keyboard.press("Escape")
    order(page, f"riwayat {number}")
    page.wait_for_selector(".results .hit")
    assert violations(page) == []
    page.locator(".results .line").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".detail .head")).to_contain_text("Dibatalkan")
    page.keyboard.press("r")
    slider = page.get_by_label("Waktu kejadian")
    expect(slider).to_be_focused()
    expect(page.locator(".replay .since")).to_have_text("0:00")
    assert violations(page) == []
    page.keyboard.press("ArrowRight")
    expect(page.locator(".replay .since")).to_have_text("0:01")
    page.keyboard.press("End")
    expect(page.locator(".replay .said")).to_contain_text("Dibatalkan")
    page.keyboard.press("p")
    page.keyboard.press("Escape")
    expect(page.locator(".replay")).to_have_count(0)


def test_callers_are_searched_only_for_a_purpose(windows: Windows, town: Town, crews: None) -> None:  # noqa: F811
    page = windows.console()
    town.ring("+6280000000555")
    page.wait_for_selector(".call.ringing")
    page.keyboard.press("F2")
    page.wait_for_selector("#f-place")
    number = take(page)
    page.keyboard.press("F9")
    page.locator(".callers input").fill("0000555")
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog[open] .preset")
    assert "80000000555" not in page.content()
    page.keyboard.press("1")
    found = page.locator(".callers li", has_text="80000000555")
    expect(found).to_contain_text(number)


def test_a_closed_road_is_put_up_and_lifted_with_the_keyboard(windows: Windows, crews: None) -> None:  # noqa: F811
    """H, a place by name, a reason; every desk sees it, and U lifts it again."""
    first, second = windows.console("dispatcher"), windows.console("supervisor")
    first.keyboard.press("h")
    first.wait_for_selector(".hindrances")
    first.keyboard.type("raya darmo")
    first.wait_for_selector(".hindrances [role=option]")
    first.keyboard.press("Enter")
    first.get_by_label("Sebab").fill("Banjir selutut")
    assert violations(first) == []
    first.keyboard.press("Enter")
    expect(first.locator(".hindrances li")).to_contain_text("Banjir selutut")
    expect(second.get_by_role("button", name="Hambatan 1")).to_be_visible()
    first.locator(".hindrances li").get_by_role("button", name="Cabut").click()
    expect(first.locator(".hindrances li")).to_contain_text("Semua jalan dianggap terbuka")
    expect(first.get_by_text("Hambatan dicabut")).to_be_visible()  # what `u` takes back is the last thing said
    first.keyboard.press("Escape")
    first.keyboard.press("u")
    expect(second.get_by_role("button", name="Hambatan 1")).to_be_visible()
    second.get_by_role("button", name="Hambatan 1").click()
    second.locator(".hindrances li").get_by_role("button", name="Cabut").click()
    expect(second.get_by_role("button", name="Hambatan", exact=True)).to_be_visible()


def test_a_unit_is_dragged_onto_an_incident(windows: Windows, crews: None) -> None:  # noqa: F811
    """From the board to the queue; another unit than recommended still asks why."""
    page = windows.console()
    number = new_incident(page)
    free = page.locator(".board .unit", has_text="Siap").first
    unit = free.locator(".c-unit .code").inner_text()
    free.drag_to(page.locator(".queue .item", has_text=number))
    give_reason(page)
    expect(page.locator(".units")).to_contain_text(unit)


def test_paper_has_the_incident_and_nobodys_number(windows: Windows, town: Town, crews: None) -> None:  # noqa: F811
    """What the printer gets is one sheet about the selected incident, not the screen."""
    page = windows.console()
    town.ring("+6280000000556")
    page.wait_for_selector(".call.ringing")
    page.keyboard.press("F2")
    page.wait_for_selector("#f-place")
    number = take(page)
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    sheet = page.locator(".print-sheet")
    expect(sheet).to_be_visible()
    expect(sheet).to_contain_text(number)
    expect(sheet).to_contain_text("bapak sesak napas")
    expect(page.locator(".desk")).to_be_hidden()
    assert "80000000556" not in sheet.inner_text()


def test_the_map_and_the_wall_have_screens_of_their_own(windows: Windows) -> None:
    page = windows.console()
    with page.expect_popup() as opened:
        page.get_by_role("link", name="Layar kedua").click()
    second = opened.value
    expect(second.locator(".maponly .map")).to_be_visible()
    expect(second.locator(".queue")).to_have_count(0)
    expect(page.get_by_role("link", name="Dinding")).to_have_attribute("href", "/dinding")
