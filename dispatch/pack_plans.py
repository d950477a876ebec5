"""plans.toml: reading response plans and proving that every kind has one everywhere, at every hour.

A plan is written the way a dispatcher says it: `send = ["motorbike|ambulance", "2 ambulance"]` are the units whose arrival is
a capable first response, `support = ["traffic"]` those who come to help them. `alarms` list what each further alarm level
adds; there a requirement counts as first response when `send` asks for one of the same capabilities.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Literal

import msgspec

from dispatch.pack_tables import CODE, Files
from dispatch.plans import OR, applies
from dispatch.region import Kind, Plan, Slot

FILE = "plans.toml"
REQUIREMENT = re.compile(r"(?:([1-9][0-9]?)\s+)?([A-Za-z0-9_.\-]+(?:\|[A-Za-z0-9_.\-]+)*)")
COUNT_MAX = 20
"""Units one requirement may ask for; more is an alarm level of its own."""


class PlanEntry(msgspec.Struct, frozen=True):
    """One [[plan]] as written."""

    code: str
    kinds: tuple[str, ...]
    send: tuple[str, ...]
    support: tuple[str, ...] = ()
    priorities: tuple[int, ...] = (1, 2, 3)
    zones: tuple[str, ...] = ()
    hours: tuple[int, int] = (0, 24)
    mode: Literal["auto", "pre_alert", "confirm"] = "auto"
    alarms: tuple[tuple[str, ...], ...] = ()
    optional_agencies: tuple[str, ...] = ()


def plans(
    files: Files,
    kinds: Mapping[str, Kind],
    fleet: Counter[frozenset[str]] | None,
) -> tuple[Plan, ...]:
    """All plans in order. `fleet` counts the units by what they can do; None when that is not known."""
    data = files.toml(FILE)
    if data is None:
        return ()
    for name in data:
        if name != "plan":
            files.report(FILE, "unknown_field", column=name, allowed="plan")
    entries = data.get("plan", [])
    if not isinstance(entries, list) or not entries:
        files.report(FILE, "empty_table")
        return ()
    found: list[Plan] = []
    rows: dict[str, int] = {}
    for row, raw in enumerate(entries, start=1):
        entry: PlanEntry | None = files.entry(FILE, row, raw, PlanEntry)
        if entry is None:
            continue
        if not CODE.fullmatch(entry.code):
            files.report(FILE, "bad_code", row, "code", value=entry.code[:64])
        if entry.code in rows:
            files.report(FILE, "repeated", row, "code", value=entry.code, first=rows[entry.code])
            continue
        rows[entry.code] = row
        _check_names(files, row, entry)
        plan = _plan(files, row, entry)
        if plan is not None:
            _check_fleet(files, row, plan, fleet)
            found.append(plan)
    if len(found) == len(entries):  # otherwise every kind of an unreadable plan would be reported again
        _check_cover(files, found, rows, kinds)
    return tuple(found)


def _check_names(files: Files, row: int, entry: PlanEntry) -> None:
    for column, values, where in (
        ("kinds", entry.kinds, "kinds.csv"),
        ("zones", entry.zones, "kecamatan.csv"),
        ("optional_agencies", entry.optional_agencies, "agencies.csv"),
    ):
        for value in values:
            if not files.knows(where, value):
                files.report(FILE, "unknown_reference", row, column, value=value, where=where)
    if not entry.kinds:
        files.report(FILE, "empty_value", row, "kinds")
    if not entry.send:
        files.report(FILE, "empty_value", row, "send")
    if not entry.priorities:
        files.report(FILE, "empty_value", row, "priorities")
    for priority in entry.priorities:
        if priority not in (1, 2, 3):
            files.report(FILE, "not_a_choice", row, "priorities", value=priority, allowed="1, 2, 3")
    start, end = entry.hours
    if not (0 <= start <= 23 and 0 <= end <= 24 and start != end):
        files.report(FILE, "bad_hours", row, "hours", value=list(entry.hours))


def _plan(files: Files, row: int, entry: PlanEntry) -> Plan | None:
    before = len(files.problems)
    send = [_slot(files, row, "send", text, first=True) for text in entry.send]
    stops_clock = {name for slot in send if slot for name in slot.capabilities}
    support = [_slot(files, row, "support", text, first=False) for text in entry.support]
    alarms = [[_slot(files, row, "alarms", text, first=False) for text in alarm] for alarm in entry.alarms]
    if not all(entry.alarms):
        files.report(FILE, "empty_value", row, "alarms")
    if len(files.problems) > before:
        return None
    return Plan(
        code=entry.code,
        kinds=frozenset(entry.kinds),
        slots=tuple(slot for slot in [*send, *support] if slot is not None),
        priorities=frozenset(entry.priorities),
        zones=frozenset(entry.zones),
        hours=entry.hours,
        mode=entry.mode,
        alarms=tuple(
            tuple(
                msgspec.structs.replace(slot, first=bool(stops_clock & set(slot.capabilities)))
                for slot in alarm
                if slot is not None
            )
            for alarm in alarms
        ),
        optional_agencies=entry.optional_agencies,
    )


def _slot(files: Files, row: int, column: str, written: str, first: bool) -> Slot | None:
    match = REQUIREMENT.fullmatch(written.strip())
    count = 0 if match is None else int(match[1] or 1)
    if match is None or not 1 <= count <= COUNT_MAX:
        files.report(FILE, "bad_requirement", row, column, value=written[:64])
        return None
    return Slot(capabilities=tuple(match[2].split(OR)), count=count, first=first)


def _check_fleet(files: Files, row: int, plan: Plan, fleet: Counter[frozenset[str]] | None) -> None:
    wanted: Counter[tuple[str, ...]] = Counter()
    for slot in (*plan.slots, *(slot for alarm in plan.alarms for slot in alarm)):
        wanted[slot.capabilities] += slot.count
    for alternatives, count in wanted.items():
        unknown = [name for name in alternatives if not files.knows("capabilities.csv", name)]
        for name in unknown:
            files.report(FILE, "unknown_capability", row, "send", value=name)
        if unknown or not fleet:  # an empty fleet has a problem of its own
            continue
        have = sum(number for able, number in fleet.items() if able & set(alternatives))
        if have == 0:
            files.report(FILE, "no_such_unit", row, "send", value=OR.join(alternatives))
        elif have < count:
            files.report(FILE, "too_few_units", row, "send", value=OR.join(alternatives), wanted=count, have=have)


def _check_cover(files: Files, found: list[Plan], rows: Mapping[str, int], kinds: Mapping[str, Kind]) -> None:
    """Every kind x priority x area x hour has a first matching plan, and every plan is first somewhere.

    Only hours at which a plan begins or ends and areas that a plan names can differ, so few combinations are tried.
    """
    used: set[str] = set()
    for kind in kinds:
        its = [plan for plan in found if kind in plan.kinds]
        areas: list[str | None] = [None, *sorted({zone for plan in its for zone in plan.zones})]
        hours = sorted({0} | {hour % 24 for plan in its for hour in plan.hours})
        for priority in (1, 2, 3):
            gaps = []
            for area in areas:
                for hour in hours:
                    first = next((plan for plan in its if applies(plan, kind, priority, area, hour)), None)
                    if first is None:
                        gaps.append((area, hour))
                    else:
                        used.add(first.code)
            if gaps:
                area, hour = gaps[0]
                where = f"({hour:02d}:00{'' if area is None else ', ' + area})"
                files.report(FILE, "kind_without_plan", column="kinds", kind=kind, priority=priority, where=where)
    for plan in found:
        if plan.code not in used and kinds.keys() >= plan.kinds:
            files.report(FILE, "plan_never_used", rows[plan.code], "code")
