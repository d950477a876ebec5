"""Who reported adds a picture and a better place through the link: both reach the desk as lines of the journal."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dispatch.api import links
from dispatch.api.additions import CALLER_PHOTOS_MAX
from siaga.serve import Server
from tests.dispatch.server import Client, client, new_key, public_report, town_server

SECRET_PLACE = b"GPS-112.7408"


def jpeg(colour: int = 90) -> bytes:
    """A small picture whose camera wrote something about its owner."""
    image = Image.new("RGB", (64, 48), (colour, 40, 40))
    exif = image.getexif()
    exif[0x010E] = SECRET_PLACE.decode()
    out = io.BytesIO()
    image.save(out, "JPEG", exif=exif)
    return out.getvalue()


@pytest.fixture
async def server(database: str, tmp_path: Path) -> AsyncIterator[Server]:
    async with town_server(database, tmp_path) as running:
        yield running


async def reported(citizen: Client) -> tuple[str, str]:
    """(report id, the link's token)."""
    status, receipt = await citizen.post("/api/v1/reports", public_report(), new_key())
    assert status == 201
    return receipt["report_id"], receipt["status_url"].removeprefix("/lapor/")


async def upload(citizen: Client, token: str, body: bytes, kind: str = "image/jpeg", key: str = "") -> tuple[int, Any]:
    url = f"{citizen.server.url}/api/v1/reports/status/{token}/photos"
    headers = {"Content-Type": kind, "Idempotency-Key": key or new_key()}
    async with citizen.http.post(url, data=body, headers=headers) as r:
        return r.status, await r.json(content_type=None)


async def only_incident(desk: Client) -> str:
    _, listed = await desk.get("/api/v1/incidents", state="open")
    [found] = listed["incidents"]
    return str(found["incident_id"])


async def timeline(desk: Client, kind: str) -> list[dict[str, Any]]:
    _, whole = await desk.get(f"/api/v1/incidents/{await only_incident(desk)}")
    return [e["event"] for e in whole["timeline"] if e["event"]["kind"] == kind]


async def test_a_picture_reaches_the_desk_without_what_the_camera_wrote(server: Server, tmp_path: Path) -> None:
    """The desk can look at it; repeated under its key it is one; nobody else can."""
    async with client(server) as citizen, client(server, "dispatcher") as desk:
        report_id, token = await reported(citizen)
        key = new_key()
        assert (await upload(citizen, token, jpeg(), key=key))[0] == 201
        status, kept = await upload(citizen, token, jpeg(), key=key)
        assert status == 201
        [line] = await timeline(desk, "photo_kept")
        assert (line["report_id"], line["photo_id"]) == (report_id, kept["photo_id"])
        path = f"/api/v1/incidents/{line['incident_id']}/photos/{kept['photo_id']}"
        async with desk.http.get(server.url + path) as r:
            body = await r.read()
            assert r.content_type == "image/jpeg"
        assert SECRET_PLACE not in body
        assert Image.open(io.BytesIO(body)).size == (64, 48)
        async with citizen.http.get(server.url + path) as r:
            assert r.status == 401


async def test_a_better_place_reaches_the_desk(server: Server) -> None:
    """It is the report's place; the incident stays where the desk has it until the desk moves it."""
    async with client(server) as citizen, client(server, "dispatcher") as desk:
        report_id, token = await reported(citizen)
        there = {"lon": 112.7512, "lat": -7.2655, "accuracy_m": 8, "address": "Gang II"}
        status, _ = await citizen.post(f"/api/v1/reports/status/{token}/place", there, new_key())
        assert status == 200
        [line] = await timeline(desk, "report_located")
        assert (line["report_id"], line["place"]["lon"], line["place"]["address"]) == (report_id, 112.7512, "Gang II")
        assert await timeline(desk, "incident_relocated") == []
        outside = {"lon": 10.0, "lat": 50.0}
        status, problem = await citizen.post(f"/api/v1/reports/status/{token}/place", outside, new_key())
        assert (status, problem["code"]) == (422, "outside_region")


async def test_without_the_link_nothing_can_be_added(server: Server) -> None:
    """Forged, expired, or of a report that is over."""
    async with client(server) as citizen, client(server, "dispatcher") as desk:
        report_id, token = await reported(citizen)
        assert server.services is not None
        old = links.make(server.services.secret, report_id, server.services.clock.now() - timedelta(days=2))
        for wrong in (token[:-1] + ("A" if token[-1] != "A" else "B"), old, "x.y.z", report_id):
            assert (await upload(citizen, wrong, jpeg()))[0] == 404, wrong
            status, _ = await citizen.post(f"/api/v1/reports/status/{wrong}/place", {"lon": 112.75, "lat": -7.26})
            assert status == 404
        await desk.do("cancel_incident", incident_id=await only_incident(desk), reason="iseng")
        status, problem = await upload(citizen, token, jpeg())
        assert (status, problem["code"]) == (409, "incident_ended")


async def test_citizens_cannot_fill_the_folder_or_hand_in_anything_else(server: Server) -> None:
    async with client(server) as citizen:
        _, token = await reported(citizen)
        assert (await upload(citizen, token, b"<svg/>"))[1]["code"] == "photo_type"
        assert (await upload(citizen, token, b"%PDF-1.7", "application/pdf"))[1]["code"] == "photo_type"
        for n in range(CALLER_PHOTOS_MAX):
            assert (await upload(citizen, token, jpeg(30 * n)))[0] == 201
        status, problem = await upload(citizen, token, jpeg(250))
        assert (status, problem["code"]) == (409, "too_many_photos")
