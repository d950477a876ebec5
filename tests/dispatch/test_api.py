"""The wire: roles, refusals, idempotency, streams that lose and repeat nothing. Real server, real sockets, real database."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from openapi_spec_validator import validate

from dispatch.api.problems import texts
from dispatch.api.routes import Guard
from dispatch.app import own_routes
from dispatch.roles import Role
from siaga.serve import Server
from tests.dispatch.server import ROLES, client, new_key, public_report, town_server


@pytest.fixture
async def server(database: str, tmp_path: Path) -> AsyncIterator[Server]:
    async with town_server(database, tmp_path) as running:
        yield running


async def on_duty(server: Server, *units: str) -> None:
    for unit_id in units:
        async with client(server, unit_id) as unit:
            await unit.do("start_duty", unit_id=unit_id, crew=["Awak Contoh"])


async def test_a_citizens_report_sends_a_unit_and_the_link_shows_that_help_comes(server: Server) -> None:
    """The whole way: public report, assignment, crew's steps, and what the reporter sees at each."""
    await on_duty(server, "A1", "A2")
    async with client(server) as citizen, client(server, "A1") as crew:
        status, receipt = await citizen.post("/api/v1/reports", public_report(), new_key())
        assert status == 201
        token = receipt["status_url"].rsplit("/", 1)[1]
        path = f"/api/v1/reports/status/{token}"
        assert (await citizen.get(path))[1]["state"] == "searching"
        _, feed = await crew.get("/api/v1/unit/feed/poll", after=0)
        job = feed["job"]["assignment"]["assignment_id"]
        await crew.do("acknowledge_job", assignment_id=job)
        await crew.do("report_en_route", assignment_id=job)
        seen = (await citizen.get(path))[1]
        assert seen["state"] == "coming"
        assert seen["units"][0]["kind"] == "Ambulans"
        await crew.do("report_at_scene", assignment_id=job)
        assert (await citizen.get(path))[1]["state"] == "arrived"
        await crew.do("report_clear", assignment_id=job)
        assert (await citizen.get(path))[1]["state"] == "ended"


async def test_a_forged_or_cut_link_shows_nothing(server: Server) -> None:
    """Links are signed; a changed one is as good as none."""
    async with client(server) as citizen:
        _, receipt = await citizen.post("/api/v1/reports", public_report(), new_key())
        token = receipt["status_url"].rsplit("/", 1)[1]
        for forged in (token[:-1] + ("A" if token[-1] != "A" else "B"), token.replace("0001", "0002"), "x", "a.b.c"):
            status, problem = await citizen.get(f"/api/v1/reports/status/{forged}")
            assert (status, problem["code"]) == (404, "unknown_report")


async def test_a_repeated_key_gets_the_first_answer_and_another_body_is_refused(server: Server) -> None:
    """Impatient thumbs make one report, not five."""
    async with client(server) as citizen:
        key = new_key()
        answers = await asyncio.gather(*(citizen.post("/api/v1/reports", public_report(), key) for _ in range(5)))
        assert {a[1]["report_id"] for a in answers} == {"L" + answers[0][1]["report_id"][1:]}
        status, problem = await citizen.post("/api/v1/reports", public_report(dlon=0.001), key)
        assert (status, problem["code"]) == (422, "idempotency_key_reused")
    assert len(server.services.live.hub.state.reports) == 1  # type: ignore[union-attr]


async def test_answers_under_a_key_survive_a_restart(database: str, tmp_path: Path) -> None:
    """The phone that never saw its answer may ask again tomorrow."""
    key = new_key()
    async with town_server(database, tmp_path) as server, client(server) as citizen:
        _, first = await citizen.post("/api/v1/reports", public_report(), key)
    async with town_server(database, tmp_path) as server, client(server) as citizen:
        _, again = await citizen.post("/api/v1/reports", public_report(), key)
        assert again["report_id"] == first["report_id"]
        assert len(server.services.live.hub.state.reports) == 1  # type: ignore[union-attr]


async def test_a_restart_finds_every_incident_with_its_clock_unchanged(database: str, tmp_path: Path) -> None:
    """Nothing acknowledged is lost; the 7 minutes go on from the same ring."""
    async with town_server(database, tmp_path) as server, client(server) as citizen:
        await on_duty(server, "A1")
        await citizen.post("/api/v1/reports", public_report(), new_key())
        before = msgspec.json.encode(server.services.live.hub.state.incidents)  # type: ignore[union-attr]
        ring = next(iter(server.services.live.hub.state.incidents.values())).first_ring_at  # type: ignore[union-attr]
    async with town_server(database, tmp_path) as server:
        state = server.services.live.hub.state  # type: ignore[union-attr]
        assert msgspec.json.encode(state.incidents) == before
        assert next(iter(state.incidents.values())).first_ring_at == ring
        assert state.units["A1"].assignment_id is not None


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        ({"kind": "medis"}, 422, "invalid_body", "place"),
        ({"kind": "medis", "place": {"lon": "x", "lat": 1}}, 422, "invalid_body", "place.lon"),
        ({"kind": "medis", "place": {"lon": 112.7, "lat": -7.2}, "extra": 1}, 422, "invalid_body", "extra"),
        ({"kind": "medis", "place": {"lon": 10.0, "lat": -7.2}}, 422, "outside_region", "place"),
        ({"kind": "naga", "place": {"lon": 112.74, "lat": -7.26}}, 422, "unknown_kind", "kind"),
        ({"kind": "medis", "place": {"lon": 112.74, "lat": -7.26}, "phone": "abc"}, 422, "invalid_body", "phone"),
        ({"kind": "medis", "place": {"lon": 999, "lat": -7.26}}, 422, "invalid_body", "place.lon"),
        ([], 422, "invalid_body", None),
    ],
)
async def test_bad_reports_are_refused_with_code_and_field(
    server: Server, body: Any, status: int, code: str, field: str | None
) -> None:
    """A stable code, the field's name, and nothing half written."""
    before = server.services.live.hub.state.seq  # type: ignore[union-attr]
    async with client(server) as citizen:
        got, problem = await citizen.post("/api/v1/reports", body, new_key())
    assert (got, problem["code"], problem.get("field")) == (status, code, field)
    assert server.services.live.hub.state.seq == before  # type: ignore[union-attr]


async def test_broken_json_wrong_type_and_huge_bodies_are_told_apart(server: Server) -> None:
    """400, 415 and 413, each with its code, and the title in the reader's language."""
    url = server.url + "/api/v1/reports"
    async with aiohttp.ClientSession() as http:
        headers = {"Idempotency-Key": "k", "Content-Type": "application/json", "Accept-Language": "en"}
        async with http.post(url, data=b"{", headers=headers) as r:
            assert (r.status, (await r.json(content_type=None))["code"]) == (400, "invalid_json")
        async with http.post(url, data=b"{}", headers={"Content-Type": "text/plain"}) as r:
            assert r.status == 415
            assert (await r.json(content_type=None))["title"] == "Kirim sebagai application/json"
        async with http.post(url, data=b'"' + b"a" * 100_000 + b'"', headers=headers) as r:
            assert (r.status, (await r.json(content_type=None))["title"]) == (413, "The request body is too large")
        async with http.get(server.url + "/nirgends") as r:
            assert (r.status, (await r.json(content_type=None))["code"]) == (404, "not_found")
        async with http.delete(url) as r:
            assert (r.status, (await r.json(content_type=None))["code"]) == (405, "method_not_allowed")


async def test_public_intake_is_limited_by_address_and_staff_are_not(server: Server) -> None:
    """A flood from one address gets 429 with Retry-After; the call taker beside it is served."""
    async with client(server) as citizen, client(server, "call_taker") as taker:
        statuses = [(await citizen.post("/api/v1/reports", public_report(), new_key()))[0] for _ in range(40)]
        assert 429 in statuses
        async with citizen.http.post(server.url + "/api/v1/reports", json={}, headers={}) as r:
            assert r.status == 429
            assert int(r.headers["Retry-After"]) >= 1
        for _ in range(40):
            await taker.do("submit_report", channel="call", kind="pohon", place={"lon": 112.75, "lat": -7.26})


def _example_path(path: str) -> str:
    return "/".join("1" if part.startswith("{") else part for part in path.split("/"))


async def test_every_route_refuses_every_role_it_does_not_name(server: Server) -> None:
    """The route table is the only place where rights are decided, so walking it proves them all."""
    table = [r for r in own_routes() if r.guard is not Guard.NONE]
    assert len(table) > 50
    callers = [*ROLES, "A1", "exchange", None]
    for who in callers:
        role = {"A1": Role.CREW, "exchange": Role.PARTNER, None: None}.get(who, who)
        async with client(server, who) as caller:
            for route in table:
                if route.method == "DELETE" and role in route.roles:
                    continue  # signing out would end the walk
                url = server.url + _example_path(route.path)
                async with caller.http.request(route.method, url, headers=caller.headers, json={}) as r:
                    if role in route.roles:
                        assert r.status not in (401, 403), (who, route.path, r.status)
                    else:
                        assert r.status in (401, 403), (who, route.method, route.path, r.status)


async def test_unsafe_staff_requests_need_the_csrf_token(server: Server) -> None:
    """The cookie alone, as another site's form would send it, is not enough."""
    async with client(server, "dispatcher") as dispatcher:
        dispatcher.headers.pop("X-CSRF-Token")
        status, problem = await dispatcher.post("/api/v1/commands/end_duty", {"unit_id": "A1"})
        assert (status, problem["code"]) == (403, "csrf")


async def test_a_console_from_another_origin_is_refused(server: Server) -> None:
    """Cross-site web sockets carry cookies; the Origin gives them away."""
    async with client(server, "dispatcher") as dispatcher:
        dispatcher.headers["Origin"] = "https://example.invalid"
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with dispatcher.socket("/api/v1/console/stream"):
                pass
        assert refused.value.status == 403


async def read_until(socket: Any, seq: int, rows: dict[str, dict[str, Any]]) -> list[int]:
    """Apply stream messages until `seq` is reached; the journal numbers of the entries seen."""
    seen: list[int] = []
    while True:
        message = json.loads((await asyncio.wait_for(socket.receive(), 10)).data)
        if message["type"] == "snapshot":
            for table in ("reports", "incidents", "units", "assignments"):
                rows[table] = {}
        if message["type"] in ("snapshot", "changes"):
            for table, key in (
                ("reports", "report_id"),
                ("incidents", "incident_id"),
                ("units", "unit_id"),
                ("assignments", "assignment_id"),
            ):
                rows[table].update({row[key]: row for row in message[table]})
            seen += [e["seq"] for e in message.get("entries", [])]
            if message["seq"] >= seq:
                return seen


async def test_snapshot_plus_changes_equals_a_fresh_snapshot_also_after_a_dropped_line(server: Server) -> None:
    """The stream loses nothing and repeats nothing; a resumed console is the same as a new one."""
    hub = server.services.live.hub  # type: ignore[union-attr]
    await on_duty(server, "A1", "A2", "M1")
    rows: dict[str, dict[str, Any]] = {}
    seen: list[int] = []
    async with client(server, "dispatcher") as dispatcher, client(server) as citizen:
        async with dispatcher.socket("/api/v1/console/stream") as socket:
            await read_until(socket, hub.state.seq, rows)
            start = hub.state.seq
            await citizen.post("/api/v1/reports", public_report("laka"), new_key())
            seen += await read_until(socket, hub.state.seq, rows)
        await citizen.post("/api/v1/reports", public_report("medis", 0.02), new_key())
        async with client(server, "A1") as crew:
            await crew.do("acknowledge_job", assignment_id=hub.state.units["A1"].assignment_id)
        async with dispatcher.socket("/api/v1/console/stream", after=seen[-1]) as socket:
            seen += await read_until(socket, hub.state.seq, rows)
        async with dispatcher.socket("/api/v1/console/stream") as socket:
            fresh: dict[str, dict[str, Any]] = {}
            await read_until(socket, hub.state.seq, fresh)
    assert rows == fresh
    assert seen == list(range(start + 1, hub.state.seq + 1))


async def test_no_row_of_the_stream_shows_who_called(server: Server) -> None:
    """Phone and name are read by a route of their own, with a purpose, and the reading is recorded."""
    report = public_report(phone="+62000000042", name="Warga Contoh")
    async with client(server, "call_taker") as taker, client(server) as citizen:
        _, receipt = await citizen.post("/api/v1/reports", report, new_key())
        async with taker.socket("/api/v1/console/stream") as socket:
            text = (await socket.receive()).data
        assert "000000042" not in text
        assert "Warga Contoh" not in text
        path = f"/api/v1/reports/{receipt['report_id']}/caller"
        assert (await taker.get(path))[0] == 422
        status, caller = await taker.get(path, purpose="telepon balik")
        assert (status, caller["phone"]) == (200, "+62000000042")
    accounts = server.services.accounts  # type: ignore[union-attr]
    async with accounts.store.pool.acquire() as connection:  # type: ignore[attr-defined]
        count = await connection.fetchval("SELECT count(*) FROM caller_reading WHERE purpose = 'telepon balik'")
    assert count == 1


async def test_the_unit_feed_brings_the_job_at_once_and_again_after_reconnecting(server: Server) -> None:
    """A phone that lost its line gets the whole present, not a puzzle."""
    await on_duty(server, "A1")
    async with client(server, "A1") as crew, client(server) as citizen:
        async with crew.socket("/api/v1/unit/feed") as socket:
            hello = json.loads((await asyncio.wait_for(socket.receive(), 5)).data)
            assert (hello["type"], hello["job"]) == ("hello", None)
            await citizen.post("/api/v1/reports", public_report(description="ayah pingsan"), new_key())
            job = json.loads((await asyncio.wait_for(socket.receive(), 5)).data)
            assert job["job"]["incident"]["descriptions"] == ["ayah pingsan"]
        async with crew.socket("/api/v1/unit/feed") as socket:
            again = json.loads((await asyncio.wait_for(socket.receive(), 5)).data)
            assert again["job"]["assignment"]["assignment_id"] == job["job"]["assignment"]["assignment_id"]


async def test_fixes_from_the_future_repeated_and_jumping_are_flagged_and_not_believed(server: Server) -> None:
    """The answer says which and why; the last good one stands."""
    await on_duty(server, "A1")
    now = datetime.now(UTC)

    def fix(dlon: float, s: float) -> dict[str, Any]:
        return {"lon": 112.74 + dlon, "lat": -7.26, "fixed_at": (now + timedelta(seconds=s)).isoformat()}

    batch = [fix(0, -60), fix(0.0001, -50), fix(0.0001, -50), fix(0.05, -49), fix(0.0002, 3600), fix(0.0003, -40)]
    async with client(server, "A1") as crew:
        status, answer = await crew.post("/api/v1/unit/fixes", {"fixes": batch})
    assert status == 200
    assert answer["accepted"] == 3
    assert [(f["index"], f["why"]) for f in answer["flagged"]] == [(2, "repeated"), (3, "jump"), (4, "future")]
    position = server.services.live.engine.state.units["A1"].position  # type: ignore[union-attr]
    assert position is not None
    assert position.lon == pytest.approx(112.7403)


async def test_a_crew_device_cannot_speak_for_another_unit(server: Server) -> None:
    """A foreign job is refused even with a valid token."""
    await on_duty(server, "A1", "A2")
    async with client(server) as citizen, client(server, "A2") as other:
        await citizen.post("/api/v1/reports", public_report(), new_key())
        job = server.services.live.hub.state.units["A1"].assignment_id  # type: ignore[union-attr]
        status, problem = await other.post("/api/v1/unit/acknowledge_job", {"assignment_id": job})
        assert (status, problem["code"]) == (403, "not_your_job")


async def test_the_openapi_document_is_valid_and_complete(server: Server) -> None:
    """It is made from the table that registers the handlers; every code a client can meet is listed."""
    async with client(server) as anybody:
        _, document = await anybody.get("/api/openapi.json")
    validate(document)
    for route in own_routes():
        if not route.hidden:
            path = document["paths"][
                "/".join("{" + p[1:-1].split(":")[0] + "}" if p.startswith("{") else p for p in route.path.split("/"))
            ]
            assert route.method.lower() in path
    assert set(document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]) == set(texts())


async def test_health_and_metrics_tell_the_truth(server: Server) -> None:
    """Readiness names the road network in use; metrics count what happened."""
    await on_duty(server, "A1")
    async with client(server) as anybody:
        status, ready = await anybody.get("/health/ready")
        assert status == 200
        assert ready["units_on_duty"] == 1
        assert ready["approximate"] is True
        async with anybody.http.get(server.url + "/metrics") as r:
            text = await r.text()
    assert 'siaga_http_requests_total{method="POST",route="/api/v1/unit/start_duty",status="200"}' in text


async def test_a_phone_enrols_once_with_a_code_and_then_speaks_for_its_unit(server: Server) -> None:
    """The desk shows a QR code; a second phone with the same photo of it gets nothing."""
    async with client(server, "supervisor") as desk, client(server) as phone:
        status, offer = await desk.post("/api/v1/enrolments", {"unit_id": "A3"})
        assert status == 201
        status, enrolled = await phone.post("/api/v1/unit/enrol", {"code": offer["code"]})
        assert (status, enrolled["unit_id"]) == (201, "A3")
        for code in (offer["code"], offer["code"][:-1] + "x", "A3~x.ffffffff.zzzz"):
            status, problem = await phone.post("/api/v1/unit/enrol", {"code": code})
            assert (status, problem["code"]) == (403, "enrolment_invalid")
        phone.headers["Authorization"] = f"Bearer {enrolled['token']}"
        status, feed = await phone.get("/api/v1/unit/feed/poll", after=0)
        assert (status, feed["unit"]["unit_id"]) == (200, "A3")
        await desk.http.delete(server.url + "/api/v1/tokens/A3", headers=desk.headers)
        assert (await phone.get("/api/v1/unit/feed/poll", after=0))[0] == 401


async def test_other_makers_trackers_move_units_and_reach_nobody_else(server: Server) -> None:
    """A tracking server hands in fixes with the partner's token; unknown devices are refused."""
    await on_duty(server, "A1")
    stamp = datetime.now(UTC).isoformat()
    async with client(server, "exchange") as partner:
        query = {"id": "A1", "lat": "-7.2605", "lon": "112.7405", "timestamp": stamp}
        status, answer = await partner.get("/api/v1/trackers/osmand", **query)
        assert (status, answer["accepted"]) == (200, 1)
        status, problem = await partner.get("/api/v1/trackers/osmand", **{**query, "id": "Z99"})
        assert (status, problem["code"]) == (404, "unknown_unit")
    assert server.services.live.hub.positions["A1"].lon == pytest.approx(112.7405)  # type: ignore[union-attr]


async def test_trackers_sign_in_the_way_their_makers_built_them(server: Server) -> None:
    """Traccar forwards with a header, OwnTracks knows Basic sign-in and wants a list back, OsmAnd has only its address."""
    await on_duty(server, "A1")
    now = datetime.now(UTC)
    base, token = server.url + "/api/v1/trackers/", server.partner_token
    forwarded = {
        "position": {
            "id": 90, "deviceId": 4, "type": None, "protocol": "osmand", "serverTime": now.isoformat(timespec="milliseconds"),
            "deviceTime": now.isoformat(timespec="milliseconds"), "fixTime": now.isoformat(timespec="milliseconds"),
            "outdated": False, "valid": True, "latitude": -7.2603, "longitude": 112.7401, "altitude": 4.0, "speed": 3.2,
            "course": 88.0, "address": None, "accuracy": 6.0, "network": None, "geofenceIds": None,
            "attributes": {"batteryLevel": 81.0, "distance": 5.1, "totalDistance": 90321.4, "motion": True},
        },
        "device": {
            "id": 4, "attributes": {}, "groupId": 0, "calendarId": 0, "name": "Ambulans 1", "uniqueId": "A1",
            "status": "online", "lastUpdate": now.isoformat(timespec="milliseconds"), "positionId": 89, "phone": None,
            "model": None, "contact": None, "category": "van", "disabled": False, "expirationTime": None,
        },
    }  # fmt: skip
    located = {
        "_type": "location", "BSSID": "00:00:00:00:00:00", "SSID": "posko", "acc": 9, "alt": 4, "batt": 77, "bs": 1,
        "conn": "m", "created_at": int(now.timestamp()), "lat": -7.2604, "lon": 112.7402, "m": 1, "t": "u", "tid": "a1",
        "tst": int(now.timestamp()) + 2, "vac": 3, "vel": 12,
    }  # fmt: skip
    async with aiohttp.ClientSession() as http:
        bearer = {"Authorization": f"Bearer {token}"}
        async with http.post(base + "traccar", json=forwarded, headers=bearer) as r:
            assert (r.status, (await r.json())["accepted"]) == (200, 1)
        basic = {"Authorization": aiohttp.encode_basic_auth("siaga", token), "X-Limit-U": "siaga", "X-Limit-D": "A1"}
        async with http.post(base + "owntracks", json=located, headers=basic) as r:
            assert (r.status, await r.json()) == (200, [])
        async with http.post(base + "owntracks", json={"_type": "lwt", "tst": 1}, headers=basic) as r:
            assert (r.status, await r.json()) == (200, [])
        assert server.services.live.hub.positions["A1"].lat == -7.2604  # type: ignore[union-attr]
        query = {"id": "A1", "lat": "-7.2605", "lon": "112.7403", "altitude": "4.1", "hdop": "1.2", "speed": "2.9",
                 "timestamp": str(int((now.timestamp() + 4) * 1000)), "batt": "76"}  # fmt: skip
        async with http.get(base + "osmand", params={**query, "key": token}) as r:
            assert (r.status, (await r.json())["accepted"]) == (200, 1)
        form = {**query, "timestamp": str(int((now.timestamp() + 4.6) * 1000)), "lat": "-7.2606"}
        async with http.post(base + "osmand", data=form, params={"key": token}) as r:
            assert (r.status, (await r.json())["accepted"]) == (200, 1)
        when = datetime.fromtimestamp(now.timestamp() - 1, UTC).isoformat()
        coords = {"latitude": -7.2607, "longitude": 112.7404, "accuracy": 5, "speed": 3.0, "heading": 90}
        newer = {"location": {"timestamp": when, "coords": coords}, "device_id": "A1"}
        async with http.post(base + "osmand", json=newer, params={"key": token}) as r:
            assert (r.status, (await r.json())["flagged"]) == (200, [{"index": 0, "why": "out_of_order"}])
        async with http.post(base + "osmand", json={"device_id": "A1"}, params={"key": token}) as r:
            assert (r.status, (await r.json())["code"]) == (422, "invalid_body")
        async with http.post(base + "osmand", data=b"\xff", params={"key": token}) as r:
            assert r.status == 415
        for wrong in ({}, {"key": "x"}, {"key": server.unit_tokens["A1"]}):
            async with http.get(base + "osmand", params={**query, **wrong}) as r:
                assert r.status in (401, 403)
        async with http.get(server.url + "/api/v1/unit/feed/poll", params={"key": server.unit_tokens["A1"]}) as r:
            assert r.status == 401, "a key in an address opens nothing but the trackers' routes"


def test_every_refusal_of_the_engine_has_its_text() -> None:
    """A code without words would reach a person as an error of ours."""
    root = Path(__file__).resolve().parents[2] / "dispatch"
    used = set()
    for file in root.rglob("*.py"):
        used |= set(re.findall(r'(?:Rejected|Problem)\(\s*"([a-z_]+)"', file.read_text("utf-8")))
    pack_only = {c for c in used if c.startswith("pack_")}
    assert used - pack_only <= set(texts()), used - set(texts())


def test_no_route_stands_twice_in_the_table() -> None:
    """Two handlers for one address would make rights depend on luck."""
    seen = [(r.method, r.path) for r in own_routes()]
    assert len(seen) == len(set(seen))
