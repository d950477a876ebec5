"""Eight hours without a line: every step and every position waits on the phone, over restarts, and comes in its order after."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Windows
from tests.browser.street import Street, street
from tests.browser.test_crew_story import (
    HERE,
    SCENE,
    UNIT,
    emergency,
    fix_at,
    on_duty,
    phone_of,
    press,
    until,
    worker_of,
)

pytestmark = [pytest.mark.browser, pytest.mark.timeout(420)]

HOURS = 8
EVERY_MIN = 5
"""Between two positions here; the phone itself takes one a minute at the scene."""
COUNT = """
() => new Promise((done) => {
  const request = indexedDB.open("siaga-awak");
  request.onsuccess = () => {
    const db = request.result;
    const count = db.transaction("track").objectStore("track").count();
    count.onsuccess = () => (db.close(), done(count.result));
  };
})
"""
FILL = """
(n) => new Promise((done) => {
  const request = indexedDB.open("siaga-awak");
  request.onsuccess = () => {
    const db = request.result;
    const change = db.transaction("track", "readwrite");
    const fix = { lon: 112.74, lat: -7.28, accuracy_m: 8, speed_mps: 0, heading_deg: null, offset_ms: 0 };
    for (let i = 0; i < n; i++) change.objectStore("track").add({ ...fix, at_ms: i });
    change.oncomplete = () => (db.close(), done());
  };
})
"""


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    with street(tmp_path_factory.mktemp("street")) as started:
        yield started


@pytest.fixture(autouse=True)
def calm(city: Street) -> None:
    city.calm()


@pytest.fixture
def windows(chromium: Browser, city: Street) -> Iterator[Windows]:
    opened = Windows(chromium, city)
    yield opened
    opened.close()
    assert opened.complaints == []


def drives_on(page: Page, city: Street, step: int) -> None:
    """Minutes later the vehicle stands a few metres further, and the phone has noticed."""
    before = page.evaluate(COUNT)
    city.pass_s(EVERY_MIN * 60)
    page.clock.fast_forward(EVERY_MIN * 60_000)
    page.context.set_geolocation({"longitude": HERE["longitude"] + step * 1e-5, "latitude": -7.2870, "accuracy": 8})
    until(page, lambda: page.evaluate(COUNT) > before)


def positions(city: Street, since: datetime) -> list[datetime]:
    """When the unit's positions were taken that the server has written since."""

    async def read() -> list[Any]:
        connection = await asyncpg.connect(city._dsn)
        try:
            return list(
                await connection.fetch(
                    "SELECT fixed_at FROM position WHERE unit_id = $1 AND fixed_at > $2 ORDER BY fixed_at", UNIT, since
                )
            )
        finally:
            await connection.close()

    return [row["fixed_at"] for row in city.do(read())]


def test_eight_hours_without_a_line_lose_no_step_and_no_position(windows: Windows, city: Street) -> None:
    """A long night at a scene out of reach, the phone restarted every two hours: all in order, each at its own time."""
    context = phone_of(windows, service_workers="allow")
    page = windows.page(context)
    on_duty(page, city)
    worker_of(context)
    city.crew(UNIT, "fixes", fixes=[fix_at(city)])
    emergency(city, SCENE)
    press(page, "Terima & berangkat")
    job = city.state_of(UNIT).assignment_id
    until(page, lambda: str(city.assignment(job).state) == "en_route")
    until(page, lambda: page.evaluate(COUNT) == 0)
    context.set_offline(True)
    page.clock.install(time=city.clock.now())
    page.reload()
    began = city.clock.now()
    press(page, "Tiba di lokasi")
    page.clock.run_for("00:06")
    press(page, "Bersama pasien")
    safe: list[datetime] = []
    for number in range(HOURS * 60 // EVERY_MIN):
        drives_on(page, city, number + 1)
        if number % 3 == 2:
            page.locator(".safe").click()
            safe.append(city.clock.now())
        if number % (120 // EVERY_MIN) == 0:
            waiting = page.locator("header").inner_text()
            page.reload()
            expect(page.locator("header")).to_contain_text(re.search(r"\d+ menunggu dikirim", waiting).group())  # type: ignore[union-attr]
    kept = page.evaluate(COUNT)
    assert kept >= HOURS * 60 // EVERY_MIN
    expect(page.locator("header")).to_contain_text(f"{len(safe) + 2} menunggu dikirim")
    assert city.journal("crew_safe") == [], "nothing has got out"

    context.set_offline(False)
    page.clock.run_for("01:00")
    until(page, lambda: len(city.journal("crew_safe")) == len(safe))
    until(page, lambda: page.evaluate(COUNT) == 0)
    expect(page.locator("header")).to_contain_text("Tersambung")
    lines = city.journal("unit_at_scene", "unit_at_patient", "crew_safe")
    assert [kind for kind, _, _ in lines] == ["unit_at_scene", "unit_at_patient", *["crew_safe"] * len(safe)]
    device = [datetime.fromisoformat(body["device_at"]) for _, _, body in lines]
    assert device == sorted(device)
    for said, pressed in zip(device[2:], safe, strict=True):
        assert abs(said - pressed) < timedelta(minutes=2)
    until(page, lambda: len(positions(city, began)) >= HOURS * 60 // EVERY_MIN)
    taken = positions(city, began)
    assert taken[-1] - taken[0] > timedelta(hours=HOURS - 0.5)


def test_positions_that_wait_are_bounded_and_the_oldest_go_first(windows: Windows, city: Street) -> None:
    """A phone that stays without a line for days fills neither its storage nor the line afterwards."""
    context = phone_of(windows, service_workers="allow")
    page = windows.page(context)
    on_duty(page, city)
    worker_of(context)
    until(page, lambda: page.evaluate(COUNT) == 0)
    context.set_offline(True)
    page.evaluate(FILL, 2880)
    page.clock.install(time=city.clock.now())
    page.reload()
    page.clock.fast_forward("02:00")
    context.set_geolocation({"longitude": 112.7500, "latitude": -7.2870, "accuracy": 8})
    until(page, lambda: page.evaluate(COUNT) < 2880)
    assert page.evaluate(COUNT) >= 2700
