"""Behind the call figures stand calls: which ones, when they rang, how long they waited. No caller, no number.

The slices are those of `sla.quick`, so that a list is exactly as long as its number.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated, Literal

import msgspec
import numpy as np
from aiohttp import web

from dashboards.boards import Boards, check_period
from dashboards.drill import PAGE_MAX
from dispatch.api.routes import READERS, Call, Route, json
from sla.calls import WITHIN_S
from sla.columns import CALL, View, microseconds, moment

Which = Literal["presented", "answered", "in_time", "abandoned", "called_back", "unheard", "dismissed"]


class CallsQuery(msgspec.Struct, frozen=True):
    """Calls first rung in [since, until). `reason` only with `dismissed`; empty = every reason."""

    since: Annotated[datetime, msgspec.Meta(tz=True)]
    until: Annotated[datetime, msgspec.Meta(tz=True)]
    which: Which = "presented"
    reason: Annotated[str, msgspec.Meta(max_length=200)] = ""
    offset: Annotated[int, msgspec.Meta(ge=0, le=10_000_000)] = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_MAX)] = 50


class CallRow(msgspec.Struct, frozen=True):
    """Seconds; None = it did not happen."""

    report_id: str
    incident_id: str | None
    rang_at: datetime
    answer_s: float | None
    waited_s: float | None
    """Until the caller hung up unanswered."""
    back_s: float | None
    """From hanging up until we called back."""
    dismissed: str | None


class Calls(msgspec.Struct, frozen=True):
    n: int
    rows: list[CallRow]


def chosen(view: View, which: str, reason: str, now: datetime) -> list[tuple[int, np.void]]:
    """(place, row) of the calls a figure counts, newest first."""
    places, rows = view.window(view.calls, CALL)
    answered = ~np.isnan(rows["answer_s"])
    gone = ~answered & ~np.isnan(rows["waited_s"])
    back = gone & ~np.isnan(rows["back_s"])
    silent = ~answered & ~gone
    waiting = silent & (microseconds(now) - rows["ring_us"] <= WITHIN_S[-1] * 1_000_000)
    of = {
        "presented": rows["counts"],
        "answered": rows["counts"] & answered,
        "in_time": rows["counts"] & answered & (rows["answer_s"] <= WITHIN_S[0]),
        "abandoned": rows["counts"] & gone,
        "called_back": rows["counts"] & back,
        "unheard": rows["counts"] & ((gone & ~back) | (silent & ~waiting)),
    }
    if which != "dismissed":
        wanted = of[which]
    elif reason:
        wanted = rows["dismissed"] == (view.dismissals.index(reason) if reason in view.dismissals else -2)
    else:
        wanted = rows["dismissed"] >= 0
    places, rows = places[wanted], rows[wanted]
    order = np.argsort(-rows["ring_us"], kind="stable")
    return [(int(places[i]), rows[i]) for i in order.tolist()]


def routes(boards: Boards) -> list[Route]:
    """The list behind a call figure."""
    ledger = boards.ledger

    async def calls(call: Call) -> web.StreamResponse:
        query: CallsQuery = call.query
        check_period(query.since, query.until)
        now = call.services.clock.now()
        await boards.settle(now)
        view = ledger.view(query.since, query.until)
        found = await asyncio.to_thread(chosen, view, query.which, query.reason, now)
        reports = ledger.fold.timeline.reports
        rows = []
        for place, row in found[query.offset :][: query.limit]:
            report_id = view.reports[place]
            known = reports.get(report_id)
            reason = int(row["dismissed"])
            rows.append(
                CallRow(
                    report_id, known.incident_id if known is not None else None, moment(row["ring_us"]),
                    _known(row["answer_s"]), _known(row["waited_s"]), _known(row["back_s"]),
                    view.dismissals[reason] if reason >= 0 else None,
                )
            )  # fmt: skip
        return json(Calls(len(found), rows))

    return [
        Route(
            "GET", "/api/v1/board/calls", calls, "The calls behind a number.",
            roles=READERS, query=CallsQuery, answer=Calls, tag="boards",
        )
    ]  # fmt: skip


def _known(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 1)
