"""A response that will be late, on the console: said before it is, taken on, mended by what the warning names, or told to the next."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Windows
from tests.browser.test_console import DARMO, NEAR, new_incident
from tests.browser.town import ROOT, Server, Town

pytestmark = [pytest.mark.browser, pytest.mark.timeout(420)]

FAR = (112.6250, -7.2400)
"""The city's western edge: a quarter of an hour from Jalan Raya Darmo."""
CALLER = {"lon": DARMO[0], "lat": DARMO[1], "source": "operator", "address": "Jalan Raya Darmo"}


@pytest.fixture(scope="module")
def by_hand(town: Town, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """A city whose policy sends the nearest and then leaves it to people; Surabaya's own would swap and divert by itself before
    anybody could press a button. `town` has built the pages."""
    pack = tmp_path_factory.mktemp("pack") / "surabaya"
    shutil.copytree(ROOT / "regions" / "surabaya", pack)
    told = (pack / "region.toml").read_text(encoding="utf-8")
    assert 'policy = "siaga"' in told
    (pack / "region.toml").write_text(told.replace('policy = "siaga"', 'policy = "closest"'), encoding="utf-8")
    server = Server(city=False, region=pack)
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
def desks(chromium: Browser, by_hand: Town) -> Iterator[Windows]:
    by_hand.calm()
    opened = Windows(chromium, by_hand)
    yield opened
    opened.close()
    assert opened.complaints == []


def looked_at_again(town: Town, number: str, metres_east: float) -> None:
    """Somebody corrects the place a little: what was said of the old place no longer stands."""
    place = {**CALLER, "lon": DARMO[0] + metres_east / 110_000.0}
    town.command("relocate_incident", incident_id=town.incident(number), place=place, reason="di seberang jalan")


def warned(page: Page, town: Town) -> str:
    """An emergency to which only units from the edge of the city are on their way; its number."""
    for unit_id in ("A13", "A14"):  # the plan asks for two; no other test has told where these stand
        town.on_duty(unit_id, *FAR)
    number = new_incident(page)
    expect(page.locator(".units")).to_contain_text("A13")
    expect(page.locator(".warning")).to_contain_text("Terancam terlambat")
    return number


def test_a_warning_comes_before_the_breach_and_climbs_until_somebody_takes_it_on(windows: Windows, town: Town) -> None:
    """First the dispatcher's, then the supervisor's, then the duty manager's; taken on it stays where it is."""
    page, other = windows.console("dispatcher"), windows.console("supervisor")
    number = warned(page, town)
    expect(page.locator(".queue .item", has_text=number)).not_to_contain_text("terlambat ")
    expect(page.locator(".warning")).to_contain_text("Tidak ada unit lain yang lebih cepat")
    expect(page.locator(".alarms")).to_contain_text(f"{number}")
    expect(page.locator(".warning .up")).to_contain_text("penyelia")
    other.locator(".queue .item", has_text=number).click()
    expect(other.locator(".warning .up")).to_contain_text("manajer piket")
    other.get_by_role("button", name="Saya tangani").click()
    for screen in (page, other):
        expect(screen.locator(".warning")).to_contain_text(re.compile(r"Sudah ditangani sejak \d\d[:.]\d\d"))
        expect(screen.get_by_role("button", name="Saya tangani")).to_have_count(0)


def test_the_faster_unit_a_warning_names_is_sent_by_its_button(desks: Windows, by_hand: Town) -> None:
    """It says who, how many seconds sooner and with what chance; sending it takes the warning on."""
    page = desks.console()
    number = warned(page, by_hand)
    by_hand.on_duty("A01", *NEAR["A01"])
    looked_at_again(by_hand, number, 30.0)
    offer = page.locator(".warning li", has_text="A01")
    expect(offer).to_contain_text(re.compile(r"A01: \d+ dtk lebih cepat, peluang \d+ %"))
    offer.get_by_role("button", name="Kirim").click()
    expect(page.locator(".units")).to_contain_text("A01")
    expect(page.locator(".warning")).to_contain_text("Sudah ditangani sejak")


def test_a_unit_bound_for_something_less_urgent_is_diverted_by_its_button(desks: Windows, by_hand: Town) -> None:
    """The button says which emergency the unit leaves, and both tell afterwards what happened."""
    page = desks.console()
    for unit_id in ("A01", "A02"):
        by_hand.on_duty(unit_id, *NEAR[unit_id])
    first = new_incident(page, "rumah sakit haji")
    expect(page.locator(".units")).to_contain_text("A01")
    expect(page.locator(".units")).to_contain_text("A02")
    number = warned(page, by_hand)
    by_hand.command("regrade_incident", incident_id=by_hand.incident(first), priority=3, reason="hanya lecet")
    looked_at_again(by_hand, number, 30.0)
    divert = page.get_by_role("button", name=f"Alihkan dari {first}")
    offer = page.locator(".warning li", has=divert)
    expect(offer).to_contain_text("dtk lebih cepat")
    unit = offer.locator("span").first.inner_text().split(":")[0]
    assert unit in ("A01", "A02")
    divert.click()
    expect(page.locator(".units")).to_contain_text(unit)
    expect(page.locator(".warning")).to_contain_text("Sudah ditangani sejak")
    page.locator(".queue .item", has_text=first).click()
    expect(page.locator(".lines")).to_contain_text(f"{unit} ditarik: dialihkan ke")
