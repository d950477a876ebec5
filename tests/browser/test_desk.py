"""Many operators and one operator's haste: undo under way, claims, lost rights, other scripts, long histories, alarms."""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Page, Route, WebSocketRoute, expect

from tests.browser.bench_console import Crowd
from tests.browser.conftest import Windows
from tests.browser.test_access import violations
from tests.browser.test_console import NEAR, cancel, crews, new_incident, order  # noqa: F401 - `crews` is a fixture
from tests.browser.test_shift import ANYBODY, give_reason, sent_unit
from tests.browser.town import Town

pytestmark = [pytest.mark.browser, pytest.mark.timeout(420)]

TYPING_MS = 70
"""Between two keys of somebody who types while listening: 170 characters a minute."""
CALL_LIMIT_S = 40
PIXEL = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x02\x00\x00\x00\x90wS\xde\x00\x00\x00\x0c"
    b"IDATx\x9cc\xf8\xcf\xc0\x00\x00\x03\x01\x01\x00\xc9\xfe\x92\xef\x00\x00\x00\x00IEND\xaeB`\x82"
)


def free_unit(page: Page) -> str:
    """The first candidate that is free and not the recommended one."""
    row = page.locator(".candidates tbody tr:not(.busy):not(.chosen)").first
    return row.locator("th .code").inner_text()


# --- one operator


def test_a_call_is_taken_with_the_keyboard_alone_in_under_forty_seconds(
    windows: Windows,
    town: Town,
    crews: None,  # noqa: F811
    record_property: Any,
) -> None:
    """From the ring to a unit on its way, typed at a human pace."""
    page = windows.console()
    town.ring()
    page.wait_for_selector(".call.ringing")
    started = time.monotonic()
    page.keyboard.press("F2")
    expect(page.locator("#f-place")).to_be_focused()
    page.keyboard.type("raya darmo", delay=TYPING_MS)
    page.wait_for_selector("#f-hits li")
    page.keyboard.press("Enter")
    page.keyboard.type("bapak sesak napas, bibirnya biru, umur enam puluh", delay=TYPING_MS)
    expect(page.locator("#f-kind")).not_to_have_value("")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(ANYBODY)
    took_s = time.monotonic() - started
    record_property("call_taking_s", round(took_s, 1))
    print(f"call taken and unit alerted {took_s:.1f} s after F2")
    assert took_s < CALL_LIMIT_S


def test_undo_pressed_before_the_answer_takes_back_that_and_not_the_thing_before(
    windows: Windows,
    crews: None,  # noqa: F811
) -> None:
    """The server is slow; `u` waits for it and leaves the earlier unit where it is."""
    page = windows.console()
    number = new_incident(page)
    page.wait_for_selector(".candidates tbody tr:not(.busy):not(.chosen)")
    first = free_unit(page)
    order(page, f"kirim {first} ke {number}")
    give_reason(page)
    expect(page.locator(".toast", has_text=f"{first} dikirim")).to_be_visible()
    expect(page.locator(".units")).to_contain_text(first)
    second = free_unit(page)
    assert second != first
    held: list[Route] = []
    page.route("**/api/v1/commands/assign_unit", lambda route: held.append(route))
    order(page, f"kirim {second} ke {number}")
    give_reason(page)
    page.keyboard.press("u")
    expect(page.locator(".toast", has_text="Diurungkan begitu server menjawab")).to_be_visible()
    for route in held:
        route.continue_()
    expect(page.locator(".lines")).to_contain_text(f"{second} ditarik")
    expect(page.locator(".units")).not_to_contain_text(second)
    expect(page.locator(".units")).to_contain_text(first)


def diverted(page: Page) -> tuple[str, str, str]:
    """Two incidents, and a unit of the first turned round to the second."""
    first = new_incident(page)
    sent_unit(page)
    there = page.locator(ANYBODY).all_inner_texts()
    second = new_incident(page, "rumah sakit haji")
    sent_unit(page)
    unit = next(u for u in there if u not in page.locator(ANYBODY).all_inner_texts())
    order(page, f"kirim {unit} ke {second}")
    give_reason(page)
    expect(page.locator(".toast", has_text=f"{unit} dikirim ke {second}")).to_be_visible()
    expect(page.locator(".units")).to_contain_text(unit)
    return first, second, unit


def test_a_diverted_unit_goes_back_when_undone(windows: Windows, crews: None) -> None:  # noqa: F811
    """One key: it is on its former job again, and not on the second."""
    page = windows.console()
    first, _, unit = diverted(page)
    page.keyboard.press("u")
    expect(page.locator(".toast", has_text=f"{unit} kembali ke {first}")).to_be_visible()
    expect(page.locator(".units")).not_to_contain_text(unit)
    page.locator(".queue .item", has_text=first).click()
    expect(page.locator(".units")).to_contain_text(unit)


def test_a_diverted_unit_that_cannot_go_back_is_said_so(windows: Windows, town: Town, crews: None) -> None:  # noqa: F811
    """Its former incident has ended meanwhile: it stays, with the reason in words."""
    page = windows.console()
    first, second, unit = diverted(page)
    town.command("cancel_incident", incident_id=town.incident(first), reason="pelapor membatalkan")
    expect(page.locator(".queue .item", has_text=first)).to_have_count(0)
    page.keyboard.press("u")
    expect(page.locator(".toast.bad")).to_contain_text(f"{unit} tetap ke {second}: {first} sudah selesai")
    expect(page.locator(".units")).to_contain_text(unit)


def test_words_of_every_script_stand_as_they_were_said(windows: Windows, crews: None) -> None:  # noqa: F811
    """Right-to-left, emoji and joined characters keep their own direction and push nothing off the screen."""
    page = windows.console()
    page.keyboard.press("F4")
    page.wait_for_selector("#f-place")
    page.keyboard.type("raya darmo")
    page.wait_for_selector("#f-hits li")
    page.keyboard.press("Enter")
    page.keyboard.insert_text("אבא לא נושם 🫁 bapak sesak napas 👨‍👩‍👧")
    expect(page.locator("#f-kind")).not_to_have_value("")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".detail .head")
    said = page.locator(".reports li p").first
    expect(said).to_have_text("אבא לא נושם 🫁 bapak sesak napas 👨‍👩‍👧")
    assert said.evaluate("p => getComputedStyle(p).direction") == "rtl"
    page.locator("#note").fill("ibu 🤰 menunggu di gapura مسجد")
    page.locator("#note").press("Enter")
    expect(page.locator(".lines")).to_contain_text("ibu 🤰 menunggu di gapura مسجد")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert violations(page) == []


# --- many operators


def test_a_call_is_taken_over_and_nothing_written_is_lost(windows: Windows, town: Town) -> None:
    """The colleague waits for the claim, the supervisor does not; who wrote first keeps the words as a note."""
    taker, colleague = windows.console("call_taker"), windows.console("dispatcher")
    town.ring()
    taker.wait_for_selector(".call.ringing")
    taker.keyboard.press("F2")
    taker.wait_for_selector("#f-place")
    taker.fill("#f-text", "atap runtuh, dua orang di bawahnya")
    colleague.locator(".call.answered").click()
    expect(colleague.locator(".toast.bad")).to_contain_text("Dipegang call_taker sampai")
    colleague.context.close()

    boss = windows.console("supervisor")
    boss.locator(".call.answered").click()
    expect(boss.locator(".toast")).to_contain_text("Diambil alih dari call_taker")
    expect(taker.get_by_role("alert")).to_contain_text("supervisor mengambil alih telepon ini")
    expect(taker.locator("#f-text")).to_have_value("atap runtuh, dua orang di bawahnya")
    assert violations(taker) == []

    boss.wait_for_selector("#f-place")
    boss.keyboard.type("raya darmo")
    boss.wait_for_selector("#f-hits li")
    boss.keyboard.press("Enter")
    boss.keyboard.type("bangunan ambruk")
    expect(boss.locator("#f-kind")).not_to_have_value("")
    boss.keyboard.press("Control+Enter")
    boss.wait_for_selector(".detail .head")
    both = taker.get_by_role("alert")
    expect(both).to_contain_text("sudah dicatat petugas lain")
    expect(both).to_contain_text("dua orang di bawahnya")
    expect(both).to_contain_text("bangunan ambruk")
    taker.get_by_role("button", name="Simpan isian saya sebagai catatan").click()
    expect(boss.locator(".lines")).to_contain_text("dua orang di bawahnya")


@pytest.fixture
def disabled(town: Town) -> Iterator[Any]:
    """Takes the dispatcher's account away; it is given back whatever happens."""
    admin = town.staff("admin")

    def change(off: bool) -> None:
        url = f"{town.base}/api/v1/accounts/dispatcher"
        body = json.dumps({"disabled": off}).encode()
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method="PATCH")
        admin.open(request, timeout=30).close()

    yield change
    change(False)


def test_rights_taken_away_close_the_screen_and_keep_the_draft(windows: Windows, town: Town, disabled: Any) -> None:
    """The city disappears from the screen within seconds, in words; signed in again, the half-written report is there."""
    page = windows.console("dispatcher")
    page.keyboard.press("F4")
    page.wait_for_selector("#f-text")
    page.fill("#f-text", "pohon tumbang menimpa mobil")
    disabled(True)
    expect(page.locator("body")).to_contain_text("Sesi berakhir")
    expect(page.locator(".queue")).to_have_count(0)
    disabled(False)
    page.fill("input[name=username]", "dispatcher")
    page.fill("input[name=password]", town.password)
    page.press("input[name=password]", "Enter")
    page.wait_for_selector(".queue .list :is(.item, .empty)")
    page.keyboard.press("F4")
    expect(page.locator("#f-text")).to_have_value("pohon tumbang menimpa mobil")


def test_ten_thousand_incidents_are_searched_without_hiding_any(windows: Windows) -> None:
    """The list says that there is more, and scrolling to the end of it reaches the oldest."""
    now = datetime.now(UTC)
    rows = [
        {
            "incident_id": f"26{1 + n // 1000:02d}01-{n % 1000:04d}", "kind": "medis", "priority": 1, "state": "closed",
            "place": {"lon": 112.74, "lat": -7.29, "address": "Jalan Percobaan yang namanya enam puluh huruf lebih panjang sekali"},
            "zone": None, "first_ring_at": (now - timedelta(minutes=10_000 - n)).isoformat(),
            "first_capable_at_scene_at": None, "ended_at": None, "outcome": "Selesai",
        }
        for n in range(10_000)
    ][::-1]  # fmt: skip

    def page_of(route: Route) -> None:
        before = re.search(r"before=([^&]+)", route.request.url)
        at = next((n + 1 for n, r in enumerate(rows) if before and r["incident_id"] == before[1]), 0)
        route.fulfill(json={"incidents": rows[at : at + 100]})

    page = windows.console()
    page.route("**/api/v1/history/incidents?**", page_of)
    page.keyboard.press("F9")
    page.wait_for_selector(".results .hit")
    expect(page.locator(".count")).to_contain_text("masih ada yang lebih lama")
    page.evaluate(
        """() => {
          const port = document.querySelector('.results .port');
          window.__down = setInterval(() => (port.scrollTop = port.scrollHeight), 20);
        }"""
    )
    expect(page.locator(".count")).to_contain_text("Semua 10.000 kejadian", timeout=200_000)
    page.evaluate("clearInterval(window.__down)")
    expect(page.locator(".results .hit").last).to_contain_text("0000")
    assert page.locator(".results .hit").count() < 60
    assert violations(page) == []


# --- attention

LISTEN = """
window.__heard = [];
window.AudioContext = class {
  state = 'running';
  currentTime = 0;
  destination = {};
  resume() {}
  createOscillator() {
    return { frequency: { value: 0 }, connect: (to) => to, start() { window.__heard.push(this.frequency.value); }, stop() {} };
  }
  createGain() {
    const gain = { setValueAtTime() {}, exponentialRampToValueAtTime() {}, linearRampToValueAtTime: (v) => (window.__loud = v) };
    return { gain, connect: (to) => to };
  }
};
"""


def heard(page: Page, *tones: int) -> None:
    """Wait until these tones were played, one after the other."""
    page.wait_for_function("tones => window.__heard.join().includes(tones.join())", arg=list(tones))


def test_a_ring_sounds_until_acknowledged_and_again_when_nobody_answers(windows: Windows, town: Town) -> None:
    """Two tones for a call, repeated; F8 hushes it; unanswered it sounds otherwise; the title counts."""
    context = windows.context()
    context.add_init_script(LISTEN)
    page = windows.page(context)
    page.goto(town.base + "/konsol")
    page.fill("input[name=username]", "dispatcher")
    page.fill("input[name=password]", town.password)
    page.press("input[name=password]", "Enter")
    page.wait_for_selector(".queue .list :is(.item, .empty)")
    town.ring()
    page.wait_for_selector(".call.ringing")
    expect(page).to_have_title(re.compile(r"^\(1\)"))
    heard(page, 660, 880, 660, 880)
    page.keyboard.press("F8")
    heard(page, 880, 660, 880, 660)
    expect(page.locator(".call.over")).to_contain_text("Berdering")
    page.keyboard.press("F8")
    expect(page).to_have_title(re.compile(r"^Siaga"))
    quiet = page.get_by_label("Volume suara")
    quiet.fill("0.2")
    page.reload()
    page.wait_for_selector(".queue .list :is(.item, .empty)")
    expect(page.get_by_label("Volume suara")).to_have_value("0.2")
    page.keyboard.press("Shift")
    heard(page, 880, 660)
    assert page.evaluate("window.__loud") == pytest.approx(0.35 * 0.2)


def stand_in(page: Page, crowd: Crowd) -> None:
    def play(line: WebSocketRoute) -> None:
        line.send(crowd.snapshot())

    page.route_web_socket(re.compile("/console/stream"), play)


def test_a_crew_that_falls_silent_and_a_phone_that_does_not_answer_are_alarms(windows: Windows, town: Town) -> None:
    """Each with words, a shape, a sound of its own and one key to the incident; a reload shows the same."""
    crowd = Crowd(12, 6)
    now = datetime.now(UTC).isoformat()
    crowd.assignments[0].update(state="at_scene", at_scene_at=now, silent_at=now)
    crowd.assignments[1].update(state="alerted", voice_task_at=now, alerts=2)
    crowd.units[2].update(faults=["wiper mati", "ban gundul"])
    context = windows.context()
    context.add_init_script(LISTEN)
    page = windows.page(context)
    stand_in(page, crowd)
    page.goto(town.base + "/konsol")
    page.fill("input[name=username]", "dispatcher")
    page.fill("input[name=password]", town.password)
    page.press("input[name=password]", "Enter")
    alarms = page.get_by_role("list", name="Perhatian")
    expect(alarms.get_by_role("listitem").nth(0)).to_contain_text("U0000 tidak memberi kabar dari lokasi")
    expect(alarms.get_by_role("listitem").nth(1)).to_contain_text("U0001 tidak menjawab: panggil lewat HT")
    expect(page.locator(".board .unit", has_text="U0000")).to_contain_text("diam")
    expect(page.locator(".board .unit", has_text="U0002")).to_contain_text("wiper mati")
    heard(page, 988, 740, 494)
    assert violations(page) == []
    alarms.get_by_role("button", name="U0000").first.press("Enter")
    expect(page.locator(".detail .head")).to_contain_text("0001")
    expect(page.locator(".units")).to_contain_text("tidak memberi kabar")
    expect(page.get_by_role("button", name="Awak aman")).to_be_visible()
    expect(alarms).not_to_contain_text("U0000")
    heard(page, 330, 330)
    page.keyboard.press("F8")
    expect(alarms).to_have_count(0)
    page.reload()
    expect(alarms).to_contain_text("U0000 tidak memberi kabar dari lokasi")


def test_what_crews_report_from_the_scene_stands_in_list_timeline_and_incident(
    windows: Windows,
    town: Town,
    crews: None,  # noqa: F811
) -> None:
    """Patients and a picture of a crew, the faults of a vehicle that comes on duty."""
    page = windows.console()
    number = new_incident(page)
    unit = sent_unit(page)
    page.keyboard.press("Escape")
    job = town.job(unit)
    town.crew(unit, "report_at_scene", assignment_id=job)
    town.crew(unit, "count_patients", assignment_id=job, patients=3)
    town.photo(unit, job, PIXEL)
    fresh = "A09"
    town.crew(fresh, "start_duty", unit_id=fresh, crew=["Dewi K."], faults=["wiper mati"])
    news = page.get_by_role("list", name="Perhatian")
    expect(news).to_contain_text(f"{fresh} mulai tugas dengan kerusakan: wiper mati")
    expect(news).to_contain_text(f"{number}: foto dari {unit}")
    expect(news).to_contain_text(f"{number}: 3 korban, kata {unit}")
    expect(page.locator(".board .unit", has_text=fresh)).to_contain_text("wiper mati")
    news.get_by_role("button", name=f"{number}: foto dari {unit}").first.click()
    expect(page.locator(".scene")).to_contain_text("3 korban")
    picture = page.get_by_role("img", name=f"Foto dari {unit}")
    expect(picture).to_be_visible()
    page.wait_for_function("document.querySelector('.photos img').naturalWidth > 0")
    expect(page.locator(".lines")).to_contain_text(f"{unit} menghitung 3 korban")
    expect(page.locator(".lines")).to_contain_text(f"Foto dari {unit}")
    assert violations(page) == []
    town.crew(unit, "report_clear", assignment_id=job)
    town.crew(fresh, "end_duty", unit_id=fresh)


def test_a_numbers_record_is_shown_and_stops_nobody(windows: Windows, town: Town, crews: None) -> None:  # noqa: F811
    """Two pranks from a number; its third call shows the estimate with its reasons and is sent as quickly as any."""
    for _ in range(2):
        report_id = town.ring("+6280000000888")
        town.command("answer_report", report_id=report_id)
        town.command("dismiss_report", report_id=report_id, reason="Iseng")
    page = windows.console()
    town.ring("+6280000000888")
    page.wait_for_selector(".call.ringing")
    page.keyboard.press("F2")
    record = page.get_by_role("note")
    expect(record).to_contain_text("Perkiraan dari catatan nomor ini: mungkin iseng ±78 %")
    expect(record).to_contain_text("2× dinyatakan iseng (90 hari)")
    expect(page.get_by_label("Telepon diam")).to_be_visible()  # nobody has said a word for a quarter of a minute
    assert violations(page) == []
    page.keyboard.type("raya darmo")
    page.wait_for_selector("#f-hits li")
    page.keyboard.press("Enter")
    page.keyboard.type("bapak sesak napas")
    expect(page.locator("#f-kind")).not_to_have_value("")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(ANYBODY)


def test_every_button_of_an_incident_is_reached_without_a_mouse(windows: Windows, crews: None) -> None:  # noqa: F811
    """Tab alone visits each button, list and field of the incident, visibly focused."""
    page = windows.console()
    number = new_incident(page)
    page.wait_for_selector(".candidates")
    page.locator(".queue .item", has_text=number).focus()
    wanted = page.locator(".detail :is(button, select, input):enabled:visible").count()
    reached: set[int] = set()
    for _ in range(200):
        page.keyboard.press("Tab")
        at = page.evaluate(
            """() => {
              const all = [...document.querySelectorAll('.detail :is(button, select, input):enabled')];
              const on = document.activeElement;
              return [all.indexOf(on), getComputedStyle(on).outlineStyle, getComputedStyle(on).boxShadow];
            }"""
        )
        if at[0] >= 0:
            reached.add(at[0])
            assert at[1] != "none" or at[2] != "none", "focus is seen"
        if len(reached) >= wanted:
            break
    assert len(reached) >= wanted


def test_the_command_line_does_what_an_operator_says(windows: Windows, town: Town, crews: None) -> None:  # noqa: F811
    """`status`, `cari`, `geser`, `catat`, `lihat` and a mistake, without a mouse."""
    page = windows.console()
    number = new_incident(page)
    page.keyboard.press("Escape")
    order(page, "cari darmo")
    expect(page.locator("#queue-filter")).to_have_value("darmo")
    expect(page.locator(".queue .item")).to_have_count(1)
    page.keyboard.press("Escape")
    order(page, f"catat {number} gerbang selatan tertutup")
    order(page, f"lihat {number}")
    expect(page.locator(".lines")).to_contain_text("gerbang selatan tertutup")
    idle = "A10"
    town.on_duty(idle, *NEAR["A04"])
    order(page, f"status {idle} rusak ban kempes")
    expect(page.locator(".toast", has_text=f"{idle} tidak siap")).to_be_visible()
    order(page, f"status {idle} siap")
    expect(page.locator(".toast", has_text=f"{idle} siap")).to_be_visible()
    order(page, f"geser {idle} ke bungkul")
    expect(page.locator(".toast", has_text=f"{idle} digeser ke")).to_be_visible()
    page.keyboard.press("Control+k")
    page.keyboard.type("kirim Z99 ke 9999")
    expect(page.locator(".say")).to_contain_text("Unit Z99 tidak ada")
    page.keyboard.press("Escape")
    cancel(page, number)
