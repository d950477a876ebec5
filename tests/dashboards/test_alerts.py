"""Warnings to the public: who may publish, what anybody reads, and that every CAP message is one by the standard."""

from __future__ import annotations

import itertools
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.alerts import NAMESPACE, Alert, Alerts, NewAlert, cap, feed
from dashboards.areas import make_areas
from dispatch.pack import load
from geo.places_tables import read_kecamatan
from geo.zones import open_zones
from siaga.serve import Server
from tests.dashboards.atoms import check_atom
from tests.dispatch.server import ROLES, client, town_server

PACK = Path(__file__).resolve().parents[2] / "regions" / "surabaya"
REGION = load(PACK)
ZONES = open_zones(PACK, read_kecamatan(PACK / "kecamatan.csv"))
SHAPES = make_areas(ZONES, "kecamatan")
NOW = datetime(2026, 5, 1, 3, 4, 5, 678, tzinfo=UTC)

ALERT_ORDER = "identifier sender sent status msgType source scope restriction addresses code note references incidents info"  # fmt: skip
INFO_ORDER = (
    "language category event responseType urgency severity certainty audience eventCode effective onset expires "
    "senderName headline description instruction web contact parameter resource area"
)
AREA_ORDER = "areaDesc polygon circle geocode altitude ceiling"
"""Sequences of the CAP 1.2 schema (OASIS, 1 July 2010, section 3.4)."""
SEVERAL = "code info category responseType eventCode parameter resource area polygon circle geocode"
"""All others at most once in their parent."""
WORDS = {
    "status": "Actual Exercise System Test Draft",
    "msgType": "Alert Update Cancel Ack Error",
    "scope": "Public Restricted Private",
    "category": "Geo Met Safety Security Rescue Fire Health Env Transport Infra CBRNE Other",
    "urgency": "Immediate Expected Future Past Unknown",
    "severity": "Extreme Severe Moderate Minor Unknown",
    "certainty": "Observed Likely Possible Unlikely Unknown",
}
"""Enumerations of the same section."""
NEEDED = {
    "alert": {"identifier", "sender", "sent", "status", "msgType", "scope"},
    "info": {"category", "event", "urgency", "severity", "certainty"},
    "area": {"areaDesc"},
}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[-+]\d\d:\d\d")  # section 3.3.2: no "Z", no fractions


def said(**more: Any) -> NewAlert:
    return NewAlert(**{"event": "Banjir", "headline": "Banjir", "expires_at": NOW + timedelta(hours=3), **more})


def in_order(element: ElementTree.Element, order: str) -> list[str]:
    names = [child.tag.removeprefix(f"{{{NAMESPACE}}}") for child in element]
    places = [order.split().index(n) for n in names]
    assert places == sorted(places), names
    assert all(names.count(n) == 1 for n in names if n not in SEVERAL.split()), names
    return names


def check_cap(text: str) -> ElementTree.Element:
    """The rules of the CAP 1.2 schema that a message of ours could break."""
    root = ElementTree.fromstring(text)
    assert root.tag == f"{{{NAMESPACE}}}alert"
    assert NEEDED["alert"] <= set(in_order(root, ALERT_ORDER))
    ns = {"c": NAMESPACE}
    for name in ("identifier", "sender"):  # section 3.2.1: no spaces, commas, < or &
        assert not re.search(r"[\s,<&]", root.findtext(f"c:{name}", "", ns))
    for element in root.iter():
        name = element.tag.removeprefix(f"{{{NAMESPACE}}}")
        if name in ("sent", "expires"):
            assert TIME.fullmatch(element.text or "")
        if name in WORDS:
            assert element.text in WORDS[name].split()
        if name == "geocode":
            assert [child.tag.removeprefix(f"{{{NAMESPACE}}}") for child in element] == ["valueName", "value"]
        if name == "references":  # section 3.2.1: sender,identifier,sent
            assert len((element.text or "").split(",")) == 3
        if name == "language":
            assert re.fullmatch(r"[a-zA-Z]{1,8}(-[a-zA-Z0-9]{1,8})*", element.text or "")  # RFC 3066
    for info in root.iterfind("c:info", ns):
        assert NEEDED["info"] <= set(in_order(info, INFO_ORDER))
        for area in info.iterfind("c:area", ns):
            assert NEEDED["area"] <= set(in_order(area, AREA_ORDER))
            for polygon in area.iterfind("c:polygon", ns):
                pairs = (polygon.text or "").split()
                assert len(pairs) >= 4
                assert pairs[0] == pairs[-1]
                for pair in pairs:
                    lat, lon = map(float, pair.split(","))
                    assert REGION.contains(lon, lat)
    return root


@given(
    st.builds(
        said,
        event=st.text(min_size=1, max_size=40).filter(str.isprintable),
        headline=st.text(min_size=1, max_size=160).filter(str.isprintable),
        description=st.text(max_size=200).filter(str.isprintable),
        zones=st.lists(st.sampled_from(sorted(REGION.zones)), unique=True, max_size=4),
        exercise=st.booleans(),
    ),
    st.booleans(),
)
def test_every_message_is_cap(words: NewAlert, cancelled: bool) -> None:
    """Whatever is typed, also markup, the message stands and says the same words."""
    alert = Alert("ab12", NOW, words, "ayu", NOW + timedelta(minutes=5) if cancelled else None)
    root = check_cap(cap(alert, REGION, SHAPES))
    ns = {"c": NAMESPACE}
    assert root.findtext("c:info/c:headline", "", ns) == words.headline
    assert len(root.findall("c:info/c:area", ns)) == (len(words.zones) or len(REGION.zones))
    assert root.findtext("c:msgType", "", ns) == ("Cancel" if cancelled else "Alert")
    assert "ayu" not in cap(alert, REGION, SHAPES).split("headline")[0]


def test_a_cancellation_names_the_message_it_takes_back() -> None:
    sent = Alert("ab12", NOW, said())
    taken_back = Alert("ab12", NOW, said(), cancelled_at=NOW + timedelta(minutes=5))
    ns = {"c": NAMESPACE}
    first, second = (ElementTree.fromstring(cap(a, REGION, SHAPES)) for a in (sent, taken_back))
    named = ",".join(first.findtext(f"c:{n}", "", ns) for n in ("sender", "identifier", "sent"))
    assert second.findtext("c:references", "", ns) == named
    assert second.findtext("c:identifier", "", ns) != first.findtext("c:identifier", "", ns)


def test_neighbours_share_their_border() -> None:
    """Small maps have no gaps: simplified together, areas neither overlap nor part."""
    ends = [tuple(p) for a in SHAPES.areas for r in a.rings for p in r]
    shared = sum(1 for _, group in itertools.groupby(sorted(ends)) if len(list(group)) > 1)
    assert shared > len(SHAPES.areas)
    assert SHAPES.approximate
    assert len(SHAPES.areas) == 31


def test_what_xml_cannot_hold_is_left_out() -> None:
    """A pasted control character must not make the city's warning unreadable."""
    alert = Alert("ab12", NOW, said(headline="Banjir\x01\x1b\uffff di Rungkut"))
    root = check_cap(cap(alert, REGION, SHAPES))
    assert root.findtext("c:info/c:headline", "", {"c": NAMESPACE}) == "Banjir di Rungkut"


async def test_an_entry_keeps_its_name_when_its_warning_is_cancelled() -> None:
    alerts = Alerts(None, REGION, ZONES, lambda: NOW)  # type: ignore[arg-type]
    kept = [Alert("ab12", NOW, said(headline="<b>Banjir</b> & angin"))]
    atom = "{http://www.w3.org/2005/Atom}"
    before = check_atom(feed(alerts, kept))
    after = check_atom(feed(alerts, [Alert("ab12", NOW, kept[0].said, "", NOW)]))
    check_atom(feed(alerts, []))
    ids = [root.findtext(f"{atom}entry/{atom}id") for root in (before, after)]
    titles = [root.findtext(f"{atom}entry/{atom}title") for root in (before, after)]
    assert ids[0] == ids[1]
    assert titles == ["<b>Banjir</b> & angin", "Dibatalkan: <b>Banjir</b> & angin"]


# --- the server


@pytest.fixture
async def server(database: str, tmp_path: Path) -> AsyncIterator[Server]:
    async with town_server(database, tmp_path) as running:
        yield running


def body(**more: Any) -> dict[str, Any]:
    until = datetime.now(UTC) + timedelta(hours=2)
    return {"event": "Banjir", "headline": "Banjir di kota", "expires_at": until.isoformat(), **more}


async def test_a_warning_is_public_at_once_and_gone_once_cancelled(server: Server) -> None:
    """Read without signing in; the name of who sent it is not."""
    async with client(server, "manager") as manager, client(server) as anybody:
        status, sent = await manager.post("/api/v1/alerts", body())
        assert status == 200
        assert sent["made_by"]
        _, found = await anybody.get("/api/v1/public/alerts")
        assert [a["headline"] for a in found] == ["Banjir di kota"]
        assert sent["made_by"] not in str(found)
        async with anybody.http.get(server.url + found[0]["cap"]) as r:
            assert r.content_type == "application/cap+xml"
            ElementTree.fromstring(await r.text())
        async with manager.http.delete(server.url + f"/api/v1/alerts/{sent['id']}", headers=manager.headers) as r:
            assert r.status == 200
        assert (await anybody.get("/api/v1/public/alerts"))[1] == []
        async with anybody.http.get(server.url + "/api/v1/public/alerts.atom") as r:
            assert "Dibatalkan" in await r.text()
        async with anybody.http.get(server.url + found[0]["cap"]) as r:
            assert "<msgType>Cancel</msgType>" in await r.text()
        async with manager.http.delete(server.url + f"/api/v1/alerts/{sent['id']}", headers=manager.headers) as r:
            assert r.status == 404


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"expires_at": "2020-01-01T00:00:00Z"}, "alert_expiry"),
        ({"expires_at": "2999-01-01T00:00:00Z"}, "alert_expiry"),
        ({"zones": ["99.99.99"]}, "unknown_zone"),
        ({"severity": "Bad"}, "invalid_body"),
        ({"headline": ""}, "invalid_body"),
    ],
)
async def test_a_warning_that_cannot_be_meant_is_refused(server: Server, more: dict[str, Any], code: str) -> None:
    async with client(server, "supervisor") as supervisor:
        status, answer = await supervisor.post("/api/v1/alerts", body(**more))
        assert (status, answer["code"]) == (422, code)


async def test_only_supervisors_and_managers_warn(server: Server) -> None:
    async with client(server) as nobody:
        assert (await nobody.post("/api/v1/alerts", body()))[0] == 401
        assert (await nobody.get("/api/v1/alerts"))[0] == 401
    for role in ROLES:
        async with client(server, role) as caller:
            allowed = role in ("supervisor", "manager")
            assert (await caller.post("/api/v1/alerts", body()))[0] == (200 if allowed else 403), role


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/public/areas?level=' OR 1=1",
        "/api/v1/public/areas?level=kecamatan&level=kelurahan",
        "/api/v1/public/areas?x=1",
        "/api/v1/public/card.svg?lang=<script>&x=1",
        "/api/v1/public/alerts/..%2f..%2fsecret.xml",
        "/api/v1/public/alerts/%00.xml",
        "/api/v1/public/card.svg?theme=" + "a" * 5000,
    ],
)
async def test_hostile_addresses_get_a_clear_refusal(server: Server, path: str) -> None:
    """No 500, nothing of what was asked comes back as markup."""
    async with client(server) as anybody, anybody.http.get(server.url + path) as r:
        assert r.status < 500
        assert "<script>" not in await r.text()


async def test_scraping_is_slowed_down(server: Server) -> None:
    """After a burst an address has to wait; figures stay open to all others."""
    async with client(server) as scraper:
        statuses = []
        for _ in range(200):
            async with scraper.http.get(server.url + "/api/v1/public/areas") as r:
                statuses.append(r.status)
        assert 429 in statuses
        assert statuses[:100] == [200] * 100
