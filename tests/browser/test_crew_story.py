"""A crew's night from the QR code to the end of duty, on an emulated phone against a real server: asleep, in a tunnel, with a
second emergency waiting. The clock of both is held by the test, so that three minutes without a line take none.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, CDPSession, Page, expect

from tests.browser.conftest import Windows
from tests.browser.street import Street, street
from tests.browser.test_access import THEMES, themed, violations

pytestmark = [pytest.mark.browser, pytest.mark.timeout(420)]

UNIT, MATE, LOST = "A05", "A06", "A09"
HERE = {"longitude": 112.7401, "latitude": -7.2870}
SCENE = {"lon": 112.7475, "lat": -7.2790, "accuracy_m": 15, "address": "Jl. Percontohan 12, belakang masjid"}
SECOND = {"lon": 112.7600, "lat": -7.2650, "accuracy_m": 15, "address": "Jl. Contoh Lain 3"}


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    with street(tmp_path_factory.mktemp("street")) as started:
        yield started


@pytest.fixture(autouse=True)
def calm(city: Street) -> None:
    """Instead of the shared server's: every test begins with nobody ringing and no unit on duty."""
    city.calm()


@pytest.fixture
def windows(chromium: Browser, city: Street) -> Iterator[Windows]:
    opened = Windows(chromium, city)
    yield opened
    opened.close()
    assert opened.complaints == []


def phone_of(windows: Windows, **options: Any) -> BrowserContext:
    return windows.context(
        viewport={"width": 360, "height": 740},
        has_touch=True,
        is_mobile=True,
        geolocation=HERE,
        permissions=["geolocation", "notifications"],
        **options,
    )


def emergency(city: Street, place: dict[str, Any]) -> str:
    """Somebody calls; the incident's number."""
    body = {"channel": "partner", "kind": "medis", "place": place, "description": "Bapak pingsan, tidak sadar"}
    return str(city.post("/api/v1/partner/submit_report", body, city.partner_token)["incident_id"])


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def on_duty(page: Page, city: Street, unit: str = UNIT) -> None:
    """Enrolled by key and started, roster and check included."""
    page.goto(f"{city.base}/awak#kode={city.unit_tokens[unit]}")
    page.get_by_label("Nama awak").fill("Bayu P., Sari W.")
    press(page, "Tambah")
    press(page, "Kendaraan baik, mulai tugas")
    page.wait_for_selector(".ready")


def until(page: Page, true: Callable[[], bool]) -> None:
    """The server has heard; its state has no event a browser test could wait for."""
    for _ in range(120):
        if true():
            return
        page.wait_for_timeout(250)
    raise AssertionError("not within half a minute")


def worker_of(context: BrowserContext) -> tuple[CDPSession, Any]:
    """A hold on the service worker that outlives the app's page."""
    page = context.new_page()
    session = context.new_cdp_session(page)
    found: list[Any] = []
    session.on("ServiceWorker.workerVersionUpdated", lambda e: found.extend(e["versions"]))
    session.send("ServiceWorker.enable")
    deadline = 60
    while not any(v["status"] == "activated" for v in found):
        page.wait_for_timeout(250)
        deadline -= 1
        assert deadline, "no service worker"
    return session, next(v for v in found if v["status"] == "activated")


def test_a_crews_night_with_a_tunnel_and_a_second_emergency(windows: Windows, city: Street) -> None:
    """Enrol, duty on, a job while asleep, accept, three minutes offline through two steps, arrival, next job, hand-over, off."""
    # enrol: the desk shows a code as QR; the phone opens what it says
    city.on_duty(UNIT, HERE["longitude"], HERE["latitude"])  # the desk's list shows units on duty
    desk = windows.console("supervisor")
    desk.locator("button.unit", has_text=UNIT).first.click()
    desk.get_by_role("button", name="Daftarkan HP").click()
    code = desk.get_by_label("Kode pendaftaran").input_value()
    desk.get_by_role("button", name="Tutup Esc").click()
    city.crew(UNIT, "end_duty", unit_id=UNIT)
    context = phone_of(windows, service_workers="allow")
    phone = windows.page(context)
    phone.goto(f"{city.base}/awak#daftar={code}")
    expect(phone.locator("header")).to_contain_text(UNIT)

    # duty on: roster, and what the look at the vehicle found
    phone.get_by_label("Nama awak").fill("Bayu P., Sari W.")
    press(phone, "Tambah")
    press(phone, "Oksigen")
    press(phone, "Mulai tugas, 1 masalah")
    phone.wait_for_selector(".ready")
    expect(phone.locator(".ready")).to_contain_text("Bayu P., Sari W.")
    city.crew(UNIT, "fixes", fixes=[fix_at(city)])
    city.on_duty(MATE, 112.7300, -7.2950)  # the plan asks for two; only so is the second emergency left without anybody

    # asleep: the app is closed; the job comes as a push, and the desk sees that the phone has it
    session, worker = worker_of(context)
    phone.close()
    number = emergency(city, SCENE)
    job = city.state_of(UNIT).assignment_id
    assert job is not None
    assert job.startswith(number)
    theirs = city.state_of(MATE).assignment_id
    for step in ("report_en_route", "report_at_scene"):
        city.crew(MATE, step, assignment_id=theirs)
    said = {
        "type": "job",
        "assignment_id": job,
        "unit_id": UNIT,
        "kind": "Medis",
        "priority": 1,
        "address": "Jl. Contoh",
    }
    session.send(
        "ServiceWorker.deliverPushMessage",
        {"origin": city.base, "registrationId": worker["registrationId"], "data": json.dumps(said)},
    )
    phone = windows.page(context)
    phone.clock.install(time=city.clock.now())
    phone.goto(f"{city.base}/awak")
    shown = phone.evaluate(
        "navigator.serviceWorker.ready.then(r => r.getNotifications()).then(all => all.map(n => [n.title, n.tag]))"
    )
    assert shown == [["P1 Medis", job]]
    expect(phone.locator(".job.new h1")).to_have_text(SCENE["address"])

    # accept with one button; the way from our own engine, turn by turn
    press(phone, "Terima & berangkat")
    until(phone, lambda: str(city.assignment(job).state) == "en_route")
    expect(phone.locator(".job.new")).to_have_count(0)
    press(phone, "Peta")
    expect(phone.locator(".way .now")).to_be_visible()
    phone.get_by_text(re.compile(r"^\d+ belokan")).click()
    expect(phone.locator(".way li").last).to_contain_text("Tiba")
    assert (phone.get_by_role("link", name="Navigasi").get_attribute("href") or "").startswith("geo:-7.279,112.7475")
    press(phone, "Rincian")

    # a tunnel: two steps a minute and a half apart, both without a line
    context.set_offline(True)
    began = city.clock.now()
    press(phone, "Tiba di lokasi")
    expect(phone.locator(".undo")).to_be_visible()
    city.pass_s(90)
    phone.clock.fast_forward("01:30")
    press(phone, "Bersama pasien")
    city.pass_s(90)
    phone.clock.fast_forward("01:30")
    expect(phone.locator("header")).to_contain_text("2 menunggu dikirim · tanpa sinyal")
    press(phone, "Lapor")
    phone.locator("input[type=file]").set_input_files({"name": "x.jpg", "mimeType": "image/jpeg", "buffer": picture()})
    expect(phone.locator("dialog")).to_contain_text("1 foto menunggu dikirim")
    press(phone, "Kembali")
    assert str(city.assignment(job).state) == "en_route", "nothing has got out of the tunnel yet"
    context.set_offline(False)
    phone.clock.run_for("00:10")
    until(phone, lambda: city.assignment(job).at_patient_at is not None)

    # the journal holds when it was pressed and when we heard of it
    lines = {kind: (at, body) for kind, at, body in city.journal("unit_at_scene", "unit_at_patient")}
    for kind, pressed in (("unit_at_scene", began), ("unit_at_patient", began + timedelta(seconds=90))):
        heard, body = lines[kind]
        device = datetime.fromisoformat(body["device_at"])
        assert abs(device - pressed) < timedelta(seconds=30), kind
        assert heard - device > timedelta(seconds=60), kind
    assert lines["unit_at_scene"][1]["by"] == "button"
    expect(phone.locator(".facts")).to_contain_text("Foto: 1 terkirim")
    duty = [body for _, _, body in city.journal("duty_started") if body["unit_id"] == UNIT][-1]
    assert (duty["crew"], duty["faults"]) == (["Bayu P.", "Sari W."], ["Oksigen"])
    assert duty["device_at"]

    # at work: how many, a sign of life, more help
    press(phone, "Lapor")
    press(phone, "Jumlah pasien")
    press(phone, "Tambah satu")
    press(phone, "Kirim jumlah")
    expect(phone.locator(".facts")).to_contain_text("Pasien: 2")
    expect(phone.locator(".safe")).to_contain_text("lapor dalam")
    phone.locator(".safe").click()
    press(phone, "Lapor")
    press(phone, "Minta bantuan")
    press(phone, "Polisi")
    press(phone, "Terancam, butuh pengamanan")
    phone.clock.run_for("00:06")
    until(phone, lambda: bool(city.journal("alarm_raised")))
    (asked,) = [body for _, _, body in city.journal("alarm_raised")]
    assert (asked["required"][-1], asked["reason"]) == ("police", f"{UNIT}: Terancam, butuh pengamanan")
    assert (
        len(city.journal("photo_kept")) == len(city.journal("crew_safe")) == len(city.journal("patients_counted")) == 1
    )

    # a second emergency: it waits in sight, the first stays on the screen
    second = emergency(city, SECOND)
    phone.reload()
    expect(phone.locator(".next")).to_contain_text(SECOND["address"])
    expect(phone.locator("h1")).to_have_text(SCENE["address"])

    # to hospital with a word ahead, hand-over, and the next job rings
    press(phone, "Bawa ke rumah sakit")
    expect(phone.locator("dialog")).to_contain_text("disarankan")
    press(phone, "Tidak sadar")
    press(phone, "Berangkat ke RS")
    phone.clock.run_for("00:06")
    press(phone, "Tiba di rumah sakit")
    phone.clock.run_for("00:06")
    press(phone, "Selesai, siap lagi")
    phone.clock.run_for("00:06")
    expect(phone.locator(".job.new h1")).to_have_text(SECOND["address"])
    (moved,) = [body for _, _, body in city.journal("unit_transporting")]
    assert moved["notice"] == "2 pasien, Tidak sadar"
    assert moved["why"] == "crew"
    assert city.state_of(UNIT).assignment_id.startswith(second)

    # the second is declined with a reason, and the duty ends
    press(phone, "Tolak")
    press(phone, "Awak tidak lengkap")
    phone.wait_for_selector(".ready")
    press(phone, "Selesai tugas")
    phone.clock.run_for("00:06")
    expect(phone.get_by_role("heading", name="Mulai tugas")).to_be_visible()
    assert str(city.state_of(UNIT).state) == "off_duty"


def fix_at(city: Street) -> dict[str, Any]:
    at = city.clock.now().isoformat()
    return {"lon": HERE["longitude"], "lat": HERE["latitude"], "fixed_at": at, "accuracy_m": 8.0}


def picture() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (2400, 1800), (120, 60, 40)).save(out, "JPEG")
    return out.getvalue()


def test_without_web_sockets_the_job_comes_by_long_poll(windows: Windows, city: Street) -> None:
    """A network that lets no web socket through: the phone says that it is connected, hears its job and answers it."""
    page = windows.page(phone_of(windows))
    page.add_init_script(
        """window.WebSocket = class { static OPEN = 1; readyState = 3;
             constructor() { setTimeout(() => this.onclose?.({}), 0); } close() {} };"""
    )
    on_duty(page, city)
    city.crew(UNIT, "fixes", fixes=[fix_at(city)])
    expect(page.locator("header")).to_contain_text("Tersambung")
    emergency(city, SCENE)
    press(page, "Terima & berangkat")
    expect(page.get_by_role("button", name="Tiba di lokasi")).to_be_visible()
    job = city.state_of(UNIT).assignment_id
    until(page, lambda: str(city.assignment(job).state) == "en_route")


def test_a_phone_whose_clock_is_two_hours_ahead_is_mended_and_loses_no_step(windows: Windows, city: Street) -> None:
    """Pressed without ever having heard the centre: refused, mended, sent again; the phone says what was wrong."""
    context = phone_of(windows)
    page = windows.page(context)
    on_duty(page, city)
    city.crew(UNIT, "fixes", fixes=[fix_at(city)])
    emergency(city, SCENE)
    page.wait_for_selector(".job.new")
    job = city.state_of(UNIT).assignment_id
    page.close()
    page = windows.page(context)
    page.clock.install(time=city.clock.now() + timedelta(hours=2))
    page.route("**/api/**", lambda route: route.abort())
    page.route_web_socket(re.compile("/unit/feed"), lambda line: line.close())
    page.goto(f"{city.base}/awak")
    press(page, "Terima & berangkat")
    expect(page.get_by_role("button", name="Tiba di lokasi")).to_be_visible()
    page.unroute("**/api/**")
    page.clock.run_for("00:40")
    expect(page.get_by_role("alert")).to_contain_text("Jam HP ini maju 2 jam")
    (line,) = [(at, body) for _, at, body in city.journal("unit_en_route") if body["assignment_id"] == job]
    assert abs(line[0] - datetime.fromisoformat(line[1]["device_at"])) < timedelta(seconds=90)


def test_a_key_in_use_elsewhere_and_a_revoked_one_are_said_in_plain_words(windows: Windows, city: Street) -> None:
    """The phone that is thrown out does not fight for the line; a revoked one asks for a new code."""
    first, second = windows.page(phone_of(windows)), windows.page(phone_of(windows))
    on_duty(first, city, LOST)
    second.goto(f"{city.base}/awak#kode={city.unit_tokens[LOST]}")
    second.wait_for_selector(".ready")
    expect(first.get_by_role("alert")).to_contain_text("HP lain")
    press(first, "Pakai di sini")
    expect(second.get_by_role("alert")).to_contain_text("HP lain")
    expect(first.locator("header")).to_contain_text("Tersambung")
    city.do(city.server.services.accounts.revoke_tokens(LOST, "system:test"))  # type: ignore[union-attr]
    city.server.services.live.hub.wake_unit(LOST)  # type: ignore[union-attr]
    expect(first.locator("main")).to_contain_text("Minta kode baru")


@pytest.mark.parametrize("theme", THEMES)
def test_no_screen_of_the_phone_has_a_barrier(windows: Windows, city: Street, theme: str) -> None:
    """Duty, ready, job, map with turns, every sheet, hospital: axe finds nothing, by night and by day."""
    page = windows.page(phone_of(windows))
    page.goto(f"{city.base}/awak#kode={city.unit_tokens[UNIT]}")
    page.get_by_label("Nama awak").fill("Bayu P.")
    press(page, "Tambah")
    press(page, "Oksigen")
    themed(page, theme)
    assert "\n".join(violations(page)) == "", "duty"
    press(page, "Mulai tugas, 1 masalah")
    page.wait_for_selector(".ready")
    assert "\n".join(violations(page)) == "", "ready"
    press(page, "Pengaturan")
    assert "\n".join(violations(page)) == "", "settings"
    press(page, "Kembali")
    city.crew(UNIT, "fixes", fixes=[fix_at(city)])
    emergency(city, SCENE)
    page.wait_for_selector(".job.new")
    assert "\n".join(violations(page)) == "", "job"
    press(page, "Terima & berangkat")
    press(page, "Peta")
    page.get_by_text(re.compile(r"^\d+ belokan")).click()
    page.wait_for_selector(".map canvas.overlay")
    assert "\n".join(violations(page)) == "", "map and turns"
    press(page, "Rincian")
    press(page, "Tiba di lokasi")
    press(page, "Bersama pasien")
    page.wait_for_selector(".safe")
    press(page, "Lapor")
    assert "\n".join(violations(page)) == "", "report"
    for name in ("Minta bantuan", "Jumlah pasien", "Tulis catatan"):
        press(page, name)
        assert "\n".join(violations(page)) == "", name
        press(page, "Kembali")
    press(page, "Kembali")
    press(page, "Bawa ke rumah sakit")
    page.wait_for_selector("dialog input[type=radio]")
    assert "\n".join(violations(page)) == "", "hospital"


def test_letters_twice_as_large_lose_no_button_and_nothing_sideways(windows: Windows, city: Street) -> None:
    """At 200 % on 360 px everything is reached by scrolling down, and the one button stays in sight."""
    page = windows.page(phone_of(windows))
    page.goto(f"{city.base}/awak#kode={city.unit_tokens[UNIT]}")
    page.wait_for_selector("main .main")
    press(page, "Pengaturan")
    press(page, "200 %")
    press(page, "Kembali")

    def sound(where: str) -> None:
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), where
        for text, left, right, height in page.locator("button:visible, a.btn:visible").evaluate_all(
            "all => all.map(b => [b.innerText, ...(r => [r.left, r.right, r.height])(b.getBoundingClientRect())])"
        ):
            assert 0 <= left < right <= 360, (where, text)
            assert height >= 48, (where, text)

    sound("duty")
    press(page, "Kendaraan baik, mulai tugas")
    page.wait_for_selector(".ready")
    sound("ready")
    city.crew(UNIT, "fixes", fixes=[fix_at(city)])
    emergency(city, SCENE)
    page.wait_for_selector(".job.new")
    sound("job")
    expect(page.get_by_role("button", name="Terima & berangkat")).to_be_in_viewport()
    press(page, "Terima & berangkat")
    press(page, "Tiba di lokasi")
    press(page, "Bersama pasien")
    page.wait_for_selector(".safe")
    sound("at the scene")
    press(page, "Bawa ke rumah sakit")
    page.wait_for_selector("dialog input[type=radio]")
    sound("hospital")
    expect(page.get_by_role("button", name="Berangkat ke RS")).to_be_in_viewport()


def test_a_closed_road_or_a_wrong_turn_brings_a_new_way(windows: Windows, city: Street) -> None:
    """The way is asked for again when the centre closes a road, and when the phone is seen beside it."""
    context = phone_of(windows)
    page = windows.page(context)
    asked: list[str] = []
    page.on("request", lambda r: asked.append(r.url) if "/unit/route" in r.url else None)
    on_duty(page, city)
    city.crew(UNIT, "fixes", fixes=[fix_at(city)])
    emergency(city, SCENE)
    press(page, "Terima & berangkat")
    until(page, lambda: len(asked) == 1)
    place = {"lon": 112.7440, "lat": -7.2830, "accuracy_m": 10}
    city.command("restrict_road", place=place, reason="Banjir selutut", radius_m=150)
    until(page, lambda: len(asked) == 2)
    for n in range(2):  # one fix beside the way may be a reflection
        context.set_geolocation({"longitude": 112.7300 + n * 1e-4, "latitude": -7.2990, "accuracy": 5})
        page.wait_for_timeout(1500)
    until(page, lambda: len(asked) >= 3)
    assert "from_lon=112.73" in asked[-1]


def test_the_district_is_there_without_a_line(windows: Windows, city: Street) -> None:
    """Tiles that were never looked at are fetched ahead, the app opens without a line, and after eight hours of that a step still
    reaches the centre.
    """
    context = phone_of(windows, service_workers="allow")
    page = windows.page(context)
    on_duty(page, city)
    keys = "caches.open('awak-district').then(c => c.keys()).then(all => all.map(r => new URL(r.url).pathname))"
    until(page, lambda: any(path.startswith("/tiles/15/") for path in page.evaluate(keys)))
    held = page.evaluate(keys)
    assert len(held) <= 402
    context.set_offline(True)
    deep = next(path for path in held if path.startswith("/tiles/15/"))
    assert page.evaluate(f"fetch('{deep}').then(r => r.status)") == 200
    page.clock.install(time=city.clock.now())
    page.reload()
    expect(page.locator(".ready")).to_contain_text("Bayu P.")
    city.pass_s(8 * 3600)
    page.clock.fast_forward("08:00:00")
    page.reload()
    press(page, "Selesai tugas")
    page.clock.run_for("00:10")
    expect(page.locator("header")).to_contain_text("1 menunggu dikirim")
    assert str(city.state_of(UNIT).state) == "available"
    context.set_offline(False)
    page.clock.run_for("00:30")
    until(page, lambda: str(city.state_of(UNIT).state) == "off_duty")


def test_the_app_can_be_installed(windows: Windows, city: Street) -> None:
    """What Chromium asks of an app before it offers the home screen: manifest, icon, service worker."""
    context = phone_of(windows, service_workers="allow")
    page = windows.page(context)
    on_duty(page, city)
    worker_of(context)
    session = context.new_cdp_session(page)
    errors = session.send("Page.getInstallabilityErrors")["installabilityErrors"]
    assert [e["errorId"] for e in errors if e["errorId"] != "in-incognito"] == []  # every test window is one
