"""Whatever comes in from outside or from a damaged disk is understood or refused in the one way its parser promises.

The socket, the routes, links and headers are in `test_fuzz.py`; the spool in `tests/contract/test_spool.py`; the region pack,
questions, addresses, texts and trackers' queries with their rooms.
"""

from __future__ import annotations

import contextlib
import io
import json
from typing import Any

import hypothesis
import msgspec
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from multidict import CIMultiDict
from PIL import Image

from dispatch.api.forward import client_address, is_secure, stamped
from dispatch.database import each_host
from dispatch.events import KINDS
from dispatch.fold import State
from dispatch.journal import JournalCorrupt, decode_event
from dispatch.model import Rejected
from dispatch.photos import clean
from dispatch.trackers import OwnTracksMessage, TraccarMessage, from_owntracks, from_traccar
from tests.dispatch.town import town

quick = hypothesis.settings(
    max_examples=200, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
few = hypothesis.settings(quick, max_examples=60)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


def picture(kind: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 48), (200, 30, 30)).save(out, kind)
    return out.getvalue()


def made_of(raw: bytes) -> bytes | None:
    """The picture, or None when it was refused by one of the two codes that people are shown."""
    try:
        return clean(raw).body
    except Rejected as refusal:
        if refusal.code in ("photo_type", "photo_invalid"):
            return None
        raise


PICTURES = [picture(kind) for kind in ("JPEG", "PNG", "WEBP")]


@few
@given(st.binary(max_size=400))
def test_bytes_that_are_no_picture_are_refused(raw: bytes) -> None:
    """By name, and never by a crash of the decoder."""
    assert made_of(raw) is None


@few
@given(st.sampled_from(PICTURES), st.data())
def test_a_damaged_picture_is_made_anew_or_refused(raw: bytes, data: st.DataObject) -> None:
    """Bits flipped, bytes missing, bytes added: what comes out is a JPEG of ours, or nothing."""
    damaged = bytearray(raw)
    for _ in range(data.draw(st.integers(0, 6))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    damaged = damaged[: data.draw(st.integers(1, len(damaged)))] + data.draw(st.binary(max_size=30))
    made = made_of(bytes(damaged))
    assert made is None or made.startswith(b"\xff\xd8\xff")


@quick
@given(
    st.sampled_from(sorted(KINDS)) | st.text(max_size=20),
    st.binary(max_size=80) | JSON.map(lambda v: json.dumps(v).encode()),
)
def test_a_damaged_line_is_corrupt_and_nothing_else(kind: str, body: bytes) -> None:
    """Whoever reads the journal has one error to expect."""
    with contextlib.suppress(JournalCorrupt):
        decode_event(kind, body)


REGION = town()
WHOLE = State(REGION).snapshot()


@quick
@given(st.data())
def test_a_damaged_snapshot_is_passed_over(data: st.DataObject) -> None:
    """The journal is replayed instead; a start never fails for it."""
    damaged = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    restored = State.restore(REGION, bytes(damaged[: data.draw(st.integers(0, len(damaged)))]))
    assert restored is None or isinstance(restored, State)


@quick
@given(st.text(max_size=120))
def test_any_address_of_a_database_is_taken_apart_or_refused(dsn: str) -> None:
    """A typing error in DATABASE_URL is a ValueError at most."""
    try:
        hosts = each_host("postgresql://" + dsn)
    except ValueError:
        return
    assert hosts


class Asking:
    secure = False

    def __init__(self, headers: dict[str, str], remote: str) -> None:
        self.headers, self.remote = CIMultiDict(headers), remote


class Ours:
    secret = b"s" * 32
    proxies = ()


@quick
@given(st.text(st.characters(exclude_characters="\r\n\0"), max_size=80), st.text(max_size=30), st.booleans())
def test_no_header_makes_a_stranger_somebody_else(told: str, proto: str, sealed: bool) -> None:
    """Without a proxy of ours and without our own seal the peer's address counts."""
    forged = stamped(b"not our secret", told) if sealed else told
    asking: Any = Asking(
        {"X-Forwarded-For": told, "X-Forwarded-Proto": proto, "X-Siaga-Forwarded": forged}, "203.0.113.9"
    )
    services: Any = Ours()
    assert client_address(asking, services) == "203.0.113.9"
    assert not is_secure(asking, services)


@quick
@given(JSON)
def test_any_message_of_a_tracker_is_a_fix_or_a_refusal(message: Any) -> None:
    """OwnTracks and Traccar: decoded, believed or refused."""
    raw = json.dumps(message).encode()
    for shape, read in ((TraccarMessage, from_traccar), (OwnTracksMessage, from_owntracks)):
        with contextlib.suppress(msgspec.MsgspecError, Rejected):
            read(msgspec.json.decode(raw, type=shape))  # type: ignore[operator]
