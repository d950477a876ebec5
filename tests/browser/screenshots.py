"""Photographs every view in both themes and at several sizes into `build/screenshots/`, for a person to look at.

    python -m tests.browser.screenshots [--only konsol awak ...] [--sizes 1366 phone ...] [--themes night day]

Starts `siaga run` with the simulated city and lets it live for a few minutes; the crew's phone gets a server of its own
without simulated people, so that nobody else presses its buttons.
"""

from __future__ import annotations

import argparse
import time

from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.town import CHROMIUM, CHROMIUM_ARGS, ROOT, Town, running

OUT = ROOT / "build" / "screenshots"
LIVE_S = 240
"""How long the city lives before it is photographed: enough for incidents in every state."""
SIZES = {"1366": (1366, 768), "1920": (1920, 1080), "wall": (3840, 2160), "phone": (360, 740)}
THEME_KEYS = ("konsol", "awak", "lapor", "publik", "dasbor", "dinding")


def open_page(browser: Browser, size: str, theme: str, language: str = "id") -> Page:
    """A fresh context with its theme and language set before the first paint."""
    width, height = SIZES[size]
    phone = size == "phone"
    context = browser.new_context(
        viewport={"width": width, "height": height},
        device_scale_factor=2 if phone else 1,
        has_touch=phone,
        is_mobile=phone,
        service_workers="block",
        locale="id-ID",
        timezone_id="Asia/Jakarta",
        geolocation={"longitude": 112.7405, "latitude": -7.2905},
        permissions=["geolocation"],
    )
    lines = [f"localStorage.setItem('siaga.theme.{app}', '{theme}');" for app in THEME_KEYS]
    context.add_init_script("".join(lines) + f"localStorage.setItem('siaga.lang', '{language}');")
    page = context.new_page()
    page.set_default_timeout(90_000)  # shared machines: patience, not a measurement
    page.on("console", lambda m: print(f"  console {m.type}: {m.text}") if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda e: print(f"  page error: {e}"))
    return page


def sign_in(page: Page, town: Town, path: str, user: str) -> None:
    page.goto(town.base + path)
    page.wait_for_selector("input[name=username], main .queue, [data-ready]")
    if page.locator("input[name=username]").count():
        page.fill("input[name=username]", user)
        page.fill("input[name=password]", town.password)
        page.press("input[name=password]", "Enter")


def shoot(page: Page, name: str) -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=OUT / f"{name}.png")
    print(OUT / f"{name}.png")


def konsol(browser: Browser, town: Town, sizes: list[str], themes: list[str]) -> None:
    for size in sizes:
        if size == "phone":
            continue
        for theme in themes:
            page = open_page(browser, size, theme)
            sign_in(page, town, "/konsol", "dispatcher")
            page.wait_for_selector(".queue .item")
            page.wait_for_selector(".map canvas.overlay")
            page.wait_for_timeout(3500)  # tiles of the base map settle; nothing in the page tells when
            shoot(page, f"konsol-kosong-{size}-{theme}")
            page.locator(".queue .item").first.click()
            page.wait_for_selector(".detail .head")
            page.wait_for_timeout(1500)
            shoot(page, f"konsol-kejadian-{size}-{theme}")
            konsol_papers(page, size, theme)
            konsol_forms(page, size, theme)
            page.context.close()


def konsol_forms(page: Page, size: str, theme: str) -> None:
    """The call form while a place and the caller's words are typed, the command line, a reason and the keys."""
    page.keyboard.press("F4")
    page.wait_for_selector("#f-place")
    page.keyboard.type("raya darmo", delay=15)
    page.wait_for_selector("#f-hits li")
    shoot(page, f"konsol-tempat-{size}-{theme}")
    page.keyboard.press("Enter")
    page.keyboard.type("motor jatuh ditabrak mobil, korban pingsan", delay=10)
    page.wait_for_selector("#f-kind option:checked:not([value=''])", state="attached")
    page.wait_for_selector("fieldset")
    shoot(page, f"konsol-laporan-{size}-{theme}")
    page.locator(".foot .quiet").click()
    page.keyboard.press("Control+k")
    page.wait_for_selector("dialog .line")
    page.keyboard.type("kirim a", delay=15)
    page.wait_for_selector("#cmd-options li")
    shoot(page, f"konsol-perintah-{size}-{theme}")
    page.keyboard.press("Escape")
    page.locator(".queue .item").first.click()
    page.wait_for_selector(".detail .head")
    page.keyboard.press("b")
    page.wait_for_selector("dialog[open] .preset")
    shoot(page, f"konsol-alasan-{size}-{theme}")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    page.wait_for_selector("dialog[open] dl")
    shoot(page, f"konsol-tombol-{size}-{theme}")
    page.keyboard.press("Escape")


def konsol_papers(page: Page, size: str, theme: str) -> None:
    """The shift's papers, a replay and the road restrictions, of the incident that is selected."""
    page.keyboard.press("F9")
    page.wait_for_selector(".results .hit")
    shoot(page, f"konsol-riwayat-{size}-{theme}")
    page.keyboard.press("Alt+2")
    page.wait_for_selector(".log .lines .line")
    shoot(page, f"konsol-buku-{size}-{theme}")
    page.keyboard.press("Alt+3")
    page.wait_for_selector(".read :is(li, .muted)")
    shoot(page, f"konsol-serah-{size}-{theme}")
    page.keyboard.press("Escape")
    page.keyboard.press("r")
    page.wait_for_selector(".replay")
    for _ in range(4):
        page.keyboard.press("n")
    page.wait_for_timeout(1500)  # the map settles
    shoot(page, f"konsol-putar-{size}-{theme}")
    page.keyboard.press("Escape")
    page.keyboard.press("h")
    page.wait_for_selector(".hindrances")
    page.keyboard.type("raya darmo", delay=15)
    page.wait_for_selector(".hindrances [role=option]")
    page.keyboard.press("Enter")
    page.get_by_label("Sebab").fill("Banjir selutut")
    page.keyboard.press("Enter")
    page.wait_for_selector(".hindrances li .link")
    page.wait_for_timeout(1000)
    shoot(page, f"konsol-hambatan-{size}-{theme}")
    page.locator(".hindrances li .btn").first.click()
    page.keyboard.press("Escape")


def awak(browser: Browser, town: Town, sizes: list[str], themes: list[str]) -> None:
    """The crew's phone, step by step, with a dispatcher sending it a job. Needs a server without simulated people."""
    desk = open_page(browser, "1366", "night")
    sign_in(desk, town, "/konsol", "dispatcher")
    desk.wait_for_selector(".queue .list :is(.item, .empty)")
    for unit, theme in zip(("A01", "A02"), themes, strict=False):
        page = open_page(browser, "phone", theme)
        page.goto(f"{town.base}/awak")
        page.wait_for_selector("form")
        shoot(page, f"awak-daftar-{theme}")
        page.goto("about:blank")
        page.goto(f"{town.base}/awak#kode={town.unit_tokens[unit]}")
        page.get_by_label("Nama awak").fill("Bayu P., Sari W., Mega A.")
        page.get_by_role("button", name="Tambah").click()
        page.get_by_role("button", name="Oksigen").click()
        shoot(page, f"awak-lepas-{theme}")
        page.get_by_role("button", name="Mulai tugas, 1 masalah").click()
        page.wait_for_selector(".ready")
        town.on_duty(unit, 112.7405, -7.2905)
        shoot(page, f"awak-siap-{theme}")
        desk.keyboard.press("F4")
        desk.wait_for_selector("#f-place")
        desk.keyboard.type("rumah sakit darmo" if theme == "night" else "jalan kertajaya")
        desk.wait_for_selector("#f-hits li")
        desk.keyboard.press("Enter")
        desk.keyboard.type("pengendara motor ditabrak mobil, perempuan sekitar 30 tahun, kaki berdarah, masih sadar")
        desk.wait_for_selector("#f-kind option:checked:not([value=''])", state="attached")
        desk.keyboard.press("Control+Enter")
        page.wait_for_selector(".job.new")
        page.wait_for_timeout(1500)
        shoot(page, f"awak-tugas-{theme}")
        page.locator(".thumb .main").click()
        page.wait_for_selector("text=Tiba di lokasi")
        page.get_by_role("button", name="Peta").click()
        page.wait_for_selector(".map canvas.overlay")
        page.wait_for_timeout(4000)  # the map settles; nothing in the page tells when
        shoot(page, f"awak-peta-{theme}")
        page.get_by_role("button", name="Rincian").click()
        page.context.set_offline(True)
        page.locator(".thumb .main").click()
        page.wait_for_selector(".undo")
        shoot(page, f"awak-urungkan-{theme}")
        page.wait_for_selector("text=menunggu dikirim")
        shoot(page, f"awak-tanpa-sinyal-{theme}")
        page.context.set_offline(False)
        page.wait_for_selector(".safe")
        page.get_by_role("button", name="Lapor", exact=True).click()
        shoot(page, f"awak-lapor-{theme}")
        page.get_by_role("button", name="Minta bantuan").click()
        shoot(page, f"awak-bantuan-{theme}")
        page.get_by_role("button", name="Kembali").click()
        page.get_by_role("button", name="Kembali").click()
        page.get_by_role("button", name="Bersama pasien").click()
        page.wait_for_selector("text=Bawa ke rumah sakit")
        shoot(page, f"awak-pasien-{theme}")
        page.get_by_role("button", name="Pengaturan").click()
        shoot(page, f"awak-pengaturan-{theme}")
        page.get_by_role("button", name="200 %").click()
        page.get_by_role("button", name="Kembali").click()
        shoot(page, f"awak-besar-{theme}")
        page.screenshot(path=OUT / f"awak-besar-utuh-{theme}.png", full_page=True)
        page.get_by_role("button", name="Pengaturan").click()
        page.get_by_role("button", name="100 %").click()
        page.get_by_role("button", name="Kembali").click()
        page.get_by_role("button", name="Bawa ke rumah sakit").click()
        page.wait_for_selector("dialog input[type=radio]")
        shoot(page, f"awak-rumah-sakit-{theme}")
        page.context.close()
    desk.context.close()


def publik(browser: Browser, town: Town, sizes: list[str], themes: list[str]) -> None:
    for size in sizes:
        if size == "wall":
            continue
        for theme in themes:
            page = open_page(browser, size, theme)
            page.goto(f"{town.base}/")
            page.wait_for_selector("h1")
            shoot(page, f"publik-{size}-{theme}")
            page.context.close()


def lapor(browser: Browser, town: Town, sizes: list[str], themes: list[str]) -> None:
    for theme in themes:
        page = open_page(browser, "phone", theme)
        page.goto(f"{town.base}/lapor")
        page.wait_for_selector(".kinds .btn")
        page.fill("#l-text", "motor tabrakan, satu orang luka di kaki")
        page.wait_for_timeout(900)
        page.locator(".kinds .btn").first.click()
        page.wait_for_timeout(500)
        shoot(page, f"lapor-{theme}")
        page.locator(".send").click()
        page.wait_for_selector(".steps")
        page.wait_for_timeout(1500)
        shoot(page, f"lapor-status-{theme}")
        page.context.close()


def dasbor(browser: Browser, town: Town, sizes: list[str], themes: list[str]) -> None:
    for size in sizes:
        if size == "wall":
            continue
        for theme in themes:
            page = open_page(browser, size, theme)
            sign_in(page, town, "/dasbor?masa=today", "manager")
            page.wait_for_selector(".card .figure")
            shoot(page, f"dasbor-{size}-{theme}")
            page.context.close()


def dinding(browser: Browser, town: Town, sizes: list[str], themes: list[str]) -> None:
    """The room's wall, and the operator's second screen with the map alone."""
    for size in sizes:
        if size == "phone":
            continue
        for theme in themes:
            for path, there, name in (
                ("/dinding", ".worst article, .worst .calm", "dinding"),
                ("/konsol#peta", ".maponly .map", "peta"),
            ):
                page = open_page(browser, size, theme)
                sign_in(page, town, path, "dispatcher")
                page.wait_for_selector(there)
                page.wait_for_selector(".map canvas.overlay")
                page.wait_for_timeout(
                    6000 if size == "wall" else 3500
                )  # the map settles; nothing in the page tells when
                shoot(page, f"{name}-{size}-{theme}")
                page.context.close()


VIEWS = {"konsol": konsol, "awak": awak, "publik": publik, "lapor": lapor, "dasbor": dasbor, "dinding": dinding}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--only", nargs="*", default=list(VIEWS), choices=list(VIEWS))
    options.add_argument("--sizes", nargs="*", default=list(SIZES), choices=list(SIZES))
    options.add_argument("--themes", nargs="*", default=["night", "day"], choices=["night", "day"])
    args = options.parse_args()
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
        if "awak" in args.only:
            with running(city=False) as town:
                awak(browser, town, args.sizes, args.themes)
        others = [view for view in args.only if view != "awak"]
        if others:
            with running(city=True) as town:
                time.sleep(LIVE_S)
                for view in others:
                    VIEWS[view](browser, town, args.sizes, args.themes)
        browser.close()


if __name__ == "__main__":
    main()
