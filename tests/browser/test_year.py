"""The managers' board over simulated days: it says what `siaga sla report` says, and every number leads to its emergencies.

Days: `SIAGA_YEAR_DAYS` (10 here unless set; a whole year takes ten minutes to simulate). Speed is printed by
`python -m tests.bench.board`, never asserted.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from siaga.demo import DATABASE
from siaga.postgres import EmbeddedPostgres
from simulators.year import midnight_before
from tests.browser import year
from tests.browser.conftest import Windows
from tests.browser.test_access import THEMES, themed, violations
from tests.browser.town import ROOT, Server, Town

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1800)]

DAYS = int(os.environ.get("SIAGA_YEAR_DAYS", "10"))
FIRST: date = midnight_before(datetime.now(UTC), DAYS).date() + timedelta(days=1)
LAST: date = FIRST + timedelta(days=DAYS - 3)
PERIOD = f"masa=own&dari={FIRST}&sampai={LAST}"


@pytest.fixture(scope="module")
def report() -> Iterator[tuple[Path, str]]:
    """(folder of a filled server, the HTML of the report of the same days by the command line)."""
    var = Path(tempfile.mkdtemp(prefix="siaga-year-"))  # PostgreSQL's own user must be able to enter it
    # In a process of its own: Playwright keeps a loop running in this one.
    subprocess.run([sys.executable, "-m", year.__name__, str(var), "--days", str(DAYS)], check=True, cwd=ROOT)
    with EmbeddedPostgres(var / "postgres") as postgres:
        command = [
            sys.executable, "-m", "siaga.cli", "sla", "report", "--from", str(FIRST), "--to", str(LAST), "--format", "html",
            "--out", str(var / "cli"), "--database-url", postgres.dsn(DATABASE), "--var", str(var),
        ]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True)
    [html] = (var / "cli").glob("*.html")
    yield var, html.read_text("utf-8")
    shutil.rmtree(var, ignore_errors=True)


@pytest.fixture(scope="module")
def town(report: tuple[Path, str]) -> Iterator[Town]:
    """Instead of the empty town of the other tests."""
    server = Server(city=False, var=report[0])
    yield server.start()
    server.stop()


@pytest.fixture(autouse=True)
def calm() -> None:
    """Nothing to calm: nobody acts here."""


@pytest.fixture
def windows(chromium: Browser, town: Town) -> Iterator[Windows]:
    opened = Windows(chromium, town)
    yield opened
    opened.close()
    assert opened.complaints == []


def board(windows: Windows, query: str = PERIOD, role: str = "manager", **options: object) -> Page:
    """The board of the simulated days, once the server has read and explained them all."""
    page = windows.staff(role, f"/dasbor?{query}", **options)
    page.wait_for_selector(".card .figure")
    still = page.get_by_text(re.compile("masih membaca catatan lama|masih memeriksa ulang sebab"))
    while still.count():  # it asks again every 30 s; a reload is sooner
        page.reload()
        page.wait_for_selector(".card .figure")
    return page


def number(text: str) -> int:
    return int(re.sub(r"\D", "", text))


def listed(page: Page) -> int:
    """How many emergencies the list says it has."""
    return number(page.locator(".latest h2 .muted").inner_text())


def leads_to(page: Page, button: Locator) -> None:
    """The number on the button is the number of emergencies the list then has.

    Just after a start late responses are still being explained, which may move one to another cause between board and list;
    the board is then asked for again by itself.
    """
    for _ in range(100):
        button.click()
        page.wait_for_timeout(500)
        shown = page.locator(".latest h2 .muted").inner_text()
        if shown and number(shown) == number(button.inner_text()):
            break
    else:
        raise AssertionError(f"{button.inner_text()} leads to {shown}")
    assert page.get_by_role("alert").count() == 0


def test_the_screen_says_what_the_report_says(windows: Windows, report: tuple[Path, str]) -> None:
    """Share, numerator, denominator and percentiles, to the digit."""
    page, html = board(windows), re.sub(r"<[^>]+>", " ", report[1])
    head = page.locator(".card.head")
    share = head.locator(".figure").inner_text().replace("\xa0", " ")
    within, n = re.findall(r"[\d.]+", head.locator("p").nth(1).inner_text())[:2]
    assert re.search(rf"{re.escape(share)}", html.replace("\xa0", " "))
    assert re.search(rf"{re.escape(within)} dari {re.escape(n)}\b", html)
    for quantile in head.locator(".trio dd").all_inner_texts()[:3]:
        assert quantile in html


def test_every_number_leads_to_its_emergencies(windows: Windows) -> None:
    """Headline, cause, kecamatan on map and table, hour and weekday, unit."""
    page = board(windows)
    leads_to(page, page.locator(".card.head p .link").nth(1))
    leads_to(page, page.locator(".causes li .link").first)
    leads_to(page, page.locator(".heat tbody button:not([disabled])").nth(40))
    page.get_by_text(re.compile(r"Tabel · \d+")).click()
    for row in (0, 5):
        leads_to(page, page.locator("details .scroll tbody tr").nth(row).locator(".link"))
    page.get_by_role("button", name="Kelurahan").click()
    leads_to(page, page.locator("details .scroll tbody tr").nth(3).locator(".link"))


def test_agencies_hospitals_units_and_calls_lead_to_what_is_behind_them(windows: Windows) -> None:
    """Jobs where a job is counted, calls where calls are; a time leads to what took longer, a point to its day."""
    page = board(windows)

    def card(title: str) -> Locator:
        return page.locator(".card").filter(has=page.get_by_role("heading", name=title))

    leads_to(page, page.locator(".card.head p .link").nth(0))
    leads_to(page, card("Instansi dan pos").locator("tbody .link").first)
    leads_to(page, card("Instansi dan pos").locator("tbody .link").last)
    leads_to(page, card("Kru tertahan").locator("tbody .link").first)
    leads_to(page, card("Unit tersibuk").locator("tbody tr").first.locator(".link").nth(1))
    leads_to(page, card("Telepon").locator(".link").first)
    leads_to(page, card("bukan keadaan darurat").locator(".link").first)
    leads_to(page, page.locator(".causes h2 .link"))
    for timed in (
        page.locator(".card.head .trio .link").nth(1),
        page.locator(".phases tbody tr").last.locator(".link").nth(1),
    ):
        timed.click()
        expect(page.locator(".latest h2")).to_contain_text("lebih lama dari")
        expect(page.locator(".latest li").first).to_be_visible()
    page.get_by_text("Tanpa unit siap sama sekali").click()
    for window in page.locator(".windows .link").all()[:1]:  # ten days may have none
        window.click()
        expect(page.locator(".latest li").first).to_be_visible()
    chart = page.locator("figure").filter(has=page.get_by_role("img", name="Bagian tepat waktu"))
    chart.get_by_text("Lihat sebagai tabel").click()
    row = chart.locator("tbody tr").nth(2)
    n = row.locator("td").last.inner_text()
    row.locator(".link").click()
    expect(page.locator(".latest h2 .muted")).to_have_text(n)


def test_a_change_noted_by_hand_is_a_labelled_line_until_it_is_removed(windows: Windows) -> None:
    """Everybody sees it with its author; who may not write is offered no form."""
    page = board(windows)
    page.get_by_role("button", name="Catatan perubahan").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Mulai").fill(str(FIRST + timedelta(days=3)))
    dialog.get_by_label("Yang berubah").fill("pos baru Pakal")
    dialog.get_by_role("button", name="Catat", exact=True).click()
    expect(dialog.locator("li")).to_contain_text("pos baru Pakal · manager")
    assert "\n".join(violations(page)) == ""
    dialog.get_by_role("button", name="Tutup").click()
    expect(page.locator("svg .words")).to_have_text(["pos baru Pakal"] * 2)
    other = board(windows, role="auditor")
    expect(other.locator("svg .words").first).to_be_visible()
    other.get_by_role("button", name="Catatan perubahan").click()
    expect(other.get_by_role("dialog").locator("form")).to_have_count(0)
    page.get_by_role("button", name="Catatan perubahan").click()
    page.get_by_role("button", name="Hapus pos baru Pakal").click()
    expect(page.get_by_role("dialog").locator("li")).to_have_text("Belum ada yang dicatat.")
    page.get_by_role("dialog").get_by_role("button", name="Tutup").click()
    expect(page.locator("svg .words")).to_have_count(0)


def test_a_filter_changes_figure_and_list_together(windows: Windows) -> None:
    """And a number inside a filtered board keeps the filter."""
    page = board(windows)
    whole = number(page.locator(".card.head p .link").nth(1).inner_text())
    page.get_by_role("combobox", name="Kecamatan").select_option("35.78.03")
    expect(page.locator(".card.head p .link").nth(1)).not_to_have_text(f"{whole:,}".replace(",", "."))
    leads_to(page, page.locator(".card.head p .link").nth(1))
    assert 0 < listed(page) < whole


def test_an_incident_behind_a_number_has_its_file(windows: Windows) -> None:
    page = board(windows)
    address = page.locator(".latest li a").first.get_attribute("href")
    assert address is not None
    answer = page.request.get(page.url.split("/dasbor")[0] + address)
    assert answer.ok
    assert "7" in answer.text()


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", [360, 1366])
def test_the_full_board_has_no_barrier(windows: Windows, theme: str, width: int) -> None:
    """With its maps, charts and tables filled."""
    page = board(windows, viewport={"width": width, "height": 768})
    page.wait_for_selector("figure svg .area")
    themed(page, theme)
    assert "\n".join(violations(page)) == ""
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0


def test_on_a_phone_the_header_leaves_room(windows: Windows) -> None:
    """Filters are folded away until asked for."""
    page = board(windows, viewport={"width": 360, "height": 740})
    box = page.locator("header").bounding_box()
    assert box is not None
    assert box["height"] <= 0.16 * 740
    expect(page.get_by_label("Jenis")).not_to_be_visible()
    page.get_by_role("button", name="Saring").click()
    expect(page.get_by_label("Jenis")).to_be_visible()


def test_a_view_is_kept_opened_and_taken_away_as_picture_and_pdf(windows: Windows) -> None:
    """The picture is a PNG of the whole board; the PDF comes from the server; the kept view brings the filters back."""
    page = board(windows, f"{PERIOD}&regu=malam")
    page.get_by_role("button", name="Simpan", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("button", name="PNG").click()
    png = download.value.path().read_bytes()
    assert png.startswith(b"\x89PNG")
    width, height = (int.from_bytes(png[n : n + 4]) for n in (16, 20))
    assert width >= 1300
    assert height > 2000
    assert len(png) > 100_000  # drawn, not blank
    with page.expect_download() as download:
        page.get_by_role("link", name="PDF").click()
    assert download.value.path().read_bytes().startswith(b"%PDF-")
    page.get_by_label("Simpan tampilan ini sebagai").fill("Malam")
    dialog = page.locator("dialog")
    dialog.get_by_role("button", name="Simpan", exact=True).click()
    link = dialog.get_by_role("link", name="Malam")
    expect(link).to_be_visible()
    assert "\n".join(violations(page)) == ""
    page.goto(page.url.split("/dasbor")[0] + str(link.get_attribute("href")))
    expect(page.get_by_label("Regu")).to_have_value("malam")
    page.get_by_role("button", name="Simpan", exact=True).click()
    page.get_by_role("button", name="Hapus Malam").click()
    expect(page.get_by_text("Belum ada yang disimpan.")).to_be_visible()


@pytest.mark.parametrize("theme", THEMES)
def test_the_what_if_screen_has_no_barrier(windows: Windows, theme: str) -> None:
    page = windows.staff("manager", "/dasbor?layar=jika")
    page.wait_for_selector("form.ask option[value='DK-PAKAL']", state="attached")
    themed(page, theme)
    assert "\n".join(violations(page)) == ""


def test_a_scenario_can_be_asked_stopped_and_forgotten(windows: Windows) -> None:
    """Progress is on the page; stopping is at once. What simulations answer is tested in tests/simulators."""
    page = windows.staff("manager", "/dasbor?layar=jika")
    page.wait_for_selector("form.ask option[value='DK-PAKAL']", state="attached")
    page.locator("form.ask fieldset").first.get_by_label("Pos").select_option("DK-PAKAL")
    page.get_by_label("Nama").fill("Satu motor di Pakal")
    page.get_by_role("button", name="Simulasikan").click()
    item = page.locator(".list li").filter(has_text="Satu motor di Pakal")
    expect(item.get_by_role("progressbar")).to_be_visible()
    item.get_by_role("button", name="Hentikan").click()
    expect(item).to_contain_text("dihentikan")
    item.get_by_role("button", name="Hapus").click()
    expect(item).to_have_count(0)


def test_a_dispatcher_is_not_offered_what_if(windows: Windows) -> None:
    page = board(windows, role="dispatcher")
    expect(page.get_by_role("button", name="Bagaimana jika")).to_have_count(0)
