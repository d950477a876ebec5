"""How fast the journal is, next to what the same database can do at all: `bench_append(dsn)` prints both in one run.

The unit is one citizen's report as it is really written: five lines (report, incident, attachment, recommendation with
twenty candidates, assignment), four changed rows and one idempotency answer. The yardstick is a one-column insert
committed row by row on one connection. The other two ways of sending lines (a JSON array, COPY) are measured beside
ours, so that the choice can be judged again on another machine.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import msgspec

from dispatch import events as ev
from dispatch.database import connect, create_pool
from dispatch.journal import Answer, Batch, Rows, encode_event, kind_of
from dispatch.journal_pg import PostgresJournal, line_columns
from dispatch.migrate import apply_grants, migrate
from dispatch.model import (
    Actor,
    Assignment,
    AssignmentState,
    Channel,
    Incident,
    IncidentState,
    Place,
    Position,
    Report,
    ReportState,
    Unit,
    UnitState,
)

YARDSTICK = "one-row commits, one connection: the yardstick"
BATCH_SIZES = (1, 16, 256)
"""Reports a group commit holds: a quiet night, a busy hour, the writer's limit (`live.BATCH_MAX`)."""
SECONDS_EACH = 2.0
CANDIDATES = 20
LINES_A_REPORT = 5
FIXES_A_BATCH = 500
T0 = datetime(2026, 1, 1, tzinfo=UTC)
CITIZEN = Actor("citizen", "web")


class Rate(msgspec.Struct, frozen=True):
    """One measured line: `per_s` of what `name` counts, milliseconds of the process's own CPU and of waiting a batch."""

    name: str
    per_s: float
    batch_ms: float
    cpu_ms: float


def sample_batch(first_seq: int, reports: int, region: str = "bench") -> Batch:
    """What the engine writes for `reports` citizens' reports."""
    batch = Batch(entries=[], rows=Rows(), answers=[])
    seq = first_seq
    for n in range(reports):
        at = T0 + timedelta(milliseconds=seq)
        number = f"{seq:08}"
        place = Place(lon=112.7508, lat=-7.2575, accuracy_m=18.0, address="Jl. Contoh 12")
        units = [f"A-{u:03}" for u in range(CANDIDATES)]
        candidates = ev.Candidates(
            unit_ids=units,
            eta_s=[61.3 + 17.7 * u for u in range(CANDIDATES)],
            chance=[round(1 - u / CANDIDATES, 4) for u in range(CANDIDATES)],
            verdict=["chosen"] + ["farther"] * (CANDIDATES - 1),
            lon=[112.70 + 0.003 * u for u in range(CANDIDATES)],
            lat=[-7.25 - 0.002 * u for u in range(CANDIDATES)],
            fix_age_s=[3.5] * CANDIDATES,
        )
        unit_id = f"A-{n:03}"
        events: list[ev.AnyEvent] = [
            ev.ReportSubmitted(f"L{number}", Channel.WEB, "laka", place, "Motor jatuh, satu orang luka", rang_at=at),
            ev.IncidentOpened(number, f"L{number}", "laka", 1, place, at, "laka", "auto", ["first_aid", "ambulance"]),
            ev.ReportAttached(f"L{number}", number),
            ev.UnitRecommended(number, "ambulance", unit_id, candidates, "closest", "roads"),
            ev.UnitAssigned(f"{number}/1", number, unit_id, "ambulance", 188.4, 41.0, at + timedelta(seconds=20)),
        ]
        for event in events:
            batch.entries.append(ev.Entry(region, seq, at, CITIZEN, event, f"key-{number}"))
            seq += 1
        report = Report(f"L{number}", Channel.WEB, ReportState.ATTACHED, at, at, kind="laka", place=place)
        incident = Incident(
            number, "laka", 1, 1, place, IncidentState.DISPATCHED, at, at, plan="laka", mode="auto",
            report_ids=[f"L{number}"], assignment_ids=[f"{number}/1"], required=["first_aid", "ambulance"],
        )  # fmt: skip
        assignment = Assignment(
            f"{number}/1", number, unit_id, "ambulance", AssignmentState.ALERTED, assigned_at=at,
            assigned_by="system:engine", eta_s=188.4, arrival_sd_s=41.0,
        )  # fmt: skip
        unit = Unit(unit_id, "ambulans", "dinkes", UnitState.COMMITTED, frozenset({"ambulance"}), since=at)
        batch.rows.reports.append(report)
        batch.rows.incidents.append(incident)
        batch.rows.assignments.append(assignment)
        batch.rows.units.append(unit)
        batch.answers.append(Answer("citizen:web", f"key-{number}", "0" * 64, 200, b'{"seq":1}', at))
    return batch


async def _measure(
    name: str, size: int, prepare: Callable[[], Any], run: Callable[[Any], Awaitable[object]], seconds: float
) -> Rate:
    """`run` handles what `prepare` made, `size` things; repeated until about `seconds` went by in `run`."""
    await run(prepare())
    count = 0
    passed = cpu = 0.0
    while passed < seconds:
        work = prepare()
        wall_began, cpu_began = time.perf_counter(), time.process_time()
        await run(work)
        passed += time.perf_counter() - wall_began
        cpu += time.process_time() - cpu_began
        count += 1
    return Rate(name, count * size / passed, passed / count * 1000, cpu / count * 1000)


class _Batches:
    """Batches of one size that continue each other."""

    def __init__(self, last_seq: int, size: int) -> None:
        self.seq = last_seq + 1
        self.size = size

    def __call__(self) -> Batch:
        batch = sample_batch(self.seq, self.size)
        self.seq += len(batch.entries)
        return batch


async def bench_append(dsn: str, seconds_each: float = SECONDS_EACH) -> list[Rate]:
    """Measure on an empty database whose owner `dsn` names; prints a table and returns its lines."""
    owner = await connect(dsn, role=None)
    await migrate(owner)
    await apply_grants(owner)
    rates = [await _bench_commits(owner, seconds_each)]
    pool = await create_pool(dsn)
    try:
        journal = PostgresJournal(pool)
        await journal.open("bench")
        for size in BATCH_SIZES:
            rates.append(await _bench_ours(journal, size, seconds_each))
        rates.append(await _bench_commits(owner, seconds_each))
        for size in BATCH_SIZES:
            rates.append(await _bench_json_array(owner, size, seconds_each))
            rates.append(await _bench_copy(owner, size, seconds_each))
            rates.append(await _bench_lines(journal, size, seconds_each))
        for kind in ("json", "jsonb"):
            rates += await _bench_body_type(owner, kind, seconds_each)
        rates.append(await _bench_read(journal))
        rates.append(await _bench_positions(journal, seconds_each))
        await journal.close()
    finally:
        await pool.close()
        await owner.close()
    print_rates(rates)
    return rates


async def _bench_commits(owner: asyncpg.Connection, seconds: float) -> Rate:
    await owner.execute("CREATE TABLE IF NOT EXISTS bench_commit (n integer NOT NULL)")
    insert = await owner.prepare("INSERT INTO bench_commit VALUES ($1)")
    return await _measure(YARDSTICK, 1, lambda: 1, insert.fetch, seconds)


async def _bench_ours(journal: PostgresJournal, size: int, seconds: float) -> Rate:
    batches = _Batches(await journal.last_seq(), size)
    return await _measure(f"reports, {size} a commit, rows and answers too", size, batches, journal.append, seconds)


async def _bench_lines(journal: PostgresJournal, size: int, seconds: float) -> Rate:
    """Our way with lines alone, for comparison with the other two."""
    batches = _Batches(await journal.last_seq(), size)
    count = size * LINES_A_REPORT

    async def run(batch: Batch) -> None:
        await journal.append(Batch(entries=batch.entries))

    return await _measure(f"{count} lines a commit, column arrays (ours)", count, batches, run, seconds)


JSON_ARRAY = """
INSERT INTO journal (region, seq, at, actor_role, actor_name, kind, body, command_id, writer)
SELECT 'json', seq, at, actor_role, actor_name, kind, body, command_id, $2::uuid
FROM json_to_recordset($1::json) AS _ (
    seq bigint, at timestamptz, actor_role text, actor_name text, kind text, body json, command_id text
)
"""
LAST = "SELECT coalesce(max(seq), 0) FROM journal WHERE region = $1"
LINE_COLUMNS = ("seq", "at", "actor_role", "actor_name", "kind", "body", "command_id")


async def _bench_json_array(owner: asyncpg.Connection, size: int, seconds: float) -> Rate:
    insert = await owner.prepare(JSON_ARRAY)
    batches = _Batches(await owner.fetchval(LAST, "json"), size)
    writer = uuid.uuid4()
    count = size * LINES_A_REPORT

    async def run(batch: Batch) -> None:
        lines = [
            {
                "seq": e.seq,
                "at": e.at,
                "actor_role": e.actor.role,
                "actor_name": e.actor.name,
                "kind": kind_of(e.event),
                "body": e.event,
                "command_id": e.command_id,
            }
            for e in batch.entries
        ]
        await insert.fetch(msgspec.json.encode(lines), writer)

    return await _measure(f"{count} lines a commit, JSON array", count, batches, run, seconds)


async def _bench_body_type(owner: asyncpg.Connection, kind: str, seconds: float) -> list[Rate]:
    """The body as `json` or as `jsonb`, in twins of the journal without triggers: writing and reading back."""
    table = f"bench_{kind}"
    await owner.execute(f"DROP TABLE IF EXISTS {table}")
    await owner.execute(f"CREATE TABLE {table} (seq bigint PRIMARY KEY, body {kind} NOT NULL)")
    insert = await owner.prepare(f"INSERT INTO {table} SELECT * FROM unnest($1::bigint[], $2::text[]::{kind}[])")  # noqa: S608
    batches = _Batches(0, 16)

    async def run(batch: Batch) -> None:
        await insert.fetch([e.seq for e in batch.entries], [encode_event(e.event).decode() for e in batch.entries])

    rates = [await _measure(f"80 lines a commit, body as {kind}", 80, batches, run, seconds)]
    select = await owner.prepare(f"SELECT body::{kind}::text FROM {table} ORDER BY seq LIMIT 10000")  # noqa: S608
    await select.fetch()
    wall, cpu = time.perf_counter(), time.process_time()
    lines = len(await select.fetch())
    passed = time.perf_counter() - wall
    cpu_ms = (time.process_time() - cpu) * 1000
    rates.append(Rate(f"lines read, not decoded, body as {kind}", lines / passed, passed * 1000, cpu_ms))
    await owner.execute(f"DROP TABLE {table}")
    return rates


async def _bench_copy(owner: asyncpg.Connection, size: int, seconds: float) -> Rate:
    batches = _Batches(await owner.fetchval(LAST, "copy"), size)
    writer = uuid.uuid4()
    count = size * LINES_A_REPORT

    async def run(batch: Batch) -> None:
        records = [(*line, "copy", writer) for line in zip(*line_columns(batch.entries), strict=True)]
        await owner.copy_records_to_table("journal", records=records, columns=(*LINE_COLUMNS, "region", "writer"))

    return await _measure(f"{count} lines a commit, COPY", count, batches, run, seconds)


async def _bench_read(journal: PostgresJournal) -> Rate:
    wall, cpu = time.perf_counter(), time.process_time()
    lines = 0
    async for _ in journal.read(0):
        lines += 1
    passed = time.perf_counter() - wall
    return Rate("lines read and decoded", lines / passed, passed * 1000, (time.process_time() - cpu) * 1000)


async def _bench_positions(journal: PostgresJournal, seconds: float) -> Rate:
    await journal.prune(T0)
    fixes = [
        (f"A-{n:03}", Position(112.7, -7.2, T0, T0, accuracy_m=5.0, speed_mps=9.5, heading_deg=180.0))
        for n in range(FIXES_A_BATCH)
    ]

    name = f"GPS fixes by COPY, {FIXES_A_BATCH} a batch"
    return await _measure(name, FIXES_A_BATCH, lambda: fixes, journal.append_positions, seconds)


def print_rates(rates: list[Rate]) -> None:
    """The table; `x` is the rate as a multiple of the yardstick above it: on a shared disk it moves from minute to minute."""
    print(f"{'':50}{'per s':>10}{'x':>8}{'ms/batch':>11}{'own CPU ms':>12}")
    yardstick = rates[0].per_s
    for rate in rates:
        if rate.name == YARDSTICK:
            yardstick = rate.per_s
        times = rate.per_s / yardstick
        print(f"{rate.name:50}{rate.per_s:10,.0f}{times:8.2f}{rate.batch_ms:11.2f}{rate.cpu_ms:12.2f}")


def main() -> None:
    """`python -m dispatch.bench_journal DSN`."""
    import sys

    asyncio.run(bench_append(sys.argv[1]))


if __name__ == "__main__":
    main()
