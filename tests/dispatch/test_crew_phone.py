"""What a crew's phone may hand in, and what is refused or repaired with a reason: pictures, clocks, batches, keys."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import struct
import zlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import msgspec
import pytest
from PIL import Image

from dispatch import commands as co
from dispatch import events as ev
from dispatch.api import examples
from dispatch.api.job import premises_of
from dispatch.api.setup import TILES_MAX
from dispatch.app import own_routes
from dispatch.model import Place, Rejected, UnitState
from dispatch.photos import PIXELS_MAX, SIDE_KEPT_PX, Photos, clean
from dispatch.region import Premise
from siaga.serve import Server
from tests.dispatch.server import Client, client, new_key, public_report, town_server
from tests.dispatch.test_engine import kinds_of, report
from tests.dispatch.town import LAT, LON, T0, after, crew, make_engine, town

ENDS = (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSING)


@pytest.fixture
async def server(database: str, tmp_path: Path) -> AsyncIterator[Server]:
    async with town_server(database, tmp_path) as started:
        yield started


async def job_of(server: Server, unit_id: str = "A1") -> str:
    """The unit is on duty and has been given a report; its assignment."""
    async with client(server, unit_id) as phone, client(server) as citizen:
        await phone.do("start_duty", unit_id=unit_id, crew=["Bayu"])
        status, _ = await citizen.post("/api/v1/reports", public_report(), new_key())
        assert status == 201
    units = server.services.live.hub.state.units  # type: ignore[union-attr]
    async with asyncio.timeout(5.0):  # on a busy machine the matching of units may follow the answer
        while (job := units[unit_id].assignment_id) is None:  # noqa: ASYNC110 - no event says so
            await asyncio.sleep(0.01)
    return job


def picture(size: tuple[int, int] = (64, 48), kind: str = "JPEG", **save: Any) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, (200, 30, 30)).save(out, kind, **save)
    return out.getvalue()


async def upload(
    phone: Client, job: str, body: bytes, kind: str = "image/jpeg", key: str = "", **more: str
) -> tuple[int, Any]:
    headers = {**phone.headers, "Content-Type": kind, "Idempotency-Key": key or new_key()}
    url = f"{phone.server.url}/api/v1/unit/photos"
    async with phone.http.post(url, data=io.BytesIO(body), headers=headers, params={"assignment_id": job, **more}) as r:
        return r.status, await r.json(content_type=None)


# --- pictures


def test_a_picture_loses_everything_the_camera_wrote_into_it() -> None:
    """Position, owner and bytes behind the end are gone; the picture stands upright."""
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    exif[0x010F] = "RAHASIA"
    exif.get_ifd(0x8825)[1] = "S"
    raw = picture((64, 48), exif=exif.tobytes(), comment=b"RAHASIA") + b"RAHASIA di belakang"
    made = clean(raw)
    assert b"RAHASIA" not in made.body
    assert b"Exif" not in made.body
    with Image.open(io.BytesIO(made.body)) as again:
        assert dict(again.getexif()) == {}
        assert again.size == (48, 64) == (made.width_px, made.height_px)


def test_a_large_picture_is_made_small_enough_to_look_at() -> None:
    """A phone's camera gives more than anybody needs at the desk."""
    made = clean(picture((4000, 1000)))
    assert (made.width_px, made.height_px) == (SIDE_KEPT_PX, SIDE_KEPT_PX // 4)


def bomb(width: int, height: int) -> bytes:
    """A PNG whose header promises far more pixels than its bytes could ever be good for."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(1_000_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("raw", [bomb(60_000, 60_000), bomb(1, PIXELS_MAX + 1), picture()[:200], bomb(9, 9)[:40]])
def test_a_picture_bomb_or_a_cut_picture_is_refused_before_it_is_opened(raw: bytes) -> None:
    """A few kilobytes must not take gigabytes of memory."""
    with pytest.raises(Rejected) as refused:
        clean(raw)
    assert refused.value.code in ("photo_invalid", "photo_type")


def test_what_is_no_picture_is_refused_whatever_it_calls_itself() -> None:
    """A page with a script in it never comes to lie where pictures lie."""
    for raw in (b"", b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", b"GIF89a" + bytes(50), b"%PDF-1.7"):
        with pytest.raises(Rejected) as refused:
            clean(raw)
        assert refused.value.code == "photo_type"


async def test_only_names_of_the_right_shape_are_asked_for(pool: asyncpg.Pool) -> None:
    """Names come from addresses and are checked by shape before anybody looks for them."""
    photos = Photos(pool, "sby")
    kept = clean(picture())
    assert await photos.keep("260302-0001", kept, 1)
    assert await photos.read("260302-0001", kept.photo_id) == kept.body
    for incident, photo in (
        ("..", kept.photo_id),
        ("260302-0001", "../../secret"),
        ("260302-0001/..", kept.photo_id),
        ("260302-0001", kept.photo_id + "\x00"),
        ("260302-0002", kept.photo_id),
    ):
        with pytest.raises(Rejected):
            await photos.read(incident, photo)
    with pytest.raises(Rejected):
        await Photos(pool, "elsewhere").read("260302-0001", kept.photo_id)


async def test_a_refused_picture_is_not_kept_and_takes_no_kept_one_with_it(server: Server) -> None:
    """Under a used key another picture is refused: a new one leaves nothing behind, a known one stays to be seen."""
    job = await job_of(server)
    first, second, third = (picture((size, size)) for size in (40, 50, 60))

    async def seen(desk: Client, raw: bytes) -> int:
        path = f"/api/v1/incidents/{job.split('/')[0]}/photos/{clean(raw).photo_id}"
        async with desk.http.get(server.url + path) as r:
            return r.status

    async with client(server, "A1") as phone, client(server, "dispatcher") as desk:
        assert (await upload(phone, job, first, key="one"))[0] == 201
        assert (await upload(phone, job, second, key="two"))[0] == 201
        for again in (first, third):
            assert (await upload(phone, job, again, key="two"))[1]["code"] == "idempotency_key_reused"
        assert [await seen(desk, raw) for raw in (first, second, third)] == [200, 200, 404]


async def test_a_picture_handed_to_one_node_is_seen_at_every_other(database: str, tmp_path: Path) -> None:
    """Also when the node that took it in is gone with its disk."""
    async with town_server(database, tmp_path / "one") as one:
        job = await job_of(one)
        async with town_server(database, tmp_path / "two") as two:
            async with client(one, "A1") as phone:
                status, kept = await upload(phone, job, picture())
                assert status == 201
            path = f"/api/v1/incidents/{job.split('/')[0]}/photos/{kept['photo_id']}"
            async with client(two, "dispatcher") as desk, desk.http.get(two.url + path, headers=desk.headers) as r:
                assert (r.status, r.content_type) == (200, "image/jpeg")


async def test_a_crews_picture_reaches_the_desk_and_the_journal_but_no_stranger(server: Server) -> None:
    """Kept in the database, readable by the desk; another unit, a manager and nobody are refused."""
    job = await job_of(server)
    when = (datetime.now(UTC) - timedelta(seconds=30)).isoformat()
    async with client(server, "A1") as phone, client(server, "A2") as other, client(server, "dispatcher") as desk:
        status, kept = await upload(phone, job, picture(), device_at=when)
        assert status == 201
        assert (await upload(other, job, picture()))[1]["code"] == "not_your_job"
        assert (await upload(phone, job, b"GIF89a", "image/gif"))[0] == 415
        assert (await upload(phone, job, b"<svg/>"))[1]["code"] == "photo_type"
        assert (await upload(phone, job, bomb(60_000, 60_000), "image/png"))[1]["code"] == "photo_invalid"
        assert (await upload(phone, job, bytes(7_000_000)))[0] == 413
        incident = job.split("/")[0]
        path = f"/api/v1/incidents/{incident}/photos/{kept['photo_id']}"
        async with desk.http.get(server.url + path, headers=desk.headers) as r:
            assert (r.status, r.content_type) == (200, "image/jpeg")
            assert "no-store" in r.headers["Cache-Control"]
        assert (await desk.get(path.replace(kept["photo_id"], "f" * 20)))[0] == 404
        _, whole = await desk.get(f"/api/v1/incidents/{incident}")
        lines = [e for e in whole["timeline"] if e["event"]["kind"] == "photo_kept"]
        assert [line["event"]["photo_id"] for line in lines] == [kept["photo_id"]]
        assert datetime.fromisoformat(lines[0]["event"]["device_at"]) == datetime.fromisoformat(when)
    async with client(server, "manager") as manager, client(server) as nobody:
        assert (await manager.get(path))[0] == 403
        assert (await nobody.get(path))[0] == 401


# --- what a crew reports from the scene


def at_scene(**limits: object) -> Any:
    """An engine whose A1 has arrived, and its job."""
    engine = make_engine(**limits)
    engine.step(report(), T0)
    a = engine.state.assignments[str(engine.state.units["A1"].assignment_id)]
    engine.step(co.ReportAtScene(assignment_id=a.assignment_id), after(100), crew("A1"))
    return engine, a


def test_a_crew_that_gives_no_sign_of_life_raises_an_alarm_once_and_a_sign_ends_it() -> None:
    """Counting patients, reaching them and pressing "all well" are signs of life; leaving the scene ends the watch."""
    engine, a = at_scene(crew_check_s=600.0)
    assert a.check_due_at == after(700)
    engine.step(co.CountPatients(assignment_id=a.assignment_id, patients=3), after(400), crew("A1"))
    assert a.check_due_at == after(1000)
    assert engine.state.incidents[a.incident_id].patients == 3
    assert "crew_silent" not in kinds_of(engine.step(co.Wake(), after(999)))
    assert kinds_of(engine.step(co.Wake(), after(1000))) == ["crew_silent"]
    assert kinds_of(engine.step(co.Wake(), after(1700))) == []
    engine.step(co.ReportSafe(assignment_id=a.assignment_id), after(1710), crew("A1"))
    assert (a.silent_at, a.check_due_at) == (None, after(2310))
    engine.step(co.ReportTransporting(assignment_id=a.assignment_id), after(1800), crew("A1"))
    assert a.check_due_at is None
    assert "crew_silent" not in kinds_of(engine.step(co.Wake(), after(5000)))


def test_the_watch_over_a_crew_survives_a_restart() -> None:
    """A deadline lives in the state, not in a timer."""
    engine, _ = at_scene(crew_check_s=600.0)
    again = make_engine(on_duty=False, crew_check_s=600.0)
    restored = type(engine)(
        again.region, again.router, state=type(engine.state).restore(again.region, engine.state.snapshot())
    )
    assert kinds_of(restored.step(co.Wake(), after(700))) == ["crew_silent"]


def test_a_region_that_does_not_watch_its_crews_raises_nothing() -> None:
    """The policy is the region's own."""
    engine, a = at_scene()
    assert a.check_due_at is None
    assert "crew_silent" not in kinds_of(engine.step(co.Wake(), after(100_000)))


def test_only_the_crew_at_the_scene_can_count_patients_or_say_it_is_well() -> None:
    """Counts from the road would be guesses."""
    engine = make_engine(crew_check_s=600.0)
    engine.step(report(), T0)
    job = str(engine.state.units["A1"].assignment_id)
    for command in (co.CountPatients(assignment_id=job, patients=2), co.ReportSafe(assignment_id=job)):
        for who, code in ((crew("A1"), "illegal_transition"), (crew("A2"), "not_your_job")):
            with pytest.raises(Rejected) as refused:
                engine.step(command, after(10), who)
            assert refused.value.code == code


def test_the_notice_to_the_hospital_the_vehicle_check_and_notes_are_kept() -> None:
    """What was found at duty on stands until the next; what the hospital was told stands with the job."""
    engine = make_engine(on_duty=False)
    engine.step(co.StartDuty(unit_id="A1", crew=["Bayu"], faults=["Oksigen"]), T0, crew("A1"))
    assert engine.state.units["A1"].faults == ["Oksigen"]
    engine.step(report(), after(1))
    a = engine.state.assignments[str(engine.state.units["A1"].assignment_id)]
    note = co.NoteIncident(incident_id=a.incident_id, text="gang sempit", device_at=after(5))
    engine.step(note, after(60), crew("A1"))
    assert engine.state.incidents[a.incident_id].notes == ["gang sempit"]
    engine.step(co.ReportAtScene(assignment_id=a.assignment_id), after(100), crew("A1"))
    notice = co.ReportTransporting(assignment_id=a.assignment_id, hospital_id="rs2", notice="patah tulang, sadar")
    [line] = [e for e in engine.step(notice, after(200), crew("A1")) if isinstance(e.event, ev.UnitTransporting)]
    assert (line.event.hospital_id, line.event.notice, a.notice) == (
        "rs2",
        "patah tulang, sadar",
        "patah tulang, sadar",
    )


async def test_the_feed_names_the_hospital_and_the_nearest_ones_can_be_chosen(server: Server) -> None:
    """By road from where the unit is; the phone shows names, not codes."""
    job = await job_of(server)
    async with client(server, "A1") as phone:
        status, offered = await phone.get("/api/v1/unit/hospitals")
        assert status == 200
        assert [h["hospital_id"] for h in offered] == ["rs1", "rs2"]
        assert offered[0]["eta_s"] < offered[1]["eta_s"]
        await phone.do("report_at_scene", assignment_id=job)
        await phone.do("report_transporting", assignment_id=job, hospital_id="rs2")
        _, feed = await phone.get("/api/v1/unit/feed/poll", after=0)
        assert feed["job"]["hospital"]["name"] == "RS Dua"


async def test_a_crew_sees_the_queue_of_ambulances_at_a_hospital_before_it_chooses(server: Server) -> None:
    """How many of ours stand there, how long the first has waited, how many are on their way; one's own does not count."""

    async def queue_of(phone: Client) -> tuple[int, int, bool]:
        _, offered = await phone.get("/api/v1/unit/hospitals")
        found = next(h for h in offered if h["hospital_id"] == "rs2")
        return found["units_there"], found["units_coming"], found["waited_s"] is not None

    job = await job_of(server)
    async with client(server, "A1") as phone, client(server, "A2") as other:
        await other.do("start_duty", unit_id="A2", crew=["Sari"])
        await phone.do("report_at_scene", assignment_id=job)
        assert await queue_of(other) == (0, 0, False)
        await phone.do("report_transporting", assignment_id=job, hospital_id="rs2")
        assert await queue_of(other) == (0, 1, False)
        await phone.do("report_at_hospital", assignment_id=job)
        assert await queue_of(other) == (1, 0, True)
        assert await queue_of(phone) == (0, 0, False)
        await phone.do("report_clear", assignment_id=job)
        assert await queue_of(other) == (0, 0, False)


# --- two devices, copied keys


async def enrol(server: Server, unit_id: str, session: aiohttp.ClientSession) -> tuple[int, Any]:
    async with client(server, "supervisor") as desk:
        status, offer = await desk.post("/api/v1/enrolments", {"unit_id": unit_id})
        if status != 201:
            return status, offer
        async with session.post(server.url + "/api/v1/unit/enrol", json={"code": offer["code"]}) as r:
            return r.status, await r.json()


async def heard(socket: aiohttp.ClientWebSocketResponse, kind: str | None = None) -> Any:
    """The next message of this feed, or the next that is not a heartbeat and of that kind."""
    while True:
        message = await asyncio.wait_for(socket.receive(), 20)
        assert message.type is aiohttp.WSMsgType.TEXT, message
        data = json.loads(message.data)
        if kind is None or data["type"] == kind:
            return data


async def test_the_second_device_of_a_unit_rings_when_the_first_does_not_answer_or_is_gone(server: Server) -> None:
    """Both have the job at once; receipts tell which phone has it; a third phone is refused with a way out."""
    async with aiohttp.ClientSession() as session:
        keys = [(await enrol(server, "A3", session))[1]["token"] for _ in range(2)]
        assert (await enrol(server, "A3", session))[1]["code"] == "too_many_devices"
        url = server.url + "/api/v1/unit/feed"
        heads = [{"Authorization": f"Bearer {key}"} for key in keys]
        async with session.ws_connect(url, headers=heads[0]) as first:
            await heard(first, "hello")
            async with session.ws_connect(url, headers=heads[1]) as second:
                await heard(second, "hello")
                await job_of(server, "A3")
                jobs = []
                for socket in (first, second):
                    while not (message := await heard(socket, "job"))["job"]:
                        pass
                    jobs.append(message)
                assert [j["ring"] for j in jobs] == [True, False]
                job = jobs[0]["job"]["assignment"]["assignment_id"]
                for head in heads:
                    receipt = {"assignment_id": job, "step": "delivered", "device": "dikarang"}
                    async with session.post(server.url + "/api/v1/unit/receipt_job", json=receipt, headers=head) as r:
                        assert r.status == 200
                receipts = server.services.live.hub.state.assignments[job].receipts  # type: ignore[union-attr]
                assert len(receipts) == 2
                assert all(not name.startswith("dikarang") for name in receipts)
                await first.close()
                while not (await heard(second, "job"))["ring"]:
                    pass


async def test_a_copied_key_throws_the_other_phone_out_and_tells_it_why(server: Server) -> None:
    """One key, one feed: the newest is served, the other learns why, and a revoked key opens nothing."""
    async with client(server, "A1") as phone, client(server, "A1") as twin:
        async with phone.socket("/api/v1/unit/feed") as first:
            await heard(first, "hello")
            async with twin.socket("/api/v1/unit/feed") as second:
                await heard(second, "hello")
                await heard(first, "elsewhere")
                assert (await asyncio.wait_for(first.receive(), 20)).type in ENDS
                assert (await twin.get("/api/v1/unit/feed/poll", after=0))[0] == 200
        async with client(server, "supervisor") as desk:
            await desk.http.delete(server.url + "/api/v1/tokens/A1", headers=desk.headers)
        assert (await twin.get("/api/v1/unit/feed/poll", after=0))[0] == 401


async def test_a_lost_phone_is_shut_out_at_once_and_the_units_other_one_works_on(server: Server) -> None:
    """One device is revoked by its name: its open feed ends with a word, its key opens nothing; a new phone may take its place."""
    async with aiohttp.ClientSession() as session, client(server, "supervisor") as desk:
        keys = [(await enrol(server, "A3", session))[1]["token"] for _ in range(2)]
        heads = [{"Authorization": f"Bearer {key}"} for key in keys]
        url = server.url + "/api/v1/unit/feed"
        async with session.ws_connect(url, headers=heads[0]) as lost, session.ws_connect(url, headers=heads[1]) as kept:
            await heard(lost, "hello")
            await heard(kept, "hello")
            rows = [row for row in (await desk.get("/api/v1/tokens"))[1] if row["holder"] == "A3" and not row["demo"]]
            assert [row["connected"] for row in rows] == [True, True]
            device = rows[0]["device"]
            assert hashlib.sha256(keys[0].encode()).hexdigest().startswith(device), "the older key is listed first"
            async with desk.http.delete(f"{server.url}/api/v1/tokens/A3/{device}", headers=desk.headers) as r:
                assert (r.status, await r.json()) == (200, {"revoked": 1})
            await heard(lost, "revoked")
            assert (await asyncio.wait_for(lost.receive(), 20)).type in ENDS
            await job_of(server, "A3")
            while not (await heard(kept, "job"))["job"]:
                pass
        for head, status in zip(heads, (401, 200), strict=True):
            async with session.get(url + "/poll", headers=head) as r:
                assert r.status == status
        async with desk.http.delete(f"{server.url}/api/v1/tokens/A3/{device}", headers=desk.headers) as r:
            assert (r.status, (await r.json())["code"]) == (404, "unknown_device")
        assert (await enrol(server, "A3", session))[0] == 201


async def test_what_waits_for_a_unit_is_told_beside_its_job_and_never_instead_of_it(server: Server) -> None:
    """The only ambulance on duty is busy: its phone hears that another emergency waits, and gets it when it is free."""
    job = await job_of(server)
    async with client(server, "A1") as phone, client(server) as citizen:
        _, alone = await phone.get("/api/v1/unit/feed/poll", after=0)
        assert alone["waiting"] is None
        status, second = await citizen.post("/api/v1/reports", public_report(dlon=0.02), new_key())
        assert status == 201
        incident = server.services.live.hub.state.reports[second["report_id"]].incident_id  # type: ignore[union-attr]
        async with asyncio.timeout(5.0):  # on a busy machine the matching of units may follow the answer
            while (both := (await phone.get("/api/v1/unit/feed/poll", after=0))[1])["waiting"] is None:  # noqa: ASYNC110 - no event says so
                await asyncio.sleep(0.01)
        assert both["job"]["assignment"]["assignment_id"] == job
        assert both["waiting"]["incident_id"] == incident
        for step in ("report_en_route", "report_at_scene", "report_clear"):
            await phone.do(step, assignment_id=job)
        _, freed = await phone.get("/api/v1/unit/feed/poll", after=0)
        assert freed["job"]["incident"]["incident_id"] == incident
        assert freed["waiting"] is None


async def test_a_phone_learns_what_it_keeps_for_a_day_without_a_line(server: Server) -> None:
    """A bounded set of tiles that covers the unit's own district, and the words to choose from."""
    async with client(server, "A1") as phone:
        _, setup = await phone.get("/api/v1/unit/setup")
    west, south, east, north = setup["district"]
    assert west < LON < east
    assert south < LAT < north
    assert 0 < len(setup["tiles"]) <= TILES_MAX
    assert {t.split("/")[0] for t in setup["tiles"]} == {"11", "12", "13", "14", "15"}
    assert setup["posts"]["pusat"] == "Pos Pusat"


def test_what_is_known_about_a_place_is_told_to_whoever_comes_near_it() -> None:
    """The nearest first; the report's own blur counts, but one that is vaguer than a block warns of no single house."""
    here = Premise("P-1", "Gudang", LON, LAT, 50.0, "Tabung gas", "Gas bottles")
    next_door = Premise("P-2", "Bengkel", LON + 0.0003, LAT, 50.0, "Anjing galak", "Fierce dog")
    far = Premise("P-3", "Pabrik", LON + 0.02, LAT, 100.0, "Amonia", "Ammonia")
    region = msgspec.structs.replace(town(), premises={p.code: p for p in (far, next_door, here)})

    def told(dlon: float, accuracy_m: float | None) -> list[str]:
        return [n.name for n in premises_of(region, Place(lon=LON + dlon, lat=LAT, accuracy_m=accuracy_m))]

    assert told(0.0, None) == ["Gudang", "Bengkel"]
    assert told(-0.001, None) == []
    assert told(-0.001, 80.0) == ["Gudang"]
    assert told(0.01, 5000.0) == []


def test_every_route_of_a_phone_has_an_example_that_its_own_schema_takes() -> None:
    """What the document shows can be sent as it stands."""
    table = {(r.method, r.path): r for r in own_routes() if r.path.startswith("/api/v1/unit/")}
    assert {k for k, r in table.items() if r.body is not None} == set(examples.BODIES)
    assert {k for k, r in table.items() if r.answer is not None and not r.hidden} == set(examples.ANSWERS)
    for key, body in examples.BODIES.items():
        msgspec.json.decode(json.dumps(body), type=table[key].body)
    for key, answer in examples.ANSWERS.items():
        msgspec.json.decode(json.dumps(answer), type=table[key].answer)


async def test_a_phone_left_in_the_office_does_not_move_the_unit(server: Server) -> None:
    """Positions come from the device that its crew uses; the other one's are flagged, not mixed in."""

    def fix(lon: float, s: float) -> dict[str, Any]:
        at = (datetime.now(UTC) + timedelta(seconds=s)).isoformat()
        return {"fixes": [{"lon": lon, "lat": LAT, "fixed_at": at}]}

    async with aiohttp.ClientSession() as session:
        tokens = [(await enrol(server, "A3", session))[1]["token"] for _ in range(2)]
        left, used = ({"Authorization": f"Bearer {t}"} for t in tokens)

        async def post(verb: str, body: Any, head: dict[str, str]) -> Any:
            async with session.post(f"{server.url}/api/v1/unit/{verb}", json=body, headers=head) as r:
                return await r.json()

        assert (await post("fixes", fix(LON, -20), left))["accepted"] == 1
        assert (await post("fixes", fix(LON, -19), used))["flagged"] == [{"index": 0, "why": "other_device"}]
        await post("start_duty", {"unit_id": "A3", "crew": ["Bayu"]}, used)
        assert (await post("fixes", fix(LON, -18), left))["flagged"][0]["why"] == "other_device"
        assert (await post("fixes", fix(LON + 0.0001, -1), used))["accepted"] == 1


async def test_foreign_tokens_are_refused_everywhere_a_crew_may_go(server: Server) -> None:
    """Nobody's, a partner's and a cut key: refused with a code, before anything is read."""
    async with client(server, "A1") as phone, client(server, "exchange") as partner, client(server) as nobody:
        cut = Client(server, nobody.http, {"Authorization": phone.headers["Authorization"][:-1]})
        body = {"unit_id": "A1", "crew": []}
        assert (await partner.post("/api/v1/unit/start_duty", body))[0] == 403
        for stranger in (nobody, cut):
            assert (await stranger.post("/api/v1/unit/start_duty", body))[0] == 401
            assert (await stranger.get("/api/v1/unit/feed/poll", after=0))[0] == 401
            assert (await upload(stranger, "260302-0001/1", picture()))[0] == 401
    assert server.services.live.hub.state.units["A1"].state is UnitState.OFF_DUTY  # type: ignore[union-attr]


# --- clocks, batches, duty


async def test_a_clock_two_hours_wrong_is_named_so_that_the_phone_can_mend_it_and_nothing_is_lost(
    server: Server,
) -> None:
    """The refusal says by how much; the same step with the mended time is taken, and both times stand in the journal."""
    job = await job_of(server)
    pressed_at = datetime.now(UTC) - timedelta(seconds=40)
    async with client(server, "A1") as phone, client(server, "dispatcher") as desk:
        wrong = {"assignment_id": job, "device_at": (pressed_at + timedelta(hours=2)).isoformat()}
        status, problem = await phone.post("/api/v1/unit/report_en_route", wrong)
        assert (status, problem["code"], problem["field"]) == (422, "time_in_future", "device_at")
        assert problem["detail"]["ahead_s"] == pytest.approx(7160, abs=30)
        late = (pressed_at - timedelta(hours=2)).isoformat()  # two hours slow: late truth, kept beside our own time
        await phone.do("receipt_job", assignment_id=job, step="seen", device_at=late)
        await phone.do("report_en_route", assignment_id=job, device_at=pressed_at.isoformat())
        _, whole = await desk.get(f"/api/v1/incidents/{job.split('/')[0]}")
    line = next(e for e in whole["timeline"] if e["event"]["kind"] == "unit_en_route")
    assert datetime.fromisoformat(line["event"]["device_at"]) == pressed_at
    assert datetime.fromisoformat(line["at"]) > pressed_at
    a = server.services.live.hub.state.assignments[job]  # type: ignore[union-attr]
    assert a.seen_at is not None
    assert a.seen_at > pressed_at
    assert a.device_at["seen"] == pressed_at - timedelta(hours=2)


async def test_batches_that_come_twice_or_in_the_wrong_order_move_nothing_backwards(server: Server) -> None:
    """Every point is taken once; a second batch of older points is flagged, point by point."""
    now = datetime.now(UTC)

    def batch(*seconds: int) -> dict[str, Any]:
        return {
            "fixes": [
                {"lon": LON + s * 1e-5, "lat": LAT, "fixed_at": (now + timedelta(seconds=s)).isoformat()}
                for s in seconds
            ]
        }

    async with client(server, "A1") as phone:
        await phone.do("start_duty", unit_id="A1", crew=["Bayu"])
        assert (await phone.post("/api/v1/unit/fixes", batch(-30, -20, -10)))[1]["accepted"] == 3
        _, again = await phone.post("/api/v1/unit/fixes", batch(-30, -20, -10))
        assert [f["why"] for f in again["flagged"]] == ["out_of_order", "out_of_order", "repeated"]
        _, older = await phone.post("/api/v1/unit/fixes", batch(-60, -50))
        assert [f["why"] for f in older["flagged"]] == ["out_of_order", "out_of_order"]
    position = server.services.live.hub.positions["A1"]  # type: ignore[union-attr]
    assert position.fixed_at == now - timedelta(seconds=10)


async def test_steps_that_come_twice_or_in_the_wrong_order_are_answered_and_never_run_back(server: Server) -> None:
    """A queue sent again after a tunnel gets its first answers; an earlier step after a later one changes nothing."""
    job = await job_of(server)
    async with client(server, "A1") as phone:
        key = new_key()
        first = await phone.post("/api/v1/unit/report_at_scene", {"assignment_id": job, "by": "button"}, key)
        assert first[0] == 200
        assert await phone.post("/api/v1/unit/report_at_scene", {"assignment_id": job, "by": "button"}, key) == first
        status, _ = await phone.post("/api/v1/unit/receipt_job", {"assignment_id": job, "step": "delivered"})
        assert status == 200
        status, problem = await phone.post("/api/v1/unit/report_en_route", {"assignment_id": job})
        assert (status, problem["code"]) == (409, "illegal_transition")
    a = server.services.live.hub.state.assignments[job]  # type: ignore[union-attr]
    assert str(a.state) == "at_scene"


async def test_a_unit_off_duty_gets_no_job_and_cannot_leave_duty_with_one(server: Server) -> None:
    """Sending it is refused with a reason; going off duty in a job is refused as well."""
    job = await job_of(server)
    incident = job.split("/")[0]
    async with client(server, "dispatcher") as desk, client(server, "A1") as phone:
        body = {"incident_id": incident, "unit_id": "A2", "reason": "terdekat"}
        status, problem = await desk.post("/api/v1/commands/assign_unit", body)
        assert (status, problem["code"], problem["detail"]["state"]) == (409, "unit_not_free", "off_duty")
        status, problem = await phone.post("/api/v1/unit/end_duty", {"unit_id": "A1"})
        assert (status, problem["code"]) == (409, "illegal_transition")


async def test_the_long_poll_brings_the_job_and_resumes_where_it_was(server: Server) -> None:
    """Where web sockets do not pass: an answer at once when something is new, else when it happens."""
    async with client(server, "A1") as phone, client(server) as citizen:
        await phone.do("start_duty", unit_id="A1", crew=["Bayu"])
        _, present = await phone.get("/api/v1/unit/feed/poll", after=0)
        waiting = asyncio.create_task(phone.get("/api/v1/unit/feed/poll", after=present["seq"]))
        await citizen.post("/api/v1/reports", public_report(), new_key())
        _, news = await asyncio.wait_for(waiting, 20)
        assert news["job"]["assignment"]["unit_id"] == "A1"
        assert news["ring"] is True
