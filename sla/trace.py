"""What a definition does to a figure: the SLA on a foreign 911 trace, counted four ways.

Reads the San Francisco Fire format (DataSF "Fire Department Calls for Service", ODC PDDL): a folder with one
`calls_*.csv` (a row a call) and one `responses_*.csv` (a row a unit). Times are seconds since local midnight of the first
day, blank = not recorded. Everything is computed from the unit rows; the call rows are checked against them.
"""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from dispatch.model import Rejected
from sla.definition import TARGET_S, VERSION, Facts, Rule, Tally, measure

EMERGENCY_PRIORITY = "3"  # San Francisco: 3 = emergency (lights and siren), 2 = not; our priority 1
MEDICAL = "Medical Incident"
TRANSPORT_TYPES = frozenset({"MEDIC", "PRIVATE"})  # the two unit types that carry a patient
EPOCH = datetime(2016, 12, 31, tzinfo=UTC)
"""Stands for "local midnight of the first day"; only differences are used, so the zone does not matter."""
FILE_BYTES_MAX = 512 * 1024 * 1024  # a decade of one city's calls; larger is a mistaken path

CALL_COLUMNS = (
    "call",
    "received",
    "first_dispatch",
    "first_on_scene",
    "first_transport_unit_on_scene",
    "final_priority",
)
RESPONSE_COLUMNS = ("call", "unit", "unit_type", "call_type", "final_priority", "received", "dispatch", "on_scene")


class Call(msgspec.Struct):
    """One call, earliest of each stamp over its unit rows."""

    call_id: str
    emergency: bool
    medical: bool
    received_at: datetime | None
    dispatched_at: datetime | None = None
    on_scene_at: datetime | None = None
    transport_on_scene_at: datetime | None = None
    units: int = 0


class Row(msgspec.Struct):
    """One way of counting. `share` 0..1; `excluded` and `missing` are counts by reason."""

    share: float | None
    n: int
    within: int
    excluded: dict[str, int] = {}
    late: dict[str, int] = {}


class TraceResult(msgspec.Struct):
    definition: str
    deadline_s: float
    calls: int
    unit_rows: int
    disagreements: int
    """Calls whose own row does not match the earliest stamps of its unit rows."""
    received_missing_late: Row
    received_missing_dropped: Row
    dispatch_missing_dropped: Row
    medical_transport_missing_late: Row


def _stamp(text: str, file: Path, line: int, column: str) -> datetime | None:
    if not text.strip():
        return None
    try:
        return EPOCH + timedelta(seconds=float(text))
    except (ValueError, OverflowError) as error:
        raise Rejected("bad_time", column, file=file.name, line=line, value=text[:40]) from error


def _one(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise Rejected("trace_file_missing" if not found else "trace_file_twice", pattern, folder=folder.name)
    if found[0].stat().st_size > FILE_BYTES_MAX:
        raise Rejected("trace_file_too_large", pattern, limit_bytes=FILE_BYTES_MAX)
    return found[0]


def _rows(path: Path, columns: tuple[str, ...]) -> list[tuple[int, dict[str, str]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, restval="")
            absent = [c for c in columns if c not in (reader.fieldnames or ())]
            if absent:
                raise Rejected("trace_column_missing", absent[0], file=path.name)
            return [(reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise Rejected("trace_file_unreadable", path.name, reason=str(error)) from error


def _earlier(a: datetime | None, b: datetime | None) -> datetime | None:
    if a is None or b is None:
        return a or b
    return min(a, b)


def read_trace(folder: Path) -> tuple[list[Call], int, int]:
    """Calls, number of unit rows, number of calls whose own row disagrees with its unit rows. Raises `Rejected`."""
    if not folder.is_dir():
        raise Rejected("trace_folder_missing", "dir", folder=folder.name)
    responses, call_file = _one(folder, "responses_*.csv"), _one(folder, "calls_*.csv")
    calls: dict[str, Call] = {}
    unit_rows = 0
    for line, row in _rows(responses, RESPONSE_COLUMNS):
        unit_rows += 1
        call = calls.get(row["call"])
        received_at = _stamp(row["received"], responses, line, "received")
        if call is None:
            call = calls[row["call"]] = Call(
                row["call"], row["final_priority"] == EMERGENCY_PRIORITY, row["call_type"] == MEDICAL, received_at
            )
        # the highest priority it ever held, and the earliest ring: the same rules as at home
        call.emergency = call.emergency or row["final_priority"] == EMERGENCY_PRIORITY
        call.received_at = _earlier(call.received_at, received_at)
        call.units += 1
        call.dispatched_at = _earlier(call.dispatched_at, _stamp(row["dispatch"], responses, line, "dispatch"))
        on_scene_at = _stamp(row["on_scene"], responses, line, "on_scene")
        call.on_scene_at = _earlier(call.on_scene_at, on_scene_at)
        if row["unit_type"] in TRANSPORT_TYPES:
            call.transport_on_scene_at = _earlier(call.transport_on_scene_at, on_scene_at)
    disagreements = 0
    for line, row in _rows(call_file, CALL_COLUMNS):
        stamps = {c: _stamp(row[c], call_file, line, c) for c in CALL_COLUMNS[1:5]}
        call = calls.get(row["call"])
        if call is None:  # a call nobody was sent to still counts
            calls[row["call"]] = Call(
                row["call"],
                row["final_priority"] == EMERGENCY_PRIORITY,
                row.get("call_type", "") == MEDICAL,
                stamps["received"],
                stamps["first_dispatch"],
                stamps["first_on_scene"],
                stamps["first_transport_unit_on_scene"],
            )
            continue
        seen = (call.received_at, call.dispatched_at, call.on_scene_at, call.transport_on_scene_at)
        disagreements += seen != tuple(stamps.values())
    return list(calls.values()), unit_rows, disagreements


def _row(result: Tally) -> Row:
    return Row(
        share=result.share,
        n=result.n,
        within=result.within,
        excluded={why: len(ids) for why, ids in result.excluded.items()},
        late={why: len(ids) for why, ids in result.late.items()},
    )


def count_four_ways(calls: list[Call], deadline_s: float = TARGET_S) -> dict[str, Tally]:
    """The four rows, by name. "Received" starts at the first ring our way; "dispatch" is the usual flattering clock."""
    target = timedelta(seconds=deadline_s)
    late, dropped = Rule(target, "late"), Rule(target, "dropped")

    def facts(call: Call, start: datetime | None, there: datetime | None) -> Facts:
        return Facts(call.call_id, start, there, priority=1 if call.emergency else 2)

    medical = measure((facts(c, c.received_at, c.transport_on_scene_at) for c in calls if c.medical), rule=late)
    medical.excluded["not_medical"] = [c.call_id for c in calls if not c.medical]
    return {
        "received_missing_late": measure((facts(c, c.received_at, c.on_scene_at) for c in calls), rule=late),
        "received_missing_dropped": measure((facts(c, c.received_at, c.on_scene_at) for c in calls), rule=dropped),
        "dispatch_missing_dropped": measure((facts(c, c.dispatched_at, c.on_scene_at) for c in calls), rule=dropped),
        "medical_transport_missing_late": medical,
    }


def trace(folder: Path, deadline_s: float = TARGET_S) -> TraceResult:
    """Count the trace in `folder` four ways. Raises `Rejected` for a missing or unreadable file or a bad number."""
    if not 0 < deadline_s <= 86_400:
        raise Rejected("bad_deadline", "deadline", value=deadline_s)
    calls, unit_rows, disagreements = read_trace(folder)
    rows = {name: _row(result) for name, result in count_four_ways(calls, deadline_s).items()}
    return TraceResult(VERSION, deadline_s, len(calls), unit_rows, disagreements, **rows)
