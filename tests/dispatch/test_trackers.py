"""Positions of other makers' trackers become the same fixes as our phones', or a clear refusal."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.model import Rejected
from dispatch.trackers import (
    ClientMessage,
    OwnTracksMessage,
    TraccarMessage,
    from_client,
    from_osmand,
    from_owntracks,
    from_traccar,
)

AT = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)


def test_traccar_forward_gives_metres_a_second_from_knots() -> None:
    """The forwarded JSON carries far more than we need; what we need is read, the rest ignored."""
    body = {
        "position": {
            "id": 7, "protocol": "teltonika", "latitude": -7.26, "longitude": 112.74, "fixTime": "2026-03-02T01:00:00.000+00:00",
            "valid": True, "speed": 20.0, "course": 90.0, "accuracy": 0.0, "attributes": {"ignition": True},
        },
        "device": {"id": 3, "name": "Ambulans", "uniqueId": "A01"},
    }  # fmt: skip
    unit_id, fix = from_traccar(msgspec.convert(body, TraccarMessage))
    assert unit_id == "A01"
    assert fix is not None
    assert fix.speed_mps == pytest.approx(10.289, abs=0.01)
    assert fix.accuracy_m is None
    assert fix.fixed_at == AT


def test_a_traccar_position_without_a_fix_is_not_a_position() -> None:
    """`valid: false` repeats the last place; believing it would freeze the marker."""
    body = {
        "position": {"latitude": 0.0, "longitude": 0.0, "fixTime": "2026-03-02T01:00:00Z", "valid": False},
        "device": {"uniqueId": "A01"},
    }
    assert from_traccar(msgspec.convert(body, TraccarMessage)) == ("A01", None)


def test_owntracks_takes_the_unit_from_the_topic_and_ignores_other_messages() -> None:
    """tid has two characters only; the topic's last part is the device."""
    body = {"_type": "location", "lat": -7.26, "lon": 112.74, "tst": int(AT.timestamp()), "acc": 12, "vel": 36,
            "cog": 180, "topic": "owntracks/siaga/M03", "tid": "03"}  # fmt: skip
    unit_id, fix = from_owntracks(msgspec.convert(body, OwnTracksMessage))
    assert unit_id == "M03"
    assert fix is not None
    assert fix.speed_mps == pytest.approx(10.0)
    assert from_owntracks(msgspec.convert({"_type": "transition", "tid": "03"}, OwnTracksMessage)) == ("03", None)


@pytest.mark.parametrize("stamp", ["1772413200", "1772413200000", "2026-03-02T01:00:00Z", "2026-03-02T08:00:00+07:00"])
def test_osmand_reads_every_form_of_time(stamp: str) -> None:
    """Seconds, milliseconds and RFC 3339 are all in the wild."""
    unit_id, fix = from_osmand({"id": "P2", "lat": "-7.26", "lon": "112.74", "timestamp": stamp})
    assert fix is not None
    assert (unit_id, fix.fixed_at) == ("P2", AT)


def test_osmand_takes_every_parameter_its_page_documents() -> None:
    """The other names of the same things, and what we have no use for."""
    query = {
        "deviceid": "P2", "location": "-7.26,112.74", "timestamp": "2026-03-02 01:00:00", "speed": "15", "heading": "270",
        "altitude": "35", "accuracy": "10", "hdop": "0.8", "batt": "75", "charge": "false", "valid": "1",
        "driverUniqueId": "supir-7", "cell": "510,10,12345,67890,50", "wifi": "00-11-22-33-44-55,-70",
    }  # fmt: skip
    unit_id, fix = from_osmand(query)
    assert fix is not None
    assert (unit_id, fix.lat, fix.lon, fix.fixed_at) == ("P2", -7.26, 112.74, AT)
    assert (fix.speed_mps, fix.heading_deg, fix.accuracy_m) == (pytest.approx(7.717, abs=0.01), 270.0, 10.0)
    assert from_osmand({**query, "valid": "false"}) == ("P2", None)


def test_the_newer_traccar_client_speaks_json() -> None:
    """Metres a second there; a phone that stands tells -1 or null for what it does not know."""
    coords = {"latitude": -7.26, "longitude": 112.74, "accuracy": 5, "speed": 11.5, "heading": 90, "altitude": 4}
    body: dict[str, Any] = {
        "location": {
            "timestamp": "2026-03-02T01:00:00.000Z", "coords": coords, "is_moving": True, "odometer": 90321,
            "event": "motionchange", "battery": {"level": 0.77, "is_charging": False},
            "activity": {"type": "in_vehicle"}, "extras": {},
        },
        "device_id": "P2",
    }  # fmt: skip
    unit_id, fix = from_client(msgspec.convert(body, ClientMessage))
    assert (unit_id, fix.fixed_at, fix.speed_mps, fix.heading_deg) == ("P2", AT, 11.5, 90.0)
    body["location"]["coords"] = {**coords, "speed": -1, "heading": None}
    _, fix = from_client(msgspec.convert(body, ClientMessage))
    assert (fix.speed_mps, fix.heading_deg) == (None, None)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"lat": "1", "lon": "2", "timestamp": "1"}, "id"),
        ({"id": "A", "lat": "x", "lon": "2", "timestamp": "1"}, "lat"),
        ({"id": "A", "lat": "1", "timestamp": "1"}, "lon"),
        ({"id": "A", "location": "1", "timestamp": "1"}, "lon"),
        ({"id": "A", "lat": "1", "lon": "2", "timestamp": "kemarin"}, "timestamp"),
        ({"id": "A", "lat": "1", "lon": "2", "timestamp": "9" * 30}, "timestamp"),
    ],
)
def test_broken_osmand_queries_name_the_field(query: dict[str, str], field: str) -> None:
    """A stable code, never a crash."""
    with pytest.raises(Rejected) as refused:
        from_osmand(query)
    assert refused.value.field == field


@given(
    st.dictionaries(
        st.sampled_from(["id", "lat", "lon", "timestamp", "speed", "bearing", "accuracy", "valid", "location"]),
        st.text(),
    )
)
def test_any_osmand_query_is_a_fix_or_a_refusal(query: dict[str, str]) -> None:
    """Whatever a tracker sends, nothing else comes out."""
    try:
        _, fix = from_osmand(query)
    except Rejected:
        return
    if fix is None:
        assert query["valid"].lower() in ("false", "0")
        return
    assert -90 <= fix.lat <= 90
    assert -180 <= fix.lon <= 180
