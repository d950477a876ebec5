"""Web Push: one message sealed for one phone (RFC 8291) and our word for it to the push service (VAPID, RFC 8292). Pure.

The push service between us and the phone sees how long a message is and when it comes, never what it says. Nothing here
does I/O; `pusher.py` carries the result.
"""

from __future__ import annotations

import base64
import secrets
from datetime import datetime, timedelta
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dispatch.model import Rejected

CURVE = ec.SECP256R1()
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of P-256 (FIPS 186-5): a private key is a number from 1 to one less."""
POINT_BYTES = 65
SALT_BYTES = 16
AUTH_BYTES = 16
RECORD_BYTES = 4096
"""Declared record size; a push message is a single record (RFC 8291, section 4)."""
PAYLOAD_BYTES_MAX = 3000
"""Services must take 4,096 bytes of body (RFC 8030, section 7.2); 103 of them are ours."""
VOUCHER_LIFE = timedelta(hours=12)
"""At most 24 h (RFC 8292, section 2)."""
DEFAULT_SERVICES = (
    "fcm.googleapis.com",
    "updates.push.services.mozilla.com",
    "*.notify.windows.com",
    "web.push.apple.com",
)
"""Whom browsers name. A phone says where to post, so a list keeps a phone from making us post into our own network."""


class Subscription(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where one phone's browser takes messages, and its keys (base64url), as `PushManager.subscribe` gives them."""

    endpoint: Annotated[str, msgspec.Meta(min_length=10, max_length=1000)]
    p256dh: Annotated[str, msgspec.Meta(max_length=100)]
    auth: Annotated[str, msgspec.Meta(max_length=40)]


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


JWT_HEAD = b64(b'{"typ":"JWT","alg":"ES256"}')


def unb64(text: str) -> bytes:
    """Raises ValueError."""
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def check(subscription: Subscription, services: tuple[str, ...]) -> None:
    """Raises Rejected("push_invalid", field) for keys nobody could open and for services that are not on the list."""
    parts = urlsplit(subscription.endpoint)
    local = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1") and parts.hostname in services
    if not (parts.scheme == "https" or local) or not _listed(parts.hostname or "", services):
        raise Rejected("push_invalid", "endpoint")
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(CURVE, unb64(subscription.p256dh))
    except ValueError:
        raise Rejected("push_invalid", "p256dh") from None
    try:
        if len(unb64(subscription.auth)) != AUTH_BYTES:
            raise ValueError
    except ValueError:
        raise Rejected("push_invalid", "auth") from None


def _listed(host: str, services: tuple[str, ...]) -> bool:
    return any(host == s or (s.startswith("*.") and host.endswith(s[1:])) for s in services)


def seal(
    payload: bytes,
    subscription: Subscription,
    *,
    salt: bytes | None = None,
    private: ec.EllipticCurvePrivateKey | None = None,
) -> bytes:
    """The body to post: header and one encrypted record, RFC 8291 section 3.4 over RFC 8188. `salt` and `private` are drawn
    anew for every message unless given (the RFC's example).
    """
    assert len(payload) <= PAYLOAD_BYTES_MAX, "a message longer than every service must take"
    salt = salt if salt is not None else secrets.token_bytes(SALT_BYTES)
    private = private if private is not None else ec.generate_private_key(CURVE)
    theirs = unb64(subscription.p256dh)
    ours = point(private)
    shared = private.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(CURVE, theirs))
    key = _hkdf(unb64(subscription.auth), b"WebPush: info\0" + theirs + ours, shared, 32)
    content_key = _hkdf(salt, b"Content-Encoding: aes128gcm\0", key, 16)
    nonce = _hkdf(salt, b"Content-Encoding: nonce\0", key, 12)
    record = AESGCM(content_key).encrypt(nonce, payload + b"\x02", None)  # 2 = the last record
    return salt + RECORD_BYTES.to_bytes(4, "big") + bytes([len(ours)]) + ours + record


def _hkdf(salt: bytes, info: bytes, key: bytes, length: int) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=length, salt=salt, info=info).derive(key)


def point(private: ec.EllipticCurvePrivateKey) -> bytes:
    """The public half, uncompressed."""
    return private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


class Voucher:
    """Our identity towards push services. Made from the installation's secret, so that every node has the same and there is no
    second key to keep; another secret means that phones subscribe anew.
    """

    def __init__(self, secret: bytes, contact: str) -> None:
        number = int.from_bytes(_hkdf(b"", b"siaga web push identity", secret, 48), "big")
        self._private = ec.derive_private_key(number % (ORDER - 1) + 1, CURVE)
        self.contact = contact
        """Whom the service may write to, `mailto:` or `https:` (RFC 8292, section 2.1)."""
        self.public = b64(point(self._private))
        """What a phone subscribes with."""

    def header(self, endpoint: str, now: datetime) -> str:
        """The Authorization header for one service."""
        parts = urlsplit(endpoint)
        claims = {
            "aud": f"{parts.scheme}://{parts.netloc}",
            "exp": int((now + VOUCHER_LIFE).timestamp()),
            "sub": self.contact,
        }
        said = f"{JWT_HEAD}.{b64(msgspec.json.encode(claims))}"
        r, s = decode_dss_signature(self._private.sign(said.encode(), ec.ECDSA(hashes.SHA256())))
        return f"vapid t={said}.{b64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}, k={self.public}"
