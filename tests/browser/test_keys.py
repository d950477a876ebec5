"""Without a pointer: every control of every view is reached with Tab and seen, and what is usually done with a mouse is not only so."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Windows
from tests.browser.test_access import violations
from tests.browser.test_console import crews, new_incident, order  # noqa: F401 - `crews` is a fixture
from tests.browser.town import Town

pytestmark = [pytest.mark.browser, pytest.mark.timeout(420)]

TABS_MAX = 400
"""More than any view has controls."""
MARK = """root => {
  let n = 0;
  for (const e of document.querySelectorAll(root + ' :is(button, select, input, textarea, a[href], summary, [tabindex="0"])')) {
    const shown = e.checkVisibility({ checkVisibilityCSS: true }) && e.getClientRects().length > 0;
    if (!shown || e.disabled || e.tabIndex < 0 || e.closest('[inert]')) continue;
    e.dataset.wanted = String(n++);
  }
  return n;
}"""
FOCUSED = """() => {
  const on = document.activeElement;
  if (!on || on === document.body) return [null, true];
  const style = getComputedStyle(on);
  // A ring or a shadow; on the map the ring is the container's.
  const seen = style.outlineStyle !== 'none' || style.boxShadow !== 'none' || on.matches('canvas');
  return [on.dataset.wanted ?? null, seen];
}"""
LEFT = "wanted => [...document.querySelectorAll('[data-wanted]')].filter(e => wanted.includes(e.dataset.wanted)).map(e => e.outerHTML.slice(0, 160))"


def reached(page: Page, root: str, view: str) -> None:
    """Tab visits everything there is to press or fill in below `root`, and shows where it is."""
    count = page.evaluate(MARK, root)
    assert count > 0, view
    left = {str(n) for n in range(count)}
    for _ in range(TABS_MAX):
        page.keyboard.press("Tab")
        at, seen = page.evaluate(FOCUSED)
        if at in left:
            assert seen, f"{view}: focus is not seen on {page.evaluate(LEFT, [at])}"
            left.discard(at)
        if not left:
            break
    missed = page.evaluate(LEFT, sorted(left))  # a row that has gone meanwhile cannot be reached and is none of these
    assert missed == [], f"{view}: not reached with Tab"
    page.evaluate("document.querySelectorAll('[data-wanted]').forEach(e => delete e.dataset.wanted)")


def test_every_control_of_every_view_is_reached_with_tab(windows: Windows, town: Town, crews: None) -> None:  # noqa: F811
    """The desk with an incident, with a call, with the roads' panel, a replay, the three papers, the map alone, and each dialog."""
    page = windows.console("supervisor")
    number = new_incident(page)
    page.wait_for_selector(".candidates")
    page.locator(".board .unit").first.press("Enter")
    reached(page, ".desk", "desk with an incident and a unit")
    page.keyboard.press("Escape")
    order(page, f"lihat {number}")
    page.keyboard.press("Escape") if page.locator("dialog[open]").count() else None
    page.keyboard.press("h")
    page.wait_for_selector(".hindrances")
    reached(page, ".hindrances", "road restrictions")
    page.locator(".hindrances input").first.press("Escape")
    expect(page.locator(".hindrances")).to_have_count(0)
    order(page, f"putar {number}")
    page.wait_for_selector(".replay")
    reached(page, ".replay", "replay")
    page.locator(".replay input").first.press("Escape")
    expect(page.locator(".replay")).to_have_count(0)
    for key, there, view in (
        ("Alt+1", ".results", "records"),
        ("Alt+2", ".log .lines", "log book"),
        ("Alt+3", "#handover-text", "handover"),
    ):
        page.keyboard.press("F9")
        page.keyboard.press(key)
        page.wait_for_selector(there)
        reached(page, "dialog[open]", view)
        page.keyboard.press("Escape")
        expect(page.locator("dialog[open]")).to_have_count(0)
    page.keyboard.press("?")
    page.wait_for_selector("dialog[open]")
    reached(page, "dialog[open]", "help")
    page.keyboard.press("Escape")
    order(page, f"tutup {number}")
    page.wait_for_selector("dialog[open] .preset")
    reached(page, "dialog[open]", "reason")
    page.keyboard.press("Escape")
    page.keyboard.press("F4")
    page.wait_for_selector("#f-place")
    reached(page, "form.call", "call form")
    second = windows.staff("dispatcher", "/konsol#peta")
    second.wait_for_selector(".maponly .map")
    reached(second, ".maponly", "map alone")


def test_map_switches_and_the_replays_time_are_moved_with_keys(windows: Windows, crews: None) -> None:  # noqa: F811
    """Reach, hazards, follow and the whole city by Enter; the map by arrows; the replay's time by arrows, Home and End."""
    page = windows.console()
    number = new_incident(page)
    for name in ("Jangkauan 7 mnt", "Bahaya", "Ikuti"):
        button = page.get_by_role("button", name=name, exact=True)
        before = button.get_attribute("aria-pressed")
        button.focus()
        page.keyboard.press("Enter")
        expect(button).not_to_have_attribute("aria-pressed", str(before))
    page.get_by_role("button", name="Seluruh kota").press("Enter")
    page.keyboard.press("Escape")
    order(page, f"putar {number}")
    slider = page.get_by_label("Waktu kejadian")
    expect(slider).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".replay .since")).to_have_text("0:01")
    page.keyboard.press("Home")
    expect(page.locator(".replay .since")).to_have_text("-2:00")  # what led to the call is played too


def test_an_incident_is_moved_by_the_name_of_its_place(windows: Windows, crews: None) -> None:  # noqa: F811
    """ "Pindah lokasi" takes a click on the map or a name; U puts it back."""
    page = windows.console()
    new_incident(page)
    before = page.locator(".detail .place").inner_text()
    page.get_by_role("button", name="Pindah lokasi").press("Enter")
    box = page.get_by_label(re.compile("ketik namanya"))
    expect(box).to_be_focused()
    assert violations(page) == []
    page.keyboard.press("Escape")
    expect(box).to_have_count(0)
    page.get_by_role("button", name="Pindah lokasi").press("Enter")
    page.keyboard.type("tugu pahlawan")
    page.wait_for_selector(".pick [role=option]")
    page.keyboard.press("Enter")
    expect(page.locator(".detail .place")).to_contain_text("Tugu Pahlawan")
    page.keyboard.press("Escape") if page.locator("dialog[open]").count() else None
    page.keyboard.press("u")
    expect(page.locator(".detail .place")).to_have_text(before)


def test_parting_what_was_merged_needs_no_mouse_either(windows: Windows, crews: None) -> None:  # noqa: F811
    """G and a number merge; opened by its number the merged one is parted again by its button."""
    page = windows.console()
    one = new_incident(page)
    two = new_incident(page, "rumah sakit haji")
    page.keyboard.press("g")
    page.wait_for_selector("dialog .line")
    page.keyboard.type(one)
    expect(page.locator(".say.ok")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.locator(".queue .item", has_text=two)).to_have_count(0)
    order(page, f"lihat {two}")
    part = page.get_by_role("button", name="Pisahkan lagi")
    part.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".queue .item", has_text=two)).to_be_visible()


def test_a_session_that_ends_in_the_middle_of_a_shift_loses_no_word(windows: Windows, town: Town, crews: None) -> None:  # noqa: F811
    """The cookie is gone when a report is sent and a note and a handover are half written: signed in again, all three are there and
    the report is sent once.
    """
    page = windows.console()
    number = new_incident(page)
    page.locator("#note").fill("gerbang timur dikunci")
    page.keyboard.press("Escape")
    page.keyboard.press("F9")
    page.keyboard.press("Alt+3")
    page.locator("#handover-text").fill("Genset pos barat mati")
    page.keyboard.press("Escape")
    page.keyboard.press("F4")
    page.wait_for_selector("#f-place")
    page.keyboard.type("tugu pahlawan")
    page.wait_for_selector("#f-hits li")
    page.keyboard.press("Enter")
    page.keyboard.type("kebakaran warung, api besar")
    expect(page.locator("#f-kind")).not_to_have_value("")
    page.context.clear_cookies()
    page.keyboard.press("Control+Enter")
    expect(page.locator("body")).to_contain_text("Sesi berakhir")
    expect(page.locator(".queue")).to_have_count(0)
    page.fill("input[name=username]", "dispatcher")
    page.fill("input[name=password]", town.password)
    page.press("input[name=password]", "Enter")
    page.wait_for_selector(".queue .list .item")
    page.keyboard.press("F4")
    expect(page.locator("#f-text")).to_have_value("kebakaran warung, api besar")
    expect(page.locator("#f-place")).to_have_value(re.compile("Tugu Pahlawan"))
    page.locator("#f-text").press("Control+Enter")
    page.wait_for_selector(".detail .head")
    expect(page.locator(".queue .item")).to_have_count(2)
    page.keyboard.press("F9")
    page.keyboard.press("Alt+3")
    expect(page.locator("#handover-text")).to_have_value("Genset pos barat mati")
    page.locator("#handover-text").fill("")
    page.keyboard.press("Escape")
    order(page, f"lihat {number}")
    expect(page.locator("#note")).to_have_value("gerbang timur dikunci")
