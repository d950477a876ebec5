"""What stands between the server and the world when it is installed for good: TLS, proxies, a database that is away, the nodes."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import re
import ssl
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import asyncpg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from dispatch.database import connect
from geo.router import StraightLineRouter
from siaga import doctor
from siaga.doctor import State
from siaga.postgres import EmbeddedPostgres
from siaga.serve import DEMO_PASSWORD, Config, DatabaseAway, Server, prepare_database, secret_digest
from siaga.tls import Certificate
from tests.dispatch.town import town

PROJECT = Path(__file__).resolve().parents[2]


def make_certificate(folder: Path, name: str = "one") -> tuple[Path, Path]:
    """Self-signed, for 127.0.0.1."""
    secret = ec.generate_private_key(ec.SECP256R1())
    called = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now_at = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(called, called, secret.public_key(), x509.random_serial_number())
        .not_valid_before(now_at - timedelta(hours=1))
        .not_valid_after(now_at + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(secret, hashes.SHA256())
    )
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    certificate.write_bytes(made.public_bytes(Encoding.PEM))
    key.touch(mode=0o600)
    key.write_bytes(secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return certificate, key


@pytest.fixture
async def served(database: str, tmp_path: Path) -> AsyncIterator[tuple[Server, Path]]:
    certificate, key = make_certificate(tmp_path)
    config = Config(dsn=database, var=tmp_path / "var", port=0, demo=True, tls_certificate=certificate, tls_key=key)
    async with Server(config, region=town(), router=StraightLineRouter()) as server:
        yield server, certificate


async def test_the_server_speaks_tls_and_binds_browsers_to_it(served: tuple[Server, Path]) -> None:
    """HSTS on every answer, cookies that never travel in the open, and plain HTTP is no way in."""
    server, certificate = served
    assert server.url.startswith("https://")
    trust = ssl.create_default_context(cafile=str(certificate))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as session:
        body = {"username": "dispatcher", "password": DEMO_PASSWORD}
        async with session.post(server.url + "/api/v1/session", json=body) as answer:
            assert answer.status == 200
            assert answer.headers["Strict-Transport-Security"].startswith("max-age=31536000")
            assert all(cookie["secure"] and cookie["httponly"] for cookie in answer.cookies.values())
        async with session.get(server.url + "/api/v1/nothing") as answer:
            assert answer.status == 404
            assert "Strict-Transport-Security" in answer.headers
        with pytest.raises((aiohttp.ClientError, OSError)):
            await session.get(server.url.replace("https", "http") + "/health/live")


@pytest.mark.parametrize(
    ("version", "ciphers"),
    [(ssl.TLSVersion.TLSv1_1, "ALL:@SECLEVEL=0"), (ssl.TLSVersion.TLSv1_2, "AES128-SHA:AES256-SHA")],
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_what_is_broken_is_not_spoken(served: tuple[Server, Path], version: ssl.TLSVersion, ciphers: str) -> None:
    """Neither old versions nor suites without forward secrecy."""
    server, _ = served
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.minimum_version = old.maximum_version = version
    old.set_ciphers(ciphers)
    host, port = server.url.removeprefix("https://").split(":")
    with pytest.raises(OSError):  # noqa: PT011 - ssl.SSLError or a closed connection
        await asyncio.open_connection(host, int(port), ssl=old)


def test_a_renewed_certificate_is_taken_over_and_a_broken_one_is_not(tmp_path: Path) -> None:
    """Renewal is two files written one after the other; between them the old pair stays."""
    certificate, key = make_certificate(tmp_path)
    ours = Certificate(certificate, key)
    assert not ours.look_again()
    other, other_key = make_certificate(tmp_path, "two")
    os.utime(other, (1, 1))
    other.replace(certificate)
    assert not ours.look_again()  # its key has not come yet
    other_key.replace(key)
    assert ours.look_again()


def test_a_key_that_everybody_may_read_is_refused(tmp_path: Path) -> None:
    """It is told when the server starts, not when the key has been stolen."""
    certificate, key = make_certificate(tmp_path)
    key.chmod(0o644)
    with pytest.raises(ValueError, match="chmod"):
        Certificate(certificate, key)


async def test_no_answer_lets_inline_scripts_or_styles_run(served: tuple[Server, Path]) -> None:
    """API, pages and errors alike."""
    server, certificate = served
    trust = ssl.create_default_context(cafile=str(certificate))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as session:
        for path in (
            "/",
            "/konsol",
            "/awak",
            "/lapor",
            "/dasbor",
            "/dinding",
            "/api/v1/kinds",
            "/nowhere",
            "/api/openapi.json",
        ):
            async with session.get(server.url + path) as answer:
                policy = answer.headers["Content-Security-Policy"]
                assert "unsafe" not in policy, path
                assert "frame-ancestors 'none'" in policy, path
                assert answer.headers["X-Content-Type-Options"] == "nosniff", path


# --- a database that is away


async def test_a_node_does_not_start_without_the_database(tmp_path: Path) -> None:
    """It says so, in one line, with a status that makes its supervisor try again; nothing was acknowledged by it."""
    with pytest.raises(DatabaseAway):
        await prepare_database(f"postgresql://postgres@/x?host={tmp_path}")
    done = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "siaga.cli", "serve", "--database-url", f"postgresql://postgres@/x?host={tmp_path}",
        "--var", str(tmp_path / "var"), "--port", "0",
        cwd=PROJECT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, said = await done.communicate()
    assert done.returncode == 75, said.decode()
    assert b"Basis data tidak terjangkau" in said
    assert b"Traceback" not in said


# --- the nodes


async def test_nodes_with_different_secrets_are_found(cluster: EmbeddedPostgres, database: str) -> None:
    """Links of one would be forgeries to the other."""
    owner = await connect(database, role=None)
    try:
        assert (await doctor.check_nodes(owner, b"x" * 32)).state is State.WARN
        for name in ("a:8112", "b:8112"):
            await put(owner, name, b"one secret")
        assert (await doctor.check_nodes(owner, secret_digest(b"one secret"))).state is State.OK
        other = await doctor.check_nodes(owner, secret_digest(b"what this machine has"))
        assert other.state is State.BAD
        assert "SIAGA_SECRET_FILE" in other.advice
        await put(owner, "b:8112", b"another secret")
        assert (await doctor.check_nodes(owner, None)).state is State.BAD
        await owner.execute("UPDATE node SET seen_at = seen_at - interval '3 hours' WHERE name = 'b:8112'")
        assert (await doctor.check_nodes(owner, None)).state is State.WARN  # one server left
    finally:
        await owner.close()


async def put(owner: asyncpg.Connection, name: str, secret: bytes) -> None:
    from dispatch.statements import SQL

    await owner.execute(SQL["put_node"], name, f"http://{name}", "1.0", secret_digest(secret))


async def test_a_running_server_says_that_it_serves(served: tuple[Server, Path], database: str) -> None:
    """Name, release, and the digest of its secret, never the secret."""
    server, _ = served
    assert server.services is not None
    owner = await connect(database, role=None)
    try:
        async with asyncio.timeout(20.0):
            while (row := await owner.fetchrow("SELECT * FROM node")) is None:  # noqa: ASYNC110 - a row
                await asyncio.sleep(0.05)
    finally:
        await owner.close()
    assert bytes(row["secret_digest"]) == secret_digest(server.services.secret)
    assert server.services.secret not in bytes(row["secret_digest"])
    assert row["name"].endswith(server.url.rpartition(":")[2])


# --- the runbook


def test_the_runbook_has_a_page_for_every_alert_and_no_other() -> None:
    """Whoever is woken up finds what to do under the alert's own name."""
    alerts: set[str] = set()
    for rules in (PROJECT / "dashboards" / "prometheus").glob("*.rules.yml"):
        text = rules.read_text()
        alerts |= set(re.findall(r"- alert: (\w+)", text))
    runbook = (PROJECT / "docs" / "runbook.md").read_text()
    pages = set(re.findall(r"^## (\w+)$", runbook, re.MULTILINE))
    assert alerts <= pages
    assert all(title in alerts for title in pages if re.fullmatch(r"([A-Z][a-z]+){2,}", title))
