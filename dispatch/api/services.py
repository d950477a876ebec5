"""What handlers may use: the running parts of one server, put together by `siaga.serve`."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aiohttp import web

from dispatch.accounts import Accounts
from dispatch.api.limits import Limiter
from dispatch.classify import Classifier
from dispatch.clock import Clock
from dispatch.live import Live
from dispatch.nodes import Node
from dispatch.photos import Photos
from dispatch.pusher import Pusher
from dispatch.region import Region
from dispatch.throttle import Network
from geo.site_notes import Site


@dataclass
class Services:
    """One server's parts. `places`, `tiles` and `site` are geo's; None until the region has them."""

    region: Region
    live: Live
    node: Node
    accounts: Accounts
    clock: Clock
    secret: bytes
    """Signs the caller's links; kept in a file beside the database."""
    classifier: Classifier
    limiter: Limiter = field(default_factory=Limiter)
    places: Any = None
    tiles: Any = None
    site: Site | None = None
    """Hazards, premise notes and response areas; None where the region has no map."""
    graph: Any = None
    history: Any = None
    """`dispatch.history.History`; None where there are no tables (simulation)."""
    enrolled: set[str] = field(default_factory=set)
    """Enrolment codes used on this node; the token's label tells the other nodes."""
    reach: dict[Any, Any] = field(default_factory=dict)
    """Drawn reach maps, by question; see `maps.py`."""
    map_notes: bytes | None = None
    """Hazards and premise notes as the map draws them, encoded at the first question; they change with a restart only."""
    feeds: dict[str, dict[str, web.WebSocketResponse]] = field(default_factory=dict)
    """Unit -> device -> its open feed, in the order in which the devices connected."""
    fix_from: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    """Unit -> which of its devices tells where it is, and when that one was last heard or used."""
    photos: Photos | None = None
    """Where crews' pictures are kept; None = they are refused."""
    decoding: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    """One picture at a time: at its limit one takes 100 MB while it is open, and reports go first."""
    pusher: Pusher | None = None
    """Wakes sleeping phones; None = nobody is woken from here."""
    presence: dict[str, dict[str, Any]] = field(default_factory=dict)
    demo: bool = False
    proxies: Sequence[Network] = ()
    """Whose word on the client's address and encryption is taken."""
    sockets: weakref.WeakSet[web.WebSocketResponse] = field(default_factory=weakref.WeakSet)
    """Open web sockets; a stopping server says goodbye to each instead of waiting for its reader."""


SERVICES: web.AppKey[Services] = web.AppKey("services", Services)
