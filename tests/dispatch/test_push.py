"""Waking a sleeping phone: what is sent can be read by that phone alone, and nothing waits for a push service."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from dispatch import metrics
from dispatch.model import Rejected
from dispatch.pusher import WAITING_MAX, Settings
from dispatch.webpush import Subscription, Voucher, b64, check, point, seal, unb64
from geo.router import StraightLineRouter
from siaga.serve import Config, Server
from tests.dispatch.server import client, new_key, public_report
from tests.dispatch.town import T0, town

CURVE = ec.SECP256R1()


def opened(body: bytes, private: ec.EllipticCurvePrivateKey, auth: bytes) -> Any:
    """What the phone's browser does with a message: RFC 8291 from the other side, written apart from ours."""
    salt, size, length = body[:16], int.from_bytes(body[16:20], "big"), body[20]
    sender, record = body[21 : 21 + length], body[21 + length :]
    assert len(record) <= size

    def derive(with_salt: bytes, info: bytes, key: bytes, bytes_wanted: int) -> bytes:
        return HKDF(algorithm=hashes.SHA256(), length=bytes_wanted, salt=with_salt, info=info).derive(key)

    shared = private.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(CURVE, sender))
    secret = derive(auth, b"WebPush: info\0" + point(private) + sender, shared, 32)
    key = derive(salt, b"Content-Encoding: aes128gcm\0", secret, 16)
    text = AESGCM(key).decrypt(derive(salt, b"Content-Encoding: nonce\0", secret, 12), record, None)
    padded = text.rstrip(b"\0")
    assert padded[-1:] == b"\x02", "the last record"
    return padded[:-1]


class Phone:
    """A browser's push keys."""

    def __init__(self, endpoint: str) -> None:
        self.private = ec.generate_private_key(CURVE)
        self.auth = bytes(range(16))
        self.subscription = Subscription(endpoint, b64(point(self.private)), b64(self.auth))

    def read(self, body: bytes) -> Any:
        return json.loads(opened(body, self.private, self.auth))


class Service:
    """A push service on loopback that keeps what it is handed."""

    def __init__(self) -> None:
        self.got: asyncio.Queue[tuple[Any, bytes]] = asyncio.Queue()
        self.status = 201
        self.hangs = asyncio.Event()
        self.hangs.set()

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.got.put_nowait((request.headers.copy(), body))
        await self.hangs.wait()
        return web.Response(status=self.status)


@asynccontextmanager
async def push_service() -> AsyncIterator[tuple[Service, str]]:
    service = Service()
    app = web.Application()
    app.router.add_post("/p/{phone}", service.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        yield service, f"http://127.0.0.1:{port}/p/"
    finally:
        service.hangs.set()
        await runner.cleanup()


@asynccontextmanager
async def waking_server(dsn: str, var: Path, *services: str) -> AsyncIterator[Server]:
    config = Config(dsn=dsn, var=var, port=0, demo=True, push=Settings("mailto:112@example.org", services))
    async with Server(config, region=town(), router=StraightLineRouter()) as server:
        yield server


def test_a_sealed_message_is_the_one_of_the_standard() -> None:
    """RFC 8291, section 5: the same keys, salt and words give the same bytes."""
    number = int.from_bytes(unb64("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"), "big")
    to = Subscription(
        "https://push.example.net/push/JzLQ3raZJfFBR0aqvOMsLrt54w4rJUsV",
        "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        "BTBZMqHH6r4Tts7J_aSIgg",
    )
    body = seal(
        b"When I grow up, I want to be a watermelon",
        to,
        salt=unb64("DGv6ra1nlYgDCS1FRnbzlw"),
        private=ec.derive_private_key(number, CURVE),
    )
    assert b64(body) == (
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_"
        "yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )


def test_our_word_to_a_service_is_signed_for_it_alone_and_ends() -> None:
    """RFC 8292: audience, end and contact under a signature that the public key of the subscription proves."""
    voucher = Voucher(bytes(32), "mailto:112@example.org")
    header = voucher.header("https://fcm.googleapis.com/fcm/send/abc", T0)
    assert header.startswith("vapid t=")
    token, key = header.removeprefix("vapid t=").split(", k=")
    head, claims, signature = token.split(".")
    raw = unb64(signature)
    public = ec.EllipticCurvePublicKey.from_encoded_point(CURVE, unb64(key))
    proof = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    public.verify(proof, f"{head}.{claims}".encode(), ec.ECDSA(hashes.SHA256()))
    said = json.loads(unb64(claims))
    assert said["aud"] == "https://fcm.googleapis.com"
    assert T0 < datetime.fromtimestamp(said["exp"], T0.tzinfo) <= T0 + timedelta(hours=24)
    assert said["sub"] == "mailto:112@example.org"
    assert Voucher(bytes(32), "").public == voucher.public, "every node with the same secret is the same sender"
    assert Voucher(b"x" * 32, "").public != voucher.public


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"endpoint": "https://127.0.0.1/admin"}, "endpoint"),
        ({"endpoint": "http://fcm.googleapis.com/x"}, "endpoint"),
        ({"endpoint": "https://fcm.googleapis.com.evil.example/x"}, "endpoint"),
        ({"endpoint": "https://x@10.0.0.1/fcm.googleapis.com"}, "endpoint"),
        ({"p256dh": b64(b"\x04" + bytes(64))}, "p256dh"),
        ({"p256dh": "?"}, "p256dh"),
        ({"auth": b64(bytes(15))}, "auth"),
    ],
)
def test_a_phone_cannot_make_us_post_anywhere_else(change: dict[str, str], field: str) -> None:
    """Only the listed services, only sound keys."""
    good = Phone("https://fcm.googleapis.com/fcm/send/abc").subscription
    check(good, Settings().services)
    said = {"endpoint": good.endpoint, "p256dh": good.p256dh, "auth": good.auth, **change}
    with pytest.raises(Rejected) as refused:
        check(Subscription(**said), Settings().services)
    assert (refused.value.code, refused.value.field) == ("push_invalid", field)


async def test_a_job_wakes_each_phone_of_the_unit_in_words_only_it_can_read(database: str, tmp_path: Path) -> None:
    """Subscribed by device; sent when the job is durable; nothing of it stands in the journal."""
    async with push_service() as (service, at), waking_server(database, tmp_path, "127.0.0.1") as server:
        phone = Phone(at + "satu")
        async with client(server, "A1") as crew, client(server) as citizen, client(server, "supervisor") as desk:
            _, offer = await crew.get("/api/v1/unit/push")
            assert (len(unb64(offer["key"])), offer["subscribed"]) == (65, False)
            body = {f: getattr(phone.subscription, f) for f in ("endpoint", "p256dh", "auth")}
            async with crew.http.put(server.url + "/api/v1/unit/push", json=body, headers=crew.headers) as r:
                assert (r.status, (await r.json())["subscribed"]) == (200, True)
            rows = (await desk.get("/api/v1/tokens"))[1]
            assert [row["push"] for row in rows if row["holder"] in ("A1", "A2")] == [True, False]
            await crew.do("start_duty", unit_id="A1", crew=["Bayu"])
            sent = metrics.pushes.labels("sent")._value.get()
            status, _ = await citizen.post("/api/v1/reports", public_report(), new_key())
            assert status == 201
            headers, sealed = await asyncio.wait_for(service.got.get(), 20)
            assert (headers["Content-Encoding"], headers["Urgency"], headers["TTL"]) == ("aes128gcm", "high", "120")
            assert headers["Authorization"].endswith(f"k={offer['key']}")
            said = phone.read(sealed)
            job = server.services.live.hub.state.units["A1"].assignment_id  # type: ignore[union-attr]
            assert (said["type"], said["assignment_id"], said["unit_id"]) == ("job", job, "A1")
            assert said["kind"] == "Medis"
            async with asyncio.timeout(20):
                while metrics.pushes.labels("sent")._value.get() == sent:  # noqa: ASYNC110 - a counter has no event
                    await asyncio.sleep(0)
            await desk.do("withdraw_unit", assignment_id=job, reason="salah lokasi")
            later, sealed = await asyncio.wait_for(service.got.get(), 20)
            assert phone.read(sealed)["type"] == "taken_back"
            assert later["Topic"] == headers["Topic"], "replaces the job that may still wait for the phone"
            _, log = await desk.get("/api/v1/history/log")
            assert phone.subscription.endpoint not in json.dumps(log)
            assert phone.subscription.auth not in json.dumps(log)


async def test_a_service_that_has_forgotten_the_phone_is_not_asked_again(database: str, tmp_path: Path) -> None:
    """410 Gone: the phone subscribes anew when its app is opened next."""
    async with push_service() as (service, at), waking_server(database, tmp_path, "127.0.0.1") as server:
        service.status = 410
        await subscribe(server, Phone(at + "satu"))
        await a_job(server)
        await asyncio.wait_for(service.got.get(), 20)
        async with asyncio.timeout(20):
            while server.services.accounts.pushed("A1"):  # type: ignore[union-attr]  # noqa: ASYNC110
                await asyncio.sleep(0)


async def test_a_closed_network_holds_up_nobody_and_is_counted(database: str, tmp_path: Path) -> None:
    """Nobody listens at that address: the job goes its way over the feed and the ladder."""
    async with waking_server(database, tmp_path, "127.0.0.1") as server:
        before = metrics.pushes.labels("unreachable")._value.get()
        await subscribe(server, Phone("http://127.0.0.1:9/p/satu"))  # port 9, discard: nothing is there
        await a_job(server)
        async with asyncio.timeout(20):
            while metrics.pushes.labels("unreachable")._value.get() == before:  # noqa: ASYNC110 - a counter has no event
                await asyncio.sleep(0)


async def test_a_service_that_never_answers_costs_a_bounded_queue_and_no_report(database: str, tmp_path: Path) -> None:
    """While every carrier hangs, messages beyond the queue are dropped and counted; commands are answered as ever."""
    async with push_service() as (service, at), waking_server(database, tmp_path, "127.0.0.1") as server:
        service.hangs.clear()
        await subscribe(server, Phone(at + "satu"))
        job = await a_job(server)
        await asyncio.wait_for(service.got.get(), 20)
        pusher = server.services.pusher  # type: ignore[union-attr]
        assert pusher is not None
        before = metrics.pushes.labels("dropped")._value.get()
        for _ in range(2 * WAITING_MAX):
            pusher._note(job, taken_back=False)
        assert pusher._waiting.qsize() <= WAITING_MAX
        assert metrics.pushes.labels("dropped")._value.get() >= before + WAITING_MAX
        async with client(server, "A1") as crew:
            await crew.do("report_en_route", assignment_id=job)


async def test_a_server_without_a_contact_wakes_nobody_and_says_so(database: str, tmp_path: Path) -> None:
    """Nothing leaves the building unless the city has said who answers for it."""
    config = Config(dsn=database, var=tmp_path, port=0, demo=True)
    async with Server(config, region=town(), router=StraightLineRouter()) as server, client(server, "A1") as crew:
        assert (await crew.get("/api/v1/unit/push"))[1] == {"key": None, "subscribed": False}
        body = {"endpoint": "https://fcm.googleapis.com/x", "p256dh": "x", "auth": "x"}
        async with crew.http.put(server.url + "/api/v1/unit/push", json=body, headers=crew.headers) as r:
            assert (r.status, (await r.json())["code"]) == (409, "push_off")


async def subscribe(server: Server, phone: Phone) -> None:
    body = {f: getattr(phone.subscription, f) for f in ("endpoint", "p256dh", "auth")}
    async with (
        client(server, "A1") as crew,
        crew.http.put(server.url + "/api/v1/unit/push", json=body, headers=crew.headers) as r,
    ):
        assert r.status == 200, await r.text()


async def a_job(server: Server) -> str:
    async with client(server, "A1") as crew, client(server) as citizen:
        await crew.do("start_duty", unit_id="A1", crew=["Bayu"])
        status, _ = await citizen.post("/api/v1/reports", public_report(), new_key())
        assert status == 201
    job = server.services.live.hub.state.units["A1"].assignment_id  # type: ignore[union-attr]
    assert job is not None
    return job
