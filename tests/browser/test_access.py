"""axe finds nothing on any view, in both themes; buttons for gloves are large enough; narrow windows lose nothing."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import AXE, Windows
from tests.browser.test_console import cancel, crews, new_incident  # noqa: F401 - `crews` is a fixture
from tests.browser.town import Town

pytestmark = [pytest.mark.browser, pytest.mark.timeout(420)]

THEMES = ("night", "day")
TOUCH_PX = 48


def violations(page: Page) -> list[str]:
    """axe's findings, one line each, WCAG 2.2 A and AA and best practice."""
    page.evaluate(AXE.read_text("utf-8"))
    found: dict[str, Any] = page.evaluate(
        "axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']})"
    )
    return [f"{v['id']}: {n['target']} {n['failureSummary']}" for v in found["violations"] for n in v["nodes"]]


def themed(page: Page, theme: str) -> None:
    page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")


@pytest.mark.parametrize("theme", THEMES)
def test_the_console_has_no_barrier(windows: Windows, town: Town, theme: str, crews: None) -> None:  # noqa: F811
    """Sign-in, queue, incident, call form, command line, reason and help."""
    page = windows.page()
    page.goto(town.base + "/konsol")
    page.wait_for_selector("input[name=username]")
    themed(page, theme)
    assert "\n".join(violations(page)) == ""
    page = windows.console()
    themed(page, theme)
    town.ring()
    number = new_incident(page)
    page.wait_for_selector(".candidates")
    assert "\n".join(violations(page)) == ""
    page.keyboard.press("F2")
    page.wait_for_selector("#f-place")
    assert "\n".join(violations(page)) == ""
    page.keyboard.press("Control+k")
    page.wait_for_selector("dialog .line")
    assert "\n".join(violations(page)) == ""
    page.keyboard.press("Escape")
    page.locator(".foot .quiet").click()
    page.wait_for_selector("dialog[open] .preset")
    assert "\n".join(violations(page)) == ""
    page.keyboard.press("1")
    page.get_by_role("button", name="Bantuan tombol").click()
    assert "\n".join(violations(page)) == ""
    page.keyboard.press("Escape")
    cancel(page, number)


@pytest.mark.parametrize("theme", THEMES)
def test_the_consoles_papers_and_second_screen_have_no_barrier(
    windows: Windows,
    town: Town,
    theme: str,
    crews: None,  # noqa: F811
) -> None:
    """Records, log book, handover, replay, road restrictions, help, paper, and the map alone."""
    page = windows.console()
    themed(page, theme)
    new_incident(page)

    def clean(view: str) -> None:
        assert "\n".join(violations(page)) == "", view

    page.keyboard.press("F9")
    page.wait_for_selector(".results .hit")
    clean("records")
    page.keyboard.press("Alt+2")
    page.wait_for_selector(".log .lines .line")
    clean("log book")
    page.keyboard.press("Alt+3")
    page.wait_for_selector("#handover-text")
    clean("handover")
    page.keyboard.press("Escape")
    page.keyboard.press("r")
    page.wait_for_selector(".replay")
    clean("replay")
    page.keyboard.press("Escape")
    page.keyboard.press("h")
    page.wait_for_selector(".hindrances")
    clean("road restrictions")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    page.wait_for_selector("dialog[open] h2")
    clean("help")
    page.keyboard.press("Escape")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    page.wait_for_selector(".print-sheet", state="attached")
    page.emulate_media(media="print")
    clean("paper")
    second = windows.staff("dispatcher", "/konsol#peta")
    second.wait_for_selector(".maponly .map")
    themed(second, theme)
    assert "\n".join(violations(second)) == "", "second screen"


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("path", ["/", "/lapor", "/lapor/bukan.tautan.sah", "/awak"])
def test_open_pages_have_no_barrier(windows: Windows, town: Town, path: str, theme: str) -> None:
    page = windows.phone()
    page.goto(town.base + path)
    page.wait_for_selector("h1")
    themed(page, theme)
    assert "\n".join(violations(page)) == ""


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(("path", "there"), [("/dasbor", ".card .figure"), ("/dinding", ".worst > *")])
def test_managers_pages_have_no_barrier(windows: Windows, path: str, there: str, theme: str) -> None:
    page = windows.staff("supervisor", path)
    page.wait_for_selector(there)
    themed(page, theme)
    assert "\n".join(violations(page)) == ""


def test_nothing_on_the_phone_is_smaller_than_a_gloved_finger(windows: Windows, town: Town) -> None:
    """Every button of the crew app is at least 48 px high and wide."""
    page = windows.phone()
    page.goto(f"{town.base}/awak#kode={town.unit_tokens['A06']}")
    page.wait_for_selector("main :is(.main, .side)")
    for box in page.locator("button:visible").evaluate_all("bs => bs.map(b => b.getBoundingClientRect().toJSON())"):
        assert box["height"] >= TOUCH_PX
        assert box["width"] >= TOUCH_PX


def test_a_narrow_window_scrolls_one_way_only(windows: Windows) -> None:
    """At 683 px (a laptop at 200 % zoom) the console stacks; nothing is cut off sideways."""
    page = windows.console(viewport={"width": 683, "height": 384})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_citizen_reports_and_sees_that_help_is_coming(windows: Windows, town: Town, crews: None) -> None:  # noqa: F811
    """Report by web, then the caller's own page, without any sign-in."""
    page = windows.phone(geolocation={"longitude": 112.7360, "latitude": -7.3020}, permissions=["geolocation"])
    page.goto(town.base + "/lapor")
    page.fill("#l-text", "motor tabrakan, satu orang luka")
    page.locator(".kinds .btn", has_text="Kecelakaan lalu lintas").click()
    expect(page.locator(".ok")).to_be_visible()
    page.locator(".send").click()
    page.wait_for_url("**/lapor/*")
    expect(page.locator("h1")).to_contain_text("Bantuan")
    expect(page.locator(".units li").first).to_be_visible()
    desk = windows.console()
    desk.locator(".queue .item").first.click()
    cancel(desk, desk.locator(".detail .head .code").first.inner_text())
    expect(page.locator("h1")).to_contain_text("selesai")
