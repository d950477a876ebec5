"""The crew's phone: enrol, duty, job, a tunnel, arrival, and back."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Windows
from tests.browser.test_console import cancel, new_incident, order
from tests.browser.town import Town

pytestmark = [pytest.mark.browser, pytest.mark.timeout(420)]

HERE = {"longitude": 112.7401, "latitude": -7.2870}


def enrolled(windows: Windows, town: Town, unit: str) -> Page:
    page = windows.phone(geolocation=HERE, permissions=["geolocation"])
    page.goto(f"{town.base}/awak#kode={town.unit_tokens[unit]}")
    page.wait_for_selector("main :is(.main, .side)")
    assert "kode" not in page.url, "the secret does not stay in the address bar"
    if page.get_by_role("button", name="mulai tugas").count():
        page.get_by_label("Nama awak").fill("Bayu P., Sari W.")
        page.get_by_role("button", name="mulai tugas").click()
    page.wait_for_selector(".ready")
    return page


def test_a_job_is_accepted_driven_through_a_tunnel_and_finished(windows: Windows, town: Town) -> None:
    """Two steps pressed without a line reach the server in order, with the phone's own times."""
    phone, desk = enrolled(windows, town, "A05"), windows.console()
    number = new_incident(desk)
    if not desk.locator(".units .code", has_text="A05").count():
        order(desk, f"kirim A05 ke {number}")
        desk.wait_for_timeout(300)
        if desk.locator("dialog[open] .preset").count():
            desk.keyboard.press("1")
    phone.get_by_role("button", name="Terima & berangkat").click()
    expect(desk.locator(".units li", has_text="A05")).to_contain_text("Menuju lokasi")

    phone.context.set_offline(True)
    phone.get_by_role("button", name="Tiba di lokasi").click()
    expect(phone.locator(".undo")).to_be_visible()
    phone.get_by_role("button", name="Bersama pasien").click()
    expect(phone.locator("header")).to_contain_text("menunggu dikirim")
    expect(desk.locator(".units li", has_text="A05")).to_contain_text("Menuju lokasi")

    phone.context.set_offline(False)
    expect(desk.locator(".units li", has_text="A05")).to_contain_text("Di lokasi")
    expect(desk.locator(".lines")).to_contain_text("A05 tiba")
    phone.get_by_role("button", name="Bawa ke rumah sakit").click()
    phone.get_by_role("button", name="Berangkat ke RS").click()
    phone.get_by_role("button", name="Tiba di rumah sakit").click()
    phone.get_by_role("button", name="Selesai, siap lagi").click()
    expect(phone.locator(".ready")).to_be_visible()
    expect(desk.locator(".lines")).to_contain_text("A05 selesai")  # the button waits its five seconds first
    order(desk, f"tutup {number}")
    desk.wait_for_selector("dialog[open] .preset")
    desk.keyboard.press("1")
    expect(desk.locator(".queue .item", has_text=number)).to_have_count(0)


def test_a_slip_of_the_glove_is_taken_back(windows: Windows, town: Town) -> None:
    """For five seconds a pressed step can be undone and is not sent."""
    phone = enrolled(windows, town, "A06")
    phone.get_by_role("button", name="Selesai tugas").click()
    phone.locator(".undo").click()
    expect(phone.locator(".ready .huge")).to_have_text("Menunggu tugas")


def test_a_job_taken_away_is_said_in_plain_words(windows: Windows, town: Town) -> None:
    """When the centre stands the unit down, the phone says so and does not pretend."""
    phone, desk = enrolled(windows, town, "A07"), windows.console()
    number = new_incident(desk)
    if not desk.locator(".units .code", has_text="A07").count():
        order(desk, f"kirim A07 ke {number}")
        desk.wait_for_timeout(300)
        if desk.locator("dialog[open] .preset").count():
            desk.keyboard.press("1")
    phone.wait_for_selector(".job.new")
    cancel(desk, number)
    expect(phone.locator(".notice")).to_contain_text("dibatalkan pusat")


def test_a_foreign_code_is_refused_with_a_way_out(windows: Windows, town: Town) -> None:
    """An invalid device code asks for a new one instead of waiting for ever."""
    page = windows.phone()
    page.goto(f"{town.base}/awak#kode=bukan-kode")
    expect(page.locator("main")).to_contain_text("Minta kode baru")


def test_a_scanned_code_makes_the_phone_a_units_once(windows: Windows, town: Town) -> None:
    """The supervisor's one-time code opens the app ready for duty; the same code on another phone is refused in words."""
    unit = "A08"
    town.on_duty(unit, HERE["longitude"], HERE["latitude"])
    desk = windows.console("supervisor")
    desk.locator("button.unit", has_text=unit).first.click()
    desk.get_by_role("button", name="Daftarkan HP").click()
    code = desk.get_by_label("Kode pendaftaran").input_value()
    phone = windows.phone(geolocation=HERE, permissions=["geolocation"])
    phone.goto(f"{town.base}/awak#daftar={code}")
    expect(phone.locator("header")).to_contain_text(unit)
    assert "daftar" not in phone.url, "the secret does not stay in the address bar"
    second = windows.phone()
    second.goto(f"{town.base}/awak#daftar={code}")
    expect(second.get_by_role("alert")).to_be_visible()
    expect(second.locator("main")).to_contain_text("Daftarkan perangkat ini")


def test_a_lost_phone_is_revoked_at_the_desk_without_the_units_other_one(windows: Windows, town: Town) -> None:
    """The supervisor sees both phones and shuts out one; the other goes on."""
    unit = "A10"
    town.on_duty(unit, HERE["longitude"], HERE["latitude"])
    desk = windows.console("supervisor")
    phones = []
    for _ in range(2):
        desk.locator("button.unit", has_text=unit).first.click()
        desk.get_by_role("button", name="Daftarkan HP").click()
        code = desk.get_by_label("Kode pendaftaran").input_value()
        phone = windows.phone(geolocation=HERE, permissions=["geolocation"])
        phone.goto(f"{town.base}/awak#daftar={code}")
        phone.wait_for_selector(".ready")
        phones.append(phone)
        desk.get_by_role("button", name="Tutup Esc").click()
    desk.get_by_role("button", name="Daftarkan HP").click()
    expect(desk.locator("dialog")).to_contain_text("sudah punya dua HP")
    expect(desk.locator("dialog li")).to_have_count(2)
    desk.locator("dialog li .btn").first.click()  # the older one
    expect(desk.locator("dialog li")).to_have_count(1)
    expect(phones[0].locator("main")).to_contain_text("Minta kode baru")
    expect(phones[1].locator(".ready")).to_be_visible()
