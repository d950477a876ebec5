"""The page of who reported: a picture and a better place go to the desk, and the page has no barrier."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.conftest import Windows
from tests.browser.test_access import THEMES, TOUCH_PX, themed, violations
from tests.browser.town import Town

pytestmark = [pytest.mark.browser, pytest.mark.timeout(420)]


def report(town: Town) -> str:
    """The reporter's own address."""
    place = {"lon": 112.74, "lat": -7.26, "accuracy_m": 900}
    return str(town.post("/api/v1/reports", {"kind": "medis", "place": place}, "")["status_url"])


def picture() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (3000, 2000), (90, 120, 60)).save(out, "JPEG")
    return out.getvalue()


def timeline(town: Town) -> list[dict[str, Any]]:
    """What the desk's journal of the one open incident says."""
    desk = town.staff("supervisor")
    with desk.open(f"{town.base}/api/v1/incidents?state=open", timeout=30) as answer:
        [found] = json.load(answer)["incidents"]
    with desk.open(f"{town.base}/api/v1/incidents/{found['incident_id']}", timeout=30) as answer:
        return [entry["event"] for entry in json.load(answer)["timeline"]]


def opened(windows: Windows, town: Town) -> Page:
    page = windows.phone()
    page.goto(town.base + report(town))
    page.wait_for_selector("h2")
    return page


def test_a_picture_and_a_better_place_reach_the_desk(windows: Windows, town: Town) -> None:
    """The picture is made small on the phone; the place is found by words."""
    page = opened(windows, town)
    page.locator("input[type=file]").set_input_files({"name": "a.jpg", "mimeType": "image/jpeg", "buffer": picture()})
    expect(page.get_by_text("Foto terkirim")).to_be_visible()
    page.get_by_role("button", name="Perbaiki lokasi").click()
    page.get_by_label("Atau tulis tempatnya").fill("Tugu Pahlawan")
    page.locator(".hit").filter(has_text="Tugu Pahlawan").first.click()
    expect(page.get_by_text("Lokasi baru terkirim")).to_be_visible()
    lines = timeline(town)
    [kept] = [e for e in lines if e["kind"] == "photo_kept"]
    assert max(kept["width_px"], kept["height_px"]) == 1600
    [located] = [e for e in lines if e["kind"] == "report_located"]
    assert "Tugu" in located["place"]["address"]


@pytest.mark.parametrize("theme", THEMES)
def test_the_page_has_no_barrier_and_large_buttons(windows: Windows, town: Town, theme: str) -> None:
    page = opened(windows, town)
    page.get_by_role("button", name="Perbaiki lokasi").click()
    themed(page, theme)
    assert "\n".join(violations(page)) == ""
    for button in page.locator("section .btn").all():
        box = button.bounding_box()
        assert box is not None
        assert box["height"] >= TOUCH_PX


def test_a_refused_picture_says_why(windows: Windows, town: Town) -> None:
    page = opened(windows, town)
    page.locator("input[type=file]").set_input_files(
        {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": b"no picture"}
    )
    expect(page.get_by_role("alert")).to_be_visible()
    assert [e for e in timeline(town) if e["kind"] == "photo_kept"] == []
