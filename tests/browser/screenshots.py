"""Photographs every view in both themes and at several sizes into `build/screenshots/`, for a person to look at.

    python -m tests.browser.screenshots [--base http://127.0.0.1:8112] [--only konsol awak ...]

Without `--base` the development server of `dashboards/web/mock/` is started, so no database is needed.
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "build" / "screenshots"
CHROMIUM = "/usr/bin/chromium"
CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--autoplay-policy=no-user-gesture-required",
]
SIZES = {"1366": (1366, 768), "1920": (1920, 1080), "wall": (3840, 2160), "phone": (360, 740)}
START_TRIES = 150
THEME_KEYS = ("konsol", "awak", "lapor", "publik", "dasbor", "dinding")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def mock_city(*options: str) -> Iterator[str]:
    """Run the development server until the block ends; yields its address."""
    port = free_port()
    script = ROOT / "dashboards" / "web" / "mock" / "server.py"
    process = subprocess.Popen([sys.executable, str(script), "--port", str(port), *options], cwd=ROOT)
    base = f"http://127.0.0.1:{port}"
    try:
        for _ in range(START_TRIES):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{base}/konsol", timeout=1).close()
                break
            if process.poll() is not None:
                raise RuntimeError("the development server ended at once")
            time.sleep(0.2)
        yield base
    finally:
        process.terminate()
        process.wait(10)


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


def sign_in(page: Page, base: str, path: str, user: str, password: str) -> None:
    page.goto(base + path)
    page.wait_for_selector("input[name=username], main .queue, [data-ready]")
    if page.locator("input[name=username]").count():
        page.fill("input[name=username]", user)
        page.fill("input[name=password]", password)
        page.press("input[name=password]", "Enter")


def shoot(page: Page, name: str) -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=OUT / f"{name}.png")
    print(OUT / f"{name}.png")


def konsol(browser: Browser, base: str, sizes: list[str], themes: list[str], user: str, password: str) -> None:
    for size in sizes:
        if size == "phone":
            continue
        for theme in themes:
            page = open_page(browser, size, theme)
            sign_in(page, base, "/konsol", user, password)
            page.wait_for_selector(".queue .item")
            page.wait_for_selector(".map canvas.overlay")
            page.wait_for_timeout(3500)  # tiles of the base map settle; nothing in the page tells when
            shoot(page, f"konsol-kosong-{size}-{theme}")
            page.locator(".queue .item").first.click()
            page.wait_for_selector(".detail .head")
            page.wait_for_timeout(1500)
            shoot(page, f"konsol-kejadian-{size}-{theme}")
            if size == "1366":
                page.keyboard.press("F4")
                page.wait_for_selector("#f-place")
                page.keyboard.type("raya darmo", delay=15)
                page.wait_for_selector("#f-hits li")
                shoot(page, f"konsol-tempat-{size}-{theme}")
                page.keyboard.press("Enter")
                page.keyboard.type("motor jatuh ditabrak mobil, korban pingsan", delay=10)
                page.wait_for_timeout(1200)
                shoot(page, f"konsol-laporan-{size}-{theme}")
                page.keyboard.press("Control+k")
                page.keyboard.type("kirim a", delay=15)
                page.wait_for_timeout(400)
                shoot(page, f"konsol-perintah-{size}-{theme}")
            page.context.close()


def awak(browser: Browser, base: str, sizes: list[str], themes: list[str], user: str, password: str) -> None:
    """The crew's phone, step by step. Needs the development server, whose device tokens are unit names."""
    for theme in themes:
        page = open_page(browser, "phone", theme)
        page.goto(f"{base}/awak")
        page.wait_for_selector("form")
        shoot(page, f"awak-daftar-{theme}")
        page.goto(f"{base}/awak#kode=A01")
        page.reload()
        page.wait_for_selector(".ready, .job, .main")
        if page.locator("text=Mulai tugas").count():
            shoot(page, f"awak-lepas-{theme}")
            page.fill("input", "Bayu P., Sari W.")
            page.locator("text=Mulai tugas").click()
            page.wait_for_selector(".ready")
        if page.locator(".ready").count():
            shoot(page, f"awak-siap-{theme}")
        page.request.post(f"{base}/mock/send?unit=A01")
        page.wait_for_selector(".job.new")
        page.wait_for_timeout(600)
        shoot(page, f"awak-tugas-{theme}")
        page.locator(".thumb .main").click()
        page.wait_for_selector("text=Tiba di lokasi")
        page.locator("text=Peta").click()
        page.wait_for_selector(".map canvas.overlay")
        page.wait_for_timeout(3000)  # the map settles; nothing in the page tells when
        shoot(page, f"awak-peta-{theme}")
        page.locator("text=Keterangan").click()
        page.context.set_offline(True)
        page.locator(".thumb .main").click()
        page.wait_for_selector(".undo")
        shoot(page, f"awak-urungkan-{theme}")
        page.wait_for_selector("text=menunggu dikirim", timeout=30_000)
        shoot(page, f"awak-tanpa-sinyal-{theme}")
        page.context.close()


def publik(browser: Browser, base: str, sizes: list[str], themes: list[str], user: str, password: str) -> None:
    for size in sizes:
        if size == "wall":
            continue
        for theme in themes:
            page = open_page(browser, size, theme)
            page.goto(f"{base}/")
            page.wait_for_selector("h1")
            shoot(page, f"publik-{size}-{theme}")
            page.context.close()


def lapor(browser: Browser, base: str, sizes: list[str], themes: list[str], user: str, password: str) -> None:
    for theme in themes:
        page = open_page(browser, "phone", theme)
        page.goto(f"{base}/lapor")
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


def dasbor(browser: Browser, base: str, sizes: list[str], themes: list[str], user: str, password: str) -> None:
    for size in sizes:
        if size == "wall":
            continue
        for theme in themes:
            page = open_page(browser, size, theme)
            sign_in(page, base, "/dasbor?masa=30d", "manager" if user == "dispatcher" else user, password)
            page.wait_for_selector(".card .figure")
            shoot(page, f"dasbor-{size}-{theme}")
            page.context.close()


def dinding(browser: Browser, base: str, sizes: list[str], themes: list[str], user: str, password: str) -> None:
    for size in sizes:
        if size in ("1366", "phone"):
            continue
        page = open_page(browser, size, "night")
        sign_in(page, base, "/dinding", user, password)
        page.wait_for_selector(".worst article, .worst .calm")
        page.wait_for_selector(".map canvas.overlay")
        page.wait_for_timeout(6000 if size == "wall" else 3500)  # the map settles; nothing in the page tells when
        shoot(page, f"dinding-{size}-night")
        page.context.close()


VIEWS = {"konsol": konsol, "awak": awak, "publik": publik, "lapor": lapor, "dasbor": dasbor, "dinding": dinding}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--base")
    options.add_argument("--only", nargs="*", default=list(VIEWS))
    options.add_argument("--sizes", nargs="*", default=list(SIZES))
    options.add_argument("--themes", nargs="*", default=["night", "day"])
    options.add_argument("--user", default="sinta")
    options.add_argument("--password", default="siaga-112-latihan")
    args = options.parse_args()
    server = contextlib.nullcontext(args.base) if args.base else mock_city()
    with server as base, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
        for view in args.only:
            VIEWS[view](browser, base, args.sizes, args.themes, args.user, args.password)
        browser.close()


if __name__ == "__main__":
    main()
