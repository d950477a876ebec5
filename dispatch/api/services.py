"""What handlers may use: the running parts of one server, put together by `siaga.serve`."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from dispatch.accounts import Accounts
from dispatch.api.limits import Limiter
from dispatch.classify import Classifier
from dispatch.clock import Clock
from dispatch.live import Live
from dispatch.nodes import Node
from dispatch.region import Region


@dataclass
class Services:
    """One server's parts. `places` and `tiles` are geo's; None until the region has them."""

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
    graph: Any = None
    history: Any = None
    """`dispatch.history.History`; None where there are no tables (simulation)."""
    enrolled: set[str] = field(default_factory=set)
    """Enrolment codes used on this node; the token's label tells the other nodes."""
    reach: dict[Any, Any] = field(default_factory=dict)
    """Drawn reach maps, by question; see `maps.py`."""
    presence: dict[str, dict[str, Any]] = field(default_factory=dict)
    demo: bool = False
    sockets: weakref.WeakSet[web.WebSocketResponse] = field(default_factory=weakref.WeakSet)
    """Open web sockets; a stopping server says goodbye to each instead of waiting for its reader."""


SERVICES: web.AppKey[Services] = web.AppKey("services", Services)
