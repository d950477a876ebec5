"""Warnings of the city to everybody: published by a supervisor or manager, read as JSON, as Atom, and as CAP 1.2.

A warning is never changed once sent; it is cancelled, and the cancellation refers to it as the standard asks (OASIS Common
Alerting Protocol 1.2, section 3.2.1). Readers get kept answers: a scraper costs the database nothing.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web

from dashboards.areas import Areas, make_areas
from dashboards.feeds import atom, entry, escape, stamp
from dashboards.keeping import Keeping
from dispatch.api.problems import Problem
from dispatch.api.routes import ADMIN, MANAGER, READERS, SUPERVISOR, Call, Route, json
from dispatch.journal import JournalUnavailable
from dispatch.model import Rejected
from dispatch.region import Region
from geo.zones import Zones

WARNERS = frozenset({SUPERVISOR, MANAGER})
LASTS_MAX = timedelta(days=7)
"""A warning that lasts longer is news; it can be sent again."""
LISTED_FOR = timedelta(days=30)
LISTED_MAX = 100
KEPT_S = 15.0
CACHE = "public, max-age=15"
NAMESPACE = "urn:oasis:names:tc:emergency:cap:1.2"

Line = Annotated[str, msgspec.Meta(min_length=1, max_length=160)]
Text = Annotated[str, msgspec.Meta(max_length=2000)]


class NewAlert(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be published. Codes are CAP's own."""

    event: Line
    """What it is about, in a word or two: "Banjir"."""
    headline: Line
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)]
    zones: Annotated[list[Annotated[str, msgspec.Meta(max_length=64)]], msgspec.Meta(max_length=200)] = []
    """Kecamatan; empty = the whole city."""
    description: Text = ""
    instruction: Text = ""
    category: Literal["Geo", "Met", "Safety", "Security", "Rescue", "Fire", "Health", "Env", "Transport", "Infra", "CBRNE", "Other"] = "Safety"  # fmt: skip
    urgency: Literal["Immediate", "Expected", "Future", "Past", "Unknown"] = "Immediate"
    severity: Literal["Extreme", "Severe", "Moderate", "Minor", "Unknown"] = "Moderate"
    certainty: Literal["Observed", "Likely", "Possible", "Unlikely", "Unknown"] = "Observed"
    exercise: bool = False


class Alert(msgspec.Struct, frozen=True):
    """A published warning. Who sent it is for staff, not for the public."""

    id: str
    sent_at: datetime
    said: NewAlert
    made_by: str = ""
    cancelled_at: datetime | None = None

    def in_force(self, now: datetime) -> bool:
        return self.cancelled_at is None and now < self.said.expires_at


class PublicAlert(msgspec.Struct, frozen=True):
    """A warning as anybody may read it."""

    id: str
    event: str
    headline: str
    description: str
    instruction: str
    severity: str
    zones: list[str]
    """Names; empty = the whole city."""
    sent_at: datetime
    expires_at: datetime
    exercise: bool
    cap: str


class Alerts:
    """Warnings of one region. `all` is kept for some seconds and, while the database is away, for as long as that lasts."""

    def __init__(self, keeping: Keeping, region: Region, zones: Zones | None, now: Callable[[], datetime]) -> None:
        self.keeping = keeping
        self.region = region
        self.now = now
        self._zones = zones
        self._kept: tuple[datetime, list[Alert]] | None = None
        self._shapes: Areas | None = None
        self._asking = asyncio.Lock()

    async def publish(self, said: NewAlert, by: str) -> Alert:
        """Raises Rejected with the field named."""
        now = self.now()
        if not now < said.expires_at <= now + LASTS_MAX:
            raise Rejected("alert_expiry", "expires_at", days_max=LASTS_MAX.days)
        for code in said.zones:
            if code not in self.region.zones:
                raise Rejected("unknown_zone", "zones", zone=code)
        alert = Alert(secrets.token_hex(6), now, said, by)
        await self.keeping.execute("put_alert", alert.id, self.region.code, now, msgspec.json.encode(alert))
        self._kept = None
        return alert

    async def cancel(self, alert_id: str) -> bool:
        """False when there is none in force of that id."""
        done = await self.keeping.value("cancel_alert", self.region.code, alert_id, self.now())
        self._kept = None
        return done is not None

    async def all(self) -> list[Alert]:
        """Of the last month, newest first."""
        async with self._asking:
            now = self.now()
            if self._kept is None or not timedelta(0) <= now - self._kept[0] < timedelta(seconds=KEPT_S):
                try:
                    rows = await self.keeping.fetch("alerts", self.region.code, now - LISTED_FOR, LISTED_MAX)
                except JournalUnavailable:
                    if self._kept is None:
                        raise
                    return self._kept[1]
                found = [
                    msgspec.structs.replace(
                        msgspec.json.decode(row["alert"], type=Alert), cancelled_at=row["cancelled_at"]
                    )
                    for row in rows
                ]
                self._kept = (now, found)
            return self._kept[1]

    async def shapes(self) -> Areas:
        """Of the kecamatan; made once."""
        if self._shapes is None:
            self._shapes = await asyncio.to_thread(make_areas, self._zones, "kecamatan")
        return self._shapes

    def names(self, said: NewAlert) -> list[str]:
        return [self.region.zones[z].name for z in said.zones if z in self.region.zones]

    def public(self, alert: Alert) -> PublicAlert:
        said = alert.said
        return PublicAlert(
            alert.id, said.event, said.headline, said.description, said.instruction, said.severity, self.names(said),
            alert.sent_at, said.expires_at, said.exercise, f"/api/v1/public/alerts/{alert.id}.xml",
        )  # fmt: skip


# --- CAP and Atom


def cap(alert: Alert, region: Region, shapes: Areas) -> str:
    """The CAP 1.2 message of a warning, or of its cancellation once there is one. Elements in the order of the standard."""
    said, offset_h = alert.said, region.utc_offset_h
    sender = f"112@{region.code}"
    identifier, sent_at, kind, references = f"{region.code}-{alert.id}", alert.sent_at, "Alert", ""
    if alert.cancelled_at is not None:
        references = f"<references>{sender},{identifier},{stamp(sent_at, offset_h)}</references>"
        identifier, sent_at, kind = f"{identifier}-batal", alert.cancelled_at, "Cancel"
    areas = "".join(_area(z, region, shapes) for z in said.zones or region.zones)
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<alert xmlns="{NAMESPACE}">'
        f"<identifier>{escape(identifier)}</identifier><sender>{escape(sender)}</sender>"
        f"<sent>{stamp(sent_at, offset_h)}</sent><status>{'Exercise' if said.exercise else 'Actual'}</status>"
        f"<msgType>{kind}</msgType><scope>Public</scope>{references}"
        f"<info><language>id-ID</language><category>{said.category}</category><event>{escape(said.event)}</event>"
        f"<urgency>{said.urgency}</urgency><severity>{said.severity}</severity><certainty>{said.certainty}</certainty>"
        f"<expires>{stamp(said.expires_at, offset_h)}</expires><senderName>{escape(f'112 {region.name}')}</senderName>"
        f"<headline>{escape(said.headline)}</headline>"
        + (f"<description>{escape(said.description)}</description>" if said.description else "")
        + (f"<instruction>{escape(said.instruction)}</instruction>" if said.instruction else "")
        + f"{areas}</info></alert>\n"
    )


def _area(code: str, region: Region, shapes: Areas) -> str:
    """One kecamatan; polygons are `lat,lon` pairs whose first and last are the same. Holes are not spoken of."""
    drawn = next((a for a in shapes.areas if a.code == code), None)
    polygons = "".join(
        f"<polygon>{' '.join(f'{lat},{lon}' for lon, lat in [*ring, ring[0]])}</polygon>"
        for ring in (drawn.rings if drawn is not None else [])
        if len(ring) >= 3
    )
    name = escape(region.zones[code].name)
    return (
        f"<area><areaDesc>Kecamatan {name}</areaDesc>{polygons}"
        f"<geocode><valueName>Kemendagri</valueName><value>{escape(code)}</value></geocode></area>"
    )


def feed(alerts: Alerts, found: list[Alert]) -> str:
    """Warnings of the last month, cancelled ones said to be so."""
    entries, region = [], alerts.region
    for alert in found:
        said = alert.said
        ended = "" if alert.cancelled_at is None else "Dibatalkan: "
        drill = "LATIHAN: " if said.exercise else ""
        where = ", ".join(alerts.names(said)) or region.name
        until = stamp(said.expires_at, region.utc_offset_h)[:16].replace("T", " ")
        text = "\n".join(t for t in (said.description, said.instruction, f"{where}; berlaku sampai {until}") if t)
        at = alert.cancelled_at or alert.sent_at
        link = f"/api/v1/public/alerts/{alert.id}.xml"
        entries.append(
            entry(
                f"{region.code}:alert:{alert.id}",
                f"{ended}{drill}{said.headline}",
                at,
                text,
                link,
                "application/cap+xml",
            )
        )
    latest = max((a.cancelled_at or a.sent_at for a in found), default=alerts.now())
    return atom(f"{region.code}:alerts", f"Peringatan 112 {region.name}", "/api/v1/public/alerts.atom", latest, entries)


def routes(alerts: Alerts) -> list[Route]:
    """For staff: publish and cancel. For everybody: read."""
    headers = {"Cache-Control": CACHE, "Access-Control-Allow-Origin": "*"}

    async def listed(call: Call) -> web.StreamResponse:
        return json(await alerts.all())

    async def publish(call: Call) -> web.StreamResponse:
        return json(await alerts.publish(call.body, call.who.name))

    async def cancel(call: Call) -> web.StreamResponse:
        if not await alerts.cancel(call.path("id")):
            raise Problem("not_found")
        return json({})

    async def public(call: Call) -> web.StreamResponse:
        now = alerts.now()
        return json([alerts.public(a) for a in await alerts.all() if a.in_force(now)], headers=headers)

    async def as_feed(call: Call) -> web.StreamResponse:
        body = feed(alerts, await alerts.all()).encode()
        return web.Response(body=body, content_type="application/atom+xml", charset="utf-8", headers=headers)

    async def as_cap(call: Call) -> web.StreamResponse:
        wanted = call.path("id")
        alert = next((a for a in await alerts.all() if a.id == wanted), None)
        if alert is None:
            raise Problem("not_found")
        body = cap(alert, alerts.region, await alerts.shapes()).encode()
        return web.Response(body=body, content_type="application/cap+xml", charset="utf-8", headers=headers)

    def open_route(path: str, handler: Any, text: str, **more: Any) -> Route:
        return Route("GET", path, handler, text, tag="public", limit="public_read", statuses=(503,), **more)

    return [
        Route(
            "GET", "/api/v1/alerts", listed, "Warnings of the last month.",
            roles=READERS | {ADMIN}, answer=list[Alert], statuses=(503,), tag="alerts",
        ),
        Route(
            "POST", "/api/v1/alerts", publish, "Warn the public.",
            roles=WARNERS, body=NewAlert, answer=Alert, statuses=(503,), tag="alerts",
        ),
        Route(
            "DELETE", "/api/v1/alerts/{id}", cancel, "Cancel a warning.",
            roles=WARNERS, answer=dict[str, str], statuses=(404, 503), tag="alerts",
        ),
        open_route("/api/v1/public/alerts", public, "Warnings in force.", answer=list[PublicAlert]),
        open_route("/api/v1/public/alerts.atom", as_feed, "Warnings as a feed.", content="application/atom+xml"),
        Route(
            "GET", "/api/v1/public/alerts/{id}.xml", as_cap, "A warning as a CAP 1.2 message.",
            content="application/cap+xml", tag="public", limit="public_read", statuses=(404, 503),
        ),
    ]  # fmt: skip
