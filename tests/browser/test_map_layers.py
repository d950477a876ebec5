"""Layers of the console's map that an operator turns on and off."""

from __future__ import annotations

import math
import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Windows
from tests.browser.test_access import violations

pytestmark = [pytest.mark.browser, pytest.mark.timeout(420)]

HAZARD = (112.6450, -7.2150)
PADDING_PX = 8
"""What the map leaves around the city when it shows all of it."""


def mercator(lon: float, lat: float) -> tuple[float, float]:
    sine = math.sin(math.radians(lat))
    return (lon + 180.0) / 360.0, 0.5 - math.log((1.0 + sine) / (1.0 - sine)) / (4.0 * math.pi)


def where(page: Page, at: tuple[float, float]) -> tuple[float, float]:
    """Where a position stands on the screen while the map shows the whole city."""
    west, south, east, north = page.evaluate("fetch('/api/v1/region').then((answer) => answer.json())")["bbox"]
    (left, bottom), (right, top) = mercator(west, south), mercator(east, north)
    box = page.locator(".map").bounding_box()
    assert box is not None
    px = min((box["width"] - 2 * PADDING_PX) / (right - left), (box["height"] - 2 * PADDING_PX) / (bottom - top))
    x, y = mercator(*at)
    return (
        box["x"] + box["width"] / 2 + (x - (left + right) / 2) * px,
        box["y"] + box["height"] / 2 + (y - (top + bottom) / 2) * px,
    )


def test_the_map_is_drawn_with_the_internet_cut(windows: Windows) -> None:
    """Style, tiles and the labels' font come from this server, and nothing else is asked for anything."""
    context = windows.context()
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    base = windows.town.base
    context.route(lambda url: not url.startswith((base, "data:", "blob:")), lambda route: route.abort())
    page = windows.page(context)
    page.goto(f"{base}/konsol")
    page.fill("input[name=username]", "dispatcher")
    page.fill("input[name=password]", windows.town.password)
    page.press("input[name=password]", "Enter")
    with page.expect_response(lambda answer: "/tiles/" in answer.url and answer.status == 200):
        page.wait_for_selector(".map canvas.maplibregl-canvas")
    expect(page.locator(".maplibregl-ctrl-attrib")).to_contain_text("OpenStreetMap")
    assert page.evaluate("document.fonts.check('12px \"IBM Plex Sans\"')")
    assert [url for url in asked if not url.startswith((base, "data:", "blob:"))] == []
    assert any("ibm-plex-sans" in url for url in asked)
    assert any("/map/style.json" in url for url in asked)


def test_hazards_are_a_layer_with_a_legend_and_say_what_they_are(windows: Windows) -> None:
    """Off until asked for; a click on a mark reads its note out; off again nothing answers."""
    page = windows.console()
    page.wait_for_selector(".map canvas.maplibregl-canvas")
    expect(page.locator(".legend")).to_have_count(0)
    page.get_by_role("button", name="Bahaya").click()
    legend = page.locator(".legend")
    expect(legend).to_contain_text(re.compile(r"bahaya\s+1"))
    expect(legend).to_contain_text(re.compile(r"air, hidran\s+1"))
    page.get_by_role("button", name="Seluruh kota").click()

    def read_out() -> None:
        page.mouse.click(*where(page, HAZARD))
        expect(legend).to_contain_text("Gudang pupuk: jangan disemprot air", timeout=2_000)

    for attempt in range(10):  # the layer is there when its first frame has been drawn, and nothing tells when that is
        try:
            read_out()
            break
        except AssertionError:
            if attempt == 9:
                raise
    assert violations(page) == []
    page.get_by_role("button", name="Bahaya").click()
    expect(legend).to_have_count(0)
