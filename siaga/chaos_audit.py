"""After a drill: is every report there, once, served or explained; did no unit hold two jobs; are clocks and tables right?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import asyncpg
import msgspec

from dispatch import events as ev
from dispatch.database import APP_ROLE, connect
from dispatch.fold import State
from dispatch.journal import kind_of
from dispatch.journal_pg import PostgresJournal
from dispatch.model import OPEN_STATES, Incident, ReportState
from dispatch.projections import rebuild_and_compare
from dispatch.region import CONFIRM, Region
from siaga.chaos_load import NAME, PHONE, Acked, words_of

CLOCK_SLACK = timedelta(seconds=1)
"""Server and drill share one machine's clock; a second is for rounding and for slewing after a test of it."""


class Findings(msgspec.Struct):
    """What the audit counted. `wrong` must be empty."""

    acknowledged: int = 0
    lines: int = 0
    redecided: list[Acked] = []
    """Reports whose id changed because the acknowledging node's lines lost their place to a take-over."""
    lost: int = 0
    double: int = 0
    served: int = 0
    explained: int = 0
    table_rows: int = 0
    kinds: Counter[str] = msgspec.field(default_factory=Counter)
    """Journal lines by kind."""
    wrong: list[str] = []


async def audit(dsn: str, pool: asyncpg.Pool, region: Region, acked: list[Acked]) -> Findings:
    """Reads the whole journal once and compares everything with it."""
    found = Findings(acknowledged=len(acked))
    journal = PostgresJournal(pool)
    await journal.open(region.code)
    state = State(region)
    reports: dict[str, ev.Entry] = {}
    rings: dict[str, object] = {}
    last_seq = await journal.last_seq()  # the servers go on writing meanwhile
    async for entry in journal.read(0, last_seq):  # raises on a gap
        found.lines += 1
        found.kinds[kind_of(entry.event)] += 1
        try:
            state.apply(entry)  # asserts order of time and that a unit takes one job at a time
        except AssertionError as error:
            found.wrong.append(f"journal does not fold: {error}")
            return found
        _reports(found, reports, entry)
        _rings(found, rings, state, entry)
        _units(found, state)
    if found.lines != last_seq:
        found.wrong.append("journal has gaps")
    for report in acked:
        _one(found, report, reports, state)
    compared = await rebuild_and_compare(dsn, region.code, State(region), role=await _role(dsn))
    found.table_rows = compared.rows
    found.wrong += [f"table {d.table} row {d.row_id} differs in {d.columns or d.missing}" for d in compared.differences]
    return found


def what_logs_tell(logs: Iterable[Path], acked: list[Acked]) -> list[str]:
    """Callers' words, names and numbers found in logs, where they must never be."""
    secret = [NAME, PHONE, PHONE.removeprefix("+"), *(words_of(report.key) for report in acked)]
    return [
        f"{log.name} holds a caller's {'words' if word.startswith('latihan') else 'name or number'}"
        for log in logs
        for word in secret
        if word in log.read_text(errors="replace")
    ]


async def _role(dsn: str) -> str | None:
    connection = await connect(dsn, role=None)
    try:
        return APP_ROLE if await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", APP_ROLE) else None
    finally:
        await connection.close()


def _reports(found: Findings, reports: dict[str, ev.Entry], entry: ev.Entry) -> None:
    if isinstance(entry.event, ev.ReportSubmitted) and entry.command_id is not None:
        if entry.command_id in reports:
            found.double += 1
            found.wrong.append(f"report under key {entry.command_id} is there twice")
        reports[entry.command_id] = entry


def _rings(found: Findings, rings: dict[str, object], state: State, entry: ev.Entry) -> None:
    incident_id = getattr(entry.event, "incident_id", None)
    incident = state.incidents.get(incident_id) if isinstance(incident_id, str) else None
    if incident is not None:
        before = rings.setdefault(incident.incident_id, incident.first_ring_at)
        if incident.first_ring_at != before:
            found.wrong.append(f"clock of {incident.incident_id} was changed at line {entry.seq}")


def _units(found: Findings, state: State) -> None:
    serving = [state.assignments[a].unit_id for a in state.active_ids]
    if len(serving) != len(set(serving)):
        found.wrong.append(f"a unit holds two jobs at line {state.seq}")


def _one(found: Findings, report: Acked, reports: dict[str, ev.Entry], state: State) -> None:
    entry = reports.get(report.key)
    if entry is None or not isinstance(entry.event, ev.ReportSubmitted):
        found.lost += 1
        found.wrong.append(f"acknowledged report {report.report_id} is lost")
        return
    if entry.event.description != words_of(report.key):
        found.wrong.append(f"report {report.report_id} has another's words")
    if entry.event.report_id != report.report_id:
        found.redecided.append(report)
    kept = state.reports.get(entry.event.report_id)
    if kept is None:
        found.wrong.append(f"report {entry.event.report_id} is not in the state")
        return
    if kept.rang_at < report.sent_at - CLOCK_SLACK:
        found.wrong.append(f"report {kept.report_id} rang before it was sent")
    incident = state.incidents.get(kept.incident_id or "")
    if incident is None:
        if kept.state is not ReportState.DISMISSED:
            found.wrong.append(f"report {kept.report_id} belongs to nothing")
    elif incident.first_assigned_at is not None:
        found.served += 1
    elif incident.state not in OPEN_STATES or explained(state, incident):
        found.explained += 1
    else:
        found.wrong.append(f"report {kept.report_id} is neither served nor explained")


def explained(state: State, incident: Incident) -> bool:
    """It is known when, or by whose yes, it is looked at again."""
    if not incident.confirmed:
        return incident.confirm_due_at is not None or incident.mode == CONFIRM
    return not incident.unfilled or incident.incident_id in state.short_of
