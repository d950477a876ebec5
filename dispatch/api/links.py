"""Signed words that need no table: the reporter's link, a device's enrolment code. Unguessable and expiring.

`<subject>.<expiry, hex seconds>.<HMAC-SHA256 of purpose, subject and expiry>`, so that a leaked one stops working by itself and
one made for one purpose is nothing for another.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import datetime, timedelta

LINK_LIFE = timedelta(hours=24)
MAC_BYTES = 16
"""128 bits: guessing is hopeless, and the link still fits a text message."""


REPORT, ENROL = "report", "enrol"


def make(secret: bytes, subject: str, now: datetime, purpose: str = REPORT, life: timedelta = LINK_LIFE) -> str:
    """Sign a subject, which must not contain a full stop."""
    expires = f"{int((now + life).timestamp()):x}"
    return f"{subject}.{expires}.{_mac(secret, purpose, subject, expires)}"


def read(secret: bytes, token: str, now: datetime, purpose: str = REPORT) -> str | None:
    """The subject, or None for a forged, damaged or expired word, or one made for another purpose."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    subject, expires, mac = parts
    if not hmac.compare_digest(mac.encode("utf-8", "surrogatepass"), _mac(secret, purpose, subject, expires).encode()):
        return None
    return subject if int(expires, 16) >= now.timestamp() else None


def _mac(secret: bytes, purpose: str, subject: str, expires: str) -> str:
    digest = hmac.new(
        secret, f"{purpose}.{subject}.{expires}".encode("utf-8", "surrogatepass"), hashlib.sha256
    ).digest()
    return base64.urlsafe_b64encode(digest[:MAC_BYTES]).rstrip(b"=").decode()
