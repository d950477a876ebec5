"""The SLA's routes: the live summary. Figures come from the one fold in `live.py`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from aiohttp import web

from dispatch.api.problems import Problem
from dispatch.api.routes import READERS, Call, Route, json
from sla.live import SlaFold, Summary


class PeriodQuery(msgspec.Struct, frozen=True):
    """Emergencies first rung in [since, until); left out = unbounded."""

    since: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    until: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


def routes(fold: SlaFold) -> list[Route]:
    """Routes reading this fold."""

    async def summary(call: Call) -> web.StreamResponse:
        query = call.query
        if query.since is not None and query.until is not None and query.since >= query.until:
            raise Problem("invalid_query", "until", {"why": "until must be after since"})
        return json(fold.summary(call.services.clock.now(), query.since, query.until))

    return [
        Route(
            "GET",
            "/api/v1/sla/summary",
            summary,
            "SLA-7 and the figures beside it.",
            roles=READERS,
            query=PeriodQuery,
            answer=Summary,
            tag="sla",
        )
    ]
