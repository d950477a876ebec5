"""The reporter's link: unguessable, expiring, and needing no table.

`<report id>.<expiry, hex seconds>.<HMAC-SHA256 of both>`, so that a leaked link stops working by itself.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import datetime, timedelta

LINK_LIFE = timedelta(hours=24)
MAC_BYTES = 16
"""128 bits: guessing is hopeless, and the link still fits a text message."""


def make(secret: bytes, report_id: str, now: datetime) -> str:
    expires = f"{int((now + LINK_LIFE).timestamp()):x}"
    return f"{report_id}.{expires}.{_mac(secret, report_id, expires)}"


def read(secret: bytes, token: str, now: datetime) -> str | None:
    """The report id, or None for a forged, damaged or expired link."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    report_id, expires, mac = parts
    if not hmac.compare_digest(mac.encode(), _mac(secret, report_id, expires).encode()):
        return None
    return report_id if int(expires, 16) >= now.timestamp() else None


def _mac(secret: bytes, report_id: str, expires: str) -> str:
    digest = hmac.new(secret, f"{report_id}.{expires}".encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest[:MAC_BYTES]).rstrip(b"=").decode()
